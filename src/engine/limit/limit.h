/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Exact limits in counters that outlive every process (store/counters.h): rates by GCRA (the
 * virtual scheduling algorithm of ITU-T I.371 annex A), budgets of a calendar day or month in UTC,
 * and how many at once. A request's limits are charged together; what was only reserved is settled
 * when it is known. */

#include "base/clock.h"
#include "base/result.h"
#include "base/slice.h"
#include "store/counters.h"

typedef enum dv_limit_kind {
    DV_LIMIT_RATE = 0,   /* `rate` */
    DV_LIMIT_BUDGET,     /* `max` in each `period` */
    DV_LIMIT_CONCURRENT, /* `max` at once: a lease of this process until it is given back */
} dv_limit_kind;

typedef enum dv_limit_period { DV_LIMIT_DAY = 0, DV_LIMIT_MONTH } dv_limit_period;

/* What is counted; each unit of a key counts apart. */
typedef enum dv_limit_unit {
    DV_LIMIT_REQUESTS = 0,
    DV_LIMIT_TOKENS,
    DV_LIMIT_COST, /* millionths of the currency */
} dv_limit_unit;

typedef struct dv_limit_rate {
    uint64_t count; /* permits for each period; 0: no limit */
    dv_time period; /* nanoseconds */
    uint64_t burst; /* permits at once; 0: same as count */
} dv_limit_rate;

/* One limit that a request meets. Key, unit and rate (or period) together name the counter, so that
 * several rates on one key count apart and a changed rate starts anew, while a changed budget goes
 * on with what was used. The same limit twice in one request is charged twice. */
typedef struct dv_limit_charge {
    dv_slice key; /* "key/Ab3dEf9h", "user/alice", "group/ml", "address/10.0.0.1" */
    dv_limit_rate rate;
    uint64_t cost;           /* permits that this request takes */
    dv_counters_table table; /* of keys, of addresses or of models */
    dv_limit_kind kind;
    dv_limit_unit unit;
    dv_limit_period period;
    uint64_t max; /* of a budget, or at once */

    /* Written by dv_limit_charge_all where it returns DV_OK. */
    uint64_t remaining;  /* permits left after the decision */
    dv_time reset_after; /* until it is whole again; 0: not known */
    uint32_t label;      /* a budget's period: days, or months, since 1970 */

    struct { /* the engine's own */
        dv_counter_key key;
        void *entry; /* under the locks only */
        unsigned __int128 cost;
        unsigned __int128 level; /* before the request; in the kind's own unit */
        unsigned __int128 level_after;
        unsigned __int128 ceiling; /* that no level may pass */
        uint64_t unit;             /* of the level, for one permit */
        uint64_t generation;       /* of the entry when it was charged */
        bool claimed;
        bool charged; /* and not settled yet */
    } own;
} dv_limit_charge;

typedef struct dv_limit_state {
    bool admitted;       /* zero: refused */
    bool full;           /* refused because a table has no room for a new key */
    uint32_t decided_by; /* index of the charge that refused, or of the one nearest to its limit */
    uint64_t limit;      /* burst, or max, of that one */
    uint64_t remaining;  /* permits left of that one */
    dv_time reset_after; /* until that one is whole again */
    dv_time retry_after; /* until the request would be admitted; 0 when it was; DV_TIME_NEVER */
    dv_time now;         /* what the decision used, for the oracle */
    dv_time tat;         /* a rate's theoretical arrival time after the decision; a budget's end */
} dv_limit_state;

enum {
    DV_LIMIT_CHARGES_MAX = DV_COUNTERS_SESSION_MAX, /* in one request */
    DV_LIMIT_KEY_MAX = 512,                         /* bytes of a key */
    DV_LIMIT_ADDRESS_KEY_MAX = 64,                  /* bytes of what dv_limit_address_key writes */
    DV_LIMIT_CONCURRENT_MAX = 60000,
    DV_LIMIT_THRESHOLDS_MAX = 4,
};
#define DV_LIMIT_BUDGET_MAX (UINT64_C(10) * 1000 * 1000 * 1000 * 1000) /* fits 44 bits */

/* Says what is wrong with a rate: a count without a period, or one whose burst takes more than a
 * hundred years to refill. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_limit_rate_check(const dv_limit_rate *rate, dv_error *error);

/* Charges all of them or none, in one ordered acquisition. More than DV_LIMIT_CHARGES_MAX or too
 * long a key is DV_ERR_TOO_LARGE; a bad limit or a time before 1970 is DV_ERR_INVALID; a broken
 * table, or a limit at once without a seat (dv_counters_sit), is DV_ERR_UNAVAILABLE. On any error
 * state->admitted is false, so ret_state is always written. Rates without a count are passed over;
 * with none left the request is admitted and state->limit is 0.
 *
 * A clock that went back admits no more than one that stood still. A rate then shuts nobody out for
 * longer than its own refill. A budget goes on in the period that has begun already; when the clock
 * went back by more than a period, the present one counts as used up. */
dv_must dv_result dv_limit_charge_all(dv_counters *counters, dv_limit_charge *charges, size_t count,
                                      dv_time now, dv_limit_state *ret_state);

/* A budget on its way to its end, told once for each threshold and period. */
typedef struct dv_limit_warning {
    uint32_t charge;  /* index */
    uint32_t percent; /* the highest threshold that was passed */
} dv_limit_warning;

typedef struct dv_limit_thresholds {
    uint8_t percent[DV_LIMIT_THRESHOLDS_MAX]; /* ascending, 1 to 100; 0: no more */
} dv_limit_thresholds;

/* Gives back what was charged too much, or charges what came on top, once for each charge that was
 * admitted; the others are passed over. settled holds for each unit what the request took after
 * all, and then what of it was charged; NULL settles leases alone.
 *
 * - A lease is given back.
 * - Of a rate of tokens, what was reserved too much is given back, less what would have drained
 *   away since: never so much that an interval could admit more than burst + rate * time. What came
 *   on top is charged as far as the burst.
 * - Of a budget, all that was reserved too much, if its period still runs. What came on top is
 *   charged as far as every budget of its unit has room: none is ever overdrawn.
 * - What was reset meanwhile gets nothing back: the reservation was forgotten with the rest.
 * - Rates of requests stay as they are.
 *
 * ret_warnings (room for count) may be NULL. Errors: DV_ERR_UNAVAILABLE: all of it stays reserved.
 */
dv_must dv_result dv_limit_settle_all(dv_counters *counters, dv_limit_charge *charges, size_t count,
                                      uint64_t settled[3], dv_time reserved_at, dv_time now,
                                      const dv_limit_thresholds *thresholds,
                                      dv_limit_warning *ret_warnings, size_t *ret_warning_count);

/* Leases that could not be given back, because a lock was not to be had: to be tried again. */
enum { DV_LIMIT_OWED_MAX = 1024 };
typedef struct dv_limit_owed {
    size_t count;
    dv_counter_key keys[DV_LIMIT_OWED_MAX];
} dv_limit_owed;

/* Takes over the leases among the charges that were not settled. Errors: DV_ERR_TOO_LARGE: there
 * are too many; those that found no room end with the process. */
dv_must dv_result dv_limit_owe(dv_limit_owed *owed, dv_limit_charge *charges, size_t count);
/* Gives back what can be; owed->count says how many are left. */
void dv_limit_pay(dv_counters *counters, dv_limit_owed *owed);

/* What is used of a limit now, without charging anything. A budget's label and used; for a rate
 * the permits that are not back yet, rounded up; for concurrency what all processes hold. */
typedef struct dv_limit_usage {
    uint64_t used;
    dv_time reset_after;
} dv_limit_usage;

dv_must dv_result dv_limit_read(dv_counters *counters, const dv_limit_charge *charge, dv_time now,
                                dv_limit_usage *ret_usage);
/* Makes it whole again: a rate's burst, a budget's period, whatever is reserved of it now. Leases
 * end with their holders. */
dv_must dv_result dv_limit_reset(dv_counters *counters, const dv_limit_charge *charge, dv_time now);

/* Days or months since 1970 of a time, and when that period ends. */
uint32_t dv_limit_label(dv_limit_period period, dv_time now);
dv_time dv_limit_label_end(dv_limit_period period, uint32_t label);
/* "2026-11-22" or "2026-11" and its NUL. */
enum { DV_LIMIT_LABEL_TEXT_MAX = 16 };
void dv_limit_label_text(dv_limit_period period, uint32_t label, char out[DV_LIMIT_LABEL_TEXT_MAX]);

/* The key under which an address is limited: version 4 whole, version 6 by its /64, version 4 in
 * version 6 (::ffff:a.b.c.d) as version 4; a zone ("%eth0") is dropped. ret_key points into out.
 * Errors: DV_ERR_INVALID (no address). */
dv_must dv_result dv_limit_address_key(dv_slice address, char out[DV_LIMIT_ADDRESS_KEY_MAX],
                                       dv_slice *ret_key);
