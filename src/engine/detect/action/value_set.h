/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which values were seen, without any of them: 64 bits of a hash under a key that is random and
 * goes with the set. Values of one spelling are one (shape.h). Of n values in it, another one
 * passes for one of them with a likelihood of n / 2^64. */

#include "engine/detect/action/shape.h"

enum { DV_VALUE_SET_USUAL = 32 << 20 }; /* 512 MiB at most */

typedef struct dv_value_set dv_value_set;

/* most: different values that it takes. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_value_set_new(size_t most, dv_value_set **ret_set);
void dv_value_set_free(dv_value_set *set);
DV_DEFINE_AUTO_PTR(value_set, dv_value_set, dv_value_set_free)

/* Errors: DV_ERR_TOO_LARGE (there are as many as it takes), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_value_set_add(dv_value_set *set, dv_slice value);
/* Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_value_set_has(dv_value_set *set, dv_slice value, bool *ret_has);
size_t dv_value_set_count(const dv_value_set *set);
