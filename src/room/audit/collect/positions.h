/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How far each file and journal was read, in one small mapped file (STATE/collect/positions).
 *
 * Invariants:
 * 1. A position moves only with a record that is in the spool. Before the record is written, what
 *    the position will be and where the record will lie is noted; after a death at any point the
 *    next start looks whether the record is there (a link to the segment is kept for that), and
 *    moves the position or does not: no line is lost, and none is taken twice.
 * 2. After a power loss the page cache is gone, and with it perhaps the newest records. So each
 *    position has a safe twin, which moves once the records are on the disk; a start after another
 *    boot goes on from there: some lines may then be taken twice, none is lost. */

#include "base/slice.h"
#include "engine/log/spool.h"

enum { DV_POSITION_KEY_MAX = 512, DV_POSITION_CURSOR_MAX = 384, DV_POSITION_PRINT_BYTES = 256 };

typedef struct dv_position {
    uint64_t device;
    uint64_t inode;
    uint64_t offset;    /* of the first byte that was not taken */
    uint32_t print_len; /* how many of the file's first bytes print is of; 0: none */
    uint8_t print[32];  /* SHA-256 */
    char cursor[DV_POSITION_CURSOR_MAX]; /* of a journal */
} dv_position;

typedef struct dv_positions dv_positions;

/* folder: STATE/collect; spool: where the segments lie. *ret_fresh: there was none, or one that can
 * not be read, so that everything is read from its beginning. */
dv_must dv_result dv_positions_open(const char *folder, const char *spool,
                                    dv_positions **ret_positions, bool *ret_fresh, dv_error *error);
void dv_positions_close(dv_positions *positions);

/* The place of a key, made when it is missing. DV_ERR_TOO_LARGE: there are too many. *ret_known:
 * it was there. */
dv_must dv_result dv_positions_find(dv_positions *positions, const char *key, size_t *ret_slot,
                                    bool *ret_known);
const dv_position *dv_positions_get(const dv_positions *positions, size_t slot);
/* Moves it without a record (a rotated file's end, a first look). */
void dv_positions_set(dv_positions *positions, size_t slot, const dv_position *next);

/* Appends the record and moves the position, as if in one step. */
dv_must dv_result dv_positions_append(dv_positions *positions, dv_spool *spool, dv_slice record,
                                      size_t slot, const dv_position *next);

/* Brings what was appended to the disk and lets the safe positions follow; at a time when nothing
 * waits. */
void dv_positions_sync(dv_positions *positions);
