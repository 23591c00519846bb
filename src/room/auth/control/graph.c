/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/internal.h"

/* Groups over (?1, ?2): the kind and name of who is looked at. */
#define GROUPS_ABOVE                                                                               \
    "g (name) AS (SELECT group_name FROM auth_member"                                              \
    " WHERE member_kind = ?1 AND member_name = ?2"                                                 \
    " UNION SELECT m.group_name FROM auth_member m"                                                \
    " JOIN g ON m.member_kind = 'group' AND m.member_name = g.name)"

/* Roles of it, of the groups over it, and those they inherit; a role is its own, too. */
#define ROLES_ABOVE                                                                                \
    "r (name) AS (SELECT name FROM auth_role WHERE ?1 = 'role' AND name = ?2"                      \
    " UNION SELECT role FROM auth_assignment WHERE kind = ?1 AND name = ?2"                        \
    " AND coalesce(expires, ?3 + 1) > ?3"                                                          \
    " UNION SELECT a.role FROM auth_assignment a JOIN g ON a.kind = 'group' AND a.name = g.name"   \
    " AND coalesce(a.expires, ?3 + 1) > ?3"                                                        \
    " UNION SELECT p.parent FROM auth_role_parent p JOIN r ON p.role = r.name)"

/* --- upwards --------------------------------------------------------------------------------- */

typedef struct edge {
    const char *name;
    dv_time until;
} edge;

typedef struct edge_list {
    edge items[DV_LIMIT_ANCESTORS + 1]; /* one more than can be, to see that there are too many */
    size_t count;
} edge_list;

/* One level by its index, in order; a walk of several is cheaper than one recursive query, for
 * which SQLite makes and drops a table. */
static const char *above_sql(dv_auth_ref ref, dv_auth_kind kind)
{
    if (kind == DV_AUTH_GROUP) {
        return "SELECT group_name, NULL FROM auth_member WHERE member_kind = ?1"
               " AND member_name = ?2 AND ?3 > 0 ORDER BY group_name";
    }
    return ref.kind == DV_AUTH_ROLE
               ? "SELECT parent, NULL FROM auth_role_parent WHERE ?1 = 'role' AND role = ?2"
                 " AND ?3 > 0 ORDER BY parent"
               : "SELECT role, expires FROM auth_assignment WHERE kind = ?1 AND name = ?2"
                 " AND coalesce(expires, ?3 + 1) > ?3 ORDER BY role";
}

static dv_result above_read(dv_store *store, dv_auth_ref ref, dv_auth_kind kind, dv_arena *arena,
                            edge_list *edges, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    dv_result result = DV_OK;
    dv_slice name;
    DV_TRY(dv_store_query(store, &row, error, above_sql(ref, kind), "tti",
                          dv_auth_kind_name(ref.kind), ref.name, dv_time_now()));
    edges->count = 0;
    while (edges->count < DV_ARRAY_LEN(edges->items) &&
           (result = dv_statement_step(row, error)) == DV_OK) {
        DV_TRY(dv_arena_copy(arena, dv_column_slice(row, 0), &name));
        edges->items[edges->count++] =
            (edge){(const char *)name.ptr,
                   dv_column_is_null(row, 1) ? DV_TIME_NEVER : dv_column_int(row, 1)};
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_auth_node *seen(dv_auth_walk *walk, dv_auth_ref ref)
{
    dv_auth_node *found = NULL;
    for (size_t i = 0; i < walk->count && found == NULL; i++) {
        if (walk->nodes[i].ref.kind == ref.kind && strcmp(walk->nodes[i].ref.name, ref.name) == 0) {
            found = &walk->nodes[i];
        }
    }
    return found;
}

/* What is reached by two ways lasts as long as the longer one. *longer: something was reached
 * before and lasts longer now, and so may what is over it. */
static dv_result reach(dv_auth_walk *walk, size_t from, dv_auth_kind kind, const edge_list *edges,
                       bool *longer, dv_error *error)
{
    for (size_t i = 0; i < edges->count; i++) {
        dv_auth_ref ref = {kind, edges->items[i].name};
        dv_time until = DV_MIN(walk->nodes[from].until, edges->items[i].until);
        dv_auth_node *node = seen(walk, ref);
        if (node != NULL) {
            *longer = *longer || until > node->until;
            if (until > node->until) {
                node->until = until;
                node->from = from;
            }
            continue;
        }
        if (walk->count == DV_ARRAY_LEN(walk->nodes)) {
            return dv_error_set(error, DV_ERR_TOO_LARGE,
                                "%s %s would have more than %d groups and roles over it",
                                dv_auth_kind_name(walk->nodes[0].ref.kind), walk->nodes[0].ref.name,
                                DV_LIMIT_ANCESTORS);
        }
        walk->nodes[walk->count++] = (dv_auth_node){ref, from, until};
    }
    return DV_OK;
}

static dv_result walk_once(dv_store *store, dv_arena *arena, dv_auth_walk *walk, bool *longer,
                           dv_error *error)
{
    edge_list edges;
    for (size_t i = 0; i < walk->count; i++) {
        dv_auth_ref ref = walk->nodes[i].ref;
        if (ref.kind != DV_AUTH_ROLE) {
            DV_TRY(above_read(store, ref, DV_AUTH_GROUP, arena, &edges, error));
            DV_TRY(reach(walk, i, DV_AUTH_GROUP, &edges, longer, error));
        }
        DV_TRY(above_read(store, ref, DV_AUTH_ROLE, arena, &edges, error));
        DV_TRY(reach(walk, i, DV_AUTH_ROLE, &edges, longer, error));
    }
    return DV_OK;
}

/* Times only grow, so that it ends. */
dv_result dv_auth_walk_up(dv_store *store, dv_auth_ref start, dv_arena *arena,
                          dv_auth_walk *ret_walk, dv_error *error)
{
    bool longer = true;
    ret_walk->nodes[0] = (dv_auth_node){start, 0, DV_TIME_NEVER};
    ret_walk->count = 1;
    while (longer) {
        longer = false;
        DV_TRY(walk_once(store, arena, ret_walk, &longer, error));
    }
    return DV_OK;
}

/* --- downwards and across -------------------------------------------------------------------- */

dv_result dv_auth_principals_below(dv_store *store, dv_auth_ref ref, dv_arena *arena,
                                   dv_auth_refs *ret_refs, dv_error *error)
{
    static const char SQL[] =
        "WITH RECURSIVE r (name) AS (SELECT name FROM auth_role WHERE ?1 = 'role' AND name = ?2"
        " UNION SELECT p.role FROM auth_role_parent p JOIN r ON p.parent = r.name),"
        " e (kind, name) AS (SELECT kind, name FROM auth_entity WHERE kind = ?1 AND name = ?2"
        " UNION SELECT a.kind, a.name FROM auth_assignment a JOIN r ON a.role = r.name"
        " UNION SELECT m.member_kind, m.member_name FROM auth_member m"
        " JOIN e ON e.kind = 'group' AND m.group_name = e.name)"
        " SELECT kind, name FROM e WHERE kind <> 'group'";
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(
        dv_store_query(store, &statement, error, SQL, "tt", dv_auth_kind_name(ref.kind), ref.name));
    return dv_auth_read_refs(statement, arena, ret_refs, error);
}

dv_result dv_auth_permissions(dv_store *store, dv_auth_ref ref, dv_time at, dv_arena *arena,
                              dv_auth_names *ret_permissions, dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    /* A group has its own roles besides those of the groups over it: ROLES_ABOVE takes both. */
    DV_TRY(dv_store_query(store, &statement, error,
                          "WITH RECURSIVE " GROUPS_ABOVE ", " ROLES_ABOVE
                          " SELECT DISTINCT permission FROM auth_role_permission"
                          " JOIN r ON role = r.name ORDER BY permission",
                          "tti", dv_auth_kind_name(ref.kind), ref.name, at));
    return dv_auth_read_names(statement, arena, ret_permissions, error);
}

/* --- the last one ---------------------------------------------------------------------------- */

/* All who may do everything, but for the edge from (?1, ?2) to (?3, ?4) unless ?6 is 0. */
#define HOLDERS_OF_ALL                                                                             \
    "WITH RECURSIVE r (name) AS (SELECT role FROM auth_role_permission WHERE permission = '*'"     \
    " UNION SELECT p.role FROM auth_role_parent p JOIN r ON p.parent = r.name),"                   \
    " h (kind, name) AS (SELECT a.kind, a.name FROM auth_assignment a JOIN r ON a.role = r.name"   \
    " WHERE coalesce(a.expires, ?5 + 1) > ?5 AND a.break_glass = 0"                                \
    " AND (?6 = 0 OR ?3 <> 'role' OR a.role <> ?4 OR a.kind <> ?1 OR a.name <> ?2)"                \
    " UNION SELECT m.member_kind, m.member_name FROM auth_member m"                                \
    " JOIN h ON h.kind = 'group' AND m.group_name = h.name"                                        \
    " WHERE ?6 = 0 OR ?3 <> 'group' OR m.group_name <> ?4 OR m.member_kind <> ?1"                  \
    " OR m.member_name <> ?2)"                                                                     \
    " SELECT 1 FROM h JOIN auth_entity e ON e.kind = h.kind AND e.name = h.name"                   \
    " WHERE e.kind <> 'group' AND e.status = 'active' LIMIT 1"

static dv_result somebody_has_all(dv_call *call, dv_auth_ref subject, dv_auth_ref object,
                                  bool without, bool *ret_found, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error, HOLDERS_OF_ALL, "ttttii",
                          dv_auth_kind_name(subject.kind), subject.name,
                          dv_auth_kind_name(object.kind), object.name, call->now,
                          (int64_t)without));
    dv_result result = dv_statement_step(row, error);
    *ret_found = result == DV_OK;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

dv_result dv_auth_is_last_for_all(dv_call *call, dv_auth_ref subject, dv_auth_ref object,
                                  bool *ret_last, dv_error *error)
{
    bool other = false, before = false;
    DV_TRY(somebody_has_all(call, subject, object, true, &other, error));
    if (!other) {
        DV_TRY(somebody_has_all(call, subject, object, false, &before, error));
    }
    *ret_last = before && !other;
    return DV_OK;
}

/* --- circles --------------------------------------------------------------------------------- */

static dv_result exists(dv_store *store, const char *sql, const char *from, const char *to,
                        bool *ret_found, dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(store, &statement, error, sql, "tt", from, to));
    dv_result result = dv_statement_step(statement, error);
    if (result != DV_OK && result != DV_ERR_NOT_FOUND) {
        return result;
    }
    *ret_found = result == DV_OK;
    return DV_OK;
}

dv_result dv_auth_check_group_edge(dv_store *store, const char *group, const char *member,
                                   dv_error *error)
{
    bool above = false;
    DV_TRY(exists(store,
                  "WITH RECURSIVE g (name) AS (SELECT ?1"
                  " UNION SELECT m.group_name FROM auth_member m"
                  " JOIN g ON m.member_kind = 'group' AND m.member_name = g.name)"
                  " SELECT name FROM g WHERE name = ?2",
                  group, member, &above, error));
    return above ? dv_error_set(error, DV_ERR_CONFLICT,
                                "group %s is itself in group %s: groups can not form a circle",
                                group, member)
                 : DV_OK;
}

dv_result dv_auth_check_role_edge(dv_store *store, const char *role, const char *parent,
                                  dv_error *error)
{
    bool above = false;
    DV_TRY(exists(store,
                  "WITH RECURSIVE r (name) AS (SELECT ?1"
                  " UNION SELECT p.parent FROM auth_role_parent p JOIN r ON p.role = r.name)"
                  " SELECT name FROM r WHERE name = ?2",
                  parent, role, &above, error));
    return above
               ? dv_error_set(error, DV_ERR_CONFLICT,
                              "role %s inherits from %s: roles can not form a circle", parent, role)
               : DV_OK;
}
