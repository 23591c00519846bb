/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One question to one witness. */

#include "engine/log/policy.h"
#include "engine/log/tiles.h"

/* How a witness stands to the log. */
typedef enum dv_witness_state {
    DV_WITNESS_WAITING, /* was not asked yet */
    DV_WITNESS_OK,
    DV_WITNESS_UNAVAILABLE,
    DV_WITNESS_REFUSES, /* does not know the log or its key */
    DV_WITNESS_AHEAD,   /* saw a larger log than there is: taken back */
    DV_WITNESS_FORKED,  /* saw another log of that size */
} dv_witness_state;

const char *dv_witness_state_name(dv_witness_state state);

typedef struct dv_witness_question {
    const dv_policy_witness *witness;
    dv_slice note; /* the log's checkpoint, signed */
    const dv_checkpoint *checkpoint;
    const dv_tile_source *tiles;
    const bool *cancelled; /* atomic: give up now */
} dv_witness_question;

/* Asks, with the size that the witness is thought to remember; *size becomes what it remembers.
 * When it cosigned, its lines are appended. why: what a person should know, or "". */
enum { DV_WITNESS_WHY_MAX = 256 };
dv_witness_state dv_witness_ask(const dv_witness_question *question, uint64_t *size, dv_buf *lines,
                                char why[DV_WITNESS_WHY_MAX]);
