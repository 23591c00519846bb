/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What bytes hold that are gzip (RFC 1952) or zip, unpacked in memory within bounds, one in
 * another. Whatever can't be unpacked whole is an error, so that nothing passes for having been
 * read that was not: too much of it, damaged, cut short, encrypted, or packed by a method that is
 * not read. */

#include "base/arena.h"

enum {
    DV_PACKED_MAX = 4 << 20,   /* bytes unpacked of what stands in a text, */
    DV_PACKED_FILE = 32 << 20, /* and of a file; each of all levels together */
    DV_PACKED_RATIO = 200,     /* of them for each that was packed, */
    DV_PACKED_FREE = 64 << 10, /* beyond these */
    DV_PACKED_DEPTH = 3,       /* one in another */
    DV_PACKED_MEMBERS = 1000,  /* files of zips, all levels together */
    DV_PACKED_HEAD = 4,        /* bytes that tell it */
};

/* Whether the bytes begin as what is unpacked does. */
bool dv_packed_is(dv_slice bytes);

/* Is told each piece, whole. contents: it is what a file holds, or stands behind a gzip file; else
 * a file's name, or the list behind the files of a zip. */
typedef dv_result (*dv_packed_visit)(void *data, dv_slice piece, bool contents);

/* Hands out what the bytes hold: contents of files and their names. A piece that is packed itself
 * is handed out before it is opened. most: bytes unpacked (DV_PACKED_MAX, DV_PACKED_FILE). Works in
 * the arena, which keeps all of it. Errors: DV_ERR_TOO_LARGE (it can't be unpacked),
 * DV_ERR_NO_MEMORY, the visitor's. */
dv_must dv_result dv_packed_open(dv_slice bytes, size_t most, dv_arena *arena,
                                 dv_packed_visit visit, void *data);
