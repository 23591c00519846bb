/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/verify.h"

#include "engine/log/entry.h"
#include "engine/log/frontier.h"

#include <inttypes.h>

enum { ENTRY_ARENA = 8 << 20, FIRST_SLOTS = 1024 };

/* The sequence that each segment's next entry must have. */
typedef struct writer {
    bool used;
    dv_uuid segment;
    uint64_t next;
} writer;

typedef struct writers {
    writer *slots;
    size_t slot_count; /* a power of two */
    size_t count;
} writers;

typedef struct verification {
    const char *folder;
    dv_checkpoint checkpoint;
    dv_log_report *report;
    dv_frontier frontier;
    writers writers;
    dv_buf bundle;
    dv_arena *arena;
    dv_error error;
} verification;

/* -- writers ----------------------------------------------------------------------------------- */

static writer *writer_slot(const writers *all, const dv_uuid *segment)
{
    uint64_t hash;
    memcpy(&hash, segment->bytes + 8, sizeof(hash)); /* the random part */
    for (size_t i = hash & (all->slot_count - 1);; i = (i + 1) & (all->slot_count - 1)) {
        writer *slot = &all->slots[i];
        if (!slot->used || memcmp(&slot->segment, segment, sizeof(*segment)) == 0) {
            return slot;
        }
    }
}

static dv_result writers_grow(writers *all)
{
    writers larger = {.slot_count = DV_MAX(all->slot_count * 2, (size_t)FIRST_SLOTS)};
    larger.slots = calloc(larger.slot_count, sizeof(*larger.slots));
    if (larger.slots == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < all->slot_count; i++) {
        if (all->slots[i].used) {
            *writer_slot(&larger, &all->slots[i].segment) = all->slots[i];
        }
    }
    larger.count = all->count;
    free(all->slots);
    *all = larger;
    return DV_OK;
}

static dv_result writer_find(writers *all, const dv_uuid *segment, writer **ret_writer)
{
    if (all->count * 2 >= all->slot_count) {
        DV_TRY(writers_grow(all));
    }
    writer *slot = writer_slot(all, segment);
    if (!slot->used) {
        *slot = (writer){.used = true, .segment = *segment};
        all->count++;
    }
    *ret_writer = slot;
    return DV_OK;
}

/* -- entries ----------------------------------------------------------------------------------- */

static dv_result bad_entry(verification *v, uint64_t index, const char *what)
{
    return dv_error_set(&v->error, DV_ERR_CORRUPT, "entry %" PRIu64 " %s", index, what);
}

static dv_result check_sequence(verification *v, uint64_t index, const dv_entry_origin *origin)
{
    writer *from;
    DV_TRY(writer_find(&v->writers, &origin->segment, &from));
    if (origin->sequence != from->next) {
        char segment[DV_UUID_TEXT_LEN + 1];
        dv_uuid_format(&origin->segment, segment);
        return dv_error_set(&v->error, DV_ERR_CORRUPT,
                            "entry %" PRIu64 " is record %" PRIu64 " of segment %s, where %" PRIu64
                            " should follow",
                            index, origin->sequence, segment, from->next);
    }
    from->next++;
    return DV_OK;
}

static dv_result check_entry(verification *v, uint64_t index, dv_slice entry)
{
    dv_entry_origin origin;
    dv_error detail = {0};
    dv_result result = dv_entry_check(entry, v->arena, &origin, &detail);
    dv_arena_reset(v->arena);
    if (result == DV_ERR_NO_MEMORY) {
        return result;
    }
    if (result != DV_OK) {
        return bad_entry(v, index, result == DV_ERR_NOT_FOUND ? detail.message : "is no JSON text");
    }
    return check_sequence(v, index, &origin);
}

/* -- tiles ------------------------------------------------------------------------------------- */

/* The file must hold what the entries give. */
static dv_result compare_tile(verification *v, int level, uint64_t index, const dv_hash *hashes,
                              uint32_t width)
{
    dv_hash stored[DV_TILE_WIDTH];
    char name[DV_TILE_PATH_MAX];
    DV_TRY(dv_tile_read(v->folder, level, index, width, stored, &v->error));
    v->report->tiles++;
    for (uint32_t i = 0; i < width; i++) {
        if (!dv_hash_eq(&stored[i], &hashes[i])) {
            dv_tile_path(level, index, width, name);
            return dv_error_set(&v->error, DV_ERR_CORRUPT,
                                "%s differs from the entries at hash %" PRIu32, name, i);
        }
    }
    return DV_OK;
}

static dv_result compare_full_tile(void *data, int level, uint64_t index, const dv_hash *hashes)
{
    return compare_tile(data, level, index, hashes, DV_TILE_WIDTH);
}

static dv_result check_bundle(verification *v, uint64_t bundle, uint32_t width)
{
    dv_slice entry;
    dv_buf_clear(&v->bundle);
    DV_TRY(dv_bundle_read(v->folder, bundle, width, &v->bundle, &v->error));
    v->report->tiles++;
    dv_slice rest = dv_buf_slice(&v->bundle);
    for (uint32_t i = 0; i < width; i++) {
        DV_TRY(dv_bundle_next(&rest, &entry));
        DV_TRY(check_entry(v, bundle * DV_TILE_WIDTH + i, entry));
        dv_hash leaf = dv_merkle_leaf(entry);
        DV_TRY(dv_frontier_add(&v->frontier, &leaf, compare_full_tile, v));
        v->report->entries++;
    }
    return DV_OK;
}

static dv_result check_entries(verification *v, dv_log_progress progress, void *data)
{
    uint64_t size = v->checkpoint.size;
    for (uint64_t done = 0; done < size;) {
        uint32_t width = (uint32_t)DV_MIN(size - done, (uint64_t)DV_TILE_WIDTH);
        DV_TRY(check_bundle(v, done / DV_TILE_WIDTH, width));
        done += width;
        if (progress != NULL) {
            progress(data, done, size);
        }
    }
    return DV_OK;
}

static dv_result check_right_edge(verification *v)
{
    for (int level = 0; level < DV_TILE_LEVELS; level++) {
        const dv_frontier_tile *right = &v->frontier.levels[level];
        if (right->width > 0) {
            DV_TRY(compare_tile(v, level, right->index, right->hashes, right->width));
        }
    }
    dv_hash root = dv_frontier_root(&v->frontier);
    if (!dv_hash_eq(&root, &v->checkpoint.root)) {
        return dv_error_set(&v->error, DV_ERR_CORRUPT,
                            "the entries do not give the root that the checkpoint signs");
    }
    return DV_OK;
}

/* -- all of it --------------------------------------------------------------------------------- */

static dv_result read_checkpoint(verification *v, const dv_note_verifier *verifier)
{
    dv_note_verifier own;
    dv_buf signer = dv_buf_init(sizeof(v->report->signer) - 1);
    if (verifier == NULL) {
        DV_TRY(dv_tiles_vkey(v->folder, &own, &v->error));
        verifier = &own;
    }
    DV_TRY(dv_tiles_checkpoint(v->folder, verifier, &v->checkpoint, &v->error));
    dv_result result = dv_note_verifier_format(verifier, &signer);
    if (result == DV_OK) {
        snprintf(v->report->signer, sizeof(v->report->signer), "%.*s",
                 DV_SLICE_ARGS(dv_buf_slice(&signer)));
    }
    dv_buf_release(&signer);
    memcpy(v->report->origin, v->checkpoint.origin, sizeof(v->report->origin));
    v->report->size = v->checkpoint.size;
    v->report->root = v->checkpoint.root;
    return result;
}

static dv_result verify(verification *v, const dv_note_verifier *verifier, dv_log_progress progress,
                        void *data)
{
    DV_TRY(read_checkpoint(v, verifier));
    dv_result result = check_entries(v, progress, data);
    if (result == DV_OK) {
        result = check_right_edge(v);
    }
    return result == DV_ERR_NOT_FOUND ? DV_ERR_CORRUPT : result; /* a file of the log is missing */
}

static void verification_free(verification *v)
{
    dv_arena_free(v->arena);
    dv_buf_release(&v->bundle);
    free(v->writers.slots);
    free(v);
}
DV_DEFINE_AUTO_PTR(verification, verification, verification_free)

dv_result dv_log_verify(const char *folder, const dv_note_verifier *verifier,
                        dv_log_progress progress, void *data, dv_log_report *ret_report)
{
    *ret_report = (dv_log_report){.ok = false};
    dv_auto(verification) verification *v = calloc(1, sizeof(*v));
    if (v == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    v->folder = folder;
    v->report = ret_report;
    v->bundle = dv_buf_init(DV_BUNDLE_MAX);
    v->arena = dv_arena_new(ENTRY_ARENA);
    dv_result result = v->arena == NULL ? DV_ERR_NO_MEMORY : verify(v, verifier, progress, data);
    ret_report->writers = v->writers.count;
    ret_report->ok = result == DV_OK;
    if (result != DV_OK) {
        snprintf(ret_report->problem, sizeof(ret_report->problem), "%s",
                 v->error.message[0] != '\0' ? v->error.message : dv_result_name(result));
    }
    return result;
}
