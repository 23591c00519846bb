/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the fuzz targets of streams share: two texts that are told in pieces, in any shape. */

#include "base/caps.h"
#include "room/data/gate/data_gate.h"

enum { SHAPE_LANES = 2, SHAPE_OUT_MAX = 64 << 20 };

typedef struct shape {
    dv_stream_format format;
    bool json;           /* pieces of JSON */
    const char *before;  /* up to the lane's number; NULL: plain text, one lane */
    const char *between; /* up to the piece */
    const char *after;
    const char *whole; /* printf of lane and text: tells the whole again; NULL: nothing does */
} shape;

#define SHAPE_BLOCK "data: {\"type\":\"content_block_delta\",\"index\":"
#define SHAPE_RESPONSE(stem) "data: {\"type\":\"" stem ".delta\",\"output_index\":"
#define SHAPE_WHOLE(stem, member)                                                                  \
    "data: {\"type\":\"" stem ".done\",\"output_index\":%u,\"" member "\":%.*s}\n\n"

static const shape shapes[] = {
    {DV_STREAM_OPENAI, false,
     "data: {\"choices\":[{\"index\":", ",\"delta\":{\"content\":", "}}]}\n\n", NULL},
    {DV_STREAM_OPENAI, false, "data: {\"choices\":[{\"index\":", ",\"text\":", "}]}\n\n", NULL},
    {DV_STREAM_OPENAI, true, "data: {\"choices\":[{\"index\":",
     ",\"delta\":{\"tool_calls\":[{\"index\":3,\"function\":{\"arguments\":", "}}]}}]}\n\n", NULL},
    {DV_STREAM_ANTHROPIC, false, SHAPE_BLOCK,
     ",\"delta\":{\"type\":\"text_delta\",\"text\":", "}}\n\n", NULL},
    {DV_STREAM_ANTHROPIC, true, SHAPE_BLOCK,
     ",\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":", "}}\n\n", NULL},
    {DV_STREAM_RESPONSES, false, SHAPE_RESPONSE("response.output_text"), ",\"delta\":", "}\n\n",
     SHAPE_WHOLE("response.output_text", "text")},
    {DV_STREAM_RESPONSES, true, SHAPE_RESPONSE("response.function_call_arguments"),
     ",\"delta\":", "}\n\n", SHAPE_WHOLE("response.function_call_arguments", "arguments")},
};

static inline void must(dv_result result)
{
    if (result != DV_OK) {
        abort();
    }
}

static inline void must_be(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* The bytes of the input, one after the other; zeros behind its end. */
typedef struct input {
    dv_slice rest;
} input;

static inline uint8_t input_byte(input *in)
{
    if (in->rest.len == 0) {
        return 0;
    }
    uint8_t byte = in->rest.ptr[0];
    in->rest = dv_slice_sub(in->rest, 1, in->rest.len);
    return byte;
}

static inline dv_slice input_bytes(input *in, size_t len)
{
    dv_slice bytes = dv_slice_sub(in->rest, 0, len);
    in->rest = dv_slice_sub(in->rest, bytes.len, in->rest.len);
    return bytes;
}

/* ---- telling ---- */

typedef struct telling {
    const shape *shape;
    dv_buf events;
    dv_buf texts[SHAPE_LANES]; /* what was told */
    dv_buf got[SHAPE_LANES];   /* what went out */
    dv_buf again[SHAPE_LANES]; /* as a whole */
} telling;

static inline telling telling_new(const shape *s)
{
    telling t = {.shape = s, .events = dv_buf_init(SHAPE_OUT_MAX)};
    for (size_t i = 0; i < SHAPE_LANES; i++) {
        t.texts[i] = dv_buf_init(SHAPE_OUT_MAX);
        t.got[i] = dv_buf_init(SHAPE_OUT_MAX);
        t.again[i] = dv_buf_init(SHAPE_OUT_MAX);
    }
    return t;
}

static inline void telling_release(telling *t)
{
    dv_buf_release(&t->events);
    for (size_t i = 0; i < SHAPE_LANES; i++) {
        dv_buf_release(&t->texts[i]);
        dv_buf_release(&t->got[i]);
        dv_buf_release(&t->again[i]);
    }
}

static inline void tell(telling *t, unsigned lane, dv_slice piece)
{
    must(dv_buf_append_printf(&t->events, "%s%u%s", t->shape->before, lane, t->shape->between));
    must(dv_buf_append_json_string(&t->events, piece));
    must(dv_buf_append_str(&t->events, t->shape->after));
    must(dv_buf_append(&t->texts[lane], piece));
}

/* In pieces of `step` bytes, or some more where a character would be split. */
static inline void tell_in_pieces(telling *t, unsigned lane, dv_slice text, size_t step)
{
    for (size_t at = 0; at < text.len;) {
        size_t end = at + DV_MIN(step, text.len - at);
        while (end < text.len && (text.ptr[end] & 0xC0) == 0x80) {
            end++;
        }
        tell(t, lane, dv_slice_sub(text, at, end - at));
        at = end;
    }
}

static inline void tell_wholes(telling *t)
{
    for (unsigned lane = 0; lane < SHAPE_LANES && t->shape->whole != NULL; lane++) {
        const char *slot = strstr(t->shape->whole, "%u");
        const char *text = strstr(t->shape->whole, "%.*s");
        must(dv_buf_append_printf(&t->events, "%.*s%u%.*s", (int)(slot - t->shape->whole),
                                  t->shape->whole, lane, (int)(text - slot - 2), slot + 2));
        must(dv_buf_append_json_string(&t->events, dv_buf_slice(&t->texts[lane])));
        must(dv_buf_append_str(&t->events, text + 4));
    }
}

/* ---- reading what went out ---- */

static inline void read_member(telling *t, const dv_json *json, uint32_t key, int64_t lane,
                               bool whole, dv_arena *arena)
{
    static const char *const pieces[] = {"content",      "text",  "arguments",
                                         "partial_json", "delta", NULL};
    dv_slice value;
    for (size_t i = 0; pieces[i] != NULL; i++) {
        if (dv_slice_eq_str(dv_json_raw(json, key), pieces[i])) {
            must_be(lane >= 0 && lane < SHAPE_LANES);
            must(dv_json_string(json, key + 1, arena, &value));
            must(dv_buf_append(whole ? &t->again[lane] : &t->got[lane], value));
        }
    }
}

static inline void read_line(telling *t, dv_slice line, dv_arena *arena)
{
    static const dv_json_limits limits = {.depth = 64, .tokens = 1000};
    dv_json json;
    int64_t lane = -1;
    must(dv_json_scan(line, &limits, arena, &json, NULL));
    uint32_t type = dv_json_member(&json, 0, "type");
    bool whole = type != 0 && dv_slice_ends_with(dv_json_raw(&json, type), DV_LIT(".done"));
    for (uint32_t i = 0; i < json.count; i++) {
        if (json.tokens[i].type != DV_JSON_KEY) {
            continue;
        }
        if (lane < 0 && dv_slice_ends_with(dv_json_raw(&json, i), DV_LIT("index"))) {
            must(dv_json_int(&json, i + 1, &lane));
        } else if (json.tokens[i + 1].type == DV_JSON_STRING) {
            read_member(t, &json, i, lane, whole, arena);
        }
    }
}

/* Runs the events through a stream, in chunks. False: it was refused (a limit). */
static inline bool telling_run(telling *t, dv_data_gate *gate, const dv_data_policy *policy,
                               dv_data_context *context, size_t chunk, dv_arena *arena)
{
    dv_auto(buf) dv_buf out = dv_buf_init(SHAPE_OUT_MAX);
    dv_data_stream *stream = NULL;
    dv_verdict verdict = {.decision = DV_ALLOW};
    dv_slice line;
    must(dv_data_stream_new(gate, policy, context, t->shape->format, arena, &stream));
    for (size_t at = 0; at < t->events.len && verdict.decision == DV_ALLOW; at += chunk) {
        must(dv_data_stream_feed(stream, dv_slice_sub(dv_buf_slice(&t->events), at, chunk), false,
                                 &out, &verdict));
        must_be(dv_data_stream_memory(stream) <= DV_LIMIT_STREAM_MEMORY ||
                verdict.decision == DV_DENY);
    }
    if (verdict.decision == DV_ALLOW) {
        must(dv_data_stream_feed(stream, (dv_slice){NULL, 0}, true, &out, &verdict));
    }
    dv_slice rest = dv_buf_slice(&out);
    while (dv_slice_split(&rest, '\n', &line)) {
        if (verdict.decision == DV_ALLOW && dv_slice_starts_with(line, DV_LIT("data: {"))) {
            read_line(t, dv_slice_sub(line, 6, line.len), arena);
        }
    }
    return verdict.decision == DV_ALLOW;
}
