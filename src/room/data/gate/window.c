/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/window.h"

#include "base/caps.h"
#include "base/codec.h"

enum {
    CONTEXT = 160, /* more than any detector looks back at */
    TEXT_MAX = DV_LIMIT_STREAM_EVENT + DV_LIMIT_STREAM_HOLD + CONTEXT,
};

/* Where a JSON text's reader stands. */
enum { OUTSIDE = 0, INSIDE = 1 };

/* An entry of the map: the offset in raw, how many strings within each other the byte stands in,
 * and whether it stands in none at the innermost level of JSON, so that text there needs quotes. */
#define OFFSET_MASK UINT32_C(0x0FFFFFFF)
#define DEPTH_SHIFT 28
#define BARE UINT32_C(0x80000000)
_Static_assert((uint64_t)TEXT_MAX <= OFFSET_MASK && DV_NESTING_LEVELS + 1 < 8, "map entries");

void dv_window_init(dv_window *window, bool json)
{
    *window = (dv_window){
        .json = json,
        .view = dv_buf_init(TEXT_MAX),
        .raw = dv_buf_init(TEXT_MAX),
        .map = dv_buf_init((size_t)TEXT_MAX * 4),
    };
}

void dv_window_release(dv_window *window)
{
    dv_buf_release(&window->view);
    dv_buf_release(&window->raw);
    dv_buf_release(&window->map);
}

bool dv_window_holds(const dv_window *window)
{
    return window->view.len > window->from || window->raw.len > window->decoded;
}

/* ---- decoding JSON ---- */

/* The byte's marks in the map. */
static uint32_t marks_of(dv_window *window, uint8_t byte)
{
    if (window->state == OUTSIDE) {
        return BARE;
    }
    dv_nesting_feed(&window->nesting, byte);
    uint32_t depth = dv_nesting_depth(&window->nesting) + 1;
    return depth << DEPTH_SHIFT | (dv_nesting_bare(&window->nesting) ? BARE : 0);
}

static dv_result view_bytes(dv_window *window, dv_slice bytes, size_t raw_start)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t entry[4];
        dv_put_u32(entry, (uint32_t)raw_start | marks_of(window, bytes.ptr[i]));
        DV_TRY(dv_buf_append(&window->map, dv_slice_of(entry, sizeof(entry))));
    }
    return dv_buf_append(&window->view, bytes);
}

static bool read_hex4(dv_slice text, uint32_t *ret_value)
{
    uint8_t bytes[2];
    if (text.len < 6 || text.ptr[0] != '\\' || text.ptr[1] != 'u' ||
        dv_hex_decode(dv_slice_sub(text, 2, 4), bytes, 2) != DV_OK) {
        return false;
    }
    *ret_value = (uint32_t)bytes[0] << 8 | bytes[1];
    return true;
}

/* Length of the \u escape at the front and its code point; 0: not whole yet. */
static size_t read_unicode(dv_slice text, uint32_t *ret_code_point)
{
    uint32_t high = 0;
    uint32_t low = 0;
    if (text.len < 6) {
        return 0;
    }
    if (!read_hex4(text, &high)) {
        *ret_code_point = '\\';
        return 1; /* malformed: a byte like any other */
    }
    *ret_code_point = high;
    if (high < 0xD800 || high > 0xDBFF) {
        return 6;
    }
    dv_slice rest = dv_slice_sub(text, 6, 6);
    if (rest.len < 6 && (rest.len == 0 || rest.ptr[0] == '\\') &&
        (rest.len < 2 || rest.ptr[1] == 'u')) {
        return 0;
    }
    if (read_hex4(rest, &low) && low >= 0xDC00 && low <= 0xDFFF) {
        *ret_code_point = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
        return 12;
    }
    return 6;
}

/* The escape at raw's `at`; *ret_len 0: not whole yet. */
static dv_result view_escape(dv_window *window, size_t at, size_t *ret_len)
{
    static const char names[] = "bfnrt";
    static const char values[] = "\b\f\n\r\t";
    dv_slice text = dv_slice_sub(dv_buf_slice(&window->raw), at, window->raw.len);
    uint32_t code_point = 0;
    if (text.len < 2) {
        *ret_len = 0;
        return DV_OK;
    }
    if (text.ptr[1] == 'u') {
        *ret_len = read_unicode(text, &code_point);
    } else {
        const char *name = strchr(names, text.ptr[1]);
        code_point =
            text.ptr[1] != '\0' && name != NULL ? (uint32_t)values[name - names] : text.ptr[1];
        *ret_len = 2;
    }
    if (*ret_len == 0) {
        return DV_OK;
    }
    uint8_t bytes[4];
    size_t len = dv_utf8_encode(code_point, bytes);
    dv_slice shown = len > 0 ? dv_slice_of(bytes, len) : DV_LIT("\xEF\xBF\xBD");
    return view_bytes(window, shown, at);
}

static dv_result decode(dv_window *window)
{
    while (window->decoded < window->raw.len) {
        size_t at = window->decoded;
        uint8_t byte = window->raw.ptr[at];
        size_t len = 1;
        if (byte == '\\' && window->state == INSIDE) {
            DV_TRY(view_escape(window, at, &len));
        } else {
            uint8_t next = window->state;
            if (byte == '"') {
                next = window->state == INSIDE ? OUTSIDE : INSIDE;
                window->state = OUTSIDE; /* a quotation mark is no part of the string */
            }
            DV_TRY(view_bytes(window, dv_slice_of(&byte, 1), at));
            window->state = next;
            if (byte == '"' && next == INSIDE) {
                dv_nesting_begin(&window->nesting);
            }
        }
        if (len == 0) {
            return DV_OK;
        }
        window->decoded = at + len;
    }
    return DV_OK;
}

dv_result dv_window_push(dv_window *window, dv_slice text)
{
    if (!window->json) {
        return dv_buf_append(&window->view, text);
    }
    DV_TRY(dv_buf_append(&window->raw, text));
    return decode(window);
}

/* ---- from view to raw ---- */

static size_t held_bytes(const dv_window *window)
{
    return window->view.len - window->from;
}

/* Where the view's byte `at` began, in the text that goes out. */
static size_t source_offset(const dv_window *window, size_t at)
{
    if (!window->json) {
        return at;
    }
    size_t index = at - window->from;
    return index < held_bytes(window) ? dv_get_u32(window->map.ptr + index * 4) & OFFSET_MASK
                                      : window->decoded;
}

static uint32_t marks_at(const dv_window *window, size_t at)
{
    return dv_get_u32(window->map.ptr + (at - window->from) * 4) & ~OFFSET_MASK;
}

static dv_slice source_text(const dv_window *window)
{
    return dv_buf_slice(window->json ? &window->raw : &window->view);
}

/* ---- releasing ---- */

/* The first byte that has to wait; what is found across it waits as a whole. */
static dv_result find_hold(const dv_window *window, dv_data_pass *pass, const dv_data_hit *hits,
                           size_t count, size_t *ret_hold)
{
    dv_slice view = dv_buf_slice(&window->view);
    size_t hold = 0;
    DV_TRY(dv_detect_hold(pass->gate->rules, pass->gate->scratch, view, window->from,
                          pass->policy->enabled, &hold));
    hold = DV_MIN(hold, dv_data_placeholder_hold(pass->context, view, window->from));
    for (size_t i = count; i > 0; i--) {
        if (hits[i - 1].start < hold && hold < hits[i - 1].end) {
            hold = hits[i - 1].start;
        }
    }
    *ret_hold = hold;
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
    if (!window->json) {
        return dv_buf_append(out, text);
    }
    uint32_t marks = marks_at(window, at);
    if ((marks & BARE) != 0) {
        DV_TRY(quote(&text, pass->temp));
    }
    for (uint32_t depth = (marks & ~BARE) >> DEPTH_SHIFT; depth > 0; depth--) {
        DV_TRY(dv_data_escape(text, pass->temp, &text));
    }
    return dv_buf_append(out, text);
}

static dv_result write_out(const dv_window *window, dv_data_pass *pass, const char *place,
                           const dv_data_hit *hits, size_t count, size_t hold, dv_buf *out)
{
    dv_slice source = source_text(window);
    size_t from = source_offset(window, window->from);
    for (size_t i = 0; i < count && hits[i].end <= hold; i++) {
        dv_slice instead = {NULL, 0};
        DV_TRY(dv_data_pass_decide(pass, dv_buf_slice(&window->view), &hits[i], place, &instead));
        if (instead.ptr == NULL) {
            continue;
        }
        size_t start = source_offset(window, hits[i].start);
        DV_TRY(dv_buf_append(out, dv_slice_sub(source, from, start - from)));
        DV_TRY(append_instead(window, pass, hits[i].start, instead, out));
        from = source_offset(window, hits[i].end);
    }
    return dv_buf_append(out, dv_slice_sub(source, from, source_offset(window, hold) - from));
}

static void drop_front(dv_buf *buf, size_t len)
{
    if (len > 0) {
        memmove(buf->ptr, buf->ptr + len, buf->len - len);
        buf->len -= len;
    }
}

/* Forgets what went out, but for the context. */
static void forget(dv_window *window, size_t hold)
{
    if (window->json && hold > window->from) {
        size_t raw = source_offset(window, hold);
        drop_front(&window->map, (hold - window->from) * 4);
        for (size_t i = 0; i < window->map.len; i += 4) {
            uint32_t entry = dv_get_u32(window->map.ptr + i);
            dv_put_u32(window->map.ptr + i, entry - (uint32_t)raw); /* the marks stay */
        }
        drop_front(&window->raw, raw);
        window->decoded -= raw;
    }
    size_t keep = DV_MIN(hold, (size_t)CONTEXT);
    drop_front(&window->view, hold - keep);
    window->from = keep;
}

/* The end of a stream within an escape: it goes as it came. */
static dv_result take_rest(dv_window *window, dv_buf *out)
{
    dv_slice rest = dv_slice_sub(dv_buf_slice(&window->raw), window->decoded, window->raw.len);
    DV_TRY(dv_buf_append(out, rest));
    window->raw.len = window->decoded;
    return DV_OK;
}

dv_result dv_window_take(dv_window *window, dv_data_pass *pass, const char *place, bool last,
                         dv_buf *out)
{
    dv_data_hit *hits = NULL;
    size_t count = 0;
    size_t hold = window->view.len;
    if (held_bytes(window) > 0) {
        DV_TRY(dv_data_pass_search(pass, dv_buf_slice(&window->view), window->from, &hits, &count));
        if (!last) {
            DV_TRY(find_hold(window, pass, hits, count, &hold));
        }
        if (window->view.len - hold > DV_LIMIT_STREAM_HOLD) {
            return DV_ERR_TOO_LARGE;
        }
        DV_TRY(write_out(window, pass, place, hits, count, hold, out));
        forget(window, hold);
    }
    return last ? take_rest(window, out) : DV_OK;
}
