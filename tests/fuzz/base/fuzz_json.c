/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes; the first one chooses the limits. What is accepted must have a sound tape, strings
 * that decode to UTF-8, and offsets that lead back to where they came from. */
#include "base/codec.h"
#include "base/json.h"

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_tape(const dv_json *json)
{
    require(json->count >= 1 && json->tokens[0].next == json->count);
    for (uint32_t i = 0; i < json->count; i++) {
        const dv_json_token *t = &json->tokens[i];
        require(t->next > i && t->next <= json->count);
        require((size_t)t->start + t->len <= json->text.len);
        if (t->type == DV_JSON_KEY) {
            require(i + 1 < json->count && t->next == json->tokens[i + 1].next);
        }
        for (uint32_t inner = i + 1; t->type <= DV_JSON_ARRAY && inner < t->next;
             inner = json->tokens[inner].next) {
            require(json->tokens[inner].depth == t->depth + 1);
            require(json->tokens[inner].next <= t->next);
        }
    }
}

/* Each offset of the decoded text leads to the unit that made it, in one direction. */
static void check_offsets(dv_slice raw, dv_slice text)
{
    dv_json_place place = {0, 0};
    size_t last = 0;
    for (size_t offset = 0; offset <= text.len; offset += text.len / 64 + 1) {
        size_t at = dv_json_raw_offset_from(raw, &place, offset);
        require(at == dv_json_raw_offset(raw, offset));
        require(at >= last && at <= raw.len);
        last = at;
    }
    require(dv_json_raw_offset(raw, text.len) == raw.len);
}

static void check_string(const dv_json *json, uint32_t token, dv_arena *arena)
{
    dv_slice text;
    dv_slice raw = dv_json_raw(json, token);
    require(dv_json_string(json, token, arena, &text) == DV_OK);
    require(dv_utf8_valid(text) && text.len <= raw.len);
    check_offsets(raw, text);

    dv_auto(buf) dv_buf again = dv_buf_init(SIZE_MAX);
    require(dv_buf_append_json_string(&again, text) == DV_OK);
    const dv_json_limits limits = {.depth = 1, .tokens = 1};
    dv_json copy;
    dv_slice copied;
    require(dv_json_scan(dv_buf_slice(&again), &limits, arena, &copy, NULL) == DV_OK);
    require(dv_json_string(&copy, 0, arena, &copied) == DV_OK);
    require(dv_slice_eq(text, copied));
}

static void check_value(const dv_json *json, uint32_t token, dv_arena *arena)
{
    int64_t number;
    switch (json->tokens[token].type) {
    case DV_JSON_KEY:
    case DV_JSON_STRING:
        check_string(json, token, arena);
        break;
    case DV_JSON_OBJECT:
        require(dv_json_member(json, token, "model") < json->tokens[token].next);
        break;
    default:
        if (dv_json_int(json, token, &number) == DV_OK) {
            require(json->tokens[token].type == DV_JSON_NUMBER);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    dv_json_limits limits = {.depth = 1 + (data[0] & 0x1f),
                             .tokens = 1u << (data[0] >> 5 << 2),
                             .refuse_duplicate_keys = (data[0] & 1) != 0,
                             .skip_array_scalars = (data[0] & 2) != 0};
    dv_auto(arena) dv_arena *arena = dv_arena_new(256 << 20);
    require(arena != NULL);
    dv_json json;
    dv_error error = {0};
    dv_result result = dv_json_scan(dv_slice_of(data + 1, size - 1), &limits, arena, &json, &error);
    require(result == error.result);
    if (result != DV_OK) {
        require(result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE);
        return 0;
    }
    check_tape(&json);
    for (uint32_t i = 0; i < json.count; i++) {
        check_value(&json, i, arena);
    }
    return 0;
}
