/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"

#include "engine/cedar/entities.h"

/* Cedar's decimal has four digits behind the point (specs: syntax-datatypes, decimal). */
static json_t *decimal_of(double number)
{
    char text[64];
    int len = snprintf(text, sizeof(text), "%.4f", number);
    if (len < 0 || (size_t)len >= sizeof(text) || strtod(text, NULL) != number) {
        return NULL;
    }
    return json_pack("{s:{s:s, s:s}}", "__extn", "fn", "decimal", "arg", text);
}

static dv_result plain(const json_t *value, json_t **ret_plain, dv_error *error);

static dv_result plain_object(const json_t *object, json_t *out, dv_error *error)
{
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)object, name, member)
    {
        json_t *made = NULL;
        if (json_is_null(member)) {
            continue;
        }
        DV_TRY(plain(member, &made, error));
        if (json_object_set_new(out, name, made) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

static dv_result plain_array(const json_t *array, json_t *out, dv_error *error)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_t *made = NULL;
        DV_TRY(plain(json_array_get(array, i), &made, error));
        if (json_array_append_new(out, made) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

static dv_result plain_container(const json_t *value, json_t *out, json_t **ret_plain,
                                 dv_error *error)
{
    dv_result result = out == NULL             ? DV_ERR_NO_MEMORY
                       : json_is_object(value) ? plain_object(value, out, error)
                                               : plain_array(value, out, error);
    if (result != DV_OK) {
        json_decref(out);
        return result;
    }
    *ret_plain = out;
    return DV_OK;
}

/* What Cedar's JSON can say; the router has bounded the depth. */
static dv_result plain(const json_t *value, json_t **ret_plain, dv_error *error)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return plain_container(value, json_object(), ret_plain, error);
    case JSON_ARRAY:
        return plain_container(value, json_array(), ret_plain, error);
    case JSON_NULL:
        return dv_error_set(error, DV_ERR_INVALID, "Cedar has no null in a list");
    case JSON_REAL:
        *ret_plain = decimal_of(json_real_value(value));
        return *ret_plain != NULL
                   ? DV_OK
                   : dv_error_set(error, DV_ERR_INVALID,
                                  "%g has more than four digits behind the point, or is too large",
                                  json_real_value(value));
    default:
        *ret_plain = json_incref((json_t *)(uintptr_t)value);
        return DV_OK;
    }
}

static dv_result record_parse(const json_t *object, dv_arena *arena,
                              const dv_cedar_value **ret_record, dv_error *error)
{
    dv_error detail = {0};
    dv_cedar_value *record = dv_arena_alloc(arena, sizeof(*record));
    char *text = json_dumps(object, JSON_COMPACT);
    dv_result result = DV_ERR_NO_MEMORY;
    if (record != NULL && text != NULL) {
        result = dv_cedar_record_parse(dv_slice_str(text), arena, record, &detail);
    }
    free(text);
    if (result == DV_OK) {
        *ret_record = record;
    } else if (detail.message[0] != '\0') {
        /* Its line and column are those of our own text. */
        return dv_error_set(error, result, "%s", detail.message);
    }
    return result;
}

dv_result dv_access_record(const json_t *object, dv_arena *arena, const dv_cedar_value **ret_record,
                           dv_error *error)
{
    json_t *made = NULL;
    DV_TRY(plain(object, &made, error));
    dv_result result = record_parse(made, arena, ret_record, error);
    json_decref(made);
    return result;
}
