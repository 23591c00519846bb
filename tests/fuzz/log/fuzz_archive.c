/* SPDX-License-Identifier: Apache-2.0 */
/* What comes out of an archive's or a backup's frame: the input as a tar, as a frame, as the first
 * file of either, as an age file. What is accepted is what was written. */
#include "crypto/age.h"
#include "engine/log/archive_private.h"
#include "engine/log/backup_private.h"

#include <stdlib.h>
#include <zstd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static dv_result from_slice(void *data, uint8_t *out, size_t room, size_t *ret_len, dv_error *error)
{
    dv_slice *rest = data;
    size_t len = DV_MIN(rest->len, room);
    if (len > 0) {
        memcpy(out, rest->ptr, len);
    }
    *rest = dv_slice_sub(*rest, len, rest->len);
    *ret_len = len;
    return DV_OK;
}

static dv_result count_entries(void *data, const dv_archive_manifest *manifest, uint64_t from,
                               uint32_t width, dv_slice bytes, dv_error *error)
{
    uint64_t *count = data;
    *count += width;
    return DV_OK;
}

static void walk(dv_slice frame)
{
    uint64_t count = 0;
    dv_error error = {0};
    dv_archive_report report = {.from = 0};
    dv_archive_visitor visitor = {.bundle = count_entries, .data = &count};
    dv_tar_source source = {.get = from_slice, .data = &frame};
    dv_result result = dv_archive_walk_source(&source, NULL, &visitor, &report, &error);
    require(result != DV_OK || count == report.to - report.from);
    require(result == DV_OK || result == DV_ERR_CORRUPT || result == DV_ERR_NO_MEMORY);
    require(result != DV_ERR_CORRUPT || error.message[0] != '\0');
}

static void walk_tar(dv_slice tar)
{
    enum { FAST = -20 };
    size_t room = ZSTD_compressBound(tar.len);
    uint8_t *frame = malloc(room);
    require(frame != NULL);
    size_t len = ZSTD_compress(frame, room, tar.ptr, tar.len, FAST);
    require(ZSTD_isError(len) == 0);
    walk(dv_slice_of(frame, len));
    free(frame);
}

static void parse(dv_slice text)
{
    dv_archive_manifest manifest;
    dv_backup_manifest backup;
    dv_auto(buf) dv_buf again = dv_buf_init(DV_ARCHIVE_MANIFEST_MAX);
    if (dv_archive_manifest_parse(text, &manifest, NULL) == DV_OK) {
        require(dv_archive_manifest_format(&manifest, &again) == DV_OK);
        require(dv_slice_eq(text, dv_buf_slice(&again)));
    }
    if (dv_backup_manifest_parse(text, &backup, NULL) == DV_OK) {
        dv_buf_clear(&again);
        require(dv_backup_manifest_format(&backup, &again) == DV_OK);
        require(dv_slice_eq(text, dv_buf_slice(&again)));
    }
}

/* Keys of 0x42, which the corpus is sealed to. A passphrase would take its work each time. */
static void open_age(dv_slice sealed)
{
    uint8_t bytes[4096];
    size_t len = 0;
    dv_age_key identity;
    memset(identity.bytes, 0x42, sizeof(identity.bytes));
    dv_age_lock lock = {.keys = &identity, .count = 1};
    dv_age_source source = {.get = from_slice, .data = &sealed};
    dv_auto(age_reader) dv_age_reader *reader = NULL;
    if (dv_age_reader_new(&lock, &source, &reader, NULL) != DV_OK) {
        return;
    }
    while (dv_age_get(reader, bytes, sizeof(bytes), &len, NULL) == DV_OK && len > 0) {
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_slice input = dv_slice_of(data, size);
    walk(input);
    walk_tar(input);
    parse(input);
    open_age(input);
    return 0;
}
