/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What each type of destination does: a table of functions. A sender belongs to one thread. */

#include "room/audit/export/event.h"

#include <stdatomic.h>

typedef enum dv_export_state {
    DV_EXPORT_PENDING,
    DV_EXPORT_DONE,    /* acknowledged, or not wanted */
    DV_EXPORT_REFUSED, /* the destination can never take it */
} dv_export_state;

/* One event of a batch. */
typedef struct dv_export_item {
    dv_export_event event;
    dv_export_state state;
} dv_export_item;

enum { DV_EXPORT_WHY_MAX = 256 };

/* Some items of a batch, all pending and read, for one call. */
typedef struct dv_export_chunk {
    dv_export_item *const *items;
    size_t count;
    dv_arena *arena;             /* for what is made of them; reset after the call */
    char why[DV_EXPORT_WHY_MAX]; /* set beside a refusal of single items: of the last one */
    dv_time retry_after;         /* set beside DV_ERR_UNAVAILABLE when the receiver said so; or 0 */
    uint64_t rejected;           /* set beside DV_OK: so many of them, nobody knows which */
} dv_export_chunk;

/* What senders may use of the process. */
typedef struct dv_export_context {
    const dv_export_destination *destination;
    const char *log;         /* name of the log that is sent */
    const char *host;        /* of this machine */
    const atomic_bool *stop; /* end soon */
} dv_export_context;

typedef struct dv_export_kind {
    /* Makes the sender; touches nothing outside yet. The context outlives it. */
    dv_result (*open)(const dv_export_context *context, void **ret_sender, dv_error *error);
    /* Sends a chunk and sets the state of its items; those that stay pending come again.
     * DV_ERR_UNAVAILABLE: nothing was taken for sure, try later. DV_ERR_INVALID,
     * DV_ERR_TOO_LARGE: the receiver refused the whole; fewer at a time may go. */
    dv_result (*send)(void *sender, dv_export_chunk *chunk, dv_error *error);
    /* For a receiver that acknowledges nothing: how far what was sent may be taken as received.
     * NULL: what is done is received. *ret_next is written when it is further than before. After an
     * error of this or of send, what was not settled must be sent again. next: behind the last
     * event that was done. */
    dv_result (*settle)(void *sender, uint64_t next, uint64_t *ret_next, dv_error *error);
    void (*close)(void *sender);
    size_t events_max; /* in one call */
} dv_export_kind;

extern const dv_export_kind *const dv_export_kinds[DV_EXPORT_TYPES];

extern const dv_export_kind dv_export_kind_file, dv_export_kind_syslog, dv_export_kind_otlp,
    dv_export_kind_clickhouse, dv_export_kind_opensearch, dv_export_kind_webhook,
    dv_export_kind_email;

/* The content of a file that holds a secret, without the end of its last line. Refused when others
 * may read the file. Errors: DV_ERR_NOT_FOUND, DV_ERR_FORBIDDEN, DV_ERR_INVALID (empty, more than
 * one line, over 4096 bytes). */
dv_must dv_result dv_export_secret(const char *path, dv_buf *out, dv_error *error);
