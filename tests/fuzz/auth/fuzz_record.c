/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the snapshot: what decodes, encodes to the same bytes. The first byte chooses which.
 */
#include "room/auth/gate/record.h"

static void credential(dv_slice bytes, dv_arena *arena)
{
    dv_credential_record record;
    const dv_slice *scopes;
    dv_auto(buf) dv_buf again = dv_buf_init(DV_RECORD_MAX);
    if (dv_credential_decode(bytes, &record) != DV_OK ||
        dv_credential_scopes(&record, arena, &scopes) != DV_OK) {
        return;
    }
    if (dv_credential_encode(&record, scopes, &again) != DV_OK ||
        !dv_slice_eq(dv_buf_slice(&again), bytes)) {
        abort();
    }
}

static void principal(dv_slice bytes, dv_arena *arena)
{
    bool active;
    dv_principal principal;
    dv_time until;
    dv_auto(buf) dv_buf again = dv_buf_init(DV_RECORD_MAX);
    if (dv_principal_decode_at(bytes, 0, arena, &principal, &active, &until) != DV_OK) {
        return;
    }
    /* Roles that end are written behind what this writes. */
    if (until != DV_TIME_NEVER) {
        return;
    }
    if (dv_principal_encode(principal.type, principal.name, active, principal.ancestors,
                            principal.ancestor_count, principal.group_count, &again) != DV_OK ||
        !dv_slice_eq(dv_buf_slice(&again), bytes)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    if (arena == NULL || size == 0) {
        return 0;
    }
    dv_slice bytes = dv_slice_of(data + 1, size - 1);
    if (data[0] % 2 == 0) {
        credential(bytes, arena);
    } else {
        principal(bytes, arena);
    }
    return 0;
}
