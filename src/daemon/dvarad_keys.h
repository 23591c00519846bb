/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/result.h"

enum { DV_MASTER_KEY_LEN = 32 };

/* Reads STATE/keys/master.key, the key that seals the store and its secret columns; makes it at the
 * first start, when there is no store yet. A store without its key is refused, because a new key
 * could open nothing in it. The file must be ours and closed to all others (0600). The caller wipes
 * the key. Errors: DV_ERR_NOT_FOUND, DV_ERR_CORRUPT, DV_ERR_FORBIDDEN (mode or owner), DV_ERR_IO.
 */
dv_must dv_result dv_master_key_load(const char *state_dir, uint8_t ret_key[DV_MASTER_KEY_LEN],
                                     dv_error *error);

/* STATE/keys/store.sealed says that the store is sealed, so that a plain database which somebody
 * puts in its place is not taken for one of an earlier version. */
#define DV_STORE_SEALED_NAME "keys/store.sealed"
bool dv_store_is_sealed(const char *state_dir);
/* Whether the store that was sealed is still there: an empty one in its place would forget every
 * user, policy and revocation. path: dvara.db. Errors: DV_ERR_NOT_FOUND. */
dv_must dv_result dv_store_check_there(const char *state_dir, const char *path, dv_error *error);
/* Remembers it. Errors: DV_ERR_IO. */
dv_must dv_result dv_store_note_sealed(const char *state_dir, dv_error *error);
