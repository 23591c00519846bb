/* SPDX-License-Identifier: Apache-2.0 */
/* The `control:` section. */
#include "daemon/dvarad_settings.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static dv_result read_text(const char *text, dv_control_settings *ret_settings, dv_error *error)
{
    dv_arena *arena = dv_arena_new(1 << 20);
    const dv_yaml *root = NULL;
    assert_int_equal(dv_yaml_parse(dv_slice_str(text), arena, &root, error), DV_OK);
    dv_result result = dv_control_settings_read(dv_yaml_get(root, "control"), ret_settings, error);
    if (dv_yaml_get(root, "control") != NULL) {
        assert_int_equal(dv_control_config_section.check(dv_yaml_get(root, "control"), error),
                         result);
    }
    dv_arena_free(arena);
    return result;
}

static void defaults_allow_no_origin(void **state)
{
    dv_control_settings settings;
    dv_error error = {0};
    assert_int_equal(read_text("", &settings, &error), DV_OK);
    assert_int_equal(settings.origin_count, 0);
    assert_false(settings.metrics_need_key);
}

static void reads_both(void **state)
{
    dv_control_settings settings;
    dv_error error = {0};
    assert_int_equal(read_text("control:\n  metrics: key\n  origins:\n    - https://a.example\n"
                               "    - 'https://[::1]:8443'\n",
                               &settings, &error),
                     DV_OK);
    assert_true(settings.metrics_need_key);
    assert_int_equal(settings.origin_count, 2);
    assert_string_equal(settings.origins[1], "https://[::1]:8443");
}

static void refuses_with_the_line(void **state)
{
    static const char *const bad[] = {
        "control:\n  metrics: open\n",
        "control:\n  metrisc: key\n",
        "control:\n  origins: https://a.example\n",
        "control:\n  origins: [https://a.example/]\n",
        "control:\n  origins: [https://A.example]\n",
        "control:\n  origins: ['*']\n",
        "control:\n  origins: [null]\n",
        "control:\n  origins: ['https://']\n",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_control_settings settings;
        dv_error error = {0};
        if (read_text(bad[i], &settings, &error) != DV_ERR_INVALID || error.line != 2) {
            fail_msg("%s: line %d: %s", bad[i], error.line, error.message);
        }
    }
    dv_control_settings settings;
    dv_error error = {0};
    assert_int_equal(read_text("control: 1\n", &settings, &error), DV_ERR_INVALID);
}

static void limits_the_number_of_origins(void **state)
{
    char text[64 + 32 * (DV_ORIGINS_MAX + 1)] = "control:\n  origins:\n";
    dv_control_settings settings;
    dv_error error = {0};
    for (int i = 0; i < DV_ORIGINS_MAX; i++) {
        snprintf(text + strlen(text), 32, "    - https://a%d.example\n", i);
    }
    assert_int_equal(read_text(text, &settings, &error), DV_OK);
    assert_int_equal(settings.origin_count, DV_ORIGINS_MAX);
    snprintf(text + strlen(text), 32, "    - https://b.example\n");
    assert_int_equal(read_text(text, &settings, &error), DV_ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_allow_no_origin),
        cmocka_unit_test(reads_both),
        cmocka_unit_test(refuses_with_the_line),
        cmocka_unit_test(limits_the_number_of_origins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
