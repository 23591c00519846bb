/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/line_mask.h"

#include "engine/detect/detect.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static dv_line_mask *mask;

static int make_mask(void **state)
{
    (void)state;
    return dv_line_mask_new(&mask, NULL) == DV_OK ? 0 : -1;
}

static int drop_mask(void **state)
{
    (void)state;
    dv_line_mask_free(mask);
    return 0;
}

static void masked_as(dv_slice line, bool cut, const char *want)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LINE_MASKED_MAX);
    assert_int_equal(dv_line_mask_run(mask, line, cut, &out), DV_OK);
    const char *text = dv_buf_cstr(&out);
    assert_non_null(text);
    assert_string_equal(text, want);
}

static void masked(const char *line, const char *want)
{
    masked_as(dv_slice_str(line), false, want);
}

static void same(const char *line)
{
    masked(line, line);
}

static void test_credentials_are_hidden(void **state)
{
    (void)state;
    masked("key dvk_Ab3dEf9h_0123456789abcdefghijABCDEFGHIJ123456 refused",
           "key dvk_Ab3dEf9h[secret] refused");
    masked("Authorization: Bearer abc.def-ghi", "Authorization: Bearer [secret]");
    masked("authorization=\"bearer tok123\"", "authorization=\"bearer [secret]\"");
    masked("header 'x-api-key: sk-1234567890'", "header 'x-api-key: [secret]'");
    masked("using sk-proj-abcdefgh now", "using sk-[secret] now");
    masked("token ghp_0123456789abcdef", "token ghp_[secret]");
    masked("password=hunter22 ok", "password=[secret] ok");
    masked("password=ab$cd!efgh ok", "password=[secret] ok");
    masked("\"password\": \"two words\", x", "\"password\": \"[secret]\", x");
    masked("BASIC dXNlcjpwYXNz", "BASIC [secret]");
    masked("Cookie: session=0123456789; a=bcdefgh", "Cookie: [secret]");
    masked("set 'Cookie: a=bcdef; b=\"cdefg\"' once", "set 'Cookie: [secret]' once");
    masked("Authorization: AWS4-HMAC-SHA256 Credential=x, Signature=abcdef",
           "Authorization: [secret]");
    masked("Proxy-Authorization: Negotiate YIIabcdef1234", "Proxy-Authorization: [secret]");
    masked("AGE-SECRET-KEY-1QQQQQQQQQQ", "AGE-SECRET-KEY-[secret]");
}

static void test_urls_lose_users_and_queries(void **state)
{
    (void)state;
    masked("can not reach postgres://admin:pw@db:5432/x?sslmode=require: refused",
           "can not reach postgres://[secret]@db:5432/x?[query] refused");
    masked("to https://tok@host/x", "to https://[secret]@host/x");
    masked("request: \"GET /v1/models?name=Erika HTTP/1.1\", host: \"h\"",
           "request: \"GET /v1/models?[query] HTTP/1.1\", host: \"h\"");
    masked("request: \"GET /v1/x?na\"me=Erika HTTP/1.1\", host: \"h\"",
           "request: \"GET /v1/x?[query] HTTP/1.1\", host: \"h\"");
    masked("request: \"GET /v1/a\"b?name=Erika HTTP/1.1\"",
           "request: \"GET /v1/a\"b?[query] HTTP/1.1\"");
    masked("upstream: \"http://localhost:1/x?a=b\", host: \"h\"",
           "upstream: \"http://localhost:1/x?[query]\", host: \"h\"");
    same("is it so? nobody/no one knows? or so?");
    same("mail://x/@me");
}

static void test_what_nginx_quotes_is_hidden(void **state)
{
    (void)state;
    masked("upstream sent invalid header: \"X-Note: Erika said \"no\" \\x0d\" while reading "
           "response header from upstream, client: 127.0.0.1",
           "upstream sent invalid header: \"X-Note: [value]\" while reading "
           "response header from upstream, client: 127.0.0.1");
    masked("upstream sent duplicate header line: \"Content-Length: 12\", previous value: "
           "\"Content-Length: 13\" while reading",
           "upstream sent duplicate header line: \"Content-Length: [value]\", previous value: "
           "\"Content-Length: [value]\" while reading");
    masked("client: 127.0.0.1, referrer: \"https://wiki/Erika Mustermann\"",
           "client: 127.0.0.1, referrer: \"[value]\"");
}

static void test_values_are_hidden(void **state)
{
    (void)state;
    masked("mail of bob@example.com, card 4111 1111 1111 1111, IBAN DE89370400440532013000",
           "mail of [email], card [card], IBAN [iban]");
    masked("GET /users/alice%40example.com HTTP/1.1", "GET /users/[email] HTTP/1.1");
    masked("body YWxpY2VAZXhhbXBsZS5jb20gYW5kIG1vcmU= is odd", "body [email] is odd");
    masked("client: 203.0.113.9, server: ", "client: [ip], server: ");
    masked("a@b.example c@d.example", "[email] [email]");
}

static void test_what_operators_need_stays(void **state)
{
    (void)state;
    same(
        "2026/11/23 09:50:01 [error] 12345#12345: *3 connect() failed (111: Connection refused) "
        "while connecting to upstream, client: 127.0.0.1, server: , request: \"POST "
        "/v1/chat/completions HTTP/1.1\", upstream: \"http://127.0.0.1:8000/v1/chat/completions\", "
        "host: \"127.0.0.1:8080\"");
    same("request 019aaf0e-7c11-7d2b-8f00-1234567890ab failed: database is locked");
    same("request 0c48c79d-aa57-4288-bdd1-ae83e8bac811 failed after 168430304/905124607 bytes");
    same("after 807844841/505953822 bytes, 18446744073709551615 in all, at 1763888000123456789");
    same("SHA-256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
    same("entries 881322559165, [::1]:8443, port 8444 is busy, killed by signal 11");
    same("the bearer is me");
    same("can not open keys/token: No such file, secret: none, disk-usage and task-lists");
    same("dvk_");
    same("");
}

static void test_own_addresses_are_shown(void **state)
{
    (void)state;
    assert_int_equal(dv_line_mask_know(mask, DV_LIT("upstream:\n  url: http://10.20.30.40:8000\n")),
                     DV_OK);
    masked("10.20.30.40:8000 for 10.20.30.41", "10.20.30.40:8000 for [ip]");
    assert_int_equal(dv_line_mask_know(mask, DV_LIT("")), DV_OK);
    masked("10.20.30.40:8000", "[ip]:8000");
}

static void test_control_characters_can_not_forge_lines(void **state)
{
    (void)state;
    masked("a\rb\x1b[31mc", "a?b?[31mc");
    masked_as(DV_LIT("a\0b"), false, "a?b");
    masked("a\xc2\x9b\x33\x31mb \xc2\xa0", "a?31mb \xc2\xa0");
    masked("bad \xff\xfe utf, good \xc3\xa9", "bad ?? utf, good \xc3\xa9");
}

static void test_a_value_at_a_cut_is_hidden(void **state)
{
    (void)state;
    masked_as(DV_LIT("what follows is bob@exam"), true, "what follows is  [cut]");
    masked_as(DV_LIT("what follows is nothing, "), true, "what follows is nothing,  [cut]");
}

static void test_a_limit_withholds(void **state)
{
    static char line[DV_LINE_MAX + 1];
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LINE_MASKED_MAX);
    dv_auto(buf) dv_buf small = dv_buf_init(4);
    (void)state;
    memset(line, 'a', sizeof line);
    assert_int_equal(dv_line_mask_run(mask, dv_slice_of(line, sizeof line), false, &out),
                     DV_ERR_TOO_LARGE);
    assert_int_equal(out.len, 0);
    assert_int_equal(dv_line_mask_run(mask, DV_LIT("longer"), false, &small), DV_ERR_TOO_LARGE);
    assert_int_equal(small.len, 0);
}

static void test_texts_line_by_line(void **state)
{
    size_t withheld = 0;
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    (void)state;
    assert_int_equal(dv_line_mask_text(mask, DV_LIT("one\nof a@b.example\n\nend"), &out, &withheld),
                     DV_OK);
    const char *text = dv_buf_cstr(&out);
    assert_non_null(text);
    assert_string_equal(text, "one\nof [email]\n\nend\n");
    assert_int_equal(withheld, 0);
}

/* A name that no detector has would leave one taking part. */
static void test_those_left_out_exist(void **state)
{
    (void)state;
    for (size_t i = 0; dv_line_mask_left_out[i] != NULL; i++) {
        assert_true(dv_detect_index(dv_line_mask_left_out[i]) >= 0);
    }
    assert_true(dv_detect_index("ip_address") >= 0);
    assert_true(dv_detect_index("iban") >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credentials_are_hidden),
        cmocka_unit_test(test_urls_lose_users_and_queries),
        cmocka_unit_test(test_what_nginx_quotes_is_hidden),
        cmocka_unit_test(test_values_are_hidden),
        cmocka_unit_test(test_what_operators_need_stays),
        cmocka_unit_test(test_own_addresses_are_shown),
        cmocka_unit_test(test_control_characters_can_not_forge_lines),
        cmocka_unit_test(test_a_value_at_a_cut_is_hidden),
        cmocka_unit_test(test_a_limit_withholds),
        cmocka_unit_test(test_texts_line_by_line),
        cmocka_unit_test(test_those_left_out_exist),
    };
    return cmocka_run_group_tests(tests, make_mask, drop_mask);
}
