/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The text of an API key: "dvk_", an id of 8 that is no secret, "_", 30 random base62 digits, and 6
 * of the CRC-32 over all that precedes them. The checksum keeps junk and typing errors away from
 * the look-up, and lets leak scanners tell a key from a look-alike. */

#include "base/result.h"
#include "base/slice.h"

enum {
    DV_API_KEY_ID_LEN = 8,
    DV_API_KEY_RANDOM_LEN = 30,
    DV_API_KEY_CHECK_LEN = 6,
    DV_API_KEY_LEN = 4 + DV_API_KEY_ID_LEN + 1 + DV_API_KEY_RANDOM_LEN + DV_API_KEY_CHECK_LEN,
};

/* Checks form and checksum; the id is borrowed from the text. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_api_key_parse(dv_slice presented, dv_slice *ret_id);

/* Writes the key of an id and random digits, with a NUL behind. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_api_key_format(dv_slice id, dv_slice random, char out[DV_API_KEY_LEN + 1]);
