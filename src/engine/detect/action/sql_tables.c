/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/action/sql_tables.h"

#include "engine/detect/action/transform.h"

dv_result dv_sql_columns(dv_sql_cursor *c, dv_arena *arena, bool typed, dv_sql_table *table)
{
    size_t room = 0;
    table->columns = NULL;
    table->count = 0;
    do {
        if (table->count == DV_TRANSFORM_COLUMNS_MAX) {
            return DV_ERR_TOO_LARGE;
        }
        if (table->count == room) {
            table->columns = dv_arena_grow(arena, table->columns, table->count, &room,
                                           sizeof(*table->columns), 16);
            if (table->columns == NULL) {
                return DV_ERR_NO_MEMORY;
            }
        }
        DV_TRY(dv_sql_name(c, arena, &table->columns[table->count]));
        table->count++;
        if (typed) {
            (void)dv_sql_value(c); /* its type and constraints */
        }
    } while (dv_sql_byte(c, ','));
    return dv_sql_byte(c, ')') ? DV_OK : DV_ERR_INVALID;
}

/* A constraint's first word counts as a column that nothing has; LIKE stands for others. One that
 * is quoted and called so can't be told from it any more. */
static bool is_unclear(const dv_sql_table *table)
{
    static const char *const words[] = {"constraint", "primary", "unique", "check", "foreign"};
    bool constraint = false;
    for (size_t i = 0; i < table->count; i++) {
        bool before = constraint;
        constraint = false;
        for (size_t w = 0; w < DV_ARRAY_LEN(words); w++) {
            constraint = constraint || dv_slice_eq_str(table->columns[i], words[w]);
        }
        if ((before && !constraint) || dv_slice_eq_str(table->columns[i], "like")) {
            return true;
        }
    }
    return false;
}

dv_result dv_sql_tables_note(dv_sql_tables *tables, dv_sql_cursor c)
{
    dv_sql_table *table = dv_arena_alloc(tables->arena, sizeof(*table));
    if (table == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (dv_sql_keyword(&c, "IF") && (!dv_sql_keyword(&c, "NOT") || !dv_sql_keyword(&c, "EXISTS"))) {
        return DV_OK;
    }
    if (dv_sql_table_name(&c, tables->arena, &table->name, &table->path) != DV_OK ||
        !dv_sql_byte(&c, '(')) {
        return DV_OK; /* PARTITION OF: its rows name their columns, or are refused */
    }
    if (++tables->count > DV_TRANSFORM_TABLES_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    dv_result result = dv_sql_columns(&c, tables->arena, true, table);
    if (result == DV_ERR_INVALID) {
        return DV_OK;
    }
    DV_TRY(result);
    table->unclear = dv_sql_keyword(&c, "INHERITS") || is_unclear(table);
    table->next = tables->first;
    tables->first = table;
    return DV_OK;
}

/* Whether one action of ALTER TABLE leaves the columns as they are. */
static bool keeps_columns(dv_slice action)
{
    static const char *const words[] = {"ALTER",    "OWNER",   "SET",   "ENABLE", "DISABLE",
                                        "CLUSTER",  "REPLICA", "NO",    "FORCE",  "INHERIT",
                                        "VALIDATE", "ATTACH",  "DETACH"};
    static const char *const added[] = {"CONSTRAINT", "PRIMARY", "UNIQUE",
                                        "CHECK",      "FOREIGN", "EXCLUDE"};
    dv_sql_cursor c = {action, 0};
    bool keeps = false;
    if (dv_sql_keyword(&c, "ADD")) {
        for (size_t i = 0; i < DV_ARRAY_LEN(added) && !keeps; i++) {
            keeps = dv_sql_keyword(&c, added[i]);
        }
        return keeps;
    }
    if (dv_sql_keyword(&c, "DROP")) {
        return dv_sql_keyword(&c, "CONSTRAINT");
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(words) && !keeps; i++) {
        keeps = dv_sql_keyword(&c, words[i]);
    }
    return keeps;
}

dv_result dv_sql_tables_alter(dv_sql_tables *tables, dv_sql_cursor c, dv_arena *arena)
{
    dv_slice name, path;
    bool keeps = true;
    if (!dv_sql_keyword(&c, "TABLE")) {
        return DV_OK;
    }
    if (dv_sql_keyword(&c, "IF")) {
        (void)dv_sql_keyword(&c, "EXISTS");
    }
    (void)dv_sql_keyword(&c, "ONLY");
    dv_result result = dv_sql_table_name(&c, arena, &name, &path);
    if (result == DV_ERR_INVALID) {
        return DV_OK;
    }
    DV_TRY(result);
    (void)dv_sql_byte(&c, '*');
    do {
        keeps = keeps && keeps_columns(dv_sql_value(&c));
    } while (dv_sql_byte(&c, ','));
    for (dv_sql_table *table = tables->first; table != NULL && !keeps; table = table->next) {
        table->unclear = table->unclear || dv_slice_eq(table->name, name);
    }
    return DV_OK;
}

static bool same_columns(const dv_sql_table *a, const dv_sql_table *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; i < a->count && same; i++) {
        same = dv_slice_eq(a->columns[i], b->columns[i]);
    }
    return same;
}

const dv_sql_table *dv_sql_tables_find(const dv_sql_tables *tables, const dv_sql_table *wanted)
{
    bool schema = wanted->path.len > wanted->name.len;
    const dv_sql_table *found = NULL;
    bool same = true;
    for (const dv_sql_table *table = tables->first; table != NULL; table = table->next) {
        if (schema && dv_slice_eq(table->path, wanted->path)) {
            return table->unclear ? NULL : table;
        }
        if (dv_slice_eq(table->name, wanted->name)) {
            same = same && !table->unclear && (found == NULL || same_columns(found, table));
            found = found == NULL ? table : found;
        }
    }
    return same ? found : NULL;
}
