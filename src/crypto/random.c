/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/random.h"

#include <errno.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>

void dv_random(void *out, size_t len)
{
    uint8_t *at = out;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        } else if (errno != EINTR) {
            abort();
        }
    }
}

void dv_random_base62(char *out, size_t len)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    enum { UNBIASED = 62 * 4 }; /* larger bytes would favour the first digits */
    uint8_t bytes[64];
    while (len > 0) {
        dv_random(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes) && len > 0; i++) {
            if (bytes[i] < UNBIASED) {
                *out++ = digits[bytes[i] % 62];
                len--;
            }
        }
    }
    dv_wipe(bytes, sizeof(bytes));
}

bool dv_equal_constant_time(dv_slice a, dv_slice b)
{
    return a.len == b.len && sodium_memcmp(a.ptr, b.ptr, a.len) == 0;
}

void dv_wipe(void *secret, size_t len)
{
    sodium_memzero(secret, len);
}

dv_result dv_process_undumpable(void)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return DV_ERR_IO;
    }
    return DV_OK;
}
