/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/witness.h"

#include "base/codec.h"
#include "base/file.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

enum { FOLDER_MODE = 0700, FILE_MODE = 0600, CONFLICTS_MAX = 16 };

/* What is remembered of one log. */
typedef struct memory {
    dv_witness_log log;
    char file[DV_ORIGIN_HASH_LEN + 1];
    pthread_mutex_t lock; /* of all below */
    bool known;           /* what is below is what the disk holds */
    dv_buf note;          /* cosigned last; empty: none */
    uint64_t size;
    dv_hash root;
} memory;

struct dv_witness {
    char folder[PATH_MAX - 256];
    dv_witness_signer signer;
    pthread_rwlock_t lock; /* of the list */
    memory **memories;     /* each allocated by itself: its lock does not move */
    size_t count;
};

/* -- requests ---------------------------------------------------------------------------------- */

dv_result dv_witness_request_format(const dv_witness_request *request, dv_buf *out)
{
    DV_TRY(dv_buf_append_printf(out, "old %" PRIu64 "\n", request->old_size));
    for (size_t i = 0; i < request->proof_len; i++) {
        DV_TRY(dv_hash_format(&request->proof[i], out));
        DV_TRY(dv_buf_append_byte(out, '\n'));
    }
    DV_TRY(dv_buf_append_byte(out, '\n'));
    return dv_buf_append(out, request->note);
}

static dv_result read_proof(dv_slice *rest, dv_witness_request *request)
{
    dv_slice line;
    while (dv_slice_split(rest, '\n', &line)) {
        if (line.len == 0) {
            return DV_OK;
        }
        if (request->proof_len == DV_WITNESS_PROOF_MAX) {
            return DV_ERR_TOO_LARGE;
        }
        DV_TRY(dv_hash_parse(line, &request->proof[request->proof_len++]));
    }
    return DV_ERR_INVALID; /* there is no empty line */
}

dv_result dv_witness_request_parse(dv_slice body, dv_witness_request *ret_request)
{
    dv_slice line;
    dv_note parts;
    dv_checkpoint checkpoint;
    dv_witness_request request = {.old_size = 0};
    if (body.len > DV_WITNESS_REQUEST_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    if (!dv_slice_split(&body, '\n', &line) || !dv_slice_starts_with(line, DV_LIT("old "))) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_decimal_parse(dv_slice_sub(line, 4, line.len), &request.old_size));
    DV_TRY(read_proof(&body, &request));
    DV_TRY(dv_note_split(body, &parts));
    DV_TRY(dv_checkpoint_parse_any(parts.text, &checkpoint));
    request.note = body;
    *ret_request = request;
    return DV_OK;
}

/* -- what is remembered ------------------------------------------------------------------------ */

void dv_witness_origin_hash(const char *origin, char out[DV_ORIGIN_HASH_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[DV_SHA256_LEN];
    dv_sha256(dv_slice_str(origin), (dv_slice){0}, (dv_slice){0}, digest);
    for (size_t i = 0; i < sizeof(digest); i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[DV_ORIGIN_HASH_LEN] = '\0';
}

static void file_path(const dv_witness *witness, const memory *m, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/logs/%s", witness->folder, m->file);
}

/* Takes the note as what is remembered. It is one of ours. */
static dv_result remember(memory *m, dv_slice note, const dv_checkpoint *checkpoint)
{
    dv_buf_clear(&m->note);
    DV_TRY(dv_buf_append(&m->note, note));
    m->size = checkpoint->size;
    m->root = checkpoint->root;
    m->known = true;
    return DV_OK;
}

/* Only what this witness cosigned counts: a file of anyone else would let a log be taken back. */
static dv_result load(const dv_witness *witness, memory *m, dv_error *error)
{
    char path[PATH_MAX];
    uint64_t time;
    dv_note parts;
    dv_checkpoint checkpoint = {.size = 0, .root = dv_merkle_empty()};
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    file_path(witness, m, path);
    dv_result result = dv_file_read(path, &note, error);
    if (result == DV_ERR_NOT_FOUND) {
        return remember(m, (dv_slice){0}, &checkpoint);
    }
    DV_TRY(result);
    if (dv_cosignature_verify(dv_buf_slice(&note), &witness->signer.cosigner, &time) != DV_OK ||
        dv_note_split(dv_buf_slice(&note), &parts) != DV_OK ||
        dv_checkpoint_parse_any(parts.text, &checkpoint) != DV_OK ||
        strcmp(checkpoint.origin, m->log.origin) != 0) {
        return dv_error_set(error, DV_ERR_CORRUPT, "%s is not what this witness cosigned", path);
    }
    return remember(m, dv_buf_slice(&note), &checkpoint);
}

static void memory_free(memory *m)
{
    if (m != NULL) {
        pthread_mutex_destroy(&m->lock);
        dv_buf_release(&m->note);
        free(m);
    }
}

static dv_result memory_new(const dv_witness *witness, const dv_witness_log *log,
                            memory **ret_memory, dv_error *error)
{
    memory *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    pthread_mutex_init(&m->lock, NULL);
    m->log = *log;
    m->note = dv_buf_init(DV_NOTE_MAX);
    dv_witness_origin_hash(log->origin, m->file);
    dv_result result = load(witness, m, error);
    if (result != DV_OK) {
        memory_free(m);
        return result;
    }
    *ret_memory = m;
    return DV_OK;
}

static memory *find(const dv_witness *witness, const char *origin)
{
    for (size_t i = 0; i < witness->count; i++) {
        if (strcmp(witness->memories[i]->log.origin, origin) == 0) {
            return witness->memories[i];
        }
    }
    return NULL;
}

static void free_all(memory **memories, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        memory_free(memories[i]);
    }
    free(memories);
}

/* Reads all of them anew: what is on the disk is what is remembered. */
static dv_result load_all(dv_witness *witness, const dv_witness_logs *logs, dv_error *error)
{
    memory **memories = calloc(logs->count + 1, sizeof(memory *));
    dv_result result = memories == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    size_t count = 0;
    while (result == DV_OK && count < logs->count) {
        result = memory_new(witness, &logs->logs[count], &memories[count], error);
        count += result == DV_OK;
    }
    if (result != DV_OK) {
        if (memories != NULL) {
            free_all(memories, count);
        }
        return result;
    }
    free_all(witness->memories, witness->count);
    witness->memories = memories;
    witness->count = count;
    return DV_OK;
}

dv_result dv_witness_relist(dv_witness *witness, dv_witness_logs *logs, dv_error *error)
{
    pthread_rwlock_wrlock(&witness->lock);
    dv_result result = load_all(witness, logs, error);
    pthread_rwlock_unlock(&witness->lock);
    dv_witness_logs_release(logs);
    return result;
}

static dv_result open_folders(dv_witness *witness, const char *folder, dv_error *error)
{
    char path[PATH_MAX];
    int len = snprintf(witness->folder, sizeof(witness->folder), "%s", folder);
    if (len < 0 || (size_t)len >= sizeof(witness->folder)) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
    }
    snprintf(path, sizeof(path), "%s/logs", witness->folder);
    DV_TRY(dv_dir_make(path, FOLDER_MODE, error));
    snprintf(path, sizeof(path), "%s/conflicts", witness->folder);
    return dv_dir_make(path, FOLDER_MODE, error);
}

dv_result dv_witness_open(const char *folder, const dv_witness_signer *signer,
                          dv_witness_logs *logs, dv_witness **ret_witness, dv_error *error)
{
    dv_witness *witness = calloc(1, sizeof(*witness));
    if (witness == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    pthread_rwlock_init(&witness->lock, NULL);
    witness->signer = *signer;
    dv_result result = open_folders(witness, folder, error);
    if (result == DV_OK) {
        result = dv_witness_relist(witness, logs, error);
    }
    if (result != DV_OK) {
        dv_witness_close(witness);
        return result;
    }
    *ret_witness = witness;
    return DV_OK;
}

void dv_witness_close(dv_witness *witness)
{
    if (witness != NULL) {
        free_all(witness->memories, witness->count);
        pthread_rwlock_destroy(&witness->lock);
        dv_wipe(&witness->signer, sizeof(witness->signer));
        free(witness);
    }
}

/* -- add-checkpoint ---------------------------------------------------------------------------- */

static dv_witness_status say(dv_buf *out, dv_witness_status status, const char *why)
{
    return dv_buf_append_printf(out, "%s\n", why) == DV_OK ? status : DV_WITNESS_FAILED;
}

/* Signed by a key that is trusted for the origin; "MUST ignore signatures from unknown keys". */
static bool is_signed(const memory *m, dv_slice note)
{
    dv_slice text;
    bool found = false;
    for (size_t i = 0; i < m->log.key_count; i++) {
        dv_result result = dv_note_verify(note, &m->log.keys[i], &text);
        if (result != DV_OK && result != DV_ERR_NOT_FOUND) {
            return false;
        }
        found = found || result == DV_OK;
    }
    return found;
}

/* Does the checkpoint continue what is remembered? */
static bool continues(const memory *m, const dv_witness_request *request,
                      const dv_checkpoint *checkpoint)
{
    const dv_hash empty = dv_merkle_empty();
    if (checkpoint->size == 0 && !dv_hash_eq(&checkpoint->root, &empty)) {
        return false;
    }
    if (request->old_size == 0) {
        return request->proof_len == 0;
    }
    if (request->old_size == checkpoint->size) {
        return request->proof_len == 0 && dv_hash_eq(&checkpoint->root, &m->root);
    }
    return dv_merkle_verify_consistency(request->old_size, checkpoint->size, &m->root,
                                        &checkpoint->root, request->proof,
                                        request->proof_len) == DV_OK;
}

/* "it might be proof of log misbehavior": both checkpoints are kept, for people. */
static void keep_conflict(const dv_witness *witness, const memory *m, dv_slice body)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf both = dv_buf_init(2 * DV_WITNESS_REQUEST_MAX);
    for (int i = 0; i < CONFLICTS_MAX; i++) {
        snprintf(path, sizeof(path), "%s/conflicts/%s-%d", witness->folder, m->file, i);
        if (access(path, F_OK) == 0) {
            continue;
        }
        if (dv_buf_append(&both, body) == DV_OK && dv_buf_append_str(&both, "\n\n") == DV_OK &&
            dv_buf_append(&both, dv_buf_slice(&m->note)) == DV_OK) {
            (void)!dv_file_write_atomic(path, dv_buf_slice(&both), FILE_MODE, NULL);
        }
        return;
    }
}

/* The note's text, the log's signatures and ours: what others can check by themselves. */
static dv_result compose(const memory *m, dv_slice note, dv_slice cosignature, dv_buf *out)
{
    dv_note parts;
    dv_auto(note_signature) dv_note_signature line = {.key_id = 0};
    DV_TRY(dv_note_split(note, &parts));
    DV_TRY(dv_buf_append(out, parts.text));
    DV_TRY(dv_buf_append_byte(out, '\n'));
    while (dv_note_next(&parts.signatures, &line) == DV_OK) {
        for (size_t i = 0; i < m->log.key_count; i++) {
            if (dv_note_signed_by(&line, &m->log.keys[i])) {
                DV_TRY(dv_buf_append(out, line.line));
                DV_TRY(dv_buf_append_byte(out, '\n'));
            }
        }
    }
    return dv_buf_append(out, cosignature);
}

/* The same tree again is remembered already; a larger one is made durable first. */
static dv_result cosign(dv_witness *witness, memory *m, dv_slice note,
                        const dv_checkpoint *checkpoint, uint64_t time, dv_buf *out)
{
    char path[PATH_MAX];
    dv_note parts;
    dv_auto(buf) dv_buf line = dv_buf_init(4096);
    dv_auto(buf) dv_buf whole = dv_buf_init(DV_NOTE_MAX);
    DV_TRY(dv_note_split(note, &parts));
    DV_TRY(dv_cosignature_sign(parts.text, &witness->signer.cosigner, witness->signer.seed, time,
                               &line));
    if (m->note.len == 0 || checkpoint->size > m->size) {
        DV_TRY(compose(m, note, dv_buf_slice(&line), &whole));
        file_path(witness, m, path);
        m->known = false; /* until the disk has said yes */
        DV_TRY(dv_file_write_atomic(path, dv_buf_slice(&whole), FILE_MODE, NULL));
        DV_TRY(remember(m, dv_buf_slice(&whole), checkpoint));
    }
    return dv_buf_append(out, dv_buf_slice(&line));
}

/* Under the memory's lock. */
static dv_witness_status add(dv_witness *witness, memory *m, const dv_witness_request *request,
                             const dv_checkpoint *checkpoint, dv_slice body, uint64_t time,
                             dv_buf *out)
{
    dv_error error = {0};
    if (!m->known && load(witness, m, &error) != DV_OK) {
        return say(out, DV_WITNESS_FAILED, "the witness can not read what it remembers");
    }
    if (request->old_size != m->size) {
        return dv_buf_append_printf(out, "%" PRIu64 "\n", m->size) == DV_OK ? DV_WITNESS_OTHER_SIZE
                                                                            : DV_WITNESS_FAILED;
    }
    if (!continues(m, request, checkpoint)) {
        keep_conflict(witness, m, body);
        return say(out, DV_WITNESS_INCONSISTENT, "this does not continue the log");
    }
    return cosign(witness, m, request->note, checkpoint, time, out) == DV_OK
               ? DV_WITNESS_COSIGNED
               : say(out, DV_WITNESS_FAILED, "the witness can not remember this");
}

/* Under the list's lock. */
static dv_witness_status add_known(dv_witness *witness, const dv_witness_request *request,
                                   dv_slice body, uint64_t time, dv_buf *out)
{
    dv_note parts;
    dv_checkpoint checkpoint;
    if (dv_note_split(request->note, &parts) != DV_OK ||
        dv_checkpoint_parse_any(parts.text, &checkpoint) != DV_OK) {
        return say(out, DV_WITNESS_MALFORMED, "this is no checkpoint");
    }
    memory *m = find(witness, checkpoint.origin);
    if (m == NULL) {
        return say(out, DV_WITNESS_UNKNOWN, "this witness does not know the origin");
    }
    if (!is_signed(m, request->note)) {
        return say(out, DV_WITNESS_UNSIGNED, "no key of the origin signed this");
    }
    if (request->old_size > checkpoint.size) {
        return say(out, DV_WITNESS_MALFORMED, "the old size is larger than the new one");
    }
    pthread_mutex_lock(&m->lock);
    dv_witness_status status = add(witness, m, request, &checkpoint, body, time, out);
    pthread_mutex_unlock(&m->lock);
    return status;
}

dv_witness_status dv_witness_add(dv_witness *witness, dv_slice body, uint64_t time, dv_buf *out)
{
    dv_witness_request request;
    if (dv_witness_request_parse(body, &request) != DV_OK) {
        return say(out, DV_WITNESS_MALFORMED, "the body is no add-checkpoint request");
    }
    pthread_rwlock_rdlock(&witness->lock);
    dv_witness_status status = add_known(witness, &request, body, time, out);
    pthread_rwlock_unlock(&witness->lock);
    return status;
}

dv_result dv_witness_get(dv_witness *witness, dv_slice origin_hash, dv_buf *out)
{
    dv_result result = DV_ERR_NOT_FOUND;
    pthread_rwlock_rdlock(&witness->lock);
    for (size_t i = 0; i < witness->count; i++) {
        memory *m = witness->memories[i];
        if (dv_slice_eq_str(origin_hash, m->file)) {
            pthread_mutex_lock(&m->lock);
            result = m->known && m->note.len > 0 ? dv_buf_append(out, dv_buf_slice(&m->note))
                                                 : DV_ERR_NOT_FOUND;
            pthread_mutex_unlock(&m->lock);
        }
    }
    pthread_rwlock_unlock(&witness->lock);
    return result;
}
