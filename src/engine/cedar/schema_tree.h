/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A schema as it is written, the same for both syntaxes; private to the engine. Names are not yet
 * looked up. Offsets are bytes in the text, for errors. */

#include "engine/cedar/ast.h"

/* A type's or a namespace's name, perhaps with a path in front. */
typedef struct dv_cedar_decl_name {
    dv_slice text;
    uint32_t offset;
} dv_cedar_decl_name;

typedef struct dv_cedar_decl_names {
    const dv_cedar_decl_name *items;
    size_t count;
} dv_cedar_decl_names;

typedef enum dv_cedar_decl_kind {
    DV_CEDAR_DECL_NAME,   /* a common type, an entity type or a built-in one */
    DV_CEDAR_DECL_COMMON, /* JSON can say: only a common or built-in one */
    DV_CEDAR_DECL_ENTITY, /* JSON can say: only an entity type */
    DV_CEDAR_DECL_SET,
    DV_CEDAR_DECL_RECORD,
} dv_cedar_decl_kind;

typedef struct dv_cedar_decl_type dv_cedar_decl_type;
typedef struct dv_cedar_decl_field dv_cedar_decl_field;

struct dv_cedar_decl_type {
    dv_cedar_decl_kind kind;
    uint32_t offset;
    uint32_t count; /* of fields */
    union {
        dv_slice name;
        const dv_cedar_decl_type *element;
        const dv_cedar_decl_field *fields; /* sorted by name, each once */
    };
};

struct dv_cedar_decl_field {
    dv_slice name;
    bool optional;
    dv_cedar_decl_type type;
    dv_cedar_annotations annotations;
};

typedef struct dv_cedar_decl_entity {
    dv_cedar_decl_name name;
    dv_cedar_decl_names parents;
    const dv_cedar_decl_type *shape; /* NULL: no attributes */
    const dv_cedar_decl_type *tags;  /* NULL: no tags */
    const dv_slice *choices;         /* `enum`: the ids that there are */
    size_t choice_count;             /* 0: any id */
    dv_cedar_annotations annotations;
} dv_cedar_decl_entity;

/* An action that another is a member of. */
typedef struct dv_cedar_decl_parent {
    dv_slice type; /* empty: Action of the same namespace */
    dv_slice id;
    uint32_t offset;
} dv_cedar_decl_parent;

typedef struct dv_cedar_decl_action {
    dv_cedar_decl_name name; /* the id */
    const dv_cedar_decl_parent *parents;
    size_t parent_count;
    dv_cedar_decl_names principals;
    dv_cedar_decl_names resources;
    const dv_cedar_decl_type *context; /* NULL: empty */
    dv_cedar_annotations annotations;
} dv_cedar_decl_action;

typedef struct dv_cedar_decl_common {
    dv_cedar_decl_name name;
    dv_cedar_decl_type type;
    dv_cedar_annotations annotations;
} dv_cedar_decl_common;

typedef struct dv_cedar_decl_namespace {
    dv_cedar_decl_name name; /* empty: the namespace without a name */
    const dv_cedar_decl_entity *entities;
    size_t entity_count;
    const dv_cedar_decl_action *actions;
    size_t action_count;
    const dv_cedar_decl_common *commons;
    size_t common_count;
    dv_cedar_annotations annotations;
} dv_cedar_decl_namespace;

typedef struct dv_cedar_decl_schema {
    const dv_cedar_decl_namespace *namespaces;
    size_t count;
} dv_cedar_decl_schema;

/* Sorts the fields by name. ret_twice is a field whose name stands there twice, or NULL. */
void dv_cedar_decl_fields_sort(dv_cedar_decl_field *fields, size_t count,
                               const dv_cedar_decl_field **ret_twice);

/* Reads Cedar's own schema syntax. Errors: DV_ERR_INVALID with line and column, DV_ERR_NO_MEMORY.
 * The text must outlive the tree. */
dv_must dv_result dv_cedar_schema_read_text(dv_slice text, dv_arena *arena,
                                            dv_cedar_decl_schema *ret_schema, dv_error *error);

/* Reads the JSON syntax. Errors: the same, and DV_ERR_TOO_LARGE. */
dv_must dv_result dv_cedar_schema_read_json(dv_slice text, dv_arena *arena,
                                            dv_cedar_decl_schema *ret_schema, dv_error *error);
