/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which value gets which action: by the name of its column, its detector, its category, or the
 * default, in this order. From YAML:
 *
 *   default: mask
 *   date_order: mdy                       # of 01/02/2000; dmy unless said
 *   categories: {credential: redact}
 *   detectors: {payment_card: {action: fpe, keep_first: 6, keep_last: 4, luhn: true}}
 *   names: {PERSON: pseudonym}            # what --names finds
 *   columns:                              # of tables; a member's name or path in JSON
 *     email: pseudonym
 *     patients.born: {action: date_shift, subject: patient_id}
 *     zip: {action: generalise, to: zip}
 *     notes: detect                       # as columns that are not named
 *     id: keep
 */

#include "base/yaml.h"
#include "engine/detect/action/action.h"
#include "engine/detect/detect.h"

enum { DV_COLUMNS_MAX = 1000 };

typedef struct dv_column_rule {
    const char *name;    /* "email", "patients.born" */
    const char *subject; /* the column that says whose it is, or NULL */
    const char *label;   /* of the detector that `type` names, or NULL */
    dv_action action;
    bool detect;   /* its cells are searched */
    bool optional; /* it need not be there */
    bool seen;
} dv_column_rule;

typedef struct dv_named_action {
    const char *name;
    dv_action action;
} dv_named_action;

typedef struct dv_action_rules {
    dv_action fallback;
    dv_named_action *detectors, *categories, *names;
    size_t detector_count, category_count, name_count;
    dv_column_rule *columns;
    size_t column_count;
    dv_date_order order;
} dv_action_rules;

/* One action: "mask", or a map with its settings. order: of dates, unless the settings say so.
 * Errors: DV_ERR_INVALID with the line. */
dv_must dv_result dv_action_read(const dv_yaml *node, dv_date_order order, dv_action *ret_action,
                                 dv_error *error);
/* "dmy" or "mdy". Errors: the same. */
dv_must dv_result dv_action_order_read(const dv_yaml *node, dv_date_order *ret_order,
                                       dv_error *error);

/* root NULL: nothing but the default. fallback: the default unless the file says one. What is made
 * lies in the arena and borrows the tree's texts. Errors: DV_ERR_INVALID with the line. */
dv_must dv_result dv_action_rules_read(const dv_yaml *root, const dv_action *fallback,
                                       dv_arena *arena, dv_action_rules **ret_rules,
                                       dv_error *error);

/* Detectors that take part: those that do by default, those that the rules name, without what the
 * rules keep. */
void dv_action_rules_enable(const dv_action_rules *rules, bool all, dv_detector_set *ret_set);
const dv_action *dv_action_rules_for(const dv_action_rules *rules, const dv_finding *finding);
/* The rule for a column; "table.column" before "column", capitals or not. NULL: searched. */
dv_column_rule *dv_action_rules_column(const dv_action_rules *rules, dv_slice table,
                                       dv_slice column);
/* A column that the rules name and nothing had, or NULL: a slip of the pen would let it pass. */
const char *dv_action_rules_unseen(const dv_action_rules *rules);
/* Whether anything that they say needs a key, or a vault. */
bool dv_action_rules_need_key(const dv_action_rules *rules);
bool dv_action_rules_need_vault(const dv_action_rules *rules);
