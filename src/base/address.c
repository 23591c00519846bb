/* SPDX-License-Identifier: Apache-2.0 */
#include "base/address.h"

#include <arpa/inet.h>

static void put_ipv4(uint32_t ipv4, dv_address *address)
{
    memset(address->bytes, 0, 10);
    memset(address->bytes + 10, 0xff, 2);
    for (int i = 0; i < 4; i++) {
        address->bytes[12 + i] = (uint8_t)(ipv4 >> (24 - 8 * i));
    }
}

static uint32_t get_ipv4(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

dv_result dv_address_parse(dv_slice text, dv_address *ret_address)
{
    char copy[INET6_ADDRSTRLEN];
    struct in_addr ipv4;
    dv_address ipv6;
    if (text.len == 0 || text.len >= sizeof(copy) || dv_slice_find_byte(text, '\0') >= 0) {
        return DV_ERR_INVALID;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, &ipv4) == 1) {
        put_ipv4(ntohl(ipv4.s_addr), ret_address);
        return DV_OK;
    }
    if (inet_pton(AF_INET6, copy, ipv6.bytes) == 1) {
        *ret_address = ipv6;
        return DV_OK;
    }
    return DV_ERR_INVALID;
}

static int digit_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : 16;
}

/* One part: decimal, 0octal or 0xhexadecimal; "0x" alone is zero. */
static dv_result parse_part(dv_slice part, uint64_t *ret_value)
{
    int base = 10;
    uint64_t value = 0;
    if (part.len == 0) {
        return DV_ERR_INVALID;
    }
    if (part.len >= 2 && part.ptr[0] == '0' && (part.ptr[1] | 0x20) == 'x') {
        base = 16;
        part = dv_slice_sub(part, 2, part.len);
    } else if (part.len >= 2 && part.ptr[0] == '0') {
        base = 8;
    }
    for (size_t i = 0; i < part.len; i++) {
        int digit = digit_value(part.ptr[i]);
        if (digit >= base || value > UINT32_MAX) {
            return DV_ERR_INVALID;
        }
        value = value * (uint64_t)base + (uint64_t)digit;
    }
    *ret_value = value;
    return DV_OK;
}

dv_result dv_address_parse_url_ipv4(dv_slice text, dv_address *ret_address)
{
    uint64_t parts[4];
    size_t count = 0;
    dv_slice part;
    if (text.len > 0 && text.ptr[text.len - 1] == '.') {
        text.len--;
    }
    while (dv_slice_split(&text, '.', &part)) {
        if (count == DV_ARRAY_LEN(parts)) {
            return DV_ERR_INVALID;
        }
        DV_TRY(parse_part(part, &parts[count++]));
    }
    if (count == 0) {
        return DV_ERR_INVALID;
    }
    uint64_t ipv4 = parts[count - 1];
    if (ipv4 >> (8 * (5 - count)) != 0) {
        return DV_ERR_INVALID;
    }
    for (size_t i = 0; i + 1 < count; i++) {
        if (parts[i] > 255) {
            return DV_ERR_INVALID;
        }
        ipv4 |= parts[i] << (24 - 8 * i);
    }
    put_ipv4((uint32_t)ipv4, ret_address);
    return DV_OK;
}

static bool ipv4_is_public(uint32_t ipv4)
{
    /* IANA IPv4 special-purpose registry: not globally reachable; and multicast. */
    static const struct {
        uint32_t network;
        int bits;
    } blocks[] = {
        {0x00000000, 8},  /* this network, RFC 791 */
        {0x0a000000, 8},  /* private, RFC 1918 */
        {0x64400000, 10}, /* carrier-grade NAT, RFC 6598 */
        {0x7f000000, 8},  /* loopback, RFC 1122 */
        {0xa9fe0000, 16}, /* link-local, RFC 3927 */
        {0xac100000, 12}, /* private */
        {0xc0000000, 24}, /* protocol assignments, RFC 6890 */
        {0xc0000200, 24}, /* documentation, RFC 5737 */
        {0xc0586300, 24}, /* 6to4 relay anycast, RFC 7526 */
        {0xc0a80000, 16}, /* private */
        {0xc6120000, 15}, /* benchmarking, RFC 2544 */
        {0xc6336400, 24}, /* documentation */
        {0xcb007100, 24}, /* documentation */
        {0xe0000000, 4},  /* multicast, RFC 5771 */
        {0xf0000000, 4},  /* reserved, broadcast, RFC 1112 */
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(blocks); i++) {
        if ((ipv4 ^ blocks[i].network) >> (32 - blocks[i].bits) == 0) {
            return false;
        }
    }
    return true;
}

static bool has_prefix(const dv_address *address, const char *prefix, int bits)
{
    const uint8_t *bytes = (const uint8_t *)prefix;
    int whole = bits / 8, rest = bits % 8;
    return memcmp(address->bytes, bytes, (size_t)whole) == 0 &&
           (rest == 0 || ((address->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0);
}

/* The IPv4 address within, where packets end up there. */
static bool carries_ipv4(const dv_address *address, uint32_t *ret_ipv4)
{
    static const char zeros[12] = {0};
    static const char mapped[12] = "\0\0\0\0\0\0\0\0\0\0\xff\xff";
    static const char nat64[12] = "\x00\x64\xff\x9b"; /* 64:ff9b::/96, RFC 6052 */
    if (has_prefix(address, mapped, 96) || has_prefix(address, nat64, 96) ||
        has_prefix(address, zeros, 96)) {
        *ret_ipv4 = get_ipv4(address->bytes + 12);
        return true;
    }
    if (has_prefix(address, "\x20\x02", 16)) { /* 6to4, RFC 3056 */
        *ret_ipv4 = get_ipv4(address->bytes + 2);
        return true;
    }
    if (has_prefix(address, "\x20\x01\x00\x00", 32)) { /* Teredo, RFC 4380: the client, inverted */
        *ret_ipv4 = ~get_ipv4(address->bytes + 12);
        return true;
    }
    return false;
}

bool dv_address_is_public(const dv_address *address)
{
    uint32_t ipv4;
    if (carries_ipv4(address, &ipv4)) {
        return ipv4_is_public(ipv4);
    }
    /* Global unicast is 2000::/3 (RFC 4291 section 2.4); what else there is, is local use. */
    return has_prefix(address, "\x20", 3) &&
           !has_prefix(address, "\x20\x01\x00", 23) &&     /* protocol assignments, RFC 2928 */
           !has_prefix(address, "\x20\x01\x0d\xb8", 32) && /* documentation, RFC 3849 */
           !has_prefix(address, "\x3f\xff\x00", 20);       /* documentation, RFC 9637 */
}
