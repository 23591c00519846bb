/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded values of every detector, split at every byte between two events, in every shape of
 * stream, with a second text told between the two. */
#include "data_test.h"

#include "engine/detect/detect.h"
#include "room/data/gate/sse.h"

enum { ARENA = 64 << 20, OUT_MAX = 8 << 20, LANES = 2 };

/* ---- the shapes ---- */

/* How one piece of a text is told: before, lane, between, the piece as a JSON string, after. */
typedef struct shape {
    const char *name;
    dv_stream_format format;
    bool json;           /* the text is a string in JSON that is told in pieces */
    const char *before;  /* up to the lane's number */
    const char *between; /* up to the piece */
    const char *after;
    const char *finish[5];  /* events that end a lane: printf of the lane, and %s for its text */
    const char *end;        /* of all */
    const char *members[2]; /* that tell the text whole, in `finish` and `end` */
} shape;

#define CHUNK "data: {\"id\":\"c1\",\"choices\":[{\"index\":"
#define CHUNK_STOP                                                                                 \
    "data: "                                                                                       \
    "{\"id\":\"c1\",\"choices\":[{\"index\":%u,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define CHUNK_END                                                                                  \
    "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"completion_tokens\":7}}\n\n"                 \
    "data: [DONE]\n\n"
#define OPENAI(label, member)                                                                      \
    {                                                                                              \
        .name = label, .before = CHUNK,                                                            \
        .between = ",\"delta\":{\"" member "\":", .after = "}}]}\n\n", .finish = {CHUNK_STOP},     \
        .end = CHUNK_END                                                                           \
    }
#define BLOCK_STOP                                                                                 \
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":%u}\n\n"
#define ANTHROPIC(label, is_json, type, member)                                                    \
    {                                                                                              \
        .name = label, .format = DV_STREAM_ANTHROPIC, .json = is_json,                             \
        .before = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","           \
                  "\"index\":",                                                                    \
        .between = ",\"delta\":{\"type\":\"" type "\",\"" member "\":", .after = "}}\n\n",         \
        .finish = {BLOCK_STOP},                                                                    \
        .end = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"                \
               "{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\n"               \
               "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"                        \
    }
#define RESPONSE_DELTA(stem)                                                                       \
    "event: " stem ".delta\ndata: {\"type\":\"" stem                                               \
    ".delta\",\"item_id\":\"i\",\"sequence_number\":3,\"output_index\":"
#define RESPONSE_DONE(stem, member)                                                                \
    "event: " stem ".done\ndata: {\"type\":\"" stem                                                \
    ".done\",\"item_id\":\"i\",\"output_index\":%u,\"sequence_number\":4,\"" member "\":%s}\n\n"
#define PART_DONE(event, type, member)                                                             \
    "event: " event "\ndata: {\"type\":\"" event                                                   \
    "\",\"item_id\":\"i\",\"output_index\":%u,\"sequence_number\":5,"                              \
    "\"part\":{\"type\":\"" type "\",\"annotations\":[],\"" member "\":%s}}\n\n"
#define ITEM_DONE(item)                                                                            \
    "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\","             \
    "\"output_index\":%u,\"sequence_number\":6,\"item\":{\"id\":\"i\"," item "}}\n\n"
#define RESPONSE_END                                                                               \
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":9,"     \
    "\"response\":{\"id\":\"r\",\"output\":[],\"usage\":{\"input_tokens\":5,"                      \
    "\"output_tokens\":7}}}\n\n"
#define RESPONSE(label, is_json, stem, ...)                                                        \
    {                                                                                              \
        .name = label, .format = DV_STREAM_RESPONSES, .json = is_json,                             \
        .before = RESPONSE_DELTA(stem), .between = ",\"delta\":", .after = "}\n\n",                \
        .end = RESPONSE_END, __VA_ARGS__                                                           \
    }

static const shape shapes[] = {
    OPENAI("chat", "content"),
    OPENAI("chat reasoning_content", "reasoning_content"),
    OPENAI("chat reasoning", "reasoning"),
    OPENAI("chat refusal", "refusal"),
    {.name = "chat tool call",
     .json = true,
     .before = CHUNK,
     .between = ",\"delta\":{\"tool_calls\":[{\"index\":5,\"function\":{\"arguments\":",
     .after = "}}]}}]}\n\n",
     .finish = {CHUNK_STOP},
     .end = CHUNK_END},
    {.name = "chat function call",
     .json = true,
     .before = CHUNK,
     .between = ",\"delta\":{\"function_call\":{\"arguments\":",
     .after = "}}}]}\n\n",
     .finish = {CHUNK_STOP},
     .end = CHUNK_END},
    {.name = "completions",
     .before = CHUNK,
     .between = ",\"text\":",
     .after = "}]}\n\n",
     .finish = {CHUNK_STOP},
     .end = CHUNK_END},
    ANTHROPIC("messages text", false, "text_delta", "text"),
    ANTHROPIC("messages thinking", false, "thinking_delta", "thinking"),
    ANTHROPIC("messages tool use", true, "input_json_delta", "partial_json"),
    RESPONSE("responses text", false, "response.output_text",
             .finish = {RESPONSE_DONE("response.output_text", "text"),
                        PART_DONE("response.content_part.done", "output_text", "text"),
                        ITEM_DONE("\"type\":\"message\",\"content\":[{\"type\":\"output_text\","
                                  "\"text\":%s}]")},
             .members = {"text"}),
    RESPONSE("responses refusal", false, "response.refusal",
             .finish = {RESPONSE_DONE("response.refusal", "refusal"),
                        PART_DONE("response.content_part.done", "refusal", "refusal")},
             .members = {"refusal"}),
    RESPONSE("responses reasoning", false, "response.reasoning_text",
             .finish = {RESPONSE_DONE("response.reasoning_text", "text"),
                        ITEM_DONE("\"type\":\"reasoning\",\"summary\":[],\"content\":"
                                  "[{\"type\":\"reasoning_text\",\"text\":%s}]")},
             .members = {"text"}),
    RESPONSE("responses summary", false, "response.reasoning_summary_text",
             .finish = {RESPONSE_DONE("response.reasoning_summary_text", "text"),
                        PART_DONE("response.reasoning_summary_part.done", "summary_text", "text"),
                        ITEM_DONE("\"type\":\"reasoning\",\"summary\":"
                                  "[{\"type\":\"summary_text\",\"text\":%s}]")},
             .members = {"text"}),
    RESPONSE("responses arguments", true, "response.function_call_arguments",
             .finish = {RESPONSE_DONE("response.function_call_arguments", "arguments"),
                        ITEM_DONE("\"type\":\"function_call\",\"name\":\"f\",\"arguments\":%s")},
             .members = {"arguments"}),
    RESPONSE("responses remote arguments", true, "response.mcp_call_arguments",
             .finish = {RESPONSE_DONE("response.mcp_call_arguments", "arguments")},
             .members = {"arguments"}),
    RESPONSE("responses input", false, "response.custom_tool_call_input",
             .finish = {ITEM_DONE("\"type\":\"custom_tool_call\",\"name\":\"f\",\"input\":%s")},
             .members = {"input"}),
    RESPONSE("responses code", false, "response.code_interpreter_call_code",
             .finish = {RESPONSE_DONE("response.code_interpreter_call_code", "code")},
             .members = {"code"}),
};

static void add_piece(dv_buf *out, const shape *s, unsigned lane, dv_slice piece)
{
    assert_int_equal(dv_buf_append_printf(out, "%s%u%s", s->before, lane, s->between), DV_OK);
    assert_int_equal(dv_buf_append_json_string(out, piece), DV_OK);
    assert_int_equal(dv_buf_append_str(out, s->after), DV_OK);
}

static void add_finish(dv_buf *out, const shape *s, unsigned lane, dv_slice text)
{
    dv_auto(buf) dv_buf quoted = dv_buf_init(OUT_MAX);
    assert_int_equal(dv_buf_append_json_string(&quoted, text), DV_OK);
    for (size_t i = 0; i < DV_ARRAY_LEN(s->finish) && s->finish[i] != NULL; i++) {
        const char *slot = strstr(s->finish[i], "%s");
        const char *number = strstr(s->finish[i], "%u");
        size_t head = (size_t)(number - s->finish[i]);
        size_t tail = slot == NULL ? strlen(number) : (size_t)(slot - number);
        assert_int_equal(dv_buf_append_printf(out, "%.*s%u%.*s", (int)head, s->finish[i], lane,
                                              (int)tail - 2, number + 2),
                         DV_OK);
        if (slot != NULL) {
            assert_int_equal(dv_buf_append(out, dv_buf_slice(&quoted)), DV_OK);
            assert_int_equal(dv_buf_append_str(out, slot + 2), DV_OK);
        }
    }
}

/* ---- reading what went out ---- */

typedef struct reading {
    const shape *shape;
    dv_arena *arena;
    dv_buf texts[LANES]; /* all pieces */
    dv_slice wanted[LANES];
    size_t retold;
    bool error;
    bool ended;
} reading;

static const char *const pieces[] = {"content", "reasoning_content", "reasoning", "refusal",
                                     "text",    "arguments",         "thinking",  "partial_json",
                                     "delta"};

static dv_result read_event(void *data, dv_slice name, dv_slice text)
{
    reading *r = data;
    if (dv_slice_eq_str(text, "[DONE]")) {
        r->ended = true;
        return DV_OK;
    }
    bool whole =
        r->shape->format == DV_STREAM_RESPONSES && !dv_slice_ends_with(name, DV_LIT(".delta"));
    r->ended |=
        dv_slice_eq_str(name, "message_stop") || dv_slice_eq_str(name, "response.completed");
    dv_json json = json_of(text, r->arena);
    int64_t lane = -1;
    for (uint32_t i = 0; i < json.count; i++) {
        if (json.tokens[i].type != DV_JSON_KEY) {
            continue;
        }
        dv_slice key = dv_json_raw(&json, i);
        dv_slice value = {NULL, 0};
        r->error |= dv_slice_eq_str(key, "error");
        if (lane < 0 && (dv_slice_eq_str(key, "index") || dv_slice_eq_str(key, "output_index"))) {
            assert_int_equal(dv_json_int(&json, i + 1, &lane), DV_OK);
            assert_in_range(lane, 0, LANES - 1);
        }
        if (json.tokens[i + 1].type != DV_JSON_STRING) {
            continue;
        }
        assert_int_equal(dv_json_string(&json, i + 1, r->arena, &value), DV_OK);
        if (whole) {
            if (r->shape->members[0] != NULL && dv_slice_eq_str(key, r->shape->members[0])) {
                assert_true(dv_slice_eq(value, r->wanted[lane]));
                r->retold++;
            }
            continue;
        }
        for (size_t m = 0; m < DV_ARRAY_LEN(pieces); m++) {
            if (dv_slice_eq_str(key, pieces[m])) {
                assert_true(lane >= 0 && !r->ended);
                assert_int_equal(dv_buf_append(&r->texts[lane], value), DV_OK);
            }
        }
    }
    return DV_OK;
}

static dv_result read_comment(void *data)
{
    return DV_OK;
}

static void read_out(reading *r, dv_slice out)
{
    const dv_sse_handler handler = {read_event, read_comment, r};
    dv_sse_reader reader;
    dv_sse_init(&reader, OUT_MAX);
    assert_int_equal(dv_sse_feed(&reader, out, &handler), DV_OK);
    assert_int_equal(reader.line.len, 0); /* whole events only */
    assert_false(reader.has_data);
    dv_sse_release(&reader);
}

static reading reading_new(const shape *s, dv_arena *arena)
{
    reading r = {.shape = s, .arena = arena};
    for (size_t i = 0; i < LANES; i++) {
        r.texts[i] = dv_buf_init(OUT_MAX);
    }
    return r;
}

static void reading_release(reading *r)
{
    for (size_t i = 0; i < LANES; i++) {
        dv_buf_release(&r->texts[i]);
    }
}

/* ---- running ---- */

static dv_data_policy *masks;

static int set_up(void **state)
{
    int failed = gate_set_up(state);
    masks = failed == 0 ? policy_of(MASKS_DECODED) : NULL;
    return failed;
}

static int tear_down(void **state)
{
    dv_data_policy_free(masks);
    return gate_tear_down(state);
}

static dv_data_stream *stream_of(const shape *s, dv_data_context *context, dv_arena *arena)
{
    dv_data_stream *stream = NULL;
    assert_int_equal(dv_data_stream_new(gate, masks, context, s->format, arena, &stream), DV_OK);
    return stream;
}

static void feed(dv_data_stream *stream, dv_slice in, size_t chunk, bool last, dv_buf *out)
{
    dv_verdict verdict = {0};
    dv_verdict_allow(&verdict, "test");
    for (size_t at = 0; at < in.len; at += chunk) {
        assert_int_equal(
            dv_data_stream_feed(stream, dv_slice_sub(in, at, chunk), false, out, &verdict), DV_OK);
    }
    if (last) {
        assert_int_equal(dv_data_stream_feed(stream, (dv_slice){NULL, 0}, true, out, &verdict),
                         DV_OK);
    }
    if (verdict.decision != DV_ALLOW) {
        fail_msg("%s in %.*s", verdict.detail, DV_SLICE_ARGS(in));
    }
}

typedef struct seeded {
    dv_slice text;
    dv_slice wanted;
    dv_slice json; /* the same within JSON */
    dv_slice json_wanted;
} seeded;

static dv_slice text_of(const seeded *seed, const shape *s)
{
    return s->json ? seed->json : seed->text;
}

static bool splits_character(dv_slice text, size_t at)
{
    return at < text.len && (text.ptr[at] & 0xC0) == 0x80;
}

static void check_cut(const shape *s, dv_data_context *context, const seeded *first,
                      const seeded *second, size_t cut, size_t chunk)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf in = dv_buf_init(OUT_MAX);
    dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
    dv_slice text = text_of(first, s);
    dv_slice other = text_of(second, s);
    reading got = reading_new(s, arena);
    got.wanted[0] = s->json ? first->json_wanted : first->wanted;
    got.wanted[1] = s->json ? second->json_wanted : second->wanted;
    size_t half = other.len / 2;
    while (splits_character(other, half)) {
        half++;
    }
    add_piece(&in, s, 0, dv_slice_sub(text, 0, cut));
    add_piece(&in, s, 1, dv_slice_sub(other, 0, half));
    add_piece(&in, s, 0, dv_slice_sub(text, cut, text.len));
    add_piece(&in, s, 1, dv_slice_sub(other, half, other.len));
    add_finish(&in, s, 0, text);
    add_finish(&in, s, 1, other);
    assert_int_equal(dv_buf_append_str(&in, s->end), DV_OK);
    feed(stream_of(s, context, arena), dv_buf_slice(&in), chunk == 0 ? in.len : chunk, true, &out);
    read_out(&got, dv_buf_slice(&out));
    for (size_t i = 0; i < LANES; i++) {
        if (!dv_slice_eq(dv_buf_slice(&got.texts[i]), got.wanted[i])) {
            fail_msg("%s cut at %zu, text %zu of \"%.*s\":\ngot  %.*s\nwant %.*s", s->name, cut, i,
                     DV_SLICE_ARGS(text), (int)got.texts[i].len, (const char *)got.texts[i].ptr,
                     DV_SLICE_ARGS(got.wanted[i]));
        }
    }
    assert_true(got.ended && !got.error);
    assert_true(s->members[0] == NULL || got.retold >= LANES);
    reading_release(&got);
}

/* The text, and what the whole of it becomes. */
static seeded seed_of(const char *text, dv_data_context *context, dv_arena *arena)
{
    seeded made = {.text = dv_slice_str(text)};
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {0};
    dv_verdict_allow(&verdict, "test");
    assert_int_equal(
        dv_data_gate_text(gate, masks, context, true, made.text, arena, &outcome, &verdict), DV_OK);
    made.wanted = outcome.body;
    made.json = as_arguments(made.text, arena);
    made.json_wanted = as_arguments(made.wanted, arena);
    return made;
}

static void check_everywhere(dv_data_context *context, const seeded *first, const seeded *second)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(shapes); i++) {
        const shape *s = &shapes[i];
        dv_slice text = text_of(first, s);
        for (size_t cut = 0; cut <= text.len; cut++) {
            if (!splits_character(text, cut)) {
                check_cut(s, context, first, second, cut, 0);
            }
        }
        check_cut(s, context, first, second, 0, 1); /* every byte by itself */
    }
}

/* ---- the tests ---- */

static dv_slice value_of(const dv_detector_example *example)
{
    return dv_slice_of(example->text + example->start, example->end - example->start);
}

/* A sample, since each is cut at every byte in 19 shapes of stream: test_stream.c and
 * tests/unit/detect take more of them. */
static bool is_sampled(size_t detector)
{
    const dv_detector_info *info = dv_detect_info(detector);
    bool key = strcmp(info->category, "credential") == 0;
    return info->standard && detector % (key ? 16 : 3) == 0;
}

/* Each example, with another detector's beside it. */
static void seeded_values_do_not_pass(void **state)
{
    size_t detectors = dv_detect_count();
    assert_in_range(detectors, 400, DV_DETECT_MAX);
    for (size_t i = 0; i < detectors; i++) {
        if (!is_sampled(i)) {
            continue;
        }
        const dv_detector_info *info = dv_detect_info(i);
        const char *beside = dv_detect_info((i + 1) % detectors)->examples[0].text;
        for (size_t e = 0; e < info->example_count; e++) {
            dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
            dv_data_context *context = context_of("User::\"a\"", arena);
            const char *text =
                dv_arena_printf(arena, "Sure. %s And so on.", info->examples[e].text);
            seeded first = seed_of(text, context, arena);
            seeded second = seed_of(beside, context, arena);
            assert_int_equal(dv_slice_find(first.wanted, value_of(&info->examples[e])), -1);
            check_everywhere(context, &first, &second);
        }
    }
}

/* Values that stand there encoded, each with another beside it. */
static void encoded_values_do_not_pass(void **state)
{
    size_t count = DV_ARRAY_LEN(encoded_texts);
    for (size_t i = 0; i < count; i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_data_context *context = context_of("User::\"a\"", arena);
        seeded first = seed_of(encoded_texts[i].text, context, arena);
        seeded second = seed_of(encoded_texts[(i + 1) % count].text, context, arena);
        assert_text(first.wanted, encoded_texts[i].wanted);
        check_everywhere(context, &first, &second);
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(plain_texts); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_data_context *context = context_of("User::\"a\"", arena);
        seeded seed = seed_of(plain_texts[i], context, arena);
        assert_text(seed.wanted, plain_texts[i]);
        check_everywhere(context, &seed, &seed);
    }
}

/* Names, with values and encoded ones between. */
static void names_do_not_pass(void **state)
{
    static const char *const texts[] = {
        ("My name is John Smith and I live at 12 High Street, Springfield. Write to "
         "bob@example.com, says Maria Garcia."),
        "Dear Dr. Anna Kowalska, card NDExMSAxMTExIDExMTEgMTExMQ== of Mr Tanaka is ready.",
        "Nothing of anybody stands here, only what it costs: 3 or 4 euros.",
    };
    dv_data_policy *before = masks;
    masks = policy_of("{\"default\":\"mask\",\"decode\":true,\"names\":true}");
    for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_data_context *context = context_of("User::\"a\"", arena);
        seeded first = seed_of(texts[i], context, arena);
        seeded second = seed_of(texts[(i + 1) % DV_ARRAY_LEN(texts)], context, arena);
        assert_int_equal(dv_slice_find(first.wanted, DV_LIT("Smith")), -1);
        assert_int_equal(dv_slice_find(first.wanted, DV_LIT("Kowalska")), -1);
        assert_int_equal(dv_slice_find(first.wanted, DV_LIT("[PERSON]")) > 0, i < 2);
        check_everywhere(context, &first, &second);
    }
    dv_data_policy_free(masks);
    masks = before;
}

/* What the engine's actions make of values is longer or shorter than they are. */
static void results_of_actions_are_whole(void **state)
{
    static const char *const actions[] = {"hash",       "pseudonym",  "fpe",
                                          "date_shift", "generalise", "token"};
    static const char *const texts[] = {
        "Write to bob@example.com, or call +1 415 555 2671; born: 12 May 1980.",
        "From 81.2.69.160 on, card 4111 1111 1111 1111 and 4111-1111-1111-1111.",
        "date of birth: 02/03/1980, IBAN DE89 3704 0044 0532 0130 00, q=bob%40example.com&x=1",
        "My name is John Smith of 2001:db8:85a3::8a2e:370:7334, SSN 856-45-6789.",
    };
    dv_data_policy *before = masks;
    for (size_t a = 0; a < DV_ARRAY_LEN(actions); a++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_data_context *context = context_of("User::\"a\"", arena);
        masks = policy_of(dv_arena_printf(arena,
                                          "{\"default\":\"%s\",\"decode\":true,\"names\":true,"
                                          "\"detectors\":{\"date_of_birth\":\"%s\"}}",
                                          actions[a], actions[a]));
        for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
            seeded first = seed_of(texts[i], context, arena);
            seeded second = seed_of(texts[(i + 1) % DV_ARRAY_LEN(texts)], context, arena);
            assert_int_equal(dv_slice_find(first.wanted, DV_LIT("bob@")), -1);
            assert_int_equal(dv_slice_find(first.wanted, DV_LIT("1111")), -1);
            assert_int_equal(dv_slice_find(first.wanted, DV_LIT("Smith")), -1);
            assert_false(dv_slice_eq(first.wanted, first.text));
            check_everywhere(context, &first, &second);
        }
        dv_data_policy_free(masks);
    }
    masks = before;
}

/* What the request's values became is told as it is, under any policy for answers. */
static void what_was_made_is_told_as_it_is(void **state)
{
    static const char *const actions[] = {"pseudonym", "fpe", "token"};
    dv_verdict verdict = {0};
    for (size_t a = 0; a < DV_ARRAY_LEN(actions); a++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_data_context *context = context_of("User::\"a\"", arena);
        dv_data_outcome asked = inspect(
            false, dv_arena_printf(arena, "{\"default\":\"%s\"}", actions[a]), context,
            DV_LIT("[\"4111111111111111, 81.2.69.160, bob@example.com\"]"), arena, &verdict);
        dv_slice said = dv_slice_sub(asked.body, 2, asked.body.len - 4);
        const char *text = dv_arena_printf(arena, "So %.*s; eve@example.com", DV_SLICE_ARGS(said));
        seeded first = seed_of(text, context, arena);
        assert_text(first.wanted, dv_arena_printf(arena, "So %.*s; [EMAIL]", DV_SLICE_ARGS(said)));
        check_everywhere(context, &first, &first);
    }
}

static void placeholders_are_restored_exactly(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_data_context *context = context_of("User::\"a\"", arena);
    dv_verdict verdict = {0};
    dv_data_outcome asked =
        inspect(false, PLACEHOLDERS, context, DV_LIT("[\"a\\\"b@example.com, bob@example.com\"]"),
                arena, &verdict);
    dv_slice said = dv_slice_sub(asked.body, 2, asked.body.len - 4);
    const char *text = dv_arena_printf(arena, "a <b> %.*s, eve@example.com <EMAIL_zzzzzzzz> %.*s",
                                       DV_SLICE_ARGS(said), DV_SLICE_ARGS(said));
    seeded first = seed_of(text, context, arena);
    assert_true(dv_slice_find(first.wanted, DV_LIT("bob@example.com")) > 0);
    assert_int_equal(dv_slice_find(first.wanted, DV_LIT("eve@example.com")), -1);
    check_everywhere(context, &first, &first);
}

/* What can't become a value goes out with the event that told it. */
static void clean_text_is_not_delayed(void **state)
{
    static const char *const told[] = {"Well, ",
                                       "the answer (of 12.5%): ",
                                       "h\xC3\xA9llo - ",
                                       "\xE6\x97\xA5\xE6\x9C\xAC; ",
                                       "it costs 3 or 4 euros. ",
                                       "\n\n"};
    for (size_t i = 0; i < DV_ARRAY_LEN(shapes); i++) {
        const shape *s = &shapes[i];
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_data_context *context = context_of("User::\"a\"", arena);
        dv_data_stream *stream = stream_of(s, context, arena);
        reading got = reading_new(s, arena);
        for (size_t t = 0; t < DV_ARRAY_LEN(told); t++) {
            dv_auto(buf) dv_buf in = dv_buf_init(OUT_MAX);
            dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
            for (unsigned lane = 0; lane < LANES; lane++) {
                add_piece(&in, s, lane, dv_slice_str(told[t]));
            }
            feed(stream, dv_buf_slice(&in), in.len, false, &out);
            if (!dv_slice_eq(dv_buf_slice(&in), dv_buf_slice(&out))) {
                fail_msg("%s:\n%.*s%.*s", s->name, (int)in.len, (const char *)in.ptr, (int)out.len,
                         (const char *)out.ptr);
            }
            read_out(&got, dv_buf_slice(&out));
        }
        assert_true(got.texts[0].len > 50 && got.texts[0].len == got.texts[1].len);
        reading_release(&got);
    }
}

/* The same for events whose data is text. */
static void values_in_plain_streams_do_not_pass(void **state)
{
    for (size_t i = 0; i < dv_detect_count(); i++) {
        if (!is_sampled(i)) {
            continue;
        }
        const dv_detector_example *example = &dv_detect_info(i)->examples[0];
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_data_context *context = context_of("User::\"a\"", arena);
        seeded seed =
            seed_of(dv_arena_printf(arena, "Sure. %s ok.", example->text), context, arena);
        if (dv_slice_find_byte(seed.text, '\n') >= 0) {
            continue; /* ends an event's line */
        }
        for (size_t cut = 1; cut < seed.text.len; cut++) {
            dv_auto(arena) dv_arena *run = dv_arena_new(ARENA);
            dv_auto(buf) dv_buf out = dv_buf_init(OUT_MAX);
            dv_auto(buf) dv_buf text = dv_buf_init(OUT_MAX);
            dv_data_stream *stream = NULL;
            if (splits_character(seed.text, cut)) {
                continue;
            }
            assert_int_equal(dv_data_stream_new(gate, masks, context, DV_STREAM_TEXT, run, &stream),
                             DV_OK);
            const char *in =
                dv_arena_printf(run, "data: %.*s\n\ndata: %.*s\n\ndata: [DONE]\n\n", (int)cut,
                                (const char *)seed.text.ptr, (int)(seed.text.len - cut),
                                (const char *)seed.text.ptr + cut);
            feed(stream, dv_slice_str(in), strlen(in), true, &out);
            dv_slice rest = dv_buf_slice(&out);
            dv_slice line;
            while (dv_slice_split(&rest, '\n', &line)) {
                if (line.len > 6 && !dv_slice_eq_str(line, "data: [DONE]")) {
                    assert_int_equal(dv_buf_append(&text, dv_slice_sub(line, 6, line.len)), DV_OK);
                }
            }
            assert_true(dv_slice_eq(dv_buf_slice(&text), seed.wanted));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeded_values_do_not_pass),
        cmocka_unit_test(encoded_values_do_not_pass),
        cmocka_unit_test(names_do_not_pass),
        cmocka_unit_test(results_of_actions_are_whole),
        cmocka_unit_test(what_was_made_is_told_as_it_is),
        cmocka_unit_test(placeholders_are_restored_exactly),
        cmocka_unit_test(clean_text_is_not_delayed),
        cmocka_unit_test(values_in_plain_streams_do_not_pass),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
