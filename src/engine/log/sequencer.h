/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Takes what writers left in their spools into the log, each record exactly once.
 *
 *   segment:  found ──► open ──► finished ──► (committed) ──► removed
 *                         └────► refused  ──► (committed) ──► renamed to ".refused"
 *
 * Invariants:
 * 1. A record enters the tree and its segment's position moves in one commit, so that a death at
 *    any point neither loses nor repeats one.
 * 2. A segment's file is removed only after a commit holds all of its records, and its position is
 *    forgotten only after the removal is durable.
 * 3. A segment that does not check out is never read further; an alarm in the log says so.
 * 4. While a commit fails (a full disk), nothing more is taken from the spools.
 * 5. The keys of subjects are durable before the entries that they sealed.
 * 6. A segment's source is the name of the folder that it lies in, and its file belongs to the
 *    folder's user; any other is refused. No folder's segments take the places of another's. */

#include "engine/log/prune.h"
#include "engine/log/segment.h"
#include "engine/log/subjects.h"
#include "engine/log/tree.h"

/* A node has one log ("main") and one more for each class of events that is kept for another time;
 * each is a tree with an origin of its own, since a tree can only lose what is oldest in it. They
 * share the state file, so that a commit is one step for all of them. */
#define DV_LOG_MAIN "main"
#define DV_LOG_OTHERS "class" /* the folder of the others, in the main log's */

typedef struct dv_sequencer dv_sequencer;

typedef struct dv_sequencer_options {
    const char *log_folder;  /* of the main log */
    const char *spools[2];   /* with a folder for each kind of writer; NULL: none */
    const dv_log_keys *keys; /* borrowed, like the signer */
    const dv_tree_signer *signer;
    dv_subjects *subjects; /* whose personal values are sealed; borrowed; NULL: none are */
    size_t batch_bytes;    /* taken into memory before a commit is due */
    size_t segments_max;   /* that are read at a time; 0: as many as the state file has room for */
} dv_sequencer_options;

enum { DV_LOG_ROUTES_MAX = 64, DV_LOG_KIND_MAX = 64 };

/* Which log an event of that kind goes to. */
typedef struct dv_log_route {
    char kind[DV_LOG_KIND_MAX]; /* "request.open", or with a '*' at its end */
    size_t log;
} dv_log_route;

typedef struct dv_log_routes {
    dv_log_route routes[DV_LOG_ROUTES_MAX]; /* the first that fits */
    size_t count;
} dv_log_routes;

typedef struct dv_sequencer_status {
    uint64_t size;                      /* of the main log, committed and published */
    uint64_t segments;                  /* open now */
    uint64_t waiting;                   /* segments that are not: a folder has too many */
    uint64_t refused;                   /* since the start */
    bool blocked;                       /* the last commit failed; problem says why */
    char problem[DV_ERROR_MESSAGE_MAX]; /* the last one, or "" */
    dv_log_tree logs[DV_LOG_TREES_MAX]; /* the main log first */
    size_t log_count;
} dv_sequencer_status;

dv_must dv_result dv_sequencer_open(const dv_sequencer_options *options,
                                    dv_sequencer **ret_sequencer, dv_error *error);
void dv_sequencer_close(dv_sequencer *sequencer);
DV_DEFINE_AUTO_PTR(sequencer, dv_sequencer, dv_sequencer_close)

/* From now on events of that kind go to that log, which is begun when there is none of the name;
 * earlier routes come first. What has no route goes to the main log. */
dv_must dv_result dv_sequencer_route(dv_sequencer *sequencer, const char *kind, const char *log,
                                     dv_error *error);
void dv_sequencer_route_none(dv_sequencer *sequencer);

/* Reads what is in the spools into memory: up to the batch, for some 50 ms, from all segments in
 * turn. *ret_taken: records. */
dv_must dv_result dv_sequencer_collect(dv_sequencer *sequencer, size_t *ret_taken, dv_error *error);
/* Records in memory that a commit would make durable, and segments that it would remove. */
size_t dv_sequencer_pending(const dv_sequencer *sequencer);
/* The last collect read all that there was. */
bool dv_sequencer_is_level(const dv_sequencer *sequencer);
/* Nothing more is taken before a commit. */
bool dv_sequencer_batch_full(const dv_sequencer *sequencer);
/* Makes them durable, publishes a checkpoint, removes what is done with. After a failure the status
 * is blocked until a later call succeeds. */
dv_must dv_result dv_sequencer_commit(dv_sequencer *sequencer, dv_error *error);

/* Gives up a log's oldest entries as far as the rule lets whole packs of them go, and leaves an
 * event in the main log that says so. *ret_pruned: how many. Their files stay until
 * dv_sequencer_forget, so that readers can be told first. Errors: DV_ERR_NOT_FOUND (no
 * such log), those of a commit. */
dv_must dv_result dv_sequencer_prune(dv_sequencer *sequencer, const char *log,
                                     const dv_prune_rule *rule, uint64_t *ret_pruned,
                                     dv_error *error);

/* Removes the files of what was given up, of all logs. */
void dv_sequencer_forget(const dv_sequencer *sequencer);

/* Signs the last checkpoints of all logs anew, because the signer has changed. */
dv_must dv_result dv_sequencer_republish(dv_sequencer *sequencer, dv_error *error);

/* An event of the sequencer's own, into the same log. */
dv_must dv_result dv_sequencer_note(dv_sequencer *sequencer, dv_slice event);

void dv_sequencer_status_get(const dv_sequencer *sequencer, dv_sequencer_status *ret_status);
