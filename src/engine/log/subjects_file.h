/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/log/subjects.c: the folder that keeps the keys of subjects.
 *
 *   root.<epoch>        a random key, 52 bytes              the only secret that is not sealed
 *   directory.<epoch>   sealed under that root: the key of every segment, the key of the subjects'
 *                       hashes, how far the log was looked through for erasures
 *   <segment>-<generation>.keys   up to DV_SUBJECT_ROWS rows, in blocks sealed under the segment's
 *                       key; a block is appended for each store
 *
 * Invariants:
 * 1. What the highest root says is in force. It is written last, in one step, and everything that
 *    it needs is durable before.
 * 2. A row's place never changes, and no place is given twice.
 * 3. A block is never written again: what a kill or a full disk left of one is behind the end of
 *    what counts.
 * 4. Erasing rows writes their segments anew, without them, under new keys, and the directory under
 *    a new root. Then the old root, directory and segments are overwritten and removed: whatever a
 *    file system or a disk kept of any of them can be opened by no key that still is there.
 * 5. Nothing is acknowledged as erased before all of that is durable.
 * 6. Files that what is in force does not name are overwritten and removed at the next opening. */

#include "base/buf.h"

#include <limits.h>

enum {
    DV_SUBJECT_HASH_LEN = 16,
    DV_SUBJECT_ID_LEN = 8,
    DV_SUBJECT_KEY_LEN = 32,
    DV_SUBJECT_ROWS = 4096,        /* of a segment */
    DV_SUBJECT_SEGMENTS_MAX = 8192 /* 33 million rows */
};

/* All zero: erased. */
typedef struct dv_subject_row {
    uint8_t hash[DV_SUBJECT_HASH_LEN];
    uint8_t id[DV_SUBJECT_ID_LEN];
    uint8_t key[DV_SUBJECT_KEY_LEN];
} dv_subject_row;

typedef struct dv_subject_segment {
    dv_subject_row *rows; /* NULL: every row was given and erased; there is no file */
    uint32_t used;        /* rows that were given, erased ones too */
    uint32_t stored;      /* of these, how many are on disk */
    uint32_t live;        /* of these, how many are not erased */
    uint32_t generation;
    uint64_t end; /* bytes of the file that count */
    uint8_t key[DV_SUBJECT_KEY_LEN];
    bool dirty; /* rows were erased that are on disk */
} dv_subject_segment;

typedef struct dv_subject_table {
    char folder[PATH_MAX - 64];
    int folder_fd;
    uint64_t epoch;
    uint8_t root[DV_SUBJECT_KEY_LEN];
    uint8_t hash_key[DV_SUBJECT_HASH_LEN];
    uint64_t seen; /* entries of the log that were looked through; set by the owner */
    uint64_t seen_stored;
    dv_subject_segment *segments;
    uint32_t count;
    uint32_t listed;   /* segments that the directory on disk names */
    bool rekey;        /* something was erased and is still on disk */
    uint32_t attempts; /* to store that, which failed since */
    bool unswept;      /* files that are no longer in force may be there */
} dv_subject_table;

/* Opens the folder's table, or makes an empty one. Errors: DV_ERR_CORRUPT (which file), DV_ERR_IO,
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_subject_table_open(const char *folder, dv_subject_table *table,
                                        dv_error *error);
/* Wipes and frees; whatever state it is in. */
void dv_subject_table_release(dv_subject_table *table);

/* Takes a row into memory. Errors: DV_ERR_TOO_LARGE (full), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_subject_table_add(dv_subject_table *table, const dv_subject_row *row,
                                       uint32_t *ret_index);
/* NULL: erased, or never given. */
dv_subject_row *dv_subject_table_row(const dv_subject_table *table, uint32_t index);
/* Wipes the row in memory; the disk follows with the next store. */
void dv_subject_table_erase(dv_subject_table *table, uint32_t index);

/* Makes everything durable: new rows, erasures. After an error it can be called again; nothing that
 * was durable is lost, and what was erased in memory stays so. */
dv_must dv_result dv_subject_table_store(dv_subject_table *table, dv_error *error);

/* The directory's text before it is sealed, for its fuzz target too. */
dv_must dv_result dv_subject_directory_parse(dv_slice text, dv_subject_table *table);
dv_must dv_result dv_subject_directory_format(const dv_subject_table *table,
                                              const dv_subject_segment *segments, dv_buf *out);
/* Takes blocks into the segment until one does not check out; sets used, stored, live and end. */
dv_must dv_result dv_subject_segment_parse(uint32_t number, dv_slice file,
                                           dv_subject_segment *segment);
