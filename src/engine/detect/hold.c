/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/search.h"

#include <ctype.h>

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

/* Where the last bytes that each detector's values may hold begin; `from` for those that are not
 * enabled. */
static void find_runs(const dv_search *s, size_t run[DV_DETECT_MAX])
{
    uint64_t alive =
        dv_detect_info_count < 64 ? (UINT64_C(1) << dv_detect_info_count) - 1 : UINT64_MAX;
    alive &= s->enabled;
    for (size_t i = 0; i < DV_DETECT_MAX; i++) {
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

/* Moves *hold to where the first value could begin that is not whole yet. */
static bool hold_values(dv_search *s, const size_t run[DV_DETECT_MAX], size_t *hold)
{
    for (size_t i = 0; i < dv_detect_pattern_count; i++) {
        const dv_detect_pattern *pattern = &dv_detect_patterns[i];
        size_t longest = dv_detect_infos[pattern->detector].max_length;
        size_t begin = run[pattern->detector];
        begin = s->text.len - begin > longest ? s->text.len - longest : begin;
        if (((s->enabled >> pattern->detector) & 1) != 0 && begin < *hold &&
            !hold_for(s, i, begin, hold)) {
            return false;
        }
    }
    return true;
}

dv_result dv_detect_hold(const dv_detect_rules *rules, dv_detect_scratch *scratch, dv_slice text,
                         size_t from, uint64_t enabled, const dv_finding *found, size_t count,
                         size_t *ret_hold)
{
    dv_search s = dv_search_of(rules, scratch, text, from, enabled);
    size_t run[DV_DETECT_MAX];
    size_t hold = enabled != 0 ? unfinished_escape(text, from) : text.len;
    find_runs(&s, run);
    if (!hold_values(&s, run, &hold)) {
        return s.result;
    }
    for (size_t i = 0; i < count; i++) {
        if (!dv_search_hold_glued(&s, &found[i], run, &hold)) {
            return s.result;
        }
    }
    *ret_hold = hold;
    return DV_OK;
}
