/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"

/* CSV as RFC 4180 has it, record by record, in memory of one record: quoted fields hold separators,
 * line ends and doubled quotes; records end with LF or CRLF; a byte order mark is passed over. A
 * quote within a field that does not begin with one is a letter, as most programs write it. */
enum {
    DV_CSV_RECORD_MAX = 4 << 20, /* bytes */
    DV_CSV_FIELDS_MAX = 4096,
};

typedef struct dv_csv dv_csv;

/* Where the bytes come from: fills up to room bytes; 0: the end. */
typedef struct dv_csv_source {
    dv_result (*get)(void *data, uint8_t *out, size_t room, size_t *ret_len);
    void *data;
} dv_csv_source;

typedef struct dv_csv_field {
    dv_slice text; /* without its quotes */
    bool quoted;
} dv_csv_field;

/* Valid until the next one is read. */
typedef struct dv_csv_record {
    const dv_csv_field *fields;
    size_t count;    /* 1 at least: an empty line has one empty field */
    uint64_t line;   /* its first, 1-based */
    uint64_t offset; /* of its first byte in the input */
    bool crlf;
    bool ended; /* by a line end: false for a last record without one */
} dv_csv_record;

/* separator: one byte; 0: the one of , ; tab | that the first line has most of. The source is
 * borrowed. */
dv_must dv_result dv_csv_new(const dv_csv_source *source, char separator, dv_csv **ret_csv);
void dv_csv_free(dv_csv *csv);
DV_DEFINE_AUTO_PTR(csv, dv_csv, dv_csv_free)

/* Errors: DV_ERR_NOT_FOUND (no more), DV_ERR_INVALID (a quote that does not end, or text behind one
 * that does) and DV_ERR_TOO_LARGE with the line, DV_ERR_NO_MEMORY, the source's. */
dv_must dv_result dv_csv_next(dv_csv *csv, dv_csv_record *ret_record, dv_error *error);
/* Once a record was read. */
char dv_csv_separator(const dv_csv *csv);
bool dv_csv_has_mark(const dv_csv *csv);

/* Appends one field, quoted where it must be or where asked for. */
dv_must dv_result dv_csv_append(dv_buf *out, dv_slice text, char separator, bool quoted);
