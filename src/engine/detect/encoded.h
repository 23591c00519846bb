/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What decode.h finds, for texts of which most hold nothing encoded and that somebody waits for:
 * one pass looks for places where something could stand encoded (marks.h), and only what is around
 * them is decoded.
 *
 * 1. A value in a block (base64, hexadecimal) is told as the whole block: a part of one that is
 *    replaced would leave the rest unreadable. Otherwise it is told as the characters it stands in.
 * 2. Between two encoded characters of a value, and on each side, DV_ENCODED_REACH plain bytes are
 *    seen. A block of more than about DV_ENCODED_MAX bytes is DV_ERR_TOO_LARGE.
 * 3. A block of base64 that begins as gzip or zip does is unpacked (packed.h) and searched in
 * clear. What can't be unpacked within bounds, or is more than DV_ENCODED_UNPACKED in all, is
 * DV_ERR_TOO_LARGE, too.
 * 4. Before the offset that `hold` names nothing changes whatever text follows. */

#include "engine/detect/detect.h"

enum {
    DV_ENCODED_REACH = 512,
    DV_ENCODED_MAX = 2 << 20,
    DV_ENCODED_UNPACKED = 16 << 20, /* bytes unpacked of one text, of all its blocks together */
};

struct dv_view; /* engine/detect/decode_view.h */

typedef struct dv_encoded {
    const dv_detect_rules *rules;
    dv_detect_scratch *scratch;
    const dv_detector_set *enabled;
    dv_arena *arena; /* where the findings lie */
    dv_arena *work;  /* of our own; emptied for each place */
    bool cut;        /* the text begins in the middle of what was searched before */
    bool more;       /* text follows */
    /* Told of every text that was decoded, too, which may hold what stands in clear around it;
     * from: bytes of the original that were told of before; on: text follows. NULL: not asked for.
     */
    dv_result (*seen)(void *data, const struct dv_view *view, size_t from, bool on);
    void *data;
} dv_encoded;

/* What a text means that is UTF-16 of either byte order, a byte a character, in the arena; len 0:
 * it is none. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_encoded_utf16(dv_slice text, dv_arena *arena, dv_slice *ret_meant);

/* Adds what stands encoded, from byte `from` on, to what dv_detect_scan found there: sorted,
 * without overlaps; what is told otherwise than in clear is `encoded`. *hold, with `more`: comes
 * down to the first byte that has to wait. Errors: those of dv_detect_scan. */
dv_must dv_result dv_encoded_find(const dv_encoded *job, dv_slice text, size_t from,
                                  const dv_finding **found, size_t *count, size_t *hold);
