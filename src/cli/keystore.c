/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/keystore.h"

#include "cli/secret.h"

#include <unistd.h>

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

char *dv_cli_keystore_folder(const dv_cli *cli, const json_t *params)
{
    char *path = NULL;
    const char *said = text_param(params, "keystore");
    if (said != NULL) {
        return strdup(said);
    }
    return asprintf(&path, "%s/keystore", cli->state_dir) >= 0 ? path : NULL;
}

dv_result dv_cli_keystore_open(const dv_cli *cli, const json_t *params, dv_keystore_use use,
                               dv_keystore **ret_keystore, dv_error *error)
{
    dv_auto(free) char *folder = dv_cli_keystore_folder(cli, params);
    if (folder == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_keystore_open(folder, use, ret_keystore, error);
    return result == DV_ERR_NOT_FOUND
               ? dv_error_set(error, result,
                              "there is no keystore in %s: `dvara key generate` makes one, "
                              "--keystore and --state name another",
                              folder)
               : result;
}

/* Whatever reads it first would leave nothing to the other: an empty file would be encrypted. */
dv_result dv_cli_keystore_check_inputs(const json_t *params, dv_error *error)
{
    static const char *const names[][2] = {{"input", "input"},
                                           {"identity_file", "identity-file"},
                                           {"passphrase_file", "passphrase-file"},
                                           {"unlock_file", "unlock-file"}};
    const char *first = NULL;
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        const char *path = text_param(params, names[i][0]);
        if (path == NULL || strcmp(path, "-") != 0) {
            continue;
        }
        if (first != NULL) {
            return dv_error_set(error, DV_ERR_INVALID,
                                "--%s and --%s can not both be standard input", first, names[i][1]);
        }
        first = names[i][1];
    }
    return DV_OK;
}

/* -- unlocking --------------------------------------------------------------------------------- */

static const char *secret_name(dv_keystore_protection protection)
{
    switch (protection) {
    case DV_KEYSTORE_PASSPHRASE:
        return "passphrase of the keystore";
    case DV_KEYSTORE_TOKEN:
        return "PIN of the token";
    default:
        return "key of the keystore";
    }
}

/* A person is asked last. */
static dv_result find_secret(const char *folder, dv_keystore_protection protection,
                             const json_t *params, dv_buf *out, dv_error *error)
{
    const char *path = text_param(params, "unlock_file");
    if (path != NULL && strcmp(path, "-") == 0) {
        return dv_secret_read(path, out, error);
    }
    DV_TRY(dv_buf_reserve(out, DV_SECRET_MAX));
    dv_result result = dv_keystore_find_secret(folder, protection, path, out, error);
    if (result != DV_ERR_NOT_FOUND || path != NULL) {
        return result;
    }
    if (access("/dev/tty", R_OK | W_OK) != 0 ||
        dv_secret_ask(secret_name(protection), out, error) != DV_OK) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "--unlock-file is missing: a file with the %s, or - for standard input",
                            secret_name(protection));
    }
    return DV_OK;
}

dv_result dv_cli_keystore_unlock(const dv_cli *cli, const json_t *params, dv_keystore *keystore,
                                 dv_error *error)
{
    dv_auto(secret_buf) dv_buf secret = dv_buf_init(DV_SECRET_MAX);
    dv_auto(free) char *folder = dv_cli_keystore_folder(cli, params);
    if (folder == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (dv_keystore_is_unlocked(keystore)) {
        return DV_OK;
    }
    DV_TRY(find_secret(folder, dv_keystore_protected_by(keystore), params, &secret, error));
    return dv_keystore_unlock(keystore, dv_buf_slice(&secret), error);
}

/* -- making one -------------------------------------------------------------------------------- */

static dv_keystore_protection protection_of(const json_t *params)
{
    const char *said = text_param(params, "protect");
    if (said == NULL) {
        return text_param(params, "token") != NULL ? DV_KEYSTORE_TOKEN : DV_KEYSTORE_KEY_FILE;
    }
    return strcmp(said, "passphrase") == 0 ? DV_KEYSTORE_PASSPHRASE
           : strcmp(said, "token") == 0    ? DV_KEYSTORE_TOKEN
                                           : DV_KEYSTORE_KEY_FILE;
}

/* A new passphrase is typed twice: what was mistyped would open nothing. */
static dv_result confirm(const json_t *params, dv_keystore_protection protection, dv_slice secret,
                         dv_error *error)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    dv_auto(secret_buf) dv_buf again = dv_buf_init(DV_SECRET_MAX);
    if (protection != DV_KEYSTORE_PASSPHRASE || credentials != NULL ||
        text_param(params, "unlock_file") != NULL) {
        return DV_OK;
    }
    DV_TRY(dv_secret_ask("the passphrase again", &again, error));
    return dv_slice_eq(secret, dv_buf_slice(&again))
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID, "the two passphrases are not the same");
}

static dv_result create(const json_t *params, const char *folder, dv_keystore **ret_keystore,
                        dv_error *error)
{
    dv_keystore_protection protection = protection_of(params);
    const char *token = text_param(params, "token");
    dv_auto(secret_buf) dv_buf secret = dv_buf_init(DV_SECRET_MAX);
    if ((protection == DV_KEYSTORE_TOKEN) != (token != NULL)) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "--protect token wants --token with its label, and the other way "
                            "round");
    }
    if (protection != DV_KEYSTORE_KEY_FILE || text_param(params, "unlock_file") != NULL) {
        DV_TRY(find_secret(folder, protection, params, &secret, error));
        DV_TRY(confirm(params, protection, dv_buf_slice(&secret), error));
    }
    return dv_keystore_create(folder, protection, token, dv_buf_slice(&secret), ret_keystore,
                              error);
}

/* Whether --protect or --token say another one than what is there. */
static bool is_another(const json_t *params, const dv_keystore *keystore)
{
    const char *token = text_param(params, "token");
    bool said = token != NULL || text_param(params, "protect") != NULL;
    return said && (protection_of(params) != dv_keystore_protected_by(keystore) ||
                    (token != NULL && strcmp(token, dv_keystore_token(keystore)) != 0));
}

dv_result dv_cli_keystore_make(const dv_cli *cli, const json_t *params, dv_keystore **ret_keystore,
                               dv_error *error)
{
    dv_auto(free) char *folder = dv_cli_keystore_folder(cli, params);
    if (folder == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_keystore_open(folder, DV_KEYSTORE_CHANGE, ret_keystore, error);
    if (result == DV_ERR_NOT_FOUND) {
        return create(params, folder, ret_keystore, error);
    }
    DV_TRY(result);
    if (is_another(params, *ret_keystore)) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the keystore in %s is there already, opened by the %s: leave "
                            "--protect and --token out, or name another with --keystore",
                            folder, secret_name(dv_keystore_protected_by(*ret_keystore)));
    }
    return dv_cli_keystore_unlock(cli, params, *ret_keystore, error);
}

/* -- keys -------------------------------------------------------------------------------------- */

dv_result dv_cli_keystore_key(const dv_keystore *keystore, const char *name, const dv_key **ret_key,
                              dv_error *error)
{
    const dv_key *key = dv_keystore_find(keystore, dv_slice_str(name));
    if (key == NULL) {
        return dv_error_set(error, DV_ERR_NOT_FOUND,
                            "there is no key called '%.64s': see `dvara key list`", name);
    }
    *ret_key = key;
    return DV_OK;
}

dv_result dv_cli_keystore_usual(const dv_keystore *keystore, const dv_key **ret_key,
                                dv_error *error)
{
    const dv_key *found = NULL;
    size_t count = 0;
    for (size_t i = 0; i < dv_keystore_count(keystore); i++) {
        const dv_key *key = dv_keystore_at(keystore, i);
        if (key->type == DV_KEY_AES256 && dv_key_active(key) != NULL) {
            bool first = count++ == 0;
            found = first || strcmp(key->name, "main") == 0 ? key : found;
        }
    }
    if (count == 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND,
                            "the keystore has no key that encrypts: `dvara key generate` makes "
                            "one, `dvara key rotate` makes a new version");
    }
    if (count > 1 && strcmp(found->name, "main") != 0) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "there are several keys and none is called main: say --key");
    }
    *ret_key = found;
    return DV_OK;
}
