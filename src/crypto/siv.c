/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/siv.h"

#include "crypto/random.h"

#include <openssl/evp.h>

/* OpenSSL 3.0's EVP cipher "AES-256-SIV" takes one message for each setting of a key, which costs
 * 2.2 microseconds. This is RFC 5297 over OpenSSL's AES with contexts that are kept: 0.2. */

enum { BLOCK = 16, HALF = DV_SIV_KEY_LEN / 2, MANY = 16 * BLOCK };

typedef struct block {
    uint8_t bytes[BLOCK];
} block;

struct dv_siv {
    EVP_CIPHER_CTX *mac;     /* AES under K1 */
    EVP_CIPHER_CTX *counter; /* AES under K2 */
    block k1, k2;            /* CMAC's subkeys */
    block zero;              /* CMAC of a zero block, where S2V begins */
    block none;              /* S2V where nothing is associated */
};

/* -- AES --------------------------------------------------------------------------------------- */

static EVP_CIPHER_CTX *aes_new(const uint8_t *key)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (context != NULL && (EVP_EncryptInit_ex(context, EVP_aes_256_ecb(), NULL, key, NULL) != 1 ||
                            EVP_CIPHER_CTX_set_padding(context, 0) != 1)) {
        EVP_CIPHER_CTX_free(context);
        return NULL;
    }
    return context;
}

/* Whole blocks, in place where in is out. */
static bool aes(EVP_CIPHER_CTX *context, const uint8_t *in, size_t len, uint8_t *out)
{
    int written;
    return EVP_EncryptUpdate(context, out, &written, in, (int)len) == 1;
}

/* -- CMAC (NIST SP 800-38B) -------------------------------------------------------------------- */

static block xor_blocks(block a, const uint8_t *b)
{
    for (int i = 0; i < BLOCK; i++) {
        a.bytes[i] ^= b[i];
    }
    return a;
}

/* Multiplication by x in GF(2^128) (RFC 5297 section 2.3), without a branch on the value. */
static block doubled(block a)
{
    block out;
    uint8_t carry = (uint8_t)(a.bytes[0] >> 7);
    for (int i = 0; i < BLOCK - 1; i++) {
        out.bytes[i] = (uint8_t)(a.bytes[i] << 1 | a.bytes[i + 1] >> 7);
    }
    out.bytes[BLOCK - 1] = (uint8_t)(a.bytes[BLOCK - 1] << 1 ^ (0x87 & -carry));
    return out;
}

/* The rest of a block, a one and zeros. */
static block padded(dv_slice rest)
{
    block out = {{0}};
    if (rest.len > 0) {
        memcpy(out.bytes, rest.ptr, rest.len);
    }
    out.bytes[rest.len] = 0x80;
    return out;
}

/* Takes whole blocks into the state. */
static bool chain(dv_siv *siv, block *state, dv_slice blocks)
{
    for (size_t at = 0; at < blocks.len; at += BLOCK) {
        *state = xor_blocks(*state, blocks.ptr + at);
        if (!aes(siv->mac, state->bytes, BLOCK, state->bytes)) {
            return false;
        }
    }
    return true;
}

/* The last block of a text: whole, or shorter (only an empty text has an empty one). */
static bool finish(dv_siv *siv, block *state, dv_slice last)
{
    block end =
        last.len == BLOCK ? xor_blocks(siv->k1, last.ptr) : xor_blocks(siv->k2, padded(last).bytes);
    return chain(siv, state, dv_slice_of(end.bytes, BLOCK));
}

/* How much of a text is its last block. */
static size_t last_block(size_t len)
{
    return len == 0 ? 0 : (len - 1) % BLOCK + 1;
}

static bool cmac(dv_siv *siv, dv_slice text, block *ret)
{
    size_t before = text.len - last_block(text.len);
    *ret = (block){{0}};
    return chain(siv, ret, dv_slice_sub(text, 0, before)) &&
           finish(siv, ret, dv_slice_sub(text, before, BLOCK));
}

/* CMAC(plain xorend d) (RFC 5297 section 2.1): d is added to the last 16 bytes, which can reach
 * over two blocks. */
static bool cmac_xorend(dv_siv *siv, dv_slice plain, block d, block *ret)
{
    uint8_t end[2 * BLOCK];
    size_t last = last_block(plain.len);
    size_t end_len = last == BLOCK ? BLOCK : BLOCK + last;
    dv_slice before = dv_slice_sub(plain, 0, plain.len - end_len);
    memcpy(end, plain.ptr + before.len, end_len);
    for (size_t i = 0; i < BLOCK; i++) {
        end[end_len - BLOCK + i] ^= d.bytes[i];
    }
    *ret = (block){{0}};
    bool ok = chain(siv, ret, before) && chain(siv, ret, dv_slice_of(end, end_len - last)) &&
              finish(siv, ret, dv_slice_of(end + end_len - last, last));
    dv_wipe(end, sizeof(end));
    return ok;
}

/* S2V of one component, before the plain text is added. */
static bool begin_s2v(dv_siv *siv, dv_slice associated, block *ret)
{
    block sum;
    if (!cmac(siv, associated, &sum)) {
        return false;
    }
    *ret = xor_blocks(doubled(siv->zero), sum.bytes);
    return true;
}

/* S2V(associated, plain), section 2.4. */
static bool synthetic_iv(dv_siv *siv, dv_slice associated, dv_slice plain, block *ret)
{
    block d = siv->none;
    if (associated.len > 0 && !begin_s2v(siv, associated, &d)) {
        return false;
    }
    if (plain.len >= BLOCK) {
        return cmac_xorend(siv, plain, d, ret);
    }
    d = xor_blocks(doubled(d), padded(plain).bytes);
    return cmac(siv, dv_slice_of(d.bytes, BLOCK), ret);
}

/* -- CTR --------------------------------------------------------------------------------------- */

/* The next count of counter blocks; *counter goes on. */
static void fill_counters(block *counter, uint8_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        memcpy(out + i * BLOCK, counter->bytes, BLOCK);
        for (int at = BLOCK - 1; at >= 0 && ++counter->bytes[at] == 0; at--) {
        }
    }
}

/* Section 2.5: the IV's top bits of the last two words are cleared. */
static bool apply_stream(dv_siv *siv, block iv, dv_slice in, uint8_t *out)
{
    uint8_t stream[MANY] = {0};
    bool ok = true;
    iv.bytes[8] &= 0x7f;
    iv.bytes[12] &= 0x7f;
    for (size_t at = 0; at < in.len && ok; at += MANY) {
        size_t len = DV_MIN(in.len - at, (size_t)MANY);
        size_t blocks = (len + BLOCK - 1) / BLOCK;
        fill_counters(&iv, stream, blocks);
        ok = aes(siv->counter, stream, blocks * BLOCK, stream);
        for (size_t i = 0; i < len; i++) {
            out[at + i] = in.ptr[at + i] ^ stream[i];
        }
    }
    dv_wipe(stream, DV_MIN(in.len + BLOCK, sizeof(stream)));
    return ok;
}

/* -- the cipher -------------------------------------------------------------------------------- */

static bool prepare(dv_siv *siv, const uint8_t *key)
{
    static const block none = {{0}};
    siv->mac = aes_new(key);
    siv->counter = aes_new(key + HALF);
    if (siv->mac == NULL || siv->counter == NULL ||
        !aes(siv->mac, none.bytes, BLOCK, siv->k1.bytes)) {
        return false;
    }
    siv->k1 = doubled(siv->k1);
    siv->k2 = doubled(siv->k1);
    return cmac(siv, dv_slice_of(none.bytes, BLOCK), &siv->zero) &&
           begin_s2v(siv, (dv_slice){NULL, 0}, &siv->none);
}

dv_result dv_siv_new(const uint8_t key[DV_SIV_KEY_LEN], dv_siv **ret_siv)
{
    dv_siv *siv = calloc(1, sizeof(*siv));
    if (siv == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (!prepare(siv, key)) {
        dv_siv_free(siv);
        return DV_ERR_NO_MEMORY;
    }
    *ret_siv = siv;
    return DV_OK;
}

void dv_siv_free(dv_siv *siv)
{
    if (siv != NULL) {
        EVP_CIPHER_CTX_free(siv->mac); /* OpenSSL cleanses the expanded key */
        EVP_CIPHER_CTX_free(siv->counter);
        dv_wipe(siv, sizeof(*siv));
        free(siv);
    }
}

dv_result dv_siv_seal(dv_siv *siv, dv_slice associated, dv_slice plain, uint8_t *out)
{
    block iv;
    if (plain.len > DV_SIV_TEXT_MAX || associated.len > DV_SIV_TEXT_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    if (!synthetic_iv(siv, associated, plain, &iv) ||
        !apply_stream(siv, iv, plain, out + DV_SIV_OVERHEAD)) {
        return DV_ERR_INTERNAL;
    }
    memcpy(out, iv.bytes, BLOCK);
    return DV_OK;
}

dv_result dv_siv_open(dv_siv *siv, dv_slice associated, dv_slice sealed, uint8_t *out)
{
    block iv, expected;
    if (sealed.len < DV_SIV_OVERHEAD || sealed.len > DV_SIV_TEXT_MAX + DV_SIV_OVERHEAD) {
        return DV_ERR_CORRUPT;
    }
    dv_slice hidden = dv_slice_sub(sealed, DV_SIV_OVERHEAD, sealed.len);
    memcpy(iv.bytes, sealed.ptr, BLOCK);
    bool ok =
        apply_stream(siv, iv, hidden, out) &&
        synthetic_iv(siv, associated, dv_slice_of(out, hidden.len), &expected) &&
        dv_equal_constant_time(dv_slice_of(iv.bytes, BLOCK), dv_slice_of(expected.bytes, BLOCK));
    if (!ok) {
        dv_wipe(out, hidden.len);
    }
    return ok ? DV_OK : DV_ERR_CORRUPT;
}
