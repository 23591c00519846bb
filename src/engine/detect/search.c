/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/search.h"

#include "base/caps.h"
#include "engine/detect/places.h"

#include <ctype.h>
#include <strings.h>

enum {
    WORDS_AHEAD = 256,   /* bytes behind a candidate that are searched for words at most */
    WORD_MAX = 64,       /* of a context word, with what may follow it */
    SCORE_CONTEXT = 5,   /* words around make a finding surer */
    FINDINGS_FIRST = 16, /* there is room for at first */
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

/* A keyword begins a word: "adobe_key" and "myAdobeKey", not "hadobe". */
static bool begins_word(dv_slice text, size_t at)
{
    return at == 0 || !isalpha(text.ptr[at - 1]) ||
           (isupper(text.ptr[at]) && islower(text.ptr[at - 1]));
}

/* Whether what stands in [begin, end) names what follows: "_API_KEY=", "Token: '". */
static bool links(dv_search *s, size_t begin, size_t end, bool *ret_links)
{
    int rc = pcre2_jit_match(s->rules->link, s->text.ptr + begin, end - begin, 0, 0,
                             s->scratch->data, s->scratch->words);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
        s->result = DV_ERR_TOO_LARGE;
        return false;
    }
    *ret_links = rc >= 0;
    return true;
}

static bool is_word_at(dv_slice text, size_t at, const char *word, size_t end)
{
    size_t len = strlen(word);
    const char *found = (const char *)text.ptr + at;
    return tolower((unsigned char)*found) == *word && at + len <= end &&
           strncasecmp(found, word, len) == 0;
}

/* Whether a keyword that begins at `at` names what begins at `start`. */
static bool names_value(dv_search *s, const dv_detect_rule *rule, size_t at, size_t start,
                        bool *ret_names)
{
    for (const char *const *word = rule->keywords; *word != NULL && !*ret_names; word++) {
        if (is_word_at(s->text, at, *word, start) &&
            !links(s, at + strlen(*word), start, ret_names)) {
            return false;
        }
    }
    return true;
}

/* Whether a keyword stands before `start` as a name before its value. */
static bool keywords_before(dv_search *s, const dv_detect_rule *rule, size_t start, bool *ret_found)
{
    size_t first = start > rule->context_distance ? start - rule->context_distance : 0;
    pcre2_set_offset_limit(s->scratch->words, PCRE2_UNSET);
    for (size_t at = start; at > first && !*ret_found; at--) {
        if (begins_word(s->text, at - 1) && !names_value(s, rule, at - 1, start, ret_found)) {
            return false;
        }
    }
    return true;
}

static bool context_of(dv_search *s, size_t index, bool forwards, size_t start, bool *ret_context)
{
    const dv_detect_pattern *pattern = &dv_detect_patterns[index];
    const dv_detect_rule *rule = &dv_detect_rule_table[pattern->detector];
    if (pattern->context == DV_CONTEXT_NONE) {
        return true;
    }
    if (pattern->context == DV_CONTEXT_KEYED) {
        return keywords_before(s, rule, start, ret_context);
    }
    if (forwards && !rule->right_before && !isalpha(s->text.ptr[start])) {
        return context_before(s, index, start, ret_context);
    }
    return words_before(s, s->rules->contexts[pattern->detector], rule->context_distance, start,
                        ret_context);
}

bool dv_search_surroundings(dv_search *s, size_t index, bool forwards, size_t start,
                            bool *ret_allow, bool *ret_context)
{
    const dv_detect_pattern *pattern = &dv_detect_patterns[index];
    const dv_detect_rule *rule = &dv_detect_rule_table[pattern->detector];
    bool context = false;
    bool exception = false;
    if (!context_of(s, index, forwards, start, &context)) {
        return false;
    }
    if (rule->unless != NULL && !words_before(s, s->rules->exceptions[pattern->detector],
                                              rule->unless_distance, start, &exception)) {
        return false;
    }
    *ret_context = context;
    *ret_allow = !exception && (context || pattern->context == DV_CONTEXT_NONE ||
                                pattern->context == DV_CONTEXT_OPTIONAL);
    return true;
}

bool dv_search_is_value(const dv_detect_pattern *pattern, dv_detect_candidate *candidate)
{
    if (pattern->check != NULL && !pattern->check(candidate)) {
        return false;
    }
    dv_slice value =
        dv_slice_sub(candidate->text, candidate->start, candidate->end - candidate->start);
    bool literal = pattern->trigger >= dv_detect_family_end[DV_FAMILY_SIEVED] &&
                   pattern->trigger < dv_detect_family_end[DV_FAMILY_LITERAL];
    if (literal && !dv_places_has(value)) {
        return false; /* nobody looked for such values in all places */
    }
    return pattern->entropy == 0 || dv_detect_entropy(value) >= pattern->entropy;
}

/* ---- what is found ---- */

bool dv_search_add(dv_search *s, size_t detector, const char *id,
                   const dv_detect_candidate *candidate)
{
    size_t start = candidate->start;
    size_t end = 0;
    if (s->count == DV_LIMIT_FINDINGS) {
        s->result = DV_ERR_TOO_LARGE;
        return false;
    }
    if (!dv_search_spend(s, DV_EFFORT_FINDING)) {
        return false;
    }
    if (!dv_search_escape_around(s->text, start, &start, &end) || start < s->from) {
        start = candidate->start; /* otherwise it takes the escape's backslash in */
    }
    dv_finding *found =
        dv_arena_grow(s->arena, s->found, s->count, &s->room, sizeof(*found), FINDINGS_FIRST);
    if (found == NULL) {
        s->result = DV_ERR_NO_MEMORY;
        return false;
    }
    s->found = found;
    unsigned score = candidate->score + (candidate->context ? SCORE_CONTEXT : 0);
    dv_finding *added = &found[s->count++];
    *added = (dv_finding){
        .detector = id,
        .start = (uint32_t)start,
        .end = (uint32_t)candidate->end,
        .score = (uint8_t)DV_MIN(score, 100u),
    };
    dv_detector_set_add(&added->detectors, detector);
    return true;
}
