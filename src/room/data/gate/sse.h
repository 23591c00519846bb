/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"

/* Server-sent events (WHATWG HTML, section 9.2.6), read as they come. */

enum {
    DV_SSE_NAME_MAX = 64,   /* bytes: letters, digits, '_', '.', '-'; one letter at least */
    DV_SSE_NAME_DIGITS = 5, /* digits of a name */
};

typedef struct dv_sse_reader {
    dv_buf line;
    dv_buf data;
    char name[DV_SSE_NAME_MAX + 1];
    bool has_data;
    bool began;   /* the byte order mark can't come any more */
    bool skip_lf; /* the last line ended with CR */
} dv_sse_reader;

/* What is told of; a failure ends the reading. The slices live until the next call. */
typedef struct dv_sse_handler {
    dv_result (*event)(void *context, dv_slice name, dv_slice data);
    dv_result (*comment)(void *context);
    void *context;
} dv_sse_handler;

/* max: bytes of one line and of one event's data. */
void dv_sse_init(dv_sse_reader *reader, size_t max);
void dv_sse_release(dv_sse_reader *reader);

/* Bytes that are kept between events: without those of a line or an event that is not whole yet. */
size_t dv_sse_memory(const dv_sse_reader *reader);

/* Reads more bytes. Errors: DV_ERR_TOO_LARGE; DV_ERR_INVALID (an event's name); the handler's. */
dv_must dv_result dv_sse_feed(dv_sse_reader *reader, dv_slice bytes, const dv_sse_handler *handler);
/* The stream is over: what has no empty line behind it is told too. */
dv_must dv_result dv_sse_end(dv_sse_reader *reader, const dv_sse_handler *handler);

/* Appends one event; a name of length 0 is left out. */
dv_must dv_result dv_sse_write(dv_buf *out, dv_slice name, dv_slice data);
