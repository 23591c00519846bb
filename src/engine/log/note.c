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
    TYPE_ED25519 = 0x01,
    KEY_ID_LEN = 4,
    SIGNATURE_LEN = KEY_ID_LEN + DV_ED25519_SIGNATURE_LEN,
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
    dv_note_verifier verifier = {.key_id = key_id_of(name, material)};
    memcpy(verifier.name, name.ptr, name.len);
    memcpy(verifier.public_key, material + 1, sizeof(verifier.public_key));
    *ret_verifier = verifier;
    return DV_OK;
}

dv_result dv_note_verifier_init(const char *name, const uint8_t public_key[32],
                                dv_note_verifier *ret_verifier)
{
    uint8_t material[VKEY_MATERIAL_LEN] = {TYPE_ED25519};
    memcpy(material + 1, public_key, DV_ED25519_PUBLIC_LEN);
    return verifier_from(dv_slice_str(name), material, ret_verifier);
}

dv_result dv_note_verifier_parse(dv_slice text, dv_note_verifier *ret_verifier)
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
    if (material.ptr[0] != TYPE_ED25519) {
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

dv_result dv_note_verifier_format(const dv_note_verifier *verifier, dv_buf *out)
{
    uint8_t material[VKEY_MATERIAL_LEN] = {TYPE_ED25519};
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

dv_result dv_note_sign(dv_slice text, const dv_note_verifier *verifier, const uint8_t seed[32],
                       dv_buf *out)
{
    uint8_t signature[SIGNATURE_LEN];
    if (!good_text(text)) {
        return DV_ERR_INVALID;
    }
    put_key_id(verifier->key_id, signature);
    DV_TRY(dv_ed25519_sign(seed, text, signature + KEY_ID_LEN));
    DV_TRY(dv_buf_append(out, text));
    DV_TRY(dv_buf_append_printf(out, "\n%s%s ", signature_mark, verifier->name));
    DV_TRY(dv_base64_encode(dv_slice_of(signature, sizeof(signature)), out));
    return dv_buf_append_byte(out, '\n');
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

/* "— name base64(key ID || signature)". */
static bool read_signature(dv_slice line, dv_slice *ret_name, dv_buf *ret_bytes)
{
    if (!dv_slice_starts_with(line, dv_slice_of(signature_mark, MARK_LEN))) {
        return false;
    }
    dv_slice rest = dv_slice_sub(line, MARK_LEN, line.len);
    return dv_slice_split(&rest, ' ', ret_name) && ret_name->len > 0 &&
           dv_slice_find_byte(*ret_name, '+') < 0 && dv_base64_decode(rest, ret_bytes) == DV_OK &&
           ret_bytes->len > KEY_ID_LEN;
}

/* One line: DV_OK (ours, verified), DV_ERR_NOT_FOUND (another's), DV_ERR_CORRUPT, DV_ERR_INVALID.
 */
static dv_result check_signature(dv_slice line, dv_slice text, const dv_note_verifier *verifier)
{
    dv_slice name;
    dv_auto(buf) dv_buf bytes = dv_buf_init(SIGNATURE_MAX);
    if (!read_signature(line, &name, &bytes)) {
        return DV_ERR_INVALID;
    }
    if (!dv_slice_eq_str(name, verifier->name) || get_key_id(bytes.ptr) != verifier->key_id) {
        return DV_ERR_NOT_FOUND;
    }
    if (bytes.len != SIGNATURE_LEN) {
        return DV_ERR_CORRUPT;
    }
    return dv_ed25519_verify(verifier->public_key, text, bytes.ptr + KEY_ID_LEN);
}

dv_result dv_note_verify(dv_slice note, const dv_note_verifier *verifier, dv_slice *ret_text)
{
    dv_slice text, signatures, line;
    bool verified = false;
    if (!split_note(note, &text, &signatures)) {
        return DV_ERR_INVALID;
    }
    signatures.len--; /* the last newline, so that every part is a line */
    for (size_t count = 0; dv_slice_split(&signatures, '\n', &line); count++) {
        if (count == DV_NOTE_SIGNATURES_MAX) {
            return DV_ERR_INVALID;
        }
        dv_result result = check_signature(line, text, verifier);
        if (result != DV_OK && result != DV_ERR_NOT_FOUND) {
            return result;
        }
        verified = verified || result == DV_OK;
    }
    if (!verified) {
        return DV_ERR_NOT_FOUND;
    }
    *ret_text = text;
    return DV_OK;
}

/* -- checkpoints ------------------------------------------------------------------------------- */

dv_result dv_checkpoint_format(const dv_checkpoint *checkpoint, dv_buf *out)
{
    DV_TRY(dv_buf_append_printf(out, "%s\n%" PRIu64 "\n", checkpoint->origin, checkpoint->size));
    DV_TRY(dv_base64_encode(dv_slice_of(checkpoint->root.bytes, DV_HASH_LEN), out));
    return dv_buf_append_byte(out, '\n');
}

/* ASCII decimal without leading zeros, at most 2^63 - 1. */
static bool read_size(dv_slice text, uint64_t *ret_size)
{
    uint64_t size = 0;
    if (text.len == 0 || text.len > 19 || (text.len > 1 && text.ptr[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        size = size * 10 + (text.ptr[i] - '0');
    }
    *ret_size = size;
    return size <= INT64_MAX;
}

dv_result dv_checkpoint_parse(dv_slice text, dv_checkpoint *ret_checkpoint)
{
    dv_slice origin, size, root;
    dv_checkpoint checkpoint = {.size = 0};
    dv_auto(buf) dv_buf hash = dv_buf_init(2 * DV_HASH_LEN);
    bool lines = dv_slice_split(&text, '\n', &origin) && dv_slice_split(&text, '\n', &size) &&
                 dv_slice_split(&text, '\n', &root);
    if (!lines || text.len != 0 || !good_name(origin) || !read_size(size, &checkpoint.size) ||
        dv_base64_decode(root, &hash) != DV_OK || hash.len != DV_HASH_LEN) {
        return DV_ERR_INVALID;
    }
    memcpy(checkpoint.origin, origin.ptr, origin.len);
    memcpy(checkpoint.root.bytes, hash.ptr, DV_HASH_LEN);
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
