/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/export/refused.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 16 << 20 };

static dv_result put_line(dv_buf *out, const char *uid, const char *why)
{
    char when[DV_TIME_TEXT_MAX];
    dv_time_format(dv_time_now(), when);
    DV_TRY(dv_buf_append_printf(out, "{\"when\":\"%s\",\"uid\":", when));
    DV_TRY(dv_buf_append_json_string(out, dv_slice_str(uid)));
    DV_TRY(dv_buf_append_str(out, ",\"why\":"));
    DV_TRY(dv_buf_append_json_string(out, dv_slice_str(why)));
    return dv_buf_append_str(out, "}\n");
}

dv_result dv_export_refused_note(const char *position_path, const char *uid, const char *why,
                                 dv_error *error)
{
    char path[PATH_MAX + 16], older[PATH_MAX + 32];
    struct stat about;
    dv_auto(buf) dv_buf line = dv_buf_init(16384);
    snprintf(path, sizeof(path), "%s.refused", position_path);
    snprintf(older, sizeof(older), "%s.1", path);
    if (stat(path, &about) == 0 && about.st_size > FILE_MAX) {
        (void)!rename(path, older);
    }
    DV_TRY(put_line(&line, uid, why));
    dv_auto(fd) int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || dv_fd_write_all(fd, dv_buf_slice(&line)) != DV_OK || fdatasync(fd) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    return DV_OK;
}
