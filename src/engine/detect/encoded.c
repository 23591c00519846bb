/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/encoded.h"

#include "engine/detect/decode.h"
#include "engine/detect/decode_view.h"
#include "engine/detect/marks.h"
#include "engine/detect/packed.h"

enum {
    SNAP = 64 << 10,   /* bytes that a stretch may grow by to begin and end between words */
    LINE_LEAST = 60,   /* digits of a block's line that is not its last */
    PIECE = 1 << 20,   /* bytes of places near each other that are decoded at once */
    BYTE_EFFORT = 48,  /* nanoseconds that decoding a byte takes, about */
    PACKED_EFFORT = 8, /* and unpacking one */
    AFTER_BLOCK = 3,   /* bytes behind a block that may belong to it: padding, or a line's end */
};

/* A part of the text that is decoded. */
typedef struct stretch {
    size_t begin;
    size_t end;
} stretch;

typedef struct search {
    const dv_encoded *job;
    dv_slice text;
    size_t from;
    bool more;    /* text follows the view that is searched */
    size_t lines; /* where the last block ends: its lines are no blocks of their own */
    dv_finding *found;
    size_t count, room;
    size_t hold;
    size_t unpacked; /* bytes, of all blocks together */
} search;

static dv_result add(search *s, const dv_finding *finding)
{
    dv_finding *grown =
        dv_arena_grow(s->job->arena, s->found, s->count, &s->room, sizeof(*s->found), 16);
    if (grown == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    s->found = grown;
    s->found[s->count++] = *finding;
    return DV_OK;
}

/* ---- one view ---- */

static void wait_for(search *s, const dv_view *view, size_t at)
{
    if (at < view->len) {
        s->hold = DV_MIN(s->hold, (size_t)view->start[at]);
    }
}

static dv_result look(search *s, const dv_view *view)
{
    const dv_encoded *job = s->job;
    const dv_finding *found = NULL;
    dv_slice text = dv_slice_of(view->bytes, view->len);
    size_t count = 0, from = 0, hold = view->len;
    while (from < view->len && view->start[from] < s->from) {
        from++;
    }
    DV_TRY(dv_detect_scan(job->rules, job->scratch, text, from, job->enabled, job->work, &found,
                          &count));
    for (size_t i = 0; i < count; i++) {
        dv_finding finding = found[i];
        finding.start = view->start[found[i].start];
        finding.end = view->end[found[i].end - 1];
        finding.encoded = true;
        DV_TRY(add(s, &finding));
    }
    if (job->seen != NULL) {
        DV_TRY(job->seen(job->data, view, s->from, s->more));
    }
    if (s->more) {
        DV_TRY(dv_detect_hold(job->rules, job->scratch, text, from, job->enabled, found, count,
                              &hold));
        wait_for(s, view, hold);
    }
    return DV_OK;
}

/* Drops what of the view's end may not be whole yet; it waits. */
static bool drop_open(search *s, dv_view *view, size_t (*whole)(dv_slice text))
{
    size_t len = s->more ? whole(dv_slice_of(view->bytes, view->len)) : view->len;
    wait_for(s, view, len);
    bool dropped = len < view->len;
    view->len = len;
    return dropped;
}

/* Every fold of the view, the last one into *view. */
static dv_result look_folded(search *s, dv_view *view)
{
    dv_view folded;
    for (int i = 0; i < DV_DECODE_FOLDS; i++) {
        bool dropped = drop_open(s, view, dv_view_whole);
        DV_TRY(dv_view_fold(view, s->job->work, &folded));
        if (folded.len == 0) {
            DV_TRY(dropped ? look(s, view) : DV_OK);
            break;
        }
        *view = folded;
        DV_TRY(look(s, view));
    }
    dv_view shorter = *view;
    bool dropped = drop_open(s, &shorter, dv_view_whole_number);
    DV_TRY(dv_view_digits(&shorter, s->job->work, &folded));
    if (folded.len > 0) {
        return look(s, &folded);
    }
    return dropped ? look(s, &shorter) : DV_OK;
}

/* All that stands encoded in [begin, end). */
static dv_result decode(search *s, stretch part)
{
    const dv_encoded *job = s->job;
    dv_blocks how = {.whole = true};
    dv_view view, other;
    size_t len = part.end - part.begin;
    if (len > DV_ENCODED_MAX + 2 * PIECE) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(dv_detect_scratch_spend(job->scratch, len * BYTE_EFFORT));
    dv_arena_reset(job->work);
    s->more = how.more = job->more && part.end == s->text.len;
    how.cut = part.begin == 0 ? job->cut : dv_digits_has(s->text.ptr[part.begin - 1]);
    DV_TRY(dv_view_of(dv_slice_sub(s->text, 0, part.end), part.begin, job->work, &view));
    for (int depth = 0; depth < DV_DECODE_DEPTH; depth++) {
        DV_TRY(look_folded(s, &view));
        DV_TRY(dv_view_blocks(&view, &how, job->work, &other));
        wait_for(s, &view, how.open);
        if (other.len == 0) {
            return DV_OK;
        }
        view = other;
        s->more = how.more = how.cut = false; /* a block is whole, or it is not read */
        DV_TRY(look(s, &view));
    }
    return look_folded(s, &view);
}

/* ---- where ---- */

/* Grown to both sides, to between words: a value that is cut could look like another. floor: what
 * stands before it is in another stretch already. */
static stretch around(dv_slice text, stretch place, size_t floor)
{
    size_t low = place.begin > DV_ENCODED_REACH ? place.begin - DV_ENCODED_REACH : 0;
    size_t high = DV_MIN(text.len, place.end + DV_ENCODED_REACH);
    for (size_t i = 0; i < SNAP && low > floor && text.ptr[low - 1] > ' '; i++) {
        low--;
    }
    for (size_t i = 0; i < SNAP && high < text.len && text.ptr[high] > ' '; i++) {
        high++;
    }
    return (stretch){low, high};
}

/* Where the line that ended at `end` goes on; 0: it does not. */
static size_t next_line(dv_slice text, size_t begin, size_t end)
{
    size_t at = end + (end < text.len && text.ptr[end] == '\r' ? 1 : 0);
    bool goes_on = end - begin >= LINE_LEAST && at + 1 < text.len && text.ptr[at] == '\n' &&
                   dv_digits_has(text.ptr[at + 1]);
    return goes_on ? at + 1 : 0;
}

/* Where the block ends whose first line is [at, end). */
static size_t last_line(dv_slice text, size_t at, size_t end)
{
    for (size_t line = at, next; (next = next_line(text, line, end)) > 0; line = next) {
        end = dv_digits_run(text, next);
    }
    return end;
}

/* The block that begins at `at`, all its lines and its padding; false: it holds no text. */
static bool find_block(search *s, size_t at, stretch *ret)
{
    dv_slice text = s->text;
    size_t end = dv_digits_run(text, at);
    const dv_digits digits = {text.ptr + at, NULL, end - at};
    if (end - at < (size_t)DV_DECODE_BLOCK_MIN || !dv_digits_begin_text(&digits)) {
        return false;
    }
    end = last_line(text, at, end);
    s->lines = end;
    *ret = (stretch){at, DV_MIN(text.len, end + 2)};
    return true;
}

/* Whether a block may begin at `at`. Lines that go on with one are not asked again: each would be
 * read to the block's end. */
static bool may_begin(const search *s, size_t at)
{
    if (at == 0) {
        return !s->job->cut;
    }
    uint8_t before = s->text.ptr[at - 1];
    return !dv_digits_has(before) && !(before == '\n' && at < s->lines);
}

/* Bytes at `at` that end with a digit of base64 but mean a character that is none, as \n and %2C
 * do: a block may begin behind them. len: of the element that stands there. */
static size_t before_block(dv_slice text, size_t at, size_t len)
{
    if (len > 0) {
        return dv_digits_has(text.ptr[at]) ? 0 : len;
    }
    return dv_view_is_letter_escape(text, at) ? 2 : 0;
}

/* What is to be decoded for the place at `at`; an empty one: nothing. seen: what is decoded with it
 * anyway. *ret_block: where a block may begin; the text's length: nowhere. */
static stretch stretch_at(search *s, size_t at, stretch seen, size_t *ret_block)
{
    dv_slice text = s->text;
    stretch found = {0, 0}, block = {0, 0};
    size_t len = dv_view_element(text, at, s->job->more);
    size_t before = before_block(text, at, len);
    bool begins = before > 0 || (len == 0 && may_begin(s, at));
    bool opens = begins && find_block(s, at + before, &block);
    *ret_block = begins ? at + before : text.len;
    if (len > 0 && DV_MIN(at + len + DV_ENCODED_REACH, text.len) > seen.end) {
        found = around(text, (stretch){at, at + len}, seen.end);
    }
    if (!opens) {
        return found;
    }
    return (stretch){found.end > 0 ? found.begin : at, DV_MAX(found.end, block.end)};
}

/* ---- packed blocks ---- */

/* Whether digits of base64 are, or could become, the beginning of what is unpacked. */
static bool begins_packed(dv_slice digits)
{
    static const dv_slice heads[] = {DV_LIT("H4sI"), DV_LIT("UEsD")};
    for (size_t i = 0; i < DV_ARRAY_LEN(heads); i++) {
        size_t len = DV_MIN(digits.len, heads[i].len);
        if (len > 0 && memcmp(digits.ptr, heads[i].ptr, len) == 0) {
            return true;
        }
    }
    return false;
}

/* The bytes of a block of base64, whatever alphabet and line ends. */
static dv_result bytes_of(dv_slice block, dv_arena *arena, dv_slice *ret_bytes)
{
    uint8_t *out = dv_arena_alloc_raw(arena, block.len + 1);
    size_t len = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    if (out == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < block.len; i++) {
        int digit = dv_digits_value(block.ptr[i]);
        if (digit < 0) {
            continue;
        }
        bits = bits << 6 | (unsigned)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[len++] = (uint8_t)(bits >> have);
        }
    }
    *ret_bytes = dv_slice_of(out, len);
    return DV_OK;
}

/* A block, and what was found in it so far. start, end: of a view of so many places in which each
 * byte comes from all of the block; made when a piece is told that wants more. */
typedef struct packed {
    search *s;
    dv_finding finding;
    bool any;
    uint32_t *start, *end;
    size_t places;
} packed;

/* What is told at once, and how much of it again with what follows: values that are
 * looked for may belong together over ten thousand letters. */
enum { LOOK = 128 << 10, AGAIN = 48 << 10 };

static dv_result make_places(packed *p, size_t wanted)
{
    if (wanted <= p->places) {
        return DV_OK;
    }
    size_t places = DV_MAX(wanted, DV_MIN(2 * p->places, (size_t)LOOK));
    dv_arena *work = p->s->job->work;
    p->start = dv_arena_alloc_raw(work, places * sizeof(*p->start));
    p->end = dv_arena_alloc_raw(work, places * sizeof(*p->end));
    if (p->start == NULL || p->end == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < places; i++) {
        p->start[i] = p->finding.start;
        p->end[i] = p->finding.end;
    }
    p->places = places;
    return DV_OK;
}

/* What was unpacked, as texts that were decoded from all of the block. */
static dv_result tell_piece(packed *p, dv_slice piece)
{
    const dv_encoded *job = p->s->job;
    DV_TRY(make_places(p, DV_MIN(piece.len, (size_t)LOOK)));
    for (size_t at = 0, next; at < piece.len; at = next) {
        dv_slice part = dv_slice_sub(piece, at, LOOK);
        const dv_view view = {(uint8_t *)(uintptr_t)part.ptr, p->start, p->end, part.len};
        DV_TRY(job->seen(job->data, &view, p->s->from, false));
        next = at + part.len == piece.len ? piece.len : at + part.len - AGAIN;
    }
    return DV_OK;
}

static dv_result look_piece(void *data, dv_slice piece, bool contents)
{
    (void)contents;
    packed *p = data;
    const dv_encoded *job = p->s->job;
    const dv_finding *found = NULL;
    size_t count = 0;
    p->s->unpacked += piece.len;
    if (p->s->unpacked > DV_ENCODED_UNPACKED) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(dv_detect_scratch_spend(job->scratch, piece.len * PACKED_EFFORT));
    DV_TRY(dv_detect_scan(job->rules, job->scratch, piece, 0, job->enabled, job->work, &found,
                          &count));
    for (size_t i = 0; i < count; i++) {
        if (!p->any || found[i].score > p->finding.score) {
            p->finding.detector = found[i].detector;
            p->finding.score = found[i].score;
        }
        dv_detector_set_join(&p->finding.detectors, &found[i].detectors);
        p->any = true;
    }
    return job->seen == NULL || piece.len == 0 ? DV_OK : tell_piece(p, piece);
}

/* A block that begins at `at` and holds what is packed: a value within is told as all of it. */
static dv_result look_packed(search *s, size_t at)
{
    dv_slice text = s->text, bytes = {NULL, 0};
    size_t end = dv_digits_run(text, at);
    if (end - at < (size_t)DV_DECODE_BLOCK_MIN ||
        !begins_packed(dv_slice_sub(text, at, end - at))) {
        return DV_OK;
    }
    end = last_line(text, at, end);
    s->lines = end;
    if (s->job->more && text.len - end <= AFTER_BLOCK) {
        s->hold = DV_MIN(s->hold, at);
        return DV_OK;
    }
    if (at < s->from) {
        return DV_OK;
    }
    if (end - at > DV_ENCODED_MAX + 2 * PIECE) {
        return DV_ERR_TOO_LARGE;
    }
    dv_arena_reset(s->job->work);
    DV_TRY(bytes_of(dv_slice_sub(text, at, end - at), s->job->work, &bytes));
    for (size_t padding = 0; padding < 2 && end < text.len && text.ptr[end] == '='; padding++) {
        end++;
    }
    packed p = {
        .s = s,
        .finding = {.encoded = true, .start = (uint32_t)at, .end = (uint32_t)end},
    };
    DV_TRY(dv_packed_open(bytes, DV_PACKED_MAX, s->job->work, look_piece, &p));
    return p.any ? add(s, &p.finding) : DV_OK;
}

/* Adds what is to be decoded; what does not touch what was to be before lets that be done. */
static dv_result take(search *s, stretch next, stretch *part)
{
    if (next.end == 0) {
        return DV_OK;
    }
    bool full = part->end - part->begin > PIECE; /* the next one begins before its end */
    if (part->end > 0 && (full || next.begin > part->end)) {
        DV_TRY(decode(s, *part));
        *part = next;
    }
    part->begin = part->end == 0 ? next.begin : DV_MIN(part->begin, next.begin);
    part->end = DV_MAX(part->end, next.end);
    return DV_OK;
}

/* Goes through the places; those near each other are decoded at once. */
static dv_result find(search *s)
{
    dv_slice text = s->text;
    bool more = s->job->more;
    stretch part = {0, 0};
    for (size_t at = 0; (at = dv_marks_next(text, at)) < text.len; at++) {
        size_t block = text.len;
        DV_TRY(take(s, stretch_at(s, at, part, &block), &part));
        DV_TRY(block < text.len ? look_packed(s, block) : DV_OK);
    }
    if (more && (dv_view_whole(text) < text.len || dv_view_whole_number(text) < text.len)) {
        DV_TRY(take(s, around(text, (stretch){text.len, text.len}, part.end), &part));
    }
    return part.end > 0 ? decode(s, part) : DV_OK;
}

/* ---- what waits ---- */

/* Where the line before the one that begins at `begin` begins, if a block may go on over both. */
static size_t line_before(dv_slice text, size_t begin)
{
    size_t end = begin;
    if (end > 0 && text.ptr[end - 1] == '\n') {
        end--;
        end -= end > 0 && text.ptr[end - 1] == '\r';
    }
    size_t at = end;
    while (at > 0 && dv_digits_has(text.ptr[at - 1])) {
        at--;
    }
    return end < begin && end - at >= LINE_LEAST ? at : begin;
}

static bool may_go_on(const search *s, size_t at, size_t end)
{
    /* Joined lines are text when each is, and if not, the last line is asked alone. */
    const dv_digits digits = {s->text.ptr + at, NULL, dv_digits_run(s->text, at) - at};
    return (at > 0 || !s->job->cut) && digits.count > 0 && at + digits.count <= end &&
           (dv_digits_begin_text(&digits) ||
            begins_packed(dv_slice_of(digits.bytes, digits.count)));
}

/* A block that reaches the text's end, and is text so far, waits from its begin on. */
static void wait_for_block(search *s)
{
    dv_slice text = s->text;
    size_t end = text.len;
    end -= end > 0 && text.ptr[end - 1] == '=';
    size_t at = end;
    while (at > 0 && dv_digits_has(text.ptr[at - 1])) {
        at--;
    }
    size_t run = end - at;
    if (end < text.len && (run < DV_DECODE_BLOCK_MIN || run % 4 != 2)) {
        return;
    }
    if (run > 0 && may_go_on(s, at, end)) {
        s->hold = DV_MIN(s->hold, at);
    }
    if (at > 0 && dv_view_is_letter_escape(text, at - 1) && may_go_on(s, at + 1, end)) {
        s->hold = DV_MIN(s->hold, at + 1);
    }
    for (size_t before; (before = line_before(text, at)) < at; at = before) {
        if (!may_go_on(s, before, end)) {
            break;
        }
        s->hold = DV_MIN(s->hold, before);
    }
}

/* ---- all together ---- */

/* What stands in clear before what does not, then the longest first. */
static int by_start(const void *a, const void *b)
{
    const dv_finding *x = a;
    const dv_finding *y = b;
    if (x->start != y->start) {
        return x->start < y->start ? -1 : 1;
    }
    if (x->encoded != y->encoded) {
        return x->encoded ? 1 : -1;
    }
    return x->end > y->end ? -1 : x->end < y->end;
}

/* Findings that overlap become one over all their bytes, named after the surest. */
static size_t join(dv_finding *found, size_t count)
{
    size_t kept = 0;
    qsort(found, count, sizeof(*found), by_start);
    for (size_t i = 0; i < count; i++) {
        dv_finding *last = kept == 0 ? NULL : &found[kept - 1];
        if (last == NULL || found[i].start >= last->end) {
            found[kept++] = found[i];
            continue;
        }
        if (found[i].encoded && found[i].end <= last->end &&
            dv_detector_set_holds(&last->detectors, &found[i].detectors)) {
            continue; /* the same, seen again */
        }
        if (found[i].score > last->score) {
            last->detector = found[i].detector;
            last->score = found[i].score;
        }
        last->end = DV_MAX(last->end, found[i].end);
        last->encoded |= found[i].encoded;
        dv_detector_set_join(&last->detectors, &found[i].detectors);
    }
    return kept;
}

dv_result dv_encoded_find(const dv_encoded *job, dv_slice text, size_t from,
                          const dv_finding **found, size_t *count, size_t *hold)
{
    search s = {.job = job, .text = text, .from = from, .hold = text.len};
    DV_TRY(find(&s));
    if (job->more) {
        wait_for_block(&s);
        *hold = DV_MIN(*hold, DV_MAX(s.hold, from));
    }
    if (s.count == 0) {
        return DV_OK;
    }
    for (size_t i = 0; i < *count; i++) {
        DV_TRY(add(&s, &(*found)[i]));
    }
    *count = join(s.found, s.count);
    *found = s.found;
    return DV_OK;
}

dv_result dv_encoded_utf16(dv_slice text, dv_arena *arena, dv_slice *ret_meant)
{
    dv_view view, meant;
    DV_TRY(dv_view_of(text, 0, arena, &view));
    DV_TRY(dv_view_utf16(&view, arena, &meant));
    *ret_meant = dv_slice_of(meant.bytes, meant.len);
    return DV_OK;
}
