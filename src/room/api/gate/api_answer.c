/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/gate/api_answer.h"

#include "base/clock.h"

/* The type names of both APIs, by status; the official clients choose their exception by status. */
static const struct {
    int status;
    const char *openai;
    const char *anthropic;
} types[] = {
    {400, "invalid_request_error", "invalid_request_error"},
    {401, "authentication_error", "authentication_error"},
    {403, "permission_error", "permission_error"},
    {404, "not_found_error", "not_found_error"},
    {405, "invalid_request_error", "invalid_request_error"},
    {408, "invalid_request_error", "invalid_request_error"},
    {413, "invalid_request_error", "request_too_large"},
    {414, "invalid_request_error", "invalid_request_error"},
    {415, "invalid_request_error", "invalid_request_error"},
    {429, "rate_limit_error", "rate_limit_error"},
    {431, "invalid_request_error", "invalid_request_error"},
};

static const char *type_name(int status, dv_api_shape shape)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(types); i++) {
        if (types[i].status == status) {
            return shape == DV_SHAPE_ANTHROPIC ? types[i].anthropic : types[i].openai;
        }
    }
    if (status < 500) {
        return "invalid_request_error";
    }
    return shape == DV_SHAPE_ANTHROPIC ? "api_error" : "server_error";
}

static int status_of(const dv_api_denial *denial)
{
    return denial->status != 0 ? denial->status : dv_reason_status(denial->verdict->reason);
}

static dv_result append_message(const dv_verdict *verdict, dv_buf *out)
{
    char text[DV_VERDICT_DETAIL_MAX + 160];
    if (verdict->detail[0] != '\0') {
        (void)snprintf(text, sizeof(text), "%s (%s)", dv_reason_text(verdict->reason),
                       verdict->detail);
    } else {
        (void)snprintf(text, sizeof(text), "%s", dv_reason_text(verdict->reason));
    }
    return dv_buf_append_json_string(out, dv_slice_str(text));
}

static dv_result append_param(dv_slice param, dv_buf *out)
{
    return param.len > 0 ? dv_buf_append_json_string(out, param) : dv_buf_append_str(out, "null");
}

static dv_result render_openai(const dv_api_denial *denial, dv_buf *out)
{
    DV_TRY(dv_buf_append_str(out, "{\"error\":{\"message\":"));
    DV_TRY(append_message(denial->verdict, out));
    DV_TRY(dv_buf_append_printf(
        out, ",\"type\":\"%s\",\"param\":", type_name(status_of(denial), DV_SHAPE_OPENAI)));
    DV_TRY(append_param(denial->param, out));
    return dv_buf_append_printf(out, ",\"code\":\"%s\"},\"request_id\":\"%s\"}",
                                dv_reason_name(denial->verdict->reason), denial->request_id);
}

static dv_result render_anthropic(const dv_api_denial *denial, dv_buf *out)
{
    DV_TRY(dv_buf_append_printf(out, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":",
                                type_name(status_of(denial), DV_SHAPE_ANTHROPIC)));
    DV_TRY(append_message(denial->verdict, out));
    return dv_buf_append_printf(out, "},\"request_id\":\"%s\"}", denial->request_id);
}

dv_result dv_api_denial_render(const dv_api_denial *denial, dv_api_shape shape, dv_buf *out)
{
    return shape == DV_SHAPE_ANTHROPIC ? render_anthropic(denial, out) : render_openai(denial, out);
}

/* {"type":"error","code","message","param"}: an event of a response is flat. */
static dv_result render_responses_event(const dv_api_denial *denial, dv_buf *out)
{
    DV_TRY(dv_buf_append_printf(out,
                                "event: error\ndata: {\"type\":\"error\",\"code\":\"%s\","
                                "\"param\":null,\"message\":",
                                dv_reason_name(denial->verdict->reason)));
    DV_TRY(append_message(denial->verdict, out));
    return dv_buf_append_printf(out, ",\"request_id\":\"%s\"}\n\n", denial->request_id);
}

dv_result dv_api_denial_render_event(const dv_api_denial *denial, dv_api_shape shape, dv_buf *out)
{
    if (shape == DV_SHAPE_RESPONSES) {
        return render_responses_event(denial, out);
    }
    DV_TRY(dv_buf_append_str(out, shape == DV_SHAPE_ANTHROPIC ? "event: error\ndata: " : "data: "));
    DV_TRY(dv_api_denial_render(denial, shape, out));
    return dv_buf_append_str(out, "\n\n");
}

static uint64_t seconds_up(dv_time duration)
{
    return duration <= 0 ? 0 : (uint64_t)((duration - 1) / DV_SECOND + 1);
}

static dv_result append_numbers(dv_buf *out, const char *first, uint64_t a, const char *second,
                                uint64_t b)
{
    DV_TRY(dv_buf_append_str(out, first));
    DV_TRY(dv_buf_append_u64(out, a));
    DV_TRY(dv_buf_append_str(out, second));
    return dv_buf_append_u64(out, b);
}

/* -- limits ------------------------------------------------------------------------------------ */

/* A place in what is told. */
typedef struct place {
    const dv_api_charges *charges;
    size_t index;
} place;

static bool next_place(const dv_api_told *told, place *at)
{
    size_t list = 0;
    size_t index = 0;
    if (at->charges != NULL) {
        list = at->charges == told->charges[0] ? 0 : 1;
        index = at->index + 1;
    }
    for (; list < DV_ARRAY_LEN(told->charges); list++, index = 0) {
        if (told->charges[list] != NULL && index < told->charges[list]->count) {
            *at = (place){told->charges[list], index};
            return true;
        }
    }
    return false;
}

static const dv_limit_charge *charge_at(const place *at)
{
    return &at->charges->charges[at->index];
}

static bool same_name(const place *a, const place *b)
{
    const dv_limit_charge *one = charge_at(a);
    const dv_limit_charge *other = charge_at(b);
    return a->charges->kinds[a->index] == b->charges->kinds[b->index] && one->kind == other->kind &&
           one->unit == other->unit &&
           (one->kind != DV_LIMIT_BUDGET || one->period == other->period);
}

/* A second limit of the same name needs one of its own: "key-2". */
static dv_result append_name(const dv_api_told *told, const place *at, dv_buf *out)
{
    char text[DV_API_LIMIT_TEXT_MAX];
    size_t same = 0;
    place other = {0};
    while (next_place(told, &other)) {
        same += same_name(&other, at);
        if (other.charges == at->charges && other.index == at->index) {
            break;
        }
    }
    dv_api_limit_text((dv_api_limit_kind)at->charges->kinds[at->index], charge_at(at), text);
    DV_TRY(dv_buf_append_byte(out, '"'));
    DV_TRY(dv_buf_append_str(out, text));
    if (same > 1) {
        DV_TRY(dv_buf_append_byte(out, '-'));
        DV_TRY(dv_buf_append_u64(out, same));
    }
    return dv_buf_append_byte(out, '"');
}

static bool is_told(const place *at)
{
    return charge_at(at)->unit != DV_LIMIT_COST && charge_at(at)->kind != DV_LIMIT_CONCURRENT;
}

/* The limit of that unit with the fewest permits left; of equals the one that takes longer. */
static bool find_nearest(const dv_api_told *told, dv_limit_unit unit, place *ret_place)
{
    bool found = false;
    place at = {0};
    while (next_place(told, &at)) {
        const dv_limit_charge *charge = charge_at(&at);
        if (charge->unit != unit || !is_told(&at)) {
            continue;
        }
        const dv_limit_charge *best = found ? charge_at(ret_place) : NULL;
        if (best == NULL || charge->remaining < best->remaining ||
            (charge->remaining == best->remaining && charge->reset_after > best->reset_after)) {
            *ret_place = at;
            found = true;
        }
    }
    return found;
}

dv_result dv_api_ratelimit_render(const dv_api_told *told, dv_buf *out)
{
    const char *between = "";
    for (unsigned unit = DV_LIMIT_REQUESTS; unit <= DV_LIMIT_TOKENS; unit++) {
        place at = {0};
        if (!find_nearest(told, (dv_limit_unit)unit, &at)) {
            continue;
        }
        DV_TRY(dv_buf_append_str(out, between));
        DV_TRY(append_name(told, &at, out));
        DV_TRY(append_numbers(out, ";r=", charge_at(&at)->remaining,
                              ";t=", seconds_up(charge_at(&at)->reset_after)));
        between = ", ";
    }
    return DV_OK;
}

static uint64_t quota_of(const dv_limit_charge *charge)
{
    return charge->kind == DV_LIMIT_RATE ? charge->rate.count : charge->max;
}

/* A month's window is that of this month. */
static dv_time window_of(const dv_limit_charge *charge)
{
    if (charge->kind == DV_LIMIT_RATE) {
        return charge->rate.period;
    }
    return dv_limit_label_end(charge->period, charge->label) -
           (charge->label > 0 ? dv_limit_label_end(charge->period, charge->label - 1) : 0);
}

dv_result dv_api_ratelimit_policy_render(const dv_api_told *told, dv_buf *out)
{
    const char *between = "";
    place at = {0};
    while (next_place(told, &at)) {
        const dv_limit_charge *charge = charge_at(&at);
        if (!is_told(&at)) {
            continue;
        }
        DV_TRY(dv_buf_append_str(out, between));
        DV_TRY(append_name(told, &at, out));
        DV_TRY(append_numbers(out, ";q=", quota_of(charge), ";w=", seconds_up(window_of(charge))));
        DV_TRY(dv_buf_append_str(out, charge->unit == DV_LIMIT_TOKENS ? ";qu=\"tokens\"" : ""));
        between = ", ";
    }
    return DV_OK;
}

uint64_t dv_api_retry_after(const dv_limit_state *state)
{
    return state->retry_after == DV_TIME_NEVER
               ? 0
               : DV_MAX(seconds_up(state->retry_after), (uint64_t)1);
}

/* As OpenAI writes durations: "1s", "6m0s", "12ms". */
static dv_result append_duration(dv_time duration, dv_buf *out)
{
    uint64_t ms = duration <= 0 ? 0 : (uint64_t)((duration - 1) / DV_MILLISECOND + 1);
    if (ms < 1000) {
        DV_TRY(dv_buf_append_u64(out, ms));
        return dv_buf_append_str(out, "ms");
    }
    uint64_t seconds = (ms + 999) / 1000;
    if (seconds >= 3600) {
        DV_TRY(dv_buf_append_u64(out, seconds / 3600));
        DV_TRY(dv_buf_append_byte(out, 'h'));
    }
    if (seconds >= 60) {
        DV_TRY(dv_buf_append_u64(out, seconds % 3600 / 60));
        DV_TRY(dv_buf_append_byte(out, 'm'));
    }
    DV_TRY(dv_buf_append_u64(out, seconds % 60));
    return dv_buf_append_byte(out, 's');
}

static uint64_t limit_of(const dv_limit_charge *charge)
{
    bool bursts = charge->kind == DV_LIMIT_RATE && charge->rate.burst != 0;
    return bursts ? charge->rate.burst : quota_of(charge);
}

/* "NAME-WHAT" or "NAME-UNIT-WHAT": which of the two, the API says. */
static dv_result begin_line(const char *prefix, const char *first, const char *second, dv_buf *out)
{
    DV_TRY(dv_buf_append_str(out, prefix));
    DV_TRY(dv_buf_append_str(out, first));
    DV_TRY(dv_buf_append_byte(out, '-'));
    DV_TRY(dv_buf_append_str(out, second));
    return dv_buf_append_str(out, ": ");
}

static dv_result render_for_openai(const dv_limit_charge *charge, const char *unit, dv_buf *out)
{
    DV_TRY(begin_line("x-ratelimit-", "limit", unit, out));
    DV_TRY(dv_buf_append_u64(out, limit_of(charge)));
    DV_TRY(begin_line("\nx-ratelimit-", "remaining", unit, out));
    DV_TRY(dv_buf_append_u64(out, charge->remaining));
    DV_TRY(begin_line("\nx-ratelimit-", "reset", unit, out));
    DV_TRY(append_duration(charge->reset_after, out));
    return dv_buf_append_byte(out, '\n');
}

static dv_result render_for_anthropic(const dv_limit_charge *charge, const char *unit, dv_time now,
                                      dv_buf *out)
{
    char text[DV_TIME_TEXT_MAX];
    dv_time reset = now + charge->reset_after;
    dv_time_format((reset + DV_SECOND - 1) / DV_SECOND * DV_SECOND, text);
    DV_TRY(begin_line("anthropic-ratelimit-", unit, "limit", out));
    DV_TRY(dv_buf_append_u64(out, limit_of(charge)));
    DV_TRY(begin_line("\nanthropic-ratelimit-", unit, "remaining", out));
    DV_TRY(dv_buf_append_u64(out, charge->remaining));
    DV_TRY(begin_line("\nanthropic-ratelimit-", unit, "reset", out));
    DV_TRY(dv_buf_append(out, dv_slice_of(text, 19)));
    return dv_buf_append_str(out, "Z\n");
}

dv_result dv_api_ratelimit_client_render(const dv_api_told *told, dv_api_shape shape, dv_time now,
                                         dv_buf *out)
{
    static const char *const units[] = {"requests", "tokens"};
    for (unsigned unit = DV_LIMIT_REQUESTS; unit <= DV_LIMIT_TOKENS; unit++) {
        place at = {0};
        if (!find_nearest(told, (dv_limit_unit)unit, &at)) {
            continue;
        }
        DV_TRY(shape == DV_SHAPE_ANTHROPIC
                   ? render_for_anthropic(charge_at(&at), units[unit], now, out)
                   : render_for_openai(charge_at(&at), units[unit], out));
    }
    return DV_OK;
}
