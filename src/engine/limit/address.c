/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/limit/limit.h"

#include <arpa/inet.h>

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

/* One to three digits up to 255, without a leading zero, as inet_pton takes them; returns how many,
 * or 0. */
static size_t octet_len(const uint8_t *at, size_t left)
{
    size_t len = 0;
    unsigned number = 0;

    while (len < left && len < 3 && (unsigned)(at[len] - '0') < 10) {
        number = number * 10 + (unsigned)(at[len++] - '0');
    }
    return number > 255 || (len > 1 && at[0] == '0') ? 0 : len;
}

/* Such a text is its own key. */
static bool is_ipv4(dv_slice text)
{
    size_t at = 0;

    for (int octet = 0; octet < 4; octet++) {
        size_t len = octet_len(text.ptr + at, text.len - at);
        at += len;
        if (len == 0 || (octet < 3 && (at == text.len || text.ptr[at++] != '.'))) {
            return false;
        }
    }
    return at == text.len;
}

static dv_slice join(dv_slice text, const char *suffix, size_t suffix_len,
                     char out[DV_LIMIT_ADDRESS_KEY_MAX])
{
    static const char prefix[] = "address/";
    size_t start = sizeof(prefix) - 1;

    memcpy(out, prefix, start);
    memcpy(out + start, text.ptr, text.len);
    memcpy(out + start + text.len, suffix, suffix_len + 1);
    return dv_slice_of(out, start + text.len + suffix_len);
}

static dv_result write_key(int family, const void *bytes, const char *suffix,
                           char out[DV_LIMIT_ADDRESS_KEY_MAX], dv_slice *ret_key)
{
    char text[INET6_ADDRSTRLEN];

    if (inet_ntop(family, bytes, text, sizeof(text)) == NULL) {
        return DV_ERR_INTERNAL;
    }
    *ret_key = join(dv_slice_str(text), suffix, strlen(suffix), out);
    return DV_OK;
}

/* A zone belongs to addresses of version 6 alone. */
dv_result dv_limit_address_key(dv_slice address, char out[DV_LIMIT_ADDRESS_KEY_MAX],
                               dv_slice *ret_key)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t bytes[16];

    if (is_ipv4(address)) {
        *ret_key = join(address, "", 0, out);
        return DV_OK;
    }
    ptrdiff_t zone = dv_slice_find_byte(address, '%');
    dv_slice bare = zone >= 0 ? dv_slice_sub(address, 0, (size_t)zone) : address;
    if (bare.len == 0 || bare.len >= sizeof(text) || memchr(bare.ptr, 0, bare.len) != NULL) {
        return DV_ERR_INVALID;
    }
    memcpy(text, bare.ptr, bare.len);
    text[bare.len] = '\0';
    if (inet_pton(AF_INET6, text, bytes) != 1) {
        return DV_ERR_INVALID;
    }
    if (memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        return write_key(AF_INET, bytes + 12, "", out, ret_key);
    }
    memset(bytes + 8, 0, 8);
    return write_key(AF_INET6, bytes, "/64", out, ret_key);
}
