/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tokens that carry their value: no vault grows with them, nobody has to be asked for one, and the
 * same value has the same token everywhere under the same key. Who has the key can open them.
 *
 * "dvs_", one base62 digit that says how long it is, and 11 digits for each 8 bytes (little-endian)
 * of what AES-256-SIV (RFC 5297) makes of the value, padded with 0x80 and zeros. So a token tells
 * the length of its value to within 8 bytes, and which values are the same, and no more; one that
 * was changed, or made up, does not open. */

#include "base/buf.h"
#include "crypto/siv.h"

enum {
    DV_SEALED_VALUE_MAX = 480, /* bytes */
    DV_SEALED_HEAD_LEN = 5,    /* "dvs_" and the digit */
    DV_SEALED_BLOCK_LEN = 11,  /* digits of 8 bytes */
    DV_SEALED_BLOCKS_MAX = (DV_SIV_OVERHEAD + DV_SEALED_VALUE_MAX + 8) / 8,
    DV_SEALED_TOKEN_MAX = DV_SEALED_HEAD_LEN + DV_SEALED_BLOCK_LEN * DV_SEALED_BLOCKS_MAX,
};

/* key: 32 bytes, that of the actions (action.h). Not for two threads at once. */
dv_must dv_result dv_sealed_new(const uint8_t key[32], dv_siv **ret_siv);

/* Appends the value's token. Errors: DV_ERR_INVALID (empty, or longer than DV_SEALED_VALUE_MAX). */
dv_must dv_result dv_sealed_token(dv_siv *siv, dv_slice value, dv_buf *out);
/* Appends the value. Errors: DV_ERR_NOT_FOUND: it is no token, or none under this key. */
dv_must dv_result dv_sealed_open(dv_siv *siv, dv_slice token, dv_buf *out);

/* How long the token is that begins at `at`; 0: none does, or the text ends within. That it opens
 * is not said. */
size_t dv_sealed_length(dv_slice text, size_t at);
/* The token that holds the bytes from start to end; empty: none does. */
dv_slice dv_sealed_around(dv_slice text, size_t start, size_t end);
