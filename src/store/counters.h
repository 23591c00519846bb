/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Timestamps by key in a file-backed mapping that every worker of the node shares and that
 * outlives them: sharded robust process-shared mutexes, open addressing, keys by 128-bit hash. */

#include "base/clock.h"
#include "base/result.h"
#include "base/slice.h"

typedef struct dv_counters dv_counters;

/* Opens or makes the file. A file of another layout or with a bad header is replaced (counting
 * starts anew, and *ret_replaced says so). slots: for keys; addresses get as many again. */
dv_must dv_result dv_counters_open(const char *path, uint32_t slots, dv_counters **ret_counters,
                                   bool *ret_replaced, dv_error *error);
void dv_counters_close(dv_counters *counters);
