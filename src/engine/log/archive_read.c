/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/archive_private.h"
#include "engine/log/archive_seal.h"
#include "engine/log/blob_entry.h"
#include "engine/log/blob_store.h"
#include "engine/log/entry.h"
#include "engine/log/rotation.h"
#include "engine/log/sequencer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRY_ARENA = 8 << 20 };

typedef struct walk {
    dv_tar_reader *tar;
    const dv_note_verifier *key; /* that must have signed it; NULL: its own */
    const dv_archive_visitor *visitor;
    dv_archive_report *report;
    dv_archive_manifest manifest;
    dv_checkpoint checkpoint;
    dv_frontier frontier;
    dv_buf bytes; /* of a small file */
    dv_buf note;
    dv_buf bundle;
    dv_buf blob;
    dv_arena *arena;        /* for one entry */
    dv_archive_chain chain; /* of keys */
    dv_error *error;
} walk;

static dv_result corrupt(const walk *w, const char *what)
{
    return dv_error_set(w->error, DV_ERR_CORRUPT, "%s", what);
}

/* -- files ------------------------------------------------------------------------------------- */

/* The next file must be that one. */
static dv_result expect(walk *w, const char *wanted, uint64_t most, uint64_t *ret_size)
{
    char name[DV_TAR_NAME_MAX + 1];
    dv_result result = dv_tar_next(w->tar, name, ret_size, w->error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(w->error, DV_ERR_CORRUPT, "it ends where its file %s should be",
                            wanted);
    }
    DV_TRY(result);
    if (strcmp(name, wanted) != 0) {
        return dv_error_set(w->error, DV_ERR_CORRUPT, "its file %s stands where %s should be", name,
                            wanted);
    }
    return *ret_size <= most
               ? DV_OK
               : dv_error_set(w->error, DV_ERR_CORRUPT,
                              "its file %s has %" PRIu64 " bytes, and may have %" PRIu64, wanted,
                              *ret_size, most);
}

static dv_result take_file(walk *w, const char *name, uint64_t most, dv_buf *out)
{
    uint64_t size;
    dv_buf_clear(out);
    DV_TRY(expect(w, name, most, &size));
    return dv_tar_get_all(w->tar, out, w->error);
}

static dv_result hand_on(walk *w, const char *name, const dv_buf *bytes)
{
    const dv_archive_visitor *visitor = w->visitor;
    return visitor->file == NULL
               ? DV_OK
               : visitor->file(visitor->data, name, dv_buf_slice(bytes), w->error);
}

/* -- who signed it ----------------------------------------------------------------------------- */

/* Its own key must have signed, so that no byte of that is without meaning. */
static dv_result check_key(walk *w)
{
    dv_note_verifier own;
    dv_slice line = dv_buf_slice(&w->bytes);
    dv_auto(buf) dv_buf again = dv_buf_init(DV_NOTE_NAME_MAX + 128);
    bool good = line.len > 0 && line.ptr[line.len - 1] == '\n' &&
                dv_note_verifier_parse(dv_slice_sub(line, 0, line.len - 1), &own) == DV_OK &&
                dv_note_verifier_format(&own, &again) == DV_OK;
    if (!good || !dv_slice_eq(dv_buf_slice(&again), dv_slice_sub(line, 0, line.len - 1))) {
        return corrupt(w, "its file vkey is no verifier key");
    }
    dv_result result = dv_checkpoint_open(dv_buf_slice(&w->note), &own, &w->checkpoint);
    if (result != DV_OK) {
        return result == DV_ERR_NO_MEMORY
                   ? result
                   : dv_error_set(w->error, DV_ERR_CORRUPT,
                                  "its checkpoint is not signed by %s, its file vkey", own.name);
    }
    dv_slice_copy(dv_buf_slice(&again), w->report->signer, sizeof(w->report->signer));
    return dv_archive_chain_begin(&w->manifest, dv_buf_slice(&w->note), &own, w->key, &w->chain,
                                  w->error);
}

/* A class' log is named behind the main one's. */
static bool names_agree(const dv_archive_manifest *manifest)
{
    char ending[DV_LOG_NAME_MAX + 2];
    snprintf(ending, sizeof(ending), "/%s", manifest->log);
    return strcmp(manifest->log, DV_LOG_MAIN) == 0 ||
           dv_slice_ends_with(dv_slice_str(manifest->origin), dv_slice_str(ending));
}

static dv_result check_manifest(walk *w)
{
    const dv_archive_manifest *m = &w->manifest;
    if (strcmp(m->origin, w->checkpoint.origin) != 0 || !names_agree(m)) {
        return corrupt(w, "it says that it is of another log than its checkpoint");
    }
    if (!dv_archive_range_is(m->from, m->to, w->checkpoint.size)) {
        return corrupt(w, "it says that it holds entries that no archive under its checkpoint has");
    }
    memcpy(w->report->origin, m->origin, sizeof(m->origin));
    memcpy(w->report->log, m->log, sizeof(m->log));
    w->report->from = m->from;
    w->report->to = m->to;
    w->report->size = w->checkpoint.size;
    w->report->root = w->checkpoint.root;
    return DV_OK;
}

static dv_result take_head(walk *w)
{
    dv_auto(buf) dv_buf manifest = dv_buf_init(DV_ARCHIVE_MANIFEST_MAX);
    DV_TRY(take_file(w, DV_ARCHIVE_MANIFEST, DV_ARCHIVE_MANIFEST_MAX, &manifest));
    DV_TRY(dv_archive_manifest_parse(dv_buf_slice(&manifest), &w->manifest, w->error));
    DV_TRY(take_file(w, "checkpoint", DV_NOTE_MAX, &w->note));
    DV_TRY(take_file(w, "vkey", DV_NOTE_NAME_MAX + 128, &w->bytes));
    DV_TRY(check_key(w));
    DV_TRY(check_manifest(w));
    DV_TRY(hand_on(w, DV_ARCHIVE_MANIFEST, &manifest));
    DV_TRY(hand_on(w, "checkpoint", &w->note));
    return hand_on(w, "vkey", &w->bytes);
}

static dv_result take_rotated(walk *w)
{
    char event[DV_ROTATION_NAME_MAX], proof[DV_ROTATION_NAME_MAX];
    dv_auto(buf) dv_buf first = dv_buf_init(UINT16_MAX), second = dv_buf_init(DV_TLOG_PROOF_MAX);
    for (size_t i = 0; i < w->manifest.rotated_len; i++) {
        dv_rotation_names(w->manifest.rotated[i], event, proof);
        DV_TRY(take_file(w, event, UINT16_MAX, &first));
        DV_TRY(take_file(w, proof, DV_TLOG_PROOF_MAX, &second));
        DV_TRY(dv_archive_chain_step(&w->chain, i, dv_buf_slice(&first), dv_buf_slice(&second),
                                     w->error));
        DV_TRY(hand_on(w, event, &first));
        DV_TRY(hand_on(w, proof, &second));
    }
    return dv_archive_chain_end(&w->chain, w->error);
}

/* -- tiles ------------------------------------------------------------------------------------- */

static dv_result take_tile(walk *w, int level, uint64_t index, uint32_t width)
{
    char name[DV_TILE_PATH_MAX];
    size_t len = (size_t)width * DV_HASH_LEN;
    dv_tile_path(level, index, width, name);
    DV_TRY(take_file(w, name, len, &w->bytes));
    return w->bytes.len == len
               ? DV_OK
               : dv_error_set(w->error, DV_ERR_CORRUPT, "its file %s is too short", name);
}

static dv_result take_tiles_before(walk *w)
{
    char name[DV_TILE_PATH_MAX];
    dv_archive_frontier_place(&w->frontier, w->manifest.from);
    for (int level = 1; level < DV_TILE_LEVELS; level++) {
        dv_frontier_tile *tile = &w->frontier.levels[level];
        if (tile->width > 0) {
            DV_TRY(take_tile(w, level, tile->index, tile->width));
            memcpy(tile->hashes, w->bytes.ptr, w->bytes.len);
            dv_tile_path(level, tile->index, tile->width, name);
            DV_TRY(hand_on(w, name, &w->bytes));
        }
    }
    return DV_OK;
}

/* The next file must be the tile that the entries give. */
static dv_result compare_tile(walk *w, int level, uint64_t index, const dv_hash *hashes,
                              uint32_t width)
{
    char name[DV_TILE_PATH_MAX];
    dv_tile_path(level, index, width, name);
    DV_TRY(take_tile(w, level, index, width));
    for (uint32_t i = 0; i < width; i++) {
        if (memcmp(w->bytes.ptr + (size_t)i * DV_HASH_LEN, &hashes[i], DV_HASH_LEN) != 0) {
            uint64_t first = (index * DV_TILE_WIDTH + i) << (DV_TILE_HEIGHT * level);
            return dv_error_set(w->error, DV_ERR_CORRUPT,
                                "the entries from %" PRIu64 " on do not give hash %" PRIu32
                                " of its file %s",
                                first, i, name);
        }
    }
    return hand_on(w, name, &w->bytes);
}

static dv_result compare_full_tile(void *data, int level, uint64_t index, const dv_hash *hashes)
{
    return level == 0 ? DV_OK : compare_tile(data, level, index, hashes, DV_TILE_WIDTH);
}

static dv_result take_edge(walk *w)
{
    for (int level = 1; level < DV_TILE_LEVELS; level++) {
        const dv_frontier_tile *tile = &w->frontier.levels[level];
        if (tile->width > 0 && !dv_archive_tile_stays(&w->manifest, level)) {
            DV_TRY(compare_tile(w, level, tile->index, tile->hashes, tile->width));
        }
    }
    w->report->prefix = dv_frontier_root(&w->frontier);
    return dv_archive_prove(&w->manifest, &w->report->prefix, &w->checkpoint, w->error);
}

/* -- entries ----------------------------------------------------------------------------------- */

static void note_time(dv_archive_report *report, dv_slice entry)
{
    int64_t time = dv_entry_time(entry);
    if (time == 0) {
        return;
    }
    report->earliest_ms = report->earliest_ms == 0 ? time : DV_MIN(report->earliest_ms, time);
    report->latest_ms = report->latest_ms == 0 ? time : DV_MAX(report->latest_ms, time);
}

static dv_result hash_bundle(walk *w, const char *name, uint32_t width)
{
    dv_slice entry, rest = dv_buf_slice(&w->bundle);
    for (uint32_t i = 0; i < width; i++) {
        if (dv_bundle_next(&rest, &entry) != DV_OK) {
            return dv_error_set(w->error, DV_ERR_CORRUPT,
                                "its file %s is not made of %" PRIu32 " entries", name, width);
        }
        note_time(w->report, entry);
        w->report->unpacked += entry.len;
        dv_hash leaf = dv_merkle_leaf(entry);
        DV_TRY(dv_frontier_add(&w->frontier, &leaf, compare_full_tile, w));
    }
    return rest.len == 0 ? DV_OK
                         : dv_error_set(w->error, DV_ERR_CORRUPT,
                                        "something stands behind the entries of its file %s", name);
}

/* -- large fields ------------------------------------------------------------------------------ */

static dv_result missing_blob(walk *w, uint64_t index, const char *found)
{
    return dv_error_set(w->error, DV_ERR_CORRUPT,
                        "the large field of entry %" PRIu64 " is missing: its file %s stands where "
                        "that should be",
                        index, found);
}

/* The next file must be that large field. */
static dv_result take_blob(walk *w, uint64_t index, const dv_blob_ref *ref)
{
    uint64_t size;
    char wanted[DV_BLOB_NAME_MAX], name[DV_TAR_NAME_MAX + 1];
    uint8_t head[DV_BLOB_FRAME_HEAD];
    dv_blob_name(index, wanted);
    dv_result result = dv_tar_next(w->tar, name, &size, w->error);
    if (result == DV_ERR_NOT_FOUND || (result == DV_OK && strcmp(name, wanted) != 0)) {
        return missing_blob(w, index, result == DV_OK ? name : "end");
    }
    DV_TRY(result);
    dv_buf_clear(&w->blob);
    dv_blob_frame_head(index, ref->stored, head);
    if (size != sizeof(head) + ref->stored) {
        return dv_error_set(w->error, DV_ERR_CORRUPT,
                            "its file %s is not as long as entry %" PRIu64 " says", name, index);
    }
    DV_TRY(dv_tar_get_all(w->tar, &w->blob, w->error));
    dv_slice bytes = dv_buf_slice(&w->blob);
    if (!dv_slice_eq(dv_slice_sub(bytes, 0, sizeof(head)), dv_slice_of(head, sizeof(head))) ||
        !dv_blob_fits(ref, dv_slice_sub(bytes, sizeof(head), bytes.len))) {
        return dv_error_set(w->error, DV_ERR_CORRUPT,
                            "its file %s is not the large field that entry %" PRIu64 " names", name,
                            index);
    }
    w->report->blobs++;
    return hand_on(w, name, &w->blob);
}

static dv_result take_blobs(walk *w, uint64_t at, uint32_t width)
{
    dv_blob_place place;
    dv_slice entry, rest = dv_buf_slice(&w->bundle);
    for (uint32_t i = 0; i < width; i++) {
        DV_TRY(dv_bundle_next(&rest, &entry));
        bool has = dv_blob_find(entry, w->arena, &place);
        dv_arena_reset(w->arena);
        if (has) {
            DV_TRY(take_blob(w, at + i, &place.ref));
        }
    }
    return DV_OK;
}

/* Handed on before its hash is checked: what is made of it counts only once all is read. */
static dv_result take_bundle(walk *w, uint64_t at, uint32_t width)
{
    char name[DV_TILE_PATH_MAX];
    const dv_archive_visitor *visitor = w->visitor;
    dv_tile_path(DV_TILE_ENTRIES, at / DV_TILE_WIDTH, width, name);
    DV_TRY(take_file(w, name, DV_BUNDLE_MAX, &w->bundle));
    DV_TRY(hash_bundle(w, name, width));
    DV_TRY(take_blobs(w, at, width));
    return visitor->bundle == NULL ? DV_OK
                                   : visitor->bundle(visitor->data, &w->manifest, at, width,
                                                     dv_buf_slice(&w->bundle), w->error);
}

static dv_result take_entries(walk *w)
{
    uint64_t from = w->manifest.from, to = w->manifest.to;
    for (uint64_t at = from; at < to;) {
        uint32_t width = (uint32_t)DV_MIN(to - at, (uint64_t)DV_TILE_WIDTH);
        DV_TRY(take_bundle(w, at, width));
        at += width;
        if (w->visitor->progress != NULL) {
            w->visitor->progress(w->visitor->progress_data, at - from, to - from);
        }
    }
    return DV_OK;
}

static dv_result take_end(walk *w)
{
    char name[DV_TAR_NAME_MAX + 1];
    uint64_t size;
    dv_result result = dv_tar_next(w->tar, name, &size, w->error);
    if (result == DV_ERR_NOT_FOUND) {
        return DV_OK;
    }
    return result != DV_OK
               ? result
               : dv_error_set(w->error, DV_ERR_CORRUPT, "it holds a file %s more", name);
}

/* -- the whole --------------------------------------------------------------------------------- */

static void walk_free(walk *w)
{
    dv_tar_reader_free(w->tar);
    dv_buf_release(&w->bytes);
    dv_buf_release(&w->note);
    dv_buf_release(&w->bundle);
    dv_buf_release(&w->blob);
    dv_arena_free(w->arena);
    free(w);
}
DV_DEFINE_AUTO_PTR(walk, walk, walk_free)

dv_result dv_archive_walk_source(const dv_tar_source *source, const dv_note_verifier *key,
                                 const dv_archive_visitor *visitor, dv_archive_report *report,
                                 dv_error *error)
{
    dv_result (*const steps[])(walk *) = {take_head,    take_rotated, take_tiles_before,
                                          take_entries, take_edge,    take_end};
    dv_auto(walk) walk *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    w->key = key;
    w->visitor = visitor;
    w->report = report;
    w->error = error;
    w->bytes = dv_buf_init(DV_TILE_WIDTH * DV_HASH_LEN);
    w->note = dv_buf_init(DV_NOTE_MAX);
    w->bundle = dv_buf_init(DV_BUNDLE_MAX);
    w->blob = dv_buf_init(DV_BLOB_FRAME_HEAD + DV_BLOB_STORED_MAX);
    w->arena = dv_arena_new(ENTRY_ARENA);
    if (w->arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_tar_reader_new(source, &w->tar));
    for (size_t i = 0; i < DV_ARRAY_LEN(steps); i++) {
        DV_TRY(steps[i](w));
    }
    return DV_OK;
}

typedef struct file_source {
    int fd;
    uint64_t at, end;
} file_source;

static dv_result from_file(void *data, uint8_t *out, size_t room, size_t *ret_len, dv_error *error)
{
    file_source *source = data;
    size_t wanted = (size_t)DV_MIN(source->end - source->at, (uint64_t)room);
    DV_TRY(dv_archive_read_at(source->fd, source->at, out, wanted, ret_len, error));
    source->at += *ret_len;
    return DV_OK;
}

dv_result dv_archive_walk(int fd, const dv_note_verifier *key, const dv_archive_visitor *visitor,
                          dv_archive_report *ret_report, dv_error *error)
{
    struct stat about;
    file_source file = {.fd = fd};
    dv_archive_report report = {.from = 0};
    dv_tar_source source = {.get = from_file, .data = &file};
    DV_TRY(dv_archive_seal_check(fd, &file.end, error));
    DV_TRY(dv_archive_walk_source(&source, key, visitor, &report, error));
    report.bytes = fstat(fd, &about) == 0 ? (uint64_t)about.st_size : 0;
    *ret_report = report;
    return DV_OK;
}

dv_result dv_archive_verify(const char *path, const dv_note_verifier *key, dv_log_progress progress,
                            void *data, dv_archive_report *ret_report, dv_error *error)
{
    dv_archive_report report;
    dv_error detail = {0};
    dv_archive_visitor visitor = {.progress = progress, .progress_data = data};
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return dv_error_set(error, errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO, "%s: %s", path,
                            strerror(errno));
    }
    dv_result result = dv_archive_walk(fd, key, &visitor, &report, &detail);
    if (result != DV_OK) {
        return dv_error_set(error, result, "%s: %s", path,
                            detail.message[0] != '\0' ? detail.message : dv_result_name(result));
    }
    snprintf(report.path, sizeof(report.path), "%s", path);
    *ret_report = report;
    return DV_OK;
}
