/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"

/* Both ways to look for context words are private to the file: the one that reads each byte once
 * (context_before) has to tell the same as the simple one (words_before). */
#include "engine/detect/search.c" /* NOLINT(bugprone-suspicious-include) */

static dv_detect_rules *rules;
static dv_detect_scratch *scratch;

static int set_up(void **state)
{
    return dv_detect_rules_builtin(&rules, NULL) == DV_OK &&
                   dv_detect_scratch_new(rules, &scratch) == DV_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    dv_detect_scratch_free(scratch);
    dv_detect_rules_free(rules);
    return 0;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* A byte at which values with context begin but for letters, and that no word holds. */
static bool may_begin(uint8_t byte)
{
    return isdigit(byte) || byte == '(' || byte == '+' || byte == '/';
}

/* Asks both about the same starts, which go forwards. How often the answer
 * was yes. */
static size_t compare(size_t index, dv_slice text, uint32_t *seed)
{
    const dv_detect_pattern *pattern = &dv_detect_patterns[index];
    size_t distance = dv_detect_rule_table[pattern->detector].context_distance;
    dv_search s = {.rules = rules, .scratch = scratch, .text = text};
    size_t met = 0;
    size_t most = next_random(seed) % 3 == 0 ? 150 : 6;
    memset(scratch->met, 0, dv_detect_pattern_count * sizeof(*scratch->met));
    for (size_t start = 0; start < text.len; start += 1 + next_random(seed) % most) {
        bool wanted = false;
        bool found = false;
        if (!may_begin(text.ptr[start])) {
            continue;
        }
        assert_true(words_before(&s, rules->contexts[pattern->detector], distance, start, &wanted));
        assert_true(context_before(&s, index, start, &found));
        if (found != wanted) {
            print_error("%s, start %zu: %d, should be %d: \"%.*s\"\n",
                        dv_detect_infos[pattern->detector].id, start, found, wanted,
                        DV_SLICE_ARGS(text));
        }
        assert_int_equal(found, wanted);
        met += found;
    }
    return met;
}

static void fill(dv_buf *text, uint32_t *seed)
{
    static const char *const pieces[] = {
        "call",
        "calling",
        "tel",
        "phone ",
        "telephone",
        "reach me at",
        "reach",
        " me ",
        "my number is",
        "social security",
        "soc",
        " sec",
        "ssn",
        "tax id",
        "card",
        "credit ",
        "visa",
        "pan",
        "pan card",
        "permanent account",
        "aadhaar",
        "uid",
        "aws",
        "secret",
        "secrets",
        "access key",
        "access_key",
        "AKIA",
        "a",
        "x",
        " ",
        ".",
        ", ",
        "\n",
        "\\n",
        "\\u0020",
        "\\",
        "4111 ",
        "12345",
        "(0",
        "+1",
        "_",
        "-",
        "hello there and so on, ",
        "\xE0\xA4\x86\xE0\xA4\xA7\xE0\xA4\xBE\xE0\xA4\xB0",
    };
    size_t count = next_random(seed) % 80 + 1;
    size_t among = next_random(seed) % DV_ARRAY_LEN(pieces) + 1;
    size_t first = next_random(seed) % DV_ARRAY_LEN(pieces);
    for (size_t i = 0; i < count; i++) {
        size_t piece = (first + next_random(seed) % among) % DV_ARRAY_LEN(pieces);
        assert_int_equal(dv_buf_append_str(text, pieces[piece]), DV_OK);
    }
}

/* Patterns whose words stand anywhere before the value. */
static bool looks_around(size_t index)
{
    const dv_detect_pattern *pattern = &dv_detect_patterns[index];
    return (pattern->context == DV_CONTEXT_OPTIONAL || pattern->context == DV_CONTEXT_REQUIRED) &&
           !dv_detect_rule_table[pattern->detector].right_before;
}

static void both_ways_tell_the_same(void **state)
{
    uint32_t seed = 11;
    size_t met = 0;
    for (size_t round = 0; round < 500; round++) {
        dv_auto(buf) dv_buf text = dv_buf_init(1 << 16);
        fill(&text, &seed);
        for (size_t i = 0; i < dv_detect_pattern_count; i++) {
            if (looks_around(i)) {
                met += compare(i, dv_buf_slice(&text), &seed);
            }
        }
    }
    assert_in_range(met, 1000, SIZE_MAX);
}

/* A value that begins with a letter right behind a word in a script that has no spaces there. */
static void words_may_touch_values(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    const dv_finding *found = NULL;
    size_t count = 0;
    assert_int_equal(dv_detect_scan(rules, scratch,
                                    DV_LIT("\xE0\xA4\xAA\xE0\xA5\x88\xE0\xA4\xA8"
                                           "abcpe1234f"),
                                    0, &dv_detect_all, arena, &found, &count),
                     DV_OK);
    assert_true(count == 1 && found != NULL && strcmp(found->detector, "pan") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_tell_the_same),
        cmocka_unit_test(words_may_touch_values),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
