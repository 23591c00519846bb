/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/control/nodes.h"

#include "room/audit/control/nodes_pull.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NICENESS = 10 }; /* of the thread: who decides about requests comes first */

/* What is known of one node. */
typedef struct standing {
    dv_node_state state;
    uint64_t size, seen;
    dv_time checked_at; /* it agreed with the copy; 0: never */
    dv_time good_since; /* monotonic: the last time that it was well, or was configured */
    bool alarm;         /* is to be told in the log */
    bool silence_told;
    char why[DV_NODE_WHY_MAX];
} standing;

struct dv_nodes {
    const char *state_dir;
    pthread_t thread;
    bool running;
    bool closing;         /* atomic, too: what waits for the network looks at it */
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t woken;
    bool changed; /* the settings: begin a round now */
    dv_node_settings settings;
    standing standings[DV_NODES_MAX];
};

/* -- one round --------------------------------------------------------------------------------- */

typedef struct round_state {
    dv_nodes *nodes;
    dv_node_settings settings; /* as they were when it began */
    size_t at;                 /* the node that is being asked */
} round_state;

/* The node's standing, under the lock; NULL: the settings have changed, and it is of another. */
static standing *standing_of(const round_state *r)
{
    return r->nodes->changed ? NULL : &r->nodes->standings[r->at];
}

static void note_progress(void *data, uint64_t size, uint64_t seen)
{
    const round_state *r = data;
    pthread_mutex_lock(&r->nodes->lock);
    standing *s = standing_of(r);
    if (s != NULL) {
        s->size = size;
        s->seen = seen;
    }
    pthread_mutex_unlock(&r->nodes->lock);
}

/* News that someone must hear of: once, until it is over. */
static void note_state(standing *s, dv_node_state state, const char *why, dv_time alarm_after)
{
    bool good = state == DV_NODE_OK || state == DV_NODE_CATCHING_UP;
    dv_time now = dv_time_monotonic();
    bool alarming = dv_node_state_is_alarm(state);
    s->alarm = s->alarm || (alarming && s->state != state);
    s->state = state;
    snprintf(s->why, sizeof(s->why), "%s", why);
    if (good) {
        s->checked_at = dv_time_now();
        s->good_since = now;
        s->silence_told = false;
    } else if (!alarming && !s->silence_told && now - s->good_since >= alarm_after) {
        s->silence_told = true;
        s->alarm = true;
    }
}

static dv_node_state look_at(round_state *r)
{
    char why[DV_NODE_WHY_MAX];
    const dv_node_pull pull = {.state_dir = r->nodes->state_dir,
                               .node = &r->settings.nodes[r->at],
                               .keep_free = r->settings.keep_free,
                               .cancelled = &r->nodes->closing,
                               .progress = note_progress,
                               .data = r};
    dv_node_state state = dv_node_pull_run(&pull, why);
    pthread_mutex_lock(&r->nodes->lock);
    standing *s = standing_of(r);
    if (s != NULL && !r->nodes->closing) {
        note_state(s, state, why, r->settings.alarm_after);
    }
    pthread_mutex_unlock(&r->nodes->lock);
    return state;
}

/* Whether some node has more than was taken over. */
static bool go_round(round_state *r)
{
    bool more = false;
    for (r->at = 0; r->at < r->settings.count; r->at++) {
        if (__atomic_load_n(&r->nodes->closing, __ATOMIC_RELAXED)) {
            return false;
        }
        if (r->settings.nodes[r->at].copied) {
            more = look_at(r) == DV_NODE_CATCHING_UP || more;
        }
    }
    return more;
}

/* -- the thread -------------------------------------------------------------------------------- */

/* Until the interval is over, the settings change or the end comes. False: the end. */
static bool wait_for_round(round_state *r, bool at_once)
{
    dv_nodes *nodes = r->nodes;
    pthread_mutex_lock(&nodes->lock);
    dv_time until = dv_time_now() + nodes->settings.interval;
    struct timespec end = {.tv_sec = until / DV_SECOND, .tv_nsec = until % DV_SECOND};
    int waited = at_once ? ETIMEDOUT : 0;
    while (!nodes->closing && !nodes->changed && waited != ETIMEDOUT) {
        waited = pthread_cond_timedwait(&nodes->woken, &nodes->lock, &end);
    }
    nodes->changed = false;
    r->settings = nodes->settings;
    bool goes_on = !nodes->closing;
    pthread_mutex_unlock(&nodes->lock);
    return goes_on;
}

static void *run(void *data)
{
    bool more = false;
    round_state *r = calloc(1, sizeof(*r));
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS); /* Linux: of this thread alone */
    if (r != NULL) {
        r->nodes = data;
        while (wait_for_round(r, more)) {
            more = go_round(r);
        }
    }
    free(r);
    return NULL;
}

dv_result dv_nodes_new(const char *state_dir, dv_nodes **ret_nodes)
{
    dv_nodes *nodes = calloc(1, sizeof(*nodes));
    if (nodes == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(nodes);
        return DV_ERR_NO_MEMORY;
    }
    nodes->state_dir = state_dir;
    pthread_mutex_init(&nodes->lock, NULL);
    pthread_cond_init(&nodes->woken, NULL);
    *ret_nodes = nodes;
    return DV_OK;
}

void dv_nodes_free(dv_nodes *nodes)
{
    if (nodes == NULL) {
        return;
    }
    pthread_mutex_lock(&nodes->lock);
    __atomic_store_n(&nodes->closing, true, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&nodes->woken);
    pthread_mutex_unlock(&nodes->lock);
    if (nodes->running) {
        pthread_join(nodes->thread, NULL);
    }
    pthread_cond_destroy(&nodes->woken);
    pthread_mutex_destroy(&nodes->lock);
    free(nodes);
}

/* -- settings ---------------------------------------------------------------------------------- */

static bool same_node(const dv_node *a, const dv_node *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->url, b->url) == 0 && a->copied == b->copied &&
           (!a->copied || (strcmp(a->key.name, b->key.name) == 0 &&
                           memcmp(a->key.public_key, b->key.public_key, 32) == 0));
}

static standing first_standing(const dv_node *node)
{
    return (standing){.state = node->copied ? DV_NODE_WAITING : DV_NODE_SEARCH_ONLY,
                      .good_since = dv_time_monotonic()};
}

/* What is known of a node stays known when others change. */
static void take_settings(dv_nodes *nodes, const dv_node_settings *settings)
{
    standing kept[DV_NODES_MAX];
    pthread_mutex_lock(&nodes->lock);
    for (size_t i = 0; i < settings->count; i++) {
        kept[i] = first_standing(&settings->nodes[i]);
        for (size_t j = 0; j < nodes->settings.count; j++) {
            if (same_node(&settings->nodes[i], &nodes->settings.nodes[j])) {
                kept[i] = nodes->standings[j];
            }
        }
    }
    memcpy(nodes->standings, kept, settings->count * sizeof(kept[0]));
    nodes->settings = *settings;
    nodes->changed = true;
    pthread_cond_broadcast(&nodes->woken);
    pthread_mutex_unlock(&nodes->lock);
}

static bool any_copied(const dv_node_settings *settings)
{
    bool any = false;
    for (size_t i = 0; i < settings->count; i++) {
        any = any || settings->nodes[i].copied;
    }
    return any;
}

dv_result dv_nodes_set(dv_nodes *nodes, const dv_yaml *section, dv_error *error)
{
    dv_auto(free) dv_node_settings *settings = malloc(sizeof(*settings));
    if (settings == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_node_settings_read(section, settings, error));
    take_settings(nodes, settings);
    if (nodes->running || !any_copied(settings)) {
        return DV_OK;
    }
    nodes->running = pthread_create(&nodes->thread, NULL, run, nodes) == 0;
    return nodes->running ? DV_OK
                          : dv_error_set(error, DV_ERR_NO_MEMORY, "no thread for the nodes");
}

const dv_node_settings *dv_nodes_settings(const dv_nodes *nodes)
{
    return &nodes->settings;
}

/* -- telling ----------------------------------------------------------------------------------- */

static json_t *standing_json(const dv_node *node, const standing *s)
{
    char when[DV_TIME_TEXT_MAX] = "";
    if (s->checked_at > 0) {
        dv_time_format(s->checked_at, when);
    }
    return json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:s,s:s}", "name", node->name, "url", node->url,
                     "state", dv_node_state_name(s->state), "size", (json_int_t)s->size, "seen",
                     (json_int_t)s->seen, "behind", (json_int_t)(s->seen - s->size), "checked_at",
                     when, "problem", s->why);
}

json_t *dv_nodes_status(dv_nodes *nodes)
{
    json_t *items = json_array();
    pthread_mutex_lock(&nodes->lock);
    for (size_t i = 0; items != NULL && i < nodes->settings.count; i++) {
        json_t *item = standing_json(&nodes->settings.nodes[i], &nodes->standings[i]);
        if (item == NULL || json_array_append_new(items, item) != 0) {
            json_decref(items);
            items = NULL;
        }
    }
    pthread_mutex_unlock(&nodes->lock);
    return items == NULL ? NULL : json_pack("{s:o}", "items", items);
}

bool dv_nodes_alarm(dv_nodes *nodes, char out[DV_NODES_ALARM_MAX])
{
    bool found = false;
    pthread_mutex_lock(&nodes->lock);
    for (size_t i = 0; !found && i < nodes->settings.count; i++) {
        standing *s = &nodes->standings[i];
        if (s->alarm) {
            snprintf(out, DV_NODES_ALARM_MAX, "node %s is %s: %s", nodes->settings.nodes[i].name,
                     dv_node_state_name(s->state), s->why);
            s->alarm = false;
            found = true;
        }
    }
    pthread_mutex_unlock(&nodes->lock);
    return found;
}
