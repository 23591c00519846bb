/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The small file beside LMDB's that every process maps: whose layout the snapshot has, which boot
 * made it, and whether the file that a reader has open is still the one that counts. */

#include "base/result.h"

typedef struct dv_snapshot_header dv_snapshot_header;

/* Maps it for reading. Errors: DV_ERR_NOT_FOUND (none, or of another boot: the writer has not come
 * by yet), DV_ERR_CORRUPT, DV_ERR_IO. */
dv_must dv_result dv_snapshot_header_map(const char *folder, dv_snapshot_header **ret_header,
                                         dv_error *error);
/* Makes or maps it for writing, whatever is in it. */
dv_must dv_result dv_snapshot_header_make(const char *folder, dv_snapshot_header **ret_header,
                                          dv_error *error);
void dv_snapshot_header_unmap(dv_snapshot_header *header);

/* True when it is of this layout and boot and names a complete snapshot. */
bool dv_snapshot_header_ok(const dv_snapshot_header *header);
/* What generations count from; 0 while there is no complete snapshot. */
uint64_t dv_snapshot_header_base(const dv_snapshot_header *header);

/* Takes the snapshot away from the readers, while its files are replaced. */
void dv_snapshot_header_reset(dv_snapshot_header *header);
/* Hands the new one out; returns its base, which is greater than any generation before. */
uint64_t dv_snapshot_header_publish(dv_snapshot_header *header);
