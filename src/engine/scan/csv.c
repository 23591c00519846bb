/* SPDX-License-Identifier: Apache-2.0 */
/* CSV (RFC 4180), column by column. */
#include "base/csv.h"

#include "engine/scan/scan_private.h"

#include <stdlib.h>

enum { NAME_MAX_LEN = 128, DIGITS_MAX = 4, CSV_ARENA = 4 << 20, KEPT_MAX = 16 << 20 };

/* ---- names of columns ---- */

/* How they are called: by the first record where that holds names, otherwise "column 1", "column 2"
 * ... */
typedef struct columns {
    dv_slice *names; /* in the arena */
    size_t count;
} columns;

static bool is_name(dv_slice field)
{
    size_t digits = 0;
    for (size_t i = 0; i < field.len; i++) {
        digits += field.ptr[i] >= '0' && field.ptr[i] <= '9';
    }
    return field.len <= NAME_MAX_LEN && digits <= DIGITS_MAX && digits < DV_MAX(field.len, 1) &&
           dv_slice_find_byte(field, '@') < 0;
}

/* Whether all fields look like names and none like a value. */
static bool is_heading(const dv_slice *fields, size_t count)
{
    size_t named = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_name(fields[i])) {
            return false;
        }
        named += fields[i].len > 0;
    }
    return named > 0;
}

static dv_result name_columns(const dv_slice *fields, size_t count, bool heading, dv_arena *arena,
                              columns *ret_columns)
{
    columns list = {dv_arena_alloc(arena, count * sizeof(*list.names)), count};
    if (list.names == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        dv_slice name = heading ? dv_slice_trim(fields[i]) : (dv_slice){NULL, 0};
        const char *number = dv_arena_printf(arena, "column %zu", i + 1);
        if (number == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        DV_TRY(dv_arena_copy(arena, name.len > 0 ? name : dv_slice_str(number), &list.names[i]));
    }
    *ret_columns = list;
    return DV_OK;
}

/* ---- records ---- */

typedef struct reading {
    dv_scan *scan;
    dv_scan_source *source;
    columns columns;
    dv_scan_place place;
    dv_arena *arena;
    /* What was read from the last good record on: what follows is searched as text should it turn
     * out to be no CSV. */
    dv_buf kept;
    uint64_t kept_at; /* of its first byte */
    uint64_t good;    /* where the last good record begins */
} reading;

static dv_result get(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    reading *r = data;
    size_t drop = (size_t)DV_MIN(r->good - r->kept_at, r->kept.len);
    if (drop > 0) {
        memmove(r->kept.ptr, r->kept.ptr + drop, r->kept.len - drop);
        r->kept.len -= drop;
    }
    r->kept_at += drop;
    DV_TRY(dv_scan_read(r->source, out, room, ret_len));
    return dv_buf_append(&r->kept, dv_slice_of(out, *ret_len));
}

static dv_result tell_record(reading *r, const dv_csv_record *record)
{
    const dv_scan_visitor *visitor = r->scan->visitor;
    for (size_t i = 0; i < record->count; i++) {
        /* Fields beyond the heading count for the last column. */
        r->place.field = r->columns.names[DV_MIN(i, r->columns.count - 1)];
        DV_TRY(visitor->value(visitor->data, &r->place, record->fields[i].text));
    }
    r->scan->item.rows++;
    return DV_OK;
}

static dv_result first_record(reading *r, const dv_csv_record *record)
{
    dv_slice *fields = dv_arena_alloc(r->arena, record->count * sizeof(*fields));
    if (fields == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < record->count; i++) {
        fields[i] = record->fields[i].text;
    }
    bool heading = is_heading(fields, record->count);
    DV_TRY(name_columns(fields, record->count, heading, r->arena, &r->columns));
    return heading ? DV_OK : tell_record(r, record);
}

static dv_result tell_rest(reading *r, const dv_error *error)
{
    const dv_scan_visitor *visitor = r->scan->visitor;
    const dv_scan_place place = {.member = r->place.member};
    size_t drop = (size_t)DV_MIN(r->good - r->kept_at, r->kept.len);
    dv_slice kept = dv_slice_sub(dv_buf_slice(&r->kept), drop, r->kept.len);
    DV_TRY(visitor->text(visitor->data, &place, kept, false));
    DV_TRY(dv_scan_text(r->scan, r->source, r->place.member));
    dv_scan_problem(r->scan, "is no CSV from line %d on (%.80s): read as text there", error->line,
                    error->message);
    return DV_OK;
}

static dv_result read_records(reading *r, dv_csv *csv)
{
    dv_csv_record record;
    dv_error error = {0};
    dv_result result = DV_OK;
    while ((result = dv_csv_next(csv, &record, &error)) == DV_OK) {
        r->good = record.offset;
        DV_TRY(r->columns.count == 0 ? first_record(r, &record) : tell_record(r, &record));
    }
    if (result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE) {
        return tell_rest(r, &error);
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

dv_result dv_scan_csv(dv_scan *scan, dv_scan_source *source, dv_slice member, char delimiter)
{
    reading r = {.scan = scan, .source = source, .place.member = member};
    const dv_csv_source from = {get, &r};
    dv_auto(arena) dv_arena *arena = dv_arena_new(CSV_ARENA);
    dv_auto(csv) dv_csv *csv = NULL;
    r.kept = dv_buf_init(KEPT_MAX);
    r.arena = arena;
    dv_result result = arena == NULL ? DV_ERR_NO_MEMORY : dv_csv_new(&from, delimiter, &csv);
    result = result == DV_OK ? read_records(&r, csv) : result;
    dv_buf_wipe(&r.kept);
    return result;
}
