/* SPDX-License-Identifier: Apache-2.0 */
/* Policies as JSON: one that is read can be used, and counts no more values than it sees. */
#include "core/finding.h"
#include "room/data/gate/data_gate.h"

#include <stdlib.h>

static const char text[] =
    "bob@example.com, 4111 1111 1111 1111, +44 20 7946 0958 and https://example.com/a";

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void use(dv_data_gate *gate, dv_data_policy *policy, dv_arena *arena)
{
    static const dv_slice roles[] = {DV_LIT("Role::\"a\"")};
    const dv_principal who = {.entity = DV_LIT("User::\"ann\""),
                              .name = DV_LIT("ann"),
                              .ancestors = roles,
                              .ancestor_count = 1};
    const dv_data_policy *own = NULL;
    dv_data_context *context = NULL;
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {0};
    require(dv_data_policy_for(policy, &who, DV_LIT("chat"), arena, &own) == DV_OK);
    require(dv_data_context_new(gate, who.entity, arena, &context) == DV_OK);
    dv_verdict_allow(&verdict, "");
    require(dv_data_gate_text(gate, own, context, false, dv_slice_str(text), arena, &outcome,
                              &verdict) == DV_OK);
    for (size_t i = 0; i < DV_DATA_VOLUMES_MAX; i++) {
        require(outcome.values[i] <= outcome.sighting_count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[32] = {7};
    static dv_data_gate *gate;
    dv_error error = {0};
    dv_data_policy *policy = NULL;
    if (gate == NULL) {
        require(dv_data_gate_new(key, NULL, &gate, &error) == DV_OK);
        require(dv_data_gate_set_key(gate, key) == DV_OK);
    }
    if (dv_data_policy_parse(gate, dv_slice_of(data, size), &policy, &error) != DV_OK) {
        return 0;
    }
    dv_auto(arena) dv_arena *arena = dv_arena_new(16 << 20);
    require(arena != NULL);
    use(gate, policy, arena);
    dv_data_policy_free(policy);
    return 0;
}
