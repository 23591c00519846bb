/* SPDX-License-Identifier: Apache-2.0 */
/* Users' detectors: a policy's own kinds. */
#include "room/data/gate/gate_private.h"

size_t dv_data_kind_end(const dv_data_policy *policy)
{
    size_t own = dv_detect_custom_count(policy->custom);
    return own > 0 ? DV_CUSTOM_FIRST + own : dv_masking_kind_count();
}

const dv_detector_info *dv_data_kind(const dv_data_policy *policy, size_t index)
{
    return index >= DV_CUSTOM_FIRST ? dv_detect_custom_info(policy->custom, index)
                                    : dv_masking_kind(index);
}

ptrdiff_t dv_data_policy_kind(const dv_data_policy *policy, const char *id)
{
    ptrdiff_t own = dv_detect_custom_index(policy->custom, id);
    return own >= 0 ? own : dv_masking_kind_index(id);
}

dv_result dv_data_custom_read(const dv_json *json, dv_data_policy *policy, dv_arena *arena,
                              dv_error *error)
{
    uint32_t token = dv_json_member(json, 0, "custom");
    dv_slice text = {NULL, 0};
    if (token == 0) {
        return DV_OK;
    }
    if (json->tokens[token].type != DV_JSON_STRING) {
        return dv_error_set(error, DV_ERR_INVALID, "data policy: 'custom' is no text");
    }
    DV_TRY(dv_json_string(json, token, arena, &text));
    DV_TRY(dv_detect_custom_take(text, &policy->custom, error));
    for (size_t i = 0; i < dv_detect_custom_count(policy->custom); i++) {
        dv_detector_set_add(&policy->enabled, DV_CUSTOM_FIRST + i);
    }
    return DV_OK;
}

void dv_data_custom_use(dv_data_pass *pass)
{
    dv_data_gate *gate = pass->gate;
    uint64_t serial = dv_detect_custom_serial(pass->policy->custom);
    if (gate->known_custom != serial) {
        memset(&gate->known, 0, sizeof(gate->known)); /* others found nothing there */
        gate->known_custom = serial;
    }
    dv_detect_scratch_use(gate->scratch, pass->policy->custom);
}
