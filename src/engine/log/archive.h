/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Archives: entries [from, to) of one log in one file, with all that proves them and nothing that
 * is needed beside it. The file is a POSIX tar (ustar) in one zstd frame, which `tar --zstd -xf`
 * unpacks into a folder that is a C2SP tlog-tiles log without its other entries:
 *
 *   archive               what this is: lines of text, and the consistency proof (RFC 6962,
 *                         section 2.1.2) from the tree of `to` entries to the checkpoint's
 *   checkpoint            the signed note; cosigned, where witnesses cosigned one that covers `to`
 *   vkey                  the key that signed it
 *   rotated/<id>.event    of each key that signed the log before, the oldest first: the main log's
 *   rotated/<id>.tlog-proof   event that names the next one, and the proof of it (rotation.h)
 *   tile/<L>/<N>.p/<W>    hashes over what comes before `from`, where there is something
 *   tile/entries/<N>      the entries, 256 in each, and in the same order, as they become full:
 *   tile/<L>/<N>          hashes over them, from level 1 on
 *   blob/<P>/<I>          what lies out of line of the entry I of those 256 (blob_store.h)
 *   tile/<L>/<N>.p/<W>    at the end: the tiles that are not full
 *
 * Behind it stands a seal (archive_seal.h): a skippable frame with a hash for each MiB of the file.
 * There is one way to write an archive of these entries: a reader takes no other bytes.
 *
 * Invariants:
 * 1. A file of the final name is whole and synced, and was read back and verified.
 * 2. Memory does not grow with the archive. All that a reader takes has a maximum, also unpacked.
 * 3. The seal finds damage and says where; it proves nothing. That the entries are the log's is
 *    proved by the tree and the checkpoint's signature alone.
 * 4. It holds every large field that its entries name, and no other; the hashes in the entries
 * prove them. One that is missing in the log is missing for no archive: there is none.
 * 5. Entries are as they stand in the log: personal values are sealed, and what was erased is so in
 *    every archive, too. */

#include "engine/log/state.h"
#include "engine/log/verify.h"

#include <limits.h>

#define DV_ARCHIVE_ENDING ".tar.zst"

typedef struct dv_archive_report {
    char origin[DV_NOTE_NAME_MAX + 1];
    char signer[DV_NOTE_NAME_MAX + 96]; /* vkey of the checkpoint's signature */
    char log[DV_LOG_NAME_MAX + 1];      /* what the node calls it: "main", "requests" */
    uint64_t from, to;                  /* entries [from, to) */
    uint64_t size;                      /* of the tree that the checkpoint signs */
    dv_hash root;
    dv_hash prefix;                 /* root of the tree of the first `to` entries */
    int64_t earliest_ms, latest_ms; /* times of the events in it; 0: they say none */
    uint64_t bytes;                 /* of the file */
    uint64_t unpacked;              /* bytes of the entries */
    uint64_t blobs;                 /* large fields */
    char path[PATH_MAX];            /* of the file */
} dv_archive_report;

/* What is to be archived. */
typedef struct dv_archive_source {
    const char *folder;          /* of that log, borrowed; it may be written meanwhile */
    const char *main_folder;     /* of the node's main log, which knows former keys; NULL: folder */
    const char *log;             /* its name */
    const dv_note_verifier *key; /* that signs it; NULL: the first line of the folder's "vkey" */
    uint64_t from;               /* a multiple of DV_PACK_LEAVES (pack.h) */
    uint64_t to;                 /* a multiple of DV_TILE_WIDTH, or the checkpoint's size */
} dv_archive_source;

/* Which entries an unpacked archive says that it holds; it proves nothing. Errors: DV_ERR_NOT_FOUND
 * (it is none), DV_ERR_CORRUPT. */
typedef struct dv_archive_range {
    uint64_t from, to;
} dv_archive_range;
dv_must dv_result dv_archive_range_of(const char *folder, dv_archive_range *ret_range,
                                      dv_error *error);

/* Archives these entries into a folder, which is made when it is missing, as
 * "<log>-<from>-<to>.tar.zst" (20 digits each), reads the file back, verifies it, and only then
 * gives it its name. One that is there already, from an attempt that was not finished, is verified
 * in place of that and left; DV_ERR_CONFLICT when it is another one.
 *
 * For retention, before it prunes: folder and name of the log, from = its minimum, to = the new
 * minimum. Reads files only, so it may run on a thread beside the log's writer, as long as nobody
 * prunes that log. It takes about a second for each pack of 65,536 entries; progress (or NULL) is
 * called with the entries done, twice from 0 on: writing, then verifying. A progress that returns
 * is all that there is: to break it off, end the process; what is left is a file that begins with
 * '.', which the next call removes.
 *
 * Errors: DV_ERR_INVALID (the range), DV_ERR_NOT_FOUND (entries are pruned already),
 * DV_ERR_UNAVAILABLE (the disk is full), DV_ERR_IO, DV_ERR_CORRUPT (the log, or what was read back
 * does not verify), DV_ERR_CONFLICT. */
dv_must dv_result dv_archive_keep(const dv_archive_source *source, const char *output_dir,
                                  dv_log_progress progress, void *data,
                                  dv_archive_report *ret_report, dv_error *error);

/* Verifies a file without anything else: every byte of it. key: one that signed the log at any
 * time until then, by the name of this log or of the main one; NULL: the one in the archive, which
 * finds damage but no forger who replaced both: compare report->signer. Errors: DV_ERR_CORRUPT
 * (error says what is wrong and where), DV_ERR_NOT_FOUND (no such file), DV_ERR_IO. */
dv_must dv_result dv_archive_verify(const char *path, const dv_note_verifier *key,
                                    dv_log_progress progress, void *data,
                                    dv_archive_report *ret_report, dv_error *error);

/* Verifies it and makes a log folder of it that dv_log_verify accepts and dv_log_search reads, with
 * packs and a catalogue. The folder must not be there; it gets its name when it is whole and
 * synced. The same errors, DV_ERR_EXISTS, DV_ERR_UNAVAILABLE (the disk is full). */
dv_must dv_result dv_archive_restore(const char *path, const dv_note_verifier *key,
                                     const char *folder, dv_log_progress progress, void *data,
                                     dv_archive_report *ret_report, dv_error *error);
