/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a log entry is: an OCSF event into which dvara-logd wrote where it came from:
 *   {"metadata":{"log_source":"gateway/<segment id>","sequence":7,"logged_time":<ms>,...},...} */

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/uuid.h"

typedef struct dv_entry_stamp {
    const char *source; /* name of the writer */
    dv_uuid segment;
    uint64_t sequence;
    dv_time logged;
} dv_entry_stamp;

/* Appends the stamped entry. A record that does not begin as every event does is kept inside one
 * that does, so that nothing is lost: as text, or in base64 when it should have been a code
 * (core/event_code.h). */
dv_must dv_result dv_entry_stamp_record(const dv_entry_stamp *stamp, dv_slice record, dv_buf *out);

/* Appends the record inside an event that says it is none, whatever it begins with. */
dv_must dv_result dv_entry_stamp_foreign(const dv_entry_stamp *stamp, dv_slice record, dv_buf *out);

typedef struct dv_entry_origin {
    dv_uuid segment;
    uint64_t sequence;
} dv_entry_origin;

/* Checks that the entry is well-formed JSON with a stamp. Errors: DV_ERR_INVALID (not JSON),
 * DV_ERR_NOT_FOUND (no stamp). Allocates in the arena, which the caller resets. */
dv_must dv_result dv_entry_check(dv_slice entry, dv_arena *arena, dv_entry_origin *ret_origin,
                                 dv_error *error);

/* Whether dvara-logd itself wrote the entry: what it says of itself is acted on, also by readers of
 * a copy. No segment bears its name (sequencer.c), and no name is longer than it looks. */
bool dv_entry_is_own(dv_slice entry);

/* The event's request id (metadata.correlation_uid); the empty slice when it has none. Quick: reads
 * only the front of an entry that was stamped here. */
dv_slice dv_entry_request_id(dv_slice entry);

/* The kind of an event or entry (metadata.event_code), as quickly; empty when it has none. */
dv_slice dv_entry_kind(dv_slice entry);

/* The event's time in milliseconds; 0 when it says none. */
int64_t dv_entry_time(dv_slice entry);
/* When the log took the entry (metadata.logged_time), in milliseconds, by its stamp; 0: it has
 * none.
 */
int64_t dv_entry_logged(dv_slice entry);
