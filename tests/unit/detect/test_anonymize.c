/* SPDX-License-Identifier: Apache-2.0 */
/* engine/detect/action/anonymize: small tables by hand, rules that are refused, limits. */
#include "engine/detect/anonymize/anonymize.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef struct text_source {
    dv_slice rest;
    size_t repeat; /* times that "1\n" follows */
} text_source;

static dv_result get(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    text_source *source = data;
    size_t len = DV_MIN(source->rest.len, room);
    if (len > 0) {
        memcpy(out, source->rest.ptr, len);
    }
    source->rest = dv_slice_sub(source->rest, len, SIZE_MAX);
    for (; len + 2 <= room && source->rest.len == 0 && source->repeat > 0; source->repeat--) {
        out[len++] = '1';
        out[len++] = '\n';
    }
    *ret_len = len;
    return DV_OK;
}

static dv_result put(void *data, dv_slice bytes)
{
    return dv_buf_append(data, bytes);
}

static dv_result run(const char *yaml, text_source from, dv_buf *out, dv_anonymize_report *report)
{
    const dv_walk_source source = {get, &from};
    const dv_transform_sink sink = {put, out};
    const dv_yaml *root = NULL;
    dv_anonymize_rules rules;
    dv_error error = {0};
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    assert_int_equal(dv_yaml_parse(dv_slice_str(yaml), arena, &root, &error), DV_OK);
    dv_result result = dv_anonymize_rules_read(root, arena, &rules, &error);
    if (result == DV_OK) {
        result = dv_anonymize_csv(&rules, &source, &sink, report, &error);
    }
    assert_true(result == DV_OK || error.message[0] != '\0');
    return result;
}

static void check(const char *yaml, const char *input, const char *expected)
{
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    dv_anonymize_report report = {0};
    assert_int_equal(run(yaml, (text_source){dv_slice_str(input), 0}, &out, &report), DV_OK);
    assert_string_equal(dv_buf_cstr(&out), expected);
}

static void small_tables(void **state)
{
    (void)state;
    check("{k: 2, quasi: [age, zip], remove: [n]}",
          "n,age,zip,ill\na,30,94110,x\nb,34,94117,y\nc,71,10001,x\nd,75,10001,y\n",
          "age,zip,ill\n30-34,94110-94117,x\n30-34,94110-94117,y\n71-75,10001,x\n71-75,10001,y\n");
    /* With two values of ill in each group, these two can't be parted by age. */
    check("{k: 2, l: 2, quasi: [age], sensitive: [ill]}", "age,ill\n1,x\n2,x\n8,y\n9,y\n",
          "age,ill\n1-9,x\n1-9,x\n1-9,y\n1-9,y\n");
    check("{k: 2, t: 0.1, quasi: [age], sensitive: [ill]}", "age,ill\n1,x\n2,y\n8,y\n9,x\n",
          "age,ill\n1-2,x\n1-2,y\n8-9,y\n8-9,x\n");
    /* Equal values stay together. */
    check("{k: 2, quasi: [a]}", "a\nx\nx\nx\ny\n", "a\n*\n*\n*\n*\n");
    check("{k: 2, quasi: [a]}", "a\né1\nè1\n", "a\n*\n*\n");
}

static void along_hierarchies(void **state)
{
    (void)state;
    /* One level lower as long as each has two; the last digit is told where two share it. */
    check("{k: 2, quasi: [zip], hierarchies: {zip: zip}}",
          "zip\n94110\n94110\n94117\n94112\n10001\n10002\n",
          "zip\n94110\n94110\n9411*\n9411*\n1000*\n1000*\n");
    check("{k: 2, quasi: [day], hierarchies: {day: dates}}",
          "day\n1980-05-12\n1980-05-13\n1984-01-01\n1985-01-01\n",
          "day\n1980-05\n1980-05\n1980s\n1980s\n");
    check("{k: 2, quasi: [n], hierarchies: {n: {intervals: [10, 100]}}}",
          "n\n1\n2.5\n11\n-5\n-95\n19\n", "n\n0-<10\n0-<10\n10-<20\n-100-<0\n-100-<0\n10-<20\n");
    check("{k: 2, quasi: [job], hierarchies: {job: {rows: [[nurse, health], [doctor, health],"
          " [cook, food], [waiter, food]]}}}",
          "job\nnurse\ncook\ndoctor\ncook\nnurse\n", "job\nhealth\ncook\nhealth\ncook\nhealth\n");
}

static void leaves_outliers_out(void **state)
{
    (void)state;
    const char *table =
        "zip\n94110\n94110\n94110\n94110\n94110\n94110\n94110\n94110\n94110\n10001\n";
    check("{k: 3, quasi: [zip], hierarchies: {zip: zip}}", table,
          "zip\n*\n*\n*\n*\n*\n*\n*\n*\n*\n*\n");
    check("{k: 3, quasi: [zip], hierarchies: {zip: zip}, suppress: 0.05}", table,
          "zip\n*\n*\n*\n*\n*\n*\n*\n*\n*\n*\n");
    check("{k: 3, quasi: [zip], hierarchies: {zip: zip}, suppress: 0.1}", table,
          "zip\n94110\n94110\n94110\n94110\n94110\n94110\n94110\n94110\n94110\n");
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    dv_anonymize_report report = {0};
    text_source from = {dv_slice_str(table), 0};
    assert_int_equal(
        run("{k: 3, quasi: [zip], hierarchies: {zip: zip}, suppress: 0.1}", from, &out, &report),
        DV_OK);
    assert_true(report.records == 10 && report.suppressed == 1 && report.after.smallest == 9);
    assert_true(report.loss > 0.099 && report.loss < 0.101); /* who left tells nothing */
}

static void diversities(void **state)
{
    (void)state;
    const char *table = "age,ill\n1,x\n2,x\n3,x\n4,y\n8,x\n8,y\n9,x\n9,y\n";
    const char *apart = "age,ill\n1-4,x\n1-4,x\n1-4,x\n1-4,y\n8-9,x\n8-9,y\n8-9,x\n8-9,y\n";
    const char *together = "age,ill\n1-9,x\n1-9,x\n1-9,x\n1-9,y\n1-9,x\n1-9,y\n1-9,x\n1-9,y\n";
    check("{k: 4, l: 2, quasi: [age], sensitive: [ill]}", table, apart);
    check("{k: 4, l: {distinct: 2}, quasi: [age], sensitive: [ill]}", table, apart);
    check("{k: 4, l: {recursive: 2, c: 3.5}, quasi: [age], sensitive: [ill]}", table, apart);
    check("{k: 4, l: {recursive: 2, c: 3}, quasi: [age], sensitive: [ill]}", table, together);
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    dv_anonymize_report report = {0};
    text_source from = {dv_slice_str(table), 0}; /* five of eight are x: exp(H) = 1.94 */
    assert_int_equal(
        run("{k: 4, l: {entropy: 2}, quasi: [age], sensitive: [ill]}", from, &out, &report),
        DV_ERR_CONFLICT);
}

/* As numbers 1 and 2 are near to each other and 100 is far by one place more: with equal costs the
 * halves are as far from the whole as can be. */
static void ordered_distances(void **state)
{
    (void)state;
    const char *table = "age,pay\n1,10\n2,30\n8,20\n9,40\n";
    const char *apart = "age,pay\n1-2,10\n1-2,30\n8-9,20\n8-9,40\n";
    const char *together = "age,pay\n1-9,10\n1-9,30\n1-9,20\n1-9,40\n";
    check("{k: 2, t: 0.49, quasi: [age], sensitive: [pay]}", table, together);
    check("{k: 2, t: 0.5, quasi: [age], sensitive: [pay]}", table, apart);
    check("{k: 2, t: 0.17, quasi: [age], sensitive: [pay], ordered: [pay]}", table, apart);
    check("{k: 2, t: 0.16, quasi: [age], sensitive: [pay], ordered: [pay]}", table, together);
}

static void tells_the_risk(void **state)
{
    (void)state;
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    dv_anonymize_report report = {0};
    text_source from = {DV_LIT("a\n1\n2\n3\n4\n4\n"), 0};
    assert_int_equal(run("{k: 2, quasi: [a]}", from, &out, &report), DV_OK);
    assert_true(report.records == 5 && report.before.groups == 4 && report.before.unique == 3);
    assert_true(report.before.highest >= 1 && report.after.smallest >= 2);
    assert_true(report.after.highest <= 0.5 && report.after.unique == 0 && report.loss > 0);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *input;
        dv_result result;
    } cases[] = {
        {"{k: 1, quasi: [a]}", "a\n1\n", DV_ERR_INVALID},
        {"{k: 2}", "a\n1\n", DV_ERR_INVALID},
        {"{t: 2, quasi: [a], sensitive: [a]}", "a\n1\n", DV_ERR_INVALID},
        {"{l: 2, quasi: [a]}", "a\n1\n", DV_ERR_INVALID},
        {"{quasi: [b]}", "a\n1\n", DV_ERR_INVALID},
        {"{quasi: [a], remove: [A]}", "a\n1\n", DV_ERR_INVALID},
        {"{quasi: [a], suppress: 0.6}", "a\n1\n", DV_ERR_INVALID},
        {"{quasi: [a], hierarchies: {b: zip}}", "a\n1\n", DV_ERR_INVALID},
        {"{quasi: [a], hierarchies: [zip]}", "a\n1\n", DV_ERR_INVALID},
        {"{quasi: [a], date_order: ymd}", "a\n1\n", DV_ERR_INVALID},
        {"{quasi: [a], sensitive: [b], ordered: [a]}", "a\n1\n", DV_ERR_INVALID},
        {"{k: 2, quasi: [a], sensitive: [b], ordered: [b]}", "a,b\n1,1\n2,x\n", DV_ERR_INVALID},
        {"{k: 2, quasi: [a], hierarchies: {a: {rows: [[x, y]]}}}", "a\nx\nz\n", DV_ERR_INVALID},
        {"{l: {entropy: 2, c: 1}, quasi: [a], sensitive: [b]}", "a\n1\n", DV_ERR_INVALID},
        {"{l: {recursive: 2}, quasi: [a], sensitive: [b]}", "a\n1\n", DV_ERR_INVALID},
        {"{l: {recursive: 1, c: 2}, quasi: [a], sensitive: [b]}", "a\n1\n", DV_ERR_INVALID},
        {"{l: {}, quasi: [a], sensitive: [b]}", "a\n1\n", DV_ERR_INVALID},
        {"{quasi: a}", "a\n1\n", DV_ERR_INVALID},
        {"{k: 2, quasi: [a]}", "", DV_ERR_INVALID},
        {"{k: 2, quasi: [a]}", "a,b,A\n1,x,7\n2,x,8\n", DV_ERR_INVALID},
        {"{k: 2, quasi: [a]}", "a\n", DV_ERR_CONFLICT},
        {"{k: 2, quasi: [a]}", "a\n1\n", DV_ERR_CONFLICT},
        {"{k: 2, quasi: [a]}", "a\n1,2\n", DV_ERR_INVALID},
        {"{k: 2, l: 2, quasi: [a], sensitive: [b]}", "a,b\n1,x\n2,x\n", DV_ERR_CONFLICT},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_auto(buf) dv_buf out = dv_buf_init(4096);
        dv_anonymize_report report = {0};
        text_source from = {dv_slice_str(cases[i].input), 0};
        assert_int_equal(run(cases[i].yaml, from, &out, &report), cases[i].result);
        assert_int_equal(out.len, 0);
    }
}

static void limits(void **state)
{
    (void)state;
    dv_auto(buf) dv_buf yaml = dv_buf_init(4096);
    dv_auto(buf) dv_buf out = dv_buf_init(64 << 20);
    dv_anonymize_report report = {0};
    assert_int_equal(dv_buf_append_str(&yaml, "{k: 2, quasi: [a"), DV_OK);
    for (size_t i = 0; i < DV_ANONYMIZE_COLUMNS_MAX; i++) {
        assert_int_equal(dv_buf_append_str(&yaml, ", a"), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&yaml, "]}"), DV_OK);
    assert_int_equal(run(dv_buf_cstr(&yaml), (text_source){DV_LIT("a\n1\n"), 0}, &out, &report),
                     DV_ERR_INVALID);
    assert_int_equal(run("{k: 2, quasi: [a]}",
                         (text_source){DV_LIT("a\n"), DV_ANONYMIZE_RECORDS_MAX + 1}, &out, &report),
                     DV_ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_tables),
        cmocka_unit_test(along_hierarchies),
        cmocka_unit_test(leaves_outliers_out),
        cmocka_unit_test(diversities),
        cmocka_unit_test(ordered_distances),
        cmocka_unit_test(tells_the_risk),
        cmocka_unit_test(refuses),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
