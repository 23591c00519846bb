/* SPDX-License-Identifier: Apache-2.0 */
/* What a stream keeps: 16 KiB at most, after one event and after a hundred thousand. */
#include "data_test.h"

#include <malloc.h>
#include <unistd.h>

enum { ARENA = 64 << 20, OUT_MAX = 8 << 20, EVENTS = 100000 };

typedef struct fixture {
    dv_arena *arena;
    dv_data_policy *policy;
    dv_data_stream *stream;
    dv_verdict verdict;
    dv_buf out;
    size_t most; /* that the stream kept between events */
} fixture;

static fixture fixture_new(dv_stream_format format)
{
    fixture f = {
        .arena = dv_arena_new(ARENA), .policy = policy_of(MASKS), .out = dv_buf_init(OUT_MAX)};
    assert_int_equal(dv_buf_reserve(&f.out, 1 << 20), DV_OK);
    assert_int_equal(
        dv_data_stream_new(gate, f.policy, context_of("u", f.arena), format, f.arena, &f.stream),
        DV_OK);
    dv_verdict_allow(&f.verdict, "test");
    return f;
}

static void fixture_release(fixture *f)
{
    dv_arena_free(f->arena);
    dv_data_policy_free(f->policy);
    dv_buf_release(&f->out);
}

static void feed(fixture *f, const char *event)
{
    dv_buf_clear(&f->out);
    assert_int_equal(
        dv_data_stream_feed(f->stream, dv_slice_str(event), false, &f->out, &f->verdict), DV_OK);
    if (f->verdict.decision == DV_ALLOW) {
        f->most = DV_MAX(f->most, dv_data_stream_memory(f->stream));
    }
}

static void feed_text(fixture *f, const char *before, const char *text, const char *after)
{
    char event[16 << 10];
    assert_in_range(snprintf(event, sizeof(event), "%s%s%s", before, text, after), 1,
                    sizeof(event) - 1);
    feed(f, event);
}

#define CHUNK "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\""
#define CHUNK_END "\"}}]}\n\n"

/* Bytes that malloc gave out; 0 where a sanitizer has it. */
static size_t allocated(void)
{
#ifdef DV_SANITIZED
    return 0;
#else
    return mallinfo2().uordblks;
#endif
}

static const char *const words[] = {"Well, ",    "bob@exam",       "ple.com ",      "it costs 12",
                                    ".50 (or 4", "111 1111 1111 ", "1111) today, ", "10.1.2.3 "};

/* An hour of text with values in it: the memory of the tenth event is that of the last. */
static void hours_of_events_keep_no_more(void **state)
{
    fixture f = fixture_new(DV_STREAM_OPENAI);
    for (size_t i = 0; i < 800; i++) {
        feed_text(&f, CHUNK, words[i % DV_ARRAY_LEN(words)], CHUNK_END);
    }
    size_t before = allocated();
    size_t most = f.most;
    for (size_t i = 0; i < EVENTS; i++) {
        feed_text(&f, CHUNK, words[i % DV_ARRAY_LEN(words)], CHUNK_END);
        assert_int_equal(f.verdict.decision, DV_ALLOW);
    }
    assert_int_equal(f.most, most);
    assert_in_range(allocated(), before > 1024 ? before - 1024 : 0, before + 1024);
    assert_true(f.most <= 4 << 10);
    dv_data_outcome outcome;
    int64_t tokens = 0;
    dv_data_stream_outcome(f.stream, &outcome, &tokens, &tokens);
    assert_int_equal(outcome.sighting_count, 3); /* of each kind at one place, with how often */
    uint32_t times = 0;
    for (size_t i = 0; i < outcome.sighting_count; i++) {
        times += outcome.sightings[i].times;
    }
    assert_in_range(times, (EVENTS / 8) * 3, (EVENTS / 8 + 101) * 3);
    fixture_release(&f);
}

/* What the count says is what malloc gave. */
static void the_count_is_not_too_small(void **state)
{
    fixture f = fixture_new(DV_STREAM_OPENAI);
    feed_text(&f, CHUNK, "warm up, ", CHUNK_END);
    fixture_release(&f); /* the gate's own memory is there now */
    size_t before = allocated();
    f = fixture_new(DV_STREAM_OPENAI);
    size_t fixed = allocated();
    for (size_t i = 0; i < 60; i++) {
        feed_text(&f, CHUNK,
                  i == 0 ? "-----BEGIN PRIVATE KEY-----\\n"
                         : "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3vVpguoRK9JLsLMREScVpezJpGXA7rAMcrn9gA\\n",
                  CHUNK_END);
    }
    assert_int_equal(f.verdict.decision, DV_ALLOW);
    size_t kept = dv_data_stream_memory(f.stream);
    assert_in_range(kept, 60 * 60, DV_LIMIT_STREAM_MEMORY);
    /* Beyond what the arena and the output took before the first event. */
    if (allocated() > 0) {
        assert_in_range(allocated() - fixed, 1, kept);
    }
    assert_true(before <= fixed);
    fixture_release(&f);
}

/* The largest values that are in use pass, in text and in arguments. */
static void large_keys_are_held_back(void **state)
{
    static const struct {
        const char *before;
        const char *after;
        dv_stream_format format;
        size_t lines;
        const char *newline;
        const char *first;
    } cases[] = {
        {CHUNK, CHUNK_END, DV_STREAM_OPENAI, 100, "\\n", ""},
        {"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
         "\"input_json_delta\",\"partial_json\":\"",
         "\"}}\n\n", DV_STREAM_ANTHROPIC, 50, "\\\\n", "{\\\"k\\\":\\\""},
    };
    for (size_t c = 0; c < DV_ARRAY_LEN(cases); c++) {
        fixture f = fixture_new(cases[c].format);
        char line[128];
        snprintf(line, sizeof(line), "%s-----BEGIN PRIVATE KEY-----%s", cases[c].first,
                 cases[c].newline);
        feed_text(&f, cases[c].before, line, cases[c].after);
        snprintf(line, sizeof(line),
                 "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3vVpguoRK9JLsLMREScVpezJpGXA7rAMcrn9gA%s",
                 cases[c].newline);
        for (size_t i = 0; i < cases[c].lines; i++) {
            feed_text(&f, cases[c].before, line, cases[c].after);
            assert_int_equal(dv_slice_find(dv_buf_slice(&f.out), DV_LIT("MC4C")), -1);
        }
        feed_text(&f, cases[c].before, "-----END PRIVATE KEY-----, ok", cases[c].after);
        if (f.verdict.decision != DV_ALLOW) {
            fail_msg("case %zu: %s", c, f.verdict.detail);
        }
        assert_true(dv_slice_find(dv_buf_slice(&f.out), DV_LIT("[PRIVATE_KEY]")) > 0);
        assert_true(f.most <= DV_LIMIT_STREAM_MEMORY);
        fixture_release(&f);
    }
}

/* Texts side by side share the memory: too many that wait end the stream. */
static void texts_side_by_side_share_the_memory(void **state)
{
    fixture f = fixture_new(DV_STREAM_OPENAI);
    unsigned i = 0;
    for (; i < 30; i++) {
        char before[128];
        snprintf(before, sizeof(before),
                 "data: {\"choices\":[{\"index\":%u,\"delta\":{\"content\":\"", i);
        feed_text(&f, before, "the card is 4111 1111 ", CHUNK_END);
        assert_int_equal(f.verdict.decision, DV_ALLOW);
    }
    char long_text[1 << 10] = "";
    memset(long_text, 'a', sizeof(long_text) - 1);
    for (i = 0; i < 30 && f.verdict.decision == DV_ALLOW; i++) {
        char before[128];
        snprintf(before, sizeof(before),
                 "data: {\"choices\":[{\"index\":%u,\"delta\":{\"content\":\"", i);
        feed_text(&f, before, "eyJhbGciOiJIUzI1NiJ9.eyJ", "");
        feed_text(&f, "", long_text, CHUNK_END);
    }
    assert_int_equal(f.verdict.decision, DV_DENY);
    assert_int_equal(f.verdict.reason, DV_REASON_ANSWER_UNREADABLE);
    assert_true(f.most <= DV_LIMIT_STREAM_MEMORY);
    fixture_release(&f);
}

/* A large event is read whole, and then it is gone. */
static void large_events_leave_nothing(void **state)
{
    fixture f = fixture_new(DV_STREAM_OPENAI);
    feed(&f, CHUNK);
    for (size_t i = 0; i < 10000; i++) {
        feed(&f, "some words, and some more of them; ");
    }
    feed(&f, CHUNK_END);
    feed_text(&f, CHUNK, "ok, ", CHUNK_END);
    assert_int_equal(f.verdict.decision, DV_ALLOW);
    assert_true(dv_data_stream_memory(f.stream) <= 4 << 10);
    fixture_release(&f);
}

/* What malloc caches after free counts as given out: here it may cache nothing. */
static void without_caches(char **argv)
{
#ifndef DV_SANITIZED
    (void)mallopt(M_MXFAST, 0);
    if (getenv("GLIBC_TUNABLES") == NULL) {
        setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
        execv("/proc/self/exe", argv);
    }
#endif
}

int main(int argc, char **argv)
{
    without_caches(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hours_of_events_keep_no_more),
        cmocka_unit_test(the_count_is_not_too_small),
        cmocka_unit_test(large_keys_are_held_back),
        cmocka_unit_test(texts_side_by_side_share_the_memory),
        cmocka_unit_test(large_events_leave_nothing),
    };
    return cmocka_run_group_tests(tests, gate_set_up, gate_tear_down);
}
