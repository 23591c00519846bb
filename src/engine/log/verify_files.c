/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/verify_files.h"

#include "base/file.h"
#include "engine/log/tile_files.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

enum { VKEY_MAX = 4096 };

typedef struct files {
    const dv_verified *log;
    dv_buf file, bundle, wanted;
    uint64_t *tiles;
    dv_error *error;
} files;

static dv_result bad_file(const files *f, const char *name, const char *what)
{
    return dv_error_set(f->error, DV_ERR_CORRUPT, "%s%s %s", f->log->prefix, name, what);
}

static dv_result read_file(const char *folder, const char *name, dv_buf *out, dv_error *error)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s", folder, name);
    dv_buf_clear(out);
    return len > 0 && len < PATH_MAX ? dv_file_read(path, out, error) : DV_ERR_TOO_LARGE;
}

/* -- tiles ------------------------------------------------------------------------------------- */

/* The first `width` entries of a bundle, framed as they are. */
static dv_result first_entries(dv_slice bundle, uint32_t width, dv_buf *out)
{
    dv_slice rest = bundle, entry;
    for (uint32_t i = 0; i < width; i++) {
        DV_TRY(dv_bundle_next(&rest, &entry));
    }
    return dv_buf_append(out, dv_slice_of(bundle.ptr, bundle.len - rest.len));
}

static dv_result wanted_entries(files *f, const dv_tile_file *file, bool right)
{
    dv_slice bundle = f->log->last_bundle;
    if (!right) {
        dv_buf_clear(&f->bundle);
        DV_TRY(
            dv_bundle_read(f->log->folder, NULL, file->index, DV_TILE_WIDTH, &f->bundle, f->error));
        bundle = dv_buf_slice(&f->bundle);
    }
    return first_entries(bundle, file->width, &f->wanted);
}

static dv_result wanted_hashes(files *f, const dv_tile_file *file, bool right)
{
    dv_hash hashes[DV_TILE_WIDTH];
    const dv_hash *from = hashes;
    if (right) {
        from = f->log->frontier->levels[file->level].hashes;
    } else {
        DV_TRY(dv_tile_read(f->log->folder, file->level, file->index, DV_TILE_WIDTH, hashes,
                            f->error));
    }
    return dv_buf_append(&f->wanted, dv_slice_of(from, file->width * sizeof(*from)));
}

/* What the checkpoint does not cover yet is still being written, or was left by a death; what was
 * pruned is gone for readers. */
static bool is_covered(const dv_verified *log, const dv_tile_file *file, uint32_t covered)
{
    int height = DV_TILE_HEIGHT * ((file->level < 0 ? 0 : file->level) + 1);
    bool pruned = height < 64 && (file->index + 1) <= log->minimum >> height;
    return file->width <= covered && !pruned && file->level < DV_TILE_LEVELS;
}

static dv_result compare_file(void *data, const dv_tile_file *file)
{
    files *f = data;
    uint32_t covered = dv_tile_width_at(f->log->checkpoint->size, file->level, file->index);
    if (file->width == 0) {
        return bad_file(f, file->name, "belongs to no tile");
    }
    if (!is_covered(f->log, file, covered)) {
        return DV_OK;
    }
    bool right = covered < DV_TILE_WIDTH;
    dv_buf_clear(&f->wanted);
    DV_TRY(file->level == DV_TILE_ENTRIES ? wanted_entries(f, file, right)
                                          : wanted_hashes(f, file, right));
    dv_result result = read_file(f->log->folder, file->name, &f->file, f->error);
    if (result == DV_ERR_NOT_FOUND) {
        return DV_OK; /* it was removed meanwhile: what took its place was compared */
    }
    DV_TRY(result == DV_ERR_TOO_LARGE ? DV_OK : result);
    ++*f->tiles;
    return result == DV_OK && dv_slice_eq(dv_buf_slice(&f->file), dv_buf_slice(&f->wanted))
               ? DV_OK
               : bad_file(f, file->name, "differs from the entries");
}

/* -- notes and keys ---------------------------------------------------------------------------- */

static dv_result newer_checkpoint(const files *f, uint64_t size)
{
    dv_checkpoint now;
    dv_result result = dv_tiles_checkpoint(f->log->folder, f->log->verifier, &now, f->error);
    return result == DV_OK && now.size < size
               ? bad_file(f, "checkpoint.cosigned",
                          "is over more entries than the log has: it was taken back")
               : DV_OK;
}

/* Its witnesses' signatures are judged by whoever knows their keys; that it is of this log, by
 * anyone. */
static dv_result check_cosigned(files *f)
{
    static const char name[] = "checkpoint.cosigned";
    dv_note note;
    dv_slice text;
    dv_hash root;
    dv_checkpoint cosigned;
    dv_result result = read_file(f->log->folder, name, &f->file, f->error);
    if (result == DV_ERR_NOT_FOUND) {
        return DV_OK;
    }
    DV_TRY(result);
    if (dv_note_split(dv_buf_slice(&f->file), &note) != DV_OK ||
        dv_checkpoint_parse(note.text, &cosigned) != DV_OK ||
        strcmp(cosigned.origin, f->log->checkpoint->origin) != 0) {
        return bad_file(f, name, "is no checkpoint of this log");
    }
    result = dv_note_verify(dv_buf_slice(&f->file), f->log->verifier, &text);
    if (result != DV_OK && result != DV_ERR_NOT_FOUND) { /* by a former key, perhaps */
        return bad_file(f, name, "has a wrong signature");
    }
    if (cosigned.size > f->log->checkpoint->size) {
        return newer_checkpoint(f, cosigned.size);
    }
    if (cosigned.size < f->log->minimum) {
        return DV_OK;
    }
    DV_TRY(dv_tiles_root(f->log->folder, cosigned.size, &root, f->error));
    return dv_hash_eq(&root, &cosigned.root) ? DV_OK
                                             : bad_file(f, name, "is contradicted by the log");
}

/* Each line's id is the hash of its name and key. */
static dv_result check_vkey(files *f)
{
    dv_slice rest, line;
    dv_result result = read_file(f->log->folder, "vkey", &f->file, f->error);
    if (result == DV_ERR_NOT_FOUND) {
        return DV_OK;
    }
    DV_TRY(result);
    dv_buf_clear(&f->wanted);
    rest = dv_buf_slice(&f->file);
    while (rest.len > 0 && dv_slice_split(&rest, '\n', &line)) {
        dv_note_verifier key;
        if (dv_note_verifier_parse(line, &key) != DV_OK ||
            strcmp(key.name, f->log->checkpoint->origin) != 0) {
            return bad_file(f, "vkey", "names a key that is none of this log");
        }
        DV_TRY(dv_note_verifier_format(&key, &f->wanted));
        DV_TRY(dv_buf_append_byte(&f->wanted, '\n'));
    }
    return f->file.len > 0 && dv_slice_eq(dv_buf_slice(&f->file), dv_buf_slice(&f->wanted))
               ? DV_OK
               : bad_file(f, "vkey", "is not as dvara-logd writes it");
}

/* Read after the checkpoint: it can only be ahead of it. A copy of the tiles alone has none. */
static dv_result check_state(files *f)
{
    const dv_checkpoint *checkpoint = f->log->checkpoint;
    dv_auto(free) dv_log_state *state = calloc(1, sizeof(*state));
    if (state == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_log_state_load(f->log->state_folder, state, f->error);
    if (result == DV_ERR_NOT_FOUND) {
        return DV_OK;
    }
    DV_TRY(result);
    const dv_log_tree *tree = dv_log_state_tree(state, f->log->name);
    if (tree == NULL) {
        return DV_OK; /* a copy's state is of one log */
    }
    if (tree->size < checkpoint->size) {
        return dv_error_set(f->error, DV_ERR_CORRUPT,
                            "state is behind the signed checkpoint of the log %s: it is of another "
                            "time, or the log's files are",
                            f->log->name);
    }
    return tree->size > checkpoint->size || dv_hash_eq(&tree->root, &checkpoint->root)
               ? DV_OK
               : dv_error_set(f->error, DV_ERR_CORRUPT,
                              "state has another root of the log %s than its checkpoint",
                              f->log->name);
}

/* -- all of it --------------------------------------------------------------------------------- */

static dv_result check_all(files *f)
{
    DV_TRY(dv_tile_files(f->log->folder, compare_file, f, f->error));
    DV_TRY(check_cosigned(f));
    DV_TRY(check_vkey(f));
    return check_state(f);
}

dv_result dv_verify_files(const dv_verified *log, uint64_t *tiles, dv_error *error)
{
    files f = {.log = log,
               .file = dv_buf_init(DV_BUNDLE_MAX),
               .bundle = dv_buf_init(DV_BUNDLE_MAX),
               .wanted = dv_buf_init(DV_BUNDLE_MAX),
               .tiles = tiles,
               .error = error};
    dv_result result = check_all(&f);
    dv_buf_release(&f.file);
    dv_buf_release(&f.bundle);
    dv_buf_release(&f.wanted);
    return result == DV_ERR_NOT_FOUND || result == DV_ERR_TOO_LARGE ? DV_ERR_CORRUPT : result;
}
