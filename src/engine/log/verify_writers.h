/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/log: whether the records of every writer are all there. A writer numbers its
 * records from 0; several logs share them out. */

#include "base/result.h"
#include "base/uuid.h"

/* What was seen of one segment. The sums tell a set of numbers from 0 to count - 1 from any other
 * that chance or carelessness makes; who forges must get past the tree first. */
typedef struct dv_writer_seen {
    bool used;
    dv_uuid segment;
    uint64_t count, largest, sum, squares;
} dv_writer_seen;

typedef struct dv_writers_seen {
    dv_writer_seen *slots;
    size_t slot_count; /* a power of two */
    size_t count;
} dv_writers_seen;

void dv_writers_seen_release(dv_writers_seen *all);

/* Takes a record's number. With `strict`, which is for a log that holds all records, it must be the
 * segment's next one; *ret_wanted says which that is. Errors: DV_ERR_CORRUPT, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_writers_see(dv_writers_seen *all, const dv_uuid *segment, uint64_t sequence,
                                 bool strict, uint64_t *ret_wanted);

/* The first segment whose records are not all there, each once; NULL when there is none. */
const dv_writer_seen *dv_writers_first_gap(const dv_writers_seen *all);
