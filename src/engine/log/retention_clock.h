/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What time it is for pruning. A clock that jumps ahead (a dead battery, a wrong time server, a
 * hand on the clock) would let everything become old at once, and what is pruned is gone; one that
 * was behind gave what came meanwhile a time at which it is old too soon. So three witnesses must
 * agree: the wall clock; the newest entry of the log, which has to have come that far; and the time
 * since the start of the machine, which nobody sets. Wherever the wall clock and the last part by
 * more than ten minutes a day, or the log begins again more than a day after its newest entry,
 * nothing is pruned by age for a day that the machine runs: long enough to be told and to set the
 * clock right.
 *
 * Over restarts what time it should have been is remembered (retention.h). While the machine ran,
 * the time since then is known as it is within one life. While it was off, nobody knows: as long as
 * is not explained by its running, though a day at most, nothing is pruned then.
 *
 *   settled ──(apart from the machine's time)──► unsettled ──(a day, or set right)──► settled */

#include "base/result.h"

enum { DV_BOOT_ID_MAX = 36 };

/* What time it was, or should have been. */
typedef struct dv_retention_seen {
    int64_t wall_ms;                  /* 0: there was none */
    int64_t machine_ms;               /* since the start of the machine */
    char boot_id[DV_BOOT_ID_MAX + 1]; /* of that start; "": not known */
} dv_retention_seen;

typedef struct dv_retention_clock {
    int64_t wall_ms, machine_ms; /* where it is measured from; moves once a day */
    int64_t until_machine_ms;    /* unsettled until then; 0: settled */
    int64_t ahead_ms;            /* by how much it jumped, while unsettled; < 0: back */
    bool whole;                  /* all of that was seen: it can be undone */
} dv_retention_clock;

/* newest_ms: of the newest entry, 0: there is none; left_ms: what an earlier life left to wait;
 * seen: its last look. Times in milliseconds; machine_ms never goes back while the machine runs.
 * True: the clock was set since that look. */
bool dv_retention_clock_start(dv_retention_clock *clock, int64_t newest_ms, int64_t left_ms,
                              const dv_retention_seen *seen, const dv_retention_seen *now);
/* To be called once a minute. True: it was just set. */
bool dv_retention_clock_look(dv_retention_clock *clock, int64_t wall_ms, int64_t machine_ms);
/* How long nothing is pruned; 0: settled. */
int64_t dv_retention_clock_left(const dv_retention_clock *clock, int64_t machine_ms);
/* What the wall clock should say, to be remembered: it may have been set since the last look. */
int64_t dv_retention_clock_expected(const dv_retention_clock *clock, int64_t machine_ms);
/* The time that ages are counted from; INT64_MIN: nothing is old. */
int64_t dv_retention_clock_now(const dv_retention_clock *clock, int64_t newest_ms, int64_t wall_ms,
                               int64_t machine_ms);
