/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Made-up values that exist nowhere else: who meets one met the data that it was put among. */

#include "base/result.h"

enum { DV_CANARY_MAX = 96 };

typedef enum dv_canary_kind {
    DV_CANARY_EMAIL,  /* at example.com (RFC 2606), so that no mail goes anywhere */
    DV_CANARY_KEY,    /* 40 letters and digits behind a prefix that nobody gives out */
    DV_CANARY_NUMBER, /* 18 digits whose check digit (Luhn) is wrong: of no card */
    DV_CANARY_TEXT,   /* six words in no order that anybody writes */
} dv_canary_kind;

/* 58 random bits at least. */
void dv_canary_make(dv_canary_kind kind, char out[DV_CANARY_MAX]);
