/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an entry of the log says of its large field (blob.h). */

#include "base/arena.h"
#include "engine/log/blob.h"
#include "engine/log/subjects.h"

typedef struct dv_blob_place {
    dv_blob_ref ref; /* without the key */
    dv_slice key;    /* its text, sealed or not; borrowed from the entry */
    size_t name_at;  /* where "blob" stands in the entry */
} dv_blob_place;

/* Whether the entry, as it stands in the log, refers to a blob. dvara-logd, the verifier and
 * readers all ask this. Nearly free of entries that do not. Allocates in the arena, which the
 * caller resets.
 */
bool dv_blob_find(dv_slice entry, dv_arena *arena, dv_blob_place *ret_place);

/* An entry whose blob did not come: the reference is renamed to "lost", in place. */
void dv_blob_mark_lost(uint8_t *entry, const dv_blob_place *place);

/* Opens the key. subjects NULL: nothing is sealed. Errors: DV_ERR_NOT_FOUND (it was erased),
 * DV_ERR_CORRUPT. */
dv_must dv_result dv_blob_key(dv_subjects *subjects, dv_slice text,
                              uint8_t ret_key[DV_BLOB_KEY_LEN]);
