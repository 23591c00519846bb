/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The control plane's SQL, behind one interface so that PostgreSQL can follow: portable SQL only,
 * numbered parameters ?1. One writer connection. Each room's SQL stays in that room's control
 * part; migrations are numbered files. */

#include "base/arena.h"
#include "base/result.h"

#include <limits.h>

typedef struct dv_store dv_store;
typedef struct dv_statement dv_statement;

enum { DV_STORE_KEY_LEN = 32 };

/* Opens (makes) the database and brings it to the newest migration. Every page of it is sealed
 * under the key (sealed_file.h). adopt: one of an earlier version, which is not sealed, is sealed
 * now, and overwritten; otherwise it is refused. Errors: DV_ERR_UNSUPPORTED (newer than this
 * program; another program's; not sealed), DV_ERR_CORRUPT (damaged, or another key's), DV_ERR_IO.
 */
dv_must dv_result dv_store_open(const char *path, const uint8_t key[DV_STORE_KEY_LEN], bool adopt,
                                dv_store **ret_store, dv_error *error);
void dv_store_close(dv_store *store);

/* Prepares (and caches by text). Ends with dv_statement_done, which resets it for its next use. */
dv_must dv_result dv_store_prepare(dv_store *store, const char *sql, dv_statement **ret_statement,
                                   dv_error *error);
dv_must dv_result dv_bind_text(dv_statement *statement, int index, dv_slice text);
dv_must dv_result dv_bind_blob(dv_statement *statement, int index, dv_slice bytes);
dv_must dv_result dv_bind_int(dv_statement *statement, int index, int64_t value);
dv_must dv_result dv_bind_null(dv_statement *statement, int index);
/* DV_OK: a row is there; DV_ERR_NOT_FOUND: no more; DV_ERR_EXISTS: a uniqueness constraint;
 * DV_ERR_CONFLICT: a foreign key or check. */
dv_must dv_result dv_statement_step(dv_statement *statement, dv_error *error);
/* Columns of the current row, 0-based; text and blobs are valid until the next step. NULL reads as
 * the empty slice, 0. */
dv_slice dv_column_slice(dv_statement *statement, int column);
int64_t dv_column_int(dv_statement *statement, int column);
bool dv_column_is_null(dv_statement *statement, int column);
void dv_statement_done(dv_statement *statement);
DV_DEFINE_AUTO_PTR(statement, dv_statement, dv_statement_done)

/* Prepare and bind in one: a letter of types for each argument, numbered from 1. 't' const char *
 * (NULL binds NULL), 's' dv_slice as text, 'b' dv_slice as bytes, 'i' int64_t. */
dv_must dv_result dv_store_query(dv_store *store, dv_statement **ret_statement, dv_error *error,
                                 const char *sql, const char *types, ...);
/* The same, run to its end; rows are passed over. */
dv_must dv_result dv_store_run(dv_store *store, dv_error *error, const char *sql, const char *types,
                               ...);

/* Transactions. A commit is durable when it returns. Nested begins are refused. */
dv_must dv_result dv_store_begin(dv_store *store, dv_error *error);
dv_must dv_result dv_store_commit(dv_store *store, dv_error *error);
void dv_store_rollback(dv_store *store);
/* Leaves nothing in the store's files that was deleted: SQLite overwrites it in the database
 * (secure_delete), and its log is emptied here. Errors: DV_ERR_UNAVAILABLE (somebody reads). */
dv_must dv_result dv_store_scrub(dv_store *store, dv_error *error);
int64_t dv_store_changes(dv_store *store);

/* -- backups ----------------------------------------------------------------------------------- */

/* Where dvarad leaves a copy of its store for `dvara backup create`, which takes it away. */
#define DV_STORE_COPY_NAME "dvara.db.copy"
dv_must dv_result dv_store_copy_path(const char *state_dir, char ret_path[PATH_MAX]);
/* A copy that nobody took goes: what is deleted from the store later would stay in it. */
void dv_store_copy_remove(const char *state_dir);

/* Writes the store as it is at this moment into a database of its own, 0600 and sealed under the
 * same key, which replaces what is there; whole only when it returns DV_OK, and synced then. By
 * SQLite's online backup, over the one connection that writes, so nobody waits for another. Errors:
 * DV_ERR_UNAVAILABLE (the disk is full, or the store is busy), DV_ERR_IO, DV_ERR_INTERNAL (inside a
 * transaction). */
dv_must dv_result dv_store_copy(dv_store *store, const char *path, dv_error *error);
/* Whether a file that comes from elsewhere is a database that this program can work with; brings it
 * to the newest migration. Key, adopt and errors as in dv_store_open. */
dv_must dv_result dv_store_check(const char *path, const uint8_t key[DV_STORE_KEY_LEN], bool adopt,
                                 dv_error *error);
