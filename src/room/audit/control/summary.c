/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/control/summary.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 512 };

json_t *dv_event_at(const json_t *event, const char *path)
{
    char name[64];
    json_t *at = (json_t *)(uintptr_t)event; /* borrowed; jansson's getters take no const */
    while (at != NULL && *path != '\0') {
        size_t len = strcspn(path, ".");
        if (len >= sizeof(name)) {
            return NULL;
        }
        memcpy(name, path, len);
        name[len] = '\0';
        at = json_is_array(at) ? json_array_get(at, strtoul(name, NULL, 10))
                               : json_object_get(at, name);
        path += len + (path[len] == '.');
    }
    return at;
}

const char *dv_event_text(const json_t *event, const char *path)
{
    const char *text = json_string_value(dv_event_at(event, path));
    return text != NULL ? text : "";
}

int64_t dv_event_int(const json_t *event, const char *path)
{
    return json_integer_value(dv_event_at(event, path));
}

bool dv_event_is(const json_t *event, const char *code)
{
    return strcmp(dv_event_text(event, "metadata.event_code"), code) == 0;
}

const char *dv_event_method(const json_t *event)
{
    const char *method = dv_event_text(event, "http_request.http_method");
    return *method != '\0' ? method : dv_event_text(event, "unmapped.dvara.method");
}

/* The words of OCSF's activity_id, for the classes that Dvara writes. */
static const char *account_activity(int64_t id)
{
    static const char *const words[] = {"",
                                        "create",
                                        "enable",
                                        "change password of",
                                        "reset password of",
                                        "disable",
                                        "delete",
                                        "assign to",
                                        "take from",
                                        "lock",
                                        "enable second factor of",
                                        "disable second factor of",
                                        "unlock"};
    return id > 0 && id < (int64_t)DV_ARRAY_LEN(words) ? words[id] : "change";
}

static const char *entity_activity(int64_t id)
{
    static const char *const words[] = {"",     "create", "read",     "update", "delete",
                                        "move", "enroll", "unenroll", "enable", "disable"};
    return id > 0 && id < (int64_t)DV_ARRAY_LEN(words) ? words[id] : "change";
}

static void what_request(const json_t *event, char out[TEXT_MAX])
{
    const char *model = dv_event_text(event, "ai_model.name");
    snprintf(out, TEXT_MAX, "%.16s %.200s%s%.128s", dv_event_method(event),
             dv_event_text(event, "http_request.url.path"), *model != '\0' ? " model " : "", model);
}

static void what_call(const json_t *event, char out[TEXT_MAX])
{
    snprintf(out, TEXT_MAX, "%.128s %.128s", dv_event_text(event, "api.operation"),
             dv_event_text(event, "resources.0.name"));
}

static void what_account(const json_t *event, char out[TEXT_MAX])
{
    const char *object = dv_event_text(event, "policies.0.uid");
    snprintf(out, TEXT_MAX, "%s %.128s%s%.128s",
             account_activity(dv_event_int(event, "activity_id")), dv_event_text(event, "user.uid"),
             *object != '\0' ? ": " : "", object);
}

static void what_access(const json_t *event, char out[TEXT_MAX])
{
    bool given = dv_event_int(event, "activity_id") == 1;
    snprintf(out, TEXT_MAX, "%s %.128s: %.128s", given ? "assign to" : "take from",
             dv_event_text(event, "user.uid"), dv_event_text(event, "privileges.0"));
}

static void what_session(const json_t *event, char out[TEXT_MAX])
{
    const json_t *privileges = dv_event_at(event, "privileges");
    const char *first = dv_event_text(event, "privileges.0");
    bool all = strcmp(first, "*") == 0;
    snprintf(out, TEXT_MAX, "%.16s of %.128s may %.128s%s",
             dv_event_text(event, "session.credential_uid"), dv_event_text(event, "user.uid"),
             all ? "do all that its owner may" : first,
             json_array_size(privileges) > 1 ? " and more" : "");
}

static void what_data(const json_t *event, char out[TEXT_MAX])
{
    static const char *const words[] = {"",      "read",    "update", "connect to",
                                        "query", "write",   "create", "delete",
                                        "list",  "encrypt", "decrypt"};
    int64_t id = dv_event_int(event, "activity_id");
    snprintf(out, TEXT_MAX, "%s %.128s %.128s: %" PRId64 " rows",
             id > 0 && id < (int64_t)DV_ARRAY_LEN(words) ? words[id] : "use",
             dv_event_text(event, "database.name"), dv_event_text(event, "table.name"),
             dv_event_int(event, "unmapped.dvara.rows"));
}

static void what_entity(const json_t *event, char out[TEXT_MAX])
{
    const char *id = dv_event_text(event, "entity.uid");
    snprintf(out, TEXT_MAX, "%s %.64s %.128s", entity_activity(dv_event_int(event, "activity_id")),
             dv_event_text(event, "entity.type"),
             *id != '\0' ? id : dv_event_text(event, "entity.name"));
}

static void what_lifecycle(const json_t *event, char out[TEXT_MAX])
{
    int64_t activity = dv_event_int(event, "activity_id");
    snprintf(out, TEXT_MAX, "%s %.64s",
             activity == 3   ? "start"
             : activity == 4 ? "stop"
                             : "restart",
             dv_event_text(event, "app.name"));
}

static void what_config(const json_t *event, char out[TEXT_MAX])
{
    snprintf(out, TEXT_MAX, "put in force %.128s", dv_event_text(event, "unmapped.dvara.what"));
}

static void what_state(const json_t *event, char out[TEXT_MAX])
{
    snprintf(out, TEXT_MAX, "in force is %.128s", dv_event_text(event, "unmapped.dvara.what"));
}

static void what_finding(const json_t *event, char out[TEXT_MAX])
{
    snprintf(out, TEXT_MAX, "%.64s in the %.16s",
             dv_event_text(event, "data_security.detection_pattern"),
             dv_event_text(event, "unmapped.dvara.side"));
}

static void what_incident(const json_t *event, char out[TEXT_MAX])
{
    snprintf(out, TEXT_MAX, "%.400s", dv_event_text(event, "finding_info_list.0.title"));
}

static void what_evidence(const json_t *event, char out[TEXT_MAX])
{
    snprintf(out, TEXT_MAX, "keep %.128s for %.64s",
             dv_event_text(event, "query_evidence.file.name"),
             dv_event_text(event, "unmapped.dvara.check"));
}

static void what_remediation(const json_t *event, char out[TEXT_MAX])
{
    bool tried = json_is_true(dv_event_at(event, "unmapped.dvara.dry_run"));
    snprintf(out, TEXT_MAX, "%s%.64s %.128s", tried ? "try " : "",
             dv_event_text(event, "unmapped.dvara.action"),
             dv_event_text(event, "unmapped.dvara.target"));
}

static void what_network(const json_t *event, char out[TEXT_MAX])
{
    const char *address = dv_event_text(event, "src_endpoint.ip");
    snprintf(out, TEXT_MAX, "%" PRId64 " of %.64s: %.128s", dv_event_int(event, "count"),
             address[0] != '\0' ? address : "several addresses", dv_event_text(event, "message"));
}

static void what_alarm(const json_t *event, char out[TEXT_MAX])
{
    snprintf(out, TEXT_MAX, "%.400s", dv_event_text(event, "finding_info.title"));
}

static void what_refusals(const json_t *event, char out[TEXT_MAX])
{
    const char *address = dv_event_text(event, "src_endpoint.ip");
    snprintf(out, TEXT_MAX, "%" PRId64 " more refusals of %.64s", dv_event_int(event, "count"),
             address[0] != '\0' ? address : "several addresses");
}

static void what_authentication(const json_t *event, char out[TEXT_MAX])
{
    snprintf(out, TEXT_MAX, "%s as %.128s",
             dv_event_int(event, "activity_id") == 1 ? "log on" : "log off",
             dv_event_text(event, "user.name"));
}

/* logd_client.c puts this in the place of what it can not read. */
static void what_unreadable(const json_t *event, char out[TEXT_MAX])
{
    snprintf(out, TEXT_MAX, "this event is no JSON (%.200s); dvara audit prove writes it as it is",
             dv_event_text(event, "message"));
}

/* -- lines of other programs: what their parser knows ------------------------------------------ */

static bool is_collected(const json_t *event)
{
    return strncmp(dv_event_text(event, "metadata.event_code"), "collected.", 10) == 0;
}

/* The first of these that the event has; "" when it has none. */
static const char *first_text(const json_t *event, const char *const *paths)
{
    const char *text = "";
    for (; *paths != NULL && *text == '\0'; paths++) {
        text = dv_event_text(event, *paths);
    }
    return text;
}

static const char *program_of(const json_t *event)
{
    static const char *const paths[] = {"actor.app_name",
                                        "service.name",
                                        "process.name",
                                        "app.name",
                                        "api.service.name",
                                        "metadata.product.name",
                                        NULL};
    return first_text(event, paths);
}

/* Who acts, or else, of a collected line, whose account it is about. */
static const char *who_of(const json_t *event)
{
    static const char *const paths[] = {"actor.user.name", "actor.user.uid",    "user.name",
                                        "user.uid",        "process.user.name", NULL};
    return is_collected(event) ? first_text(event, paths) : dv_event_text(event, "actor.user.name");
}

static void what_collected(const json_t *event, char out[TEXT_MAX])
{
    static const char *const paths[] = {"message",
                                        "process.cmd_line",
                                        "finding_info.title",
                                        "query_info.query_string",
                                        "api.operation",
                                        "raw_data",
                                        NULL};
    const char *host = dv_event_text(event, "device.hostname"), *program = program_of(event);
    const char *path = dv_event_text(event, "http_request.url.path");
    const char *text = *path != '\0' ? path : first_text(event, paths);
    const char *method = *path != '\0' ? dv_event_method(event) : "";
    snprintf(out, TEXT_MAX, "%.64s%s%.64s%s%.16s%s%.256s", host,
             *host != '\0' && *program != '\0' ? " " : "", program,
             *host != '\0' || *program != '\0' ? ": " : "", method, *method != '\0' ? " " : "",
             text);
}

/* One row a kind of event. */
static const struct {
    const char *code;
    void (*what)(const json_t *event, char out[TEXT_MAX]);
} kinds[] = {
    {"request.open", what_request},
    {"request.close", what_request},
    {"refusals", what_refusals},
    {"control.call", what_call},
    {"account.change", what_account},
    {"access.change", what_access},
    {"session.authorize", what_session},
    {"data.access", what_data},
    {"entity.change", what_entity},
    {"audit.key_rotated", what_entity},
    {"data.disposal", what_entity},
    {"lifecycle", what_lifecycle},
    {"config.change", what_config},
    {"config.state", what_state},
    {"alarm", what_alarm},
    {"unreadable", what_unreadable},
    {"incident", what_incident},
    {"data.finding", what_finding},
    {"compliance.finding", what_alarm},
    {"evidence", what_evidence},
    {"remediation", what_remediation},
    {"network.refused", what_network},
    {"alert.raised", what_alarm},
    {"alert.resolved", what_alarm},
    {"authentication.logon", what_authentication},
    {"authentication.logoff", what_authentication},
};

static void describe(const json_t *event, char out[TEXT_MAX])
{
    if (is_collected(event)) {
        what_collected(event, out);
        return;
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(kinds); i++) {
        if (dv_event_is(event, kinds[i].code)) {
            kinds[i].what(event, out);
            return;
        }
    }
    snprintf(out, TEXT_MAX, "%.400s", dv_event_text(event, "message"));
}

static void describe_outcome(const json_t *event, char out[TEXT_MAX])
{
    int64_t status = dv_event_int(event, "http_response.code");
    const char *code = dv_event_text(event, "status_code");
    if (is_collected(event)) {
        static const char *const words[] = {"", "ok", "failed"}; /* OCSF's status_id */
        int64_t id = dv_event_int(event, "status_id");
        snprintf(out, TEXT_MAX, "%.128s",
                 *code != '\0'                                 ? code
                 : id > 0 && id < (int64_t)DV_ARRAY_LEN(words) ? words[id]
                                                               : "");
    } else if (status != 0) {
        snprintf(out, TEXT_MAX, "%" PRId64 " %.128s", status, code);
    } else {
        snprintf(out, TEXT_MAX, "%.128s", code);
    }
}

/* Nanoseconds where the event tells them, otherwise OCSF's milliseconds. */
static void format_when(const json_t *event, char out[DV_TIME_TEXT_MAX])
{
    int64_t ns = dv_event_int(event, "unmapped.dvara.time_ns");
    dv_time_format(ns != 0 ? ns : dv_event_int(event, "time") * DV_MILLISECOND, out);
}

json_t *dv_event_summarize(const json_t *line)
{
    char when[DV_TIME_TEXT_MAX], what[TEXT_MAX], outcome[TEXT_MAX];
    json_t *event = dv_event_at(line, "event");
    format_when(event, when);
    describe(event, what);
    describe_outcome(event, outcome);
    json_t *summary = json_pack(
        "{s:I,s:s,s:s,s:s,s:s,s:s,s:s}", "index", (json_int_t)dv_event_int(line, "index"), "when",
        when, "event", dv_event_text(event, "metadata.event_code"), "who", who_of(event), "what",
        what, "outcome", outcome, "request", dv_event_text(event, "metadata.correlation_uid"));
    json_t *log = json_object_get(line, "log");
    if (summary != NULL && log != NULL && json_object_set(summary, "log", log) != 0) {
        json_decref(summary);
        return NULL;
    }
    if (summary != NULL && json_object_update_missing(summary, event) != 0) {
        json_decref(summary);
        return NULL;
    }
    return summary;
}
