/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Names of people, places and the like beside what detectors find, for `dvara data detect --names`.
 */

#include "base/arena.h"
#include "core/finding.h"
#include "engine/detect/walk.h"

typedef struct dv_data_names dv_data_names;

dv_must dv_result dv_data_names_new(dv_data_names **ret_names, dv_error *error);
void dv_data_names_free(dv_data_names *names);

/* Adds the names from byte `from` of the text on to the findings, sorted and without overlaps. A
 * detector's value outranks a name, of which the rest stays one. Every byte that either found is in
 * one of them. more: text follows; until: before which byte everything is final, which may come to
 * be less. Errors: DV_ERR_TOO_LARGE (too many for one search), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_data_names_add(dv_data_names *names, dv_slice text, size_t from, bool more,
                                    dv_arena *arena, const dv_finding **found, size_t *count,
                                    size_t *until);

/* What a finding of these is reported as ("PERSON"); NULL: it is a detector's. */
const char *dv_data_names_type(const dv_finding *finding);

/* What is found beside what the text itself says: a walk's `also` is dv_data_extra_add, its
 * also_data one of these. */
typedef struct dv_data_extra {
    dv_data_names *names; /* NULL: not asked for */
    dv_walk *decode;      /* the walk itself: encoded values, too; NULL: not asked for */
} dv_data_extra;

dv_must dv_result dv_data_extra_add(void *extra, dv_slice text, size_t from, bool more,
                                    dv_arena *arena, const dv_finding **found, size_t *count,
                                    size_t *until);
