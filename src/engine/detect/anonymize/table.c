/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/anonymize/table.h"

#include "base/csv.h"
#include "engine/detect/anonymize/number.h"

/* -- reading ----------------------------------------------------------------------------------- */

dv_result dv_table_find(const dv_table *table, const char *name, size_t *ret_index, dv_error *error)
{
    size_t count = 0;
    for (size_t i = 0; i < table->width; i++) {
        if (dv_slice_eq_nocase(table->names[i], dv_slice_str(name))) {
            *ret_index = i;
            count++;
        }
    }
    if (count > 1) { /* the others would go out as they are */
        return dv_error_set(error, DV_ERR_INVALID, "%zu columns are called '%s'", count, name);
    }
    return count == 1 ? DV_OK
                      : dv_error_set(error, DV_ERR_INVALID, "there is no column '%s'", name);
}

static dv_result read_head(dv_table *t, const dv_csv_record *head)
{
    t->width = head->count;
    t->names = dv_arena_alloc(t->arena, t->width * sizeof(*t->names));
    if (t->names == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < t->width; i++) {
        DV_TRY(dv_arena_copy(t->arena, dv_slice_trim(head->fields[i].text), &t->names[i]));
    }
    return DV_OK;
}

static dv_result add_record(dv_table *t, const dv_csv_record *record, dv_error *error)
{
    int line = (int)DV_MIN(record->line, (uint64_t)INT32_MAX);
    if (record->count != t->width) {
        return dv_error_set_at(
            error, DV_ERR_INVALID, line, 0,
            "a record has %zu cells, the head %zu: each wants as many as the head", record->count,
            t->width);
    }
    if (t->count == DV_ANONYMIZE_RECORDS_MAX) {
        return dv_error_set_at(error, DV_ERR_TOO_LARGE, line, 0, "more than %d records",
                               DV_ANONYMIZE_RECORDS_MAX);
    }
    t->cells =
        dv_arena_grow(t->arena, t->cells, t->count, &t->room, t->width * sizeof(*t->cells), 1024);
    if (t->cells == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < t->width; i++) {
        DV_TRY(dv_arena_copy(t->arena, record->fields[i].text, &t->cells[t->count * t->width + i]));
    }
    t->count++;
    return DV_OK;
}

dv_result dv_table_read(dv_table *table, const dv_walk_source *source, dv_error *error)
{
    const dv_csv_source bytes = {source->get, source->data};
    dv_auto(csv) dv_csv *csv = NULL;
    dv_csv_record record;
    DV_TRY(dv_csv_new(&bytes, table->separator, &csv));
    dv_result result = dv_csv_next(csv, &record, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, DV_ERR_INVALID, "the file is empty");
    }
    DV_TRY(result);
    DV_TRY(read_head(table, &record));
    while ((result = dv_csv_next(csv, &record, error)) == DV_OK) {
        DV_TRY(add_record(table, &record, error));
    }
    table->separator = dv_csv_separator(csv);
    table->mark = dv_csv_has_mark(csv);
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* -- codes ------------------------------------------------------------------------------------- */

typedef struct keyed {
    dv_slice text;
    double number;
    uint32_t record;
} keyed;

static int by_number(const void *a, const void *b)
{
    double x = ((const keyed *)a)->number, y = ((const keyed *)b)->number;
    return x < y ? -1 : x > y;
}

static int by_text(const void *a, const void *b)
{
    return dv_slice_cmp(((const keyed *)a)->text, ((const keyed *)b)->text);
}

dv_result dv_table_begin(dv_table *table, size_t columns)
{
    table->column_count = columns;
    table->columns = dv_arena_alloc(table->arena, columns * sizeof(*table->columns));
    table->codes = dv_arena_alloc(table->arena, (table->count * columns + 1) * sizeof(uint32_t));
    return table->columns == NULL || table->codes == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result read_keys(const dv_table *t, dv_table_column *c, dv_table_order order, keyed *keys,
                           dv_error *error)
{
    c->number = order != DV_TABLE_TEXT;
    for (size_t i = 0; i < t->count; i++) {
        keys[i].text = t->cells[i * t->width + c->index];
        keys[i].record = (uint32_t)i;
        c->number = c->number && dv_number_read(keys[i].text, &keys[i].number);
        if (!c->number && order == DV_TABLE_NUMBER) {
            return dv_error_set(error, DV_ERR_INVALID,
                                "'%s' is ordered, and record %zu has no number there", c->name,
                                i + 1);
        }
    }
    qsort(keys, t->count, sizeof(*keys), c->number ? by_number : by_text);
    return DV_OK;
}

typedef struct leaf {
    dv_slice text; /* of its node */
    uint32_t code;
} leaf;

static int by_node(const void *a, const void *b)
{
    return dv_slice_cmp(((const leaf *)a)->text, ((const leaf *)b)->text);
}

/* The nodes of one level, by their text. */
static dv_result number_nodes(dv_table *t, dv_table_column *c, uint32_t level, leaf *leaves)
{
    uint32_t node = 0;
    qsort(leaves, c->count, sizeof(*leaves), by_node);
    for (uint32_t pass = 0; pass < 2; pass++) {
        node = 0;
        for (uint32_t i = 0; i < c->count; i++) {
            node += i > 0 && by_node(&leaves[i - 1], &leaves[i]) != 0;
            c->paths[(size_t)leaves[i].code * c->levels + level - 1] = node;
            if (pass == 1) {
                c->nodes[level - 1][node].text = leaves[i].text;
                c->nodes[level - 1][node].values++;
            }
        }
        if (pass == 0) {
            c->nodes[level - 1] = dv_arena_alloc(t->arena, (node + 1) * sizeof(dv_table_node));
            if (c->nodes[level - 1] == NULL) {
                return DV_ERR_NO_MEMORY;
            }
        }
    }
    return DV_OK;
}

/* Different values stand together in keys. */
static dv_result set_levels(dv_table *t, dv_table_column *c, const dv_hierarchy *h,
                            const keyed *keys, size_t column, dv_slice *texts, leaf *leaves,
                            dv_error *error)
{
    uint32_t code = UINT32_MAX;
    for (size_t i = 0; i < t->count; i++) {
        uint32_t next = dv_table_at(t, keys[i].record, column);
        if (next == code) {
            continue;
        }
        code = next;
        dv_result result =
            dv_hierarchy_path(h, keys[i].text, t->arena, &texts[(size_t)code * h->levels]);
        if (result == DV_ERR_NOT_FOUND) {
            return dv_error_set(error, DV_ERR_INVALID,
                                "the hierarchy of '%s' does not have the value of record %u",
                                c->name, keys[i].record + 1);
        }
        DV_TRY(result);
    }
    for (uint32_t level = 1; level <= h->levels; level++) {
        for (uint32_t i = 0; i < c->count; i++) {
            leaves[i] = (leaf){texts[(size_t)i * h->levels + level - 1], i};
        }
        DV_TRY(number_nodes(t, c, level, leaves));
    }
    return DV_OK;
}

static dv_result raise_column(dv_table *t, dv_table_column *c, const dv_hierarchy *h,
                              const keyed *keys, size_t column, dv_error *error)
{
    c->levels = h->levels;
    c->paths = dv_arena_alloc(t->arena, (size_t)c->count * h->levels * sizeof(*c->paths));
    dv_slice *texts = calloc((size_t)c->count * h->levels, sizeof(*texts));
    leaf *leaves = calloc(c->count, sizeof(*leaves));
    dv_result result = c->paths == NULL || texts == NULL || leaves == NULL
                           ? DV_ERR_NO_MEMORY
                           : set_levels(t, c, h, keys, column, texts, leaves, error);
    free(texts);
    free(leaves);
    return result;
}

static dv_result code_keys(dv_table *t, dv_table_column *c, size_t column, dv_table_order order,
                           const dv_hierarchy *h, keyed *keys, dv_error *error)
{
    uint32_t code = 0;
    DV_TRY(read_keys(t, c, order, keys, error));
    for (size_t i = 0; i < t->count; i++) {
        code += i > 0 && (c->number ? by_number : by_text)(&keys[i - 1], &keys[i]) != 0;
        t->codes[keys[i].record * t->column_count + column] = code;
    }
    c->count = t->count == 0 ? 0 : code + 1;
    c->range = c->number && t->count > 0 ? keys[t->count - 1].number - keys[0].number : code;
    return h == NULL || t->count == 0 ? DV_OK : raise_column(t, c, h, keys, column, error);
}

dv_result dv_table_code(dv_table *table, const char *name, dv_table_order order,
                        const dv_hierarchy *h, dv_error *error)
{
    size_t column = 0;
    while (table->columns[column].name != NULL) {
        column++;
    }
    dv_table_column *c = &table->columns[column];
    DV_TRY(dv_table_find(table, name, &c->index, error));
    c->name = name;
    keyed *keys = calloc(table->count + 1, sizeof(*keys));
    dv_result result =
        keys == NULL ? DV_ERR_NO_MEMORY : code_keys(table, c, column, order, h, keys, error);
    free(keys);
    return result;
}
