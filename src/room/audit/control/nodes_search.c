/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/control/nodes_search.h"

#include "base/codec.h"
#include "crypto/random.h"
#include "engine/log/query_aggregate.h"
#include "room/audit/control/nodes_http.h"

#include <errno.h>
#include <pthread.h>

enum {
    SEARCHES_MAX = 16,
    FEEDS_MAX = DV_NODES_MAX + 1,
    PAGE_MAX = 1000,
    CURSOR_MAX = 1100,
    ANSWER_MAX = 16 << 20,
    VALUES_MAX = 1 << 19, /* a page's events have some hundreds each */
    ASK_MS = 20000,       /* for one page of a node */
    WAIT_MS = 400,        /* of dvarad's thread */
    LOCAL_MS = 2000,      /* beyond what a search of dvara-logd takes */
    ID_BYTES = 16,
    ID_TEXT = 2 * ID_BYTES,
    WHY_MAX = 256,
    QUERY_MEMORY = 4 << 20,
};
static const dv_time fill_most = 60 * DV_SECOND; /* then what there is is told */
static const dv_time kept = 300 * DV_SECOND;

struct kept_search;

/* What one node has to tell. Its thread alone uses it while it runs, dvarad's otherwise. */
typedef struct feed {
    struct kept_search *search;
    pthread_t thread;
    bool started, is_local;
    dv_node node;  /* of the local one the name alone */
    json_t *asked; /* the request of its next page */
    json_t *items;
    size_t at; /* of the first one that was not told */
    char cursor[CURSOR_MAX + 1];
    bool complete, failed;
    int64_t scanned, matched; /* since it was last told */
    char why[WHY_MAX];
} feed;

typedef struct kept_search {
    char id[ID_TEXT + 1]; /* "": the place is free */
    char caller[512];
    char request_id[64]; /* of the call that began it */
    const char *runtime_dir;
    feed feeds[FEEDS_MAX];
    size_t count;
    bool oldest_first, state;
    int64_t limit;
    dv_time started, used; /* monotonic */
    dv_arena *arena;
    const dv_query *query;
    pthread_mutex_t lock;    /* of all below */
    dv_aggregate *aggregate; /* NULL: events are wanted */
    pthread_cond_t done;
    size_t left;    /* threads that run */
    bool cancelled; /* atomic, too */
} kept_search;

struct dv_node_searches {
    const char *runtime_dir;
    kept_search places[SEARCHES_MAX];
};

/* -- one page of one node ---------------------------------------------------------------------- */

/* What is asked, with the cursor; NULL when memory is out. */
static char *request_text(const feed *f)
{
    bool ok = f->cursor[0] == '\0' ||
              json_object_set_new(f->asked, "cursor", json_string(f->cursor)) == 0;
    return ok ? json_dumps(f->asked, JSON_COMPACT) : NULL;
}

static dv_result ask_local(const feed *f, json_t **ret_page, dv_error *error)
{
    const kept_search *s = f->search;
    json_t *lines = NULL, *page = json_object();
    dv_auto(logd_answer) dv_logd_answer answer = {dv_buf_init(0), 0};
    dv_auto(free) char *text = request_text(f);
    dv_result result = page == NULL || text == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    if (result == DV_OK) {
        result = dv_logd_post_json(s->runtime_dir, "/search", text, LOCAL_MS, &answer, error);
    }
    if (result == DV_OK) {
        result = dv_logd_lines(dv_buf_slice(&answer.body), &lines, error);
    }
    if (result == DV_OK) {
        result = dv_audit_search_answer(lines, s->query->stages.measure_count > 0, 0, page);
    }
    json_decref(lines);
    if (result != DV_OK) {
        json_decref(page);
        return result;
    }
    *ret_page = page;
    return DV_OK;
}

static dv_result ask_remote(const feed *f, dv_node_http *http, json_t **ret_page, dv_error *error)
{
    const kept_search *s = f->search;
    dv_auto(buf) dv_buf answer = dv_buf_init(ANSWER_MAX);
    dv_auto(free) char *text = request_text(f);
    const dv_node_request request = {.path = "/v1/audit/search",
                                     .body = text,
                                     .request_id = s->request_id,
                                     .timeout_ms = ASK_MS};
    if (text == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_node_http_ask(http, &request, &answer, error));
    json_t *page = dv_node_json(dv_buf_slice(&answer), VALUES_MAX);
    if (!json_is_object(page)) {
        json_decref(page);
        return dv_error_set(error, DV_ERR_CORRUPT, "its answer is no search's");
    }
    *ret_page = page;
    return DV_OK;
}

/* Events of somebody else: each gets the name under which we know the node. */
static dv_result take_items(feed *f, const json_t *page)
{
    size_t i;
    json_t *item;
    const json_t *items = json_object_get(page, "items");
    if (!json_is_array(items) || json_array_size(items) > PAGE_MAX) {
        return DV_ERR_CORRUPT;
    }
    json_array_foreach(items, i, item)
    {
        if (!json_is_object(item) ||
            json_object_set_new(item, "node", json_string(f->node.name)) != 0 ||
            json_array_append(f->items, item) != 0) {
            return DV_ERR_CORRUPT;
        }
    }
    return DV_OK;
}

static dv_result take_state(const feed *f, const json_t *page, dv_error *error)
{
    kept_search *s = f->search;
    dv_auto(free) char *text = json_dumps(json_object_get(page, "state"), JSON_COMPACT);
    if (text == NULL) {
        return DV_ERR_CORRUPT;
    }
    pthread_mutex_lock(&s->lock);
    dv_result result = dv_aggregate_merge(s->aggregate, dv_slice_str(text), error);
    pthread_mutex_unlock(&s->lock);
    return result;
}

/* Where the node goes on. One that stays where it is would be asked for ever. */
static dv_result take_cursor(feed *f, const json_t *page)
{
    const json_t *stats = json_object_get(page, "stats");
    const char *next = json_string_value(json_object_get(page, "next"));
    if (!json_is_object(stats)) {
        return DV_ERR_CORRUPT;
    }
    f->scanned += DV_MAX(dv_event_int(stats, "scanned"), 0);
    f->matched += DV_MAX(dv_event_int(stats, "matched"), 0);
    f->complete = json_is_true(json_object_get(stats, "complete"));
    if (f->complete) {
        return DV_OK;
    }
    if (next == NULL || strlen(next) > CURSOR_MAX || strcmp(next, f->cursor) == 0) {
        return DV_ERR_CORRUPT;
    }
    snprintf(f->cursor, sizeof(f->cursor), "%s", next);
    return DV_OK;
}

static dv_result take_page(feed *f, const json_t *page, dv_error *error)
{
    DV_TRY(f->search->aggregate != NULL ? take_state(f, page, error) : take_items(f, page));
    return take_cursor(f, page);
}

static dv_result next_page(feed *f, dv_node_http *http, dv_error *error)
{
    json_t *page = NULL;
    DV_TRY(f->is_local ? ask_local(f, &page, error) : ask_remote(f, http, &page, error));
    dv_result result = take_page(f, page, error);
    json_decref(page);
    return result == DV_ERR_CORRUPT && error->message[0] == '\0'
               ? dv_error_set(error, result, "its answer is no search's")
               : result;
}

/* -- the threads ------------------------------------------------------------------------------- */

/* Until there is a page of events, or all is counted, or time is up. */
static dv_result fill(feed *f, dv_error *error)
{
    kept_search *s = f->search;
    dv_auto(node_http) dv_node_http *http = NULL;
    dv_time end = dv_time_monotonic() + fill_most;
    if (!f->is_local) {
        DV_TRY(dv_node_http_new(&f->node, &s->cancelled, &http));
    }
    while (!f->complete && json_array_size(f->items) < (size_t)s->limit &&
           dv_time_monotonic() < end && !__atomic_load_n(&s->cancelled, __ATOMIC_RELAXED)) {
        DV_TRY(next_page(f, http, error));
    }
    return DV_OK;
}

static void *run(void *data)
{
    feed *f = data;
    kept_search *s = f->search;
    dv_error error = {0};
    dv_result result = fill(f, &error);
    if (result != DV_OK) {
        f->failed = true;
        snprintf(f->why, sizeof(f->why), "%.*s", WHY_MAX - 1,
                 error.message[0] != '\0' ? error.message : dv_result_name(result));
    }
    pthread_mutex_lock(&s->lock);
    s->left--;
    pthread_cond_signal(&s->done);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static bool wants_more(const feed *f)
{
    return !f->complete && !f->failed && f->at == json_array_size(f->items);
}

static void start_feeds(kept_search *s)
{
    for (size_t i = 0; i < s->count; i++) {
        feed *f = &s->feeds[i];
        if (!wants_more(f)) {
            continue;
        }
        json_array_clear(f->items);
        f->at = 0;
        pthread_mutex_lock(&s->lock);
        s->left++;
        pthread_mutex_unlock(&s->lock);
        f->started = pthread_create(&f->thread, NULL, run, f) == 0;
        if (!f->started) {
            f->failed = true;
            snprintf(f->why, sizeof(f->why), "no thread for it");
            pthread_mutex_lock(&s->lock);
            s->left--;
            pthread_mutex_unlock(&s->lock);
        }
    }
}

/* False: some still run. */
static bool wait_for_feeds(kept_search *s)
{
    dv_time until = dv_time_now() + WAIT_MS * DV_MILLISECOND;
    struct timespec end = {.tv_sec = until / DV_SECOND, .tv_nsec = until % DV_SECOND};
    int waited = 0;
    pthread_mutex_lock(&s->lock);
    while (s->left > 0 && waited != ETIMEDOUT) {
        waited = pthread_cond_timedwait(&s->done, &s->lock, &end);
    }
    bool done = s->left == 0;
    pthread_mutex_unlock(&s->lock);
    return done;
}

/* They are at their end, or will be within a second. */
static void join_feeds(kept_search *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->feeds[i].started) {
            pthread_join(s->feeds[i].thread, NULL);
            s->feeds[i].started = false;
        }
    }
}

/* -- keeping them ------------------------------------------------------------------------------ */

static void forget(kept_search *s)
{
    __atomic_store_n(&s->cancelled, true, __ATOMIC_RELAXED);
    join_feeds(s);
    for (size_t i = 0; i < s->count; i++) {
        json_decref(s->feeds[i].items);
        json_decref(s->feeds[i].asked);
    }
    if (s->aggregate != NULL) {
        dv_aggregate_free(s->aggregate);
    }
    dv_arena_free(s->arena);
    pthread_cond_destroy(&s->done);
    pthread_mutex_destroy(&s->lock);
    memset(s, 0, sizeof(*s));
}

dv_result dv_node_searches_new(const char *runtime_dir, dv_node_searches **ret_searches)
{
    dv_node_searches *searches = calloc(1, sizeof(*searches));
    if (searches == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    searches->runtime_dir = runtime_dir;
    *ret_searches = searches;
    return DV_OK;
}

void dv_node_searches_free(dv_node_searches *searches)
{
    for (size_t i = 0; searches != NULL && i < SEARCHES_MAX; i++) {
        if (searches->places[i].id[0] != '\0') {
            forget(&searches->places[i]);
        }
    }
    free(searches);
}

static bool has_ended(kept_search *s)
{
    pthread_mutex_lock(&s->lock);
    bool ended = s->left == 0;
    pthread_mutex_unlock(&s->lock);
    return ended;
}

/* One that nobody came back for ends its threads; its place is free once they have ended. */
void dv_node_searches_tick(dv_node_searches *searches)
{
    dv_time now = dv_time_monotonic();
    for (size_t i = 0; i < SEARCHES_MAX; i++) {
        kept_search *s = &searches->places[i];
        if (s->id[0] != '\0' && now - s->used > kept) {
            __atomic_store_n(&s->cancelled, true, __ATOMIC_RELAXED);
            if (has_ended(s)) {
                forget(s);
            }
        }
    }
}

/* When all are taken, of those that wait for their callers the one that waited longest goes. */
static kept_search *free_place(dv_node_searches *searches)
{
    kept_search *oldest = NULL;
    dv_node_searches_tick(searches);
    for (size_t i = 0; i < SEARCHES_MAX; i++) {
        kept_search *s = &searches->places[i];
        if (s->id[0] == '\0') {
            return s;
        }
        oldest = has_ended(s) && (oldest == NULL || s->used < oldest->used) ? s : oldest;
    }
    if (oldest != NULL) {
        forget(oldest);
    }
    return oldest;
}

static kept_search *find_kept(dv_node_searches *searches, const dv_call *call, const char *cursor)
{
    for (size_t i = 0; i < SEARCHES_MAX; i++) {
        kept_search *s = &searches->places[i];
        if (s->id[0] != '\0' && strcmp(cursor, s->id) == 0 &&
            strcmp(call->caller, s->caller) == 0) {
            return s;
        }
    }
    return NULL;
}

/* -- beginning one ----------------------------------------------------------------------------- */

static bool is_named(const json_t *names, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach(names, i, one)
    {
        const char *text = json_string_value(one);
        if (strcmp(text, name) == 0 || strcmp(text, "*") == 0) {
            return true;
        }
    }
    return false;
}

static dv_result check_names(dv_call *call, const json_t *names, dv_error *error)
{
    size_t i;
    json_t *one;
    json_array_foreach(names, i, one)
    {
        const char *name = json_string_value(one);
        if (strcmp(name, "*") != 0 && strcmp(name, DV_NODE_LOCAL) != 0 &&
            dv_node_find(dv_nodes_settings(call->services->nodes), name) == NULL) {
            return dv_call_invalid(call, "nodes", error,
                                   "%.64s is no node of audit.nodes in dvara.yaml; this one is "
                                   "\"" DV_NODE_LOCAL "\"",
                                   name);
        }
    }
    return DV_OK;
}

static dv_result add_feed(kept_search *s, const dv_node *node)
{
    feed *f = &s->feeds[s->count];
    f->search = s;
    f->is_local = node == NULL;
    if (node != NULL) {
        f->node = *node;
    } else {
        snprintf(f->node.name, sizeof(f->node.name), "%s", DV_NODE_LOCAL);
    }
    f->items = json_array();
    s->count++;
    return f->items != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result add_feeds(kept_search *s, const dv_call *call, const json_t *names)
{
    const dv_node_settings *settings = dv_nodes_settings(call->services->nodes);
    if (is_named(names, DV_NODE_LOCAL)) {
        DV_TRY(add_feed(s, NULL));
    }
    for (size_t i = 0; i < settings->count; i++) {
        if (is_named(names, settings->nodes[i].name)) {
            DV_TRY(add_feed(s, &settings->nodes[i]));
        }
    }
    return DV_OK;
}

static dv_result set(json_t *object, const char *name, json_t *value)
{
    return value != NULL && json_object_set_new(object, name, value) == 0 ? DV_OK
                                                                          : DV_ERR_NO_MEMORY;
}

/* The other nodes get what the caller asked, so that each of them reads it by its own clock. */
static dv_result ask_as_caller(const kept_search *s, const dv_call *call, feed *f)
{
    f->asked = json_deep_copy(call->body);
    if (f->asked == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    (void)json_object_del(f->asked, "nodes");
    (void)json_object_del(f->asked, "cursor");
    DV_TRY(set(f->asked, "limit", json_integer(s->limit)));
    return set(f->asked, "state", json_boolean(s->aggregate != NULL));
}

static dv_result make_questions(kept_search *s, dv_call *call, const dv_audit_search *search,
                                dv_error *error)
{
    dv_audit_search own = *search;
    own.cursor = NULL;
    own.limit = s->limit;
    own.state = s->aggregate != NULL;
    for (size_t i = 0; i < s->count; i++) {
        feed *f = &s->feeds[i];
        DV_TRY(f->is_local ? dv_audit_search_request(call, &own, &f->asked, error)
                           : ask_as_caller(s, call, f));
    }
    return DV_OK;
}

static dv_result parse_query(kept_search *s, const char *text)
{
    const dv_query_options options = {.now = dv_time_now()};
    s->arena = dv_arena_new(QUERY_MEMORY);
    if (s->arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_query_parse(dv_slice_str(text), &options, s->arena, &s->query, NULL));
    return s->query->stages.measure_count > 0 ? dv_aggregate_new(s->query, &s->aggregate) : DV_OK;
}

static dv_result prepare(kept_search *s, dv_call *call, const dv_audit_search *search,
                         dv_error *error)
{
    int64_t most = search->limit;
    DV_TRY(parse_query(s, search->query));
    if (s->aggregate == NULL && s->query->stages.limit > 0) {
        most = (int64_t)DV_MIN(s->query->stages.limit, (uint64_t)most);
    }
    s->limit = s->aggregate != NULL ? most : DV_MIN(most, (int64_t)PAGE_MAX);
    s->oldest_first = search->order != NULL && strcmp(search->order, "oldest") == 0;
    s->state = search->state;
    snprintf(s->caller, sizeof(s->caller), "%s", call->caller);
    snprintf(s->request_id, sizeof(s->request_id), "%s", call->request_id);
    DV_TRY(add_feeds(s, call, json_object_get(call->body, "nodes")));
    return make_questions(s, call, search, error);
}

static dv_result begin(dv_call *call, const dv_audit_search *search, kept_search **ret_search,
                       dv_error *error)
{
    uint8_t id[ID_BYTES];
    dv_auto(buf) dv_buf text = dv_buf_init(ID_TEXT + 1);
    dv_node_searches *searches = call->services->node_searches;
    DV_TRY(check_names(call, json_object_get(call->body, "nodes"), error));
    kept_search *s = free_place(searches);
    if (s == NULL || strlen(call->caller) >= sizeof(s->caller)) {
        return dv_error_set(error, DV_ERR_LIMITED,
                            "too many searches over several nodes run: try again in a minute");
    }
    dv_random(id, sizeof(id));
    DV_TRY(dv_hex_encode(dv_slice_of(id, sizeof(id)), &text));
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->done, NULL);
    dv_slice_copy(dv_buf_slice(&text), s->id, sizeof(s->id));
    s->runtime_dir = searches->runtime_dir;
    s->started = s->used = dv_time_monotonic();
    dv_result result = prepare(s, call, search, error);
    if (result != DV_OK) {
        forget(s);
        return result;
    }
    *ret_search = s;
    return DV_OK;
}

/* -- merging ----------------------------------------------------------------------------------- */

size_t dv_node_search_first(json_t *const *heads, size_t count, bool oldest_first)
{
    size_t best = count;
    int64_t best_time = 0;
    for (size_t i = 0; i < count; i++) {
        if (heads[i] == NULL) {
            continue;
        }
        int64_t time = dv_event_int(heads[i], "time");
        if (best == count || (oldest_first ? time < best_time : time > best_time)) {
            best = i;
            best_time = time;
        }
    }
    return best;
}

/* Events in order of time, each node's in the order of its log. Ends where a node may have an event
 * that comes before the next one of the others. */
static dv_result merge_items(kept_search *s, json_t *items)
{
    json_t *heads[FEEDS_MAX];
    while (json_array_size(items) < (size_t)s->limit) {
        for (size_t i = 0; i < s->count; i++) {
            feed *f = &s->feeds[i];
            if (wants_more(f)) {
                return DV_OK;
            }
            heads[i] = json_array_get(f->items, f->at);
        }
        size_t first = dv_node_search_first(heads, s->count, s->oldest_first);
        if (first == s->count) {
            return DV_OK;
        }
        if (json_array_append(items, heads[first]) != 0) {
            return DV_ERR_NO_MEMORY;
        }
        s->feeds[first].at++;
    }
    return DV_OK;
}

/* -- the answer -------------------------------------------------------------------------------- */

static bool has_more(const feed *f)
{
    return f->at < json_array_size(f->items) || (!f->complete && !f->failed);
}

static bool is_over(const kept_search *s)
{
    bool more = false;
    for (size_t i = 0; i < s->count; i++) {
        more = more || has_more(&s->feeds[i]);
    }
    return !more;
}

static dv_result put_nodes(kept_search *s, json_t *answer)
{
    json_t *nodes = json_array();
    DV_TRY(set(answer, "nodes", nodes));
    for (size_t i = 0; i < s->count; i++) {
        const feed *f = &s->feeds[i];
        json_t *node = json_pack("{s:s,s:b,s:s}", "name", f->node.name, "missing", f->failed,
                                 "problem", f->why);
        if (node == NULL || json_array_append_new(nodes, node) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

static dv_result put_stats(kept_search *s, bool complete, json_t *answer)
{
    int64_t scanned = 0, matched = 0;
    for (size_t i = 0; i < s->count; i++) {
        feed *f = &s->feeds[i];
        scanned += f->scanned;
        matched += f->matched;
        complete = complete && !f->failed;
        f->scanned = f->matched = 0;
    }
    dv_time took = dv_time_monotonic() - s->started;
    return set(answer, "stats",
               json_pack("{s:I,s:I,s:b,s:I}", "scanned", (json_int_t)scanned, "matched",
                         (json_int_t)matched, "complete", complete, "took_ms",
                         (json_int_t)(took / DV_MILLISECOND)));
}

static dv_result put_aggregate(const kept_search *s, json_t *answer)
{
    dv_auto(buf) dv_buf text = dv_buf_init(256 << 20);
    DV_TRY(s->state ? dv_aggregate_save(s->aggregate, &text)
                    : dv_aggregate_rows(s->aggregate, (uint64_t)s->limit, &text));
    json_t *value = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    if (s->state) {
        return set(answer, "state", value);
    }
    int failed = value == NULL ? -1 : json_object_update(answer, value);
    json_decref(value);
    return failed == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result put_items(kept_search *s, json_t *answer)
{
    json_t *items = json_array();
    DV_TRY(set(answer, "items", items));
    return merge_items(s, items);
}

/* What there is: everything once all is counted, or the next events. */
static dv_result put_found(kept_search *s, json_t *answer)
{
    join_feeds(s);
    if (s->aggregate != NULL) {
        return is_over(s) ? put_aggregate(s, answer) : DV_OK;
    }
    return put_items(s, answer);
}

static dv_result make_answer(kept_search *s, bool found, json_t *answer)
{
    if (!found) {
        DV_TRY(set(answer, "next", json_string(s->id)));
        return set(answer, "stats",
                   json_pack("{s:i,s:i,s:b,s:i}", "scanned", 0, "matched", 0, "complete", 0,
                             "took_ms", WAIT_MS));
    }
    DV_TRY(put_found(s, answer));
    DV_TRY(put_nodes(s, answer));
    bool over = is_over(s);
    if (!over) {
        DV_TRY(set(answer, "next", json_string(s->id)));
    }
    return put_stats(s, over, answer);
}

dv_result dv_audit_search_nodes(dv_call *call, const dv_audit_search *search, dv_error *error)
{
    kept_search *s;
    if (search->cursor == NULL) {
        DV_TRY(begin(call, search, &s, error));
    } else {
        s = find_kept(call->services->node_searches, call, search->cursor);
        if (s == NULL) {
            return dv_call_invalid(call, "cursor", error,
                                   "is none of a search that runs over several nodes: begin anew");
        }
    }
    if (has_ended(s)) {
        join_feeds(s);
        start_feeds(s);
    }
    bool running = !wait_for_feeds(s);
    s->used = dv_time_monotonic();
    json_t *answer = json_object();
    dv_result result = answer == NULL ? DV_ERR_NO_MEMORY : make_answer(s, !running, answer);
    if (result != DV_OK || (!running && is_over(s))) {
        forget(s);
    }
    if (result != DV_OK) {
        json_decref(answer);
        return result;
    }
    call->answer = answer;
    return DV_OK;
}
