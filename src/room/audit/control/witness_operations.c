/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of api/audit.yaml: witnesses. */
#include "api/operations.h"
#include "base/caps.h"
#include "core/event.h"
#include "room/audit/control/audit_control.h"
#include "room/audit/control/internal.h"
#include "room/audit/control/nodes_search.h"
#include "room/audit/control/retention_client.h"
#include "room/audit/control/witness_client.h"

/* What is told here of a witness that is ahead stands in the log before. */
dv_result dv_op_audit_witnesses(dv_call *call, dv_error *error)
{
    DV_TRY(dv_audit_control_tick(call->services, error));
    call->answer = dv_witness_client_status(call->services->witnesses);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result record_alarm(const dv_services *services, const char *rule, const char *title,
                              dv_error *error)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = {
        .time = dv_time_now(), .entity = DV_LIT("System::\"dvarad\""), .via = DV_LIT("control")};
    DV_TRY(dv_event_alarm(&record, &actor, dv_slice_str(rule), dv_slice_str(title)));
    dv_result result = services->events.append(services->events.data, dv_buf_slice(&record));
    return result == DV_OK
               ? DV_OK
               : dv_error_set(error, result, "an alarm could not be recorded: %s", title);
}

dv_result dv_audit_control_tick(dv_services *services, dv_error *error)
{
    char title[DV_WITNESS_ALARM_MAX], told[DV_NODES_ALARM_MAX];
    while (dv_witness_client_alarm(services->witnesses, title)) {
        DV_TRY(record_alarm(services, "audit.witness", title, error));
    }
    while (dv_nodes_alarm(services->nodes, told)) {
        DV_TRY(record_alarm(services, "audit.node", told, error));
    }
    dv_node_searches_tick(services->node_searches);
    return dv_retention_client_tick(services->retention, services, error);
}
