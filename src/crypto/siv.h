/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/result.h"
#include "base/slice.h"

/* AES-256-SIV (RFC 5297) without a nonce: the same value under the same key is the same text, and
 * nothing else is told. A key prepared once; not for two threads at once. */
enum { DV_SIV_KEY_LEN = 64, DV_SIV_OVERHEAD = 16, DV_SIV_TEXT_MAX = 1 << 20 };

typedef struct dv_siv dv_siv;

dv_must dv_result dv_siv_new(const uint8_t key[DV_SIV_KEY_LEN], dv_siv **ret_siv);
void dv_siv_free(dv_siv *siv);
DV_DEFINE_AUTO_PTR(siv, dv_siv, dv_siv_free)

/* Writes DV_SIV_OVERHEAD + plain.len bytes to out, which does not overlap. The associated text is
 * the one component that stands before the plain one (RFC 5297 section 2.4), also when it is empty.
 * Errors: DV_ERR_TOO_LARGE. */
dv_must dv_result dv_siv_seal(dv_siv *siv, dv_slice associated, dv_slice plain, uint8_t *out);
/* Writes sealed.len - DV_SIV_OVERHEAD bytes. Errors: DV_ERR_CORRUPT; out is wiped then. */
dv_must dv_result dv_siv_open(dv_siv *siv, dv_slice associated, dv_slice sealed, uint8_t *out);
