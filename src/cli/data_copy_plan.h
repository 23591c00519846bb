/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a copy does to each sensitive column of its source: a scan says which are sensitive, the
 * rules what becomes of them. A sensitive column that no rule hides is refused, unless somebody
 * says that he accepts it. */

#include "engine/detect/action/rules.h"
#include "room/data/scan/classify.h"

#include <jansson.h>

typedef enum dv_copy_state {
    DV_COPY_HIDDEN,   /* by a rule */
    DV_COPY_SEARCHED, /* a rule says detect: what makes it sensitive is found and hidden */
    DV_COPY_ACCEPTED, /* somebody takes it upon himself */
    DV_COPY_OPEN,     /* no rule, or one that keeps it: refused */
    DV_COPY_UNREAD,   /* the table or file could not be read: refused */
} dv_copy_state;

/* One file or table of the source. */
typedef struct dv_copy_item {
    const char *name;
    dv_scan_kind kind;
    bool accepted; /* all of it */
} dv_copy_item;

typedef struct dv_copy_plan dv_copy_plan;

/* What is accepted is neither refused nor a leak; what becomes of it the rules say, as ever. A file
 * that is accepted as a whole goes out as it is. accept: "column", "table.column",
 * "schema.table.column", "schema.table" or a file, with commas between. The rules are borrowed.
 * enabled: what the copy hides where no rule names the column; names: of people, too. Errors: those
 * of the detectors, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_copy_plan_new(dv_action_rules *rules, const char *accept,
                                   const dv_detector_set *enabled, bool names,
                                   dv_copy_plan **ret_plan, dv_error *error);
void dv_copy_plan_free(dv_copy_plan *plan);

/* Scans the source, a folder, a file or a database of which `rows` of each table are read. Errors:
 * those of the scan; DV_ERR_TOO_LARGE (it ended early). */
dv_must dv_result dv_copy_plan_scan(dv_copy_plan *plan, const char *source, uint64_t rows,
                                    dv_error *error);

/* "items" of the columns and what is not read, each with state, rule and a suggestion; "refused":
 * how many. A new reference; NULL: no memory. */
json_t *dv_copy_plan_json(const dv_copy_plan *plan);
size_t dv_copy_plan_refused(const dv_copy_plan *plan);
/* Names that were accepted and are nowhere: a slip of the pen. NULL: none. */
const char *dv_copy_plan_unknown(const dv_copy_plan *plan);

size_t dv_copy_plan_count(const dv_copy_plan *plan);
const dv_copy_item *dv_copy_plan_item(const dv_copy_plan *plan, size_t at);
/* Whether what lies there was accepted as it is. table: "schema.table", a file. */
bool dv_copy_plan_accepts(const dv_copy_plan *plan, dv_slice table, dv_slice column);
