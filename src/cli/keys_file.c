/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara key export` and `dvara key import`: a key in a file of the format of age. */
#include "api/commands.h"
#include "base/file.h"
#include "cli/keyring.h"
#include "cli/keys.h"
#include "cli/keystore.h"

enum { FILE_MODE = 0600, SEALED_MAX = 2 * DV_KEY_EXPORT_MAX };

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

static int finish(dv_cli *cli, dv_result result, dv_error *error)
{
    error->result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, error);
}

/* -- export ------------------------------------------------------------------------------------ */

static dv_result to_buf(void *data, dv_slice bytes, dv_error *error)
{
    return dv_buf_append(data, bytes);
}

static dv_result seal_text(const dv_age_lock *lock, dv_slice text, dv_buf *out, dv_error *error)
{
    const dv_age_sink sink = {.put = to_buf, .data = out};
    dv_auto(age_writer) dv_age_writer *writer = NULL;
    DV_TRY(dv_age_writer_new(lock, &sink, &writer, error));
    DV_TRY(dv_age_put(writer, text, error));
    return dv_age_finish(writer, error);
}

/* The journal is saved before the file is there: no export goes untold. */
static dv_result export(dv_cli *cli, const json_t *params, dv_error *error)
{
    const dv_key *key = NULL;
    dv_auto(keystore) dv_keystore *keystore = NULL;
    dv_auto(keyring) dv_keyring ring = {.lock = {.count = 0}};
    dv_auto(secret_buf) dv_buf text = dv_buf_init(DV_KEY_EXPORT_MAX);
    dv_auto(buf) dv_buf sealed = dv_buf_init(SEALED_MAX);
    DV_TRY(dv_keyring_begin(error));
    DV_TRY(dv_cli_keystore_check_inputs(params, error));
    DV_TRY(dv_keyring_lock(&ring, params, error));
    DV_TRY(dv_cli_keystore_open(cli, params, DV_KEYSTORE_CHANGE, &keystore, error));
    DV_TRY(dv_cli_keystore_key(keystore, text_param(params, "name"), &key, error));
    DV_TRY(dv_cli_keystore_unlock(cli, params, keystore, error));
    DV_TRY(dv_keystore_export(keystore, key, dv_time_now(), &text, error));
    DV_TRY(seal_text(&ring.lock, dv_buf_slice(&text), &sealed, error));
    DV_TRY(dv_keystore_save(keystore, error));
    DV_TRY(dv_file_write_new(text_param(params, "file"), dv_buf_slice(&sealed), FILE_MODE, error));
    return dv_key_print(cli, key);
}

int dv_command_key_export(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    return finish(cli, export(cli, params, &error), &error);
}

/* -- import ------------------------------------------------------------------------------------ */

static dv_result from_slice(void *data, uint8_t *out, size_t room, size_t *ret_len, dv_error *error)
{
    dv_slice *rest = data;
    size_t len = DV_MIN(rest->len, room);
    if (len > 0) {
        memcpy(out, rest->ptr, len);
    }
    *rest = dv_slice_sub(*rest, len, rest->len);
    *ret_len = len;
    return DV_OK;
}

static dv_result open_text(const dv_age_lock *lock, dv_slice sealed, dv_buf *out, dv_error *error)
{
    const dv_age_source source = {.get = from_slice, .data = &sealed};
    dv_auto(age_reader) dv_age_reader *reader = NULL;
    size_t len = 1;
    DV_TRY(dv_buf_reserve(out, DV_KEY_EXPORT_MAX));
    DV_TRY(dv_age_reader_new(lock, &source, &reader, error));
    while (len > 0) {
        if (out->len == DV_KEY_EXPORT_MAX) {
            return dv_error_set(error, DV_ERR_TOO_LARGE, "it is too large for a key");
        }
        DV_TRY(dv_age_get(reader, out->ptr + out->len, DV_KEY_EXPORT_MAX - out->len, &len, error));
        out->len += len;
    }
    return DV_OK;
}

static dv_result import(dv_cli *cli, const json_t *params, dv_error *error)
{
    const dv_key *key = NULL;
    dv_auto(keystore) dv_keystore *keystore = NULL;
    dv_auto(keyring) dv_keyring ring = {.lock = {.count = 0}};
    dv_auto(secret_buf) dv_buf text = dv_buf_init(DV_KEY_EXPORT_MAX);
    dv_auto(buf) dv_buf sealed = dv_buf_init(SEALED_MAX);
    DV_TRY(dv_keyring_begin(error));
    DV_TRY(dv_cli_keystore_check_inputs(params, error));
    DV_TRY(dv_keyring_opener(&ring, params, error));
    DV_TRY(dv_file_read(text_param(params, "file"), &sealed, error));
    DV_TRY(open_text(&ring.lock, dv_buf_slice(&sealed), &text, error));
    DV_TRY(dv_cli_keystore_make(cli, params, &keystore, error));
    DV_TRY(dv_keystore_import(keystore, dv_buf_slice(&text),
                              dv_slice_str(text_param(params, "name")), dv_time_now(), &key,
                              error));
    DV_TRY(dv_keystore_save(keystore, error));
    return dv_key_print(cli, key);
}

int dv_command_key_import(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    return finish(cli, import(cli, params, &error), &error);
}
