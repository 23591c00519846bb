/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An entry's large field, whole: for readers, and for whoever copies parts of a log. */

#include "engine/log/blob_entry.h"

/* Appends the field of that entry of a log (folder) with `size` entries. subjects NULL: nothing is
 * sealed. Errors: DV_ERR_NOT_FOUND (there is no such entry, or it has no large field),
 * DV_ERR_CONFLICT (it was erased), DV_ERR_CORRUPT (it is not there as the entry names it),
 * DV_ERR_IO; all with a message. */
dv_must dv_result dv_blob_field_read(const char *folder, uint64_t size, uint64_t entry,
                                     dv_subjects *subjects, dv_buf *out, dv_error *error);
