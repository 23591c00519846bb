/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/gate/usage.h"

#include "base/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
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

struct dv_usage {
    char magic[8];
    uint32_t slots;
    uint32_t reserved;
    _Atomic uint8_t fresh[BLOCKS];
    usage_slot table[SLOTS];
};

static bool layout_ok(const dv_usage *usage)
{
    return memcmp(usage->magic, MAGIC, sizeof(MAGIC)) == 0 && usage->slots == SLOTS;
}

static dv_result io_error(const char *path, dv_error *error)
{
    return dv_error_set(error, errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO, "usage: %s: %s",
                        path, strerror(errno));
}

static dv_result map(int fd, const char *path, dv_usage **ret_usage, dv_error *error)
{
    void *at = mmap(NULL, sizeof(dv_usage), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        return io_error(path, error);
    }
    *ret_usage = at;
    return DV_OK;
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

static dv_result make_file(const char *path, dv_usage **ret_usage, dv_error *error)
{
    dv_usage *usage = NULL;
    dv_auto(fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (fd < 0) {
        return io_error(path, error);
    }
    if (ftruncate(fd, sizeof(*usage)) != 0 || fchmod(fd, 0660) != 0) {
        return io_error(path, error);
    }
    adopt_group_of_folder(fd, path);
    DV_TRY(map(fd, path, &usage, error));
    if (!layout_ok(usage)) {
        memset(usage, 0, sizeof(*usage));
        usage->slots = SLOTS;
        memcpy(usage->magic, MAGIC, sizeof(MAGIC));
    }
    *ret_usage = usage;
    return DV_OK;
}

static dv_result open_file(const char *path, dv_usage **ret_usage, dv_error *error)
{
    struct stat st;
    dv_usage *usage = NULL;
    dv_auto(fd) int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return io_error(path, error);
    }
    if (st.st_size < (off_t)sizeof(dv_usage)) {
        return dv_error_set(error, DV_ERR_CORRUPT, "usage: %s is of another layout", path);
    }
    DV_TRY(map(fd, path, &usage, error));
    if (!layout_ok(usage)) {
        dv_usage_close(usage);
        return dv_error_set(error, DV_ERR_CORRUPT, "usage: %s is of another layout", path);
    }
    *ret_usage = usage;
    return DV_OK;
}

dv_result dv_usage_open(const char *path, bool make, dv_usage **ret_usage, dv_error *error)
{
    return make ? make_file(path, ret_usage, error) : open_file(path, ret_usage, error);
}

void dv_usage_close(dv_usage *usage)
{
    if (usage != NULL) {
        munmap(usage, sizeof(*usage));
    }
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
    if (id.len != DV_API_KEY_ID_LEN || now <= 0) {
        return;
    }
    uint64_t wanted = dv_get_u64(id.ptr);
    uint32_t first = slot_of(wanted);
    for (uint32_t probe = 0; probe < PROBES; probe++) {
        uint32_t at = (first + probe) % SLOTS;
        usage_slot *slot = &usage->table[at];
        if (claim(slot, wanted)) {
            atomic_store_explicit(&slot->last, (uint64_t)now, memory_order_release);
            atomic_store_explicit(&usage->fresh[at / BLOCK], 1, memory_order_release);
            return;
        }
    }
}

static void drain_slot(usage_slot *slot, void (*each)(void *, dv_slice, dv_time), void *data)
{
    uint8_t id[DV_API_KEY_ID_LEN];
    if (atomic_load_explicit(&slot->last, memory_order_relaxed) == 0) {
        return;
    }
    dv_put_u64(id, atomic_load_explicit(&slot->id, memory_order_acquire));
    uint64_t last = atomic_exchange(&slot->last, 0);
    if (last != 0 && last <= INT64_MAX && dv_base62_is(dv_slice_of(id, sizeof(id)))) {
        each(data, dv_slice_of(id, sizeof(id)), (dv_time)last);
    }
}

void dv_usage_drain(dv_usage *usage, void (*each)(void *, dv_slice, dv_time), void *data)
{
    for (size_t block = 0; block < BLOCKS; block++) {
        if (atomic_load_explicit(&usage->fresh[block], memory_order_relaxed) == 0 ||
            atomic_exchange(&usage->fresh[block], 0) == 0) {
            continue;
        }
        for (size_t i = 0; i < BLOCK; i++) {
            drain_slot(&usage->table[block * BLOCK + i], each, data);
        }
    }
}
