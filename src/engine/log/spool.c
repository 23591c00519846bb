/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of spool segments (format: segment.h). A segment is written through a shared mapping:
 * its bytes are in the page cache at once, and the request path makes no system call.
 *
 * Invariants:
 * 1. A record is in the page cache as a whole before dv_spool_append returns DV_OK, so it survives
 *    the death of this process. Its length is written last: what a death leaves half written, or
 *    what dv_spool_append returns another result for, has none and is no record.
 * 2. Space for every reserved record is allocated behind the end of the current segment; an
 *    append without a reservation never uses it. Nothing is written beyond what is allocated, so
 *    that the kernel never has to find a block for a page and fail with a signal.
 * 3. A sequence number is never used twice in a segment, and neither is a nonce.
 * 4. A segment appears under its final name with its header whole and its lock held.
 * 5. What dvara-logd set aside (another name) or somebody removed is left LOOK_EVERY later at the
 *    latest: records go on in a new segment, or are refused. */
#include "engine/log/spool.h"

#include "base/codec.h"
#include "base/file.h"
#include "crypto/random.h"
#include "engine/log/segment_format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ALLOCATION_STEP = 1 << 20,
    DROP_STEP = 1 << 16, /* a multiple of every page size */
    SEGMENT_MODE = 0640,
    FOLDER_MODE = 0700,
    PAGE = 4096,         /* the smallest there is; with larger ones some calls do nothing */
    NEXT_RECORDS = 2048, /* bytes that the next request's records may take */
};
static const dv_time LOOK_EVERY = 100 * DV_MILLISECOND;

/* One segment that is being written. */
typedef struct open_segment {
    int fd;
    dv_uuid id;
    dv_aead *aead;
    uint8_t *bytes;     /* the file, mapped as far as it is allocated */
    uint64_t offset;    /* of the next record */
    uint64_t sequence;  /* of the next record */
    uint64_t allocated; /* the file's length: space is there up to this offset */
    uint64_t dropped;   /* up to here the mapping's pages are given back */
    uint64_t touched;   /* up to here dv_spool_get_ready took the pages */
    dv_time looked;     /* when its name was seen in the folder (dv_time_coarse) */
    bool spoiled;       /* nothing may follow: a nonce was used and its record is not there, or
                           dvara-logd set the segment aside */
} open_segment;

struct dv_spool {
    char *folder;
    char source[DV_SEGMENT_SOURCE_MAX + 1];
    uint8_t log_key[DV_BOX_PUBLIC_LEN];
    uint64_t max_bytes;
    size_t reserved;   /* records */
    dv_slice attached; /* to the next record; borrowed */
    open_segment segment;
};

/* -- space ------------------------------------------------------------------------------------- */

/* Lengthens the file with blocks of its own; what is there stays. */
static int allocate(int fd, uint64_t from, uint64_t to)
{
    int failed;
    do {
        failed = fallocate(fd, 0, (off_t)from, (off_t)(to - from));
    } while (failed != 0 && errno == EINTR);
    return failed;
}

static dv_result map_upto(open_segment *segment, uint64_t length)
{
    void *bytes = segment->bytes == NULL
                      ? mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, segment->fd, 0)
                      : mremap(segment->bytes, segment->allocated, length, MREMAP_MAYMOVE);
    if (bytes == MAP_FAILED) {
        return DV_ERR_UNAVAILABLE;
    }
    segment->bytes = bytes;
    segment->allocated = length;
    return DV_OK;
}

/* What was written stays in the page cache and in the file; it only leaves this process's memory.
 */
static void drop_behind(open_segment *segment)
{
    uint64_t done = segment->offset / DROP_STEP * DROP_STEP;
    if (done > segment->dropped &&
        madvise(segment->bytes + segment->dropped, done - segment->dropped, MADV_DONTNEED) == 0) {
        segment->dropped = done;
    }
}

/* Allocates in large steps, so that most reservations cost no system call. */
static dv_result ensure_space(open_segment *segment, uint64_t upto)
{
    if (upto <= segment->allocated) {
        return DV_OK;
    }
    uint64_t generous = (upto / ALLOCATION_STEP + 1) * ALLOCATION_STEP;
    if (allocate(segment->fd, segment->allocated, generous) == 0) {
        drop_behind(segment);
        return map_upto(segment, generous);
    }
    if (errno != EOPNOTSUPP && allocate(segment->fd, segment->allocated, upto) == 0) {
        return map_upto(segment, upto);
    }
    return DV_ERR_UNAVAILABLE;
}

static uint64_t space_for(size_t records)
{
    return (uint64_t)records * DV_FRAME_MAX;
}

/* -- segments ---------------------------------------------------------------------------------- */

static void segment_release(open_segment *segment)
{
    if (segment->bytes != NULL) {
        munmap(segment->bytes, segment->allocated);
        segment->bytes = NULL;
    }
    dv_fd_close(&segment->fd); /* gives the lock back */
    dv_aead_free(segment->aead);
    segment->aead = NULL;
}

/* A random key, which only the log can open; the copy here is wiped. */
static dv_result make_key(const uint8_t log_key[DV_BOX_PUBLIC_LEN], dv_segment_header *header,
                          dv_aead **ret_aead)
{
    uint8_t key[DV_AEAD_KEY_LEN];
    dv_random(key, sizeof(key));
    dv_result result = dv_box_seal(log_key, dv_slice_of(key, sizeof(key)), header->sealed_key);
    if (result == DV_OK) {
        result = dv_aead_new(key, ret_aead);
    }
    dv_wipe(key, sizeof(key));
    return result;
}

static dv_result write_header(const dv_spool *spool, open_segment *segment)
{
    dv_segment_header header = {.info = {.id = segment->id, .created = dv_time_now()}};
    memcpy(header.info.source, spool->source, sizeof(header.info.source));
    memcpy(header.log_key, spool->log_key, sizeof(header.log_key));
    DV_TRY(make_key(spool->log_key, &header, &segment->aead));
    dv_segment_header_encode(&header, segment->bytes);
    segment->offset = DV_SEGMENT_HEADER_LEN;
    segment->looked = dv_time_coarse();
    return DV_OK;
}

static dv_result segment_path(const dv_spool *spool, const dv_uuid *id, const char *suffix,
                              char out[PATH_MAX])
{
    char name[DV_UUID_TEXT_LEN + 1];
    dv_uuid_format(id, name);
    int len = snprintf(out, PATH_MAX, "%s/%s%s", spool->folder, name, suffix);
    return len > 0 && len < PATH_MAX ? DV_OK : DV_ERR_TOO_LARGE;
}

/* Lock, header and space first; the name that readers look for last. */
static dv_result segment_prepare(const dv_spool *spool, open_segment *segment, const char *path,
                                 const char *final_path)
{
    segment->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, SEGMENT_MODE);
    /* Whatever the umask: dvara-logd may be another user of the folder's group. */
    if (segment->fd < 0 || fchmod(segment->fd, SEGMENT_MODE) != 0 ||
        flock(segment->fd, LOCK_EX | LOCK_NB) != 0) {
        return DV_ERR_IO;
    }
    DV_TRY(ensure_space(segment, DV_SEGMENT_HEADER_LEN + space_for(spool->reserved + 1)));
    DV_TRY(write_header(spool, segment));
    return rename(path, final_path) == 0 ? DV_OK : DV_ERR_IO;
}

static dv_result segment_make(const dv_spool *spool, open_segment *ret_segment)
{
    char path[PATH_MAX], final_path[PATH_MAX];
    open_segment segment = {.fd = -1, .id = dv_uuid_new(dv_time_now())};
    DV_TRY(segment_path(spool, &segment.id, DV_SEGMENT_NEW_SUFFIX, path));
    DV_TRY(segment_path(spool, &segment.id, DV_SEGMENT_SUFFIX, final_path));
    dv_result result = segment_prepare(spool, &segment, path, final_path);
    if (result != DV_OK) {
        int saved = errno;
        unlink(path);
        segment_release(&segment);
        errno = saved;
        return result;
    }
    *ret_segment = segment;
    return DV_OK;
}

/* Seals a record at the segment's end, where there is space. */
static dv_result segment_write(open_segment *segment, dv_slice text)
{
    uint8_t *frame = segment->bytes + segment->offset;
    size_t len = 0;
    dv_result result =
        dv_frame_seal(segment->aead, &segment->id, segment->sequence, text, frame, &len);
    if (result != DV_OK) {
        /* The nonce was used for bytes that may reach the disk: never again for another text. */
        memset(frame, 0, DV_SEGMENT_RECORD_HEADER_LEN + text.len + DV_AEAD_TAG_LEN);
        segment->spoiled = true;
        return result;
    }
    segment->offset += len;
    segment->sequence++;
    return DV_OK;
}

static void segment_finish(dv_spool *spool)
{
    open_segment *segment = &spool->segment;
    uint64_t mark_end = segment->offset + DV_SEGMENT_RECORD_HEADER_LEN + DV_AEAD_TAG_LEN;
    if (!segment->spoiled && ensure_space(segment, mark_end) == DV_OK &&
        segment_write(segment, (dv_slice){NULL, 0}) != DV_OK) {
        /* Without the mark the reader waits for the lock instead. */
    }
    if (ftruncate(segment->fd, (off_t)segment->offset) != 0) {
        /* Only the allocation behind the end stays until the file is removed. */
    }
    segment_release(segment);
}

/* A failure keeps the old segment, whose reserved space is still there. */
static dv_result segment_rotate(dv_spool *spool)
{
    open_segment next;
    DV_TRY(segment_make(spool, &next));
    segment_finish(spool);
    spool->segment = next;
    return DV_OK;
}

/* A segment that is not under its name any more is read by nobody. */
static void look_after(const dv_spool *spool, open_segment *segment)
{
    char path[PATH_MAX];
    dv_time now = dv_time_coarse();
    if (now - segment->looked < LOOK_EVERY) {
        return;
    }
    segment->looked = now;
    segment->spoiled = segment->spoiled ||
                       segment_path(spool, &segment->id, DV_SEGMENT_SUFFIX, path) != DV_OK ||
                       (access(path, F_OK) != 0 && errno == ENOENT);
}

/* -- the spool --------------------------------------------------------------------------------- */

dv_result dv_spool_folder(const char *base, const char *source, char ret_folder[PATH_MAX])
{
    int len = snprintf(ret_folder, PATH_MAX, "%s/%s", base, source);
    return len > 0 && len < PATH_MAX ? DV_OK : DV_ERR_TOO_LARGE;
}

static dv_result first_segment(const char *base, dv_spool *spool)
{
    char folder[PATH_MAX];
    DV_TRY(dv_spool_folder(base, spool->source, folder));
    /* The supervisor made it where users are separated; elsewhere it is ours to make. */
    (void)!mkdir(folder, FOLDER_MODE);
    spool->folder = strdup(folder);
    return spool->folder == NULL ? DV_ERR_NO_MEMORY : segment_make(spool, &spool->segment);
}

dv_result dv_spool_open(const char *base, const char *source, const uint8_t log_key[32],
                        uint64_t max_bytes, dv_spool **ret_spool, dv_error *error)
{
    if (!dv_segment_source_is_good(source) || max_bytes < DV_SEGMENT_HEADER_LEN + DV_FRAME_MAX) {
        return dv_error_set(error, DV_ERR_INVALID, "the spool's source or size is not acceptable");
    }
    dv_spool *spool = calloc(1, sizeof(*spool));
    if (spool == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    spool->segment.fd = -1;
    spool->max_bytes = max_bytes;
    memcpy(spool->source, source, strlen(source));
    memcpy(spool->log_key, log_key, sizeof(spool->log_key));
    dv_result result = first_segment(base, spool);
    if (result != DV_OK) {
        result = dv_error_set(error, result, "can not make a spool segment in %s/%s: %s", base,
                              source, strerror(errno));
        free(spool->folder);
        free(spool);
        return result;
    }
    *ret_spool = spool;
    return DV_OK;
}

void dv_spool_close(dv_spool *spool)
{
    if (spool != NULL) {
        segment_finish(spool);
        free(spool->folder);
        free(spool);
    }
}

dv_result dv_spool_reserve(dv_spool *spool, size_t records)
{
    enum { RESERVED_MAX = 1 << 20 };
    if (records > RESERVED_MAX - spool->reserved) {
        return DV_ERR_UNAVAILABLE;
    }
    look_after(spool, &spool->segment);
    if (spool->segment.spoiled && segment_rotate(spool) != DV_OK) {
        return DV_ERR_UNAVAILABLE;
    }
    size_t wanted = spool->reserved + records;
    DV_TRY(ensure_space(&spool->segment, spool->segment.offset + space_for(wanted)));
    spool->reserved = wanted;
    return DV_OK;
}

void dv_spool_unreserve(dv_spool *spool, size_t records)
{
    spool->reserved -= DV_MIN(records, spool->reserved);
}

/* Moves on to a new segment when this one is full; not being able to is no reason to refuse. */
static dv_result make_way(dv_spool *spool, size_t frame_len)
{
    open_segment *segment = &spool->segment;
    bool full = segment->offset + frame_len > spool->max_bytes;
    look_after(spool, segment);
    if (segment->spoiled) {
        return segment_rotate(spool) == DV_OK ? DV_OK : DV_ERR_UNAVAILABLE;
    }
    if (full && segment->sequence > 0) {
        (void)segment_rotate(spool);
    }
    return DV_OK;
}

void dv_spool_attach(dv_spool *spool, dv_slice blob)
{
    spool->attached = blob;
}

bool dv_spool_has_attached(const dv_spool *spool)
{
    return spool->attached.len > 0;
}

/* Of the record that comes next. */
static dv_result attached_path(const dv_spool *spool, char out[PATH_MAX])
{
    char name[DV_SEGMENT_BLOB_NAME_MAX];
    dv_segment_blob_name(&spool->segment.id, spool->segment.sequence, name);
    int len = snprintf(out, PATH_MAX, "%s/%s", spool->folder, name);
    return len > 0 && len < PATH_MAX ? DV_OK : DV_ERR_TOO_LARGE;
}

static dv_result fill_attached(int fd, dv_slice blob)
{
    if (fd < 0 || fchmod(fd, SEGMENT_MODE) != 0 ||
        (allocate(fd, 0, blob.len) != 0 && errno != EOPNOTSUPP)) {
        return DV_ERR_UNAVAILABLE;
    }
    return dv_fd_write_all(fd, blob) == DV_OK ? DV_OK : DV_ERR_UNAVAILABLE;
}

static int create_attached(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, SEGMENT_MODE);
}

/* In the page cache as a whole, as the record will be. What a failure left there goes: nothing
 * names it. What another writer put there, who can guess the name but not what we remove, costs the
 * segment: the next one's name is not known to anybody. */
static dv_result write_attached(dv_spool *spool)
{
    char path[PATH_MAX];
    DV_TRY(attached_path(spool, path));
    dv_auto(fd) int fd = create_attached(path);
    if (fd < 0 && errno == EEXIST) {
        spool->segment.spoiled = unlink(path) != 0;
        fd = spool->segment.spoiled ? -1 : create_attached(path);
    }
    if (fd < 0) {
        return DV_ERR_UNAVAILABLE;
    }
    dv_result result = fill_attached(fd, spool->attached);
    if (result != DV_OK) {
        unlink(path);
    }
    return result;
}

static void remove_attached(const dv_spool *spool)
{
    char path[PATH_MAX];
    if (attached_path(spool, path) == DV_OK) {
        unlink(path);
    }
}

dv_result dv_spool_append(dv_spool *spool, dv_slice record, bool use_reserved)
{
    return dv_spool_append_noted(spool, record, use_reserved, NULL, NULL);
}

/* Where the record goes, and that there is room for it. */
static dv_result prepare(dv_spool *spool, size_t len, bool use_reserved)
{
    DV_TRY(make_way(spool, len));
    return use_reserved ? DV_OK
                        : ensure_space(&spool->segment,
                                       spool->segment.offset + len + space_for(spool->reserved));
}

static dv_result append_prepared(dv_spool *spool, dv_slice record,
                                 void (*note)(void *data, const dv_spool_place *place), void *data)
{
    open_segment *segment = &spool->segment;
    if (spool->attached.len > 0) {
        DV_TRY(write_attached(spool));
    }
    if (note != NULL) {
        const dv_spool_place place = {segment->id, segment->sequence, segment->offset};
        note(data, &place);
    }
    dv_result result = segment_write(segment, record);
    if (result != DV_OK && spool->attached.len > 0) {
        remove_attached(spool);
    }
    return result;
}

static dv_result append_noted(dv_spool *spool, dv_slice record, bool use_reserved,
                              void (*note)(void *data, const dv_spool_place *place), void *data)
{
    if (record.len == 0 || (use_reserved && spool->reserved == 0)) {
        return DV_ERR_INVALID;
    }
    if (record.len > DV_LIMIT_RECORD) {
        return DV_ERR_TOO_LARGE;
    }
    size_t len = DV_SEGMENT_RECORD_HEADER_LEN + record.len + DV_AEAD_TAG_LEN;
    DV_TRY(prepare(spool, len, use_reserved));
    DV_TRY(append_prepared(spool, record, note, data));
    spool->reserved -= use_reserved;
    return DV_OK;
}

dv_result dv_spool_append_noted(dv_spool *spool, dv_slice record, bool use_reserved,
                                void (*note)(void *data, const dv_spool_place *place), void *data)
{
    dv_result result = append_noted(spool, record, use_reserved, note, data);
    spool->attached = (dv_slice){NULL, 0}; /* it was for this one */
    return result;
}

bool dv_spool_holds(const char *path, const dv_spool_place *place)
{
    uint8_t head[DV_SEGMENT_HEADER_LEN];
    uint8_t frame[DV_SEGMENT_RECORD_HEADER_LEN];
    dv_segment_header header;
    size_t len = 0;
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
           dv_segment_header_decode(head, &header, NULL) == DV_OK &&
           memcmp(&header.info.id, &place->segment, sizeof(place->segment)) == 0 &&
           pread(fd, frame, sizeof(frame), (off_t)place->offset) == (ssize_t)sizeof(frame) &&
           dv_frame_begins(frame) && dv_frame_length(frame, place->sequence, &len) == DV_OK;
}

static uint64_t attached_bytes(int folder, const char *name)
{
    struct stat status;
    return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0
               ? (uint64_t)status.st_blocks * 512
               : 0;
}

static bool ends_with(const char *name, const char *suffix)
{
    return dv_slice_ends_with(dv_slice_str(name), dv_slice_str(suffix));
}

static uint64_t segment_bytes(int folder, const char *name, const char *source)
{
    uint8_t head[DV_SEGMENT_HEADER_LEN];
    dv_segment_header header;
    struct stat status;
    dv_auto(fd) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool ours = fd >= 0 && pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
                dv_segment_header_decode(head, &header, NULL) == DV_OK &&
                strcmp(header.info.source, source) == 0 && fstat(fd, &status) == 0;
    return ours ? (uint64_t)status.st_blocks * 512 : 0;
}

uint64_t dv_spool_waiting(const char *base, const char *source)
{
    char folder[PATH_MAX];
    uint64_t bytes = 0;
    DIR *dir = dv_spool_folder(base, source, folder) == DV_OK ? opendir(folder) : NULL;
    const struct dirent *entry = NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (ends_with(entry->d_name, DV_SEGMENT_SUFFIX)) {
            bytes += segment_bytes(dirfd(dir), entry->d_name, source);
        } else if (ends_with(entry->d_name, DV_SEGMENT_BLOB_SUFFIX)) {
            bytes += attached_bytes(dirfd(dir), entry->d_name);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return bytes;
}

void dv_spool_get_ready(dv_spool *spool)
{
    open_segment *segment = &spool->segment;
    uint64_t next = DV_MAX(segment->touched, segment->offset / PAGE * PAGE + PAGE);
    if (segment->bytes != NULL && !segment->spoiled && segment->offset + NEXT_RECORDS > next &&
        next < segment->allocated) {
        /* A write that changes nothing, whatever is there. */
        (void)__atomic_fetch_or(segment->bytes + next, 0, __ATOMIC_RELAXED);
        segment->touched = next + PAGE;
    }
}

dv_result dv_log_key_read(const char *runtime_dir, uint8_t ret_key[32], dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(2 * DV_BOX_PUBLIC_LEN + 1);
    int len = snprintf(path, sizeof(path), "%s/%s", runtime_dir, DV_LOG_KEY_FILE);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", runtime_dir);
    }
    DV_TRY(dv_file_read(path, &text, error));
    dv_result result =
        dv_hex_decode(dv_slice_trim(dv_buf_slice(&text)), ret_key, DV_BOX_PUBLIC_LEN);
    return result == DV_OK ? DV_OK : dv_error_set(error, DV_ERR_CORRUPT, "%s holds no key", path);
}
