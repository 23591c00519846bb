/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration whose values were removed is YAML, and nothing more can be removed of it. */
#include "base/caps.h"
#include "base/yaml.h"
#include "daemon/config_bare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(buf) dv_buf once = dv_buf_init(8 << 20);
    dv_auto(buf) dv_buf twice = dv_buf_init(8 << 20);
    size_t removed = 0;
    if (dv_config_bare(dv_slice_of(data, size), &once, &removed, NULL) != DV_OK) {
        return 0;
    }
    /* Quotes may make it longer. */
    if (once.len > DV_LIMIT_CONFIG) {
        return 0;
    }
    if (dv_config_bare(dv_buf_slice(&once), &twice, &removed, NULL) != DV_OK ||
        !dv_slice_eq(dv_buf_slice(&once), dv_buf_slice(&twice))) {
        abort();
    }
    return 0;
}
