/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Searching a block by its columns: each term is decided once for each different value, not once
 * for each event. What columns can't decide is left open, and the event itself is asked. */

#include "engine/log/block.h"
#include "engine/log/query.h"

enum { DV_ROWS_WORDS = DV_BLOCK_LEAVES / 64 };

/* A set of a block's leaves. */
typedef struct dv_rows {
    uint64_t words[DV_ROWS_WORDS];
} dv_rows;

static inline bool dv_rows_has(const dv_rows *rows, uint32_t row)
{
    return (rows->words[row / 64] >> row % 64 & 1) != 0;
}

uint32_t dv_rows_count(const dv_rows *rows);
/* How many of them come before that row. */
uint32_t dv_rows_before(const dv_rows *rows, uint32_t row);

/* What a value in a leaf reads as: personal values are sealed in it (seal.h), and only who has the
 * keys can tell. */
typedef enum dv_opened {
    DV_OPENED_NOT,   /* it is what it is */
    DV_OPENED_VALUE, /* ret_text (decoded) and ret_type say what it is */
    DV_OPENED_ODD,   /* another kind of thing than one value: the event must be asked */
} dv_opened;

typedef struct dv_block_opener {
    /* path: a column's; raw: between the quotes. What is returned is valid until the next call. */
    dv_opened (*open)(void *data, dv_slice path, dv_slice raw, dv_slice *ret_text,
                      dv_json_type *ret_type);
    /* Whether values of that column may be sealed. */
    bool (*is_personal)(void *data, dv_slice path);
    /* The most bytes that the JSON text of a value can have which is sealed in a text of that
     * length. */
    size_t (*longest)(size_t sealed_len);
    /* A text that will be opened soon: fetches what is known of it into the cache, in two steps. */
    void (*expect)(void *data, dv_slice raw, bool soon);
    dv_slice mark; /* what all sealed texts begin with */
    dv_slice gone; /* what reads instead of a value that can not be opened any more */
    void *data;
} dv_block_opener;

/* Which leaves match for sure, and which may: sure is a part of maybe. opener NULL: nothing is
 * sealed. Errors: DV_ERR_CORRUPT, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_block_search(dv_block *block, const dv_query_node *root,
                                  const dv_block_opener *opener, dv_rows *ret_sure,
                                  dv_rows *ret_maybe, dv_error *error);
