/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/internal.h"

#include "base/file.h"
#include "crypto/random.h"

#include <limits.h>

/* The key under which API keys are hashed. It lies beside the store, not in it, so that a stolen
 * database alone tells nothing about the keys. Lost, every key must be made anew; so it is never
 * silently replaced once there are keys (start.c). */

static dv_result pepper_path(const dv_services *services, char out[PATH_MAX], dv_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s/keys/pepper", services->state_dir);
    if (len < 0 || len >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the state folder's path is too long");
    }
    return DV_OK;
}

static dv_result pepper_make(const dv_services *services, const char *path, dv_error *error)
{
    uint8_t pepper[DV_PEPPER_LEN];
    char folder[PATH_MAX];
    snprintf(folder, sizeof(folder), "%s/keys", services->state_dir);
    DV_TRY(dv_dir_make(folder, 0700, error));
    dv_random(pepper, sizeof(pepper));
    dv_result result = dv_file_write_atomic(path, dv_slice_of(pepper, sizeof(pepper)), 0600, error);
    dv_wipe(pepper, sizeof(pepper));
    return result;
}

dv_result dv_auth_pepper_read(const dv_services *services, bool make, uint8_t out[DV_PEPPER_LEN],
                              dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(secret_buf) dv_buf bytes = dv_buf_init(DV_PEPPER_LEN + 1);
    DV_TRY(pepper_path(services, path, error));
    dv_result result = dv_file_read(path, &bytes, error);
    if (result == DV_ERR_NOT_FOUND && make) {
        DV_TRY(pepper_make(services, path, error));
        result = dv_file_read(path, &bytes, error);
    }
    DV_TRY(result);
    if (bytes.len != DV_PEPPER_LEN) {
        return dv_error_set(error, DV_ERR_CORRUPT, "%s does not hold %d bytes", path,
                            DV_PEPPER_LEN);
    }
    memcpy(out, bytes.ptr, DV_PEPPER_LEN);
    return DV_OK;
}
