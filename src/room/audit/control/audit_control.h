/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What other parts of the control plane may know of the audit log. */

#include "base/result.h"

/* How dvara-logd is. */
typedef struct dv_audit_log {
    uint64_t entries;  /* in the published tree */
    uint64_t segments; /* of the spool that are not read to their end */
    uint64_t refused;  /* records that could not be opened */
    bool blocked;      /* it can not go on; problem says why */
    char problem[DV_ERROR_MESSAGE_MAX];
} dv_audit_log;

/* Asks dvara-logd, for a second at most. Errors: DV_ERR_UNAVAILABLE, DV_ERR_CORRUPT. */
dv_must dv_result dv_audit_log_status(const char *runtime_dir, dv_audit_log *ret_log,
                                      dv_error *error);
