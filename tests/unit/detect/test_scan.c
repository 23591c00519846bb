/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/caps.h"
#include "engine/detect/detect.h"

static dv_detect_rules *rules;
static dv_detect_scratch *scratch;

static int set_up(void **state)
{
    dv_error error = {0};
    if (dv_detect_rules_builtin(&rules, &error) != DV_OK) {
        print_error("%s\n", error.message);
        return -1;
    }
    return dv_detect_scratch_new(rules, &scratch) == DV_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    dv_detect_scratch_free(scratch);
    dv_detect_rules_free(rules);
    return 0;
}

static dv_detector_set only(size_t detector)
{
    dv_detector_set set = {0};
    dv_detector_set_add(&set, detector);
    return set;
}

static size_t scan(const char *text, const dv_detector_set *enabled, dv_arena *arena,
                   const dv_finding **found)
{
    size_t count = 0;
    assert_int_equal(
        dv_detect_scan(rules, scratch, dv_slice_str(text), 0, enabled, arena, found, &count),
        DV_OK);
    return count;
}

/* Every detector's own examples, alone and among all others. */
static void examples_are_found(void **state)
{
    int missed = 0;
    for (size_t i = 0; i < dv_detect_count(); i++) {
        const dv_detector_info *info = dv_detect_info(i);
        for (size_t e = 0; e < info->example_count; e++) {
            const dv_detector_example *example = &info->examples[e];
            dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
            const dv_finding *found = NULL;
            dv_detector_set alone = only(i);
            size_t count = scan(example->text, &alone, arena, &found);
            if (count != 1 || found[0].start != example->start || found[0].end != example->end) {
                print_error("%s: \"%s\": %zu findings, first [%u, %u), wanted [%u, %u)\n", info->id,
                            example->text, count, count > 0 ? found[0].start : 0,
                            count > 0 ? found[0].end : 0, example->start, example->end);
                missed++;
            }
            count = scan(example->text, &dv_detect_all, arena, &found);
            bool named = false;
            for (size_t f = 0; f < count; f++) {
                named |= strcmp(found[f].detector, info->id) == 0;
            }
            if (!named) {
                print_error("%s: \"%s\": another detector hides it\n", info->id, example->text);
                missed++;
            }
        }
    }
    assert_int_equal(missed, 0);
}

/* ---- placements ---- */

enum { ROUND_MAX = 200, ROUNDS = 24 };

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Lines of words in which nothing is found and that say nothing of what stands beside them. */
static size_t put_lines(char *out, size_t len, uint32_t *random)
{
    static const char *const words[] = {"the",   "river", "went",   "slowly", "by\n",
                                        "green", "and",   "over\n", "hills",  "far"};
    size_t at = 0;
    while (at < len) {
        const char *word = words[next_random(random) % DV_ARRAY_LEN(words)];
        at += (size_t)snprintf(out + at, 16, "%s ", word);
    }
    return at;
}

/* Whether the detector finds the example's value in the text, as it lies at `at`. */
static bool finds_at(const char *text, size_t at, size_t detector,
                     const dv_detector_example *example)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_detector_set alone = only(detector);
    const dv_finding *found = NULL;
    size_t count = scan(text, &alone, arena, &found);
    for (size_t i = 0; i < count; i++) {
        if (found[i].start == at + example->start && found[i].end == at + example->end) {
            return true;
        }
    }
    return false;
}

/* The first stage looks at a text in blocks: wherever in them a value begins or the text ends, it
 * has to see it. Lines in front and behind, of any length. */
static void examples_are_found_wherever_they_stand(void **state)
{
    static char text[2 * ROUND_MAX + 64 + (64 << 10)];
    uint32_t random = 42;
    int missed = 0;
    for (size_t i = 0; i < dv_detect_count(); i++) {
        const dv_detector_info *info = dv_detect_info(i);
        for (size_t e = 0; e < info->example_count; e++) {
            const dv_detector_example *example = &info->examples[e];
            size_t len = strlen(example->text);
            assert_true(len < sizeof(text) - 2 * ROUND_MAX - 64);
            for (int round = 0; round < ROUNDS; round++) {
                size_t at = put_lines(text, next_random(&random) % ROUND_MAX, &random);
                text[at++] = '\n';
                memcpy(text + at, example->text, len);
                size_t end = at + len;
                text[end++] = '\n';
                if (round % 2 == 0) { /* every other one ends with the value's own line */
                    end += put_lines(text + end, next_random(&random) % ROUND_MAX, &random);
                }
                text[end - (round % 4 == 1)] = '\0';
                if (!finds_at(text, at, i, example)) {
                    print_error("%s: not found at %zu of %zu: %s\n", info->id, at, end, text);
                    missed++;
                }
            }
        }
    }
    assert_int_equal(missed, 0);
}

static void counter_examples_are_not(void **state)
{
    int wrong = 0;
    for (size_t i = 0; i < dv_detect_count(); i++) {
        const dv_detector_info *info = dv_detect_info(i);
        for (size_t e = 0; e < info->counter_example_count; e++) {
            dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
            const dv_finding *found = NULL;
            const char *text = info->counter_examples[e].text;
            dv_detector_set alone = only(i);
            if (scan(text, &alone, arena, &found) != 0) {
                print_error("%s: \"%s\": found [%u, %u)\n", info->id, text, found[0].start,
                            found[0].end);
                wrong++;
            }
        }
    }
    assert_int_equal(wrong, 0);
}

/* Cut at any byte, the part that is released never holds a byte of the value. */
static void values_are_held_back_at_every_byte(void **state)
{
    int leaked = 0;
    for (size_t i = 0; i < dv_detect_count(); i++) {
        const dv_detector_info *info = dv_detect_info(i);
        dv_detector_set alone = only(i);
        for (size_t e = 0; e < info->example_count; e++) {
            const dv_detector_example *example = &info->examples[e];
            for (size_t cut = example->start; cut <= example->end; cut++) {
                dv_slice part = dv_slice_of(example->text, cut);
                size_t hold = 0;
                assert_int_equal(dv_detect_hold(rules, scratch, part, 0, &alone, NULL, 0, &hold),
                                 DV_OK);
                if (cut < example->end && hold > example->start) {
                    print_error("%s: \"%.*s\" releases up to %zu\n", info->id, (int)cut,
                                example->text, hold);
                    leaked++;
                }
            }
        }
    }
    assert_int_equal(leaked, 0);
}

static void plain_text_is_not_held(void **state)
{
    static const char *const texts[] = {"Hello there. ", "It is 5 o'clock, ", "a\n", "(see) "};
    for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
        size_t hold = 0;
        assert_int_equal(dv_detect_hold(rules, scratch, dv_slice_str(texts[i]), 0, &dv_detect_all,
                                        NULL, 0, &hold),
                         DV_OK);
        assert_int_equal(hold, strlen(texts[i]));
    }
}

static void values_before_from_are_only_context(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    const char *text = "bob@example.com phone 9876543210";
    const dv_finding *found = NULL;
    size_t count = 0;
    assert_int_equal(dv_detect_scan(rules, scratch, dv_slice_str(text), 22, &dv_detect_all, arena,
                                    &found, &count),
                     DV_OK);
    assert_int_equal(count, 1);
    assert_string_equal(found[0].detector, "phone");
    assert_int_equal(found[0].start, 22);
}

static void overlapping_values_are_one_finding(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    const dv_finding *found = NULL;
    size_t count = scan("https://bob:4111111111111111@example.com/", &dv_detect_all, arena, &found);
    assert_int_equal(count, 1);
    assert_true(found[0].start <= 8 && found[0].end >= 28);
    const dv_detector_set *seen = &found[0].detectors;
    assert_true(dv_detector_set_has(seen, (size_t)dv_detect_index("url_credentials")));
    assert_true(dv_detector_set_has(seen, (size_t)dv_detect_index("payment_card")));
    assert_true(!dv_detector_set_has(seen, (size_t)dv_detect_index("us_ssn")));
}

static const char *const escapes[] = {"\\n", "\\t", "\\r",     "\\\"",    "\\\\", "\\/",
                                      "\\b", "\\f", "\\u0020", "\\u00a0", "\\\\n"};

/* The text of an example with an escape right before the value. */
static dv_slice escaped_example(const dv_detector_example *example, const char *escape,
                                dv_arena *arena)
{
    const char *text = dv_arena_printf(arena, "%.*s%s%s", (int)example->start, example->text,
                                       escape, example->text + example->start);
    assert_non_null(text);
    return dv_slice_str(text);
}

/* Values behind an escape are found whole, begin after it, and are held back at every byte. */
static void escapes_are_boundaries(void **state)
{
    int wrong = 0;
    for (size_t i = 0; i < dv_detect_count() * DV_ARRAY_LEN(escapes); i++) {
        const dv_detector_info *info = dv_detect_info(i / DV_ARRAY_LEN(escapes));
        const char *escape = escapes[i % DV_ARRAY_LEN(escapes)];
        dv_detector_set alone = only(i / DV_ARRAY_LEN(escapes));
        for (size_t e = 0; e < info->example_count; e++) {
            const dv_detector_example *example = &info->examples[e];
            dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
            dv_slice text = escaped_example(example, escape, arena);
            size_t start = example->start + strlen(escape);
            size_t end = example->end + strlen(escape);
            bool letter = strchr("bfnrtu", example->text[example->start]) != NULL;
            if (strcmp(info->id, "url_credentials") == 0 ||
                (letter && strcmp(escape, "\\\\") == 0)) {
                continue; /* stands behind "://" alone; reads as an escape itself */
            }
            const dv_finding *found = NULL;
            size_t count = scan((const char *)text.ptr, &alone, arena, &found);
            if (count != 1 || found[0].start != start || found[0].end != end) {
                print_error("%s: \"%s\": %zu findings, first [%u, %u), wanted [%zu, %zu)\n",
                            info->id, (const char *)text.ptr, count, count > 0 ? found[0].start : 0,
                            count > 0 ? found[0].end : 0, start, end);
                wrong++;
            }
            for (size_t cut = start; cut < end; cut++) {
                size_t hold = 0;
                assert_int_equal(dv_detect_hold(rules, scratch, dv_slice_sub(text, 0, cut), 0,
                                                &alone, NULL, 0, &hold),
                                 DV_OK);
                wrong += hold > start ? 1 : 0;
            }
        }
    }
    assert_int_equal(wrong, 0);
}

/* What is a value only together with the escape's letter takes the whole escape in. */
static void no_finding_begins_within_an_escape(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    const char *text = "x \\np"
                       "m_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const dv_finding *found = NULL;
    assert_int_equal(scan(text, &dv_detect_all, arena, &found), 1);
    assert_int_equal(found[0].start, 2);
    for (size_t cut = 3; cut < strlen(text); cut++) {
        size_t hold = 0;
        assert_int_equal(dv_detect_hold(rules, scratch, dv_slice_of(text, cut), 0, &dv_detect_all,
                                        NULL, 0, &hold),
                         DV_OK);
        assert_true(hold <= 2);
    }
}

/* A value of each detector whose values begin with a prefix that tells them. */
static const char *const prefixed[] = {
    "anthropic_key", "aws_access_key",    "dvara_key",   "github_token",  "gitlab_token",
    "google_key",    "huggingface_token", "jwt",         "npm_token",     "openai_key",
    "pypi_token",    "sendgrid_key",      "slack_token", "slack_webhook", "stripe_key"};

static dv_slice value_of(const char *id)
{
    const dv_detector_example *example = dv_detect_info((size_t)dv_detect_index(id))->examples;
    return dv_slice_of(example->text + example->start, example->end - example->start);
}

static void expect_one_value(dv_slice text, size_t start, size_t end)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    const dv_finding *found = NULL;
    size_t count = 0;
    assert_int_equal(dv_detect_scan(rules, scratch, text, 0, &dv_detect_all, arena, &found, &count),
                     DV_OK);
    if (count != 1 || found[0].start != start || found[0].end != end) {
        fail_msg("\"%.*s\": %zu findings, first [%u, %u)", DV_SLICE_ARGS(text), count,
                 count > 0 ? found[0].start : 0, count > 0 ? found[0].end : 0);
    }
}

/* Whatever of the text came: nothing of the values is let go before their last byte is there. */
static void expect_held(dv_slice text, size_t start, size_t end)
{
    for (size_t cut = start; cut < end; cut++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
        const dv_finding *found = NULL;
        size_t count = 0;
        size_t hold = 0;
        dv_slice part = dv_slice_sub(text, 0, cut);
        assert_int_equal(
            dv_detect_scan(rules, scratch, part, 0, &dv_detect_all, arena, &found, &count), DV_OK);
        assert_int_equal(
            dv_detect_hold(rules, scratch, part, 0, &dv_detect_all, found, count, &hold), DV_OK);
        if (hold > start) {
            fail_msg("\"%.*s\" releases up to %zu", DV_SLICE_ARGS(part), hold);
        }
    }
}

/* Keys with nothing between them are found, all of them, whichever comes first. */
static void glued_values_are_found(void **state)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(prefixed) * DV_ARRAY_LEN(prefixed); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
        dv_slice one = value_of(prefixed[i / DV_ARRAY_LEN(prefixed)]);
        dv_slice other = value_of(prefixed[i % DV_ARRAY_LEN(prefixed)]);
        const char *text =
            dv_arena_printf(arena, "I: %.*s%.*s%.*s%.*s ", DV_SLICE_ARGS(one), DV_SLICE_ARGS(other),
                            DV_SLICE_ARGS(other), DV_SLICE_ARGS(one));
        size_t end = strlen(text) - 1;
        dv_slice whole = dv_slice_str(text);
        expect_one_value(whole, 3, end);
        if (i % 7 == 0) {
            expect_held(whole, 3, end);
        }
    }
}

/* What hides a value hides it still: letters that are nobody's value. */
static void values_glued_to_words_are_not(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    for (size_t i = 0; i < DV_ARRAY_LEN(prefixed); i++) {
        dv_slice value = value_of(prefixed[i]);
        const dv_finding *found = NULL;
        size_t count = 0;
        const char *text = dv_arena_printf(arena, "bob@example.com, x%.*s", DV_SLICE_ARGS(value));
        count = scan(text, &dv_detect_all, arena, &found);
        for (size_t f = 0; f < count; f++) {
            assert_int_not_equal(found[f].start, strlen("bob@example.com, x"));
        }
    }
}

/* However many there are, it takes no more than time in their number. */
static void many_glued_values_are_one(void **state)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    dv_slice token = value_of("github_token");
    for (size_t i = 0; i < 5000; i++) {
        assert_int_equal(dv_buf_append(&text, token), DV_OK);
    }
    expect_one_value(dv_buf_slice(&text), 0, 5000 * token.len);
}

static void repeat(dv_buf *text, const char *piece, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        assert_int_equal(dv_buf_append_str(text, piece), DV_OK);
    }
}

/* A token, with more behind it than a token holds, at whose every third byte another could begin.
 */
static void add_token_of_prefixes(dv_buf *text, const char *behind)
{
    repeat(text, "eyJhbGciOiJIUzI1NiJ9.", 1);
    repeat(text, "eyJ", 1000);
    repeat(text, ".", 1);
    repeat(text, "eyJ", 341);
    repeat(text, "e", 1);
    repeat(text, behind, 1);
    repeat(text, "yJeyJeyJ", 100);
}

/* The least effort with which the text is searched to its end. */
static uint64_t effort_of(dv_slice text)
{
    uint64_t low = 1;
    uint64_t high = UINT64_C(1) << 32;
    while (low < high) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
        const dv_finding *found = NULL;
        size_t count = 0;
        uint64_t middle = (low + high) / 2;
        dv_detect_scratch_hurry(scratch, middle);
        dv_result result =
            dv_detect_scan(rules, scratch, text, 0, &dv_detect_all, arena, &found, &count);
        assert_true(result == DV_OK || result == DV_ERR_AGAIN);
        low = result == DV_OK ? low : middle + 1;
        high = result == DV_OK ? middle : high;
    }
    dv_detect_scratch_hurry(scratch, 0);
    return low;
}

static uint64_t effort_of_pieces(const char *piece, size_t length)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    repeat(&text, piece, length / strlen(piece));
    return effort_of(dv_buf_slice(&text));
}

/* What is read for glued values is paid by its length, and no more is read than the text's length
 * allows: what may be one is taken in, where nobody knows. */
static void reads_for_glued_values_are_bounded(void **state)
{
    dv_auto(buf) dv_buf glued = dv_buf_init(1 << 20);
    dv_auto(buf) dv_buf apart = dv_buf_init(1 << 20);
    add_token_of_prefixes(&glued, "");
    add_token_of_prefixes(&apart, " ");
    uint64_t with = effort_of(dv_buf_slice(&glued));
    uint64_t without = effort_of(dv_buf_slice(&apart));
    assert_in_range(with, without + 8 * glued.len, without + 32 * glued.len);
    expect_one_value(dv_buf_slice(&glued), 0, glued.len);
    expect_held(dv_buf_slice(&glued), 0, glued.len);
    repeat(&glued, ", and so on", 1);
    expect_one_value(dv_buf_slice(&glued), 0, glued.len - strlen(", and so on"));
}

/* The nastiest token costs about what other nasty texts do. */
static void no_text_costs_much_more_than_others(void **state)
{
    static const char *const pieces[] = {"4 ", "1.1.1.", "12-34-56-78-90-", "eyJa.eyJ"};
    dv_auto(buf) dv_buf token = dv_buf_init(1 << 20);
    uint64_t most = 0;
    for (size_t i = 0; i < 4; i++) {
        add_token_of_prefixes(&token, "");
        repeat(&token, " ", 1);
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(pieces); i++) {
        most = DV_MAX(most, effort_of_pieces(pieces[i], token.len));
    }
    assert_in_range(effort_of(dv_buf_slice(&token)), 1, 2 * most);
}

/* Among ordinary text a token ends where it ends. */
static void text_behind_a_token_is_left(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_slice token = value_of("jwt");
    const char *text = dv_arena_printf(arena, "%.*s. Then", DV_SLICE_ARGS(token));
    expect_one_value(dv_slice_str(text), 0, token.len);
    text = dv_arena_printf(arena, "%.*s...%.*s.", DV_SLICE_ARGS(token), DV_SLICE_ARGS(token));
    const dv_finding *found = NULL;
    assert_int_equal(scan(text, &dv_detect_all, arena, &found), 2);
    assert_int_equal(found[0].end, token.len);
    assert_int_equal(found[1].end, 2 * token.len + 3);
}

static void nul_ends_a_value(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    const dv_finding *found = NULL;
    size_t count = 1;
    assert_int_equal(dv_detect_scan(rules, scratch, DV_LIT("4111 1111\0 1111 1111"), 0,
                                    &dv_detect_all, arena, &found, &count),
                     DV_OK);
    assert_int_equal(count, 0);
}

static void too_many_findings_are_an_error(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(16 << 20);
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    for (size_t i = 0; i <= DV_LIMIT_FINDINGS; i++) {
        assert_int_equal(dv_buf_append_str(&text, "a@example.com "), DV_OK);
    }
    const dv_finding *found = NULL;
    size_t count = 0;
    assert_int_equal(dv_detect_scan(rules, scratch, dv_buf_slice(&text), 0, &dv_detect_all, arena,
                                    &found, &count),
                     DV_ERR_TOO_LARGE);
    text.len -= strlen("a@example.com ");
    assert_int_equal(dv_detect_scan(rules, scratch, dv_buf_slice(&text), 0, &dv_detect_all, arena,
                                    &found, &count),
                     DV_OK);
    assert_int_equal(count, DV_LIMIT_FINDINGS);
}

static void ids_are_known(void **state)
{
    assert_true(dv_detect_index("payment_card") >= 0);
    assert_int_equal(dv_detect_index("nothing"), -1);
    assert_null(dv_detect_info(dv_detect_count()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_are_found),
        cmocka_unit_test(examples_are_found_wherever_they_stand),
        cmocka_unit_test(counter_examples_are_not),
        cmocka_unit_test(values_are_held_back_at_every_byte),
        cmocka_unit_test(plain_text_is_not_held),
        cmocka_unit_test(values_before_from_are_only_context),
        cmocka_unit_test(overlapping_values_are_one_finding),
        cmocka_unit_test(escapes_are_boundaries),
        cmocka_unit_test(no_finding_begins_within_an_escape),
        cmocka_unit_test(glued_values_are_found),
        cmocka_unit_test(values_glued_to_words_are_not),
        cmocka_unit_test(many_glued_values_are_one),
        cmocka_unit_test(reads_for_glued_values_are_bounded),
        cmocka_unit_test(no_text_costs_much_more_than_others),
        cmocka_unit_test(text_behind_a_token_is_left),
        cmocka_unit_test(nul_ends_a_value),
        cmocka_unit_test(too_many_findings_are_an_error),
        cmocka_unit_test(ids_are_known),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
