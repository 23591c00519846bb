/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/export/exporter.h"

#include "base/caps.h"
#include "base/file.h"
#include "core/event.h"
#include "engine/log/spool.h"
#include "room/audit/export/feed.h"
#include "room/audit/export/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CONFIG_ARENA = 64 << 20,
    LOGS_MAX = 16,
    WORKERS_MAX = 64,
    SEGMENT_MAX = 1 << 20,
    HOST_MAX = 256,
};

#define LIST_EVERY (30 * DV_SECOND)
#define NEAR_AFTER (3 * DV_SECOND) /* behind: less is nothing to look at */

/* A log that is sent. */
typedef struct log_watch {
    char name[DV_EXPORT_NAME_MAX + 1];
    dv_export_feed *feed;
    dv_export_log log;
    bool known; /* dvara-logd told of it */
} log_watch;

/* A worker, and how far behind it is. */
typedef struct worker_watch {
    dv_export_worker *worker;
    const dv_export_destination *destination;
    const log_watch *log;
    uint64_t mark;     /* the log's size at some time */
    dv_time mark_time; /* monotonic; 0: none. Since then the worker has not come to it */
    bool alarmed;      /* of this mark */
    bool near_told;    /* that pruning comes near; until it is level again */
} worker_watch;

struct dv_exporter {
    dv_exporter_options options;
    dv_export_shared shared;
    dv_arena *arena; /* of the configuration */
    const dv_export_destination *destinations;
    size_t destination_count;
    dv_time next_list; /* monotonic: of looking for logs that were begun since */
    log_watch logs[LOGS_MAX];
    size_t log_count;
    worker_watch workers[WORKERS_MAX];
    size_t worker_count;
    pthread_mutex_t alarm_lock;
    dv_spool *spool; /* under alarm_lock; NULL: not opened yet */
    char folder[PATH_MAX], spool_folder[PATH_MAX], feed_socket[PATH_MAX], status_path[PATH_MAX];
    char host[HOST_MAX];
};

/* -- alarms ------------------------------------------------------------------------------------ */

static dv_result open_spool(dv_exporter *exporter, dv_error *error)
{
    uint8_t key[32];
    if (exporter->spool != NULL) {
        return DV_OK;
    }
    DV_TRY(dv_log_key_read(exporter->options.runtime_dir, key, error));
    return dv_spool_open(exporter->spool_folder, "export", key, SEGMENT_MAX, &exporter->spool,
                         error);
}

static dv_result append_alarm(dv_exporter *exporter, const char *rule, const char *title,
                              dv_error *error)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = {.time = dv_time_now(), .entity = DV_LIT("System::\"dvara-export\"")};
    DV_TRY(open_spool(exporter, error));
    DV_TRY(dv_event_alarm(&event, &actor, dv_slice_str(rule), dv_slice_str(title)));
    return dv_spool_append(exporter->spool, dv_buf_slice(&event), false);
}

static void raise_alarm(void *data, const char *rule, const char *title)
{
    dv_exporter *exporter = data;
    dv_error error = {0};
    pthread_mutex_lock(&exporter->alarm_lock);
    if (append_alarm(exporter, rule, title, &error) != DV_OK) {
        exporter->options.say("an alarm could not be left in the log: %s", error.message);
    }
    pthread_mutex_unlock(&exporter->alarm_lock);
}

/* -- starting ---------------------------------------------------------------------------------- */

static dv_result join(const char *folder, const char *name, char out[PATH_MAX], dv_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return len > 0 && len < PATH_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
}

static dv_result make_paths(dv_exporter *exporter, dv_error *error)
{
    const dv_exporter_options *options = &exporter->options;
    char runtime_folder[PATH_MAX];
    DV_TRY(join(options->state_dir, "export", exporter->folder, error));
    DV_TRY(join(options->state_dir, "spool", exporter->spool_folder, error));
    DV_TRY(join(options->runtime_dir, "logd.sock", exporter->feed_socket, error));
    DV_TRY(join(options->runtime_dir, "export", runtime_folder, error));
    DV_TRY(join(runtime_folder, "status.json", exporter->status_path, error));
    DV_TRY(dv_dir_make(exporter->folder, 0700, error));
    DV_TRY(dv_dir_make(runtime_folder, 0750, error));
    if (gethostname(exporter->host, sizeof(exporter->host) - 1) != 0) {
        exporter->host[0] = '\0';
    }
    return DV_OK;
}

static log_watch *find_log(dv_exporter *exporter, dv_slice name)
{
    for (size_t i = 0; i < exporter->log_count; i++) {
        if (dv_slice_eq_str(name, exporter->logs[i].name)) {
            return &exporter->logs[i];
        }
    }
    return NULL;
}

static dv_result add_log(dv_exporter *exporter, dv_slice name, dv_error *error)
{
    if (find_log(exporter, name) != NULL) {
        return DV_OK;
    }
    if (exporter->log_count == LOGS_MAX || name.len > DV_EXPORT_NAME_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "more than %d logs are exported", LOGS_MAX);
    }
    log_watch *log = &exporter->logs[exporter->log_count++];
    dv_slice_copy(name, log->name, sizeof(log->name));
    return dv_export_feed_new(exporter->feed_socket, log->name, &exporter->shared.stop, &log->feed);
}

/* All logs that there are; dvara-logd may not be up yet when it is started again. */
static dv_result list_logs(dv_exporter *exporter, dv_buf *names, dv_error *error)
{
    dv_export_feed *feed = NULL;
    DV_TRY(dv_export_feed_new(exporter->feed_socket, "main", &exporter->shared.stop, &feed));
    dv_result result = dv_export_feed_logs(feed, names, error);
    dv_export_feed_free(feed);
    return result;
}

static bool has_worker(const dv_exporter *exporter, const dv_export_destination *destination,
                       dv_slice log_name)
{
    for (size_t i = 0; i < exporter->worker_count; i++) {
        const worker_watch *watch = &exporter->workers[i];
        if (watch->destination == destination && dv_slice_eq_str(log_name, watch->log->name)) {
            return true;
        }
    }
    return false;
}

static dv_result start_worker(dv_exporter *exporter, const dv_export_destination *destination,
                              dv_slice log_name, dv_error *error)
{
    DV_TRY(add_log(exporter, log_name, error));
    if (exporter->worker_count == WORKERS_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "more than %d exports, counting each log",
                            WORKERS_MAX);
    }
    worker_watch *watch = &exporter->workers[exporter->worker_count];
    *watch = (worker_watch){.destination = destination, .log = find_log(exporter, log_name)};
    DV_TRY(dv_export_worker_start(destination, watch->log->name, &exporter->shared, &watch->worker,
                                  error));
    exporter->worker_count++;
    return DV_OK;
}

static dv_result start_destination(dv_exporter *exporter, const dv_export_destination *destination,
                                   dv_slice all_logs, dv_error *error)
{
    dv_slice name;
    if (destination->logs != NULL) {
        for (size_t i = 0; destination->logs[i] != NULL; i++) {
            name = dv_slice_str(destination->logs[i]);
            DV_TRY(has_worker(exporter, destination, name)
                       ? DV_OK
                       : start_worker(exporter, destination, name, error));
        }
        return DV_OK;
    }
    while (all_logs.len > 0 && dv_slice_split(&all_logs, '\n', &name)) {
        bool known = name.len == 0 || has_worker(exporter, destination, name);
        DV_TRY(known ? DV_OK : start_worker(exporter, destination, name, error));
    }
    return DV_OK;
}

/* Of all logs that there are by now. */
static dv_result start_destinations(dv_exporter *exporter, dv_error *error)
{
    dv_auto(buf) dv_buf names = dv_buf_init(64 << 10);
    DV_TRY(list_logs(exporter, &names, error));
    for (size_t i = 0; i < exporter->destination_count; i++) {
        DV_TRY(
            start_destination(exporter, &exporter->destinations[i], dv_buf_slice(&names), error));
    }
    return DV_OK;
}

/* A class that was added to dvara.yaml has a log of its own. */
static void look_for_logs(dv_exporter *exporter)
{
    dv_error error = {0};
    if (dv_time_monotonic() < exporter->next_list) {
        return;
    }
    exporter->next_list = dv_time_monotonic() + LIST_EVERY;
    dv_result result = start_destinations(exporter, &error);
    if (result != DV_OK && result != DV_ERR_UNAVAILABLE) {
        exporter->options.say("a log is not exported: %s", error.message);
    }
}

static dv_result read_config(dv_exporter *exporter, dv_slice config, dv_error *error)
{
    const dv_yaml *root = NULL;
    exporter->arena = dv_arena_new(CONFIG_ARENA);
    if (exporter->arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_yaml_parse(config, exporter->arena, &root, error));
    const dv_yaml *audit = dv_yaml_get(root, "audit");
    const dv_yaml *list = audit == NULL ? NULL : dv_yaml_get(audit, "export");
    return dv_export_config_read(list, exporter->arena, &exporter->destinations,
                                 &exporter->destination_count, error);
}

static dv_result start_all(dv_exporter *exporter, dv_slice config, dv_error *error)
{
    DV_TRY(read_config(exporter, config, error));
    DV_TRY(make_paths(exporter, error));
    exporter->next_list = dv_time_monotonic() + LIST_EVERY;
    return start_destinations(exporter, error);
}

dv_result dv_exporter_start(const dv_exporter_options *options, dv_slice config,
                            dv_exporter **ret_exporter, dv_error *error)
{
    dv_exporter *exporter = calloc(1, sizeof(*exporter));
    if (exporter == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    exporter->options = *options;
    pthread_mutex_init(&exporter->alarm_lock, NULL);
    pthread_mutex_init(&exporter->shared.lock, NULL);
    pthread_cond_init(&exporter->shared.changed, NULL);
    exporter->shared.folder = exporter->folder;
    exporter->shared.feed_socket = exporter->feed_socket;
    exporter->shared.host = exporter->host;
    exporter->shared.say = options->say;
    exporter->shared.alarm = raise_alarm;
    exporter->shared.alarm_data = exporter;
    dv_result result = start_all(exporter, config, error);
    if (result != DV_OK) {
        dv_exporter_free(exporter);
        return result;
    }
    *ret_exporter = exporter;
    return DV_OK;
}

void dv_exporter_free(dv_exporter *exporter)
{
    if (exporter == NULL) {
        return;
    }
    pthread_mutex_lock(&exporter->shared.lock);
    atomic_store(&exporter->shared.stop, true);
    pthread_cond_broadcast(&exporter->shared.changed);
    pthread_mutex_unlock(&exporter->shared.lock);
    for (size_t i = 0; i < exporter->worker_count; i++) {
        dv_export_worker_end(exporter->workers[i].worker);
    }
    for (size_t i = 0; i < exporter->log_count; i++) {
        dv_export_feed_free(exporter->logs[i].feed);
    }
    if (exporter->spool != NULL) {
        dv_spool_close(exporter->spool);
    }
    if (exporter->status_path[0] != '\0') {
        unlink(exporter->status_path);
    }
    pthread_cond_destroy(&exporter->shared.changed);
    pthread_mutex_destroy(&exporter->shared.lock);
    pthread_mutex_destroy(&exporter->alarm_lock);
    dv_arena_free(exporter->arena);
    free(exporter);
}

/* -- how far behind ---------------------------------------------------------------------------- */

/* What was in the log so long ago should be at the destination by now. */
static dv_time behind_for(worker_watch *watch, const dv_export_stats *stats, dv_time now)
{
    uint64_t size = watch->log->log.size;
    if (watch->mark_time == 0 || stats->next >= watch->mark) {
        watch->mark = size;
        watch->mark_time = now;
        watch->alarmed = false;
    }
    return stats->next >= size ? 0 : now - watch->mark_time;
}

static void weigh_delay(dv_exporter *exporter, worker_watch *watch, const dv_export_stats *stats,
                        dv_time behind)
{
    char title[512];
    dv_time most = watch->destination->alarm_after;
    if (most == 0 || behind < most || watch->alarmed) {
        return;
    }
    watch->alarmed = true;
    snprintf(title, sizeof(title),
             "export %s is behind: %" PRIu64 " events of log %s wait, the first for %" PRId64
             " s or longer%s%.200s",
             watch->destination->name, watch->log->log.size - stats->next, watch->log->name,
             behind / DV_SECOND, stats->problem[0] != '\0' ? ": " : "", stats->problem);
    exporter->options.say("%s", title);
    raise_alarm(exporter, "export.behind", title);
}

/* When the log took the first event that is not sent, in milliseconds; 0: nobody knows. */
static int64_t waiting_since(const worker_watch *watch, uint64_t next)
{
    uint64_t index;
    dv_slice lines, event;
    if (dv_export_feed_read(watch->log->feed, next, 1, 0, &lines, NULL) != DV_OK ||
        dv_export_feed_line(&lines, &index, &event, NULL) != DV_OK) {
        return 0;
    }
    json_t *root = json_loadb((const char *)event.ptr, event.len, 0, NULL);
    json_t *metadata = json_object_get(root, "metadata");
    int64_t time = json_integer_value(json_object_get(metadata, "logged_time"));
    json_decref(root);
    return time;
}

/* Four fifths of the time that the log keeps an event are over, and it still waits. */
static void weigh_pruning(dv_exporter *exporter, worker_watch *watch, const dv_export_stats *stats,
                          dv_time behind)
{
    char title[512];
    uint64_t keep = watch->log->log.keep_seconds;
    watch->near_told = watch->near_told && behind > 0;
    if (keep == 0 || watch->near_told || behind < NEAR_AFTER) {
        return;
    }
    int64_t since = waiting_since(watch, stats->next);
    int64_t age = dv_time_now() / DV_SECOND - since / 1000;
    if (since == 0 || age < (int64_t)(keep / 5 * 4)) {
        return;
    }
    watch->near_told = true;
    snprintf(
        title, sizeof(title),
        "export %s: events of log %s will be pruned before they are sent: the first is %" PRId64
        " s old, and is kept for %" PRIu64 " s",
        watch->destination->name, watch->log->name, age, keep);
    exporter->options.say("%s", title);
    raise_alarm(exporter, "export.near_pruning", title);
}

/* A new reference, or NULL. */
static json_t *watch_json(const worker_watch *watch, const dv_export_stats *stats, dv_time behind)
{
    char last[DV_TIME_TEXT_MAX] = "";
    uint64_t size = DV_MAX(watch->log->log.size, stats->next);
    if (stats->last_sent != 0) {
        dv_time_format(stats->last_sent, last);
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s%}", "name",
                     watch->destination->name, "type",
                     dv_export_type_name(watch->destination->type), "log", watch->log->name,
                     "state", stats->failing ? "failing" : "ok", "next", (json_int_t)stats->next,
                     "behind", (json_int_t)(size - stats->next), "behind_seconds",
                     (json_int_t)(behind / DV_SECOND), "sent", (json_int_t)stats->sent, "refused",
                     (json_int_t)stats->refused, "lost", (json_int_t)stats->lost, "repeated",
                     (json_int_t)stats->repeated, "last_sent", last, "problem", stats->problem,
                     strlen(stats->problem));
}

/* No sync: after a crash of the machine there is none to read. */
static void write_status(dv_exporter *exporter, json_t *destinations)
{
    char temporary[PATH_MAX + 8];
    json_t *root = json_pack("{s:I, s:o}", "written", (json_int_t)(dv_time_now() / DV_SECOND),
                             "destinations", destinations);
    char *text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);
    json_decref(root);
    snprintf(temporary, sizeof(temporary), "%s.new", exporter->status_path);
    FILE *file = text == NULL ? NULL : fopen(temporary, "we");
    if (file != NULL) {
        bool good = fputs(text, file) >= 0 && fchmod(fileno(file), 0640) == 0;
        good = fclose(file) == 0 && good;
        if (!good || rename(temporary, exporter->status_path) != 0) {
            unlink(temporary);
        }
    }
    free(text);
}

static void look_at_logs(dv_exporter *exporter)
{
    for (size_t i = 0; i < exporter->log_count; i++) {
        log_watch *log = &exporter->logs[i];
        log->known = dv_export_feed_status(log->feed, &log->log, NULL) == DV_OK || log->known;
    }
}

void dv_exporter_tick(dv_exporter *exporter)
{
    json_t *list = json_array();
    dv_time now = dv_time_monotonic();
    look_for_logs(exporter);
    look_at_logs(exporter);
    for (size_t i = 0; i < exporter->worker_count; i++) {
        dv_export_stats stats;
        worker_watch *watch = &exporter->workers[i];
        dv_export_worker_stats(watch->worker, &stats);
        dv_time behind = watch->log->known ? behind_for(watch, &stats, now) : 0;
        weigh_delay(exporter, watch, &stats, behind);
        weigh_pruning(exporter, watch, &stats, behind);
        (void)json_array_append_new(list, watch_json(watch, &stats, behind));
    }
    write_status(exporter, list);
}
