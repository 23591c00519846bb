/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macros.h"

/* The candidate that is nearest to the text (at most three edits away), or NULL. name(i) gives the
 * i-th of count candidates. */
const char *dv_nearest(const char *text, size_t count,
                       const char *(*name)(const void *data, size_t index), const void *data);
