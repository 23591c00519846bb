/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/cosignature.h"

#include "crypto/ed25519.h"

#include <inttypes.h>

enum { TIME_LEN = 8, BYTES_LEN = TIME_LEN + DV_ED25519_SIGNATURE_LEN };

dv_result dv_cosigner_init(const char *name, const uint8_t public_key[32],
                           dv_note_verifier *ret_cosigner)
{
    return dv_note_verifier_init_type(DV_SIGNATURE_COSIGNATURE, name, public_key, ret_cosigner);
}

dv_result dv_cosigner_parse(dv_slice text, dv_note_verifier *ret_cosigner)
{
    return dv_note_verifier_parse_type(text, DV_SIGNATURE_COSIGNATURE, ret_cosigner);
}

/* "two newline terminated lines (one header line and one timestamp line) followed by the whole note
 * body of the cosigned checkpoint" */
static dv_result put_message(dv_slice text, uint64_t time, dv_buf *out)
{
    DV_TRY(dv_buf_append_printf(out, "cosignature/v1\ntime %" PRIu64 "\n", time));
    return dv_buf_append(out, text);
}

/* "timestamp [...] MUST NOT exceed 2^63 - 1", and "MUST NOT be zero" in an answer of a witness. */
static bool is_time(uint64_t time)
{
    return time > 0 && time <= INT64_MAX;
}

dv_result dv_cosignature_sign(dv_slice text, const dv_note_verifier *cosigner,
                              const uint8_t seed[32], uint64_t time, dv_buf *out)
{
    uint8_t bytes[BYTES_LEN];
    dv_checkpoint checkpoint;
    dv_auto(buf) dv_buf message = dv_buf_init(DV_NOTE_MAX + 64);
    if (!is_time(time) || cosigner->type != DV_SIGNATURE_COSIGNATURE) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_checkpoint_parse_any(text, &checkpoint));
    DV_TRY(put_message(text, time, &message));
    for (int i = 0; i < TIME_LEN; i++) {
        bytes[i] = (uint8_t)(time >> (56 - 8 * i));
    }
    DV_TRY(dv_ed25519_sign(seed, dv_buf_slice(&message), bytes + TIME_LEN));
    return dv_note_put_signature(cosigner, dv_slice_of(bytes, sizeof(bytes)), out);
}

dv_result dv_cosignature_check(const dv_note_signature *line, dv_slice text,
                               const dv_note_verifier *cosigner, uint64_t *ret_time)
{
    uint64_t time = 0;
    dv_auto(buf) dv_buf message = dv_buf_init(DV_NOTE_MAX + 64);
    if (!dv_note_signed_by(line, cosigner)) {
        return DV_ERR_NOT_FOUND;
    }
    if (cosigner->type != DV_SIGNATURE_COSIGNATURE || line->bytes.len != BYTES_LEN) {
        return DV_ERR_CORRUPT;
    }
    for (int i = 0; i < TIME_LEN; i++) {
        time = time << 8 | line->bytes.ptr[i];
    }
    if (!is_time(time)) {
        return DV_ERR_CORRUPT;
    }
    DV_TRY(put_message(text, time, &message));
    DV_TRY(dv_ed25519_verify(cosigner->public_key, dv_buf_slice(&message),
                             line->bytes.ptr + TIME_LEN));
    *ret_time = time;
    return DV_OK;
}

dv_result dv_cosignature_verify(dv_slice note, const dv_note_verifier *cosigner, uint64_t *ret_time)
{
    dv_note parts;
    dv_checkpoint checkpoint;
    uint64_t newest = 0, time;
    dv_auto(note_signature) dv_note_signature line = {.key_id = 0};
    DV_TRY(dv_note_split(note, &parts));
    DV_TRY(dv_checkpoint_parse_any(parts.text, &checkpoint));
    while (dv_note_next(&parts.signatures, &line) == DV_OK) {
        dv_result result = dv_cosignature_check(&line, parts.text, cosigner, &time);
        if (result == DV_OK) {
            newest = DV_MAX(newest, time);
        } else if (result != DV_ERR_NOT_FOUND) {
            return result;
        }
    }
    if (newest == 0) {
        return DV_ERR_NOT_FOUND;
    }
    *ret_time = newest;
    return DV_OK;
}
