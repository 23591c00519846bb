/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor.h"

#include "base/caps.h"
#include "base/file.h"
#include "daemon/notify.h"
#include "daemon/supervisor_link.h"
#include "daemon/supervisor_log.h"
#include "daemon/supervisor_process.h"
#include "daemon/supervisor_site.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Invariants:
 *
 * 1. One supervisor for a state: it holds STATE/lock from before it touches anything until all its
 *    processes are gone.
 * 2. A process is started only when those before it in the table have been ready once.
 * 3. No nginx master is started while a worker of an earlier one lives: it would keep the port and
 *    the old rules.
 * 4. What the processes run on (RUNTIME/dvara.yaml, RUNTIME/nginx/nginx.conf) was checked whole
 *    before it was put there; a refused reload leaves both as they were.
 * 5. A process that dies is started again, after a pause that doubles up to DV_PAUSE_MAX and is
 *    forgotten once it has lived for DV_STEADY.
 *
 *   WAITING ──start──► STARTING ──ready──► RUNNING
 *      ▲                  │ dies              │ dies
 *      └──────pause───────┴───────────────────┘            (end: any ──► GONE)
 */

typedef enum process_state {
    PROCESS_WAITING,
    PROCESS_STARTING,
    PROCESS_RUNNING,
    PROCESS_GONE, /* while ending */
} process_state;

enum { LOGD, DVARAD, NGINX, PROCESS_COUNT };

static const char *const process_names[PROCESS_COUNT] = {"dvara-logd", "dvarad", "nginx"};
static const char *const state_names[] = {"waiting", "starting", "running", "ended"};

enum { DV_FAILED_STARTS_MAX = 3, DV_ENDING_STEPS = 3 };

#define DV_PAUSE_FIRST (50 * DV_MILLISECOND)
#define DV_PAUSE_MAX (5 * DV_SECOND)
#define DV_STEADY (10 * DV_SECOND)
#define DV_START_TIMEOUT (30 * DV_SECOND)
#define DV_PROBE_TIMEOUT (20 * DV_SECOND)
#define DV_RELOAD_TIMEOUT (15 * DV_SECOND)
#define DV_DRAIN_TIMEOUT (10 * DV_SECOND) /* what `down` leaves requests to finish */
#define DV_STOP_TIMEOUT (5 * DV_SECOND)

typedef struct process {
    process_state state;
    pid_t pid; /* 0: none */
    int output;
    dv_log_lines lines;
    bool ready_once;
    unsigned failures; /* deaths since it was last steady */
    unsigned restarts;
    dv_time since;    /* wall clock of its start */
    dv_time deadline; /* monotonic: of the pause, of becoming ready */
} process;

typedef enum phase { PHASE_STARTING, PHASE_SERVING, PHASE_ENDING } phase;

typedef struct supervisor {
    const dv_up_options *options;
    dv_up_report report;
    void *report_data;
    dv_layout layout;
    dv_buf text; /* of dvara.yaml, as it is in force */
    dv_config *config;
    dv_site site;
    dv_buf next_text; /* what a running reload brings */
    dv_config *next_config;
    dv_site next_site;
    phase phase;
    dv_result outcome; /* of the run */
    process processes[PROCESS_COUNT];
    pid_t probe; /* asks the gate for its first answer; 0: none */
    int ending;  /* index of the process that is being ended */
    dv_time ending_deadline;
    bool killed; /* the one that is being ended got SIGKILL */
    int lock;
    int signals;
    int notify;
    dv_link link;
    int reload_client; /* who waits for a reload; -1: nobody */
    bool reloading;
    dv_time reload_deadline;
    dv_time started;
    dv_log_out log;
    json_t *notes;
    char config_copy[PATH_MAX];
    char notify_path[PATH_MAX];
} supervisor;

/* "dvara.yaml:7: message" where there is a line. */
static void error_text(const supervisor *s, const dv_error *error, char *out, size_t size)
{
    if (error->line > 0) {
        snprintf(out, size, "%s:%d: %s", s->options->config, error->line, error->message);
    } else {
        snprintf(out, size, "%s", error->message);
    }
}

static void say_error(supervisor *s, const dv_error *error)
{
    char text[DV_ERROR_MESSAGE_MAX + PATH_MAX];
    error_text(s, error, text, sizeof text);
    dv_log_say(&s->log, "%s", text);
}

/* ---- What people see ---- */

static json_t *process_json(const process *p, const char *name)
{
    dv_time now = dv_time_now();
    bool alive = p->pid != 0;
    return json_pack("{s:s, s:s, s:o, s:o, s:I}", "name", name, "state", state_names[p->state],
                     "pid", alive ? json_integer(p->pid) : json_null(), "uptime_s",
                     alive ? json_integer((now - p->since) / DV_SECOND) : json_null(), "restarts",
                     (json_int_t)p->restarts);
}

static bool is_ready(const supervisor *s)
{
    bool ready = s->phase == PHASE_SERVING;
    for (int i = 0; i < PROCESS_COUNT; i++) {
        ready = ready && s->processes[i].state == PROCESS_RUNNING;
    }
    return ready;
}

static json_t *status_json(const supervisor *s)
{
    char credentials[PATH_MAX];
    char started[DV_TIME_TEXT_MAX];
    json_t *processes = json_array();
    for (int i = 0; i < PROCESS_COUNT; i++) {
        json_array_append_new(processes, process_json(&s->processes[i], process_names[i]));
    }
    dv_time_format(s->started, started);
    (void)!dv_path_join(s->layout.state, "admin-credentials", credentials);
    json_t *status = json_pack("{s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:o}", "ready",
                               is_ready(s), "gate", s->site.listen, "admin", s->site.admin_listen,
                               "upstream", s->site.upstream, "state_dir", s->layout.state,
                               "runtime_dir", s->layout.runtime, "admin_credentials", credentials,
                               "pid", (int)getpid(), "started", started, "processes", processes);
    if (s->site.fingerprint[0] != '\0') {
        json_object_set_new(status, "certificate_sha256", json_string(s->site.fingerprint));
    }
    json_object_set(status, "notes", s->notes);
    json_object_set_new(status, "config", json_string(s->options->config));
    return status;
}

static void report(supervisor *s, dv_result result, const char *text)
{
    if (s->report != NULL) {
        s->report(s->report_data, result, text);
        s->report = NULL;
    }
}

static void report_ready(supervisor *s)
{
    json_t *status = status_json(s);
    char *text = json_dumps(status, JSON_COMPACT);
    json_decref(status);
    report(s, text == NULL ? DV_ERR_NO_MEMORY : DV_OK, text == NULL ? "out of memory" : text);
    free(text);
    dv_notify_ready(); /* to systemd, where that started us */
}

/* ---- Starting ---- */

static dv_result find_program(const supervisor *s, const char *name, char ret_path[PATH_MAX])
{
    return dv_path_join(s->options->programs, name, ret_path);
}

static dv_result start_daemon(supervisor *s, int index, dv_error *error)
{
    process *p = &s->processes[index];
    char program[PATH_MAX];
    char runtime[PATH_MAX];
    const dv_layout *layout = &s->layout;
    bool logd = index == LOGD;
    DV_TRY(find_program(s, process_names[index], program));
    DV_TRY(dv_path_join(layout->runtime, "log", runtime));
    const dv_process_plan plan = {
        .program = program,
        .args = {process_names[index], "--state", layout->view, "--runtime",
                 logd ? runtime : layout->runtime, logd ? NULL : "--config", s->config_copy},
        .account = !layout->separate ? NULL
                   : logd            ? &layout->log
                                     : &layout->control,
        .notify = s->notify_path,
        .death_signal = SIGKILL,
    };
    return dv_process_start(&plan, layout, &p->pid, &p->output, error);
}

static dv_result start_nginx(supervisor *s, dv_error *error)
{
    process *p = &s->processes[NGINX];
    char conf[PATH_MAX];
    DV_TRY(dv_path_join(s->layout.runtime, "nginx/nginx.conf", conf));
    const dv_process_plan plan = {
        .program = dv_site_nginx(),
        .args = {"nginx", "-e", "stderr", "-c", conf},
        .death_signal = SIGTERM, /* the master then ends its workers */
    };
    return dv_process_start(&plan, &s->layout, &p->pid, &p->output, error);
}

static void note_groups(supervisor *s)
{
    pid_t groups[PROCESS_COUNT];
    dv_error error = {0};
    for (int i = 0; i < PROCESS_COUNT; i++) {
        groups[i] = s->processes[i].pid;
    }
    if (dv_process_note_groups(&s->layout, groups, PROCESS_COUNT, &error) != DV_OK) {
        say_error(s, &error);
    }
}

static void fail_start(supervisor *s, const char *why);

static void pause_process(process *p)
{
    dv_time pause = DV_PAUSE_FIRST << DV_MIN(p->failures, 10u);
    p->failures++;
    p->state = PROCESS_WAITING;
    p->deadline = dv_time_monotonic() + DV_MIN(pause, DV_PAUSE_MAX);
}

static void start_process(supervisor *s, int index)
{
    process *p = &s->processes[index];
    dv_error error = {0};
    p->lines.name = process_names[index];
    p->since = dv_time_now();
    p->state = PROCESS_STARTING;
    p->deadline = dv_time_monotonic() + DV_START_TIMEOUT;
    dv_result result = index == NGINX ? start_nginx(s, &error) : start_daemon(s, index, &error);
    if (result != DV_OK) {
        say_error(s, &error);
        if (s->phase == PHASE_STARTING) {
            fail_start(s, error.message);
            return;
        }
        pause_process(p);
        return;
    }
    note_groups(s);
}

/* The first answer of the gate is waited for by a process of its own, which may block. */
static void start_probe(supervisor *s)
{
    if (s->probe != 0) {
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        _exit(dv_site_answers(&s->site, DV_PROBE_TIMEOUT) ? 0 : 1);
    }
    s->probe = pid < 0 ? 0 : pid;
}

static bool may_start(const supervisor *s, int index)
{
    for (int i = 0; i < index; i++) {
        if (!s->processes[i].ready_once) {
            return false;
        }
    }
    return s->processes[index].state == PROCESS_WAITING &&
           s->processes[index].deadline <= dv_time_monotonic();
}

static void start_due(supervisor *s)
{
    for (int i = 0; i < PROCESS_COUNT && s->phase != PHASE_ENDING; i++) {
        if (may_start(s, i)) {
            start_process(s, i);
            if (i == NGINX && s->phase != PHASE_ENDING) {
                start_probe(s);
            }
        }
    }
}

static void became_ready(supervisor *s, int index)
{
    process *p = &s->processes[index];
    if (p->state != PROCESS_STARTING) {
        return;
    }
    p->state = PROCESS_RUNNING;
    p->ready_once = true;
    if (s->phase == PHASE_STARTING && s->processes[NGINX].ready_once) {
        s->phase = PHASE_SERVING;
        report_ready(s);
    } else if (s->phase == PHASE_SERVING) {
        dv_log_say(&s->log, "%s is back", process_names[index]);
    }
}

/* ---- Ending ---- */

static void begin_ending(supervisor *s)
{
    if (s->phase == PHASE_ENDING) {
        return;
    }
    report(s, DV_ERR_CONFLICT, "it was told to end before it was ready");
    dv_notify_stopping();
    s->phase = PHASE_ENDING;
    s->ending = PROCESS_COUNT;
    s->ending_deadline = 0;
}

static void fail_start(supervisor *s, const char *why)
{
    dv_auto(buf) dv_buf text = dv_buf_init(16 << 10);
    if (dv_buf_append_printf(&text, "%s\n", why) == DV_OK && dv_log_tail(&s->log, &text) == DV_OK) {
        report(s, DV_ERR_UNAVAILABLE, dv_buf_cstr(&text));
    } else {
        report(s, DV_ERR_UNAVAILABLE, why);
    }
    s->outcome = DV_ERR_UNAVAILABLE;
    begin_ending(s);
}

/* The gate first, so that nothing is asked of what is no longer there; the log last. */
static void end_next(supervisor *s)
{
    while (s->ending > 0) {
        process *p = &s->processes[s->ending - 1];
        if (p->pid != 0 && s->ending_deadline != 0) {
            return; /* it was asked and is still there */
        }
        if (p->pid != 0) {
            bool nginx = s->ending - 1 == NGINX;
            kill(p->pid, nginx ? SIGQUIT : SIGTERM);
            s->killed = false;
            s->ending_deadline = dv_time_monotonic() + (nginx ? DV_DRAIN_TIMEOUT : DV_STOP_TIMEOUT);
            return;
        }
        p->state = PROCESS_GONE;
        s->ending--;
        s->ending_deadline = 0;
    }
}

static void press_ending(supervisor *s)
{
    if (s->ending == 0 || s->ending_deadline == 0 || dv_time_monotonic() < s->ending_deadline) {
        return;
    }
    pid_t pid = s->processes[s->ending - 1].pid;
    if (pid != 0 && !s->killed) {
        dv_log_say(&s->log, "%s does not end by itself: killing it", process_names[s->ending - 1]);
        kill(-pid, SIGKILL);
        s->killed = true;
    }
}

static bool all_gone(const supervisor *s)
{
    return s->phase == PHASE_ENDING && s->ending == 0;
}

/* ---- Deaths ---- */

static void describe_death(int status, char out[64])
{
    if (WIFSIGNALED(status)) {
        snprintf(out, 64, "was killed by signal %d", WTERMSIG(status));
    } else {
        snprintf(out, 64, "ended with code %d", WEXITSTATUS(status));
    }
}

static void drain_output(supervisor *s, process *p, bool last)
{
    uint8_t bytes[8192];
    ssize_t len;
    while (p->output >= 0 && (len = read(p->output, bytes, sizeof bytes)) > 0) {
        dv_log_feed(&p->lines, dv_slice_of(bytes, (size_t)len), false, &s->log);
    }
    if (last) {
        dv_log_feed(&p->lines, dv_slice_str(NULL), true, &s->log);
        dv_fd_close(&p->output);
        p->output = -1;
    }
}

/* Invariant 3: whatever the dead one left in its group ends before the next start. */
static void bury(supervisor *s, int index, int status)
{
    process *p = &s->processes[index];
    char how[64];
    pid_t pid = p->pid;
    describe_death(status, how);
    if (dv_process_end_group(pid, DV_STOP_TIMEOUT) != DV_OK) {
        dv_log_say(&s->log, "%s left processes behind that can not be ended", process_names[index]);
    }
    drain_output(s, p, true);
    p->pid = 0;
    if (s->phase == PHASE_ENDING) {
        return;
    }
    dv_log_say(&s->log, "%s %s", process_names[index], how);
    bool steady = dv_time_now() - p->since > DV_STEADY;
    p->failures = steady ? 0 : p->failures;
    pause_process(p);
    p->restarts++;
    bool by_itself = WIFEXITED(status);
    if (s->phase == PHASE_STARTING && (by_itself || p->failures >= DV_FAILED_STARTS_MAX)) {
        char why[160];
        snprintf(why, sizeof why,
                 "%s %s while Dvara was starting. The last lines:", process_names[index], how);
        fail_start(s, why);
    }
}

static void probe_ended(supervisor *s, int status)
{
    s->probe = 0;
    if (s->phase == PHASE_ENDING) {
        return;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        became_ready(s, NGINX);
    } else if (s->phase == PHASE_STARTING) {
        fail_start(s, "the gate does not answer. The last lines:");
    } else {
        start_probe(s);
    }
}

static void reap(supervisor *s)
{
    int status = 0;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == s->probe) {
            probe_ended(s, status);
            continue;
        }
        for (int i = 0; i < PROCESS_COUNT; i++) {
            if (s->processes[i].pid == pid) {
                bury(s, i, status);
            }
        }
    }
}

/* What the operator should know; also part of the status. */
static void dv_printf(2, 3) note(supervisor *s, const char *format, ...)
{
    char text[DV_ERROR_MESSAGE_MAX + PATH_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    dv_log_say(&s->log, "%s", text);
    json_array_append_new(s->notes, json_string(text));
}

static void note_all(supervisor *s)
{
    json_array_clear(s->notes);
    if (s->layout.shared_root) {
        note(s,
             "%s lies below a folder that only root may enter, and this kernel allows no private "
             "mounts: all processes keep running as root; choose another --state to have them "
             "separated",
             s->layout.state);
    }
    const char *const *warnings = dv_config_warnings(s->config);
    for (size_t i = 0; warnings[i] != NULL; i++) {
        note(s, "%s", warnings[i]);
    }
    if (s->site.certificate_made) {
        note(s, "made a self-signed certificate, SHA-256 %s", s->site.fingerprint);
    }
    if (s->site.admin_moved) {
        note(s, "port 8444 is busy: the admin address is %s", s->site.admin_listen);
    }
}

/* ---- Reload ---- */

/* A file in the state directory could be put there by dvarad, which owns that folder. */
static dv_result check_owner(const char *path, dv_error *error)
{
    struct stat status;
    if (lstat(path, &status) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode) || status.st_uid != geteuid()) {
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            "%s must be a file that belongs to the user who started Dvara", path);
    }
    return DV_OK;
}

/* The file as it is now, read once: what is checked is what is put into force. */
static dv_result read_config(const supervisor *s, dv_buf *text, dv_config **ret_config,
                             dv_error *error)
{
    const char *path = s->options->config;
    bool optional = s->options->config_optional;
    *text = dv_buf_init(DV_LIMIT_CONFIG);
    if (!optional || access(path, F_OK) == 0) {
        DV_TRY(optional ? check_owner(path, error) : DV_OK);
        DV_TRY(dv_file_read(path, text, error));
    }
    return dv_config_parse(dv_buf_slice(text), ret_config, error);
}

static dv_result write_copy(const supervisor *s, const dv_buf *text, dv_error *error)
{
    DV_TRY(dv_file_write_atomic(s->config_copy, dv_buf_slice(text), 0600, error));
    if (s->layout.separate &&
        chown(s->config_copy, s->layout.control.uid, s->layout.control.gid) != 0) {
        return dv_error_set(error, DV_ERR_IO, "can not hand over %s: %s", s->config_copy,
                            strerror(errno));
    }
    return DV_OK;
}

static void drop_next(supervisor *s)
{
    dv_config_free(s->next_config);
    s->next_config = NULL;
    dv_buf_release(&s->next_text);
}

static void take_next(supervisor *s)
{
    dv_config_free(s->config);
    dv_buf_release(&s->text);
    s->config = s->next_config;
    s->text = s->next_text;
    s->site = s->next_site;
    s->next_config = NULL;
    s->next_text = dv_buf_init(0);
}

static void answer_reload(supervisor *s, dv_result result, const char *message)
{
    dv_error error = {0};
    if (result == DV_OK) {
        take_next(s);
        note_all(s);
        dv_log_say(&s->log, "reloaded");
    } else {
        dv_log_say(&s->log, "reload refused: %s", message);
        drop_next(s);
        if (s->reloading && write_copy(s, &s->text, &error) != DV_OK) {
            say_error(s, &error);
        }
    }
    s->reloading = false;
    dv_link_answer(&s->reload_client, result, message, NULL);
}

static dv_result check_reload(supervisor *s, dv_error *error)
{
    DV_TRY(read_config(s, &s->next_text, &s->next_config, error));
    DV_TRY(dv_site_settle(s->options, s->next_config, &s->site, &s->next_site, error));
    DV_TRY(dv_site_certificate(&s->layout, s->next_config, &s->next_site, error));
    DV_TRY(dv_site_write(&s->layout, s->options, s->next_config, &s->next_site, "nginx.conf.new",
                         error));
    if (s->processes[DVARAD].state != PROCESS_RUNNING ||
        s->processes[NGINX].state != PROCESS_RUNNING) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE,
                            "a process is just being started again: try once more");
    }
    return DV_OK;
}

/* First half: check everything, then let dvarad take it over, which answers through notify. */
static void begin_reload(supervisor *s)
{
    dv_error error = {0};
    char text[DV_ERROR_MESSAGE_MAX + PATH_MAX];
    dv_result result = check_reload(s, &error);
    s->reloading = result == DV_OK;
    if (result == DV_OK) {
        result = write_copy(s, &s->next_text, &error);
    }
    if (result != DV_OK) {
        error_text(s, &error, text, sizeof text);
        answer_reload(s, result, text);
        return;
    }
    s->reload_deadline = dv_time_monotonic() + DV_RELOAD_TIMEOUT;
    kill(s->processes[DVARAD].pid, SIGHUP);
}

/* New workers serve before the old ones finish what they have; wait for the first new one. */
static void wait_for_new_workers(pid_t master)
{
    pid_t before = 0;
    pid_t newest = 0;
    dv_time deadline = dv_time_monotonic() + 3 * DV_SECOND;
    dv_process_children(master, &before);
    kill(master, SIGHUP);
    do {
        nanosleep(&(struct timespec){0, 10000000}, NULL);
        dv_process_children(master, &newest);
    } while (newest == before && dv_time_monotonic() < deadline);
}

/* Second half: dvarad has the new configuration in the snapshot. */
static void finish_reload(supervisor *s)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    if (dv_path_join(s->layout.runtime, "nginx/nginx.conf.new", from) != DV_OK ||
        dv_path_join(s->layout.runtime, "nginx/nginx.conf", to) != DV_OK || rename(from, to) != 0) {
        answer_reload(s, DV_ERR_IO, "nginx's new configuration can not be put in place");
        return;
    }
    if (s->processes[NGINX].pid != 0) {
        wait_for_new_workers(s->processes[NGINX].pid);
    }
    answer_reload(s, DV_OK, "");
}

/* ---- Messages ---- */

static int index_of(const supervisor *s, pid_t pid)
{
    for (int i = 0; i < PROCESS_COUNT; i++) {
        if (s->processes[i].pid == pid && pid != 0) {
            return i;
        }
    }
    return -1;
}

static void on_notify(supervisor *s)
{
    dv_link_notice notice;
    while (dv_link_read_notice(s->notify, &notice)) {
        int index = index_of(s, notice.pid);
        if (index < 0 || index == NGINX) {
            continue; /* not from a process of ours */
        }
        if (index == DVARAD && s->reloading && notice.reload_failed[0] != '\0') {
            answer_reload(s, DV_ERR_INVALID, notice.reload_failed);
        } else if (index == DVARAD && s->reloading && notice.ready) {
            finish_reload(s);
        }
        if (notice.ready) {
            became_ready(s, index);
        }
    }
}

static void on_request(supervisor *s)
{
    int client = -1;
    dv_link_request request = dv_link_accept(&s->link, &client);
    if (request == DV_LINK_STATUS) {
        json_t *status = status_json(s);
        dv_link_answer(&client, DV_OK, "", status);
        json_decref(status);
    } else if (request == DV_LINK_DOWN) {
        begin_ending(s);
        dv_fd_close(&client);
    } else if (request == DV_LINK_RELOAD && (s->reloading || s->phase != PHASE_SERVING)) {
        dv_link_answer(&client, DV_ERR_CONFLICT, "another reload, or the start, is not finished",
                       NULL);
    } else if (request == DV_LINK_RELOAD) {
        s->reload_client = client;
        begin_reload(s);
    }
}

static void on_signals(supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD) {
            reap(s);
        } else if (info.ssi_signo == SIGHUP) {
            if (!s->reloading && s->phase == PHASE_SERVING) {
                begin_reload(s);
            }
        } else if (s->phase == PHASE_ENDING) {
            s->ending_deadline = s->ending_deadline != 0 ? 1 : 0; /* asked twice: do not wait */
        } else {
            dv_log_say(&s->log, "ending");
            begin_ending(s);
        }
    }
}

/* ---- The loop ---- */

static void check_deadlines(supervisor *s)
{
    dv_time now = dv_time_monotonic();
    if (s->reloading && now > s->reload_deadline) {
        answer_reload(s, DV_ERR_UNAVAILABLE, "dvarad did not answer in time");
    }
    for (int i = 0; i < PROCESS_COUNT && s->phase != PHASE_ENDING; i++) {
        process *p = &s->processes[i];
        if (p->state == PROCESS_STARTING && p->pid != 0 && now > p->deadline) {
            dv_log_say(&s->log, "%s does not become ready: killing it", process_names[i]);
            p->deadline = now + DV_START_TIMEOUT;
            kill(p->pid, SIGKILL);
        }
    }
}

static int poll_timeout(const supervisor *s)
{
    dv_time now = dv_time_monotonic();
    dv_time next = now + DV_SECOND;
    for (int i = 0; i < PROCESS_COUNT; i++) {
        if (s->processes[i].state == PROCESS_WAITING && s->processes[i].deadline > now) {
            next = DV_MIN(next, s->processes[i].deadline);
        }
    }
    if (s->phase == PHASE_ENDING && s->ending_deadline > now) {
        next = DV_MIN(next, s->ending_deadline);
    }
    return (int)((next - now) / DV_MILLISECOND) + 1;
}

static void turn(supervisor *s)
{
    struct pollfd fds[3 + PROCESS_COUNT] = {
        {.fd = s->signals, .events = POLLIN},
        {.fd = s->notify, .events = POLLIN},
        {.fd = s->link.fd, .events = POLLIN},
    };
    for (int i = 0; i < PROCESS_COUNT; i++) {
        fds[3 + i] = (struct pollfd){.fd = s->processes[i].output, .events = POLLIN};
    }
    if (poll(fds, DV_ARRAY_LEN(fds), poll_timeout(s)) < 0 && errno != EINTR) {
        return;
    }
    for (int i = 0; i < PROCESS_COUNT; i++) {
        drain_output(s, &s->processes[i], false);
    }
    on_notify(s);
    on_signals(s);
    if ((fds[2].revents & POLLIN) != 0) {
        on_request(s);
    }
    check_deadlines(s);
}

static void loop(supervisor *s)
{
    while (!all_gone(s)) {
        if (s->phase == PHASE_ENDING) {
            end_next(s);
            press_ending(s);
        } else {
            start_due(s);
        }
        if (!all_gone(s)) {
            turn(s);
        }
    }
}

/* ---- Before and after ---- */

static dv_result take_lock(supervisor *s, dv_error *error)
{
    char path[PATH_MAX];
    char pid[32];
    DV_TRY(dv_path_join(s->layout.state, "lock", path));
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock < 0) {
        return dv_error_set(error, DV_ERR_IO, "can not open %s: %s", path, strerror(errno));
    }
    if (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "Dvara is already running on %s: see `dvara status`, end it with "
                            "`dvara down`",
                            s->layout.state);
    }
    int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(s->lock, 0) != 0) {
        return dv_error_set(error, DV_ERR_IO, "can not write %s: %s", path, strerror(errno));
    }
    return dv_fd_write_all(s->lock, dv_slice_of(pid, (size_t)len));
}

static dv_result watch_signals(supervisor *s, dv_error *error)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        return dv_error_set(error, DV_ERR_IO, "can not watch processes: %s", strerror(errno));
    }
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals >= 0 ? DV_OK
                           : dv_error_set(error, DV_ERR_IO, "signalfd: %s", strerror(errno));
}

static dv_result open_sockets(supervisor *s, dv_error *error)
{
    DV_TRY(dv_path_join(s->layout.runtime, "notify.sock", s->notify_path));
    DV_TRY(dv_link_open_notify(s->notify_path, s->layout.separate ? &s->layout.shared : NULL,
                               &s->notify, error));
    return dv_link_listen(s->layout.runtime, &s->link, error);
}

static dv_result open_log(supervisor *s, dv_error *error)
{
    char path[PATH_MAX];
    char old[PATH_MAX];
    struct stat status;
    s->log.fd = STDERR_FILENO;
    if (!s->options->detached) {
        return DV_OK;
    }
    DV_TRY(dv_path_join(s->layout.state, "dvara.log", path));
    DV_TRY(dv_path_join(s->layout.state, "dvara.log.1", old));
    if (stat(path, &status) == 0 && status.st_size > (10 << 20)) {
        rename(path, old);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return dv_error_set(error, DV_ERR_IO, "can not open %s: %s", path, strerror(errno));
    }
    s->log.fd = fd;
    s->log.stamp = true;
    return DV_OK;
}

static dv_result prepare(supervisor *s, dv_error *error)
{
    DV_TRY(read_config(s, &s->text, &s->config, error));
    DV_TRY(dv_layout_find(s->options->state_dir, true, &s->layout, error));
    DV_TRY(take_lock(s, error));
    DV_TRY(open_log(s, error));
    DV_TRY(watch_signals(s, error));
    DV_TRY(dv_layout_make(&s->layout, error));
    DV_TRY(dv_process_end_orphans(&s->layout, error));
    DV_TRY(dv_site_settle(s->options, s->config, NULL, &s->site, error));
    DV_TRY(dv_path_join(s->layout.runtime, "dvara.yaml", s->config_copy));
    DV_TRY(write_copy(s, &s->text, error));
    DV_TRY(dv_site_certificate(&s->layout, s->config, &s->site, error));
    DV_TRY(dv_site_write(&s->layout, s->options, s->config, &s->site, "nginx.conf", error));
    DV_TRY(open_sockets(s, error));
    note_all(s);
    return DV_OK;
}

static void clean_up(supervisor *s)
{
    dv_link_close(&s->link);
    if (s->notify >= 0) {
        unlink(s->notify_path);
        dv_fd_close(&s->notify);
    }
    dv_fd_close(&s->signals);
    if (s->log.stamp) {
        dv_fd_close(&s->log.fd);
    }
    drop_next(s);
    json_decref(s->notes);
    dv_config_free(s->config);
    dv_buf_release(&s->text);
    dv_fd_close(&s->lock); /* releases it */
}

int dv_supervisor_run(const dv_up_options *options, dv_up_report report_to, void *data)
{
    supervisor s = {.options = options,
                    .report = report_to,
                    .report_data = data,
                    .lock = -1,
                    .signals = -1,
                    .notify = -1,
                    .link = {.fd = -1},
                    .notes = json_array(),
                    .reload_client = -1,
                    .started = dv_time_now()};
    dv_error error = {0};
    for (int i = 0; i < PROCESS_COUNT; i++) {
        s.processes[i].output = -1;
    }
    dv_result result = prepare(&s, &error);
    if (result == DV_OK) {
        loop(&s);
        result = s.outcome;
    } else {
        char text[DV_ERROR_MESSAGE_MAX + PATH_MAX];
        error_text(&s, &error, text, sizeof text);
        report(&s, result, text);
    }
    clean_up(&s);
    return result == DV_OK ? 0 : 1;
}
