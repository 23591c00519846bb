/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/detect: one search of one text, and what its steps share. scan.c looks for
 * values, search.c asks what stands around them, glued.c looks for values right behind values, and
 * hold.c says what a stream may not send yet. A function that answers bool answers false when the
 * search is over: `result` says why. */

#include "engine/detect/detect_rules.h"

enum { DV_DETECT_AFTER_VALUE = 8 }; /* bytes behind a value that its pattern may look at */

/* What the steps cost, in about nanoseconds. */
enum {
    DV_EFFORT_STOP = 10,  /* of the sieve's pass */
    DV_EFFORT_PART = 40,  /* what vectorscan reads there, */
    DV_EFFORT_LONG = 600, /* and where a trigger may be long, which is slow */
    DV_EFFORT_TRIGGER = 80,
    DV_EFFORT_MATCH = 250,
    DV_EFFORT_FINDING = 4000, /* mostly its caller's: what is found is judged, told of, replaced */
};

typedef struct dv_search {
    const dv_detect_rules *rules;
    dv_detect_scratch *scratch;
    dv_slice text;
    size_t from;
    size_t scanned_from; /* what vectorscan's offsets count from */
    size_t part_begin;   /* what vectorscan has to read next */
    size_t part_end;
    size_t number_end; /* numbers before it were judged */
    size_t cost;       /* of the sieve's stops */
    const dv_detector_set *enabled;
    dv_arena *arena;
    dv_finding *found;
    size_t count;
    size_t room;
    uint64_t reads; /* bytes that may still be read for glued values */
    size_t glued;   /* the pattern whose glued values are looked for, */
    size_t run_end; /* and how far the bytes that they may hold were followed */
    dv_result result;
} dv_search;

/* False when a hurried search has no time left. */
static inline bool dv_search_spend(dv_search *s, uint64_t effort)
{
    dv_detect_scratch *scratch = s->scratch;
    if (!scratch->hurried) {
        return true;
    }
    if (scratch->effort < effort) {
        s->result = DV_ERR_AGAIN;
        return false;
    }
    scratch->effort -= effort;
    return true;
}

static inline bool dv_search_enabled(const dv_search *s, const dv_detect_pattern *pattern)
{
    return dv_detector_set_has(s->enabled, pattern->detector);
}

/* Which bytes the pattern's detector's values may hold. */
static inline uint64_t dv_search_class(const dv_detect_pattern *pattern)
{
    return UINT64_C(1) << dv_detect_rule_table[pattern->detector].bytes;
}

/* Whether values with bytes of one of the classes may hold the byte at `at`. */
static inline bool dv_search_holds(const dv_search *s, size_t at, uint64_t classes)
{
    return (s->rules->may_hold[s->text.ptr[at]] & classes) != 0;
}

/* Where the text may end for a pattern that begins at `start` at the latest: PCRE2 looks far ahead
 * for a byte that must come, even where no value is so long. */
static inline size_t dv_search_subject_end(const dv_search *s, size_t index, size_t start)
{
    size_t longest = dv_detect_infos[dv_detect_patterns[index].detector].max_length;
    return longest >= DV_DETECT_UNBOUNDED
               ? s->text.len
               : DV_MIN(s->text.len, start + longest + DV_DETECT_AFTER_VALUE);
}

/* Where a value that goes on until `end` can begin at the earliest: behind the last byte before
 * `end` that its detector's values never hold. */
static inline size_t dv_search_first_start(const dv_search *s, const dv_detect_pattern *pattern,
                                           size_t begin, size_t end)
{
    uint64_t class = dv_search_class(pattern);
    while (end > begin && dv_search_holds(s, end - 1, class)) {
        end--;
    }
    return end;
}

/* The escape (RFC 8259 section 7) that `start` stands within, after its backslash; in a row of
 * backslashes each may begin one, since nobody knows how often the text was escaped. */
bool dv_search_escape_around(dv_slice text, size_t start, size_t *ret_begin, size_t *ret_end);

/* Whether the words before `start` let the pattern find something there. `forwards`: the starts
 * that are asked about go forwards, so what was read for one serves the next. */
bool dv_search_surroundings(dv_search *s, size_t index, bool forwards, size_t start,
                            bool *ret_allow, bool *ret_context);

/* What the value itself says: its checksum, its randomness. */
bool dv_search_is_value(const dv_detect_pattern *pattern, dv_detect_candidate *candidate);

/* Keeps a value that was found, by the detector with that bit and id. */
bool dv_search_add(dv_search *s, size_t detector, const char *id,
                   const dv_detect_candidate *candidate);

/* Adds what the scratch's users' detectors find (custom.h); *hold comes down to the first start
 * from which one of them may go on. Errors: as dv_detect_scan. */
dv_must dv_result dv_custom_find(dv_search *s);
dv_must dv_result dv_custom_hold(dv_search *s, size_t *hold);

/* How many bytes may be read for glued values in a text. */
uint64_t dv_search_reads(size_t len);

/* One that begins. What keeps findings gives it an arena. */
static inline dv_search dv_search_of(const dv_detect_rules *rules, dv_detect_scratch *scratch,
                                     dv_slice text, size_t from, const dv_detector_set *enabled)
{
    return (dv_search){
        .rules = rules,
        .scratch = scratch,
        .text = text,
        .from = from,
        .enabled = enabled,
        .reads = dv_search_reads(text.len - from),
    };
}

/* Lets the value take in what is glued to it, and what is glued to that. */
bool dv_search_grow(dv_search *s, dv_finding *value);

/* Moves *hold to the value's start when one could be glued to it that is not whole yet. `run`:
 * where the last bytes that are all of a class begin. */
bool dv_search_hold_glued(dv_search *s, const dv_finding *value,
                          const size_t run[DV_DETECT_CLASSES], size_t *hold);
