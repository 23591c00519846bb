/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/gate/api_request.h"

#include "base/caps.h"

static bool is_model_byte(uint8_t c)
{
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

dv_result dv_api_model_entity(dv_slice model, dv_arena *arena, dv_slice *ret_entity)
{
    if (model.len == 0 || model.len > DV_LIMIT_NAME || model.ptr[0] == ' ' ||
        model.ptr[model.len - 1] == ' ') {
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

static bool is_upper(uint8_t c)
{
    return c >= 'A' && c <= 'Z';
}

dv_result dv_api_model_counted(dv_slice model, dv_arena *arena, dv_slice *ret_counted)
{
    size_t first = 0;
    while (first < model.len && !is_upper(model.ptr[first])) {
        first++;
    }
    if (first == model.len) {
        *ret_counted = model;
        return DV_OK;
    }
    uint8_t *lower = dv_arena_alloc_raw(arena, model.len);
    if (lower == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < model.len; i++) {
        lower[i] = is_upper(model.ptr[i]) ? model.ptr[i] | 0x20 : model.ptr[i];
    }
    *ret_counted = dv_slice_of(lower, model.len);
    return DV_OK;
}
