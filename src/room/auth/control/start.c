/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/auth_control.h"
#include "room/auth/control/internal.h"

#include "base/file.h"
#include "crypto/random.h"
#include "room/auth/gate/usage.h"

#include <limits.h>

static dv_result path_in(const char *folder, const char *name, char out[PATH_MAX], dv_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    if (len < 0 || len >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path of %s is too long", name);
    }
    return DV_OK;
}

/* --- the first start ------------------------------------------------------------------------- */

static dv_result has_rows(dv_store *store, const char *sql, bool *ret_has, dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(store, &statement, error, sql, ""));
    dv_result result = dv_statement_step(statement, error);
    if (result != DV_OK && result != DV_ERR_NOT_FOUND) {
        return result;
    }
    *ret_has = result == DV_OK;
    return DV_OK;
}

/* Made once. When keys exist and it does not, they can't be checked any more, and making a new one
 * would hide that. */
static dv_result pepper_ensure(dv_services *services, dv_error *error)
{
    bool has_keys = false;
    uint8_t pepper[DV_PEPPER_LEN];
    DV_TRY(has_rows(services->store, "SELECT 1 FROM auth_api_key LIMIT 1", &has_keys, error));
    dv_result result = dv_auth_pepper_read(services, !has_keys, pepper, error);
    dv_wipe(pepper, sizeof(pepper));
    return result == DV_ERR_NOT_FOUND
               ? dv_error_set(error, result,
                              "%s/keys/pepper is missing, without which no API key can be "
                              "checked: restore it from the backup of the store",
                              services->state_dir)
               : result;
}

static dv_result credentials_write(const dv_services *services, const char *key, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(secret_buf) dv_buf text = dv_buf_init(512);
    DV_TRY(path_in(services->state_dir, "admin-credentials", path, error));
    DV_TRY(dv_buf_reserve(&text, 512));
    DV_TRY(dv_buf_append_printf(&text,
                                "# The first administrator's API key. Store it safely, then "
                                "delete this file.\nDVARA_USER=admin\nDVARA_API_KEY=%s\n",
                                key));
    return dv_file_write_atomic(path, dv_buf_slice(&text), 0600, error);
}

/* The file is written before the commit: a crash in between leaves a key that never worked, and the
 * next start makes another. */
static dv_result first_admin(dv_call *call, dv_error *error)
{
    const char *id = NULL;
    char secret[DV_API_KEY_LEN + 1];
    dv_auth_ref admin = {DV_AUTH_USER, "admin"};
    const dv_auth_grant for_good = {0};
    dv_auth_new_key wanted = {admin, "first administrator", DV_TIME_NEVER, ""};
    DV_TRY(dv_auth_entity_insert(call, admin, NULL, NULL, error));
    DV_TRY(dv_audit_account(call, DV_ACCOUNT_CREATE, "User::\"admin\"", NULL, error));
    DV_TRY(dv_auth_assign(call, "admin", admin, &for_good, error));
    DV_TRY(dv_auth_key_make(call, &wanted, secret, &id, error));
    dv_result result = credentials_write(call->services, secret, error);
    dv_wipe(secret, sizeof(secret));
    DV_TRY(result);
    return dv_store_run(call->services->store, error,
                        "INSERT INTO auth_setup (step, done) VALUES ('first-admin', ?1)", "i",
                        call->now);
}

/* A built-in role is made, and brought to what this version says, unless dvara.yaml has taken it
 * over. */
static dv_result builtins_ensure(dv_call *call, dv_error *error)
{
    for (size_t i = 0; i < DV_AUTH_BUILTIN_ROLE_COUNT; i++) {
        const dv_auth_role *builtin = &DV_AUTH_BUILTIN_ROLES[i];
        dv_auth_role old;
        dv_result found =
            dv_auth_role_read(call->services->store, builtin->name, call->arena, &old, error);
        bool overruled = found == DV_OK && strcmp(old.source, "yaml") == 0;
        if (found != DV_OK && found != DV_ERR_NOT_FOUND) {
            return found;
        }
        if (!overruled) {
            DV_TRY(dv_auth_role_put(call, builtin, error));
        }
    }
    return DV_OK;
}

static dv_result setup(dv_call *call, dv_error *error)
{
    bool done = false;
    DV_TRY(builtins_ensure(call, error));
    DV_TRY(has_rows(call->services->store, "SELECT 1 FROM auth_setup WHERE step = 'first-admin'",
                    &done, error));
    return done ? DV_OK : first_admin(call, error);
}

static dv_result usage_make(const dv_services *services, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(usage) dv_usage *usage = NULL;
    DV_TRY(path_in(services->runtime_dir, "usage", path, error));
    return dv_usage_open(path, true, &usage, error);
}

dv_result dv_auth_control_start(dv_services *services, dv_error *error)
{
    dv_call call;
    DV_TRY(pepper_ensure(services, error));
    DV_TRY(usage_make(services, error));
    DV_TRY(dv_auth_catch_up(services, error));
    DV_TRY(dv_call_system(services, &call));
    dv_result result = dv_auth_change(&call, setup, error);
    dv_call_system_end(&call);
    return result;
}

/* --- the last use of keys -------------------------------------------------------------------- */

typedef struct usage_batch {
    dv_services *services;
    dv_time now;
    dv_error *error;
    dv_result result;
} usage_batch;

/* A worker's clock is this machine's: a time to come is not one. */
static void usage_write(void *data, dv_slice id, dv_time time)
{
    usage_batch *batch = data;
    if (batch->result == DV_OK) {
        batch->result = dv_store_run(batch->services->store, batch->error,
                                     "UPDATE auth_api_key SET last_used = ?2 WHERE id = ?1"
                                     " AND coalesce(last_used, 0) < ?2",
                                     "si", id, DV_MIN(time, batch->now));
    }
}

/* What is drained and then can't be written is lost: it is a note, not evidence (usage.h). */
static dv_result usage_collect(dv_services *services, dv_time now, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(usage) dv_usage *usage = NULL;
    usage_batch batch = {services, now, error, DV_OK};
    DV_TRY(path_in(services->runtime_dir, "usage", path, error));
    DV_TRY(dv_usage_open(path, true, &usage, error));
    DV_TRY(dv_store_begin(services->store, error));
    dv_usage_drain(usage, usage_write, &batch);
    dv_result result =
        batch.result == DV_OK ? dv_store_commit(services->store, error) : batch.result;
    if (result != DV_OK) {
        dv_store_rollback(services->store);
    }
    return result;
}

/* What fails keeps the rest from nothing; the last failure is told. */
dv_result dv_auth_control_tick(dv_services *services, dv_time now, dv_error *error)
{
    DV_TRY(dv_auth_catch_up(services, error));
    dv_result swept = dv_auth_grants_sweep(services, error);
    dv_result reviewed = dv_review_tick(services, error);
    dv_result collected = usage_collect(services, now, error);
    swept = reviewed == DV_OK ? swept : reviewed;
    return collected == DV_OK ? swept : collected;
}
