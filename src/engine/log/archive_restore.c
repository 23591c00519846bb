/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "engine/log/archive_private.h"
#include "engine/log/catalogue.h"
#include "engine/log/folder.h"
#include "engine/log/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_MODE = 0644, FOLDER_MODE = 0700, PACK_LEVEL = 3 /* of zstd, as the log's own */ };

typedef struct restoring {
    char folder[PATH_MAX]; /* until it is whole */
    dv_block_builder *builder;
    dv_buf block;
    uint64_t packed; /* entries before it are in packs */
    dv_error *error;
} restoring;

/* -- into the folder --------------------------------------------------------------------------- */

static dv_result put_file(void *data, const char *name, dv_slice bytes, dv_error *error)
{
    const restoring *r = data;
    return dv_folder_put(r->folder, name, bytes, FILE_MODE, error);
}

static dv_result finish_block(restoring *r, uint64_t number, dv_error *error)
{
    dv_buf_clear(&r->block);
    DV_TRY(dv_block_builder_finish(r->builder, number * DV_BLOCK_LEAVES, PACK_LEVEL, &r->block));
    DV_TRY(dv_pack_append(r->folder, number, dv_buf_slice(&r->block), error));
    dv_block_builder_clear(r->builder);
    return DV_OK;
}

/* Entries of whole blocks go into packs, those behind them stay in bundles. */
static dv_result put_bundle(void *data, const dv_archive_manifest *manifest, uint64_t from,
                            uint32_t width, dv_slice bytes, dv_error *error)
{
    restoring *r = data;
    dv_slice entry;
    char name[DV_TILE_PATH_MAX];
    r->packed = manifest->to - manifest->to % DV_BLOCK_LEAVES;
    if (from >= r->packed) {
        dv_tile_path(DV_TILE_ENTRIES, from / DV_TILE_WIDTH, width, name);
        return put_file(r, name, bytes, error);
    }
    while (bytes.len > 0) {
        DV_TRY(dv_bundle_next(&bytes, &entry));
        DV_TRY(dv_block_builder_add(r->builder, entry));
    }
    return dv_block_builder_count(r->builder) == DV_BLOCK_LEAVES
               ? finish_block(r, from / DV_BLOCK_LEAVES, error)
               : DV_OK;
}

static dv_result make_catalogue(const restoring *r, uint64_t from)
{
    dv_auto(catalogue) dv_catalogue *catalogue = NULL;
    DV_TRY(dv_catalogue_open(r->folder, &catalogue, r->error));
    return dv_catalogue_update(catalogue, r->packed, from, r->error);
}

/* What lies on the disk now must be what the archive proved. */
static dv_result check_folder(const restoring *r, const dv_note_verifier *key)
{
    dv_log_report report;
    dv_result result = dv_log_verify_archive(r->folder, key, NULL, NULL, &report);
    return result == DV_OK ? DV_OK
                           : dv_error_set(r->error, result, "what was restored does not verify: %s",
                                          report.problem);
}

static dv_result fill(restoring *r, int fd, const dv_note_verifier *key,
                      const dv_archive_visitor *visitor, dv_archive_report *ret_report)
{
    DV_TRY(dv_archive_walk(fd, key, visitor, ret_report, r->error));
    DV_TRY(make_catalogue(r, ret_report->from));
    DV_TRY(dv_folder_sync(r->folder, r->error));
    return check_folder(r, key);
}

/* -- the folder itself ------------------------------------------------------------------------- */

static dv_result restore(restoring *r, const char *path, const dv_note_verifier *key,
                         const char *folder, const dv_archive_visitor *visitor,
                         dv_archive_report *ret_report)
{
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return dv_error_set(r->error, errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO, "%s: %s",
                            path, strerror(errno));
    }
    DV_TRY(dv_folder_begin(folder, FOLDER_MODE, r->folder, r->error));
    dv_result result = fill(r, fd, key, visitor, ret_report);
    if (result == DV_OK) {
        result = dv_folder_finish(r->folder, folder, r->error);
    }
    if (result != DV_OK) {
        dv_folder_remove(r->folder);
    }
    return result;
}

dv_result dv_archive_restore(const char *path, const dv_note_verifier *key, const char *folder,
                             dv_log_progress progress, void *data, dv_archive_report *ret_report,
                             dv_error *error)
{
    dv_error unread = {0};
    dv_archive_report report = {.from = 0};
    dv_auto(free) restoring *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_archive_visitor visitor = {.file = put_file,
                                  .bundle = put_bundle,
                                  .data = r,
                                  .progress = progress,
                                  .progress_data = data};
    r->error = error != NULL ? error : &unread;
    r->block = dv_buf_init(DV_BLOCK_LEN_MAX);
    dv_result result = dv_block_builder_new(&r->builder);
    if (result == DV_OK) {
        result = restore(r, path, key, folder, &visitor, &report);
    }
    dv_block_builder_free(r->builder);
    dv_buf_release(&r->block);
    if (result == DV_OK) {
        snprintf(report.path, sizeof(report.path), "%s", path);
        *ret_report = report;
    }
    return result;
}
