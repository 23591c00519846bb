/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A schema whose names are looked up; private to the engine. All of it lies in its arena. */

#include "engine/cedar/schema.h"
#include "engine/cedar/schema_tree.h"

typedef struct dv_cedar_static dv_cedar_static;
typedef struct dv_cedar_attribute dv_cedar_attribute;
typedef struct dv_cedar_entity_type dv_cedar_entity_type;

/* What is known of a boolean before it is worked out (specs: validation; Cedar's singleton types
 * True and False). */
typedef enum dv_cedar_known_bool {
    DV_CEDAR_EITHER,
    DV_CEDAR_ALWAYS,
    DV_CEDAR_NEVER,
} dv_cedar_known_bool;

/* The type of an expression or of an attribute. */
struct dv_cedar_static {
    dv_cedar_type type;
    uint8_t known;  /* booleans: dv_cedar_known_bool */
    uint16_t depth; /* of the types below, this one included */
    uint32_t count; /* records: attributes */
    union {
        const dv_cedar_static *element;       /* sets */
        const dv_cedar_attribute *attributes; /* records: sorted by name */
        const dv_cedar_entity_type *entity;
    };
};

struct dv_cedar_attribute {
    dv_slice name;
    bool optional;
    const dv_cedar_static *type;
};

struct dv_cedar_entity_type {
    dv_slice name;                /* with its namespace */
    dv_cedar_static reference;    /* the type of its entities */
    uint32_t number;              /* its place in the schema's list */
    bool action;                  /* Action, in some namespace: declared by having actions */
    const dv_cedar_static *shape; /* a record, perhaps empty */
    const dv_cedar_static *tags;  /* NULL: has none */
    const dv_slice *choices;      /* canonical uids, sorted; NULL: any */
    size_t choice_count;
    const uint64_t *ancestors; /* a bit for each entity type, transitive, itself not */
};

typedef struct dv_cedar_action {
    dv_slice uid; /* canonical */
    uint32_t number;
    const dv_cedar_entity_type *type;
    const dv_cedar_entity_type *const *principals;
    size_t principal_count;
    const dv_cedar_entity_type *const *resources;
    size_t resource_count;
    const dv_cedar_static *context; /* a record, perhaps empty */
    const uint64_t *ancestors;      /* a bit for each action, transitive, itself not */
    const dv_slice *ancestor_uids;
    size_t ancestor_count;
} dv_cedar_action;

struct dv_cedar_schema {
    dv_arena *arena; /* holds all but this struct */
    dv_cedar_decl_schema written;
    const dv_slice *commons; /* full names of the common types, sorted */
    size_t common_count;
    const dv_cedar_entity_type *types; /* sorted by name */
    size_t type_count;
    const dv_cedar_action *actions; /* sorted by uid */
    size_t action_count;
};

static inline bool dv_cedar_bit(const uint64_t *bits, uint32_t number)
{
    return (bits[number / 64] >> (number % 64) & 1) != 0;
}

/* By name or canonical uid; NULL when there is none. */
const dv_cedar_entity_type *dv_cedar_schema_type(const dv_cedar_schema *schema, dv_slice name);
const dv_cedar_action *dv_cedar_schema_action(const dv_cedar_schema *schema, dv_slice uid);

/* True when there is a common type of that full name. */
bool dv_cedar_schema_has_common(const dv_cedar_schema *schema, dv_slice name);

/* The type in front of a canonical uid, or NULL. */
const dv_cedar_entity_type *dv_cedar_schema_type_of(const dv_cedar_schema *schema, dv_slice uid);

/* The record's attribute of that name; NULL when there is none, or it is no record. */
const dv_cedar_attribute *dv_cedar_static_attribute(const dv_cedar_static *record, dv_slice name);

/* True when an entity of that type may have that uid: any, or one of an enumerated type's. */
bool dv_cedar_schema_has_choice(const dv_cedar_entity_type *type, dv_slice uid);

/* True when an entity of the one type can be `in` one of the other: the same, or an ancestor. */
bool dv_cedar_schema_can_be_in(const dv_cedar_schema *schema, const dv_cedar_entity_type *type,
                               const dv_cedar_entity_type *ancestor);

/* True when that action is `in` the other. */
static inline bool dv_cedar_action_in(const dv_cedar_action *action, const dv_cedar_action *group)
{
    return action == group || dv_cedar_bit(action->ancestors, group->number);
}

/* True when the type's last name is Action. */
bool dv_cedar_is_action_type(dv_slice type);

/* Checks a value against a type, down to the ids of enumerated types. Errors: DV_ERR_INVALID, with
 * what to mend in error (no place). path is what the message calls the value. */
dv_must dv_result dv_cedar_static_check(const dv_cedar_schema *schema, const dv_cedar_static *type,
                                        const dv_cedar_value *value, const char *path,
                                        dv_error *error);

/* Writes the type as a schema would, cut where the room ends. */
void dv_cedar_static_print(const dv_cedar_static *type, char *out, size_t size);

/* Looks all names up. Errors: as dv_cedar_schema_parse. */
dv_must dv_result dv_cedar_schema_resolve(dv_cedar_schema *schema, dv_slice text, dv_error *error);
