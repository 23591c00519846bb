/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The text of XML and HTML, as one who reads the page sees it: what stands between tags, where a
 * value may be cut by them however it is formatted. */

#include "base/arena.h"

/* Whether the bytes begin as markup does, after blanks and a byte order mark. */
bool dv_markup_is(dv_slice text);
/* Whether elements of that name (without a prefix) end a line, or a cell: of WordprocessingML,
 * DrawingML, SpreadsheetML (ECMA-376 part 1), ODF and HTML. */
bool dv_markup_ends_line(dv_slice name);

/* The text without tags, comments and declarations, in the arena; a line ends where an element does
 * that ends lines. Entities stay as they are (decode.h reads them), and so does the inside of
 * CDATA. Never fails for what the text is: a '<' that begins no tag is itself. Errors:
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_markup_text(dv_slice markup, dv_arena *arena, dv_slice *ret_text);
