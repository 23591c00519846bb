/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/slice.h"

enum { DV_SHORT_HASH_LEN = 16, DV_SHORT_HASH_KEY_LEN = 16 };

/* SipHash-2-4 with 128 bits of output: for tables whose keys an attacker may choose but must not be
 * able to make collide. Not for secrets or signatures. */
void dv_short_hash(const uint8_t key[DV_SHORT_HASH_KEY_LEN], dv_slice message,
                   uint8_t out[DV_SHORT_HASH_LEN]);
