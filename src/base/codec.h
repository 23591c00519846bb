/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"

/* Lower-case hexadecimal (RFC 4648 section 8). */
dv_must dv_result dv_hex_encode(dv_slice bytes, dv_buf *out);
/* Reads either case; out gets len / 2 bytes, so it must hold them. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_hex_decode(dv_slice text, uint8_t *out, size_t out_len);

/* The decimal digits of a number, at the end of `room`; faster than printf, for the request path.
 */
enum { DV_DECIMAL_MAX = 20 };
dv_slice dv_decimal_write(uint64_t value, char room[DV_DECIMAL_MAX]);

/* Base64 with padding (RFC 4648 section 4). */
dv_must dv_result dv_base64_encode(dv_slice bytes, dv_buf *out);
/* base64url without padding (RFC 4648 section 5, RFC 7515 section 2). */
dv_must dv_result dv_base64url_encode(dv_slice bytes, dv_buf *out);
/* Strict: no white space, right padding, no stray low bits. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_base64_decode(dv_slice text, dv_buf *out);
dv_must dv_result dv_base64url_decode(dv_slice text, dv_buf *out);

/* Digits 0-9, A-Z, a-z. Writes exactly `width` digits of value, most significant first; what does
 * not fit is DV_ERR_TOO_LARGE. */
dv_must dv_result dv_base62_encode(uint64_t value, size_t width, char *out);
dv_must dv_result dv_base62_decode(dv_slice text, uint64_t *ret_value);
bool dv_base62_is(dv_slice text);

/* CRC-32 (ISO-HDLC, as zlib's) and CRC-32C (Castagnoli, RFC 3720 appendix B.4). Start with 0. */
uint32_t dv_crc32(uint32_t crc, dv_slice bytes);
uint32_t dv_crc32c(uint32_t crc, dv_slice bytes);

/* True when the bytes are UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool dv_utf8_valid(dv_slice bytes);
/* Writes one code point, 1 to 4 bytes; 0 when it is none. */
size_t dv_utf8_encode(uint32_t code_point, uint8_t out[4]);
/* Reads one code point at the front; 0 length when invalid or empty. */
size_t dv_utf8_decode(dv_slice bytes, uint32_t *ret_code_point);

/* True for what commands the terminal of a reader or shows him another text than the one that is
 * there: control characters, separators of lines, what has no width or turns the direction of
 * writing (Unicode UTR 36 section 2.11, CVE-2021-42574). All lie below U+10000. */
bool dv_code_point_is_hidden(uint32_t code_point);

/* Little-endian on disk everywhere. */
void dv_put_u16(uint8_t *out, uint16_t value);
void dv_put_u32(uint8_t *out, uint32_t value);
void dv_put_u64(uint8_t *out, uint64_t value);
uint16_t dv_get_u16(const uint8_t *in);
uint32_t dv_get_u32(const uint8_t *in);
uint64_t dv_get_u64(const uint8_t *in);
