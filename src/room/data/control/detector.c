/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/data_control.h"

#include "core/operation.h"
#include "engine/detect/detect.h"
#include "room/data/gate/data_gate.h"

#include "api/operations.h"

/* The operations on detectors: they only show what is built in, and try it out. */

static json_t *texts(const dv_detector_example *examples, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < count; i++) {
        if (json_array_append_new(array, json_string(examples[i].text)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static const char *action_name(uint8_t action)
{
    return dv_content_action_name((dv_content_action)action);
}

static json_t *describe(const dv_detector_info *info)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:i}", "id", info->id,
                     "name", info->name, "type", info->type, "category", info->category, "region",
                     info->region, "label", info->label, "description", info->doc, "request_action",
                     action_name(info->request_action), "answer_action",
                     action_name(info->answer_action), "standard", (int)info->standard, "keep_last",
                     (int)info->keep_last);
}

/* The table is sorted by id, so a cursor is the last id that was shown. */
dv_result dv_op_detector_list(dv_call *call, dv_error *error)
{
    json_int_t limit = json_integer_value(json_object_get(call->params, "limit"));
    const char *cursor = dv_call_param(call, "cursor");
    json_t *items = json_array();
    call->answer = json_pack("{s:o}", "items", items);
    for (size_t i = 0; call->answer != NULL && i < dv_detect_count(); i++) {
        const dv_detector_info *info = dv_detect_info(i);
        if (cursor != NULL && strcmp(info->id, cursor) <= 0) {
            continue;
        }
        if ((json_int_t)json_array_size(items) == limit) {
            const char *last = dv_detect_info(i - 1)->id;
            return json_object_set_new(call->answer, "next", json_string(last)) == 0
                       ? DV_OK
                       : DV_ERR_NO_MEMORY;
        }
        if (json_array_append_new(items, describe(info)) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result find(const char *id, size_t *ret_index, dv_error *error)
{
    ptrdiff_t index = dv_detect_index(id);
    if (index < 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "no detector has the id '%s'", id);
    }
    *ret_index = (size_t)index;
    return DV_OK;
}

dv_result dv_op_detector_show(dv_call *call, dv_error *error)
{
    size_t index = 0;
    DV_TRY(find(dv_call_param(call, "id"), &index, error));
    const dv_detector_info *info = dv_detect_info(index);
    call->answer = describe(info);
    if (json_object_set_new(call->answer, "examples", texts(info->examples, info->example_count)) !=
            0 ||
        json_object_set_new(call->answer, "counter_examples",
                            texts(info->counter_examples, info->counter_example_count)) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    return DV_OK;
}

/* ---- trying them out ---- */

static dv_result chosen(const dv_call *call, dv_detector_set *ret_enabled, dv_error *error)
{
    const json_t *names = json_object_get(call->body, "detectors");
    size_t count = json_array_size(names);
    dv_detector_set enabled = {0};
    for (size_t i = 0; i < count; i++) {
        size_t index = 0;
        DV_TRY(find(json_string_value(json_array_get(names, i)), &index, error));
        dv_detector_set_add(&enabled, index);
    }
    *ret_enabled = count == 0 ? *dv_detect_standard() : enabled;
    return DV_OK;
}

static dv_result list_findings(const dv_call *call, dv_slice text, const dv_detector_set *enabled,
                               json_t *findings, dv_error *error)
{
    dv_auto(detect_rules) dv_detect_rules *rules = NULL;
    dv_auto(detect_scratch) dv_detect_scratch *scratch = NULL;
    const dv_finding *found = NULL;
    size_t count = 0;
    DV_TRY(dv_detect_rules_builtin(&rules, error));
    DV_TRY(dv_detect_scratch_new(rules, &scratch));
    DV_TRY(dv_detect_scan(rules, scratch, text, 0, enabled, call->arena, &found, &count));
    for (size_t i = 0; i < count; i++) {
        json_t *one =
            json_pack("{s:s, s:i, s:i, s:i}", "detector", found[i].detector, "start",
                      (int)found[i].start, "end", (int)found[i].end, "score", (int)found[i].score);
        if (json_array_append_new(findings, one) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

/* Those of the detectors that are in the set, or those that are not. */
static dv_result append_names(const dv_detector_set *set, bool in_it, const char *behind,
                              dv_buf *out)
{
    const char *comma = "";
    for (size_t i = 0; i < dv_detect_count(); i++) {
        if (dv_detector_set_has(set, i) == in_it) {
            DV_TRY(dv_buf_append_printf(out, "%s\"%s\"%s", comma, dv_detect_info(i)->id, behind));
            comma = ",";
        }
    }
    return DV_OK;
}

/* A policy that masks with these detectors and no others. */
static dv_result mask_policy(const dv_data_gate *gate, const dv_detector_set *enabled,
                             dv_data_policy **ret_policy, dv_error *error)
{
    dv_auto(buf) dv_buf json = dv_buf_init(64 << 10);
    DV_TRY(dv_buf_append_str(&json, "{\"default\":\"mask\",\"detectors\":{"));
    DV_TRY(append_names(enabled, true, ":\"mask\"", &json));
    DV_TRY(dv_buf_append_str(&json, "},\"off\":["));
    DV_TRY(append_names(enabled, false, "", &json));
    DV_TRY(dv_buf_append_str(&json, "]}"));
    return dv_data_policy_parse(gate, dv_buf_slice(&json), ret_policy, error);
}

static dv_result mask_text(const dv_call *call, dv_data_gate *gate, dv_slice text,
                           const dv_detector_set *enabled, dv_slice *ret_masked, dv_error *error)
{
    dv_data_policy *policy = NULL;
    dv_data_context *context = NULL;
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {0};
    DV_TRY(dv_data_context_new(gate, DV_LIT(""), call->arena, &context));
    DV_TRY(mask_policy(gate, enabled, &policy, error));
    dv_result result =
        dv_data_gate_text(gate, policy, context, false, text, call->arena, &outcome, &verdict);
    dv_data_policy_free(policy);
    DV_TRY(result);
    if (verdict.reason != DV_REASON_UNSET) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "%s", verdict.detail);
    }
    *ret_masked = outcome.body;
    return DV_OK;
}

/* Masks never need the placeholder key, so any will do. */
static dv_result add_masked(const dv_call *call, dv_slice text, const dv_detector_set *enabled,
                            dv_error *error)
{
    static const uint8_t no_key[32];
    dv_data_gate *gate = NULL;
    dv_slice masked = {NULL, 0};
    DV_TRY(dv_data_gate_new(no_key, NULL, &gate, error));
    dv_result result = mask_text(call, gate, text, enabled, &masked, error);
    dv_data_gate_free(gate);
    DV_TRY(result);
    json_t *value = json_stringn((const char *)masked.ptr, masked.len);
    return json_object_set_new(call->answer, "masked", value) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

dv_result dv_op_detector_test(dv_call *call, dv_error *error)
{
    const json_t *field = json_object_get(call->body, "text");
    dv_slice text = dv_slice_of(json_string_value(field), json_string_length(field));
    dv_detector_set enabled = {0};
    DV_TRY(chosen(call, &enabled, error));
    json_t *findings = json_array();
    call->answer = json_pack("{s:o}", "findings", findings);
    if (call->answer == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = list_findings(call, text, &enabled, findings, error);
    if (result == DV_ERR_TOO_LARGE) {
        return dv_error_set(error, result, "there is more to be found than one request may hold");
    }
    DV_TRY(result);
    return add_masked(call, text, &enabled, error);
}
