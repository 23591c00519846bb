/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1 through the whole gate. Besides the operations of plays.c:
 *
 *   c BYTES   a caller sends them as they are
 *   l BODY    a caller sends "Content-Length: N", the empty line and N bytes
 *   t BYTES   a caller sends one chunk
 *   g N       a caller sends N kilobytes of text
 */
#include "fuzz/gateway/gate.h"

enum { SENT_MAX = 8 << 20 };

static dv_buf sent = {.max = SENT_MAX};

#define GOOD                                                                                       \
    "\xff"                                                                                         \
    "cPOST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nx-api-key: \x11\r\n"                        \
    "Content-Type: application/json\r\n\xff"                                                       \
    "l{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}"

static void must(dv_result result)
{
    if (result != DV_OK) {
        gate_fail("the target's own buffers are too small");
    }
}

static bool say(uint8_t letter, dv_slice bytes)
{
    dv_buf_clear(&sent);
    switch (letter) {
    case 'c':
        break;
    case 'l':
        must(dv_buf_append_printf(&sent, "Content-Length: %zu\r\n\r\n", bytes.len));
        break;
    case 't':
        must(dv_buf_append_printf(&sent, "%zx\r\n", bytes.len));
        break;
    case 'g':
        peers_fill(bytes, &sent);
        bytes = DV_LIT("");
        break;
    default:
        return false;
    }
    must(dv_buf_append(&sent, bytes));
    must(dv_buf_append_str(&sent, letter == 't' ? "\r\n" : ""));
    oracle_note_asked(bytes);
    caller_send(dv_buf_slice(&sent));
    return true;
}

static void play(dv_slice rest)
{
    uint8_t letter;
    dv_slice bytes;
    while (play_next(&rest, &letter, &bytes)) {
        if (say(letter, bytes) || play_common(letter, bytes)) {
            play_settle();
        }
    }
}

/* The bodies of chunks, put together; the rest as it is. */
static dv_slice without_chunks(dv_slice in)
{
    dv_buf_clear(&sent);
    must(dv_buf_reserve(&sent, in.len));
    for (size_t i = 0; i < in.len;) {
        size_t end = i + 2;
        while (in.ptr[i] == '\r' && end < in.len &&
               memchr("0123456789abcdef", in.ptr[end], 16) != NULL) {
            end++;
        }
        if (end > i + 2 && end + 1 < in.len && in.ptr[end] == '\r') {
            i = end + 2;
            continue;
        }
        must(dv_buf_append_byte(&sent, in.ptr[i++]));
    }
    return dv_buf_slice(&sent);
}

static void check_answer(dv_slice received)
{
    oracle_check_answer(received);
    oracle_check_answer(without_chunks(received));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const play_language language = {
        .play = play,
        .check = check_answer,
        .good = DV_LIT(GOOD),
    };
    play_input(&language, dv_slice_of(data, size));
    return 0;
}
