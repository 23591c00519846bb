/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "engine/scan/scan.h"

enum {
    DV_SCAN_HEAD = 16 << 10,     /* bytes by which a kind is told */
    DV_SCAN_PIECE = 64 << 10,    /* bytes that are read at once */
    DV_SCAN_PLACE_MAX = 1 << 10, /* bytes of a member's or field's name */
    DV_SCAN_WHOLE = 32 << 20,    /* of one JSON text that is read as a whole */
    DV_SCAN_TOKENS = 4 << 20,    /* of it */
    DV_SCAN_LINE = 1 << 20,      /* of JSON lines */
    DV_SCAN_ARENA = 512 << 20,
};

/* One item that is being read. */
typedef struct dv_scan {
    const dv_scan_limits *limits;
    const dv_scan_visitor *visitor;
    dv_scan_item item;
    uint64_t left;         /* bytes that may still be read */
    uint32_t members_left; /* of archives */
    dv_time until;         /* monotonic */
    dv_arena *arena;       /* of one JSON text */
} dv_scan;

/* Bytes in order. */
typedef struct dv_scan_source dv_scan_source;
struct dv_scan_source {
    dv_scan *scan;
    /* Up to `room` bytes; none is the end. */
    dv_result (*read)(dv_scan_source *source, uint8_t *out, size_t room, size_t *ret_len);
    void *data;
    int fd;
    const char *late; /* of a pipe: the problem, when it says nothing for too long */
    uint64_t given;   /* bytes that fd gave */
    size_t at;        /* of head, that was handed out */
    size_t len;       /* of head */
    uint8_t head[DV_SCAN_HEAD];
};

/* The first problem stays. */
void dv_scan_problem(dv_scan *scan, const char *format, ...) dv_printf(2, 3);

/* A file. */
void dv_scan_source_fd(dv_scan *scan, int fd, dv_scan_source *source);
/* What may wait for others, until the scan's time is over. late: borrowed. */
void dv_scan_source_pipe(dv_scan *scan, int fd, const char *late, dv_scan_source *source);
/* The first bytes, which are read again by dv_scan_read. Valid as long as the source. */
dv_must dv_result dv_scan_peek(dv_scan_source *source, dv_slice *ret_head);
/* The next bytes, at most `room`; none: the end, or a limit, which is then the item's problem. */
dv_must dv_result dv_scan_read(dv_scan_source *source, uint8_t *out, size_t room, size_t *ret_len);
/* All that is left, up to out's maximum. ret_whole: that was all. */
dv_must dv_result dv_scan_read_all(dv_scan_source *source, dv_buf *out, bool *ret_whole);

/* Reads what is open and tells of it. scan: limits, visitor, until, arena and the item's name are
 * set. source: room for it. */
struct stat;
dv_must dv_result dv_scan_open_item(dv_scan *scan, int fd, const struct stat *about,
                                    dv_scan_source *source);

/* What it is, by its first bytes; `whole`: there are no others. */
dv_scan_kind dv_scan_kind_of(dv_slice head, bool whole, char *ret_delimiter);
/* "Parquet", of what is DV_SCAN_OPAQUE. */
const char *dv_scan_opaque_name(dv_slice head);

/* Reads a source of any kind. nesting: archives around it. ret_kind: what it was. */
dv_must dv_result dv_scan_content(dv_scan *scan, dv_scan_source *source, dv_slice member,
                                  uint32_t nesting, dv_scan_kind *ret_kind);

/* Bytes in order that are UTF-16 (RFC 2781), as UTF-8. */
dv_must dv_result dv_scan_utf16(dv_scan *scan, dv_scan_source *source, bool big_endian,
                                dv_slice member, uint32_t nesting, dv_scan_kind *ret_kind);

/* The readers of the kinds. Errors are the visitor's, and DV_ERR_NO_MEMORY; whatever is wrong with
 * the content is the item's problem. */
dv_must dv_result dv_scan_text(dv_scan *scan, dv_scan_source *source, dv_slice member);
dv_must dv_result dv_scan_csv(dv_scan *scan, dv_scan_source *source, dv_slice member,
                              char delimiter);
dv_must dv_result dv_scan_json(dv_scan *scan, dv_scan_source *source, dv_slice member);
dv_must dv_result dv_scan_json_lines(dv_scan *scan, dv_scan_source *source, dv_slice member);
/* Turns on the formats of archives that are read of anybody, and the packing that the first bytes
 * tell, if any (*ret_filtered). False: no memory. */
struct archive;
bool dv_scan_add_readers(struct archive *archive, dv_slice head, bool *ret_filtered);
/* ret_document: the archive was a document of an office program. */
dv_must dv_result dv_scan_archive(dv_scan *scan, dv_scan_source *source, dv_slice member,
                                  uint32_t nesting, bool *ret_document);
dv_must dv_result dv_scan_document(dv_scan *scan, dv_scan_source *source, dv_slice member);
dv_must dv_result dv_scan_pdf(dv_scan *scan, dv_scan_source *source, dv_slice member);
