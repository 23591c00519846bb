/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "room/audit/control/internal.h"

#include <limits.h>

json_t *dv_program_status(const char *runtime_dir, const char *file, const char *list, dv_time now)
{
    enum { STATUS_MAX = 1 << 20, STALE_SECONDS = 30 };
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(STATUS_MAX);
    int len = snprintf(path, sizeof(path), "%s/%s", runtime_dir, file);
    if (len < 0 || len >= PATH_MAX || dv_file_read(path, &text, NULL) != DV_OK) {
        return NULL;
    }
    json_t *status = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    int64_t age = now / DV_SECOND - dv_event_int(status, "written");
    if (age < STALE_SECONDS && json_is_array(json_object_get(status, list))) {
        return status;
    }
    json_decref(status);
    return NULL;
}
