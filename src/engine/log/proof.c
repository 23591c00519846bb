/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/proof.h"

#include "base/codec.h"

#include <inttypes.h>

static const char first_line[] = "c2sp.org/tlog-proof@v1";

dv_result dv_tlog_proof_format(const dv_tlog_proof *proof, dv_buf *out)
{
    DV_TRY(dv_buf_append_printf(out, "%s\n", first_line));
    if (proof->extra.len > 0) {
        DV_TRY(dv_buf_append_str(out, "extra "));
        DV_TRY(dv_buf_append(out, proof->extra));
        DV_TRY(dv_buf_append_byte(out, '\n'));
    }
    DV_TRY(dv_buf_append_printf(out, "index %" PRIu64 "\n", proof->index));
    for (size_t i = 0; i < proof->hash_count; i++) {
        DV_TRY(dv_hash_format(&proof->hashes[i], out));
        DV_TRY(dv_buf_append_byte(out, '\n'));
    }
    DV_TRY(dv_buf_append_byte(out, '\n'));
    return dv_buf_append(out, proof->checkpoint);
}

/* The rest of the line behind `word` and a space. */
static bool line_of(dv_slice line, dv_slice word, dv_slice *ret_rest)
{
    if (!dv_slice_starts_with(line, word)) {
        return false;
    }
    *ret_rest = dv_slice_sub(line, word.len, line.len);
    return true;
}

static dv_result read_extra(dv_slice text, dv_slice *ret_extra)
{
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_TLOG_PROOF_EXTRA_MAX);
    if (text.len == 0 || text.len > DV_TLOG_PROOF_EXTRA_MAX) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_base64_decode(text, &bytes));
    *ret_extra = text;
    return DV_OK;
}

static dv_result read_head(dv_slice *rest, dv_tlog_proof *proof)
{
    dv_slice line, value;
    if (!dv_slice_split(rest, '\n', &line) || !dv_slice_eq_str(line, first_line) ||
        !dv_slice_split(rest, '\n', &line)) {
        return DV_ERR_INVALID;
    }
    if (line_of(line, DV_LIT("extra "), &value)) {
        DV_TRY(read_extra(value, &proof->extra));
        if (!dv_slice_split(rest, '\n', &line)) {
            return DV_ERR_INVALID;
        }
    }
    return line_of(line, DV_LIT("index "), &value) ? dv_decimal_parse(value, &proof->index)
                                                   : DV_ERR_INVALID;
}

static dv_result read_hashes(dv_slice *rest, dv_tlog_proof *proof)
{
    dv_slice line;
    while (dv_slice_split(rest, '\n', &line)) {
        if (line.len == 0) {
            return DV_OK;
        }
        if (proof->hash_count == DV_TLOG_PROOF_HASHES_MAX) {
            return DV_ERR_TOO_LARGE;
        }
        DV_TRY(dv_hash_parse(line, &proof->hashes[proof->hash_count++]));
    }
    return DV_ERR_INVALID; /* there is no empty line */
}

static dv_result parse(dv_slice text, dv_tlog_proof *proof)
{
    dv_note parts;
    if (text.len > DV_TLOG_PROOF_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(read_head(&text, proof));
    DV_TRY(read_hashes(&text, proof));
    DV_TRY(dv_note_split(text, &parts));
    proof->checkpoint = text;
    return DV_OK;
}

dv_result dv_tlog_proof_parse(dv_slice text, dv_tlog_proof *ret_proof, dv_error *error)
{
    dv_tlog_proof proof = {.index = 0};
    dv_result result = parse(text, &proof);
    if (result != DV_OK) {
        return dv_error_set(error, result,
                            result == DV_ERR_TOO_LARGE ? "the proof is too large"
                                                       : "this is no proof (c2sp.org/tlog-proof)");
    }
    *ret_proof = proof;
    return DV_OK;
}

dv_result dv_tlog_proof_verify(const dv_tlog_proof *proof, dv_slice entry,
                               const dv_checkpoint *checkpoint)
{
    dv_hash leaf = dv_merkle_leaf(entry);
    return dv_merkle_verify_inclusion(proof->index, checkpoint->size, &leaf, proof->hashes,
                                      proof->hash_count, &checkpoint->root);
}
