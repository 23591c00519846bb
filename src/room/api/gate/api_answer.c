/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/gate/api_answer.h"

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
