/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to the checks: the digits of a candidate, and the sums that numbers carry. */

#include "engine/detect/detect_rules.h"

enum { DV_DIGITS_MAX = 40 };

/* A candidate's digits (or letters and digits, in capitals), and where each stands. */
typedef struct dv_digits {
    char text[DV_DIGITS_MAX + 1];
    uint32_t end[DV_DIGITS_MAX]; /* offset after the digit */
    size_t count;
    size_t shortest_group; /* of digits between separators */
} dv_digits;

void dv_digits_collect(const dv_detect_candidate *candidate, bool letters, dv_digits *ret_digits);

/* ISO/IEC 7812-1 annex B, over digits with the check digit at their end. */
bool dv_digits_luhn(const char *text, size_t count);
/* J. Verhoeff's check, the same way. */
bool dv_digits_verhoeff(const char *text, size_t count);
bool dv_digits_all_same(const dv_digits *digits, size_t count);
