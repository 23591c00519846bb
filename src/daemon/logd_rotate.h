/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Changing the key that signs the log (`dvara audit rotate-key`).
 *
 *   begin:   a new key; the event that names it, under a checkpoint of the old key alone; a proof
 *            of that is left in LOG/rotated
 *   change:  the new key signs, and the old one beside it, until it is retired
 *   retire:  the event that says so, under both; the old key is destroyed; the new one signs alone
 *
 * A death at any point is made up for at the next start: a key that was begun is taken into use. */

#include "daemon/logd_keys.h"

typedef struct dv_logd_rotate dv_logd_rotate;

typedef struct dv_logd_rotate_plan {
    bool retire;     /* the old key goes; otherwise a new one comes */
    uint32_t key_id; /* to retire: must be the old one's */
    dv_time overlap; /* how long the old key goes on signing */
} dv_logd_rotate_plan;

/* What the change works on; all borrowed. */
typedef struct dv_logd_rotate_on {
    const char *state_dir;
    const char *log_folder;
    dv_logd_keys *keys;
    dv_sequencer *sequencer;
    /* The keys may have changed: publish which they are. NULL: at the start, when all is. */
    void (*changed)(void *data);
    void *data;
} dv_logd_rotate_on;

dv_must dv_result dv_logd_rotate_new(dv_logd_rotate **ret_rotate);
/* Whoever waits or comes is told that it is too late; then the server can be closed, then this. */
void dv_logd_rotate_close(dv_logd_rotate *rotate);
void dv_logd_rotate_free(dv_logd_rotate *rotate);

/* From a thread of the server: hands the plan to the main thread and waits for it, 30 s at most.
 * Errors: DV_ERR_CONFLICT (a change is under way, or there is nothing to retire),
 * DV_ERR_UNAVAILABLE, DV_ERR_IO. */
dv_must dv_result dv_logd_rotate_ask(dv_logd_rotate *rotate, const dv_logd_rotate_plan *plan,
                                     dv_error *error);

/* In the main thread: does what is asked, and retires a key whose time has come. */
void dv_logd_rotate_serve(dv_logd_rotate *rotate, const dv_logd_rotate_on *on);
/* The change itself, in the main thread. It can be tried again after a failure. */
dv_must dv_result dv_logd_rotate_carry_out(const dv_logd_rotate_on *on,
                                           const dv_logd_rotate_plan *plan, dv_error *error);
/* At the start: finishes what a death left. */
dv_must dv_result dv_logd_rotate_resume(const dv_logd_rotate_on *on, dv_error *error);
