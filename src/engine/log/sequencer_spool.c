/* SPDX-License-Identifier: Apache-2.0 */
/* The sequencer's side of the spools: which segments there are, whose they are, and which of them
 * are read.
 *
 * A segment says who wrote it. That is believed where it lies in that writer's folder and its file
 * belongs to the folder's user, who alone can have made it: folders are made by who owns the spool,
 * and no user can hand a file over to another. Where all processes run as one user it only keeps
 * them in order. Segments that lie in the spool itself were left by a version before folders: of
 * them the owner tells as much. */
#include "engine/log/sequencer_private.h"

#include "base/file.h"
#include "engine/log/segment_format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- what is known ----------------------------------------------------------------------------- */

/* "<uuid>.seg" */
static bool segment_name(const char *name, dv_uuid *ret_id)
{
    size_t len = strlen(name), suffix = strlen(DV_SEGMENT_SUFFIX);
    return len == DV_UUID_TEXT_LEN + suffix &&
           strcmp(name + DV_UUID_TEXT_LEN, DV_SEGMENT_SUFFIX) == 0 &&
           dv_uuid_parse(dv_slice_of(name, DV_UUID_TEXT_LEN), ret_id) == DV_OK;
}

/* The segments of an id stand side by side. */
static const spool_segment *find_segment(const dv_sequencer *sequencer, const dv_uuid *id)
{
    const spool_segment *s = sequencer->segments;
    while (s != NULL && memcmp(&s->id, id, sizeof(*id)) < 0) {
        s = s->next;
    }
    return s != NULL && memcmp(&s->id, id, sizeof(*id)) == 0 ? s : NULL;
}

static bool is_known(const dv_sequencer *sequencer, const spool *from, const dv_uuid *id)
{
    const spool_segment *s = find_segment(sequencer, id);
    while (s != NULL && memcmp(&s->id, id, sizeof(*id)) == 0 && s->from != from) {
        s = s->next;
    }
    return s != NULL && memcmp(&s->id, id, sizeof(*id)) == 0;
}

/* A segment of this id has the position. */
static bool is_placed(const dv_sequencer *sequencer, const dv_uuid *id)
{
    const spool_segment *s = find_segment(sequencer, id);
    while (s != NULL && memcmp(&s->id, id, sizeof(*id)) == 0 && !s->placed) {
        s = s->next;
    }
    return s != NULL && memcmp(&s->id, id, sizeof(*id)) == 0;
}

static size_t places(const dv_sequencer *sequencer)
{
    size_t most = sequencer->options->segments_max;
    return most == 0 ? DV_LOG_POSITIONS_MAX : DV_MIN(most, DV_LOG_POSITIONS_MAX);
}

/* Whether that folder may have one more place, and the others still have those kept for them. */
static bool has_room(const dv_sequencer *sequencer, const spool *from)
{
    size_t used = sequencer->state.position_count;
    for (size_t i = 0; i < DV_SPOOLS_MAX; i++) {
        const spool *other = &sequencer->spools[i];
        if (other != from && other->placed < DV_SPOOL_KEPT) {
            used += DV_SPOOL_KEPT - other->placed;
        }
    }
    return used < places(sequencer);
}

/* -- opening ----------------------------------------------------------------------------------- */

static void segment_free(spool_segment *segment)
{
    dv_segment_close(segment->reader);
    free(segment);
}

dv_result dv_sequencer_refuse(dv_sequencer *sequencer, spool_segment *segment, const char *why)
{
    segment->state = SEGMENT_REFUSED;
    dv_segment_close(segment->reader);
    segment->reader = NULL;
    segment->from->refused++;
    sequencer->refused++;
    return dv_sequencer_alarm(sequencer, "audit.corrupt", why);
}

static dv_result refuse_named(dv_sequencer *sequencer, spool_segment *segment, const char *why)
{
    char title[DV_ERROR_MESSAGE_MAX], id[DV_UUID_TEXT_LEN + 1];
    const char *folder = segment->from->source[0] == '\0' ? "spool itself" : segment->from->source;
    dv_uuid_format(&segment->id, id);
    (void)snprintf(title, sizeof(title), "segment %s in the %s%s %s", id,
                   segment->from->source[0] == '\0' ? "" : "spool folder ", folder, why);
    return dv_sequencer_refuse(sequencer, segment, title);
}

/* The user of that writer's folder. */
static bool writer_is(const spool *from, const char *source, uid_t user)
{
    struct stat about;
    int found = from->within == NULL ? fstatat(from->fd, source, &about, AT_SYMLINK_NOFOLLOW)
                                     : fstat(from->fd, &about);
    return found == 0 && S_ISDIR(about.st_mode) && about.st_uid == user;
}

/* Why the segment is not its writer's; "" when it is. */
static void check_writer(const spool_segment *segment, char why[DV_ERROR_MESSAGE_MAX])
{
    const char *source = dv_segment_about(segment->reader)->source;
    const spool *from = segment->from;
    uid_t owner = dv_segment_owner(segment->reader);
    why[0] = '\0';
    /* What this process says of itself is acted on: engine/log/erasure.h. */
    if (strcmp(source, DV_SEQUENCER_SOURCE) == 0) {
        (void)snprintf(why, DV_ERROR_MESSAGE_MAX, "claims to be dvara-logd's own");
    } else if (from->within != NULL && strcmp(source, from->source) != 0) {
        (void)snprintf(why, DV_ERROR_MESSAGE_MAX, "claims to be of %s", source);
    } else if (!writer_is(from, source, owner)) {
        (void)snprintf(why, DV_ERROR_MESSAGE_MAX,
                       "belongs to user %lu, who is not the one of the folder of %s",
                       (unsigned long)owner, source);
    }
}

/* Goes on where the last life of this process stopped. */
static dv_result take_position(dv_sequencer *sequencer, spool_segment *segment)
{
    dv_log_state *state = &sequencer->state;
    const char *source = dv_segment_about(segment->reader)->source;
    dv_log_position *position = dv_log_state_find(state, &segment->id);
    if (position != NULL &&
        (strcmp(position->source, source) != 0 || is_placed(sequencer, &segment->id))) {
        return refuse_named(sequencer, segment, "bears the name of another one that is read");
    }
    if (position == NULL) {
        if (!has_room(sequencer, segment->from)) {
            return DV_ERR_AGAIN;
        }
        position = &state->positions[state->position_count++];
        *position = (dv_log_position){.segment = segment->id, .offset = DV_SEGMENT_HEADER_LEN};
        memcpy(position->source, source, sizeof(position->source));
    }
    segment->placed = true;
    segment->from->placed++;
    dv_segment_seek(segment->reader, position->sequence, position->offset);
    return DV_OK;
}

static dv_result open_segment(dv_sequencer *sequencer, spool_segment *segment)
{
    char why[DV_ERROR_MESSAGE_MAX];
    dv_error error = {0};
    dv_result result = dv_segment_open_at(segment->folder_fd, segment->name,
                                          sequencer->options->keys, &segment->reader, &error);
    if (result == DV_ERR_CORRUPT) {
        (void)snprintf(why, sizeof(why), "can not be read: %.300s", error.message);
        return refuse_named(sequencer, segment, why);
    }
    DV_TRY(result);
    if (memcmp(&dv_segment_about(segment->reader)->id, &segment->id, sizeof(segment->id)) != 0) {
        return refuse_named(sequencer, segment, "bears another one's name");
    }
    check_writer(segment, why);
    return why[0] != '\0' ? refuse_named(sequencer, segment, why)
                          : take_position(sequencer, segment);
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
    segment->from->listed++;
    sequencer->segment_count++;
}

static dv_result add_segment(dv_sequencer *sequencer, spool *from, const char *name,
                             const dv_uuid *id)
{
    spool_segment *segment = calloc(1, sizeof(*segment));
    if (segment == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    segment->id = *id;
    segment->from = from;
    segment->folder_fd = from->fd;
    snprintf(segment->name, sizeof(segment->name), "%s", name);
    dv_result result = open_segment(sequencer, segment);
    if (result != DV_OK) {
        from->failed += result != DV_ERR_AGAIN;
        from->refused -= segment->state == SEGMENT_REFUSED;
        segment_free(segment);
        return result == DV_ERR_NO_MEMORY ? result : DV_OK; /* else: looked at again */
    }
    insert_segment(sequencer, segment);
    return DV_OK;
}

/* -- looking ----------------------------------------------------------------------------------- */

/* What a writer began and never named is of no use once it is dead. */
static void sweep_unfinished(const spool *from, const char *name)
{
    size_t len = strlen(name), suffix = strlen(DV_SEGMENT_NEW_SUFFIX);
    struct stat about;
    enum { OLD_ENOUGH = 60 };
    if (len <= suffix || strcmp(name + len - suffix, DV_SEGMENT_NEW_SUFFIX) != 0 ||
        fstatat(from->fd, name, &about, AT_SYMLINK_NOFOLLOW) != 0 ||
        about.st_mtime > time(NULL) - OLD_ENOUGH) {
        return;
    }
    if (!dv_segment_has_writer(from->fd, name)) {
        unlinkat(from->fd, name, 0);
    }
}

static bool has_folder(const dv_sequencer *sequencer, const spool *within, const char *name)
{
    for (size_t i = 0; i < sequencer->spool_count; i++) {
        const spool *one = &sequencer->spools[i];
        if (one->within == within && strcmp(one->source, name) == 0) {
            return true;
        }
    }
    return false;
}

/* A kind of writer that was not seen before. */
static dv_result add_folder(dv_sequencer *sequencer, const spool *within, const char *name)
{
    if (has_folder(sequencer, within, name)) {
        return DV_OK;
    }
    dv_auto(fd) int fd = openat(within->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return DV_OK; /* no folder, or one that is looked at again */
    }
    if (sequencer->spool_count == DV_SPOOLS_MAX) {
        bool told = sequencer->crowded;
        sequencer->crowded = true;
        return told ? DV_OK
                    : dv_sequencer_alarm(sequencer, "audit.spool",
                                         "the spool has more folders than can be read: what was "
                                         "left in the others waits");
    }
    spool *added = &sequencer->spools[sequencer->spool_count++];
    added->within = within;
    dv_slice_copy(dv_slice_str(name), added->source, sizeof(added->source));
    added->fd = fd;
    fd = -1;
    return DV_OK;
}

/* Says once that some wait, and again when it was otherwise in between. */
static dv_result tell_waiting(dv_sequencer *sequencer, spool *from)
{
    char title[DV_ERROR_MESSAGE_MAX];
    bool tell = from->waiting > 0 && !has_room(sequencer, from) && !from->told;
    from->told = from->waiting > 0 && (from->told || tell);
    if (!tell) {
        return DV_OK;
    }
    (void)snprintf(title, sizeof(title),
                   "%zu segments in the spool folder %s wait: no more than %zu of it are read at a "
                   "time",
                   from->waiting, from->source, from->listed);
    return dv_sequencer_alarm(sequencer, "audit.spool", title);
}

/* Nothing is asked of a segment that would have to wait: there may be any number of them. */
static dv_result consider(dv_sequencer *sequencer, spool *from, const char *name, const dv_uuid *id)
{
    bool may = has_room(sequencer, from) ||
               (sequencer->loading && dv_log_state_find(&sequencer->state, id) != NULL);
    may = may && from->refused < DV_SPOOL_REFUSED_MAX;
    return may && !is_known(sequencer, from, id) ? add_segment(sequencer, from, name, id) : DV_OK;
}

static dv_result scan_entry(dv_sequencer *sequencer, spool *from, const char *name, size_t *found)
{
    dv_uuid id;
    if (segment_name(name, &id)) {
        ++*found;
        return consider(sequencer, from, name, &id);
    }
    if (from->within == NULL && dv_segment_source_is_good(name)) {
        return add_folder(sequencer, from, name);
    }
    sweep_unfinished(from, name);
    return DV_OK;
}

/* Somebody removed the folder: another one of its name takes its place, under the same descriptor,
 * which its segments have borrowed. */
static void follow_folder(const spool *from)
{
    struct stat about;
    if (from->within == NULL || fstat(from->fd, &about) != 0 || about.st_nlink > 0) {
        return;
    }
    dv_auto(fd) int fd =
        openat(from->within->fd, from->source, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        (void)!dup3(fd, from->fd, O_CLOEXEC);
    }
}

/* It is looked at again, and told once: who owns a folder can take it away from us. */
static dv_result tell_unread(dv_sequencer *sequencer, spool *from, int why)
{
    char title[DV_ERROR_MESSAGE_MAX];
    if (from->unread) {
        return DV_OK;
    }
    from->unread = true;
    (void)snprintf(title, sizeof(title),
                   "the spool%s%s can not be read (%s): what is left there waits",
                   from->source[0] == '\0' ? "" : " folder ", from->source, strerror(why));
    return dv_sequencer_alarm(sequencer, "audit.spool", title);
}

static dv_result scan_spool(dv_sequencer *sequencer, spool *from)
{
    size_t found = 0;
    dv_result result = DV_OK;
    from->failed = 0;
    follow_folder(from);
    int fd = openat(from->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        int why = errno;
        dv_fd_close(&fd);
        return tell_unread(sequencer, from, why);
    }
    from->unread = false;
    for (struct dirent *entry = readdir(dir); entry != NULL && result == DV_OK;
         entry = readdir(dir)) {
        result = scan_entry(sequencer, from, entry->d_name, &found);
    }
    closedir(dir);
    size_t others = from->listed + from->failed;
    from->waiting = found > others ? found - others : 0;
    return result == DV_OK ? tell_waiting(sequencer, from) : result;
}

/* The spools themselves, which may come later than this process. */
static void open_spools(dv_sequencer *sequencer)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(sequencer->options->spools); i++) {
        spool *one = &sequencer->spools[i];
        const char *path = sequencer->options->spools[i];
        if (one->fd < 0 && path != NULL) {
            one->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
    }
}

dv_result dv_sequencer_look(dv_sequencer *sequencer)
{
    open_spools(sequencer);
    for (size_t i = 0; i < sequencer->spool_count; i++) { /* the first ones find the others */
        if (sequencer->spools[i].fd >= 0) {
            DV_TRY(scan_spool(sequencer, &sequencer->spools[i]));
        }
    }
    return DV_OK;
}

size_t dv_sequencer_waiting(const dv_sequencer *sequencer)
{
    size_t waiting = 0;
    for (size_t i = 0; i < sequencer->spool_count; i++) {
        waiting += sequencer->spools[i].waiting;
    }
    return waiting;
}

/* -- removing ---------------------------------------------------------------------------------- */

static void forget_position(dv_sequencer *sequencer, spool_segment *segment)
{
    dv_log_state *state = &sequencer->state;
    const spool *from = segment->from;
    dv_log_position *position = dv_log_state_find(state, &segment->id);
    /* Also of one that was refused before it was placed, when an earlier life placed it. */
    bool own = segment->placed ||
               (position != NULL && from->within != NULL && !is_placed(sequencer, &segment->id) &&
                strcmp(position->source, from->source) == 0);
    if (own && position != NULL) {
        *position = state->positions[--state->position_count];
    }
    segment->from->placed -= segment->placed;
}

static bool remove_file(const spool_segment *segment)
{
    char refused[80];
    if (segment->state == SEGMENT_FINISHED) {
        return unlinkat(segment->folder_fd, segment->name, 0) == 0 || errno == ENOENT;
    }
    snprintf(refused, sizeof(refused), "%s" DV_SEGMENT_REFUSED_SUFFIX, segment->name);
    return renameat(segment->folder_fd, segment->name, segment->folder_fd, refused) == 0 ||
           errno == ENOENT; /* renamed before, but not durably */
}

void dv_sequencer_sweep(const dv_sequencer *sequencer)
{
    for (size_t i = 0; i < sequencer->spool_count; i++) {
        dv_blob_spool_sweep(sequencer->spools[i].fd);
    }
}

/* Hundreds may be done at once, where workers die as they start: one sync of a folder is for all of
 * them. */
static bool remove_files(dv_sequencer *sequencer)
{
    bool removed = false, synced = true;
    bool touched[DV_SPOOLS_MAX] = {false};
    for (spool_segment *s = sequencer->segments; s != NULL; s = s->next) {
        s->gone = s->state != SEGMENT_OPEN && remove_file(s);
        removed |= s->gone;
        touched[s->from - sequencer->spools] |= s->gone;
    }
    for (size_t i = 0; i < sequencer->spool_count; i++) {
        synced = synced && (!touched[i] || fsync(sequencer->spools[i].fd) == 0);
    }
    return removed && synced;
}

void dv_sequencer_remove_done(dv_sequencer *sequencer)
{
    spool_segment **link = &sequencer->segments;
    for (size_t i = 0; i < sequencer->state.tree_count; i++) {
        dv_blob_batch_done(&sequencer->logs[i].blobs);
    }
    if (!remove_files(sequencer)) {
        return;
    }
    while (*link != NULL) {
        spool_segment *segment = *link;
        if (segment->gone) {
            forget_position(sequencer, segment);
            *link = segment->next;
            segment->from->listed--;
            segment->from->refused -= segment->state == SEGMENT_REFUSED;
            sequencer->segment_count--;
            segment_free(segment);
        } else {
            link = &segment->next;
        }
    }
    dv_sequencer_sweep(sequencer);
}

dv_result dv_sequencer_forget_removed(dv_sequencer *sequencer, dv_error *error)
{
    dv_log_state *state = &sequencer->state;
    for (size_t i = 0; i < sequencer->spool_count; i++) {
        const spool *from = &sequencer->spools[i];
        if (from->fd >= 0 && fsync(from->fd) != 0) {
            return dv_error_set(error, DV_ERR_IO, "can not sync the spool %s: %s", from->source,
                                strerror(errno));
        }
    }
    for (size_t i = 0; i < state->position_count;) {
        if (find_segment(sequencer, &state->positions[i].segment) != NULL) {
            i++;
        } else {
            state->positions[i] = state->positions[--state->position_count];
        }
    }
    return DV_OK;
}

void dv_sequencer_spools_close(dv_sequencer *sequencer)
{
    while (sequencer->segments != NULL) {
        spool_segment *segment = sequencer->segments;
        sequencer->segments = segment->next;
        segment_free(segment);
    }
    for (size_t i = 0; i < sequencer->spool_count; i++) {
        dv_fd_close(&sequencer->spools[i].fd);
    }
}
