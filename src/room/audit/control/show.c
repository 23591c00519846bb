/* SPDX-License-Identifier: Apache-2.0 */
/* One event, and the line that it was made of, whole. */
#include "api/operations.h"
#include "base/codec.h"
#include "room/audit/control/internal.h"

/* How much of the line there is. */
static const char whole[] = "whole", cut[] = "cut", lost[] = "lost", erased[] = "erased",
                  none[] = "none";

/* Of a pattern that needs no escaping. */
static const char *log_param(const dv_call *call)
{
    const char *log = dv_call_param(call, "log");
    return log == NULL ? "main" : log;
}

static dv_result line_json(const char *state, dv_slice bytes, json_t **ret_line)
{
    bool is_text = dv_utf8_valid(bytes) && dv_slice_find_byte(bytes, 0) < 0;
    dv_auto(buf) dv_buf base64 = dv_buf_init(2 * bytes.len + 8);
    if (!is_text) {
        DV_TRY(dv_base64_encode(bytes, &base64));
    }
    dv_slice content = is_text ? bytes : dv_buf_slice(&base64);
    *ret_line = json_pack("{s:s,s:I,s:s%}", "state", state, "size", (json_int_t)bytes.len,
                          is_text ? "text" : "base64",
                          content.len > 0 ? (const char *)content.ptr : "", content.len);
    return *ret_line != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* What stands in the event itself. */
static dv_result inline_line(const json_t *event, const char *state, json_t **ret_line,
                             dv_error *error)
{
    const json_t *raw = dv_event_at(event, "raw_data");
    dv_slice text = raw == NULL || !json_is_string(raw)
                        ? (dv_slice){NULL, 0}
                        : dv_slice_of(json_string_value(raw), json_string_length(raw));
    dv_auto(buf) dv_buf bytes = dv_buf_init(text.len + 1);
    if (text.len == 0) {
        return line_json(none, text, ret_line);
    }
    if (strcmp(dv_event_text(event, "unmapped.dvara.raw_encoding"), "base64") != 0) {
        return line_json(state, text, ret_line);
    }
    if (dv_base64_decode(text, &bytes) != DV_OK) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the event's raw_data is no base64");
    }
    return line_json(state, dv_buf_slice(&bytes), ret_line);
}

static dv_result large_line(dv_call *call, uint64_t index, const json_t *event, json_t **ret_line,
                            dv_error *error)
{
    char path[96];
    dv_auto(logd_answer) dv_logd_answer answer = {dv_buf_init(0), 0};
    snprintf(path, sizeof(path), "/field?index=%" PRIu64 "&log=%.32s", index, log_param(call));
    dv_result result = dv_logd_get(call->services->runtime_dir, path, 0, &answer, error);
    if (result == DV_ERR_CONFLICT) {
        return line_json(erased, (dv_slice){NULL, 0}, ret_line);
    }
    DV_TRY(result);
    bool all =
        dv_event_int(event, "raw_data_size") <= dv_event_int(event, "unmapped.dvara.blob.size");
    return line_json(all ? whole : cut, dv_buf_slice(&answer.body), ret_line);
}

static dv_result make_line(dv_call *call, uint64_t index, const json_t *event, json_t **ret_line,
                           dv_error *error)
{
    if (dv_event_at(event, "unmapped.dvara.blob") != NULL) {
        return large_line(call, index, event, ret_line, error);
    }
    if (dv_event_at(event, "unmapped.dvara.lost") != NULL) {
        return inline_line(event, lost, ret_line, error);
    }
    bool is_cut = dv_event_at(event, "raw_data_size") != NULL;
    return inline_line(event, is_cut ? cut : whole, ret_line, error);
}

static dv_result make_answer(dv_call *call, uint64_t index, const json_t *lines, dv_error *error)
{
    json_t *line = NULL;
    const json_t *found = json_array_get(lines, 0);
    if (found == NULL || dv_event_int(found, "index") != (int64_t)index) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "the audit log has no event %" PRIu64, index);
    }
    DV_TRY(make_line(call, index, dv_event_at(found, "event"), &line, error));
    json_t *item = dv_event_summarize(found);
    if (item == NULL || json_object_set(item, "line", line) != 0) {
        json_decref(line);
        json_decref(item);
        return DV_ERR_NO_MEMORY;
    }
    json_decref(line);
    call->answer = item;
    return DV_OK;
}

dv_result dv_op_audit_show(dv_call *call, dv_error *error)
{
    char path[96];
    uint64_t index = (uint64_t)json_integer_value(json_object_get(call->params, "index"));
    json_t *lines = NULL;
    dv_auto(logd_answer) dv_logd_answer answer = {dv_buf_init(0), 0};
    snprintf(path, sizeof(path), "/events?from=%" PRIu64 "&limit=1&log=%.32s", index,
             log_param(call));
    DV_TRY(dv_logd_get(call->services->runtime_dir, path, 0, &answer, error));
    DV_TRY(dv_logd_lines(dv_buf_slice(&answer.body), &lines, error));
    dv_result result = dv_audit_reading(call, path, 1);
    if (result == DV_OK) {
        result = make_answer(call, index, lines, error);
    }
    json_decref(lines);
    return result;
}
