/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara why`: what happened to one request, from its open and close events. */
#include "room/audit/control/internal.h"

#include "base/clock.h"
#include "core/verdict.h"

#include <stdarg.h>

enum { SUMMARY_MAX = 1024 };

/* The events that an explanation is made of; NULL when the log does not have them. Borrowed. */
typedef struct story {
    const json_t *open;  /* the decision on the request */
    const json_t *close; /* what became of it */
    const json_t *last;  /* the newest event of any kind */
} story;

static story read_story(const json_t *lines)
{
    story told = {NULL, NULL, NULL};
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line)
    {
        const json_t *event = dv_event_at(line, "event");
        told.last = event;
        if (dv_event_is(event, "request.open")) {
            told.open = event;
        } else if (dv_event_is(event, "request.close")) {
            told.close = event;
        }
    }
    return told;
}

/* The event that holds the decision: a refused answer outranks an admitted request. That the model
 * server failed is an outcome, no decision of ours. */
static const json_t *deciding(const story *told)
{
    const char *upstream = dv_reason_name(DV_REASON_UPSTREAM);
    if (told->close != NULL && dv_event_int(told->close, "status_id") == 2 &&
        (told->open == NULL || strcmp(dv_event_text(told->close, "status_code"), upstream) != 0)) {
        return told->close;
    }
    return told->open != NULL ? told->open : told->close != NULL ? told->close : told->last;
}

static const char *reason_words(const char *name)
{
    for (int reason = 0; reason < DV_REASON_COUNT; reason++) {
        if (strcmp(dv_reason_name((dv_reason)reason), name) == 0) {
            return dv_reason_text((dv_reason)reason);
        }
    }
    return "";
}

/* A copy without the members that the event does not have. */
static json_t *pick(const json_t *event, const char *const names[][2], size_t count)
{
    json_t *picked = json_object();
    for (size_t i = 0; i < count && picked != NULL; i++) {
        json_t *value = dv_event_at(event, names[i][1]);
        if (value != NULL && json_object_set(picked, names[i][0], value) != 0) {
            json_decref(picked);
            return NULL;
        }
    }
    return picked;
}

static json_t *who(const json_t *event)
{
    static const char *const names[][2] = {
        {"name", "actor.user.name"},
        {"principal", "actor.user.uid"},
        {"groups", "actor.user.groups"},
        {"credential", "actor.user.programmatic_credentials.0.uid"},
        {"credential_kind", "actor.user.programmatic_credentials.0.type"},
        {"address", "src_endpoint.ip"},
        {"user_agent", "http_request.user_agent"},
    };
    return pick(event, names, DV_ARRAY_LEN(names));
}

static json_t *asked(const json_t *event)
{
    static const char *const names[][2] = {
        {"method", "http_request.http_method"},
        {"path", "http_request.url.path"},
        {"route", "resources.0.name"},
        {"action", "api.operation"},
        {"model", "ai_model.name"},
        {"upstream", "unmapped.dvara.upstream"},
        {"body_bytes", "http_request.body_length"},
    };
    return pick(event, names, DV_ARRAY_LEN(names));
}

static json_t *outcome(const json_t *event)
{
    static const char *const names[][2] = {
        {"status", "http_response.code"},
        {"upstream_status", "unmapped.dvara.upstream_status"},
        {"reason", "status_code"},
        {"detail", "status_detail"},
        {"latency_ns", "unmapped.dvara.latency_ns"},
        {"upstream_latency_ns", "unmapped.dvara.upstream_latency_ns"},
        {"answer_bytes", "http_response.body_length"},
        {"input_tokens", "message_context.prompt_tokens"},
        {"output_tokens", "message_context.completion_tokens"},
        {"aborted", "unmapped.dvara.aborted"},
    };
    return event == NULL ? json_object() : pick(event, names, DV_ARRAY_LEN(names));
}

/* Appends one event's sightings, saying in which direction they were. */
static int add_found(json_t *found, const json_t *event, const char *direction)
{
    size_t i;
    json_t *sighting;
    json_array_foreach(dv_event_at(event, "unmapped.dvara.sightings"), i, sighting)
    {
        json_t *copy = json_pack("{s:s}", "in", direction);
        if (copy == NULL || json_object_update(copy, sighting) != 0 ||
            json_array_append_new(found, copy) != 0) {
            return -1;
        }
    }
    return 0;
}

static json_t *all_found(const story *told)
{
    json_t *found = json_array();
    if (found == NULL || add_found(found, told->open, "request") != 0 ||
        add_found(found, told->close, "answer") != 0) {
        json_decref(found);
        return NULL;
    }
    return found;
}

/* -- in words ---------------------------------------------------------------------------------- */

static void add_words(dv_buf *out, const char *format, ...) dv_printf(2, 3);

/* A summary that is full stays as it is. */
static void add_words(dv_buf *out, const char *format, ...)
{
    char words[SUMMARY_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    if (dv_buf_append_str(out, words) != DV_OK) {
        return;
    }
}

/* " by a, b and 3 more" */
static void add_policies(dv_buf *out, const json_t *policies, int64_t unnamed)
{
    enum { NAMED = 5 };
    size_t count = json_array_size(policies), named = DV_MIN(count, (size_t)NAMED);
    size_t more = count - named + (size_t)DV_MAX(unnamed, (int64_t)0);
    for (size_t i = 0; i < named; i++) {
        const char *id = json_string_value(json_array_get(policies, i));
        add_words(out, "%s%.64s", i == 0 ? " by " : ", ", id == NULL ? "" : id);
    }
    if (more > 0) {
        add_words(out, " and %zu more", more);
    }
}

/* All that decided; a new reference. */
static json_t *policies_of(const json_t *event)
{
    json_t *all = dv_event_at(event, "unmapped.dvara.policies");
    const char *only = dv_event_text(event, "policy.uid");
    return json_is_array(all) ? json_incref(all)
           : *only != '\0'    ? json_pack("[s]", only)
                              : json_array();
}

static void add_decision(dv_buf *out, const json_t *event, const json_t *policies)
{
    const char *model = dv_event_text(event, "ai_model.name");
    bool allowed = dv_event_int(event, "status_id") == 1;
    add_words(out, "%.128s asked for %.16s %.160s", dv_event_text(event, "actor.user.name"),
              dv_event_method(event), dv_event_text(event, "http_request.url.path"));
    if (*model != '\0') {
        add_words(out, " (model %.100s)", model);
    }
    add_words(out, " and was %s", allowed ? "allowed" : "refused");
    add_policies(out, policies, dv_event_int(event, "unmapped.dvara.policies_unnamed"));
    if (!allowed) {
        add_words(out, ": %s", reason_words(dv_event_text(event, "status_code")));
        const char *detail = dv_event_text(event, "status_detail");
        add_words(out, "%s%.160s", *detail != '\0' ? " " : "", detail);
    } else {
        add_words(out, ".");
    }
}

static void add_findings(dv_buf *out, const json_t *found)
{
    enum { NAMED = 3 };
    size_t i, count = json_array_size(found);
    json_t *sighting;
    json_array_foreach(found, i, sighting)
    {
        if (i == NAMED) {
            add_words(out, " And %zu more.", count - NAMED);
            break;
        }
        add_words(out, " %.64s in the %s at %.100s: %.32s.", dv_event_text(sighting, "detector"),
                  dv_event_text(sighting, "in"), dv_event_text(sighting, "place"),
                  dv_event_text(sighting, "action"));
    }
}

/* Rules on how much may leave that were passed. */
static void add_volumes(dv_buf *out, const json_t *event, const char *direction)
{
    size_t i;
    json_t *volume;
    json_array_foreach(dv_event_at(event, "unmapped.dvara.volumes"), i, volume)
    {
        bool uncounted = json_is_true(json_object_get(volume, "uncounted"));
        add_words(out, " The %s %s %.64s, a rule on volume: %.32s.", direction,
                  uncounted ? "could not be counted for" : "passed", dv_event_text(volume, "rule"),
                  dv_event_text(volume, "action"));
    }
}

static void add_end(dv_buf *out, const json_t *close)
{
    if (close == NULL) {
        add_words(out, " It has no end in the log yet.");
        return;
    }
    add_words(out, " The caller got %" PRId64, dv_event_int(close, "http_response.code"));
    int64_t upstream = dv_event_int(close, "unmapped.dvara.upstream_status");
    if (upstream != 0) {
        add_words(out, ", the model server answered %" PRId64, upstream);
    }
    add_words(out, ", after %" PRId64 " ms.", dv_event_int(close, "http_response.latency"));
    if (strcmp(dv_event_text(close, "status_code"), dv_reason_name(DV_REASON_UPSTREAM)) == 0) {
        add_words(out, " %s", dv_reason_text(DV_REASON_UPSTREAM));
    }
}

/* What dvarad decided for those who asked it. */
static void add_access(dv_buf *out, const json_t *lines)
{
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line)
    {
        const json_t *event = json_object_get(line, "event");
        const json_t *data = dv_event_at(event, "entity.data");
        if (strcmp(dv_event_text(event, "entity.type"), "access_decision") != 0) {
            continue;
        }
        add_words(out, " %.100s asked for %.100s on %.100s: %s", dv_event_text(data, "subject"),
                  dv_event_text(data, "action"), dv_event_text(data, "resource"),
                  json_is_true(json_object_get(data, "decision")) ? "allowed" : "refused");
        add_policies(out, json_object_get(data, "policies"), 0);
        add_words(out, ".");
    }
}

static dv_result set_summary(json_t *why, const story *told)
{
    dv_auto(buf) dv_buf text = dv_buf_init(SUMMARY_MAX);
    if (told->open == NULL && told->close == NULL) {
        const json_t *event = told->last;
        bool reads = dv_event_is(event, "data.access");
        add_words(&text, "%.128s called %.128s of the control plane: %.128s",
                  dv_event_text(event, "actor.user.name"),
                  dv_event_text(event, reads ? "unmapped.dvara.operation" : "api.operation"),
                  dv_event_text(event, "status_code"));
        add_policies(&text, json_object_get(why, "policies"),
                     dv_event_int(event, "unmapped.dvara.policies_unnamed"));
        add_words(&text, ".");
        add_access(&text, json_object_get(why, "events"));
    } else {
        add_decision(&text, deciding(told), json_object_get(why, "policies"));
        add_findings(&text, json_object_get(why, "found"));
        add_volumes(&text, told->open, "request");
        add_volumes(&text, told->close, "answer");
        add_end(&text, told->close);
    }
    json_t *summary = json_stringn((const char *)text.ptr, text.len);
    return summary != NULL && json_object_set_new(why, "summary", summary) == 0 ? DV_OK
                                                                                : DV_ERR_NO_MEMORY;
}

/* -- all of it --------------------------------------------------------------------------------- */

static json_t *explanation(const char *request_id, const json_t *lines, const story *told)
{
    char when[DV_TIME_TEXT_MAX];
    const json_t *event = deciding(told);
    const json_t *first = told->open != NULL ? told->open : event;
    json_t *limit = dv_event_at(first, "unmapped.dvara.limit");
    const char *reason = dv_event_text(event, "status_code");
    int64_t ns = dv_event_int(first, "unmapped.dvara.time_ns");
    dv_time_format(ns != 0 ? ns : dv_event_int(first, "time") * DV_MILLISECOND, when);
    return json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:I,s:o,s:o,s:o,s:o,s:o,s:O}", "request_id", request_id,
        "when", when, "decision", dv_event_int(event, "status_id") == 1 ? "allow" : "deny",
        "reason", reason, "explanation", reason_words(reason), "detail",
        dv_event_text(event, "status_detail"), "policy", dv_event_text(event, "policy.uid"),
        "policies", policies_of(event), "policies_unnamed",
        (json_int_t)dv_event_int(event, "unmapped.dvara.policies_unnamed"), "who", who(first),
        "asked", asked(first), "found", all_found(told), "limit",
        limit != NULL ? json_incref(limit) : json_object(), "outcome", outcome(told->close),
        "events", lines);
}

dv_result dv_event_explain(const char *request_id, const json_t *lines, json_t **ret_why)
{
    story told = read_story(lines);
    json_t *why = explanation(request_id, lines, &told);
    if (why == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = set_summary(why, &told);
    if (result != DV_OK) {
        json_decref(why);
        return result;
    }
    *ret_why = why;
    return DV_OK;
}
