/* SPDX-License-Identifier: Apache-2.0 */
#include "core/audit.h"
#include "store/store.h"

dv_result dv_audit_change(dv_call *call, dv_audit_work work, dv_error *error)
{
    dv_audit_queue records;
    DV_TRY(dv_store_begin(call->services->store, error));
    dv_audit_hold(call, &records);
    dv_result result = work(call, error);
    result = result == DV_OK ? dv_audit_keep(call, error) : result;
    result = result == DV_OK ? dv_store_commit(call->services->store, error) : result;
    dv_audit_drop(call);
    if (result != DV_OK) {
        dv_store_rollback(call->services->store);
    }
    return result;
}
