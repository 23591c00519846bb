/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/visible.h"

#include "base/codec.h"

enum { PIECE_MAX = 16 };

/* As JSON has it: beyond 16 bits in two halves (RFC 8259 section 7). */
static void write_escape(uint32_t code_point, char escape[PIECE_MAX])
{
    uint32_t above = code_point - 0x10000;
    if (code_point < 0x10000) {
        snprintf(escape, PIECE_MAX, "\\u%04x", (unsigned)code_point);
    } else {
        snprintf(escape, PIECE_MAX, "\\u%04x\\u%04x", (unsigned)(0xd800 + (above >> 10)),
                 (unsigned)(0xdc00 + (above & 0x3ff)));
    }
}

/* What the front of the text is printed as, which may be a piece of it; returns how much that
 * covers. */
static size_t next_piece(dv_slice text, bool newlines, char escape[PIECE_MAX], dv_slice *ret_piece)
{
    uint32_t code_point = 0;
    size_t len = dv_utf8_decode(text, &code_point);
    if (len == 0) {
        snprintf(escape, PIECE_MAX, "\\x%02x", text.ptr[0]);
        *ret_piece = dv_slice_str(escape);
        return 1;
    }
    *ret_piece = dv_slice_sub(text, 0, len);
    if (code_point == '\n' && !newlines) {
        *ret_piece = DV_LIT("\\n");
    } else if (code_point != '\n' && dv_code_point_is_hidden(code_point)) {
        write_escape(code_point, escape);
        *ret_piece = dv_slice_str(escape);
    }
    return len;
}

/* Takes the next piece off the text. */
static bool take_piece(dv_slice *text, bool newlines, char escape[PIECE_MAX], dv_slice *ret_piece)
{
    if (text->len == 0) {
        return false;
    }
    *text = dv_slice_sub(*text, next_piece(*text, newlines, escape, ret_piece), text->len);
    return true;
}

dv_result dv_visible_append(dv_buf *out, dv_slice text)
{
    char escape[PIECE_MAX];
    dv_slice piece;
    while (take_piece(&text, false, escape, &piece)) {
        DV_TRY(dv_buf_append(out, piece));
    }
    return DV_OK;
}

static void write_pieces(FILE *out, dv_slice text, bool newlines)
{
    char escape[PIECE_MAX];
    dv_slice piece;
    while (take_piece(&text, newlines, escape, &piece)) {
        (void)fwrite(piece.ptr, 1, piece.len, out);
    }
}

void dv_visible_write_slice(FILE *out, dv_slice text)
{
    write_pieces(out, text, true);
}

void dv_visible_write(FILE *out, const char *text)
{
    dv_visible_write_slice(out, dv_slice_str(text));
}

void dv_visible_write_line(FILE *out, const char *text)
{
    write_pieces(out, dv_slice_str(text), false);
}
