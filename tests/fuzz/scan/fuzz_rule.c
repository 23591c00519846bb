/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/scan/classify.h"

/* Rules of classification: any text is refused, or gives rules that label without harm. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static dv_data_rules rules;
    dv_arena *arena = dv_arena_new(16 << 20);
    dv_error error = {0};
    rules.count = 0;
    if (dv_data_rules_add(&rules, dv_slice_of(data, size), arena, &error) == DV_OK) {
        dv_data_tally tally = {.kind = 0, .score = 90, .score_sum = 90, .values = 1, .cells = 1};
        const dv_data_part part = {.name = "x",
                                   .words = "card number",
                                   .column = true,
                                   .cells = 3,
                                   .tallies = &tally,
                                   .count = 1};
        const dv_data_part *parts = &part;
        dv_data_class class;
        if (dv_data_classify(&rules, &parts, 1, 1, arena, &class) == DV_OK &&
            (class.count > rules.count || class.confidence > 99)) {
            abort();
        }
    } else if (error.message[0] == '\0' && error.result != DV_ERR_NO_MEMORY) {
        abort(); /* refused without a word */
    }
    dv_arena_free(arena);
    return 0;
}
