/* SPDX-License-Identifier: Apache-2.0 */
#include "core/resources.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "room/api/control/api_control.h"
#include "room/api/control/limit_store.h"
#include "room/api/gate/api_config.h"
#include "store/snapshot.h"

enum { DV_MASTER_KEY_LEN = 32, DV_MASKING_KEY_LEN = 32 };

static dv_result put_key(dv_services *services, dv_slice name, const char *purpose)
{
    uint8_t key[DV_MASKING_KEY_LEN];
    dv_slice master = dv_slice_of(services->master_key, DV_MASTER_KEY_LEN);
    DV_TRY(dv_hkdf(master, dv_slice_str(NULL), purpose, key, sizeof key));
    dv_result result =
        dv_snapshot_put(services->snapshot, DV_TABLE_ROUTES, name, dv_slice_of(key, sizeof key));
    dv_wipe(key, sizeof key);
    return result;
}

static dv_result put_keys(dv_services *services, const uint8_t *masking_key)
{
    DV_TRY(put_key(services, DV_LIT(DV_API_PLACEHOLDER_KEY), "dvara placeholder"));
    return masking_key == NULL
               ? put_key(services, DV_LIT(DV_API_MASKING_KEY), "dvara masking actions")
               : dv_snapshot_put(services->snapshot, DV_TABLE_ROUTES, DV_LIT(DV_API_MASKING_KEY),
                                 dv_slice_of(masking_key, DV_MASKING_KEY_LEN));
}

static dv_result put(dv_slice gateway_json, dv_slice resources, const uint8_t *masking_key,
                     dv_services *services, uint64_t sequence, dv_error *error)
{
    DV_TRY(dv_snapshot_clear(services->snapshot, DV_TABLE_ROUTES));
    DV_TRY(put_keys(services, masking_key));
    DV_TRY(dv_limit_store_publish(services, NULL, error));
    DV_TRY(dv_snapshot_put(services->snapshot, DV_TABLE_ROUTES, DV_LIT(DV_API_CONFIG_KEY),
                           gateway_json));
    DV_TRY(
        dv_snapshot_put(services->snapshot, DV_TABLE_ROUTES, DV_LIT(DV_RESOURCES_KEY), resources));
    return dv_snapshot_commit(services->snapshot, sequence);
}

dv_result dv_api_publish(dv_slice gateway_json, dv_slice resources, const uint8_t *masking_key,
                         dv_services *services, dv_error *error)
{
    uint64_t sequence = 0;
    DV_TRY(dv_limit_notice_loss(services, error));
    DV_TRY(dv_snapshot_change_sequence(services->snapshot, &sequence));
    DV_TRY(dv_snapshot_write_begin(services->snapshot, error));
    dv_result result = put(gateway_json, resources, masking_key, services, sequence, error);
    if (result != DV_OK) {
        dv_snapshot_abort(services->snapshot);
        return dv_error_set(error, result, "the gateway's configuration can not be published: %s",
                            dv_result_name(result));
    }
    return DV_OK;
}
