/* SPDX-License-Identifier: Apache-2.0 */
/* Who may learn what. A token counts as passed on when it stands somewhere as a whole word, as the
 * bytes are or with JSON's, the URL's and the chunks' wrapping undone. What an event stream tells
 * of one text in pieces is one text: a token is no word of its own when a letter or digit stood
 * before its piece. */
#include "fuzz/gateway/gate.h"

#include "base/codec.h"
#include "base/json.h"

enum { ASKED_MAX = 1 << 20, TEXT_MAX = 8 << 20, CHANNELS = 64, TAIL = 80 };

static dv_buf asked = {.max = ASKED_MAX}; /* what callers sent */
static size_t requests;
static dv_buf plain = {.max = TEXT_MAX};

static void must(dv_result result)
{
    if (result != DV_OK) {
        gate_fail("the target's own buffers are too small");
    }
}

static bool is_word(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z');
}

/* A letter or digit before a token hides it, unless it is the end of one whose beginning was
 * masked: tokens with nothing between them are tokens. */
static bool begins_word(dv_slice text, size_t start, dv_slice token)
{
    dv_slice before = dv_slice_sub(text, 0, start);
    dv_slice secret = dv_slice_sub(token, 3, token.len); /* behind "gh?" */
    if (start == 0 || !is_word(text.ptr[start - 1])) {
        return true;
    }
    return dv_slice_ends_with(before, secret) &&
           (start == secret.len || !is_word(text.ptr[start - secret.len - 1]));
}

/* So many letters and digits behind a token would make it one that no server gives out. */
static bool ends_word(dv_slice text, size_t end)
{
    size_t more = 0;
    while (end + more < text.len && is_word(text.ptr[end + more])) {
        more++;
    }
    return more <= 215;
}

/* Whether the token stands in the text, and ends behind `from`. */
static bool has_token(dv_slice text, size_t from, dv_slice token)
{
    size_t at = from >= token.len ? from - token.len + 1 : 0;
    ptrdiff_t found;
    while ((found = dv_slice_find(dv_slice_sub(text, at, text.len), token)) >= 0) {
        size_t start = at + (size_t)found;
        if (begins_word(text, start, token) && ends_word(text, start + token.len)) {
            return true;
        }
        at = start + 1;
    }
    return false;
}

/* ---- undoing what a text is wrapped in; what is no escape stays as it is ---- */

/* The bytes of one escape at the front of rest; 0: none is there. */
typedef size_t (*escape_reader)(dv_slice rest, uint8_t *ret_byte);

static bool read_hex(dv_slice digits, size_t len, uint8_t *out)
{
    return digits.len >= len && dv_hex_decode(dv_slice_sub(digits, 0, len), out, len / 2) == DV_OK;
}

static size_t read_url_escape(dv_slice rest, uint8_t *ret_byte)
{
    return rest.ptr[0] == '%' && read_hex(dv_slice_sub(rest, 1, 2), 2, ret_byte) ? 3 : 0;
}

static size_t read_json_escape(dv_slice rest, uint8_t *ret_byte)
{
    static const char letters[] = "bfnrt";
    uint8_t code[2];
    if (rest.ptr[0] != '\\' || rest.len < 2) {
        return 0;
    }
    if (rest.ptr[1] == 'u' && read_hex(dv_slice_sub(rest, 2, 4), 4, code)) {
        *ret_byte = code[0] == 0 ? code[1] : ' ';
        return 6;
    }
    *ret_byte = memchr(letters, rest.ptr[1], sizeof(letters) - 1) != NULL ? ' ' : rest.ptr[1];
    return 2;
}

static dv_slice undo(dv_slice text, escape_reader read)
{
    dv_buf_clear(&plain);
    must(dv_buf_reserve(&plain, text.len));
    for (size_t i = 0; i < text.len;) {
        uint8_t byte = text.ptr[i];
        size_t len = read(dv_slice_sub(text, i, text.len), &byte);
        must(dv_buf_append_byte(&plain, byte));
        i += len > 0 ? len : 1;
    }
    return dv_buf_slice(&plain);
}

static bool passes(dv_slice text, const char *token, escape_reader read)
{
    return has_token(text, 0, dv_slice_str(token)) ||
           has_token(undo(text, read), 0, dv_slice_str(token));
}

/* ---- event streams ---- */

/* A text that is told in pieces: what its pieces are called, with the numbers that tell it from
 * others of that name, and its end. */
typedef struct channel {
    char name[32];
    int64_t number;
    uint8_t tail[TAIL];
    size_t tail_len;
} channel;

static struct {
    channel channels[CHANNELS];
    size_t count;
    dv_buf data; /* of the event that is read */
    dv_buf text; /* a channel's end and its next piece */
    dv_buf rest; /* what is no data of an event */
    dv_arena *arena;
} stream = {.data = {.max = TEXT_MAX}, .text = {.max = TEXT_MAX}, .rest = {.max = TEXT_MAX}};

static channel *find_channel(const char *name, int64_t number)
{
    size_t i = 0;
    while (i < stream.count &&
           (stream.channels[i].number != number || strcmp(stream.channels[i].name, name) != 0)) {
        i++;
    }
    i = DV_MIN(i, (size_t)CHANNELS - 1);
    if (i == stream.count) {
        stream.channels[stream.count++] = (channel){.number = number};
        (void)snprintf(stream.channels[i].name, sizeof(stream.channels[i].name), "%s", name);
    }
    return &stream.channels[i];
}

/* Arguments of a tool are JSON themselves: their escapes are undone, too. */
static bool tells_piece(const char *name, int64_t number, dv_slice piece)
{
    channel *of = find_channel(name, number);
    dv_buf_clear(&stream.text);
    must(dv_buf_append(&stream.text, dv_slice_of(of->tail, of->tail_len)));
    must(dv_buf_append(&stream.text, piece));
    dv_slice text = dv_buf_slice(&stream.text);
    bool passed = has_token(text, of->tail_len, DV_LIT(GATE_TOLD)) ||
                  (strchr("ap", name[0]) != NULL && passes(piece, GATE_TOLD, read_json_escape));
    of->tail_len = DV_MIN(text.len, (size_t)TAIL);
    if (of->tail_len > 0) { /* text.ptr may be NULL */
        memcpy(of->tail, text.ptr + text.len - of->tail_len, of->tail_len);
    }
    return passed;
}

/* The numbers on the way to a value. */
static int64_t number_of(const dv_json *json, uint32_t value)
{
    static const char *const names[] = {"index", "output_index", "content_index"};
    int64_t sum = 0;
    for (uint32_t at = 0; at < value; at++) {
        for (size_t i = 0; json->tokens[at].next > value && i < DV_ARRAY_LEN(names); i++) {
            int64_t number = 0;
            uint32_t token = dv_json_member(json, at, names[i]);
            if (token != 0 && dv_json_int(json, token, &number) == DV_OK) {
                sum = sum * 1000 + number % 1000;
            }
        }
    }
    return sum;
}

/* What the pieces are called in which texts are told. */
static const char *piece_name(const dv_json *json, uint32_t value)
{
    static const char *const names[] = {"content",  "reasoning_content", "reasoning",
                                        "refusal",  "arguments",         "text",
                                        "thinking", "partial_json",      "delta"};
    for (size_t i = 0; value > 0 && i < DV_ARRAY_LEN(names); i++) {
        if (json->tokens[value - 1].type == DV_JSON_KEY &&
            dv_slice_eq_str(dv_json_raw(json, value - 1), names[i])) {
            return names[i];
        }
    }
    return NULL;
}

static bool tells_json(const dv_json *json)
{
    bool passed = false;
    for (uint32_t i = 0; i < json->count; i++) {
        dv_slice text;
        if (json->tokens[i].type != DV_JSON_STRING && json->tokens[i].type != DV_JSON_KEY) {
            continue;
        }
        must(dv_json_string(json, i, stream.arena, &text));
        const char *name = json->tokens[i].type == DV_JSON_STRING ? piece_name(json, i) : NULL;
        passed |= name != NULL ? tells_piece(name, number_of(json, i), text)
                               : passes(text, GATE_TOLD, read_json_escape);
    }
    return passed;
}

static bool tells_event(void)
{
    static const dv_json_limits limits = {.depth = 100, .tokens = 1 << 20};
    dv_slice data = dv_buf_slice(&stream.data);
    dv_json json;
    bool passed = false;
    if (data.len > 0) {
        passed = dv_json_scan(data, &limits, stream.arena, &json, NULL) == DV_OK
                     ? tells_json(&json)
                     : tells_piece("", 0, data);
    }
    dv_arena_reset(stream.arena);
    dv_buf_clear(&stream.data);
    return passed;
}

static bool tells_line(dv_slice line)
{
    line = dv_slice_ends_with(line, DV_LIT("\r")) ? dv_slice_sub(line, 0, line.len - 1) : line;
    if (dv_slice_starts_with(line, DV_LIT("HTTP/1."))) {
        stream.count = 0;
    }
    if (dv_slice_starts_with(line, DV_LIT("data:"))) {
        size_t from = dv_slice_starts_with(line, DV_LIT("data: ")) ? 6 : 5;
        must(dv_buf_append_str(&stream.data, stream.data.len > 0 ? "\n" : ""));
        must(dv_buf_append(&stream.data, dv_slice_sub(line, from, line.len)));
        return false;
    }
    must(dv_buf_append(&stream.rest, line));
    must(dv_buf_append_byte(&stream.rest, '\n'));
    return line.len == 0 && tells_event();
}

static bool is_told(dv_slice bytes)
{
    dv_slice line;
    bool passed = false;
    stream.arena = stream.arena != NULL ? stream.arena : dv_arena_new(64 << 20);
    stream.count = 0;
    dv_buf_clear(&stream.rest);
    while (dv_slice_split(&bytes, '\n', &line)) {
        passed |= tells_line(line);
    }
    passed |= tells_event();
    return passed || passes(dv_buf_slice(&stream.rest), GATE_TOLD, read_json_escape);
}

/* ---- what must hold ---- */

void oracle_reset(void)
{
    dv_buf_clear(&asked);
    requests = 0;
}

size_t oracle_requests(void)
{
    return requests;
}

void oracle_note_asked(dv_slice bytes)
{
    must(dv_buf_append(&asked, bytes));
}

static dv_slice header(dv_slice head, const char *name)
{
    dv_slice line;
    while (dv_slice_split(&head, '\n', &line)) {
        ptrdiff_t colon = dv_slice_find_byte(line, ':');
        if (colon > 0 &&
            dv_slice_eq_nocase(dv_slice_sub(line, 0, (size_t)colon), dv_slice_str(name))) {
            return dv_slice_trim(dv_slice_sub(line, (size_t)colon + 1, line.len));
        }
    }
    return DV_LIT("");
}

static bool is_inspected(dv_slice head)
{
    ptrdiff_t space = dv_slice_find_byte(head, ' ');
    return !dv_slice_starts_with(dv_slice_sub(head, (size_t)space + 1, head.len), DV_LIT("/raw"));
}

void oracle_check_request(dv_slice head, dv_slice body)
{
    requests++;
    if (dv_slice_find(dv_buf_slice(&asked), dv_slice_str(gate.key)) < 0) {
        gate_fail("a request without the key reached the model server");
    }
    if (dv_slice_find(head, DV_LIT("dvk_")) >= 0) {
        gate_fail("a key reached the model server");
    }
    ledger_expect_open(header(head, "x-request-id"));
    if (is_inspected(head) &&
        (passes(head, GATE_ASKED, read_url_escape) || passes(body, GATE_ASKED, read_json_escape))) {
        gate_fail("a masked value reached the model server:\n%.*s%.*s", DV_SLICE_ARGS(head),
                  DV_SLICE_ARGS(body));
    }
}

/* What a caller said itself comes back to it, and the route /raw hides nothing. */
void oracle_check_answer(dv_slice bytes)
{
    if (has_token(dv_buf_slice(&asked), 0, DV_LIT(GATE_TOLD)) ||
        dv_slice_find(dv_buf_slice(&asked), DV_LIT("/raw")) >= 0) {
        return;
    }
    if (is_told(bytes)) {
        gate_fail("a masked value reached the caller:\n%.*s", DV_SLICE_ARGS(bytes));
    }
}
