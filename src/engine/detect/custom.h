/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Detectors that users write: numbers of employees, contracts, patients, names of projects. They
 * are read when Dvara runs, and then found wherever the built-in ones are: a scratch that uses them
 * has dv_detect_scan and dv_detect_hold look for them, too.
 *
 *   detectors:
 *     - id: employee_number             # letters, digits, '_'; no built-in detector's
 *       name: Number of an employee     # the id when not said
 *       category: personal              # of those that built-in detectors have; personal
 *       label: EMPLOYEE                 # in masks and placeholders; the id in capitals
 *       match: 'EMP-[0-9]{6}'           # PCRE2 over bytes, of ASCII
 *       words: [employee, staff]        # before the value, whole, in any case
 *       context: required               # or optional, which makes it surer; with words: required
 *       distance: 48                    # bytes between such a word and the value at most
 *       check: luhn                     # or verhoeff, iban, ... (docs/data.md)
 *       entropy: 3.0                    # bits a byte that the value must have
 *       score: 80
 *       keep_last: 2                    # characters that a mask may show
 *       actions: {request: placeholder, answer: mask}
 *       examples: ["badge ⟦EMP-004711⟧"]        # one at least; they are its tests
 *       counter_examples: ["EMP-1", "TEMP-004711"]
 *
 * What can't be run safely is refused when it is read, with its line: values without a greatest
 * length or of fewer than DV_CUSTOM_SHORTEST bytes, patterns that take more than
 * DV_CUSTOM_STEPS at one place of texts made of their own examples, large ones, examples that are
 * not found as they are marked, counter-examples that are. At run time a pattern that takes too
 * long is DV_ERR_TOO_LARGE, as everywhere: what is not searched is not passed. */

#include "engine/detect/detect.h"

enum {
    DV_CUSTOM_MAX = 32,             /* detectors */
    DV_CUSTOM_TEXT_MAX = 64 << 10,  /* bytes of YAML */
    DV_CUSTOM_MADE_MAX = 512 << 10, /* and of what is made of it */
    DV_CUSTOM_MATCH_MAX = 1024,     /* bytes of a pattern */
    DV_CUSTOM_WORDS_MAX = 64,       /* of one detector, of DV_CUSTOM_WORD_MAX bytes each */
    DV_CUSTOM_WORD_MAX = 64,
    DV_CUSTOM_EXAMPLES_MAX = 64,
    DV_CUSTOM_SHORTEST = 4, /* bytes of a value */
    DV_CUSTOM_LONGEST = 512,
    DV_CUSTOM_BEHIND = 64,   /* bytes that a pattern may look behind its value, and before it */
    DV_CUSTOM_STEPS = 20000, /* of PCRE2, at one place */
    DV_CUSTOM_FIRST = DV_DETECT_MAX - 1 - DV_CUSTOM_MAX, /* their bits in a dv_detector_set */
};

typedef struct dv_detect_custom dv_detect_custom; /* read-only, for any number of threads */

/* What says the same is the same detectors, which are compiled once for as long as somebody has
 * them. Errors: DV_ERR_INVALID, DV_ERR_TOO_LARGE, DV_ERR_CONFLICT (an id that another detector
 * has, or a kind of names), each with the line; DV_ERR_NO_MEMORY. Takes some seconds at most. */
dv_must dv_result dv_detect_custom_read(dv_slice yaml, dv_detect_custom **ret_custom,
                                        dv_error *error);
/* The same from what dv_detect_custom_text says of some that were read, in another process: they
 * are not tried again, which takes too long for a worker of nginx, and have no examples. */
dv_must dv_result dv_detect_custom_take(dv_slice text, dv_detect_custom **ret_custom,
                                        dv_error *error);
void dv_detect_custom_free(dv_detect_custom *custom);
DV_DEFINE_AUTO_PTR(detect_custom, dv_detect_custom, dv_detect_custom_free)

/* 0 for NULL. */
size_t dv_detect_custom_count(const dv_detect_custom *custom);
/* By its bit: DV_CUSTOM_FIRST is the first; NULL: there is none. It lives as long as the detectors.
 */
const dv_detector_info *dv_detect_custom_info(const dv_detect_custom *custom, size_t bit);
/* Its bit, or -1. */
ptrdiff_t dv_detect_custom_index(const dv_detect_custom *custom, const char *id);
/* Another number for each that was ever read; 0 for NULL. */
uint64_t dv_detect_custom_serial(const dv_detect_custom *custom);
/* All of them as JSON, for dv_detect_custom_take. */
dv_slice dv_detect_custom_text(const dv_detect_custom *custom);

/* Has searches with this scratch look for them, too, until it is told otherwise; NULL: for none.
 * They have to live as long. */
void dv_detect_scratch_use(dv_detect_scratch *scratch, const dv_detect_custom *custom);
