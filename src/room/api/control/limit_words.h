/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One limit as people say it, in dvara.yaml and on the command line:
 *   {count: 600, per: 1m, burst: 100}   {tokens: 90000, per: 1m}   {tokens: 1000000, per: day}
 *   {cost: 25.50, per: month}           {concurrent: 8} */

#include "room/api/gate/api_config.h"

typedef struct dv_limit_words {
    int64_t count; /* -1: not said; 0 lifts */
    int64_t tokens;
    int64_t concurrent;
    int64_t burst;
    const char *cost; /* decimal; NULL: not said */
    const char *per;  /* a duration, "day" or "month"; NULL: not said */
} dv_limit_words;

#define DV_LIMIT_WORDS_NONE ((dv_limit_words){-1, -1, -1, -1, NULL, NULL})

/* ret_field: the word that is wrong. Errors: DV_ERR_INVALID with a sentence. */
dv_must dv_result dv_limit_words_read(const dv_limit_words *words, dv_api_limit *ret_limit,
                                      const char **ret_field, dv_error *error);

/* "12.5" as millionths. Errors: DV_ERR_INVALID: no decimal of up to six places, or over max. */
dv_must dv_result dv_decimal_millionths(const char *text, uint64_t max, uint64_t *ret_value);

/* The other way round: "12.5", without trailing zeros. */
enum { DV_DECIMAL_TEXT_MAX = 32 };
void dv_decimal_text(uint64_t millionths, char out[DV_DECIMAL_TEXT_MAX]);
