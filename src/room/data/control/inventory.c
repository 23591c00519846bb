/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/inventory.h"

#include "base/uuid.h"
#include "core/resources.h"

static const char *const levels[] = {"public", "internal", "confidential", "restricted"};

int64_t dv_data_level_number(const char *name)
{
    for (size_t i = 0; name != NULL && i < DV_ARRAY_LEN(levels); i++) {
        if (strcmp(levels[i], name) == 0) {
            return (int64_t)i;
        }
    }
    return -1;
}

const char *dv_data_level_word(int64_t number)
{
    return levels[number < 0 || number >= (int64_t)DV_ARRAY_LEN(levels) ? 3 : number];
}

const char *dv_data_words_text(dv_arena *arena, const json_t *words)
{
    const char *text = "";
    for (size_t i = 0; i < json_array_size(words) && text != NULL; i++) {
        text = dv_arena_printf(arena, "%s%s%s", text, i > 0 ? "," : "",
                               json_string_value(json_array_get(words, i)));
    }
    return text;
}

json_t *dv_data_words_json(dv_slice text)
{
    json_t *list = json_array();
    dv_slice word;
    while (text.len > 0 && dv_slice_split(&text, ',', &word)) {
        json_array_append_new(list, json_stringn((const char *)word.ptr, word.len));
    }
    return list;
}

json_t *dv_data_column_text(dv_statement *row, int column)
{
    dv_slice text = dv_column_slice(row, column);
    return dv_column_is_null(row, column)
               ? json_null()
               : json_stringn(text.len > 0 ? (const char *)text.ptr : "", text.len);
}

json_t *dv_data_time_json(dv_time time)
{
    char text[DV_TIME_TEXT_MAX];
    if (time <= 0 || time == DV_TIME_NEVER) {
        return json_null();
    }
    dv_time_format(time, text);
    return json_string(text);
}

json_t *dv_data_column_time(dv_statement *row, int column)
{
    return dv_data_time_json(dv_column_int(row, column));
}

dv_result dv_data_column_copy(dv_statement *row, int column, dv_arena *arena, const char **ret_text)
{
    dv_slice copy;
    DV_TRY(dv_arena_copy(arena, dv_column_slice(row, column), &copy));
    *ret_text = (const char *)copy.ptr;
    return DV_OK;
}

dv_result dv_data_answer_rows(dv_call *call, dv_statement *rows, json_t *(*json)(dv_statement *row),
                              dv_error *error)
{
    json_t *items = json_array();
    size_t limit = (size_t)json_integer_value(json_object_get(call->params, "limit"));
    char last[DV_DATA_ID_MAX] = "";
    dv_result result = DV_OK;
    while ((result = dv_statement_step(rows, error)) == DV_OK) {
        dv_slice_copy(dv_column_slice(rows, 0), last, sizeof(last));
        if (json_array_append_new(items, json(rows)) != 0) {
            result = DV_ERR_NO_MEMORY;
            break;
        }
    }
    if (result != DV_ERR_NOT_FOUND) {
        json_decref(items);
        return result;
    }
    bool more = json_array_size(items) == limit;
    call->answer = json_pack("{s:o}", "items", items);
    if (call->answer != NULL && more) {
        json_object_set_new(call->answer, "next", json_string(last));
    }
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

void dv_data_new_id(dv_time now, char out[DV_DATA_ID_MAX])
{
    dv_uuid id = dv_uuid_new(now);
    dv_uuid_format(&id, out);
}

dv_result dv_data_gateway_config(dv_call *call, json_t **ret_config, dv_error *error)
{
    dv_slice text = {NULL, 0};
    json_t *config = NULL;
    DV_TRY(dv_snapshot_begin(call->services->snapshot));
    dv_result result =
        dv_snapshot_get(call->services->snapshot, DV_TABLE_ROUTES, DV_LIT(DV_GATEWAY_KEY), &text);
    if (result == DV_OK) {
        config = json_loadb((const char *)text.ptr, text.len, 0, NULL);
        result = config != NULL ? DV_OK
                                : dv_error_set(error, DV_ERR_CORRUPT,
                                               "the gateway's configuration can not be read");
    }
    dv_snapshot_end(call->services->snapshot);
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    *ret_config = config;
    return DV_OK;
}
