/* SPDX-License-Identifier: Apache-2.0 */
/* Prints answers: aligned tables for people, JSON and YAML for programs. */
#include "cli/cli.h"

#include "base/buf.h"
#include "base/codec.h"
#include "cli/print_yaml.h"
#include "cli/visible.h"

#include <ctype.h>
#include <wchar.h>

enum { CELL_MAX = 4 << 20, COLUMNS_MAX = 32, GAP = 2 };

#define BOLD "\033[1m"
#define PLAIN "\033[0m"

/* Columns that a character takes on a terminal; control characters are never printed. */
static int width_of(uint32_t code_point)
{
    int width = wcwidth((wchar_t)code_point);
    return width >= 0 ? width : 1;
}

static size_t display_width(dv_slice text)
{
    size_t width = 0;
    uint32_t code_point;
    for (size_t len; text.len > 0 && (len = dv_utf8_decode(text, &code_point)) > 0;
         text = dv_slice_sub(text, len, text.len)) {
        width += (size_t)width_of(code_point);
    }
    return width;
}

static dv_result append_dump(dv_buf *out, const json_t *value)
{
    dv_auto(free) char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    return text != NULL ? dv_visible_append(out, dv_slice_str(text)) : DV_ERR_NO_MEMORY;
}

/* One value as a cell: text as it is, lists with commas, all else as JSON. */
static dv_result append_cell(dv_buf *out, const json_t *value)
{
    if (value == NULL || json_is_null(value) ||
        (json_is_string(value) && json_string_length(value) == 0)) {
        return dv_buf_append_str(out, "-");
    }
    if (json_is_string(value)) {
        return dv_visible_append(out,
                                 dv_slice_of(json_string_value(value), json_string_length(value)));
    }
    if (json_is_real(value)) {
        return dv_buf_append_printf(out, "%.10g", json_real_value(value));
    }
    if (!json_is_array(value)) {
        return append_dump(out, value);
    }
    size_t index;
    json_t *item;
    json_array_foreach(value, index, item)
    {
        DV_TRY(dv_buf_append_str(out, index > 0 ? "," : ""));
        DV_TRY(append_cell(out, item));
    }
    return json_array_size(value) > 0 ? DV_OK : dv_buf_append_str(out, "-");
}

static void print_padded(dv_cli *cli, dv_slice text, size_t width, bool last, bool bold)
{
    fprintf(cli->out, "%s%.*s%s", bold ? BOLD : "", DV_SLICE_ARGS(text), bold ? PLAIN : "");
    size_t taken = display_width(text);
    for (size_t i = taken; !last && i < width + GAP; i++) {
        fputc(' ', cli->out);
    }
}

/* "created_at" is headed "CREATED AT". */
static dv_result append_heading(dv_buf *out, const char *column)
{
    for (; *column != '\0'; column++) {
        char letter = *column == '_' ? ' ' : (char)toupper((unsigned char)*column);
        DV_TRY(dv_buf_append_byte(out, (uint8_t)letter));
    }
    return DV_OK;
}

/* Makes the text of one cell; row NULL: the heading. */
static dv_result make_cell(const json_t *row, const char *column, dv_buf *out)
{
    dv_buf_clear(out);
    if (row == NULL) {
        return append_heading(out, column);
    }
    return append_cell(out, json_object_get(row, column));
}

static dv_result measure(const json_t *rows, const char *const *columns, size_t *widths,
                         dv_buf *cell)
{
    for (size_t c = 0; columns[c] != NULL; c++) {
        DV_TRY(make_cell(NULL, columns[c], cell));
        widths[c] = display_width(dv_buf_slice(cell));
        for (size_t r = 0; r < json_array_size(rows); r++) {
            DV_TRY(make_cell(json_array_get(rows, r), columns[c], cell));
            widths[c] = DV_MAX(widths[c], display_width(dv_buf_slice(cell)));
        }
    }
    return DV_OK;
}

static dv_result print_row(dv_cli *cli, const json_t *row, const char *const *columns,
                           const size_t *widths, dv_buf *cell)
{
    for (size_t c = 0; columns[c] != NULL; c++) {
        DV_TRY(make_cell(row, columns[c], cell));
        print_padded(cli, dv_buf_slice(cell), widths[c], columns[c + 1] == NULL,
                     row == NULL && cli->colour);
    }
    fputc('\n', cli->out);
    return DV_OK;
}

static dv_result print_table(dv_cli *cli, const json_t *rows, const char *const *columns)
{
    size_t widths[COLUMNS_MAX];
    dv_auto(buf) dv_buf cell = dv_buf_init(CELL_MAX);
    size_t count = 0;
    while (columns[count] != NULL) {
        count++;
    }
    if (count > COLUMNS_MAX) {
        return DV_ERR_INTERNAL;
    }
    DV_TRY(measure(rows, columns, widths, &cell));
    if (!cli->headless) {
        DV_TRY(print_row(cli, NULL, columns, widths, &cell));
    }
    for (size_t r = 0; r < json_array_size(rows); r++) {
        DV_TRY(print_row(cli, json_array_get(rows, r), columns, widths, &cell));
    }
    return DV_OK;
}

static dv_result print_field(dv_cli *cli, const char *name, const json_t *value, size_t width,
                             dv_buf *cell)
{
    dv_buf_clear(cell);
    DV_TRY(dv_visible_append(cell, dv_slice_str(name)));
    print_padded(cli, dv_buf_slice(cell), width, false, cli->colour);
    dv_buf_clear(cell);
    DV_TRY(append_cell(cell, value));
    fprintf(cli->out, "%.*s\n", DV_SLICE_ARGS(dv_buf_slice(cell)));
    return DV_OK;
}

/* One line for each column, or for each field when no columns are named. */
static dv_result print_fields(dv_cli *cli, const json_t *object, const char *const *columns)
{
    dv_auto(buf) dv_buf cell = dv_buf_init(CELL_MAX);
    const char *name;
    json_t *value;
    size_t width = 0;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        width = DV_MAX(width, display_width(dv_slice_str(name)));
    }
    for (size_t c = 0; columns != NULL && columns[c] != NULL; c++) {
        value = json_object_get(object, columns[c]);
        if (value != NULL) {
            DV_TRY(print_field(cli, columns[c], value, width, &cell));
        }
    }
    if (columns != NULL) {
        return DV_OK;
    }
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        DV_TRY(print_field(cli, name, value, width, &cell));
    }
    return DV_OK;
}

/* Columns for rows that name none: the fields of the first row. */
static dv_result guess_columns(const json_t *rows, const char *out[COLUMNS_MAX + 1])
{
    size_t count = 0;
    const char *name;
    json_t *value;
    json_object_foreach(json_array_get(rows, 0), name, value)
    {
        if (count < COLUMNS_MAX) {
            out[count++] = name;
        }
    }
    out[count] = NULL;
    return count > 0 ? DV_OK : DV_ERR_NOT_FOUND;
}

static dv_result print_for_people(dv_cli *cli, const json_t *value, const json_t *rows,
                                  const char *const *columns)
{
    const char *guessed[COLUMNS_MAX + 1];
    dv_auto(buf) dv_buf cell = dv_buf_init(CELL_MAX);
    if (rows != NULL && columns != NULL) {
        return print_table(cli, rows, columns);
    }
    if (rows != NULL && guess_columns(rows, guessed) == DV_OK) {
        return print_table(cli, rows, guessed);
    }
    if (json_is_object(value) && rows == NULL) {
        return print_fields(cli, value, columns);
    }
    if (rows != NULL && json_array_size(rows) == 0) {
        return DV_OK;
    }
    DV_TRY(append_cell(&cell, value));
    fprintf(cli->out, "%.*s\n", DV_SLICE_ARGS(dv_buf_slice(&cell)));
    return DV_OK;
}

/* Jansson writes whole characters, and hidden ones stand in strings only. */
static int write_json(const char *text, size_t len, void *data)
{
    FILE *out = data;
    dv_visible_write_slice(out, dv_slice_of(text, len));
    return ferror(out) ? -1 : 0;
}

static dv_result print_json(dv_cli *cli, const json_t *value, size_t flags)
{
    if (json_dump_callback(value, write_json, cli->out, flags | JSON_ENCODE_ANY) != 0) {
        return DV_ERR_IO;
    }
    fputc('\n', cli->out);
    return DV_OK;
}

static dv_result print_lines(dv_cli *cli, const json_t *value, const json_t *rows)
{
    if (rows == NULL) {
        return print_json(cli, value, JSON_COMPACT);
    }
    size_t index;
    json_t *row;
    json_array_foreach(rows, index, row)
    {
        DV_TRY(print_json(cli, row, JSON_COMPACT));
    }
    return DV_OK;
}

/* --- CSV (RFC 4180) -------------------------------------------------------------------------- */

/* What a spreadsheet would run instead of show it. */
static bool looks_like_formula(dv_slice text)
{
    return text.len > 0 && memchr("=+-@\t\r", text.ptr[0], 6) != NULL;
}

/* One field, always in quotes (RFC 4180, section 2, rules 5 to 7). */
static void print_quoted(dv_cli *cli, dv_slice text, bool guard)
{
    fputs(guard && looks_like_formula(text) ? "\"'" : "\"", cli->out);
    for (size_t i = 0; i < text.len; i++) {
        fputs(text.ptr[i] == '"' ? "\"" : "", cli->out);
        fputc(text.ptr[i], cli->out);
    }
    fputc('"', cli->out);
}

static bool is_empty(const json_t *value)
{
    return value == NULL || json_is_null(value) ||
           (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

/* Control characters are shown as in tables: the field is one line. row NULL: the heading. */
static dv_result print_csv_row(dv_cli *cli, const json_t *row, const char *const *columns)
{
    dv_auto(buf) dv_buf cell = dv_buf_init(CELL_MAX);
    for (size_t c = 0; columns[c] != NULL; c++) {
        const json_t *value = json_object_get(row, columns[c]);
        dv_buf_clear(&cell);
        DV_TRY(row == NULL       ? dv_buf_append_str(&cell, columns[c])
               : is_empty(value) ? DV_OK
                                 : append_cell(&cell, value));
        fputs(c > 0 ? "," : "", cli->out);
        print_quoted(cli, dv_buf_slice(&cell), !json_is_number(value));
    }
    fputs("\r\n", cli->out);
    return DV_OK;
}

/* The table's columns; one object is one row of its fields. */
static dv_result print_csv(dv_cli *cli, const json_t *value, const json_t *rows,
                           const char *const *columns)
{
    const char *guessed[COLUMNS_MAX + 1];
    json_t *one = json_pack("[O]", value);
    const json_t *all = rows != NULL ? rows : one;
    dv_result result = one == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    if (result == DV_OK && columns == NULL) {
        result = guess_columns(all, guessed);
        columns = guessed;
    }
    if (result == DV_OK && !cli->headless) {
        result = print_csv_row(cli, NULL, columns);
    }
    for (size_t r = 0; r < json_array_size(all) && result == DV_OK; r++) {
        result = print_csv_row(cli, json_array_get(all, r), columns);
    }
    json_decref(one);
    return result == DV_ERR_NOT_FOUND ? DV_OK : result; /* there is nothing, not even a name */
}

static dv_result print_as(dv_cli *cli, const json_t *value, const json_t *rows,
                          const char *const *columns)
{
    switch (cli->output) {
    case DV_OUTPUT_TABLE:
        return print_for_people(cli, value, rows, columns);
    case DV_OUTPUT_JSON:
        return print_json(cli, value, JSON_INDENT(2));
    case DV_OUTPUT_JSONL:
        return print_lines(cli, value, rows);
    case DV_OUTPUT_YAML:
        return dv_cli_print_yaml(cli->out, value);
    case DV_OUTPUT_CSV:
        return print_csv(cli, value, rows, columns);
    }
    return DV_ERR_INTERNAL;
}

dv_result dv_cli_print(dv_cli *cli, const json_t *value, const char *rows,
                       const char *const *columns)
{
    const json_t *list = rows != NULL ? json_object_get(value, rows) : value;
    DV_TRY(print_as(cli, value, json_is_array(list) ? list : NULL, columns));
    return fflush(cli->out) == 0 && !ferror(cli->out) ? DV_OK : DV_ERR_IO;
}

int dv_cli_fail(dv_cli *cli, const dv_error *error)
{
    const char *message =
        error->message[0] != '\0' ? error->message : dv_result_name(error->result);
    fputs("dvara: ", cli->err);
    dv_visible_write(cli->err, message);
    if (error->line > 0) {
        fprintf(cli->err, " (line %d, column %d)", error->line, error->column);
    }
    fputc('\n', cli->err);
    return DV_EXIT_FAILED;
}
