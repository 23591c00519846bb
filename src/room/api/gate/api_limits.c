/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/gate/api_request.h"

dv_result dv_api_charges_add(const dv_api_config *config, dv_api_limit_kind kind, dv_slice key,
                             dv_api_charges *charges)
{
    const dv_api_rates *rates = &config->limits[kind];
    for (size_t i = 0; i < rates->count; i++) {
        if (charges->count == DV_LIMIT_CHARGES_MAX) {
            return DV_ERR_TOO_LARGE;
        }
        charges->charges[charges->count] = (dv_limit_charge){
            .key = key,
            .rate = rates->rates[i],
            .cost = 1,
            .address = kind == DV_API_LIMIT_ADDRESS,
        };
        charges->kinds[charges->count++] = kind;
    }
    return DV_OK;
}

static dv_result add_named(const dv_api_config *config, dv_api_limit_kind kind, const char *prefix,
                           dv_slice name, dv_arena *arena, dv_api_charges *charges)
{
    if (config->limits[kind].count == 0) {
        return DV_OK;
    }
    dv_slice key = {0};
    const dv_slice parts[] = {dv_slice_str(prefix), DV_LIT("/"), name};
    DV_TRY(dv_arena_concat(arena, parts, DV_ARRAY_LEN(parts), &key));
    return dv_api_charges_add(config, kind, key, charges);
}

dv_result dv_api_charges_caller(const dv_api_config *config, const dv_principal *principal,
                                const dv_credential *credential, dv_arena *arena,
                                dv_api_charges *ret_charges)
{
    dv_api_charges charges = {.count = 0};
    const char *who = principal->type == DV_PRINCIPAL_SERVICE ? "service" : "user";
    DV_TRY(add_named(config, DV_API_LIMIT_KEY, "key", credential->id, arena, &charges));
    DV_TRY(add_named(config, DV_API_LIMIT_USER, who, principal->name, arena, &charges));
    for (size_t i = 0; i < principal->group_count; i++) {
        DV_TRY(
            add_named(config, DV_API_LIMIT_GROUP, "group", principal->groups[i], arena, &charges));
    }
    *ret_charges = charges;
    return DV_OK;
}
