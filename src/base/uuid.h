/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/clock.h"

typedef struct dv_uuid {
    uint8_t bytes[16];
} dv_uuid;

enum { DV_UUID_TEXT_LEN = 36 };

/* A new UUIDv7 (RFC 9562 section 5.7): sorts by time; the rest is random. Never fails. */
dv_uuid dv_uuid_new(dv_time now);

/* Lower-case, with a NUL behind. */
void dv_uuid_format(const dv_uuid *uuid, char out[DV_UUID_TEXT_LEN + 1]);
dv_must dv_result dv_uuid_parse(dv_slice text, dv_uuid *ret_uuid);
