/* SPDX-License-Identifier: Apache-2.0 */
/* Which fields a form may have. The rules are those of JSON bodies. */
#include "room/api/gate/api_request.h"

#include "base/caps.h"
#include "base/multipart.h"
#include "room/api/gate/api_url.h"

typedef struct checker {
    const dv_api_config *config;
    const dv_api_route *route;
    dv_arena *arena;
    dv_api_body *body;
    dv_verdict *verdict;
} checker;

static dv_result deny(const checker *c, dv_slice name, const char *why)
{
    dv_auto(buf) dv_buf pointer = dv_buf_init(DV_API_POINTER_MAX);
    if (dv_json_append_step(&pointer, name) != DV_OK) {
        dv_buf_clear(&pointer); /* half a name could be half a secret, which nobody would find */
    }
    if (dv_arena_copy(c->arena, dv_buf_slice(&pointer), &c->body->param) != DV_OK) {
        c->body->param = DV_LIT("");
    }
    return dv_api_body_deny(c->body, why, c->verdict);
}

/* Some programs read `a[b]` and `a.b` as b of a: each of the names counts. */
static bool has_refused_name(const checker *c, dv_slice name)
{
    size_t start = 0;
    for (size_t i = 0; i <= name.len; i++) {
        bool ends = i == name.len || name.ptr[i] == '[' || name.ptr[i] == ']' || name.ptr[i] == '.';
        if (ends && dv_api_names_have_nocase(&c->config->refused_fields,
                                             dv_slice_trim(dv_slice_sub(name, start, i - start)))) {
            return true;
        }
        start = ends ? i + 1 : start;
    }
    return false;
}

/* Whether some text between two quotes is a refused name: what is no JSON to us may be some to a
 * program that is less exact (NaN, commas at the end). */
static bool quotes_refused_name(const checker *c, dv_slice text)
{
    for (;;) {
        ptrdiff_t quote = dv_slice_find_byte(text, '"');
        if (quote < 0) {
            return false;
        }
        text = dv_slice_sub(text, (size_t)quote + 1, text.len);
        ptrdiff_t end = dv_slice_find_byte(text, '"');
        if (end > 0 && dv_api_names_have_nocase(&c->config->refused_fields,
                                                dv_slice_sub(text, 0, (size_t)end))) {
            return true;
        }
    }
}

/* A field may be JSON, which some programs read. */
static dv_result check_json(const checker *c, const dv_multipart_part *part)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH,
                                          .tokens = DV_LIMIT_JSON_TOKENS};
    static const dv_api_route any = {.any_field = true, .request_policy = -1, .answer_policy = -1};
    dv_api_route route = any;
    dv_api_body body;
    dv_json json = {0};
    dv_slice data = dv_slice_trim(part->data);
    if (data.len == 0 || (data.ptr[0] != '{' && data.ptr[0] != '[')) {
        return DV_OK;
    }
    dv_result result = dv_json_scan(data, &limits, c->arena, &json, NULL);
    if (result == DV_ERR_INVALID) {
        return quotes_refused_name(c, data)
                   ? deny(c, part->name, "it is no JSON, and holds a field that is not allowed")
                   : DV_OK;
    }
    route.protocol = dv_api_protocol_find(DV_LIT("json"));
    DV_TRY(result);
    return dv_api_body_check(c->config, &route, &json, c->arena, &body, c->verdict) == DV_OK
               ? DV_OK
               : DV_ERR_INVALID;
}

static dv_result check_part(const checker *c, const dv_multipart_part *part)
{
    if (has_refused_name(c, part->name)) {
        return deny(c, part->name, "this field is not allowed");
    }
    if (!c->route->any_field && !dv_api_names_have(&c->route->fields, part->name)) {
        return deny(c, part->name, "the route does not know this field");
    }
    if (part->filename.len > 0) { /* one without a name is a field to some programs */
        return DV_OK;
    }
    if (dv_api_url_names(part->name) && dv_api_url_is_private(dv_slice_trim(part->data))) {
        return deny(c, part->name, "this URL does not lead to the public internet");
    }
    return check_json(c, part);
}

dv_result dv_api_form_check(const dv_api_config *config, const dv_api_route *route, dv_slice form,
                            dv_slice boundary, dv_arena *arena, dv_api_body *ret_body,
                            dv_verdict *verdict)
{
    dv_multipart_part parts[DV_MULTIPART_PARTS_MAX];
    checker c = {config, route, arena, ret_body, verdict};
    dv_error error = {0};
    size_t count = 0;
    *ret_body = (dv_api_body){.max_tokens = -1, .choices = 1, .prompts = 1};
    if (dv_multipart_parse(form, boundary, parts, &count, &error) != DV_OK) {
        dv_verdict_deny(verdict, DV_REASON_BAD_REQUEST, "%s", error.message);
        return DV_ERR_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        DV_TRY(check_part(&c, &parts[i]));
    }
    return DV_OK;
}
