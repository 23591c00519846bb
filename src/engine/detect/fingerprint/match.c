/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/fingerprint/match.h"

/* Reading a text, piece by piece.
 *
 * 1. However a text is cut, the same is told, once: of each piece the last DV_MATCH_TAIL normalised
 *    bytes are looked at again with the next one, and only what ends behind them is new.
 * 2. A word counts once it is known where it ends.
 * 3. Where the words of the tail stood is known only to the matcher that read them, until it reads
 *    another text. A state may be copied, and another one come to lie in its memory: which turn it
 *    was tells, an address does not.
 * 4. All that is kept has a constant size. Where more documents, or parts of one, are met than are
 *    remembered, more is taken for met, not less. */

size_t dv_fingerprint_state_size(size_t set_count)
{
    return sizeof(dv_fingerprint_state) + set_count * sizeof(dv_match_memory);
}

void dv_fingerprint_state_init(dv_fingerprint_state *state, size_t set_count)
{
    memset(state, 0, dv_fingerprint_state_size(set_count));
    state->set_count = (uint32_t)set_count;
}

uint64_t dv_fingerprint_state_bytes(const dv_fingerprint_state *state)
{
    return state->bytes;
}

dv_result dv_fingerprint_matcher_new(dv_fingerprint_matcher **ret_matcher)
{
    dv_fingerprint_matcher *matcher = calloc(1, sizeof(*matcher));
    if (matcher == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_matcher = matcher;
    return DV_OK;
}

void dv_fingerprint_matcher_free(dv_fingerprint_matcher *matcher)
{
    free(matcher);
}

/* ---- the normalised text ---- */

/* Words of a tail of which nobody knows where they stood. */
static size_t split_tail(const dv_fingerprint_state *state, dv_normal_word *words)
{
    size_t count = 0;
    for (size_t i = 0; i < state->tail_len; i++) {
        uint8_t byte = state->tail[i];
        if (!dv_normal_is_letter(byte)) {
            continue;
        }
        if (i == 0 || !dv_normal_is_letter(state->tail[i - 1])) {
            words[count++] =
                (dv_normal_word){.from = state->bytes, .to = state->bytes, .start = (uint16_t)i};
        }
        words[count - 1].end = (uint16_t)(i + 1);
        words[count - 1].digit |= byte >= '0' && byte <= '9';
    }
    return count;
}

/* The tail, and as much of the piece as there is room for. Answers how much that was. */
static size_t fill(dv_match *match, dv_slice piece)
{
    dv_fingerprint_matcher *m = match->m;
    dv_fingerprint_state *state = match->state;
    dv_normal_out out = {
        .text = m->text, .len = state->tail_len, .room = DV_MATCH_ROOM, .words = m->words};
    memcpy(m->text, state->tail, state->tail_len);
    out.word_count = match->goes_on ? m->word_count : split_tail(state, m->words);
    size_t read = dv_normal_feed(&state->normal, piece, state->bytes, match->job->more, &out);
    match->old = state->tail_len;
    match->len = out.len;
    match->words = out.word_count;
    match->more = match->job->more || read < piece.len;
    state->read += (uint32_t)(match->len - match->old);
    state->bytes += read;
    return read;
}

/* The words that the tail has a part of. */
static void keep_words(dv_match *match, size_t drop)
{
    dv_fingerprint_matcher *m = match->m;
    size_t first = match->words;
    while (first > 0 && m->words[first - 1].end > drop) {
        first--;
    }
    m->word_count = match->words - first;
    memmove(m->words, m->words + first, m->word_count * sizeof(m->words[0]));
    for (size_t i = 0; i < m->word_count; i++) {
        m->words[i].start = (uint16_t)(DV_MAX((size_t)m->words[i].start, drop) - drop);
        m->words[i].end = (uint16_t)(m->words[i].end - drop);
    }
}

/* Keeps the end of the text for the next piece. */
static void keep_tail(dv_match *match)
{
    dv_fingerprint_matcher *m = match->m;
    dv_fingerprint_state *state = match->state;
    size_t keep = DV_MIN(match->len, (size_t)DV_MATCH_TAIL);
    size_t drop = match->len - keep;
    if (drop > 0) {
        state->cut = dv_normal_is_letter(m->text[drop]) && dv_normal_is_letter(m->text[drop - 1]);
    }
    memcpy(state->tail, m->text + drop, keep);
    state->tail_len = (uint8_t)keep;
    keep_words(match, drop);
    state->reader = m;
    state->turn = ++m->turn;
}

/* The letters alone, for passages. */
static void collect_letters(dv_match *match)
{
    dv_fingerprint_matcher *m = match->m;
    size_t before = 0;
    match->letters = 0;
    for (size_t i = 0; i < match->words; i++) {
        const dv_normal_word *word = &m->words[i];
        size_t len = (size_t)(word->end - word->start);
        memcpy(m->letters + match->letters, m->text + word->start, len);
        match->letters += len;
        if (word->start < match->old) {
            before += DV_MIN((size_t)word->end, match->old) - word->start;
        }
    }
    match->state->letters += (uint32_t)(match->letters - before);
}

static dv_result look(dv_match *match)
{
    const dv_fingerprint_job *job = match->job;
    for (uint32_t i = 0; i < job->set_count; i++) {
        const dv_fingerprint_set *set = job->sets[i];
        if (((job->enabled >> i) & 1) == 0) {
            continue;
        }
        if (set->values.count > 0) {
            DV_TRY(dv_match_values(match, i));
        }
        if (set->passages.count > 0) {
            DV_TRY(dv_match_passages(match, i));
        }
    }
    return DV_OK;
}

static bool wants_letters(const dv_fingerprint_job *job)
{
    for (size_t i = 0; i < job->set_count; i++) {
        if (job->sets[i]->passages.count > 0) {
            return true;
        }
    }
    return false;
}

/* One round: the tail and a part of the piece. */
static dv_result round_of(dv_match *match, dv_slice *piece)
{
    size_t read = fill(match, *piece);
    *piece = dv_slice_sub(*piece, read, SIZE_MAX);
    match->hold = match->state->bytes;
    if (wants_letters(match->job)) {
        collect_letters(match);
    }
    DV_TRY(look(match));
    keep_tail(match);
    return DV_OK;
}

dv_result dv_fingerprint_find(dv_fingerprint_matcher *matcher, const dv_fingerprint_job *job,
                              dv_fingerprint_state *state, dv_slice piece, size_t *ret_hold)
{
    dv_match match = {.m = matcher, .job = job, .state = state};
    uint64_t begin = state->bytes;
    size_t len = piece.len;
    if (job->set_count != state->set_count || job->set_count > DV_FINGERPRINT_SETS) {
        return DV_ERR_INTERNAL;
    }
    match.goes_on = state->reader == matcher && state->turn == matcher->turn;
    do {
        DV_TRY(round_of(&match, &piece));
        match.goes_on = true;
    } while (piece.len > 0);
    if (ret_hold != NULL) {
        *ret_hold = match.hold <= begin ? 0 : DV_MIN((size_t)(match.hold - begin), len);
    }
    return DV_OK;
}
