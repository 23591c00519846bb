/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_internal.h"
#include "daemon/dvarad_settings.h"
#include "room/api/control/api_control.h"
#include "room/audit/control/audit_control.h"
#include "room/auth/control/auth_control.h"
#include "room/data/control/data_control.h"

const dv_config_section *const dv_config_sections[] = {
    &dv_auth_rbac_section,    &dv_data_config_masking, &dv_data_config_access,
    &dv_api_config_routes,    &dv_api_config_limits,   &dv_api_config_refused_fields,
    &dv_api_config_prices,    &dv_api_config_models,   &dv_control_config_section,
    &dv_audit_config_section, &dv_data_config_loss,    &dv_data_config_retention,
    &dv_data_config_vaults,
};
const size_t dv_config_section_count = DV_ARRAY_LEN(dv_config_sections);
