/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What dvara-logd must remember between its lives, in one file ("state" beside the checkpoint)
 * that is replaced in one step: the tree that is durable, and how far each segment is in it. */

#include "base/buf.h"
#include "base/uuid.h"
#include "engine/log/merkle.h"
#include "engine/log/segment.h"

enum { DV_LOG_POSITIONS_MAX = 4096 }; /* segments that are not yet removed */

/* How far one segment was consumed. */
typedef struct dv_log_position {
    dv_uuid segment;
    char source[DV_SEGMENT_SOURCE_MAX + 1];
    uint64_t sequence; /* of the next record */
    uint64_t offset;   /* of the next record */
} dv_log_position;

typedef struct dv_log_state {
    uint64_t size;
    dv_hash root;
    dv_log_position positions[DV_LOG_POSITIONS_MAX];
    size_t position_count;
} dv_log_state;

dv_must dv_result dv_log_state_format(const dv_log_state *state, dv_buf *out);
/* Errors: DV_ERR_CORRUPT with the line. */
dv_must dv_result dv_log_state_parse(dv_slice text, dv_log_state *ret_state, dv_error *error);

/* The segment's position, or NULL. */
dv_log_position *dv_log_state_find(dv_log_state *state, const dv_uuid *segment);
