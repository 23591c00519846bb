/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of logs. What is shown was searched and holds nothing, so masking it again changes
 * nothing; it is one line of UTF-8, and not longer than promised. */
#include "base/utf8.h"
#include "daemon/line_mask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static dv_line_mask *the_mask(void)
{
    static dv_line_mask *mask;
    if (mask == NULL && dv_line_mask_new(&mask, NULL) != DV_OK) {
        abort();
    }
    return mask;
}

/* The first byte says whether the line was cut. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(buf) dv_buf once = dv_buf_init(DV_LINE_MASKED_MAX);
    dv_auto(buf) dv_buf twice = dv_buf_init(DV_LINE_MASKED_MAX);
    if (size == 0) {
        return 0;
    }
    dv_slice line = dv_slice_of(data + 1, size - 1);
    if (dv_line_mask_run(the_mask(), line, (data[0] & 1) != 0, &once) != DV_OK) {
        if (once.len != 0) {
            abort();
        }
        return 0;
    }
    dv_slice shown = dv_buf_slice(&once);
    if (shown.len > DV_LINE_MASKED_MAX || dv_utf8_prefix(shown) != shown.len ||
        dv_slice_find_byte(shown, '\n') >= 0) {
        abort();
    }
    if (shown.len <= DV_LINE_MAX && dv_line_mask_run(the_mask(), shown, false, &twice) == DV_OK &&
        !dv_slice_eq(shown, dv_buf_slice(&twice))) {
        abort();
    }
    return 0;
}
