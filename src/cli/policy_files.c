/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/policy_files.h"

#include "base/caps.h"
#include "base/codec.h"
#include "base/file.h"
#include "room/auth/gate/record.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

enum { FILES_MAX = 1000, FILE_MAX_BYTES = 1 << 20 };

/* Cedar's text and its JSON. A folder may hold other files in JSON, which have to be named. */
static const char *const SUFFIXES[] = {".cedar", ".cedar.json", ".json"};
enum { FOLDER_SUFFIXES = 2 };

/* Without the longest suffix of those that it ends with. */
static dv_slice suffix_cut(dv_slice name, size_t count)
{
    size_t longest = 0;
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(SUFFIXES[i]);
        longest =
            dv_slice_ends_with(name, dv_slice_str(SUFFIXES[i])) ? DV_MAX(longest, len) : longest;
    }
    return dv_slice_sub(name, 0, name.len - longest);
}

static bool is_policy_file(const struct dirent *entry)
{
    dv_slice name = dv_slice_str(entry->d_name);
    return name.ptr[0] != '.' && suffix_cut(name, FOLDER_SUFFIXES).len < name.len;
}

static int filter(const struct dirent *entry)
{
    return is_policy_file(entry);
}

/* "policies/hours.cedar" is the policy "hours", and so is "policies/hours.json". */
static dv_result name_of(const char *path, dv_arena *arena, const char **ret_name, dv_error *error)
{
    const char *slash = strrchr(path, '/');
    dv_slice name = dv_slice_str(slash == NULL ? path : slash + 1);
    dv_slice copy;
    name = suffix_cut(name, DV_ARRAY_LEN(SUFFIXES));
    if (!dv_auth_name_ok(name)) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "%s: a policy is named after its file, with up to 128 of A-Z a-z 0-9 . "
                            "_ @ - and a letter or digit in front",
                            path);
    }
    DV_TRY(dv_arena_copy(arena, name, &copy));
    *ret_name = (const char *)copy.ptr;
    return DV_OK;
}

static dv_result file_add(const char *path, dv_arena *arena, dv_policy_files *files,
                          dv_error *error)
{
    dv_policy_file file = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(FILE_MAX_BYTES);
    dv_slice copy;
    if (files->count == FILES_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "more than %d files", FILES_MAX);
    }
    DV_TRY(name_of(path, arena, &file.name, error));
    const char *other = dv_policy_files_path(files, dv_slice_str(file.name));
    if (other != NULL) {
        return dv_error_set(error, DV_ERR_INVALID, "%s and %s would both be the policy %s", other,
                            path, file.name);
    }
    DV_TRY(dv_file_read(path, &text, error));
    if (!dv_utf8_valid(dv_buf_slice(&text))) {
        return dv_error_set(error, DV_ERR_INVALID, "%s is not UTF-8", path);
    }
    DV_TRY(dv_arena_copy(arena, dv_slice_str(path), &copy));
    file.path = (const char *)copy.ptr;
    DV_TRY(dv_arena_copy(arena, dv_buf_slice(&text), &file.text));
    files->items[files->count++] = file;
    return DV_OK;
}

static dv_result folder_add(const char *folder, dv_arena *arena, dv_policy_files *files,
                            dv_error *error)
{
    struct dirent **entries = NULL;
    char path[PATH_MAX];
    int count = scandir(folder, &entries, filter, alphasort);
    dv_result result =
        count < 0    ? dv_error_set(error, DV_ERR_IO, "%s can not be read", folder)
        : count == 0 ? dv_error_set(error, DV_ERR_NOT_FOUND,
                                    "%s has no file that ends in .cedar or .cedar.json", folder)
                     : DV_OK;
    for (int i = 0; i < count; i++) {
        if (result == DV_OK) {
            int len = snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
            result =
                len < (int)sizeof(path) ? file_add(path, arena, files, error) : DV_ERR_TOO_LARGE;
        }
        free(entries[i]);
    }
    free(entries);
    return result;
}

dv_result dv_policy_files_read(const json_t *paths, dv_arena *arena, dv_policy_files *ret_files,
                               dv_error *error)
{
    dv_policy_files files = {.items = dv_arena_alloc(arena, FILES_MAX * sizeof(*files.items))};
    if (files.items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < json_array_size(paths); i++) {
        const char *path = json_string_value(json_array_get(paths, i));
        struct stat status;
        bool folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
        DV_TRY(folder ? folder_add(path, arena, &files, error)
                      : file_add(path, arena, &files, error));
    }
    *ret_files = files;
    return DV_OK;
}

const char *dv_policy_files_path(const dv_policy_files *files, dv_slice name)
{
    const char *found = NULL;
    for (size_t i = 0; i < files->count && found == NULL; i++) {
        if (dv_slice_eq_str(name, files->items[i].name)) {
            found = files->items[i].path;
        }
    }
    return found;
}

json_t *dv_policy_files_json(const dv_policy_files *files)
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < files->count; i++) {
        const dv_policy_file *file = &files->items[i];
        json_t *json =
            json_pack("{s:s, s:s%}", "name", file->name, "text",
                      file->text.len == 0 ? "" : (const char *)file->text.ptr, file->text.len);
        if (json_array_append_new(array, json) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

void dv_policy_files_place(const dv_policy_files *files, dv_error *error)
{
    char message[DV_ERROR_MESSAGE_MAX];
    ptrdiff_t colon = dv_slice_find_byte(dv_slice_str(error->message), ':');
    const char *path =
        colon <= 0 ? NULL : dv_policy_files_path(files, dv_slice_of(error->message, (size_t)colon));
    if (path == NULL) {
        return;
    }
    snprintf(message, sizeof(message), "%s%s", path, error->message + colon);
    memcpy(error->message, message, sizeof(message));
}
