/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/tree.h"

#include "base/file.h"
#include "engine/log/frontier.h"
#include "engine/log/pack.h"
#include "engine/log/tile_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_MODE = 0644,
    FOLDER_MODE = 0755,
    PACK_LEVEL = 3,      /* of zstd: higher ones take four times as long for 3 % less */
    SYNC_ONE_BY_ONE = 8, /* files; more are cheaper to sync with their file system */
    KEPT_MAX = 8 << 20,  /* bytes of leaves that are kept to be compared with their block */
};

/* A full tile or bundle that the next commit writes. */
typedef struct pending_file {
    struct pending_file *next;
    int level;
    uint64_t index;
    size_t len;
    uint8_t bytes[];
} pending_file;

/* A block that the next commit appends to its pack. */
typedef struct pending_block {
    struct pending_block *next;
    uint64_t number;
    dv_buf bytes;
} pending_block;

struct dv_tree {
    char folder[PATH_MAX - DV_TILE_PATH_MAX];
    int folder_fd;
    const dv_tree_signer *signer;
    dv_log_tree *state; /* what is durable */
    dv_frontier frontier;
    dv_buf bundle; /* of the rightmost entries */
    uint64_t size;
    pending_file *first, **last; /* in the order in which they became full */
    size_t pending_bytes;
    dv_block_builder *builder; /* the leaves behind the last block */
    dv_hash leaves[DV_BLOCK_LEAVES];
    dv_buf kept; /* the first of these leaves, as in a bundle: as many as there is room for */
    bool kept_all;
    pending_block *first_block, **last_block;
    uint64_t packed;     /* leaves in blocks, the pending ones included */
    uint64_t published;  /* size of the last checkpoint; UINT64_MAX: none */
    uint64_t cleaned;    /* tree size up to which partial tiles were removed */
    bool folders_synced; /* every folder of the log is durable */
    uint64_t unpacked;   /* leaves from here on may be in files of their own */
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

static dv_result put_entry(dv_buf *bundle, dv_slice entry)
{
    uint8_t length[2] = {(uint8_t)(entry.len >> 8), (uint8_t)entry.len};
    DV_TRY(dv_buf_reserve(bundle, sizeof(length) + entry.len));
    DV_TRY(dv_buf_append(bundle, dv_slice_of(length, sizeof(length))));
    return dv_buf_append(bundle, entry);
}

static dv_result add_to_bundle(dv_tree *tree, dv_slice entry)
{
    DV_TRY(put_entry(&tree->bundle, entry));
    if ((tree->size + 1) % DV_TILE_WIDTH != 0) {
        return DV_OK;
    }
    DV_TRY(
        queue_file(tree, DV_TILE_ENTRIES, tree->size / DV_TILE_WIDTH, dv_buf_slice(&tree->bundle)));
    dv_buf_clear(&tree->bundle);
    return DV_OK;
}

/* Bundles and tiles of level 0 whose entries are in a block now. */
static void drop_packed_files(dv_tree *tree)
{
    pending_file **link = &tree->first;
    while (*link != NULL) {
        pending_file *file = *link;
        if (file->level <= 0 && (file->index + 1) * DV_TILE_WIDTH <= tree->packed) {
            *link = file->next;
            tree->pending_bytes -= file->len;
            free(file);
        } else {
            link = &file->next;
        }
    }
    tree->last = link;
}

/* By its bytes where they were kept, which takes a fifth of the time that its hash takes. */
static bool is_leaf(const dv_tree *tree, uint32_t place, dv_slice leaf, dv_slice *kept)
{
    dv_slice was;
    if (kept->len > 0) {
        return dv_bundle_next(kept, &was) == DV_OK && dv_slice_eq(was, leaf);
    }
    dv_hash hash = dv_merkle_leaf(leaf);
    return dv_hash_eq(&hash, &tree->leaves[place]);
}

/* What will be read out of the block must be the tree's leaves, or nothing takes its place. */
static dv_result check_block(const dv_tree *tree, dv_slice bytes)
{
    dv_auto(block) dv_block *block = NULL;
    dv_auto(buf) dv_buf leaf = dv_buf_init(UINT16_MAX);
    dv_slice kept = dv_buf_slice(&tree->kept);
    DV_TRY(dv_block_open(bytes, &block, NULL));
    for (uint32_t i = 0; i < DV_BLOCK_LEAVES; i++) {
        dv_buf_clear(&leaf);
        DV_TRY(dv_block_leaf(block, i, &leaf, NULL));
        if (!is_leaf(tree, i, dv_buf_slice(&leaf), &kept)) {
            return DV_ERR_INTERNAL;
        }
    }
    return DV_OK;
}

static void pending_block_free(pending_block *block)
{
    dv_buf_release(&block->bytes);
    free(block);
}
DV_DEFINE_AUTO_PTR(pending_block, pending_block, pending_block_free)

static dv_result finish_block(dv_tree *tree)
{
    dv_auto(pending_block) pending_block *block = calloc(1, sizeof(*block));
    if (block == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    block->number = tree->packed / DV_BLOCK_LEAVES;
    block->bytes = dv_buf_init(DV_BLOCK_LEN_MAX);
    DV_TRY(dv_block_builder_finish(tree->builder, tree->packed, PACK_LEVEL, &block->bytes));
    DV_TRY(check_block(tree, dv_buf_slice(&block->bytes)));
    dv_block_builder_clear(tree->builder);
    *tree->last_block = block;
    tree->last_block = &block->next;
    block = NULL;
    tree->packed += DV_BLOCK_LEAVES;
    drop_packed_files(tree);
    return DV_OK;
}

/* Where one leaf finds no room, none behind it is kept. */
static dv_result keep_leaf(dv_tree *tree, uint32_t place, dv_slice entry, const dv_hash *leaf)
{
    tree->leaves[place] = *leaf;
    if (place == 0) {
        dv_buf_clear(&tree->kept);
        tree->kept_all = true;
    }
    tree->kept_all = tree->kept_all && tree->kept.len + sizeof(uint16_t) + entry.len <= KEPT_MAX;
    return tree->kept_all ? put_entry(&tree->kept, entry) : DV_OK;
}

static dv_result add_to_block(dv_tree *tree, dv_slice entry, const dv_hash *leaf)
{
    DV_TRY(keep_leaf(tree, dv_block_builder_count(tree->builder), entry, leaf));
    DV_TRY(dv_block_builder_add(tree->builder, entry));
    return dv_block_builder_count(tree->builder) == DV_BLOCK_LEAVES ? finish_block(tree) : DV_OK;
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
    DV_TRY(add_to_block(tree, entry, &leaf));
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

/* Makes the folders above a file of the log. */
static dv_result make_parents(dv_tree *tree, const char *name, dv_error *error)
{
    char path[DV_TILE_PATH_MAX];
    snprintf(path, sizeof(path), "%s", name);
    for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdirat(tree->folder_fd, path, FOLDER_MODE) == 0) {
            tree->folders_synced = false;
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
    bool whole; /* by one syncfs at the end */
} sync_plan;

static dv_result sync_parent(const dv_tree *tree, const char *name, dv_error *error)
{
    char path[DV_TILE_PATH_MAX];
    snprintf(path, sizeof(path), "%.*s", (int)(strrchr(name, '/') - name), name);
    dv_auto(fd) int fd = openat(tree->folder_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) != 0 ? io_error(error, "sync", path) : DV_OK;
}

/* Without truncating it first: after a sync of the state file that failed, the file on disk may be
 * needed already, and what is written again is the same. */
static dv_result write_file(const dv_tree *tree, int level, uint64_t index, uint32_t width,
                            dv_slice bytes, const sync_plan *plan, dv_error *error)
{
    char name[DV_TILE_PATH_MAX];
    dv_tile_path(level, index, width, name);
    dv_auto(fd) int fd = openat(tree->folder_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (fd < 0 || dv_fd_write_all(fd, bytes) != DV_OK || ftruncate(fd, (off_t)bytes.len) != 0) {
        return io_error(error, "write", name);
    }
    if (plan->whole) {
        return DV_OK;
    }
    return fsync(fd) != 0 ? io_error(error, "sync", name) : sync_parent(tree, name, error);
}

static dv_result sync_all(dv_tree *tree, dv_error *error)
{
    if (syncfs(tree->folder_fd) != 0) {
        return io_error(error, "sync", tree->folder);
    }
    tree->folders_synced = true;
    return DV_OK;
}

typedef dv_result (*file_step)(dv_tree *tree, int level, uint64_t index, uint32_t width,
                               dv_slice bytes, sync_plan *plan, dv_error *error);

static dv_result step_prepare(dv_tree *tree, int level, uint64_t index, uint32_t width,
                              dv_slice bytes, sync_plan *plan, dv_error *error)
{
    char name[DV_TILE_PATH_MAX];
    dv_tile_path(level, index, width, name);
    plan->files++;
    return make_parents(tree, name, error);
}

static dv_result step_write(dv_tree *tree, int level, uint64_t index, uint32_t width,
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
static dv_result each_file(dv_tree *tree, file_step step, sync_plan *plan, dv_error *error)
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

/* A try before this one may have made folders and failed, so they are remembered in the tree. */
static dv_result write_files(dv_tree *tree, dv_error *error)
{
    sync_plan plan = {.files = 0};
    DV_TRY(each_file(tree, step_prepare, &plan, error));
    plan.whole = !tree->folders_synced || plan.files > SYNC_ONE_BY_ONE;
    DV_TRY(each_file(tree, step_write, &plan, error));
    return plan.whole ? sync_all(tree, error) : DV_OK;
}

static void drop_pending(dv_tree *tree)
{
    while (tree->first != NULL) {
        pending_file *file = tree->first;
        tree->first = file->next;
        free(file);
    }
    while (tree->first_block != NULL) {
        pending_block *block = tree->first_block;
        tree->first_block = block->next;
        pending_block_free(block);
    }
    tree->last = &tree->first;
    tree->last_block = &tree->first_block;
    tree->pending_bytes = 0;
}

dv_result dv_tree_write(dv_tree *tree, dv_log_tree *ret_next, dv_error *error)
{
    for (const pending_block *block = tree->first_block; block != NULL; block = block->next) {
        DV_TRY(dv_pack_append(tree->folder, block->number, dv_buf_slice(&block->bytes), error));
    }
    DV_TRY(write_files(tree, error));
    *ret_next = *tree->state;
    ret_next->size = tree->size;
    ret_next->root = dv_frontier_root(&tree->frontier);
    ret_next->packed = tree->packed;
    return DV_OK;
}

void dv_tree_written(dv_tree *tree)
{
    drop_pending(tree);
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

/* Removes a file of the log. */
static void remove_tile(const dv_tree *tree, int level, uint64_t index)
{
    char name[DV_TILE_PATH_MAX];
    dv_tile_path(level, index, DV_TILE_WIDTH, name);
    unlinkat(tree->folder_fd, name, 0);
    if (index % 1000 == 999) { /* the folder's last one */
        *strrchr(name, '/') = '\0';
        unlinkat(tree->folder_fd, name, AT_REMOVEDIR);
    }
}

/* The files whose entries a pack holds by now. What can't be removed is read in its place. */
static void remove_unpacked(dv_tree *tree)
{
    for (uint64_t i = tree->unpacked / DV_TILE_WIDTH; i < tree->state->packed / DV_TILE_WIDTH;
         i++) {
        remove_tile(tree, 0, i);
        remove_tile(tree, DV_TILE_ENTRIES, i);
    }
    tree->unpacked = tree->state->packed;
}

static dv_result sign(const dv_tree *tree, const dv_checkpoint *checkpoint, dv_buf *out)
{
    const dv_tree_signer *signer = tree->signer;
    dv_auto(buf) dv_buf text = dv_buf_init(DV_NOTE_MAX);
    DV_TRY(dv_checkpoint_sign(checkpoint, &signer->verifier, signer->seed, out));
    if (!signer->overlaps) {
        return DV_OK;
    }
    DV_TRY(dv_checkpoint_format(checkpoint, &text));
    return dv_note_add_signature(dv_buf_slice(&text), &signer->old_verifier, signer->old_seed, out);
}

static dv_result publish_note(dv_tree *tree, uint64_t size, dv_slice note, dv_error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/checkpoint", tree->folder);
    DV_TRY(dv_file_write_atomic(path, note, FILE_MODE, error));
    tree->published = size;
    remove_partials(tree, tree->cleaned, size);
    tree->cleaned = size;
    remove_unpacked(tree);
    return DV_OK;
}

dv_result dv_tree_publish(dv_tree *tree, dv_error *error)
{
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    dv_checkpoint checkpoint = {.size = tree->state->size, .root = tree->state->root};
    if (tree->published == checkpoint.size || tree->signer->copies) {
        return DV_OK;
    }
    memcpy(checkpoint.origin, tree->signer->verifier.name, sizeof(checkpoint.origin));
    DV_TRY(sign(tree, &checkpoint, &note));
    return publish_note(tree, checkpoint.size, dv_buf_slice(&note), error);
}

dv_result dv_tree_publish_copied(dv_tree *tree, dv_slice note, dv_error *error)
{
    return publish_note(tree, tree->state->size, note, error);
}

dv_result dv_tree_republish(dv_tree *tree, dv_error *error)
{
    tree->published = UINT64_MAX;
    return dv_tree_publish(tree, error);
}

/* -- opening ----------------------------------------------------------------------------------- */

/* The rightmost entries, each of which must be the leaf that the tree says. */
static dv_result load_bundle(dv_tree *tree, dv_error *error)
{
    uint32_t width = (uint32_t)(tree->size % DV_TILE_WIDTH);
    dv_slice entry;
    if (width == 0) {
        return DV_OK;
    }
    DV_TRY(dv_bundle_read(tree->folder, NULL, tree->size / DV_TILE_WIDTH, width, &tree->bundle,
                          error));
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

/* The entries behind the last block, into the next one. */
static dv_result load_unpacked_bundle(dv_tree *tree, uint64_t bundle, uint32_t width,
                                      dv_error *error)
{
    dv_slice entry;
    dv_hash hashes[DV_TILE_WIDTH];
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_BUNDLE_MAX);
    DV_TRY(dv_bundle_read(tree->folder, NULL, bundle, width, &bytes, error));
    DV_TRY(dv_tile_read(tree->folder, 0, bundle, width, hashes, error));
    dv_slice rest = dv_buf_slice(&bytes);
    for (uint32_t i = 0; i < width; i++) {
        DV_TRY(dv_bundle_next(&rest, &entry));
        dv_hash leaf = dv_merkle_leaf(entry);
        if (!dv_hash_eq(&leaf, &hashes[i])) {
            return dv_error_set(error, DV_ERR_CORRUPT, "log: entry %llu is not the tree's leaf",
                                (unsigned long long)(bundle * DV_TILE_WIDTH + i));
        }
        DV_TRY(add_to_block(tree, entry, &leaf));
    }
    return DV_OK;
}

static dv_result load_unpacked(dv_tree *tree, dv_error *error)
{
    for (uint64_t at = tree->state->packed; at < tree->size; at += DV_TILE_WIDTH) {
        uint32_t width = (uint32_t)DV_MIN(tree->size - at, (uint64_t)DV_TILE_WIDTH);
        DV_TRY(load_unpacked_bundle(tree, at / DV_TILE_WIDTH, width, error));
    }
    return DV_OK;
}

static dv_result load_tree(dv_tree *tree, dv_error *error)
{
    enum { NOT_FINISHED = 2 * DV_BLOCK_LEAVES }; /* that the last clean-up may have left */
    tree->size = tree->state->size;
    tree->packed = tree->state->packed;
    tree->unpacked = tree->packed - DV_MIN(tree->packed, (uint64_t)NOT_FINISHED);
    if (tree->packed % DV_BLOCK_LEAVES != 0) {
        return dv_error_set(error, DV_ERR_CORRUPT, "log: the state's packs end within a block");
    }
    DV_TRY(dv_frontier_load(&tree->frontier, tree->folder, tree->size, error));
    DV_TRY(load_bundle(tree, error));
    dv_hash root = dv_frontier_root(&tree->frontier);
    if (!dv_hash_eq(&root, &tree->state->root)) {
        return dv_error_set(error, DV_ERR_CORRUPT, "log: the tiles do not give the state's root");
    }
    return load_unpacked(tree, error);
}

/* Of a copy the signature was checked before it was published, maybe with a key that is gone. */
static dv_result read_copied(const dv_tree *tree, dv_checkpoint *ret_checkpoint, dv_error *error)
{
    char path[PATH_MAX];
    dv_note parts;
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    snprintf(path, sizeof(path), "%s/checkpoint", tree->folder);
    DV_TRY(dv_file_read(path, &note, error));
    return dv_note_split(dv_buf_slice(&note), &parts) == DV_OK &&
                   dv_checkpoint_parse(parts.text, ret_checkpoint) == DV_OK
               ? DV_OK
               : dv_error_set(error, DV_ERR_CORRUPT, "log: the checkpoint is malformed");
}

/* The last life may have ended between a change of the keys and its first checkpoint. */
static dv_result open_checkpoint(dv_tree *tree, dv_checkpoint *ret_checkpoint, dv_error *error)
{
    const dv_tree_signer *signer = tree->signer;
    if (signer->copies) {
        return read_copied(tree, ret_checkpoint, error);
    }
    dv_result result = dv_tiles_checkpoint(tree->folder, &signer->verifier, ret_checkpoint, error);
    return signer->overlaps && result == DV_ERR_CORRUPT
               ? dv_tiles_checkpoint(tree->folder, &signer->old_verifier, ret_checkpoint, error)
               : result;
}

/* Whether the published note bears the signatures of today's keys, and no others: one of a key that
 * is retired since must not stay. (An Ed25519 signature is always the same.) */
static dv_result is_signed_as_now(const dv_tree *tree, const dv_checkpoint *checkpoint,
                                  bool *ret_same, dv_error *error)
{
    char path[PATH_MAX];
    if (tree->signer->copies) { /* another node's, as it came */
        *ret_same = true;
        return DV_OK;
    }
    dv_auto(buf) dv_buf there = dv_buf_init(DV_NOTE_MAX);
    dv_auto(buf) dv_buf wanted = dv_buf_init(DV_NOTE_MAX);
    snprintf(path, sizeof(path), "%s/checkpoint", tree->folder);
    DV_TRY(dv_file_read(path, &there, error));
    DV_TRY(sign(tree, checkpoint, &wanted));
    *ret_same = dv_slice_eq(dv_buf_slice(&there), dv_buf_slice(&wanted));
    return DV_OK;
}

/* What was signed before must be a prefix of this tree. */
static dv_result check_checkpoint(dv_tree *tree, dv_error *error)
{
    dv_checkpoint checkpoint;
    dv_hash root;
    bool as_now = false;
    dv_result result = open_checkpoint(tree, &checkpoint, error);
    if (result == DV_ERR_NOT_FOUND && (tree->size == 0 || tree->signer->copies)) {
        return DV_OK; /* the first start, or copy, ended before its first checkpoint */
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
    DV_TRY(is_signed_as_now(tree, &checkpoint, &as_now, error));
    tree->published = as_now ? checkpoint.size : UINT64_MAX;
    /* The last clean-up may not have been finished. */
    tree->cleaned = checkpoint.size - checkpoint.size % DV_TILE_WIDTH;
    tree->cleaned -= DV_MIN(tree->cleaned, (uint64_t)DV_TILE_WIDTH);
    return DV_OK;
}

/* What a life that died wrote for a commit that never was: its entries may come again otherwise. */
static dv_result remove_leftover(void *data, const dv_tile_file *file)
{
    const dv_tree *tree = data;
    if (file->width > dv_tile_width_at(tree->size, file->level, file->index)) {
        unlinkat(tree->folder_fd, file->name, 0); /* else it is written over, or not read */
    }
    return DV_OK;
}

static dv_result load(dv_tree *tree, dv_error *error)
{
    DV_TRY(load_tree(tree, error));
    DV_TRY(check_checkpoint(tree, error));
    /* Only now: of a state file that somebody put back, the rest is no leftover but evidence. */
    DV_TRY(dv_pack_trim(tree->folder, tree->packed / DV_BLOCK_LEAVES, error));
    DV_TRY(dv_tile_files(tree->folder, remove_leftover, tree, error));
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
    if (tree->folder_fd < 0) {
        return io_error(error, "open", folder);
    }
    /* A life that was killed may have left what is only in memory: the state file above all. No
     * checkpoint may be signed over that. */
    return sync_all(tree, error);
}

dv_result dv_tree_open(const char *folder, const dv_tree_signer *signer, dv_log_tree *state,
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
    tree->last_block = &tree->first_block;
    tree->published = UINT64_MAX;
    tree->bundle = dv_buf_init(DV_BUNDLE_MAX);
    tree->kept = dv_buf_init(KEPT_MAX);
    dv_result result = dv_block_builder_new(&tree->builder);
    if (result == DV_OK) {
        result = open_folder(tree, folder, error);
    }
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
        dv_block_builder_free(tree->builder);
        dv_buf_release(&tree->kept);
        dv_buf_release(&tree->bundle);
        dv_fd_close(&tree->folder_fd);
        free(tree);
    }
}
