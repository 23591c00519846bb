/* SPDX-License-Identifier: Apache-2.0 */
/* How much leaves over time, with the real counters. */
#include "data_test.h"

#include "room/data/gate/volume.h"

#include <unistd.h>

enum { ARENA = 16 << 20, SLOTS = 4096 };

static const dv_time start = INT64_C(1800000000) * DV_SECOND;
static const dv_time hour = 3600 * DV_SECOND;

static struct {
    char folder[64];
    char path[80];
    dv_counters *counters;
    dv_arena *arena;
} f;

static void open_counters(uint32_t slots)
{
    bool replaced = false;
    assert_int_equal(dv_counters_open(f.path, slots, &f.counters, &replaced, NULL), DV_OK);
}

static int set_up(void **state)
{
    (void)snprintf(f.folder, sizeof(f.folder), "/tmp/dvara-volume-XXXXXX");
    assert_non_null(mkdtemp(f.folder));
    (void)snprintf(f.path, sizeof(f.path), "%s/counters", f.folder);
    open_counters(SLOTS);
    f.arena = dv_arena_new(ARENA);
    return f.arena == NULL;
}

static int tear_down(void **state)
{
    dv_counters_close(f.counters);
    (void)unlink(f.path);
    (void)rmdir(f.folder);
    dv_arena_free(f.arena);
    return 0;
}

/* A policy that masks, with these volumes. */
static dv_data_policy *policy_with(const char *volumes)
{
    dv_auto(buf) dv_buf json = dv_buf_init(1 << 16);
    assert_int_equal(
        dv_buf_append_printf(&json, "{\"default\":\"mask\",\"volumes\":[%s]}", volumes), DV_OK);
    return policy_of(dv_buf_cstr(&json));
}

#define CARDS(values, action)                                                                      \
    "{\"name\":\"cards\",\"categories\":[\"payment\"],\"values\":" values                          \
    ",\"per_ns\":3600000000000,\"action\":\"" action "\"}"

static const dv_slice ann_roles[] = {DV_LIT("Role::\"support\"")};
static const dv_principal ann = {.type = DV_PRINCIPAL_USER,
                                 .name = DV_LIT("ann"),
                                 .entity = DV_LIT("User::\"ann\""),
                                 .ancestors = ann_roles,
                                 .ancestor_count = 1};
static const dv_principal service_ann = {
    .type = DV_PRINCIPAL_SERVICE, .name = DV_LIT("ann"), .entity = DV_LIT("Service::\"ann\"")};
static const dv_principal bob = {
    .type = DV_PRINCIPAL_USER, .name = DV_LIT("bob"), .entity = DV_LIT("User::\"bob\"")};

static dv_volume_caller caller_of(const dv_principal *principal)
{
    return (dv_volume_caller){principal, DV_LIT("192.0.2.7"), DV_LIT("chat")};
}

/* One body with so many values of the first rule, at that time. */
static bool send(const dv_data_policy *policy, const dv_principal *who, uint32_t values,
                 dv_time now, dv_volume_tally *ret_tally)
{
    const uint32_t found[DV_DATA_VOLUMES_MAX] = {values};
    const dv_volume_caller caller = caller_of(who);
    *ret_tally = (dv_volume_tally){.due = 0};
    return dv_data_volumes_charge(f.counters, policy, found, &caller, now, ret_tally);
}

static bool passes(const dv_data_policy *policy, const dv_principal *who, uint32_t values,
                   dv_time now)
{
    dv_volume_tally tally;
    return send(policy, who, values, now, &tally);
}

/* ---- counting ---- */

static void count(const char *policy_json, const char *text, const uint32_t wanted[2],
                  bool rewritten)
{
    dv_verdict verdict = {0};
    dv_data_policy *policy = policy_of(policy_json);
    dv_data_outcome outcome = {0};
    dv_verdict_allow(&verdict, "");
    assert_int_equal(dv_data_gate_text(gate, policy, context_of("u", f.arena), false,
                                       dv_slice_str(text), f.arena, &outcome, &verdict),
                     DV_OK);
    assert_int_equal(outcome.values[0], wanted[0]);
    assert_int_equal(outcome.values[1], wanted[1]);
    assert_int_equal(outcome.changed, rewritten);
    dv_data_policy_free(policy);
}

#define TWO_CARDS "4111111111111111 bob@example.com 5555555555554444"
#define VOLUME(name, what)                                                                         \
    "{\"name\":\"" name "\"" what ",\"values\":5,\"per_ns\":1000000000,\"action\":\"monitor\"}"

static void values_are_counted_by_what_found_them(void **state)
{
    count("{\"default\":\"mask\",\"volumes\":[" VOLUME(
              "a", ",\"categories\":[\"payment\"]") "," VOLUME("b", "") "]}",
          TWO_CARDS, (uint32_t[]){2, 3}, true);
    count("{\"default\":\"mask\",\"volumes\":[" VOLUME("a", ",\"labels\":[\"EMAIL\"]") "," VOLUME(
              "b", ",\"detectors\":[\"iban\"]") "]}",
          TWO_CARDS, (uint32_t[]){1, 0}, true);
    count("{\"default\":\"mask\",\"decode\":true,\"volumes\":[" VOLUME(
              "a", ",\"categories\":[\"payment\"]") "]}",
          "data NDExMSAxMTExIDExMTEgMTExMQ==, end", (uint32_t[]){1, 0}, true);
}

/* What may pass is counted, and passes; what is not counted is not looked for. */
static void allowed_values_are_counted(void **state)
{
    count("{\"default\":\"allow\",\"volumes\":[" VOLUME("a", ",\"categories\":[\"payment\"]") "]}",
          TWO_CARDS, (uint32_t[]){2, 0}, false);
    count("{\"default\":\"mask\",\"off\":[\"email\",\"payment_card\"],\"volumes\":[" VOLUME(
              "a", ",\"detectors\":[\"payment_card\"]") "]}",
          TWO_CARDS, (uint32_t[]){2, 0}, false);
    count("{\"default\":\"mask\",\"rules\":[],\"volumes\":[" VOLUME(
              "a", ",\"detectors\":[\"url\"]") "]}",
          "see https://example.com/a/b?c=d", (uint32_t[]){1, 0}, false);
}

static void a_role_that_may_see_values_is_counted(void **state)
{
    static const char json[] =
        "{\"default\":\"mask\",\"rules\":[{\"who\":[\"Role::\\\"support\\\"\"],\"categories\":["
        "\"payment\"],\"action\":\"allow\"}],\"volumes\":[" CARDS("5", "block") "]}";
    dv_data_policy *policy = policy_of(json);
    const dv_data_policy *own = NULL;
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {0};
    dv_verdict_allow(&verdict, "");
    assert_int_equal(dv_data_policy_for(policy, &ann, DV_LIT("chat"), f.arena, &own), DV_OK);
    assert_ptr_not_equal(own, policy);
    assert_int_equal(dv_data_gate_text(gate, own, context_of("u", f.arena), false,
                                       DV_LIT(TWO_CARDS), f.arena, &outcome, &verdict),
                     DV_OK);
    assert_text(outcome.body, "4111111111111111 [EMAIL] 5555555555554444");
    assert_int_equal(outcome.values[0], 2);
    assert_int_equal(outcome.sighting_count, 3);
    dv_data_policy_free(policy);
}

/* ---- blocking ---- */

static void a_volume_is_exact(void **state)
{
    dv_data_policy *policy = policy_with(CARDS("500", "block"));
    dv_volume_tally tally;
    char detail[DV_VERDICT_DETAIL_MAX];
    assert_true(passes(policy, &ann, 499, start));
    assert_false(send(policy, &ann, 2, start, &tally));
    assert_int_equal(tally.refused_by, 1);
    assert_int_equal(tally.over, 1);
    assert_int_equal(tally.retry_after, hour / 500);
    assert_true(passes(policy, &ann, 1, start)); /* what was refused was not counted */
    assert_false(passes(policy, &ann, 1, start));
    assert_true(passes(policy, &bob, 500, start));
    assert_true(passes(policy, &service_ann, 500, start));
    assert_true(passes(policy, NULL, 500, start)); /* by its address */
    assert_false(passes(policy, NULL, 1, start));
    assert_false(passes(policy, &ann, 251, start + hour / 2));
    assert_true(passes(policy, &ann, 250, start + hour / 2));

    assert_false(send(policy, &ann, 100, start + hour / 2, &tally));
    dv_data_volumes_refusal(policy, &tally, detail);
    assert_string_equal(detail, "rule cards: 500 in 1h; send fewer, or try again in 12m");
    assert_false(send(policy, &bob, 501, start + 9 * hour, &tally));
    assert_int_equal(tally.retry_after, DV_TIME_NEVER);
    dv_data_volumes_refusal(policy, &tally, detail);
    assert_string_equal(detail, "rule cards: 500 in 1h; send fewer at once");
    dv_data_policy_free(policy);
}

/* Any way of cutting what is sent into requests admits the same. */
static void random_requests_never_admit_more(void **state)
{
    dv_data_policy *policy = policy_with(CARDS("100", "block"));
    uint64_t seed = 7, admitted = 0;
    dv_time now = start;
    for (int i = 0; i < 20000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t values = 1 + (uint32_t)(seed >> 33) % 30;
        admitted += passes(policy, &ann, values, now) ? values : 0;
        now += (dv_time)((seed >> 40) % 20) * DV_SECOND;
        uint64_t most = 100 + (uint64_t)((now - start) * 100 / hour);
        assert_true(admitted <= most);
    }
    assert_true(admitted + 200 > 100 + (uint64_t)((now - start) * 100 / hour));
    dv_data_policy_free(policy);
}

static void rules_that_block_are_charged_together(void **state)
{
    dv_data_policy *policy =
        policy_with(CARDS("10", "block") ",{\"name\":\"all\",\"values\":5,\"per_ns\":3600000000000,"
                                         "\"action\":\"block\"},{\"name\":\"seen\",\"values\":1,"
                                         "\"per_ns\":3600000000000,\"action\":\"monitor\"}");
    const dv_volume_caller caller = caller_of(&ann);
    dv_volume_tally tally = {.due = 0};
    const uint32_t both[DV_DATA_VOLUMES_MAX] = {6, 6, 6};
    assert_false(dv_data_volumes_charge(f.counters, policy, both, &caller, start, &tally));
    assert_int_equal(tally.refused_by, 2);
    assert_int_equal(tally.over, 2); /* the one that monitors was not asked: nothing leaves */
    tally = (dv_volume_tally){.due = 0};
    const uint32_t cards[DV_DATA_VOLUMES_MAX] = {10};
    assert_true(dv_data_volumes_charge(f.counters, policy, cards, &caller, start, &tally));
    dv_data_policy_free(policy);
}

/* A stream is charged as it comes, for what came since. */
static void a_body_in_pieces_is_charged_once(void **state)
{
    dv_data_policy *policy = policy_with(CARDS("10", "block"));
    const dv_volume_caller caller = caller_of(&ann);
    dv_volume_tally tally = {.due = 0};
    for (uint32_t so_far = 0; so_far <= 10; so_far++) {
        const uint32_t values[DV_DATA_VOLUMES_MAX] = {so_far};
        assert_true(dv_data_volumes_charge(f.counters, policy, values, &caller, start, &tally));
        assert_true(dv_data_volumes_charge(f.counters, policy, values, &caller, start, &tally));
    }
    const uint32_t more[DV_DATA_VOLUMES_MAX] = {11};
    assert_false(dv_data_volumes_charge(f.counters, policy, more, &caller, start, &tally));
    dv_data_policy_free(policy);
}

static void counters_outlive_the_process(void **state)
{
    dv_data_policy *policy = policy_with(CARDS("10", "block"));
    assert_true(passes(policy, &ann, 10, start));
    dv_counters_close(f.counters);
    open_counters(SLOTS);
    assert_false(passes(policy, &ann, 1, start));
    dv_data_policy_free(policy);
}

/* ---- alarms ---- */

static size_t alarms(const dv_data_policy *policy, const dv_principal *who, dv_volume_tally *tally,
                     char title[DV_VOLUME_TITLE_MAX])
{
    const dv_volume_caller caller = caller_of(who);
    size_t told = 0;
    while (dv_data_volumes_due(policy, &caller, tally, title)) {
        told++;
    }
    return told;
}

static void an_alarm_comes_once_for_each_caller_and_time(void **state)
{
    dv_data_policy *policy = policy_with(CARDS("10", "alert"));
    char title[DV_VOLUME_TITLE_MAX] = "";
    dv_volume_tally tally;
    assert_true(send(policy, &ann, 10, start, &tally));
    assert_int_equal(alarms(policy, &ann, &tally, title), 0);
    for (int i = 0; i < 50; i++) {
        assert_true(send(policy, &ann, 3, start + i * DV_SECOND, &tally));
        assert_int_equal(alarms(policy, &ann, &tally, title), i == 0);
    }
    assert_string_equal(title, "User::\"ann\" passed cards: more than 10 values in 1h");
    assert_true(send(policy, &bob, 30, start, &tally));
    assert_int_equal(alarms(policy, &bob, &tally, title), 1);
    assert_true(send(policy, &ann, 30, start + hour, &tally));
    assert_int_equal(alarms(policy, &ann, &tally, title), 1);
    dv_data_policy_free(policy);

    policy = policy_with(CARDS("10", "monitor"));
    assert_true(send(policy, &ann, 11, start, &tally));
    assert_int_equal(tally.over, 1);
    assert_int_equal(tally.due, 0);
    dv_data_policy_free(policy);
}

/* What is too much for a rule that lets pass fills it up: it is not as if it had not been. */
static void what_passes_fills_the_rule(void **state)
{
    dv_data_policy *policy = policy_with(CARDS("10", "monitor"));
    dv_volume_tally tally;
    assert_true(send(policy, &ann, 600, start, &tally));
    assert_int_equal(tally.over, 1);
    assert_true(send(policy, &ann, 1, start, &tally));
    assert_int_equal(tally.over, 1);
    assert_true(send(policy, &ann, 10, start + hour, &tally));
    assert_int_equal(tally.over, 0);
    dv_data_policy_free(policy);
}

static void records_tell_what_was_passed(void **state)
{
    dv_data_policy *policy = policy_with(CARDS("10", "monitor"));
    const uint32_t values[DV_DATA_VOLUMES_MAX] = {12};
    dv_event_volume over[DV_EVENT_VOLUMES_MAX];
    dv_volume_tally tally;
    assert_true(send(policy, &ann, 12, start, &tally));
    assert_int_equal(dv_data_volumes_over(policy, values, &tally, over), 1);
    assert_text(over[0].rule, "cards");
    assert_string_equal(over[0].action, "monitor");
    assert_int_equal(over[0].values, 12);
    assert_int_equal(over[0].limit, 10);
    assert_int_equal(over[0].per, hour);
    assert_false(over[0].uncounted);
    dv_data_policy_free(policy);
}

/* ---- whom and where ---- */

static void a_rule_is_about_some(void **state)
{
    dv_data_policy *policy = policy_with(
        "{\"name\":\"x\",\"who\":[\"Role::\\\"support\\\"\"],\"routes\":[\"chat\"],\"values\":1,"
        "\"per_ns\":3600000000000,\"action\":\"block\"}");
    const uint32_t values[DV_DATA_VOLUMES_MAX] = {2};
    dv_volume_caller elsewhere = caller_of(&ann);
    dv_volume_tally tally = {.due = 0};
    assert_false(passes(policy, &ann, 2, start));
    assert_true(passes(policy, &bob, 2, start));
    assert_true(passes(policy, NULL, 2, start)); /* nobody has a role */
    elsewhere.route = DV_LIT("train");
    assert_true(dv_data_volumes_charge(f.counters, policy, values, &elsewhere, start, &tally));
    dv_data_policy_free(policy);
}

/* Where a rule refuses, what could hide values from it is refused, though nothing is masked. */
static void what_hides_values_from_a_rule_is_refused(void **state)
{
    static const char answer[] = "{\"choices\":[{\"logprobs\":{\"content\":[\"4111\"]}}]}";
    static const char *const actions[] = {"monitor", "alert", "block"};
    for (size_t i = 0; i < DV_ARRAY_LEN(actions); i++) {
        dv_verdict verdict = {0};
        const char *json = dv_arena_printf(f.arena,
                                           "{\"default\":\"allow\",\"volumes\":[{\"name\":\"a\","
                                           "\"values\":5,\"per_ns\":1000000000,"
                                           "\"action\":\"%s\"}]}",
                                           actions[i]);
        (void)inspect(true, json, context_of("u", f.arena), dv_slice_str(answer), f.arena,
                      &verdict);
        assert_int_equal(verdict.decision, i == 2 ? DV_DENY : DV_ALLOW);
    }
}

/* ---- failing ---- */

/* With the table full, a rule acts as if it were passed. */
static void a_full_table_acts_as_the_rule_says(void **state)
{
    static const char volumes[] = CARDS("10", "block");
    dv_data_policy *blocks = policy_with(volumes);
    dv_data_policy *alerts = policy_with(CARDS("10", "alert"));
    char detail[DV_VERDICT_DETAIL_MAX], title[DV_VOLUME_TITLE_MAX], name[32];
    dv_volume_tally tally = {.due = 0};
    dv_counters_close(f.counters);
    (void)unlink(f.path);
    open_counters(1);
    bool full = false;
    for (int i = 0; i < 100000 && !full; i++) {
        dv_principal other = bob;
        (void)snprintf(name, sizeof(name), "u%d", i);
        other.name = dv_slice_str(name);
        full = !send(blocks, &other, 1, start, &tally);
    }
    assert_true(full);
    assert_int_equal(tally.uncounted, 1);
    dv_data_volumes_refusal(blocks, &tally, detail);
    assert_string_equal(detail, "rule cards can not be counted now: try later");
    dv_principal same = bob;
    same.name = dv_slice_str(name);
    assert_int_equal(alarms(blocks, &same, &tally, title), 1);
    assert_true(send(alerts, &same, 1, start, &tally));
    assert_int_equal(tally.uncounted, 1);
    assert_int_equal(tally.over, 1);
    assert_string_equal(title, "values of User::\"bob\" can not be counted for cards");
    dv_data_policy_free(blocks);
    dv_data_policy_free(alerts);
}

/* A caller that has no name of a counter's is refused, not forgotten. */
static void what_has_no_counter_is_passed(void **state)
{
    static char long_name[400];
    memset(long_name, 'a', sizeof(long_name));
    dv_data_policy *policy = policy_with(CARDS("10", "block"));
    dv_principal other = bob;
    other.name = dv_slice_of(long_name, sizeof(long_name));
    assert_false(passes(policy, &other, 1, start));
    assert_true(passes(policy, &other, 0, start));
    other.name = (dv_slice){NULL, 0};
    assert_false(passes(policy, &other, 1, start));
    const uint32_t values[DV_DATA_VOLUMES_MAX] = {1};
    const dv_volume_caller nowhere = {.address = DV_LIT("unix:")};
    dv_volume_tally tally = {.due = 0};
    assert_false(dv_data_volumes_charge(f.counters, policy, values, &nowhere, start, &tally));
    assert_int_equal(tally.uncounted, 1);
    dv_data_policy_free(policy);
}

/* ---- reading ---- */

static void bad_volumes_are_refused(void **state)
{
    static const char *const bad[] = {
        "3",
        "{}",
        "{\"name\":\"\",\"values\":1,\"per_ns\":1,\"action\":\"block\"}",
        "{\"name\":\"x\",\"values\":0,\"per_ns\":1,\"action\":\"block\"}",
        "{\"name\":\"x\",\"values\":4294967296,\"per_ns\":1,\"action\":\"block\"}",
        "{\"name\":\"x\",\"values\":1,\"per_ns\":0,\"action\":\"block\"}",
        "{\"name\":\"x\",\"values\":1,\"per_ns\":1,\"action\":\"mask\"}",
        "{\"name\":\"x\",\"values\":1,\"per_ns\":1}",
        "{\"name\":\"x\",\"values\":1,\"per_ns\":4000000000000000000,\"action\":\"block\"}",
        "{\"name\":\"x\",\"detectors\":[\"none\"],\"values\":1,\"per_ns\":1,\"action\":\"block\"}",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_data_policy *policy = NULL;
        dv_error error = {0};
        const char *json =
            dv_arena_printf(f.arena, "{\"default\":\"mask\",\"volumes\":[%s]}", bad[i]);
        assert_int_equal(dv_data_policy_parse(gate, dv_slice_str(json), &policy, &error),
                         DV_ERR_INVALID);
    }
    dv_data_policy *policy = NULL;
    assert_int_equal(
        dv_data_policy_parse(gate, DV_LIT("{\"default\":\"mask\",\"volumes\":{}}"), &policy, NULL),
        DV_ERR_INVALID);
}

static void there_are_at_most_so_many(void **state)
{
    dv_auto(buf) dv_buf json = dv_buf_init(1 << 16);
    for (int more = 0; more < 2; more++) {
        dv_data_policy *policy = NULL;
        dv_buf_clear(&json);
        assert_int_equal(dv_buf_append_str(&json, "{\"default\":\"mask\",\"volumes\":["), DV_OK);
        for (int i = 0; i < DV_DATA_VOLUMES_MAX + more; i++) {
            assert_int_equal(
                dv_buf_append_printf(&json,
                                     "%s{\"name\":\"r%d\",\"values\":1,\"per_ns\":1000000000,"
                                     "\"action\":\"monitor\"}",
                                     i == 0 ? "" : ",", i),
                DV_OK);
        }
        assert_int_equal(dv_buf_append_str(&json, "]}"), DV_OK);
        assert_int_equal(dv_data_policy_parse(gate, dv_buf_slice(&json), &policy, NULL),
                         more == 0 ? DV_OK : DV_ERR_INVALID);
        if (more == 0) {
            dv_data_policy_free(policy);
        }
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(values_are_counted_by_what_found_them),
        CASE(allowed_values_are_counted),
        CASE(a_role_that_may_see_values_is_counted),
        CASE(a_volume_is_exact),
        CASE(random_requests_never_admit_more),
        CASE(rules_that_block_are_charged_together),
        CASE(a_body_in_pieces_is_charged_once),
        CASE(counters_outlive_the_process),
        CASE(an_alarm_comes_once_for_each_caller_and_time),
        CASE(what_passes_fills_the_rule),
        CASE(records_tell_what_was_passed),
        CASE(a_rule_is_about_some),
        CASE(what_hides_values_from_a_rule_is_refused),
        CASE(a_full_table_acts_as_the_rule_says),
        CASE(what_has_no_counter_is_passed),
        CASE(bad_volumes_are_refused),
        CASE(there_are_at_most_so_many),
    };
    return cmocka_run_group_tests_name("data-volume", tests, gate_set_up, gate_tear_down);
}
