/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/database.h"

static const dv_detect_database *made_for(const dv_detect_database *made, size_t count,
                                          dv_detect_family family)
{
    hs_platform_info_t machine = {.cpu_features = 0};
    if (hs_populate_platform(&machine) != HS_SUCCESS) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (made[i].family == family && made[i].features == machine.cpu_features) {
            return &made[i];
        }
    }
    return NULL;
}

dv_result dv_detect_database_open(const dv_detect_database *made, size_t count,
                                  dv_detect_family family, hs_database_t **ret_database,
                                  dv_error *error)
{
    const dv_detect_database *one = made_for(made, count, family);
    *ret_database = NULL;
    if (one != NULL && (one->len == 0 || hs_deserialize_database((const char *)one->bytes, one->len,
                                                                 ret_database) == HS_SUCCESS)) {
        return DV_OK;
    }
    return dv_detect_database_compile(family, NULL, ret_database, error);
}
