/* SPDX-License-Identifier: Apache-2.0 */
/* Grants in PostgreSQL, which refuses by itself from then on. Nothing of other people's is run:
 * catalogs are read, and GRANT and REVOKE run nothing. */
#include "engine/scan/postgres_grant.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "engine/scan/postgres_private.h"

enum { SQL_MAX = 4 << 10 };

/* How a role stands to a table. */
typedef struct standing {
    char schema[64 * 4 + 1];
    char name[64 * 4 + 1];
    bool role;     /* it is there, */
    bool powerful; /* and no grant is needed: a superuser or the table's owner */
    bool direct;   /* SELECT was granted to it */
    bool reads;    /* it may read some column, by whatever way */
} standing;

/* $1: "schema.name", $2: a role. A row for each table of that name: with dots in names there may be
 * several. Columns beside tables' own lists are looked at, too. */
#define STANDING                                                                                   \
    "SELECT n.nspname, c.relname, r.oid IS NOT NULL,"                                              \
    " COALESCE(r.rolsuper OR c.relowner = r.oid, false),"                                          \
    " EXISTS (SELECT 1 FROM pg_catalog.aclexplode(c.relacl) a WHERE a.grantee = r.oid"             \
    " AND a.privilege_type = 'SELECT'),"                                                           \
    " COALESCE(pg_catalog.has_any_column_privilege(r.oid, c.oid, 'SELECT'), false)"                \
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"         \
    " LEFT JOIN pg_catalog.pg_roles r ON r.rolname = $2"                                           \
    " WHERE n.nspname || '.' || c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"         \
    " LIMIT 2"

/* $1: a role. Tables that it may read because somebody granted it. */
#define GRANTED                                                                                    \
    "SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c"                              \
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"                                    \
    " JOIN pg_catalog.pg_roles r ON r.rolname = $1"                                                \
    " WHERE c.relowner <> r.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"                        \
    " AND EXISTS (SELECT 1 FROM pg_catalog.aclexplode(c.relacl) a WHERE a.grantee = r.oid"         \
    " AND a.privilege_type = 'SELECT') ORDER BY 1"

/* All that is to be made so. */
typedef struct sync_list {
    dv_pg_grant *items;
    size_t count;
} sync_list;

static bool yes(const PGresult *result, int column)
{
    return PQgetvalue(result, 0, column)[0] == 't';
}

/* Cut between two characters: half a one would be no JSON. */
static void problem_set(dv_pg_grant *grant, const char *text)
{
    dv_slice room = dv_slice_sub(dv_slice_str(text), 0, sizeof(grant->problem) - 1);
    dv_slice_copy(dv_slice_sub(room, 0, dv_utf8_prefix(room)), grant->problem,
                  sizeof(grant->problem));
}

/* Errors: DV_ERR_NOT_FOUND: there is no such table, or more than one is called so (*ret_called). */
static dv_result standing_read(PGconn *connection, const dv_pg_grant *grant, standing *ret_standing,
                               size_t *ret_called, dv_error *error)
{
    const char *values[] = {grant->table, grant->role};
    dv_auto(pg_result) PGresult *result =
        PQexecParams(connection, STANDING, 2, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        return dv_pg_refused(connection, error);
    }
    *ret_called = (size_t)PQntuples(result);
    if (PQntuples(result) != 1) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "%s",
                            PQntuples(result) == 0 ? "there is no such table"
                                                   : "several tables are called so");
    }
    standing s = {.role = yes(result, 2),
                  .powerful = yes(result, 3),
                  .direct = yes(result, 4),
                  .reads = yes(result, 5)};
    dv_slice_copy(dv_slice_str(PQgetvalue(result, 0, 0)), s.schema, sizeof(s.schema));
    dv_slice_copy(dv_slice_str(PQgetvalue(result, 0, 1)), s.name, sizeof(s.name));
    *ret_standing = s;
    return DV_OK;
}

static dv_result name_append(PGconn *connection, dv_buf *sql, const char *name)
{
    char *quoted = PQescapeIdentifier(connection, name, strlen(name));
    dv_result result = quoted == NULL ? DV_ERR_INVALID : dv_buf_append_str(sql, quoted);
    PQfreemem(quoted);
    return result;
}

static dv_result change(PGconn *connection, const dv_pg_grant *grant, const standing *s,
                        dv_error *error)
{
    dv_auto(buf) dv_buf sql = dv_buf_init(SQL_MAX);
    DV_TRY(dv_buf_append_str(&sql,
                             grant->wanted ? "GRANT SELECT ON TABLE " : "REVOKE SELECT ON TABLE "));
    DV_TRY(name_append(connection, &sql, s->schema));
    DV_TRY(dv_buf_append_byte(&sql, '.'));
    DV_TRY(name_append(connection, &sql, s->name));
    DV_TRY(dv_buf_append_str(&sql, grant->wanted ? " TO " : " FROM "));
    DV_TRY(name_append(connection, &sql, grant->role));
    DV_TRY(dv_buf_append_byte(&sql, '\0'));
    return dv_pg_run(connection, (const char *)sql.ptr, error);
}

/* A REVOKE of what somebody else granted changes nothing and is no error. */
static dv_result changed_check(PGconn *connection, dv_pg_grant *grant, dv_error *error)
{
    standing s = {0};
    size_t called = 0;
    DV_TRY(standing_read(connection, grant, &s, &called, error));
    if (s.direct == grant->wanted) {
        grant->done = grant->wanted ? "granted" : "revoked";
    }
    if (s.direct != grant->wanted) {
        problem_set(grant, grant->wanted ? "it was not granted: this account may not"
                                         : "it was not revoked: somebody else granted it");
    } else if (!grant->wanted && s.reads) {
        problem_set(grant, "the role can still read it: through another role, PUBLIC or columns");
    }
    return DV_OK;
}

static bool is_listed(const sync_list *all, const char *table, const char *role)
{
    bool listed = false;
    for (size_t i = 0; i < all->count && !listed; i++) {
        listed = strcmp(all->items[i].table, table) == 0 && strcmp(all->items[i].role, role) == 0;
    }
    return listed;
}

/* What is not there nobody reads; but a table that is called otherwise by now kept its grants. What
 * the role may read and Dvara knows nothing of may be it: DV_ERR_NOT_FOUND, with its name. */
static dv_result renamed_check(PGconn *connection, const sync_list *all, const dv_pg_grant *grant,
                               dv_error *error)
{
    const char *values[] = {grant->role};
    dv_auto(pg_result) PGresult *result =
        PQexecParams(connection, GRANTED, 1, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        return dv_pg_refused(connection, error);
    }
    for (int i = 0; i < PQntuples(result); i++) {
        const char *table = PQgetvalue(result, i, 0);
        if (!is_listed(all, table, grant->role)) {
            return dv_error_set(error, DV_ERR_NOT_FOUND,
                                "there is no such table any more; if it is %s by now, the role can "
                                "still read it",
                                table);
        }
    }
    return DV_OK;
}

static dv_result one_sync(PGconn *connection, const sync_list *all, dv_pg_grant *grant,
                          bool try_only, dv_error *error)
{
    standing s = {0};
    size_t called = 0;
    dv_result found = standing_read(connection, grant, &s, &called, error);
    if (found == DV_ERR_NOT_FOUND && !grant->wanted && called == 0) {
        return renamed_check(connection, all, grant, error);
    }
    DV_TRY(found);
    if (!s.role || s.powerful) {
        if (grant->wanted || s.role) {
            problem_set(grant, s.role ? "the role needs no grant: it owns the table, or everything"
                                      : "there is no such role");
        }
        return DV_OK;
    }
    if (s.direct == grant->wanted) {
        grant->done = grant->wanted ? "kept" : "none";
        if (!grant->wanted && s.reads) {
            problem_set(grant,
                        "the role can still read it: through another role, PUBLIC or columns");
        }
        return DV_OK;
    }
    if (try_only) {
        grant->done = grant->wanted ? "granted" : "revoked";
        return DV_OK;
    }
    DV_TRY(change(connection, grant, &s, error));
    return changed_check(connection, grant, error);
}

static dv_result prepare(PGconn *connection, dv_error *error)
{
    DV_TRY(dv_pg_run(connection, "SELECT pg_catalog.set_config('search_path', '', false)", error));
    DV_TRY(dv_pg_run(connection, "SET lock_timeout = '5s'", error));
    return dv_pg_run(connection, "SET statement_timeout = '30s'", error);
}

/* Those that are wanted, or those that are not. */
static dv_result some_sync(PGconn *connection, const sync_list *all, bool wanted, bool try_only,
                           dv_error *error)
{
    for (size_t i = 0; i < all->count; i++) {
        dv_error own = {0};
        dv_pg_grant *grant = &all->items[i];
        if (grant->wanted != wanted) {
            continue;
        }
        grant->done = "none";
        grant->problem[0] = '\0';
        if (one_sync(connection, all, grant, try_only, &own) != DV_OK) {
            problem_set(grant, own.message);
        }
        if (PQstatus(connection) != CONNECTION_OK) {
            return dv_error_set(error, DV_ERR_UNAVAILABLE, "the connection was lost");
        }
    }
    return DV_OK;
}

dv_result dv_pg_grants_sync(const char *url, dv_pg_grant *grants, size_t count, bool try_only,
                            dv_error *error)
{
    PGconn *connection = NULL;
    const sync_list all = {grants, count};
    dv_result result = dv_pg_connect(url, "dvara-access", &connection, error);
    result = result == DV_OK ? prepare(connection, error) : result;
    result = result == DV_OK ? some_sync(connection, &all, false, try_only, error) : result;
    result = result == DV_OK ? some_sync(connection, &all, true, try_only, error) : result;
    PQfinish(connection);
    return result;
}
