/* SPDX-License-Identifier: Apache-2.0 */
/* The type that every authorization answers with: its zero refuses, and a refusal stands. */
#include "core/verdict.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void zero_is_deny(void **state)
{
    dv_verdict verdict = {0};
    assert_int_equal(verdict.decision, DV_DENY);
    assert_string_equal(dv_reason_name(verdict.reason), "not_decided");
    assert_int_equal(dv_reason_status(verdict.reason), 403);
}

static void the_first_refusal_stands(void **state)
{
    dv_verdict verdict = {0};
    dv_verdict_allow(&verdict, "role:a");
    assert_int_equal(verdict.decision, DV_ALLOW);
    assert_string_equal(verdict.policy, "role:a");
    dv_verdict_deny(&verdict, DV_REASON_BAD_FIELD, "field %s", "api_base");
    dv_verdict_deny(&verdict, DV_REASON_INTERNAL, NULL);
    dv_verdict_allow(&verdict, "role:a");
    assert_int_equal(verdict.decision, DV_DENY);
    assert_string_equal(dv_reason_name(verdict.reason), "bad_field");
    assert_string_equal(verdict.detail, "field api_base");
}

static void every_reason_refuses_with_an_error_status(void **state)
{
    for (int reason = 0; reason < DV_REASON_COUNT; reason++) {
        int status = dv_reason_status((dv_reason)reason);
        assert_true(reason == DV_REASON_OK ? status == 200 : status >= 400 && status < 600);
        assert_true(strlen(dv_reason_text((dv_reason)reason)) > 0);
    }
    assert_string_equal(dv_reason_name((dv_reason)DV_REASON_COUNT), "not_decided");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_deny),
        cmocka_unit_test(the_first_refusal_stands),
        cmocka_unit_test(every_reason_refuses_with_an_error_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
