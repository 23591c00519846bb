/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Backups of a node's state, in one file: a tar in a zstd frame (archive_tar.h), sealed in the
 * format of age (crypto/age.h), so that `age -d | tar --zstd -x` opens one where there is no Dvara.
 *
 *   backup        what this is: lines of text, with the sections that follow
 *   log/...       section "log": STATE/log as the state file in it says, all of its trees
 *   keys/log/...  section "log-keys": STATE/keys/log, but for the root of subjects' keys, which
 *                 is there only with the section "subject-root"
 *
 *   node/...      section "node": what else a node is made of (its database, configuration and
 *                 keys), as the caller names it; restored beside "log" and "keys/log"
 *
 * Other parts come as further sections; a reader refuses one that it does not know.
 *
 * Invariants:
 * 1. What is in a backup is the log at one moment, though it is written meanwhile: what the state
 *    file says was read first, and everything that it needs is durable and never written again. The
 *    keys of subjects are read last, so that no value of this log was sealed under one that is
 *    missing, and who was erased before is so in the backup.
 * 2. A file of the final name is whole and synced.
 * 3. Files of the node are as old as the log or older: they are put in before it is read.
 * 4. A restore takes nothing into the state before all of it was unpacked beside it, synced, and
 *    verified as a log of the keys that came with it. */

#include "crypto/age.h"
#include "engine/log/state.h"
#include "engine/log/verify.h"

#define DV_BACKUP_ENDING ".tar.zst.age"

typedef struct dv_backup_report {
    char origin[DV_NOTE_NAME_MAX + 1];
    char made[40];         /* RFC 3339 */
    uint64_t size;         /* entries of the main log */
    uint64_t logs;         /* the main log and those of classes */
    uint64_t files, bytes; /* in it */
    bool subject_root;     /* it holds the root of subjects' keys */
    bool node;             /* it holds files of the node */
} dv_backup_report;

/* progress (or NULL) gets bytes that are done, of those that there are (restoring: of the file). */

/* One of the node's files: `name` is relative to the state directory, such as "dvara.db" or
 * "keys/pepper", and neither "log" nor in "keys/log". Restored with the mode 0600. */
typedef struct dv_backup_file {
    const char *name;
    int fd; /* read from its beginning; borrowed */
} dv_backup_file;

typedef struct dv_backup_create {
    const char *state_dir;
    const dv_age_lock *lock;
    bool subject_root; /* with the root of subjects' keys: who was erased later is in the backup */
    const char *now;   /* RFC 3339 */
    const dv_backup_file *files; /* of the node; none: a backup of the log alone */
    size_t file_count;
    dv_log_progress progress;
    void *data;
} dv_backup_create;

/* Writes a backup; dvara-logd may run, but for a pruning of what is being read. Replaces a file of
 * that name. Errors: DV_ERR_NOT_FOUND (no log there), DV_ERR_UNAVAILABLE (the disk is full),
 * DV_ERR_AGAIN (keys changed all the time), DV_ERR_CORRUPT, DV_ERR_IO. */
dv_must dv_result dv_backup_write(const dv_backup_create *create, const char *path,
                                  dv_backup_report *ret_report, dv_error *error);

typedef struct dv_backup_open {
    const dv_age_lock *lock;
    const char *state_dir; /* empty, or not there */
    const dv_note_verifier
        *key;             /* that must have signed the log; NULL: the one that comes with it */
    const char *subjects; /* folder with the newest copy of keys/log/subjects, or of its root
                           * alone; NULL: what the backup has */
    /* Judges the folder that all was unpacked into, before it is put in place; NULL: nothing. */
    dv_result (*check)(void *data, const char *folder, bool node, dv_error *error);
    void *check_data;
    bool without_subjects; /* restore no keys of subjects: their values stay unreadable */
    dv_log_progress progress;
    void *data;
} dv_backup_open;

/* Restores one. Errors: DV_ERR_EXISTS (the state is not empty), DV_ERR_INVALID (it needs the keys
 * of subjects: see `subjects`), DV_ERR_FORBIDDEN (another key or passphrase), DV_ERR_CORRUPT,
 * DV_ERR_UNSUPPORTED (a section of a later version), DV_ERR_UNAVAILABLE (the disk is full),
 * DV_ERR_IO. */
dv_must dv_result dv_backup_restore(const dv_backup_open *open, const char *path,
                                    dv_backup_report *ret_report, dv_error *error);
