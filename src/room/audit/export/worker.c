/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/export/worker.h"

#include "base/file.h"
#include "crypto/random.h"
#include "room/audit/export/feed.h"
#include "room/audit/export/kind.h"
#include "room/audit/export/position.h"
#include "room/audit/export/refused.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>

enum {
    WAIT_MS = 1000,          /* for new events */
    WAIT_UNSETTLED_MS = 250, /* while something sent is not settled */
    BATCH_EVENTS_MAX = 10000,
    ARENA_MAX = 256 << 20,
    STREAK_MAX = 16, /* refused one after the other: the destination itself may be wrong */
};

#define PAUSE_FIRST (DV_SECOND / 4)
#define PAUSE_MAX (60 * DV_SECOND)
#define SAVE_EVERY (DV_SECOND / 5)
#define ALARM_EVERY (3600 * DV_SECOND)

struct dv_export_worker {
    dv_export_context context;
    const dv_export_kind *kind;
    dv_export_shared *shared;
    char path[PATH_MAX]; /* of the position */
    dv_export_feed *feed;
    void *sender;
    dv_export_position position;
    uint64_t read_next; /* behind the last event that was read */
    bool settled;       /* the position is where it should be in the log that there is */
    dv_time saved;      /* monotonic */
    bool unsaved;
    dv_arena *arena;   /* of the batch */
    dv_arena *scratch; /* of one call */
    dv_export_item *items;
    dv_export_item **chunk;
    size_t count;         /* of the batch */
    size_t first;         /* the first that may be pending */
    size_t limit;         /* events in one call */
    unsigned failures;    /* since something went well */
    unsigned streak;      /* refused one after the other */
    dv_time retry_after;  /* that the receiver asked for */
    dv_time refused_told; /* monotonic: when the last alarm of refusals was */
    pthread_t thread;
    pthread_mutex_t lock;
    dv_export_stats stats; /* under the lock */
};

/* -- telling ----------------------------------------------------------------------------------- */

void dv_export_worker_stats(dv_export_worker *worker, dv_export_stats *ret_stats)
{
    pthread_mutex_lock(&worker->lock);
    *ret_stats = worker->stats;
    pthread_mutex_unlock(&worker->lock);
}

static void tell_position(dv_export_worker *worker)
{
    const dv_export_position *position = &worker->position;
    pthread_mutex_lock(&worker->lock);
    worker->stats.next = position->next;
    worker->stats.sent = position->sent;
    worker->stats.refused = position->refused;
    worker->stats.lost = position->lost;
    worker->stats.repeated = position->repeated;
    pthread_mutex_unlock(&worker->lock);
}

static const char *name_of(const dv_export_worker *worker)
{
    return worker->context.destination->name;
}

/* The same trouble is said once, and its end. */
static void tell_trouble(dv_export_worker *worker, dv_result result, const dv_error *error)
{
    const char *message = error->message[0] != '\0' ? error->message : dv_result_name(result);
    pthread_mutex_lock(&worker->lock);
    bool news = !worker->stats.failing;
    worker->stats.failing = true;
    snprintf(worker->stats.problem, sizeof(worker->stats.problem), "%.255s", message);
    pthread_mutex_unlock(&worker->lock);
    if (news) {
        worker->shared->say("%s: %s; trying again", name_of(worker), message);
    }
}

static void tell_success(dv_export_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    bool news = worker->stats.failing;
    worker->stats.failing = false;
    worker->stats.problem[0] = '\0';
    worker->stats.last_sent = dv_time_now();
    pthread_mutex_unlock(&worker->lock);
    worker->failures = 0;
    if (news) {
        worker->shared->say("%s: takes events again", name_of(worker));
    }
}

static void raise_alarm(const dv_export_worker *worker, const char *rule, const char *format, ...)
    dv_printf(3, 4);

static void raise_alarm(const dv_export_worker *worker, const char *rule, const char *format, ...)
{
    char title[512];
    va_list args;
    va_start(args, format);
    vsnprintf(title, sizeof(title), format, args);
    va_end(args);
    worker->shared->say("%s", title);
    worker->shared->alarm(worker->shared->alarm_data, rule, title);
}

static bool is_stopping(const dv_export_worker *worker)
{
    return atomic_load_explicit(&worker->shared->stop, memory_order_relaxed);
}

/* -- the position ------------------------------------------------------------------------------ */

static dv_result save(dv_export_worker *worker, bool now, dv_error *error)
{
    dv_time time = dv_time_monotonic();
    tell_position(worker);
    if (!worker->unsaved || (!now && time - worker->saved < SAVE_EVERY)) {
        return DV_OK;
    }
    DV_TRY(dv_export_position_save(worker->path, &worker->position, error));
    worker->unsaved = false;
    worker->saved = time;
    return DV_OK;
}

/* The log that is there may be another one than the position speaks of: a backup, or a new one. */
static void meet_log(dv_export_worker *worker, const dv_export_log *log)
{
    dv_export_position *position = &worker->position;
    bool first = position->origin[0] == '\0';
    bool other = !first && strcmp(position->origin, log->origin) != 0;
    if (other) {
        raise_alarm(worker, "export.other_log",
                    "export %s: the log is another one than before: it is sent from its beginning",
                    name_of(worker));
    }
    if (first || other) {
        memcpy(position->origin, log->origin, sizeof(position->origin));
        position->next = first && worker->context.destination->from_now ? log->size : 0;
        worker->unsaved = true;
    }
    if (position->next > log->size) {
        raise_alarm(worker, "export.log_is_shorter",
                    "export %s: the log has %" PRIu64 " events, but %" PRIu64
                    " were sent: an older copy was put back; what it gets now is sent from there",
                    name_of(worker), log->size, position->next);
        position->next = log->size;
        worker->unsaved = true;
    }
    worker->read_next = position->next;
}

static dv_result settle_position(dv_export_worker *worker, dv_error *error)
{
    dv_export_log log;
    if (worker->settled) {
        return DV_OK;
    }
    DV_TRY(dv_export_feed_status(worker->feed, &log, error));
    meet_log(worker, &log);
    DV_TRY(save(worker, true, error));
    worker->settled = true;
    return DV_OK;
}

/* How far everything may be taken as received. */
static dv_result move_position(dv_export_worker *worker, dv_error *error)
{
    uint64_t next = worker->read_next;
    if (worker->kind->settle != NULL) {
        next = worker->position.next;
        DV_TRY(worker->kind->settle(worker->sender, worker->read_next, &next, error));
    }
    if (next != worker->position.next) {
        worker->position.next = next;
        worker->unsaved = true;
    }
    return DV_OK;
}

/* Back to what is settled: the receiver may have none of the rest. */
static void rewind_position(dv_export_worker *worker)
{
    if (worker->kind->settle != NULL) {
        worker->read_next = worker->position.next;
        worker->first = worker->count = 0;
    }
}

/* -- reading ----------------------------------------------------------------------------------- */

/* Pruned before it could be sent: never silently. */
static void note_gap(dv_export_worker *worker, uint64_t index)
{
    uint64_t gap = index - worker->read_next;
    worker->position.lost += gap;
    worker->unsaved = true;
    raise_alarm(worker, "export.lost",
                "export %s: %" PRIu64 " events from %" PRIu64
                " on were pruned from the log before they could be sent",
                name_of(worker), gap, worker->read_next);
}

/* An alert that was told lately is not told again. */
static dv_result weigh_alert(dv_export_worker *worker, dv_export_item *item)
{
    bool told = false;
    dv_time repeat = worker->context.destination->repeat;
    dv_slice uid = dv_export_event_text(&item->event, "finding_info.uid", worker->arena);
    if (repeat == 0 || uid.len == 0) {
        return DV_OK;
    }
    DV_TRY(dv_export_alert_note(&worker->position, uid, item->event.index,
                                dv_export_event_time(&item->event), repeat, &told));
    if (told) {
        item->state = DV_EXPORT_DONE;
        worker->position.repeated++;
    }
    return DV_OK;
}

static dv_result refuse(dv_export_worker *worker, dv_export_item *item, const char *why,
                        dv_error *error);

static dv_result weigh(dv_export_worker *worker, dv_export_item *item, dv_error *error)
{
    const dv_export_destination *destination = worker->context.destination;
    bool as_it_is = destination->type == DV_EXPORT_FILE && !destination->cef &&
                    dv_export_wants_all(destination) && destination->repeat == 0;
    if (as_it_is) {
        return DV_OK;
    }
    dv_result result = dv_export_event_read(&item->event, worker->arena, error);
    if (result == DV_ERR_NO_MEMORY) {
        return result;
    }
    if (result != DV_OK) {
        char why[DV_EXPORT_WHY_MAX];
        snprintf(why, sizeof(why), "%.200s", error->message);
        return refuse(worker, item, why, error);
    }
    if (!dv_export_wants(destination, &item->event, worker->arena)) {
        item->state = DV_EXPORT_DONE;
        return DV_OK;
    }
    return weigh_alert(worker, item);
}

/* The feed's next lines become the batch. */
static dv_result read_batch(dv_export_worker *worker, dv_error *error)
{
    dv_slice lines, text;
    uint64_t index;
    bool waits = worker->read_next == worker->position.next;
    unsigned limit = (unsigned)DV_MIN(worker->kind->events_max * 4, (size_t)BATCH_EVENTS_MAX);
    worker->first = worker->count = 0;
    dv_arena_recycle(worker->arena);
    DV_TRY(dv_export_feed_read(worker->feed, worker->read_next, limit,
                               waits ? WAIT_MS : WAIT_UNSETTLED_MS, &lines, error));
    dv_result result;
    while ((result = dv_export_feed_line(&lines, &index, &text, error)) == DV_OK) {
        if (index < worker->read_next || worker->count == BATCH_EVENTS_MAX) {
            return dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd sent events out of order");
        }
        if (index > worker->read_next) {
            note_gap(worker, index);
        }
        dv_export_item *item = &worker->items[worker->count];
        *item = (dv_export_item){.event = {worker->position.origin, index, text, {{0}, NULL, 0}}};
        DV_TRY(weigh(worker, item, error));
        worker->count++;
        worker->read_next = index + 1;
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* -- sending ----------------------------------------------------------------------------------- */

/* When it can not be noted it stays pending. */
static dv_result refuse(dv_export_worker *worker, dv_export_item *item, const char *why,
                        dv_error *error)
{
    char uid[DV_EXPORT_UID_MAX];
    dv_time now = dv_time_monotonic();
    dv_export_event_uid(&item->event, uid);
    item->state = DV_EXPORT_PENDING;
    DV_TRY(dv_export_refused_note(worker->path, uid, why, error));
    item->state = DV_EXPORT_REFUSED;
    worker->position.refused++;
    worker->unsaved = true;
    if (worker->refused_told == 0 || now - worker->refused_told >= ALARM_EVERY) {
        worker->refused_told = now;
        raise_alarm(worker, "export.refused",
                    "export %s: event %s can never be sent (%.128s); %" PRIu64
                    " so far, listed in STATE/export",
                    name_of(worker), uid, why, worker->position.refused);
    }
    return DV_OK;
}

/* Pending items from the first on, so many as may go in one call. */
static size_t choose_chunk(dv_export_worker *worker)
{
    size_t count = 0, bytes = 0;
    for (size_t i = worker->first; i < worker->count && count < worker->limit; i++) {
        dv_export_item *item = &worker->items[i];
        if (item->state != DV_EXPORT_PENDING) {
            worker->first += i == worker->first ? 1 : 0;
            continue;
        }
        if (count > 0 && bytes + item->event.text.len > worker->context.destination->batch) {
            break;
        }
        bytes += item->event.text.len;
        worker->chunk[count++] = item;
    }
    return count;
}

static dv_result note_rejected(dv_export_worker *worker, const dv_export_chunk *chunk,
                               dv_error *error)
{
    char why[DV_EXPORT_WHY_MAX + 128];
    snprintf(
        why, sizeof(why),
        "%" PRIu64 " of the %zu events up to %" PRIu64 " (the receiver does not say which): %s",
        chunk->rejected, chunk->count, chunk->items[chunk->count - 1]->event.index, chunk->why);
    DV_TRY(refuse(worker, worker->chunk[0], why, error));
    worker->position.refused += chunk->rejected - 1;
    worker->position.sent -= chunk->rejected;
    return DV_OK;
}

/* What became of a chunk that went through. Errors: DV_ERR_UNAVAILABLE: some are to come again. */
static dv_result take_outcome(dv_export_worker *worker, const dv_export_chunk *chunk,
                              dv_error *error)
{
    size_t done = 0, pending = 0;
    for (size_t i = 0; i < chunk->count; i++) {
        dv_export_item *item = worker->chunk[i];
        done += item->state == DV_EXPORT_DONE ? 1 : 0;
        pending += item->state == DV_EXPORT_PENDING ? 1 : 0;
        if (item->state == DV_EXPORT_REFUSED) {
            DV_TRY(refuse(worker, item, chunk->why, error));
        }
    }
    worker->position.sent += done;
    worker->unsaved = true;
    if (chunk->rejected > 0) {
        DV_TRY(note_rejected(worker, chunk, error));
    }
    if (done > 0) {
        worker->streak = 0;
        tell_success(worker);
    }
    return pending == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_UNAVAILABLE, "the receiver puts off %zu of %zu events",
                              pending, chunk->count);
}

/* The receiver refused a whole chunk: half of it next time, until the one is found that it can not
 * take. When it takes none at all the fault is hardly the events': then slower and slower. */
static dv_result take_refusal(dv_export_worker *worker, const dv_export_chunk *chunk,
                              dv_error *error)
{
    if (chunk->count > 1) {
        worker->limit = chunk->count / 2;
        return DV_OK;
    }
    char why[DV_EXPORT_WHY_MAX];
    snprintf(why, sizeof(why), "%.200s", error->message);
    DV_TRY(refuse(worker, worker->chunk[0], why, error));
    return ++worker->streak < STREAK_MAX ? DV_OK : DV_ERR_UNAVAILABLE;
}

static dv_result send_chunk(dv_export_worker *worker, size_t count, dv_error *error)
{
    dv_export_chunk chunk = {.items = worker->chunk, .count = count, .arena = worker->scratch};
    dv_arena_recycle(worker->scratch);
    dv_result result = worker->kind->send(worker->sender, &chunk, error);
    worker->retry_after = chunk.retry_after;
    if (result == DV_OK) {
        worker->limit = DV_MIN(worker->limit * 2, worker->kind->events_max);
        result = take_outcome(worker, &chunk, error);
    } else if (result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE) {
        result = take_refusal(worker, &chunk, error);
    }
    return result;
}

/* The position moves behind what needs no more sending. */
static void pass_done(dv_export_worker *worker)
{
    while (worker->first < worker->count &&
           worker->items[worker->first].state != DV_EXPORT_PENDING) {
        worker->first++;
    }
    if (worker->kind->settle == NULL) {
        worker->position.next = worker->first < worker->count
                                    ? worker->items[worker->first].event.index
                                    : worker->read_next;
        worker->unsaved = true;
    }
}

/* Sends what is pending of the batch. */
static dv_result deliver(dv_export_worker *worker, dv_error *error)
{
    size_t count;
    while (!is_stopping(worker) && (count = choose_chunk(worker)) > 0) {
        DV_TRY(send_chunk(worker, count, error));
        pass_done(worker);
        /* One message an event: none of them twice for want of a note. */
        DV_TRY(save(worker, worker->kind->events_max == 1, error));
    }
    return DV_OK;
}

static bool is_pending(dv_export_worker *worker)
{
    return choose_chunk(worker) > 0;
}

static dv_result step(dv_export_worker *worker, dv_error *error)
{
    DV_TRY(settle_position(worker, error));
    if (!is_pending(worker)) {
        DV_TRY(read_batch(worker, error));
    }
    DV_TRY(deliver(worker, error));
    if (!is_pending(worker)) {
        DV_TRY(move_position(worker, error));
    }
    return save(worker, worker->count == 0, error);
}

/* -- the thread -------------------------------------------------------------------------------- */

/* Twice as long each time, a random part of it less, so that many do not come back at once. */
static void pause_worker(dv_export_worker *worker)
{
    struct timespec until;
    uint32_t random;
    dv_time pause = DV_MIN(PAUSE_FIRST << DV_MIN(worker->failures, 10u), PAUSE_MAX);
    dv_random(&random, sizeof(random));
    pause -= pause / 2 * (dv_time)(random % 1000) / 1000;
    pause = DV_MAX(pause, worker->retry_after);
    worker->failures++;
    worker->retry_after = 0;
    dv_time end = dv_time_monotonic() + pause;
    until = (struct timespec){.tv_sec = end / DV_SECOND, .tv_nsec = end % DV_SECOND};
    pthread_mutex_lock(&worker->shared->lock);
    int timed_out = 0;
    while (!is_stopping(worker) && timed_out == 0) {
        timed_out = pthread_cond_clockwait(&worker->shared->changed, &worker->shared->lock,
                                           CLOCK_MONOTONIC, &until);
    }
    pthread_mutex_unlock(&worker->shared->lock);
}

static void *run(void *data)
{
    dv_export_worker *worker = data;
    while (!is_stopping(worker)) {
        dv_error error = {0};
        dv_result result = step(worker, &error);
        if (result != DV_OK && !is_stopping(worker)) {
            rewind_position(worker);
            tell_trouble(worker, result, &error);
            (void)!save(worker, true, &error); /* tried again with the next one */
            pause_worker(worker);
        }
    }
    dv_error error = {0};
    if (worker->settled && (save(worker, true, &error) != DV_OK)) {
        worker->shared->say("%s: %s", name_of(worker), error.message);
    }
    return NULL;
}

static void release(dv_export_worker *worker)
{
    if (worker->sender != NULL) {
        worker->kind->close(worker->sender);
    }
    dv_export_feed_free(worker->feed);
    dv_export_position_release(&worker->position);
    dv_arena_free(worker->arena);
    dv_arena_free(worker->scratch);
    pthread_mutex_destroy(&worker->lock);
    free((void *)worker->chunk);
    free(worker->items);
    free(worker);
}

static dv_result set_up(dv_export_worker *worker, dv_error *error)
{
    const dv_export_context *context = &worker->context;
    bool main_log = strcmp(context->log, "main") == 0;
    int len =
        snprintf(worker->path, sizeof(worker->path), "%s/%s%s%s", worker->shared->folder,
                 context->destination->name, main_log ? "" : "@", main_log ? "" : context->log);
    if (len < 0 || len >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the state directory's path is too long");
    }
    worker->arena = dv_arena_new(ARENA_MAX);
    worker->scratch = dv_arena_new(ARENA_MAX);
    worker->items = calloc(BATCH_EVENTS_MAX, sizeof(*worker->items));
    worker->chunk = (dv_export_item **)calloc(BATCH_EVENTS_MAX, sizeof(*worker->chunk));
    if (worker->arena == NULL || worker->scratch == NULL || worker->items == NULL ||
        worker->chunk == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    worker->limit = worker->kind->events_max;
    DV_TRY(dv_export_position_load(worker->path, &worker->position, error));
    tell_position(worker);
    DV_TRY(dv_export_feed_new(worker->shared->feed_socket, context->log, context->stop,
                              &worker->feed));
    DV_TRY(worker->kind->open(context, &worker->sender, error));
    return pthread_create(&worker->thread, NULL, run, worker) == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_NO_MEMORY, "a thread can not be started");
}

dv_result dv_export_worker_start(const dv_export_destination *destination, const char *log,
                                 dv_export_shared *shared, dv_export_worker **ret_worker,
                                 dv_error *error)
{
    dv_export_worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    worker->context = (dv_export_context){destination, log, shared->host, &shared->stop};
    worker->kind = dv_export_kinds[destination->type];
    worker->shared = shared;
    pthread_mutex_init(&worker->lock, NULL);
    dv_result result = set_up(worker, error);
    if (result != DV_OK) {
        release(worker);
        return result;
    }
    *ret_worker = worker;
    return DV_OK;
}

void dv_export_worker_end(dv_export_worker *worker)
{
    if (worker != NULL) {
        pthread_join(worker->thread, NULL);
        release(worker);
    }
}
