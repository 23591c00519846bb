/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/control/alert.h"

#include <math.h>

#define COLUMNS                                                                                    \
    "name, query, threshold, over_ms, by_fields, severity, notify, cooldown_ms, description,"      \
    " enabled, first, owner, created, updated, first_others"

/* -- rows -------------------------------------------------------------------------------------- */

static dv_result column_text(dv_statement *row, int column, dv_arena *arena, const char **ret_text)
{
    dv_slice copy;
    *ret_text = NULL;
    if (dv_column_is_null(row, column)) {
        return DV_OK;
    }
    DV_TRY(dv_arena_copy(arena, dv_column_slice(row, column), &copy));
    *ret_text = (const char *)copy.ptr;
    return DV_OK;
}

static dv_result alert_of_row(dv_statement *row, dv_arena *arena, dv_alert *out)
{
    *out = (dv_alert){
        .over_ms = dv_column_int(row, 3),
        .severity = dv_column_int(row, 5),
        .cooldown_ms = dv_column_int(row, 7),
        .enabled = dv_column_int(row, 9) != 0,
        .first = dv_column_int(row, 10),
        .created = dv_column_int(row, 12),
        .updated = dv_column_int(row, 13),
    };
    DV_TRY(column_text(row, 0, arena, &out->name));
    DV_TRY(column_text(row, 1, arena, &out->query));
    DV_TRY(column_text(row, 2, arena, &out->threshold));
    DV_TRY(column_text(row, 4, arena, &out->by));
    DV_TRY(column_text(row, 6, arena, &out->notify));
    DV_TRY(column_text(row, 8, arena, &out->description));
    DV_TRY(column_text(row, 11, arena, &out->owner));
    return column_text(row, 14, arena, &out->first_others);
}

dv_result dv_alerts_read(dv_store *store, const char *after, int64_t limit, dv_arena *arena,
                         dv_alerts *ret_alerts, dv_error *error)
{
    size_t capacity = 0;
    dv_alerts alerts = {.count = 0};
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(store, &row, error,
                          "SELECT " COLUMNS " FROM audit_alert WHERE name > ?1 AND enabled >= ?2"
                          " ORDER BY name LIMIT ?3",
                          "tii", after != NULL ? after : "", (int64_t)(after == NULL), limit));
    dv_result result;
    while ((result = dv_statement_step(row, error)) == DV_OK) {
        dv_alert *items =
            dv_arena_grow(arena, alerts.items, alerts.count, &capacity, sizeof(*alerts.items), 8);
        if (items == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        alerts.items = items;
        DV_TRY(alert_of_row(row, arena, &items[alerts.count]));
        alerts.count++;
    }
    if (result != DV_ERR_NOT_FOUND) {
        return result;
    }
    *ret_alerts = alerts;
    return DV_OK;
}

dv_result dv_alert_read(dv_store *store, const char *name, dv_arena *arena, dv_alert *ret_alert,
                        dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(store, &row, error, "SELECT " COLUMNS " FROM audit_alert WHERE name = ?1",
                          "t", name));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, result, "there is no alert named %s", name);
    }
    DV_TRY(result);
    return alert_of_row(row, arena, ret_alert);
}

dv_result dv_alert_insert(dv_store *store, const dv_alert *alert, dv_error *error)
{
    dv_result result =
        dv_store_run(store, error,
                     "INSERT INTO audit_alert (" COLUMNS
                     ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
                     "tttitititiitiit", alert->name, alert->query, alert->threshold, alert->over_ms,
                     alert->by, alert->severity, alert->notify, alert->cooldown_ms,
                     alert->description, (int64_t)alert->enabled, alert->first, alert->owner,
                     alert->created, alert->updated, alert->first_others);
    return result == DV_ERR_EXISTS
               ? dv_error_set(error, result, "an alert named %s exists", alert->name)
               : result;
}

/* -- plans ------------------------------------------------------------------------------------- */

/* "> 5", ">=0.5". */
static dv_result read_threshold(const char *text, dv_alert_plan *plan, dv_error *error)
{
    dv_query_number number;
    dv_slice rest = dv_slice_trim(dv_slice_str(text));
    bool greater = dv_slice_starts_with(rest, DV_LIT(">"));
    rest = dv_slice_sub(rest, 1, rest.len);
    plan->inclusive = dv_slice_starts_with(rest, DV_LIT("="));
    rest = dv_slice_trim(dv_slice_sub(rest, plan->inclusive ? 1 : 0, rest.len));
    if (!greater || !dv_query_number_read(rest, &number) || number.real < 0 || number.real > 1e15) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "a threshold is written > 5 or >= 5: more than that, or at least");
    }
    plan->threshold = llround(number.real * 1000);
    return DV_OK;
}

bool dv_alert_crosses(const dv_alert_plan *plan, int64_t amount)
{
    return plan->inclusive ? amount >= plan->threshold && amount > 0 : amount > plan->threshold;
}

/* The search with what is counted, where it does not say so itself. */
static dv_result full_text(const dv_alert *alert, const dv_query *query, dv_arena *arena,
                           const char **ret_text, dv_error *error)
{
    bool counts = query->stages.measure_count > 0;
    if (counts && alert->by[0] != '\0') {
        return dv_error_set(error, DV_ERR_INVALID,
                            "say what to group by once: in the search or with `by`");
    }
    *ret_text = counts ? alert->query
                : alert->by[0] != '\0'
                    ? dv_arena_printf(arena, "%s | count by %s", alert->query, alert->by)
                    : dv_arena_printf(arena, "%s | count", alert->query);
    return *ret_text != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result check_stages(const dv_query_stages *stages, dv_error *error)
{
    dv_query_function function = stages->measures[0].function;
    bool simple = stages->measure_count == 1 && stages->sort_count == 0 && stages->limit == 0 &&
                  stages->over_ms == 0 && (function == DV_QUERY_COUNT || function == DV_QUERY_SUM);
    return simple ? DV_OK
                  : dv_error_set(error, DV_ERR_INVALID,
                                 "an alert watches one count or sum(field), by fields: nothing "
                                 "else may stand behind the bar");
}

static dv_result parse(const char *text, dv_time now, dv_arena *arena, const dv_query **ret_query,
                       dv_error *error)
{
    dv_error wrong = {0};
    const dv_query_options options = {.now = now};
    dv_result result = dv_query_parse(dv_slice_str(text), &options, arena, ret_query, &wrong);
    return result == DV_OK
               ? DV_OK
               : dv_error_set(error, result, "column %d: %s", wrong.column, wrong.message);
}

dv_result dv_alert_plan_make(const dv_alert *alert, dv_time now, dv_arena *arena,
                             dv_alert_plan *ret_plan, dv_error *error)
{
    enum { SLICE_LEAST_MS = 1000 };
    dv_alert_plan plan;
    const dv_query *query;
    const char *text;
    DV_TRY(parse(alert->query, now, arena, &query, error));
    DV_TRY(full_text(alert, query, arena, &text, error));
    DV_TRY(parse(text, now, arena, &query, error));
    DV_TRY(check_stages(&query->stages, error));
    DV_TRY(read_threshold(alert->threshold, &plan, error));
    plan.query = *query;
    plan.slice_ms = DV_MAX(alert->over_ms / DV_ALERT_SLICES, (int64_t)SLICE_LEAST_MS);
    plan.query.stages.over_ms = plan.slice_ms;
    *ret_plan = plan;
    return DV_OK;
}

/* -- telling ----------------------------------------------------------------------------------- */

json_t *dv_alert_duration_json(int64_t ms)
{
    static const struct {
        const char *unit;
        int64_t length;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t i = 0;
    while (ms % units[i].length != 0 || ms < units[i].length) {
        if (units[i].length == 1) {
            break;
        }
        i++;
    }
    return json_sprintf("%lld%s", (long long)(ms / units[i].length), units[i].unit);
}

json_t *dv_alert_group_json(const dv_alert_plan *plan, const char *values)
{
    json_t *list = json_loads(values, 0, NULL);
    json_t *group = json_object();
    for (size_t i = 0; i < plan->query.stages.by_count && i < json_array_size(list); i++) {
        dv_slice name = plan->query.stages.by[i]->name;
        json_object_setn(group, (const char *)name.ptr, name.len, json_array_get(list, i));
    }
    json_decref(list);
    return group;
}

json_t *dv_alert_names_json(const char *names)
{
    dv_slice rest = dv_slice_str(names), name;
    json_t *list = json_array();
    while (rest.len > 0 && dv_slice_split(&rest, ',', &name)) {
        json_array_append_new(list, json_stringn((const char *)name.ptr, name.len));
    }
    return list;
}

static const char *const severities[] = {"unknown", "informational", "low",  "medium",
                                         "high",    "critical",      "fatal"};

const char *dv_alert_severity_name(int64_t severity)
{
    return severity >= 0 && severity < (int64_t)DV_ARRAY_LEN(severities) ? severities[severity]
                                                                         : "unknown";
}
