/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logd_rotate.h"

#include "base/caps.h"
#include "core/event.h"
#include "engine/log/rotation.h"
#include "engine/log/search.h"

#include <inttypes.h>
#include <pthread.h>

enum { WAIT_SECONDS = 30, DAYS_DEFAULT = 30 };
static const dv_time default_overlap = DAYS_DEFAULT * 86400 * DV_SECOND;
static const dv_time retry = 60 * DV_SECOND; /* after a retirement that failed */

struct dv_logd_rotate {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    bool asked;
    bool done;
    bool abandoned; /* nobody waits any more */
    bool closed;
    dv_logd_rotate_plan plan;
    dv_result result;
    dv_error error;
    dv_time not_before; /* monotonic: of the next retirement; of the main thread alone */
};

dv_result dv_logd_rotate_new(dv_logd_rotate **ret_rotate)
{
    dv_logd_rotate *rotate = calloc(1, sizeof(*rotate));
    if (rotate == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    pthread_mutex_init(&rotate->lock, NULL);
    pthread_cond_init(&rotate->changed, NULL);
    *ret_rotate = rotate;
    return DV_OK;
}

void dv_logd_rotate_close(dv_logd_rotate *rotate)
{
    if (rotate != NULL) {
        pthread_mutex_lock(&rotate->lock);
        rotate->closed = true;
        pthread_cond_broadcast(&rotate->changed);
        pthread_mutex_unlock(&rotate->lock);
    }
}

void dv_logd_rotate_free(dv_logd_rotate *rotate)
{
    if (rotate != NULL) {
        pthread_cond_destroy(&rotate->changed);
        pthread_mutex_destroy(&rotate->lock);
        free(rotate);
    }
}

/* -- the steps --------------------------------------------------------------------------------- */

static uint64_t log_size(const dv_logd_rotate_on *on)
{
    dv_sequencer_status status;
    dv_sequencer_status_get(on->sequencer, &status);
    return status.size;
}

static dv_result note_key(const dv_logd_rotate_on *on, bool retired, const dv_note_verifier *key,
                          const char *message, dv_error *error)
{
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    dv_auto(buf) dv_buf vkey = dv_buf_init(1024);
    dv_event_actor actor = {.time = dv_time_now(), .entity = DV_LIT("System::\"dvara-logd\"")};
    DV_TRY(dv_note_verifier_format(key, &vkey));
    DV_TRY(
        dv_event_key_rotated(&event, &actor, retired, dv_buf_slice(&vkey), dv_slice_str(message)));
    DV_TRY(dv_sequencer_note(on->sequencer, dv_buf_slice(&event)));
    return dv_sequencer_commit(on->sequencer, error);
}

/* The entry names the key that is begun. */
static dv_result names_next(void *data, uint64_t index, dv_slice entry)
{
    const dv_logd_keys *keys = data;
    dv_note_verifier key;
    return dv_rotation_read(entry, &key) == DV_OK && key.key_id == keys->next.key_id ? DV_ERR_EXISTS
                                                                                     : DV_OK;
}

/* A life before this one may have recorded it already: it stands right behind what was there. */
static bool is_noted(const dv_logd_rotate_on *on)
{
    return log_size(on) > on->keys->next_from &&
           dv_log_read(on->log_folder, log_size(on), on->keys->next_from, 1, names_next, on->keys,
                       NULL) == DV_ERR_EXISTS;
}

/* Under a checkpoint of the old key alone, so that whoever trusts it learns the new one from it.
 * What is pending goes first: the event of a try that failed may be part of it. */
static dv_result finish(const dv_logd_rotate_on *on, dv_time overlap, dv_error *error)
{
    dv_logd_keys *keys = on->keys;
    const dv_note_verifier old = keys->signer.verifier;
    DV_TRY(dv_sequencer_commit(on->sequencer, error));
    if (!keys->changing || !is_noted(on)) {
        DV_TRY(dv_logd_keys_begin(on->state_dir, log_size(on), keys, error));
        DV_TRY(
            note_key(on, false, &keys->next, "a new key signs the audit log from here on", error));
    }
    DV_TRY(dv_rotation_leave(on->log_folder, &old, keys->next_from, error));
    DV_TRY(dv_logd_keys_change(on->state_dir, dv_time_now() + overlap, keys, error));
    return dv_sequencer_republish(on->sequencer, error);
}

static dv_result rotate_key(const dv_logd_rotate_on *on, dv_time overlap, dv_error *error)
{
    const dv_tree_signer *signer = &on->keys->signer;
    if (signer->overlaps) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the key %08" PRIx32 " is still being replaced: retire it first",
                            signer->old_verifier.key_id);
    }
    return finish(on, overlap, error);
}

static dv_result retire_key(const dv_logd_rotate_on *on, dv_error *error)
{
    dv_logd_keys *keys = on->keys;
    DV_TRY(note_key(on, true, &keys->signer.old_verifier,
                    "the key before this one is destroyed and signs nothing more", error));
    DV_TRY(dv_logd_keys_retire(on->state_dir, keys, error));
    return dv_sequencer_republish(on->sequencer, error);
}

dv_result dv_logd_rotate_carry_out(const dv_logd_rotate_on *on, const dv_logd_rotate_plan *plan,
                                   dv_error *error)
{
    const dv_tree_signer *signer = &on->keys->signer;
    if (!plan->retire) {
        return rotate_key(on, plan->overlap > 0 ? plan->overlap : default_overlap, error);
    }
    if (!signer->overlaps || plan->key_id != signer->old_verifier.key_id) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "%08" PRIx32 " is no key that is being replaced", plan->key_id);
    }
    return retire_key(on, error);
}

dv_result dv_logd_rotate_resume(const dv_logd_rotate_on *on, dv_error *error)
{
    return on->keys->changing ? finish(on, default_overlap, error) : DV_OK;
}

/* -- asking and answering ---------------------------------------------------------------------- */

dv_result dv_logd_rotate_ask(dv_logd_rotate *rotate, const dv_logd_rotate_plan *plan,
                             dv_error *error)
{
    dv_time until = dv_time_monotonic() + WAIT_SECONDS * DV_SECOND;
    struct timespec end = {.tv_sec = until / DV_SECOND, .tv_nsec = until % DV_SECOND};
    int timed_out = 0;
    pthread_mutex_lock(&rotate->lock);
    if (rotate->asked) {
        pthread_mutex_unlock(&rotate->lock);
        return dv_error_set(error, DV_ERR_CONFLICT, "a change of the key is under way");
    }
    rotate->plan = *plan;
    rotate->done = false;
    rotate->asked = true;
    while (!rotate->done && !rotate->closed && timed_out == 0) {
        timed_out = pthread_cond_clockwait(&rotate->changed, &rotate->lock, CLOCK_MONOTONIC, &end);
    }
    dv_result result =
        rotate->done ? rotate->result
                     : dv_error_set(error, DV_ERR_UNAVAILABLE, "the log does not get to it now");
    if (rotate->done && result != DV_OK && error != NULL) {
        *error = rotate->error;
    }
    rotate->asked = !rotate->done;
    rotate->abandoned = !rotate->done;
    pthread_mutex_unlock(&rotate->lock);
    return result;
}

/* Takes what is asked; false: nothing. One that nobody waits for any more is done all the same. */
static bool take(dv_logd_rotate *rotate, dv_logd_rotate_plan *ret_plan)
{
    pthread_mutex_lock(&rotate->lock);
    bool asked = rotate->asked && !rotate->done;
    *ret_plan = rotate->plan;
    pthread_mutex_unlock(&rotate->lock);
    return asked;
}

static void answer(dv_logd_rotate *rotate, dv_result result, const dv_error *error)
{
    pthread_mutex_lock(&rotate->lock);
    rotate->result = result;
    rotate->error = *error;
    rotate->done = true;
    rotate->asked = !rotate->abandoned;
    rotate->abandoned = false;
    pthread_cond_broadcast(&rotate->changed);
    pthread_mutex_unlock(&rotate->lock);
}

static void retire_when_due(dv_logd_rotate *rotate, const dv_logd_rotate_on *on)
{
    dv_error error = {0};
    if (on->keys->signer.overlaps && dv_time_now() >= on->keys->retire_at &&
        dv_time_monotonic() >= rotate->not_before) {
        rotate->not_before = dv_time_monotonic() + retry;
        (void)!retire_key(on, &error);
        on->changed(on->data);
    }
}

/* A change that failed may have changed something, too. */
void dv_logd_rotate_serve(dv_logd_rotate *rotate, const dv_logd_rotate_on *on)
{
    dv_error error = {0};
    dv_logd_rotate_plan plan;
    if (!take(rotate, &plan)) {
        retire_when_due(rotate, on);
        return;
    }
    dv_result result = dv_logd_rotate_carry_out(on, &plan, &error);
    if (result != DV_OK && error.message[0] == '\0') {
        dv_error_write(&error, result, 0, 0, "the key can not be changed: %s",
                       dv_result_name(result));
    }
    on->changed(on->data);
    answer(rotate, result, &error);
}
