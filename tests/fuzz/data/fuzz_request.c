/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caps.h"
#include "room/data/gate/data_gate.h"

/* Masking any JSON body: the output is valid JSON again, nothing is found in it a second time that
 * would be masked, and what was changed comes back when the answer repeats it. */

static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH, .tokens = 100000};

static dv_data_gate *gate;
static dv_data_policy *placeholders;
static dv_data_policy *masks;
static dv_data_policy *pseudonyms;
static dv_data_policy *sealed; /* tokens */

static void set_up(void)
{
    static const uint8_t key[32] = {7};
    if (gate == NULL &&
        (dv_data_gate_new(key, NULL, &gate, NULL) != DV_OK ||
         dv_data_policy_parse(gate, DV_LIT("{\"default\":\"placeholder\"}"), &placeholders, NULL) !=
             DV_OK ||
         dv_data_policy_parse(gate, DV_LIT("{\"default\":\"mask\"}"), &masks, NULL) != DV_OK ||
         dv_data_gate_set_key(gate, key) != DV_OK ||
         dv_data_policy_parse(gate, DV_LIT("{\"default\":\"pseudonym\"}"), &pseudonyms, NULL) !=
             DV_OK ||
         dv_data_policy_parse(gate, DV_LIT("{\"default\":\"token\"}"), &sealed, NULL) != DV_OK)) {
        abort();
    }
}

/* The bytes that both texts begin with are the same up to the first change, and after the last. */
static void check_same_structure(const dv_json *before, const dv_json *after)
{
    if (before->count != after->count) {
        abort();
    }
    for (uint32_t i = 0; i < before->count; i++) {
        bool number = before->tokens[i].type == DV_JSON_NUMBER; /* it may become a string */
        if (before->tokens[i].depth != after->tokens[i].depth ||
            (before->tokens[i].type != after->tokens[i].type && !number)) {
            abort();
        }
    }
}

static void inspect(const dv_json *json, const dv_data_policy *policy, dv_data_context *context,
                    bool answer, dv_arena *arena, dv_data_outcome *outcome, dv_verdict *verdict)
{
    dv_json again;
    dv_verdict_allow(verdict, "fuzz");
    if ((answer ? dv_data_gate_answer : dv_data_gate_request)(gate, policy, context, json, arena,
                                                              outcome, verdict) != DV_OK) {
        abort();
    }
    if (!outcome->changed && !dv_slice_eq(outcome->body, json->text)) {
        abort();
    }
    if (dv_json_scan(outcome->body, &limits, arena, &again, NULL) != DV_OK) {
        abort();
    }
    check_same_structure(json, &again);
}

/* By the first policy, and what came of it by the second. */
static void there_and_back(const dv_json *json, const dv_data_policy *asks,
                           const dv_data_policy *answers, dv_arena *arena)
{
    dv_json rewritten;
    dv_data_context *context = NULL;
    dv_data_outcome asked = {0};
    dv_data_outcome told = {0};
    dv_verdict verdict = {0};
    if (dv_data_context_new(gate, DV_LIT("User::\"f\""), arena, &context) != DV_OK) {
        abort();
    }
    inspect(json, asks, context, false, arena, &asked, &verdict);
    if (verdict.decision == DV_DENY) {
        return;
    }
    if (dv_json_scan(asked.body, &limits, arena, &rewritten, NULL) != DV_OK) {
        abort();
    }
    inspect(&rewritten, answers, context, true, arena, &told, &verdict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    set_up();
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    dv_json json;
    if (dv_json_scan(dv_slice_of(data, size), &limits, arena, &json, NULL) != DV_OK) {
        return 0;
    }
    there_and_back(&json, placeholders, masks, arena);
    there_and_back(&json, pseudonyms, pseudonyms, arena);
    there_and_back(&json, sealed, sealed, arena);
    return 0;
}
