/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caps.h"
#include "room/data/gate/data_gate.h"

/* Streams. The first byte chooses what is done with the rest: bytes of a stream, fed in chunks of
 * any size, give the same as in one piece; text cut into events gives the same text as whole. */

static dv_data_gate *gate;
static dv_data_policy *masks;

static void set_up(void)
{
    static const uint8_t key[32] = {7};
    if (gate == NULL &&
        (dv_data_gate_new(key, NULL, &gate, NULL) != DV_OK ||
         dv_data_policy_parse(gate, DV_LIT("{\"default\":\"mask\"}"), &masks, NULL) != DV_OK)) {
        abort();
    }
}

static dv_data_stream *new_stream(dv_stream_format format, dv_arena *arena)
{
    dv_data_context *context = NULL;
    dv_data_stream *stream = NULL;
    if (dv_data_context_new(gate, DV_LIT("User::\"f\""), arena, &context) != DV_OK ||
        dv_data_stream_new(gate, masks, context, format, arena, &stream) != DV_OK) {
        abort();
    }
    return stream;
}

static void feed(dv_data_stream *stream, dv_slice bytes, bool last, dv_buf *out,
                 dv_verdict *verdict)
{
    if (verdict->decision == DV_ALLOW &&
        dv_data_stream_feed(stream, bytes, last, out, verdict) != DV_OK) {
        abort();
    }
}

static void check_chunks(dv_stream_format format, size_t chunk, dv_slice bytes)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    dv_auto(buf) dv_buf whole = dv_buf_init(64 << 20);
    dv_auto(buf) dv_buf parts = dv_buf_init(64 << 20);
    dv_verdict first = {.decision = DV_ALLOW};
    dv_verdict second = {.decision = DV_ALLOW};
    dv_data_stream *stream = new_stream(format, arena);
    feed(stream, bytes, true, &whole, &first);
    stream = new_stream(format, arena);
    for (size_t at = 0; at < bytes.len; at += chunk) {
        feed(stream, dv_slice_sub(bytes, at, chunk), false, &parts, &second);
    }
    feed(stream, (dv_slice){NULL, 0}, true, &parts, &second);
    if (first.decision != second.decision ||
        !dv_slice_eq(dv_buf_slice(&whole), dv_buf_slice(&parts))) {
        abort();
    }
}

/* ---- text ---- */

static void must(dv_result result)
{
    if (result != DV_OK) {
        abort();
    }
}

static void add_event(dv_buf *in, dv_slice piece)
{
    must(dv_buf_append_str(in, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":"));
    must(dv_buf_append_json_string(in, piece));
    must(dv_buf_append_str(in, "}}]}\n\n"));
}

/* The text of all deltas that went out. */
static void read_text(dv_slice out, dv_arena *arena, dv_buf *text)
{
    static const dv_json_limits limits = {.depth = 16, .tokens = 1000};
    dv_slice line;
    while (dv_slice_split(&out, '\n', &line)) {
        dv_json json;
        dv_slice piece;
        if (!dv_slice_starts_with(line, DV_LIT("data: {"))) {
            continue;
        }
        must(dv_json_scan(dv_slice_sub(line, 6, line.len), &limits, arena, &json, NULL));
        for (uint32_t i = 0; i < json.count; i++) {
            if (json.tokens[i].type == DV_JSON_KEY &&
                dv_slice_eq_str(dv_json_raw(&json, i), "content")) {
                must(dv_json_string(&json, i + 1, arena, &piece));
                must(dv_buf_append(text, piece));
            }
        }
    }
}

static bool is_ascii(dv_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

static void check_text(size_t piece, dv_slice text)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    dv_auto(buf) dv_buf in = dv_buf_init(64 << 20);
    dv_auto(buf) dv_buf out = dv_buf_init(64 << 20);
    dv_auto(buf) dv_buf got = dv_buf_init(64 << 20);
    dv_data_context *context = NULL;
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {.decision = DV_ALLOW};
    must(dv_data_context_new(gate, DV_LIT("User::\"f\""), arena, &context));
    must(dv_data_gate_text(gate, masks, context, true, text, arena, &outcome, &verdict));
    for (size_t at = 0; at < text.len; at += piece) {
        add_event(&in, dv_slice_sub(text, at, piece));
    }
    dv_data_stream *stream = new_stream(DV_STREAM_OPENAI, arena);
    feed(stream, dv_buf_slice(&in), true, &out, &verdict);
    if (verdict.decision == DV_DENY) {
        return; /* a limit */
    }
    read_text(dv_buf_slice(&out), arena, &got);
    if (!dv_slice_eq(dv_buf_slice(&got), outcome.body)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    set_up();
    if (size < 2) {
        return 0;
    }
    dv_slice rest = dv_slice_of(data + 2, size - 2);
    size_t step = (size_t)data[1] + 1;
    static const dv_stream_format formats[] = {DV_STREAM_OPENAI, DV_STREAM_ANTHROPIC,
                                               DV_STREAM_TEXT, DV_STREAM_RESPONSES};
    size_t choice = data[0] % 8;
    if (choice != 3 && choice < 5) {
        check_chunks(formats[choice == 4 ? 3 : choice], step, rest);
    } else if (is_ascii(rest) && rest.len < 8192) {
        check_text(step, rest);
    }
    return 0;
}
