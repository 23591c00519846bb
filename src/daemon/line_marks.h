/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a line of a log is hidden of because of where it stands, whatever it looks like. */

#include "base/buf.h"

/* Appends the line, which holds no control characters, with these parts replaced:
 * - what follows a credential's name or begin ("Bearer", "x-api-key:", "password=", "dvk_", "sk-"):
 *   [secret]. Of Dvara's own keys the id stays, which is no secret;
 * - user and password of a URL: [secret]; its query: [query];
 * - in lines of nginx, the value of a header line that it complains about, and "referrer": [value].
 * What it appended it leaves alone when it sees it again. Errors: those of the buffer. */
dv_must dv_result dv_line_marks(dv_slice line, dv_buf *out);
