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

static dv_data_gate *gate;

static inline int gate_set_up(void **state)
{
    static const uint8_t key[32] = {1, 2, 3};
    dv_error error = {0};
    if (dv_data_gate_new(key, &gate, &error) != DV_OK) {
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
