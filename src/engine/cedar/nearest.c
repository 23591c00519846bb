/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/nearest.h"

enum { NAME_MAX_BYTES = 64 };

/* Levenshtein's distance, row by row. */
static size_t distance(dv_slice a, dv_slice b)
{
    size_t row[NAME_MAX_BYTES + 1];

    for (size_t k = 0; k <= b.len; k++) {
        row[k] = k;
    }
    for (size_t i = 0; i < a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < b.len; k++) {
            size_t above = row[k + 1];
            size_t replaced = diagonal + (a.ptr[i] != b.ptr[k]);
            row[k + 1] = DV_MIN(replaced, DV_MIN(above, row[k]) + 1);
            diagonal = above;
        }
    }
    return row[b.len];
}

void dv_cedar_nearest_try(dv_cedar_nearest *nearest, dv_slice name)
{
    if (name.len > NAME_MAX_BYTES || nearest->wanted.len > NAME_MAX_BYTES) {
        return;
    }
    size_t d = distance(nearest->wanted, name);
    if (d <= nearest->distance && (nearest->best.len == 0 || d < nearest->distance)) {
        nearest->best = name;
        nearest->distance = d;
    }
}
