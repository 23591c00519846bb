/* SPDX-License-Identifier: Apache-2.0 */
/* What dvara-collect tells of itself: RUNTIME/collect/status, written once a second. */
#include "api/operations.h"
#include "room/audit/control/internal.h"

dv_result dv_op_audit_collectors(dv_call *call, dv_error *error)
{
    json_t *status =
        dv_program_status(call->services->runtime_dir, "collect/status", "inputs", call->now);
    json_t *inputs = json_object_get(status, "inputs");
    call->answer = json_pack("{s:b, s:b, s:o}", "running", status != NULL, "blocked",
                             json_is_true(json_object_get(status, "blocked")), "inputs",
                             inputs != NULL ? json_incref(inputs) : json_array());
    json_decref(status);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}
