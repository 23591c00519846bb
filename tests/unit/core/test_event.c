/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caps.h"
#include "core/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool contains(const dv_buf *buf, const char *text)
{
    return dv_slice_find(dv_buf_slice(buf), dv_slice_str(text)) >= 0;
}

static dv_event_request small_request(void)
{
    return (dv_event_request){.request_id = DV_LIT("id"), .method = DV_LIT("GET")};
}

static void test_undecided_is_denied(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_request request = small_request();
    assert_int_equal(dv_event_request_open(&out, &request), DV_OK);
    assert_true(contains(&out, "\"action_id\":2"));
    assert_true(contains(&out, "\"status_code\":\"not_decided\""));
    assert_true(contains(&out, "\"name\":\"anonymous\""));
}

static void test_begins_with_metadata(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_request request = small_request();
    assert_int_equal(dv_event_request_open(&out, &request), DV_OK);
    assert_true(dv_slice_starts_with(dv_buf_slice(&out), DV_LIT("{\"metadata\":{\"")));
}

static void test_query_is_left_out(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_request request = small_request();
    request.path = DV_LIT("/v1/models?key=secret");
    assert_int_equal(dv_event_request_open(&out, &request), DV_OK);
    assert_true(contains(&out, "\"path\":\"/v1/models\""));
    assert_false(contains(&out, "secret"));
}

static void test_long_text_is_cut_and_says_so(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    char path[3000];
    memset(path, 'a', sizeof(path));
    memcpy(path + 1022, "\xe2\x82\xac", 3); /* a character across the limit of 1024 */
    dv_event_request request = small_request();
    request.path = dv_slice_of(path, 1024);
    assert_int_equal(dv_event_request_open(&out, &request), DV_OK);
    assert_false(contains(&out, "is_truncated"));
    dv_buf_clear(&out);
    request.path = dv_slice_of(path, sizeof(path));
    assert_int_equal(dv_event_request_open(&out, &request), DV_OK);
    assert_true(contains(&out, "\"is_truncated\":true"));
    assert_true(contains(&out, "aa\"},")); /* the path ends before the character */
}

static void fill(char *text, size_t len)
{
    memset(text, 1, len); /* six bytes each in JSON */
}

static void test_worst_case_fits_a_record(void **state)
{
    static char big[4096];
    static char place[4096];
    fill(big, sizeof(big));
    fill(place, sizeof(place) - 1);
    place[sizeof(place) - 1] = '\0';
    dv_sighting sightings[4096];
    for (size_t i = 0; i < DV_ARRAY_LEN(sightings); i++) {
        sightings[i] = (dv_sighting){"payment_card", place, DV_ACTION_MASK, 100};
    }
    dv_slice text = dv_slice_of(big, sizeof(big));
    dv_slice groups[64];
    for (size_t i = 0; i < DV_ARRAY_LEN(groups); i++) {
        groups[i] = text;
    }
    dv_principal principal = {DV_PRINCIPAL_USER, text, text, NULL, 0, groups, DV_ARRAY_LEN(groups)};
    dv_credential credential = {.kind = text, .id = text};
    dv_event_limit limit = {.key = text, .now = INT64_MIN + 1, .tat = INT64_MIN + 1};
    dv_verdict verdict = {.decision = DV_ALLOW, .reason = DV_REASON_OK};
    dv_event_request request = {text,     0,         &principal, &credential, text, 1,    text,
                                text,     text,      text,       text,        text, text, text,
                                &verdict, sightings, 4096,       &limit,      1};
    dv_event_outcome outcome = {.sightings = sightings, .sighting_count = 4096};
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    assert_int_equal(dv_event_request_open(&out, &request), DV_OK);
    assert_true(contains(&out, "\"sighting_count\":4096"));
    assert_true(contains(&out, "\"admitted\":false"));
    dv_buf_clear(&out);
    assert_int_equal(dv_event_request_close(&out, &request, &outcome), DV_OK);
    assert_true(contains(&out, "\"aborted\":false"));
}

static void test_no_room_leaves_the_buffer_alone(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(300);
    dv_event_request request = small_request();
    assert_int_equal(dv_buf_append_str(&out, "before"), DV_OK);
    assert_int_equal(dv_event_request_open(&out, &request), DV_ERR_TOO_LARGE);
    assert_int_equal(out.len, 6);
}

static void test_room_that_is_there_is_used(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    assert_int_equal(dv_buf_reserve(&out, DV_LIMIT_RECORD), DV_OK);
    uint8_t *before = out.ptr;
    dv_event_request request = small_request();
    assert_int_equal(dv_event_request_open(&out, &request), DV_OK);
    assert_ptr_equal(out.ptr, before);
}

static void test_masked_is_modified(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    dv_verdict verdict = {.decision = DV_ALLOW, .reason = DV_REASON_OK};
    dv_sighting sighting = {"email", "/input", DV_ACTION_ALERT, 50};
    dv_event_request request = small_request();
    request.verdict = &verdict;
    request.sightings = &sighting;
    request.sighting_count = 1;
    assert_int_equal(dv_event_request_open(&out, &request), DV_OK);
    assert_true(contains(&out, "\"action_id\":1,"));
    sighting.action = DV_ACTION_PLACEHOLDER;
    dv_buf_clear(&out);
    assert_int_equal(dv_event_request_open(&out, &request), DV_OK);
    assert_true(contains(&out, "\"action_id\":4,"));
}

/* Every byte at every place of a word: escaped where JSON wants it, as it is elsewhere. */
static void test_every_byte_at_every_place(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    for (int byte = 0; byte < 256; byte++) {
        for (size_t place = 0; place < 17; place++) {
            dv_auto(buf) dv_buf wanted = dv_buf_init(256);
            uint8_t text[17];
            memset(text, 'a', sizeof(text));
            text[place] = (uint8_t)byte;
            dv_event_request request = small_request();
            request.model = dv_slice_of(text, sizeof(text));
            dv_buf_clear(&out);
            assert_int_equal(dv_event_request_open(&out, &request), DV_OK);
            assert_int_equal(dv_buf_append_json_string(&wanted, request.model), DV_OK);
            assert_true(dv_slice_find(dv_buf_slice(&out), dv_buf_slice(&wanted)) >= 0);
        }
    }
}

static void test_sensitivity_by_path(void **state)
{
    assert_int_equal(dv_event_sensitivity(DV_LIT("actor.user.name")), DV_SENSITIVITY_PERSONAL);
    assert_int_equal(dv_event_sensitivity(DV_LIT("src_endpoint.ip")), DV_SENSITIVITY_PERSONAL);
    assert_int_equal(dv_event_sensitivity(DV_LIT("time")), DV_SENSITIVITY_PUBLIC);
    assert_int_equal(dv_event_sensitivity(DV_LIT("policy.uid")), DV_SENSITIVITY_INTERNAL);
    assert_int_equal(dv_event_sensitivity(DV_LIT("unmapped.dvara.sightings")),
                     DV_SENSITIVITY_INTERNAL);
    assert_int_equal(dv_event_sensitivity(DV_LIT("name")), DV_SENSITIVITY_PERSONAL);
    assert_int_equal(dv_event_sensitivity(DV_LIT("")), DV_SENSITIVITY_PERSONAL);
    assert_int_equal(dv_event_sensitivity(DV_LIT("http_response.code")), DV_SENSITIVITY_PUBLIC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undecided_is_denied),
        cmocka_unit_test(test_begins_with_metadata),
        cmocka_unit_test(test_query_is_left_out),
        cmocka_unit_test(test_long_text_is_cut_and_says_so),
        cmocka_unit_test(test_worst_case_fits_a_record),
        cmocka_unit_test(test_no_room_leaves_the_buffer_alone),
        cmocka_unit_test(test_room_that_is_there_is_used),
        cmocka_unit_test(test_masked_is_modified),
        cmocka_unit_test(test_every_byte_at_every_place),
        cmocka_unit_test(test_sensitivity_by_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
