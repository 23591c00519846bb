/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/audit/log: a piece of this node's log for a copy elsewhere, made of what dvara-logd
 * serves. Nothing of it needs to be believed by whoever gets it (engine/log/replica.h). */
#include "api/operations.h"
#include "base/codec.h"
#include "engine/log/note.h"
#include "room/audit/control/internal.h"

enum { CUTS_MAX = 3, PRUNED_LEVEL = 2, LEVELS = 8 };

typedef struct piece {
    dv_logd_log log;
    bool is_main;
    dv_buf note;
    json_t *others; /* NULL: there are none, or they were not asked for */
    dv_logd_answer entries;
    uint64_t size; /* of the tree that everything is proved against */
    uint64_t minimum;
    uint64_t from, seen, next;
    json_t *answer;
} piece;

/* -- what there is ----------------------------------------------------------------------------- */

static dv_result read_note(const piece *p, const char *log, dv_buf *out, uint64_t *ret_size,
                           dv_error *error)
{
    char path[96];
    dv_note parts;
    dv_checkpoint checkpoint;
    dv_auto(logd_answer) dv_logd_answer answer = {dv_buf_init(0), 0};
    snprintf(path, sizeof(path), "/checkpoint?log=%.32s", log);
    DV_TRY(dv_logd_get(p->log.runtime_dir, path, 0, &answer, error));
    if (dv_note_split(dv_buf_slice(&answer.body), &parts) != DV_OK ||
        dv_checkpoint_parse(parts.text, &checkpoint) != DV_OK) {
        return dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd sent a malformed checkpoint");
    }
    *ret_size = checkpoint.size;
    dv_buf_clear(out);
    return dv_buf_append(out, dv_buf_slice(&answer.body));
}

static dv_result add_other(const piece *p, const char *name, uint64_t size, bool *same,
                           dv_error *error)
{
    uint64_t now;
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    DV_TRY(read_note(p, name, &note, &now, error));
    *same = *same && now == size;
    return json_object_set_new(p->others, name, json_stringn((const char *)note.ptr, note.len)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

/* The newest notes of all logs. *same: they are of one commit of dvara-logd's. */
static dv_result read_notes(piece *p, const json_t *logs, bool *same, dv_error *error)
{
    size_t i;
    json_t *log;
    *same = true;
    json_object_clear(p->others);
    json_array_foreach(logs, i, log)
    {
        const char *name = dv_event_text(log, "name");
        uint64_t size = (uint64_t)dv_event_int(log, "size");
        if (strcmp(name, p->log.name) == 0) {
            DV_TRY(read_note(p, name, &p->note, &p->size, error));
            p->minimum = (uint64_t)dv_event_int(log, "minimum");
            *same = *same && p->size == size;
        } else if (p->is_main) {
            DV_TRY(add_other(p, name, size, same, error));
        }
    }
    return p->size > 0 || p->note.len > 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_NOT_FOUND, "there is no log of that name");
}

/* A copy whose logs are of one moment has all records of each writer, or none of its last ones. */
static dv_result read_cut(piece *p, dv_error *error)
{
    bool same = false;
    p->others = json_object();
    for (int i = 0; i < CUTS_MAX && !same; i++) {
        json_t *logs = NULL;
        DV_TRY(dv_logd_logs(p->log.runtime_dir, &logs, error));
        dv_result result = read_notes(p, logs, &same, error);
        json_decref(logs);
        DV_TRY(result);
    }
    if (!same || !p->is_main) {
        json_decref(p->others);
        p->others = NULL;
    }
    return DV_OK;
}

/* What the caller goes by may be older than the newest. */
static dv_result take_size(piece *p, uint64_t wanted, dv_error *error)
{
    if (wanted > p->size) {
        return dv_error_set(error, DV_ERR_CONFLICT, "the log has fewer entries");
    }
    p->size = wanted > 0 ? wanted : p->size;
    if (p->from == 0 && p->minimum <= p->size) {
        p->from = p->minimum; /* who begins anew begins where there is something */
    }
    return DV_OK;
}

static dv_result read_entries(piece *p, uint64_t most, dv_error *error)
{
    char path[192];
    p->next = p->from;
    if (most == 0 || p->from >= p->size) {
        return DV_OK;
    }
    if (p->from < p->minimum) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "entries before %" PRIu64 " are pruned",
                            p->minimum);
    }
    snprintf(path, sizeof(path), "/copy?log=%.32s&from=%" PRIu64 "&to=%" PRIu64 "&most=%" PRIu64,
             p->log.name, p->from, p->size, most);
    DV_TRY(dv_logd_get(p->log.runtime_dir, path, 0, &p->entries, error));
    /* None, when dvara-logd has not told its own threads yet of what it has just signed. */
    bool fits = p->entries.next >= p->from && p->entries.next <= p->size;
    p->next = fits ? p->entries.next : p->from;
    return fits ? DV_OK : dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd sent no entries");
}

/* -- the answer -------------------------------------------------------------------------------- */

static json_t *base64_json(dv_slice bytes)
{
    dv_auto(buf) dv_buf text = dv_buf_init(16 << 20);
    if (bytes.len == 0) {
        return json_string("");
    }
    return dv_base64_encode(bytes, &text) == DV_OK ? json_stringn((const char *)text.ptr, text.len)
                                                   : NULL;
}

static dv_result put(json_t *object, const char *name, json_t *value)
{
    return value != NULL && json_object_set_new(object, name, value) == 0 ? DV_OK
                                                                          : DV_ERR_NO_MEMORY;
}

static dv_result put_hashes(json_t *list, const dv_hash *hashes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        json_t *hash = base64_json(dv_slice_of(hashes[i].bytes, DV_HASH_LEN));
        if (hash == NULL || json_array_append_new(list, hash) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

/* The tree of that size is a prefix of the checkpoint's: nothing to prove of none and of all. */
static dv_result put_proof(const piece *p, const char *name, uint64_t size, dv_error *error)
{
    dv_hash hashes[DV_PROOF_MAX];
    size_t len = 0;
    const dv_tile_source tiles = {dv_logd_tile, (void *)(uintptr_t)&p->log};
    json_t *proof = json_array();
    DV_TRY(put(p->answer, name, proof));
    if (size == 0 || size >= p->size) {
        return DV_OK;
    }
    DV_TRY(dv_tiles_consistency_from(&tiles, size, p->size, hashes, &len, error));
    return put_hashes(proof, hashes, len);
}

/* Who begins behind what was pruned needs the right edge of the tree there. A pack is what a hash
 * of level 2 is over, so that the levels below have none. */
static dv_result put_edge(const piece *p, dv_error *error)
{
    dv_hash hashes[DV_TILE_WIDTH];
    json_t *edge = json_array();
    DV_TRY(put(p->answer, "edge", edge));
    for (int level = PRUNED_LEVEL; level < LEVELS; level++) {
        uint64_t nodes = p->from >> (DV_TILE_HEIGHT * level);
        uint32_t width = (uint32_t)(nodes % DV_TILE_WIDTH);
        if (width > 0) {
            DV_TRY(dv_logd_tile((void *)(uintptr_t)&p->log, level, nodes / DV_TILE_WIDTH, width,
                                hashes, error));
            DV_TRY(put_hashes(edge, hashes, width));
        }
    }
    return DV_OK;
}

static dv_result put_seen(const piece *p, dv_error *error)
{
    dv_hash root;
    const dv_tile_source tiles = {dv_logd_tile, (void *)(uintptr_t)&p->log};
    if (p->seen == 0 || p->seen >= p->size) {
        return DV_OK;
    }
    DV_TRY(dv_tiles_root_from(&tiles, p->seen, &root, error));
    DV_TRY(put(p->answer, "seen_root", base64_json(dv_slice_of(root.bytes, DV_HASH_LEN))));
    return put_proof(p, "seen_proof", p->seen, error);
}

static dv_result make_answer(piece *p, bool begins, dv_error *error)
{
    p->answer = json_pack("{s:s%,s:I,s:I}", "note", p->note.ptr, p->note.len, "from",
                          (json_int_t)p->from, "next", (json_int_t)p->next);
    if (p->answer == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (p->others != NULL && json_object_set(p->answer, "others", p->others) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(put(p->answer, "entries", base64_json(dv_buf_slice(&p->entries.body))));
    DV_TRY(put_proof(p, "proof", p->next, error));
    DV_TRY(begins && p->from > 0 ? put_edge(p, error) : DV_OK);
    return put_seen(p, error);
}

static uint64_t number_of(const dv_call *call, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(call->params, name));
}

static dv_result make_piece(dv_call *call, piece *p, dv_error *error)
{
    char asked[128];
    bool begins = p->from == 0;
    DV_TRY(read_cut(p, error));
    DV_TRY(take_size(p, number_of(call, "size"), error));
    DV_TRY(read_entries(p, number_of(call, "most"), error));
    DV_TRY(make_answer(p, begins, error));
    snprintf(asked, sizeof(asked), "copy of %.32s, %" PRIu64 "..%" PRIu64, p->log.name, p->from,
             p->next);
    return dv_audit_reading(call, asked, (size_t)(p->next - p->from));
}

dv_result dv_op_audit_copy(dv_call *call, dv_error *error)
{
    const char *log = dv_call_param(call, "log");
    piece p = {.log = {call->services->runtime_dir, log},
               .is_main = strcmp(log, "main") == 0,
               .note = dv_buf_init(DV_NOTE_MAX),
               .entries = {.body = dv_buf_init(0)},
               .from = number_of(call, "from"),
               .seen = number_of(call, "seen")};
    dv_result result = make_piece(call, &p, error);
    dv_buf_release(&p.note);
    dv_logd_answer_release(&p.entries);
    json_decref(p.others);
    if (result != DV_OK) {
        json_decref(p.answer);
        return result;
    }
    call->answer = p.answer;
    return DV_OK;
}
