/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of this folder share. Tables: store/migrations/0012-disposal.sql.
 *
 * dvarad decides what goes, and keeps the certificate; it removes nothing itself, since it has no
 * right over anybody's files. `dvara data disposal run` does, where the files are:
 *
 *   planned -> ready -> destroyed | gone | changed | linked | failed | unknown
 *      |---> kept | missing | changed | linked | failed | not_done
 *
 * 1. No file is removed before the run, the file and the hash of its contents are on the disk here
 *    (state "ready"), and the log says that the run began.
 * 2. Whether it may go is asked when it is planned and again when it becomes ready: rules, holds,
 *    labels and scans of that moment count.
 * 3. What became of it is told once; a state behind "ready" never changes.
 * 4. A run ends when nothing of it is open, and its certificate is written once. Its hash is in the
 *    log before anybody gets it. */

#include "core/audit.h"
#include "room/data/control/disposal/rules.h"
#include "room/data/control/inventory.h"

/* A file of the inventory. Texts lie in an arena. */
typedef struct dv_disposal_asset {
    const char *id;
    const char *source;
    const char *name;
    const char *stamp;
    const char *categories;
    const char *labels;
    int64_t level;
    int64_t size;
    dv_time modified;
    dv_time first_seen;
    bool file; /* and no table */
    bool owned;
    bool partly;   /* not all of it was read */
    bool labelled; /* by a person */
    bool gone;
} dv_disposal_asset;

typedef enum dv_disposal_standing {
    DV_DISPOSAL_NO_RULE = 0,
    DV_DISPOSAL_LATER, /* its time is not over */
    DV_DISPOSAL_WAITS, /* it is over, and something keeps it */
    DV_DISPOSAL_DUE,
} dv_disposal_standing;

typedef struct dv_disposal_judgement {
    dv_disposal_standing standing;
    const dv_disposal_rule *rule; /* borrowed from the rules, or NULL */
    dv_time due;                  /* DV_TIME_NEVER: never */
    const char *why;              /* it waits; static or in the arena, or "" */
} dv_disposal_judgement;

#define DV_DISPOSAL_ASSET_COLUMNS                                                                  \
    "id, source, name, stamp, COALESCE(own_categories, categories),"                               \
    " COALESCE(own_labels, labels), COALESCE(own_sensitivity, sensitivity), size, modified,"       \
    " first_seen, kind, owner IS NOT NULL, problem <> '', own_labels IS NOT NULL, gone"

/* Of a row of these columns. */
dv_must dv_result dv_disposal_asset_read(dv_statement *row, dv_arena *arena,
                                         dv_disposal_asset *ret_asset);

/* Errors: those of the store. */
dv_must dv_result dv_disposal_judge(dv_services *services, dv_arena *arena, dv_time now,
                                    const dv_disposal_asset *asset,
                                    dv_disposal_judgement *ret_judgement, dv_error *error);

/* --- runs (run.c) ---------------------------------------------------------------------------- */

#define DV_DISPOSAL_RUN_COLUMNS                                                                    \
    "id, source, caller, rules, state, started, finished, finished_by, items, destroyed, sha256,"  \
    " request"

typedef struct dv_disposal_run {
    const char *id;
    const char *source;
    const char *caller;
    const char *rules; /* JSON */
    const char *state;
    const char *finished_by;
    const char *sha256;
    const char *request;
    dv_time started;
    dv_time finished;
    int64_t items;
    int64_t destroyed;
} dv_disposal_run;

dv_must dv_result dv_disposal_run_read(dv_statement *row, dv_arena *arena,
                                       dv_disposal_run *ret_run);
/* Errors: DV_ERR_NOT_FOUND with a sentence. */
dv_must dv_result dv_disposal_run_find(dv_call *call, const char *id, dv_disposal_run *ret_run,
                                       dv_error *error);
json_t *dv_disposal_run_json(const dv_disposal_run *run);

/* --- certificates (certificate.c) ------------------------------------------------------------ */

/* The certificate of a run of which nothing is open: JSON text, malloc'd, as it is kept, hashed and
 * handed out. counts: how many were destroyed. */
dv_must dv_result dv_disposal_certificate(dv_call *call, const dv_disposal_run *run,
                                          char **ret_text, int64_t *ret_destroyed, dv_error *error);
