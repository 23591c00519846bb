/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/stream.h"

/* OpenAI's chat and completion chunks. A text that is told in pieces is a channel; every other
 * string of an event is inspected by itself. A member of a choice or delta that is not known here
 * and could carry text is refused: split over events, nothing would be seen in it. */

enum { HEAD_MAX = 1024 };

/* {"name": whole, "arguments": piece} */
static dv_result read_function(dv_data_stream *stream, dv_stream_event *event, uint32_t object,
                               dv_channel_kind kind, uint32_t choice, uint32_t item)
{
    const dv_json *json = &event->json;
    if (!dv_stream_is(json, object, DV_JSON_OBJECT)) {
        return dv_stream_is_blank(json, object) ? DV_OK : DV_ERR_INVALID;
    }
    for (uint32_t key = object + 1; key < json->tokens[object].next;
         key = json->tokens[key + 1].next) {
        dv_slice name;
        DV_TRY(dv_stream_name(stream, json, key, &name));
        if (dv_slice_eq_str(name, "arguments") && dv_stream_is(json, key + 1, DV_JSON_STRING)) {
            DV_TRY(dv_stream_delta(stream, event, kind, choice, item, key + 1));
        } else if (!dv_slice_eq_str(name, "name") && !dv_stream_is_blank(json, key + 1)) {
            return DV_ERR_INVALID;
        }
    }
    return DV_OK;
}

static dv_result read_tool_call(dv_data_stream *stream, dv_stream_event *event, uint32_t object,
                                uint32_t choice, uint32_t position)
{
    static const char *const whole[] = {"id", "type", "index", NULL};
    const dv_json *json = &event->json;
    uint32_t item = 0;
    if (!dv_stream_is(json, object, DV_JSON_OBJECT)) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_stream_index(json, object, "index", position, &item));
    for (uint32_t key = object + 1; key < json->tokens[object].next;
         key = json->tokens[key + 1].next) {
        dv_slice name;
        DV_TRY(dv_stream_name(stream, json, key, &name));
        if (dv_slice_eq_str(name, "function")) {
            DV_TRY(read_function(stream, event, key + 1, DV_CHANNEL_TOOL, choice, item));
        } else if (!dv_stream_names_have(whole, name) && !dv_stream_is_blank(json, key + 1)) {
            return DV_ERR_INVALID;
        }
    }
    return DV_OK;
}

static dv_result read_tool_calls(dv_data_stream *stream, dv_stream_event *event, uint32_t list,
                                 uint32_t choice)
{
    const dv_json *json = &event->json;
    uint32_t position = 0;
    if (!dv_stream_is(json, list, DV_JSON_ARRAY)) {
        return dv_stream_is_blank(json, list) ? DV_OK : DV_ERR_INVALID;
    }
    for (uint32_t item = list + 1; item < json->tokens[list].next; item = json->tokens[item].next) {
        DV_TRY(read_tool_call(stream, event, item, choice, position++));
    }
    return DV_OK;
}

static dv_result read_delta_member(dv_data_stream *stream, dv_stream_event *event, dv_slice name,
                                   uint32_t value, uint32_t choice)
{
    static const struct {
        const char *name;
        dv_channel_kind kind;
    } texts[] = {
        {"content", DV_CHANNEL_CONTENT},
        {"reasoning_content", DV_CHANNEL_REASONING_CONTENT},
        {"reasoning", DV_CHANNEL_REASONING},
        {"refusal", DV_CHANNEL_REFUSAL},
    };
    const dv_json *json = &event->json;
    for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
        if (dv_slice_eq_str(name, texts[i].name) && dv_stream_is(json, value, DV_JSON_STRING)) {
            return dv_stream_delta(stream, event, texts[i].kind, choice, 0, value);
        }
    }
    if (dv_slice_eq_str(name, "tool_calls")) {
        return read_tool_calls(stream, event, value, choice);
    }
    if (dv_slice_eq_str(name, "function_call")) {
        return read_function(stream, event, value, DV_CHANNEL_FUNCTION, choice, 0);
    }
    bool whole = dv_slice_eq_str(name, "role") && dv_stream_is(json, value, DV_JSON_STRING);
    return whole || dv_stream_is_blank(json, value) ? DV_OK : DV_ERR_INVALID;
}

static dv_result read_delta(dv_data_stream *stream, dv_stream_event *event, uint32_t object,
                            uint32_t choice)
{
    const dv_json *json = &event->json;
    if (!dv_stream_is(json, object, DV_JSON_OBJECT)) {
        return dv_stream_is_blank(json, object) ? DV_OK : DV_ERR_INVALID;
    }
    for (uint32_t key = object + 1; key < json->tokens[object].next;
         key = json->tokens[key + 1].next) {
        dv_slice name;
        DV_TRY(dv_stream_name(stream, json, key, &name));
        DV_TRY(read_delta_member(stream, event, name, key + 1, choice));
    }
    return DV_OK;
}

static dv_result read_choice(dv_data_stream *stream, dv_stream_event *event, uint32_t object)
{
    static const char *const whole[] = {"native_finish_reason",   "stop_reason",
                                        "matched_stop",           "content_filter_results",
                                        "content_filter_offsets", NULL};
    const dv_json *json = &event->json;
    uint32_t choice = 0;
    if (!dv_stream_is(json, object, DV_JSON_OBJECT)) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_stream_index(json, object, "index", 0, &choice));
    for (uint32_t key = object + 1; key < json->tokens[object].next;
         key = json->tokens[key + 1].next) {
        dv_slice name;
        DV_TRY(dv_stream_name(stream, json, key, &name));
        if (dv_slice_eq_str(name, "delta")) {
            DV_TRY(read_delta(stream, event, key + 1, choice));
        } else if (dv_slice_eq_str(name, "text") && dv_stream_is(json, key + 1, DV_JSON_STRING)) {
            DV_TRY(dv_stream_delta(stream, event, DV_CHANNEL_TEXT, choice, 0, key + 1));
        } else if (dv_slice_eq_str(name, "finish_reason")) {
            if (!dv_stream_is_blank(json, key + 1)) {
                dv_stream_finish(stream, choice);
            }
        } else if (!dv_stream_names_have(whole, name) && !dv_stream_is_blank(json, key + 1)) {
            return DV_ERR_INVALID; /* logprobs among them: they tell the text again */
        }
    }
    return DV_OK;
}

static void read_usage(dv_data_stream *stream, const dv_json *json)
{
    uint32_t usage = dv_json_member(json, 0, "usage");
    if (usage != 0 && dv_stream_is(json, usage, DV_JSON_OBJECT)) {
        int64_t input = -1;
        int64_t output = -1;
        dv_stream_count(json, usage, "prompt_tokens", &input);
        dv_stream_count(json, usage, "completion_tokens", &output);
        stream->input_tokens = input >= 0 ? input : stream->input_tokens;
        stream->output_tokens = output >= 0 ? output : stream->output_tokens;
    }
}

/* A chunk without choices that tells the usage alone. */
static bool tells_usage_alone(const dv_json *json, uint32_t choices)
{
    uint32_t usage = dv_json_member(json, 0, "usage");
    return dv_stream_is_blank(json, choices) && usage != 0 &&
           dv_stream_is(json, usage, DV_JSON_OBJECT);
}

dv_result dv_stream_read_openai(dv_data_stream *stream, dv_stream_event *event)
{
    static const char *const known[] = {"id",
                                        "object",
                                        "created",
                                        "model",
                                        "choices",
                                        "usage",
                                        "error",
                                        "system_fingerprint",
                                        "service_tier",
                                        "provider",
                                        "timings",
                                        "x_groq",
                                        "prompt_filter_results",
                                        NULL};
    const dv_json *json = &event->json;
    uint32_t choices = dv_json_member(json, 0, "choices");
    uint32_t error = dv_json_member(json, 0, "error");
    DV_TRY(dv_stream_members(stream, event, 0, known));
    /* An error that the model server met on the way is told as it is, and ends the stream. */
    stream->over = error != 0 && !dv_stream_is_blank(json, error);
    if (choices == 0) {
        return stream->over ? DV_OK : DV_ERR_INVALID;
    }
    if (!dv_stream_is(json, choices, DV_JSON_ARRAY)) {
        return DV_ERR_INVALID;
    }
    for (uint32_t item = choices + 1; item < json->tokens[choices].next;
         item = json->tokens[item].next) {
        DV_TRY(read_choice(stream, event, item));
    }
    read_usage(stream, json);
    event->hidden = stream->hides_usage && tells_usage_alone(json, choices);
    return DV_OK;
}

/* ---- writing ---- */

/* What the members of the head say, as JSON; nothing when it is absurdly long: clients do without
 * it. */
static dv_result copy_head(dv_data_stream *stream, const dv_json *json)
{
    static const char *const names[] = {"id", "object", "created", "model"};
    dv_auto(buf) dv_buf head = dv_buf_init(HEAD_MAX);
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        uint32_t value = dv_json_member(json, 0, names[i]);
        if (value == 0 || (!dv_stream_is(json, value, DV_JSON_STRING) &&
                           !dv_stream_is(json, value, DV_JSON_NUMBER))) {
            continue;
        }
        const char *quote = dv_stream_is(json, value, DV_JSON_STRING) ? "\"" : "";
        dv_slice raw = dv_json_raw(json, value);
        if (dv_buf_append_printf(&head, "\"%s\":%s%.*s%s,", names[i], quote, DV_SLICE_ARGS(raw),
                                 quote) != DV_OK) {
            return DV_OK;
        }
    }
    return dv_arena_copy(stream->pass.arena, dv_buf_slice(&head), &stream->head);
}

dv_result dv_stream_head_openai(dv_data_stream *stream, dv_slice data)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH,
                                          .tokens = DV_LIMIT_JSON_TOKENS};
    dv_json json;
    DV_TRY(dv_json_scan(data, &limits, stream->pass.temp, &json, NULL));
    if (dv_json_member(&json, 0, "choices") == 0) {
        return DV_OK;
    }
    stream->has_head = true;
    return copy_head(stream, &json);
}

static dv_result write_choice(const dv_channel *channel, dv_slice escaped, dv_buf *out)
{
    static const char *const names[] = {
        [DV_CHANNEL_CONTENT] = "content",
        [DV_CHANNEL_REASONING_CONTENT] = "reasoning_content",
        [DV_CHANNEL_REASONING] = "reasoning",
        [DV_CHANNEL_REFUSAL] = "refusal",
    };
    switch (channel->kind) {
    case DV_CHANNEL_TEXT:
        DV_TRY(dv_buf_append_str(out, "\"text\":\""));
        DV_TRY(dv_buf_append(out, escaped));
        return dv_buf_append_str(out, "\",\"logprobs\":null");
    case DV_CHANNEL_TOOL:
        DV_TRY(dv_buf_append_printf(
            out, "\"delta\":{\"tool_calls\":[{\"index\":%u,\"function\":{\"arguments\":\"",
            channel->item));
        DV_TRY(dv_buf_append(out, escaped));
        return dv_buf_append_str(out, "\"}}]}");
    case DV_CHANNEL_FUNCTION:
        DV_TRY(dv_buf_append_str(out, "\"delta\":{\"function_call\":{\"arguments\":\""));
        DV_TRY(dv_buf_append(out, escaped));
        return dv_buf_append_str(out, "\"}}");
    default:
        DV_TRY(dv_buf_append_printf(out, "\"delta\":{\"%s\":\"", names[channel->kind]));
        DV_TRY(dv_buf_append(out, escaped));
        return dv_buf_append_str(out, "\"}");
    }
}

dv_result dv_stream_write_openai(const dv_data_stream *stream, const dv_channel *channel,
                                 dv_slice escaped, dv_buf *out)
{
    DV_TRY(dv_buf_append_byte(out, '{'));
    DV_TRY(dv_buf_append(out, stream->head));
    DV_TRY(dv_buf_append_printf(out, "\"choices\":[{\"index\":%u,", channel->choice));
    DV_TRY(write_choice(channel, escaped, out));
    return dv_buf_append_str(out, ",\"finish_reason\":null}]}");
}
