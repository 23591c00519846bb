/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the file of a hierarchy: what is accepted is a tree whose values are found. */
#include "engine/detect/anonymize/hierarchy.h"

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    dv_slice levels[DV_HIERARCHY_LEVELS_MAX];
    dv_hierarchy h = {.kind = DV_HIERARCHY_ROWS};
    dv_error error = {0};
    if (arena == NULL) {
        return 0;
    }
    dv_result result = dv_hierarchy_read_csv(dv_slice_of(data, size), arena, &h, &error);
    require(result == DV_OK || result == DV_ERR_NO_MEMORY || error.message[0] != '\0');
    for (size_t i = 0; result == DV_OK && i < h.count; i++) {
        const dv_slice *row = &h.rows[i * (h.levels + 1)];
        require(dv_hierarchy_path(&h, row[0], arena, levels) == DV_OK);
        for (size_t k = 0; k < h.levels; k++) {
            require(dv_slice_eq(levels[k], row[k + 1]));
        }
    }
    for (dv_hierarchy_kind kind = DV_HIERARCHY_DATES; kind <= DV_HIERARCHY_INTERVALS; kind++) {
        dv_hierarchy built_in = {
            .kind = kind,
            .levels = 9,
            .widths = {1, 10, 100, 1000, 10000, 100000, 200000, 400000, 800000}};
        require(dv_hierarchy_path(&built_in, dv_slice_of(data, size), arena, levels) == DV_OK);
    }
    return 0;
}
