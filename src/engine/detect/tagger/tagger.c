/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/tagger/tagger.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/caps.h"
#include "engine/detect/tagger/decode.h"

/* One search of one text.
 *
 * 1. What a token is depends on its own bytes and the gap before it; whether it is looked at on its
 *    two neighbours; what it is asked, on two to each side. Nothing looks across a gap that breaks.
 * 2. A run begins where no run reaches to, or at `from`. So a search that begins where the last one
 *    held finds the same runs.
 * 3. A run is told once three more tokens stand behind it, or nothing can follow.
 * 4. Tokens lie in an array of fixed size; what is done with moves out. */

enum {
    PADS = 2, /* tokens that are none, before the first and behind the last */
    TOKENS = 256,
    LOOK_AHEAD = 3,   /* tokens behind a run that decide on it */
    SPANS_FIRST = 16, /* there is room for at first */
};
_Static_assert(TOKENS > 2 * (DV_RUN_MAX + LOOK_AHEAD + 2 * PADS), "a run always fits");
_Static_assert((DV_RUN_MAX + LOOK_AHEAD + 1) * (DV_TOKEN_MAX + DV_GAP_MAX) <= DV_TAGGER_HELD,
               "what is held back");
_Static_assert(2 * (DV_TOKEN_MAX + DV_GAP_MAX) + DV_TOKEN_MAX <= DV_TAGGER_CONTEXT,
               "two whole tokens before `from`");

struct dv_tagger {
    const dv_tagger_model *model;
    dv_decoder decoder;
    dv_tagger_token tokens[TOKENS + PADS];
};

typedef struct search {
    dv_tagger *tagger;
    dv_tokens reader;
    size_t count; /* tokens there are */
    size_t next;  /* the first that no run was looked for at */
    bool ended;   /* no token follows those, or none that they know of */
    uint32_t from;
    uint32_t enabled;
    dv_arena *arena;
    dv_tagger_span *spans;
    size_t span_count;
    size_t room;
} search;

/* ---- spans ---- */

static const uint8_t label_types[DV_TAGGER_LABELS] = {
    [DV_LABEL_O] = DV_TAGGER_TYPES,
    [DV_LABEL_PERSON] = DV_TAGGER_PERSON,
    [DV_LABEL_PERSON + 1] = DV_TAGGER_PERSON,
    [DV_LABEL_LOCATION] = DV_TAGGER_LOCATION,
    [DV_LABEL_LOCATION + 1] = DV_TAGGER_LOCATION,
    [DV_LABEL_ORGANIZATION] = DV_TAGGER_ORGANIZATION,
    [DV_LABEL_ORGANIZATION + 1] = DV_TAGGER_ORGANIZATION,
    [DV_LABEL_ADDRESS] = DV_TAGGER_ADDRESS,
    [DV_LABEL_ADDRESS + 1] = DV_TAGGER_ADDRESS,
    [DV_LABEL_DATE_TIME] = DV_TAGGER_DATE_TIME,
    [DV_LABEL_DATE_TIME + 1] = DV_TAGGER_DATE_TIME,
    [DV_LABEL_AGE] = DV_TAGGER_AGE,
    [DV_LABEL_NRP] = DV_TAGGER_NRP,
    [DV_LABEL_TITLE] = DV_TAGGER_TITLE,
};

/* Does a word with this label go on with the span before it? */
static bool goes_on(uint8_t label)
{
    return label < DV_LABEL_AGE && label > 0 && label % 2 == 0;
}

static dv_result add_span(search *s, size_t first, size_t last, uint8_t type, uint8_t score)
{
    const dv_tagger_token *tokens = s->tagger->tokens;
    if ((s->enabled >> type & 1) == 0) {
        return DV_OK;
    }
    if (s->span_count == DV_LIMIT_FINDINGS) {
        return DV_ERR_TOO_LARGE;
    }
    dv_tagger_span *spans =
        dv_arena_grow(s->arena, s->spans, s->span_count, &s->room, sizeof(*spans), SPANS_FIRST);
    if (spans == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    s->spans = spans;
    spans[s->span_count++] = (dv_tagger_span){
        .start = tokens[first].start, .end = tokens[last].end, .type = type, .score = score};
    return DV_OK;
}

/* How sure a span is: by how much its labels outweigh "outside", a word. */
static uint8_t span_score(const dv_tagger *tagger, size_t first, size_t count, uint8_t type)
{
    int total = 0;
    for (size_t i = first; i < first + count; i++) {
        dv_lanes weights = tagger->decoder.weights[i];
        total += weights[tagger->decoder.labels[i]] - weights[DV_LABEL_O];
    }
    int bin = total / (int)count / 32;
    return tagger->model->scores[type][bin < 0 ? 0 : DV_MIN(bin, DV_TAGGER_BINS - 1)];
}

/* Bytes that join the parts of names of packages, versions and hosts. */
static bool joins(uint8_t byte)
{
    return byte != '\0' && strchr(":-_+.~", byte) != NULL;
}

/* Whether the letters and digits from `at` on, each `step` away, hold a digit. */
static bool digit_beside(dv_slice text, size_t at, int step)
{
    bool digit = false;
    for (size_t i = 0; i < DV_TOKEN_MAX && at < text.len && isalnum(text.ptr[at]); i++) {
        digit |= isdigit(text.ptr[at]) != 0;
        at += (size_t)step;
    }
    return digit;
}

/* "amd64", "libssl-dev:amd64", "deb12u1": in small letters, and with a digit in it or in what it is
 * joined to. */
static bool is_identifier(dv_slice text, size_t start, size_t end)
{
    if (!islower(text.ptr[start])) {
        return false;
    }
    for (size_t i = start; i < end; i++) {
        if (isdigit(text.ptr[i])) {
            return true;
        }
    }
    bool before = start > 1 && joins(text.ptr[start - 1]) && digit_beside(text, start - 2, -1);
    return before || (end + 1 < text.len && joins(text.ptr[end]) && digit_beside(text, end + 1, 1));
}

/* Whether the type is of names, which machines' identifiers are none of. */
static bool is_name(uint8_t type)
{
    return type <= DV_TAGGER_ORGANIZATION || type == DV_TAGGER_NRP || type == DV_TAGGER_TITLE;
}

static dv_result tell_run(search *s, size_t start, size_t end)
{
    const dv_tagger *tagger = s->tagger;
    const uint8_t *labels = tagger->decoder.labels;
    for (size_t i = 0; i < end - start;) {
        uint8_t type = label_types[labels[i]];
        size_t count = 1;
        while (start + i + count < end && goes_on(labels[i + count])) {
            count++;
        }
        const dv_tagger_token *token = &tagger->tokens[start + i];
        if (type != DV_TAGGER_TYPES &&
            !(is_name(type) && is_identifier(s->reader.text, token->start, token[count - 1].end))) {
            uint8_t score = span_score(tagger, i, count, type);
            DV_TRY(add_span(s, start + i, start + i + count - 1, type, score));
        }
        i += count;
    }
    return DV_OK;
}

/* ---- runs ---- */

/* Forgets the tokens that are done with, but for two that the next is asked about. */
static void make_room(search *s)
{
    size_t done = s->next - PADS;
    dv_tagger_token *tokens = s->tagger->tokens;
    memmove(tokens, tokens + done, (s->count - done) * sizeof(*tokens));
    s->count -= done;
    s->next -= done;
}

static void read_tokens(search *s)
{
    dv_tagger_token *tokens = s->tagger->tokens;
    while (s->count < TOKENS) {
        if (!dv_tokens_next(&s->reader, &tokens[s->count])) {
            /* Across a break no token that follows changes those there are. */
            s->ended = !s->reader.more || s->reader.broken;
            return;
        }
        s->count++;
    }
}

/* Tells of the runs that are complete, and stops at the first that is not. */
static dv_result tell_runs(search *s)
{
    const dv_tagger_token *tokens = s->tagger->tokens;
    size_t ahead = s->ended ? 0 : LOOK_AHEAD;
    while (s->next + ahead < s->count) {
        if (tokens[s->next].start < s->from || !dv_run_has(tokens, s->next)) {
            s->next++;
            continue;
        }
        size_t end = dv_run_end(tokens, s->count + (s->ended ? 1 : 0), s->next);
        if (end + ahead > s->count) {
            return DV_OK;
        }
        dv_decode(s->tagger->model, tokens, s->next, end, &s->tagger->decoder);
        DV_TRY(tell_run(s, s->next, end));
        s->next = end;
    }
    return DV_OK;
}

static dv_result search_text(search *s)
{
    for (;;) {
        read_tokens(s);
        bool all = s->count < TOKENS;
        for (size_t i = 0; i < PADS; i++) {
            s->tagger->tokens[s->count + i] = dv_tagger_no_token;
        }
        DV_TRY(tell_runs(s));
        if (all) {
            return DV_OK;
        }
        make_room(s);
    }
}

static size_t find_hold(const search *s)
{
    size_t at = s->next < s->count ? s->tagger->tokens[s->next].start : s->reader.at;
    return s->reader.more ? DV_MAX(at, s->from) : s->reader.text.len;
}

dv_result dv_tagger_find(dv_tagger *tagger, dv_slice text, size_t from, bool more, uint32_t enabled,
                         dv_arena *arena, const dv_tagger_span **ret_spans, size_t *ret_count,
                         size_t *ret_hold)
{
    if (text.len > UINT32_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    from = DV_MIN(from, text.len);
    search s = {.tagger = tagger,
                .count = PADS,
                .next = PADS,
                .from = (uint32_t)from,
                .enabled = enabled,
                .arena = arena};
    for (size_t i = 0; i < PADS; i++) {
        tagger->tokens[i] = dv_tagger_no_token;
    }
    dv_tokens_start(&s.reader, tagger->model, text,
                    from > DV_TAGGER_CONTEXT ? from - DV_TAGGER_CONTEXT : 0, more);
    DV_TRY(search_text(&s));
    *ret_spans = s.spans;
    *ret_count = s.span_count;
    *ret_hold = find_hold(&s);
    return DV_OK;
}

/* ---- the rest ---- */

const char *dv_tagger_type_name(dv_tagger_type type)
{
    static const char *const names[DV_TAGGER_TYPES] = {
        "person", "location", "organization", "address", "date_time", "age", "nrp", "title"};
    return type < DV_TAGGER_TYPES ? names[type] : "unknown";
}

dv_result dv_tagger_new(const dv_tagger_model *model, dv_tagger **ret_tagger)
{
    dv_tagger *tagger = aligned_alloc(64, (sizeof(*tagger) + 63) / 64 * 64);
    if (tagger == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    memset(tagger, 0, sizeof(*tagger));
    tagger->model = model;
    *ret_tagger = tagger;
    return DV_OK;
}

void dv_tagger_free(dv_tagger *tagger)
{
    free(tagger);
}
