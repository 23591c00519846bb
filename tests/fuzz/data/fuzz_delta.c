/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/detect.h"
#include "shapes.h"

/* Assembling deltas: two texts, of bytes of the input and of values that detectors know, told side
 * by side in pieces of any length. What goes out is what the whole texts become; arguments, what
 * they become when they are told in one piece. Seeded values that the whole text hides do not pass.
 *
 * The input: a byte for the shape and the policy, one for the chunk, then steps: a byte for what
 * comes and in which text, one for the pieces. */

static dv_data_gate *gate;
static dv_data_policy *masks; /* of this input */

static const char *const policy_texts[] = {
    "{\"default\":\"mask\",\"decode\":true}",
    "{\"default\":\"pseudonym\",\"decode\":true}",
    "{\"default\":{\"action\":\"fpe\",\"letters\":1},\"decode\":true}",
    "{\"default\":\"date_shift\",\"decode\":true}",
    "{\"default\":\"generalise\",\"decode\":true}",
    "{\"default\":\"token\",\"decode\":true,\"detectors\":{\"generic_secret\":\"token\"}}",
};

static void set_up(size_t policy)
{
    static const uint8_t key[32] = {7};
    static dv_data_policy *policies[DV_ARRAY_LEN(policy_texts)];
    if (gate == NULL) {
        must(dv_data_gate_new(key, NULL, &gate, NULL));
        must(dv_data_gate_set_key(gate, key));
    }
    policy %= DV_ARRAY_LEN(policies);
    if (policies[policy] == NULL) {
        must(dv_data_policy_parse(gate, dv_slice_str(policy_texts[policy]), &policies[policy],
                                  NULL));
    }
    masks = policies[policy];
}

/* ASCII, so that pieces can't split a character. */
static dv_slice as_ascii(dv_slice bytes, dv_arena *arena)
{
    dv_slice copy;
    must(dv_arena_copy(arena, bytes, &copy));
    uint8_t *out = (uint8_t *)(uintptr_t)copy.ptr;
    for (size_t i = 0; i < copy.len; i++) {
        out[i] &= 0x7F;
    }
    return copy;
}

static dv_slice example_of(uint8_t number)
{
    size_t index = number % dv_detect_count();
    const dv_detector_info *info = dv_detect_info(index);
    return dv_slice_str(info->examples[(number / dv_detect_count()) % info->example_count].text);
}

static dv_slice encoded_of(uint8_t number)
{
    static const char *const texts[] = {
        "bob%40example.com",
        "%34111 1111 1111 1111",
        "bob%2540example.com",
        "bob&#64;example.com",
        "bob&commat;example.com",
        "bob\\u0040example.com",
        "4l11 11I1 1111 1l11",
        "Ym9iQGV4YW1wbGUuY29t",
        "NDExMSAxMTExIDExMTEgMTExMQ==",
        "Ym9iJTQwZXhhbXBsZS5jb20",
        "6d61696c20626f62406578616d706c652e636f6d",
        "YgBvAGIAQABlAHgAYQBtAHAAbABlAC4AYwBvAG0A",
        "token: dvs_2EX5T0iqqBg94wMfDjHoGuv38mDWxuhxEI2Iz24fMxusI", /* under this gate's key */
    };
    return dv_slice_str(texts[number % DV_ARRAY_LEN(texts)]);
}

static void tell_steps(telling *t, input *in, dv_arena *arena)
{
    while (in->rest.len > 0 && t->events.len < 64 << 10) {
        uint8_t what = input_byte(in);
        uint8_t step = input_byte(in);
        dv_slice text = (what & 2) == 0   ? as_ascii(input_bytes(in, (what >> 2) % 32), arena)
                        : (what & 4) == 0 ? example_of(input_byte(in))
                                          : encoded_of(input_byte(in));
        tell_in_pieces(t, what & 1, text, step % 16 == 0 ? 1024 : step % 16);
    }
}

static void check_text(const telling *t, size_t lane, dv_arena *arena)
{
    dv_data_context *context = NULL;
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {.decision = DV_ALLOW};
    must(dv_data_context_new(gate, DV_LIT("User::\"f\""), arena, &context));
    must(dv_data_gate_text(gate, masks, context, true, dv_buf_slice(&t->texts[lane]), arena,
                           &outcome, &verdict));
    must_be(dv_slice_eq(dv_buf_slice(&t->got[lane]), outcome.body));
}

/* In one piece the arguments become the same, and what was JSON is JSON. */
static void check_arguments(const telling *t, size_t lane, dv_arena *arena)
{
    static const dv_json_limits limits = {.depth = 64, .tokens = 100000};
    telling once = telling_new(t->shape);
    dv_data_context *context = NULL;
    dv_json json;
    dv_slice told = dv_buf_slice(&t->texts[lane]);
    must(dv_data_context_new(gate, DV_LIT("User::\"f\""), arena, &context));
    tell(&once, 0, told);
    must_be(telling_run(&once, gate, masks, context, once.events.len, arena));
    must_be(dv_slice_eq(dv_buf_slice(&once.got[0]), dv_buf_slice(&t->got[lane])));
    if (dv_json_scan(told, &limits, arena, &json, NULL) == DV_OK) {
        must(dv_json_scan(dv_buf_slice(&once.got[0]), &limits, arena, &json, NULL));
    }
    telling_release(&once);
}

static void check(const telling *t, dv_arena *arena)
{
    for (size_t lane = 0; lane < SHAPE_LANES; lane++) {
        if (t->shape->json) {
            check_arguments(t, lane, arena);
        } else {
            check_text(t, lane, arena);
        }
        must_be(t->shape->whole == NULL ||
                dv_slice_eq(dv_buf_slice(&t->again[lane]), dv_buf_slice(&t->got[lane])));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    input in = {dv_slice_of(data, size)};
    size_t which = input_byte(&in);
    set_up(which / DV_ARRAY_LEN(shapes));
    telling t = telling_new(&shapes[which % DV_ARRAY_LEN(shapes)]);
    size_t chunk = input_byte(&in);
    dv_data_context *context = NULL;
    tell_steps(&t, &in, arena);
    tell_wholes(&t);
    must(dv_data_context_new(gate, DV_LIT("User::\"f\""), arena, &context));
    if (telling_run(&t, gate, masks, context, chunk < 8 ? 1 << 20 : chunk, arena)) {
        check(&t, arena);
    }
    telling_release(&t);
    return 0;
}
