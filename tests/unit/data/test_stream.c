/* SPDX-License-Identifier: Apache-2.0 */
#include "data_test.h"

#include "engine/detect/detect.h"
#include "room/data/gate/sse.h"

enum { ARENA = 64 << 20, OUT_MAX = 8 << 20 };

/* ---- making events ---- */

typedef enum shape {
    CHAT,
    REASONING,
    COMPLETION,
    TOOL, /* the text is a string in the call's arguments */
    ANTHROPIC_TEXT,
    ANTHROPIC_JSON, /* the same for Anthropic */
    SHAPES,
} shape;

static dv_stream_format format_of(shape s)
{
    return s == ANTHROPIC_TEXT || s == ANTHROPIC_JSON ? DV_STREAM_ANTHROPIC : DV_STREAM_OPENAI;
}

static bool is_json_shape(shape s)
{
    return s == TOOL || s == ANTHROPIC_JSON;
}

static const char *const before[SHAPES] = {
    [CHAT] = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,"
             "\"delta\":{\"content\":",
    [REASONING] =
        "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":",
    [COMPLETION] = "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"text\":",
    [TOOL] =
        "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,"
        "\"function\":{\"arguments\":",
    [ANTHROPIC_TEXT] = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
                       "\"index\":2,\"delta\":{\"type\":\"text_delta\",\"text\":",
    [ANTHROPIC_JSON] = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
                       "\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":",
};

static const char *const after[SHAPES] = {
    [CHAT] = "},\"finish_reason\":null}]}\n\n",
    [REASONING] = "},\"finish_reason\":null}]}\n\n",
    [COMPLETION] = ",\"finish_reason\":null}]}\n\n",
    [TOOL] = "}}]},\"finish_reason\":null}]}\n\n",
    [ANTHROPIC_TEXT] = "}}\n\n",
    [ANTHROPIC_JSON] = "}}\n\n",
};

static void add_event(dv_buf *out, shape s, dv_slice piece)
{
    assert_int_equal(dv_buf_append_str(out, before[s]), DV_OK);
    assert_int_equal(dv_buf_append_json_string(out, piece), DV_OK);
    assert_int_equal(dv_buf_append_str(out, after[s]), DV_OK);
}

static void add_end(dv_buf *out, shape s)
{
    assert_int_equal(
        dv_buf_append_str(
            out, format_of(s) == DV_STREAM_ANTHROPIC
                     ? "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
                       "\"index\":2}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\","
                       "\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}"
                       "\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
                     : "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},"
                       "\"finish_reason\":\"stop\"}]}\n\ndata: {\"id\":\"c1\",\"choices\":[],"
                       "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\n"
                       "data: [DONE]\n\n"),
        DV_OK);
}

/* ---- reading what went out ---- */

typedef struct reading {
    dv_arena *arena;
    dv_buf text; /* all deltas of the shape */
    bool ended;  /* the end of the stream was told, with all text before it */
    bool error;
    size_t events;
} reading;

static const char *const members[] = {"content", "reasoning_content", "text", "arguments",
                                      "partial_json"};

static dv_result read_event(void *data, dv_slice name, dv_slice text)
{
    reading *r = data;
    r->events++;
    if (dv_slice_eq_str(text, "[DONE]")) {
        r->ended = true;
        return DV_OK;
    }
    dv_json json = json_of(text, r->arena);
    for (uint32_t i = 0; i < json.count; i++) {
        if (json.tokens[i].type != DV_JSON_KEY) {
            continue;
        }
        dv_slice key;
        dv_slice value;
        assert_int_equal(dv_json_string(&json, i, r->arena, &key), DV_OK);
        r->error |= dv_slice_eq_str(key, "error");
        r->ended |= dv_slice_eq_str(key, "type") &&
                    dv_slice_eq_str(dv_json_raw(&json, i + 1), "message_stop");
        for (size_t m = 0; m < DV_ARRAY_LEN(members); m++) {
            if (dv_slice_eq_str(key, members[m]) && json.tokens[i + 1].type == DV_JSON_STRING) {
                assert_false(r->ended);
                assert_int_equal(dv_json_string(&json, i + 1, r->arena, &value), DV_OK);
                assert_int_equal(dv_buf_append(&r->text, value), DV_OK);
            }
        }
    }
    return DV_OK;
}

static dv_result read_comment(void *data)
{
    return DV_OK;
}

static reading read_out(dv_slice out, dv_arena *arena)
{
    reading r = {.arena = arena, .text = dv_buf_init(OUT_MAX)};
    const dv_sse_handler handler = {read_event, read_comment, &r};
    dv_sse_reader reader;
    dv_sse_init(&reader, OUT_MAX);
    assert_int_equal(dv_sse_feed(&reader, out, &handler), DV_OK);
    assert_int_equal(reader.line.len, 0); /* whole events only */
    assert_false(reader.has_data);
    dv_sse_release(&reader);
    return r;
}

/* ---- running ---- */

typedef struct run {
    const char *policy;
    dv_data_context *context;
    size_t chunk; /* bytes fed at once */
    dv_verdict verdict;
    int64_t input_tokens;
    int64_t output_tokens;
    dv_data_outcome outcome;
} run;

static void feed_all(run *r, dv_stream_format format, dv_slice in, dv_arena *arena, dv_buf *out)
{
    dv_data_policy *policy = policy_of(r->policy);
    dv_data_stream *stream = NULL;
    assert_int_equal(dv_data_stream_new(gate, policy, r->context, format, arena, &stream), DV_OK);
    r->verdict = (dv_verdict){0};
    dv_verdict_allow(&r->verdict, "test");
    size_t chunk = r->chunk == 0 ? in.len : r->chunk;
    for (size_t at = 0; at < in.len; at += chunk) {
        assert_int_equal(
            dv_data_stream_feed(stream, dv_slice_sub(in, at, chunk), false, out, &r->verdict),
            DV_OK);
    }
    if (r->verdict.decision == DV_ALLOW) {
        assert_int_equal(dv_data_stream_feed(stream, (dv_slice){NULL, 0}, true, out, &r->verdict),
                         DV_OK);
    }
    dv_data_stream_outcome(stream, &r->outcome, &r->input_tokens, &r->output_tokens);
    dv_data_policy_free(policy);
}

/* The text as one piece: what must come out however it is split. */
static dv_slice whole_text(const char *policy_json, dv_data_context *context, dv_slice text,
                           dv_arena *arena)
{
    dv_data_policy *policy = policy_of(policy_json);
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {0};
    dv_verdict_allow(&verdict, "test");
    assert_int_equal(
        dv_data_gate_text(gate, policy, context, true, text, arena, &outcome, &verdict), DV_OK);
    dv_data_policy_free(policy);
    return outcome.body;
}

static bool splits_character(dv_slice text, size_t at)
{
    return at < text.len && (text.ptr[at] & 0xC0) == 0x80;
}

static void check_pieces(shape s, const char *policy, dv_data_context *context, dv_slice text,
                         const size_t cuts[], size_t cut_count, dv_slice wanted)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf in = dv_buf_init(OUT_MAX);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    size_t from = 0;
    for (size_t i = 0; i < cut_count; i++) {
        add_event(&in, s, dv_slice_sub(text, from, cuts[i] - from));
        from = cuts[i];
    }
    add_event(&in, s, dv_slice_sub(text, from, text.len));
    add_end(&in, s);
    run r = {.policy = policy, .context = context};
    feed_all(&r, format_of(s), dv_buf_slice(&in), arena, &out);
    reading got = read_out(dv_buf_slice(&out), arena);
    if (!dv_slice_eq(dv_buf_slice(&got.text), wanted) || !got.ended || got.error) {
        fail_msg("shape %d cut at %zu of \"%.*s\":\ngot  %.*s\nwant %.*s\n%s", s,
                 cut_count > 0 ? cuts[0] : 0, DV_SLICE_ARGS(text), (int)got.text.len,
                 (const char *)got.text.ptr, DV_SLICE_ARGS(wanted), r.verdict.detail);
    }
    assert_int_equal(r.output_tokens, 7);
    dv_buf_release(&got.text);
}

static void check_every_split(shape s, const char *policy, dv_data_context *context, dv_slice text,
                              dv_slice wanted)
{
    for (size_t cut = 0; cut <= text.len; cut++) {
        if (!splits_character(text, cut)) {
            check_pieces(s, policy, context, text, &cut, 1, wanted);
        }
    }
    size_t cuts[4096];
    size_t count = 0;
    for (size_t i = 1; i < text.len && count < DV_ARRAY_LEN(cuts); i++) {
        if (!splits_character(text, i)) {
            cuts[count++] = i;
        }
    }
    check_pieces(s, policy, context, text, cuts, count, wanted); /* each character by itself */
}

/* ---- the tests ---- */

static void check_example(const char *example, dv_arena *arena)
{
    dv_data_context *context = context_of("User::\"a\"", arena);
    const char *text = dv_arena_printf(arena, "Sure. %s And so on, 12 times.", example);
    dv_slice plain = dv_slice_str(text);
    dv_slice wanted = whole_text(MASKS, context, plain, arena);
    for (shape s = CHAT; s < SHAPES; s++) {
        if (is_json_shape(s)) {
            check_every_split(s, MASKS, context, as_arguments(plain, arena),
                              as_arguments(wanted, arena));
        } else {
            check_every_split(s, MASKS, context, plain, wanted);
        }
    }
}

/* Keys of services are told by patterns that are alike: of those, a sample does here. The others
 * are cut at every byte in tests/unit/detect. */
static bool is_sampled(size_t detector)
{
    const dv_detector_info *info = dv_detect_info(detector);
    return (strcmp(info->category, "credential") != 0 || detector % 8 == 0);
}

/* Every example of detectors, split between two events at every byte, in every format. */
static void values_split_anywhere_are_masked(void **state)
{
    for (size_t i = 0; i < dv_detect_count(); i++) {
        const dv_detector_info *info = dv_detect_info(i);
        for (size_t e = 0; is_sampled(i) && e < info->example_count; e++) {
            dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
            check_example(info->examples[e].text, arena);
        }
    }
}

/* Keys with nothing between them, three of one kind and one of another. */
static void glued_values_split_anywhere_are_masked(void **state)
{
    static const char *const ids[] = {"github_token", "aws_access_key", "gitlab_token",
                                      "openai_key", "stripe_key"};
    for (size_t i = 0; i < DV_ARRAY_LEN(ids); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        const dv_detector_example *one = dv_detect_info((size_t)dv_detect_index(ids[i]))->examples;
        const dv_detector_example *other =
            dv_detect_info((size_t)dv_detect_index(ids[(i + 1) % DV_ARRAY_LEN(ids)]))->examples;
        dv_slice value = dv_slice_of(one->text + one->start, one->end - one->start);
        dv_slice last = dv_slice_of(other->text + other->start, other->end - other->start);
        dv_slice text = dv_slice_str(dv_arena_printf(arena, "%.*s%.*s%.*s%.*s",
                                                     DV_SLICE_ARGS(value), DV_SLICE_ARGS(value),
                                                     DV_SLICE_ARGS(value), DV_SLICE_ARGS(last)));
        dv_slice masked = whole_text(MASKS, context_of("User::\"a\"", arena), text, arena);
        assert_true(masked.ptr[0] == '[' && masked.ptr[masked.len - 1] == ']');
        check_example((const char *)text.ptr, arena);
    }
}

static void counter_examples_pass_as_they_are(void **state)
{
    for (size_t i = 0; i < dv_detect_count(); i++) {
        const dv_detector_info *info = dv_detect_info(i);
        if (!is_sampled(i)) {
            continue;
        }
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        check_example(info->counter_examples[0].text, arena);
    }
}

static dv_slice placeholder_for(dv_data_context *context, const char *value, dv_arena *arena)
{
    dv_verdict verdict = {0};
    dv_slice body = dv_slice_str(dv_arena_printf(arena, "[\"%s\"]", value));
    dv_data_outcome outcome = inspect(false, PLACEHOLDERS, context, body, arena, &verdict);
    return dv_slice_sub(outcome.body, 2, outcome.body.len - 4);
}

static void placeholders_split_anywhere_are_restored(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_context *context = context_of("User::\"a\"", arena);
    dv_slice placeholder = placeholder_for(context, "bob@example.com", arena);
    const char *text = dv_arena_printf(arena, "a <b> %.*s, eve@example.com <EMAIL_zzzzzzzz> %.*s",
                                       DV_SLICE_ARGS(placeholder), DV_SLICE_ARGS(placeholder));
    const char *wanted = "a <b> bob@example.com, [EMAIL] <EMAIL_zzzzzzzz> bob@example.com";
    for (shape s = CHAT; s < SHAPES; s++) {
        dv_slice plain = dv_slice_str(text);
        dv_slice want = dv_slice_str(wanted);
        check_every_split(s, MASKS, context, is_json_shape(s) ? as_arguments(plain, arena) : plain,
                          is_json_shape(s) ? as_arguments(want, arena) : want);
    }
}

/* A restored value is escaped for the string it returns to, also when it is JSON in JSON. */
static void restored_values_are_escaped(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_context *context = context_of("User::\"a\"", arena);
    const char *key = "-----BEGIN PRIVATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMRE"
                      "ScVpezJpGXA7rAMcrn9g\\n-----END PRIVATE KEY-----";
    dv_slice placeholder = placeholder_for(context, key, arena);
    dv_slice text =
        dv_slice_str(dv_arena_printf(arena, "{\"k\":\"%.*s\",\"bare\":%.*s}",
                                     DV_SLICE_ARGS(placeholder), DV_SLICE_ARGS(placeholder)));
    dv_slice wanted =
        dv_slice_str(dv_arena_printf(arena, "{\"k\":\"%s\",\"bare\":\"%s\"}", key, key));
    check_every_split(TOOL, MASKS, context, text, wanted);
    check_every_split(ANTHROPIC_JSON, MASKS, context, text, wanted);
}

/* {"v":"{\"v\":\"...\"}"}, `levels` deep. */
static dv_slice nested_arguments(dv_slice text, unsigned levels, dv_arena *arena)
{
    for (unsigned i = 0; i < levels; i++) {
        text = as_arguments(text, arena);
    }
    return text;
}

/* What is put into JSON within JSON within arguments keeps each level valid. */
static void nested_arguments_stay_valid(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_context *context = context_of("User::\"a\"", arena);
    const char *escaped =
        "-----BEGIN PRIVATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMRE"
        "ScVpezJpGXA7rAMcrn9g\\n-----END PRIVATE KEY-----";
    const char *key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMRE"
                      "ScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----";
    dv_slice placeholder = placeholder_for(context, escaped, arena);
    for (unsigned levels = 1; levels <= 4; levels++) {
        dv_slice text = nested_arguments(placeholder, levels, arena);
        dv_slice wanted = nested_arguments(dv_slice_str(key), levels, arena);
        check_every_split(TOOL, MASKS, context, text, wanted);
        check_every_split(ANTHROPIC_JSON, MASKS, context, text, wanted);
    }
    check_every_split(TOOL, MASKS, context,
                      as_arguments(DV_LIT("{\"n\":4111111111111111,\"t\":true}"), arena),
                      as_arguments(DV_LIT("{\"n\":\"[CARD ****1111]\",\"t\":true}"), arena));
    /* Text that only begins like JSON is text. */
    check_every_split(TOOL, MASKS, context,
                      as_arguments(DV_LIT("[1] to bob@example.com or \"eve@example.com\""), arena),
                      as_arguments(DV_LIT("[1] to [EMAIL] or \"[EMAIL]\""), arena));
}

static void arguments_are_decoded_before_they_are_searched(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_context *context = context_of("User::\"a\"", arena);
    dv_slice text = DV_LIT("{\"a\":\"x\\nbob\\u0040example.com\\ud83d\\ude00\","
                           "\"n\":4111111111111111,\"phone\":\"98765 43210\"}");
    dv_slice wanted = DV_LIT("{\"a\":\"x\\n[EMAIL]\\ud83d\\ude00\","
                             "\"n\":\"[CARD ****1111]\",\"phone\":\"[PHONE ****10]\"}");
    check_every_split(TOOL, MASKS, context, text, wanted);
    check_every_split(ANTHROPIC_JSON, MASKS, context, text, wanted);
}

/* However the bytes come in, the same goes out; also with CR and CRLF line ends. */
static void chunks_do_not_matter(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    static const char *const ends[] = {"\n", "\r\n", "\r"};
    dv_auto(buf) dv_buf in = dv_buf_init(OUT_MAX);
    dv_auto(buf) dv_buf first = dv_buf_init(OUT_MAX);
    add_event(&in, CHAT, DV_LIT("card 4111 1111 "));
    add_event(&in, CHAT, DV_LIT("1111 1111 ok"));
    add_end(&in, CHAT);
    for (size_t e = 0; e < DV_ARRAY_LEN(ends); e++) {
        dv_auto(buf) dv_buf lines = dv_buf_init(OUT_MAX);
        assert_int_equal(dv_buf_append_str(&lines, e == 0 ? "\xEF\xBB\xBF" : ""), DV_OK);
        for (size_t i = 0; i < in.len; i++) {
            assert_int_equal(in.ptr[i] == '\n' ? dv_buf_append_str(&lines, ends[e])
                                               : dv_buf_append_byte(&lines, in.ptr[i]),
                             DV_OK);
        }
        for (size_t chunk = 1; chunk < 40; chunk++) {
            dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
            run r = {.policy = MASKS, .context = context_of("u", arena), .chunk = chunk};
            feed_all(&r, DV_STREAM_OPENAI, dv_buf_slice(&lines), arena, &out);
            if (first.len == 0) {
                assert_int_equal(dv_buf_append(&first, dv_buf_slice(&out)), DV_OK);
            }
            assert_true(dv_slice_eq(dv_buf_slice(&first), dv_buf_slice(&out)));
        }
    }
}

/* What holds no value goes out byte by byte as it came, and at once. */
static void clean_events_are_not_touched(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf in = dv_buf_init(OUT_MAX);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    assert_int_equal(
        dv_buf_append_str(&in, "data: {\"id\" : \"c\", \"choices\":[ {\"index\":0,\"delta\":{"
                               "\"role\":\"assistant\",\"content\":\"H\\u00e9llo, \"}} ]}\n\n"),
        DV_OK);
    run r = {.policy = MASKS, .context = context_of("u", arena)};
    feed_all(&r, DV_STREAM_OPENAI, dv_buf_slice(&in), arena, &out);
    assert_true(dv_slice_eq(dv_buf_slice(&in), dv_buf_slice(&out)));
    assert_false(r.outcome.changed);
}

static void usage_is_told(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf in = dv_buf_init(OUT_MAX);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    assert_int_equal(dv_buf_append_str(
                         &in, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":"
                              "{\"content\":[],\"usage\":{\"input_tokens\":11,"
                              "\"cache_read_input_tokens\":4,\"output_tokens\":1}}}\n\n"),
                     DV_OK);
    add_end(&in, ANTHROPIC_TEXT);
    run r = {.policy = MASKS, .context = context_of("u", arena)};
    feed_all(&r, DV_STREAM_ANTHROPIC, dv_buf_slice(&in), arena, &out);
    assert_int_equal(r.input_tokens, 15);
    assert_int_equal(r.output_tokens, 7);
}

static void a_blocked_stream_ends_with_an_error(void **state)
{
    for (shape s = CHAT; s < SHAPES; s++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_auto(buf) dv_buf in = dv_buf_init(OUT_MAX);
        dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
        add_event(&in, s, DV_LIT("take "));
        add_event(&in, s, DV_LIT("4111 1111 1111"));
        add_event(&in, s, DV_LIT(" 1111 and go on"));
        add_end(&in, s);
        run r = {.policy = "{\"default\":\"block\"}", .context = context_of("u", arena)};
        feed_all(&r, format_of(s), dv_buf_slice(&in), arena, &out);
        assert_int_equal(r.verdict.decision, DV_DENY);
        assert_int_equal(r.verdict.reason, DV_REASON_ANSWER_BLOCKED);
        reading got = read_out(dv_buf_slice(&out), arena);
        assert_true(got.error);
        assert_false(got.ended);
        assert_text(dv_buf_slice(&got.text), "take ");
        assert_int_equal(dv_slice_find(dv_buf_slice(&out), DV_LIT("4111")), -1);
        assert_int_equal(dv_slice_find(dv_buf_slice(&out), DV_LIT("go on")), -1);
        dv_buf_release(&got.text);
    }
}

static void assert_refused(dv_stream_format format, const char *text)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    run r = {.policy = MASKS, .context = context_of("u", arena)};
    feed_all(&r, format, dv_slice_str(text), arena, &out);
    if (r.verdict.decision != DV_DENY || r.verdict.reason != DV_REASON_ANSWER_UNREADABLE) {
        fail_msg("passed: %s", text);
    }
    reading got = read_out(dv_buf_slice(&out), arena);
    assert_true(got.error);
    assert_int_equal(got.events, 1);
    dv_buf_release(&got.text);
}

static void what_is_not_understood_is_refused(void **state)
{
    static const char *const openai[] = {
        "data: hello\n\n",
        "data: {\"choices\":\n\n",
        "data: []\n\n",
        "data: {\"object\":\"other\"}\n\n",
        "data: {\"choices\":{}}\n\n",
        "data: {\"choices\":[1]}\n\n",
        "data: {\"choices\":[{\"index\":-1,\"delta\":{}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"audio\":{\"data\":\"AA\"}}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":[{\"text\":\"a\"}]}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"logprobs\":{\"content\":[1]}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\",\"content\":\"b\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"x\":\"a\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"token\":\"a\"}]}\n\n",
        "event: a b\ndata: {\"choices\":[]}\n\n",
    };
    static const char *const anthropic[] = {
        "data: [DONE]\n\n",
        "data: {}\n\n",
        "data: {\"type\":\"news\"}\n\n",
        "data: "
        "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"\"}}\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"x\"}}\n\n",
        "data: "
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\"}}\n\n",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(openai); i++) {
        assert_refused(DV_STREAM_OPENAI, openai[i]);
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(anthropic); i++) {
        assert_refused(DV_STREAM_ANTHROPIC, anthropic[i]);
    }
}

static void errors_of_the_model_server_pass(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    run r = {.policy = MASKS, .context = context_of("u", arena)};
    feed_all(&r, DV_STREAM_OPENAI,
             DV_LIT(": note\n\ndata: {\"error\":{\"message\":\"ask bob@example.com\"}}\n\n"), arena,
             &out);
    assert_text(dv_buf_slice(&out), ":\n\ndata: {\"error\":{\"message\":\"ask [EMAIL]\"}}\n\n");
}

/* The stream ends with an error within these events, and what was cut never comes out. */
static void assert_cut(dv_stream_format format, const char *text, const char *never)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    run r = {.policy = MASKS, .context = context_of("u", arena)};
    feed_all(&r, format, dv_slice_str(text), arena, &out);
    if (r.verdict.decision != DV_DENY || r.verdict.reason != DV_REASON_ANSWER_UNREADABLE) {
        fail_msg("passed: %s", text);
    }
    if (dv_slice_find(dv_buf_slice(&out), dv_slice_str(never)) >= 0) {
        fail_msg("told \"%s\" of: %s", never, text);
    }
}

/* What follows the end of a text would be searched apart from what went out of it. */
static void text_after_its_end_is_refused(void **state)
{
    assert_cut(DV_STREAM_OPENAI,
               "data: {\"choices\":[{\"delta\":{\"content\":\"4111 1111\"}}]}\n\n"
               "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
               "data: {\"choices\":[{\"delta\":{\"content\":\" 1111 2222\"}}]}\n\n",
               "2222");
    assert_cut(DV_STREAM_OPENAI,
               "data: {\"choices\":[{\"finish_reason\":\"x\",\"text\":\"a\"}]}\n\n"
               "data: {\"choices\":[{\"finish_reason\":\"x\",\"text\":\"4111 1111\"}]}\n\n"
               "data: {\"choices\":[{\"finish_reason\":\"x\",\"text\":\" 1111 2222\"}]}\n\n",
               "2222");
    assert_cut(DV_STREAM_OPENAI,
               "data: {\"choices\":[{\"text\":\"4111 1111\"}]}\n\ndata: [DONE]\n\n"
               "data: {\"choices\":[{\"text\":\" 1111 2222\"}]}\n\n",
               "2222");
    assert_cut(DV_STREAM_ANTHROPIC,
               "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
               "\"text_delta\",\"text\":\"4111 1111\"}}\n\n"
               "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
               "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
               "\"text_delta\",\"text\":\" 1111 2222\"}}\n\n",
               "2222");
    assert_cut(DV_STREAM_TEXT, "data: 4111 1111\n\ndata: [DONE]\n\ndata:  1111 2222\n\n", "2222");
}

/* Servers tell the end more than once. */
static void an_empty_text_after_the_end_passes(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    dv_slice in = DV_LIT("data: {\"choices\":[{\"delta\":{\"content\":\"ok, \"}}]}\n\n"
                         "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
                         "data: {\"choices\":[{\"delta\":{\"content\":\"\"},"
                         "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
    run r = {.policy = MASKS, .context = context_of("u", arena)};
    feed_all(&r, DV_STREAM_OPENAI, in, arena, &out);
    assert_int_equal(r.verdict.decision, DV_ALLOW);
    assert_true(dv_slice_eq(in, dv_buf_slice(&out)));
}

/* Events of our own begin as the model's do, but with what was masked there. */
static void the_head_of_chunks_is_inspected(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    run r = {.policy = MASKS, .context = context_of("u", arena)};
    feed_all(&r, DV_STREAM_OPENAI,
             DV_LIT("data: {\"id\":\"bob@example.com\",\"created\":4111111111111111,"
                    "\"model\":\"m\",\"choices\":[{\"text\":\"4111 1111\"}]}\n\n"
                    "data: [DONE]\n\n"),
             arena, &out);
    assert_int_equal(r.verdict.decision, DV_ALLOW);
    assert_int_equal(dv_slice_find(dv_buf_slice(&out), DV_LIT("bob@")), -1);
    assert_int_equal(dv_slice_find(dv_buf_slice(&out), DV_LIT("4111111111111111")), -1);
    assert_true(dv_slice_find(dv_buf_slice(&out),
                              DV_LIT("data: {\"id\":\"[EMAIL]\",\"created\":\"[CARD ****1111]\","
                                     "\"model\":\"m\",\"choices\":[{\"index\":0")) > 0);
}

static void names_of_events_are_words(void **state)
{
    static const char *const bad[] = {
        "4111-1111-1111-1111", "a4111.1111", "123", "a b", "-", "a@b", "e1234567", "a123456"};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        assert_cut(DV_STREAM_TEXT, dv_arena_printf(arena, "event: %s\ndata: x\n\n", bad[i]),
                   bad[i]);
    }
    char name[] = "aaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaab";
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    assert_int_equal(strlen(name), 65);
    assert_cut(DV_STREAM_TEXT, dv_arena_printf(arena, "event: %s\ndata: x\n\n", name), name);
    name[64] = '\0';
    dv_slice in = dv_slice_str(
        dv_arena_printf(arena, "event: %s\ndata: {}\n\nevent: a_1.2-345\ndata: {}\n\n", name));
    run r = {.policy = MASKS, .context = context_of("u", arena)};
    feed_all(&r, DV_STREAM_TEXT, in, arena, &out);
    assert_int_equal(r.verdict.decision, DV_ALLOW);
    assert_true(dv_slice_find(dv_buf_slice(&out), dv_slice_str(name)) >= 0);
}

#define BLOCK_DELTA(delta)                                                                         \
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{" delta "}}\n\n"

static void deltas_of_blocks_have_known_members(void **state)
{
    static const char *const bad[] = {
        BLOCK_DELTA("\"type\":\"text_delta\",\"text\":\"a\",\"x\":\"4111\""),
        BLOCK_DELTA("\"type\":\"text_delta\",\"text\":\"a\",\"thinking\":\"4111\""),
        BLOCK_DELTA("\"type\":\"thinking_delta\",\"thinking\":[\"4111\"]"),
        BLOCK_DELTA("\"type\":\"signature_delta\",\"signature\":\"4111 1111\""),
        BLOCK_DELTA("\"type\":\"signature_delta\",\"signature\":{\"a\":\"4111\"}"),
        BLOCK_DELTA("\"type\":\"signature_delta\",\"signature\":\"AA==\",\"y\":\"4111\""),
        BLOCK_DELTA("\"type\":\"citations_delta\",\"citation\":\"4111\""),
        BLOCK_DELTA("\"type\":\"citations_delta\",\"citation\":{\"z\":\"4111\"}"),
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_cut(DV_STREAM_ANTHROPIC, bad[i], "4111");
    }
    assert_cut(DV_STREAM_ANTHROPIC,
               BLOCK_DELTA("\"type\":\"signature_delta\",\"signature\":\"41111111\"")
                   BLOCK_DELTA("\"type\":\"signature_delta\",\"signature\":\"11112222\""),
               "2222");
}

static void deltas_of_the_api_pass(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    dv_slice in = DV_LIT(
        BLOCK_DELTA("\"type\":\"thinking_delta\",\"thinking\":\"hm, \"")
            BLOCK_DELTA("\"type\":\"signature_delta\",\"signature\":\"EqQBCgIYAhIM+/aB_-==\"")
                BLOCK_DELTA("\"type\":\"citations_delta\",\"citation\":{\"type\":"
                            "\"char_location\",\"cited_text\":\"grass is green\","
                            "\"document_index\":0,\"document_title\":null,"
                            "\"start_char_index\":0,\"end_char_index\":14,\"file_id\":null}"));
    run r = {.policy = MASKS, .context = context_of("u", arena)};
    feed_all(&r, DV_STREAM_ANTHROPIC, in, arena, &out);
    assert_int_equal(r.verdict.decision, DV_ALLOW);
    assert_true(dv_slice_eq(in, dv_buf_slice(&out)));
}

/* JSON of no known API may go on in any of its strings. */
static void json_events_of_no_known_api_are_refused(void **state)
{
    static const char *const bad[] = {
        "data: {\"token\":{\"text\":\"4111\"}}\n\n",
        "data: \"4111\"\n\n",
        "data: [\"4111\"]\n\n",
        "data: [4111]\n\n",
        "data: {\"t\":\"4111\",\"t\":\"\"}\n\n", /* a name told twice */
        "data: {\"t\":\"4111\"}\ndata: {\"t\":\"1111\"}\n\n",
        "data:   {\"t\":\"4111\"}  \n\n",
        "data: {\"4111\":0}\n\n",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_refused(DV_STREAM_TEXT, bad[i]);
    }
    /* Where nothing is hidden, they pass, and what is found is told. */
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    dv_slice in = DV_LIT("data: {\"t\":\"bob@example.com\"}\n\n");
    run r = {.policy = "{\"default\":\"alert\"}", .context = context_of("u", arena)};
    feed_all(&r, DV_STREAM_TEXT, in, arena, &out);
    assert_int_equal(r.verdict.decision, DV_ALLOW);
    assert_true(dv_slice_eq(in, dv_buf_slice(&out)));
    assert_int_equal(r.outcome.sighting_count, 1);
}

static void plain_streams_are_text(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    run r = {.policy = MASKS, .context = context_of("u", arena)};
    feed_all(&r, DV_STREAM_TEXT,
             DV_LIT("data: write bob@exa\n\ndata: mple.com now\ndata: or {\n\ndata: {}\n\n"
                    "data: \"! \n\ndata: 12\n\ndata: [DONE]\n\n"),
             arena, &out);
    assert_text(dv_buf_slice(&out),
                "data: write \n\ndata: [EMAIL] now\ndata: or {\n\ndata: {}\n\ndata: \"! \n\n"
                "data: 12\n\ndata: [DONE]\n\n");
}

static void texts_side_by_side_do_not_mix(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    run r = {.policy = MASKS, .context = context_of("u", arena)};
    feed_all(
        &r, DV_STREAM_OPENAI,
        DV_LIT("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"4111 1111 \"}}]}\n\n"
               "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"1111 1111 ok, \"}}]}\n\n"
               "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"1111 1111 ok, \"}}]}\n\n"
               "data: [DONE]\n\n"),
        arena, &out);
    assert_text(
        dv_buf_slice(&out),
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"}}]}\n\n"
        "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"1111 1111 ok, \"}}]}\n\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"[CARD ****1111] ok, \"}}]}\n\n"
        "data: [DONE]\n\n");
}

static void too_large_is_refused(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf in = dv_buf_init(OUT_MAX);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    /* A key that never ends is held back to the limit, then the stream is over. */
    add_event(&in, CHAT, DV_LIT("-----BEGIN PRIVATE KEY-----\n"));
    for (size_t i = 0; i <= DV_LIMIT_STREAM_MEMORY / 65; i++) {
        add_event(&in, CHAT,
                  DV_LIT("MC4CAQAwBQYDK2VwBCIEIJ1hsZ3vVpguoRK9JLsLMREScVpezJpGXA7rAMcrn9gA\n"));
    }
    run r = {.policy = MASKS, .context = context_of("u", arena)};
    feed_all(&r, DV_STREAM_OPENAI, dv_buf_slice(&in), arena, &out);
    assert_int_equal(r.verdict.decision, DV_DENY);
    assert_int_equal(dv_slice_find(dv_buf_slice(&out), DV_LIT("MC4C")), -1);

    /* One event beyond its limit. */
    dv_buf_clear(&in);
    dv_buf_clear(&out);
    assert_int_equal(dv_buf_append_str(&in, "data: "), DV_OK);
    for (size_t i = 0; i <= DV_LIMIT_STREAM_EVENT / 8; i++) {
        assert_int_equal(dv_buf_append_str(&in, "12345678"), DV_OK);
    }
    feed_all(&r, DV_STREAM_OPENAI, dv_buf_slice(&in), arena, &out);
    assert_int_equal(r.verdict.decision, DV_DENY);

    /* More texts than are kept side by side. */
    dv_buf_clear(&in);
    dv_buf_clear(&out);
    for (unsigned i = 0; i <= DV_LIMIT_STREAM_CHANNELS; i++) {
        assert_int_equal(dv_buf_append_printf(&in,
                                              "data: {\"choices\":[{\"index\":%u,\"delta\":"
                                              "{\"content\":\"a\"}}]}\n\n",
                                              i),
                         DV_OK);
    }
    feed_all(&r, DV_STREAM_OPENAI, dv_buf_slice(&in), arena, &out);
    assert_int_equal(r.verdict.decision, DV_DENY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_split_anywhere_are_masked),
        cmocka_unit_test(glued_values_split_anywhere_are_masked),
        cmocka_unit_test(counter_examples_pass_as_they_are),
        cmocka_unit_test(placeholders_split_anywhere_are_restored),
        cmocka_unit_test(restored_values_are_escaped),
        cmocka_unit_test(nested_arguments_stay_valid),
        cmocka_unit_test(arguments_are_decoded_before_they_are_searched),
        cmocka_unit_test(chunks_do_not_matter),
        cmocka_unit_test(clean_events_are_not_touched),
        cmocka_unit_test(usage_is_told),
        cmocka_unit_test(a_blocked_stream_ends_with_an_error),
        cmocka_unit_test(what_is_not_understood_is_refused),
        cmocka_unit_test(errors_of_the_model_server_pass),
        cmocka_unit_test(text_after_its_end_is_refused),
        cmocka_unit_test(an_empty_text_after_the_end_passes),
        cmocka_unit_test(the_head_of_chunks_is_inspected),
        cmocka_unit_test(names_of_events_are_words),
        cmocka_unit_test(deltas_of_blocks_have_known_members),
        cmocka_unit_test(deltas_of_the_api_pass),
        cmocka_unit_test(json_events_of_no_known_api_are_refused),
        cmocka_unit_test(plain_streams_are_text),
        cmocka_unit_test(texts_side_by_side_do_not_mix),
        cmocka_unit_test(too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, gate_set_up, gate_tear_down);
}
