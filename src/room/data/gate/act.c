/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/gate_private.h"

#include "base/siphash.h"
#include "crypto/random.h"
#include "engine/detect/action/sealed.h"
#include "engine/detect/action/shape.h"
#include "room/data/gate/action_json.h"

/* Hash, pseudonym, token, fpe, date_shift and generalise: the engine's actions on values in flight.
 *
 * 1. A value becomes what `dvara data` makes of it under the same key: this is the same engine.
 * 2. What an action can't be done to, and what stands encoded, is redacted.
 * 3. What a request's value became is no value: it is left as it is where the request says it again
 *    (an assistant's message of an earlier turn), and where its answer does.
 * 4. But what a real value may well be, too, is one in the request: of the birth dates of two
 * hundred people one is likely to be what another became. In the answer it is left where the same
 * action would be taken on it: who may ask what a value becomes learns no more from either. So is
 * what a caller could have guessed: of a card whose first six and last four digits fpe keeps, some
 *    thousand others that he asks about would become the one that he wants to be told.
 * 5. A token opens under the key that made it, and no other text does: it is no value in any
 *    request. */

enum {
    SPARE = 4096,
    SLOTS_START = 32,
    RARE = 100000000, /* of so many texts of its shape one is no other value */
};

/* ---- keys ---- */

static void forget(dv_data_acting *acting)
{
    dv_action_tools_free(acting->tools);
    dv_wipe(acting->key, sizeof(acting->key));
    acting->tools = NULL;
}

static bool is_key(const uint8_t *one, const uint8_t *other)
{
    return dv_equal_constant_time(dv_slice_of(one, DV_ACTION_KEY_LEN),
                                  dv_slice_of(other, DV_ACTION_KEY_LEN));
}

/* The prepared keys of that key. Of two that take turns (streams that began before a reload go on
 * under the old one) both are kept. */
static dv_result find_tools(dv_data_gate *gate, const uint8_t *key, dv_action_tools **ret_tools)
{
    dv_data_acting fresh = {.tools = NULL};
    for (size_t i = 0; i < DV_ARRAY_LEN(gate->acting); i++) {
        if (gate->acting[i].tools != NULL && is_key(gate->acting[i].key, key)) {
            *ret_tools = gate->acting[i].tools;
            return DV_OK;
        }
    }
    DV_TRY(dv_action_tools_new(key, NULL, &fresh.tools));
    memcpy(fresh.key, key, DV_ACTION_KEY_LEN);
    forget(&gate->acting[1]);
    gate->acting[1] = gate->acting[0];
    gate->acting[0] = fresh;
    *ret_tools = fresh.tools;
    dv_wipe(fresh.key, sizeof(fresh.key));
    return DV_OK;
}

dv_result dv_data_gate_set_key(dv_data_gate *gate, const uint8_t key[32])
{
    dv_action_tools *tools = NULL;
    DV_TRY(find_tools(gate, key, &tools));
    memcpy(gate->action_key, key, sizeof(gate->action_key));
    gate->has_action_key = true;
    return DV_OK;
}

bool dv_data_gate_has_key(const dv_data_gate *gate, const uint8_t key[32])
{
    return gate->has_action_key && is_key(gate->action_key, key);
}

void dv_data_act_release(dv_data_gate *gate)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(gate->acting); i++) {
        forget(&gate->acting[i]);
    }
    dv_wipe(gate->action_key, sizeof(gate->action_key));
    dv_buf_release(&gate->made_text);
}

dv_result dv_data_act_key(const dv_data_gate *gate, dv_data_policy *policy)
{
    if (gate == NULL || !gate->has_action_key) {
        return DV_OK;
    }
    policy->key = malloc(sizeof(gate->action_key));
    if (policy->key == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    memcpy(policy->key, gate->action_key, sizeof(gate->action_key));
    return DV_OK;
}

void dv_data_act_forget(dv_data_policy *policy)
{
    if (policy->key != NULL) {
        dv_wipe(policy->key, DV_ACTION_KEY_LEN);
        free(policy->key);
    }
}

/* ---- what was made ---- */

/* Dates are few, as are texts of few letters and digits besides those that were kept. */
static bool is_common(dv_slice text, size_t kept)
{
    uint64_t texts = 1;
    dv_date date;
    if (dv_shape_of(text, DV_DATE_DMY) == DV_SHAPE_ADDRESS) {
        return false;
    }
    for (size_t i = 0; i < text.len && texts < RARE; i++) {
        uint8_t byte = text.ptr[i];
        if (kept > 0 && dv_is_alnum(byte)) {
            kept--;
        } else {
            texts *= dv_is_digit(byte) ? 10 : dv_is_alnum(byte) ? 26 : 1;
        }
    }
    return texts < RARE || dv_date_parse(text, DV_DATE_DMY, true, &date) ||
           dv_date_parse(text, DV_DATE_MDY, true, &date);
}

/* The slot that holds the text, or the free one where it belongs. */
static dv_data_made_text *find_slot(const dv_data_made_texts *made, const uint8_t *hash_key,
                                    dv_slice text)
{
    size_t at = (size_t)dv_siphash(hash_key, text) & (made->slot_count - 1);
    while (made->slots[at].text.ptr != NULL && !dv_slice_eq(made->slots[at].text, text)) {
        at = (at + 1) & (made->slot_count - 1);
    }
    return &made->slots[at];
}

static dv_result grow(dv_data_made_texts *made, const uint8_t *hash_key, dv_arena *arena)
{
    dv_data_made_texts bigger = *made;
    bigger.slot_count = made->slot_count == 0 ? SLOTS_START : made->slot_count * 2;
    bigger.slots = dv_arena_alloc(arena, bigger.slot_count * sizeof(*bigger.slots));
    if (bigger.slots == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < made->slot_count; i++) {
        if (made->slots[i].text.ptr != NULL) {
            *find_slot(&bigger, hash_key, made->slots[i].text) = made->slots[i];
        }
    }
    *made = bigger;
    return DV_OK;
}

dv_result dv_data_made_add(dv_data_made_texts *made, dv_content_action action, dv_slice text,
                           size_t kept, dv_arena *arena)
{
    const uint8_t *hash_key = NULL;
    DV_TRY(dv_siphash_process_key(&hash_key));
    if ((made->count + 1) * 2 > made->slot_count) {
        DV_TRY(grow(made, hash_key, arena));
    }
    dv_data_made_text *slot = find_slot(made, hash_key, text);
    if (slot->text.ptr == NULL) {
        DV_TRY(dv_arena_copy(arena, text, &slot->text));
        slot->action = (uint8_t)action;
        slot->common = is_common(text, 0);
        slot->guessable = is_common(text, kept);
        made->count++;
    }
    return DV_OK;
}

bool dv_data_made_has(const dv_data_made_texts *made, dv_content_action action, bool answer,
                      dv_slice text)
{
    const uint8_t *hash_key = NULL;
    if (made->count == 0 || text.len == 0 || dv_siphash_process_key(&hash_key) != DV_OK) {
        return false;
    }
    const dv_data_made_text *slot = find_slot(made, hash_key, text);
    if (slot->text.ptr == NULL) {
        return false;
    }
    return answer ? !slot->guessable || slot->action == action : !slot->common;
}

/* ---- tokens ---- */

dv_result dv_data_act_is_token(dv_data_pass *pass, dv_slice text, const dv_data_hit *hit,
                               bool *ret_is)
{
    static const dv_action open = {.kind = DV_ACT_TOKEN, .reverse = true};
    dv_buf *value = &pass->gate->made_text;
    dv_action_tools *tools = NULL;
    dv_slice token = dv_sealed_around(text, hit->start, hit->end);
    *ret_is = false;
    if (token.len == 0 || pass->policy->key == NULL) {
        return DV_OK;
    }
    DV_TRY(find_tools(pass->gate, pass->policy->key, &tools));
    dv_buf_clear(value);
    dv_result result = dv_action_apply(tools, &open, &(dv_action_value){.text = token}, value);
    *ret_is = result == DV_OK;
    dv_buf_wipe(value);
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* ---- acting ---- */

/* Of a network its address is what detectors find again. */
static dv_slice found_again(dv_content_action action, dv_slice text)
{
    ptrdiff_t slash = dv_slice_find_byte(text, '/');
    return action == DV_ACTION_GENERALISE && slash > 0 ? dv_slice_sub(text, 0, (size_t)slash)
                                                       : text;
}

/* Letters and digits of a value that stay. */
static size_t kept_by(const dv_data_pass *pass, size_t kind)
{
    const dv_data_policy *policy = pass->policy;
    const dv_action *settings = &policy->settings[policy->setting[kind]];
    bool keeps = policy->actions[kind] == DV_ACTION_FPE && settings->keep_said;
    return keeps ? (size_t)settings->keep_first + settings->keep_last : 0;
}

static dv_result apply(dv_data_pass *pass, size_t kind, const dv_finding *finding, dv_slice value)
{
    dv_data_gate *gate = pass->gate;
    const dv_data_policy *policy = pass->policy;
    const dv_detector_info *info = dv_data_kind(policy, kind);
    dv_action_tools *tools = NULL;
    dv_action action = policy->settings[policy->setting[kind]];
    dv_action_kind named = DV_ACT_REDACT;
    (void)dv_data_action_kind((dv_content_action)policy->actions[kind], &named);
    action.kind = (uint8_t)(finding->encoded ? DV_ACT_REDACT : named);
    action.sealed = action.kind == DV_ACT_TOKEN; /* no vault is asked on the way */
    if (dv_action_needs_key(action.kind)) {
        if (policy->key == NULL) {
            return DV_ERR_INTERNAL; /* such a policy is not read */
        }
        DV_TRY(find_tools(gate, policy->key, &tools));
    }
    dv_buf_clear(&gate->made_text);
    const dv_action_value whole = {.text = value, .label = info->label};
    return dv_action_apply(tools, &action, &whole, &gate->made_text);
}

dv_result dv_data_act(dv_data_pass *pass, size_t kind, const dv_finding *finding, dv_slice value,
                      dv_slice *ret_text)
{
    dv_content_action action = (dv_content_action)pass->policy->actions[kind];
    dv_buf *made = &pass->gate->made_text;
    DV_TRY(apply(pass, kind, finding, value));
    dv_result result = dv_arena_copy(pass->temp, dv_buf_slice(made), ret_text);
    if (result == DV_OK && !pass->answer && pass->context != NULL) {
        result = dv_data_context_made(pass->context, action,
                                      found_again(action, dv_buf_slice(made)), kept_by(pass, kind));
    }
    dv_buf_trim(made, SPARE);
    return result;
}
