/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Sealing the personal values of an event (core/event_personal.h) as it enters the log, and opening
 * them for readers. Every other byte stays as it is.
 *
 * A value is sealed under the key of the subject that its row names; a free text or a change also
 * under those of the principals whom it names itself (User::"alice", user alice, user/alice). A
 * System is no person. What looks like a sealed value is sealed again at a personal path, and is
 * just text elsewhere: only personal paths are opened.
 *
 * What an alert tells (group, query, message, title) is sealed under the keys of those whom the
 * values of its group name, as an entity or as a user, service, local user or account of that name
 * that the log knows; the query also under those of its words. Where nobody is known: the day's.
 *
 * Of an event with a large field (blob.h) raw_data, raw_data_hash and the blob's key are sealed
 * under the account that unmapped.dvara.subject names, or else the day; so is, with its own owners,
 * what else tells of a person. The key is opened for no reader of the event: dv_blob_key does. */

#include "base/buf.h"
#include "core/event_spots.h"
#include "engine/log/subjects.h"

enum { DV_SEAL_PLACES = 64 }; /* personal values of one event */

/* Appends the event, sealed, of at most `most` bytes. Where sealed values would not fit they are
 * cut first, and the event says so (metadata.is_truncated). Errors: DV_ERR_INVALID (no JSON
 * object), DV_ERR_TOO_LARGE (does not fit even so, or too many values), DV_ERR_NO_MEMORY; out is as
 * it was.
 */
dv_must dv_result dv_event_seal(dv_subjects *subjects, dv_slice event, size_t most, dv_buf *out);

/* The same of an event whose spots are known: nothing is looked for in its text. They lie `shift`
 * bytes further on than they say. */
dv_must dv_result dv_event_seal_spots(dv_subjects *subjects, dv_slice event,
                                      const dv_event_spots *spots, size_t shift, size_t most,
                                      dv_buf *out);

/* Appends the event with its values restored. What can't be read any more is the text "(erased)";
 * an address becomes a name of that text and a port is left out, for OCSF allows no such text
 * there. An entry in which nothing is sealed comes out as it is, and any does without subjects
 * (NULL). Errors: DV_ERR_NO_MEMORY, DV_ERR_TOO_LARGE (out's maximum). */
dv_must dv_result dv_event_open(dv_subjects *subjects, dv_slice entry, dv_buf *out);

#define DV_ERASED_TEXT "(erased)"
