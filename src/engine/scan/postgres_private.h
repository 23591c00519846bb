/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What reading and granting share of PostgreSQL. */

#include "base/macros.h"
#include "base/result.h"

#include <libpq-fe.h>

static inline void dv_pg_result_clear(PGresult **result)
{
    PQclear(*result);
}
DV_DEFINE_AUTO(pg_result, PGresult *, dv_pg_result_clear)

/* Connects; application: as it is listed there. *ret_connection is the caller's to finish, also
 * after an error, and may be NULL then. Errors: DV_ERR_INVALID (no URL, or one with a password),
 * DV_ERR_UNAVAILABLE (with the server's words). */
dv_must dv_result dv_pg_connect(const char *url, const char *application, PGconn **ret_connection,
                                dv_error *error);
/* Runs one statement whose rows nobody reads. */
dv_must dv_result dv_pg_run(PGconn *connection, const char *sql, dv_error *error);
/* DV_ERR_UNAVAILABLE with the server's last words, in one line. */
dv_must dv_result dv_pg_refused(PGconn *connection, dv_error *error);
/* DV_ERR_INVALID: that is no URL of a database; libpq's own message may repeat it. */
dv_must dv_result dv_pg_no_url(dv_error *error);

/* Which database it is: the server's own number, which its standbys and copies of its disk share,
 * and the database's, as "N.N". With a "." and a table's oid behind it: the table's stamp (scan.h).
 */
#define DV_PG_HERE                                                                                 \
    "(SELECT system_identifier FROM pg_catalog.pg_control_system())::pg_catalog.text || '.' ||"    \
    " (SELECT oid FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=)"                \
    " pg_catalog.current_database())::pg_catalog.text"
/* $1: the table's oid. It and its parts. */
#define DV_PG_TREE                                                                                 \
    "(SELECT $1::pg_catalog.oid UNION SELECT t.relid::pg_catalog.oid FROM"                         \
    " pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) t)"
/* Functions that planning runs: what is constant in the expressions and conditions of indexes, of
 * statistics and of the key of parts. */
#define DV_PG_OTHERS_FUNCTION                                                                      \
    "WITH used AS (SELECT d.refclassid, d.refobjid FROM pg_catalog.pg_depend d WHERE"              \
    " (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND (d.objid IN " DV_PG_TREE         \
    " OR d.objid IN (SELECT x.indexrelid FROM pg_catalog.pg_index x WHERE x.indrelid "             \
    "IN " DV_PG_TREE                                                                               \
    "))) OR (d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass AND d.objid IN"        \
    " (SELECT e.oid FROM pg_catalog.pg_statistic_ext e WHERE e.stxrelid IN " DV_PG_TREE ")))"      \
    " SELECT p.proname FROM pg_catalog.pg_proc p"                                                  \
    " JOIN pg_catalog.pg_roles f ON f.oid = p.proowner"                                            \
    " WHERE f.rolname <> CURRENT_USER AND NOT f.rolsuper AND p.oid IN (SELECT u.refobjid"          \
    " FROM used u WHERE u.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass"                  \
    " UNION SELECT q.oprcode::pg_catalog.oid FROM used u JOIN pg_catalog.pg_operator q"            \
    " ON q.oid = u.refobjid AND u.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass)"     \
    " LIMIT 1"
