/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_private.h"

#include "base/slice.h"

#include <unistd.h>

dv_result dv_store_copy_path(const char *state_dir, char ret_path[PATH_MAX])
{
    int len = snprintf(ret_path, PATH_MAX, "%s/" DV_STORE_COPY_NAME, state_dir);
    return len > 0 && len < PATH_MAX ? DV_OK : DV_ERR_TOO_LARGE;
}

void dv_store_copy_remove(const char *state_dir)
{
    char path[PATH_MAX];
    if (dv_store_copy_path(state_dir, path) == DV_OK) {
        (void)unlink(path);
    }
}

dv_result dv_store_copy(dv_store *store, const char *path, dv_error *error)
{
    return store->in_transaction ? DV_ERR_INTERNAL
                                 : dv_sqlite_make(store->files, store->db, path, error);
}

dv_result dv_store_check(const char *path, const uint8_t key[DV_STORE_KEY_LEN], bool adopt,
                         dv_error *error)
{
    dv_store *store = NULL;
    DV_TRY(dv_store_open(path, key, adopt, &store, error));
    dv_statement *statement = NULL;
    dv_result result = dv_store_prepare(store, "PRAGMA quick_check(1)", &statement, error);
    if (result == DV_OK) {
        result = dv_statement_step(statement, error);
        dv_slice said = result == DV_OK ? dv_column_slice(statement, 0) : (dv_slice){0};
        if (result == DV_OK && !dv_slice_eq_str(said, "ok")) {
            result = dv_error_set(error, DV_ERR_CORRUPT, "store: %s is damaged: %.*s", path,
                                  DV_SLICE_ARGS(said));
        }
        dv_statement_done(statement);
    }
    dv_store_close(store);
    return result;
}
