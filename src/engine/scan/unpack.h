/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One input, opened where it is packed: each file in it is handed out as a stream of bytes, also of
 * archives within archives. What is packed is somebody else's: whatever it would take beyond the
 * limits is an error, so that nothing passes for having been read that was not. */

#include "base/result.h"
#include "base/slice.h"

typedef struct dv_unpack_limits {
    uint64_t bytes;   /* unpacked, of all levels together */
    uint64_t free;    /* of them, before the ratio counts */
    uint32_t ratio;   /* unpacked bytes for each that the input has */
    uint32_t members; /* files, links and folders, of all archives together */
    uint32_t nesting; /* archives within archives; 1: none are */
} dv_unpack_limits;

extern const dv_unpack_limits dv_unpack_limits_usual;

/* Bytes in order: fills up to room; 0: the end. Errors have a message. */
typedef struct dv_unpack_source {
    dv_result (*get)(void *data, uint8_t *out, size_t room, size_t *ret_len);
    void *data;
} dv_unpack_source;

/* Borrowed for the call. */
typedef struct dv_unpack_member {
    bool packed;    /* else the input itself */
    dv_slice place; /* "inner.zip/letter.txt"; empty: the input itself, or all of a gzip file */
    dv_slice head;  /* its first bytes, which source hands out again: 16 KiB, or all */
    dv_unpack_source source;
} dv_unpack_member;

/* Whom it tells; what a visitor leaves of a member's bytes is passed over. */
typedef struct dv_unpack_visitor {
    dv_result (*member)(void *data, const dv_unpack_member *member, dv_error *error);
    void *data;
} dv_unpack_visitor;

/* Reads the formats that a scan does (tar, zip, cpio; gzip, bzip2, xz, zstd, lz4), told by the
 * first bytes; an input of another kind is its own only member. Errors: DV_ERR_TOO_LARGE (a limit),
 * DV_ERR_CORRUPT (damaged, cut short), DV_ERR_UNSUPPORTED (encrypted, 7-Zip and the like), the
 * source's, the visitor's. */
dv_must dv_result dv_unpack(const dv_unpack_source *source, const dv_unpack_limits *limits,
                            const dv_unpack_visitor *visitor, dv_error *error);
