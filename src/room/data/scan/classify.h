/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From what was found in a file or table to what it is: how sensitive, what categories, how sure
 * and why. The rules are data (rules/classification). */

#include "base/yaml.h"
#include "room/data/scan/find.h"

typedef enum dv_data_level {
    DV_DATA_PUBLIC = 0,
    DV_DATA_INTERNAL, /* what nothing is known of */
    DV_DATA_CONFIDENTIAL,
    DV_DATA_RESTRICTED,
    DV_DATA_LEVELS,
} dv_data_level;

/* "public", ... */
const char *dv_data_level_name(dv_data_level level);
/* Errors: DV_ERR_NOT_FOUND. */
dv_must dv_result dv_data_level_parse(const char *name, dv_data_level *ret_level);

enum {
    DV_DATA_RULES_MAX = 256,
    DV_DATA_WORDS_MAX = 64, /* of one list of a rule */
    DV_DATA_WHYS_MAX = 4,   /* that one rule tells */
};

/* A rule of rules/classification, built in. */
typedef struct dv_data_rule_file {
    const char *id;
    const char *text;
} dv_data_rule_file;

extern const dv_data_rule_file DV_DATA_RULE_FILES[];
extern const size_t DV_DATA_RULE_FILE_COUNT;

typedef struct dv_data_words {
    const char *items[DV_DATA_WORDS_MAX];
    size_t count;
} dv_data_words;

typedef struct dv_data_rule {
    const char *id;
    const char *doc;
    const char *category;
    dv_data_words labels;
    dv_data_words columns; /* words of columns' names that speak for it */
    dv_data_level sensitivity;
    bool *kinds;         /* of values that speak for it, by their number */
    uint8_t score;       /* that a column's or text's values have on average at least */
    uint64_t least;      /* values */
    uint64_t many;       /* values from which on it is more sensitive; 0: never */
    dv_data_level level; /* then */
} dv_data_rule;

typedef struct dv_data_rules {
    dv_data_rule *items[DV_DATA_RULES_MAX];
    size_t count;
} dv_data_rules;

/* Adds one rule, or a list of them, to those there are; one with the id of another takes its place.
 * Lives in the arena. Errors: DV_ERR_INVALID with the line. */
dv_must dv_result dv_data_rules_add(dv_data_rules *rules, dv_slice yaml, dv_arena *arena,
                                    dv_error *error);
/* All that are built in. */
dv_must dv_result dv_data_rules_builtin(dv_data_rules *rules, dv_arena *arena, dv_error *error);

/* Why a rule holds. */
typedef struct dv_data_reason {
    const dv_data_rule *rule;
    dv_data_level sensitivity;
    uint8_t confidence; /* 1 to 99 */
    uint64_t values;
    const char *whys[DV_DATA_WHYS_MAX]; /* the surest first */
    size_t why_count;
} dv_data_reason;

typedef struct dv_data_class {
    dv_data_level sensitivity;
    uint8_t confidence; /* of the surest rule that says so; 0: no rule holds */
    const dv_data_reason *reasons;
    size_t count;
} dv_data_class;

/* Rules that are less sure than `least` are left out. The result lives in the arena. */
dv_must dv_result dv_data_classify(const dv_data_rules *rules, const dv_data_part *const *parts,
                                   size_t count, uint8_t least, dv_arena *arena,
                                   dv_data_class *ret_class);
