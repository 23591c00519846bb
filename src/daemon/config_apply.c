/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/random.h"
#include "daemon/config_internal.h"
#include "room/api/control/api_control.h"
#include "room/data/control/data_control.h"

/* All that the gateway goes by, and the key of its actions, which is in none of the texts. */
static dv_result publish(const dv_config *config, const dv_buf *gateway, const dv_buf *resources,
                         dv_services *services, dv_error *error)
{
    uint8_t key[32];
    bool said = false;
    DV_TRY(dv_data_masking.key(dv_yaml_get(config->root, "masking"), key, &said, error));
    dv_result result = dv_api_publish(dv_buf_slice(gateway), dv_buf_slice(resources),
                                      said ? key : NULL, services, error);
    dv_wipe(key, sizeof(key));
    return result;
}

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
    DV_TRY(publish(config, &gateway, &resources, services, error));
    dv_data_loss_clean(services->runtime_dir, dv_buf_slice(&gateway));
    return DV_OK;
}
