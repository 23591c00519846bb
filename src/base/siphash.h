/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/result.h"
#include "base/slice.h"

/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash for tables whose keys outsiders choose.
 * Not a signature: use crypto/hash.h for that. */
uint64_t dv_siphash(const uint8_t key[16], dv_slice bytes);

/* A random key that lives as long as the process; the same for every caller. Threads may call it
 * at once. Errors: DV_ERR_INTERNAL when the kernel gives no random bytes. */
dv_must dv_result dv_siphash_process_key(const uint8_t **ret_key);
