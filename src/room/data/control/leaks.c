/* SPDX-License-Identifier: Apache-2.0 */
/* Who sent or got how many values of which kinds: counted from the records of requests, a part of
 * the log at a time. */
#include "api/operations.h"
#include "core/log_source.h"
#include "room/data/gate/names.h"

enum { PAGE = 1000 };

/* Requests and answers in which something was found, and in which a volume was passed. */
static const char query[] = "event:(request.open or request.close) (detector:* or volume:*)";

/* One part of the log, counted. */
typedef struct report {
    const char *by;
    json_t *rows;    /* by key */
    json_t *volumes; /* by rule, action and user */
    json_int_t unlisted;
} report;

/* ---- reading an event ---- */

static const json_t *member(const json_t *event, const char *const path[])
{
    for (size_t i = 0; path[i] != NULL && event != NULL; i++) {
        event = json_object_get(event, path[i]);
    }
    return event;
}

static const char *text_or(const json_t *value, const char *otherwise)
{
    const char *text = json_string_value(value);
    return text != NULL && text[0] != '\0' ? text : otherwise;
}

static const json_t *own(const json_t *event, const char *name)
{
    return json_object_get(member(event, (const char *const[]){"unmapped", "dvara", NULL}), name);
}

/* "ann", or "service ci"; what was erased or sealed away has no name. */
static const char *user_of(const json_t *event, dv_arena *arena)
{
    const json_t *user = member(event, (const char *const[]){"actor", "user", NULL});
    const char *name = text_or(json_object_get(user, "name"), "unknown");
    const char *uid = text_or(json_object_get(user, "uid"), "");
    bool service = strncmp(uid, "Service::", sizeof("Service::") - 1) == 0;
    return service ? dv_arena_printf(arena, "service %s", name) : name;
}

static const char *route_of(const json_t *event)
{
    size_t i;
    const json_t *resource;
    json_array_foreach(json_object_get(event, "resources"), i, resource)
    {
        if (strcmp(text_or(json_object_get(resource, "type"), ""), "route") == 0) {
            return text_or(json_object_get(resource, "name"), "unknown");
        }
    }
    return "unknown";
}

static const char *category_of(const char *detector)
{
    static const char own_data[] = "fingerprint:";
    if (strncmp(detector, own_data, sizeof(own_data) - 1) == 0) {
        return "own_data";
    }
    ptrdiff_t index = dv_masking_kind_index(detector);
    return index < 0 ? "unknown" : dv_masking_kind((size_t)index)->category;
}

/* ---- counting ---- */

static dv_result add(json_t *row, const char *name, json_int_t more)
{
    json_int_t value = json_integer_value(json_object_get(row, name));
    return json_object_set_new(row, name, json_integer(value + more)) == 0 ? DV_OK
                                                                           : DV_ERR_NO_MEMORY;
}

static dv_result row_of(report *r, const char *key, json_t **ret_row)
{
    json_t *row = json_object_get(r->rows, key);
    if (row == NULL) {
        row = json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i}", "key", key, "sent", 0, "got", 0,
                        "hidden", 0, "passed", 0, "refused", 0, "requests", 0);
        if (row == NULL || json_object_set_new(r->rows, key, row) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    *ret_row = row;
    return DV_OK;
}

/* What was masked in a body that was refused did not leave, either. */
static const char *fate_of(const char *action, bool refused)
{
    if (refused || strcmp(action, "block") == 0) {
        return "refused";
    }
    static const char *const passing[] = {"allow", "alert", "monitor"};
    for (size_t i = 0; i < DV_ARRAY_LEN(passing); i++) {
        if (strcmp(action, passing[i]) == 0) {
            return "passed";
        }
    }
    return "hidden";
}

/* What of an event holds for all of its sightings. */
typedef struct body {
    const char *user;
    const char *route;
    bool answer;
    bool refused;
    json_t *met; /* keys of rows that this body counts in already */
} body;

static dv_result add_sighting(report *r, const body *b, const json_t *sighting)
{
    const char *detector = text_or(json_object_get(sighting, "detector"), "unknown");
    const char *action = text_or(json_object_get(sighting, "action"), "");
    json_int_t times = DV_MAX(json_integer_value(json_object_get(sighting, "times")), 1);
    const char *key = strcmp(r->by, "user") == 0       ? b->user
                      : strcmp(r->by, "route") == 0    ? b->route
                      : strcmp(r->by, "category") == 0 ? category_of(detector)
                                                       : detector;
    json_t *row = NULL;
    DV_TRY(row_of(r, key, &row));
    DV_TRY(add(row, b->answer ? "got" : "sent", times));
    DV_TRY(add(row, fate_of(action, b->refused), times));
    if (json_object_get(b->met, key) != NULL) {
        return DV_OK;
    }
    DV_TRY(add(row, "requests", 1));
    return json_object_set_new(b->met, key, json_true()) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result add_volume(report *r, const body *b, const json_t *volume, dv_arena *arena)
{
    const char *rule = text_or(json_object_get(volume, "rule"), "unknown");
    const char *action = text_or(json_object_get(volume, "action"), "unknown");
    const char *key = dv_arena_printf(arena, "%s %s %s", rule, action, b->user);
    if (key == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    json_t *row = json_object_get(r->volumes, key);
    if (row == NULL) {
        row = json_pack("{s:s, s:s, s:s, s:i, s:i}", "rule", rule, "action", action, "user",
                        b->user, "times", 0, "values", 0);
        if (row == NULL || json_object_set_new(r->volumes, key, row) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    DV_TRY(add(row, "times", 1));
    return add(row, "values", json_integer_value(json_object_get(volume, "values")));
}

static dv_result add_lists(report *r, const body *b, const json_t *event, dv_arena *arena)
{
    size_t i;
    const json_t *item;
    const json_t *sightings = own(event, "sightings");
    json_array_foreach(sightings, i, item)
    {
        DV_TRY(add_sighting(r, b, item));
    }
    json_array_foreach(own(event, "volumes"), i, item)
    {
        DV_TRY(add_volume(r, b, item, arena));
    }
    json_int_t seen = json_integer_value(own(event, "sighting_count"));
    r->unlisted += DV_MAX(seen - (json_int_t)json_array_size(sightings), 0);
    return DV_OK;
}

static dv_result add_event(report *r, const json_t *event, dv_arena *arena)
{
    enum { FAILURE = 2 };
    const body b = {
        .user = user_of(event, arena),
        .route = route_of(event),
        .answer = strcmp(text_or(own(event, "phase"), ""), "close") == 0,
        .refused = json_integer_value(json_object_get(event, "status_id")) == FAILURE,
        .met = json_object(),
    };
    dv_result result =
        b.user == NULL || b.met == NULL ? DV_ERR_NO_MEMORY : add_lists(r, &b, event, arena);
    json_decref(b.met);
    return result;
}

/* ---- the answer ---- */

/* The values of an object, as a list; a new reference. */
static json_t *list_of(json_t *object)
{
    json_t *list = json_array();
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (json_array_append(list, value) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static dv_result count_events(report *r, const json_t *events, dv_arena *arena)
{
    size_t i;
    const json_t *event;
    json_array_foreach(events, i, event)
    {
        DV_TRY(add_event(r, event, arena));
    }
    return DV_OK;
}

dv_result dv_op_data_leak_count(dv_call *call, dv_error *error)
{
    const dv_log_page page = {.query = query,
                              .since = dv_call_param(call, "since"),
                              .until = dv_call_param(call, "until"),
                              .cursor = dv_call_param(call, "cursor"),
                              .limit = PAGE};
    report r = {.by = dv_call_param(call, "by"), .rows = json_object(), .volumes = json_object()};
    json_t *events = NULL, *next = NULL;
    dv_result result = r.rows == NULL || r.volumes == NULL
                           ? DV_ERR_NO_MEMORY
                           : call->services->log->events(call, &page, &events, &next, error);
    if (result == DV_OK) {
        result = count_events(&r, events, call->arena);
    }
    if (result == DV_OK) {
        call->answer = json_pack("{s:o, s:o, s:I, s:I, s:O*}", "rows", list_of(r.rows), "volumes",
                                 list_of(r.volumes), "unlisted", r.unlisted, "events",
                                 (json_int_t)json_array_size(events), "next", next);
        result = call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
    }
    json_decref(r.rows);
    json_decref(r.volumes);
    json_decref(events);
    json_decref(next);
    return result;
}
