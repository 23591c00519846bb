/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"

#include "api/operations.h"

/* The OpenID AuthZEN Authorization API 1.0, its Access Evaluation and Access Evaluations APIs. A
 * subject or resource {type, id} is the entity type::"id", an action {name} is Action::"name". */

enum { EVALUATION_MEMORY = 32 << 20 };

/* --- reading --------------------------------------------------------------------------------- */

static const json_t *member_of(const json_t *request, const json_t *defaults, const char *name)
{
    const json_t *own = json_object_get(request, name);
    return own != NULL ? own : json_object_get(defaults, name);
}

static dv_result object_need(dv_call *call, const json_t *value, const char *field, dv_error *error)
{
    if (value == NULL) {
        return dv_call_invalid(call, field, error, "The field %s is missing.", field);
    }
    return json_is_object(value)
               ? DV_OK
               : dv_call_invalid(call, field, error, "The field %s must be an object.", field);
}

/* A required string of the object. */
static dv_result text_need(dv_call *call, const json_t *object, const char *field, const char *name,
                           dv_slice *ret_text, dv_error *error)
{
    const char *place = dv_arena_printf(call->arena, "%s.%s", field, name);
    const json_t *text = json_object_get(object, name);
    if (place == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (!json_is_string(text)) {
        return dv_call_invalid(call, place, error, "The field %s %s.", place,
                               text == NULL ? "is missing" : "must be a string");
    }
    *ret_text = dv_slice_of(json_string_value(text), json_string_length(text));
    return DV_OK;
}

static dv_result record_read(dv_call *call, const json_t *object, const char *field,
                             dv_arena *arena, const dv_cedar_value **ret_record, dv_error *error)
{
    dv_error detail = {0};
    if (object == NULL) {
        return DV_OK;
    }
    DV_TRY(object_need(call, object, field, error));
    dv_result result = dv_access_record(object, arena, ret_record, &detail);
    return result == DV_OK || detail.message[0] == '\0'
               ? result
               : dv_call_invalid(call, field, error, "The field %s can not be read: %s.", field,
                                 detail.message);
}

typedef struct entity_place {
    const char *field;      /* "subject" */
    const char *properties; /* "subject.properties" */
    bool sought;            /* by a search: an id is ignored (specs: subject-search-request) */
} entity_place;

static dv_result uid_make(dv_call *call, const char *field, dv_slice type, dv_slice id,
                          dv_arena *arena, dv_slice *ret_uid, dv_error *error)
{
    dv_result result = dv_cedar_uid(arena, type, id, ret_uid);
    if (result == DV_ERR_INVALID) {
        return dv_call_invalid(call, field, error,
                               "The field %s.type must be identifiers joined by \"::\".", field);
    }
    return result == DV_ERR_TOO_LARGE
               ? dv_call_invalid(call, field, error, "The field %s.id is too long.", field)
               : result;
}

static dv_result entity_read(dv_call *call, const json_t *entity, const entity_place *place,
                             dv_arena *arena, dv_slice *ret_type, dv_slice *ret_uid,
                             const dv_cedar_value **ret_extra, dv_error *error)
{
    dv_slice id = {0};
    DV_TRY(object_need(call, entity, place->field, error));
    DV_TRY(text_need(call, entity, place->field, "type", ret_type, error));
    DV_TRY(record_read(call, json_object_get(entity, "properties"), place->properties, arena,
                       ret_extra, error));
    if (place->sought) {
        return DV_OK;
    }
    DV_TRY(text_need(call, entity, place->field, "id", &id, error));
    return uid_make(call, place->field, *ret_type, id, arena, ret_uid, error);
}

static dv_result action_read(dv_call *call, const json_t *action, dv_arena *arena,
                             dv_slice *ret_uid, dv_error *error)
{
    dv_slice name = {0};
    DV_TRY(object_need(call, action, "action", error));
    DV_TRY(text_need(call, action, "action", "name", &name, error));
    return uid_make(call, "action", DV_LIT("Action"), name, arena, ret_uid, error);
}

/* context.now is this moment unless the request says another. */
static dv_result now_add(dv_call *call, dv_arena *arena, const dv_cedar_value **context)
{
    dv_cedar_attr *attr = dv_arena_alloc(arena, sizeof(*attr));
    dv_cedar_value extra;
    if (attr == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    attr->name = DV_LIT("now");
    attr->value = (dv_cedar_value){.type = DV_CEDAR_DATETIME, .number = call->now / DV_MILLISECOND};
    DV_TRY(dv_cedar_record(attr, 1, &extra));
    return dv_access_merge(*context, &extra, arena, context);
}

/* An action has no attributes in a schema, so its properties come as context.action. */
static dv_result action_add(dv_call *call, const json_t *action, dv_arena *arena,
                            const dv_cedar_value **context, dv_error *error)
{
    const dv_cedar_value *properties = NULL;
    DV_TRY(record_read(call, json_object_get(action, "properties"), "action.properties", arena,
                       &properties, error));
    if (properties == NULL) {
        return DV_OK;
    }
    if (*context != NULL && dv_cedar_get(*context, DV_LIT("action")) != NULL) {
        return dv_call_invalid(call, "context.action", error,
                               "context.action stands for the action's properties: say them once.");
    }
    dv_cedar_attr *attr = dv_arena_alloc(arena, sizeof(*attr));
    dv_cedar_value extra;
    if (attr == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *attr = (dv_cedar_attr){DV_LIT("action"), *properties};
    DV_TRY(dv_cedar_record(attr, 1, &extra));
    return dv_access_merge(*context, &extra, arena, context);
}

dv_result dv_authzen_read(dv_call *call, const json_t *request, const json_t *defaults,
                          dv_authzen_target target, dv_arena *arena, dv_authzen_asked *ret_asked,
                          dv_error *error)
{
    const entity_place subject = {"subject", "subject.properties", target == DV_AUTHZEN_SUBJECT};
    const entity_place resource = {"resource", "resource.properties",
                                   target == DV_AUTHZEN_RESOURCE};
    const json_t *action = member_of(request, defaults, "action");
    dv_authzen_asked asked = {0};
    dv_access_question *question = &asked.question;
    if (!json_is_object(request)) {
        return dv_call_invalid(call, NULL, error, "An evaluation must be an object.");
    }
    DV_TRY(entity_read(call, member_of(request, defaults, "subject"), &subject, arena,
                       &asked.subject_type, &question->principal, &question->principal_extra,
                       error));
    DV_TRY(entity_read(call, member_of(request, defaults, "resource"), &resource, arena,
                       &asked.resource_type, &question->resource, &question->resource_extra,
                       error));
    DV_TRY(record_read(call, member_of(request, defaults, "context"), "context", arena,
                       &question->context, error));
    if (target != DV_AUTHZEN_ACTION) {
        DV_TRY(action_read(call, action, arena, &question->action, error));
        DV_TRY(action_add(call, action, arena, &question->context, error));
    }
    DV_TRY(now_add(call, arena, &question->context));
    *ret_asked = asked;
    return DV_OK;
}

/* --- answering ------------------------------------------------------------------------------- */

static const char *why(const dv_access_verdict *verdict)
{
    return verdict->suspended          ? "The subject is suspended."
           : verdict->error_count > 0  ? "A policy could not be evaluated."
           : verdict->allowed          ? "Permitted."
           : verdict->policy_count > 0 ? "Forbidden."
                                       : "No policy permits this.";
}

static json_t *verdict_json(const dv_access_verdict *verdict)
{
    return json_pack("{s:b, s:{s:s, s:o, s:o}}", "decision", verdict->allowed, "context", "reason",
                     why(verdict), "policies",
                     dv_auth_json_ids(verdict->policies, verdict->policy_count), "errors",
                     dv_auth_json_ids(verdict->errors, verdict->error_count));
}

/* An evaluation that could not be made is a denial (specs: evaluations-semantics). */
static json_t *failure_json(int status, const dv_error *error)
{
    return json_pack("{s:b, s:{s:{s:i, s:s}}}", "decision", 0, "context", "error", "status", status,
                     "message", error->message);
}

static dv_result decision_audit(const dv_call *call, const dv_access_question *question,
                                const dv_access_verdict *verdict, dv_error *error)
{
    const char *owner = dv_arena_printf(call->arena, "%.*s", DV_SLICE_ARGS(question->principal));
    json_t *change = json_pack(
        "{s:s%, s:s%, s:s%, s:b, s:o, s:o, s:s}", "subject", question->principal.ptr,
        question->principal.len, "action", question->action.ptr, question->action.len, "resource",
        question->resource.ptr, question->resource.len, "decision", verdict->allowed, "policies",
        dv_auth_json_ids(verdict->policies, verdict->policy_count), "errors",
        dv_auth_json_ids(verdict->errors, verdict->error_count), "caller_request_id",
        call->caller_request_id == NULL ? "" : call->caller_request_id);
    if (change == NULL || owner == NULL) {
        json_decref(change);
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_audit_entity(call, DV_ENTITY_OTHER, "access_decision", call->request_id,
                                       owner, change, error);
    json_decref(change);
    return result;
}

/* Decides, records, and answers with a Decision. */
static dv_result evaluate(const dv_access *access, const json_t *request, const json_t *defaults,
                          dv_arena *arena, json_t **ret_decision, dv_error *error)
{
    dv_authzen_asked asked = {0};
    dv_access_verdict verdict = {0};
    dv_call *call = access->call;
    DV_TRY(dv_authzen_read(call, request, defaults, DV_AUTHZEN_NONE, arena, &asked, error));
    dv_result result = dv_access_decide(access, &asked.question, arena, &verdict, error);
    if (result != DV_OK && result != DV_ERR_TOO_LARGE) {
        return result;
    }
    DV_TRY(decision_audit(call, &asked.question, &verdict, error));
    *ret_decision = result == DV_OK ? verdict_json(&verdict) : failure_json(413, error);
    return *ret_decision == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result evaluate_one(dv_call *call, dv_error *error)
{
    dv_auto(access) dv_access access = {0};
    dv_auto(arena) dv_arena *arena = dv_arena_new(EVALUATION_MEMORY);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_access_begin(call, &access, error));
    return evaluate(&access, call->body, NULL, arena, &call->answer, error);
}

dv_result dv_op_authzen_evaluation(dv_call *call, dv_error *error)
{
    return evaluate_one(call, error);
}

/* --- several at once ------------------------------------------------------------------------- */

typedef struct semantics {
    const char *name;
    bool stops; /* at the first decision that is `at` */
    bool at;
} semantics;

/* The first is the default (specs: evaluations-semantics). */
static const semantics SEMANTICS[] = {
    {"execute_all", false, false},
    {"deny_on_first_deny", true, false},
    {"permit_on_first_permit", true, true},
};

static dv_result semantic_read(dv_call *call, const semantics **ret_semantic, dv_error *error)
{
    const json_t *name =
        json_object_get(json_object_get(call->body, "options"), "evaluations_semantic");
    if (name == NULL) {
        *ret_semantic = &SEMANTICS[0];
        return DV_OK;
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(SEMANTICS); i++) {
        if (json_is_string(name) && strcmp(json_string_value(name), SEMANTICS[i].name) == 0) {
            *ret_semantic = &SEMANTICS[i];
            return DV_OK;
        }
    }
    return dv_call_invalid(call, "options.evaluations_semantic", error,
                           "There are execute_all, deny_on_first_deny and permit_on_first_permit.");
}

/* What is wrong with one evaluation is told in its place; what is wrong with Dvara fails all. */
static dv_result item_evaluate(const dv_access *access, const json_t *item, dv_arena *arena,
                               json_t **ret_decision, dv_error *error)
{
    dv_result result = evaluate(access, item, access->call->body, arena, ret_decision, error);
    if (result != DV_ERR_INVALID) {
        return result;
    }
    access->call->error_field = NULL;
    *ret_decision = failure_json(400, error);
    return *ret_decision == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result items_evaluate(const dv_access *access, const json_t *items,
                                const semantics *semantic, json_t *answers, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(EVALUATION_MEMORY);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < json_array_size(items); i++) {
        json_t *decision = NULL;
        dv_arena_reset(arena);
        DV_TRY(item_evaluate(access, json_array_get(items, i), arena, &decision, error));
        bool allowed = json_is_true(json_object_get(decision, "decision"));
        if (json_array_append_new(answers, decision) != 0) {
            return DV_ERR_NO_MEMORY;
        }
        if (semantic->stops && allowed == semantic->at) {
            break;
        }
    }
    return DV_OK;
}

dv_result dv_op_authzen_evaluations(dv_call *call, dv_error *error)
{
    const semantics *semantic = NULL;
    dv_auto(access) dv_access access = {0};
    const json_t *items = json_object_get(call->body, "evaluations");
    DV_TRY(semantic_read(call, &semantic, error));
    if (json_array_size(items) == 0) { /* as a single one (specs: evaluations-request) */
        return evaluate_one(call, error);
    }
    call->answer = json_pack("{s:[]}", "evaluations");
    if (call->answer == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_access_begin(call, &access, error));
    return items_evaluate(&access, items, semantic, json_object_get(call->answer, "evaluations"),
                          error);
}

/* --- metadata -------------------------------------------------------------------------------- */

/* Policy Decision Point Metadata: the identifier is the URL that the caller asked. */
dv_result dv_op_authzen_configuration(dv_call *call, dv_error *error)
{
    static const char *const endpoints[][2] = {
        {"access_evaluation_endpoint", "/access/v1/evaluation"},
        {"access_evaluations_endpoint", "/access/v1/evaluations"},
        {"search_subject_endpoint", "/access/v1/search/subject"},
        {"search_resource_endpoint", "/access/v1/search/resource"},
        {"search_action_endpoint", "/access/v1/search/action"},
    };
    const char *base = call->base_url == NULL ? "" : call->base_url;
    if (base[0] == '\0') {
        return dv_error_set(error, DV_ERR_INVALID, "The request names no host.");
    }
    call->answer = json_pack("{s:s}", "policy_decision_point", base);
    for (size_t i = 0; i < DV_ARRAY_LEN(endpoints) && call->answer != NULL; i++) {
        json_t *url = json_sprintf("%s%s", base, endpoints[i][1]);
        DV_TRY(dv_auth_json_set(call->answer, endpoints[i][0], url));
    }
    return call->answer == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}
