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
    DV_CONTEXT_KEYED,    /* a keyword of its own must stand before it as a name before its value */
} dv_detect_context;

/* Where a pattern's trigger is looked for. Triggers are sorted by it. */
typedef enum dv_detect_family {
    DV_FAMILY_SIEVED,   /* expressions, in parts of the text that the sieve names */
    DV_FAMILY_LITERAL,  /* literal texts, everywhere */
    DV_FAMILY_OPTIONAL, /* the same, of detectors that take part only where a policy names them */
    DV_FAMILIES,
} dv_detect_family;

/* What PCRE2 found; a check decides whether it is a value. */
typedef struct dv_detect_candidate {
    dv_slice text;
    size_t start;
    size_t end;    /* a check may move it back, to after the value's last byte */
    bool context;  /* a context word stands before it */
    uint8_t score; /* a check may raise or lower it */
} dv_detect_candidate;

typedef bool (*dv_detect_check)(dv_detect_candidate *candidate);

enum { DV_DETECT_STEPS_MAX = 1000000 }; /* of one PCRE2 call; patterns are bounded, this is a net */

/* A detector whose values have no greatest length (MAX_LENGTH in generate.py). */
enum { DV_DETECT_UNBOUNDED = 20000 };

enum {
    DV_DETECT_CLASSES = 64, /* different sets of bytes that detectors' values may hold */
    DV_DETECT_FIRST = 6,    /* first bytes of a value that are asked about before PCRE2 is */
};

typedef struct dv_detect_pattern {
    const char *match; /* PCRE2, finds the exact value */
    dv_detect_check check;
    uint16_t trigger; /* index of the vectorscan pattern that asks for it */
    uint16_t back;    /* a value starts at most so many bytes before the trigger's end, */
    uint16_t ahead;   /* or at most so many after it */
    uint16_t entropy; /* hundredths of a bit per byte that the value must have */
    uint16_t detector;
    uint8_t context; /* dv_detect_context */
    uint8_t score;
    uint16_t first[DV_DETECT_FIRST]; /* in dv_sieve_sets: what its values' first bytes may be; 0:
                                        any byte, or none */
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
    const char *const *keywords; /* in small letters, NULL behind the last; NULL: it has none */
    uint16_t context_distance;   /* bytes before the value */
    uint16_t unless_distance;
    uint8_t bytes;     /* which bytes its values may hold, in dv_detect_classes */
    bool right_before; /* the context's pattern ends where the value begins */
} dv_detect_rule;

/* One of a trigger's texts. */
typedef struct dv_detect_literal {
    const char *text;
    uint16_t trigger;
    bool caseless;
} dv_detect_literal;

extern const dv_detector_info dv_detect_infos[];
extern const size_t dv_detect_info_count;
extern const dv_detect_rule dv_detect_rule_table[];
extern const uint64_t dv_detect_classes[][4];
extern const size_t dv_detect_class_count;
extern const char *const dv_detect_triggers[];       /* of the sieved family, which stand first */
extern const dv_detect_literal dv_detect_literals[]; /* of the others; sorted by trigger */
extern const size_t dv_detect_literal_count;
extern const size_t dv_detect_family_end[DV_FAMILIES]; /* the first trigger behind each */
extern const size_t dv_detect_trigger_count;
extern const dv_sieve_gram *const dv_detect_trigger_grams;
extern const size_t dv_detect_trigger_gram_count;
extern const dv_detect_pattern dv_detect_patterns[];
extern const size_t dv_detect_pattern_count;
extern const dv_detector_set dv_detect_standard_set;
extern const char dv_detect_link[]; /* PCRE2: what stands between a keyword and its value */

/* What the patterns of a trigger that ends within their values have in common. */
typedef struct dv_detect_number_rule {
    uint64_t classes; /* of bytes that their values may hold; 0: the trigger is none of these */
    size_t back;
    size_t longest;
} dv_detect_number_rule;

struct dv_detect_rules {
    hs_database_t *databases[DV_FAMILIES]; /* NULL: the family has no trigger */
    dv_detector_set families[DV_FAMILIES]; /* which detectors have triggers there */
    pcre2_code *link;                      /* what stands between a keyword and its value */
    pcre2_code **patterns;                 /* beside dv_detect_patterns */
    pcre2_code **glued;      /* the same without borders, with a callout behind the prefix; NULL
                                where there is none */
    pcre2_code **contexts;   /* beside dv_detect_rule_table; NULL where there is none */
    pcre2_code **exceptions; /* the same for `unless` */
    uint16_t *first_pattern; /* of each trigger; one more at the end */
    uint16_t *reach; /* of each trigger: ends no farther apart open one window in each pattern */
    uint64_t may_hold[256];   /* in which classes of bytes this one is */
    uint64_t prefixed;        /* classes of detectors whose values can stand behind others */
    dv_detector_set glueable; /* those detectors */
    size_t sieved_patterns;   /* the first pattern behind those of the sieved family */
    size_t literal_longest[DV_DETECT_CLASSES]; /* of values of the literal families, by class */
    size_t start_words;             /* of a set of the patterns behind the sieved ones; */
    uint64_t *beginning;            /* those whose trigger does not stand before the value; */
    uint64_t *starts;               /* by place of DV_DETECT_FIRST and byte: which of them may have
                                       it there */
    dv_detect_number_rule *numbers; /* of each trigger */
    dv_sieve *sieve;                /* of the triggers; NULL: texts are searched as a whole, and
                                       every window tried (the test's yardstick) */
    dv_sieve **words;               /* of each detector's context; NULL: it has none */
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
    uint64_t *touched;         /* triggers that were met; what is kept of others is of old */
    uint64_t *live;            /* patterns, as in `starts` */
    uint64_t *candidates;      /* the same */
    bool hurried;
    uint64_t effort;                       /* what is left, when hurried */
    const struct dv_detect_custom *custom; /* that are looked for, too; NULL: none */
};

/* Bits of entropy a byte (Shannon), in hundredths. */
unsigned dv_detect_entropy(dv_slice value);

/* For sets of triggers and of patterns. */
static inline bool dv_bit_has(const uint64_t *set, size_t bit)
{
    return ((set[bit / 64] >> (bit % 64)) & 1) != 0;
}

static inline void dv_bit_add(uint64_t *set, size_t bit)
{
    set[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static inline size_t dv_detect_trigger_words(void)
{
    return (dv_detect_trigger_count + 63) / 64;
}

/* Checks of candidates, one for each name that a detector's `check` may say (generate.py). */
#define DV_DETECT_CHECK(name) bool dv_detect_check_##name(dv_detect_candidate *candidate);
#include "engine/detect/checks.def"
#undef DV_DETECT_CHECK
