/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"
#include "room/auth/control/policies.h"
#include "room/auth/control/question.h"
#include "room/auth/control/review.h"

#include "core/data_access.h"
#include "engine/cedar/describe.h"
#include "room/auth/gate/auth_gate.h"

/* The grants that are in force: rows of the store, and decisions over the policies. */

enum { DECISIONS_MAX = 100000, SCRATCH_ARENA = 32 << 20 };

/* How long it is asked what policies permit. A review begins as one change, so that there are no
 * pages to end, and dvarad's one thread answers nobody else meanwhile. */
#define DECISIONS_TIME DV_SECOND

typedef struct collector {
    dv_call *call;
    const dv_review_scope *scope;
    const dv_review_deciders *deciders;
    dv_case_item *items;
    size_t count;
    size_t max;
    dv_auth_ref last; /* that was asked about, or no name */
    bool last_gives;
    const char *decider; /* that was looked at last */
    dv_auth_walk decider_up;
    dv_auth_question asked; /* the scope's action and resource as uids */
    dv_error *error;
} collector;

/* --- who decides ----------------------------------------------------------------------------- */

/* The user named for the group; NULL: none. */
static dv_result group_decider(collector *c, const char *group, const char **ret_entity)
{
    size_t len = strlen(group);
    for (size_t i = 0; i < c->deciders->by_group.count; i++) {
        const char *pair = c->deciders->by_group.items[i];
        if (strncmp(pair, group, len) == 0 && pair[len] == '=') {
            *ret_entity =
                dv_auth_entity(c->call->arena, (dv_auth_ref){DV_AUTH_USER, pair + len + 1});
            return *ret_entity == NULL ? DV_ERR_NO_MEMORY : DV_OK;
        }
    }
    return DV_OK;
}

/* Whether the decider is the subject, or in the group that is it; the same one is often asked about
 * again. */
static dv_result is_about(collector *c, const char *decider, const char *subject, bool *ret_is)
{
    dv_auth_ref ref, about;
    bool is = false;
    DV_TRY(dv_auth_ref_parse(subject, c->call->arena, &about));
    if (c->decider == NULL || strcmp(c->decider, decider) != 0) {
        c->decider = decider;
        c->decider_up.count = 0; /* Local::"root" is in no group */
        if (dv_auth_ref_parse(decider, c->call->arena, &ref) == DV_OK) {
            DV_TRY(dv_auth_walk_up(c->call->services->store, ref, c->call->arena, &c->decider_up,
                                   c->error));
        }
    }
    for (size_t i = 0; i < c->decider_up.count && !is; i++) {
        ref = c->decider_up.nodes[i].ref;
        is = ref.kind == about.kind && strcmp(ref.name, about.name) == 0;
    }
    *ret_is = is;
    return DV_OK;
}

/* Nobody is asked about himself: then the owner is. */
static dv_result decider_set(collector *c, dv_case_item *item, const char *group)
{
    bool himself = false;
    const char *decider = c->deciders->reviewer;
    if (group != NULL) {
        DV_TRY(group_decider(c, group, &decider));
    }
    DV_TRY(is_about(c, decider, item->subject, &himself));
    item->assignee = himself ? c->deciders->owner : decider;
    return DV_OK;
}

/* --- items ----------------------------------------------------------------------------------- */

/* Takes over details; NULL: memory was out. */
static dv_result item_add(collector *c, dv_case_item item, const char *group, json_t *details)
{
    dv_slice text;
    if (c->count == c->max) {
        json_decref(details);
        return dv_error_set(c->error, DV_ERR_TOO_LARGE,
                            "more than %zu grants are in this scope: name a group, a role or an "
                            "action",
                            c->max);
    }
    dv_auto(free) char *dumped = details == NULL ? NULL : json_dumps(details, JSON_COMPACT);
    json_decref(details);
    if (dumped == NULL || item.subject == NULL || item.object == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_arena_copy(c->call->arena, dv_slice_str(dumped), &text));
    item.details = (const char *)text.ptr;
    DV_TRY(decider_set(c, &item, group));
    c->items[c->count++] = item;
    return DV_OK;
}

/* --- roles and memberships ------------------------------------------------------------------- */

/* One row: subject's kind and name, object, since, until. */
typedef struct grant_row {
    dv_auth_ref subject;
    dv_auth_ref object;
    dv_time since;
    dv_time until; /* 0: for good */
} grant_row;

/* Whether `above` is ref itself, or over it. */
static dv_result is_over(collector *c, dv_auth_ref above, dv_auth_ref ref, bool *ret_is)
{
    dv_auth_walk walk;
    bool found = false;
    DV_TRY(dv_auth_walk_up(c->call->services->store, ref, c->call->arena, &walk, c->error));
    for (size_t i = 0; i < walk.count && !found; i++) {
        found =
            walk.nodes[i].ref.kind == above.kind && strcmp(walk.nodes[i].ref.name, above.name) == 0;
    }
    *ret_is = found;
    return DV_OK;
}

/* Whether what ref gives, or is given, is in the scope. */
static dv_result gives(collector *c, dv_auth_ref ref, bool *ret_in)
{
    dv_auth_names names;
    const dv_review_scope *scope = c->scope;
    if (scope->ref != NULL) {
        return is_over(c, *scope->ref, ref, ret_in);
    }
    if (scope->action == NULL) {
        *ret_in = true;
        return DV_OK;
    }
    DV_TRY(dv_auth_permissions(c->call->services->store, ref, c->call->now, c->call->arena, &names,
                               c->error));
    *ret_in = dv_auth_names_have(names, "*") || dv_auth_names_have(names, scope->action);
    return DV_OK;
}

/* A membership and a role give what their group or role has; in the scope of a group stand also the
 * roles that it, or a group in it, was given. Rows come in the order of their objects, so that the
 * last answer is often the next one, too. */
static dv_result in_scope(collector *c, const grant_row *row, bool *ret_in)
{
    const dv_review_scope *scope = c->scope;
    bool of_group =
        scope->ref != NULL && scope->ref->kind == DV_AUTH_GROUP && row->object.kind == DV_AUTH_ROLE;
    dv_auth_ref asked = of_group ? row->subject : row->object;
    if (c->last.name == NULL || c->last.kind != asked.kind ||
        strcmp(c->last.name, asked.name) != 0) {
        DV_TRY(gives(c, asked, &c->last_gives));
        c->last = asked;
    }
    *ret_in = c->last_gives;
    return DV_OK;
}

/* A user in the group has its roles by being in it, and his own by himself: those are no matter of
 * the group. */
static bool is_own_role(const collector *c, const grant_row *row)
{
    return c->scope->ref != NULL && c->scope->ref->kind == DV_AUTH_GROUP &&
           row->object.kind == DV_AUTH_ROLE && row->subject.kind != DV_AUTH_GROUP;
}

static dv_result row_add(collector *c, const grant_row *row)
{
    dv_arena *arena = c->call->arena;
    const char *group = row->object.kind == DV_AUTH_GROUP    ? row->object.name
                        : row->subject.kind == DV_AUTH_GROUP ? row->subject.name
                                                             : NULL;
    dv_case_item item = {.kind =
                             row->object.kind == DV_AUTH_GROUP ? DV_REVIEW_MEMBER : DV_REVIEW_ROLE,
                         .subject = dv_auth_entity(arena, row->subject),
                         .object = dv_auth_entity(arena, row->object)};
    return item_add(c, item, group,
                    json_pack("{s:o, s:o}", "since", dv_auth_json_time(row->since), "until",
                              dv_auth_json_time(row->until)));
}

static dv_result row_read(collector *c, dv_statement *row, dv_auth_kind object, grant_row *ret_row)
{
    dv_slice subject, name;
    grant_row read = {
        .object.kind = object, .since = dv_column_int(row, 3), .until = dv_column_int(row, 4)};
    DV_TRY(dv_auth_kind_parse(dv_column_slice(row, 0), &read.subject.kind));
    DV_TRY(dv_arena_copy(c->call->arena, dv_column_slice(row, 1), &subject));
    DV_TRY(dv_arena_copy(c->call->arena, dv_column_slice(row, 2), &name));
    read.subject.name = (const char *)subject.ptr;
    read.object.name = (const char *)name.ptr;
    *ret_row = read;
    return DV_OK;
}

static dv_result rows_add(collector *c, const char *sql, dv_auth_kind object)
{
    dv_auto(statement) dv_statement *rows = NULL;
    grant_row row;
    dv_result result;
    DV_TRY(dv_store_query(c->call->services->store, &rows, c->error, sql, "i", c->call->now));
    while ((result = dv_statement_step(rows, c->error)) == DV_OK) {
        bool wanted = false;
        DV_TRY(row_read(c, rows, object, &row));
        DV_TRY(is_own_role(c, &row) ? DV_OK : in_scope(c, &row, &wanted));
        DV_TRY(wanted ? row_add(c, &row) : DV_OK);
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_result stored_add(collector *c)
{
    DV_TRY(rows_add(c,
                    "SELECT kind, name, role, created, coalesce(expires, 0) FROM auth_assignment"
                    " WHERE expires IS NULL OR expires > ?1 ORDER BY role, kind, name",
                    DV_AUTH_ROLE));
    return rows_add(c,
                    "SELECT member_kind, member_name, group_name, created, 0 FROM auth_member"
                    " WHERE created <= ?1 ORDER BY group_name, member_kind, member_name",
                    DV_AUTH_GROUP);
}

/* --- policies -------------------------------------------------------------------------------- */

typedef struct asker {
    collector *c;
    dv_access access;
    dv_access_when when;
    dv_access_uids actions, resources;
    dv_principal principal;
    size_t first; /* of the principal's items */
    dv_arena *scratch;
    size_t decisions;
    dv_time end; /* by dv_time_monotonic */
} asker;

static dv_result policy_add(asker *a, const dv_access_asked *asked, dv_slice policy)
{
    collector *c = a->c;
    dv_slice principal = asked->principal->entity;
    for (size_t i = a->first; i < c->count; i++) {
        if (dv_slice_eq_str(policy, c->items[i].object)) {
            return DV_OK; /* once for each principal is enough: the policy is what is judged */
        }
    }
    dv_case_item item = {.kind = DV_REVIEW_POLICY,
                         .subject =
                             dv_arena_printf(c->call->arena, "%.*s", DV_SLICE_ARGS(principal)),
                         .object = dv_arena_printf(c->call->arena, "%.*s", DV_SLICE_ARGS(policy))};
    return item_add(c, item, NULL,
                    json_pack("{s:s%, s:s%}", "action", asked->action.ptr, asked->action.len,
                              "resource", asked->resource.ptr, asked->resource.len));
}

static bool is_of_role(dv_slice policy)
{
    return dv_slice_starts_with(policy, DV_LIT(DV_AUTH_ROLE_POLICY));
}

/* Those have reviews of their own (`dvara data review`). */
static bool is_of_data(dv_slice policy)
{
    return dv_slice_starts_with(policy, DV_LIT(DV_DATA_GRANT_POLICY));
}

static dv_result pair_decide(asker *a, const char *action, dv_slice resource)
{
    dv_access_verdict verdict;
    const dv_access_asked asked = {
        .principal = &a->principal, .action = dv_slice_str(action), .resource = resource};
    if (a->decisions++ == DECISIONS_MAX || dv_time_monotonic() > a->end) {
        return dv_error_set(a->c->error, DV_ERR_TOO_LARGE,
                            "more than %d decisions, or a second of them, for what policies "
                            "permit: name a group, a role, or an action and a resource",
                            DECISIONS_MAX);
    }
    dv_arena_reset(a->scratch);
    DV_TRY(dv_access_ask(&a->access, &a->when, &asked, a->scratch, &verdict, a->c->error));
    for (size_t i = 0; verdict.allowed && i < verdict.policy_count; i++) {
        bool other = is_of_role(verdict.policies[i]) || is_of_data(verdict.policies[i]);
        DV_TRY(other ? DV_OK : policy_add(a, &asked, verdict.policies[i]));
    }
    return DV_OK;
}

/* Who is suspended is permitted nothing. */
static dv_result principal_read(const dv_access *access, dv_auth_ref ref,
                                dv_principal *ret_principal)
{
    dv_time until;
    return dv_auth_gate_principal(
        access->call->services->snapshot,
        ref.kind == DV_AUTH_USER ? DV_PRINCIPAL_USER : DV_PRINCIPAL_SERVICE, dv_slice_str(ref.name),
        access->now, access->call->arena, ret_principal, &until);
}

static dv_result principal_decide(asker *a, dv_auth_ref ref)
{
    dv_result result = principal_read(&a->access, ref, &a->principal);
    DV_TRY(result == DV_ERR_UNAUTHENTICATED ? DV_OK : result);
    a->first = a->c->count;
    for (size_t i = 0; result == DV_OK && i < a->actions.count; i++) {
        const char *action = dv_access_action_name(a->actions.items[i], a->c->call->arena);
        for (size_t j = 0; action != NULL && j < a->resources.count; j++) {
            dv_slice resource = a->resources.items[j];
            bool sensible = a->c->scope->resource != NULL || dv_access_applies(action, resource);
            DV_TRY(sensible ? pair_decide(a, action, resource) : DV_OK);
        }
    }
    return DV_OK;
}

static dv_result principals_decide(asker *a)
{
    dv_auth_refs refs;
    collector *c = a->c;
    dv_call *call = c->call;
    dv_auto(statement) dv_statement *rows = NULL;
    if (c->scope->ref != NULL) {
        DV_TRY(dv_auth_principals_below(call->services->store, *c->scope->ref, call->arena, &refs,
                                        c->error));
    } else {
        DV_TRY(dv_store_query(call->services->store, &rows, c->error,
                              "SELECT kind, name FROM auth_entity WHERE kind <> 'group'"
                              " ORDER BY kind DESC, name",
                              ""));
        DV_TRY(dv_auth_read_refs(rows, call->arena, &refs, c->error));
    }
    for (size_t i = 0; i < refs.count; i++) {
        DV_TRY(principal_decide(a, refs.items[i]));
    }
    return DV_OK;
}

/* The uids of what the scope names; of what it does not, some. */
static dv_result scope_uids_read(collector *c)
{
    const dv_review_scope *scope = c->scope;
    json_t *json = json_pack("{s:s, s:s, s:s}", "principal", "User::\"x\"", "action",
                             scope->action == NULL ? "x" : scope->action, "resource",
                             scope->resource == NULL ? "System::\"dvara\"" : scope->resource);
    dv_result result =
        dv_auth_question_read(json, c->call->now, c->call->arena, &c->asked, c->error);
    json_decref(json);
    return result;
}

/* What the scope names, or everything that is known. */
static dv_result policies_ask(collector *c, asker *a)
{
    a->when = (dv_access_when){.at = c->call->now};
    a->actions = (dv_access_uids){&c->asked.action, 1};
    a->resources = (dv_access_uids){&c->asked.resource, 1};
    if (c->scope->action == NULL) {
        DV_TRY(dv_access_known_actions(&a->access, &a->actions, c->error));
    }
    if (c->scope->resource == NULL) {
        DV_TRY(dv_access_known_resources(&a->access, &a->resources, c->error));
    }
    return principals_decide(a);
}

/* Without policies of their own there is nothing that roles do not say. */
static dv_result policies_add(collector *c)
{
    int64_t version = 0;
    dv_auth_documents documents;
    dv_store *store = c->call->services->store;
    DV_TRY(dv_auth_version_last(store, &version, c->error));
    DV_TRY(dv_auth_documents_read(store, version, c->call->arena, &documents, c->error));
    if (documents.count == 0) {
        return DV_OK;
    }
    dv_auto(arena) dv_arena *scratch = dv_arena_new(SCRATCH_ARENA);
    asker a = {.c = c, .scratch = scratch, .end = dv_time_monotonic() + DECISIONS_TIME};
    if (scratch == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_access_begin(c->call, &a.access, c->error));
    dv_result result = policies_ask(c, &a);
    dv_access_end(&a.access);
    return result;
}

/* A slip of the pen would otherwise end as a review in which nothing was found. */
static dv_result action_check(collector *c)
{
    dv_auto(access) dv_access access = {0};
    if (c->scope->action == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_access_begin(c->call, &access, c->error));
    return dv_access_action_check(&access, "action", dv_slice_str(c->scope->action), c->error);
}

dv_result dv_review_collect(dv_call *call, const dv_review_scope *scope,
                            const dv_review_deciders *deciders, size_t max,
                            const dv_case_item **ret_items, size_t *ret_count, dv_error *error)
{
    collector c = {.call = call, .scope = scope, .deciders = deciders, .max = max, .error = error};
    c.items = dv_arena_alloc(call->arena, max * sizeof(*c.items));
    if (c.items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(scope_uids_read(&c));
    DV_TRY(action_check(&c));
    DV_TRY(stored_add(&c));
    DV_TRY(policies_add(&c));
    *ret_items = c.items;
    *ret_count = c.count;
    return DV_OK;
}

/* --- one item again -------------------------------------------------------------------------- */

static bool set_has(const dv_cedar_policy_set *set, const char *id)
{
    dv_cedar_policy_info info;
    bool found = false;
    for (size_t i = 0; i < dv_cedar_policy_count(set) && !found; i++) {
        dv_cedar_policy_describe(set, i, &info);
        found = dv_slice_eq_str(info.id, id);
    }
    return found;
}

dv_result dv_review_policy_is_there(dv_call *call, const dv_case_item *item, bool *ret_is,
                                    dv_error *error)
{
    dv_auth_ref subject;
    dv_auto(access) dv_access access = {0};
    DV_TRY(dv_auth_ref_parse(item->subject, call->arena, &subject));
    dv_result held = dv_auth_require(call->services->store, subject, error);
    DV_TRY(held == DV_ERR_NOT_FOUND ? DV_OK : held);
    DV_TRY(dv_access_begin(call, &access, error));
    *ret_is = held == DV_OK && set_has(access.policies, item->object);
    return DV_OK;
}

static dv_result permitted(const dv_access *access, const dv_case_item *item,
                           const dv_access_asked *asked, bool *ret_permitted, dv_error *error)
{
    dv_access_verdict verdict;
    const dv_access_when when = {.at = access->now};
    bool found = false;
    DV_TRY(dv_access_ask(access, &when, asked, access->call->arena, &verdict, error));
    for (size_t i = 0; verdict.allowed && i < verdict.policy_count && !found; i++) {
        found = dv_slice_eq_str(verdict.policies[i], item->object);
    }
    *ret_permitted = found;
    return DV_OK;
}

static dv_result item_ask(dv_call *call, const dv_case_item *item, const char *action,
                          const char *resource, bool *ret_permitted, dv_error *error)
{
    dv_auth_ref ref;
    dv_principal principal;
    dv_auto(access) dv_access access = {0};
    if (action == NULL || resource == NULL) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the item does not say what was permitted");
    }
    DV_TRY(dv_auth_ref_parse(item->subject, call->arena, &ref));
    DV_TRY(dv_access_begin(call, &access, error));
    dv_result result = principal_read(&access, ref, &principal);
    if (result != DV_OK) {
        *ret_permitted = false;
        return result == DV_ERR_UNAUTHENTICATED ? DV_OK : result;
    }
    const dv_access_asked asked = {.principal = &principal,
                                   .action = dv_slice_str(action),
                                   .resource = dv_slice_str(resource)};
    return permitted(&access, item, &asked, ret_permitted, error);
}

dv_result dv_review_permitted(dv_call *call, const dv_case_item *item, bool *ret_permitted,
                              dv_error *error)
{
    json_t *details = json_loads(item->details, 0, NULL);
    dv_result result =
        item_ask(call, item, json_string_value(json_object_get(details, "action")),
                 json_string_value(json_object_get(details, "resource")), ret_permitted, error);
    json_decref(details);
    return result;
}
