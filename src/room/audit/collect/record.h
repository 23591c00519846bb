/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to room/audit/collect: writes one JSON object into a room of fixed size. Objects without
 * a value of their own are taken back, with the constants in them. */

#include "base/slice.h"

enum { DV_RECORD_DEPTH = 16 };

typedef struct dv_record_writer {
    uint8_t *start;
    uint8_t *at;
    uint8_t *end;
    size_t text_max; /* bytes of one text as it is written */
    bool full;       /* something did not fit: what is there is no record */
    bool cut;        /* a text was longer than text_max */
    unsigned depth;
    struct {
        uint8_t *before;
        bool kept; /* a value of its own, or firm */
    } levels[DV_RECORD_DEPTH];
} dv_record_writer;

void dv_record_put(dv_record_writer *writer, const char *text, size_t len);
void dv_record_put_int(dv_record_writer *writer, int64_t value);
/* In quotes, escaped (RFC 8259 section 7), cut at max bytes as written; bytes that are no UTF-8,
 * and NUL, become U+FFFD. Returns how many bytes of the text are there. */
size_t dv_record_put_text(dv_record_writer *writer, dv_slice text, size_t max);

/* A comma where one is needed, and the name: text is "\"uid\":", perhaps with brackets behind. */
void dv_record_name(dv_record_writer *writer, const char *text);
/* Opens what text opens. firm: stays whatever is in it. */
void dv_record_open(dv_record_writer *writer, const char *text, bool firm);
void dv_record_close(dv_record_writer *writer, const char *text);
/* There is a value at this level: it stays. */
void dv_record_keep(dv_record_writer *writer);
