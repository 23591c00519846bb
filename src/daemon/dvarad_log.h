/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macros.h"

/* One line for the operator on standard error, which the supervisor or journald collects. Never a
 * secret, never a body. */
void dv_log_line(const char *format, ...) dv_printf(1, 2);
