/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/export/bulk.h"

enum { TOKENS_MAX = 1 << 20, DEPTH_MAX = 32 };

static dv_result scan(dv_slice body, dv_arena *arena, dv_json *ret_json)
{
    static const dv_json_limits limits = {.depth = DEPTH_MAX, .tokens = TOKENS_MAX};
    DV_TRY(dv_json_scan(body, &limits, arena, ret_json, NULL));
    return ret_json->tokens[0].type == DV_JSON_OBJECT ? DV_OK : DV_ERR_INVALID;
}

static bool is_type(const dv_json *json, uint32_t token, dv_json_type type)
{
    return token != 0 && json->tokens[token].type == type;
}

static void copy_text(const dv_json *json, uint32_t object, const char *name, dv_arena *arena,
                      char *out, size_t size)
{
    dv_slice text = {0};
    uint32_t token = object == 0 ? 0 : dv_json_member(json, object, name);
    if (is_type(json, token, DV_JSON_STRING) &&
        dv_json_string(json, token, arena, &text) != DV_OK) {
        text = (dv_slice){0};
    }
    dv_slice_copy(text, out, size);
}

/* The status of one item, {"create":{...}}; 0: it has none. Notes why it was refused. */
static int64_t item_status(const dv_json *json, uint32_t item, dv_arena *arena,
                           char why[DV_EXPORT_WHY_MAX])
{
    char type[64], reason[160];
    int64_t status = 0;
    uint32_t create =
        is_type(json, item, DV_JSON_OBJECT) ? dv_json_member(json, item, "create") : 0;
    uint32_t number =
        is_type(json, create, DV_JSON_OBJECT) ? dv_json_member(json, create, "status") : 0;
    if (!is_type(json, number, DV_JSON_NUMBER) || dv_json_int(json, number, &status) != DV_OK) {
        return 0;
    }
    uint32_t fault = dv_json_member(json, create, "error");
    if (is_type(json, fault, DV_JSON_OBJECT)) {
        copy_text(json, fault, "type", arena, type, sizeof(type));
        copy_text(json, fault, "reason", arena, reason, sizeof(reason));
        snprintf(why, DV_EXPORT_WHY_MAX, "status %d: %s: %s", (int)status, type, reason);
    }
    return status;
}

static dv_export_state state_of(int64_t status)
{
    if ((status >= 200 && status < 300) || status == 409) {
        return DV_EXPORT_DONE;
    }
    return status == 429 || status < 200 || status >= 500 ? DV_EXPORT_PENDING : DV_EXPORT_REFUSED;
}

static uint32_t count_items(const dv_json *json, uint32_t array)
{
    uint32_t count = 0;
    for (uint32_t at = array + 1; at < json->tokens[array].next; at = json->tokens[at].next) {
        count++;
    }
    return count;
}

dv_result dv_bulk_apply(dv_slice body, dv_export_chunk *chunk, dv_error *error)
{
    dv_json json;
    if (scan(body, chunk->arena, &json) != DV_OK) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "the receiver's answer is no JSON object");
    }
    uint32_t items = dv_json_member(&json, 0, "items");
    if (!is_type(&json, items, DV_JSON_ARRAY) || count_items(&json, items) != chunk->count) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE,
                            "the receiver's answer does not tell of each event");
    }
    uint32_t at = items + 1;
    for (size_t i = 0; i < chunk->count; i++) {
        char why[DV_EXPORT_WHY_MAX] = "";
        chunk->items[i]->state = state_of(item_status(&json, at, chunk->arena, why));
        if (chunk->items[i]->state == DV_EXPORT_REFUSED) {
            memcpy(chunk->why, why, sizeof(why));
        }
        at = json.tokens[at].next;
    }
    return DV_OK;
}

uint64_t dv_otlp_rejected(dv_slice body, dv_arena *arena, char why[DV_EXPORT_WHY_MAX])
{
    dv_json json;
    dv_slice text = {0};
    int64_t count = 0;
    if (body.len == 0 || scan(body, arena, &json) != DV_OK) {
        return 0; /* an answer in protobuf: 2xx all the same */
    }
    uint32_t partial = dv_json_member(&json, 0, "partialSuccess");
    uint32_t number = is_type(&json, partial, DV_JSON_OBJECT)
                          ? dv_json_member(&json, partial, "rejectedLogRecords")
                          : 0;
    if (is_type(&json, number, DV_JSON_NUMBER)) {
        if (dv_json_int(&json, number, &count) != DV_OK) {
            return 0;
        }
    } else if (is_type(&json, number, DV_JSON_STRING) &&
               dv_json_string(&json, number, arena, &text) == DV_OK) {
        char digits[24];
        dv_slice_copy(text, digits, sizeof(digits));
        count = strtoll(digits, NULL, 10);
    }
    if (count > 0) {
        copy_text(&json, partial, "errorMessage", arena, why, DV_EXPORT_WHY_MAX);
    }
    return count > 0 ? (uint64_t)count : 0;
}
