/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/blob_store.h"

#include "base/codec.h"
#include "base/file.h"
#include "engine/log/pack.h"
#include "engine/log/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "blob"

enum {
    FOLDER_MODE = 0755,
    FILE_MODE = 0644, /* as packs: what lies in it is sealed */
    NUMBER_MAX = 20,  /* digits */
    NAME_MAX_BYTES = 64,
};

void dv_blob_name(uint64_t entry, char ret_name[DV_BLOB_NAME_MAX])
{
    (void)snprintf(ret_name, DV_BLOB_NAME_MAX, FOLDER "/%" PRIu64 "/%" PRIu64,
                   entry / DV_PACK_LEAVES, entry);
}

void dv_blob_frame_head(uint64_t entry, size_t len, uint8_t out[DV_BLOB_FRAME_HEAD])
{
    dv_put_u64(out, entry);
    dv_put_u32(out + 8, (uint32_t)len);
}

static dv_result io_error(dv_error *error, const char *what, const char *name)
{
    dv_result result = errno == ENOSPC || errno == EDQUOT ? DV_ERR_UNAVAILABLE : DV_ERR_IO;
    return dv_error_set(error, result, "log: can not %s %s: %s", what, name, strerror(errno));
}

static int open_folder(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* The log's folder of blobs; -1: there is none. */
static int open_blobs(const char *log_folder)
{
    dv_auto(fd) int fd = open(log_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : open_folder(fd, FOLDER);
}

/* -- folders as sorted numbers -----------------------------------------------------------------
 */

typedef struct numbers {
    uint64_t *values;
    size_t count, capacity;
    char odd[NAME_MAX_BYTES]; /* a name that is no number of ours; "": there is none */
} numbers;

static void numbers_release(numbers *list)
{
    free(list->values);
    *list = (numbers){.count = 0};
}

/* In the one form that we write: no leading zeros, no sign. */
static bool read_number(const char *name, uint64_t *ret_number)
{
    char again[NUMBER_MAX + 1];
    size_t len = strlen(name);
    if (len == 0 || len > NUMBER_MAX - 1 || strspn(name, "0123456789") != len) {
        return false;
    }
    *ret_number = strtoull(name, NULL, 10);
    (void)snprintf(again, sizeof again, "%" PRIu64, *ret_number);
    return strcmp(again, name) == 0;
}

static dv_result numbers_add(numbers *list, uint64_t number)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        uint64_t *grown = reallocarray(list->values, capacity, sizeof *grown);
        if (grown == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        list->values = grown;
        list->capacity = capacity;
    }
    list->values[list->count++] = number;
    return DV_OK;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static dv_result numbers_add_name(numbers *list, const char *name)
{
    uint64_t number;
    if (name[0] == '.' && (name[1] == '\0' || strcmp(name, "..") == 0)) {
        return DV_OK;
    }
    if (read_number(name, &number)) {
        return numbers_add(list, number);
    }
    (void)snprintf(list->odd, sizeof list->odd, "%s", name);
    return DV_OK;
}

/* The numbers [from, to) that name something in the folder, in order. */
static dv_result numbers_read(int folder, numbers *list)
{
    int fd = open_folder(folder, ".");
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    dv_result result = DV_OK;
    numbers_release(list);
    if (dir == NULL) {
        dv_fd_close(&fd);
        return DV_ERR_IO;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL && result == DV_OK;
         entry = readdir(dir)) {
        result = numbers_add_name(list, entry->d_name);
    }
    closedir(dir);
    if (list->count > 0) {
        qsort(list->values, list->count, sizeof *list->values, compare);
    }
    return result;
}

static int open_number(int folder, uint64_t number, int flags)
{
    char name[NUMBER_MAX + 1];
    (void)snprintf(name, sizeof name, "%" PRIu64, number);
    return openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags);
}

static bool remove_number(int folder, uint64_t number, int flags)
{
    char name[NUMBER_MAX + 1];
    (void)snprintf(name, sizeof name, "%" PRIu64, number);
    return unlinkat(folder, name, flags) == 0;
}

/* -- what waits for a commit -------------------------------------------------------------------
 */

typedef struct dv_blob_pending {
    struct dv_blob_pending *next;
    uint64_t entry;
    int spool_fd;
    char name[DV_SEGMENT_BLOB_NAME_MAX]; /* in the spool */
    size_t len;
    uint8_t bytes[];
} dv_blob_pending;

void dv_blob_batch_init(dv_blob_batch *batch)
{
    *batch = (dv_blob_batch){.first = NULL, .last = &batch->first};
}

void dv_blob_batch_release(dv_blob_batch *batch)
{
    while (batch->first != NULL) {
        dv_blob_pending *one = batch->first;
        batch->first = one->next;
        free(one);
    }
    dv_blob_batch_init(batch);
}

/* Nothing that another process may have put there is waited for or followed. What this process has
 * no room for now is asked for again; all else is as if there were none. */
static dv_result open_spooled(int spool_fd, const char *name, size_t wanted, int *ret_fd)
{
    struct stat about;
    int fd = openat(spool_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        bool short_of = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
        return short_of ? DV_ERR_NO_MEMORY : DV_ERR_NOT_FOUND;
    }
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || (uint64_t)about.st_size != wanted) {
        dv_fd_close(&fd);
        return DV_ERR_NOT_FOUND;
    }
    *ret_fd = fd;
    return DV_OK;
}

static bool read_all(int fd, uint8_t *out, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t got = pread(fd, out, len, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        out += got;
        len -= (size_t)got;
        offset += (uint64_t)got;
    }
    return true;
}

dv_result dv_blob_batch_take(dv_blob_batch *batch, int spool_fd, const dv_uuid *segment,
                             uint64_t sequence, const dv_blob_ref *ref, uint64_t entry)
{
    char name[DV_SEGMENT_BLOB_NAME_MAX];
    dv_auto(fd) int fd = -1;
    dv_segment_blob_name(segment, sequence, name);
    DV_TRY(open_spooled(spool_fd, name, ref->stored, &fd));
    dv_blob_pending *one = malloc(sizeof *one + ref->stored);
    if (one == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *one = (dv_blob_pending){.entry = entry, .spool_fd = spool_fd, .len = ref->stored};
    memcpy(one->name, name, sizeof name);
    if (!read_all(fd, one->bytes, one->len, 0) ||
        !dv_blob_fits(ref, dv_slice_of(one->bytes, one->len))) {
        free(one);
        return DV_ERR_NOT_FOUND;
    }
    *batch->last = one;
    batch->last = &one->next;
    batch->bytes += one->len;
    return DV_OK;
}

void dv_blob_batch_done(dv_blob_batch *batch)
{
    for (const dv_blob_pending *one = batch->first; one != NULL; one = one->next) {
        (void)unlinkat(one->spool_fd, one->name, 0); /* otherwise it goes with its segment */
    }
    dv_blob_batch_release(batch);
}

/* -- writing -----------------------------------------------------------------------------------
 */

/* Opens a folder, which is made, with its name durable, when it is not there. */
static dv_result make_folder(int above, const char *name, int *ret_fd, dv_error *error)
{
    bool made = mkdirat(above, name, FOLDER_MODE) == 0;
    if (!made && errno != EEXIST) {
        return io_error(error, "make", name);
    }
    if (made && fsync(above) != 0) {
        return io_error(error, "sync the folder of", name);
    }
    int fd = open_folder(above, name);
    if (fd < 0) {
        return io_error(error, "open", name);
    }
    *ret_fd = fd;
    return DV_OK;
}

static dv_result open_pack_folder(const char *log_folder, uint64_t pack, int *ret_fd,
                                  dv_error *error)
{
    char name[NUMBER_MAX + 1];
    dv_auto(fd) int blobs = -1;
    dv_auto(fd) int log = open(log_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)snprintf(name, sizeof name, "%" PRIu64, pack);
    if (log < 0) {
        return io_error(error, "open", log_folder);
    }
    DV_TRY(make_folder(log, FOLDER, &blobs, error));
    return make_folder(blobs, name, ret_fd, error);
}

static dv_result write_one(int fd, const dv_blob_pending *one)
{
    uint8_t head[DV_BLOB_FRAME_HEAD];
    dv_blob_frame_head(one->entry, one->len, head);
    DV_TRY(dv_fd_write_all(fd, dv_slice_of(head, sizeof head)));
    return dv_fd_write_all(fd, dv_slice_of(one->bytes, one->len));
}

/* All that follow in the same pack. *ret_rest: the first that is in another one. */
static dv_result write_file(int folder, const dv_blob_pending *first,
                            const dv_blob_pending **ret_rest, dv_error *error)
{
    char name[NUMBER_MAX + 1];
    const dv_blob_pending *one = first;
    uint64_t pack = first->entry / DV_PACK_LEAVES;
    (void)snprintf(name, sizeof name, "%" PRIu64, first->entry);
    dv_auto(fd) int fd =
        openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0) {
        return io_error(error, "make the blobs", name);
    }
    for (; one != NULL && one->entry / DV_PACK_LEAVES == pack; one = one->next) {
        if (write_one(fd, one) != DV_OK) {
            return io_error(error, "write the blobs", name);
        }
    }
    if (fsync(fd) != 0 || fsync(folder) != 0) {
        return io_error(error, "sync the blobs", name);
    }
    *ret_rest = one;
    return DV_OK;
}

dv_result dv_blob_batch_write(const dv_blob_batch *batch, const char *folder, dv_error *error)
{
    const dv_blob_pending *rest = batch->committed ? NULL : batch->first;
    while (rest != NULL) {
        dv_auto(fd) int fd = -1;
        DV_TRY(open_pack_folder(folder, rest->entry / DV_PACK_LEAVES, &fd, error));
        DV_TRY(write_file(fd, rest, &rest, error));
    }
    return DV_OK;
}

/* -- removing ----------------------------------------------------------------------------------
 */

/* "<segment>.<number>.blob" of a segment that is neither here nor set aside. */
static bool is_orphan(int spool_fd, const char *name)
{
    char segment[DV_UUID_TEXT_LEN + 32];
    dv_uuid id;
    dv_slice text = dv_slice_str(name);
    if (!dv_slice_ends_with(text, DV_LIT(DV_SEGMENT_BLOB_SUFFIX)) ||
        text.len < DV_UUID_TEXT_LEN + sizeof(DV_SEGMENT_BLOB_SUFFIX) ||
        dv_uuid_parse(dv_slice_sub(text, 0, DV_UUID_TEXT_LEN), &id) != DV_OK) {
        return false;
    }
    (void)snprintf(segment, sizeof segment, "%.*s" DV_SEGMENT_SUFFIX, DV_UUID_TEXT_LEN, name);
    bool gone = faccessat(spool_fd, segment, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
    (void)snprintf(segment, sizeof segment, "%.*s" DV_SEGMENT_SUFFIX DV_SEGMENT_REFUSED_SUFFIX,
                   DV_UUID_TEXT_LEN, name);
    return gone && faccessat(spool_fd, segment, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

void dv_blob_spool_sweep(int spool_fd)
{
    int fd = spool_fd < 0 ? -1 : open_folder(spool_fd, ".");
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        dv_fd_close(&fd);
        return;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (is_orphan(spool_fd, entry->d_name)) {
            (void)unlinkat(spool_fd, entry->d_name, 0);
        }
    }
    closedir(dir);
}

/* Files that begin at that entry or behind it. */
static dv_result trim_pack(int blobs, uint64_t pack, uint64_t size)
{
    numbers files = {.count = 0};
    dv_auto(fd) int fd = open_number(blobs, pack, O_DIRECTORY);
    dv_result result = fd < 0 ? DV_ERR_IO : numbers_read(fd, &files);
    for (size_t i = 0; i < files.count && result == DV_OK; i++) {
        if (files.values[i] >= size && !remove_number(fd, files.values[i], 0)) {
            result = DV_ERR_IO;
        }
    }
    numbers_release(&files);
    return result;
}

dv_result dv_blob_store_trim(const char *folder, uint64_t size, dv_error *error)
{
    numbers packs = {.count = 0};
    dv_auto(fd) int blobs = open_blobs(folder);
    dv_result result = blobs < 0 ? DV_OK : numbers_read(blobs, &packs);
    for (size_t i = 0; i < packs.count && result == DV_OK; i++) {
        if (packs.values[i] >= size / DV_PACK_LEAVES) {
            result = trim_pack(blobs, packs.values[i], size);
        }
    }
    numbers_release(&packs);
    return result == DV_ERR_IO ? io_error(error, "clear", FOLDER) : result;
}

static void prune_pack(int blobs, uint64_t pack)
{
    numbers files = {.count = 0};
    dv_auto(fd) int fd = open_number(blobs, pack, O_DIRECTORY);
    if (fd < 0 || numbers_read(fd, &files) != DV_OK) {
        numbers_release(&files);
        return;
    }
    for (size_t i = 0; i < files.count; i++) {
        (void)remove_number(fd, files.values[i], 0);
    }
    numbers_release(&files);
    (void)remove_number(blobs, pack, AT_REMOVEDIR);
}

void dv_blob_store_prune(const char *folder, uint64_t minimum)
{
    numbers packs = {.count = 0};
    dv_auto(fd) int blobs = minimum < DV_PACK_LEAVES ? -1 : open_blobs(folder);
    if (blobs >= 0 && numbers_read(blobs, &packs) == DV_OK) {
        for (size_t i = 0; i < packs.count; i++) {
            if (packs.values[i] < minimum / DV_PACK_LEAVES) {
                prune_pack(blobs, packs.values[i]);
            }
        }
    }
    numbers_release(&packs);
}

/* -- reading -----------------------------------------------------------------------------------
 */

struct dv_blob_walk {
    int blobs; /* -1: there are none */
    uint64_t from, to;
    uint64_t next; /* no blob of an entry before it may follow */
    numbers packs, files;
    size_t pack, file; /* next in their lists */
    int folder;        /* of the pack */
    int fd;            /* of the file that is being read; -1 */
    uint64_t offset;
    uint64_t length; /* of the file */
    char name[NAME_MAX_BYTES];
    dv_buf stored;
};

void dv_blob_walk_free(dv_blob_walk *walk)
{
    if (walk != NULL) {
        dv_fd_close(&walk->blobs);
        dv_fd_close(&walk->folder);
        dv_fd_close(&walk->fd);
        numbers_release(&walk->packs);
        numbers_release(&walk->files);
        dv_buf_release(&walk->stored);
        free(walk);
    }
}

const char *dv_blob_walk_file(const dv_blob_walk *walk)
{
    return walk->name;
}

static dv_result odd_name(const char *folder, const char *name, dv_error *error)
{
    return dv_error_set(error, DV_ERR_CORRUPT, "%s/%s is no part of the log", folder, name);
}

dv_result dv_blob_walk_new(const char *folder, uint64_t from, uint64_t to, dv_blob_walk **ret_walk,
                           dv_error *error)
{
    dv_auto(blob_walk) dv_blob_walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    walk->blobs = open_blobs(folder);
    walk->folder = walk->fd = -1;
    walk->from = walk->next = from;
    walk->to = to;
    walk->stored = dv_buf_init(DV_BLOB_STORED_MAX);
    if (walk->blobs < 0 && errno != ENOENT) {
        return io_error(error, "open", FOLDER);
    }
    if (walk->blobs >= 0) {
        DV_TRY(numbers_read(walk->blobs, &walk->packs));
    }
    if (walk->packs.odd[0] != '\0') {
        return odd_name(FOLDER, walk->packs.odd, error);
    }
    *ret_walk = walk;
    walk = NULL;
    return DV_OK;
}

static dv_result bad_file(const dv_blob_walk *walk, const char *what, dv_error *error)
{
    return dv_error_set(error, DV_ERR_CORRUPT, "%s: %s at byte %" PRIu64, walk->name, what,
                        walk->offset);
}

/* The folder of the next pack that is asked for. */
static dv_result next_pack(dv_blob_walk *walk, dv_error *error)
{
    while (walk->pack < walk->packs.count &&
           walk->packs.values[walk->pack] < walk->from / DV_PACK_LEAVES) {
        walk->pack++; /* of entries that are gone: removed with the next pruning */
    }
    if (walk->pack == walk->packs.count ||
        walk->packs.values[walk->pack] > (walk->to - 1) / DV_PACK_LEAVES) {
        return DV_ERR_NOT_FOUND;
    }
    uint64_t pack = walk->packs.values[walk->pack++];
    (void)snprintf(walk->name, sizeof walk->name, FOLDER "/%" PRIu64, pack);
    dv_fd_close(&walk->folder);
    walk->folder = open_number(walk->blobs, pack, O_DIRECTORY);
    walk->file = 0;
    if (walk->folder < 0) {
        return odd_name(FOLDER, walk->name + sizeof(FOLDER), error);
    }
    DV_TRY(numbers_read(walk->folder, &walk->files));
    return walk->files.odd[0] == '\0' ? DV_OK : odd_name(walk->name, walk->files.odd, error);
}

static dv_result open_file(dv_blob_walk *walk, uint64_t first, dv_error *error)
{
    struct stat about;
    uint64_t pack = walk->packs.values[walk->pack - 1];
    (void)snprintf(walk->name, sizeof walk->name, FOLDER "/%" PRIu64 "/%" PRIu64, pack, first);
    walk->offset = 0;
    walk->fd = open_number(walk->folder, first, 0);
    if (walk->fd < 0 || fstat(walk->fd, &about) != 0) {
        return io_error(error, "open", walk->name);
    }
    walk->length = (uint64_t)about.st_size;
    if (!S_ISREG(about.st_mode) || walk->length == 0 || first / DV_PACK_LEAVES != pack ||
        first < walk->next) {
        return bad_file(walk, "it is no file of blobs that belongs there", error);
    }
    walk->next = first;
    return DV_OK;
}

/* The next file of [from, to). Those that begin behind `to` are of later commits. */
static dv_result next_file(dv_blob_walk *walk, dv_error *error)
{
    while (walk->file == walk->files.count) {
        DV_TRY(next_pack(walk, error));
    }
    uint64_t first = walk->files.values[walk->file++];
    return first < walk->to ? open_file(walk, first, error) : DV_ERR_NOT_FOUND;
}

static dv_result read_frame(dv_blob_walk *walk, dv_blob_found *ret_found, dv_error *error)
{
    uint8_t head[DV_BLOB_FRAME_HEAD];
    if (walk->length - walk->offset < sizeof head ||
        !read_all(walk->fd, head, sizeof head, walk->offset)) {
        return bad_file(walk, "it is cut short", error);
    }
    uint64_t entry = dv_get_u64(head);
    uint32_t len = dv_get_u32(head + 8);
    bool first = walk->offset == 0;
    if (entry < walk->next || (first && entry != walk->next) || entry >= walk->to ||
        entry / DV_PACK_LEAVES != walk->packs.values[walk->pack - 1]) {
        return bad_file(walk, "it holds a blob of an entry that has no place there", error);
    }
    if (len == 0 || len > DV_BLOB_STORED_MAX || walk->length - walk->offset - sizeof head < len) {
        return bad_file(walk, "it holds a blob of an impossible length", error);
    }
    dv_buf_clear(&walk->stored);
    DV_TRY(dv_buf_reserve(&walk->stored, len));
    if (!read_all(walk->fd, walk->stored.ptr, len, walk->offset + sizeof head)) {
        return bad_file(walk, "it can not be read", error);
    }
    walk->stored.len = len;
    walk->offset += sizeof head + len;
    walk->next = entry + 1;
    *ret_found = (dv_blob_found){entry, dv_buf_slice(&walk->stored)};
    return DV_OK;
}

dv_result dv_blob_walk_next(dv_blob_walk *walk, dv_blob_found *ret_found, dv_error *error)
{
    if (walk->blobs < 0 || walk->to == 0) {
        return DV_ERR_NOT_FOUND;
    }
    if (walk->fd >= 0 && walk->offset == walk->length) {
        dv_fd_close(&walk->fd);
    }
    if (walk->fd < 0) {
        DV_TRY(next_file(walk, error));
    }
    return read_frame(walk, ret_found, error);
}

/* The file that the entry's blob would be in: the last one that begins before it. */
static dv_result find_file(dv_blob_walk *walk, uint64_t entry, dv_error *error)
{
    dv_result result = next_pack(walk, error);
    if (result != DV_OK) {
        return result;
    }
    size_t at = walk->files.count;
    while (at > 0 && walk->files.values[at - 1] > entry) {
        at--;
    }
    walk->file = at;
    return at == 0 ? DV_ERR_NOT_FOUND : open_file(walk, walk->files.values[at - 1], error);
}

dv_result dv_blob_store_read(const char *folder, uint64_t entry, dv_buf *out, dv_error *error)
{
    dv_auto(blob_walk) dv_blob_walk *walk = NULL;
    dv_blob_found found = {0};
    uint64_t pack = entry / DV_PACK_LEAVES;
    DV_TRY(
        dv_blob_walk_new(folder, pack * DV_PACK_LEAVES, (pack + 1) * DV_PACK_LEAVES, &walk, error));
    if (walk->blobs < 0) {
        return DV_ERR_NOT_FOUND;
    }
    DV_TRY(find_file(walk, entry, error));
    do {
        if (walk->offset == walk->length) {
            return DV_ERR_NOT_FOUND;
        }
        DV_TRY(read_frame(walk, &found, error));
    } while (found.entry < entry);
    return found.entry == entry ? dv_buf_append(out, found.stored) : DV_ERR_NOT_FOUND;
}
