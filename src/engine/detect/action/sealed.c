/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/action/sealed.h"

#include "base/codec.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "engine/detect/action/shape.h"

enum { BLOCK = 8, SIV_BLOCKS = DV_SIV_OVERHEAD / BLOCK, PAD = 0x80 };

static const char mark[] = "dvs_";

enum { MARK_LEN = sizeof(mark) - 1 };

_Static_assert(MARK_LEN + 1 == DV_SEALED_HEAD_LEN, "the mark, and one digit");
_Static_assert(DV_SEALED_BLOCKS_MAX - SIV_BLOCKS < 62, "so many blocks, one digit");

dv_result dv_sealed_new(const uint8_t key[32], dv_siv **ret_siv)
{
    uint8_t derived[DV_SIV_KEY_LEN];
    dv_result result = dv_hkdf(dv_slice_of(key, 32), (dv_slice){NULL, 0},
                               "dvara action sealed token v1", derived, sizeof(derived));
    if (result == DV_OK) {
        result = dv_siv_new(derived, ret_siv);
    }
    dv_wipe(derived, sizeof(derived));
    return result;
}

/* ---- making ---- */

static dv_result append_blocks(const uint8_t *bytes, size_t blocks, dv_buf *out)
{
    char digits[DV_SEALED_BLOCK_LEN];
    for (size_t i = 0; i < blocks; i++) {
        DV_TRY(dv_base62_encode(dv_get_u64(bytes + i * BLOCK), sizeof(digits), digits));
        DV_TRY(dv_buf_append(out, dv_slice_of(digits, sizeof(digits))));
    }
    return DV_OK;
}

static dv_result append_head(size_t blocks, dv_buf *out)
{
    char digit;
    DV_TRY(dv_base62_encode(blocks - SIV_BLOCKS, 1, &digit));
    DV_TRY(dv_buf_append_str(out, mark));
    return dv_buf_append_byte(out, (uint8_t)digit);
}

dv_result dv_sealed_token(dv_siv *siv, dv_slice value, dv_buf *out)
{
    uint8_t plain[DV_SEALED_VALUE_MAX + BLOCK] = {0};
    uint8_t sealed[DV_SIV_OVERHEAD + sizeof(plain)];
    if (value.len == 0 || value.len > DV_SEALED_VALUE_MAX) {
        return DV_ERR_INVALID;
    }
    memcpy(plain, value.ptr, value.len);
    plain[value.len] = PAD;
    size_t len = (value.len / BLOCK + 1) * BLOCK;
    dv_result result = dv_siv_seal(siv, dv_slice_str(mark), dv_slice_of(plain, len), sealed);
    dv_wipe(plain, sizeof(plain));
    DV_TRY(result);
    size_t blocks = SIV_BLOCKS + len / BLOCK;
    DV_TRY(append_head(blocks, out));
    return append_blocks(sealed, blocks, out);
}

/* ---- opening ---- */

size_t dv_sealed_length(dv_slice text, size_t at)
{
    uint64_t blocks = 0;
    dv_slice head = dv_slice_sub(text, at, DV_SEALED_HEAD_LEN);
    if (head.len != DV_SEALED_HEAD_LEN || !dv_slice_starts_with(head, dv_slice_str(mark)) ||
        dv_base62_decode(dv_slice_sub(head, MARK_LEN, 1), &blocks) != DV_OK || blocks == 0 ||
        blocks > DV_SEALED_BLOCKS_MAX - SIV_BLOCKS) {
        return 0;
    }
    size_t digits = (SIV_BLOCKS + (size_t)blocks) * DV_SEALED_BLOCK_LEN;
    dv_slice rest = dv_slice_sub(text, at + DV_SEALED_HEAD_LEN, digits);
    return rest.len == digits && dv_base62_is(rest) ? DV_SEALED_HEAD_LEN + digits : 0;
}

/* Digits that stand for more than 8 bytes are refused, so that a value has one token. */
static dv_result decode(dv_slice digits, uint8_t *ret_bytes)
{
    for (size_t i = 0; i < digits.len / DV_SEALED_BLOCK_LEN; i++) {
        uint64_t block = 0;
        DV_TRY(dv_base62_decode(dv_slice_sub(digits, i * DV_SEALED_BLOCK_LEN, DV_SEALED_BLOCK_LEN),
                                &block));
        dv_put_u64(ret_bytes + i * BLOCK, block);
    }
    return DV_OK;
}

static dv_result append_unpadded(const uint8_t *plain, size_t len, dv_buf *out)
{
    while (len > 0 && plain[len - 1] == 0) {
        len--;
    }
    return len > 1 && plain[len - 1] == PAD ? dv_buf_append(out, dv_slice_of(plain, len - 1))
                                            : DV_ERR_NOT_FOUND;
}

dv_result dv_sealed_open(dv_siv *siv, dv_slice token, dv_buf *out)
{
    uint8_t sealed[DV_SEALED_BLOCKS_MAX * BLOCK], plain[DV_SEALED_BLOCKS_MAX * BLOCK];
    if (token.len == 0 || dv_sealed_length(token, 0) != token.len) {
        return DV_ERR_NOT_FOUND;
    }
    dv_slice digits = dv_slice_sub(token, DV_SEALED_HEAD_LEN, token.len);
    size_t len = digits.len / DV_SEALED_BLOCK_LEN * BLOCK;
    if (decode(digits, sealed) != DV_OK) {
        return DV_ERR_NOT_FOUND;
    }
    dv_result result = dv_siv_open(siv, dv_slice_str(mark), dv_slice_of(sealed, len), plain);
    if (result == DV_OK) {
        result = append_unpadded(plain, len - DV_SIV_OVERHEAD, out);
    }
    dv_wipe(plain, sizeof(plain));
    return result == DV_ERR_CORRUPT ? DV_ERR_NOT_FOUND : result;
}

dv_slice dv_sealed_around(dv_slice text, size_t start, size_t end)
{
    size_t least = end > DV_SEALED_TOKEN_MAX ? end - DV_SEALED_TOKEN_MAX : 0;
    for (size_t at = DV_MIN(start, text.len); at + 1 > least; at--) {
        size_t len = dv_sealed_length(text, at);
        if (len > 0 && at + len >= end) {
            return dv_slice_sub(text, at, len);
        }
        if (at == 0 || (at < start && text.ptr[at] != '_' && !dv_is_alnum(text.ptr[at]))) {
            break;
        }
    }
    return (dv_slice){NULL, 0};
}
