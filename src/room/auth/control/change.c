/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/internal.h"

#include "base/uuid.h"

/* Invariants
 *
 * 1. Rows, change log and audit records of a change stand or fall together: the records wait until
 *    all else is done and are appended last before the commit. What is refused leaves none of them
 *    (the call's own record, which says so, is the router's), and what can't be recorded is rolled
 *    back.
 * 2. What the snapshot can't hold (too many ancestors) is found before the store commits, because
 *    the snapshot is written within the store's transaction and committed right after it.
 * 3. The snapshot never shows what the store did not commit: its commit comes second. A crash
 *    between the two leaves it behind, and catching up is done before anything else.
 */

static dv_result snapshot_write(dv_services *services, uint64_t *ret_last, dv_error *error)
{
    DV_TRY(dv_snapshot_write_begin(services->snapshot, error));
    return dv_auth_publish(services, ret_last, error);
}

static dv_result commit_both(dv_services *services, uint64_t last, dv_error *error)
{
    DV_TRY(dv_store_commit(services->store, error));
    if (dv_snapshot_commit(services->snapshot, last) != DV_OK) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE,
                            "the change is stored but the gates do not see it yet; it is retried");
    }
    return DV_OK;
}

static dv_result change_do(dv_call *call, dv_auth_work work, dv_error *error)
{
    uint64_t last = 0;
    DV_TRY(work(call, error));
    DV_TRY(snapshot_write(call->services, &last, error));
    DV_TRY(dv_audit_keep(call, error));
    return commit_both(call->services, last, error);
}

dv_result dv_auth_change(dv_call *call, dv_auth_work work, dv_error *error)
{
    dv_services *services = call->services;
    dv_audit_queue records;
    DV_TRY(dv_store_begin(services->store, error));
    dv_audit_hold(call, &records);
    dv_result result = change_do(call, work, error);
    dv_audit_drop(call);
    if (result != DV_OK) {
        dv_snapshot_abort(services->snapshot);
        dv_store_rollback(services->store);
    }
    return result;
}

dv_result dv_auth_touch(dv_call *call, dv_auth_ref ref, dv_error *error)
{
    return dv_change_append(call->services->store, dv_auth_kind_name(ref.kind),
                            dv_slice_str(ref.name), error);
}

dv_result dv_auth_touch_key(dv_call *call, const char *id, dv_error *error)
{
    return dv_change_append(call->services->store, "credential", dv_slice_str(id), error);
}

dv_result dv_auth_touch_policies(dv_call *call, dv_error *error)
{
    return dv_change_append(call->services->store, "policies", DV_LIT("set"), error);
}
