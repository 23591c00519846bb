/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting to PostgreSQL. */
#include "engine/scan/postgres_private.h"

#include "engine/scan/postgres.h"

enum { OPTIONS_MAX = 64, USUAL_MAX = 8 };

/* Everybody on the machine can read a command line. */
static dv_result refuse_password(const PQconninfoOption *options, dv_error *error)
{
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        bool secret = strcmp(o->keyword, "password") == 0 || strcmp(o->keyword, "sslpassword") == 0;
        if (secret && o->val != NULL) {
            return dv_error_set(error, DV_ERR_INVALID,
                                "the URL holds a password, which others on this machine can read: "
                                "put it into a file that PGPASSFILE names, or into ~/.pgpass");
        }
    }
    return DV_OK;
}

static dv_result connect_with(const PQconninfoOption *options, const char *application,
                              PGconn **ret_connection)
{
    /* A statement may take an hour, in which firewalls forget a connection that says nothing. */
    const char *keys[OPTIONS_MAX + USUAL_MAX] = {
        "connect_timeout", "fallback_application_name", "ssl_min_protocol_version",
        "keepalives_idle", "keepalives_interval",       "keepalives_count"};
    const char *values[OPTIONS_MAX + USUAL_MAX] = {"10", application, "TLSv1.3", "60", "10", "6"};
    size_t count = 6;
    for (const PQconninfoOption *o = options; o->keyword != NULL && count < OPTIONS_MAX; o++) {
        if (o->val != NULL) { /* a later one wins */
            keys[count] = o->keyword;
            values[count++] = o->val;
        }
    }
    keys[count] = "client_encoding";
    values[count] = "UTF8";
    *ret_connection = PQconnectdbParams(keys, values, 0);
    return *ret_connection == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

/* libpq's message names host, user and database, no password; its lines become one. */
dv_result dv_pg_refused(PGconn *connection, dv_error *error)
{
    char message[DV_ERROR_MESSAGE_MAX];
    dv_slice_copy(dv_slice_trim(dv_slice_str(PQerrorMessage(connection))), message,
                  sizeof(message));
    for (char *at = message; *at != '\0'; at++) {
        *at = *at == '\n' || *at == '\t' ? ' ' : *at;
    }
    return dv_error_set(error, DV_ERR_UNAVAILABLE, "%.400s", message);
}

dv_result dv_pg_run(PGconn *connection, const char *sql, dv_error *error)
{
    dv_auto(pg_result) PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK
               ? DV_OK
               : dv_pg_refused(connection, error);
}

/* libpq's own message may repeat the URL. */
dv_result dv_pg_no_url(dv_error *error)
{
    return dv_error_set(error, DV_ERR_INVALID,
                        "that is no URL such as postgresql://user@host:5432/database");
}

dv_result dv_pg_connect(const char *url, const char *application, PGconn **ret_connection,
                        dv_error *error)
{
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &why);
    if (options == NULL) {
        PQfreemem(why);
        return dv_pg_no_url(error);
    }
    dv_result result = refuse_password(options, error);
    result = result == DV_OK ? connect_with(options, application, ret_connection) : result;
    PQconninfoFree(options);
    DV_TRY(result);
    return PQstatus(*ret_connection) == CONNECTION_OK ? DV_OK
                                                      : dv_pg_refused(*ret_connection, error);
}
