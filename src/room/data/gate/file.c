/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/file.h"

#include "base/caps.h"
#include "base/codec.h"
#include "base/markup.h"
#include "base/utf8.h"
#include "engine/detect/packed.h"
#include "room/data/gate/window.h"

/* Files by their bytes, never by their names: those are the caller's to choose. */

enum {
    PIECE = 32 << 10, /* bytes of a text that are searched at once */
    PLACE_MAX = 600,
    PDF_WITHIN = 1024 + 5,
};

static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH, .tokens = DV_LIMIT_JSON_TOKENS};

static bool is_denied(const dv_data_pass *pass)
{
    return pass->verdict->decision != DV_ALLOW;
}

static const char *name_of(const dv_data_pass *pass)
{
    return pass->root[0] != '\0' ? pass->root : "the file";
}

/* ---- text ---- */

static bool begins_as_json(dv_slice text)
{
    size_t at = 0;
    while (at < text.len && text.ptr[at] <= ' ') {
        at++;
    }
    return at + 1 < text.len && (text.ptr[at] == '{' || text.ptr[at] == '[');
}

/* JSON, whole; false: it is none. */
static dv_result try_json(dv_data_pass *pass, dv_slice text, dv_data_edits *edits, bool *ret_json)
{
    dv_json json = {0};
    *ret_json = false;
    if (!begins_as_json(text)) {
        return DV_OK;
    }
    dv_result result = dv_json_scan(text, &limits, pass->temp, &json, NULL);
    if (result == DV_ERR_INVALID) {
        return DV_OK;
    }
    DV_TRY(result);
    *ret_json = true;
    return dv_data_body_inspect(pass, &json, NULL, edits);
}

/* What the text becomes, piece by piece, as if it came as a stream. */
static dv_result rewrite(dv_data_pass *pass, dv_slice text, dv_buf *out)
{
    dv_auto(window) dv_window *window = dv_window_new(false);
    dv_window_found found;
    if (window == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t at = 0; at < text.len && !is_denied(pass);) {
        dv_slice piece = dv_slice_sub(text, at, PIECE);
        bool last = at + piece.len == text.len;
        piece = last ? piece : dv_slice_sub(piece, 0, dv_utf8_prefix(piece));
        DV_TRY(dv_window_push(window, piece));
        DV_TRY(dv_window_look(window, pass, last, &found));
        DV_TRY(dv_window_take(window, pass, &found, pass->root, last, out));
        dv_arena_recycle(pass->temp);
        at += piece.len;
    }
    return DV_OK;
}

/* A long text has one edit: all of it. */
static dv_result inspect_plain(dv_data_pass *pass, dv_slice text, dv_data_edits *edits)
{
    dv_slice whole = {NULL, 0};
    if (text.len <= PIECE) {
        return dv_data_text_inspect(pass, text, edits);
    }
    dv_auto(secret_buf) dv_buf out = dv_buf_init(DV_LIMIT_REQUEST_ARENA);
    DV_TRY(dv_buf_reserve(&out, text.len));
    DV_TRY(rewrite(pass, text, &out));
    if (is_denied(pass) || dv_slice_eq(dv_buf_slice(&out), text)) {
        return DV_OK;
    }
    DV_TRY(dv_arena_copy(pass->temp, dv_buf_slice(&out), &whole));
    return dv_data_edits_add(edits, pass->temp, 0, text.len, whole);
}

static dv_result inspect_unit(dv_data_pass *pass, dv_slice text, dv_data_edits *edits)
{
    bool json = false;
    DV_TRY(try_json(pass, text, edits, &json));
    return json ? DV_OK : inspect_plain(pass, text, edits);
}

static dv_slice line_at(dv_slice text, size_t at)
{
    dv_slice rest = dv_slice_sub(text, at, text.len);
    ptrdiff_t end = dv_slice_find_byte(rest, '\n');
    return end < 0 ? rest : dv_slice_sub(rest, 0, (size_t)end);
}

/* The first line is JSON by itself, and more follows. */
static bool is_lines(dv_data_pass *pass, dv_slice text)
{
    dv_json json = {0};
    dv_slice first = line_at(text, 0);
    return first.len + 1 < text.len && begins_as_json(first) &&
           dv_json_scan(first, &limits, pass->temp, &json, NULL) == DV_OK;
}

/* ---- what may be rewritten ---- */

/* Takes over the edits of a part of the body, and empties the arena that they were made in. */
static dv_result keep(dv_data_files *files, const dv_data_edits *edits, dv_slice part)
{
    dv_data_pass *pass = &files->pass;
    size_t base = (size_t)(part.ptr - files->body.ptr);
    for (size_t i = 0; i < edits->count; i++) {
        const dv_data_edit *edit = &edits->list[i];
        dv_slice text = {NULL, 0};
        DV_TRY(dv_arena_copy(pass->arena, edit->text, &text));
        DV_TRY(dv_data_edits_add(&files->edits, pass->arena, base + edit->start, base + edit->end,
                                 text));
    }
    dv_arena_recycle(pass->temp);
    return DV_OK;
}

/* Lines of a file. */
typedef struct lines {
    dv_data_files *files;
    dv_slice text;
    const char *root;
    char place[PLACE_MAX]; /* of what is inspected */
    size_t from;           /* what is not inspected yet, */
    size_t number;         /* and its first line */
} lines;

static void begin_place(lines *l, size_t number)
{
    (void)snprintf(l->place, sizeof(l->place), "%s/%zu", l->root, number);
    l->files->pass.root = l->place;
}

/* What stands between lines of JSON is one text: a value in it may take several lines. */
static dv_result inspect_between(lines *l, size_t end)
{
    dv_data_edits edits = {0};
    dv_slice between = dv_slice_sub(l->text, l->from, end - l->from);
    if (between.len == 0 || is_denied(&l->files->pass)) {
        return DV_OK;
    }
    begin_place(l, l->number);
    DV_TRY(inspect_plain(&l->files->pass, between, &edits));
    return keep(l->files, &edits, between);
}

static dv_result inspect_each(lines *l)
{
    dv_data_pass *pass = &l->files->pass;
    size_t number = 0;
    for (size_t at = 0; at < l->text.len && !is_denied(pass); number++) {
        dv_slice line = line_at(l->text, at);
        dv_data_edits edits = {0};
        bool json = false;
        begin_place(l, number);
        DV_TRY(try_json(pass, line, &edits, &json));
        DV_TRY(keep(l->files, &edits, line));
        if (json) {
            DV_TRY(inspect_between(l, at));
            l->from = at + line.len + 1;
            l->number = number + 1;
        }
        at += line.len + 1;
    }
    return inspect_between(l, l->text.len);
}

/* A line that is no JSON is text: JSON of which a part is missing is read by some. */
static dv_result inspect_lines(dv_data_files *files, dv_slice text)
{
    lines l = {.files = files, .text = text, .root = files->pass.root};
    dv_result result = inspect_each(&l);
    files->pass.root = l.root;
    return result;
}

static dv_result inspect_text(dv_data_files *files, dv_slice text)
{
    dv_data_pass *pass = &files->pass;
    dv_data_edits edits = {0};
    bool json = false;
    DV_TRY(try_json(pass, text, &edits, &json));
    if (!json) {
        bool of_lines = is_lines(pass, text);
        dv_arena_recycle(pass->temp);
        if (of_lines) {
            return inspect_lines(files, text);
        }
        DV_TRY(inspect_plain(pass, text, &edits));
    }
    return keep(files, &edits, text);
}

/* ---- what may not ---- */

/* Inspects what does not stand so in the body: where something would have to be hidden, it is
 * refused. */
static dv_result inspect_only(dv_data_pass *pass, dv_slice text, const char *where)
{
    dv_data_edits edits = {0};
    DV_TRY(inspect_unit(pass, text, &edits));
    if (edits.count > 0) {
        dv_data_pass_deny(pass, "%s holds a value %s: send it without", name_of(pass), where);
    }
    dv_arena_recycle(pass->temp);
    return DV_OK;
}

/* Values that tags cut stand in no line of the file: what its edits leave is looked at without
 * tags. */
static dv_result inspect_markup(dv_data_files *files, dv_slice text, size_t first)
{
    dv_slice seen = {NULL, 0};
    size_t base = (size_t)(text.ptr - files->body.ptr);
    dv_data_edits own = {0};
    for (size_t i = first; i < files->edits.count; i++) {
        const dv_data_edit *edit = &files->edits.list[i];
        DV_TRY(dv_data_edits_add(&own, files->aside, edit->start - base, edit->end - base,
                                 edit->text));
    }
    DV_TRY(dv_data_edits_apply(&own, text, files->aside, &text));
    DV_TRY(dv_markup_text(text, files->aside, &seen));
    return inspect_only(&files->pass, seen, "across its tags");
}

/* Text that is none to who reads bytes: PDF, PostScript and RTF write it in ways of their own.
 * Programs look for the head of a PDF in the first 1024 bytes. */
static bool is_foreign(dv_slice text)
{
    if (dv_slice_find(dv_slice_sub(text, 0, PDF_WITHIN), DV_LIT("%PDF-")) >= 0) {
        return true;
    }
    if (dv_slice_starts_with(text, DV_LIT("\xef\xbb\xbf"))) {
        text = dv_slice_sub(text, 3, text.len);
    }
    while (text.len > 0 && text.ptr[0] <= ' ') {
        text = dv_slice_sub(text, 1, text.len);
    }
    return dv_slice_starts_with(text, DV_LIT("%!PS")) ||
           dv_slice_starts_with(text, DV_LIT("{\\rtf"));
}

static bool is_text(dv_slice bytes)
{
    return dv_utf8_valid(bytes) && dv_slice_find_byte(bytes, '\0') < 0 && !is_foreign(bytes);
}

/* UTF-16 with its mark (RFC 2781 section 3.2) as UTF-8, in the arena; empty: it is none, or not
 * whole. */
static dv_result read_wide(dv_slice bytes, dv_arena *arena, dv_slice *ret_text)
{
    bool big = dv_slice_starts_with(bytes, DV_LIT("\xfe\xff"));
    bool little = dv_slice_starts_with(bytes, DV_LIT("\xff\xfe"));
    size_t len = 0;
    uint32_t high = 0;
    *ret_text = (dv_slice){NULL, 0};
    if ((!big && !little) || bytes.len % 2 != 0) {
        return DV_OK;
    }
    uint8_t *out = dv_arena_alloc_raw(arena, bytes.len / 2 * 3);
    if (out == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 2; i < bytes.len; i += 2) {
        uint32_t unit = (uint32_t)bytes.ptr[i + little] << 8 | bytes.ptr[i + big];
        bool low = unit >= 0xdc00 && unit < 0xe000;
        if (unit == 0 || (high != 0) != low) {
            return DV_OK;
        }
        if (unit >= 0xd800 && unit < 0xdc00) {
            high = unit;
            continue;
        }
        unit = low ? 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00) : unit;
        high = 0;
        len += dv_utf8_encode(unit, out + len);
    }
    *ret_text = dv_slice_of(out, high == 0 ? len : 0);
    return DV_OK;
}

/* Where nothing is hidden, nothing has to be readable. */
static void deny_unreadable(dv_data_pass *pass, const char *what)
{
    if (pass->policy->rewrites) {
        dv_data_pass_deny(pass, "%s %s: send text, CSV, JSON, XML, or these in gzip or zip",
                          name_of(pass), what);
    }
}

/* The same without its tags, too, when it has some. */
static dv_result inspect_seen(dv_data_files *files, dv_slice text, const char *where)
{
    dv_slice seen = {NULL, 0};
    DV_TRY(inspect_only(&files->pass, text, where));
    if (!dv_markup_is(text) || is_denied(&files->pass)) {
        return DV_OK;
    }
    DV_TRY(dv_markup_text(text, files->aside, &seen));
    return inspect_only(&files->pass, seen, where);
}

/* One file of what is packed. */
static dv_result inspect_member(void *data, dv_slice piece, bool contents)
{
    static const char where[] = "in a packed file";
    dv_data_files *files = data;
    dv_data_pass *pass = &files->pass;
    dv_slice seen = {NULL, 0};
    files->unpacked += contents ? piece.len : 0;
    if (is_denied(pass) || (contents && dv_packed_is(piece))) {
        return DV_OK; /* what is packed in it comes next */
    }
    if (!contents) {
        return inspect_only(pass, piece, where);
    }
    if (is_text(piece)) {
        return inspect_seen(files, piece, where);
    }
    DV_TRY(read_wide(piece, files->aside, &seen));
    if (seen.len > 0) {
        return inspect_seen(files, seen, where);
    }
    deny_unreadable(pass, "holds what can not be inspected");
    return DV_OK;
}

static dv_result inspect_packed(dv_data_files *files, dv_slice file)
{
    size_t most = DV_PACKED_FILE - DV_MIN(files->unpacked, (size_t)DV_PACKED_FILE);
    dv_result result = dv_packed_open(file, most, files->aside, inspect_member, files);
    if (result == DV_ERR_TOO_LARGE) {
        deny_unreadable(&files->pass, "can not be unpacked (damaged, encrypted or too large)");
        result = DV_OK;
    }
    return result;
}

static dv_result inspect_bytes(dv_data_files *files, dv_slice file)
{
    dv_data_pass *pass = &files->pass;
    size_t first = files->edits.count;
    dv_slice meant = {NULL, 0};
    if (dv_packed_is(file)) {
        return inspect_packed(files, file);
    }
    if (is_text(file)) {
        DV_TRY(inspect_text(files, file));
        return dv_markup_is(file) && !is_denied(pass) ? inspect_markup(files, file, first) : DV_OK;
    }
    DV_TRY(read_wide(file, files->aside, &meant));
    if (meant.len > 0) {
        return inspect_seen(files, meant, "in UTF-16");
    }
    deny_unreadable(pass, "can not be inspected");
    return DV_OK;
}

/* ---- entries ---- */

dv_result dv_data_files_begin(dv_data_files *files, const dv_data_pass *pass, dv_slice body)
{
    *files = (dv_data_files){.pass = *pass, .body = body};
    files->pass.folds = true; /* a file may hold a whole table */
    files->pass.temp = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    files->aside = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    return files->pass.temp == NULL || files->aside == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

dv_result dv_data_files_end(dv_data_files *files, dv_result result, dv_data_outcome *ret_outcome)
{
    dv_data_pass *pass = &files->pass;
    if (result == DV_ERR_NO_MEMORY) {
        result = DV_ERR_TOO_LARGE; /* arenas have bounds */
    }
    result = dv_data_pass_finish(pass, result, &files->edits, files->body, ret_outcome);
    dv_arena_free(pass->temp);
    dv_arena_free(files->aside);
    return result;
}

dv_result dv_data_file_inspect(dv_data_files *files, const char *root, dv_slice file,
                               bool *ret_edited)
{
    size_t first = files->edits.count;
    files->pass.root = root;
    dv_result result = file.len > 0 ? inspect_bytes(files, file) : DV_OK;
    dv_arena_recycle(files->pass.temp);
    dv_arena_recycle(files->aside);
    *ret_edited = files->edits.count > first;
    return result;
}

dv_result dv_data_file_text(dv_data_files *files, const char *root, dv_slice text)
{
    dv_data_edits edits = {0};
    files->pass.root = root;
    DV_TRY(dv_data_text_inspect(&files->pass, text, &edits));
    return keep(files, &edits, text);
}

dv_result dv_data_gate_file(dv_data_gate *gate, const dv_data_policy *policy,
                            dv_data_context *context, dv_slice file, dv_arena *arena,
                            dv_data_outcome *ret_outcome, dv_verdict *verdict)
{
    const dv_data_pass pass = {.gate = gate,
                               .policy = policy,
                               .context = context,
                               .verdict = verdict,
                               .answer = true,
                               .arena = arena};
    dv_data_files files;
    bool edited = false;
    dv_result result = dv_data_files_begin(&files, &pass, file);
    if (result == DV_OK) {
        result = dv_data_file_inspect(&files, "", file, &edited);
    }
    return dv_data_files_end(&files, result, ret_outcome);
}
