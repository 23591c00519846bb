/* SPDX-License-Identifier: Apache-2.0 */
/* engine/detect/action/sealed: tokens that carry their value. */
#include "base/codec.h"
#include "engine/detect/action/action.h"
#include "engine/detect/action/sealed.h"
#include "engine/detect/action/vault.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint8_t key[32] = {1, 2, 3};
static const uint8_t other_key[32] = {9};
static dv_siv *siv;

static int set_up(void **state)
{
    return dv_sealed_new(key, &siv) == DV_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    dv_siv_free(siv);
    return 0;
}

static dv_buf token_of(dv_slice value)
{
    dv_buf token = dv_buf_init(DV_SEALED_TOKEN_MAX);
    assert_int_equal(dv_sealed_token(siv, value, &token), DV_OK);
    return token;
}

static void assert_opens(dv_slice token, dv_slice value)
{
    dv_auto(buf) dv_buf opened = dv_buf_init(DV_SEALED_VALUE_MAX + 8);
    assert_int_equal(dv_sealed_open(siv, token, &opened), DV_OK);
    assert_true(dv_slice_eq(dv_buf_slice(&opened), value));
}

static void assert_none(dv_slice token)
{
    dv_auto(buf) dv_buf opened = dv_buf_init(1024);
    assert_int_equal(dv_sealed_open(siv, token, &opened), DV_ERR_NOT_FOUND);
    assert_int_equal(opened.len, 0);
}

static void values_of_every_length_come_back(void **state)
{
    uint8_t value[DV_SEALED_VALUE_MAX + 1];
    for (size_t len = 1; len <= DV_SEALED_VALUE_MAX; len++) {
        memset(value, (int)(len % 3 == 0 ? 0 : len % 3 == 1 ? 0x80 : 'v'), len);
        dv_auto(buf) dv_buf token = token_of(dv_slice_of(value, len));
        dv_auto(buf) dv_buf again = token_of(dv_slice_of(value, len));
        assert_true(dv_slice_eq(dv_buf_slice(&token), dv_buf_slice(&again)));
        assert_int_equal(token.len, DV_SEALED_HEAD_LEN + DV_SEALED_BLOCK_LEN * (2 + (len / 8 + 1)));
        assert_int_equal(dv_sealed_length(dv_buf_slice(&token), 0), token.len);
        assert_true(dv_base62_is(dv_slice_sub(dv_buf_slice(&token), 4, token.len)));
        assert_opens(dv_buf_slice(&token), dv_slice_of(value, len));
    }
    dv_auto(buf) dv_buf none = dv_buf_init(DV_SEALED_TOKEN_MAX);
    assert_int_equal(dv_sealed_token(siv, dv_slice_of(value, sizeof(value)), &none),
                     DV_ERR_INVALID);
    assert_int_equal(dv_sealed_token(siv, dv_slice_of(value, 0), &none), DV_ERR_INVALID);
    assert_int_equal(none.len, 0);
}

static void another_key_opens_nothing(void **state)
{
    dv_auto(siv) dv_siv *other = NULL;
    dv_auto(buf) dv_buf token = token_of(DV_LIT("bob@example.com"));
    dv_auto(buf) dv_buf theirs = dv_buf_init(DV_SEALED_TOKEN_MAX), opened = dv_buf_init(1024);
    assert_int_equal(dv_sealed_new(other_key, &other), DV_OK);
    assert_int_equal(dv_sealed_open(other, dv_buf_slice(&token), &opened), DV_ERR_NOT_FOUND);
    assert_int_equal(opened.len, 0);
    assert_int_equal(dv_sealed_token(other, DV_LIT("bob@example.com"), &theirs), DV_OK);
    assert_false(dv_slice_eq(dv_buf_slice(&token), dv_buf_slice(&theirs)));
}

static void what_was_changed_does_not_open(void **state)
{
    static const char others[] = "0Az9_-\xff";
    dv_auto(buf) dv_buf token = token_of(DV_LIT("4111 1111 1111 1111"));
    for (size_t i = 0; i < token.len; i++) {
        uint8_t was = token.ptr[i];
        for (size_t k = 0; k < sizeof(others); k++) {
            token.ptr[i] = (uint8_t)others[k];
            if (token.ptr[i] != was) {
                assert_none(dv_buf_slice(&token));
            }
        }
        token.ptr[i] = was;
        assert_none(dv_slice_sub(dv_buf_slice(&token), 0, i));
    }
    assert_none(DV_LIT(""));
    assert_int_equal(dv_buf_append_byte(&token, '0'), DV_OK);
    assert_none(dv_buf_slice(&token)); /* one digit too many */
}

/* 62^11 is more than 2^64: digits that stand for more bytes than there are would be other texts of
 * the same token. */
static void digits_beyond_eight_bytes_are_refused(void **state)
{
    char token[] = "dvs_1zzzzzzzzzzz0000000000000000000000";
    assert_int_equal(dv_sealed_length(dv_slice_str(token), 0), sizeof(token) - 1);
    assert_none(dv_slice_str(token));
    token[4] = '0'; /* no block of a value */
    assert_int_equal(dv_sealed_length(dv_slice_str(token), 0), 0);
    token[4] = 'z'; /* and as many as fit */
    assert_int_equal(dv_sealed_length(dv_slice_str(token), 0), 0);
}

static void a_token_is_found_around_what_stands_in_it(void **state)
{
    dv_auto(buf) dv_buf token = token_of(DV_LIT("bob@example.com"));
    dv_auto(buf) dv_buf text = dv_buf_init(4096);
    assert_int_equal(dv_buf_append_str(&text, "key=x_dv_dvs_1 "), DV_OK);
    size_t at = text.len;
    assert_int_equal(dv_buf_append(&text, dv_buf_slice(&token)), DV_OK);
    assert_int_equal(dv_buf_append_str(&text, " end"), DV_OK);
    dv_slice all = dv_buf_slice(&text);
    for (size_t start = at; start < at + token.len; start++) {
        dv_slice found = dv_sealed_around(all, start, at + token.len);
        assert_true(found.ptr == all.ptr + at && found.len == token.len);
        found = dv_sealed_around(all, start, start + 1);
        assert_true(found.ptr == all.ptr + at && found.len == token.len);
    }
    /* What begins before it, or ends behind it, is more than the token. */
    assert_int_equal(dv_sealed_around(all, at - 1, at + token.len).len, 0);
    assert_int_equal(dv_sealed_around(all, at, at + token.len + 1).len, 0);
    assert_int_equal(dv_sealed_around(all, 0, 3).len, 0);
    assert_int_equal(dv_sealed_around(all, all.len, all.len).len, 0);
    assert_int_equal(dv_sealed_around(DV_LIT(""), 0, 0).len, 0);
}

/* ---- as an action ---- */

static const char *act(const uint8_t *with, dv_action action, dv_slice text)
{
    static char out[1024];
    dv_auto(action_tools) dv_action_tools *tools = NULL;
    dv_auto(buf) dv_buf made = dv_buf_init(sizeof(out) - 1);
    assert_int_equal(dv_action_tools_new(with, NULL, &tools), DV_OK);
    const dv_action_value value = {.text = text, .label = "KIND"};
    dv_result result = dv_action_apply(tools, &action, &value, &made);
    if (result != DV_OK) {
        assert_int_equal(made.len, 0);
        return dv_result_name(result);
    }
    dv_slice_copy(dv_buf_slice(&made), out, sizeof(out));
    return out;
}

static void the_action_needs_no_vault(void **state)
{
    static const dv_action make = {.kind = DV_ACT_TOKEN, .sealed = true};
    static const dv_action open = {.kind = DV_ACT_TOKEN, .reverse = true};
    static const dv_action random = {.kind = DV_ACT_TOKEN};
    char token[DV_SEALED_TOKEN_MAX + 1], longest[DV_SEALED_VALUE_MAX + 2];
    (void)snprintf(token, sizeof(token), "%s", act(key, make, DV_LIT("bob@example.com")));
    assert_opens(dv_slice_str(token), DV_LIT("bob@example.com"));
    assert_string_equal(act(key, make, dv_slice_str(token)), token); /* it is one already */
    assert_string_equal(act(key, open, dv_slice_str(token)), "bob@example.com");
    assert_string_equal(act(other_key, open, dv_slice_str(token)),
                        dv_result_name(DV_ERR_NOT_FOUND));
    assert_string_not_equal(act(other_key, make, dv_slice_str(token)), token); /* it is theirs */
    assert_string_equal(act(NULL, make, DV_LIT("bob")), dv_result_name(DV_ERR_UNSUPPORTED));
    assert_string_equal(act(NULL, open, dv_slice_str(token)), dv_result_name(DV_ERR_UNSUPPORTED));
    assert_string_equal(act(key, random, DV_LIT("bob")), dv_result_name(DV_ERR_UNSUPPORTED));
    assert_string_equal(act(key, open, DV_LIT("dvt_0000000000000000000000")),
                        dv_result_name(DV_ERR_NOT_FOUND));
    memset(longest, 'x', sizeof(longest));
    assert_string_equal(act(key, make, dv_slice_of(longest, DV_SEALED_VALUE_MAX + 1)), "[KIND]");
    assert_memory_equal(act(key, make, dv_slice_of(longest, DV_SEALED_VALUE_MAX)), "dvs_", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_length_come_back),
        cmocka_unit_test(another_key_opens_nothing),
        cmocka_unit_test(what_was_changed_does_not_open),
        cmocka_unit_test(digits_beyond_eight_bytes_are_refused),
        cmocka_unit_test(a_token_is_found_around_what_stands_in_it),
        cmocka_unit_test(the_action_needs_no_vault),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
