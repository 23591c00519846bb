/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/data_table.h"

#include "base/arena.h"
#include "base/csv.h"
#include "base/json.h"

enum { LINE_MAX_BYTES = 4 << 20, LINE_ARENA = 64 << 20, LINE_TOKENS = 100000 };

/* ---- CSV ---- */

static dv_result find_columns(const dv_data_table *table, const dv_csv_record *head, size_t *at,
                              dv_error *error)
{
    for (size_t c = 0; c < table->column_count; c++) {
        size_t count = 0;
        for (size_t i = 0; i < head->count; i++) {
            if (dv_slice_eq_str(head->fields[i].text, table->columns[c])) {
                at[c] = i;
                count++;
            }
        }
        if (count != 1) { /* of two the other would not be looked for */
            return dv_error_set(error, DV_ERR_INVALID,
                                count == 0 ? "there is no column '%.64s'"
                                           : "more than one column is called '%.64s'",
                                table->columns[c]);
        }
    }
    return DV_OK;
}

static dv_result read_csv(const dv_data_table *table, FILE *in, dv_error *error)
{
    const dv_csv_source source = {dv_data_read_file, in};
    dv_auto(csv) dv_csv *csv = NULL;
    dv_csv_record record;
    size_t at[DV_DATA_TABLE_COLUMNS];
    DV_TRY(dv_csv_new(&source, 0, &csv));
    dv_result result = dv_csv_next(csv, &record, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, DV_ERR_INVALID, "the table has no head");
    }
    DV_TRY(result);
    DV_TRY(find_columns(table, &record, at, error));
    while ((result = dv_csv_next(csv, &record, error)) == DV_OK) {
        dv_slice cells[DV_DATA_TABLE_COLUMNS] = {{NULL, 0}};
        for (size_t c = 0; c < table->column_count; c++) {
            cells[c] = at[c] < record.count ? record.fields[at[c]].text : (dv_slice){NULL, 0};
        }
        DV_TRY(table->record(table->data, cells, record.offset));
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* ---- lines of JSON ---- */

/* The member of that name, or of that path; 0: there is none. */
static uint32_t find_member(const dv_json *json, const char *path)
{
    uint32_t token = dv_json_member(json, 0, path);
    dv_slice rest = dv_slice_str(path);
    dv_slice name;
    uint32_t at = 0;
    if (token != 0) {
        return token;
    }
    while (dv_slice_split(&rest, '.', &name)) {
        if (json->tokens[at].type != DV_JSON_OBJECT ||
            (at = dv_json_member_named(json, at, name)) == 0) {
            return 0;
        }
    }
    return at;
}

static dv_result read_cell(const dv_json *json, const char *path, dv_arena *arena, bool *met,
                           dv_slice *ret_cell)
{
    uint32_t token = find_member(json, path);
    *ret_cell = (dv_slice){NULL, 0};
    if (token == 0) {
        return DV_OK;
    }
    *met = true;
    switch ((dv_json_type)json->tokens[token].type) {
    case DV_JSON_STRING:
        return dv_json_string(json, token, arena, ret_cell);
    case DV_JSON_NUMBER:
        *ret_cell = dv_json_raw(json, token);
        return DV_OK;
    default:
        return DV_OK;
    }
}

static dv_result read_line(const dv_data_table *table, dv_slice line, dv_arena *arena, bool *met,
                           uint64_t done)
{
    static const dv_json_limits limits = {.depth = 32, .tokens = LINE_TOKENS};
    dv_slice cells[DV_DATA_TABLE_COLUMNS];
    dv_json json;
    DV_TRY(dv_json_scan(line, &limits, arena, &json, NULL));
    if (json.tokens[0].type != DV_JSON_OBJECT) {
        return DV_ERR_INVALID;
    }
    for (size_t c = 0; c < table->column_count; c++) {
        DV_TRY(read_cell(&json, table->columns[c], arena, &met[c], &cells[c]));
    }
    return table->record(table->data, cells, done);
}

static bool is_blank(dv_slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] > ' ') {
            return false;
        }
    }
    return true;
}

static dv_result check_met(const dv_data_table *table, const bool *met, dv_error *error)
{
    for (size_t c = 0; c < table->column_count; c++) {
        if (!met[c]) {
            return dv_error_set(error, DV_ERR_INVALID, "no record has a member '%.64s'",
                                table->columns[c]);
        }
    }
    return DV_OK;
}

static dv_result read_lines(const dv_data_table *table, FILE *in, char **line, size_t *room,
                            dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(LINE_ARENA);
    bool met[DV_DATA_TABLE_COLUMNS] = {false};
    uint64_t done = 0;
    ssize_t len = 0;
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (int number = 1; (len = getline(line, room, in)) >= 0; number++) {
        dv_slice text = dv_slice_of(*line, (size_t)len);
        done += text.len;
        if (is_blank(text)) {
            continue;
        }
        dv_result result =
            text.len > LINE_MAX_BYTES ? DV_ERR_TOO_LARGE : read_line(table, text, arena, met, done);
        dv_arena_reset(arena);
        if (result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE) {
            return dv_error_set_at(error, DV_ERR_INVALID, number, 0, "is no JSON object%s",
                                   result == DV_ERR_TOO_LARGE ? ", or too large" : "");
        }
        DV_TRY(result);
    }
    return ferror(in) != 0 ? DV_ERR_IO : check_met(table, met, error);
}

dv_result dv_data_table_read(const dv_data_table *table, FILE *in, dv_error *error)
{
    char *line = NULL;
    size_t room = 0;
    if (!table->json) {
        return read_csv(table, in, error);
    }
    dv_result result = read_lines(table, in, &line, &room, error);
    free(line);
    return result;
}
