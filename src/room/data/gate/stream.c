/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/stream.h"

#include "base/codec.h"

/* Streams of events.
 *
 * 1. An event goes out when it came in, with as much of its texts as is decided; what is held back
 *    follows with the next event of the same text, or by itself before the event that ends it.
 * 2. Text of a channel goes out in order and once.
 * 3. After a denial only the error event goes out, whatever comes in. */

enum {
    EVENT_ARENA = 64 << 20,               /* bytes of one event's work */
    TEXT_MAX = DV_LIMIT_STREAM_EVENT * 8, /* what one event's text may become */
};

/* ---- channels ---- */

static const char *place_of(const dv_data_stream *stream, dv_channel_kind kind, uint32_t choice,
                            uint32_t item)
{
    static const char *const ends[] = {
        [DV_CHANNEL_CONTENT] = "delta/content",
        [DV_CHANNEL_REASONING_CONTENT] = "delta/reasoning_content",
        [DV_CHANNEL_REASONING] = "delta/reasoning",
        [DV_CHANNEL_REFUSAL] = "delta/refusal",
        [DV_CHANNEL_TOOL] = "delta/tool_calls",
        [DV_CHANNEL_FUNCTION] = "delta/function_call/arguments",
        [DV_CHANNEL_TEXT] = "text",
        [DV_CHANNEL_BLOCK_TEXT] = "text",
        [DV_CHANNEL_BLOCK_THINKING] = "thinking",
        [DV_CHANNEL_BLOCK_JSON] = "input",
        [DV_CHANNEL_BLOCK_SIGNATURE] = "signature",
        [DV_CHANNEL_PLAIN] = "",
    };
    dv_arena *arena = stream->pass.arena;
    switch (stream->format) {
    case DV_STREAM_ANTHROPIC:
        return dv_arena_printf(arena, "/content/%u/%s", choice, ends[kind]);
    case DV_STREAM_TEXT:
        return "";
    case DV_STREAM_OPENAI:
        break;
    }
    if (kind == DV_CHANNEL_TOOL) {
        return dv_arena_printf(arena, "/choices/%u/%s/%u/function/arguments", choice, ends[kind],
                               item);
    }
    return dv_arena_printf(arena, "/choices/%u/%s", choice, ends[kind]);
}

static bool is_json_text(dv_channel_kind kind)
{
    return kind == DV_CHANNEL_TOOL || kind == DV_CHANNEL_FUNCTION || kind == DV_CHANNEL_BLOCK_JSON;
}

dv_result dv_stream_channel(dv_data_stream *stream, dv_channel_kind kind, uint32_t choice,
                            uint32_t item, dv_channel **ret_channel)
{
    for (size_t i = 0; i < stream->channel_count; i++) {
        dv_channel *channel = stream->channels[i];
        if (channel->kind == kind && channel->choice == choice && channel->item == item) {
            *ret_channel = channel;
            return DV_OK;
        }
    }
    if (stream->channel_count == DV_LIMIT_STREAM_CHANNELS) {
        return DV_ERR_TOO_LARGE;
    }
    dv_channel *channel = dv_arena_alloc(stream->pass.arena, sizeof(*channel));
    const char *place = place_of(stream, kind, choice, item);
    if (channel == NULL || place == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *channel = (dv_channel){.kind = kind, .choice = choice, .item = item, .place = place};
    dv_window_init(&channel->window, is_json_text(kind));
    stream->channels[stream->channel_count++] = channel;
    *ret_channel = channel;
    return DV_OK;
}

void dv_stream_finish(dv_data_stream *stream, uint32_t choice)
{
    for (size_t i = 0; i < stream->channel_count; i++) {
        dv_channel *channel = stream->channels[i];
        channel->finished |= choice == DV_STREAM_ALL || channel->choice == choice;
    }
}

/* ---- what the formats share ---- */

dv_result dv_stream_name(dv_data_stream *stream, const dv_json *json, uint32_t key,
                         dv_slice *ret_name)
{
    return dv_json_string(json, key, stream->pass.temp, ret_name);
}

dv_result dv_stream_delta(dv_data_stream *stream, dv_stream_event *event, dv_channel_kind kind,
                          uint32_t choice, uint32_t item, uint32_t token)
{
    dv_channel *channel = NULL;
    if (event->delta_count == DV_LIMIT_STREAM_CHANNELS) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(dv_stream_channel(stream, kind, choice, item, &channel));
    if (channel->closed && !dv_stream_is_blank(&event->json, token)) {
        return DV_ERR_INVALID;
    }
    for (size_t i = 0; i < event->delta_count; i++) {
        if (event->deltas[i].channel == channel) {
            return DV_ERR_INVALID; /* the same text twice in one event */
        }
    }
    event->deltas[event->delta_count++] = (dv_delta){channel, token};
    event->skip[token] = 1;
    return DV_OK;
}

bool dv_stream_is_blank(const dv_json *json, uint32_t token)
{
    const dv_json_token *t = &json->tokens[token];
    switch ((dv_json_type)t->type) {
    case DV_JSON_STRING:
        return t->len == 0;
    case DV_JSON_OBJECT:
    case DV_JSON_ARRAY:
        return t->next == token + 1;
    default:
        return true;
    }
}

dv_result dv_stream_index(const dv_json *json, uint32_t object, const char *name, uint32_t fallback,
                          uint32_t *ret_index)
{
    uint32_t member = dv_json_member(json, object, name);
    int64_t value = 0;
    if (member == 0) {
        if (fallback == UINT32_MAX) {
            return DV_ERR_INVALID;
        }
        *ret_index = fallback;
        return DV_OK;
    }
    if (json->tokens[member].type != DV_JSON_NUMBER || dv_json_int(json, member, &value) != DV_OK ||
        value < 0 || value > INT32_MAX) {
        return DV_ERR_INVALID;
    }
    *ret_index = (uint32_t)value;
    return DV_OK;
}

void dv_stream_count(const dv_json *json, uint32_t object, const char *name, int64_t *count)
{
    uint32_t member = dv_json_member(json, object, name);
    int64_t value = 0;
    if (member != 0 && json->tokens[member].type == DV_JSON_NUMBER &&
        dv_json_int(json, member, &value) == DV_OK && value >= 0 && value <= INT32_MAX) {
        *count = (*count < 0 ? 0 : *count) + value;
    }
}

/* ---- what is held back ---- */

static void close_channel(dv_channel *channel)
{
    channel->closed |= channel->finished;
    channel->finished = false;
}

static bool denied(const dv_data_stream *stream)
{
    return stream->verdict.decision == DV_DENY;
}

/* Writes an event of our own with the text of a channel. */
static dv_result write_alone(dv_data_stream *stream, const dv_channel *channel, dv_slice text)
{
    dv_auto(buf) dv_buf data = dv_buf_init(TEXT_MAX);
    dv_slice escaped;
    if (stream->format == DV_STREAM_TEXT) {
        return dv_sse_write(stream->out, (dv_slice){NULL, 0}, text);
    }
    DV_TRY(dv_data_escape(text, stream->pass.temp, &escaped));
    if (stream->format == DV_STREAM_ANTHROPIC) {
        DV_TRY(dv_stream_write_anthropic(channel, escaped, &data));
        return dv_sse_write(stream->out, DV_LIT("content_block_delta"), dv_buf_slice(&data));
    }
    DV_TRY(dv_stream_write_openai(stream, channel, escaped, &data));
    return dv_sse_write(stream->out, (dv_slice){NULL, 0}, dv_buf_slice(&data));
}

static bool event_has(const dv_stream_event *event, const dv_channel *channel)
{
    for (size_t i = 0; event != NULL && i < event->delta_count; i++) {
        if (event->deltas[i].channel == channel) {
            return true;
        }
    }
    return false;
}

/* Lets out the rest of the channels that are finished and that the event does not tell of. */
static dv_result flush(dv_data_stream *stream, const dv_stream_event *event)
{
    for (size_t i = 0; i < stream->channel_count; i++) {
        dv_channel *channel = stream->channels[i];
        if (!channel->finished || event_has(event, channel)) {
            continue;
        }
        close_channel(channel);
        if (!dv_window_holds(&channel->window)) {
            continue;
        }
        dv_auto(buf) dv_buf text = dv_buf_init(TEXT_MAX);
        DV_TRY(dv_window_take(&channel->window, &stream->pass, channel->place, true, &text));
        if (denied(stream)) {
            return DV_OK;
        }
        stream->changed = true;
        DV_TRY(write_alone(stream, channel, dv_buf_slice(&text)));
    }
    return DV_OK;
}

static dv_result flush_all(dv_data_stream *stream)
{
    dv_stream_finish(stream, DV_STREAM_ALL);
    return flush(stream, NULL);
}

/* ---- one event ---- */

/* Puts into the event as much of the delta's channel as may go. */
static dv_result take_delta(dv_data_stream *stream, dv_stream_event *event, const dv_delta *delta,
                            dv_data_edits *edits)
{
    dv_auto(buf) dv_buf text = dv_buf_init(TEXT_MAX);
    dv_channel *channel = delta->channel;
    const dv_json_token *token = &event->json.tokens[delta->token];
    dv_slice piece;
    dv_slice escaped;
    DV_TRY(dv_json_string(&event->json, delta->token, stream->pass.temp, &piece));
    DV_TRY(dv_window_push(&channel->window, piece));
    DV_TRY(
        dv_window_take(&channel->window, &stream->pass, channel->place, channel->finished, &text));
    close_channel(channel);
    if (denied(stream) || dv_slice_eq(piece, dv_buf_slice(&text))) {
        return DV_OK;
    }
    DV_TRY(dv_data_escape(dv_buf_slice(&text), stream->pass.temp, &escaped));
    return dv_data_edits_add(edits, stream->pass.temp, token->start, token->start + token->len,
                             escaped);
}

static dv_result write_event(dv_data_stream *stream, dv_stream_event *event, dv_data_edits *edits)
{
    dv_slice data = event->json.text;
    if (edits->count > 0) {
        stream->changed = true;
        DV_TRY(dv_data_edits_apply(edits, data, stream->pass.temp, &data));
    }
    if (stream->format == DV_STREAM_OPENAI && !stream->has_head) {
        DV_TRY(dv_stream_head_openai(stream, data));
    }
    return dv_sse_write(stream->out, event->name, data);
}

static dv_result pass_event(dv_data_stream *stream, dv_stream_event *event)
{
    dv_data_edits edits = {0};
    DV_TRY(flush(stream, event));
    for (size_t i = 0; i < event->delta_count && !denied(stream); i++) {
        DV_TRY(take_delta(stream, event, &event->deltas[i], &edits));
    }
    if (!denied(stream)) {
        DV_TRY(dv_data_body_inspect(&stream->pass, &event->json, event->skip, &edits));
    }
    return denied(stream) ? DV_OK : write_event(stream, event, &edits);
}

static dv_result scan_event(dv_data_stream *stream, dv_slice data, dv_stream_event *event)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH,
                                          .tokens = DV_LIMIT_JSON_TOKENS,
                                          .refuse_duplicate_keys = true};
    DV_TRY(dv_json_scan(data, &limits, stream->pass.temp, &event->json, NULL));
    event->skip = dv_arena_alloc(stream->pass.temp, event->json.count);
    return event->skip == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result on_api_event(dv_data_stream *stream, dv_slice name, dv_slice data)
{
    dv_stream_event event = {.name = name};
    DV_TRY(scan_event(stream, data, &event));
    if (event.json.tokens[0].type != DV_JSON_OBJECT) {
        return DV_ERR_INVALID;
    }
    DV_TRY(stream->format == DV_STREAM_OPENAI ? dv_stream_read_openai(stream, &event)
                                              : dv_stream_read_anthropic(stream, &event));
    return pass_event(stream, &event);
}

/* ---- events of no known API ---- */

static bool is_container(const dv_json *json)
{
    return json->tokens[0].type == DV_JSON_OBJECT || json->tokens[0].type == DV_JSON_ARRAY;
}

/* The text is JSON, and more than a bare number or word of text. Names told twice do not make it
 * anything else: readers take it all the same. */
static dv_result tells_json(dv_data_stream *stream, dv_slice text, bool *ret_tells)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH,
                                          .tokens = DV_LIMIT_JSON_TOKENS};
    dv_json json;
    dv_result result = dv_json_scan(text, &limits, stream->pass.temp, &json, NULL);
    if (result == DV_ERR_INVALID) {
        *ret_tells = false;
        return DV_OK;
    }
    DV_TRY(result);
    *ret_tells = (is_container(&json) || json.tokens[0].type == DV_JSON_STRING) &&
                 !dv_stream_is_blank(&json, 0);
    return DV_OK;
}

/* Which strings of such JSON go on from event to event is not known, so a value that is split over
 * them could not be seen: where something is to be hidden, none may pass. */
static dv_result refuse_json(dv_data_stream *stream, dv_slice data)
{
    bool tells = false;
    dv_slice rest = data;
    dv_slice line;
    DV_TRY(tells_json(stream, data, &tells));
    while (!tells && dv_slice_split(&rest, '\n', &line)) {
        DV_TRY(tells_json(stream, line, &tells)); /* one document a line */
    }
    return tells ? DV_ERR_INVALID : DV_OK;
}

/* One text that goes on from event to event. */
static dv_result on_text(dv_data_stream *stream, dv_slice name, dv_slice data)
{
    dv_auto(buf) dv_buf text = dv_buf_init(TEXT_MAX);
    dv_channel *channel = NULL;
    if (!dv_utf8_valid(data)) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_stream_channel(stream, DV_CHANNEL_PLAIN, 0, 0, &channel));
    if (channel->closed) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_window_push(&channel->window, data));
    DV_TRY(dv_window_take(&channel->window, &stream->pass, channel->place, false, &text));
    if (denied(stream)) {
        return DV_OK;
    }
    stream->changed |= !dv_slice_eq(data, dv_buf_slice(&text));
    return text.len > 0 ? dv_sse_write(stream->out, name, dv_buf_slice(&text)) : DV_OK;
}

/* Data that is JSON is inspected as a body, if it may pass at all; other data is text. */
static dv_result on_plain_event(dv_data_stream *stream, dv_slice name, dv_slice data)
{
    dv_stream_event event = {.name = name};
    if (stream->pass.policy->rewrites) {
        DV_TRY(refuse_json(stream, data));
        return on_text(stream, name, data);
    }
    dv_result result = scan_event(stream, data, &event);
    if (result != DV_OK && result != DV_ERR_INVALID) {
        return result;
    }
    return result == DV_OK && is_container(&event.json) ? pass_event(stream, &event)
                                                        : on_text(stream, name, data);
}

static dv_result on_event(void *context, dv_slice name, dv_slice data)
{
    dv_data_stream *stream = context;
    dv_result result = DV_OK;
    if (denied(stream)) {
        return DV_OK;
    }
    if (dv_slice_eq_str(data, "[DONE]") && stream->format != DV_STREAM_ANTHROPIC) {
        result = flush_all(stream);
        if (result == DV_OK && !denied(stream)) {
            result = dv_sse_write(stream->out, name, data);
        }
    } else if (stream->format == DV_STREAM_TEXT) {
        result = on_plain_event(stream, name, data);
    } else {
        result = on_api_event(stream, name, data);
    }
    dv_arena_reset(stream->pass.temp);
    return result;
}

/* Comments keep a connection alive; their text is nobody's. */
static dv_result on_comment(void *context)
{
    dv_data_stream *stream = context;
    return denied(stream) ? DV_OK : dv_buf_append_str(stream->out, ":\n\n");
}

/* ---- the end of all ---- */

static dv_result write_error(dv_data_stream *stream)
{
    const dv_verdict *verdict = &stream->verdict;
    dv_auto(buf) dv_buf data = dv_buf_init(4096);
    dv_auto(buf) dv_buf message = dv_buf_init(1024);
    DV_TRY(dv_buf_append_str(&message, dv_reason_text(verdict->reason)));
    if (verdict->detail[0] != '\0') {
        DV_TRY(dv_buf_append_printf(&message, " (%s)", verdict->detail));
    }
    bool anthropic = stream->format == DV_STREAM_ANTHROPIC;
    DV_TRY(dv_buf_append_str(&data, anthropic
                                        ? "{\"type\":\"error\",\"error\":{\"type\":\"api_error\","
                                        : "{\"error\":{\"type\":\"server_error\",\"param\":null,"));
    if (!anthropic) {
        DV_TRY(dv_buf_append_printf(&data, "\"code\":\"%s\",", dv_reason_name(verdict->reason)));
    }
    DV_TRY(dv_buf_append_str(&data, "\"message\":"));
    DV_TRY(dv_buf_append_json_string(&data, dv_buf_slice(&message)));
    DV_TRY(dv_buf_append_str(&data, "}}"));
    bool named = stream->format != DV_STREAM_OPENAI;
    return dv_sse_write(stream->out, named ? DV_LIT("error") : (dv_slice){NULL, 0},
                        dv_buf_slice(&data));
}

static dv_result read_bytes(dv_data_stream *stream, dv_slice bytes, bool last)
{
    const dv_sse_handler handler = {on_event, on_comment, stream};
    DV_TRY(dv_sse_feed(&stream->reader, bytes, &handler));
    if (!last) {
        return DV_OK;
    }
    DV_TRY(dv_sse_end(&stream->reader, &handler));
    return denied(stream) ? DV_OK : flush_all(stream);
}

/* Failures of the content become denials; the others are told to the caller as well. */
static dv_result judge(dv_data_stream *stream, dv_result result)
{
    switch (result) {
    case DV_OK:
        return DV_OK;
    case DV_ERR_INVALID:
        dv_data_pass_deny(&stream->pass, "an event of the stream is not understood");
        return DV_OK;
    case DV_ERR_TOO_LARGE:
        dv_data_pass_deny(&stream->pass, "an event of the stream, or what it holds, is too large");
        return DV_OK;
    default:
        dv_verdict_deny(&stream->verdict, DV_REASON_INTERNAL, "the stream was not inspected");
        return result;
    }
}

dv_result dv_data_stream_feed(dv_data_stream *stream, dv_slice bytes, bool last, dv_buf *out,
                              dv_verdict *verdict)
{
    stream->out = out;
    dv_result result = DV_OK;
    if (stream->ended) {
        dv_data_pass_deny(&stream->pass, "the stream is over");
    } else {
        result = judge(stream, read_bytes(stream, bytes, last));
        dv_arena_reset(stream->pass.temp);
        stream->ended = last || denied(stream);
        if (denied(stream)) {
            dv_result told = write_error(stream);
            result = result != DV_OK ? result : told;
        }
    }
    if (denied(stream)) {
        dv_verdict_deny(verdict, stream->verdict.reason, "%s", stream->verdict.detail);
    }
    return result;
}

/* ---- life ---- */

static void release(void *data)
{
    dv_data_stream *stream = data;
    for (size_t i = 0; i < stream->channel_count; i++) {
        dv_window_release(&stream->channels[i]->window);
    }
    dv_sse_release(&stream->reader);
    dv_arena_free(stream->pass.temp);
}

dv_result dv_data_stream_new(dv_data_gate *gate, const dv_data_policy *policy,
                             dv_data_context *context, dv_stream_format format, dv_arena *arena,
                             dv_data_stream **ret_stream)
{
    dv_data_stream *stream = dv_arena_alloc(arena, sizeof(*stream));
    if (stream == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_arena *temp = dv_arena_new(EVENT_ARENA);
    *stream = (dv_data_stream){
        .pass = {.gate = gate,
                 .policy = policy,
                 .context = context,
                 .verdict = &stream->verdict,
                 .answer = true,
                 .arena = arena,
                 .temp = temp},
        .format = format,
        .input_tokens = -1,
        .output_tokens = -1,
    };
    dv_verdict_allow(&stream->verdict, "");
    dv_sse_init(&stream->reader, DV_LIMIT_STREAM_EVENT);
    if (temp == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_arena_on_free(arena, release, stream);
    if (result != DV_OK) {
        release(stream);
        return result;
    }
    *ret_stream = stream;
    return DV_OK;
}

void dv_data_stream_outcome(const dv_data_stream *stream, dv_data_outcome *ret_outcome,
                            int64_t *ret_input_tokens, int64_t *ret_output_tokens)
{
    *ret_outcome = (dv_data_outcome){.sightings = stream->pass.sightings,
                                     .sighting_count = stream->pass.sighting_count,
                                     .changed = stream->changed};
    *ret_input_tokens = stream->input_tokens;
    *ret_output_tokens = stream->output_tokens;
}
