/* SPDX-License-Identifier: Apache-2.0 */
/* Users' detectors: found like built-in ones, whole and in pieces; what can't be run is refused. */
#include "engine/detect/custom.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ONE                                                                                        \
    "detectors:\n- id: employee\n  match: '(?<![A-Za-z0-9])EMP-[0-9]{6}(?![0-9])'\n"               \
    "  examples: [\"badge \xe2\x9f\xa6"                                                            \
    "EMP-004711\xe2\x9f\xa7!\"]\n"

static dv_detect_rules *rules;
static dv_detect_scratch *scratch;

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

static dv_detect_custom *read_ok(const char *yaml)
{
    dv_detect_custom *custom = NULL;
    dv_error error = {0};
    if (dv_detect_custom_read(dv_slice_str(yaml), &custom, &error) != DV_OK) {
        fail_msg("line %d: %s", error.line, error.message);
    }
    return custom;
}

static dv_detector_set set_of(const dv_detect_custom *custom)
{
    dv_detector_set set = *dv_detect_standard();
    for (size_t i = 0; i < dv_detect_custom_count(custom); i++) {
        dv_detector_set_add(&set, DV_CUSTOM_FIRST + i);
    }
    return set;
}

/* All findings as "id 6-16,...". */
static void found_in(const dv_detect_custom *custom, dv_slice text, size_t from,
                     const char *expected)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 24);
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 16);
    dv_detector_set set = set_of(custom);
    const dv_finding *found = NULL;
    size_t count = 0;
    dv_detect_scratch_use(scratch, custom);
    assert_int_equal(dv_detect_scan(rules, scratch, text, from, &set, arena, &found, &count),
                     DV_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(dv_buf_append_printf(&out, "%s%s %u-%u", i > 0 ? "," : "",
                                              found[i].detector, found[i].start, found[i].end),
                         DV_OK);
    }
    assert_string_equal(dv_buf_cstr(&out), expected);
    dv_detect_scratch_use(scratch, NULL);
}

static void finds_beside_built_in_ones(void **state)
{
    (void)state;
    dv_auto(detect_custom) dv_detect_custom *custom = read_ok(ONE);
    const dv_detector_info *info = dv_detect_custom_info(custom, DV_CUSTOM_FIRST);
    assert_string_equal(info->label, "EMPLOYEE");
    assert_string_equal(info->type, "EMPLOYEE");
    assert_string_equal(info->category, "personal");
    assert_int_equal(info->request_action, DV_ACTION_PLACEHOLDER);
    assert_int_equal(info->answer_action, DV_ACTION_MASK);
    assert_null(dv_detect_custom_info(custom, DV_CUSTOM_FIRST + 1));
    assert_null(dv_detect_custom_info(custom, 3));
    assert_int_equal(dv_detect_custom_index(custom, "employee"), DV_CUSTOM_FIRST);
    assert_int_equal(dv_detect_custom_index(custom, "other"), -1);
    assert_int_equal(dv_detect_custom_index(NULL, "employee"), -1);
    found_in(custom, DV_LIT("EMP-123456 and bob@example.com"), 0, "employee 0-10,email 15-30");
    found_in(custom, DV_LIT("EMP-123456,EMP-654321;EMP-1234567"), 0,
             "employee 0-10,employee 11-21");
    found_in(custom, DV_LIT("EMP-123456,EMP-654321"), 1, "employee 11-21");
    found_in(custom, DV_LIT("TEMP-123456"), 1, "");
    found_in(custom, DV_LIT("a EMP-12345\0EMP-123456\0"), 0, "employee 12-22");
    found_in(NULL, DV_LIT("EMP-123456"), 0, "");
    found_in(custom, DV_LIT(""), 0, "");
}

/* Wherever it stands, and however much stands before and behind it. */
static void finds_at_every_place(void **state)
{
    (void)state;
    static const struct {
        const char *match;
        const char *value;
    } cases[] = {
        {"P[0-9]{5}", "P12345"},
        {"C[0-9]{3}[A-Z]", "C123A"},
        {"[0-9]{4}-[0-9]{4}", "1234-5678"},
        {"A[A-Za-z0-9]{5}\\w", "AAZaz0_"},
        {"P\\w{5,18}B[a-f0-9]{5}", "PaZ_9aBabcde"},
        {".{4,6}#", "aaaaaa#"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        char yaml[512], text[512], expected[32];
        (void)snprintf(
            yaml, sizeof(yaml),
            "detectors:\n- {id: a, match: '%s', examples: [\"\xe2\x9f\xa6%s\xe2\x9f\xa7\"]}\n",
            cases[i].match, cases[i].value);
        dv_auto(detect_custom) dv_detect_custom *custom = read_ok(yaml);
        size_t len = strlen(cases[i].value);
        for (size_t before = 0; before < 200; before++) {
            for (size_t after = 0; after < 100; after += 7) {
                memset(text, '\n', sizeof(text));
                memcpy(text + before, cases[i].value, len);
                (void)snprintf(expected, sizeof(expected), "a %zu-%zu", before, before + len);
                found_in(custom, dv_slice_of(text, before + len + after), 0, expected);
            }
        }
    }
}

static void looks_around_values(void **state)
{
    (void)state;
    dv_auto(detect_custom) dv_detect_custom *custom =
        read_ok("detectors:\n- {id: a, match: '(?<=ref[=:])[0-9]{6}(?=[^\\n]{0,60};)', examples: "
                "[\"ref=\xe2\x9f\xa6"
                "123456\xe2\x9f\xa7 x;\"]}\n");
    found_in(custom, DV_LIT("ref:654321 and more;"), 0, "a 4-10");
    found_in(custom, DV_LIT("ref:654321 and\nmore;"), 0, "");
    found_in(custom, DV_LIT("ref:654321;"), 4, "a 4-10");
    dv_auto(detect_custom) dv_detect_custom *classes = read_ok(
        "detectors:\n- {id: a, match: '[]x[:digit:]^$[][0-9]{4}[[:upper:]$](?#$[)', examples: "
        "[\"\xe2\x9f\xa6$1234A\xe2\x9f\xa7\"]}\n");
    found_in(classes, DV_LIT("[1234$ ^1234Z"), 0, "a 0-6,a 7-13");
}

static void a_nul_ends_a_value(void **state)
{
    (void)state;
    dv_auto(detect_custom) dv_detect_custom *custom =
        read_ok("detectors:\n- {id: a, match: 'K[^ ]{5,40}', examples: [\"\xe2\x9f\xa6"
                "Kabcdef\xe2\x9f\xa7 x\"]}\n");
    found_in(custom, DV_LIT("Kabcdef\0more Kabc\0def Kabcdefg"), 0, "a 0-7,a 22-30");
}

static void words_are_asked_for(void **state)
{
    (void)state;
    dv_auto(detect_custom) dv_detect_custom *must =
        read_ok("detectors:\n- {id: a, match: '\\b[0-9]{5}\\b', words: [Staff no, \"(id)\"],\n"
                "   distance: 12, examples: [\"staff no \xe2\x9f\xa6"
                "12345\xe2\x9f\xa7\"], counter_examples: [\"12345\", \"staffs no 12345\"]}\n");
    found_in(must, DV_LIT("STAFF NO: 12345"), 0, "a 10-15");
    found_in(must, DV_LIT("(ID) 12345"), 0, "a 5-10");
    found_in(must, DV_LIT("staff no is now 12345"), 0, "");
    found_in(must, DV_LIT("staff\0no 12345"), 0, "");
    dv_auto(detect_custom) dv_detect_custom *may = read_ok(
        "detectors:\n- {id: a, match: '\\b[0-9]{5}\\b', words: [staff], context: optional,\n"
        "   examples: [\"\xe2\x9f\xa6"
        "12345\xe2\x9f\xa7\"]}\n");
    found_in(may, DV_LIT("x 12345"), 0, "a 2-7");
}

static void values_are_checked(void **state)
{
    (void)state;
    dv_auto(detect_custom) dv_detect_custom *luhn =
        read_ok("detectors:\n- {id: a, match: '\\bM[0-9]{8}\\b', check: luhn, examples: "
                "[\"\xe2\x9f\xa6M79927398\xe2\x9f\xa7\"]}\n");
    found_in(luhn, DV_LIT("M79927398 M79927399"), 0, "a 0-9");
    dv_auto(detect_custom) dv_detect_custom *random =
        read_ok("detectors:\n- {id: a, match: 'T[a-z]{8}', entropy: 2.5, caseless: true, examples: "
                "[\"\xe2\x9f\xa6Tqhzkwvbx\xe2\x9f\xa7\"]}\n");
    found_in(random, DV_LIT("TQHZKWVBX, Taaaaaaaa"), 0, "a 0-9");
}

/* Overlaps are one value, so that no part of any stays. */
static void overlaps_are_joined(void **state)
{
    (void)state;
    dv_auto(detect_custom) dv_detect_custom *custom =
        read_ok("detectors:\n- {id: a, match: 'mail: [a-z]{3}', score: 100, examples: "
                "[\"\xe2\x9f\xa6mail: bob\xe2\x9f\xa7\"]}\n");
    found_in(custom, DV_LIT("mail: bob@example.com"), 0, "a 0-21");
}

/* What was told before the hold stays as it is, whatever follows: the text comes byte by byte. */
static void pieces_change_nothing(void **state)
{
    (void)state;
    static const char text[] = "EMP-123456 EMP-12 EMP-654321,EMP-0000009 xEMP-123456 EMP-111111";
    dv_auto(detect_custom) dv_detect_custom *custom = read_ok(ONE);
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 24);
    dv_detector_set set = {{0}};
    dv_detector_set_add(&set, DV_CUSTOM_FIRST);
    dv_slice whole = dv_slice_str(text);
    const dv_finding *all = NULL, *found = NULL;
    size_t all_count = 0, count = 0, told = 0, done = 0;
    dv_detect_scratch_use(scratch, custom);
    assert_int_equal(dv_detect_scan(rules, scratch, whole, 0, &set, arena, &all, &all_count),
                     DV_OK);
    assert_int_equal(all_count, 3);
    for (size_t len = 1; len <= whole.len; len++) {
        dv_slice part = dv_slice_sub(whole, 0, len);
        size_t hold = len;
        assert_int_equal(dv_detect_scan(rules, scratch, part, done, &set, arena, &found, &count),
                         DV_OK);
        if (len < whole.len) {
            assert_int_equal(dv_detect_hold(rules, scratch, part, done, &set, found, count, &hold),
                             DV_OK);
        }
        for (size_t i = 0; i < count && found[i].end <= hold; i++) {
            assert_true(told < all_count && found[i].start == all[told].start &&
                        found[i].end == all[told].end);
            told++;
            done = found[i].end;
        }
        for (size_t i = told; i < all_count; i++) {
            assert_true(hold <= all[i].start || all[i].start >= len); /* no part of it is out */
        }
        done = DV_MAX(done, hold);
        assert_true(len - hold <= 10 || len < 16);
    }
    assert_int_equal(told, all_count);
    dv_detect_scratch_use(scratch, NULL);
}

static void the_same_text_is_read_once(void **state)
{
    (void)state;
    dv_detect_custom *first = read_ok(ONE);
    dv_detect_custom *second = read_ok(ONE);
    assert_ptr_equal(first, second);
    dv_detect_custom *taken = NULL;
    assert_int_equal(dv_detect_custom_take(dv_detect_custom_text(first), &taken, NULL), DV_OK);
    assert_ptr_equal(first, taken);
    dv_detect_custom_free(taken);
    dv_detect_custom_free(first);
    found_in(second, DV_LIT("EMP-123456"), 0, "employee 0-10");
    dv_detect_custom_free(second);
    dv_detect_custom_free(NULL);
}

#define RULE(match, more)                                                                          \
    "detectors:\n- id: a\n  match: '" match "'\n  examples: [\"\xe2\x9f\xa6"                       \
    "aaaaa\xe2\x9f\xa7\"]\n" more

#define MADE(match, check, more)                                                                   \
    "{\"detectors\":[{\"id\":\"a\",\"name\":\"a\",\"type\":\"A\",\"category\":\"personal\","       \
    "\"region\":\"any\",\"label\":\"A\",\"doc\":\"a\",\"match\":\"" match "\",\"ahead\":\"" match  \
    "\",\"words\":\"\",\"check\":\"" check "\",\"request\":1,\"answer\":2,\"score\":80,"           \
    "\"keep_last\":0,\"distance\":0,\"entropy\":0,\"required\":0,\"caseless\":0" more "}]}"

/* What one process read another one takes without trying it again, but not without understanding
 * all of it. */
static void what_is_handed_on_is_taken(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        "{\"detectors\":1}",
        "{\"detectors\":[1]}",
        "{\"detectors\":[{}]}",
        MADE("a{4,}", "", ""),
        MADE("aaaa(", "", ""),
        MADE("aaaab", "none", ""),
        MADE("aaaab", "", ",\"id\":\"b\""),
        MADE("aaaab\\u0000", "", ""),
    };
    dv_detect_custom *taken = NULL;
    assert_int_equal(dv_detect_custom_take(DV_LIT(MADE("aaaab", "", "")), &taken, NULL), DV_OK);
    found_in(taken, DV_LIT("aaaab"), 0, "a 0-5");
    dv_detect_custom_free(taken);
    assert_int_equal(dv_detect_custom_take(DV_LIT(MADE("M[0-9]{8}", "luhn", "")), &taken, NULL),
                     DV_OK);
    found_in(taken, DV_LIT("M79927398 M79927399"), 0, "a 0-9");
    dv_detect_custom_free(taken);
    for (size_t i = 0; i < DV_ARRAY_LEN(wrong); i++) {
        dv_error error = {0};
        assert_int_not_equal(dv_detect_custom_take(dv_slice_str(wrong[i]), &taken, &error), DV_OK);
        assert_true(error.message[0] != '\0');
    }
    static char large[DV_CUSTOM_MADE_MAX + 1];
    memset(large, ' ', sizeof(large));
    assert_int_equal(dv_detect_custom_take(dv_slice_of(large, sizeof(large)), &taken, NULL),
                     DV_ERR_TOO_LARGE);
}

static void what_can_not_be_run_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        int line;
        const char *message;
    } cases[] = {
        {"", 1, "is 'detectors:'"},
        {"detectors: []\n", 1, "is 'detectors:'"},
        {"detectors:\n- 5\n", 2, ""},
        {"other: 1\n", 1, "other"},
        {"detectors:\n- match: x\n", 2, "needs 'id'"},
        {"detectors:\n- id: a\n", 2, "needs 'match'"},
        {"detectors:\n- id: A\n  match: aaaa\n", 2, "of a to z"},
        {"detectors:\n- id: email\n  match: aaaa\n", 2, "there is a detector 'email' already"},
        {"detectors:\n- id: person\n  match: aaaa\n", 2, "there is a detector 'person' already"},
        {RULE("aaaaa", "- id: a\n"), 5, "there is a detector 'a' already"},
        {RULE("aaaaa", "  typo: 1\n"), 5, "typo"},
        {RULE("a{5}(", ""), 3, "is no expression"},
        {RULE("a{4,}", ""), 3, "no greatest length"},
        {RULE("aaaa.*", ""), 3, "no greatest length"},
        {RULE("a{4,513}", ""), 3, "no greatest length"},
        {RULE("(aaaa)\\1", ""), 3, "no greatest length"},
        {RULE("a{3,9}", ""), 3, "fewer than 4 bytes"},
        {RULE("(a{1,9}){1,50}b{3,5}[0-9]", ""), 3, "too many steps"},
        {RULE("(a?){30}a{30}", ""), 3, "too many steps"},
        {RULE("^aaaaa", ""), 3, "in pieces"},
        {RULE("aaaaa$", ""), 3, "in pieces"},
        {RULE("\\Aaaaaa", ""), 3, "in pieces"},
        {RULE("aa\\Kaaa", ""), 3, "in pieces"},
        {RULE("(*COMMIT)aaaaa", ""), 3, "in pieces"},
        {RULE("(?C1)aaaaa", ""), 3, "in pieces"},
        {RULE("aa(?R)aa", ""), 3, "in pieces"},
        {RULE("aaaaa\\", ""), 3, "in pieces"},
        {RULE("[a[]aaaa$", ""), 3, "in pieces"},
        {RULE("[[:alpha:]]aaaa$", ""), 3, "in pieces"},
        {RULE("(?#[)aaaaa$", ""), 3, "in pieces"},
        {RULE("\\c[?aaaaa$", ""), 3, "in pieces"},
        {RULE("[\\Qa]\\Eb]aaaa", ""), 3, "in pieces"},
        {RULE("aaaaa(?=.{0,65})", ""), 3, "ahead more than 64"},
        {RULE("aaaaa(?!.*x)", ""), 3, "ahead more than 64"},
        {RULE("(?<!.{65})aaaaa", ""), 3, "ahead more than 64"},
        {RULE("(a)aaaa(?1)", ""), 3, ""},
        {RULE("(?<n>a)aaaa(?&n)", ""), 3, ""},
        {RULE("aaaa\xc3\xa9", ""), 3, "printable"},
        {RULE("aaaab", ""), 3, "example 1 is not found as it is marked: nothing is"},
        {RULE("a{4}", ""), 3, "example 1 is not found as it is marked"},
        {RULE("aaaaa", "  counter_examples: [\"b\", \"an aaaaab\"]\n"), 5, "counter-example 2"},
        {RULE("aaaaa", "  check: no\n"), 5, "no check is called 'no'"},
        {RULE("aaaaa", "  category: other\n"), 5, "'category' is"},
        {RULE("aaaaa", "  label: small\n"), 5, "'label' is"},
        {RULE("aaaaa", "  type: a b\n"), 5, "'type' is"},
        {RULE("aaaaa", "  name: 'a\"b'\n"), 5, "'name' has"},
        {RULE("aaaaa", "  score: 101\n"), 5, "score"},
        {RULE("aaaaa", "  keep_last: 5\n"), 5, "keep_last"},
        {RULE("aaaaa", "  entropy: x\n"), 5, "'entropy'"},
        {RULE("aaaaa", "  context: required\n"), 5, "'context' wants 'words'"},
        {RULE("aaaaa", "  words: []\n"), 5, "'words' wants"},
        {RULE("aaaaa", "  words: [a]\n  context: maybe\n"), 6, "'context' is"},
        {RULE("aaaaa", "  words: [a]\n  distance: 129\n"), 6, "distance"},
        {RULE("aaaaa", "  words: ['a\\E']\n"), 5, "no \\E"},
        {RULE("aaaaa", "  actions: {request: hash}\n"), 5, "'request' is block"},
        {RULE("aaaaa", "  actions: {answer: placeholder}\n"), 5, "'answer' is block"},
        {"detectors:\n- id: a\n  match: aaaa\n", 2, "'examples' wants"},
        {"detectors:\n- id: a\n  match: aaaa\n  examples: [x]\n", 4, "marks its value"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_detect_custom *custom = NULL;
        dv_error error = {0};
        dv_result result = dv_detect_custom_read(dv_slice_str(cases[i].yaml), &custom, &error);
        if (result == DV_OK || error.line != cases[i].line ||
            strstr(error.message, cases[i].message) == NULL) {
            fail_msg("%s gives %d, line %d: %s", cases[i].yaml, result, error.line, error.message);
        }
    }
}

static dv_result read_many(size_t detectors, size_t match, size_t words, size_t examples)
{
    dv_auto(buf) dv_buf yaml = dv_buf_init(1 << 20);
    dv_detect_custom *custom = NULL;
    assert_int_equal(dv_buf_append_str(&yaml, "detectors:\n"), DV_OK);
    for (size_t i = 0; i < detectors; i++) {
        assert_int_equal(dv_buf_append_printf(&yaml, "- id: a%zu\n  match: 'aaaaa", i), DV_OK);
        for (size_t k = 5; k < match; k++) {
            assert_int_equal(dv_buf_append_str(&yaml, k % 2 == 0 ? "?" : "x"), DV_OK);
        }
        assert_int_equal(dv_buf_append_str(&yaml, "'\n"), DV_OK);
        for (size_t k = 0; k < words; k++) {
            assert_int_equal(dv_buf_append_printf(&yaml, "%sw%zu", k == 0 ? "  words: [" : ", ", k),
                             DV_OK);
        }
        assert_int_equal(dv_buf_append_str(&yaml, words > 0 ? "]\n  examples: [" : "  examples: ["),
                         DV_OK);
        for (size_t k = 0; k < examples; k++) {
            assert_int_equal(dv_buf_append_str(&yaml, "\"w0 \xe2\x9f\xa6"
                                                      "aaaaa\xe2\x9f\xa7\","),
                             DV_OK);
        }
        assert_int_equal(dv_buf_append_str(&yaml, "]\n"), DV_OK);
    }
    dv_result result = dv_detect_custom_read(dv_buf_slice(&yaml), &custom, NULL);
    dv_detect_custom_free(custom);
    return result;
}

static void has_limits(void **state)
{
    (void)state;
    assert_int_equal(read_many(DV_CUSTOM_MAX, 5, 0, 1), DV_OK);
    assert_int_equal(read_many(DV_CUSTOM_MAX + 1, 5, 0, 1), DV_ERR_TOO_LARGE);
    assert_int_equal(read_many(1, DV_CUSTOM_MATCH_MAX + 1, 0, 1), DV_ERR_INVALID);
    assert_int_equal(read_many(1, 5, DV_CUSTOM_WORDS_MAX, 1), DV_OK);
    assert_int_equal(read_many(1, 5, DV_CUSTOM_WORDS_MAX + 1, 1), DV_ERR_INVALID);
    assert_int_equal(read_many(1, 5, 0, DV_CUSTOM_EXAMPLES_MAX), DV_OK);
    assert_int_equal(read_many(1, 5, 0, DV_CUSTOM_EXAMPLES_MAX + 1), DV_ERR_INVALID);
    static char large[DV_CUSTOM_TEXT_MAX + 1];
    dv_detect_custom *custom = NULL;
    memset(large, ' ', sizeof(large));
    assert_int_equal(dv_detect_custom_read(dv_slice_of(large, sizeof(large)), &custom, NULL),
                     DV_ERR_TOO_LARGE);
}

/* A pattern that takes too long at run time, and that no trial foresaw, ends the search with an
 * error, and so does one that somebody is in a hurry for. */
static void too_long_is_an_error(void **state)
{
    (void)state;
    dv_auto(detect_custom) dv_detect_custom *custom =
        read_ok("detectors:\n- id: a\n  match: 'Q((xyzw){1,9}){1,12}![0-9]'\n"
                "  examples: [\"\xe2\x9f\xa6Qxyzw!1\xe2\x9f\xa7\"]\n");
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 24);
    dv_detector_set set = set_of(custom);
    const dv_finding *found = NULL;
    size_t count = 0;
    char text[320] = "Q";
    for (size_t i = 1; i < 301; i++) {
        text[i] = "xyzw"[(i - 1) % 4];
    }
    memcpy(text + 301, "!x !1", 6);
    dv_detect_scratch_use(scratch, custom);
    assert_int_equal(
        dv_detect_scan(rules, scratch, dv_slice_str(text), 0, &set, arena, &found, &count),
        DV_ERR_TOO_LARGE); /* it can be told in very many ways that this is none */
    dv_detect_scratch_hurry(scratch, 1000 * 1000 * 1000);
    assert_int_equal(
        dv_detect_scan(rules, scratch, dv_slice_str(text), 0, &set, arena, &found, &count),
        DV_ERR_AGAIN);
    dv_detect_scratch_hurry(scratch, 0);
    size_t hold = 0;
    text[301] = '\0';
    assert_int_equal(dv_detect_hold(rules, scratch, dv_slice_str(text), 0, &set, NULL, 0, &hold),
                     DV_OK);
    assert_int_equal(hold, 0);
    memcpy(text + 301, "!x", 3);
    assert_int_equal(dv_detect_hold(rules, scratch, dv_slice_str(text), 0, &set, NULL, 0, &hold),
                     DV_ERR_TOO_LARGE);
    memcpy(text + 301, "!2", 3);
    assert_int_equal(
        dv_detect_scan(rules, scratch, dv_slice_str(text), 0, &set, arena, &found, &count), DV_OK);
    assert_int_equal(count, 1);
    dv_detect_scratch_hurry(scratch, 1);
    assert_int_equal(
        dv_detect_scan(rules, scratch, DV_LIT("Qxyzw!1 Qxyzw!1"), 0, &set, arena, &found, &count),
        DV_ERR_AGAIN);
    dv_detect_scratch_hurry(scratch, 0);
    dv_detect_scratch_use(scratch, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_beside_built_in_ones),
        cmocka_unit_test(finds_at_every_place),
        cmocka_unit_test(looks_around_values),
        cmocka_unit_test(a_nul_ends_a_value),
        cmocka_unit_test(words_are_asked_for),
        cmocka_unit_test(values_are_checked),
        cmocka_unit_test(overlaps_are_joined),
        cmocka_unit_test(pieces_change_nothing),
        cmocka_unit_test(the_same_text_is_read_once),
        cmocka_unit_test(what_is_handed_on_is_taken),
        cmocka_unit_test(what_can_not_be_run_is_refused),
        cmocka_unit_test(has_limits),
        cmocka_unit_test(too_long_is_an_error),
    };
    return cmocka_run_group_tests_name("detect-custom", tests, set_up, tear_down);
}
