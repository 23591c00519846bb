/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Exact rate limits: GCRA (the virtual scheduling algorithm of ITU-T I.371 annex A), one timestamp
 * a key, in counters that outlive every process (store/counters.h). */

#include "base/clock.h"
#include "base/result.h"
#include "base/slice.h"
#include "store/counters.h"

typedef struct dv_limit_rate {
    uint64_t count; /* permits for each period; 0: no limit */
    dv_time period; /* nanoseconds */
    uint64_t burst; /* permits at once; 0: same as count */
} dv_limit_rate;

/* One limit that a request meets. The key and the rate together name the counter, so that several
 * rates on one key count apart, and a changed rate starts anew. The same key and rate twice in one
 * request are charged twice. */
typedef struct dv_limit_charge {
    dv_slice key; /* "key/Ab3dEf9h", "user/alice", "group/ml", "address/10.0.0.1" */
    dv_limit_rate rate;
    uint64_t cost; /* permits that this request takes, usually 1 */
    bool address;  /* lives in the table of addresses */
} dv_limit_charge;

typedef struct dv_limit_state {
    bool admitted;       /* zero: refused */
    bool full;           /* refused because the table has no room for a new key */
    uint32_t decided_by; /* index of the charge that refused, or of the one nearest to its limit */
    uint64_t limit;      /* burst of that one */
    uint64_t remaining;  /* permits left of that one */
    dv_time reset_after; /* until that one is whole again */
    dv_time retry_after; /* until the request would be admitted; 0 when it was */
    dv_time now;         /* what the decision used, for the oracle */
    dv_time tat;         /* that one's theoretical arrival time after the decision */
} dv_limit_state;

enum {
    DV_LIMIT_CHARGES_MAX = 16,     /* in one request */
    DV_LIMIT_KEY_MAX = 512,        /* bytes of a key */
    DV_LIMIT_ADDRESS_KEY_MAX = 64, /* bytes of what dv_limit_address_key writes */
};

/* Says what is wrong with a rate: a count without a period, or one whose burst takes more than a
 * hundred years to refill. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_limit_rate_check(const dv_limit_rate *rate, dv_error *error);

/* Charges all of them or none, in one ordered acquisition. More than DV_LIMIT_CHARGES_MAX or too
 * long a key is DV_ERR_TOO_LARGE; a bad rate or a time before 1970 is DV_ERR_INVALID; a broken
 * table is DV_ERR_UNAVAILABLE. On any error state->admitted is false, so ret_state is always
 * written. Charges without a limit (count 0) are passed over; with none left the request is
 * admitted and state->limit is 0. A clock that went back admits no more than one that stood still,
 * and shuts nobody out for longer than the limit's own refill. */
dv_must dv_result dv_limit_charge_all(dv_counters *counters, const dv_limit_charge *charges,
                                      size_t count, dv_time now, dv_limit_state *ret_state);

/* The key under which an address is limited: version 4 whole, version 6 by its /64, version 4 in
 * version 6 (::ffff:a.b.c.d) as version 4; a zone ("%eth0") is dropped. ret_key points into out.
 * Errors: DV_ERR_INVALID (no address). */
dv_must dv_result dv_limit_address_key(dv_slice address, char out[DV_LIMIT_ADDRESS_KEY_MAX],
                                       dv_slice *ret_key);
