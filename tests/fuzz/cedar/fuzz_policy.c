/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as policy text. What is refused says where; what is accepted decides a request within
 * its limits, the same way twice, and reasons only with policies of the effect that won. */
#include "engine/cedar/entities.h"

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static const char entities_text[] =
    "[{\"uid\":{\"type\":\"U\",\"id\":\"a\"},\"parents\":[{\"type\":\"G\",\"id\":\"g\"}],"
    "\"attrs\":{\"n\":1,\"s\":\"x\",\"r\":{\"n\":[1,2]}},\"tags\":{\"t\":\"v\"}}]";

static dv_result decide(const dv_cedar_policy_set *set, dv_cedar_answer *ret_answer)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    const dv_cedar_entities *entities = NULL;
    dv_cedar_value context;

    require(arena != NULL);
    require(dv_cedar_entities_parse(dv_slice_str(entities_text), NULL, arena, &entities, NULL) ==
            DV_OK);
    require(dv_cedar_record_parse(DV_LIT("{\"n\":2,\"b\":true,\"s\":\"ab\"}"), arena, &context,
                                  NULL) == DV_OK);
    dv_cedar_request request = {DV_LIT("U::\"a\""), DV_LIT("Action::\"a\""), DV_LIT("R::\"r\""),
                                &context};
    dv_result result = dv_cedar_decide(set, &request, dv_cedar_entities_lookup, (void *)entities,
                                       arena, ret_answer);
    require(result == DV_OK || ret_answer->decision == DV_DENY);
    require(result == DV_OK || result == DV_ERR_TOO_LARGE || result == DV_ERR_NO_MEMORY);
    if (result == DV_OK) {
        size_t count = dv_cedar_policy_count(set);
        require(ret_answer->reason_count + ret_answer->error_count <= count);
        require(ret_answer->decision == DV_DENY || ret_answer->reason_count > 0);
    }
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_cedar_answer first, second;
    dv_error error = {0};
    dv_result result = dv_cedar_parse(dv_slice_of(data, size), &set, &error);

    require(result == error.result && (result == DV_OK) == (set != NULL));
    if (result != DV_OK) {
        require(error.message[0] != '\0');
        return 0;
    }
    result = decide(set, &first);
    require(decide(set, &second) == result);
    require(result != DV_OK ||
            (first.decision == second.decision && first.reason_count == second.reason_count &&
             first.error_count == second.error_count));
    return 0;
}
