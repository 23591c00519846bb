/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to decoding: a decoded text and where each of its bytes came from. */

#include "base/arena.h"

typedef struct dv_view {
    uint8_t *bytes;
    uint32_t *start, *end; /* in the original, of what each byte was made from */
    size_t len;
} dv_view;

/* The original itself, from byte `from` on. */
dv_must dv_result dv_view_of(dv_slice text, size_t from, dv_arena *arena, dv_view *ret_view);

/* Each makes a view from another; len 0: there is nothing of the kind. */

/* Characters written in another way; all of the text. */
dv_must dv_result dv_view_fold(const dv_view *in, dv_arena *arena, dv_view *ret_view);
/* Digits for the letters between them that look like digits. For a look of its own: such letters of
 * a base64 block must stay what they are. */
dv_must dv_result dv_view_digits(const dv_view *in, dv_arena *arena, dv_view *ret_view);
/* What base64 and hexadecimal blocks hold, where that is text, with NULs between. */
dv_must dv_result dv_view_blocks(const dv_view *in, dv_arena *arena, dv_view *ret_view);
/* The whole as UTF-16 of either byte order, where every other byte says so. */
dv_must dv_result dv_view_utf16(const dv_view *in, dv_arena *arena, dv_view *ret_view);
