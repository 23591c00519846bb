/* SPDX-License-Identifier: Apache-2.0 */
/* Reads texts, each a JSON string on a line; answers each with a line of what was found in it:
 * "detector:start:end ..." in bytes, or "-". */
#include "base/json.h"
#include "engine/detect/detect.h"

enum { LINE_MAX_LEN = 1 << 20 };

static dv_result find(const dv_detect_rules *rules, dv_detect_scratch *scratch, dv_slice line,
                      dv_arena *arena, const dv_finding **ret_found, size_t *ret_count)
{
    const dv_json_limits limits = {.depth = 1, .tokens = 1};
    dv_json json;
    dv_slice text;
    DV_TRY(dv_json_scan(line, &limits, arena, &json, NULL));
    DV_TRY(dv_json_string(&json, 0, arena, &text));
    return dv_detect_scan(rules, scratch, text, 0, dv_detect_standard(), arena, ret_found,
                          ret_count);
}

static void answer(const dv_detect_rules *rules, dv_detect_scratch *scratch, dv_slice line)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(16 << 20);
    const dv_finding *found = NULL;
    size_t count = 0;
    dv_result result =
        arena == NULL ? DV_ERR_NO_MEMORY : find(rules, scratch, line, arena, &found, &count);
    if (result != DV_OK) {
        printf("failed: %s\n", dv_result_name(result));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        printf("%s%s:%u:%u", i == 0 ? "" : " ", found[i].detector, found[i].start, found[i].end);
    }
    puts(count == 0 ? "-" : "");
}

int main(void)
{
    static char line[LINE_MAX_LEN];
    dv_error error = {0};
    dv_auto(detect_rules) dv_detect_rules *rules = NULL;
    dv_auto(detect_scratch) dv_detect_scratch *scratch = NULL;
    if (dv_detect_rules_builtin(&rules, &error) != DV_OK ||
        dv_detect_scratch_new(rules, &scratch) != DV_OK) {
        fprintf(stderr, "detect_check: %s\n", error.message);
        return 1;
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        answer(rules, scratch, dv_slice_trim(dv_slice_str(line)));
    }
    return 0;
}
