/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to sequencer.c and sequencer_spool.c. */

#include "engine/log/blob_store.h"
#include "engine/log/catalogue.h"
#include "engine/log/sequencer.h"

#include <limits.h>

#define DV_SEQUENCER_SOURCE "dvara-logd" /* whose entries the sequencer's own are */
enum { MAIN = 0 };

/* The segments that are read at a time have a place each in the state file. So that no writer can
 * take all of them, some are kept for each folder, also for one that is not there yet. */
enum {
    DV_SPOOLS_MAX = 16, /* folders, the spools themselves among them */
    DV_SPOOL_KEPT = 64,
    DV_SPOOL_REFUSED_MAX = 64, /* of a folder, between two commits */
};
_Static_assert(DV_SPOOLS_MAX *DV_SPOOL_KEPT < DV_LOG_POSITIONS_MAX, "there are some to share");

/* A folder with segments: of one kind of writer, whose name it bears and whose user owns it
 * (SPOOL/gateway), or the spool itself, where all segments lay before there were such folders. */
typedef struct spool {
    int fd;                                 /* -1: it is not there yet */
    char source[DV_SEGMENT_SOURCE_MAX + 1]; /* ""; the spool itself */
    const struct spool *within;             /* NULL, likewise */
    size_t listed;                          /* segments that are read */
    size_t placed;                          /* of them, those that have a place */
    size_t refused;                         /* of them, those that are to be set aside */
    size_t waiting;                         /* not read yet, at the last look */
    size_t failed;                          /* could not be opened then: the next look tries */
    bool told;                              /* an alarm said that some wait */
    bool unread;                            /* an alarm said that it can't be looked into */
} spool;

typedef enum segment_state { SEGMENT_OPEN, SEGMENT_FINISHED, SEGMENT_REFUSED } segment_state;

typedef struct spool_segment {
    struct spool_segment *next;
    segment_state state;
    bool malformed;     /* an alarm told of a record that is no event */
    bool foreign;       /* the record that was taken last is no event */
    bool loses;         /* the large field of the record that was taken last did not come */
    bool lost;          /* an alarm told of one */
    bool behind;        /* nobody writes to it any more, and its last turn was too short */
    bool gone;          /* its file was removed from the folder, maybe not durably */
    bool placed;        /* the position of its id in the state file is its own */
    dv_segment *reader; /* NULL when it was refused */
    dv_uuid id;
    spool *from;
    int folder_fd; /* borrowed from the spool */
    char name[64]; /* within the folder */
} spool_segment;

/* One of the logs; its state is state.trees of the same number. */
typedef struct one_log {
    char folder[PATH_MAX];
    dv_tree_signer signer;
    dv_tree *tree;
    dv_catalogue *catalogue;
    dv_blob_batch blobs;
} one_log;

struct dv_sequencer {
    const dv_sequencer_options *options;
    dv_sequencer_options copy;
    spool spools[DV_SPOOLS_MAX]; /* options->spools first */
    size_t spool_count;
    size_t first_spool; /* whose turn it is to be read before the others */
    bool crowded;       /* an alarm said that there are more */
    bool loading;       /* segments that have a place are taken in first */
    dv_log_state state;
    one_log logs[DV_LOG_TREES_MAX]; /* the first is MAIN */
    dv_log_routes routes;
    spool_segment *segments; /* by id, which is by age */
    size_t segment_count;
    dv_buf entry;
    dv_buf sealed; /* the entry as it enters the tree */
    dv_buf event;  /* a record's code, expanded */
    dv_arena *arena;
    dv_uuid own_id;
    uint64_t own_sequence;
    size_t pending;
    dv_buf notes; /* own events since the last commit, each behind its length */
    bool level;   /* the last collect read all */
    uint64_t refused;
    bool blocked;
    bool torn;              /* an entry is half in a tree: all is read again from the files */
    dv_log_state committed; /* while that fails: what is told of the logs */
    char problem[DV_ERROR_MESSAGE_MAX];
};

/* An alarm of the sequencer's own; the title is its last problem, too. */
dv_must dv_result dv_sequencer_alarm(dv_sequencer *sequencer, const char *rule, const char *title);

/* Takes in the segments that came since, of all folders. */
dv_must dv_result dv_sequencer_look(dv_sequencer *sequencer);
/* Segments that it did not take in. */
size_t dv_sequencer_waiting(const dv_sequencer *sequencer);
/* Nothing more of it is read. */
dv_must dv_result dv_sequencer_refuse(dv_sequencer *sequencer, spool_segment *segment,
                                      const char *why);
/* Only after a commit that holds all of its records. What can't be removed is tried again after
 * the next one. */
void dv_sequencer_remove_done(dv_sequencer *sequencer);
/* What writers attached to records that never were, and what is committed. */
void dv_sequencer_sweep(const dv_sequencer *sequencer);
/* Forgets the positions of segments that the last life removed, once a power loss can't bring their
 * files back. */
dv_must dv_result dv_sequencer_forget_removed(dv_sequencer *sequencer, dv_error *error);
void dv_sequencer_spools_close(dv_sequencer *sequencer);
