/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/audit/nodes, and the alarms of the nodes' thread. */
#include "api/operations.h"
#include "room/audit/control/audit_control.h"
#include "room/audit/control/internal.h"
#include "room/audit/control/nodes.h"

/* What is told here of a node that is forked stands in the log before. */
dv_result dv_op_audit_nodes(dv_call *call, dv_error *error)
{
    DV_TRY(dv_audit_control_tick(call->services, error));
    call->answer = dv_nodes_status(call->services->nodes);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}
