/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/tiles.h"

#include "base/file.h"
#include "engine/log/pack.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <unistd.h>

/* -- names ------------------------------------------------------------------------------------- */

/* "x001/x234/067": three digits each, all but the last behind an x. Returns the length. */
static size_t index_path(uint64_t index, bool last, char *out, size_t room)
{
    size_t len = index >= 1000 ? index_path(index / 1000, false, out, room) : 0;
    unsigned digits = (unsigned)(index % 1000);
    int added = last ? snprintf(out + len, room - len, "%03u", digits)
                     : snprintf(out + len, room - len, "x%03u/", digits);
    return len + (size_t)added;
}

size_t dv_tile_path(int level, uint64_t index, uint32_t width, char out[DV_TILE_PATH_MAX])
{
    char place[DV_TILE_PATH_MAX];
    char level_name[16] = "entries";
    char partial[16] = "";
    index_path(index, true, place, sizeof(place));
    if (level != DV_TILE_ENTRIES) {
        snprintf(level_name, sizeof(level_name), "%d", level);
    }
    if (width < DV_TILE_WIDTH) {
        snprintf(partial, sizeof(partial), ".p/%" PRIu32, width);
    }
    return (size_t)snprintf(out, DV_TILE_PATH_MAX, "tile/%s/%.64s%s", level_name, place, partial);
}

/* -- files ------------------------------------------------------------------------------------- */

static dv_result full_path(const char *folder, const char *name, char out[PATH_MAX],
                           dv_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    if (len < 0 || len >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
    }
    return DV_OK;
}

static dv_result read_one(const char *folder, int level, uint64_t index, uint32_t width,
                          dv_buf *out, dv_error *error)
{
    char name[DV_TILE_PATH_MAX], path[PATH_MAX];
    dv_tile_path(level, index, width, name);
    DV_TRY(full_path(folder, name, path, error));
    return access(path, F_OK) == 0 ? dv_file_read(path, out, error) : DV_ERR_NOT_FOUND;
}

/* Reads the file that holds at least `width` of a tile: its own partial one, the full one, or the
 * next wider partial one (a log that grew since the checkpoint was read). Its own comes first: a
 * wider one may just be being written. */
static dv_result read_tile_file(const char *folder, int level, uint64_t index, uint32_t width,
                                dv_buf *out, dv_error *error)
{
    dv_result result = read_one(folder, level, index, width, out, error);
    if (result == DV_ERR_NOT_FOUND && width < DV_TILE_WIDTH) {
        result = read_one(folder, level, index, DV_TILE_WIDTH, out, error);
    }
    for (uint32_t w = width + 1; w < DV_TILE_WIDTH && result == DV_ERR_NOT_FOUND; w++) {
        result = read_one(folder, level, index, w, out, error);
    }
    if (result == DV_ERR_NOT_FOUND && width < DV_TILE_WIDTH) { /* it became full meanwhile */
        result = read_one(folder, level, index, DV_TILE_WIDTH, out, error);
    }
    return result;
}

static dv_result missing(int level, uint64_t index, uint32_t width, dv_error *error)
{
    char name[DV_TILE_PATH_MAX];
    dv_tile_path(level, index, width, name);
    return dv_error_set(error, DV_ERR_NOT_FOUND, "%s is missing", name);
}

static dv_result bad_tile(int level, uint64_t index, uint32_t width, const char *what,
                          dv_error *error)
{
    char name[DV_TILE_PATH_MAX];
    dv_tile_path(level, index, width, name);
    return dv_error_set(error, DV_ERR_CORRUPT, "%s %s", name, what);
}

/* Of level 0, what a pack holds in place of the file. */
static dv_result hash_entries(const char *folder, uint64_t index, uint32_t width,
                              dv_hash ret_hashes[DV_TILE_WIDTH], dv_error *error)
{
    dv_slice entry;
    dv_auto(buf) dv_buf bundle = dv_buf_init(DV_BUNDLE_MAX);
    DV_TRY(dv_bundle_read(folder, NULL, index, width, &bundle, error));
    dv_slice rest = dv_buf_slice(&bundle);
    for (uint32_t i = 0; i < width; i++) {
        DV_TRY(dv_bundle_next(&rest, &entry));
        ret_hashes[i] = dv_merkle_leaf(entry);
    }
    return DV_OK;
}

dv_result dv_tile_read(const char *folder, int level, uint64_t index, uint32_t width,
                       dv_hash ret_hashes[DV_TILE_WIDTH], dv_error *error)
{
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_TILE_WIDTH * DV_HASH_LEN);
    dv_result result = read_tile_file(folder, level, index, width, &bytes, error);
    if (result == DV_ERR_NOT_FOUND && level == 0) {
        result = hash_entries(folder, index, width, ret_hashes, error);
        return result == DV_ERR_NOT_FOUND ? missing(level, index, width, error) : result;
    }
    if (result == DV_ERR_NOT_FOUND) {
        return missing(level, index, width, error);
    }
    DV_TRY(result);
    if (bytes.len < (size_t)width * DV_HASH_LEN || bytes.len % DV_HASH_LEN != 0) {
        return bad_tile(level, index, width, "has a wrong length", error);
    }
    memcpy(ret_hashes, bytes.ptr, (size_t)width * DV_HASH_LEN);
    return DV_OK;
}

dv_result dv_bundle_next(dv_slice *bundle, dv_slice *ret_entry)
{
    enum { LENGTH = 2 };
    if (bundle->len == 0) {
        return DV_ERR_NOT_FOUND;
    }
    if (bundle->len < LENGTH) {
        return DV_ERR_CORRUPT;
    }
    size_t len = (size_t)bundle->ptr[0] << 8 | bundle->ptr[1];
    if (bundle->len < LENGTH + len) {
        return DV_ERR_CORRUPT;
    }
    *ret_entry = dv_slice_sub(*bundle, LENGTH, len);
    *bundle = dv_slice_sub(*bundle, LENGTH + len, bundle->len);
    return DV_OK;
}

/* Cuts the bundle behind its first `width` entries. */
static dv_result keep_entries(dv_buf *bytes, size_t start, uint32_t width)
{
    dv_slice rest = dv_slice_of(bytes->ptr + start, bytes->len - start);
    dv_slice entry;
    for (uint32_t i = 0; i < width; i++) {
        if (dv_bundle_next(&rest, &entry) != DV_OK) {
            return DV_ERR_CORRUPT;
        }
    }
    if (width == DV_TILE_WIDTH && rest.len != 0) {
        return DV_ERR_CORRUPT;
    }
    bytes->len -= rest.len;
    return DV_OK;
}

static dv_result read_packed(const char *folder, dv_pack_reader *packs, uint64_t index,
                             uint32_t width, dv_buf *out, dv_error *error)
{
    dv_auto(pack_reader) dv_pack_reader *own = NULL;
    if (packs == NULL) {
        DV_TRY(dv_pack_reader_new(folder, &own));
        packs = own;
    }
    return dv_pack_bundle(packs, index * DV_TILE_WIDTH, width, out, error);
}

dv_result dv_bundle_read(const char *folder, dv_pack_reader *packs, uint64_t index, uint32_t width,
                         dv_buf *out, dv_error *error)
{
    size_t start = out->len;
    dv_result result = read_tile_file(folder, DV_TILE_ENTRIES, index, width, out, error);
    if (result == DV_OK && keep_entries(out, start, width) != DV_OK) {
        out->len = start;
        return bad_tile(DV_TILE_ENTRIES, index, width, "is not made of whole entries", error);
    }
    if (result == DV_ERR_NOT_FOUND) {
        result = read_packed(folder, packs, index, width, out, error);
    }
    if (result != DV_OK) {
        out->len = start;
    }
    return result == DV_ERR_NOT_FOUND ? missing(DV_TILE_ENTRIES, index, width, error) : result;
}

/* -- hashes of the tree out of tiles ----------------------------------------------------------- */

/* The tree of `size` leaves; remembers the tile it read last on each level. */
typedef struct tree_reader {
    dv_tile_source source;
    uint64_t size;
    dv_error *error;
    struct {
        bool loaded;
        uint64_t index;
        dv_hash hashes[DV_TILE_WIDTH];
    } levels[8];
} tree_reader;

static uint32_t tile_width(uint64_t size, int level, uint64_t index)
{
    uint64_t nodes = size >> (DV_TILE_HEIGHT * level);
    uint64_t before = index * DV_TILE_WIDTH;
    return nodes <= before ? 0 : (uint32_t)DV_MIN(nodes - before, (uint64_t)DV_TILE_WIDTH);
}

static dv_result load_tile(tree_reader *reader, int level, uint64_t index,
                           const dv_hash **ret_hashes)
{
    uint32_t width = tile_width(reader->size, level, index);
    if (width == 0) {
        return DV_ERR_INTERNAL;
    }
    if (!reader->levels[level].loaded || reader->levels[level].index != index) {
        reader->levels[level].loaded = false;
        DV_TRY(reader->source.read(reader->source.data, level, index, width,
                                   reader->levels[level].hashes, reader->error));
        reader->levels[level].loaded = true;
        reader->levels[level].index = index;
    }
    *ret_hashes = reader->levels[level].hashes;
    return DV_OK;
}

/* The hash over the leaves [start, start + 2^height), start being a multiple of that. */
static dv_result node_hash(tree_reader *reader, uint64_t start, int height, dv_hash *ret_hash)
{
    const dv_hash *tile;
    int level = height / DV_TILE_HEIGHT;
    uint64_t first = start >> (DV_TILE_HEIGHT * level); /* on the tile's level */
    if (level >= (int)DV_ARRAY_LEN(reader->levels)) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(load_tile(reader, level, first / DV_TILE_WIDTH, &tile));
    *ret_hash =
        dv_merkle_root(tile + first % DV_TILE_WIDTH, (size_t)1 << (height % DV_TILE_HEIGHT));
    return DV_OK;
}

static int log2_floor(uint64_t n)
{
    return 63 - __builtin_clzll(n);
}

/* RFC 6962's MTH over the leaves [start, end). */
static dv_result range_hash(tree_reader *reader, uint64_t start, uint64_t end, dv_hash *ret_hash)
{
    uint64_t len = end - start;
    if ((len & (len - 1)) == 0) {
        return node_hash(reader, start, log2_floor(len), ret_hash);
    }
    uint64_t k = UINT64_C(1) << log2_floor(len - 1);
    dv_hash left, right;
    DV_TRY(node_hash(reader, start, log2_floor(k), &left));
    DV_TRY(range_hash(reader, start + k, end, &right));
    *ret_hash = dv_merkle_node(&left, &right);
    return DV_OK;
}

static dv_result read_from_folder(void *data, int level, uint64_t index, uint32_t width,
                                  dv_hash ret_hashes[DV_TILE_WIDTH], dv_error *error)
{
    return dv_tile_read(data, level, index, width, ret_hashes, error);
}

/* The folder is only read. */
static dv_tile_source folder_source(const char *folder)
{
    return (dv_tile_source){read_from_folder, (void *)(uintptr_t)folder};
}

static dv_result reader_new(const dv_tile_source *source, uint64_t size, dv_error *error,
                            tree_reader **ret_reader)
{
    tree_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    reader->source = *source;
    reader->size = size;
    reader->error = error;
    *ret_reader = reader;
    return DV_OK;
}

dv_result dv_tiles_root_from(const dv_tile_source *source, uint64_t size, dv_hash *ret_root,
                             dv_error *error)
{
    dv_auto(free) tree_reader *reader = NULL;
    dv_hash root;
    DV_TRY(reader_new(source, size, error, &reader));
    DV_TRY(range_hash(reader, 0, size, &root));
    *ret_root = root;
    return DV_OK;
}

dv_result dv_tiles_root(const char *folder, uint64_t size, dv_hash *ret_root, dv_error *error)
{
    dv_tile_source source = folder_source(folder);
    if (size == 0) {
        *ret_root = dv_merkle_empty();
        return DV_OK;
    }
    return dv_tiles_root_from(&source, size, ret_root, error);
}

/* A proof on its way: hashes from the leaf's side up. */
typedef struct proof {
    dv_hash *hashes;
    size_t len;
} proof;

static dv_result proof_add(tree_reader *reader, uint64_t start, uint64_t end, proof *out)
{
    if (out->len == DV_PROOF_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    return range_hash(reader, start, end, &out->hashes[out->len++]);
}

/* RFC 6962 section 2.1.1: PATH(index, D[start:end]). */
static dv_result inclusion_path(tree_reader *reader, uint64_t index, uint64_t start, uint64_t end,
                                proof *out)
{
    if (end - start == 1) {
        return DV_OK;
    }
    uint64_t middle = start + (UINT64_C(1) << log2_floor(end - start - 1));
    if (index < middle) {
        DV_TRY(inclusion_path(reader, index, start, middle, out));
        return proof_add(reader, middle, end, out);
    }
    DV_TRY(inclusion_path(reader, index, middle, end, out));
    return proof_add(reader, start, middle, out);
}

dv_result dv_tiles_inclusion_from(const dv_tile_source *source, uint64_t index, uint64_t size,
                                  dv_hash *ret_proof, size_t *ret_len, dv_error *error)
{
    dv_auto(free) tree_reader *reader = NULL;
    proof out = {ret_proof, 0};
    if (index >= size) {
        return dv_error_set(error, DV_ERR_INVALID, "the tree has no such leaf");
    }
    DV_TRY(reader_new(source, size, error, &reader));
    DV_TRY(inclusion_path(reader, index, 0, size, &out));
    *ret_len = out.len;
    return DV_OK;
}

dv_result dv_tiles_inclusion(const char *folder, uint64_t index, uint64_t size, dv_hash *ret_proof,
                             size_t *ret_len, dv_error *error)
{
    dv_tile_source source = folder_source(folder);
    return dv_tiles_inclusion_from(&source, index, size, ret_proof, ret_len, error);
}

/* RFC 6962 section 2.1.2: SUBPROOF(m, D[start:end], whole). */
static dv_result subproof(tree_reader *reader, uint64_t m, uint64_t start, uint64_t end, bool whole,
                          proof *out)
{
    if (m == end) {
        return whole ? DV_OK : proof_add(reader, start, end, out);
    }
    uint64_t middle = start + (UINT64_C(1) << log2_floor(end - start - 1));
    if (m <= middle) {
        DV_TRY(subproof(reader, m, start, middle, whole, out));
        return proof_add(reader, middle, end, out);
    }
    DV_TRY(subproof(reader, m, middle, end, false, out));
    return proof_add(reader, start, middle, out);
}

dv_result dv_tiles_consistency_from(const dv_tile_source *source, uint64_t old_size,
                                    uint64_t new_size, dv_hash *ret_proof, size_t *ret_len,
                                    dv_error *error)
{
    dv_auto(free) tree_reader *reader = NULL;
    proof out = {ret_proof, 0};
    if (old_size == 0 || old_size > new_size) {
        return dv_error_set(error, DV_ERR_INVALID, "there is no such pair of trees");
    }
    DV_TRY(reader_new(source, new_size, error, &reader));
    DV_TRY(subproof(reader, old_size, 0, new_size, true, &out));
    *ret_len = out.len;
    return DV_OK;
}

dv_result dv_tiles_consistency(const char *folder, uint64_t old_size, uint64_t new_size,
                               dv_hash *ret_proof, size_t *ret_len, dv_error *error)
{
    dv_tile_source source = folder_source(folder);
    return dv_tiles_consistency_from(&source, old_size, new_size, ret_proof, ret_len, error);
}

/* -- checkpoint and key ------------------------------------------------------------------------ */

dv_result dv_tiles_checkpoint(const char *folder, const dv_note_verifier *verifier,
                              dv_checkpoint *ret_checkpoint, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    DV_TRY(full_path(folder, "checkpoint", path, error));
    DV_TRY(dv_file_read(path, &note, error));
    dv_result result = dv_checkpoint_open(dv_buf_slice(&note), verifier, ret_checkpoint);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, DV_ERR_CORRUPT, "checkpoint is not signed by %s+%08" PRIx32,
                            verifier->name, verifier->key_id);
    }
    if (result == DV_ERR_INVALID) {
        return dv_error_set(error, DV_ERR_CORRUPT, "checkpoint is malformed");
    }
    return result == DV_OK ? DV_OK
                           : dv_error_set(error, result, "checkpoint: its signature is wrong");
}

dv_result dv_tiles_vkey(const char *folder, dv_note_verifier *ret_verifier, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(1024);
    DV_TRY(full_path(folder, "vkey", path, error));
    DV_TRY(dv_file_read(path, &text, error));
    dv_slice rest = dv_buf_slice(&text), line = {0};
    dv_result result = DV_ERR_INVALID;
    if (dv_slice_split(&rest, '\n', &line)) {
        result = dv_note_verifier_parse(dv_slice_trim(line), ret_verifier);
    }
    return result == DV_OK ? DV_OK : dv_error_set(error, DV_ERR_CORRUPT, "vkey holds no key");
}
