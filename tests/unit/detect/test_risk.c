/* SPDX-License-Identifier: Apache-2.0 */
/* engine/detect/anonymize/risk: small tables by hand, what is refused, limits. */
#include "engine/detect/anonymize/risk.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

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

static dv_result ask(const dv_risk_question *question, const char *table, dv_arena *arena,
                     dv_risk_answer *answer)
{
    dv_slice rest = dv_slice_str(table);
    const dv_walk_source source = {get, &rest};
    dv_error error = {0};
    dv_result result = dv_risk_csv(question, &source, arena, answer, &error);
    assert_true(result == DV_OK || error.message[0] != '\0');
    return result;
}

static const char *const quasi[] = {"age", "sex", "zip", "age", "age", "age", "age", "age",
                                    "age", "age", "age", "age", "age", "age", "age", "age",
                                    "age", "age", "age", "age", "age", "age", "age", "age",
                                    "age", "age", "age", "age", "age", "age", "age", "age"};
static const char *const sensitive[] = {"pay"};
static const char table[] = "age,sex,zip,pay\n30,f,1,10\n30,f,1,20\n30,m,1,20\n40,m,2,30\n";

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static void tells_what_makes_unique(void **state)
{
    (void)state;
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    const dv_risk_question question = {
        .quasi = quasi, .quasi_count = 3, .threshold = 0.5, .together = 2};
    dv_risk_answer answer;
    assert_int_equal(ask(&question, table, arena, &answer), DV_OK);
    assert_true(answer.records == 4 && answer.risk.groups == 3 && answer.risk.smallest == 1);
    assert_true(answer.risk.unique == 2 && near(answer.risk.highest, 1));
    assert_true(near(answer.risk.average, 0.75) && near(answer.over, 0.5));
    assert_true(near(answer.marketer, 0.75) && near(answer.journalist_highest, 0));
    assert_int_equal(answer.set_count, 6);
    const dv_risk_set *best = &answer.sets[0]; /* age and sex: five of six pairs */
    assert_true(best->count == 2 && best->columns[0] == 0 && best->columns[1] == 1);
    assert_true(best->distinct == 3 && best->unique == 2 && near(best->separation, 5.0 / 6));
    const dv_risk_set *alone = &answer.sets[5]; /* age, or zip: three of six */
    assert_true(alone->count <= 2 && alone->distinct == 2 && near(alone->separation, 0.5));
}

static void tells_the_population(void **state)
{
    (void)state;
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_risk_question question = {.quasi = quasi, .quasi_count = 1, .population = 40};
    dv_risk_answer answer;
    assert_int_equal(ask(&question, table, arena, &answer), DV_OK);
    assert_true(answer.set_count == 0 && near(answer.journalist_highest, 0.1));
    assert_true(near(answer.journalist_average, 0.05) && near(answer.marketer, 0.05));
    question.population = 3;
    assert_int_equal(ask(&question, table, arena, &answer), DV_ERR_INVALID);
}

static void tells_the_worst_group(void **state)
{
    (void)state;
    static const bool ordered[] = {true};
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_risk_question question = {.quasi = quasi,
                                 .quasi_count = 1,
                                 .sensitive = sensitive,
                                 .sensitive_count = 1,
                                 .l = 2,
                                 .ordered = ordered};
    dv_risk_answer answer;
    assert_int_equal(ask(&question, table, arena, &answer), DV_OK);
    assert_true(answer.worst[0].distinct == 1 && near(answer.worst[0].entropy, 1));
    assert_true(isinf(answer.worst[0].ratio));
    assert_true(near(answer.worst[0].distance, 0.5)); /* (|0 - 1/4| + |0 - 3/4|) / 2 */
    question.ordered = NULL;
    assert_int_equal(ask(&question, table, arena, &answer), DV_OK);
    assert_true(near(answer.worst[0].distance, 0.75));
    assert_int_equal(ask(&question, "age,pay\n1,1\n1,1\n1,2\n", arena, &answer), DV_OK);
    assert_true(near(answer.worst[0].ratio, 2) && near(answer.worst[0].distance, 0));
}

static void checks_rules(void **state)
{
    (void)state;
    dv_error error = {0};
    dv_anonymize_rules rules = {
        .k = 2, .spread = {.l = 2, .t = 0.5}, .sensitive = {"pay"}, .sensitive_count = 1};
    dv_risk_answer answer = {.risk = {.smallest = 2}};
    answer.worst[0] = (dv_spread){.distinct = 2, .distance = 0.5};
    assert_int_equal(dv_risk_check(&rules, &answer, &error), DV_OK);
    answer.worst[0].distance = 0.6;
    assert_int_equal(dv_risk_check(&rules, &answer, &error), DV_ERR_CONFLICT);
    answer.worst[0] = (dv_spread){.distinct = 1, .distance = 0.5};
    assert_int_equal(dv_risk_check(&rules, &answer, &error), DV_ERR_CONFLICT);
    answer.risk.smallest = 1;
    answer.worst[0].distinct = 2;
    assert_int_equal(dv_risk_check(&rules, &answer, &error), DV_ERR_CONFLICT);
}

static void refuses(void **state)
{
    (void)state;
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_risk_question question = {.quasi = quasi, .quasi_count = 3, .together = 1};
    dv_risk_answer answer;
    assert_int_equal(ask(&question, "age,sex\n1,f\n", arena, &answer), DV_ERR_INVALID);
    assert_int_equal(ask(&question, "age,sex,zip\n", arena, &answer), DV_ERR_CONFLICT);
    assert_int_equal(ask(&question, "", arena, &answer), DV_ERR_INVALID);
    question.quasi_count = DV_ANONYMIZE_COLUMNS_MAX; /* 41,448 combinations of four */
    question.together = 4;
    assert_int_equal(ask(&question, table, arena, &answer), DV_ERR_TOO_LARGE);
    question.together = 3; /* 5,488 */
    assert_int_equal(ask(&question, table, arena, &answer), DV_OK);
    assert_int_equal(answer.set_count, 5488);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_makes_unique),
        cmocka_unit_test(tells_the_population),
        cmocka_unit_test(tells_the_worst_group),
        cmocka_unit_test(checks_rules),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
