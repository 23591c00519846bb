/* SPDX-License-Identifier: Apache-2.0 */
/* base/markup: what one who reads the page sees. */
#include "base/markup.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void text_of(dv_slice markup, dv_slice expected)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_slice text = {NULL, 0};
    assert_int_equal(dv_markup_text(markup, arena, &text), DV_OK);
    if (!dv_slice_eq(text, expected)) {
        fail_msg("'%.*s', not '%.*s'", DV_SLICE_ARGS(text), DV_SLICE_ARGS(expected));
    }
}

static void joins_what_tags_cut(void **state)
{
    (void)state;
    static const struct {
        const char *markup, *expected;
    } cases[] = {
        {"4<b>1</b>1<i class='x'>1</i>", "4111"},
        {"<w:r><w:t>bob@</w:t></w:r><w:r><w:t>example.com</w:t></w:r></w:p><w:p>x",
         "bob@example.com\nx"},
        {"<c r=\"A1\"><v>1</v></c><c><v>2</v></c><row/>", "1\n2\n\n"},
        {"<P>a<BR>b<br/>c</P>d", "a\nb\nc\nd"},
        {"a<!-- b > c -->d<?xml version=\"1.0\"?>e<!DOCTYPE html>f", "adef"},
        {"a<![CDATA[b<i>c]]>d", "ab<i>cd"},
        {"a<b title=\"1>2\" lang='>'>c", "ac"},
        {"it's <b it's>bold</b>, 'quoted'", "it's bold, 'quoted'"},
        {"1 < 2, 3 <4 <= 5 <", "1 < 2, 3 <4 <= 5 <"},
        {"&lt;&#52;", "&lt;&#52;"},
        {"", ""},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        text_of(dv_slice_str(cases[i].markup), dv_slice_str(cases[i].expected));
    }
    text_of(DV_LIT("a\0<b>\0</b>"), DV_LIT("a\0\0"));
}

/* What never ends hides nothing. */
static void what_does_not_end_is_text(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "<a href=\"4111>", "<!-- 4111", "<![CDATA[4111]]", "<b 4111", "</", "<!", "<?x"};
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        text_of(dv_slice_str(cases[i]), dv_slice_str(cases[i]));
    }
}

static void tells_markup(void **state)
{
    (void)state;
    assert_true(dv_markup_is(DV_LIT("<a>")) && dv_markup_is(DV_LIT("\xef\xbb\xbf\r\n <?xml")));
    assert_false(dv_markup_is(DV_LIT("")) || dv_markup_is(DV_LIT("a<b>")) ||
                 dv_markup_is(DV_LIT(" \n")));
    assert_true(dv_markup_ends_line(DV_LIT("p")) && dv_markup_ends_line(DV_LIT("TD")));
    assert_false(dv_markup_ends_line(DV_LIT("b")) || dv_markup_ends_line(DV_LIT("")));
}

static void memory_is_the_arena_s(void **state)
{
    (void)state;
    dv_auto(arena) dv_arena *arena = dv_arena_new(4096);
    static char markup[8192];
    dv_slice text = {NULL, 0};
    memset(markup, 'a', sizeof(markup));
    assert_int_equal(dv_markup_text(dv_slice_of(markup, sizeof(markup)), arena, &text),
                     DV_ERR_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_what_tags_cut),
        cmocka_unit_test(what_does_not_end_is_text),
        cmocka_unit_test(tells_markup),
        cmocka_unit_test(memory_is_the_arena_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
