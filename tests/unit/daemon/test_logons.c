/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/dvarad_logons.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static dv_logons logons;
static const dv_time minute = 60 * DV_SECOND, begin = 1790000000 * DV_SECOND;

static bool note(const char *key, const char *address, dv_time after)
{
    return dv_logons_note(&logons, dv_slice_str(key), address, begin + after);
}

static int forget_all(void **state)
{
    memset(&logons, 0, sizeof(logons));
    return 0;
}

static void the_first_call_is_a_logon(void **state)
{
    assert_true(note("AAAAAAAA", "192.0.2.1", 0));
    assert_false(note("AAAAAAAA", "192.0.2.1", 1));
    assert_false(note("AAAAAAAA", "192.0.2.1", 15 * minute)); /* kept by the call before */
    assert_true(note("AAAAAAAA", "192.0.2.1", 30 * minute));  /* nothing for 15 minutes */
    assert_true(note("AAAAAAAA", "192.0.2.2", 30 * minute));  /* from elsewhere */
    assert_true(note("BBBBBBBB", "192.0.2.1", 30 * minute));  /* another key */
    assert_true(note("AAAAAAAA", "192.0.2.1", 10 * minute));  /* the clock was put back */
    assert_false(note("AAAAAAAA", "192.0.2.1", 10 * minute + 1));
}

static void what_was_not_recorded_is_tried_again(void **state)
{
    assert_true(note("AAAAAAAA", "", 0));
    dv_logons_forget(&logons, DV_LIT("AAAAAAAA"), "");
    dv_logons_forget(&logons, DV_LIT("CCCCCCCC"), "");
    assert_true(note("AAAAAAAA", "", 1));
}

static void the_table_is_bounded(void **state)
{
    char key[16];
    for (int i = 0; i < 2 * DV_LOGONS_MAX; i++) {
        snprintf(key, sizeof(key), "%08d", i);
        assert_true(note(key, "::1", i));
    }
    assert_false(note(key, "::1", minute));       /* the newest is known */
    assert_true(note("00000000", "::1", minute)); /* the oldest is not */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_call_is_a_logon, forget_all),
        cmocka_unit_test_setup(what_was_not_recorded_is_tried_again, forget_all),
        cmocka_unit_test_setup(the_table_is_bounded, forget_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
