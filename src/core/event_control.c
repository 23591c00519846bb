/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event_access.h"
#include "core/event_network.h"
#include "core/event_view.h"

/* What is done to and by the control plane. */

dv_event_wide_view dv_event_wide_view_of(dv_event_view base)
{
    return (dv_event_wide_view){
        .base = base,
        .expires_ms = DV_EVENT_UNKNOWN,
        .began_ms = DV_EVENT_UNKNOWN,
        .rows = DV_EVENT_UNKNOWN,
        .bytes = DV_EVENT_UNKNOWN,
        .store_type = DV_EVENT_UNKNOWN,
        .priority_id = DV_EVENT_UNKNOWN,
        .verdict_id = DV_EVENT_UNKNOWN,
        .compliance_id = DV_EVENT_UNKNOWN,
        .missing = DV_EVENT_UNKNOWN,
    };
}

/* OCSF's user.type_id by the entity's type: 1 user, 3 system (also local root), 4 service, 99 what
 * has no number there. */
static int64_t entity_user_type(dv_slice entity)
{
    static const struct {
        const char *type;
        int64_t id;
    } known[] = {{"User::", 1}, {"Service::", 4}, {"Group::", 99}};
    for (size_t i = 0; i < DV_ARRAY_LEN(known); i++) {
        if (dv_slice_starts_with(entity, dv_slice_str(known[i].type))) {
            return known[i].id;
        }
    }
    return entity.len > 0 ? 3 : 0;
}

dv_slice dv_event_entity_name(dv_slice entity)
{
    ptrdiff_t quote = dv_slice_find_byte(entity, '"');
    if (quote < 0 || entity.len < (size_t)quote + 2) {
        return entity;
    }
    return dv_slice_sub(entity, (size_t)quote + 1, entity.len - (size_t)quote - 2);
}

void dv_event_view_target(dv_event_view *view, dv_slice entity)
{
    view->target_uid = entity;
    view->target_name = dv_event_entity_name(entity);
    view->target_type = entity_user_type(entity);
    view->target_type_name = view->target_type == 99 ? DV_LIT("Group") : (dv_slice){NULL, 0};
}

dv_event_view dv_event_view_actor(const dv_event_actor *actor, int64_t class_uid, int64_t activity)
{
    dv_event_view view = dv_event_view_of(class_uid, activity, actor->time);
    view.request_id = actor->request_id;
    view.user_uid = actor->entity;
    view.user_name =
        actor->entity.len > 0 ? dv_event_entity_name(actor->entity) : DV_LIT("anonymous");
    view.user_type = entity_user_type(actor->entity);
    view.credential_id = actor->credential_id;
    view.credential_kind = actor->credential_kind;
    view.address = actor->address;
    view.endpoint_name = actor->address.len == 0 ? DV_LIT("local") : (dv_slice){NULL, 0};
    view.via = actor->via;
    view.status_id = actor->result == DV_OK ? 1 : 2;
    view.status_code =
        actor->result == DV_OK ? DV_LIT("ok") : dv_slice_str(dv_result_name(actor->result));
    view.status_detail = actor->detail;
    view.severity_id = actor->result == DV_OK ? 1 : 2;
    return view;
}

/* OCSF's milliseconds of a time that may be none. */
static int64_t end_ms(dv_time time)
{
    return time == 0 || time == DV_TIME_NEVER ? DV_EVENT_UNKNOWN : time / DV_MILLISECOND;
}

static int64_t known(int64_t value)
{
    return value < 0 ? DV_EVENT_UNKNOWN : value;
}

/* -- calls and changes ------------------------------------------------------------------------- */

dv_result dv_event_operation(dv_buf *out, const dv_event_actor *actor, const dv_event_call *call)
{
    dv_event_view view = dv_event_view_actor(actor, 6003, 0);
    view.event_code = DV_LIT("control.call");
    view.operation = call->operation;
    dv_event_view_method(&view, call->method);
    view.path = call->path;
    view.target_name = call->target;
    view.target_uid = call->target_uid;
    view.status = call->status;
    view.only_here = true;
    if (call->verdict != NULL) {
        dv_event_view_policies(&view, call->verdict);
    }
    return dv_event_put_view(out, DV_EVENT_OPERATION, &view);
}

dv_result dv_event_account_change(dv_buf *out, const dv_event_actor *actor,
                                  dv_account_activity activity, dv_slice account, dv_slice object)
{
    dv_event_view view = dv_event_view_actor(actor, 3001, activity);
    view.event_code = DV_LIT("account.change");
    dv_event_view_target(&view, account);
    view.object = object;
    return dv_event_put_view(out, DV_EVENT_ACCOUNT, &view);
}

dv_result dv_event_entity_change(dv_buf *out, const dv_event_actor *actor,
                                 dv_entity_activity activity, const dv_event_entity *entity)
{
    dv_event_wide_view view = dv_event_wide_view_of(dv_event_view_actor(actor, 3004, activity));
    view.base.event_code = entity->kind.len > 0 ? entity->kind : DV_LIT("entity.change");
    view.base.entity_type = entity->type;
    view.base.entity_id = entity->id;
    view.base.entity_owner = entity->owner;
    view.base.entity_change = entity->change;
    view.entity_name = entity->name;
    return dv_event_put_wide_view(out, DV_EVENT_ENTITY, &view);
}

dv_result dv_event_authentication(dv_buf *out, const dv_event_actor *actor, bool logon,
                                  dv_slice account, dv_slice method, dv_slice credential_id)
{
    dv_event_wide_view view =
        dv_event_wide_view_of(dv_event_view_actor(actor, 3002, logon ? 1 : 2));
    view.base.event_code = logon ? DV_LIT("authentication.logon") : DV_LIT("authentication.logoff");
    dv_event_view_target(&view.base, account);
    if (account.len == 0) {
        view.base.target_name = DV_LIT("unknown");
    }
    view.base.auth_method = method;
    view.session_credential = credential_id;
    return dv_event_put_wide_view(out, DV_EVENT_AUTHENTICATION, &view);
}

/* -- configuration and life -------------------------------------------------------------------- */

enum { ACTIVITY_LOG = 1 };

static dv_event_view view_change(const dv_event_actor *actor, dv_slice what)
{
    dv_event_view view = dv_event_view_actor(actor, 5019, ACTIVITY_LOG);
    view.event_code = DV_LIT("config.change");
    view.what = what;
    return view;
}

dv_result dv_event_config_change(dv_buf *out, const dv_event_actor *actor, dv_slice what,
                                 dv_slice digest)
{
    dv_event_view view = view_change(actor, what);
    view.digest = digest;
    return dv_event_put_view(out, DV_EVENT_CONFIG, &view);
}

dv_result dv_event_setting_change(dv_buf *out, const dv_event_actor *actor, dv_slice what,
                                  dv_slice setting)
{
    dv_event_view view = view_change(actor, what);
    view.entity_change = setting;
    return dv_event_put_view(out, DV_EVENT_CONFIG, &view);
}

dv_result dv_event_config_state(dv_buf *out, const dv_event_actor *actor, dv_slice what,
                                dv_slice digest)
{
    dv_event_view view = dv_event_view_actor(actor, 5002, ACTIVITY_LOG);
    view.event_code = DV_LIT("config.state");
    view.what = what;
    view.digest = digest;
    return dv_event_put_view(out, DV_EVENT_CONFIG_STATE, &view);
}

dv_result dv_event_lifecycle(dv_buf *out, const dv_event_actor *actor,
                             dv_lifecycle_activity activity, dv_slice process)
{
    dv_event_view view = dv_event_view_actor(actor, 6002, activity);
    view.event_code = DV_LIT("lifecycle");
    view.process = process;
    return dv_event_put_view(out, DV_EVENT_LIFECYCLE, &view);
}

/* -- access ------------------------------------------------------------------------------------ */

dv_result dv_event_user_access(dv_buf *out, const dv_event_actor *actor,
                               dv_access_activity activity, const dv_event_access *access)
{
    enum { MEDIUM = 3 };
    dv_event_wide_view view = dv_event_wide_view_of(dv_event_view_actor(actor, 3005, activity));
    view.base.event_code = DV_LIT("access.change");
    dv_event_view_target(&view.base, access->holder);
    if (access->break_glass) {
        view.base.severity_id = MEDIUM;
    }
    view.names = access->privileges;
    view.name_count = access->privilege_count;
    view.expires_ms = end_ms(access->until);
    view.reason = access->reason;
    view.break_glass = access->break_glass;
    return dv_event_put_wide_view(out, DV_EVENT_ACCESS, &view);
}

dv_result dv_event_session_authorize(dv_buf *out, const dv_event_actor *actor,
                                     const dv_event_session *session)
{
    enum { ASSIGN_PRIVILEGES = 1 };
    static const dv_slice all = {(const uint8_t *)"*", 1};
    dv_event_wide_view view =
        dv_event_wide_view_of(dv_event_view_actor(actor, 3003, ASSIGN_PRIVILEGES));
    view.base.event_code = DV_LIT("session.authorize");
    dv_event_view_target(&view.base, session->holder);
    view.session_credential = session->credential_id;
    view.names = session->privilege_count > 0 ? session->privileges : &all;
    view.name_count = session->privilege_count > 0 ? session->privilege_count : 1;
    view.expires_ms = end_ms(session->until);
    view.mfa = session->mfa;
    return dv_event_put_wide_view(out, DV_EVENT_SESSION, &view);
}

dv_result dv_event_data_access(dv_buf *out, const dv_event_actor *actor, dv_data_activity activity,
                               const dv_event_data *data)
{
    enum { DATABASE = 1, TABLE = 3 };
    dv_event_wide_view view = dv_event_wide_view_of(dv_event_view_actor(actor, 6005, activity));
    view.base.event_code = DV_LIT("data.access");
    view.database = data->database;
    view.table = data->table;
    view.store_type = data->table.len > 0 ? TABLE : DATABASE;
    view.query = data->query;
    view.rows = known(data->rows);
    view.bytes = known(data->bytes);
    view.reason = data->reason;
    view.missing = data->reason.len > 0 ? data->missing : DV_EVENT_UNKNOWN;
    view.labels = data->labels;
    view.label_count = data->label_count;
    view.base.operation = data->operation;
    view.base.only_here = true;
    if (data->verdict != NULL) {
        dv_event_view_policies(&view.base, data->verdict);
    }
    return dv_event_put_wide_view(out, DV_EVENT_DATA, &view);
}

dv_result dv_event_disposal_write(dv_buf *out, const dv_event_actor *actor,
                                  const dv_event_disposal *disposal)
{
    dv_event_wide_view view = dv_event_wide_view_of(
        dv_event_view_actor(actor, 3004, disposal->ended ? DV_ENTITY_DELETE : DV_ENTITY_CREATE));
    view.base.event_code = DV_LIT("data.disposal");
    view.base.entity_type =
        disposal->ended ? DV_LIT("certificate of destruction") : DV_LIT("disposal");
    view.base.entity_id = disposal->id;
    view.base.digest = disposal->sha256;
    view.rows = disposal->files;
    return dv_event_put_wide_view(out, DV_EVENT_ENTITY, &view);
}

/* -- the network ------------------------------------------------------------------------------- */

static const struct network_reason {
    const char *name;
    int status;
    const char *text;
} network_reasons[] = {
#define DV_NETWORK_ROW(id, name, status, text) {name, status, text},
    DV_NETWORK_REASONS(DV_NETWORK_ROW)
#undef DV_NETWORK_ROW
};

static const struct network_reason *network_reason_of(dv_network_reason reason)
{
    return &network_reasons[(unsigned)reason < DV_NETWORK_REASON_COUNT ? reason : DV_NETWORK_OTHER];
}

const char *dv_network_reason_name(dv_network_reason reason)
{
    return network_reason_of(reason)->name;
}

/* OCSF's disposition: 2 blocked, 25 rejected (malformed). */
static int64_t network_disposition(dv_network_reason reason)
{
    return reason == DV_NETWORK_CONNECTIONS ? 2 : 25;
}

/* Whatever came over a connection that was closed at once is not known. */
static dv_slice network_protocol(dv_network_reason reason)
{
    switch (reason) {
    case DV_NETWORK_CONNECTIONS:
        return (dv_slice){NULL, 0};
    case DV_NETWORK_TLS:
    case DV_NETWORK_TLS_TIMEOUT:
        return DV_LIT("https");
    default:
        return DV_LIT("http");
    }
}

dv_result dv_event_network_refusal(dv_buf *out, const dv_event_network *refused)
{
    enum { ACTIVITY_OTHER = 99, SEVERITY_LOW = 2, STATUS_FAILURE = 2, ACTION_DENIED = 2 };
    const struct network_reason *reason = network_reason_of(refused->reason);
    int status = refused->status != 0 ? refused->status : reason->status;
    dv_event_wide_view view =
        dv_event_wide_view_of(dv_event_view_of(4002, ACTIVITY_OTHER, refused->until));
    view.base.event_code = DV_LIT("network.refused");
    view.base.message = dv_slice_str(reason->text);
    view.base.status_code = dv_slice_str(reason->name);
    view.base.severity_id = SEVERITY_LOW;
    view.base.status_id = STATUS_FAILURE;
    view.base.action_id = ACTION_DENIED;
    view.base.disposition_id = network_disposition(refused->reason);
    view.base.address = refused->address;
    view.base.endpoint_name = refused->address.len == 0 ? DV_LIT("unknown") : (dv_slice){NULL, 0};
    view.base.port = refused->port == 0 ? DV_EVENT_UNKNOWN : refused->port;
    view.base.count = (int64_t)DV_MIN(refused->count, (uint64_t)INT32_MAX); /* an integer_t */
    view.base.start_ms = refused->since / DV_MILLISECOND;
    view.base.end_ms = refused->until / DV_MILLISECOND;
    view.base.via = DV_LIT("gate");
    view.protocol = network_protocol(refused->reason);
    if (status != 0) {
        view.base.status = status;
    } else {
        view.bytes = 0; /* of the request, of which nothing was read */
    }
    return dv_event_put_wide_view(out, DV_EVENT_NETWORK, &view);
}

dv_result dv_event_key_rotated(dv_buf *out, const dv_event_actor *actor, bool retired,
                               dv_slice vkey, dv_slice message)
{
    dv_event_wide_view view = dv_event_wide_view_of(
        dv_event_view_actor(actor, 3004, retired ? DV_ENTITY_DELETE : DV_ENTITY_CREATE));
    view.base.event_code = DV_LIT("audit.key_rotated");
    view.base.entity_type = DV_LIT("signing_key");
    view.base.entity_id = vkey;
    view.base.message = message;
    return dv_event_put_wide_view(out, DV_EVENT_ENTITY, &view);
}
