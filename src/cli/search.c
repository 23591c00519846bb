/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara audit search`: pages through the answers, merges the states of aggregations, prints
 * events, rows and histograms. */
#include "api/commands.h"
#include "base/codec.h"
#include "cli/histogram.h"
#include "cli/visible.h"
#include "engine/log/query_aggregate.h"

#include <unistd.h>

enum { QUERY_MEMORY = 4 << 20, FOLLOW_MS = 500, PAGE_MAX = 1000, TEXT_MAX = 4096 };

static const char *const usual_columns[] = {"when",    "event",   "who", "what",
                                            "outcome", "request", NULL};

typedef struct searching {
    dv_cli *cli;
    const json_t *params;
    const dv_query *query;
    dv_aggregate *aggregate; /* NULL: events are shown */
    json_t *body;
    json_t *items;        /* kept until the end, for an aligned table */
    const char **columns; /* NULL-ended */
    int64_t left;
    bool dropped;  /* events of a page that held more than was wanted */
    json_t *next;  /* the place behind what was asked for, when there may be more */
    json_t *nodes; /* what the last answer says of them; NULL: this one alone is searched */
    int64_t scanned, matched, took_ms;
    dv_time started;
} searching;

static const char *text_of(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

/* ---- what is asked ---- */

/* A mistake in the search is shown where it stands, before anything is asked. */
static int tell_mistake(dv_cli *cli, const char *text, const dv_error *error)
{
    dv_auto(buf) dv_buf pointer = dv_buf_init(2 * TEXT_MAX + 64);
    dv_error plain = *error;
    plain.line = 0;
    (void)dv_cli_fail(cli, &plain);
    if (error->column > 0 && dv_query_point_at(dv_slice_str(text), error, &pointer) == DV_OK) {
        dv_visible_write_slice(cli->err, dv_buf_slice(&pointer));
    }
    return DV_EXIT_USAGE;
}

/* A histogram counts in buckets of time; the search may not count by itself then. */
static dv_result text_with_histogram(const json_t *params, dv_arena *arena, const char **ret_text,
                                     dv_error *error)
{
    const char *text = text_of(params, "query");
    const char *histogram = text_of(params, "histogram");
    if (histogram == NULL) {
        *ret_text = text;
        return DV_OK;
    }
    if (strchr(text, '|') != NULL) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "--histogram counts by itself: leave out what stands behind the bar");
    }
    bool automatic = strcmp(histogram, "auto") == 0;
    *ret_text =
        dv_arena_printf(arena, "%s | count over %s", text,
                        automatic ? dv_histogram_width(text_of(params, "since"), text) : histogram);
    return *ret_text != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* Which nodes are asked; NULL: this one alone. A new reference. */
static json_t *wanted_nodes(const json_t *params)
{
    const json_t *named = json_object_get(params, "node");
    if (json_array_size(named) > 0) {
        return json_copy((json_t *)(uintptr_t)named);
    }
    return json_is_true(json_object_get(params, "nodes")) ? json_pack("[s]", "*") : NULL;
}

static bool asks_nodes(const searching *s)
{
    return json_object_get(s->body, "nodes") != NULL;
}

static json_t *make_body(const searching *s, const char *text)
{
    bool oldest = json_is_true(json_object_get(s->params, "oldest"));
    json_t *body = json_pack("{s:s,s:I,s:s,s:b}", "query", text, "limit",
                             (json_int_t)DV_MIN(s->left, (int64_t)PAGE_MAX), "order",
                             oldest ? "oldest" : "newest", "state", s->aggregate != NULL);
    static const char *const fields[][2] = {
        {"since", "since"}, {"until", "until"}, {"after", "cursor"}};
    for (size_t i = 0; i < DV_ARRAY_LEN(fields) && body != NULL; i++) {
        const char *value = text_of(s->params, fields[i][0]);
        if (value != NULL) {
            json_object_set_new(body, fields[i][1], json_string(value));
        }
    }
    json_t *nodes = wanted_nodes(s->params);
    if (nodes != NULL) {
        json_object_set_new(body, "nodes", nodes);
    }
    return body;
}

/* ---- one page after the other ---- */

/* Fields of the language that are shown as columns: {"user": "alice"}. */
typedef struct collected {
    json_t *list;
    const dv_query_field *field;
} collected;

static bool collect_value(void *data, const dv_json *json, uint32_t token)
{
    const collected *c = data;
    dv_slice raw = dv_json_raw(json, token);
    bool text = json->tokens[token].type == DV_JSON_STRING;
    const char *from = (const char *)raw.ptr - (text ? 1 : 0);
    json_t *value = json_loadb(from, raw.len + (text ? 2 : 0), JSON_DECODE_ANY, NULL);
    return value != NULL && json_array_append_new(c->list, value) == 0;
}

static dv_result add_field(const dv_json *json, dv_slice name, dv_arena *arena, json_t *item,
                           dv_error *error)
{
    char column[256];
    collected c = {.list = json_array()};
    DV_TRY(dv_query_field_find(name, arena, &c.field, error));
    (void)dv_query_values(c.field, true, json, collect_value, &c);
    dv_slice_copy(name, column, sizeof(column));
    json_t *value = json_array_size(c.list) == 1   ? json_incref(json_array_get(c.list, 0))
                    : json_array_size(c.list) == 0 ? json_null()
                                                   : json_incref(c.list);
    json_decref(c.list);
    return json_object_set_new(item, column, value) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* The item with the chosen fields alone. */
static dv_result choose_fields(const searching *s, const json_t *item, json_t **ret_item,
                               dv_error *error)
{
    const json_t *fields = json_object_get(s->params, "fields");
    dv_auto(arena) dv_arena *arena = dv_arena_new(QUERY_MEMORY);
    dv_auto(free) char *text = json_dumps(item, JSON_COMPACT);
    json_t *chosen = json_object();
    const dv_json *json = NULL;
    if (arena == NULL || text == NULL || chosen == NULL) {
        json_decref(chosen);
        return DV_ERR_NO_MEMORY;
    }
    dv_query_event event = dv_query_event_of(dv_slice_str(text));
    dv_result result = dv_query_event_json(&event, arena, &json);
    for (size_t i = 0; i < json_array_size(fields) && result == DV_OK && json != NULL; i++) {
        const char *name = json_string_value(json_array_get(fields, i));
        json_t *own = json_object_get(item, name); /* "when", "who": of the summary */
        result = own != NULL && strchr(name, '.') == NULL && json_is_string(own)
                     ? (json_object_set(chosen, name, own) == 0 ? DV_OK : DV_ERR_NO_MEMORY)
                     : add_field(json, dv_slice_str(name), arena, chosen, error);
    }
    if (result != DV_OK) {
        json_decref(chosen);
        return result;
    }
    *ret_item = chosen;
    return DV_OK;
}

static dv_result keep_item(searching *s, json_t *item, json_t *into, dv_error *error)
{
    json_t *kept = json_incref(item);
    if (json_array_size(json_object_get(s->params, "fields")) > 0) {
        json_decref(kept);
        DV_TRY(choose_fields(s, item, &kept, error));
    }
    return json_array_append_new(into, kept) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* Lines are printed as they come; a table is aligned over all its rows. */
static bool prints_as_it_comes(const searching *s)
{
    return s->cli->follow || s->cli->output == DV_OUTPUT_JSONL;
}

static dv_result print_items(searching *s, json_t *items)
{
    json_t *whole = json_pack("{s:O,s:O*}", "items", items, "next", s->next);
    dv_result result =
        whole == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(s->cli, whole, "items", s->columns);
    json_decref(whole);
    s->cli->headless = true;
    return result;
}

static dv_result take_items(searching *s, const json_t *page, dv_error *error)
{
    size_t i;
    json_t *item;
    json_t *into = prints_as_it_comes(s) ? json_array() : json_incref(s->items);
    dv_result result = into == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    json_array_foreach(json_object_get(page, "items"), i, item)
    {
        if (result == DV_OK && s->left > 0) {
            result = keep_item(s, item, into, error);
            s->left -= s->cli->follow ? 0 : 1;
        } else if (result == DV_OK) {
            s->dropped = true;
        }
    }
    if (result == DV_OK && prints_as_it_comes(s) && json_array_size(into) > 0) {
        result = print_items(s, into);
    }
    json_decref(into);
    return result;
}

/* Of several nodes the state comes once all have counted. */
static dv_result take_state(const searching *s, const json_t *page, dv_error *error)
{
    if (asks_nodes(s) && json_object_get(page, "state") == NULL) {
        return DV_OK;
    }
    dv_auto(free) char *text = json_dumps(json_object_get(page, "state"), JSON_COMPACT);
    return text == NULL ? DV_ERR_CORRUPT
                        : dv_aggregate_merge(s->aggregate, dv_slice_str(text), error);
}

static void add_stats(searching *s, const json_t *page)
{
    const json_t *stats = json_object_get(page, "stats");
    s->scanned += json_integer_value(json_object_get(stats, "scanned"));
    s->matched += json_integer_value(json_object_get(stats, "matched"));
    if (json_object_get(page, "nodes") != NULL) {
        json_decref(s->nodes);
        s->nodes = json_incref(json_object_get(page, "nodes"));
    }
}

static void show_progress(const searching *s)
{
    if (!s->cli->follow && isatty(fileno(s->cli->err)) == 1) {
        fprintf(s->cli->err, "\r%lld events looked at, %lld matched\033[K", (long long)s->scanned,
                (long long)s->matched);
    }
}

/* A page holds no more than is still wanted: what is behind it is the place to go on from. */
static void ask_for_the_rest(const searching *s)
{
    json_object_set_new(s->body, "limit", json_integer(DV_MIN(s->left, (int64_t)PAGE_MAX)));
}

/* Goes to the end of the search, or for ever. */
static dv_result fetch_pages(searching *s, dv_error *error)
{
    for (;;) {
        json_t *page = NULL;
        DV_TRY(dv_cli_call(s->cli, "audit_search", NULL, s->body, &page, error));
        dv_result result =
            s->aggregate != NULL ? take_state(s, page, error) : take_items(s, page, error);
        add_stats(s, page);
        bool complete = json_is_true(json_object_get(json_object_get(page, "stats"), "complete"));
        json_t *next = json_incref(json_object_get(page, "next"));
        json_decref(page);
        bool end = next == NULL || (complete && !s->cli->follow);
        if (result != DV_OK || end || s->left <= 0) {
            s->next = end || s->dropped ? NULL : json_incref(next);
            json_decref(next);
            return result;
        }
        json_object_set_new(s->body, "cursor", next);
        ask_for_the_rest(s);
        if (complete) {
            usleep(FOLLOW_MS * 1000);
        } else {
            show_progress(s);
        }
    }
}

/* ---- following ---- */

/* What matches now, the newest first; *ret_newer: where the live tail begins, behind all that. */
static dv_result print_backlog(searching *s, json_t **ret_newer, dv_error *error)
{
    json_t *page = NULL, *reversed = json_array();
    DV_TRY(dv_cli_call(s->cli, "audit_search", NULL, s->body, &page, error));
    const json_t *items = json_object_get(page, "items");
    dv_result result = reversed == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    for (size_t i = json_array_size(items); i > 0 && result == DV_OK; i--) {
        result = keep_item(s, json_array_get(items, i - 1), reversed, error);
    }
    if (result == DV_OK && json_array_size(reversed) > 0) {
        result = print_items(s, reversed);
    }
    *ret_newer = json_incref(json_object_get(page, "newer"));
    json_decref(reversed);
    json_decref(page);
    return result;
}

static dv_result follow(searching *s, dv_error *error)
{
    json_t *newer = NULL;
    json_object_set_new(s->body, "order", json_string("newest"));
    dv_result result = print_backlog(s, &newer, error);
    if (result != DV_OK || newer == NULL) {
        json_decref(newer);
        return result != DV_OK
                   ? result
                   : dv_error_set(error, DV_ERR_CORRUPT, "the server does not say how to go on");
    }
    json_object_set_new(s->body, "order", json_string("oldest"));
    json_object_set_new(s->body, "cursor", newer);
    s->left = PAGE_MAX;
    json_object_set_new(s->body, "limit", json_integer(PAGE_MAX));
    return fetch_pages(s, error);
}

/* ---- the answer ---- */

static dv_result print_rows(const searching *s, dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(256 << 20);
    const char *columns[DV_QUERY_COLUMNS_MAX + 1] = {NULL};
    DV_TRY(dv_aggregate_rows(s->aggregate, (uint64_t)s->left, &text));
    json_t *answer = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    const json_t *names = json_object_get(answer, "columns");
    for (size_t i = 0; i < json_array_size(names) && i < DV_QUERY_COLUMNS_MAX; i++) {
        columns[i] = json_string_value(json_array_get(names, i));
    }
    bool histogram = text_of(s->params, "histogram") != NULL && s->cli->output == DV_OUTPUT_TABLE;
    dv_result result = answer == NULL ? DV_ERR_NO_MEMORY
                       : histogram    ? dv_histogram_print(s->cli, json_object_get(answer, "rows"),
                                                           s->query->stages.over_ms)
                                      : dv_cli_print(s->cli, answer, "rows", columns);
    int64_t others = json_integer_value(json_object_get(answer, "others"));
    if (others > 0) {
        fprintf(s->cli->err, "dvara: %lld events are in no row: there are too many groups\n",
                (long long)others);
    }
    json_decref(answer);
    return result;
}

static void print_stats(const searching *s)
{
    double took = (double)(dv_time_monotonic() - s->started) / 1e9;
    if (!json_is_true(json_object_get(s->params, "quiet"))) {
        fprintf(s->cli->err, "%s%lld matched, %lld looked at, %.2f s\n",
                isatty(fileno(s->cli->err)) == 1 ? "\r\033[K" : "", (long long)s->matched,
                (long long)s->scanned, took);
    }
}

/* JSON and YAML have it as `next`. */
static void tell_more(const searching *s)
{
    bool inside = s->cli->output == DV_OUTPUT_JSON || s->cli->output == DV_OUTPUT_YAML;
    if (s->next != NULL && !inside && !json_is_true(json_object_get(s->params, "quiet"))) {
        fputs("dvara: there may be more: --after ", s->cli->err);
        dv_visible_write_line(s->cli->err, json_string_value(s->next));
        fputs(", or a larger --limit\n", s->cli->err);
    }
}

/* Says which nodes' events are missing; nothing else tells that the answer is not whole. */
static int tell_missing(const searching *s)
{
    size_t i;
    json_t *node;
    int code = DV_EXIT_DONE;
    json_array_foreach(s->nodes, i, node)
    {
        if (json_is_true(json_object_get(node, "missing"))) {
            fprintf(s->cli->err, "dvara: events of the node ");
            dv_visible_write_line(s->cli->err, text_of(node, "name"));
            fprintf(s->cli->err, " are missing: ");
            dv_visible_write_line(s->cli->err, text_of(node, "problem"));
            fprintf(s->cli->err, "\n");
            code = DV_EXIT_FAILED;
        }
    }
    return code;
}

/* The columns of a table and of CSV: the chosen fields, or the usual ones. */
static dv_result choose_columns(searching *s, dv_arena *arena)
{
    const json_t *fields = json_object_get(s->params, "fields");
    size_t count = json_array_size(fields);
    s->columns = dv_arena_alloc(arena, (DV_MAX(count, DV_ARRAY_LEN(usual_columns)) + 2) *
                                           sizeof(*s->columns));
    if (s->columns == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    const char **first = s->columns;
    if (asks_nodes(s) && count == 0) {
        *first++ = "node";
    }
    for (size_t i = 0; i < count; i++) {
        s->columns[i] = json_string_value(json_array_get(fields, i));
    }
    if (count == 0) {
        memcpy(first, usual_columns, sizeof(usual_columns));
    }
    return DV_OK;
}

static dv_result search(searching *s, dv_arena *arena, dv_error *error)
{
    if (s->cli->follow && s->aggregate != NULL) {
        return dv_error_set(error, DV_ERR_INVALID, "--follow shows events: it can not count them");
    }
    if (s->cli->follow && asks_nodes(s)) {
        return dv_error_set(error, DV_ERR_INVALID, "--follow shows this node alone");
    }
    if (text_of(s->params, "after") != NULL && (s->cli->follow || s->aggregate != NULL)) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "--after goes on showing events: it can neither follow nor count");
    }
    DV_TRY(choose_columns(s, arena));
    if (s->cli->follow) {
        return follow(s, error);
    }
    DV_TRY(fetch_pages(s, error));
    if (s->aggregate != NULL) {
        DV_TRY(print_rows(s, error));
    } else if (!prints_as_it_comes(s)) {
        DV_TRY(print_items(s, s->items));
    }
    print_stats(s);
    if (s->aggregate == NULL) {
        tell_more(s);
    }
    return DV_OK;
}

static dv_result prepare(searching *s, const char *text, dv_error *error)
{
    uint64_t limit = s->query->stages.limit;
    s->left = json_integer_value(json_object_get(s->params, "limit"));
    if (s->query->stages.measure_count > 0) {
        DV_TRY(dv_aggregate_new(s->query, &s->aggregate));
        s->left = 1000000; /* rows; those are cut by the search itself */
    } else if (limit > 0) {
        s->left = (int64_t)limit;
    }
    s->body = make_body(s, text);
    s->items = json_array();
    return s->body != NULL && s->items != NULL
               ? DV_OK
               : dv_error_set(error, DV_ERR_NO_MEMORY, "no memory for the search");
}

static int run(searching *s, const char *text, dv_arena *arena)
{
    dv_error error = {0};
    dv_result result = prepare(s, text, &error);
    if (result == DV_OK) {
        result = search(s, arena, &error);
    }
    int code = tell_missing(s);
    json_decref(s->nodes);
    json_decref(s->next);
    json_decref(s->body);
    json_decref(s->items);
    if (s->aggregate != NULL) {
        dv_aggregate_free(s->aggregate);
    }
    error.result = result;
    return result == DV_OK ? code : dv_cli_fail(s->cli, &error);
}

static int search_of_params(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    const char *text = text_of(params, "query");
    dv_auto(arena) dv_arena *arena = dv_arena_new(QUERY_MEMORY);
    searching s = {.cli = cli, .params = params, .started = dv_time_monotonic()};
    const dv_query_options options = {.now = dv_time_now()};
    dv_result result =
        arena == NULL ? DV_ERR_NO_MEMORY : text_with_histogram(params, arena, &text, &error);
    if (result == DV_OK) {
        result = dv_query_parse(dv_slice_str(text), &options, arena, &s.query, &error);
    }
    error.result = result;
    return result == DV_OK ? run(&s, text, arena) : tell_mistake(cli, text, &error);
}

int dv_command_audit_search_events(dv_cli *cli, const json_t *params)
{
    return search_of_params(cli, params);
}

/* `dvara search run`: the saved search with this command's flags. */
int dv_command_search_run(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    json_t *saved = NULL;
    json_t *name = json_pack("{s:O}", "name", json_object_get(params, "name"));
    json_t *own = json_copy((json_t *)(uintptr_t)params);
    dv_result result = name == NULL || own == NULL
                           ? DV_ERR_NO_MEMORY
                           : dv_cli_call(cli, "search_show", name, NULL, &saved, &error);
    int status;
    if (result == DV_OK) {
        json_object_set(own, "query", json_object_get(saved, "query"));
        status = search_of_params(cli, own);
    } else {
        error.result = result;
        status = dv_cli_fail(cli, &error);
    }
    json_decref(saved);
    json_decref(name);
    json_decref(own);
    return status;
}
