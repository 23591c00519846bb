/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/gate/resources.h"

#include "base/caps.h"
#include "core/resources.h"
#include "crypto/hash.h"
#include "engine/cedar/entities.h"

enum { RESOURCES_MEMORY = 64 << 20 };

#define MODEL "Model::\""
#define ROUTE "Route::\""
#define ANY_MODEL DV_LIT(MODEL DV_RESOURCES_ANY_MODEL "\"")

struct dv_resources {
    uint8_t digest[DV_SHA256_LEN]; /* of what was read */
    dv_arena *arena;               /* NULL: nothing was */
    const dv_cedar_entities *entities;
};

/* In the order of their names, as a record wants them. An empty set has no items. */
static const dv_cedar_attr EMPTY_ATTRIBUTES[] = {
    {{(const uint8_t *)"classification", 14}, {.type = DV_CEDAR_STRING}},
    {{(const uint8_t *)"labels", 6}, {.type = DV_CEDAR_SET}},
    {{(const uint8_t *)"tier", 4}, {.type = DV_CEDAR_STRING}},
};
static const dv_cedar_value EMPTY = {
    .type = DV_CEDAR_RECORD, .count = DV_ARRAY_LEN(EMPTY_ATTRIBUTES), .attrs = EMPTY_ATTRIBUTES};

dv_result dv_resources_new(dv_resources **ret_resources)
{
    dv_resources *resources = calloc(1, sizeof(*resources));
    if (resources == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_resources = resources;
    return DV_OK;
}

void dv_resources_free(dv_resources *resources)
{
    if (resources != NULL) {
        dv_arena_free(resources->arena);
        free(resources);
    }
}

static void forget(dv_resources *resources)
{
    dv_arena_free(resources->arena);
    *resources = (dv_resources){0};
}

static dv_result read_record(dv_resources *resources, dv_slice record, dv_error *error)
{
    const dv_cedar_entities *entities = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new(RESOURCES_MEMORY);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_cedar_entities_parse(dv_slice_sub(record, DV_SHA256_LEN, record.len), NULL, arena,
                                   &entities, error));
    forget(resources);
    resources->arena = arena;
    arena = NULL;
    resources->entities = entities;
    memcpy(resources->digest, record.ptr, DV_SHA256_LEN);
    return DV_OK;
}

dv_result dv_resources_refresh(dv_resources *resources, dv_snapshot *snapshot, dv_error *error)
{
    dv_slice record;
    dv_result result =
        dv_snapshot_get(snapshot, DV_TABLE_ROUTES, DV_LIT(DV_RESOURCES_KEY), &record);
    if (result == DV_ERR_NOT_FOUND) {
        forget(resources);
        return DV_OK;
    }
    DV_TRY(result);
    if (record.len < DV_SHA256_LEN) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the snapshot's record of models is too short");
    }
    return resources->arena != NULL && memcmp(record.ptr, resources->digest, DV_SHA256_LEN) == 0
               ? DV_OK
               : read_record(resources, record, error);
}

bool dv_resource_unknown(dv_slice uid, dv_cedar_entity *ret_entity)
{
    if (!dv_slice_starts_with(uid, DV_LIT(MODEL)) && !dv_slice_starts_with(uid, DV_LIT(ROUTE))) {
        return false;
    }
    *ret_entity = (dv_cedar_entity){.uid = uid, .attributes = &EMPTY};
    return true;
}

static bool is_upper(uint8_t c)
{
    return c >= 'A' && c <= 'Z';
}

/* Model::"GPT-X" as Model::"gpt-x", in `out`; one that is too long for any name stays. */
static dv_slice in_lower_case(dv_slice uid, uint8_t out[sizeof(MODEL) + DV_LIMIT_NAME + 1])
{
    size_t head = strlen(MODEL);
    if (uid.len > head + DV_LIMIT_NAME + 1) {
        return uid;
    }
    memcpy(out, uid.ptr, uid.len);
    for (size_t i = head; i < uid.len; i++) {
        out[i] = is_upper(out[i]) ? out[i] | 0x20 : out[i];
    }
    return dv_slice_of(out, uid.len);
}

static bool find_known(const dv_resources *resources, dv_slice uid, dv_cedar_entity *ret_entity)
{
    uint8_t lower[sizeof(MODEL) + DV_LIMIT_NAME + 1];
    void *entities = (void *)(uintptr_t)resources->entities;
    if (!dv_slice_starts_with(uid, DV_LIT(MODEL))) {
        return dv_cedar_entities_lookup(entities, uid, ret_entity);
    }
    return dv_cedar_entities_lookup(entities, in_lower_case(uid, lower), ret_entity) ||
           dv_cedar_entities_lookup(entities, ANY_MODEL, ret_entity);
}

bool dv_resources_find(const dv_resources *resources, dv_slice uid, dv_cedar_entity *ret_entity)
{
    if (!dv_resource_unknown(uid, ret_entity)) {
        return false;
    }
    if (resources->entities != NULL && find_known(resources, uid, ret_entity)) {
        ret_entity->uid = uid;
    }
    return true;
}

dv_result dv_resources_each(const dv_resources *resources,
                            dv_result (*visit)(void *data, dv_slice uid), void *data)
{
    size_t count = resources->entities == NULL ? 0 : dv_cedar_entities_count(resources->entities);
    for (size_t i = 0; i < count; i++) {
        dv_slice uid = dv_cedar_entities_uid(resources->entities, i);
        DV_TRY(dv_slice_eq(uid, ANY_MODEL) ? DV_OK : visit(data, uid));
    }
    return DV_OK;
}
