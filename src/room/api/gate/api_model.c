/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/gate/api_request.h"

#include "base/caps.h"

static bool is_model_byte(uint8_t c)
{
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

dv_result dv_api_model_entity(dv_slice model, dv_arena *arena, dv_slice *ret_entity)
{
    if (model.len == 0 || model.len > DV_LIMIT_NAME) {
        return DV_ERR_INVALID;
    }
    for (size_t i = 0; i < model.len; i++) {
        if (!is_model_byte(model.ptr[i])) {
            return DV_ERR_INVALID;
        }
    }
    const dv_slice parts[] = {DV_LIT("Model::\""), model, DV_LIT("\"")};
    return dv_arena_concat(arena, parts, DV_ARRAY_LEN(parts), ret_entity);
}
