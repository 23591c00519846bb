/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of OpenAI's responses: what is told again, what is told once, what is refused. */
#include "data_test.h"

enum { ARENA = 64 << 20, OUT_MAX = 8 << 20 };

static dv_verdict feed(const char *policy_json, dv_data_context *context, const char *in,
                       dv_arena *arena, dv_buf *out, dv_data_stream **ret_stream)
{
    dv_data_policy *policy = policy_of(policy_json);
    dv_verdict verdict = {0};
    dv_verdict_allow(&verdict, "test");
    assert_int_equal(
        dv_data_stream_new(gate, policy, context, DV_STREAM_RESPONSES, arena, ret_stream), DV_OK);
    assert_int_equal(dv_data_stream_feed(*ret_stream, dv_slice_str(in), false, out, &verdict),
                     DV_OK);
    if (verdict.decision == DV_ALLOW) {
        assert_int_equal(dv_data_stream_feed(*ret_stream, (dv_slice){NULL, 0}, true, out, &verdict),
                         DV_OK);
    }
    dv_data_policy_free(policy);
    return verdict;
}

#define EVENT(type, members) "event: " type "\ndata: {\"type\":\"" type "\"" members "}\n\n"
#define AT ",\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0"

static void check(const char *in, const char *wanted)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    dv_data_stream *stream = NULL;
    dv_verdict verdict = feed(MASKS, context_of("u", arena), in, arena, &out, &stream);
    if (verdict.decision != DV_ALLOW) {
        fail_msg("%s", verdict.detail);
    }
    assert_text(dv_buf_slice(&out), wanted);
}

/* What is held back goes out before the text's end, in an event of its own that has the next
 * number; every telling of the whole says the same. */
static void a_text_is_the_same_wherever_it_is_told(void **state)
{
#define TOLD(text, n0, n1, n2, n3)                                                                 \
    EVENT("response.output_text.done", AT ",\"sequence_number\":" n0 ",\"text\":\"" text "\"")     \
    EVENT("response.content_part.done",                                                            \
          AT ",\"sequence_number\":" n1                                                            \
             ",\"part\":{\"type\":\"output_text\",\"annotations\":[],\"text\":\"" text "\"}")      \
    EVENT("response.output_item.done",                                                             \
          ",\"output_index\":0,\"sequence_number\":" n2                                            \
          ",\"item\":{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[{\"type\":"               \
          "\"output_text\",\"text\":\"" text "\"}]}")                                              \
    EVENT("response.completed",                                                                    \
          ",\"sequence_number\":" n3                                                               \
          ",\"response\":{\"id\":\"r\",\"output\":[{\"id\":\"msg_1\",\"type\":\"message\","        \
          "\"content\":[{\"type\":\"output_text\",\"text\":\"" text "\"}]}]}")
    check(
        EVENT("response.output_text.delta", AT ",\"delta\":\"ask bob@exa\",\"sequence_number\":4")
            EVENT("response.output_text.delta", AT ",\"delta\":\"mple.com\",\"sequence_number\":5")
                TOLD("ask bob@example.com", "6", "7", "8", "9"),
        EVENT("response.output_text.delta", AT ",\"delta\":\"ask \",\"sequence_number\":4") EVENT(
            "response.output_text.delta",
            AT ",\"delta\":\"\",\"sequence_number\":5") "event: response.output_text.delta\ndata: "
                                                        "{\"type\":\"response.output_text.delta\","
                                                        "\"item_id\":\"msg_1\",\"output_index\":0,"
                                                        "\"content_index\":0,\"sequence_number\":6,"
                                                        "\"delta\":\"[EMAIL]\"}\n\n" TOLD(
                                                            "ask [EMAIL]", "7", "8", "9", "10"));
}

static void what_the_response_ends_is_let_out_before(void **state)
{
    check(
        EVENT("response.function_call_arguments.delta",
              ",\"item_id\":\"fc\",\"output_index\":1,\"delta\":\"{\\\"a\\\":4111111111111111\"")
            EVENT("response.incomplete",
                  ",\"response\":{\"output\":[{\"id\":\"m\",\"type\":\"message\",\"content\":[]},"
                  "{\"id\":\"fc\",\"type\":\"function_call\",\"arguments\":"
                  "\"{\\\"a\\\":4111111111111111\"}]}"),
        EVENT("response.function_call_arguments.delta",
              ",\"item_id\":\"fc\",\"output_index\":1,\"delta\":\"{\\\"a\\\":\"")
            EVENT("response.function_call_arguments.delta",
                  ",\"item_id\":\"fc\",\"output_index\":1,\"delta\":\"\\\"[CARD ****1111]\\\"\"")
                EVENT(
                    "response.incomplete",
                    ",\"response\":{\"output\":[{\"id\":\"m\",\"type\":\"message\",\"content\":[]},"
                    "{\"id\":\"fc\",\"type\":\"function_call\",\"arguments\":"
                    "\"{\\\"a\\\":\\\"[CARD ****1111]\\\"\"}]}"));
}

/* Some servers name items instead of numbering them; the end of a stream may be cut off. */
static void items_may_be_told_by_their_ids(void **state)
{
    check(EVENT("response.output_text.delta", ",\"item_id\":\"a\",\"delta\":\"4111 1111 \"") EVENT(
              "response.function_call_arguments.delta", ",\"item_id\":\"b\",\"delta\":\"[1, \"")
              EVENT("response.output_text.delta", ",\"item_id\":\"a\",\"delta\":\"1111 1111\""),
          EVENT("response.output_text.delta", ",\"item_id\":\"a\",\"delta\":\"\"") EVENT(
              "response.function_call_arguments.delta", ",\"item_id\":\"b\",\"delta\":\"[1, \"")
              EVENT("response.output_text.delta",
                    ",\"item_id\":\"a\",\"delta\":\"\"") "event: response.output_text.delta\ndata: "
                                                         "{\"type\":\"response.output_text.delta\","
                                                         "\"content_index\":0,\"delta\":\"[CARD "
                                                         "****1111]\"}\n\n");
}

/* Padding says nothing, so nothing is said with it. */
static void padding_is_emptied(void **state)
{
    check(EVENT("response.output_text.delta", AT ",\"delta\":\"a, \",\"logprobs\":[],"
                                                 "\"obfuscation\":\"4111 1111\"")
              EVENT("response.output_text.delta", AT ",\"delta\":\"b, \",\"obfuscation\":\"\""),
          EVENT("response.output_text.delta", AT ",\"delta\":\"a, \",\"logprobs\":[],"
                                                 "\"obfuscation\":\"\"")
              EVENT("response.output_text.delta", AT ",\"delta\":\"b, \",\"obfuscation\":\"\""));
}

static void usage_is_told(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    dv_data_stream *stream = NULL;
    dv_data_outcome outcome;
    int64_t input = 0;
    int64_t output = 0;
    const char *in = EVENT("response.created", ",\"response\":{\"output\":[],\"usage\":null}")
        EVENT("response.output_text.delta", AT ",\"delta\":\"12345678, \"")
            EVENT("response.completed", ",\"response\":{\"usage\":{\"input_tokens\":11,"
                                        "\"output_tokens\":22}}") "data: [DONE]\n\n";
    dv_verdict verdict = feed(MASKS, context_of("u", arena), in, arena, &out, &stream);
    assert_int_equal(verdict.decision, DV_ALLOW);
    assert_true(dv_slice_eq_str(dv_buf_slice(&out), in));
    dv_data_stream_outcome(stream, &outcome, &input, &output);
    assert_int_equal(input, 11);
    assert_int_equal(output, 22);
    assert_int_equal(outcome.text_bytes, 10);
}

static void a_blocked_stream_ends_with_an_error(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    dv_data_stream *stream = NULL;
    dv_verdict verdict =
        feed("{\"default\":\"block\"}", context_of("u", arena),
             EVENT("response.output_text.delta", AT ",\"sequence_number\":7,\"delta\":\"at 4111 \"")
                 EVENT("response.output_text.delta", AT ",\"delta\":\"1111 1111 1111.\""),
             arena, &out, &stream);
    assert_int_equal(verdict.reason, DV_REASON_ANSWER_BLOCKED);
    dv_slice text = dv_buf_slice(&out);
    assert_int_equal(dv_slice_find(text, DV_LIT("4111")), -1);
    assert_true(dv_slice_find(text, DV_LIT("\n\nevent: error\ndata: {\"type\":\"error\","
                                           "\"sequence_number\":8,\"param\":null,\"code\":"
                                           "\"answer_blocked\",\"message\":\"")) > 0);
    assert_true(dv_slice_find(text, DV_LIT("/output/0/content/0/text")) > 0);
    assert_true(dv_slice_ends_with(text, DV_LIT("\"}\n\n")));
}

static void assert_refused(const char *in, const char *never)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    dv_data_stream *stream = NULL;
    dv_verdict verdict = feed(MASKS, context_of("u", arena), in, arena, &out, &stream);
    if (verdict.decision != DV_DENY || verdict.reason != DV_REASON_ANSWER_UNREADABLE) {
        fail_msg("passed: %s", in);
    }
    if (dv_slice_find(dv_buf_slice(&out), dv_slice_str(never)) >= 0) {
        fail_msg("told \"%s\" of: %s", never, in);
    }
}

#define DONE(text) EVENT("response.output_text.done", AT ",\"text\":\"" text "\"")
#define ITEM(end, item)                                                                            \
    EVENT("response.output_item." end, ",\"output_index\":0,\"item\":{\"id\":\"i\"," item "}")

static void what_is_not_understood_is_refused(void **state)
{
    static const char *const bad[] = {
        "data: {\"x\":\"4111\"}\n\n",
        EVENT("response.audio.delta", ",\"delta\":\"4111\""),
        EVENT("response.image_generation_call.partial_image", ",\"partial_image_b64\":\"4111\""),
        EVENT("response.output_text.delta", AT ",\"delta\":[\"4111\"]"),
        EVENT("response.output_text.delta", AT ",\"delta\":\"a\",\"more\":\"4111\""),
        EVENT("response.output_text.delta", AT ",\"delta\":\"a\",\"logprobs\":[{\"t\":\"4111\"}]"),
        EVENT("response.output_text.delta", ",\"output_index\":-1,\"delta\":\"4111\""),
        EVENT("response.web_search_call.searching", ",\"query\":\"4111\""),
        EVENT("response.content_part.added", AT ",\"part\":{\"type\":\"audio\",\"text\":\"4111\"}"),
        EVENT("response.content_part.done",
              AT ",\"part\":{\"type\":\"output_text\",\"text\":\"a\",\"logprobs\":[\"4111\"]}"),
        EVENT("response.output_text.annotation.added", AT ",\"annotation\":{\"x\":\"4111\"}"),
        EVENT("response.created", ",\"response\":{\"output\":[{\"text\":\"4111\"}]}"),
        EVENT("response.completed", ",\"response\":{\"output\":[{\"type\":\"x\",\"a\":\"4111\"}]}"),
        ITEM("done", "\"type\":\"image_generation_call\",\"result\":\"4111\""),
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_refused(bad[i], "4111");
    }
}

/* A text that is told twice in one place, or after its end, could be two halves of a value. */
static void what_was_told_is_not_told_again(void **state)
{
    static const char *const bad[] = {
        DONE("4111 1111 ") DONE("1111 2222"),
        DONE("4111 1111 ") EVENT("response.output_text.delta", AT ",\"delta\":\"1111 2222\""),
        ITEM("added", "\"type\":\"message\",\"x\":\"4111 1111 \"")
            ITEM("added", "\"type\":\"message\",\"x\":\"1111 2222\""),
        ITEM("done", "\"type\":\"message\",\"x\":\"4111 1111 \"")
            ITEM("done", "\"type\":\"message\",\"x\":\"1111 2222\""),
        EVENT("response.in_progress", ",\"response\":{\"x\":\"4111 1111 \"}")
            EVENT("response.in_progress", ",\"response\":{\"x\":\"1111 2222\"}"),
        EVENT("response.completed", ",\"response\":{\"x\":\"4111 1111 \"}")
            EVENT("response.failed", ",\"response\":{\"x\":\"1111 2222\"}"),
        EVENT("error", ",\"message\":\"4111 1111 \"") EVENT("error", ",\"message\":\"1111 2222\""),
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_refused(bad[i], "2222");
    }
}

/* The first piece of a text may come with what it begins. */
static void a_text_may_begin_with_its_item(void **state)
{
    check(ITEM("added", "\"type\":\"function_call\",\"arguments\":\"[\\\"bob@exa\"")
              EVENT("response.function_call_arguments.delta",
                    ",\"output_index\":0,\"delta\":\"mple.com\\\"]\""),
          ITEM("added", "\"type\":\"function_call\",\"arguments\":\"[\\\"\"")
              EVENT("response.function_call_arguments.delta",
                    ",\"output_index\":0,\"delta\":\"[EMAIL]\\\"]\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_the_same_wherever_it_is_told),
        cmocka_unit_test(what_the_response_ends_is_let_out_before),
        cmocka_unit_test(items_may_be_told_by_their_ids),
        cmocka_unit_test(padding_is_emptied),
        cmocka_unit_test(usage_is_told),
        cmocka_unit_test(a_blocked_stream_ends_with_an_error),
        cmocka_unit_test(what_is_not_understood_is_refused),
        cmocka_unit_test(what_was_told_is_not_told_again),
        cmocka_unit_test(a_text_may_begin_with_its_item),
    };
    return cmocka_run_group_tests(tests, gate_set_up, gate_tear_down);
}
