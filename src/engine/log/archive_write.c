/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "engine/log/archive_private.h"
#include "engine/log/archive_seal.h"
#include "engine/log/blob_check.h"
#include "engine/log/pack.h"
#include "engine/log/rotation.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEVEL = 6 /* of zstd */, FILE_MODE = 0600, FOLDER_MODE = 0700, ENTRY_ARENA = 8 << 20 };

typedef struct archiving {
    const dv_archive_source *source;
    dv_archive_manifest manifest;
    dv_note_verifier key;
    dv_buf note;
    dv_checkpoint checkpoint;
    dv_frontier frontier;
    dv_pack_reader *packs;
    dv_buf bundle;
    dv_blob_check blobs;
    dv_arena *arena; /* for one entry */
    dv_tar_writer *tar;
    dv_log_progress progress;
    void *progress_data;
    dv_error *error;
} archiving;

/* -- what it is under -------------------------------------------------------------------------- */

/* Reads a signed note of the folder, which covers the entries. */
static dv_result read_note(archiving *a, const char *name, dv_error *error)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s", a->source->folder, name);
    if (len < 0 || len >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", a->source->folder);
    }
    dv_buf_clear(&a->note);
    DV_TRY(dv_file_read(path, &a->note, error));
    return dv_checkpoint_open(dv_buf_slice(&a->note), &a->key, &a->checkpoint);
}

/* The one that witnesses cosigned, if it goes that far. */
static dv_result find_checkpoint(archiving *a)
{
    if (read_note(a, "checkpoint.cosigned", NULL) == DV_OK && a->checkpoint.size >= a->source->to) {
        return DV_OK;
    }
    dv_result result = read_note(a, "checkpoint", a->error);
    return result == DV_OK || result == DV_ERR_NOT_FOUND
               ? result
               : dv_error_set(a->error, result, "%s/checkpoint is not signed by %s",
                              a->source->folder, a->key.name);
}

static dv_result describe(archiving *a)
{
    const dv_archive_source *source = a->source;
    if (!dv_archive_range_is(source->from, source->to, a->checkpoint.size)) {
        return dv_error_set(a->error, DV_ERR_INVALID,
                            "entries %" PRIu64 " to %" PRIu64
                            " can not be archived: the first is a multiple of %d, the end one of "
                            "%d, or all that the checkpoint covers, which is %" PRIu64,
                            source->from, source->to, DV_PACK_LEAVES, DV_TILE_WIDTH,
                            a->checkpoint.size);
    }
    a->manifest = (dv_archive_manifest){.from = source->from, .to = source->to};
    memcpy(a->manifest.origin, a->checkpoint.origin, sizeof(a->manifest.origin));
    dv_slice_copy(dv_slice_str(source->log), a->manifest.log, sizeof(a->manifest.log));
    if (source->to == a->checkpoint.size) {
        return DV_OK;
    }
    return dv_tiles_consistency(source->folder, source->to, a->checkpoint.size, a->manifest.proof,
                                &a->manifest.proof_len, a->error);
}

static const char *main_folder(const archiving *a)
{
    return a->source->main_folder != NULL ? a->source->main_folder : a->source->folder;
}

static dv_result prepare(archiving *a)
{
    if (!dv_log_name_is(dv_slice_str(a->source->log))) {
        return dv_error_set(a->error, DV_ERR_INVALID, "there is no log of that name");
    }
    if (a->source->key != NULL) {
        a->key = *a->source->key;
    } else {
        DV_TRY(dv_tiles_vkey(a->source->folder, &a->key, a->error));
    }
    DV_TRY(find_checkpoint(a));
    DV_TRY(describe(a));
    DV_TRY(dv_archive_chain_find(main_folder(a), &a->key, &a->manifest, a->error));
    DV_TRY(dv_pack_reader_new(a->source->folder, &a->packs));
    /* What one commit brought lies in one file, so to its end. */
    return dv_blob_check_open(a->source->folder, "", a->source->from, a->checkpoint.size, &a->blobs,
                              a->error);
}

/* -- writing ----------------------------------------------------------------------------------- */

static dv_result put_tile(archiving *a, int level, uint64_t index, uint32_t width,
                          const dv_hash *hashes)
{
    char name[DV_TILE_PATH_MAX];
    dv_tile_path(level, index, width, name);
    return dv_tar_add(a->tar, name, dv_slice_of(hashes, width * sizeof(*hashes)), a->error);
}

static dv_result put_full_tile(void *data, int level, uint64_t index, const dv_hash *hashes)
{
    return level == 0 ? DV_OK : put_tile(data, level, index, DV_TILE_WIDTH, hashes);
}

static dv_result put_head(archiving *a)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_ARCHIVE_MANIFEST_MAX);
    DV_TRY(dv_archive_manifest_format(&a->manifest, &text));
    DV_TRY(dv_tar_add(a->tar, DV_ARCHIVE_MANIFEST, dv_buf_slice(&text), a->error));
    DV_TRY(dv_tar_add(a->tar, "checkpoint", dv_buf_slice(&a->note), a->error));
    dv_buf_clear(&text);
    DV_TRY(dv_note_verifier_format(&a->key, &text));
    DV_TRY(dv_buf_append_byte(&text, '\n'));
    return dv_tar_add(a->tar, "vkey", dv_buf_slice(&text), a->error);
}

static dv_result put_copy(archiving *a, const char *folder, const char *name, size_t most)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf bytes = dv_buf_init(most);
    int len = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (len < 0 || len >= PATH_MAX) {
        return dv_error_set(a->error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
    }
    DV_TRY(dv_file_read(path, &bytes, a->error));
    return dv_tar_add(a->tar, name, dv_buf_slice(&bytes), a->error);
}

/* Reading the archive back checks what they show. */
static dv_result put_rotated(archiving *a)
{
    char event[DV_ROTATION_NAME_MAX], proof[DV_ROTATION_NAME_MAX];
    for (size_t i = 0; i < a->manifest.rotated_len; i++) {
        dv_rotation_names(a->manifest.rotated[i], event, proof);
        DV_TRY(put_copy(a, main_folder(a), event, UINT16_MAX));
        DV_TRY(put_copy(a, main_folder(a), proof, DV_TLOG_PROOF_MAX));
    }
    return DV_OK;
}

static dv_result put_tiles_before(archiving *a)
{
    dv_archive_frontier_place(&a->frontier, a->manifest.from);
    for (int level = 1; level < DV_TILE_LEVELS; level++) {
        dv_frontier_tile *tile = &a->frontier.levels[level];
        if (tile->width > 0) {
            DV_TRY(dv_tile_read(a->source->folder, level, tile->index, tile->width, tile->hashes,
                                a->error));
            DV_TRY(put_tile(a, level, tile->index, tile->width, tile->hashes));
        }
    }
    return DV_OK;
}

/* As a log's folder has it, in a file of its own: what was committed together is not proved. */
static dv_result put_blob(archiving *a, uint64_t index, dv_slice stored)
{
    uint8_t head[DV_BLOB_FRAME_HEAD];
    char name[DV_BLOB_NAME_MAX];
    dv_blob_name(index, name);
    dv_blob_frame_head(index, stored.len, head);
    DV_TRY(dv_tar_begin(a->tar, name, sizeof(head) + stored.len, a->error));
    DV_TRY(dv_tar_put(a->tar, dv_slice_of(head, sizeof(head)), a->error));
    return dv_tar_put(a->tar, stored, a->error);
}

static dv_result put_blobs(archiving *a, uint64_t at, uint32_t width)
{
    dv_slice entry, stored, rest = dv_buf_slice(&a->bundle);
    for (uint32_t i = 0; i < width; i++) {
        DV_TRY(dv_bundle_next(&rest, &entry));
        DV_TRY(dv_blob_check_entry(&a->blobs, at + i, entry, a->arena, &stored, a->error));
        dv_arena_reset(a->arena);
        if (stored.len > 0) {
            DV_TRY(put_blob(a, at + i, stored));
        }
    }
    return DV_OK;
}

static dv_result put_bundle(archiving *a, uint64_t at, uint32_t width)
{
    dv_slice entry;
    char name[DV_TILE_PATH_MAX];
    dv_tile_path(DV_TILE_ENTRIES, at / DV_TILE_WIDTH, width, name);
    dv_buf_clear(&a->bundle);
    DV_TRY(dv_bundle_read(a->source->folder, a->packs, at / DV_TILE_WIDTH, width, &a->bundle,
                          a->error));
    DV_TRY(dv_tar_add(a->tar, name, dv_buf_slice(&a->bundle), a->error));
    dv_slice rest = dv_buf_slice(&a->bundle);
    for (uint32_t i = 0; i < width; i++) {
        DV_TRY(dv_bundle_next(&rest, &entry));
        dv_hash leaf = dv_merkle_leaf(entry);
        DV_TRY(dv_frontier_add(&a->frontier, &leaf, put_full_tile, a));
    }
    return put_blobs(a, at, width);
}

static dv_result put_entries(archiving *a)
{
    uint64_t to = a->manifest.to, from = a->manifest.from;
    for (uint64_t at = from; at < to;) {
        uint32_t width = (uint32_t)DV_MIN(to - at, (uint64_t)DV_TILE_WIDTH);
        DV_TRY(put_bundle(a, at, width));
        at += width;
        if (a->progress != NULL) {
            a->progress(a->progress_data, at - from, to - from);
        }
    }
    return DV_OK;
}

static dv_result put_edge(archiving *a)
{
    for (int level = 1; level < DV_TILE_LEVELS; level++) {
        const dv_frontier_tile *tile = &a->frontier.levels[level];
        if (tile->width > 0 && !dv_archive_tile_stays(&a->manifest, level)) {
            DV_TRY(put_tile(a, level, tile->index, tile->width, tile->hashes));
        }
    }
    return DV_OK;
}

static dv_result to_file(void *data, dv_slice bytes, dv_error *error)
{
    return dv_archive_file_put(data, bytes, error);
}

static dv_result write_all(archiving *a, int fd, const char *path)
{
    dv_archive_file file;
    DV_TRY(dv_archive_file_init(fd, path, &file));
    dv_tar_sink sink = {.put = to_file, .data = &file};
    dv_result result = dv_tar_writer_new(&sink, LEVEL, &a->tar);
    dv_result (*const steps[])(archiving *) = {put_head, put_rotated, put_tiles_before, put_entries,
                                               put_edge};
    for (size_t i = 0; i < DV_ARRAY_LEN(steps) && result == DV_OK; i++) {
        result = steps[i](a);
    }
    if (result == DV_OK) {
        result = dv_tar_finish(a->tar, a->error);
    }
    if (result == DV_OK) {
        result = dv_archive_file_finish(&file, a->error);
    }
    dv_archive_file_release(&file);
    return result;
}

/* -- the file ---------------------------------------------------------------------------------- */

typedef struct places {
    char path[PATH_MAX];
    char part[PATH_MAX]; /* until it is whole */
} places;

static dv_result name_files(const archiving *a, const char *folder, places *ret_places)
{
    enum { DIGITS = 20 };
    char name[DV_LOG_NAME_MAX + 2 * DIGITS + 16];
    snprintf(name, sizeof(name), "%s-%0*" PRIu64 "-%0*" PRIu64 DV_ARCHIVE_ENDING, a->manifest.log,
             DIGITS, a->manifest.from, DIGITS, a->manifest.to);
    int len = snprintf(ret_places->path, PATH_MAX, "%s/%s", folder, name);
    int part = snprintf(ret_places->part, PATH_MAX, "%s/.%s.part", folder, name);
    return len > 0 && part < PATH_MAX
               ? DV_OK
               : dv_error_set(a->error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
}

static dv_result file_error(const char *path, dv_error *error)
{
    dv_result result = errno == ENOSPC || errno == EDQUOT ? DV_ERR_UNAVAILABLE : DV_ERR_IO;
    return dv_error_set(error, result, "can not write %s: %s", path, strerror(errno));
}

/* Opens what an attempt before may have left, if it is ours alone: what somebody else holds open he
 * could change once it is verified. Only one process writes it at a time; whoever waits
 * for the lock may hold the file that got its name meanwhile. */
static dv_result open_part(const char *path, int *ret_fd, dv_error *error)
{
    struct stat mine, named;
    dv_auto(fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0) {
        return file_error(path, error);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &mine) != 0 || stat(path, &named) != 0 ||
        mine.st_ino != named.st_ino || mine.st_dev != named.st_dev) {
        return dv_error_set(error, DV_ERR_CONFLICT, "another process is writing this archive");
    }
    if (mine.st_uid != geteuid() || (mine.st_mode & 0022) != 0 || mine.st_nlink != 1) {
        return dv_error_set(error, DV_ERR_CONFLICT, "%s is there and not ours alone: remove it",
                            path);
    }
    if (ftruncate(fd, 0) != 0) {
        return file_error(path, error);
    }
    *ret_fd = fd;
    fd = -1;
    return DV_OK;
}

static dv_result sync_folder(const char *folder, dv_error *error)
{
    dv_auto(fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) != 0 ? file_error(folder, error) : DV_OK;
}

/* Is what was written what the log has? */
static dv_result check_report(const archiving *a, const dv_archive_report *report)
{
    dv_hash root, mine = dv_frontier_root(&a->frontier);
    bool same = strcmp(report->origin, a->manifest.origin) == 0 &&
                strcmp(report->log, a->manifest.log) == 0 && report->from == a->manifest.from &&
                report->to == a->manifest.to;
    root = report->prefix;
    return same && dv_hash_eq(&root, &mine)
               ? DV_OK
               : dv_error_set(a->error, DV_ERR_CORRUPT, "it holds something else");
}

static dv_result verify_part(archiving *a, int fd, dv_archive_report *ret_report)
{
    dv_error detail = {0};
    dv_archive_visitor visitor = {.progress = a->progress, .progress_data = a->progress_data};
    dv_result result = dv_archive_walk(fd, &a->key, &visitor, ret_report, &detail);
    if (result != DV_OK) {
        return dv_error_set(a->error, result,
                            "the archive does not verify as it was read back (%s): check the log "
                            "with `dvara audit verify`, and the disk",
                            detail.message[0] != '\0' ? detail.message : dv_result_name(result));
    }
    return check_report(a, ret_report);
}

static dv_result write_part(archiving *a, const places *where, dv_archive_report *ret_report)
{
    dv_auto(fd) int fd = -1;
    DV_TRY(open_part(where->part, &fd, a->error));
    dv_result result = write_all(a, fd, where->part);
    if (result == DV_OK) {
        result = verify_part(a, fd, ret_report);
    }
    if (result == DV_OK && rename(where->part, where->path) != 0) {
        result = file_error(where->path, a->error);
    }
    if (result != DV_OK) {
        unlink(where->part);
    }
    return result;
}

/* -- one that is there already ----------------------------------------------------------------- */

/* The tree that its entries must be the beginning of, by what this folder says. */
static dv_result check_there(archiving *a, const places *where, dv_archive_report *ret_report)
{
    dv_hash root;
    dv_error detail = {0};
    dv_result result =
        dv_archive_verify(where->path, &a->key, a->progress, a->progress_data, ret_report, &detail);
    if (result == DV_OK) {
        DV_TRY(dv_tiles_root(a->source->folder, a->manifest.to, &root, a->error));
        bool same = ret_report->from == a->manifest.from && ret_report->to == a->manifest.to &&
                    strcmp(ret_report->log, a->manifest.log) == 0;
        result = same && dv_hash_eq(&root, &ret_report->prefix) ? DV_OK : DV_ERR_CONFLICT;
    }
    return result == DV_OK
               ? DV_OK
               : dv_error_set(a->error, DV_ERR_CONFLICT,
                              "%s is there and is not this archive (%s): move it away", where->path,
                              detail.message[0] != '\0' ? detail.message : "other entries");
}

static dv_result keep(archiving *a, const char *output_dir, dv_archive_report *ret_report)
{
    places where;
    DV_TRY(prepare(a));
    DV_TRY(dv_dir_make(output_dir, FOLDER_MODE, a->error));
    DV_TRY(name_files(a, output_dir, &where));
    dv_archive_report report = {.from = 0};
    if (access(where.path, F_OK) == 0) {
        DV_TRY(check_there(a, &where, &report));
    } else {
        DV_TRY(write_part(a, &where, &report));
        DV_TRY(sync_folder(output_dir, a->error));
    }
    memcpy(report.path, where.path, sizeof(report.path));
    *ret_report = report;
    return DV_OK;
}

static void archiving_free(archiving *a)
{
    dv_tar_writer_free(a->tar);
    dv_pack_reader_free(a->packs);
    dv_blob_check_close(&a->blobs);
    dv_arena_free(a->arena);
    dv_buf_release(&a->note);
    dv_buf_release(&a->bundle);
    free(a);
}
DV_DEFINE_AUTO_PTR(archiving, archiving, archiving_free)

dv_result dv_archive_keep(const dv_archive_source *source, const char *output_dir,
                          dv_log_progress progress, void *data, dv_archive_report *ret_report,
                          dv_error *error)
{
    dv_error unread = {0};
    dv_auto(archiving) archiving *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    a->source = source;
    a->note = dv_buf_init(DV_NOTE_MAX);
    a->bundle = dv_buf_init(DV_BUNDLE_MAX);
    a->progress = progress;
    a->progress_data = data;
    a->error = error != NULL ? error : &unread;
    a->arena = dv_arena_new(ENTRY_ARENA);
    if (a->arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    return keep(a, output_dir, ret_report);
}
