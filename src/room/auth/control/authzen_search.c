/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"

#include "api/operations.h"
#include "base/codec.h"
#include "crypto/hash.h"

/* AuthZEN 1.0, its Search APIs: decides over the candidates of the asked type, in the order of
 * their ids, until the page is full or DV_LIMIT_CANDIDATES were decided. A page's token says behind
 * which id the next one begins; it is bound to the request, so that it continues nothing else. */

enum { DECISION_MEMORY = 32 << 20, BINDING_LEN = 16, PAGE_MAX = 1000, TOKEN_MAX = 8192 };

typedef struct search {
    dv_call *call;
    dv_access access;
    dv_authzen_target target;
    dv_authzen_asked asked;
    dv_slice type; /* of what is sought */
    uint8_t binding[BINDING_LEN];
    size_t limit;
    dv_slice after; /* the last id that was decided */
    bool more;
    size_t decided;
    json_t *results; /* borrowed from the answer */
} search;

/* --- pages (specs: search-pagination) -------------------------------------------------------- */

/* SHA-256 over everything but the page. */
static dv_result binding_make(search *s)
{
    uint8_t digest[DV_SHA256_LEN];
    json_t *rest = json_copy((json_t *)(uintptr_t)s->call->body);
    char *text = NULL;
    if (rest != NULL) {
        json_object_del(rest, "page");
        text = json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS);
    }
    json_decref(rest);
    if (text == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    uint8_t target = (uint8_t)s->target;
    dv_sha256(dv_slice_of(&target, 1), dv_slice_str(text), (dv_slice){0}, digest);
    free(text);
    memcpy(s->binding, digest, BINDING_LEN);
    return DV_OK;
}

static dv_result token_refuse(search *s, dv_error *error)
{
    return dv_call_invalid(s->call, "page.token", error,
                           "The field page.token belongs to another request.");
}

/* binding, limit, id */
static dv_result token_read(search *s, const char *text, dv_error *error)
{
    dv_auto(buf) dv_buf token = dv_buf_init(TOKEN_MAX);
    if (dv_base64url_decode(dv_slice_str(text), &token) != DV_OK || token.len < BINDING_LEN + 2 ||
        memcmp(token.ptr, s->binding, BINDING_LEN) != 0) {
        return token_refuse(s, error);
    }
    s->limit = dv_get_u16(token.ptr + BINDING_LEN);
    return dv_arena_copy(s->call->arena,
                         dv_slice_sub(dv_buf_slice(&token), BINDING_LEN + 2, token.len), &s->after);
}

static dv_result page_read(search *s, dv_error *error)
{
    const json_t *page = json_object_get(s->call->body, "page");
    const json_t *limit = json_object_get(page, "limit");
    const char *token = json_string_value(json_object_get(page, "token"));
    s->limit = PAGE_MAX;
    s->after = dv_slice_str("");
    DV_TRY(binding_make(s));
    if (token != NULL && token[0] != '\0') {
        DV_TRY(token_read(s, token, error));
    }
    if (limit == NULL) {
        return DV_OK;
    }
    size_t asked = (size_t)DV_MIN(json_integer_value(limit), (json_int_t)PAGE_MAX);
    if (token != NULL && token[0] != '\0' && asked != s->limit) {
        return token_refuse(s, error);
    }
    s->limit = asked;
    return DV_OK;
}

static dv_result token_write(const search *s, dv_buf *out)
{
    uint8_t limit[2];
    dv_auto(buf) dv_buf token = dv_buf_init(TOKEN_MAX);
    dv_put_u16(limit, (uint16_t)s->limit);
    DV_TRY(dv_buf_append(&token, dv_slice_of(s->binding, BINDING_LEN)));
    DV_TRY(dv_buf_append(&token, dv_slice_of(limit, sizeof(limit))));
    DV_TRY(dv_buf_append(&token, s->after));
    return dv_base64url_encode(dv_buf_slice(&token), out);
}

/* --- deciding -------------------------------------------------------------------------------- */

static json_t *result_json(const search *s, dv_slice id)
{
    return s->target == DV_AUTHZEN_ACTION
               ? json_pack("{s:s%}", "name", id.ptr, id.len)
               : json_pack("{s:s%, s:s%}", "type", s->type.ptr, s->type.len, "id", id.ptr, id.len);
}

static dv_slice *sought(search *s)
{
    dv_access_question *question = &s->asked.question;
    return s->target == DV_AUTHZEN_SUBJECT    ? &question->principal
           : s->target == DV_AUTHZEN_RESOURCE ? &question->resource
                                              : &question->action;
}

/* A candidate that can't be decided is none. */
static dv_result candidate_decide(search *s, dv_slice id, dv_arena *arena, dv_error *error)
{
    dv_access_verdict verdict = {0};
    DV_TRY(dv_cedar_uid(arena, s->type, id, sought(s)));
    dv_result result = dv_access_decide(&s->access, &s->asked.question, arena, &verdict, error);
    if (result != DV_OK && result != DV_ERR_TOO_LARGE) {
        return result;
    }
    s->decided++;
    s->after = id;
    bool found = result == DV_OK && verdict.allowed;
    return found && json_array_append_new(s->results, result_json(s, id)) != 0 ? DV_ERR_NO_MEMORY
                                                                               : DV_OK;
}

static dv_result candidates_decide(search *s, dv_error *error)
{
    dv_access_candidates candidates = {0};
    dv_auto(arena) dv_arena *arena = dv_arena_new(DECISION_MEMORY);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_access_candidates_read(&s->access, s->type, s->after, &candidates, error));
    size_t i = 0;
    for (; i < candidates.count && json_array_size(s->results) < s->limit; i++) {
        dv_arena_reset(arena);
        DV_TRY(candidate_decide(s, candidates.ids[i], arena, error));
    }
    s->more = candidates.more || i < candidates.count;
    return DV_OK;
}

static dv_result page_set(const search *s, json_t *answer)
{
    dv_auto(buf) dv_buf token = dv_buf_init(2 * TOKEN_MAX);
    if (s->more) {
        DV_TRY(token_write(s, &token));
    }
    json_t *page = json_pack("{s:s%, s:I}", "next_token", token.len > 0 ? (char *)token.ptr : "",
                             token.len, "count", (json_int_t)json_array_size(s->results));
    return dv_auth_json_set(answer, "page", page);
}

/* One record for the search: who asked what of how many, and how many were found. */
static dv_result search_audit(const search *s, dv_error *error)
{
    static const char *const names[] = {"", "subject", "resource", "action"};
    const dv_access_question *question = &s->asked.question;
    json_t *change = json_pack("{s:s, s:s%, s:I, s:I}", "search", names[s->target], "type",
                               s->type.ptr, s->type.len, "decided", (json_int_t)s->decided, "found",
                               (json_int_t)json_array_size(s->results));
    const char *owner =
        s->target == DV_AUTHZEN_SUBJECT
            ? NULL
            : dv_arena_printf(s->call->arena, "%.*s", DV_SLICE_ARGS(question->principal));
    if (change == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_audit_entity(s->call, DV_ENTITY_OTHER, "access_search",
                                       s->call->request_id, owner, change, error);
    json_decref(change);
    return result;
}

static dv_result search_run(search *s, dv_error *error)
{
    dv_call *call = s->call;
    bool paged = json_object_get(call->body, "page") != NULL;
    DV_TRY(page_read(s, error));
    call->answer = json_object();
    json_t *results = json_array();
    s->results = results;
    dv_result result = call->answer == NULL || results == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    if (result == DV_OK) {
        result = candidates_decide(s, error);
    }
    if (result == DV_OK && (paged || s->more)) { /* the page first (specs: search-response) */
        result = page_set(s, call->answer);
    }
    if (result == DV_OK) {
        result = search_audit(s, error);
    }
    if (result != DV_OK) {
        json_decref(results);
        return result;
    }
    return dv_auth_json_set(call->answer, "results", results);
}

static dv_result search_begin(dv_call *call, dv_authzen_target target, dv_error *error)
{
    search s = {.call = call, .target = target};
    DV_TRY(dv_authzen_read(call, call->body, NULL, target, call->arena, &s.asked, error));
    s.type = target == DV_AUTHZEN_SUBJECT    ? s.asked.subject_type
             : target == DV_AUTHZEN_RESOURCE ? s.asked.resource_type
                                             : DV_LIT("Action");
    DV_TRY(dv_access_begin(call, &s.access, error));
    dv_result result = search_run(&s, error);
    dv_access_end(&s.access);
    return result;
}

dv_result dv_op_authzen_search_subject(dv_call *call, dv_error *error)
{
    return search_begin(call, DV_AUTHZEN_SUBJECT, error);
}

dv_result dv_op_authzen_search_resource(dv_call *call, dv_error *error)
{
    return search_begin(call, DV_AUTHZEN_RESOURCE, error);
}

dv_result dv_op_authzen_search_action(dv_call *call, dv_error *error)
{
    return search_begin(call, DV_AUTHZEN_ACTION, error);
}
