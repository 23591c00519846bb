/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/stream.h"

/* Anthropic's message events. Each content block is a channel of its own. */

/* Whole strings that are inspected by themselves: names, ids, opaque signatures. */
static dv_result read_delta(dv_data_stream *stream, dv_stream_event *event, uint32_t object,
                            uint32_t block)
{
    static const struct {
        const char *type;
        const char *member; /* the piece of text; NULL: none */
        dv_channel_kind kind;
    } kinds[] = {
        {"text_delta", "text", DV_CHANNEL_BLOCK_TEXT},
        {"input_json_delta", "partial_json", DV_CHANNEL_BLOCK_JSON},
        {"thinking_delta", "thinking", DV_CHANNEL_BLOCK_THINKING},
        {"signature_delta", NULL, DV_CHANNEL_BLOCK_TEXT},
        {"citations_delta", NULL, DV_CHANNEL_BLOCK_TEXT},
    };
    const dv_json *json = &event->json;
    dv_slice type = {NULL, 0};
    uint32_t member = dv_json_member(json, object, "type");
    if (member == 0 || json->tokens[member].type != DV_JSON_STRING) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_json_string(json, member, stream->pass.temp, &type));
    for (size_t i = 0; i < DV_ARRAY_LEN(kinds); i++) {
        if (!dv_slice_eq_str(type, kinds[i].type)) {
            continue;
        }
        if (kinds[i].member == NULL) {
            return DV_OK;
        }
        uint32_t text = dv_json_member(json, object, kinds[i].member);
        if (text == 0 || json->tokens[text].type != DV_JSON_STRING) {
            return DV_ERR_INVALID;
        }
        return dv_stream_delta(stream, event, kinds[i].kind, block, 0, text);
    }
    return DV_ERR_INVALID;
}

/* A block may begin with its first piece of text. */
static dv_result read_block(dv_data_stream *stream, dv_stream_event *event, uint32_t object,
                            uint32_t block)
{
    const dv_json *json = &event->json;
    uint32_t text = dv_json_member(json, object, "text");
    uint32_t thinking = dv_json_member(json, object, "thinking");
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
    const dv_json *json = &event->json;
    uint32_t block = 0;
    DV_TRY(dv_stream_index(json, 0, "index", UINT32_MAX, &block));
    if (dv_slice_eq_str(type, "content_block_stop")) {
        dv_stream_finish(stream, block);
        return DV_OK;
    }
    bool start = dv_slice_eq_str(type, "content_block_start");
    uint32_t object = dv_json_member(json, 0, start ? "content_block" : "delta");
    if (object == 0 || json->tokens[object].type != DV_JSON_OBJECT) {
        return DV_ERR_INVALID;
    }
    return start ? read_block(stream, event, object, block)
                 : read_delta(stream, event, object, block);
}

dv_result dv_stream_read_anthropic(dv_data_stream *stream, dv_stream_event *event)
{
    const dv_json *json = &event->json;
    uint32_t member = dv_json_member(json, 0, "type");
    dv_slice type = {NULL, 0};
    if (member == 0 || json->tokens[member].type != DV_JSON_STRING) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_json_string(json, member, stream->pass.temp, &type));
    if (dv_slice_starts_with(type, DV_LIT("content_block_"))) {
        return read_block_event(stream, event, type);
    }
    if (dv_slice_eq_str(type, "message_start")) {
        uint32_t message = dv_json_member(json, 0, "message");
        if (message == 0 || json->tokens[message].type != DV_JSON_OBJECT) {
            return DV_ERR_INVALID;
        }
        read_usage(stream, json, message);
        return DV_OK;
    }
    if (dv_slice_eq_str(type, "message_delta")) {
        dv_stream_finish(stream, DV_STREAM_ALL);
        read_usage(stream, json, 0);
        return DV_OK;
    }
    if (dv_slice_eq_str(type, "message_stop")) {
        dv_stream_finish(stream, DV_STREAM_ALL);
        return DV_OK;
    }
    bool harmless = dv_slice_eq_str(type, "ping") || dv_slice_eq_str(type, "error");
    return harmless ? DV_OK : DV_ERR_INVALID;
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
    };
    DV_TRY(dv_buf_append_printf(
        out, "{\"type\":\"content_block_delta\",\"index\":%u,\"delta\":{\"type\":\"%s\",\"%s\":\"",
        channel->choice, names[channel->kind].type, names[channel->kind].member));
    DV_TRY(dv_buf_append(out, escaped));
    return dv_buf_append_str(out, "\"}}");
}
