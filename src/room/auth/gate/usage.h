/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* When each API key was last used: a small file (RUNTIME/usage) that every worker maps and marks,
 * and dvarad reads in batches. Nothing is locked. It is a note, not evidence (that is the audit
 * log): a mark can be lost when the node goes down or more than a million keys are in use between
 * two batches, and a worker that was taken over can write what it likes. */

#include "base/clock.h"
#include "base/slice.h"
#include "room/auth/gate/api_key.h"

typedef struct dv_usage dv_usage;

/* make: for its owner, who makes it (0660, group of its folder) when it is missing or of another
 * layout, and drains it without mapping it, because workers can shorten it. Otherwise for a worker,
 * who maps and marks it. Errors: DV_ERR_NOT_FOUND, DV_ERR_CORRUPT, DV_ERR_IO, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_usage_open(const char *path, bool make, dv_usage **ret_usage, dv_error *error);
void dv_usage_close(dv_usage *usage);
DV_DEFINE_AUTO_PTR(usage, dv_usage, dv_usage_close)

/* A worker notes a use now. id: DV_API_KEY_ID_LEN digits. */
void dv_usage_mark(dv_usage *usage, dv_slice id, dv_time now);

/* For the owner: calls each(data, id, time) once for every key marked since the last time and
 * forgets the marks. An id is checked to be one; times are as the workers wrote them. */
void dv_usage_drain(dv_usage *usage, void (*each)(void *data, dv_slice id, dv_time time),
                    void *data);
