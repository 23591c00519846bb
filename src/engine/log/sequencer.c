/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/sequencer.h"

#include "base/caps.h"
#include "core/event_code.h"
#include "engine/log/entry.h"
#include "engine/log/search.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

/* A segment's turn, and how long turns go on before others of this process have theirs. */
enum { TURN_RECORDS = 64 };
static const dv_time COLLECT_TIME = 50 * DV_MILLISECOND;

static const char own_source[] = "dvara-logd";

typedef enum segment_state { SEGMENT_OPEN, SEGMENT_FINISHED, SEGMENT_REFUSED } segment_state;

typedef struct spool_segment {
    struct spool_segment *next;
    segment_state state;
    bool malformed;     /* an alarm told of a record that is no event */
    dv_segment *reader; /* NULL when it could not be opened */
    dv_uuid id;
    int folder_fd; /* borrowed from the spool */
    char name[64]; /* within the folder */
} spool_segment;

typedef struct spool {
    const char *path;
    int fd;
} spool;

struct dv_sequencer {
    const dv_sequencer_options *options;
    dv_sequencer_options copy;
    spool spools[2];
    dv_log_state state;
    dv_tree *tree;
    dv_catalogue *catalogue;
    spool_segment *segments;
    size_t segment_count;
    dv_buf entry;
    dv_buf event; /* a record's code, expanded */
    dv_uuid own_id;
    uint64_t own_sequence;
    size_t pending;
    bool level; /* the last collect read all */
    uint64_t refused;
    bool blocked;
    char problem[DV_ERROR_MESSAGE_MAX];
};

/* -- entries ----------------------------------------------------------------------------------- */

static dv_result add_entry(dv_sequencer *sequencer, const dv_entry_stamp *stamp, dv_slice record)
{
    uint64_t index;
    dv_buf_clear(&sequencer->entry);
    DV_TRY(dv_entry_stamp_record(stamp, record, &sequencer->entry));
    DV_TRY(dv_tree_append(sequencer->tree, dv_buf_slice(&sequencer->entry), &index));
    dv_catalogue_add(sequencer->catalogue, dv_buf_slice(&sequencer->entry));
    sequencer->pending++;
    return DV_OK;
}

dv_result dv_sequencer_note(dv_sequencer *sequencer, dv_slice event)
{
    dv_entry_stamp stamp = {own_source, sequencer->own_id, sequencer->own_sequence, dv_time_now()};
    DV_TRY(add_entry(sequencer, &stamp, event));
    sequencer->own_sequence++;
    return DV_OK;
}

static dv_result alarm_event(dv_sequencer *sequencer, const char *rule, const char *title)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = {.time = dv_time_now(), .entity = DV_LIT("System::\"dvara-logd\"")};
    snprintf(sequencer->problem, sizeof(sequencer->problem), "%s", title);
    DV_TRY(dv_event_alarm(&event, &actor, dv_slice_str(rule), dv_slice_str(title)));
    return dv_sequencer_note(sequencer, dv_buf_slice(&event));
}

/* -- segments ---------------------------------------------------------------------------------- */

/* "<uuid>.seg" */
static bool segment_name(const char *name, dv_uuid *ret_id)
{
    size_t len = strlen(name), suffix = strlen(DV_SEGMENT_SUFFIX);
    return len == DV_UUID_TEXT_LEN + suffix &&
           strcmp(name + DV_UUID_TEXT_LEN, DV_SEGMENT_SUFFIX) == 0 &&
           dv_uuid_parse(dv_slice_of(name, DV_UUID_TEXT_LEN), ret_id) == DV_OK;
}

static bool is_known(const dv_sequencer *sequencer, const dv_uuid *id)
{
    for (const spool_segment *s = sequencer->segments; s != NULL; s = s->next) {
        if (memcmp(&s->id, id, sizeof(*id)) == 0) {
            return true;
        }
    }
    return false;
}

static void segment_free(spool_segment *segment)
{
    dv_segment_close(segment->reader);
    free(segment);
}

static dv_result refuse(dv_sequencer *sequencer, spool_segment *segment, const char *why)
{
    segment->state = SEGMENT_REFUSED;
    sequencer->refused++;
    return alarm_event(sequencer, "audit.corrupt", why);
}

/* Goes on where the last life of this process stopped. */
static dv_result take_position(dv_sequencer *sequencer, spool_segment *segment)
{
    dv_log_state *state = &sequencer->state;
    dv_log_position *position = dv_log_state_find(state, &segment->id);
    if (position == NULL) {
        if (state->position_count == DV_LOG_POSITIONS_MAX) {
            return DV_ERR_AGAIN;
        }
        position = &state->positions[state->position_count++];
        *position = (dv_log_position){.segment = segment->id, .offset = DV_SEGMENT_HEADER_LEN};
        memcpy(position->source, dv_segment_about(segment->reader)->source,
               sizeof(position->source));
    }
    dv_segment_seek(segment->reader, position->sequence, position->offset);
    return DV_OK;
}

static dv_result open_segment(dv_sequencer *sequencer, const spool *from, spool_segment *segment)
{
    char path[PATH_MAX];
    dv_error error = {0};
    snprintf(path, sizeof(path), "%s/%s", from->path, segment->name);
    dv_result result = dv_segment_open(path, sequencer->options->keys, &segment->reader, &error);
    if (result == DV_ERR_CORRUPT) {
        return refuse(sequencer, segment, error.message);
    }
    DV_TRY(result);
    if (memcmp(&dv_segment_about(segment->reader)->id, &segment->id, sizeof(segment->id)) != 0) {
        return refuse(sequencer, segment, "a spool segment bears another one's name");
    }
    return take_position(sequencer, segment);
}

/* By id, which is by age: a writer's older segment is read before its newer one. */
static void insert_segment(dv_sequencer *sequencer, spool_segment *segment)
{
    spool_segment **link = &sequencer->segments;
    while (*link != NULL && memcmp(&(*link)->id, &segment->id, sizeof(segment->id)) < 0) {
        link = &(*link)->next;
    }
    segment->next = *link;
    *link = segment;
    sequencer->segment_count++;
}

static dv_result add_segment(dv_sequencer *sequencer, const spool *from, const char *name,
                             const dv_uuid *id)
{
    spool_segment *segment = calloc(1, sizeof(*segment));
    if (segment == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    segment->id = *id;
    segment->folder_fd = from->fd;
    snprintf(segment->name, sizeof(segment->name), "%s", name);
    dv_result result = open_segment(sequencer, from, segment);
    if (result != DV_OK) {
        segment_free(segment);
        return result == DV_ERR_NO_MEMORY ? result : DV_OK; /* else: looked at again */
    }
    insert_segment(sequencer, segment);
    return DV_OK;
}

/* What a writer began and never named is of no use once it is dead. */
static void sweep_unfinished(const spool *from, const char *name)
{
    char path[PATH_MAX];
    size_t len = strlen(name), suffix = strlen(DV_SEGMENT_NEW_SUFFIX);
    struct stat about;
    enum { OLD_ENOUGH = 60 };
    if (len <= suffix || strcmp(name + len - suffix, DV_SEGMENT_NEW_SUFFIX) != 0 ||
        fstatat(from->fd, name, &about, AT_SYMLINK_NOFOLLOW) != 0 ||
        about.st_mtime > time(NULL) - OLD_ENOUGH) {
        return;
    }
    snprintf(path, sizeof(path), "%s/%s", from->path, name);
    if (!dv_segment_has_writer(path)) {
        unlinkat(from->fd, name, 0);
    }
}

static dv_result scan_spool(dv_sequencer *sequencer, spool *from)
{
    dv_uuid id;
    if (from->fd < 0) {
        from->fd = open(from->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    int fd = from->fd < 0 ? -1 : openat(from->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    dv_result result = DV_OK;
    if (dir == NULL) {
        dv_fd_close(&fd);
        return DV_OK; /* no writer made it yet */
    }
    for (struct dirent *entry = readdir(dir); entry != NULL && result == DV_OK;
         entry = readdir(dir)) {
        if (!segment_name(entry->d_name, &id)) {
            sweep_unfinished(from, entry->d_name);
        } else if (!is_known(sequencer, &id)) {
            result = add_segment(sequencer, from, entry->d_name, &id);
        }
    }
    closedir(dir);
    return result;
}

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
    DV_TRY(alarm_event(sequencer, "audit.malformed", title));
    segment->malformed = true;
    return DV_OK;
}

/* The record's JSON, or the record itself when none can be made of it. */
static dv_result event_of(dv_sequencer *sequencer, spool_segment *segment,
                          const dv_segment_record *record, dv_slice *ret_event)
{
    dv_error error = {0};
    dv_result result = dv_event_code_text(record->text, &sequencer->event, ret_event, &error);
    if (result == DV_OK || result == DV_ERR_NO_MEMORY) {
        return result;
    }
    *ret_event = record->text;
    return alarm_malformed(sequencer, segment, record->sequence, error.message);
}

static dv_result take_record(dv_sequencer *sequencer, spool_segment *segment,
                             const dv_segment_record *record)
{
    const dv_segment_info *about = dv_segment_about(segment->reader);
    dv_log_position *position = dv_log_state_find(&sequencer->state, &segment->id);
    dv_entry_stamp stamp = {about->source, about->id, record->sequence, dv_time_now()};
    dv_slice event;
    if (position == NULL) {
        return DV_ERR_INTERNAL;
    }
    DV_TRY(event_of(sequencer, segment, record, &event));
    DV_TRY(add_entry(sequencer, &stamp, event));
    position->sequence = record->sequence + 1;
    position->offset = record->end;
    return DV_OK;
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
    return alarm_event(sequencer, "audit.torn", title);
}

bool dv_sequencer_is_level(const dv_sequencer *sequencer)
{
    return sequencer->level;
}

bool dv_sequencer_batch_full(const dv_sequencer *sequencer)
{
    return dv_tree_pending_bytes(sequencer->tree) >= sequencer->options->batch_bytes;
}

/* One turn. *more: it may not have been the last. */
static dv_result collect_segment(dv_sequencer *sequencer, spool_segment *segment, size_t *taken,
                                 bool *more)
{
    dv_segment_record record;
    dv_error error = {0};
    for (size_t i = 0; i < TURN_RECORDS && !dv_sequencer_batch_full(sequencer); i++) {
        dv_result result = dv_segment_next(segment->reader, &record, &error);
        if (result == DV_ERR_AGAIN) {
            return DV_OK;
        }
        if (result == DV_ERR_NOT_FOUND) {
            return finish(sequencer, segment);
        }
        if (result == DV_ERR_CORRUPT) {
            return refuse(sequencer, segment, error.message);
        }
        DV_TRY(result);
        DV_TRY(take_record(sequencer, segment, &record));
        ++*taken;
    }
    *more = true;
    return DV_OK;
}

/* Each open segment has one turn. */
static dv_result collect_turn(dv_sequencer *sequencer, size_t *taken, bool *more)
{
    dv_result result = DV_OK;
    for (spool_segment *s = sequencer->segments; s != NULL && result == DV_OK; s = s->next) {
        if (s->state == SEGMENT_OPEN) {
            result = collect_segment(sequencer, s, taken, more);
        }
    }
    return result;
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
    for (size_t i = 0; i < DV_ARRAY_LEN(sequencer->spools) && result == DV_OK; i++) {
        if (sequencer->spools[i].path != NULL) {
            result = scan_spool(sequencer, &sequencer->spools[i]);
        }
    }
    while (more && result == DV_OK && !dv_sequencer_batch_full(sequencer) &&
           (taken == 0 || dv_time_monotonic() < end)) {
        more = false;
        result = collect_turn(sequencer, &taken, &more);
    }
    if (result != DV_OK) {
        return dv_error_set(error, result, "can not read the spools: %s", dv_result_name(result));
    }
    sequencer->level = !more;
    *ret_taken = taken;
    return DV_OK;
}

size_t dv_sequencer_pending(const dv_sequencer *sequencer)
{
    return sequencer->pending;
}

/* -- committing -------------------------------------------------------------------------------- */

static void forget_position(dv_log_state *state, const dv_uuid *id)
{
    dv_log_position *position = dv_log_state_find(state, id);
    if (position != NULL) {
        *position = state->positions[--state->position_count];
    }
}

static bool remove_file(const spool_segment *segment)
{
    char refused[80];
    if (segment->state == SEGMENT_FINISHED) {
        return unlinkat(segment->folder_fd, segment->name, 0) == 0 || errno == ENOENT;
    }
    snprintf(refused, sizeof(refused), "%s.refused", segment->name);
    return renameat(segment->folder_fd, segment->name, segment->folder_fd, refused) == 0;
}

/* Only after a commit that holds all of its records. What can't be removed is tried again after
 * the next one. */
static void remove_done(dv_sequencer *sequencer)
{
    spool_segment **link = &sequencer->segments;
    while (*link != NULL) {
        spool_segment *segment = *link;
        if (segment->state != SEGMENT_OPEN && remove_file(segment) &&
            fsync(segment->folder_fd) == 0) {
            forget_position(&sequencer->state, &segment->id);
            *link = segment->next;
            sequencer->segment_count--;
            segment_free(segment);
        } else {
            link = &segment->next;
        }
    }
}

dv_result dv_sequencer_commit(dv_sequencer *sequencer, dv_error *error)
{
    dv_error detail = {0};
    dv_result result = dv_tree_commit(sequencer->tree, &detail);
    if (result == DV_OK) {
        sequencer->pending = 0;
        dv_catalogue_flush(sequencer->catalogue);
        result = dv_tree_publish(sequencer->tree, &detail);
    }
    if (result == DV_OK) {
        remove_done(sequencer); /* last: what is gone from the spool can be read in the log */
    }
    sequencer->blocked = result != DV_OK;
    if (result != DV_OK) {
        snprintf(sequencer->problem, sizeof(sequencer->problem), "%s", detail.message);
        return dv_error_set(error, result, "%s", detail.message);
    }
    return DV_OK;
}

/* -- opening ----------------------------------------------------------------------------------- */

/* Positions of segments whose removal was durable before the last death. */
static void forget_removed(dv_sequencer *sequencer)
{
    dv_log_state *state = &sequencer->state;
    for (size_t i = 0; i < state->position_count;) {
        if (is_known(sequencer, &state->positions[i].segment)) {
            i++;
        } else {
            state->positions[i] = state->positions[--state->position_count];
        }
    }
}

static dv_result load(dv_sequencer *sequencer, dv_error *error)
{
    const dv_sequencer_options *options = sequencer->options;
    DV_TRY(dv_tree_open(options->log_folder, options->signer, &sequencer->state, &sequencer->tree,
                        error));
    DV_TRY(dv_catalogue_open(options->log_folder, sequencer->state.size, &sequencer->catalogue,
                             error));
    for (size_t i = 0; i < DV_ARRAY_LEN(options->spools); i++) {
        sequencer->spools[i].path = options->spools[i];
        if (options->spools[i] != NULL) {
            DV_TRY(scan_spool(sequencer, &sequencer->spools[i]));
        }
    }
    forget_removed(sequencer);
    return DV_OK;
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
    sequencer->spools[0].fd = sequencer->spools[1].fd = -1;
    sequencer->own_id = dv_uuid_new(dv_time_now());
    sequencer->entry = dv_buf_init(UINT16_MAX);
    sequencer->event = dv_buf_init(DV_LIMIT_RECORD);
    dv_result result = load(sequencer, error);
    if (result != DV_OK) {
        dv_sequencer_close(sequencer);
        return result;
    }
    *ret_sequencer = sequencer;
    return DV_OK;
}

void dv_sequencer_close(dv_sequencer *sequencer)
{
    if (sequencer == NULL) {
        return;
    }
    while (sequencer->segments != NULL) {
        spool_segment *segment = sequencer->segments;
        sequencer->segments = segment->next;
        segment_free(segment);
    }
    dv_tree_close(sequencer->tree);
    dv_catalogue_close(sequencer->catalogue);
    dv_buf_release(&sequencer->entry);
    dv_buf_release(&sequencer->event);
    for (size_t i = 0; i < DV_ARRAY_LEN(sequencer->spools); i++) {
        dv_fd_close(&sequencer->spools[i].fd);
    }
    free(sequencer);
}

void dv_sequencer_status_get(const dv_sequencer *sequencer, dv_sequencer_status *ret_status)
{
    *ret_status = (dv_sequencer_status){
        .size = sequencer->state.size,
        .segments = sequencer->segment_count,
        .refused = sequencer->refused,
        .blocked = sequencer->blocked,
    };
    memcpy(ret_status->problem, sequencer->problem, sizeof(ret_status->problem));
}
