/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a schema, in either syntax. What is read can be written in JSON, and in text where
 * text can say it; what is read from that is written alike. Policies can be validated against it.
 */
#include "engine/cedar/entities.h"
#include "engine/cedar/validate.h"

enum { OUT_MAX = 64 << 20 };

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static dv_cedar_schema *read_again(const dv_buf *text)
{
    dv_cedar_schema *schema = NULL;
    dv_result result = dv_cedar_schema_parse(dv_buf_slice(text), &schema, NULL);

    require(result == DV_OK || result == DV_ERR_TOO_LARGE); /* written, it is longer */
    return schema;
}

static void check_json(const dv_cedar_schema *schema)
{
    dv_auto(buf) dv_buf first = dv_buf_init(OUT_MAX), second = dv_buf_init(OUT_MAX);

    require(dv_cedar_schema_write_json(schema, &first) == DV_OK);
    dv_auto(cedar_schema) dv_cedar_schema *again = read_again(&first);
    if (again != NULL) {
        require(dv_cedar_schema_write_json(again, &second) == DV_OK);
        require(dv_slice_eq(dv_buf_slice(&first), dv_buf_slice(&second)));
    }
}

static void check_text(const dv_cedar_schema *schema)
{
    dv_auto(buf) dv_buf first = dv_buf_init(OUT_MAX), second = dv_buf_init(OUT_MAX);
    dv_result result = dv_cedar_schema_write_text(schema, &first);

    require(result == DV_OK || result == DV_ERR_UNSUPPORTED);
    dv_auto(cedar_schema) dv_cedar_schema *again = result == DV_OK ? read_again(&first) : NULL;
    if (again != NULL) {
        require(dv_cedar_schema_write_text(again, &second) == DV_OK);
        require(dv_slice_eq(dv_buf_slice(&first), dv_buf_slice(&second)));
    }
}

static void check_use(const dv_cedar_schema *schema)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new((size_t)64 << 20);
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    const dv_cedar_entities *entities = NULL;
    dv_cedar_report report = {0};

    require(arena != NULL);
    require(dv_cedar_parse(DV_LIT("permit(principal, action, resource) when { principal has a && "
                                  "principal.a == resource && context has b.c };"),
                           &set, NULL) == DV_OK);
    require(dv_cedar_validate(set, schema, arena, &report) != DV_ERR_INTERNAL);
    require(dv_cedar_entities_parse(DV_LIT("[]"), schema, arena, &entities, NULL) == DV_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(cedar_schema) dv_cedar_schema *schema = NULL;
    dv_error error = {0};

    if (dv_cedar_schema_parse(dv_slice_of(data, size), &schema, &error) != DV_OK) {
        require(error.result != DV_OK && error.message[0] != '\0');
        return 0;
    }
    check_json(schema);
    check_text(schema);
    check_use(schema);
    return 0;
}
