/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/result.h"
#include "base/slice.h"

/* FF1, format-preserving encryption with AES (NIST SP 800-38G section 5.1): a text of digits
 * becomes another of the same length and radix. It is a permutation, so no two values become one;
 * it proves nothing about who made it. Small domains are guessable: SP 800-38G revision 1 asks for
 * radix^len of 1,000,000 at least, which the caller holds to; here 100 is enough, as in the first
 * edition. */
enum {
    DV_FF1_RADIX_MAX = 1 << 16,
    DV_FF1_DIGITS_MAX = 1024,
    DV_FF1_TWEAK_MAX = 1 << 16,
};

typedef struct dv_ff1 dv_ff1;

/* A key (16, 24 or 32 bytes) prepared once; not for two threads at once. Errors: DV_ERR_INVALID
 * (key or radix), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_ff1_new(dv_slice key, uint32_t radix, dv_ff1 **ret_ff1);
void dv_ff1_free(dv_ff1 *ff1);
DV_DEFINE_AUTO_PTR(ff1, dv_ff1, dv_ff1_free)

/* Writes len digits, each below the radix, the most significant first; out may be in. The tweak
 * need not be secret. Errors: DV_ERR_INVALID (too few digits, or one that is none),
 * DV_ERR_TOO_LARGE. */
dv_must dv_result dv_ff1_encrypt(dv_ff1 *ff1, dv_slice tweak, const uint16_t *in, size_t len,
                                 uint16_t *out);
dv_must dv_result dv_ff1_decrypt(dv_ff1 *ff1, dv_slice tweak, const uint16_t *in, size_t len,
                                 uint16_t *out);
