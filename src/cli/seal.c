/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara encrypt`, `dvara decrypt` and `dvara key rewrap`: need no server. */
#include "api/commands.h"
#include "cli/keyring.h"
#include "cli/keystore.h"
#include "cli/seal_io.h"
#include "crypto/random.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

enum { SECRET = DV_ENVELOPE_SECRET_LEN };

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

static int finish(dv_cli *cli, dv_result result, dv_error *error)
{
    error->result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, error);
}

/* -- encrypt ----------------------------------------------------------------------------------- */

static dv_result too_many(dv_result result, dv_error *error)
{
    return result == DV_ERR_TOO_LARGE
               ? dv_error_set(error, result, "a file has at most %d recipients",
                              DV_ENVELOPE_RECIPIENTS_MAX)
               : result;
}

static dv_result add_recipients(const json_t *list, const uint8_t secret[SECRET],
                                dv_envelope *envelope, dv_error *error)
{
    dv_auto(keyring) dv_keyring ring = {.lock = {.count = 0}};
    DV_TRY(dv_keyring_recipients(&ring, list, error));
    for (size_t i = 0; i < ring.lock.count; i++) {
        dv_result result = dv_envelope_add_x25519(envelope, secret, &ring.keys[i]);
        if (result == DV_ERR_INVALID) {
            return dv_error_set(error, result, "recipient %zu is no key that can be used", i + 1);
        }
        DV_TRY(too_many(result, error));
    }
    return DV_OK;
}

static dv_result add_keys(const dv_cli *cli, const json_t *params, const uint8_t secret[SECRET],
                          dv_envelope *envelope, dv_error *error)
{
    size_t i;
    const json_t *name;
    const dv_key *key = NULL;
    const json_t *names = json_object_get(params, "key");
    dv_auto(keystore) dv_keystore *keystore = NULL;
    DV_TRY(dv_cli_keystore_open(cli, params, DV_KEYSTORE_READ, &keystore, error));
    DV_TRY(dv_cli_keystore_unlock(cli, params, keystore, error));
    if (names == NULL) {
        DV_TRY(dv_cli_keystore_usual(keystore, &key, error));
        return dv_keystore_seal(keystore, key, secret, envelope, error);
    }
    json_array_foreach(names, i, name)
    {
        DV_TRY(dv_cli_keystore_key(keystore, json_string_value(name), &key, error));
        DV_TRY(too_many(dv_keystore_seal(keystore, key, secret, envelope, error), error));
    }
    return DV_OK;
}

static dv_result make_head(const dv_cli *cli, const json_t *params, dv_envelope *envelope,
                           uint8_t secret[SECRET], dv_error *error)
{
    const json_t *recipients = json_object_get(params, "recipient");
    dv_envelope_begin(envelope, secret);
    if (recipients != NULL) {
        DV_TRY(add_recipients(recipients, secret, envelope, error));
    }
    if (recipients == NULL || json_object_get(params, "key") != NULL) {
        DV_TRY(add_keys(cli, params, secret, envelope, error));
    }
    return dv_envelope_bind(envelope, secret, dv_slice_str(text_param(params, "associated_data")));
}

static dv_result check_output(const char *path, dv_error *error)
{
    return strcmp(path, "-") == 0 && isatty(STDOUT_FILENO) == 1
               ? dv_error_set(error, DV_ERR_INVALID,
                              "an encrypted file is nothing for a terminal: say --output FILE")
               : DV_OK;
}

static dv_result encrypt_to(const json_t *params, const dv_envelope *envelope,
                            const uint8_t secret[SECRET], dv_seal_input *input,
                            dv_seal_output *output, dv_error *error)
{
    uint8_t head[DV_ENVELOPE_HEAD] = {0}, key[DV_STREAM_KEY_LEN];
    const dv_stream_source source = {dv_seal_input_get, input};
    const dv_stream_sink sink = {dv_seal_output_put, output};
    DV_TRY(dv_envelope_write(envelope, secret, head));
    DV_TRY(dv_seal_output_put(output, dv_slice_of(head, sizeof(head)), error));
    DV_TRY(dv_envelope_stream_key(envelope, secret, key));
    dv_result result = dv_stream_seal(key, dv_slice_str(text_param(params, "associated_data")),
                                      &source, &sink, error);
    dv_wipe(key, sizeof(key));
    return result;
}

/* A large file takes a while: nothing may be put in place of another file that nobody can read. */
static dv_result check_keys(const dv_cli *cli, const json_t *params, const dv_envelope *envelope,
                            dv_error *error)
{
    dv_auto(keystore) dv_keystore *keystore = NULL;
    for (size_t i = 0; i < envelope->count; i++) {
        const dv_recipient *to = &envelope->recipients[i];
        if (to->kind != DV_RECIPIENT_KEY) {
            continue;
        }
        if (keystore == NULL) {
            DV_TRY(dv_cli_keystore_open(cli, params, DV_KEYSTORE_READ, &keystore, error));
        }
        const dv_key *key = dv_keystore_find_id(keystore, to->key.id);
        const dv_key_version *version =
            key == NULL ? NULL : dv_key_find_version(key, to->key.version);
        if (version == NULL || version->destroyed != 0) {
            return dv_error_set(error, DV_ERR_CONFLICT,
                                "a key was destroyed while the file was encrypted under it: "
                                "nothing was written, encrypt it again");
        }
    }
    return DV_OK;
}

static dv_result encrypt(dv_cli *cli, const json_t *params, uint8_t secret[SECRET], dv_error *error)
{
    dv_envelope envelope;
    dv_auto(seal_input) dv_seal_input input = {.fd = -1};
    dv_auto(seal_output) dv_seal_output output = {.fd = -1};
    const char *path = text_param(params, "output");
    DV_TRY(dv_keyring_begin(error));
    DV_TRY(check_output(path, error));
    DV_TRY(dv_cli_keystore_check_inputs(params, error));
    DV_TRY(dv_seal_input_open(cli, text_param(params, "input"), &input, error));
    DV_TRY(make_head(cli, params, &envelope, secret, error));
    DV_TRY(dv_seal_output_open(path, &output, error));
    DV_TRY(encrypt_to(params, &envelope, secret, &input, &output, error));
    DV_TRY(check_keys(cli, params, &envelope, error));
    return dv_seal_output_finish(&output, error);
}

int dv_command_encrypt(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    uint8_t secret[SECRET];
    dv_result result = encrypt(cli, params, secret, &error);
    dv_wipe(secret, sizeof(secret));
    return finish(cli, result, &error);
}

/* -- decrypt ----------------------------------------------------------------------------------- */

static dv_result open_with_identities(const char *path, const dv_envelope *envelope,
                                      uint8_t ret_secret[SECRET], dv_error *error)
{
    dv_auto(keyring) dv_keyring ring = {.lock = {.count = 0}};
    DV_TRY(dv_keyring_identities(&ring, path, error));
    for (size_t i = 0; i < envelope->count; i++) {
        const dv_recipient *from = &envelope->recipients[i];
        for (size_t k = 0; k < ring.lock.count && from->kind == DV_RECIPIENT_X25519; k++) {
            dv_result result = dv_envelope_open_x25519(envelope, from, &ring.keys[k], ret_secret);
            if (result != DV_ERR_NOT_FOUND) {
                return result == DV_ERR_CORRUPT
                           ? dv_error_set(error, result, "its head was changed")
                           : result;
            }
        }
    }
    return dv_error_set(error, DV_ERR_NOT_FOUND, "it is sealed to none of the keys in %s", path);
}

static dv_result open_with_keystore(const dv_cli *cli, const json_t *params,
                                    const dv_envelope *envelope, uint8_t ret_secret[SECRET],
                                    dv_error *error)
{
    dv_auto(keystore) dv_keystore *keystore = NULL;
    DV_TRY(dv_cli_keystore_open(cli, params, DV_KEYSTORE_READ, &keystore, error));
    DV_TRY(dv_cli_keystore_unlock(cli, params, keystore, error));
    return dv_keystore_unseal(keystore, envelope, ret_secret, error);
}

static dv_result read_head(dv_seal_input *input, uint8_t head[DV_ENVELOPE_HEAD], dv_error *error)
{
    size_t len = 0, got = 1;
    while (len < DV_ENVELOPE_HEAD && got > 0) {
        DV_TRY(dv_seal_input_get(input, head + len, DV_ENVELOPE_HEAD - len, &got, error));
        len += got;
    }
    return len == DV_ENVELOPE_HEAD
               ? DV_OK
               : dv_error_set(error, DV_ERR_CORRUPT, "it is no file that `dvara encrypt` made");
}

static dv_result decrypt_to(const dv_cli *cli, const json_t *params, uint8_t secret[SECRET],
                            dv_seal_input *input, dv_seal_output *output, dv_error *error)
{
    unsigned slot;
    dv_envelope envelope;
    uint8_t head[DV_ENVELOPE_HEAD], key[DV_STREAM_KEY_LEN];
    const char *identities = text_param(params, "identity_file");
    const dv_slice associated = dv_slice_str(text_param(params, "associated_data"));
    const dv_stream_source source = {dv_seal_input_get, input};
    const dv_stream_sink sink = {dv_seal_output_put, output};
    DV_TRY(read_head(input, head, error));
    DV_TRY(dv_envelope_read(head, &envelope, &slot, error));
    DV_TRY(identities != NULL ? open_with_identities(identities, &envelope, secret, error)
                              : open_with_keystore(cli, params, &envelope, secret, error));
    DV_TRY(dv_envelope_check(&envelope, secret, &associated, error));
    DV_TRY(dv_envelope_stream_key(&envelope, secret, key));
    DV_TRY(dv_seal_output_open(text_param(params, "output"), output, error));
    dv_result result = dv_stream_open(key, associated, &source, &sink, error);
    dv_wipe(key, sizeof(key));
    return result;
}

/* The message says which file: what is wrong with it does not. */
static dv_result of_file(dv_result result, const char *name, dv_error *error)
{
    char message[DV_ERROR_MESSAGE_MAX];
    if (result != DV_ERR_CORRUPT && result != DV_ERR_NOT_FOUND && result != DV_ERR_CONFLICT &&
        result != DV_ERR_UNSUPPORTED && result != DV_ERR_FORBIDDEN) {
        return result;
    }
    snprintf(message, sizeof(message), "%s", error->message);
    return dv_error_set(error, result, "%.200s: %s", name, message);
}

static dv_result decrypt(dv_cli *cli, const json_t *params, uint8_t secret[SECRET], dv_error *error)
{
    dv_auto(seal_input) dv_seal_input input = {.fd = -1};
    dv_auto(seal_output) dv_seal_output output = {.fd = -1};
    DV_TRY(dv_keyring_begin(error));
    DV_TRY(dv_cli_keystore_check_inputs(params, error));
    DV_TRY(dv_seal_input_open(cli, text_param(params, "input"), &input, error));
    dv_result result = decrypt_to(cli, params, secret, &input, &output, error);
    DV_TRY(of_file(result, input.name, error));
    return dv_seal_output_finish(&output, error);
}

int dv_command_decrypt(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    uint8_t secret[SECRET];
    dv_result result = decrypt(cli, params, secret, &error);
    dv_wipe(secret, sizeof(secret));
    return finish(cli, result, &error);
}

/* -- rewrap ------------------------------------------------------------------------------------ */

typedef struct rewrapping {
    dv_cli *cli;
    const json_t *params;
    dv_keystore *keystore; /* NULL: none, with --identity-file */
    json_t *rows;
} rewrapping;

/* Seals to a key, once. */
static dv_result seal_to(const rewrapping *r, const dv_key *key, const uint8_t secret[SECRET],
                         const dv_key *done[DV_ENVELOPE_RECIPIENTS_MAX + 1], dv_envelope *after,
                         dv_error *error)
{
    size_t i = 0;
    while (done[i] != NULL && done[i] != key) {
        i++;
    }
    if (done[i] == key) {
        return DV_OK;
    }
    DV_TRY(too_many(dv_keystore_seal(r->keystore, key, secret, after, error), error));
    done[i] = key;
    return DV_OK;
}

/* The same file for new recipients; those that are not keys of this keystore stay. */
static dv_result seal_anew(const rewrapping *r, const dv_envelope *before,
                           const uint8_t secret[SECRET], dv_envelope *after, dv_error *error)
{
    const dv_key *instead = NULL, *done[DV_ENVELOPE_RECIPIENTS_MAX + 1] = {NULL};
    const char *name = text_param(r->params, "key");
    if (name != NULL) {
        DV_TRY(dv_cli_keystore_key(r->keystore, name, &instead, error));
    }
    *after = *before;
    after->count = 0;
    after->generation = before->generation + 1;
    for (size_t i = 0; i < before->count; i++) {
        const dv_recipient *from = &before->recipients[i];
        const dv_key *key =
            r->keystore == NULL ? NULL : dv_keystore_find_recipient(r->keystore, before, from);
        if (key == NULL) {
            after->recipients[after->count++] = *from;
        } else {
            DV_TRY(seal_to(r, instead != NULL ? instead : key, secret, done, after, error));
        }
    }
    return instead != NULL ? seal_to(r, instead, secret, done, after, error) : DV_OK;
}

static dv_result write_slot(int fd, unsigned slot, const uint8_t bytes[DV_ENVELOPE_SLOT],
                            dv_error *error)
{
    ssize_t done = pwrite(fd, bytes, DV_ENVELOPE_SLOT, (off_t)slot * DV_ENVELOPE_SLOT);
    return done == DV_ENVELOPE_SLOT && fdatasync(fd) == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_IO, "its head can not be written: %s", strerror(errno));
}

/* The new head is on the disk before the old one goes. */
static dv_result write_head(int fd, unsigned slot, const dv_envelope *envelope,
                            const uint8_t secret[SECRET], dv_error *error)
{
    uint8_t bytes[DV_ENVELOPE_SLOT];
    DV_TRY(dv_envelope_write(envelope, secret, bytes));
    DV_TRY(write_slot(fd, 1 - slot, bytes, error));
    memset(bytes, 0, sizeof(bytes));
    return write_slot(fd, slot, bytes, error);
}

static dv_result rewrap_fd(const rewrapping *r, int fd, uint8_t secret[SECRET],
                           dv_envelope *ret_after, dv_error *error)
{
    unsigned slot;
    dv_envelope before;
    uint8_t head[DV_ENVELOPE_HEAD];
    const char *identities = text_param(r->params, "identity_file");
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT, "it is being rewrapped by another program");
    }
    if (pread(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head)) {
        return dv_error_set(error, DV_ERR_CORRUPT, "it is no file that `dvara encrypt` made");
    }
    dv_result result = dv_envelope_read(head, &before, &slot, error);
    if (result != DV_ERR_CONFLICT) { /* a rewrap that was cut off */
        DV_TRY(result);
    }
    DV_TRY(identities != NULL ? open_with_identities(identities, &before, secret, error)
                              : dv_keystore_unseal(r->keystore, &before, secret, error));
    DV_TRY(dv_envelope_check(&before, secret, NULL, error));
    DV_TRY(seal_anew(r, &before, secret, ret_after, error));
    return write_head(fd, slot, ret_after, secret, error);
}

static dv_result add_row(rewrapping *r, const char *path, const dv_envelope *envelope)
{
    json_t *keys = json_array();
    for (size_t i = 0; i < envelope->count; i++) {
        const dv_recipient *to = &envelope->recipients[i];
        const dv_key *key = to->kind == DV_RECIPIENT_KEY && r->keystore != NULL
                                ? dv_keystore_find_id(r->keystore, to->key.id)
                                : NULL;
        json_t *text = key != NULL ? json_sprintf("%s v%u", key->name, to->key.version)
                       : to->kind == DV_RECIPIENT_X25519 ? json_string("x25519")
                                                         : json_string("another keystore's");
        json_array_append_new(keys, text);
    }
    json_t *row = json_pack("{s:s, s:I, s:o}", "file", path, "generation",
                            (json_int_t)envelope->generation, "recipients", keys);
    return row != NULL && json_array_append_new(r->rows, row) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result rewrap_file(rewrapping *r, const char *path, dv_error *error)
{
    dv_envelope after;
    uint8_t secret[SECRET];
    dv_auto(fd) int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    dv_result result = rewrap_fd(r, fd, secret, &after, error);
    dv_wipe(secret, sizeof(secret));
    DV_TRY(of_file(result, path, error));
    return add_row(r, path, &after);
}

/* A file that can not be rewrapped does not keep the others from it. */
static dv_result rewrap_all(rewrapping *r, dv_error *error)
{
    size_t i;
    const json_t *path;
    size_t failed = 0;
    json_array_foreach(json_object_get(r->params, "file"), i, path)
    {
        dv_error why = {0};
        why.result = rewrap_file(r, json_string_value(path), &why);
        if (why.result != DV_OK) {
            dv_cli_fail(r->cli, &why);
            failed++;
        }
    }
    return failed == 0 ? DV_OK
                       : dv_error_set(error, DV_ERR_CONFLICT,
                                      "%zu of the files stayed as they were", failed);
}

static dv_result rewrap(rewrapping *r, dv_error *error)
{
    static const char *const columns[] = {"file", "recipients", NULL};
    DV_TRY(dv_keyring_begin(error));
    DV_TRY(dv_cli_keystore_check_inputs(r->params, error));
    dv_result result =
        dv_cli_keystore_open(r->cli, r->params, DV_KEYSTORE_READ, &r->keystore, error);
    if (result != DV_ERR_NOT_FOUND || text_param(r->params, "identity_file") == NULL ||
        text_param(r->params, "key") != NULL) {
        DV_TRY(result);
        DV_TRY(dv_cli_keystore_unlock(r->cli, r->params, r->keystore, error));
    }
    result = rewrap_all(r, error);
    json_t *answer = json_pack("{s:O}", "items", r->rows);
    dv_result printed =
        answer == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(r->cli, answer, "items", columns);
    json_decref(answer);
    return result != DV_OK ? result : printed;
}

int dv_command_key_rewrap(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    rewrapping r = {.cli = cli, .params = params, .rows = json_array()};
    dv_result result = r.rows == NULL ? DV_ERR_NO_MEMORY : rewrap(&r, &error);
    dv_keystore_free(r.keystore);
    json_decref(r.rows);
    return finish(cli, result, &error);
}
