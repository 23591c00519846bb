/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/replica.h"

#include "base/file.h"
#include "engine/log/entry.h"
#include "engine/log/frontier.h"
#include "engine/log/pack.h"
#include "engine/log/prune.h"
#include "engine/log/rotation.h"
#include "engine/log/sequencer.h"
#include "engine/log/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <unistd.h>

#define PRUNED "pruned"

enum {
    FILE_MODE = 0644,
    FOLDER_MODE = 0755,
    CONFLICTS_MAX = 64,
    NO_INDEX = -1,
    PRUNED_MAX = 64 << 10,
};

struct dv_replica {
    char base[PATH_MAX];   /* the main log's folder, where the state is */
    char folder[PATH_MAX]; /* this log's */
    bool is_main;
    dv_note_verifier key; /* that signs now */
    dv_tree_signer signer;
    dv_log_state *state;
    dv_log_tree *entry; /* of the state */
    dv_tree *tree;
    dv_frontier frontier; /* of what the state says */
    dv_buf seen;          /* the note; empty: none */
    dv_checkpoint seen_checkpoint;
    int64_t published; /* size of the copy's checkpoint; NO_INDEX: it has none */
    int64_t rotation;  /* index of an event that hands over to the next key; NO_INDEX: none */
};

static dv_result path_of(const char *folder, const char *name, char out[PATH_MAX], dv_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return len > 0 && len < PATH_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
}

static dv_result write_file(const dv_replica *r, const char *name, dv_slice bytes, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(path_of(r->folder, name, path, error));
    return dv_file_write_atomic(path, bytes, FILE_MODE, error);
}

/* DV_ERR_NOT_FOUND when there is none. */
static dv_result read_file(const dv_replica *r, const char *name, dv_buf *out, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(path_of(r->folder, name, path, error));
    return access(path, F_OK) == 0 ? dv_file_read(path, out, error) : DV_ERR_NOT_FOUND;
}

/* -- opening ----------------------------------------------------------------------------------- */

static dv_result make_folders(dv_replica *r, const char *folder, const char *log, dv_error *error)
{
    char name[sizeof(DV_LOG_OTHERS) + DV_LOG_NAME_MAX + 2];
    r->is_main = strcmp(log, DV_LOG_MAIN) == 0;
    if (!dv_log_name_is(dv_slice_str(log))) {
        return dv_error_set(error, DV_ERR_INVALID, "%.40s is no log's name", log);
    }
    DV_TRY(path_of(folder, ".", r->base, error));
    r->base[strlen(r->base) - 2] = '\0';
    snprintf(name, sizeof(name), DV_LOG_OTHERS "/%.*s", DV_LOG_NAME_MAX, log);
    DV_TRY(path_of(folder, r->is_main ? "." : name, r->folder, error));
    return dv_dir_make(r->folder, FOLDER_MODE, error);
}

static dv_result load_state(dv_replica *r, const char *log, dv_error *error)
{
    r->state = calloc(1, sizeof(*r->state));
    if (r->state == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_log_state_load(r->base, r->state, error);
    if (result != DV_OK && result != DV_ERR_NOT_FOUND) {
        return result;
    }
    r->entry = dv_log_state_tree(r->state, log);
    if (r->entry != NULL) {
        return DV_OK;
    }
    if (r->state->tree_count == DV_LOG_TREES_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "more than %d logs", DV_LOG_TREES_MAX);
    }
    r->entry = &r->state->trees[r->state->tree_count++];
    *r->entry = (dv_log_tree){.root = dv_merkle_empty()};
    snprintf(r->entry->name, sizeof(r->entry->name), "%s", log);
    return DV_OK;
}

/* Each class has an origin of its own, under the same key. */
static dv_result class_key(const dv_note_verifier *main_key, const char *log, dv_note_verifier *out)
{
    char origin[DV_NOTE_NAME_MAX + DV_LOG_NAME_MAX + 2];
    if (strcmp(log, DV_LOG_MAIN) == 0) {
        *out = *main_key;
        return DV_OK;
    }
    snprintf(origin, sizeof(origin), "%s/%s", main_key->name, log);
    return strlen(origin) <= DV_NOTE_NAME_MAX
               ? dv_note_verifier_init(origin, main_key->public_key, out)
               : DV_ERR_TOO_LARGE;
}

/* The newest key that the copy itself leads to. */
static dv_result find_key(dv_replica *r, const char *log, const dv_note_verifier *trusted,
                          dv_error *error)
{
    dv_note_verifier last;
    DV_TRY(dv_rotation_last(r->base, trusted, &last, error));
    DV_TRY(class_key(&last, log, &r->key));
    r->signer = (dv_tree_signer){.verifier = r->key, .copies = true};
    return DV_OK;
}

/* Who verifies the copy without --key finds the key here, as beside a log. */
static dv_result leave_key(const dv_replica *r, dv_error *error)
{
    dv_auto(buf) dv_buf there = dv_buf_init(DV_NOTE_MAX);
    dv_auto(buf) dv_buf vkey = dv_buf_init(DV_NOTE_MAX);
    DV_TRY(dv_note_verifier_format(&r->key, &vkey));
    DV_TRY(dv_buf_append_byte(&vkey, '\n'));
    dv_result result = read_file(r, "vkey", &there, error);
    if (result == DV_OK && dv_slice_eq(dv_buf_slice(&there), dv_buf_slice(&vkey))) {
        return DV_OK;
    }
    return write_file(r, "vkey", dv_buf_slice(&vkey), error);
}

static dv_result parse_note(dv_slice note, dv_checkpoint *ret_checkpoint)
{
    dv_note parts;
    DV_TRY(dv_note_split(note, &parts));
    return dv_checkpoint_parse(parts.text, ret_checkpoint);
}

static dv_result load_seen(dv_replica *r, dv_error *error)
{
    dv_result result = read_file(r, "seen", &r->seen, error);
    if (result == DV_ERR_NOT_FOUND) {
        return r->entry->size == 0
                   ? DV_OK
                   : dv_error_set(error, DV_ERR_CORRUPT, "%s/seen is missing", r->folder);
    }
    DV_TRY(result);
    if (parse_note(dv_buf_slice(&r->seen), &r->seen_checkpoint) != DV_OK ||
        r->seen_checkpoint.size < r->entry->size) {
        return dv_error_set(error, DV_ERR_CORRUPT, "%s/seen is not what proved the copy",
                            r->folder);
    }
    return strcmp(r->seen_checkpoint.origin, r->key.name) == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT,
                              "%s is a copy of the log %s, and the key is of %s", r->folder,
                              r->seen_checkpoint.origin, r->key.name);
}

/* The last copier may have died right before it published what it had taken over. */
static dv_result load_published(dv_replica *r, dv_error *error)
{
    dv_checkpoint checkpoint;
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    dv_result result = read_file(r, "checkpoint", &note, error);
    r->published = NO_INDEX;
    if (result != DV_OK) {
        return result == DV_ERR_NOT_FOUND ? DV_OK : result;
    }
    DV_TRY(parse_note(dv_buf_slice(&note), &checkpoint));
    r->published = (int64_t)checkpoint.size;
    return DV_OK;
}

/* An event that hands over, whose proof was not left before the last copier died. */
static dv_result load_rotation(dv_replica *r, dv_error *error)
{
    uint64_t index;
    dv_auto(buf) dv_buf text = dv_buf_init(64);
    dv_result result = read_file(r, "rotating", &text, error);
    r->rotation = NO_INDEX;
    if (result != DV_OK) {
        return result == DV_ERR_NOT_FOUND ? DV_OK : result;
    }
    if (dv_decimal_parse(dv_slice_trim(dv_buf_slice(&text)), &index) == DV_OK &&
        index < r->entry->size) { /* otherwise the commit did not come about */
        r->rotation = (int64_t)index;
    }
    return DV_OK;
}

static dv_result open_replica(dv_replica *r, const char *folder, const char *log,
                              const dv_note_verifier *key, dv_error *error)
{
    DV_TRY(make_folders(r, folder, log, error));
    DV_TRY(load_state(r, log, error));
    DV_TRY(find_key(r, log, key, error));
    DV_TRY(load_seen(r, error));
    DV_TRY(leave_key(r, error));
    DV_TRY(dv_tree_open(r->folder, &r->signer, r->entry, &r->tree, error));
    DV_TRY(dv_frontier_load(&r->frontier, r->folder, r->entry->size, error));
    DV_TRY(load_published(r, error));
    return load_rotation(r, error);
}

dv_result dv_replica_open(const char *folder, const char *log, const dv_note_verifier *key,
                          dv_replica **ret_replica, dv_error *error)
{
    dv_replica *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    r->seen = dv_buf_init(DV_NOTE_MAX);
    dv_result result = open_replica(r, folder, log, key, error);
    if (result != DV_OK) {
        dv_replica_close(r);
        return result;
    }
    *ret_replica = r;
    return DV_OK;
}

void dv_replica_close(dv_replica *r)
{
    if (r != NULL) {
        dv_tree_close(r->tree);
        dv_buf_release(&r->seen);
        free(r->state);
        free(r);
    }
}

uint64_t dv_replica_size(const dv_replica *r)
{
    return r->entry->size;
}

uint64_t dv_replica_seen(const dv_replica *r)
{
    return r->seen_checkpoint.size;
}

/* -- judging ----------------------------------------------------------------------------------- */

typedef struct judgement {
    const dv_replica_piece *piece;
    dv_checkpoint checkpoint;
    dv_frontier edge;     /* before the piece's entries */
    dv_frontier frontier; /* behind them */
    uint64_t from, size;
    int64_t rotation;
    dv_replica_verdict verdict; /* DV_REPLICA_GREW: nothing speaks against it so far */
} judgement;

/* What is signed is less than what was signed before. */
static dv_result judge_smaller(const dv_replica *r, judgement *j, dv_error *error)
{
    dv_hash root;
    j->verdict = DV_REPLICA_TAKEN_BACK;
    if (j->checkpoint.size <= r->entry->size && j->checkpoint.size >= r->entry->minimum) {
        DV_TRY(dv_tiles_root(r->folder, j->checkpoint.size, &root, error));
        j->verdict =
            dv_hash_eq(&root, &j->checkpoint.root) ? DV_REPLICA_TAKEN_BACK : DV_REPLICA_FORKED;
    }
    return DV_OK;
}

/* Does the note continue what was seen? The source must first show that what it tells of itself
 * holds: otherwise a broken answer would look like a fork. */
static dv_result judge_note(const dv_replica *r, judgement *j, dv_error *error)
{
    const dv_replica_piece *piece = j->piece;
    const dv_checkpoint *seen = &r->seen_checkpoint, *now = &j->checkpoint;
    if (dv_checkpoint_open(piece->note, &r->key, &j->checkpoint) != DV_OK) {
        /* The last one of a key that has handed over since. */
        bool same = dv_slice_eq(piece->note, dv_buf_slice(&r->seen));
        j->verdict = same ? DV_REPLICA_GREW : DV_REPLICA_UNSIGNED;
        j->checkpoint = r->seen_checkpoint;
        return DV_OK;
    }
    if (now->size < seen->size) {
        return judge_smaller(r, j, error);
    }
    if (now->size == seen->size) {
        bool same = r->seen.len == 0 || dv_hash_eq(&now->root, &seen->root);
        j->verdict = same ? DV_REPLICA_GREW : DV_REPLICA_FORKED;
        return DV_OK;
    }
    if (seen->size > 0) {
        bool fits = dv_merkle_verify_consistency(seen->size, now->size, &piece->seen_root,
                                                 &now->root, piece->seen, piece->seen_len) == DV_OK;
        bool same = dv_hash_eq(&piece->seen_root, &seen->root);
        j->verdict = !fits ? DV_REPLICA_DAMAGED : same ? DV_REPLICA_GREW : DV_REPLICA_FORKED;
    }
    return DV_OK;
}

static dv_result no_tile(void *data, int level, uint64_t index, const dv_hash *hashes)
{
    return DV_OK;
}

/* Hashes the entries; nothing else is made of them yet. False: they are no entries. */
static bool hash_entries(judgement *j)
{
    dv_slice rest = j->piece->entries, entry;
    dv_result result;
    if (rest.len > DV_REPLICA_ENTRIES_MAX) {
        return false;
    }
    while ((result = dv_bundle_next(&rest, &entry)) == DV_OK) {
        dv_hash leaf = dv_merkle_leaf(entry);
        if (entry.len == 0 || j->size == j->checkpoint.size ||
            dv_frontier_add(&j->frontier, &leaf, no_tile, NULL) != DV_OK) {
            return false;
        }
        j->size++;
    }
    return result == DV_ERR_NOT_FOUND;
}

/* A new copy begins at a pack's end, which has no hashes on the lower levels. False: the edge is
 * none of such a tree. */
static bool load_edge(judgement *j)
{
    const dv_replica_piece *piece = j->piece;
    size_t used = 0;
    if (piece->from % DV_PACK_LEAVES != 0) {
        return false;
    }
    for (int level = 0; level < DV_TILE_LEVELS; level++) {
        dv_frontier_tile *right = &j->edge.levels[level];
        uint64_t nodes = piece->from >> (DV_TILE_HEIGHT * level);
        right->index = nodes / DV_TILE_WIDTH;
        right->width = (uint32_t)(nodes % DV_TILE_WIDTH);
        if (right->width > piece->edge_len - used) {
            return false;
        }
        memcpy(right->hashes, piece->edge + used, right->width * sizeof(dv_hash));
        used += right->width;
    }
    return used == piece->edge_len;
}

/* Where the piece begins: at the copy's end. */
static bool find_beginning(const dv_replica *r, judgement *j)
{
    bool is_new = r->entry->size == 0;
    j->from = is_new ? j->piece->from : r->entry->size;
    j->edge = r->frontier;
    return j->piece->from == j->from && (!is_new || j->from == 0 || load_edge(j));
}

/* Is the tree up to here the note's, or proved to be a prefix of it? */
static bool is_proved(const dv_replica *r, const judgement *j)
{
    const dv_replica_piece *piece = j->piece;
    dv_hash root = dv_frontier_root(&j->frontier);
    if (j->size == j->checkpoint.size) {
        return dv_hash_eq(&root, &j->checkpoint.root);
    }
    return j->size == r->entry->size || /* no entries: nothing to prove */
           dv_merkle_verify_consistency(j->size, j->checkpoint.size, &root, &j->checkpoint.root,
                                        piece->proof, piece->proof_len) == DV_OK;
}

/* Do the entries lead to the note? */
static void judge_entries(const dv_replica *r, judgement *j)
{
    bool fits = find_beginning(r, j);
    j->frontier = j->edge;
    j->size = j->from;
    if (!fits || !hash_entries(j) || !is_proved(r, j)) {
        j->verdict = DV_REPLICA_DAMAGED;
    } else if (j->size == r->entry->size && dv_slice_eq(j->piece->note, dv_buf_slice(&r->seen))) {
        j->verdict = DV_REPLICA_SAME;
    }
}

/* -- evidence ---------------------------------------------------------------------------------- */

/* Two notes with the node's signature that contradict each other show it to anyone. The first ones
 * are kept. */
static dv_result keep_evidence(const dv_replica *r, dv_slice note, dv_error *error)
{
    char folder[PATH_MAX], path[PATH_MAX], name[64];
    DV_TRY(path_of(r->base, "../conflicts", folder, error));
    DV_TRY(dv_dir_make(folder, FOLDER_MODE, error));
    for (unsigned i = 0; i < CONFLICTS_MAX; i++) {
        dv_auto(buf) dv_buf there = dv_buf_init(DV_NOTE_MAX);
        snprintf(name, sizeof(name), "%.32s-%02u.theirs", r->entry->name, i);
        DV_TRY(path_of(folder, name, path, error));
        if (access(path, F_OK) == 0) {
            DV_TRY(dv_file_read(path, &there, error));
            if (dv_slice_eq(dv_buf_slice(&there), note)) {
                return DV_OK;
            }
            continue;
        }
        DV_TRY(dv_file_write_atomic(path, note, FILE_MODE, error));
        snprintf(name, sizeof(name), "%.32s-%02u.ours", r->entry->name, i);
        DV_TRY(path_of(folder, name, path, error));
        return dv_file_write_atomic(path, dv_buf_slice(&r->seen), FILE_MODE, error);
    }
    return DV_OK;
}

/* -- taking over ------------------------------------------------------------------------------- */

static dv_result remember_seen(dv_replica *r, const judgement *j, dv_error *error)
{
    dv_slice note = j->piece->note;
    if (dv_slice_eq(note, dv_buf_slice(&r->seen))) {
        return DV_OK;
    }
    DV_TRY(write_file(r, "seen", note, error));
    dv_buf_clear(&r->seen);
    DV_TRY(dv_buf_append(&r->seen, note));
    r->seen_checkpoint = j->checkpoint;
    return DV_OK;
}

/* The main log names the key that comes next. */
static void note_rotation(const dv_replica *r, judgement *j, uint64_t index, dv_slice entry)
{
    dv_note_verifier next;
    if (r->is_main && dv_slice_eq(dv_entry_kind(entry), DV_LIT("audit.key_rotated")) &&
        dv_rotation_read(entry, &next) == DV_OK && strcmp(next.name, r->key.name) == 0) {
        j->rotation = (int64_t)index;
    }
}

static dv_result append_entries(dv_replica *r, judgement *j)
{
    dv_slice rest = j->piece->entries, entry;
    uint64_t index;
    while (dv_bundle_next(&rest, &entry) == DV_OK) {
        DV_TRY(dv_tree_append(r->tree, entry, &index));
        note_rotation(r, j, index, entry);
    }
    return DV_OK;
}

static dv_result remember_rotation(dv_replica *r, const judgement *j, dv_error *error)
{
    char text[32];
    if (j->rotation == r->rotation) {
        return DV_OK;
    }
    int len = snprintf(text, sizeof(text), "%" PRId64 "\n", j->rotation);
    DV_TRY(write_file(r, "rotating", dv_slice_of(text, (size_t)len), error));
    r->rotation = j->rotation;
    return DV_OK;
}

/* What the node's main log tells that it pruned, of each of its logs; the newest counts. It was
 * proved before it got here, so it may be remembered before the entries are. */
static dv_result remember_pruned(const dv_replica *r, dv_slice entries, dv_error *error)
{
    enum { ARENA = 1 << 20 };
    dv_slice entry;
    char log[DV_LOG_NAME_MAX + 1];
    uint64_t minimum;
    dv_auto(buf) dv_buf text = dv_buf_init(PRUNED_MAX);
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    while (dv_bundle_next(&entries, &entry) == DV_OK) {
        if (dv_prune_event_read(entry, arena, log, &minimum)) {
            DV_TRY(dv_buf_append_printf(&text, "%s %" PRIu64 "\n", log, minimum));
        }
        dv_arena_reset(arena);
    }
    if (text.len == 0) {
        return DV_OK;
    }
    dv_auto(buf) dv_buf all = dv_buf_init(PRUNED_MAX);
    dv_result result = read_file(r, PRUNED, &all, error);
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    if (all.len + text.len > PRUNED_MAX / 2) {
        all.len = 0; /* it is told again before what told it goes */
    }
    DV_TRY(dv_buf_append(&all, dv_buf_slice(&text)));
    return write_file(r, PRUNED, dv_buf_slice(&all), error);
}

/* Everything of the piece, durable in one step: the state file. */
static dv_result commit(dv_replica *r, judgement *j, dv_error *error)
{
    dv_log_tree next;
    dv_hash root = dv_frontier_root(&j->frontier);
    DV_TRY(append_entries(r, j));
    DV_TRY(remember_rotation(r, j, error));
    DV_TRY(r->is_main ? remember_pruned(r, j->piece->entries, error) : DV_OK);
    DV_TRY(dv_tree_write(r->tree, &next, error));
    if (!dv_hash_eq(&next.root, &root)) {
        return DV_ERR_INTERNAL;
    }
    dv_log_tree before = *r->entry;
    *r->entry = next;
    dv_result result = dv_log_state_save(r->base, r->state, error);
    if (result != DV_OK) {
        *r->entry = before;
        return result;
    }
    dv_tree_written(r->tree);
    r->frontier = j->frontier;
    return DV_OK;
}

/* Under the copy's checkpoint, which the old key signed, stands which key comes next. */
static dv_result hand_over(dv_replica *r, dv_error *error)
{
    char path[PATH_MAX];
    dv_note_verifier last;
    if (r->rotation == NO_INDEX) {
        return DV_OK;
    }
    DV_TRY(dv_rotation_leave(r->folder, &r->key, (uint64_t)r->rotation, error));
    DV_TRY(path_of(r->folder, "rotating", path, error));
    if (unlink(path) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    r->rotation = NO_INDEX;
    DV_TRY(dv_rotation_last(r->folder, &r->key, &last, error));
    r->key = last;
    r->signer.verifier = last;
    return leave_key(r, error);
}

static dv_result publish(dv_replica *r, const judgement *j, dv_error *error)
{
    if (r->entry->size != j->checkpoint.size) {
        return DV_OK;
    }
    DV_TRY(dv_tree_publish_copied(r->tree, j->piece->note, error));
    r->published = (int64_t)j->checkpoint.size;
    return hand_over(r, error);
}

static dv_result write_edge(const dv_replica *r, const dv_frontier *edge, dv_error *error)
{
    for (int level = 0; level < DV_TILE_LEVELS; level++) {
        const dv_frontier_tile *right = &edge->levels[level];
        char name[DV_TILE_PATH_MAX], path[PATH_MAX];
        if (right->width > 0) {
            dv_tile_path(level, right->index, right->width, name);
            DV_TRY(path_of(r->folder, name, path, error));
            *strrchr(path, '/') = '\0';
            DV_TRY(dv_dir_make(path, FOLDER_MODE, error));
            DV_TRY(write_file(r, name, dv_slice_of(right->hashes, right->width * sizeof(dv_hash)),
                              error));
        }
    }
    return DV_OK;
}

/* The copy begins behind what was pruned: as the log itself is there. */
static dv_result begin_behind(dv_replica *r, const judgement *j, dv_error *error)
{
    DV_TRY(write_edge(r, &j->edge, error));
    dv_tree_close(r->tree);
    r->tree = NULL;
    r->entry->size = r->entry->packed = r->entry->minimum = j->from;
    r->entry->root = dv_frontier_root(&j->edge);
    DV_TRY(dv_log_state_save(r->base, r->state, error));
    r->frontier = j->edge;
    return dv_tree_open(r->folder, &r->signer, r->entry, &r->tree, error);
}

static dv_result take_over(dv_replica *r, judgement *j, dv_error *error)
{
    DV_TRY(remember_seen(r, j, error));
    if (j->from > r->entry->size) {
        DV_TRY(begin_behind(r, j, error));
    }
    if (j->size > r->entry->size) {
        DV_TRY(commit(r, j, error));
    }
    return publish(r, j, error);
}

dv_result dv_replica_take(dv_replica *r, const dv_replica_piece *piece,
                          dv_replica_verdict *ret_verdict, dv_error *error)
{
    dv_auto(free) judgement *j = calloc(1, sizeof(*j));
    if (j == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *j = (judgement){.piece = piece, .rotation = r->rotation, .verdict = DV_REPLICA_GREW};
    DV_TRY(judge_note(r, j, error));
    if (j->verdict == DV_REPLICA_GREW) {
        judge_entries(r, j);
    }
    bool contradicts = j->verdict == DV_REPLICA_TAKEN_BACK || j->verdict == DV_REPLICA_FORKED;
    if (contradicts) {
        DV_TRY(keep_evidence(r, piece->note, error));
    }
    bool unpublished = j->verdict == DV_REPLICA_SAME && r->published != (int64_t)r->entry->size &&
                       j->checkpoint.size == r->entry->size;
    if (j->verdict == DV_REPLICA_GREW || unpublished) {
        DV_TRY(take_over(r, j, error));
    }
    *ret_verdict = j->verdict;
    return DV_OK;
}

/* -- pruning ----------------------------------------------------------------------------------- */

/* Up to where the node told that it pruned this log; 0: it did not. */
static dv_result told_minimum(const dv_replica *r, uint64_t *ret_minimum, dv_error *error)
{
    char path[PATH_MAX];
    dv_slice rest, line, name;
    uint64_t minimum;
    dv_auto(buf) dv_buf text = dv_buf_init(PRUNED_MAX);
    *ret_minimum = 0;
    DV_TRY(path_of(r->base, PRUNED, path, error));
    dv_result result = dv_file_read(path, &text, error);
    if (result != DV_OK) {
        return result == DV_ERR_NOT_FOUND ? DV_OK : result;
    }
    rest = dv_buf_slice(&text);
    while (dv_slice_split(&rest, '\n', &line)) {
        if (dv_slice_split(&line, ' ', &name) && dv_slice_eq_str(name, r->entry->name) &&
            dv_decimal_parse(line, &minimum) == DV_OK) {
            *ret_minimum = DV_MAX(*ret_minimum, minimum);
        }
    }
    return DV_OK;
}

dv_result dv_replica_prune(dv_replica *r, int64_t before_ms, uint64_t *ret_minimum, dv_error *error)
{
    uint64_t told, minimum, before = r->entry->minimum;
    *ret_minimum = before;
    if (r->entry->size != r->seen_checkpoint.size || r->rotation != NO_INDEX) {
        return DV_OK;
    }
    DV_TRY(told_minimum(r, &told, error));
    const dv_prune_rule rule = {.before_ms = before_ms, .end = told};
    DV_TRY(dv_prune_find(r->folder, r->entry, &rule, &minimum, error));
    if (minimum <= before) {
        return DV_OK;
    }
    r->entry->minimum = minimum;
    dv_result result = dv_log_state_save(r->base, r->state, error);
    if (result != DV_OK) {
        r->entry->minimum = before;
        return result;
    }
    dv_prune_remove(r->folder, minimum);
    *ret_minimum = minimum;
    return DV_OK;
}
