/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A block: the leaves of a log in columns, a twentieth of their size, out of which each comes back
 * byte for byte. Columns can be searched without making the leaves (block_search.h). The format
 * stands in block_format.h. */

#include "base/buf.h"
#include "base/result.h"
#include "engine/log/block_column.h"

enum {
    DV_BLOCK_LEAVES = 4096,       /* of every block of a log; a multiple of a bundle's */
    DV_BLOCK_LEN_MAX = 320 << 20, /* bytes of a block, and of all its parts unpacked */
};

/* -- writing ----------------------------------------------------------------------------------- */

typedef struct dv_block_builder dv_block_builder;

dv_must dv_result dv_block_builder_new(dv_block_builder **ret_builder);
void dv_block_builder_free(dv_block_builder *builder);
DV_DEFINE_AUTO_PTR(block_builder, dv_block_builder, dv_block_builder_free)

/* Takes a leaf of 1 to 65535 bytes, at most DV_BLOCK_LEAVES of them. After an error
 * (DV_ERR_NO_MEMORY) the builder is to be cleared. */
dv_must dv_result dv_block_builder_add(dv_block_builder *builder, dv_slice leaf);
uint32_t dv_block_builder_count(const dv_block_builder *builder);
/* Appends the block of all leaves taken so far; first: the first one's index in the log. level: of
 * zstd. The leaves stay. */
dv_must dv_result dv_block_builder_finish(dv_block_builder *builder, uint64_t first, int level,
                                          dv_buf *out);
void dv_block_builder_clear(dv_block_builder *builder);

/* -- reading ----------------------------------------------------------------------------------- */

typedef struct dv_block dv_block;

/* What stands in front of a block. */
typedef struct dv_block_info {
    uint64_t first;           /* index of the first leaf */
    int64_t earliest, latest; /* the leaves' times ("time"), ms; a leaf without one counts as 0 */
    uint32_t leaves;
    uint32_t length; /* bytes of the whole block */
    uint32_t columns, templates, texts, uuids;
} dv_block_info;

/* Reads the first DV_BLOCK_HEADER bytes; only the checksum over header and table, which
 * dv_block_open checks, says whether they are right. Errors: DV_ERR_CORRUPT. */
dv_must dv_result dv_block_info_read(dv_slice bytes, dv_block_info *ret_info);

/* Opens a block; the bytes are borrowed as long as it lives. Parts are unpacked and checked when
 * they are first needed. Errors: DV_ERR_CORRUPT (error says what), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_block_open(dv_slice bytes, dv_block **ret_block, dv_error *error);
/* Opens another block in the memory of this one. After an error it can only be closed. */
dv_must dv_result dv_block_reopen(dv_block *block, dv_slice bytes, dv_error *error);
void dv_block_close(dv_block *block);
DV_DEFINE_AUTO_PTR(block, dv_block, dv_block_close)

const dv_block_info *dv_block_about(const dv_block *block);

/* Appends the leaf of that place in the block. Reading them in order is quickest. */
dv_must dv_result dv_block_leaf(dv_block *block, uint32_t place, dv_buf *out, dv_error *error);

/* A column with its values and rows unpacked; valid as long as the block. */
dv_must dv_result dv_block_column(dv_block *block, uint32_t index, const dv_column **ret_column,
                                  dv_error *error);
/* The same without its rows, which take as long to find as the values. */
dv_must dv_result dv_block_column_values(dv_block *block, uint32_t index,
                                         const dv_column **ret_column, dv_error *error);
/* A column as it is described, without values. */
const dv_column *dv_block_column_about(const dv_block *block, uint32_t index);
/* The dictionary, unpacked: text by number, and all of them in one piece. */
dv_must dv_result dv_block_texts(dv_block *block, const uint32_t **ret_ends,
                                 const uint8_t **ret_bytes, dv_error *error);
/* 16 bytes for each UUID. */
dv_must dv_result dv_block_uuids(dv_block *block, const uint8_t **ret_uuids, dv_error *error);

/* Whether a search finds in the columns what the leaves say: that every part unpacks, that each
 * column bears the path of the values in it, and that the header's times are the leaves'. The
 * leaves' own hashes are the caller's to check. */
dv_must dv_result dv_block_check(dv_block *block, dv_error *error);
