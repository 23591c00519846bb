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

static void expect_others(const dv_verdict *verdict, const char *others, unsigned unnamed)
{
    if (!dv_slice_eq_str(verdict->others, others)) {
        fail_msg("\"%.*s\" and not \"%s\"", DV_SLICE_ARGS(verdict->others), others);
    }
    assert_int_equal(verdict->unnamed, unnamed);
}

static void all_policies_are_named(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 10);
    const dv_slice ids[] = {DV_LIT("a"), DV_LIT("role:b"), DV_LIT("c")};
    dv_verdict verdict = {0};
    dv_slice id;
    dv_verdict_allow(&verdict, "");
    dv_verdict_policies(&verdict, ids, 3, arena);
    assert_string_equal(verdict.policy, "a");
    expect_others(&verdict, "role:b\nc", 0);
    dv_slice rest = verdict.others;
    assert_true(dv_verdict_others_next(&rest, &id) && dv_slice_eq_str(id, "role:b"));
    assert_true(dv_verdict_others_next(&rest, &id) && dv_slice_eq_str(id, "c"));
    assert_false(dv_verdict_others_next(&rest, &id));
    dv_verdict_policies(&verdict, ids, 1, arena);
    expect_others(&verdict, "", verdict.unnamed);
    dv_verdict_policies(&verdict, ids, 3, arena);
    dv_verdict_reset(&verdict);
    assert_int_equal(verdict.others.len, 0);
}

static void policies_without_room_are_counted(void **state)
{
    enum { COUNT = 20 };
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 10);
    char longest[2 * DV_VERDICT_POLICY_MAX];
    dv_slice ids[COUNT] = {
        DV_LIT("first"), DV_LIT("a\nb"), DV_LIT(""), {(const uint8_t *)"a\0b", 3}};
    dv_verdict verdict = {0};
    memset(longest, 'x', sizeof(longest));
    for (size_t i = 4; i < COUNT; i++) {
        ids[i] = dv_slice_of(longest, sizeof(longest));
    }
    dv_verdict_policies(&verdict, ids, COUNT, arena);
    /* 8 of 63 bytes with a newline between them are 511. */
    assert_int_equal(verdict.others.len, DV_VERDICT_OTHERS_MAX - 1);
    assert_int_equal(verdict.unnamed, COUNT - 1 - 8);
    ids[4] = DV_LIT("short");
    dv_verdict_policies(&verdict, ids, 5, arena);
    expect_others(&verdict, "short", 3);
}

static void without_memory_policies_are_counted(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1);
    const dv_slice ids[] = {DV_LIT("a"), DV_LIT("b"), DV_LIT("c")};
    dv_verdict verdict = {0};
    dv_verdict_policies(&verdict, ids, 3, arena);
    assert_string_equal(verdict.policy, "a");
    expect_others(&verdict, "", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_deny),
        cmocka_unit_test(the_first_refusal_stands),
        cmocka_unit_test(all_policies_are_named),
        cmocka_unit_test(policies_without_room_are_counted),
        cmocka_unit_test(without_memory_policies_are_counted),
        cmocka_unit_test(every_reason_refuses_with_an_error_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
