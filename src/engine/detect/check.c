/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/detect_rules.h"

#include "base/codec.h"

#include <arpa/inet.h>
#include <math.h>

/* Checks of values that are words: addresses, keys, tokens. Numbers have check_number.c. */

enum { SCORE_PROVED = 99 }; /* the value's own checksum is right */

static dv_slice value_of(const dv_detect_candidate *c)
{
    return dv_slice_sub(c->text, c->start, c->end - c->start);
}

unsigned dv_detect_entropy(dv_slice value)
{
    unsigned counts[256] = {0};
    for (size_t i = 0; i < value.len; i++) {
        counts[value.ptr[i]]++;
    }
    double bits = 0;
    for (size_t i = 0; i < 256; i++) {
        if (counts[i] > 0) {
            double share = (double)counts[i] / (double)value.len;
            bits -= share * log2(share);
        }
    }
    return (unsigned)(bits * 100);
}

/* No empty label and none that begins or ends with a hyphen (RFC 1123 section 2.1); no dot at the
 * ends of the local part (RFC 5321 section 4.1.2). */
bool dv_detect_check_email(dv_detect_candidate *c)
{
    dv_slice value = value_of(c);
    ptrdiff_t at = dv_slice_find_byte(value, '@');
    if (at <= 0 || value.ptr[0] == '.' || value.ptr[at - 1] == '.') {
        return false;
    }
    dv_slice rest = dv_slice_sub(value, (size_t)at + 1, value.len);
    dv_slice label;
    while (dv_slice_split(&rest, '.', &label)) {
        if (label.len == 0 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-') {
            return false;
        }
    }
    return true;
}

static bool copy_text(const dv_detect_candidate *c, char *out, size_t size)
{
    dv_slice value = value_of(c);
    if (value.len >= size) {
        return false;
    }
    memcpy(out, value.ptr, value.len);
    out[value.len] = '\0';
    return true;
}

/* Loopback (RFC 1122 section 3.2.1.3), this-host and broadcast addresses tell of nobody; 120.0.0.0
 * is a version or a network. */
bool dv_detect_check_ipv4(dv_detect_candidate *c)
{
    char text[INET_ADDRSTRLEN];
    uint8_t bytes[4];
    if (!copy_text(c, text, sizeof(text)) || inet_pton(AF_INET, text, bytes) != 1) {
        return false;
    }
    bool network = bytes[1] == 0 && bytes[2] == 0 && bytes[3] == 0;
    return bytes[0] != 0 && bytes[0] != 127 && bytes[0] != 255 && !network;
}

/* "::2" and "1::2" are slices of lists more often than addresses, so two groups must be there, one
 * of them with three digits at least. */
static bool has_address_groups(const char *text)
{
    size_t groups = 0;
    size_t longest = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, ":");
        groups += len > 0 ? 1 : 0;
        longest = DV_MAX(longest, len);
        text += len + (text[len] == ':' ? 1 : 0);
    }
    return groups >= 2 && longest >= 3;
}

/* RFC 4291 section 2.2; loopback tells of nobody, and "face::dead" in source code has no digit. */
bool dv_detect_check_ipv6(dv_detect_candidate *c)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    if (!copy_text(c, text, sizeof(text)) || inet_pton(AF_INET6, text, bytes) != 1) {
        return false;
    }
    return has_address_groups(text) && strpbrk(text, "0123456789") != NULL;
}

/* A digest in hexadecimal is no key: both cases and a digit must be there. */
bool dv_detect_check_aws_secret(dv_detect_candidate *c)
{
    bool upper = false;
    bool lower = false;
    bool digit = false;
    for (size_t i = c->start; i < c->end; i++) {
        uint8_t byte = c->text.ptr[i];
        upper |= byte >= 'A' && byte <= 'Z';
        lower |= byte >= 'a' && byte <= 'z';
        digit |= byte >= '0' && byte <= '9';
    }
    return upper && lower && digit;
}

/* True when the last 6 characters are the base62 CRC-32 of `body`. */
static bool crc_is_right(dv_slice body, dv_slice digits)
{
    char expected[6];
    return digits.len == sizeof(expected) &&
           dv_base62_encode(dv_crc32(0, body), sizeof(expected), expected) == DV_OK &&
           memcmp(expected, digits.ptr, sizeof(expected)) == 0;
}

/* Classic tokens end in a CRC-32 of their 30 random characters. A wrong one lowers nothing: such a
 * prefix with such a length is hardly anything else. */
bool dv_detect_check_github(dv_detect_candidate *c)
{
    dv_slice value = value_of(c);
    if (value.len == 40 && crc_is_right(dv_slice_sub(value, 4, 30), dv_slice_sub(value, 34, 6))) {
        c->score = SCORE_PROVED;
    }
    return true;
}

/* dvk_ + 8 of id + _ + 30 random + 6 of CRC-32 over all before. */
bool dv_detect_check_dvara_key(dv_detect_candidate *c)
{
    dv_slice value = value_of(c);
    if (crc_is_right(dv_slice_sub(value, 0, value.len - 6),
                     dv_slice_sub(value, value.len - 6, 6))) {
        c->score = SCORE_PROVED;
    }
    return true;
}

/* The header is a JSON object with an algorithm (RFC 7515 section 4.1.1). */
bool dv_detect_check_jwt(dv_detect_candidate *c)
{
    dv_slice value = value_of(c);
    dv_slice header = dv_slice_sub(value, 0, (size_t)dv_slice_find_byte(value, '.'));
    dv_auto(buf) dv_buf decoded = dv_buf_init(2048);
    /* Encoders disagree about stray low bits, so a header is cut to whole groups. */
    if (dv_base64url_decode(dv_slice_sub(header, 0, header.len / 4 * 4), &decoded) != DV_OK) {
        return false;
    }
    return dv_slice_find(dv_buf_slice(&decoded), DV_LIT("\"alg\"")) >= 0;
}

/* Variables and the words of documentation are no secrets. */
bool dv_detect_check_url_credentials(dv_detect_candidate *c)
{
    static const char *const stand_ins[] = {"password", "pass", "passwd", "pwd", "secret", "xxx"};
    dv_slice value = value_of(c);
    dv_slice word = dv_slice_sub(value, (size_t)dv_slice_find_byte(value, ':') + 1, value.len);
    if (word.ptr[0] == '$' || word.ptr[0] == '%' || word.ptr[0] == '*') {
        return false;
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(stand_ins); i++) {
        if (dv_slice_eq_nocase(word, dv_slice_str(stand_ins[i]))) {
            return false;
        }
    }
    return true;
}
