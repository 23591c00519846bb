/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How long data is kept, by its labels: the section `data_retention:` of dvara.yaml.
 *
 * data_retention:
 *   words: {labels: [board], categories: [plans]}   # of your own, beside those that are built in
 *   certificates: {names: masked}                   # or hidden
 *   approvals: 1                                    # of other people, before anything goes
 *   approval_lasts: 7d
 *   rules:
 *     - {name: old-exports, of: files, labels: [gdpr], keep: 90d}
 *     - {name: old-orders, of: tables, labels: [gdpr], keep: 2y, column: created_at}
 *   holds:
 *     - {name: case-7, sources: ["file://fs1/srv/legal"], reason: court order}
 *
 * A rule or hold is for what fits all that it names: any of its labels, any of its categories, any
 * of its sources, and its sensitivity or a higher one. Of several rules that fit, the one
 * whose time ends last counts. */

#include "core/config.h"
#include "room/data/control/disposal/kept.h"

#include <jansson.h>

typedef struct dv_disposal_rules dv_disposal_rules;

enum { DV_DISPOSAL_WORDS = 32 };

typedef struct dv_disposal_words {
    const char *items[DV_DISPOSAL_WORDS];
    size_t count;
} dv_disposal_words;

/* What a rule or a hold is for. */
typedef struct dv_disposal_scope {
    dv_disposal_words labels;
    dv_disposal_words categories;
    dv_disposal_words sources; /* "file://fs1/srv/share", or a folder or file below one */
    int64_t level;             /* 0 public to 3 restricted, and what is more; -1: any */
} dv_disposal_scope;

typedef struct dv_disposal_rule {
    const char *name;
    dv_disposal_scope scope;
    const char *column; /* of tables: which tells a row's age; NULL where none goes */
    bool tables;        /* it is for tables, and for files if not */
    const char *kept;   /* "90d", as it was written */
    dv_time keep;       /* DV_TIME_NEVER: for ever */
    bool seen;          /* counted from when a scan saw it first, where that is later */
    bool unowned;       /* also what nobody owns */
    bool unread;        /* also what was not read in full, and may hold what another rule keeps */
    int64_t approvals;  /* of other people than who asks, before anything goes by it */
} dv_disposal_rule;

typedef struct dv_disposal_hold {
    const char *name;
    dv_disposal_scope scope;
} dv_disposal_hold;

/* A file or table as the inventory has it; lists are words with commas between. */
typedef struct dv_disposal_file {
    dv_slice source;
    dv_slice name;
    dv_slice categories;
    dv_slice labels;
    int64_t level;
    dv_time changed; /* written last */
    dv_time seen;    /* by a scan, first */
    bool table;      /* whose rows have ages of their own */
} dv_disposal_file;

/* Without rules. */
dv_must dv_result dv_disposal_rules_new(dv_disposal_rules **ret_rules);
void dv_disposal_rules_free(dv_disposal_rules *rules);

/* Takes the section; NULL: no rules. Errors: DV_ERR_INVALID, with the place; then the rules are as
 * before. */
dv_must dv_result dv_disposal_rules_set(dv_disposal_rules *rules, const dv_yaml *section,
                                        dv_error *error);

/* Borrowed until the rules are set. The rule that counts for a file, or NULL; the first hold that
 * keeps it, or NULL. */
const dv_disposal_rule *dv_disposal_rule_for(const dv_disposal_rules *rules,
                                             const dv_disposal_file *file);
const dv_disposal_hold *dv_disposal_hold_for(const dv_disposal_rules *rules,
                                             const dv_disposal_file *file);

/* How many others have to let it go: the most that a rule for it wants, also one whose time is over
 * before. */
int64_t dv_disposal_approvals_for(const dv_disposal_rules *rules, const dv_disposal_file *file);

/* Whether rules that fit the table name several columns: nobody knows which counts. */
bool dv_disposal_columns_differ(const dv_disposal_rules *rules, const dv_disposal_file *table);

/* When the file's time is over by that rule; DV_TIME_NEVER: never. Of a table: how long its rows
 * are kept. */
dv_time dv_disposal_due(const dv_disposal_rule *rule, const dv_disposal_file *file);

size_t dv_disposal_rule_count(const dv_disposal_rules *rules);
const dv_disposal_rule *dv_disposal_rule_at(const dv_disposal_rules *rules, size_t index);
/* {"name","of","labels","categories","sources","sensitivity","keep","since","unowned",
 * "unread","approvals"}, of tables "column", too; a new reference, NULL when memory is out. */
json_t *dv_disposal_rule_json(const dv_disposal_rule *rule);
size_t dv_disposal_hold_count(const dv_disposal_rules *rules);
const dv_disposal_hold *dv_disposal_hold_at(const dv_disposal_rules *rules, size_t index);
/* The same members; "keep" is "hold". */
json_t *dv_disposal_hold_json(const dv_disposal_hold *hold);
/* How long an approval is good for. */
dv_time dv_disposal_approval_lasts(const dv_disposal_rules *rules);
/* Certificates leave names out. */
bool dv_disposal_names_hidden(const dv_disposal_rules *rules);

/* Rules and holds of vaults and cases; borrowed until the rules are set. */
const dv_kept_rules *dv_disposal_kept(const dv_disposal_rules *rules);
/* The name of a hold that keeps the vault or the cases, or NULL: one that names them, or one that
 * names nothing at all and so keeps everything. */
const char *dv_disposal_held(const dv_disposal_rules *rules, dv_kept_kind kind, const char *thing);

/* What the readers of rules share. Texts lie in the arena. Errors: DV_ERR_INVALID, with the place.
 */
dv_must dv_result dv_disposal_name_read(dv_arena *arena, const dv_yaml *map, const char **ret_name,
                                        dv_error *error);
dv_must dv_result dv_disposal_keep_read(dv_arena *arena, const dv_yaml *map, const char **ret_kept,
                                        dv_time *ret_keep, dv_error *error);
/* The first of a list that is not empty and has DV_DISPOSAL_WORDS items at most; NULL: no list. */
dv_must dv_result dv_disposal_list_read(const dv_yaml *map, const char *key,
                                        const dv_yaml **ret_first, dv_error *error);

extern const dv_config_section dv_data_config_retention;
