/* SPDX-License-Identifier: Apache-2.0 */
/* dvara-collect: takes log lines from elsewhere, as dvara.yaml's `audit: collect:` says. What it
 * reads is hostile: it has no privileges, no keys but the spool's public one, and no way to read
 * the log. */

#include "crypto/random.h"
#include "daemon/notify.h"
#include "daemon/service.h"
#include "room/audit/collect/collector.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_TRIES = 100, KEY_PAUSE_MS = 100, LINE_MAX_BYTES = DV_ERROR_MESSAGE_MAX };

static const dv_service_about about = {
    .usage = "dvara-collect: takes log lines from elsewhere. `dvara up` starts it.\n"
             "usage: dvara-collect --state DIR --runtime DIR --config FILE\n",
    .version = "dvara-collect " DV_VERSION "\n",
    .has_config = true,
};

/* One line for the operator; what comes from outside can't begin another. */
static void say(const char *text)
{
    char line[LINE_MAX_BYTES];
    snprintf(line, sizeof line, "%s", text);
    for (char *at = line; *at != '\0'; at++) {
        *at = (unsigned char)*at < 0x20 || *at == 0x7f ? ' ' : *at;
    }
    fprintf(stderr, "dvara-collect: %s\n", line);
}

static dv_result harden(dv_error *error)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return dv_error_set(error, DV_ERR_IO, "this process can not be hardened: %s",
                            strerror(errno));
    }
    umask(0027);
    return dv_process_undumpable();
}

/* dvara-logd may be starting. */
static dv_result open_collector(const dv_service_options *options, dv_collector **ret_collector,
                                dv_error *error)
{
    const dv_collector_options wanted = {options->state_dir, options->runtime_dir, say};
    dv_result result = DV_ERR_NOT_FOUND;
    for (int i = 0; i < KEY_TRIES && result != DV_OK; i++) {
        result = dv_collector_open(&wanted, ret_collector, error);
        if (result != DV_OK) {
            (void)poll(NULL, 0, KEY_PAUSE_MS);
        }
    }
    return result;
}

/* False: it was told to end. */
static bool take_signals(dv_collector *collector, int signals, const char *path, dv_result *result,
                         dv_error *error)
{
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGHUP) {
            return false;
        }
        dv_notify_reloading();
        *result = dv_collector_configure(collector, path, error);
        if (*result != DV_OK) {
            dv_notify_reload_failed(error->message);
            return false; /* `dvara up` starts it anew, and `dvara status` tells of it */
        }
        dv_notify_ready();
    }
    return true;
}

static dv_result serve(const dv_service_options *options, dv_collector *collector, int signals,
                       dv_error *error)
{
    dv_result result = dv_collector_configure(collector, options->config, error);
    if (result != DV_OK) {
        return result;
    }
    dv_notify_ready();
    while (!dv_collector_turn(collector, signals) ||
           take_signals(collector, signals, options->config, &result, error)) {
    }
    dv_notify_stopping();
    return result;
}

static dv_result run(const dv_service_options *options, dv_error *error)
{
    dv_collector *collector = NULL;
    dv_auto(fd) int signals = dv_service_signals();
    if (signals < 0) {
        return dv_error_set(error, DV_ERR_IO, "signals: %s", strerror(errno));
    }
    DV_TRY(harden(error));
    DV_TRY(open_collector(options, &collector, error));
    dv_result result = serve(options, collector, signals, error);
    dv_collector_close(collector);
    return result;
}

int main(int argc, char **argv)
{
    dv_service_options options;
    dv_error error = {0};
    int status = 0;
    if (!dv_service_arguments(argc, argv, &about, &options, &status)) {
        return status;
    }
    if (options.config == NULL) {
        fputs(about.usage, stderr);
        return 2;
    }
    dv_result result = run(&options, &error);
    if (result != DV_OK) {
        say(error.message[0] != '\0' ? error.message : dv_result_name(result));
        return 1;
    }
    return 0;
}
