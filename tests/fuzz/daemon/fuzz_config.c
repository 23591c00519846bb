/* SPDX-License-Identifier: Apache-2.0 */
/* dvara.yaml, from text to checked sections. What is taken must also make rules for a port. */
#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(config) dv_config *config = NULL;
    const dv_config_access *access = NULL;
    size_t count = 0;
    dv_error error = {0};
    if (dv_config_parse(dv_slice_of(data, size), &config, &error) == DV_OK &&
        dv_config_port_access(config, 8443, &access, &count) != DV_OK) {
        abort();
    }
    return 0;
}
