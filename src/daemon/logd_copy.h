/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* GET /copy?from=N&to=M&most=BYTES of dvara-logd's socket: entries as they stand in the log, sealed
 * as they are, framed as in a bundle (engine/log/tiles.h). At least one entry, otherwise no more
 * than that many bytes; none when from is M. For whoever keeps a copy (engine/log/replica.h). */

#include "base/buf.h"

enum { DV_LOGD_COPY_MAX = 4 << 20 }; /* bytes that can be asked for */

/* *ret_next: the index behind the last one. Errors: what the log says. */
dv_must dv_result dv_logd_copy(const char *folder, uint64_t from, uint64_t to, uint64_t most,
                               dv_buf *out, uint64_t *ret_next, dv_error *error);
