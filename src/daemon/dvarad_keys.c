/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/dvarad_keys.h"

#include "base/file.h"
#include "crypto/random.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static dv_result make_key(const char *state_dir, const char *path, dv_error *error)
{
    char store[PATH_MAX];
    uint8_t key[DV_MASTER_KEY_LEN];
    snprintf(store, sizeof(store), "%s/dvara.db", state_dir);
    if (access(store, F_OK) == 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND,
                            "%s is missing, but %s was sealed with it: restore the key", path,
                            store);
    }
    dv_random(key, sizeof(key));
    dv_result result = dv_file_write_atomic(path, dv_slice_of(key, sizeof(key)), 0600, error);
    dv_wipe(key, sizeof(key));
    return result;
}

static dv_result check_file(const char *path, dv_error *error)
{
    struct stat stat;
    if (lstat(path, &stat) != 0) {
        return dv_error_set(error, errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO, "%s: %s", path,
                            strerror(errno));
    }
    if (!S_ISREG(stat.st_mode) || stat.st_uid != geteuid() || (stat.st_mode & 0077) != 0) {
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            "%s must be a regular file of this user with the mode 0600", path);
    }
    return DV_OK;
}

dv_result dv_master_key_load(const char *state_dir, uint8_t ret_key[DV_MASTER_KEY_LEN],
                             dv_error *error)
{
    char folder[PATH_MAX], path[PATH_MAX];
    if (snprintf(folder, sizeof(folder), "%s/keys", state_dir) >= (int)sizeof(folder) ||
        snprintf(path, sizeof(path), "%s/keys/master.key", state_dir) >= (int)sizeof(path)) {
        return dv_error_set(error, DV_ERR_INVALID, "%s: the path is too long", state_dir);
    }
    DV_TRY(dv_dir_make(folder, 0700, error));
    dv_result there = check_file(path, error);
    if (there == DV_ERR_NOT_FOUND) {
        DV_TRY(make_key(state_dir, path, error));
    } else if (there != DV_OK) {
        return there;
    }
    dv_auto(secret_buf) dv_buf key = dv_buf_init(DV_MASTER_KEY_LEN);
    DV_TRY(dv_buf_reserve(&key, DV_MASTER_KEY_LEN));
    DV_TRY(dv_file_read(path, &key, error));
    if (key.len != DV_MASTER_KEY_LEN) {
        return dv_error_set(error, DV_ERR_CORRUPT, "%s must hold %d bytes", path,
                            DV_MASTER_KEY_LEN);
    }
    memcpy(ret_key, key.ptr, DV_MASTER_KEY_LEN);
    return DV_OK;
}

static bool sealed_path(const char *state_dir, char out[PATH_MAX])
{
    return snprintf(out, PATH_MAX, "%s/" DV_STORE_SEALED_NAME, state_dir) < PATH_MAX;
}

/* What can't be told is taken for sealed: then nothing else is adopted. */
bool dv_store_is_sealed(const char *state_dir)
{
    char path[PATH_MAX];
    return !sealed_path(state_dir, path) || access(path, F_OK) == 0 || errno != ENOENT;
}

dv_result dv_store_check_there(const char *state_dir, const char *path, dv_error *error)
{
    struct stat stat;
    bool there = lstat(path, &stat) == 0 && stat.st_size > 0;
    return there || !dv_store_is_sealed(state_dir)
               ? DV_OK
               : dv_error_set(error, DV_ERR_NOT_FOUND,
                              "%s is missing or empty, but there was a store: restore a backup, or "
                              "remove %s/" DV_STORE_SEALED_NAME " to begin with an empty one",
                              path, state_dir);
}

dv_result dv_store_note_sealed(const char *state_dir, dv_error *error)
{
    char path[PATH_MAX];
    return dv_store_is_sealed(state_dir) || !sealed_path(state_dir, path)
               ? DV_OK
               : dv_file_write_atomic(path, DV_LIT("dvara.db is sealed\n"), 0600, error);
}
