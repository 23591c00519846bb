/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/walk.h"

#include "base/buf.h"

enum {
    WINDOW = 256 << 10, /* bytes that are searched at once */
    CONTEXT = 512,      /* bytes before them that are looked back at */
    STUCK = 64 << 10,   /* a value that goes on longer is cut there */
    LEAST_WINDOW = 4 << 10,
};

/* Where what was found is final; at least one byte behind `from`. */
static dv_result final_until(dv_walk *w, dv_slice text, size_t from, const dv_finding *found,
                             size_t count, size_t *ret_until)
{
    size_t until = 0;
    DV_TRY(dv_detect_hold(w->rules, w->scratch, text, from, &w->enabled, found, count, &until));
    for (size_t i = count; i > 0; i--) {
        if (found[i - 1].start < until && until < found[i - 1].end) {
            until = found[i - 1].start;
        }
    }
    if (text.len - until > STUCK) {
        until = text.len - STUCK;
    }
    *ret_until = DV_MAX(until, from + 1);
    return DV_OK;
}

static dv_result find(dv_walk *w, dv_slice text, size_t from, bool last, const dv_finding **found,
                      size_t *count, size_t *until)
{
    DV_TRY(dv_detect_scan(w->rules, w->scratch, text, from, &w->enabled, w->arena, found, count));
    if (!last) {
        DV_TRY(final_until(w, text, from, *found, *count, until));
    }
    return w->also == NULL
               ? DV_OK
               : w->also(w->also_data, text, from, !last, w->arena, found, count, until);
}

dv_result dv_walk_find(dv_walk *w, dv_slice text, size_t from, const dv_finding **ret_found,
                       size_t *ret_count)
{
    size_t until = text.len;
    return find(w, text, from, true, ret_found, ret_count, &until);
}

static dv_result pass(dv_walk *w, dv_slice text, size_t from, size_t to)
{
    return w->passed == NULL || to <= from
               ? DV_OK
               : w->passed(w->data, dv_slice_sub(text, from, to - from));
}

/* Searches text from `from` on and tells what is final; the search goes on at *ret_until. base:
 * where the text begins in the input; last: nothing follows it. */
static dv_result search(dv_walk *w, dv_slice text, size_t from, bool last, uint64_t base,
                        size_t *ret_until)
{
    const dv_finding *found = NULL;
    size_t count = 0;
    size_t until = text.len;
    dv_arena_reset(w->arena);
    dv_result result = find(w, text, from, last, &found, &count, &until);
    if (result == DV_ERR_TOO_LARGE && text.len - from > LEAST_WINDOW) {
        size_t half = from + (text.len - from) / 2;
        return search(w, dv_slice_sub(text, 0, half), from, false, base, ret_until);
    }
    DV_TRY(result);
    size_t done = from;
    for (size_t i = 0; i < count && found[i].start < until; i++) {
        DV_TRY(pass(w, text, done, found[i].start));
        DV_TRY(w->value(w->data, text, &found[i], base));
        done = DV_MAX(done, (size_t)found[i].end);
    }
    DV_TRY(pass(w, text, done, until));
    *ret_until = DV_MAX(until, done);
    return DV_OK;
}

dv_result dv_walk_stream(dv_walk *w, const dv_walk_source *source)
{
    dv_auto(secret_buf) dv_buf window = dv_buf_init(2 * WINDOW + CONTEXT);
    uint64_t base = 0;
    size_t from = 0;
    bool last = false;
    DV_TRY(dv_buf_reserve(&window, 2 * WINDOW + CONTEXT));
    while (!last || from < window.len) {
        while (!last && window.len - from < WINDOW) {
            size_t len = 0;
            DV_TRY(source->get(source->data, window.ptr + window.len, 16 << 10, &len));
            window.len += len;
            last = len == 0;
        }
        if (from < window.len) {
            DV_TRY(search(w, dv_buf_slice(&window), from, last, base, &from));
        }
        size_t drop = from > CONTEXT ? from - CONTEXT : 0;
        memmove(window.ptr, window.ptr + drop, window.len - drop);
        window.len -= drop;
        from -= drop;
        base += drop;
    }
    return DV_OK;
}

dv_result dv_walk_text(dv_walk *w, dv_slice text)
{
    for (size_t from = 0; from < text.len;) {
        DV_TRY(search(w, text, from, true, 0, &from));
    }
    return DV_OK;
}
