/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The gate as the fuzz targets see it: the distribution's nginx with the module loaded, in this
 * very process. nginx's event loop is turned by hand, its clock stands still unless a target lets
 * time pass, and both its neighbours, callers and model server, are sockets of this process, too.
 *
 * Whatever an input plays, this must hold (gate_fail otherwise):
 * 1. A model server gets no request unless a caller sent the good key, and not before the open
 *    record of that request was written.
 * 2. On an inspected route it never gets GATE_ASKED whole, and a caller never gets GATE_TOLD whole.
 * 3. Every open record has exactly one close record when all is quiet.
 * 4. nginx comes to rest, and then has every connection, request and arena back.
 * 5. After that a good request goes through: nothing of a limit was left taken.
 * 6. nginx logs no alert and nothing critical. */

#include "base/buf.h"

/* Tokens that no text around them can hide, but for a letter or digit right before them: a whole
 * word of that form is a value. */
#define GATE_ASKED                                                                                 \
    "gh"                                                                                           \
    "p_0123456789ABCDEFGHIJKLMNOPQRST1q0oWp"
#define GATE_TOLD                                                                                  \
    "gh"                                                                                           \
    "o_psT9pqNFsehnc4se0ZzzR0HBxapxZD35hNHi"

/* What launch.py tells. */
typedef struct gate_setup {
    const char *address; /* of the gate */
    int port;
    int upstream_fd; /* listens; nginx.conf names its port */
    const char *runtime;
    const char *spool;
    const char *key;      /* that permits */
    const char *weak_key; /* whose user has no role */
    int argc;
    char **argv;
} gate_setup;

extern gate_setup gate;

/* Tells what does not hold and aborts. */
_Noreturn void gate_fail(const char *format, ...) dv_printf(1, 2);

/* ---- loop.c: nginx's event loop ---- */
void gate_turn(void);
bool gate_has_posted(void); /* a turn is due without any event */
bool gate_computes(void);   /* a thread does, and an event will follow */
int gate_poll_fd(void);     /* readable when nginx has events */
void gate_pass_time(unsigned milliseconds);
void gate_check_rest(void);

/* ---- ledger.c: the records, as dvara-logd reads them ---- */
void ledger_open(void);
/* The open record of this request is there, allowed, of the good key's user. */
void ledger_expect_open(dv_slice request_id);
/* All is closed; forgets. */
void ledger_check(void);

/* ---- oracle.c ---- */
void oracle_reset(void);
void oracle_note_asked(dv_slice bytes); /* of callers, all connections */
void oracle_check_request(dv_slice head, dv_slice body);
void oracle_check_answer(dv_slice bytes);
size_t oracle_requests(void); /* that reached the model server since the reset */

/* ---- peers.c: callers and the model server ---- */
typedef enum reply_kind {
    REPLY_BYTES,  /* as they are */
    REPLY_BODY,   /* with a Content-Length before them that is right */
    REPLY_CHUNK,  /* one chunk */
    REPLY_MIRROR, /* a chat completion that holds the request's body */
    REPLY_FILLER, /* much text */
    REPLY_AGAIN,  /* the last one, as often as the first byte says */
    REPLY_CLOSE,
    REPLY_RESET,
} reply_kind;

void peers_begin(void);
void peers_end(void);
void caller_connect(void);
void caller_send(dv_slice bytes);
void caller_half_close(void);
void caller_close(void);
void caller_reset(void);
void caller_pause(bool paused); /* reads nothing meanwhile */
size_t callers_known(void);
dv_slice caller_received(size_t index);
/* Sent when a request waits for it; until then kept. Without any, every request is mirrored. */
void upstream_reply(reply_kind kind, dv_slice bytes);
/* Until nobody has anything to do. */
void peers_pump(void);
/* The same, without waiting for threads. */
void peers_pump_briefly(void);
/* Adds text, as many kilobytes as the first byte says. */
void peers_fill(dv_slice bytes, dv_buf *out);

/* ---- plays.c: what the targets' languages share ---- */
/* Plays an input by a target's own language and checks what must hold; now and then it plays the
 * good request, too. */
typedef struct play_language {
    void (*play)(dv_slice input);
    void (*check)(dv_slice received); /* what a caller got */
    dv_slice good;                    /* an input that reaches the model server */
} play_language;
void play_input(const play_language *language, dv_slice input);
/* The next operation: a letter behind 0xFF, and what stands before the next 0xFF. */
bool play_next(dv_slice *rest, uint8_t *ret_letter, dv_slice *ret_bytes);
/* Operations that all targets know; false: not one of them. */
bool play_common(uint8_t letter, dv_slice bytes);
/* Behind each operation. */
void play_settle(void);
