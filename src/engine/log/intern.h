/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/log: gives byte strings small numbers, 0, 1, 2, ... by first appearance. */

#include "base/buf.h"

typedef struct dv_intern {
    dv_buf bytes;      /* all of them, one behind the other */
    uint32_t *ends;    /* where each ends in `bytes` */
    uint32_t *buckets; /* number + 1; 0: empty */
    uint32_t count, capacity, mask;
} dv_intern;

/* At most max_bytes in all. Nothing is allocated yet. */
void dv_intern_init(dv_intern *intern, size_t max_bytes);
void dv_intern_release(dv_intern *intern);
/* Forgets all and keeps the memory. */
void dv_intern_clear(dv_intern *intern);

/* Finds or adds. Errors: DV_ERR_NO_MEMORY, DV_ERR_TOO_LARGE. */
dv_must dv_result dv_intern_put(dv_intern *intern, dv_slice bytes, uint32_t *ret_number);

static inline dv_slice dv_intern_get(const dv_intern *intern, uint32_t number)
{
    uint32_t start = number == 0 ? 0 : intern->ends[number - 1];
    return dv_slice_of(intern->bytes.ptr + start, intern->ends[number] - start);
}
