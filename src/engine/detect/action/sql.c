/* SPDX-License-Identifier: Apache-2.0 */
/* Dumps of PostgreSQL (pg_dump in plain format): rows of COPY and INSERT by their columns, all else
 * searched. Statement by statement. */
#include "engine/detect/action/batch.h"
#include "engine/detect/action/shape.h"
#include "engine/detect/action/sql_lexer.h"
#include "engine/detect/action/sql_tables.h"

enum { OUT_MAX = 256 << 20 };

/* One value of a row. */
typedef struct sql_value {
    dv_slice raw;    /* in the statement */
    dv_slice text;   /* decoded */
    dv_slice suffix; /* behind a literal: "::date" */
    enum { VALUE_NULL, VALUE_STRING, VALUE_NUMBER, VALUE_OTHER } kind;
} sql_value;

typedef struct sql_run {
    dv_batch batch; /* of a row */
    dv_batch loose; /* of what is no row */
    dv_lines lines;
    const dv_transform_sink *sink;
    dv_arena *arena; /* of one statement or row */
    dv_sql_tables tables;
    dv_buf statement, cell, piece, out;
    bool begun; /* the statement is more than white space and comments */
    dv_error *error;
    dv_sql_table row;       /* the table and columns under way */
    dv_column_rule **rules; /* of its columns */
    size_t *subjects;
    sql_value values[DV_TRANSFORM_COLUMNS_MAX];
} sql_run;

static dv_result refuse(const sql_run *r, dv_result result, const char *what)
{
    return dv_error_set_at(r->error, result, (int)DV_MIN(r->lines.number, (uint64_t)INT32_MAX), 0,
                           "%s", what);
}

static const char too_many_columns[] = "a table has more than 1600 columns";

/* Whether something is done to a column because of its name. */
static bool names_columns(const sql_run *r)
{
    return r->batch.setup->rules->column_count > 0;
}

/* -- columns ----------------------------------------------------------------------------------- */

static size_t column_named(const dv_sql_table *table, const char *name)
{
    for (size_t i = 0; name != NULL && i < table->count; i++) {
        if (dv_slice_eq_nocase(table->columns[i], dv_slice_str(name))) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* The columns of the rows to come: said by the statement, or by the table. */
static dv_result begin_rows(sql_run *r, dv_sql_cursor *c)
{
    DV_TRY(dv_sql_table_name(c, r->arena, &r->row.name, &r->row.path));
    r->batch.table = r->row.path;
    if (dv_sql_byte(c, '(')) {
        dv_result result = dv_sql_columns(c, r->arena, false, &r->row);
        DV_TRY(result == DV_ERR_TOO_LARGE ? refuse(r, result, too_many_columns) : result);
    } else {
        const dv_sql_table *known = dv_sql_tables_find(&r->tables, &r->row);
        if (known == NULL && names_columns(r)) {
            return refuse(r, DV_ERR_UNSUPPORTED,
                          "rows of a table whose columns the dump does not tell: make it with "
                          "--column-inserts, or with the tables");
        }
        r->row.columns = known == NULL ? NULL : known->columns;
        r->row.count = known == NULL ? 0 : known->count;
    }
    r->rules = dv_arena_alloc(r->arena, (r->row.count + 1) * sizeof(dv_column_rule *));
    r->subjects = dv_arena_alloc(r->arena, (r->row.count + 1) * sizeof(*r->subjects));
    if (r->rules == NULL || r->subjects == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < r->row.count; i++) {
        dv_column_rule *rule =
            dv_action_rules_column(r->batch.setup->rules, r->row.name, r->row.columns[i]);
        r->rules[i] = rule;
        r->subjects[i] = rule == NULL ? SIZE_MAX : column_named(&r->row, rule->subject);
        if (rule != NULL && rule->subject != NULL && r->subjects[i] == SIZE_MAX) {
            return refuse(r, DV_ERR_INVALID, "a rule's subject is no column of its table");
        }
    }
    return DV_OK;
}

/* -- what no rule reaches ---------------------------------------------------------------------- */

/* Where the piece that begins at `at` ends: at a quote that stands alone. Pairs are within. */
static size_t piece_end(dv_slice text, size_t at)
{
    while (at < text.len) {
        bool quote = text.ptr[at] == '\'';
        if (quote && (at + 1 == text.len || text.ptr[at + 1] != '\'')) {
            break;
        }
        at += quote ? 2 : 1;
    }
    return at;
}

static bool has_odd_quotes(dv_slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += text.ptr[i] == '\'';
    }
    return count % 2 == 1;
}

static dv_result write_piece(sql_run *r, size_t cell)
{
    bool changed;
    dv_buf_clear(&r->piece);
    DV_TRY(dv_batch_write(&r->loose, cell, &r->piece, &changed));
    bool broken = changed && has_odd_quotes(dv_buf_slice(&r->piece));
    return dv_buf_append(&r->out, broken ? DV_LIT("[REDACTED]") : dv_buf_slice(&r->piece));
}

/* SQL as text, searched piece by piece between its quotes: an address may begin with one ("'bob@"),
 * and the statement's own must stay. */
static dv_result append_searched(sql_run *r, dv_slice text)
{
    static const dv_slice none = {NULL, 0};
    if (dv_sql_hides(text)) {
        return refuse(r, DV_ERR_UNSUPPORTED,
                      "a string writes characters by their numbers where they can't be searched");
    }
    dv_batch_clear(&r->loose);
    for (size_t at = 0; at <= text.len;) {
        size_t end = piece_end(text, at);
        DV_TRY(dv_batch_add(&r->loose, NULL, none, dv_slice_sub(text, at, end - at), none));
        at = end + 1;
    }
    DV_TRY(dv_batch_search(&r->loose));
    for (size_t i = 0; i < r->loose.count; i++) {
        DV_TRY(i == 0 ? DV_OK : dv_buf_append_byte(&r->out, '\''));
        DV_TRY(write_piece(r, i));
    }
    return DV_OK;
}

/* -- rows -------------------------------------------------------------------------------------- */

static const dv_column_rule *rule_at(const sql_run *r, size_t column)
{
    return column < r->row.count ? r->rules[column] : NULL;
}

/* A rule that does something to whatever stands in the column. */
static bool is_acted_on(const dv_column_rule *rule)
{
    return rule != NULL && !rule->detect && rule->action.kind != DV_ACT_KEEP;
}

static dv_result search_row(sql_run *r, size_t count)
{
    dv_batch_clear(&r->batch);
    if (count > r->row.count && names_columns(r)) {
        return refuse(r, DV_ERR_INVALID, "a row has more values than its table has columns");
    }
    for (size_t i = 0; i < count; i++) {
        const dv_column_rule *rule = rule_at(r, i);
        size_t by = i < r->row.count ? r->subjects[i] : SIZE_MAX;
        dv_slice name = i < r->row.count ? r->row.columns[i] : (dv_slice){NULL, 0};
        const sql_value *v = &r->values[i];
        bool value = v->kind == VALUE_STRING || v->kind == VALUE_NUMBER;
        dv_slice text = value ? v->text : (dv_slice){NULL, 0};
        DV_TRY(dv_batch_add(&r->batch, rule, name, text,
                            by < count ? r->values[by].text : r->batch.setup->subject));
    }
    return dv_batch_search(&r->batch);
}

static sql_value read_value(dv_slice raw)
{
    sql_value v = {.raw = raw, .text = raw, .kind = VALUE_OTHER};
    bool number = raw.len > 0;
    for (size_t i = 0; i < raw.len; i++) {
        number = number && (dv_is_digit(raw.ptr[i]) || raw.ptr[i] == '.' || raw.ptr[i] == '-');
    }
    if (dv_slice_eq_nocase(raw, DV_LIT("NULL")) || dv_slice_eq_nocase(raw, DV_LIT("DEFAULT"))) {
        v.kind = VALUE_NULL;
        v.text = (dv_slice){NULL, 0};
    } else if (number) {
        v.kind = VALUE_NUMBER;
    }
    return v;
}

/* "::varchar(10)" and the like; what has more in it is an expression. */
static bool is_cast(dv_slice suffix)
{
    bool cast = suffix.len == 0 || dv_slice_starts_with(suffix, DV_LIT("::"));
    for (size_t i = 0; i < suffix.len && cast; i++) {
        uint8_t byte = suffix.ptr[i];
        cast = dv_is_alnum(byte) || (byte != '\0' && strchr(":_. \"(),[]", byte) != NULL);
    }
    return cast;
}

static dv_result read_row(sql_run *r, dv_sql_cursor *c, size_t *ret_count)
{
    *ret_count = 0;
    do {
        if (*ret_count == DV_TRANSFORM_COLUMNS_MAX) {
            return refuse(r, DV_ERR_TOO_LARGE, "a row has more than 1600 values");
        }
        sql_value v = read_value(dv_sql_value(c));
        size_t len = 0;
        dv_result result = dv_sql_string(v.raw, r->arena, &v.text, &len);
        if (result == DV_OK) {
            v.kind = VALUE_STRING;
            v.suffix = dv_slice_sub(v.raw, len, SIZE_MAX);
            v.kind = is_cast(v.suffix) ? VALUE_STRING : VALUE_OTHER; /* 'a' || 'b' */
            v.text = v.kind == VALUE_STRING ? v.text : v.raw;
        } else if (result != DV_ERR_NOT_FOUND) {
            return result;
        }
        r->values[(*ret_count)++] = v;
    } while (dv_sql_byte(c, ','));
    return dv_sql_byte(c, ')') ? DV_OK : DV_ERR_INVALID;
}

static dv_result append_literal(dv_buf *out, dv_slice text)
{
    DV_TRY(dv_buf_append_byte(out, '\''));
    for (size_t i = 0; i < text.len; i++) {
        DV_TRY(text.ptr[i] == '\'' ? dv_buf_append_str(out, "''")
                                   : dv_buf_append_byte(out, text.ptr[i]));
    }
    return dv_buf_append_byte(out, '\'');
}

static bool is_number(dv_slice text)
{
    sql_value v = read_value(text);
    return v.kind == VALUE_NUMBER && dv_is_digit(text.ptr[text.len - 1]) &&
           dv_slice_find_byte(dv_slice_sub(text, 1, SIZE_MAX), '-') < 0;
}

/* What one value of INSERT became. */
static dv_result write_value(sql_run *r, size_t at)
{
    const sql_value *v = &r->values[at];
    const dv_column_rule *rule = rule_at(r, at);
    bool changed;
    dv_buf_clear(&r->cell);
    if (v->kind == VALUE_OTHER) { /* an expression is no value to act on */
        return is_acted_on(rule) ? dv_buf_append_str(&r->out, "NULL") : append_searched(r, v->raw);
    }
    DV_TRY(dv_batch_write(&r->batch, at, &r->cell, &changed));
    if (!changed || v->kind == VALUE_NULL) {
        return dv_buf_append(&r->out, v->raw);
    }
    if (is_acted_on(rule) && rule->action.kind == DV_ACT_REMOVE) {
        return dv_buf_append_str(&r->out, "NULL");
    }
    dv_slice made = dv_buf_slice(&r->cell);
    if (v->kind == VALUE_NUMBER && is_number(made)) {
        return dv_buf_append(&r->out, made);
    }
    DV_TRY(append_literal(&r->out, made));
    return dv_buf_append(&r->out, v->suffix);
}

/* -- statements -------------------------------------------------------------------------------- */

static dv_result put_out(sql_run *r)
{
    dv_result result = r->sink->put(r->sink->data, dv_buf_slice(&r->out));
    dv_buf_clear(&r->out);
    return result;
}

/* c is behind VALUES. */
static dv_result insert_rows(sql_run *r, dv_sql_cursor *c)
{
    do {
        size_t count;
        if (!dv_sql_byte(c, '(')) {
            return DV_ERR_INVALID;
        }
        DV_TRY(read_row(r, c, &count));
        DV_TRY(search_row(r, count));
        DV_TRY(dv_buf_append_byte(&r->out, '('));
        for (size_t i = 0; i < count; i++) {
            DV_TRY(i == 0 ? DV_OK : dv_buf_append_str(&r->out, ", "));
            DV_TRY(write_value(r, i));
        }
        DV_TRY(dv_buf_append_byte(&r->out, ')'));
        r->batch.counts.records++;
        if (!dv_sql_byte(c, ',')) {
            return DV_OK;
        }
        DV_TRY(dv_buf_append_str(&r->out, ",\n"));
    } while (true);
}

static dv_result insert(sql_run *r, dv_sql_cursor c)
{
    size_t from;
    if (!dv_sql_keyword(&c, "INTO")) {
        return DV_ERR_INVALID;
    }
    DV_TRY(begin_rows(r, &c));
    if (dv_sql_keyword(&c, "OVERRIDING") &&
        (!(dv_sql_keyword(&c, "SYSTEM") || dv_sql_keyword(&c, "USER")) ||
         !dv_sql_keyword(&c, "VALUE"))) {
        return DV_ERR_INVALID;
    }
    if (!dv_sql_keyword(&c, "VALUES")) {
        return refuse(r, DV_ERR_UNSUPPORTED, "INSERT without VALUES can't be masked");
    }
    dv_sql_space(&c);
    from = c.at;
    DV_TRY(append_searched(r, dv_slice_sub(c.text, 0, from)));
    DV_TRY(insert_rows(r, &c));
    dv_slice rest = dv_slice_sub(c.text, c.at, SIZE_MAX);
    if (names_columns(r) && dv_sql_has_value(rest)) { /* ON CONFLICT DO UPDATE SET a = 'Bob' */
        return refuse(r, DV_ERR_UNSUPPORTED,
                      "values behind the rows of an INSERT can't be told by column: only ON "
                      "CONFLICT without values of its own can be masked");
    }
    DV_TRY(rest.len > 0 && rest.ptr[0] != ';' ? dv_buf_append_byte(&r->out, ' ') : DV_OK);
    return append_searched(r, rest);
}

/* -- COPY -------------------------------------------------------------------------------------- */

static dv_result read_copy_row(sql_run *r, dv_slice line, size_t *ret_count)
{
    dv_slice field;
    *ret_count = 0;
    while (dv_slice_split(&line, '\t', &field)) {
        if (*ret_count == DV_TRANSFORM_COLUMNS_MAX) {
            return refuse(r, DV_ERR_TOO_LARGE, "a row has more than 1600 values");
        }
        sql_value v = {.raw = field, .kind = VALUE_STRING};
        if (dv_slice_eq_str(field, "\\N")) {
            v.kind = VALUE_NULL;
        } else {
            DV_TRY(dv_sql_unescape(field, r->arena, &v.text));
        }
        r->values[(*ret_count)++] = v;
    }
    return DV_OK;
}

static dv_result append_escaped(dv_buf *out, dv_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        char letter = byte == '\t' ? 't' : byte == '\n' ? 'n' : byte == '\r' ? 'r' : '\\';
        bool escaped = byte == '\t' || byte == '\n' || byte == '\r' || byte == '\\';
        DV_TRY(escaped ? dv_buf_append_printf(out, "\\%c", letter) : dv_buf_append_byte(out, byte));
    }
    return DV_OK;
}

static dv_result copy_row(sql_run *r, dv_slice line)
{
    size_t count;
    dv_arena_reset(r->arena);
    DV_TRY(read_copy_row(r, line, &count));
    if (count != r->row.count && names_columns(r)) {
        return refuse(r, DV_ERR_INVALID, "a row has not as many values as its table has columns");
    }
    DV_TRY(search_row(r, count));
    for (size_t i = 0; i < count; i++) {
        const dv_column_rule *rule = rule_at(r, i);
        bool changed;
        dv_buf_clear(&r->cell);
        DV_TRY(dv_batch_write(&r->batch, i, &r->cell, &changed));
        DV_TRY(i == 0 ? DV_OK : dv_buf_append_byte(&r->out, '\t'));
        if (r->values[i].kind == VALUE_NULL || !changed) {
            DV_TRY(dv_buf_append(&r->out, r->values[i].raw));
        } else if (is_acted_on(rule) && rule->action.kind == DV_ACT_REMOVE) {
            DV_TRY(dv_buf_append_str(&r->out, "\\N"));
        } else {
            DV_TRY(append_escaped(&r->out, dv_buf_slice(&r->cell)));
        }
    }
    r->batch.counts.records++;
    return dv_buf_append_byte(&r->out, '\n');
}

/* The rows behind COPY ... FROM stdin, until the line "\.". */
static dv_result copy_rows(sql_run *r)
{
    dv_slice line;
    for (;;) {
        dv_result result = dv_lines_next(&r->lines, &line, r->error);
        if (result == DV_ERR_NOT_FOUND) {
            return refuse(r, DV_ERR_INVALID, "the dump ends within the rows of a COPY");
        }
        DV_TRY(result);
        dv_slice bare = line;
        bare.len -= bare.ptr[bare.len - 1] == '\n';
        if (dv_slice_eq_str(bare, "\\.") || dv_slice_eq_str(bare, "\\.\r")) {
            DV_TRY(dv_buf_append(&r->out, line));
            return put_out(r);
        }
        DV_TRY(copy_row(r, bare));
        DV_TRY(put_out(r));
    }
}

static dv_result copy(sql_run *r, dv_sql_cursor c)
{
    /* Columns outlive the rows' arena. */
    dv_arena *rows = r->arena;
    dv_auto(arena) dv_arena *head = dv_arena_new(16 << 20);
    if (head == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    r->arena = head;
    dv_result result = begin_rows(r, &c);
    if (result == DV_OK &&
        (!dv_sql_keyword(&c, "FROM") || !dv_sql_keyword(&c, "STDIN") || !dv_sql_byte(&c, ';'))) {
        result = refuse(r, DV_ERR_UNSUPPORTED,
                        "only COPY table (columns) FROM stdin; in its text format can be masked");
    }
    r->arena = rows;
    if (result == DV_OK) {
        result = append_searched(r, c.text);
    }
    if (result == DV_OK) {
        result = dv_buf_append_byte(&r->out, '\n');
    }
    return result == DV_OK ? copy_rows(r) : result;
}

/* -- the dump ---------------------------------------------------------------------------------- */

/* Statements with values of rows that no rule would reach. */
static const char *other_rows(dv_sql_cursor c)
{
    static const char *const words[] = {"WITH",    "UPDATE", "DELETE", "MERGE",  "PREPARE",
                                        "EXECUTE", "VALUES", "CALL",   "DO",     "EXPLAIN",
                                        "REPLACE", "UPSERT", "LOAD",   "DECLARE"};
    for (size_t i = 0; i < DV_ARRAY_LEN(words); i++) {
        if (dv_sql_keyword(&c, words[i])) {
            return words[i];
        }
    }
    return NULL;
}

/* SELECT 'Bob' AS name INTO people: a table with its rows. */
static bool selects_into(dv_sql_cursor c)
{
    return dv_sql_keyword(&c, "SELECT") && dv_sql_has_word(c.text, "INTO");
}

/* SELECT pg_catalog.lowrite(0, '\\x...'): pg_dump's way to write large objects. */
static bool writes_large_object(const sql_run *r, dv_sql_cursor c)
{
    dv_slice name, path;
    return dv_sql_keyword(&c, "SELECT") && dv_sql_table_name(&c, r->arena, &name, &path) == DV_OK &&
           (dv_slice_eq_str(name, "lowrite") || dv_slice_eq_str(name, "lo_from_bytea") ||
            dv_slice_eq_str(name, "lo_put"));
}

static bool creates_table(dv_sql_cursor *c)
{
    if (!dv_sql_keyword(c, "CREATE")) {
        return false;
    }
    while (dv_sql_keyword(c, "GLOBAL") || dv_sql_keyword(c, "LOCAL") ||
           dv_sql_keyword(c, "TEMPORARY") || dv_sql_keyword(c, "TEMP") ||
           dv_sql_keyword(c, "UNLOGGED")) {
    }
    return dv_sql_keyword(c, "TABLE");
}

static const char conforming[] = "standard_conforming_strings";

static bool names_conforming(dv_slice text)
{
    bool names = false;
    for (size_t i = 0; i + sizeof(conforming) - 1 <= text.len && !names; i++) {
        names = dv_slice_eq_nocase(dv_slice_sub(text, i, sizeof(conforming) - 1),
                                   dv_slice_str(conforming));
    }
    return names;
}

/* Whatever is not known to leave it on: PostgreSQL has many words for off, and set_config(). */
static bool turns_strings_around(const sql_run *r, dv_sql_cursor c)
{
    dv_slice name;
    if (dv_sql_keyword(&c, "SELECT")) {
        return names_conforming(c.text);
    }
    if (!dv_sql_keyword(&c, "SET")) {
        return false;
    }
    (void)(dv_sql_keyword(&c, "SESSION") || dv_sql_keyword(&c, "LOCAL"));
    return dv_sql_name(&c, r->arena, &name) == DV_OK &&
           dv_slice_eq_nocase(name, dv_slice_str(conforming)) &&
           !((dv_sql_byte(&c, '=') || dv_sql_keyword(&c, "TO")) &&
             (dv_sql_keyword(&c, "ON") || dv_sql_keyword(&c, "TRUE") ||
              dv_slice_starts_with(dv_slice_sub(c.text, c.at, 4), DV_LIT("'on'"))));
}

static dv_result note_table(sql_run *r, dv_sql_cursor c)
{
    dv_result result = dv_sql_tables_note(&r->tables, c);
    if (result == DV_ERR_TOO_LARGE) {
        return refuse(r, result, "the dump has more than 10000 tables, or 1600 columns in one");
    }
    DV_TRY(result);
    return names_columns(r) && dv_sql_has_word(dv_slice_sub(c.text, c.at, SIZE_MAX), "AS")
               ? refuse(r, DV_ERR_UNSUPPORTED, "CREATE TABLE AS can't be masked")
               : DV_OK;
}

/* What is neither INSERT nor COPY. */
static dv_result other_statement(sql_run *r, dv_sql_cursor c)
{
    dv_slice text = c.text;
    const char *word = names_columns(r) ? other_rows(c) : NULL;
    if (word != NULL) {
        return dv_error_set_at(r->error, DV_ERR_UNSUPPORTED,
                               (int)DV_MIN(r->lines.number, (uint64_t)INT32_MAX), 0,
                               "the rules' columns can't be told in a statement that begins with "
                               "%s: only rows of INSERT and COPY can be masked",
                               word);
    }
    if (names_columns(r) && selects_into(c)) {
        return refuse(r, DV_ERR_UNSUPPORTED, "SELECT INTO can't be masked");
    }
    if (writes_large_object(r, c)) {
        return refuse(r, DV_ERR_UNSUPPORTED,
                      "large objects can't be masked: pg_dump leaves them out with -B");
    }
    if (dv_sql_keyword(&c, "ALTER")) {
        DV_TRY(dv_sql_tables_alter(&r->tables, c, r->arena));
    } else if (creates_table(&c)) {
        DV_TRY(note_table(r, c));
    }
    return append_searched(r, text);
}

/* One statement with its semicolon. ret_copied: its rows and line end went out, too. */
static dv_result transform_statement(sql_run *r, dv_slice text, bool *ret_copied)
{
    dv_sql_cursor c = {text, 0};
    dv_arena_reset(r->arena);
    *ret_copied = false;
    if (turns_strings_around(r, c)) {
        return refuse(r, DV_ERR_UNSUPPORTED,
                      "standard_conforming_strings is off: make the dump "
                      "with it on, as PostgreSQL does by itself");
    }
    dv_result result;
    if (dv_sql_keyword(&c, "INSERT")) {
        result = insert(r, c);
    } else if (dv_sql_keyword(&c, "COPY")) {
        *ret_copied = true;
        result = copy(r, c);
    } else {
        result = other_statement(r, c);
    }
    if (result == DV_ERR_INVALID && (r->error == NULL || r->error->message[0] == '\0')) {
        return refuse(r, result, "a statement can't be read");
    }
    DV_TRY(dv_batch_explain(result, r->lines.number, r->error));
    return put_out(r);
}

/* "\\g" ends a statement, too: what follows it would pass as a part of it. */
static dv_result check_commands(const sql_run *r, const dv_sql_state *state)
{
    return state->command
               ? refuse(r, DV_ERR_UNSUPPORTED, "a command of psql stands within a statement")
               : DV_OK;
}

/* Statements that ended in what there is; the rest waits for the next line. */
static dv_result take_statements(sql_run *r, dv_sql_state *state, size_t *looked)
{
    while (dv_sql_skip(state, dv_buf_slice(&r->statement), looked)) {
        bool copied;
        size_t len = *looked;
        DV_TRY(check_commands(r, state));
        DV_TRY(transform_statement(r, dv_slice_sub(dv_buf_slice(&r->statement), 0, len), &copied));
        bool line_end = copied && r->statement.len > len && r->statement.ptr[len] == '\n';
        len += line_end ? 1 : 0;
        memmove(r->statement.ptr, r->statement.ptr + len, r->statement.len - len);
        r->statement.len -= len;
        r->begun = false;
        *looked = 0;
    }
    return DV_OK;
}

/* psql's commands (\connect, \restrict) are lines of their own, behind comments, too. Looks at a
 * statement once. */
static bool is_command(sql_run *r, dv_slice line)
{
    dv_sql_cursor c = {dv_buf_slice(&r->statement), 0};
    if (line.ptr[0] != '\\' || r->begun) {
        return false;
    }
    dv_sql_space(&c);
    r->begun = c.at < c.text.len;
    return !r->begun;
}

/* Rows follow it that are no statements. */
static bool copies(dv_slice command)
{
    return dv_slice_eq_nocase(dv_slice_sub(command, 0, 5), DV_LIT("\\copy"));
}

/* psql runs what stands behind \\ on the line: another command, or SQL. */
static bool goes_on(dv_slice command)
{
    return dv_slice_find_byte(dv_slice_sub(command, 1, SIZE_MAX), '\\') >= 0;
}

static dv_result run_command(sql_run *r, dv_slice line)
{
    if (names_columns(r) && goes_on(line)) {
        return refuse(
            r, DV_ERR_UNSUPPORTED,
            "a command of psql has a backslash in it, behind which a statement may stand");
    }
    if (copies(line)) {
        return refuse(r, DV_ERR_UNSUPPORTED, "\\copy can't be masked: COPY table FROM stdin can");
    }
    DV_TRY(append_searched(r, dv_buf_slice(&r->statement)));
    dv_buf_clear(&r->statement);
    DV_TRY(append_searched(r, line));
    return put_out(r);
}

/* A last statement needs no semicolon: psql runs it as it is. */
static dv_result finish(sql_run *r, const dv_sql_state *state)
{
    dv_sql_cursor rest = {dv_buf_slice(&r->statement), 0};
    bool copied;
    if (state->in != DV_SQL_PLAIN && state->in != DV_SQL_LINE) {
        return refuse(r, DV_ERR_INVALID, "the dump ends within a string or comment");
    }
    if (dv_sql_is_open(state)) {
        return refuse(r, DV_ERR_INVALID, "the dump ends within the body of a function or rule");
    }
    DV_TRY(check_commands(r, state));
    dv_sql_space(&rest);
    if (rest.at < rest.text.len) {
        DV_TRY(transform_statement(r, rest.text, &copied));
    } else {
        DV_TRY(append_searched(r, rest.text));
        DV_TRY(put_out(r));
    }
    return dv_batch_check_seen(r->batch.setup, r->error);
}

static dv_result run_sql(sql_run *r)
{
    dv_sql_state state = {.in = DV_SQL_PLAIN};
    size_t looked = 0;
    dv_slice line;
    dv_result result;
    while ((result = dv_lines_next(&r->lines, &line, r->error)) == DV_OK) {
        if (state.in == DV_SQL_PLAIN && is_command(r, line)) {
            DV_TRY(run_command(r, line));
            looked = 0;
            continue;
        }
        result = dv_buf_append(&r->statement, line);
        if (result == DV_ERR_TOO_LARGE) {
            return refuse(r, result, "a statement is longer than 16 MiB");
        }
        DV_TRY(result);
        DV_TRY(take_statements(r, &state, &looked));
    }
    return result == DV_ERR_NOT_FOUND ? finish(r, &state) : result;
}

dv_result dv_transform_sql(const dv_transform_setup *setup, const dv_walk_source *source,
                           const dv_transform_sink *sink, dv_transform_counts *ret_counts,
                           dv_error *error)
{
    sql_run *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    run->sink = sink;
    run->error = error;
    run->arena = dv_arena_new(OUT_MAX);
    run->tables.arena = dv_arena_new(OUT_MAX);
    run->statement = dv_buf_init(DV_TRANSFORM_LINE_MAX);
    run->cell = run->piece = run->out = dv_buf_init(OUT_MAX);
    dv_lines_init(&run->lines, source);
    dv_result result = run->arena == NULL || run->tables.arena == NULL
                           ? DV_ERR_NO_MEMORY
                           : dv_batch_init(&run->batch, setup);
    if (result == DV_OK) {
        result = dv_batch_init(&run->loose, setup);
    }
    if (result == DV_OK) {
        result = run_sql(run);
    }
    *ret_counts = run->batch.counts;
    ret_counts->values += run->loose.counts.values;
    ret_counts->left += run->loose.counts.left;
    dv_batch_release(&run->batch);
    dv_batch_release(&run->loose);
    dv_lines_release(&run->lines);
    dv_arena_free(run->arena);
    dv_arena_free(run->tables.arena);
    dv_buf_wipe(&run->statement);
    dv_buf_wipe(&run->cell);
    dv_buf_wipe(&run->piece);
    dv_buf_wipe(&run->out);
    free(run);
    return result;
}
