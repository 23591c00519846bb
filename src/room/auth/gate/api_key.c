/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/gate/api_key.h"

#include "base/codec.h"

enum { ID_AT = 4, RANDOM_AT = ID_AT + DV_API_KEY_ID_LEN + 1, CHECK_AT = RANDOM_AT + 30 };

dv_result dv_api_key_parse(dv_slice presented, dv_slice *ret_id)
{
    uint64_t check;
    if (presented.len != DV_API_KEY_LEN || !dv_slice_starts_with(presented, DV_LIT("dvk_")) ||
        presented.ptr[RANDOM_AT - 1] != '_') {
        return DV_ERR_INVALID;
    }
    dv_slice id = dv_slice_sub(presented, ID_AT, DV_API_KEY_ID_LEN);
    if (!dv_base62_is(id) ||
        !dv_base62_is(dv_slice_sub(presented, RANDOM_AT, DV_API_KEY_RANDOM_LEN))) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_base62_decode(dv_slice_sub(presented, CHECK_AT, DV_API_KEY_CHECK_LEN), &check));
    if (check != dv_crc32(0, dv_slice_sub(presented, 0, CHECK_AT))) {
        return DV_ERR_INVALID;
    }
    *ret_id = id;
    return DV_OK;
}

dv_result dv_api_key_format(dv_slice id, dv_slice random, char out[DV_API_KEY_LEN + 1])
{
    if (id.len != DV_API_KEY_ID_LEN || random.len != DV_API_KEY_RANDOM_LEN || !dv_base62_is(id) ||
        !dv_base62_is(random)) {
        return DV_ERR_INVALID;
    }
    snprintf(out, DV_API_KEY_LEN + 1, "dvk_%.*s_%.*s", DV_SLICE_ARGS(id), DV_SLICE_ARGS(random));
    uint32_t check = dv_crc32(0, dv_slice_of(out, CHECK_AT));
    DV_TRY(dv_base62_encode(check, DV_API_KEY_CHECK_LEN, out + CHECK_AT));
    out[DV_API_KEY_LEN] = '\0';
    return DV_OK;
}
