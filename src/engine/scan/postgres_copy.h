/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a copy of a PostgreSQL database asks of the two: whether they are one, what is there, and
 * that nothing is. URL and password as for dv_scan_postgres, and its errors. */

#include "base/buf.h"

enum { DV_PG_IDENTITY_MAX = 128 };

typedef struct dv_pg_place {
    char identity[DV_PG_IDENTITY_MAX]; /* the same for two URLs that lead to one database */
    uint64_t objects;                  /* tables, views, functions ... that are no extension's */
    uint64_t large_objects;            /* pg_largeobject */
    uint64_t user_mappings;            /* accounts on other servers, perhaps with their passwords */
} dv_pg_place;

dv_must dv_result dv_pg_look(const char *url, dv_pg_place *ret_place, dv_error *error);

/* Tells each relation, and each column, whose rows a dump does not hold because PostgreSQL computes
 * them: materialized views (column "") and generated columns. relation: "schema.name". */
dv_must dv_result dv_pg_computed(const char *url,
                                 dv_result (*tell)(void *data, const char *relation,
                                                   const char *column),
                                 void *data, dv_error *error);

/* Appends the statements that empty a database, but for what is in no schema (large objects,
 * settings). */
dv_must dv_result dv_pg_emptying(const char *url, dv_buf *sql, dv_error *error);
/* Empties it, as a whole or not at all. */
dv_must dv_result dv_pg_empty(const char *url, dv_error *error);
