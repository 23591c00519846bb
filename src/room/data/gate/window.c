/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/window.h"

#include "base/caps.h"
#include "engine/detect/tagger/tagger.h"

enum {
    CONTEXT = 160, /* more than any detector looks back at */
    SPARE = 256,   /* bytes that a buffer may keep unused between events */
    TEXT_MAX = DV_LIMIT_STREAM_EVENT + DV_LIMIT_STREAM_MEMORY + DV_TAGGER_CONTEXT,
};

/* Bytes of the view that stand in raw as they are, one after the other, and what holds for all of
 * them: how many strings of JSON they stand in, and whether in none at the innermost level. */
typedef struct stretch {
    uint32_t view; /* its first byte, counted from `from` */
    uint32_t raw : 28;
    uint32_t depth : 3;
    uint32_t bare : 1;
} stretch;
_Static_assert(TEXT_MAX < 1 << 28 && DV_NESTING_LEVELS < 8, "fields of a stretch");

typedef struct arguments {
    dv_nesting nesting;
    dv_buf raw;
    dv_buf map; /* of stretch, in order */
} arguments;

struct dv_window {
    dv_buf view;
    size_t from;
    bool cut;                   /* what stood before the view is forgotten */
    arguments *json;            /* NULL: the view is the text */
    dv_fingerprint_state *loss; /* of what went out; made when it is asked for */
    size_t loss_bytes;
};

dv_window *dv_window_new(bool json)
{
    dv_window *window = calloc(1, sizeof(*window));
    if (window == NULL) {
        return NULL;
    }
    window->view = dv_buf_init(TEXT_MAX);
    if (!json) {
        return window;
    }
    window->json = calloc(1, sizeof(*window->json));
    if (window->json == NULL) {
        free(window);
        return NULL;
    }
    dv_nesting_begin(&window->json->nesting);
    window->json->raw = dv_buf_init(TEXT_MAX);
    window->json->map = dv_buf_init((size_t)TEXT_MAX * sizeof(stretch));
    return window;
}

void dv_window_free(dv_window *window)
{
    if (window == NULL) {
        return;
    }
    dv_buf_release(&window->view);
    free(window->loss);
    if (window->json != NULL) {
        dv_buf_release(&window->json->raw);
        dv_buf_release(&window->json->map);
        free(window->json);
    }
    free(window);
}

bool dv_window_holds(const dv_window *window)
{
    return window->view.len > window->from || (window->json != NULL && window->json->raw.len > 0);
}

size_t dv_window_memory(const dv_window *window)
{
    size_t bytes = sizeof(*window) + window->view.cap + window->loss_bytes;
    if (window->json != NULL) {
        bytes += sizeof(*window->json) + window->json->raw.cap + window->json->map.cap;
    }
    return bytes;
}

/* ---- decoding JSON ---- */

static size_t held_bytes(const dv_window *window)
{
    return window->view.len - window->from;
}

static const stretch *stretches(const arguments *json, size_t *ret_count)
{
    *ret_count = json->map.len / sizeof(stretch);
    return (const stretch *)(const void *)json->map.ptr;
}

/* One more byte of the view; a stretch of its own unless it goes on with the last one. */
static dv_result show_byte(void *context, uint8_t byte, uint32_t at, uint32_t depth, bool bare)
{
    dv_window *window = context;
    arguments *json = window->json;
    uint32_t index = (uint32_t)held_bytes(window);
    size_t count = 0;
    const stretch *list = stretches(json, &count);
    const stretch *last = count > 0 ? &list[count - 1] : NULL;
    if (last == NULL || at != last->raw + (index - last->view) || depth != last->depth ||
        bare != last->bare) {
        stretch next = {.view = index, .raw = at & 0x0FFFFFFF, .depth = depth & 7, .bare = bare};
        DV_TRY(dv_buf_append(&json->map, dv_slice_of(&next, sizeof(next))));
    }
    return dv_buf_append_byte(&window->view, byte);
}

dv_result dv_window_push(dv_window *window, dv_slice text)
{
    arguments *json = window->json;
    if (json == NULL) {
        return dv_buf_append(&window->view, text);
    }
    uint32_t at = (uint32_t)json->raw.len;
    DV_TRY(dv_buf_append(&json->raw, text));
    for (size_t i = 0; i < text.len; i++) {
        DV_TRY(dv_nesting_feed(&json->nesting, text.ptr[i], at++, show_byte, window));
    }
    return DV_OK;
}

/* ---- from view to raw ---- */

/* Raw bytes that the view tells of. */
static size_t shown_bytes(const arguments *json)
{
    uint32_t at = 0;
    return dv_nesting_waits(&json->nesting, &at) ? at : json->raw.len;
}

/* The stretch that holds the view's byte, counted from `from`; there is one. */
static const stretch *find_stretch(const arguments *json, size_t index)
{
    size_t count = 0;
    const stretch *list = stretches(json, &count);
    size_t low = 0;
    while (count - low > 1) {
        size_t middle = low + (count - low) / 2;
        if (list[middle].view <= index) {
            low = middle;
        } else {
            count = middle;
        }
    }
    return &list[low];
}

/* Where the view's byte `at` began, in the text that goes out. */
static size_t source_offset(const dv_window *window, size_t at)
{
    if (window->json == NULL) {
        return at;
    }
    size_t index = at - window->from;
    if (index >= held_bytes(window)) {
        return shown_bytes(window->json);
    }
    const stretch *s = find_stretch(window->json, index);
    return s->raw + (index - s->view);
}

static dv_slice source_text(const dv_window *window)
{
    return dv_buf_slice(window->json != NULL ? &window->json->raw : &window->view);
}

/* ---- releasing ---- */

/* The first byte that has to wait; what is found across it waits as a whole. */
static dv_result find_hold(const dv_window *window, dv_data_pass *pass, const dv_data_hit *hits,
                           size_t count, size_t *ret_hold)
{
    dv_slice view = dv_buf_slice(&window->view);
    size_t hold = 0;
    DV_TRY(dv_detect_hold(pass->gate->rules, pass->gate->scratch, view, window->from,
                          &pass->policy->enabled, pass->found, pass->found_count, &hold));
    hold = DV_MIN(hold, pass->hold);
    hold = DV_MIN(hold, dv_data_placeholder_hold(pass->context, view, window->from));
    for (size_t i = count; i > 0; i--) {
        if (hits[i - 1].start < hold && hold < hits[i - 1].end) {
            hold = hits[i - 1].start;
        }
    }
    *ret_hold = hold;
    return DV_OK;
}

/* A text in which every other character is none: UTF-16 that was taken for bytes. It is read where
 * it is told whole; of pieces the first would be out before it shows. */
static bool is_wide(dv_slice text)
{
    const uint8_t *first = memchr(text.ptr, 0, text.len);
    for (size_t i = first == NULL ? text.len : (size_t)(first - text.ptr); i + 6 < text.len; i++) {
        const uint8_t *b = text.ptr + i;
        if (b[0] == 0 && b[2] == 0 && b[4] == 0 && b[6] == 0 && b[1] != 0 && b[3] != 0) {
            return true;
        }
    }
    return false;
}

static dv_result search(const dv_window *window, dv_data_pass *pass, bool last, dv_data_hit **hits,
                        size_t *count)
{
    dv_slice view = dv_buf_slice(&window->view);
    const dv_data_policy *policy = pass->policy;
    if (policy->decode && policy->rewrites && is_wide(view)) {
        return DV_ERR_INVALID;
    }
    pass->cut = window->cut;
    pass->more = !last;
    pass->loss_state = window->loss;
    dv_result result = dv_data_pass_search(pass, view, window->from, hits, count);
    pass->cut = false;
    pass->more = false;
    pass->loss_state = NULL;
    return result;
}

dv_result dv_window_look(const dv_window *window, dv_data_pass *pass, bool last,
                         dv_window_found *ret_found)
{
    dv_data_hit *hits = NULL;
    size_t count = 0;
    size_t hold = window->view.len;
    if (held_bytes(window) > 0) {
        DV_TRY(search(window, pass, last, &hits, &count));
        if (!last) {
            DV_TRY(find_hold(window, pass, hits, count, &hold));
        }
    }
    while (count > 0 && hits[count - 1].end > hold) {
        count--;
    }
    *ret_found = (dv_window_found){hits, count, hold};
    return DV_OK;
}

static dv_result quote(dv_slice *text, dv_arena *arena)
{
    dv_slice escaped;
    DV_TRY(dv_data_escape(*text, arena, &escaped));
    const char *quoted = dv_arena_printf(arena, "\"%.*s\"", DV_SLICE_ARGS(escaped));
    if (quoted == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *text = dv_slice_of(quoted, escaped.len + 2);
    return DV_OK;
}

/* What stands there instead, as it must be written at that place: escaped for each level. */
static dv_result append_instead(const dv_window *window, dv_data_pass *pass, size_t at,
                                dv_slice text, dv_buf *out)
{
    if (window->json == NULL) {
        return dv_buf_append(out, text);
    }
    const stretch *s = find_stretch(window->json, at - window->from);
    if (s->bare) {
        DV_TRY(quote(&text, pass->temp));
    }
    for (uint32_t depth = s->depth; depth > 0; depth--) {
        DV_TRY(dv_data_escape(text, pass->temp, &text));
    }
    return dv_buf_append(out, text);
}

/* Tells of own data that was met in what goes out now; what still waits is met again, as is a value
 * that ends there, since its word may go on. A document is not: it is told once, as far as was
 * read. What blocks is told at once. */
static dv_result tell_met(dv_data_pass *pass, size_t hold, const char *place, bool last)
{
    uint32_t blocks = dv_data_loss_blocks(pass->policy->loss);
    for (size_t i = 0; i < pass->mets.count; i++) {
        const dv_data_met *met = &pass->mets.list[i];
        bool whole = met->encoded || met->kind == DV_FINGERPRINT_DOCUMENT;
        bool goes = whole ? met->end <= hold : met->end < hold;
        if (last || goes || ((blocks >> met->set) & 1) != 0) {
            DV_TRY(dv_data_pass_meet(pass, met, place));
        }
    }
    pass->mets.count = 0;
    return DV_OK;
}

/* Keeps what went out in mind. */
static dv_result advance_loss(dv_window *window, dv_data_pass *pass, size_t hold)
{
    dv_slice gone = dv_slice_sub(dv_buf_slice(&window->view), window->from, hold - window->from);
    if (window->loss == NULL) {
        size_t count = dv_data_loss_count(pass->policy->loss);
        window->loss_bytes = dv_fingerprint_state_size(count);
        window->loss = malloc(window->loss_bytes);
        if (window->loss == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        dv_fingerprint_state_init(window->loss, count);
    }
    return dv_data_loss_advance(pass, window->loss, gone);
}

static dv_result write_out(const dv_window *window, dv_data_pass *pass,
                           const dv_window_found *found, const char *place, dv_buf *out)
{
    dv_slice source = source_text(window);
    size_t from = source_offset(window, window->from);
    for (size_t i = 0; i < found->count; i++) {
        const dv_data_hit *hit = &found->hits[i];
        dv_slice instead = {NULL, 0};
        DV_TRY(dv_data_pass_decide(pass, dv_buf_slice(&window->view), hit, place, &instead));
        if (instead.ptr == NULL) {
            continue;
        }
        size_t start = source_offset(window, hit->start);
        DV_TRY(dv_buf_append(out, dv_slice_sub(source, from, start - from)));
        DV_TRY(append_instead(window, pass, hit->start, instead, out));
        from = source_offset(window, hit->end);
    }
    size_t end = source_offset(window, found->hold);
    return dv_buf_append(out, dv_slice_sub(source, from, end - from));
}

static void drop_front(dv_buf *buf, size_t len)
{
    if (len > 0) {
        memmove(buf->ptr, buf->ptr + len, buf->len - len);
        buf->len -= len;
    }
}

/* The map without the first `view` bytes, which were the first `raw` ones. */
static void forget_stretches(arguments *json, size_t view, size_t raw)
{
    size_t count = 0;
    stretch *list = (stretch *)(void *)json->map.ptr;
    const stretch *first = find_stretch(json, view);
    size_t gone = (size_t)(first - stretches(json, &count));
    for (size_t i = gone; i < count; i++) {
        size_t begin = DV_MAX((size_t)list[i].view, view); /* the first one may be cut */
        list[i].raw = (uint32_t)(list[i].raw + (begin - list[i].view) - raw) & 0x0FFFFFFF;
        list[i].view = (uint32_t)(begin - view);
    }
    drop_front(&json->map, gone * sizeof(stretch));
}

static void forget_arguments(dv_window *window, size_t hold)
{
    arguments *json = window->json;
    size_t raw = source_offset(window, hold);
    if (hold == window->view.len) {
        json->map.len = 0;
    } else {
        forget_stretches(json, hold - window->from, raw);
    }
    drop_front(&json->raw, raw);
    dv_nesting_shift(&json->nesting, (uint32_t)raw);
}

/* Forgets what went out, but for the context. */
static void forget(dv_window *window, const dv_data_pass *pass, size_t hold)
{
    size_t context = pass->policy->names ? (size_t)DV_TAGGER_CONTEXT : (size_t)CONTEXT;
    if (window->json != NULL && hold > window->from) {
        forget_arguments(window, hold);
    }
    size_t keep = DV_MIN(hold, context);
    drop_front(&window->view, hold - keep);
    window->cut |= hold > keep;
    window->from = keep;
}

static void give_back(dv_window *window)
{
    dv_buf_trim(&window->view, SPARE);
    if (window->json != NULL) {
        dv_buf_trim(&window->json->raw, SPARE);
        dv_buf_trim(&window->json->map, SPARE);
    }
}

/* The end of a stream within an escape: it goes as it came. */
static dv_result take_rest(dv_window *window, dv_buf *out)
{
    if (window->json == NULL) {
        return DV_OK;
    }
    size_t shown = shown_bytes(window->json);
    DV_TRY(dv_buf_append(out, dv_slice_sub(dv_buf_slice(&window->json->raw), shown, SIZE_MAX)));
    window->json->raw.len = shown;
    return DV_OK;
}

dv_result dv_window_take(dv_window *window, dv_data_pass *pass, const dv_window_found *found,
                         const char *place, bool last, dv_buf *out)
{
    if (held_bytes(window) > 0) {
        if (pass->policy->loss_on != 0) {
            DV_TRY(tell_met(pass, found->hold, place, last));
            DV_TRY(last ? DV_OK : advance_loss(window, pass, found->hold));
        }
        DV_TRY(write_out(window, pass, found, place, out));
        forget(window, pass, found->hold);
    }
    give_back(window);
    return last ? take_rest(window, out) : DV_OK;
}
