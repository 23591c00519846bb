/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/gate_private.h"

#include "base/caps.h"
#include "crypto/random.h"
#include "room/data/gate/action_json.h"

enum {
    /* The first has none; the default's, each detector's and each rule's fit. */
    SETTINGS_MAX = 1 + 1 + DV_DETECT_MAX + DV_DATA_RULES_MAX,
    DEPTH_MAX = 4,
    MADE_MAX = 8 * DV_ACTION_VALUE_MAX, /* a word of one letter becomes one of eight */
    POLICY_ARENA = 4 << 20,
    POLICY_TOKENS = 32 << 10,          /* more than fit in what dvarad makes of `masking:` */
    KNOWN_DECODED = DV_DETECT_MAX - 1, /* no detector has this bit */
};

static dv_result make_principal_keys(const uint8_t placeholder_key[32], dv_hmac **ret_hmac)
{
    uint8_t key[DV_HMAC_KEY_LEN];
    dv_result result = dv_hkdf(dv_slice_of(placeholder_key, 32), (dv_slice){NULL, 0},
                               "dvara placeholder v1", key, sizeof(key));
    if (result == DV_OK) {
        result = dv_hmac_new(key, ret_hmac);
    }
    dv_wipe(key, sizeof(key));
    return result;
}

dv_result dv_data_detectors_new(dv_data_detectors **ret_detectors, dv_error *error)
{
    return dv_detect_rules_builtin(ret_detectors, error);
}

void dv_data_detectors_free(dv_data_detectors *detectors)
{
    dv_detect_rules_free(detectors);
}

dv_result dv_data_gate_new(const uint8_t placeholder_key[32], const dv_data_detectors *detectors,
                           dv_data_gate **ret_gate, dv_error *error)
{
    dv_data_gate *gate = calloc(1, sizeof(*gate));
    if (gate == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    gate->made_text = dv_buf_init(MADE_MAX);
    dv_result result = make_principal_keys(placeholder_key, &gate->principal_keys);
    if (result == DV_OK && detectors == NULL) {
        result = dv_data_detectors_new(&gate->made, error);
    }
    if (result == DV_OK) {
        gate->rules = detectors != NULL ? detectors : gate->made;
        result = dv_detect_scratch_new(gate->rules, &gate->scratch);
    }
    if (result != DV_OK) {
        dv_data_gate_free(gate);
        return result;
    }
    *ret_gate = gate;
    return DV_OK;
}

dv_result dv_data_gate_share(const dv_data_gate *gate, dv_data_gate **ret_gate)
{
    dv_data_gate *shared = calloc(1, sizeof(*shared));
    if (shared == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    shared->borrows_keys = true;
    shared->rules = gate->rules;
    shared->principal_keys = gate->principal_keys;
    shared->made_text = dv_buf_init(MADE_MAX);
    dv_result result = dv_detect_scratch_new(gate->rules, &shared->scratch);
    if (result != DV_OK) {
        free(shared);
        return result;
    }
    *ret_gate = shared;
    return DV_OK;
}

void dv_data_gate_hurry(dv_data_gate *gate, uint64_t effort)
{
    gate->effort = effort;
}

void dv_data_gate_free(dv_data_gate *gate)
{
    if (gate == NULL) {
        return;
    }
    dv_arena_free(gate->events);
    dv_arena_free(gate->decoding);
    dv_data_names_release(gate);
    dv_fingerprint_matcher_free(gate->matcher);
    dv_data_act_release(gate);
    dv_detect_scratch_free(gate->scratch);
    dv_data_detectors_free(gate->made);
    if (!gate->borrows_keys) {
        dv_hmac_free(gate->principal_keys);
    }
    free(gate);
}

/* ---- reading a policy ---- */

static const dv_action no_settings[1];

/* Where the settings stand in the policy's list; equal ones stand there once. */
static dv_result keep_settings(dv_data_policy *policy, const dv_action *settings,
                               uint16_t *ret_setting)
{
    dv_arena *arena = NULL;
    if (policy->setting_count == 1) {
        DV_TRY(dv_data_policy_arena(policy, &arena));
        dv_action *list = dv_arena_alloc(arena, SETTINGS_MAX * sizeof(*list));
        if (list == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        policy->settings = policy->setting_list = list;
    }
    for (size_t i = 1; i < policy->setting_count; i++) {
        if (dv_data_action_same(&policy->settings[i], settings)) {
            *ret_setting = (uint16_t)i;
            return DV_OK;
        }
    }
    if (policy->setting_count == SETTINGS_MAX) {
        return DV_ERR_INTERNAL; /* there is nothing else that could have them */
    }
    policy->setting_list[policy->setting_count] = *settings;
    *ret_setting = (uint16_t)policy->setting_count++;
    return DV_OK;
}

dv_result dv_data_action_read(const dv_json *json, uint32_t token, const char *where,
                              dv_data_policy *policy, dv_arena *arena, uint8_t *ret_action,
                              uint16_t *ret_setting, dv_error *error)
{
    dv_content_action action = DV_ACTION_BLOCK;
    dv_action settings = {0};
    dv_action_kind kind = DV_ACT_REDACT;
    DV_TRY(dv_data_action_parse(json, token, where, arena, &action, &settings, error));
    bool engine = dv_data_action_kind(action, &kind);
    const dv_action plain = {.kind = settings.kind};
    *ret_setting = 0;
    if (engine && !dv_data_action_same(&settings, &plain)) {
        DV_TRY(keep_settings(policy, &settings, ret_setting));
    }
    policy->keyed |= engine && dv_action_needs_key(kind);
    *ret_action = (uint8_t)action;
    return DV_OK;
}

static dv_result detector_of(const dv_json *json, uint32_t token, const dv_data_policy *policy,
                             dv_arena *arena, size_t *ret_index, dv_error *error)
{
    dv_slice name;
    DV_TRY(dv_json_string(json, token, arena, &name));
    for (size_t i = 0; i < dv_data_kind_end(policy); i++) {
        const dv_detector_info *info = dv_data_kind(policy, i);
        if (info != NULL && dv_slice_eq_str(name, info->id)) {
            *ret_index = i;
            return DV_OK;
        }
    }
    return dv_error_set(error, DV_ERR_INVALID, "data policy: no detector is called '%.*s'",
                        (int)DV_MIN(name.len, (size_t)64), (const char *)name.ptr);
}

static dv_result read_detectors(const dv_json *json, uint32_t map, dv_arena *arena,
                                dv_data_policy *policy, dv_error *error)
{
    if (json->tokens[map].type != DV_JSON_OBJECT) {
        return dv_error_set(error, DV_ERR_INVALID, "data policy: 'detectors' is no object");
    }
    for (uint32_t key = map + 1; key < json->tokens[map].next; key = json->tokens[key + 1].next) {
        size_t index = 0;
        DV_TRY(detector_of(json, key, policy, arena, &index, error));
        DV_TRY(dv_data_action_read(json, key + 1, dv_data_kind(policy, index)->id, policy, arena,
                                   &policy->actions[index], &policy->setting[index], error));
        dv_detector_set_add(&policy->enabled, index);
    }
    return DV_OK;
}

static dv_result read_off(const dv_json *json, uint32_t list, dv_arena *arena,
                          dv_data_policy *policy, dv_error *error)
{
    if (json->tokens[list].type != DV_JSON_ARRAY) {
        return dv_error_set(error, DV_ERR_INVALID, "data policy: 'off' is no list");
    }
    for (uint32_t item = list + 1; item < json->tokens[list].next; item = json->tokens[item].next) {
        size_t index = 0;
        if (json->tokens[item].type != DV_JSON_STRING) {
            return dv_error_set(error, DV_ERR_INVALID, "data policy: 'off' lists detectors");
        }
        DV_TRY(detector_of(json, item, policy, arena, &index, error));
        dv_detector_set_remove(&policy->enabled, index);
    }
    return DV_OK;
}

static dv_result read_flag(const dv_json *json, const char *name, bool *ret_flag, dv_error *error)
{
    uint32_t token = dv_json_member(json, 0, name);
    dv_json_type type = token == 0 ? DV_JSON_FALSE : (dv_json_type)json->tokens[token].type;
    if (type != DV_JSON_FALSE && type != DV_JSON_TRUE) {
        return dv_error_set(error, DV_ERR_INVALID, "data policy: '%s' is no boolean", name);
    }
    *ret_flag = type == DV_JSON_TRUE;
    return DV_OK;
}

void dv_data_policy_complete(dv_data_policy *policy)
{
    policy->rewrites = dv_data_volumes_block(policy);
    for (size_t i = 0; i < dv_data_kind_end(policy); i++) {
        bool passes =
            policy->actions[i] == DV_ACTION_ALERT || policy->actions[i] == DV_ACTION_ALLOW;
        if (policy->actions[i] == DV_ACTION_ALLOW && !dv_detector_set_has(&policy->counted, i)) {
            dv_detector_set_remove(&policy->enabled, i);
        }
        policy->rewrites |= dv_detector_set_has(&policy->enabled, i) && !passes;
    }
    policy->rewrites |= (dv_data_loss_blocks(policy->loss) & policy->loss_on) != 0;
    policy->names = dv_data_names_meant(&policy->enabled);
    policy->known = policy->enabled;
    if (policy->decode) {
        dv_detector_set_add(&policy->known, KNOWN_DECODED);
    }
}

static dv_result read_default(const dv_json *json, dv_arena *arena, dv_data_policy *policy,
                              dv_error *error)
{
    uint32_t standard = dv_json_member(json, 0, "default");
    uint8_t action = DV_ACTION_BLOCK;
    uint16_t setting = 0;
    if (standard == 0) {
        return dv_error_set(error, DV_ERR_INVALID, "data policy: 'default' is missing");
    }
    DV_TRY(dv_data_action_read(json, standard, "default", policy, arena, &action, &setting, error));
    memset(policy->actions, action, sizeof(policy->actions));
    for (size_t i = 0; i < DV_ARRAY_LEN(policy->setting); i++) {
        policy->setting[i] = setting;
    }
    return DV_OK;
}

static dv_result read_policy(const dv_json *json, dv_arena *arena, dv_data_policy *policy,
                             dv_error *error)
{
    if (json->tokens[0].type != DV_JSON_OBJECT) {
        return dv_error_set(error, DV_ERR_INVALID, "data policy: is no object");
    }
    uint32_t detectors = dv_json_member(json, 0, "detectors");
    uint32_t off = dv_json_member(json, 0, "off");
    bool names = false;
    DV_TRY(dv_data_custom_read(json, policy, arena, error));
    DV_TRY(read_default(json, arena, policy, error));
    DV_TRY(read_flag(json, "names", &names, error));
    if (names) {
        dv_data_names_standard(&policy->enabled);
    }
    if (detectors != 0) {
        DV_TRY(read_detectors(json, detectors, arena, policy, error));
    }
    if (off != 0) {
        DV_TRY(read_off(json, off, arena, policy, error));
    }
    DV_TRY(read_flag(json, "decode", &policy->decode, error));
    DV_TRY(dv_data_loss_read(json, &policy->loss, error));
    policy->loss_on = dv_data_loss_all(policy->loss);
    DV_TRY(dv_data_rules_read(json, policy, error));
    DV_TRY(dv_data_volumes_read(json, policy, error));
    dv_data_policy_complete(policy);
    return DV_OK;
}

dv_result dv_data_policy_arena(dv_data_policy *policy, dv_arena **ret_arena)
{
    if (policy->arena == NULL) {
        policy->arena = dv_arena_new(DV_DATA_RULES_ARENA);
    }
    *ret_arena = policy->arena;
    return policy->arena != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

dv_result dv_data_policy_parse(const dv_data_gate *gate, dv_slice text, dv_data_policy **ret_policy,
                               dv_error *error)
{
    static const dv_json_limits limits = {
        .depth = DEPTH_MAX, .tokens = POLICY_TOKENS, .refuse_duplicate_keys = true};
    dv_auto(arena) dv_arena *arena = dv_arena_new(POLICY_ARENA);
    dv_json json;
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_json_scan(text, &limits, arena, &json, error));
    dv_data_policy *policy = calloc(1, sizeof(*policy));
    if (policy == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    policy->enabled = *dv_detect_standard();
    policy->settings = no_settings;
    policy->setting_count = 1;
    dv_result result = dv_data_act_key(gate, policy);
    if (result == DV_OK) {
        result = read_policy(&json, arena, policy, error);
    }
    if (result == DV_OK && policy->keyed && gate != NULL && policy->key == NULL) {
        result =
            dv_error_set(error, DV_ERR_INVALID, "data policy: there is no key for its actions");
    }
    if (result != DV_OK) {
        dv_data_policy_free(policy);
        return result;
    }
    *ret_policy = policy;
    return DV_OK;
}

void dv_data_policy_free(dv_data_policy *policy)
{
    if (policy != NULL) {
        dv_data_act_forget(policy);
        dv_arena_free(policy->arena);
        dv_data_loss_free(policy->loss);
        dv_detect_custom_free(policy->custom);
    }
    free(policy);
}
