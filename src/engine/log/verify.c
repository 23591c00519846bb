/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/verify.h"

#include "base/file.h"
#include "engine/log/archive_private.h"
#include "engine/log/blob_check.h"
#include "engine/log/catalogue.h"
#include "engine/log/entry.h"
#include "engine/log/frontier.h"
#include "engine/log/identities.h"
#include "engine/log/prune.h"
#include "engine/log/sequencer.h"
#include "engine/log/verify_files.h"
#include "engine/log/verify_writers.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRY_ARENA = 8 << 20, BUNDLES = DV_BLOCK_LEAVES / DV_TILE_WIDTH /* of a block */ };

typedef struct verification {
    const char *folder;
    const char *prefix; /* of file names in messages: "" or "class/requests/" */
    const char *name;   /* in the state file */
    const char *main_folder;
    bool copy;     /* of another node's log: large fields may be missing */
    bool original; /* dvara-logd's own folder, which has a state file */
    dv_checkpoint checkpoint;
    dv_log_report *report;
    dv_frontier frontier;
    dv_writers_seen writers;
    bool alone;       /* there are no logs of other classes: each writer's records are all here */
    bool whole;       /* nothing of any log was pruned */
    uint64_t minimum; /* of the log that is being verified */
    const dv_archive_manifest *archive; /* the folder is an unpacked archive; NULL: a log */
    dv_log_state pruned;                /* what the main log says of each log's minimum */
    dv_pack_reader *packs;
    bool in_pack; /* the entries that are being checked; no pack follows once it is false */
    dv_catalogue_reader catalogue;
    dv_identity_file *names;
    dv_blob_check blobs;
    dv_buf bundle;
    dv_buf plain;
    dv_arena *arena;
    dv_error error;
} verification;

/* -- entries ----------------------------------------------------------------------------------- */

static dv_result bad_entry(verification *v, uint64_t index, const char *what)
{
    return dv_error_set(&v->error, DV_ERR_CORRUPT, "entry %" PRIu64 " %s", index, what);
}

static dv_result check_sequence(verification *v, uint64_t index, const dv_entry_origin *origin)
{
    uint64_t wanted = 0;
    if (!v->whole) {
        return DV_OK; /* the first records of some are gone */
    }
    dv_result result =
        dv_writers_see(&v->writers, &origin->segment, origin->sequence, v->alone, &wanted);
    if (result == DV_ERR_CORRUPT) {
        char segment[DV_UUID_TEXT_LEN + 1];
        dv_uuid_format(&origin->segment, segment);
        return dv_error_set(&v->error, result,
                            "entry %" PRIu64 " is record %" PRIu64 " of segment %s, where %" PRIu64
                            " should follow",
                            index, origin->sequence, segment, wanted);
    }
    return result;
}

/* Of a log whose beginning is missing, the main log must tell that it was pruned, and how far. */
static void note_pruned(verification *v, dv_slice entry)
{
    char name[DV_LOG_NAME_MAX + 1];
    uint64_t minimum;
    if (v->prefix[0] != '\0' || !dv_prune_event_read(entry, v->arena, name, &minimum)) {
        return;
    }
    dv_log_tree *tree = dv_log_state_tree(&v->pruned, name);
    if (tree == NULL && v->pruned.tree_count < DV_LOG_TREES_MAX) {
        tree = &v->pruned.trees[v->pruned.tree_count++];
        memcpy(tree->name, name, sizeof(name));
    }
    if (tree != NULL) {
        tree->minimum = DV_MAX(tree->minimum, minimum);
    }
}

static dv_result check_entry(verification *v, uint64_t index, dv_slice entry)
{
    dv_entry_origin origin;
    dv_error detail = {0};
    dv_result result = dv_entry_check(entry, v->arena, &origin, &detail);
    note_pruned(v, entry);
    if (result == DV_OK) {
        dv_slice stored;
        DV_TRY(dv_blob_check_entry(&v->blobs, index, entry, v->arena, &stored, &v->error));
        v->report->blobs += stored.len > 0;
    }
    dv_arena_reset(v->arena);
    if (result == DV_ERR_NO_MEMORY) {
        return result;
    }
    if (result != DV_OK) {
        return bad_entry(v, index, result == DV_ERR_NOT_FOUND ? detail.message : "is no JSON text");
    }
    return check_sequence(v, index, &origin);
}

/* -- tiles ------------------------------------------------------------------------------------- */

static bool is_file(const verification *v, int level, uint64_t index, uint32_t width)
{
    char name[DV_TILE_PATH_MAX], path[PATH_MAX];
    dv_tile_path(level, index, width, name);
    int len = snprintf(path, sizeof(path), "%s/%s", v->folder, name);
    return len > 0 && len < PATH_MAX && access(path, F_OK) == 0;
}

/* A file that holds so much of the tile, or a pack that holds its entries by now. */
static bool is_there(const verification *v, int level, uint64_t index, uint32_t width)
{
    uint64_t offset;
    dv_block_info info;
    bool found = false;
    for (uint32_t w = width; w <= DV_TILE_WIDTH && !found; w++) {
        found = is_file(v, level, index, w);
    }
    return found || dv_pack_place(v->folder, index / BUNDLES, &offset, &info, NULL) == DV_OK;
}

/* The file must hold what the entries give. */
static dv_result compare_tile(verification *v, int level, uint64_t index, const dv_hash *hashes,
                              uint32_t width)
{
    dv_hash stored[DV_TILE_WIDTH];
    char name[DV_TILE_PATH_MAX];
    if (level == 0 && v->original && !is_there(v, level, index, width)) {
        /* It would be made of the entries; copies and archives may be without. */
        dv_tile_path(level, index, width, name);
        return dv_error_set(&v->error, DV_ERR_CORRUPT, "%s%s is missing", v->prefix, name);
    }
    DV_TRY(dv_tile_read(v->folder, level, index, width, stored, &v->error));
    v->report->tiles++;
    for (uint32_t i = 0; i < width; i++) {
        if (!dv_hash_eq(&stored[i], &hashes[i])) {
            dv_tile_path(level, index, width, name);
            return dv_error_set(&v->error, DV_ERR_CORRUPT,
                                "%s%s differs from the entries at hash %" PRIu32, v->prefix, name,
                                i);
        }
    }
    return DV_OK;
}

/* Of what is in a pack, level 0 has no tiles any more, but for a moment. */
static dv_result compare_full_tile(void *data, int level, uint64_t index, const dv_hash *hashes)
{
    verification *v = data;
    if (level == 0 && v->in_pack && !is_file(v, level, index, DV_TILE_WIDTH)) {
        return DV_OK;
    }
    return compare_tile(v, level, index, hashes, DV_TILE_WIDTH);
}

/* -- packs ------------------------------------------------------------------------------------- */

static dv_result bad_pack(verification *v, uint64_t block, const char *what)
{
    char name[DV_TILE_PATH_MAX];
    dv_pack_path(block / DV_PACK_BLOCKS, name);
    return dv_error_set(&v->error, DV_ERR_CORRUPT, "%s%s: block %" PRIu64 " of the log: %s",
                        v->prefix, name, block, what);
}

static dv_result check_catalogue(verification *v, uint64_t number, dv_block *block)
{
    uint8_t row[DV_CATALOGUE_ROW];
    dv_catalogue_row stored = dv_catalogue_read(&v->catalogue, number);
    DV_TRY(dv_catalogue_row_make(block, row, &v->error));
    if (number >= v->catalogue.first + v->catalogue.count) {
        return DV_OK; /* it has no such row yet, and searches do without */
    }
    return stored.bytes != NULL && memcmp(stored.bytes, row, sizeof(row)) == 0
               ? DV_OK
               : dv_error_set(&v->error, DV_ERR_CORRUPT,
                              "%scatalogue differs from the entries in row %" PRIu64
                              ": delete it, dvara-logd makes it again",
                              v->prefix, number);
}

/* Nothing may stand behind the last block of a full pack. */
static dv_result check_end(verification *v, uint64_t number, uint64_t offset,
                           const dv_block_info *info)
{
    char name[DV_TILE_PATH_MAX], path[PATH_MAX];
    struct stat about;
    if (number % DV_PACK_BLOCKS != DV_PACK_BLOCKS - 1) {
        return DV_OK;
    }
    dv_pack_path(number / DV_PACK_BLOCKS, name);
    int len = snprintf(path, sizeof(path), "%s/%s", v->folder, name);
    if (len < 0 || len >= PATH_MAX || stat(path, &about) != 0) {
        return dv_error_set(&v->error, DV_ERR_IO, "%s: %s", name, strerror(errno));
    }
    return (uint64_t)about.st_size == offset + info->length
               ? DV_OK
               : bad_pack(v, number, "something stands behind it that belongs to no block");
}

/* Sets in_pack: whether this block is packed. */
static dv_result check_pack_block(verification *v, uint64_t number)
{
    uint64_t offset = 0;
    dv_block_info info;
    dv_block *block;
    dv_error detail = {0};
    dv_result result = dv_pack_place(v->folder, number, &offset, &info, &v->error);
    v->in_pack = result == DV_OK;
    if (result == DV_ERR_NOT_FOUND) {
        return DV_OK;
    }
    DV_TRY(result);
    DV_TRY(dv_pack_block(v->packs, number, &block, &v->error));
    result = dv_block_check(block, &detail);
    if (result == DV_ERR_CORRUPT) {
        return bad_pack(v, number, detail.message);
    }
    DV_TRY(result);
    v->report->tiles++;
    DV_TRY(check_catalogue(v, number, block));
    DV_TRY(dv_identity_check_block(v->names, number, block, v->prefix, &v->error));
    return check_end(v, number, offset, &info);
}

/* A bundle that was not removed yet is read in the pack's place. */
static dv_result compare_bundle(verification *v, uint64_t bundle)
{
    char name[DV_TILE_PATH_MAX];
    if (!is_file(v, DV_TILE_ENTRIES, bundle, DV_TILE_WIDTH)) {
        return DV_OK;
    }
    dv_buf_clear(&v->plain);
    DV_TRY(dv_bundle_read(v->folder, v->packs, bundle, DV_TILE_WIDTH, &v->plain, &v->error));
    if (dv_slice_eq(dv_buf_slice(&v->plain), dv_buf_slice(&v->bundle))) {
        return DV_OK;
    }
    dv_tile_path(DV_TILE_ENTRIES, bundle, DV_TILE_WIDTH, name);
    return dv_error_set(&v->error, DV_ERR_CORRUPT, "%s%s differs from its pack", v->prefix, name);
}

/* -- bundles ----------------------------------------------------------------------------------- */

static dv_result read_bundle(verification *v, uint64_t bundle, uint32_t width)
{
    dv_buf_clear(&v->bundle);
    if (v->in_pack) {
        DV_TRY(dv_pack_bundle(v->packs, bundle * DV_TILE_WIDTH, width, &v->bundle, &v->error));
        return compare_bundle(v, bundle);
    }
    dv_result result = dv_bundle_read(v->folder, v->packs, bundle, width, &v->bundle, &v->error);
    uint64_t block = bundle / BUNDLES;
    if (result == DV_ERR_NOT_FOUND && block + 1 < v->checkpoint.size / DV_BLOCK_LEAVES) {
        return bad_pack(v, block, "it is missing, and so are its entries");
    }
    return result;
}

static dv_result check_bundle(verification *v, uint64_t bundle, uint32_t width)
{
    dv_slice entry;
    bool may_be_packed = (bundle / BUNDLES + 1) * DV_BLOCK_LEAVES <= v->checkpoint.size;
    if (bundle % BUNDLES == 0 && v->in_pack) {
        v->in_pack = false;
        if (may_be_packed) {
            DV_TRY(check_pack_block(v, bundle / BUNDLES));
        }
    }
    DV_TRY(read_bundle(v, bundle, width));
    v->report->tiles++;
    dv_slice rest = dv_buf_slice(&v->bundle);
    for (uint32_t i = 0; i < width; i++) {
        DV_TRY(dv_bundle_next(&rest, &entry));
        DV_TRY(check_entry(v, bundle * DV_TILE_WIDTH + i, entry));
        dv_hash leaf = dv_merkle_leaf(entry);
        DV_TRY(dv_frontier_add(&v->frontier, &leaf, compare_full_tile, v));
        v->report->entries++;
    }
    return DV_OK;
}

/* Behind the last entry that is checked. */
static uint64_t end_of(const verification *v)
{
    return v->archive != NULL ? v->archive->to : v->checkpoint.size;
}

static dv_result check_entries(verification *v, dv_log_progress progress, void *data)
{
    uint64_t size = end_of(v);
    v->in_pack = true;
    for (uint64_t done = v->minimum; done < size;) {
        uint32_t width = (uint32_t)DV_MIN(size - done, (uint64_t)DV_TILE_WIDTH);
        DV_TRY(check_bundle(v, done / DV_TILE_WIDTH, width));
        done += width;
        if (progress != NULL) {
            progress(data, done, size);
        }
    }
    v->in_pack = false;
    return dv_blob_check_end(&v->blobs, &v->error);
}

static dv_result check_right_edge(verification *v)
{
    for (int level = 0; level < DV_TILE_LEVELS; level++) {
        const dv_frontier_tile *right = &v->frontier.levels[level];
        if (right->width > 0) {
            DV_TRY(compare_tile(v, level, right->index, right->hashes, right->width));
        }
    }
    dv_hash root = dv_frontier_root(&v->frontier);
    if (v->archive != NULL) {
        return dv_archive_prove(v->archive, &root, &v->checkpoint, &v->error);
    }
    if (!dv_hash_eq(&root, &v->checkpoint.root)) {
        return dv_error_set(&v->error, DV_ERR_CORRUPT,
                            "the entries do not give the root that the checkpoint signs");
    }
    return DV_OK;
}

/* -- pruned logs ------------------------------------------------------------------------------- */

/* The tree over what was pruned, from the tiles that are kept: it is not checked by itself, but the
 * root that comes out of it and of the entries is. */
static dv_result load_pruned(verification *v)
{
    for (int level = 0; level < DV_TILE_LEVELS; level++) {
        dv_frontier_tile *right = &v->frontier.levels[level];
        uint64_t nodes = v->minimum >> (DV_TILE_HEIGHT * level);
        right->index = nodes / DV_TILE_WIDTH;
        right->width = (uint32_t)(nodes % DV_TILE_WIDTH);
        if (right->width > 0) {
            DV_TRY(dv_tile_read(v->folder, level, right->index, right->width, right->hashes,
                                &v->error));
        }
    }
    v->report->pruned += v->minimum;
    return DV_OK;
}

/* What the folder says of its logs' beginnings; the main log's own events must bear it out. */
static dv_result read_minimums(verification *v, dv_log_state *ret_state)
{
    dv_error error = {0};
    dv_result result = dv_log_state_load(v->folder, ret_state, &error);
    if (result == DV_ERR_NOT_FOUND) {
        *ret_state = (dv_log_state){.tree_count = 0}; /* a copy of the tiles alone */
        return DV_OK;
    }
    v->original = result == DV_OK;
    return result == DV_OK ? DV_OK : dv_error_set(&v->error, result, "%s", error.message);
}

static dv_result check_minimum(verification *v, const dv_log_tree *tree)
{
    const dv_log_tree *told = dv_log_state_tree(&v->pruned, tree->name);
    uint64_t minimum = told == NULL ? 0 : told->minimum;
    if (tree->minimum <= minimum) {
        return DV_OK;
    }
    return dv_error_set(&v->error, DV_ERR_CORRUPT,
                        "of the log %s, entries before %" PRIu64
                        " are missing, and the main log tells of none before %" PRIu64
                        " that they were pruned",
                        tree->name, tree->minimum, minimum);
}

/* -- one log ----------------------------------------------------------------------------------- */

static dv_result check_files(verification *v, const dv_note_verifier *verifier)
{
    if (v->archive != NULL) {
        return DV_OK; /* it has none of them */
    }
    const dv_verified log = {.folder = v->folder,
                             .prefix = v->prefix,
                             .name = v->name,
                             .state_folder = v->main_folder,
                             .verifier = verifier,
                             .checkpoint = &v->checkpoint,
                             .frontier = &v->frontier,
                             .last_bundle = dv_buf_slice(&v->bundle),
                             .minimum = v->minimum};
    return dv_verify_files(&log, &v->report->tiles, &v->error);
}

static dv_result open_parts(verification *v)
{
    dv_catalogue_reader_open(v->folder, &v->catalogue);
    DV_TRY(dv_pack_reader_new(v->folder, &v->packs));
    DV_TRY(dv_identity_check_new(v->folder, &v->names, &v->error));
    DV_TRY(dv_blob_check_open(v->folder, v->prefix, v->minimum, end_of(v), &v->blobs, &v->error));
    v->blobs.may_miss = v->copy;
    return DV_OK;
}

static void close_parts(verification *v)
{
    dv_catalogue_reader_close(&v->catalogue);
    dv_identity_file_close(v->names);
    v->report->blobs_missing += v->blobs.missed;
    dv_blob_check_close(&v->blobs);
    dv_pack_reader_free(v->packs);
    v->names = NULL;
    v->packs = NULL;
}

static dv_result verify_log(verification *v, const dv_note_verifier *verifier,
                            dv_log_progress progress, void *data)
{
    memset(&v->frontier, 0, sizeof(v->frontier));
    DV_TRY(dv_tiles_checkpoint(v->folder, verifier, &v->checkpoint, &v->error));
    if (v->archive != NULL &&
        !dv_archive_range_is(v->minimum, v->archive->to, v->checkpoint.size)) {
        return dv_error_set(&v->error, DV_ERR_CORRUPT,
                            "its checkpoint does not cover what it says that it holds");
    }
    if (v->minimum % DV_PACK_LEAVES != 0 || v->minimum > v->checkpoint.size) {
        return dv_error_set(&v->error, DV_ERR_CORRUPT,
                            "the state's minimum index is no pack's end");
    }
    dv_result result = open_parts(v);
    if (result == DV_OK) {
        result = load_pruned(v);
    }
    if (result == DV_OK) {
        result = check_entries(v, progress, data);
    }
    if (result == DV_OK) {
        result = check_right_edge(v);
    }
    if (result == DV_OK) {
        result = check_files(v, verifier);
    }
    close_parts(v);
    v->report->logs++;
    return result == DV_ERR_NOT_FOUND ? DV_ERR_CORRUPT : result; /* a file of the log is missing */
}

/* -- the main log ------------------------------------------------------------------------------ */

static dv_result find_verifier(verification *v, const dv_note_verifier *given,
                               dv_note_verifier *ret_verifier)
{
    if (given == NULL) {
        return dv_tiles_vkey(v->folder, ret_verifier, &v->error);
    }
    *ret_verifier = *given;
    return DV_OK;
}

static dv_result describe(verification *v, const dv_note_verifier *verifier)
{
    dv_buf signer = dv_buf_init(sizeof(v->report->signer) - 1);
    dv_result result = dv_note_verifier_format(verifier, &signer);
    if (result == DV_OK) {
        snprintf(v->report->signer, sizeof(v->report->signer), "%.*s",
                 DV_SLICE_ARGS(dv_buf_slice(&signer)));
    }
    dv_buf_release(&signer);
    memcpy(v->report->origin, v->checkpoint.origin, sizeof(v->report->origin));
    v->report->size = v->checkpoint.size;
    v->report->root = v->checkpoint.root;
    return result;
}

/* -- the logs of other classes ----------------------------------------------------------------- */

static dv_result verify_class(verification *v, const dv_note_verifier *main_key, const char *name,
                              dv_log_state *state)
{
    const dv_log_tree *tree = dv_log_state_tree(state, name);
    char folder[PATH_MAX], prefix[DV_LOG_NAME_MAX + 16], origin[2 * DV_NOTE_NAME_MAX];
    const char *above = v->folder;
    dv_note_verifier key;
    int len = snprintf(folder, sizeof(folder), "%s/" DV_LOG_OTHERS "/%s", above, name);
    snprintf(prefix, sizeof(prefix), DV_LOG_OTHERS "/%.*s/", DV_LOG_NAME_MAX, name);
    snprintf(origin, sizeof(origin), "%s/%s", main_key->name, name);
    if (len < 0 || len >= PATH_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(dv_note_verifier_init(origin, main_key->public_key, &key));
    v->folder = folder;
    v->prefix = prefix;
    v->name = name;
    v->minimum = tree == NULL ? 0 : tree->minimum;
    dv_result result = verify_log(v, &key, NULL, NULL);
    v->folder = above;
    v->prefix = "";
    v->name = DV_LOG_MAIN;
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(&v->error, DV_ERR_CORRUPT, "the log " DV_LOG_OTHERS "/%s is not whole",
                            name);
    }
    return result;
}

/* What is in the folder of the other logs. */
static DIR *open_classes(const verification *v)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/" DV_LOG_OTHERS, v->folder);
    return len > 0 && len < PATH_MAX ? opendir(path) : NULL;
}

static bool is_class(const struct dirent *entry)
{
    return dv_log_name_is(dv_slice_str(entry->d_name));
}

static dv_result verify_classes(verification *v, const dv_note_verifier *key, dv_log_state *state)
{
    dv_result result = DV_OK;
    DIR *classes = open_classes(v);
    for (struct dirent *entry = classes == NULL ? NULL : readdir(classes);
         entry != NULL && result == DV_OK; entry = readdir(classes)) {
        if (is_class(entry)) {
            result = verify_class(v, key, entry->d_name, state);
        }
    }
    if (classes != NULL) {
        closedir(classes);
    }
    return result;
}

/* The state names every log; one whose folder is gone is missing. */
static dv_result check_classes_are_there(verification *v, const dv_log_state *state)
{
    for (size_t i = 0; i < state->tree_count; i++) {
        const char *name = state->trees[i].name;
        char path[PATH_MAX];
        int len = snprintf(path, sizeof(path), "%s/" DV_LOG_OTHERS "/%s", v->folder, name);
        if (strcmp(name, DV_LOG_MAIN) != 0 &&
            (len < 0 || len >= PATH_MAX || access(path, F_OK) != 0)) {
            return dv_error_set(&v->error, DV_ERR_CORRUPT,
                                "the log " DV_LOG_OTHERS "/%s is missing", name);
        }
    }
    return DV_OK;
}

static dv_result check_gaps(verification *v)
{
    char segment[DV_UUID_TEXT_LEN + 1];
    const dv_writer_seen *gap = v->alone ? NULL : dv_writers_first_gap(&v->writers);
    if (gap == NULL) {
        return DV_OK;
    }
    dv_uuid_format(&gap->segment, segment);
    return dv_error_set(&v->error, DV_ERR_CORRUPT,
                        "of segment %s the logs have %" PRIu64
                        " records, the last is number %" PRIu64 ": some are missing or there twice",
                        segment, gap->count, gap->largest);
}

/* -- all of it --------------------------------------------------------------------------------- */

static void note_whole(verification *v, const dv_log_state *state)
{
    v->whole = true;
    for (size_t i = 0; i < state->tree_count; i++) {
        v->whole = v->whole && state->trees[i].minimum == 0;
    }
}

static dv_result verify_all(verification *v, const dv_note_verifier *key, dv_log_state *state,
                            dv_log_progress progress, void *data)
{
    const dv_log_tree *tree = dv_log_state_tree(state, DV_LOG_MAIN);
    v->minimum = tree == NULL ? 0 : tree->minimum;
    dv_result result = verify_log(v, key, progress, data);
    if (v->checkpoint.origin[0] != '\0') {
        DV_TRY(describe(v, key));
    }
    DV_TRY(result);
    for (size_t i = 0; i < state->tree_count; i++) {
        DV_TRY(check_minimum(v, &state->trees[i]));
    }
    DV_TRY(verify_classes(v, key, state));
    DV_TRY(check_classes_are_there(v, state));
    return check_gaps(v);
}

/* -- an unpacked archive ----------------------------------------------------------------------- */

/* Writers' sequences are not looked at: their other records are elsewhere. */
static dv_result verify_archive(verification *v, const dv_note_verifier *given,
                                dv_log_progress progress, void *data)
{
    dv_note_verifier key;
    dv_archive_manifest manifest;
    DV_TRY(dv_archive_manifest_load(v->folder, &manifest, &v->error));
    DV_TRY(dv_archive_chain_folder(v->folder, &manifest, given, &key, &v->error));
    v->archive = &manifest;
    v->minimum = manifest.from;
    dv_result result = verify_log(v, &key, progress, data);
    v->archive = NULL;
    return result == DV_OK ? describe(v, &key) : result;
}

/* -- who asks ---------------------------------------------------------------------------------- */

static dv_result verify(verification *v, const dv_note_verifier *given, dv_log_progress progress,
                        void *data)
{
    dv_note_verifier key;
    DIR *classes = open_classes(v);
    v->alone = classes == NULL;
    if (classes != NULL) {
        closedir(classes);
    }
    dv_auto(free) dv_log_state *state = calloc(1, sizeof(*state));
    if (state == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(find_verifier(v, given, &key));
    DV_TRY(read_minimums(v, state));
    note_whole(v, state);
    return verify_all(v, &key, state, progress, data);
}

static void verification_free(verification *v)
{
    dv_arena_free(v->arena);
    dv_buf_release(&v->bundle);
    dv_buf_release(&v->plain);
    dv_writers_seen_release(&v->writers);
    free(v);
}
DV_DEFINE_AUTO_PTR(verification, verification, verification_free)

typedef dv_result (*verify_step)(verification *v, const dv_note_verifier *given,
                                 dv_log_progress progress, void *data);

static dv_result run(verify_step step, const char *folder, const dv_note_verifier *verifier,
                     dv_log_progress progress, void *data, dv_log_report *ret_report)
{
    *ret_report = (dv_log_report){.ok = false};
    dv_auto(verification) verification *v = calloc(1, sizeof(*v));
    if (v == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    v->folder = v->main_folder = folder;
    v->prefix = "";
    v->name = DV_LOG_MAIN;
    v->report = ret_report;
    v->bundle = dv_buf_init(DV_BUNDLE_MAX);
    v->plain = dv_buf_init(DV_BUNDLE_MAX);
    v->arena = dv_arena_new(ENTRY_ARENA);
    dv_result result = v->arena == NULL ? DV_ERR_NO_MEMORY : step(v, verifier, progress, data);
    ret_report->writers = v->writers.count;
    ret_report->ok = result == DV_OK;
    if (result != DV_OK) {
        snprintf(ret_report->problem, sizeof(ret_report->problem), "%s",
                 v->error.message[0] != '\0' ? v->error.message : dv_result_name(result));
    }
    return result;
}

dv_result dv_log_verify(const char *folder, const dv_note_verifier *verifier,
                        dv_log_progress progress, void *data, dv_log_report *ret_report)
{
    return run(verify, folder, verifier, progress, data, ret_report);
}

static dv_result verify_copy(verification *v, const dv_note_verifier *given,
                             dv_log_progress progress, void *data)
{
    v->copy = true;
    return verify(v, given, progress, data);
}

dv_result dv_log_verify_copy(const char *folder, const dv_note_verifier *verifier,
                             dv_log_progress progress, void *data, dv_log_report *ret_report)
{
    return run(verify_copy, folder, verifier, progress, data, ret_report);
}

dv_result dv_log_verify_archive(const char *folder, const dv_note_verifier *verifier,
                                dv_log_progress progress, void *data, dv_log_report *ret_report)
{
    return run(verify_archive, folder, verifier, progress, data, ret_report);
}
