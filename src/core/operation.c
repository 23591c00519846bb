/* SPDX-License-Identifier: Apache-2.0 */
#include "core/operation.h"

#include "base/uuid.h"

#include <stdarg.h>

const dv_schema dv_schema_any = {
    .types = DV_SCHEMA_STRING | DV_SCHEMA_NUMBER | DV_SCHEMA_BOOLEAN | DV_SCHEMA_ARRAY |
             DV_SCHEMA_OBJECT | DV_SCHEMA_NULL,
    .minimum = INT64_MIN,
    .maximum = INT64_MAX,
    .max_length = UINT32_MAX,
    .items = &dv_schema_any,
    .others = &dv_schema_any,
};

const char *dv_call_param(const dv_call *call, const char *name)
{
    return json_string_value(json_object_get(call->params, name));
}

const char *dv_call_field(const dv_call *call, const char *name)
{
    return json_string_value(json_object_get(call->body, name));
}

dv_result dv_call_invalid(dv_call *call, const char *field, dv_error *error, const char *format,
                          ...)
{
    char message[DV_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    call->error_field = field;
    return dv_error_set(error, DV_ERR_INVALID, "%s", message);
}

dv_result dv_call_confirmed(dv_call *call, const char *what, dv_error *error)
{
    return json_is_true(json_object_get(call->body, "yes"))
               ? DV_OK
               : dv_call_invalid(
                     call, "yes", error,
                     "not confirmed: %s. `--yes` confirms it (in the API \"yes\": true)", what);
}

enum { SYSTEM_ARENA = 64 << 20 };

dv_result dv_call_system(dv_services *services, dv_call *ret_call)
{
    dv_time now = dv_time_now();
    dv_uuid id = dv_uuid_new(now);
    dv_arena *arena = dv_arena_new(SYSTEM_ARENA);
    char *request_id = arena == NULL ? NULL : dv_arena_alloc(arena, DV_UUID_TEXT_LEN + 1);
    if (request_id == NULL) {
        dv_arena_free(arena);
        return DV_ERR_NO_MEMORY;
    }
    dv_uuid_format(&id, request_id);
    *ret_call = (dv_call){.services = services,
                          .arena = arena,
                          .now = now,
                          .request_id = request_id,
                          .caller = "System::\"dvarad\"",
                          .via = "control",
                          .address = ""};
    return DV_OK;
}

void dv_call_system_end(dv_call *call)
{
    dv_arena_free(call->arena);
    call->arena = NULL;
}
