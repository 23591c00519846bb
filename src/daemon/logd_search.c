/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logd_search.h"

#include "daemon/logd_logs.h"
#include "engine/log/places.h"
#include "engine/log/query_aggregate.h"
#include "engine/log/seal_search.h"

#include "base/codec.h"
#include "engine/log/entry.h"

#include <inttypes.h>
#include <limits.h>

enum {
    QUERY_MEMORY = 4 << 20,
    LIMIT_DEFAULT = 100,
    LIMIT_MAX = 1000,
    ROWS_MAX = 10000,
    BUDGET_MS_DEFAULT = 1000,
    BUDGET_MS_MAX = 10000,
    PAGE_BYTES = 4 << 20, /* a page ends before it would be longer */
    EVENT_MAX = 256 << 10,
};

/* What is asked for. */
typedef struct asked {
    dv_slice query;
    dv_slice log;    /* or empty: all */
    dv_slice cursor; /* or empty */
    int64_t limit;
    int64_t now_ms, since_ms, until_ms;
    int64_t budget_ms;
    bool oldest_first;
    bool state;
} asked;

/* -- the request ------------------------------------------------------------------------------- */

static dv_result read_text(const dv_json *json, const char *name, dv_arena *arena, dv_slice *out,
                           dv_error *error)
{
    uint32_t token = dv_json_member(json, 0, name);
    if (token == 0) {
        return DV_OK;
    }
    return dv_json_string(json, token, arena, out) == DV_OK
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID, "%s must be a text", name);
}

static dv_result read_number(const dv_json *json, const char *name, int64_t least, int64_t most,
                             int64_t *out, dv_error *error)
{
    uint32_t token = dv_json_member(json, 0, name);
    int64_t value;
    if (token == 0) {
        return DV_OK;
    }
    if (dv_json_int(json, token, &value) != DV_OK || value < least || value > most) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "%s must be a number from %" PRId64 " to %" PRId64, name, least, most);
    }
    *out = value;
    return DV_OK;
}

static dv_result read_order(const dv_json *json, dv_arena *arena, bool *out, dv_error *error)
{
    dv_slice order = DV_LIT("newest");
    DV_TRY(read_text(json, "order", arena, &order, error));
    *out = dv_slice_eq_str(order, "oldest");
    return *out || dv_slice_eq_str(order, "newest")
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID, "order must be newest or oldest");
}

static dv_result read_request(dv_slice request, dv_arena *arena, asked *out, dv_error *error)
{
    static const dv_json_limits limits = {.depth = 4, .tokens = 256, .refuse_duplicate_keys = true};
    dv_json json;
    DV_TRY(dv_json_scan(request, &limits, arena, &json, error));
    *out = (asked){.limit = LIMIT_DEFAULT,
                   .budget_ms = BUDGET_MS_DEFAULT,
                   .now_ms = dv_time_now() / DV_MILLISECOND};
    DV_TRY(read_text(&json, "query", arena, &out->query, error));
    DV_TRY(read_text(&json, "log", arena, &out->log, error));
    DV_TRY(read_text(&json, "cursor", arena, &out->cursor, error));
    DV_TRY(read_number(&json, "limit", 1, ROWS_MAX, &out->limit, error));
    DV_TRY(read_number(&json, "now_ms", 0, INT64_MAX / DV_MILLISECOND, &out->now_ms, error));
    DV_TRY(read_number(&json, "since_ms", 0, INT64_MAX, &out->since_ms, error));
    DV_TRY(read_number(&json, "until_ms", 0, INT64_MAX, &out->until_ms, error));
    DV_TRY(read_number(&json, "budget_ms", 1, BUDGET_MS_MAX, &out->budget_ms, error));
    DV_TRY(read_order(&json, arena, &out->oldest_first, error));
    uint32_t state = dv_json_member(&json, 0, "state");
    out->state = state != 0 && json.tokens[state].type == DV_JSON_TRUE;
    return DV_OK;
}

/* -- the logs ---------------------------------------------------------------------------------- */

/* Of one log, what the page may show. */
typedef struct part {
    const dv_log_tree *log;
    char folder[PATH_MAX];
    uint64_t from;         /* as dv_search.from */
    dv_search_stats stats; /* of this search */
    struct found {
        uint64_t index;
        int64_t time_ms;
        size_t start, len; /* in text */
    } * found;
    size_t count, taken;
    dv_buf text;
} part;

typedef struct page {
    const dv_logd_searched *logs;
    const asked *asked;
    const dv_query *query;
    dv_seal_search *eyes;
    part *parts;
    size_t part_count;
    size_t most;             /* events of the page */
    dv_aggregate *aggregate; /* NULL: the events themselves are wanted */
    dv_buf *out;
    dv_error *error;
} page;

static void page_release(page *p)
{
    for (size_t i = 0; i < p->part_count; i++) {
        free(p->parts[i].found);
        dv_buf_release(&p->parts[i].text);
    }
    free(p->parts);
    p->parts = NULL;
    p->part_count = 0;
}
DV_DEFINE_AUTO(page, page, page_release)

static bool is_asked(const page *p, const dv_log_tree *log)
{
    return p->asked->log.len == 0 || dv_slice_eq_str(p->asked->log, log->name);
}

static dv_result open_parts(page *p)
{
    const dv_logd_searched *logs = p->logs;
    p->parts = calloc(logs->log_count + 1, sizeof(*p->parts));
    if (p->parts == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < logs->log_count; i++) {
        part *one = &p->parts[p->part_count];
        if (!is_asked(p, &logs->logs[i])) {
            continue;
        }
        one->log = &logs->logs[i];
        DV_TRY(dv_logd_log_folder(logs->folder, one->log->name, one->folder, p->error));
        one->text = dv_buf_init(PAGE_BYTES + EVENT_MAX);
        p->part_count++;
    }
    return p->part_count > 0 ? DV_OK
                             : dv_error_set(p->error, DV_ERR_NOT_FOUND, "there is no log %.*s",
                                            DV_SLICE_ARGS(dv_slice_sub(p->asked->log, 0, 64)));
}

/* -- cursors: "n.PLACES.NOW" or "o.PLACES.NOW" (engine/log/places.h) -----------------------------
 * An index never changes its event, so that a cursor stays right while the log grows; the time it
 * began with stays, so that "last:1h" means the same on every page. A log that a cursor does not
 * name was begun later. */

static dv_result bad_cursor(dv_error *error)
{
    return dv_error_set(error, DV_ERR_INVALID,
                        "the cursor (--after) is none that this search gave");
}

static dv_result read_cursor(asked *a, dv_places *ret_places, dv_error *error)
{
    dv_slice rest = a->cursor, order, places, now;
    uint64_t now_ms;
    if (!dv_slice_split(&rest, '.', &order) ||
        !dv_slice_eq_str(order, a->oldest_first ? "o" : "n") ||
        !dv_slice_split(&rest, '.', &places) || !dv_slice_split(&rest, '.', &now) ||
        rest.ptr != NULL || dv_decimal_parse(now, &now_ms) != DV_OK ||
        now_ms > (uint64_t)(INT64_MAX / DV_MILLISECOND) || places.len == 0 ||
        dv_places_read(places, ret_places) != DV_OK) {
        return bad_cursor(error);
    }
    a->now_ms = (int64_t)now_ms;
    return DV_OK;
}

/* Where to begin in each log: the cursor's place, or the log's end that is asked for. */
static dv_result find_starts(asked *a, page *p)
{
    dv_places places = {.count = 0};
    bool fresh = a->cursor.len == 0;
    if (!fresh) {
        DV_TRY(read_cursor(a, &places, p->error));
    }
    for (size_t i = 0; i < p->part_count; i++) {
        part *one = &p->parts[i];
        const dv_place *place = dv_places_find(&places, dv_slice_str(one->log->name));
        one->from = place != NULL ? place->next : fresh && !a->oldest_first ? one->log->size : 0;
    }
    return DV_OK;
}

static dv_result add_cursor(const page *p, const char *name, bool oldest_first,
                            const dv_places *places)
{
    DV_TRY(dv_buf_append_printf(p->out, ",\"%s\":\"%s.", name, oldest_first ? "o" : "n"));
    DV_TRY(dv_places_write(places, p->out));
    return dv_buf_append_printf(p->out, ".%" PRId64 "\"", p->asked->now_ms);
}

/* -- one log ----------------------------------------------------------------------------------- */

typedef struct taker {
    page *page;
    part *part;
} taker;

/* Between JSON's tokens an end of line is a blank like others; here it would begin another line. */
static void keep_one_line(uint8_t *text, size_t len)
{
    for (uint8_t *at = text; (at = memchr(at, '\n', (size_t)(text + len - at))) != NULL;) {
        *at = ' ';
    }
}

static dv_result keep_event(page *p, part *one, uint64_t index, dv_slice event)
{
    if (one->found == NULL) {
        one->found = calloc(p->most, sizeof(*one->found));
    }
    if (one->found == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    struct found *found = &one->found[one->count++];
    *found = (struct found){index, dv_entry_time(event), one->text.len, event.len};
    DV_TRY(dv_buf_append(&one->text, event));
    keep_one_line(one->text.ptr + found->start, found->len);
    return one->count == p->most || one->text.len > PAGE_BYTES / p->part_count ? DV_ERR_AGAIN
                                                                               : DV_OK;
}

static dv_result take_match(void *data, uint64_t index, dv_query_event *event, dv_arena *arena)
{
    const taker *t = data;
    return t->page->aggregate != NULL ? dv_aggregate_add(t->page->aggregate, event, arena)
                                      : keep_event(t->page, t->part, index, event->text);
}

static dv_result search_part(page *p, part *one, dv_time until)
{
    taker t = {p, one};
    const dv_search what = {
        .query = p->query,
        .reader = dv_seal_search_reader(p->eyes),
        .size = one->log->size,
        .minimum = one->log->minimum,
        .from = one->from,
        .oldest_first = p->asked->oldest_first,
        .until = until,
        .visit = take_match,
        .data = &t,
        .aggregate = p->aggregate,
    };
    return dv_log_search(one->folder, &what, &one->stats, p->error);
}

/* Each log gets its share of the time that is left. */
static dv_result search_parts(page *p)
{
    dv_time end = dv_time_monotonic() + p->asked->budget_ms * DV_MILLISECOND;
    for (size_t i = 0; i < p->part_count; i++) {
        dv_time now = dv_time_monotonic();
        dv_time share = DV_MAX(end - now, 0) / (dv_time)(p->part_count - i);
        DV_TRY(search_part(p, &p->parts[i], now + DV_MAX(share, DV_MILLISECOND)));
    }
    return DV_OK;
}

/* -- all of them, by time ---------------------------------------------------------------------- */

/* NULL: nothing is left of it. */
static const struct found *head_of(const part *one)
{
    return one->taken < one->count ? &one->found[one->taken] : NULL;
}

/* The log whose turn it is; NULL: none, or there may be one that has not been found yet. */
static part *next_part(const page *p)
{
    part *best = NULL;
    for (size_t i = 0; i < p->part_count; i++) {
        part *one = &p->parts[i];
        const struct found *head = head_of(one);
        if (head == NULL && !one->stats.done) {
            return NULL;
        }
        if (head != NULL &&
            (best == NULL || (p->asked->oldest_first ? head->time_ms < head_of(best)->time_ms
                                                     : head->time_ms > head_of(best)->time_ms))) {
            best = one;
        }
    }
    return best;
}

static dv_result add_event(const page *p, const part *one)
{
    const struct found *found = head_of(one);
    bool main_log = strcmp(one->log->name, DV_LOG_MAIN) == 0;
    DV_TRY(dv_buf_append_printf(p->out, "{\"index\":%" PRIu64 "%s%s%s,\"event\":", found->index,
                                main_log ? "" : ",\"log\":\"", main_log ? "" : one->log->name,
                                main_log ? "" : "\""));
    DV_TRY(dv_buf_append(p->out, dv_slice_of(one->text.ptr + found->start, found->len)));
    return dv_buf_append_str(p->out, "}\n");
}

static dv_result add_events(const page *p, size_t *ret_count)
{
    size_t count = 0;
    for (part *one; count < p->most && (one = next_part(p)) != NULL; count++) {
        DV_TRY(add_event(p, one));
        one->taken++;
    }
    *ret_count = count;
    return DV_OK;
}

/* Where the next page begins in that log. */
static uint64_t place_behind(const page *p, const part *one)
{
    const struct found *head = head_of(one);
    return head == NULL ? one->stats.next : p->asked->oldest_first ? head->index : head->index + 1;
}

/* -- the answer -------------------------------------------------------------------------------- */

static dv_result add_aggregate(const page *p)
{
    if (!p->asked->state) {
        DV_TRY(dv_aggregate_rows(p->aggregate, (uint64_t)p->asked->limit, p->out));
        return dv_buf_append_byte(p->out, '\n');
    }
    DV_TRY(dv_buf_append_str(p->out, "{\"state\":"));
    DV_TRY(dv_aggregate_save(p->aggregate, p->out));
    return dv_buf_append_str(p->out, "}\n");
}

static dv_result add_stats(const page *p, bool enough)
{
    dv_places next = {.count = 0}, ends = {.count = 0};
    uint64_t scanned = 0, matched = 0;
    bool done = true;
    for (size_t i = 0; i < p->part_count; i++) {
        const part *one = &p->parts[i];
        dv_slice name = dv_slice_str(one->log->name);
        scanned += one->stats.scanned;
        matched += one->stats.matched - (one->count - one->taken); /* those come again */
        done = done && one->stats.done && head_of(one) == NULL;
        DV_TRY(dv_places_set(&next, name, place_behind(p, one)));
        DV_TRY(dv_places_set(&ends, name, one->log->size));
    }
    done = done || enough;
    DV_TRY(dv_buf_append_printf(
        p->out, "{\"stats\":{\"scanned\":%" PRIu64 ",\"matched\":%" PRIu64 ",\"complete\":%s}",
        scanned, matched, done ? "true" : "false"));
    if (!done || p->asked->oldest_first) {
        DV_TRY(add_cursor(p, "next", p->asked->oldest_first, &next));
    }
    if (!p->asked->oldest_first && p->asked->cursor.len == 0) {
        DV_TRY(add_cursor(p, "newer", true, &ends));
    }
    return dv_buf_append_str(p->out, "}\n");
}

static dv_result search(page *p)
{
    size_t count = 0;
    uint64_t limit = p->query->stages.limit;
    dv_auto(seal_search) dv_seal_search *eyes = NULL;
    dv_auto(aggregate) dv_aggregate *aggregate = NULL;
    p->most = (size_t)DV_MIN(p->asked->limit, LIMIT_MAX);
    if (p->query->stages.measure_count > 0) {
        DV_TRY(dv_aggregate_new(p->query, &aggregate));
        p->aggregate = aggregate;
    } else if (limit > 0) {
        p->most = (size_t)DV_MIN((uint64_t)p->most, limit);
    }
    DV_TRY(dv_seal_search_new(p->logs->subjects, &eyes));
    p->eyes = eyes;
    DV_TRY(search_parts(p));
    DV_TRY(aggregate != NULL ? add_aggregate(p) : add_events(p, &count));
    /* As many as the search itself asks for. */
    return add_stats(p, limit > 0 && count == p->most && limit <= (uint64_t)p->asked->limit);
}

dv_result dv_logd_search(const dv_logd_searched *logs, dv_slice request, dv_buf *out,
                         dv_error *error)
{
    asked a;
    dv_auto(page) page p = {.logs = logs, .asked = &a, .out = out, .error = error};
    dv_auto(arena) dv_arena *arena = dv_arena_new(QUERY_MEMORY);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(read_request(request, arena, &a, error));
    DV_TRY(open_parts(&p));
    DV_TRY(find_starts(&a, &p));
    const dv_query_options options = {
        .now = a.now_ms * DV_MILLISECOND, .since_ms = a.since_ms, .until_ms = a.until_ms};
    DV_TRY(dv_query_parse(a.query, &options, arena, &p.query, error));
    dv_result result = search(&p);
    return result == DV_ERR_TOO_LARGE
               ? dv_error_set(error, result, "the answer is too large: group by less")
               : result;
}
