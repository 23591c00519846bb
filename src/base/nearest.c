/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nearest.h"

enum { WORD_MAX = 64, EDITS_MAX = 3 };
static size_t min3(size_t a, size_t b, size_t c)
{
    return DV_MIN(DV_MIN(a, b), c);
}

/* Levenshtein's distance: insertions, deletions and replacements of bytes. */
static size_t distance(const char *a, const char *b)
{
    size_t len_a = strlen(a), len_b = strlen(b);
    size_t row[WORD_MAX + 1];
    if (len_a > WORD_MAX || len_b > WORD_MAX) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= len_b; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= len_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len_b; j++) {
            size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = min3(row[j] + 1, row[j - 1] + 1, replaced);
        }
    }
    return row[len_b];
}

const char *dv_nearest(const char *text, size_t count,
                       const char *(*name)(const void *data, size_t index), const void *data)
{
    const char *best = NULL;
    size_t best_distance = EDITS_MAX + 1;
    for (size_t i = 0; i < count; i++) {
        const char *candidate = name(data, i);
        size_t edits = distance(text, candidate);
        if (edits < best_distance && edits < strlen(candidate)) {
            best = candidate;
            best_distance = edits;
        }
    }
    return best;
}
