/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Builder of the records of what came over the network and never became a request at the gate. As
 * in core/event.h. */

#include "core/event.h"

/* Why it went no further, with the status that nginx gives it; 0: none. Names are stable: they
 * stand in events as the status code. */
#define DV_NETWORK_REASONS(X)                                                                      \
    X(CONNECTIONS, "too_many_connections", 0, "Connections from one address were closed.")         \
    X(TLS, "tls_failed", 0, "A TLS handshake failed.")                                             \
    X(TLS_TIMEOUT, "tls_timeout", 0, "A TLS handshake did not come to its end in time.")           \
    X(PLAINTEXT, "plaintext", 400, "A request without TLS came to a port that asks for it.")       \
    X(MALFORMED, "malformed", 400, "A request was malformed before it could be judged.")           \
    X(TOO_LONG, "head_too_long", 431, "A request's line or header fields were too long.")          \
    X(ADDRESS, "address_not_allowed", 403, "A listener is not open to an address.")                \
    X(CUT, "head_cut", 400, "A connection ended within a request's head.")                         \
    X(TIMEOUT, "head_timeout", 408, "A request's head did not come in time.")                      \
    X(OTHER, "refused", 400, "A request was refused before it could be judged.")

typedef enum dv_network_reason {
#define DV_NETWORK_ENUM(id, name, status, text) DV_NETWORK_##id,
    DV_NETWORK_REASONS(DV_NETWORK_ENUM)
#undef DV_NETWORK_ENUM
        DV_NETWORK_REASON_COUNT
} dv_network_reason;

const char *dv_network_reason_name(dv_network_reason reason);

/* What came from one address for one reason, once or many times. */
typedef struct dv_event_network {
    dv_slice address; /* empty: of several */
    uint16_t port;    /* of the caller, of the one there was; 0: not known */
    dv_network_reason reason;
    int status; /* of the answer; 0: the reason's own */
    uint64_t count;
    dv_time since;
    dv_time until; /* when the last of them came */
} dv_event_network;

/* HTTP Activity (4002) with OCSF's count, start_time and end_time. */
dv_must dv_result dv_event_network_refusal(dv_buf *out, const dv_event_network *refused);
