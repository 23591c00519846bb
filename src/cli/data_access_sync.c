/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data access sync`: grants for tables become grants of the database that they are in. It
 * runs where somebody has an account there; dvarad has none. */
#include "api/commands.h"
#include "engine/scan/postgres.h"
#include "engine/scan/postgres_grant.h"

#include <time.h>

enum { SOURCE_MAX = 1024, ROLES_MEMORY = 16 << 20 };

typedef struct sync_run {
    dv_cli *cli;
    const char *url;
    char source[SOURCE_MAX];
    bool try_only;
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

/* *ret_problems: how many are not as they should be. */
static dv_result sync_once(const sync_run *s, size_t *ret_problems, dv_error *error)
{
    dv_pg_grant *grants = NULL;
    size_t count = 0, problems = 0;
    dv_auto(arena) dv_arena *arena = dv_arena_new(ROLES_MEMORY);
    DV_TRY(arena == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(grants_read(s, arena, &grants, &count, error));
    DV_TRY(dv_pg_grants_sync(s->url, grants, count, s->try_only, error));
    for (size_t i = 0; i < count; i++) {
        problems += grants[i].problem[0] != '\0';
    }
    *ret_problems = problems;
    return report(s, grants, count);
}

/* What fails is told once and tried again. */
static dv_result sync_for_ever(const sync_run *s, dv_error *error)
{
    const struct timespec pause = {.tv_sec = 1};
    bool failed = false;
    for (;;) {
        dv_error own = {0};
        size_t problems = 0;
        dv_result result = sync_once(s, &problems, &own);
        if (result == DV_ERR_INVALID || result == DV_ERR_FORBIDDEN || result == DV_ERR_IO ||
            result == DV_ERR_NO_MEMORY) { /* it would go on so */
            *error = own;
            return result;
        }
        bool fails = result != DV_OK || problems > 0;
        if (fails && !failed) {
            fprintf(s->cli->err, "dvara: not all is as it should be, and is tried again: %s\n",
                    result != DV_OK ? own.message : "run it without --follow to see what");
        }
        failed = fails;
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
                  .try_only = json_is_true(json_object_get(params, "dry_run"))};
    dv_result result = begin(&s, params, &error);
    if (result == DV_OK) {
        result = cli->follow ? sync_for_ever(&s, &error) : sync_once(&s, &problems, &error);
    }
    error.result = result;
    if (result != DV_OK) {
        return dv_cli_fail(cli, &error);
    }
    return problems == 0 ? DV_EXIT_DONE : DV_EXIT_FAILED;
}
