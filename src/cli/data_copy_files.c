/* SPDX-License-Identifier: Apache-2.0 */
/* Files are written beside the target, looked at there, and get its name when all are done. */
#include "cli/data_copy.h"

#include "cli/data_output.h"
#include "cli/data_read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_OPEN = 16, FOLDER_MODE = 0700 };

typedef struct reading {
    FILE *file;
    bool begun;
    dv_error *error;
} reading;

/* ---- before ---- */

static bool is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static bool is_empty(const char *folder)
{
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    size_t count = 0;
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    if (entries != NULL) {
        (void)closedir(entries);
    }
    return entries != NULL && count == 0;
}

/* Whether a path is the other one, or lies below it. */
static bool is_below(const char *path, const char *other)
{
    size_t len = strlen(other);
    return strncmp(path, other, len) == 0 &&
           (path[len] == '\0' || path[len] == '/' || strcmp(other, "/") == 0);
}

/* One of them in the other: the copy would be copied, or the source replaced by it. */
static bool are_entangled(const char *source, const char *target)
{
    char *from = realpath(source, NULL), *copy = strdup(target);
    char *to = realpath(target, NULL), *folder = NULL;
    if (to == NULL && copy != NULL) {
        folder = realpath(dirname(copy), NULL);
    }
    bool entangled = from == NULL || (to == NULL && folder == NULL) ||
                     (to != NULL && (is_below(from, to) || is_below(to, from))) ||
                     (folder != NULL && is_below(folder, from));
    free(from);
    free(copy);
    free(to);
    free(folder);
    return entangled;
}

dv_result dv_copy_files_check(dv_copy *copy, dv_error *error)
{
    struct stat about;
    if (are_entangled(copy->source, copy->target)) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "one of source and target lies in the other, or the target's folder is "
                            "not there");
    }
    if (lstat(copy->target, &about) != 0) {
        return DV_OK;
    }
    bool folder = S_ISDIR(about.st_mode), file = S_ISREG(about.st_mode);
    if (is_folder(copy->source) ? !folder : !file) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the target is there, and is no %s as the source is",
                            is_folder(copy->source) ? "folder" : "file");
    }
    return copy->replace || (folder && is_empty(copy->target))
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT,
                              "the target is not empty: --replace puts the copy in its place");
}

/* ---- one file ---- */

/* A source's `get`. UTF-16 would pass: nothing of it looks like what is searched for. */
static dv_result take(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    reading *r = data;
    DV_TRY(dv_data_read_file(r->file, out, room, ret_len));
    bool mark =
        *ret_len > 1 && ((out[0] == 0xFF && out[1] == 0xFE) || (out[0] == 0xFE && out[1] == 0xFF));
    if (mark && !r->begun) {
        return dv_error_set(r->error, DV_ERR_INVALID,
                            "is UTF-16: `iconv -f UTF-16 -t UTF-8` makes UTF-8 of it");
    }
    r->begun = true;
    return DV_OK;
}

/* By its ending, as dvara data mask does; else by what it is. */
static dv_transform_run run_for(const dv_copy_item *item)
{
    dv_transform_run run = dv_data_run_for(dv_data_ending(item->name));
    if (run != NULL) {
        return run;
    }
    return item->kind == DV_SCAN_CSV                                        ? dv_transform_csv
           : item->kind == DV_SCAN_JSON || item->kind == DV_SCAN_JSON_LINES ? dv_transform_json
                                                                            : dv_transform_text;
}

static dv_result pass(const dv_walk_source *source, const dv_transform_sink *sink)
{
    uint8_t piece[64 << 10];
    size_t len = 1;
    while (len > 0) {
        DV_TRY(source->get(source->data, piece, sizeof(piece), &len));
        DV_TRY(sink->put(sink->data, dv_slice_of(piece, len)));
    }
    return DV_OK;
}

/* Says in which file. */
static dv_result blame(const char *name, dv_result result, dv_error *error)
{
    char message[DV_ERROR_MESSAGE_MAX];
    if (result == DV_OK || error->message[0] == '\0') {
        return result;
    }
    (void)snprintf(message, sizeof(message), "%s", error->message);
    return dv_error_set_at(error, result, error->line, 0, "%.200s: %.280s", name, message);
}

static dv_result transform(const dv_transform_setup *setup, const dv_copy_item *item,
                           const char *path, const dv_transform_sink *sink,
                           dv_transform_counts *ret_counts, dv_error *error)
{
    reading r = {.error = error};
    dv_transform_setup own = *setup;
    own.table = dv_data_table_name(item->name);
    DV_TRY(dv_data_open(path, &r.file, error));
    const dv_walk_source source = {take, &r};
    dv_result result = item->accepted ? (r.begun = true, pass(&source, sink))
                                      : run_for(item)(&own, &source, sink, ret_counts, error);
    dv_data_close(r.file);
    return blame(item->name, result, error);
}

/* ---- all files ---- */

/* The folders that a name lies in. */
static dv_result make_folders(const char *root, const char *name, dv_error *error)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", root, name) < 0) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = DV_OK;
    for (char *at = strchr(path + strlen(root) + 1, '/'); at != NULL && result == DV_OK;
         at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(path, FOLDER_MODE) != 0 && errno != EEXIST) {
            result = dv_error_set(error, DV_ERR_IO, "can not make %s: %s", path, strerror(errno));
        }
        *at = '/';
    }
    free(path);
    return result;
}

/* The path of an item below a root; a root that is a file is the item. */
static char *path_of(const char *root, bool folder, const dv_copy_item *item)
{
    char *path = NULL;
    if (!folder) {
        return strdup(root);
    }
    return asprintf(&path, "%s/%s", root, item->name) < 0 ? NULL : path;
}

static dv_result copy_file(dv_copy *copy, const dv_copy_item *item, const char *from,
                           const char *to, dv_error *error)
{
    dv_data_output output = {.file = NULL};
    dv_cli nowhere = {.out = NULL};
    dv_transform_counts counts = {0};
    DV_TRY(dv_data_output_open(&nowhere, to, &output, error));
    const dv_transform_sink sink = {dv_data_output_put, &output};
    dv_result result = transform(&copy->tools->setup, item, from, &sink, &counts, error);
    if (result == DV_OK) {
        result = dv_data_output_commit(&output, error);
    }
    dv_data_output_close(&output);
    copy->counts.values += counts.values;
    copy->counts.records += counts.records;
    copy->places++;
    return result;
}

typedef dv_result (*for_file)(dv_copy *copy, const dv_copy_item *item, const char *from,
                              const char *to, dv_error *error);

static dv_result each_file(dv_copy *copy, const char *made, bool folder, for_file act,
                           dv_error *error)
{
    for (size_t i = 0; i < dv_copy_plan_count(copy->plan); i++) {
        const dv_copy_item *item = dv_copy_plan_item(copy->plan, i);
        char *from = path_of(copy->source, folder, item), *to = path_of(made, folder, item);
        dv_result result = from == NULL || to == NULL ? DV_ERR_NO_MEMORY : DV_OK;
        if (result == DV_OK && folder) {
            result = make_folders(made, item->name, error);
        }
        if (result == DV_OK) {
            result = act(copy, item, from, to, error);
        }
        free(from);
        free(to);
        DV_TRY(result);
    }
    return DV_OK;
}

/* A column that the rules name has to be in one of the files, not in each. */
static dv_result copy_each(dv_copy *copy, const char *made, bool folder, dv_error *error)
{
    dv_action_rules *rules = copy->tools->rules;
    bool *optional = calloc(rules->column_count + 1, sizeof(*optional));
    if (optional == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < rules->column_count; i++) {
        optional[i] = rules->columns[i].optional;
        rules->columns[i].optional = true;
    }
    dv_result result = each_file(copy, made, folder, copy_file, error);
    for (size_t i = 0; i < rules->column_count; i++) {
        rules->columns[i].optional = optional[i];
    }
    free(optional);
    DV_TRY(result);
    const char *unseen = dv_action_rules_unseen(rules);
    return unseen == NULL ? DV_OK
                          : dv_error_set(error, DV_ERR_INVALID,
                                         "the rules name a column '%s', and no file has one: mend "
                                         "the name, or say optional: true",
                                         unseen);
}

/* ---- looking at them ---- */

static dv_result look_at(dv_copy *copy, const dv_copy_item *item, const char *from, const char *to,
                         dv_error *error)
{
    (void)from;
    const dv_transform_watch watch = dv_copy_leaks_look(copy->leaks);
    dv_transform_setup setup;
    dv_transform_counts counts;
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    if (item->accepted) {
        return DV_OK;
    }
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_copy_leaks_enter(copy->leaks, item->name);
    DV_TRY(dv_copy_look_setup(copy, &watch, arena, &setup));
    return transform(&setup, item, to, &dv_copy_nowhere, &counts, error);
}

/* ---- its name ---- */

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *at)
{
    (void)about;
    (void)kind;
    (void)at;
    return remove(path);
}

static void remove_all(const char *path)
{
    (void)nftw(path, remove_one, FILES_OPEN, FTW_DEPTH | FTW_PHYS);
}

/* What stood there before stands under the other name then. A folder takes an empty one's place. */
static dv_result publish(const dv_copy *copy, const char *made, bool folder, dv_error *error)
{
    bool there = access(copy->target, F_OK) == 0;
    unsigned how = there && copy->replace ? RENAME_EXCHANGE : folder ? 0 : RENAME_NOREPLACE;
    if (renameat2(AT_FDCWD, made, AT_FDCWD, copy->target, how) != 0) {
        return dv_error_set(error, DV_ERR_IO, "can not name the copy %s: %s", copy->target,
                            strerror(errno));
    }
    return DV_OK;
}

dv_result dv_copy_files(dv_copy *copy, dv_error *error)
{
    char *root = NULL, *made = NULL;
    bool folder = is_folder(copy->source);
    size_t len = strlen(copy->target);
    while (len > 1 && copy->target[len - 1] == '/') {
        len--;
    }
    if (asprintf(&root, "%.*s.XXXXXX", (int)len, copy->target) < 0) {
        return DV_ERR_NO_MEMORY;
    }
    if (mkdtemp(root) == NULL || asprintf(&made, "%s/copy", root) < 0 ||
        (folder && mkdir(made, FOLDER_MODE) != 0)) {
        dv_result result =
            dv_error_set(error, DV_ERR_IO, "can not write %s: %s", root, strerror(errno));
        remove_all(root);
        free(root);
        free(made);
        return result;
    }
    dv_result result = copy_each(copy, made, folder, error);
    if (result == DV_OK && copy->tools->vault != NULL) {
        result = dv_vault_commit(copy->tools->vault, error);
    }
    if (result == DV_OK) {
        result = each_file(copy, made, folder, look_at, error);
    }
    if (result == DV_OK && dv_copy_leaks_count(copy->leaks) == 0) {
        result = publish(copy, made, folder, error);
    }
    remove_all(root);
    free(root);
    free(made);
    return result;
}
