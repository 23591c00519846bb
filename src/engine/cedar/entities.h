/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Entities and contexts in Cedar's JSON (specs: entities-syntax). Without a schema entities and
 * extension values need their __entity and __extn escapes. With one they do not, and everything is
 * checked against it: types, required attributes, tags, parents, ids of enumerated types. */

#include "engine/cedar/schema.h"

typedef struct dv_cedar_entities dv_cedar_entities;

/* Reads a list of entities into the arena (the text is copied into it). Parents that are not in the
 * list are entities without anything. schema may be NULL; with one, its actions are entities too,
 * and it must live as long as the arena. Errors: DV_ERR_INVALID with line and column (malformed, an
 * entity twice, a cycle of parents, not as the schema has it), DV_ERR_TOO_LARGE (64 MiB, 128
 * levels, 256 ancestors of one entity), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_entities_parse(dv_slice text, const dv_cedar_schema *schema,
                                          dv_arena *arena, const dv_cedar_entities **ret_entities,
                                          dv_error *error);
size_t dv_cedar_entities_count(const dv_cedar_entities *entities);
/* The uid of one; index < dv_cedar_entities_count. Lives as long as the entities. */
dv_slice dv_cedar_entities_uid(const dv_cedar_entities *entities, size_t index);

/* A dv_cedar_lookup; data is a const dv_cedar_entities. */
bool dv_cedar_entities_lookup(void *data, dv_slice uid, dv_cedar_entity *ret_entity);

/* Reads one record, such as a context. Errors as above. */
dv_must dv_result dv_cedar_record_parse(dv_slice text, dv_arena *arena, dv_cedar_value *ret_record,
                                        dv_error *error);

/* Reads the context of a request with that action, a canonical uid, by the schema's type for it.
 * Errors: the same. */
dv_must dv_result dv_cedar_context_parse(dv_slice text, const dv_cedar_schema *schema,
                                         dv_slice action, dv_arena *arena,
                                         dv_cedar_value *ret_record, dv_error *error);
