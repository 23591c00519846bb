/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What dvara-logd must remember between its lives, in one file ("state" above the logs' folders)
 * that is replaced in one step: the trees that are durable, and how far each segment is in them. */

#include "base/buf.h"
#include "base/uuid.h"
#include "engine/log/merkle.h"
#include "engine/log/segment.h"

enum {
    DV_LOG_POSITIONS_MAX = 4096, /* segments that are not yet removed */
    DV_LOG_TREES_MAX = 16,
    DV_LOG_NAME_MAX = 32, /* bytes of a log's name: a-z, 0-9, '-' */
};

/* One log. */
typedef struct dv_log_tree {
    char name[DV_LOG_NAME_MAX + 1];
    uint64_t size;
    dv_hash root;
    uint64_t packed;  /* leaves in packs: whole blocks from the first leaf on */
    uint64_t minimum; /* leaves before this one may be gone (C2SP tlog-tiles, "Pruning") */
} dv_log_tree;

/* How far one segment was consumed. */
typedef struct dv_log_position {
    dv_uuid segment;
    char source[DV_SEGMENT_SOURCE_MAX + 1];
    uint64_t sequence; /* of the next record */
    uint64_t offset;   /* of the next record */
} dv_log_position;

typedef struct dv_log_state {
    dv_log_tree trees[DV_LOG_TREES_MAX];
    size_t tree_count;
    dv_log_position positions[DV_LOG_POSITIONS_MAX];
    size_t position_count;
} dv_log_state;

/* Whether it can be a log's name. */
bool dv_log_name_is(dv_slice name);

dv_must dv_result dv_log_state_format(const dv_log_state *state, dv_buf *out);
/* Errors: DV_ERR_CORRUPT with the line. */
dv_must dv_result dv_log_state_parse(dv_slice text, dv_log_state *ret_state, dv_error *error);

/* Reads and replaces the folder's state file. Errors: DV_ERR_NOT_FOUND (there is none),
 * DV_ERR_CORRUPT, DV_ERR_IO, DV_ERR_UNAVAILABLE (the disk is full). */
dv_must dv_result dv_log_state_load(const char *folder, dv_log_state *ret_state, dv_error *error);
dv_must dv_result dv_log_state_save(const char *folder, const dv_log_state *state, dv_error *error);

/* The segment's position, or NULL; the log of that name, or NULL. */
dv_log_position *dv_log_state_find(dv_log_state *state, const dv_uuid *segment);
dv_log_tree *dv_log_state_tree(dv_log_state *state, const char *name);
