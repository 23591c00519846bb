/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/action_json.h"

/* ---- settings as numbers ---- */

enum { SETTINGS = 10, WIDTH_MAX = 1000000000, DAYS_MAX = 36500, KEEP_MAX = 32, LENGTH_MAX = 64 };

static const struct {
    const char *name;
    int64_t most;
} settings_of[SETTINGS] = {
    {"keep_first", KEEP_MAX},
    {"keep_last", KEEP_MAX},
    {"keep_said", 1},
    {"luhn", 1},
    {"letters", 1},
    {"length", LENGTH_MAX},
    {"to", DV_DETAIL_COUNT - 1},
    {"order", DV_DATE_MDY},
    {"days", DAYS_MAX},
    {"width", WIDTH_MAX},
};

static void to_numbers(const dv_action *a, int64_t out[SETTINGS])
{
    const int64_t numbers[SETTINGS] = {a->keep_first, a->keep_last, a->keep_said, a->luhn,
                                       a->letters,    a->length,    a->detail,    a->order,
                                       a->days,       a->width};
    memcpy(out, numbers, sizeof(numbers));
}

static dv_action from_numbers(dv_action_kind kind, const int64_t n[SETTINGS])
{
    return (dv_action){.kind = (uint8_t)kind,
                       .keep_first = (uint8_t)n[0],
                       .keep_last = (uint8_t)n[1],
                       .keep_said = n[2] != 0,
                       .luhn = n[3] != 0,
                       .letters = n[4] != 0,
                       .length = (uint8_t)n[5],
                       .detail = (uint8_t)n[6],
                       .order = (uint8_t)n[7],
                       .days = (uint16_t)n[8],
                       .width = (uint32_t)n[9]};
}

bool dv_data_action_same(const dv_action *a, const dv_action *b)
{
    int64_t x[SETTINGS], y[SETTINGS];
    to_numbers(a, x);
    to_numbers(b, y);
    return a->kind == b->kind && memcmp(x, y, sizeof(x)) == 0;
}

bool dv_data_action_kind(dv_content_action action, dv_action_kind *ret_kind)
{
    switch (action) {
    case DV_ACTION_HASH:
        *ret_kind = DV_ACT_HASH;
        return true;
    case DV_ACTION_PSEUDONYM:
        *ret_kind = DV_ACT_PSEUDONYM;
        return true;
    case DV_ACTION_FPE:
        *ret_kind = DV_ACT_FPE;
        return true;
    case DV_ACTION_DATE_SHIFT:
        *ret_kind = DV_ACT_DATE_SHIFT;
        return true;
    case DV_ACTION_GENERALISE:
        *ret_kind = DV_ACT_GENERALISE;
        return true;
    case DV_ACTION_TOKEN:
        *ret_kind = DV_ACT_TOKEN;
        return true;
    case DV_ACTION_BLOCK:
    case DV_ACTION_ALERT:
    case DV_ACTION_MASK:
    case DV_ACTION_PLACEHOLDER:
    case DV_ACTION_REDACT:
    case DV_ACTION_ALLOW:
    case DV_ACTION_MONITOR:
        break;
    }
    return false;
}

/* ---- writing ---- */

dv_result dv_data_action_append(dv_content_action action, const dv_action *settings, dv_buf *out)
{
    const dv_action none = {.kind = settings != NULL ? settings->kind : 0};
    const char *name = dv_content_action_name(action);
    int64_t numbers[SETTINGS];
    if (settings == NULL || dv_data_action_same(settings, &none)) {
        return dv_buf_append_printf(out, "\"%s\"", name);
    }
    DV_TRY(dv_buf_append_printf(out, "{\"action\":\"%s\"", name));
    to_numbers(settings, numbers);
    for (size_t i = 0; i < SETTINGS; i++) {
        if (numbers[i] != 0) {
            DV_TRY(dv_buf_append_printf(out, ",\"%s\":%lld", settings_of[i].name,
                                        (long long)numbers[i]));
        }
    }
    return dv_buf_append_str(out, "}");
}

/* ---- reading ---- */

static dv_result wrong(dv_error *error, const char *where)
{
    return dv_error_set(error, DV_ERR_INVALID, "data policy: %s: want " DV_POLICY_ACTIONS, where);
}

static dv_result read_name(const dv_json *json, uint32_t token, const char *where, dv_arena *arena,
                           dv_content_action *ret_action, dv_error *error)
{
    dv_slice name = {NULL, 0};
    if (json->tokens[token].type == DV_JSON_STRING) {
        DV_TRY(dv_json_string(json, token, arena, &name));
    }
    return dv_content_action_read_policy(name, ret_action) ? DV_OK : wrong(error, where);
}

/* One setting; its name is the token before. */
static dv_result read_setting(const dv_json *json, uint32_t key, dv_arena *arena,
                              int64_t numbers[SETTINGS], dv_error *error)
{
    dv_slice name;
    DV_TRY(dv_json_string(json, key, arena, &name));
    for (size_t i = 0; i < SETTINGS; i++) {
        if (!dv_slice_eq_str(name, settings_of[i].name)) {
            continue;
        }
        if (json->tokens[key + 1].type != DV_JSON_NUMBER ||
            dv_json_int(json, key + 1, &numbers[i]) != DV_OK || numbers[i] < 0 ||
            numbers[i] > settings_of[i].most) {
            return dv_error_set(error, DV_ERR_INVALID,
                                "data policy: an action's '%s' wants 0 to %lld",
                                settings_of[i].name, (long long)settings_of[i].most);
        }
        return DV_OK;
    }
    return dv_slice_eq_str(name, "action")
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID, "data policy: an action has no '%.*s'",
                              (int)DV_MIN(name.len, (size_t)64), (const char *)name.ptr);
}

dv_result dv_data_action_parse(const dv_json *json, uint32_t token, const char *where,
                               dv_arena *arena, dv_content_action *ret_action,
                               dv_action *ret_settings, dv_error *error)
{
    int64_t numbers[SETTINGS] = {0};
    bool object = json->tokens[token].type == DV_JSON_OBJECT;
    uint32_t named = object ? dv_json_member(json, token, "action") : token;
    dv_content_action action = DV_ACTION_BLOCK;
    dv_action_kind kind = DV_ACT_REDACT;
    if (object && named == 0) {
        return wrong(error, where);
    }
    DV_TRY(read_name(json, named, where, arena, &action, error));
    bool engine = dv_data_action_kind(action, &kind);
    for (uint32_t key = token + 1; object && key < json->tokens[token].next;
         key = json->tokens[key + 1].next) {
        DV_TRY(read_setting(json, key, arena, numbers, error));
    }
    if (object && !engine) {
        return dv_error_set(error, DV_ERR_INVALID, "data policy: %s: %s has no settings", where,
                            dv_content_action_name(action));
    }
    *ret_action = action;
    *ret_settings = from_numbers(kind, numbers);
    return DV_OK;
}
