/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/caps.h"
#include "room/data/gate/sse.h"
#include "room/data/gate/window.h"

/* Private: one answer's stream. What the API formats have in common is in stream.c; what their
 * events mean is in stream_openai.c, stream_responses.c and stream_anthropic.c. */

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
    DV_CHANNEL_ITEM_TEXT,       /* output[].content[].text of a response */
    DV_CHANNEL_ITEM_REFUSAL,
    DV_CHANNEL_ITEM_REASONING,
    DV_CHANNEL_ITEM_SUMMARY,
    DV_CHANNEL_ITEM_ARGUMENTS, /* output[].arguments */
    DV_CHANNEL_ITEM_REMOTE_ARGUMENTS,
    DV_CHANNEL_ITEM_INPUT,
    DV_CHANNEL_ITEM_CODE,
    DV_CHANNEL_PLAIN, /* the data of an event stream of no known API */
} dv_channel_kind;

/* Where a text is told as a whole, apart from its pieces: once in each. */
typedef enum dv_telling {
    DV_TOLD_START = 1 << 0,
    DV_TOLD_DONE = 1 << 1,
    DV_TOLD_PART = 1 << 2,
    DV_TOLD_ITEM = 1 << 3,
    DV_TOLD_RESPONSE = 1 << 4,
} dv_telling;

typedef struct dv_channel {
    uint8_t kind;      /* dv_channel_kind */
    uint8_t told;      /* of dv_telling */
    bool finished;     /* this event ends it: nothing is held back */
    bool closed;       /* an event ended it: more text would be searched apart from what went out */
    uint32_t choice;   /* of OpenAI; the content block of Anthropic; a response's output item */
    uint32_t item;     /* the tool call within the choice, the part within the output item */
    dv_window *window; /* NULL: has no text yet, or is closed */
} dv_channel;

/* A string of an event that is a piece of a channel's text, or the whole of it told again. */
typedef struct dv_delta {
    dv_channel *channel;
    uint32_t token;
    bool whole;
} dv_delta;

/* One event while it is worked on. */
typedef struct dv_stream_event {
    dv_slice name;
    dv_json json;
    uint8_t *skip; /* by token: is not to be inspected by itself */
    dv_delta deltas[DV_LIMIT_STREAM_CHANNELS];
    size_t delta_count;
    dv_data_edits edits; /* of its text */
    uint32_t item_id;    /* tokens of a response's event: the id that it tells of; 0: none */
    uint32_t items;      /* and its list of output items */
    uint32_t number;     /* and its sequence number */
    bool hidden;         /* it was asked for by the gate alone: does not go out */
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
    uint64_t text_bytes; /* that went out */
    int64_t number;      /* of the last event of a response; events of our own shift the others */
    int64_t inserted;
    uint32_t tellings; /* what a stream tells once: a format's own bits */
    bool hides_usage;
    bool changed;
    bool over;   /* the API's last event came: only [DONE] may follow */
    bool last;   /* what clients take for the end went out */
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
/* Notes that the token tells that channel's whole text again, which ends it. Errors:
 * DV_ERR_INVALID (that was told already), DV_ERR_TOO_LARGE. */
dv_must dv_result dv_stream_retell(dv_data_stream *stream, dv_stream_event *event,
                                   dv_channel_kind kind, uint32_t choice, uint32_t item,
                                   uint32_t token, dv_telling telling);
/* Marks the channels of a choice (or content block) as finished; ALL: every channel. */
enum { DV_STREAM_ALL = UINT32_MAX };
void dv_stream_finish(dv_data_stream *stream, uint32_t choice);
/* Null, false, a number, "", [] or {}: nothing that could hide text. */
bool dv_stream_is_blank(const dv_json *json, uint32_t token);
bool dv_stream_is(const dv_json *json, uint32_t token, dv_json_type type);
/* Whether the name is in the NULL-ended list. */
bool dv_stream_names_have(const char *const names[], dv_slice name);
/* Members of the object that are not among these are blank, or it is not understood
 * (DV_ERR_INVALID): split over events, nothing would be seen in their texts. Padding
 * ("obfuscation") is emptied: it says nothing, and could say anything. */
dv_must dv_result dv_stream_members(dv_data_stream *stream, dv_stream_event *event, uint32_t object,
                                    const char *const names[]);
/* A member's small whole number, or the fallback when it is absent. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_stream_index(const dv_json *json, uint32_t object, const char *name,
                                  uint32_t fallback, uint32_t *ret_index);
/* Adds a member's count of tokens to *count, when it is there. */
void dv_stream_count(const dv_json *json, uint32_t object, const char *name, int64_t *count);

/* Find the event's deltas. Errors: DV_ERR_INVALID (not understood). */
dv_must dv_result dv_stream_read_openai(dv_data_stream *stream, dv_stream_event *event);
dv_must dv_result dv_stream_read_responses(dv_data_stream *stream, dv_stream_event *event);
dv_must dv_result dv_stream_read_anthropic(dv_data_stream *stream, dv_stream_event *event);

/* Keeps what the chunks of a stream begin with from the first that goes out; data is what went out.
 */
dv_must dv_result dv_stream_head_openai(dv_data_stream *stream, dv_slice data);

/* Append the data of an event that tells only this channel's text (escaped already). */
dv_must dv_result dv_stream_write_openai(const dv_data_stream *stream, const dv_channel *channel,
                                         dv_slice escaped, dv_buf *out);
/* event: the one that ends the channel; NULL: the stream's end. *ret_name: of the event. */
dv_must dv_result dv_stream_write_responses(dv_data_stream *stream, const dv_stream_event *event,
                                            const dv_channel *channel, dv_slice escaped,
                                            dv_buf *out, dv_slice *ret_name);
dv_must dv_result dv_stream_write_anthropic(const dv_channel *channel, dv_slice escaped,
                                            dv_buf *out);

/* Appends the place of a response's text: a JSON pointer. */
dv_must dv_result dv_stream_place_responses(const dv_channel *channel, dv_buf *out);
