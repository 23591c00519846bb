/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as policies against a schema. Validation's promise (specs: validation, "Benefits of
 * validation and schemas"): what passes does not err with a request and entities that keep to the
 * schema, but for overflow and for entities that are not there. */
#include "engine/cedar/entities.h"
#include "engine/cedar/validate.h"

static const char schema_text[] =
    "entity U in [G] { n: String, a: Long, o?: U, s: Set<String>, r: {x?: Long, y: Bool}, i: "
    "ipaddr, "
    "t: datetime } tags Long; entity G { o: U }; action b; action a in [b] appliesTo "
    "{principal: U, resource: [U, G], context: {m: Bool, w?: decimal}};";

static const char entities_text[] =
    "[{\"uid\": {\"type\": \"U\", \"id\": \"a\"}, \"attrs\": {\"n\": \"a\", \"a\": 1, \"s\": "
    "[\"x\"], "
    "\"r\": {\"y\": true}, \"i\": \"10.0.0.1\", \"t\": \"2024-01-01\"}, \"tags\": {\"k\": 2}, "
    "\"parents\": [{\"type\": \"G\", \"id\": \"g\"}]}, {\"uid\": {\"type\": \"G\", \"id\": \"g\"}, "
    "\"attrs\": {\"o\": {\"type\": \"U\", \"id\": \"a\"}}, \"parents\": []}]";

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* Entities that are written may be missing, and what is counted may overflow. */
static bool may_err(dv_slice text)
{
    static const char *const signs[] = {"::", "+", "-", "*", "offset", "durationSince", "toDate"};

    for (size_t i = 0; i < DV_ARRAY_LEN(signs); i++) {
        if (dv_slice_find(text, dv_slice_str(signs[i])) >= 0) {
            return true;
        }
    }
    return false;
}

static void check_promise(const dv_cedar_policy_set *set, const dv_cedar_schema *schema,
                          const char *resource, dv_arena *arena)
{
    const dv_cedar_entities *entities = NULL;
    dv_cedar_request request = {DV_LIT("U::\"a\""), DV_LIT("Action::\"a\""), dv_slice_str(resource),
                                NULL};
    dv_cedar_answer answer;
    dv_cedar_value context;

    require(dv_cedar_entities_parse(dv_slice_str(entities_text), schema, arena, &entities, NULL) ==
            DV_OK);
    require(dv_cedar_context_parse(DV_LIT("{\"m\": true}"), schema, request.action, arena, &context,
                                   NULL) == DV_OK);
    request.context = &context;
    require(dv_cedar_schema_check_request(schema, &request, NULL) == DV_OK);
    if (dv_cedar_decide(set, &request, dv_cedar_entities_lookup, (void *)entities, arena,
                        &answer) == DV_OK) {
        require(answer.error_count == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new((size_t)256 << 20);
    dv_auto(cedar_schema) dv_cedar_schema *schema = NULL;
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_slice text = dv_slice_of(data, size);
    dv_cedar_report report = {0};

    require(arena != NULL);
    require(dv_cedar_schema_parse(dv_slice_str(schema_text), &schema, NULL) == DV_OK);
    if (dv_cedar_parse(text, &set, NULL) != DV_OK) {
        return 0;
    }
    dv_result result = dv_cedar_validate(set, schema, arena, &report);
    require(result != DV_ERR_INTERNAL);
    for (size_t i = 0; result == DV_OK && i < report.count; i++) {
        require(report.problems[i].line > 0 && report.problems[i].message.len > 0);
    }
    if (result == DV_OK && report.error_count == 0 && !may_err(text)) {
        check_promise(set, schema, "U::\"a\"", arena);
        check_promise(set, schema, "G::\"g\"", arena);
    }
    return 0;
}
