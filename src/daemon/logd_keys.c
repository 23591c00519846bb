/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logd_keys.h"

#include "base/codec.h"
#include "base/file.h"
#include "crypto/aead.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "engine/log/spool.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_FILE_MAX = 1024, KEY_MODE = 0600, PUBLIC_MODE = 0644, ORIGIN_DIGITS = 12 };

static dv_result path_in(const char *folder, const char *name, char out[PATH_MAX], dv_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    if (len < 0 || len >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
    }
    return DV_OK;
}

/* -- files of one line ------------------------------------------------------------------------- */

static dv_result check_private(const char *path, dv_error *error)
{
    struct stat about;
    if (lstat(path, &about) != 0) {
        return dv_error_set(error, errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO, "%s: %s", path,
                            strerror(errno));
    }
    if (!S_ISREG(about.st_mode) || about.st_uid != geteuid() || (about.st_mode & 0077) != 0) {
        return dv_error_set(error, DV_ERR_FORBIDDEN, "%s must be ours alone: chmod 600 %s", path,
                            path);
    }
    return DV_OK;
}

static dv_result read_line(const char *path, dv_buf *out, dv_error *error)
{
    DV_TRY(check_private(path, error));
    DV_TRY(dv_file_read(path, out, error));
    out->len = dv_slice_trim(dv_buf_slice(out)).len; /* white space stands only at the end */
    return DV_OK;
}

static dv_result read_hex(const char *folder, const char *name, uint8_t *out, size_t len,
                          dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(secret_buf) dv_buf text = dv_buf_init(KEY_FILE_MAX);
    DV_TRY(path_in(folder, name, path, error));
    DV_TRY(read_line(path, &text, error));
    if (dv_hex_decode(dv_buf_slice(&text), out, len) != DV_OK) {
        return dv_error_set(error, DV_ERR_CORRUPT, "%s holds no key", path);
    }
    return DV_OK;
}

static dv_result write_hex(const char *folder, const char *name, dv_slice key, mode_t mode,
                           dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(secret_buf) dv_buf text = dv_buf_init(KEY_FILE_MAX);
    DV_TRY(path_in(folder, name, path, error));
    DV_TRY(dv_buf_reserve(&text, 2 * key.len + 1));
    DV_TRY(dv_hex_encode(key, &text));
    DV_TRY(dv_buf_append_byte(&text, '\n'));
    return dv_file_write_atomic(path, dv_buf_slice(&text), mode, error);
}

/* -- keys -------------------------------------------------------------------------------------- */

static dv_result complete_signer(dv_tree_signer *signer, const char *origin, dv_error *error)
{
    uint8_t public_key[DV_ED25519_PUBLIC_LEN];
    DV_TRY(dv_ed25519_public(signer->seed, public_key));
    dv_result result = dv_note_verifier_init(origin, public_key, &signer->verifier);
    return result == DV_OK ? DV_OK
                           : dv_error_set(error, DV_ERR_CORRUPT, "the log's origin is no name");
}

static dv_result load_keys(const char *folder, dv_logd_keys *keys, dv_error *error)
{
    char path[PATH_MAX];
    uint8_t box[DV_BOX_PUBLIC_LEN + DV_BOX_SECRET_LEN];
    dv_auto(buf) dv_buf origin = dv_buf_init(KEY_FILE_MAX);
    DV_TRY(read_hex(folder, "signing", keys->signer.seed, sizeof(keys->signer.seed), error));
    dv_result result = read_hex(folder, "box", box, sizeof(box), error);
    if (result == DV_OK) {
        memcpy(keys->box.public_key, box, DV_BOX_PUBLIC_LEN);
        memcpy(keys->box.secret_key, box + DV_BOX_PUBLIC_LEN, DV_BOX_SECRET_LEN);
    }
    dv_wipe(box, sizeof(box));
    DV_TRY(result);
    DV_TRY(path_in(folder, "origin", path, error));
    DV_TRY(read_line(path, &origin, error));
    const char *name = dv_buf_cstr(&origin);
    return name == NULL ? DV_ERR_NO_MEMORY : complete_signer(&keys->signer, name, error);
}

static dv_result save_box(const char *folder, const dv_log_keys *box, dv_error *error)
{
    uint8_t both[DV_BOX_PUBLIC_LEN + DV_BOX_SECRET_LEN];
    memcpy(both, box->public_key, DV_BOX_PUBLIC_LEN);
    memcpy(both + DV_BOX_PUBLIC_LEN, box->secret_key, DV_BOX_SECRET_LEN);
    dv_result result = write_hex(folder, "box", dv_slice_of(both, sizeof(both)), KEY_MODE, error);
    dv_wipe(both, sizeof(both));
    return result;
}

/* "signing" is written last: the keys are there when it is. */
static dv_result make_keys(const char *folder, dv_logd_keys *keys, dv_error *error)
{
    char path[PATH_MAX], id[ORIGIN_DIGITS + 1] = "", origin[64];
    dv_random_base62(id, ORIGIN_DIGITS);
    snprintf(origin, sizeof(origin), "dvara.local/log/%s", id);
    dv_random(keys->signer.seed, sizeof(keys->signer.seed));
    dv_box_keypair(keys->box.public_key, keys->box.secret_key);
    DV_TRY(complete_signer(&keys->signer, origin, error));
    DV_TRY(path_in(folder, "origin", path, error));
    DV_TRY(dv_file_write_atomic(path, dv_slice_str(origin), KEY_MODE, error));
    DV_TRY(save_box(folder, &keys->box, error));
    return write_hex(folder, "signing", dv_slice_of(keys->signer.seed, sizeof(keys->signer.seed)),
                     KEY_MODE, error);
}

dv_result dv_logd_keys_load(const char *state_dir, dv_logd_keys *ret_keys, dv_error *error)
{
    char folder[PATH_MAX], path[PATH_MAX];
    dv_auto(logd_keys) dv_logd_keys keys = {0};
    DV_TRY(path_in(state_dir, "keys/log", folder, error));
    DV_TRY(dv_dir_make(folder, 0700, error));
    DV_TRY(path_in(folder, "signing", path, error));
    if (access(path, F_OK) == 0) {
        DV_TRY(load_keys(folder, &keys, error));
    } else {
        DV_TRY(path_in(state_dir, "log/state", path, error));
        if (access(path, F_OK) == 0) {
            return dv_error_set(error, DV_ERR_NOT_FOUND,
                                "%s holds no keys, but there is a log: restore them", folder);
        }
        DV_TRY(make_keys(folder, &keys, error));
    }
    *ret_keys = keys;
    return DV_OK;
}

void dv_logd_keys_wipe(dv_logd_keys *keys)
{
    dv_wipe(keys, sizeof(*keys));
}

dv_result dv_logd_keys_publish(const dv_logd_keys *keys, const char *state_dir,
                               const char *runtime_dir, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf vkey = dv_buf_init(KEY_FILE_MAX);
    DV_TRY(dv_note_verifier_format(&keys->signer.verifier, &vkey));
    DV_TRY(dv_buf_append_byte(&vkey, '\n'));
    DV_TRY(path_in(state_dir, "log/vkey", path, error));
    DV_TRY(dv_file_write_atomic(path, dv_buf_slice(&vkey), PUBLIC_MODE, error));
    return write_hex(runtime_dir, DV_LOG_KEY_FILE,
                     dv_slice_of(keys->box.public_key, sizeof(keys->box.public_key)), PUBLIC_MODE,
                     error);
}
