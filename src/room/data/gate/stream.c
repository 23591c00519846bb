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
    PLACE_MAX = 96,
    CHANNEL_ROOM = (sizeof(dv_channel) + 15) & ~15UL, /* in an arena */
};

/* ---- channels ---- */

/* Where the channel's text stands in a whole answer, for what is noted of it. */
static dv_result write_place(const dv_data_stream *stream, const dv_channel *channel, dv_buf *out)
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
    };
    switch (stream->format) {
    case DV_STREAM_ANTHROPIC:
        return dv_buf_append_printf(out, "/content/%u/%s", channel->choice, ends[channel->kind]);
    case DV_STREAM_RESPONSES:
        return dv_stream_place_responses(channel, out);
    case DV_STREAM_TEXT:
        return DV_OK;
    case DV_STREAM_OPENAI:
        break;
    }
    if (channel->kind == DV_CHANNEL_TOOL) {
        return dv_buf_append_printf(out, "/choices/%u/%s/%u/function/arguments", channel->choice,
                                    ends[channel->kind], channel->item);
    }
    return dv_buf_append_printf(out, "/choices/%u/%s", channel->choice, ends[channel->kind]);
}

static bool is_json_text(dv_channel_kind kind)
{
    return kind == DV_CHANNEL_TOOL || kind == DV_CHANNEL_FUNCTION ||
           kind == DV_CHANNEL_BLOCK_JSON || kind == DV_CHANNEL_ITEM_ARGUMENTS ||
           kind == DV_CHANNEL_ITEM_REMOTE_ARGUMENTS;
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
    if (channel == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *channel = (dv_channel){.kind = (uint8_t)kind, .choice = choice, .item = item};
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

static dv_result add_delta(dv_stream_event *event, dv_channel *channel, uint32_t token, bool whole)
{
    if (event->delta_count == DV_LIMIT_STREAM_CHANNELS) {
        return DV_ERR_TOO_LARGE;
    }
    for (size_t i = 0; i < event->delta_count; i++) {
        if (event->deltas[i].channel == channel) {
            return DV_ERR_INVALID; /* the same text twice in one event */
        }
    }
    event->deltas[event->delta_count++] = (dv_delta){channel, token, whole};
    event->skip[token] = 1;
    return DV_OK;
}

dv_result dv_stream_delta(dv_data_stream *stream, dv_stream_event *event, dv_channel_kind kind,
                          uint32_t choice, uint32_t item, uint32_t token)
{
    dv_channel *channel = NULL;
    DV_TRY(dv_stream_channel(stream, kind, choice, item, &channel));
    if (channel->closed && !dv_stream_is_blank(&event->json, token)) {
        return DV_ERR_INVALID;
    }
    return add_delta(event, channel, token, false);
}

dv_result dv_stream_retell(dv_data_stream *stream, dv_stream_event *event, dv_channel_kind kind,
                           uint32_t choice, uint32_t item, uint32_t token, dv_telling telling)
{
    dv_channel *channel = NULL;
    DV_TRY(dv_stream_channel(stream, kind, choice, item, &channel));
    if ((channel->told & telling) != 0) {
        return DV_ERR_INVALID;
    }
    channel->told |= (uint8_t)telling;
    channel->finished = true;
    return add_delta(event, channel, token, true);
}

bool dv_stream_is(const dv_json *json, uint32_t token, dv_json_type type)
{
    return json->tokens[token].type == type;
}

bool dv_stream_names_have(const char *const names[], dv_slice name)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (dv_slice_eq_str(name, names[i])) {
            return true;
        }
    }
    return false;
}

static dv_result empty_padding(dv_data_stream *stream, dv_stream_event *event, uint32_t token)
{
    const dv_json_token *t = &event->json.tokens[token];
    event->skip[token] = 1;
    return dv_data_edits_add(&event->edits, stream->pass.temp, t->start, t->start + t->len,
                             DV_LIT(""));
}

dv_result dv_stream_members(dv_data_stream *stream, dv_stream_event *event, uint32_t object,
                            const char *const names[])
{
    const dv_json *json = &event->json;
    for (uint32_t key = object + 1; key < json->tokens[object].next;
         key = json->tokens[key + 1].next) {
        dv_slice name;
        if (dv_stream_is_blank(json, key + 1)) {
            continue;
        }
        DV_TRY(dv_stream_name(stream, json, key, &name));
        if (dv_slice_eq_str(name, "obfuscation") && dv_stream_is(json, key + 1, DV_JSON_STRING)) {
            DV_TRY(empty_padding(stream, event, key + 1));
        } else if (!dv_stream_names_have(names, name)) {
            return DV_ERR_INVALID;
        }
    }
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

static bool denied(const dv_data_stream *stream)
{
    return stream->verdict.decision == DV_DENY;
}

static void close_finished(dv_channel *channel)
{
    if (channel->finished) {
        dv_window_free(channel->window);
        channel->window = NULL;
        channel->closed = true;
        channel->finished = false;
    }
}

/* Appends what of the window may go now; `last`: all of it. */
static dv_result take(dv_data_stream *stream, const dv_channel *channel, dv_window *window,
                      bool last, dv_buf *out)
{
    dv_auto(buf) dv_buf place = dv_buf_init(PLACE_MAX);
    dv_window_found found;
    const char *where = "";
    DV_TRY(dv_window_look(window, &stream->pass, last, &found));
    if (found.count > 0) {
        DV_TRY(write_place(stream, channel, &place));
        where = dv_buf_cstr(&place);
        if (where == NULL) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return dv_window_take(window, &stream->pass, &found, where, last, out);
}

/* Writes an event of our own with the text of a channel, before the event that ends it. */
static dv_result write_alone(dv_data_stream *stream, const dv_stream_event *event,
                             const dv_channel *channel, dv_slice text)
{
    dv_auto(buf) dv_buf data = dv_buf_init(TEXT_MAX);
    dv_slice name = {NULL, 0};
    dv_slice escaped;
    stream->text_bytes += text.len;
    if (stream->format == DV_STREAM_TEXT) {
        return dv_sse_write(stream->out, name, text);
    }
    DV_TRY(dv_data_escape(text, stream->pass.temp, &escaped));
    if (stream->format == DV_STREAM_RESPONSES) {
        DV_TRY(dv_stream_write_responses(stream, event, channel, escaped, &data, &name));
    } else if (stream->format == DV_STREAM_ANTHROPIC) {
        name = DV_LIT("content_block_delta");
        DV_TRY(dv_stream_write_anthropic(channel, escaped, &data));
    } else {
        DV_TRY(dv_stream_write_openai(stream, channel, escaped, &data));
    }
    return dv_sse_write(stream->out, name, dv_buf_slice(&data));
}

/* The event tells a piece of the channel's text. */
static bool event_goes_on(const dv_stream_event *event, const dv_channel *channel)
{
    for (size_t i = 0; event != NULL && i < event->delta_count; i++) {
        if (event->deltas[i].channel == channel) {
            return !event->deltas[i].whole;
        }
    }
    return false;
}

static dv_result flush_channel(dv_data_stream *stream, const dv_stream_event *event,
                               const dv_channel *channel)
{
    dv_auto(buf) dv_buf text = dv_buf_init(TEXT_MAX);
    if (channel->window == NULL || !dv_window_holds(channel->window)) {
        return DV_OK;
    }
    DV_TRY(take(stream, channel, channel->window, true, &text));
    if (denied(stream)) {
        return DV_OK;
    }
    stream->changed = true;
    return write_alone(stream, event, channel, dv_buf_slice(&text));
}

/* Lets out the rest of the channels that are finished and that the event does not go on with. */
static dv_result flush(dv_data_stream *stream, const dv_stream_event *event)
{
    for (size_t i = 0; i < stream->channel_count && !denied(stream); i++) {
        dv_channel *channel = stream->channels[i];
        if (channel->finished && !event_goes_on(event, channel)) {
            DV_TRY(flush_channel(stream, event, channel));
            close_finished(channel);
        }
    }
    return DV_OK;
}

static dv_result flush_all(dv_data_stream *stream)
{
    dv_stream_finish(stream, DV_STREAM_ALL);
    return flush(stream, NULL);
}

/* ---- one event ---- */

/* A whole text is what its pieces were, so it becomes what they became. */
static dv_result take_whole(dv_data_stream *stream, const dv_channel *channel, dv_slice text,
                            dv_buf *out)
{
    dv_auto(window) dv_window *window = dv_window_new(is_json_text(channel->kind));
    if (window == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_window_push(window, text));
    return take(stream, channel, window, true, out);
}

static dv_result take_piece(dv_data_stream *stream, dv_channel *channel, dv_slice piece,
                            dv_buf *out)
{
    if (channel->window == NULL) {
        if (piece.len == 0) {
            return DV_OK;
        }
        channel->window = dv_window_new(is_json_text(channel->kind));
    }
    if (channel->window == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_window_push(channel->window, piece));
    DV_TRY(take(stream, channel, channel->window, channel->finished, out));
    stream->text_bytes += out->len;
    return DV_OK;
}

/* Puts into the event as much of the delta's channel as may go. */
static dv_result take_delta(dv_data_stream *stream, dv_stream_event *event, const dv_delta *delta)
{
    dv_auto(buf) dv_buf text = dv_buf_init(TEXT_MAX);
    const dv_json_token *token = &event->json.tokens[delta->token];
    dv_slice piece;
    dv_slice escaped;
    DV_TRY(dv_json_string(&event->json, delta->token, stream->pass.temp, &piece));
    DV_TRY(delta->whole ? take_whole(stream, delta->channel, piece, &text)
                        : take_piece(stream, delta->channel, piece, &text));
    close_finished(delta->channel);
    if (denied(stream) || dv_slice_eq(piece, dv_buf_slice(&text))) {
        return DV_OK;
    }
    DV_TRY(dv_data_escape(dv_buf_slice(&text), stream->pass.temp, &escaped));
    return dv_data_edits_add(&event->edits, stream->pass.temp, token->start,
                             token->start + token->len, escaped);
}

/* Events of our own shift the numbers of those that follow. */
static dv_result renumber(dv_data_stream *stream, dv_stream_event *event)
{
    if (event->number == 0 || stream->inserted == 0) {
        return DV_OK;
    }
    const dv_json_token *token = &event->json.tokens[event->number];
    const char *number = dv_arena_printf(stream->pass.temp, "%lld",
                                         (long long)stream->number + (long long)stream->inserted);
    if (number == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    event->skip[event->number] = 1;
    return dv_data_edits_add(&event->edits, stream->pass.temp, token->start,
                             token->start + token->len, dv_slice_str(number));
}

static dv_result write_event(dv_data_stream *stream, dv_stream_event *event)
{
    dv_slice data = event->json.text;
    if (event->hidden) {
        return DV_OK;
    }
    if (event->edits.count > 0) {
        stream->changed = true;
        DV_TRY(dv_data_edits_apply(&event->edits, data, stream->pass.temp, &data));
    }
    if (stream->format == DV_STREAM_OPENAI && !stream->has_head) {
        DV_TRY(dv_stream_head_openai(stream, data));
    }
    return dv_sse_write(stream->out, event->name, data);
}

static dv_result pass_event(dv_data_stream *stream, dv_stream_event *event)
{
    DV_TRY(flush(stream, event));
    DV_TRY(renumber(stream, event));
    for (size_t i = 0; i < event->delta_count && !denied(stream); i++) {
        DV_TRY(take_delta(stream, event, &event->deltas[i]));
    }
    if (!denied(stream)) {
        DV_TRY(dv_data_body_inspect(&stream->pass, &event->json, event->skip, &event->edits));
    }
    return denied(stream) ? DV_OK : write_event(stream, event);
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

static dv_result read_event(dv_data_stream *stream, dv_stream_event *event)
{
    switch (stream->format) {
    case DV_STREAM_OPENAI:
        return dv_stream_read_openai(stream, event);
    case DV_STREAM_RESPONSES:
        return dv_stream_read_responses(stream, event);
    case DV_STREAM_ANTHROPIC:
        return dv_stream_read_anthropic(stream, event);
    case DV_STREAM_TEXT:
        break;
    }
    return DV_ERR_INTERNAL;
}

static dv_result on_api_event(dv_data_stream *stream, dv_slice name, dv_slice data)
{
    dv_stream_event event = {.name = name};
    DV_TRY(scan_event(stream, data, &event));
    if (stream->over || event.json.tokens[0].type != DV_JSON_OBJECT) {
        return DV_ERR_INVALID;
    }
    DV_TRY(read_event(stream, &event));
    /* Chunks end with [DONE]. */
    stream->last = stream->over && stream->format != DV_STREAM_OPENAI;
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
    DV_TRY(take_piece(stream, channel, data, &text));
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

/* What lasts until the next event; the rest of an event that is being read is not counted. */
size_t dv_data_stream_memory(const dv_data_stream *stream)
{
    size_t bytes = sizeof(*stream) + stream->head.len + stream->pass.noted;
    bytes += stream->channel_count * CHANNEL_ROOM;
    bytes += dv_sse_memory(&stream->reader);
    for (size_t i = 0; i < stream->channel_count; i++) {
        const dv_window *window = stream->channels[i]->window;
        bytes += window != NULL ? dv_window_memory(window) : 0;
    }
    return bytes;
}

static dv_result judge_event(dv_data_stream *stream, dv_slice name, dv_slice data)
{
    if (dv_slice_eq_str(data, "[DONE]") && stream->format != DV_STREAM_ANTHROPIC) {
        DV_TRY(flush_all(stream));
        stream->last = true;
        return denied(stream) ? DV_OK : dv_sse_write(stream->out, name, data);
    }
    return stream->format == DV_STREAM_TEXT ? on_plain_event(stream, name, data)
                                            : on_api_event(stream, name, data);
}

static dv_result on_event(void *context, dv_slice name, dv_slice data)
{
    dv_data_stream *stream = context;
    if (denied(stream)) {
        return DV_OK;
    }
    dv_result result = judge_event(stream, name, data);
    dv_arena_reset(stream->pass.temp);
    if (result == DV_OK && dv_data_stream_memory(stream) > DV_LIMIT_STREAM_MEMORY) {
        return DV_ERR_TOO_LARGE;
    }
    return result;
}

/* Comments keep a connection alive; their text is nobody's. */
static dv_result on_comment(void *context)
{
    dv_data_stream *stream = context;
    return denied(stream) ? DV_OK : dv_buf_append_str(stream->out, ":\n\n");
}

/* ---- the end of all ---- */

/* The members of an error before its message, in the API's own words. */
static dv_result append_error_head(const dv_data_stream *stream, dv_buf *data)
{
    const char *reason = dv_reason_name(stream->verdict.reason);
    switch (stream->format) {
    case DV_STREAM_ANTHROPIC:
        return dv_buf_append_str(data, "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",");
    case DV_STREAM_RESPONSES:
        return dv_buf_append_printf(
            data, "{\"type\":\"error\",\"sequence_number\":%lld,\"param\":null,\"code\":\"%s\",",
            (long long)stream->number + (long long)stream->inserted + 1, reason);
    case DV_STREAM_OPENAI:
    case DV_STREAM_TEXT:
        break;
    }
    return dv_buf_append_printf(
        data, "{\"error\":{\"type\":\"server_error\",\"param\":null,\"code\":\"%s\",", reason);
}

static dv_result write_error(dv_data_stream *stream)
{
    const dv_verdict *verdict = &stream->verdict;
    dv_auto(buf) dv_buf data = dv_buf_init(4096);
    dv_auto(buf) dv_buf message = dv_buf_init(1024);
    DV_TRY(dv_buf_append_str(&message, dv_reason_text(verdict->reason)));
    if (verdict->detail[0] != '\0') {
        DV_TRY(dv_buf_append_printf(&message, " (%s)", verdict->detail));
    }
    DV_TRY(append_error_head(stream, &data));
    DV_TRY(dv_buf_append_str(&data, "\"message\":"));
    DV_TRY(dv_buf_append_json_string(&data, dv_buf_slice(&message)));
    DV_TRY(dv_buf_append_str(&data, stream->format == DV_STREAM_RESPONSES ? "}" : "}}"));
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
        dv_window_free(stream->channels[i]->window);
    }
    dv_sse_release(&stream->reader);
}

dv_result dv_data_stream_new(dv_data_gate *gate, const dv_data_policy *policy,
                             dv_data_context *context, dv_stream_format format, dv_arena *arena,
                             dv_data_stream **ret_stream)
{
    dv_data_stream *stream = dv_arena_alloc(arena, sizeof(*stream));
    if (gate->events == NULL) {
        gate->events = dv_arena_new(EVENT_ARENA);
    }
    if (stream == NULL || gate->events == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *stream = (dv_data_stream){
        .pass = {.gate = gate,
                 .policy = policy,
                 .context = context,
                 .verdict = &stream->verdict,
                 .answer = true,
                 .arena = arena,
                 .temp = gate->events,
                 .folds = true},
        .format = format,
        .input_tokens = -1,
        .output_tokens = -1,
        .number = -1,
    };
    dv_verdict_allow(&stream->verdict, "");
    dv_sse_init(&stream->reader, DV_LIMIT_STREAM_EVENT);
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
                                     .text_bytes = stream->text_bytes,
                                     .changed = stream->changed};
    memcpy(ret_outcome->values, stream->pass.values, sizeof(ret_outcome->values));
    *ret_input_tokens = stream->input_tokens;
    *ret_output_tokens = stream->output_tokens;
}

const uint32_t *dv_data_stream_values(const dv_data_stream *stream)
{
    return stream->pass.values;
}

bool dv_data_stream_is_over(const dv_data_stream *stream)
{
    return stream->last;
}

void dv_data_stream_hide_usage(dv_data_stream *stream)
{
    stream->hides_usage = true;
}
