/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a process leaves its records for dvara-logd: one segment file for each worker's lifetime,
 * written through a shared mapping (length, CRC-32C, sequence, sealed record: OCSF JSON, or the
 * gate's compact form of it, core/event_code.h). The folder lies on a file system with fallocate
 * that overwrites in place (ext4, xfs, tmpfs). */

#include "base/clock.h"
#include "base/result.h"
#include "base/slice.h"

typedef struct dv_spool dv_spool;

/* Makes a new segment in the folder. log_key is dvara-logd's public box key: the segment's random
 * AES-256-GCM key is sealed for it in the header. source names the writer ("gateway", "dvarad").
 * max_bytes: a segment that would outgrow it is followed by a new one. */
dv_must dv_result dv_spool_open(const char *folder, const char *source, const uint8_t log_key[32],
                                uint64_t max_bytes, dv_spool **ret_spool, dv_error *error);
/* Marks the segment as finished. */
void dv_spool_close(dv_spool *spool);

/* Reserves disk space for `records` further records of at most DV_LIMIT_RECORD each, so that
 * failing closed is decided before anything is disclosed. Errors: DV_ERR_UNAVAILABLE. */
dv_must dv_result dv_spool_reserve(dv_spool *spool, size_t records);
/* Gives back what was reserved and not used. */
void dv_spool_unreserve(dv_spool *spool, size_t records);

/* Appends one record of at most DV_LIMIT_RECORD; it survives the death of this process
 * once DV_OK is returned. After an error nothing of it is there. use_reserved takes one
 * reservation. Errors: DV_ERR_UNAVAILABLE (no space), DV_ERR_TOO_LARGE, DV_ERR_INVALID. */
dv_must dv_result dv_spool_append(dv_spool *spool, dv_slice record, bool use_reserved);

/* Takes the page that the next records will need, which costs 4 to 30 microseconds, at a time when
 * nobody waits for an answer. */
void dv_spool_get_ready(dv_spool *spool);

/* dvara-logd leaves its public box key in the runtime directory when it is ready; gateway and
 * dvarad read it there. Errors: DV_ERR_NOT_FOUND while dvara-logd has not started yet. */
#define DV_LOG_KEY_FILE "log.pub"
dv_must dv_result dv_log_key_read(const char *runtime_dir, uint8_t ret_key[32], dv_error *error);
