/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/gate/callers.h"

#include "crypto/random.h"
#include "crypto/short_hash.h"
#include "room/auth/gate/record.h"

enum { CALLER_ARENA = 4 * DV_RECORD_MAX };

typedef struct permit {
    dv_slice action;
    dv_slice resource;
    char policy[DV_VERDICT_POLICY_MAX];
    dv_slice others; /* as in a verdict */
    uint16_t unnamed;
} permit;

struct dv_caller {
    unsigned references;
    uint8_t tag[DV_SHORT_HASH_LEN];
    uint64_t generation;
    dv_time until;
    dv_time used;
    dv_arena *arena; /* holds the identity and the permits' texts */
    dv_identity identity;
    permit permits[DV_CALLER_DECISIONS];
    size_t permit_count;
};

struct dv_callers {
    uint8_t key[DV_SHORT_HASH_KEY_LEN];
    dv_caller *sets[DV_CALLER_SETS][DV_CALLER_WAYS];
    uint8_t next[DV_CALLER_SETS]; /* the way whose caller makes room */
};

dv_result dv_callers_new(dv_callers **ret_callers)
{
    dv_callers *callers = calloc(1, sizeof(*callers));
    if (callers == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_random(callers->key, sizeof(callers->key));
    *ret_callers = callers;
    return DV_OK;
}

void dv_callers_free(dv_callers *callers)
{
    if (callers == NULL) {
        return;
    }
    for (size_t i = 0; i < DV_CALLER_SETS; i++) {
        for (size_t way = 0; way < DV_CALLER_WAYS; way++) {
            dv_caller_unref(callers->sets[i][way]);
        }
    }
    dv_wipe(callers, sizeof(*callers));
    free(callers);
}

dv_caller *dv_caller_new(void)
{
    dv_caller *caller = calloc(1, sizeof(*caller));
    if (caller == NULL) {
        return NULL;
    }
    caller->references = 1;
    caller->arena = dv_arena_new(CALLER_ARENA);
    if (caller->arena == NULL) {
        free(caller);
        return NULL;
    }
    return caller;
}

dv_arena *dv_caller_arena(dv_caller *caller)
{
    return caller->arena;
}

void dv_caller_unref(dv_caller *caller)
{
    if (caller != NULL && --caller->references == 0) {
        dv_arena_free(caller->arena);
        free(caller);
    }
}

static void unref(void *data)
{
    dv_caller_unref(data);
}

dv_result dv_caller_lend(dv_caller *caller, dv_arena *arena, dv_identity *ret_identity)
{
    DV_TRY(dv_arena_on_free(arena, unref, caller));
    caller->references++;
    *ret_identity = caller->identity;
    return DV_OK;
}

bool dv_caller_use(dv_caller *caller, dv_time now)
{
    bool first = now - caller->used >= DV_SECOND || now < caller->used;
    if (first) {
        caller->used = now;
    }
    return first;
}

static size_t set_of(const uint8_t tag[DV_SHORT_HASH_LEN])
{
    return tag[0] % DV_CALLER_SETS;
}

dv_caller *dv_callers_find(dv_callers *callers, dv_slice presented, uint64_t generation,
                           dv_time now)
{
    uint8_t tag[DV_SHORT_HASH_LEN];
    dv_caller *found = NULL;
    dv_short_hash(callers->key, presented, tag);
    for (size_t way = 0; way < DV_CALLER_WAYS; way++) {
        dv_caller *caller = callers->sets[set_of(tag)][way];
        if (caller != NULL && caller->generation == generation && now < caller->until &&
            dv_equal_constant_time(dv_slice_of(caller->tag, sizeof(tag)),
                                   dv_slice_of(tag, sizeof(tag)))) {
            found = caller;
        }
    }
    return found;
}

/* A place that is free or out of date, otherwise the next one in turn. */
static dv_caller **place_for(dv_callers *callers, size_t set, uint64_t generation)
{
    for (size_t way = 0; way < DV_CALLER_WAYS; way++) {
        dv_caller *there = callers->sets[set][way];
        if (there == NULL || there->generation != generation) {
            return &callers->sets[set][way];
        }
    }
    return &callers->sets[set][callers->next[set]++ % DV_CALLER_WAYS];
}

void dv_callers_add(dv_callers *callers, dv_caller *caller, const dv_identity *identity,
                    dv_slice presented, uint64_t generation, dv_time until)
{
    caller->identity = *identity;
    caller->identity.caller = caller;
    caller->generation = generation;
    caller->until = until;
    dv_short_hash(callers->key, presented, caller->tag);
    dv_caller **place = place_for(callers, set_of(caller->tag), generation);
    dv_caller_unref(*place);
    caller->references++;
    *place = caller;
}

/* The caller, who is lent to the request, outlives the verdict. */
static void allow_again(const permit *known, dv_verdict *verdict)
{
    dv_verdict_allow(verdict, known->policy);
    verdict->others = known->others;
    verdict->unnamed = known->unnamed;
}

bool dv_caller_permit(const dv_caller *caller, uint64_t generation, const dv_auth_request *request,
                      dv_verdict *verdict)
{
    if (caller->generation != generation) {
        return false;
    }
    for (size_t i = 0; i < caller->permit_count; i++) {
        const permit *known = &caller->permits[i];
        if (dv_slice_eq(known->resource, request->resource) &&
            dv_slice_eq(known->action, request->action)) {
            allow_again(known, verdict);
            return true;
        }
    }
    return false;
}

void dv_caller_permit_add(dv_caller *caller, uint64_t generation, const dv_auth_request *request,
                          const dv_verdict *verdict)
{
    permit added = {.unnamed = verdict->unnamed};
    if (caller->generation != generation || caller->permit_count == DV_CALLER_DECISIONS ||
        dv_arena_copy(caller->arena, request->action, &added.action) != DV_OK ||
        dv_arena_copy(caller->arena, request->resource, &added.resource) != DV_OK ||
        (verdict->others.len > 0 &&
         dv_arena_copy(caller->arena, verdict->others, &added.others) != DV_OK)) {
        return;
    }
    dv_slice_copy(dv_slice_str(verdict->policy), added.policy, sizeof(added.policy));
    caller->permits[caller->permit_count++] = added;
}
