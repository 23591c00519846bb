/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor_private.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Messages ---- */

int dv_children_index(const supervisor *s, pid_t pid)
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
        int index = dv_children_index(s, notice.pid);
        if (index < 0 || index == NGINX) {
            continue; /* not from a process of ours */
        }
        if (index == DVARAD && s->reloading && notice.reload_failed[0] != '\0') {
            dv_reload_answer(s, DV_ERR_INVALID, notice.reload_failed);
        } else if (index == DVARAD && s->reloading && notice.ready) {
            dv_reload_finish(s);
        }
        if (notice.ready) {
            dv_children_ready(s, index);
        }
    }
}

static void on_request(supervisor *s)
{
    int client = -1;
    dv_link_request request = dv_link_accept(&s->link, &client);
    if (request == DV_LINK_STATUS) {
        json_t *status = dv_status_json(s);
        dv_link_answer(&client, DV_OK, "", status);
        json_decref(status);
    } else if (request == DV_LINK_DOWN) {
        dv_children_end(s);
        dv_fd_close(&client);
    } else if (request == DV_LINK_RELOAD && (s->reloading || s->phase != PHASE_SERVING)) {
        dv_link_answer(&client, DV_ERR_CONFLICT, "another reload, or the start, is not finished",
                       NULL);
    } else if (request == DV_LINK_RELOAD) {
        s->reload_client = client;
        dv_reload_begin(s);
    }
}

static void on_signals(supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD) {
            dv_children_reap(s);
        } else if (info.ssi_signo == SIGHUP) {
            if (!s->reloading && s->phase == PHASE_SERVING) {
                dv_reload_begin(s);
            }
        } else if (s->phase == PHASE_ENDING) {
            s->ending_deadline = s->ending_deadline != 0 ? 1 : 0; /* asked twice: do not wait */
        } else {
            dv_log_say(&s->log, "ending");
            dv_children_end(s);
        }
    }
}

/* ---- The loop ---- */

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
    if (poll(fds, DV_ARRAY_LEN(fds), dv_children_timeout(s)) < 0 && errno != EINTR) {
        return;
    }
    dv_children_drain(s);
    on_notify(s);
    on_signals(s);
    if ((fds[2].revents & POLLIN) != 0) {
        on_request(s);
    }
    if (s->reloading && dv_time_monotonic() > s->reload_deadline) {
        dv_reload_answer(s, DV_ERR_UNAVAILABLE, "dvarad did not answer in time");
    }
}

static void loop(supervisor *s)
{
    for (;;) {
        dv_children_step(s);
        if (dv_children_gone(s)) {
            return;
        }
        turn(s);
    }
}

/* ---- Before and after ---- */

/* One that was killed just now lets go of it a moment later, when the kernel has ended it. */
static bool lock_soon(int fd)
{
    enum { TRIES = 50 };
    static const struct timespec pause = {0, 20000000};
    for (int i = 0; i < TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            return true;
        }
        nanosleep(&pause, NULL);
    }
    return false;
}

static dv_result take_lock(supervisor *s, dv_error *error)
{
    char path[PATH_MAX];
    char pid[32];
    DV_TRY(dv_path_join(s->layout.state, "lock", path));
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock < 0) {
        return dv_error_set(error, DV_ERR_IO, "can not open %s: %s", path, strerror(errno));
    }
    if (!lock_soon(s->lock)) {
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
    dv_masker_start(&s->masker, s->layout.separate, dv_buf_slice(&s->text));
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
    DV_TRY(dv_reload_read(s, &s->text, &s->config, error));
    DV_TRY(dv_layout_find(s->options->state_dir, true, &s->layout, error));
    DV_TRY(take_lock(s, error));
    DV_TRY(open_log(s, error));
    DV_TRY(watch_signals(s, error));
    DV_TRY(dv_layout_make(&s->layout, error));
    DV_TRY(dv_process_end_orphans(&s->layout, error));
    s->alone = true;
    DV_TRY(dv_site_settle(s->options, s->config, NULL, &s->site, error));
    DV_TRY(dv_reload_write(s, &s->text, error));
    DV_TRY(dv_site_certificate(&s->layout, s->config, &s->site, error));
    DV_TRY(dv_site_write(&s->layout, s->options, s->config, &s->site, "nginx.conf", error));
    DV_TRY(open_sockets(s, error));
    dv_status_note_all(s);
    dv_children_choose(s);
    return DV_OK;
}

static void clean_up(supervisor *s)
{
    dv_link_close(&s->link);
    if (s->notify >= 0) {
        unlink(s->notify_path);
        dv_fd_close(&s->notify);
    }
    if (s->alone) {
        dv_layout_remove_runtime(&s->layout);
    }
    dv_fd_close(&s->signals);
    if (s->log.stamp) {
        dv_fd_close(&s->log.fd);
    }
    dv_masker_stop(&s->masker);
    dv_reload_drop(s);
    json_decref(s->notes);
    dv_config_free(s->config);
    dv_buf_release(&s->text);
    /* The lock stays until this process is gone: who waits for it then finds none of ours. */
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
                    .started = dv_time_now(),
                    .masker = {.fd = -1, .next_fd = -1},
                    .log = {.fd = STDERR_FILENO}};
    dv_error error = {0};
    s.log.masker = &s.masker;
    s.log.crashed = dv_children_crashed;
    s.log.data = &s;
    for (int i = 0; i < PROCESS_COUNT; i++) {
        s.processes[i].output = -1;
    }
    dv_result result = prepare(&s, &error);
    if (result == DV_OK) {
        loop(&s);
        result = s.outcome;
    } else {
        char text[DV_ERROR_MESSAGE_MAX + PATH_MAX];
        if (s.masker.pid == 0) {
            dv_masker_start(&s.masker, false, dv_slice_str(NULL));
        }
        dv_status_error_text(&s, &error, text, sizeof text);
        dv_status_report(&s, result, text);
    }
    clean_up(&s);
    return result == DV_OK ? 0 : 1;
}
