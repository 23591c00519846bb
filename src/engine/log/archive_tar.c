/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/archive_tar.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zstd.h>

enum { BLOCK = 512, SIZE_AT = 124, SIZE_DIGITS = 11, CHECKSUM_AT = 148, CHECKSUM_LEN = 8 };

/* -- headers ----------------------------------------------------------------------------------- */

/* IEEE Std 1003.1, pax, "ustar Interchange Format". Time 1, since tar warns of time 0. */
static void make_header(const char *name, uint64_t size, uint8_t out[BLOCK])
{
    enum { MODE = 100, USER = 108, GROUP = 116, TIME = 136, TYPE = 156, MAGIC = 257, NUMBER = 12 };
    char number[NUMBER + 1];
    memset(out, 0, BLOCK);
    memcpy(out, name, strlen(name));
    memcpy(out + MODE, "0000644", 8);
    memcpy(out + USER, "0000000", 8);
    memcpy(out + GROUP, "0000000", 8);
    snprintf(number, sizeof(number), "%011" PRIo64, size);
    memcpy(out + SIZE_AT, number, NUMBER);
    memcpy(out + TIME, "00000000001", NUMBER);
    out[TYPE] = '0';
    memcpy(out + MAGIC, "ustar\00000", 8);
    memset(out + CHECKSUM_AT, ' ', CHECKSUM_LEN);
    unsigned sum = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        sum += out[i];
    }
    snprintf(number, sizeof(number), "%06o", sum);
    memcpy(out + CHECKSUM_AT, number, CHECKSUM_LEN - 1); /* and the space behind it */
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

/* Only what make_header makes. */
static bool read_header(const uint8_t block[BLOCK], char ret_name[DV_TAR_NAME_MAX + 1],
                        uint64_t *ret_size)
{
    uint8_t again[BLOCK];
    size_t len = strnlen((const char *)block, DV_TAR_NAME_MAX + 1);
    uint64_t size = 0;
    if (len == 0 || len > DV_TAR_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < SIZE_DIGITS; i++) {
        size = size << 3 | ((block[SIZE_AT + i] - '0') & 7U);
    }
    dv_slice_copy(dv_slice_of(block, len), ret_name, DV_TAR_NAME_MAX + 1);
    make_header(ret_name, size, again);
    *ret_size = size;
    return memcmp(block, again, BLOCK) == 0;
}

/* -- writing ----------------------------------------------------------------------------------- */

struct dv_tar_writer {
    dv_tar_sink sink;
    ZSTD_CCtx *zstd;
    uint64_t left; /* bytes of the file that are still to come */
    size_t padding;
    uint8_t out[DV_TAR_MEMORY];
};

void dv_tar_writer_free(dv_tar_writer *writer)
{
    if (writer != NULL) {
        ZSTD_freeCCtx(writer->zstd);
        free(writer);
    }
}

static bool set(dv_tar_writer *writer, ZSTD_cParameter parameter, int value)
{
    return ZSTD_isError(ZSTD_CCtx_setParameter(writer->zstd, parameter, value)) == 0;
}

dv_result dv_tar_writer_new(const dv_tar_sink *sink, int level, dv_tar_writer **ret_writer)
{
    dv_auto(tar_writer) dv_tar_writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    writer->sink = *sink;
    writer->zstd = ZSTD_createCCtx();
    if (writer->zstd == NULL || !set(writer, ZSTD_c_compressionLevel, level) ||
        !set(writer, ZSTD_c_windowLog, DV_TAR_WINDOW_LOG) || !set(writer, ZSTD_c_checksumFlag, 1)) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_writer = writer;
    writer = NULL;
    return DV_OK;
}

static dv_result compress(dv_tar_writer *writer, dv_slice bytes, ZSTD_EndDirective how,
                          dv_error *error)
{
    ZSTD_inBuffer in = {bytes.ptr, bytes.len, 0};
    size_t left = 0;
    do {
        ZSTD_outBuffer out = {writer->out, sizeof(writer->out), 0};
        left = ZSTD_compressStream2(writer->zstd, &out, &in, how);
        if (ZSTD_isError(left) != 0) {
            return DV_ERR_NO_MEMORY;
        }
        if (out.pos > 0) {
            DV_TRY(writer->sink.put(writer->sink.data, dv_slice_of(writer->out, out.pos), error));
        }
    } while (how == ZSTD_e_end ? left > 0 : in.pos < in.size);
    return DV_OK;
}

static const uint8_t zeros[2 * BLOCK];

dv_result dv_tar_begin(dv_tar_writer *writer, const char *name, uint64_t size, dv_error *error)
{
    uint8_t header[BLOCK];
    size_t len = strlen(name);
    if (writer->left > 0) {
        return DV_ERR_INTERNAL;
    }
    if (len == 0 || len > DV_TAR_NAME_MAX || size > DV_TAR_SIZE_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE,
                            "%s, of %" PRIu64 " bytes, is too large or has too long a name", name,
                            size);
    }
    make_header(name, size, header);
    DV_TRY(compress(writer, dv_slice_of(header, BLOCK), ZSTD_e_continue, error));
    writer->left = size;
    writer->padding = (size_t)(-size % BLOCK);
    return DV_OK;
}

dv_result dv_tar_put(dv_tar_writer *writer, dv_slice bytes, dv_error *error)
{
    if (bytes.len > writer->left) {
        return DV_ERR_INTERNAL;
    }
    DV_TRY(compress(writer, bytes, ZSTD_e_continue, error));
    writer->left -= bytes.len;
    if (writer->left > 0 || writer->padding == 0) {
        return DV_OK;
    }
    dv_slice padding = dv_slice_of(zeros, writer->padding);
    writer->padding = 0;
    return compress(writer, padding, ZSTD_e_continue, error);
}

dv_result dv_tar_add(dv_tar_writer *writer, const char *name, dv_slice bytes, dv_error *error)
{
    DV_TRY(dv_tar_begin(writer, name, bytes.len, error));
    return dv_tar_put(writer, bytes, error);
}

dv_result dv_tar_finish(dv_tar_writer *writer, dv_error *error)
{
    if (writer->left > 0) {
        return DV_ERR_INTERNAL;
    }
    return compress(writer, dv_slice_of(zeros, sizeof(zeros)), ZSTD_e_end, error);
}

/* -- reading ----------------------------------------------------------------------------------- */

struct dv_tar_reader {
    dv_tar_source source;
    ZSTD_DCtx *zstd;
    char name[DV_TAR_NAME_MAX + 1];
    uint64_t left; /* bytes of the file that were not read */
    size_t padding;
    uint64_t at;         /* bytes of the frame that were taken */
    bool frame_ended;    /* nothing more may come */
    ZSTD_inBuffer ready; /* of `in` */
    uint8_t in[DV_TAR_MEMORY];
};

void dv_tar_reader_free(dv_tar_reader *reader)
{
    if (reader != NULL) {
        ZSTD_freeDCtx(reader->zstd);
        free(reader);
    }
}

dv_result dv_tar_reader_new(const dv_tar_source *source, dv_tar_reader **ret_reader)
{
    dv_auto(tar_reader) dv_tar_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    reader->source = *source;
    reader->ready.src = reader->in;
    reader->zstd = ZSTD_createDCtx();
    if (reader->zstd == NULL || ZSTD_isError(ZSTD_DCtx_setParameter(
                                    reader->zstd, ZSTD_d_windowLogMax, DV_TAR_WINDOW_LOG)) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_reader = reader;
    reader = NULL;
    return DV_OK;
}

static dv_result corrupt(const dv_tar_reader *reader, const char *what, dv_error *error)
{
    const char *behind = reader->name[0] == '\0' ? "" : ", in or behind the file ";
    return dv_error_set(error, DV_ERR_CORRUPT, "%s, at or before byte %" PRIu64 "%s%s", what,
                        reader->at + reader->ready.pos, behind, reader->name);
}

static dv_result refill(dv_tar_reader *reader, dv_error *error)
{
    if (reader->ready.pos < reader->ready.size) {
        return DV_OK;
    }
    reader->at += reader->ready.size;
    reader->ready.size = reader->ready.pos = 0;
    return reader->source.get(reader->source.data, reader->in, sizeof(reader->in),
                              &reader->ready.size, error);
}

/* Fills out with the next bytes of the tar. */
static dv_result unpack(dv_tar_reader *reader, uint8_t *bytes, size_t len, dv_error *error)
{
    ZSTD_outBuffer out = {bytes, len, 0};
    while (out.pos < out.size) {
        size_t before = out.pos;
        DV_TRY(refill(reader, error));
        if (reader->frame_ended) {
            return corrupt(reader, "it is cut short", error);
        }
        bool at_end = reader->ready.size == 0;
        size_t result = ZSTD_decompressStream(reader->zstd, &out, &reader->ready);
        if (ZSTD_isError(result) != 0) {
            return corrupt(reader, ZSTD_getErrorName(result), error);
        }
        reader->frame_ended = result == 0;
        if (at_end && out.pos == before) {
            return corrupt(reader, "it is cut short", error);
        }
    }
    return DV_OK;
}

/* Behind the two zero blocks: the end of the frame, with its checksum, and of the source. */
static dv_result expect_end(dv_tar_reader *reader, dv_error *error)
{
    while (!reader->frame_ended) {
        uint8_t more;
        ZSTD_outBuffer out = {&more, 1, 0};
        DV_TRY(refill(reader, error));
        bool at_end = reader->ready.size == 0;
        size_t result = ZSTD_decompressStream(reader->zstd, &out, &reader->ready);
        if (ZSTD_isError(result) != 0) {
            return corrupt(reader, ZSTD_getErrorName(result), error);
        }
        if (out.pos > 0 || (at_end && result != 0)) {
            return corrupt(reader, "it does not end where it should", error);
        }
        reader->frame_ended = result == 0;
    }
    DV_TRY(refill(reader, error));
    return reader->ready.size == 0 ? DV_ERR_NOT_FOUND
                                   : corrupt(reader, "something stands behind its end", error);
}

dv_result dv_tar_next(dv_tar_reader *reader, char ret_name[DV_TAR_NAME_MAX + 1], uint64_t *ret_size,
                      dv_error *error)
{
    uint8_t block[BLOCK];
    if (reader->left > 0) {
        return DV_ERR_INTERNAL;
    }
    DV_TRY(unpack(reader, block, reader->padding, error));
    if (!is_zero(block, reader->padding)) {
        return corrupt(reader, "its padding is not zero", error);
    }
    reader->padding = 0;
    DV_TRY(unpack(reader, block, BLOCK, error));
    if (is_zero(block, BLOCK)) {
        DV_TRY(unpack(reader, block, BLOCK, error));
        return is_zero(block, BLOCK) ? expect_end(reader, error)
                                     : corrupt(reader, "its end is not zero", error);
    }
    if (!read_header(block, reader->name, &reader->left)) {
        return corrupt(reader, "the header of a file is not as Dvara writes it", error);
    }
    reader->padding = (size_t)(-reader->left % BLOCK);
    memcpy(ret_name, reader->name, sizeof(reader->name));
    *ret_size = reader->left;
    return DV_OK;
}

dv_result dv_tar_get(dv_tar_reader *reader, uint8_t *out, size_t len, dv_error *error)
{
    if (len > reader->left) {
        return DV_ERR_INTERNAL;
    }
    DV_TRY(unpack(reader, out, len, error));
    reader->left -= len;
    return DV_OK;
}

dv_result dv_tar_get_all(dv_tar_reader *reader, dv_buf *out, dv_error *error)
{
    if (reader->left > out->max - DV_MIN(out->max, out->len)) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "%s has more than %zu bytes", reader->name,
                            out->max);
    }
    size_t len = (size_t)reader->left;
    DV_TRY(dv_buf_reserve(out, len));
    DV_TRY(dv_tar_get(reader, out->ptr + out->len, len, error));
    out->len += len;
    return DV_OK;
}
