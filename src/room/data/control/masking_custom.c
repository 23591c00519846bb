/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "room/data/control/data_control.h"
#include "room/data/control/masking_action.h"

/* The file that `custom_detectors:` names. Its own errors tell its own lines. */
dv_result dv_masking_custom(const dv_yaml *section, dv_detect_custom **ret_custom, dv_error *error)
{
    const dv_yaml *node = section == NULL ? NULL : dv_yaml_get(section, "custom_detectors");
    const char *path = NULL;
    dv_error why = {0};
    *ret_custom = NULL;
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_string(node, &path, error));
    if (path[0] != '/') {
        return dv_yaml_refuse(node, error,
                              "masking: 'custom_detectors' wants a file, with its whole path");
    }
    dv_auto(buf) dv_buf text = dv_buf_init(DV_CUSTOM_TEXT_MAX);
    dv_result result = dv_file_read(path, &text, &why);
    if (result == DV_OK) {
        result = dv_detect_custom_read(dv_buf_slice(&text), ret_custom, &why);
    }
    if (result == DV_OK || result == DV_ERR_NO_MEMORY) {
        return result;
    }
    return why.line > 0
               ? dv_yaml_refuse(node, error, "masking: %.200s:%d: %.300s", path, why.line,
                                why.message)
               : dv_yaml_refuse(node, error, "masking: custom_detectors: %.400s", why.message);
}
