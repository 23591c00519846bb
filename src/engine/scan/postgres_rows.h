/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Deletes the rows of a table of PostgreSQL (13 or later) that are older than a time.
 *
 * 1. All of a table's rows go in one transaction, or none. Nobody waits for one whose client is
 * gone.
 * 2. Nothing else goes or changes: where deleting would change rows of other tables, or other rows
 *    of this one (a foreign key that cascades, a trigger), it is undone and told.
 * 3. No code runs but functions of this account or a superuser, be it of triggers, where a foreign
 *    key leads to among them, or of what planning computes; what stands behind a view, a rule, a
 *    foreign table or row security is not touched.
 * 4. It is the table that was meant, not another that took its name; and all of its rows that are
 *    old go, or none does.
 * 5. Before COMMIT somebody else agrees, who knows by then by which transaction it is; whether that
 *    was committed PostgreSQL can be asked later, whoever was killed meanwhile.
 *
 * The column has a date, or a time with or without a zone. Without one nobody knows whose clock it
 * was: such a row goes once it is older everywhere. A row without a time, or with an infinite one,
 * has no age and stays. */

#include "base/clock.h"
#include "base/result.h"

enum { DV_PG_XACT_MAX = 96, DV_PG_WHY_MAX = 128, DV_PG_DETAIL_MAX = 256 };

typedef struct dv_pg_rows {
    const char *table; /* "schema.name", as a scan calls it */
    const char
        *stamp; /* as that scan saw it (scan.h): under its name there may be another by now */
    const char *column;
    dv_time before;
} dv_pg_rows;

typedef enum dv_pg_rows_outcome {
    DV_PG_ROWS_KEPT = 0, /* and why */
    DV_PG_ROWS_REFERRED, /* kept: rows of other tables refer to them */
    DV_PG_ROWS_NONE,     /* none is that old */
    DV_PG_ROWS_MISSING,  /* there is no such table */
    DV_PG_ROWS_DECLINED, /* it was not agreed to */
    DV_PG_ROWS_DONE,
    DV_PG_ROWS_OPEN, /* the connection was lost: dv_pg_rows_status() knows */
} dv_pg_rows_outcome;

typedef struct dv_pg_rows_told {
    uint64_t rows;    /* that go */
    uint64_t undated; /* that have no age */
    char xact[DV_PG_XACT_MAX];
    char why[DV_PG_WHY_MAX];       /* it is kept; names nothing */
    char detail[DV_PG_DETAIL_MAX]; /* names what else is concerned, or "" */
} dv_pg_rows_told;

typedef enum dv_pg_xact_status {
    DV_PG_XACT_UNKNOWN = 0, /* another server, or too long ago */
    DV_PG_XACT_RUNNING,
    DV_PG_XACT_ABORTED,
    DV_PG_XACT_COMMITTED,
} dv_pg_xact_status;

/* Whether it may be committed. */
typedef dv_result (*dv_pg_rows_agree)(void *data, const dv_pg_rows_told *told, bool *ret_go,
                                      dv_error *error);

/* Counts the rows that would go, and tries nothing: DV_PG_ROWS_DONE (there are some), NONE, KEPT or
 * MISSING. The URL and its password as for dv_scan_postgres. Errors: as there. */
dv_must dv_result dv_pg_rows_count(const char *url, const dv_pg_rows *wanted,
                                   dv_pg_rows_outcome *ret_outcome, dv_pg_rows_told *ret_told,
                                   dv_error *error);
/* Deletes them. Errors: as there, and those of agree(). */
dv_must dv_result dv_pg_rows_delete(const char *url, const dv_pg_rows *wanted,
                                    dv_pg_rows_agree agree, void *data,
                                    dv_pg_rows_outcome *ret_outcome, dv_pg_rows_told *ret_told,
                                    dv_error *error);
/* What became of a transaction. xact: as it was told. Errors: as for dv_scan_postgres. */
dv_must dv_result dv_pg_rows_status(const char *url, const char *xact,
                                    dv_pg_xact_status *ret_status, dv_error *error);
