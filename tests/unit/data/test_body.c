/* SPDX-License-Identifier: Apache-2.0 */
#include "data_test.h"

enum { ARENA = 64 << 20 };

static void assert_masked(const char *text, const char *wanted)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_verdict verdict = {0};
    dv_data_outcome outcome =
        inspect(true, MASKS, context_of("User::\"a\"", arena), dv_slice_str(text), arena, &verdict);
    assert_text(outcome.body, wanted);
    assert_int_equal(outcome.changed, strcmp(text, wanted) != 0);
    assert_int_equal(verdict.decision, DV_ALLOW);
}

static void masks_change_nothing_else(void **state)
{
    assert_masked("{ \"a\" : \"card 4111 1111 1111 1111.\" ,\t\"n\":1.50e+3 }\n",
                  "{ \"a\" : \"card [CARD ****1111].\" ,\t\"n\":1.50e+3 }\n");
    assert_masked("{\"a\":\"nothing here\"}", "{\"a\":\"nothing here\"}");
    assert_masked("[\"bob@example.com\",\"x\",\"bob@example.com\"]",
                  "[\"[EMAIL]\",\"x\",\"[EMAIL]\"]");
    assert_masked("\"\\u00e9 caf\\u00e9: bob@example.com \\ud83d\\ude00 \\/\"",
                  "\"\\u00e9 caf\\u00e9: [EMAIL] \\ud83d\\ude00 \\/\"");
}

static void escapes_do_not_hide_values(void **state)
{
    assert_masked("{\"a\":\"\\u0034111\\u00201111 1111 1111\"}", "{\"a\":\"[CARD ****1111]\"}");
    assert_masked("{\"a\":\"line\\nbob\\u0040example.com\\n\"}", "{\"a\":\"line\\n[EMAIL]\\n\"}");
}

/* Text that holds JSON but is none as a whole: it is not decoded, and what is masked in it leaves
 * valid JSON. */
static void escapes_in_text_do_not_hide_values(void **state)
{
    assert_masked("{\"content\":\"```json\\n{\\\"a\\\":\\\"ssn:\\\\n219-09-9999\\\\nAK"
                  "IAQRSTUVWXYZ234567\\\\nbob@example.com\\\\u00204111111111111111\\\"}\\n```\"}",
                  "{\"content\":\"```json\\n{\\\"a\\\":\\\"ssn:\\\\n[SSN]\\\\n[AWS_KEY ****4567]"
                  "\\\\n[EMAIL]\\\\u0020[CARD ****1111]\\\"}\\n```\"}");
}

static void names_are_inspected(void **state)
{
    assert_masked("{\"bob@example.com\":1}", "{\"[EMAIL]\":1}");
}

static void names_give_context(void **state)
{
    assert_masked("{\"phone\":\"98765 43210\"}", "{\"phone\":\"[PHONE ****10]\"}");
    assert_masked("{\"count\":\"98765 43210\"}", "{\"count\":\"98765 43210\"}");
}

static void numbers_become_strings(void **state)
{
    assert_masked("{\"card\":4111111111111111,\"n\":12345678}",
                  "{\"card\":\"[CARD ****1111]\",\"n\":12345678}");
    assert_masked("[0.4111111111111111,4111111111111112]", "[0.4111111111111111,4111111111111112]");
    /* As data frames and floating point write whole numbers. */
    assert_masked("[4111111111111111.0]", "[\"[CARD ****1111].0\"]");
    assert_masked("[4111111111111111e0]", "[\"[CARD ****1111]e0\"]");
    assert_masked("[1.5e-7,12345678.25,0e0]", "[1.5e-7,12345678.25,0e0]");
}

static void nested_json_is_escaped_for_each_level(void **state)
{
    assert_masked("{\"arguments\":\"{\\\"to\\\":\\\"bob@example.com\\\",\\\"n\\\":1}\"}",
                  "{\"arguments\":\"{\\\"to\\\":\\\"[EMAIL]\\\",\\\"n\\\":1}\"}");
    assert_masked("{\"a\":\"{\\\"b\\\":\\\"{\\\\\\\"c\\\\\\\":\\\\\\\"\\\\\\\\u0062ob@example."
                  "com\\\\\\\"}\\\"}\"}",
                  "{\"a\":\"{\\\"b\\\":\\\"{\\\\\\\"c\\\\\\\":\\\\\\\"[EMAIL]\\\\\\\"}\\\"}\"}");
    assert_masked("{\"a\":\"{\\\"card\\\":4111111111111111}\"}",
                  "{\"a\":\"{\\\"card\\\":\\\"[CARD ****1111]\\\"}\"}");
    assert_masked("{\"a\":\"{not json bob@example.com\"}", "{\"a\":\"{not json [EMAIL]\"}");
}

static void placeholders_come_back(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_context *context = context_of("User::\"a\"", arena);
    dv_verdict verdict = {0};
    dv_data_outcome asked = inspect(false, PLACEHOLDERS, context,
                                    DV_LIT("{\"q\":\"I am bob@example.com\"}"), arena, &verdict);
    assert_true(asked.changed);
    assert_int_equal(dv_slice_find(asked.body, DV_LIT("bob")), -1);
    assert_int_equal(asked.sighting_count, 1);
    assert_string_equal(asked.sightings[0].detector, "email");
    assert_string_equal(asked.sightings[0].place, "/q");
    assert_int_equal(asked.sightings[0].action, DV_ACTION_PLACEHOLDER);

    dv_slice placeholder = dv_slice_sub(asked.body, 11, asked.body.len - 13);
    assert_true(dv_slice_starts_with(placeholder, DV_LIT("<EMAIL_")));
    assert_int_equal(placeholder.len, strlen("<EMAIL_12345678>"));
    const char *answer = dv_arena_printf(
        arena, "{\"t\":\"Hi %.*s, not eve@example.com\",\"args\":\"{\\\"to\\\":\\\"%.*s\\\"}\"}",
        DV_SLICE_ARGS(placeholder), DV_SLICE_ARGS(placeholder));
    dv_data_outcome told = inspect(true, MASKS, context, dv_slice_str(answer), arena, &verdict);
    assert_text(told.body, "{\"t\":\"Hi bob@example.com, not [EMAIL]\",\"args\":\"{\\\"to\\\":"
                           "\\\"bob@example.com\\\"}\"}");
    assert_int_equal(told.sighting_count, 1); /* what came from the caller is none */
    assert_string_equal(told.sightings[0].place, "/t");
}

static dv_slice placeholder_of(const char *principal, const char *value, dv_arena *arena)
{
    dv_verdict verdict = {0};
    const char *body = dv_arena_printf(arena, "[\"%s\"]", value);
    dv_data_outcome outcome = inspect(false, PLACEHOLDERS, context_of(principal, arena),
                                      dv_slice_str(body), arena, &verdict);
    return dv_slice_sub(outcome.body, 2, outcome.body.len - 4);
}

static void placeholders_belong_to_a_principal(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_slice a = placeholder_of("User::\"a\"", "bob@example.com", arena);
    assert_true(dv_slice_eq(a, placeholder_of("User::\"a\"", "bob@example.com", arena)));
    assert_false(dv_slice_eq(a, placeholder_of("User::\"b\"", "bob@example.com", arena)));
    assert_false(dv_slice_eq(a, placeholder_of("User::\"a\"", "eve@example.com", arena)));

    /* Another's placeholder, or one of another request, stays text. */
    const char *body = dv_arena_printf(arena, "[\"%.*s\"]", DV_SLICE_ARGS(a));
    dv_verdict verdict = {0};
    dv_data_context *context = context_of("User::\"a\"", arena);
    dv_data_outcome outcome = inspect(true, MASKS, context, dv_slice_str(body), arena, &verdict);
    assert_false(outcome.changed);
}

static void values_are_escaped_where_they_return(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_context *context = context_of("User::\"a\"", arena);
    dv_verdict verdict = {0};
    dv_slice key = DV_LIT("[\"-----BEGIN PRIVATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/"
                          "VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\\n-----END PRIVATE KEY-----\"]");
    dv_data_outcome asked = inspect(false, PLACEHOLDERS, context, key, arena, &verdict);
    dv_data_outcome told = inspect(true, MASKS, context, asked.body, arena, &verdict);
    assert_text(told.body, dv_arena_printf(arena, "%.*s", DV_SLICE_ARGS(key)));
}

static void a_policy_blocks(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_verdict verdict = {0};
    (void)inspect(false, "{\"default\":\"alert\",\"detectors\":{\"payment_card\":\"block\"}}",
                  context_of("u", arena), DV_LIT("{\"m\":[{\"c\":\"4111111111111111\"}]}"), arena,
                  &verdict);
    assert_int_equal(verdict.decision, DV_DENY);
    assert_int_equal(verdict.reason, DV_REASON_SENSITIVE_DATA);
    assert_string_equal(verdict.detail, "Payment card number at /m/0/c");
}

static void alerts_and_off(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_verdict verdict = {0};
    dv_slice body = DV_LIT("[\"bob@example.com from 203.0.113.9\"]");
    dv_data_outcome outcome = inspect(false, "{\"default\":\"alert\",\"off\":[\"ip_address\"]}",
                                      context_of("u", arena), body, arena, &verdict);
    assert_false(outcome.changed);
    assert_int_equal(outcome.sighting_count, 1);
    assert_int_equal(outcome.sightings[0].action, DV_ACTION_ALERT);
    assert_int_equal(verdict.decision, DV_ALLOW);
}

static void places_hold_no_values(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_verdict verdict = {0};
    dv_data_outcome outcome = inspect(
        false, MASKS, context_of("u", arena),
        DV_LIT("{\"bob@example.com\":{\"a/b~\":[0,\"eve@example.com\"]}}"), arena, &verdict);
    assert_int_equal(outcome.sighting_count, 2);
    assert_string_equal(outcome.sightings[0].place, "/*");
    assert_string_equal(outcome.sightings[1].place, "/*/a~1b~0/1");
}

static void too_much_is_denied(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf body = dv_buf_init(1 << 20);
    dv_verdict verdict = {0};
    assert_int_equal(dv_buf_append_str(&body, "[\"x\""), DV_OK);
    for (size_t i = 0; i <= DV_LIMIT_FINDINGS; i++) {
        assert_int_equal(dv_buf_append_str(&body, ",\"a@example.com\""), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&body, "]"), DV_OK);
    (void)inspect(false, MASKS, context_of("u", arena), dv_buf_slice(&body), arena, &verdict);
    assert_int_equal(verdict.decision, DV_DENY);

    /* JSON in JSON in JSON ... */
    dv_slice text = DV_LIT("[1]");
    for (size_t i = 0; i < 6; i++) {
        dv_auto(buf) dv_buf quoted = dv_buf_init(1 << 20);
        assert_int_equal(dv_buf_append_str(&quoted, "["), DV_OK);
        assert_int_equal(dv_buf_append_json_string(&quoted, text), DV_OK);
        assert_int_equal(dv_buf_append_str(&quoted, "]"), DV_OK);
        assert_int_equal(dv_arena_copy(arena, dv_buf_slice(&quoted), &text), DV_OK);
        verdict = (dv_verdict){0};
        (void)inspect(false, MASKS, context_of("u", arena), text, arena, &verdict);
        assert_int_equal(verdict.decision, i < 4 ? DV_ALLOW : DV_DENY);
    }
}

/* Where values overlap, the strictest action of all their detectors is taken, in the name of the
 * detector that asked for it. */
static void alerts_hide_no_stricter_action(void **state)
{
    static const struct {
        const char *policy;
        const char *body;
        const char *detector;
        const char *wanted; /* NULL: denied */
    } cases[] = {
        {"{\"default\":\"alert\",\"detectors\":{\"github_token\":\"block\"}}",
         "[\"https://oauth2:gh"
         "p_0123456789ABCDEFGHIJKLMNOPQRST1q0oWp@github.com/x\"]",
         "github_token", NULL},
        {"{\"default\":\"alert\",\"detectors\":{\"us_ssn\":\"block\"}}",
         "[\"219-09-9999@corp.com\"]", "us_ssn", NULL},
        {"{\"default\":\"alert\",\"detectors\":{\"us_ssn\":\"mask\"}}",
         "[\"219-09-9999@corp.com\"]", "us_ssn", "[\"[SSN]\"]"},
        {"{\"default\":\"mask\",\"detectors\":{\"email\":\"block\"}}", "[\"219-09-9999@corp.com\"]",
         "email", NULL},
        {"{\"default\":\"alert\"}", "[\"219-09-9999@corp.com\"]", "email",
         "[\"219-09-9999@corp.com\"]"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_verdict verdict = {0};
        dv_data_outcome outcome = inspect(false, cases[i].policy, context_of("u", arena),
                                          dv_slice_str(cases[i].body), arena, &verdict);
        assert_int_equal(verdict.decision, cases[i].wanted == NULL ? DV_DENY : DV_ALLOW);
        assert_int_equal(outcome.sighting_count, 1);
        assert_string_equal(outcome.sightings[0].detector, cases[i].detector);
        if (cases[i].wanted != NULL) {
            assert_text(outcome.body, cases[i].wanted);
        }
    }
}

static void log_probabilities_are_refused(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_verdict verdict = {0};
    dv_slice with = DV_LIT("{\"choices\":[{\"logprobs\":{\"content\":[{\"token\":\"41\"}]}}]}");
    (void)inspect(true, MASKS, context_of("u", arena), with, arena, &verdict);
    assert_int_equal(verdict.reason, DV_REASON_ANSWER_UNREADABLE);
    verdict = (dv_verdict){0};
    (void)inspect(true, MASKS, context_of("u", arena),
                  DV_LIT("{\"choices\":[{\"log\\u0070robs\":[1]}]}"), arena, &verdict);
    assert_int_equal(verdict.reason, DV_REASON_ANSWER_UNREADABLE);
    verdict = (dv_verdict){0};
    (void)inspect(true, MASKS, context_of("u", arena),
                  DV_LIT("{\"choices\":[{\"logprobs\":null}]}"), arena, &verdict);
    assert_int_equal(verdict.decision, DV_ALLOW);
}

static void long_whole_numbers_with_exponents_are_refused(void **state)
{
    static const char *const texts[] = {"[4.111111111111111e15]", "[41111111111111.11E+2]",
                                        "{\"n\":4111111111111111e9}"};
    for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_verdict verdict = {0};
        (void)inspect(false, MASKS, context_of("u", arena), dv_slice_str(texts[i]), arena,
                      &verdict);
        assert_int_equal(verdict.decision, DV_DENY);
    }
}

static void plain_text_is_inspected(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_policy *policy = policy_of(MASKS);
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {0};
    dv_verdict_allow(&verdict, "test");
    assert_int_equal(dv_data_gate_text(gate, policy, context_of("u", arena), true,
                                       DV_LIT("to bob@example.com \"now\""), arena, &outcome,
                                       &verdict),
                     DV_OK);
    assert_text(outcome.body, "to [EMAIL] \"now\"");
    assert_int_equal(verdict.decision, DV_ALLOW);
    dv_data_policy_free(policy);
}

static void what_is_recorded_is_clean(void **state)
{
    static const char *const cases[][2] = {
        {"gpt-4o-2024-08-06", "gpt-4o-2024-08-06"},
        {"/v1/chat/completions?beta=true", "/v1/chat/completions?beta=true"},
        {"", ""},
        {"to bob@example.com", "to [EMAIL]"},
        {"/metadata/4111 1111 1111 1111: no", "/metadata/[CARD ****1111]: no"},
        {"dvk_half", "[DVARA_KEY]"},
        {"a=dvk_K0000001_abc&b=xdvk_", "a=[DVARA_KEY]&b=x[DVARA_KEY]"},
        {"a\xff z\xc3", "a? z?"},
        {"\xff bob@example.com", "? [EMAIL]"},
    };
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_slice text = {0};
        assert_int_equal(dv_data_gate_clean(gate, dv_slice_str(cases[i][0]), arena, &text), DV_OK);
        assert_text(text, cases[i][1]);
    }
}

static void bad_policies_are_refused(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"default\":\"hide\"}",
        "{\"default\":\"mask\",\"detectors\":{\"emial\":\"mask\"}}",
        "{\"default\":\"mask\",\"detectors\":{\"email\":1}}",
        "{\"default\":\"mask\",\"detectors\":[]}",
        "{\"default\":\"mask\",\"off\":{}}",
        "{\"default\":\"mask\",\"off\":[1]}",
        "{\"default\":\"mask\",\"decode\":1}",
        "{\"default\":\"mask\",\"off\":[\"x\"]}",
        "{\"default\":\"mask\"",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_data_policy *policy = NULL;
        dv_error error = {0};
        assert_int_equal(dv_data_policy_parse(gate, dv_slice_str(bad[i]), &policy, &error),
                         DV_ERR_INVALID);
        assert_true(error.message[0] != '\0');
    }
}

/* ---- values that do not stand there in clear ---- */

static dv_data_outcome inspect_quoted(bool answer, const char *policy, dv_data_context *context,
                                      const char *text, dv_arena *arena, dv_verdict *verdict)
{
    dv_auto(buf) dv_buf json = dv_buf_init(16 << 20);
    assert_int_equal(dv_buf_append_json_string(&json, dv_slice_str(text)), DV_OK);
    dv_slice copy;
    assert_int_equal(dv_arena_copy(arena, dv_buf_slice(&json), &copy), DV_OK);
    return inspect(answer, policy, context, copy, arena, verdict);
}

static void encoding_does_not_hide_values(void **state)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(encoded_texts); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_auto(buf) dv_buf wanted = dv_buf_init(1 << 20);
        dv_data_context *context = context_of("User::\"a\"", arena);
        dv_verdict verdict = {0};
        dv_data_outcome got =
            inspect_quoted(true, MASKS_DECODED, context, encoded_texts[i].text, arena, &verdict);
        assert_int_equal(dv_buf_append_json_string(&wanted, dv_slice_str(encoded_texts[i].wanted)),
                         DV_OK);
        assert_text(got.body, dv_buf_cstr(&wanted));
        assert_int_equal(got.sighting_count, 1);
        /* Off, none of it is found, but for what detectors read as it is. */
        got = inspect_quoted(true, MASKS, context, encoded_texts[i].text, arena, &verdict);
        assert_int_equal(got.changed, strstr(encoded_texts[i].wanted, "1111]") != NULL);
    }
}

static void what_only_looks_encoded_stays(void **state)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(plain_texts); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_data_context *context = context_of("User::\"a\"", arena);
        dv_verdict verdict = {0};
        dv_data_outcome got =
            inspect_quoted(true, MASKS_DECODED, context, plain_texts[i], arena, &verdict);
        assert_false(got.changed);
        assert_int_equal(got.sighting_count, 0);
    }
}

static void assert_decoded(const char *text, const char *wanted)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_verdict verdict = {0};
    dv_data_outcome outcome = inspect(true, MASKS_DECODED, context_of("User::\"a\"", arena),
                                      dv_slice_str(text), arena, &verdict);
    assert_text(outcome.body, wanted);
}

static void encoded_values_within_json_are_found(void **state)
{
    /* In arguments, in names, behind the name that gives context. */
    assert_decoded("{\"arguments\":\"{\\\"to\\\":\\\"bob%40example.com\\\"}\"}",
                   "{\"arguments\":\"{\\\"to\\\":\\\"[EMAIL]\\\"}\"}");
    assert_decoded("{\"bob%40example.com\":1}", "{\"[EMAIL]\":1}");
    assert_decoded("{\"phone\":\"98765%2043210\"}", "{\"phone\":\"[PHONE]\"}");
    /* UTF-16 that was taken for bytes: the string as a whole. */
    assert_decoded("{\"a\":\"t\\u0000o\\u0000 \\u0000b\\u0000@\\u0000x\\u0000.\\u0000"
                   "d\\u0000e\\u0000\",\"b\":\"c\"}",
                   "{\"a\":\"[EMAIL]\",\"b\":\"c\"}");
    /* Strings of one character beside each other are no UTF-16. */
    assert_decoded("[\"4\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\"]",
                   "[\"4\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\"]");
}

/* The run as a whole stands behind a placeholder, and comes back as it was. */
static void encoded_values_come_back_encoded(void **state)
{
    static const char policy[] = "{\"default\":\"placeholder\",\"decode\":true}";
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_context *context = context_of("User::\"a\"", arena);
    dv_verdict verdict = {0};
    dv_data_outcome asked =
        inspect(false, policy, context, DV_LIT("[\"see Ym9iQGV4YW1wbGUuY29tIQ== there\"]"), arena,
                &verdict);
    assert_true(dv_slice_starts_with(asked.body, DV_LIT("[\"see <EMAIL_")));
    assert_true(dv_slice_ends_with(asked.body, DV_LIT("> there\"]")));
    dv_data_outcome told = inspect(true, MASKS_DECODED, context, asked.body, arena, &verdict);
    assert_text(told.body, "[\"see Ym9iQGV4YW1wbGUuY29tIQ== there\"]");
}

static void encoded_values_are_blocked(void **state)
{
    static const char policy[] =
        "{\"default\":\"alert\",\"detectors\":{\"payment_card\":\"block\"},\"decode\":true}";
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_context *context = context_of("User::\"a\"", arena);
    dv_verdict verdict = {0};
    /* In one run with a value that may pass. */
    dv_data_outcome got = inspect(
        false, policy, context,
        DV_LIT("[\"Ym9iQGV4YW1wbGUuY29tIGFuZCA0MTExIDExMTEgMTExMSAxMTEx\"]"), arena, &verdict);
    assert_int_equal(verdict.reason, DV_REASON_SENSITIVE_DATA);
    assert_int_equal(got.sighting_count, 1);
}

/* Text of more than 4 MiB in one block is refused, what is no text at all is not; and whoever is
 * in a hurry is told to come again. */
static void decoding_is_bounded(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(256 << 20);
    dv_data_context *context = context_of("User::\"a\"", arena);
    dv_verdict verdict = {0};
    size_t len = (5 << 20) + 64;
    char *text = dv_arena_alloc(arena, len + 1);
    memset(text, 'Q', len); /* QQQQ is "A\x04\x10" */
    (void)inspect_quoted(true, MASKS_DECODED, context, text, arena, &verdict);
    assert_int_equal(verdict.decision, DV_ALLOW);
    for (size_t i = 0; i < len; i++) {
        text[i] = "QUFB"[i % 4]; /* AAA */
    }
    (void)inspect_quoted(true, MASKS_DECODED, context, text, arena, &verdict);
    assert_int_equal(verdict.reason, DV_REASON_ANSWER_UNREADABLE);
    /* Encoded characters all over are no block: decoded piece by piece. */
    for (size_t i = 0; i < len; i++) {
        text[i] = "one &amp; two, "[i % 15];
    }
    dv_verdict_reset(&verdict);
    memcpy(text + (1 << 20), "bob%40example.com", 17);
    memcpy(text + len - 20, "bob%40example.com", 17);
    dv_data_outcome all = inspect_quoted(true, MASKS_DECODED, context, text, arena, &verdict);
    assert_int_equal(verdict.decision, DV_ALLOW);
    assert_int_equal(all.sighting_count, 2);
    for (size_t i = 0; i < len; i++) {
        text[i] = "QUFB"[i % 4];
    }
    dv_data_policy *policy = policy_of(MASKS_DECODED);
    dv_data_outcome outcome = {0};
    dv_verdict_reset(&verdict);
    dv_data_gate_hurry(gate, 100 * 1000);
    assert_int_equal(dv_data_gate_text(gate, policy, context, true, dv_slice_of(text, 32 << 10),
                                       arena, &outcome, &verdict),
                     DV_ERR_AGAIN);
    dv_data_gate_hurry(gate, 0);
    dv_data_policy_free(policy);
}

/* A block over many lines is read once, not once for each line; and binary data, of which a line
 * may begin like text, is no block. */
static void lines_of_a_block_are_read_once(void **state)
{
    enum { LINE = 77, TEXT = 3 << 20, BINARY = 6 << 20 };
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    dv_auto(arena) dv_arena *arena = dv_arena_new(256 << 20);
    dv_data_context *context = context_of("User::\"a\"", arena);
    dv_verdict verdict = {0};
    char *text = dv_arena_alloc(arena, BINARY + 1);
    for (size_t i = 0; i < TEXT; i++) {
        text[i] = i % LINE == LINE - 1 ? '\n' : "QUFB"[i % LINE % 4];
    }
    memcpy(text + TEXT / LINE * LINE,
           "IGJvYkBleGFtcGxlLmNvbQ==", sizeof("IGJvYkBleGFtcGxlLmNvbQ=="));
    dv_data_outcome got = inspect_quoted(true, MASKS_DECODED, context, text, arena, &verdict);
    assert_int_equal(verdict.decision, DV_ALLOW);
    assert_int_equal(got.sighting_count, 1);
    assert_text(got.body, "\"[EMAIL]\"");
    uint32_t random = 1;
    for (size_t i = 0; i < BINARY; i++) {
        random = random * 1664525 + 1013904223;
        text[i] = i % LINE == LINE - 1 ? '\n' : digits[random >> 26];
    }
    dv_verdict_reset(&verdict);
    got = inspect_quoted(true, MASKS_DECODED, context, text, arena, &verdict);
    assert_int_equal(verdict.decision, DV_ALLOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_change_nothing_else),
        cmocka_unit_test(escapes_do_not_hide_values),
        cmocka_unit_test(escapes_in_text_do_not_hide_values),
        cmocka_unit_test(names_are_inspected),
        cmocka_unit_test(names_give_context),
        cmocka_unit_test(numbers_become_strings),
        cmocka_unit_test(nested_json_is_escaped_for_each_level),
        cmocka_unit_test(placeholders_come_back),
        cmocka_unit_test(placeholders_belong_to_a_principal),
        cmocka_unit_test(values_are_escaped_where_they_return),
        cmocka_unit_test(a_policy_blocks),
        cmocka_unit_test(alerts_and_off),
        cmocka_unit_test(alerts_hide_no_stricter_action),
        cmocka_unit_test(places_hold_no_values),
        cmocka_unit_test(too_much_is_denied),
        cmocka_unit_test(log_probabilities_are_refused),
        cmocka_unit_test(long_whole_numbers_with_exponents_are_refused),
        cmocka_unit_test(plain_text_is_inspected),
        cmocka_unit_test(what_is_recorded_is_clean),
        cmocka_unit_test(bad_policies_are_refused),
        cmocka_unit_test(encoding_does_not_hide_values),
        cmocka_unit_test(what_only_looks_encoded_stays),
        cmocka_unit_test(encoded_values_within_json_are_found),
        cmocka_unit_test(encoded_values_come_back_encoded),
        cmocka_unit_test(encoded_values_are_blocked),
        cmocka_unit_test(decoding_is_bounded),
        cmocka_unit_test(lines_of_a_block_are_read_once),
    };
    return cmocka_run_group_tests(tests, gate_set_up, gate_tear_down);
}
