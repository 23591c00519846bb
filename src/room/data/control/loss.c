/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/data_control.h"
#include "room/data/control/volume.h"

static const char *const keys[] = {
    "volume",
    NULL,
};

static dv_result check(const dv_yaml *section, dv_error *error)
{
    if (section->type != DV_YAML_MAP) {
        return dv_yaml_refuse(section, error, "'loss_prevention' wants volume");
    }
    DV_TRY(dv_yaml_check_keys(section, keys, error));
    return dv_data_volume_check(dv_yaml_get(section, "volume"), error);
}

/* No apply: it goes into force with the gateway's configuration. */
const dv_config_section dv_data_config_loss = {"loss_prevention", check, NULL};
