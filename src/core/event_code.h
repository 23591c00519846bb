/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The compact form ("code") in which the gate leaves the records of its requests in the spool: what
 * it knows of a request, not the JSON that is made of it. dvara-logd expands a code to exactly the
 * text that dv_event_request_open and dv_event_request_close write. A code takes a quarter of the
 * room and a tenth of the instructions.
 *
 *   code    = version kind flags time request [caller] [credential] [verdict] seen volumes [limit]
 * [outcome] number  = LEB128 in its shortest form; a signed one is folded (0, -1, 1, -2, ...) time
 * = 8 bytes, little-endian text    = number of bytes, bytes string  = text without a NUL in it, and
 * a NUL
 *
 * The first byte tells codes from JSON, whose first is '{'. Names stand for enumerations, so that a
 * code means the same to another version of Dvara. A text that is longer than the event's limit
 * holds one byte more than the limit, by which the expansion sees that and cuts it.
 *
 * What is decoded may come from a worker that was taken over: every length and value is checked,
 * nothing is allocated, and each event has one code only. */

#include "core/event.h"
#include "core/event_spots.h"

enum {
    DV_EVENT_CODE_VERSION = 3,
    DV_EVENT_CODE_BEFORE = 2, /* without volumes: may lie in the spool of a node that is updated */
    DV_EVENT_CODE_FIRST_JSON = ' ', /* first bytes below this one are versions of the code */
};

/* Append a code to the buffer, which must have room for DV_LIMIT_RECORD or be able to grow by it.
 * Errors: DV_ERR_NO_MEMORY, DV_ERR_TOO_LARGE. */
dv_must dv_result dv_event_code_open(dv_buf *out, const dv_event_request *request);
dv_must dv_result dv_event_code_close(dv_buf *out, const dv_event_request *request,
                                      const dv_event_outcome *outcome);

/* Whether a record is a code, of whatever version, and not JSON. */
static inline bool dv_event_is_code(dv_slice record)
{
    return record.len > 0 && record.ptr[0] < DV_EVENT_CODE_FIRST_JSON;
}

/* What a code says. The structs borrow from each other and from the code's bytes. */
typedef struct dv_event_decoded {
    bool is_close;
    dv_event_request
        request; /* of a close record: without time, verdict and sightings of its own */
    dv_event_outcome outcome; /* of a close record */
    dv_principal principal;
    dv_credential credential;
    dv_verdict verdict;
    dv_event_limit limit;
    dv_slice groups[DV_EVENT_GROUPS_MAX];
    dv_sighting sightings[DV_EVENT_SIGHTINGS_MAX];
    dv_event_volume volumes[DV_EVENT_VOLUMES_MAX];
} dv_event_decoded;

/* Errors: DV_ERR_INVALID (error says what is wrong; decoded holds nothing then). */
dv_must dv_result dv_event_code_decode(dv_slice code, dv_event_decoded *decoded, dv_error *error);

/* The JSON of a record of the spool: of a code expanded into the buffer, which is cleared first and
 * must be able to hold DV_LIMIT_RECORD; anything else as it is. Spots, unless NULL, tell where the
 * values of a code stand in it. Errors: DV_ERR_INVALID (no code of this version),
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_event_code_text(dv_slice record, dv_buf *room, dv_event_spots *spots,
                                     dv_slice *ret_json, dv_error *error);
