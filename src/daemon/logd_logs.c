/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logd_logs.h"

static bool is_main(const char *name)
{
    return strcmp(name, DV_LOG_MAIN) == 0;
}

dv_result dv_logd_log_folder(const char *main_folder, const char *name, char out[PATH_MAX],
                             dv_error *error)
{
    int len = is_main(name) ? snprintf(out, PATH_MAX, "%s", main_folder)
                            : snprintf(out, PATH_MAX, "%s/" DV_LOG_OTHERS "/%s", main_folder, name);
    return len > 0 && len < PATH_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", main_folder);
}

dv_result dv_logd_log_origin(const char *main_origin, const char *name, dv_buf *out)
{
    return dv_buf_append_printf(out, "%s%s%s", main_origin, is_main(name) ? "" : "/",
                                is_main(name) ? "" : name);
}

static dv_result add_vkey(dv_slice line, const char *name, dv_buf *out)
{
    dv_note_verifier key, own;
    dv_auto(buf) dv_buf origin = dv_buf_init(2 * DV_NOTE_NAME_MAX);
    DV_TRY(dv_note_verifier_parse(line, &key));
    DV_TRY(dv_logd_log_origin(key.name, name, &origin));
    const char *text = dv_buf_cstr(&origin);
    if (text == NULL) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(dv_note_verifier_init(text, key.public_key, &own));
    DV_TRY(dv_note_verifier_format(&own, out));
    return dv_buf_append_byte(out, '\n');
}

dv_result dv_logd_log_vkeys(dv_slice main_vkeys, const char *name, dv_buf *out)
{
    dv_slice line;
    while (main_vkeys.len > 0 && dv_slice_split(&main_vkeys, '\n', &line)) {
        DV_TRY(line.len == 0 ? DV_OK : add_vkey(line, name, out));
    }
    return DV_OK;
}
