/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Finding entries: by index (the feed), by request id, and by a search (query.h). */

#include "engine/log/block_search.h"
#include "engine/log/identities.h"
#include "engine/log/query_aggregate.h"
#include "engine/log/tiles.h"

/* Called for each entry, in order of the index; anything but DV_OK ends the search and is passed
 * on. */
typedef dv_result (*dv_entry_visit)(void *data, uint64_t index, dv_slice entry);

/* Entries [from, from + limit) of a log of that size. folder: the log's. Errors: the visit's,
 * DV_ERR_NOT_FOUND (they were pruned), DV_ERR_CORRUPT, DV_ERR_IO. */
dv_must dv_result dv_log_read(const char *folder, uint64_t size, uint64_t from, uint64_t limit,
                              dv_entry_visit visit, void *data, dv_error *error);

/* All entries of that request from the index `minimum` on, before which all may be pruned. A UUIDv7
 * tells when it was made, so that older blocks are not looked at. */
dv_must dv_result dv_log_find(const char *folder, uint64_t minimum, uint64_t size,
                              dv_slice request_id, dv_entry_visit visit, void *data,
                              dv_error *error);

/* -- searching --------------------------------------------------------------------------------- */

/* Called for each event that matches. DV_ERR_AGAIN ends the search behind this one; any other error
 * is passed on. The arena is of this event. */
typedef dv_result (*dv_match_visit)(void *data, uint64_t index, dv_query_event *event,
                                    dv_arena *arena);

/* How a value stands in the leaves that a term (IS, of a field) holds for. */
typedef enum dv_standing {
    DV_STANDING_PLAIN,  /* as it is asked for */
    DV_STANDING_SEALED, /* so, or as one of the sealed texts */
    DV_STANDING_UNKNOWN,
} dv_standing;

/* Who can read what is sealed in the leaves. NULL functions: nothing is sealed. */
typedef struct dv_search_reader {
    dv_block_opener opener;
    /* Appends the event of a leaf as readers get it. */
    dv_result (*open_event)(void *data, dv_slice leaf, dv_buf *out);
    /* folder: the log's. */
    dv_standing (*standing)(void *data, const char *folder, const dv_query_node *node,
                            dv_identity_tokens *ret_sealed);
    /* The same eyes for another thread, which drop_twin takes back; NULL: there are none. */
    dv_result (*twin)(const void *data, const struct dv_search_reader **ret_twin);
    void (*drop_twin)(const struct dv_search_reader *twin);
    void *data;
} dv_search_reader;

typedef struct dv_search {
    const dv_query *query;
    const dv_search_reader *reader; /* or NULL */
    uint64_t size;                  /* of the log: what comes behind is not looked at */
    uint64_t minimum;               /* what comes before it was pruned */
    uint64_t from; /* oldest first: the first one; newest first: the one behind the first */
    bool oldest_first;
    dv_time until; /* on the monotonic clock; 0: takes its time */
    dv_match_visit visit;
    void *data;
    /* Or NULL: of the same query. Events that match and of which columns tell all that it needs are
     * added to it; visit is called for the others alone. */
    dv_aggregate *aggregate;
} dv_search;

typedef struct dv_search_stats {
    uint64_t scanned; /* events that were decided about */
    uint64_t matched;
    uint64_t blocks; /* of them, blocks that were opened */
    uint64_t next;   /* `from` of a search that goes on where this one ended */
    bool done;       /* nothing is left for it */
} dv_search_stats;

/* Visits the events that match, in the order of the log or against it. Packed events are searched
 * by columns, the others one by one; from some blocks on, by several threads (search_ahead.h),
 * while all functions of the search but the reader's twins are called by the caller's thread.
 * *ret_stats tells how far it came, also when it ended early.
 * Errors: the visit's, DV_ERR_CORRUPT, DV_ERR_IO, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_log_search(const char *folder, const dv_search *search,
                                dv_search_stats *ret_stats, dv_error *error);
