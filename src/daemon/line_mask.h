/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Takes personal data and secrets out of lines that people and other systems read: operational
 * logs, support bundles.
 *
 * Hidden is what line_marks.h names, and what the detectors find, also written in another way
 * (percent, base64, ...): [secret] for credentials, else the detector's label ("[email]", "[ip]").
 * Of the standard detectors these take no part: dv_line_mask_left_out.
 *
 * A line that is given out was searched as it is given out, and nothing was found in it. */

#include "base/buf.h"

enum {
    DV_LINE_MAX = 8192,           /* bytes of a line */
    DV_LINE_MASKED_MAX = 4 * 8192 /* of what it may become */
};

/* Ids of detectors whose values look like what operators need; NULL-ended. */
extern const char *const dv_line_mask_left_out[];

typedef struct dv_line_mask dv_line_mask;

/* Compiles the detectors, which takes a tenth of a second or more. */
dv_must dv_result dv_line_mask_new(dv_line_mask **ret_mask, dv_error *error);
void dv_line_mask_free(dv_line_mask *mask);
DV_DEFINE_AUTO_PTR(line_mask, dv_line_mask, dv_line_mask_free)

/* Addresses that stand in this text, dvara.yaml for instance, are shown from now on instead of
 * those named before: the installation's own. Errors: those of dv_detect_scan. */
dv_must dv_result dv_line_mask_know(dv_line_mask *mask, dv_slice text);

/* Appends the line to out with all that hidden, control characters and what is no UTF-8 as '?'.
 * cut: it was longer, so a value may be cut at its end; it then ends in " [cut]". On an error out
 * is as it was, and the line must not be shown: DV_ERR_TOO_LARGE (more than DV_LINE_MAX, or it
 * holds too much), DV_ERR_AGAIN (it takes too long), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_line_mask_run(dv_line_mask *mask, dv_slice line, bool cut, dv_buf *out);

/* Every line of a text, each with a '\n'; a line that can't be searched, or is too long, becomes
 * "[line withheld]" and is counted in *withheld. */
dv_must dv_result dv_line_mask_text(dv_line_mask *mask, dv_slice text, dv_buf *out,
                                    size_t *withheld);
