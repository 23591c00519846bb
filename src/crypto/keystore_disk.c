/* SPDX-License-Identifier: Apache-2.0 */
/* A keystore's folder: who may use it when, its root key, and how it is replaced. */
#include "crypto/keystore_private.h"

#include "base/file.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PASSES = 3, /* argon2id, as RFC 9106 section 4 has it for less memory, with more of that */
    MEMORY = 128 << 10,
    FOLDER_MODE = 0700,
    FILE_MODE = 0600,
};

static dv_result path_in(const dv_keystore *keystore, const char *name, char out[PATH_MAX],
                         dv_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", keystore->folder, name);
    return len > 0 && len < PATH_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID, "%s: the path is too long", keystore->folder);
}

/* -- the root key ------------------------------------------------------------------------------ */

static const char root_label[] = "dvara keystore root v1";

static dv_slice root_context(const dv_keystore *keystore, uint8_t room[64])
{
    memcpy(room, root_label, sizeof(root_label));
    memcpy(room + sizeof(root_label), keystore->id, sizeof(keystore->id));
    return dv_slice_of(room, sizeof(root_label) + sizeof(keystore->id));
}

/* The key that seals the root key, of what a person or a file says. */
static dv_result protecting_key(const dv_keystore *keystore, dv_slice secret,
                                uint8_t ret_key[DV_AEAD_KEY_LEN])
{
    if (keystore->protection == DV_KEYSTORE_KEY_FILE) {
        return dv_hkdf(secret, dv_slice_of(keystore->salt, sizeof(keystore->salt)), root_label,
                       ret_key, DV_AEAD_KEY_LEN);
    }
    _Static_assert(DV_KEYSTORE_SALT == crypto_pwhash_argon2id_SALTBYTES, "salt");
    return sodium_init() >= 0 &&
                   crypto_pwhash_argon2id(ret_key, DV_AEAD_KEY_LEN, (const char *)secret.ptr,
                                          secret.len, keystore->salt, keystore->passes,
                                          (size_t)keystore->memory << 10,
                                          crypto_pwhash_argon2id_ALG_ARGON2ID13) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

static dv_result root_aead(const dv_keystore *keystore, dv_slice secret, dv_aead **ret_aead)
{
    uint8_t key[DV_AEAD_KEY_LEN];
    DV_TRY(protecting_key(keystore, secret, key));
    dv_result result = dv_aead_new_portable(key, ret_aead);
    dv_wipe(key, sizeof(key));
    return result;
}

static dv_slice own_id(const dv_keystore *keystore)
{
    return dv_slice_of(keystore->id, sizeof(keystore->id));
}

static dv_result seal_root(dv_keystore *keystore, dv_slice secret, dv_error *error)
{
    uint8_t room[64];
    dv_slice context = root_context(keystore, room);
    dv_slice root = dv_slice_of(keystore->root, sizeof(keystore->root));
    if (keystore->protection == DV_KEYSTORE_TOKEN) {
        DV_TRY(dv_token_open(keystore->token_label, secret, &keystore->token, error));
        DV_TRY(dv_token_generate(keystore->token, own_id(keystore), "dvara keystore", error));
        return dv_token_seal(keystore->token, own_id(keystore), context, root,
                             keystore->sealed_root, error);
    }
    dv_auto(aead) dv_aead *aead = NULL;
    DV_TRY(root_aead(keystore, secret, &aead));
    dv_random(keystore->sealed_root, DV_AEAD_NONCE_LEN);
    return dv_aead_seal(aead, keystore->sealed_root, context, root,
                        keystore->sealed_root + DV_AEAD_NONCE_LEN);
}

static dv_result open_root(dv_keystore *keystore, dv_slice secret, dv_error *error)
{
    uint8_t room[64];
    dv_slice context = root_context(keystore, room);
    dv_slice sealed = dv_slice_of(keystore->sealed_root, sizeof(keystore->sealed_root));
    if (keystore->protection == DV_KEYSTORE_TOKEN) {
        DV_TRY(dv_token_open(keystore->token_label, secret, &keystore->token, error));
        return dv_token_unseal(keystore->token, own_id(keystore), context, sealed, keystore->root,
                               error);
    }
    dv_auto(aead) dv_aead *aead = NULL;
    DV_TRY(root_aead(keystore, secret, &aead));
    if (dv_aead_open(aead, sealed.ptr, context, dv_slice_sub(sealed, DV_AEAD_NONCE_LEN, sealed.len),
                     keystore->root) != DV_OK) {
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            keystore->protection == DV_KEYSTORE_PASSPHRASE
                                ? "that is not the keystore's passphrase"
                                : "that is not the keystore's key file");
    }
    return DV_OK;
}

dv_result dv_keystore_unlock(dv_keystore *keystore, dv_slice secret, dv_error *error)
{
    if (keystore->unlocked) {
        return DV_OK;
    }
    DV_TRY(open_root(keystore, secret, error));
    if (dv_keystore_check_mac(keystore) != DV_OK) {
        dv_wipe(keystore->root, sizeof(keystore->root));
        return dv_error_set(error, DV_ERR_CORRUPT, "%s/keys was changed by somebody else",
                            keystore->folder);
    }
    keystore->unlocked = true;
    return DV_OK;
}

bool dv_keystore_is_unlocked(const dv_keystore *keystore)
{
    return keystore->unlocked;
}

const uint8_t *dv_keystore_id(const dv_keystore *keystore)
{
    return keystore->id;
}

dv_keystore_protection dv_keystore_protected_by(const dv_keystore *keystore)
{
    return keystore->protection;
}

dv_result dv_keystore_check_token(const dv_keystore *keystore, dv_error *error)
{
    return dv_token_check(keystore->token_label, error);
}

const char *dv_keystore_token(const dv_keystore *keystore)
{
    return keystore->token_label;
}

/* -- opening and closing ----------------------------------------------------------------------- */

void dv_keystore_free(dv_keystore *keystore)
{
    if (keystore == NULL) {
        return;
    }
    dv_keystore_clear(keystore);
    dv_buf_wipe(&keystore->text);
    if (keystore->token != NULL) {
        dv_token_free(keystore->token);
    }
    if (keystore->lock >= 0) {
        close(keystore->lock); /* and with it the lock */
    }
    free(keystore->folder);
    dv_wipe(keystore, sizeof(*keystore));
    free(keystore);
}

static dv_result make(const char *folder, dv_keystore **ret_keystore)
{
    dv_keystore *keystore = calloc(1, sizeof(*keystore));
    if (keystore == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    keystore->lock = -1;
    keystore->text = dv_buf_init(DV_KEYSTORE_FILE_MAX);
    keystore->folder = strdup(folder);
    if (keystore->folder == NULL) {
        dv_keystore_free(keystore);
        return DV_ERR_NO_MEMORY;
    }
    *ret_keystore = keystore;
    return DV_OK;
}

/* Whoever else may write there could put keys of their own in the place of ours. Root may use
 * another one's. */
static dv_result check_folder(const char *folder, struct stat *ret_about, dv_error *error)
{
    if (stat(folder, ret_about) != 0) {
        return dv_error_set(error, errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO, "%s: %s", folder,
                            strerror(errno));
    }
    bool ours = ret_about->st_uid == geteuid() || geteuid() == 0;
    if (!S_ISDIR(ret_about->st_mode) || !ours || (ret_about->st_mode & 0077) != 0) {
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            "%s must be a folder of this user with the mode 0700", folder);
    }
    return DV_OK;
}

/* What root makes in another one's folder is that one's; but never a file that has other names
 * elsewhere, which that one could have put there. */
static dv_result hand_over(int fd, const struct stat *folder)
{
    struct stat about;
    if (geteuid() != 0) {
        return DV_OK;
    }
    if (fstat(fd, &about) != 0 || (!S_ISDIR(about.st_mode) && about.st_nlink != 1)) {
        return DV_ERR_IO;
    }
    return fchown(fd, folder->st_uid, folder->st_gid) == 0 ? DV_OK : DV_ERR_IO;
}

static dv_result take_lock(dv_keystore *keystore, bool wait, dv_error *error)
{
    char path[PATH_MAX];
    struct stat about;
    DV_TRY(check_folder(keystore->folder, &about, error));
    DV_TRY(path_in(keystore, "lock", path, error));
    keystore->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (keystore->lock < 0 || hand_over(keystore->lock, &about) != DV_OK ||
        flock(keystore->lock, LOCK_EX | (wait ? 0 : LOCK_NB)) != 0) {
        if (keystore->lock >= 0 && errno == EWOULDBLOCK) {
            return dv_error_set(error, DV_ERR_AGAIN, "%s is being changed", keystore->folder);
        }
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    return DV_OK;
}

/* One who reads without the lock may meet a file that was replaced and overwritten meanwhile. */
static dv_result read_keys(dv_keystore *keystore, dv_error *error)
{
    enum { TRIES = 3 };
    char path[PATH_MAX];
    dv_result result = DV_ERR_CORRUPT;
    DV_TRY(path_in(keystore, "keys", path, error));
    for (int i = 0; i < TRIES && result == DV_ERR_CORRUPT; i++) {
        dv_keystore_clear(keystore);
        dv_buf_clear(&keystore->text);
        DV_TRY(dv_file_read(path, &keystore->text, error));
        result = dv_keystore_parse(dv_buf_slice(&keystore->text), keystore);
    }
    if (result == DV_ERR_UNSUPPORTED) {
        return dv_error_set(error, result, "%s is of a newer Dvara", path);
    }
    return result == DV_ERR_CORRUPT ? dv_error_set(error, result, "%s is damaged", path) : result;
}

dv_result dv_keystore_open(const char *folder, dv_keystore_use use, dv_keystore **ret_keystore,
                           dv_error *error)
{
    struct stat about;
    dv_auto(keystore) dv_keystore *keystore = NULL;
    DV_TRY(make(folder, &keystore));
    DV_TRY(check_folder(folder, &about, error));
    if (use != DV_KEYSTORE_READ) {
        DV_TRY(take_lock(keystore, use == DV_KEYSTORE_CHANGE, error));
    }
    DV_TRY(read_keys(keystore, error));
    *ret_keystore = keystore;
    keystore = NULL;
    return DV_OK;
}

/* -- what unlocks it ----------------------------------------------------------------------------
 */

dv_result dv_keystore_find_secret(const char *folder, dv_keystore_protection protection,
                                  const char *path, dv_buf *out, dv_error *error)
{
    char found[PATH_MAX];
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    if (path != NULL) {
        return dv_file_read_secret(path, out, error);
    }
    if (credentials != NULL &&
        snprintf(found, sizeof(found), "%s/dvara-keystore", credentials) < (int)sizeof(found) &&
        access(found, F_OK) == 0) {
        return dv_file_read_secret(found, out, error);
    }
    if (protection == DV_KEYSTORE_KEY_FILE &&
        snprintf(found, sizeof(found), "%s/unlock.key", folder) < (int)sizeof(found) &&
        access(found, F_OK) == 0) {
        return dv_file_read_secret(found, out, error);
    }
    return DV_ERR_NOT_FOUND;
}

static dv_result make_key_file(const dv_keystore *keystore, dv_buf *out, dv_error *error)
{
    enum { DIGITS = 43 }; /* of 62: 256 bits */
    char path[PATH_MAX], text[DIGITS + 1];
    struct stat folder;
    DV_TRY(path_in(keystore, "unlock.key", path, error));
    DV_TRY(check_folder(keystore->folder, &folder, error));
    dv_random_base62(text, DIGITS);
    text[DIGITS] = '\n';
    dv_auto(fd) int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    dv_result result = fd < 0 || hand_over(fd, &folder) != DV_OK ? DV_ERR_IO : DV_OK;
    if (result == DV_OK) {
        result = dv_fd_write_all(fd, dv_slice_of(text, sizeof(text)));
    }
    if (result == DV_OK && fsync(fd) != 0) {
        result = DV_ERR_IO;
    }
    if (result != DV_OK) {
        result = dv_error_set(error, result, "%s: %s", path, strerror(errno));
    } else {
        result = dv_buf_append(out, dv_slice_of(text, DIGITS));
    }
    dv_wipe(text, sizeof(text));
    return result;
}

/* -- making one -------------------------------------------------------------------------------- */

static dv_result check_secret(dv_keystore_protection protection, dv_slice secret, dv_error *error)
{
    if (protection == DV_KEYSTORE_PASSPHRASE && secret.len < DV_KEYSTORE_SECRET_LEAST) {
        return dv_error_set(error, DV_ERR_INVALID, "a passphrase has at least %d characters",
                            DV_KEYSTORE_SECRET_LEAST);
    }
    if (protection == DV_KEYSTORE_KEY_FILE && secret.len < DV_KEYSTORE_KEY_FILE_LEAST) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "a key file holds one line of at least %d characters",
                            DV_KEYSTORE_KEY_FILE_LEAST);
    }
    return DV_OK;
}

/* The state itself, where nothing was there before. */
static dv_result make_above(const char *folder, dv_error *error)
{
    char above[PATH_MAX];
    struct stat about;
    const char *slash = strrchr(folder, '/');
    if (slash == NULL || slash == folder) {
        return DV_OK;
    }
    snprintf(above, sizeof(above), "%.*s", (int)(slash - folder), folder);
    return stat(above, &about) == 0 ? DV_OK : dv_dir_make(above, FOLDER_MODE, error);
}

/* The folder belongs to whoever the folder above belongs to: the state's owner. */
static dv_result make_folder(const char *folder, dv_error *error)
{
    char above[PATH_MAX];
    struct stat about;
    DV_TRY(make_above(folder, error));
    if (mkdir(folder, FOLDER_MODE) != 0) {
        return errno == EEXIST ? DV_OK
                               : dv_error_set(error, DV_ERR_IO, "%s: %s", folder, strerror(errno));
    }
    snprintf(above, sizeof(above), "%s/..", folder);
    dv_auto(fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fchmod(fd, FOLDER_MODE) != 0 || stat(above, &about) != 0 ||
        hand_over(fd, &about) != DV_OK) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", folder, strerror(errno));
    }
    return DV_OK;
}

/* The keystore's lock is held. */
static dv_result protect(dv_keystore *keystore, dv_slice secret, dv_error *error)
{
    enum { SECRET_MAX = 4096 };
    dv_auto(secret_buf) dv_buf found = dv_buf_init(SECRET_MAX);
    if (keystore->protection == DV_KEYSTORE_KEY_FILE && secret.len == 0) {
        DV_TRY(dv_buf_reserve(&found, SECRET_MAX));
        dv_result result =
            dv_keystore_find_secret(keystore->folder, keystore->protection, NULL, &found, error);
        if (result == DV_ERR_NOT_FOUND) {
            result = make_key_file(keystore, &found, error);
        }
        DV_TRY(result);
        secret = dv_buf_slice(&found);
    }
    DV_TRY(check_secret(keystore->protection, secret, error));
    return seal_root(keystore, secret, error);
}

dv_result dv_keystore_create(const char *folder, dv_keystore_protection protection,
                             const char *token, dv_slice secret, dv_keystore **ret_keystore,
                             dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(keystore) dv_keystore *keystore = NULL;
    if (token != NULL && strlen(token) >= DV_TOKEN_LABEL_MAX) {
        return dv_error_set(error, DV_ERR_INVALID, "a token's label has at most %d bytes",
                            DV_TOKEN_LABEL_MAX - 1);
    }
    DV_TRY(make_folder(folder, error));
    DV_TRY(make(folder, &keystore));
    DV_TRY(take_lock(keystore, true, error));
    DV_TRY(path_in(keystore, "keys", path, error));
    if (access(path, F_OK) == 0) {
        return dv_error_set(error, DV_ERR_EXISTS, "there is a keystore in %s", folder);
    }
    keystore->protection = protection;
    keystore->passes = protection == DV_KEYSTORE_PASSPHRASE ? PASSES : 0;
    keystore->memory = protection == DV_KEYSTORE_PASSPHRASE ? MEMORY : 0;
    if (protection == DV_KEYSTORE_TOKEN) {
        snprintf(keystore->token_label, sizeof(keystore->token_label), "%s", token);
    }
    dv_random(keystore->salt, sizeof(keystore->salt));
    dv_random(keystore->id, sizeof(keystore->id));
    dv_random(keystore->root, sizeof(keystore->root));
    DV_TRY(protect(keystore, secret, error));
    keystore->unlocked = true;
    *ret_keystore = keystore;
    keystore = NULL;
    return DV_OK;
}

/* -- saving ------------------------------------------------------------------------------------ */

/* The file that was replaced, where no other name leads to it: its bytes may stay on the medium
 * for long. What the medium itself keeps of them (snapshots, worn-out flash) is beyond us. */
static void overwrite(int fd)
{
    static const uint8_t zeros[4096];
    struct stat about;
    if (fd < 0 || fstat(fd, &about) != 0 || about.st_nlink != 0) {
        return;
    }
    for (off_t at = 0; at < about.st_size; at += (off_t)sizeof(zeros)) {
        size_t len = DV_MIN(sizeof(zeros), (size_t)(about.st_size - at));
        if (pwrite(fd, zeros, len, at) < 0) {
            return;
        }
    }
    (void)fsync(fd);
}

static dv_result replace(dv_keystore *keystore, const char *path, dv_slice text, dv_error *error)
{
    struct stat folder;
    dv_auto(fd) int old = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    DV_TRY(check_folder(keystore->folder, &folder, error));
    DV_TRY(dv_file_write_atomic(path, text, FILE_MODE, error));
    dv_auto(fd) int written = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (written < 0 || hand_over(written, &folder) != DV_OK) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    if (keystore->shredded) {
        overwrite(old);
    }
    return DV_OK;
}

dv_result dv_keystore_save(dv_keystore *keystore, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(DV_KEYSTORE_FILE_MAX);
    DV_TRY(path_in(keystore, "keys", path, error));
    dv_result result = dv_keystore_format(keystore, &text);
    if (result == DV_ERR_TOO_LARGE) {
        return dv_error_set(error, result, "the keystore is full: make another one");
    }
    DV_TRY(result);
    DV_TRY(replace(keystore, path, dv_buf_slice(&text), error));
    keystore->shredded = false;
    return DV_OK;
}
