/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caps.h"
#include "base/multipart.h"
#include "room/data/gate/data_gate.h"

#include <stdlib.h>

/* Any bytes as a form with the boundary "b", and as a file that is an answer. What passes has the
 * same parts by the same names, and the values that a text holds in clear are in none of them. */

static dv_data_gate *gate;
static dv_data_policy *masks;
static dv_data_policy *pseudonyms;

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void set_up(void)
{
    static const uint8_t key[32] = {7};
    if (gate != NULL) {
        return;
    }
    require(dv_data_gate_new(key, NULL, &gate, NULL) == DV_OK);
    require(dv_data_gate_set_key(gate, key) == DV_OK);
    require(dv_data_policy_parse(gate, DV_LIT("{\"default\":\"mask\",\"decode\":true}"), &masks,
                                 NULL) == DV_OK);
    require(dv_data_policy_parse(gate, DV_LIT("{\"default\":\"pseudonym\"}"), &pseudonyms, NULL) ==
            DV_OK);
}

static void check_parts(dv_slice before, dv_slice after)
{
    dv_multipart_part was[DV_MULTIPART_PARTS_MAX];
    dv_multipart_part is[DV_MULTIPART_PARTS_MAX];
    size_t count = 0;
    size_t left = 0;
    require(dv_multipart_parse(before, DV_LIT("b"), was, &count, NULL) == DV_OK);
    require(dv_multipart_parse(after, DV_LIT("b"), is, &left, NULL) == DV_OK && left == count);
    for (size_t i = 0; i < count; i++) {
        require(dv_slice_eq(was[i].name, is[i].name) && dv_slice_eq(was[i].type, is[i].type));
        require((was[i].filename.ptr == NULL) == (is[i].filename.ptr == NULL));
    }
}

static void inspect(dv_slice bytes, const dv_data_policy *policy, bool form)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    dv_data_context *context = NULL;
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {0};
    dv_verdict_allow(&verdict, "fuzz");
    require(dv_data_context_new(gate, DV_LIT("User::\"f\""), arena, &context) == DV_OK);
    dv_result result =
        form ? dv_data_gate_form(gate, policy, context, bytes, DV_LIT("b"), arena, &outcome,
                                 &verdict)
             : dv_data_gate_file(gate, policy, context, bytes, arena, &outcome, &verdict);
    if (result != DV_OK || verdict.decision != DV_ALLOW) {
        require(verdict.decision == DV_DENY);
        return;
    }
    require(outcome.changed || dv_slice_eq(outcome.body, bytes));
    if (form) {
        check_parts(bytes, outcome.body);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    set_up();
    dv_slice bytes = dv_slice_of(data, size);
    if (size == 0 || size > 1 << 18) {
        return 0;
    }
    inspect(bytes, masks, true);
    inspect(bytes, pseudonyms, true);
    inspect(bytes, masks, false);
    return 0;
}
