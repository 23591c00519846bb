/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/ff1.h"

#include "crypto/random.h"

#include <openssl/bn.h>
#include <openssl/evp.h>

/* Both halves are kept as numbers. Up to 96 bits each they fit a machine's; beyond that OpenSSL
 * reckons. Names are the standard's: u and v digits, b bytes of a half, d bytes of what the rounds
 * make. */

enum {
    BLOCK = 16,
    ROUNDS = 10,
    NARROW_BYTES = 12,                          /* of a half: d is 16 then */
    HALF_BYTES_MAX = DV_FF1_DIGITS_MAX / 2 * 2, /* 16 bits a digit */
    MADE_MAX = HALF_BYTES_MAX + 8 + BLOCK,
};

__extension__ typedef unsigned __int128 wide;

struct dv_ff1 {
    EVP_CIPHER_CTX *aes;
    BN_CTX *numbers;
    uint32_t radix;
};

/* One text under way. */
typedef struct run {
    dv_ff1 *ff1;
    size_t u, v, b, d;
    uint8_t prefix[BLOCK]; /* CBC-MAC over P and the tweak's whole blocks */
    uint8_t rest[BLOCK];   /* what follows them, zero bytes included, before the round's number */
    size_t rest_len;
} run;

/* -- the key ----------------------------------------------------------------------------------- */

static const EVP_CIPHER *cipher_of(size_t key_len)
{
    switch (key_len) {
    case 16:
        return EVP_aes_128_ecb();
    case 24:
        return EVP_aes_192_ecb();
    case 32:
        return EVP_aes_256_ecb();
    default:
        return NULL;
    }
}

dv_result dv_ff1_new(dv_slice key, uint32_t radix, dv_ff1 **ret_ff1)
{
    const EVP_CIPHER *cipher = cipher_of(key.len);
    if (cipher == NULL || radix < 2 || radix > DV_FF1_RADIX_MAX) {
        return DV_ERR_INVALID;
    }
    dv_ff1 *ff1 = calloc(1, sizeof(*ff1));
    if (ff1 == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    ff1->radix = radix;
    ff1->aes = EVP_CIPHER_CTX_new();
    ff1->numbers = BN_CTX_secure_new();
    if (ff1->aes == NULL || ff1->numbers == NULL ||
        EVP_EncryptInit_ex(ff1->aes, cipher, NULL, key.ptr, NULL) != 1 ||
        EVP_CIPHER_CTX_set_padding(ff1->aes, 0) != 1) {
        dv_ff1_free(ff1);
        return DV_ERR_NO_MEMORY;
    }
    *ret_ff1 = ff1;
    return DV_OK;
}

void dv_ff1_free(dv_ff1 *ff1)
{
    if (ff1 != NULL) {
        EVP_CIPHER_CTX_free(ff1->aes);
        BN_CTX_free(ff1->numbers);
        free(ff1);
    }
}

/* -- the rounds' function ---------------------------------------------------------------------- */

static bool aes(dv_ff1 *ff1, const uint8_t in[BLOCK], uint8_t out[BLOCK])
{
    int written;
    return EVP_EncryptUpdate(ff1->aes, out, &written, in, BLOCK) == 1;
}

static bool chain(dv_ff1 *ff1, uint8_t state[BLOCK], const uint8_t *block)
{
    for (int i = 0; i < BLOCK; i++) {
        state[i] ^= block[i];
    }
    return aes(ff1, state, state);
}

static void put_u32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

/* Bytes that v digits need: ceil(ceil(v * log2(radix)) / 8), reckoned exactly. */
static dv_result bytes_of_half(const dv_ff1 *ff1, size_t v, size_t *ret_bytes)
{
    BIGNUM *power = BN_new();
    bool ok = power != NULL && BN_one(power) == 1;
    for (size_t i = 0; i < v && ok; i++) {
        ok = BN_mul_word(power, ff1->radix) == 1;
    }
    ok = ok && BN_sub_word(power, 1) == 1; /* the greatest number of v digits */
    if (ok) {
        *ret_bytes = (size_t)BN_num_bytes(power);
    }
    BN_free(power);
    return ok ? DV_OK : DV_ERR_NO_MEMORY;
}

/* Whether radix^len is below 100. */
static bool too_small(const dv_ff1 *ff1, size_t len)
{
    uint64_t domain = 1;
    for (size_t i = 0; i < len && domain < 100; i++) {
        domain *= ff1->radix;
    }
    return len < 2 || domain < 100;
}

/* Steps 1 to 5, and what of step 6i is the same in every round. */
static dv_result begin(dv_ff1 *ff1, dv_slice tweak, const uint16_t *in, size_t len, run *ret)
{
    uint8_t p[BLOCK] = {1, 2, 1};
    run r = {.ff1 = ff1, .u = len / 2, .v = len - len / 2};
    if (len > DV_FF1_DIGITS_MAX || tweak.len > DV_FF1_TWEAK_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    for (size_t i = 0; i < len; i++) {
        if (in[i] >= ff1->radix) {
            return DV_ERR_INVALID;
        }
    }
    if (too_small(ff1, len)) {
        return DV_ERR_INVALID;
    }
    DV_TRY(bytes_of_half(ff1, r.v, &r.b));
    r.d = 4 * ((r.b + 3) / 4) + 4;
    p[3] = (uint8_t)(ff1->radix >> 16);
    p[4] = (uint8_t)(ff1->radix >> 8);
    p[5] = (uint8_t)ff1->radix;
    p[6] = ROUNDS;
    p[7] = (uint8_t)r.u;
    put_u32(p + 8, (uint32_t)len);
    put_u32(p + 12, (uint32_t)tweak.len);
    bool ok = chain(ff1, r.prefix, p);
    size_t whole = tweak.len / BLOCK * BLOCK;
    for (size_t at = 0; at < whole && ok; at += BLOCK) {
        ok = chain(ff1, r.prefix, tweak.ptr + at);
    }
    if (tweak.len > whole) {
        memcpy(r.rest, tweak.ptr + whole, tweak.len - whole);
    }
    r.rest_len = tweak.len - whole;
    *ret = r;
    return ok ? DV_OK : DV_ERR_INTERNAL;
}

/* Steps 6i to 6iii: d bytes from the round's number and the other half's b bytes. */
static dv_result make(const run *r, unsigned round, const uint8_t *half, uint8_t *out)
{
    uint8_t q[2 * BLOCK + HALF_BYTES_MAX];
    uint8_t state[BLOCK];
    size_t pad = (BLOCK - (r->rest_len + r->b + 1) % BLOCK) % BLOCK;
    size_t len = r->rest_len + pad + 1 + r->b;
    memcpy(q, r->rest, r->rest_len);
    memset(q + r->rest_len, 0, pad);
    q[r->rest_len + pad] = (uint8_t)round;
    memcpy(q + r->rest_len + pad + 1, half, r->b);
    memcpy(state, r->prefix, BLOCK);
    bool ok = true;
    for (size_t at = 0; at < len && ok; at += BLOCK) {
        ok = chain(r->ff1, state, q + at);
    }
    memcpy(out, state, BLOCK);
    for (size_t at = BLOCK; at < r->d && ok; at += BLOCK) {
        uint8_t next[BLOCK] = {0};
        put_u32(next + 12, (uint32_t)(at / BLOCK));
        for (int i = 0; i < BLOCK; i++) {
            next[i] ^= state[i];
        }
        ok = aes(r->ff1, next, out + at);
    }
    dv_wipe(q, len);
    return ok ? DV_OK : DV_ERR_INTERNAL;
}

/* -- halves of at most 96 bits ----------------------------------------------------------------- */

static wide narrow_number(const run *r, const uint16_t *digits, size_t len)
{
    wide number = 0;
    for (size_t i = 0; i < len; i++) {
        number = number * r->ff1->radix + digits[i];
    }
    return number;
}

static wide narrow_power(const run *r, size_t exponent)
{
    wide power = 1;
    for (size_t i = 0; i < exponent; i++) {
        power *= r->ff1->radix;
    }
    return power;
}

static void narrow_digits(const run *r, wide number, size_t len, uint16_t *out)
{
    for (size_t i = len; i > 0; i--) {
        out[i - 1] = (uint16_t)(number % r->ff1->radix);
        number /= r->ff1->radix;
    }
}

/* y mod radix^m of one round. d is 16 at most, so y fits. */
static dv_result narrow_round(const run *r, unsigned round, wide half, wide modulus, wide *ret)
{
    uint8_t bytes[BLOCK], made[BLOCK];
    for (size_t i = r->b; i > 0; i--) {
        bytes[i - 1] = (uint8_t)half;
        half >>= 8;
    }
    DV_TRY(make(r, round, bytes, made));
    wide y = 0;
    for (size_t i = 0; i < r->d; i++) {
        y = y << 8 | made[i];
    }
    *ret = y % modulus;
    return DV_OK;
}

static dv_result narrow_run(const run *r, const uint16_t *in, bool encrypt, uint16_t *out)
{
    wide a = narrow_number(r, in, r->u);
    wide b = narrow_number(r, in + r->u, r->v);
    const wide modulus[2] = {narrow_power(r, r->u), narrow_power(r, r->v)};
    for (unsigned step = 0; step < ROUNDS; step++) {
        unsigned round = encrypt ? step : ROUNDS - 1 - step;
        wide m = modulus[round % 2];
        wide y, c;
        DV_TRY(narrow_round(r, round, encrypt ? b : a, m, &y));
        if (encrypt) {
            c = (a + y) % m;
            a = b;
            b = c;
        } else {
            c = (b + (m - y)) % m;
            b = a;
            a = c;
        }
    }
    narrow_digits(r, a, r->u, out);
    narrow_digits(r, b, r->v, out + r->u);
    return DV_OK;
}

/* -- wider halves ------------------------------------------------------------------------------ */

typedef struct big {
    BIGNUM *a, *b, *y;
    BIGNUM *modulus[2];
} big;

static bool big_number(const run *r, const uint16_t *digits, size_t len, BIGNUM *number)
{
    bool ok = true;
    BN_zero(number);
    for (size_t i = 0; i < len && ok; i++) {
        ok = BN_mul_word(number, r->ff1->radix) == 1 && BN_add_word(number, digits[i]) == 1;
    }
    return ok;
}

static bool big_power(const run *r, size_t exponent, BIGNUM *power)
{
    bool ok = BN_one(power) == 1;
    for (size_t i = 0; i < exponent && ok; i++) {
        ok = BN_mul_word(power, r->ff1->radix) == 1;
    }
    return ok;
}

static bool big_digits(const run *r, BIGNUM *number, size_t len, uint16_t *out)
{
    for (size_t i = len; i > 0; i--) {
        BN_ULONG digit = BN_div_word(number, r->ff1->radix);
        if (digit == (BN_ULONG)-1) {
            return false;
        }
        out[i - 1] = (uint16_t)digit;
    }
    return true;
}

static bool big_round(const run *r, unsigned round, const big *n, bool encrypt)
{
    uint8_t half[HALF_BYTES_MAX], made[MADE_MAX];
    BIGNUM *target = encrypt ? n->a : n->b;
    const BIGNUM *m = n->modulus[round % 2];
    bool ok = BN_bn2binpad(encrypt ? n->b : n->a, half, (int)r->b) == (int)r->b &&
              make(r, round, half, made) == DV_OK && BN_bin2bn(made, (int)r->d, n->y) != NULL &&
              (encrypt ? BN_mod_add : BN_mod_sub)(target, target, n->y, m, r->ff1->numbers) == 1;
    BN_swap(n->a, n->b);
    dv_wipe(half, r->b);
    return ok;
}

static dv_result big_run(const run *r, const uint16_t *in, bool encrypt, uint16_t *out)
{
    BN_CTX *context = r->ff1->numbers;
    BN_CTX_start(context);
    big n = {.a = BN_CTX_get(context), .b = BN_CTX_get(context), .y = BN_CTX_get(context)};
    n.modulus[0] = BN_CTX_get(context);
    n.modulus[1] = BN_CTX_get(context);
    bool ok = n.modulus[1] != NULL && big_number(r, in, r->u, n.a) &&
              big_number(r, in + r->u, r->v, n.b) && big_power(r, r->u, n.modulus[0]) &&
              big_power(r, r->v, n.modulus[1]);
    for (unsigned step = 0; step < ROUNDS && ok; step++) {
        ok = big_round(r, encrypt ? step : ROUNDS - 1 - step, &n, encrypt);
    }
    ok = ok && big_digits(r, n.a, r->u, out) && big_digits(r, n.b, r->v, out + r->u);
    BN_CTX_end(context);
    return ok ? DV_OK : DV_ERR_INTERNAL;
}

/* -- the cipher -------------------------------------------------------------------------------- */

static dv_result cipher(dv_ff1 *ff1, dv_slice tweak, const uint16_t *in, size_t len, bool encrypt,
                        uint16_t *out)
{
    run r;
    DV_TRY(begin(ff1, tweak, in, len, &r));
    return r.b <= NARROW_BYTES ? narrow_run(&r, in, encrypt, out) : big_run(&r, in, encrypt, out);
}

dv_result dv_ff1_encrypt(dv_ff1 *ff1, dv_slice tweak, const uint16_t *in, size_t len, uint16_t *out)
{
    return cipher(ff1, tweak, in, len, true, out);
}

dv_result dv_ff1_decrypt(dv_ff1 *ff1, dv_slice tweak, const uint16_t *in, size_t len, uint16_t *out)
{
    return cipher(ff1, tweak, in, len, false, out);
}
