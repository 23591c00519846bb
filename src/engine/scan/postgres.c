/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of a PostgreSQL database, by samples.
 *
 * The account may be a powerful one and the database full of other people's work, so nothing of
 * theirs is run: the search path is empty, no cast or function of theirs is called, row security is
 * off (where a policy would apply to us, the table is refused instead of its policy run), foreign
 * tables are left alone, also as parts of other tables, and views, which run whatever stands in
 * them, are read only when asked for, also where one took a table's name since it was listed
 * (CVE-2024-7348). Transactions are read-only and end by rolling back. pg_dump guards itself in
 * the same way. */
#include "engine/scan/postgres.h"

#include "engine/scan/postgres_private.h"
#include "engine/scan/scan_private.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    CELL_MAX = 64 << 10, /* characters of one value that are read, or bytes of a bytea */
    SQL_MAX = 1 << 20,
    PERCENT = 100,
    SPARE = 2, /* a sample asks for so many times the rows, since pages are not full */
};

/* Types of PostgreSQL's own whose values may be long (pg_type.dat). */
enum {
    TYPE_BYTEA = 17,
    TYPE_TEXT = 25,
    TYPE_JSON = 114,
    TYPE_XML = 142,
    TYPE_BPCHAR = 1042,
    TYPE_VARCHAR = 1043,
    TYPE_JSONB = 3802,
};

typedef struct database {
    PGconn *connection;
    const dv_scan_limits *limits;
    const dv_scan_visitor *visitor;
    dv_scan_totals *totals;
    dv_time until;
    bool views;
    char here[DV_SCAN_STAMP_MAX]; /* which it is, or "" */
} database;

typedef struct relation {
    const char *schema;
    const char *name;
    const char *oid;
    char kind;   /* pg_class.relkind */
    double rows; /* the planner's guess; negative: none */
} relation;

/* ---- connecting ---- */

/* PostgreSQL refuses to read them then, whatever leads to them. Versions of before August 2024 do
 * not know the setting. */
static dv_result close_off(PGconn *connection, bool views, dv_error *error)
{
    return dv_pg_run(connection,
                     views
                         ? "SELECT pg_catalog.set_config(name, 'foreign-table', false)"
                           " FROM pg_catalog.pg_settings"
                           " WHERE name OPERATOR(pg_catalog.=) 'restrict_nonsystem_relation_kind'"
                         : "SELECT pg_catalog.set_config(name, 'view, foreign-table', false)"
                           " FROM pg_catalog.pg_settings"
                           " WHERE name OPERATOR(pg_catalog.=) 'restrict_nonsystem_relation_kind'",
                     error);
}

static dv_result prepare(PGconn *connection, const dv_scan_limits *limits, bool views,
                         dv_error *error)
{
    char timeout[96];
    const char *encoding = PQparameterStatus(connection, "server_encoding");
    if (encoding != NULL && strcmp(encoding, "SQL_ASCII") == 0 && /* whatever bytes clients sent */
        PQsetClientEncoding(connection, "SQL_ASCII") != 0) {
        return dv_pg_refused(connection, error);
    }
    (void)snprintf(timeout, sizeof(timeout), "SET statement_timeout = %" PRId64,
                   limits->file_time / DV_MILLISECOND);
    DV_TRY(dv_pg_run(connection, "SELECT pg_catalog.set_config('search_path', '', false)", error));
    DV_TRY(dv_pg_run(connection, "SET default_transaction_read_only = on", error));
    DV_TRY(dv_pg_run(connection, "SET row_security = off", error));
    DV_TRY(dv_pg_run(connection, "SET lock_timeout = '5s'", error));
    DV_TRY(dv_pg_run(connection, "SET constraint_exclusion = off",
                     error)); /* it runs what they have */
    DV_TRY(close_off(connection, views, error));
    return dv_pg_run(connection, timeout, error);
}

static dv_result open_database(const char *url, const dv_scan_limits *limits, bool views,
                               PGconn **ret_connection, dv_error *error)
{
    DV_TRY(dv_pg_connect(url, "dvara-scan", ret_connection, error));
    return prepare(*ret_connection, limits, views, error);
}

/* ---- one table ---- */

/* What went wrong, without the server's words: they may quote values. */
static void tell_problem(dv_scan *scan, const PGresult *result)
{
    const char *state = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (state == NULL) {
        dv_scan_problem(scan, "could not be read: the connection was lost");
    } else if (strcmp(state, "42501") == 0) { /* insufficient_privilege */
        dv_scan_problem(scan,
                        "could not be read: this account may not, or row security hides rows");
    } else if (strcmp(state, "55000") == 0) { /* object_not_in_prerequisite_state */
        dv_scan_problem(scan,
                        "could not be read: it leads to a foreign table or a view, or was never "
                        "filled");
    } else if (strcmp(state, "57014") == 0) { /* query_canceled */
        dv_scan_problem(scan, "took too long: only a part of it was read");
    } else {
        dv_scan_problem(scan, "could not be read: PostgreSQL says %s", state);
    }
}

static dv_result append_name(PGconn *connection, dv_buf *sql, const char *name)
{
    char *quoted = PQescapeIdentifier(connection, name, strlen(name));
    dv_result result = quoted == NULL ? DV_ERR_INVALID : dv_buf_append_str(sql, quoted);
    PQfreemem(quoted);
    return result;
}

static bool is_text(long type)
{
    return type == TYPE_TEXT || type == TYPE_VARCHAR || type == TYPE_BPCHAR || type == TYPE_JSON ||
           type == TYPE_JSONB || type == TYPE_XML;
}

/* One more than is read of a long value tells that it is longer. */
static dv_result append_column(PGconn *connection, dv_buf *sql, const char *name, long type)
{
    char tail[64] = "";
    if (is_text(type)) {
        DV_TRY(dv_buf_append_str(sql, "pg_catalog.left("));
        (void)snprintf(tail, sizeof(tail), "::pg_catalog.text, %d)", CELL_MAX + 1);
    } else if (type == TYPE_BYTEA) {
        DV_TRY(dv_buf_append_str(sql, "pg_catalog.encode(pg_catalog.substring("));
        (void)snprintf(tail, sizeof(tail), ", 1, %d), 'escape')", CELL_MAX + 1);
    }
    DV_TRY(dv_buf_append_str(sql, "t."));
    DV_TRY(append_name(connection, sql, name));
    return dv_buf_append_str(sql, tail);
}

/* The columns' names become those of the result, so that they need not be kept. */
static dv_result append_columns(PGconn *connection, dv_buf *sql, const PGresult *columns)
{
    for (int i = 0; i < PQntuples(columns); i++) {
        const char *name = PQgetvalue(columns, i, 0);
        DV_TRY(dv_buf_append_str(sql, i > 0 ? ", " : ""));
        DV_TRY(append_column(connection, sql, name, strtol(PQgetvalue(columns, i, 1), NULL, 10)));
        DV_TRY(dv_buf_append_str(sql, " AS "));
        DV_TRY(append_name(connection, sql, name));
    }
    return DV_OK;
}

/* The same pages every time, so that two scans of the same table find the same. */
static dv_result append_sample(dv_buf *sql, const relation *table, uint64_t rows)
{
    double share = PERCENT * SPARE * (double)rows / DV_MAX(table->rows, 1.0);
    if (table->kind != 'v' && share < PERCENT) {
        DV_TRY(dv_buf_append_printf(sql, " TABLESAMPLE SYSTEM (%.6f) REPEATABLE (1)",
                                    DV_MAX(share, 0.000001)));
    }
    return dv_buf_append_printf(sql, " LIMIT %" PRIu64, rows);
}

static dv_result make_sql(database *d, const relation *table, bool sample, const PGresult *columns,
                          dv_buf *sql)
{
    DV_TRY(dv_buf_append_str(sql, "SELECT "));
    DV_TRY(append_columns(d->connection, sql, columns));
    DV_TRY(dv_buf_append_str(sql, " FROM "));
    DV_TRY(append_name(d->connection, sql, table->schema));
    DV_TRY(dv_buf_append_byte(sql, '.'));
    DV_TRY(append_name(d->connection, sql, table->name));
    DV_TRY(dv_buf_append_str(sql, " AS t"));
    return sample ? append_sample(sql, table, d->limits->rows)
                  : dv_buf_append_printf(sql, " LIMIT %" PRIu64, d->limits->rows);
}

/* Characters of a text, or bytes of what encode(..., 'escape') says: "\\" and "\ooo". */
static size_t count_units(dv_slice value, bool escaped)
{
    size_t count = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (escaped && value.ptr[i] == '\\') {
            i += i + 1 < value.len && value.ptr[i + 1] == '\\' ? 1 : 3;
        }
        count += escaped || (value.ptr[i] & 0xC0) != 0x80; /* UTF-8's first bytes */
    }
    return count;
}

static bool is_cut(const PGresult *columns, int column, dv_slice value)
{
    long type = column < PQntuples(columns) ? strtol(PQgetvalue(columns, column, 1), NULL, 10) : 0;
    return value.len > CELL_MAX && (is_text(type) || type == TYPE_BYTEA) &&
           count_units(value, type == TYPE_BYTEA) > CELL_MAX;
}

static dv_result tell_row(dv_scan *scan, const PGresult *columns, const PGresult *row)
{
    for (int c = 0; c < PQnfields(row); c++) {
        dv_scan_place place = {.field = dv_slice_str(PQfname(row, c))};
        size_t len = (size_t)PQgetlength(row, 0, c);
        if (is_cut(columns, c, dv_slice_of(PQgetvalue(row, 0, c), len))) {
            dv_scan_problem(scan,
                            "holds values of more than 64 KiB: the rest of them was not read");
        }
        if (len > scan->left) {
            dv_scan_problem(scan, "is too large: only a part of it was read");
            len = (size_t)scan->left;
        }
        scan->left -= len;
        scan->item.bytes += len;
        DV_TRY(scan->visitor->value(scan->visitor->data, &place,
                                    dv_slice_of(PQgetvalue(row, 0, c), len)));
    }
    scan->item.rows++;
    return DV_OK;
}

static void stop_query(PGconn *connection)
{
    char why[256];
    PGcancel *cancel = PQgetCancel(connection);
    (void)PQcancel(cancel, why, sizeof(why));
    PQfreeCancel(cancel);
}

/* Rows one by one, whatever their number. After an error of ours the rest is thrown away. */
static dv_result read_rows(database *d, dv_scan *scan, const PGresult *columns)
{
    dv_result result = DV_OK;
    PGresult *row = NULL;
    while ((row = PQgetResult(d->connection)) != NULL) {
        ExecStatusType status = PQresultStatus(row);
        if (status == PGRES_SINGLE_TUPLE && scan->left == 0) {
            dv_scan_problem(scan, "is too large: only a part of it was read");
        } else if (status == PGRES_SINGLE_TUPLE && result == DV_OK) {
            result = tell_row(scan, columns, row);
            if (result != DV_OK || scan->left == 0) {
                stop_query(d->connection);
            }
        } else if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK) {
            tell_problem(scan, row);
        }
        PQclear(row);
    }
    return result;
}

static dv_result sample(database *d, dv_scan *scan, const relation *table, bool pages,
                        const PGresult *columns)
{
    dv_auto(buf) dv_buf sql = dv_buf_init(SQL_MAX);
    DV_TRY(make_sql(d, table, pages, columns, &sql));
    const char *text = dv_buf_cstr(&sql);
    if (text == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (PQsendQuery(d->connection, text) != 1 || PQsetSingleRowMode(d->connection) != 1) {
        tell_problem(scan, NULL);
        return DV_OK;
    }
    return read_rows(d, scan, columns);
}

static PGresult *list_columns(database *d, const relation *table)
{
    const char *params[] = {table->schema, table->name};
    return PQexecParams(d->connection,
                        "SELECT a.attname, a.atttypid FROM pg_catalog.pg_attribute a"
                        " JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"
                        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                        " WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0"
                        " AND NOT a.attisdropped ORDER BY a.attnum LIMIT 1600",
                        2, NULL, params, NULL, NULL, 0);
}

/* Whether planning a query of it would run somebody else's function; that is told. */
static bool is_armed(database *d, dv_scan *scan, const relation *table)
{
    const char *params[] = {table->oid};
    dv_auto(pg_result) PGresult *function =
        PQexecParams(d->connection, DV_PG_OTHERS_FUNCTION, 1, NULL, params, NULL, NULL, 0);
    if (PQresultStatus(function) != PGRES_TUPLES_OK) {
        tell_problem(scan, function);
        return true;
    }
    if (PQntuples(function) > 0) {
        dv_scan_problem(scan, "could not be read: its indexes, statistics or parts run a function "
                              "of another account");
        return true;
    }
    return false;
}

static dv_result read_table(database *d, dv_scan *scan, const relation *table)
{
    if (is_armed(d, scan, table)) {
        return DV_OK;
    }
    dv_auto(pg_result) PGresult *columns = list_columns(d, table);
    if (PQresultStatus(columns) != PGRES_TUPLES_OK) {
        tell_problem(scan, columns);
        return DV_OK;
    }
    if (PQntuples(columns) == 0) {
        return DV_OK; /* a table without columns, or gone since */
    }
    bool pages = table->rows > SPARE * (double)d->limits->rows && table->kind != 'v';
    DV_TRY(sample(d, scan, table, pages, columns));
    if (pages && scan->item.rows == 0 && scan->item.problem[0] == '\0') {
        DV_TRY(sample(d, scan, table, false, columns)); /* the guess was far off */
    }
    scan->item.sampled = pages || scan->item.rows == d->limits->rows;
    return DV_OK;
}

static dv_result read_relation(database *d, dv_scan *scan, const relation *table)
{
    dv_error ignored = {0};
    if (table->kind == 'f') {
        dv_scan_problem(scan, "is a foreign table: scan it where its rows lie");
        return DV_OK;
    }
    if (dv_pg_run(d->connection, "BEGIN TRANSACTION READ ONLY", &ignored) != DV_OK) {
        tell_problem(scan, NULL);
        return DV_OK;
    }
    dv_result result = read_table(d, scan, table);
    dv_result ended = dv_pg_run(d->connection, "ROLLBACK", &ignored);
    (void)ended; /* a lost connection is told at the next table */
    return result;
}

/* By which a table is known again. */
static void stamp(const database *d, const relation *table, char out[DV_SCAN_STAMP_MAX])
{
    int len = d->here[0] == '\0' || table->kind == 'v'
                  ? 0
                  : snprintf(out, DV_SCAN_STAMP_MAX, "%s.%s", d->here, table->oid);
    if (len <= 0 || len >= DV_SCAN_STAMP_MAX) {
        out[0] = '\0';
    }
}

static dv_result visit_relation(database *d, const relation *table, uint64_t size)
{
    char name[512];
    dv_scan scan = {.limits = d->limits, .visitor = d->visitor, .left = d->limits->bytes};
    (void)snprintf(name, sizeof(name), "%s.%s", table->schema, table->name);
    scan.item.name = name;
    scan.item.size = size;
    scan.item.kind = table->kind == 'v' ? DV_SCAN_VIEW : DV_SCAN_TABLE;
    stamp(d, table, scan.item.stamp);
    d->totals->items++;
    d->totals->bytes += size;
    DV_TRY(d->visitor->begin(d->visitor->data, &scan.item));
    DV_TRY(read_relation(d, &scan, table));
    return d->visitor->end(d->visitor->data, &scan.item);
}

/* ---- all tables ---- */

/* Parts of a partitioned table are read with it; others' temporary tables can't be. */
static PGresult *list_relations(database *d)
{
    return PQexec(
        d->connection,
        "SELECT n.nspname, c.relname, c.relkind, c.reltuples,"
        " CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_table_size(c.oid) ELSE 0 END,"
        " c.oid"
        " FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND NOT c.relispartition"
        " AND c.relpersistence <> 't'"
        " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
        " ORDER BY n.nspname, c.relname");
}

/* An account that may not ask can scan all the same. */
static void find_here(database *d)
{
    dv_auto(pg_result) PGresult *here = PQexec(d->connection, "SELECT " DV_PG_HERE);
    if (PQresultStatus(here) == PGRES_TUPLES_OK && PQntuples(here) == 1) {
        dv_slice_copy(dv_slice_str(PQgetvalue(here, 0, 0)), d->here, sizeof(d->here));
    }
}

static dv_result visit_relations(database *d, dv_error *error)
{
    find_here(d);
    dv_auto(pg_result) PGresult *list = list_relations(d);
    if (PQresultStatus(list) != PGRES_TUPLES_OK) {
        return dv_pg_refused(d->connection, error);
    }
    for (int i = 0; i < PQntuples(list); i++) {
        const relation table = {
            .schema = PQgetvalue(list, i, 0),
            .name = PQgetvalue(list, i, 1),
            .oid = PQgetvalue(list, i, 5),
            .kind = PQgetvalue(list, i, 2)[0],
            .rows = strtod(PQgetvalue(list, i, 3), NULL),
        };
        const char *why = d->totals->items >= d->limits->files
                              ? "there are more tables than --max-files"
                          : dv_time_monotonic() > d->until           ? "the scan took too long"
                          : PQstatus(d->connection) != CONNECTION_OK ? "the connection was lost"
                                                                     : NULL;
        if (why != NULL) {
            (void)snprintf(d->totals->stopped, sizeof(d->totals->stopped), "%s", why);
            return DV_OK;
        }
        if (table.kind == 'v' && !d->views) {
            continue; /* the tables that it shows are read */
        }
        DV_TRY(visit_relation(d, &table, strtoull(PQgetvalue(list, i, 4), NULL, 10)));
    }
    return DV_OK;
}

static const char *option(const PQconninfoOption *options, const char *name, const char *otherwise)
{
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (strcmp(o->keyword, name) == 0 && o->val != NULL) {
            return o->val;
        }
    }
    return otherwise;
}

/* What the URL leaves out is as libpq has it: of the environment (PGHOST ...), or usual. */
static void write_source(const PQconninfoOption *url, const PQconninfoOption *usual, char *out,
                         size_t size)
{
    const char *there = option(usual, "host", option(usual, "hostaddr", "localhost"));
    const char *host = option(url, "host", option(url, "hostaddr", there));
    const char *user = option(url, "user", option(usual, "user", ""));
    const char *name = option(url, "dbname", option(usual, "dbname", user));
    const char *port = option(url, "port", option(usual, "port", "5432"));
    (void)snprintf(out, size, "postgresql://%s:%s/%s", host, port, name);
}

dv_result dv_scan_postgres_source(const char *url, char *out, size_t size, dv_error *error)
{
    char *why = NULL;
    PQconninfoOption *o = PQconninfoParse(url, &why);
    PQfreemem(why);
    if (o == NULL) {
        return dv_pg_no_url(error);
    }
    if (option(o, "service", NULL) != NULL) {
        PQconninfoFree(o);
        return dv_error_set(error, DV_ERR_INVALID,
                            "the URL names a service, which is no place: name its host, port and "
                            "database");
    }
    PQconninfoOption *usual = PQconndefaults();
    if (usual != NULL) {
        write_source(o, usual, out, size);
    }
    PQconninfoFree(usual);
    PQconninfoFree(o);
    return usual != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

bool dv_scan_is_postgres(const char *text)
{
    return strncmp(text, "postgresql://", 13) == 0 || strncmp(text, "postgres://", 11) == 0;
}

dv_result dv_scan_postgres(const char *url, const dv_scan_postgres_options *options,
                           const dv_scan_limits *limits, const dv_scan_visitor *visitor,
                           dv_scan_totals *ret_totals, dv_error *error)
{
    dv_scan_totals totals = {0};
    database d = {
        .limits = limits,
        .visitor = visitor,
        .totals = &totals,
        .until = dv_time_monotonic() + limits->time,
        .views = options->views,
    };
    dv_result result = open_database(url, limits, options->views, &d.connection, error);
    if (result == DV_OK) {
        result = visit_relations(&d, error);
    }
    PQfinish(d.connection);
    DV_TRY(result);
    *ret_totals = totals;
    return DV_OK;
}
