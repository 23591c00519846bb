/* SPDX-License-Identifier: Apache-2.0 */
#include "base/siphash.h"

#include "base/codec.h"

#include <errno.h>
#include <pthread.h>
#include <sys/random.h>

static uint8_t process_key[16];
static bool process_key_ready;
static pthread_once_t process_key_once = PTHREAD_ONCE_INIT;

static inline uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static inline void half_round(uint64_t *a, uint64_t *b, unsigned bits)
{
    *a += *b;
    *b = rotate_left(*b, bits) ^ *a;
}

static inline void sip_round(uint64_t v[4])
{
    half_round(&v[0], &v[1], 13);
    v[0] = rotate_left(v[0], 32);
    half_round(&v[2], &v[3], 16);
    half_round(&v[0], &v[3], 21);
    half_round(&v[2], &v[1], 17);
    v[2] = rotate_left(v[2], 32);
}

static inline void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

/* The last word: what is left over, and the length's low byte on top (section 2.2 of the paper). */
static uint64_t last_word(dv_slice bytes)
{
    size_t whole = bytes.len & ~(size_t)7;
    uint64_t word = (uint64_t)bytes.len << 56;
    for (size_t i = whole; i < bytes.len; i++) {
        word |= (uint64_t)bytes.ptr[i] << (8 * (i - whole));
    }
    return word;
}

uint64_t dv_siphash(const uint8_t key[16], dv_slice bytes)
{
    uint64_t k0 = dv_get_u64(key);
    uint64_t k1 = dv_get_u64(key + 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                     k1 ^ 0x7465646279746573};
    for (size_t i = 0; i + 8 <= bytes.len; i += 8) {
        absorb(v, dv_get_u64(bytes.ptr + i));
    }
    absorb(v, last_word(bytes));
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void process_key_make(void)
{
    ssize_t got;
    do {
        got = getrandom(process_key, sizeof(process_key), 0);
    } while (got < 0 && errno == EINTR);
    process_key_ready = got == (ssize_t)sizeof(process_key);
}

dv_result dv_siphash_process_key(const uint8_t **ret_key)
{
    if (pthread_once(&process_key_once, process_key_make) != 0 || !process_key_ready) {
        return DV_ERR_INTERNAL;
    }
    *ret_key = process_key;
    return DV_OK;
}
