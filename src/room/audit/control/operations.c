/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers of api/audit.yaml. */
#include "api/operations.h"
#include "base/codec.h"
#include "base/uuid.h"
#include "room/audit/control/internal.h"

/* A request that ended just now may not be under a checkpoint yet: dvara-logd makes one a second.
 */
enum { RECENT_SECONDS = 5, WAIT_MS = 1500 };

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

/* Where the page begins: the cursor, `from`, or `last` events before the end. */
static dv_result find_start(dv_call *call, uint64_t *ret_from, dv_error *error)
{
    const char *cursor = dv_call_param(call, "cursor");
    const json_t *from = json_object_get(call->params, "from");
    json_t *status = NULL;
    if (cursor != NULL) {
        char *end;
        *ret_from = strtoull(cursor, &end, 10);
        return *end == '\0' && cursor[0] >= '0' && cursor[0] <= '9'
                   ? DV_OK
                   : dv_call_invalid(call, "cursor", error, "is none that Dvara gave");
    }
    if (from != NULL) {
        *ret_from = (uint64_t)json_integer_value(from);
        return DV_OK;
    }
    DV_TRY(get_json(call->services->runtime_dir, "/status", &status, error));
    int64_t size = dv_event_int(status, "size");
    int64_t last = json_integer_value(json_object_get(call->params, "last"));
    json_decref(status);
    *ret_from = (uint64_t)DV_MAX(size - last, 0);
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

dv_result dv_op_audit_tail(dv_call *call, dv_error *error)
{
    char path[128], next[32];
    uint64_t from;
    json_t *lines = NULL, *items = NULL;
    int64_t limit = json_integer_value(json_object_get(call->params, "limit"));
    dv_auto(logd_answer) dv_logd_answer answer = {dv_buf_init(0), 0};
    DV_TRY(find_start(call, &from, error));
    snprintf(path, sizeof(path), "/events?from=%" PRIu64 "&limit=%" PRId64, from, limit);
    DV_TRY(dv_logd_get(call->services->runtime_dir, path, 0, &answer, error));
    DV_TRY(dv_logd_lines(dv_buf_slice(&answer.body), &lines, error));
    dv_result result = summarize_all(lines, &items);
    json_decref(lines);
    DV_TRY(result);
    snprintf(next, sizeof(next), "%" PRIu64, answer.next);
    call->answer = json_pack("{s:o,s:s}", "items", items, "next", next);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
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

dv_result dv_op_audit_why(dv_call *call, dv_error *error)
{
    char path[256];
    json_t *lines = NULL;
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
        result = dv_event_explain(id, lines, &call->answer);
    }
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
    DV_TRY(dv_logd_get(call->services->runtime_dir, "/checkpoint", 0, &answer, error));
    DV_TRY(get_json(call->services->runtime_dir, "/status", &status, error));
    call->answer = checkpoint_json(dv_buf_slice(&answer.body), dv_event_text(status, "vkey"));
    json_decref(status);
    return call->answer != NULL
               ? DV_OK
               : dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd sent a malformed checkpoint");
}

dv_result dv_op_audit_status(dv_call *call, dv_error *error)
{
    return get_json(call->services->runtime_dir, "/status", &call->answer, error);
}
