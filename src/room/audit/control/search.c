/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara audit search`: asks dvara-logd and makes an answer of the API from what it says. */
#include "room/audit/control/search.h"

#include "api/operations.h"
#include "core/log_source.h"
#include "room/audit/control/audit_control.h"
#include "room/audit/control/internal.h"
#include "room/audit/control/nodes_search.h"

enum { BUDGET_MS = 500, REQUEST_MAX = 32 << 10 };

dv_result dv_audit_query_check(dv_call *call, const char *field, const char *text,
                               bool filter_alone, const dv_query **ret_query, dv_error *error)
{
    dv_error wrong = {0};
    const dv_query_options options = {.now = call->now, .filter_alone = filter_alone};
    dv_result result = dv_query_parse(dv_slice_str(text), &options, call->arena, ret_query, &wrong);
    if (result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE) {
        return dv_call_invalid(call, field, error, "column %d: %s", wrong.column, wrong.message);
    }
    return result;
}

dv_result dv_audit_time_read(dv_call *call, const char *field, const char *text, dv_time now,
                             int64_t *ret_ms, dv_error *error)
{
    dv_time back;
    int64_t width;
    if (text == NULL) {
        *ret_ms = 0;
        return DV_OK;
    }
    if (dv_duration_parse(dv_slice_str(text), &back) == DV_OK) {
        *ret_ms = DV_MAX((now - back) / DV_MILLISECOND, 1);
        return DV_OK;
    }
    if (dv_query_time_parse(dv_slice_str(text), now, ret_ms, &width) != DV_OK) {
        return dv_call_invalid(call, field, error,
                               "%.64s is no time: 2026-11-22, 2026-11-22T10:30, an RFC 3339 time, "
                               "or a duration back from now such as 2h",
                               text);
    }
    return DV_OK;
}

dv_result dv_audit_quote(const char *text, dv_buf *out)
{
    DV_TRY(dv_buf_append_byte(out, '"'));
    for (; *text != '\0'; text++) {
        DV_TRY(dv_buf_append_str(out, *text == '"' || *text == '\\' ? "\\" : ""));
        DV_TRY(dv_buf_append_byte(out, (uint8_t)*text));
    }
    return dv_buf_append_byte(out, '"');
}

/* Relative times mean the same on every page: a cursor carries the time of the first one. */
static dv_time time_of(const dv_call *call, const char *cursor)
{
    const char *last = cursor != NULL ? strrchr(cursor, '.') : NULL;
    int64_t ms = last != NULL ? strtoll(last + 1, NULL, 10) : 0;
    return ms > 0 && ms < INT64_MAX / DV_MILLISECOND ? ms * DV_MILLISECOND : call->now;
}

dv_result dv_audit_search_request(dv_call *call, const dv_audit_search *search,
                                  json_t **ret_request, dv_error *error)
{
    int64_t since_ms, until_ms;
    dv_time now = time_of(call, search->cursor);
    DV_TRY(dv_audit_time_read(call, "since", search->since, now, &since_ms, error));
    DV_TRY(dv_audit_time_read(call, "until", search->until, now, &until_ms, error));
    json_t *request =
        json_pack("{s:s,s:s?,s:s,s:I,s:I,s:I,s:I,s:i,s:b}", "query", search->query, "cursor",
                  search->cursor, "order", search->order != NULL ? search->order : "newest",
                  "limit", (json_int_t)search->limit, "now_ms", (json_int_t)(now / DV_MILLISECOND),
                  "since_ms", (json_int_t)since_ms, "until_ms", (json_int_t)until_ms, "budget_ms",
                  (int)BUDGET_MS, "state", search->state);
    if (request == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (search->cursor == NULL) {
        (void)json_object_del(request, "cursor");
    }
    if (search->log != NULL && json_object_set_new(request, "log", json_string(search->log)) != 0) {
        json_decref(request);
        return DV_ERR_NO_MEMORY;
    }
    *ret_request = request;
    return DV_OK;
}

dv_result dv_audit_search_run(dv_call *call, const dv_audit_search *search, json_t **ret_lines,
                              dv_error *error)
{
    json_t *request;
    dv_auto(logd_answer) dv_logd_answer answer = {dv_buf_init(0), 0};
    DV_TRY(dv_audit_search_request(call, search, &request, error));
    dv_auto(free) char *body = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    if (body == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(
        dv_logd_post_json(call->services->runtime_dir, "/search", body, BUDGET_MS, &answer, error));
    return dv_logd_lines(dv_buf_slice(&answer.body), ret_lines, error);
}

/* -- the answer -------------------------------------------------------------------------------- */

/* The events with their summaries. */
static dv_result add_items(const json_t *lines, size_t count, json_t *answer)
{
    json_t *items = json_array();
    for (size_t i = 0; i < count && items != NULL; i++) {
        json_t *item = dv_event_summarize(json_array_get(lines, i));
        if (item == NULL || json_array_append_new(items, item) != 0) {
            json_decref(items);
            return DV_ERR_NO_MEMORY;
        }
    }
    return json_object_set_new(answer, "items", items) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* The last line tells how it went; of an aggregation, the one before it tells all. */
dv_result dv_audit_search_answer(const json_t *lines, bool aggregated, dv_time took, json_t *answer)
{
    size_t count = json_array_size(lines);
    if (count < (aggregated ? 2U : 1U)) {
        return DV_ERR_CORRUPT;
    }
    if (json_object_update(answer, json_array_get(lines, count - 1)) != 0 ||
        (aggregated && json_object_update(answer, json_array_get(lines, 0)) != 0)) {
        return DV_ERR_NO_MEMORY;
    }
    json_t *stats = json_object_get(answer, "stats");
    if (json_object_set_new(stats, "took_ms", json_integer(took / DV_MILLISECOND)) != 0) {
        return DV_ERR_CORRUPT;
    }
    return aggregated ? DV_OK : add_items(lines, count - 1, answer);
}

static dv_result answer_search(dv_call *call, const dv_audit_search *search, dv_error *error)
{
    const dv_query *query;
    json_t *lines = NULL;
    dv_time started = dv_time_monotonic();
    DV_TRY(dv_audit_query_check(call, "query", search->query, false, &query, error));
    if (json_object_get(call->body, "nodes") != NULL) {
        return dv_audit_search_nodes(call, search, error);
    }
    DV_TRY(dv_audit_search_run(call, search, &lines, error));
    bool aggregated = query->stages.measure_count > 0;
    json_t *answer = json_object();
    dv_result result =
        answer == NULL
            ? DV_ERR_NO_MEMORY
            : dv_audit_search_answer(lines, aggregated, dv_time_monotonic() - started, answer);
    json_decref(lines);
    if (result != DV_OK) {
        json_decref(answer);
        return dv_error_set(error, result, "dvara-logd's answer to the search can not be read");
    }
    call->answer = answer;
    return DV_OK;
}

dv_result dv_op_audit_search(dv_call *call, dv_error *error)
{
    const dv_audit_search search = {
        .query = dv_call_field(call, "query"),
        .since = dv_call_field(call, "since"),
        .until = dv_call_field(call, "until"),
        .cursor = dv_call_field(call, "cursor"),
        .log = dv_call_field(call, "log"),
        .order = dv_call_field(call, "order"),
        .limit = json_integer_value(json_object_get(call->body, "limit")),
        .state = json_is_true(json_object_get(call->body, "state")),
    };
    return answer_search(call, &search, error);
}

/* -- for other rooms --------------------------------------------------------------------------- */

/* The lines but the last one, each an event beside its place. */
static dv_result take_events(const json_t *lines, json_t *events)
{
    size_t count = json_array_size(lines);
    for (size_t i = 0; i + 1 < count; i++) {
        json_t *event = json_object_get(json_array_get(lines, i), "event");
        if (!json_is_object(event) || json_array_append(events, event) != 0) {
            return event == NULL ? DV_ERR_CORRUPT : DV_ERR_NO_MEMORY;
        }
    }
    return count > 0 ? DV_OK : DV_ERR_CORRUPT;
}

static dv_result read_events(dv_call *call, const dv_log_page *page, json_t **ret_events,
                             json_t **ret_next, dv_error *error)
{
    const dv_query *query = NULL;
    json_t *lines = NULL, *events = json_array();
    const dv_audit_search search = {.query = page->query,
                                    .since = page->since,
                                    .until = page->until,
                                    .cursor = page->cursor,
                                    .limit = page->limit};
    dv_result result = dv_audit_query_check(call, "query", search.query, true, &query, error);
    if (result == DV_OK) {
        result = dv_audit_search_run(call, &search, &lines, error);
    }
    if (result == DV_OK) {
        result = take_events(lines, events);
    }
    if (result != DV_OK) {
        json_decref(lines);
        json_decref(events);
        return result;
    }
    const json_t *last = json_array_get(lines, json_array_size(lines) - 1);
    *ret_next = json_incref(json_object_get(last, "next"));
    *ret_events = events;
    json_decref(lines);
    return DV_OK;
}

const dv_log_source dv_audit_log_events = {read_events, dv_audit_clock_settles_in};
