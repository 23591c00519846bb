/* SPDX-License-Identifier: Apache-2.0 */
/* What masking adds to a stream: CPU time of one event, by API, beside that of reading the event,
 * scanning its JSON and writing it again. */

#include "base/caps.h"
#include "base/clock.h"
#include "room/data/gate/data_gate.h"
#include "room/data/gate/sse.h"

#include "bench.h"

enum { EVENTS = 20000, PIECE = 5, KEY_LINES = 90, KEY_LAST = 10, KEYS = 50 };

static const char prose[] =
    "Sure, here is how the two approaches compare. First, the old scheduler kept one queue for "
    "each worker and moved tasks only when a queue ran empty; in 2019 that cost about 12.5% of "
    "the time. The new one (see section 4.2) shares a ring of 256 slots: ring[head & 0xff]. ";

static const struct {
    const char *name;
    dv_stream_format format;
    const char *before;
    const char *after;
} shapes[] = {
    {"chat", DV_STREAM_OPENAI,
     "data: {\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
     "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"",
     "\"},\"finish_reason\":null}]}\n\n"},
    {"chat tool call", DV_STREAM_OPENAI,
     "data: {\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
     "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,"
     "\"function\":{\"arguments\":\"",
     "\"}}]},\"finish_reason\":null}]}\n\n"},
    {"completions", DV_STREAM_OPENAI,
     "data: {\"id\":\"cmpl-123\",\"object\":\"text_completion\",\"created\":1700000000,"
     "\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"",
     "\",\"logprobs\":null,\"finish_reason\":null}]}\n\n"},
    {"responses", DV_STREAM_RESPONSES,
     "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\","
     "\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"sequence_number\":7,"
     "\"logprobs\":[],\"delta\":\"",
     "\"}\n\n"},
    {"messages", DV_STREAM_ANTHROPIC,
     "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
     "\"delta\":{\"type\":\"text_delta\",\"text\":\"",
     "\"}}\n\n"},
    {"messages tool use", DV_STREAM_ANTHROPIC,
     "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
     "\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"",
     "\"}}\n\n"},
    {"text", DV_STREAM_TEXT, "data: ", "\n\n"},
};

static dv_data_gate *gate;
static dv_data_policy *masks;

static void must(dv_result result)
{
    bench_must("bench_stream", result);
}

static dv_slice make_event(size_t shape, size_t number, char *room, size_t size)
{
    size_t at = number * PIECE % (sizeof(prose) - PIECE - 1);
    int len = snprintf(room, size, "%s%.*s%s", shapes[shape].before, PIECE, prose + at,
                       shapes[shape].after);
    return dv_slice_of(room, (size_t)len);
}

/* ---- without masking ---- */

typedef struct plain {
    dv_arena *arena;
    dv_buf *out;
    bool json;
} plain;

static dv_result pass_event(void *context, dv_slice name, dv_slice data)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH,
                                          .tokens = DV_LIMIT_JSON_TOKENS};
    const plain *p = context;
    dv_json json;
    if (p->json) {
        DV_TRY(dv_json_scan(data, &limits, p->arena, &json, NULL));
        dv_arena_reset(p->arena);
    }
    return dv_sse_write(p->out, name, data);
}

static dv_result pass_comment(void *context)
{
    return DV_OK;
}

static double measure_plain(size_t shape)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    plain p = {arena, &out, shapes[shape].format != DV_STREAM_TEXT};
    const dv_sse_handler handler = {pass_event, pass_comment, &p};
    dv_sse_reader reader;
    char room[512];
    dv_sse_init(&reader, DV_LIMIT_STREAM_EVENT);
    double start = bench_cpu_time();
    for (size_t i = 0; i < EVENTS; i++) {
        must(dv_sse_feed(&reader, make_event(shape, i, room, sizeof(room)), &handler));
        dv_buf_clear(&out);
    }
    double spent = bench_cpu_time() - start;
    dv_sse_release(&reader);
    return spent / EVENTS / 1e3;
}

/* ---- with it ---- */

static dv_data_stream *make_stream(dv_stream_format format, dv_arena *arena)
{
    dv_data_context *context = NULL;
    dv_data_stream *stream = NULL;
    must(dv_data_context_new(gate, DV_LIT("User::\"bench\""), arena, &context));
    must(dv_data_stream_new(gate, masks, context, format, arena, &stream));
    return stream;
}

static void feed(dv_data_stream *stream, dv_slice event, dv_buf *out)
{
    dv_verdict verdict = {.decision = DV_ALLOW};
    must(dv_data_stream_feed(stream, event, false, out, &verdict));
    if (verdict.decision != DV_ALLOW) {
        fprintf(stderr, "bench_stream: %s\n", verdict.detail);
        exit(1);
    }
    dv_buf_clear(out);
}

static double measure_masked(size_t shape)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    dv_data_stream *stream = make_stream(shapes[shape].format, arena);
    char room[512];
    double start = bench_cpu_time();
    for (size_t i = 0; i < EVENTS; i++) {
        feed(stream, make_event(shape, i, room, sizeof(room)), &out);
    }
    return (bench_cpu_time() - start) / EVENTS / 1e3;
}

/* Some kilobytes wait for the end of a key: the last events before it, of several keys. */
static double time_held(char *room, size_t size)
{
    static const char line[] = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3vVpguoRK9JLsLMREScVpezJpGXA7rAMcrn9gA";
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    dv_data_stream *stream = make_stream(DV_STREAM_OPENAI, arena);
    double start = 0;
    for (size_t i = 0; i < KEY_LINES; i++) {
        int len = snprintf(room, size, "%s%s\\n%s", shapes[0].before,
                           i == 0 ? "-----BEGIN PRIVATE KEY-----" : line, shapes[0].after);
        start = i == KEY_LINES - KEY_LAST ? bench_cpu_time() : start;
        feed(stream, dv_slice_of(room, (size_t)len), &out);
    }
    return (bench_cpu_time() - start) / KEY_LAST / 1e3;
}

static void measure_held(void)
{
    char room[512];
    double total = 0;
    for (size_t i = 0; i < KEYS; i++) {
        total += time_held(room, sizeof(room));
    }
    bench_row("stream/chat, 6 KB of a key held back", total / KEYS, "us", 0);
}

int main(void)
{
    static const uint8_t key[32] = {1};
    must(dv_data_gate_new(key, NULL, &gate, NULL));
    must(dv_data_policy_parse(gate, DV_LIT("{\"default\":\"mask\"}"), &masks, NULL));
    for (size_t i = 0; i < DV_ARRAY_LEN(shapes); i++) {
        char name[64];
        double plain_time = measure_plain(i);
        double masked_time = measure_masked(i);
        (void)snprintf(name, sizeof(name), "stream/%s, one event", shapes[i].name);
        bench_row(name, masked_time, "us", masked_time / plain_time);
    }
    measure_held();
    dv_data_policy_free(masks);
    dv_data_gate_free(gate);
    return 0;
}
