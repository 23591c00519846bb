/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as markup: its text is no longer, and that of text without '<' is the text. */
#include "../pieces.h"

#include "base/markup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_slice markup = dv_slice_of(data, size);
    dv_slice text = {NULL, 0};
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    if (size == 0 || size > 1 << 20) {
        return 0;
    }
    (void)dv_markup_is(markup);
    require(arena != NULL && dv_markup_text(markup, arena, &text) == DV_OK);
    require(text.len <= markup.len);
    require(dv_slice_find_byte(markup, '<') >= 0 || dv_slice_eq(markup, text));
    return 0;
}
