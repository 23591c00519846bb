/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/pack.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MODE = 0644, FOLDER_MODE = 0755 };

struct dv_pack_reader {
    const char *folder;
    uint64_t number; /* of the block that is open; UINT64_MAX: none */
    dv_buf bytes;
    dv_block *block;
};

size_t dv_pack_path(uint64_t pack, char out[DV_TILE_PATH_MAX])
{
    char tile[DV_TILE_PATH_MAX];
    dv_tile_path(0, pack, DV_TILE_WIDTH, tile);
    return (size_t)snprintf(out, DV_TILE_PATH_MAX, "pack%s", tile + strlen("tile/0"));
}

static dv_result full_path(const char *folder, uint64_t block, char name[DV_TILE_PATH_MAX],
                           char path[PATH_MAX], dv_error *error)
{
    dv_pack_path(block / DV_PACK_BLOCKS, name);
    int len = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return len > 0 && len < PATH_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
}

static dv_result io_error(dv_error *error, const char *what, const char *name)
{
    dv_result result = errno == ENOSPC || errno == EDQUOT ? DV_ERR_UNAVAILABLE : DV_ERR_IO;
    return dv_error_set(error, result, "log: can not %s %s: %s", what, name, strerror(errno));
}

/* -- finding a block --------------------------------------------------------------------------- */

static dv_result read_at(int fd, uint64_t offset, size_t len, uint8_t *out)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(fd, out + got, len - got, (off_t)(offset + got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? DV_ERR_IO : DV_ERR_NOT_FOUND;
        }
        got += (size_t)n;
    }
    return DV_OK;
}

static dv_result bad_block(const char *name, uint64_t block, const char *what, dv_error *error)
{
    return dv_error_set(error, DV_ERR_CORRUPT, "%s: block %" PRIu64 " of the log: %s", name, block,
                        what);
}

static dv_result read_info(int fd, uint64_t offset, uint64_t block, const char *name,
                           dv_block_info *ret_info, dv_error *error)
{
    uint8_t header[DV_BLOCK_HEADER];
    dv_result result = read_at(fd, offset, sizeof(header), header);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, result, "%s ends before block %" PRIu64 " of the log", name,
                            block);
    }
    if (result != DV_OK) {
        return io_error(error, "read", name);
    }
    if (dv_block_info_read(dv_slice_of(header, sizeof(header)), ret_info) != DV_OK ||
        ret_info->first != block * DV_BLOCK_LEAVES || ret_info->leaves != DV_BLOCK_LEAVES ||
        ret_info->length < DV_BLOCK_HEADER) {
        return bad_block(name, block, "its header is wrong", error);
    }
    return DV_OK;
}

/* Follows the lengths of the blocks before it. */
static dv_result find_block(int fd, uint64_t block, const char *name, uint64_t *ret_offset,
                            dv_block_info *ret_info, dv_error *error)
{
    uint64_t offset = 0;
    for (uint64_t at = block - block % DV_PACK_BLOCKS; at < block; at++) {
        DV_TRY(read_info(fd, offset, at, name, ret_info, error));
        offset += ret_info->length;
    }
    *ret_offset = offset;
    return read_info(fd, offset, block, name, ret_info, error);
}

static dv_result open_pack(const char *folder, uint64_t block, char name[DV_TILE_PATH_MAX],
                           int *ret_fd, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(full_path(folder, block, name, path, error));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "%s is missing", name);
    }
    if (fd < 0) {
        return io_error(error, "open", name);
    }
    *ret_fd = fd;
    return DV_OK;
}

dv_result dv_pack_place(const char *folder, uint64_t block, uint64_t *ret_offset,
                        dv_block_info *ret_info, dv_error *error)
{
    char name[DV_TILE_PATH_MAX];
    dv_auto(fd) int fd = -1;
    DV_TRY(open_pack(folder, block, name, &fd, error));
    return find_block(fd, block, name, ret_offset, ret_info, error);
}

/* -- reading ----------------------------------------------------------------------------------- */

dv_result dv_pack_reader_new(const char *folder, dv_pack_reader **ret_reader)
{
    dv_pack_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    reader->folder = folder;
    reader->number = UINT64_MAX;
    reader->bytes = dv_buf_init(DV_BLOCK_LEN_MAX);
    *ret_reader = reader;
    return DV_OK;
}

static void close_block(dv_pack_reader *reader)
{
    dv_block_close(reader->block);
    reader->block = NULL;
    reader->number = UINT64_MAX;
}

void dv_pack_reader_free(dv_pack_reader *reader)
{
    if (reader != NULL) {
        close_block(reader);
        dv_buf_release(&reader->bytes);
        free(reader);
    }
}

static dv_result load_block(dv_pack_reader *reader, uint64_t block, dv_error *error)
{
    char name[DV_TILE_PATH_MAX];
    uint64_t offset = 0;
    dv_block_info info;
    dv_error inner = {0};
    dv_auto(fd) int fd = -1;
    DV_TRY(open_pack(reader->folder, block, name, &fd, error));
    DV_TRY(find_block(fd, block, name, &offset, &info, error));
    dv_buf_clear(&reader->bytes);
    DV_TRY(dv_buf_reserve(&reader->bytes, info.length));
    dv_result result = read_at(fd, offset, info.length, reader->bytes.ptr);
    if (result != DV_OK) {
        return result == DV_ERR_IO ? io_error(error, "read", name)
                                   : bad_block(name, block, "it is cut short", error);
    }
    reader->bytes.len = info.length;
    result = reader->block != NULL
                 ? dv_block_reopen(reader->block, dv_buf_slice(&reader->bytes), &inner)
                 : dv_block_open(dv_buf_slice(&reader->bytes), &reader->block, &inner);
    return result == DV_ERR_CORRUPT ? bad_block(name, block, inner.message, error) : result;
}

dv_result dv_pack_block(dv_pack_reader *reader, uint64_t block, dv_block **ret_block,
                        dv_error *error)
{
    if (reader->number != block) {
        reader->number = UINT64_MAX;
        dv_result result = load_block(reader, block, error);
        if (result != DV_OK) {
            close_block(reader);
            return result;
        }
        reader->number = block;
    }
    *ret_block = reader->block;
    return DV_OK;
}

dv_result dv_pack_bundle(dv_pack_reader *reader, uint64_t from, uint32_t count, dv_buf *out,
                         dv_error *error)
{
    enum { LENGTH = 2 };
    dv_block *block;
    char name[DV_TILE_PATH_MAX];
    dv_error inner = {0};
    DV_TRY(dv_pack_block(reader, from / DV_BLOCK_LEAVES, &block, error));
    for (uint32_t i = 0; i < count; i++) {
        uint8_t length[LENGTH] = {0};
        size_t start = out->len;
        DV_TRY(dv_buf_append(out, dv_slice_of(length, LENGTH)));
        dv_result result =
            dv_block_leaf(block, (uint32_t)(from % DV_BLOCK_LEAVES) + i, out, &inner);
        if (result == DV_ERR_CORRUPT) {
            dv_pack_path(from / DV_PACK_LEAVES, name);
            return bad_block(name, from / DV_BLOCK_LEAVES, inner.message, error);
        }
        DV_TRY(result);
        size_t len = out->len - start - LENGTH;
        out->ptr[start] = (uint8_t)(len >> 8);
        out->ptr[start + 1] = (uint8_t)len;
    }
    return DV_OK;
}

/* -- writing ----------------------------------------------------------------------------------- */

static dv_result sync_folder_of(const char *path, dv_error *error)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
    dv_auto(fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) != 0 ? io_error(error, "sync", folder) : DV_OK;
}

/* Makes the folders above the file and syncs each one's parent, also where it was there already: a
 * try before this one may have ended in between. */
static dv_result make_parents(const char *folder, const char *path, dv_error *error)
{
    char part[PATH_MAX];
    snprintf(part, sizeof(part), "%s", path);
    for (char *slash = strchr(part + strlen(folder) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, FOLDER_MODE) != 0 && errno != EEXIST) {
            return io_error(error, "make", part);
        }
        DV_TRY(sync_folder_of(part, error));
        *slash = '/';
    }
    return DV_OK;
}

static dv_result write_at(int fd, uint64_t offset, dv_slice bytes)
{
    for (size_t done = 0; done < bytes.len;) {
        ssize_t n = pwrite(fd, bytes.ptr + done, bytes.len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return DV_ERR_IO;
        }
        done += (size_t)n;
    }
    return DV_OK;
}

/* Where block `block` begins, in a file that may end there. */
static dv_result end_before(int fd, uint64_t block, const char *name, uint64_t *ret_offset,
                            dv_error *error)
{
    dv_block_info info;
    uint64_t offset = 0;
    if (block % DV_PACK_BLOCKS != 0) {
        DV_TRY(find_block(fd, block - 1, name, &offset, &info, error));
        offset += info.length;
    }
    *ret_offset = offset;
    return DV_OK;
}

dv_result dv_pack_append(const char *folder, uint64_t block, dv_slice bytes, dv_error *error)
{
    char name[DV_TILE_PATH_MAX], path[PATH_MAX];
    uint64_t offset = 0;
    bool first = block % DV_PACK_BLOCKS == 0;
    DV_TRY(full_path(folder, block, name, path, error));
    if (first) {
        DV_TRY(make_parents(folder, path, error));
    }
    dv_auto(fd) int fd = open(path, O_RDWR | O_CLOEXEC | (first ? O_CREAT : 0), FILE_MODE);
    if (fd < 0) {
        return io_error(error, "open", name);
    }
    DV_TRY(end_before(fd, block, name, &offset, error));
    if (write_at(fd, offset, bytes) != DV_OK || ftruncate(fd, (off_t)(offset + bytes.len)) != 0 ||
        fsync(fd) != 0) {
        return io_error(error, "write", name);
    }
    return first ? sync_folder_of(path, error) : DV_OK;
}

dv_result dv_pack_trim(const char *folder, uint64_t blocks, dv_error *error)
{
    char name[DV_TILE_PATH_MAX], path[PATH_MAX];
    uint64_t end = 0;
    struct stat about;
    DV_TRY(full_path(folder, blocks, name, path, error));
    dv_auto(fd) int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return blocks % DV_PACK_BLOCKS == 0
                   ? DV_OK
                   : dv_error_set(error, DV_ERR_CORRUPT, "%s is missing", name);
    }
    if (fd < 0 || fstat(fd, &about) != 0) {
        return io_error(error, "open", name);
    }
    DV_TRY(end_before(fd, blocks, name, &end, error));
    if ((uint64_t)about.st_size < end) {
        return dv_error_set(error, DV_ERR_CORRUPT, "%s is cut short", name);
    }
    if ((uint64_t)about.st_size > end && ftruncate(fd, (off_t)end) != 0) {
        return io_error(error, "trim", name);
    }
    return DV_OK;
}
