/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/tagger/model.h"

dv_result dv_tagger_model_builtin(dv_tagger_model **ret_model, dv_error *error)
{
    dv_slice file = dv_slice_of(dv_tagger_builtin, dv_tagger_builtin_len);
    return dv_tagger_model_open(file, ret_model, error);
}
