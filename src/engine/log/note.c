/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/note.h"

#include "base/codec.h"
#include "crypto/ed25519.h"
#include "crypto/hash.h"

#include <inttypes.h>

/* C2SP signed-note: an em dash and a space begin a signature line. */
static const char signature_mark[] = "\xe2\x80\x94 ";
enum {
    MARK_LEN = sizeof(signature_mark) - 1,
    KEY_ID_LEN = 4,
    VKEY_MATERIAL_LEN = 1 + DV_ED25519_PUBLIC_LEN,
    SIGNATURE_MAX = 8 << 10, /* bytes of one decoded signature, of whatever type */
};

static void put_key_id(uint32_t id, uint8_t out[KEY_ID_LEN])
{
    for (int i = 0; i < KEY_ID_LEN; i++) {
        out[i] = (uint8_t)(id >> (24 - 8 * i));
    }
}

static uint32_t get_key_id(const uint8_t *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

/* "Key names MUST be non-empty and MUST NOT contain any Unicode spaces or plus characters": ours
 * are confined to printable ASCII, which has neither besides these two. */
static bool good_name(dv_slice name)
{
    if (name.len == 0 || name.len > DV_NOTE_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] <= ' ' || name.ptr[i] >= 0x7f || name.ptr[i] == '+') {
            return false;
        }
    }
    return true;
}

/* key ID = SHA-256(key name || 0x0A || signature type || public key)[:4] */
static uint32_t key_id_of(dv_slice name, const uint8_t material[VKEY_MATERIAL_LEN])
{
    uint8_t digest[DV_SHA256_LEN];
    dv_sha256(name, DV_LIT("\n"), dv_slice_of(material, VKEY_MATERIAL_LEN), digest);
    return get_key_id(digest);
}

static dv_result verifier_from(dv_slice name, const uint8_t material[VKEY_MATERIAL_LEN],
                               dv_note_verifier *ret_verifier)
{
    if (!good_name(name)) {
        return DV_ERR_INVALID;
    }
    dv_note_verifier verifier = {.type = (dv_signature_type)material[0],
                                 .key_id = key_id_of(name, material)};
    memcpy(verifier.name, name.ptr, name.len);
    memcpy(verifier.public_key, material + 1, sizeof(verifier.public_key));
    *ret_verifier = verifier;
    return DV_OK;
}

dv_result dv_note_verifier_init_type(dv_signature_type type, const char *name,
                                     const uint8_t public_key[32], dv_note_verifier *ret_verifier)
{
    uint8_t material[VKEY_MATERIAL_LEN] = {(uint8_t)type};
    memcpy(material + 1, public_key, DV_ED25519_PUBLIC_LEN);
    return verifier_from(dv_slice_str(name), material, ret_verifier);
}

dv_result dv_note_verifier_init(const char *name, const uint8_t public_key[32],
                                dv_note_verifier *ret_verifier)
{
    return dv_note_verifier_init_type(DV_SIGNATURE_ED25519, name, public_key, ret_verifier);
}

dv_result dv_note_verifier_parse_type(dv_slice text, dv_signature_type type,
                                      dv_note_verifier *ret_verifier)
{
    dv_slice name, id_text;
    uint8_t id[KEY_ID_LEN];
    dv_note_verifier verifier;
    dv_auto(buf) dv_buf material = dv_buf_init(SIGNATURE_MAX);
    if (!dv_slice_split(&text, '+', &name) || !dv_slice_split(&text, '+', &id_text) ||
        id_text.len != 2 * KEY_ID_LEN || dv_hex_decode(id_text, id, sizeof(id)) != DV_OK ||
        dv_base64_decode(text, &material) != DV_OK || material.len == 0) {
        return DV_ERR_INVALID;
    }
    if (material.ptr[0] != type) {
        return DV_ERR_UNSUPPORTED;
    }
    if (material.len != VKEY_MATERIAL_LEN) {
        return DV_ERR_INVALID;
    }
    DV_TRY(verifier_from(name, material.ptr, &verifier));
    if (verifier.key_id != get_key_id(id)) {
        return DV_ERR_INVALID;
    }
    *ret_verifier = verifier;
    return DV_OK;
}

dv_result dv_note_verifier_parse(dv_slice text, dv_note_verifier *ret_verifier)
{
    return dv_note_verifier_parse_type(text, DV_SIGNATURE_ED25519, ret_verifier);
}

dv_result dv_note_verifier_format(const dv_note_verifier *verifier, dv_buf *out)
{
    uint8_t material[VKEY_MATERIAL_LEN] = {(uint8_t)verifier->type};
    memcpy(material + 1, verifier->public_key, sizeof(verifier->public_key));
    DV_TRY(dv_buf_append_printf(out, "%s+%08" PRIx32 "+", verifier->name, verifier->key_id));
    return dv_base64_encode(dv_slice_of(material, sizeof(material)), out);
}

/* -- notes ------------------------------------------------------------------------------------- */

/* Valid UTF-8 without control characters other than the newline, which also ends it. */
static bool good_text(dv_slice text)
{
    if (text.len == 0 || text.len > DV_NOTE_MAX || text.ptr[text.len - 1] != '\n' ||
        !dv_utf8_valid(text)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 0x20 && text.ptr[i] != '\n') {
            return false;
        }
    }
    return true;
}

dv_result dv_note_put_signature(const dv_note_verifier *verifier, dv_slice bytes, dv_buf *out)
{
    uint8_t id[KEY_ID_LEN];
    dv_auto(buf) dv_buf all = dv_buf_init(SIGNATURE_MAX);
    put_key_id(verifier->key_id, id);
    DV_TRY(dv_buf_append(&all, dv_slice_of(id, sizeof(id))));
    DV_TRY(dv_buf_append(&all, bytes));
    DV_TRY(dv_buf_append_printf(out, "%s%s ", signature_mark, verifier->name));
    DV_TRY(dv_base64_encode(dv_buf_slice(&all), out));
    return dv_buf_append_byte(out, '\n');
}

dv_result dv_note_add_signature(dv_slice text, const dv_note_verifier *verifier,
                                const uint8_t seed[32], dv_buf *out)
{
    uint8_t signature[DV_ED25519_SIGNATURE_LEN];
    if (!good_text(text) || verifier->type != DV_SIGNATURE_ED25519) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_ed25519_sign(seed, text, signature));
    return dv_note_put_signature(verifier, dv_slice_of(signature, sizeof(signature)), out);
}

dv_result dv_note_sign(dv_slice text, const dv_note_verifier *verifier, const uint8_t seed[32],
                       dv_buf *out)
{
    if (!good_text(text)) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_buf_append(out, text));
    DV_TRY(dv_buf_append_byte(out, '\n'));
    return dv_note_add_signature(text, verifier, seed, out);
}

/* The last empty line stands between text and signatures. */
static bool split_note(dv_slice note, dv_slice *ret_text, dv_slice *ret_signatures)
{
    if (!good_text(note)) {
        return false;
    }
    for (size_t i = note.len - 1; i > 0; i--) {
        if (note.ptr[i] == '\n' && note.ptr[i - 1] == '\n') {
            *ret_text = dv_slice_sub(note, 0, i);
            *ret_signatures = dv_slice_sub(note, i + 1, note.len);
            return ret_signatures->len > 0;
        }
    }
    return false;
}

void dv_note_signature_release(dv_note_signature *signature)
{
    dv_buf_release(&signature->bytes);
}

/* "— name base64(key ID || signature)". */
static bool read_signature(dv_slice line, dv_note_signature *out)
{
    if (!dv_slice_starts_with(line, dv_slice_of(signature_mark, MARK_LEN))) {
        return false;
    }
    dv_buf *bytes = &out->bytes;
    dv_slice rest = dv_slice_sub(line, MARK_LEN, line.len);
    out->line = line;
    if (!dv_slice_split(&rest, ' ', &out->name) || out->name.len == 0 ||
        dv_slice_find_byte(out->name, '+') >= 0 || dv_base64_decode(rest, bytes) != DV_OK ||
        bytes->len <= KEY_ID_LEN) {
        return false;
    }
    out->key_id = get_key_id(bytes->ptr);
    bytes->len -= KEY_ID_LEN;
    memmove(bytes->ptr, bytes->ptr + KEY_ID_LEN, bytes->len);
    return true;
}

dv_result dv_note_next(dv_slice *signatures, dv_note_signature *signature)
{
    dv_slice line;
    dv_note_signature_release(signature);
    *signature = (dv_note_signature){.bytes = dv_buf_init(SIGNATURE_MAX)};
    if (signatures->len == 0) {
        return DV_ERR_NOT_FOUND;
    }
    ptrdiff_t end = dv_slice_find_byte(*signatures, '\n');
    if (end < 0) {
        return DV_ERR_INVALID;
    }
    line = dv_slice_sub(*signatures, 0, (size_t)end);
    *signatures = dv_slice_sub(*signatures, (size_t)end + 1, signatures->len);
    return read_signature(line, signature) ? DV_OK : DV_ERR_INVALID;
}

dv_result dv_note_split(dv_slice note, dv_note *ret_note)
{
    dv_note parts;
    dv_auto(note_signature) dv_note_signature line = {.key_id = 0};
    if (!split_note(note, &parts.text, &parts.signatures)) {
        return DV_ERR_INVALID;
    }
    dv_slice rest = parts.signatures;
    dv_result result = dv_note_next(&rest, &line);
    for (size_t count = 1; result == DV_OK; count++) {
        result = count > DV_NOTE_SIGNATURES_MAX ? DV_ERR_INVALID : dv_note_next(&rest, &line);
    }
    if (result != DV_ERR_NOT_FOUND) {
        return DV_ERR_INVALID;
    }
    *ret_note = parts;
    return DV_OK;
}

bool dv_note_signed_by(const dv_note_signature *signature, const dv_note_verifier *verifier)
{
    return signature->key_id == verifier->key_id &&
           dv_slice_eq_str(signature->name, verifier->name);
}

/* One line: DV_OK (ours, verified), DV_ERR_NOT_FOUND (another's), DV_ERR_CORRUPT. */
static dv_result check_signature(const dv_note_signature *line, dv_slice text,
                                 const dv_note_verifier *verifier)
{
    if (!dv_note_signed_by(line, verifier)) {
        return DV_ERR_NOT_FOUND;
    }
    if (verifier->type != DV_SIGNATURE_ED25519 || line->bytes.len != DV_ED25519_SIGNATURE_LEN) {
        return DV_ERR_CORRUPT;
    }
    return dv_ed25519_verify(verifier->public_key, text, line->bytes.ptr);
}

dv_result dv_note_verify(dv_slice note, const dv_note_verifier *verifier, dv_slice *ret_text)
{
    dv_note parts;
    bool verified = false;
    dv_auto(note_signature) dv_note_signature line = {.key_id = 0};
    DV_TRY(dv_note_split(note, &parts));
    while (dv_note_next(&parts.signatures, &line) == DV_OK) {
        dv_result result = check_signature(&line, parts.text, verifier);
        if (result != DV_OK && result != DV_ERR_NOT_FOUND) {
            return result;
        }
        verified = verified || result == DV_OK;
    }
    if (!verified) {
        return DV_ERR_NOT_FOUND;
    }
    *ret_text = parts.text;
    return DV_OK;
}

/* -- checkpoints ------------------------------------------------------------------------------- */

dv_result dv_hash_format(const dv_hash *hash, dv_buf *out)
{
    return dv_base64_encode(dv_slice_of(hash->bytes, DV_HASH_LEN), out);
}

dv_result dv_hash_parse(dv_slice text, dv_hash *ret_hash)
{
    dv_auto(buf) dv_buf bytes = dv_buf_init(2 * DV_HASH_LEN);
    if (dv_base64_decode(text, &bytes) != DV_OK || bytes.len != DV_HASH_LEN) {
        return DV_ERR_INVALID;
    }
    memcpy(ret_hash->bytes, bytes.ptr, DV_HASH_LEN);
    return DV_OK;
}

dv_result dv_decimal_parse(dv_slice text, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (text.len == 0 || text.len > 19 || (text.len > 1 && text.ptr[0] == '0')) {
        return DV_ERR_INVALID;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return DV_ERR_INVALID;
        }
        number = number * 10 + (text.ptr[i] - '0');
    }
    if (number > INT64_MAX) {
        return DV_ERR_INVALID;
    }
    *ret_number = number;
    return DV_OK;
}

dv_result dv_checkpoint_format(const dv_checkpoint *checkpoint, dv_buf *out)
{
    DV_TRY(dv_buf_append_printf(out, "%s\n%" PRIu64 "\n", checkpoint->origin, checkpoint->size));
    DV_TRY(dv_hash_format(&checkpoint->root, out));
    return dv_buf_append_byte(out, '\n');
}

/* The first three lines; *text keeps what is behind them. */
static dv_result read_lines(dv_slice *text, dv_checkpoint *checkpoint)
{
    dv_slice origin, size, root;
    if (!dv_slice_split(text, '\n', &origin) || !dv_slice_split(text, '\n', &size) ||
        !dv_slice_split(text, '\n', &root) || text->ptr == NULL || origin.len == 0 ||
        origin.len > DV_NOTE_NAME_MAX || memchr(origin.ptr, '\0', origin.len) != NULL) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_decimal_parse(size, &checkpoint->size));
    DV_TRY(dv_hash_parse(root, &checkpoint->root));
    memset(checkpoint->origin, 0, sizeof(checkpoint->origin));
    memcpy(checkpoint->origin, origin.ptr, origin.len);
    return DV_OK;
}

dv_result dv_checkpoint_parse(dv_slice text, dv_checkpoint *ret_checkpoint)
{
    dv_checkpoint checkpoint;
    DV_TRY(read_lines(&text, &checkpoint));
    if (text.len != 0 || !good_name(dv_slice_str(checkpoint.origin))) {
        return DV_ERR_INVALID;
    }
    *ret_checkpoint = checkpoint;
    return DV_OK;
}

dv_result dv_checkpoint_parse_any(dv_slice text, dv_checkpoint *ret_checkpoint)
{
    dv_checkpoint checkpoint;
    if (!good_text(text)) {
        return DV_ERR_INVALID;
    }
    DV_TRY(read_lines(&text, &checkpoint));
    /* "Extension lines, if any, MUST be non-empty." */
    if ((text.len > 0 && text.ptr[0] == '\n') || dv_slice_find(text, DV_LIT("\n\n")) >= 0) {
        return DV_ERR_INVALID;
    }
    *ret_checkpoint = checkpoint;
    return DV_OK;
}

dv_result dv_checkpoint_sign(const dv_checkpoint *checkpoint, const dv_note_verifier *verifier,
                             const uint8_t seed[32], dv_buf *out)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_NOTE_MAX);
    if (strcmp(checkpoint->origin, verifier->name) != 0) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_checkpoint_format(checkpoint, &text));
    return dv_note_sign(dv_buf_slice(&text), verifier, seed, out);
}

dv_result dv_checkpoint_open(dv_slice note, const dv_note_verifier *verifier,
                             dv_checkpoint *ret_checkpoint)
{
    dv_slice text;
    dv_checkpoint checkpoint;
    DV_TRY(dv_note_verify(note, verifier, &text));
    DV_TRY(dv_checkpoint_parse(text, &checkpoint));
    if (strcmp(checkpoint.origin, verifier->name) != 0) {
        return DV_ERR_INVALID;
    }
    *ret_checkpoint = checkpoint;
    return DV_OK;
}
