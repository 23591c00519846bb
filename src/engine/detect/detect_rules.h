/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to the engine: the tables that generate.py makes of rules/detectors, and what they are
 * compiled to. */

#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/detect/detect.h"

#include <hs.h>
#include <pcre2.h>

typedef enum dv_detect_context {
    DV_CONTEXT_NONE,     /* words around do not matter */
    DV_CONTEXT_OPTIONAL, /* they raise the score, and a check may ask for them */
    DV_CONTEXT_REQUIRED, /* without them it is no finding */
} dv_detect_context;

/* What PCRE2 found; a check decides whether it is a value. */
typedef struct dv_detect_candidate {
    dv_slice text;
    size_t start;
    size_t end;    /* a check may move it back, to after the value's last byte */
    bool context;  /* a context word stands before it */
    uint8_t score; /* a check may raise or lower it */
} dv_detect_candidate;

typedef bool (*dv_detect_check)(dv_detect_candidate *candidate);

typedef struct dv_detect_pattern {
    const char *match; /* PCRE2, finds the exact value */
    dv_detect_check check;
    uint16_t trigger; /* index of the vectorscan pattern that asks for it */
    uint16_t back;    /* a value starts at most so many bytes before the trigger's end, */
    uint16_t ahead;   /* or at most so many after it */
    uint16_t entropy; /* hundredths of a bit per byte that the value must have */
    uint8_t detector;
    uint8_t context; /* dv_detect_context */
    uint8_t score;
    bool within; /* the trigger ends within the value, which holds no byte that it may not */
} dv_detect_pattern;

typedef struct dv_detect_rule {
    const char *context; /* PCRE2 patterns of the words; NULL: none */
    const char *unless;
    uint16_t context_distance; /* bytes before the value */
    uint16_t unless_distance;
    uint64_t bytes[4]; /* which bytes its values may hold */
} dv_detect_rule;

extern const dv_detector_info dv_detect_infos[];
extern const size_t dv_detect_info_count;
extern const dv_detect_rule dv_detect_rule_table[];
extern const char *const dv_detect_triggers[];
extern const size_t dv_detect_trigger_count;
extern const dv_detect_pattern dv_detect_patterns[];
extern const size_t dv_detect_pattern_count;

struct dv_detect_rules {
    hs_database_t *database;
    pcre2_code **patterns;   /* beside dv_detect_patterns */
    pcre2_code **contexts;   /* beside dv_detect_rule_table; NULL where there is none */
    pcre2_code **exceptions; /* the same for `unless` */
    uint16_t *first_pattern; /* of each trigger; one more at the end */
    uint64_t may_hold[256];  /* which detectors' values may hold this byte */
};

/* Starts that a pattern has still to try: [begin, end); all before were tried. */
typedef struct dv_detect_window {
    size_t begin;
    size_t end;
} dv_detect_window;

struct dv_detect_scratch {
    hs_scratch_t *hs;
    pcre2_match_data *data;
    pcre2_match_context *match; /* with an offset limit */
    pcre2_match_context *words;
    pcre2_jit_stack *stack;
    dv_detect_window *windows; /* of each pattern */
};

/* Bits of entropy a byte (Shannon), in hundredths. */
unsigned dv_detect_entropy(dv_slice value);

bool dv_detect_check_email(dv_detect_candidate *candidate);
bool dv_detect_check_phone_international(dv_detect_candidate *candidate);
bool dv_detect_check_phone_national(dv_detect_candidate *candidate);
bool dv_detect_check_card(dv_detect_candidate *candidate);
bool dv_detect_check_iban(dv_detect_candidate *candidate);
bool dv_detect_check_aadhaar(dv_detect_candidate *candidate);
bool dv_detect_check_ssn(dv_detect_candidate *candidate);
bool dv_detect_check_ipv4(dv_detect_candidate *candidate);
bool dv_detect_check_ipv6(dv_detect_candidate *candidate);
bool dv_detect_check_aws_secret(dv_detect_candidate *candidate);
bool dv_detect_check_github(dv_detect_candidate *candidate);
bool dv_detect_check_dvara_key(dv_detect_candidate *candidate);
bool dv_detect_check_jwt(dv_detect_candidate *candidate);
bool dv_detect_check_url_credentials(dv_detect_candidate *candidate);
bool dv_detect_check_gstin(dv_detect_candidate *candidate);
