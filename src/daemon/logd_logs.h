/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The node's logs by their names: where each lies, and what its signatures are under. */

#include "engine/log/sequencer.h"

#include <limits.h>

/* The folder of the log of that name. Errors: DV_ERR_TOO_LARGE. */
dv_must dv_result dv_logd_log_folder(const char *main_folder, const char *name, char out[PATH_MAX],
                                     dv_error *error);
/* "ORIGIN", of another log than main "ORIGIN/NAME". Errors: DV_ERR_TOO_LARGE. */
dv_must dv_result dv_logd_log_origin(const char *main_origin, const char *name, dv_buf *out);
/* The main log's verifier keys, one a line, as the keys of that log. */
dv_must dv_result dv_logd_log_vkeys(dv_slice main_vkeys, const char *name, dv_buf *out);
