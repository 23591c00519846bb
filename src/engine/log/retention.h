/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How long events are kept: classes with their times, which kinds of events belong to which, and
 * holds, which keep what would go ("legal hold"). dvara-logd keeps it in the file "retention" of
 * the main log's folder, so that it holds also while nobody tells it anything. */

#include "engine/log/prune.h"
#include "engine/log/retention_clock.h"
#include "engine/log/sequencer.h"

enum {
    DV_RETENTION_CLASSES_MAX = DV_LOG_TREES_MAX,
    DV_RETENTION_HOLDS_MAX = 256,
    DV_RETENTION_HOLD_NAME_MAX = 64,
    DV_RETENTION_REASON_MAX = 256, /* bytes */
    DV_RETENTION_PATH_MAX = 1024,
};

/* A log, and for how long its events are kept. */
typedef struct dv_retention_class {
    char log[DV_LOG_NAME_MAX + 1];
    int64_t keep_ms; /* 0: for ever */
} dv_retention_class;

/* What belongs there. */
typedef struct dv_retention_kind {
    char kind[DV_LOG_KIND_MAX];
    char log[DV_LOG_NAME_MAX + 1];
} dv_retention_kind;

/* No event of that time goes, however old it is. */
typedef struct dv_retention_hold {
    char name[DV_RETENTION_HOLD_NAME_MAX + 1]; /* a-z, 0-9, '-' */
    char log[DV_LOG_NAME_MAX + 1];             /* "": all logs */
    int64_t from_ms, to_ms;                    /* [from, to) */
    int64_t created_ms;
    char reason[DV_RETENTION_REASON_MAX + 1]; /* one line */
} dv_retention_hold;

typedef struct dv_retention {
    dv_retention_class classes[DV_RETENTION_CLASSES_MAX];
    size_t class_count;
    dv_retention_kind kinds[DV_LOG_ROUTES_MAX];
    size_t kind_count;
    dv_retention_hold holds[DV_RETENTION_HOLDS_MAX];
    size_t hold_count;
    /* Folder of archives (archive.h); "": none. Otherwise nothing goes that is in none. */
    char archive[DV_RETENTION_PATH_MAX + 1];
    int64_t unsettled_ms;   /* how long the clock is still to be watched: retention_clock.h */
    dv_retention_seen seen; /* the last look at it, to within an hour */
} dv_retention;

/* Adds to it. Errors: DV_ERR_INVALID (a name, a range), DV_ERR_CONFLICT (there is one of the name),
 * DV_ERR_TOO_LARGE (there are as many as there can be), all with a message. */
dv_must dv_result dv_retention_add_class(dv_retention *retention, const char *log, int64_t keep_ms,
                                         dv_error *error);
dv_must dv_result dv_retention_add_kind(dv_retention *retention, const char *kind, const char *log,
                                        dv_error *error);
dv_must dv_result dv_retention_add_hold(dv_retention *retention, const dv_retention_hold *hold,
                                        dv_error *error);
/* Errors: DV_ERR_INVALID (no absolute path, or one that is too long). */
dv_must dv_result dv_retention_set_archive(dv_retention *retention, const char *path,
                                           dv_error *error);
/* Takes the classes, kinds and archive of another one; holds stay. */
void dv_retention_take_classes(dv_retention *retention, const dv_retention *from);
/* Whether classes, kinds and archive are the same, in the same order. */
bool dv_retention_same_classes(const dv_retention *a, const dv_retention *b);
/* Whether events that must stay in the main log would be of that kind: what verifying, erasing and
 * holding go by, and alarms. */
bool dv_retention_kind_is_kept_back(const char *kind);
/* The class of that log, or NULL. */
const dv_retention_class *dv_retention_find(const dv_retention *retention, const char *log);
/* False when there is no hold of that name. */
bool dv_retention_release(dv_retention *retention, const char *name);

/* The file. A folder without one keeps all for ever in one log. Errors: DV_ERR_CORRUPT with the
 * line. */
dv_must dv_result dv_retention_format(const dv_retention *retention, dv_buf *out);
dv_must dv_result dv_retention_parse(dv_slice text, dv_retention *ret_retention, dv_error *error);
dv_must dv_result dv_retention_load(const char *folder, dv_retention *ret_retention,
                                    dv_error *error);
dv_must dv_result dv_retention_save(const char *folder, const dv_retention *retention,
                                    dv_error *error);

/* What may go from that log at that time, whatever its index; *ret_rule borrows from the retention.
 * INT64_MIN: nothing. */
void dv_retention_rule(const dv_retention *retention, const char *log, int64_t now_ms,
                       dv_prune_rule *ret_rule);
/* The name of a hold on something of [earliest, latest] in that log, or NULL. */
const char *dv_retention_held_by(const dv_retention *retention, const char *log,
                                 int64_t earliest_ms, int64_t latest_ms);
