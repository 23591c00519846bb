/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/policy_reader.h"

#include "engine/cedar/uid.h"

dv_result dv_cedar_policy_reader_want(const dv_cedar_reader *r, uint32_t token, dv_json_type type,
                                      const char *what)
{
    return dv_cedar_reader_is(r, token, type)
               ? DV_OK
               : dv_cedar_reader_refuse(r, token, "%s is wanted here", what);
}

dv_result dv_cedar_policy_reader_members(const dv_cedar_reader *r, uint32_t object,
                                         const char *const *names, size_t required,
                                         uint32_t *ret_values)
{
    size_t count = 0;

    while (names[count] != NULL) {
        count++;
    }
    DV_TRY(dv_cedar_reader_members(r, object, "what stands here", names, count, ret_values));
    for (size_t i = 0; i < required; i++) {
        if (ret_values[i] == 0) {
            return dv_cedar_reader_refuse(r, object, "'%s' is missing", names[i]);
        }
    }
    return DV_OK;
}

/* {"type": ..., "id": ...} */
static dv_result read_type_and_id(const dv_cedar_reader *r, uint32_t token, dv_slice *ret_uid)
{
    static const char *const names[] = {"type", "id", NULL};
    uint32_t members[2];
    dv_slice type = {0}, id = {0};

    DV_TRY(dv_cedar_policy_reader_members(r, token, names, 2, members));
    DV_TRY(dv_cedar_reader_text(r, members[0], &type));
    DV_TRY(dv_cedar_reader_text(r, members[1], &id));
    dv_result result = dv_cedar_uid(r->arena, type, id, ret_uid);
    if (result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE) {
        return dv_cedar_reader_refuse(r, members[0],
                                      "this is no entity type, or the id is too long");
    }
    return result;
}

/* The same, or with {"__entity": ...} around it. */
dv_result dv_cedar_policy_reader_uid(const dv_cedar_reader *r, uint32_t token, dv_slice *ret_uid)
{
    static const char *const names[] = {"__entity", NULL};
    uint32_t inner = 0;

    if (dv_cedar_reader_is(r, token, DV_JSON_OBJECT) &&
        dv_json_member(&r->json, token, "__entity") != 0) {
        DV_TRY(dv_cedar_policy_reader_members(r, token, names, 1, &inner));
        token = inner;
    }
    return read_type_and_id(r, token, ret_uid);
}

dv_result dv_cedar_policy_reader_type(const dv_cedar_reader *r, uint32_t token, dv_slice *ret_type)
{
    dv_slice type = {0};

    DV_TRY(dv_cedar_reader_text(r, token, &type));
    if (!dv_cedar_path_valid(type)) {
        return dv_cedar_reader_refuse(r, token, "this is no entity type");
    }
    *ret_type = type;
    return DV_OK;
}
