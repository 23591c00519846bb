/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/scan/postgres_copy.h"

#include "engine/scan/postgres_private.h"

#include <stdlib.h>

enum { SQL_MAX = 4 << 20 };

/* Schemas that people made, and public. */
#define OWN_SCHEMAS "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
#define NO_EXTENSION(table, row)                                                                   \
    "NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'"                         \
    " AND d.classid = 'pg_catalog." table "'::pg_catalog.regclass AND d.objid = " row ".oid)"

typedef dv_result (*asking)(PGconn *connection, void *data, dv_error *error);

static dv_result with(const char *url, asking ask, void *data, dv_error *error)
{
    PGconn *connection = NULL;
    dv_result result = dv_pg_connect(url, "dvara copy", &connection, error);
    if (result == DV_OK) {
        result = dv_pg_run(connection, "SET search_path = ''", error);
    }
    if (result == DV_OK) {
        result = ask(connection, data, error);
    }
    PQfinish(connection);
    return result;
}

/* -- what is there ----------------------------------------------------------------------------- */

static dv_result look(PGconn *connection, void *data, dv_error *error)
{
    dv_pg_place *place = data;
    dv_auto(pg_result) PGresult *row = PQexec(
        connection,
        "SELECT pg_catalog.pg_postmaster_start_time()::pg_catalog.text || ' ' ||"
        " pg_catalog.current_setting('port') || ' ' || (SELECT oid FROM pg_catalog.pg_database"
        " WHERE datname = pg_catalog.current_database()),"
        " (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
        "  ON n.oid = c.relnamespace WHERE " OWN_SCHEMAS "  AND " NO_EXTENSION(
            "pg_class", "c") ") +"
                             " (SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc c JOIN "
                             "pg_catalog.pg_namespace n"
                             "  ON n.oid = c.pronamespace WHERE " OWN_SCHEMAS "  AND " NO_EXTENSION(
                                 "pg_proc",
                                 "c") ") +"
                                      " (SELECT pg_catalog.count(*) FROM pg_catalog.pg_type c JOIN "
                                      "pg_catalog.pg_namespace n"
                                      "  ON n.oid = c.typnamespace WHERE " OWN_SCHEMAS
                                      "  AND " NO_EXTENSION(
                                          "pg_type", "c") "),"
                                                          " (SELECT pg_catalog.count(*) FROM "
                                                          "pg_catalog.pg_largeobject_metadata),"
                                                          " (SELECT pg_catalog.count(*) FROM "
                                                          "pg_catalog.pg_user_mappings)");
    if (PQresultStatus(row) != PGRES_TUPLES_OK || PQntuples(row) != 1) {
        return dv_pg_refused(connection, error);
    }
    (void)snprintf(place->identity, sizeof(place->identity), "%s", PQgetvalue(row, 0, 0));
    place->objects = strtoull(PQgetvalue(row, 0, 1), NULL, 10);
    place->large_objects = strtoull(PQgetvalue(row, 0, 2), NULL, 10);
    place->user_mappings = strtoull(PQgetvalue(row, 0, 3), NULL, 10);
    return DV_OK;
}

dv_result dv_pg_look(const char *url, dv_pg_place *ret_place, dv_error *error)
{
    dv_pg_place place = {.objects = 0};
    DV_TRY(with(url, look, &place, error));
    *ret_place = place;
    return DV_OK;
}

typedef struct telling {
    dv_result (*tell)(void *data, const char *relation, const char *column);
    void *data;
} telling;

/* Schema a, table "b.c" and schema "a.b", table c are one name: such a one stands for neither. */
#define NO_NAMESAKE                                                                                \
    "NOT EXISTS (SELECT FROM pg_catalog.pg_class o JOIN pg_catalog.pg_namespace p"                 \
    " ON p.oid = o.relnamespace WHERE o.oid <> c.oid AND o.relkind IN ('r', 'p', 'f', 'm', 'v')"   \
    " AND p.nspname || '.' || o.relname = n.nspname || '.' || c.relname)"

static dv_result list_computed(PGconn *connection, void *data, dv_error *error)
{
    const telling *t = data;
    dv_auto(pg_result) PGresult *rows =
        PQexec(connection,
               "SELECT n.nspname || '.' || c.relname, '' FROM pg_catalog.pg_class c"
               " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
               " WHERE c.relkind = 'm' AND " NO_NAMESAKE " UNION ALL"
               " SELECT n.nspname || '.' || c.relname, a.attname FROM pg_catalog.pg_attribute a"
               " JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"
               " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
               " WHERE a.attgenerated <> '' AND NOT a.attisdropped AND " NO_NAMESAKE);
    if (PQresultStatus(rows) != PGRES_TUPLES_OK) {
        return dv_pg_refused(connection, error);
    }
    for (int i = 0; i < PQntuples(rows); i++) {
        DV_TRY(t->tell(t->data, PQgetvalue(rows, i, 0), PQgetvalue(rows, i, 1)));
    }
    return DV_OK;
}

dv_result dv_pg_computed(const char *url,
                         dv_result (*tell)(void *data, const char *relation, const char *column),
                         void *data, dv_error *error)
{
    telling t = {tell, data};
    return with(url, list_computed, &t, error);
}

/* -- that nothing is --------------------------------------------------------------------------- */

static dv_result list_drops(PGconn *connection, void *data, dv_error *error)
{
    dv_buf *sql = data;
    dv_auto(pg_result) PGresult *rows =
        PQexec(connection, "SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_namespace n"
                           " WHERE " OWN_SCHEMAS " ORDER BY 1");
    if (PQresultStatus(rows) != PGRES_TUPLES_OK) {
        return dv_pg_refused(connection, error);
    }
    for (int i = 0; i < PQntuples(rows); i++) {
        DV_TRY(dv_buf_append_printf(sql, "DROP SCHEMA %s CASCADE;\n", PQgetvalue(rows, i, 0)));
    }
    return dv_buf_append_str(sql,
                             "CREATE SCHEMA public;\nGRANT USAGE ON SCHEMA public TO PUBLIC;\n");
}

dv_result dv_pg_emptying(const char *url, dv_buf *sql, dv_error *error)
{
    return with(url, list_drops, sql, error);
}

/* Several statements at once are one transaction. */
static dv_result drop_all(PGconn *connection, void *data, dv_error *error)
{
    dv_buf *sql = data;
    DV_TRY(list_drops(connection, sql, error));
    const char *text = dv_buf_cstr(sql);
    DV_TRY(dv_pg_run(connection, "SET client_min_messages = warning", error));
    return text == NULL ? DV_ERR_NO_MEMORY : dv_pg_run(connection, text, error);
}

dv_result dv_pg_empty(const char *url, dv_error *error)
{
    dv_auto(buf) dv_buf sql = dv_buf_init(SQL_MAX);
    return with(url, drop_all, &sql, error);
}
