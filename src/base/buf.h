/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/result.h"
#include "base/slice.h"

/* Owned bytes that grow up to a maximum; more is DV_ERR_TOO_LARGE, never a silent cut.
 * `dv_auto(buf) dv_buf b = dv_buf_init(MAX);` releases itself. */
typedef struct dv_buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
    size_t max; /* bytes; 0 refuses everything */
} dv_buf;

static inline dv_buf dv_buf_init(size_t max)
{
    return (dv_buf){NULL, 0, 0, max};
}

void dv_buf_release(dv_buf *buf);

/* The same for buffers that held a secret: the bytes are overwritten first. Growing such a buffer
 * leaves copies behind, so reserve its size at once. */
void dv_buf_wipe(dv_buf *buf);

DV_DEFINE_AUTO(buf, dv_buf, dv_buf_release)
DV_DEFINE_AUTO(secret_buf, dv_buf, dv_buf_wipe)

/* Makes room for `extra` more bytes. */
dv_must dv_result dv_buf_reserve(dv_buf *buf, size_t extra);

/* Gives memory back when more than `spare` bytes beyond len are unused; keeps it when that fails.
 */
void dv_buf_trim(dv_buf *buf, size_t spare);

dv_must dv_result dv_buf_append(dv_buf *buf, dv_slice bytes);
dv_must dv_result dv_buf_append_str(dv_buf *buf, const char *string);
dv_must dv_result dv_buf_append_byte(dv_buf *buf, uint8_t byte);
/* In decimal digits. */
dv_must dv_result dv_buf_append_u64(dv_buf *buf, uint64_t value);
dv_must dv_result dv_buf_append_printf(dv_buf *buf, const char *format, ...) dv_printf(2, 3);

/* Appends the text as a quoted JSON string (RFC 8259 section 7); invalid UTF-8 becomes U+FFFD. */
dv_must dv_result dv_buf_append_json_string(dv_buf *buf, dv_slice text);

/* Appends a NUL that does not count in len and returns the C string, valid until the next append;
 * NULL when there was no room. */
const char *dv_buf_cstr(dv_buf *buf);

static inline dv_slice dv_buf_slice(const dv_buf *buf)
{
    return (dv_slice){buf->ptr, buf->len};
}

static inline void dv_buf_clear(dv_buf *buf)
{
    buf->len = 0;
}
