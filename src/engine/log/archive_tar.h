/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Files one behind the other as a POSIX tar (IEEE Std 1003.1, pax: "ustar") in one zstd frame (RFC
 * 8878), written and read as a stream. Any tar that knows zstd unpacks it.
 *
 * There is one way to write each file's header: numbers without spaces, mode 0644, owner 0, time 1.
 * The reader takes no other, no other kinds of members, no padding that is not zero, and nothing
 * behind the end. */

#include "base/buf.h"

enum {
    DV_TAR_NAME_MAX = 99,    /* bytes */
    DV_TAR_WINDOW_LOG = 23,  /* of zstd: 8 MiB are kept to unpack, whoever wrote it */
    DV_TAR_MEMORY = 1 << 17, /* bytes that are handed on at once, at most */
};
#define DV_TAR_SIZE_MAX ((UINT64_C(1) << 33) - 1) /* bytes of a file: 11 octal digits */

/* Where the frame goes and where it comes from. get fills up to `room` bytes; 0: the end. */
typedef struct dv_tar_sink {
    dv_result (*put)(void *data, dv_slice bytes, dv_error *error);
    void *data;
} dv_tar_sink;

typedef struct dv_tar_source {
    dv_result (*get)(void *data, uint8_t *out, size_t room, size_t *ret_len, dv_error *error);
    void *data;
} dv_tar_source;

/* -- writing ----------------------------------------------------------------------------------- */

typedef struct dv_tar_writer dv_tar_writer;

/* level: of zstd. */
dv_must dv_result dv_tar_writer_new(const dv_tar_sink *sink, int level, dv_tar_writer **ret_writer);
void dv_tar_writer_free(dv_tar_writer *writer);
DV_DEFINE_AUTO_PTR(tar_writer, dv_tar_writer, dv_tar_writer_free)

/* A file begins; `size` bytes are put behind. Errors: DV_ERR_TOO_LARGE (name, size), the sink's. */
dv_must dv_result dv_tar_begin(dv_tar_writer *writer, const char *name, uint64_t size,
                               dv_error *error);
dv_must dv_result dv_tar_put(dv_tar_writer *writer, dv_slice bytes, dv_error *error);
/* A whole file. */
dv_must dv_result dv_tar_add(dv_tar_writer *writer, const char *name, dv_slice bytes,
                             dv_error *error);
/* Ends tar and frame. */
dv_must dv_result dv_tar_finish(dv_tar_writer *writer, dv_error *error);

/* -- reading ----------------------------------------------------------------------------------- */

typedef struct dv_tar_reader dv_tar_reader;

dv_must dv_result dv_tar_reader_new(const dv_tar_source *source, dv_tar_reader **ret_reader);
void dv_tar_reader_free(dv_tar_reader *reader);
DV_DEFINE_AUTO_PTR(tar_reader, dv_tar_reader, dv_tar_reader_free)

/* The next file. What was not read of the one before is an error. Errors: DV_ERR_NOT_FOUND at the
 * end, behind which nothing stands; DV_ERR_CORRUPT (with the place), the source's. */
dv_must dv_result dv_tar_next(dv_tar_reader *reader, char ret_name[DV_TAR_NAME_MAX + 1],
                              uint64_t *ret_size, dv_error *error);
/* Reads the file's next bytes: exactly so many. */
dv_must dv_result dv_tar_get(dv_tar_reader *reader, uint8_t *out, size_t len, dv_error *error);
/* Appends the file that dv_tar_next began. Errors: DV_ERR_TOO_LARGE (out's maximum), as above. */
dv_must dv_result dv_tar_get_all(dv_tar_reader *reader, dv_buf *out, dv_error *error);
