/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers of api/audit.yaml. */
#include "api/operations.h"
#include "base/codec.h"
#include "base/uuid.h"
#include "engine/log/note.h"
#include "room/audit/control/search.h"

/* A request that ended just now may not be under a checkpoint yet: dvara-logd makes one a second.
 */
enum { RECENT_SECONDS = 5, WAIT_MS = 1500, PAGE_MOST = 1000 };

static dv_result get_json(const char *runtime_dir, const char *path, json_t **ret_json,
                          dv_error *error)
{
    dv_auto(logd_answer) dv_logd_answer answer = {dv_buf_init(0), 0};
    DV_TRY(dv_logd_get(runtime_dir, path, 0, &answer, error));
    json_t *value = json_loadb((const char *)answer.body.ptr, answer.body.len, 0, NULL);
    if (value == NULL) {
        return dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd sent what is no JSON");
    }
    *ret_json = value;
    return DV_OK;
}

/* -- tail -------------------------------------------------------------------------------------- */

/* One log is read by its index; all of them are searched for everything, by time. */

static bool is_of_all_logs(const char *cursor)
{
    return cursor != NULL && cursor[0] == 'o';
}

static const char *log_param(const dv_call *call)
{
    const char *log = dv_call_param(call, "log"); /* of a pattern that needs no escaping */
    return log == NULL ? "main" : log;
}

/* Whether the call names one log, or there is but one. *ret_size: that log's. */
static dv_result is_of_one_log(const dv_call *call, bool *ret_one, uint64_t *ret_size,
                               dv_error *error)
{
    char path[64];
    json_t *status = NULL;
    snprintf(path, sizeof(path), "/status?log=%.32s", log_param(call));
    DV_TRY(get_json(call->services->runtime_dir, path, &status, error));
    *ret_one = dv_call_param(call, "log") != NULL || dv_event_int(status, "logs") < 2;
    *ret_size = (uint64_t)dv_event_int(status, "size");
    json_decref(status);
    return DV_OK;
}

/* Where the page begins: the cursor, `from`, or `last` events before the end. *ret_one false: in
 * all logs. */
static dv_result find_start(dv_call *call, bool *ret_one, uint64_t *ret_from, dv_error *error)
{
    const char *cursor = dv_call_param(call, "cursor");
    const json_t *from = json_object_get(call->params, "from");
    uint64_t size, last = (uint64_t)json_integer_value(json_object_get(call->params, "last"));
    *ret_one = !is_of_all_logs(cursor);
    if (cursor != NULL) {
        return !*ret_one || dv_decimal_parse(dv_slice_str(cursor), ret_from) == DV_OK
                   ? DV_OK
                   : dv_call_invalid(call, "cursor", error, "is none that Dvara gave");
    }
    if (from != NULL) {
        *ret_from = (uint64_t)json_integer_value(from);
        return DV_OK;
    }
    DV_TRY(is_of_one_log(call, ret_one, &size, error));
    *ret_from = size > last ? size - last : 0;
    return DV_OK;
}

static dv_result summarize_all(const json_t *lines, json_t **ret_items)
{
    size_t i;
    json_t *line, *items = json_array();
    json_array_foreach(lines, i, line)
    {
        json_t *item = dv_event_summarize(line);
        if (items == NULL || item == NULL || json_array_append_new(items, item) != 0) {
            json_decref(items);
            return DV_ERR_NO_MEMORY;
        }
    }
    *ret_items = items;
    return items != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result answer_tail(dv_call *call, const json_t *lines, const char *asked,
                             const char *next, uint64_t pruned)
{
    json_t *items = NULL;
    DV_TRY(summarize_all(lines, &items));
    dv_result result = dv_audit_reading(call, asked, json_array_size(items));
    if (result != DV_OK) {
        json_decref(items);
        return result;
    }
    call->answer = json_pack("{s:o,s:s}", "items", items, "next", next);
    if (call->answer != NULL && pruned > 0) {
        (void)json_object_set_new(call->answer, "pruned", json_integer((json_int_t)pruned));
    }
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result tail_log(dv_call *call, uint64_t from, dv_error *error)
{
    char path[160], next[32];
    const char *log = log_param(call);
    json_t *lines = NULL;
    bool main_log = strcmp(log, "main") == 0;
    int64_t limit = json_integer_value(json_object_get(call->params, "limit"));
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    snprintf(path, sizeof(path), "/events?from=%" PRIu64 "&limit=%" PRId64 "%s%.32s", from, limit,
             main_log ? "" : "&log=", main_log ? "" : log);
    DV_TRY(dv_logd_get(call->services->runtime_dir, path, 0, &answer, error));
    DV_TRY(dv_logd_lines(dv_buf_slice(&answer.body), &lines, error));
    for (size_t i = 0; !main_log && i < json_array_size(lines); i++) {
        (void)json_object_set_new(json_array_get(lines, i), "log", json_string(log));
    }
    snprintf(next, sizeof(next), "%" PRIu64, answer.next);
    dv_result result = answer_tail(call, lines, path, next, answer.pruned);
    json_decref(lines);
    return result;
}

/* -- all logs by time -------------------------------------------------------------------------- */

/* The lines without the one that tells how the search went, which is *ret_last. */
static dv_result search_all(dv_call *call, const dv_audit_search *search, json_t **ret_lines,
                            json_t **ret_last, dv_error *error)
{
    json_t *lines = NULL;
    DV_TRY(dv_audit_search_run(call, search, &lines, error));
    size_t count = json_array_size(lines);
    if (count == 0) {
        json_decref(lines);
        return dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd's answer can not be read");
    }
    *ret_last = json_incref(json_array_get(lines, count - 1));
    (void)json_array_remove(lines, count - 1);
    *ret_lines = lines;
    return DV_OK;
}

static json_t *reversed(const json_t *lines)
{
    json_t *other = json_array();
    for (size_t i = json_array_size(lines); i > 0 && other != NULL; i--) {
        (void)json_array_append(other, json_array_get(lines, i - 1));
    }
    return other;
}

/* The latest ones, in the order of time; what comes then goes on behind them. */
static dv_result tail_latest(dv_call *call, dv_error *error)
{
    int64_t last = json_integer_value(json_object_get(call->params, "last"));
    const dv_audit_search search = {.query = "", .limit = DV_MAX(last, 1)};
    json_t *lines = NULL, *stats = NULL;
    if (last > PAGE_MOST) {
        return dv_call_invalid(call, "last", error,
                               "can be %d at most where there are several logs: name one (log), "
                               "or search",
                               PAGE_MOST);
    }
    DV_TRY(search_all(call, &search, &lines, &stats, error));
    json_t *shown = last > 0 ? reversed(lines) : json_array();
    dv_result result =
        shown == NULL ? DV_ERR_NO_MEMORY
                      : answer_tail(call, shown, "the latest", dv_event_text(stats, "newer"), 0);
    json_decref(shown);
    json_decref(lines);
    json_decref(stats);
    return result;
}

static dv_result tail_on(dv_call *call, dv_error *error)
{
    int64_t limit = json_integer_value(json_object_get(call->params, "limit"));
    const dv_audit_search search = {
        .query = "", .limit = limit, .order = "oldest", .cursor = dv_call_param(call, "cursor")};
    json_t *lines = NULL, *stats = NULL;
    DV_TRY(search_all(call, &search, &lines, &stats, error));
    dv_result result = answer_tail(call, lines, "what came since", dv_event_text(stats, "next"), 0);
    json_decref(lines);
    json_decref(stats);
    return result;
}

dv_result dv_op_audit_tail(dv_call *call, dv_error *error)
{
    bool one;
    uint64_t from;
    DV_TRY(find_start(call, &one, &from, error));
    if (one) {
        return tail_log(call, from, error);
    }
    return dv_call_param(call, "cursor") == NULL ? tail_latest(call, error) : tail_on(call, error);
}

/* -- why --------------------------------------------------------------------------------------- */

/* Whether the UUIDv7 was made within the last seconds. */
static bool is_recent(const char *request_id, dv_time now)
{
    dv_uuid uuid;
    dv_time made = 0;
    if (dv_uuid_parse(dv_slice_str(request_id), &uuid) != DV_OK) {
        return false;
    }
    for (int i = 0; i < 6; i++) {
        made = made << 8 | uuid.bytes[i];
    }
    return now - made * DV_MILLISECOND < RECENT_SECONDS * DV_SECOND;
}

static int compare_times(const void *a, const void *b)
{
    int64_t x = dv_event_int(*(json_t *const *)a, "event.time");
    int64_t y = dv_event_int(*(json_t *const *)b, "event.time");
    return (x > y) - (x < y);
}

/* The events of one log stand in its order; where a request has some in several, time tells. */
static dv_result by_time(const dv_call *call, const json_t *lines, json_t **ret_sorted)
{
    bool several = false;
    size_t count = json_array_size(lines);
    json_t *sorted = json_array();
    const json_t **items = dv_arena_alloc(call->arena, (count + 1) * sizeof(*items));
    if (items == NULL || sorted == NULL) {
        json_decref(sorted);
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        items[i] = json_array_get(lines, i);
        several =
            several || strcmp(dv_event_text(items[i], "log"), dv_event_text(items[0], "log")) != 0;
    }
    if (several) {
        qsort(items, count, sizeof(*items), compare_times);
    }
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append(sorted, (json_t *)(uintptr_t)items[i]);
    }
    *ret_sorted = sorted;
    return DV_OK;
}

dv_result dv_op_audit_why(dv_call *call, dv_error *error)
{
    char path[256];
    json_t *lines = NULL, *told = NULL;
    const char *id = dv_call_param(call, "request_id"); /* of a pattern that needs no escaping */
    unsigned wait_ms = is_recent(id, call->now) ? WAIT_MS : 0;
    dv_auto(logd_answer) dv_logd_answer answer = {dv_buf_init(0), 0};
    snprintf(path, sizeof(path), "/events?request_id=%.64s&wait_ms=%u", id, wait_ms);
    DV_TRY(dv_logd_get(call->services->runtime_dir, path, wait_ms, &answer, error));
    DV_TRY(dv_logd_lines(dv_buf_slice(&answer.body), &lines, error));
    dv_result result = DV_OK;
    if (json_array_size(lines) == 0) {
        result = dv_error_set(error, DV_ERR_NOT_FOUND, "the audit log has no request %.64s", id);
    } else {
        result = dv_audit_reading(call, path, json_array_size(lines));
    }
    if (result == DV_OK) {
        result = by_time(call, lines, &told);
    }
    if (result == DV_OK) {
        result = dv_event_explain(id, told, &call->answer);
    }
    json_decref(told);
    json_decref(lines);
    return result;
}

/* -- checkpoint and status --------------------------------------------------------------------- */

/* The three lines of the note's text: origin, size, root. */
static json_t *checkpoint_json(dv_slice note, const char *vkey)
{
    dv_slice rest = note, origin, size, root;
    if (!dv_slice_split(&rest, '\n', &origin) || !dv_slice_split(&rest, '\n', &size) ||
        !dv_slice_split(&rest, '\n', &root)) {
        return NULL;
    }
    char number[32];
    snprintf(number, sizeof(number), "%.*s", DV_SLICE_ARGS(dv_slice_sub(size, 0, 20)));
    return json_pack("{s:s%,s:I,s:s%,s:s,s:s%}", "origin", origin.ptr, origin.len, "size",
                     (json_int_t)strtoll(number, NULL, 10), "root", root.ptr, root.len, "vkey",
                     vkey, "note", note.ptr, note.len);
}

dv_result dv_op_audit_checkpoint(dv_call *call, dv_error *error)
{
    json_t *status = NULL;
    dv_auto(logd_answer) dv_logd_answer answer = {dv_buf_init(0), 0};
    char path[64];
    snprintf(path, sizeof(path), "/checkpoint?log=%.32s", log_param(call));
    DV_TRY(dv_logd_get(call->services->runtime_dir, path, 0, &answer, error));
    snprintf(path, sizeof(path), "/status?log=%.32s", log_param(call));
    DV_TRY(get_json(call->services->runtime_dir, path, &status, error));
    call->answer = checkpoint_json(dv_buf_slice(&answer.body), dv_event_text(status, "vkey"));
    json_decref(status);
    return call->answer != NULL
               ? DV_OK
               : dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd sent a malformed checkpoint");
}

dv_result dv_op_audit_status(dv_call *call, dv_error *error)
{
    char path[64];
    snprintf(path, sizeof(path), "/status?log=%.32s", log_param(call));
    return get_json(call->services->runtime_dir, path, &call->answer, error);
}
