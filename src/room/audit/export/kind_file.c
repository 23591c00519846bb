/* SPDX-License-Identifier: Apache-2.0 */
/* A file of lines. A batch is written and synced before its events count as sent. Rotated by size
 * (PATH.1 is the youngest), and opened anew when somebody else moved it away. */
#include "base/file.h"
#include "room/audit/export/format.h"
#include "room/audit/export/kind.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BODY_MAX = 64 << 20, TAIL_MAX = 1 << 20, EVENTS_MAX = 10000 };

typedef struct file_sender {
    const dv_export_context *context;
    int fd;
    uint64_t size; /* of the file, as far as it is good */
    dv_buf body;
    char path[PATH_MAX - 16];
} file_sender;

static dv_result io_error(const file_sender *sender, dv_error *error)
{
    return dv_error_set(error, DV_ERR_UNAVAILABLE, "%s: %s", sender->path, strerror(errno));
}

static dv_result file_open(const dv_export_context *context, void **ret_sender, dv_error *error)
{
    bool main_log = strcmp(context->log, "main") == 0;
    file_sender *sender = calloc(1, sizeof(*sender));
    if (sender == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    sender->context = context;
    sender->fd = -1;
    sender->body = dv_buf_init(BODY_MAX);
    int len = snprintf(sender->path, sizeof(sender->path), "%s%s%s", context->destination->path,
                       main_log ? "" : ".", main_log ? "" : context->log);
    if (len < 0 || (size_t)len >= sizeof(sender->path)) {
        free(sender);
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the export's path is too long");
    }
    *ret_sender = sender;
    return DV_OK;
}

static void file_close(void *data)
{
    file_sender *sender = data;
    if (sender != NULL) {
        dv_fd_close(&sender->fd);
        dv_buf_release(&sender->body);
        free(sender);
    }
}

/* -- the end that a kill left ------------------------------------------------------------------ */

/* Where the last whole line ends; the tail's own start when there is none in it. */
static size_t last_line_end(dv_slice tail)
{
    size_t end = tail.len;
    while (end > 0 && tail.ptr[end - 1] != '\n') {
        end--;
    }
    return end;
}

static bool is_ours(dv_slice line)
{
    static const char json[] = "{\"metadata\":{\"uid\":", cef[] = "CEF:0|Dvara|";
    size_t a = DV_MIN(line.len, sizeof(json) - 1), b = DV_MIN(line.len, sizeof(cef) - 1);
    return line.len > 0 && (memcmp(line.ptr, json, a) == 0 || memcmp(line.ptr, cef, b) == 0);
}

/* Half a line of ours goes; what somebody else left without its end gets one. */
static dv_result mend_tail(file_sender *sender, dv_error *error)
{
    uint64_t from = sender->size > TAIL_MAX ? sender->size - TAIL_MAX : 0;
    size_t len = (size_t)(sender->size - from);
    dv_auto(free) uint8_t *bytes = malloc(len + 1);
    if (bytes == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (pread(sender->fd, bytes, len, (off_t)from) != (ssize_t)len) {
        return io_error(sender, error);
    }
    dv_slice tail = dv_slice_of(bytes, len);
    size_t end = last_line_end(tail);
    if (end == len) {
        return DV_OK;
    }
    if (is_ours(dv_slice_sub(tail, end, len))) {
        sender->size = from + end;
        return ftruncate(sender->fd, (off_t)sender->size) == 0 ? DV_OK : io_error(sender, error);
    }
    sender->size++;
    return dv_fd_write_all(sender->fd, DV_LIT("\n")) == DV_OK ? DV_OK : io_error(sender, error);
}

/* -- the file ---------------------------------------------------------------------------------- */

static dv_result open_file(file_sender *sender, dv_error *error)
{
    struct stat about;
    sender->fd =
        open(sender->path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0640);
    if (sender->fd < 0 || fstat(sender->fd, &about) != 0) {
        return io_error(sender, error);
    }
    if (!S_ISREG(about.st_mode)) {
        dv_fd_close(&sender->fd);
        sender->fd = -1;
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "%s is not a regular file", sender->path);
    }
    sender->size = (uint64_t)about.st_size;
    dv_result result = sender->size == 0 ? DV_OK : mend_tail(sender, error);
    if (result != DV_OK) {
        dv_fd_close(&sender->fd);
        sender->fd = -1;
    }
    return result;
}

/* Whether the path still names what is open. */
static bool is_in_place(const file_sender *sender)
{
    struct stat open_one, named;
    return sender->fd >= 0 && fstat(sender->fd, &open_one) == 0 &&
           stat(sender->path, &named) == 0 && open_one.st_ino == named.st_ino &&
           open_one.st_dev == named.st_dev;
}

/* PATH.N goes, PATH.N-1 becomes it, ..., PATH becomes PATH.1. */
static dv_result rotate(file_sender *sender, dv_error *error)
{
    char from[PATH_MAX], to[PATH_MAX];
    for (int64_t i = sender->context->destination->keep; i > 0; i--) {
        snprintf(to, sizeof(to), "%s.%d", sender->path, (int)i);
        snprintf(from, sizeof(from), "%s.%d", sender->path, (int)i - 1);
        if (rename(i == 1 ? sender->path : from, to) != 0 && errno != ENOENT) {
            return io_error(sender, error);
        }
    }
    dv_fd_close(&sender->fd);
    sender->fd = -1;
    return open_file(sender, error);
}

static dv_result make_ready(file_sender *sender, dv_error *error)
{
    uint64_t most = sender->context->destination->rotate_size;
    if (!is_in_place(sender)) {
        dv_fd_close(&sender->fd);
        sender->fd = -1;
        DV_TRY(open_file(sender, error));
    }
    bool full = most > 0 && sender->size > 0 && sender->size + sender->body.len > most;
    return full ? rotate(sender, error) : DV_OK;
}

/* A batch is whole in the file or not there at all. */
static dv_result write_body(file_sender *sender, dv_error *error)
{
    if (dv_fd_write_all(sender->fd, dv_buf_slice(&sender->body)) != DV_OK ||
        fdatasync(sender->fd) != 0) {
        dv_result result = io_error(sender, error);
        (void)!ftruncate(sender->fd, (off_t)sender->size);
        dv_fd_close(&sender->fd);
        sender->fd = -1;
        return result;
    }
    sender->size += sender->body.len;
    return DV_OK;
}

static dv_result put_lines(file_sender *sender, const dv_export_chunk *chunk)
{
    bool cef = sender->context->destination->cef;
    dv_buf_clear(&sender->body);
    for (size_t i = 0; i < chunk->count; i++) {
        const dv_export_event *event = &chunk->items[i]->event;
        DV_TRY(cef ? dv_export_put_cef(&sender->body, event, chunk->arena)
                   : dv_export_put_json(&sender->body, event));
        DV_TRY(dv_buf_append_byte(&sender->body, '\n'));
    }
    return DV_OK;
}

static dv_result file_send(void *data, dv_export_chunk *chunk, dv_error *error)
{
    file_sender *sender = data;
    DV_TRY(put_lines(sender, chunk));
    DV_TRY(make_ready(sender, error));
    DV_TRY(write_body(sender, error));
    for (size_t i = 0; i < chunk->count; i++) {
        chunk->items[i]->state = DV_EXPORT_DONE;
    }
    return DV_OK;
}

const dv_export_kind dv_export_kind_file = {
    .open = file_open, .send = file_send, .close = file_close, .events_max = EVENTS_MAX};
