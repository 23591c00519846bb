/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/limit/limit.h"

#include "base/codec.h"

#include <arpa/inet.h>

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

/* As inet_ntop writes it, which calls printf. */
static void write_ipv4(const uint8_t bytes[4], char out[INET6_ADDRSTRLEN])
{
    char room[DV_DECIMAL_MAX];
    for (size_t i = 0; i < 4; i++) {
        dv_slice digits = dv_decimal_write(bytes[i], room);
        memcpy(out, digits.ptr, digits.len);
        out += digits.len;
        *out++ = i < 3 ? '.' : '\0';
    }
}

static dv_result write_key(int family, const void *bytes, const char *suffix,
                           char out[DV_LIMIT_ADDRESS_KEY_MAX], dv_slice *ret_key)
{
    char text[INET6_ADDRSTRLEN];

    if (family == AF_INET) {
        write_ipv4(bytes, text);
    } else if (inet_ntop(family, bytes, text, sizeof(text)) == NULL) {
        return DV_ERR_INTERNAL;
    }
    static const char prefix[] = "address/";
    size_t start = sizeof(prefix) - 1;
    size_t len = strlen(text);
    size_t suffix_len = strlen(suffix);
    if (start + len + suffix_len >= DV_LIMIT_ADDRESS_KEY_MAX) {
        return DV_ERR_INTERNAL;
    }
    memcpy(out, prefix, start);
    memcpy(out + start, text, len);
    memcpy(out + start + len, suffix, suffix_len + 1);
    *ret_key = dv_slice_of(out, start + len + suffix_len);
    return DV_OK;
}

dv_result dv_limit_address_key(dv_slice address, char out[DV_LIMIT_ADDRESS_KEY_MAX],
                               dv_slice *ret_key)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    ptrdiff_t zone = dv_slice_find_byte(address, '%');
    dv_slice bare = zone >= 0 ? dv_slice_sub(address, 0, (size_t)zone) : address;

    if (bare.len == 0 || bare.len >= sizeof(text) || memchr(bare.ptr, 0, bare.len) != NULL) {
        return DV_ERR_INVALID;
    }
    memcpy(text, bare.ptr, bare.len);
    text[bare.len] = '\0';
    if (zone < 0 && inet_pton(AF_INET, text, bytes) == 1) {
        return write_key(AF_INET, bytes, "", out, ret_key);
    }
    if (inet_pton(AF_INET6, text, bytes) != 1) {
        return DV_ERR_INVALID;
    }
    if (memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        return write_key(AF_INET, bytes + 12, "", out, ret_key);
    }
    memset(bytes + 8, 0, 8);
    return write_key(AF_INET6, bytes, "/64", out, ret_key);
}
