/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a process leaves its records for dvara-logd: one segment file for each worker's lifetime,
 * in the spool's folder of its kind of writer (SPOOL/gateway, ...), which bears the source's name
 * and belongs to the writers' user: only so does dvara-logd believe the source. It is written
 * through a shared mapping (length, CRC-32C, sequence, sealed record: OCSF JSON, or the
 * gate's compact form of it, core/event_code.h). The folder lies on a file system with fallocate
 * that overwrites in place (ext4, xfs, tmpfs). */

#include "base/clock.h"
#include "base/result.h"
#include "base/slice.h"
#include "base/uuid.h"

#include <limits.h>

typedef struct dv_spool dv_spool;

/* Makes a new segment in base/source, which is made when it is missing and that is possible.
 * log_key is dvara-logd's public box key: the segment's random
 * AES-256-GCM key is sealed for it in the header. source names the writer ("gateway", "dvarad").
 * max_bytes: a segment that would outgrow it is followed by a new one. */
dv_must dv_result dv_spool_open(const char *base, const char *source, const uint8_t log_key[32],
                                uint64_t max_bytes, dv_spool **ret_spool, dv_error *error);
/* base/source: where that writer's segments lie. Errors: DV_ERR_TOO_LARGE. */
dv_must dv_result dv_spool_folder(const char *base, const char *source, char ret_folder[PATH_MAX]);
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

/* What is too large for a record and goes with the next one, as a file of its own beside the
 * segment (blob.h): it is there before the record is, and as safe. Borrowed until that append,
 * which is DV_ERR_UNAVAILABLE where there is no space for both, and leaves neither. */
void dv_spool_attach(dv_spool *spool, dv_slice blob);
/* Whether something is attached. */
bool dv_spool_has_attached(const dv_spool *spool);

/* Where a record lies. */
typedef struct dv_spool_place {
    dv_uuid segment;
    uint64_t sequence;
    uint64_t offset;
} dv_spool_place;

/* The same, and tells beforehand where the record will lie: a writer that notes it can find out
 * after its death, with dv_spool_holds, whether the record is there. */
dv_must dv_result dv_spool_append_noted(dv_spool *spool, dv_slice record, bool use_reserved,
                                        void (*note)(void *data, const dv_spool_place *place),
                                        void *data);
/* Whether the file, a segment of this writer or a link to one, holds a record at that place. */
bool dv_spool_holds(const char *path, const dv_spool_place *place);

/* Bytes of the segments that writers of this name left and dvara-logd has not removed yet, those
 * being written included, and of all files that were attached. */
uint64_t dv_spool_waiting(const char *base, const char *source);

/* Takes the page that the next records will need, which costs 4 to 30 microseconds, at a time when
 * nobody waits for an answer. */
void dv_spool_get_ready(dv_spool *spool);

/* dvara-logd leaves its public box key in the runtime directory when it is ready; gateway and
 * dvarad read it there. Errors: DV_ERR_NOT_FOUND while dvara-logd has not started yet. */
#define DV_LOG_KEY_FILE "log.pub"
dv_must dv_result dv_log_key_read(const char *runtime_dir, uint8_t ret_key[32], dv_error *error);
