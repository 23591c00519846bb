/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of this folder share. Names and other texts are NUL-terminated and checked. */

#include "base/caps.h"
#include "core/audit.h"
#include "core/operation.h"
#include "room/auth/gate/api_key.h"
#include "room/auth/gate/record.h"
#include "store/change.h"
#include "store/store.h"

/* --- words (kind.c) -------------------------------------------------------------------------- */

typedef enum dv_auth_kind {
    DV_AUTH_USER,
    DV_AUTH_SERVICE,
    DV_AUTH_GROUP,
    DV_AUTH_ROLE,
    DV_AUTH_KIND_COUNT
} dv_auth_kind;

const char *dv_auth_kind_name(dv_auth_kind kind); /* "user": in SQL, the API, the change log */
const char *dv_auth_kind_type(dv_auth_kind kind); /* "User": in Cedar */
dv_must dv_result dv_auth_kind_parse(dv_slice name, dv_auth_kind *ret_kind);

/* One of them. */
typedef struct dv_auth_ref {
    dv_auth_kind kind;
    const char *name;
} dv_auth_ref;

typedef struct dv_auth_refs {
    const dv_auth_ref *items;
    size_t count;
} dv_auth_refs;

typedef struct dv_auth_names {
    const char *const *items;
    size_t count;
} dv_auth_names;

bool dv_auth_names_have(dv_auth_names names, const char *name);

/* User::"alice", in the arena; NULL when memory is out. */
const char *dv_auth_entity(dv_arena *arena, dv_auth_ref ref);

/* The other way round, with the name in the arena. Errors: DV_ERR_NOT_FOUND: of no such type. */
dv_must dv_result dv_auth_ref_parse(const char *entity, dv_arena *arena, dv_auth_ref *ret_ref);

/* Reads all rows of a one-column statement, or of a (kind, name) one. */
dv_must dv_result dv_auth_read_names(dv_statement *statement, dv_arena *arena,
                                     dv_auth_names *ret_names, dv_error *error);
dv_must dv_result dv_auth_read_refs(dv_statement *statement, dv_arena *arena,
                                    dv_auth_refs *ret_refs, dv_error *error);

/* --- changes (change.c) ---------------------------------------------------------------------- */

/* Runs the work of a handler as one change: a transaction with the work's rows, its audit records
 * and its entries in the change log, and the snapshot that shows it. Either all of it is in force
 * when DV_OK returns, or the store is as before (only if the snapshot alone fails, after the
 * store's commit, DV_ERR_UNAVAILABLE says so and the next change or tick mends it). */
typedef dv_result (*dv_auth_work)(dv_call *call, dv_error *error);
dv_must dv_result dv_auth_change(dv_call *call, dv_auth_work work, dv_error *error);

/* Notes that what the snapshot says of this one must be made anew: a user or service itself; for a
 * group or role all who are in it or have it. */
dv_must dv_result dv_auth_touch(dv_call *call, dv_auth_ref ref, dv_error *error);
dv_must dv_result dv_auth_touch_key(dv_call *call, const char *id, dv_error *error);
dv_must dv_result dv_auth_touch_policies(dv_call *call, dv_error *error);

/* --- the snapshot (publish.c) ---------------------------------------------------------------- */

/* Puts what changed since the snapshot's sequence, as the store has it now, into its running write
 * transaction. *ret_last: the sequence to commit it with. */
dv_must dv_result dv_auth_publish(dv_services *services, uint64_t *ret_last, dv_error *error);
/* Makes all of it anew, in one transaction of the snapshot. */
dv_must dv_result dv_auth_rebuild(dv_services *services, dv_error *error);
/* Replays or rebuilds, as needed. */
dv_must dv_result dv_auth_catch_up(dv_services *services, dv_error *error);

/* Roles as Cedar policies, one each (policy.c). */
dv_must dv_result dv_auth_policies_write(dv_store *store, dv_buf *out, dv_error *error);
/* The one of a role with these permissions; without any: nothing. */
dv_must dv_result dv_auth_role_policy_write(const char *role, dv_auth_names permissions,
                                            dv_buf *out);

/* --- who belongs where (graph.c) ------------------------------------------------------------- */

/* Everything over one of them, the nearest first: the groups it is in and the roles it has,
 * directly or not. nodes[0] is itself. */
typedef struct dv_auth_node {
    dv_auth_ref ref;
    size_t from;   /* the node by which it was reached first, or by which it lasts longest */
    dv_time until; /* when it ends to be over the first one; DV_TIME_NEVER: it does not */
} dv_auth_node;

typedef struct dv_auth_walk {
    dv_auth_node nodes[1 + DV_LIMIT_ANCESTORS];
    size_t count;
} dv_auth_walk;

/* What has ended by now is left out. Names lie in the arena. Errors: DV_ERR_TOO_LARGE: more than
 * DV_LIMIT_ANCESTORS. */
dv_must dv_result dv_auth_walk_up(dv_store *store, dv_auth_ref start, dv_arena *arena,
                                  dv_auth_walk *ret_walk, dv_error *error);
/* Users and services in the group or with the role, directly or not. */
dv_must dv_result dv_auth_principals_below(dv_store *store, dv_auth_ref ref, dv_arena *arena,
                                           dv_auth_refs *ret_refs, dv_error *error);
/* All permissions of the user, service, group or role at that time, inherited ones included. */
dv_must dv_result dv_auth_permissions(dv_store *store, dv_auth_ref ref, dv_time at, dv_arena *arena,
                                      dv_auth_names *ret_permissions, dv_error *error);
/* Whether no active user or service would have `*` without this edge (a role that subject has, or a
 * group that it is in), while one has it with it. Roles of a broken glass are no answer: they end.
 */
dv_must dv_result dv_auth_is_last_for_all(dv_call *call, dv_auth_ref subject, dv_auth_ref object,
                                          bool *ret_last, dv_error *error);
/* Refuses an edge that would close a circle. */
dv_must dv_result dv_auth_check_group_edge(dv_store *store, const char *group, const char *member,
                                           dv_error *error);
dv_must dv_result dv_auth_check_role_edge(dv_store *store, const char *role, const char *parent,
                                          dv_error *error);

/* --- who is who (people.c) ------------------------------------------------------------------- */

/* The entity itself and all groups and roles over it, in the call's arena. What is neither user,
 * service, group nor role is in nothing. */
dv_must dv_result dv_auth_entities_of(dv_call *call, const char *entity,
                                      const char *const **ret_entities, size_t *ret_count,
                                      dv_error *error);

/* --- handing out and taking away (grant.c) --------------------------------------------------- */

/* On control.sock everything may be handed out. */
bool dv_auth_caller_is_the_machine(const dv_call *call); /* there, or Dvara itself */

/* A time that only what has no end outlives. */
#define DV_AUTH_FOR_GOOD (DV_TIME_NEVER - 1)
/* DV_ERR_FORBIDDEN when ref has a permission by its roles that the caller lacks. at: the last
 * moment of what is handed out, when he must still have it himself. */
dv_must dv_result dv_auth_check_permissions(dv_call *call, dv_auth_ref ref, dv_time at,
                                            dv_error *error);
/* DV_ERR_FORBIDDEN when a policy that is no role's names ref, or a group or role over it, unless
 * the caller may change policies: he alone may say for whom such a policy decides. */
dv_must dv_result dv_auth_check_named(dv_call *call, dv_auth_ref ref, dv_error *error);
/* Both: whether the caller may hand ref out, or (at: now) take it away. */
dv_must dv_result dv_auth_check_grant(dv_call *call, dv_auth_ref ref, dv_time at, dv_error *error);
/* The same for a key of that owner with these scopes (a space between them; empty: not confined).
 * His own is good for no more than he is, whenever that ends; a confined key makes and rotates none
 * with other scopes than its own. */
dv_must dv_result dv_auth_check_key(dv_call *call, dv_auth_ref owner, dv_slice scopes,
                                    dv_error *error);
/* Permissions in two steps, for changes to what the caller may have himself: read before the first
 * row is written, check afterwards. */
typedef struct dv_auth_grantor {
    bool all;          /* the machine itself */
    dv_auth_names own; /* in the call's arena */
} dv_auth_grantor;

dv_must dv_result dv_auth_grantor_read(dv_call *call, dv_time at, dv_auth_grantor *ret_grantor,
                                       dv_error *error);
dv_must dv_result dv_auth_grantor_check(dv_call *call, const dv_auth_grantor *grantor,
                                        dv_auth_ref ref, dv_error *error);
/* --- users, services, groups (entity.c) ------------------------------------------------------ */

/* DV_ERR_NOT_FOUND with a sentence. */
dv_must dv_result dv_auth_require(dv_store *store, dv_auth_ref ref, dv_error *error);
dv_must dv_result dv_auth_entity_insert(dv_call *call, dv_auth_ref ref, const char *email,
                                        const char *description, dv_error *error);
dv_must dv_result dv_auth_member_insert(dv_call *call, const char *group, dv_auth_ref member,
                                        dv_error *error);
/* Errors: DV_ERR_FORBIDDEN (grant.c), DV_ERR_NOT_FOUND: is not directly in it. */
dv_must dv_result dv_auth_member_delete(dv_call *call, const char *group, dv_auth_ref member,
                                        dv_error *error);
dv_must dv_result dv_auth_entity_json(dv_call *call, dv_auth_ref ref, json_t **ret_json,
                                      dv_error *error);

/* --- roles (role.c) -------------------------------------------------------------------------- */

typedef struct dv_auth_role {
    const char *name;
    const char *description; /* or NULL */
    const char *source;      /* "builtin", "api", "yaml" */
    dv_auth_names permissions;
    dv_auth_names parents;
} dv_auth_role;

typedef enum dv_auth_difference { DV_AUTH_SAME, DV_AUTH_CHANGED, DV_AUTH_NEW } dv_auth_difference;
/* How the role differs from the store's of that name. */
dv_must dv_result dv_auth_role_compare(dv_call *call, const dv_auth_role *role,
                                       dv_auth_difference *ret_difference, dv_error *error);
/* Makes the role so, with touch and audit record. */
dv_must dv_result dv_auth_role_write(dv_call *call, const dv_auth_role *role, bool is_new,
                                     dv_error *error);
/* The same, when it is not so already. */
dv_must dv_result dv_auth_role_put(dv_call *call, const dv_auth_role *role, dv_error *error);
dv_must dv_result dv_auth_role_read(dv_store *store, const char *name, dv_arena *arena,
                                    dv_auth_role *ret_role, dv_error *error);
dv_must dv_result dv_auth_role_remove(dv_call *call, const char *name, dv_error *error);
/* For how long and why; zero: for good. */
typedef struct dv_auth_grant {
    dv_time until;      /* 0: for good */
    bool break_glass;   /* in an emergency: asks for another permission, and alerts */
    const char *reason; /* or NULL */
} dv_auth_grant;

dv_must dv_result dv_auth_assign(dv_call *call, const char *role, dv_auth_ref holder,
                                 const dv_auth_grant *grant, dv_error *error);
/* Errors: DV_ERR_FORBIDDEN (grant.c), DV_ERR_NOT_FOUND: does not have it itself. */
dv_must dv_result dv_auth_unassign(dv_call *call, const char *role, dv_auth_ref holder,
                                   dv_error *error);
/* Takes away the roles that have ended, with their records. The gates have left them out since. */
dv_must dv_result dv_auth_grants_sweep(dv_services *services, dv_error *error);

extern const dv_auth_role DV_AUTH_BUILTIN_ROLES[];
extern const size_t DV_AUTH_BUILTIN_ROLE_COUNT;
const dv_auth_role *dv_auth_builtin_role(const char *name); /* or NULL */

/* --- API keys (api_key.c) -------------------------------------------------------------------- */

typedef struct dv_auth_new_key {
    dv_auth_ref owner;
    const char *name;   /* or NULL */
    dv_time expires;    /* DV_TIME_NEVER */
    const char *scopes; /* with a space between them */
} dv_auth_new_key;

/* Makes a key; its whole text, the only time that it is seen, is written to secret. */
dv_must dv_result dv_auth_key_make(dv_call *call, const dv_auth_new_key *wanted,
                                   char secret[DV_API_KEY_LEN + 1], const char **ret_id,
                                   dv_error *error);

/* --- access reviews (review.c) --------------------------------------------------------------- */

/* To be called where a grant ends, in the transaction that ends it: items about it are decided.
 * NULL: whatever the subject, or the object; not both. */
dv_must dv_result dv_review_note_gone(dv_call *call, const dv_auth_ref *subject,
                                      const dv_auth_ref *object, dv_error *error);
/* Deadlines. */
dv_must dv_result dv_review_tick(dv_services *services, dv_error *error);

/* --- secrets (pepper.c) ---------------------------------------------------------------------- */

enum { DV_PEPPER_LEN = 32 };
/* STATE/keys/pepper. make: makes it when missing. */
dv_must dv_result dv_auth_pepper_read(const dv_services *services, bool make,
                                      uint8_t out[DV_PEPPER_LEN], dv_error *error);

/* --- JSON (json.c) --------------------------------------------------------------------------- */

/* Sets a member; a NULL value (memory is out, or really absent) fails. Takes over the value. */
dv_must dv_result dv_auth_json_set(json_t *object, const char *name, json_t *value);
json_t *dv_auth_json_text(const char *text); /* NULL gives null */
json_t *dv_auth_json_time(dv_time time);     /* RFC 3339; 0 and DV_TIME_NEVER give null */
json_t *dv_auth_json_names(dv_auth_names names);
json_t *dv_auth_json_ids(const dv_slice *ids, size_t count);

/* Copies an array of strings from the body into the arena; absent: none. */
dv_must dv_result dv_auth_field_names(dv_call *call, const char *field, dv_auth_names *ret_names);

/* The body's field as a time to come: a duration from now, or a time (RFC 3339); absent: 0. */
dv_must dv_result dv_auth_field_time(dv_call *call, const char *field, dv_time *ret_time,
                                     dv_error *error);

/* The one of the body's fields user, service, group (up to `last`) that is given. */
dv_must dv_result dv_auth_field_ref(dv_call *call, dv_auth_kind last, dv_auth_ref *ret_ref,
                                    dv_error *error);

/* A page of a list: names after the cursor, each made into an item. The statement gives one name
 * more than the limit, when there is one, so that the page knows of the next. */
typedef dv_result (*dv_auth_item)(dv_call *call, const char *name, json_t **ret_json,
                                  dv_error *error);
const char *dv_auth_list_cursor(const dv_call *call); /* "" at the beginning */
int64_t dv_auth_list_limit(const dv_call *call);
dv_must dv_result dv_auth_list_answer(dv_call *call, dv_statement *page, dv_auth_item item,
                                      dv_error *error);
/* The whole of it, for sql with ?1 the cursor and ?2 how many. */
dv_must dv_result dv_auth_list(dv_call *call, const char *sql, dv_auth_item item, dv_error *error);
