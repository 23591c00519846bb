/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/tile_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 12 }; /* of folders: "tile/entries/" and seven "x000/" are the most */

typedef struct walk {
    dv_tile_visit visit;
    void *data;
    dv_error *error;
    int depth;
} walk;

/* "000" or "x000"; false: neither. */
static bool take_digits(const char **text, uint64_t *index)
{
    const char *at = *text + (**text == 'x');
    for (int i = 0; i < 3; i++) {
        if (at[i] < '0' || at[i] > '9' || *index > UINT64_MAX / 1000) {
            return false;
        }
    }
    *index = *index * 1000 + (uint64_t)((at[0] - '0') * 100 + (at[1] - '0') * 10 + (at[2] - '0'));
    *text = at + 3;
    return true;
}

static bool take_level(const char **text, int *level)
{
    static const char entries[] = "entries/";
    if (strncmp(*text, entries, strlen(entries)) == 0) {
        *level = DV_TILE_ENTRIES;
        *text += strlen(entries);
        return true;
    }
    *level = **text - '0';
    *text += 2;
    return *level >= 0 && *level <= 9 && (*text)[-1] == '/';
}

/* Only the one name that dv_tile_path gives. */
static bool parse(const char *name, dv_tile_file *file)
{
    char again[DV_TILE_PATH_MAX];
    const char *rest = name + strlen("tile/");
    file->index = 0;
    if (rest[0] == '\0' || !take_level(&rest, &file->level)) {
        return false;
    }
    while (rest[0] == 'x' && take_digits(&rest, &file->index) && rest[0] == '/') {
        rest++;
    }
    if (!take_digits(&rest, &file->index)) {
        return false;
    }
    file->width = DV_TILE_WIDTH;
    if (strncmp(rest, ".p/", 3) == 0) {
        file->width = (uint32_t)strtoul(rest + 3, NULL, 10);
    }
    if (file->width == 0 || file->width > DV_TILE_WIDTH) {
        return false;
    }
    dv_tile_path(file->level, file->index, file->width, again);
    return strcmp(name, again) == 0;
}

static dv_result visit_file(walk *w, const char *name)
{
    dv_tile_file file = {.name = name};
    if (!parse(name, &file)) {
        file = (dv_tile_file){.name = name};
    }
    return w->visit(w->data, &file);
}

static dv_result walk_folder(walk *w, int above, const char *name);

static dv_result walk_entry(walk *w, int folder, const char *above, const char *name)
{
    char path[DV_TILE_PATH_MAX];
    struct stat about;
    int len = snprintf(path, sizeof(path), "%s/%s", above, name);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return dv_error_set(w->error, DV_ERR_CORRUPT, "%.60s/%.200s belongs to no tile", above,
                            name);
    }
    if (fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? DV_OK : DV_ERR_IO;
    }
    return S_ISDIR(about.st_mode) ? walk_folder(w, folder, path) : visit_file(w, path);
}

static dv_result walk_folder(walk *w, int above, const char *name)
{
    const char *last = strrchr(name, '/');
    dv_result result = DV_OK;
    int fd = openat(above, last == NULL ? name : last + 1,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        result = errno == ENOENT ? DV_OK : DV_ERR_IO;
        dv_fd_close(&fd);
        return result;
    }
    if (++w->depth > DEPTH_MAX) {
        result = dv_error_set(w->error, DV_ERR_CORRUPT, "%s: there are folders in folders", name);
    }
    for (struct dirent *entry = readdir(dir); entry != NULL && result == DV_OK;
         entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = walk_entry(w, fd, name, entry->d_name);
        }
    }
    w->depth--;
    closedir(dir);
    return result;
}

dv_result dv_tile_files(const char *folder, dv_tile_visit visit, void *data, dv_error *error)
{
    walk w = {.visit = visit, .data = data, .error = error};
    dv_auto(fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", folder, strerror(errno));
    }
    dv_result result = walk_folder(&w, fd, "tile");
    return result == DV_ERR_IO
               ? dv_error_set(error, result, "tile can not be read: %s", strerror(errno))
               : result;
}

uint32_t dv_tile_width_at(uint64_t size, int level, uint64_t index)
{
    int shift = level <= 0 ? 0 : DV_TILE_HEIGHT * level;
    uint64_t nodes = shift < 64 ? size >> shift : 0;
    if (index > UINT64_MAX / DV_TILE_WIDTH || nodes <= index * DV_TILE_WIDTH) {
        return 0;
    }
    return (uint32_t)DV_MIN(nodes - index * DV_TILE_WIDTH, (uint64_t)DV_TILE_WIDTH);
}
