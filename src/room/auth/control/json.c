/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/internal.h"

dv_result dv_auth_json_set(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

json_t *dv_auth_json_text(const char *text)
{
    return text == NULL ? json_null() : json_string(text);
}

json_t *dv_auth_json_time(dv_time time)
{
    char text[DV_TIME_TEXT_MAX];
    if (time <= 0 || time == DV_TIME_NEVER) {
        return json_null();
    }
    dv_time_format(time, text);
    return json_string(text);
}

json_t *dv_auth_json_names(dv_auth_names names)
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < names.count; i++) {
        if (json_array_append_new(array, json_string(names.items[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

json_t *dv_auth_json_ids(const dv_slice *ids, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < count; i++) {
        if (json_array_append_new(array, json_stringn((const char *)ids[i].ptr, ids[i].len)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

dv_result dv_auth_field_names(dv_call *call, const char *field, dv_auth_names *ret_names)
{
    const json_t *array = json_object_get(call->body, field);
    size_t count = json_array_size(array);
    const char **names = dv_arena_alloc(call->arena, (count + 1) * sizeof(*names));
    if (names == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        names[i] = json_string_value(json_array_get(array, i));
        if (names[i] == NULL) {
            return DV_ERR_INVALID;
        }
    }
    *ret_names = (dv_auth_names){names, count};
    return DV_OK;
}

dv_result dv_auth_field_time(dv_call *call, const char *field, dv_time *ret_time, dv_error *error)
{
    const char *text = dv_call_field(call, field);
    dv_time time = 0, duration = 0;
    if (text == NULL) {
        *ret_time = 0;
        return DV_OK;
    }
    bool is_duration = dv_duration_parse(dv_slice_str(text), &duration) == DV_OK && duration > 0 &&
                       !__builtin_add_overflow(call->now, duration, &time);
    if (!is_duration && (dv_time_parse(dv_slice_str(text), &time) != DV_OK || time <= call->now)) {
        return dv_call_invalid(call, field, error,
                               "%s is a duration (2h) or a time to come (2026-01-31T18:00:00Z)",
                               field);
    }
    *ret_time = time;
    return DV_OK;
}

/* Fields and, where there is no body, parameters are named after the kinds: {"user": "alice"}. */
dv_result dv_auth_field_ref(dv_call *call, dv_auth_kind last, dv_auth_ref *ret_ref, dv_error *error)
{
    int found = 0;
    for (int kind = 0; kind <= (int)last; kind++) {
        const char *field = dv_auth_kind_name((dv_auth_kind)kind);
        const char *name =
            call->body != NULL ? dv_call_field(call, field) : dv_call_param(call, field);
        if (name != NULL) {
            *ret_ref = (dv_auth_ref){(dv_auth_kind)kind, name};
            found++;
        }
    }
    if (found != 1) {
        return dv_call_invalid(call, "user", error, "name exactly one: user, service%s",
                               last >= DV_AUTH_GROUP ? " or group" : "");
    }
    return DV_OK;
}

static dv_result items_add(dv_call *call, dv_auth_names names, dv_auth_item item, json_t *items,
                           dv_error *error)
{
    for (size_t i = 0; i < names.count; i++) {
        json_t *json = NULL;
        DV_TRY(item(call, names.items[i], &json, error));
        if (json_array_append_new(items, json) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

int64_t dv_auth_list_limit(const dv_call *call)
{
    return json_integer_value(json_object_get(call->params, "limit"));
}

const char *dv_auth_list_cursor(const dv_call *call)
{
    const char *cursor = dv_call_param(call, "cursor");
    return cursor == NULL ? "" : cursor;
}

dv_result dv_auth_list_answer(dv_call *call, dv_statement *page, dv_auth_item item, dv_error *error)
{
    dv_auth_names names;
    size_t limit = (size_t)dv_auth_list_limit(call);
    DV_TRY(dv_auth_read_names(page, call->arena, &names, error));
    bool more = names.count > limit;
    names.count = more ? limit : names.count;
    call->answer = json_pack("{s:[]}", "items");
    if (call->answer == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(items_add(call, names, item, json_object_get(call->answer, "items"), error));
    return more ? dv_auth_json_set(call->answer, "next", json_string(names.items[limit - 1]))
                : DV_OK;
}

dv_result dv_auth_list(dv_call *call, const char *sql, dv_auth_item item, dv_error *error)
{
    dv_auto(statement) dv_statement *page = NULL;
    DV_TRY(dv_store_query(call->services->store, &page, error, sql, "ti", dv_auth_list_cursor(call),
                          dv_auth_list_limit(call) + 1));
    return dv_auth_list_answer(call, page, item, error);
}
