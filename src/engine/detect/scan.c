/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/search.h"

#include "base/caps.h"
#include "engine/detect/places.h"

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
    TRIGGER_LOOKBACK = 128, /* bytes before `from` in which a trigger may end or begin */
    BEFORE_PLACE = 208,     /* bytes before a place, */
    BEHIND_PLACE = 96,      /* and behind it, in which a trigger of its value may stand */
    LITERAL_BYTES = 4,      /* that vectorscan reads for literal texts in a nanosecond */
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

/* ---- a candidate ---- */

/* Judges what PCRE2 found; *ret_next is where the search goes on. */
static bool judge_value(dv_search *s, size_t index, bool forwards, size_t start, size_t end,
                        size_t *ret_next)
{
    const dv_detect_pattern *pattern = &dv_detect_patterns[index];
    dv_detect_candidate candidate = {s->text, start, end, false, pattern->score};
    bool allow = false;
    *ret_next = start + 1;
    if (!dv_search_surroundings(s, index, forwards, start, &allow, &candidate.context)) {
        return false;
    }
    if (!allow || !dv_search_is_value(pattern, &candidate)) {
        return true;
    }
    *ret_next = candidate.end;
    return dv_search_add(s, pattern->detector, dv_detect_infos[pattern->detector].id, &candidate);
}

/* The same, but a value that would begin within an escape begins after it where it can: the "n" of
 * "\\nbob@..." is no part of the address. */
static bool judge(dv_search *s, size_t index, size_t start, size_t end, size_t *ret_next)
{
    size_t escape = 0;
    size_t after = 0;
    if (dv_search_escape_around(s->text, start, &escape, &after)) {
        pcre2_set_offset_limit(s->scratch->match, after);
        int rc = pcre2_jit_match(s->rules->patterns[index], s->text.ptr,
                                 dv_search_subject_end(s, index, after), after, 0, s->scratch->data,
                                 s->scratch->match);
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
static bool try_window(dv_search *s, size_t index)
{
    dv_detect_scratch *scratch = s->scratch;
    dv_detect_window *window = &scratch->windows[index];
    size_t begin = window->begin;
    size_t end = dv_search_subject_end(s, index, window->end);
    while (begin < window->end) {
        if (!dv_search_spend(s, DV_EFFORT_MATCH)) {
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

/* Adds [begin, end) to what the pattern has to try. vectorscan tells of triggers in order, so a
 * window that is left behind is complete. */
static bool widen(dv_search *s, size_t index, size_t begin, size_t end)
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

/* Counts from `begin` to `until`, and on as far as values with such bytes could. */
static figures count_number(const dv_search *s, uint64_t classes, size_t begin, size_t until,
                            size_t limit)
{
    figures found = {0, 0, begin};
    size_t others = 0;
    size_t at = begin;
    for (; at < limit && (at < until || dv_search_holds(s, at, classes)); at++) {
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
static figures count_run(const dv_search *s, const dv_detect_number_rule *rule, dv_detect_run run)
{
    size_t first = run.first > rule->back ? run.first - rule->back : 0;
    size_t begin = run.first;
    while (begin > first && dv_search_holds(s, begin - 1, rule->classes)) {
        begin--;
    }
    size_t until = DV_MIN(run.last + ESCAPE_LENGTH, s->text.len);
    return count_number(s, rule->classes, begin, until, DV_MIN(until + rule->longest, s->text.len));
}

/* Whether a value of the pattern could begin in [begin, end): PCRE2 costs more than to ask. */
static bool could_begin(const dv_search *s, const dv_detect_pattern *pattern, const figures *number,
                        size_t begin, size_t end)
{
    if (s->rules->sieve == NULL) {
        return true; /* nothing is passed over */
    }
    if (number->digits < pattern->digits || number->others < pattern->others) {
        return false;
    }
    const dv_sieve *words = s->rules->words[pattern->detector];
    if (pattern->context != DV_CONTEXT_REQUIRED || words == NULL) {
        return true; /* literal triggers are such words themselves */
    }
    size_t distance = dv_detect_rule_table[pattern->detector].context_distance;
    return dv_sieve_may_match(words, s->text, begin > distance ? begin - distance : 0,
                              DV_MIN(end + ESCAPE_LENGTH, s->text.len));
}

/* Opens the windows of the trigger's patterns for the run that ended. */
static bool end_run(dv_search *s, unsigned id)
{
    dv_detect_run run = s->scratch->runs[id];
    const dv_detect_number_rule *rule = &s->rules->numbers[id];
    figures number = {0, 0, 0};
    if (rule->classes != 0) {
        number = count_run(s, rule, run);
    }
    s->scratch->runs[id] = (dv_detect_run){0, 0};
    for (size_t i = s->rules->first_pattern[id]; i < s->rules->first_pattern[id + 1]; i++) {
        const dv_detect_pattern *pattern = &dv_detect_patterns[i];
        size_t begin = run.first > pattern->back ? run.first - pattern->back : 0;
        size_t limit = DV_MIN(run.last + pattern->ahead, s->text.len);
        if (!dv_search_enabled(s, pattern) || limit <= s->from) {
            continue;
        }
        if (pattern->within) {
            begin = dv_search_first_start(s, pattern, begin, run.first);
        }
        begin = DV_MAX(begin, s->from);
        if (could_begin(s, pattern, &number, begin, limit) && !widen(s, i, begin, limit)) {
            return false;
        }
    }
    return true;
}

/* Makes the scratch of a trigger and its patterns this search's. */
static void touch(dv_search *s, unsigned id)
{
    dv_detect_scratch *scratch = s->scratch;
    dv_bit_add(scratch->touched, id);
    scratch->runs[id] = (dv_detect_run){0, 0};
    for (size_t i = s->rules->first_pattern[id]; i < s->rules->first_pattern[id + 1]; i++) {
        scratch->windows[i] = (dv_detect_window){s->from, s->from};
        scratch->met[i] = (dv_detect_words){0};
    }
}

/* vectorscan's callback: trigger `id` ended before `to`. */
static int on_trigger(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                      void *data)
{
    dv_search *s = data;
    dv_detect_run *run = &s->scratch->runs[id];
    size_t end = s->scanned_from + (size_t)to;
    if (!dv_search_spend(s, DV_EFFORT_TRIGGER)) {
        return 1;
    }
    if (!dv_bit_has(s->scratch->touched, id)) {
        touch(s, id);
    }
    if (run->first > 0 && end - run->last > s->rules->reach[id] && !end_run(s, id)) {
        return 1;
    }
    run->first = run->first > 0 ? run->first : end;
    run->last = end;
    return 0;
}

/* Ends the trigger's last run and tries what is left of its patterns' windows. */
static bool try_trigger(dv_search *s, unsigned id)
{
    if (s->scratch->runs[id].first > 0 && !end_run(s, id)) {
        return false;
    }
    for (size_t i = s->rules->first_pattern[id]; i < s->rules->first_pattern[id + 1]; i++) {
        const dv_detect_window *window = &s->scratch->windows[i];
        if (window->begin < window->end && !try_window(s, i)) {
            return false;
        }
    }
    return true;
}

static bool try_rest(dv_search *s)
{
    for (size_t word = 0; word * 64 < dv_detect_trigger_count; word++) {
        for (uint64_t rest = s->scratch->touched[word]; rest != 0; rest &= rest - 1) {
            if (!try_trigger(s, (unsigned)(word * 64) + (unsigned)__builtin_ctzll(rest))) {
                return false;
            }
        }
    }
    return true;
}

/* ---- where triggers may be ---- */

/* Lets vectorscan read the part. Triggers look at nothing but their own bytes, so it tells of the
 * same ones in a part as in the whole text, as long as they are within it. */
static bool search_part(dv_search *s)
{
    if (s->part_end <= s->part_begin) {
        return true;
    }
    s->scanned_from = s->part_begin;
    return hs_scan(s->rules->databases[DV_FAMILY_SIEVED], (const char *)s->text.ptr + s->part_begin,
                   (unsigned)(s->part_end - s->part_begin), 0, s->scratch->hs, on_trigger,
                   s) == HS_SUCCESS;
}

/* Adds [begin, end) to what vectorscan has to read; `begin` never goes back. */
static bool add_part(dv_search *s, size_t begin, size_t end)
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
static bool add_number(dv_search *s, size_t trigger, size_t first, size_t part)
{
    const dv_detect_number_rule *rule = &s->rules->numbers[trigger];
    figures number = count_number(s, rule->classes, first, first, s->text.len);
    s->number_end = number.end;
    for (size_t i = s->rules->first_pattern[trigger]; i < s->rules->first_pattern[trigger + 1];
         i++) {
        const dv_detect_pattern *pattern = &dv_detect_patterns[i];
        size_t begin = first > pattern->lead ? first - pattern->lead : 0;
        if (dv_search_enabled(s, pattern) && could_begin(s, pattern, &number, begin, number.end)) {
            return add_part(s, part, number.end);
        }
    }
    return true;
}

/* The sieve stopped at a place. */
static bool look_at(dv_search *s, size_t at, size_t first)
{
    uint64_t grams = dv_sieve_grams(s->rules->sieve, s->text, at);
    size_t begin = at > first + s->rules->sieve_back ? at - s->rules->sieve_back : first;
    s->cost += grams == 0 ? 1 : COST_TRIGGER;
    if (!dv_search_spend(s, grams == 0 ? DV_EFFORT_STOP : DV_EFFORT_PART)) {
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
    return end == 0 ||
           (dv_search_spend(s, is_long ? DV_EFFORT_LONG : 0) && add_part(s, begin, end));
}

/* Finds the parts of the text that triggers may be in. All that stand in ordinary text is none. */
static bool sift(dv_search *s, size_t first)
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

/* Lets vectorscan look for the family's literal texts in [begin, end). */
static bool search_texts(dv_search *s, dv_detect_family family, size_t begin, size_t end)
{
    s->scanned_from = begin;
    return dv_search_spend(s, DV_EFFORT_PART + (end - begin) / LITERAL_BYTES) &&
           hs_scan(s->rules->databases[family], (const char *)s->text.ptr + begin,
                   (unsigned)(end - begin), 0, s->scratch->hs, on_trigger, s) == HS_SUCCESS;
}

/* The same near places where numbers or tokens stand: elsewhere values of this family do not. */
static bool search_places(dv_search *s, size_t first)
{
    dv_slice text = dv_slice_sub(s->text, first, s->text.len);
    size_t begin = 0;
    size_t end = 0;
    size_t part_begin = 0;
    size_t part_end = 0;
    while (dv_places_next(text, &begin, &end)) {
        size_t from = begin > BEFORE_PLACE ? begin - BEFORE_PLACE : 0;
        if (part_end > 0 && from > part_end) {
            if (!search_texts(s, DV_FAMILY_LITERAL, first + part_begin, first + part_end)) {
                return false;
            }
            part_end = 0;
        }
        part_begin = part_end > 0 ? part_begin : from;
        part_end = DV_MIN(end + BEHIND_PLACE, text.len);
    }
    return part_end == 0 ||
           search_texts(s, DV_FAMILY_LITERAL, first + part_begin, first + part_end);
}

static bool search_literals(dv_search *s, size_t first)
{
    const hs_database_t *const *databases = (const hs_database_t *const *)s->rules->databases;
    const dv_detector_set *families = s->rules->families;
    if (databases[DV_FAMILY_LITERAL] != NULL &&
        dv_detector_set_meets(s->enabled, &families[DV_FAMILY_LITERAL]) &&
        !(s->rules->sieve != NULL ? search_places(s, first)
                                  : search_texts(s, DV_FAMILY_LITERAL, first, s->text.len))) {
        return false;
    }
    return databases[DV_FAMILY_OPTIONAL] == NULL ||
           !dv_detector_set_meets(s->enabled, &families[DV_FAMILY_OPTIONAL]) ||
           search_texts(s, DV_FAMILY_OPTIONAL, first, s->text.len);
}

static dv_result run(dv_search *s)
{
    size_t first = s->from > TRIGGER_LOOKBACK ? s->from - TRIGGER_LOOKBACK : 0;
    memset(s->scratch->touched, 0, dv_detect_trigger_words() * sizeof(*s->scratch->touched));
    bool sifted = s->rules->sieve != NULL ? sift(s, first) : add_part(s, first, s->text.len);
    if (sifted && search_part(s) && search_literals(s, first) && try_rest(s)) {
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
        dv_detector_set_join(&last->detectors, &found[i].detectors);
    }
    return kept;
}

/* Makes the findings final: apart from each other, with all that is glued to them. */
static dv_result settle(dv_search *s)
{
    size_t grown = 0; /* where what was looked through for glued values ends */
    bool grew = false;
    s->count = s->count > 1 ? merge(s->found, s->count) : s->count;
    for (size_t i = 0; i < s->count; i++) {
        size_t end = s->found[i].end;
        if (end <= grown) {
            continue;
        }
        if (!dv_search_grow(s, &s->found[i])) {
            return s->result;
        }
        grown = s->found[i].end;
        grew |= grown > end;
    }
    s->count = grew ? merge(s->found, s->count) : s->count;
    return DV_OK;
}

dv_result dv_detect_scan(const dv_detect_rules *rules, dv_detect_scratch *scratch, dv_slice text,
                         size_t from, const dv_detector_set *enabled, dv_arena *arena,
                         const dv_finding **ret_findings, size_t *ret_count)
{
    if (text.len > UINT32_MAX || from > text.len) {
        return DV_ERR_TOO_LARGE;
    }
    dv_search s = dv_search_of(rules, scratch, text, from, enabled);
    s.arena = arena;
    if (text.len > from && !dv_detector_set_is_empty(enabled)) {
        DV_TRY(run(&s));
        DV_TRY(dv_custom_find(&s));
        DV_TRY(settle(&s));
    }
    *ret_count = s.count;
    *ret_findings = s.found;
    return DV_OK;
}
