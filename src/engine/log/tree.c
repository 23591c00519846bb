/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/tree.h"

#include "base/file.h"
#include "engine/log/frontier.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_MODE = 0644,
    FOLDER_MODE = 0755,
    STATE_MAX = 1 << 20,
    SYNC_ONE_BY_ONE = 8, /* files; more are cheaper to sync with their file system */
};

/* A full tile or bundle that the next commit writes. */
typedef struct pending_file {
    struct pending_file *next;
    int level;
    uint64_t index;
    size_t len;
    uint8_t bytes[];
} pending_file;

struct dv_tree {
    char folder[PATH_MAX - DV_TILE_PATH_MAX];
    int folder_fd;
    const dv_tree_signer *signer;
    dv_log_state *state;
    dv_frontier frontier;
    dv_buf bundle; /* of the rightmost entries */
    uint64_t size;
    pending_file *first, **last; /* in the order in which they became full */
    size_t pending_bytes;
    uint64_t published; /* size of the last checkpoint; UINT64_MAX: none */
    uint64_t cleaned;   /* tree size up to which partial tiles were removed */
};

/* -- the tree in memory ------------------------------------------------------------------------ */

static dv_result queue_file(dv_tree *tree, int level, uint64_t index, dv_slice bytes)
{
    pending_file *file = malloc(sizeof(*file) + bytes.len);
    if (file == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *file = (pending_file){NULL, level, index, bytes.len};
    memcpy(file->bytes, bytes.ptr, bytes.len);
    *tree->last = file;
    tree->last = &file->next;
    tree->pending_bytes += bytes.len;
    return DV_OK;
}

static dv_result queue_full_tile(void *data, int level, uint64_t index, const dv_hash *hashes)
{
    return queue_file(data, level, index, dv_slice_of(hashes, DV_TILE_WIDTH * sizeof(*hashes)));
}

static dv_result add_to_bundle(dv_tree *tree, dv_slice entry)
{
    uint8_t length[2] = {(uint8_t)(entry.len >> 8), (uint8_t)entry.len};
    DV_TRY(dv_buf_reserve(&tree->bundle, sizeof(length) + entry.len));
    DV_TRY(dv_buf_append(&tree->bundle, dv_slice_of(length, sizeof(length))));
    DV_TRY(dv_buf_append(&tree->bundle, entry));
    tree->pending_bytes += sizeof(length) + entry.len;
    if ((tree->size + 1) % DV_TILE_WIDTH != 0) {
        return DV_OK;
    }
    DV_TRY(
        queue_file(tree, DV_TILE_ENTRIES, tree->size / DV_TILE_WIDTH, dv_buf_slice(&tree->bundle)));
    dv_buf_clear(&tree->bundle);
    return DV_OK;
}

dv_result dv_tree_append(dv_tree *tree, dv_slice entry, uint64_t *ret_index)
{
    if (entry.len == 0) {
        return DV_ERR_INVALID;
    }
    if (entry.len > UINT16_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    dv_hash leaf = dv_merkle_leaf(entry);
    DV_TRY(add_to_bundle(tree, entry));
    DV_TRY(dv_frontier_add(&tree->frontier, &leaf, queue_full_tile, tree));
    *ret_index = tree->size++;
    return DV_OK;
}

uint64_t dv_tree_size(const dv_tree *tree)
{
    return tree->size;
}

size_t dv_tree_pending_bytes(const dv_tree *tree)
{
    return tree->pending_bytes;
}

/* -- files ------------------------------------------------------------------------------------- */

static dv_result io_error(dv_error *error, const char *what, const char *name)
{
    dv_result result = errno == ENOSPC || errno == EDQUOT ? DV_ERR_UNAVAILABLE : DV_ERR_IO;
    return dv_error_set(error, result, "log: can not %s %s: %s", what, name, strerror(errno));
}

/* Makes the folders above a file of the log; *made when one was missing. */
static dv_result make_parents(const dv_tree *tree, const char *name, bool *made, dv_error *error)
{
    char path[DV_TILE_PATH_MAX];
    snprintf(path, sizeof(path), "%s", name);
    for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdirat(tree->folder_fd, path, FOLDER_MODE) == 0) {
            *made = true;
        } else if (errno != EEXIST) {
            return io_error(error, "make", path);
        }
        *slash = '/';
    }
    return DV_OK;
}

/* How the files of one commit become durable. */
typedef struct sync_plan {
    size_t files;
    bool folders_made;
    bool whole; /* by one syncfs at the end */
} sync_plan;

static dv_result sync_parent(const dv_tree *tree, const char *name, dv_error *error)
{
    char path[DV_TILE_PATH_MAX];
    snprintf(path, sizeof(path), "%.*s", (int)(strrchr(name, '/') - name), name);
    dv_auto(fd) int fd = openat(tree->folder_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) != 0 ? io_error(error, "sync", path) : DV_OK;
}

static dv_result write_file(const dv_tree *tree, int level, uint64_t index, uint32_t width,
                            dv_slice bytes, const sync_plan *plan, dv_error *error)
{
    char name[DV_TILE_PATH_MAX];
    dv_tile_path(level, index, width, name);
    dv_auto(fd) int fd =
        openat(tree->folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    if (fd < 0 || dv_fd_write_all(fd, bytes) != DV_OK) {
        return io_error(error, "write", name);
    }
    if (plan->whole) {
        return DV_OK;
    }
    return fsync(fd) != 0 ? io_error(error, "sync", name) : sync_parent(tree, name, error);
}

typedef dv_result (*file_step)(const dv_tree *tree, int level, uint64_t index, uint32_t width,
                               dv_slice bytes, sync_plan *plan, dv_error *error);

static dv_result step_prepare(const dv_tree *tree, int level, uint64_t index, uint32_t width,
                              dv_slice bytes, sync_plan *plan, dv_error *error)
{
    char name[DV_TILE_PATH_MAX];
    dv_tile_path(level, index, width, name);
    plan->files++;
    return make_parents(tree, name, &plan->folders_made, error);
}

static dv_result step_write(const dv_tree *tree, int level, uint64_t index, uint32_t width,
                            dv_slice bytes, sync_plan *plan, dv_error *error)
{
    return write_file(tree, level, index, width, bytes, plan, error);
}

/* Whether the level has hashes that the last commit did not write. */
static bool has_grown(const dv_tree *tree, int level)
{
    int shift = DV_TILE_HEIGHT * level;
    return tree->size >> shift != tree->state->size >> shift;
}

/* Every file of this commit: what became full, and the rightmost partial ones. */
static dv_result each_file(const dv_tree *tree, file_step step, sync_plan *plan, dv_error *error)
{
    for (const pending_file *file = tree->first; file != NULL; file = file->next) {
        DV_TRY(step(tree, file->level, file->index, DV_TILE_WIDTH,
                    dv_slice_of(file->bytes, file->len), plan, error));
    }
    for (int level = 0; level < DV_TILE_LEVELS; level++) {
        const dv_frontier_tile *right = &tree->frontier.levels[level];
        if (has_grown(tree, level) && right->width > 0) {
            DV_TRY(step(tree, level, right->index, right->width,
                        dv_slice_of(right->hashes, right->width * sizeof(dv_hash)), plan, error));
        }
    }
    uint32_t entries = tree->frontier.levels[0].width;
    if (has_grown(tree, 0) && entries > 0) {
        return step(tree, DV_TILE_ENTRIES, tree->size / DV_TILE_WIDTH, entries,
                    dv_buf_slice(&tree->bundle), plan, error);
    }
    return DV_OK;
}

static dv_result write_files(const dv_tree *tree, dv_error *error)
{
    sync_plan plan = {.files = 0};
    DV_TRY(each_file(tree, step_prepare, &plan, error));
    plan.whole = plan.folders_made || plan.files > SYNC_ONE_BY_ONE;
    DV_TRY(each_file(tree, step_write, &plan, error));
    if (plan.whole && syncfs(tree->folder_fd) != 0) {
        return io_error(error, "sync", tree->folder);
    }
    return DV_OK;
}

static void drop_pending(dv_tree *tree)
{
    while (tree->first != NULL) {
        pending_file *file = tree->first;
        tree->first = file->next;
        free(file);
    }
    tree->last = &tree->first;
    tree->pending_bytes = 0;
}

static dv_result write_state(const dv_tree *tree, const dv_log_state *state, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(STATE_MAX);
    snprintf(path, sizeof(path), "%s/state", tree->folder);
    DV_TRY(dv_log_state_format(state, &text));
    return dv_file_write_atomic(path, dv_buf_slice(&text), FILE_MODE, error);
}

dv_result dv_tree_commit(dv_tree *tree, dv_error *error)
{
    DV_TRY(write_files(tree, error));
    uint64_t old_size = tree->state->size;
    dv_hash old_root = tree->state->root;
    tree->state->size = tree->size;
    tree->state->root = dv_frontier_root(&tree->frontier);
    dv_result result = write_state(tree, tree->state, error);
    if (result != DV_OK) {
        tree->state->size = old_size;
        tree->state->root = old_root;
        return result;
    }
    drop_pending(tree);
    return DV_OK;
}

/* -- publishing -------------------------------------------------------------------------------- */

/* Removes "NNN.p" and what is in it. What can't be removed now only takes space. */
static void remove_partial(const dv_tree *tree, int level, uint64_t index)
{
    char name[DV_TILE_PATH_MAX];
    size_t len = dv_tile_path(level, index, DV_TILE_WIDTH, name);
    snprintf(name + len, sizeof(name) - len, ".p");
    int fd = openat(tree->folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        dv_fd_close(&fd);
        return;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            unlinkat(fd, entry->d_name, 0);
        }
    }
    closedir(dir);
    unlinkat(tree->folder_fd, name, AT_REMOVEDIR);
}

/* The partial forms of all tiles that became full between the two sizes. */
static void remove_partials(const dv_tree *tree, uint64_t from, uint64_t to)
{
    /* A tile of the topmost level never becomes full: that would take 2^64 leaves. */
    for (int level = 0; level < DV_TILE_LEVELS - 1; level++) {
        int shift = DV_TILE_HEIGHT * (level + 1);
        for (uint64_t i = from >> shift; i < to >> shift; i++) {
            remove_partial(tree, level, i);
            if (level == 0) {
                remove_partial(tree, DV_TILE_ENTRIES, i);
            }
        }
    }
}

dv_result dv_tree_publish(dv_tree *tree, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    dv_checkpoint checkpoint = {.size = tree->state->size, .root = tree->state->root};
    if (tree->published == checkpoint.size) {
        return DV_OK;
    }
    memcpy(checkpoint.origin, tree->signer->verifier.name, sizeof(checkpoint.origin));
    DV_TRY(dv_checkpoint_sign(&checkpoint, &tree->signer->verifier, tree->signer->seed, &note));
    snprintf(path, sizeof(path), "%s/checkpoint", tree->folder);
    DV_TRY(dv_file_write_atomic(path, dv_buf_slice(&note), FILE_MODE, error));
    tree->published = checkpoint.size;
    remove_partials(tree, tree->cleaned, checkpoint.size);
    tree->cleaned = checkpoint.size;
    return DV_OK;
}

/* -- opening ----------------------------------------------------------------------------------- */

static dv_result load_levels(dv_tree *tree, dv_error *error)
{
    for (int level = 0; level < DV_TILE_LEVELS; level++) {
        dv_frontier_tile *right = &tree->frontier.levels[level];
        uint64_t nodes = tree->size >> (DV_TILE_HEIGHT * level);
        right->index = nodes / DV_TILE_WIDTH;
        right->width = (uint32_t)(nodes % DV_TILE_WIDTH);
        if (right->width > 0) {
            DV_TRY(dv_tile_read(tree->folder, level, right->index, right->width, right->hashes,
                                error));
        }
    }
    return DV_OK;
}

/* The rightmost entries, each of which must be the leaf that the tree says. */
static dv_result load_bundle(dv_tree *tree, dv_error *error)
{
    uint32_t width = (uint32_t)(tree->size % DV_TILE_WIDTH);
    dv_slice entry;
    if (width == 0) {
        return DV_OK;
    }
    DV_TRY(dv_bundle_read(tree->folder, tree->size / DV_TILE_WIDTH, width, &tree->bundle, error));
    dv_slice rest = dv_buf_slice(&tree->bundle);
    for (uint32_t i = 0; i < width; i++) {
        DV_TRY(dv_bundle_next(&rest, &entry));
        dv_hash leaf = dv_merkle_leaf(entry);
        if (!dv_hash_eq(&leaf, &tree->frontier.levels[0].hashes[i])) {
            return dv_error_set(error, DV_ERR_CORRUPT, "log: entry %llu is not the tree's leaf",
                                (unsigned long long)(tree->size - width + i));
        }
    }
    return DV_OK;
}

static dv_result load_tree(dv_tree *tree, dv_error *error)
{
    tree->size = tree->state->size;
    DV_TRY(load_levels(tree, error));
    DV_TRY(load_bundle(tree, error));
    dv_hash root = dv_frontier_root(&tree->frontier);
    if (!dv_hash_eq(&root, &tree->state->root)) {
        return dv_error_set(error, DV_ERR_CORRUPT, "log: the tiles do not give the state's root");
    }
    return DV_OK;
}

/* What was signed before must be a prefix of this tree. */
static dv_result check_checkpoint(dv_tree *tree, dv_error *error)
{
    dv_checkpoint checkpoint;
    dv_hash root;
    dv_result result =
        dv_tiles_checkpoint(tree->folder, &tree->signer->verifier, &checkpoint, error);
    if (result == DV_ERR_NOT_FOUND && tree->size == 0) {
        return DV_OK; /* the first start ended before its first checkpoint */
    }
    DV_TRY(result);
    if (checkpoint.size > tree->size) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "log: the checkpoint is over %llu entries, but only %llu are there",
                            (unsigned long long)checkpoint.size, (unsigned long long)tree->size);
    }
    DV_TRY(dv_tiles_root(tree->folder, checkpoint.size, &root, error));
    if (!dv_hash_eq(&root, &checkpoint.root)) {
        return dv_error_set(error, DV_ERR_CORRUPT, "log: the tiles do not give the signed root");
    }
    tree->published = checkpoint.size;
    /* The last clean-up may not have been finished. */
    tree->cleaned = checkpoint.size - checkpoint.size % DV_TILE_WIDTH;
    tree->cleaned -= DV_MIN(tree->cleaned, (uint64_t)DV_TILE_WIDTH);
    return DV_OK;
}

/* A folder without a state is a new log, unless something was signed there. */
static dv_result begin_log(dv_tree *tree, dv_error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/checkpoint", tree->folder);
    if (access(path, F_OK) == 0) {
        return dv_error_set(error, DV_ERR_CORRUPT, "log: there is a checkpoint, but no state");
    }
    *tree->state = (dv_log_state){.root = dv_merkle_empty()};
    return dv_tree_commit(tree, error);
}

static dv_result load(dv_tree *tree, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(STATE_MAX);
    snprintf(path, sizeof(path), "%s/state", tree->folder);
    dv_result result = dv_file_read(path, &text, error);
    if (result == DV_ERR_NOT_FOUND) {
        DV_TRY(begin_log(tree, error));
    } else {
        DV_TRY(result);
        DV_TRY(dv_log_state_parse(dv_buf_slice(&text), tree->state, error));
    }
    DV_TRY(load_tree(tree, error));
    DV_TRY(check_checkpoint(tree, error));
    return dv_tree_publish(tree, error);
}

static dv_result open_folder(dv_tree *tree, const char *folder, dv_error *error)
{
    int len = snprintf(tree->folder, sizeof(tree->folder), "%s", folder);
    if (len < 0 || (size_t)len >= sizeof(tree->folder)) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
    }
    DV_TRY(dv_dir_make(folder, FOLDER_MODE, error));
    tree->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return tree->folder_fd < 0 ? io_error(error, "open", folder) : DV_OK;
}

dv_result dv_tree_open(const char *folder, const dv_tree_signer *signer, dv_log_state *state,
                       dv_tree **ret_tree, dv_error *error)
{
    dv_tree *tree = calloc(1, sizeof(*tree));
    if (tree == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    tree->folder_fd = -1;
    tree->signer = signer;
    tree->state = state;
    tree->last = &tree->first;
    tree->published = UINT64_MAX;
    tree->bundle = dv_buf_init(DV_BUNDLE_MAX);
    dv_result result = open_folder(tree, folder, error);
    if (result == DV_OK) {
        result = load(tree, error);
    }
    if (result != DV_OK) {
        dv_tree_close(tree);
        return result;
    }
    *ret_tree = tree;
    return DV_OK;
}

void dv_tree_close(dv_tree *tree)
{
    if (tree != NULL) {
        drop_pending(tree);
        dv_buf_release(&tree->bundle);
        dv_fd_close(&tree->folder_fd);
        free(tree);
    }
}
