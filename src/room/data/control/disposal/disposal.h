/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of this folder share. Tables: store/migrations/0012-disposal.sql,
 * 0013-disposal-more.sql, 0014-kept.sql.
 *
 * dvarad decides what goes, and keeps the certificate; it removes nothing itself, since it has no
 * right over anybody's files. `dvara data disposal run` does, where the files are:
 *
 *   planned -> ready -> destroyed | gone | changed | linked | failed | unknown
 *      |---> kept | missing | changed | linked | failed | not_done
 *
 * Of a table rows go, in one transaction of its database, and it stays:
 *
 *   planned -> ready -> destroyed | kept | unknown
 *      |---> kept | missing | failed | not_done
 *
 * 1. No file is removed before the run, the file and the hash of its contents are on the disk here
 *    (state "ready"), and the log says that the run began.
 * 2. Whether it may go is asked when it is planned and again when it becomes ready: rules, holds,
 *    labels and scans of that moment count.
 * 3. What became of it is told once; a state behind "ready" never changes.
 * 4. A run ends when nothing of it is open, and its certificate is written once. Its hash is in the
 *    log before anybody gets it.
 * 5. What rules want approvals for goes only by a request that as many others let go as the rules
 *    want now, that lists it as it is, by the rule as it was, once, and before that is over. A
 * table that its database kept has not gone. */

#include "core/audit.h"
#include "engine/case/case.h"
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
    bool file;
    bool table; /* neither: a view, which holds nothing */
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
    int64_t approvals;            /* of other people that it wants */
    dv_time before;               /* of a table: rows that are older are due */
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

/* A row of the plan. The judgement has a rule. */
json_t *dv_disposal_plan_json(const dv_disposal_asset *asset, const dv_disposal_judgement *j,
                              dv_time now);

/* --- requests (request.c asks and answers, approval.c) --------------------------------------- */

#define DV_DISPOSAL_CASE "data_disposal"

/* Texts lie in the call's arena. States: those of the table, and "expired". */
typedef struct dv_disposal_request {
    const char *id;
    const char *source; /* "" any */
    const char *rule;   /* "" any */
    const char *requester;
    const char *reason;
    const char *state;
    int64_t approvals;
    int64_t items;
    dv_time created;
    dv_time expires; /* 0: not yet approved */
} dv_disposal_request;

/* Something that is to go, as it was when that was decided. */
typedef struct dv_disposal_claim {
    const char *asset;
    const char *stamp;
    const char *terms;  /* the rule; of what was asked for */
    bool ready;         /* it was about to go already */
    const char *column; /* of a table; NULL: as the rule has it */
    dv_time before;     /* 0: a file */
} dv_disposal_claim;

/* What became of it since. */
typedef struct dv_disposal_now {
    bool there; /* without: nothing else is set but why */
    dv_disposal_asset asset;
    dv_disposal_judgement j;
    const char *why; /* it stays; "" it goes */
} dv_disposal_now;

/* Errors: DV_ERR_NOT_FOUND with a sentence. */
dv_must dv_result dv_disposal_request_find(dv_call *call, const char *id,
                                           dv_disposal_request *ret_request, dv_error *error);
/* Appends the newest first, those of the state (NULL: all) whose id is less than before (NULL:
 * all). *ret_last: the id of the last one; as it was, when there is none. */
dv_must dv_result dv_disposal_request_each(dv_call *call, const char *state, const char *before,
                                           int64_t limit, json_t *items, const char **ret_last,
                                           dv_error *error);
json_t *dv_disposal_request_json(const dv_disposal_request *request);
/* Errors: DV_ERR_CONFLICT: nothing goes by it, and why. */
dv_must dv_result dv_disposal_request_check(const dv_disposal_request *request, dv_error *error);
/* The rule as text, to be known again; in the arena. */
dv_must dv_result dv_disposal_terms(dv_arena *arena, const dv_disposal_rule *rule,
                                    const char **ret_terms);
/* Whether it may go now: by the request that it is listed in, or without (NULL). */
dv_must dv_result dv_disposal_look(dv_call *call, dv_arena *arena, const dv_disposal_claim *claim,
                                   const dv_disposal_request *request, dv_disposal_now *ret_now,
                                   dv_error *error);
/* Sets the claim's terms to those that the request has for the asset; "": it is not listed. */
dv_must dv_result dv_disposal_request_claim(dv_call *call, const char *request, const char *asset,
                                            dv_disposal_claim *claim, dv_error *error);
/* A run of so many of its files began: tells the log. */
dv_must dv_result dv_disposal_request_use(dv_call *call, const dv_disposal_request *request,
                                          const char *run, int64_t items, dv_error *error);
/* The run left the asset as it was: it has its turn yet, for as long as the approval lasts. */
dv_must dv_result dv_disposal_request_give_back(dv_call *call, const char *request,
                                                const char *asset, const char *run,
                                                dv_error *error);
/* {"id", "asked_by", "asked", "approvals": [{"by", "when"}]} for a certificate. */
dv_must dv_result dv_disposal_request_told(dv_call *call, const char *id, json_t **ret_json,
                                           dv_error *error);
/* When the approval is or was over, 0 if there was none, and why the request has to stay all the
 * same; "" it has not. */
dv_must dv_result dv_disposal_request_closed(dv_call *call, const char *id, dv_time *ret_over,
                                             const char **ret_needed, dv_error *error);
/* Removes it and its list, if there is one; the case is its caller's. */
dv_must dv_result dv_disposal_request_remove(dv_call *call, const char *id, dv_error *error);

/* --- runs (run.c) ---------------------------------------------------------------------------- */

#define DV_DISPOSAL_RUN_COLUMNS                                                                    \
    "id, source, caller, rules, state, started, finished, finished_by, items, destroyed, sha256,"  \
    " request, approval, row_count"

typedef struct dv_disposal_run {
    const char *id;
    const char *source;
    const char *caller;
    const char *rules; /* JSON */
    const char *state;
    const char *finished_by;
    const char *sha256;
    const char *request;
    const char *approval; /* the request that it goes by, or "" */
    dv_time started;
    dv_time finished;
    int64_t items;
    int64_t destroyed;
    int64_t rows; /* of its tables, that went */
} dv_disposal_run;

dv_must dv_result dv_disposal_run_read(dv_statement *row, dv_arena *arena,
                                       dv_disposal_run *ret_run);
/* Errors: DV_ERR_NOT_FOUND with a sentence. */
dv_must dv_result dv_disposal_run_find(dv_call *call, const char *id, dv_disposal_run *ret_run,
                                       dv_error *error);
json_t *dv_disposal_run_json(const dv_disposal_run *run);

/* Errors: DV_ERR_CONFLICT: the clock may have been set ahead, and nothing goes by its age now. */
dv_must dv_result dv_disposal_check_clock(const dv_call *call, dv_error *error);

/* A new run of that source whose certificate will name those rules (a JSON list), and its event.
 * planned: how many things are meant. */
dv_must dv_result dv_disposal_run_insert(dv_call *call, const dv_disposal_run *run,
                                         dv_error *error);
/* The run of the source that has not ended. Errors: DV_ERR_NOT_FOUND. */
dv_must dv_result dv_disposal_run_open(dv_call *call, const char *source, dv_disposal_run *ret_run,
                                       dv_error *error);

/* Keeps the certificate's text: the run is "closing". */
dv_must dv_result dv_disposal_document_keep(dv_call *call, const char *id, const char *text,
                                            int64_t destroyed, dv_error *error);
/* The log is told its hash: a run that is "closing" is "finished". */
dv_must dv_result dv_disposal_publish(dv_call *call, const dv_disposal_run *run, dv_error *error);

/* --- cases (cases.c) ------------------------------------------------------------------------- */

/* Closed cases are rows of our own, so dvarad removes them, some at a time:
 *
 *   running (they are written down, the log is told) -> closing (they are gone and the certificate
 *   is there, in one transaction) -> finished (the log has its hash)
 *
 * Killed in between, the next round goes on. What became due is asked again when it goes. */
bool dv_disposal_is_cases(const dv_disposal_run *run);

/* --- vaults (vault_run.c) -------------------------------------------------------------------- */

/* dvarad says up to when entries go, the command that has the vault open writes it anew without
 * them (engine/detect/action/vault.h), and dvarad keeps the certificate:
 *
 *   planned -> ready -> destroyed
 *      |---------|--> kept | not_done | unknown (it was given up)
 *
 * 1. No vault is exchanged before the run and how many entries go are on the disk here ("ready"),
 * and the log says that the run began. Holds, the rule and the clock are asked when it begins and
 * again when it becomes ready.
 * 2. Whether it happened is not remembered by who did it: the new file has the run's id, sealed. A
 * command that was killed is followed by one that looks; dvarad looks, too, where it can read the
 * vault, and believes nothing else. */
/* Appends the rules and holds of vaults and cases to a list of rules. */
dv_must dv_result dv_disposal_kept_tell(const dv_call *call, json_t *items);

bool dv_disposal_is_vault(const dv_disposal_run *run);
/* Ends it: the certificate's text, malloc'd, and how many entries are gone. abandon: what is open
 * is given up. Errors: DV_ERR_CONFLICT: it is open. */
dv_must dv_result dv_disposal_vault_close(dv_call *call, const dv_disposal_run *run, bool abandon,
                                          char **ret_text, int64_t *ret_destroyed, dv_error *error);

/* --- certificates (certificate.c) ------------------------------------------------------------ */

/* The certificate of a run of which nothing is open: JSON text, malloc'd, as it is kept, hashed and
 * handed out. counts: how many were destroyed. */
dv_must dv_result dv_disposal_certificate(dv_call *call, const dv_disposal_run *run,
                                          char **ret_text, int64_t *ret_destroyed, dv_error *error);
