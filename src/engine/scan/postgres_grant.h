/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which roles of a PostgreSQL database may read which tables. */

#include "base/arena.h"
#include "base/result.h"

enum { DV_PG_PROBLEM_MAX = 300 };

typedef struct dv_pg_grant {
    const char *table; /* "schema.name", as a scan calls it */
    const char *role;
    bool wanted;
    /* Set by the sync. done: "granted", "revoked", "kept" (as it was wanted before) or "none"
     * (nothing was wanted, or it could not be done). */
    const char *done;
    char problem[DV_PG_PROBLEM_MAX]; /* why it is not as wanted; "": it is */
} dv_pg_grant;

/* Makes SELECT of each role on each table as it is wanted: what is not wanted first, each for
 * itself, so that one that fails keeps no other. Looks afterwards whether it is so: a role that can
 * read a table by other ways is a problem, and one that may read the table under another name.
 * try_only: changes nothing and says what it would do. The URL and its password as for
 * dv_scan_postgres. Errors: as there; an error of one grant is its problem. */
dv_must dv_result dv_pg_grants_sync(const char *url, dv_pg_grant *grants, size_t count,
                                    bool try_only, dv_error *error);
