/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include "base/codec.h"

#include <errno.h>
#include <pthread.h>
#include <sys/random.h>

/* The request path makes one each request, so random bytes are fetched in bulk; a forked child
 * drops the pool, or both would make the same ids. */
static __thread struct {
    uint8_t bytes[512];
    size_t left;
} pool;

static void pool_drop(void)
{
    pool.left = 0;
}

__attribute__((constructor)) static void pool_guard_forks(void)
{
    if (pthread_atfork(NULL, NULL, pool_drop) != 0) {
        abort();
    }
}

static void pool_fill(void)
{
    size_t have = 0;
    while (have < sizeof(pool.bytes)) {
        ssize_t got = getrandom(pool.bytes + have, sizeof(pool.bytes) - have, 0);
        if (got > 0) {
            have += (size_t)got;
        } else if (errno != EINTR) {
            abort();
        }
    }
    pool.left = sizeof(pool.bytes);
}

static void pool_take(uint8_t *out, size_t len)
{
    if (pool.left < len) {
        pool_fill();
    }
    pool.left -= len;
    memcpy(out, pool.bytes + pool.left, len);
}

/* RFC 9562 section 5.7: 48 bits of milliseconds, version, 12 random bits, variant, 62 random. The
 * 12 bits hold the fraction of the millisecond instead (section 6.2, method 3), so that ids of one
 * process sort by time. */
dv_uuid dv_uuid_new(dv_time now)
{
    dv_uuid uuid;
    uint64_t milliseconds = (uint64_t)now / (uint64_t)DV_MILLISECOND;
    uint64_t fraction =
        ((uint64_t)now % (uint64_t)DV_MILLISECOND) * 4096 / (uint64_t)DV_MILLISECOND;
    pool_take(uuid.bytes, sizeof(uuid.bytes));
    for (int i = 0; i < 6; i++) {
        uuid.bytes[i] = (uint8_t)(milliseconds >> (40 - 8 * i));
    }
    uuid.bytes[6] = (uint8_t)(0x70 | (fraction >> 8));
    uuid.bytes[7] = (uint8_t)fraction;
    uuid.bytes[8] = (uint8_t)(0x80 | (uuid.bytes[8] & 0x3f));
    return uuid;
}

static bool dash_before(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void dv_uuid_format(const dv_uuid *uuid, char out[DV_UUID_TEXT_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof(uuid->bytes); i++) {
        if (dash_before(i)) {
            *out++ = '-';
        }
        *out++ = digits[uuid->bytes[i] >> 4];
        *out++ = digits[uuid->bytes[i] & 15];
    }
    *out = '\0';
}

dv_result dv_uuid_parse(dv_slice text, dv_uuid *ret_uuid)
{
    dv_uuid uuid;
    if (text.len != DV_UUID_TEXT_LEN) {
        return DV_ERR_INVALID;
    }
    for (size_t i = 0; i < sizeof(uuid.bytes); i++) {
        if (dash_before(i)) {
            if (text.ptr[0] != '-') {
                return DV_ERR_INVALID;
            }
            text = dv_slice_sub(text, 1, text.len);
        }
        DV_TRY(dv_hex_decode(dv_slice_sub(text, 0, 2), &uuid.bytes[i], 1));
        text = dv_slice_sub(text, 2, text.len);
    }
    *ret_uuid = uuid;
    return DV_OK;
}
