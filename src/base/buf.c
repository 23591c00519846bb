/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "base/codec.h"

#include <stdarg.h>

enum { FIRST_CAPACITY = 64 };

void dv_buf_release(dv_buf *buf)
{
    free(buf->ptr);
    buf->ptr = NULL;
    buf->len = 0;
    buf->cap = 0;
}

void dv_buf_wipe(dv_buf *buf)
{
    if (buf->ptr != NULL) {
        explicit_bzero(buf->ptr, buf->cap);
    }
    dv_buf_release(buf);
}

dv_result dv_buf_reserve(dv_buf *buf, size_t extra)
{
    if (extra <= buf->cap - buf->len) {
        return DV_OK;
    }
    if (buf->len > buf->max || extra > buf->max - buf->len) {
        return DV_ERR_TOO_LARGE;
    }
    size_t needed = buf->len + extra;
    size_t cap = buf->cap > SIZE_MAX / 2 ? needed : buf->cap * 2;
    cap = DV_MAX(DV_MAX(cap, needed), (size_t)FIRST_CAPACITY);
    cap = DV_MIN(cap, DV_MAX(buf->max, needed));
    uint8_t *ptr = realloc(buf->ptr, cap);
    if (ptr == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    buf->ptr = ptr;
    buf->cap = cap;
    return DV_OK;
}

void dv_buf_trim(dv_buf *buf, size_t spare)
{
    if (buf->cap - buf->len <= spare) {
        return;
    }
    size_t cap = buf->len + spare / 2;
    uint8_t *ptr = cap > 0 ? realloc(buf->ptr, cap) : NULL;
    if (ptr != NULL) {
        buf->ptr = ptr;
        buf->cap = cap;
    } else if (cap == 0) {
        dv_buf_release(buf);
    }
}

dv_result dv_buf_append(dv_buf *buf, dv_slice bytes)
{
    DV_TRY(dv_buf_reserve(buf, bytes.len));
    if (bytes.len > 0) {
        memcpy(buf->ptr + buf->len, bytes.ptr, bytes.len);
        buf->len += bytes.len;
    }
    return DV_OK;
}

dv_result dv_buf_append_str(dv_buf *buf, const char *string)
{
    return dv_buf_append(buf, dv_slice_str(string));
}

dv_result dv_buf_append_byte(dv_buf *buf, uint8_t byte)
{
    return dv_buf_append(buf, dv_slice_of(&byte, 1));
}

dv_result dv_buf_append_u64(dv_buf *buf, uint64_t value)
{
    char digits[DV_DECIMAL_MAX];
    return dv_buf_append(buf, dv_decimal_write(value, digits));
}

/* vsnprintf wants room for a NUL, which may lie beyond max but within cap. */
dv_printf(3, 0) static dv_result
    append_formatted(dv_buf *buf, size_t len, const char *format, va_list args)
{
    if (len > buf->max || buf->len > buf->max - len) {
        return DV_ERR_TOO_LARGE;
    }
    size_t max = buf->max;
    buf->max = max == SIZE_MAX ? max : max + 1;
    dv_result result = dv_buf_reserve(buf, len + 1);
    buf->max = max;
    if (result != DV_OK) {
        return result;
    }
    vsnprintf((char *)buf->ptr + buf->len, len + 1, format, args);
    buf->len += len;
    return DV_OK;
}

dv_result dv_buf_append_printf(dv_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    dv_result result = len < 0 ? DV_ERR_INVALID : append_formatted(buf, (size_t)len, format, again);
    va_end(again);
    return result;
}

/* RFC 8259 section 7: what must be escaped, and DEL left alone. */
static dv_result append_json_byte(dv_buf *buf, uint8_t byte)
{
    switch (byte) {
    case '"':
        return dv_buf_append(buf, DV_LIT("\\\""));
    case '\\':
        return dv_buf_append(buf, DV_LIT("\\\\"));
    case '\n':
        return dv_buf_append(buf, DV_LIT("\\n"));
    case '\r':
        return dv_buf_append(buf, DV_LIT("\\r"));
    case '\t':
        return dv_buf_append(buf, DV_LIT("\\t"));
    default:
        return dv_buf_append_printf(buf, "\\u%04x", byte);
    }
}

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

dv_result dv_buf_append_json_string(dv_buf *buf, dv_slice text)
{
    DV_TRY(dv_buf_reserve(buf, DV_MIN(text.len + 2, buf->max - DV_MIN(buf->len, buf->max))));
    DV_TRY(dv_buf_append_byte(buf, '"'));
    while (text.len > 0) {
        size_t run = 0;
        while (run < text.len && is_plain(text.ptr[run])) {
            run++;
        }
        DV_TRY(dv_buf_append(buf, dv_slice_sub(text, 0, run)));
        text = dv_slice_sub(text, run, text.len);
        if (text.len == 0) {
            break;
        }
        uint32_t code_point;
        size_t len = dv_utf8_decode(text, &code_point);
        if (len > 1) {
            DV_TRY(dv_buf_append(buf, dv_slice_sub(text, 0, len)));
        } else if (len == 1) {
            DV_TRY(append_json_byte(buf, text.ptr[0]));
        } else {
            DV_TRY(dv_buf_append(buf, DV_LIT("\xef\xbf\xbd")));
            len = 1;
        }
        text = dv_slice_sub(text, len, text.len);
    }
    return dv_buf_append_byte(buf, '"');
}

const char *dv_buf_cstr(dv_buf *buf)
{
    size_t max = buf->max;
    buf->max = max == SIZE_MAX ? max : max + 1;
    dv_result result = dv_buf_reserve(buf, 1);
    buf->max = max;
    if (result != DV_OK) {
        return NULL;
    }
    buf->ptr[buf->len] = '\0';
    return (const char *)buf->ptr;
}
