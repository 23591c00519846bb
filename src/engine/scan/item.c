/* SPDX-License-Identifier: Apache-2.0 */
/* One file, pipe or other stream that is open. */
#include "engine/scan/scan_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- what is known of it before it is read ---- */

/* 0: before 1970, or later than a dv_time can tell; anybody may set a file's time. */
static dv_time time_of(const struct timespec *time)
{
    static const time_t latest = 9000000000; /* in 2255 */
    return time->tv_sec < 0 || time->tv_sec > latest ? 0 : time->tv_sec * DV_SECOND + time->tv_nsec;
}

void dv_scan_stamp(const struct stat *about, char out[DV_SCAN_STAMP_MAX])
{
    (void)snprintf(out, DV_SCAN_STAMP_MAX, "%" PRIu64 ".%" PRId64 ".%" PRId64 ".%" PRId64,
                   (uint64_t)about->st_ino, (int64_t)about->st_size, time_of(&about->st_mtim),
                   time_of(&about->st_ctim));
}

static void describe_file(dv_scan_item *item, const struct stat *about)
{
    dv_time changed = time_of(&about->st_ctim); /* 0: no clock tells it */
    item->size = (uint64_t)about->st_size;
    item->modified = time_of(&about->st_mtim);
    if (changed != 0 && dv_time_now() - changed > 2 * DV_SECOND) {
        dv_scan_stamp(about, item->stamp);
    }
}

/* ---- reading it ---- */

dv_result dv_scan_open_item(dv_scan *scan, int fd, const struct stat *about, dv_scan_source *source)
{
    bool regular = S_ISREG(about->st_mode);
    scan->left = scan->limits->bytes;
    scan->members_left = scan->limits->members;
    if (regular) {
        describe_file(&scan->item, about);
        dv_scan_source_fd(scan, fd, source);
    } else {
        dv_scan_source_pipe(scan, fd, "took too long: only a part of it was read", source);
    }
    DV_TRY(scan->visitor->begin(scan->visitor->data, &scan->item));
    DV_TRY(dv_scan_content(scan, source, (dv_slice){NULL, 0}, 0, &scan->item.kind));
    scan->item.size = regular ? scan->item.size : source->given;
    return scan->visitor->end(scan->visitor->data, &scan->item);
}

dv_result dv_scan_tell_unread(const char *name, const char *problem, const dv_scan_visitor *visitor)
{
    dv_scan_item item = {.name = name, .kind = DV_SCAN_OPAQUE};
    (void)snprintf(item.problem, sizeof(item.problem), "%s", problem);
    DV_TRY(visitor->begin(visitor->data, &item));
    return visitor->end(visitor->data, &item);
}

dv_result dv_scan_stream(int fd, const char *name, const dv_scan_limits *limits,
                         const dv_scan_visitor *visitor, uint64_t *ret_size, dv_error *error)
{
    struct stat about;
    dv_scan scan = {
        .limits = limits,
        .visitor = visitor,
        .item.name = name,
        .until = dv_time_monotonic() + DV_MIN(limits->file_time, limits->time),
    };
    if (fstat(fd, &about) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s is not open", name);
    }
    dv_scan_source *source = calloc(1, sizeof(*source));
    scan.arena = dv_arena_new(DV_SCAN_ARENA);
    dv_result result = source == NULL || scan.arena == NULL
                           ? DV_ERR_NO_MEMORY
                           : dv_scan_open_item(&scan, fd, &about, source);
    dv_arena_free(scan.arena);
    free(source);
    if (result == DV_OK) {
        *ret_size = scan.item.size;
    }
    return result;
}
