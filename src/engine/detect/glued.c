/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/search.h"

/* A letter before it hides a value that has a prefix, since it may be a part of something else. Not
 * when that letter is a value's: two keys with nothing between them are two keys. */

/* Bytes that may be read for glued values: so many times the text's, and some more. Keys do with a
 * fraction of it; a token's prefix over and over, in a long token, would take a thousand times. */
enum {
    GLUED_READS = 16,
    GLUED_FIRST = 16 << 10,
};

uint64_t dv_search_reads(size_t len)
{
    return GLUED_FIRST + GLUED_READS * (uint64_t)len;
}

/* PCRE2's callout: the prefix of a glued value was met. What the pattern may read from there on is
 * paid for first. */
static int on_prefix(pcre2_callout_block *block, void *data)
{
    dv_search *s = data;
    const dv_detect_pattern *pattern = &dv_detect_patterns[s->glued];
    size_t start = block->start_match;
    size_t limit = DV_MIN(start + dv_detect_infos[pattern->detector].max_length, s->text.len);
    s->run_end = DV_MAX(s->run_end, start);
    while (s->run_end < limit && dv_search_holds(s, s->run_end, dv_search_class(pattern))) {
        s->run_end++;
    }
    size_t reads = s->run_end - start;
    if (s->reads < reads || !dv_search_spend(s, reads)) {
        return PCRE2_ERROR_CALLOUT;
    }
    s->reads -= reads;
    return 0;
}

/* Finds the first of the pattern's values that begins in [begin, end]. PCRE2_ERROR_CALLOUT: nothing
 * is left to pay it with. */
static int match_glued(dv_search *s, size_t index, size_t begin, size_t end, size_t text_end,
                       uint32_t options)
{
    pcre2_match_context *match = s->scratch->match;
    pcre2_set_offset_limit(match, end);
    pcre2_set_callout(match, on_prefix, s);
    int rc = pcre2_jit_match(s->rules->glued[index], s->text.ptr, text_end, begin, options,
                             s->scratch->data, match);
    pcre2_set_callout(match, NULL, NULL);
    return rc;
}

/* Where those of the pattern's values that go on behind `end` can begin at the earliest. */
static size_t first_glued(const dv_search *s, size_t index, size_t begin, size_t end)
{
    const dv_detect_pattern *pattern = &dv_detect_patterns[index];
    size_t longest = dv_detect_infos[pattern->detector].max_length;
    begin = end >= longest ? DV_MAX(begin, end - longest + 1) : begin;
    return dv_search_first_start(s, pattern, begin, end);
}

/* Lets the value take in all that the pattern's values could hold: one of them may be there. */
static bool take_run(dv_search *s, const dv_detect_pattern *pattern, dv_finding *value)
{
    size_t end = value->end;
    while (end < s->text.len && dv_search_holds(s, end, dv_search_class(pattern))) {
        end++;
    }
    size_t taken = end - value->end;
    if (taken > 0) {
        dv_detector_set_add(&value->detectors, pattern->detector);
    }
    value->end = (uint32_t)end;
    return dv_search_spend(s, taken);
}

/* Lets the value take in those of the pattern that begin in [begin, end] and go on behind it. */
static bool take_glued(dv_search *s, size_t index, size_t begin, size_t end, dv_finding *value)
{
    const dv_detect_pattern *pattern = &dv_detect_patterns[index];
    begin = first_glued(s, index, begin, end);
    s->glued = index;
    s->run_end = begin;
    while (begin <= end) {
        int rc = match_glued(s, index, begin, end, dv_search_subject_end(s, index, end), 0);
        if (rc == PCRE2_ERROR_CALLOUT && s->result == DV_OK) {
            return take_run(s, pattern, value);
        }
        if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
            s->result = s->result == DV_OK ? DV_ERR_TOO_LARGE : s->result;
            return false;
        }
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(s->scratch->data);
        if (!dv_search_spend(s, DV_EFFORT_MATCH + (rc >= 0 ? span[0] : end) - begin)) {
            return false;
        }
        if (rc == PCRE2_ERROR_NOMATCH) {
            return true;
        }
        dv_detect_candidate next = {s->text, span[0], span[1], false, pattern->score};
        begin = span[0] + 1;
        if (next.end > value->end && dv_search_is_value(pattern, &next) && next.end > value->end) {
            value->end = (uint32_t)next.end;
            dv_detector_set_add(&value->detectors, pattern->detector);
        }
    }
    return true;
}

/* The classes of bytes of values that may begin within a value, or right behind it, and hold the
 * next byte. */
static uint64_t behind(const dv_search *s, const dv_finding *value)
{
    return value->end < s->text.len
               ? s->rules->prefixed & s->rules->may_hold[s->text.ptr[value->end]]
               : 0;
}

static bool is_behind(const dv_search *s, size_t index, uint64_t classes)
{
    const dv_detect_pattern *pattern = &dv_detect_patterns[index];
    return s->rules->glued[index] != NULL && (dv_search_class(pattern) & classes) != 0 &&
           dv_search_enabled(s, pattern);
}

bool dv_search_grow(dv_search *s, dv_finding *value)
{
    size_t begin = (size_t)value->start + 1;
    uint64_t classes = 0;
    while ((classes = behind(s, value)) != 0) {
        size_t end = value->end;
        for (size_t i = 0; i < s->rules->sieved_patterns; i++) {
            if (is_behind(s, i, classes) && !take_glued(s, i, begin, end, value)) {
                return false;
            }
        }
        if (value->end == end) {
            break;
        }
        begin = end + 1;
    }
    return true;
}

/* Whether a value of the pattern could begin in [begin, end] and go on past the text's end. */
static bool may_go_on(dv_search *s, size_t index, size_t begin, size_t end, bool *ret_may)
{
    int rc = PCRE2_ERROR_NOMATCH;
    s->glued = index;
    s->run_end = begin;
    do {
        rc = match_glued(s, index, begin, end, s->text.len, PCRE2_PARTIAL_HARD);
        begin = rc >= 0 ? pcre2_get_ovector_pointer(s->scratch->data)[0] + 1 : begin;
    } while (rc >= 0 && begin <= end);
    bool unread = rc == PCRE2_ERROR_CALLOUT && s->result == DV_OK;
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH && rc != PCRE2_ERROR_PARTIAL && !unread) {
        s->result = s->result == DV_OK ? DV_ERR_TOO_LARGE : s->result;
        return false;
    }
    *ret_may = rc == PCRE2_ERROR_PARTIAL || unread;
    return true;
}

bool dv_search_hold_glued(dv_search *s, const dv_finding *value,
                          const size_t run[DV_DETECT_CLASSES], size_t *hold)
{
    bool may = value->end == s->text.len && dv_detector_set_meets(s->enabled, &s->rules->glueable);
    uint64_t classes = behind(s, value);
    for (size_t i = 0; i < s->rules->sieved_patterns && !may && classes != 0; i++) {
        size_t first = run[dv_detect_rule_table[dv_detect_patterns[i].detector].bytes];
        if (is_behind(s, i, classes) && first <= value->end &&
            !may_go_on(s, i, DV_MAX((size_t)value->start + 1, first), value->end, &may)) {
            return false;
        }
    }
    *hold = may ? DV_MIN(*hold, (size_t)value->start) : *hold;
    return true;
}
