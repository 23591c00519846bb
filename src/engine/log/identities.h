/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The names and ids of people that stand in a log, sealed as they are, each once: the file
 * "catalogue.names" beside the catalogue. It holds nothing that the log does not hold, and like the
 * catalogue it only prunes: it is made anew from the packs when it is gone or damaged. A search for
 * a user finds with it the few sealed texts that read as the name, and with the catalogue's filters
 * the blocks that hold one of them.
 *
 *   file   = record*                         one for each block, in order; integers little-endian
 *   record = crc:u32 length:u32 block:u64 count:u32 (len:u16 text)*
 *
 * crc is CRC-32C of all behind it, length counts the bytes behind itself. A record has the texts
 * that no record before it has. */

#include "engine/log/catalogue.h"
#include "engine/log/subjects.h"

/* Whether the values of that column (as in a block) are names or ids of people: few, and asked for.
 */
bool dv_identity_is(dv_slice column_path);

/* -- writing ----------------------------------------------------------------------------------- */

typedef struct dv_identity_file dv_identity_file;

/* Damaged records at the file's end are dropped. */
dv_must dv_result dv_identity_file_open(const char *folder, dv_identity_file **ret_file,
                                        dv_error *error);
void dv_identity_file_close(dv_identity_file *file);
DV_DEFINE_AUTO_PTR(identity_file, dv_identity_file, dv_identity_file_close)
/* How many blocks it has records of; UINT64_MAX: it takes no more. */
uint64_t dv_identity_file_blocks(const dv_identity_file *file);
void dv_identity_file_empty(dv_identity_file *file);
/* Adds the next block's; NULL: one that was pruned. A disk that takes nothing is no error. */
dv_must dv_result dv_identity_file_add(dv_identity_file *file, dv_block *block, dv_error *error);

/* -- verifying --------------------------------------------------------------------------------- */

/* Opens it to be held against the blocks, closed as above; one that is not there is right. */
dv_must dv_result dv_identity_check_new(const char *folder, dv_identity_file **ret_file,
                                        dv_error *error);
/* Whether the record of that block is what the block makes it, after those of all blocks before;
 * blocks that are passed over were pruned. prefix: of the file's name in messages. Errors:
 * DV_ERR_CORRUPT (with block and byte). A file that ends before is right: searches do without. */
dv_must dv_result dv_identity_check_block(dv_identity_file *file, uint64_t number, dv_block *block,
                                          const char *prefix, dv_error *error);

/* -- reading ----------------------------------------------------------------------------------- */

enum { DV_IDENTITY_TOKENS_MAX = 32 };

typedef struct dv_identity_tokens {
    dv_catalogue_token tokens[DV_IDENTITY_TOKENS_MAX];
    size_t count;
    uint64_t blocks; /* what it says is of these, from the first on */
} dv_identity_tokens;

/* The sealed texts that may read as the value (ASCII in lower case). What was opened once is kept
 * with the subjects, as keyed hashes, until a key is destroyed. False: it can't tell. Any thread.
 */
bool dv_identities_find(dv_subjects *subjects, const char *folder, dv_slice value,
                        dv_identity_tokens *ret_tokens);
