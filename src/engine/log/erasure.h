/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Erasure as the log itself tells of it: the event audit.erased names the id of the key that is
 * destroyed. It is under a checkpoint before the key goes, so that a death between the two, or an
 * older copy of the keys that is put back, is made up for at the next start. */

#include "core/event.h"
#include "engine/log/subjects.h"

/* Entity Management (3004), kind "audit.erased": the key of a subject is destroyed, and what it
 * sealed can't be read any more. It does not say whose. key_id stands in entity.uid, which is never
 * sealed: the next start reads it. */
dv_must dv_result dv_erasure_event(dv_buf *out, const dv_event_actor *actor, dv_slice key_id,
                                   dv_slice reason);

/* Destroys again whatever the main log's entries from dv_subjects_seen to size say was destroyed,
 * as far as they are still there (from minimum on). Only events of dvara-logd itself count. */
dv_must dv_result dv_erasures_redo(dv_subjects *subjects, const char *log_folder, uint64_t minimum,
                                   uint64_t size, dv_error *error);

/* How many entries [minimum, size) of a log hold values under the key. Reads all of them, until the
 * time is over: *ret_read of them were looked at. */
dv_must dv_result dv_erasures_count(const char *log_folder, uint64_t minimum, uint64_t size,
                                    dv_slice key_id, dv_time until, uint64_t *ret_count,
                                    uint64_t *ret_read, dv_error *error);

/* The key id that an entry says was destroyed; empty: it says nothing like that. Borrowed from it.
 */
dv_slice dv_erasure_read(dv_slice entry);

/* Calls visit for the key's id of each erasure that the main log tells of in [from, to); anything
 * but DV_OK ends it and is passed on. */
dv_must dv_result dv_erasures_each(const char *log_folder, uint64_t from, uint64_t to,
                                   dv_result (*visit)(void *data, dv_slice key_id), void *data,
                                   dv_error *error);
