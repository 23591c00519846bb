/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 (RFC 9113) through the whole gate, with prior knowledge. Besides the operations of
 * plays.c:
 *
 *   H FLAGS STREAM FIELDS   HEADERS; a field a line, "name: value", as HPACK literals
 *   C FLAGS STREAM FIELDS   CONTINUATION
 *   D FLAGS STREAM BYTES    DATA
 *   G FLAGS STREAM N        DATA with N kilobytes of text, 15 at most
 *   R STREAM                RST_STREAM
 *   W STREAM                WINDOW_UPDATE that is large
 *   M TYPE FLAGS STREAM BYTES   a frame of any type
 *   c BYTES                 bytes as they are; as the first operation in place of the preface
 *   j                       the next operation follows without a pause
 *
 * FLAGS and STREAM are one byte each, so that inputs can be read: '5' is END_HEADERS and
 * END_STREAM, '1' the first stream. Flags that add fields to a frame (PADDED, PRIORITY) get them.
 * RFC 7541 section 6.2: fields are added to the table when the flags' byte is a letter. */
#include "fuzz/gateway/gate.h"

enum {
    SENT_MAX = 8 << 20,
    HEADERS = 1,
    DATA = 0,
    RST_STREAM = 3,
    WINDOW_UPDATE = 8,
    CONTINUATION = 9,
    PADDED = 0x08,
    PRIORITY = 0x20,
    PADDING = 3,
    FRAME_HEAD = 9,
    STREAMS_MAX = 16,
};

static dv_buf sent = {.max = SENT_MAX}; /* frames that wait to be sent together */
static dv_buf block = {.max = SENT_MAX};
static dv_buf told[STREAMS_MAX];
static bool begun;
static bool joined;

#define GOOD                                                                                       \
    "\xff"                                                                                         \
    "H41:method: POST\n:scheme: http\n:path: /v1/chat/completions\n:authority: g\n"                \
    "x-api-key: \x11\ncontent-type: application/json\n\xff"                                        \
    "D11{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}"

static void must(dv_result result)
{
    if (result != DV_OK) {
        gate_fail("the target's own buffers are too small");
    }
}

static uint8_t first(dv_slice *bytes)
{
    uint8_t byte = bytes->len > 0 ? bytes->ptr[0] : '1';
    *bytes = dv_slice_sub(*bytes, 1, bytes->len);
    return byte;
}

static void put(dv_buf *out, const void *bytes, size_t len)
{
    must(dv_buf_append(out, dv_slice_of(bytes, len)));
}

/* ---- HPACK ---- */

/* RFC 7541 section 5.1, behind a prefix of 7 bits, and 5.2 without Huffman. */
static void put_text(dv_buf *out, dv_slice text)
{
    size_t rest = text.len;
    if (rest < 127) {
        must(dv_buf_append_byte(out, (uint8_t)rest));
    } else {
        must(dv_buf_append_byte(out, 127));
        for (rest -= 127; rest >= 128; rest >>= 7) {
            must(dv_buf_append_byte(out, (uint8_t)(0x80 | (rest & 0x7f))));
        }
        must(dv_buf_append_byte(out, (uint8_t)rest));
    }
    must(dv_buf_append(out, text));
}

/* A line that has no name is put in as it is: HPACK bytes of the input's own. */
static void put_fields(dv_buf *out, dv_slice lines, bool indexed)
{
    dv_slice line;
    while (dv_slice_split(&lines, '\n', &line)) {
        ptrdiff_t colon = dv_slice_find(dv_slice_sub(line, 1, line.len), DV_LIT(": "));
        if (colon < 0) {
            must(dv_buf_append(out, line));
            continue;
        }
        must(dv_buf_append_byte(out, indexed ? 0x40 : 0x00));
        put_text(out, dv_slice_sub(line, 0, (size_t)colon + 1));
        put_text(out, dv_slice_sub(line, (size_t)colon + 3, line.len));
    }
}

/* ---- frames ---- */

static void put_frame(uint8_t type, uint8_t flags, uint8_t stream, dv_slice payload)
{
    bool pads = (type == DATA || type == HEADERS) && (flags & PADDED) != 0;
    bool ranks = type == HEADERS && (flags & PRIORITY) != 0;
    size_t len = payload.len + (pads ? 1 + PADDING : 0) + (ranks ? 5 : 0);
    uint8_t head[FRAME_HEAD] = {
        (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags, 0, 0, 0,
        stream & 0x0f};
    static const uint8_t zeroes[5] = {0};
    static const uint8_t padding = PADDING;
    put(&sent, head, sizeof(head));
    put(&sent, &padding, pads);
    put(&sent, zeroes, ranks ? 5 : 0);
    must(dv_buf_append(&sent, payload));
    put(&sent, zeroes, pads ? PADDING : 0);
}

/* The flags that a byte stands for: its low bits, and PRIORITY for letters. */
static uint8_t flags_of(uint8_t byte)
{
    return (uint8_t)((byte & 0x0f) | ((byte & 0x40) != 0 ? PRIORITY : 0));
}

static void put_headers(uint8_t type, dv_slice bytes)
{
    uint8_t flags = first(&bytes);
    uint8_t stream = first(&bytes);
    dv_buf_clear(&block);
    put_fields(&block, bytes, (flags & 0x40) != 0);
    oracle_note_asked(bytes);
    put_frame(type, flags_of(flags), stream, dv_buf_slice(&block));
}

static void put_data(dv_slice bytes)
{
    uint8_t flags = flags_of(first(&bytes));
    uint8_t stream = first(&bytes);
    oracle_note_asked(bytes);
    put_frame(DATA, flags, stream, bytes);
}

static void put_filler(dv_slice bytes)
{
    uint8_t flags = flags_of(first(&bytes));
    uint8_t stream = first(&bytes);
    uint8_t kilobytes = first(&bytes) & 0x0f;
    dv_buf_clear(&block);
    peers_fill(dv_slice_of(&kilobytes, 1), &block);
    put_frame(DATA, flags, stream, dv_buf_slice(&block));
}

static void put_any(dv_slice bytes)
{
    uint8_t type = first(&bytes) & 0x0f;
    uint8_t flags = flags_of(first(&bytes));
    uint8_t stream = first(&bytes);
    oracle_note_asked(bytes);
    put_frame(type, flags & ~PADDED, stream, bytes);
}

static bool add(uint8_t letter, dv_slice bytes)
{
    static const uint8_t cancel[4] = {0, 0, 0, 8};
    static const uint8_t grow[4] = {0, 0x10, 0, 0};
    switch (letter) {
    case 'H':
        put_headers(HEADERS, bytes);
        return true;
    case 'C':
        put_headers(CONTINUATION, bytes);
        return true;
    case 'D':
        put_data(bytes);
        return true;
    case 'G':
        put_filler(bytes);
        return true;
    case 'R':
        put_frame(RST_STREAM, 0, first(&bytes), dv_slice_of(cancel, sizeof(cancel)));
        return true;
    case 'W':
        put_frame(WINDOW_UPDATE, 0, first(&bytes), dv_slice_of(grow, sizeof(grow)));
        return true;
    case 'M':
        put_any(bytes);
        return true;
    case 'c':
        oracle_note_asked(bytes);
        must(dv_buf_append(&sent, bytes));
        return true;
    default:
        return false;
    }
}

/* RFC 9113 section 3.4, with empty SETTINGS. */
static void begin(uint8_t letter)
{
    if (!begun && letter != 'c') {
        must(dv_buf_append_str(&sent, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        put_frame(4, 0, 0, DV_LIT(""));
    }
    begun = true;
}

static bool say(uint8_t letter, dv_slice bytes)
{
    begin(letter);
    if (!add(letter, bytes)) {
        return false;
    }
    if (!joined) {
        caller_send(dv_buf_slice(&sent));
        dv_buf_clear(&sent);
    }
    joined = false;
    return true;
}

static void play(dv_slice rest)
{
    uint8_t letter;
    dv_slice bytes;
    begun = joined = false;
    dv_buf_clear(&sent);
    while (play_next(&rest, &letter, &bytes)) {
        if (letter == 'j') {
            joined = true;
        } else if (letter == 'n') {
            begun = false; /* the new connection gets a preface of its own */
            caller_connect();
        } else if (say(letter, bytes) || play_common(letter, bytes)) {
            play_settle();
        }
    }
}

/* ---- what came back ---- */

static void take_frame(const uint8_t *head, dv_slice payload)
{
    dv_buf *stream = &told[head[8] % STREAMS_MAX];
    stream->max = SENT_MAX;
    if (head[3] == DATA) {
        must(dv_buf_append(stream, payload));
    }
}

static void check_answers(dv_slice in)
{
    while (in.len >= FRAME_HEAD) {
        size_t len = (size_t)in.ptr[0] << 16 | (size_t)in.ptr[1] << 8 | in.ptr[2];
        take_frame(in.ptr, dv_slice_sub(in, FRAME_HEAD, len));
        in = dv_slice_sub(in, FRAME_HEAD + len, in.len);
    }
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        oracle_check_answer(dv_buf_slice(&told[i]));
        dv_buf_clear(&told[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const play_language language = {
        .play = play,
        .check = check_answers,
        .good = DV_LIT(GOOD),
    };
    play_input(&language, dv_slice_of(data, size));
    return 0;
}
