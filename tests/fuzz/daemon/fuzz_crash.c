/* SPDX-License-Identifier: Apache-2.0 */
/* The line of a process that dies: it has the form, or there is no report. There is no folder for
 * one here. */
#include "daemon/supervisor_crash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[NAME_MAX + 1];
    dv_result result = dv_crash_keep("/nowhere", "dvarad", dv_slice_of(data, size), 0, name, NULL);
    if (result != DV_ERR_INVALID && result != DV_ERR_FORBIDDEN) {
        abort();
    }
    return 0;
}
