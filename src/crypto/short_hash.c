/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/short_hash.h"

#include <sodium/crypto_shorthash_siphash24.h>

_Static_assert(DV_SHORT_HASH_LEN == crypto_shorthash_siphashx24_BYTES, "the hash's size");
_Static_assert(DV_SHORT_HASH_KEY_LEN == crypto_shorthash_siphashx24_KEYBYTES, "the key's size");

void dv_short_hash(const uint8_t key[DV_SHORT_HASH_KEY_LEN], dv_slice message,
                   uint8_t out[DV_SHORT_HASH_LEN])
{
    (void)crypto_shorthash_siphashx24(out, message.ptr, message.len, key);
}
