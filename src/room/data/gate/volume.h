/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How much leaves over time: rules that count the values which detectors found, by who sends or
 * gets them, in the node's counters (engine/limit). A rule of 500 values an hour lets 500 pass at
 * once, and gives them back evenly over the hour.
 *
 * 1. Values of a body that a rule refuses are counted by no rule: they do not leave. All rules that
 *    block are charged together, all or none.
 * 2. What passes a rule that does not block fills it up: the rule is not whole again before that
 *    much time has passed.
 * 3. A rule that can't be charged acts as if it were passed.
 * 4. Nothing is allocated, and nothing is asked of the counters while nothing is found. */

#include "core/event.h"
#include "engine/limit/limit.h"
#include "room/data/gate/data_gate.h"

/* Whose values they are. */
typedef struct dv_volume_caller {
    const dv_principal *principal; /* NULL: nobody was authenticated: the address counts */
    dv_slice address;
    dv_slice route; /* its name */
} dv_volume_caller;

/* What became of one direction of a request; zeroed at first. By rule of the policy. */
typedef struct dv_volume_tally {
    uint32_t charged[DV_DATA_VOLUMES_MAX]; /* values that were counted, or passed over */
    uint32_t over;                         /* a bit each: it was passed */
    uint32_t uncounted;                    /* a bit each: it could not be charged */
    uint32_t due;        /* a bit each: somebody is to be told now; whoever tells clears it */
    uint32_t refused_by; /* 1 + the rule that refuses; 0: none */
    dv_time retry_after; /* until that one would let the body pass; DV_TIME_NEVER */
} dv_volume_tally;

/* Charges what was found since the last call. values: by rule, of the whole body so far. False:
 * a rule refuses, and what was found since then must not leave. */
dv_must bool dv_data_volumes_charge(dv_counters *counters, const dv_data_policy *policy,
                                    const uint32_t values[DV_DATA_VOLUMES_MAX],
                                    const dv_volume_caller *caller, dv_time now,
                                    dv_volume_tally *tally);

/* The rules that were passed, as records tell them; returns how many. Borrows from the policy. */
size_t dv_data_volumes_over(const dv_data_policy *policy,
                            const uint32_t values[DV_DATA_VOLUMES_MAX],
                            const dv_volume_tally *tally,
                            dv_event_volume out[DV_EVENT_VOLUMES_MAX]);

/* What a caller is told of a refusal: which rule, and what to do. */
void dv_data_volumes_refusal(const dv_data_policy *policy, const dv_volume_tally *tally,
                             char out[DV_VERDICT_DETAIL_MAX]);

/* The next rule about which somebody is to be told, taken off tally->due; false: none is left. */
enum { DV_VOLUME_TITLE_MAX = 256 };
bool dv_data_volumes_due(const dv_data_policy *policy, const dv_volume_caller *caller,
                         dv_volume_tally *tally, char title[DV_VOLUME_TITLE_MAX]);
