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

static bool generates(const dv_api_protocol *protocol)
{
    for (const dv_api_member *m = protocol->members; m->name.len > 0; m++) {
        if (m->role == DV_ROLE_MAX_TOKENS) {
            return true;
        }
    }
    return false;
}

static uint64_t tokens_of_answer(const dv_api_route *route, const dv_api_body *body)
{
    if (body->max_tokens >= 0) {
        return (uint64_t)body->max_tokens;
    }
    if (route->max_tokens > 0) {
        return route->max_tokens;
    }
    return generates(route->protocol) ? DV_API_TOKENS_DEFAULT : 0;
}

dv_api_amount dv_api_reserve(const dv_api_config *config, const dv_api_route *route,
                             const dv_api_body *body, uint64_t body_bytes)
{
    dv_api_amount amount = {.input = body_bytes};
    uint64_t answers = multiply((uint64_t)body->choices, DV_MAX(body->prompts, UINT64_C(1)));
    amount.output = multiply(tokens_of_answer(route, body), answers);
    amount.price = dv_api_price_find(config, body->model);
    amount.cost = price(amount.price, amount.input, amount.output);
    return amount;
}

static uint64_t input_of(const dv_api_amount *reserved, const dv_api_spent *spent)
{
    return spent->input >= 0 ? DV_MIN((uint64_t)spent->input, reserved->input) : reserved->input;
}

/* What a stream told before its end may be a beginning only. */
static uint64_t told_output(const dv_api_amount *reserved, const dv_api_spent *spent)
{
    uint64_t told = spent->output >= 0 ? (uint64_t)spent->output : spent->text_bytes;
    if (spent->whole) {
        return told;
    }
    if (spent->streamed) {
        return DV_MAX(told, spent->text_bytes);
    }
    bool unseen = spent->left || spent->status != 0;
    return spent->output < 0 && unseen ? reserved->output : told;
}

static uint64_t output_of(const dv_api_amount *reserved, const dv_api_spent *spent)
{
    uint64_t floor = spent->text_known
                         ? (spent->text_bytes + DV_API_TOKEN_BYTES_MAX - 1) / DV_API_TOKEN_BYTES_MAX
                         : 0;
    return DV_MAX(DV_MIN(told_output(reserved, spent), reserved->output), floor);
}

dv_api_amount dv_api_settle(const dv_api_amount *reserved, const dv_api_spent *spent)
{
    bool refused = spent->status >= 400 && spent->input < 0 && spent->output < 0;
    dv_api_amount amount = {.price = reserved->price};
    if (!spent->sent || refused) {
        return amount;
    }
    amount.input = input_of(reserved, spent);
    amount.output = output_of(reserved, spent);
    amount.cost = price(amount.price, amount.input, amount.output);
    return amount;
}
