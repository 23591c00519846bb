/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data disposal run --vault` and `dvara data vault forget`: remove entries of a vault of
 * tokens, as its one writer. A running Dvara says what is due and writes the certificate. */
#include "cli/data_disposal_vault.h"

#include "api/commands.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "cli/data_read.h"
#include "crypto/random.h"
#include "engine/detect/action/action.h"
#include "engine/detect/action/sealed.h"
#include "engine/detect/action/vault.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINES_MAX = 1000000 };

/* Tokens, sorted once they are all there. */
typedef struct tokens {
    char (*items)[DV_VAULT_TOKEN_LEN];
    size_t count, room;
    size_t missing; /* of what was asked for nothing is there */
} tokens;

typedef struct job {
    dv_cli *cli;
    const char *name; /* as data_vaults has it; NULL: no Dvara knows it */
    dv_vault *vault;
    dv_vault_goes goes;
    const void *data;
    dv_vault_tally tally;
    dv_time until; /* what was made later stays; 0: goes by no time */
    char run[DV_VAULT_RUN_LEN + 1];
    json_t *ended;   /* the run, or NULL */
    json_t *earlier; /* one that was interrupted, and ended now, or NULL */
    bool kept;       /* dvarad said no at the last moment */
    const char *why;
} job;

static void job_release(job *j)
{
    dv_vault_free(j->vault);
    json_decref(j->ended);
    json_decref(j->earlier);
}
DV_DEFINE_AUTO(job, job, job_release)

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static dv_result open_vault(const json_t *params, const char *file, bool write,
                            dv_vault **ret_vault, dv_error *error)
{
    uint8_t key[DV_ACTION_KEY_LEN];
    const char *path = json_string_value(json_object_get(params, "key_file"));
    struct stat about;
    if (path == NULL) {
        return dv_error_set(error, DV_ERR_INVALID, "--key-file is missing: the vault's key");
    }
    if (stat(file, &about) != 0) { /* none is made here: in an empty one nothing is to be found */
        return dv_error_set(error, DV_ERR_NOT_FOUND, "%s: %s", file, strerror(errno));
    }
    DV_TRY(dv_action_key_read(path, key, error));
    dv_result result = dv_vault_open(file, key, write, ret_vault, error);
    dv_wipe(key, sizeof(key));
    /* That entries of earlier versions count from now on is a change of its own. */
    return result == DV_OK && write ? dv_vault_commit(*ret_vault, error) : result;
}

static dv_result ask(dv_cli *cli, uint64_t entries, const char *what, bool yes, dv_error *error)
{
    char line[16] = "";
    if (yes) {
        return DV_OK;
    }
    if (isatty(STDIN_FILENO) != 1) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "%llu entries of %.300s would be destroyed and never come back: --yes "
                            "does it",
                            (unsigned long long)entries, what);
    }
    fprintf(cli->err,
            "%llu entries of %s are destroyed and never come back. Type \"destroy\" to go on: ",
            (unsigned long long)entries, what);
    fflush(cli->err);
    dv_slice typed = fgets(line, sizeof(line), stdin) != NULL ? dv_slice_trim(dv_slice_str(line))
                                                              : dv_slice_str("");
    return dv_slice_eq_str(typed, "destroy")
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "nothing was destroyed");
}

/* -- runs -------------------------------------------------------------------------------------- */

static dv_result call(job *j, const char *operation, json_t *params, json_t *body,
                      json_t **ret_answer, dv_error *error)
{
    dv_result result = params == NULL || body == NULL
                           ? DV_ERR_NO_MEMORY
                           : dv_cli_call(j->cli, operation, params, body, ret_answer, error);
    json_decref(params);
    json_decref(body);
    return result;
}

static json_t *time_json(dv_time time)
{
    char text[DV_TIME_TEXT_MAX];
    dv_time_format(time, text);
    return time > 0 ? json_string(text) : NULL;
}

static dv_result tell(job *j, const char *state, const char *why, json_t **ret_answer,
                      dv_error *error)
{
    const dv_vault_tally *t = &j->tally;
    return call(j, "data_disposal_vault_tell", json_pack("{s:s}", "id", j->run),
                json_pack("{s:s, s:I, s:I, s:o*, s:o*, s:o*, s:s}", "state", state, "entries",
                          (json_int_t)t->going, "remaining", (json_int_t)t->left, "oldest",
                          time_json(t->oldest), "newest", time_json(t->newest), "made_before",
                          time_json(j->until), "why", why),
                ret_answer, error);
}

static dv_result end(job *j, bool abandon, dv_error *error)
{
    json_decref(j->ended);
    j->ended = NULL;
    return call(j, "data_disposal_finish", json_pack("{s:s}", "id", j->run),
                json_pack("{s:b}", "abandon", (int)abandon), &j->ended, error);
}

static dv_result finish(job *j, dv_error *error)
{
    return end(j, false, error);
}

/* What became of a run that was interrupted the vault itself says; where it does not remember as
 * far back, nobody. */
static dv_result settle(job *j, const json_t *earlier, dv_error *error)
{
    dv_time began = 0;
    json_t *answer = NULL;
    const dv_vault_removal *unused = NULL;
    const char *outcome = text_of(earlier, "outcome");
    bool ready = strcmp(outcome, "ready") == 0;
    dv_slice_copy(dv_slice_str(text_of(earlier, "id")), j->run, sizeof(j->run));
    DV_TRY(dv_time_parse(dv_slice_str(text_of(earlier, "started")), &began));
    dv_vault_word says = dv_vault_ask(j->vault, j->run, began, &unused);
    if (ready && says == DV_VAULT_SAYS_NOTHING) {
        return end(j, true, error);
    }
    if (ready || strcmp(outcome, "planned") == 0) {
        bool done = says == DV_VAULT_SAYS_YES;
        dv_result result = tell(j, done ? "destroyed" : "not_done",
                                done ? "" : "the run was interrupted before", &answer, error);
        json_decref(answer);
        DV_TRY(result);
    }
    return finish(j, error);
}

static dv_result call_begin(job *j, bool forget, json_t **ret_run, dv_error *error)
{
    return call(
        j, "data_disposal_vault_begin", json_pack("{s:s}", "name", j->name),
        json_pack("{s:b, s:I}", "forget", (int)forget, "entries", (json_int_t)j->tally.going),
        ret_run, error);
}

/* Begins one of our own; an earlier one is ended first. *ret_cutoff: 0 where there is none. */
static dv_result begin(job *j, bool forget, dv_time *ret_cutoff, dv_error *error)
{
    json_t *run = NULL;
    DV_TRY(call_begin(j, forget, &run, error));
    if (json_is_true(json_object_get(run, "earlier"))) {
        dv_result settled = settle(j, run, error);
        json_decref(run);
        run = NULL;
        DV_TRY(settled);
        DV_TRY(call_begin(j, forget, &run, error));
    }
    dv_slice_copy(dv_slice_str(text_of(run, "id")), j->run, sizeof(j->run));
    *ret_cutoff = 0;
    const char *until = json_string_value(json_object_get(run, "made_before"));
    dv_result result = until == NULL ? DV_OK : dv_time_parse(dv_slice_str(until), ret_cutoff);
    bool ours = !json_is_true(json_object_get(run, "earlier"));
    json_decref(run);
    return result == DV_OK && ours
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "another program removes entries, too");
}

static dv_result rewrite(job *j, dv_error *error)
{
    return dv_vault_rewrite(j->vault, j->goes, j->data, j->run, &j->tally, error);
}

/* Whether dvarad lets it go, now that all is ready. */
static dv_result may_go(job *j, dv_error *error)
{
    json_t *answer = NULL;
    DV_TRY(tell(j, "ready", "", &answer, error));
    j->kept = strcmp(text_of(answer, "outcome"), "ready") != 0;
    if (j->kept) {
        fprintf(j->cli->err, "dvara: nothing was destroyed: %s\n", text_of(answer, "why"));
    }
    json_decref(answer);
    return DV_OK;
}

/* Written anew, told, exchanged, told. An error between leaves the run to the next command. */
static dv_result carry_out(job *j, dv_error *error)
{
    json_t *answer = NULL;
    DV_TRY(rewrite(j, error));
    DV_TRY(may_go(j, error));
    if (j->kept) {
        return finish(j, error);
    }
    DV_TRY(dv_vault_exchange(j->vault, error));
    dv_result result = tell(j, "destroyed", "", &answer, error);
    json_decref(answer);
    DV_TRY(result);
    return finish(j, error);
}

static dv_result print_run(const job *j)
{
    static const char *const columns[] = {"id", "files", "destroyed", "source", NULL};
    json_t *all = json_pack("{s:[O*]}", "items", j->ended);
    dv_result result = all == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(j->cli, all, "items", columns);
    json_decref(all);
    return result;
}

/* -- which vault ------------------------------------------------------------------------------- */

static bool is_same_file(const char *one, const char *other)
{
    struct stat a, b;
    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* The one of that name, or at that file; *ret_row is a new reference, NULL: there is none.
 * *ret_unseen: dvarad sees one that is not seen from here, so that it may be the file all the
 * same.
 */
static dv_result find_vault(dv_cli *cli, const char *name, const char *file, json_t **ret_row,
                            bool *ret_unseen, dv_error *error)
{
    size_t i;
    struct stat about;
    json_t *one, *all = NULL;
    *ret_row = NULL;
    *ret_unseen = false;
    DV_TRY(dv_cli_call(cli, "data_disposal_vaults", NULL, NULL, &all, error));
    json_array_foreach(json_object_get(all, "items"), i, one)
    {
        bool same = name != NULL ? strcmp(text_of(one, "name"), name) == 0
                                 : is_same_file(text_of(one, "file"), file);
        if (same && *ret_row == NULL) {
            *ret_row = json_incref(one);
        }
        *ret_unseen |=
            json_is_true(json_object_get(one, "there")) && stat(text_of(one, "file"), &about) != 0;
    }
    json_decref(all);
    return DV_OK;
}

/* -- by age ------------------------------------------------------------------------------------ */

static bool is_old(const void *data, dv_slice token, dv_time made)
{
    (void)token;
    return made != 0 && made <= *(const dv_time *)data;
}

static dv_result print_dry(job *j, const json_t *row)
{
    static const char *const columns[] = {"would", "entries", "remaining",   "oldest",
                                          "rule",  "why",     "made_before", NULL};
    const char *hold = json_string_value(json_object_get(row, "hold"));
    bool goes = hold == NULL && j->tally.going > 0;
    json_t *all =
        json_pack("{s:[{s:s, s:s, s:I, s:I, s:o*, s:O, s:s, s:O}]}", "items", "vault", j->name,
                  "would", goes ? "destroy" : "keep", "entries", (json_int_t)j->tally.going,
                  "remaining", (json_int_t)j->tally.left, "oldest", time_json(j->tally.oldest),
                  "rule", json_object_get(row, "rule"), "why", hold != NULL ? "a hold" : "",
                  "made_before", json_object_get(row, "made_before"));
    dv_result result = all == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(j->cli, all, "items", columns);
    json_decref(all);
    return result;
}

/* Ends what an earlier command left open, whether anything is due or not. */
static dv_result settle_earlier(job *j, const json_t *row, dv_error *error)
{
    json_t *run = NULL;
    if (text_of(row, "run")[0] == '\0') {
        return DV_OK;
    }
    DV_TRY(call_begin(j, false, &run, error));
    dv_result result =
        json_is_true(json_object_get(run, "earlier")) ? settle(j, run, error) : DV_OK;
    json_decref(run);
    return result;
}

static dv_result remove_old(job *j, const json_t *params, const json_t *row, dv_error *error)
{
    dv_time now = 0;
    const char *until = json_string_value(json_object_get(row, "made_before"));
    DV_TRY(settle_earlier(j, row, error));
    if (until == NULL) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "no rule of data_retention lets entries of the vault %s go", j->name);
    }
    DV_TRY(dv_time_parse(dv_slice_str(until), &j->until));
    j->goes = is_old;
    j->data = &j->until;
    DV_TRY(dv_vault_count_going(j->vault, is_old, &j->until, &j->tally, error));
    if (j->tally.going == 0) {
        return DV_OK;
    }
    DV_TRY(
        ask(j->cli, j->tally.going, j->name, json_is_true(json_object_get(params, "yes")), error));
    DV_TRY(begin(j, false, &now, error));
    j->until = DV_MIN(j->until, now); /* no more than was said and confirmed */
    return carry_out(j, error);
}

static dv_result count_old(job *j, const json_t *row, dv_error *error)
{
    dv_time cutoff = 0;
    const char *until = json_string_value(json_object_get(row, "made_before"));
    DV_TRY(until == NULL ? DV_OK : dv_time_parse(dv_slice_str(until), &cutoff));
    DV_TRY(dv_vault_count_going(j->vault, is_old, &cutoff, &j->tally, error));
    return print_dry(j, row);
}

/* What is for files and tables changes nothing here, and so is not taken. */
static dv_result refuse_others(const json_t *params, dv_error *error)
{
    static const char *const others[] = {"database", "source", "root", "rule", "request"};
    for (size_t i = 0; i < DV_ARRAY_LEN(others); i++) {
        if (json_object_get(params, others[i]) != NULL) {
            return dv_error_set(error, DV_ERR_INVALID,
                                "%s is for files and tables, --vault is for a vault", others[i]);
        }
    }
    return json_is_true(json_object_get(params, "cases"))
               ? dv_error_set(error, DV_ERR_INVALID, "--vault and --cases are two disposals")
               : DV_OK;
}

/* --file is for where the vault has another name: a copy of it is another vault, and what it says
 * of runs is nothing that counts. */
static dv_result check_file(const char *file, const char *known, dv_error *error)
{
    struct stat about;
    return file != NULL && stat(known, &about) == 0 && !is_same_file(file, known)
               ? dv_error_set(error, DV_ERR_CONFLICT,
                              "%.300s is another file than the vault %.300s: leave --file out",
                              file, known)
               : DV_OK;
}

static dv_result run_vault(job *j, const json_t *params, dv_error *error)
{
    json_t *row = NULL;
    j->name = text_of(params, "vault");
    bool unseen = false, dry = json_is_true(json_object_get(params, "dry_run"));
    DV_TRY(refuse_others(params, error));
    DV_TRY(find_vault(j->cli, j->name, NULL, &row, &unseen, error));
    if (row == NULL) {
        return dv_error_set(error, DV_ERR_NOT_FOUND,
                            "data_vaults: of dvara.yaml has no vault %.64s", j->name);
    }
    const char *file = json_string_value(json_object_get(params, "file"));
    dv_result result = check_file(file, text_of(row, "file"), error);
    if (result == DV_OK) {
        result =
            open_vault(params, file != NULL ? file : text_of(row, "file"), !dry, &j->vault, error);
    }
    if (result == DV_OK) {
        result = dry ? count_old(j, row, error) : remove_old(j, params, row, error);
    }
    json_decref(row);
    return result == DV_OK && !dry ? print_run(j) : result;
}

int dv_data_disposal_vault(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    dv_auto(job) job j = {.cli = cli};
    error.result = dv_process_undumpable(); /* keys and values */
    if (error.result == DV_OK) {
        error.result = run_vault(&j, params, &error);
    }
    if (error.result != DV_OK) {
        return dv_cli_fail(cli, &error);
    }
    return j.kept ? DV_EXIT_FAILED : DV_EXIT_DONE;
}

/* -- single people ----------------------------------------------------------------------------- */

static int compare(const void *one, const void *other)
{
    return memcmp(one, other, DV_VAULT_TOKEN_LEN);
}

static bool is_asked(const void *data, dv_slice token, dv_time made)
{
    const tokens *t = data;
    (void)made;
    return t->count > 0 &&
           bsearch(token.ptr, t->items, t->count, sizeof(*t->items), compare) != NULL;
}

static dv_result note_token(tokens *t, dv_slice token)
{
    if (t->count == t->room) {
        size_t room = t->room == 0 ? 64 : 2 * t->room;
        void *items = realloc(t->items, room * sizeof(*t->items));
        if (items == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        t->items = items;
        t->room = room;
    }
    memcpy(t->items[t->count++], token.ptr, DV_VAULT_TOKEN_LEN);
    return DV_OK;
}

/* The token of one line: itself, or that of the value. */
static dv_result read_line(const dv_vault *vault, tokens *t, dv_slice line)
{
    dv_auto(buf) dv_buf token = dv_buf_init(DV_VAULT_TOKEN_LEN + 1);
    dv_result result = dv_vault_known(vault, line, &token);
    if (result == DV_ERR_NOT_FOUND && line.len == DV_VAULT_TOKEN_LEN &&
        dv_vault_is_token(line, 0)) {
        return note_token(t, line);
    }
    t->missing += result == DV_ERR_NOT_FOUND;
    return result == DV_OK ? note_token(t, dv_buf_slice(&token))
                           : (result == DV_ERR_NOT_FOUND ? DV_OK : result);
}

/* That it is "not found" would sound as if nobody could open it. */
static bool is_sealed(dv_slice line)
{
    return line.len > 0 && dv_sealed_length(line, 0) == line.len;
}

static dv_result read_lines(const dv_vault *vault, FILE *in, tokens *t, dv_error *error)
{
    char *line = NULL;
    size_t room = 0, lines = 0;
    ssize_t len = 0;
    dv_result result = DV_OK;
    while (result == DV_OK && (len = getline(&line, &room, in)) >= 0) {
        dv_slice text = dv_slice_of(line, (size_t)len);
        while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r')) {
            text.len--;
        }
        result =
            ++lines > LINES_MAX
                ? dv_error_set(error, DV_ERR_TOO_LARGE, "more than %d lines", LINES_MAX)
            : text.len > DV_VAULT_VALUE_MAX
                ? dv_error_set(error, DV_ERR_TOO_LARGE, "line %zu is longer than any value", lines)
            : is_sealed(text)
                ? dv_error_set(error, DV_ERR_UNSUPPORTED,
                               "line %zu is a token that carries its value (dvs_...): no vault has "
                               "it, and who has the key can open it for as long as the key exists. "
                               "Nothing was removed",
                               lines)
            : text.len == 0 ? DV_OK
                            : read_line(vault, t, text);
    }
    if (line != NULL) {
        dv_wipe(line, room);
        free(line);
    }
    return result == DV_OK && ferror(in) != 0
               ? dv_error_set(error, DV_ERR_IO, "the input can't be read")
               : result;
}

/* Twice the same is asked for once. */
static void sort_tokens(tokens *t)
{
    size_t kept = 0;
    qsort(t->items, t->count, sizeof(*t->items), compare);
    for (size_t i = 0; i < t->count; i++) {
        if (kept == 0 || compare(t->items[kept - 1], t->items[i]) != 0) {
            memmove(t->items[kept++], t->items[i], sizeof(*t->items));
        }
    }
    t->count = kept;
}

static dv_result read_tokens(const json_t *params, const dv_vault *vault, tokens *t,
                             dv_error *error)
{
    FILE *in = NULL;
    DV_TRY(dv_data_open(text_of(params, "input"), &in, error));
    dv_result result = read_lines(vault, in, t, error);
    dv_data_close(in);
    DV_TRY(result);
    if (t->count > 0) {
        sort_tokens(t);
    }
    return DV_OK;
}

/* A vault that no Dvara knows is written anew, and that is all. */
static dv_result forget_alone(job *j, dv_error *error)
{
    dv_uuid id = dv_uuid_new(dv_time_now());
    dv_uuid_format(&id, j->run);
    DV_TRY(rewrite(j, error));
    return dv_vault_exchange(j->vault, error);
}

static dv_result print_forgotten(const job *j, const tokens *t)
{
    json_t *answer =
        json_pack("{s:I, s:I, s:I, s:s*, s:s*}", "forgotten", (json_int_t)j->tally.going,
                  "not_found", (json_int_t)t->missing, "remaining", (json_int_t)j->tally.left,
                  "certificate", j->ended != NULL ? text_of(j->ended, "id") : NULL,
                  "earlier_certificate", j->earlier != NULL ? text_of(j->earlier, "id") : NULL);
    dv_result result = answer == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(j->cli, answer, NULL, NULL);
    json_decref(answer);
    return result;
}

static dv_result forget_in(job *j, const json_t *params, const json_t *row, tokens *t,
                           dv_error *error)
{
    dv_time unused = 0;
    const char *file = text_of(params, "vault");
    DV_TRY(open_vault(params, file, true, &j->vault, error));
    DV_TRY(row != NULL ? settle_earlier(j, row, error) : DV_OK);
    j->earlier = j->ended; /* it says nothing of these people */
    j->ended = NULL;
    DV_TRY(read_tokens(params, j->vault, t, error));
    j->goes = is_asked;
    j->data = t;
    DV_TRY(dv_vault_count_going(j->vault, is_asked, t, &j->tally, error));
    t->missing += t->count - j->tally.going;
    if (j->tally.going == 0) {
        return DV_OK;
    }
    DV_TRY(ask(j->cli, j->tally.going, file, json_is_true(json_object_get(params, "yes")), error));
    if (j->name == NULL) {
        return forget_alone(j, error);
    }
    DV_TRY(begin(j, true, &unused, error));
    return carry_out(j, error);
}

static dv_result forget(job *j, const json_t *params, tokens *t, dv_error *error)
{
    json_t *row = NULL;
    if (!json_is_true(json_object_get(params, "offline"))) {
        bool unseen = false;
        dv_result asked = find_vault(j->cli, NULL, text_of(params, "vault"), &row, &unseen, error);
        if (asked == DV_OK && row == NULL && unseen) {
            return dv_error_set(error, DV_ERR_CONFLICT,
                                "a vault of data_vaults lies where it is not seen from here, and "
                                "may be this one, with a hold: --offline, if it is none of them");
        }
        if (asked == DV_ERR_UNAVAILABLE) {
            return dv_error_set(error, asked,
                                "no Dvara answers that could say whether a hold keeps the vault: "
                                "--offline is for machines without one");
        }
        DV_TRY(asked);
    }
    j->name = row != NULL ? text_of(row, "name") : NULL;
    dv_result result = forget_in(j, params, row, t, error);
    result = result == DV_OK ? print_forgotten(j, t) : result;
    json_decref(row);
    return result;
}

int dv_command_data_vault_forget(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    dv_auto(job) job j = {.cli = cli};
    tokens t = {.items = NULL};
    error.result = dv_process_undumpable(); /* keys and values */
    if (error.result == DV_OK) {
        error.result = forget(&j, params, &t, &error);
    }
    free(t.items);
    if (error.result != DV_OK) {
        return dv_cli_fail(cli, &error);
    }
    return j.kept ? DV_EXIT_FAILED : DV_EXIT_DONE;
}
