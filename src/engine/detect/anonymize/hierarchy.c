/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/anonymize/hierarchy.h"

#include "base/csv.h"
#include "engine/detect/anonymize/number.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <math.h>

/* -- listed ------------------------------------------------------------------------------------ */

static size_t width_of(const dv_hierarchy *h)
{
    return (size_t)h->levels + 1;
}

static dv_result add_row(dv_hierarchy *h, dv_arena *arena, size_t *room, dv_slice **ret_row)
{
    h->rows = dv_arena_grow(arena, h->rows, h->count, room, width_of(h) * sizeof(dv_slice), 64);
    if (h->rows == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_row = &h->rows[h->count++ * width_of(h)];
    return DV_OK;
}

static dv_result check_shape(const dv_hierarchy *h, size_t cells, int line, dv_error *error)
{
    if (cells < 2 || cells > DV_HIERARCHY_LEVELS_MAX + 1) {
        return dv_error_set_at(error, DV_ERR_INVALID, line, 0,
                               "a row of a hierarchy is a value and 1 to %d levels above it",
                               DV_HIERARCHY_LEVELS_MAX);
    }
    if (h->count > 0 && cells != width_of(h)) {
        return dv_error_set_at(error, DV_ERR_INVALID, line, 0,
                               "has %zu levels, the rows above have %u: repeat the last one",
                               cells - 1, h->levels);
    }
    return h->count < DV_HIERARCHY_ROWS_MAX
               ? DV_OK
               : dv_error_set_at(error, DV_ERR_TOO_LARGE, line, 0, "more than %d rows",
                                 DV_HIERARCHY_ROWS_MAX);
}

static dv_result check_text(dv_slice text, int line, dv_error *error)
{
    return text.len <= DV_HIERARCHY_TEXT_MAX
               ? DV_OK
               : dv_error_set_at(error, DV_ERR_TOO_LARGE, line, 0, "a value of more than %d bytes",
                                 DV_HIERARCHY_TEXT_MAX);
}

typedef struct ordering {
    size_t width, level;
} ordering;

static int by_level(const void *a, const void *b, void *data)
{
    const ordering *o = data;
    return dv_slice_cmp(((const dv_slice *)a)[o->level], ((const dv_slice *)b)[o->level]);
}

/* Each level's texts lead to one text above. In the end the rows stand by their values. */
static dv_result check_tree(dv_hierarchy *h, dv_error *error)
{
    ordering o = {.width = width_of(h), .level = h->levels};
    while (o.level-- > 0) {
        qsort_r(h->rows, h->count, o.width * sizeof(dv_slice), by_level, &o);
        for (size_t i = 1; i < h->count; i++) {
            const dv_slice *before = &h->rows[(i - 1) * o.width], *row = &h->rows[i * o.width];
            if (dv_slice_eq(before[o.level], row[o.level]) &&
                !dv_slice_eq(before[o.level + 1], row[o.level + 1])) {
                return dv_error_set(error, DV_ERR_INVALID,
                                    "'%.*s' on level %zu of a hierarchy belongs to both '%.*s' and "
                                    "'%.*s' on the next",
                                    (int)DV_MIN(row[o.level].len, 40U), row[o.level].ptr, o.level,
                                    (int)DV_MIN(before[o.level + 1].len, 40U),
                                    before[o.level + 1].ptr, (int)DV_MIN(row[o.level + 1].len, 40U),
                                    row[o.level + 1].ptr);
            }
        }
    }
    return DV_OK;
}

static dv_result read_record(dv_hierarchy *h, const dv_csv_record *record, dv_arena *arena,
                             size_t *room, dv_error *error)
{
    int line = (int)DV_MIN(record->line, (uint64_t)INT32_MAX);
    dv_slice *row;
    if (record->count == 1 && record->fields[0].text.len == 0) {
        return DV_OK; /* an empty line */
    }
    DV_TRY(check_shape(h, record->count, line, error));
    h->levels = (uint32_t)record->count - 1;
    DV_TRY(add_row(h, arena, room, &row));
    for (size_t i = 0; i < record->count; i++) {
        dv_slice text = dv_slice_trim(record->fields[i].text);
        DV_TRY(check_text(text, line, error));
        DV_TRY(dv_arena_copy(arena, text, &row[i]));
    }
    return DV_OK;
}

static dv_result take(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    dv_slice *rest = data;
    *ret_len = DV_MIN(rest->len, room);
    if (*ret_len > 0) {
        memcpy(out, rest->ptr, *ret_len);
    }
    *rest = dv_slice_sub(*rest, *ret_len, SIZE_MAX);
    return DV_OK;
}

dv_result dv_hierarchy_read_csv(dv_slice text, dv_arena *arena, dv_hierarchy *hierarchy,
                                dv_error *error)
{
    const dv_csv_source source = {take, &text};
    dv_hierarchy h = {.kind = DV_HIERARCHY_ROWS, .file = hierarchy->file};
    dv_auto(csv) dv_csv *csv = NULL;
    dv_csv_record record;
    size_t room = 0;
    ptrdiff_t end = dv_slice_find_byte(text, '\n');
    bool usual =
        dv_slice_find_byte(dv_slice_sub(text, 0, end < 0 ? text.len : (size_t)end), ';') >= 0;
    if (text.len > DV_HIERARCHY_FILE_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "a hierarchy of more than %d MiB",
                            DV_HIERARCHY_FILE_MAX >> 20);
    }
    DV_TRY(dv_csv_new(&source, usual ? ';' : '\0', &csv));
    dv_result result;
    while ((result = dv_csv_next(csv, &record, error)) == DV_OK) {
        DV_TRY(read_record(&h, &record, arena, &room, error));
    }
    if (result != DV_ERR_NOT_FOUND) {
        return result;
    }
    if (h.count == 0) {
        return dv_error_set(error, DV_ERR_INVALID, "a hierarchy without rows");
    }
    DV_TRY(check_tree(&h, error));
    *hierarchy = h;
    return DV_OK;
}

static dv_result read_row(dv_hierarchy *h, const dv_yaml *node, dv_arena *arena, size_t *room,
                          dv_error *error)
{
    size_t cells = 0;
    dv_slice *row;
    if (node->type != DV_YAML_LIST) {
        return dv_yaml_refuse(node, error, "a row is a list: [value, level1, level2]");
    }
    for (const dv_yaml *cell = node->first; cell != NULL; cell = cell->next) {
        cells++;
    }
    DV_TRY(check_shape(h, cells, node->line, error));
    h->levels = (uint32_t)cells - 1;
    DV_TRY(add_row(h, arena, room, &row));
    for (const dv_yaml *cell = node->first; cell != NULL; cell = cell->next) {
        const char *text = NULL;
        DV_TRY(dv_yaml_string(cell, &text, error));
        *row = dv_slice_trim(dv_slice_str(text));
        DV_TRY(check_text(*row++, cell->line, error));
    }
    return DV_OK;
}

static dv_result read_rows(dv_hierarchy *h, const dv_yaml *list, dv_arena *arena, dv_error *error)
{
    size_t room = 0;
    if (list->type != DV_YAML_LIST || list->first == NULL) {
        return dv_yaml_refuse(list, error, "rows is a list: [[nurse, health], [cook, kitchen]]");
    }
    for (const dv_yaml *node = list->first; node != NULL; node = node->next) {
        DV_TRY(read_row(h, node, arena, &room, error));
    }
    return check_tree(h, error);
}

static int by_value(const void *key, const void *row)
{
    return dv_slice_cmp(*(const dv_slice *)key, *(const dv_slice *)row);
}

static dv_result listed_path(const dv_hierarchy *h, dv_slice value, dv_slice *levels)
{
    const dv_slice *row =
        h->count == 0 ? NULL
                      : bsearch(&value, h->rows, h->count, width_of(h) * sizeof(value), by_value);
    if (row == NULL) {
        return DV_ERR_NOT_FOUND;
    }
    memcpy(levels, row + 1, h->levels * sizeof(*levels));
    return DV_OK;
}

/* -- built in ---------------------------------------------------------------------------------- */

static dv_result print(dv_arena *arena, const char *text, dv_slice *ret)
{
    return dv_arena_copy(arena, dv_slice_str(text), ret);
}

static dv_result date_path(const dv_hierarchy *h, dv_slice value, dv_arena *arena, dv_slice *levels)
{
    dv_date date;
    char text[4][32];
    if (!dv_date_parse(value, h->order, true, &date)) {
        return DV_OK;
    }
    (void)snprintf(text[0], sizeof(text[0]), "%04d-%02d-%02d", date.year, date.month,
                   date.of_month);
    (void)snprintf(text[1], sizeof(text[1]), "%04d-%02d", date.year, date.month);
    (void)snprintf(text[2], sizeof(text[2]), "%04d", date.year);
    (void)snprintf(text[3], sizeof(text[3]), "%ds", date.year / 10 * 10);
    for (size_t i = 0; i < DV_ARRAY_LEN(text); i++) {
        DV_TRY(print(arena, text[i], &levels[i]));
    }
    return DV_OK;
}

/* One character more is hidden on each level; what has as many as that is hidden altogether. */
static dv_result zip_path(const dv_hierarchy *h, dv_slice value, dv_arena *arena, dv_slice *levels)
{
    char text[64];
    for (size_t i = 0; i < value.len; i++) {
        if (value.len >= sizeof(text) || value.ptr[i] < ' ' || value.ptr[i] > '~' ||
            value.ptr[i] == '*') {
            return DV_OK;
        }
    }
    dv_slice_copy(value, text, sizeof(text));
    for (size_t i = 0; i < h->levels && i + 1 < value.len; i++) {
        text[value.len - 1 - i] = '*';
        DV_TRY(print(arena, text, &levels[i]));
    }
    return DV_OK;
}

static dv_result age_path(dv_slice value, dv_arena *arena, dv_slice *levels)
{
    static const int widths[] = {5, 10, 30};
    double number;
    char text[32];
    if (!dv_number_read(value, &number) || number < 0 || number > 200) {
        return DV_OK;
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(widths); i++) {
        int low = (int)number / widths[i] * widths[i];
        (void)snprintf(text, sizeof(text), number >= 90 ? "90+" : "%d-%d", low,
                       low + widths[i] - 1);
        DV_TRY(print(arena, text, &levels[i]));
    }
    return DV_OK;
}

static dv_result network_path(dv_slice value, dv_arena *arena, dv_slice *levels)
{
    static const int bits[2][3] = {{24, 16, 8}, {48, 32, 16}};
    char text[INET6_ADDRSTRLEN + 8];
    uint8_t bytes[16];
    if (value.len >= sizeof(text)) {
        return DV_OK;
    }
    dv_slice_copy(value, text, sizeof(text));
    int family = strchr(text, ':') == NULL ? AF_INET : AF_INET6;
    if (inet_pton(family, text, bytes) != 1) {
        return DV_OK;
    }
    for (size_t i = 0; i < 3; i++) {
        int length = bits[family == AF_INET6][i];
        memset(bytes + length / 8, 0, (family == AF_INET ? 4U : 16U) - (size_t)length / 8);
        if (inet_ntop(family, bytes, text, INET6_ADDRSTRLEN) == NULL) {
            return DV_ERR_INVALID;
        }
        (void)snprintf(text + strlen(text), 8, "/%d", length);
        DV_TRY(print(arena, text, &levels[i]));
    }
    return DV_OK;
}

/* 12 and 12.5 are told alike: "10-<20". */
static dv_result interval_path(const dv_hierarchy *h, dv_slice value, dv_arena *arena,
                               dv_slice *levels)
{
    double number;
    char text[64];
    if (!dv_number_read(value, &number) || fabs(number) > 1e15) {
        return DV_OK;
    }
    for (size_t i = 0; i < h->levels; i++) {
        int64_t low = (int64_t)floor(number / (double)h->widths[i]) * h->widths[i];
        (void)snprintf(text, sizeof(text), "%" PRId64 "-<%" PRId64, low, low + h->widths[i]);
        DV_TRY(print(arena, text, &levels[i]));
    }
    return DV_OK;
}

dv_result dv_hierarchy_path(const dv_hierarchy *hierarchy, dv_slice value, dv_arena *arena,
                            dv_slice *ret_levels)
{
    value = dv_slice_trim(value);
    for (size_t i = 0; i < hierarchy->levels; i++) {
        ret_levels[i] = DV_LIT("*");
    }
    switch (hierarchy->kind) {
    case DV_HIERARCHY_ROWS:
        return value.len == 0 && listed_path(hierarchy, value, ret_levels) != DV_OK
                   ? DV_OK
                   : listed_path(hierarchy, value, ret_levels);
    case DV_HIERARCHY_DATES:
        return date_path(hierarchy, value, arena, ret_levels);
    case DV_HIERARCHY_ZIP:
        return zip_path(hierarchy, value, arena, ret_levels);
    case DV_HIERARCHY_AGES:
        return age_path(value, arena, ret_levels);
    case DV_HIERARCHY_IP:
        return network_path(value, arena, ret_levels);
    case DV_HIERARCHY_INTERVALS:
        return interval_path(hierarchy, value, arena, ret_levels);
    default:
        return DV_OK;
    }
}

/* -- which ------------------------------------------------------------------------------------- */

static dv_result read_name(const dv_yaml *node, dv_hierarchy *h, dv_error *error)
{
    static const struct {
        const char *name;
        dv_hierarchy_kind kind;
        uint32_t levels;
    } names[] = {{"dates", DV_HIERARCHY_DATES, 4},
                 {"zip", DV_HIERARCHY_ZIP, 9},
                 {"ages", DV_HIERARCHY_AGES, 3},
                 {"ip", DV_HIERARCHY_IP, 3}};
    const char *name = NULL;
    DV_TRY(dv_yaml_string(node, &name, error));
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        if (strcmp(names[i].name, name) == 0) {
            h->kind = names[i].kind;
            h->levels = names[i].levels;
            return DV_OK;
        }
    }
    return dv_yaml_refuse(node, error,
                          "'%s' is no hierarchy: dates, zip, ages, ip, {intervals: [10, 100]}, "
                          "{file: F} or {rows: [[value, level1, level2]]}",
                          name);
}

/* A wider interval holds whole narrower ones, or it would be no tree. */
static dv_result read_widths(const dv_yaml *list, dv_hierarchy *h, dv_error *error)
{
    if (list->type != DV_YAML_LIST || list->first == NULL) {
        return dv_yaml_refuse(list, error, "intervals is a list of widths: [10, 100]");
    }
    for (const dv_yaml *node = list->first; node != NULL; node = node->next) {
        if (h->levels == DV_HIERARCHY_LEVELS_MAX) {
            return dv_yaml_refuse(node, error, "more than %d intervals", DV_HIERARCHY_LEVELS_MAX);
        }
        int64_t *width = &h->widths[h->levels];
        DV_TRY(dv_yaml_int(node, 1, INT64_C(1000000000000), width, error));
        if (h->levels > 0 && (*width <= width[-1] || *width % width[-1] != 0)) {
            return dv_yaml_refuse(node, error,
                                  "%" PRId64 " is no multiple of %" PRId64 ", the width before it",
                                  *width, width[-1]);
        }
        h->levels++;
    }
    return DV_OK;
}

dv_result dv_hierarchy_read(const dv_yaml *node, dv_date_order order, dv_arena *arena,
                            dv_hierarchy *ret_hierarchy, dv_error *error)
{
    static const char *const keys[] = {"file", "rows", "intervals", NULL};
    dv_hierarchy h = {.order = order};
    if (node->type == DV_YAML_SCALAR) {
        DV_TRY(read_name(node, &h, error));
        *ret_hierarchy = h;
        return DV_OK;
    }
    DV_TRY(dv_yaml_check_keys(node, keys, error));
    const dv_yaml *file = dv_yaml_get(node, "file"), *rows = dv_yaml_get(node, "rows");
    const dv_yaml *widths = dv_yaml_get(node, "intervals");
    if ((file != NULL) + (rows != NULL) + (widths != NULL) != 1) {
        return dv_yaml_refuse(node, error, "one of file, rows and intervals says what it is");
    }
    h.kind = widths != NULL ? DV_HIERARCHY_INTERVALS : DV_HIERARCHY_ROWS;
    DV_TRY(file == NULL ? DV_OK : dv_yaml_string(file, &h.file, error));
    DV_TRY(rows == NULL ? DV_OK : read_rows(&h, rows, arena, error));
    DV_TRY(widths == NULL ? DV_OK : read_widths(widths, &h, error));
    *ret_hierarchy = h;
    return DV_OK;
}
