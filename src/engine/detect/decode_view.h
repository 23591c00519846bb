/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Of decoding; others only read a dv_view: a decoded text and where each of its bytes came from. */

#include "base/arena.h"

typedef struct dv_view {
    uint8_t *bytes;
    uint32_t *start, *end; /* in the original, of what each byte was made from */
    size_t len;
} dv_view;

/* The original itself, from byte `from` on. */
dv_must dv_result dv_view_of(dv_slice text, size_t from, dv_arena *arena, dv_view *ret_view);

/* An empty one with room for so many bytes and one more. */
dv_must dv_result dv_view_new(size_t room, dv_arena *arena, dv_view *ret_view);

/* A byte made from bytes [from, to) of the other view. In the header: called for every byte. */
static inline void dv_view_push(dv_view *out, uint8_t byte, const dv_view *in, size_t from,
                                size_t to)
{
    out->bytes[out->len] = byte;
    out->start[out->len] = in->start[from];
    out->end[out->len++] = in->end[to - 1];
}

/* The same of a character, up to four bytes. */
void dv_view_push_code_point(dv_view *out, uint32_t code_point, const dv_view *in, size_t from,
                             size_t to);
/* Whether bytes are ASCII in UTF-16, of which every other byte is a zero. ret_high: which one. */
bool dv_view_looks_utf16(const uint8_t *bytes, size_t len, size_t *ret_high);

/* Each makes a view from another; len 0: there is nothing of the kind. */

/* Characters written in another way; all of the text. */
dv_must dv_result dv_view_fold(const dv_view *in, dv_arena *arena, dv_view *ret_view);
/* Digits for the letters between them that look like digits. For a look of its own: such letters of
 * a base64 block must stay what they are. */
dv_must dv_result dv_view_digits(const dv_view *in, dv_arena *arena, dv_view *ret_view);

/* How blocks are read, and what was seen. */
typedef struct dv_blocks {
    bool whole;  /* what a block holds is said to come from all of it, not from its own digits */
    bool cut;    /* the text begins in the middle: a run at its begin is no block */
    bool more;   /* text follows: a run that may go on, and is text so far, is not read */
    size_t open; /* where that one begins in the view; its length: there is none */
} dv_blocks;

/* What base64 and hexadecimal blocks hold, where that is text, with NULs between. */
dv_must dv_result dv_view_blocks(const dv_view *in, dv_blocks *how, dv_arena *arena,
                                 dv_view *ret_view);
/* The whole as UTF-16 of either byte order, where every other byte says so. */
dv_must dv_result dv_view_utf16(const dv_view *in, dv_arena *arena, dv_view *ret_view);

/* ---- without a view, for texts that mostly hold nothing encoded ---- */

/* Bytes at `at` that are a character written in another way and that could belong to a value; 0:
 * none. more: text follows. */
size_t dv_view_element(dv_slice text, size_t at, bool more);
/* Whether \n or another letter behind a backslash stands at `at`. */
bool dv_view_is_letter_escape(dv_slice text, size_t at);
/* For text that goes on: its length without a character at its end that is not whole yet, */
size_t dv_view_whole(dv_slice text);
/* or without a letter at its end that would be a digit if one followed. */
size_t dv_view_whole_number(dv_slice text);

/* What a hexadecimal digit of either case stands for; -1: it is none. */
static inline int dv_digits_hex(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Digits of base64 or hexadecimal. places: where each stands; NULL: one after the other. */
typedef struct dv_digits {
    const uint8_t *bytes;
    const uint32_t *places;
    size_t count;
} dv_digits;

/* Whether they are a text, or could be the beginning of one. Allocates nothing. */
bool dv_digits_begin_text(const dv_digits *digits);
/* What a digit of base64 stands for, in the alphabets of RFC 4648 sections 4 and 5; -1: it is none.
 */
int dv_digits_value(uint8_t byte);
/* A digit of base64 or of hexadecimal. */
bool dv_digits_has(uint8_t byte);
/* Where the run of digits at `at` ends. */
size_t dv_digits_run(dv_slice text, size_t at);
