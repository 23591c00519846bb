/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus' text format: types once a metric, equal series added up, buckets in order. */
#include "daemon/dvarad_metrics.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void writes_sorted_families(void **state)
{
    dv_auto(series_list) dv_series_list list = {0};
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    dv_series_add(&list, false, "h_bucket{le=\"+Inf\"}", 9);
    dv_series_add(&list, false, "h_bucket{le=\"10\"}", 8);
    dv_series_add(&list, false, "h_bucket{le=\"2.5\"}", 7);
    dv_series_add(&list, false, "h_sum", 12);
    dv_series_add(&list, false, "h_count", 9);
    dv_series_add(&list, true, "b_bytes", 1.5);
    dv_series_add(&list, false, "a_total{x=\"2\"}", 1);
    dv_series_add(&list, false, "a_total{x=\"1\"}", 2);
    dv_series_add(&list, false, "a_total{x=\"1\"}", 3);
    assert_int_equal(dv_series_write(&list, &out), DV_OK);
    assert_string_equal(dv_buf_cstr(&out), "# TYPE a_total counter\n"
                                           "a_total{x=\"1\"} 5\n"
                                           "a_total{x=\"2\"} 1\n"
                                           "# TYPE b_bytes gauge\n"
                                           "b_bytes 1.5\n"
                                           "# TYPE h histogram\n"
                                           "h_bucket{le=\"2.5\"} 7\n"
                                           "h_bucket{le=\"10\"} 8\n"
                                           "h_bucket{le=\"+Inf\"} 9\n"
                                           "h_count 9\n"
                                           "h_sum 12\n");
}

static void nothing_is_nothing(void **state)
{
    dv_auto(series_list) dv_series_list list = {0};
    dv_auto(buf) dv_buf out = dv_buf_init(16);
    assert_int_equal(dv_series_write(&list, &out), DV_OK);
    assert_int_equal(out.len, 0);
}

static void large_counts_stay_exact(void **state)
{
    dv_auto(series_list) dv_series_list list = {0};
    dv_auto(buf) dv_buf out = dv_buf_init(128);
    dv_series_add(&list, false, "a_total", 9007199254740992.0);
    assert_int_equal(dv_series_write(&list, &out), DV_OK);
    assert_string_equal(dv_buf_cstr(&out), "# TYPE a_total counter\na_total 9007199254740992\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_sorted_families),
        cmocka_unit_test(nothing_is_nothing),
        cmocka_unit_test(large_counts_stay_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
