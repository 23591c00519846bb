/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tables in which nobody stands out: records are grouped by what others may know of a person (the
 * quasi-identifiers), and each group of k at least tells only what its records have in common.
 * Mondrian (LeFevre, DeWitt, Ramakrishnan 2006): the table is cut, along the column that tells
 * most, as long as each part still
 *   - has k records (k-anonymity, Samarati and Sweeney 1998),
 *   - is l-diverse in each sensitive column (Machanavajjhala 2006; distinct, entropy, recursive),
 *   - spreads each sensitive column as the whole table does, within t (t-closeness, Li 2007).
 * A column with a hierarchy is cut into what stands one level lower, any other in halves. Records
 * that would keep others from being told exactly may be left out, up to a share.
 * The whole table lies in memory. */

#include "engine/detect/action/transform.h"
#include "engine/detect/anonymize/hierarchy.h"
#include "engine/detect/anonymize/spread.h"

enum {
    DV_ANONYMIZE_RECORDS_MAX = 1000000,
    DV_ANONYMIZE_MEMORY_MAX = 1 << 30,
    DV_ANONYMIZE_COLUMNS_MAX = 32, /* quasi-identifiers, and sensitive ones */
};

typedef struct dv_anonymize_rules {
    uint32_t k; /* 2 at least */
    dv_spread_demand spread;
    double suppress; /* the share of records that may be left out: 0 to 0.5 */
    const char *quasi[DV_ANONYMIZE_COLUMNS_MAX];
    dv_hierarchy hierarchies[DV_ANONYMIZE_COLUMNS_MAX]; /* of quasi, by place */
    size_t quasi_count;
    const char *sensitive[DV_ANONYMIZE_COLUMNS_MAX];
    bool ordered[DV_ANONYMIZE_COLUMNS_MAX]; /* numbers: t minds how far they are apart */
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
    uint64_t records;    /* that were given */
    uint64_t suppressed; /* of them left out */
    dv_anonymize_risk before, after;
    double loss;                             /* of what the quasi-identifiers told: 0 none, 1 all */
    double losses[DV_ANONYMIZE_COLUMNS_MAX]; /* of each */
    char separator;                          /* of the cells, as they were given and are written */
} dv_anonymize_report;

/* Hierarchies with a file are left for the caller to read (dv_hierarchy_read_csv). What is made
 * lies in the arena and borrows the tree's texts. Errors: DV_ERR_INVALID with the line. */
dv_must dv_result dv_anonymize_rules_read(const dv_yaml *root, dv_arena *arena,
                                          dv_anonymize_rules *ret_rules, dv_error *error);

/* CSV with a head. Errors: DV_ERR_INVALID (CSV, a column that is not there, a value that its
 * hierarchy does not have), DV_ERR_CONFLICT (the table as a whole has not k records or l values),
 * DV_ERR_TOO_LARGE, the source's and sink's. */
dv_must dv_result dv_anonymize_csv(const dv_anonymize_rules *rules, const dv_walk_source *source,
                                   const dv_transform_sink *sink, dv_anonymize_report *ret_report,
                                   dv_error *error);
