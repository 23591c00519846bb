/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/random.h"
#include "room/data/control/data_control.h"
#include "room/data/control/loss.h"
#include "room/data/control/masking_action.h"
#include "room/data/control/scope.h"
#include "room/data/control/volume.h"
#include "room/data/gate/names.h"

enum {
    RULES_MAX = 64,      /* as the gate reads them */
    TEXT_MAX = 64 << 10, /* of what is made of the section: what the gate reads, */
    CUSTOM_MAX = 2 * 2 * DV_CUSTOM_MADE_MAX, /* and of users' detectors, for each direction */
};

static const char *const section_keys[] = {"request", "answer",   "decode",     "names",
                                           "rules",   "key_file", "date_order", "custom_detectors",
                                           NULL};
static const char *const directions[] = {"request", "answer", NULL};
static const char *const policy_keys[] = {"default", "detectors", "off", NULL};
static const char *const standard_actions[] = {"placeholder", "mask"}; /* of the directions */

static dv_result check_detector(const dv_yaml *node, const char *name,
                                const dv_detect_custom *custom, dv_error *error)
{
    if (dv_masking_kind_index(name) >= 0 || dv_detect_custom_index(custom, name) >= 0) {
        return DV_OK;
    }
    return dv_error_set_at(error, DV_ERR_INVALID, node->line, node->column,
                           "masking: no detector is called '%.64s'", name);
}

/* What holds for both directions. */
typedef struct common {
    bool decode; /* values that stand encoded are looked for, too */
    bool names;  /* people and addresses are */
    bool key;    /* key_file is said */
    dv_date_order order;
    const dv_yaml *rules;
    const dv_yaml *loss;      /* the section loss_prevention */
    const char *runtime;      /* see loss.h */
    dv_detect_custom *custom; /* users' detectors; NULL: none */
} common;

/* Placeholders are given back in answers to requests; in an answer there is no way back. Tokens are
 * opened by who has the key: under the installation's, nobody could. */
static dv_result read_action(const dv_yaml *node, bool answer, const common *both,
                             dv_masking_action *ret_action, dv_error *error)
{
    DV_TRY(dv_masking_action_read(node, both->order, ret_action, error));
    if (answer && strcmp(ret_action->name, "placeholder") == 0) {
        return dv_error_set_at(error, DV_ERR_INVALID, node->line, node->column,
                               "masking: 'placeholder' is for requests; answers take mask (a rule "
                               "for requests alone says 'direction: request')");
    }
    if (strcmp(ret_action->name, "token") == 0 && !both->key) {
        return dv_error_set_at(error, DV_ERR_INVALID, node->line, node->column,
                               "masking: 'token' wants 'key_file', with which its tokens can be "
                               "opened: a vault of data_vaults with the same key tells them");
    }
    return DV_OK;
}

static const dv_yaml *part(const dv_yaml *policy, const char *key)
{
    return policy == NULL ? NULL : dv_yaml_get(policy, key);
}

/* What is said of this detector; else its own action, unless there is a default. */
static dv_result action_of(const dv_yaml *named, const dv_detector_info *info, bool answer,
                           const common *both, dv_masking_action *ret_action, dv_error *error)
{
    if (named != NULL) {
        return read_action(named, answer, both, ret_action, error);
    }
    uint8_t own = answer ? info->answer_action : info->request_action;
    dv_masking_action_plain(dv_content_action_name((dv_content_action)own), ret_action);
    return DV_OK;
}

/* Those that the default covers are left out: it is theirs. */
static dv_result append_detectors(const dv_yaml *policy, bool has_default, bool answer,
                                  const common *both, dv_buf *out, dv_error *error)
{
    const dv_yaml *map = part(policy, "detectors");
    if (map != NULL && map->type != DV_YAML_MAP) {
        return dv_error_set_at(error, DV_ERR_INVALID, map->line, map->column,
                               "masking: 'detectors' wants names with an action each");
    }
    for (const dv_yaml *node = map == NULL ? NULL : map->first; node != NULL; node = node->next) {
        DV_TRY(check_detector(node, node->key, both->custom, error));
    }
    DV_TRY(dv_buf_append_str(out, ",\"detectors\":{"));
    const char *comma = "";
    size_t built_in = dv_masking_kind_count();
    for (size_t i = 0; i < built_in + dv_detect_custom_count(both->custom); i++) {
        const dv_detector_info *info =
            i < built_in ? dv_masking_kind(i)
                         : dv_detect_custom_info(both->custom, DV_CUSTOM_FIRST + i - built_in);
        const dv_yaml *named = part(map, info->id);
        bool standard = info->standard && (i >= built_in || dv_detect_index(info->id) >= 0);
        dv_masking_action action;
        if (named != NULL || (standard && !has_default)) {
            DV_TRY(action_of(named, info, answer, both, &action, error));
            DV_TRY(dv_buf_append_printf(out, "%s\"%s\":%s", comma, info->id, action.json));
            comma = ",";
        }
    }
    return dv_buf_append_str(out, "}");
}

static dv_result append_off(const dv_yaml *policy, const common *both, dv_buf *out, dv_error *error)
{
    const dv_yaml *list = part(policy, "off");
    if (list == NULL) {
        return DV_OK;
    }
    if (list->type != DV_YAML_LIST) {
        return dv_error_set_at(error, DV_ERR_INVALID, list->line, list->column,
                               "masking: 'off' wants a list of detectors");
    }
    DV_TRY(dv_buf_append_str(out, ",\"off\":["));
    for (const dv_yaml *node = list->first; node != NULL; node = node->next) {
        const char *name = NULL;
        DV_TRY(dv_yaml_string(node, &name, error));
        DV_TRY(check_detector(node, name, both->custom, error));
        DV_TRY(dv_buf_append_printf(out, "%s\"%s\"", node == list->first ? "" : ",", name));
    }
    return dv_buf_append_str(out, "]");
}

static dv_result read_common(const dv_yaml *section, const dv_yaml *loss, common *ret,
                             dv_error *error)
{
    const dv_yaml *decode = part(section, "decode");
    const dv_yaml *names = part(section, "names");
    *ret = (common){.decode = true,
                    .key = part(section, "key_file") != NULL,
                    .rules = part(section, "rules"),
                    .loss = loss};
    DV_TRY(names == NULL ? DV_OK : dv_yaml_bool(names, &ret->names, error));
    DV_TRY(dv_masking_order(section, &ret->order, error));
    return decode == NULL ? DV_OK : dv_yaml_bool(decode, &ret->decode, error);
}

/* ---- rules ---- */

static const char *const rule_keys[] = {DV_DATA_SCOPE_KEYS, "direction", "action", "override",
                                        NULL};

/* Whether the rule is about that direction; both, when it does not say. */
static dv_result speaks_of(const dv_yaml *rule, size_t direction, bool *ret_speaks, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(rule, "direction");
    const char *text = NULL;
    *ret_speaks = true;
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_string(node, &text, error));
    *ret_speaks = strcmp(text, directions[direction]) == 0;
    if (!*ret_speaks && strcmp(text, directions[1 - direction]) != 0) {
        return dv_error_set_at(error, DV_ERR_INVALID, node->line, node->column,
                               "masking: 'direction' is request or answer");
    }
    return DV_OK;
}

static dv_result append_rule(const dv_yaml *rule, size_t number, bool answer, const common *both,
                             dv_buf *out, dv_error *error)
{
    const dv_yaml *said = dv_yaml_get(rule, "action");
    const dv_yaml *overrides = dv_yaml_get(rule, "override");
    dv_masking_action action;
    bool flag = false;
    if (said == NULL) {
        return dv_error_set_at(error, DV_ERR_INVALID, rule->line, rule->column,
                               "masking: a rule wants an action");
    }
    DV_TRY(read_action(said, answer, both, &action, error));
    DV_TRY(overrides == NULL ? DV_OK : dv_yaml_bool(overrides, &flag, error));
    DV_TRY(dv_buf_append_printf(out, "{\"n\":%zu,", number));
    DV_TRY(dv_data_scope_append(rule, "masking", both->custom, out, error));
    return dv_buf_append_printf(out, "\"action\":%s,\"override\":%s}", action.json,
                                flag ? "true" : "false");
}

static dv_result append_rules(const common *both, size_t direction, dv_buf *out, dv_error *error)
{
    const dv_yaml *list = both->rules;
    size_t count = 0, written = 0;
    if (list == NULL) {
        return DV_OK;
    }
    if (list->type != DV_YAML_LIST) {
        return dv_error_set_at(error, DV_ERR_INVALID, list->line, list->column,
                               "masking: 'rules' wants a list");
    }
    DV_TRY(dv_buf_append_str(out, ",\"rules\":["));
    for (const dv_yaml *rule = list->first; rule != NULL; rule = rule->next) {
        bool speaks = false;
        if (rule->type != DV_YAML_MAP || ++count > RULES_MAX) {
            return dv_error_set_at(error, DV_ERR_INVALID, rule->line, rule->column,
                                   "masking: 'rules' wants at most %d rules, each with an action",
                                   RULES_MAX);
        }
        DV_TRY(dv_yaml_check_keys(rule, rule_keys, error));
        DV_TRY(speaks_of(rule, direction, &speaks, error));
        if (speaks) {
            DV_TRY(dv_buf_append_str(out, written++ > 0 ? "," : ""));
            DV_TRY(append_rule(rule, count - 1, direction == 1, both, out, error));
        }
    }
    return dv_buf_append_str(out, "]");
}

static dv_result append_custom(const common *both, dv_buf *out)
{
    if (both->custom == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_buf_append_str(out, ",\"custom\":"));
    return dv_buf_append_json_string(out, dv_detect_custom_text(both->custom));
}

static dv_result append_policy(const dv_yaml *policy, const common *both, size_t direction,
                               dv_buf *out, dv_error *error)
{
    bool answer = direction == 1;
    dv_masking_action standard;
    const dv_yaml *said = NULL;
    if (policy != NULL) {
        if (policy->type != DV_YAML_MAP) {
            return dv_error_set_at(error, DV_ERR_INVALID, policy->line, policy->column,
                                   "masking: '%s' wants default, detectors or off",
                                   directions[direction]);
        }
        DV_TRY(dv_yaml_check_keys(policy, policy_keys, error));
        said = dv_yaml_get(policy, "default");
    }
    dv_masking_action_plain(standard_actions[direction], &standard);
    if (said != NULL) {
        DV_TRY(read_action(said, answer, both, &standard, error));
    }
    DV_TRY(dv_buf_append_printf(out, "%s\"%s\":{\"default\":%s", answer ? "," : "",
                                directions[direction], standard.json));
    DV_TRY(append_custom(both, out));
    DV_TRY(append_detectors(policy, said != NULL, answer, both, out, error));
    DV_TRY(append_off(policy, both, out, error));
    DV_TRY(append_rules(both, direction, out, error));
    DV_TRY(dv_data_volume_append(part(both->loss, "volume"), answer, out, error));
    DV_TRY(dv_data_loss_fingerprints(both->loss, answer, both->runtime, out, error));
    DV_TRY(both->names ? dv_buf_append_str(out, ",\"names\":true") : DV_OK);
    DV_TRY(both->decode ? dv_buf_append_str(out, ",\"decode\":true") : DV_OK);
    return dv_buf_append_str(out, "}");
}

static dv_result append_policies(const dv_yaml *section, const common *both, dv_buf *out,
                                 dv_error *error)
{
    DV_TRY(dv_buf_append_str(out, "{"));
    for (size_t i = 0; directions[i] != NULL; i++) {
        DV_TRY(append_policy(part(section, directions[i]), both, i, out, error));
    }
    return dv_buf_append_str(out, "}");
}

static dv_result policies(const dv_yaml *section, const dv_yaml *loss, const char *runtime,
                          dv_buf *out, dv_error *error)
{
    common both;
    if (section != NULL) {
        if (section->type != DV_YAML_MAP) {
            return dv_error_set_at(
                error, DV_ERR_INVALID, section->line, section->column,
                "'masking' wants request, answer, rules, decode, names, key_file, "
                "custom_detectors or date_order");
        }
        DV_TRY(dv_yaml_check_keys(section, section_keys, error));
    }
    DV_TRY(read_common(section, loss, &both, error));
    both.runtime = runtime;
    DV_TRY(dv_masking_custom(section, &both.custom, error));
    size_t before = out->len;
    dv_result result = append_policies(section, &both, out, error);
    size_t most = TEXT_MAX + (both.custom != NULL ? CUSTOM_MAX : 0);
    dv_detect_custom_free(both.custom);
    const dv_yaml *blamed = section != NULL ? section : loss;
    if (blamed != NULL &&
        (result == DV_ERR_TOO_LARGE || (result == DV_OK && out->len - before > most))) {
        return dv_error_set_at(error, DV_ERR_INVALID, blamed->line, blamed->column,
                               "masking: the rules name too much (more than %d KiB in all): name "
                               "groups in place of users",
                               TEXT_MAX >> 10);
    }
    return result;
}

static dv_result check(const dv_yaml *section, dv_error *error)
{
    dv_auto(buf) dv_buf unused = dv_buf_init(TEXT_MAX + CUSTOM_MAX);
    uint8_t key[DV_ACTION_KEY_LEN];
    bool said = false;
    DV_TRY(policies(section, NULL, NULL, &unused, error));
    dv_result result = dv_masking_key(section, key, &said, error);
    dv_wipe(key, sizeof(key));
    return result;
}

/* No apply: it goes into force with the gateway's configuration. */
const dv_config_section dv_data_config_masking = {"masking", check, NULL};

const dv_masking_source dv_data_masking = {policies, dv_masking_key};
