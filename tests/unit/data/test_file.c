/* SPDX-License-Identifier: Apache-2.0 */
/* Files and forms: long ones are searched in pieces, and where these meet changes nothing. */
#include "data_test.h"

#include "base/multipart.h"
#include "base/utf8.h"

enum { ARENA = 200 << 20, PIECE = 32 << 10, ABOUT = 40 };

#define HEAD "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n"
#define TAIL "\r\n--b--\r\n"

/* The file within a form, and what came of it. */
static dv_slice sent_as(const char *policy, dv_slice file, dv_arena *arena, dv_verdict *verdict)
{
    dv_auto(buf) dv_buf form = dv_buf_init(ARENA);
    dv_multipart_part parts[DV_MULTIPART_PARTS_MAX];
    dv_data_outcome outcome = {0};
    dv_data_policy *parsed = policy_of(policy);
    dv_slice body = {NULL, 0};
    size_t count = 0;
    assert_int_equal(dv_buf_append_str(&form, HEAD), DV_OK);
    assert_int_equal(dv_buf_append(&form, file), DV_OK);
    assert_int_equal(dv_buf_append_str(&form, TAIL), DV_OK);
    assert_int_equal(dv_arena_copy(arena, dv_buf_slice(&form), &body), DV_OK);
    dv_verdict_allow(verdict, "");
    assert_int_equal(dv_data_gate_form(gate, parsed, context_of("User::\"a\"", arena), body,
                                       DV_LIT("b"), arena, &outcome, verdict),
                     DV_OK);
    dv_data_policy_free(parsed);
    if (verdict->decision != DV_ALLOW) {
        return (dv_slice){NULL, 0};
    }
    assert_int_equal(dv_multipart_parse(outcome.body, DV_LIT("b"), parts, &count, NULL), DV_OK);
    assert_int_equal(count, 1);
    return parts[0].data;
}

static void assert_becomes(const char *policy, dv_slice file, dv_slice wanted)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_verdict verdict = {0};
    dv_slice became = sent_as(policy, file, arena, &verdict);
    if (!dv_slice_eq(became, wanted)) {
        fail_msg("%zu bytes became %zu, not %zu: %s", file.len, became.len, wanted.len,
                 verdict.detail);
    }
}

static void assert_refused(dv_slice file, const char *why)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_verdict verdict = {0};
    (void)sent_as(MASKS_DECODED, file, arena, &verdict);
    assert_int_equal(verdict.decision, DV_DENY);
    if (strstr(verdict.detail, why) == NULL) {
        fail_msg("'%s', not '%s'", verdict.detail, why);
    }
}

static void fill(dv_buf *out, size_t len)
{
    static const char words[] = "plain words and lines \xc3\xa9\n";
    while (out->len < len) {
        dv_slice word = dv_slice_sub(dv_slice_str(words), 0, len - out->len);
        assert_int_equal(dv_buf_append(out, dv_slice_sub(word, 0, dv_utf8_prefix(word))), DV_OK);
        while (len - out->len == 1) {
            assert_int_equal(dv_buf_append_byte(out, ' '), DV_OK);
        }
    }
}

/* A value at every place around where two pieces meet. */
static void pieces_meet_anywhere(void **state)
{
    static const struct {
        const char *value, *mask;
    } values[] = {{"bob@example.com", "[EMAIL]"},
                  {"4111 1111 1111 1111", "[CARD ****1111]"},
                  {"Ym9iQGV4YW1wbGUuY29t", "[EMAIL]"}};
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    dv_auto(buf) dv_buf wanted = dv_buf_init(1 << 20);
    for (size_t i = 0; i < DV_ARRAY_LEN(values); i++) {
        for (size_t at = PIECE - ABOUT; at < PIECE + 4; at++) {
            dv_buf_clear(&text);
            dv_buf_clear(&wanted);
            fill(&text, at);
            assert_int_equal(dv_buf_append(&wanted, dv_buf_slice(&text)), DV_OK);
            assert_int_equal(dv_buf_append_printf(&text, " %s ", values[i].value), DV_OK);
            assert_int_equal(dv_buf_append_printf(&wanted, " %s ", values[i].mask), DV_OK);
            size_t from = text.len;
            fill(&text, 2 * PIECE + 100);
            assert_int_equal(
                dv_buf_append(&wanted, dv_slice_sub(dv_buf_slice(&text), from, text.len)), DV_OK);
            assert_becomes(MASKS_DECODED, dv_buf_slice(&text), dv_buf_slice(&wanted));
        }
    }
}

/* More values than one search tells of. */
static void values_have_no_limit_in_text_and_lines(void **state)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 24);
    dv_auto(buf) dv_buf wanted = dv_buf_init(1 << 24);
    for (size_t i = 0; i < 3 * DV_LIMIT_FINDINGS; i++) {
        assert_int_equal(dv_buf_append_printf(&text, "{\"a\":\"p%zu@example.com\"}\n", i), DV_OK);
        assert_int_equal(dv_buf_append_str(&wanted, "{\"a\":\"[EMAIL]\"}\n"), DV_OK);
    }
    assert_becomes(MASKS, dv_buf_slice(&text), dv_buf_slice(&wanted));
    assert_int_equal(dv_buf_append_str(&text, "\n{\n"), DV_OK); /* a line that is none */
    assert_int_equal(dv_buf_append_str(&wanted, "\n{\n"), DV_OK);
    assert_becomes(MASKS, dv_buf_slice(&text), dv_buf_slice(&wanted));
    text.ptr[0] = '(';
    wanted.ptr[0] = '(';
    assert_becomes(MASKS, dv_buf_slice(&text), dv_buf_slice(&wanted));
}

static void one_document_has_a_limit(void **state)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 24);
    assert_int_equal(dv_buf_append_str(&text, "["), DV_OK);
    for (size_t i = 0; i <= DV_LIMIT_FINDINGS; i++) {
        assert_int_equal(dv_buf_append_printf(&text, "\"p%zu@example.com\",", i), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&text, "1]"), DV_OK);
    assert_refused(dv_buf_slice(&text), "too much");
}

static void kinds_are_told_by_bytes(void **state)
{
    assert_becomes(MASKS, DV_LIT(""), DV_LIT(""));
    assert_becomes(MASKS, DV_LIT("\xef\xbb\xbf{\"a\":\"bob@example.com\"}"),
                   DV_LIT("\xef\xbb\xbf{\"a\":\"[EMAIL]\"}"));
    assert_becomes(MASKS, DV_LIT(" {\"a\":\"bob\\u0040example.com\"} "),
                   DV_LIT(" {\"a\":\"[EMAIL]\"} "));
    assert_becomes(MASKS, DV_LIT("{a bob@example.com"), DV_LIT("{a [EMAIL]"));
    assert_becomes(MASKS, DV_LIT("<a>4111 1111 1111 1111</a>"), DV_LIT("<a>[CARD ****1111]</a>"));
    assert_refused(DV_LIT("<a>4111 1111 <b>1111</b> 1111</a>"), "/f holds a value across its tags");
    assert_refused(DV_LIT("\xff\xfe"
                          "b\0o\0b\0@\0e\0x\0a\0m\0p\0l\0e\0.\0c\0o\0m\0"),
                   "/f holds a value in UTF-16");
    assert_becomes(MASKS, DV_LIT("\xff\xfeh\0i\0"), DV_LIT("\xff\xfeh\0i\0"));
    assert_refused(
        DV_LIT("\xff\xfe<\0p\0>\0b\0o\0b\0@\0e\0x\0a\0m\0<\0b\0>\0p\0l\0e\0.\0c\0o\0m\0"),
        "/f holds a value in UTF-16");
    assert_refused(DV_LIT("to whom it may concern\n%PDF-1.7"), "/f can not be inspected");
    assert_refused(DV_LIT("\xff\xfeh\0\0\0"), "/f can not be inspected");
    assert_refused(DV_LIT("a\0"), "/f can not be inspected");
    assert_refused(DV_LIT("\xff"), "/f can not be inspected");
    assert_refused(DV_LIT("\xef\xbb\xbf \n%PDF-1.7"), "/f can not be inspected");
    assert_refused(DV_LIT("\x1f\x8b\x08\x00"), "/f can not be unpacked");
    assert_becomes("{\"default\":\"allow\"}", DV_LIT("\x1f\x8b\x08\x00"),
                   DV_LIT("\x1f\x8b\x08\x00"));
}

/* Lines that are no JSON are one text, whatever line stands before it. */
static void values_may_take_several_lines(void **state)
{
    static const char key[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                              "-----END PRIVATE KEY-----";
    static const char *const around[][2] = {
        {"{}\n", "\n{\"a\":\"bob@example.com\"}\nto\n"}, {"{}\n{\n", ""}, {"[1]\n\n{} \n", "\n{}"}};
    for (size_t i = 0; i < DV_ARRAY_LEN(around); i++) {
        dv_auto(buf) dv_buf text = dv_buf_init(1 << 12);
        dv_auto(buf) dv_buf wanted = dv_buf_init(1 << 12);
        assert_int_equal(dv_buf_append_printf(&text, "%s%s%s", around[i][0], key, around[i][1]),
                         DV_OK);
        assert_int_equal(
            dv_buf_append_printf(&wanted, "%s[PRIVATE_KEY]%s", around[i][0],
                                 i == 0 ? "\n{\"a\":\"[EMAIL]\"}\nto\n" : around[i][1]),
            DV_OK);
        assert_becomes(MASKS, dv_buf_slice(&text), dv_buf_slice(&wanted));
    }
}

static void actions_that_alert_or_block(void **state)
{
    assert_becomes("{\"default\":\"alert\"}", DV_LIT("to bob@example.com"),
                   DV_LIT("to bob@example.com"));
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_verdict verdict = {0};
    (void)sent_as("{\"default\":\"block\"}", DV_LIT("to bob@example.com"), arena, &verdict);
    assert_int_equal(verdict.reason, DV_REASON_SENSITIVE_DATA);
    assert_non_null(strstr(verdict.detail, "at /f"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_meet_anywhere),
        cmocka_unit_test(values_have_no_limit_in_text_and_lines),
        cmocka_unit_test(one_document_has_a_limit),
        cmocka_unit_test(kinds_are_told_by_bytes),
        cmocka_unit_test(values_may_take_several_lines),
        cmocka_unit_test(actions_that_alert_or_block),
    };
    return cmocka_run_group_tests(tests, gate_set_up, gate_tear_down);
}
