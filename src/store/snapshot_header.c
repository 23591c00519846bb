/* SPDX-License-Identifier: Apache-2.0 */
#include "store/snapshot_header.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LAYOUT = 2, BOOT_ID_LEN = 36 };

/* More commits than one file sees in its life. */
static const uint64_t COMMITS_MAX = UINT64_C(1) << 32;
/* A base that a healthy header can't hold: a JSON number would no longer be exact. */
static const uint64_t BASE_MAX = UINT64_C(1) << 52;

static const char MAGIC[8] = {'D', 'V', 'S', 'N', 'A', 'P', '\r', '\n'};

struct dv_snapshot_header {
    char magic[8];
    uint32_t layout; /* of the header and of what the tables hold */
    uint32_t reserved;
    char boot[BOOT_ID_LEN + 4];
    _Atomic uint64_t base;
    uint64_t last_base; /* the highest before `base` was taken away */
};

static dv_result header_path(const char *folder, char out[PATH_MAX], dv_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s/header", folder);
    if (len < 0 || len >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "snapshot: the folder's path is too long");
    }
    return DV_OK;
}

/* The kernel's id of this boot; where it can't be read, no two boots look the same. */
static void boot_id(char out[BOOT_ID_LEN + 4])
{
    memset(out, 0, BOOT_ID_LEN + 4);
    dv_auto(fd) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, out, BOOT_ID_LEN) != BOOT_ID_LEN) {
        snprintf(out, BOOT_ID_LEN, "unknown %lld", (long long)dv_time_now());
    }
}

static bool made_here(const dv_snapshot_header *header)
{
    char boot[BOOT_ID_LEN + 4];
    boot_id(boot);
    return memcmp(header->boot, boot, sizeof(boot)) == 0;
}

static bool layout_ok(const dv_snapshot_header *header)
{
    return memcmp(header->magic, MAGIC, sizeof(MAGIC)) == 0 && header->layout == LAYOUT;
}

/* flags: of open(2); a file that is too short is made long enough only when it may be written. */
static dv_result map(const char *path, int flags, dv_snapshot_header **ret_header, dv_error *error)
{
    bool writable = (flags & O_RDWR) != 0;
    dv_auto(fd) int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) {
        return dv_error_set(error, errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO,
                            "snapshot: %s: %s", path, strerror(errno));
    }
    struct stat st;
    if (fstat(fd, &st) != 0 || (writable && ftruncate(fd, sizeof(**ret_header)) != 0)) {
        return dv_error_set(error, DV_ERR_IO, "snapshot: %s: %s", path, strerror(errno));
    }
    if (!writable && st.st_size < (off_t)sizeof(**ret_header)) {
        return dv_error_set(error, DV_ERR_CORRUPT, "snapshot: %s is cut short", path);
    }
    void *at = mmap(NULL, sizeof(**ret_header), PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED,
                    fd, 0);
    if (at == MAP_FAILED) {
        return dv_error_set(error, DV_ERR_IO, "snapshot: %s: %s", path, strerror(errno));
    }
    *ret_header = at;
    return DV_OK;
}

dv_result dv_snapshot_header_map(const char *folder, dv_snapshot_header **ret_header,
                                 dv_error *error)
{
    char path[PATH_MAX];
    dv_snapshot_header *header = NULL;
    DV_TRY(header_path(folder, path, error));
    DV_TRY(map(path, O_RDONLY, &header, error));
    dv_result result = DV_OK;
    if (!layout_ok(header)) {
        result = dv_error_set(error, DV_ERR_CORRUPT, "snapshot: %s is none of this version", path);
    } else if (!made_here(header)) {
        result = dv_error_set(error, DV_ERR_NOT_FOUND, "snapshot: made before the last boot");
    }
    if (result != DV_OK) {
        dv_snapshot_header_unmap(header);
        return result;
    }
    *ret_header = header;
    return DV_OK;
}

dv_result dv_snapshot_header_make(const char *folder, dv_snapshot_header **ret_header,
                                  dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(header_path(folder, path, error));
    return map(path, O_RDWR | O_CREAT, ret_header, error);
}

void dv_snapshot_header_unmap(dv_snapshot_header *header)
{
    if (header != NULL) {
        munmap(header, sizeof(*header));
    }
}

bool dv_snapshot_header_ok(const dv_snapshot_header *header)
{
    return layout_ok(header) && made_here(header) && dv_snapshot_header_base(header) != 0;
}

uint64_t dv_snapshot_header_base(const dv_snapshot_header *header)
{
    return atomic_load_explicit(&header->base, memory_order_acquire);
}

void dv_snapshot_header_reset(dv_snapshot_header *header)
{
    uint64_t base = dv_snapshot_header_base(header);
    uint64_t last = layout_ok(header) ? DV_MAX(base, header->last_base) : 0;
    atomic_store_explicit(&header->base, 0, memory_order_release);
    header->last_base = last < BASE_MAX ? last : 0;
    memcpy(header->magic, MAGIC, sizeof(MAGIC));
    header->layout = LAYOUT;
    header->reserved = 0;
    boot_id(header->boot);
}

uint64_t dv_snapshot_header_publish(dv_snapshot_header *header)
{
    /* Microseconds outrun any count of commits, and fit a JSON number exactly. But a clock can be
     * set back, and a generation that comes again would make workers trust what they remember of
     * another snapshot. */
    uint64_t now = (uint64_t)dv_time_now() / 1000;
    uint64_t base = DV_MAX(now, header->last_base + COMMITS_MAX);
    atomic_store_explicit(&header->base, base, memory_order_release);
    return base;
}
