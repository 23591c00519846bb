/* SPDX-License-Identifier: Apache-2.0 */
/* Policies and sets of them (specs: syntax-policy, syntax-grammar). */
#include "engine/cedar/parser.h"
#include "engine/cedar/policy_set.h"

#include "base/caps.h"

static const char *const scope_words[DV_CEDAR_DIMENSIONS] = {"principal", "action", "resource"};

/* Entity ::= Path '::' STR */
static dv_result parse_entity(dv_cedar_parser *parser, dv_slice *ret_uid)
{
    dv_slice path = {0}, uid = {0};

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
    bool empty = false, more = true;

    DV_TRY(dv_cedar_parser_accept(parser, "]", &empty));
    while (!empty && more) {
        DV_TRY(add_uid(parser, uids));
        DV_TRY(dv_cedar_parse_more(parser, "]", &more));
    }
    return DV_OK;
}

/* Entity | '?principal' | '?resource': the slot is named for its place (specs: templates). */
static dv_result parse_entity_or_slot(dv_cedar_parser *parser, int dimension, dv_cedar_list *uids,
                                      bool *ret_slot)
{
    dv_slice slot = parser->token.text;

    if (parser->token.kind != DV_CEDAR_TOKEN_SLOT) {
        return add_uid(parser, uids);
    }
    if (dimension == DV_CEDAR_ACTION) {
        return dv_cedar_parser_error(parser, "an entity: only principal and resource have slots,");
    }
    if (!dv_slice_eq_str(dv_slice_sub(slot, 1, slot.len), scope_words[dimension])) {
        return dv_cedar_parser_error(parser, dimension == DV_CEDAR_PRINCIPAL ? "'?principal'"
                                                                             : "'?resource'");
    }
    *ret_slot = true;
    return dv_cedar_parser_advance(parser);
}

static dv_result check_actions(const dv_cedar_parser *parser, size_t start,
                               const dv_cedar_list *uids)
{
    const dv_slice *list = uids->items;

    for (size_t i = 0; i < uids->count; i++) {
        if (!dv_cedar_is_action(list[i])) {
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
    bool is_action = dimension == DV_CEDAR_ACTION, is = false, equal = false, in = false;

    scope.offset = (uint32_t)parser->token.offset;
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
        DV_TRY(dv_cedar_parser_accept(parser, "[", &scope.list));
    }
    if (scope.list) {
        DV_TRY(parse_uids(parser, &uids));
    } else if (equal || in) {
        DV_TRY(parse_entity_or_slot(parser, dimension, &uids, &scope.slot));
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

/* Annotation of the grammar; an @id with text gives the policy its id. */
static dv_result parse_annotations(dv_cedar_parser *parser, dv_cedar_policy *policy)
{
    dv_cedar_annotations annotations = {0};

    DV_TRY(dv_cedar_parse_annotations(parser, &annotations));
    policy->annotations = annotations.items;
    policy->annotation_count = annotations.count;
    for (size_t i = 0; i < annotations.count; i++) {
        if (dv_slice_eq_str(annotations.items[i].name, "id")) {
            policy->id = annotations.items[i].text;
        }
    }
    return policy->id.len <= DV_LIMIT_NAME
               ? DV_OK
               : dv_cedar_parser_error(parser, "an id of up to 128 bytes in front of this");
}

/* Condition ::= ('when' | 'unless') '{' Expr '}', any number of them. */
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

/* Effect ::= 'permit' | 'forbid' */
static dv_result parse_effect(dv_cedar_parser *parser, bool *ret_forbid)
{
    bool forbid = dv_cedar_parser_at(parser, "forbid");

    if (!forbid && !dv_cedar_parser_at(parser, "permit")) {
        return dv_cedar_parser_error(parser, "'permit' or 'forbid'");
    }
    *ret_forbid = forbid;
    return dv_cedar_parser_advance(parser);
}

/* '(' Scope ')'; Scope ::= Principal ',' Action ',' Resource, and as in lists a comma at the end.
 */
static dv_result parse_scopes(dv_cedar_parser *parser, dv_cedar_policy *policy)
{
    bool comma = false;

    DV_TRY(dv_cedar_parser_expect(parser, "("));
    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        DV_TRY(parse_scope(parser, d, &policy->scope[d]));
        if (d < DV_CEDAR_RESOURCE) {
            DV_TRY(dv_cedar_parser_expect(parser, ","));
        }
    }
    DV_TRY(dv_cedar_parser_accept(parser, ",", &comma));
    return dv_cedar_parser_expect(parser, ")");
}

/* Policy ::= {Annotation} Effect '(' Scope ')' {Conditions} ';' */
static dv_result parse_policy(dv_cedar_parser *parser, dv_cedar_policy *ret_policy)
{
    dv_cedar_policy policy = {.offset = (uint32_t)parser->token.offset};

    DV_TRY(parse_annotations(parser, &policy));
    DV_TRY(parse_effect(parser, &policy.forbid));
    DV_TRY(parse_scopes(parser, &policy));
    DV_TRY(parse_conditions(parser, &policy));
    if (!dv_cedar_parser_at(parser, ";")) {
        return dv_cedar_parser_error(parser, "'when', 'unless' or ';'");
    }
    DV_TRY(dv_cedar_parser_advance(parser));
    *ret_policy = policy;
    return DV_OK;
}

static dv_result parse_policies(dv_cedar_parser *parser, dv_cedar_draft *draft)
{
    DV_TRY(dv_cedar_parser_advance(parser));
    while (parser->token.kind != DV_CEDAR_TOKEN_END) {
        dv_cedar_policy policy = {0};
        DV_TRY(parse_policy(parser, &policy));
        DV_TRY(dv_cedar_draft_add(draft, &policy));
    }
    return DV_OK;
}

static const char too_large[] = "the policies take more memory than they may";

/* What is too large is told where reading stood. */
static dv_result parse_set(dv_cedar_draft *draft, dv_error *error)
{
    dv_cedar_parser parser = {.lexer = {.text = draft->set->text, .error = error},
                              .arena = draft->set->arena};
    dv_result result = parse_policies(&parser, draft);

    return result == DV_OK || result == DV_ERR_INVALID
               ? result
               : dv_cedar_fail_at(&parser.lexer, parser.token.offset, result, too_large);
}

dv_result dv_cedar_parse_linked(dv_slice text, const dv_cedar_link *links, size_t count,
                                dv_cedar_policy_set **ret_set, dv_error *error)
{
    dv_cedar_draft draft = {0};

    if (text.len > DV_LIMIT_CEDAR_TEXT) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "policies may have %d bytes, these have %zu",
                            DV_LIMIT_CEDAR_TEXT, text.len);
    }
    DV_TRY(
        dv_cedar_check_utf8(&(dv_cedar_lexer){.text = text, .error = error}, "the policies are"));
    dv_result result = dv_cedar_draft_begin(text, &draft);
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = draft.set;
    if (result == DV_OK) {
        DV_TRY(parse_set(&draft, error));
        result = dv_cedar_draft_finish(&draft, links, count, error);
    }
    if (result == DV_ERR_NO_MEMORY || result == DV_ERR_TOO_LARGE) {
        return dv_error_set(error, result, too_large);
    }
    DV_TRY(result);
    *ret_set = set;
    set = NULL;
    return DV_OK;
}

dv_result dv_cedar_parse(dv_slice text, dv_cedar_policy_set **ret_set, dv_error *error)
{
    return dv_cedar_parse_linked(text, NULL, 0, ret_set, error);
}
