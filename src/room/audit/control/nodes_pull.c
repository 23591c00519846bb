/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/control/nodes_pull.h"

#include "base/codec.h"
#include "base/file.h"
#include "engine/log/sequencer.h"
#include "room/audit/control/nodes_http.h"

#include <inttypes.h>
#include <limits.h>
#include <sys/statvfs.h>

enum {
    ANSWER_MAX = 2 * DV_REPLICA_ENTRIES_MAX,
    PIECE = 1 << 20, /* bytes of entries that are asked for at a time */
    TIMEOUT_MS = 30000,
    FOLDER_MODE = 0700,
};
static const dv_time round_most = 20 * DV_SECOND; /* then it is the next node's turn */

const char *dv_node_state_name(dv_node_state state)
{
    static const char *const names[] = {"search_only", "waiting",    "ok",      "catching_up",
                                        "unavailable", "refuses",    "stopped", "unsigned",
                                        "damaged",     "taken_back", "forked"};
    return names[state];
}

bool dv_node_state_is_alarm(dv_node_state state)
{
    return state >= DV_NODE_UNSIGNED;
}

/* -- the answer -------------------------------------------------------------------------------- */

static dv_result read_base64(const json_t *text, dv_buf *out)
{
    return json_is_string(text)
               ? dv_base64_decode(dv_slice_of(json_string_value(text), json_string_length(text)),
                                  out)
               : DV_ERR_INVALID;
}

static dv_result read_hash(const json_t *text, dv_hash *out)
{
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_HASH_LEN);
    DV_TRY(read_base64(text, &bytes));
    if (bytes.len != DV_HASH_LEN) {
        return DV_ERR_INVALID;
    }
    memcpy(out->bytes, bytes.ptr, DV_HASH_LEN);
    return DV_OK;
}

/* Absent is empty. */
static dv_result read_hashes(const json_t *list, size_t most, dv_hash *out, size_t *ret_len)
{
    size_t len = json_array_size(list);
    if (len > most) {
        return DV_ERR_TOO_LARGE;
    }
    for (size_t i = 0; i < len; i++) {
        DV_TRY(read_hash(json_array_get(list, i), &out[i]));
    }
    *ret_len = len;
    return DV_OK;
}

static dv_result read_proofs(const json_t *answer, dv_node_piece *out)
{
    dv_replica_piece *piece = &out->piece;
    DV_TRY(read_hashes(json_object_get(answer, "proof"), DV_REPLICA_PROOF_MAX, out->proof,
                       &piece->proof_len));
    DV_TRY(read_hashes(json_object_get(answer, "seen_proof"), DV_REPLICA_PROOF_MAX, out->seen,
                       &piece->seen_len));
    DV_TRY(read_hashes(json_object_get(answer, "edge"), DV_REPLICA_EDGE_MAX, out->edge,
                       &piece->edge_len));
    piece->proof = out->proof;
    piece->seen = out->seen;
    piece->edge = out->edge;
    return DV_OK;
}

/* Notes of other logs, which are looked at with them. */
static dv_result read_others(const json_t *others, dv_node_piece *out)
{
    if (others == NULL) {
        return DV_OK;
    }
    if (!json_is_object(others)) {
        return DV_ERR_INVALID;
    }
    if (json_object_size(others) >= DV_LOG_TREES_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    out->others = json_incref((json_t *)(uintptr_t)others);
    return DV_OK;
}

static dv_result read_piece(const json_t *answer, dv_node_piece *out)
{
    dv_replica_piece *piece = &out->piece;
    const json_t *note = json_object_get(answer, "note"), *from = json_object_get(answer, "from");
    const json_t *root = json_object_get(answer, "seen_root");
    if (!json_is_string(note) || !json_is_integer(from) || json_integer_value(from) < 0) {
        return DV_ERR_INVALID;
    }
    piece->from = (uint64_t)json_integer_value(from);
    DV_TRY(
        dv_buf_append(&out->note, dv_slice_of(json_string_value(note), json_string_length(note))));
    DV_TRY(read_base64(json_object_get(answer, "entries"), &out->entries));
    DV_TRY(read_proofs(answer, out));
    DV_TRY(read_others(json_object_get(answer, "others"), out));
    if (root != NULL) {
        DV_TRY(read_hash(root, &piece->seen_root));
    }
    piece->note = dv_buf_slice(&out->note);
    piece->entries = dv_buf_slice(&out->entries);
    return DV_OK;
}

dv_result dv_node_piece_read(dv_slice answer, dv_node_piece *ret_piece)
{
    *ret_piece = (dv_node_piece){.note = dv_buf_init(DV_NOTE_MAX),
                                 .entries = dv_buf_init(DV_REPLICA_ENTRIES_MAX)};
    enum { VALUES_MAX = 1 << 16 }; /* a piece has a handful, a hash of a proof and a log each one */
    json_t *json = dv_node_json(answer, VALUES_MAX);
    dv_result result = json == NULL ? DV_ERR_INVALID : read_piece(json, ret_piece);
    json_decref(json);
    return result;
}

void dv_node_piece_release(dv_node_piece *piece)
{
    dv_buf_release(&piece->note);
    dv_buf_release(&piece->entries);
    json_decref(piece->others);
    piece->others = NULL;
}

/* -- one piece --------------------------------------------------------------------------------- */

/* A round: all logs of the node, up to the notes that it gave first. */
typedef struct pulling {
    const dv_node_pull *pull;
    char folder[PATH_MAX]; /* of the copy */
    dv_node_http *http;
    dv_time end; /* then it is the next node's turn */
    dv_buf answer;
    char *why;
    json_t *others;
    const char *log; /* that is being copied */
    dv_replica *copy;
    dv_buf note;         /* of that log; empty: not known yet */
    uint64_t size, seen; /* of the logs before it */
    uint64_t pending;    /* entries of the copies of those behind it */
    bool done;
} pulling;

/* Which log it is about is told where it is not main. */
static dv_node_state say(pulling *p, dv_node_state state, const char *text)
{
    bool is_main = p->log == NULL || strcmp(p->log, DV_LOG_MAIN) == 0;
    snprintf(p->why, DV_NODE_WHY_MAX, "%s%.*s%s%.*s", is_main ? "" : "log ", DV_LOG_NAME_MAX,
             is_main ? "" : p->log, is_main ? "" : ": ", DV_NODE_WHY_MAX - 64, text);
    return state;
}

static dv_node_state of_error(pulling *p, dv_result result, const dv_error *error)
{
    const char *text = error->message[0] != '\0' ? error->message : dv_result_name(result);
    switch (result) {
    case DV_ERR_UNAVAILABLE:
        return say(p, DV_NODE_UNAVAILABLE, text);
    case DV_ERR_UNAUTHENTICATED:
    case DV_ERR_FORBIDDEN:
    case DV_ERR_NOT_FOUND:
    case DV_ERR_INVALID:
        return say(p, DV_NODE_REFUSES, text);
    default:
        return say(p, DV_NODE_STOPPED, text);
    }
}

static dv_node_state of_verdict(pulling *p, dv_replica_verdict verdict)
{
    char text[DV_NODE_WHY_MAX];
    switch (verdict) {
    case DV_REPLICA_UNSIGNED:
        snprintf(text, sizeof(text),
                 "its checkpoint is not signed by %.128s+%08" PRIx32
                 ", nor by a key that this one handed over to",
                 p->pull->node->key.name, p->pull->node->key.key_id);
        return say(p, DV_NODE_UNSIGNED, text);
    case DV_REPLICA_DAMAGED:
        return say(p, DV_NODE_DAMAGED, "the events that it sends are not those that it signs");
    case DV_REPLICA_TAKEN_BACK:
        snprintf(text, sizeof(text),
                 "it signed %" PRIu64 " events before and signs fewer now: its log was taken back",
                 dv_replica_seen(p->copy));
        return say(p, DV_NODE_TAKEN_BACK, text);
    case DV_REPLICA_FORKED:
        return say(p, DV_NODE_FORKED,
                   "it signs another log than before; nodes/NAME/conflicts keeps both checkpoints");
    default:
        return dv_replica_size(p->copy) < dv_replica_seen(p->copy) ? DV_NODE_CATCHING_UP
                                                                   : DV_NODE_OK;
    }
}

static void tell_progress(const pulling *p)
{
    p->pull->progress(p->pull->data, p->pending + p->size + dv_replica_size(p->copy),
                      p->pending + p->seen + dv_replica_seen(p->copy));
}

/* The first answer of a round says what the round goes by. */
static dv_result keep_notes(pulling *p, dv_node_piece *piece)
{
    if (p->note.len == 0) {
        DV_TRY(dv_buf_append(&p->note, piece->piece.note));
        p->others = json_incref(piece->others);
    }
    piece->piece.note = dv_buf_slice(&p->note);
    return DV_OK;
}

static dv_node_state take_piece(pulling *p, dv_node_piece *piece)
{
    dv_error error = {0};
    dv_replica_verdict verdict;
    uint64_t before = dv_replica_size(p->copy);
    if (dv_node_piece_read(dv_buf_slice(&p->answer), piece) != DV_OK) {
        return say(p, DV_NODE_DAMAGED, "its answer is no piece of a log");
    }
    dv_result result = keep_notes(p, piece);
    if (result == DV_OK) {
        result = dv_replica_take(p->copy, &piece->piece, &verdict, &error);
    }
    if (result != DV_OK) {
        return say(p, DV_NODE_STOPPED,
                   error.message[0] != '\0' ? error.message : dv_result_name(result));
    }
    uint64_t size = dv_replica_size(p->copy);
    p->done = size == before || size == dv_replica_seen(p->copy);
    tell_progress(p);
    return of_verdict(p, verdict);
}

/* The size that the note tells; 0 while there is none. */
static uint64_t note_size(const pulling *p)
{
    dv_note parts;
    dv_checkpoint checkpoint;
    return dv_note_split(dv_buf_slice(&p->note), &parts) == DV_OK &&
                   dv_checkpoint_parse(parts.text, &checkpoint) == DV_OK
               ? checkpoint.size
               : 0;
}

static dv_node_state pull_piece(pulling *p)
{
    char path[224];
    dv_error error = {0};
    const dv_node_request request = {.path = path, .timeout_ms = TIMEOUT_MS};
    dv_auto(free) dv_node_piece *piece = calloc(1, sizeof(*piece));
    p->done = true;
    if (piece == NULL) {
        return say(p, DV_NODE_STOPPED, "no memory");
    }
    /* A log that was empty has nothing to send, whatever came since: size=0 would ask for the
     * newest. */
    uint64_t size = note_size(p);
    int most = p->note.len > 0 && size == 0 ? 0 : PIECE;
    snprintf(path, sizeof(path),
             "/v1/audit/log?log=%.32s&from=%" PRIu64 "&seen=%" PRIu64 "&size=%" PRIu64 "&most=%d",
             p->log, dv_replica_size(p->copy), dv_replica_seen(p->copy), size, most);
    dv_result result = dv_node_http_ask(p->http, &request, &p->answer, &error);
    if (result != DV_OK) {
        return of_error(p, result, &error);
    }
    dv_node_state state = take_piece(p, piece);
    dv_node_piece_release(piece);
    return state;
}

/* -- one round --------------------------------------------------------------------------------- */

static bool has_room(const dv_node_pull *pull)
{
    struct statvfs about;
    return statvfs(pull->state_dir, &about) == 0 &&
           (uint64_t)about.f_bavail * about.f_frsize >= pull->keep_free;
}

static bool goes_on(const pulling *p)
{
    return dv_time_monotonic() < p->end && !__atomic_load_n(p->pull->cancelled, __ATOMIC_RELAXED);
}

/* The first state that is not "there is more". */
static dv_node_state pull_pieces(pulling *p)
{
    dv_node_state state = DV_NODE_CATCHING_UP;
    p->done = false;
    while (!p->done && (state == DV_NODE_CATCHING_UP || state == DV_NODE_OK) && goes_on(p)) {
        if (!has_room(p->pull)) {
            return say(p, DV_NODE_STOPPED, "the disk has less left than audit.nodes_keep_free");
        }
        state = pull_piece(p);
    }
    return state;
}

/* What this node keeps no longer than that, and the other one does not keep either. */
static dv_node_state prune_copy(pulling *p)
{
    uint64_t minimum;
    dv_error error = {0};
    const dv_node *node = p->pull->node;
    if (node->keep == 0) {
        return DV_NODE_OK;
    }
    int64_t before_ms = (dv_time_now() - node->keep) / DV_MILLISECOND;
    dv_result result = dv_replica_prune(p->copy, before_ms, &minimum, &error);
    return result == DV_OK ? DV_NODE_OK
                           : say(p, DV_NODE_STOPPED,
                                 error.message[0] != '\0' ? error.message : dv_result_name(result));
}

static dv_node_state pull_log(pulling *p, const char *log, const char *note)
{
    dv_error error = {0};
    dv_node_state state = DV_NODE_STOPPED;
    p->log = log;
    dv_buf_clear(&p->note);
    dv_result result = dv_buf_append_str(&p->note, note);
    if (result == DV_OK) {
        result = dv_replica_open(p->folder, log, &p->pull->node->key, &p->copy, &error);
    }
    if (result == DV_OK) {
        p->pending -= DV_MIN(p->pending, dv_replica_size(p->copy));
        tell_progress(p);
        state = pull_pieces(p);
        state = state == DV_NODE_OK ? prune_copy(p) : state;
        p->size += dv_replica_size(p->copy);
        p->seen += dv_replica_seen(p->copy);
    } else {
        say(p, state, error.message[0] != '\0' ? error.message : dv_result_name(result));
    }
    dv_replica_close(p->copy);
    p->copy = NULL;
    return state;
}

/* -- its other logs ---------------------------------------------------------------------------- */

/* What it had before it must still have. */
static dv_node_state find_gone(pulling *p)
{
    dv_error error = {0};
    dv_node_state state = DV_NODE_OK;
    dv_auto(free) dv_log_state *copied = calloc(1, sizeof(*copied));
    if (copied == NULL || dv_log_state_load(p->folder, copied, &error) != DV_OK) {
        return say(p, DV_NODE_STOPPED, copied == NULL ? "no memory" : error.message);
    }
    for (size_t i = 0; i < copied->tree_count && state == DV_NODE_OK; i++) {
        const char *name = copied->trees[i].name;
        if (strcmp(name, DV_LOG_MAIN) != 0 && json_object_get(p->others, name) == NULL) {
            p->log = name;
            state = say(p, DV_NODE_TAKEN_BACK, "it does not have it any more");
            p->log = NULL;
        }
    }
    return state;
}

/* The worst state of all; the reason that is told is that one's. */
static dv_node_state pull_others(pulling *p)
{
    const char *name;
    json_t *note;
    if (p->others == NULL) {
        p->log = NULL;
        return say(p, DV_NODE_UNAVAILABLE, "it does not tell of its other logs now");
    }
    dv_node_state worst = find_gone(p);
    json_object_foreach(p->others, name, note)
    {
        if (worst > DV_NODE_CATCHING_UP || !goes_on(p)) {
            break;
        }
        if (!json_is_string(note) || strcmp(name, DV_LOG_MAIN) == 0 ||
            !dv_log_name_is(dv_slice_str(name))) {
            p->log = NULL;
            return say(p, DV_NODE_DAMAGED, "its answer is no piece of a log");
        }
        dv_node_state state = pull_log(p, name, json_string_value(note));
        worst = DV_MAX(worst, state);
    }
    return goes_on(p) ? worst : DV_MAX(worst, DV_NODE_CATCHING_UP);
}

static uint64_t entries_of_all(const char *folder)
{
    uint64_t entries = 0;
    dv_auto(free) dv_log_state *copied = calloc(1, sizeof(*copied));
    if (copied != NULL && dv_log_state_load(folder, copied, NULL) == DV_OK) {
        for (size_t i = 0; i < copied->tree_count; i++) {
            entries += copied->trees[i].size;
        }
    }
    return entries;
}

static dv_result set_up(pulling *p, dv_error *error)
{
    const dv_node_pull *pull = p->pull;
    int len = snprintf(p->folder, sizeof(p->folder), "%s/nodes", pull->state_dir);
    if (len < 0 || (size_t)len >= sizeof(p->folder) - DV_NODE_NAME_MAX - 8) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", pull->state_dir);
    }
    DV_TRY(dv_dir_make(p->folder, FOLDER_MODE, error));
    snprintf(p->folder + len, sizeof(p->folder) - (size_t)len, "/%s/log", pull->node->name);
    p->pending = entries_of_all(p->folder);
    return dv_node_http_new(pull->node, pull->cancelled, &p->http);
}

dv_node_state dv_node_pull_run(const dv_node_pull *pull, char why[DV_NODE_WHY_MAX])
{
    dv_error error = {0};
    pulling p = {.pull = pull,
                 .end = dv_time_monotonic() + round_most,
                 .answer = dv_buf_init(ANSWER_MAX),
                 .note = dv_buf_init(DV_NOTE_MAX),
                 .why = why};
    dv_node_state state = DV_NODE_STOPPED;
    why[0] = '\0';
    dv_result result = set_up(&p, &error);
    if (result != DV_OK) {
        say(&p, state, error.message[0] != '\0' ? error.message : dv_result_name(result));
    } else {
        state = pull_log(&p, DV_LOG_MAIN, "");
        state = state == DV_NODE_OK ? pull_others(&p) : state;
    }
    dv_buf_release(&p.answer);
    dv_buf_release(&p.note);
    json_decref(p.others);
    dv_node_http_free(p.http);
    return state;
}
