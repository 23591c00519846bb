/* SPDX-License-Identifier: Apache-2.0 */
#include "core/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file: a header, then slots in open addressing by a hash of the name.
 * 1. A slot goes FREE -> CLAIMED -> NAMED and never back; its name is written once, between the
 *    two steps, by the one process whose exchange claimed it.
 * 2. A process that dies in between leaves a slot that nobody uses: everyone steps over it.
 * 3. Nobody trusts a name that another process wrote: readers check it. */

enum { METRICS_MAGIC = 0x4d564431, SLOT_FREE = 0, SLOT_CLAIMED = 1, SLOT_NAMED = 2 };

typedef struct metrics_slot {
    dv_metric value;
    _Atomic uint32_t state;
    char name[DV_METRIC_NAME_MAX];
} metrics_slot;

typedef struct metrics_file {
    uint32_t magic;
    uint32_t slots;
    dv_metric dropped;
    metrics_slot slot[DV_METRICS_SLOTS];
} metrics_file;

struct dv_metrics {
    metrics_file *file;
};

/* FNV-1a, 64 bits: spreads names over slots; nothing depends on its strength. */
static uint64_t hash_name(const char *name)
{
    uint64_t hash = 14695981039346656037u;
    for (; *name != '\0'; name++) {
        hash = (hash ^ (uint8_t)*name) * 1099511628211u;
    }
    return hash;
}

static dv_result io_error(const char *path, dv_error *error)
{
    return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
}

static bool layout_is_ours(int fd)
{
    struct stat stat;
    uint32_t head[2] = {0, 0};
    return fstat(fd, &stat) == 0 && stat.st_size == (off_t)sizeof(metrics_file) &&
           pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) && head[0] == METRICS_MAGIC &&
           head[1] == DV_METRICS_SLOTS;
}

/* Makes the file under another name and renames it, so that nobody sees half of it. */
static dv_result make_file(const char *path, mode_t mode, dv_error *error)
{
    char temporary[4096];
    const uint32_t head[2] = {METRICS_MAGIC, DV_METRICS_SLOTS};
    if (snprintf(temporary, sizeof(temporary), "%s.%d", path, getpid()) >= (int)sizeof(temporary)) {
        return dv_error_set(error, DV_ERR_INVALID, "%s: the path is too long", path);
    }
    unlink(temporary); /* of a process that died here */
    dv_auto(fd) int fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        return io_error(temporary, error);
    }
    if (ftruncate(fd, sizeof(metrics_file)) != 0 || fchmod(fd, mode) != 0 ||
        pwrite(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
        rename(temporary, path) != 0) {
        dv_result result = io_error(temporary, error);
        unlink(temporary);
        return result;
    }
    return DV_OK;
}

static dv_result open_file(const char *path, mode_t mode, int *ret_fd, dv_error *error)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        dv_auto(fd) int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 && errno != ENOENT) {
            return io_error(path, error);
        }
        if (fd >= 0 && layout_is_ours(fd)) {
            *ret_fd = fd;
            fd = -1;
            return DV_OK;
        }
        DV_TRY(make_file(path, mode, error));
    }
    return dv_error_set(error, DV_ERR_IO, "%s: can not be made", path);
}

dv_result dv_metrics_open(const char *path, mode_t mode, dv_metrics **ret_metrics, dv_error *error)
{
    dv_auto(fd) int fd = -1;
    DV_TRY(open_file(path, mode, &fd, error));
    dv_metrics *metrics = malloc(sizeof(*metrics));
    if (metrics == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    metrics->file = mmap(NULL, sizeof(metrics_file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (metrics->file == MAP_FAILED) {
        free(metrics);
        return io_error(path, error);
    }
    *ret_metrics = metrics;
    return DV_OK;
}

void dv_metrics_close(dv_metrics *metrics)
{
    if (metrics != NULL) {
        munmap(metrics->file, sizeof(metrics_file));
        free(metrics);
    }
}

/* True when the slot bears the name, after claiming it if it was free. */
static bool slot_take(metrics_slot *slot, const char *series, size_t len)
{
    uint32_t state = SLOT_FREE;
    if (atomic_compare_exchange_strong(&slot->state, &state, SLOT_CLAIMED)) {
        memcpy(slot->name, series, len + 1);
        atomic_store_explicit(&slot->state, SLOT_NAMED, memory_order_release);
        return true;
    }
    return atomic_load_explicit(&slot->state, memory_order_acquire) == SLOT_NAMED &&
           memcmp(slot->name, series, len + 1) == 0;
}

dv_metric *dv_metrics_cell(dv_metrics *metrics, const char *series)
{
    size_t len = strlen(series);
    if (len == 0 || len >= DV_METRIC_NAME_MAX) {
        return &metrics->file->dropped;
    }
    uint64_t start = hash_name(series);
    for (size_t i = 0; i < DV_METRICS_SLOTS; i++) {
        metrics_slot *slot = &metrics->file->slot[(start + i) % DV_METRICS_SLOTS];
        if (slot_take(slot, series, len)) {
            return &slot->value;
        }
    }
    return &metrics->file->dropped;
}

/* A series is a name of [a-z0-9_] and, in braces, printable text without a line end. */
static bool series_is_sound(const char *series)
{
    size_t name = strspn(series, "abcdefghijklmnopqrstuvwxyz0123456789_");
    size_t len = strnlen(series, DV_METRIC_NAME_MAX);
    if (name == 0 || len == DV_METRIC_NAME_MAX) {
        return false;
    }
    for (size_t i = name; i < len; i++) {
        if ((uint8_t)series[i] < 0x20 || (uint8_t)series[i] == 0x7f) {
            return false;
        }
    }
    return name == len || (series[name] == '{' && series[len - 1] == '}');
}

static dv_result read_file(const char *path, metrics_file *ret_file, dv_error *error)
{
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return io_error(path, error);
    }
    if (!layout_is_ours(fd) ||
        pread(fd, ret_file, sizeof(*ret_file), 0) != (ssize_t)sizeof(*ret_file)) {
        return dv_error_set(error, DV_ERR_CORRUPT, "%s: is no metrics file", path);
    }
    return DV_OK;
}

dv_result dv_metrics_read(const char *path,
                          void (*each)(void *data, const char *series, uint64_t value), void *data,
                          dv_error *error)
{
    dv_auto(free) metrics_file *file = malloc(sizeof(*file));
    if (file == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(read_file(path, file, error));
    each(data, "dvara_metrics_dropped_total", file->dropped);
    for (size_t i = 0; i < DV_METRICS_SLOTS; i++) {
        if (file->slot[i].state == SLOT_NAMED && series_is_sound(file->slot[i].name)) {
            each(data, file->slot[i].name, file->slot[i].value);
        }
    }
    return DV_OK;
}
