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
        .credential_kind = call->credential != NULL ? call->credential->kind : (dv_slice){NULL, 0},
        .credential_id = call->credential != NULL ? call->credential->id : (dv_slice){NULL, 0},
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

static dv_result audit_entity(const dv_call *call, dv_entity_activity activity,
                              dv_event_entity *entity, const json_t *change, dv_error *error)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = dv_audit_actor(call, DV_OK, NULL);
    dv_auto(free) char *text = NULL;
    dv_result result = change_text(change, &text);
    if (result == DV_OK) {
        entity->change = dv_slice_str(text);
        result = dv_event_entity_change(&record, &actor, activity, entity);
    }
    return keep(call, result, &record, error);
}

dv_result dv_audit_entity(const dv_call *call, dv_entity_activity activity, const char *type,
                          const char *id, const char *owner, const json_t *change, dv_error *error)
{
    dv_event_entity entity = {
        .type = dv_slice_str(type), .id = dv_slice_str(id), .owner = dv_slice_str(owner)};
    return audit_entity(call, activity, &entity, change, error);
}

dv_result dv_audit_named(const dv_call *call, dv_entity_activity activity, const char *type,
                         const char *name, const char *owner, const json_t *change, dv_error *error)
{
    dv_event_entity entity = {
        .type = dv_slice_str(type), .name = dv_slice_str(name), .owner = dv_slice_str(owner)};
    return audit_entity(call, activity, &entity, change, error);
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

dv_result dv_audit_access(const dv_call *call, dv_access_activity activity,
                          const dv_event_access *access, dv_error *error)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = dv_audit_actor(call, DV_OK, NULL);
    return keep(call, dv_event_user_access(&record, &actor, activity, access), &record, error);
}

dv_result dv_audit_session(const dv_call *call, const dv_event_session *session, dv_error *error)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = dv_audit_actor(call, DV_OK, NULL);
    return keep(call, dv_event_session_authorize(&record, &actor, session), &record, error);
}

dv_result dv_audit_disposal(const dv_call *call, const dv_event_disposal *disposal, dv_error *error)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = dv_audit_actor(call, DV_OK, NULL);
    return keep(call, dv_event_disposal_write(&record, &actor, disposal), &record, error);
}

dv_result dv_audit_alarm_about(const dv_call *call, const char *rule, const char *title,
                               const char *about, dv_error *error)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = dv_audit_actor(call, DV_OK, NULL);
    const dv_event_detection detection = {.rule = dv_slice_str(rule),
                                          .title = dv_slice_str(title),
                                          .about = dv_slice_str(about),
                                          .severity = DV_SEVERITY_HIGH};
    dv_result result = dv_event_detection_finding(&record, &actor, &detection);
    return keep(call, result, &record, error);
}

dv_result dv_audit_alarm(const dv_call *call, const char *rule, const char *title, dv_error *error)
{
    return dv_audit_alarm_about(call, rule, title, NULL, error);
}

/* --- calls ----------------------------------------------------------------------------------- */

enum { ENTITY_TEXT_MAX = 192 };

/* What a call is about. */
typedef struct call_target {
    const char *name;
    const char *type; /* "User" where it is a person's name; NULL: it is not */
} call_target;

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* Somebody who is named in the path, in the query or in the body. */
static call_target person_of(const dv_call *call)
{
    static const char *const fields[][2] = {{"user", "User"}, {"service", "Service"}};
    for (size_t i = 0; i < DV_ARRAY_LEN(fields); i++) {
        const char *name = text_of(call->params, fields[i][0]);
        name = name != NULL ? name : text_of(call->body, fields[i][0]);
        if (name != NULL) {
            return (call_target){name, fields[i][1]};
        }
    }
    return (call_target){NULL, NULL};
}

/* The type of what the paths below /v1/users and /v1/services name. */
static const char *path_type(const dv_call *call)
{
    dv_slice path = dv_slice_str(call->operation->path);
    return dv_slice_starts_with(path, DV_LIT("/v1/users"))      ? "User"
           : dv_slice_starts_with(path, DV_LIT("/v1/services")) ? "Service"
                                                                : NULL;
}

/* What the path names, when it names one thing, {name} or {id}; otherwise who the call is for, or
 * what it makes. */
static call_target target_of(const dv_call *call)
{
    const char *name = text_of(call->params, "name");
    name = name != NULL ? name : text_of(call->params, "id");
    if (name != NULL) {
        return (call_target){name, path_type(call)};
    }
    call_target person = person_of(call);
    return person.name != NULL ? person
                               : (call_target){text_of(call->body, "name"), path_type(call)};
}

static dv_result build_reading(const dv_call *call, const dv_event_actor *actor, dv_buf *out)
{
    dv_event_data data = *call->read;
    data.operation = dv_slice_str(call->operation->id);
    data.verdict = call->verdict;
    return dv_event_data_access(out, actor, DV_DATA_QUERY, &data);
}

dv_result dv_audit_call(const dv_call *call, int status, dv_result outcome, const char *detail,
                        dv_error *error)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = dv_audit_actor(call, outcome, detail);
    if (call->read != NULL && outcome == DV_OK) {
        return keep(call, build_reading(call, &actor, &record), &record, error);
    }
    call_target target = target_of(call);
    char uid[ENTITY_TEXT_MAX] = "";
    if (target.name != NULL && target.type != NULL) {
        snprintf(uid, sizeof(uid), "%s::\"%.128s\"", target.type, target.name);
    }
    dv_event_call what = {
        .operation = dv_slice_str(call->operation->id),
        .method = dv_slice_str(call->operation->method),
        .path = dv_slice_str(call->operation->path),
        .target = dv_slice_str(target.name),
        .status = status,
        .verdict = call->verdict,
        .target_uid = dv_slice_str(uid),
    };
    return keep(call, dv_event_operation(&record, &actor, &what), &record, error);
}
