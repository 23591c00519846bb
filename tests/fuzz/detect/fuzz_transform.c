/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as text, CSV, lines of JSON or a dump, as the first byte says, under rules that name
 * some columns. What comes out does not depend on the pieces in which the input came. */
#include "../pieces.h"

#include "engine/detect/action/transform.h"

static dv_detect_rules *detectors;
static dv_detect_scratch *scratch;

static dv_result put(void *data, dv_slice bytes)
{
    return dv_buf_append(data, bytes);
}

static dv_result transform(dv_transform_run run, dv_slice input, size_t piece, dv_buf *out)
{
    static const uint8_t key[32] = {5};
    static const char yaml[] =
        "columns: {a: {action: pseudonym, optional: true}, b: {action: remove, optional: true}, "
        "t.c: {action: fpe, optional: true}, d: {action: date_shift, optional: true}}";
    text_source from = {input, piece};
    const dv_walk_source source = {get_piece, &from};
    const dv_transform_sink sink = {put, out};
    const dv_action fallback = {.kind = DV_ACT_REDACT};
    dv_transform_counts counts;
    dv_error error = {0};
    const dv_yaml *root = NULL;
    dv_action_rules *rules = NULL;
    dv_auto(action_tools) dv_action_tools *tools = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    require(dv_yaml_parse(dv_slice_str(yaml), arena, &root, &error) == DV_OK);
    require(dv_action_rules_read(root, &fallback, arena, &rules, &error) == DV_OK);
    require(dv_action_tools_new(key, NULL, &tools) == DV_OK);
    dv_transform_setup setup = {.rules = rules, .tools = tools, .table = DV_LIT("t")};
    setup.walk.rules = detectors;
    setup.walk.scratch = scratch;
    dv_action_rules_enable(rules, false, &setup.walk.enabled);
    dv_result result = run(&setup, &source, &sink, &counts, &error);
    require(result == DV_OK || error.message[0] != '\0');
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const dv_transform_run runs[] = {dv_transform_text, dv_transform_csv, dv_transform_json,
                                            dv_transform_sql};
    if (detectors == NULL) {
        require(dv_detect_rules_builtin(&detectors, NULL) == DV_OK);
        require(dv_detect_scratch_new(detectors, &scratch) == DV_OK);
    }
    if (size < 2) {
        return 0;
    }
    dv_transform_run run = runs[data[0] % DV_ARRAY_LEN(runs)];
    dv_slice input = dv_slice_of(data + 2, size - 2);
    dv_auto(buf) dv_buf out = dv_buf_init(64 << 20);
    dv_auto(buf) dv_buf whole = dv_buf_init(64 << 20);
    dv_result result = transform(run, input, (size_t)data[1] + 1, &out);
    require(transform(run, input, SIZE_MAX, &whole) == result);
    if (result == DV_OK) {
        require(dv_slice_eq(dv_buf_slice(&out), dv_buf_slice(&whole)));
    }
    return 0;
}
