/* SPDX-License-Identifier: Apache-2.0 */
/* Watching the log for alerts.
 *
 * Invariants
 *
 * 1. What was counted, which groups are over their threshold, what is to be told and how far the
 * log was read change in one transaction: a death at any point neither counts an event twice nor
 *    leaves one out.
 * 2. What is to be told stands in the outbox first, and goes from there into the log. A row that an
 *    earlier process left may be in the log already: it is told again only when the log was read to
 *    its end, some seconds after the start, without meeting it. Its finding has the same uid
 * anyway.
 * 3. One look takes no more than SLICE_MS of this process's time, however costly the searches are,
 *    and waits no longer than FETCH_MS for dvara-logd.
 * 4. Time is that of the events. One that is older than the window and LATE_MS is no longer
 * counted; a clock that runs ahead moves the others no further than AHEAD_MS.
 * 5. Alerts do not count alerts.
 * 6. The events of several logs are looked at in the order of their time, as dvara-logd merges
 *    them: one that lags behind is not late. */
#include "base/codec.h"
#include "core/event_alert.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "engine/log/note.h"
#include "engine/log/query_aggregate.h"
#include "engine/log/sequencer.h"
#include "room/audit/control/alert.h"
#include "room/audit/control/audit_control.h"

enum {
    MEMORY = 64 << 20,
    EVENT_MEMORY = 16 << 20,
    PAGE = 500, /* events */
    SLICE_MS = 20,
    FETCH_MS = 500,
    LOOK_MS = 100, /* of dvara-logd's */
    EVIDENCE_MAX = 10,
    GROUPS_MAX = 1000, /* of one alert, over the threshold at once */
    OUTBOX_AT_ONCE = 100,
};
static const int64_t late_ms = 300000, ahead_ms = 60000, behind_ms = 5000, save_every_ms = 30000;
static const dv_time settle = 5 * DV_SECOND; /* what a dead process left is in the log by then */

typedef struct watched {
    dv_alert alert;
    dv_alert_plan plan;
    dv_aggregate *counts;
    json_t *evidence; /* by "SLICE GROUP": arrays */
    dv_places firsts; /* of the other logs */
    uint64_t index;   /* of the event that is being added */
    dv_slice log;
    dv_slice request;
    bool usable; /* its search still parses */
} watched;

typedef struct watch {
    dv_services *services;
    dv_audit_place *place;
    dv_arena *arena;
    dv_arena *event_arena;
    watched *alerts;
    size_t count;
    dv_places next, first_next; /* in each log */
    bool placed;                /* next was read, not guessed */
    int64_t watermark;
    int64_t now_ms;
    bool touched;
    bool caught_up;
    dv_error *error;
} watch;

/* -- where we are ------------------------------------------------------------------------------ */

static dv_result read_place(watch *w, dv_statement *row)
{
    uint64_t next = (uint64_t)dv_column_int(row, 0);
    if (dv_places_read(dv_column_slice(row, 2), &w->next) != DV_OK) {
        return dv_error_set(w->error, DV_ERR_CORRUPT, "the alerts' place in the logs is damaged");
    }
    w->watermark = dv_column_int(row, 1);
    w->placed = true;
    return dv_places_set(&w->next, DV_LIT(DV_LOG_MAIN), next);
}

static dv_result load_place(watch *w)
{
    dv_auto(statement) dv_statement *row = NULL;
    if (w->place->known) {
        w->next = w->place->next;
        w->watermark = w->place->watermark;
        w->placed = true;
        return DV_OK;
    }
    DV_TRY(dv_store_query(w->services->store, &row, w->error,
                          "SELECT next, watermark, others FROM audit_alert_place WHERE id = 1",
                          ""));
    dv_result result = dv_statement_step(row, w->error);
    if (result == DV_OK) {
        return read_place(w, row);
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_result save_place(const watch *w)
{
    dv_places others = {.count = 0};
    dv_auto(buf) dv_buf text = dv_buf_init(DV_PLACES_TEXT_MAX);
    const dv_place *main_place = dv_places_find(&w->next, DV_LIT(DV_LOG_MAIN));
    for (size_t i = 0; i < w->next.count; i++) {
        if (&w->next.items[i] != main_place) {
            others.items[others.count++] = w->next.items[i];
        }
    }
    DV_TRY(dv_places_write(&others, &text));
    return dv_store_run(w->services->store, w->error,
                        "INSERT INTO audit_alert_place (id, next, watermark, others)"
                        " VALUES (1, ?1, ?2, ?3) ON CONFLICT (id)"
                        " DO UPDATE SET next = ?1, watermark = ?2, others = ?3",
                        "iis", main_place == NULL ? 0 : (int64_t)main_place->next, w->watermark,
                        dv_buf_slice(&text));
}

/* The first event of that log that the alert looks at. A log that it does not know began later. */
static uint64_t first_of(const watched *one, dv_slice log)
{
    const dv_place *place = dv_places_find(&one->firsts, log);
    bool main_log = dv_slice_eq_str(log, DV_LOG_MAIN);
    return main_log ? (uint64_t)one->alert.first : place == NULL ? 0 : place->next;
}

/* Nothing was looked at yet: from the first event on that any alert wants. */
static dv_result guess_place(watch *w)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < w->count; i++) {
        first = DV_MIN(first, (uint64_t)w->alerts[i].alert.first);
        for (size_t k = 0; k < w->alerts[i].firsts.count; k++) {
            dv_slice log = dv_slice_str(w->alerts[i].firsts.items[k].log);
            uint64_t least = UINT64_MAX;
            for (size_t other = 0; other < w->count; other++) {
                least = DV_MIN(least, first_of(&w->alerts[other], log));
            }
            DV_TRY(dv_places_set(&w->next, log, least));
        }
    }
    return first == UINT64_MAX ? DV_OK : dv_places_set(&w->next, DV_LIT(DV_LOG_MAIN), first);
}

/* A search that was right when it was stored may be so no more after an upgrade: the others go on.
 */
static dv_result load_alerts(watch *w)
{
    dv_alerts alerts;
    DV_TRY(dv_alerts_read(w->services->store, NULL, DV_ALERTS_MAX, w->arena, &alerts, w->error));
    w->alerts = dv_arena_alloc(w->arena, (alerts.count + 1) * sizeof(*w->alerts));
    if (w->alerts == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (; w->count < alerts.count; w->count++) {
        watched *one = &w->alerts[w->count];
        one->alert = alerts.items[w->count];
        one->usable = dv_alert_plan_make(&one->alert, w->now_ms * DV_MILLISECOND, w->arena,
                                         &one->plan, NULL) == DV_OK &&
                      dv_places_read(dv_slice_str(one->alert.first_others), &one->firsts) == DV_OK;
    }
    DV_TRY(w->placed ? DV_OK : guess_place(w));
    w->first_next = w->next;
    return DV_OK;
}

/* -- counting ---------------------------------------------------------------------------------- */

static json_t *evidence_json(const watched *one)
{
    json_t *event = json_pack("{s:I,s:s%}", "index", (json_int_t)one->index, "request",
                              one->request.ptr, one->request.len);
    if (event != NULL && !dv_slice_eq_str(one->log, DV_LOG_MAIN)) {
        json_object_set_new(event, "log", json_stringn((const char *)one->log.ptr, one->log.len));
    }
    return event;
}

/* Remembers which events a group's slice was made of. */
static void note_evidence(void *data, int64_t bucket_ms, dv_slice values)
{
    watched *one = data;
    dv_auto(buf) dv_buf key = dv_buf_init(1 << 20);
    if (dv_buf_append_printf(&key, "%lld %.*s", (long long)bucket_ms, DV_SLICE_ARGS(values)) !=
        DV_OK) {
        return;
    }
    const char *name = dv_buf_cstr(&key);
    json_t *list = name == NULL ? NULL : json_object_get(one->evidence, name);
    if (list == NULL && name != NULL) {
        list = json_array();
        json_object_set_new(one->evidence, name, list);
    }
    if (list != NULL && json_array_size(list) < EVIDENCE_MAX) {
        json_array_append_new(list, evidence_json(one));
    }
}

static dv_result begin_counting(watched *one)
{
    if (one->counts != NULL) {
        return DV_OK;
    }
    DV_TRY(dv_aggregate_new(&one->plan.query, &one->counts));
    one->evidence = json_object();
    dv_aggregate_watch(one->counts, note_evidence, one);
    return one->evidence != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static int64_t number_at(const dv_json *json, uint32_t object, const char *name)
{
    int64_t value = 0;
    uint32_t token = dv_json_member(json, object, name);
    return token != 0 && dv_json_int(json, token, &value) == DV_OK ? value : 0;
}

static dv_slice text_at(const dv_json *json, uint32_t object, const char *name)
{
    uint32_t token = object != UINT32_MAX ? dv_json_member(json, object, name) : 0;
    return token != 0 && json->tokens[token].type == DV_JSON_STRING ? dv_json_raw(json, token)
                                                                    : DV_LIT("");
}

static bool too_late(const watch *w, const watched *one, int64_t time_ms)
{
    return time_ms < w->watermark - one->alert.over_ms - late_ms;
}

/* An event, and where it stands. */
typedef struct seen {
    dv_slice log;
    uint64_t index;
    dv_slice text;
} seen;

static dv_result count_event(watch *w, const seen *at, dv_query_event *event, int64_t time_ms,
                             dv_slice request)
{
    for (size_t i = 0; i < w->count; i++) {
        watched *one = &w->alerts[i];
        bool matches = false;
        if (!one->usable || at->index < first_of(one, at->log) || too_late(w, one, time_ms)) {
            continue;
        }
        DV_TRY(dv_query_matches(&one->plan.query, event, w->event_arena, &matches));
        if (matches) {
            DV_TRY(begin_counting(one));
            one->index = at->index;
            one->log = at->log;
            one->request = request;
            DV_TRY(dv_aggregate_add(one->counts, event, w->event_arena));
            w->touched = true;
        }
    }
    return DV_OK;
}

/* One of ours came by: what an earlier process wanted to tell is told. */
static dv_result strike_out(watch *w, dv_slice code, const dv_json *json)
{
    uint32_t finding = dv_json_member(json, 0, "finding_info");
    dv_slice uid = text_at(json, finding != 0 ? finding : UINT32_MAX, "uid");
    return dv_store_run(w->services->store, w->error,
                        "DELETE FROM audit_alert_outbox WHERE uid = ?1 AND code = ?2", "ss", uid,
                        code);
}

static dv_result look_at(watch *w, const seen *at)
{
    const dv_json *json;
    dv_query_event event = dv_query_event_of(at->text);
    dv_arena_recycle(w->event_arena);
    DV_TRY(dv_query_event_json(&event, w->event_arena, &json));
    if (json == NULL) {
        return DV_OK;
    }
    uint32_t metadata = dv_json_member(json, 0, "metadata");
    dv_slice code = text_at(json, metadata != 0 ? metadata : UINT32_MAX, "event_code");
    if (dv_slice_starts_with(code, DV_LIT("alert."))) {
        return strike_out(w, code, json);
    }
    int64_t time_ms = number_at(json, 0, "time");
    dv_slice request = text_at(json, metadata != 0 ? metadata : UINT32_MAX, "correlation_uid");
    w->watermark = DV_MAX(w->watermark, DV_MIN(time_ms, w->now_ms + ahead_ms));
    return count_event(w, at, &event, time_ms, request);
}

static bool take_text(dv_slice *rest, const char *text)
{
    bool begins = dv_slice_starts_with(*rest, dv_slice_str(text));
    *rest = begins ? dv_slice_sub(*rest, strlen(text), rest->len) : *rest;
    return begins;
}

/* {"index":N[,"log":NAME],"event":{...}}; false: another line. */
static bool read_line(dv_slice line, seen *out)
{
    dv_slice rest = line, number;
    out->log = DV_LIT(DV_LOG_MAIN);
    if (!take_text(&rest, "{\"index\":")) {
        return false;
    }
    ptrdiff_t comma = dv_slice_find_byte(rest, ',');
    number = dv_slice_sub(rest, 0, comma < 0 ? 0 : (size_t)comma);
    rest = dv_slice_sub(rest, number.len, rest.len);
    if (dv_decimal_parse(number, &out->index) != DV_OK ||
        (take_text(&rest, ",\"log\":\"") && !dv_slice_split(&rest, '"', &out->log)) ||
        !take_text(&rest, ",\"event\":") || rest.len == 0) {
        return false;
    }
    out->text = dv_slice_sub(rest, 0, rest.len - 1);
    return true;
}

/* The last line: {"stats":{...,"complete":true},"next":"o.PLACES.NOW"}. */
static dv_result read_end(watch *w, dv_slice line)
{
    json_t *end = json_loadb((const char *)line.ptr, line.len, 0, NULL);
    dv_slice rest = dv_slice_str(dv_event_text(end, "next")), order, places;
    bool good = dv_slice_split(&rest, '.', &order) && dv_slice_split(&rest, '.', &places) &&
                dv_places_read(places, &w->next) == DV_OK;
    w->caught_up = json_is_true(json_object_get(json_object_get(end, "stats"), "complete"));
    json_decref(end);
    return good ? DV_OK
                : dv_error_set(w->error, DV_ERR_CORRUPT,
                               "dvara-logd's answer to the search can not be read");
}

/* All events of all logs by time, from our place in each on. */
static dv_result ask_for_events(const watch *w, dv_logd_answer *ret_answer)
{
    dv_auto(buf) dv_buf body = dv_buf_init(2 * DV_PLACES_TEXT_MAX);
    DV_TRY(dv_buf_append_printf(
        &body, "{\"query\":\"\",\"order\":\"oldest\",\"limit\":%d,\"budget_ms\":%d", PAGE,
        LOOK_MS));
    if (w->next.count > 0) {
        DV_TRY(dv_buf_append_str(&body, ",\"cursor\":\"o."));
        DV_TRY(dv_places_write(&w->next, &body));
        DV_TRY(dv_buf_append_printf(&body, ".%" PRId64 "\"", w->now_ms));
    }
    DV_TRY(dv_buf_append_byte(&body, '}'));
    const char *text = dv_buf_cstr(&body);
    return text == NULL ? DV_ERR_TOO_LARGE
                        : dv_logd_post_quickly(w->services->runtime_dir, "/search", text, FETCH_MS,
                                               ret_answer, w->error);
}

static dv_result read_feed(watch *w)
{
    dv_slice line;
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    DV_TRY(ask_for_events(w, &answer));
    dv_slice rest = dv_buf_slice(&answer.body);
    dv_time until = dv_time_monotonic() + SLICE_MS * DV_MILLISECOND;
    w->caught_up = false;
    while (rest.len > 0 && dv_time_monotonic() < until && dv_slice_split(&rest, '\n', &line)) {
        seen at;
        if (!read_line(line, &at)) {
            DV_TRY(line.len == 0 ? DV_OK : read_end(w, line));
            continue;
        }
        DV_TRY(look_at(w, &at));
        DV_TRY(dv_places_set(&w->next, at.log, at.index + 1));
    }
    return DV_OK;
}

/* -- keeping what was counted ------------------------------------------------------------------ */

typedef struct keeper {
    watch *w;
    watched *one;
    dv_result result;
} keeper;

static dv_result keep_slice(keeper *k, int64_t bucket_ms, const char *values, int64_t amount)
{
    dv_auto(buf) dv_buf key = dv_buf_init(1 << 20);
    DV_TRY(dv_buf_append_printf(&key, "%lld %s", (long long)bucket_ms, values));
    const json_t *list = json_object_get(k->one->evidence, dv_buf_cstr(&key));
    dv_auto(free) char *evidence = json_dumps(list, JSON_COMPACT);
    /* The first events of a slice are its evidence; later looks add to the amount alone. */
    return dv_store_run(k->w->services->store, k->w->error,
                        "INSERT INTO audit_alert_bucket"
                        " (alert, group_values, bucket, amount, evidence)"
                        " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (alert, group_values, bucket)"
                        " DO UPDATE SET amount = amount + ?4",
                        "ttiit", k->one->alert.name, values, bucket_ms, amount,
                        evidence != NULL ? evidence : "[]");
}

static void keep_group(void *data, int64_t bucket_ms, dv_slice values, double value)
{
    keeper *k = data;
    dv_slice copy;
    if (k->result != DV_OK || bucket_ms == INT64_MIN) {
        return;
    }
    k->result = dv_arena_copy(k->w->arena, values, &copy);
    if (k->result == DV_OK) {
        k->result = keep_slice(k, bucket_ms, (const char *)copy.ptr, (int64_t)(value * 1000));
    }
}

/* -- windows ----------------------------------------------------------------------------------- */

/* A window that slid over the counts of one group. */
typedef struct window {
    int64_t start_ms, end_ms; /* [start, end) */
    int64_t amount;
} window;

/* Whole slices, the window's length at least. */
static int64_t window_ms(const watched *one)
{
    int64_t slice = one->plan.slice_ms;
    return (one->alert.over_ms + slice - 1) / slice * slice;
}

static dv_result sum_between(watch *w, const watched *one, const char *values, window *out)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(w->services->store, &row, w->error,
                          "SELECT coalesce(sum(amount), 0) FROM audit_alert_bucket WHERE alert = ?1"
                          " AND group_values = ?2 AND bucket >= ?3 AND bucket < ?4",
                          "ttii", one->alert.name, values, out->start_ms, out->end_ms));
    DV_TRY(dv_statement_step(row, w->error));
    out->amount = dv_column_int(row, 0);
    return DV_OK;
}

static dv_result sum_of_window(watch *w, const watched *one, const char *values, int64_t end_ms,
                               window *out)
{
    *out = (window){end_ms - window_ms(one), end_ms, 0};
    return sum_between(w, one, values, out);
}

/* The first window over the threshold that holds this slice; start 0: none is. */
static dv_result find_window(watch *w, const watched *one, const char *values, int64_t bucket_ms,
                             window *out)
{
    int64_t slice = one->plan.slice_ms, last = bucket_ms + window_ms(one);
    window all = {bucket_ms + slice - window_ms(one), last, 0}, at = {0};
    *out = at;
    DV_TRY(sum_between(w, one, values, &all));
    if (!dv_alert_crosses(&one->plan, all.amount)) {
        return DV_OK; /* as it is nearly always */
    }
    for (int64_t end = bucket_ms + slice; end <= last && out->start_ms == 0; end += slice) {
        DV_TRY(sum_of_window(w, one, values, end, &at));
        *out = dv_alert_crosses(&one->plan, at.amount) ? at : *out;
    }
    return DV_OK;
}

/* -- telling ----------------------------------------------------------------------------------- */

/* The newest evidence of the window. */
static dv_result evidence_of(watch *w, const watched *one, const char *values, const window *at,
                             json_t *out)
{
    dv_auto(statement) dv_statement *row = NULL;
    dv_result result;
    DV_TRY(dv_store_query(w->services->store, &row, w->error,
                          "SELECT evidence FROM audit_alert_bucket WHERE alert = ?1"
                          " AND group_values = ?2 AND bucket >= ?3 AND bucket < ?4"
                          " ORDER BY bucket DESC",
                          "ttii", one->alert.name, values, at->start_ms, at->end_ms));
    while ((result = dv_statement_step(row, w->error)) == DV_OK) {
        dv_slice text = dv_column_slice(row, 0);
        json_t *list = json_loadb((const char *)text.ptr, text.len, 0, NULL);
        for (size_t i = 0; i < json_array_size(list) && json_array_size(out) < EVIDENCE_MAX; i++) {
            json_array_append(out, json_array_get(list, i));
        }
        json_decref(list);
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* "many-refusals: 12 > 5 in 10m, user alice" */
static const char *title_of(const watch *w, const watched *one, const json_t *group,
                            const window *at, bool resolved)
{
    const char *name;
    json_t *value;
    json_t *over = dv_alert_duration_json(one->alert.over_ms);
    const char *title = dv_arena_printf(
        w->arena,
        resolved ? "%s: no longer over its threshold (%.10g, %s in %s)"
                 : "%s: %.10g (threshold %s) in %s",
        one->alert.name, (double)at->amount / 1000, one->alert.threshold, json_string_value(over));
    json_decref(over);
    json_object_foreach((json_t *)(uintptr_t)group, name, value)
    {
        dv_auto(free) char *text = json_is_string(value)
                                       ? strdup(json_string_value(value))
                                       : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        if (title != NULL && text != NULL) {
            title = dv_arena_printf(w->arena, "%s, %s %.128s", title, name, text);
        }
    }
    return title;
}

typedef struct telling {
    const watched *one;
    const char *values;
    const char *uid;
    window at;
    bool resolved;
} telling;

static dv_result write_record(watch *w, const telling *t, const json_t *group,
                              const json_t *evidence, dv_buf *out)
{
    const dv_alert *alert = &t->one->alert;
    json_t *names = dv_alert_names_json(alert->notify);
    dv_auto(free) char *notify = json_dumps(names, JSON_COMPACT);
    dv_auto(free) char *group_text = json_dumps(group, JSON_COMPACT);
    dv_auto(free) char *evidence_text = json_dumps(evidence, JSON_COMPACT);
    json_decref(names);
    const dv_event_alert event = {
        .time = w->now_ms * DV_MILLISECOND,
        .resolved = t->resolved,
        .name = alert->name,
        .uid = t->uid,
        .title = title_of(w, t->one, group, &t->at, t->resolved),
        .query = alert->query,
        .threshold = alert->threshold,
        .severity_id = (int)alert->severity,
        .value = (double)t->at.amount / 1000,
        .start_ms = t->at.start_ms,
        .end_ms = t->at.end_ms,
        .group = dv_slice_str(group_text),
        .notify = dv_slice_str(notify),
        .evidence = dv_slice_str(evidence_text),
    };
    return dv_event_alert_write(out, &event);
}

static dv_result tell(watch *w, const telling *t)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    json_t *group = dv_alert_group_json(&t->one->plan, t->values);
    json_t *evidence = json_array();
    dv_result result = group == NULL || evidence == NULL
                           ? DV_ERR_NO_MEMORY
                           : evidence_of(w, t->one, t->values, &t->at, evidence);
    if (result == DV_OK) {
        result = write_record(w, t, group, evidence, &record);
    }
    json_decref(group);
    json_decref(evidence);
    DV_TRY(result);
    return dv_store_run(w->services->store, w->error,
                        "INSERT INTO audit_alert_outbox (uid, code, record, started)"
                        " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (uid, code) DO NOTHING",
                        "ttsi", t->uid, t->resolved ? "alert.resolved" : "alert.raised",
                        dv_buf_slice(&record), w->services->started);
}

/* The same for the same alert, group and window, whenever this node computes it. It stays in the
 * log when the group's values, which are sealed, are erased: only who has the master key can try
 * whether it is of somebody, and two of one person look no more alike than others. NULL: no memory.
 */
static const char *uid_of(const watch *w, const watched *one, const char *values, const window *at)
{
    enum { MASTER_KEY_LEN = 32, UID_LEN = 16 };
    uint8_t key[DV_HMAC_KEY_LEN], mac[DV_SHA256_LEN];
    dv_auto(buf) dv_buf hex = dv_buf_init(2 * UID_LEN + 1);
    dv_slice master = dv_slice_of(w->services->master_key, MASTER_KEY_LEN);
    const char *text =
        dv_arena_printf(w->arena, "%s/%lld/%s", one->alert.name, (long long)at->start_ms, values);
    if (text == NULL ||
        dv_hkdf(master, dv_slice_str(NULL), "dvara alert uid", key, sizeof(key)) != DV_OK) {
        return NULL;
    }
    dv_hmac_sha256(dv_slice_of(key, sizeof(key)), dv_slice_str(text), mac);
    dv_wipe(key, sizeof(key));
    return dv_hex_encode(dv_slice_of(mac, UID_LEN), &hex) == DV_OK
               ? dv_arena_printf(w->arena, "alert/%s/%s/%lld", one->alert.name, dv_buf_cstr(&hex),
                                 (long long)at->start_ms)
               : NULL;
}

static dv_result raise_alert(watch *w, const watched *one, const char *values, const window *at)
{
    telling t = {.one = one, .values = values, .uid = uid_of(w, one, values, at), .at = *at};
    if (t.uid == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_store_run(w->services->store, w->error,
                        "INSERT INTO audit_alert_group"
                        " (alert, group_values, uid, fired, resolved, amount, suppressed)"
                        " VALUES (?1, ?2, ?3, ?4, 0, ?5, 0) ON CONFLICT (alert, group_values)"
                        " DO UPDATE SET uid = ?3, fired = ?4, resolved = 0, amount = ?5",
                        "tttii", one->alert.name, values, t.uid, at->end_ms, at->amount));
    return tell(w, &t);
}

/* A group that was told within the cooldown stays quiet; so does an older window that late events
 * filled. */
static dv_result consider(watch *w, const watched *one, const char *values, const window *at)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(w->services->store, &row, w->error,
                          "SELECT fired FROM audit_alert_group WHERE alert = ?1"
                          " AND group_values = ?2",
                          "tt", one->alert.name, values));
    dv_result result = dv_statement_step(row, w->error);
    int64_t since = result == DV_OK ? at->end_ms - dv_column_int(row, 0) : INT64_MAX;
    if (since <= 0 || since < one->alert.cooldown_ms) {
        return dv_store_run(w->services->store, w->error,
                            "UPDATE audit_alert_group SET suppressed = suppressed + 1"
                            " WHERE alert = ?1 AND group_values = ?2",
                            "tt", one->alert.name, values);
    }
    return result == DV_OK || result == DV_ERR_NOT_FOUND ? raise_alert(w, one, values, at) : result;
}

typedef struct judge {
    watch *w;
    const watched *one;
    dv_result result;
} judge;

static void judge_group(void *data, int64_t bucket_ms, dv_slice values, double value)
{
    judge *j = data;
    dv_slice copy;
    window at;
    if (j->result != DV_OK || bucket_ms == INT64_MIN) {
        return;
    }
    j->result = dv_arena_copy(j->w->arena, values, &copy);
    if (j->result == DV_OK) {
        j->result = find_window(j->w, j->one, (const char *)copy.ptr, bucket_ms, &at);
    }
    if (j->result == DV_OK && at.start_ms != 0) {
        j->result = consider(j->w, j->one, (const char *)copy.ptr, &at);
    }
}

/* -- under the threshold again ----------------------------------------------------------------- */

/* What time it is for the groups: that of the events, but no clock that runs ahead ends anything;
 * when the log was read to its end, time goes on without events. */
static int64_t present(const watch *w)
{
    int64_t told = DV_MIN(w->watermark, w->now_ms);
    return w->caught_up ? DV_MAX(told, w->now_ms - behind_ms) : told;
}

static dv_result resolve(watch *w, const watched *one, const char *values, const char *uid,
                         const window *at)
{
    telling t = {.one = one, .values = values, .uid = uid, .at = *at, .resolved = true};
    DV_TRY(dv_store_run(w->services->store, w->error,
                        "UPDATE audit_alert_group SET resolved = 1, amount = ?3 WHERE alert = ?1"
                        " AND group_values = ?2",
                        "tti", one->alert.name, values, at->amount));
    return tell(w, &t);
}

typedef struct firing {
    const char *values, *uid;
} firing;

/* The groups over their threshold, read before any of them changes. */
static dv_result read_firing(watch *w, const watched *one, firing **ret_groups, size_t *ret_count)
{
    size_t capacity = 0, count = 0;
    firing *groups = NULL;
    dv_slice copy;
    dv_result result;
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(w->services->store, &row, w->error,
                          "SELECT group_values, uid FROM audit_alert_group WHERE alert = ?1"
                          " AND resolved = 0 LIMIT ?2",
                          "ti", one->alert.name, (int64_t)GROUPS_MAX));
    while ((result = dv_statement_step(row, w->error)) == DV_OK) {
        groups = dv_arena_grow(w->arena, groups, count, &capacity, sizeof(*groups), 8);
        if (groups == NULL || dv_arena_copy(w->arena, dv_column_slice(row, 0), &copy) != DV_OK) {
            return DV_ERR_NO_MEMORY;
        }
        groups[count].values = (const char *)copy.ptr;
        DV_TRY(dv_arena_copy(w->arena, dv_column_slice(row, 1), &copy));
        groups[count++].uid = (const char *)copy.ptr;
    }
    *ret_groups = groups;
    *ret_count = count;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_result resolve_groups(watch *w, const watched *one)
{
    firing *groups = NULL;
    size_t count = 0;
    int64_t now = present(w);
    int64_t end = now - now % one->plan.slice_ms + one->plan.slice_ms;
    DV_TRY(read_firing(w, one, &groups, &count));
    for (size_t i = 0; i < count; i++) {
        window at;
        DV_TRY(sum_of_window(w, one, groups[i].values, end, &at));
        if (!dv_alert_crosses(&one->plan, at.amount)) {
            DV_TRY(resolve(w, one, groups[i].values, groups[i].uid, &at));
        }
    }
    return DV_OK;
}

/* What no window and no cooldown needs any more. */
static dv_result forget(watch *w, const watched *one)
{
    int64_t before = w->watermark - one->alert.over_ms - late_ms - one->plan.slice_ms;
    DV_TRY(dv_store_run(w->services->store, w->error,
                        "DELETE FROM audit_alert_bucket WHERE alert = ?1 AND bucket < ?2", "ti",
                        one->alert.name, before));
    return dv_store_run(w->services->store, w->error,
                        "DELETE FROM audit_alert_group WHERE alert = ?1 AND resolved = 1"
                        " AND fired < ?2",
                        "ti", one->alert.name, before - one->alert.cooldown_ms);
}

/* -- one look ---------------------------------------------------------------------------------- */

static dv_result judge_alert(watch *w, watched *one)
{
    if (one->counts != NULL) {
        keeper k = {w, one, DV_OK};
        judge j = {w, one, DV_OK};
        dv_aggregate_each(one->counts, keep_group, &k);
        DV_TRY(k.result);
        dv_aggregate_each(one->counts, judge_group, &j);
        DV_TRY(j.result);
    }
    DV_TRY(resolve_groups(w, one));
    return forget(w, one);
}

static dv_result write_all(watch *w)
{
    for (size_t i = 0; i < w->count; i++) {
        if (w->alerts[i].usable) {
            DV_TRY(judge_alert(w, &w->alerts[i]));
        }
    }
    return save_place(w);
}

static dv_result count_rows(const watch *w, const char *sql, int64_t *ret_count)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(w->services->store, &row, w->error, sql, ""));
    DV_TRY(dv_statement_step(row, w->error));
    *ret_count = dv_column_int(row, 0);
    return DV_OK;
}

/* Whether there is anything to write: matches, groups that may end, or a place that is old. */
static dv_result is_due(watch *w, bool *ret_due)
{
    int64_t firing_groups = 0;
    DV_TRY(
        count_rows(w, "SELECT count(*) FROM audit_alert_group WHERE resolved = 0", &firing_groups));
    *ret_due = w->touched || firing_groups > 0 ||
               (!dv_places_same(&w->next, &w->first_next) &&
                w->now_ms - w->place->saved_ms >= save_every_ms);
    return DV_OK;
}

static dv_result look(watch *w, bool *ret_due)
{
    DV_TRY(read_feed(w));
    DV_TRY(is_due(w, ret_due));
    return *ret_due ? write_all(w) : DV_OK;
}

static dv_result look_in_transaction(watch *w)
{
    bool due = false;
    DV_TRY(dv_store_begin(w->services->store, w->error));
    dv_result result = look(w, &due);
    result = result == DV_OK ? dv_store_commit(w->services->store, w->error) : result;
    w->place->known = result == DV_OK;
    if (result != DV_OK) {
        dv_store_rollback(w->services->store);
        return result;
    }
    w->place->next = w->next;
    w->place->watermark = w->watermark;
    w->place->saved_ms = due ? w->now_ms : w->place->saved_ms;
    return DV_OK;
}

/* -- the outbox -------------------------------------------------------------------------------- */

static dv_result send(const watch *w, dv_slice uid, dv_slice code, dv_slice record)
{
    const dv_event_sink *events = &w->services->events;
    DV_TRY(events->append(events->data, record));
    return dv_store_run(w->services->store, w->error,
                        "DELETE FROM audit_alert_outbox WHERE uid = ?1 AND code = ?2", "ss", uid,
                        code);
}

/* What this process decided goes at once, what an earlier one left when it is surely not there. */
static dv_result next_of_outbox(watch *w, dv_slice out[3])
{
    dv_auto(statement) dv_statement *row = NULL;
    bool settled = w->caught_up && w->now_ms * DV_MILLISECOND - w->services->started > settle;
    DV_TRY(dv_store_query(w->services->store, &row, w->error,
                          "SELECT uid, code, record FROM audit_alert_outbox WHERE started = ?1"
                          " OR 1 = ?2 ORDER BY code, uid LIMIT 1",
                          "ii", w->services->started, (int64_t)settled));
    DV_TRY(dv_statement_step(row, w->error));
    for (int i = 0; i < 3; i++) {
        DV_TRY(dv_arena_copy(w->arena, dv_column_slice(row, i), &out[i]));
    }
    return DV_OK;
}

static dv_result send_outbox(watch *w)
{
    for (int i = 0; i < OUTBOX_AT_ONCE; i++) {
        dv_slice row[3];
        dv_result result = next_of_outbox(w, row);
        if (result == DV_ERR_NOT_FOUND) {
            return DV_OK;
        }
        DV_TRY(result);
        DV_TRY(send(w, row[0], row[1], row[2]));
    }
    return DV_OK;
}

static dv_result run(watch *w, bool *ret_more)
{
    DV_TRY(load_place(w));
    DV_TRY(load_alerts(w));
    if (w->count == 0) {
        /* Nothing was looked at from here on: the next alert begins where it says. */
        w->caught_up = true;
        w->place->known = false;
        DV_TRY(w->placed
                   ? dv_store_run(w->services->store, w->error, "DELETE FROM audit_alert_place", "")
                   : DV_OK);
    } else {
        DV_TRY(look_in_transaction(w));
    }
    *ret_more = !w->caught_up;
    return send_outbox(w);
}

dv_result dv_audit_alerts_tick(dv_services *services, dv_audit_place *place, dv_time now,
                               bool *ret_more, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(MEMORY);
    dv_auto(arena) dv_arena *event_arena = dv_arena_new(EVENT_MEMORY);
    watch w = {.services = services,
               .place = place,
               .arena = arena,
               .event_arena = event_arena,
               .now_ms = now / DV_MILLISECOND,
               .error = error};
    *ret_more = false;
    if (arena == NULL || event_arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = run(&w, ret_more);
    for (size_t i = 0; i < w.count; i++) {
        if (w.alerts[i].counts != NULL) {
            dv_aggregate_free(w.alerts[i].counts);
        }
        json_decref(w.alerts[i].evidence);
    }
    return result;
}
