/* SPDX-License-Identifier: Apache-2.0 */
/* Policies from JSON (specs: json-format). Strict: every object has the members that its kind has,
 * and no others. */
#include "engine/cedar/formats.h"
#include "engine/cedar/policy_reader.h"
#include "engine/cedar/policy_set.h"
#include "engine/cedar/uid.h"

#include "base/caps.h"

static dv_result add_uid(const dv_cedar_reader *r, uint32_t token, bool action, dv_cedar_list *uids)
{
    dv_slice uid = {0};

    DV_TRY(dv_cedar_policy_reader_uid(r, token, &uid));
    if (action && !dv_cedar_is_action(uid)) {
        return dv_cedar_reader_refuse(r, token, "an action's type must be Action");
    }
    return dv_cedar_list_add(r->arena, uids, &uid, sizeof(uid));
}

static dv_result read_slot(const dv_cedar_reader *r, uint32_t token, int dimension,
                           dv_cedar_scope *scope)
{
    const char *wanted = dimension == DV_CEDAR_PRINCIPAL ? "?principal" : "?resource";
    dv_slice name = {0};

    DV_TRY(dv_cedar_reader_text(r, token, &name));
    if (dimension == DV_CEDAR_ACTION || !dv_slice_eq_str(name, wanted)) {
        return dv_cedar_reader_refuse(r, token,
                                      "the slots are ?principal and ?resource, each in its place");
    }
    scope->slot = true;
    return DV_OK;
}

/* entity, slot or, for actions, entities: one of them */
static dv_result read_target(const dv_cedar_reader *r, uint32_t object, int dimension,
                             const uint32_t members[3], dv_cedar_scope *scope)
{
    bool action = dimension == DV_CEDAR_ACTION;
    dv_cedar_list uids = {0};

    if ((members[0] != 0) + (members[1] != 0) + (members[2] != 0) != 1) {
        return dv_cedar_reader_refuse(r, object, "one of entity, %s is wanted here",
                                      action ? "entities" : "slot");
    }
    if (members[1] != 0) {
        return read_slot(r, members[1], dimension, scope);
    }
    if (members[0] != 0) {
        DV_TRY(add_uid(r, members[0], action, &uids));
    } else {
        DV_TRY(dv_cedar_policy_reader_want(r, members[2], DV_JSON_ARRAY, "a list"));
        scope->list = true;
        for (uint32_t i = members[2] + 1; i < dv_cedar_reader_next(r, members[2]);
             i = dv_cedar_reader_next(r, i)) {
            DV_TRY(add_uid(r, i, action, &uids));
        }
    }
    scope->uids = uids.items;
    scope->uid_count = uids.count;
    return DV_OK;
}

/* op is: entity_type and perhaps in */
static dv_result read_scope_is(const dv_cedar_reader *r, uint32_t object, int dimension,
                               dv_cedar_scope *scope)
{
    static const char *const names[] = {"op", "entity_type", "in", NULL};
    static const char *const inner[] = {"entity", "slot", NULL};
    uint32_t members[3], targets[3] = {0};

    DV_TRY(dv_cedar_policy_reader_members(r, object, names, 2, members));
    DV_TRY(dv_cedar_policy_reader_type(r, members[1], &scope->type));
    if (members[2] == 0) {
        return DV_OK;
    }
    DV_TRY(dv_cedar_policy_reader_members(r, members[2], inner, 0, targets));
    scope->kind = DV_CEDAR_SCOPE_IN;
    return read_target(r, members[2], dimension, targets, scope);
}

/* op == and in */
static dv_result read_scope_target(const dv_cedar_reader *r, uint32_t object, int dimension,
                                   bool in, dv_cedar_scope *scope)
{
    static const char *const one[] = {"entity", "slot", "op", NULL};
    static const char *const several[] = {"entity", "slot", "entities", "op", NULL};
    bool list = in && dimension == DV_CEDAR_ACTION;
    uint32_t members[4] = {0};

    DV_TRY(dv_cedar_policy_reader_members(r, object, list ? several : one, 0, members));
    if (!list) {
        members[2] = 0; /* op */
    }
    scope->kind = in ? DV_CEDAR_SCOPE_IN : DV_CEDAR_SCOPE_EQUAL;
    return read_target(r, object, dimension, members, scope);
}

/* principal, action, resource */
static dv_result read_scope(const dv_cedar_reader *r, uint32_t token, int dimension,
                            dv_cedar_scope *ret_scope)
{
    static const char *const all[] = {"op", NULL};
    dv_cedar_scope scope = {.offset = r->json.tokens[token].start};
    uint32_t op_token = 0;
    dv_slice op = {0};

    DV_TRY(dv_cedar_policy_reader_want(r, token, DV_JSON_OBJECT, "an object with op"));
    op_token = dv_json_member(&r->json, token, "op");
    if (op_token == 0) {
        return dv_cedar_reader_refuse(r, token, "'op' is missing");
    }
    DV_TRY(dv_cedar_reader_text(r, op_token, &op));
    bool in = dv_slice_eq_str(op, "in");
    if (dv_slice_eq_str(op, "All")) {
        DV_TRY(dv_cedar_policy_reader_members(r, token, all, 1, &op_token));
    } else if (in || dv_slice_eq_str(op, "==")) {
        DV_TRY(read_scope_target(r, token, dimension, in, &scope));
    } else if (dv_slice_eq_str(op, "is") && dimension != DV_CEDAR_ACTION) {
        DV_TRY(read_scope_is(r, token, dimension, &scope));
    } else {
        return dv_cedar_reader_refuse(r, op_token, "there is no such op here");
    }
    *ret_scope = scope;
    return DV_OK;
}

static dv_result read_condition(dv_cedar_reader *r, uint32_t token,
                                dv_cedar_condition *ret_condition)
{
    static const char *const names[] = {"kind", "body", NULL};
    uint32_t members[2];
    dv_slice kind = {0};

    DV_TRY(dv_cedar_policy_reader_members(r, token, names, 2, members));
    DV_TRY(dv_cedar_reader_text(r, members[0], &kind));
    ret_condition->unless = dv_slice_eq_str(kind, "unless");
    if (!ret_condition->unless && !dv_slice_eq_str(kind, "when")) {
        return dv_cedar_reader_refuse(r, members[0], "the kinds are when and unless");
    }
    return dv_cedar_policy_reader_expression(r, members[1], &ret_condition->expression);
}

static dv_result read_conditions(dv_cedar_reader *r, uint32_t token, dv_cedar_policy *policy)
{
    dv_cedar_list conditions = {0};

    DV_TRY(dv_cedar_policy_reader_want(r, token, DV_JSON_ARRAY, "a list"));
    for (uint32_t i = token + 1; i < dv_cedar_reader_next(r, token);
         i = dv_cedar_reader_next(r, i)) {
        dv_cedar_condition condition = {0};
        DV_TRY(read_condition(r, i, &condition));
        DV_TRY(dv_cedar_list_add(r->arena, &conditions, &condition, sizeof(condition)));
    }
    policy->conditions = conditions.items;
    policy->condition_count = conditions.count;
    return DV_OK;
}

/* A name may be a reserved word, but nothing else than ANYIDENT. */
static bool is_annotation_name(dv_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!dv_cedar_ident_valid(dv_slice_sub(name, i, 1)) &&
            (i == 0 || name.ptr[i] < '0' || name.ptr[i] > '9')) {
            return false;
        }
    }
    return name.len > 0;
}

/* annotations: a string, or null for none */
static dv_result read_annotations(const dv_cedar_reader *r, uint32_t token, dv_cedar_policy *policy)
{
    dv_cedar_list list = {0};

    if (token == 0) {
        return DV_OK;
    }
    DV_TRY(dv_cedar_policy_reader_want(r, token, DV_JSON_OBJECT, "an object"));
    for (uint32_t i = token + 1; i < dv_cedar_reader_next(r, token);
         i = dv_cedar_reader_next(r, i)) {
        dv_cedar_annotation one = {0};
        DV_TRY(dv_json_string(&r->json, i, r->arena, &one.name));
        if (!is_annotation_name(one.name) || list.count == DV_LIMIT_CEDAR_ANNOTATIONS) {
            return dv_cedar_reader_refuse(
                r, i, "up to %d annotations, each with an identifier, are wanted here",
                DV_LIMIT_CEDAR_ANNOTATIONS);
        }
        if (!dv_cedar_reader_is(r, i + 1, DV_JSON_NULL)) {
            DV_TRY(dv_cedar_reader_text(r, i + 1, &one.text));
        }
        DV_TRY(dv_cedar_list_add(r->arena, &list, &one, sizeof(one)));
    }
    policy->annotations = list.items;
    policy->annotation_count = list.count;
    return DV_OK;
}

static dv_result read_policy(dv_cedar_reader *r, uint32_t token, dv_cedar_policy *ret_policy)
{
    static const char *const names[] = {"effect",     "principal",   "action", "resource",
                                        "conditions", "annotations", NULL};
    dv_cedar_policy policy = {.offset = r->json.tokens[token].start};
    uint32_t members[6];
    dv_slice effect = {0};

    DV_TRY(dv_cedar_policy_reader_members(r, token, names, 5, members));
    DV_TRY(dv_cedar_reader_text(r, members[0], &effect));
    policy.forbid = dv_slice_eq_str(effect, "forbid");
    if (!policy.forbid && !dv_slice_eq_str(effect, "permit")) {
        return dv_cedar_reader_refuse(r, members[0], "the effects are permit and forbid");
    }
    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        DV_TRY(read_scope(r, members[1 + d], d, &policy.scope[d]));
    }
    DV_TRY(read_conditions(r, members[4], &policy));
    DV_TRY(read_annotations(r, members[5], &policy));
    *ret_policy = policy;
    return DV_OK;
}

/* staticPolicies, templates: a map from ids; each holds what its name says. */
static dv_result read_policies(dv_cedar_reader *r, uint32_t token, bool templates,
                               dv_cedar_draft *draft)
{
    if (token == 0) {
        return DV_OK;
    }
    DV_TRY(dv_cedar_policy_reader_want(r, token, DV_JSON_OBJECT, "an object"));
    for (uint32_t i = token + 1; i < dv_cedar_reader_next(r, token);
         i = dv_cedar_reader_next(r, i)) {
        dv_cedar_policy policy = {0};
        DV_TRY(read_policy(r, i + 1, &policy));
        DV_TRY(dv_json_string(&r->json, i, r->arena, &policy.id));
        if (policy.id.len == 0 || policy.id.len > DV_LIMIT_NAME) {
            return dv_cedar_reader_refuse(r, i, "an id has 1 to %d bytes", DV_LIMIT_NAME);
        }
        if (dv_cedar_policy_is_template(&policy) != templates) {
            return dv_cedar_reader_refuse(
                r, i, templates ? "a template has a slot" : "this is a template");
        }
        DV_TRY(dv_cedar_draft_add(draft, &policy));
    }
    return DV_OK;
}

static dv_result read_link(const dv_cedar_reader *r, uint32_t token, dv_cedar_link *ret_link)
{
    static const char *const names[] = {"templateId", "newId", "values", NULL};
    static const char *const slots[] = {"?principal", "?resource", NULL};
    uint32_t members[3], values[2];

    ret_link->offset = r->json.tokens[token].start;
    DV_TRY(dv_cedar_policy_reader_members(r, token, names, 3, members));
    DV_TRY(dv_cedar_reader_text(r, members[0], &ret_link->template_id));
    DV_TRY(dv_cedar_reader_text(r, members[1], &ret_link->id));
    DV_TRY(dv_cedar_policy_reader_members(r, members[2], slots, 0, values));
    if (values[0] != 0) {
        DV_TRY(dv_cedar_policy_reader_uid(r, values[0], &ret_link->principal));
    }
    return values[1] == 0 ? DV_OK : dv_cedar_policy_reader_uid(r, values[1], &ret_link->resource);
}

/* templateLinks */
static dv_result read_links(const dv_cedar_reader *r, uint32_t token, dv_cedar_list *links)
{
    if (token == 0) {
        return DV_OK;
    }
    DV_TRY(dv_cedar_policy_reader_want(r, token, DV_JSON_ARRAY, "a list"));
    for (uint32_t i = token + 1; i < dv_cedar_reader_next(r, token);
         i = dv_cedar_reader_next(r, i)) {
        dv_cedar_link link = {0};
        DV_TRY(read_link(r, i, &link));
        DV_TRY(dv_cedar_list_add(r->arena, links, &link, sizeof(link)));
    }
    return DV_OK;
}

/* id: of a policy that stands there by itself; empty: by its number. */
static dv_result read_policy_set(dv_cedar_reader *r, dv_slice id, dv_cedar_draft *draft,
                                 dv_cedar_list *links)
{
    static const char *const names[] = {"staticPolicies", "templates", "templateLinks", NULL};
    dv_cedar_policy policy = {0};
    uint32_t members[3];

    DV_TRY(dv_cedar_policy_reader_want(r, 0, DV_JSON_OBJECT, "an object"));
    if (dv_json_member(&r->json, 0, "effect") != 0) {
        DV_TRY(read_policy(r, 0, &policy));
        DV_TRY(dv_arena_copy(r->arena, id, &policy.id));
        return dv_cedar_draft_add(draft, &policy);
    }
    DV_TRY(dv_cedar_policy_reader_members(r, 0, names, 0, members));
    DV_TRY(read_policies(r, members[0], false, draft));
    DV_TRY(read_policies(r, members[1], true, draft));
    return read_links(r, members[2], links);
}

/* ret_part NULL: the links are made. */
static dv_result read_draft(dv_cedar_draft *draft, dv_slice id, dv_cedar_json_part *ret_part,
                            dv_error *error)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_CEDAR_JSON_DEPTH,
                                          .tokens = DV_LIMIT_CEDAR_JSON_TOKENS,
                                          .refuse_duplicate_keys = true};
    dv_cedar_reader r = {.arena = draft->set->arena,
                         .place = {.text = draft->set->text, .error = error}};
    dv_cedar_list links = {0};

    DV_TRY(dv_json_scan(r.place.text, &limits, r.arena, &r.json, error));
    DV_TRY(read_policy_set(&r, id, draft, &links));
    if (ret_part != NULL) {
        *ret_part = (dv_cedar_json_part){links.items, links.count};
        return dv_cedar_draft_finish(draft, NULL, 0, error);
    }
    return dv_cedar_draft_finish(draft, links.items, links.count, error);
}

static dv_result parse(dv_slice text, dv_slice id, dv_cedar_policy_set **ret_set,
                       dv_cedar_json_part *ret_part, dv_error *error)
{
    dv_cedar_draft draft = {0};

    if (text.len > DV_LIMIT_CEDAR_JSON) {
        return dv_error_set(error, DV_ERR_TOO_LARGE,
                            "policies may have %d bytes of JSON, these have %zu",
                            DV_LIMIT_CEDAR_JSON, text.len);
    }
    dv_result result = dv_cedar_draft_begin(text, &draft);
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = draft.set;
    if (result == DV_OK) {
        result = read_draft(&draft, id, ret_part, error);
    }
    if (result == DV_ERR_NO_MEMORY) {
        return dv_error_set(error, result, "the policies take more memory than they may");
    }
    DV_TRY(result);
    *ret_set = set;
    set = NULL;
    return DV_OK;
}

dv_result dv_cedar_json_parse(dv_slice text, dv_cedar_policy_set **ret_set, dv_error *error)
{
    return parse(text, DV_LIT(""), ret_set, NULL, error);
}

dv_result dv_cedar_json_parse_part(dv_slice text, dv_slice id, dv_cedar_policy_set **ret_set,
                                   dv_cedar_json_part *ret_part, dv_error *error)
{
    dv_cedar_json_part part = {0};

    DV_TRY(parse(text, id, ret_set, &part, error));
    *ret_part = part;
    return DV_OK;
}
