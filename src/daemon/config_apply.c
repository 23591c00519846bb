/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_internal.h"
#include "room/api/control/api_control.h"
#include "room/data/control/data_control.h"

dv_result dv_config_apply(const dv_config *config, dv_services *services, dv_error *error)
{
    dv_auto(buf) dv_buf gateway = dv_buf_init(DV_API_GATEWAY_JSON_MAX);
    dv_auto(buf) dv_buf resources = dv_buf_init(DV_API_GATEWAY_JSON_MAX);
    DV_TRY(dv_api_gateway_json(config->root, &dv_data_masking, services->runtime_dir, &gateway,
                               error));
    DV_TRY(dv_api_resources(config->root, &resources, error));
    for (size_t i = 0; i < dv_config_section_count; i++) {
        if (dv_config_sections[i]->apply != NULL) {
            DV_TRY(dv_config_sections[i]->apply(
                dv_yaml_get(config->root, dv_config_sections[i]->key), services, error));
        }
    }
    DV_TRY(dv_api_publish(dv_buf_slice(&gateway), dv_buf_slice(&resources), services, error));
    dv_data_loss_clean(services->runtime_dir, dv_buf_slice(&gateway));
    return DV_OK;
}
