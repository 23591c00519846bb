/* SPDX-License-Identifier: Apache-2.0 */
/* dvarad: the control plane. Opens what it serves from, puts the configuration into force, then
 * answers on two sockets until it is told to end. One thread: a handler has the store and the
 * snapshot to itself. */

#include "daemon/dvarad_daemon.h"

#include "daemon/dvarad_log.h"
#include "daemon/dvarad_server.h"
#include "daemon/notify.h"
#include "daemon/service.h"
#include "room/audit/control/audit_control.h"
#include "room/auth/control/auth_control.h"
#include "room/data/control/data_control.h"
#include "room/data/control/keys.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    TICK_SECONDS = 10,
    WATCH_MS = 1000,
    WATCH_ON_MS = 20,
    WATCH_FAILED_MS = 5000,
    EXPLAINED_MAX = DV_ERROR_MESSAGE_MAX + 48
};

typedef struct daemon_state {
    dv_daemon *daemon;
    dv_server *control_server;
    dv_server *api_server;
    int signals;
    dv_time next_tick;  /* monotonic */
    dv_time next_watch; /* monotonic */
    bool watch_failed;  /* said once */
    dv_audit_place watched;
    bool ending;
} daemon_state;

static const dv_service_about about = {
    .usage = "dvarad: Dvara's control plane. `dvara up` starts it.\n"
             "usage: dvarad --state DIR --runtime DIR [--config FILE]\n",
    .version = "dvarad " DV_VERSION "\n",
    .has_config = true,
};

/* The message with its place in the configuration, if it has one. */
static const char *explain(const dv_error *error, char out[EXPLAINED_MAX])
{
    if (error->line > 0) {
        snprintf(out, EXPLAINED_MAX, "line %d, column %d: %s", error->line, error->column,
                 error->message);
    } else {
        snprintf(out, EXPLAINED_MAX, "%s", error->message);
    }
    return out;
}

static void reload(daemon_state *state)
{
    char text[EXPLAINED_MAX];
    dv_error error = {0};
    dv_notify_reloading();
    if (dv_daemon_reload(state->daemon, &error) == DV_OK) {
        dv_log_line("the configuration was read anew");
        state->next_tick = dv_time_monotonic(); /* what it changed begins at once */
        dv_notify_ready();
        return;
    }
    dv_log_line("the configuration stays as it was: %s", explain(&error, text));
    dv_notify_reload_failed(text);
}

static void handle_signals(daemon_state *state)
{
    struct signalfd_siginfo info;
    while (read(state->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            reload(state);
        } else {
            state->ending = true;
        }
    }
}

/* Each for itself: what fails keeps nothing else from being done. */
static void tick_done(dv_result result, const dv_error *error)
{
    if (result != DV_OK) {
        dv_log_line("recurring work failed and will be tried again: %s", error->message);
    }
}

static void tick(daemon_state *state)
{
    dv_error errors[6] = {0};
    dv_time now = dv_time_monotonic();
    if (now < state->next_tick) {
        return;
    }
    state->next_tick = now + TICK_SECONDS * DV_SECOND;
    dv_services *services = &dv_daemon_control(state->daemon)->services;
    tick_done(dv_auth_control_tick(services, dv_time_now(), &errors[0]), &errors[0]);
    tick_done(dv_audit_control_tick(services, &errors[1]), &errors[1]);
    tick_done(dv_data_access_tick(services, &errors[2]), &errors[2]);
    tick_done(dv_data_keys_tick(services, dv_time_now(), &errors[3]), &errors[3]);
    tick_done(dv_disposal_tick(services, &errors[4]), &errors[4]);
    tick_done(dv_case_disposal_tick(services, &errors[5]), &errors[5]);
}

/* Alerts look at what came into the log: again soon while there is more. */
static void watch(daemon_state *state)
{
    dv_error error = {0};
    bool more = false;
    dv_time now = dv_time_monotonic();
    if (now < state->next_watch) {
        return;
    }
    dv_services *services = &dv_daemon_control(state->daemon)->services;
    bool failed =
        dv_audit_alerts_tick(services, &state->watched, dv_time_now(), &more, &error) != DV_OK;
    if (failed && !state->watch_failed) {
        dv_log_line("alerts are not looked after for now: %s", error.message);
    } else if (!failed && state->watch_failed) {
        dv_log_line("alerts are looked after again");
    }
    state->watch_failed = failed;
    int wait = failed ? WATCH_FAILED_MS : more ? WATCH_ON_MS : WATCH_MS;
    state->next_watch = dv_time_monotonic() + wait * DV_MILLISECOND;
}

/* The shortest of the waits, in milliseconds. */
static int wait_time(const daemon_state *state)
{
    dv_time left = DV_MIN(state->next_tick, state->next_watch) - dv_time_monotonic();
    int wait = (int)(DV_MAX(left, 0) / DV_MILLISECOND) + 1;
    const dv_server *servers[] = {state->control_server, state->api_server};
    for (size_t i = 0; i < DV_ARRAY_LEN(servers); i++) {
        int timeout = dv_server_timeout(servers[i]);
        wait = timeout >= 0 ? DV_MIN(wait, timeout) : wait;
    }
    return wait;
}

static void serve(daemon_state *state)
{
    while (!state->ending) {
        struct pollfd fds[] = {
            {.fd = state->signals, .events = POLLIN},
            {.fd = dv_server_fd(state->control_server), .events = POLLIN},
            {.fd = dv_server_fd(state->api_server), .events = POLLIN},
        };
        if (poll(fds, DV_ARRAY_LEN(fds), wait_time(state)) < 0 && errno != EINTR) {
            dv_log_line("poll: %s", strerror(errno));
            return;
        }
        handle_signals(state);
        dv_server_run(state->control_server);
        dv_server_run(state->api_server);
        tick(state);
        watch(state);
    }
}

static dv_result open_servers(daemon_state *state, dv_error *error)
{
    dv_control *control = dv_daemon_control(state->daemon);
    char path[4096];
    snprintf(path, sizeof(path), "%s/control.sock", control->services.runtime_dir);
    DV_TRY(dv_server_open(control, path, true, (gid_t)-1, &state->control_server, error));
    snprintf(path, sizeof(path), "%s/api.sock", control->services.runtime_dir);
    return dv_server_open(control, path, false, dv_daemon_group(state->daemon), &state->api_server,
                          error);
}

static dv_result run(const dv_service_options *options, dv_error *error)
{
    daemon_state state = {.signals = dv_service_signals(),
                          .next_tick = dv_time_monotonic() + TICK_SECONDS * DV_SECOND};
    if (state.signals < 0) {
        return dv_error_set(error, DV_ERR_IO, "signals: %s", strerror(errno));
    }
    DV_TRY(dv_daemon_open(options, &state.daemon, error));
    dv_result result = open_servers(&state, error);
    if (result == DV_OK) {
        dv_notify_ready();
        dv_log_line("serves %s", options->runtime_dir);
        serve(&state);
        dv_notify_stopping();
    }
    dv_server_close(state.api_server);
    dv_server_close(state.control_server);
    dv_daemon_close(state.daemon);
    close(state.signals);
    return result;
}

int main(int argc, char **argv)
{
    dv_service_options options;
    dv_error error = {0};
    char text[EXPLAINED_MAX];
    int status;
    if (!dv_service_arguments(argc, argv, &about, &options, &status)) {
        return status;
    }
    if (dv_daemon_harden(&error) != DV_OK || run(&options, &error) != DV_OK) {
        dv_log_line("%s", explain(&error, text));
        return 1;
    }
    return 0;
}
