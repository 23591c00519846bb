/* SPDX-License-Identifier: Apache-2.0 */
/* Files that grow, and are rotated.
 *
 * Rotation by renaming: the name leads to another file. What was open is read on, as the older
 * reader, until nothing came for a while; the new file is read from its beginning. Rotation by copy
 * and truncation: the file is shorter than what was read of it, or begins otherwise; the copy is
 * found beside it by its first bytes, and read from where we were. The same happens at a start, for
 * what was rotated meanwhile. */
#include "base/caps.h"
#include "room/audit/collect/input.h"
#include "room/audit/collect/syslog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 64 << 10 /* of one turn */, JOINED_MAX = 256 << 10, POSITION_TEXT = 768 };
static const dv_time join_time = DV_SECOND;       /* that a next line is waited for */
static const dv_time older_time = 10 * DV_SECOND; /* of silence, then it is over */

/* One file that is read; where it is lies in the positions' slot. */
typedef struct reader {
    int fd;
    size_t slot;
    uint64_t at; /* of the next byte to be read */
    dv_frames frames;
    dv_buf joined; /* lines that belong together; empty: none */
    uint64_t joined_start;
    uint64_t joined_end;
    dv_time joined_time; /* monotonic */
    dv_time grew;        /* monotonic: when something was read last */
} reader;

typedef struct file_input {
    reader now;
    reader older; /* of before the rotation; fd -1: none */
    bool missing; /* told once */
    uint8_t bytes[CHUNK];
} file_input;

/* ---- First bytes ---- */

static uint32_t print_of(int fd, uint32_t len, uint8_t out[DV_SHA256_LEN])
{
    uint8_t bytes[DV_POSITION_PRINT_BYTES];
    ssize_t got = pread(fd, bytes, DV_MIN(len, (uint32_t)sizeof bytes), 0);
    if (got <= 0) {
        return 0;
    }
    dv_sha256(dv_slice_of(bytes, (size_t)got), (dv_slice){NULL, 0}, (dv_slice){NULL, 0}, out);
    return (uint32_t)got;
}

static bool print_fits(int fd, const dv_position *position)
{
    uint8_t print[DV_SHA256_LEN];
    return position->print_len == 0 ||
           (print_of(fd, position->print_len, print) == position->print_len &&
            memcmp(print, position->print, sizeof print) == 0);
}

/* ---- Taking lines ---- */

static const dv_position *position_of(const dv_input *input, const reader *r)
{
    return dv_positions_get(dv_collector_positions(input->collector), r->slot);
}

/* Back to what is safely taken: everything behind is read once more. */
static void rewind_reader(const dv_input *input, reader *r)
{
    dv_frames_reset(&r->frames);
    dv_buf_clear(&r->joined);
    r->at = position_of(input, r)->offset;
}

static dv_position next_position(const dv_input *input, const reader *r, uint64_t offset)
{
    dv_position next = *position_of(input, r);
    next.offset = offset;
    if (next.print_len < DV_POSITION_PRINT_BYTES) {
        next.print_len = print_of(r->fd, DV_POSITION_PRINT_BYTES, next.print);
    }
    return next;
}

static dv_slice position_text(const dv_input *input, const reader *r, uint64_t start,
                              char out[POSITION_TEXT])
{
    dv_auto(buf) dv_buf name = dv_buf_init(POSITION_TEXT);
    int len = 0;
    if (dv_buf_append_json_string(&name, dv_slice_str(input->config->path)) == DV_OK) {
        len = snprintf(out, POSITION_TEXT, "{\"file\":%.*s,\"inode\":%llu,\"offset\":%llu}",
                       DV_SLICE_ARGS(dv_buf_slice(&name)),
                       (unsigned long long)position_of(input, r)->inode, (unsigned long long)start);
    }
    return dv_slice_of(out, len > 0 && len < POSITION_TEXT ? (size_t)len : 0);
}

static dv_result emit(dv_input *input, reader *r, const dv_frame *frame, uint64_t start,
                      uint64_t end)
{
    char text[POSITION_TEXT];
    dv_line line = dv_input_line(input, frame);
    dv_position next = next_position(input, r, end);
    line.position = position_text(input, r, start, text);
    (void)dv_syslog_read(line.raw, false, &line);
    return dv_input_take(input, &line, r->slot, &next);
}

static dv_result flush_joined(dv_input *input, reader *r)
{
    const dv_frame frame = {.bytes = dv_buf_slice(&r->joined), .size = r->joined.len};
    if (r->joined.len > 0) {
        DV_TRY(emit(input, r, &frame, r->joined_start, r->joined_end));
    }
    dv_buf_clear(&r->joined);
    return DV_OK;
}

static bool belongs(dv_input *input, const reader *r, const dv_frame *frame)
{
    return r->joined.len > 0 && r->joined.len + frame->bytes.len < JOINED_MAX &&
           dv_parser_joins(dv_collector_parsers(input->collector), input->parser,
                           dv_buf_slice(&r->joined), frame->bytes);
}

static dv_result join(dv_input *input, reader *r, const dv_frame *frame, uint64_t start,
                      uint64_t end)
{
    bool first = !belongs(input, r, frame);
    if (first) {
        DV_TRY(flush_joined(input, r));
        if (frame->size > frame->bytes.len || frame->bytes.len >= JOINED_MAX) {
            return emit(input, r, frame, start, end);
        }
        r->joined_start = start;
        r->joined_time = dv_time_monotonic();
    } else {
        DV_TRY(dv_buf_append_byte(&r->joined, '\n'));
    }
    r->joined_end = end;
    return dv_buf_append(&r->joined, frame->bytes);
}

static dv_result take_frame(dv_input *input, reader *r, const dv_frame *frame, uint64_t start,
                            uint64_t end)
{
    if (frame->bytes.len == 0 && frame->size == 0) {
        return DV_OK; /* an empty line: the next one takes it along */
    }
    bool joins = input->parser != NULL && dv_parser_has_joins(input->parser);
    return joins ? join(input, r, frame, start, end) : emit(input, r, frame, start, end);
}

/* True: everything that was read is taken. */
static bool take_bytes(dv_input *input, reader *r, dv_slice bytes)
{
    uint64_t behind = r->at; /* the stream's end as it is read */
    dv_frame frame;
    while (dv_frames_next(&r->frames, &bytes, &frame)) {
        uint64_t end = behind - bytes.len;
        if (!dv_input_may_take(input) ||
            take_frame(input, r, &frame, end - frame.taken, end) != DV_OK) {
            rewind_reader(input, r);
            return false;
        }
    }
    return true;
}

/* Reads what is new. True: the end was reached, and all of it is taken. */
static bool read_reader(dv_input *input, reader *r)
{
    file_input *f = input->state;
    ssize_t len = pread(r->fd, f->bytes, sizeof f->bytes, (off_t)r->at);
    if (len <= 0) {
        return true;
    }
    r->at += (uint64_t)len;
    r->grew = dv_time_monotonic();
    if (take_bytes(input, r, dv_slice_of(f->bytes, (size_t)len))) {
        dv_collector_busy(input->collector);
    }
    return false;
}

/* ---- Opening ---- */

static int open_regular(int folder, const char *name, struct stat *status)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && (fstat(fd, status) != 0 || !S_ISREG(status->st_mode))) {
        close(fd);
        fd = -1;
        errno = EINVAL;
    }
    return fd;
}

static bool is_same_file(const struct stat *status, const dv_position *position)
{
    return status->st_ino == position->inode && status->st_dev == position->device;
}

/* The folder, and the name within it. */
static const char *split_path(const dv_input *input, char folder[PATH_MAX])
{
    snprintf(folder, PATH_MAX, "%s", input->config->path);
    char *slash = strrchr(folder, '/');
    slash[slash == folder ? 1 : 0] = '\0';
    return strrchr(input->config->path, '/') + 1;
}

/* A file beside the path that is, or is a copy of, what was read so far. -1: there is none. */
static int find_rotated(const dv_input *input, const dv_position *position, uint64_t not_inode,
                        struct stat *ret_status)
{
    char folder[PATH_MAX];
    int found = -1;
    const char *base = split_path(input, folder);
    DIR *dir = opendir(folder);
    const struct dirent *entry = NULL;
    while (dir != NULL && found < 0 && (entry = readdir(dir)) != NULL) {
        struct stat status;
        int fd = strncmp(entry->d_name, base, strlen(base)) == 0
                     ? open_regular(dirfd(dir), entry->d_name, &status)
                     : -1;
        bool fits = fd >= 0 && status.st_ino != not_inode &&
                    (uint64_t)status.st_size >= position->offset &&
                    (is_same_file(&status, position) || position->print_len > 0) &&
                    print_fits(fd, position);
        if (fits) {
            *ret_status = status;
            found = fd;
        } else if (fd >= 0) {
            close(fd);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return found;
}

/* "access.log.1", "access.log-20261122": what logrotate calls a generation of the file. */
static bool is_generation(const char *name, const char *base)
{
    size_t len = strlen(base);
    return strncmp(name, base, len) == 0 && (name[len] == '.' || name[len] == '-') &&
           name[len + 1] != '\0' && strspn(name + len + 1, "0123456789-") == strlen(name + len + 1);
}

static int compare_times(const struct timespec *a, const struct timespec *b)
{
    if (a->tv_sec != b->tv_sec) {
        return a->tv_sec < b->tv_sec ? -1 : 1;
    }
    return a->tv_nsec < b->tv_nsec ? -1 : a->tv_nsec > b->tv_nsec;
}

/* The generation that was written next after the file: while nobody looked, there may have been
 * several rotations. Neither the current file nor a fresh copy of it. -1: none. */
static int find_generation_after(const dv_input *input, const struct stat *file,
                                 const dv_position *current)
{
    char folder[PATH_MAX];
    int found = -1;
    struct timespec earliest = {0};
    const char *base = split_path(input, folder);
    DIR *dir = opendir(folder);
    const struct dirent *entry = NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        struct stat status;
        int fd = is_generation(entry->d_name, base)
                     ? open_regular(dirfd(dir), entry->d_name, &status)
                     : -1;
        bool next = fd >= 0 && status.st_ino != current->inode && status.st_ino != file->st_ino &&
                    (current->print_len == 0 || !print_fits(fd, current)) &&
                    compare_times(&status.st_mtim, &file->st_mtim) > 0 &&
                    (found < 0 || compare_times(&status.st_mtim, &earliest) < 0);
        if (next) {
            earliest = status.st_mtim;
            dv_fd_close(&found);
            found = fd;
        } else if (fd >= 0) {
            close(fd);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return found;
}

static void close_reader(reader *r)
{
    dv_fd_close(&r->fd);
    dv_frames_reset(&r->frames);
    dv_buf_clear(&r->joined);
}

static void set_position(const dv_input *input, const reader *r, const dv_position *position)
{
    dv_positions_set(dv_collector_positions(input->collector), r->slot, position);
}

static void begin_reader(const dv_input *input, reader *r, int fd)
{
    r->fd = fd;
    r->grew = dv_time_monotonic();
    rewind_reader(input, r);
}

/* The file is over when nothing came for a while: its last line may have no end. */
static void end_older(dv_input *input)
{
    file_input *f = input->state;
    dv_frame frame;
    static const dv_position none = {0};
    if (flush_joined(input, &f->older) != DV_OK ||
        (dv_frames_last(&f->older.frames, &frame) &&
         emit(input, &f->older, &frame, f->older.at - frame.taken, f->older.at) != DV_OK)) {
        rewind_reader(input, &f->older);
        return;
    }
    close_reader(&f->older);
    set_position(input, &f->older, &none);
}

/* What was read as the current file goes on as the older one. A still older one that is not at its
 * end is let go, and told. */
static void make_older(dv_input *input, int fd, const dv_position *position)
{
    file_input *f = input->state;
    if (f->older.fd >= 0) {
        if (!read_reader(input, &f->older)) {
            dv_trouble_add(&input->lost, 1);
        } else {
            end_older(input);
        }
        close_reader(&f->older);
    }
    set_position(input, &f->older, position);
    begin_reader(input, &f->older, fd);
}

static dv_position first_position(int fd, const struct stat *status)
{
    dv_position position = {.device = status->st_dev, .inode = status->st_ino};
    position.print_len = print_of(fd, DV_POSITION_PRINT_BYTES, position.print);
    return position;
}

static void begin_new(dv_input *input, int fd, const struct stat *status)
{
    file_input *f = input->state;
    dv_position position = first_position(fd, status);
    set_position(input, &f->now, &position);
    begin_reader(input, &f->now, fd);
}

/* The file that was read is not under its name any more: goes on in what is found of it. */
static void follow_rotated(dv_input *input, const dv_position *before, uint64_t not_inode)
{
    struct stat status;
    int fd = find_rotated(input, before, not_inode, &status);
    if (fd < 0) {
        dv_trouble_add(&input->lost, 1);
        return;
    }
    dv_position position = *before;
    position.device = status.st_dev;
    position.inode = status.st_ino;
    make_older(input, fd, &position);
}

/* At the start, and when the file appears. */
static bool open_path(dv_input *input)
{
    file_input *f = input->state;
    struct stat status;
    const dv_position before = *position_of(input, &f->now);
    int fd = open_regular(AT_FDCWD, input->config->path, &status);
    if (fd < 0) {
        if (!f->missing) {
            dv_collector_say(input->collector, "%s: %s; waiting for it", input->config->path,
                             strerror(errno));
        }
        f->missing = true;
        return false;
    }
    f->missing = false;
    bool known = before.inode != 0;
    if (known && is_same_file(&status, &before) && (uint64_t)status.st_size >= before.offset &&
        print_fits(fd, &before)) {
        begin_reader(input, &f->now, fd);
        return true;
    }
    if (known && before.print_len > 0) {
        follow_rotated(input, &before, status.st_ino);
    }
    begin_new(input, fd, &status);
    return true;
}

/* An older one that a death left behind. */
static void open_older(dv_input *input)
{
    file_input *f = input->state;
    struct stat status;
    const dv_position before = *position_of(input, &f->older);
    if (before.inode == 0 || before.inode == position_of(input, &f->now)->inode) {
        return; /* none, or a death came while it was handed over */
    }
    int fd = find_rotated(input, &before, 0, &status);
    if (fd >= 0) {
        begin_reader(input, &f->older, fd);
    } else {
        dv_trouble_add(&input->lost, 1);
    }
}

/* ---- Rotation ---- */

static void truncated(dv_input *input, const struct stat *status)
{
    file_input *f = input->state;
    const dv_position before = *position_of(input, &f->now);
    int fd = f->now.fd;
    f->now.fd = -1;
    dv_buf_clear(&f->now.joined);
    if (before.print_len > 0) {
        follow_rotated(input, &before, before.inode);
    }
    begin_new(input, fd, status);
}

/* Before anything is read: it may have grown beyond where we were. */
static void look_for_truncation(dv_input *input)
{
    file_input *f = input->state;
    struct stat opened;
    if (fstat(f->now.fd, &opened) == 0 && ((uint64_t)opened.st_size < f->now.at ||
                                           !print_fits(f->now.fd, position_of(input, &f->now)))) {
        truncated(input, &opened);
    }
}

/* Renamed, or as it was. Called when all was read. */
static void look_at_path(dv_input *input)
{
    file_input *f = input->state;
    struct stat named;
    struct stat opened;
    if (fstat(f->now.fd, &opened) != 0 || stat(input->config->path, &named) != 0 ||
        (named.st_ino == opened.st_ino && named.st_dev == opened.st_dev)) {
        return;
    }
    int fd = open_regular(AT_FDCWD, input->config->path, &named);
    if (fd >= 0) {
        const dv_position before = *position_of(input, &f->now);
        int old = f->now.fd;
        f->now.fd = -1;
        dv_buf_clear(&f->now.joined);
        make_older(input, old, &before);
        begin_new(input, fd, &named);
    }
}

/* ---- The kind ---- */

static dv_result find_slot(dv_input *input, reader *r, const char *suffix, dv_error *error)
{
    char key[DV_POSITION_KEY_MAX];
    bool known = false;
    int len = snprintf(key, sizeof key, "%s%s", input->config->path, suffix);
    if (len >= (int)sizeof key || dv_positions_find(dv_collector_positions(input->collector), key,
                                                    &r->slot, &known) != DV_OK) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "%s: too many files, or too long a path",
                            input->config->path);
    }
    r->fd = -1;
    r->frames = dv_frames_init(false);
    r->joined = dv_buf_init(JOINED_MAX + 2);
    return DV_OK;
}

static dv_result file_open(dv_input *input, dv_error *error)
{
    file_input *f = calloc(1, sizeof *f);
    input->state = f;
    if (f == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    f->now.fd = f->older.fd = -1;
    DV_TRY(find_slot(input, &f->now, "", error));
    DV_TRY(find_slot(input, &f->older, "\n", error));
    open_older(input);
    (void)open_path(input);
    return DV_OK;
}

static void file_close(dv_input *input)
{
    file_input *f = input->state;
    reader *readers[] = {&f->now, &f->older};
    for (size_t i = 0; i < DV_ARRAY_LEN(readers); i++) {
        close_reader(readers[i]);
        dv_frames_release(&readers[i]->frames);
        dv_buf_release(&readers[i]->joined);
    }
    free(f);
    input->state = NULL;
}

static void file_pause(dv_input *input, bool paused)
{
    /* It is read at ticks, and only while lines may be taken. */
}

static void flush_old_joined(dv_input *input, reader *r)
{
    if (r->joined.len > 0 && dv_time_monotonic() - r->joined_time > join_time &&
        flush_joined(input, r) != DV_OK) {
        rewind_reader(input, r);
    }
}

/* At its end: the next generation, or, after a while of silence, none. */
static void leave_older(dv_input *input)
{
    file_input *f = input->state;
    struct stat status;
    if (fstat(f->older.fd, &status) != 0) {
        return;
    }
    int next = find_generation_after(input, &status, position_of(input, &f->now));
    if (next < 0 && dv_time_monotonic() - f->older.grew <= older_time) {
        return;
    }
    end_older(input);
    if (next >= 0 && f->older.fd < 0 && fstat(next, &status) == 0) {
        dv_position position = first_position(next, &status);
        set_position(input, &f->older, &position);
        begin_reader(input, &f->older, next);
    } else if (next >= 0) {
        close(next);
    }
}

static void file_tick(dv_input *input)
{
    file_input *f = input->state;
    if (!dv_input_may_take(input)) {
        return;
    }
    if (f->older.fd >= 0 && read_reader(input, &f->older)) {
        flush_old_joined(input, &f->older);
        leave_older(input);
    }
    if (f->now.fd < 0 && !open_path(input)) {
        return;
    }
    look_for_truncation(input);
    if (read_reader(input, &f->now)) {
        flush_old_joined(input, &f->now);
        look_at_path(input);
    }
}

const dv_input_kind dv_input_file = {file_open, file_close, file_pause, file_tick};
