/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/search.h"

#include <ctype.h>

enum {
    WORDS_AHEAD = 256, /* bytes behind a candidate that are searched for words at most */
    WORD_MAX = 64,     /* of a context word, with what may follow it */
};

/* ---- escapes in text that holds JSON ---- */

static bool is_hex4(dv_slice text, size_t at)
{
    for (size_t i = at; i < at + 4; i++) {
        if (i >= text.len || !isxdigit(text.ptr[i])) {
            return false;
        }
    }
    return true;
}

/* The escape (RFC 8259 section 7) whose backslash stands at `at`: its length, 0 when it is none. */
static size_t escape_length(dv_slice text, size_t at)
{
    if (at + 1 >= text.len || text.ptr[at] != '\\' || text.ptr[at + 1] == '\0') {
        return 0;
    }
    if (text.ptr[at + 1] == 'u') {
        return is_hex4(text, at + 2) ? 6 : 0;
    }
    return strchr("bfnrt\"\\/", text.ptr[at + 1]) != NULL ? 2 : 0;
}

bool dv_search_escape_around(dv_slice text, size_t start, size_t *ret_begin, size_t *ret_end)
{
    for (size_t back = 1; back <= DV_MIN(start, (size_t)5); back++) {
        size_t len = escape_length(text, start - back);
        if (len > back) {
            *ret_begin = start - back;
            *ret_end = start - back + len;
            return true;
        }
    }
    return false;
}

/* ---- what stands before a value ---- */

static bool words_before(dv_search *s, pcre2_code *words, size_t distance, size_t start,
                         bool *ret_found)
{
    size_t begin = start > distance ? start - distance : 0;
    pcre2_set_offset_limit(s->scratch->words, start);
    int rc =
        pcre2_jit_match(words, s->text.ptr, start, begin, 0, s->scratch->data, s->scratch->words);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
        s->result = DV_ERR_TOO_LARGE;
        return false;
    }
    *ret_found = rc >= 0;
    return true;
}

/* Goes on to the next word that begins at `from` or after it, before `start` or soon behind it: the
 * more candidates there were, the further, since most texts have but one. */
static bool meet_word(dv_search *s, pcre2_code *words, dv_detect_words *met, size_t from,
                      size_t start)
{
    size_t limit = DV_MIN(start + met->ahead, s->text.len);
    size_t end = DV_MIN(limit + WORD_MAX, s->text.len);
    pcre2_set_offset_limit(s->scratch->words, limit - 1);
    int rc = pcre2_jit_match(words, s->text.ptr, end, from, 0, s->scratch->data, s->scratch->words);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
        s->result = DV_ERR_TOO_LARGE;
        return false;
    }
    met->searched = limit;
    met->ahead = DV_MIN(2 * met->ahead + 16, (size_t)WORDS_AHEAD);
    if (rc >= 0) {
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(s->scratch->data);
        met->next = (dv_detect_word){span[0], span[1]};
        met->searched = span[0] + 1;
    }
    return true;
}

/* The same as words_before for starts that go forwards and have no letter there (which would seem
 * to go on with the word): a pattern reads each byte once, however many of its values ask for the
 * words before them. */
static bool context_before(dv_search *s, size_t index, size_t start, bool *ret_found)
{
    const dv_detect_pattern *pattern = &dv_detect_patterns[index];
    size_t distance = dv_detect_rule_table[pattern->detector].context_distance;
    size_t begin = start > distance ? start - distance : 0;
    dv_detect_words *met = &s->scratch->met[index];
    if (!s->met_words) {
        memset(s->scratch->met, 0, dv_detect_pattern_count * sizeof(*s->scratch->met));
        s->met_words = true;
    }
    if (met->searched < begin && met->next.start < begin) {
        *met = (dv_detect_words){.searched = begin};
    }
    while (met->next.end > 0 ? met->next.end <= start : met->searched < start) {
        if (met->next.end > 0) {
            met->last = met->next;
            met->next.end = 0;
        } else if (!meet_word(s, s->rules->contexts[pattern->detector], met, met->searched,
                              start)) {
            return false;
        }
    }
    *ret_found = met->last.end > 0 && met->last.start >= begin && met->last.end <= start;
    return true;
}

bool dv_search_surroundings(dv_search *s, size_t index, bool forwards, size_t start,
                            bool *ret_allow, bool *ret_context)
{
    const dv_detect_pattern *pattern = &dv_detect_patterns[index];
    const dv_detect_rule *rule = &dv_detect_rule_table[pattern->detector];
    bool context = false;
    bool exception = false;
    forwards = forwards && !isalpha(s->text.ptr[start]);
    if (pattern->context != DV_CONTEXT_NONE &&
        !(forwards ? context_before(s, index, start, &context)
                   : words_before(s, s->rules->contexts[pattern->detector], rule->context_distance,
                                  start, &context))) {
        return false;
    }
    if (rule->unless != NULL && !words_before(s, s->rules->exceptions[pattern->detector],
                                              rule->unless_distance, start, &exception)) {
        return false;
    }
    *ret_context = context;
    *ret_allow = !exception && (context || pattern->context != DV_CONTEXT_REQUIRED);
    return true;
}

bool dv_search_is_value(const dv_detect_pattern *pattern, dv_detect_candidate *candidate)
{
    if (pattern->check != NULL && !pattern->check(candidate)) {
        return false;
    }
    dv_slice value =
        dv_slice_sub(candidate->text, candidate->start, candidate->end - candidate->start);
    return pattern->entropy == 0 || dv_detect_entropy(value) >= pattern->entropy;
}
