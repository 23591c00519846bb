/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a table: what is accepted has groups of k at least. */
#include "engine/detect/anonymize/anonymize.h"

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static dv_result get(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    dv_slice *rest = data;
    *ret_len = DV_MIN(rest->len, room);
    if (*ret_len > 0) {
        memcpy(out, rest->ptr, *ret_len);
    }
    *rest = dv_slice_sub(*rest, *ret_len, SIZE_MAX);
    return DV_OK;
}

static dv_result put(void *data, dv_slice bytes)
{
    return dv_buf_append(data, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    dv_slice rest = dv_slice_of(data + 1, size - 1);
    dv_anonymize_rules rules = {.k = 2 + (data[0] & 3),
                                .l = 1 + (data[0] >> 2 & 1),
                                .t = (data[0] & 8) != 0 ? 0.5 : 1,
                                .quasi = {"a", "b"},
                                .quasi_count = 2,
                                .sensitive = {"c"},
                                .sensitive_count = 1};
    const dv_walk_source source = {get, &rest};
    dv_auto(buf) dv_buf out = dv_buf_init(64 << 20);
    const dv_transform_sink sink = {put, &out};
    dv_anonymize_report report;
    dv_error error = {0};
    dv_result result = dv_anonymize_csv(&rules, &source, &sink, &report, &error);
    require(result == DV_OK || error.message[0] != '\0');
    require(result != DV_OK ||
            (report.after.smallest >= rules.k && report.loss >= 0 && report.loss <= 1 + 1e-9 &&
             report.after.groups <= report.before.groups));
    return 0;
}
