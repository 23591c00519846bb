/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One request to the control plane, from its head to its answer: who calls, what, may they, is it
 * well-formed, do it, record it. Knows no socket.
 *
 * 1. A caller is known before anything of the request is looked at: on api.sock by a credential
 *    that the auth room accepts, on control.sock by the kernel. No header says who calls.
 * 2. Nothing runs without a permission; only control.sock has them all.
 * 3. Room for the audit record is reserved before a handler runs, and the record is kept before
 *    the answer is sent; otherwise the answer is 503. */

#include "base/arena.h"
#include "core/metrics.h"
#include "core/services.h"
#include "daemon/dvarad_logons.h"
#include "engine/log/spool.h"
#include "room/auth/gate/auth_gate.h"

#include <jansson.h>

enum { DV_ORIGINS_MAX = 16, DV_ORIGIN_MAX = 256 };

/* The `control:` section of dvara.yaml. */
typedef struct dv_control_settings {
    char origins[DV_ORIGINS_MAX][DV_ORIGIN_MAX]; /* that may send unsafe methods */
    size_t origin_count;
    bool metrics_need_key; /* false: callers of the same machine read /metrics without one */
} dv_control_settings;

/* What serves requests; made by dvarad_main.c, by hand in tests. */
typedef struct dv_control {
    dv_services services;
    dv_auth_gate *gate;
    dv_metrics *metrics; /* dvarad's own counters */
    dv_spool *spool;
    const char *spool_dir;
    size_t reserved; /* records of the running exchange */
    dv_control_settings settings;
    dv_logons logons;
} dv_control;

/* Appends to the spool, reserved room first. services.events of dvarad. */
dv_event_sink dv_control_events(dv_control *control);

/* The head of a request. Slices are borrowed until the exchange is freed; absent headers are empty
 * with a NULL ptr. */
typedef struct dv_exchange_head {
    const char *local; /* entity of the caller on control.sock; NULL: api.sock */
    dv_slice method;
    dv_slice target;
    dv_slice authorization;
    dv_slice api_key;
    dv_slice origin;
    dv_slice content_type;
    dv_slice if_match;
    dv_slice if_none_match;
    dv_slice host;
    dv_slice scheme;     /* as nginx tells it: "http", otherwise https */
    dv_slice request_id; /* the caller's own name for the request */
    dv_slice address;    /* as nginx tells it: for the record and for policies, not for identity */
    bool repeated;       /* a header above stood twice */
} dv_exchange_head;

enum { DV_ETAG_MAX = 40 };

typedef struct dv_exchange_answer {
    int status;
    const char *content_type; /* NULL: no body */
    dv_slice body;            /* lives as long as the exchange */
    const char *allow;        /* Allow header, or NULL */
    char etag[DV_ETAG_MAX];   /* with quotes, or "" */
    const char *request_id;   /* Dvara's: what the audit log has */
    const char *echo_id;      /* the caller's own, or NULL */
} dv_exchange_answer;

typedef struct dv_exchange dv_exchange;

/* NULL when memory is out. */
dv_exchange *dv_exchange_new(dv_control *control, const dv_exchange_head *head);
void dv_exchange_free(dv_exchange *exchange);
DV_DEFINE_AUTO_PTR(exchange, dv_exchange, dv_exchange_free)

/* All that needs no body. False: the answer is there, and the body need not be read. */
dv_must bool dv_exchange_begin(dv_exchange *exchange);
/* The rest; too_large: the body went over DV_LIMIT_CONTROL_BODY. */
void dv_exchange_finish(dv_exchange *exchange, dv_slice body, bool too_large);
const dv_exchange_answer *dv_exchange_get_answer(const dv_exchange *exchange);
