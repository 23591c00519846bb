/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The list of events that a destination can never take: POSITION.refused, a JSON line each, synced.
 * The events themselves stay in the log. At 16 MiB it becomes POSITION.refused.1, which is
 * replaced.
 */

#include "base/result.h"

dv_must dv_result dv_export_refused_note(const char *position_path, const char *uid,
                                         const char *why, dv_error *error);
