/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/caps.h"
#include "room/data/gate/sse.h"
#include "room/data/gate/window.h"

/* Private: one answer's stream. What the API formats have in common is in stream.c; what their
 * events mean is in stream_openai.c and stream_anthropic.c. */

/* What a text of a stream is, and how an event that carries it alone is written. */
typedef enum dv_channel_kind {
    DV_CHANNEL_CONTENT, /* choices[].delta.content */
    DV_CHANNEL_REASONING_CONTENT,
    DV_CHANNEL_REASONING,
    DV_CHANNEL_REFUSAL,
    DV_CHANNEL_TOOL,     /* choices[].delta.tool_calls[].function.arguments */
    DV_CHANNEL_FUNCTION, /* choices[].delta.function_call.arguments */
    DV_CHANNEL_TEXT,     /* choices[].text */
    DV_CHANNEL_BLOCK_TEXT,
    DV_CHANNEL_BLOCK_THINKING,
    DV_CHANNEL_BLOCK_JSON,
    DV_CHANNEL_BLOCK_SIGNATURE, /* told once, whole: never has text */
    DV_CHANNEL_PLAIN,           /* the data of an event stream of no known API */
} dv_channel_kind;

typedef struct dv_channel {
    dv_channel_kind kind;
    uint32_t choice; /* of OpenAI; the content block of Anthropic */
    uint32_t item;   /* the tool call within the choice */
    bool finished;   /* this event ends it: nothing is held back */
    bool closed;     /* an event ended it: more text would be searched apart from what went out */
    const char *place;
    dv_window window;
} dv_channel;

/* A string of an event that is a piece of a channel's text. */
typedef struct dv_delta {
    dv_channel *channel;
    uint32_t token;
} dv_delta;

/* One event while it is worked on. */
typedef struct dv_stream_event {
    dv_slice name;
    dv_json json;
    uint8_t *skip; /* by token: a delta's */
    dv_delta deltas[DV_LIMIT_STREAM_CHANNELS];
    size_t delta_count;
} dv_stream_event;

struct dv_data_stream {
    dv_data_pass pass;
    dv_verdict verdict; /* of the stream so far */
    dv_stream_format format;
    dv_sse_reader reader;
    dv_channel *channels[DV_LIMIT_STREAM_CHANNELS];
    size_t channel_count;
    bool has_head;
    dv_slice
        head; /* members that events of this stream begin with, as they went out, and a comma */
    int64_t input_tokens;
    int64_t output_tokens;
    bool changed;
    bool ended;  /* denied or over: nothing more goes out */
    dv_buf *out; /* during a feed */
};

/* The decoded name of a member. */
dv_must dv_result dv_stream_name(dv_data_stream *stream, const dv_json *json, uint32_t key,
                                 dv_slice *ret_name);
/* The channel, made when it is new. Errors: DV_ERR_TOO_LARGE. */
dv_must dv_result dv_stream_channel(dv_data_stream *stream, dv_channel_kind kind, uint32_t choice,
                                    uint32_t item, dv_channel **ret_channel);
/* Notes that the token is a piece of that channel's text. Errors: DV_ERR_INVALID (the text is over,
 * or told twice), DV_ERR_TOO_LARGE. */
dv_must dv_result dv_stream_delta(dv_data_stream *stream, dv_stream_event *event,
                                  dv_channel_kind kind, uint32_t choice, uint32_t item,
                                  uint32_t token);
/* Marks the channels of a choice (or content block) as finished; ALL: every channel. */
enum { DV_STREAM_ALL = UINT32_MAX };
void dv_stream_finish(dv_data_stream *stream, uint32_t choice);
/* Null, false, a number, "", [] or {}: nothing that could hide text. */
bool dv_stream_is_blank(const dv_json *json, uint32_t token);
/* A member's small whole number, or the fallback when it is absent. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_stream_index(const dv_json *json, uint32_t object, const char *name,
                                  uint32_t fallback, uint32_t *ret_index);
/* Adds a member's count of tokens to *count, when it is there. */
void dv_stream_count(const dv_json *json, uint32_t object, const char *name, int64_t *count);

/* Find the event's deltas. Errors: DV_ERR_INVALID (not understood). */
dv_must dv_result dv_stream_read_openai(dv_data_stream *stream, dv_stream_event *event);
dv_must dv_result dv_stream_read_anthropic(dv_data_stream *stream, dv_stream_event *event);

/* Keeps what the chunks of a stream begin with from the first that goes out; data is what went out.
 */
dv_must dv_result dv_stream_head_openai(dv_data_stream *stream, dv_slice data);

/* Append the data of an event that tells only this channel's text (escaped already). */
dv_must dv_result dv_stream_write_openai(const dv_data_stream *stream, const dv_channel *channel,
                                         dv_slice escaped, dv_buf *out);
dv_must dv_result dv_stream_write_anthropic(const dv_channel *channel, dv_slice escaped,
                                            dv_buf *out);
