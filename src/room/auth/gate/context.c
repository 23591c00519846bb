/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/gate/context.h"

enum { ATTRIBUTES = 6, DAY_SECONDS = 86400 };

int dv_auth_weekday(dv_time time)
{
    /* 1970-01-01 was a Thursday. */
    return (int)((time / DV_SECOND / DAY_SECONDS + 3) % 7) + 1;
}

static dv_result scopes_make(const dv_credential *credential, dv_arena *arena,
                             dv_cedar_value *ret_scopes)
{
    size_t count = credential->scope_count;
    dv_cedar_value *items = count == 0 ? NULL : dv_arena_alloc_raw(arena, count * sizeof(*items));
    if (count > 0 && items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        items[i] = dv_cedar_string(credential->scopes[i]);
    }
    *ret_scopes = dv_cedar_set(items, count);
    return DV_OK;
}

/* In the order of their names, as a record wants them. */
dv_result dv_auth_context_make(const dv_credential *credential, const dv_auth_request *request,
                               dv_arena *arena, dv_cedar_value *ret_context)
{
    dv_cedar_attr *attrs = dv_arena_alloc_raw(arena, ATTRIBUTES * sizeof(*attrs));
    dv_cedar_value scopes, address;
    size_t count = 0;
    if (attrs == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(scopes_make(credential, arena, &scopes));
    if (request->address.len > 0 && dv_cedar_ip_parse(request->address, &address) == DV_OK) {
        attrs[count++] = (dv_cedar_attr){DV_LIT("address"), address};
    }
    attrs[count++] = (dv_cedar_attr){DV_LIT("credential"), dv_cedar_string(credential->kind)};
    attrs[count++] = (dv_cedar_attr){DV_LIT("mfa"), dv_cedar_bool(credential->mfa)};
    attrs[count] = (dv_cedar_attr){DV_LIT("now"), {.type = DV_CEDAR_DATETIME}};
    attrs[count++].value.number = request->now / DV_MILLISECOND;
    attrs[count++] = (dv_cedar_attr){DV_LIT("scopes"), scopes};
    attrs[count++] =
        (dv_cedar_attr){DV_LIT("weekday"), dv_cedar_long(dv_auth_weekday(request->now))};
    return dv_cedar_record(attrs, count, ret_context);
}
