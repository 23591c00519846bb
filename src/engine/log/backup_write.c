/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "crypto/random.h"
#include "engine/log/archive_tar.h"
#include "engine/log/backup_private.h"
#include "engine/log/pack.h"
#include "engine/log/sequencer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LEVEL = 3, /* of zstd: most of it is packed already */
    FILE_MODE = 0600,
    ATTEMPTS = 4,
    NAMES_MAX = 20000, /* files of a folder of keys */
    COPY = 64 << 10,
};

/* What was signed of a tree, read before the state: not ahead of it. */
typedef struct signed_notes {
    dv_buf checkpoint, cosigned;
} signed_notes;

typedef struct backing {
    const dv_backup_create *create;
    char log[PATH_MAX], keys[PATH_MAX], subjects[PATH_MAX];
    dv_log_state state;
    signed_notes notes[DV_LOG_TREES_MAX];
    dv_age_writer *age;
    dv_tar_writer *tar;
    int fd;
    const char *part;
    uint64_t total; /* bytes that are to be packed, about */
    dv_backup_report report;
    dv_error *error;
} backing;

static dv_result make_path(char out[PATH_MAX], const char *folder, const char *name,
                           dv_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return len > 0 && len < PATH_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
}

/* -- one file ---------------------------------------------------------------------------------- */

static void count(backing *b, uint64_t bytes)
{
    b->report.bytes += bytes;
    if (b->create->progress != NULL) {
        b->create->progress(b->create->data, DV_MIN(b->report.bytes, b->total), b->total);
    }
}

static dv_result put(backing *b, const char *folder, const char *name, dv_slice bytes)
{
    char member[DV_TAR_NAME_MAX + 1];
    int len = snprintf(member, sizeof(member), "%s%s", folder, name);
    if (len < 0 || len > DV_TAR_NAME_MAX) {
        return dv_error_set(b->error, DV_ERR_TOO_LARGE, "%s%s has too long a name", folder, name);
    }
    DV_TRY(dv_tar_add(b->tar, member, bytes, b->error));
    b->report.files++;
    count(b, bytes.len);
    return DV_OK;
}

/* A small file; one that is not there is left out. */
static dv_result put_small(backing *b, const char *member, const char *folder, const char *name)
{
    char path[PATH_MAX];
    dv_auto(secret_buf) dv_buf bytes = dv_buf_init(DV_BACKUP_SMALL_MAX);
    DV_TRY(make_path(path, folder, name, b->error));
    dv_result result = dv_file_read(path, &bytes, b->error);
    return result == DV_ERR_NOT_FOUND ? DV_OK
           : result != DV_OK          ? result
                                      : put(b, member, name, dv_buf_slice(&bytes));
}

/* -- the names in a folder --------------------------------------------------------------------- */

typedef struct names {
    char (*list)[NAME_MAX + 1];
    size_t count;
} names;

static void names_release(names *n)
{
    free(n->list);
}
DV_DEFINE_AUTO(names, names, names_release)

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static dv_result add_name(names *n, const char *name)
{
    if (n->count == NAMES_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    if ((n->count & (n->count - 1)) == 0) {
        void *list = realloc(n->list, DV_MAX(2 * n->count, (size_t)1) * sizeof(*n->list));
        if (list == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        n->list = list;
    }
    snprintf(n->list[n->count++], NAME_MAX + 1, "%s", name);
    return DV_OK;
}

/* Regular files, sorted; a folder that is not there has none. */
static dv_result read_names(const char *folder, names *ret_names, dv_error *error)
{
    names found = {.count = 0};
    DIR *dir = opendir(folder);
    dv_result result = DV_OK;
    if (dir == NULL) {
        *ret_names = found;
        return errno == ENOENT
                   ? DV_OK
                   : dv_error_set(error, DV_ERR_IO, "can not read %s: %s", folder, strerror(errno));
    }
    for (struct dirent *entry = readdir(dir); entry != NULL && result == DV_OK;
         entry = readdir(dir)) {
        struct stat about;
        if (dv_backup_name_is(dv_slice_str(entry->d_name)) &&
            fstatat(dirfd(dir), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(about.st_mode)) {
            result = add_name(&found, entry->d_name);
        }
    }
    closedir(dir);
    if (result != DV_OK) {
        names_release(&found);
        return result;
    }
    if (found.count > 0) {
        qsort(found.list, found.count, sizeof(*found.list), compare_names);
    }
    *ret_names = found;
    return DV_OK;
}

static bool same_names(const names *a, const names *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        same = strcmp(a->list[i], b->list[i]) == 0;
    }
    return same;
}

/* -- the trees --------------------------------------------------------------------------------- */

/* Folder of a tree, and what its files are called in the backup. */
static dv_result place_tree(const backing *b, const dv_log_tree *tree, char folder[PATH_MAX],
                            char member[DV_TAR_NAME_MAX])
{
    bool main = strcmp(tree->name, DV_LOG_MAIN) == 0;
    int len = snprintf(folder, PATH_MAX, "%s%s%s", b->log, main ? "" : "/" DV_LOG_OTHERS "/",
                       main ? "" : tree->name);
    snprintf(member, DV_TAR_NAME_MAX, DV_BACKUP_LOG "%s%.*s%s", main ? "" : DV_LOG_OTHERS "/",
             main ? 0 : DV_LOG_NAME_MAX, tree->name, main ? "" : "/");
    return len > 0 && len < PATH_MAX ? DV_OK : DV_ERR_TOO_LARGE;
}

static dv_result put_tile(backing *b, const char *member, const char *folder, int level,
                          uint64_t index, uint32_t width)
{
    char name[DV_TILE_PATH_MAX];
    dv_hash hashes[DV_TILE_WIDTH];
    dv_tile_path(level, index, width, name);
    DV_TRY(dv_tile_read(folder, level, index, width, hashes, b->error));
    return put(b, member, name, dv_slice_of(hashes, width * sizeof(*hashes)));
}

/* Those of one level over what is not pruned. */
static dv_result put_level(backing *b, const char *member, const char *folder,
                           const dv_log_tree *tree, int level)
{
    uint64_t nodes = tree->size >> (DV_TILE_HEIGHT * level);
    uint64_t first = tree->minimum >> (DV_TILE_HEIGHT * level) >> DV_TILE_HEIGHT;
    for (uint64_t i = first; i < nodes / DV_TILE_WIDTH; i++) {
        DV_TRY(put_tile(b, member, folder, level, i, DV_TILE_WIDTH));
    }
    uint32_t rest = (uint32_t)(nodes % DV_TILE_WIDTH);
    return rest == 0 ? DV_OK : put_tile(b, member, folder, level, nodes / DV_TILE_WIDTH, rest);
}

/* The entries behind the last block, and the tiles over them. */
static dv_result put_rest(backing *b, const char *member, const char *folder,
                          const dv_log_tree *tree)
{
    char name[DV_TILE_PATH_MAX];
    dv_auto(buf) dv_buf bundle = dv_buf_init(DV_BUNDLE_MAX);
    for (uint64_t at = tree->packed; at < tree->size; at += DV_TILE_WIDTH) {
        uint32_t width = (uint32_t)DV_MIN(tree->size - at, (uint64_t)DV_TILE_WIDTH);
        dv_buf_clear(&bundle);
        DV_TRY(dv_bundle_read(folder, NULL, at / DV_TILE_WIDTH, width, &bundle, b->error));
        dv_tile_path(DV_TILE_ENTRIES, at / DV_TILE_WIDTH, width, name);
        DV_TRY(put(b, member, name, dv_buf_slice(&bundle)));
        DV_TRY(put_tile(b, member, folder, 0, at / DV_TILE_WIDTH, width));
    }
    return DV_OK;
}

static dv_result copy_bytes(backing *b, int fd, const char *path, uint64_t len)
{
    uint8_t bytes[COPY];
    while (len > 0) {
        ssize_t got = read(fd, bytes, (size_t)DV_MIN(len, (uint64_t)sizeof(bytes)));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return dv_error_set(b->error, got == 0 ? DV_ERR_CORRUPT : DV_ERR_IO,
                                "can not read %s: %s", path,
                                got == 0 ? "it is cut short" : strerror(errno));
        }
        DV_TRY(dv_tar_put(b->tar, dv_slice_of(bytes, (size_t)got), b->error));
        count(b, (uint64_t)got);
        len -= (uint64_t)got;
    }
    dv_wipe(bytes, sizeof(bytes)); /* of a key, perhaps */
    return DV_OK;
}

/* Up to its last block that the state knows. */
static dv_result put_pack(backing *b, const char *member, const char *folder, uint64_t pack,
                          uint64_t blocks)
{
    uint64_t offset = 0;
    dv_block_info info;
    char name[DV_TILE_PATH_MAX], path[PATH_MAX], whole[DV_TAR_NAME_MAX + DV_TILE_PATH_MAX];
    uint64_t last = DV_MIN((pack + 1) * DV_PACK_BLOCKS, blocks) - 1;
    dv_pack_path(pack, name);
    DV_TRY(make_path(path, folder, name, b->error));
    DV_TRY(dv_pack_place(folder, last, &offset, &info, b->error));
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return dv_error_set(b->error, errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO,
                            "can not read %s: %s", path, strerror(errno));
    }
    snprintf(whole, sizeof(whole), "%s%s", member, name);
    DV_TRY(dv_tar_begin(b->tar, whole, offset + info.length, b->error));
    b->report.files++;
    return copy_bytes(b, fd, path, offset + info.length);
}

/* A file that is written once and stays as it is. */
static dv_result put_whole(backing *b, const char *member, const char *folder, const char *name)
{
    struct stat about;
    char path[PATH_MAX], whole[DV_TAR_NAME_MAX + NAME_MAX + 1];
    DV_TRY(make_path(path, folder, name, b->error));
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &about) != 0) {
        return dv_error_set(b->error, fd < 0 && errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO,
                            "can not read %s: %s", path, strerror(errno));
    }
    snprintf(whole, sizeof(whole), "%s%s", member, name);
    DV_TRY(dv_tar_begin(b->tar, whole, (uint64_t)about.st_size, b->error));
    b->report.files++;
    return copy_bytes(b, fd, path, (uint64_t)about.st_size);
}

/* What lies out of line of a pack's entries, in files that are named by their first entry. */
static dv_result put_blobs_of(backing *b, const char *member, const char *folder, uint64_t pack,
                              uint64_t size)
{
    uint64_t first;
    char name[64], path[PATH_MAX], prefix[DV_TAR_NAME_MAX + 64];
    dv_auto(names) names blobs = {.count = 0};
    snprintf(name, sizeof(name), "blob/%" PRIu64, pack);
    snprintf(prefix, sizeof(prefix), "%s%s/", member, name);
    DV_TRY(make_path(path, folder, name, b->error));
    DV_TRY(read_names(path, &blobs, b->error));
    for (size_t i = 0; i < blobs.count; i++) {
        if (dv_decimal_parse(dv_slice_str(blobs.list[i]), &first) == DV_OK && first < size) {
            DV_TRY(put_whole(b, prefix, path, blobs.list[i]));
        }
    }
    return DV_OK;
}

static dv_result put_blobs(backing *b, const char *member, const char *folder,
                           const dv_log_tree *tree)
{
    char path[PATH_MAX];
    DV_TRY(make_path(path, folder, "blob", b->error));
    if (access(path, F_OK) != 0) {
        return DV_OK;
    }
    for (uint64_t at = tree->minimum; at < tree->size; at += DV_PACK_LEAVES) {
        DV_TRY(put_blobs_of(b, member, folder, at / DV_PACK_LEAVES, tree->size));
    }
    return DV_OK;
}

static dv_result put_note(backing *b, const char *member, const char *name, const dv_buf *note)
{
    return note->len == 0 ? DV_OK : put(b, member, name, dv_buf_slice(note));
}

static dv_result put_tree(backing *b, size_t i)
{
    char folder[PATH_MAX], member[DV_TAR_NAME_MAX];
    const dv_log_tree *tree = &b->state.trees[i];
    DV_TRY(place_tree(b, tree, folder, member));
    DV_TRY(put_note(b, member, "checkpoint", &b->notes[i].checkpoint));
    DV_TRY(put_note(b, member, "checkpoint.cosigned", &b->notes[i].cosigned));
    DV_TRY(put_small(b, member, folder, "vkey"));
    for (uint64_t at = tree->minimum; at < tree->packed; at += DV_PACK_LEAVES) {
        DV_TRY(put_pack(b, member, folder, at / DV_PACK_LEAVES, tree->packed / DV_BLOCK_LEAVES));
    }
    for (int level = 1; level < 8; level++) {
        DV_TRY(put_level(b, member, folder, tree, level));
    }
    DV_TRY(put_rest(b, member, folder, tree));
    return put_blobs(b, member, folder, tree);
}

/* -- the log ----------------------------------------------------------------------------------- */

static dv_result read_note(const char *folder, const char *name, dv_buf *out, dv_error *error)
{
    char path[PATH_MAX];
    dv_buf_release(out);
    *out = dv_buf_init(DV_NOTE_MAX);
    DV_TRY(make_path(path, folder, name, error));
    dv_result result = dv_file_read(path, out, error);
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_result read_notes(backing *b)
{
    char folder[PATH_MAX], member[DV_TAR_NAME_MAX];
    for (size_t i = 0; i < b->state.tree_count; i++) {
        DV_TRY(place_tree(b, &b->state.trees[i], folder, member));
        /* Each behind what it must not be ahead of. */
        DV_TRY(read_note(folder, "checkpoint.cosigned", &b->notes[i].cosigned, b->error));
        DV_TRY(read_note(folder, "checkpoint", &b->notes[i].checkpoint, b->error));
    }
    return DV_OK;
}

/* Signed notes first, then the state that they are not ahead of. */
static dv_result read_state(backing *b)
{
    size_t trees;
    DV_TRY(dv_log_state_load(b->log, &b->state, b->error));
    do {
        trees = b->state.tree_count;
        DV_TRY(read_notes(b));
        DV_TRY(dv_log_state_load(b->log, &b->state, b->error));
    } while (b->state.tree_count != trees); /* a log was begun meanwhile */
    return DV_OK;
}

/* About what there is to do, for the progress. */
static void measure(backing *b)
{
    enum { PER_PACK_GUESS = 2 << 20 };
    struct stat about;
    char folder[PATH_MAX], member[DV_TAR_NAME_MAX], name[DV_TILE_PATH_MAX],
        path[PATH_MAX + DV_TILE_PATH_MAX];
    b->total = 1;
    for (size_t i = 0; i < b->state.tree_count; i++) {
        const dv_log_tree *tree = &b->state.trees[i];
        if (place_tree(b, tree, folder, member) != DV_OK) {
            return;
        }
        for (uint64_t at = tree->minimum; at < tree->packed; at += DV_PACK_LEAVES) {
            dv_pack_path(at / DV_PACK_LEAVES, name);
            snprintf(path, sizeof(path), "%s/%s", folder, name);
            b->total += stat(path, &about) == 0 ? (uint64_t)about.st_size : PER_PACK_GUESS;
        }
    }
}

static dv_result put_manifest(backing *b)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_BACKUP_MANIFEST_MAX);
    dv_backup_manifest manifest = {.subject_root = b->create->subject_root,
                                   .node = b->create->file_count > 0};
    snprintf(b->report.made, sizeof(b->report.made), "%s", b->create->now);
    snprintf(manifest.made, sizeof(manifest.made), "%s", b->create->now);
    DV_TRY(dv_backup_manifest_format(&manifest, &text));
    return put(b, "", DV_BACKUP_MANIFEST, dv_buf_slice(&text));
}

static dv_result put_log(backing *b)
{
    char rotated[PATH_MAX];
    dv_auto(names) names proofs = {.count = 0};
    dv_auto(buf) dv_buf text = dv_buf_init(DV_BACKUP_SMALL_MAX);
    DV_TRY(read_state(b));
    measure(b);
    DV_TRY(dv_log_state_format(&b->state, &text));
    DV_TRY(put(b, DV_BACKUP_LOG, "state", dv_buf_slice(&text)));
    DV_TRY(put_small(b, DV_BACKUP_LOG, b->log, "retention"));
    for (size_t i = 0; i < b->state.tree_count; i++) {
        DV_TRY(put_tree(b, i));
    }
    DV_TRY(make_path(rotated, b->log, "rotated", b->error));
    DV_TRY(read_names(rotated, &proofs, b->error));
    for (size_t i = 0; i < proofs.count; i++) {
        DV_TRY(put_small(b, DV_BACKUP_LOG "rotated/", rotated, proofs.list[i]));
    }
    return DV_OK;
}

/* -- keys -------------------------------------------------------------------------------------- */

/* All of a folder's files at one moment: read into memory until nothing changed meanwhile. */
typedef struct folder_copy {
    names names;
    dv_buf *files;
} folder_copy;

static void copy_release(folder_copy *copy)
{
    for (size_t i = 0; copy->files != NULL && i < copy->names.count; i++) {
        dv_buf_wipe(&copy->files[i]);
    }
    free(copy->files);
    names_release(&copy->names);
    *copy = (folder_copy){.files = NULL};
}
DV_DEFINE_AUTO(folder_copy, folder_copy, copy_release)

/* DV_ERR_AGAIN: something went meanwhile. */
static dv_result copy_once(const char *folder, folder_copy *copy, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(names) names after = {.count = 0};
    DV_TRY(read_names(folder, &copy->names, error));
    copy->files = calloc(copy->names.count + 1, sizeof(*copy->files));
    if (copy->files == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < copy->names.count; i++) {
        copy->files[i] = dv_buf_init(DV_BACKUP_SMALL_MAX);
        DV_TRY(make_path(path, folder, copy->names.list[i], error));
        dv_result result = dv_file_read(path, &copy->files[i], error);
        DV_TRY(result == DV_ERR_NOT_FOUND ? DV_ERR_AGAIN : result);
    }
    DV_TRY(read_names(folder, &after, error));
    return same_names(&copy->names, &after) ? DV_OK : DV_ERR_AGAIN;
}

/* A key that is being replaced is renamed from one name to the other. */
static dv_result same_again(const char *folder, const folder_copy *copy, dv_error *error)
{
    dv_auto(folder_copy) folder_copy second = {.files = NULL};
    DV_TRY(copy_once(folder, &second, error));
    bool same = same_names(&copy->names, &second.names);
    for (size_t i = 0; same && i < copy->names.count; i++) {
        same = dv_slice_eq(dv_buf_slice(&copy->files[i]), dv_buf_slice(&second.files[i]));
    }
    return same ? DV_OK : DV_ERR_AGAIN;
}

static dv_result copy_folder(const char *folder, folder_copy *ret_copy, dv_error *error)
{
    dv_result result = DV_ERR_AGAIN;
    for (int i = 0; i < ATTEMPTS && result == DV_ERR_AGAIN; i++) {
        copy_release(ret_copy);
        result = copy_once(folder, ret_copy, error);
        if (result == DV_OK) {
            result = same_again(folder, ret_copy, error);
        }
    }
    return result == DV_ERR_AGAIN
               ? dv_error_set(error, result, "%s changes all the time: try again", folder)
               : result;
}

/* The log's own keys, which are few. */
static dv_result put_keys(backing *b)
{
    dv_auto(folder_copy) folder_copy copy = {.files = NULL};
    DV_TRY(copy_folder(b->keys, &copy, b->error));
    for (size_t i = 0; i < copy.names.count; i++) {
        DV_TRY(put(b, DV_BACKUP_KEYS, copy.names.list[i], dv_buf_slice(&copy.files[i])));
    }
    return DV_OK;
}

typedef bool (*name_test)(const char *name);

static bool is_segment(const char *name)
{
    return !dv_backup_is_root(name) && !dv_backup_is_directory(name);
}

static dv_result put_subjects_that(backing *b, const names *all, name_test test)
{
    for (size_t i = 0; i < all->count; i++) {
        if (test(all->list[i])) {
            DV_TRY(put_small(b, DV_BACKUP_SUBJECTS, b->subjects, all->list[i]));
        }
    }
    return DV_OK;
}

/* What was there is there: no erasure put other files in its place. */
static bool all_stay(const names *before, const names *after)
{
    for (size_t i = 0; i < before->count; i++) {
        if (after->count == 0 || bsearch(before->list[i], after->list, after->count,
                                         sizeof(*after->list), compare_names) == NULL) {
            return false;
        }
    }
    return true;
}

/* The directory first: segments only grow, and what it names of them is there. Rows that are half
 * written at a segment's end are no rows to whoever reads it. */
static dv_result put_subjects(backing *b)
{
    dv_auto(names) names before = {.count = 0}, after = {.count = 0};
    DV_TRY(read_names(b->subjects, &before, b->error));
    if (b->create->subject_root) {
        DV_TRY(put_subjects_that(b, &before, dv_backup_is_root));
    }
    DV_TRY(put_subjects_that(b, &before, dv_backup_is_directory));
    DV_TRY(put_subjects_that(b, &before, is_segment));
    DV_TRY(read_names(b->subjects, &after, b->error));
    return all_stay(&before, &after)
               ? DV_OK
               : dv_error_set(b->error, DV_ERR_AGAIN, "somebody was erased meanwhile: try again");
}

/* -- the node ---------------------------------------------------------------------------------- */

static dv_result put_node_file(backing *b, const dv_backup_file *file)
{
    struct stat about;
    char member[DV_TAR_NAME_MAX + 1];
    int len = snprintf(member, sizeof(member), DV_BACKUP_NODE "%s", file->name);
    if (len < 0 || len > DV_TAR_NAME_MAX || !dv_backup_node_name_is(file->name)) {
        return dv_error_set(b->error, DV_ERR_INVALID, "%.100s can not be in a backup: its name",
                            file->name);
    }
    if (lseek(file->fd, 0, SEEK_SET) != 0 || fstat(file->fd, &about) != 0) {
        return dv_error_set(b->error, DV_ERR_IO, "can not read %s: %s", file->name,
                            strerror(errno));
    }
    DV_TRY(dv_tar_begin(b->tar, member, (uint64_t)about.st_size, b->error));
    b->report.files++;
    return copy_bytes(b, file->fd, file->name, (uint64_t)about.st_size);
}

static dv_result put_node(backing *b)
{
    for (size_t i = 0; i < b->create->file_count; i++) {
        DV_TRY(put_node_file(b, &b->create->files[i]));
    }
    return DV_OK;
}

/* -- the file ---------------------------------------------------------------------------------- */

static dv_result write_error(const backing *b, const char *path)
{
    dv_result result = errno == ENOSPC || errno == EDQUOT ? DV_ERR_UNAVAILABLE : DV_ERR_IO;
    return dv_error_set(b->error, result, "can not write %s: %s", path, strerror(errno));
}

static dv_result to_file(void *data, dv_slice bytes, dv_error *error)
{
    const backing *b = data;
    return dv_fd_write_all(b->fd, bytes) == DV_OK ? DV_OK : write_error(b, b->part);
}

static dv_result to_age(void *data, dv_slice bytes, dv_error *error)
{
    const backing *b = data;
    return dv_age_put(b->age, bytes, error);
}

static dv_result write_all(backing *b)
{
    dv_age_sink file = {.put = to_file, .data = b};
    dv_tar_sink sealed = {.put = to_age, .data = b};
    DV_TRY(dv_age_writer_new(b->create->lock, &file, &b->age, b->error));
    DV_TRY(dv_tar_writer_new(&sealed, LEVEL, &b->tar));
    DV_TRY(put_manifest(b));
    DV_TRY(put_node(b));
    DV_TRY(put_log(b));
    DV_TRY(put_keys(b));
    DV_TRY(put_subjects(b));
    DV_TRY(dv_tar_finish(b->tar, b->error));
    DV_TRY(dv_age_finish(b->age, b->error));
    return fsync(b->fd) == 0 ? DV_OK : write_error(b, b->part);
}

static dv_result sync_folder_of(const backing *b, const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof(folder), "%.*s",
             slash == NULL ? 1 : (int)DV_MAX(slash - path, (ptrdiff_t)1),
             slash == NULL ? "." : path);
    dv_auto(fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) != 0 ? write_error(b, folder) : DV_OK;
}

static dv_result write_file(backing *b, const char *path)
{
    char part[PATH_MAX];
    int len = snprintf(part, sizeof(part), "%s.XXXXXX", path);
    if (len < 0 || len >= PATH_MAX) {
        return dv_error_set(b->error, DV_ERR_TOO_LARGE, "the path %s is too long", path);
    }
    dv_auto(fd) int fd = mkostemp(part, O_CLOEXEC);
    if (fd < 0) {
        return write_error(b, part);
    }
    b->fd = fd;
    b->part = part;
    dv_result result = write_all(b);
    if (result == DV_OK && rename(part, path) != 0) {
        result = write_error(b, path);
    }
    if (result != DV_OK) {
        unlink(part);
        return result;
    }
    return sync_folder_of(b, path);
}

static dv_result find_folders(backing *b)
{
    const char *state = b->create->state_dir;
    DV_TRY(make_path(b->log, state, "log", b->error));
    DV_TRY(make_path(b->keys, state, "keys/log", b->error));
    return make_path(b->subjects, state, "keys/log/subjects", b->error);
}

static void backing_free(backing *b)
{
    dv_tar_writer_free(b->tar);
    dv_age_writer_free(b->age);
    for (size_t i = 0; i < DV_LOG_TREES_MAX; i++) {
        dv_buf_release(&b->notes[i].checkpoint);
        dv_buf_release(&b->notes[i].cosigned);
    }
    free(b);
}
DV_DEFINE_AUTO_PTR(backing, backing, backing_free)

static dv_result write_once(const dv_backup_create *create, const char *path,
                            dv_backup_report *ret_report, dv_error *error)
{
    dv_note_verifier key;
    dv_auto(backing) backing *b = calloc(1, sizeof(*b));
    if (b == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    b->create = create;
    b->error = error;
    DV_TRY(find_folders(b));
    DV_TRY(dv_tiles_vkey(b->log, &key, error));
    DV_TRY(write_file(b, path));
    memcpy(b->report.origin, key.name, sizeof(b->report.origin));
    b->report.logs = b->state.tree_count;
    const dv_log_tree *tree = dv_log_state_tree(&b->state, DV_LOG_MAIN);
    b->report.size = tree == NULL ? 0 : tree->size;
    b->report.subject_root = create->subject_root;
    b->report.node = create->file_count > 0;
    *ret_report = b->report;
    return DV_OK;
}

dv_result dv_backup_write(const dv_backup_create *create, const char *path,
                          dv_backup_report *ret_report, dv_error *error)
{
    dv_error unread = {0};
    dv_result result = DV_ERR_AGAIN;
    for (int i = 0; i < ATTEMPTS && result == DV_ERR_AGAIN; i++) {
        result = write_once(create, path, ret_report, error != NULL ? error : &unread);
    }
    return result;
}
