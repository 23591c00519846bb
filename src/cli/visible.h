/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Text of others on a terminal: it can't move the cursor, colour the screen or turn a line around.
 * Characters that a reader would not see (dv_code_point_is_hidden) are written \u001b, as JSON
 * does; bytes that are no UTF-8 \x9b. */

#include "base/buf.h"

#include <stdio.h>

/* Newlines are escaped, too. Errors: the buffer's. */
dv_must dv_result dv_visible_append(dv_buf *out, dv_slice text);

/* Newlines stay. NULL writes nothing. What the stream does not take, ferror tells. */
void dv_visible_write(FILE *out, const char *text);
/* The same within a line: newlines are escaped, too. */
void dv_visible_write_line(FILE *out, const char *text);
void dv_visible_write_slice(FILE *out, dv_slice text);
