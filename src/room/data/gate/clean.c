/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/gate_private.h"

#include "base/codec.h"

/* Short texts of a caller that are recorded: paths, names, reasons. */

static bool is_key_byte(uint8_t c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Whatever begins like a key of ours, also half of one that no detector would take for whole. */
static dv_result mask_keys(dv_slice text, dv_arena *arena, dv_slice *ret_text)
{
    dv_data_edits edits = {0};
    size_t from = 0;
    for (;;) {
        ptrdiff_t at = dv_slice_find(dv_slice_sub(text, from, text.len), DV_LIT("dvk_"));
        if (at < 0) {
            break;
        }
        size_t start = from + (size_t)at;
        for (from = start; from < text.len && is_key_byte(text.ptr[from]);) {
            from++;
        }
        DV_TRY(dv_data_edits_add(&edits, arena, start, from, DV_LIT("[DVARA_KEY]")));
    }
    *ret_text = text;
    return edits.count > 0 ? dv_data_edits_apply(&edits, text, arena, ret_text) : DV_OK;
}

/* Bytes that are no UTF-8 become '?'. */
static dv_result make_valid(dv_slice text, dv_arena *arena, dv_slice *ret_text)
{
    uint8_t *out = dv_arena_alloc_raw(arena, text.len + 1);
    if (out == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < text.len;) {
        uint32_t code_point = 0;
        size_t len = dv_utf8_decode(dv_slice_sub(text, i, text.len), &code_point);
        memcpy(out + i, len > 0 ? text.ptr + i : (const uint8_t *)"?", DV_MAX(len, (size_t)1));
        i += DV_MAX(len, (size_t)1);
    }
    *ret_text = dv_slice_of(out, text.len);
    return DV_OK;
}

dv_result dv_data_gate_clean(dv_data_gate *gate, dv_slice text, dv_arena *arena, dv_slice *ret_text)
{
    if (text.len == 0 || dv_known_texts_have(&gate->clean, text, dv_detect_standard())) {
        *ret_text = text;
        return DV_OK;
    }
    dv_data_policy policy = {
        .enabled = *dv_detect_standard(), .known = *dv_detect_standard(), .rewrites = true};
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {0};
    memset(policy.actions, DV_ACTION_MASK, sizeof(policy.actions));
    dv_verdict_allow(&verdict, "");
    DV_TRY(make_valid(text, arena, &text));
    DV_TRY(mask_keys(text, arena, &text));
    DV_TRY(dv_data_gate_text(gate, &policy, NULL, false, text, arena, &outcome, &verdict));
    if (verdict.decision != DV_ALLOW) {
        return DV_ERR_TOO_LARGE;
    }
    if (!outcome.changed) {
        dv_known_texts_add(&gate->clean, text, dv_detect_standard());
    }
    *ret_text = outcome.body;
    return DV_OK;
}
