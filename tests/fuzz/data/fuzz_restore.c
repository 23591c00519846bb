/* SPDX-License-Identifier: Apache-2.0 */
#include "shapes.h"

/* Restoring placeholders: an answer that repeats them, whole, cut short, changed or side by side,
 * told in pieces of any length. Exact ones come back as the values that they stand for, escaped for
 * where they stand; all else stays as the whole text says. */

static const char asked[] =
    "[\"bob@example.com and 4111 1111 1111 1111, \\\"ann\\\"@example.org, "
    "-----BEGIN PRIVATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3vVpguoRK9JLsLMRES\\n"
    "-----END PRIVATE KEY-----\"]";

static dv_data_gate *gate;
static dv_data_policy *placeholders;
static dv_data_policy *masks;

static void set_up(void)
{
    static const uint8_t key[32] = {7};
    if (gate == NULL) {
        must(dv_data_gate_new(key, NULL, &gate, NULL));
        must(dv_data_policy_parse(gate, DV_LIT("{\"default\":\"placeholder\"}"), &placeholders,
                                  NULL));
        must(dv_data_policy_parse(gate, DV_LIT("{\"default\":\"mask\"}"), &masks, NULL));
    }
}

/* The request's body as it went on, and a context that knows what its placeholders stand for. */
static dv_slice ask(dv_data_context **ret_context, dv_arena *arena)
{
    static const dv_json_limits limits = {.depth = 8, .tokens = 100};
    dv_json json;
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {.decision = DV_ALLOW};
    must(dv_data_context_new(gate, DV_LIT("User::\"f\""), arena, ret_context));
    must(dv_json_scan(dv_slice_str(asked), &limits, arena, &json, NULL));
    must(dv_data_gate_request(gate, placeholders, *ret_context, &json, arena, &outcome, &verdict));
    return outcome.body;
}

/* The n-th thing between '<' and '>', without its last `less` bytes. */
static dv_slice placeholder_at(dv_slice body, unsigned n, size_t less)
{
    dv_slice rest = body;
    dv_slice found = {NULL, 0};
    for (unsigned i = 0; i <= n % 4; i++) {
        ptrdiff_t open = dv_slice_find_byte(rest, '<');
        if (open < 0) {
            break;
        }
        rest = dv_slice_sub(rest, (size_t)open, rest.len);
        ptrdiff_t close = dv_slice_find_byte(rest, '>');
        if (close < 0) {
            break;
        }
        found = dv_slice_sub(rest, 0, (size_t)close + 1);
        rest = dv_slice_sub(rest, found.len, rest.len);
    }
    return dv_slice_sub(found, 0, found.len - DV_MIN(found.len, less));
}

static void put_ascii(dv_buf *out, dv_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        must(dv_buf_append_byte(out, bytes.ptr[i] & 0x7F));
    }
}

/* A text of bytes and placeholders. Arguments are one string of it, which begins as no JSON does.
 */
static void make_text(input *in, dv_slice body, dv_buf *out)
{
    must(dv_buf_append_byte(out, 'x'));
    while (in->rest.len > 0 && out->len < 4096) {
        uint8_t what = input_byte(in);
        if ((what & 1) != 0) {
            size_t less = (what & 2) != 0 ? input_byte(in) % 16 : 0;
            must(dv_buf_append(out, placeholder_at(body, what >> 2, less)));
        } else {
            put_ascii(out, input_bytes(in, what >> 3));
        }
    }
}

static dv_slice quoted(dv_slice text, dv_arena *arena)
{
    dv_auto(buf) dv_buf out = dv_buf_init(SHAPE_OUT_MAX);
    dv_slice copy;
    must(dv_buf_append_json_string(&out, text));
    must(dv_arena_copy(arena, dv_buf_slice(&out), &copy));
    return copy;
}

static void check(const telling *t, dv_slice text, dv_data_context *context, dv_arena *arena)
{
    static const dv_json_limits limits = {.depth = 8, .tokens = 100};
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {.decision = DV_ALLOW};
    dv_slice got = dv_buf_slice(&t->got[0]);
    dv_json json;
    must(dv_data_gate_text(gate, masks, context, true, text, arena, &outcome, &verdict));
    if (t->shape->json) {
        must(dv_json_scan(got, &limits, arena, &json, NULL));
        must(dv_json_string(&json, 0, arena, &got));
    }
    must_be(dv_slice_eq(got, outcome.body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    set_up();
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    dv_auto(buf) dv_buf text = dv_buf_init(SHAPE_OUT_MAX);
    input in = {dv_slice_of(data, size)};
    telling t = telling_new(&shapes[input_byte(&in) % DV_ARRAY_LEN(shapes)]);
    size_t step = (size_t)input_byte(&in) % 64 + 1;
    dv_data_context *context = NULL;
    dv_slice body = ask(&context, arena);
    make_text(&in, body, &text);
    dv_slice told = dv_buf_slice(&text);
    tell_in_pieces(&t, 0, t.shape->json ? quoted(told, arena) : told, step);
    if (telling_run(&t, gate, masks, context, 1 << 20, arena)) {
        check(&t, told, context, arena);
    }
    telling_release(&t);
    return 0;
}
