/* SPDX-License-Identifier: Apache-2.0 */
/* What a body says for the gate's sake: that its answer is bounded, and that a stream tells its
 * usage, which OpenAI's chat and completions do only when they are asked. */
#include "room/api/gate/api_request.h"

#define ASK "\"include_usage\":true"

static dv_json_type type_of(const dv_json *json, uint32_t token)
{
    return (dv_json_type)json->tokens[token].type;
}

/* Puts the member at the object's front. */
static dv_api_insert put_in(const dv_json *json, uint32_t object, dv_slice member,
                            dv_slice member_and_comma)
{
    bool empty = json->tokens[object].next == object + 1;
    return (dv_api_insert){.at = (size_t)json->tokens[object].start + 1,
                           .text = empty ? member : member_and_comma};
}

static dv_api_insert replace(const dv_json *json, uint32_t token, dv_slice text)
{
    return (dv_api_insert){json->tokens[token].start, json->tokens[token].len, text};
}

bool dv_api_usage_ask(const dv_json *json, dv_api_insert *ret_insert)
{
    if (json->count == 0 || type_of(json, 0) != DV_JSON_OBJECT) {
        return false;
    }
    uint32_t options = dv_json_member(json, 0, "stream_options");
    if (options == 0) {
        *ret_insert = put_in(json, 0, DV_LIT("\"stream_options\":{" ASK "}"),
                             DV_LIT("\"stream_options\":{" ASK "},"));
        return true;
    }
    if (type_of(json, options) == DV_JSON_NULL) {
        *ret_insert = replace(json, options, DV_LIT("{" ASK "}"));
        return true;
    }
    if (type_of(json, options) != DV_JSON_OBJECT) {
        return false;
    }
    uint32_t asked = dv_json_member(json, options, "include_usage");
    if (asked == 0) {
        *ret_insert = put_in(json, options, DV_LIT(ASK), DV_LIT(ASK ","));
        return true;
    }
    bool off = type_of(json, asked) == DV_JSON_FALSE || type_of(json, asked) == DV_JSON_NULL;
    if (off) {
        *ret_insert = replace(json, asked, DV_LIT("true"));
    }
    return off;
}

/* The name of a number that bounds the answer; 0: there is none. */
static uint32_t find_bound(const dv_json *json, const dv_api_protocol *protocol)
{
    for (const dv_api_member *m = protocol->members; m->name.len > 0; m++) {
        uint32_t value = m->role == DV_ROLE_MAX_TOKENS ? dv_json_member_named(json, 0, m->name) : 0;
        if (value != 0 && type_of(json, value) == DV_JSON_NUMBER) {
            return value - 1;
        }
    }
    return 0;
}

dv_result dv_api_cap_put(const dv_json *json, const dv_api_route *route, uint64_t tokens,
                         dv_arena *arena, dv_api_insert *ret_insert)
{
    if (json->count == 0 || type_of(json, 0) != DV_JSON_OBJECT) {
        return DV_ERR_INVALID;
    }
    uint32_t said = dv_json_member(json, 0, route->cap);
    uint32_t bound = said == 0 ? find_bound(json, route->protocol) : 0;
    if (bound != 0) {
        *ret_insert = replace(json, bound, dv_slice_str(route->cap));
        return DV_OK;
    }
    const char *text =
        said != 0 ? dv_arena_printf(arena, "%llu", (unsigned long long)tokens)
                  : dv_arena_printf(arena, "\"%s\":%llu,", route->cap, (unsigned long long)tokens);
    if (text == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_slice whole = dv_slice_str(text);
    *ret_insert = said != 0 ? replace(json, said, whole)
                            : put_in(json, 0, dv_slice_sub(whole, 0, whole.len - 1), whole);
    return DV_OK;
}
