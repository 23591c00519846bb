/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Fingerprints of letters by winnowing (Schleimer, Wilkerson, Aiken: Winnowing, SIGMOD 2003): of
 * each DV_FINGERPRINT_WINDOW neighbouring hashes of DV_FINGERPRINT_GRAM letters the smallest is
 * kept, the rightmost of equals. So a passage of DV_FINGERPRINT_SURE letters has one wherever it
 * stands. The rolling hash is a cyclic polynomial over letters' secret hashes. */

#include "engine/detect/fingerprint/format.h"

enum { DV_WINNOW_RING = 64 };
_Static_assert((int)DV_WINNOW_RING > DV_FINGERPRINT_WINDOW, "a window fits");

typedef struct dv_winnow {
    const dv_set_keys *keys;
    const uint8_t *letters;
    size_t count;
    size_t next;                     /* the gram that is hashed next, */
    uint64_t rolling;                /* and the hash of the one before it */
    size_t kept;                     /* the gram that was told last; SIZE_MAX: none */
    size_t least;                    /* the smallest of the window */
    uint64_t hashes[DV_WINNOW_RING]; /* by gram, modulo */
} dv_winnow;

void dv_winnow_begin(dv_winnow *winnow, const dv_set_keys *keys, const uint8_t *letters,
                     size_t count);
/* The next fingerprint, and the letter that its gram begins with. False: there is none. */
bool dv_winnow_next(dv_winnow *winnow, uint64_t *ret_hash, size_t *ret_at);
