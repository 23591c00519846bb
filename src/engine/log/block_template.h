/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/log: templates, which are what stands between a leaf's values. */

#include "engine/log/block_format.h"

typedef struct dv_slot {
    uint32_t piece_len; /* bytes before the value */
    dv_slot_type type;
    uint32_t column;
} dv_slot;

/* pieces are those before each slot and the one behind the last, without anything between. */
typedef struct dv_template {
    const uint8_t *pieces;
    size_t pieces_len;
    const dv_slot *slots;
    uint32_t slot_count;
} dv_template;

/* A value that was cut out of a leaf. */
typedef struct dv_cut_value {
    dv_slice text;  /* of all types but INT; borrowed from the leaf */
    int64_t number; /* of INT; of a text the builder's, see there */
    uint8_t uuid[DV_BLOCK_UUID];
} dv_cut_value;

/* The leaf's values, when it is made of this template. values holds slot_count. */
bool dv_template_match(const dv_template *shape, dv_slice leaf, dv_cut_value *values);

/* What the cutter needs of a block: the number of the column of a path and a type. */
typedef dv_result (*dv_column_of)(void *data, dv_slice path, dv_slot_type type,
                                  uint32_t *ret_column);

/* A leaf that was cut. */
typedef struct dv_cut {
    dv_buf pieces;
    dv_slot slots[DV_BLOCK_SLOTS_MAX];
    dv_cut_value values[DV_BLOCK_SLOTS_MAX];
    uint32_t slot_count;
} dv_cut;

/* Cuts a leaf at its values. Errors: DV_ERR_INVALID (it is no JSON that can be cut: too deep, too
 * many values, ...), DV_ERR_TOO_LARGE (the block takes no more columns), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cut_leaf(dv_slice leaf, dv_column_of column_of, void *data, dv_cut *cut);

/* A template's bytes in its section. */
dv_must dv_result dv_template_write(const dv_template *shape, dv_buf *out);
/* Takes one off the front; pieces and slots are put into the buffers' ends, whose memory may move:
 * the pointers are to be set afterwards. Errors: DV_ERR_CORRUPT. */
dv_must dv_result dv_template_read(dv_slice *rest, uint32_t columns, dv_buf *pieces,
                                   dv_slot slots[DV_BLOCK_SLOTS_MAX], uint32_t *ret_slots);
