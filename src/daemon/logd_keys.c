/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logd_keys.h"

#include "base/codec.h"
#include "base/file.h"
#include "crypto/aead.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "engine/log/spool.h"

#include <errno.h>
#include <fcntl.h>
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
    if (about.st_uid != geteuid()) {
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            "%s belongs to another user: chown -R %lu:%lu the folders keys/log and "
                            "log of the state directory",
                            path, (unsigned long)geteuid(), (unsigned long)getegid());
    }
    if (!S_ISREG(about.st_mode) || (about.st_mode & 0077) != 0) {
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

/* -- changing the signing key ------------------------------------------------------------------ */

/* "HEX\nNUMBER\n": a seed and what belongs to it. */
static dv_result read_numbered(const char *folder, const char *name, uint8_t seed[32],
                               uint64_t *ret_number, dv_error *error)
{
    char path[PATH_MAX];
    dv_slice hex;
    dv_auto(secret_buf) dv_buf text = dv_buf_init(KEY_FILE_MAX);
    DV_TRY(path_in(folder, name, path, error));
    DV_TRY(read_line(path, &text, error));
    dv_slice rest = dv_buf_slice(&text);
    if (!dv_slice_split(&rest, '\n', &hex) || hex.len != 64 ||
        dv_hex_decode(hex, seed, 32) != DV_OK || dv_decimal_parse(rest, ret_number) != DV_OK) {
        return dv_error_set(error, DV_ERR_CORRUPT, "%s holds no key", path);
    }
    return DV_OK;
}

static dv_result write_numbered(const char *folder, const char *name, const uint8_t seed[32],
                                uint64_t number, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(secret_buf) dv_buf text = dv_buf_init(KEY_FILE_MAX);
    DV_TRY(path_in(folder, name, path, error));
    DV_TRY(dv_buf_reserve(&text, KEY_FILE_MAX / 2));
    DV_TRY(dv_hex_encode(dv_slice_of(seed, 32), &text));
    DV_TRY(dv_buf_append_printf(&text, "\n%llu\n", (unsigned long long)number));
    return dv_file_write_atomic(path, dv_buf_slice(&text), KEY_MODE, error);
}

static dv_result verifier_of(const char *origin, const uint8_t seed[32],
                             dv_note_verifier *ret_verifier)
{
    uint8_t public_key[DV_ED25519_PUBLIC_LEN];
    DV_TRY(dv_ed25519_public(seed, public_key));
    return dv_note_verifier_init(origin, public_key, ret_verifier);
}

/* Overwritten before it is removed: on a disk that writes in place nothing of it is left. */
static bool wipe_file(const char *path)
{
    static const uint8_t zeros[KEY_FILE_MAX];
    dv_auto(fd) int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT; /* another try: only the folder was not synced */
    }
    return dv_fd_write_all(fd, dv_slice_of(zeros, sizeof(zeros))) == DV_OK && fsync(fd) == 0 &&
           unlink(path) == 0;
}

static dv_result destroy(const char *folder, const char *name, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(path_in(folder, name, path, error));
    dv_auto(fd) int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0 || !wipe_file(path) || fsync(folder_fd) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s can not be destroyed: %s", path, strerror(errno));
    }
    return DV_OK;
}

static bool exists(const char *folder, const char *name)
{
    char path[PATH_MAX];
    return path_in(folder, name, path, NULL) == DV_OK && access(path, F_OK) == 0;
}

/* A death came while the file was being destroyed. */
static bool is_wiped(const char *folder, const char *name)
{
    char path[PATH_MAX];
    dv_auto(secret_buf) dv_buf text = dv_buf_init(KEY_FILE_MAX);
    return path_in(folder, name, path, NULL) == DV_OK && dv_file_read(path, &text, NULL) == DV_OK &&
           text.len > 0 && text.ptr[0] == '\0';
}

/* What was left of a change. "signing.old" that holds the key that signs, or the other way round,
 * is a change that a death cut between two files: "signing.next" is still there then. */
static dv_result load_change(const char *folder, dv_logd_keys *keys, dv_error *error)
{
    uint64_t seconds = 0;
    dv_tree_signer *signer = &keys->signer;
    const char *origin = signer->verifier.name;
    static const char *const names[] = {"signing.old", "signing.next"};
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        if (is_wiped(folder, names[i])) {
            DV_TRY(destroy(folder, names[i], error));
        }
    }
    if (exists(folder, "signing.old")) {
        DV_TRY(read_numbered(folder, "signing.old", signer->old_seed, &seconds, error));
        DV_TRY(verifier_of(origin, signer->old_seed, &signer->old_verifier));
        signer->overlaps = memcmp(signer->old_seed, signer->seed, sizeof(signer->seed)) != 0;
        keys->retire_at = (dv_time)DV_MIN(seconds, (uint64_t)(INT64_MAX / DV_SECOND)) * DV_SECOND;
    }
    if (!exists(folder, "signing.next")) {
        return DV_OK;
    }
    DV_TRY(read_numbered(folder, "signing.next", keys->next_seed, &keys->next_from, error));
    DV_TRY(verifier_of(origin, keys->next_seed, &keys->next));
    keys->changing = memcmp(keys->next_seed, signer->seed, sizeof(signer->seed)) != 0;
    return keys->changing ? DV_OK : destroy(folder, "signing.next", error);
}

static dv_result keys_folder(const char *state_dir, char out[PATH_MAX], dv_error *error)
{
    return path_in(state_dir, "keys/log", out, error);
}

dv_result dv_logd_keys_begin(const char *state_dir, uint64_t size, dv_logd_keys *keys,
                             dv_error *error)
{
    char folder[PATH_MAX];
    DV_TRY(keys_folder(state_dir, folder, error));
    if (!keys->changing) {
        dv_random(keys->next_seed, sizeof(keys->next_seed));
    }
    DV_TRY(verifier_of(keys->signer.verifier.name, keys->next_seed, &keys->next));
    DV_TRY(write_numbered(folder, "signing.next", keys->next_seed, size, error));
    keys->next_from = size;
    keys->changing = true;
    return DV_OK;
}

dv_result dv_logd_keys_change(const char *state_dir, dv_time retire_at, dv_logd_keys *keys,
                              dv_error *error)
{
    char folder[PATH_MAX];
    dv_tree_signer *signer = &keys->signer;
    DV_TRY(keys_folder(state_dir, folder, error));
    DV_TRY(write_numbered(folder, "signing.old", signer->seed, (uint64_t)(retire_at / DV_SECOND),
                          error));
    DV_TRY(write_hex(folder, "signing", dv_slice_of(keys->next_seed, sizeof(keys->next_seed)),
                     KEY_MODE, error));
    memcpy(signer->old_seed, signer->seed, sizeof(signer->seed));
    memcpy(signer->seed, keys->next_seed, sizeof(signer->seed));
    signer->old_verifier = signer->verifier;
    signer->verifier = keys->next;
    signer->overlaps = true;
    keys->retire_at = retire_at;
    keys->changing = false;
    dv_wipe(keys->next_seed, sizeof(keys->next_seed));
    return destroy(folder, "signing.next", error);
}

dv_result dv_logd_keys_retire(const char *state_dir, dv_logd_keys *keys, dv_error *error)
{
    char folder[PATH_MAX];
    DV_TRY(keys_folder(state_dir, folder, error));
    DV_TRY(destroy(folder, "signing.old", error));
    dv_wipe(keys->signer.old_seed, sizeof(keys->signer.old_seed));
    keys->signer.overlaps = false;
    return DV_OK;
}

/* -- loading and making ------------------------------------------------------------------------ */

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
        DV_TRY(load_change(folder, &keys, error));
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

dv_result dv_logd_keys_vkeys(const dv_logd_keys *keys, dv_buf *out)
{
    DV_TRY(dv_note_verifier_format(&keys->signer.verifier, out));
    DV_TRY(dv_buf_append_byte(out, '\n'));
    if (keys->signer.overlaps) {
        DV_TRY(dv_note_verifier_format(&keys->signer.old_verifier, out));
        DV_TRY(dv_buf_append_byte(out, '\n'));
    }
    return DV_OK;
}

dv_result dv_logd_keys_publish(const dv_logd_keys *keys, const char *state_dir,
                               const char *runtime_dir, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf vkey = dv_buf_init(KEY_FILE_MAX);
    DV_TRY(dv_logd_keys_vkeys(keys, &vkey));
    DV_TRY(path_in(state_dir, "log/vkey", path, error));
    DV_TRY(dv_file_write_atomic(path, dv_buf_slice(&vkey), PUBLIC_MODE, error));
    return write_hex(runtime_dir, DV_LOG_KEY_FILE,
                     dv_slice_of(keys->box.public_key, sizeof(keys->box.public_key)), PUBLIC_MODE,
                     error);
}
