/* SPDX-License-Identifier: Apache-2.0 */
/* What holds for every record of every class, whatever the words are that it is made of; and what
 * the classes beside requests say. tests/ocsf checks the same records against the schema. */
#include "base/caps.h"
#include "core/event_access.h"
#include "core/event_findings.h"
#include "core/event_kinds.h"
#include "core/event_network.h"
#include "event_samples.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const dv_time some_time = 1790000000123456789;

typedef struct seen {
    size_t count;
    size_t cut;
    int64_t time_ms;
} seen;

/* jansson takes no text that is not UTF-8 (RFC 3629) and no member twice. */
static json_t *parse(const char *what, dv_slice event)
{
    json_error_t error;
    json_t *parsed = json_loadb((const char *)event.ptr, event.len, JSON_REJECT_DUPLICATES, &error);
    if (parsed == NULL) {
        fail_msg("%s: %s: %.*s", what, error.text, DV_SLICE_ARGS(event));
    }
    return parsed;
}

static void check(void *data, const char *what, dv_slice event)
{
    seen *all = data;
    json_t *parsed = parse(what, event);
    json_t *metadata = json_object_get(parsed, "metadata");
    int64_t class_uid = json_integer_value(json_object_get(parsed, "class_uid"));
    int64_t activity = json_integer_value(json_object_get(parsed, "activity_id"));
    assert_true(event.len <= DV_LIMIT_RECORD);
    assert_true(dv_slice_starts_with(event, DV_LIT("{\"metadata\":{")));
    assert_int_equal(json_integer_value(json_object_get(parsed, "type_uid")),
                     class_uid * 100 + activity);
    assert_true(dv_event_kind_is(json_string_value(json_object_get(metadata, "event_code"))));
    assert_true(json_integer_value(json_object_get(parsed, "severity_id")) > 0);
    all->count++;
    all->cut += json_is_true(json_object_get(metadata, "is_truncated"));
    all->time_ms = json_integer_value(json_object_get(parsed, "time"));
    json_decref(parsed);
}

static seen check_all(dv_slice text, dv_time time, int64_t number)
{
    const sample_words words = {text, time, number};
    seen all = {0};
    samples_all(&words, check, &all);
    assert_true(all.count > 250);
    return all;
}

static void test_plain_words(void **state)
{
    assert_int_equal(check_all(DV_LIT("plain"), some_time, 1).cut, 0);
}

static void test_invalid_utf8_is_replaced(void **state)
{
    static const char *const words[] = {"\xff",     "a\xc3(b", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                        "\xc0\xaf", "\xe2\x82"};
    for (size_t i = 0; i < DV_ARRAY_LEN(words); i++) {
        (void)check_all(dv_slice_str(words[i]), some_time, 1);
    }
}

static void test_jumping_clocks(void **state)
{
    assert_int_equal(check_all(DV_LIT("w"), -some_time, 1).time_ms, -1790000000123);
    assert_int_equal(check_all(DV_LIT("w"), 0, 1).time_ms, 0);
    assert_int_equal(check_all(DV_LIT("w"), INT64_MAX - 1, 1).time_ms, INT64_MAX / 1000000);
    assert_int_equal(check_all(DV_LIT("w"), INT64_MIN, 1).time_ms, INT64_MIN / 1000000);
}

static void test_a_megabyte_is_cut_and_says_so(void **state)
{
    enum { MEGABYTE = 1 << 20 };
    static const uint8_t fill[] = {'x', 0xff, 1, '"'}; /* bytes that grow in JSON, too */
    char *text = malloc(MEGABYTE);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof(fill); i++) {
        memset(text, fill[i], MEGABYTE);
        seen all = check_all(dv_slice_of(text, MEGABYTE), some_time, INT64_MAX);
        assert_true(all.cut > 130);
    }
    free(text);
}

/* -- what the classes say ---------------------------------------------------------------------- */

static const dv_event_actor alice = {.time = 1790000000123456789,
                                     .entity = {(const uint8_t *)"User::\"alice\"", 13}};

static bool contains(const dv_buf *buf, const char *text)
{
    return dv_slice_find(dv_buf_slice(buf), dv_slice_str(text)) >= 0;
}

static void test_a_grant(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    const dv_slice roles[] = {DV_LIT("Role::\"oncall\"")};
    dv_event_access access = {
        .holder = DV_LIT("User::\"bob\""), .privileges = roles, .privilege_count = 1};
    assert_int_equal(dv_event_user_access(&out, &alice, DV_ACCESS_GRANT, &access), DV_OK);
    assert_true(contains(&out, "\"type_uid\":300501"));
    assert_true(contains(&out, "\"user\":{\"name\":\"bob\",\"uid\":\"User::\\\"bob\\\"\","
                               "\"type_id\":1},\"privileges\":[\"Role::\\\"oncall\\\"\"]"));
    assert_true(contains(&out, "\"severity_id\":1"));
    assert_true(contains(&out, "\"break_glass\":false"));
    assert_false(contains(&out, "\"expires\""));
    access.break_glass = true;
    access.until = some_time;
    access.holder = DV_LIT("Group::\"ml\"");
    dv_buf_clear(&out);
    assert_int_equal(dv_event_user_access(&out, &alice, DV_ACCESS_REVOKE, &access), DV_OK);
    assert_true(contains(&out, "\"type_uid\":300502"));
    assert_true(contains(&out, "\"type_id\":99,\"type\":\"Group\""));
    assert_true(contains(&out, "\"severity_id\":3"));
    assert_true(contains(&out, "\"expires\":1790000000123"));
}

static void test_a_key_without_scopes_has_all_of_its_holders(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    const dv_event_session session = {.holder = DV_LIT("Service::\"ci\""),
                                      .credential_id = DV_LIT("Ab3dEf9h"),
                                      .until = DV_TIME_NEVER};
    assert_int_equal(dv_event_session_authorize(&out, &alice, &session), DV_OK);
    assert_true(contains(&out, "\"type_uid\":300301"));
    assert_true(contains(&out, "\"privileges\":[\"*\"]"));
    assert_true(contains(&out, "\"session\":{\"credential_uid\":\"Ab3dEf9h\",\"is_mfa\":false}"));
}

static void test_a_list_that_is_too_long_is_cut(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    dv_slice many[DV_EVENT_NAMES_MAX + 1];
    for (size_t i = 0; i < DV_ARRAY_LEN(many); i++) {
        many[i] = DV_LIT("Action::\"use_model\"");
    }
    dv_event_session session = {.holder = DV_LIT("User::\"bob\""),
                                .privileges = many,
                                .privilege_count = DV_EVENT_NAMES_MAX};
    assert_int_equal(dv_event_session_authorize(&out, &alice, &session), DV_OK);
    assert_false(contains(&out, "is_truncated"));
    session.privilege_count++;
    dv_buf_clear(&out);
    assert_int_equal(dv_event_session_authorize(&out, &alice, &session), DV_OK);
    assert_true(contains(&out, "\"is_truncated\":true"));
}

static void test_a_reading_of_data(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    const dv_slice labels[] = {DV_LIT("personal")};
    const dv_event_data data = {.database = DV_LIT("audit log"),
                                .table = DV_LIT("main"),
                                .rows = 17,
                                .bytes = -1,
                                .labels = labels,
                                .label_count = 1};
    assert_int_equal(dv_event_data_access(&out, &alice, DV_DATA_READ, &data), DV_OK);
    assert_true(contains(&out, "\"type_uid\":600501"));
    assert_true(contains(&out, "\"database\":{\"name\":\"audit log\",\"type_id\":0},"
                               "\"table\":{\"name\":\"main\"}"));
    assert_true(contains(&out, "\"rows\":17,\"labels\":[\"personal\"]"));
    assert_false(contains(&out, "query_info"));
}

/* Zero that is missing is told, but only of who says what for. */
static void test_values_that_somebody_asked_for(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_data data = {.database = DV_LIT("customers"), .rows = 2, .bytes = -1};
    assert_int_equal(dv_event_data_access(&out, &alice, DV_DATA_QUERY, &data), DV_OK);
    assert_false(contains(&out, "missing"));
    data.reason = DV_LIT("chargeback 4711");
    dv_buf_clear(&out);
    assert_int_equal(dv_event_data_access(&out, &alice, DV_DATA_QUERY, &data), DV_OK);
    assert_true(contains(&out, "\"reason\":\"chargeback 4711\",\"rows\":2,\"missing\":0"));
}

static void test_what_never_became_a_request(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_network refused = {.address = DV_LIT("192.0.2.7"),
                                .reason = DV_NETWORK_TLS,
                                .count = 3,
                                .since = some_time - DV_SECOND,
                                .until = some_time};
    assert_int_equal(dv_event_network_refusal(&out, &refused), DV_OK);
    assert_true(contains(&out, "\"type_uid\":400299"));
    assert_true(contains(&out, "\"status_code\":\"tls_failed\""));
    assert_true(contains(&out, "\"count\":3,\"start_time\":1789999999123,"
                               "\"end_time\":1790000000123"));
    assert_true(contains(&out, "\"http_request\":{\"length\":0},\"app_protocol_name\":\"https\""));
    refused.reason = DV_NETWORK_MALFORMED;
    refused.status = 405;
    dv_buf_clear(&out);
    assert_int_equal(dv_event_network_refusal(&out, &refused), DV_OK);
    assert_true(contains(&out, "\"http_response\":{\"code\":405}"));
    assert_string_equal(dv_network_reason_name((dv_network_reason)77), "refused");
}

static void test_a_data_finding_names_what_blocked(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    const dv_sighting sightings[] = {{"email", "/input", DV_ACTION_MASK, 90},
                                     {"private_key", "/input", DV_ACTION_BLOCK, 100}};
    const dv_verdict verdict = {.decision = DV_DENY, .reason = DV_REASON_SENSITIVE_DATA};
    const dv_event_request request = {.request_id = DV_LIT("id"), .route = DV_LIT("chat")};
    const dv_event_data_finding finding = {&request, false, some_time, &verdict, sightings, 2};
    assert_int_equal(dv_event_data_security(&out, &finding), DV_OK);
    assert_true(contains(&out, "\"type_uid\":200601"));
    assert_true(contains(&out, "\"correlation_uid\":\"id\""));
    assert_true(contains(&out, "\"is_alert\":true"));
    assert_true(contains(&out, "\"detection_pattern\":\"private_key\""));
    assert_true(contains(&out, "\"side\":\"request\",\"sighting_count\":2"));
    assert_true(contains(&out, "\"severity_id\":3,\"status_id\":1,"));
}

static void test_an_alarm_says_whom_it_is_about(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    const dv_event_detection detection = {.rule = DV_LIT("limit.budget"),
                                          .title = DV_LIT("user/bob used 80 %"),
                                          .about = DV_LIT("User::\"bob\""),
                                          .severity = DV_SEVERITY_HIGH};
    assert_int_equal(dv_event_detection_finding(&out, &alice, &detection), DV_OK);
    assert_true(contains(&out, "\"resources\":[{\"name\":\"bob\",\"uid\":\"User::\\\"bob\\\"\"}]"));
    assert_true(contains(&out, "\"actor\":{\"user\":{\"name\":\"alice\""));
    dv_buf_clear(&out);
    assert_int_equal(dv_event_alarm(&out, &alice, DV_LIT("audit.gap"), DV_LIT("t")), DV_OK);
    assert_false(contains(&out, "\"resources\""));
}

static void test_a_method_that_the_schema_does_not_know(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    const dv_event_request request = {.method = DV_LIT("BREW"), .action = DV_LIT("use_model")};
    assert_int_equal(dv_event_request_open(&out, &request), DV_OK);
    assert_false(contains(&out, "\"http_method\""));
    assert_true(contains(&out, "\"method\":\"BREW\""));
    assert_true(contains(&out, "\"activity_id\":99"));
}

/* integer_t has 32 bits; what does not fit is not told as something else. */
static void test_numbers_that_do_not_fit(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    const dv_event_request request = {.method = DV_LIT("GET")};
    dv_event_outcome outcome = {
        .input_tokens = INT32_MAX, .output_tokens = 1, .answer_bytes = (uint64_t)INT32_MAX + 1};
    assert_int_equal(dv_event_request_close(&out, &request, &outcome), DV_OK);
    assert_true(contains(&out, "\"prompt_tokens\":2147483647,\"completion_tokens\":1,\"service"));
    assert_true(contains(&out, "\"answer_bytes\":2147483648"));
    assert_false(contains(&out, "\"http_response\":{\"code\":499,\"body_length\""));
    dv_event_refused many = {.count = UINT64_MAX};
    dv_buf_clear(&out);
    assert_int_equal(dv_event_refusals(&out, &many), DV_OK);
    assert_true(contains(&out, "\"count\":2147483647"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_words),
        cmocka_unit_test(test_invalid_utf8_is_replaced),
        cmocka_unit_test(test_jumping_clocks),
        cmocka_unit_test(test_a_megabyte_is_cut_and_says_so),
        cmocka_unit_test(test_a_grant),
        cmocka_unit_test(test_a_key_without_scopes_has_all_of_its_holders),
        cmocka_unit_test(test_a_list_that_is_too_long_is_cut),
        cmocka_unit_test(test_a_reading_of_data),
        cmocka_unit_test(test_values_that_somebody_asked_for),
        cmocka_unit_test(test_what_never_became_a_request),
        cmocka_unit_test(test_a_data_finding_names_what_blocked),
        cmocka_unit_test(test_an_alarm_says_whom_it_is_about),
        cmocka_unit_test(test_a_method_that_the_schema_does_not_know),
        cmocka_unit_test(test_numbers_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
