/* SPDX-License-Identifier: Apache-2.0 */
/* The snapshot's records of limits: what is understood is written back as the same bytes, and can
 * be charged. The first two bytes are the lengths of the two records that say who has limits. */
#include "room/api/gate/api_limits.h"

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_limits(dv_slice record)
{
    dv_api_limits limits;
    dv_auto(buf) dv_buf out = dv_buf_init(DV_API_LIMITS_MAX * DV_API_LIMIT_RECORD);
    if (dv_api_limits_decode(record, &limits) != DV_OK) {
        return;
    }
    require(limits.count <= DV_API_LIMITS_MAX);
    require(dv_api_limits_encode(&limits, &out) == DV_OK);
    require(dv_slice_eq(dv_buf_slice(&out), record));
}

static void check_named(dv_slice kinds, dv_slice networks)
{
    static dv_api_named named;
    if (dv_api_named_parse(kinds, networks, &named) != DV_OK) {
        return;
    }
    require(named.network_count <= DV_API_NETWORKS_MAX);
    for (size_t i = 0; i < named.network_count; i++) {
        const dv_api_network *network = &named.networks[i];
        require(network->bits <= 128 && dv_api_network_has(network, &network->base));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_slice input = dv_slice_of(data, size);
    if (size < 2) {
        return 0;
    }
    dv_slice kinds = dv_slice_sub(input, 2, data[0]);
    dv_slice networks = dv_slice_sub(input, 2 + kinds.len, data[1]);
    check_named(kinds, networks);
    check_limits(dv_slice_sub(input, 2 + kinds.len + networks.len, size));
    return 0;
}
