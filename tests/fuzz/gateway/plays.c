/* SPDX-License-Identifier: Apache-2.0 */
/* The language of the inputs: operations, each a letter behind the byte 0xFF and the bytes up to
 * the next one. What stands before the first 0xFF is skipped. */
#include "fuzz/gateway/gate.h"

enum { EXPANDED_MAX = 8 << 20, INPUTS_A_PROBE = 64 };

static void must(dv_result result)
{
    if (result != DV_OK) {
        gate_fail("the target's own buffers are too small");
    }
}

/* 0x11: the good key, 0x12: GATE_ASKED, 0x13: GATE_TOLD, 0x14: the weak key. */
static void expand(dv_slice bytes, dv_buf *out)
{
    const char *words[] = {gate.key, GATE_ASKED, GATE_TOLD, gate.weak_key};
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = bytes.ptr[i];
        must(byte >= 0x11 && byte <= 0x14 ? dv_buf_append_str(out, words[byte - 0x11])
                                          : dv_buf_append_byte(out, byte));
    }
}

bool play_next(dv_slice *rest, uint8_t *ret_letter, dv_slice *ret_bytes)
{
    ptrdiff_t at = dv_slice_find_byte(*rest, 0xff);
    if (at < 0 || (size_t)at + 1 == rest->len) {
        return false;
    }
    *ret_letter = rest->ptr[at + 1];
    *rest = dv_slice_sub(*rest, (size_t)at + 2, rest->len);
    ptrdiff_t end = dv_slice_find_byte(*rest, 0xff);
    *ret_bytes = dv_slice_sub(*rest, 0, end < 0 ? rest->len : (size_t)end);
    *rest = dv_slice_sub(*rest, ret_bytes->len, rest->len);
    return true;
}

static bool hasty; /* what follows does not wait for threads */

void play_settle(void)
{
    if (hasty) {
        peers_pump_briefly();
    } else {
        peers_pump();
    }
}

static bool reply(uint8_t letter, dv_slice bytes)
{
    static const struct {
        char letter;
        reply_kind kind;
    } kinds[] = {
        {'u', REPLY_BYTES},  {'b', REPLY_BODY},  {'k', REPLY_CHUNK}, {'m', REPLY_MIRROR},
        {'f', REPLY_FILLER}, {'a', REPLY_AGAIN}, {'x', REPLY_CLOSE}, {'y', REPLY_RESET},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(kinds); i++) {
        if (letter == (uint8_t)kinds[i].letter) {
            upstream_reply(kinds[i].kind, bytes);
            return true;
        }
    }
    return false;
}

bool play_common(uint8_t letter, dv_slice bytes)
{
    switch (letter) {
    case 'i':
    case 'e':
        hasty = letter == 'i';
        return true;
    case 'n':
        caller_connect();
        return true;
    case 'h':
        caller_half_close();
        return true;
    case 'q':
        caller_close();
        return true;
    case 'r':
        caller_reset();
        return true;
    case 'p':
        caller_pause(true);
        return true;
    case 'o':
        caller_pause(false);
        return true;
    case 'w':
        gate_pass_time((bytes.len > 0 ? bytes.ptr[0] : 1) * 1000u);
        return true;
    default:
        return reply(letter, bytes);
    }
}

static void play_one(const play_language *language, dv_slice input)
{
    static dv_buf expanded = {.max = EXPANDED_MAX}; /* replies point into it */
    dv_buf_clear(&expanded);
    expand(input, &expanded);
    hasty = false;
    peers_begin();
    language->play(dv_buf_slice(&expanded));
    for (size_t i = 0; i < callers_known(); i++) {
        language->check(caller_received(i));
    }
    peers_end();
    ledger_check();
    gate_check_rest();
}

void play_input(const play_language *language, dv_slice input)
{
    static unsigned count;
    play_one(language, input);
    if (++count % INPUTS_A_PROBE == 0) {
        play_one(language, language->good);
        if (oracle_requests() != 1) {
            gate_fail("the good request does not go through any more");
        }
    }
}
