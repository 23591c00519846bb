/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"

#include "base/utf8.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

/* ---- decimal ---- */

/* Two digits a division. */
dv_slice dv_decimal_write(uint64_t value, char room[DV_DECIMAL_MAX])
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    size_t at = DV_DECIMAL_MAX;
    while (value >= 100) {
        at -= 2;
        memcpy(room + at, pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        memcpy(room + at, pairs + value * 2, 2);
    } else {
        room[--at] = (char)('0' + value);
    }
    return dv_slice_of(room + at, DV_DECIMAL_MAX - at);
}

/* ---- hexadecimal ---- */

dv_result dv_hex_encode(dv_slice bytes, dv_buf *out)
{
    static const char digits[] = "0123456789abcdef";
    if (bytes.len > SIZE_MAX / 2) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(dv_buf_reserve(out, bytes.len * 2));
    for (size_t i = 0; i < bytes.len; i++) {
        out->ptr[out->len++] = (uint8_t)digits[bytes.ptr[i] >> 4];
        out->ptr[out->len++] = (uint8_t)digits[bytes.ptr[i] & 15];
    }
    return DV_OK;
}

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

dv_result dv_hex_decode(dv_slice text, uint8_t *out, size_t out_len)
{
    if (text.len % 2 != 0 || text.len / 2 != out_len) {
        return DV_ERR_INVALID;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (hex_value(text.ptr[i]) < 0) {
            return DV_ERR_INVALID;
        }
    }
    for (size_t i = 0; i < out_len; i++) {
        unsigned high = (unsigned)hex_value(text.ptr[2 * i]);
        out[i] = (uint8_t)(high << 4 | (unsigned)hex_value(text.ptr[2 * i + 1]));
    }
    return DV_OK;
}

/* ---- base64 ---- */

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static dv_result base64_encode(dv_slice bytes, const char *digits, bool pad, dv_buf *out)
{
    if (bytes.len > SIZE_MAX / 2) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(dv_buf_reserve(out, (bytes.len + 2) / 3 * 4));
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t have = DV_MIN(bytes.len - i, (size_t)3);
        uint32_t group = (uint32_t)bytes.ptr[i] << 16;
        group |= have > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0;
        group |= have > 2 ? (uint32_t)bytes.ptr[i + 2] : 0;
        for (size_t j = 0; j < 4; j++) {
            if (j <= have) {
                out->ptr[out->len++] = (uint8_t)digits[group >> (18 - 6 * j) & 63];
            } else if (pad) {
                out->ptr[out->len++] = '=';
            }
        }
    }
    return DV_OK;
}

dv_result dv_base64_encode(dv_slice bytes, dv_buf *out)
{
    return base64_encode(bytes, base64_digits, true, out);
}

dv_result dv_base64url_encode(dv_slice bytes, dv_buf *out)
{
    return base64_encode(bytes, base64url_digits, false, out);
}

/* Both alphabets begin with A-Z, a-z, 0-9. */
static int base64_value(uint8_t digit, const char *digits)
{
    if (digit >= 'A' && digit <= 'Z') {
        return digit - 'A';
    }
    if (digit >= 'a' && digit <= 'z') {
        return digit - 'a' + 26;
    }
    if (digit >= '0' && digit <= '9') {
        return digit - '0' + 52;
    }
    return digit == (uint8_t)digits[62] ? 62 : digit == (uint8_t)digits[63] ? 63 : -1;
}

/* One group of 2 to 4 digits; what the last digit has too many bits for must be zero. */
static dv_result base64_decode_group(dv_slice group, const char *digits, dv_buf *out)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < group.len; i++) {
        int value = base64_value(group.ptr[i], digits);
        if (value < 0) {
            return DV_ERR_INVALID;
        }
        bits |= (uint32_t)value << (18 - 6 * i);
    }
    size_t bytes = group.len - 1;
    if (group.len < 2 || (bits & (0xffffffU >> (8 * bytes))) != 0) {
        return DV_ERR_INVALID;
    }
    uint8_t plain[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
    return dv_buf_append(out, dv_slice_of(plain, bytes));
}

static dv_result base64_decode(dv_slice text, const char *digits, dv_buf *out)
{
    size_t before = out->len;
    while (text.len > 0) {
        dv_result result = base64_decode_group(dv_slice_sub(text, 0, 4), digits, out);
        if (result != DV_OK) {
            out->len = before;
            return result;
        }
        text = dv_slice_sub(text, 4, text.len);
    }
    return DV_OK;
}

dv_result dv_base64_decode(dv_slice text, dv_buf *out)
{
    if (text.len % 4 != 0) {
        return DV_ERR_INVALID;
    }
    for (int i = 0; i < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; i++) {
        text.len--;
    }
    return base64_decode(text, base64_digits, out);
}

dv_result dv_base64url_decode(dv_slice text, dv_buf *out)
{
    return base64_decode(text, base64url_digits, out);
}

/* ---- base62 ---- */

static const char base62_digits[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

dv_result dv_base62_encode(uint64_t value, size_t width, char *out)
{
    uint64_t rest = value;
    for (size_t i = 0; i < width; i++) {
        rest /= 62;
    }
    if (rest != 0) {
        return DV_ERR_TOO_LARGE;
    }
    for (size_t i = width; i > 0; i--) {
        out[i - 1] = base62_digits[value % 62];
        value /= 62;
    }
    return DV_OK;
}

static int base62_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'A' && digit <= 'Z') {
        return digit - 'A' + 10;
    }
    return digit >= 'a' && digit <= 'z' ? digit - 'a' + 36 : -1;
}

bool dv_base62_is(dv_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (base62_value(text.ptr[i]) < 0) {
            return false;
        }
    }
    return true;
}

dv_result dv_base62_decode(dv_slice text, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = base62_value(text.ptr[i]);
        if (digit < 0 || __builtin_mul_overflow(value, 62, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value)) {
            return DV_ERR_INVALID;
        }
    }
    if (text.len == 0) {
        return DV_ERR_INVALID;
    }
    *ret_value = value;
    return DV_OK;
}

/* ---- cyclic redundancy checks, eight bytes a step (slicing by eight) ---- */

enum { CRC32_POLYNOMIAL = (int)0xedb88320U, CRC32C_POLYNOMIAL = (int)0x82f63b78U };

typedef uint32_t crc_tables[8][256];

static crc_tables crc32_tables, crc32c_tables;

static void crc_tables_make(crc_tables tables, uint32_t polynomial)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
        }
        tables[0][byte] = crc;
    }
    for (int slice = 1; slice < 8; slice++) {
        for (int byte = 0; byte < 256; byte++) {
            uint32_t crc = tables[slice - 1][byte];
            tables[slice][byte] = crc >> 8 ^ tables[0][crc & 255];
        }
    }
}

__attribute__((constructor)) static void crc_prepare(void)
{
    crc_tables_make(crc32_tables, (uint32_t)CRC32_POLYNOMIAL);
    crc_tables_make(crc32c_tables, (uint32_t)CRC32C_POLYNOMIAL);
}

static uint32_t crc_update(uint32_t crc, dv_slice bytes, crc_tables tables)
{
    const uint8_t *at = bytes.ptr;
    size_t left = bytes.len;
    crc = ~crc;
    for (; left >= 8; left -= 8, at += 8) {
        uint32_t low = dv_get_u32(at) ^ crc;
        uint32_t high = dv_get_u32(at + 4);
        crc = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^
              tables[4][low >> 24] ^ tables[3][high & 255] ^ tables[2][high >> 8 & 255] ^
              tables[1][high >> 16 & 255] ^ tables[0][high >> 24];
    }
    for (; left > 0; left--, at++) {
        crc = crc >> 8 ^ tables[0][(crc ^ *at) & 255];
    }
    return ~crc;
}

uint32_t dv_crc32(uint32_t crc, dv_slice bytes)
{
    return crc_update(crc, bytes, crc32_tables);
}

#if defined(__x86_64__)

/* The processor's own instruction is of this polynomial; ten times as quick as the tables. */
__attribute__((target("sse4.2"))) static uint32_t crc32c_wide(uint32_t crc, dv_slice bytes)
{
    const uint8_t *at = bytes.ptr;
    size_t left = bytes.len;
    uint64_t word, state = ~crc;
    for (; left >= sizeof(word); left -= sizeof(word), at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        state = _mm_crc32_u64(state, word);
    }
    for (; left > 0; left--, at++) {
        state = _mm_crc32_u8((uint32_t)state, *at);
    }
    return ~(uint32_t)state;
}

#endif

uint32_t dv_crc32c(uint32_t crc, dv_slice bytes)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return crc32c_wide(crc, bytes);
    }
#endif
    return crc_update(crc, bytes, crc32c_tables);
}

/* ---- UTF-8 ---- */

size_t dv_utf8_encode(uint32_t code_point, uint8_t out[4])
{
    if (code_point < 0x80) {
        out[0] = (uint8_t)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (uint8_t)(0xc0 | code_point >> 6);
        out[1] = (uint8_t)(0x80 | (code_point & 63));
        return 2;
    }
    if (code_point < 0x10000) {
        if (code_point >= 0xd800 && code_point <= 0xdfff) {
            return 0;
        }
        out[0] = (uint8_t)(0xe0 | code_point >> 12);
        out[1] = (uint8_t)(0x80 | (code_point >> 6 & 63));
        out[2] = (uint8_t)(0x80 | (code_point & 63));
        return 3;
    }
    if (code_point > 0x10ffff) {
        return 0;
    }
    out[0] = (uint8_t)(0xf0 | code_point >> 18);
    out[1] = (uint8_t)(0x80 | (code_point >> 12 & 63));
    out[2] = (uint8_t)(0x80 | (code_point >> 6 & 63));
    out[3] = (uint8_t)(0x80 | (code_point & 63));
    return 4;
}

/* Length by the first byte and the least code point of that length (RFC 3629 section 3). */
static size_t utf8_shape(uint8_t first, uint32_t *ret_bits, uint32_t *ret_least)
{
    if (first < 0x80) {
        *ret_bits = first;
        *ret_least = 0;
        return 1;
    }
    if ((first & 0xe0) == 0xc0) {
        *ret_bits = first & 31;
        *ret_least = 0x80;
        return 2;
    }
    if ((first & 0xf0) == 0xe0) {
        *ret_bits = first & 15;
        *ret_least = 0x800;
        return 3;
    }
    if ((first & 0xf8) == 0xf0) {
        *ret_bits = first & 7;
        *ret_least = 0x10000;
        return 4;
    }
    return 0;
}

size_t dv_utf8_decode(dv_slice bytes, uint32_t *ret_code_point)
{
    uint32_t code_point, least;
    size_t len = bytes.len == 0 ? 0 : utf8_shape(bytes.ptr[0], &code_point, &least);
    if (len == 0 || len > bytes.len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((bytes.ptr[i] & 0xc0) != 0x80) {
            return 0;
        }
        code_point = code_point << 6 | (bytes.ptr[i] & 63);
    }
    bool surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
    if (code_point < least || code_point > 0x10ffff || surrogate) {
        return 0;
    }
    *ret_code_point = code_point;
    return len;
}

bool dv_utf8_valid(dv_slice bytes)
{
    return dv_utf8_prefix(bytes) == bytes.len;
}

bool dv_code_point_is_hidden(uint32_t code_point)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {{0, 0x1f},        {0x7f, 0x9f},      {0xad, 0xad},     {0x61c, 0x61c},
                  {0x200b, 0x200f}, {0x2028, 0x202e},  {0x2060, 0x2064}, {0x2066, 0x2069},
                  {0xfeff, 0xfeff}, {0xe0000, 0xe007f}};
    bool found = false;
    for (size_t i = 0; i < DV_ARRAY_LEN(hidden) && !found; i++) {
        found = code_point >= hidden[i].first && code_point <= hidden[i].last;
    }
    return found;
}

/* ---- little-endian ---- */

void dv_put_u16(uint8_t *out, uint16_t value)
{
    out[0] = (uint8_t)value;
    out[1] = (uint8_t)(value >> 8);
}

void dv_put_u32(uint8_t *out, uint32_t value)
{
    dv_put_u16(out, (uint16_t)value);
    dv_put_u16(out + 2, (uint16_t)(value >> 16));
}

void dv_put_u64(uint8_t *out, uint64_t value)
{
    dv_put_u32(out, (uint32_t)value);
    dv_put_u32(out + 4, (uint32_t)(value >> 32));
}

uint16_t dv_get_u16(const uint8_t *in)
{
    return (uint16_t)(in[0] | in[1] << 8);
}

uint32_t dv_get_u32(const uint8_t *in)
{
    return (uint32_t)dv_get_u16(in) | (uint32_t)dv_get_u16(in + 2) << 16;
}

uint64_t dv_get_u64(const uint8_t *in)
{
    return (uint64_t)dv_get_u32(in) | (uint64_t)dv_get_u32(in + 4) << 32;
}
