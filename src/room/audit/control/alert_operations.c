/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara alert`: what is watched. alert_watch.c does the watching. */
#include "base/caps.h"
#include "engine/log/places.h"
#include "room/audit/control/alert.h"

#include "api/operations.h"

enum { OVER_MOST_DAYS = 7, TEST_ROWS = 1000 };

/* -- telling ----------------------------------------------------------------------------------- */

static json_t *time_json(dv_time time)
{
    char text[DV_TIME_TEXT_MAX];
    dv_time_format(time, text);
    return json_string(text);
}

static dv_result firing_of(dv_store *store, const char *name, int64_t *ret_count, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(store, &row, error,
                          "SELECT count(*) FROM audit_alert_group WHERE alert = ?1"
                          " AND resolved = 0",
                          "t", name));
    DV_TRY(dv_statement_step(row, error));
    *ret_count = dv_column_int(row, 0);
    return DV_OK;
}

static dv_result alert_json(dv_call *call, const dv_alert *alert, json_t **ret_json,
                            dv_error *error)
{
    int64_t firing;
    DV_TRY(firing_of(call->services->store, alert->name, &firing, error));
    json_t *json = json_pack(
        "{s:s,s:s,s:s,s:o,s:o,s:s,s:o,s:o,s:s?,s:b,s:s,s:o,s:o,s:I}", "name", alert->name, "search",
        alert->query, "threshold", alert->threshold, "over", dv_alert_duration_json(alert->over_ms),
        "by", dv_alert_names_json(alert->by), "severity", dv_alert_severity_name(alert->severity),
        "notify", dv_alert_names_json(alert->notify), "cooldown",
        dv_alert_duration_json(alert->cooldown_ms), "description", alert->description, "enabled",
        (int)alert->enabled, "owner", alert->owner, "created", time_json(alert->created), "updated",
        time_json(alert->updated), "firing", (json_int_t)firing);
    *ret_json = json;
    return json != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result add_groups(dv_call *call, const dv_alert *alert, json_t *json, dv_error *error)
{
    dv_alert_plan plan;
    dv_result result;
    json_t *groups = json_array();
    dv_auto(statement) dv_statement *row = NULL;
    json_object_set_new(json, "groups", groups);
    if (dv_alert_plan_make(alert, call->now, call->arena, &plan, NULL) != DV_OK) {
        return DV_OK;
    }
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT group_values, amount, fired, suppressed FROM audit_alert_group"
                          " WHERE alert = ?1 AND resolved = 0 ORDER BY group_values LIMIT 100",
                          "t", alert->name));
    while ((result = dv_statement_step(row, error)) == DV_OK) {
        dv_slice values;
        DV_TRY(dv_arena_copy(call->arena, dv_column_slice(row, 0), &values));
        json_array_append_new(groups,
                              json_pack("{s:o,s:f,s:o,s:I}", "group",
                                        dv_alert_group_json(&plan, (const char *)values.ptr),
                                        "value", (double)dv_column_int(row, 1) / 1000, "since",
                                        time_json(dv_column_int(row, 2) * DV_MILLISECOND),
                                        "suppressed", (json_int_t)dv_column_int(row, 3)));
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_result answer_alert(dv_call *call, const char *name, dv_error *error)
{
    dv_alert alert;
    DV_TRY(dv_alert_read(call->services->store, name, call->arena, &alert, error));
    DV_TRY(alert_json(call, &alert, &call->answer, error));
    return add_groups(call, &alert, call->answer, error);
}

dv_result dv_op_alert_show(dv_call *call, dv_error *error)
{
    return answer_alert(call, dv_call_param(call, "name"), error);
}

dv_result dv_op_alert_list(dv_call *call, dv_error *error)
{
    dv_alerts alerts;
    const char *cursor = dv_call_param(call, "cursor");
    int64_t limit = json_integer_value(json_object_get(call->params, "limit"));
    DV_TRY(dv_alerts_read(call->services->store, cursor != NULL ? cursor : "", limit, call->arena,
                          &alerts, error));
    json_t *items = json_array();
    call->answer = json_pack("{s:o}", "items", items);
    for (size_t i = 0; i < alerts.count && call->answer != NULL; i++) {
        json_t *item;
        DV_TRY(alert_json(call, &alerts.items[i], &item, error));
        json_array_append_new(items, item);
    }
    if (alerts.count > 0 && (int64_t)alerts.count == limit) {
        json_object_set_new(call->answer, "next", json_string(alerts.items[limit - 1].name));
    }
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* -- making ------------------------------------------------------------------------------------ */

static const char *join(dv_call *call, const char *field)
{
    const json_t *list = json_object_get(call->body, field);
    const char *text = "";
    for (size_t i = 0; i < json_array_size(list) && text != NULL; i++) {
        text = dv_arena_printf(call->arena, "%s%s%s", text, i > 0 ? "," : "",
                               json_string_value(json_array_get(list, i)));
    }
    return text;
}

static dv_result read_duration(dv_call *call, const char *field, int64_t *ret_ms, dv_error *error)
{
    dv_time duration = 0;
    if (dv_duration_parse(dv_slice_str(dv_call_field(call, field)), &duration) != DV_OK) {
        return dv_call_invalid(call, field, error, "is no duration such as 10m or 1h");
    }
    *ret_ms = duration / DV_MILLISECOND;
    return DV_OK;
}

static int64_t read_severity(const char *word)
{
    int64_t severity = 0;
    while (severity < 6 && strcmp(dv_alert_severity_name(severity), word) != 0) {
        severity++;
    }
    return severity;
}

/* Where the logs end now: of the main one, and of the others as text (engine/log/places.h). */
static dv_result log_ends(dv_call *call, int64_t *ret_end, const char **ret_others, dv_error *error)
{
    size_t i;
    json_t *logs, *log;
    dv_places others = {.count = 0};
    dv_auto(buf) dv_buf text = dv_buf_init(DV_PLACES_TEXT_MAX);
    DV_TRY(dv_logd_logs(call->services->runtime_dir, &logs, error));
    *ret_end = dv_event_int(json_array_get(logs, 0), "size");
    dv_result result = DV_OK;
    json_array_foreach(logs, i, log)
    {
        if (i > 0 && result == DV_OK) {
            result = dv_places_set(&others, dv_slice_str(dv_event_text(log, "name")),
                                   (uint64_t)dv_event_int(log, "size"));
        }
    }
    json_decref(logs);
    DV_TRY(result);
    DV_TRY(dv_places_write(&others, &text));
    *ret_others = dv_arena_printf(call->arena, "%.*s", DV_SLICE_ARGS(dv_buf_slice(&text)));
    return *ret_others != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result read_alert(dv_call *call, dv_alert *out, dv_error *error)
{
    enum { SECOND_MS = 1000, DAY_MS = 86400000 };
    dv_alert_plan plan;
    *out = (dv_alert){
        .name = dv_call_field(call, "name"),
        .query = dv_call_field(call, "search"),
        .threshold = dv_call_field(call, "threshold"),
        .by = join(call, "by"),
        .severity = read_severity(dv_call_field(call, "severity")),
        .notify = join(call, "notify"),
        .description = dv_call_field(call, "description"),
        .enabled = json_is_true(json_object_get(call->body, "enabled")),
        .owner = call->caller,
        .created = call->now,
        .updated = call->now,
    };
    if (out->by == NULL || out->notify == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(read_duration(call, "over", &out->over_ms, error));
    DV_TRY(read_duration(call, "cooldown", &out->cooldown_ms, error));
    if (out->over_ms < SECOND_MS || out->over_ms > (int64_t)OVER_MOST_DAYS * DAY_MS) {
        return dv_call_invalid(call, "over", error, "a window is 1s to %dd long", OVER_MOST_DAYS);
    }
    dv_error wrong = {0};
    dv_result result = dv_alert_plan_make(out, call->now, call->arena, &plan, &wrong);
    if (result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE) {
        return dv_call_invalid(call,
                               strstr(wrong.message, "threshold") != NULL ? "threshold" : "search",
                               error, "%s", wrong.message);
    }
    DV_TRY(result);
    return log_ends(call, &out->first, &out->first_others, error);
}

static dv_result check_room(dv_call *call, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(
        dv_store_query(call->services->store, &row, error, "SELECT count(*) FROM audit_alert", ""));
    DV_TRY(dv_statement_step(row, error));
    return dv_column_int(row, 0) <= DV_ALERTS_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "there are %d alerts already", DV_ALERTS_MAX);
}

static dv_result create(dv_call *call, dv_error *error)
{
    dv_alert alert;
    DV_TRY(read_alert(call, &alert, error));
    DV_TRY(dv_alert_insert(call->services->store, &alert, error));
    DV_TRY(check_room(call, error));
    json_t *now = json_pack("{s:s,s:s,s:s,s:b}", "search", alert.query, "threshold",
                            alert.threshold, "by", alert.by, "enabled", (int)alert.enabled);
    dv_result result =
        dv_audit_entity(call, DV_ENTITY_CREATE, "alert", alert.name, NULL, now, error);
    json_decref(now);
    return result;
}

dv_result dv_op_alert_create(dv_call *call, dv_error *error)
{
    DV_TRY(dv_audit_change(call, create, error));
    return answer_alert(call, dv_call_field(call, "name"), error);
}

/* -- changing ---------------------------------------------------------------------------------- */

/* What was counted, and who was told. */
static dv_result forget(dv_call *call, const char *name, dv_error *error)
{
    DV_TRY(dv_store_run(call->services->store, error,
                        "DELETE FROM audit_alert_bucket WHERE alert = ?1", "t", name));
    return dv_store_run(call->services->store, error,
                        "DELETE FROM audit_alert_group WHERE alert = ?1", "t", name);
}

static dv_result remove_alert(dv_call *call, dv_error *error)
{
    const char *name = dv_call_param(call, "name");
    DV_TRY(forget(call, name, error));
    DV_TRY(dv_store_run(call->services->store, error, "DELETE FROM audit_alert WHERE name = ?1",
                        "t", name));
    if (dv_store_changes(call->services->store) == 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "there is no alert named %s", name);
    }
    return dv_audit_entity(call, DV_ENTITY_DELETE, "alert", name, NULL, NULL, error);
}

dv_result dv_op_alert_delete(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, remove_alert, error);
}

static dv_result set_enabled(dv_call *call, bool enabled, dv_error *error)
{
    dv_alert alert;
    int64_t first;
    const char *name = dv_call_param(call, "name"), *others;
    DV_TRY(dv_alert_read(call->services->store, name, call->arena, &alert, error));
    if (alert.enabled == enabled) {
        return DV_OK;
    }
    DV_TRY(log_ends(call, &first, &others, error));
    DV_TRY(forget(call, name, error));
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE audit_alert SET enabled = ?2, first = ?3, updated = ?4,"
                        " first_others = ?5 WHERE name = ?1",
                        "tiiit", name, (int64_t)enabled, first, call->now, others));
    return dv_audit_entity(call, enabled ? DV_ENTITY_ENABLE : DV_ENTITY_DISABLE, "alert", name,
                           NULL, NULL, error);
}

static dv_result enable(dv_call *call, dv_error *error)
{
    return set_enabled(call, true, error);
}

static dv_result disable(dv_call *call, dv_error *error)
{
    return set_enabled(call, false, error);
}

dv_result dv_op_alert_enable(dv_call *call, dv_error *error)
{
    DV_TRY(dv_audit_change(call, enable, error));
    return answer_alert(call, dv_call_param(call, "name"), error);
}

dv_result dv_op_alert_disable(dv_call *call, dv_error *error)
{
    DV_TRY(dv_audit_change(call, disable, error));
    return answer_alert(call, dv_call_param(call, "name"), error);
}

/* -- trying ------------------------------------------------------------------------------------ */

/* A row {"time","user","count"} as {"time","value","group"}, if it crosses the threshold. */
static dv_result add_crossing(const dv_alert_plan *plan, const json_t *row, json_t *items)
{
    dv_slice measure = plan->query.stages.measures[0].name;
    const json_t *value = json_object_getn(row, (const char *)measure.ptr, measure.len);
    if (!dv_alert_crosses(plan, (int64_t)(json_number_value(value) * 1000))) {
        return DV_OK;
    }
    json_t *group = json_copy((json_t *)(uintptr_t)row);
    json_object_deln(group, (const char *)measure.ptr, measure.len);
    json_object_del(group, "time");
    json_t *item = json_pack("{s:O,s:O,s:o}", "time", json_object_get(row, "time"), "value", value,
                             "group", group);
    return json_array_append_new(items, item) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result test_text(dv_call *call, const dv_alert *alert, const dv_alert_plan *plan,
                           const char **ret_text)
{
    json_t *over = dv_alert_duration_json(alert->over_ms);
    *ret_text = dv_arena_printf(call->arena, "%.*s over %s", DV_SLICE_ARGS(plan->query.text),
                                json_string_value(over));
    json_decref(over);
    return *ret_text != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result answer_test(dv_call *call, const dv_alert_plan *plan, const json_t *lines)
{
    size_t i, count = json_array_size(lines);
    json_t *row, *items = json_array();
    const json_t *stats = json_object_get(json_array_get(lines, count - 1), "stats");
    call->answer = json_pack("{s:o,s:b}", "items", items, "complete",
                             json_is_true(json_object_get(stats, "complete")));
    if (count < 2 || call->answer == NULL) {
        return DV_ERR_CORRUPT;
    }
    json_array_foreach(json_object_get(json_array_get(lines, 0), "rows"), i, row)
    {
        DV_TRY(add_crossing(plan, row, items));
    }
    return DV_OK;
}

dv_result dv_op_alert_test(dv_call *call, dv_error *error)
{
    dv_alert alert;
    dv_alert_plan plan;
    json_t *lines = NULL;
    dv_audit_search search = {.since = dv_call_field(call, "since"), .limit = TEST_ROWS};
    DV_TRY(dv_alert_read(call->services->store, dv_call_param(call, "name"), call->arena, &alert,
                         error));
    DV_TRY(dv_alert_plan_make(&alert, call->now, call->arena, &plan, error));
    DV_TRY(test_text(call, &alert, &plan, &search.query));
    DV_TRY(dv_audit_search_run(call, &search, &lines, error));
    dv_result result = answer_test(call, &plan, lines);
    json_decref(lines);
    return result;
}
