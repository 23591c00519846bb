/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/scan/postgres_rows.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "engine/scan/postgres_private.h"

#include <stdlib.h>

enum {
    SQL_MAX = 8 << 10,
    NAME_MAX_BYTES = 64 * 4 + 1,
    PARAM_MAX = 48,
    TYPE_DATE = 1082, /* of PostgreSQL's own (pg_type.dat) */
    TYPE_TIMESTAMP = 1114,
    TYPE_TIMESTAMPTZ = 1184,
    OLDEST_SERVER = 130000, /* pg_current_xact_id(), pg_xact_status(xid8) */
};

/* A local time is at most so much later in UTC (UTC-12). */
static const dv_time zone_max = 12 * 3600 * DV_SECOND;

/* For the transaction alone, so that a pool of connections gives none of it to others. What was
 * committed must not be lost after it was told; whoever holds locks and is away for so long loses
 * them. Names mean what they are in pg_catalog or nothing. To exclude a part by its constraints
 * would compute them, which runs what functions they have. */
static const char SETTINGS[] =
    "SELECT pg_catalog.set_config('search_path', '', true),"
    " pg_catalog.set_config('row_security', 'off', true),"
    " pg_catalog.set_config('lock_timeout', '10s', true),"
    " pg_catalog.set_config('statement_timeout', '1h', true),"
    " pg_catalog.set_config('idle_in_transaction_session_timeout', '5min', true),"
    " pg_catalog.set_config('constraint_exclusion', 'off', true),"
    " pg_catalog.set_config('datestyle', 'ISO', true),"
    " pg_catalog.set_config('timezone', 'UTC', true)";
static const char DURABLE[] =
    "SELECT pg_catalog.set_config('synchronous_commit', 'on', true)"
    " WHERE pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.=) 'off'";
static const char CLOSED[] =
    "SELECT pg_catalog.set_config(name, 'view, foreign-table', true) FROM pg_catalog.pg_settings"
    " WHERE name OPERATOR(pg_catalog.=) 'restrict_nonsystem_relation_kind'";

/* Else a statement goes on, and its locks with it, when who asked for it was killed. PostgreSQL 14
 * and later on Linux knows it. */
static const char WATCHED[] =
    "SELECT pg_catalog.set_config(name, '1s', true) FROM pg_catalog.pg_settings"
    " WHERE name OPERATOR(pg_catalog.=) 'client_connection_check_interval'"
    " AND pg_catalog.version() OPERATOR(pg_catalog.~~) '%linux%'";

/* $1: "schema.name". With dots in names there may be several. */
#define TABLE                                                                                      \
    "SELECT n.nspname, c.relname, c.oid, c.relkind, c.relhasrules, c.relpersistence, " DV_PG_HERE  \
    " || '.' || c.oid::pg_catalog.text"                                                            \
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"         \
    " WHERE n.nspname || '.' || c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"         \
    " LIMIT 2"
/* $1: oid, $2: the column. */
#define COLUMN                                                                                     \
    "SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1::pg_catalog.oid"       \
    " AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped"
/* Tables whose rows a deletion deletes or changes by foreign keys, as far as that goes. */
#define ACTS "IN ('c', 'n', 'd')" /* cascade, set null, set default */
#define REACHED                                                                                    \
    "WITH RECURSIVE reached(oid) AS (SELECT k.conrelid FROM pg_catalog.pg_constraint k"            \
    " WHERE k.contype = 'f' AND k.confrelid IN " DV_PG_TREE " AND k.confdeltype " ACTS             \
    " UNION SELECT k.conrelid FROM reached r JOIN pg_catalog.pg_constraint k"                      \
    " ON k.confrelid = r.oid WHERE k.contype = 'f' AND (k.confdeltype " ACTS                       \
    " OR k.confupdtype " ACTS ")) "
#define FOREIGN_PART                                                                               \
    REACHED "SELECT 1 FROM pg_catalog.pg_class c WHERE (c.oid IN " DV_PG_TREE                      \
            " OR c.oid IN (SELECT oid FROM reached))"                                              \
            " AND (c.relkind NOT IN ('r', 'p') OR c.relhasrules) LIMIT 1"
/* Enabled for what is done there, and of somebody else: its function, or its condition. What a
 * cascade sets off AFTER is run by this account, not by that table's owner. */
#define OTHERS_TRIGGER                                                                             \
    REACHED                                                                                        \
    "SELECT t.tgname FROM pg_catalog.pg_trigger t"                                                 \
    " JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid"                                               \
    " JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid"                                             \
    " JOIN pg_catalog.pg_roles f ON f.oid = p.proowner"                                            \
    " JOIN pg_catalog.pg_roles o ON o.oid = c.relowner"                                            \
    " WHERE ((t.tgrelid IN " DV_PG_TREE " AND (t.tgtype & 8) <> 0)"                                \
    " OR (t.tgrelid IN (SELECT oid FROM reached) AND (t.tgtype & 24) <> 0))"                       \
    " AND NOT t.tgisinternal AND t.tgenabled <> 'D'"                                               \
    " AND ((f.rolname <> CURRENT_USER AND NOT f.rolsuper)"                                         \
    " OR (t.tgqual IS NOT NULL AND o.rolname <> CURRENT_USER AND NOT o.rolsuper)) LIMIT 1"
/* One that may say that a row stays. */
#define ROW_TRIGGER                                                                                \
    "SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tgrelid IN " DV_PG_TREE                         \
    " AND (t.tgtype & 11) = 11 AND t.tgenabled <> 'D' LIMIT 1" /* of each row, before, DELETE */
#define SESSION                                                                                    \
    "SELECT pg_catalog.current_setting('track_counts'),"                                           \
    " pg_catalog.current_setting('session_replication_role') WHERE $1 <> ''"
/* $1: oid. What this session's statements changed so far: rows deleted of the table, other changes
 * of it, changes of all others, and one of those. Also catalogs count: TRUNCATE, DDL and large
 * objects show there alone. What TOAST keeps for a row goes with it. */
#define CHANGES                                                                                    \
    "SELECT COALESCE(pg_catalog.sum(s.n_tup_del) FILTER (WHERE s.relid IN " DV_PG_TREE "), 0),"    \
    " COALESCE(pg_catalog.sum(s.n_tup_ins + s.n_tup_upd) FILTER (WHERE s.relid IN " DV_PG_TREE     \
    "), 0),"                                                                                       \
    " COALESCE(pg_catalog.sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del)"                            \
    " FILTER (WHERE s.relid NOT IN " DV_PG_TREE "), 0),"                                           \
    " COALESCE(pg_catalog.max(s.schemaname || '.' || s.relname) FILTER (WHERE s.relid NOT "        \
    "IN " DV_PG_TREE " AND s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0), '')"                      \
    " FROM pg_catalog.pg_stat_xact_all_tables s WHERE s.schemaname <> 'pg_toast'"
/* The server, its line of history and the database: elsewhere a number is another transaction's. */
#define IDENTITY                                                                                   \
    DV_PG_HERE " || '.' || pg_catalog.left(pg_catalog.pg_walfile_name("                            \
               "pg_catalog.pg_current_wal_lsn()), 8) || '.'"

typedef struct table {
    PGconn *connection;
    const dv_pg_rows *wanted;
    char schema[NAME_MAX_BYTES];
    char name[NAME_MAX_BYTES];
    char oid[16];
    char before[PARAM_MAX]; /* as a text that PostgreSQL reads */
    long type;
    bool parted;
    bool settled; /* the outcome says it, and no error does */
    dv_pg_rows_outcome outcome;
    dv_pg_rows_told told;
} table;

/* --- answers --------------------------------------------------------------------------------- */

/* Cut between two characters. */
static void copy_text(const char *text, char *out, size_t size)
{
    dv_slice room = dv_slice_sub(dv_slice_str(text), 0, size - 1);
    dv_slice_copy(dv_slice_sub(room, 0, dv_utf8_prefix(room)), out, size);
}

/* That is how it ends. */
static dv_result settle(table *t, dv_pg_rows_outcome outcome)
{
    t->outcome = outcome;
    t->settled = true;
    return DV_ERR_CONFLICT;
}

static dv_result keep(table *t, const char *why, const char *detail)
{
    copy_text(why, t->told.why, sizeof(t->told.why));
    copy_text(detail, t->told.detail, sizeof(t->told.detail));
    return settle(t, DV_PG_ROWS_KEPT);
}

static const char *field_of(const PGresult *result, int field)
{
    const char *text = PQresultErrorField(result, field);
    return text != NULL ? text : "";
}

/* What the server refused, without its words: they may quote values. Errors: DV_ERR_CONFLICT (the
 * table stays), DV_ERR_UNAVAILABLE. */
static dv_result refused(table *t, const PGresult *result, dv_error *error)
{
    static const struct {
        const char *state;
        const char *why;
    } reasons[] = {
        {"42501", "this account may not delete from it, or row security hides rows"},
        {"55P03", "another transaction has locked it"},
        {"40P01", "another transaction was in the way (deadlock)"},
        {"57014", "it took longer than an hour, or was stopped"},
        {"55000", "it leads to a foreign table or a view, or is replicated without an identity"},
    };
    const char *state = field_of(result, PG_DIAG_SQLSTATE);
    char why[DV_PG_WHY_MAX];
    if (PQstatus(t->connection) != CONNECTION_OK || state[0] == '\0') {
        return dv_pg_refused(t->connection, error);
    }
    if (strcmp(state, "23503") == 0 || strcmp(state, "23001") == 0) {
        (void)keep(t, "rows of other tables refer to its rows (foreign key)",
                   field_of(result, PG_DIAG_TABLE_NAME));
        return settle(t, DV_PG_ROWS_REFERRED);
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(reasons); i++) {
        if (strcmp(state, reasons[i].state) == 0) {
            return keep(t, reasons[i].why, "");
        }
    }
    (void)snprintf(why, sizeof(why), "PostgreSQL refused it (%.5s)", state);
    return keep(t, why, "");
}

/* Rows of a query about the table: $1 is its oid, $2 another text or NULL. */
static dv_result ask(table *t, const char *sql, const char *second, PGresult **ret_result,
                     dv_error *error)
{
    const char *values[] = {t->oid, second};
    PGresult *result =
        PQexecParams(t->connection, sql, second != NULL ? 2 : 1, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        dv_result why = refused(t, result, error);
        PQclear(result);
        return why;
    }
    *ret_result = result;
    return DV_OK;
}

static dv_result run(table *t, const char *sql, dv_error *error)
{
    dv_auto(pg_result) PGresult *result = PQexec(t->connection, sql);
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? DV_OK
                                                                   : refused(t, result, error);
}

static uint64_t number(const PGresult *result, int column)
{
    return strtoull(PQgetvalue(result, 0, column), NULL, 10);
}

/* --- the table ------------------------------------------------------------------------------- */

static dv_result append_name(PGconn *connection, dv_buf *sql, const char *name)
{
    char *quoted = PQescapeIdentifier(connection, name, strlen(name));
    dv_result result = quoted == NULL ? DV_ERR_INVALID : dv_buf_append_str(sql, quoted);
    PQfreemem(quoted);
    return result;
}

/* Tables that inherit from it are others; parts are its own. */
static dv_result append_table(const table *t, dv_buf *sql)
{
    DV_TRY(dv_buf_append_str(sql, t->parted ? "" : "ONLY "));
    DV_TRY(append_name(t->connection, sql, t->schema));
    DV_TRY(dv_buf_append_byte(sql, '.'));
    return append_name(t->connection, sql, t->name);
}

static dv_result find(table *t, dv_error *error)
{
    const char *values[] = {t->wanted->table};
    dv_auto(pg_result) PGresult *found =
        PQexecParams(t->connection, TABLE, 1, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(found) != PGRES_TUPLES_OK) {
        return refused(t, found, error);
    }
    if (PQntuples(found) == 0) {
        return settle(t, DV_PG_ROWS_MISSING);
    }
    if (PQntuples(found) > 1) {
        return keep(t, "several tables are called so", "");
    }
    char kind = PQgetvalue(found, 0, 3)[0];
    if ((kind != 'r' && kind != 'p') || PQgetvalue(found, 0, 5)[0] == 't') {
        return keep(t, "it is no table, or a temporary one", "");
    }
    if (t->wanted->stamp[0] == '\0' || strcmp(PQgetvalue(found, 0, 6), t->wanted->stamp) != 0) {
        return keep(t, "it is another table than the one that was scanned: scan it again", "");
    }
    copy_text(PQgetvalue(found, 0, 0), t->schema, sizeof(t->schema));
    copy_text(PQgetvalue(found, 0, 1), t->name, sizeof(t->name));
    dv_slice_copy(dv_slice_str(PQgetvalue(found, 0, 2)), t->oid, sizeof(t->oid));
    t->parted = kind == 'p';
    return DV_OK;
}

/* From here on it is this table that its name means, and it stays as it is: as for DELETE, and
 * nobody attaches a part or adds statistics either. */
static dv_result lock(table *t, dv_error *error)
{
    dv_auto(buf) dv_buf sql = dv_buf_init(SQL_MAX);
    char oid[sizeof(t->oid)];
    bool parted = t->parted;
    dv_slice_copy(dv_slice_str(t->oid), oid, sizeof(oid));
    DV_TRY(dv_buf_append_str(&sql, "LOCK TABLE "));
    DV_TRY(append_table(t, &sql));
    DV_TRY(dv_buf_append_str(&sql, " IN SHARE UPDATE EXCLUSIVE MODE"));
    const char *text = dv_buf_cstr(&sql);
    DV_TRY(text == NULL ? DV_ERR_NO_MEMORY : run(t, text, error));
    DV_TRY(find(t, error));
    return strcmp(oid, t->oid) == 0 && parted == t->parted
               ? DV_OK
               : keep(t, "another table took its name just now", "");
}

static dv_result check_column(table *t, dv_error *error)
{
    dv_auto(pg_result) PGresult *column = NULL;
    DV_TRY(ask(t, COLUMN, t->wanted->column, &column, error));
    if (PQntuples(column) != 1) {
        return keep(t, "it has no such column", t->wanted->column);
    }
    t->type = strtol(PQgetvalue(column, 0, 0), NULL, 10);
    return t->type == TYPE_DATE || t->type == TYPE_TIMESTAMP || t->type == TYPE_TIMESTAMPTZ
               ? DV_OK
               : keep(t, "the column is no date, timestamp or timestamptz", t->wanted->column);
}

static dv_result check_code(table *t, dv_error *error)
{
    dv_auto(pg_result) PGresult *part = NULL, *trigger = NULL, *function = NULL, *settings = NULL;
    DV_TRY(ask(t, FOREIGN_PART, NULL, &part, error));
    if (PQntuples(part) > 0) {
        return keep(t, "a foreign table or one with rules is a part of it or cascades from it", "");
    }
    DV_TRY(ask(t, OTHERS_TRIGGER, NULL, &trigger, error));
    if (PQntuples(trigger) > 0) {
        return keep(t, "deleting would run a trigger of another account",
                    PQgetvalue(trigger, 0, 0));
    }
    DV_TRY(ask(t, DV_PG_OTHERS_FUNCTION, NULL, &function, error));
    if (PQntuples(function) > 0) {
        return keep(t, "its indexes, statistics or parts run a function of another account",
                    PQgetvalue(function, 0, 0));
    }
    DV_TRY(ask(t, SESSION, NULL, &settings, error));
    if (PQntuples(settings) != 1 || strcmp(PQgetvalue(settings, 0, 0), "on") != 0) {
        return keep(t, "what else would be deleted can't be seen: track_counts is off", "");
    }
    return strcmp(PQgetvalue(settings, 0, 1), "replica") != 0
               ? DV_OK
               : keep(t, "no foreign key would be looked at: session_replication_role is replica",
                      "");
}

/* The date or time before which a row is old, whatever clock wrote it. */
static void write_before(table *t)
{
    char text[DV_TIME_TEXT_MAX];
    enum { DATE_LEN = 10 };
    dv_time before = t->wanted->before - (t->type == TYPE_TIMESTAMPTZ ? 0 : zone_max);
    dv_time_format(before, text);
    if (t->type == TYPE_DATE) { /* a day ends a day after it began */
        text[DATE_LEN] = '\0';
    } else if (t->type == TYPE_TIMESTAMP) {
        *strchr(text, 'Z') = '\0';
    }
    dv_slice_copy(dv_slice_str(text), t->before, sizeof(t->before));
}

static dv_result open_table(table *t, dv_error *error)
{
    DV_TRY(run(t, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", error));
    DV_TRY(run(t, SETTINGS, error));
    DV_TRY(run(t, DURABLE, error));
    DV_TRY(run(t, CLOSED, error));
    DV_TRY(run(t, WATCHED, error));
    DV_TRY(find(t, error));
    DV_TRY(lock(t, error));
    DV_TRY(check_column(t, error));
    DV_TRY(check_code(t, error));
    write_before(t);
    return DV_OK;
}

/* --- its rows -------------------------------------------------------------------------------- */

static const char *type_name(const table *t)
{
    return t->type == TYPE_DATE        ? "pg_catalog.date"
           : t->type == TYPE_TIMESTAMP ? "pg_catalog.timestamp"
                                       : "pg_catalog.timestamptz";
}

/* " WHERE column < $1", as an index on it is used for. */
static dv_result append_old(const table *t, dv_buf *sql)
{
    DV_TRY(dv_buf_append_str(sql, " WHERE "));
    DV_TRY(append_name(t->connection, sql, t->wanted->column));
    DV_TRY(dv_buf_append_printf(sql, " OPERATOR(pg_catalog.<) $1::%s AND ", type_name(t)));
    DV_TRY(append_name(t->connection, sql, t->wanted->column));
    return dv_buf_append_printf(sql, " OPERATOR(pg_catalog.>) '-infinity'::%s", type_name(t));
}

static dv_result append_undated(const table *t, dv_buf *sql)
{
    DV_TRY(dv_buf_append_str(sql, " WHERE "));
    DV_TRY(append_name(t->connection, sql, t->wanted->column));
    DV_TRY(dv_buf_append_str(sql, " IS NULL OR "));
    DV_TRY(append_name(t->connection, sql, t->wanted->column));
    return dv_buf_append_printf(sql, " OPERATOR(pg_catalog.=) '-infinity'::%s", type_name(t));
}

typedef dv_result (*append_where)(const table *t, dv_buf *sql);

/* verb: "SELECT pg_catalog.count(*) FROM " or "DELETE FROM ". */
static dv_result change(table *t, const char *verb, append_where where, PGresult **ret_result,
                        dv_error *error)
{
    dv_auto(buf) dv_buf sql = dv_buf_init(SQL_MAX);
    const char *values[] = {t->before};
    DV_TRY(dv_buf_append_str(&sql, verb));
    DV_TRY(append_table(t, &sql));
    DV_TRY(where(t, &sql));
    const char *text = dv_buf_cstr(&sql);
    DV_TRY(text == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    PGresult *result =
        PQexecParams(t->connection, text, where == append_old ? 1 : 0, NULL, values, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        dv_result why = refused(t, result, error);
        PQclear(result);
        return why;
    }
    *ret_result = result;
    return DV_OK;
}

static dv_result count(table *t, append_where where, uint64_t *ret_count, dv_error *error)
{
    dv_auto(pg_result) PGresult *result = NULL;
    DV_TRY(change(t, "SELECT pg_catalog.count(*) FROM ", where, &result, error));
    *ret_count = number(result, 0);
    return DV_OK;
}

/* Rows that were deleted, and what else the session changed, so far. */
typedef struct changes {
    uint64_t deleted;
    uint64_t own;
    uint64_t others;
    char other[DV_PG_DETAIL_MAX];
} changes;

static dv_result read_changes(table *t, changes *ret_changes, dv_error *error)
{
    dv_auto(pg_result) PGresult *result = NULL;
    DV_TRY(ask(t, CHANGES, NULL, &result, error));
    ret_changes->deleted = number(result, 0);
    ret_changes->own = number(result, 1);
    ret_changes->others = number(result, 2);
    copy_text(PQgetvalue(result, 0, 3), ret_changes->other, sizeof(ret_changes->other));
    return DV_OK;
}

/* Rows that a trigger kept: who reads of a deletion takes it that none is that old any more. Only
 * then, since others may write such rows at any time. */
static dv_result check_left(table *t, dv_error *error)
{
    uint64_t left = 0;
    dv_auto(pg_result) PGresult *trigger = NULL;
    DV_TRY(ask(t, ROW_TRIGGER, NULL, &trigger, error));
    DV_TRY(PQntuples(trigger) > 0 ? count(t, append_old, &left, error) : DV_OK);
    return left == 0 ? DV_OK : keep(t, "a trigger keeps rows of it that would go", "");
}

/* Also what is deferred to the end is done by then, so that COMMIT finds nothing new. */
static dv_result delete_rows(table *t, dv_error *error)
{
    changes before = {0}, after = {0};
    dv_auto(pg_result) PGresult *result = NULL;
    DV_TRY(read_changes(t, &before, error));
    DV_TRY(change(t, "DELETE FROM ", append_old, &result, error));
    t->told.rows = strtoull(PQcmdTuples(result), NULL, 10);
    DV_TRY(check_left(t, error));
    if (t->told.rows == 0) {
        return settle(t, DV_PG_ROWS_NONE);
    }
    DV_TRY(run(t, "SET CONSTRAINTS ALL IMMEDIATE", error));
    DV_TRY(read_changes(t, &after, error));
    if (after.others != before.others) {
        return keep(t, "deleting would change rows of other tables, too (cascade or trigger)",
                    after.other);
    }
    return after.own == before.own && after.deleted - before.deleted == t->told.rows
               ? DV_OK
               : keep(t, "deleting would change other rows of it, too (cascade or trigger)", "");
}

static dv_result read_xact(table *t, dv_error *error)
{
    dv_auto(pg_result) PGresult *result = PQexec(
        t->connection, "SELECT " IDENTITY " || pg_catalog.pg_current_xact_id()::pg_catalog.text");
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        return refused(t, result, error);
    }
    if (strlen(PQgetvalue(result, 0, 0)) >= sizeof(t->told.xact)) {
        return DV_ERR_TOO_LARGE;
    }
    dv_slice_copy(dv_slice_str(PQgetvalue(result, 0, 0)), t->told.xact, sizeof(t->told.xact));
    return DV_OK;
}

/* A transaction that failed before answers COMMIT with ROLLBACK. */
static dv_result commit(table *t, dv_error *error)
{
    dv_auto(pg_result) PGresult *result = PQexec(t->connection, "COMMIT");
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        bool done = strcmp(PQcmdStatus(result), "COMMIT") == 0;
        t->outcome = DV_PG_ROWS_DONE;
        return done ? DV_OK : keep(t, "its transaction was undone", "");
    }
    t->outcome = DV_PG_ROWS_OPEN;
    return PQstatus(t->connection) == CONNECTION_OK ? refused(t, result, error) : DV_OK;
}

/* --- connections ----------------------------------------------------------------------------- */

static dv_result connect(const char *url, PGconn **ret_connection, dv_error *error)
{
    DV_TRY(dv_pg_connect(url, "dvara-disposal", ret_connection, error));
    const char *standby = PQparameterStatus(*ret_connection, "in_hot_standby"); /* from 14 on */
    if (standby != NULL && strcmp(standby, "on") == 0) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "that server is a standby, on which nothing can be deleted: name the "
                            "primary");
    }
    return PQserverVersion(*ret_connection) >= OLDEST_SERVER
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID, "rows are deleted in PostgreSQL 13 or later");
}

typedef struct deletion {
    dv_pg_rows_agree agree;
    void *data;
} deletion;

static dv_result count_both(table *t, const deletion *unused, dv_error *error)
{
    (void)unused;
    DV_TRY(count(t, append_old, &t->told.rows, error));
    DV_TRY(count(t, append_undated, &t->told.undated, error));
    t->outcome = t->told.rows > 0 ? DV_PG_ROWS_DONE : DV_PG_ROWS_NONE;
    return DV_OK;
}

static dv_result delete_all(table *t, const deletion *d, dv_error *error)
{
    bool go = false;
    DV_TRY(count(t, append_undated, &t->told.undated, error));
    DV_TRY(delete_rows(t, error));
    DV_TRY(read_xact(t, error));
    DV_TRY(d->agree(d->data, &t->told, &go, error));
    return go ? commit(t, error) : settle(t, DV_PG_ROWS_DECLINED);
}

/* Finishing the connection undoes what is open. */
static dv_result with_table(const char *url, const dv_pg_rows *wanted, const deletion *d,
                            dv_result (*work)(table *, const deletion *, dv_error *),
                            dv_pg_rows_outcome *ret_outcome, dv_pg_rows_told *ret_told,
                            dv_error *error)
{
    table t = {.wanted = wanted};
    dv_error own = {0};
    dv_result result = connect(url, &t.connection, &own);
    result = result == DV_OK ? open_table(&t, &own) : result;
    result = result == DV_OK ? work(&t, d, &own) : result;
    PQfinish(t.connection);
    if (result != DV_OK && !t.settled) {
        *error = own;
        return result;
    }
    *ret_outcome = t.outcome;
    *ret_told = t.told;
    return DV_OK;
}

dv_result dv_pg_rows_count(const char *url, const dv_pg_rows *wanted,
                           dv_pg_rows_outcome *ret_outcome, dv_pg_rows_told *ret_told,
                           dv_error *error)
{
    return with_table(url, wanted, NULL, count_both, ret_outcome, ret_told, error);
}

dv_result dv_pg_rows_delete(const char *url, const dv_pg_rows *wanted, dv_pg_rows_agree agree,
                            void *data, dv_pg_rows_outcome *ret_outcome, dv_pg_rows_told *ret_told,
                            dv_error *error)
{
    const deletion d = {agree, data};
    return with_table(url, wanted, &d, delete_all, ret_outcome, ret_told, error);
}

/* --- what became of it ----------------------------------------------------------------------- */

#define IN_THE_FUTURE "22023" /* of a transaction that is still to come */
/* $1: all of it. The number is looked at only where all before it is the same. */
#define STATUS                                                                                     \
    "SELECT CASE WHEN pg_catalog.starts_with($1, i.here) THEN pg_catalog.pg_xact_status("          \
    "pg_catalog.substr($1, pg_catalog.length(i.here) + 1)::pg_catalog.xid8) END"                   \
    " FROM (SELECT " IDENTITY " AS here) i"

static dv_result read_status(PGconn *connection, const char *xact, dv_pg_xact_status *ret_status,
                             dv_error *error)
{
    static const struct {
        const char *text;
        dv_pg_xact_status status;
    } words[] = {{"committed", DV_PG_XACT_COMMITTED},
                 {"aborted", DV_PG_XACT_ABORTED},
                 {"in progress", DV_PG_XACT_RUNNING}};
    const char *values[] = {xact};
    dv_auto(pg_result) PGresult *result =
        PQexecParams(connection, STATUS, 1, NULL, values, NULL, NULL, 0);
    *ret_status = DV_PG_XACT_UNKNOWN;
    if (strcmp(field_of(result, PG_DIAG_SQLSTATE), IN_THE_FUTURE) == 0) {
        return DV_OK; /* it was put back to a state of before */
    }
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        return dv_pg_refused(connection, error);
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(words); i++) {
        if (strcmp(PQgetvalue(result, 0, 0), words[i].text) == 0) {
            *ret_status = words[i].status;
        }
    }
    return DV_OK;
}

dv_result dv_pg_rows_status(const char *url, const char *xact, dv_pg_xact_status *ret_status,
                            dv_error *error)
{
    PGconn *connection = NULL;
    dv_result result = connect(url, &connection, error);
    result = result == DV_OK ? dv_pg_run(connection, "BEGIN READ ONLY", error) : result;
    result = result == DV_OK ? dv_pg_run(connection, SETTINGS, error) : result;
    result = result == DV_OK ? read_status(connection, xact, ret_status, error) : result;
    PQfinish(connection);
    return result;
}
