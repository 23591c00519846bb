/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/control/internal.h"

#include "base/clock.h"

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
    snprintf(out, TEXT_MAX, "%.16s %.200s%s%.128s",
             dv_event_text(event, "http_request.http_method"),
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

static void what_entity(const json_t *event, char out[TEXT_MAX])
{
    snprintf(out, TEXT_MAX, "%s %.64s %.128s", entity_activity(dv_event_int(event, "activity_id")),
             dv_event_text(event, "entity.type"), dv_event_text(event, "entity.uid"));
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
    {"entity.change", what_entity},
    {"lifecycle", what_lifecycle},
    {"config.change", what_config},
    {"alarm", what_alarm},
    {"authentication.logon", what_authentication},
    {"authentication.logoff", what_authentication},
};

static void describe(const json_t *event, char out[TEXT_MAX])
{
    out[0] = '\0';
    for (size_t i = 0; i < DV_ARRAY_LEN(kinds); i++) {
        if (dv_event_is(event, kinds[i].code)) {
            kinds[i].what(event, out);
        }
    }
}

static void describe_outcome(const json_t *event, char out[TEXT_MAX])
{
    int64_t status = dv_event_int(event, "http_response.code");
    const char *code = dv_event_text(event, "status_code");
    if (status != 0) {
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
    json_t *summary =
        json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:s}", "index", (json_int_t)dv_event_int(line, "index"),
                  "when", when, "event", dv_event_text(event, "metadata.event_code"), "who",
                  dv_event_text(event, "actor.user.name"), "what", what, "outcome", outcome,
                  "request", dv_event_text(event, "metadata.correlation_uid"));
    if (summary != NULL && json_object_update_missing(summary, event) != 0) {
        json_decref(summary);
        return NULL;
    }
    return summary;
}
