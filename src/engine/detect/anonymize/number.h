/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/slice.h"

/* Whether a cell is a decimal number, and which: 37, -1.5, 2e3. */
bool dv_number_read(dv_slice text, double *ret_number);
