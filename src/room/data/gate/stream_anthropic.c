/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/stream.h"

/* Anthropic's message events. Each content block is a channel of its own. */

/* Only these members are there. */
static dv_result check_members(dv_data_stream *stream, const dv_json *json, uint32_t object,
                               const char *const names[], size_t count)
{
    for (uint32_t key = object + 1; key < json->tokens[object].next;
         key = json->tokens[key + 1].next) {
        dv_slice name;
        size_t i = 0;
        DV_TRY(dv_stream_name(stream, json, key, &name));
        while (i < count && !dv_slice_eq_str(name, names[i])) {
            i++;
        }
        if (i == count) {
            return DV_ERR_INVALID;
        }
    }
    return DV_OK;
}

static bool is_base64(dv_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        bool fits = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                    (byte >= '0' && byte <= '9') || byte == '+' || byte == '/' || byte == '-' ||
                    byte == '_' || byte == '=';
        if (!fits) {
            return false;
        }
    }
    return true;
}

/* A block's signature comes once and whole: in pieces, nothing would be seen in it. */
static dv_result read_signature(dv_data_stream *stream, const dv_json *json, uint32_t token,
                                uint32_t block)
{
    dv_slice text;
    dv_channel *channel = NULL;
    DV_TRY(dv_json_string(json, token, stream->pass.temp, &text));
    DV_TRY(dv_stream_channel(stream, DV_CHANNEL_BLOCK_SIGNATURE, block, 0, &channel));
    if (text.len == 0) {
        return DV_OK;
    }
    if (channel->closed || !is_base64(text)) {
        return DV_ERR_INVALID;
    }
    channel->closed = true;
    return DV_OK;
}

/* One whole citation: what it is of, and where it stands there. */
static dv_result read_citation(dv_data_stream *stream, const dv_json *json, uint32_t object)
{
    static const char *const names[] = {
        "type",
        "cited_text",
        "document_index",
        "document_title",
        "file_id",
        "start_char_index",
        "end_char_index",
        "start_page_number",
        "end_page_number",
        "start_block_index",
        "end_block_index",
        "search_result_index",
        "source",
        "title",
        "url",
        "encrypted_index",
    };
    return check_members(stream, json, object, names, DV_ARRAY_LEN(names));
}

/* What a delta of some type has beside its type. */
typedef struct delta_kind {
    const char *type;
    const char *member;
    dv_json_type json;
    dv_channel_kind channel;
} delta_kind;

static dv_result read_delta_value(dv_data_stream *stream, dv_stream_event *event,
                                  const delta_kind *kind, uint32_t value, uint32_t block)
{
    if (kind->json == DV_JSON_OBJECT) {
        return read_citation(stream, &event->json, value);
    }
    if (kind->channel == DV_CHANNEL_BLOCK_SIGNATURE) {
        return read_signature(stream, &event->json, value, block);
    }
    return dv_stream_delta(stream, event, kind->channel, block, 0, value);
}

static dv_result read_delta(dv_data_stream *stream, dv_stream_event *event, uint32_t object,
                            uint32_t block)
{
    static const delta_kind kinds[] = {
        {"text_delta", "text", DV_JSON_STRING, DV_CHANNEL_BLOCK_TEXT},
        {"input_json_delta", "partial_json", DV_JSON_STRING, DV_CHANNEL_BLOCK_JSON},
        {"thinking_delta", "thinking", DV_JSON_STRING, DV_CHANNEL_BLOCK_THINKING},
        {"signature_delta", "signature", DV_JSON_STRING, DV_CHANNEL_BLOCK_SIGNATURE},
        {"citations_delta", "citation", DV_JSON_OBJECT, DV_CHANNEL_BLOCK_TEXT},
    };
    const dv_json *json = &event->json;
    dv_slice type = {NULL, 0};
    uint32_t member = dv_json_member(json, object, "type");
    if (member == 0 || !dv_stream_is(json, member, DV_JSON_STRING)) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_json_string(json, member, stream->pass.temp, &type));
    for (size_t i = 0; i < DV_ARRAY_LEN(kinds); i++) {
        if (!dv_slice_eq_str(type, kinds[i].type)) {
            continue;
        }
        const char *const names[] = {"type", kinds[i].member};
        uint32_t value = dv_json_member(json, object, kinds[i].member);
        if (value == 0 || !dv_stream_is(json, value, kinds[i].json)) {
            return DV_ERR_INVALID;
        }
        DV_TRY(check_members(stream, json, object, names, DV_ARRAY_LEN(names)));
        return read_delta_value(stream, event, &kinds[i], value, block);
    }
    return DV_ERR_INVALID;
}

/* A block begins once, and is told whole there but for its text, of which it may hold the first
 * piece. */
static dv_result begin_block(dv_data_stream *stream, uint32_t block)
{
    dv_channel *channel = NULL;
    DV_TRY(dv_stream_channel(stream, DV_CHANNEL_BLOCK_SIGNATURE, block, 0, &channel));
    if ((channel->told & DV_TOLD_START) != 0) {
        return DV_ERR_INVALID;
    }
    channel->told |= DV_TOLD_START;
    return DV_OK;
}

static dv_result read_block(dv_data_stream *stream, dv_stream_event *event, uint32_t object,
                            uint32_t block)
{
    const dv_json *json = &event->json;
    uint32_t text = dv_json_member(json, object, "text");
    uint32_t thinking = dv_json_member(json, object, "thinking");
    DV_TRY(begin_block(stream, block));
    if (text != 0 && json->tokens[text].type == DV_JSON_STRING) {
        DV_TRY(dv_stream_delta(stream, event, DV_CHANNEL_BLOCK_TEXT, block, 0, text));
    }
    if (thinking != 0 && json->tokens[thinking].type == DV_JSON_STRING) {
        DV_TRY(dv_stream_delta(stream, event, DV_CHANNEL_BLOCK_THINKING, block, 0, thinking));
    }
    return DV_OK;
}

static void read_usage(dv_data_stream *stream, const dv_json *json, uint32_t object)
{
    static const char *const inputs[] = {"input_tokens", "cache_creation_input_tokens",
                                         "cache_read_input_tokens"};
    uint32_t usage = dv_json_member(json, object, "usage");
    if (usage == 0 || json->tokens[usage].type != DV_JSON_OBJECT) {
        return;
    }
    int64_t input = -1;
    int64_t output = -1;
    for (size_t i = 0; i < DV_ARRAY_LEN(inputs); i++) {
        dv_stream_count(json, usage, inputs[i], &input);
    }
    dv_stream_count(json, usage, "output_tokens", &output);
    stream->input_tokens = input >= 0 ? input : stream->input_tokens;
    stream->output_tokens = output >= 0 ? output : stream->output_tokens;
}

/* An event about one content block: {"index": n, NAME: {...}}. */
static dv_result read_block_event(dv_data_stream *stream, dv_stream_event *event, dv_slice type)
{
    static const char *const start_names[] = {"type", "index", "content_block", NULL};
    static const char *const delta_names[] = {"type", "index", "delta", NULL};
    static const char *const stop_names[] = {"type", "index", NULL};
    const dv_json *json = &event->json;
    uint32_t block = 0;
    DV_TRY(dv_stream_index(json, 0, "index", UINT32_MAX, &block));
    if (dv_slice_eq_str(type, "content_block_stop")) {
        dv_stream_finish(stream, block);
        return dv_stream_members(stream, event, 0, stop_names);
    }
    bool start = dv_slice_eq_str(type, "content_block_start");
    DV_TRY(dv_stream_members(stream, event, 0, start ? start_names : delta_names));
    uint32_t object = dv_json_member(json, 0, start ? "content_block" : "delta");
    if (object == 0 || json->tokens[object].type != DV_JSON_OBJECT) {
        return DV_ERR_INVALID;
    }
    return start ? read_block(stream, event, object, block)
                 : read_delta(stream, event, object, block);
}

/* {"message": {...}}, once. */
static dv_result read_message(dv_data_stream *stream, dv_stream_event *event)
{
    static const char *const names[] = {"type", "message", NULL};
    enum { BEGAN = 1 };
    const dv_json *json = &event->json;
    uint32_t message = dv_json_member(json, 0, "message");
    if (message == 0 || !dv_stream_is(json, message, DV_JSON_OBJECT) ||
        (stream->tellings & BEGAN) != 0) {
        return DV_ERR_INVALID;
    }
    stream->tellings |= BEGAN;
    read_usage(stream, json, message);
    return dv_stream_members(stream, event, 0, names);
}

static dv_result read_message_delta(dv_data_stream *stream, dv_stream_event *event)
{
    static const char *const names[] = {"type", "delta", "usage", "context_management", NULL};
    static const char *const inner[] = {"stop_reason", "stop_sequence", "container", NULL};
    uint32_t delta = dv_json_member(&event->json, 0, "delta");
    dv_stream_finish(stream, DV_STREAM_ALL);
    read_usage(stream, &event->json, 0);
    if (delta != 0 && dv_stream_is(&event->json, delta, DV_JSON_OBJECT)) {
        DV_TRY(dv_stream_members(stream, event, delta, inner));
    }
    return dv_stream_members(stream, event, 0, names);
}

dv_result dv_stream_read_anthropic(dv_data_stream *stream, dv_stream_event *event)
{
    static const char *const alone[] = {"type", NULL};
    static const char *const error[] = {"type", "error", "request_id", NULL};
    const dv_json *json = &event->json;
    uint32_t member = dv_json_member(json, 0, "type");
    dv_slice type = {NULL, 0};
    if (member == 0 || !dv_stream_is(json, member, DV_JSON_STRING)) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_json_string(json, member, stream->pass.temp, &type));
    if (dv_slice_starts_with(type, DV_LIT("content_block_"))) {
        return read_block_event(stream, event, type);
    }
    if (dv_slice_eq_str(type, "message_start")) {
        return read_message(stream, event);
    }
    if (dv_slice_eq_str(type, "message_delta")) {
        return read_message_delta(stream, event);
    }
    if (dv_slice_eq_str(type, "message_stop")) {
        dv_stream_finish(stream, DV_STREAM_ALL);
        stream->over = true;
        return dv_stream_members(stream, event, 0, alone);
    }
    if (dv_slice_eq_str(type, "error")) {
        stream->over = true;
        return dv_stream_members(stream, event, 0, error);
    }
    return dv_slice_eq_str(type, "ping") ? dv_stream_members(stream, event, 0, alone)
                                         : DV_ERR_INVALID;
}

dv_result dv_stream_write_anthropic(const dv_channel *channel, dv_slice escaped, dv_buf *out)
{
    static const struct {
        const char *type;
        const char *member;
    } names[] = {
        [DV_CHANNEL_BLOCK_TEXT] = {"text_delta", "text"},
        [DV_CHANNEL_BLOCK_THINKING] = {"thinking_delta", "thinking"},
        [DV_CHANNEL_BLOCK_JSON] = {"input_json_delta", "partial_json"},
        [DV_CHANNEL_BLOCK_SIGNATURE] = {"signature_delta", "signature"},
    };
    DV_TRY(dv_buf_append_printf(
        out, "{\"type\":\"content_block_delta\",\"index\":%u,\"delta\":{\"type\":\"%s\",\"%s\":\"",
        channel->choice, names[channel->kind].type, names[channel->kind].member));
    DV_TRY(dv_buf_append(out, escaped));
    return dv_buf_append_str(out, "\"}}");
}
