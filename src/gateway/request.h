/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One request in the module: its state, and the steps that the files of this folder share.
 *
 *   NEW ──► BODY ──► FORWARD ──► HELD | STREAM | PASS ──► DONE
 *    └────────┴─────────┴───────────┴──── denial ────────► DONE
 *
 * Invariants
 * 1. Nothing is sent to an upstream unless the stage is FORWARD ($dvara_target is empty otherwise),
 *    and FORWARD is reached in one place, after the open record was written.
 * 2. Of an answer that is inspected no byte leaves before it was inspected.
 * 3. The close record is written before the last byte of an answer.
 * 4. What is in the arena ends with the request's pool; the snapshot is never read across a return
 *    to the event loop.
 * 5. While a job is out (pool.h) nobody but its thread allocates from the arena.
 */

#include "base/uuid.h"
#include "core/event.h"
#include "core/event_network.h"
#include "engine/limit/flood.h"
#include "gateway/ngx.h"
#include "gateway/pool.h"
#include "room/api/gate/api_answer.h"
#include "room/data/gate/volume.h"

/* What comes too often, in this worker; either may be NULL. */
typedef struct dv_overload {
    dv_flood *connections;
    dv_flood *refusals;
    ngx_event_t telling; /* of what was only counted */
} dv_overload;

typedef enum dv_mode { DV_MODE_OFF = 0, DV_MODE_GATE, DV_MODE_ADMIN } dv_mode;

typedef enum dv_stage {
    DV_STAGE_NEW = 0,
    DV_STAGE_BODY,    /* is read and inspected */
    DV_STAGE_FORWARD, /* may be sent on */
    DV_STAGE_HELD,    /* the answer is gathered, to be inspected as a whole */
    DV_STAGE_STREAM,  /* the answer is inspected as it comes */
    DV_STAGE_PASS,    /* the answer is not inspected */
    DV_STAGE_DONE,    /* we gave the answer; whatever else comes is swallowed */
} dv_stage;

/* A group of model servers, from `dvara_upstream NAME SCHEME HOST NAME BASE`. */
typedef struct dv_target {
    ngx_str_t name;
    ngx_str_t scheme;
    ngx_str_t host; /* for the Host header */
    ngx_str_t tls_name;
    ngx_str_t base;
} dv_target;

typedef struct dv_main_conf {
    ngx_str_t runtime;
    ngx_str_t spool;
    ngx_str_t counters;
    ngx_msec_t body_timeout;      /* for a whole body to come */
    ngx_array_t *targets;         /* of dv_target */
    dv_data_detectors *detectors; /* made before the workers are forked, which all read them */
    dv_worker worker;
    dv_pool pool;
    ngx_uint_t connections;       /* open at once from one address; 0: any number */
    ngx_uint_t new_connections;   /* a second from one address; 0: any number */
    ngx_uint_t recorded_refusals; /* a second of one address and reason; 0: each */
    dv_overload overload;
    ngx_event_t paying;   /* of leases that could not be given back */
    ngx_queue_t requests; /* of dv_request.link: those whose close record is owed */
    ngx_queue_t streams;  /* of dv_request.stream_link: those whose answer is a stream */
    ngx_event_t watch;    /* looks whether their keys are still good */
    size_t stream_count;
    size_t unchecked; /* streams, from the front, that the running look has still to ask */
    uint64_t watched_generation; /* that all streams were last held against */
    dv_time watched_until;       /* when the first of their keys ends */
} dv_main_conf;

typedef struct dv_loc_conf {
    ngx_uint_t mode; /* dv_mode */
} dv_loc_conf;

/* What the limits said of a request, and what it holds of them (limits.c). */
typedef struct dv_request_limits {
    dv_api_charges address;        /* and networks; at once */
    dv_api_charges caller;         /* key, user, groups, route; at once */
    dv_api_charges body;           /* what is known with the body: the model, tokens, cost */
    dv_limit_state state;          /* of the last decision */
    const dv_api_charges *decided; /* what it is about; NULL: no limit applied */
    dv_time called_at;             /* `now` of address and caller */
    dv_time reserved_at;           /* `now` of body; 0: nothing was reserved */
    dv_api_amount reserved;
    dv_api_amount settled;
    bool is_settled;
    bool told[3]; /* address, caller, body were charged: headers tell of them */
} dv_request_limits;

typedef struct dv_request {
    ngx_http_request_t *r;
    dv_main_conf *main;
    dv_mode mode;
    dv_stage stage;
    ngx_uint_t http_version; /* the caller's; nginx sets its own to 0.9 for an upstream's garbage */
    char id[DV_UUID_TEXT_LEN + 1];
    dv_time time;          /* when it came */
    dv_time began;         /* monotonic */
    dv_time permitted;     /* monotonic; when the decision was made */
    dv_time forwarded;     /* monotonic; 0: was not */
    dv_time upstream_head; /* nanoseconds until the answer's head; -1 */
    dv_arena *arena;
    dv_gate_config *config; /* NULL until the gate was entered */
    const dv_api_route *route;
    const dv_target *target;
    dv_identity identity;
    bool authenticated;
    bool route_permitted; /* otherwise the model's permit is needed, too */
    char route_policy[DV_VERDICT_POLICY_MAX];
    dv_slice route_others; /* policies behind it, as in a verdict */
    uint16_t route_unnamed;
    dv_slice param; /* member at fault */
    dv_request_limits limits;

    size_t body_bytes; /* as the caller sent them */
    unsigned step;
    bool computed;     /* the step's work is done */
    dv_work work;      /* what is computed over a body */
    dv_job *job;       /* NULL: no thread computes it */
    ngx_event_t timer; /* BODY: until the body is there; until its work is done */
    dv_api_body body;
    dv_data_context *context;
    const dv_data_policy *request_policy; /* of the route, for this caller; NULL: not inspected */
    const dv_data_policy *answer_policy;
    dv_data_outcome seen;              /* in the request */
    const dv_data_sighting *head_seen; /* in its head, in the arena */
    size_t head_seen_count;
    uint32_t head_values[DV_DATA_VOLUMES_MAX]; /* found in its head, by the policy's volumes */
    dv_volume_tally sent_volume;               /* of the request's values */
    dv_volume_tally got_volume;                /* of the answer's */
    dv_slice fields; /* Host's value and what is sent on of the head, see head.c */

    bool shown_made; /* the three below: the caller's words as the records tell them */
    dv_slice shown_path;
    dv_slice shown_agent;
    dv_slice shown_model;
    bool reserved; /* room for the close record */
    bool opened;
    bool closed;
    ngx_queue_t link;

    dv_buf held;  /* HELD: the answer so far */
    bool watched; /* stream_link is in a queue */
    ngx_queue_t stream_link;
    dv_data_stream *stream;
    uint64_t generation; /* of the snapshot that the identity was last checked at */
    ngx_chain_t *in;     /* STREAM: not yet inspected */
    size_t fed;          /* STREAM: bytes since others had a turn */
    ngx_event_t turn;    /* the next one */
    ngx_chain_t *free;
    ngx_chain_t *busy;
    size_t swallowed;       /* DONE: bytes */
    dv_data_outcome answer; /* seen in the answer */
    int upstream_status;
    int64_t input_tokens;
    int64_t output_tokens;
    uint64_t answer_bytes;
    uint64_t text_bytes; /* of the texts of a whole answer */

    /* Reset, not zeroed: their room is large. */
    dv_verdict verdict;        /* on the request */
    dv_verdict answer_verdict; /* on the answer */
} dv_request;

/* module.c */
dv_request *dv_request_get(ngx_http_request_t *r); /* NULL: none yet */
dv_request *dv_request_make(ngx_http_request_t *r, dv_mode mode);
dv_api_shape dv_request_shape(const dv_request *request);
/* False, for the caller to return. */
static inline bool dv_request_deny(dv_request *request, dv_reason reason, const char *detail)
{
    dv_verdict_deny(&request->verdict, reason, "%s", detail);
    return false;
}

/* head.c */
/* Inspects path, query and the header fields that are sent on, and makes request->fields of them;
 * false: denied. */
bool dv_head_inspect(dv_request *request);
/* Takes an inspection's result over: true when the text may go on. The verdict went in allowed. */
bool dv_request_judged(dv_request *request, dv_result result, const dv_verdict *verdict);

/* access.c: the phase handler. */
ngx_int_t dv_access_handler(ngx_http_request_t *r);
/* Denies with the record and the answer; for the phase handler and the body's callback. */
ngx_int_t dv_access_deny(dv_request *request);
/* Reads the snapshot for one step; false: denied (NOT_READY). */
bool dv_access_enter(dv_request *request);
/* Decides about the route, within dv_access_enter and dv_worker_leave; false: denied. */
bool dv_access_authorize(dv_request *request);
/* Asks the policies about one resource, within dv_worker_enter and dv_worker_leave. */
void dv_access_ask(dv_request *request, const dv_identity *identity, dv_slice resource,
                   dv_arena *arena, dv_verdict *ret_verdict);
/* An answer outlives decisions: when the snapshot changed, or the key or a role ended, since the
 * request was decided it is decided again. False: denied, with the verdict, which is left alone
 * otherwise. The first within dv_worker_enter and dv_worker_leave. */
bool dv_access_is_good(dv_request *request, dv_time now, dv_verdict *verdict);
bool dv_access_may_go_on(dv_request *request, dv_verdict *verdict);
/* True right after the decision: nothing needs to be asked again. */
bool dv_access_is_fresh(const dv_request *request);

/* limits.c */
void dv_limits_init(dv_main_conf *main, ngx_cycle_t *cycle);
/* Each denies where a limit refuses. The first two within dv_access_enter and
 * dv_worker_leave, before the body is read; the third there, too, when it was permitted. */
bool dv_limits_address(dv_request *request);
bool dv_limits_caller(dv_request *request);
bool dv_limits_reserve(dv_request *request);
/* Settles what was reserved, once; before the close record. */
void dv_limits_settle(dv_request *request, bool aborted);
/* Gives back what only a running request holds. */
void dv_limits_release(dv_request *request);
/* Adds the limits' headers to r->headers_out. */
ngx_int_t dv_limits_headers(dv_request *request);
/* What the records tell; false: no limit applied. */
bool dv_limits_event(const dv_request *request, dv_event_limit *limit);

/* volume.c: how much leaves over time. */
/* Charges what was found in the request; false: denied. */
bool dv_volume_request(dv_request *request);
/* The same for an answer, whole or as far as it came; values: dv_data_outcome's. False: denied in
 * the verdict, which is left alone otherwise. */
bool dv_volume_answer(dv_request *request, const uint32_t *values, dv_verdict *verdict);
/* The rules that were passed, for the records; returns how many. */
size_t dv_volume_sent(const dv_request *request, dv_event_volume out[DV_EVENT_VOLUMES_MAX]);
size_t dv_volume_got(const dv_request *request, dv_event_volume out[DV_EVENT_VOLUMES_MAX]);
/* Seconds after which a request that a rule refused may come again; 0: not known. */
uint64_t dv_volume_retry_after(const dv_request *request);

/* body.c: reads, inspects and replaces the body, then lets the phases go on. */
ngx_int_t dv_body_read(dv_request *request);
/* Prepares request->work; the gate is the event loop's. */
void dv_body_prepare_work(dv_request *request);

/* record.c */
/* Reserves and appends the open record. Errors: DV_ERR_UNAVAILABLE and others: deny. */
dv_must dv_result dv_record_open(dv_request *request);
/* Appends the close record once. status: told to the caller; 0: it went away. */
dv_must dv_result dv_record_close(dv_request *request, int status, bool aborted);
/* Both for a request that was denied; failures leave the denial as it is. */
void dv_record_denial(dv_request *request, int status);

/* answer.c */
/* Sends the denial of request->answer_verdict or request->verdict; the stage becomes DONE.
 * status: 0 or another than the reason's own. */
ngx_int_t dv_answer_denial(dv_request *request, int status);
/* Adds x-request-id and, on the gate, the limits' headers to r->headers_out. */
ngx_int_t dv_answer_headers(dv_request *request);
ngx_int_t dv_answer_header(ngx_http_request_t *r, const char *name, dv_slice value);

/* filter.c */
ngx_int_t dv_filter_init(ngx_conf_t *cf);
ngx_int_t dv_filter_next_header(ngx_http_request_t *r);
ngx_int_t dv_filter_next_body(ngx_http_request_t *r, ngx_chain_t *chain);

/* overload.c */
/* Takes the listeners over and begins to count. What memory does not allow is not counted. */
void dv_overload_init(struct dv_main_conf *main, ngx_cycle_t *cycle);
/* Tells what was counted, when the worker ends. */
void dv_overload_release(struct dv_main_conf *main);
/* Whether this refusal gets records of its own; otherwise it was counted. */
bool dv_overload_records(dv_request *request);
/* Records or counts what never became a request. status: answered by nginx; 0: nothing was. */
void dv_overload_network(dv_main_conf *main, const ngx_connection_t *connection,
                         dv_network_reason reason, int status);

/* network.c */
ngx_int_t dv_network_init(ngx_conf_t *cf);
/* When the connection's pool goes. */
void dv_network_connection_ended(dv_main_conf *main, ngx_connection_t *connection);

/* stream.c: the body filter of event streams. */
ngx_int_t dv_stream_begin(dv_request *request);
/* Takes over what the stream has seen so far, also when it is cut off. */
void dv_stream_take_outcome(dv_request *request);
/* Streams whose key ends are cut off though nothing comes. */
void dv_stream_watch_init(dv_main_conf *main);
void dv_stream_unwatch(dv_request *request);
ngx_int_t dv_stream_filter(dv_request *request, ngx_chain_t *in);
