/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "engine/detect/detect_rules.h"

/* With the sieve a search finds the same as without it. */

enum { BLOCK = 64 }; /* bytes that the sieve's pass reads at once */

static dv_detect_rules *rules;
static dv_detect_rules plain; /* the same rules without their sieve */
static dv_detect_scratch *scratch;

static int set_up(void **state)
{
    if (dv_detect_rules_builtin(&rules, NULL) != DV_OK) {
        return -1;
    }
    plain = *rules;
    plain.sieve = NULL;
    return dv_detect_scratch_new(rules, &scratch) == DV_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    dv_detect_scratch_free(scratch);
    dv_detect_rules_free(rules);
    return 0;
}

static bool same(const dv_finding *a, const dv_finding *b)
{
    return a->detector == b->detector && a->start == b->start && a->end == b->end &&
           a->score == b->score && memcmp(&a->detectors, &b->detectors, sizeof(a->detectors)) == 0;
}

/* Searches both ways and compares; returns how many findings there are. */
static size_t compare(dv_slice text, size_t from, const dv_detector_set *enabled)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(4 << 20);
    const dv_finding *wanted = NULL;
    const dv_finding *found = NULL;
    size_t wanted_count = 0;
    size_t count = 0;
    assert_int_equal(
        dv_detect_scan(&plain, scratch, text, from, enabled, arena, &wanted, &wanted_count), DV_OK);
    assert_int_equal(dv_detect_scan(rules, scratch, text, from, enabled, arena, &found, &count),
                     DV_OK);
    bool equal = count == wanted_count;
    for (size_t i = 0; equal && i < count; i++) {
        equal = same(&wanted[i], &found[i]);
    }
    if (!equal) {
        print_error("from %zu: %zu findings, %zu without the sieve: \"%.*s\"\n", from, count,
                    wanted_count, DV_SLICE_ARGS(text));
    }
    assert_true(equal);
    return count;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static const char prose[] =
    "The committee met on Tuesday and agreed that the new library should open before winter, even "
    "if the upper floor is not ready. Some members asked for longer hours; others, for more "
    "light. ";

/* A text with `lead` bytes of prose before it and `tail` behind it. */
static void surround(dv_buf *out, size_t lead, dv_slice text, size_t tail)
{
    out->len = 0;
    for (size_t left = lead; left > 0;) {
        size_t piece = DV_MIN(left, sizeof(prose) - 1);
        assert_int_equal(dv_buf_append(out, dv_slice_of(prose + sizeof(prose) - 1 - piece, piece)),
                         DV_OK);
        left -= piece;
    }
    assert_int_equal(dv_buf_append(out, text), DV_OK);
    assert_int_equal(dv_buf_append(out, dv_slice_of(prose, DV_MIN(tail, sizeof(prose) - 1))),
                     DV_OK);
}

/* One example at every offset within a block, near the end of the text and far from it. */
static void compare_everywhere(const dv_detector_example *example, const dv_detector_set *enabled)
{
    dv_slice text = dv_slice_of(example->text, strlen(example->text));
    dv_auto(buf) dv_buf whole = dv_buf_init(1 << 16);
    for (size_t lead = 0; lead < 3 * BLOCK; lead += 1 + lead / BLOCK * 6) {
        for (size_t tail = 0; tail <= 2 * BLOCK; tail += 1 + lead % BLOCK) {
            surround(&whole, lead, text, tail);
            compare(dv_buf_slice(&whole), 0, enabled);
            compare(dv_buf_slice(&whole), DV_MIN(lead + tail % 7, whole.len), enabled);
        }
    }
}

/* Keys of services are told by patterns that are alike: of those, a sample does. */
static bool is_sampled(size_t detector)
{
    return strcmp(dv_detect_info(detector)->category, "credential") != 0 || detector % 16 == 0;
}

static void every_example_at_every_offset(void **state)
{
    for (size_t i = 0; i < dv_detect_count(); i++) {
        if (!is_sampled(i)) {
            continue;
        }
        const dv_detector_info *info = dv_detect_info(i);
        dv_detector_set alone = {0};
        dv_detector_set_add(&alone, i);
        for (size_t e = 0; e < info->example_count; e++) {
            compare_everywhere(&info->examples[e], &dv_detect_all);
        }
        for (size_t e = 0; e < info->counter_example_count; e++) {
            compare_everywhere(&info->counter_examples[e], &alone);
        }
    }
}

/* Values far apart, with more prose between than one part takes in, and all at once. */
static void examples_far_apart(void **state)
{
    uint32_t seed = 7;
    for (size_t round = 0; round < 200; round++) {
        dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
        size_t found = 0;
        for (size_t i = 0; i < 6; i++) {
            const dv_detector_info *info = dv_detect_info(next_random(&seed) % dv_detect_count());
            const dv_detector_example *example =
                &info->examples[next_random(&seed) % info->example_count];
            for (size_t left = next_random(&seed) % 1200; left > 0;) {
                size_t piece = DV_MIN(left, sizeof(prose) - 1);
                assert_int_equal(dv_buf_append(&text, dv_slice_of(prose, piece)), DV_OK);
                left -= piece;
            }
            assert_int_equal(dv_buf_append_byte(&text, ' '), DV_OK);
            assert_int_equal(dv_buf_append_str(&text, example->text), DV_OK);
            assert_int_equal(dv_buf_append_byte(&text, '\0'), DV_OK);
        }
        found += compare(dv_buf_slice(&text), 0, &dv_detect_all);
        compare(dv_buf_slice(&text), next_random(&seed) % text.len, &dv_detect_all);
        assert_true(found > 0);
    }
}

/* Texts of bytes and words that values are made of, so that nearly all of it matters. */
static void texts_at_random(void **state)
{
    static const char *const pieces[] = {"5550132",
                                         "1",
                                         "4",
                                         "41111",
                                         "9876543210",
                                         " ",
                                         "  ",
                                         ".",
                                         "-",
                                         "(",
                                         ")",
                                         "/",
                                         "+",
                                         "+1",
                                         "x",
                                         "ext. ",
                                         "\xC2\xA0",
                                         "\xE2",
                                         "\x80\x93",
                                         "\xE2\x80\x91",
                                         "\\n",
                                         "\\u0031",
                                         "\\",
                                         "\n",
                                         "\0",
                                         "call ",
                                         "tel",
                                         "phone",
                                         "ssn",
                                         "card",
                                         "pan ",
                                         "aws",
                                         "secret",
                                         "access key",
                                         "AKIA",
                                         "@",
                                         "a@b.co",
                                         "example.com",
                                         "://",
                                         ":",
                                         "::1",
                                         "fe80",
                                         "sk-",
                                         "eyJ",
                                         "eyJhbGciOi.eyJ",
                                         "ABCDE1234F",
                                         "GB29NWBK",
                                         "ab12",
                                         "wJalrXUtnFEMI/K7MD",
                                         "hello",
                                         "the ",
                                         "\xE0\xA4\x86\xE0\xA4\xA7\xE0\xA4\xBE\xE0\xA4\xB0"};
    uint32_t seed = 1;
    size_t found = 0;
    for (size_t round = 0; round < 20000; round++) {
        dv_auto(buf) dv_buf text = dv_buf_init(1 << 16);
        size_t count = next_random(&seed) % 60 + 1;
        size_t among = next_random(&seed) % DV_ARRAY_LEN(pieces) + 1;
        size_t first = next_random(&seed) % DV_ARRAY_LEN(pieces);
        for (size_t i = 0; i < count; i++) {
            const char *piece = pieces[(first + next_random(&seed) % among) % DV_ARRAY_LEN(pieces)];
            dv_slice bytes = dv_slice_of(piece, DV_MAX(strlen(piece), (size_t)1));
            assert_int_equal(dv_buf_append(&text, bytes), DV_OK);
        }
        found += compare(dv_buf_slice(&text), 0, &dv_detect_all);
        compare(dv_buf_slice(&text), next_random(&seed) % text.len, &dv_detect_all);
    }
    assert_true(found > 1000);
}

static void bytes_at_random(void **state)
{
    uint32_t seed = 3;
    for (size_t round = 0; round < 5000; round++) {
        uint8_t text[512];
        size_t len = next_random(&seed) % sizeof(text);
        uint8_t low = (uint8_t)next_random(&seed);
        size_t span = next_random(&seed) % 256 + 1;
        for (size_t i = 0; i < len; i++) {
            text[i] = (uint8_t)(low + next_random(&seed) % span);
        }
        compare(dv_slice_of(text, len), 0, &dv_detect_all);
    }
}

/* The pass alone: whatever the bytes, it stops wherever the grams are. */
static void pass_stops_at_every_gram(void **state)
{
    if (rules->sieve == NULL) {
        skip(); /* a processor without AVX2 has none */
    }
    uint32_t seed = 5;
    for (size_t round = 0; round < 3000; round++) {
        uint8_t text[300];
        size_t len = next_random(&seed) % sizeof(text);
        for (size_t i = 0; i < len; i++) {
            text[i] = (uint8_t) "AKISx@+:-._19 eyJskawsGB"[next_random(&seed) % 24];
        }
        dv_slice slice = dv_slice_of(text, len);
        bool stopped[sizeof(text)] = {false};
        size_t at = next_random(&seed) % (len + 1);
        size_t first = at;
        for (uint64_t stops = 0; (stops = dv_sieve_next(rules->sieve, slice, &at)) != 0; at += 64) {
            for (; stops != 0; stops &= stops - 1) {
                stopped[at + (size_t)__builtin_ctzll(stops)] = true;
            }
        }
        for (size_t i = first; i < len; i++) {
            assert_true(stopped[i] || dv_sieve_grams(rules->sieve, slice, i) == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_example_at_every_offset),
        cmocka_unit_test(examples_far_apart),
        cmocka_unit_test(texts_at_random),
        cmocka_unit_test(bytes_at_random),
        cmocka_unit_test(pass_stops_at_every_gram),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
