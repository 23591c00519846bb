/* SPDX-License-Identifier: Apache-2.0 */
#include "../pieces.h"

#include "engine/detect/action/sealed.h"

/* Any bytes as a token, and as a value: what opens is the one token of its value. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[32] = {7};
    static dv_siv *siv;
    dv_auto(buf) dv_buf value = dv_buf_init(1024), token = dv_buf_init(1024);
    dv_slice text = dv_slice_of(data, size);
    require(siv != NULL || dv_sealed_new(key, &siv) == DV_OK);
    for (size_t at = 0; at < size && at < 64; at++) {
        dv_slice around = dv_sealed_around(text, at, at + 1);
        require(around.len == 0 || dv_sealed_length(around, 0) == around.len);
        if (dv_sealed_open(siv, around, &value) == DV_OK) {
            require(dv_sealed_token(siv, dv_buf_slice(&value), &token) == DV_OK);
            require(dv_slice_eq(dv_buf_slice(&token), around));
        }
        dv_buf_clear(&value);
        dv_buf_clear(&token);
    }
    bool fits = size > 0 && size <= DV_SEALED_VALUE_MAX;
    require((dv_sealed_token(siv, text, &token) == DV_OK) == fits);
    require(!fits || (dv_sealed_open(siv, dv_buf_slice(&token), &value) == DV_OK &&
                      dv_slice_eq(dv_buf_slice(&value), text)));
    return 0;
}
