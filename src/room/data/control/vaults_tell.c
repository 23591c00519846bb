/* SPDX-License-Identifier: Apache-2.0 */
/* The operations on vaults of tokens. */
#include "api/operations.h"
#include "base/caps.h"
#include "base/codec.h"
#include "base/utf8.h"
#include "core/audit.h"
#include "core/data_access.h"
#include "room/data/control/vaults.h"

/* --- which there are ------------------------------------------------------------------------- */

/* One without a file has a key that can be read. */
static dv_result look(dv_data_vault *vault, dv_error *error)
{
    dv_auto(siv) dv_siv *unused = NULL;
    return vault->file[0] != '\0' ? dv_data_vault_ready(vault, error)
                                  : dv_data_vault_opener(vault, &unused, error);
}

static json_t *vault_json(dv_data_vault *vault)
{
    dv_error error = {0};
    dv_result result = look(vault, &error);
    json_t *json = json_pack("{s:s, s:s, s:s}", "name", vault->name, "file", vault->file, "problem",
                             result == DV_OK            ? ""
                             : error.message[0] != '\0' ? error.message
                                                        : dv_result_name(result));
    if (json != NULL && result == DV_OK && vault->file[0] != '\0') {
        const dv_vault *open = vault->open;
        json_object_set_new(json, "entries", json_integer((json_int_t)dv_vault_count(open)));
        json_object_set_new(json, "bytes", json_integer((json_int_t)dv_vault_bytes(open)));
        json_object_set_new(json, "committed", json_integer((json_int_t)dv_vault_committed(open)));
    }
    return json;
}

dv_result dv_op_data_vault_list(dv_call *call, dv_error *error)
{
    dv_data_vaults *vaults = call->services->vaults;
    json_t *items = json_array();
    call->answer = json_pack("{s:o}", "items", items);
    DV_TRY(call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY);
    for (size_t i = 0; i < dv_data_vault_count(vaults); i++) {
        if (json_array_append_new(items, vault_json(dv_data_vault_at(vaults, i))) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

static dv_result vault_find(dv_call *call, dv_data_vault **ret_vault, dv_error *error)
{
    const char *name = dv_call_param(call, "name");
    *ret_vault = dv_data_vault_find(call->services->vaults, name);
    return *ret_vault != NULL ? DV_OK
                              : dv_error_set(error, DV_ERR_NOT_FOUND,
                                             "data_vaults: of dvara.yaml has no vault %s", name);
}

dv_result dv_op_data_vault_show(dv_call *call, dv_error *error)
{
    dv_data_vault *vault = NULL;
    DV_TRY(vault_find(call, &vault, error));
    call->answer = vault_json(vault);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* --- telling values -------------------------------------------------------------------------- */

/* A verdict that was never given is no. */
static dv_result check_permitted(dv_call *call, const dv_data_vault *vault, dv_error *error)
{
    bool may = false;
    const char *resource =
        dv_arena_printf(call->arena, "%s::\"%s\"", DV_DATA_VAULT_TYPE, vault->name);
    if (resource == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(call->services->people->caller_may(call, "detokenize", resource, &may, error));
    return may ? DV_OK
               : dv_error_set(error, DV_ERR_FORBIDDEN, "no policy permits you detokenize on %s",
                              resource);
}

/* Bytes that are no text are told as base64; so is a text with a NUL, which readers of JSON refuse
 * with all that stands beside it, ours too. */
static dv_result put_value(json_t *row, dv_slice value)
{
    if (dv_utf8_valid(value) && dv_slice_find_byte(value, '\0') < 0) {
        json_t *text = json_stringn(value.len > 0 ? (const char *)value.ptr : "", value.len);
        return json_object_set_new(row, "value", text) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
    }
    dv_auto(secret_buf) dv_buf text = dv_buf_init(2 * DV_VAULT_VALUE_MAX);
    DV_TRY(dv_base64_encode(value, &text));
    json_t *base64 = json_stringn((const char *)text.ptr, text.len);
    return json_object_set_new(row, "base64", base64) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

typedef struct telling {
    dv_data_vault *vault;
    dv_siv *sealed; /* of tokens that carry their value; NULL: none was asked for */
    json_t *rows;
    size_t found;
    size_t told; /* bytes */
} telling;

static bool is_sealed(const char *token)
{
    return dv_sealed_length(dv_slice_str(token), 0) > 0;
}

/* What is no token at all is not found, as one that nobody ever made. */
static dv_result open_token(const telling *t, const char *token, dv_buf *value)
{
    if (is_sealed(token)) {
        return dv_sealed_open(t->sealed, dv_slice_str(token), value);
    }
    return t->vault->open == NULL ? DV_ERR_NOT_FOUND
                                  : dv_vault_open_token(t->vault->open, dv_slice_str(token), value);
}

static dv_result tell_token(telling *t, const char *token, dv_error *error)
{
    dv_auto(secret_buf) dv_buf value = dv_buf_init(DV_VAULT_VALUE_MAX + 64);
    dv_result result = open_token(t, token, &value);
    if (result == DV_ERR_CORRUPT || result == DV_ERR_IO) {
        dv_data_vault_close(t->vault);
        return dv_error_set(error, DV_ERR_UNAVAILABLE,
                            "the vault %s can't be read: an entry is damaged, or the file was "
                            "changed while it was read",
                            t->vault->name);
    }
    bool found = result == DV_OK;
    json_t *row = json_pack("{s:s, s:b}", "token", token, "found", (int)found);
    if (row == NULL || json_array_append_new(t->rows, row) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    t->found += found;
    t->told += value.len;
    if (t->told > DV_LIMIT_DATA_TOLD) {
        return dv_error_set(error, DV_ERR_TOO_LARGE,
                            "the values are too long for one answer: ask "
                            "for fewer tokens");
    }
    return found                        ? put_value(row, dv_buf_slice(&value))
           : result == DV_ERR_NOT_FOUND ? DV_OK
                                        : result;
}

static dv_result tell_all(dv_call *call, telling *t, dv_error *error)
{
    size_t i;
    const json_t *token;
    json_array_foreach(json_object_get(call->body, "tokens"), i, token)
    {
        DV_TRY(tell_token(t, json_string_value(token), error));
    }
    return DV_OK;
}

/* What those tokens want: the file, the key alone, or both. */
static dv_result make_ready(const dv_call *call, telling *t, dv_error *error)
{
    bool some = false, all = true;
    size_t i;
    const json_t *token;
    json_array_foreach(json_object_get(call->body, "tokens"), i, token)
    {
        bool sealed = is_sealed(json_string_value(token));
        some = some || sealed;
        all = all && sealed;
    }
    if (!all && t->vault->file[0] != '\0') {
        DV_TRY(dv_data_vault_ready(t->vault, error));
    }
    return some ? dv_data_vault_opener(t->vault, &t->sealed, error) : DV_OK;
}

/* The call's record, which dvarad keeps before the answer goes out. */
static dv_result note_reading(dv_call *call, const telling *t, size_t asked)
{
    dv_event_data *data = dv_arena_alloc(call->arena, sizeof(*data));
    if (data == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *data = (dv_event_data){
        .database = dv_slice_str(t->vault->name),
        .reason = dv_slice_str(dv_call_field(call, "purpose")),
        .rows = (int64_t)t->found,
        .missing = (int64_t)(asked - t->found),
        .bytes = -1,
    };
    call->read = data;
    return DV_OK;
}

dv_result dv_op_data_vault_detokenize(dv_call *call, dv_error *error)
{
    telling t = {.vault = NULL};
    size_t asked = json_array_size(json_object_get(call->body, "tokens"));
    DV_TRY(vault_find(call, &t.vault, error));
    DV_TRY(check_permitted(call, t.vault, error));
    DV_TRY(make_ready(call, &t, error));
    t.rows = json_array();
    dv_result result = t.rows == NULL ? DV_ERR_NO_MEMORY : tell_all(call, &t, error);
    dv_siv_free(t.sealed);
    result = result == DV_OK ? note_reading(call, &t, asked) : result;
    if (result != DV_OK) {
        json_decref(t.rows);
        return result;
    }
    call->answer =
        json_pack("{s:s, s:I, s:I, s:o}", "vault", t.vault->name, "found", (json_int_t)t.found,
                  "not_found", (json_int_t)(asked - t.found), "values", t.rows);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}
