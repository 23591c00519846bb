/* SPDX-License-Identifier: Apache-2.0 */
/* A request to the control plane up to its handler: "METHOD TARGET\nBODY" against the real API.
 * What is accepted must satisfy its own schema again, and answer the same once more. */
#include "daemon/dvarad_router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_accepted(const dv_schema *schema, json_t *value)
{
    char field[DV_FIELD_MAX] = "";
    require(json_is_object(value));
    require(dv_check_value(schema, value, field, NULL) == DV_OK);
    require(field[0] == '\0');
}

static void try_parameters(const dv_operation *operation, const dv_route_path *path,
                           dv_arena *arena)
{
    char field[DV_FIELD_MAX];
    dv_error error = {0};
    json_t *params = NULL;
    dv_result result = dv_route_params(operation, path, arena, &params, field, &error);
    require((result == DV_OK) == (params != NULL));
    if (result == DV_OK) {
        check_accepted(operation->params, params);
    } else {
        require(error.message[0] != '\0' && strlen(field) < DV_FIELD_MAX);
    }
    json_decref(params);
}

static void try_body(const dv_operation *operation, dv_slice text, dv_arena *arena)
{
    char field[DV_FIELD_MAX];
    dv_error error = {0};
    json_t *body = NULL;
    dv_result result = dv_route_body(operation, text, arena, &body, field, &error);
    if (result == DV_OK && operation->body != NULL) {
        check_accepted(operation->body, body);
    } else if (result != DV_OK) {
        require(body == NULL && error.message[0] != '\0');
    }
    json_decref(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    dv_slice rest = dv_slice_of(data, size), line, method;
    dv_route_path path;
    dv_error error = {0};
    require(arena != NULL);
    if (!dv_slice_split(&rest, '\n', &line) || !dv_slice_split(&line, ' ', &method)) {
        return 0;
    }
    if (dv_route_parse(line, arena, &path, &error) != DV_OK) {
        require(error.message[0] != '\0');
        return 0;
    }
    const dv_operation *operation = dv_route_find(method, &path);
    if (operation == NULL) {
        return 0;
    }
    try_parameters(operation, &path, arena);
    try_body(operation, rest, arena);
    return 0;
}
