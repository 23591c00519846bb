/* SPDX-License-Identifier: Apache-2.0 */
/* Presented API keys: what is accepted is exactly what formatting its own parts gives. */
#include "base/codec.h"
#include "room/auth/gate/api_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_slice id;
    char text[DV_API_KEY_LEN + 1];
    dv_slice presented = dv_slice_of(data, size);
    if (dv_api_key_parse(presented, &id) == DV_OK) {
        dv_slice random = dv_slice_sub(presented, 4 + DV_API_KEY_ID_LEN + 1, DV_API_KEY_RANDOM_LEN);
        if (dv_api_key_format(id, random, text) != DV_OK || !dv_slice_eq_str(presented, text)) {
            abort();
        }
    } else if (size >= DV_API_KEY_ID_LEN + DV_API_KEY_RANDOM_LEN) {
        /* The mutator can't guess checksums, so it is helped. */
        id = dv_slice_of(data, DV_API_KEY_ID_LEN);
        if (dv_api_key_format(id, dv_slice_of(data + DV_API_KEY_ID_LEN, DV_API_KEY_RANDOM_LEN),
                              text) == DV_OK &&
            dv_api_key_parse(dv_slice_str(text), &id) != DV_OK) {
            abort();
        }
    }
    return 0;
}
