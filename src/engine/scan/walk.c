/* SPDX-License-Identifier: Apache-2.0 */
/* Files below a folder. Every step is by descriptor (openat, O_NOFOLLOW): nobody who may write
 * there can lead the scan elsewhere while it runs. Only regular files are opened, and what was
 * opened is looked at again. */
#include "engine/scan/scan_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_LIMIT = 64 << 10, NAMES_MAX = 10000000 };

const dv_scan_limits dv_scan_limits_usual = {
    .depth = 64,
    .nesting = 4,
    .members = 100000,
    .files = 1000000,
    .bytes = UINT64_C(256) << 20,
    .rows = 10000,
    .file_time = 60 * DV_SECOND,
    .time = 24 * 3600 * DV_SECOND,
};

typedef struct walk {
    const dv_scan_limits *limits;
    const dv_scan_visitor *visitor; /* NULL: files are only counted */
    dv_scan_totals *totals;
    dv_buf path; /* below the first folder */
    dev_t device;
    dv_time until;
    dv_arena *arena;
    dv_scan_source source;
} walk;

static void stop(walk *w, const char *why)
{
    (void)snprintf(w->totals->stopped, sizeof(w->totals->stopped), "%s", why);
}

static bool stopped(walk *w)
{
    if (w->totals->stopped[0] == '\0' && w->totals->items >= w->limits->files) {
        stop(w, "there are more files than --max-files");
    } else if (w->totals->stopped[0] == '\0' && dv_time_monotonic() > w->until) {
        stop(w, "the scan took too long");
    }
    return w->totals->stopped[0] != '\0';
}

/* ---- one file ---- */

static dv_result read_item(walk *w, int fd, const struct stat *about)
{
    dv_scan scan = {
        .limits = w->limits,
        .visitor = w->visitor,
        .until = DV_MIN(w->until, dv_time_monotonic() + w->limits->file_time),
        .arena = w->arena,
    };
    scan.item.name = dv_buf_cstr(&w->path);
    return scan.item.name == NULL ? DV_ERR_NO_MEMORY
                                  : dv_scan_open_item(&scan, fd, about, &w->source);
}

/* A file that is there and says nothing is told of, too: somebody has to look at it. */
static dv_result tell_unreadable(walk *w, int why)
{
    char problem[DV_SCAN_PROBLEM_MAX];
    const char *name = dv_buf_cstr(&w->path);
    w->totals->unreadable++;
    if (w->visitor == NULL || name == NULL) {
        return w->visitor == NULL ? DV_OK : DV_ERR_NO_MEMORY;
    }
    (void)snprintf(problem, sizeof(problem), "could not be opened: %s", strerror(why));
    return dv_scan_tell_unread(name, problem, w->visitor);
}

static dv_result visit_file(walk *w, int folder, const char *name)
{
    struct stat about;
    dv_auto(fd) int fd =
        openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? DV_OK : tell_unreadable(w, errno);
    }
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        w->totals->specials++; /* became something else since */
        return DV_OK;
    }
    w->totals->items++;
    w->totals->bytes += (uint64_t)about.st_size;
    return w->visitor == NULL ? DV_OK : read_item(w, fd, &about);
}

/* ---- one folder ---- */

typedef struct names {
    char **items;
    size_t count;
    size_t capacity;
} names;

static void names_release(names *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
}
DV_DEFINE_AUTO(names, names, names_release)

static dv_result add_name(names *list, const char *name)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        char **items = realloc(list->items, capacity * sizeof(*items));
        if (items == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count] = strdup(name);
    return list->items[list->count] != NULL ? (list->count++, DV_OK) : DV_ERR_NO_MEMORY;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All names of a folder, sorted. */
static dv_result list_folder(walk *w, int fd, names *list)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *folder = own < 0 ? NULL : fdopendir(own);
    const struct dirent *entry = NULL;
    dv_result result = DV_OK;
    if (folder == NULL) {
        dv_fd_close(&own);
        w->totals->unreadable++;
        return DV_OK;
    }
    while (result == DV_OK && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = add_name(list, entry->d_name);
        }
        if (list->count > NAMES_MAX) {
            stop(w, "a folder holds too many names");
            break;
        }
    }
    (void)closedir(folder);
    if (list->count > 1) {
        qsort(list->items, list->count, sizeof(*list->items), by_name);
    }
    return result;
}

static dv_result visit_folder(walk *w, int fd, uint32_t depth);

static dv_result enter_folder(walk *w, int parent, const char *name, dev_t device, uint32_t depth)
{
    if (device != w->device && !w->limits->cross_devices) {
        w->totals->devices++;
        return DV_OK;
    }
    dv_auto(fd) int fd =
        openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        w->totals->unreadable++;
        return DV_OK;
    }
    return visit_folder(w, fd, depth + 1);
}

static dv_result visit_named(walk *w, int folder, const char *name, uint32_t depth)
{
    struct stat about;
    if (fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        w->totals->unreadable += errno != ENOENT;
        return DV_OK;
    }
    if (S_ISREG(about.st_mode)) {
        return visit_file(w, folder, name);
    }
    if (S_ISDIR(about.st_mode)) {
        return enter_folder(w, folder, name, about.st_dev, depth);
    }
    w->totals->links += S_ISLNK(about.st_mode);
    w->totals->specials += !S_ISLNK(about.st_mode);
    return DV_OK;
}

static dv_result visit_folder(walk *w, int fd, uint32_t depth)
{
    dv_auto(names) names list = {0};
    size_t len = w->path.len;
    w->totals->folders++;
    if (depth > w->limits->depth) {
        w->totals->deep++;
        return DV_OK;
    }
    DV_TRY(list_folder(w, fd, &list));
    for (size_t i = 0; i < list.count && !stopped(w); i++) {
        DV_TRY(dv_buf_append_str(&w->path, len == 0 ? "" : "/"));
        DV_TRY(dv_buf_append_str(&w->path, list.items[i]));
        DV_TRY(visit_named(w, fd, list.items[i], depth));
        w->path.len = len;
    }
    return DV_OK;
}

/* ---- from the top ---- */

static dv_result start(walk *w, const char *path, dv_error *error)
{
    struct stat about;
    dv_auto(fd) int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0) {
        dv_result result = errno == ENOENT   ? DV_ERR_NOT_FOUND
                           : errno == EACCES ? DV_ERR_FORBIDDEN
                                             : DV_ERR_IO;
        return dv_error_set(error, result, "%s: %s", path, strerror(errno));
    }
    w->device = about.st_dev;
    if (S_ISDIR(about.st_mode)) {
        return visit_folder(w, fd, 0);
    }
    if (!S_ISREG(about.st_mode)) {
        return dv_error_set(error, DV_ERR_INVALID, "%s is neither a file nor a folder", path);
    }
    const char *slash = strrchr(path, '/');
    w->totals->items++;
    w->totals->bytes += (uint64_t)about.st_size;
    DV_TRY(dv_buf_append_str(&w->path, slash != NULL ? slash + 1 : path));
    return w->visitor == NULL ? DV_OK : read_item(w, fd, &about);
}

dv_result dv_scan_path(const char *path, const dv_scan_limits *limits,
                       const dv_scan_visitor *visitor, dv_scan_totals *ret_totals, dv_error *error)
{
    dv_scan_totals totals = {0};
    walk *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    w->limits = limits;
    w->visitor = visitor;
    w->totals = &totals;
    w->path = dv_buf_init(PATH_LIMIT);
    w->until = dv_time_monotonic() + limits->time;
    w->arena = dv_arena_new(DV_SCAN_ARENA);
    dv_result result = w->arena == NULL ? DV_ERR_NO_MEMORY : start(w, path, error);
    dv_arena_free(w->arena);
    dv_buf_release(&w->path);
    free(w);
    DV_TRY(result);
    *ret_totals = totals;
    return DV_OK;
}

dv_result dv_scan_count(const char *path, const dv_scan_limits *limits, dv_scan_totals *ret_totals,
                        dv_error *error)
{
    return dv_scan_path(path, limits, NULL, ret_totals, error);
}
