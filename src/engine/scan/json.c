/* SPDX-License-Identifier: Apache-2.0 */
/* JSON and lines of JSON: every string and long number with the names that lead to it. */
#include "base/json.h"

#include "base/caps.h"
#include "engine/scan/scan_private.h"

enum { PATH_MAX_LEN = 256, LONG_NUMBER = 8, KEY_DIGITS_MAX = 3, KEY_MAX_LEN = 64 };

typedef struct walking {
    dv_scan *scan;
    dv_scan_place place;
    dv_buf path;
    size_t base[DV_LIMIT_JSON_DEPTH + 2];  /* length of the path to what holds values so deep */
    size_t value[DV_LIMIT_JSON_DEPTH + 2]; /* and to the value that is looked at */
} walking;

static dv_result tell(walking *w, dv_slice text)
{
    w->place.field = dv_buf_slice(&w->path);
    return w->scan->visitor->value(w->scan->visitor->data, &w->place, text);
}

/* A name that is data itself (an address, a number) is searched as a value, and stands as "*" in
 * the path: there would be a field for every one of them, and the field's name would tell it. */
static bool is_data(dv_slice key)
{
    size_t digits = 0;
    for (size_t i = 0; i < key.len; i++) {
        digits += key.ptr[i] >= '0' && key.ptr[i] <= '9';
    }
    return key.len > KEY_MAX_LEN || digits > KEY_DIGITS_MAX || digits == key.len ||
           dv_slice_find_byte(key, '@') >= 0;
}

static dv_result name_member(walking *w, uint32_t depth, dv_slice key)
{
    bool data = is_data(key);
    w->path.len = w->base[depth];
    if (w->path.len > 0) {
        DV_TRY(dv_buf_append_byte(&w->path, '.'));
    }
    DV_TRY(dv_buf_append(&w->path, data ? DV_LIT("*") : key));
    w->path.len = DV_MIN(w->path.len, PATH_MAX_LEN);
    DV_TRY(data ? tell(w, key) : DV_OK);
    w->value[depth] = w->path.len;
    return DV_OK;
}

static dv_result visit_token(walking *w, const dv_json *json, uint32_t token, dv_arena *arena)
{
    const dv_json_token *t = &json->tokens[token];
    dv_slice text = {NULL, 0};
    switch (t->type) {
    case DV_JSON_KEY:
        DV_TRY(dv_json_string(json, token, arena, &text));
        return name_member(w, t->depth, text);
    case DV_JSON_STRING:
        DV_TRY(dv_json_string(json, token, arena, &text));
        w->path.len = w->value[t->depth];
        return tell(w, text);
    case DV_JSON_NUMBER:
        w->path.len = w->value[t->depth];
        return t->len >= LONG_NUMBER ? tell(w, dv_json_raw(json, token)) : DV_OK;
    default:
        return DV_OK;
    }
}

static dv_result visit_value(walking *w, const dv_json *json, uint32_t token, dv_arena *arena)
{
    const dv_json_token *t = &json->tokens[token];
    if (t->type == DV_JSON_ARRAY) { /* what is in it has the array's name and [] */
        w->path.len = w->value[t->depth];
        if (w->path.len + 2 <= PATH_MAX_LEN) {
            DV_TRY(dv_buf_append_str(&w->path, "[]"));
        }
        w->base[t->depth + 1] = w->value[t->depth + 1] = w->path.len;
        return DV_OK;
    }
    if (t->type == DV_JSON_OBJECT) {
        w->base[t->depth + 1] = w->value[t->depth];
        return DV_OK;
    }
    return visit_token(w, json, token, arena);
}

static dv_result walk_tape(dv_scan *scan, const dv_json *json, dv_slice member, dv_arena *arena)
{
    walking w = {.scan = scan, .place.member = member, .path = dv_buf_init(DV_SCAN_WHOLE)};
    dv_result result = DV_OK;
    for (uint32_t i = 0; i < json->count && result == DV_OK; i++) {
        result = visit_value(&w, json, i, arena);
    }
    dv_buf_release(&w.path);
    return result;
}

/* DV_ERR_INVALID, DV_ERR_TOO_LARGE: it is no JSON that we read as such. */
static dv_result walk_json(dv_scan *scan, dv_slice text, dv_slice member)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH, .tokens = DV_SCAN_TOKENS};
    static const uint8_t mark[] = {0xEF, 0xBB, 0xBF};
    dv_json json;
    dv_arena_recycle(scan->arena);
    if (dv_slice_starts_with(text, dv_slice_of(mark, sizeof(mark)))) {
        text = dv_slice_sub(text, sizeof(mark), text.len);
    }
    DV_TRY(dv_json_scan(text, &limits, scan->arena, &json, NULL));
    return walk_tape(scan, &json, member, scan->arena);
}

static bool is_no_json(dv_result result)
{
    return result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE;
}

static dv_result tell_text(dv_scan *scan, dv_slice text, dv_slice member)
{
    const dv_scan_place place = {.member = member};
    return scan->visitor->text(scan->visitor->data, &place, text, false);
}

/* Too large a text, or one that only looks like JSON, is searched as text. */
dv_result dv_scan_json(dv_scan *scan, dv_scan_source *source, dv_slice member)
{
    dv_auto(secret_buf) dv_buf text = dv_buf_init(DV_SCAN_WHOLE);
    bool whole = false;
    DV_TRY(dv_scan_read_all(source, &text, &whole));
    dv_result result = whole ? walk_json(scan, dv_buf_slice(&text), member) : DV_ERR_TOO_LARGE;
    if (!is_no_json(result)) {
        return result;
    }
    DV_TRY(tell_text(scan, dv_buf_slice(&text), member));
    return dv_scan_text(scan, source, member);
}

/* ---- lines ---- */

static dv_result walk_line(dv_scan *scan, dv_slice line, dv_slice member)
{
    dv_slice json = dv_slice_trim(line);
    if (json.len == 0) {
        return DV_OK;
    }
    scan->item.rows++;
    dv_result result = walk_json(scan, json, member);
    return is_no_json(result) ? tell_text(scan, line, member) : result;
}

/* Takes whole lines off the buffer; what is left is the beginning of one. */
static dv_result walk_lines(dv_scan *scan, dv_buf *lines, dv_slice member)
{
    dv_slice rest = dv_buf_slice(lines);
    ptrdiff_t end = 0;
    while ((end = dv_slice_find_byte(rest, '\n')) >= 0) {
        DV_TRY(walk_line(scan, dv_slice_sub(rest, 0, (size_t)end + 1), member));
        rest = dv_slice_sub(rest, (size_t)end + 1, rest.len);
    }
    if (rest.len > 0) {
        memmove(lines->ptr, rest.ptr, rest.len);
    }
    lines->len = rest.len;
    return DV_OK;
}

dv_result dv_scan_json_lines(dv_scan *scan, dv_scan_source *source, dv_slice member)
{
    uint8_t piece[DV_SCAN_PIECE];
    dv_auto(secret_buf) dv_buf lines = dv_buf_init(DV_SCAN_LINE + DV_SCAN_PIECE);
    size_t len = 1;
    while (len > 0) {
        DV_TRY(dv_scan_read(source, piece, sizeof(piece), &len));
        DV_TRY(dv_buf_append(&lines, dv_slice_of(piece, len)));
        DV_TRY(walk_lines(scan, &lines, member));
        if (lines.len > DV_SCAN_LINE) { /* one that never ends */
            DV_TRY(tell_text(scan, dv_buf_slice(&lines), member));
            dv_buf_clear(&lines);
        }
    }
    DV_TRY(walk_line(scan, dv_buf_slice(&lines), member));
    return dv_scan_text(scan, source, member); /* the end of what was told as text */
}
