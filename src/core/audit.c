/* SPDX-License-Identifier: Apache-2.0 */
#include "core/audit.h"

#include "base/caps.h"

dv_event_actor dv_audit_actor(const dv_call *call, dv_result result, const char *detail)
{
    return (dv_event_actor){
        .request_id = dv_slice_str(call->request_id),
        .time = call->now,
        .entity = dv_slice_str(call->caller),
        .via = dv_slice_str(call->via),
        .address = dv_slice_str(call->address),
        .result = result,
        .detail = dv_slice_str(detail),
    };
}

/* What is not kept did not happen: any failure here fails the operation. */
static dv_result kept(dv_result result, dv_error *error)
{
    return result == DV_OK
               ? DV_OK
               : dv_error_set(error, DV_ERR_UNAVAILABLE, "the audit log takes no record now (%s)",
                              dv_result_name(result));
}

static dv_result append(const dv_call *call, dv_slice record)
{
    const dv_event_sink *events = &call->services->events;
    return events->append(events->data, record);
}

/* A record is JSON without line breaks, so that the queue is lines. */
static dv_result hold(dv_audit_queue *queue, dv_slice record)
{
    DV_TRY(dv_buf_append(&queue->lines, record));
    DV_TRY(dv_buf_append_byte(&queue->lines, '\n'));
    queue->count++;
    return DV_OK;
}

static dv_result keep(const dv_call *call, dv_result built, dv_buf *record, dv_error *error)
{
    dv_result result = built;
    if (result == DV_OK) {
        dv_slice text = dv_buf_slice(record);
        result = call->held != NULL ? hold(call->held, text) : append(call, text);
    }
    return kept(result, error);
}

/* --- changes --------------------------------------------------------------------------------- */

void dv_audit_hold(dv_call *call, dv_audit_queue *queue)
{
    *queue = (dv_audit_queue){.lines = dv_buf_init(DV_LIMIT_CHANGE_RECORDS)};
    call->held = queue;
}

size_t dv_audit_held(const dv_call *call)
{
    return call->held == NULL ? 0 : call->held->count;
}

dv_result dv_audit_keep(dv_call *call, dv_error *error)
{
    dv_slice rest = dv_buf_slice(&call->held->lines);
    dv_result result = DV_OK;
    while (rest.len > 0 && result == DV_OK) {
        size_t end = (size_t)dv_slice_find_byte(rest, '\n');
        result = append(call, dv_slice_sub(rest, 0, end));
        rest = dv_slice_sub(rest, end + 1, rest.len);
    }
    return kept(result, error);
}

void dv_audit_drop(dv_call *call)
{
    dv_buf_release(&call->held->lines);
    call->held = NULL;
}

/* --- records --------------------------------------------------------------------------------- */

/* The change as one line of JSON, malloc'd: a call may leave thousands of records, more than its
 * arena has room for. NULL: there is none. */
static dv_result change_text(const json_t *change, char **ret_text)
{
    enum { CHANGE_MAX = 32 << 10 };
    if (change == NULL) {
        return DV_OK;
    }
    size_t len = json_dumpb(change, NULL, 0, JSON_COMPACT);
    if (len == 0 || len > CHANGE_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    *ret_text = json_dumps(change, JSON_COMPACT);
    return *ret_text == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

dv_result dv_audit_entity(const dv_call *call, dv_entity_activity activity, const char *type,
                          const char *id, const char *owner, const json_t *change, dv_error *error)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = dv_audit_actor(call, DV_OK, NULL);
    dv_event_entity entity = {dv_slice_str(type), dv_slice_str(id), dv_slice_str(owner), {NULL, 0}};
    dv_auto(free) char *text = NULL;
    dv_result result = change_text(change, &text);
    if (result == DV_OK) {
        entity.change = dv_slice_str(text);
        result = dv_event_entity_change(&record, &actor, activity, &entity);
    }
    return keep(call, result, &record, error);
}

dv_result dv_audit_account(const dv_call *call, dv_account_activity activity, const char *account,
                           const char *object, dv_error *error)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = dv_audit_actor(call, DV_OK, NULL);
    dv_result result = dv_event_account_change(&record, &actor, activity, dv_slice_str(account),
                                               dv_slice_str(object));
    return keep(call, result, &record, error);
}

dv_result dv_audit_alarm(const dv_call *call, const char *rule, const char *title, dv_error *error)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = dv_audit_actor(call, DV_OK, NULL);
    dv_result result = dv_event_alarm(&record, &actor, dv_slice_str(rule), dv_slice_str(title));
    return keep(call, result, &record, error);
}

/* What the path names, when it names one thing: {name} or {id}. */
static const char *call_target(const dv_call *call)
{
    const char *name = json_string_value(json_object_get(call->params, "name"));
    return name != NULL ? name : json_string_value(json_object_get(call->params, "id"));
}

dv_result dv_audit_call(const dv_call *call, int status, dv_result outcome, const char *detail,
                        dv_error *error)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = dv_audit_actor(call, outcome, detail);
    dv_event_call what = {
        .operation = dv_slice_str(call->operation->id),
        .method = dv_slice_str(call->operation->method),
        .path = dv_slice_str(call->operation->path),
        .target = dv_slice_str(call_target(call)),
        .status = status,
        .verdict = call->verdict,
    };
    return keep(call, dv_event_operation(&record, &actor, &what), &record, error);
}
