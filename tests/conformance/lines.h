/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What programs share that answer questions, one a line. */

#include "base/buf.h"
#include "base/codec.h"

#include <stdio.h>
#include <stdlib.h>

/* Hexadecimal; "-" is empty. */
static inline dv_result bytes_of(dv_slice word, dv_buf *out)
{
    if (dv_slice_eq_str(word, "-")) {
        return DV_OK;
    }
    DV_TRY(dv_buf_reserve(out, word.len / 2 + 1));
    DV_TRY(dv_hex_decode(word, out->ptr, word.len / 2));
    out->len = word.len / 2;
    return DV_OK;
}

/* Returns the program's exit status. */
static inline int answer_lines(void (*answer)(dv_slice line))
{
    dv_auto(free) char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    while ((len = getline(&line, &cap, stdin)) > 0) {
        answer(dv_slice_trim(dv_slice_of(line, (size_t)len)));
    }
    return ferror(stdin) ? 1 : 0;
}
