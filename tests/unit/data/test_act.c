/* SPDX-License-Identifier: Apache-2.0 */
/* Hash, pseudonym, token, fpe, date_shift and generalise in the gate: what a value becomes is what
 * the engine makes of it, and what it became is no value. */
#include "data_test.h"

#include "engine/detect/action/action.h"
#include "engine/detect/detect.h"
#include "room/data/gate/action_json.h"
#include "room/data/gate/gate_private.h"
#include "room/data/gate/names.h"

enum { ARENA = 16 << 20 };

static const uint8_t test_key[32] = {4, 5, 6}; /* of gate_set_up */
static const uint8_t other_key[32] = {7, 8, 9};

static const dv_content_action engine_actions[] = {DV_ACTION_HASH,       DV_ACTION_PSEUDONYM,
                                                   DV_ACTION_FPE,        DV_ACTION_DATE_SHIFT,
                                                   DV_ACTION_GENERALISE, DV_ACTION_TOKEN};

/* What the engine makes of a value, for `dvara data` as well. */
static const char *engine(const uint8_t key[32], dv_action action, const char *label, dv_slice text,
                          dv_arena *arena)
{
    dv_auto(action_tools) dv_action_tools *tools = NULL;
    dv_auto(buf) dv_buf made = dv_buf_init(1 << 20);
    const dv_action_value value = {.text = text, .label = label};
    action.sealed = action.kind == DV_ACT_TOKEN; /* as `--sealed` has it */
    assert_int_equal(dv_action_tools_new(key, NULL, &tools), DV_OK);
    assert_int_equal(dv_action_apply(tools, &action, &value, &made), DV_OK);
    return dv_arena_printf(arena, "%.*s", (int)made.len, (const char *)made.ptr);
}

static const char *engine_str(dv_action_kind kind, const char *text, dv_arena *arena)
{
    return engine(test_key, (dv_action){.kind = (uint8_t)kind}, "KIND", dv_slice_str(text), arena);
}

static dv_data_outcome texts(const dv_data_policy *policy, dv_data_context *context, bool answer,
                             const char *text, dv_arena *arena)
{
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {0};
    dv_verdict_allow(&verdict, "test");
    assert_int_equal(dv_data_gate_text(gate, policy, context, answer, dv_slice_str(text), arena,
                                       &outcome, &verdict),
                     DV_OK);
    assert_int_equal(verdict.decision, DV_ALLOW);
    return outcome;
}

static void expect_text(const char *policy_json, const char *text, const char *wanted)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_policy *policy = policy_of(policy_json);
    const dv_data_policy *own = NULL;
    assert_int_equal(dv_data_policy_for(policy, NULL, DV_LIT("chat"), arena, &own), DV_OK);
    dv_data_outcome outcome = texts(own, context_of("u", arena), false, text, arena);
    assert_text(outcome.body, wanted);
    dv_data_policy_free(policy);
}

/* ---- names ---- */

static void one_name_is_one_action(void **state)
{
    for (unsigned i = 0; i < DV_CONTENT_ACTIONS; i++) {
        dv_content_action action = (dv_content_action)i, read = DV_ACTION_BLOCK;
        dv_action_kind kind = DV_ACT_KINDS;
        const char *name = dv_content_action_name(action);
        assert_true(dv_content_action_read(dv_slice_str(name), &read) && read == action);
        bool engines = dv_data_action_kind(action, &kind);
        if (engines) {
            assert_string_equal(name, dv_action_kind_name(kind));
            assert_true(dv_content_action_rewrites(action));
        }
        if (action != DV_ACTION_MONITOR) {
            assert_non_null(strstr(DV_POLICY_ACTIONS, name));
        }
        assert_int_equal(dv_content_action_read_policy(dv_slice_str(name), &read),
                         action != DV_ACTION_MONITOR);
    }
    dv_content_action none = DV_ACTION_ALLOW;
    assert_false(dv_content_action_read(DV_LIT("tokens"), &none));
    assert_false(dv_content_action_read(DV_LIT(""), &none));
    assert_int_equal(none, DV_ACTION_ALLOW);
}

/* ---- values ---- */

/* An example of a detector under one action: the value is gone, and where the whole of it was found
 * the engine's own result stands there. Counts what was compared with it. */
static size_t check_example(size_t detector, size_t example, dv_content_action action)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    const dv_detector_info *info = dv_detect_info(detector);
    const dv_detector_example *seed = &info->examples[example];
    dv_slice value = dv_slice_of(seed->text + seed->start, seed->end - seed->start);
    dv_action_kind kind = DV_ACT_REDACT;
    assert_true(dv_data_action_kind(action, &kind));
    dv_data_policy *policy = policy_of(
        dv_arena_printf(arena, "{\"default\":\"%s\",\"detectors\":{\"%s\":\"%s\"}}",
                        dv_content_action_name(action), info->id, dv_content_action_name(action)));
    dv_data_outcome outcome = texts(policy, context_of("u", arena), false, seed->text, arena);
    assert_true(outcome.sighting_count > 0 && outcome.sightings[0].action == action);
    assert_int_equal(dv_slice_find(outcome.body, value), -1);
    const char *made =
        engine(test_key, (dv_action){.kind = (uint8_t)kind}, info->label, value, arena);
    const char *wanted = dv_arena_printf(arena, "%.*s%s%s", (int)seed->start, seed->text, made,
                                         seed->text + seed->end);
    dv_data_policy_free(policy);
    return dv_slice_eq_str(outcome.body, wanted);
}

static void values_become_what_the_engine_makes_of_them(void **state)
{
    size_t same = 0, all = 0;
    for (size_t i = 0; i < dv_detect_count(); i++) {
        for (size_t e = 0; e < dv_detect_info(i)->example_count; e++) {
            for (size_t a = 0; a < DV_ARRAY_LEN(engine_actions); a++) {
                same += check_example(i, e, engine_actions[a]);
                all++;
            }
        }
    }
    assert_true(all > 2000);
    assert_true(same * 10 > all * 8); /* others are found with what is around them */
}

static void what_an_action_cannot_be_done_to_is_redacted(void **state)
{
    /* Letters, no date, nothing rough to say, five digits and then six: 10^6 are enough. */
    expect_text("{\"default\":\"fpe\"}", "to bob@example.com now", "to [EMAIL] now");
    expect_text("{\"default\":\"date_shift\"}", "to bob@example.com now", "to [EMAIL] now");
    expect_text("{\"default\":\"generalise\"}", "pay 4111111111111111 now", "pay [CARD] now");
    expect_text(
        "{\"default\":{\"action\":\"fpe\",\"keep_first\":6,\"keep_last\":5,\"keep_said\":1}}",
        "pay 4111111111111111 now", "pay [CARD] now");
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    const dv_action six = {
        .kind = DV_ACT_FPE, .keep_first = 6, .keep_last = 4, .keep_said = true, .luhn = true};
    const char *made = engine(test_key, six, "CARD", DV_LIT("4111111111111111"), arena);
    assert_memory_equal(made, "411111", 6);
    assert_string_equal(made + 12, "1111");
    assert_string_not_equal(made, "4111111111111111");
    expect_text("{\"default\":{\"action\":\"fpe\",\"keep_first\":6,\"keep_last\":4,\"keep_said\":1,"
                "\"luhn\":1}}",
                "4111111111111111", made);
}

/* What stands encoded is not what its pseudonym in a file was made of. */
static void encoded_values_are_redacted(void **state)
{
    for (size_t a = 0; a < DV_ARRAY_LEN(engine_actions); a++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        const char *policy = dv_arena_printf(arena, "{\"default\":\"%s\",\"decode\":true}",
                                             dv_content_action_name(engine_actions[a]));
        expect_text(policy, "q=bob%40example.com&x=1", "q=[EMAIL]&x=1");
        expect_text(policy, "data NDExMSAxMTExIDExMTEgMTExMQ==, end", "data [CARD], end");
    }
}

static void settings_reach_the_engine(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    const dv_action longer = {.kind = DV_ACT_HASH, .length = 40};
    const char *made = engine(test_key, longer, "", DV_LIT("bob@example.com"), arena);
    assert_int_equal(strlen(made), 40);
    expect_text("{\"default\":{\"action\":\"hash\",\"length\":40}}", "Bob@Example.com", made);
    expect_text("{\"default\":{\"action\":\"generalise\",\"to\":7}}", "bob@example.com",
                "@example.com");
    expect_text("{\"default\":{\"action\":\"generalise\",\"to\":6}}", "bob@example.com", "[EMAIL]");
    const dv_action american = {.kind = DV_ACT_DATE_SHIFT, .order = DV_DATE_MDY, .days = 9};
    dv_slice day = DV_LIT("02/03/1980");
    expect_text(
        "{\"default\":\"mask\",\"detectors\":{\"date_of_birth\":{\"action\":\"date_shift\","
        "\"order\":1,\"days\":9}}}",
        "date of birth: 02/03/1980",
        dv_arena_printf(arena, "date of birth: %s", engine(test_key, american, "", day, arena)));
    /* By a rule, as well. */
    expect_text(
        "{\"default\":\"mask\",\"rules\":[{\"detectors\":[\"email\"],\"action\":{\"action\":"
        "\"hash\",\"length\":40}}]}",
        "bob@example.com", made);
}

static void bad_settings_are_refused(void **state)
{
    static const char *const bad[] = {
        "{\"default\":{}}",
        "{\"default\":{\"action\":\"token\",\"sealed\":1}}",
        "{\"default\":\"remove\"}",
        "{\"default\":\"monitor\"}",
        "{\"default\":\"keep\"}",
        "{\"default\":{\"action\":\"mask\"}}",
        "{\"default\":{\"action\":\"block\",\"length\":8}}",
        "{\"default\":{\"action\":\"hash\",\"length\":65}}",
        "{\"default\":{\"action\":\"hash\",\"length\":-1}}",
        "{\"default\":{\"action\":\"hash\",\"length\":\"8\"}}",
        "{\"default\":{\"action\":\"hash\",\"length\":8.5}}",
        "{\"default\":{\"action\":\"hash\",\"reverse\":1}}",
        "{\"default\":{\"action\":\"fpe\",\"keep_first\":33}}",
        "{\"default\":{\"action\":\"fpe\",\"luhn\":2}}",
        "{\"default\":{\"action\":\"generalise\",\"to\":8}}",
        "{\"default\":{\"action\":\"date_shift\",\"days\":36501}}",
        "{\"default\":{\"action\":\"date_shift\",\"order\":2}}",
        "{\"default\":{\"action\":\"generalise\",\"width\":1000000001}}",
        "{\"default\":{\"action\":[\"hash\"]}}",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_data_policy *policy = NULL;
        if (dv_data_policy_parse(gate, dv_slice_str(bad[i]), &policy, NULL) != DV_ERR_INVALID) {
            fail_msg("%s", bad[i]);
        }
    }
}

/* As many settings as there can be: of the default, of each detector and of each rule. */
static void all_actions_may_have_settings_of_their_own(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf json = dv_buf_init(64 << 10);
    const dv_data_policy *own = NULL;
    unsigned days = 1;
    assert_int_equal(
        dv_buf_append_str(&json, "{\"default\":{\"action\":\"hash\",\"length\":9},\"detectors\":{"),
        DV_OK);
    for (size_t i = 0; i < dv_masking_kind_count(); i++, days++) {
        assert_int_equal(dv_buf_append_printf(&json,
                                              "%s\"%s\":{\"action\":\"date_shift\",\"days\":%u}",
                                              i == 0 ? "" : ",", dv_masking_kind(i)->id, days),
                         DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&json, "},\"rules\":["), DV_OK);
    for (unsigned i = 0; i < DV_DATA_RULES_MAX; i++, days++) {
        assert_int_equal(dv_buf_append_printf(&json,
                                              "%s{\"detectors\":[\"phone\"],\"action\":{\"action\":"
                                              "\"generalise\",\"to\":4,\"width\":%u}}",
                                              i == 0 ? "" : ",", days),
                         DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&json, "]}"), DV_OK);
    dv_data_policy *policy = policy_of(dv_buf_cstr(&json));
    assert_true(policy->setting_count > 256);
    for (size_t i = 0; i < dv_masking_kind_count(); i++) {
        assert_int_equal(policy->settings[policy->setting[i]].days, i + 1);
    }
    assert_int_equal(dv_data_policy_for(policy, NULL, DV_LIT("chat"), arena, &own), DV_OK);
    int phone = dv_masking_kind_index("phone");
    assert_true(phone >= 0);
    assert_int_equal(own->settings[own->setting[phone]].width, dv_masking_kind_count() + 1);
    dv_data_policy_free(policy);
}

/* ---- bodies ---- */

static void results_fit_the_json_around_them(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_context *context = context_of("u", arena);
    dv_verdict verdict;
    const char *mail = engine_str(DV_ACT_PSEUDONYM, "bob@example.com", arena);
    const char *card = engine_str(DV_ACT_PSEUDONYM, "4111111111111111", arena);
    dv_data_outcome outcome =
        inspect(false, "{\"default\":\"pseudonym\"}", context,
                DV_LIT("{\"bob@example.com\":4111111111111111,\"a\":\"{\\\"b\\\":\\\"bob@example."
                       "com\\\"}\",\"n\":[\"Bob\\u0040Example.com\"]}"),
                arena, &verdict);
    assert_text(outcome.body,
                dv_arena_printf(arena,
                                "{\"%s\":\"%s\",\"a\":\"{\\\"b\\\":\\\"%s\\\"}\",\"n\":[\"%s\"]}",
                                mail, card, mail, mail));
    assert_int_equal(outcome.sighting_count, 4);
    assert_int_equal(outcome.sightings[0].action, DV_ACTION_PSEUDONYM);
    /* What stays of a name may have to be escaped: its separators do. */
    outcome =
        inspect(false,
                "{\"default\":\"mask\",\"names\":true,\"detectors\":{\"person\":"
                "\"pseudonym\"}}",
                context, DV_LIT("[\"My name is John\\tSmith and I am here.\"]"), arena, &verdict);
    assert_int_equal(dv_slice_find(outcome.body, DV_LIT("Smith")), -1);
}

/* ---- what was made is no value ---- */

static void what_was_made_is_left_as_it_is(void **state)
{
    for (size_t a = 0; a < 4; a++) { /* those under a key */
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_data_context *context = context_of("u", arena);
        dv_data_policy *policy = policy_of(dv_arena_printf(
            arena, "{\"default\":\"%s\"}", dv_content_action_name(engine_actions[a])));
        dv_data_policy *blocks = policy_of("{\"default\":\"block\"}");
        dv_data_outcome asked =
            texts(policy, context, false, "4111111111111111 bob@example.com", arena);
        const char *made = dv_arena_printf(arena, "%.*s", DV_SLICE_ARGS(asked.body));
        /* In the same request once more, in its answer, and in the answer's stream. */
        dv_data_outcome again = texts(policy, context, false, made, arena);
        assert_true(!again.changed && again.sighting_count == 0);
        again = texts(blocks, context, true, made, arena);
        assert_true(!again.changed && again.sighting_count == 0);
        again = texts(policy, context, true, "4111111111111111 bob@example.com", arena);
        assert_text(again.body, made);
        /* Another request knows nothing of it. */
        again = texts(policy, context_of("u", arena), true, made, arena);
        assert_int_equal(again.sighting_count > 0, engine_actions[a] == DV_ACTION_PSEUDONYM);
        dv_data_policy_free(policy);
        dv_data_policy_free(blocks);
    }
}

static dv_data_policy *of_births(const char *action, dv_arena *arena)
{
    return policy_of(dv_arena_printf(
        arena, "{\"default\":\"mask\",\"detectors\":{\"date_of_birth\":\"%s\"}}", action));
}

/* What one person's birth date became may be another one's: it is a value all the same. In the
 * answer it is left only where the caller could find out as much by asking. */
static void what_may_well_be_a_value_is_one(void **state)
{
    static const char *const days[] = {"02.03.1980", "1999-12-31", "05/06/1985", "May 5, 1980"};
    const dv_content_action two[] = {DV_ACTION_DATE_SHIFT, DV_ACTION_PSEUDONYM};
    for (size_t i = 0; i < 2 * DV_ARRAY_LEN(days); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_data_context *context = context_of("u", arena);
        dv_data_policy *policy = of_births(dv_content_action_name(two[i % 2]), arena);
        dv_data_policy *redacts = of_births("redact", arena);
        dv_action_kind kind = DV_ACT_REDACT;
        assert_true(dv_data_action_kind(two[i % 2], &kind));
        const char *one = engine_str(kind, days[i / 2], arena);
        const char *other = engine_str(kind, one, arena);
        const char *born = dv_arena_printf(arena, "born %s", one);
        dv_data_outcome asked =
            texts(policy, context, false,
                  dv_arena_printf(arena, "Ann, born %s; Bob, born %s", days[i / 2], one), arena);
        assert_text(asked.body, dv_arena_printf(arena, "Ann, born %s; Bob, born %s", one, other));
        assert_int_equal(asked.sighting_count, 2);
        asked = texts(policy, context, true, born, arena);
        assert_true(!asked.changed && asked.sighting_count == 0);
        asked = texts(redacts, context, true, born, arena);
        assert_text(asked.body, "born [DOB]");
        assert_int_equal(asked.sighting_count, 1);
        dv_data_policy_free(policy);
        dv_data_policy_free(redacts);
    }
}

/* Numbers of few digits, as well; addresses are many, however short. */
static void short_numbers_may_well_be_values(void **state)
{
    static const struct {
        const char *text;
        bool common;
    } cases[] = {
        {"1234567", true},          {"12345678", false},   {"AB-1234", true},
        {"ABCDEF", false},          {"1.2.3.4", false},    {"::1", false},
        {"19800501", true},         {"1980-05-01", true},  {"u1@d2.example", false},
        {"31.12.1999 10:20", true}, {"13/31/1999", false}, {"12/31/1999", true},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_data_made_texts made = {.slots = NULL};
        dv_slice text = dv_slice_str(cases[i].text);
        assert_false(dv_data_made_has(&made, DV_ACTION_HASH, true, text));
        assert_int_equal(dv_data_made_add(&made, DV_ACTION_PSEUDONYM, text, 0, arena), DV_OK);
        assert_int_equal(dv_data_made_add(&made, DV_ACTION_HASH, text, 0, arena), DV_OK);
        assert_int_equal(made.count, 1);
        if (dv_data_made_has(&made, DV_ACTION_PSEUDONYM, false, text) == cases[i].common) {
            fail_msg("%s", cases[i].text);
        }
        assert_true(dv_data_made_has(&made, DV_ACTION_PSEUDONYM, true, text));
        assert_int_equal(dv_data_made_has(&made, DV_ACTION_REDACT, true, text), !cases[i].common);
    }
}

/* Some thousand numbers with a card's own first and last digits become others with them. */
static void what_can_be_guessed_is_left_under_the_same_action_alone(void **state)
{
    static const char six[] = "{\"default\":{\"action\":\"fpe\",\"keep_first\":6,\"keep_last\":4,"
                              "\"keep_said\":1,\"luhn\":1}}";
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_context *context = context_of("u", arena);
    dv_data_policy *policy = policy_of(six);
    dv_data_policy *masks = policy_of("{\"default\":\"mask\"}");
    dv_data_outcome asked = texts(policy, context, false, "pay 4111111111111111 now", arena);
    const char *made = dv_arena_printf(arena, "%.*s", DV_SLICE_ARGS(asked.body));
    asked = texts(policy, context, false, made, arena); /* nobody guesses for the model server */
    assert_true(!asked.changed);
    asked = texts(policy, context, true, made, arena);
    assert_true(!asked.changed && asked.sighting_count == 0);
    asked = texts(masks, context, true, made, arena);
    assert_text(asked.body, "pay [CARD ****1111] now");
    assert_int_equal(asked.sighting_count, 1);
    dv_data_policy_free(policy);
    dv_data_policy_free(masks);
}

static void a_network_is_not_made_rougher(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_context *context = context_of("u", arena);
    dv_data_policy *policy =
        policy_of("{\"default\":\"mask\",\"detectors\":{\"ip_address\":\"generalise\"}}");
    dv_data_outcome asked = texts(policy, context, false, "from 81.2.69.160 on", arena);
    assert_text(asked.body, "from 81.2.69.0/24 on");
    asked = texts(policy, context, true, "in 81.2.69.0/24, and 81.2.70.9", arena);
    assert_text(asked.body, "in 81.2.69.0/24, and 81.2.70.0/24");
    dv_data_policy_free(policy);
}

/* Turns of a conversation: the assistant said what the value had become. */
static void a_conversation_keeps_its_pseudonyms(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    const char *card = engine_str(DV_ACT_FPE, "4111111111111111", arena);
    dv_verdict verdict;
    const char *turn = dv_arena_printf(
        arena,
        "[{\"role\":\"user\",\"content\":\"charge 4111111111111111\"},{\"role\":\"assistant\","
        "\"content\":\"charged %s\"},{\"role\":\"user\",\"content\":\"undo 4111111111111111\"}]",
        card);
    dv_data_outcome outcome = inspect(false, "{\"default\":\"fpe\"}", context_of("u", arena),
                                      dv_slice_str(turn), arena, &verdict);
    assert_text(outcome.body,
                dv_arena_printf(arena,
                                "[{\"role\":\"user\",\"content\":\"charge %s\"},{\"role\":"
                                "\"assistant\",\"content\":\"charged %s\"},{\"role\":\"user\","
                                "\"content\":\"undo %s\"}]",
                                card, card, card));
}

/* As many values as a body may have, all different. */
static void many_values_are_kept_apart(void **state)
{
    enum { VALUES = 3000 };
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    dv_data_context *context = context_of("u", arena);
    dv_data_policy *policy = policy_of("{\"default\":\"pseudonym\"}");
    for (unsigned i = 0; i < VALUES; i++) {
        assert_int_equal(dv_buf_append_printf(&text, "user%u@example.com ", i), DV_OK);
    }
    dv_data_outcome asked = texts(policy, context, false, dv_buf_cstr(&text), arena);
    assert_int_equal(asked.sighting_count, VALUES);
    const char *made = dv_arena_printf(arena, "%.*s", DV_SLICE_ARGS(asked.body));
    dv_data_outcome told = texts(policy, context, true, made, arena);
    assert_true(!told.changed && told.sighting_count == 0);
    dv_data_policy_free(policy);
}

/* ---- keys ---- */

static const char *under(const dv_data_policy *policy, dv_arena *arena)
{
    dv_data_outcome outcome =
        texts(policy, context_of("u", arena), false, "bob@example.com", arena);
    return dv_arena_printf(arena, "%.*s", DV_SLICE_ARGS(outcome.body));
}

static void each_policy_has_the_key_that_it_was_read_with(void **state)
{
    static const uint8_t third_key[32] = {3};
    const uint8_t *keys[] = {test_key, other_key, third_key};
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_policy *policies[DV_ARRAY_LEN(keys)];
    for (size_t i = 0; i < DV_ARRAY_LEN(keys); i++) {
        assert_int_equal(dv_data_gate_has_key(gate, keys[i]), i == 0);
        assert_int_equal(dv_data_gate_set_key(gate, keys[i]), DV_OK);
        assert_true(dv_data_gate_has_key(gate, keys[i]));
        policies[i] = policy_of("{\"default\":\"pseudonym\"}");
    }
    for (size_t round = 0; round < 3; round++) { /* more keys than are kept prepared */
        for (size_t i = 0; i < DV_ARRAY_LEN(keys); i++) {
            const dv_action action = {.kind = DV_ACT_PSEUDONYM};
            assert_string_equal(under(policies[i], arena),
                                engine(keys[i], action, "", DV_LIT("bob@example.com"), arena));
        }
    }
    assert_string_not_equal(under(policies[0], arena), under(policies[1], arena));
    for (size_t i = 0; i < DV_ARRAY_LEN(keys); i++) {
        dv_data_policy_free(policies[i]);
    }
    assert_int_equal(dv_data_gate_set_key(gate, test_key), DV_OK);
}

static void without_a_key_no_policy_wants_one(void **state)
{
    static const uint8_t placeholder_key[32] = {1};
    dv_data_gate *bare = NULL;
    dv_data_policy *policy = NULL;
    dv_error error = {0};
    assert_int_equal(dv_data_gate_new(placeholder_key, NULL, &bare, &error), DV_OK);
    for (size_t a = 0; a < DV_ARRAY_LEN(engine_actions); a++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_slice json =
            dv_slice_str(dv_arena_printf(arena,
                                         "{\"default\":\"mask\",\"rules\":[{\"detectors\":[\"email"
                                         "\"],\"action\":\"%s\"}]}",
                                         dv_content_action_name(engine_actions[a])));
        bool keyless = engine_actions[a] == DV_ACTION_GENERALISE;
        assert_int_equal(dv_data_policy_parse(bare, json, &policy, &error),
                         keyless ? DV_OK : DV_ERR_INVALID);
        if (!keyless) {
            assert_non_null(strstr(error.message, "no key"));
            /* Who only explains it needs none. */
            assert_int_equal(dv_data_policy_parse(NULL, json, &policy, &error), DV_OK);
        }
        dv_data_policy_free(policy);
    }
    assert_int_equal(
        dv_data_policy_parse(bare, DV_LIT("{\"default\":\"generalise\"}"), &policy, &error), DV_OK);
    dv_data_gate *kept = gate;
    gate = bare;
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    assert_string_equal(under(policy, arena), "@example.com");
    gate = kept;
    dv_data_policy_free(policy);
    dv_data_gate_free(bare);
}

static void a_gate_of_another_thread_makes_the_same(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_gate *shared = NULL, *kept = gate;
    dv_data_policy *policy = policy_of("{\"default\":\"hash\"}");
    assert_int_equal(dv_data_gate_share(gate, &shared), DV_OK);
    const char *one = under(policy, arena);
    gate = shared;
    assert_string_equal(under(policy, arena), one);
    gate = kept;
    assert_string_equal(one, engine_str(DV_ACT_HASH, "bob@example.com", arena));
    dv_data_gate_free(shared);
    dv_data_policy_free(policy);
}

/* ---- tokens ---- */

static const char *token_under(const uint8_t key_of_it[32], const char *value, dv_arena *arena)
{
    return engine(key_of_it, (dv_action){.kind = DV_ACT_TOKEN}, "", dv_slice_str(value), arena);
}

/* Said again, without its value, where it looks like a key: under any action. Under another key, or
 * with more around it, it is what it looks like. */
static void a_token_is_no_value(void **state)
{
    static const char *const policies[] = {
        "{\"default\":\"token\",\"detectors\":{\"generic_secret\":\"token\"}}",
        "{\"default\":\"redact\",\"detectors\":{\"generic_secret\":\"redact\"}}",
        "{\"default\":\"block\",\"detectors\":{\"generic_secret\":\"block\"}}",
        "{\"default\":\"token\",\"decode\":true,\"detectors\":{\"generic_secret\":\"token\"}}",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(policies); i++) {
        for (int answer = 0; answer < 2; answer++) {
            dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
            dv_data_policy *policy = policy_of(policies[i]);
            const char *text = dv_arena_printf(
                arena, "api_key = \"%s\"", token_under(test_key, "AKIAIOSFODNN7EXAMPLE", arena));
            dv_data_outcome outcome =
                texts(policy, context_of("u", arena), answer == 1, text, arena);
            assert_text(outcome.body, text);
            assert_int_equal(outcome.sighting_count, 0);
            dv_data_policy_free(policy);
        }
    }
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_policy *policy =
        policy_of("{\"default\":\"redact\",\"detectors\":{\"generic_secret\":\"redact\"}}");
    const char *token = token_under(other_key, "AKIAIOSFODNN7EXAMPLE", arena);
    dv_data_outcome outcome = texts(policy, context_of("u", arena), false,
                                    dv_arena_printf(arena, "api_key = \"%s\"", token), arena);
    assert_int_equal(dv_slice_find(outcome.body, dv_slice_str(token)), -1);
    assert_int_equal(outcome.sighting_count, 1);
    dv_data_policy_free(policy);
}

static void a_value_beside_a_token_is_found(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    const char *token = token_under(test_key, "bob@example.com", arena);
    expect_text("{\"default\":\"redact\"}",
                dv_arena_printf(arena, "%s bob@example.com %s", token, token),
                dv_arena_printf(arena, "%s [EMAIL] %s", token, token));
    /* A value that a token stands within is a value. */
    expect_text("{\"default\":\"redact\"}",
                dv_arena_printf(arena, "mail bob.%.20s@example.com", token), "mail [EMAIL]");
}

static void long_values_have_no_token(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    char *name = dv_arena_alloc(arena, 600);
    memset(name, 'a', 500);
    for (size_t i = 50; i < 500; i += 50) {
        name[i] = '.';
    }
    dv_data_policy *policy = policy_of("{\"default\":\"token\"}");
    dv_data_outcome outcome = texts(
        policy, context_of("u", arena), false,
        dv_arena_printf(arena, "see https://bob:hunter22secret@%s.example.com/ now", name), arena);
    assert_int_equal(dv_slice_find(outcome.body, DV_LIT("hunter22secret")), -1);
    dv_data_policy_free(policy);
}

/* ---- which one ---- */

static dv_content_action decided(const char *policy_json)
{
    dv_data_reason reasons[DV_DATA_RULES_MAX];
    dv_content_action action = DV_ACTION_BLOCK;
    bool searched = false;
    dv_data_policy *policy = policy_of(policy_json);
    (void)dv_data_policy_explain(policy, NULL, DV_LIT("chat"),
                                 (size_t)dv_masking_kind_index("email"), reasons, &action,
                                 &searched);
    dv_data_policy_free(policy);
    return action;
}

static void the_strictest_of_all_actions_counts(void **state)
{
    static const dv_content_action order[] = {
        DV_ACTION_ALLOW,      DV_ACTION_ALERT, DV_ACTION_PLACEHOLDER, DV_ACTION_GENERALISE,
        DV_ACTION_DATE_SHIFT, DV_ACTION_FPE,   DV_ACTION_TOKEN,       DV_ACTION_PSEUDONYM,
        DV_ACTION_HASH,       DV_ACTION_MASK,  DV_ACTION_REDACT,      DV_ACTION_BLOCK};
    assert_int_equal(DV_ARRAY_LEN(order), DV_CONTENT_ACTIONS - 1); /* monitor */
    for (size_t i = 0; i < DV_ARRAY_LEN(order); i++) {
        for (size_t k = 0; k < DV_ARRAY_LEN(order); k++) {
            dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
            assert_int_equal(
                decided(dv_arena_printf(
                    arena,
                    "{\"default\":\"mask\",\"rules\":[{\"action\":\"%s\"},{\"action\":"
                    "\"%s\"}]}",
                    dv_content_action_name(order[i]), dv_content_action_name(order[k]))),
                order[DV_MAX(i, k)]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_name_is_one_action),
        cmocka_unit_test(values_become_what_the_engine_makes_of_them),
        cmocka_unit_test(what_an_action_cannot_be_done_to_is_redacted),
        cmocka_unit_test(encoded_values_are_redacted),
        cmocka_unit_test(settings_reach_the_engine),
        cmocka_unit_test(bad_settings_are_refused),
        cmocka_unit_test(all_actions_may_have_settings_of_their_own),
        cmocka_unit_test(results_fit_the_json_around_them),
        cmocka_unit_test(what_was_made_is_left_as_it_is),
        cmocka_unit_test(what_may_well_be_a_value_is_one),
        cmocka_unit_test(short_numbers_may_well_be_values),
        cmocka_unit_test(what_can_be_guessed_is_left_under_the_same_action_alone),
        cmocka_unit_test(a_network_is_not_made_rougher),
        cmocka_unit_test(a_conversation_keeps_its_pseudonyms),
        cmocka_unit_test(many_values_are_kept_apart),
        cmocka_unit_test(each_policy_has_the_key_that_it_was_read_with),
        cmocka_unit_test(without_a_key_no_policy_wants_one),
        cmocka_unit_test(a_gate_of_another_thread_makes_the_same),
        cmocka_unit_test(a_token_is_no_value),
        cmocka_unit_test(a_value_beside_a_token_is_found),
        cmocka_unit_test(long_values_have_no_token),
        cmocka_unit_test(the_strictest_of_all_actions_counts),
    };
    return cmocka_run_group_tests(tests, gate_set_up, gate_tear_down);
}
