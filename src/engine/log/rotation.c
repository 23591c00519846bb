/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/rotation.h"

#include "engine/log/entry.h"

#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <unistd.h>

enum { STEPS_MAX = 1024, ARENA_MAX = 8 << 20, FOLDER_MODE = 0755, FILE_MODE = 0644 };

/* -- the event --------------------------------------------------------------------------------- */

static uint32_t member_at(const dv_json *json, const char *first, const char *second)
{
    uint32_t outer = dv_json_member(json, 0, first);
    return outer == 0 ? 0 : dv_json_member(json, outer, second);
}

static bool says(const dv_json *json, uint32_t token, const char *text)
{
    return token != 0 && dv_slice_eq_str(dv_json_raw(json, token), text);
}

static dv_result read_event(dv_slice entry, dv_arena *arena, dv_note_verifier *ret_key)
{
    const dv_json_limits limits = {.depth = 32, .tokens = 1 << 14, .refuse_duplicate_keys = true};
    dv_json json;
    dv_result result = dv_json_scan(entry, &limits, arena, &json, NULL);
    if (result != DV_OK) {
        return result == DV_ERR_NO_MEMORY ? result : DV_ERR_NOT_FOUND;
    }
    uint32_t uid = member_at(&json, "entity", "uid");
    bool rotated = json.tokens[0].type == DV_JSON_OBJECT &&
                   says(&json, member_at(&json, "metadata", "event_code"), "audit.key_rotated") &&
                   says(&json, dv_json_member(&json, 0, "activity_id"), "1") &&
                   says(&json, member_at(&json, "entity", "type"), "signing_key") && uid != 0;
    return rotated && dv_note_verifier_parse(dv_json_raw(&json, uid), ret_key) == DV_OK
               ? DV_OK
               : DV_ERR_NOT_FOUND;
}

/* Any writer can leave an event that says so. */
dv_result dv_rotation_read(dv_slice entry, dv_note_verifier *ret_key)
{
    if (!dv_entry_is_own(entry)) {
        return DV_ERR_NOT_FOUND;
    }
    dv_arena *arena = dv_arena_new(ARENA_MAX);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = read_event(entry, arena, ret_key);
    dv_arena_free(arena);
    return result;
}

static dv_result open_note(dv_slice note, const dv_note_verifier *key,
                           dv_checkpoint *ret_checkpoint)
{
    dv_note parts;
    if (key != NULL) {
        return dv_checkpoint_open(note, key, ret_checkpoint);
    }
    DV_TRY(dv_note_split(note, &parts));
    return dv_checkpoint_parse(parts.text, ret_checkpoint);
}

dv_result dv_rotation_check(dv_slice event, dv_slice proof, const dv_note_verifier *key,
                            dv_note_verifier *ret_next)
{
    dv_tlog_proof shown;
    dv_note_verifier next;
    dv_checkpoint checkpoint;
    dv_result result = dv_tlog_proof_parse(proof, &shown, NULL);
    if (result == DV_OK) {
        result = open_note(shown.checkpoint, key, &checkpoint);
    }
    if (result == DV_OK) {
        result = dv_tlog_proof_verify(&shown, event, &checkpoint);
    }
    if (result == DV_OK) {
        result = dv_rotation_read(event, &next);
    }
    if (result != DV_OK || strcmp(next.name, checkpoint.origin) != 0) {
        return result == DV_ERR_NO_MEMORY ? result : DV_ERR_CORRUPT;
    }
    *ret_next = next;
    return DV_OK;
}

/* -- files ------------------------------------------------------------------------------------- */

void dv_rotation_names(uint32_t key_id, char ret_event[DV_ROTATION_NAME_MAX],
                       char ret_proof[DV_ROTATION_NAME_MAX])
{
    (void)snprintf(ret_event, DV_ROTATION_NAME_MAX, "rotated/%08" PRIx32 ".event", key_id);
    (void)snprintf(ret_proof, DV_ROTATION_NAME_MAX, "rotated/%08" PRIx32 ".tlog-proof", key_id);
}

static dv_result path_of(const char *folder, const dv_note_verifier *old, const char *ending,
                         char out[PATH_MAX], dv_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s/rotated/%08" PRIx32 "%s", folder, old->key_id, ending);
    return len > 0 && len < PATH_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
}

static dv_result read_entry(const char *folder, uint64_t index, uint64_t size, dv_buf *bundle,
                            dv_slice *ret_entry, dv_error *error)
{
    uint64_t first = index - index % DV_TILE_WIDTH;
    uint32_t width = (uint32_t)DV_MIN(size - first, (uint64_t)DV_TILE_WIDTH);
    DV_TRY(dv_bundle_read(folder, NULL, index / DV_TILE_WIDTH, width, bundle, error));
    dv_slice rest = dv_buf_slice(bundle);
    for (uint64_t i = first; i <= index; i++) {
        DV_TRY(dv_bundle_next(&rest, ret_entry));
    }
    return DV_OK;
}

static dv_result write_beside(const char *folder, const dv_note_verifier *old, const char *ending,
                              dv_slice bytes, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(path_of(folder, old, ending, path, error));
    return dv_file_write_atomic(path, bytes, FILE_MODE, error);
}

/* Durable: the key changes on the strength of what lies in it. */
static dv_result make_folder(const char *folder, dv_error *error)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/rotated", folder);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(dv_dir_make(path, FOLDER_MODE, error));
    dv_auto(fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) != 0
               ? dv_error_set(error, DV_ERR_IO, "can not sync %s: %s", folder, strerror(errno))
               : DV_OK;
}

dv_result dv_rotation_leave(const char *folder, const dv_note_verifier *old, uint64_t index,
                            dv_error *error)
{
    char path[PATH_MAX];
    dv_slice entry = {0};
    dv_checkpoint checkpoint;
    dv_hash hashes[DV_PROOF_MAX];
    dv_tlog_proof proof = {.index = index};
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    dv_auto(buf) dv_buf bundle = dv_buf_init(DV_BUNDLE_MAX);
    dv_auto(buf) dv_buf text = dv_buf_init(DV_TLOG_PROOF_MAX);
    DV_TRY(dv_tiles_checkpoint(folder, old, &checkpoint, error));
    snprintf(path, sizeof(path), "%s/checkpoint", folder);
    DV_TRY(dv_file_read(path, &note, error));
    DV_TRY(dv_tiles_inclusion(folder, index, checkpoint.size, hashes, &proof.hash_count, error));
    DV_TRY(read_entry(folder, index, checkpoint.size, &bundle, &entry, error));
    if (proof.hash_count > DV_TLOG_PROOF_HASHES_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    memcpy(proof.hashes, hashes, proof.hash_count * sizeof(hashes[0]));
    proof.checkpoint = dv_buf_slice(&note);
    DV_TRY(dv_tlog_proof_format(&proof, &text));
    DV_TRY(make_folder(folder, error));
    DV_TRY(write_beside(folder, old, ".event", entry, error));
    return write_beside(folder, old, ".tlog-proof", dv_buf_slice(&text), error);
}

/* -- following --------------------------------------------------------------------------------- */

static dv_result bad_step(const dv_note_verifier *key, dv_error *error)
{
    return dv_error_set(error, DV_ERR_CORRUPT,
                        "rotated/%08" PRIx32 " does not show which key followed that one",
                        key->key_id);
}

/* The old key signed a checkpoint over an event that names the next one, of the same log. */
static dv_result next_key(const char *folder, const dv_note_verifier *key,
                          dv_note_verifier *ret_next, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(DV_TLOG_PROOF_MAX);
    dv_auto(buf) dv_buf event = dv_buf_init(UINT16_MAX);
    DV_TRY(path_of(folder, key, ".tlog-proof", path, error));
    if (dv_file_read(path, &text, error) != DV_OK) {
        return dv_error_set(error, DV_ERR_NOT_FOUND,
                            "the checkpoint is not signed by %s+%08" PRIx32
                            ", nor did that key hand over to the one that signs it",
                            key->name, key->key_id);
    }
    DV_TRY(path_of(folder, key, ".event", path, error));
    DV_TRY(dv_file_read(path, &event, error));
    dv_result result = dv_rotation_check(dv_buf_slice(&event), dv_buf_slice(&text), key, ret_next);
    return result == DV_OK || result == DV_ERR_NO_MEMORY ? result : bad_step(key, error);
}

dv_result dv_rotation_follow(const char *folder, const dv_note_verifier *trusted,
                             dv_note_verifier *ret_key, size_t *ret_steps, dv_error *error)
{
    char path[PATH_MAX];
    dv_checkpoint checkpoint;
    dv_note_verifier key = *trusted, next;
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    int len = snprintf(path, sizeof(path), "%s/checkpoint", folder);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
    }
    DV_TRY(dv_file_read(path, &note, error));
    for (size_t steps = 0; steps < STEPS_MAX; steps++) {
        dv_result result = dv_checkpoint_open(dv_buf_slice(&note), &key, &checkpoint);
        if (result != DV_ERR_NOT_FOUND) { /* what is wrong with it, the verification tells */
            *ret_key = key;
            *ret_steps = steps;
            return DV_OK;
        }
        DV_TRY(next_key(folder, &key, &next, error));
        key = next;
    }
    return dv_error_set(error, DV_ERR_CORRUPT, "more than %d keys follow each other in rotated/",
                        STEPS_MAX);
}

dv_result dv_rotation_last(const char *folder, const dv_note_verifier *trusted,
                           dv_note_verifier *ret_key, dv_error *error)
{
    dv_note_verifier key = *trusted, next;
    for (size_t steps = 0; steps < STEPS_MAX; steps++) {
        dv_error none = {0};
        dv_result result = next_key(folder, &key, &next, &none);
        if (result == DV_ERR_NOT_FOUND) {
            *ret_key = key;
            return DV_OK;
        }
        if (result != DV_OK) {
            return dv_error_set(error, result, "%s", none.message);
        }
        key = next;
    }
    return dv_error_set(error, DV_ERR_CORRUPT, "more than %d keys follow each other in rotated/",
                        STEPS_MAX);
}
