/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/archive_seal.h"

#include "base/codec.h"
#include "base/file.h"
#include "crypto/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FRAME = 8, NUMBER = 8, END = NUMBER + DV_SHA256_LEN };
static const uint32_t magic = 0x184D2A5E;

static void make_frame(uint64_t pieces, uint8_t out[FRAME])
{
    dv_put_u32(out, magic);
    dv_put_u32(out + 4, (uint32_t)(pieces * DV_SHA256_LEN + END));
}

/* -- writing ----------------------------------------------------------------------------------- */

dv_result dv_archive_file_init(int fd, const char *path, dv_archive_file *ret_file)
{
    dv_archive_file file = {.fd = fd,
                            .path = path,
                            .hashes =
                                dv_buf_init((size_t)DV_ARCHIVE_PIECES_MAX * DV_SHA256_LEN + END),
                            .piece = dv_buf_init(DV_ARCHIVE_PIECE)};
    DV_TRY(dv_buf_reserve(&file.piece, DV_ARCHIVE_PIECE));
    *ret_file = file;
    return DV_OK;
}

void dv_archive_file_release(dv_archive_file *file)
{
    dv_buf_release(&file->hashes);
    dv_buf_release(&file->piece);
}

static dv_result write_error(const dv_archive_file *file, dv_error *error)
{
    dv_result result = errno == ENOSPC || errno == EDQUOT ? DV_ERR_UNAVAILABLE : DV_ERR_IO;
    return dv_error_set(error, result, "can not write %s: %s", file->path, strerror(errno));
}

static dv_result end_piece(dv_archive_file *file, dv_error *error)
{
    uint8_t hash[DV_SHA256_LEN];
    dv_slice piece = dv_buf_slice(&file->piece);
    dv_sha256(piece, DV_LIT(""), DV_LIT(""), hash);
    DV_TRY(dv_buf_append(&file->hashes, dv_slice_of(hash, sizeof(hash))));
    if (dv_fd_write_all(file->fd, piece) != DV_OK) {
        return write_error(file, error);
    }
    dv_buf_clear(&file->piece);
    return DV_OK;
}

dv_result dv_archive_file_put(dv_archive_file *file, dv_slice bytes, dv_error *error)
{
    file->body += bytes.len;
    while (bytes.len > 0) {
        dv_slice part = dv_slice_sub(bytes, 0, DV_ARCHIVE_PIECE - file->piece.len);
        DV_TRY(dv_buf_append(&file->piece, part));
        if (file->piece.len == DV_ARCHIVE_PIECE) {
            DV_TRY(end_piece(file, error));
        }
        bytes = dv_slice_sub(bytes, part.len, bytes.len);
    }
    return DV_OK;
}

dv_result dv_archive_file_finish(dv_archive_file *file, dv_error *error)
{
    uint8_t frame[FRAME], number[NUMBER], hash[DV_SHA256_LEN];
    if (file->piece.len > 0) {
        DV_TRY(end_piece(file, error));
    }
    make_frame(file->hashes.len / DV_SHA256_LEN, frame);
    dv_put_u64(number, file->body);
    DV_TRY(dv_buf_append(&file->hashes, dv_slice_of(number, sizeof(number))));
    dv_sha256(dv_buf_slice(&file->hashes), DV_LIT(""), DV_LIT(""), hash);
    DV_TRY(dv_buf_append(&file->hashes, dv_slice_of(hash, sizeof(hash))));
    if (dv_fd_write_all(file->fd, dv_slice_of(frame, sizeof(frame))) != DV_OK ||
        dv_fd_write_all(file->fd, dv_buf_slice(&file->hashes)) != DV_OK || fsync(file->fd) != 0) {
        return write_error(file, error);
    }
    return DV_OK;
}

/* -- checking ---------------------------------------------------------------------------------- */

dv_result dv_archive_read_at(int fd, uint64_t at, uint8_t *out, size_t len, size_t *ret_len,
                             dv_error *error)
{
    size_t done = 0;
    while (done < len) {
        ssize_t got = pread(fd, out + done, len - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return dv_error_set(error, DV_ERR_IO, "can not read it: %s", strerror(errno));
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    *ret_len = done;
    return DV_OK;
}

static dv_result read_exactly(int fd, uint64_t at, uint8_t *out, size_t len, dv_error *error)
{
    size_t got = 0;
    DV_TRY(dv_archive_read_at(fd, at, out, len, &got, error));
    return got == len ? DV_OK
                      : dv_error_set(error, DV_ERR_CORRUPT, "it became shorter while it was read");
}

static dv_result bad_end(uint64_t size, dv_error *error)
{
    return dv_error_set(error, DV_ERR_CORRUPT,
                        "its seal does not check out, which ends at byte %" PRIu64
                        ": the file is cut short, something stands behind it, or it is no archive",
                        size);
}

static dv_result read_end(int fd, uint64_t *ret_body, uint8_t ret_hash[DV_SHA256_LEN],
                          dv_error *error)
{
    struct stat about;
    uint8_t end[END], frame[FRAME], wanted[FRAME];
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        return dv_error_set(error, DV_ERR_INVALID, "it is no regular file");
    }
    uint64_t size = (uint64_t)about.st_size;
    if (size < FRAME + END) {
        return bad_end(size, error);
    }
    DV_TRY(read_exactly(fd, size - END, end, END, error));
    uint64_t body = dv_get_u64(end);
    uint64_t pieces = body / DV_ARCHIVE_PIECE + (body % DV_ARCHIVE_PIECE != 0);
    if (body > size || pieces > DV_ARCHIVE_PIECES_MAX ||
        size != body + FRAME + pieces * DV_SHA256_LEN + END) {
        return bad_end(size, error);
    }
    make_frame(pieces, wanted);
    DV_TRY(read_exactly(fd, body, frame, FRAME, error));
    memcpy(ret_hash, end + NUMBER, DV_SHA256_LEN);
    *ret_body = body;
    return memcmp(frame, wanted, FRAME) == 0 ? DV_OK : bad_end(size, error);
}

typedef struct checker {
    int fd;
    uint64_t body;
    dv_sha256_stream *hashes; /* over the hashes that the seal has */
    uint64_t bad;             /* the first piece that is not as the seal says; UINT64_MAX: none */
    uint8_t *piece;
} checker;

static dv_result check_piece(checker *c, uint64_t number, dv_error *error)
{
    uint8_t said[DV_SHA256_LEN], hash[DV_SHA256_LEN];
    uint64_t start = number * DV_ARCHIVE_PIECE;
    size_t len = (size_t)DV_MIN(c->body - start, (uint64_t)DV_ARCHIVE_PIECE);
    DV_TRY(
        read_exactly(c->fd, c->body + FRAME + number * DV_SHA256_LEN, said, sizeof(said), error));
    dv_sha256_stream_add(c->hashes, dv_slice_of(said, sizeof(said)));
    DV_TRY(read_exactly(c->fd, start, c->piece, len, error));
    dv_sha256(dv_slice_of(c->piece, len), DV_LIT(""), DV_LIT(""), hash);
    if (memcmp(said, hash, sizeof(hash)) != 0 && c->bad == UINT64_MAX) {
        c->bad = number;
    }
    return DV_OK;
}

/* A hash of the seal itself may be the damaged one. */
static dv_result check_pieces(checker *c, const uint8_t wanted[DV_SHA256_LEN], dv_error *error)
{
    uint8_t number[NUMBER], hash[DV_SHA256_LEN];
    for (uint64_t i = 0; i * DV_ARCHIVE_PIECE < c->body; i++) {
        DV_TRY(check_piece(c, i, error));
    }
    dv_put_u64(number, c->body);
    dv_sha256_stream_add(c->hashes, dv_slice_of(number, sizeof(number)));
    dv_sha256_stream_end(c->hashes, hash);
    if (memcmp(hash, wanted, sizeof(hash)) != 0) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "its seal, which begins at byte %" PRIu64 ", is damaged", c->body);
    }
    if (c->bad == UINT64_MAX) {
        return DV_OK;
    }
    uint64_t start = c->bad * DV_ARCHIVE_PIECE;
    return dv_error_set(error, DV_ERR_CORRUPT,
                        "it is damaged somewhere in the bytes from %" PRIu64 " to %" PRIu64, start,
                        DV_MIN(start + DV_ARCHIVE_PIECE, c->body) - 1);
}

dv_result dv_archive_seal_check(int fd, uint64_t *ret_body, dv_error *error)
{
    uint8_t wanted[DV_SHA256_LEN];
    checker c = {.fd = fd, .bad = UINT64_MAX};
    DV_TRY(read_end(fd, &c.body, wanted, error));
    DV_TRY(dv_sha256_stream_new(&c.hashes));
    c.piece = malloc(DV_ARCHIVE_PIECE);
    dv_result result = c.piece == NULL ? DV_ERR_NO_MEMORY : check_pieces(&c, wanted, error);
    dv_sha256_stream_free(c.hashes);
    free(c.piece);
    if (result == DV_OK) {
        *ret_body = c.body;
    }
    return result;
}
