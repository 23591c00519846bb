/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"

#include "engine/cedar/describe.h"
#include "engine/cedar/uid.h"
#include "room/auth/gate/auth_gate.h"
#include "room/auth/gate/resources.h"

/* What a search decides over. The store has the entities that are known; a policy may name others,
 * which can be permitted though nothing is known of them. */

typedef struct collector {
    const dv_access *access;
    dv_slice type;
    dv_slice after;
    dv_slice last; /* the store has more behind it: what policies name there comes later; or none */
    dv_slice *ids;
    size_t count;
    size_t capacity;
} collector;

static int order(dv_slice a, dv_slice b)
{
    int order = memcmp(a.ptr, b.ptr, DV_MIN(a.len, b.len));
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int order_ids(const void *a, const void *b)
{
    return order(*(const dv_slice *)a, *(const dv_slice *)b);
}

static dv_result add(collector *c, dv_slice id)
{
    dv_slice *ids =
        dv_arena_grow(c->access->call->arena, c->ids, c->count, &c->capacity, sizeof(*ids), 64);
    if (ids == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    c->ids = ids;
    c->ids[c->count++] = id;
    return DV_OK;
}

static const char *query_of(dv_slice type)
{
    static const struct {
        const char *type;
        const char *sql;
    } own[] = {
        {"User", "SELECT name FROM auth_entity WHERE kind = 'user' AND ?1 <> '' AND name > ?2"
                 " ORDER BY name LIMIT ?3"},
        {"Service", "SELECT name FROM auth_entity WHERE kind = 'service' AND ?1 <> '' AND name > ?2"
                    " ORDER BY name LIMIT ?3"},
        {"Group", "SELECT name FROM auth_entity WHERE kind = 'group' AND ?1 <> '' AND name > ?2"
                  " ORDER BY name LIMIT ?3"},
        {"Role", "SELECT name FROM auth_role WHERE ?1 <> '' AND name > ?2 ORDER BY name LIMIT ?3"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(own); i++) {
        if (dv_slice_eq_str(type, own[i].type)) {
            return own[i].sql;
        }
    }
    return "SELECT id FROM auth_external WHERE type = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
}

static dv_result add_stored(collector *c, dv_error *error)
{
    dv_auth_names names;
    dv_auto(statement) dv_statement *statement = NULL;
    dv_call *call = c->access->call;
    DV_TRY(dv_store_query(call->services->store, &statement, error, query_of(c->type), "ssi",
                          c->type, c->after, (int64_t)DV_LIMIT_CANDIDATES + 1));
    DV_TRY(dv_auth_read_names(statement, call->arena, &names, error));
    for (size_t i = 0; i < names.count; i++) {
        DV_TRY(add(c, dv_slice_str(names.items[i])));
    }
    if (names.count > DV_LIMIT_CANDIDATES) {
        c->last = dv_slice_str(names.items[names.count - 1]);
    }
    return DV_OK;
}

static dv_result visit(void *data, dv_slice uid)
{
    collector *c = data;
    dv_slice type, id;
    if (!dv_slice_starts_with(uid, c->type)) {
        return DV_OK;
    }
    DV_TRY(dv_cedar_uid_read(uid, c->access->call->arena, &type, &id));
    bool wanted = dv_slice_eq(type, c->type) && id.len > 0 && order(id, c->after) > 0 &&
                  (c->last.ptr == NULL || order(id, c->last) < 0);
    return wanted ? add(c, id) : DV_OK;
}

static dv_result add_named(collector *c)
{
    static const dv_cedar_part parts[] = {DV_CEDAR_PART_PRINCIPAL, DV_CEDAR_PART_ACTION,
                                          DV_CEDAR_PART_RESOURCE};
    for (size_t i = 0; i < DV_ARRAY_LEN(parts); i++) {
        DV_TRY(dv_cedar_scope_uids(c->access->policies, parts[i], visit, c));
    }
    /* Models and routes that dvara.yaml describes. */
    return dv_resources_each(dv_auth_gate_resources(c->access->call->services->gate), visit, c);
}

/* In order, each once. */
static void arrange(collector *c)
{
    size_t kept = 0;
    if (c->count > 1) {
        qsort(c->ids, c->count, sizeof(*c->ids), order_ids);
    }
    for (size_t i = 0; i < c->count; i++) {
        if (kept == 0 || !dv_slice_eq(c->ids[kept - 1], c->ids[i])) {
            c->ids[kept++] = c->ids[i];
        }
    }
    c->count = kept;
}

dv_result dv_access_candidates_read(const dv_access *access, dv_slice type, dv_slice after,
                                    dv_access_candidates *ret_candidates, dv_error *error)
{
    collector c = {.access = access, .type = type, .after = after};
    DV_TRY(add_stored(&c, error));
    DV_TRY(add_named(&c));
    arrange(&c);
    *ret_candidates = (dv_access_candidates){.ids = c.ids,
                                             .count = DV_MIN(c.count, (size_t)DV_LIMIT_CANDIDATES),
                                             .more = c.count > DV_LIMIT_CANDIDATES};
    return DV_OK;
}
