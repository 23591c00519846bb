/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/log: the bytes of a block, and what its writer and its reader share.
 *
 * A leaf is cut at its scalar values: what stands between them (names, brackets, quotes) is its
 * template, of which a log has few; the values go into one column for each path in the JSON. Text
 * goes into one dictionary for the whole block, so a column of text is a column of numbers. The
 * pieces and values put together again are the leaf, byte for byte, whatever it was: what is no
 * JSON that can be cut is one value without any template around it; a leaf that is cut is JSON
 * without a name twice in one object, so that its columns say what its text says.
 *
 *   block    = header section-table section*              all integers little-endian
 *   header   = "DVBLK\1\0\0" first:u64 earliest:i64 latest:i64 leaves:u32 columns:u32
 *              templates:u32 texts:u32 uuids:u32 length:u32 zero:u32 crc:u32
 *   section-table = (stored:u32 raw:u32 crc:u32)*         stored = raw: as it is, else zstd
 *   sections = templates, columns, rows, text lengths, texts, uuids, and one for each column
 *
 *   templates = (slots (length piece type column)* length piece)*        numbers are LEB128
 *   columns   = (length path type predictor reference scale base width count)*
 *   rows      = one template number a leaf, of one byte or, with more than 256 templates, two
 * planes text lengths = LEB128 each;   texts = their bytes uuids     = 16 planes: all first bytes,
 * all second bytes, ... a column  = `width` planes of what is left when the prediction is taken
 * from each value
 *
 * crc is CRC-32C; the header's is over header (with zero in its place) and table. */

#include "base/buf.h"

enum {
    DV_BLOCK_HEADER = 64,
    DV_BLOCK_TABLE_ROW = 12,
    DV_BLOCK_SLOTS_MAX = 1024,     /* of a template; a leaf with more is one value */
    DV_BLOCK_TEMPLATES_MAX = 2048, /* of a block; the other leaves are one value each */
    DV_BLOCK_COLUMNS_MAX = 4096,
    DV_BLOCK_PATH_MAX = 512,
    DV_BLOCK_DEPTH_MAX = 64,
    DV_BLOCK_UUID = 16,
};

#define DV_BLOCK_MAGIC "DVBLK\1\0" /* and the NUL */

/* In a column's path, between two names, and behind the name of an array: bytes that no name in
 * JSON holds, so that a path says one place only. */
#define DV_PATH_BELOW "\x1f"
#define DV_PATH_EACH "\x1e"

enum { /* sections before the columns */
       DV_SECTION_TEMPLATES,
       DV_SECTION_COLUMNS,
       DV_SECTION_ROWS,
       DV_SECTION_TEXT_LENGTHS,
       DV_SECTION_TEXTS,
       DV_SECTION_UUIDS,
       DV_SECTION_FIXED
};

/* What a slot of a template holds. */
typedef enum dv_slot_type {
    DV_SLOT_TEXT,  /* of the dictionary; the raw bytes between two quotes */
    DV_SLOT_UUID,  /* lower-case, between two quotes */
    DV_SLOT_INT,   /* in its shortest form */
    DV_SLOT_WORD,  /* of the dictionary; true, false, null, and all other numbers */
    DV_SLOT_WHOLE, /* of the dictionary; a leaf as it is */
    DV_SLOT_TYPES
} dv_slot_type;

/* How a column's values are predicted; the difference is what is stored. */
typedef enum dv_predictor {
    DV_PREDICT_CONSTANT, /* base; nothing is stored */
    DV_PREDICT_BASE,     /* base; unsigned */
    DV_PREDICT_LAST,     /* base + the value before; signed (folded), and so are the others */
    DV_PREDICT_NEXT,     /* base + one more than the largest before: numbers by first appearance */
    DV_PREDICT_COLUMN,   /* base + scale * the first value of that column in the same leaf */
    DV_PREDICTORS
} dv_predictor;

static inline uint64_t dv_fold(uint64_t value)
{
    return value << 1 ^ (uint64_t)((int64_t)value >> 63);
}

static inline uint64_t dv_unfold(uint64_t value)
{
    return value >> 1 ^ (0 - (value & 1));
}

/* LEB128. */
dv_must dv_result dv_block_put_number(dv_buf *out, uint64_t value);
/* Takes it off the front; false when it is cut short or longer than it needs to be. */
bool dv_block_take_number(dv_slice *rest, uint64_t *ret_value);
bool dv_block_take_bytes(dv_slice *rest, uint64_t len, dv_slice *ret_bytes);

/* "0198c0de-..." in its lower-case form, at the front of the text. */
bool dv_block_uuid_parse(const uint8_t *text, size_t len, uint8_t ret_uuid[DV_BLOCK_UUID]);
void dv_block_uuid_write(const uint8_t uuid[DV_BLOCK_UUID], uint8_t out[36]);
/* Whether the raw bytes may stand between quotes (RFC 8259 section 7), judged quickly: what holds
 * escapes or more than ASCII may and may not. */
bool dv_block_is_plain(dv_slice raw);

/* Digits in their shortest form, '-' before them, at the front of the text; returns how many bytes
 * they are, 0 when it is no such number or one that an int64_t does not hold. */
size_t dv_block_int_parse(const uint8_t *text, size_t len, int64_t *ret_value);
