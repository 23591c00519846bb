/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logd_erase.h"

#include "base/caps.h"
#include "base/json.h"
#include "core/event.h"
#include "daemon/logd_logs.h"
#include "engine/log/erasure.h"

#include <inttypes.h>
#include <pthread.h>

enum {
    WAIT_SECONDS = 30,
    COUNT_SECONDS = 20,
    DRAIN_SECONDS = 10,
    TEXT_MAX = DV_SUBJECT_TEXT_MAX,
    BODY_TOKENS = 64,
    BODY_ARENA = 64 << 10,
};

typedef struct plan {
    char subject[TEXT_MAX + 1], actor[TEXT_MAX + 1], reason[TEXT_MAX + 1];
    char request_id[64], via[32], address[64];
    bool dry_run;
} plan;

struct dv_logd_erase {
    dv_logd_erase_on on;
    pthread_mutex_t lock; /* of all below but `owed` */
    pthread_cond_t changed;
    bool asked;
    bool done;
    bool abandoned; /* nobody waits any more */
    bool closed;
    plan plan;
    char key_id[DV_SUBJECT_ID_TEXT + 1];
    dv_result result;
    dv_error error;
    char owed[DV_SUBJECT_ID_TEXT + 1]; /* of the main thread: its event is in the log, or will be */
};

dv_result dv_logd_erase_new(const dv_logd_erase_on *on, dv_logd_erase **ret_erase)
{
    dv_logd_erase *erase = calloc(1, sizeof(*erase));
    if (erase == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    erase->on = *on;
    pthread_mutex_init(&erase->lock, NULL);
    pthread_cond_init(&erase->changed, NULL);
    *ret_erase = erase;
    return DV_OK;
}

void dv_logd_erase_close(dv_logd_erase *erase)
{
    if (erase != NULL) {
        pthread_mutex_lock(&erase->lock);
        erase->closed = true;
        pthread_cond_broadcast(&erase->changed);
        pthread_mutex_unlock(&erase->lock);
    }
}

void dv_logd_erase_free(dv_logd_erase *erase)
{
    if (erase != NULL) {
        pthread_cond_destroy(&erase->changed);
        pthread_mutex_destroy(&erase->lock);
        free(erase);
    }
}

/* -- the body -----------------------------------------------------------------------------------
 */

static dv_result read_plan(dv_slice body, dv_arena *arena, plan *out, dv_error *error)
{
    static const dv_json_limits limits = {
        .depth = 2, .tokens = BODY_TOKENS, .refuse_duplicate_keys = true};
    dv_json json;
    DV_TRY(dv_json_scan(body, &limits, arena, &json, error));
    if (json.tokens[0].type != DV_JSON_OBJECT) {
        return dv_error_set(error, DV_ERR_INVALID, "the body must be a JSON object");
    }
    DV_TRY(dv_json_copy_text(&json, "subject", arena, out->subject, sizeof(out->subject), error));
    DV_TRY(dv_json_copy_text(&json, "actor", arena, out->actor, sizeof(out->actor), error));
    DV_TRY(dv_json_copy_text(&json, "reason", arena, out->reason, sizeof(out->reason), error));
    DV_TRY(dv_json_copy_text(&json, "request_id", arena, out->request_id, sizeof(out->request_id),
                             error));
    DV_TRY(dv_json_copy_text(&json, "via", arena, out->via, sizeof(out->via), error));
    DV_TRY(dv_json_copy_text(&json, "address", arena, out->address, sizeof(out->address), error));
    uint32_t dry_run = dv_json_member(&json, 0, "dry_run");
    out->dry_run = dry_run != 0 && json.tokens[dry_run].type == DV_JSON_TRUE;
    return out->subject[0] != '\0'
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID, "the body must name a subject");
}

/* The message goes into the record of the call, and so would a name in it: under a new key of just
 * the person who was erased before, or of whoever is spelt so. */
static dv_result find_key(const dv_logd_erase *erase, const plan *wanted,
                          char ret_key_id[DV_SUBJECT_ID_TEXT + 1], dv_error *error)
{
    dv_result result =
        dv_subjects_find(erase->on.subjects, dv_slice_str(wanted->subject), ret_key_id);
    return result == DV_OK
               ? DV_OK
               : dv_error_set(error, result,
                              "the audit log keeps nothing under it: nothing was recorded under "
                              "this spelling, or it is erased already");
}

/* -- erasing, in the main thread ----------------------------------------------------------------
 */

static dv_result note_erased(dv_logd_erase *erase, const plan *wanted, const char *key_id)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = {
        .request_id = dv_slice_str(wanted->request_id),
        .time = dv_time_now(),
        .entity = dv_slice_str(wanted->actor),
        .via = dv_slice_str(wanted->via),
        .address = dv_slice_str(wanted->address),
    };
    DV_TRY(dv_erasure_event(&event, &actor, dv_slice_str(key_id), dv_slice_str(wanted->reason)));
    return dv_sequencer_note(erase->on.sequencer, dv_buf_slice(&event));
}

/* Until nothing is left in the spools: what was recorded before the erasure was asked for. */
static dv_result take_spools(dv_sequencer *sequencer, dv_error *error)
{
    dv_time end = dv_time_monotonic() + DRAIN_SECONDS * DV_SECOND;
    do {
        size_t taken;
        DV_TRY(dv_sequencer_collect(sequencer, &taken, error));
        /* What a commit holds makes room for segments that wait. */
        if (dv_sequencer_batch_full(sequencer) ||
            (taken == 0 && !dv_sequencer_is_level(sequencer))) {
            DV_TRY(dv_sequencer_commit(sequencer, error));
        }
        if (dv_time_monotonic() > end) {
            return dv_error_set(error, DV_ERR_UNAVAILABLE,
                                "the spools do not become empty: erase at a quieter time");
        }
    } while (!dv_sequencer_is_level(sequencer));
    return DV_OK;
}

static uint64_t log_size(const dv_logd_erase *erase)
{
    dv_sequencer_status status;
    dv_sequencer_status_get(erase->on.sequencer, &status);
    return status.size;
}

/* The event is under a checkpoint, then the key goes. */
static dv_result destroy_owed(dv_logd_erase *erase, dv_error *error)
{
    dv_slice id = dv_slice_str(erase->owed);
    DV_TRY(dv_sequencer_commit(erase->on.sequencer, error));
    DV_TRY(dv_subjects_destroy(erase->on.subjects, &id, 1, error));
    erase->owed[0] = '\0';
    dv_subjects_set_seen(erase->on.subjects, log_size(erase));
    return DV_OK;
}

static dv_result erase_subject(dv_logd_erase *erase, const plan *wanted,
                               char key_id[DV_SUBJECT_ID_TEXT + 1], dv_error *error)
{
    DV_TRY(take_spools(erase->on.sequencer, error));
    /* An earlier erasure that the disk did not take is made good first. */
    DV_TRY(dv_subjects_store(erase->on.subjects, error));
    DV_TRY(find_key(erase, wanted, key_id, error));
    DV_TRY(note_erased(erase, wanted, key_id));
    memcpy(erase->owed, key_id, sizeof(erase->owed));
    return destroy_owed(erase, error);
}

/* Takes what is asked; false: nothing. One that nobody waits for any more is done all the same. */
static bool take(dv_logd_erase *erase, plan *ret_plan)
{
    pthread_mutex_lock(&erase->lock);
    bool asked = erase->asked && !erase->done;
    *ret_plan = erase->plan;
    pthread_mutex_unlock(&erase->lock);
    return asked;
}

static void tell(dv_logd_erase *erase, dv_result result, const char *key_id, const dv_error *error)
{
    pthread_mutex_lock(&erase->lock);
    erase->result = result;
    erase->error = *error;
    memcpy(erase->key_id, key_id, sizeof(erase->key_id));
    erase->done = true;
    erase->asked = !erase->abandoned;
    erase->abandoned = false;
    memset(&erase->plan, 0, sizeof(erase->plan)); /* the name goes from here, too */
    pthread_cond_broadcast(&erase->changed);
    pthread_mutex_unlock(&erase->lock);
}

bool dv_logd_erase_serve(dv_logd_erase *erase)
{
    char key_id[DV_SUBJECT_ID_TEXT + 1] = "";
    dv_error error = {0};
    plan wanted;
    if (erase->owed[0] != '\0' && destroy_owed(erase, &error) != DV_OK) {
        return false; /* first things first: tried again in a moment */
    }
    if (!take(erase, &wanted)) {
        return false;
    }
    dv_result result = erase_subject(erase, &wanted, key_id, &error);
    if (result != DV_OK && error.message[0] == '\0') {
        dv_error_write(&error, result, 0, 0, "the key can not be destroyed: %s",
                       dv_result_name(result));
    }
    tell(erase, result, key_id, &error);
    memset(&wanted, 0, sizeof(wanted));
    return true;
}

/* -- asking, in a thread of the server ----------------------------------------------------------
 */

static dv_result ask(dv_logd_erase *erase, const plan *wanted,
                     char ret_key_id[DV_SUBJECT_ID_TEXT + 1], dv_error *error)
{
    dv_time until = dv_time_monotonic() + WAIT_SECONDS * DV_SECOND;
    struct timespec end = {.tv_sec = until / DV_SECOND, .tv_nsec = until % DV_SECOND};
    int timed_out = 0;
    pthread_mutex_lock(&erase->lock);
    if (erase->asked) {
        pthread_mutex_unlock(&erase->lock);
        return dv_error_set(error, DV_ERR_CONFLICT, "an erasure is under way: ask again");
    }
    erase->plan = *wanted;
    erase->done = false;
    erase->asked = true;
    while (!erase->done && !erase->closed && timed_out == 0) {
        timed_out = pthread_cond_clockwait(&erase->changed, &erase->lock, CLOCK_MONOTONIC, &end);
    }
    dv_result result = erase->done ? erase->result
                                   : dv_error_set(error, DV_ERR_UNAVAILABLE,
                                                  "the log does not get to it now: ask again");
    if (erase->done && result != DV_OK && error != NULL) {
        *error = erase->error;
    }
    memcpy(ret_key_id, erase->key_id, sizeof(erase->key_id));
    erase->asked = !erase->done;
    erase->abandoned = !erase->done;
    pthread_mutex_unlock(&erase->lock);
    return result;
}

static dv_result count_events(const dv_logd_erase *erase, const dv_log_tree *logs, size_t log_count,
                              dv_slice key_id, uint64_t *ret_count, uint64_t *ret_read,
                              dv_error *error)
{
    char folder[PATH_MAX];
    uint64_t count, read;
    dv_time until = dv_time_monotonic() + COUNT_SECONDS * DV_SECOND;
    *ret_count = *ret_read = 0;
    for (size_t i = 0; i < log_count; i++) {
        DV_TRY(dv_logd_log_folder(erase->on.log_folder, logs[i].name, folder, error));
        DV_TRY(dv_erasures_count(folder, logs[i].minimum, logs[i].size, key_id, until, &count,
                                 &read, error));
        *ret_count += count;
        *ret_read += read;
    }
    return DV_OK;
}

static dv_result try_dry(const dv_logd_erase *erase, const plan *wanted, const dv_log_tree *logs,
                         size_t log_count, dv_buf *out, dv_error *error)
{
    char key_id[DV_SUBJECT_ID_TEXT + 1];
    uint64_t count, read;
    DV_TRY(find_key(erase, wanted, key_id, error));
    DV_TRY(count_events(erase, logs, log_count, dv_slice_str(key_id), &count, &read, error));
    return dv_buf_append_printf(
        out, "{\"key\":\"%s\",\"events\":%" PRIu64 ",\"events_read\":%" PRIu64 "}\n", key_id, count,
        read);
}

dv_result dv_logd_erase_post(dv_logd_erase *erase, dv_slice body, const dv_log_tree *logs,
                             size_t log_count, dv_buf *out, dv_error *error)
{
    char key_id[DV_SUBJECT_ID_TEXT + 1];
    plan wanted;
    dv_auto(arena) dv_arena *arena = dv_arena_new(BODY_ARENA);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(read_plan(body, arena, &wanted, error));
    if (wanted.dry_run) {
        return try_dry(erase, &wanted, logs, log_count, out, error);
    }
    DV_TRY(ask(erase, &wanted, key_id, error));
    return dv_buf_append_printf(out, "{\"key\":\"%s\"}\n", key_id);
}
