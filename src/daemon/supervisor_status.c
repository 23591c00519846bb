/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor_private.h"

#include "daemon/notify.h"
#include "daemon/supervisor_crash.h"

#include <stdarg.h>
#include <unistd.h>

enum { DV_REPORT_MAX = 256 << 10 };

static const char *const state_names[] = {"waiting", "starting", "running",
                                          "ended",   "off",      "leaving"};

void dv_status_error_text(const supervisor *s, const dv_error *error, char *out, size_t size)
{
    if (error->line > 0) {
        snprintf(out, size, "%s:%d: %s", s->options->config, error->line, error->message);
    } else {
        snprintf(out, size, "%s", error->message);
    }
}

void dv_status_say_error(supervisor *s, const dv_error *error)
{
    char text[DV_ERROR_MESSAGE_MAX + PATH_MAX];
    dv_status_error_text(s, error, text, sizeof text);
    dv_log_say(&s->log, "%s", text);
}

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
        process_state state = s->processes[i].state;
        ready = ready && (state == PROCESS_RUNNING || state == PROCESS_OFF);
    }
    return ready;
}

static const char *masks_state(const dv_masker *masker)
{
    return masker->ready ? "working" : masker->fd >= 0 ? "starting" : "failing";
}

/* What is so now, behind what was so at the start. */
static json_t *notes_json(const supervisor *s)
{
    json_t *notes = json_copy(s->notes);
    if (s->masker.withheld > 0) {
        json_array_append_new(
            notes, json_sprintf("%llu lines of the log were withheld: they could not be searched "
                                "for what must be hidden",
                                (unsigned long long)s->masker.withheld));
    }
    size_t crashes = dv_crash_count(s->layout.state);
    if (crashes > 0) {
        json_array_append_new(notes, json_sprintf("reports of %zu crashes lie in %s/%s", crashes,
                                                  s->layout.state, DV_CRASH_FOLDER));
    }
    return notes;
}

json_t *dv_status_json(const supervisor *s)
{
    char credentials[PATH_MAX];
    char started[DV_TIME_TEXT_MAX];
    json_t *processes = json_array();
    for (int i = 0; i < PROCESS_COUNT; i++) {
        if (s->processes[i].state != PROCESS_OFF) {
            json_array_append_new(processes, process_json(&s->processes[i], dv_child_names[i]));
        }
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
    json_object_set_new(status, "log",
                        json_pack("{s:s, s:I}", "masks", masks_state(&s->masker), "withheld",
                                  (json_int_t)s->masker.withheld));
    json_object_set_new(status, "crash_reports",
                        json_integer((json_int_t)dv_crash_count(s->layout.state)));
    json_object_set_new(status, "notes", notes_json(s));
    json_object_set_new(status, "config", json_string(s->options->config));
    return status;
}

void dv_status_report(supervisor *s, dv_result result, const char *text)
{
    if (s->report != NULL) {
        dv_auto(buf) dv_buf masked = dv_buf_init(DV_REPORT_MAX);
        if (result != DV_OK) {
            bool good = dv_log_masked(&s->log, text, &masked) == DV_OK;
            text = good ? dv_buf_cstr(&masked) : NULL;
            text = text != NULL ? text : "out of memory";
        }
        s->report(s->report_data, result, text);
        s->report = NULL;
    }
}

void dv_status_report_ready(supervisor *s)
{
    json_t *status = dv_status_json(s);
    char *text = json_dumps(status, JSON_COMPACT);
    json_decref(status);
    dv_status_report(s, text == NULL ? DV_ERR_NO_MEMORY : DV_OK,
                     text == NULL ? "out of memory" : text);
    free(text);
    dv_notify_ready(); /* to systemd, where that started us */
}

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

void dv_status_note_all(supervisor *s)
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
