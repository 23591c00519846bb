/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the body of an AuthZEN request, through the router's checks to the question that is
 * decided. The first line is what is asked ("evaluation", "search/subject"). What is refused names
 * a reason; what is read has canonical uids and proper records, and is read the same again. */
#include "daemon/dvarad_router.h"
#include "engine/cedar/entities.h"
#include "room/auth/control/access.h"

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static const dv_operation *find(dv_slice what, dv_arena *arena, dv_authzen_target *ret_target)
{
    static const char *const targets[] = {"", "search/subject", "search/resource", "search/action"};
    const char *target = dv_arena_printf(arena, "/access/v1/%.*s", DV_SLICE_ARGS(what));
    dv_route_path path;

    for (size_t i = 0; i < DV_ARRAY_LEN(targets); i++) {
        if (dv_slice_eq_str(what, targets[i])) {
            *ret_target = (dv_authzen_target)i;
        }
    }
    return target != NULL && dv_route_parse(dv_slice_str(target), arena, &path, NULL) == DV_OK
               ? dv_route_find(DV_LIT("POST"), &path)
               : NULL;
}

static void check_uid(dv_slice uid, bool sought, dv_arena *arena)
{
    dv_cedar_policy_set *set = NULL;
    const char *text =
        dv_arena_printf(arena, "permit(principal == %.*s, action, resource);", DV_SLICE_ARGS(uid));

    require((uid.len == 0) == sought);
    if (!sought && uid.len < 128) { /* what is written as it is read stays as it is */
        require(text != NULL && dv_cedar_parse(dv_slice_str(text), &set, NULL) == DV_OK);
        dv_cedar_policy_set_free(set);
    }
}

static void check_record(const dv_cedar_value *record)
{
    require(record == NULL || record->type == DV_CEDAR_RECORD);
    for (uint32_t i = 0; record != NULL && i < record->count; i++) {
        require(dv_cedar_get(record, record->attrs[i].name) == &record->attrs[i].value);
    }
}

static void check_asked(const dv_authzen_asked *asked, dv_authzen_target target, dv_arena *arena)
{
    const dv_access_question *question = &asked->question;

    check_uid(question->principal, target == DV_AUTHZEN_SUBJECT, arena);
    check_uid(question->resource, target == DV_AUTHZEN_RESOURCE, arena);
    check_uid(question->action, target == DV_AUTHZEN_ACTION, arena);
    check_record(question->principal_extra);
    check_record(question->resource_extra);
    check_record(question->context);
    require(dv_cedar_get(question->context, DV_LIT("now")) != NULL);
}

static bool same_record(const dv_cedar_value *a, const dv_cedar_value *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || dv_cedar_compare(a, b) == 0);
}

static dv_result read_one(dv_call *call, const json_t *request, const json_t *defaults,
                          dv_authzen_target target, dv_authzen_asked *ret_asked)
{
    dv_error error = {0};
    dv_result result =
        dv_authzen_read(call, request, defaults, target, call->arena, ret_asked, &error);

    require(result == DV_OK || result == DV_ERR_INVALID || result == DV_ERR_NO_MEMORY);
    require(result != DV_ERR_INVALID || error.message[0] != '\0');
    return result;
}

static void try_one(dv_call *call, const json_t *request, const json_t *defaults,
                    dv_authzen_target target)
{
    dv_authzen_asked asked = {0}, again = {0};

    if (read_one(call, request, defaults, target, &asked) == DV_OK) {
        check_asked(&asked, target, call->arena);
        require(read_one(call, request, defaults, target, &again) == DV_OK);
        require(dv_slice_eq(asked.question.principal, again.question.principal));
        require(same_record(asked.question.context, again.question.context));
        require(same_record(asked.question.resource_extra, again.question.resource_extra));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    dv_slice rest = dv_slice_of(data, size), line;
    dv_authzen_target target = DV_AUTHZEN_NONE;
    char field[DV_FIELD_MAX];
    json_t *body = NULL;

    require(arena != NULL);
    if (!dv_slice_split(&rest, '\n', &line)) {
        return 0;
    }
    const dv_operation *operation = find(line, arena, &target);
    if (operation == NULL || operation->body == NULL ||
        dv_route_body(operation, rest, arena, &body, field, NULL) != DV_OK) {
        return 0;
    }
    dv_call call = {.operation = operation, .arena = arena, .now = DV_SECOND, .body = body};
    const json_t *items = json_object_get(body, "evaluations");
    try_one(&call, body, NULL, target);
    for (size_t i = 0; i < json_array_size(items); i++) {
        try_one(&call, json_array_get(items, i), body, target);
    }
    json_decref(body);
    return 0;
}
