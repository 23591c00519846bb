/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hash.h"
#include "engine/detect/detect_rules.h"

#include <ctype.h>

/* Checks of addresses of blockchains, each of which carries a sum over itself. */

enum {
    ADDRESS_BYTES = 25, /* of base58check: a version, 20 bytes of hash, 4 of sum */
    BECH32_MAX = 90,    /* characters, BIP 173 */
    KECCAK_RATE = 136,  /* bytes, of Keccak-256 */
    ETHEREUM_DIGITS = 40,
};

static const char bitcoin_digits[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
static const char ripple_digits[] = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz";

/* Reads a number of base 58 into exactly ADDRESS_BYTES. */
static bool base58(dv_slice text, const char *digits, uint8_t out[ADDRESS_BYTES])
{
    memset(out, 0, ADDRESS_BYTES);
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = strchr(digits, text.ptr[i]);
        if (digit == NULL || text.ptr[i] == '\0') {
            return false;
        }
        unsigned carry = (unsigned)(digit - digits);
        for (size_t at = ADDRESS_BYTES; at > 0; at--) {
            carry += out[at - 1] * 58u;
            out[at - 1] = (uint8_t)carry;
            carry >>= 8;
        }
        if (carry != 0) {
            return false;
        }
    }
    return true;
}

static bool base58_check(const dv_detect_candidate *c, const char *digits)
{
    uint8_t bytes[ADDRESS_BYTES];
    uint8_t hash[DV_SHA256_LEN];
    const dv_slice none = {NULL, 0};
    if (!base58(dv_slice_sub(c->text, c->start, c->end - c->start), digits, bytes)) {
        return false;
    }
    dv_sha256(dv_slice_of(bytes, ADDRESS_BYTES - 4), none, none, hash);
    dv_sha256(dv_slice_of(hash, sizeof(hash)), none, none, hash);
    return memcmp(hash, bytes + ADDRESS_BYTES - 4, 4) == 0;
}

/* Bitcoin, Litecoin, Dogecoin, Tron. */
bool dv_detect_check_base58(dv_detect_candidate *c)
{
    return base58_check(c, bitcoin_digits);
}

bool dv_detect_check_base58_ripple(dv_detect_candidate *c)
{
    return base58_check(c, ripple_digits);
}

/* ---- BIP 173 and BIP 350 ---- */

static uint32_t bech32_step(uint32_t sum, unsigned value)
{
    static const uint32_t generator[] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd,
                                         0x2a1462b3};
    unsigned top = sum >> 25;
    sum = (sum & 0x1ffffff) << 5 ^ value;
    for (size_t i = 0; i < 5; i++) {
        sum ^= (top >> i & 1) != 0 ? generator[i] : 0;
    }
    return sum;
}

bool dv_detect_check_bech32(dv_detect_candidate *c)
{
    static const char digits[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    char text[BECH32_MAX + 1] = "";
    size_t len = c->end - c->start;
    if (len > BECH32_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        text[i] = (char)tolower(c->text.ptr[c->start + i]);
    }
    text[len] = '\0';
    const char *one = strrchr(text, '1');
    if (one == NULL) {
        return false;
    }
    uint32_t sum = 1;
    for (const char *at = text; at < one; at++) {
        sum = bech32_step(sum, (unsigned)*at >> 5);
    }
    sum = bech32_step(sum, 0);
    for (const char *at = text; at < one; at++) {
        sum = bech32_step(sum, (unsigned)*at & 31);
    }
    for (const char *at = one + 1; *at != '\0'; at++) {
        const char *digit = strchr(digits, *at);
        if (digit == NULL) {
            return false;
        }
        sum = bech32_step(sum, (unsigned)(digit - digits));
    }
    return sum == 1 || sum == 0x2bc830a3;
}

/* ---- EIP-55 ---- */

static uint64_t turned(uint64_t word, unsigned by)
{
    return by == 0 ? word : word << by | word >> (64 - by);
}

/* Keccak-f[1600], as in FIPS 202 section 3.3. */
static void keccak(uint64_t lane[25])
{
    static const uint8_t turns[24] = {1,  3,  6,  10, 15, 21, 28, 36, 45, 55, 2,  14,
                                      27, 41, 56, 8,  25, 43, 62, 18, 39, 61, 20, 44};
    static const uint8_t places[24] = {10, 7,  11, 17, 18, 3, 5,  16, 8,  21, 24, 4,
                                       15, 23, 19, 13, 12, 2, 20, 14, 22, 9,  6,  1};
    static const uint64_t constants[24] = {
        0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
        0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
        0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
        0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
        0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
        0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};
    for (size_t round = 0; round < 24; round++) {
        uint64_t column[5];
        for (size_t x = 0; x < 5; x++) {
            column[x] = lane[x] ^ lane[x + 5] ^ lane[x + 10] ^ lane[x + 15] ^ lane[x + 20];
        }
        for (size_t i = 0; i < 25; i++) {
            lane[i] ^= column[(i + 4) % 5] ^ turned(column[(i + 1) % 5], 1);
        }
        uint64_t moved = lane[1];
        for (size_t i = 0; i < 24; i++) {
            uint64_t next = lane[places[i]];
            lane[places[i]] = turned(moved, turns[i]);
            moved = next;
        }
        for (size_t y = 0; y < 25; y += 5) {
            uint64_t row[5];
            memcpy(row, lane + y, sizeof(row));
            for (size_t x = 0; x < 5; x++) {
                lane[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
            }
        }
        lane[0] ^= constants[round];
    }
}

/* Of a text that is shorter than one block. Not SHA3-256: the padding is older. */
static void keccak256(const char *text, size_t len, uint8_t out[32])
{
    uint8_t block[KECCAK_RATE] = {0};
    uint64_t lane[25] = {0};
    memcpy(block, text, len);
    block[len] = 1;
    block[KECCAK_RATE - 1] |= 0x80;
    for (size_t i = 0; i < KECCAK_RATE; i++) {
        lane[i / 8] |= (uint64_t)block[i] << (i % 8 * 8);
    }
    keccak(lane);
    for (size_t i = 0; i < 32; i++) {
        out[i] = (uint8_t)(lane[i / 8] >> (i % 8 * 8));
    }
}

/* Mixed case is a sum: a letter is a capital where the hash of the address has a high half byte.
 * Addresses of one case carry none, which makes them less sure. */
bool dv_detect_check_ethereum(dv_detect_candidate *c)
{
    enum { SCORE_UNPROVED = 75 };
    const char *address = (const char *)c->text.ptr + c->start + 2;
    char lower[ETHEREUM_DIGITS];
    uint8_t hash[32];
    bool capitals = false;
    bool small = false;
    for (size_t i = 0; i < ETHEREUM_DIGITS; i++) {
        lower[i] = (char)tolower((unsigned char)address[i]);
        capitals |= isupper((unsigned char)address[i]) != 0;
        small |= islower((unsigned char)address[i]) != 0;
    }
    if (!capitals || !small) {
        c->score = SCORE_UNPROVED;
        return true;
    }
    keccak256(lower, sizeof(lower), hash);
    for (size_t i = 0; i < ETHEREUM_DIGITS; i++) {
        bool high = (hash[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15) >= 8;
        if (isalpha((unsigned char)address[i]) &&
            (isupper((unsigned char)address[i]) != 0) != high) {
            return false;
        }
    }
    return true;
}
