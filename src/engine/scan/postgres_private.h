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
