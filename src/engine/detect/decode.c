/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/decode.h"

#include "engine/detect/decode_view.h"

enum {
    CONTEXT = 512,    /* bytes before `from` that are decoded for their words */
    STUCK = 64 << 10, /* an encoded text that goes on longer is cut there */
};

typedef struct decoding {
    const dv_walk *walk;
    dv_arena *arena;
    size_t from;
    bool more;
    dv_finding *found;
    size_t count, room;
    size_t hold; /* in the original */
} decoding;

static dv_result add(decoding *d, const dv_finding *finding)
{
    if (d->count == d->room) {
        d->found = dv_arena_grow(d->arena, d->found, d->count, &d->room, sizeof(*d->found), 64);
        if (d->found == NULL) {
            return DV_ERR_NO_MEMORY;
        }
    }
    d->found[d->count++] = *finding;
    return DV_OK;
}

/* Searches a decoding, and notes its findings by where they came from. */
static dv_result search(decoding *d, const dv_view *view)
{
    const dv_walk *w = d->walk;
    const dv_finding *found = NULL;
    size_t count = 0, hold = view->len;
    dv_slice text = dv_slice_of(view->bytes, view->len);
    DV_TRY(dv_detect_scan(w->rules, w->scratch, text, 0, &w->enabled, d->arena, &found, &count));
    for (size_t i = 0; i < count; i++) {
        dv_finding finding = found[i];
        finding.start = view->start[found[i].start];
        finding.end = view->end[found[i].end - 1];
        if (finding.start >= d->from) {
            DV_TRY(add(d, &finding));
        }
    }
    if (d->more) {
        DV_TRY(dv_detect_hold(w->rules, w->scratch, text, 0, &w->enabled, found, count, &hold));
    }
    if (hold < view->len) {
        d->hold = DV_MIN(d->hold, view->start[hold]);
    }
    return DV_OK;
}

/* Every fold of a text, the last one into *view. */
static dv_result fold_all(decoding *d, dv_view *view)
{
    dv_view folded, digits;
    for (int i = 0; i < DV_DECODE_FOLDS; i++) {
        DV_TRY(dv_view_fold(view, d->arena, &folded));
        if (folded.len == 0) {
            break;
        }
        *view = folded;
        DV_TRY(search(d, view));
    }
    DV_TRY(dv_view_digits(view, d->arena, &digits));
    return digits.len == 0 ? DV_OK : search(d, &digits);
}

static dv_result decode(decoding *d, dv_slice text, size_t from)
{
    dv_view view, other;
    dv_blocks how = {.whole = false};
    DV_TRY(dv_view_of(text, from, d->arena, &view));
    DV_TRY(dv_view_utf16(&view, d->arena, &other));
    if (other.len > 0) {
        view = other;
        DV_TRY(search(d, &view));
    }
    for (int depth = 0; depth < DV_DECODE_DEPTH; depth++) {
        DV_TRY(fold_all(d, &view));
        DV_TRY(dv_view_blocks(&view, &how, d->arena, &other));
        if (other.len == 0) {
            return DV_OK;
        }
        view = other;
        DV_TRY(search(d, &view));
    }
    return fold_all(d, &view);
}

/* Where the run of visible characters that reaches the text's end begins, lines of a base64 block
 * included: what follows may belong to it. */
static size_t open_end(dv_slice text)
{
    size_t at = text.len, line = 0;
    while (at > 0 && text.len - at < STUCK) {
        uint8_t byte = text.ptr[at - 1];
        bool line_end = byte == '\n' || byte == '\r';
        if (byte <= ' ' && !(line_end && (line >= 60 || at == text.len || line == 0))) {
            break;
        }
        line = line_end ? 0 : line + 1;
        at--;
    }
    return at;
}

static int by_start(const void *a, const void *b)
{
    const dv_finding *x = a;
    const dv_finding *y = b;
    return x->start != y->start ? (x->start < y->start ? -1 : 1) : (int)y->score - (int)x->score;
}

/* Findings that overlap become one over all their bytes, named after the surest. */
static size_t join(dv_finding *found, size_t count)
{
    size_t kept = 0;
    if (count == 0) {
        return 0;
    }
    qsort(found, count, sizeof(*found), by_start);
    for (size_t i = 0; i < count; i++) {
        dv_finding *last = kept == 0 ? NULL : &found[kept - 1];
        if (last == NULL || found[i].start >= last->end) {
            found[kept++] = found[i];
            continue;
        }
        if (found[i].score > last->score) {
            last->detector = found[i].detector;
            last->score = found[i].score;
        }
        last->end = DV_MAX(last->end, found[i].end);
        dv_detector_set_join(&last->detectors, &found[i].detectors);
    }
    return kept;
}

/* What is final, now that encoded values may reach over the end. */
static size_t final_until(const decoding *d, dv_slice text, size_t until)
{
    until = DV_MIN(until, DV_MIN(d->hold, open_end(text)));
    if (text.len - until > STUCK) {
        until = text.len - STUCK;
    }
    for (size_t i = d->found == NULL ? 0 : d->count; i > 0; i--) {
        const dv_finding *f = &d->found[i - 1];
        if (f->start < until && until < f->end && f->start > d->from) {
            until = f->start;
        }
    }
    return DV_MAX(until, d->from + 1);
}

dv_result dv_decode_also(void *data, dv_slice text, size_t from, bool more, dv_arena *arena,
                         const dv_finding **found, size_t *count, size_t *until)
{
    decoding d = {.walk = data, .arena = arena, .from = from, .more = more, .hold = text.len};
    size_t begin = from;
    while (begin > 0 && from - begin < CONTEXT && text.ptr[begin - 1] != '\0') {
        begin--;
    }
    for (size_t i = 0; i < *count; i++) {
        DV_TRY(add(&d, &(*found)[i]));
    }
    DV_TRY(decode(&d, text, begin));
    d.count = join(d.found, d.count);
    if (more) {
        *until = final_until(&d, text, *until);
    }
    *found = d.found;
    *count = d.count;
    return DV_OK;
}
