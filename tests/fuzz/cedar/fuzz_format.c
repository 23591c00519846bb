/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as policy text to be laid out. What is refused is refused as by the reader; what is
 * laid out is read as the same policies, and laid out again as it is. */
#include "engine/cedar/formats.h"

enum { OUT_MAX = 64 << 20 };

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void json_of(dv_slice text, dv_buf *out)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;

    require(dv_cedar_parse(text, &set, NULL) == DV_OK);
    require(dv_cedar_json_write(set, out) == DV_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(buf) dv_buf once = dv_buf_init(OUT_MAX), twice = dv_buf_init(OUT_MAX);
    dv_auto(buf) dv_buf before = dv_buf_init(OUT_MAX), after = dv_buf_init(OUT_MAX);
    dv_slice text = dv_slice_of(data, size);
    dv_error error = {0};
    dv_result result = dv_cedar_format(text, &once, &error);

    require(result == error.result);
    if (result != DV_OK) {
        require(error.message[0] != '\0' && once.len == 0);
        return 0;
    }
    json_of(text, &before);
    json_of(dv_buf_slice(&once), &after);
    require(dv_slice_eq(dv_buf_slice(&before), dv_buf_slice(&after)));
    require(dv_cedar_format(dv_buf_slice(&once), &twice, NULL) == DV_OK);
    require(dv_slice_eq(dv_buf_slice(&once), dv_buf_slice(&twice)));
    return 0;
}
