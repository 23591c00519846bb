/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/gate/usage.h"

#include "base/codec.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Slots are found by the id's hash, among PROBES neighbours. A slot belongs to an id until another
 * one needs it and its mark has been read. Blocks with fresh marks are flagged, so that a drain
 * touches no page that nobody wrote. */

enum { SLOT_BITS = 20, SLOTS = 1 << SLOT_BITS, PROBES = 16, BLOCK = 256, BLOCKS = SLOTS / BLOCK };

static const char MAGIC[8] = {'D', 'V', 'U', 'S', 'E', '1', '\r', '\n'};

typedef struct usage_slot {
    _Atomic uint64_t id;   /* the 8 digits; 0: free */
    _Atomic uint64_t last; /* time; 0: read since */
} usage_slot;

typedef struct usage_head {
    char magic[8];
    uint32_t slots;
    uint32_t reserved;
} usage_head;

typedef struct usage_file {
    usage_head head;
    _Atomic uint8_t fresh[BLOCKS];
    usage_slot table[SLOTS];
} usage_file;

/* Workers may write the file and so may shorten it, which ends whoever touches a mapping of it. So
 * only they map it; its owner reads and writes it. */
struct dv_usage {
    int fd;           /* the owner's; -1: a worker's */
    usage_file *file; /* a worker's mapping */
};

static bool layout_ok(const usage_head *head)
{
    return memcmp(head->magic, MAGIC, sizeof(MAGIC)) == 0 && head->slots == SLOTS;
}

static dv_result io_error(const char *path, dv_error *error)
{
    return dv_error_set(error, errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO, "usage: %s: %s",
                        path, strerror(errno));
}

/* Only root can give a group away; an ordinary user's workers run as himself. */
static void adopt_group_of_folder(int fd, const char *path)
{
    char folder[PATH_MAX];
    struct stat st;
    const char *slash = strrchr(path, '/');
    int len = slash == NULL ? 0 : (int)DV_MIN(slash - path, (ptrdiff_t)PATH_MAX);
    len = snprintf(folder, sizeof(folder), "%.*s/.", len, slash == NULL ? "." : path);
    if (len > 0 && len < PATH_MAX && stat(folder, &st) == 0 &&
        fchown(fd, (uid_t)-1, st.st_gid) != 0) {
        errno = 0;
    }
}

static dv_result make_handle(int *fd, usage_file *file, dv_usage **ret_usage)
{
    dv_usage *usage = malloc(sizeof(*usage));
    if (usage == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *usage = (dv_usage){.fd = fd != NULL ? *fd : -1, .file = file};
    if (fd != NULL) {
        *fd = -1;
    }
    *ret_usage = usage;
    return DV_OK;
}

/* Overwritten, not made anew: workers may have it mapped. The head comes last. */
static dv_result format_file(int fd)
{
    static const uint8_t zeros[1 << 16];
    usage_head head = {.slots = SLOTS};
    memcpy(head.magic, MAGIC, sizeof(MAGIC));
    for (size_t at = 0; at < sizeof(usage_file); at += sizeof(zeros)) {
        size_t len = DV_MIN(sizeof(zeros), sizeof(usage_file) - at);
        if (pwrite(fd, zeros, len, (off_t)at) != (ssize_t)len) {
            return DV_ERR_IO;
        }
    }
    return pwrite(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) ? DV_OK : DV_ERR_IO;
}

static dv_result make_file(const char *path, dv_usage **ret_usage, dv_error *error)
{
    usage_head head = {.slots = 0};
    dv_auto(fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (fd < 0) {
        return io_error(path, error);
    }
    if (ftruncate(fd, sizeof(usage_file)) != 0 || fchmod(fd, 0660) != 0) {
        return io_error(path, error);
    }
    adopt_group_of_folder(fd, path);
    if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
        (!layout_ok(&head) && format_file(fd) != DV_OK)) {
        return io_error(path, error);
    }
    return make_handle(&fd, NULL, ret_usage);
}

static dv_result open_file(const char *path, dv_usage **ret_usage, dv_error *error)
{
    struct stat st;
    dv_auto(fd) int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return io_error(path, error);
    }
    if (st.st_size < (off_t)sizeof(usage_file)) {
        return dv_error_set(error, DV_ERR_CORRUPT, "usage: %s is of another layout", path);
    }
    usage_file *file = mmap(NULL, sizeof(usage_file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (file == MAP_FAILED) {
        return io_error(path, error);
    }
    dv_result result =
        layout_ok(&file->head)
            ? make_handle(NULL, file, ret_usage)
            : dv_error_set(error, DV_ERR_CORRUPT, "usage: %s is of another layout", path);
    if (result != DV_OK) {
        munmap(file, sizeof(*file));
    }
    return result;
}

dv_result dv_usage_open(const char *path, bool make, dv_usage **ret_usage, dv_error *error)
{
    return make ? make_file(path, ret_usage, error) : open_file(path, ret_usage, error);
}

void dv_usage_close(dv_usage *usage)
{
    if (usage == NULL) {
        return;
    }
    if (usage->file != NULL) {
        munmap(usage->file, sizeof(*usage->file));
    }
    dv_fd_close(&usage->fd);
    free(usage);
}

static uint32_t slot_of(uint64_t id)
{
    return (uint32_t)((id * 0x9e3779b97f4a7c15u) >> (64 - SLOT_BITS));
}

/* True when the slot is, or could be made, the id's. */
static bool claim(usage_slot *slot, uint64_t id)
{
    uint64_t owner = atomic_load_explicit(&slot->id, memory_order_relaxed);
    if (owner == id) {
        return true;
    }
    if (owner != 0 && atomic_load_explicit(&slot->last, memory_order_relaxed) != 0) {
        return false;
    }
    return atomic_compare_exchange_strong(&slot->id, &owner, id) || owner == id;
}

void dv_usage_mark(dv_usage *usage, dv_slice id, dv_time now)
{
    if (usage->file == NULL || id.len != DV_API_KEY_ID_LEN || now <= 0) {
        return;
    }
    uint64_t wanted = dv_get_u64(id.ptr);
    uint32_t first = slot_of(wanted);
    for (uint32_t probe = 0; probe < PROBES; probe++) {
        uint32_t at = (first + probe) % SLOTS;
        usage_slot *slot = &usage->file->table[at];
        if (claim(slot, wanted)) {
            atomic_store_explicit(&slot->last, (uint64_t)now, memory_order_release);
            atomic_store_explicit(&usage->file->fresh[at / BLOCK], 1, memory_order_release);
            return;
        }
    }
}

/* As it stands in the file; the owner has no other view of it. */
typedef struct plain_slot {
    uint64_t id;
    uint64_t last;
} plain_slot;
_Static_assert(sizeof(plain_slot) == sizeof(usage_slot), "the two are one");

static void tell_slot(const plain_slot *slot, void (*each)(void *, dv_slice, dv_time), void *data)
{
    uint8_t id[DV_API_KEY_ID_LEN];
    dv_put_u64(id, slot->id);
    if (slot->last <= INT64_MAX && dv_base62_is(dv_slice_of(id, sizeof(id)))) {
        each(data, dv_slice_of(id, sizeof(id)), (dv_time)slot->last);
    }
}

/* A mark that comes between reading and forgetting is lost; the key's next use makes another. */
static void drain_block(int fd, size_t block, void (*each)(void *, dv_slice, dv_time), void *data)
{
    static const uint64_t none;
    plain_slot slots[BLOCK];
    off_t at = (off_t)(offsetof(usage_file, table) + block * sizeof(slots));
    if (pread(fd, slots, sizeof(slots), at) != (ssize_t)sizeof(slots)) {
        return; /* a worker shortened it; the next opening makes it whole */
    }
    for (size_t i = 0; i < BLOCK; i++) {
        off_t last = at + (off_t)(i * sizeof(slots[0]) + offsetof(plain_slot, last));
        if (slots[i].last != 0 && pwrite(fd, &none, sizeof(none), last) == (ssize_t)sizeof(none)) {
            tell_slot(&slots[i], each, data);
        }
    }
}

void dv_usage_drain(dv_usage *usage, void (*each)(void *, dv_slice, dv_time), void *data)
{
    static const uint8_t stale;
    uint8_t fresh[BLOCKS];
    off_t at = offsetof(usage_file, fresh);
    if (pread(usage->fd, fresh, sizeof(fresh), at) != (ssize_t)sizeof(fresh)) {
        return;
    }
    for (size_t block = 0; block < BLOCKS; block++) {
        if (fresh[block] != 0 && pwrite(usage->fd, &stale, 1, at + (off_t)block) == 1) {
            drain_block(usage->fd, block, each, data);
        }
    }
}
