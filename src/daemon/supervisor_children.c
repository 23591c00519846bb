/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor_private.h"

#include "daemon/notify.h"
#include "daemon/supervisor_crash.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Bytes of a process's lines: taken over before others get their turn, and once it is dead (more
 * than its pipe holds). */
enum { DV_FAILED_STARTS_MAX = 3, DV_DRAIN_TURN = 64 << 10, DV_DRAIN_LAST = 4 << 20 };

/* The same in time: a pipe full of the shortest lines would hold everything else up for half a
 * minute. */
#define DV_DRAIN_TURN_TIME (100 * DV_MILLISECOND)
#define DV_DRAIN_LAST_TIME (5 * DV_SECOND)

#define DV_PAUSE_FIRST (50 * DV_MILLISECOND)
#define DV_PAUSE_MAX (5 * DV_SECOND)
#define DV_STEADY DV_SECOND
#define DV_START_TIMEOUT (30 * DV_SECOND)
#define DV_PROBE_TIMEOUT (20 * DV_SECOND)
#define DV_DRAIN_TIMEOUT (10 * DV_SECOND) /* what `down` leaves requests to finish */
#define DV_STOP_TIMEOUT (5 * DV_SECOND)

const char *const dv_child_names[PROCESS_COUNT] = {"dvara-logd", "dvarad", "nginx", "dvara-collect",
                                                   "dvara-export"};
/* Of the optional ones: their key in the section `audit:`, and their folder. */
static const char *const optional_keys[PROCESS_COUNT] = {
    [COLLECT] = "collect", [EXPORT] = "export"};

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
    char config[PATH_MAX];
    const dv_layout *layout = &s->layout;
    const dv_account *const accounts[PROCESS_COUNT] = {[LOGD] = &layout->log,
                                                       [DVARAD] = &layout->control,
                                                       [COLLECT] = &layout->collector,
                                                       [EXPORT] = &layout->exporter};
    bool logd = index == LOGD;
    DV_TRY(find_program(s, dv_child_names[index], program));
    DV_TRY(dv_path_join(layout->runtime, "log", runtime));
    DV_TRY(dv_layout_config(layout, optional_keys[index], config));
    const dv_process_plan plan = {
        .program = program,
        .args = {dv_child_names[index], "--state", layout->view, "--runtime",
                 logd ? runtime : layout->runtime, logd ? NULL : "--config", config},
        .account = layout->separate ? accounts[index] : NULL,
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
        dv_status_say_error(s, &error);
    }
}

static void fail_start(supervisor *s, const char *why);
static void serve_when_complete(supervisor *s);

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
    p->lines.name = dv_child_names[index];
    p->since = dv_time_now();
    p->state = PROCESS_STARTING;
    p->ready_at = 0;
    p->deadline = dv_time_monotonic() + DV_START_TIMEOUT;
    dv_result result = index == NGINX ? start_nginx(s, &error) : start_daemon(s, index, &error);
    if (result != DV_OK) {
        dv_status_say_error(s, &error);
        if (s->phase == PHASE_STARTING && optional_keys[index] == NULL) {
            fail_start(s, error.message);
            return;
        }
        pause_process(p);
        serve_when_complete(s);
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
    int needed = optional_keys[index] != NULL ? LOGD + 1 : index;
    for (int i = 0; i < needed; i++) {
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

/* ---- Being ready ---- */

/* An optional one is waited for until it is ready or has failed for the first time. */
static bool is_settled(const supervisor *s, int index)
{
    const process *p = &s->processes[index];
    return optional_keys[index] == NULL || !p->wanted || p->ready_once || p->failures > 0;
}

static void serve_when_complete(supervisor *s)
{
    bool complete = s->phase == PHASE_STARTING && s->processes[NGINX].ready_once;
    for (int i = 0; i < PROCESS_COUNT; i++) {
        complete = complete && is_settled(s, i);
    }
    if (complete) {
        s->phase = PHASE_SERVING;
        dv_status_report_ready(s);
    }
}

void dv_children_ready(supervisor *s, int index)
{
    process *p = &s->processes[index];
    if (p->state != PROCESS_STARTING) {
        return;
    }
    p->state = PROCESS_RUNNING;
    p->ready_at = dv_time_monotonic();
    p->ready_once = true;
    if (s->phase == PHASE_STARTING) {
        serve_when_complete(s);
    } else if (s->phase == PHASE_SERVING) {
        dv_log_say(&s->log, p->restarts > 0 ? "%s is back" : "%s is ready", dv_child_names[index]);
    }
}

/* ---- The optional ones ---- */

static bool is_asked_for(const supervisor *s, int index)
{
    const dv_yaml *audit = dv_config_section_get(s->config, "audit");
    const dv_yaml *entries = audit == NULL ? NULL : dv_yaml_get(audit, optional_keys[index]);
    return entries != NULL && entries->first != NULL;
}

static void choose(supervisor *s, int index)
{
    process *p = &s->processes[index];
    p->wanted = is_asked_for(s, index);
    if (p->pid == 0) {
        bool begins = p->wanted && p->state == PROCESS_OFF;
        p->failures = begins ? 0 : p->failures;
        p->deadline = begins ? 0 : p->deadline;
        p->state = p->wanted ? PROCESS_WAITING : PROCESS_OFF;
    } else if (p->wanted && p->state != PROCESS_LEAVING) {
        kill(p->pid, SIGHUP);
    } else if (!p->wanted && p->state != PROCESS_LEAVING) {
        p->state = PROCESS_LEAVING;
        p->deadline = dv_time_monotonic() + DV_STOP_TIMEOUT;
        kill(p->pid, SIGTERM);
    }
}

void dv_children_choose(supervisor *s)
{
    for (int i = 0; i < PROCESS_COUNT; i++) {
        if (optional_keys[i] != NULL && s->phase != PHASE_ENDING) {
            choose(s, i);
        }
    }
}

/* True when its death was asked for. */
static bool has_left(supervisor *s, int index)
{
    process *p = &s->processes[index];
    if (p->state != PROCESS_LEAVING) {
        return false;
    }
    p->state = p->wanted ? PROCESS_WAITING : PROCESS_OFF;
    p->failures = 0;
    p->restarts = 0;
    p->deadline = 0;
    return true;
}

/* ---- Ending ---- */

void dv_children_end(supervisor *s)
{
    if (s->phase == PHASE_ENDING) {
        return;
    }
    dv_status_report(s, DV_ERR_CONFLICT, "it was told to end before it was ready");
    dv_notify_stopping();
    s->phase = PHASE_ENDING;
    s->ending = PROCESS_COUNT;
    s->ending_deadline = 0;
}

static void fail_start(supervisor *s, const char *why)
{
    dv_auto(buf) dv_buf text = dv_buf_init(16 << 10);
    if (dv_buf_append_printf(&text, "%s\n", why) == DV_OK && dv_log_tail(&s->log, &text) == DV_OK) {
        dv_status_report(s, DV_ERR_UNAVAILABLE, dv_buf_cstr(&text));
    } else {
        dv_status_report(s, DV_ERR_UNAVAILABLE, why);
    }
    s->outcome = DV_ERR_UNAVAILABLE;
    dv_children_end(s);
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

static void press(supervisor *s)
{
    if (s->ending == 0 || s->ending_deadline == 0 || dv_time_monotonic() < s->ending_deadline) {
        return;
    }
    pid_t pid = s->processes[s->ending - 1].pid;
    if (pid != 0 && !s->killed) {
        dv_log_say(&s->log, "%s does not end by itself: killing it", dv_child_names[s->ending - 1]);
        kill(-pid, SIGKILL);
        s->killed = true;
    }
}

bool dv_children_gone(const supervisor *s)
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

void dv_children_crashed(void *data, const char *name, dv_slice line)
{
    supervisor *s = data;
    char report[NAME_MAX + 1];
    dv_error error = {0};
    if (dv_crash_keep(s->layout.state, name, line, dv_time_now(), report, &error) == DV_OK) {
        dv_log_say(&s->log, "%s crashed: its report is %s/%s/%s", name, s->layout.state,
                   DV_CRASH_FOLDER, report);
    } else {
        dv_log_say(&s->log, "%s crashed, and left no report: %s", name, error.message);
    }
}

/* What a dead one wrote and nobody had the time for. */
static void tell_dropped(supervisor *s, const process *p)
{
    int left = 0;
    if (p->output >= 0 && ioctl(p->output, FIONREAD, &left) == 0 && left > 0) {
        dv_log_say(&s->log, "the last %d bytes of what %s wrote are dropped", left, p->lines.name);
    }
}

static void drain_output(supervisor *s, process *p, bool last)
{
    uint8_t bytes[2048];
    ssize_t len;
    size_t left = last ? DV_DRAIN_LAST : DV_DRAIN_TURN;
    dv_time deadline = dv_time_monotonic() + (last ? DV_DRAIN_LAST_TIME : DV_DRAIN_TURN_TIME);
    while (p->output >= 0 && left > 0 && dv_time_monotonic() < deadline &&
           (len = read(p->output, bytes, sizeof bytes)) > 0) {
        dv_log_feed(&p->lines, dv_slice_of(bytes, (size_t)len), false, &s->log);
        left -= DV_MIN((size_t)len, left);
    }
    if (last) {
        dv_log_feed(&p->lines, dv_slice_str(NULL), true, &s->log);
        tell_dropped(s, p);
        dv_fd_close(&p->output);
        p->output = -1;
    }
}

void dv_children_drain(supervisor *s)
{
    for (int i = 0; i < PROCESS_COUNT; i++) {
        drain_output(s, &s->processes[i], false);
    }
}

/* Between our look at the default admin port and nginx's, another program may have taken it. */
static bool evade_port(supervisor *s, int index)
{
    dv_error error = {0};
    if (index != NGINX || !dv_site_move_admin(s->options, s->config, &s->site) ||
        dv_site_write(&s->layout, s->options, s->config, &s->site, "nginx.conf", &error) != DV_OK) {
        return false;
    }
    dv_status_note_all(s);
    return true;
}

/* During the start, what ends by itself will do so again, and is told at once. */
static void weigh_failed_start(supervisor *s, int index, bool by_itself, const char *how)
{
    char why[160];
    bool hopeless = s->processes[index].failures >= DV_FAILED_STARTS_MAX;
    if (!hopeless && (!by_itself || evade_port(s, index))) {
        return;
    }
    snprintf(why, sizeof why,
             "%s %s while Dvara was starting. The last lines:", dv_child_names[index], how);
    fail_start(s, why);
}

/* Invariant 3: whatever the dead one left in its group ends before the next start. */
static void bury(supervisor *s, int index, int status)
{
    process *p = &s->processes[index];
    char how[64];
    pid_t pid = p->pid;
    describe_death(status, how);
    if (dv_process_end_group(pid, DV_STOP_TIMEOUT) != DV_OK) {
        dv_log_say(&s->log, "%s left processes behind that can not be ended",
                   dv_child_names[index]);
    }
    drain_output(s, p, true);
    p->pid = 0;
    if (s->phase == PHASE_ENDING) {
        return;
    }
    dv_log_say(&s->log, "%s %s", dv_child_names[index], how);
    if (has_left(s, index)) {
        return;
    }
    bool steady = p->ready_at != 0 && dv_time_monotonic() - p->ready_at > DV_STEADY;
    p->failures = steady ? 0 : p->failures;
    pause_process(p);
    p->restarts++;
    if (s->phase == PHASE_STARTING && optional_keys[index] == NULL) {
        weigh_failed_start(s, index, WIFEXITED(status), how);
    }
    serve_when_complete(s);
}

static void probe_ended(supervisor *s, int status)
{
    s->probe = 0;
    if (s->phase == PHASE_ENDING) {
        return;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        dv_children_ready(s, NGINX);
    } else if (s->phase == PHASE_STARTING) {
        fail_start(s, "the gate does not answer. The last lines:");
    } else {
        start_probe(s);
    }
}

void dv_children_reap(supervisor *s)
{
    int status = 0;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        dv_masker_died(&s->masker, pid);
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

/* ---- Time ---- */

static void kill_the_unready(supervisor *s)
{
    dv_time now = dv_time_monotonic();
    for (int i = 0; i < PROCESS_COUNT; i++) {
        process *p = &s->processes[i];
        bool waited_for = p->state == PROCESS_STARTING || p->state == PROCESS_LEAVING;
        if (waited_for && p->pid != 0 && now > p->deadline) {
            dv_log_say(&s->log, "%s does not %s: killing it", dv_child_names[i],
                       p->state == PROCESS_STARTING ? "become ready" : "end by itself");
            p->deadline = now + DV_START_TIMEOUT;
            kill(p->pid, SIGKILL);
        }
    }
}

void dv_children_step(supervisor *s)
{
    if (s->phase == PHASE_ENDING) {
        end_next(s);
        press(s);
    } else {
        kill_the_unready(s);
        start_due(s);
    }
}

int dv_children_timeout(const supervisor *s)
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
