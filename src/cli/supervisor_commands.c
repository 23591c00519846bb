/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of api/daemon.yaml. */
#include "cli/supervisor_commands.h"
#include "api/commands.h"
#include "cli/cli.h"
#include "cli/visible.h"
#include "daemon/config.h"
#include "daemon/supervisor.h"
#include "daemon/supervisor_link.h"
#include "room/data/control/data_control.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

/* DV_OVERDUE_MAX: no more reviews can be open. */
enum { DV_OVERDUE_MAX = 100, DV_ASK_SECONDS = 20, DV_DOWN_SECONDS = 30, DV_REPORT_MAX = 64 << 10 };

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

static int fail(dv_cli *cli, const char *message)
{
    dv_error error = {.result = DV_ERR_UNAVAILABLE};
    snprintf(error.message, sizeof error.message, "%s", message);
    return dv_cli_fail(cli, &error);
}

/* ---- Where things are ---- */

dv_result dv_find_programs(char ret_folder[PATH_MAX], dv_error *error)
{
    char self[PATH_MAX];
    char candidate[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len <= 0) {
        return dv_error_set(error, DV_ERR_IO, "/proc is not mounted");
    }
    self[len] = '\0';
    const char *folder = dirname(self);
    const char *const places[] = {"", "/../libexec/dvara"};
    for (size_t i = 0; i < DV_ARRAY_LEN(places); i++) {
        char program[PATH_MAX + 16];
        if (snprintf(candidate, sizeof candidate, "%s%s", folder, places[i]) >= PATH_MAX) {
            continue;
        }
        snprintf(program, sizeof program, "%s/dvarad", candidate);
        if (access(program, X_OK) == 0 && realpath(candidate, ret_folder) != NULL) {
            return DV_OK;
        }
    }
    return dv_error_set(error, DV_ERR_NOT_FOUND,
                        "dvarad is neither in %s nor in %s/../libexec/dvara", folder, folder);
}

/* --config, which must be there, or dvara.yaml in the state directory, which may come later. */
static dv_result find_config(const char *state, const char *said, char ret_path[PATH_MAX],
                             dv_error *error)
{
    if (said == NULL) {
        return dv_path_join(state, "dvara.yaml", ret_path);
    }
    if (realpath(said, ret_path) == NULL) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "%s: %s", said, strerror(errno));
    }
    return DV_OK;
}

static dv_result runtime_of(const dv_cli *cli, char ret_runtime[PATH_MAX], dv_error *error)
{
    char link[PATH_MAX];
    DV_TRY(dv_path_join(cli->state_dir, "runtime", link));
    ssize_t len = readlink(link, ret_runtime, PATH_MAX - 1);
    if (len <= 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "Dvara is not running on %s", cli->state_dir);
    }
    ret_runtime[len] = '\0';
    return DV_OK;
}

dv_result dv_ask_supervisor(const dv_cli *cli, const char *request, int seconds,
                            json_t **ret_answer, dv_error *error)
{
    char runtime[PATH_MAX];
    DV_TRY(runtime_of(cli, runtime, error));
    dv_result result = dv_link_ask(runtime, request, seconds, ret_answer, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, result, "Dvara is not running on %s", cli->state_dir);
    }
    return result;
}

/* ---- What people see ---- */

static const char *field(const json_t *status, const char *name)
{
    const char *text = json_string_value(json_object_get(status, name));
    return text == NULL ? "" : text;
}

static void print_processes(dv_cli *cli, const json_t *status)
{
    static const char *const columns[] = {"name", "state", "pid", "uptime_s", "restarts", NULL};
    fprintf(cli->out, "\n");
    (void)!dv_cli_print(cli, status, "processes", columns);
}

static void print_notes(dv_cli *cli, const json_t *status)
{
    size_t i = 0;
    const json_t *note = NULL;
    json_array_foreach(json_object_get(status, "notes"), i, note)
    {
        fprintf(cli->out, "  note                %s\n", json_string_value(note));
    }
}

static int print_status(dv_cli *cli, const json_t *status, bool processes)
{
    if (cli->output != DV_OUTPUT_TABLE) {
        return dv_cli_print(cli, status, NULL, NULL) == DV_OK ? DV_EXIT_DONE : DV_EXIT_FAILED;
    }
    bool ready = json_is_true(json_object_get(status, "ready"));
    fprintf(cli->out, "Dvara is %s\n", ready ? "ready" : "not ready");
    fprintf(cli->out, "  callers connect to  %s\n", field(status, "gate"));
    fprintf(cli->out, "  administration      %s\n", field(status, "admin"));
    fprintf(cli->out, "  guards              %s\n", field(status, "upstream"));
    fprintf(cli->out, "  state               %s\n", field(status, "state_dir"));
    fprintf(cli->out, "  first admin's key   %s\n", field(status, "admin_credentials"));
    if (field(status, "certificate_sha256")[0] != '\0') {
        fprintf(cli->out, "  certificate SHA-256 %s\n", field(status, "certificate_sha256"));
    }
    print_notes(cli, status);
    if (processes) {
        print_processes(cli, status);
    }
    return fflush(cli->out) == 0 ? DV_EXIT_DONE : DV_EXIT_FAILED;
}

/* ---- up ---- */

typedef struct reporting {
    dv_cli *cli;
    int pipe; /* to the process that waits; -1: we are in the foreground */
} reporting;

static int show_report(dv_cli *cli, bool good, const char *text)
{
    if (!good) {
        fprintf(cli->err, "dvara: %s\n", text);
        return DV_EXIT_FAILED;
    }
    json_t *status = json_loads(text, 0, NULL);
    int code = status == NULL ? DV_EXIT_FAILED : print_status(cli, status, false);
    json_decref(status);
    return code;
}

static void take_report(void *data, dv_result result, const char *text)
{
    reporting *to = data;
    if (to->pipe < 0) {
        int code = show_report(to->cli, result == DV_OK, text);
        if (code == DV_EXIT_DONE && to->cli->output == DV_OUTPUT_TABLE) {
            fprintf(to->cli->out, "  Ctrl-C ends it\n");
            fflush(to->cli->out);
        }
        return;
    }
    dprintf(to->pipe, "%c%s", result == DV_OK ? '+' : '-', text);
    dv_fd_close(&to->pipe);
    to->pipe = -1;
}

/* Nothing that the caller had open goes on living in the background. */
static void let_go(int keep)
{
    int null = open("/dev/null", O_RDWR);
    setsid();
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(null, STDERR_FILENO) < 0) {
        _exit(DV_EXIT_FAILED);
    }
    if (keep > 3) {
        syscall(SYS_close_range, 3U, (unsigned)keep - 1, 0U);
    }
    syscall(SYS_close_range, (unsigned)keep + 1, ~0U, 0U);
    fcntl(keep, F_SETFD, FD_CLOEXEC);
    if (chdir("/") != 0) {
        _exit(DV_EXIT_FAILED);
    }
}

static int wait_for_report(dv_cli *cli, int pipe)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_REPORT_MAX);
    char bytes[4096];
    ssize_t len = 0;
    while ((len = read(pipe, bytes, sizeof bytes)) > 0 || (len < 0 && errno == EINTR)) {
        if (len > 0 && dv_buf_append(&text, dv_slice_of(bytes, (size_t)len)) != DV_OK) {
            break;
        }
    }
    const char *whole = dv_buf_cstr(&text);
    if (whole == NULL || text.len == 0) {
        return fail(cli, "the supervisor ended without a word; see dvara.log in the state "
                         "directory");
    }
    return show_report(cli, whole[0] == '+', whole + 1);
}

static int run_detached(dv_cli *cli, const dv_up_options *options)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return fail(cli, strerror(errno));
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        return fail(cli, strerror(errno));
    }
    if (pid == 0) {
        reporting to = {.cli = cli, .pipe = ends[1]};
        let_go(ends[1]);
        _exit(dv_supervisor_run(options, take_report, &to));
    }
    close(ends[1]);
    int code = wait_for_report(cli, ends[0]);
    close(ends[0]);
    return code;
}

static int run_foreground(dv_cli *cli, const dv_up_options *options)
{
    reporting to = {.cli = cli, .pipe = -1};
    /* The processes get none of what the caller had open. */
    syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
    return dv_supervisor_run(options, take_report, &to);
}

/* Relative paths must outlive a change of folder. */
static dv_result absolute_state(const dv_cli *cli, char ret_path[PATH_MAX], dv_error *error)
{
    char here[PATH_MAX];
    if (cli->state_dir[0] == '/') {
        return snprintf(ret_path, PATH_MAX, "%s", cli->state_dir) < PATH_MAX ? DV_OK
                                                                             : DV_ERR_TOO_LARGE;
    }
    if (getcwd(here, sizeof here) == NULL) {
        return dv_error_set(error, DV_ERR_IO, "the current folder: %s", strerror(errno));
    }
    return dv_path_join(here, cli->state_dir, ret_path);
}

int dv_command_up(dv_cli *cli, const json_t *params)
{
    char programs[PATH_MAX];
    char config[PATH_MAX];
    char state[PATH_MAX];
    dv_error error = {0};
    if (dv_find_programs(programs, &error) != DV_OK ||
        absolute_state(cli, state, &error) != DV_OK ||
        find_config(state, text_param(params, "config"), config, &error) != DV_OK) {
        return dv_cli_fail(cli, &error);
    }
    const dv_up_options options = {
        .state_dir = state,
        .config = config,
        .config_optional = text_param(params, "config") == NULL,
        .listen = text_param(params, "listen"),
        .admin_listen = text_param(params, "admin_listen"),
        .upstream = text_param(params, "upstream"),
        .workers = json_integer_value(json_object_get(params, "workers")),
        .programs = programs,
        .detached = json_is_true(json_object_get(params, "detach")),
    };
    return options.detached ? run_detached(cli, &options) : run_foreground(cli, &options);
}

/* ---- down, status, reload, config check ---- */

/* The lock is free once the supervisor and all its processes are gone. */
static bool wait_until_gone(const dv_cli *cli)
{
    char path[PATH_MAX];
    if (dv_path_join(cli->state_dir, "lock", path) != DV_OK) {
        return false;
    }
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && i < DV_DOWN_SECONDS * 100; i++) {
        if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
            return true;
        }
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    return false;
}

int dv_command_down(dv_cli *cli, const json_t *params)
{
    json_t *answer = NULL;
    dv_error error = {0};
    (void)params;
    if (dv_ask_supervisor(cli, "down", DV_ASK_SECONDS, &answer, &error) != DV_OK) {
        return dv_cli_fail(cli, &error);
    }
    bool refused = json_object_get(answer, "message") != NULL;
    int code = refused ? fail(cli, field(answer, "message")) : DV_EXIT_DONE;
    json_decref(answer);
    if (!refused && !wait_until_gone(cli)) {
        return fail(cli, "it does not end");
    }
    if (!refused && cli->output == DV_OUTPUT_TABLE) {
        fprintf(cli->out, "Dvara has ended\n");
    }
    return code;
}

/* Adds a note when access reviews are overdue. Who may not see them, or asks about another machine
 * by --url, is told of the processes alone. */
static void note_overdue(dv_cli *cli, json_t *status)
{
    json_t *answer = NULL;
    dv_error error = {0};
    json_t *params = json_pack("{s:s, s:i}", "state", "overdue", "limit", DV_OVERDUE_MAX);
    bool asked =
        params != NULL && cli->url == NULL && json_is_true(json_object_get(status, "ready"));
    if (asked && dv_cli_call(cli, "review_list", params, NULL, &answer, &error) == DV_OK) {
        size_t count = json_array_size(json_object_get(answer, "items"));
        json_t *note =
            json_sprintf("%zu access review%s overdue: dvara access review list --status "
                         "overdue",
                         count, count == 1 ? " is" : "s are");
        (void)(count == 0 ? 0 : json_array_append(json_object_get(status, "notes"), note));
        json_decref(note);
    }
    json_decref(answer);
    json_decref(params);
}

int dv_command_status(dv_cli *cli, const json_t *params)
{
    json_t *answer = NULL;
    dv_error error = {0};
    (void)params;
    if (dv_ask_supervisor(cli, "status", DV_ASK_SECONDS, &answer, &error) != DV_OK) {
        return dv_cli_fail(cli, &error);
    }
    json_t *status = json_object_get(answer, "status");
    if (status != NULL) {
        note_overdue(cli, status);
    }
    int code =
        status == NULL ? fail(cli, field(answer, "message")) : print_status(cli, status, true);
    if (code == DV_EXIT_DONE && !json_is_true(json_object_get(status, "ready"))) {
        code = DV_EXIT_FAILED;
    }
    json_decref(answer);
    return code;
}

/* Tells names that nobody has: such rules are good, since a role may come later. rules: of a file;
 * NULL: what is in force. False: nobody could be asked. */
static bool tell_names(dv_cli *cli, const char *file, json_t *rules)
{
    size_t i;
    const json_t *item;
    json_t *answer = NULL;
    dv_error error = {0};
    json_t *body = rules != NULL ? json_pack("{s:O}", "rules", rules) : json_object();
    bool asked = body != NULL && cli->url == NULL &&
                 dv_cli_call(cli, "masking_check", NULL, body, &answer, &error) == DV_OK;
    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        fprintf(cli->err, "dvara: %s%s", file, *file != '\0' ? ": " : "");
        dv_visible_write(cli->err, json_string_value(json_object_get(item, "warning")));
        fputc('\n', cli->err);
    }
    json_decref(answer);
    json_decref(body);
    return asked;
}

int dv_command_reload(dv_cli *cli, const json_t *params)
{
    json_t *answer = NULL;
    dv_error error = {0};
    (void)params;
    if (dv_ask_supervisor(cli, "reload", DV_ASK_SECONDS, &answer, &error) != DV_OK) {
        return dv_cli_fail(cli, &error);
    }
    bool good = strcmp(field(answer, "result"), "ok") == 0;
    int code = good ? DV_EXIT_DONE : fail(cli, field(answer, "message"));
    json_decref(answer);
    if (good && cli->output == DV_OUTPUT_TABLE) {
        fprintf(cli->out, "reloaded\n");
    }
    if (good) {
        (void)tell_names(cli, "", NULL);
    }
    return code;
}

int dv_command_config_check(dv_cli *cli, const json_t *params)
{
    const char *file = text_param(params, "file");
    dv_auto(config) dv_config *config = NULL;
    dv_error error = {0};
    if (dv_config_load(file, &config, &error) != DV_OK) {
        if (error.line == 0) {
            return dv_cli_fail(cli, &error);
        }
        fprintf(cli->err, "dvara: %s:%d: %s\n", file, error.line, error.message);
        return DV_EXIT_FAILED;
    }
    const char *const *warnings = dv_config_warnings(config);
    for (size_t i = 0; warnings[i] != NULL; i++) {
        fprintf(cli->err, "dvara: %s: %s\n", file, warnings[i]);
    }
    json_t *names = dv_data_masking_names(dv_config_root(config));
    if (json_array_size(names) > 0 && !tell_names(cli, file, names)) {
        fprintf(cli->err,
                "dvara: %s: no Dvara of this state runs, so the roles, groups and users that rules "
                "name were not looked up\n",
                file);
    }
    json_decref(names);
    if (cli->output == DV_OUTPUT_TABLE) {
        fprintf(cli->out, "%s is good\n", file);
    }
    return DV_EXIT_DONE;
}
