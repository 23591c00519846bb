/* SPDX-License-Identifier: Apache-2.0 */
/* engine/detect/action/value_set: one spelling, growing, the limit. */
#include "engine/detect/action/value_set.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool has(dv_value_set *set, const char *value)
{
    bool found = false;
    assert_int_equal(dv_value_set_has(set, dv_slice_str(value), &found), DV_OK);
    return found;
}

static void one_spelling(void **state)
{
    (void)state;
    dv_auto(value_set) dv_value_set *set = NULL;
    assert_int_equal(dv_value_set_new(10, &set), DV_OK);
    assert_int_equal(dv_value_set_add(set, DV_LIT("Bob@Example.com")), DV_OK);
    assert_int_equal(dv_value_set_add(set, DV_LIT("4111-1111-1111-1111")), DV_OK);
    assert_true(has(set, "bob@example.com") && has(set, "4111111111111111"));
    assert_false(has(set, "bob@example.org") || has(set, "4111111111111112") || has(set, ""));
    assert_int_equal(dv_value_set_count(set), 2);
}

static void grows_to_its_limit(void **state)
{
    (void)state;
    enum { MOST = 5000 };
    dv_auto(value_set) dv_value_set *set = NULL;
    char text[32];
    assert_int_equal(dv_value_set_new(MOST, &set), DV_OK);
    for (int i = 0; i < MOST; i++) {
        (void)snprintf(text, sizeof(text), "value number %d", i);
        assert_int_equal(dv_value_set_add(set, dv_slice_str(text)), DV_OK);
    }
    for (int i = 0; i < 2 * MOST; i++) {
        (void)snprintf(text, sizeof(text), "value number %d", i);
        assert_int_equal(has(set, text), i < MOST);
    }
    assert_int_equal(dv_value_set_add(set, DV_LIT("value number 7")), DV_OK);
    assert_int_equal(dv_value_set_add(set, DV_LIT("one more")), DV_ERR_TOO_LARGE);
}

static void very_long_values(void **state)
{
    (void)state;
    dv_auto(value_set) dv_value_set *set = NULL;
    dv_auto(buf) dv_buf text = dv_buf_init(2 * DV_ACTION_VALUE_MAX);
    assert_int_equal(dv_value_set_new(10, &set), DV_OK);
    for (size_t i = 0; i <= DV_ACTION_VALUE_MAX; i++) {
        assert_int_equal(dv_buf_append_byte(&text, 'a'), DV_OK);
    }
    assert_int_equal(dv_value_set_add(set, dv_buf_slice(&text)), DV_OK);
    assert_true(has(set, dv_buf_cstr(&text)));
    text.len--;
    assert_int_equal(dv_value_set_add(set, dv_buf_slice(&text)), DV_OK);
    assert_int_equal(dv_value_set_count(set), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_spelling),
        cmocka_unit_test(grows_to_its_limit),
        cmocka_unit_test(very_long_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
