/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One event of the log as an exporter sees it: its place in the log, its text, and what the text
 * says (OCSF 1.8). */

#include "base/json.h"
#include "room/audit/export/config.h"

enum { DV_EXPORT_UID_MAX = 300 }; /* bytes of a uid, with the NUL */

typedef struct dv_export_event {
    const char *origin; /* name of the log that it is in */
    uint64_t index;     /* its place there */
    dv_slice text;      /* OCSF JSON, one line, borrowed */
    dv_json json;       /* its tokens; count 0: not read */
} dv_export_event;

/* Reads the text's tokens into the arena. Errors: DV_ERR_INVALID, DV_ERR_TOO_LARGE. */
dv_must dv_result dv_export_event_read(dv_export_event *event, dv_arena *arena, dv_error *error);

/* "ORIGIN#INDEX": the same at every sending, so that receivers can tell what they have already. */
void dv_export_event_uid(const dv_export_event *event, char out[DV_EXPORT_UID_MAX]);

/* The token of a member by its path ("actor.user.name", "resources.0.name"); 0: there is none. The
 * event was read. */
uint32_t dv_export_event_at(const dv_export_event *event, const char *path);

/* The same as text (decoded) or as number; empty or 0 when there is none of that type. */
dv_slice dv_export_event_text(const dv_export_event *event, const char *path, dv_arena *arena);
int64_t dv_export_event_int(const dv_export_event *event, const char *path);

/* Milliseconds since 1970, 2262 at most: when it happened, and when the log took it. */
int64_t dv_export_event_time(const dv_export_event *event);
int64_t dv_export_event_logged(const dv_export_event *event);

/* Whether the destination wants it. The event was read. */
bool dv_export_wants(const dv_export_destination *destination, const dv_export_event *event,
                     dv_arena *arena);
/* Whether the destination wants everything, so that events need not be read to know. */
bool dv_export_wants_all(const dv_export_destination *destination);

/* "alert.*": a star stands for any characters. */
bool dv_export_glob(const char *glob, dv_slice text);
