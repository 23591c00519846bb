/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/gate/api_limits.h"

/* Far over every budget, and small enough that sums of a few do not overflow. */
static const uint64_t amount_max = UINT64_C(1) << 60;

static uint64_t multiply(uint64_t a, uint64_t b)
{
    uint64_t product = 0;
    return __builtin_mul_overflow(a, b, &product) ? amount_max : DV_MIN(product, amount_max);
}

/* Rounded up: a request never costs less than it should. */
static uint64_t price(const dv_api_price *price, uint64_t input, uint64_t output)
{
    if (price == NULL) {
        return 0;
    }
    unsigned __int128 units = (unsigned __int128)input * price->input +
                              (unsigned __int128)output * price->output + 999999;
    return (uint64_t)DV_MIN(units / 1000000, (unsigned __int128)amount_max);
}

static bool generates(const dv_api_protocol *protocol, uint64_t body_bytes)
{
    return dv_api_protocol_cap(protocol, DV_LIT("")) != NULL ||
           (protocol->any_text && body_bytes > 0);
}

uint64_t dv_api_cap(const dv_api_route *route, const dv_api_body *body, uint64_t body_bytes)
{
    if (body->cap_said || !generates(route->protocol, body_bytes)) {
        return 0;
    }
    uint64_t bound = route->max_tokens > 0 ? route->max_tokens : DV_API_TOKENS_DEFAULT;
    if (body->max_tokens < 0) {
        return bound;
    }
    return route->max_tokens > 0 ? DV_MIN((uint64_t)body->max_tokens, bound)
                                 : (uint64_t)body->max_tokens;
}

dv_api_amount dv_api_reserve(const dv_api_config *config, const dv_api_route *route,
                             const dv_api_body *body, uint64_t body_bytes)
{
    dv_api_amount amount = {.input = body_bytes};
    uint64_t each =
        body->max_tokens >= 0 ? (uint64_t)body->max_tokens : dv_api_cap(route, body, body_bytes);
    uint64_t answers = multiply((uint64_t)body->choices, DV_MAX(body->prompts, UINT64_C(1)));
    amount.output = multiply(each, answers);
    amount.price = dv_api_price_find(config, body->counted);
    amount.cost = price(amount.price, amount.input, amount.output);
    return amount;
}

/* Of a count that can not be true no more is taken than was reserved. */
static int64_t believe(int64_t told, uint64_t reserved)
{
    bool true_enough = told < 0 || (uint64_t)told <= DV_MAX(reserved, (uint64_t)DV_API_TOLD_MAX);
    return true_enough ? told : (int64_t)reserved;
}

/* What a stream told before its end may be a beginning only. */
static uint64_t output_of(const dv_api_amount *reserved, const dv_api_spent *spent, int64_t told)
{
    uint64_t seen = DV_MIN(spent->seen_bytes, reserved->output);
    if (told >= 0) {
        return !spent->whole && spent->streamed ? DV_MAX((uint64_t)told, seen) : (uint64_t)told;
    }
    bool cut_off = !spent->whole && (spent->left || spent->status != 0);
    bool begun = spent->asked || spent->status != 0;
    return !spent->streamed && begun && (cut_off || spent->timed_out) ? reserved->output : seen;
}

dv_api_amount dv_api_settle(const dv_api_amount *reserved, const dv_api_spent *spent)
{
    int64_t input = believe(spent->input, reserved->input);
    int64_t output = believe(spent->output, reserved->output);
    bool refused = spent->status >= 400 && !spent->timed_out && input < 0 && output < 0;
    dv_api_amount amount = {.price = reserved->price};
    if (!spent->sent || refused) {
        return amount;
    }
    uint64_t least = (spent->text_bytes + DV_API_TOKEN_BYTES_MAX - 1) / DV_API_TOKEN_BYTES_MAX;
    amount.input = input >= 0 ? (uint64_t)input : reserved->input;
    amount.output = DV_MAX(output_of(reserved, spent, output), least);
    amount.cost = price(amount.price, amount.input, amount.output);
    return amount;
}
