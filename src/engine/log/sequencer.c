/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/sequencer.h"

#include "base/caps.h"
#include "base/file.h"
#include "core/event_code.h"
#include "engine/log/blob_entry.h"
#include "engine/log/entry.h"
#include "engine/log/seal.h"
#include "engine/log/sequencer_private.h"

/* A segment's turn, and how long turns go on before others of this process have theirs. */
enum { TURN_RECORDS = 64, ENTRY_ARENA = 8 << 20, NOTES_MAX = 64 << 20 };
static const dv_time COLLECT_TIME = 50 * DV_MILLISECOND;

/* -- entries ----------------------------------------------------------------------------------- */

/* Whether the kind is the pattern, or begins as it does where it ends with '*'. */
static bool is_kind(dv_slice kind, const char *pattern)
{
    size_t len = strlen(pattern);
    bool open = len > 0 && pattern[len - 1] == '*';
    return open ? dv_slice_starts_with(kind, dv_slice_of(pattern, len - 1))
                : dv_slice_eq_str(kind, pattern);
}

/* The log that an event belongs to. */
static size_t log_of(const dv_sequencer *sequencer, dv_slice event)
{
    dv_slice kind = dv_entry_kind(event);
    for (size_t i = 0; i < sequencer->routes.count; i++) {
        if (is_kind(kind, sequencer->routes.routes[i].kind)) {
            return sequencer->routes.routes[i].log;
        }
    }
    return MAIN;
}

/* Spots: of the record that the entry is made of, when it ends with it. */
static dv_result seal_entry(dv_sequencer *sequencer, dv_slice record, const dv_event_spots *spots)
{
    dv_subjects *subjects = sequencer->options->subjects;
    dv_slice entry = dv_buf_slice(&sequencer->entry);
    dv_buf_clear(&sequencer->sealed);
    return spots == NULL || entry.len < record.len
               ? dv_event_seal(subjects, entry, UINT16_MAX, &sequencer->sealed)
               : dv_event_seal_spots(subjects, entry, spots, entry.len - record.len, UINT16_MAX,
                                     &sequencer->sealed);
}

/* What a verifier would not take for an event, since it is no JSON or says something twice (who it
 * is of, as the stamp does), is kept as it came: else one record spoilt the whole log. Codes are
 * JSON of our own. */
static dv_result check_entry(dv_sequencer *sequencer, const dv_entry_stamp *stamp, dv_slice record,
                             spool_segment *from)
{
    dv_entry_origin origin;
    dv_arena_recycle(sequencer->arena);
    dv_result result =
        dv_entry_check(dv_buf_slice(&sequencer->entry), sequencer->arena, &origin, NULL);
    if (result == DV_OK || result == DV_ERR_NO_MEMORY) {
        return result;
    }
    from->foreign = true;
    dv_buf_clear(&sequencer->entry);
    return dv_entry_stamp_foreign(stamp, record, &sequencer->entry);
}

/* The record as it stands in the log: stamped, its personal values sealed. What can not be sealed
 * is no event. from NULL: an event of our own. */
static dv_result make_entry(dv_sequencer *sequencer, const dv_entry_stamp *stamp, dv_slice record,
                            const dv_event_spots *spots, spool_segment *from, dv_slice *ret_entry)
{
    dv_buf_clear(&sequencer->entry);
    DV_TRY(dv_entry_stamp_record(stamp, record, &sequencer->entry));
    if (from != NULL && (spots == NULL || !spots->known)) {
        DV_TRY(check_entry(sequencer, stamp, record, from));
    }
    if (sequencer->options->subjects == NULL) {
        *ret_entry = dv_buf_slice(&sequencer->entry);
        return DV_OK;
    }
    dv_result result = seal_entry(sequencer, record, spots);
    if (result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE) {
        dv_buf_clear(&sequencer->entry);
        DV_TRY(dv_entry_stamp_foreign(stamp, record, &sequencer->entry));
        result = seal_entry(sequencer, record, NULL);
    }
    *ret_entry = dv_buf_slice(&sequencer->sealed);
    return result;
}

/* The large field that its writer left beside the segment goes with the entry, or the entry says
 * that it is lost. from NULL: an event of our own. */
static dv_result take_blob(dv_sequencer *sequencer, one_log *log, const dv_entry_stamp *stamp,
                           spool_segment *from)
{
    dv_blob_place place;
    dv_buf *entry = sequencer->options->subjects == NULL ? &sequencer->entry : &sequencer->sealed;
    if (from == NULL) {
        return DV_OK;
    }
    dv_arena_recycle(sequencer->arena);
    if (!dv_blob_find(dv_buf_slice(entry), sequencer->arena, &place)) {
        return DV_OK;
    }
    dv_result result = dv_blob_batch_take(&log->blobs, from->folder_fd, &stamp->segment,
                                          stamp->sequence, &place.ref, dv_tree_size(log->tree));
    if (result == DV_ERR_NOT_FOUND) {
        dv_blob_mark_lost(entry->ptr, &place);
        from->loses = true;
        return DV_OK;
    }
    return result;
}

static dv_result add_entry(dv_sequencer *sequencer, size_t log, const dv_entry_stamp *stamp,
                           dv_slice record, const dv_event_spots *spots, spool_segment *from)
{
    uint64_t index;
    dv_slice entry;
    DV_TRY(sequencer->torn ? DV_ERR_UNAVAILABLE : DV_OK);
    DV_TRY(make_entry(sequencer, stamp, record, spots, from, &entry));
    if (spots == NULL || !spots->known) { /* a code has no large field */
        DV_TRY(take_blob(sequencer, &sequencer->logs[log], stamp, from));
    }
    dv_result result = dv_tree_append(sequencer->logs[log].tree, entry, &index);
    sequencer->torn = result != DV_OK;
    sequencer->pending++;
    return result;
}

static dv_result add_own(dv_sequencer *sequencer, dv_slice event)
{
    dv_entry_stamp stamp = {DV_SEQUENCER_SOURCE, sequencer->own_id, sequencer->own_sequence,
                            dv_time_now()};
    DV_TRY(add_entry(sequencer, MAIN, &stamp, event, NULL, NULL));
    sequencer->own_sequence++;
    return DV_OK;
}

/* They are in no spool: what was taken is kept until a commit holds it. */
dv_result dv_sequencer_note(dv_sequencer *sequencer, dv_slice event)
{
    size_t before = sequencer->notes.len;
    DV_TRY(dv_buf_reserve(&sequencer->notes, sizeof(event.len) + event.len));
    DV_TRY(dv_buf_append(&sequencer->notes, dv_slice_of(&event.len, sizeof(event.len))));
    DV_TRY(dv_buf_append(&sequencer->notes, event));
    dv_result result = add_own(sequencer, event);
    if (result != DV_OK) {
        sequencer->notes.len = before;
    }
    return result;
}

/* The first `bytes` of them. */
static dv_result note_again(dv_sequencer *sequencer, size_t bytes)
{
    dv_slice rest = dv_slice_sub(dv_buf_slice(&sequencer->notes), 0, bytes);
    while (rest.len > 0) {
        size_t len;
        memcpy(&len, rest.ptr, sizeof(len));
        DV_TRY(add_own(sequencer, dv_slice_sub(rest, sizeof(len), len)));
        rest = dv_slice_sub(rest, sizeof(len) + len, rest.len - sizeof(len) - len);
    }
    return DV_OK;
}

dv_result dv_sequencer_alarm(dv_sequencer *sequencer, const char *rule, const char *title)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = {.time = dv_time_now(), .entity = DV_LIT("System::\"dvara-logd\"")};
    snprintf(sequencer->problem, sizeof(sequencer->problem), "%s", title);
    DV_TRY(dv_event_alarm(&event, &actor, dv_slice_str(rule), dv_slice_str(title)));
    return dv_sequencer_note(sequencer, dv_buf_slice(&event));
}

static dv_result read_again(dv_sequencer *sequencer, dv_error *error);

/* -- collecting -------------------------------------------------------------------------------- */

/* The seal was right, so this is what the writer wrote: it was taken over, or is of another
 * version. One alarm a segment, for it could write as many as it likes. */
static dv_result alarm_malformed(dv_sequencer *sequencer, spool_segment *segment, uint64_t sequence,
                                 const char *why)
{
    char title[DV_ERROR_MESSAGE_MAX], id[DV_UUID_TEXT_LEN + 1];
    if (segment->malformed) {
        return DV_OK;
    }
    dv_uuid_format(&segment->id, id);
    (void)snprintf(title, sizeof(title),
                   "segment %s of %s: record %llu is kept as it came, for it is no event: %.200s",
                   id, dv_segment_about(segment->reader)->source, (unsigned long long)sequence,
                   why);
    DV_TRY(dv_sequencer_alarm(sequencer, "audit.malformed", title));
    segment->malformed = true;
    return DV_OK;
}

/* The record's JSON, or the record itself when none can be made of it. */
static dv_result event_of(dv_sequencer *sequencer, spool_segment *segment,
                          const dv_segment_record *record, dv_event_spots *spots,
                          dv_slice *ret_event)
{
    dv_error error = {0};
    dv_result result =
        dv_event_code_text(record->text, &sequencer->event, spots, ret_event, &error);
    if (result == DV_OK || result == DV_ERR_NO_MEMORY) {
        return result;
    }
    *ret_event = record->text;
    return alarm_malformed(sequencer, segment, record->sequence, error.message);
}

/* The entry is in the log, its beginning with it. One alarm a segment, as above; each entry says it
 * itself. */
static dv_result alarm_lost(dv_sequencer *sequencer, spool_segment *segment, uint64_t sequence)
{
    char title[DV_ERROR_MESSAGE_MAX], id[DV_UUID_TEXT_LEN + 1];
    if (segment->lost) {
        return DV_OK;
    }
    dv_uuid_format(&segment->id, id);
    (void)snprintf(title, sizeof(title),
                   "segment %s of %s: the large field of record %llu is not there, or is not what "
                   "the record says: its beginning is kept",
                   id, dv_segment_about(segment->reader)->source, (unsigned long long)sequence);
    DV_TRY(dv_sequencer_alarm(sequencer, "audit.lost", title));
    segment->lost = true;
    return DV_OK;
}

static dv_result take_record(dv_sequencer *sequencer, spool_segment *segment,
                             const dv_segment_record *record)
{
    const dv_segment_info *about = dv_segment_about(segment->reader);
    dv_log_position *position = dv_log_state_find(&sequencer->state, &segment->id);
    dv_entry_stamp stamp = {about->source, about->id, record->sequence, dv_time_now()};
    dv_event_spots spots;
    dv_slice event;
    if (position == NULL) {
        return DV_ERR_INTERNAL;
    }
    segment->loses = false;
    segment->foreign = false;
    dv_result result = event_of(sequencer, segment, record, &spots, &event);
    if (result == DV_OK) {
        result = add_entry(sequencer, log_of(sequencer, event), &stamp, event, &spots, segment);
    }
    if (result != DV_OK) {
        /* Nothing of it is in the log: it is read again. */
        dv_segment_seek(segment->reader, position->sequence, position->offset);
        return result;
    }
    position->sequence = record->sequence + 1;
    position->offset = record->end;
    if (segment->foreign) {
        DV_TRY(alarm_malformed(sequencer, segment, record->sequence,
                               "it is not JSON, or says something twice"));
    }
    return segment->loses ? alarm_lost(sequencer, segment, record->sequence) : DV_OK;
}

static dv_result finish(dv_sequencer *sequencer, spool_segment *segment)
{
    char title[DV_ERROR_MESSAGE_MAX], id[DV_UUID_TEXT_LEN + 1];
    segment->state = SEGMENT_FINISHED;
    sequencer->pending++; /* its file goes with a commit, also where no record comes any more */
    if (!dv_segment_was_torn(segment->reader)) {
        return DV_OK;
    }
    dv_uuid_format(&segment->id, id);
    snprintf(title, sizeof(title), "segment %s of %s ends with half a record: its writer died", id,
             dv_segment_about(segment->reader)->source);
    return dv_sequencer_alarm(sequencer, "audit.torn", title);
}

bool dv_sequencer_is_level(const dv_sequencer *sequencer)
{
    return sequencer->level;
}

bool dv_sequencer_batch_full(const dv_sequencer *sequencer)
{
    size_t bytes = 0;
    for (size_t i = 0; i < sequencer->state.tree_count && !sequencer->torn; i++) {
        bytes += dv_tree_pending_bytes(sequencer->logs[i].tree) + sequencer->logs[i].blobs.bytes;
    }
    return bytes >= sequencer->options->batch_bytes;
}

/* One turn. *more: it may not have been the last. */
static dv_result collect_segment(dv_sequencer *sequencer, spool_segment *segment, size_t *taken,
                                 bool *more)
{
    dv_segment_record record;
    dv_error error = {0};
    segment->behind = false;
    for (size_t i = 0; i < TURN_RECORDS && !dv_sequencer_batch_full(sequencer); i++) {
        dv_result result = dv_segment_next(segment->reader, &record, &error);
        if (result == DV_ERR_AGAIN) {
            return DV_OK;
        }
        if (result == DV_ERR_NOT_FOUND) {
            return finish(sequencer, segment);
        }
        if (result == DV_ERR_CORRUPT) {
            return dv_sequencer_refuse(sequencer, segment, error.message);
        }
        DV_TRY(result);
        DV_TRY(take_record(sequencer, segment, &record));
        ++*taken;
    }
    *more = true;
    segment->behind = !dv_segment_is_written(segment->reader);
    return DV_OK;
}

/* A writer that begins a new segment, and one that takes a dead one's place, comes behind what is
 * in the older one. Of writers that live beside each other none waits. */
static bool must_wait(const dv_sequencer *sequencer, const spool_segment *segment)
{
    const char *source = dv_segment_about(segment->reader)->source;
    for (const spool_segment *s = sequencer->segments; s != segment; s = s->next) {
        if (s->state == SEGMENT_OPEN && s->behind &&
            strcmp(dv_segment_about(s->reader)->source, source) == 0) {
            return true;
        }
    }
    return false;
}

static dv_result collect_spool(dv_sequencer *sequencer, const spool *from, size_t *taken,
                               bool *more)
{
    dv_result result = DV_OK;
    for (spool_segment *s = sequencer->segments; s != NULL && result == DV_OK; s = s->next) {
        if (s->from == from && s->state == SEGMENT_OPEN && !must_wait(sequencer, s)) {
            result = collect_segment(sequencer, s, taken, more);
        }
    }
    return result;
}

/* Each open segment has one turn. The spools themselves, where a writer's oldest segments are,
 * come first, and then each folder before the others once: a writer that fills every batch keeps
 * nobody else waiting. */
static dv_result collect_turn(dv_sequencer *sequencer, size_t *taken, bool *more)
{
    size_t own = DV_ARRAY_LEN(sequencer->options->spools), folders = sequencer->spool_count - own;
    for (size_t i = 0; i < own; i++) {
        DV_TRY(collect_spool(sequencer, &sequencer->spools[i], taken, more));
    }
    for (size_t i = 0; i < folders; i++) {
        size_t next = own + (sequencer->first_spool + i) % folders;
        DV_TRY(collect_spool(sequencer, &sequencer->spools[next], taken, more));
    }
    sequencer->first_spool++;
    return DV_OK;
}

dv_result dv_sequencer_collect(dv_sequencer *sequencer, size_t *ret_taken, dv_error *error)
{
    size_t taken = 0;
    bool more = true;
    dv_result result = DV_OK;
    dv_time end = dv_time_monotonic() + COLLECT_TIME;
    sequencer->level = false;
    if (sequencer->blocked) {
        *ret_taken = 0;
        return DV_OK;
    }
    DV_TRY(read_again(sequencer, error));
    result = dv_sequencer_look(sequencer);
    while (more && result == DV_OK && !dv_sequencer_batch_full(sequencer) &&
           (taken == 0 || dv_time_monotonic() < end)) {
        more = false;
        result = collect_turn(sequencer, &taken, &more);
    }
    if (result != DV_OK) {
        return dv_error_set(error, result, "can not read the spools: %s", dv_result_name(result));
    }
    sequencer->level = !more && dv_sequencer_waiting(sequencer) == 0;
    *ret_taken = taken;
    return DV_OK;
}

size_t dv_sequencer_pending(const dv_sequencer *sequencer)
{
    return sequencer->pending;
}

/* -- committing -------------------------------------------------------------------------------- */

/* All logs' files, then the one state file that says so. */
static dv_result commit_trees(dv_sequencer *sequencer, dv_error *error)
{
    dv_log_tree before[DV_LOG_TREES_MAX], next[DV_LOG_TREES_MAX];
    dv_log_state *state = &sequencer->state;
    for (size_t i = 0; i < state->tree_count; i++) {
        const one_log *log = &sequencer->logs[i];
        DV_TRY(dv_blob_batch_write(&log->blobs, log->folder, error));
        DV_TRY(dv_tree_write(log->tree, &next[i], error));
    }
    memcpy(before, state->trees, sizeof(before));
    memcpy(state->trees, next, state->tree_count * sizeof(*next));
    dv_result result = dv_log_state_save(sequencer->options->log_folder, state, error);
    if (result != DV_OK) {
        memcpy(state->trees, before, sizeof(before));
        return result;
    }
    for (size_t i = 0; i < state->tree_count; i++) {
        dv_tree_written(sequencer->logs[i].tree);
        sequencer->logs[i].blobs.committed = true;
    }
    dv_buf_clear(&sequencer->notes);
    sequencer->pending = 0;
    return DV_OK;
}

static dv_result publish_trees(dv_sequencer *sequencer, dv_error *error)
{
    for (size_t i = 0; i < sequencer->state.tree_count; i++) {
        one_log *log = &sequencer->logs[i];
        const dv_log_tree *tree = &sequencer->state.trees[i];
        DV_TRY(dv_tree_publish(log->tree, error));
        DV_TRY(dv_catalogue_update(log->catalogue, tree->packed, tree->minimum, error));
    }
    return DV_OK;
}

dv_result dv_sequencer_commit(dv_sequencer *sequencer, dv_error *error)
{
    dv_error detail = {0};
    /* First: a key is durable before what it sealed. */
    dv_subjects *subjects = sequencer->options->subjects;
    dv_result result = subjects == NULL ? DV_OK : dv_subjects_store(subjects, &detail);
    if (result == DV_OK) {
        result = read_again(sequencer, &detail);
    }
    if (result == DV_OK) {
        result = commit_trees(sequencer, &detail);
    }
    if (result == DV_OK) {
        result = publish_trees(sequencer, &detail);
    }
    if (result == DV_OK) {
        dv_sequencer_remove_done(
            sequencer); /* last: what is gone from the spool can be read in the log */
    }
    sequencer->blocked = result != DV_OK;
    if (result != DV_OK) {
        snprintf(sequencer->problem, sizeof(sequencer->problem), "%s", detail.message);
        return dv_error_set(error, result, "%s", detail.message);
    }
    return DV_OK;
}

/* -- pruning ----------------------------------------------------------------------------------- */

static dv_result save_minimum(dv_sequencer *sequencer, dv_log_tree *tree, uint64_t minimum,
                              dv_error *error)
{
    uint64_t before = tree->minimum;
    tree->minimum = minimum;
    dv_result result = dv_log_state_save(sequencer->options->log_folder, &sequencer->state, error);
    if (result != DV_OK) {
        tree->minimum = before;
    }
    return result;
}

static dv_result tell_pruned(dv_sequencer *sequencer, const dv_log_tree *tree, uint64_t minimum,
                             int64_t before_ms)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    DV_TRY(dv_prune_event(tree, minimum, before_ms, &event));
    return dv_sequencer_note(sequencer, dv_buf_slice(&event));
}

/* What the main log told of the others may go with its own beginning, so it is told again. */
static dv_result tell_others(dv_sequencer *sequencer)
{
    for (size_t i = MAIN + 1; i < sequencer->state.tree_count; i++) {
        const dv_log_tree *tree = &sequencer->state.trees[i];
        if (tree->minimum > 0) {
            DV_TRY(tell_pruned(sequencer, tree, tree->minimum, 0));
        }
    }
    return DV_OK;
}

dv_result dv_sequencer_prune(dv_sequencer *sequencer, const char *log, const dv_prune_rule *rule,
                             uint64_t *ret_pruned, dv_error *error)
{
    uint64_t minimum = 0;
    DV_TRY(read_again(sequencer, error));
    dv_log_tree *tree = dv_log_state_tree(&sequencer->state, log);
    if (tree == NULL) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "there is no log %s", log);
    }
    const char *folder = sequencer->logs[tree - sequencer->state.trees].folder;
    uint64_t before = tree->minimum;
    DV_TRY(dv_prune_find(folder, tree, rule, &minimum, error));
    if (minimum > before) {
        DV_TRY(tell_pruned(sequencer, tree, minimum, rule->before_ms));
        if (tree == &sequencer->state.trees[MAIN]) {
            DV_TRY(tell_others(sequencer));
        }
        DV_TRY(dv_sequencer_commit(sequencer, error)); /* first it is told, ... */
        DV_TRY(save_minimum(sequencer, tree, minimum, error));
    }
    *ret_pruned = minimum - before;
    return DV_OK;
}

/* ... then it is done. */
void dv_sequencer_forget(const dv_sequencer *sequencer)
{
    for (size_t i = 0; i < sequencer->state.tree_count && !sequencer->torn; i++) {
        dv_prune_remove(sequencer->logs[i].folder, sequencer->state.trees[i].minimum);
    }
}

/* -- opening ----------------------------------------------------------------------------------- */

/* The main log's folder holds the others'. */
static dv_result log_folder(const dv_sequencer *sequencer, const char *name, char out[PATH_MAX],
                            dv_error *error)
{
    const char *base = sequencer->options->log_folder;
    int len = strcmp(name, DV_LOG_MAIN) == 0
                  ? snprintf(out, PATH_MAX, "%s", base)
                  : snprintf(out, PATH_MAX, "%s/" DV_LOG_OTHERS "/%s", base, name);
    return len > 0 && len < PATH_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", base);
}

/* The same key under the log's own name, which the checkpoint's first line signs too. */
static dv_result name_signer(const dv_sequencer *sequencer, const char *name,
                             dv_tree_signer *signer, dv_error *error)
{
    char origin[2 * DV_NOTE_NAME_MAX];
    const dv_tree_signer *base = sequencer->options->signer;
    *signer = *base;
    if (strcmp(name, DV_LOG_MAIN) == 0) {
        return DV_OK;
    }
    snprintf(origin, sizeof(origin), "%s/%s", base->verifier.name, name);
    dv_result result = dv_note_verifier_init(origin, base->verifier.public_key, &signer->verifier);
    if (result == DV_OK && base->overlaps) {
        result =
            dv_note_verifier_init(origin, base->old_verifier.public_key, &signer->old_verifier);
    }
    return result == DV_OK ? DV_OK
                           : dv_error_set(error, result, "the log's name %s is too long", origin);
}

/* The verifier key beside the checkpoint. */
static dv_result leave_vkey(const one_log *log, dv_error *error)
{
    enum { PUBLIC_MODE = 0644 };
    char path[PATH_MAX];
    dv_auto(buf) dv_buf vkey = dv_buf_init(1024);
    int len = snprintf(path, sizeof(path), "%s/vkey", log->folder);
    if (len < 0 || len >= PATH_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(dv_note_verifier_format(&log->signer.verifier, &vkey));
    DV_TRY(dv_buf_append_byte(&vkey, '\n'));
    if (log->signer.overlaps) {
        DV_TRY(dv_note_verifier_format(&log->signer.old_verifier, &vkey));
        DV_TRY(dv_buf_append_byte(&vkey, '\n'));
    }
    return dv_file_write_atomic(path, dv_buf_slice(&vkey), PUBLIC_MODE, error);
}

static dv_result open_log(dv_sequencer *sequencer, size_t i, dv_error *error)
{
    one_log *log = &sequencer->logs[i];
    dv_log_tree *tree = &sequencer->state.trees[i];
    char folder[PATH_MAX];
    DV_TRY(log_folder(sequencer, tree->name, folder, error));
    memcpy(log->folder, folder, sizeof(folder));
    DV_TRY(name_signer(sequencer, tree->name, &log->signer, error));
    dv_prune_remove(log->folder, tree->minimum); /* what the last life did not come to */
    dv_blob_batch_init(&log->blobs);
    DV_TRY(dv_tree_open(log->folder, &log->signer, tree, &log->tree, error));
    DV_TRY(dv_blob_store_trim(log->folder, tree->size, error));
    if (i != MAIN) {
        DV_TRY(leave_vkey(log, error));
    }
    DV_TRY(dv_catalogue_open(log->folder, &log->catalogue, error));
    return dv_catalogue_update(log->catalogue, tree->packed, tree->minimum, error);
}

dv_result dv_sequencer_republish(dv_sequencer *sequencer, dv_error *error)
{
    DV_TRY(read_again(sequencer, error));
    for (size_t i = 0; i < sequencer->state.tree_count; i++) {
        one_log *log = &sequencer->logs[i];
        DV_TRY(name_signer(sequencer, sequencer->state.trees[i].name, &log->signer, error));
        if (i != MAIN) {
            DV_TRY(leave_vkey(log, error));
        }
        DV_TRY(dv_tree_republish(log->tree, error));
    }
    return DV_OK;
}

/* Begins a log; it is in the state file with the next commit. */
static dv_result add_log(dv_sequencer *sequencer, const char *name, dv_error *error)
{
    dv_log_state *state = &sequencer->state;
    if (state->tree_count == DV_LOG_TREES_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "there may be %d logs", DV_LOG_TREES_MAX);
    }
    dv_log_tree *tree = &state->trees[state->tree_count];
    *tree = (dv_log_tree){.root = dv_merkle_empty()};
    dv_slice_copy(dv_slice_str(name), tree->name, sizeof(tree->name));
    DV_TRY(open_log(sequencer, state->tree_count, error));
    state->tree_count++;
    return DV_OK;
}

static dv_result open_logs(dv_sequencer *sequencer, dv_error *error)
{
    dv_log_state *state = &sequencer->state;
    dv_result result = dv_log_state_load(sequencer->options->log_folder, state, error);
    if (result == DV_ERR_NOT_FOUND) {
        *state = (dv_log_state){.tree_count = 0};
        DV_TRY(add_log(sequencer, DV_LOG_MAIN, error));
        return dv_log_state_save(sequencer->options->log_folder, state, error);
    }
    DV_TRY(result);
    if (state->tree_count == 0 || strcmp(state->trees[MAIN].name, DV_LOG_MAIN) != 0) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the log's state file names no main log");
    }
    for (size_t i = 0; i < state->tree_count; i++) {
        DV_TRY(open_log(sequencer, i, error));
    }
    return DV_OK;
}

static dv_result load(dv_sequencer *sequencer, dv_error *error)
{
    DV_TRY(open_logs(sequencer, error));
    sequencer->loading = true;
    DV_TRY(dv_sequencer_look(sequencer));
    sequencer->loading = false;
    dv_sequencer_sweep(sequencer);
    return dv_sequencer_forget_removed(sequencer, error);
}

static void let_go(dv_sequencer *sequencer)
{
    dv_sequencer_spools_close(sequencer);
    for (size_t i = 0; i < DV_ARRAY_LEN(sequencer->logs); i++) {
        dv_tree_close(sequencer->logs[i].tree);
        dv_catalogue_close(sequencer->logs[i].catalogue);
        dv_blob_batch_release(&sequencer->logs[i].blobs);
        sequencer->logs[i] = (one_log){.tree = NULL};
    }
}

/* As after a start: nothing is open, and what comes has a writer's id of its own. */
static void begin(dv_sequencer *sequencer)
{
    memset(sequencer->spools, 0, sizeof(sequencer->spools));
    sequencer->spool_count = DV_ARRAY_LEN(sequencer->options->spools);
    sequencer->spools[0].fd = sequencer->spools[1].fd = -1;
    sequencer->crowded = false;
    sequencer->segment_count = 0;
    sequencer->pending = 0;
    sequencer->own_id = dv_uuid_new(dv_time_now());
    sequencer->own_sequence = 0;
}

/* Logs that no commit has named yet have routes to them. */
static dv_result load_again(dv_sequencer *sequencer, size_t noted, dv_error *error)
{
    DV_TRY(load(sequencer, error));
    for (size_t i = sequencer->state.tree_count; i < sequencer->committed.tree_count; i++) {
        DV_TRY(add_log(sequencer, sequencer->committed.trees[i].name, error));
    }
    return note_again(sequencer, noted);
}

/* An entry is half in a tree, since there was no memory for the rest of it, and only the files say
 * what the tree was. What was not committed is still in the spool, or among the notes. */
static dv_result read_again(dv_sequencer *sequencer, dv_error *error)
{
    if (!sequencer->torn) {
        return DV_OK;
    }
    size_t noted = sequencer->notes.len; /* opening may tell of more */
    sequencer->committed = sequencer->state;
    let_go(sequencer);
    begin(sequencer);
    sequencer->torn = false;
    dv_result result = load_again(sequencer, noted, error);
    if (result != DV_OK) {
        let_go(sequencer);
        begin(sequencer);
        sequencer->torn = true;
        sequencer->loading = false;
        sequencer->notes.len = noted;
        sequencer->state = sequencer->committed;
    }
    return result;
}

dv_result dv_sequencer_open(const dv_sequencer_options *options, dv_sequencer **ret_sequencer,
                            dv_error *error)
{
    dv_sequencer *sequencer = calloc(1, sizeof(*sequencer));
    if (sequencer == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    sequencer->copy = *options;
    sequencer->options = &sequencer->copy;
    begin(sequencer);
    sequencer->notes = dv_buf_init(NOTES_MAX);
    sequencer->entry = dv_buf_init(UINT16_MAX);
    sequencer->arena = dv_arena_new(ENTRY_ARENA);
    sequencer->sealed = dv_buf_init((size_t)2 * UINT16_MAX);
    sequencer->event = dv_buf_init(DV_LIMIT_RECORD);
    dv_result result = sequencer->arena == NULL ? DV_ERR_NO_MEMORY : load(sequencer, error);
    if (result != DV_OK) {
        dv_sequencer_close(sequencer);
        return result;
    }
    *ret_sequencer = sequencer;
    return DV_OK;
}

dv_result dv_sequencer_route(dv_sequencer *sequencer, const char *kind, const char *log,
                             dv_error *error)
{
    dv_log_routes *routes = &sequencer->routes;
    if (!dv_log_name_is(dv_slice_str(log)) || strlen(kind) >= sizeof(routes->routes[0].kind)) {
        return dv_error_set(error, DV_ERR_INVALID, "%s can not be a log's name", log);
    }
    if (routes->count == DV_LOG_ROUTES_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "there may be %d routes into logs",
                            DV_LOG_ROUTES_MAX);
    }
    DV_TRY(read_again(sequencer, error));
    if (dv_log_state_tree(&sequencer->state, log) == NULL) {
        DV_TRY(add_log(sequencer, log, error));
    }
    dv_log_route *route = &routes->routes[routes->count++];
    snprintf(route->kind, sizeof(route->kind), "%s", kind);
    route->log = (size_t)(dv_log_state_tree(&sequencer->state, log) - sequencer->state.trees);
    return DV_OK;
}

void dv_sequencer_route_none(dv_sequencer *sequencer)
{
    sequencer->routes.count = 0;
}

void dv_sequencer_close(dv_sequencer *sequencer)
{
    if (sequencer == NULL) {
        return;
    }
    let_go(sequencer);
    dv_arena_free(sequencer->arena);
    dv_buf_release(&sequencer->notes);
    dv_buf_release(&sequencer->entry);
    dv_buf_release(&sequencer->sealed);
    dv_buf_release(&sequencer->event);
    free(sequencer);
}

void dv_sequencer_status_get(const dv_sequencer *sequencer, dv_sequencer_status *ret_status)
{
    *ret_status = (dv_sequencer_status){
        .size = sequencer->state.trees[MAIN].size,
        .segments = sequencer->segment_count,
        .refused = sequencer->refused,
        .blocked = sequencer->blocked,
    };
    ret_status->waiting = dv_sequencer_waiting(sequencer);
    memcpy(ret_status->problem, sequencer->problem, sizeof(ret_status->problem));
    ret_status->log_count = sequencer->state.tree_count;
    memcpy(ret_status->logs, sequencer->state.trees, sizeof(ret_status->logs));
}
