/* SPDX-License-Identifier: Apache-2.0 */
/* dvara-export: sends the log's events on, as dvara.yaml's `audit: export:` says. */

#include "base/buf.h"
#include "base/caps.h"
#include "base/file.h"
#include "base/thread.h"
#include "base/yaml.h"
#include "crypto/random.h"
#include "daemon/notify.h"
#include "daemon/service.h"
#include "room/audit/export/exporter.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TICK_MS = 1000, CONFIG_ARENA = 64 << 20 };

static const dv_service_about about = {
    .usage = "dvara-export: sends Dvara's audit log on. `dvara up` starts it.\n"
             "usage: dvara-export --state DIR --runtime DIR --config FILE\n",
    .version = "dvara-export " DV_VERSION "\n",
    .has_config = true,
};

typedef struct daemon {
    dv_service_options options;
    dv_exporter *exporter;
    bool ending;
} daemon_state;

static void say(const char *format, ...) dv_printf(1, 2);

/* One line for the operator; what comes from outside can't begin another. */
static void say(const char *format, ...)
{
    char line[DV_ERROR_MESSAGE_MAX + 128];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *at = line; *at != '\0'; at++) {
        *at = (unsigned char)*at < 0x20 ? ' ' : *at;
    }
    fprintf(stderr, "dvara-export: %s\n", line);
}

static dv_result harden(dv_error *error)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return dv_error_set(error, DV_ERR_IO, "this process can not be hardened: %s",
                            strerror(errno));
    }
    umask(0027);
    dv_thread_steps_aside(); /* callers wait for the workers, nobody for us */
    return dv_process_undumpable();
}

static dv_result read_config(const daemon_state *self, dv_buf *text, dv_error *error)
{
    return dv_file_read(self->options.config, text, error);
}

static dv_result start(daemon_state *self, const dv_buf *text, dv_error *error)
{
    const dv_exporter_options options = {
        .state_dir = self->options.state_dir, .runtime_dir = self->options.runtime_dir, .say = say};
    return dv_exporter_start(&options, dv_buf_slice(text), &self->exporter, error);
}

/* The whole text is checked before anything ends. */
static dv_result check(const dv_buf *text, dv_error *error)
{
    const dv_yaml *root = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new(CONFIG_ARENA);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_yaml_parse(dv_buf_slice(text), arena, &root, error));
    const dv_yaml *audit = dv_yaml_get(root, "audit");
    return audit == NULL ? DV_OK : dv_export_config_check(dv_yaml_get(audit, "export"), error);
}

static void reload(daemon_state *self)
{
    dv_error error = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CONFIG);
    dv_notify_reloading();
    if (read_config(self, &text, &error) != DV_OK || check(&text, &error) != DV_OK) {
        dv_notify_reload_failed(error.message);
        return;
    }
    dv_exporter_free(self->exporter);
    self->exporter = NULL;
    if (start(self, &text, &error) == DV_OK) {
        dv_notify_ready();
        return;
    }
    say("%s", error.message);
    dv_notify_reload_failed(error.message);
    self->ending = true; /* to be started again: what was in force is gone */
}

static void take_signals(daemon_state *self, int signals)
{
    struct signalfd_siginfo info;
    while (!self->ending && read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            reload(self);
        } else {
            self->ending = true;
        }
    }
}

static dv_result run(daemon_state *self, dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CONFIG);
    dv_auto(fd) int signals = dv_service_signals();
    if (signals < 0) {
        return dv_error_set(error, DV_ERR_IO, "signals: %s", strerror(errno));
    }
    DV_TRY(harden(error));
    DV_TRY(read_config(self, &text, error));
    DV_TRY(start(self, &text, error));
    dv_notify_ready();
    struct pollfd fd = {.fd = signals, .events = POLLIN};
    while (!self->ending) {
        dv_exporter_tick(self->exporter);
        if (poll(&fd, 1, TICK_MS) > 0) {
            take_signals(self, signals);
        }
    }
    dv_notify_stopping();
    return DV_OK;
}

int main(int argc, char **argv)
{
    daemon_state self = {0};
    dv_error error = {0};
    int status = 0;
    if (!dv_service_arguments(argc, argv, &about, &self.options, &status)) {
        return status;
    }
    if (self.options.config == NULL) {
        fputs(about.usage, stderr);
        return 2;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        fputs("dvara-export: curl can not be used\n", stderr);
        return 1;
    }
    dv_result result = run(&self, &error);
    dv_exporter_free(self.exporter);
    curl_global_cleanup();
    if (result != DV_OK) {
        say("%s", error.message[0] != '\0' ? error.message : dv_result_name(result));
        return 1;
    }
    return 0;
}
