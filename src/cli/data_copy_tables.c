/* SPDX-License-Identifier: Apache-2.0 */
/* pg_dump writes, the transformer masks, psql reads: one transaction, which is committed by the
 * last line that psql is given. Whatever fails before leaves the target as it was. */
#include "cli/data_copy.h"

#include "cli/program.h"
#include "engine/scan/postgres_copy.h"

#include <stdlib.h>

enum { SQL_MAX = 4 << 20 };

typedef struct piping {
    dv_program *from, *to; /* to: NULL while the copy is looked at */
    dv_error *error;
} piping;

/* ---- before ---- */

dv_result dv_copy_tables_check(dv_copy *copy, dv_error *error)
{
    dv_pg_place source, target;
    DV_TRY(dv_pg_look(copy->source, &source, error));
    DV_TRY(dv_pg_look(copy->target, &target, error));
    if (strcmp(source.identity, target.identity) == 0) {
        return dv_error_set(error, DV_ERR_CONFLICT, "source and target are the same database");
    }
    if (target.objects > 0 && !copy->replace) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the target is not empty: --replace drops all that is in its schemas");
    }
    if (source.user_mappings > 0 &&
        !dv_copy_plan_accepts(copy->plan, DV_LIT("user mappings"), (dv_slice){NULL, 0})) {
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            "the source has accounts on other servers (user mappings), which a "
                            "dump may hold with their passwords: drop them, or --accept 'user "
                            "mappings'");
    }
    copy->large_objects = source.large_objects;
    return DV_OK;
}

/* ---- the programs ---- */

/* Parts of a table come as rows of the whole, so that rules of its name reach them. */
static dv_result start_dump(const char *url, dv_program *program, dv_error *error)
{
    char place[4096 + 16];
    (void)snprintf(place, sizeof(place), "--dbname=%s", url);
    const char *const argv[] = {"pg_dump",
                                place,
                                "--format=plain",
                                "--encoding=UTF8",
                                "--no-password",
                                "--no-owner",
                                "--no-privileges",
                                "--no-publications",
                                "--no-subscriptions",
                                "--no-security-labels",
                                "--no-tablespaces",
                                "-B", /* large objects; its long name differs by version */
                                "--load-via-partition-root",
                                "--lock-wait-timeout=60s",
                                NULL};
    return dv_program_start(argv, false, program, error);
}

/* Its messages are terse: details would repeat values. */
static dv_result start_restore(const char *url, dv_program *program, dv_error *error)
{
    char place[4096 + 16];
    (void)snprintf(place, sizeof(place), "--dbname=%s", url);
    const char *const argv[] = {"psql",
                                place,
                                "--no-psqlrc",
                                "--quiet",
                                "--no-password",
                                "--set=ON_ERROR_STOP=1",
                                "--set=VERBOSITY=terse",
                                "--set=SHOW_CONTEXT=never",
                                "--file=-",
                                NULL};
    return dv_program_start(argv, true, program, error);
}

static dv_result take(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    const piping *p = data;
    return dv_program_read(p->from, out, room, ret_len, p->error);
}

static dv_result give(void *data, dv_slice bytes)
{
    const piping *p = data;
    return dv_program_write(p->to, bytes, p->error);
}

/* ---- the copy ---- */

static dv_result begin(dv_copy *copy, dv_program *to, dv_error *error)
{
    dv_auto(buf) dv_buf sql = dv_buf_init(SQL_MAX);
    DV_TRY(dv_buf_append_str(&sql, "BEGIN;\nSET client_min_messages = warning;\n"));
    if (copy->replace) {
        DV_TRY(dv_pg_emptying(copy->target, &sql, error));
    }
    return dv_program_write(to, dv_buf_slice(&sql), error);
}

/* pg_dump has to have come to its end before anything is committed. */
static dv_result pipe_dump(dv_copy *copy, piping *p, dv_error *error)
{
    const dv_walk_source source = {take, p};
    const dv_transform_sink sink = {give, p};
    DV_TRY(begin(copy, p->to, error));
    DV_TRY(dv_transform_sql(&copy->tools->setup, &source, &sink, &copy->counts, error));
    DV_TRY(dv_program_end(p->from, error));
    if (copy->tools->vault != NULL) { /* before the tokens are out */
        DV_TRY(dv_vault_commit(copy->tools->vault, error));
    }
    DV_TRY(dv_program_write(p->to, DV_LIT("\nCOMMIT;\n"), error));
    return dv_program_end(p->to, error);
}

static dv_result copy_dump(dv_copy *copy, dv_error *error)
{
    dv_program from = {.fd = -1}, to = {.fd = -1};
    piping p = {.from = &from, .to = &to, .error = error};
    DV_TRY(start_dump(copy->source, &from, error));
    dv_result result = start_restore(copy->target, &to, error);
    if (result == DV_OK) {
        result = pipe_dump(copy, &p, error);
    }
    dv_program_stop(&from);
    dv_program_stop(&to);
    return result;
}

/* ---- looking at it ---- */

static dv_result look_at(dv_copy *copy, dv_arena *arena, dv_program *from, dv_error *error)
{
    const dv_transform_watch watch = dv_copy_leaks_look(copy->leaks);
    piping p = {.from = from, .error = error};
    const dv_walk_source source = {take, &p};
    dv_transform_setup setup;
    dv_transform_counts counts;
    DV_TRY(dv_copy_look_setup(copy, &watch, arena, &setup));
    DV_TRY(dv_transform_sql(&setup, &source, &dv_copy_nowhere, &counts, error));
    DV_TRY(dv_program_end(from, error));
    return counts.records == copy->counts.records
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "the copy has %llu rows, %llu were copied",
                              (unsigned long long)counts.records,
                              (unsigned long long)copy->counts.records);
}

static dv_result look(dv_copy *copy, dv_error *error)
{
    dv_program from = {.fd = -1};
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(start_dump(copy->target, &from, error));
    dv_result result = look_at(copy, arena, &from, error);
    dv_program_stop(&from);
    return result;
}

/* What was not looked at to its end may hold anything. */
dv_result dv_copy_tables(dv_copy *copy, dv_error *error)
{
    copy->places = 1;
    /* As our own connections: what the URL says outranks it. */
    if (setenv("PGSSLMINPROTOCOLVERSION", "TLSv1.3", 1) != 0 ||
        setenv("PGAPPNAME", "dvara copy", 1) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(copy_dump(copy, error));
    dv_result result = look(copy, error);
    if (result == DV_OK && dv_copy_leaks_count(copy->leaks) == 0) {
        return DV_OK;
    }
    dv_error why = {0};
    if (dv_pg_empty(copy->target, &why) != DV_OK) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the copy is not what it should be, and could not be dropped (%.200s): "
                            "drop it by hand",
                            why.message);
    }
    return result;
}
