/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/log/sequencer.h"

/* The log's own keys, in STATE/keys/log/: "signing" (Ed25519 seed), "box" (public and secret box
 * key), "origin" (the log's name). They are made together at the first start; a log whose keys are
 * gone is refused, because new ones could neither continue it nor open its spool. */
typedef struct dv_logd_keys {
    dv_log_keys box;
    dv_tree_signer signer;
    dv_time retire_at; /* when the signer's old key goes, while there is one */
    /* A new signing key that does not sign yet: logd_rotate.h. */
    bool changing;
    uint8_t next_seed[32];
    dv_note_verifier next;
    uint64_t next_from; /* the log's size before the event that names it */
} dv_logd_keys;

/* Files must be ours and closed to all others. Errors: DV_ERR_FORBIDDEN, DV_ERR_CORRUPT,
 * DV_ERR_NOT_FOUND (a log is there, but not its keys), DV_ERR_IO. */
dv_must dv_result dv_logd_keys_load(const char *state_dir, dv_logd_keys *ret_keys, dv_error *error);

void dv_logd_keys_wipe(dv_logd_keys *keys);
DV_DEFINE_AUTO(logd_keys, dv_logd_keys, dv_logd_keys_wipe)

/* The steps of changing the signing key; each is durable when it returns, and a load after any of
 * them finds the next one:
 *   begin   "signing.next": the new key (the one that was begun, if there is), and the log's size
 *   change  "signing.old": the old key, and when it goes; "signing": the new one
 *   retire  the old one is destroyed */
dv_must dv_result dv_logd_keys_begin(const char *state_dir, uint64_t size, dv_logd_keys *keys,
                                     dv_error *error);
dv_must dv_result dv_logd_keys_change(const char *state_dir, dv_time retire_at, dv_logd_keys *keys,
                                      dv_error *error);
dv_must dv_result dv_logd_keys_retire(const char *state_dir, dv_logd_keys *keys, dv_error *error);

/* The verifier keys that sign now, one a line, the newest first. */
dv_must dv_result dv_logd_keys_vkeys(const dv_logd_keys *keys, dv_buf *out);

/* Leaves the public halves where others look: the box key in RUNTIME, the verifier key beside the
 * checkpoint. */
dv_must dv_result dv_logd_keys_publish(const dv_logd_keys *keys, const char *state_dir,
                                       const char *runtime_dir, dv_error *error);
