/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/question.h"

#include "base/clock.h"
#include "engine/cedar/describe.h"
#include "engine/cedar/entities.h"
#include "room/auth/control/internal.h"
#include "room/auth/gate/context.h"
#include "room/auth/gate/resources.h"

enum { TESTS_MAX = 10000, ENTITIES_MAX = 10000, DIFFER_MAX = 20 };

/* --- reading --------------------------------------------------------------------------------- */

#define wrong(error, ...) dv_error_set(error, DV_ERR_INVALID, __VA_ARGS__)

/* Ids with escapes are left to Cedar's JSON. */
bool dv_auth_uid_split(dv_slice text, dv_slice *ret_type, dv_slice *ret_id)
{
    ptrdiff_t at = dv_slice_find(text, DV_LIT("::\""));
    if (at <= 0 || !dv_slice_ends_with(text, DV_LIT("\"")) || text.len < (size_t)at + 4) {
        return false;
    }
    *ret_type = dv_slice_sub(text, 0, (size_t)at);
    *ret_id = dv_slice_sub(text, (size_t)at + 3, text.len - (size_t)at - 4);
    return dv_slice_find_byte(*ret_id, '"') < 0 && dv_slice_find_byte(*ret_id, '\\') < 0;
}

dv_result dv_auth_uid_read(const json_t *text, const char *type, dv_arena *arena, dv_slice *ret_uid,
                           dv_error *error)
{
    dv_slice outer = dv_slice_str(type);
    dv_slice id = dv_slice_of(json_string_value(text), json_string_length(text));
    bool plain = type != NULL && dv_slice_find(id, DV_LIT("::\"")) < 0;
    if (!json_is_string(text) || (!plain && !dv_auth_uid_split(id, &outer, &id))) {
        return wrong(error, "\"%.200s\" is no entity: write Type::\"id\"",
                     json_is_string(text) ? json_string_value(text) : "");
    }
    dv_result result = dv_cedar_uid(arena, outer, id, ret_uid);
    return result == DV_ERR_INVALID ? wrong(error, "\"%.200s\" is no entity: write Type::\"id\"",
                                            json_string_value(text))
                                    : result;
}

static dv_result uid_read(const json_t *json, const char *field, const char *type, dv_arena *arena,
                          dv_slice *ret_uid, dv_error *error)
{
    const json_t *value = json_object_get(json, field);
    return json_is_string(value) ? dv_auth_uid_read(value, type, arena, ret_uid, error)
                                 : wrong(error, "%s is missing", field);
}

/* --- the context ----------------------------------------------------------------------------- */

/* A field that the gate makes, as people write it; or with Cedar's escapes, which are objects. */
static bool is_written(const json_t *value, json_type type)
{
    return value == NULL || json_is_object(value) || json_typeof(value) == type;
}

static dv_result kinds_check(const json_t *context, dv_error *error)
{
    static const struct {
        const char *name;
        json_type type;
        const char *what;
    } known[] = {{"now", JSON_STRING, "a time"},
                 {"address", JSON_STRING, "an address"},
                 {"credential", JSON_STRING, "a text"},
                 {"scopes", JSON_ARRAY, "a list of actions"}};
    for (size_t i = 0; i < DV_ARRAY_LEN(known); i++) {
        if (!is_written(json_object_get(context, known[i].name), known[i].type)) {
            return wrong(error, "context.%s is %s", known[i].name, known[i].what);
        }
    }
    const json_t *mfa = json_object_get(context, "mfa");
    return mfa == NULL || json_is_object(mfa) || json_is_boolean(mfa)
               ? DV_OK
               : wrong(error, "context.mfa is true or false");
}

/* What the gate would know, from the fields that people write plainly. */
static dv_result request_read(const json_t *context, dv_time now, dv_auth_request *ret_request,
                              dv_error *error)
{
    const char *time = json_string_value(json_object_get(context, "now"));
    const char *address = json_string_value(json_object_get(context, "address"));
    dv_cedar_value ip;
    *ret_request = (dv_auth_request){.now = now, .address = dv_slice_str(address)};
    if (time != NULL && dv_time_parse(dv_slice_str(time), &ret_request->now) != DV_OK) {
        return wrong(error, "context.now: \"%.200s\" is no time like 2026-01-31T09:00:00Z", time);
    }
    if (address != NULL && dv_cedar_ip_parse(dv_slice_str(address), &ip) != DV_OK) {
        return wrong(error, "context.address: \"%.200s\" is no address", address);
    }
    return DV_OK;
}

static dv_result credential_read(const json_t *context, dv_arena *arena,
                                 dv_credential *ret_credential, dv_error *error)
{
    const json_t *scopes = json_object_get(context, "scopes");
    const char *told = json_string_value(json_object_get(context, "credential"));
    dv_slice kind;
    size_t count = json_array_size(scopes);
    dv_slice *names = dv_arena_alloc(arena, (count + 1) * sizeof(*names));
    if (names == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        dv_slice name = dv_slice_str(json_string_value(json_array_get(scopes, i)));
        if (name.len == 0) {
            return wrong(error, "context.scopes is a list of actions");
        }
        DV_TRY(dv_arena_copy(arena, name, &names[i]));
    }
    DV_TRY(dv_arena_copy(arena, dv_slice_str(told == NULL ? "api_key" : told), &kind));
    *ret_credential = (dv_credential){.kind = kind,
                                      .scopes = names,
                                      .scope_count = count,
                                      .mfa = json_is_true(json_object_get(context, "mfa"))};
    return DV_OK;
}

/* Fields that the gate does not make stay as they are. */
static dv_result rest_read(const json_t *context, dv_arena *arena, dv_cedar_value *ret_rest,
                           dv_error *error)
{
    static const char *const known[] = {"now", "address", "scopes", "mfa", "credential"};
    json_t *rest = context == NULL ? json_object() : json_copy((json_t *)(uintptr_t)context);
    for (size_t i = 0; i < DV_ARRAY_LEN(known); i++) {
        const json_t *value = json_object_get(rest, known[i]);
        /* {"__extn": ...} says itself what it is. */
        if (!json_is_object(value)) {
            (void)json_object_del(rest, known[i]);
        }
    }
    dv_auto(free) char *text = rest == NULL ? NULL : json_dumps(rest, JSON_COMPACT);
    json_decref(rest);
    return text == NULL ? DV_ERR_NO_MEMORY
                        : dv_cedar_record_parse(dv_slice_str(text), arena, ret_rest, error);
}

/* base with the attributes of over in the place of their namesakes. */
static dv_result overlay(const dv_cedar_value *base, const dv_cedar_value *over, dv_arena *arena,
                         dv_cedar_value *ret_record)
{
    size_t count = 0;
    dv_cedar_attr *attrs =
        dv_arena_alloc(arena, ((size_t)base->count + over->count + 1) * sizeof(*attrs));
    if (attrs == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < base->count; i++) {
        if (dv_cedar_get(over, base->attrs[i].name) == NULL) {
            attrs[count++] = base->attrs[i];
        }
    }
    for (uint32_t i = 0; i < over->count; i++) {
        attrs[count++] = over->attrs[i];
    }
    return dv_cedar_record(attrs, count, ret_record);
}

static dv_result context_make(const json_t *context, dv_time now, dv_arena *arena,
                              dv_cedar_value *ret_context, dv_error *error)
{
    dv_auth_request request;
    dv_credential credential;
    dv_cedar_value base, rest;
    DV_TRY(kinds_check(context, error));
    DV_TRY(request_read(context, now, &request, error));
    DV_TRY(credential_read(context, arena, &credential, error));
    DV_TRY(dv_auth_context_make(&credential, &request, arena, &base));
    DV_TRY(rest_read(context, arena, &rest, error));
    return overlay(&base, &rest, arena, ret_context);
}

/* An object, or the text of one (the API takes such values as text); NULL: there is none. */
static dv_result object_read(const json_t *value, const char *what, json_t **ret_object,
                             dv_error *error)
{
    json_t *object = json_is_string(value)
                         ? json_loads(json_string_value(value), JSON_REJECT_DUPLICATES, NULL)
                         : json_incref((json_t *)(uintptr_t)value);
    if (value != NULL && !json_is_object(object)) {
        json_decref(object);
        return wrong(error, "%s is a JSON object", what);
    }
    *ret_object = object;
    return DV_OK;
}

static dv_result context_read(const json_t *value, dv_time now, dv_arena *arena,
                              dv_cedar_value *ret_context, dv_error *error)
{
    json_t *context = NULL;
    DV_TRY(object_read(value, "context", &context, error));
    dv_result result = context_make(context, now, arena, ret_context, error);
    json_decref(context);
    return result;
}

dv_result dv_auth_question_read(const json_t *json, dv_time now, dv_arena *arena,
                                dv_auth_question *ret_question, dv_error *error)
{
    dv_auth_question question = {0};
    DV_TRY(uid_read(json, "principal", NULL, arena, &question.principal, error));
    DV_TRY(uid_read(json, "action", "Action", arena, &question.action, error));
    DV_TRY(uid_read(json, "resource", NULL, arena, &question.resource, error));
    DV_TRY(context_read(json_object_get(json, "context"), now, arena, &question.context, error));
    *ret_question = question;
    return DV_OK;
}

/* --- entities -------------------------------------------------------------------------------- */

static json_t *uid_json(const char *text, dv_error *error)
{
    dv_slice type, id;
    if (text == NULL || !dv_auth_uid_split(dv_slice_str(text), &type, &id)) {
        dv_error_set(error, DV_ERR_INVALID, "\"%.200s\" is no entity: write Type::\"id\"",
                     text == NULL ? "" : text);
        return NULL;
    }
    return json_pack("{s:s%, s:s%}", "type", (const char *)type.ptr, type.len, "id",
                     (const char *)id.ptr, id.len);
}

static dv_result parents_json(const json_t *names, json_t *parents, dv_error *error)
{
    if (names != NULL && !json_is_array(names)) {
        return wrong(error, "in is a list of entities");
    }
    for (size_t i = 0; i < json_array_size(names); i++) {
        json_t *uid = uid_json(json_string_value(json_array_get(names, i)), error);
        if (uid == NULL || json_array_append_new(parents, uid) != 0) {
            return DV_ERR_INVALID;
        }
    }
    return DV_OK;
}

/* Models and routes have all their attributes, so that what is not said is empty as at the gate. */
static dv_result attributes_fill(const char *name, json_t *attributes)
{
    static const char *const words[] = {"tier", "classification", "labels"};
    dv_cedar_entity entity;
    bool wanted = json_is_object(attributes) && dv_resource_unknown(dv_slice_str(name), &entity);
    for (size_t i = 0; wanted && i < DV_ARRAY_LEN(words); i++) {
        bool set = strcmp(words[i], "labels") == 0;
        if (json_object_get(attributes, words[i]) == NULL &&
            json_object_set_new(attributes, words[i], set ? json_array() : json_string("")) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

/* A word that is not known would be a parent or an attribute that is not there. */
static dv_result entity_check(const char *name, const json_t *value, dv_error *error)
{
    const char *word;
    json_t *member;
    if (!json_is_object(value)) {
        return wrong(error, "%.200s: an entity is an object with in and attributes", name);
    }
    json_object_foreach((json_t *)(uintptr_t)value, word, member)
    {
        if (strcmp(word, "in") != 0 && strcmp(word, "attributes") != 0) {
            return wrong(error, "%.200s: there are in and attributes, not %.64s", name, word);
        }
    }
    return DV_OK;
}

static dv_result entity_add(const char *name, const json_t *value, json_t *list, dv_error *error)
{
    DV_TRY(entity_check(name, value, error));
    json_t *given = json_object_get(value, "attributes");
    json_t *attributes = given == NULL ? json_object() : json_copy(given);
    json_t *parents = json_array();
    json_t *uid = uid_json(name, error);
    json_t *entity =
        json_pack("{s:o, s:o, s:o}", "uid", uid, "parents", parents, "attrs", attributes);
    if (json_array_append_new(list, entity) != 0) {
        return DV_ERR_INVALID;
    }
    DV_TRY(attributes_fill(name, attributes));
    return parents_json(json_object_get(value, "in"), parents, error);
}

static dv_result entities_text(const json_t *json, char **ret_text, dv_error *error)
{
    const char *name;
    json_t *value;
    json_t *list = json_array();
    dv_result result = list == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    json_object_foreach((json_t *)(uintptr_t)json, name, value)
    {
        if (result == DV_OK) {
            result = entity_add(name, value, list, error);
        }
    }
    *ret_text = result == DV_OK ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    return result == DV_OK && *ret_text == NULL ? DV_ERR_NO_MEMORY : result;
}

dv_result dv_auth_entities_read(const json_t *json, dv_arena *arena,
                                const dv_cedar_entities **ret_entities, dv_error *error)
{
    json_t *object = NULL;
    dv_auto(free) char *text = NULL;
    DV_TRY(object_read(json, "entities", &object, error));
    dv_result result =
        json_object_size(object) > ENTITIES_MAX
            ? dv_error_set(error, DV_ERR_TOO_LARGE, "more than %d entities", ENTITIES_MAX)
            : entities_text(object, &text, error);
    json_decref(object);
    DV_TRY(result);
    return dv_cedar_entities_parse(dv_slice_str(text), NULL, arena, ret_entities, error);
}

bool dv_auth_entities_find(void *data, dv_slice uid, dv_cedar_entity *ret_entity)
{
    return dv_cedar_entities_lookup(data, uid, ret_entity) || dv_resource_unknown(uid, ret_entity);
}

/* --- deciding -------------------------------------------------------------------------------- */

static dv_cedar_request request_of(const dv_auth_question *question)
{
    return (dv_cedar_request){.principal = question->principal,
                              .action = question->action,
                              .resource = question->resource,
                              .context = &question->context};
}

dv_result dv_auth_question_decide(const dv_auth_world *world, const dv_auth_question *question,
                                  dv_arena *arena, dv_cedar_answer *ret_answer, dv_error *error)
{
    dv_cedar_request request = request_of(question);
    dv_result result =
        dv_cedar_decide(world->set, &request, world->lookup, world->lookup_data, arena, ret_answer);
    if (result != DV_OK) {
        return dv_error_set(error, result, "the policies could not be evaluated: %s",
                            dv_result_name(result));
    }
    if (ret_answer->error_count > 0) {
        ret_answer->decision = DV_DENY;
    }
    return DV_OK;
}

static const char *decision_name(dv_decision decision)
{
    return decision == DV_ALLOW ? "allow" : "deny";
}

/* --- explaining ------------------------------------------------------------------------------ */

typedef struct differ_list {
    const dv_cedar_answer *answer;
    json_t *by_lack[4]; /* those that lack so many parts; satisfied or failed ones are in 0 */
} differ_list;

static size_t lack_of(const dv_cedar_judgement *judgement)
{
    return (size_t)!judgement->principal + (size_t)!judgement->action +
           (size_t)!judgement->resource;
}

/* What of it did not hold, as a list of words. */
static json_t *lacks_json(const dv_cedar_judgement *judgement)
{
    json_t *lacks = json_array();
    const struct {
        const char *word;
        bool lacking;
    } parts[] = {{"principal", !judgement->principal},
                 {"action", !judgement->action},
                 {"resource", !judgement->resource},
                 {"condition", judgement->line > 0}};
    for (size_t i = 0; i < DV_ARRAY_LEN(parts); i++) {
        if (parts[i].lacking && json_array_append_new(lacks, json_string(parts[i].word)) != 0) {
            json_decref(lacks);
            return NULL;
        }
    }
    return lacks;
}

static json_t *differ_json(const dv_cedar_judgement *judgement)
{
    dv_slice condition = judgement->condition;
    json_t *json = json_pack("{s:s%, s:s, s:b, s:o}", "policy", (const char *)judgement->id.ptr,
                             judgement->id.len, "effect", judgement->forbid ? "forbid" : "permit",
                             "failed", judgement->failed, "lacks", lacks_json(judgement));
    if (json != NULL && condition.len > 0) {
        (void)json_object_set_new(json, "condition",
                                  json_stringn((const char *)condition.ptr, condition.len));
        (void)json_object_set_new(json, "unless", json_boolean(judgement->unless));
    }
    return json;
}

/* A refusal: forbids that hold, policies that failed, otherwise permits by how little they lack. A
 * permission: the permits that hold. */
static bool could_differ(const dv_cedar_answer *answer, const dv_cedar_judgement *judgement)
{
    if (judgement->failed) {
        return true;
    }
    if (answer->decision == DV_ALLOW) {
        return judgement->satisfied && !judgement->forbid;
    }
    return answer->reason_count > 0 || answer->error_count > 0
               ? judgement->satisfied && judgement->forbid
               : !judgement->forbid && !judgement->satisfied && lack_of(judgement) < 3;
}

static dv_result differ_visit(void *data, const dv_cedar_judgement *judgement)
{
    differ_list *list = data;
    json_t *place = list->by_lack[lack_of(judgement)];
    if (!could_differ(list->answer, judgement) || json_array_size(place) >= DIFFER_MAX) {
        return DV_OK;
    }
    return json_array_append_new(place, differ_json(judgement)) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* Those that lack least, and no others when there are some. */
static json_t *differ_best(differ_list *list)
{
    json_t *best = NULL;
    for (size_t i = 0; i < DV_ARRAY_LEN(list->by_lack); i++) {
        if (best == NULL && json_array_size(list->by_lack[i]) > 0) {
            best = json_incref(list->by_lack[i]);
        }
        json_decref(list->by_lack[i]);
    }
    return best != NULL ? best : json_array();
}

dv_result dv_auth_question_explain(const dv_auth_world *world, const dv_auth_question *question,
                                   dv_arena *arena, json_t **ret_json, dv_error *error)
{
    dv_cedar_answer answer;
    dv_cedar_request request = request_of(question);
    DV_TRY(dv_auth_question_decide(world, question, arena, &answer, error));
    differ_list list = {.answer = &answer,
                        .by_lack = {json_array(), json_array(), json_array(), json_array()}};
    dv_result result = dv_cedar_explain(world->set, &request, world->lookup, world->lookup_data,
                                        arena, differ_visit, &list);
    json_t *differ = differ_best(&list);
    if (result != DV_OK) {
        json_decref(differ);
        return dv_error_set(error, result, "the policies could not be explained");
    }
    json_t *json =
        json_pack("{s:s, s:o, s:o, s:o}", "decision", decision_name(answer.decision), "policies",
                  dv_auth_json_ids(answer.reasons, answer.reason_count), "errors",
                  dv_auth_json_ids(answer.errors, answer.error_count), "differ", differ);
    *ret_json = json;
    return json == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

/* --- tests ----------------------------------------------------------------------------------- */

static bool decided_by(const dv_cedar_answer *answer, const char *policy)
{
    bool found = false;
    for (size_t i = 0; i < answer->reason_count && !found; i++) {
        found = dv_slice_eq_str(answer->reasons[i], policy);
    }
    return found;
}

/* What is not as expected, in a sentence; NULL: nothing. */
static const char *problem_of(const dv_cedar_answer *answer, bool allow, const char *policy,
                              dv_arena *arena)
{
    if (answer->error_count > 0 && allow) {
        return dv_arena_printf(arena, "policy %.*s could not be evaluated",
                               DV_SLICE_ARGS(answer->errors[0]));
    }
    if ((answer->decision == DV_ALLOW) != allow) {
        return dv_arena_printf(arena, "expected %s", allow ? "allow" : "deny");
    }
    if (policy != NULL && !decided_by(answer, policy)) {
        return dv_arena_printf(arena, "%s did not decide", policy);
    }
    return NULL;
}

static const char *test_name(const json_t *test, size_t number, dv_arena *arena)
{
    const char *name = json_string_value(json_object_get(test, "name"));
    return name != NULL ? name : dv_arena_printf(arena, "test %zu", number + 1);
}

static dv_result test_run(const dv_auth_world *world, const json_t *test, const char *name,
                          dv_time now, dv_arena *arena, json_t *results, size_t *failed,
                          dv_error *error)
{
    dv_auth_question question;
    dv_cedar_answer answer;
    const char *expected = json_string_value(json_object_get(test, "expect"));
    const char *policy = json_string_value(json_object_get(test, "policy"));
    if (expected == NULL || (strcmp(expected, "allow") != 0 && strcmp(expected, "deny") != 0)) {
        return wrong(error, "expect is allow or deny");
    }
    DV_TRY(dv_auth_question_read(test, now, arena, &question, error));
    DV_TRY(dv_auth_question_decide(world, &question, arena, &answer, error));
    const char *problem = problem_of(&answer, strcmp(expected, "allow") == 0, policy, arena);
    *failed += problem != NULL;
    json_t *result =
        json_pack("{s:s, s:b, s:s, s:s, s:o, s:o, s:s}", "name", name, "ok", problem == NULL,
                  "expected", expected, "decision", decision_name(answer.decision), "policies",
                  dv_auth_json_ids(answer.reasons, answer.reason_count), "errors",
                  dv_auth_json_ids(answer.errors, answer.error_count), "problem",
                  problem == NULL ? "" : problem);
    return json_array_append_new(results, result) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result tests_run(const dv_auth_world *world, const json_t *tests, dv_time now,
                           dv_time end, dv_arena *arena, json_t *results, size_t *failed,
                           dv_error *error)
{
    for (size_t i = 0; i < json_array_size(tests) && (i == 0 || dv_time_monotonic() < end); i++) {
        const json_t *test = json_array_get(tests, i);
        const char *name = test_name(test, i, arena);
        dv_error detail = {0};
        if (name == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        dv_result result = test_run(world, test, name, now, arena, results, failed, &detail);
        if (result != DV_OK) {
            return dv_error_set(error, result, "%.100s: %.380s", name,
                                detail.message[0] != '\0' ? detail.message
                                                          : dv_result_name(result));
        }
    }
    return DV_OK;
}

dv_result dv_auth_tests_run(const dv_auth_world *world, const json_t *tests, dv_time now,
                            dv_time end, dv_arena *arena, json_t **ret_report, dv_error *error)
{
    size_t failed = 0;
    size_t count = json_array_size(tests);
    if (count == 0 || count > TESTS_MAX) {
        return dv_error_set(error, DV_ERR_INVALID, "tests is a list of 1 to %d", TESTS_MAX);
    }
    json_t *results = json_array();
    dv_result result = results == NULL
                           ? DV_ERR_NO_MEMORY
                           : tests_run(world, tests, now, end, arena, results, &failed, error);
    if (result != DV_OK) {
        json_decref(results);
        return result;
    }
    size_t total = json_array_size(results);
    json_t *report =
        json_pack("{s:I, s:I, s:I, s:o}", "total", (json_int_t)total, "failed", (json_int_t)failed,
                  "rest", (json_int_t)(count - total), "results", results);
    *ret_report = report;
    return report == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}
