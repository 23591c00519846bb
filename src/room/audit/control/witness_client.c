/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/control/witness_client.h"

#include "base/file.h"
#include "engine/log/state.h"
#include "room/audit/control/internal.h"
#include "room/audit/control/witness_ask.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

enum { POLICY_MODE = 0640 }; /* for the group that dvara-logd shares with us */
static const char policy_file[] = "witness.policy";
static const dv_time refresh = 3600 * DV_SECOND; /* of what has not changed */

/* What is known of one witness. */
typedef struct standing {
    dv_witness_state state;
    uint64_t remembered; /* the size that it is thought to remember; of the thread alone */
    uint64_t cosigned;   /* size of what it cosigned last */
    dv_time cosigned_at; /* 0: never */
    bool alarm;          /* is to be told in the log */
    char why[DV_WITNESS_WHY_MAX];
} standing;

/* One of the node's logs, and how the witnesses stand to it. */
typedef struct watched_log {
    char name[DV_LOG_NAME_MAX + 1];
    standing standings[DV_POLICY_WITNESSES_MAX];
    uint64_t published; /* size of the checkpoint that dvara-logd has with its cosignatures */
    char problem[DV_ERROR_MESSAGE_MAX];
} watched_log;

struct dv_witness_client {
    const char *runtime_dir;
    pthread_t thread;
    bool running;
    bool closing;         /* atomic, too: what waits for the network looks at it */
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t woken;
    bool changed; /* the settings: begin a round now */
    dv_witness_settings settings;
    watched_log logs[DV_LOG_TREES_MAX]; /* main first */
    size_t log_count;
    char problem[DV_ERROR_MESSAGE_MAX];
};

/* -- one round --------------------------------------------------------------------------------- */

typedef struct round_state {
    dv_witness_client *client;
    dv_witness_settings settings; /* as they were when it began */
    watched_log *log;             /* which it is about */
    dv_logd_answer note;
    dv_checkpoint checkpoint;
    dv_buf whole; /* the note, with the cosignatures so far */
} round_state;

/* Takes the log's newest checkpoint, unless it is the one that the round has. */
static dv_result read_checkpoint(round_state *r, dv_error *error)
{
    dv_note parts;
    dv_checkpoint checkpoint;
    char path[64];
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    snprintf(path, sizeof(path), "/checkpoint?log=%.32s", r->log->name);
    DV_TRY(dv_logd_get(r->client->runtime_dir, path, 0, &answer, error));
    if (dv_note_split(dv_buf_slice(&answer.body), &parts) != DV_OK ||
        dv_checkpoint_parse(parts.text, &checkpoint) != DV_OK) {
        return dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd sent a malformed checkpoint");
    }
    if (r->note.body.len > 0 && checkpoint.size == r->checkpoint.size) {
        return DV_OK;
    }
    dv_buf_clear(&r->whole);
    DV_TRY(dv_buf_append(&r->whole, dv_buf_slice(&answer.body)));
    dv_logd_answer_release(&r->note);
    r->note = answer;
    answer = (dv_logd_answer){0};
    r->checkpoint = checkpoint;
    return DV_OK;
}

/* Is this state news that someone must hear of? Once, until it is over. */
static bool is_alarming(dv_witness_state state)
{
    return state == DV_WITNESS_AHEAD || state == DV_WITNESS_FORKED;
}

static void note_standing(const round_state *r, size_t i, dv_witness_state state,
                          uint64_t remembered, const char *why)
{
    dv_witness_client *client = r->client;
    pthread_mutex_lock(&client->lock);
    standing *s = &r->log->standings[i];
    if (!client->changed) { /* otherwise they are of other witnesses */
        s->alarm = is_alarming(state) && (s->alarm || s->state != state);
        s->state = state;
        s->remembered = remembered;
        snprintf(s->why, sizeof(s->why), "%s", why);
        if (state == DV_WITNESS_OK) {
            s->cosigned = r->checkpoint.size;
            s->cosigned_at = dv_time_now();
        }
    }
    pthread_mutex_unlock(&client->lock);
}

static dv_witness_state ask_once(round_state *r, size_t i, uint64_t *size, char *why)
{
    const dv_logd_log log = {r->client->runtime_dir, r->log->name};
    const dv_tile_source tiles = {dv_logd_tile, (void *)(uintptr_t)&log};
    const dv_witness_question question = {.witness = &r->settings.policy.witnesses[i],
                                          .note = dv_buf_slice(&r->note.body),
                                          .checkpoint = &r->checkpoint,
                                          .tiles = &tiles,
                                          .cancelled = &r->client->closing};
    return dv_witness_ask(&question, size, &r->whole, why);
}

/* A witness that is ahead of a checkpoint of a moment ago may have seen a newer one. */
static void ask_witness(round_state *r, size_t i)
{
    char why[DV_WITNESS_WHY_MAX];
    dv_error error = {0};
    pthread_mutex_lock(&r->client->lock);
    uint64_t size = r->log->standings[i].remembered;
    pthread_mutex_unlock(&r->client->lock);
    dv_witness_state state = ask_once(r, i, &size, why);
    if (state == DV_WITNESS_AHEAD) {
        uint64_t before = r->checkpoint.size;
        if (read_checkpoint(r, &error) == DV_OK && r->checkpoint.size > before) {
            state = ask_once(r, i, &size, why);
        }
    }
    note_standing(r, i, state, size, why);
}

static dv_result hand_over(round_state *r, dv_error *error)
{
    char path[64];
    dv_policy_verdict verdict;
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    DV_TRY(dv_policy_weigh(&r->settings.policy, dv_buf_slice(&r->whole), &verdict));
    if (!verdict.met) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE,
                            "%zu of the %u witnesses that are needed "
                            "cosigned",
                            verdict.count, r->settings.quorum);
    }
    snprintf(path, sizeof(path), "/cosignature?log=%.32s", r->log->name);
    DV_TRY(dv_logd_post(r->client->runtime_dir, path, dv_buf_slice(&r->whole), &answer, error));
    pthread_mutex_lock(&r->client->lock);
    r->log->published = r->checkpoint.size;
    pthread_mutex_unlock(&r->client->lock);
    return DV_OK;
}

/* Nothing was added, and all have cosigned it not long ago. */
static bool is_done(const round_state *r)
{
    dv_witness_client *client = r->client;
    dv_time now = dv_time_now();
    pthread_mutex_lock(&client->lock);
    bool done = r->log->published == r->checkpoint.size;
    for (size_t i = 0; i < r->settings.policy.witness_count; i++) {
        const standing *s = &r->log->standings[i];
        done = done && s->state == DV_WITNESS_OK && s->cosigned == r->checkpoint.size &&
               now - s->cosigned_at < refresh;
    }
    pthread_mutex_unlock(&client->lock);
    return done;
}

static dv_result ask_for_log(round_state *r, dv_error *error)
{
    DV_TRY(read_checkpoint(r, error));
    if (is_done(r)) {
        return DV_OK;
    }
    for (size_t i = 0; i < r->settings.policy.witness_count; i++) {
        if (__atomic_load_n(&r->client->closing, __ATOMIC_RELAXED)) {
            return DV_OK;
        }
        ask_witness(r, i);
    }
    return hand_over(r, error);
}

/* Asks about one log. What is wrong with it stays in the status. */
static void go_for_log(round_state *r, watched_log *log)
{
    dv_error error = {0};
    r->log = log;
    r->whole = dv_buf_init(DV_NOTE_MAX);
    dv_result result = ask_for_log(r, &error);
    if (result != DV_OK && error.message[0] == '\0') {
        dv_error_write(&error, result, 0, 0, "%s", dv_result_name(result));
    }
    dv_logd_answer_release(&r->note);
    r->note = (dv_logd_answer){0};
    dv_buf_release(&r->whole);
    pthread_mutex_lock(&r->client->lock);
    snprintf(log->problem, sizeof(log->problem), "%s", error.message);
    pthread_mutex_unlock(&r->client->lock);
}

/* Logs never go away, and a new one stands behind the others. */
static dv_result list_logs(dv_witness_client *client, dv_error *error)
{
    size_t i;
    json_t *logs, *log;
    DV_TRY(dv_logd_logs(client->runtime_dir, &logs, error));
    pthread_mutex_lock(&client->lock);
    json_array_foreach(logs, i, log)
    {
        if (i == client->log_count && i < DV_LOG_TREES_MAX) {
            snprintf(client->logs[i].name, sizeof(client->logs[i].name), "%s",
                     dv_event_text(log, "name"));
            client->log_count++;
        }
    }
    pthread_mutex_unlock(&client->lock);
    json_decref(logs);
    return DV_OK;
}

static void go_round(round_state *r)
{
    dv_error error = {0};
    if (list_logs(r->client, &error) == DV_OK) {
        error.message[0] = '\0';
    }
    pthread_mutex_lock(&r->client->lock);
    snprintf(r->client->problem, sizeof(r->client->problem), "%s", error.message);
    pthread_mutex_unlock(&r->client->lock);
    for (size_t i = 0; i < r->client->log_count; i++) {
        if (!__atomic_load_n(&r->client->closing, __ATOMIC_RELAXED)) {
            go_for_log(r, &r->client->logs[i]);
        }
    }
}

/* -- the thread -------------------------------------------------------------------------------- */

/* Until the interval is over, the settings change or the end comes. False: the end. */
static bool wait_for_round(dv_witness_client *client, round_state *r)
{
    pthread_mutex_lock(&client->lock);
    dv_time until = dv_time_monotonic() + client->settings.interval;
    struct timespec end = {.tv_sec = until / DV_SECOND, .tv_nsec = until % DV_SECOND};
    int waited = 0;
    while (!client->closing && !client->changed &&
           (waited != ETIMEDOUT || client->settings.quorum == 0)) {
        waited = client->settings.quorum == 0
                     ? pthread_cond_wait(&client->woken, &client->lock)
                     : pthread_cond_clockwait(&client->woken, &client->lock, CLOCK_MONOTONIC, &end);
    }
    client->changed = false;
    r->settings = client->settings;
    bool goes_on = !client->closing;
    pthread_mutex_unlock(&client->lock);
    return goes_on;
}

static void *run(void *data)
{
    dv_witness_client *client = data;
    round_state *r = calloc(1, sizeof(*r));
    while (r != NULL && wait_for_round(client, r)) {
        r->client = client;
        if (r->settings.quorum > 0) {
            go_round(r);
        }
    }
    free(r);
    return NULL;
}

dv_result dv_witness_client_new(const char *runtime_dir, dv_witness_client **ret_client)
{
    dv_witness_client *client = calloc(1, sizeof(*client));
    if (client == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(client);
        return DV_ERR_NO_MEMORY;
    }
    client->runtime_dir = runtime_dir;
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->woken, NULL);
    *ret_client = client;
    return DV_OK;
}

void dv_witness_client_free(dv_witness_client *client)
{
    if (client == NULL) {
        return;
    }
    pthread_mutex_lock(&client->lock);
    __atomic_store_n(&client->closing, true, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&client->woken);
    pthread_mutex_unlock(&client->lock);
    if (client->running) {
        pthread_join(client->thread, NULL);
    }
    pthread_cond_destroy(&client->woken);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

/* -- settings ---------------------------------------------------------------------------------- */

/* Without witnesses there is no policy, and dvara-logd takes no cosignatures. */
static dv_result leave_policy(const dv_witness_client *client, const dv_witness_settings *settings,
                              dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(DV_POLICY_TEXT_MAX);
    int len = snprintf(path, sizeof(path), "%s/%s", client->runtime_dir, policy_file);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return DV_ERR_TOO_LARGE;
    }
    if (settings->quorum == 0) {
        return unlink(path) == 0 || errno == ENOENT
                   ? DV_OK
                   : dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    DV_TRY(dv_witness_policy_format(settings, &text));
    return dv_file_write_atomic(path, dv_buf_slice(&text), POLICY_MODE, error);
}

static bool same_witness(const dv_policy_witness *a, const dv_policy_witness *b)
{
    return strcmp(a->key.name, b->key.name) == 0 && strcmp(a->url, b->url) == 0 &&
           memcmp(a->key.public_key, b->key.public_key, sizeof(a->key.public_key)) == 0;
}

static bool same_witnesses(const dv_policy *a, const dv_policy *b)
{
    bool same = a->witness_count == b->witness_count;
    for (size_t i = 0; same && i < a->witness_count; i++) {
        same = same_witness(&a->witnesses[i], &b->witnesses[i]);
    }
    return same;
}

static void take_settings(dv_witness_client *client, const dv_witness_settings *settings)
{
    pthread_mutex_lock(&client->lock);
    if (!same_witnesses(&client->settings.policy, &settings->policy)) {
        for (size_t i = 0; i < client->log_count; i++) {
            memset(client->logs[i].standings, 0, sizeof(client->logs[i].standings));
            client->logs[i].published = 0;
        }
    }
    client->settings = *settings;
    client->changed = true;
    client->problem[0] = '\0';
    pthread_cond_broadcast(&client->woken);
    pthread_mutex_unlock(&client->lock);
}

dv_result dv_witness_client_set(dv_witness_client *client, const dv_yaml *section, dv_error *error)
{
    dv_auto(free) dv_witness_settings *settings = malloc(sizeof(*settings));
    if (settings == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_witness_settings_read(section, settings, error));
    DV_TRY(leave_policy(client, settings, error));
    take_settings(client, settings);
    if (client->running || settings->quorum == 0) {
        return DV_OK;
    }
    client->running = pthread_create(&client->thread, NULL, run, client) == 0;
    return client->running ? DV_OK
                           : dv_error_set(error, DV_ERR_NO_MEMORY, "no thread for the witnesses");
}

/* -- telling ----------------------------------------------------------------------------------- */

static json_t *standing_json(const dv_policy_witness *witness, const char *log, const standing *s)
{
    char when[DV_TIME_TEXT_MAX] = "";
    if (s->cosigned_at > 0) {
        dv_time_format(s->cosigned_at, when);
    }
    return json_pack("{s:s,s:s,s:s,s:s,s:I,s:s,s:s}", "name", witness->name, "url", witness->url,
                     "log", log, "state", dv_witness_state_name(s->state), "size",
                     (json_int_t)s->cosigned, "cosigned_at", when, "problem", s->why);
}

static dv_result add_standings(const dv_witness_client *client, const char *log,
                               const standing *standings, json_t *items)
{
    for (size_t i = 0; i < client->settings.policy.witness_count; i++) {
        json_t *item = standing_json(&client->settings.policy.witnesses[i], log, &standings[i]);
        if (item == NULL || json_array_append_new(items, item) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

/* The first thing that is wrong. */
static const char *problem_of(const dv_witness_client *client)
{
    const char *problem = client->problem;
    for (size_t i = 0; i < client->log_count && problem[0] == '\0'; i++) {
        problem = client->logs[i].problem;
    }
    return problem;
}

/* Under the lock. */
static json_t *status_json(const dv_witness_client *client, const char *policy)
{
    static const standing waiting[DV_POLICY_WITNESSES_MAX];
    json_t *items = json_array();
    dv_result result = items == NULL            ? DV_ERR_NO_MEMORY
                       : client->log_count == 0 ? add_standings(client, "main", waiting, items)
                                                : DV_OK;
    for (size_t i = 0; i < client->log_count && result == DV_OK; i++) {
        result = add_standings(client, client->logs[i].name, client->logs[i].standings, items);
    }
    if (result != DV_OK) {
        json_decref(items);
        return NULL;
    }
    return json_pack("{s:i,s:I,s:s,s:s,s:o}", "quorum", (int)client->settings.quorum, "cosigned",
                     (json_int_t)client->logs[0].published, "problem", problem_of(client), "policy",
                     policy, "items", items);
}

json_t *dv_witness_client_status(dv_witness_client *client)
{
    dv_auto(buf) dv_buf policy = dv_buf_init(DV_POLICY_TEXT_MAX);
    json_t *status = NULL;
    pthread_mutex_lock(&client->lock);
    const char *text = NULL;
    if (dv_witness_policy_format(&client->settings, &policy) == DV_OK) {
        text = dv_buf_cstr(&policy);
    }
    if (text != NULL) {
        status = status_json(client, text);
    }
    pthread_mutex_unlock(&client->lock);
    return status;
}

static standing *next_alarm(dv_witness_client *client, size_t *ret_log, size_t *ret_witness)
{
    for (size_t i = 0; i < client->log_count; i++) {
        for (size_t w = 0; w < client->settings.policy.witness_count; w++) {
            if (client->logs[i].standings[w].alarm) {
                *ret_log = i;
                *ret_witness = w;
                return &client->logs[i].standings[w];
            }
        }
    }
    return NULL;
}

bool dv_witness_client_alarm(dv_witness_client *client, char out[DV_WITNESS_ALARM_MAX])
{
    size_t log, witness;
    pthread_mutex_lock(&client->lock);
    standing *s = next_alarm(client, &log, &witness);
    if (s != NULL) {
        snprintf(out, DV_WITNESS_ALARM_MAX, "witness %s%s%s: %s",
                 client->settings.policy.witnesses[witness].name, log > 0 ? ", log " : "",
                 log > 0 ? client->logs[log].name : "", s->why);
        s->alarm = false;
    }
    pthread_mutex_unlock(&client->lock);
    return s != NULL;
}
