/* SPDX-License-Identifier: Apache-2.0 */
/* What an access review does to the store: collecting, rolling back, what ends by itself. */
#include "fixture.h"
#include "room/auth/control/review.h"

static void a_team(fixture *f)
{
    assert_int_equal(call_op(f, dv_op_group_create, NULL, "{'name':'ml'}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'sam','groups':['ml']}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'bob','groups':['ml']}"), DV_OK);
}

/* The id of a new review, or of an item of it. */
static const char *start(fixture *f, const char *body, int item, char out[64])
{
    json_t *answer = ask(f, dv_op_review_start, NULL, body);
    const char *id = json_string_value(json_object_get(answer, "id"));
    snprintf(out, 64, item > 0 ? "%s.%d" : "%s", id, item);
    json_decref(answer);
    return out;
}

static const char *params_of(const char *field, const char *value)
{
    static char params[128];
    snprintf(params, sizeof(params), "{'%s':'%s'}", field, value);
    return params;
}

static char *state_of(fixture *f, const char *id, size_t index, char out[32])
{
    json_t *report = ask(f, dv_op_review_report, params_of("id", id), NULL);
    json_t *item = json_array_get(json_object_get(report, "items"), index);
    snprintf(out, 32, "%s", json_string_value(json_object_get(item, "state")));
    json_decref(report);
    return out;
}

static bool has_member(fixture *f, const char *name)
{
    json_t *group = ask(f, dv_op_group_show, "{'name':'ml'}", NULL);
    char *text = json_dumps(json_object_get(group, "members"), 0);
    bool found = strstr(text, name) != NULL;
    free(text);
    json_decref(group);
    return found;
}

/* --- collecting ------------------------------------------------------------------------------ */

static dv_result collect_at_most(dv_call *call, dv_error *error)
{
    dv_review_scope scope = {0};
    dv_review_deciders deciders = {call->caller, call->caller, {NULL, 0}};
    const dv_case_item *items;
    size_t count = 0;
    size_t max = (size_t)json_integer_value(json_object_get(call->params, "max"));
    DV_TRY(dv_review_collect(call, &scope, &deciders, max, &items, &count, error));
    assert_int_equal(count, 3); /* admin's role, two memberships */
    return DV_OK;
}

static void no_more_than_the_maximum_is_collected(void **state)
{
    fixture *f = *state;
    a_team(f);
    assert_int_equal(call_op(f, collect_at_most, "{'max':3}", NULL), DV_OK);
    assert_int_equal(call_op(f, collect_at_most, "{'max':2}", NULL), DV_ERR_TOO_LARGE);
    assert_non_null(strstr(f->error.message, "more than 2 grants"));
}

static void entities_are_taken_apart(void **state)
{
    dv_auth_ref ref;
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 16);
    assert_int_equal(dv_auth_ref_parse("Service::\"ci\"", arena, &ref), DV_OK);
    assert_int_equal(ref.kind, DV_AUTH_SERVICE);
    assert_string_equal(ref.name, "ci");
    static const char *const bad[] = {"",           "User",         "User::\"\"",
                                      "User:\"x\"", "Users::\"x\"", "Local::\"root\""};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(dv_auth_ref_parse(bad[i], arena, &ref), DV_ERR_NOT_FOUND);
    }
}

/* --- deciding -------------------------------------------------------------------------------- */

static void what_can_not_be_recorded_is_not_revoked(void **state)
{
    fixture *f = *state;
    char item[64], id[64], text[32];
    a_team(f);
    start(f, "{'group':'ml'}", 1, item);
    snprintf(id, sizeof(id), "%.36s", item);
    f->events_fail = true;
    assert_int_equal(call_op(f, dv_op_review_revoke, params_of("item", item), "{'reason':'x'}"),
                     DV_ERR_UNAVAILABLE);
    f->events_fail = false;
    assert_true(has_member(f, "bob"));
    assert_string_equal(state_of(f, id, 0, text), "pending");
    assert_int_equal(call_op(f, dv_op_review_revoke, params_of("item", item), "{'reason':'x'}"),
                     DV_OK);
    assert_false(has_member(f, "bob"));
    assert_true(fixture_said(f, "member_removed"));
    fixture_restart(f);
    assert_string_equal(state_of(f, id, 0, text), "revoked");
}

/* Nor is what was refused after its record was made: the log has no word of the step. */
static void what_is_refused_leaves_no_record(void **state)
{
    fixture *f = *state;
    char item[64], text[32];
    a_team(f);
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'lena'}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_role_assign, "{'role':'admin'}", "{'group':'ml'}"), DV_OK);
    start(f, "{'group':'ml','reviewer':'lena'}", 1, item);
    size_t before = f->event_count;
    assert_int_equal(call_as(f, "User::\"lena\"", dv_op_review_revoke, params_of("item", item),
                             "{'reason':'x'}", NULL),
                     DV_ERR_FORBIDDEN);
    assert_int_equal(f->event_count, before);
    assert_false(fixture_said(f, "revoked"));
    item[36] = '\0';
    assert_string_equal(state_of(f, item, 0, text), "pending");
    assert_int_equal(
        call_op(f, dv_op_user_create, NULL, "{'name':'eve','groups':['ml','nowhere']}"),
        DV_ERR_NOT_FOUND);
    assert_int_equal(f->event_count, before);
}

/* Of a role that ran out but was not swept yet nothing is left to keep, and the sweep decides what
 * nobody looked at. */
static void a_role_that_ran_out_is_gone(void **state)
{
    fixture *f = *state;
    char id[64], item[64], text[32];
    const struct timespec wait = {.tv_nsec = 400000000};
    a_team(f);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            call_op(f, dv_op_role_assign, "{'role':'viewer'}",
                    i == 0 ? "{'user':'bob','until':'300ms'}" : "{'user':'sam','until':'300ms'}"),
            DV_OK);
    }
    start(f, "{'role':'viewer'}", 0, id);
    nanosleep(&wait, NULL);
    snprintf(item, sizeof(item), "%.36s.1", id);
    assert_int_equal(call_op(f, dv_op_review_attest, params_of("item", item), "{'reason':'x'}"),
                     DV_OK);
    assert_string_equal(state_of(f, id, 0, text), "gone");
    assert_string_equal(state_of(f, id, 1, text), "pending");
    assert_int_equal(dv_auth_control_tick(&f->services, dv_time_now(), &f->error), DV_OK);
    assert_string_equal(state_of(f, id, 1, text), "gone");
}

/* Another review that is about the same grant is decided by the first one's revocation. */
static void two_reviews_of_one_grant(void **state)
{
    fixture *f = *state;
    char first[64], second[64], text[32];
    a_team(f);
    start(f, "{'group':'ml'}", 1, first);
    start(f, "{'group':'ml'}", 0, second);
    assert_int_equal(call_op(f, dv_op_review_revoke, params_of("item", first), "{'reason':'x'}"),
                     DV_OK);
    assert_string_equal(state_of(f, second, 0, text), "gone");
    assert_int_equal(call_op(f, dv_op_group_delete, "{'name':'ml'}", NULL), DV_OK);
    assert_string_equal(state_of(f, second, 1, text), "gone");
}

/* --- many at a time -------------------------------------------------------------------------- */

enum { HOLDERS = 72, REVIEWS = 30 };

/* Everybody has the role, and many reviews ask about each. */
static void a_crowd(fixture *f, const char *until)
{
    char body[256], id[64];
    assert_int_equal(call_op(f, dv_op_role_create, NULL, "{'name':'r'}"), DV_OK);
    for (int i = 0; i < HOLDERS; i++) {
        snprintf(body, sizeof(body), "{'name':'u%d'}", i);
        assert_int_equal(call_op(f, dv_op_user_create, NULL, body), DV_OK);
        snprintf(body, sizeof(body), "{'user':'u%d'%s}", i, until);
        assert_int_equal(call_op(f, dv_op_role_assign, "{'role':'r'}", body), DV_OK);
    }
    for (int i = 0; i < REVIEWS; i++) {
        start(f, "{'role':'r'}", 0, id);
    }
}

static int64_t undecided(fixture *f)
{
    dv_auto(statement) dv_statement *row = NULL;
    assert_int_equal(dv_store_query(f->services.store, &row, &f->error,
                                    "SELECT count(*) FROM case_item WHERE decided = 0", ""),
                     DV_OK);
    assert_int_equal(dv_statement_step(row, &f->error), DV_OK);
    return dv_column_int(row, 0);
}

static void tick(fixture *f)
{
    dv_result result = dv_auth_control_tick(&f->services, dv_time_now(), &f->error);
    if (result != DV_OK) {
        fail_msg("%s: %s", dv_result_name(result), f->error.message);
    }
}

static void run(fixture *f, const char *sql)
{
    if (dv_store_run(f->services.store, &f->error, sql, "") != DV_OK) {
        fail_msg("%s", f->error.message);
    }
}

/* One change decides some of what is gone, the recurring work the rest; what was given anew in
 * between, and is in a review that began later, is not meant. */
static void a_role_in_many_reviews_is_deleted(void **state)
{
    fixture *f = *state;
    char later[64], text[32];
    a_crowd(f, "");
    assert_int_equal(undecided(f), HOLDERS * REVIEWS);
    assert_int_equal(call_op(f, dv_op_role_delete, "{'name':'r'}", NULL), DV_OK);
    int64_t left = undecided(f);
    assert_in_range(left, HOLDERS * REVIEWS - DV_CASE_GONE_MAX - 64, HOLDERS * REVIEWS - 900);
    assert_int_equal(call_op(f, dv_op_role_create, NULL, "{'name':'r'}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_role_assign, "{'role':'r'}", "{'user':'u0'}"), DV_OK);
    start(f, "{'role':'r'}", 0, later);
    fixture_restart(f);
    tick(f);
    assert_in_range(undecided(f), 2, left - 900);
    tick(f);
    assert_int_equal(undecided(f), 1);
    assert_string_equal(state_of(f, later, 0, text), "pending");
    run(f, "INSERT INTO case_gone SELECT type, 'x', '', 0 FROM case_case LIMIT 1");
    tick(f);
    assert_int_equal(undecided(f), 1);
}

static void roles_in_many_reviews_end_together(void **state)
{
    fixture *f = *state;
    a_crowd(f, ",'until':'1h'");
    run(f, "UPDATE auth_assignment SET expires = 1 WHERE role = 'r'");
    for (int i = 0; i < 3; i++) {
        tick(f);
    }
    assert_int_equal(undecided(f), 0);
    json_t *role = ask(f, dv_op_user_show, "{'name':'u7'}", NULL);
    assert_int_equal(json_array_size(json_object_get(role, "roles")), 0);
    json_decref(role);
}

static char *review_state(fixture *f, const char *id, char out[32])
{
    json_t *report = ask(f, dv_op_review_report, params_of("id", id), NULL);
    snprintf(out, 32, "%s", json_string_value(json_object_get(report, "state")));
    json_decref(report);
    return out;
}

/* What can't be done keeps nothing else waiting: another review, the sweep, or reviews at all. */
static void what_fails_keeps_nothing_else_waiting(void **state)
{
    fixture *f = *state;
    char first[64], second[64], sql[256], text[32];
    a_team(f);
    start(f, "{'group':'ml'}", 0, first);
    start(f, "{'group':'ml'}", 0, second);
    run(f, "CREATE UNIQUE INDEX stuck_key ON case_case (id, state)");
    run(f, "CREATE TABLE stuck (id TEXT, state TEXT, FOREIGN KEY (id, state) REFERENCES case_case"
           " (id, state))");
    snprintf(sql, sizeof(sql), "INSERT INTO stuck VALUES ('%s', 'open')", first);
    run(f, sql);
    snprintf(sql, sizeof(sql),
             "UPDATE case_case SET deadline = CASE id WHEN '%s' THEN 1 ELSE 2 END", first);
    run(f, sql);
    assert_int_equal(
        call_op(f, dv_op_role_assign, "{'role':'viewer'}", "{'user':'bob','until':'1h'}"), DV_OK);
    run(f, "UPDATE auth_assignment SET expires = 1 WHERE role = 'viewer'");
    run(f, "CREATE TABLE held (role TEXT, kind TEXT, name TEXT, FOREIGN KEY (role, kind, name)"
           " REFERENCES auth_assignment (role, kind, name))");
    run(f, "INSERT INTO held VALUES ('viewer', 'user', 'bob')");
    assert_int_not_equal(dv_auth_control_tick(&f->services, dv_time_now(), &f->error), DV_OK);
    assert_string_equal(review_state(f, first, text), "open");
    assert_string_equal(review_state(f, second, text), "overdue");
    run(f, "DROP TABLE held");
    run(f, "DROP TABLE stuck");
    tick(f);
    assert_string_equal(review_state(f, first, text), "overdue");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_more_than_the_maximum_is_collected),
        TEST(entities_are_taken_apart),
        TEST(what_can_not_be_recorded_is_not_revoked),
        TEST(what_is_refused_leaves_no_record),
        TEST(a_role_that_ran_out_is_gone),
        TEST(two_reviews_of_one_grant),
        TEST(a_role_in_many_reviews_is_deleted),
        TEST(roles_in_many_reviews_end_together),
        TEST(what_fails_keeps_nothing_else_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
