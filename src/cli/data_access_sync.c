/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data access sync`: grants for tables become grants of the database that they are in. It
 * runs where somebody has an account there; dvarad has none. */
#include "api/commands.h"
#include "base/buf.h"
#include "engine/scan/postgres.h"
#include "engine/scan/postgres_grant.h"

#include <time.h>

enum { SOURCE_MAX = 1024 + 1, ROLES_MEMORY = 16 << 20, PROBLEMS_MAX = 8 << 20 };

typedef struct sync_run {
    dv_cli *cli;
    const char *url;
    char source[SOURCE_MAX];
    bool try_only;
    dv_buf problems; /* a line each */
    dv_buf told;     /* those that were told last */
} sync_run;

/* What Dvara says; in the arena. */
static dv_result grants_read(const sync_run *s, dv_arena *arena, dv_pg_grant **ret_grants,
                             size_t *ret_count, dv_error *error)
{
    json_t *answer = NULL, *params = json_pack("{s:s}", "source", s->source);
    size_t i;
    const json_t *item;
    dv_result result = dv_cli_call(s->cli, "data_access_roles", params, NULL, &answer, error);
    json_decref(params);
    DV_TRY(result);
    const json_t *items = json_object_get(answer, "items");
    dv_pg_grant *grants = dv_arena_alloc(arena, (json_array_size(items) + 1) * sizeof(*grants));
    result = grants == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    for (i = 0; result == DV_OK && (item = json_array_get(items, i)) != NULL; i++) {
        const char *table = json_string_value(json_object_get(item, "table"));
        const char *role = json_string_value(json_object_get(item, "role"));
        bool is = table != NULL && role != NULL;
        grants[i] = (dv_pg_grant){.table = is ? dv_arena_printf(arena, "%s", table) : NULL,
                                  .role = is ? dv_arena_printf(arena, "%s", role) : NULL,
                                  .wanted = json_is_true(json_object_get(item, "living")),
                                  .done = "none"};
        result = !is                                                 ? DV_ERR_CORRUPT
                 : grants[i].table == NULL || grants[i].role == NULL ? DV_ERR_NO_MEMORY
                                                                     : DV_OK;
    }
    *ret_grants = grants;
    *ret_count = json_array_size(items);
    json_decref(answer);
    return result;
}

static bool is_news(const dv_pg_grant *grant)
{
    return strcmp(grant->done, "granted") == 0 || strcmp(grant->done, "revoked") == 0;
}

/* All of it; when following only what changed. */
static dv_result report(const sync_run *s, const dv_pg_grant *grants, size_t count)
{
    static const char *const columns[] = {"table", "role", "done", "problem", NULL};
    json_t *items = json_array();
    for (size_t i = 0; i < count; i++) {
        bool told = s->cli->follow
                        ? is_news(&grants[i])
                        : is_news(&grants[i]) || grants[i].wanted || grants[i].problem[0] != '\0';
        if (told &&
            json_array_append_new(items, json_pack("{s:s, s:s, s:s, s:s}", "table", grants[i].table,
                                                   "role", grants[i].role, "done", grants[i].done,
                                                   "problem", grants[i].problem)) != 0) {
            json_decref(items);
            return DV_ERR_NO_MEMORY;
        }
    }
    json_t *all = json_pack("{s:o}", "items", items);
    bool print = !s->cli->follow || json_array_size(items) > 0;
    dv_result result = all == NULL ? DV_ERR_NO_MEMORY
                       : print     ? dv_cli_print(s->cli, all, "items", columns)
                                   : DV_OK;
    json_decref(all);
    s->cli->headless = s->cli->follow && print ? true : s->cli->headless;
    return result == DV_OK && fflush(s->cli->out) != 0 ? DV_ERR_IO : result;
}

/* What is beyond their room is not told. Where nothing is known of the database at all, its name
 * may be another one: that is told and no problem. */
static size_t problems_note(sync_run *s, const dv_pg_grant *grants, size_t count)
{
    size_t problems = 0;
    dv_result noted = DV_OK;
    dv_buf_clear(&s->problems);
    for (size_t i = 0; i < count; i++) {
        if (grants[i].problem[0] != '\0') {
            problems++;
            noted = noted != DV_OK
                        ? noted
                        : dv_buf_append_printf(&s->problems, "dvara: %s for %s: %s\n",
                                               grants[i].table, grants[i].role, grants[i].problem);
        }
    }
    if (count == 0) {
        noted = dv_buf_append_printf(&s->problems,
                                     "dvara: no grant ever named a role for a table of %s: `dvara "
                                     "data asset list` says what "
                                     "the database is called, if otherwise (--source)\n",
                                     s->source);
    }
    (void)noted;
    return problems;
}

/* Once, and again when they are others. */
static void problems_tell(sync_run *s)
{
    dv_slice now = dv_buf_slice(&s->problems), before = dv_buf_slice(&s->told);
    if (dv_slice_eq(now, before)) {
        return;
    }
    fprintf(s->cli->err, "%.*s", DV_SLICE_ARGS(now));
    if (now.len == 0) {
        fprintf(s->cli->err, "dvara: all is as it should be again\n");
    }
    dv_buf_clear(&s->told);
    if (dv_buf_append(&s->told, now) != DV_OK) {
        dv_buf_clear(&s->told); /* then they are told once more */
    }
}

/* *ret_problems: how many are not as they should be. */
static dv_result sync_once(sync_run *s, size_t *ret_problems, dv_error *error)
{
    dv_pg_grant *grants = NULL;
    size_t count = 0;
    dv_auto(arena) dv_arena *arena = dv_arena_new(ROLES_MEMORY);
    DV_TRY(arena == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(grants_read(s, arena, &grants, &count, error));
    DV_TRY(dv_pg_grants_sync(s->url, grants, count, s->try_only, error));
    *ret_problems = problems_note(s, grants, count);
    if (count == 0 && !s->cli->follow) {
        problems_tell(s);
    }
    return report(s, grants, count);
}

/* What fails is tried again. */
static dv_result sync_for_ever(sync_run *s, dv_error *error)
{
    const struct timespec pause = {.tv_sec = 1};
    for (;;) {
        dv_error own = {0};
        size_t problems = 0;
        dv_result result = sync_once(s, &problems, &own);
        if (result == DV_ERR_INVALID || result == DV_ERR_FORBIDDEN || result == DV_ERR_IO ||
            result == DV_ERR_NO_MEMORY) { /* it would go on so */
            *error = own;
            return result;
        }
        if (result != DV_OK) {
            dv_buf_clear(&s->problems);
            DV_TRY(
                dv_buf_append_printf(&s->problems, "dvara: %s: it is tried again\n", own.message));
        }
        problems_tell(s);
        nanosleep(&pause, NULL);
    }
}

static dv_result begin(sync_run *s, const json_t *params, dv_error *error)
{
    const char *source = json_string_value(json_object_get(params, "source"));
    if (!dv_scan_is_postgres(s->url)) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "name a database: postgresql://user@host:5432/database");
    }
    DV_TRY(dv_scan_postgres_source(s->url, s->source, sizeof(s->source), error));
    if (source != NULL) {
        dv_slice_copy(dv_slice_str(source), s->source, sizeof(s->source));
    }
    return DV_OK;
}

int dv_command_data_access_sync(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    size_t problems = 0;
    sync_run s = {.cli = cli,
                  .url = json_string_value(json_object_get(params, "database")),
                  .try_only = json_is_true(json_object_get(params, "dry_run")),
                  .problems = dv_buf_init(PROBLEMS_MAX),
                  .told = dv_buf_init(PROBLEMS_MAX)};
    dv_result result = begin(&s, params, &error);
    if (result == DV_OK) {
        result = cli->follow ? sync_for_ever(&s, &error) : sync_once(&s, &problems, &error);
    }
    dv_buf_release(&s.problems);
    dv_buf_release(&s.told);
    error.result = result;
    if (result != DV_OK) {
        return dv_cli_fail(cli, &error);
    }
    return problems == 0 ? DV_EXIT_DONE : DV_EXIT_FAILED;
}
