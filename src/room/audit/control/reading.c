/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event_access.h"
#include "room/audit/control/internal.h"

dv_result dv_audit_reading(dv_call *call, const char *query, size_t rows)
{
    dv_event_data *data = dv_arena_alloc(call->arena, sizeof(*data));
    const char *asked = dv_arena_printf(call->arena, "%s", query);
    if (data == NULL || asked == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *data = (dv_event_data){
        .database = DV_LIT("audit log"),
        .table = DV_LIT("main"),
        .query = dv_slice_str(asked),
        .rows = (int64_t)rows,
        .bytes = -1,
    };
    call->read = data;
    return DV_OK;
}
