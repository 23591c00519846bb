/* SPDX-License-Identifier: Apache-2.0 */
/* engine/detect/decode: what is found encoded, where it is said to be, bounds. */
#include "base/codec.h"
#include "engine/detect/decode.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static dv_detect_rules *rules;
static dv_detect_scratch *scratch;

typedef struct seen {
    dv_buf out; /* "detector@start-end " */
    dv_slice rest;
    size_t piece;
} seen;

static dv_result note(void *data, dv_slice text, const dv_finding *finding, uint64_t base)
{
    (void)text;
    seen *s = data;
    unsigned long long start = base + finding->start;
    unsigned long long end = base + finding->end;
    return dv_buf_append_printf(&s->out, "%s@%llu-%llu ", finding->detector, start, end);
}

static dv_result get(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    seen *s = data;
    size_t len = DV_MIN(DV_MIN(s->rest.len, s->piece), room);
    memcpy(out, s->rest.ptr, len);
    s->rest = dv_slice_sub(s->rest, len, SIZE_MAX);
    *ret_len = len;
    return DV_OK;
}

static void find(dv_slice text, bool stream, seen *s)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(256 << 20);
    dv_walk walk = {.rules = rules, .scratch = scratch, .arena = arena, .value = note, .data = s};
    const dv_walk_source source = {get, s};
    walk.enabled = *dv_detect_standard();
    walk.also = dv_decode_also;
    walk.also_data = &walk;
    s->rest = text;
    s->piece = SIZE_MAX;
    assert_int_equal(stream ? dv_walk_stream(&walk, &source) : dv_walk_text(&walk, text), DV_OK);
}

/* The value stands between ⟦ and ⟧. */
static void check(const char *marked, const char *detector)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    dv_slice all = dv_slice_str(marked);
    ptrdiff_t open = dv_slice_find(all, DV_LIT("⟦"));
    ptrdiff_t shut = dv_slice_find(all, DV_LIT("⟧"));
    assert_true(open >= 0 && shut > open);
    assert_int_equal(dv_buf_append(&text, dv_slice_sub(all, 0, (size_t)open)), DV_OK);
    assert_int_equal(
        dv_buf_append(&text, dv_slice_sub(all, (size_t)open + 3, (size_t)(shut - open) - 3)),
        DV_OK);
    assert_int_equal(dv_buf_append(&text, dv_slice_sub(all, (size_t)shut + 3, SIZE_MAX)), DV_OK);
    char expected[128];
    snprintf(expected, sizeof(expected), "%s@%td-%td ", detector, open, shut - 3);
    for (int stream = 0; stream < 2; stream++) {
        seen s = {.out = dv_buf_init(4096)};
        find(dv_buf_slice(&text), stream == 1, &s);
        const char *got = dv_buf_cstr(&s.out);
        if (got == NULL || strcmp(got, expected) != 0) {
            fail_msg("%s: %s instead of %s", marked, got, expected);
        }
        dv_buf_release(&s.out);
    }
}

static void finds_what_is_encoded(void **state)
{
    (void)state;
    check("q=⟦bob%40example.com⟧&x=1", "email");
    check("q=⟦bob%2540example%252Ecom⟧&x=1", "email"); /* twice */
    check("<a>⟦bob&#64;example&period;com⟧</a>", "email");
    check("<a>⟦bob&#x40;example.com⟧</a>", "email");
    check("{\"m\":\"⟦bob\\u0040example.com⟧\"}", "email");
    check("card ⟦４１１１ １１１１ １１１１ １１１１⟧ ok", "payment_card");
    check("card ⟦4111%201111%201111%201111⟧ ok", "payment_card");
    check("card ⟦४१११ ११११ ११११ ११११⟧ ok", "payment_card");
    check("card ⟦4l11 11I1 1111 1l11⟧ ok", "payment_card");
    check("mail ⟦b\u200bob@exa\u00admple.com⟧ ok", "email");
    check("data ⟦Ym9iQGV4YW1wbGUuY29t⟧ end", "email");             /* base64 */
    check("data ⟦626f62406578616d706c652e636f6d⟧20 end", "email"); /* hexadecimal */
    check("data aGVsbG8g⟦Ym9iQGV4YW1wbGUuY29t⟧IGFuZCBtb3Jl end", "email");
    /* Full width in base64, with an S between digits that must not become 5. */
    check("data ⟦772V772T772F772S77yV77yg772F772Y772B772N772Q772M772F77yO772D772P772N⟧ end",
          "email");
    /* A block behind a line of something else that is long. */
    check("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n"
          "⟦Ym9iQGV4YW1wbGUuY29t⟧\nend",
          "email");
    check("plain ⟦bob@example.com⟧ too", "email");
    /* Signs before a block that could be its own. */
    check("\\x777269746520⟦626f62406578616d706c652e636f6d⟧20", "email");
    check("0x777269746520⟦626f62406578616d706c652e636f6d⟧20", "email");
    check("a777269746520⟦626f62406578616d706c652e636f6d⟧20", "email");
    check("https://h/unsubscribe/now/aGVsbG8g⟦Ym9iQGV4YW1wbGUuY29t⟧IGFuZCBtb3Jl?x", "email");
    check("token-a_aGVsbG8g⟦Ym9iQGV4YW1wbGUuY29t⟧IGFuZCBtb3Jl", "email");
    /* Numbers of characters in other lengths. */
    check("<a>⟦bob&#0000000000064;example.com⟧</a>", "email");
    check("<a>⟦bob&#x000000000040;example.com⟧</a>", "email");
    check("x = \"⟦bob\\u{40}example.com⟧\"", "email");
    check("x = \"⟦bob\\U00000040example.com⟧\"", "email");
}

static void maps_to_the_bytes_of_the_original(void **state)
{
    (void)state;
    /* A run is told without its padding. */
    seen s = {.out = dv_buf_init(4096)};
    find(DV_LIT("x Ym9iJTQwZXhhbXBsZS5jb20= y"), false, &s);
    assert_string_equal(dv_buf_cstr(&s.out), "email@2-25 ");
    dv_buf_clear(&s.out);
    static const uint8_t utf16[] = "m\0a\0i\0l\0 \0b\0o\0b\0@\0e\0x\0.\0o\0r\0g\0 \0";
    find(dv_slice_of(utf16, sizeof(utf16) - 1), false, &s);
    assert_string_equal(dv_buf_cstr(&s.out), "email@10-30 ");
    dv_buf_release(&s.out);
}

/* base64 within base64 within base64 is opened, a fourth one is not. */
static void is_bounded_in_depth(void **state)
{
    (void)state;
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 16);
    assert_int_equal(dv_buf_append_str(&text, "write to bob@example.com today"), DV_OK);
    for (int depth = 1; depth <= DV_DECODE_DEPTH + 1; depth++) {
        dv_auto(buf) dv_buf next = dv_buf_init(1 << 16);
        seen s = {.out = dv_buf_init(4096)};
        assert_int_equal(dv_base64_encode(dv_buf_slice(&text), &next), DV_OK);
        find(dv_buf_slice(&next), false, &s);
        assert_int_equal(s.out.len > 0, depth <= DV_DECODE_DEPTH);
        dv_buf_clear(&text);
        assert_int_equal(dv_buf_append(&text, dv_buf_slice(&next)), DV_OK);
        dv_buf_release(&s.out);
    }
}

/* Encoded values at every place around the border of a window are found once each. */
static void finds_over_windows(void **state)
{
    (void)state;
    static const char *const pieces[] = {"m bob%40example.com . ", "Ym9iQGV4YW1wbGUuY29t = ",
                                         "４１１１ １１１１ １１１１ １１１１, "};
    for (size_t p = 0; p < DV_ARRAY_LEN(pieces); p++) {
        dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
        size_t count = 0, got = 0;
        while (text.len < 600 << 10) {
            assert_int_equal(dv_buf_append_str(&text, pieces[p]), DV_OK);
            count++;
        }
        seen s = {.out = dv_buf_init(16 << 20)};
        find(dv_buf_slice(&text), true, &s);
        for (size_t i = 0; i < s.out.len; i++) {
            got += s.out.ptr[i] == ' ';
        }
        assert_int_equal(got, count);
        dv_buf_release(&s.out);
    }
}

static int set_up(void **state)
{
    (void)state;
    return dv_detect_rules_builtin(&rules, NULL) == DV_OK &&
                   dv_detect_scratch_new(rules, &scratch) == DV_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    dv_detect_scratch_free(scratch);
    dv_detect_rules_free(rules);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_encoded),
        cmocka_unit_test(maps_to_the_bytes_of_the_original),
        cmocka_unit_test(is_bounded_in_depth),
        cmocka_unit_test(finds_over_windows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
