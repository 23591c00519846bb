/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How long entries of vaults and closed cases are kept: the rules and holds of `data_retention:`
 * that name `vaults` or `cases` (docs/adr/0053). They go by the thing's name alone, and by when the
 * entry was made or the case was closed.
 *
 *   - {name: old-customers, vaults: [customers], keep: 2y}
 *   - {name: old-reviews, cases: [access_review], keep: 3y}
 *
 * Of several rules for one thing the longest counts. A hold that names nothing keeps all of them.
 */

#include "base/arena.h"
#include "base/clock.h"
#include "base/yaml.h"

#include <jansson.h>

enum { DV_KEPT_THINGS = 32 };

typedef enum dv_kept_kind {
    DV_KEPT_VAULTS = 0,
    DV_KEPT_CASES,
} dv_kept_kind;

typedef struct dv_kept_rule {
    const char *name;
    dv_kept_kind kind;
    bool hold;
    const char *things[DV_KEPT_THINGS]; /* names of vaults; types of cases */
    size_t count;
    const char *kept; /* "2y", as it was written; of a hold "hold" */
    dv_time keep;     /* DV_TIME_NEVER: for ever */
} dv_kept_rule;

/* Rules and holds, in an arena. */
typedef struct dv_kept_rules {
    dv_kept_rule *items;
    size_t count;
} dv_kept_rules;

/* Whether a rule or hold of the section is one of these. */
bool dv_kept_is_one(const dv_yaml *map);
/* Reads it behind the others; the list has room for `most`. Errors: DV_ERR_INVALID, with the place.
 */
dv_must dv_result dv_kept_read(dv_kept_rules *rules, size_t most, dv_arena *arena,
                               const dv_yaml *map, bool hold, dv_error *error);

/* The rule that keeps the thing longest, or NULL; the first hold that names it, or NULL. */
const dv_kept_rule *dv_kept_rule_for(const dv_kept_rules *rules, dv_kept_kind kind,
                                     const char *thing);
const dv_kept_rule *dv_kept_hold_for(const dv_kept_rules *rules, dv_kept_kind kind,
                                     const char *thing);

/* What is not newer goes by the rule; 0: nothing. */
dv_time dv_kept_cutoff(const dv_kept_rule *rule, dv_time now);

/* {"name", "of", "sources": ["vault://customers"], "keep", "since"}, as certificates and lists tell
 * it; a new reference, NULL when memory is out. */
json_t *dv_kept_rule_json(const dv_kept_rule *rule);

/* Types of cases that rules may name: those whose closed cases nothing else needs. */
size_t dv_kept_case_count(void);
const char *dv_kept_case_at(size_t index);

/* Whether runs of vaults or of cases are called so: nothing else may be. */
bool dv_disposal_is_kept_source(const char *source);
