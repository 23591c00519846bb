/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/log: between the parts of a search in one block. block_search.c has the tree,
 * fields and values, block_text.c text anywhere, block_numbers.c columns of whole numbers. */

#include "engine/log/block_search.h"

/* What is known of a value, and of a row: bits, so that a row takes the union of its values'. */
typedef enum dv_known { DV_KNOWN_NOTHING, DV_KNOWN_NO, DV_KNOWN_MAYBE, DV_KNOWN_YES } dv_known;

typedef struct dv_found {
    dv_rows sure, maybe;
} dv_found;

typedef struct dv_block_searcher {
    dv_block *block;
    const dv_block_opener *opener; /* NULL: nothing is sealed */
    dv_arena *arena;               /* of one value */
    /* dv_known, for each text or UUID: of the column that is being looked at, or of all. */
    uint8_t *seen;
    uint8_t *opened;   /* the same of what sealed texts read as */
    uint8_t *personal; /* for each column: 0 not asked yet, 1 no, 2 yes */
    size_t seen_max;   /* of seen and opened */
    dv_rows whole;     /* leaves that were not cut: they are asked themselves */
    dv_error *error;
} dv_block_searcher;

static inline void dv_rows_add(dv_rows *rows, uint32_t row)
{
    rows->words[row / 64] |= UINT64_C(1) << row % 64;
}

/* exact: the value is one of the field's, for sure. */
static inline void dv_found_note(dv_found *rows, uint32_t row, dv_known what, bool exact)
{
    if (what == DV_KNOWN_NO) {
        return;
    }
    dv_rows_add(&rows->maybe, row);
    if (what == DV_KNOWN_YES && exact) {
        dv_rows_add(&rows->sure, row);
    }
}

/* Whether the column's values may be sealed. */
bool dv_block_is_personal(dv_block_searcher *s, uint32_t index);

/* Whether a text can't be a sealed value that the term holds for, told by its length alone: the
 * value is shorter than what is looked for. For texts that begin with the opener's mark. */
bool dv_block_rules_out(const dv_block_searcher *s, const dv_query_node *node, size_t raw_len);

/* The text between quotes as it reads; plain texts stay where they are. */
dv_must dv_result dv_block_text_read(dv_block_searcher *s, dv_slice raw, dv_slice *ret_text);
/* Decides about a text: of the column, opened where it is sealed. */
dv_must dv_result dv_block_judge_text(dv_block_searcher *s, const dv_query_node *node,
                                      uint32_t column, dv_slice raw, dv_known *ret_known);
/* Adds the rows of a column whose values the term holds for. */
dv_must dv_result dv_block_judge_column(dv_block_searcher *s, const dv_query_node *node,
                                        uint32_t index, bool exact, dv_found *rows);

/* Decides about whole numbers. */
dv_known dv_block_judge_int(const dv_query_node *node, int64_t value);
/* Whether no value of the column can be one that the term holds for, told without unpacking it. */
bool dv_block_ints_are_out(const dv_query_node *node, const dv_column *about);
/* Adds the rows of a column that is not out so. */
dv_must dv_result dv_block_judge_ints(dv_block_searcher *s, const dv_query_node *node,
                                      uint32_t index, bool exact, dv_found *rows);

/* Text anywhere: a HAS with a needle and without a field. */
dv_must dv_result dv_block_search_text(dv_block_searcher *s, const dv_query_node *node,
                                       dv_found *rows);
