/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What `dvara data scan` and `dvara data classify` share: detectors and rules as their flags say
 * (names, standard, rules, min_score, min_confidence, max_bytes, max_seconds, fail_on), and each
 * asset labelled, judged and shown as it comes. */

#include "cli/data_save.h"
#include "cli/progress.h"
#include "room/data/scan/classify.h"

typedef struct dv_data_scanner {
    dv_cli *cli;
    const json_t *params;
    bool all;           /* also what nothing was found in is shown */
    dv_data_save *save; /* NULL: not asked for */
    uint64_t expected;  /* bytes, where somebody looks at the bar; else 0 */
    dv_scan_totals totals;

    dv_scan_limits limits;
    dv_data_rules rules;
    dv_arena *rules_arena;
    dv_arena *arena; /* of one asset */
    dv_data_finder *finder;
    dv_detect_custom *custom; /* users' detectors; NULL: none */
    dv_progress_bar bar;
    uint64_t done; /* bytes */
    /* Assets by sensitivity, without those where nothing is known. */
    uint64_t found[DV_DATA_LEVELS];
    uint64_t problems;
    json_t *shown; /* NULL: each is printed as it comes */
    bool failed;   /* the command has to, though all was done */
    dv_error *error;
} dv_data_scanner;

/* Runs a command: work with a scanner in which cli and params are set and the rest is zero; its
 * exit status. A scan that could not see everything is no proof that there is nothing: with fail_on
 * that fails, too. */
int dv_data_scanner_run(dv_cli *cli, const json_t *params,
                        dv_result (*work)(dv_data_scanner *, dv_error *));

/* What stands before the empty line is set by then. Limits that the flags above do not name are the
 * usual ones. error lives as long as the scanner. Errors: those of the rules. */
dv_must dv_result dv_data_scanner_open(dv_data_scanner *scanner, dv_error *error);

/* There may be more than was seen. */
bool dv_data_scanner_has_gaps(const dv_data_scanner *scanner);
/* How many were read, and what they are; a new reference, NULL: memory is out. */
json_t *dv_data_scanner_summary(const dv_data_scanner *scanner);
/* Prints what was not printed yet. */
dv_must dv_result dv_data_scanner_print(dv_data_scanner *scanner, const json_t *summary);
/* The summary for people, on standard error, without the line's end. done: "scanned". */
void dv_data_scanner_say(const dv_data_scanner *scanner, const char *done);
