/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor_private.h"

#include "base/caps.h"
#include "base/file.h"
#include "room/data/control/keys.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define DV_RELOAD_TIMEOUT (15 * DV_SECOND)

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

dv_result dv_reload_read(const supervisor *s, dv_buf *text, dv_config **ret_config, dv_error *error)
{
    const char *path = s->options->config;
    bool optional = s->options->config_optional;
    *text = dv_buf_init(DV_LIMIT_CONFIG);
    if (!optional || access(path, F_OK) == 0) {
        DV_TRY(optional ? check_owner(path, error) : DV_OK);
        DV_TRY(dv_file_read(path, text, error));
    }
    DV_TRY(dv_config_parse(dv_buf_slice(text), ret_config, error));
    const char *state = s->layout.state[0] != '\0' ? s->layout.state : s->options->state_dir;
    return dv_data_keys_check(state, dv_config_section_get(*ret_config, "encryption"), false,
                              error);
}

/* Each reader has a copy that it alone can read. */
static dv_result write_copy(const dv_layout *layout, const char *folder, const dv_account *reader,
                            const dv_buf *text, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(dv_layout_config(layout, folder, path));
    DV_TRY(dv_file_write_atomic(path, dv_buf_slice(text), 0600, error));
    if (layout->separate && chown(path, reader->uid, reader->gid) != 0) {
        return dv_error_set(error, DV_ERR_IO, "can not hand over %s: %s", path, strerror(errno));
    }
    return DV_OK;
}

dv_result dv_reload_write(const supervisor *s, const dv_buf *text, dv_error *error)
{
    const dv_layout *layout = &s->layout;
    DV_TRY(write_copy(layout, NULL, &layout->control, text, error));
    DV_TRY(write_copy(layout, "collect", &layout->collector, text, error));
    return write_copy(layout, "export", &layout->exporter, text, error);
}

void dv_reload_drop(supervisor *s)
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
    dv_masker_restart(&s->masker, dv_buf_slice(&s->text));
}

void dv_reload_answer(supervisor *s, dv_result result, const char *message)
{
    dv_error error = {0};
    if (result == DV_OK) {
        take_next(s);
        dv_status_note_all(s);
        dv_children_choose(s);
        dv_log_say(&s->log, "reloaded");
    } else {
        dv_log_say(&s->log, "reload refused: %s", message);
        dv_reload_drop(s);
        if (s->reloading && dv_reload_write(s, &s->text, &error) != DV_OK) {
            dv_status_say_error(s, &error);
        }
    }
    s->reloading = false;
    dv_link_answer(&s->reload_client, result, message, NULL);
}

static dv_result check_reload(supervisor *s, dv_error *error)
{
    DV_TRY(dv_reload_read(s, &s->next_text, &s->next_config, error));
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

void dv_reload_begin(supervisor *s)
{
    dv_error error = {0};
    char text[DV_ERROR_MESSAGE_MAX + PATH_MAX];
    dv_result result = check_reload(s, &error);
    s->reloading = result == DV_OK;
    if (result == DV_OK) {
        result = dv_reload_write(s, &s->next_text, &error);
    }
    if (result != DV_OK) {
        dv_status_error_text(s, &error, text, sizeof text);
        dv_reload_answer(s, result, text);
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

void dv_reload_finish(supervisor *s)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    if (dv_path_join(s->layout.runtime, "nginx/nginx.conf.new", from) != DV_OK ||
        dv_path_join(s->layout.runtime, "nginx/nginx.conf", to) != DV_OK || rename(from, to) != 0) {
        dv_reload_answer(s, DV_ERR_IO, "nginx's new configuration can not be put in place");
        return;
    }
    if (s->processes[NGINX].pid != 0) {
        wait_for_new_workers(s->processes[NGINX].pid);
    }
    dv_reload_answer(s, DV_OK, "");
}
