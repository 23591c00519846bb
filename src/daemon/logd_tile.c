/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logd_tile.h"

enum { LEVEL_MAX = 7, DIGITS = 3 };

static bool read_digits(const char **at, int most, uint64_t *number)
{
    int count = 0;
    while (count < most && **at >= '0' && **at <= '9') {
        *number = *number * 10 + (uint64_t)(**at - '0');
        (*at)++;
        count++;
    }
    return count > 0;
}

/* "x001/x234/067" */
static bool read_index(const char **at, uint64_t *ret_index)
{
    uint64_t index = 0;
    bool more = true;
    for (int groups = 0; more && groups < 7; groups++) {
        more = **at == 'x';
        *at += more;
        if (!read_digits(at, DIGITS, &index)) {
            return false;
        }
        if (more && *(*at)++ != '/') {
            return false;
        }
    }
    *ret_index = index;
    return !more && index <= INT64_MAX;
}

static bool read_name(const char *path, dv_logd_tile_name *name)
{
    uint64_t level = 0, width = DV_TILE_WIDTH;
    if (strncmp(path, "/tile/entries/", 14) == 0) {
        path += 14;
        name->level = DV_TILE_ENTRIES;
    } else {
        path += 6;
        if (!read_digits(&path, 1, &level) || level > LEVEL_MAX || *path++ != '/') {
            return false;
        }
        name->level = (int)level;
    }
    if (!read_index(&path, &name->index)) {
        return false;
    }
    if (strncmp(path, ".p/", 3) == 0) {
        path += 3;
        width = 0;
        if (!read_digits(&path, DIGITS, &width) || width == 0 || width >= DV_TILE_WIDTH) {
            return false;
        }
    }
    name->width = (uint32_t)width;
    return *path == '\0';
}

/* What is read must be written the same way: so there is no second name for anything. */
dv_result dv_logd_tile_parse(const char *path, dv_logd_tile_name *ret_name)
{
    char again[DV_TILE_PATH_MAX];
    dv_logd_tile_name name = {0};
    if (strncmp(path, "/tile/", 6) != 0 || strlen(path) >= DV_TILE_PATH_MAX ||
        !read_name(path, &name)) {
        return DV_ERR_INVALID;
    }
    dv_tile_path(name.level, name.index, name.width, again);
    if (strcmp(again, path + 1) != 0) {
        return DV_ERR_INVALID;
    }
    *ret_name = name;
    return DV_OK;
}

dv_result dv_logd_tile_read(const char *log_folder, const dv_logd_tile_name *name, dv_buf *out,
                            dv_error *error)
{
    dv_hash hashes[DV_TILE_WIDTH];
    if (name->level == DV_TILE_ENTRIES) {
        return dv_bundle_read(log_folder, NULL, name->index, name->width, out, error);
    }
    DV_TRY(dv_tile_read(log_folder, name->level, name->index, name->width, hashes, error));
    return dv_buf_append(out, dv_slice_of(hashes, name->width * sizeof(hashes[0])));
}
