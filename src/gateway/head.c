/* SPDX-License-Identifier: Apache-2.0 */
/* The request's head: what of it a model server gets, after its text was inspected. */
#include "gateway/request.h"

#include "base/codec.h"

enum { PLACE_NAME_MAX = 49 }; /* bytes of a header field's name that a denial tells */

/* Header fields of a caller that a model server gets. The caller's User-Agent is not among them: it
 * tells of the caller's machine and no model server needs it. */
static const dv_slice forwarded[] = {
    DV_LIT("Accept"),          DV_LIT("Accept-Language"),   DV_LIT("Content-Type"),
    DV_LIT("Idempotency-Key"), DV_LIT("OpenAI-Beta"),       DV_LIT("OpenAI-Organization"),
    DV_LIT("OpenAI-Project"),  DV_LIT("Anthropic-Version"), DV_LIT("Anthropic-Beta"),
    DV_LIT("Traceparent"),     DV_LIT("Tracestate"),
};

enum { FORWARDED = DV_ARRAY_LEN(forwarded), LINE_PARTS = 4 };

/* -- inspecting -------------------------------------------------------------------------------- */

bool dv_request_judged(dv_request *request, dv_result result, const dv_verdict *verdict)
{
    if (verdict->decision == DV_ALLOW && result == DV_OK) {
        return true;
    }
    request->verdict = verdict->decision == DV_DENY ? *verdict : (dv_verdict){0};
    return dv_request_deny(request, DV_REASON_INTERNAL, "the content could not be inspected");
}

/* A part of the request's head, as a denial names it. */
typedef struct place {
    const char *what;
    dv_slice name; /* of a header field */
} place;

static bool deny_place(dv_request *request, dv_reason reason, const place *where)
{
    dv_slice name = dv_slice_sub(where->name, 0, PLACE_NAME_MAX);
    dv_verdict_reset(&request->verdict);
    dv_verdict_deny(&request->verdict, reason, "%s%.*s", where->what, DV_SLICE_ARGS(name));
    return false;
}

/* Keeps what passes, for the records. */
static dv_result note_seen(dv_request *request, const dv_data_outcome *outcome, const place *where)
{
    size_t count = request->head_seen_count;
    dv_data_sighting *list =
        dv_arena_alloc_raw(request->arena, (count + outcome->sighting_count) * sizeof(*list));
    const char *name = dv_arena_printf(request->arena, "%s%.*s", where->what,
                                       DV_SLICE_ARGS(dv_slice_sub(where->name, 0, PLACE_NAME_MAX)));
    if (list == NULL || name == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (count > 0) {
        memcpy(list, request->head_seen, count * sizeof(*list));
    }
    for (size_t i = 0; i < outcome->sighting_count; i++) {
        list[count] = outcome->sightings[i];
        list[count++].place = name;
    }
    request->head_seen = list;
    request->head_seen_count = count;
    return DV_OK;
}

/* Inspects a text that can't be rewritten: what would be masked in a body is refused here. */
static bool inspect_line(dv_request *request, const dv_data_policy *policy, dv_slice text,
                         const place *where)
{
    dv_verdict verdict;
    dv_data_outcome outcome = {0};
    if (text.len == 0 || policy == NULL) {
        return true;
    }
    dv_verdict_reset(&verdict);
    dv_verdict_allow(&verdict, "");
    dv_result result = dv_data_gate_text(request->main->worker.data, policy, request->context,
                                         false, text, request->arena, &outcome, &verdict);
    bool blocked = verdict.decision == DV_DENY && verdict.reason == DV_REASON_SENSITIVE_DATA;
    if (result == DV_OK && (outcome.changed || blocked)) {
        request->seen = outcome;
        return deny_place(request, DV_REASON_SENSITIVE_DATA, where);
    }
    if (result == DV_OK && outcome.sighting_count > 0) {
        result = note_seen(request, &outcome, where);
    }
    for (size_t i = 0; outcome.sighting_count > 0 && i < DV_DATA_VOLUMES_MAX; i++) {
        request->head_values[i] += DV_MIN(outcome.values[i], UINT32_MAX - request->head_values[i]);
    }
    return dv_request_judged(request, result, &verdict);
}

static bool inspect_query(dv_request *request, const dv_data_policy *policy)
{
    static const place where = {.what = "in the query string"};
    dv_slice text = {0};
    dv_verdict verdict;
    if (request->r->args.len == 0) {
        return true;
    }
    dv_verdict_reset(&verdict);
    dv_verdict_allow(&verdict, "");
    dv_result result = dv_api_query_check(request->config->api, dv_ngx_slice(request->r->args),
                                          request->arena, &text, &verdict);
    return dv_request_judged(request, result, &verdict) &&
           inspect_line(request, policy, text, &where);
}

/* A prefix leaves room for the caller's own words; check_path made sure that nothing is escaped. */
static bool inspect_path(dv_request *request, const dv_data_policy *policy)
{
    static const place where = {.what = "in the path"};
    dv_slice path = dv_ngx_slice(request->r->uri);
    if (!request->route->prefix) {
        return true;
    }
    if (dv_slice_find(path, DV_LIT("dvk_")) >= 0) {
        return deny_place(request, DV_REASON_BAD_REQUEST, &where);
    }
    return inspect_line(request, policy, path, &where);
}

/* Where it stands in the list; FORWARDED: nowhere. */
static size_t forwarded_index(dv_slice name)
{
    size_t i = 0;
    while (i < FORWARDED && !dv_slice_eq_nocase(name, forwarded[i])) {
        i++;
    }
    return i;
}

/* No field's value holds them (RFC 9110 section 5.5); nginx refuses most of them before. */
static bool has_control(dv_slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        if ((value.ptr[i] < 0x20 && value.ptr[i] != '\t') || value.ptr[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool inspect_field(dv_request *request, const dv_data_policy *policy,
                          const ngx_table_elt_t *field)
{
    const place where = {"in the header ", dv_ngx_slice(field->key)};
    dv_slice value = dv_ngx_slice(field->value);
    if (has_control(value) || !dv_utf8_valid(value) || dv_slice_find(value, DV_LIT("dvk_")) >= 0) {
        return deny_place(request, DV_REASON_BAD_REQUEST, &where);
    }
    return inspect_line(request, policy, value, &where);
}

/* Inspects the fields that are sent on. Of those that came twice the first is. */
static bool inspect_fields(dv_request *request, const dv_data_policy *policy,
                           dv_slice values[FORWARDED])
{
    const ngx_list_part_t *part = &request->r->headers_in.headers.part;
    for (; part != NULL; part = part->next) {
        const ngx_table_elt_t *fields = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            size_t index = forwarded_index(dv_ngx_slice(fields[i].key));
            if (index == FORWARDED) {
                continue;
            }
            if (!inspect_field(request, policy, &fields[i])) {
                return false;
            }
            if (values[index].ptr == NULL) {
                values[index] = dv_ngx_slice(fields[i].value);
            }
        }
    }
    return true;
}

/* -- what is sent on --------------------------------------------------------------------------- */

/* How many parts it took. */
static size_t add_line(dv_slice *parts, dv_slice name, dv_slice value)
{
    if (value.len == 0) {
        return 0;
    }
    parts[0] = DV_LIT("\r\n");
    parts[1] = name;
    parts[2] = DV_LIT(": ");
    parts[3] = value;
    return LINE_PARTS;
}

/* All of the head that is ours to write, in one text: nginx would look each field up, twice. */
static dv_result write_fields(dv_request *request, const dv_slice values[FORWARDED])
{
    dv_slice parts[1 + (1 + FORWARDED) * LINE_PARTS];
    size_t count = 0;
    parts[count++] = dv_ngx_slice(request->target->host);
    count +=
        add_line(parts + count, DV_LIT("X-Request-Id"), dv_slice_of(request->id, DV_UUID_TEXT_LEN));
    for (size_t i = 0; i < FORWARDED; i++) {
        if (has_control(values[i])) {
            return DV_ERR_INVALID; /* was refused before: here it would begin a line */
        }
        count += add_line(parts + count, forwarded[i], values[i]);
    }
    return dv_arena_concat(request->arena, parts, count, &request->fields);
}

/* The policy of that number as it is for this caller; below zero: none. */
static dv_result find_policy(const dv_request *request, int index,
                             const dv_data_policy **ret_policy)
{
    *ret_policy = NULL;
    return index < 0
               ? DV_OK
               : dv_data_policy_for(request->config->policies[index], &request->identity.principal,
                                    request->route->name, request->arena, ret_policy);
}

static dv_result find_policies(dv_request *request)
{
    DV_TRY(find_policy(request, request->route->request_policy, &request->request_policy));
    return find_policy(request, request->route->answer_policy, &request->answer_policy);
}

bool dv_head_inspect(dv_request *request)
{
    dv_worker *worker = &request->main->worker;
    dv_slice values[FORWARDED] = {{NULL, 0}};
    request->seen.body = request->work.bytes;
    if (find_policies(request) != DV_OK ||
        dv_data_context_new(worker->data, request->identity.principal.entity, request->arena,
                            &request->context) != DV_OK) {
        request->verdict = (dv_verdict){0};
        return dv_request_deny(request, DV_REASON_INTERNAL, "");
    }
    const dv_data_policy *policy = request->request_policy;
    if (!inspect_path(request, policy) || !inspect_query(request, policy) ||
        !inspect_fields(request, policy, values)) {
        return false;
    }
    if (write_fields(request, values) != DV_OK) {
        request->verdict = (dv_verdict){0}; /* no policy decided this */
        return dv_request_deny(request, DV_REASON_INTERNAL, "");
    }
    return true;
}
