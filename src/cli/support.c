/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara support`: needs no server. */
#include "api/commands.h"
#include "base/file.h"
#include "cli/client.h"
#include "cli/supervisor_commands.h"
#include "cli/support_bundle.h"
#include "cli/support_facts.h"
#include "daemon/config.h"
#include "daemon/config_bare.h"
#include "daemon/supervisor_crash.h"
#include "daemon/supervisor_process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ASK_SECONDS = 20,
    CONFIG_MAX = 1 << 20,
    CHECK_MAX = 256 << 10,
    LOG_MAX = 16 << 20, /* bytes of a log, its newest */
    PAGE_MAX = 8 << 20,
    REPORT_MAX = 64 << 10, /* of a crash */
};

#define JOURNAL_TIMEOUT (20 * DV_SECOND)
#define JOURNALCTL "/usr/bin/journalctl"
#define UNIT "dvara.service"
#define UNIT_STATE "/var/lib/dvara"

typedef struct gathering {
    dv_cli *cli;
    const json_t *params;
    dv_bundle *bundle;
    json_t *status; /* of the supervisor; NULL: none runs */
} gathering;

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

/* What can't be had is said in the manifest; the bundle is made all the same. */
static void keep(gathering *g, const char *what, dv_result result, const dv_error *error)
{
    if (result != DV_OK) {
        bool said = error != NULL && error->message[0] != '\0';
        dv_bundle_leave_out(g->bundle, what, said ? error->message : dv_result_name(result));
    }
}

static void add_json(gathering *g, const char *name, json_t *value)
{
    keep(g, name, dv_bundle_add_json(g->bundle, name, value), NULL);
    json_decref(value);
}

/* ---- Build, system, state ---- */

static void add_facts(gathering *g)
{
    char programs[PATH_MAX];
    dv_error error = {0};
    if (dv_find_programs(programs, &error) != DV_OK) {
        programs[0] = '\0';
        dv_bundle_leave_out(g->bundle, "the other programs", error.message);
    }
    add_json(g, "build.json", dv_support_build(programs));
    add_json(g, "system.json", dv_support_system());
    add_json(g, "state.json", dv_support_folders(g->cli->state_dir));
}

static void ask_status(gathering *g)
{
    json_t *answer = NULL;
    dv_error error = {0};
    dv_result result = dv_ask_supervisor(g->cli, "status", ASK_SECONDS, &answer, &error);
    if (result == DV_OK) {
        g->status = json_incref(json_object_get(answer, "status"));
        add_json(g, "status.json", json_incref(g->status));
    }
    keep(g, "status.json", result, &error);
    json_decref(answer);
}

/* ---- What dvarad tells ---- */

static dv_result ask_facts(gathering *g, dv_cli *local, dv_error *error)
{
    json_t *answer = NULL;
    DV_TRY(dv_cli_call(local, "support_facts", NULL, NULL, &answer, error));
    add_json(g, "control.json", answer);
    return DV_OK;
}

static dv_result ask_metrics(gathering *g, dv_error *error)
{
    dv_auto(client) dv_client *client = NULL;
    dv_auto(buf) dv_buf page = dv_buf_init(PAGE_MAX);
    DV_TRY(dv_client_open(g->cli->state_dir, NULL, NULL, &client, error));
    DV_TRY(dv_client_page(client, "/metrics", &page, error));
    return dv_bundle_add_text(g->bundle, "metrics.txt", dv_buf_slice(&page));
}

/* By control.sock of this state, whatever --url says. */
static void add_control(gathering *g)
{
    dv_cli local = *g->cli;
    dv_error error = {0};
    dv_error second = {0};
    local.url = NULL;
    local.client = NULL;
    keep(g, "control.json", ask_facts(g, &local, &error), &error);
    keep(g, "metrics.txt", ask_metrics(g, &second), &second);
    dv_client_close(local.client);
}

/* ---- dvara.yaml ---- */

static dv_result find_config(const gathering *g, char ret_path[PATH_MAX])
{
    const char *said = text_param(g->params, "config");
    const char *told = json_string_value(json_object_get(g->status, "config"));
    const char *path = said != NULL ? said : told;
    if (path == NULL) {
        return dv_path_join(g->cli->state_dir, "dvara.yaml", ret_path);
    }
    return snprintf(ret_path, PATH_MAX, "%s", path) < PATH_MAX ? DV_OK : DV_ERR_TOO_LARGE;
}

static dv_result add_bare(gathering *g, const char *path, dv_error *error)
{
    dv_auto(secret_buf) dv_buf text = dv_buf_init(CONFIG_MAX);
    dv_auto(buf) dv_buf bare = dv_buf_init(4 * CONFIG_MAX);
    char why[64];
    size_t removed = 0;
    DV_TRY(dv_file_read(path, &text, error));
    DV_TRY(dv_config_bare(dv_buf_slice(&text), &bare, &removed, error));
    DV_TRY(dv_bundle_add_text(g->bundle, "config.yaml", dv_buf_slice(&bare)));
    snprintf(why, sizeof why, "%zu may tell something", removed);
    dv_bundle_leave_out(g->bundle, "values of dvara.yaml", why);
    return DV_OK;
}

/* What stands in quotes may be a value of the file. An apostrophe within a word is none; a quote
 * that nothing closes goes on to the end. */
static dv_result append_unquoted(dv_buf *out, const char *text)
{
    char quote = '\0';
    for (const char *at = text; *at != '\0'; at++) {
        bool opens = quote == '\0' && (*at == '"' || *at == '\'') &&
                     (at == text || isalnum((unsigned char)at[-1]) == 0);
        bool closes = quote != '\0' && *at == quote && isalnum((unsigned char)at[1]) == 0;
        if (opens || closes || quote == '\0') {
            DV_TRY(dv_buf_append_byte(out, (uint8_t)*at));
        }
        if (opens) {
            quote = *at;
            DV_TRY(dv_buf_append_str(out, "[removed]"));
        } else if (closes) {
            quote = '\0';
        }
    }
    return DV_OK;
}

static dv_result add_check(gathering *g, const char *path)
{
    dv_auto(config) dv_config *config = NULL;
    dv_auto(buf) dv_buf text = dv_buf_init(CHECK_MAX);
    dv_error error = {0};
    if (dv_config_load(path, &config, &error) != DV_OK) {
        DV_TRY(dv_buf_append_printf(&text, "refused, line %d: ", error.line));
        DV_TRY(append_unquoted(&text, error.message));
        DV_TRY(dv_buf_append_byte(&text, '\n'));
    } else {
        DV_TRY(dv_buf_append_str(&text, "good\n"));
        const char *const *warnings = dv_config_warnings(config);
        for (size_t i = 0; warnings[i] != NULL; i++) {
            DV_TRY(dv_buf_append_str(&text, "warning: "));
            DV_TRY(append_unquoted(&text, warnings[i]));
            DV_TRY(dv_buf_append_byte(&text, '\n'));
        }
    }
    return dv_bundle_add_text(g->bundle, "config-check.txt", dv_buf_slice(&text));
}

static void add_config(gathering *g)
{
    char path[PATH_MAX];
    dv_error error = {0};
    if (find_config(g, path) != DV_OK) {
        return;
    }
    dv_result result = add_bare(g, path, &error);
    keep(g, "config.yaml", result, &error);
    if (access(path, F_OK) == 0) {
        keep(g, "config-check.txt", add_check(g, path), NULL);
    }
}

/* ---- Logs ---- */

/* The last lines of a text. */
static dv_slice last_lines(dv_slice text, size_t count)
{
    size_t at = text.len;
    if (at > 0 && text.ptr[at - 1] == '\n') {
        at--;
    }
    while (at > 0 && (text.ptr[at - 1] != '\n' || --count > 0)) {
        at--;
    }
    return dv_slice_sub(text, at, text.len);
}

/* Of the regular file `path` in the folder; nothing else is opened, and no link followed. */
static dv_result read_end(int folder, const char *path, dv_buf *out, dv_error *error)
{
    struct stat status;
    dv_auto(fd) int fd = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return dv_error_set(error, DV_ERR_IO, "%s", strerror(fd < 0 ? errno : EINVAL));
    }
    off_t from = status.st_size > LOG_MAX ? status.st_size - LOG_MAX : 0;
    uint8_t bytes[16384];
    ssize_t len;
    while ((len = pread(fd, bytes, sizeof bytes, from)) > 0 && out->len + (size_t)len <= out->max) {
        DV_TRY(dv_buf_append(out, dv_slice_of(bytes, (size_t)len)));
        from += len;
    }
    return DV_OK;
}

/* Of a log that is cut in the middle of a line, the rest of that line is not shown. */
static dv_slice whole_lines(dv_slice text, bool cut)
{
    ptrdiff_t end = cut ? dv_slice_find_byte(text, '\n') : -1;
    return end < 0 ? text : dv_slice_sub(text, (size_t)end + 1, text.len);
}

static void add_log(gathering *g, const char *file, size_t lines)
{
    char path[PATH_MAX];
    char name[NAME_MAX];
    dv_error error = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(LOG_MAX + 65536);
    snprintf(name, sizeof name, "logs/%s", file);
    if (dv_path_join(g->cli->state_dir, file, path) != DV_OK || access(path, F_OK) != 0) {
        return;
    }
    dv_result result = read_end(AT_FDCWD, path, &text, &error);
    if (result == DV_OK) {
        dv_slice all = whole_lines(dv_buf_slice(&text), text.len >= LOG_MAX);
        result = dv_bundle_add_text(g->bundle, name, last_lines(all, lines));
    }
    keep(g, name, result, &error);
}

/* Whether it is systemd's unit whose log lies in the journal. */
static bool is_the_unit(const gathering *g)
{
    char path[64];
    json_int_t pid = json_integer_value(json_object_get(g->status, "pid"));
    if (pid == 0) {
        return strcmp(g->cli->state_dir, UNIT_STATE) == 0;
    }
    snprintf(path, sizeof path, "/proc/%lld/cgroup", (long long)pid);
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    char bytes[2048];
    ssize_t len = fd < 0 ? 0 : read(fd, bytes, sizeof bytes);
    return len > 0 && dv_slice_find(dv_slice_of(bytes, (size_t)len), DV_LIT("/" UNIT)) >= 0;
}

static void add_journal(gathering *g, size_t lines)
{
    char count[32];
    int code = 0;
    dv_error error = {0};
    dv_layout layout = {.separate = false};
    dv_auto(buf) dv_buf text = dv_buf_init(LOG_MAX);
    if (!is_the_unit(g) || access(JOURNALCTL, X_OK) != 0) {
        return;
    }
    snprintf(count, sizeof count, "%zu", lines);
    const dv_process_plan plan = {.program = JOURNALCTL,
                                  .args = {"journalctl", "--no-pager", "--no-hostname", "--quiet",
                                           "-u", UNIT, "-n", count, "-o", "short-iso"},
                                  .death_signal = SIGKILL};
    dv_result result = dv_process_run(&plan, &layout, JOURNAL_TIMEOUT, &text, &code, &error);
    if (result == DV_OK) {
        result = dv_bundle_add_text(g->bundle, "logs/journal", dv_buf_slice(&text));
    }
    keep(g, "logs/journal", result, &error);
}

static void add_logs(gathering *g)
{
    size_t lines = (size_t)json_integer_value(json_object_get(g->params, "lines"));
    if (lines == 0) {
        dv_bundle_leave_out(g->bundle, "logs", "--lines 0");
        return;
    }
    add_log(g, "dvara.log", lines);
    add_log(g, "dvara.log.1", lines);
    add_journal(g, lines);
}

/* ---- Crashes ---- */

static void add_report(gathering *g, int folder, const char *file)
{
    char name[NAME_MAX + 16];
    dv_error error = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(REPORT_MAX);
    snprintf(name, sizeof name, "crashes/%s", file);
    dv_result result = read_end(folder, file, &text, &error);
    if (result == DV_OK) {
        result = dv_bundle_add_text(g->bundle, name, dv_buf_slice(&text));
    }
    keep(g, name, result, &error);
}

/* TIME-PROGRAM-PID.txt (supervisor_crash.h): another file that lies there is not ours to send. */
static int is_report(const struct dirent *entry)
{
    static const char known[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.:-";
    size_t len = strlen(entry->d_name);
    return isdigit((unsigned char)entry->d_name[0]) != 0 && strspn(entry->d_name, known) == len &&
           len > 4 && strcmp(entry->d_name + len - 4, ".txt") == 0;
}

/* Whoever owns the state can put a link in the folder's place, and we may be root. */
static void add_crashes(gathering *g)
{
    char path[PATH_MAX];
    struct dirent **entries = NULL;
    if (dv_path_join(g->cli->state_dir, DV_CRASH_FOLDER, path) != DV_OK) {
        return;
    }
    dv_auto(fd) int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int count = folder < 0 ? -1 : scandirat(folder, ".", &entries, is_report, alphasort);
    if (folder < 0 && errno != ENOENT) {
        dv_bundle_leave_out(g->bundle, DV_CRASH_FOLDER, strerror(errno));
    }
    for (int i = 0; i < count; i++) {
        if (i >= count - DV_CRASH_REPORTS) {
            add_report(g, folder, entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
}

/* ---- The command ---- */

static void add_what_never_is(gathering *g)
{
    static const char *const never[] = {"keys", "the database", "events of the audit log",
                                        "prompts and answers", "the spool"};
    for (size_t i = 0; i < DV_ARRAY_LEN(never); i++) {
        dv_bundle_leave_out(g->bundle, never[i], "never in a bundle");
    }
}

static int print_bundle(dv_cli *cli, json_t *manifest, const char *file)
{
    static const char *const columns[] = {"name", "bytes", "withheld", NULL};
    json_object_set_new(manifest, "file", json_string(file));
    if (cli->output != DV_OUTPUT_TABLE) {
        return dv_cli_print(cli, manifest, NULL, NULL) == DV_OK ? DV_EXIT_DONE : DV_EXIT_FAILED;
    }
    if (dv_cli_print(cli, manifest, "members", columns) != DV_OK) {
        return DV_EXIT_FAILED;
    }
    fprintf(cli->out,
            "\n%s holds these, with personal data and secrets masked. Masks find what has a form:\n"
            "look at it before you send it (tar --zstd -xf FILE; MANIFEST.json says what is not "
            "in it).\n",
            file);
    return fflush(cli->out) == 0 ? DV_EXIT_DONE : DV_EXIT_FAILED;
}

int dv_command_support_bundle(dv_cli *cli, const json_t *params)
{
    const char *file = text_param(params, "out");
    dv_error error = {0};
    dv_auto(bundle) dv_bundle *bundle = NULL;
    json_t *manifest = NULL;
    if (access(file, F_OK) == 0) {
        dv_result there = dv_error_set(&error, DV_ERR_EXISTS, "%s is there already", file);
        return there == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
    }
    if (dv_bundle_new(dv_time_now(), &bundle, &error) != DV_OK) {
        return dv_cli_fail(cli, &error);
    }
    gathering g = {.cli = cli, .params = params, .bundle = bundle};
    add_facts(&g);
    ask_status(&g);
    add_control(&g);
    add_config(&g);
    add_logs(&g);
    add_crashes(&g);
    add_what_never_is(&g);
    json_decref(g.status);
    if (dv_bundle_write(bundle, file, &manifest, &error) != DV_OK) {
        return dv_cli_fail(cli, &error);
    }
    int code = print_bundle(cli, manifest, file);
    json_decref(manifest);
    return code;
}
