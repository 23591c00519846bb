/* SPDX-License-Identifier: Apache-2.0 */
#include "base/csv.h"

enum { PIECE = 64 << 10 };

typedef enum place { AT_START, IN_PLAIN, IN_QUOTED, AFTER_QUOTE } place;

struct dv_csv {
    dv_csv_source source;
    dv_buf bytes; /* [record, len) are unread or under way */
    size_t record;
    uint64_t offset; /* of bytes[0] */
    uint64_t line;
    bool ended; /* the source has no more */
    bool begun;
    bool mark;
    char separator;
    dv_csv_field *fields;
    size_t *starts; /* of each field, from the record's first byte */
    size_t count;
};

/* One record being taken apart in place: offsets from its first byte. */
typedef struct reading {
    size_t read, write, start;
    place place;
    bool quoted;
    uint64_t lines;
    size_t line_len; /* of its line end */
} reading;

dv_result dv_csv_new(const dv_csv_source *source, char separator, dv_csv **ret_csv)
{
    dv_csv *csv = calloc(1, sizeof(*csv));
    if (csv == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    csv->source = *source;
    csv->separator = separator;
    csv->line = 1;
    csv->bytes = dv_buf_init(DV_CSV_RECORD_MAX + 2 * (size_t)PIECE);
    csv->fields = calloc(DV_CSV_FIELDS_MAX, sizeof(*csv->fields));
    csv->starts = calloc(DV_CSV_FIELDS_MAX, sizeof(*csv->starts));
    if (csv->fields == NULL || csv->starts == NULL) {
        dv_csv_free(csv);
        return DV_ERR_NO_MEMORY;
    }
    *ret_csv = csv;
    return DV_OK;
}

void dv_csv_free(dv_csv *csv)
{
    if (csv != NULL) {
        dv_buf_wipe(&csv->bytes); /* personal data */
        free(csv->fields);
        free(csv->starts);
        free(csv);
    }
}

char dv_csv_separator(const dv_csv *csv)
{
    return csv->separator;
}

bool dv_csv_has_mark(const dv_csv *csv)
{
    return csv->mark;
}

/* Reads more behind what there is of the record. */
static dv_result fill(dv_csv *csv, dv_error *error)
{
    size_t kept = csv->bytes.len - csv->record;
    if (kept > DV_CSV_RECORD_MAX) {
        return dv_error_set_at(error, DV_ERR_TOO_LARGE, (int)DV_MIN(csv->line, (uint64_t)INT32_MAX),
                               0, "a CSV record has more than %d bytes", DV_CSV_RECORD_MAX);
    }
    if (csv->record > 0) {
        memmove(csv->bytes.ptr, csv->bytes.ptr + csv->record, kept);
        csv->offset += csv->record;
        csv->bytes.len = kept;
        csv->record = 0;
    }
    size_t len = 0;
    DV_TRY(dv_buf_reserve(&csv->bytes, PIECE));
    DV_TRY(csv->source.get(csv->source.data, csv->bytes.ptr + csv->bytes.len, PIECE, &len));
    csv->bytes.len += len;
    csv->ended = len == 0;
    return DV_OK;
}

/* Outside quotes, in the first line. */
static char guess(dv_slice text)
{
    static const char candidates[] = ",;\t|";
    size_t counts[sizeof(candidates)] = {0};
    bool quoted = false;
    for (size_t i = 0; i < text.len && (quoted || text.ptr[i] != '\n'); i++) {
        const char *found = text.ptr[i] == '\0' ? NULL : strchr(candidates, text.ptr[i]);
        quoted ^= text.ptr[i] == '"';
        if (found != NULL && !quoted) {
            counts[found - candidates]++;
        }
    }
    size_t best = 0;
    for (size_t i = 1; i < sizeof(candidates) - 1; i++) {
        best = counts[i] > counts[best] ? i : best;
    }
    return candidates[best];
}

static dv_result begin(dv_csv *csv, dv_error *error)
{
    static const uint8_t mark[] = {0xEF, 0xBB, 0xBF};
    while (!csv->ended && csv->bytes.len < PIECE) {
        DV_TRY(fill(csv, error));
    }
    csv->begun = true;
    csv->mark = dv_slice_starts_with(dv_buf_slice(&csv->bytes), dv_slice_of(mark, sizeof(mark)));
    csv->record = csv->mark ? sizeof(mark) : 0;
    if (csv->separator == '\0') {
        csv->separator = guess(dv_slice_sub(dv_buf_slice(&csv->bytes), csv->record, SIZE_MAX));
    }
    return DV_OK;
}

static dv_result malformed(const dv_csv *csv, const reading *r, dv_error *error, const char *what)
{
    return dv_error_set_at(error, DV_ERR_INVALID,
                           (int)DV_MIN(csv->line + r->lines, (uint64_t)INT32_MAX), 0, "%s", what);
}

static dv_result end_field(dv_csv *csv, reading *r, dv_error *error)
{
    if (csv->count == DV_CSV_FIELDS_MAX) {
        return dv_error_set_at(error, DV_ERR_TOO_LARGE, (int)DV_MIN(csv->line, (uint64_t)INT32_MAX),
                               0, "a CSV record has more than %d fields", DV_CSV_FIELDS_MAX);
    }
    csv->starts[csv->count] = r->start;
    csv->fields[csv->count].text.len = r->write - r->start;
    csv->fields[csv->count].quoted = r->quoted;
    csv->count++;
    r->start = r->write;
    r->place = AT_START;
    r->quoted = false;
    return DV_OK;
}

/* Takes one byte. ret_end: it ended the record. */
static dv_result take(dv_csv *csv, reading *r, uint8_t *base, bool *ret_end, dv_error *error)
{
    uint8_t byte = base[r->read++];
    if (byte == '\n') {
        r->lines++;
    }
    if (r->place == IN_QUOTED && byte == '"') {
        r->place = AFTER_QUOTE;
        return DV_OK;
    }
    if (r->place == AFTER_QUOTE && byte == '"') {
        r->place = IN_QUOTED; /* a doubled one */
    } else if (r->place == AT_START && byte == '"') {
        r->place = IN_QUOTED;
        r->quoted = true;
        return DV_OK;
    } else if (r->place != IN_QUOTED && byte == (uint8_t)csv->separator) {
        return end_field(csv, r, error);
    } else if (r->place != IN_QUOTED && byte == '\n') {
        r->line_len = 1;
        if (r->write > r->start && base[r->write - 1] == '\r' && base[r->read - 2] == '\r') {
            r->write--;
            r->line_len = 2;
        }
        *ret_end = true;
        return end_field(csv, r, error);
    } else if (r->place == AFTER_QUOTE && byte != '\r') {
        return malformed(csv, r, error, "text stands behind a field's closing quote");
    } else if (r->place == AT_START) {
        r->place = IN_PLAIN;
    }
    base[r->write++] = byte;
    return DV_OK;
}

static dv_result read_record(dv_csv *csv, reading *r, bool *ret_ended, dv_error *error)
{
    while (!*ret_ended) {
        if (csv->record + r->read == csv->bytes.len) {
            if (csv->ended) {
                break;
            }
            DV_TRY(fill(csv, error));
            continue;
        }
        if (r->read > DV_CSV_RECORD_MAX) {
            return fill(csv, error); /* which says so */
        }
        DV_TRY(take(csv, r, csv->bytes.ptr + csv->record, ret_ended, error));
    }
    if (!*ret_ended && r->place == IN_QUOTED) {
        return malformed(csv, r, error, "the input ends within a quoted field");
    }
    return *ret_ended ? DV_OK : end_field(csv, r, error);
}

dv_result dv_csv_next(dv_csv *csv, dv_csv_record *ret_record, dv_error *error)
{
    reading r = {0};
    bool ended = false;
    if (!csv->begun) {
        DV_TRY(begin(csv, error));
    }
    while (csv->record == csv->bytes.len) {
        if (csv->ended) {
            return DV_ERR_NOT_FOUND;
        }
        DV_TRY(fill(csv, error));
    }
    csv->count = 0;
    DV_TRY(read_record(csv, &r, &ended, error));
    for (size_t i = 0; i < csv->count; i++) {
        csv->fields[i].text.ptr = csv->bytes.ptr + csv->record + csv->starts[i];
    }
    *ret_record = (dv_csv_record){.fields = csv->fields,
                                  .count = csv->count,
                                  .line = csv->line,
                                  .offset = csv->offset + csv->record,
                                  .crlf = r.line_len == 2,
                                  .ended = ended};
    csv->record += r.read;
    csv->line += r.lines;
    return DV_OK;
}

dv_result dv_csv_append(dv_buf *out, dv_slice text, char separator, bool quoted)
{
    for (size_t i = 0; i < text.len && !quoted; i++) {
        uint8_t byte = text.ptr[i];
        quoted = byte == '"' || byte == '\n' || byte == '\r' || byte == (uint8_t)separator;
    }
    if (!quoted) {
        return dv_buf_append(out, text);
    }
    DV_TRY(dv_buf_append_byte(out, '"'));
    for (ptrdiff_t at = dv_slice_find_byte(text, '"'); at >= 0;
         at = dv_slice_find_byte(text, '"')) {
        DV_TRY(dv_buf_append(out, dv_slice_sub(text, 0, (size_t)at + 1)));
        DV_TRY(dv_buf_append_byte(out, '"'));
        text = dv_slice_sub(text, (size_t)at + 1, text.len);
    }
    DV_TRY(dv_buf_append(out, text));
    return dv_buf_append_byte(out, '"');
}
