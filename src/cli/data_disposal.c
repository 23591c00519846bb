/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data disposal run`: removes what a running Dvara says is due, where it is. dvarad keeps
 * the plan and writes the certificate; it has no right over anybody's files. Rows of tables:
 * data_disposal_tables.c. */
#include "cli/data_disposal.h"

#include "api/commands.h"
#include "base/file.h"
#include "cli/data_disposal_cases.h"
#include "cli/data_disposal_vault.h"
#include "engine/scan/postgres.h"
#include "engine/scan/remove.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 100, RUN_FILES = 1000, SOURCES_MAX = 1000, HASH_TEXT_MAX = 2 * DV_SHA256_LEN + 1 };

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

/* -- where a source is ------------------------------------------------------------------------- */

/* The path in "file://HOST/path" where HOST is this machine; NULL: it is elsewhere. */
static const char *local_path(const char *source)
{
    char host[256] = "localhost", prefix[300];
    if (gethostname(host, sizeof(host) - 1) != 0) {
        dv_slice_copy(DV_LIT("localhost"), host, sizeof(host));
    }
    int len = snprintf(prefix, sizeof(prefix), "file://%s/", host);
    return len > 0 && strncmp(source, prefix, (size_t)len) == 0 ? source + len - 1 : NULL;
}

/* A source may be one file: then its folder is what is worked in. */
static dv_result open_root(const dv_disposal_job *d, const char *source, int *ret_fd,
                           dv_error *error)
{
    char path[PATH_MAX];
    const char *root = local_path(source);
    if (d->root != NULL) {
        if (realpath(d->root, path) == NULL) {
            return dv_error_set(error, DV_ERR_NOT_FOUND, "%.300s is not there", d->root);
        }
        return dv_remove_open(path, ret_fd, error);
    }
    if (root == NULL) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "%.300s is no folder of this machine: say where its files are with "
                            "--source and --root",
                            source);
    }
    dv_result result = dv_remove_open(root, ret_fd, error);
    const char *slash = strrchr(root, '/');
    struct stat about;
    if (result != DV_ERR_INVALID || slash == NULL || slash == root || lstat(root, &about) != 0 ||
        !S_ISREG(about.st_mode)) {
        return result;
    }
    dv_slice_copy(dv_slice_of(root, (size_t)(slash - root)), path, sizeof(path));
    return dv_remove_open(path, ret_fd, error);
}

/* -- pages of lists ---------------------------------------------------------------------------- */

dv_result dv_disposal_each(dv_disposal_job *d, const char *operation, const json_t *params,
                           dv_disposal_row row, void *data, dv_error *error)
{
    json_t *asked = json_copy((json_t *)(uintptr_t)params), *next = NULL;
    dv_result result = asked != NULL ? DV_OK : DV_ERR_NO_MEMORY;
    do {
        json_t *page = NULL;
        size_t i = 0;
        const json_t *one = NULL;
        result =
            result == DV_OK ? dv_cli_call(d->cli, operation, asked, NULL, &page, error) : result;
        while (result == DV_OK &&
               (one = json_array_get(json_object_get(page, "items"), i++)) != NULL) {
            result = row(d, one, data, error);
        }
        next = json_incref(json_object_get(page, "next"));
        if (next != NULL && json_object_set_new(asked, "cursor", next) != 0) {
            result = DV_ERR_NO_MEMORY;
        }
        json_decref(page);
    } while (result == DV_OK && next != NULL);
    json_decref(asked);
    return result;
}

/* -- the files of a run ------------------------------------------------------------------------ */

typedef struct piece {
    const char *run;
    int root;
    json_t *told;        /* what is sent next */
    const json_t *files; /* of the run */
} piece;

static const char *outcome_state(dv_remove_outcome outcome)
{
    switch (outcome) {
    case DV_REMOVE_DONE:
        return "destroyed";
    case DV_REMOVE_MISSING:
        return "missing";
    case DV_REMOVE_CHANGED:
        return "changed";
    case DV_REMOVE_LINKED:
        return "linked";
    case DV_REMOVE_SAME:
    case DV_REMOVE_FAILED:
        break;
    }
    return "failed";
}

static void mark_of(const piece *p, const json_t *file, char out[DV_REMOVE_MARK_MAX])
{
    (void)snprintf(out, DV_REMOVE_MARK_MAX, "%.40s-%lld", p->run,
                   (long long)json_integer_value(json_object_get(file, "n")));
}

static dv_result add(json_t *told, const json_t *file, const char *state, const char *sha256,
                     const char *why)
{
    json_t *one = json_pack("{s:O, s:s, s:s, s:s}", "n", json_object_get(file, "n"), "state", state,
                            "sha256", sha256, "why", why);
    return json_array_append_new(told, one) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* What a removal that was killed had renamed, and what stays all the same. */
static dv_result give_back(const piece *p, const json_t *file)
{
    char mark[DV_REMOVE_MARK_MAX];
    mark_of(p, file, mark);
    return dv_remove_restore(p->root, text_of(file, "name"), text_of(file, "stamp"), mark);
}

/* That one can't get its name back keeps no other file from its turn. */
static void tell_if_lost(const dv_disposal_job *d, const piece *p, dv_result result)
{
    if (result != DV_OK) {
        fprintf(d->cli->err,
                "a file that is to stay has no name of its own: look for " DV_REMOVE_GIVEN
                "%.40s-* below the source\n",
                p->run);
    }
}

/* The hash of what is about to go. */
static dv_result look_at(const dv_disposal_job *d, piece *p, const json_t *file)
{
    uint8_t hash[DV_SHA256_LEN];
    char mark[DV_REMOVE_MARK_MAX], why[DV_REMOVE_WHY_MAX] = "", text[HASH_TEXT_MAX] = "";
    mark_of(p, file, mark);
    dv_remove_outcome outcome =
        dv_remove_hash(p->root, text_of(file, "name"), text_of(file, "stamp"), mark, hash, why);
    if (outcome != DV_REMOVE_SAME) {
        tell_if_lost(d, p, give_back(p, file)); /* it stays */
        return add(p->told, file, outcome_state(outcome), "", why);
    }
    for (size_t i = 0; i < sizeof(hash); i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", hash[i]);
    }
    return add(p->told, file, "ready", text, "");
}

static const json_t *file_numbered(const piece *p, const json_t *number)
{
    return json_array_get(p->files, (size_t)json_integer_value(number));
}

/* Only what Dvara answers as ready goes; what it keeps gets its name back. */
static dv_result act_on(piece *p, const json_t *answered)
{
    char mark[DV_REMOVE_MARK_MAX], why[DV_REMOVE_WHY_MAX] = "";
    const json_t *file = file_numbered(p, json_object_get(answered, "n"));
    if (file == NULL || !json_equal(json_object_get(file, "n"), json_object_get(answered, "n"))) {
        return DV_ERR_CORRUPT;
    }
    mark_of(p, file, mark);
    if (strcmp(text_of(answered, "state"), "ready") != 0) {
        return strcmp(text_of(answered, "state"), "kept") == 0 ? give_back(p, file) : DV_OK;
    }
    dv_remove_outcome outcome =
        dv_remove_file(p->root, text_of(file, "name"), text_of(file, "stamp"), mark, why);
    return add(p->told, file, outcome_state(outcome), "", why);
}

dv_result dv_disposal_tell(dv_disposal_job *d, const char *run, json_t *items, json_t **ret_answer,
                           dv_error *error)
{
    json_t *params = json_pack("{s:s}", "id", run);
    json_t *body = json_pack("{s:O}", "items", items);
    dv_result result =
        params == NULL || body == NULL
            ? DV_ERR_NO_MEMORY
            : dv_cli_call(d->cli, "data_disposal_tell", params, body, ret_answer, error);
    json_decref(params);
    json_decref(body);
    return result;
}

/* Sends what was told; the answer is the caller's. */
static dv_result send(dv_disposal_job *d, piece *p, json_t **ret_answer, dv_error *error)
{
    dv_result result = dv_disposal_tell(d, p->run, p->told, ret_answer, error);
    json_array_clear(p->told);
    return result;
}

/* Looked at, told, removed, told. */
static dv_result send_piece(dv_disposal_job *d, piece *p, dv_error *error)
{
    size_t i;
    const json_t *one;
    json_t *answer = NULL;
    dv_result result = DV_OK;
    if (json_array_size(p->told) == 0) {
        return DV_OK;
    }
    DV_TRY(send(d, p, &answer, error));
    json_array_foreach(json_object_get(answer, "items"), i, one)
    {
        result = result == DV_OK ? act_on(p, one) : result;
    }
    json_decref(answer);
    answer = NULL;
    dv_result told = json_array_size(p->told) > 0 ? send(d, p, &answer, error) : DV_OK;
    json_decref(answer);
    DV_TRY(told);
    return result != DV_ERR_IO
               ? result
               : dv_error_set(error, result,
                              "a file that is to stay could not be given its name back: look "
                              "for " DV_REMOVE_GIVEN "%.40s-* below the source",
                              p->run);
}

static dv_result work_through(dv_disposal_job *d, piece *p, dv_error *error)
{
    size_t i;
    const json_t *file;
    json_array_foreach(p->files, i, file)
    {
        const char *state = text_of(file, "state");
        if (strcmp(state, "planned") == 0 || strcmp(state, "ready") == 0) {
            DV_TRY(look_at(d, p, file));
        } else if (strcmp(state, "kept") == 0) { /* we were killed between the answer and this */
            tell_if_lost(d, p, give_back(p, file));
        }
        if (json_array_size(p->told) == PIECE) {
            DV_TRY(send_piece(d, p, error));
        }
    }
    return send_piece(d, p, error);
}

static dv_result collect(dv_disposal_job *d, const json_t *row, void *data, dv_error *error)
{
    (void)d;
    (void)error;
    return json_array_append((json_t *)data, (json_t *)(uintptr_t)row) == 0 ? DV_OK
                                                                            : DV_ERR_NO_MEMORY;
}

static bool is_empty(int root)
{
    int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    size_t names = 0;
    if (folder == NULL) {
        dv_fd_close(&fd);
        return false;
    }
    while (names <= 2 && readdir(folder) != NULL) { /* "." and ".." */
        names++;
    }
    (void)closedir(folder);
    return names <= 2;
}

/* Whether a run, which may be an earlier one, is what was asked for, and can go on here. */
static dv_result check_files(const dv_disposal_job *d, const piece *p, dv_error *error)
{
    size_t i;
    const json_t *file;
    json_array_foreach(p->files, i, file)
    {
        const char *state = text_of(file, "state"), *rule = text_of(file, "rule");
        bool ready = strcmp(state, "ready") == 0;
        if (d->rule != NULL && (ready || strcmp(state, "planned") == 0) &&
            strcmp(rule, d->rule) != 0) {
            return dv_error_set(error, DV_ERR_CONFLICT,
                                "the disposal %.40s is not finished and has files of the rule "
                                "%.64s: go on with it without --rule, or give it up with `dvara "
                                "data disposal finish %.40s --abandon`",
                                p->run, rule, p->run);
        }
        if (ready && is_empty(p->root)) {
            return dv_error_set(error, DV_ERR_CONFLICT,
                                "the disposal %.40s was interrupted while it removed files, and "
                                "the folder is empty now: is it mounted? If it is, give the "
                                "disposal up with `dvara data disposal finish %.40s --abandon`",
                                p->run, p->run);
        }
    }
    return DV_OK;
}

static dv_result do_files(dv_disposal_job *d, const char *run, int root, dv_error *error)
{
    json_t *files = json_array(), *told = json_array();
    json_t *params = json_pack("{s:s, s:i}", "id", run, "limit", RUN_FILES);
    piece p = {.run = run, .root = root, .told = told, .files = files};
    dv_result result =
        files == NULL || told == NULL || params == NULL
            ? DV_ERR_NO_MEMORY
            : dv_disposal_each(d, "data_disposal_items", params, collect, files, error);
    if (result == DV_OK) {
        result = check_files(d, &p, error);
    }
    if (result == DV_OK) {
        result = work_through(d, &p, error);
    }
    json_decref(params);
    json_decref(files);
    json_decref(told);
    return result;
}

/* -- runs -------------------------------------------------------------------------------------- */

dv_result dv_disposal_end(dv_disposal_job *d, const char *run, json_t **ret_ended, dv_error *error)
{
    json_t *params = json_pack("{s:s}", "id", run), *body = json_object();
    dv_result result = params == NULL || body == NULL ? DV_ERR_NO_MEMORY
                                                      : dv_cli_call(d->cli, "data_disposal_finish",
                                                                    params, body, ret_ended, error);
    json_decref(params);
    json_decref(body);
    return result;
}

/* *ret_some: there was something to do. */
static dv_result run_once(dv_disposal_job *d, const char *source, int root, bool *ret_some,
                          dv_error *error)
{
    json_t *run = NULL, *ended = NULL;
    json_t *body =
        json_pack("{s:s, s:s*, s:s*}", "source", source, "rule", d->rule, "request", d->request);
    dv_result result = body == NULL
                           ? DV_ERR_NO_MEMORY
                           : dv_cli_call(d->cli, "data_disposal_begin", NULL, body, &run, error);
    json_decref(body);
    DV_TRY(result);
    const char *id = text_of(run, "id");
    *ret_some = id[0] != '\0';
    if (*ret_some && strcmp(text_of(run, "state"), "running") == 0) {
        result = do_files(d, id, root, error);
    }
    if (*ret_some && result == DV_OK) {
        result = dv_disposal_end(d, id, &ended, error);
    }
    if (ended != NULL) {
        json_int_t files = json_integer_value(json_object_get(ended, "files"));
        json_int_t destroyed = json_integer_value(json_object_get(ended, "destroyed"));
        d->left += (uint64_t)(files - destroyed);
        result = json_array_append_new(d->done, ended) == 0 ? result : DV_ERR_NO_MEMORY;
    }
    json_decref(run);
    return result;
}

static dv_result run_source(dv_disposal_job *d, const char *source, dv_error *error)
{
    dv_auto(fd) int root = -1;
    bool some = true;
    DV_TRY(open_root(d, source, &root, error));
    while (some) {
        DV_TRY(run_once(d, source, root, &some, error));
    }
    return DV_OK;
}

/* -- which sources ----------------------------------------------------------------------------- */

typedef struct meant {
    json_t *sources; /* object: source -> how many files */
    uint64_t files;
    uint64_t held; /* files that want an approval and are not asked for by one */
} meant;

bool dv_disposal_goes(const dv_disposal_job *d, const json_t *row)
{
    return strcmp(text_of(row, "status"), "due") == 0 &&
           (d->rule == NULL || strcmp(text_of(row, "rule"), d->rule) == 0) &&
           (d->request != NULL || json_integer_value(json_object_get(row, "approvals")) == 0);
}

/* A file of this machine, or of the source that was named. */
static bool is_here(const dv_disposal_job *d, const json_t *row)
{
    if (strcmp(text_of(row, "kind"), "table") == 0) {
        return false;
    }
    const char *source = text_of(row, "source");
    return d->interest != NULL ? strcmp(source, d->interest) == 0 : local_path(source) != NULL;
}

static dv_result note_source(meant *m, const char *source)
{
    m->files++;
    json_int_t before = json_integer_value(json_object_get(m->sources, source));
    return json_object_size(m->sources) < SOURCES_MAX &&
                   json_object_set_new(m->sources, source, json_integer(before + 1)) == 0
               ? DV_OK
               : DV_ERR_TOO_LARGE;
}

static dv_result note_due(dv_disposal_job *d, const json_t *row, void *data, dv_error *error)
{
    meant *m = data;
    (void)error;
    bool here = is_here(d, row), goes = dv_disposal_goes(d, row);
    m->held += here && !goes && d->request == NULL;
    return here && goes ? note_source(m, text_of(row, "source")) : DV_OK;
}

/* One of another request is not what was asked for. */
static dv_result note_unfinished(dv_disposal_job *d, const json_t *row, void *data, dv_error *error)
{
    (void)error;
    bool other = d->request != NULL && strcmp(text_of(row, "approval"), d->request) != 0;
    bool open = strcmp(text_of(row, "state"), "finished") != 0;
    return is_here(d, row) && open && !other ? note_source(data, text_of(row, "source")) : DV_OK;
}

dv_result dv_disposal_each_due(dv_disposal_job *d, dv_disposal_row row, void *data, dv_error *error)
{
    json_t *params = d->request != NULL
                         ? json_pack("{s:s, s:i}", "id", d->request, "limit", 1000)
                         : json_pack("{s:s, s:i, s:s*, s:s*}", "status", "due", "limit", 1000,
                                     "source", d->interest, "rule", d->rule);
    const char *operation =
        d->request != NULL ? "data_disposal_request_files" : "data_disposal_plan";
    dv_result result = params == NULL ? DV_ERR_NO_MEMORY
                                      : dv_disposal_each(d, operation, params, row, data, error);
    json_decref(params);
    return result;
}

/* Of one that lets nothing go, what it lists would do nothing, unseen. */
static dv_result check_request(const dv_disposal_job *d, dv_error *error)
{
    json_t *shown = NULL, *params = json_pack("{s:s*}", "id", d->request);
    dv_result result = d->request == NULL ? DV_OK
                       : params == NULL   ? DV_ERR_NO_MEMORY
                                        : dv_cli_call(d->cli, "data_disposal_request_show", params,
                                                      NULL, &shown, error);
    const char *status = text_of(shown, "status");
    if (result == DV_OK && shown != NULL && strcmp(status, "approved") != 0 &&
        strcmp(status, "used") != 0) {
        result = dv_error_set(error, DV_ERR_CONFLICT,
                              "the request %.40s is %.16s, and nothing goes by it: `dvara data "
                              "disposal show %.40s`",
                              d->request, status, d->request);
    }
    json_decref(params);
    json_decref(shown);
    return result;
}

static dv_result find_sources(dv_disposal_job *d, meant *m, dv_error *error)
{
    json_t *all = json_object();
    dv_result result = all == NULL ? DV_ERR_NO_MEMORY : dv_disposal_each_due(d, note_due, m, error);
    if (result == DV_OK) {
        result = dv_disposal_each(d, "data_disposal_list", all, note_unfinished, m, error);
    }
    json_decref(all);
    return result;
}

dv_result dv_disposal_confirm(const dv_disposal_job *d, const char *what, dv_error *error)
{
    char line[16] = "";
    if (d->yes) {
        return DV_OK;
    }
    if (isatty(STDIN_FILENO) != 1) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "%s would be destroyed and never come back: --dry-run lists them, "
                            "--yes does it",
                            what);
    }
    fprintf(d->cli->err,
            "%s are destroyed and never come back (--dry-run lists them). Type \"destroy\" to go "
            "on: ",
            what);
    fflush(d->cli->err);
    dv_slice typed = fgets(line, sizeof(line), stdin) != NULL ? dv_slice_trim(dv_slice_str(line))
                                                              : dv_slice_str("");
    return dv_slice_eq_str(typed, "destroy")
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "nothing was destroyed");
}

static dv_result ask(const dv_disposal_job *d, const meant *m, dv_error *error)
{
    char what[64];
    (void)snprintf(what, sizeof(what), "%llu files in %zu sources", (unsigned long long)m->files,
                   json_object_size(m->sources));
    return dv_disposal_confirm(d, what, error);
}

/* -- a dry run --------------------------------------------------------------------------------- */

typedef struct dry {
    char source[PATH_MAX]; /* that is open */
    int root;              /* or -1 */
} dry;

static dv_result tell_would(dv_disposal_job *d, const json_t *row, const char *would,
                            const char *why)
{
    json_t *one =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "would", would, "name", text_of(row, "name"), "rule",
                  text_of(row, "rule"), "why", why, "source", text_of(row, "source"));
    return json_array_append_new(d->done, one) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* It wants an approval, or waits although it has one. */
static dv_result stays(dv_disposal_job *d, const json_t *row)
{
    bool of_rule = d->rule == NULL || strcmp(text_of(row, "rule"), d->rule) == 0;
    d->left += of_rule;
    return of_rule ? tell_would(d, row, "keep", text_of(row, "why")) : DV_OK;
}

static dv_result look_only(dv_disposal_job *d, const json_t *row, void *data, dv_error *error)
{
    dry *state = data;
    char why[DV_REMOVE_WHY_MAX] = "";
    (void)error;
    const char *source = text_of(row, "source");
    if (!is_here(d, row) || strcmp(text_of(row, "status"), "run") == 0) {
        return DV_OK;
    }
    if (!dv_disposal_goes(d, row)) {
        return stays(d, row);
    }
    if (state->root < 0 || strcmp(state->source, source) != 0) {
        dv_fd_close(&state->root);
        dv_error own = {0};
        if (open_root(d, source, &state->root, &own) != DV_OK) { /* others may be there */
            dv_slice_copy(dv_slice_str(own.message), why, sizeof(why));
        }
        dv_slice_copy(dv_slice_str(source), state->source, sizeof(state->source));
    }
    dv_remove_outcome outcome = state->root >= 0 ? dv_remove_look(state->root, text_of(row, "name"),
                                                                  text_of(row, "stamp"), why)
                                                 : DV_REMOVE_FAILED;
    bool goes = outcome == DV_REMOVE_SAME;
    d->left += !goes;
    return tell_would(d, row, goes ? "destroy" : outcome_state(outcome), why);
}

static dv_result dry_run(dv_disposal_job *d, dv_error *error)
{
    dry state = {.root = -1};
    dv_result result = dv_disposal_each_due(d, look_only, &state, error);
    dv_fd_close(&state.root);
    return result;
}

/* -- the command ------------------------------------------------------------------------------- */

dv_result dv_disposal_tell_held(const dv_disposal_job *d, uint64_t held, dv_error *error)
{
    return held == 0 ? DV_OK
                     : dv_error_set(
                           error, DV_ERR_CONFLICT,
                           "%llu files or tables need the approval of somebody else: `dvara data "
                           "disposal request%s%.300s` asks for it, and `dvara data "
                           "disposal run --request ID` destroys what was approved",
                           (unsigned long long)held, d->interest != NULL ? " --source " : "",
                           d->interest != NULL ? d->interest : "");
}

/* One source that is not to be reached keeps no other from its turn. */
static dv_result run_each(dv_disposal_job *d, json_t *sources, dv_error *error)
{
    const char *source = NULL;
    json_t *count = NULL;
    dv_result result = DV_OK;
    json_object_foreach(sources, source, count)
    {
        dv_error own = {0};
        dv_result one = run_source(d, source, &own);
        if (one != DV_OK && result != DV_OK) {
            (void)dv_cli_fail(d->cli, error); /* the last one is told at the end */
        }
        if (one != DV_OK) {
            *error = own;
            error->result = result = one;
        }
    }
    return result;
}

static dv_result run_all(dv_disposal_job *d, dv_error *error)
{
    meant m = {.sources = json_object()};
    dv_result result = m.sources == NULL ? DV_ERR_NO_MEMORY : find_sources(d, &m, error);
    if (result == DV_OK && m.files > 0) {
        result = ask(d, &m, error);
    }
    if (result == DV_OK) {
        result = run_each(d, m.sources, error);
    }
    if (result == DV_OK) {
        result = dv_disposal_tell_held(d, m.held, error);
    }
    json_decref(m.sources);
    return result;
}

static dv_result begin(dv_disposal_job *d, const json_t *params, dv_error *error)
{
    d->interest = json_string_value(json_object_get(params, "source"));
    d->root = json_string_value(json_object_get(params, "root"));
    d->rule = json_string_value(json_object_get(params, "rule"));
    d->request = json_string_value(json_object_get(params, "request"));
    d->database = json_string_value(json_object_get(params, "database"));
    d->try_only = json_is_true(json_object_get(params, "dry_run"));
    d->yes = json_is_true(json_object_get(params, "yes"));
    d->done = json_array();
    if (d->root != NULL && (d->interest == NULL || d->database != NULL)) {
        return dv_error_set(error, DV_ERR_INVALID, "--root needs --source: whose files are there?");
    }
    if (d->database == NULL && d->interest != NULL && dv_scan_is_postgres(d->interest)) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "the source is a database: name it, as whom you may delete there: "
                            "dvara data disposal run postgresql://user@host:5432/database");
    }
    return d->done != NULL ? check_request(d, error) : DV_ERR_NO_MEMORY;
}

static dv_result print(const dv_disposal_job *d)
{
    static const char *const run_columns[] = {"id", "files", "destroyed", "source", NULL};
    static const char *const dry_columns[] = {"would", "name", "rule", "why", "source", NULL};
    json_t *all = json_pack("{s:O}", "items", d->done);
    dv_result result =
        all == NULL ? DV_ERR_NO_MEMORY
        : d->database != NULL
            ? dv_disposal_tables_print(d, all)
            : dv_cli_print(d->cli, all, "items", d->try_only ? dry_columns : run_columns);
    json_decref(all);
    return result;
}

int dv_command_data_disposal_run(dv_cli *cli, const json_t *params)
{
    if (json_object_get(params, "vault") != NULL) {
        return dv_data_disposal_vault(cli, params);
    }
    if (json_is_true(json_object_get(params, "cases"))) {
        return dv_data_disposal_cases(cli, params);
    }
    dv_error error = {0};
    dv_disposal_job d = {.cli = cli};
    dv_result result = begin(&d, params, &error);
    if (result == DV_OK) {
        result = d.database != NULL ? dv_disposal_tables(&d, &error)
                 : d.try_only       ? dry_run(&d, &error)
                                    : run_all(&d, &error);
    }
    if (result == DV_OK || json_array_size(d.done) > 0) { /* also what was done before an error */
        dv_result printed = print(&d);
        result = result == DV_OK ? printed : result;
    }
    json_decref(d.done);
    error.result = result;
    if (result != DV_OK) {
        return dv_cli_fail(cli, &error);
    }
    return d.left == 0 ? DV_EXIT_DONE : DV_EXIT_FAILED;
}
