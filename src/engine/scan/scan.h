/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reads what lies in files, archives and tables and hands out the text in it, piece by piece. Knows
 * no detector and no policy: what the text means is its visitor's.
 *
 * What is read is somebody else's: every size, depth, number and duration has a bound. A bound that
 * is met ends the reading of that one thing, which then says so; it never ends the scan, and never
 * passes for having read all of it. */

#include "base/clock.h"
#include "base/result.h"
#include "base/slice.h"

typedef enum dv_scan_kind {
    DV_SCAN_EMPTY = 0,
    DV_SCAN_TEXT,
    DV_SCAN_CSV,
    DV_SCAN_JSON,
    DV_SCAN_JSON_LINES,
    DV_SCAN_DOCUMENT, /* of an office program: DOCX, XLSX, PPTX, ODT, ODS, ODP */
    DV_SCAN_PDF,
    DV_SCAN_ARCHIVE, /* tar, zip, cpio, and what gzip, bzip2, xz, zstd, lz4 packed */
    DV_SCAN_BINARY,  /* none of these: the text between its other bytes */
    DV_SCAN_OPAQUE,  /* known, and not read: Parquet, 7z, RAR, encrypted */
    DV_SCAN_TABLE,
    DV_SCAN_VIEW,
    DV_SCAN_KINDS,
} dv_scan_kind;

/* "text", "csv", ... */
const char *dv_scan_kind_name(dv_scan_kind kind);

typedef struct dv_scan_limits {
    uint32_t depth;    /* folders below the first */
    uint32_t nesting;  /* archives within archives */
    uint32_t members;  /* of one file's archives, together */
    uint64_t files;    /* and tables, of one scan */
    uint64_t bytes;    /* read of one file, packed and unpacked together */
    uint64_t rows;     /* of one table */
    dv_time file_time; /* nanoseconds for one file or table */
    dv_time time;      /* for the whole scan */
    bool cross_devices;
} dv_scan_limits;

extern const dv_scan_limits dv_scan_limits_usual;

enum { DV_SCAN_PROBLEM_MAX = 160, DV_SCAN_STAMP_MAX = 80 };

/* One file or table. */
typedef struct dv_scan_item {
    const char *name; /* path below the first folder, as the disk has it; schema.table */
    /* Of the file; of a pipe what it gave; of a table as it lies on the disk, 0: not known. */
    uint64_t size;
    dv_time modified; /* 0: not known */
    /* Of a file, as it was before it was read: "INODE.SIZE.MODIFIED.CHANGED", times in ns. Nobody
     * writes into it, renames or replaces it without another stamp. "": none, since it changed so
     * shortly before that another change might leave the same (file systems count in up to 2 s). Of
     * a table "SERVER.DATABASE.OID", whatever it is called and by whatever name its server was
     * reached; "": the server does not tell. */
    char stamp[DV_SCAN_STAMP_MAX];
    dv_scan_kind kind;
    uint64_t bytes; /* read, packed and unpacked */
    uint64_t rows;  /* of tables and CSV, objects of JSON lines, that were read */
    bool sampled;   /* a table with more rows than were read */
    /* Why not all of it was read, or ""; never holds what is in it. */
    char problem[DV_SCAN_PROBLEM_MAX];
} dv_scan_item;

/* Where a piece of text stands within its item. Borrowed for the call. */
typedef struct dv_scan_place {
    dv_slice member; /* of an archive: "mail/2020.mbox"; else empty */
    dv_slice field;  /* column "email", or of JSON "users[].email"; empty: running text */
} dv_scan_place;

/* The stamp of a file, whatever its age. */
struct stat;
void dv_scan_stamp(const struct stat *about, char out[DV_SCAN_STAMP_MAX]);

/* Whom the scan tells. Any result but DV_OK ends the scan with it. */
typedef struct dv_scan_visitor {
    void *data;
    dv_result (*begin)(void *data, const dv_scan_item *item);
    /* The next piece of running text, in order; last: the text of this place ends with it. */
    dv_result (*text)(void *data, const dv_scan_place *place, dv_slice text, bool last);
    /* One whole value of a field. */
    dv_result (*value)(void *data, const dv_scan_place *place, dv_slice value);
    dv_result (*end)(void *data, const dv_scan_item *item);
} dv_scan_visitor;

typedef struct dv_scan_totals {
    uint64_t items;
    uint64_t bytes; /* of the files, as they lie there */
    uint64_t folders;
    uint64_t links;      /* symbolic links, not followed */
    uint64_t specials;   /* sockets, pipes, devices: passed over */
    uint64_t devices;    /* folders on other file systems: passed over */
    uint64_t deep;       /* folders below the deepest that is read */
    uint64_t unreadable; /* files and folders that could not be opened */
    /* Why the scan ended before it had seen everything, or "". */
    char stopped[DV_SCAN_PROBLEM_MAX];
} dv_scan_totals;

/* Reads a file, or all files below a folder in the order of their names. A link is followed only
 * where `path` itself is one. Errors: DV_ERR_NOT_FOUND, DV_ERR_FORBIDDEN, DV_ERR_IO,
 * DV_ERR_INVALID (path is neither file nor folder), the visitor's. */
dv_must dv_result dv_scan_path(const char *path, const dv_scan_limits *limits,
                               const dv_scan_visitor *visitor, dv_scan_totals *ret_totals,
                               dv_error *error);

/* Reads what is open, a file or a pipe, from where it stands to its end; of a pipe for limits' time
 * of a file at most, whoever writes into it. name: what the item is called. ret_size: bytes of the
 * file, or that the pipe gave. Errors: DV_ERR_IO (fd is not open), the visitor's. */
dv_must dv_result dv_scan_stream(int fd, const char *name, const dv_scan_limits *limits,
                                 const dv_scan_visitor *visitor, uint64_t *ret_size,
                                 dv_error *error);
/* Tells of what could not be read at all, and why. Errors: the visitor's. */
dv_must dv_result dv_scan_tell_unread(const char *name, const char *problem,
                                      const dv_scan_visitor *visitor);

/* dv_scan_path without reading any file: how many there are, and how large. */
dv_must dv_result dv_scan_count(const char *path, const dv_scan_limits *limits,
                                dv_scan_totals *ret_totals, dv_error *error);
