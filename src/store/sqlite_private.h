/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of store.h over SQLite share.
 *
 * Invariants
 *
 * 1. One connection writes, and it also checkpoints: SQLite 3.40 can lose pages of the log when
 *    one connection resets it while another one commits.
 * 2. A commit is on the disk when it returns (WAL with synchronous=FULL).
 * 3. A cached statement has one user at a time; a second user of the same text gets a statement of
 *    its own.
 * 4. Migrations run one by one, each in one transaction together with the row that says so.
 * 5. Every page in a file is sealed (sealed_file.h); what SQLite keeps aside, it keeps in memory.
 */

#include "store/sealed_file.h"
#include "store/store.h"

#include <sqlite3.h>

enum { DV_SQLITE_APPLICATION = 0x44564152 }; /* "DVAR", in the file's header */

struct dv_statement {
    dv_store *store;
    sqlite3_stmt *handle;
    bool cached;
    bool in_use;
    dv_statement *next;
};

struct dv_store {
    sqlite3 *db;
    dv_sealed_files *files;
    dv_statement *statements; /* cached */
    size_t statement_count;
    bool in_transaction;
};

dv_must dv_result dv_sqlite_result(int rc);
/* The error of a step, in SQLite's words; never DV_OK. */
dv_must dv_result dv_sqlite_failed(sqlite3 *db, int rc, const char *step, dv_error *error);
/* Runs SQL that answers nothing, or nothing of interest. */
dv_must dv_result dv_sqlite_run(sqlite3 *db, const char *sql, dv_error *error);
/* Makes the file before SQLite opens it, so that it (and the log files, which take its mode) never
 * has another mode than 0600, whatever the umask. */
dv_must dv_result dv_sqlite_file_make(const char *path, dv_error *error);
/* A file that was tampered with must not run code or reach outside its own tables. */
dv_must dv_result dv_sqlite_defend(sqlite3 *db, dv_error *error);

/* Puts a new database at the path, empty or with the pages of `from`, which has the reserved bytes;
 * whole and synced when it returns DV_OK. Its folder is not synced. */
dv_must dv_result dv_sqlite_make(const dv_sealed_files *files, sqlite3 *from, const char *path,
                                 dv_error *error);
/* Sees to it that a sealed database is at the path: makes a new one where there is none, and, when
 * `adopt`, seals one of an earlier version. Errors: DV_ERR_UNSUPPORTED (another program's; not
 * sealed, and not to be adopted), DV_ERR_CORRUPT, DV_ERR_IO. */
dv_must dv_result dv_sqlite_prepare(const dv_sealed_files *files, const char *path, bool adopt,
                                    dv_error *error);
