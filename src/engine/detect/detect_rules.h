/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to the engine: the tables that generate.py makes of rules/detectors, and what they are
 * compiled to. */

#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/detect/detect.h"
#include "engine/detect/sieve.h"

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

/* A detector whose values have no greatest length (MAX_LENGTH in generate.py). */
enum { DV_DETECT_UNBOUNDED = 20000 };

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
    /* What sieve.py derives of a number, that is where `within`: */
    uint8_t digits; /* that each value has at least */
    uint8_t others; /* other bytes between its first and its last digit, at least */
    uint8_t lead;   /* bytes before its first digit, at most */
    /* Its values begin with a prefix that tells them: `match` without its first so many bytes,
     * which say what they may not follow, finds them within and right behind other values. 0: it
     * has none.
     */
    uint8_t border;
    uint8_t prefix; /* bytes of `match` behind its border that find the prefix */
} dv_detect_pattern;

typedef struct dv_detect_rule {
    const char *context; /* PCRE2 patterns of the words; NULL: none */
    const char *unless;
    const dv_sieve_gram *words; /* of the context's words */
    size_t word_count;
    uint16_t context_distance; /* bytes before the value */
    uint16_t unless_distance;
    uint64_t bytes[4]; /* which bytes its values may hold */
} dv_detect_rule;

extern const dv_detector_info dv_detect_infos[];
extern const size_t dv_detect_info_count;
extern const dv_detect_rule dv_detect_rule_table[];
extern const char *const dv_detect_triggers[];
extern const size_t dv_detect_trigger_count;
extern const dv_sieve_gram *const dv_detect_trigger_grams;
extern const size_t dv_detect_trigger_gram_count;
extern const dv_detect_pattern dv_detect_patterns[];
extern const size_t dv_detect_pattern_count;

/* What the patterns of a trigger that ends within their values have in common. */
typedef struct dv_detect_number_rule {
    uint64_t detectors; /* 0: the trigger is none of these */
    size_t back;
    size_t longest;
} dv_detect_number_rule;

struct dv_detect_rules {
    hs_database_t *database;
    pcre2_code **patterns;   /* beside dv_detect_patterns */
    pcre2_code **glued;      /* the same without borders, with a callout behind the prefix; NULL
                                where there is none */
    pcre2_code **contexts;   /* beside dv_detect_rule_table; NULL where there is none */
    pcre2_code **exceptions; /* the same for `unless` */
    uint16_t *first_pattern; /* of each trigger; one more at the end */
    uint16_t *reach; /* of each trigger: ends no farther apart open one window in each pattern */
    uint64_t may_hold[256];         /* which detectors' values may hold this byte */
    uint64_t prefixed;              /* detectors whose values can stand behind others */
    dv_detect_number_rule *numbers; /* of each trigger */
    dv_sieve *sieve;                /* of the triggers; NULL: texts are searched as a whole, and
                                       every window tried (the test's yardstick) */
    dv_sieve *words[DV_DETECT_MAX]; /* of each detector's context; NULL: it has none */
    uint64_t number_grams;          /* those of the sieve that are a number's */
    size_t sieve_back;              /* the sieve stops so far behind a trigger's begin at most */
};

/* Starts that a pattern has still to try: [begin, end); all before were tried. */
typedef struct dv_detect_window {
    size_t begin;
    size_t end;
} dv_detect_window;

/* Ends of a trigger that are near each other: [first, last]. first 0: none yet. */
typedef struct dv_detect_run {
    size_t first;
    size_t last;
} dv_detect_run;

/* The context words that a pattern met on its way through the text. All that begin before
 * `searched` are known: `last` ended before what was asked about, `next` did not yet. end 0: none.
 */
typedef struct dv_detect_word {
    size_t start;
    size_t end;
} dv_detect_word;

typedef struct dv_detect_words {
    size_t searched;
    size_t ahead; /* how far behind the next candidate words are looked for */
    dv_detect_word last;
    dv_detect_word next;
} dv_detect_words;

struct dv_detect_scratch {
    hs_scratch_t *hs;
    pcre2_match_data *data;
    pcre2_match_context *match; /* with an offset limit */
    pcre2_match_context *words;
    pcre2_jit_stack *stack;
    dv_detect_window *windows; /* of each pattern */
    dv_detect_words *met;      /* the same */
    dv_detect_run *runs;       /* of each trigger */
    bool hurried;
    uint64_t effort; /* what is left, when hurried */
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
