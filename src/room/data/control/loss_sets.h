/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Copies of sets of fingerprints, which the gate reads in place of the files that dvara.yaml names:
 * whatever becomes of those, what is in force stays whole. RUNTIME/sets/ID, of the runtime folder's
 * group. */

#include "base/buf.h"
#include "engine/detect/fingerprint/fingerprint.h"

#include <limits.h>

/* Copies the file, checks all of the copy and gives it its name; path: of the copy. Errors: those
 * of dv_fingerprint_set_open, with the path of the file. */
dv_must dv_result dv_data_loss_keep(const char *file, const char *runtime, char path[PATH_MAX],
                                    uint8_t id[DV_FINGERPRINT_ID_LEN], dv_error *error);
