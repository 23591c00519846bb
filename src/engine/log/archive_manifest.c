/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "base/file.h"
#include "engine/log/archive_private.h"
#include "engine/log/pack.h"
#include "engine/log/sequencer.h"

#include <inttypes.h>

/* For whoever finds the file in ten years. */
static const char heading[] =
    "dvara-archive 1\n"
    "# A part of an append-only log (https://c2sp.org/tlog-tiles), as these files:\n"
    "#   checkpoint     signed by the key in vkey (https://c2sp.org/signed-note)\n"
    "#   tile/entries/  events [from, to) in JSON, each behind its length in two bytes\n"
    "#   tile/1/ ...    hashes over them; those over what came before are needed for the root\n"
    "#   blob/          what was too large for an event: its number in 8 bytes, a length in 4, "
    "and\n"
    "#                  the bytes, whose SHA-256 is in the event (unmapped.dvara.blob)\n"
    "#   rotated/       how each former key named the next (https://c2sp.org/tlog-proof)\n"
    "# consistency: the proof of RFC 6962 from the tree of `to` events to the checkpoint's.\n"
    "# Texts that begin with ~1. are personal values, sealed under keys that are not here.\n";

dv_result dv_archive_manifest_format(const dv_archive_manifest *manifest, dv_buf *out)
{
    DV_TRY(dv_buf_append_printf(out, "%sorigin %s\nlog %s\nfrom %" PRIu64 "\nto %" PRIu64 "\n",
                                heading, manifest->origin, manifest->log, manifest->from,
                                manifest->to));
    for (size_t i = 0; i < manifest->rotated_len; i++) {
        DV_TRY(dv_buf_append_printf(out, "rotated %08" PRIx32 "\n", manifest->rotated[i]));
    }
    for (size_t i = 0; i < manifest->proof_len; i++) {
        DV_TRY(dv_buf_append_str(out, "consistency "));
        DV_TRY(dv_hash_format(&manifest->proof[i], out));
        DV_TRY(dv_buf_append_byte(out, '\n'));
    }
    return DV_OK;
}

/* The rest of the next line, which begins with that word. */
static bool take_line(dv_slice *text, dv_slice word, dv_slice *ret_rest)
{
    dv_slice line;
    if (!dv_slice_split(text, '\n', &line) || !dv_slice_starts_with(line, word)) {
        return false;
    }
    *ret_rest = dv_slice_sub(line, word.len, line.len);
    return true;
}

static bool read_rotated(dv_slice *text, dv_archive_manifest *m)
{
    dv_slice id;
    uint8_t bytes[sizeof(uint32_t)];
    while (dv_slice_starts_with(*text, DV_LIT("rotated "))) {
        if (m->rotated_len == DV_ARCHIVE_ROTATED_MAX || !take_line(text, DV_LIT("rotated "), &id) ||
            id.len != 2 * sizeof(bytes) || dv_hex_decode(id, bytes, sizeof(bytes)) != DV_OK) {
            return false;
        }
        m->rotated[m->rotated_len++] = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
                                       (uint32_t)bytes[2] << 8 | bytes[3];
    }
    return true;
}

static bool read_lines(dv_slice text, dv_archive_manifest *m)
{
    dv_slice origin, log, from, to, hash;
    if (!take_line(&text, DV_LIT("origin "), &origin) || !take_line(&text, DV_LIT("log "), &log) ||
        !take_line(&text, DV_LIT("from "), &from) || !take_line(&text, DV_LIT("to "), &to) ||
        origin.len > DV_NOTE_NAME_MAX || !dv_log_name_is(log) ||
        dv_decimal_parse(from, &m->from) != DV_OK || dv_decimal_parse(to, &m->to) != DV_OK) {
        return false;
    }
    dv_slice_copy(origin, m->origin, sizeof(m->origin));
    dv_slice_copy(log, m->log, sizeof(m->log));
    if (!read_rotated(&text, m)) {
        return false;
    }
    while (text.len > 0) {
        if (m->proof_len == DV_PROOF_MAX || !take_line(&text, DV_LIT("consistency "), &hash) ||
            dv_hash_parse(hash, &m->proof[m->proof_len]) != DV_OK) {
            return false;
        }
        m->proof_len++;
    }
    return true;
}

dv_result dv_archive_manifest_parse(dv_slice text, dv_archive_manifest *ret_manifest,
                                    dv_error *error)
{
    dv_archive_manifest manifest = {.from = 0};
    dv_auto(buf) dv_buf again = dv_buf_init(DV_ARCHIVE_MANIFEST_MAX);
    size_t head = sizeof(heading) - 1;
    if (!dv_slice_starts_with(text, dv_slice_str(heading)) ||
        !read_lines(dv_slice_sub(text, head, text.len), &manifest) ||
        dv_archive_manifest_format(&manifest, &again) != DV_OK ||
        !dv_slice_eq(text, dv_buf_slice(&again))) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "its file " DV_ARCHIVE_MANIFEST
                            " is not as Dvara writes it, or of a later version");
    }
    *ret_manifest = manifest;
    return DV_OK;
}

dv_result dv_archive_manifest_load(const char *folder, dv_archive_manifest *ret_manifest,
                                   dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(DV_ARCHIVE_MANIFEST_MAX);
    int len = snprintf(path, sizeof(path), "%s/" DV_ARCHIVE_MANIFEST, folder);
    if (len < 0 || len >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
    }
    DV_TRY(dv_file_read(path, &text, error));
    return dv_archive_manifest_parse(dv_buf_slice(&text), ret_manifest, error);
}

dv_result dv_archive_range_of(const char *folder, dv_archive_range *ret_range, dv_error *error)
{
    dv_archive_manifest manifest;
    DV_TRY(dv_archive_manifest_load(folder, &manifest, error));
    *ret_range = (dv_archive_range){manifest.from, manifest.to};
    return DV_OK;
}

bool dv_archive_range_is(uint64_t from, uint64_t to, uint64_t size)
{
    return from % DV_PACK_LEAVES == 0 && from < to && to <= size &&
           (to % DV_TILE_WIDTH == 0 || to == size);
}

dv_result dv_archive_prove(const dv_archive_manifest *manifest, const dv_hash *root,
                           const dv_checkpoint *checkpoint, dv_error *error)
{
    dv_result result =
        dv_merkle_verify_consistency(manifest->to, checkpoint->size, root, &checkpoint->root,
                                     manifest->proof, manifest->proof_len);
    return result == DV_OK
               ? DV_OK
               : dv_error_set(error, DV_ERR_CORRUPT,
                              "the entries, the hashes before them and the consistency proof do "
                              "not lead to the root that the checkpoint signs");
}

void dv_archive_frontier_place(dv_frontier *frontier, uint64_t from)
{
    memset(frontier, 0, sizeof(*frontier));
    for (int level = 0; level < DV_TILE_LEVELS; level++) {
        uint64_t nodes = from >> (DV_TILE_HEIGHT * level);
        frontier->levels[level].index = nodes / DV_TILE_WIDTH;
        frontier->levels[level].width = (uint32_t)(nodes % DV_TILE_WIDTH);
    }
}

bool dv_archive_tile_stays(const dv_archive_manifest *manifest, int level)
{
    int shift = DV_TILE_HEIGHT * level;
    return manifest->from >> shift == manifest->to >> shift;
}
