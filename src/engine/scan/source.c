/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/scan/scan_private.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void dv_scan_problem(dv_scan *scan, const char *format, ...)
{
    va_list args;
    if (scan->item.problem[0] == '\0') {
        va_start(args, format);
        (void)vsnprintf(scan->item.problem, sizeof(scan->item.problem), format, args);
        va_end(args);
    }
}

static dv_result read_fd(dv_scan_source *source, uint8_t *out, size_t room, size_t *ret_len)
{
    ssize_t len = -1;
    do {
        len = read(source->fd, out, room);
    } while (len < 0 && errno == EINTR);
    if (len < 0) {
        dv_scan_problem(source->scan, "could not be read to its end: %s", strerror(errno));
        len = 0;
    }
    source->given += (uint64_t)len;
    *ret_len = (size_t)len;
    return DV_OK;
}

void dv_scan_source_fd(dv_scan *scan, int fd, dv_scan_source *source)
{
    source->scan = scan;
    source->read = read_fd;
    source->fd = fd;
    source->at = source->len = 0;
    source->given = 0;
}

/* Nobody has to write anything into a pipe: a read might wait for ever. */
static dv_result read_pipe(dv_scan_source *source, uint8_t *out, size_t room, size_t *ret_len)
{
    struct pollfd ready = {.fd = source->fd, .events = POLLIN};
    int count = -1;
    do {
        dv_time left = source->scan->until - dv_time_monotonic();
        count = poll(&ready, 1, (int)DV_MAX(DV_MIN(left / DV_MILLISECOND, 3600000), 0));
    } while ((count < 0 && errno == EINTR) ||
             (count == 0 && dv_time_monotonic() < source->scan->until));
    if (count <= 0) {
        dv_scan_problem(source->scan, "%s", source->late);
        *ret_len = 0;
        return DV_OK;
    }
    return read_fd(source, out, room, ret_len);
}

void dv_scan_source_pipe(dv_scan *scan, int fd, const char *late, dv_scan_source *source)
{
    dv_scan_source_fd(scan, fd, source);
    source->read = read_pipe;
    source->late = late;
}

/* Past a limit everything ends, at all levels of an archive. */
static dv_result read_on(dv_scan_source *source, uint8_t *out, size_t room, size_t *ret_len)
{
    dv_scan *scan = source->scan;
    size_t len = 0;
    if (dv_time_monotonic() > scan->until) {
        dv_scan_problem(scan, "took too long: only a part of it was read");
    } else if (scan->left == 0) {
        /* Whether there is more is not known before one byte of it was asked for. */
        uint8_t more = 0;
        DV_TRY(source->read(source, &more, 1, &len));
        if (len > 0) {
            dv_scan_problem(scan, "is too large: only its first %llu bytes were read",
                            (unsigned long long)scan->item.bytes);
        }
        len = 0;
    } else {
        DV_TRY(source->read(source, out, DV_MIN(room, scan->left), &len));
        scan->left -= len;
        scan->item.bytes += len;
    }
    *ret_len = len;
    return DV_OK;
}

dv_result dv_scan_peek(dv_scan_source *source, dv_slice *ret_head)
{
    size_t len = 1;
    while (source->at == 0 && source->len < DV_SCAN_HEAD && len > 0) {
        DV_TRY(read_on(source, source->head + source->len, DV_SCAN_HEAD - source->len, &len));
        source->len += len;
    }
    *ret_head = dv_slice_of(source->head + source->at, source->len - source->at);
    return DV_OK;
}

dv_result dv_scan_read(dv_scan_source *source, uint8_t *out, size_t room, size_t *ret_len)
{
    size_t len = DV_MIN(room, source->len - source->at);
    if (len == 0) {
        return read_on(source, out, room, ret_len);
    }
    memcpy(out, source->head + source->at, len);
    source->at += len;
    *ret_len = len;
    return DV_OK;
}

dv_result dv_scan_read_all(dv_scan_source *source, dv_buf *out, bool *ret_whole)
{
    uint8_t piece[DV_SCAN_PIECE];
    size_t len = 1;
    while (len > 0 && out->len < out->max) {
        DV_TRY(dv_scan_read(source, piece, DV_MIN(sizeof(piece), out->max - out->len), &len));
        DV_TRY(dv_buf_append(out, dv_slice_of(piece, len)));
    }
    *ret_whole = len == 0;
    return DV_OK;
}
