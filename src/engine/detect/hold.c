/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/search.h"

#include <ctype.h>

enum { LOOKBACK = 128 }; /* bytes before a value in which its trigger begins */

/* Where the escape begins that the text ends in and that is not whole yet; text.len when there is
 * none. A value that begins within it would take it in. */
static size_t unfinished_escape(dv_slice text, size_t from)
{
    for (size_t back = 1; back <= DV_MIN(text.len - from, (size_t)5); back++) {
        size_t at = text.len - back;
        if (text.ptr[at] == '\\' && (back == 1 || text.ptr[at + 1] == 'u')) {
            return at;
        }
        if (!isxdigit(text.ptr[at]) && text.ptr[at] != 'u') {
            break;
        }
    }
    return text.len;
}

/* Moves *hold to the first start from which the pattern could go on past the text's end. */
static bool hold_for(dv_search *s, size_t index, size_t begin, size_t *hold)
{
    pcre2_set_offset_limit(s->scratch->match, PCRE2_UNSET);
    while (begin < *hold) {
        int rc = pcre2_jit_match(s->rules->patterns[index], s->text.ptr, s->text.len, begin,
                                 PCRE2_PARTIAL_HARD, s->scratch->data, s->scratch->match);
        if (rc == PCRE2_ERROR_NOMATCH) {
            return true;
        }
        if (rc < 0 && rc != PCRE2_ERROR_PARTIAL) {
            s->result = DV_ERR_TOO_LARGE;
            return false;
        }
        size_t start = pcre2_get_ovector_pointer(s->scratch->data)[0];
        bool allow = false;
        bool context = false;
        if (!dv_search_surroundings(s, index, false, start, &allow, &context)) {
            return false;
        }
        if (rc == PCRE2_ERROR_PARTIAL && allow) {
            size_t escape = start;
            size_t after = 0;
            (void)dv_search_escape_around(s->text, start, &escape, &after);
            *hold = DV_MIN(*hold, DV_MAX(escape, s->from));
        }
        begin = start + 1;
    }
    return true;
}

/* Where the last bytes that are all of a class begin; `from` for those that go further back. */
static void find_runs(const dv_search *s, size_t run[DV_DETECT_CLASSES])
{
    uint64_t alive =
        dv_detect_class_count < 64 ? (UINT64_C(1) << dv_detect_class_count) - 1 : UINT64_MAX;
    for (size_t i = 0; i < DV_DETECT_CLASSES; i++) {
        run[i] = s->from;
    }
    for (size_t at = s->text.len; at > s->from && alive != 0; at--) {
        uint64_t ended = alive & ~s->rules->may_hold[s->text.ptr[at - 1]];
        alive &= ~ended;
        for (; ended != 0; ended &= ended - 1) {
            run[__builtin_ctzll(ended)] = at;
        }
    }
}

/* The first start of a value of the pattern that may not be whole yet. */
static size_t first_start(const dv_search *s, const dv_detect_pattern *pattern,
                          const size_t run[DV_DETECT_CLASSES])
{
    size_t longest = dv_detect_infos[pattern->detector].max_length;
    size_t begin = run[dv_detect_rule_table[pattern->detector].bytes];
    return s->text.len - begin > longest ? s->text.len - longest : begin;
}

/* Moves *hold to where the first value of the sieved family could begin that is not whole yet. */
static bool hold_sieved(dv_search *s, const size_t run[DV_DETECT_CLASSES], size_t *hold)
{
    for (size_t i = 0; i < s->rules->sieved_patterns; i++) {
        const dv_detect_pattern *pattern = &dv_detect_patterns[i];
        size_t begin = first_start(s, pattern, run);
        if (dv_search_enabled(s, pattern) && begin < *hold && !hold_for(s, i, begin, hold)) {
            return false;
        }
    }
    return true;
}

/* ---- the literal families, of which there are many patterns ---- */

/* vectorscan's callback: patterns behind this trigger may find something. */
static int on_trigger(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                      void *data)
{
    dv_search *s = data;
    for (size_t i = s->rules->first_pattern[id]; i < s->rules->first_pattern[id + 1]; i++) {
        dv_bit_add(s->scratch->live, i - s->rules->sieved_patterns);
    }
    return 0;
}

/* Which patterns of the family may have a value there: those that begin with their trigger, whose
 * beginning may be all that is there yet, and those whose trigger stands before. */
static bool find_live(dv_search *s, dv_detect_family family, size_t begin)
{
    if (!dv_detector_set_meets(s->enabled, &s->rules->families[family])) {
        return true;
    }
    begin = begin > LOOKBACK ? begin - LOOKBACK : 0;
    return hs_scan(s->rules->databases[family], (const char *)s->text.ptr + begin,
                   (unsigned)(s->text.len - begin), 0, s->scratch->hs, on_trigger, s) == HS_SUCCESS;
}

/* Those of the patterns whose values may begin at `start`, told from the first bytes there. */
static uint64_t may_start(const dv_search *s, size_t word, size_t start)
{
    const uint64_t *starts = s->rules->starts;
    size_t words = s->rules->start_words;
    size_t known = DV_MIN(s->text.len - start, (size_t)DV_DETECT_FIRST);
    uint64_t may = s->scratch->live[word];
    for (size_t i = 0; i < known && may != 0; i++) {
        may &= starts[(i * 256 + s->text.ptr[start + i]) * words + word];
    }
    return may;
}

/* Asks those patterns of a word of the set that may begin at `start`; each only once, since PCRE2
 * goes on from there. */
static bool hold_word(dv_search *s, const size_t run[DV_DETECT_CLASSES], size_t word, size_t start,
                      size_t *hold)
{
    uint64_t may = may_start(s, word, start) & ~s->scratch->candidates[word];
    for (; may != 0; may &= may - 1) {
        size_t bit = (size_t)__builtin_ctzll(may);
        size_t index = s->rules->sieved_patterns + word * 64 + bit;
        const dv_detect_pattern *pattern = &dv_detect_patterns[index];
        if (!dv_search_enabled(s, pattern) || first_start(s, pattern, run) > start) {
            continue; /* it would hold a byte that its values never do, or be too long */
        }
        s->scratch->candidates[word] |= UINT64_C(1) << bit;
        if (!hold_for(s, index, start, hold)) {
            return false;
        }
    }
    return true;
}

/* Where the first value of these families that is not whole yet could begin. */
static size_t literal_begin(const dv_search *s, const size_t run[DV_DETECT_CLASSES])
{
    size_t begin = s->text.len;
    for (size_t i = 0; i < dv_detect_class_count; i++) {
        size_t longest = s->rules->literal_longest[i];
        size_t first = s->text.len > longest ? s->text.len - longest : 0;
        begin = DV_MIN(begin, DV_MAX(run[i], first));
    }
    return begin;
}

/* The same as hold_sieved for the other families. */
static bool hold_literals(dv_search *s, const size_t run[DV_DETECT_CLASSES], size_t *hold)
{
    size_t words = s->rules->start_words;
    size_t begin = literal_begin(s, run);
    if (begin >= *hold) {
        return true;
    }
    memcpy(s->scratch->live, s->rules->beginning, words * sizeof(uint64_t));
    memset(s->scratch->candidates, 0, words * sizeof(uint64_t));
    if (!find_live(s, DV_FAMILY_LITERAL, begin) || !find_live(s, DV_FAMILY_OPTIONAL, begin)) {
        s->result = DV_ERR_INTERNAL;
        return false;
    }
    for (size_t start = begin; start < *hold; start++) {
        for (size_t word = 0; word < words; word++) {
            if (s->scratch->live[word] != 0 && !hold_word(s, run, word, start, hold)) {
                return false;
            }
        }
    }
    return true;
}

dv_result dv_detect_hold(const dv_detect_rules *rules, dv_detect_scratch *scratch, dv_slice text,
                         size_t from, const dv_detector_set *enabled, const dv_finding *found,
                         size_t count, size_t *ret_hold)
{
    dv_search s = dv_search_of(rules, scratch, text, from, enabled);
    size_t run[DV_DETECT_CLASSES];
    size_t hold = !dv_detector_set_is_empty(enabled) ? unfinished_escape(text, from) : text.len;
    find_runs(&s, run);
    if (!hold_sieved(&s, run, &hold) || !hold_literals(&s, run, &hold)) {
        return s.result;
    }
    DV_TRY(dv_custom_hold(&s, &hold));
    for (size_t i = 0; i < count; i++) {
        if (!dv_search_hold_glued(&s, &found[i], run, &hold)) {
            return s.result;
        }
    }
    *ret_hold = hold;
    return DV_OK;
}
