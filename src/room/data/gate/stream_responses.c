/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/stream.h"

/* Events of OpenAI's responses. A text comes in pieces, and is then told whole again: when it ends
 * (`.done`), with its part, with its item, and with the response. Each telling may be made once, so
 * that no text can be spread over them. */

typedef struct text_kind {
    dv_channel_kind kind;
    const char *stem;   /* of the events' types, before ".delta" and ".done" */
    const char *member; /* of the whole text, there and in its part or item */
    const char *index;  /* the member that numbers the parts of an item */
    const char *part;   /* the type of the part; NULL: the text is the item's own */
    const char *place;
} text_kind;

static const text_kind kinds[] = {
    {DV_CHANNEL_ITEM_TEXT, "response.output_text", "text", "content_index", "output_text",
     "content/%u/text"},
    {DV_CHANNEL_ITEM_REFUSAL, "response.refusal", "refusal", "content_index", "refusal",
     "content/%u/refusal"},
    {DV_CHANNEL_ITEM_REASONING, "response.reasoning_text", "text", "content_index",
     "reasoning_text", "content/%u/text"},
    {DV_CHANNEL_ITEM_SUMMARY, "response.reasoning_summary_text", "text", "summary_index",
     "summary_text", "summary/%u/text"},
    {DV_CHANNEL_ITEM_ARGUMENTS, "response.function_call_arguments", "arguments", NULL, NULL,
     "arguments"},
    {DV_CHANNEL_ITEM_REMOTE_ARGUMENTS, "response.mcp_call_arguments", "arguments", NULL, NULL,
     "arguments"},
    {DV_CHANNEL_ITEM_INPUT, "response.custom_tool_call_input", "input", NULL, NULL, "input"},
    {DV_CHANNEL_ITEM_CODE, "response.code_interpreter_call_code", "code", NULL, NULL, "code"},
};

/* Items, and the text that is theirs alone. What such an item says besides is told whole. */
static const struct {
    const char *type;
    int kind; /* dv_channel_kind; -1: none */
} items[] = {
    {"message", -1},
    {"reasoning", -1},
    {"function_call", DV_CHANNEL_ITEM_ARGUMENTS},
    {"mcp_call", DV_CHANNEL_ITEM_REMOTE_ARGUMENTS},
    {"custom_tool_call", DV_CHANNEL_ITEM_INPUT},
    {"code_interpreter_call", DV_CHANNEL_ITEM_CODE},
    {"web_search_call", -1},
    {"file_search_call", -1},
    {"mcp_list_tools", -1},
    {"mcp_approval_request", -1},
};

/* Events about an item that carry no text. */
static const char *const signs[] = {
    "response.web_search_call.in_progress",
    "response.web_search_call.searching",
    "response.web_search_call.completed",
    "response.file_search_call.in_progress",
    "response.file_search_call.searching",
    "response.file_search_call.completed",
    "response.code_interpreter_call.in_progress",
    "response.code_interpreter_call.interpreting",
    "response.code_interpreter_call.completed",
    "response.mcp_call.in_progress",
    "response.mcp_call.completed",
    "response.mcp_call.failed",
    "response.mcp_list_tools.in_progress",
    "response.mcp_list_tools.completed",
    "response.mcp_list_tools.failed",
    NULL,
};

/* Members of any event; what else it has, besides its text, is not understood. */
#define COMMON                                                                                     \
    "type", "sequence_number", "item_id", "output_index", "content_index", "summary_index",        \
        "annotation_index", "status", "name"

static const text_kind *kind_of(dv_channel_kind kind)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(kinds); i++) {
        if (kinds[i].kind == kind) {
            return &kinds[i];
        }
    }
    return NULL;
}

static dv_result member_text(dv_data_stream *stream, const dv_json *json, uint32_t object,
                             const char *name, dv_slice *ret_text)
{
    uint32_t token = dv_json_member(json, object, name);
    if (token == 0 || !dv_stream_is(json, token, DV_JSON_STRING)) {
        return DV_ERR_INVALID;
    }
    return dv_json_string(json, token, stream->pass.temp, ret_text);
}

/* ---- which text ---- */

/* Servers that do not number their items name them: a number that no list reaches. */
static uint32_t number_of(dv_slice id)
{
    uint32_t hash = 2166136261U; /* FNV-1a; a collision is a text told twice, and refused */
    for (size_t i = 0; i < id.len; i++) {
        hash = (hash ^ id.ptr[i]) * 16777619U;
    }
    return hash | 0x80000000U;
}

/* The item that the event is about; its id stands in the event, or in the item itself. */
static dv_result read_item_number(dv_data_stream *stream, dv_stream_event *event, uint32_t item,
                                  uint32_t *ret_number)
{
    const dv_json *json = &event->json;
    dv_slice id = {NULL, 0};
    event->item_id = dv_json_member(json, item, item == 0 ? "item_id" : "id");
    if (event->item_id != 0 && !dv_stream_is(json, event->item_id, DV_JSON_STRING)) {
        event->item_id = 0;
    }
    if (event->item_id != 0) {
        DV_TRY(dv_json_string(json, event->item_id, stream->pass.temp, &id));
    }
    DV_TRY(dv_stream_index(json, 0, "output_index", INT32_MAX, ret_number));
    if (*ret_number == INT32_MAX) {
        *ret_number = number_of(id);
    }
    return DV_OK;
}

static dv_result read_part_number(const dv_json *json, const text_kind *kind, uint32_t *ret_number)
{
    *ret_number = 0;
    return kind->index == NULL ? DV_OK : dv_stream_index(json, 0, kind->index, 0, ret_number);
}

/* ---- texts ---- */

static dv_result read_delta(dv_data_stream *stream, dv_stream_event *event, const text_kind *kind)
{
    static const char *const names[] = {COMMON, "delta", NULL};
    const dv_json *json = &event->json;
    uint32_t token = dv_json_member(json, 0, "delta");
    uint32_t item = 0;
    uint32_t part = 0;
    if (token == 0 || !dv_stream_is(json, token, DV_JSON_STRING)) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_stream_members(stream, event, 0, names));
    DV_TRY(read_item_number(stream, event, 0, &item));
    DV_TRY(read_part_number(json, kind, &part));
    return dv_stream_delta(stream, event, kind->kind, item, part, token);
}

static dv_result read_done(dv_data_stream *stream, dv_stream_event *event, const text_kind *kind)
{
    const char *const names[] = {COMMON, kind->member, NULL};
    const dv_json *json = &event->json;
    uint32_t token = dv_json_member(json, 0, kind->member);
    uint32_t item = 0;
    uint32_t part = 0;
    if (token == 0 || !dv_stream_is(json, token, DV_JSON_STRING)) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_stream_members(stream, event, 0, names));
    DV_TRY(read_item_number(stream, event, 0, &item));
    DV_TRY(read_part_number(json, kind, &part));
    return dv_stream_retell(stream, event, kind->kind, item, part, token, DV_TOLD_DONE);
}

/* What begins may hold its first piece; what ends, the whole again. */
static dv_result read_text(dv_data_stream *stream, dv_stream_event *event, const text_kind *kind,
                           uint32_t item, uint32_t part, uint32_t object, dv_telling telling)
{
    uint32_t token = dv_json_member(&event->json, object, kind->member);
    if (token == 0 || !dv_stream_is(&event->json, token, DV_JSON_STRING)) {
        return token == 0 || dv_stream_is_blank(&event->json, token) ? DV_OK : DV_ERR_INVALID;
    }
    return telling == DV_TOLD_START
               ? dv_stream_delta(stream, event, kind->kind, item, part, token)
               : dv_stream_retell(stream, event, kind->kind, item, part, token, telling);
}

static dv_result read_part(dv_data_stream *stream, dv_stream_event *event, uint32_t object,
                           uint32_t item, uint32_t part, dv_telling telling)
{
    const dv_json *json = &event->json;
    dv_slice type;
    if (!dv_stream_is(json, object, DV_JSON_OBJECT)) {
        return DV_ERR_INVALID;
    }
    DV_TRY(member_text(stream, json, object, "type", &type));
    uint32_t logprobs = dv_json_member(json, object, "logprobs");
    if (logprobs != 0 && !dv_stream_is_blank(json, logprobs)) {
        return DV_ERR_INVALID; /* they tell the text again, token by token */
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(kinds); i++) {
        if (kinds[i].part != NULL && dv_slice_eq_str(type, kinds[i].part)) {
            return read_text(stream, event, &kinds[i], item, part, object, telling);
        }
    }
    return DV_ERR_INVALID;
}

static dv_result read_parts(dv_data_stream *stream, dv_stream_event *event, uint32_t object,
                            const char *name, uint32_t item, dv_telling telling)
{
    const dv_json *json = &event->json;
    uint32_t list = dv_json_member(json, object, name);
    uint32_t part = 0;
    if (list == 0 || dv_stream_is_blank(json, list)) {
        return DV_OK;
    }
    if (!dv_stream_is(json, list, DV_JSON_ARRAY)) {
        return DV_ERR_INVALID;
    }
    for (uint32_t at = list + 1; at < json->tokens[list].next; at = json->tokens[at].next) {
        DV_TRY(read_part(stream, event, at, item, part++, telling));
    }
    return DV_OK;
}

static dv_result read_item(dv_data_stream *stream, dv_stream_event *event, uint32_t object,
                           uint32_t item, dv_telling telling)
{
    dv_slice type;
    if (!dv_stream_is(&event->json, object, DV_JSON_OBJECT)) {
        return DV_ERR_INVALID;
    }
    DV_TRY(member_text(stream, &event->json, object, "type", &type));
    for (size_t i = 0; i < DV_ARRAY_LEN(items); i++) {
        if (!dv_slice_eq_str(type, items[i].type)) {
            continue;
        }
        DV_TRY(read_parts(stream, event, object, "content", item, telling));
        DV_TRY(read_parts(stream, event, object, "summary", item, telling));
        return items[i].kind < 0 ? DV_OK
                                 : read_text(stream, event, kind_of((dv_channel_kind)items[i].kind),
                                             item, 0, object, telling);
    }
    return DV_ERR_INVALID;
}

/* ---- events about parts, items and the response ---- */

static dv_result read_part_event(dv_data_stream *stream, dv_stream_event *event, const char *index,
                                 bool done)
{
    static const char *const names[] = {COMMON, "part", NULL};
    const dv_json *json = &event->json;
    uint32_t object = dv_json_member(json, 0, "part");
    uint32_t item = 0;
    uint32_t part = 0;
    if (object == 0) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_stream_members(stream, event, 0, names));
    DV_TRY(read_item_number(stream, event, 0, &item));
    DV_TRY(dv_stream_index(json, 0, index, 0, &part));
    return read_part(stream, event, object, item, part, done ? DV_TOLD_PART : DV_TOLD_START);
}

/* An item begins once and ends once. */
static dv_result read_item_event(dv_data_stream *stream, dv_stream_event *event, bool done)
{
    static const char *const names[] = {COMMON, "item", NULL};
    dv_telling telling = done ? DV_TOLD_ITEM : DV_TOLD_START;
    uint32_t object = dv_json_member(&event->json, 0, "item");
    uint32_t item = 0;
    dv_channel *itself = NULL;
    if (object == 0 || !dv_stream_is(&event->json, object, DV_JSON_OBJECT)) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_stream_members(stream, event, 0, names));
    DV_TRY(read_item_number(stream, event, object, &item));
    DV_TRY(dv_stream_channel(stream, DV_CHANNEL_BLOCK_SIGNATURE, item, 0, &itself));
    if ((itself->told & telling) != 0) {
        return DV_ERR_INVALID;
    }
    itself->told |= (uint8_t)telling;
    if (done) {
        dv_stream_finish(stream, item);
    }
    return read_item(stream, event, object, item, telling);
}

static dv_result read_annotation(dv_data_stream *stream, dv_stream_event *event)
{
    static const char *const names[] = {COMMON, "annotation", NULL};
    static const char *const inner[] = {"type",         "file_id",   "filename", "index",
                                        "start_index",  "end_index", "title",    "url",
                                        "container_id", NULL};
    uint32_t annotation = dv_json_member(&event->json, 0, "annotation");
    DV_TRY(dv_stream_members(stream, event, 0, names));
    if (annotation == 0 || !dv_stream_is(&event->json, annotation, DV_JSON_OBJECT)) {
        return DV_ERR_INVALID;
    }
    return dv_stream_members(stream, event, annotation, inner);
}

static void read_usage(dv_data_stream *stream, const dv_json *json, uint32_t response)
{
    int64_t input = -1;
    int64_t output = -1;
    uint32_t usage = dv_json_member(json, response, "usage");
    if (usage != 0 && dv_stream_is(json, usage, DV_JSON_OBJECT)) {
        dv_stream_count(json, usage, "input_tokens", &input);
        dv_stream_count(json, usage, "output_tokens", &output);
    }
    stream->input_tokens = input >= 0 ? input : stream->input_tokens;
    stream->output_tokens = output >= 0 ? output : stream->output_tokens;
}

/* The last event tells every item again. */
static dv_result read_output(dv_data_stream *stream, dv_stream_event *event, uint32_t response,
                             bool last)
{
    const dv_json *json = &event->json;
    uint32_t list = dv_json_member(json, response, "output");
    uint32_t item = 0;
    if (list == 0 || dv_stream_is_blank(json, list)) {
        return DV_OK;
    }
    if (!last || !dv_stream_is(json, list, DV_JSON_ARRAY)) {
        return DV_ERR_INVALID;
    }
    event->items = list;
    for (uint32_t at = list + 1; at < json->tokens[list].next; at = json->tokens[at].next) {
        DV_TRY(read_item(stream, event, at, item++, DV_TOLD_RESPONSE));
    }
    return DV_OK;
}

static const struct {
    const char *type;
    bool last;
} states[] = {
    {"response.created", false},  {"response.queued", false},    {"response.in_progress", false},
    {"response.completed", true}, {"response.incomplete", true}, {"response.failed", true},
};

/* Each state is told once. */
static dv_result read_state(dv_data_stream *stream, dv_stream_event *event, size_t state)
{
    static const char *const names[] = {COMMON, "response", NULL};
    const dv_json *json = &event->json;
    uint32_t response = dv_json_member(json, 0, "response");
    uint32_t bit = UINT32_C(1) << state;
    if (response == 0 || !dv_stream_is(json, response, DV_JSON_OBJECT) ||
        (stream->tellings & bit) != 0) {
        return DV_ERR_INVALID;
    }
    stream->tellings |= bit;
    DV_TRY(dv_stream_members(stream, event, 0, names));
    DV_TRY(read_output(stream, event, response, states[state].last));
    read_usage(stream, json, response);
    if (states[state].last) {
        dv_stream_finish(stream, DV_STREAM_ALL);
        stream->over = true;
    }
    return DV_OK;
}

/* ---- one event ---- */

static dv_result read_text_event(dv_data_stream *stream, dv_stream_event *event, dv_slice type,
                                 bool *ret_known)
{
    *ret_known = true;
    for (size_t i = 0; i < DV_ARRAY_LEN(kinds); i++) {
        dv_slice stem = dv_slice_str(kinds[i].stem);
        if (!dv_slice_starts_with(type, stem)) {
            continue;
        }
        dv_slice end = dv_slice_sub(type, stem.len, type.len);
        if (dv_slice_eq_str(end, ".delta")) {
            return read_delta(stream, event, &kinds[i]);
        }
        if (dv_slice_eq_str(end, ".done")) {
            return read_done(stream, event, &kinds[i]);
        }
    }
    *ret_known = false;
    return DV_OK;
}

static dv_result read_structure(dv_data_stream *stream, dv_stream_event *event, dv_slice type)
{
    static const char *const sign_names[] = {COMMON, NULL};
    if (dv_slice_eq_str(type, "response.content_part.added") ||
        dv_slice_eq_str(type, "response.content_part.done")) {
        return read_part_event(stream, event, "content_index",
                               dv_slice_ends_with(type, DV_LIT(".done")));
    }
    if (dv_slice_eq_str(type, "response.reasoning_summary_part.added") ||
        dv_slice_eq_str(type, "response.reasoning_summary_part.done")) {
        return read_part_event(stream, event, "summary_index",
                               dv_slice_ends_with(type, DV_LIT(".done")));
    }
    if (dv_slice_eq_str(type, "response.output_item.added") ||
        dv_slice_eq_str(type, "response.output_item.done")) {
        return read_item_event(stream, event, dv_slice_ends_with(type, DV_LIT(".done")));
    }
    if (dv_slice_eq_str(type, "response.output_text.annotation.added")) {
        return read_annotation(stream, event);
    }
    return dv_stream_names_have(signs, type) ? dv_stream_members(stream, event, 0, sign_names)
                                             : DV_ERR_INVALID;
}

/* An error that the model server met on the way. */
static dv_result read_error(dv_data_stream *stream, dv_stream_event *event)
{
    static const char *const names[] = {"type",  "sequence_number", "code", "message",
                                        "param", "error",           NULL};
    stream->over = true;
    return dv_stream_members(stream, event, 0, names);
}

static void read_number(dv_data_stream *stream, dv_stream_event *event)
{
    int64_t number = 0;
    event->number = dv_json_member(&event->json, 0, "sequence_number");
    if (event->number == 0 || !dv_stream_is(&event->json, event->number, DV_JSON_NUMBER) ||
        dv_json_int(&event->json, event->number, &number) != DV_OK || number < 0 ||
        number > INT32_MAX) {
        event->number = 0;
        return;
    }
    stream->number = number;
}

dv_result dv_stream_read_responses(dv_data_stream *stream, dv_stream_event *event)
{
    const dv_json *json = &event->json;
    dv_slice type;
    bool known = false;
    read_number(stream, event);
    if (dv_json_member(json, 0, "type") == 0 && dv_json_member(json, 0, "error") != 0) {
        return read_error(stream, event);
    }
    DV_TRY(member_text(stream, json, 0, "type", &type));
    DV_TRY(read_text_event(stream, event, type, &known));
    if (known) {
        return DV_OK;
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(states); i++) {
        if (dv_slice_eq_str(type, states[i].type)) {
            return read_state(stream, event, i);
        }
    }
    return dv_slice_eq_str(type, "error") ? read_error(stream, event)
                                          : read_structure(stream, event, type);
}

/* ---- writing ---- */

dv_result dv_stream_place_responses(const dv_channel *channel, dv_buf *out)
{
    const text_kind *kind = kind_of((dv_channel_kind)channel->kind);
    if (kind == NULL) {
        return DV_ERR_INTERNAL;
    }
    bool numbered = channel->choice < 0x80000000U; /* an item's name is not told */
    DV_TRY(numbered ? dv_buf_append_printf(out, "/output/%u/", channel->choice)
                    : dv_buf_append_str(out, "/output/*/"));
    const char *slot = strstr(kind->place, "%u");
    if (slot == NULL) {
        return dv_buf_append_str(out, kind->place);
    }
    DV_TRY(dv_buf_append(out, dv_slice_of(kind->place, (size_t)(slot - kind->place))));
    return dv_buf_append_printf(out, "%u%s", channel->item, slot + 2);
}

/* The id of the channel's item, when the event tells it: its own, or that of the list's entry. */
static uint32_t find_id(const dv_stream_event *event, const dv_channel *channel)
{
    uint32_t position = 0;
    if (event == NULL || event->items == 0) {
        return event == NULL ? 0 : event->item_id;
    }
    const dv_json *json = &event->json;
    for (uint32_t at = event->items + 1; at < json->tokens[event->items].next;
         at = json->tokens[at].next) {
        if (position++ == channel->choice) {
            uint32_t id = dv_json_member(json, at, "id");
            return id != 0 && dv_stream_is(json, id, DV_JSON_STRING) ? id : 0;
        }
    }
    return 0;
}

/* Nothing but an id goes into an event of our own without being inspected: an id in which something
 * is found is left out. */
static dv_result append_id(dv_data_stream *stream, const dv_stream_event *event,
                           const dv_channel *channel, dv_buf *out)
{
    uint32_t token = find_id(event, channel);
    dv_data_hit *hits = NULL;
    size_t count = 0;
    dv_slice id;
    if (token == 0) {
        return DV_OK;
    }
    DV_TRY(dv_json_string(&event->json, token, stream->pass.temp, &id));
    DV_TRY(dv_data_pass_search(&stream->pass, id, 0, &hits, &count));
    if (count > 0) {
        return DV_OK;
    }
    DV_TRY(dv_buf_append_str(out, ",\"item_id\":"));
    return dv_buf_append_json_string(out, id);
}

static dv_result append_indexes(const dv_channel *channel, const text_kind *kind, dv_buf *out)
{
    if (channel->choice < 0x80000000U) {
        DV_TRY(dv_buf_append_printf(out, ",\"output_index\":%u", channel->choice));
    }
    return kind->index == NULL
               ? DV_OK
               : dv_buf_append_printf(out, ",\"%s\":%u", kind->index, channel->item);
}

/* The event that ends the channel comes after this one, with the number that follows. */
static dv_result append_number(dv_data_stream *stream, const dv_stream_event *event, dv_buf *out)
{
    if (stream->number < 0) {
        return DV_OK;
    }
    int64_t number = stream->number + stream->inserted + (event == NULL ? 1 : 0);
    stream->inserted++;
    return dv_buf_append_printf(out, ",\"sequence_number\":%lld", (long long)number);
}

dv_result dv_stream_write_responses(dv_data_stream *stream, const dv_stream_event *event,
                                    const dv_channel *channel, dv_slice escaped, dv_buf *out,
                                    dv_slice *ret_name)
{
    const text_kind *kind = kind_of((dv_channel_kind)channel->kind);
    const char *name =
        kind == NULL ? NULL : dv_arena_printf(stream->pass.temp, "%s.delta", kind->stem);
    if (name == NULL) {
        return kind == NULL ? DV_ERR_INTERNAL : DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_buf_append_printf(out, "{\"type\":\"%s\"", name));
    DV_TRY(append_id(stream, event, channel, out));
    DV_TRY(append_indexes(channel, kind, out));
    DV_TRY(append_number(stream, event, out));
    DV_TRY(dv_buf_append_str(out, ",\"delta\":\""));
    DV_TRY(dv_buf_append(out, escaped));
    DV_TRY(dv_buf_append_str(out, "\"}"));
    *ret_name = dv_slice_str(name);
    return DV_OK;
}
