/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/slice.h"

/* Some of the detectors: bit = detector index. */
enum { DV_DETECTOR_WORDS = 8, DV_DETECT_MAX = DV_DETECTOR_WORDS * 64 };

typedef struct dv_detector_set {
    uint64_t words[DV_DETECTOR_WORDS];
} dv_detector_set;

static inline bool dv_detector_set_has(const dv_detector_set *set, size_t detector)
{
    return ((set->words[detector / 64] >> (detector % 64)) & 1) != 0;
}

static inline void dv_detector_set_add(dv_detector_set *set, size_t detector)
{
    set->words[detector / 64] |= UINT64_C(1) << (detector % 64);
}

static inline void dv_detector_set_remove(dv_detector_set *set, size_t detector)
{
    set->words[detector / 64] &= ~(UINT64_C(1) << (detector % 64));
}

static inline void dv_detector_set_join(dv_detector_set *set, const dv_detector_set *other)
{
    for (size_t i = 0; i < DV_DETECTOR_WORDS; i++) {
        set->words[i] |= other->words[i];
    }
}

static inline bool dv_detector_set_meets(const dv_detector_set *set, const dv_detector_set *other)
{
    uint64_t both = 0;
    for (size_t i = 0; i < DV_DETECTOR_WORDS; i++) {
        both |= set->words[i] & other->words[i];
    }
    return both != 0;
}

static inline bool dv_detector_set_is_empty(const dv_detector_set *set)
{
    return !dv_detector_set_meets(set, set);
}

/* The first one from there on; DV_DETECT_MAX: none. */
static inline size_t dv_detector_set_next(const dv_detector_set *set, size_t from)
{
    for (size_t i = from / 64; i < DV_DETECTOR_WORDS; i++) {
        uint64_t word = set->words[i] & (i == from / 64 ? UINT64_MAX << (from % 64) : UINT64_MAX);
        if (word != 0) {
            return i * 64 + (size_t)__builtin_ctzll(word);
        }
    }
    return DV_DETECT_MAX;
}

/* Whether every detector of `part` is in the set. */
static inline bool dv_detector_set_holds(const dv_detector_set *set, const dv_detector_set *part)
{
    uint64_t missing = 0;
    for (size_t i = 0; i < DV_DETECTOR_WORDS; i++) {
        missing |= part->words[i] & ~set->words[i];
    }
    return missing == 0;
}

/* What a detector saw, where, how surely. Never holds the value itself. */
typedef struct dv_finding {
    const char
        *detector;  /* its id in rules/detectors: "payment_card"; lives as long as the rules */
    uint32_t start; /* byte in the decoded text that was searched */
    uint32_t end;   /* one past the last */
    uint8_t score;  /* 0..100 */
    bool encoded;   /* it does not stand there in clear */
    dv_detector_set detectors; /* all that saw a value within; holds `detector` */
} dv_finding;

typedef enum dv_content_action {
    DV_ACTION_BLOCK = 0,   /* the zero refuses */
    DV_ACTION_ALERT,       /* passes, and the event says so */
    DV_ACTION_MASK,        /* [PAYMENT_CARD ****1111] or so: not reversible */
    DV_ACTION_PLACEHOLDER, /* <EMAIL_x7Kq2a>: restored in answers to the same principal */
    DV_ACTION_REDACT,      /* [PAYMENT_CARD]: shows nothing of it */
    DV_ACTION_ALLOW,       /* passes, and nothing is said of it */
    DV_ACTION_MONITOR,     /* passes, and the event says so; nobody is told */
    /* By the engine of actions (engine/detect/action), under a key, so that the same value becomes
     * the same everywhere: */
    DV_ACTION_HASH,       /* 9f86d081884c7d65 */
    DV_ACTION_PSEUDONYM,  /* another of the same shape */
    DV_ACTION_FPE,        /* digits for digits */
    DV_ACTION_DATE_SHIFT, /* another day */
    DV_ACTION_GENERALISE, /* 1980 for a date, 10.1.2.0/24 for an address; without a key */
    DV_ACTION_TOKEN,      /* dvs_..., which who has the key and the permission turns back */
} dv_content_action;

enum { DV_CONTENT_ACTIONS = DV_ACTION_TOKEN + 1 };

/* Those that a policy may name (all but monitor), from the strictest on, for errors. */
#define DV_POLICY_ACTIONS                                                                          \
    "block, redact, mask, hash, pseudonym, token, fpe, date_shift, generalise, placeholder, "      \
    "alert or allow"

/* One thing seen in a body, for the event: where it was and what was done; never the value. */
typedef struct dv_sighting {
    const char *detector;
    const char *place; /* JSON pointer (RFC 6901) of the string: "/messages/0/content" */
    dv_content_action action;
    uint8_t score;  /* the highest */
    uint32_t times; /* it was seen there; 0 is 1 */
    bool tells;     /* it passes, and is a finding of its own, too; not in the request's record */
} dv_sighting;

/* "block", "date_shift". */
const char *dv_content_action_name(dv_content_action action);
/* The action of that name; false: there is none. */
bool dv_content_action_read(dv_slice name, dv_content_action *ret_action);
/* The same of those that a policy may name. */
bool dv_content_action_read_policy(dv_slice name, dv_content_action *ret_action);
/* Something else stands in the value's place. */
bool dv_content_action_rewrites(dv_content_action action);
