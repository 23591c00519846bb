/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a table: what is accepted is, measured anew, what was asked for. */
#include "engine/detect/anonymize/risk.h"

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

static void check(const dv_anonymize_rules *rules, const dv_anonymize_report *report, dv_slice made)
{
    const dv_walk_source source = {get, &made};
    const dv_risk_question question = {.quasi = rules->quasi,
                                       .quasi_count = rules->quasi_count,
                                       .sensitive = rules->sensitive,
                                       .sensitive_count = rules->sensitive_count,
                                       .l = rules->spread.l,
                                       .separator = report->separator,
                                       .together = 2};
    dv_risk_answer answer;
    dv_error error = {0};
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    require(dv_risk_csv(&question, &source, arena, &answer, &error) == DV_OK);
    require(dv_risk_check(rules, &answer, &error) == DV_OK);
    require(answer.records + report->suppressed == report->records);
    require((double)report->suppressed <= rules->suppress * (double)report->records);
    require(report->loss >= 0 && report->loss <= 1 + 1e-9);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    dv_slice rest = dv_slice_of(data + 1, size - 1);
    dv_anonymize_rules rules = {.k = 2 + (data[0] & 3),
                                .spread = {.kind = (dv_spread_kind)((data[0] >> 4) % 3),
                                           .l = 1 + (data[0] >> 2 & 1),
                                           .c = 3,
                                           .t = (data[0] & 8) != 0 ? 0.5 : 1},
                                .suppress = (data[0] & 64) != 0 ? 0.3 : 0,
                                .quasi = {"a", "b"},
                                .quasi_count = 2,
                                .sensitive = {"c"},
                                .sensitive_count = 1};
    if ((data[0] & 128) != 0) {
        rules.hierarchies[0] = (dv_hierarchy){.kind = DV_HIERARCHY_ZIP, .levels = 9};
        rules.hierarchies[1] =
            (dv_hierarchy){.kind = DV_HIERARCHY_INTERVALS, .levels = 2, .widths = {10, 100}};
    }
    const dv_walk_source source = {get, &rest};
    dv_auto(buf) dv_buf out = dv_buf_init(64 << 20);
    const dv_transform_sink sink = {put, &out};
    dv_anonymize_report report;
    dv_error error = {0};
    dv_result result = dv_anonymize_csv(&rules, &source, &sink, &report, &error);
    require(result == DV_OK || error.message[0] != '\0');
    if (result == DV_OK) {
        check(&rules, &report, dv_buf_slice(&out));
    }
    return 0;
}
