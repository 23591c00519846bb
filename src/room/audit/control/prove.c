/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/audit/proofs/{id}: proofs made from what dvara-logd serves, the tiles and checkpoints;
 * nothing of it needs to be believed by whoever gets them. */
#include "api/operations.h"
#include "base/codec.h"
#include "engine/log/proof.h"
#include "room/audit/control/internal.h"

enum { EVENTS_MAX = 1000 }; /* of one request */

typedef struct under {
    dv_logd_log log;
    dv_logd_answer note;
    dv_checkpoint checkpoint;
    int64_t cosignatures;
} under;

/* -- the checkpoint ---------------------------------------------------------------------------- */

/* Those that are not the log's own. */
static int64_t count_cosignatures(dv_slice signatures, const char *origin)
{
    int64_t count = 0;
    dv_auto(note_signature) dv_note_signature line = {.key_id = 0};
    while (dv_note_next(&signatures, &line) == DV_OK) {
        count += !dv_slice_eq_str(line.name, origin);
    }
    return count;
}

static dv_result read_checkpoint(under *u, const char *path, dv_error *error)
{
    dv_note parts;
    char asked[96];
    dv_logd_answer_release(&u->note);
    u->note = (dv_logd_answer){0};
    snprintf(asked, sizeof(asked), "%s?log=%.32s", path, u->log.name);
    DV_TRY(dv_logd_get(u->log.runtime_dir, asked, 0, &u->note, error));
    if (dv_note_split(dv_buf_slice(&u->note.body), &parts) != DV_OK ||
        dv_checkpoint_parse(parts.text, &u->checkpoint) != DV_OK) {
        return dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd sent a malformed checkpoint");
    }
    u->cosignatures = count_cosignatures(parts.signatures, u->checkpoint.origin);
    return DV_OK;
}

/* The newest one that covers the event: cosigned if there is such a one. */
static dv_result find_checkpoint(under *u, uint64_t index, dv_error *error)
{
    dv_result result = read_checkpoint(u, "/checkpoint.cosigned", error);
    if (result == DV_OK && u->checkpoint.size > index) {
        return DV_OK;
    }
    if (result != DV_OK && result != DV_ERR_NOT_FOUND) {
        return result;
    }
    DV_TRY(read_checkpoint(u, "/checkpoint", error));
    return u->checkpoint.size > index ? DV_OK
                                      : dv_error_set(error, DV_ERR_NOT_FOUND,
                                                     "the audit log has no event %" PRIu64, index);
}

/* -- the event --------------------------------------------------------------------------------- */

static dv_result get_bundle(const under *u, uint64_t bundle, uint32_t width,
                            dv_logd_answer *ret_answer, dv_error *error)
{
    char tile[DV_TILE_PATH_MAX], path[DV_TILE_PATH_MAX + 64];
    dv_tile_path(DV_TILE_ENTRIES, bundle, width, tile);
    snprintf(path, sizeof(path), "/%s?log=%.32s", tile, u->log.name);
    return dv_logd_get(u->log.runtime_dir, path, 0, ret_answer, error);
}

static dv_result find_bundle(const under *u, uint64_t index, dv_logd_answer *ret_answer,
                             dv_error *error)
{
    uint64_t bundle = index / DV_TILE_WIDTH, first = bundle * DV_TILE_WIDTH;
    uint32_t width = (uint32_t)DV_MIN(u->checkpoint.size - first, (uint64_t)DV_TILE_WIDTH);
    dv_result result = get_bundle(u, bundle, width, ret_answer, error);
    if (result == DV_ERR_NOT_FOUND && width < DV_TILE_WIDTH) { /* it became full since */
        result = get_bundle(u, bundle, DV_TILE_WIDTH, ret_answer, error);
    }
    return result == DV_ERR_NOT_FOUND
               ? dv_error_set(error, result, "event %" PRIu64 " of the log %s is pruned", index,
                              u->log.name)
               : result;
}

static dv_result find_leaf(dv_slice bundle, uint64_t index, dv_slice *ret_leaf, dv_error *error)
{
    for (uint64_t i = 0; i <= index % DV_TILE_WIDTH; i++) {
        if (dv_bundle_next(&bundle, ret_leaf) != DV_OK) {
            return dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd sent a malformed bundle");
        }
    }
    return DV_OK;
}

/* -- the proof --------------------------------------------------------------------------------- */

/* The key that signs that log now. */
static dv_result get_vkey(const under *u, dv_logd_answer *ret_vkeys, dv_error *error)
{
    char path[64];
    snprintf(path, sizeof(path), "/vkey?log=%.32s", u->log.name);
    return dv_logd_get(u->log.runtime_dir, path, 0, ret_vkeys, error);
}

static json_t *proof_json(const under *u, const char *vkey, uint64_t index, dv_slice proof,
                          dv_slice leaf)
{
    dv_auto(buf) dv_buf base64 = dv_buf_init(2 * UINT16_MAX);
    if (dv_base64_encode(leaf, &base64) != DV_OK) {
        return NULL;
    }
    return json_pack("{s:s,s:I,s:s%,s:I,s:I,s:s%,s:s%}", "log", u->log.name, "index",
                     (json_int_t)index, "vkey", vkey, strcspn(vkey, "\n"), "size",
                     (json_int_t)u->checkpoint.size, "cosignatures", (json_int_t)u->cosignatures,
                     "proof", proof.ptr, proof.len, "leaf", base64.ptr, base64.len);
}

/* Checked before it is given: a proof that does not verify helps nobody. */
static dv_result make_proof(const under *u, uint64_t index, dv_slice leaf, json_t **ret_proof,
                            dv_error *error)
{
    dv_hash hashes[DV_PROOF_MAX];
    const dv_tile_source tiles = {dv_logd_tile, (void *)(uintptr_t)&u->log};
    dv_tlog_proof proof = {.index = index, .checkpoint = dv_buf_slice(&u->note.body)};
    dv_auto(buf) dv_buf text = dv_buf_init(DV_TLOG_PROOF_MAX);
    DV_TRY(dv_tiles_inclusion_from(&tiles, index, u->checkpoint.size, hashes, &proof.hash_count,
                                   error));
    if (proof.hash_count > DV_TLOG_PROOF_HASHES_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    memcpy(proof.hashes, hashes, proof.hash_count * sizeof(hashes[0]));
    if (dv_tlog_proof_verify(&proof, leaf, &u->checkpoint) != DV_OK) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "event %" PRIu64 " is not what the log signed: dvara audit verify",
                            index);
    }
    dv_auto(logd_answer) dv_logd_answer vkeys = {0};
    DV_TRY(dv_tlog_proof_format(&proof, &text));
    DV_TRY(get_vkey(u, &vkeys, error));
    const char *vkey = dv_buf_cstr(&vkeys.body);
    *ret_proof = vkey == NULL ? NULL : proof_json(u, vkey, index, dv_buf_slice(&text), leaf);
    return *ret_proof != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result prove(const dv_logd_log *log, uint64_t index, json_t **ret_proof, dv_error *error)
{
    dv_slice leaf;
    under u = {.log = *log};
    dv_auto(logd_answer) dv_logd_answer bundle = {0};
    dv_result result = find_checkpoint(&u, index, error);
    if (result == DV_OK) {
        result = find_bundle(&u, index, &bundle, error);
    }
    if (result == DV_OK) {
        result = find_leaf(dv_buf_slice(&bundle.body), index, &leaf, error);
    }
    if (result == DV_OK) {
        result = make_proof(&u, index, leaf, ret_proof, error);
    }
    dv_logd_answer_release(&u.note);
    return result;
}

/* -- which events ------------------------------------------------------------------------------ */

/* The request's events of all logs, as lines {"index","log","event"}. */
static dv_result find_request(const char *runtime_dir, const char *id, json_t **ret_lines,
                              dv_error *error)
{
    char path[128];
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    snprintf(path, sizeof(path), "/events?request_id=%.64s", id);
    DV_TRY(dv_logd_get(runtime_dir, path, 0, &answer, error));
    return dv_logd_lines(dv_buf_slice(&answer.body), ret_lines, error);
}

static dv_result add_proof(const dv_logd_log *log, uint64_t index, json_t *items, dv_error *error)
{
    json_t *proof = NULL;
    DV_TRY(prove(log, index, &proof, error));
    return json_array_append_new(items, proof) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result prove_request(const char *runtime_dir, const char *id, json_t *items,
                               dv_error *error)
{
    json_t *lines = NULL;
    DV_TRY(find_request(runtime_dir, id, &lines, error));
    dv_result result = json_array_size(lines) > 0
                           ? DV_OK
                           : dv_error_set(error, DV_ERR_NOT_FOUND,
                                          "the audit log has no event of the request %.64s", id);
    for (size_t i = 0; result == DV_OK && i < json_array_size(lines) && i < EVENTS_MAX; i++) {
        const json_t *line = json_array_get(lines, i);
        const char *name = dv_event_text(line, "log");
        const dv_logd_log log = {runtime_dir, name[0] == '\0' ? "main" : name};
        result = add_proof(&log, (uint64_t)dv_event_int(line, "index"), items, error);
    }
    json_decref(lines);
    return result;
}

dv_result dv_op_audit_proof(dv_call *call, dv_error *error)
{
    uint64_t index;
    const char *id = dv_call_param(call, "id");
    const char *runtime_dir = call->services->runtime_dir, *name = dv_call_param(call, "log");
    const under asked = {.log = {runtime_dir, name == NULL ? "main" : name}};
    dv_auto(logd_answer) dv_logd_answer vkeys = {0};
    DV_TRY(get_vkey(&asked, &vkeys, error));
    const char *vkey = dv_buf_cstr(&vkeys.body);
    json_t *items = json_array();
    if (items == NULL || vkey == NULL) {
        json_decref(items);
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_decimal_parse(dv_slice_str(id), &index) == DV_OK
                           ? add_proof(&asked.log, index, items, error)
                           : prove_request(runtime_dir, id, items, error);
    if (result != DV_OK) {
        json_decref(items);
        return result;
    }
    call->answer = json_pack("{s:s%,s:o}", "vkey", vkey, strcspn(vkey, "\n"), "items", items);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}
