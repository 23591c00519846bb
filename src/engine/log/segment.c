/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/segment.h"

#include "crypto/random.h"
#include "engine/log/segment_format.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WINDOW = 1 << 18 };
_Static_assert((size_t)WINDOW >= (size_t)DV_FRAME_MAX, "a whole frame fits the window");

struct dv_segment {
    int fd;
    uid_t owner;
    dv_segment_info info;
    dv_aead *aead;
    uint64_t sequence; /* of the next record */
    uint64_t offset;   /* of the next record in the file */
    size_t start;      /* where it begins in the window */
    size_t filled;     /* bytes in the window */
    bool torn;
    uint8_t window[WINDOW];
    uint8_t text[DV_LIMIT_RECORD];
};

static ssize_t read_at(int fd, uint8_t *out, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t got = pread(fd, out + done, len - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* The segment's key out of its box. */
static dv_result open_key(const dv_segment_header *header, const dv_log_keys *keys,
                          dv_aead **ret_aead, dv_error *error)
{
    uint8_t key[DV_AEAD_KEY_LEN];
    if (memcmp(header->log_key, keys->public_key, sizeof(header->log_key)) != 0) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the segment was made for another log's key");
    }
    if (dv_box_open(keys->public_key, keys->secret_key,
                    dv_slice_of(header->sealed_key, sizeof(header->sealed_key)), key) != DV_OK) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the segment's key does not open");
    }
    dv_result result = dv_aead_new(key, ret_aead);
    dv_wipe(key, sizeof(key));
    return result;
}

static dv_result segment_load(dv_segment *segment, const dv_log_keys *keys, dv_error *error)
{
    uint8_t bytes[DV_SEGMENT_HEADER_LEN];
    dv_segment_header header;
    ssize_t got = read_at(segment->fd, bytes, sizeof(bytes), 0);
    if (got < 0) {
        return dv_error_set(error, DV_ERR_IO, "can not read the segment: %s", strerror(errno));
    }
    if (got < (ssize_t)sizeof(bytes)) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the segment's header is cut short");
    }
    DV_TRY(dv_segment_header_decode(bytes, &header, error));
    DV_TRY(open_key(&header, keys, &segment->aead, error));
    segment->info = header.info;
    dv_segment_seek(segment, 0, DV_SEGMENT_HEADER_LEN);
    return DV_OK;
}

/* A link, a socket, and what its writer lets nobody read, will not get better. */
static dv_result open_failure(int why)
{
    return why == ENOENT                                   ? DV_ERR_NOT_FOUND
           : why == ELOOP || why == EACCES || why == ENXIO ? DV_ERR_CORRUPT
                                                           : DV_ERR_IO;
}

dv_result dv_segment_open_at(int folder, const char *path, const dv_log_keys *keys,
                             dv_segment **ret_segment, dv_error *error)
{
    struct stat about;
    dv_segment *segment = malloc(sizeof(*segment));
    if (segment == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *segment =
        (dv_segment){.fd = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)};
    dv_result result;
    if (segment->fd < 0 || fstat(segment->fd, &about) != 0) {
        result =
            dv_error_set(error, open_failure(errno), "can not open %s: %s", path, strerror(errno));
    } else if (!S_ISREG(about.st_mode)) {
        result = dv_error_set(error, DV_ERR_CORRUPT, "%s is not a regular file", path);
    } else {
        segment->owner = about.st_uid;
        result = segment_load(segment, keys, error);
    }
    if (result != DV_OK) {
        dv_segment_close(segment);
        return result;
    }
    *ret_segment = segment;
    return DV_OK;
}

dv_result dv_segment_open(const char *path, const dv_log_keys *keys, dv_segment **ret_segment,
                          dv_error *error)
{
    return dv_segment_open_at(AT_FDCWD, path, keys, ret_segment, error);
}

void dv_segment_close(dv_segment *segment)
{
    if (segment != NULL) {
        dv_fd_close(&segment->fd);
        dv_aead_free(segment->aead);
        free(segment);
    }
}

const dv_segment_info *dv_segment_about(const dv_segment *segment)
{
    return &segment->info;
}

uid_t dv_segment_owner(const dv_segment *segment)
{
    return segment->owner;
}

/* Forgets the window: the writer may have truncated half a record away and written another. */
static void drop_window(dv_segment *segment)
{
    segment->start = 0;
    segment->filled = 0;
}

void dv_segment_seek(dv_segment *segment, uint64_t sequence, uint64_t offset)
{
    segment->sequence = sequence;
    segment->offset = offset;
    drop_window(segment);
}

static bool fd_has_writer(int fd)
{
    if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        return true;
    }
    flock(fd, LOCK_UN);
    return false;
}

bool dv_segment_has_writer(int folder, const char *path)
{
    dv_auto(fd) int fd = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    return fd >= 0 && fd_has_writer(fd);
}

bool dv_segment_is_written(const dv_segment *segment)
{
    return fd_has_writer(segment->fd);
}

static dv_slice window_rest(const dv_segment *segment)
{
    return dv_slice_of(segment->window + segment->start, segment->filled - segment->start);
}

static dv_result read_failed(dv_error *error)
{
    return dv_error_set(error, DV_ERR_IO, "can not read the segment: %s", strerror(errno));
}

/* What stands at the front of the window. */
typedef enum front {
    FRONT_FRAME,
    FRONT_SHORT, /* the file ends before the frame does */
    FRONT_NONE,  /* no length: no record was finished here */
    FRONT_BAD,
} front;

static front look(const dv_segment *segment, size_t *ret_frame_len)
{
    dv_slice rest = window_rest(segment);
    if (rest.len < DV_SEGMENT_RECORD_HEADER_LEN) {
        return FRONT_SHORT;
    }
    if (!dv_frame_begins(rest.ptr)) {
        return FRONT_NONE;
    }
    if (dv_frame_length(rest.ptr, segment->sequence, ret_frame_len) != DV_OK) {
        return FRONT_BAD;
    }
    return rest.len < *ret_frame_len ? FRONT_SHORT : FRONT_FRAME;
}

static front look_and_open(dv_segment *segment, size_t *ret_frame_len, size_t *ret_text_len)
{
    front what = look(segment, ret_frame_len);
    if (what == FRONT_FRAME && dv_frame_open(segment->aead, &segment->info.id, segment->sequence,
                                             dv_slice_sub(window_rest(segment), 0, *ret_frame_len),
                                             segment->text, ret_text_len) != DV_OK) {
        return FRONT_BAD;
    }
    return what;
}

/* Reads anew from the next record on: its head alone where nothing is written yet, since a living
 * writer's file goes on with zeros. */
static dv_result refill(dv_segment *segment, dv_error *error)
{
    size_t wanted = DV_SEGMENT_RECORD_HEADER_LEN;
    drop_window(segment);
    for (;;) {
        ssize_t got = read_at(segment->fd, segment->window, wanted, segment->offset);
        if (got < 0) {
            return read_failed(error);
        }
        segment->filled = (size_t)got;
        if (wanted == WINDOW || (size_t)got < wanted || !dv_frame_begins(segment->window)) {
            return DV_OK;
        }
        wanted = WINDOW;
    }
}

/* Where the next bytes are that the file holds; a hole may be terabytes long. False: none. */
static bool skip_hole(int fd, uint64_t *from)
{
    off_t data = lseek(fd, (off_t)*from, SEEK_DATA);
    if (data < 0 && errno == ENXIO) {
        return false;
    }
    *from = data < 0 ? *from : (uint64_t)data;
    return true;
}

/* Whether the file holds anything but zeros in [from, to). */
static dv_result find_bytes(const dv_segment *segment, uint64_t from, uint64_t to, bool *ret_found,
                            dv_error *error)
{
    uint8_t block[4096];
    *ret_found = false;
    while (!*ret_found && skip_hole(segment->fd, &from) && from < to) {
        ssize_t got = read_at(segment->fd, block, (size_t)DV_MIN(to - from, sizeof(block)), from);
        if (got < 0) {
            return read_failed(error);
        }
        if (got == 0) {
            break;
        }
        for (ssize_t i = 0; i < got && !*ret_found; i++) {
            *ret_found = block[i] != 0;
        }
        from += (uint64_t)got;
    }
    return DV_OK;
}

static dv_result corrupt(const dv_segment *segment, const char *what, dv_error *error)
{
    char id[DV_UUID_TEXT_LEN + 1];
    dv_uuid_format(&segment->info.id, id);
    return dv_error_set(error, DV_ERR_CORRUPT,
                        "segment %s of %s: %s at byte %llu, where record %llu should be", id,
                        segment->info.source, what, (unsigned long long)segment->offset,
                        (unsigned long long)segment->sequence);
}

/* How far the one record may reach that a death or a power loss left half written; 0: the bytes
 * are no such record. */
static size_t torn_reach(const dv_segment *segment, front what)
{
    size_t frame_len = 0;
    dv_slice rest = window_rest(segment);
    if (what == FRONT_NONE || what == FRONT_SHORT) {
        return DV_FRAME_MAX;
    }
    return rest.len >= DV_SEGMENT_RECORD_HEADER_LEN &&
                   dv_frame_length(rest.ptr, segment->sequence, &frame_len) == DV_OK
               ? frame_len
               : 0;
}

/* The writer is gone and no whole record is left: only zeros may lie behind half a one. */
static dv_result at_dead_end(dv_segment *segment, front what, dv_error *error)
{
    bool more = false;
    bool torn = false;
    uint64_t reach = segment->offset + torn_reach(segment, what);
    DV_TRY(find_bytes(segment, reach, UINT64_MAX, &more, error));
    if (more || reach == segment->offset) {
        return corrupt(segment, "the bytes do not check out", error);
    }
    DV_TRY(find_bytes(segment, segment->offset, reach, &torn, error));
    segment->torn = torn;
    return DV_ERR_NOT_FOUND;
}

/* No whole record in a fresh window. */
static dv_result at_the_end(dv_segment *segment, front what, bool had_writer, dv_error *error)
{
    if (!had_writer) {
        return at_dead_end(segment, what, error);
    }
    if (what == FRONT_BAD) {
        return corrupt(segment, "the bytes do not check out", error);
    }
    drop_window(segment);
    return DV_ERR_AGAIN;
}

/* The end mark; the writer wrote nothing behind it. */
static dv_result at_end_mark(const dv_segment *segment, size_t frame_len, dv_error *error)
{
    bool more = false;
    DV_TRY(find_bytes(segment, segment->offset + frame_len, UINT64_MAX, &more, error));
    return more ? corrupt(segment, "there are bytes behind the end mark", error) : DV_ERR_NOT_FOUND;
}

dv_result dv_segment_next(dv_segment *segment, dv_segment_record *ret_record, dv_error *error)
{
    size_t frame_len = 0, text_len = 0;
    front what = look_and_open(segment, &frame_len, &text_len);
    if (what != FRONT_FRAME) {
        /* Asked before reading, so that nothing written before the writer's death is missed. */
        bool has_writer = fd_has_writer(segment->fd);
        DV_TRY(refill(segment, error));
        what = look_and_open(segment, &frame_len, &text_len);
        if (what == FRONT_BAD && has_writer) {
            /* It was written while it was read; its length was seen, so now it is whole. */
            DV_TRY(refill(segment, error));
            what = look_and_open(segment, &frame_len, &text_len);
        }
        if (what != FRONT_FRAME) {
            return at_the_end(segment, what, has_writer, error);
        }
    }
    if (text_len == 0) {
        return at_end_mark(segment, frame_len, error);
    }
    segment->start += frame_len;
    segment->offset += frame_len;
    *ret_record = (dv_segment_record){segment->sequence++, segment->offset,
                                      dv_slice_of(segment->text, text_len)};
    return DV_OK;
}

bool dv_segment_was_torn(const dv_segment *segment)
{
    return segment->torn;
}
