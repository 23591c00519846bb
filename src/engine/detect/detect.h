/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Finds values of known kinds in text. Two stages: vectorscan over all patterns at once without
 * start-of-match, then PCRE2 JIT in a bounded window, checksum, context words. Knows no policy. */

#include "base/arena.h"
#include "core/finding.h"

typedef struct dv_detect_rules dv_detect_rules;     /* compiled, read-only, shared by all scans */
typedef struct dv_detect_scratch dv_detect_scratch; /* one for each thread (worker) */

/* What rules/detectors say of one detector. */
typedef struct dv_detector_info {
    const char *id;         /* "payment_card" */
    const char *name;       /* "Payment card number" */
    const char *category;   /* "payment", "personal", "credential", ... */
    const char *label;      /* in masks and placeholders: "CARD" */
    uint8_t default_action; /* dv_content_action */
    uint8_t keep_last;      /* characters that a mask may show */
} dv_detector_info;

/* Compiles every *.yaml of the folder. Errors name file, line and detector. */
dv_must dv_result dv_detect_rules_load(const char *folder, dv_detect_rules **ret_rules,
                                       dv_error *error);
/* The same from the rules that were built into the program. */
dv_must dv_result dv_detect_rules_builtin(dv_detect_rules **ret_rules, dv_error *error);
void dv_detect_rules_free(dv_detect_rules *rules);

size_t dv_detect_count(const dv_detect_rules *rules);
const dv_detector_info *dv_detect_info(const dv_detect_rules *rules, size_t index);
/* Index by id, or -1. */
ptrdiff_t dv_detect_index(const dv_detect_rules *rules, const char *id);

dv_must dv_result dv_detect_scratch_new(const dv_detect_rules *rules,
                                        dv_detect_scratch **ret_scratch);
void dv_detect_scratch_free(dv_detect_scratch *scratch);

/* Searches one text (UTF-8) with the detectors whose bit is set in `enabled` (bit index = detector
 * index; NULL: all). Findings are sorted by start, do not overlap (the longer, then the surer
 * wins), lie in the arena. Errors: DV_ERR_TOO_LARGE beyond DV_LIMIT_FINDINGS: treat as blocked. */
dv_must dv_result dv_detect_scan(const dv_detect_rules *rules, dv_detect_scratch *scratch,
                                 dv_slice text, const uint64_t *enabled, dv_arena *arena,
                                 const dv_finding **ret_findings, size_t *ret_count);
