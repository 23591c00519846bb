/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Finds the operation that a request names, reads its parameters and body, checks them against the
 * generated tables, runs the handler and makes the answer. Knows no socket and no nginx; the
 * server (dvarad_server.h) says who calls and whether they may. */

#include "core/operation.h"

/* One for each operation, in the same order (generated). */
extern const dv_operation_handler dv_operation_handlers[];
