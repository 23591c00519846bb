/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One row for each block of a log, in the file "catalogue" of its folder: when its events were, and
 * a Bloom filter of the values in it; of sealed values those that name people (identities.h) are in
 * it, as they are sealed. It only prunes: without it, or with a damaged one, a search
 * finds the same and takes longer. It is rebuilt from the packs. */

#include "engine/log/pack.h"

enum {
    DV_CATALOGUE_ROW = 8192,
    DV_CATALOGUE_FILTER = DV_CATALOGUE_ROW - 32, /* bytes */
    DV_CATALOGUE_ROWS_AT_ONCE = 64,
};

/* What is asked of a row: a value's place in the filters. */
typedef struct dv_catalogue_token {
    uint64_t hash;
} dv_catalogue_token;

/* A value as it stands in a leaf, raw between its quotes; UUIDs in lower case are found too. */
dv_catalogue_token dv_catalogue_token_of(dv_slice value);

/* The row of a block, made from the block alone. */
dv_must dv_result dv_catalogue_row_make(dv_block *block, uint8_t ret_row[DV_CATALOGUE_ROW],
                                        dv_error *error);

/* -- writing (dvara-logd) ---------------------------------------------------------------------- */

typedef struct dv_catalogue dv_catalogue;

/* Opens the folder's catalogue; damaged rows at its end are dropped. */
dv_must dv_result dv_catalogue_open(const char *folder, dv_catalogue **ret_catalogue,
                                    dv_error *error);
void dv_catalogue_close(dv_catalogue *catalogue);
DV_DEFINE_AUTO_PTR(catalogue, dv_catalogue, dv_catalogue_close)

/* Makes the rows of the blocks before the leaf `packed` that are not there yet; blocks before
 * `minimum` get empty ones. A disk that takes nothing is no error: it is tried again the next time.
 */
dv_must dv_result dv_catalogue_update(dv_catalogue *catalogue, uint64_t packed, uint64_t minimum,
                                      dv_error *error);

/* -- reading ----------------------------------------------------------------------------------- */

typedef struct dv_catalogue_reader {
    int fd; /* -1: there is no catalogue */
    uint64_t first;
    size_t count;
    uint8_t rows[DV_CATALOGUE_ROWS_AT_ONCE][DV_CATALOGUE_ROW];
} dv_catalogue_reader;

/* Never fails: without a catalogue it has no rows. */
void dv_catalogue_reader_open(const char *folder, dv_catalogue_reader *ret_reader);
void dv_catalogue_reader_close(dv_catalogue_reader *reader);

typedef struct dv_catalogue_row {
    const uint8_t *bytes;     /* NULL: it says nothing, the block is to be looked at */
    int64_t earliest, latest; /* ms */
} dv_catalogue_row;

/* The block's row, valid until the next call. Damaged and missing ones say nothing. */
dv_catalogue_row dv_catalogue_read(dv_catalogue_reader *reader, uint64_t block);
bool dv_catalogue_may_have(const dv_catalogue_row *row, dv_catalogue_token token);
