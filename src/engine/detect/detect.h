/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Finds values of known kinds in text. Two stages: vectorscan over short triggers without
 * start-of-match, then PCRE2 JIT in a bounded window, checksum, context words. Knows no policy.
 *
 * Detectors are data: rules/detectors/<id>.yaml, built into the program. */

#include "base/arena.h"
#include "core/finding.h"

typedef struct dv_detect_rules dv_detect_rules;     /* compiled, read-only, shared by all scans */
typedef struct dv_detect_scratch dv_detect_scratch; /* one for each thread (worker) */

/* A text and where in it the detector's one value stands: its documentation and its test. */
typedef struct dv_detector_example {
    const char *text;
    uint32_t start;
    uint32_t end;
} dv_detector_example;

/* What rules/detectors says of one detector. Lives as long as the program. */
typedef struct dv_detector_info {
    const char *id;         /* "payment_card" */
    const char *name;       /* "Payment card number" */
    const char *type;       /* what findings are reported as: "CREDIT_CARD", "SECRET" */
    const char *category;   /* "payment", "personal", "credential", ... */
    const char *region;     /* ISO 3166-1 alpha-2 code in small letters, "eu", or "any" */
    const char *label;      /* in masks and placeholders: "CARD" */
    const char *doc;        /* one sentence: what is found and what is not */
    uint8_t request_action; /* dv_content_action, unless the policy says otherwise */
    uint8_t answer_action;
    bool standard;       /* takes part unless a policy says otherwise */
    uint8_t score;       /* of its surest pattern, 1 to 100, before words around raise it */
    uint8_t keep_last;   /* characters that a mask may show */
    uint32_t max_length; /* of its values, in bytes */
    const dv_detector_example *examples;
    size_t example_count;
    const dv_detector_example *counter_examples; /* texts without such a value */
    size_t counter_example_count;
} dv_detector_info;

/* Compiles the rules that were built into the program (tens of milliseconds: once a process). */
dv_must dv_result dv_detect_rules_builtin(dv_detect_rules **ret_rules, dv_error *error);
void dv_detect_rules_free(dv_detect_rules *rules);
DV_DEFINE_AUTO_PTR(detect_rules, dv_detect_rules, dv_detect_rules_free)

/* The built-in detectors, without compiling anything: for listings and for checking names. */
size_t dv_detect_count(void);
const dv_detector_info *dv_detect_info(size_t index);
/* Index by id, or -1. */
ptrdiff_t dv_detect_index(const char *id);

dv_must dv_result dv_detect_scratch_new(const dv_detect_rules *rules,
                                        dv_detect_scratch **ret_scratch);
void dv_detect_scratch_free(dv_detect_scratch *scratch);
DV_DEFINE_AUTO_PTR(detect_scratch, dv_detect_scratch, dv_detect_scratch_free)

/* How long the next searches may take, all together: about so many nanoseconds, counted in steps
 * and not by a clock. Once that is used up dv_detect_scan answers DV_ERR_AGAIN. 0: as long as they
 * need, as it is at first. */
void dv_detect_scratch_hurry(dv_detect_scratch *scratch, uint64_t effort);

/* Takes so many nanoseconds of that, for work that is done beside a search. Errors: DV_ERR_AGAIN.
 */
dv_must dv_result dv_detect_scratch_spend(dv_detect_scratch *scratch, uint64_t effort);

/* Which detectors take part: every one there is, or those that do unless a policy names others. */
extern const dv_detector_set dv_detect_all;
const dv_detector_set *dv_detect_standard(void);

/* Searches text (UTF-8) for values that start at byte `from` or later; what stands before is only
 * looked back at (boundaries, context words). A NUL byte ends every value, so that many strings
 * can be joined with NULs and searched at once; context words are seen across it.
 *
 * Findings are sorted by start and do not overlap: values that do, and those with a prefix that
 * stand right behind another, are one finding over all their bytes, named after the surest, then
 * longest, with the set of all their detectors. They lie in the arena. Errors: DV_ERR_TOO_LARGE
 * beyond DV_LIMIT_FINDINGS or a matching limit, DV_ERR_NO_MEMORY: treat as blocked; DV_ERR_AGAIN:
 * see dv_detect_scratch_hurry. */
dv_must dv_result dv_detect_scan(const dv_detect_rules *rules, dv_detect_scratch *scratch,
                                 dv_slice text, size_t from, const dv_detector_set *enabled,
                                 dv_arena *arena, const dv_finding **ret_findings,
                                 size_t *ret_count);

/* For text that goes on: the first byte at or after `from` that could still belong to a value once
 * more text follows; text.len when none could. What stands before it is final: the findings there
 * stay as they are. found: what dv_detect_scan found in this text, since values may be glued to
 * those. Errors as above. */
dv_must dv_result dv_detect_hold(const dv_detect_rules *rules, dv_detect_scratch *scratch,
                                 dv_slice text, size_t from, const dv_detector_set *enabled,
                                 const dv_finding *found, size_t count, size_t *ret_hold);
