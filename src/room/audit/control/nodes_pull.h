/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Bringing the copy of one node's logs up to date: STATE/nodes/NAME/log, all of them to the
 * checkpoints of one moment. */

#include "engine/log/replica.h"
#include "room/audit/control/nodes_config.h"

#include <jansson.h>

/* How a node's copy stands. */
typedef enum dv_node_state {
    DV_NODE_SEARCH_ONLY, /* no copy is kept */
    DV_NODE_WAITING,     /* was not asked yet */
    DV_NODE_OK,
    DV_NODE_CATCHING_UP, /* agrees so far; there is more */
    DV_NODE_UNAVAILABLE,
    DV_NODE_REFUSES,    /* does not let the API key read its log, or has pruned what is missing */
    DV_NODE_STOPPED,    /* trouble of ours: no room, a damaged copy, no API key */
    DV_NODE_UNSIGNED,   /* alarm: its checkpoint is not signed by the key that is configured */
    DV_NODE_DAMAGED,    /* alarm: what it sends does not lead to what it signs */
    DV_NODE_TAKEN_BACK, /* alarm: it signs less than it did before */
    DV_NODE_FORKED,     /* alarm: it signs another log than it did before */
} dv_node_state;

const char *dv_node_state_name(dv_node_state state);
bool dv_node_state_is_alarm(dv_node_state state);

enum { DV_NODE_WHY_MAX = 256 };

typedef struct dv_node_pull {
    const char *state_dir;
    const dv_node *node;
    uint64_t keep_free;
    const bool *cancelled; /* atomic: give up now */
    /* Told behind each piece, over all logs. */
    void (*progress)(void *data, uint64_t size, uint64_t seen);
    void *data;
} dv_node_pull;

/* Takes over what is new, for some seconds at most. why: what a person should know, or "". */
dv_node_state dv_node_pull_run(const dv_node_pull *pull, char why[DV_NODE_WHY_MAX]);

/* A piece as the node's answer holds it. */
typedef struct dv_node_piece {
    dv_replica_piece piece; /* borrows from what follows */
    dv_buf note, entries;
    dv_hash proof[DV_REPLICA_PROOF_MAX], seen[DV_REPLICA_PROOF_MAX], edge[DV_REPLICA_EDGE_MAX];
    json_t *others; /* an object: the notes of other logs by their names; NULL: it does not tell */
} dv_node_piece;

/* Reads an answer of GET /v1/audit/log that somebody sent who is not believed. *ret_piece must not
 * be moved, and is to be released, whatever the result. Errors: DV_ERR_INVALID,
 * DV_ERR_TOO_LARGE. */
dv_must dv_result dv_node_piece_read(dv_slice answer, dv_node_piece *ret_piece);
void dv_node_piece_release(dv_node_piece *piece);
DV_DEFINE_AUTO(node_piece, dv_node_piece, dv_node_piece_release)
