/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of policy text. Tokens and comments stay as they are and in order; only what is blank
 * is made anew, so that the meaning cannot change. The layout follows from the tokens, from the
 * comments and from which token each comment belongs to, and from nothing else: what was laid out
 * once is laid out the same way again.
 *
 * A comment behind a token on its line belongs to that token and stays behind it. Any other belongs
 * to the next token and stands on a line of its own before it. */
#include "engine/cedar/formats.h"
#include "engine/cedar/lexer.h"
#include "engine/cedar/list.h"

#include "base/caps.h"

enum { LINE_WIDTH = 80, INDENT = 2 };

typedef struct comment {
    dv_slice text;
    bool parted; /* by an empty line from what stands before it */
} comment;

typedef struct piece {
    dv_slice text;  /* as written, quotes included */
    uint32_t start; /* its column if all pieces stood on one line, the blank before it included */
    uint32_t match; /* of a bracket: the other one */
    uint32_t first; /* comment before it */
    uint32_t count;
    uint32_t breaks;   /* comments of earlier pieces and of this one, but those behind it */
    uint32_t trailing; /* the comment behind it, plus 1 */
    uint8_t kind;      /* dv_cedar_token_kind */
    bool blank;        /* one stands before it on a line */
    bool sign;         /* a minus with one operand */
    bool parted;
} piece;

typedef struct format {
    dv_arena *arena;
    dv_cedar_list piece_list;
    dv_cedar_list comment_list;
    piece *pieces; /* the last one is the end */
    const comment *comments;
    dv_buf *out;
    size_t line_start; /* in out */
    uint32_t indent;
    bool fresh; /* at the beginning of a line */
    bool ended; /* by a comment: the next piece begins a line */
} format;

static bool is(const piece *p, const char *text)
{
    return p->kind != DV_CEDAR_TOKEN_STRING && dv_slice_eq_str(p->text, text);
}

static bool is_one_of(const piece *p, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is(p, texts[i])) {
            return true;
        }
    }
    return false;
}

/* Words that stand between expressions; none of them can be an attribute's name. */
static bool is_word(const piece *p)
{
    static const char *const words[] = {"if", "then", "else", "in", "like", "has", "is"};

    return is_one_of(p, words, DV_ARRAY_LEN(words));
}

/* Whether an expression can end with it: a minus behind it has two operands. */
static bool ends_operand(const piece *p)
{
    static const char *const closing[] = {")", "]", "}"};

    return (p->kind == DV_CEDAR_TOKEN_IDENT && !is_word(p)) || p->kind == DV_CEDAR_TOKEN_INT ||
           p->kind == DV_CEDAR_TOKEN_STRING || is_one_of(p, closing, DV_ARRAY_LEN(closing));
}

static bool opens(const piece *p)
{
    return is(p, "(") || is(p, "[") || is(p, "{");
}

static bool closes(const piece *p)
{
    return is(p, ")") || is(p, "]") || is(p, "}");
}

/* Whether a blank stands between two pieces of one line. */
static bool has_blank(const piece *before, const piece *p)
{
    static const char *const tight_after[] = {"(", "[", ".", "::", "@", "!"};
    static const char *const tight_before[] = {")", "]", ",", ";", ".", "::", ":"};

    if (is_one_of(before, tight_after, DV_ARRAY_LEN(tight_after)) || before->sign ||
        is_one_of(p, tight_before, DV_ARRAY_LEN(tight_before))) {
        return false;
    }
    if (is(p, "(")) {
        return !ends_operand(before) || is(before, "permit") || is(before, "forbid");
    }
    if (is(p, "[")) {
        return !ends_operand(before);
    }
    return !(is(before, "{") && is(p, "}"));
}

static bool ends_line(uint8_t byte)
{
    return byte == '\n' || byte == '\r';
}

static dv_result add_comment(format *f, dv_slice text, bool parted)
{
    const comment one = {dv_slice_trim(text), parted};

    return dv_cedar_list_add(f->arena, &f->comment_list, &one, sizeof(one));
}

/* What stands between two tokens: blanks and comments. The first comment belongs to the piece
 * before when no line ends in between. */
static dv_result read_gap(format *f, dv_slice gap, piece *before, piece *next)
{
    unsigned lines = 0;

    next->first = (uint32_t)f->comment_list.count;
    for (size_t i = 0; i < gap.len; i++) {
        size_t from = i;
        if (gap.ptr[i] != '/') {
            lines += gap.ptr[i] == '\n' ||
                     (gap.ptr[i] == '\r' && (i + 1 == gap.len || gap.ptr[i + 1] != '\n'));
            continue;
        }
        while (i < gap.len && !ends_line(gap.ptr[i])) {
            i++;
        }
        DV_TRY(add_comment(f, dv_slice_sub(gap, from, i - from), lines > 1));
        if (lines == 0 && before != NULL) {
            before->trailing = (uint32_t)f->comment_list.count;
            next->first++;
        }
        lines = 0;
        i--; /* the end of the line counts for what follows */
    }
    next->count = (uint32_t)f->comment_list.count - next->first;
    next->parted = lines > 1;
    return DV_OK;
}

static piece *piece_at(const format *f, size_t i)
{
    return (piece *)f->piece_list.items + i;
}

/* Every token with what belongs to it, and the end as the last piece. */
static dv_result read_pieces(format *f, dv_slice text, dv_error *error)
{
    dv_cedar_lexer lexer = {.text = text, .error = error};
    dv_cedar_token token;
    size_t end = 0;

    do {
        piece *before = f->piece_list.count == 0 ? NULL : piece_at(f, f->piece_list.count - 1);
        piece p = {0};
        DV_TRY(dv_cedar_lex(&lexer, &token));
        DV_TRY(read_gap(f, dv_slice_sub(text, end, token.offset - end), before, &p));
        p.kind = (uint8_t)token.kind;
        p.text = dv_slice_sub(text, token.offset, lexer.at - token.offset);
        p.sign = is(&p, "-") && (before == NULL || !ends_operand(before));
        p.blank = before != NULL && has_blank(before, &p);
        end = lexer.at;
        DV_TRY(dv_cedar_list_add(f->arena, &f->piece_list, &p, sizeof(p)));
    } while (token.kind != DV_CEDAR_TOKEN_END);
    f->pieces = f->piece_list.items;
    f->comments = f->comment_list.items;
    return DV_OK;
}

/* In characters. */
static uint32_t width_of(dv_slice text)
{
    uint32_t width = 0;

    for (size_t i = 0; i < text.len; i++) {
        width += (text.ptr[i] & 0xc0) != 0x80;
    }
    return width;
}

/* Columns, comments so far, and which bracket belongs to which. */
static dv_result measure(format *f)
{
    dv_cedar_list open = {0};
    uint32_t column = 0, breaks = 0;

    for (uint32_t i = 0; i < f->piece_list.count; i++) {
        piece *p = &f->pieces[i];
        breaks += p->count;
        p->start = column;
        p->breaks = breaks;
        breaks += p->trailing != 0;
        column += p->blank + width_of(p->text);
        if (opens(p)) {
            DV_TRY(dv_cedar_list_add(f->arena, &open, &i, sizeof(i)));
        } else if (closes(p) && open.count > 0) {
            p->match = ((const uint32_t *)open.items)[--open.count];
            f->pieces[p->match].match = i;
        }
    }
    return DV_OK;
}

/* Whether the pieces from a up to, not with, b fit into what is left of the line. */
static bool fits(const format *f, uint32_t a, uint32_t b)
{
    const piece *first = &f->pieces[a];
    size_t column = f->fresh
                        ? f->indent
                        : width_of(dv_slice_sub(dv_buf_slice(f->out), f->line_start, f->out->len)) +
                              first->blank;
    uint32_t width = f->pieces[b].start - first->start - first->blank;
    bool broken = f->pieces[b - 1].breaks != first->breaks;

    return !broken && !f->ended && column + width <= LINE_WIDTH;
}

static dv_result end_line(format *f)
{
    f->fresh = true;
    f->ended = false;
    DV_TRY(dv_buf_append_byte(f->out, '\n'));
    f->line_start = f->out->len;
    return DV_OK;
}

/* Begins a line unless one is begun already. */
static dv_result new_line(format *f)
{
    return f->fresh ? DV_OK : end_line(f);
}

static dv_result put(format *f, dv_slice text)
{
    for (uint32_t i = 0; f->fresh && i < f->indent; i++) {
        DV_TRY(dv_buf_append_byte(f->out, ' '));
    }
    f->fresh = false;
    return dv_buf_append(f->out, text);
}

static dv_result put_comments_before(format *f, const piece *p)
{
    for (uint32_t i = p->first; i < p->first + p->count; i++) {
        DV_TRY(new_line(f));
        DV_TRY(put(f, f->comments[i].text));
        DV_TRY(end_line(f));
    }
    return DV_OK;
}

/* One piece with its comments. */
static dv_result put_piece(format *f, uint32_t i)
{
    const piece *p = &f->pieces[i];

    if (f->ended) {
        DV_TRY(end_line(f));
    }
    DV_TRY(put_comments_before(f, p));
    if (!f->fresh && p->blank) {
        DV_TRY(dv_buf_append_byte(f->out, ' '));
    }
    DV_TRY(put(f, p->text));
    ptrdiff_t last_line = -1; /* a string may hold line breaks */
    for (size_t k = 0; k < p->text.len; k++) {
        last_line = p->text.ptr[k] == '\n' ? (ptrdiff_t)k : last_line;
    }
    if (last_line >= 0) {
        f->line_start = f->out->len - p->text.len + (size_t)last_line + 1;
    }
    if (p->trailing != 0) {
        DV_TRY(dv_buf_append_byte(f->out, ' '));
        DV_TRY(dv_buf_append(f->out, f->comments[p->trailing - 1].text));
        f->ended = true;
    }
    return DV_OK;
}

static dv_result put_flat(format *f, uint32_t a, uint32_t b)
{
    for (uint32_t i = a; i < b; i++) {
        DV_TRY(put_piece(f, i));
    }
    return DV_OK;
}

/* The next piece behind i that is not inside brackets of its own. */
static uint32_t step_over(const format *f, uint32_t i)
{
    return opens(&f->pieces[i]) ? f->pieces[i].match + 1 : i + 1;
}

/* The first such piece from a on, outside brackets, or b. */
static uint32_t find(const format *f, uint32_t a, uint32_t b, const char *text)
{
    while (a < b && !is(&f->pieces[a], text)) {
        a = step_over(f, a);
    }
    return a < b ? a : b;
}

/* The word of the `if` at a: those of others in between are passed. */
static uint32_t find_branch(const format *f, uint32_t a, uint32_t b, const char *word)
{
    unsigned others = 0;

    for (uint32_t i = a + 1; i < b; i = step_over(f, i)) {
        if (is(&f->pieces[i], word) && others == 0) {
            return i;
        }
        others += is(&f->pieces[i], "if");
        others -= is(&f->pieces[i], "else") && others > 0;
    }
    return b;
}

static dv_result lay_out(format *f, uint32_t a, uint32_t b, uint32_t hang);

static dv_result lay_out_indented(format *f, uint32_t a, uint32_t b)
{
    f->indent += INDENT;
    DV_TRY(lay_out(f, a, b, 0));
    f->indent -= INDENT;
    return DV_OK;
}

/* Parts with a separator behind each but the last, one a line; those after the first are indented
 * by `hang` more. */
static dv_result lay_out_parts(format *f, uint32_t a, uint32_t b, const char *separator,
                               uint32_t hang)
{
    uint32_t indent = f->indent;

    while (a < b) {
        uint32_t end = find(f, a, b, separator);
        DV_TRY(lay_out(f, a, end, INDENT));
        if (end < b) {
            DV_TRY(put_piece(f, end++));
            f->indent = indent + hang;
        }
        if (end < b) {
            DV_TRY(new_line(f));
        }
        a = end;
    }
    f->indent = indent;
    return DV_OK;
}

/* if ... then ... else ..., the words below each other */
static dv_result lay_out_if(format *f, uint32_t a, uint32_t b)
{
    uint32_t then = find_branch(f, a, b, "then"), other = find_branch(f, then, b, "else");

    DV_TRY(put_piece(f, a));
    DV_TRY(lay_out_indented(f, a + 1, then));
    DV_TRY(new_line(f));
    DV_TRY(put_piece(f, then));
    DV_TRY(lay_out_indented(f, then + 1, other));
    DV_TRY(new_line(f));
    DV_TRY(put_piece(f, other));
    return is(&f->pieces[other + 1], "if") ? lay_out(f, other + 1, b, 0)
                                           : lay_out_indented(f, other + 1, b);
}

/* Brackets with what is in them on lines of its own. */
static dv_result lay_out_brackets(format *f, uint32_t open, uint32_t close)
{
    if (fits(f, open, close + 1)) {
        return put_flat(f, open, close + 1);
    }
    DV_TRY(put_piece(f, open));
    f->indent += INDENT;
    if (close > open + 1) {
        DV_TRY(new_line(f));
        bool list = find(f, open + 1, close, ",") < close;
        DV_TRY(list ? lay_out_parts(f, open + 1, close, ",", 0) : lay_out(f, open + 1, close, 0));
    }
    DV_TRY(close > open + 1 ? new_line(f) : DV_OK);
    f->indent -= INDENT;
    return put_piece(f, close);
}

/* An expression, or whatever else stands between two separators; hang: what further lines of it are
 * indented. */
static dv_result lay_out(format *f, uint32_t a, uint32_t b, uint32_t hang)
{
    if (a >= b || fits(f, a, b)) {
        return put_flat(f, a, b);
    }
    if (is(&f->pieces[a], "if")) {
        return lay_out_if(f, a, b);
    }
    if (find(f, a, b, "||") < b) {
        return lay_out_parts(f, a, b, "||", hang);
    }
    if (find(f, a, b, "&&") < b) {
        return lay_out_parts(f, a, b, "&&", hang);
    }
    for (uint32_t i = a; i < b; i = step_over(f, i)) {
        if (opens(&f->pieces[i])) {
            DV_TRY(lay_out_brackets(f, i, f->pieces[i].match));
        } else {
            DV_TRY(put_piece(f, i));
        }
    }
    return DV_OK;
}

/* The annotation at a, on a line of its own; ret_end: the piece behind it. */
static dv_result lay_out_annotation(format *f, uint32_t a, uint32_t *ret_end)
{
    uint32_t end = is(&f->pieces[a + 2], "(") ? f->pieces[a + 2].match + 1 : a + 2;

    DV_TRY(put_flat(f, a, end));
    *ret_end = end;
    return new_line(f);
}

/* The comments before a policy keep the empty lines between them. */
static dv_result lay_out_head(format *f, uint32_t a)
{
    piece *p = &f->pieces[a];

    for (uint32_t i = p->first; i < p->first + p->count; i++) {
        if (f->out->len > 0 && (i == p->first || f->comments[i].parted)) {
            DV_TRY(end_line(f));
        }
        DV_TRY(put(f, f->comments[i].text));
        DV_TRY(end_line(f));
    }
    bool parted = p->count == 0 ? f->out->len > 0 : p->parted;
    if (parted && p->kind != DV_CEDAR_TOKEN_END) {
        DV_TRY(end_line(f));
    }
    p->count = 0; /* put already */
    return DV_OK;
}

/* The policy at a; ret_end: the piece behind its semicolon. */
static dv_result lay_out_policy(format *f, uint32_t a, uint32_t *ret_end)
{
    while (is(&f->pieces[a], "@")) {
        DV_TRY(lay_out_annotation(f, a, &a));
    }
    DV_TRY(put_piece(f, a));
    DV_TRY(lay_out_brackets(f, a + 1, f->pieces[a + 1].match));
    a = f->pieces[a + 1].match + 1;
    while (!is(&f->pieces[a], ";")) {
        DV_TRY(new_line(f));
        DV_TRY(put_piece(f, a));
        DV_TRY(lay_out_brackets(f, a + 1, f->pieces[a + 1].match));
        a = f->pieces[a + 1].match + 1;
    }
    DV_TRY(put_piece(f, a));
    *ret_end = a + 1;
    return new_line(f);
}

static dv_result lay_out_all(format *f)
{
    uint32_t at = 0;

    f->fresh = true;
    for (;;) {
        DV_TRY(lay_out_head(f, at));
        if (f->pieces[at].kind == DV_CEDAR_TOKEN_END) {
            return DV_OK;
        }
        DV_TRY(lay_out_policy(f, at, &at));
    }
}

dv_result dv_cedar_format(dv_slice text, dv_buf *out, dv_error *error)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_CEDAR_MEMORY);
    dv_auto(buf) dv_buf laid_out = dv_buf_init(out->max);
    format f = {.arena = arena, .out = &laid_out};

    DV_TRY(dv_cedar_parse(text, &set, error));
    dv_result result = arena == NULL ? DV_ERR_NO_MEMORY : read_pieces(&f, text, error);
    if (result == DV_OK) {
        result = measure(&f);
    }
    if (result == DV_OK) {
        result = lay_out_all(&f);
    }
    if (result == DV_OK) {
        result = dv_buf_append(out, dv_buf_slice(&laid_out));
    }
    if (result == DV_ERR_NO_MEMORY || result == DV_ERR_TOO_LARGE) {
        return dv_error_set(error, result, "the policies take more memory than they may");
    }
    return result;
}
