/* SPDX-License-Identifier: Apache-2.0 */
/* Policies and sets of them (specs: syntax-policy, syntax-grammar). */
#include "engine/cedar/parser.h"
#include "engine/cedar/policy_set.h"

#include "base/caps.h"
#include "base/codec.h"

static const char *const scope_words[DV_CEDAR_DIMENSIONS] = {"principal", "action", "resource"};

static dv_result parse_entity(dv_cedar_parser *parser, dv_slice *ret_uid)
{
    dv_slice path = {0}, uid = {0};

    if (parser->token.kind == DV_CEDAR_TOKEN_SLOT) {
        return dv_cedar_parser_error(parser, "an entity: templates are not supported,");
    }
    DV_TRY(dv_cedar_parse_path(parser, &path, &uid));
    if (uid.len == 0) {
        return dv_cedar_parser_error(parser, "'::' and the entity's id");
    }
    *ret_uid = uid;
    return DV_OK;
}

static dv_result add_uid(dv_cedar_parser *parser, dv_cedar_list *uids)
{
    dv_slice uid = {0};

    DV_TRY(parse_entity(parser, &uid));
    return dv_cedar_list_add(parser->arena, uids, &uid, sizeof(uid));
}

/* '[' [EntList] ']', behind the bracket. */
static dv_result parse_uids(dv_cedar_parser *parser, dv_cedar_list *uids)
{
    bool more = false;

    DV_TRY(dv_cedar_parser_accept(parser, "]", &more));
    if (more) {
        return DV_OK;
    }
    do {
        DV_TRY(add_uid(parser, uids));
        DV_TRY(dv_cedar_parser_accept(parser, ",", &more));
    } while (more);
    return dv_cedar_parser_expect(parser, "]");
}

/* The type of an action is Action, in whatever namespace. */
static dv_result check_actions(const dv_cedar_parser *parser, size_t start,
                               const dv_cedar_list *uids)
{
    const dv_slice *list = uids->items;

    for (size_t i = 0; i < uids->count; i++) {
        dv_slice type = dv_slice_sub(list[i], 0, (size_t)dv_slice_find(list[i], DV_LIT("::\"")));
        if (!dv_slice_eq_str(type, "Action") && !dv_slice_ends_with(type, DV_LIT("::Action"))) {
            return dv_cedar_error_at(&parser->lexer, start, "an action's type must be Action");
        }
    }
    return DV_OK;
}

static dv_result parse_is_type(dv_cedar_parser *parser, dv_cedar_scope *scope)
{
    dv_slice uid = {0};

    DV_TRY(dv_cedar_parse_path(parser, &scope->type, &uid));
    return uid.len > 0 ? dv_cedar_parser_error(parser, "a type, not an entity, in front of this")
                       : DV_OK;
}

/* Principal, Action, Resource of the grammar. */
static dv_result parse_scope(dv_cedar_parser *parser, int dimension, dv_cedar_scope *ret_scope)
{
    dv_cedar_scope scope = {0};
    dv_cedar_list uids = {0};
    bool is_action = dimension == DV_CEDAR_ACTION, is = false, equal = false, in = false,
         list = false;

    DV_TRY(dv_cedar_parser_expect(parser, scope_words[dimension]));
    size_t start = parser->token.offset;
    if (!is_action) {
        DV_TRY(dv_cedar_parser_accept(parser, "is", &is));
    }
    if (is) {
        DV_TRY(parse_is_type(parser, &scope));
    } else {
        DV_TRY(dv_cedar_parser_accept(parser, "==", &equal));
    }
    if (!equal) {
        DV_TRY(dv_cedar_parser_accept(parser, "in", &in));
    }
    if (in && is_action) {
        DV_TRY(dv_cedar_parser_accept(parser, "[", &list));
    }
    if (list) {
        DV_TRY(parse_uids(parser, &uids));
    } else if (equal || in) {
        DV_TRY(add_uid(parser, &uids));
    }
    if (is_action) {
        DV_TRY(check_actions(parser, start, &uids));
    }
    scope.kind = equal ? DV_CEDAR_SCOPE_EQUAL : in ? DV_CEDAR_SCOPE_IN : DV_CEDAR_SCOPE_ANY;
    scope.uids = uids.items;
    scope.uid_count = uids.count;
    *ret_scope = scope;
    return DV_OK;
}

/* '@' ANYIDENT ['(' STR ')'], behind the sign. Each name once; @id gives the policy its id. */
static dv_result parse_annotation(dv_cedar_parser *parser, dv_cedar_list *names,
                                  dv_cedar_policy *policy)
{
    dv_slice name = parser->token.text, text = {0};
    const dv_slice *earlier = names->items;
    bool with_text = false;

    if (parser->token.kind != DV_CEDAR_TOKEN_IDENT) {
        return dv_cedar_parser_error(parser, "an annotation's name");
    }
    for (size_t i = 0; i < names->count; i++) {
        if (dv_slice_eq(earlier[i], name)) {
            return dv_cedar_parser_error(parser, "each annotation once,");
        }
    }
    DV_TRY(dv_cedar_list_add(parser->arena, names, &name, sizeof(name)));
    DV_TRY(dv_cedar_parser_advance(parser));
    DV_TRY(dv_cedar_parser_accept(parser, "(", &with_text));
    if (with_text) {
        DV_TRY(dv_cedar_parse_string(parser, &text));
        DV_TRY(dv_cedar_parser_expect(parser, ")"));
    }
    if (dv_slice_eq_str(name, "id")) {
        if (text.len == 0 || text.len > DV_LIMIT_NAME) {
            return dv_cedar_parser_error(parser, "an id of 1 to 128 bytes in front of this");
        }
        policy->id = text;
    }
    return DV_OK;
}

static dv_result parse_annotations(dv_cedar_parser *parser, dv_cedar_policy *policy)
{
    dv_cedar_list names = {0};
    bool more = false;

    for (;;) {
        DV_TRY(dv_cedar_parser_accept(parser, "@", &more));
        if (!more) {
            return DV_OK;
        }
        if (names.count == DV_LIMIT_CEDAR_ANNOTATIONS) {
            return dv_cedar_parser_error(parser, "fewer annotations");
        }
        DV_TRY(parse_annotation(parser, &names, policy));
    }
}

static dv_result parse_conditions(dv_cedar_parser *parser, dv_cedar_policy *policy)
{
    dv_cedar_list conditions = {0};
    bool when = false;

    for (;;) {
        dv_cedar_condition condition = {0};
        DV_TRY(dv_cedar_parser_accept(parser, "when", &when));
        if (!when) {
            DV_TRY(dv_cedar_parser_accept(parser, "unless", &condition.unless));
        }
        if (!when && !condition.unless) {
            break;
        }
        DV_TRY(dv_cedar_parser_expect(parser, "{"));
        DV_TRY(dv_cedar_parse_expression(parser, &condition.expression));
        DV_TRY(dv_cedar_parser_expect(parser, "}"));
        DV_TRY(dv_cedar_list_add(parser->arena, &conditions, &condition, sizeof(condition)));
    }
    policy->conditions = conditions.items;
    policy->condition_count = conditions.count;
    return DV_OK;
}

static dv_result parse_policy(dv_cedar_parser *parser, dv_cedar_policy *ret_policy)
{
    dv_cedar_policy policy = {0};

    DV_TRY(parse_annotations(parser, &policy));
    policy.forbid = dv_cedar_parser_at(parser, "forbid");
    if (!policy.forbid && !dv_cedar_parser_at(parser, "permit")) {
        return dv_cedar_parser_error(parser, "'permit' or 'forbid'");
    }
    DV_TRY(dv_cedar_parser_advance(parser));
    DV_TRY(dv_cedar_parser_expect(parser, "("));
    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        DV_TRY(parse_scope(parser, d, &policy.scope[d]));
        DV_TRY(dv_cedar_parser_expect(parser, d < DV_CEDAR_RESOURCE ? "," : ")"));
    }
    DV_TRY(parse_conditions(parser, &policy));
    if (!dv_cedar_parser_at(parser, ";")) {
        return dv_cedar_parser_error(parser, "'when', 'unless' or ';'");
    }
    DV_TRY(dv_cedar_parser_advance(parser));
    *ret_policy = policy;
    return DV_OK;
}

static dv_result name_policy(dv_cedar_parser *parser, dv_cedar_policy *policy, size_t number)
{
    if (policy->id.len > 0) {
        return DV_OK;
    }
    const char *id = dv_arena_printf(parser->arena, "policy%zu", number);
    if (id == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    policy->id = dv_slice_str(id);
    return DV_OK;
}

static int order_ids(const void *a, const void *b)
{
    return dv_slice_cmp(*(const dv_slice *)a, *(const dv_slice *)b);
}

static dv_result check_ids(const dv_cedar_policy *policies, size_t count, dv_arena *arena,
                           dv_error *error)
{
    dv_slice *ids = dv_arena_alloc_raw(arena, (count + 1) * sizeof(*ids));

    if (ids == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        ids[i] = policies[i].id;
    }
    if (count > 1) {
        qsort(ids, count, sizeof(*ids), order_ids);
    }
    for (size_t i = 1; i < count; i++) {
        if (dv_slice_eq(ids[i - 1], ids[i])) {
            return dv_error_set(error, DV_ERR_INVALID, "two policies have the id '%.*s'",
                                DV_SLICE_ARGS(ids[i]));
        }
    }
    return DV_OK;
}

static dv_result parse_set(dv_slice text, dv_cedar_policy_set *set, dv_error *error)
{
    dv_cedar_parser parser = {.lexer = {.text = text, .error = error}, .arena = set->arena};
    dv_cedar_list policies = {0};

    DV_TRY(dv_cedar_parser_advance(&parser));
    while (parser.token.kind != DV_CEDAR_TOKEN_END) {
        dv_cedar_policy policy = {0};
        DV_TRY(parse_policy(&parser, &policy));
        DV_TRY(name_policy(&parser, &policy, policies.count));
        DV_TRY(dv_cedar_list_add(set->arena, &policies, &policy, sizeof(policy)));
    }
    set->policies = policies.items;
    set->count = policies.count;
    DV_TRY(check_ids(set->policies, set->count, set->arena, error));
    return dv_cedar_index_build(set->policies, set->count, set->arena, &set->index);
}

dv_result dv_cedar_parse(dv_slice text, dv_cedar_policy_set **ret_set, dv_error *error)
{
    if (text.len > DV_LIMIT_CEDAR_TEXT) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "policies may have %d bytes, these have %zu",
                            DV_LIMIT_CEDAR_TEXT, text.len);
    }
    if (!dv_utf8_valid(text)) {
        return dv_error_set(error, DV_ERR_INVALID, "the policies are not UTF-8");
    }
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = calloc(1, sizeof(*set));
    if (set == NULL || (set->arena = dv_arena_new(DV_LIMIT_CEDAR_MEMORY)) == NULL) {
        return dv_error_set(error, DV_ERR_NO_MEMORY, "out of memory");
    }
    /* The set keeps names that are slices of the text. */
    dv_result result = dv_arena_copy(set->arena, text, &text);
    if (result == DV_OK) {
        result = parse_set(text, set, error);
    }
    if (result == DV_ERR_NO_MEMORY || result == DV_ERR_TOO_LARGE) {
        return dv_error_set(error, result, "the policies take more memory than they may");
    }
    DV_TRY(result);
    *ret_set = set;
    set = NULL;
    return DV_OK;
}

void dv_cedar_policy_set_free(dv_cedar_policy_set *set)
{
    if (set != NULL) {
        dv_arena_free(set->arena);
        free(set);
    }
}

size_t dv_cedar_policy_count(const dv_cedar_policy_set *set)
{
    return set->count;
}
