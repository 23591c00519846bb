/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/detect_rules.h"

#include "base/caps.h"

#include <ctype.h>

/* One search of one text.
 *
 * 1. Every byte is a start that a pattern tries at most once (twice after an escape), however many
 *    triggers ask for it, so the work stays linear in the text. Windows that touch are one: a long
 * run of digits, which triggers at every byte, costs one call of PCRE2.
 * 2. A candidate that its check refuses hides nothing: the search goes on one byte after its start.
 * 3. Values that are glued to others may begin at every byte of those, so what is read for them is
 *    counted. Where a text asks for more than its length allows, what follows is taken in unread.
 * 4. Any failure of a library ends the search with an error, never with fewer findings. */

enum {
    SCORE_CONTEXT = 5,      /* words around make a finding surer */
    TRIGGER_LOOKBACK = 112, /* bytes before `from` in which a trigger may end or begin */
    WORDS_AHEAD = 256,      /* bytes behind a candidate that are searched for words at most */
    WORD_MAX = 64,          /* of a context word, with what may follow it */
    AFTER_VALUE = 8,        /* bytes behind a value that its pattern may look at */
};

/* Of what the sieve (sieve.h) finds in a text. */
enum {
    LONG_TRIGGER = 100,
    GAP = 256,         /* parts that are nearer to each other are searched at once: a call of
                          vectorscan costs about as much as so many bytes */
    COST_TRIGGER = 8,  /* of a place where a trigger may be, in stops of the sieve's pass */
    DENSE_COST = 96,   /* after so many, */
    DENSE_BYTES = 6,   /* one in so many bytes, the rest of the text is searched as a whole */
    ESCAPE_LENGTH = 6, /* a value may begin so far behind its window, after an escape */
};

/* What a step costs, in about nanoseconds. */
enum {
    EFFORT_STOP = 10,  /* of the sieve's pass */
    EFFORT_PART = 40,  /* what vectorscan reads there, */
    EFFORT_LONG = 600, /* and where a trigger may be long, which is slow */
    EFFORT_TRIGGER = 80,
    EFFORT_MATCH = 250,
    EFFORT_FINDING = 4000, /* mostly its caller's: what is found is judged, told of, replaced */
};

/* Bytes that may be read for glued values: so many times the text's, and some more. Keys do with a
 * fraction of it; a token's prefix over and over, in a long token, would take a thousand times. */
enum {
    GLUED_READS = 16,
    GLUED_FIRST = 16 << 10,
};

typedef struct search {
    const dv_detect_rules *rules;
    dv_detect_scratch *scratch;
    dv_slice text;
    size_t from;
    size_t scanned_from; /* what vectorscan's offsets count from */
    bool started;        /* the scratch is this search's */
    size_t part_begin;   /* what vectorscan has to read next */
    size_t part_end;
    size_t number_end; /* numbers before it were judged */
    size_t cost;       /* of the sieve's stops */
    uint64_t enabled;
    dv_arena *arena;
    dv_finding *found;
    size_t count;
    size_t room;
    bool met_words; /* scratch->met holds what this search met */
    uint64_t reads; /* bytes that may still be read for glued values */
    size_t glued;   /* the pattern whose glued values are looked for, */
    size_t run_end; /* and how far the bytes that they may hold were followed */
    dv_result result;
} search;

/* False when a hurried search has no time left. */
static bool spend(search *s, uint64_t effort)
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

/* The escape that `start` stands within, after its backslash; in a row of backslashes each may
 * begin one, since nobody knows how often the text was escaped. */
static bool escape_around(dv_slice text, size_t start, size_t *ret_begin, size_t *ret_end)
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

/* ---- a candidate ---- */

static bool words_before(search *s, pcre2_code *words, size_t distance, size_t start,
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
static bool meet_word(search *s, pcre2_code *words, dv_detect_words *met, size_t from, size_t start)
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
static bool context_before(search *s, size_t index, size_t start, bool *ret_found)
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

/* Whether the words before `start` let the pattern find something there. */
static bool surroundings_allow(search *s, size_t index, bool forwards, size_t start,
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

static dv_result add_finding(search *s, const dv_detect_pattern *pattern,
                             const dv_detect_candidate *candidate)
{
    size_t start = candidate->start;
    size_t end = 0;
    if (s->count == DV_LIMIT_FINDINGS) {
        return DV_ERR_TOO_LARGE;
    }
    if (!spend(s, EFFORT_FINDING)) {
        return DV_ERR_AGAIN;
    }
    if (!escape_around(s->text, start, &start, &end) || start < s->from) {
        start = candidate->start; /* otherwise it takes the escape's backslash in */
    }
    if (s->count == s->room) {
        size_t room = s->room == 0 ? 16 : s->room * 2;
        dv_finding *bigger = dv_arena_alloc_raw(s->arena, room * sizeof(*bigger));
        if (bigger == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        if (s->count > 0) {
            memcpy(bigger, s->found, s->count * sizeof(*bigger));
        }
        s->found = bigger;
        s->room = room;
    }
    unsigned score = candidate->score + (candidate->context ? SCORE_CONTEXT : 0);
    s->found[s->count++] = (dv_finding){
        .detector = dv_detect_infos[pattern->detector].id,
        .start = (uint32_t)start,
        .end = (uint32_t)candidate->end,
        .score = (uint8_t)DV_MIN(score, 100u),
        .detectors = UINT64_C(1) << pattern->detector,
    };
    return DV_OK;
}

/* What the value itself says: its checksum, its randomness. */
static bool is_value(const dv_detect_pattern *pattern, dv_detect_candidate *candidate)
{
    if (pattern->check != NULL && !pattern->check(candidate)) {
        return false;
    }
    dv_slice value =
        dv_slice_sub(candidate->text, candidate->start, candidate->end - candidate->start);
    return pattern->entropy == 0 || dv_detect_entropy(value) >= pattern->entropy;
}

/* Judges what PCRE2 found; *ret_next is where the search goes on. */
static bool judge_value(search *s, size_t index, bool forwards, size_t start, size_t end,
                        size_t *ret_next)
{
    const dv_detect_pattern *pattern = &dv_detect_patterns[index];
    dv_detect_candidate candidate = {s->text, start, end, false, pattern->score};
    bool allow = false;
    *ret_next = start + 1;
    if (!surroundings_allow(s, index, forwards, start, &allow, &candidate.context)) {
        return false;
    }
    if (!allow || !is_value(pattern, &candidate)) {
        return true;
    }
    s->result = add_finding(s, pattern, &candidate);
    *ret_next = candidate.end;
    return s->result == DV_OK;
}

/* Where the text may end for a pattern that begins at `start` at the latest: PCRE2 looks far ahead
 * for a byte that must come, even where no value is so long. */
static size_t subject_end(const search *s, size_t index, size_t start)
{
    size_t longest = dv_detect_infos[dv_detect_patterns[index].detector].max_length;
    return longest >= DV_DETECT_UNBOUNDED ? s->text.len
                                          : DV_MIN(s->text.len, start + longest + AFTER_VALUE);
}

/* The same, but a value that would begin within an escape begins after it where it can: the "n" of
 * "\\nbob@..." is no part of the address. */
static bool judge(search *s, size_t index, size_t start, size_t end, size_t *ret_next)
{
    size_t escape = 0;
    size_t after = 0;
    if (escape_around(s->text, start, &escape, &after)) {
        pcre2_set_offset_limit(s->scratch->match, after);
        int rc =
            pcre2_jit_match(s->rules->patterns[index], s->text.ptr, subject_end(s, index, after),
                            after, 0, s->scratch->data, s->scratch->match);
        if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
            s->result = DV_ERR_TOO_LARGE;
            return false;
        }
        size_t count = s->count;
        size_t after_end = rc >= 0 ? pcre2_get_ovector_pointer(s->scratch->data)[1] : 0;
        if (rc >= 0 && !judge_value(s, index, false, after, after_end, ret_next)) {
            return false;
        }
        if (s->count > count) {
            return true;
        }
    }
    return judge_value(s, index, true, start, end, ret_next);
}

/* Tries the starts of the pattern's window. */
static bool try_window(search *s, size_t index)
{
    dv_detect_scratch *scratch = s->scratch;
    dv_detect_window *window = &scratch->windows[index];
    size_t begin = window->begin;
    size_t end = subject_end(s, index, window->end);
    while (begin < window->end) {
        if (!spend(s, EFFORT_MATCH)) {
            return false;
        }
        pcre2_set_offset_limit(scratch->match, window->end - 1);
        int rc = pcre2_jit_match(s->rules->patterns[index], s->text.ptr, end, begin, 0,
                                 scratch->data, scratch->match);
        if (rc == PCRE2_ERROR_NOMATCH) {
            break;
        }
        if (rc < 0) {
            s->result = DV_ERR_TOO_LARGE;
            return false;
        }
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(scratch->data);
        if (!judge(s, index, span[0], span[1], &begin)) {
            return false;
        }
    }
    begin = DV_MAX(begin, window->end);
    *window = (dv_detect_window){begin, begin};
    return true;
}

/* Where a value that goes on until `end` can begin at the earliest: behind the last byte before
 * `end` that its detector's values never hold. */
static size_t first_start(const search *s, const dv_detect_pattern *pattern, size_t begin,
                          size_t end)
{
    while (end > begin &&
           ((s->rules->may_hold[s->text.ptr[end - 1]] >> pattern->detector) & 1) != 0) {
        end--;
    }
    return end;
}

/* Adds [begin, end) to what the pattern has to try. vectorscan tells of triggers in order, so a
 * window that is left behind is complete. */
static bool widen(search *s, size_t index, size_t begin, size_t end)
{
    dv_detect_window *window = &s->scratch->windows[index];
    if (begin > window->end) {
        if (window->begin < window->end && !try_window(s, index)) {
            return false;
        }
        window->begin = DV_MAX(begin, window->begin);
        window->end = window->begin;
    }
    window->end = DV_MAX(end, window->end);
    return true;
}

/* ---- what a pattern needs ---- */

/* A text that could be numbers. */
typedef struct figures {
    size_t digits;
    size_t others; /* other bytes between the first and the last digit */
    size_t end;    /* the first byte behind it that no value of it could hold */
} figures;

static bool holds(const search *s, size_t at, uint64_t detectors)
{
    return (s->rules->may_hold[s->text.ptr[at]] & detectors) != 0;
}

/* Counts from `begin` to `until`, and on as far as values of the detectors could. */
static figures count_number(const search *s, uint64_t detectors, size_t begin, size_t until,
                            size_t limit)
{
    figures found = {0, 0, begin};
    size_t others = 0;
    size_t at = begin;
    for (; at < limit && (at < until || holds(s, at, detectors)); at++) {
        if (s->text.ptr[at] >= '0' && s->text.ptr[at] <= '9') {
            found.digits++;
            found.others = others;
        } else if (found.digits > 0) {
            others++;
        }
    }
    found.end = at;
    return found;
}

/* The numbers around a run of a trigger. A value that begins there goes on within them: its bytes
 * are such that the walk does not end before it does. */
static figures count_run(const search *s, const dv_detect_number_rule *rule, dv_detect_run run)
{
    size_t first = run.first > rule->back ? run.first - rule->back : 0;
    size_t begin = run.first;
    while (begin > first && holds(s, begin - 1, rule->detectors)) {
        begin--;
    }
    size_t until = DV_MIN(run.last + ESCAPE_LENGTH, s->text.len);
    return count_number(s, rule->detectors, begin, until,
                        DV_MIN(until + rule->longest, s->text.len));
}

/* Whether a value of the pattern could begin in [begin, end): PCRE2 costs more than to ask. */
static bool could_begin(const search *s, const dv_detect_pattern *pattern, const figures *number,
                        size_t begin, size_t end)
{
    if (s->rules->sieve == NULL) {
        return true; /* nothing is passed over */
    }
    if (number->digits < pattern->digits || number->others < pattern->others) {
        return false;
    }
    const dv_sieve *words = s->rules->words[pattern->detector];
    if (pattern->context != DV_CONTEXT_REQUIRED) {
        return true;
    }
    size_t distance = dv_detect_rule_table[pattern->detector].context_distance;
    return dv_sieve_may_match(words, s->text, begin > distance ? begin - distance : 0,
                              DV_MIN(end + ESCAPE_LENGTH, s->text.len));
}

/* Opens the windows of the trigger's patterns for the run that ended. */
static bool end_run(search *s, unsigned id)
{
    dv_detect_run run = s->scratch->runs[id];
    const dv_detect_number_rule *rule = &s->rules->numbers[id];
    figures number = {0, 0, 0};
    if (rule->detectors != 0) {
        number = count_run(s, rule, run);
    }
    s->scratch->runs[id] = (dv_detect_run){0, 0};
    for (size_t i = s->rules->first_pattern[id]; i < s->rules->first_pattern[id + 1]; i++) {
        const dv_detect_pattern *pattern = &dv_detect_patterns[i];
        size_t begin = run.first > pattern->back ? run.first - pattern->back : 0;
        size_t limit = DV_MIN(run.last + pattern->ahead, s->text.len);
        if (((s->enabled >> pattern->detector) & 1) == 0 || limit <= s->from) {
            continue;
        }
        if (pattern->within) {
            begin = first_start(s, pattern, begin, run.first);
        }
        begin = DV_MAX(begin, s->from);
        if (could_begin(s, pattern, &number, begin, limit) && !widen(s, i, begin, limit)) {
            return false;
        }
    }
    return true;
}

/* vectorscan's callback: trigger `id` ended before `to`. */
static int on_trigger(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                      void *data)
{
    search *s = data;
    dv_detect_run *run = &s->scratch->runs[id];
    size_t end = s->scanned_from + (size_t)to;
    if (!spend(s, EFFORT_TRIGGER)) {
        return 1;
    }
    if (run->first > 0 && end - run->last > s->rules->reach[id] && !end_run(s, id)) {
        return 1;
    }
    run->first = run->first > 0 ? run->first : end;
    run->last = end;
    return 0;
}

static bool try_rest(search *s)
{
    for (unsigned id = 0; id < dv_detect_trigger_count; id++) {
        if (s->scratch->runs[id].first > 0 && !end_run(s, id)) {
            return false;
        }
    }
    for (size_t i = 0; i < dv_detect_pattern_count; i++) {
        const dv_detect_window *window = &s->scratch->windows[i];
        if (window->begin < window->end && !try_window(s, i)) {
            return false;
        }
    }
    return true;
}

/* ---- where triggers may be ---- */

static void start(search *s)
{
    for (size_t i = 0; i < dv_detect_pattern_count; i++) {
        s->scratch->windows[i] = (dv_detect_window){s->from, s->from};
    }
    memset(s->scratch->runs, 0, dv_detect_trigger_count * sizeof(*s->scratch->runs));
    s->started = true;
}

/* Lets vectorscan read the part. Triggers look at nothing but their own bytes, so it tells of the
 * same ones in a part as in the whole text, as long as they are within it. */
static bool search_part(search *s)
{
    if (s->part_end <= s->part_begin) {
        return true;
    }
    if (!s->started) {
        start(s);
    }
    s->scanned_from = s->part_begin;
    return hs_scan(s->rules->database, (const char *)s->text.ptr + s->part_begin,
                   (unsigned)(s->part_end - s->part_begin), 0, s->scratch->hs, on_trigger,
                   s) == HS_SUCCESS;
}

/* Adds [begin, end) to what vectorscan has to read; `begin` never goes back. */
static bool add_part(search *s, size_t begin, size_t end)
{
    bool apart = s->part_end <= s->part_begin;
    if (!apart && begin > s->part_end + GAP) {
        if (!search_part(s)) {
            return false;
        }
        apart = true;
    }
    s->part_begin = apart ? begin : s->part_begin;
    s->part_end = DV_MAX(apart ? begin : s->part_end, DV_MIN(end, s->text.len));
    return true;
}

/* A number begins at `first`. One that no pattern could take for its own is passed over. */
static bool add_number(search *s, size_t trigger, size_t first, size_t part)
{
    const dv_detect_number_rule *rule = &s->rules->numbers[trigger];
    figures number = count_number(s, rule->detectors, first, first, s->text.len);
    s->number_end = number.end;
    for (size_t i = s->rules->first_pattern[trigger]; i < s->rules->first_pattern[trigger + 1];
         i++) {
        const dv_detect_pattern *pattern = &dv_detect_patterns[i];
        size_t begin = first > pattern->lead ? first - pattern->lead : 0;
        if (((s->enabled >> pattern->detector) & 1) != 0 &&
            could_begin(s, pattern, &number, begin, number.end)) {
            return add_part(s, part, number.end);
        }
    }
    return true;
}

/* The sieve stopped at a place. */
static bool look_at(search *s, size_t at, size_t first)
{
    uint64_t grams = dv_sieve_grams(s->rules->sieve, s->text, at);
    size_t begin = at > first + s->rules->sieve_back ? at - s->rules->sieve_back : first;
    s->cost += grams == 0 ? 1 : COST_TRIGGER;
    if (!spend(s, grams == 0 ? EFFORT_STOP : EFFORT_PART)) {
        return false;
    }
    if (grams == 0) {
        return true;
    }
    if ((grams & s->rules->number_grams) != 0) {
        const dv_sieve_gram *gram =
            &dv_detect_trigger_grams[__builtin_ctzll(grams & s->rules->number_grams)];
        grams &= ~s->rules->number_grams;
        if (at >= s->number_end && !add_number(s, gram->owner, at - gram->back, begin)) {
            return false;
        }
    }
    size_t end = 0;
    bool is_long = false;
    for (; grams != 0; grams &= grams - 1) {
        size_t ahead = dv_detect_trigger_grams[__builtin_ctzll(grams)].ahead;
        end = DV_MAX(end, ahead == 0 ? s->text.len : at + ahead);
        is_long |= ahead == 0 || ahead > LONG_TRIGGER;
    }
    return end == 0 || (spend(s, is_long ? EFFORT_LONG : 0) && add_part(s, begin, end));
}

/* Finds the parts of the text that triggers may be in. All that stand in ordinary text is none. */
static bool sift(search *s, size_t first)
{
    size_t at = first;
    uint64_t stops = 0;
    while ((stops = dv_sieve_next(s->rules->sieve, s->text, &at)) != 0) {
        for (; stops != 0; stops &= stops - 1) {
            if (!look_at(s, at + (size_t)__builtin_ctzll(stops), first)) {
                return false;
            }
        }
        at += 64;
        /* In a hurry every place is looked at, since each is counted. */
        bool dense = s->part_end > s->part_begin && s->cost > DENSE_COST &&
                     s->cost * DENSE_BYTES > at - first;
        if (!s->scratch->hurried && (dense || s->part_end == s->text.len)) {
            return add_part(s, at > s->rules->sieve_back ? at - s->rules->sieve_back : 0,
                            s->text.len);
        }
    }
    return true;
}

static dv_result run(search *s)
{
    size_t first = s->from > TRIGGER_LOOKBACK ? s->from - TRIGGER_LOOKBACK : 0;
    bool sifted = s->rules->sieve != NULL ? sift(s, first) : add_part(s, first, s->text.len);
    if (sifted && search_part(s) && (!s->started || try_rest(s))) {
        return DV_OK;
    }
    return s->result != DV_OK ? s->result : DV_ERR_INTERNAL;
}

/* ---- overlaps ---- */

static int by_start(const void *a, const void *b)
{
    const dv_finding *x = a;
    const dv_finding *y = b;
    if (x->start != y->start) {
        return x->start < y->start ? -1 : 1;
    }
    return x->end > y->end ? -1 : x->end < y->end;
}

static bool names_better(const dv_finding *a, uint32_t length, const dv_finding *b,
                         uint32_t other_length)
{
    return a->score > b->score || (a->score == b->score && length > other_length);
}

/* Values that overlap become one over all their bytes, so that no part of any is left bare; it
 * keeps all their detectors, so that none hides another from the policy. */
static size_t merge(dv_finding *found, size_t count)
{
    qsort(found, count, sizeof(*found), by_start);
    size_t kept = 0;
    uint32_t named = 0; /* length of the value that names found[kept - 1] */
    for (size_t i = 0; i < count; i++) {
        uint32_t length = found[i].end - found[i].start;
        if (kept == 0 || found[i].start >= found[kept - 1].end) {
            found[kept++] = found[i];
            named = length;
            continue;
        }
        dv_finding *last = &found[kept - 1];
        if (names_better(&found[i], length, last, named)) {
            last->detector = found[i].detector;
            last->score = found[i].score;
            named = length;
        }
        last->end = DV_MAX(last->end, found[i].end);
        last->detectors |= found[i].detectors;
    }
    return kept;
}

/* ---- values behind values ---- */

/* A letter before it hides a value that has a prefix, since it may be a part of something else. Not
 * when that letter is a value's: two keys with nothing between them are two keys. */

/* PCRE2's callout: the prefix of a glued value was met. What the pattern may read from there on is
 * paid for first. */
static int on_prefix(pcre2_callout_block *block, void *data)
{
    search *s = data;
    const dv_detect_pattern *pattern = &dv_detect_patterns[s->glued];
    size_t start = block->start_match;
    size_t limit = DV_MIN(start + dv_detect_infos[pattern->detector].max_length, s->text.len);
    s->run_end = DV_MAX(s->run_end, start);
    while (s->run_end < limit && holds(s, s->run_end, UINT64_C(1) << pattern->detector)) {
        s->run_end++;
    }
    size_t reads = s->run_end - start;
    if (s->reads < reads || !spend(s, reads)) {
        return PCRE2_ERROR_CALLOUT;
    }
    s->reads -= reads;
    return 0;
}

/* Finds the first of the pattern's values that begins in [begin, end]. PCRE2_ERROR_CALLOUT: nothing
 * is left to pay it with. */
static int match_glued(search *s, size_t index, size_t begin, size_t end, size_t text_end,
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
static size_t first_glued(const search *s, size_t index, size_t begin, size_t end)
{
    const dv_detect_pattern *pattern = &dv_detect_patterns[index];
    size_t longest = dv_detect_infos[pattern->detector].max_length;
    begin = end >= longest ? DV_MAX(begin, end - longest + 1) : begin;
    return first_start(s, pattern, begin, end);
}

/* Lets the value take in all that the pattern's values could hold: one of them may be there. */
static bool take_run(search *s, const dv_detect_pattern *pattern, dv_finding *value)
{
    uint64_t detector = UINT64_C(1) << pattern->detector;
    size_t end = value->end;
    while (end < s->text.len && holds(s, end, detector)) {
        end++;
    }
    size_t taken = end - value->end;
    value->detectors |= taken > 0 ? detector : 0;
    value->end = (uint32_t)end;
    return spend(s, taken);
}

/* Lets the value take in those of the pattern that begin in [begin, end] and go on behind it. */
static bool take_glued(search *s, size_t index, size_t begin, size_t end, dv_finding *value)
{
    const dv_detect_pattern *pattern = &dv_detect_patterns[index];
    begin = first_glued(s, index, begin, end);
    s->glued = index;
    s->run_end = begin;
    while (begin <= end) {
        int rc = match_glued(s, index, begin, end, subject_end(s, index, end), 0);
        if (rc == PCRE2_ERROR_CALLOUT && s->result == DV_OK) {
            return take_run(s, pattern, value);
        }
        if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
            s->result = s->result == DV_OK ? DV_ERR_TOO_LARGE : s->result;
            return false;
        }
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(s->scratch->data);
        if (!spend(s, EFFORT_MATCH + (rc >= 0 ? span[0] : end) - begin)) {
            return false;
        }
        if (rc == PCRE2_ERROR_NOMATCH) {
            return true;
        }
        dv_detect_candidate next = {s->text, span[0], span[1], false, pattern->score};
        begin = span[0] + 1;
        if (next.end > value->end && is_value(pattern, &next) && next.end > value->end) {
            value->end = (uint32_t)next.end;
            value->detectors |= UINT64_C(1) << pattern->detector;
        }
    }
    return true;
}

/* The detectors whose values may begin within a value, or right behind it, and hold the next byte.
 */
static uint64_t behind(const search *s, const dv_finding *value)
{
    return value->end < s->text.len
               ? s->enabled & s->rules->prefixed & s->rules->may_hold[s->text.ptr[value->end]]
               : 0;
}

static bool is_behind(const search *s, size_t index, uint64_t detectors)
{
    return s->rules->glued[index] != NULL &&
           ((detectors >> dv_detect_patterns[index].detector) & 1) != 0;
}

/* Lets the value take in what is glued to it, and what is glued to that. */
static bool grow(search *s, dv_finding *value)
{
    size_t begin = (size_t)value->start + 1;
    uint64_t detectors = 0;
    while ((detectors = behind(s, value)) != 0) {
        size_t end = value->end;
        for (size_t i = 0; i < dv_detect_pattern_count; i++) {
            if (is_behind(s, i, detectors) && !take_glued(s, i, begin, end, value)) {
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

/* Makes the findings final: apart from each other, with all that is glued to them. */
static dv_result settle(search *s)
{
    size_t grown = 0; /* where what was looked through for glued values ends */
    bool grew = false;
    s->count = s->count > 1 ? merge(s->found, s->count) : s->count;
    for (size_t i = 0; i < s->count; i++) {
        size_t end = s->found[i].end;
        if (end <= grown) {
            continue;
        }
        if (!grow(s, &s->found[i])) {
            return s->result;
        }
        grown = s->found[i].end;
        grew |= grown > end;
    }
    s->count = grew ? merge(s->found, s->count) : s->count;
    return DV_OK;
}

/* ---- the two entries ---- */

dv_result dv_detect_scan(const dv_detect_rules *rules, dv_detect_scratch *scratch, dv_slice text,
                         size_t from, uint64_t enabled, dv_arena *arena,
                         const dv_finding **ret_findings, size_t *ret_count)
{
    if (text.len > UINT32_MAX || from > text.len) {
        return DV_ERR_TOO_LARGE;
    }
    search s = {
        .rules = rules,
        .scratch = scratch,
        .text = text,
        .from = from,
        .enabled = enabled,
        .arena = arena,
        .reads = GLUED_FIRST + GLUED_READS * (uint64_t)(text.len - from),
    };
    if (text.len > from && enabled != 0) {
        DV_TRY(run(&s));
        DV_TRY(settle(&s));
    }
    *ret_count = s.count;
    *ret_findings = s.found;
    return DV_OK;
}

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
static bool hold_for(search *s, size_t index, size_t begin, size_t *hold)
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
        if (!surroundings_allow(s, index, false, start, &allow, &context)) {
            return false;
        }
        if (rc == PCRE2_ERROR_PARTIAL && allow) {
            size_t escape = start;
            size_t after = 0;
            (void)escape_around(s->text, start, &escape, &after);
            *hold = DV_MIN(*hold, DV_MAX(escape, s->from));
        }
        begin = start + 1;
    }
    return true;
}

/* Whether a value of the pattern could begin in [begin, end] and go on past the text's end. */
static bool may_go_on(search *s, size_t index, size_t begin, size_t end, bool *ret_may)
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

/* A value to which one could be glued that is not whole yet stays with it. */
static bool hold_glued(search *s, const dv_finding *value, const size_t run[DV_DETECT_MAX],
                       size_t *hold)
{
    bool may = value->end == s->text.len && (s->enabled & s->rules->prefixed) != 0;
    uint64_t detectors = behind(s, value);
    for (size_t i = 0; i < dv_detect_pattern_count && !may; i++) {
        size_t first = run[dv_detect_patterns[i].detector];
        if (is_behind(s, i, detectors) && first <= value->end &&
            !may_go_on(s, i, DV_MAX((size_t)value->start + 1, first), value->end, &may)) {
            return false;
        }
    }
    *hold = may ? DV_MIN(*hold, (size_t)value->start) : *hold;
    return true;
}

dv_result dv_detect_hold(const dv_detect_rules *rules, dv_detect_scratch *scratch, dv_slice text,
                         size_t from, uint64_t enabled, const dv_finding *found, size_t count,
                         size_t *ret_hold)
{
    search s = {
        .rules = rules,
        .scratch = scratch,
        .text = text,
        .from = from,
        .enabled = enabled,
        .reads = GLUED_FIRST + GLUED_READS * (uint64_t)(text.len - from),
    };
    size_t run[DV_DETECT_MAX]; /* where the last bytes that a detector's values may hold begin */
    uint64_t alive =
        dv_detect_info_count < 64 ? (UINT64_C(1) << dv_detect_info_count) - 1 : UINT64_MAX;
    alive &= enabled;
    for (size_t i = 0; i < DV_DETECT_MAX; i++) {
        run[i] = from;
    }
    for (size_t at = text.len; at > from && alive != 0; at--) {
        uint64_t ended = alive & ~rules->may_hold[text.ptr[at - 1]];
        alive &= ~ended;
        for (; ended != 0; ended &= ended - 1) {
            run[__builtin_ctzll(ended)] = at;
        }
    }
    size_t hold = enabled != 0 ? unfinished_escape(text, from) : text.len;
    for (size_t i = 0; i < dv_detect_pattern_count; i++) {
        const dv_detect_pattern *pattern = &dv_detect_patterns[i];
        size_t longest = dv_detect_infos[pattern->detector].max_length;
        size_t begin = run[pattern->detector];
        begin = text.len - begin > longest ? text.len - longest : begin;
        if (((enabled >> pattern->detector) & 1) != 0 && begin < hold &&
            !hold_for(&s, i, begin, &hold)) {
            return s.result;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (!hold_glued(&s, &found[i], run, &hold)) {
            return s.result;
        }
    }
    *ret_hold = hold;
    return DV_OK;
}
