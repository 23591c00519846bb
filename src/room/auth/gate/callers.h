/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "room/auth/gate/auth_gate.h"

/* Private: callers that were authenticated lately, so that a key in steady use costs one short
 * hash instead of an HMAC, two look-ups and a decision.
 *
 * Invariants
 * 1. A caller is found by 128 bits of SipHash under this process's random key over the whole
 *    credential that was presented, compared in constant time; the credential itself is not kept.
 * 2. What is found belongs to the snapshot's generation that is read: any change to any key,
 *    principal or policy makes all of it unknown.
 * 3. Only decisions to allow are kept, and only those that no policy's condition took part in.
 * 4. What a request was given stays as it is until the request ends. */

enum {
    DV_CALLER_SETS = 128,
    DV_CALLER_WAYS = 4,
    DV_CALLER_DECISIONS = 4, /* kept of each */
};

typedef struct dv_caller dv_caller;
typedef struct dv_callers dv_callers;

dv_must dv_result dv_callers_new(dv_callers **ret_callers);
void dv_callers_free(dv_callers *callers);

/* Memory for a new caller's identity; NULL when memory is out. The caller is known by nobody yet.
 */
dv_caller *dv_caller_new(void);
dv_arena *dv_caller_arena(dv_caller *caller);
void dv_caller_unref(dv_caller *caller);

/* Fills *ret_identity, which lives as long as the arena. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_caller_lend(dv_caller *caller, dv_arena *arena, dv_identity *ret_identity);

/* Notes a use; true when it is the first within a second. */
bool dv_caller_use(dv_caller *caller, dv_time now);

/* The caller that presented this before, at this generation; NULL: none. */
dv_caller *dv_callers_find(dv_callers *callers, dv_slice presented, uint64_t generation,
                           dv_time now);
/* Keeps a caller, in place of another one. until: how long the credential is good as presented. */
void dv_callers_add(dv_callers *callers, dv_caller *caller, const dv_identity *identity,
                    dv_slice presented, uint64_t generation, dv_time until);

/* Allows what was permitted before, by the policies that permitted it; false: that is not known. */
bool dv_caller_permit(const dv_caller *caller, uint64_t generation, const dv_auth_request *request,
                      dv_verdict *verdict);
/* Keeps what the verdict allows, if there is room. */
void dv_caller_permit_add(dv_caller *caller, uint64_t generation, const dv_auth_request *request,
                          const dv_verdict *verdict);
