/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the data room's tests share. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/caps.h"
#include "room/data/gate/data_gate.h"

#define PLACEHOLDERS "{\"default\":\"placeholder\"}"
#define MASKS "{\"default\":\"mask\"}"
#define MASKS_DECODED "{\"default\":\"mask\",\"decode\":true}"

/* Values that do not stand there in clear, and what decoding makes of the texts. */
typedef struct encoded_text {
    const char *text;
    const char *wanted;
} encoded_text;

static const encoded_text encoded_texts[] = {
    {"mail bob.marley\\\\u0040example.com,", "mail [EMAIL],"},
    {"pay 4111 1111 1111 111\\\\\\\\u0031 or", "pay [CARD] or"},
    {"bob&#00000000000000064;example.com ok", "[EMAIL] ok"},
    {"bob\\u{40}example.com ok", "[EMAIL] ok"},
    {"bob\\100example.com ok", "[EMAIL] ok"},
    {"x = \"a\\nYm9iQGV4YW1wbGUuY29t\" ok", "x = \"a\\n[EMAIL]\" ok"},
    {"a\\tNDExMSAxMTExIDExMTEgMTExMQ==, end", "a\\t[CARD], end"},
    {"a%"
     "41\n9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\ndGhlIGxpc3Qgb2YgdGhvc2U"
     "gd2hvIGFza2VkIGZvciBpdCwgYXMgb2YgdG9kYXk6IHNheSBib2JA\nZXhhbXBsZS5jb20gYW5kIG1vcmU= ok",
     "a%41\n9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n[EMAIL] ok"},
    {"a%2CYm9iQGV4YW1wbGUuY29t ok", "a%2C[EMAIL] ok"},
    {"mail b\xF3\xA0\x84\x81ob@ex\xD8\x9C"
     "ample.com ok",
     "mail [EMAIL] ok"},
    {"data bWFpbCB0byBib2JAZXhhbXBsZS5jb20MIGFuZCBnbwA=, end", "data [EMAIL], end"},
    {"bob\\U00000040example.com ok", "[EMAIL] ok"},
    {"q=bob%40example.com&x=1", "q=[EMAIL]&x=1"},
    {"q=bob%2540example%252Ecom&x=1", "q=[EMAIL]&x=1"},
    {"a=%34%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31 ok", "a=[CARD] ok"},
    {"<a>bob&#64;example&period;com</a> ok", "<a>[EMAIL]</a> ok"},
    {"&#x34;&#x31;11 1111 1111 111&#49; ok", "[CARD] ok"},
    {"bob\\u0040example.com ok", "[EMAIL] ok"},
    {"card \xEF\xBC\x94\xEF\xBC\x91\xEF\xBC\x91\xEF\xBC\x91 "
     "\xEF\xBC\x91\xEF\xBC\x91\xEF\xBC\x91\xEF\xBC\x91 "
     "\xEF\xBC\x91\xEF\xBC\x91\xEF\xBC\x91\xEF\xBC\x91 "
     "\xEF\xBC\x91\xEF\xBC\x91\xEF\xBC\x91\xEF\xBC\x91 ok",
     "card [CARD] ok"},
    {"card \xE0\xA5\xAA\xE0\xA5\xA7\xE0\xA5\xA7\xE0\xA5\xA7 "
     "\xE0\xA5\xA7\xE0\xA5\xA7\xE0\xA5\xA7\xE0\xA5\xA7 "
     "\xE0\xA5\xA7\xE0\xA5\xA7\xE0\xA5\xA7\xE0\xA5\xA7 "
     "\xE0\xA5\xA7\xE0\xA5\xA7\xE0\xA5\xA7\xE0\xA5\xA7 ok",
     "card [CARD] ok"},
    {"card 4111\xE2\x80\x93"
     "1111\xE2\x80\x93"
     "1111\xE2\x80\x93"
     "1111 ok",
     "card [CARD ****1111] ok"},
    {"card 4111\xC2\xA0"
     "1111\xC2\xA0"
     "1111\xC2\xA0"
     "1111 ok",
     "card [CARD ****1111] ok"},
    {"card 4l11 11I1 1111 1l11 ok", "card [CARD] ok"},
    {"mail b\xE2\x80\x8Bob@exa\xC2\xADmple.com ok", "mail [EMAIL] ok"},
    {"data Ym9iQGV4YW1wbGUuY29t end", "data [EMAIL] end"},
    {"data NDExMSAxMTExIDExMTEgMTExMQ==, end", "data [CARD], end"},
    {"data bXkgbWFpbCBpcyBib2JAZXhhbXBsZS5jb20u, end", "data [EMAIL], end"},
    {"data Ym9iQGV4YW1wbGUuY29tIGFuZCA0MTExIDExMTEgMTExMSAxMTEx end", "data [EMAIL] end"},
    {"data 6d61696c20626f62406578616d706c652e636f6d end", "data [EMAIL] end"},
    {"data YldGcGJDQmliMkpBWlhoaGJYQnNaUzVqYjIwPQ== end", "data [EMAIL] end"},
    {"data YgBvAGIAQABlAHgAYQBtAHAAbABlAC4AYwBvAG0A end", "data [EMAIL] end"},
    {"data //5iAG8AYgBAAGUAeABhAG0AcABsAGUALgBjAG8AbQA= end", "data [EMAIL] end"},
    {("data H4sIAAAAAAACA8utVMhNzMxRyCxWSMpPckitSMwtyEnVS87P1VEozgcAan+1RB4AAAA= end"),
     "data [EMAIL] end"},
    {("lines H4sIAAAAAAACAwXB2w3AIAgAwFWYoAP0q6ugIcUEIvKIju+djMgXOJwkraIngg3nf5uDmxZx0dKD\n"
      "0Gb76KCa0NOnXjmkdRk4AAAA end"),
     "lines [EMAIL] end"},
    {"VG86IEJvYgpTdWJqZWN0OiB0aGUgY2FyZCBvZiBsYXN0IHdlZWssIGFzIHlvdSBhc2tlZCBtZQp3\ncml0ZSB0byBib2J"
     "AZXhhbXBsZS5jb20gcGxlYXNlLCBhbmQgc29vbg==\nend",
     "[EMAIL]\nend"},
};

/* What decodes to no value, and stays as it is. */
static const char *const plain_texts[] = {
    "100% of 3 &amp; more, 50%25 off; a%20b &lt;b&gt; \\u00e9t\\u00e9 C:\\new\\x",
    ("packed H4sIAAAAAAACA8vLL8nIzEtXKMlXKE5NVchILUrVUcjNL0tVyM9TKMhJTSxOBQCg7z3IIwAAAA== and H4s "
     "or UEsDBBQ, no more"),
    "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, v1.2-rc_3",
    "id 018c3f2e-7a4b-7cde-8f01-23456789abcd in /usr/share/doc/libexample-dev/examples",
    "aGVsbG8gd29ybGQsIHRoaXMgaXMgcGxhaW4gdGV4dA== and iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB",
    ("one \xE2\x80\x94 two\xE2\x80\x93three, 10\xC2\xA0"
     "000 \xE2\x82\xAC, \xF0\x9F\x91\xA9\xE2\x80\x8D"
     "\xF0\x9F\x92\xBB \xE2\x9D\xA4\xEF\xB8\x8F"),
    ("\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE4\xB8\x96\xE7\x95\x8C\xEF\xBC\x81 "
     "\xEF\xBC\x91\xEF\xBC\x92"),
    "part 4l11 or 8B7S of 1O24, model XS-1O0B",
};

static dv_data_gate *gate;

static inline int gate_set_up(void **state)
{
    static const uint8_t key[32] = {1, 2, 3};
    static const uint8_t action_key[32] = {4, 5, 6};
    dv_error error = {0};
    if (dv_data_gate_new(key, NULL, &gate, &error) != DV_OK ||
        dv_data_gate_set_key(gate, action_key) != DV_OK) {
        print_error("%s\n", error.message);
        return -1;
    }
    return 0;
}

static inline int gate_tear_down(void **state)
{
    dv_data_gate_free(gate);
    return 0;
}

static inline dv_data_policy *policy_of(const char *json)
{
    dv_data_policy *policy = NULL;
    dv_error error = {0};
    if (dv_data_policy_parse(gate, dv_slice_str(json), &policy, &error) != DV_OK) {
        fail_msg("%s", error.message);
    }
    return policy;
}

static inline dv_data_context *context_of(const char *principal, dv_arena *arena)
{
    dv_data_context *context = NULL;
    assert_int_equal(dv_data_context_new(gate, dv_slice_str(principal), arena, &context), DV_OK);
    return context;
}

static inline dv_json json_of(dv_slice text, dv_arena *arena)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH,
                                          .tokens = DV_LIMIT_JSON_TOKENS};
    dv_json json;
    dv_error error = {0};
    if (dv_json_scan(text, &limits, arena, &json, &error) != DV_OK) {
        fail_msg("%s in %.*s", error.message, DV_SLICE_ARGS(text));
    }
    return json;
}

/* One direction of one body, with a policy given as JSON. */
static inline dv_data_outcome inspect(bool answer, const char *policy_json,
                                      dv_data_context *context, dv_slice text, dv_arena *arena,
                                      dv_verdict *verdict)
{
    dv_data_policy *policy = policy_of(policy_json);
    dv_json json = json_of(text, arena);
    dv_data_outcome outcome = {0};
    dv_verdict_allow(verdict, "test");
    assert_int_equal((answer ? dv_data_gate_answer : dv_data_gate_request)(
                         gate, policy, context, &json, arena, &outcome, verdict),
                     DV_OK);
    if (outcome.changed) {
        (void)json_of(outcome.body, arena); /* still valid */
    }
    dv_data_policy_free(policy);
    return outcome;
}

static inline void assert_text(dv_slice text, const char *wanted)
{
    if (!dv_slice_eq_str(text, wanted)) {
        fail_msg("got  %.*s\nwant %s", DV_SLICE_ARGS(text), wanted);
    }
}

/* {"v":"..."}: the text as a string in a call's arguments. */
static inline dv_slice as_arguments(dv_slice text, dv_arena *arena)
{
    dv_auto(buf) dv_buf json = dv_buf_init(8 << 20);
    dv_slice copy;
    assert_int_equal(dv_buf_append_str(&json, "{\"v\":"), DV_OK);
    assert_int_equal(dv_buf_append_json_string(&json, text), DV_OK);
    assert_int_equal(dv_buf_append_str(&json, "}"), DV_OK);
    assert_int_equal(dv_arena_copy(arena, dv_buf_slice(&json), &copy), DV_OK);
    return copy;
}
