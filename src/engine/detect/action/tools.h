/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to the actions: their keys, and one function a kind. Each appends what the value becomes;
 * DV_ERR_INVALID: it can't be done to this value, and nothing was appended. */

#include "crypto/ff1.h"
#include "crypto/hash.h"
#include "crypto/siv.h"
#include "engine/detect/action/shape.h"

struct dv_action_tools {
    dv_hmac *hash;   /* keyed hashes */
    dv_hmac *names;  /* pseudonyms */
    dv_hmac *shifts; /* of dates */
    dv_ff1 *digits;  /* pseudonyms of digits, letters and addresses */
    dv_ff1 *letters;
    dv_ff1 *bytes;
    dv_ff1 *fpe_digits; /* format-preserving encryption, under a key of its own */
    dv_ff1 *fpe_alnum;
    dv_siv *sealed; /* tokens that carry their value */
    struct dv_vault *vault;
    dv_buf message; /* reused */
};

/* HMAC of shape and spelling. */
dv_must dv_result dv_action_digest(dv_action_tools *tools, dv_hmac *hmac, dv_shape shape,
                                   dv_date_order order, dv_slice text,
                                   uint8_t ret_digest[DV_SHA256_LEN]);

dv_must dv_result dv_act_mask(const dv_action *action, const dv_action_value *value, dv_buf *out);
dv_must dv_result dv_act_pseudonym(dv_action_tools *tools, const dv_action *action,
                                   const dv_action_value *value, dv_buf *out);
dv_must dv_result dv_act_fpe(dv_action_tools *tools, const dv_action *action,
                             const dv_action_value *value, dv_buf *out);
dv_must dv_result dv_act_generalise(const dv_action *action, const dv_action_value *value,
                                    dv_buf *out);
