/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_bare.h"

#include "base/caps.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void bare_is(const char *yaml, const char *want, size_t want_removed)
{
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    dv_error error = {0};
    size_t removed = 99;
    assert_int_equal(dv_config_bare(dv_slice_str(yaml), &out, &removed, &error), DV_OK);
    const char *text = dv_buf_cstr(&out);
    assert_non_null(text);
    assert_string_equal(text, want);
    assert_int_equal(removed, want_removed);
}

static void test_harmless_values_stay(void **state)
{
    (void)state;
    bare_is("workers: 4\nupstream: {timeout: 300s, tls_version: \"1.2\"}\n"
            "limits: {key: [{count: 600, per: 1m, burst: 100}], warn: [80, 100]}\n",
            "---\nworkers: 4\nupstream:\n  timeout: 300s\n  tls_version: \"1.2\"\nlimits:\n"
            "  key:\n    -\n      count: 600\n      per: 1m\n      burst: 100\n  warn:\n    - 80\n"
            "    - 100\n",
            0);
    bare_is("workers: auto\nmasking: {request: {default: block, detectors: {email: mask}}}\n",
            "---\nworkers: auto\nmasking:\n  request:\n    default: block\n    detectors:\n"
            "      email: mask\n",
            0);
    bare_is(
        "masking: {key_file: /etc/k, date_order: mdy, rules: [{action: {action: fpe, keep_last: 4, "
        "luhn: true}}]}\n",
        "---\nmasking:\n  key_file: \"[removed]\"\n  date_order: mdy\n  rules:\n    -\n"
        "      action:\n        action: fpe\n        keep_last: 4\n        luhn: true\n",
        1);
    bare_is("audit: {collect_spool: 512MiB, export: []}\nx: {}\ny:\n",
            "---\naudit:\n  collect_spool: 512MiB\n  export: []\nx: {}\ny: null\n", 0);
}

static void test_other_values_go(void **state)
{
    (void)state;
    bare_is("# a comment with hunter22\npassword: hunter22\nname: Erika\npin: 12345678\n",
            "---\npassword: \"[removed]\"\nname: \"[removed]\"\npin: \"[removed]\"\n", 3);
    bare_is("tls: {certificate_key: /etc/k.pem, cipher_suites: [mine]}\n",
            "---\ntls:\n  certificate_key: \"[removed]\"\n  cipher_suites:\n    - \"[removed]\"\n",
            2);
}

/* A harmless key with a value that has not the form it should have. */
static void test_a_value_of_another_form_goes(void **state)
{
    (void)state;
    bare_is("workers: hunter22\n", "---\nworkers: \"[removed]\"\n", 1);
    bare_is("count: 1234567890123\n", "---\ncount: \"[removed]\"\n", 1);
    bare_is("count: 12secret\n", "---\ncount: \"[removed]\"\n", 1);
    bare_is("timeout: 3.1.4\n", "---\ntimeout: \"[removed]\"\n", 1);
    bare_is("action: 4111111111111111\n", "---\naction: \"[removed]\"\n", 1);
    bare_is("type: [syslog, Erika]\n", "---\ntype:\n  - syslog\n  - \"[removed]\"\n", 1);
    bare_is("off: [email, nobody]\n", "---\noff:\n  - email\n  - \"[removed]\"\n", 1);
}

static void test_of_urls_the_harmless_parts_stay(void **state)
{
    (void)state;
    bare_is("listen: http://127.0.0.1:8080\n", "---\nlisten: \"http://127.0.0.1:8080\"\n", 0);
    bare_is("url: https://models.example/base\n", "---\nurl: \"https://[removed]/[removed]\"\n", 1);
    bare_is("url: smtp://me:pw@mail.example:587\n", "---\nurl: \"smtp://[removed]:587\"\n", 1);
    bare_is("url: http://tok@127.0.0.1:1\n", "---\nurl: \"http://[removed]:1\"\n", 1);
    bare_is("root:$6$salt$hash:20228::\nerika@x: 1\ngpt-4.1/mini: 1\n",
            "---\n\"[removed 1]\": null\n\"[removed 2]\": \"[removed]\"\n"
            "\"gpt-4.1/mini\": \"[removed]\"\n",
            4);
    bare_is("url: http://127.0.0.1:8080?key=1\n", "---\nurl: \"http://127.0.0.1:8080/[removed]\"\n",
            1);
    bare_is("url: http://127.0.0.1:123456\n", "---\nurl: \"http://[removed]\"\n", 1);
    bare_is("url: secret\n", "---\nurl: \"[removed]\"\n", 1);
    bare_is("url: hunter22://x\n", "---\nurl: \"[removed]\"\n", 1);
}

static void test_what_is_no_yaml_gives_nothing(void **state)
{
    static const char *const bad[] = {"a: [", "a: 1\na: 2\n", "&x a: *x\n"};
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    dv_auto(buf) dv_buf small = dv_buf_init(8);
    static char huge[DV_LIMIT_CONFIG + 2];
    size_t removed = 0;
    (void)state;
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(dv_config_bare(dv_slice_str(bad[i]), &out, &removed, NULL),
                         DV_ERR_INVALID);
    }
    memset(huge, '#', sizeof huge - 1);
    assert_int_equal(dv_config_bare(dv_slice_of(huge, sizeof huge - 1), &out, &removed, NULL),
                     DV_ERR_TOO_LARGE);
    assert_int_equal(out.len, 0);
    assert_int_equal(dv_config_bare(DV_LIT("workers: 4\n"), &small, &removed, NULL),
                     DV_ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_harmless_values_stay),
        cmocka_unit_test(test_other_values_go),
        cmocka_unit_test(test_a_value_of_another_form_goes),
        cmocka_unit_test(test_of_urls_the_harmless_parts_stay),
        cmocka_unit_test(test_what_is_no_yaml_gives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
