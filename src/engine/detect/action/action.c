/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/action/action.h"

#include "base/codec.h"
#include "base/file.h"
#include "crypto/random.h"
#include "engine/detect/action/sealed.h"
#include "engine/detect/action/tools.h"
#include "engine/detect/action/vault.h"

enum { HASH_DIGITS = 16 };

static const char *const kind_names[DV_ACT_KINDS] = {
    "redact", "remove", "mask",       "hash",       "pseudonym",
    "token",  "fpe",    "date_shift", "generalise", "keep",
};

const char *dv_action_kind_name(dv_action_kind kind)
{
    return kind < DV_ACT_KINDS ? kind_names[kind] : NULL;
}

bool dv_action_needs_key(dv_action_kind kind)
{
    return kind == DV_ACT_HASH || kind == DV_ACT_PSEUDONYM || kind == DV_ACT_TOKEN ||
           kind == DV_ACT_FPE || kind == DV_ACT_DATE_SHIFT;
}

/* -- keys -------------------------------------------------------------------------------------- */

/* One purpose, one key: what is known of one action's output says nothing of another's. */
static dv_result make_hmac(const uint8_t *key, const char *purpose, dv_hmac **ret_hmac)
{
    uint8_t derived[DV_HMAC_KEY_LEN];
    dv_result result = dv_hkdf(dv_slice_of(key, DV_ACTION_KEY_LEN), (dv_slice){NULL, 0}, purpose,
                               derived, sizeof(derived));
    if (result == DV_OK) {
        result = dv_hmac_new(derived, ret_hmac);
    }
    dv_wipe(derived, sizeof(derived));
    return result;
}

static dv_result make_ff1(const uint8_t *key, const char *purpose, uint32_t radix, dv_ff1 **ret_ff1)
{
    uint8_t derived[32];
    dv_result result = dv_hkdf(dv_slice_of(key, DV_ACTION_KEY_LEN), (dv_slice){NULL, 0}, purpose,
                               derived, sizeof(derived));
    if (result == DV_OK) {
        result = dv_ff1_new(dv_slice_of(derived, sizeof(derived)), radix, ret_ff1);
    }
    dv_wipe(derived, sizeof(derived));
    return result;
}

static dv_result make_keys(dv_action_tools *tools, const uint8_t *key)
{
    DV_TRY(make_hmac(key, "dvara action hash v1", &tools->hash));
    DV_TRY(make_hmac(key, "dvara action pseudonym v1", &tools->names));
    DV_TRY(make_hmac(key, "dvara action date shift v1", &tools->shifts));
    DV_TRY(make_ff1(key, "dvara action digits v1", 10, &tools->digits));
    DV_TRY(make_ff1(key, "dvara action letters v1", 26, &tools->letters));
    DV_TRY(make_ff1(key, "dvara action bytes v1", 256, &tools->bytes));
    DV_TRY(make_ff1(key, "dvara action fpe 10 v1", 10, &tools->fpe_digits));
    DV_TRY(make_ff1(key, "dvara action fpe 62 v1", 62, &tools->fpe_alnum));
    return dv_sealed_new(key, &tools->sealed);
}

dv_result dv_action_tools_new(const uint8_t *key, struct dv_vault *vault,
                              dv_action_tools **ret_tools)
{
    dv_action_tools *tools = calloc(1, sizeof(*tools));
    if (tools == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    tools->vault = vault;
    tools->message = dv_buf_init(DV_ACTION_VALUE_MAX + 64);
    dv_result result = key == NULL ? DV_OK : make_keys(tools, key);
    if (result != DV_OK) {
        dv_action_tools_free(tools);
        return result;
    }
    *ret_tools = tools;
    return DV_OK;
}

void dv_action_tools_free(dv_action_tools *tools)
{
    if (tools != NULL) {
        dv_hmac_free(tools->hash);
        dv_hmac_free(tools->names);
        dv_hmac_free(tools->shifts);
        dv_ff1_free(tools->digits);
        dv_ff1_free(tools->letters);
        dv_ff1_free(tools->bytes);
        dv_ff1_free(tools->fpe_digits);
        dv_ff1_free(tools->fpe_alnum);
        dv_siv_free(tools->sealed);
        dv_buf_wipe(&tools->message);
        free(tools);
    }
}

dv_result dv_action_digest(dv_action_tools *tools, dv_hmac *hmac, dv_shape shape,
                           dv_date_order order, dv_slice text, uint8_t ret_digest[DV_SHA256_LEN])
{
    dv_buf_clear(&tools->message);
    DV_TRY(dv_shape_normalise(shape, order, text, &tools->message));
    dv_hmac_sign(hmac, dv_buf_slice(&tools->message), ret_digest);
    return DV_OK;
}

/* -- the actions that are small ---------------------------------------------------------------- */

static dv_result redact(const dv_action_value *value, dv_buf *out)
{
    return dv_buf_append_printf(out, "[%s]", value->label == NULL ? "REDACTED" : value->label);
}

static dv_result hash(dv_action_tools *tools, const dv_action *action, const dv_action_value *value,
                      dv_buf *out)
{
    uint8_t digest[DV_SHA256_LEN];
    dv_shape shape = dv_shape_of(value->text, action->order);
    size_t digits = action->length == 0 ? HASH_DIGITS : action->length;
    DV_TRY(dv_action_digest(tools, tools->hash, shape, action->order, value->text, digest));
    for (size_t i = 0; i < digits && i < 2 * sizeof(digest); i++) {
        DV_TRY(dv_buf_append_byte(
            out, (uint8_t) "0123456789abcdef"[digest[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15]));
    }
    return DV_OK;
}

static dv_result date_shift(dv_action_tools *tools, const dv_action *action,
                            const dv_action_value *value, dv_buf *out)
{
    uint8_t digest[DV_SHA256_LEN];
    dv_date date;
    if (!dv_date_parse(value->text, action->order, true, &date)) {
        return DV_ERR_INVALID;
    }
    int64_t most = action->days == 0 ? 365 : action->days;
    DV_TRY(dv_action_digest(tools, tools->shifts, DV_SHAPE_TEXT, action->order, value->subject,
                            digest));
    /* From -most to most, without 0. */
    int64_t days = (int64_t)(dv_get_u64(digest) % (uint64_t)(2 * most)) - most;
    days += days >= 0;
    return dv_date_write(&date, date.day + (action->reverse ? -days : days), out);
}

/* A text that is one already stays: made twice, it would have to be opened twice. */
static dv_result sealed_token(const dv_action_tools *tools, const dv_action *action, dv_slice text,
                              dv_buf *out)
{
    size_t before = out->len;
    if (tools->sealed == NULL) {
        return DV_ERR_UNSUPPORTED;
    }
    dv_result opened = dv_sealed_open(tools->sealed, text, out);
    if (action->reverse || (opened != DV_OK && opened != DV_ERR_NOT_FOUND)) {
        return opened;
    }
    if (opened == DV_ERR_NOT_FOUND) {
        return dv_sealed_token(tools->sealed, text, out);
    }
    dv_wipe(out->ptr + before, out->len - before);
    out->len = before;
    return dv_buf_append(out, text);
}

static dv_result token(const dv_action_tools *tools, const dv_action *action,
                       const dv_action_value *value, dv_buf *out)
{
    if (action->reverse ? dv_sealed_length(value->text, 0) > 0 : action->sealed) {
        return sealed_token(tools, action, value->text, out);
    }
    if (tools->vault == NULL) {
        return action->reverse ? DV_ERR_NOT_FOUND : DV_ERR_UNSUPPORTED;
    }
    return action->reverse ? dv_vault_open_token(tools->vault, value->text, out)
                           : dv_vault_token(tools->vault, value->text, out);
}

/* -- choosing ---------------------------------------------------------------------------------- */

static dv_result apply(dv_action_tools *tools, const dv_action *action,
                       const dv_action_value *value, dv_buf *out)
{
    bool keyed = tools != NULL && (tools->hash != NULL || action->kind == DV_ACT_TOKEN);
    if (dv_action_needs_key(action->kind) && !keyed) {
        return DV_ERR_UNSUPPORTED;
    }
    switch ((dv_action_kind)action->kind) {
    case DV_ACT_KEEP:
        return dv_buf_append(out, value->text);
    case DV_ACT_REMOVE:
        return DV_OK;
    case DV_ACT_MASK:
        return dv_act_mask(action, value, out);
    case DV_ACT_HASH:
        return hash(tools, action, value, out);
    case DV_ACT_PSEUDONYM:
        return dv_act_pseudonym(tools, action, value, out);
    case DV_ACT_TOKEN:
        return token(tools, action, value, out);
    case DV_ACT_FPE:
        return dv_act_fpe(tools, action, value, out);
    case DV_ACT_DATE_SHIFT:
        return date_shift(tools, action, value, out);
    case DV_ACT_GENERALISE:
        return dv_act_generalise(action, value, out);
    case DV_ACT_REDACT:
    case DV_ACT_KINDS:
        break;
    }
    return redact(value, out);
}

dv_result dv_action_apply(dv_action_tools *tools, const dv_action *action,
                          const dv_action_value *value, dv_buf *out)
{
    size_t before = out->len;
    if (value->text.len == 0) {
        return DV_OK; /* nothing to hide */
    }
    if (value->text.len > DV_ACTION_VALUE_MAX && action->kind != DV_ACT_KEEP) {
        return action->kind == DV_ACT_REMOVE ? DV_OK : redact(value, out);
    }
    dv_result result = apply(tools, action, value, out);
    if (result == DV_ERR_INVALID) {
        out->len = before;
        return redact(value, out);
    }
    if (result != DV_OK) {
        out->len = before;
    }
    return result;
}

/* -- the key's file ---------------------------------------------------------------------------- */

static dv_result decode_key(dv_slice text, uint8_t ret_key[DV_ACTION_KEY_LEN])
{
    dv_auto(secret_buf) dv_buf bytes = dv_buf_init(128);
    if (text.len == DV_ACTION_KEY_LEN) {
        memcpy(ret_key, text.ptr, DV_ACTION_KEY_LEN);
        return DV_OK;
    }
    text = dv_slice_trim(text);
    if (text.len == 2 * (size_t)DV_ACTION_KEY_LEN) {
        return dv_hex_decode(text, ret_key, DV_ACTION_KEY_LEN);
    }
    DV_TRY(dv_buf_reserve(&bytes, 128));
    if (text.len > 64 || dv_base64_decode(text, &bytes) != DV_OK ||
        bytes.len != DV_ACTION_KEY_LEN) {
        return DV_ERR_INVALID;
    }
    memcpy(ret_key, bytes.ptr, DV_ACTION_KEY_LEN);
    return DV_OK;
}

dv_result dv_action_key_read(const char *path, uint8_t ret_key[DV_ACTION_KEY_LEN], dv_error *error)
{
    dv_auto(secret_buf) dv_buf text = dv_buf_init(256);
    DV_TRY(dv_file_read_private(path, &text, error));
    if (decode_key(dv_buf_slice(&text), ret_key) != DV_OK) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "%s is no key of 32 bytes: `openssl rand -base64 32` makes one", path);
    }
    return DV_OK;
}
