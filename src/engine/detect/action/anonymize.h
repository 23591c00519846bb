/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tables in which nobody stands out: records are grouped by what others may know of a person (the
 * quasi-identifiers), and each group of k at least tells only what its records have in common.
 * Mondrian (LeFevre, DeWitt, Ramakrishnan 2006): the table is cut in halves, along the column that
 * tells most, as long as both halves still
 *   - have k records (k-anonymity, Samarati and Sweeney 1998),
 *   - have l different values of each sensitive column (distinct l-diversity, Machanavajjhala
 * 2006),
 *   - spread each sensitive column as the whole table does, within t (t-closeness, Li 2007, with
 * the distance of equal costs: half the sum of the differences). No record is left out. The whole
 * table lies in memory. */

#include "base/yaml.h"
#include "engine/detect/action/transform.h"

enum {
    DV_ANONYMIZE_RECORDS_MAX = 1000000,
    DV_ANONYMIZE_MEMORY_MAX = 1 << 30,
    DV_ANONYMIZE_COLUMNS_MAX = 32, /* quasi-identifiers, and sensitive ones */
};

typedef struct dv_anonymize_rules {
    uint32_t k; /* 2 at least */
    uint32_t l; /* 1: not asked for */
    double t;   /* 1: not asked for */
    const char *quasi[DV_ANONYMIZE_COLUMNS_MAX];
    size_t quasi_count;
    const char *sensitive[DV_ANONYMIZE_COLUMNS_MAX];
    size_t sensitive_count;
    const char *remove[DV_ANONYMIZE_COLUMNS_MAX]; /* columns that name people */
    size_t remove_count;
} dv_anonymize_rules;

/* How likely one of the table's people is found in it by who knows the quasi-identifiers. */
typedef struct dv_anonymize_risk {
    uint64_t groups;   /* of records that look alike */
    uint64_t smallest; /* records */
    uint64_t unique;   /* records that are alone in theirs */
    double highest;    /* 1 / smallest */
    double average;    /* groups / records */
} dv_anonymize_risk;

typedef struct dv_anonymize_report {
    uint64_t records;
    dv_anonymize_risk before, after;
    double loss; /* of what the quasi-identifiers told: 0 none, 1 all */
} dv_anonymize_report;

/* Errors: DV_ERR_INVALID with the line. */
dv_must dv_result dv_anonymize_rules_read(const dv_yaml *root, dv_anonymize_rules *ret_rules,
                                          dv_error *error);

/* CSV with a head. Errors: DV_ERR_INVALID (CSV, a column that is not there), DV_ERR_CONFLICT (the
 * table as a whole has not k records or l values), DV_ERR_TOO_LARGE, the source's and sink's. */
dv_must dv_result dv_anonymize_csv(const dv_anonymize_rules *rules, const dv_walk_source *source,
                                   const dv_transform_sink *sink, dv_anonymize_report *ret_report,
                                   dv_error *error);
