/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara key generate|list|rotate|destroy`: need no server. */
#include "cli/keys.h"
#include "api/commands.h"
#include "base/codec.h"
#include "cli/keyring.h"
#include "cli/keystore.h"

#include <unistd.h>

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

/* -- telling ----------------------------------------------------------------------------------- */

static json_t *time_json(dv_time time)
{
    char text[DV_TIME_TEXT_MAX];
    return json_stringn(text, dv_time_format(time, text));
}

static json_t *id_json(const dv_key *key)
{
    dv_auto(buf) dv_buf hex = dv_buf_init(2 * sizeof(key->id) + 1);
    return dv_hex_encode(dv_slice_of(key->id, sizeof(key->id)), &hex) == DV_OK
               ? json_stringn((const char *)hex.ptr, hex.len)
               : NULL;
}

static const char *version_state(const dv_key *key, const dv_key_version *version)
{
    return version->destroyed != 0         ? "destroyed"
           : version == dv_key_active(key) ? "active"
                                           : "decrypts";
}

static json_t *version_json(const dv_key *key, const dv_key_version *version)
{
    char recipient[DV_AGE_TEXT_MAX];
    dv_age_key half;
    json_t *json = json_pack("{s:I, s:s, s:o}", "version", (json_int_t)version->number, "state",
                             version_state(key, version), "created", time_json(version->created));
    if (json != NULL && version->destroyed != 0) {
        json_object_set_new(json, "destroyed", time_json(version->destroyed));
    }
    if (json != NULL && key->type == DV_KEY_X25519) {
        memcpy(half.bytes, version->recipient, sizeof(half.bytes));
        dv_age_recipient_format(&half, recipient);
        json_object_set_new(json, "recipient", json_string(recipient));
    }
    return json;
}

json_t *dv_key_json(const dv_key *key)
{
    const dv_key_version *newest = &key->versions[key->count - 1];
    json_t *versions = json_array();
    for (size_t i = 0; i < key->count; i++) {
        json_array_append_new(versions, version_json(key, &key->versions[i]));
    }
    json_t *recipient =
        json_incref(json_object_get(json_array_get(versions, key->count - 1), "recipient"));
    json_t *json = json_pack("{s:s, s:o, s:s, s:I, s:s, s:o, s:o}", "name", key->name, "id",
                             id_json(key), "type", key->type == DV_KEY_AES256 ? "aes256" : "x25519",
                             "version", (json_int_t)newest->number, "state",
                             dv_key_is_destroyed(key) ? "destroyed" : version_state(key, newest),
                             "created", time_json(newest->created), "versions", versions);
    if (json != NULL && recipient != NULL) {
        json_object_set(json, "recipient", recipient);
    }
    json_decref(recipient);
    return json;
}

dv_result dv_key_print(dv_cli *cli, const dv_key *key)
{
    json_t *json = dv_key_json(key);
    if (json != NULL && cli->output == DV_OUTPUT_TABLE) {
        json_object_del(json, "versions");
    }
    dv_result result = json == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, json, NULL, NULL);
    json_decref(json);
    return result;
}

static int finish(dv_cli *cli, dv_result result, dv_error *error)
{
    error->result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, error);
}

/* -- generate ---------------------------------------------------------------------------------- */

static dv_result generate(dv_cli *cli, const json_t *params, dv_error *error)
{
    const dv_key *key = NULL;
    dv_auto(keystore) dv_keystore *keystore = NULL;
    bool x25519 = strcmp(text_param(params, "type"), "x25519") == 0;
    DV_TRY(dv_keyring_begin(error));
    DV_TRY(dv_cli_keystore_make(cli, params, &keystore, error));
    DV_TRY(dv_keystore_generate(keystore, dv_slice_str(text_param(params, "name")),
                                x25519 ? DV_KEY_X25519 : DV_KEY_AES256, dv_time_now(), &key,
                                error));
    DV_TRY(dv_keystore_save(keystore, error));
    return dv_key_print(cli, key);
}

int dv_command_key_generate(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    return finish(cli, generate(cli, params, &error), &error);
}

/* -- list -------------------------------------------------------------------------------------- */

static dv_result list(dv_cli *cli, const json_t *params, dv_error *error)
{
    static const char *const columns[] = {"name",    "type",      "version", "state",
                                          "created", "recipient", NULL};
    dv_auto(keystore) dv_keystore *keystore = NULL;
    DV_TRY(dv_cli_keystore_open(cli, params, DV_KEYSTORE_READ, &keystore, error));
    json_t *items = json_array();
    for (size_t i = 0; i < dv_keystore_count(keystore); i++) {
        json_array_append_new(items, dv_key_json(dv_keystore_at(keystore, i)));
    }
    json_t *answer = json_pack("{s:o}", "items", items);
    dv_result result =
        answer == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, answer, "items", columns);
    json_decref(answer);
    return result;
}

int dv_command_key_list(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    return finish(cli, list(cli, params, &error), &error);
}

/* -- rotate ------------------------------------------------------------------------------------ */

static dv_result rotate(dv_cli *cli, const json_t *params, dv_error *error)
{
    const dv_key *key = NULL;
    dv_auto(keystore) dv_keystore *keystore = NULL;
    DV_TRY(dv_keyring_begin(error));
    DV_TRY(dv_cli_keystore_open(cli, params, DV_KEYSTORE_CHANGE, &keystore, error));
    DV_TRY(dv_cli_keystore_key(keystore, text_param(params, "name"), &key, error));
    DV_TRY(dv_cli_keystore_unlock(cli, params, keystore, error));
    DV_TRY(dv_keystore_rotate(keystore, key, dv_time_now(), error));
    DV_TRY(dv_keystore_save(keystore, error));
    return dv_key_print(cli, key);
}

int dv_command_key_rotate(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    return finish(cli, rotate(cli, params, &error), &error);
}

/* -- destroy ----------------------------------------------------------------------------------- */

/* The name, typed: "yes" is typed too easily. */
static dv_result ask(const dv_cli *cli, const char *name, dv_error *error)
{
    char line[DV_KEY_NAME_MAX + 2] = "";
    if (isatty(STDIN_FILENO) != 1) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "what is encrypted under %s alone can never be read again: say --yes",
                            name);
    }
    fprintf(cli->err,
            "What is encrypted under it alone can never be read again. Type the key's name to "
            "destroy it: ");
    fflush(cli->err);
    dv_slice typed = fgets(line, sizeof(line), stdin) != NULL ? dv_slice_trim(dv_slice_str(line))
                                                              : dv_slice_str("");
    return dv_slice_eq_str(typed, name)
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "nothing was destroyed");
}

static dv_result destroy(dv_cli *cli, const json_t *params, dv_error *error)
{
    const dv_key *key = NULL;
    dv_auto(keystore) dv_keystore *keystore = NULL;
    json_int_t version = json_integer_value(json_object_get(params, "version"));
    DV_TRY(dv_keyring_begin(error));
    DV_TRY(dv_cli_keystore_open(cli, params, DV_KEYSTORE_CHANGE, &keystore, error));
    DV_TRY(dv_cli_keystore_key(keystore, text_param(params, "name"), &key, error));
    DV_TRY(dv_cli_keystore_unlock(cli, params, keystore, error));
    if (!json_is_true(json_object_get(params, "yes"))) {
        DV_TRY(ask(cli, key->name, error));
    }
    DV_TRY(dv_keystore_destroy(keystore, key, (uint32_t)version, dv_time_now(), error));
    DV_TRY(dv_keystore_save(keystore, error));
    return dv_key_print(cli, key);
}

int dv_command_key_destroy(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    return finish(cli, destroy(cli, params, &error), &error);
}
