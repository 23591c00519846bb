/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/block_format.h"

#include "base/uuid.h"

dv_result dv_block_put_number(dv_buf *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t len = 0;
    do {
        bytes[len] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
        len++;
    } while (value != 0);
    return dv_buf_append(out, dv_slice_of(bytes, len));
}

bool dv_block_take_number(dv_slice *rest, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < rest->len && i < 10; i++) {
        uint8_t byte = rest->ptr[i];
        if (i == 9 && byte > 1) {
            return false;
        }
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *ret_value = value;
            *rest = dv_slice_sub(*rest, i + 1, rest->len);
            return byte != 0 || i == 0;
        }
    }
    return false;
}

bool dv_block_take_bytes(dv_slice *rest, uint64_t len, dv_slice *ret_bytes)
{
    if (len > rest->len) {
        return false;
    }
    *ret_bytes = dv_slice_sub(*rest, 0, (size_t)len);
    *rest = dv_slice_sub(*rest, (size_t)len, rest->len);
    return true;
}

static int nibble(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static bool is_dash(size_t at)
{
    return at == 8 || at == 13 || at == 18 || at == 23;
}

bool dv_block_uuid_parse(const uint8_t *text, size_t len, uint8_t ret_uuid[DV_BLOCK_UUID])
{
    size_t byte = 0;
    if (len < DV_UUID_TEXT_LEN) {
        return false;
    }
    for (size_t i = 0; i < DV_UUID_TEXT_LEN; i += 2) {
        if (is_dash(i)) {
            if (text[i] != '-') {
                return false;
            }
            i++;
        }
        int high = nibble(text[i]);
        int low = nibble(text[i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret_uuid[byte++] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void dv_block_uuid_write(const uint8_t uuid[DV_BLOCK_UUID], uint8_t out[36])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < DV_BLOCK_UUID; i++) {
        if (is_dash(at)) {
            out[at++] = '-';
        }
        out[at++] = (uint8_t)digits[uuid[i] >> 4];
        out[at++] = (uint8_t)digits[uuid[i] & 15];
    }
}

bool dv_block_is_plain(dv_slice raw)
{
    bool odd = false;
    for (size_t i = 0; i < raw.len; i++) {
        uint8_t byte = raw.ptr[i];
        odd |= byte < 0x20 || byte >= 0x80 || byte == '\\';
    }
    return !odd;
}

size_t dv_block_int_parse(const uint8_t *text, size_t len, int64_t *ret_value)
{
    enum { DIGITS_MAX = 19 }; /* as many fit into a uint64_t */
    size_t start = len > 0 && text[0] == '-' ? 1 : 0;
    size_t at = start;
    uint64_t value = 0;
    while (at < len && at - start <= DIGITS_MAX && text[at] >= '0' && text[at] <= '9') {
        value = value * 10 + (uint64_t)(text[at] - '0');
        at++;
    }
    size_t digits = at - start;
    bool shortest = digits > 0 && (text[start] != '0' || (digits == 1 && start == 0));
    if (!shortest || digits > DIGITS_MAX || value > INT64_MAX) {
        return 0;
    }
    *ret_value = start == 1 ? -(int64_t)value : (int64_t)value;
    return at;
}
