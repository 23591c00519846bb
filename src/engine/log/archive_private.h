/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/log: what an archive is made of, for those who write, read and unpack one. */

#include "engine/log/archive.h"
#include "engine/log/archive_tar.h"
#include "engine/log/frontier.h"

#define DV_ARCHIVE_MANIFEST                                                                        \
    "archive" /* the file's name, in an archive and in what it unpacks to                          \
               */

enum { DV_ARCHIVE_MANIFEST_MAX = 32 << 10, DV_ARCHIVE_ROTATED_MAX = 1024 };

typedef struct dv_archive_manifest {
    char origin[DV_NOTE_NAME_MAX + 1];
    char log[DV_LOG_NAME_MAX + 1];
    uint64_t from, to;
    uint32_t rotated[DV_ARCHIVE_ROTATED_MAX]; /* ids of the log's former keys, the oldest first */
    size_t rotated_len;
    dv_hash proof[DV_PROOF_MAX]; /* from the tree of `to` entries to the checkpoint's */
    size_t proof_len;
} dv_archive_manifest;

dv_must dv_result dv_archive_manifest_format(const dv_archive_manifest *manifest, dv_buf *out);
/* Takes only what dv_archive_manifest_format makes. Errors: DV_ERR_CORRUPT. */
dv_must dv_result dv_archive_manifest_parse(dv_slice text, dv_archive_manifest *ret_manifest,
                                            dv_error *error);
/* Of the folder that an archive was unpacked into. Errors: also DV_ERR_NOT_FOUND. */
dv_must dv_result dv_archive_manifest_load(const char *folder, dv_archive_manifest *ret_manifest,
                                           dv_error *error);
/* Whether these entries can be archived under a checkpoint of that size. */
bool dv_archive_range_is(uint64_t from, uint64_t to, uint64_t size);
/* Whether the tree of `to` entries, of that root, is a prefix of the checkpoint's. Errors:
 * DV_ERR_CORRUPT. */
dv_must dv_result dv_archive_prove(const dv_archive_manifest *manifest, const dv_hash *root,
                                   const dv_checkpoint *checkpoint, dv_error *error);

/* -- keys that were replaced ------------------------------------------------------------------- */

/* Goes from each former key to the next, and at last to the one that signs the archive, as the
 * files in rotated/ show it (rotation.h). All keys in it are named as the main log's. */
typedef struct dv_archive_chain {
    const dv_archive_manifest *manifest;
    dv_note_verifier signer;
    dv_note_verifier trusted; /* that must sign, or lead to the signer; has no name: none is asked
                               * for */
    bool led;                 /* by what was seen until now, it is so */
    dv_note_verifier key;     /* that the last step named */
} dv_archive_chain;

/* note: the archive's checkpoint, which `signer` signed; trusted may be NULL, and may be named as
 * this log's or as the main log's. Errors: DV_ERR_CORRUPT, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_archive_chain_begin(const dv_archive_manifest *manifest, dv_slice note,
                                         const dv_note_verifier *signer,
                                         const dv_note_verifier *trusted,
                                         dv_archive_chain *ret_chain, dv_error *error);
/* The key of manifest->rotated[i], for each i in turn: what lies in rotated/ of it. The first key's
 * signature is checked only when it is the trusted one: nothing else names it. */
dv_must dv_result dv_archive_chain_step(dv_archive_chain *chain, size_t i, dv_slice event,
                                        dv_slice proof, dv_error *error);
/* Whether it led from the trusted key, if there is one, to the signer. */
dv_must dv_result dv_archive_chain_end(const dv_archive_chain *chain, dv_error *error);
/* Fills in manifest->rotated: the keys before the signer's, as far as the main log's folder knows
 * them. Errors: DV_ERR_TOO_LARGE, DV_ERR_IO. */
dv_must dv_result dv_archive_chain_find(const char *main_folder, const dv_note_verifier *signer,
                                        dv_archive_manifest *manifest, dv_error *error);
/* All of it for an unpacked archive. *ret_key: the one that is to have signed its checkpoint. */
dv_must dv_result dv_archive_chain_folder(const char *folder, const dv_archive_manifest *manifest,
                                          const dv_note_verifier *trusted,
                                          dv_note_verifier *ret_key, dv_error *error);

/* -- what it holds ----------------------------------------------------------------------------- */

/* Sets the frontier to where it is before the leaf `from`, but for its hashes: index and width on
 * each level. */
void dv_archive_frontier_place(dv_frontier *frontier, uint64_t from);
/* Whether the tile at the right edge of `to` entries is also the one of `from`. */
bool dv_archive_tile_stays(const dv_archive_manifest *manifest, int level);

/* What an archive holds, in its order. Any error but DV_OK ends the reading. */
typedef struct dv_archive_visitor {
    /* What is no entry: bytes that are checked already, but for those before `from`. NULL: none. */
    dv_result (*file)(void *data, const char *name, dv_slice bytes, dv_error *error);
    /* Up to DV_TILE_WIDTH entries, framed as in a bundle; from: the first one. NULL: none. */
    dv_result (*bundle)(void *data, const dv_archive_manifest *manifest, uint64_t from,
                        uint32_t width, dv_slice bytes, dv_error *error);
    void *data;
    dv_log_progress progress;
    void *progress_data;
} dv_archive_visitor;

/* Reads an open archive from its beginning to its end and verifies all of it. */
dv_must dv_result dv_archive_walk(int fd, const dv_note_verifier *key,
                                  const dv_archive_visitor *visitor, dv_archive_report *ret_report,
                                  dv_error *error);
/* The same of what its frame holds, wherever that comes from: for the fuzzer, too. */
dv_must dv_result dv_archive_walk_source(const dv_tar_source *source, const dv_note_verifier *key,
                                         const dv_archive_visitor *visitor,
                                         dv_archive_report *report, dv_error *error);
