/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How likely people are known again in a table, as it lies there: which columns, alone and
 * together, tell them apart, and what that gives away. Changes nothing.
 *
 * The risks are those of El Emam (Guide to the De-Identification of Personal Health Information,
 * 2013): a prosecutor knows that his target is in the table; a journalist does not, and the table
 * is taken for a random sample of a population; a marketer wants as many as he can get. */

#include "engine/detect/anonymize/anonymize.h"

enum {
    DV_RISK_TOGETHER_MAX = 4,
    DV_RISK_SETS_MAX = 6000, /* combinations of columns */
};

typedef struct dv_risk_question {
    const char *const *quasi;
    size_t quasi_count; /* 1 to DV_ANONYMIZE_COLUMNS_MAX */
    const char *const *sensitive;
    const bool *ordered; /* of sensitive; NULL: none */
    size_t sensitive_count;
    uint32_t l;          /* of the ratio; 0: 1 */
    double threshold;    /* of a record's risk: 0 to 1 */
    uint64_t population; /* that the table is a sample of; 0: not known */
    char separator;      /* of the cells; 0: seen from the first line */
    uint32_t together;   /* how many columns are looked at together, at most; 0: none */
} dv_risk_question;

/* Columns together. */
typedef struct dv_risk_set {
    uint8_t columns[DV_RISK_TOGETHER_MAX]; /* places in quasi */
    uint8_t count;
    uint64_t distinct;  /* values */
    uint64_t unique;    /* records that are alone with theirs */
    double distinction; /* distinct / records */
    double separation;  /* the share of pairs of records that it tells apart */
} dv_risk_set;

typedef struct dv_risk_answer {
    uint64_t records;
    dv_anonymize_risk risk; /* of a prosecutor */
    double over;            /* the share of records whose risk is above the threshold */
    double journalist_highest, journalist_average; /* 0: the population is not known */
    double marketer;
    dv_spread
        worst[DV_ANONYMIZE_COLUMNS_MAX]; /* of each sensitive column, each in its worst group */
    dv_risk_set *sets;                   /* what tells most apart first; in the arena */
    size_t set_count;
} dv_risk_answer;

/* CSV with a head. Errors: DV_ERR_INVALID (CSV, a column that is not there, a population smaller
 * than the table), DV_ERR_CONFLICT (no records), DV_ERR_TOO_LARGE, the source's. */
dv_must dv_result dv_risk_csv(const dv_risk_question *question, const dv_walk_source *source,
                              dv_arena *arena, dv_risk_answer *ret_answer, dv_error *error);

/* Whether a table is what rules ask for, measured anew: DV_ERR_CONFLICT with what does not hold. */
dv_must dv_result dv_risk_check(const dv_anonymize_rules *rules, const dv_risk_answer *answer,
                                dv_error *error);
