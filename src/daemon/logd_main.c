/* SPDX-License-Identifier: Apache-2.0 */
/* dvara-logd: takes the spools into the log, signs checkpoints, answers readers. It alone holds the
 * log's keys. The sequencer runs in the main thread; readers are served from disk in others.
 *
 * A commit is due when something was taken and the last one is a second old, or when a batch is
 * full. When the disk takes nothing it stops taking records, says so, and tries every second. */

#include "base/caps.h"
#include "base/file.h"
#include "base/thread.h"
#include "core/event.h"
#include "crypto/random.h"
#include "daemon/logd_cosignature.h"
#include "daemon/logd_erase.h"
#include "daemon/logd_keys.h"
#include "daemon/logd_logs.h"
#include "daemon/logd_retention.h"
#include "daemon/logd_rotate.h"
#include "daemon/logd_server.h"
#include "daemon/logd_watch.h"
#include "daemon/notify.h"
#include "daemon/service.h"
#include "engine/log/erasure.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    POLL_MS = 50, /* between looks into the spools when nothing comes */
    BATCH_BYTES = 32 << 20,
};
_Static_assert(BATCH_BYTES <= 32 << 20, "glibc refuses a larger M_MMAP_THRESHOLD");
static const dv_time commit_period = DV_SECOND;
static const dv_time patience = DV_SECOND / 2; /* with records that are there and not taken, and
                                                  with a commit that is due */

typedef struct logd {
    dv_service_options options;
    char log_folder[PATH_MAX];
    char spools[2][PATH_MAX];
    dv_logd_keys keys;
    dv_sequencer *sequencer;
    dv_logd_server *server;
    dv_logd_rotate *rotate;
    dv_subjects *subjects;
    dv_logd_erase *erase;
    dv_logd_retention *retention;
    int signals;
    int session;         /* its weight; -1 */
    bool yields;         /* the workers' session goes first */
    dv_time last_level;  /* monotonic: when no record was left in the spools */
    dv_time last_commit; /* monotonic */
    bool failing;        /* the last step failed: said once */
    dv_logd_watch watch;
    bool ending;
} logd;

static const dv_service_about about = {
    .usage = "dvara-logd: Dvara's audit log. `dvara up` starts it.\n"
             "usage: dvara-logd --state DIR --runtime DIR\n",
    .version = "dvara-logd " DV_VERSION "\n",
};

static void say(const char *format, ...) dv_printf(1, 2);

/* One line for the operator; what comes from outside can't begin another. */
static void say(const char *format, ...)
{
    char line[DV_ERROR_MESSAGE_MAX + 64];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    for (char *at = line; *at != '\0'; at++) {
        *at = (unsigned char)*at < 0x20 ? ' ' : *at;
    }
    fprintf(stderr, "dvara-logd: %s\n", line);
}

/* -- starting ---------------------------------------------------------------------------------- */

static dv_result harden(logd *daemon, dv_error *error)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return dv_error_set(error, DV_ERR_IO, "this process can not be hardened: %s",
                            strerror(errno));
    }
    umask(0027);
    /* What a batch took is kept for the next one: a tenth of the work would be the kernel's, taking
     * pages back and giving them again. */
    (void)mallopt(M_TRIM_THRESHOLD, BATCH_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, BATCH_BYTES);
    (void)mallopt(M_ARENA_MAX, 2); /* the readers' threads keep as much, once */
    dv_thread_steps_aside();       /* callers wait for the workers, nobody for us */
    daemon->session = dv_session_open();
    return dv_process_undumpable();
}

/* Only who owns the spool may make folders there: dvara-logd goes by their names and owners. */
static dv_result check_spool(const char *path, const struct stat *folder, dv_error *error)
{
    return (folder->st_mode & (S_IWGRP | S_IWOTH)) == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_FORBIDDEN,
                              "others may write to %s: start with `dvara up`, which repairs it, or "
                              "take that away (chmod go-w)",
                              path);
}

/* STATE/spool, and RUNTIME/spool when that is another folder. */
static dv_result find_spools(logd *daemon, dv_error *error)
{
    struct stat state, runtime;
    int a = snprintf(daemon->spools[0], PATH_MAX, "%s/spool", daemon->options.state_dir);
    int b = snprintf(daemon->spools[1], PATH_MAX, "%s/spool", daemon->options.runtime_dir);
    int c = snprintf(daemon->log_folder, PATH_MAX, "%s/log", daemon->options.state_dir);
    if (a >= PATH_MAX || b >= PATH_MAX || c >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long",
                            daemon->options.state_dir);
    }
    DV_TRY(dv_dir_make(daemon->spools[0], 0700, error));
    if (stat(daemon->spools[0], &state) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", daemon->spools[0], strerror(errno));
    }
    bool other = stat(daemon->spools[1], &runtime) == 0 &&
                 (runtime.st_ino != state.st_ino || runtime.st_dev != state.st_dev);
    if (!other) {
        daemon->spools[1][0] = '\0';
    }
    DV_TRY(check_spool(daemon->spools[0], &state, error));
    return other ? check_spool(daemon->spools[1], &runtime, error) : DV_OK;
}

static dv_result note_lifecycle(logd *daemon, dv_lifecycle_activity activity)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = {.time = dv_time_now(), .entity = DV_LIT("System::\"dvara-logd\"")};
    DV_TRY(dv_event_lifecycle(&event, &actor, activity, DV_LIT("dvara-logd")));
    return dv_sequencer_note(daemon->sequencer, dv_buf_slice(&event));
}

static void tell_server(logd *daemon)
{
    dv_sequencer_status status;
    dv_sequencer_status_get(daemon->sequencer, &status);
    dv_logd_server_update(daemon->server, &status);
}

static dv_logd_rotate_on rotate_on(logd *daemon)
{
    return (dv_logd_rotate_on){.state_dir = daemon->options.state_dir,
                               .log_folder = daemon->log_folder,
                               .keys = &daemon->keys,
                               .sequencer = daemon->sequencer};
}

static dv_result open_subjects(logd *daemon, dv_error *error)
{
    char folder[PATH_MAX];
    int len = snprintf(folder, sizeof(folder), "%s/keys/log/subjects", daemon->options.state_dir);
    if (len < 0 || (size_t)len >= sizeof(folder)) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long",
                            daemon->options.state_dir);
    }
    return dv_subjects_open(folder, &daemon->subjects, error);
}

/* What the log says was erased is erased before anybody reads. */
static dv_result open_erasure(logd *daemon, dv_error *error)
{
    dv_sequencer_status status;
    dv_logd_erase_on on = {daemon->log_folder, daemon->subjects, daemon->sequencer};
    dv_sequencer_status_get(daemon->sequencer, &status);
    DV_TRY(dv_erasures_redo(daemon->subjects, daemon->log_folder, status.logs[0].minimum,
                            status.size, error));
    return dv_logd_erase_new(&on, &daemon->erase);
}

/* A log that is shorter than what witnesses saw of it was taken back. */
static dv_result check_cosigned(const logd *daemon, dv_error *error)
{
    char folder[PATH_MAX];
    dv_sequencer_status status;
    dv_sequencer_status_get(daemon->sequencer, &status);
    for (size_t i = 0; i < status.log_count; i++) {
        DV_TRY(dv_logd_log_folder(daemon->log_folder, status.logs[i].name, folder, error));
        DV_TRY(dv_logd_cosignature_check(folder, error));
    }
    return DV_OK;
}

static dv_result open_retention(logd *daemon, dv_error *error)
{
    dv_logd_retention_on on = {daemon->log_folder, daemon->options.runtime_dir, daemon->sequencer};
    return dv_logd_retention_new(&on, &daemon->retention, error);
}

static dv_result open_all(logd *daemon, dv_error *error)
{
    DV_TRY(find_spools(daemon, error));
    DV_TRY(dv_logd_keys_load(daemon->options.state_dir, &daemon->keys, error));
    DV_TRY(open_subjects(daemon, error));
    dv_sequencer_options options = {
        .log_folder = daemon->log_folder,
        .spools = {daemon->spools[0], daemon->spools[1][0] != '\0' ? daemon->spools[1] : NULL},
        .keys = &daemon->keys.box,
        .signer = &daemon->keys.signer,
        .subjects = daemon->subjects,
        .batch_bytes = BATCH_BYTES,
    };
    dv_logd_rotate_on on = rotate_on(daemon);
    DV_TRY(dv_sequencer_open(&options, &daemon->sequencer, error));
    DV_TRY(open_erasure(daemon, error));
    on.sequencer = daemon->sequencer;
    DV_TRY(check_cosigned(daemon, error));
    DV_TRY(dv_logd_rotate_resume(&on, error));
    DV_TRY(open_retention(daemon, error));
    DV_TRY(note_lifecycle(daemon, DV_LIFECYCLE_START));
    DV_TRY(dv_logd_rotate_new(&daemon->rotate));
    DV_TRY(dv_logd_server_open(daemon->log_folder, daemon->options.runtime_dir, &daemon->keys,
                               daemon->rotate, daemon->erase, daemon->retention, daemon->subjects,
                               &daemon->server, error));
    tell_server(daemon);
    /* Last: writers start when they find the key. */
    return dv_logd_keys_publish(&daemon->keys, daemon->options.state_dir,
                                daemon->options.runtime_dir, error);
}

/* -- working ----------------------------------------------------------------------------------- */

/* The same trouble is told once, and its end. */
static void note_outcome(logd *daemon, dv_result result, const dv_error *error)
{
    if (result != DV_OK && !daemon->failing) {
        say("takes no more records for now: %s", error->message);
    } else if (result == DV_OK && daemon->failing) {
        say("takes records again");
    }
    daemon->failing = result != DV_OK;
}

static void commit(logd *daemon)
{
    dv_error error = {0};
    dv_result result = dv_sequencer_commit(daemon->sequencer, &error);
    note_outcome(daemon, result, &error);
    dv_logd_watch_commit(&daemon->watch, daemon->sequencer, result == DV_OK, error.message);
    daemon->last_commit = dv_time_monotonic();
    tell_server(daemon);
}

static bool commit_is_due(const logd *daemon)
{
    dv_sequencer_status status;
    dv_sequencer_status_get(daemon->sequencer, &status);
    bool old = dv_time_monotonic() - daemon->last_commit >= commit_period;
    bool full = dv_sequencer_batch_full(daemon->sequencer) && !status.blocked;
    return full || (old && (status.blocked || dv_sequencer_pending(daemon->sequencer) > 0));
}

/* Workers go first, as long as their records come into the log in time and no reader waits. */
static void weigh(logd *daemon)
{
    dv_time now = dv_time_monotonic();
    if (dv_sequencer_is_level(daemon->sequencer)) {
        daemon->last_level = now;
    }
    bool behind = now - daemon->last_level >= patience ||
                  (dv_sequencer_pending(daemon->sequencer) > 0 &&
                   now - daemon->last_commit >= commit_period + patience);
    bool yields = !behind && !daemon->ending && !dv_logd_server_is_asked(daemon->server);
    if (yields != daemon->yields && dv_session_yields(daemon->session, yields)) {
        daemon->yields = yields;
    }
}

/* Others must be able to see which keys sign now. */
static void publish_keys(void *data)
{
    logd *daemon = data;
    dv_error error = {0};
    tell_server(daemon);
    if (dv_logd_server_rekey(daemon->server, &daemon->keys) != DV_OK ||
        dv_logd_keys_publish(&daemon->keys, daemon->options.state_dir, daemon->options.runtime_dir,
                             &error) != DV_OK) {
        say("can not publish its keys: %s", error.message);
    }
}

static void change_keys(logd *daemon)
{
    dv_logd_rotate_on on = rotate_on(daemon);
    on.changed = publish_keys;
    on.data = daemon;
    dv_logd_rotate_serve(daemon->rotate, &on);
}

static void erase(logd *daemon)
{
    if (dv_logd_erase_serve(daemon->erase)) {
        tell_server(daemon);
    }
}

static void retain(logd *daemon)
{
    char line[DV_ERROR_MESSAGE_MAX];
    if (dv_logd_retention_serve(daemon->retention, line)) {
        tell_server(daemon);
    }
    if (line[0] != '\0') {
        say("%s", line);
    }
}

/* One look into the spools. Returns how many records it took. */
static size_t step(logd *daemon)
{
    dv_error error = {0};
    size_t taken = 0;
    dv_result result = dv_sequencer_collect(daemon->sequencer, &taken, &error);
    if (result != DV_OK) {
        note_outcome(daemon, result, &error);
    }
    if (dv_logd_watch_clock(&daemon->watch, daemon->sequencer, dv_time_now(),
                            dv_time_monotonic())) {
        say("the clock was set");
    }
    weigh(daemon);
    if (commit_is_due(daemon)) {
        commit(daemon);
    }
    return taken;
}

static void handle_signals(logd *daemon)
{
    struct signalfd_siginfo info;
    while (read(daemon->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        daemon->ending = daemon->ending || info.ssi_signo != SIGHUP; /* no configuration to read */
    }
}

/* Somebody waits for the end now. The kernel takes a change only every tenth of a second. */
static void take_full_share(logd *daemon)
{
    for (int i = 0; i < 4 && daemon->yields; i++) {
        daemon->yields = !dv_session_yields(daemon->session, false);
        (void)poll(NULL, 0, daemon->yields ? POLL_MS : 0);
    }
}

/* Everything that was written before we were told to end. */
static void drain(logd *daemon)
{
    dv_sequencer_status status;
    take_full_share(daemon);
    do {
        commit(daemon);
        dv_sequencer_status_get(daemon->sequencer, &status);
    } while (!status.blocked && step(daemon) > 0);
    if (!status.blocked && note_lifecycle(daemon, DV_LIFECYCLE_STOP) == DV_OK) {
        commit(daemon);
    }
}

static void serve(logd *daemon)
{
    struct pollfd fd = {.fd = daemon->signals, .events = POLLIN};
    while (!daemon->ending) {
        size_t taken = step(daemon);
        change_keys(daemon);
        erase(daemon);
        retain(daemon);
        if (poll(&fd, 1, taken > 0 ? 0 : POLL_MS) > 0) {
            handle_signals(daemon);
        }
    }
}

static dv_result run(logd *daemon, dv_error *error)
{
    daemon->signals = dv_service_signals();
    if (daemon->signals < 0) {
        return dv_error_set(error, DV_ERR_IO, "signals: %s", strerror(errno));
    }
    DV_TRY(open_all(daemon, error));
    dv_notify_ready();
    say("keeps %s (%s)", daemon->log_folder, daemon->keys.signer.verifier.name);
    serve(daemon);
    dv_notify_stopping();
    drain(daemon);
    return DV_OK;
}

int main(int argc, char **argv)
{
    static logd daemon;
    dv_error error = {0};
    int status;
    if (!dv_service_arguments(argc, argv, &about, &daemon.options, &status)) {
        return status;
    }
    dv_result result = harden(&daemon, &error);
    if (result == DV_OK) {
        result = run(&daemon, &error);
    }
    dv_logd_rotate_close(daemon.rotate);
    dv_logd_erase_close(daemon.erase);
    dv_logd_retention_close(daemon.retention);
    dv_logd_server_close(daemon.server);
    dv_logd_rotate_free(daemon.rotate);
    dv_logd_erase_free(daemon.erase);
    dv_logd_retention_free(daemon.retention);
    dv_sequencer_close(daemon.sequencer);
    dv_subjects_close(daemon.subjects);
    dv_logd_keys_wipe(&daemon.keys);
    if (result != DV_OK) {
        say("%s", error.message[0] != '\0' ? error.message : dv_result_name(result));
        return 1;
    }
    return 0;
}
