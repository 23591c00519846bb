/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of api/audit.yaml: what is kept for how long, holds, pruning. dvara-logd does it. */
#include "api/operations.h"
#include "room/audit/control/internal.h"
#include "room/audit/control/retention_client.h"
#include "room/audit/control/search.h"

static dv_result get_retention(const dv_call *call, json_t **ret_json, dv_error *error)
{
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    DV_TRY(dv_logd_get(call->services->runtime_dir, "/retention", 0, &answer, error));
    *ret_json = json_loadb((const char *)answer.body.ptr, answer.body.len, 0, NULL);
    return json_is_object(*ret_json)
               ? DV_OK
               : dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd sent what is no JSON");
}

dv_result dv_audit_clock_settles_in(const dv_call *call, int64_t *ret_seconds, dv_error *error)
{
    enum { SECOND_MS = 1000 };
    json_t *now = NULL;
    DV_TRY(get_retention(call, &now, error));
    const json_t *waits = json_object_get(now, "settled_in_ms");
    bool told = json_is_integer(waits);
    int64_t ms = json_integer_value(waits);
    json_decref(now);
    if (!told) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "dvara-logd does not say whether the clock is right");
    }
    *ret_seconds = ms > 0 ? (ms + SECOND_MS - 1) / SECOND_MS : 0;
    return DV_OK;
}

/* A time, or "" for 0. */
static json_t *time_json(const json_t *item, const char *name)
{
    char text[DV_TIME_TEXT_MAX] = "";
    int64_t ms = dv_event_int(item, name);
    if (ms > 0 && ms < INT64_MAX / DV_MILLISECOND) {
        dv_time_format(ms * DV_MILLISECOND, text);
    }
    return json_string(text);
}

static json_t *keep_json(int64_t ms)
{
    enum { DAY_MS = 86400000, SECOND_MS = 1000 };
    char text[32];
    if (ms == 0) {
        return json_string("forever");
    }
    bool days = ms % DAY_MS == 0;
    snprintf(text, sizeof(text), "%" PRId64 "%s", ms / (days ? DAY_MS : SECOND_MS),
             days ? "d" : "s");
    return json_string(text);
}

static json_t *log_json(const json_t *log)
{
    int64_t size = dv_event_int(log, "size"), minimum = dv_event_int(log, "minimum");
    return json_pack("{s:s,s:o,s:I,s:I,s:o,s:I,s:I,s:o,s:s,s:O}", "log", dv_event_text(log, "name"),
                     "keep", keep_json(dv_event_int(log, "keep_ms")), "events",
                     (json_int_t)(size - minimum), "bytes", (json_int_t)dv_event_int(log, "bytes"),
                     "oldest", time_json(log, "oldest_ms"), "minimum", (json_int_t)minimum,
                     "prunable", (json_int_t)dv_event_int(log, "prunable"), "next",
                     time_json(log, "next_ms"), "waits", dv_event_text(log, "waits"), "kinds",
                     json_object_get(log, "kinds"));
}

static json_t *hold_json(const json_t *hold)
{
    const char *log = dv_event_text(hold, "log");
    return json_pack("{s:s,s:s,s:o,s:o,s:o,s:s}", "name", dv_event_text(hold, "name"), "log",
                     log[0] == '\0' ? "all" : log, "from", time_json(hold, "from_ms"), "to",
                     time_json(hold, "to_ms"), "created", time_json(hold, "created_ms"), "reason",
                     dv_event_text(hold, "reason"));
}

/* A new array, each made of one. */
static json_t *each(const json_t *list, json_t *(*make)(const json_t *one))
{
    size_t i;
    json_t *one, *items = json_array();
    json_array_foreach(list, i, one)
    {
        json_t *item = make(one);
        if (items == NULL || item == NULL || json_array_append_new(items, item) != 0) {
            json_decref(items);
            return NULL;
        }
    }
    return items;
}

dv_result dv_op_audit_retention(dv_call *call, dv_error *error)
{
    json_t *now = NULL;
    DV_TRY(get_retention(call, &now, error));
    const char *problem = dv_retention_client_problem(call->services->retention);
    problem = problem[0] != '\0' ? problem : dv_event_text(now, "problem");
    int64_t waits_ms = dv_event_int(now, "settled_in_ms");
    call->answer = json_pack(
        "{s:o,s:o,s:s,s:I,s:s}", "items", each(json_object_get(now, "logs"), log_json), "holds",
        each(json_object_get(now, "holds"), hold_json), "archive", dv_event_text(now, "archive"),
        "clock_settles_in", (json_int_t)(waits_ms / 1000), "problem", problem);
    json_decref(now);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* -- holds ------------------------------------------------------------------------------------- */

dv_result dv_op_audit_hold_list(dv_call *call, dv_error *error)
{
    json_t *now = NULL;
    DV_TRY(get_retention(call, &now, error));
    call->answer = json_pack("{s:o}", "items", each(json_object_get(now, "holds"), hold_json));
    json_decref(now);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static const char *or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

/* Takes over the body. */
static dv_result post_hold(const dv_call *call, const char *action, json_t *body, dv_error *error)
{
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    json_t *who = json_pack("{s:s,s:s,s:s,s:s,s:s}", "action", action, "actor",
                            or_empty(call->caller), "via", or_empty(call->via), "address",
                            or_empty(call->address), "request_id", or_empty(call->request_id));
    bool whole = body != NULL && who != NULL && json_object_update(body, who) == 0;
    dv_auto(free) char *text = whole ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(who);
    json_decref(body);
    return text == NULL ? DV_ERR_NO_MEMORY
                        : dv_logd_post(call->services->runtime_dir, "/hold", dv_slice_str(text),
                                       &answer, error);
}

/* The hold of that name; a new reference. */
static dv_result show_hold(dv_call *call, const char *name, dv_error *error)
{
    size_t i;
    json_t *now = NULL, *hold;
    DV_TRY(get_retention(call, &now, error));
    json_array_foreach(json_object_get(now, "holds"), i, hold)
    {
        if (strcmp(dv_event_text(hold, "name"), name) == 0) {
            call->answer = hold_json(hold);
            break;
        }
    }
    json_decref(now);
    return call->answer != NULL
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "the hold %s was released again", name);
}

dv_result dv_op_audit_hold_create(dv_call *call, dv_error *error)
{
    int64_t from_ms, to_ms;
    const char *name = dv_call_field(call, "name"), *log = dv_call_field(call, "log");
    bool all = log == NULL || strcmp(log, "all") == 0;
    DV_TRY(
        dv_audit_time_read(call, "from", dv_call_field(call, "from"), call->now, &from_ms, error));
    DV_TRY(dv_audit_time_read(call, "to", dv_call_field(call, "to"), call->now, &to_ms, error));
    if (to_ms != 0 && to_ms <= from_ms) {
        return dv_call_invalid(call, "to", error, "must be later than from");
    }
    json_t *body = json_pack("{s:s,s:s,s:s,s:I,s:I}", "name", name, "log", all ? "" : log, "reason",
                             or_empty(dv_call_field(call, "reason")), "from_ms",
                             (json_int_t)from_ms, "to_ms", (json_int_t)to_ms);
    dv_result result = post_hold(call, "create", body, error);
    if (result != DV_OK) {
        call->error_field = result == DV_ERR_NOT_FOUND ? "log" : NULL;
        return result;
    }
    return show_hold(call, name, error);
}

dv_result dv_op_audit_hold_release(dv_call *call, dv_error *error)
{
    json_t *body = json_pack("{s:s,s:s}", "name", dv_call_param(call, "name"), "reason",
                             or_empty(dv_call_field(call, "reason")));
    dv_result result = post_hold(call, "release", body, error);
    call->error_field = result == DV_ERR_NOT_FOUND ? "name" : NULL;
    DV_TRY(result);
    call->answer = json_pack("{s:b}", "released", 1);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* -- pruning ----------------------------------------------------------------------------------- */

static int64_t minimum_of(const json_t *retention, const char *name)
{
    size_t i;
    json_t *log;
    json_array_foreach(json_object_get(retention, "logs"), i, log)
    {
        if (strcmp(dv_event_text(log, "name"), name) == 0) {
            return dv_event_int(log, "minimum");
        }
    }
    return 0;
}

/* What went between the two, or what could go. */
static json_t *pruned_json(const json_t *before, const json_t *after)
{
    size_t i;
    json_t *log, *items = json_array();
    json_array_foreach(json_object_get(after, "logs"), i, log)
    {
        const char *name = dv_event_text(log, "name");
        int64_t minimum = dv_event_int(log, "minimum"), first = minimum_of(before, name);
        int64_t events = before == after ? dv_event_int(log, "prunable") : minimum - first;
        json_t *item =
            json_pack("{s:s,s:I,s:I,s:I,s:s}", "log", name, "events", (json_int_t)events, "from",
                      (json_int_t)first, "to", (json_int_t)first + (json_int_t)events, "waits",
                      dv_event_text(log, "waits"));
        if (items == NULL || item == NULL || json_array_append_new(items, item) != 0) {
            json_decref(items);
            return NULL;
        }
    }
    return items;
}

static dv_result prune(const dv_call *call, dv_error *error)
{
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    return dv_logd_post(call->services->runtime_dir, "/prune", DV_LIT("{}"), &answer, error);
}

dv_result dv_op_audit_prune(dv_call *call, dv_error *error)
{
    bool dry_run = json_is_true(json_object_get(call->body, "dry_run"));
    json_t *before = NULL, *after = NULL;
    if (!dry_run) {
        DV_TRY(dv_call_confirmed(call, "what is pruned is gone. See what would go with --dry-run",
                                 error));
    }
    DV_TRY(get_retention(call, &before, error));
    dv_result result = dry_run ? DV_OK : prune(call, error);
    if (result == DV_OK && !dry_run) {
        result = get_retention(call, &after, error);
    }
    if (result == DV_OK) {
        call->answer = json_pack("{s:b,s:o}", "pruned", !dry_run, "items",
                                 pruned_json(before, dry_run ? before : after));
        result = call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
    }
    json_decref(before);
    json_decref(after);
    return result;
}
