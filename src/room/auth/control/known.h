/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What there is to ask about, for those who decide over all of it with a set of their own, and
 * where such a walk goes on (access_known.c). dvarad has one thread: a walk comes in pages that end
 * by time. */

#include "engine/cedar/cedar.h"
#include "room/auth/control/internal.h"

/* How long one page decides before others are answered. */
#define DV_KNOWN_PAGE_TIME (100 * DV_MILLISECOND)

/* Canonical uids. Begins as {.arena = ...}, which holds the list; the uids are borrowed. */
typedef struct dv_uid_list {
    dv_arena *arena;
    dv_slice *items;
    size_t count;
    size_t cap;
} dv_uid_list;

/* data: the list, so that it can be handed to those who visit uids. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_uid_list_add(void *data, dv_slice uid);
/* Type::"name", made in the list's arena. */
dv_must dv_result dv_uid_list_add_named(dv_uid_list *list, const char *type, const char *name);
/* In the order of their bytes, each once. */
void dv_uid_list_arrange(dv_uid_list *list);

/* Adds the known actions, of those that policies name those of this set (access.h). */
dv_must dv_result dv_known_actions(dv_call *call, const dv_cedar_policy_set *policies,
                                   dv_uid_list *list, dv_error *error);
/* The same for things. Call between dv_access_begin and end. */
dv_must dv_result dv_known_resources(dv_call *call, const dv_cedar_policy_set *policies,
                                     dv_uid_list *list, dv_error *error);
/* Where a walk goes on: uids as one opaque text. Errors: DV_ERR_INVALID: it is none with so many;
 * DV_ERR_NO_MEMORY, DV_ERR_TOO_LARGE. */
dv_must dv_result dv_known_cursor_write(const dv_slice *uids, size_t count, dv_arena *arena,
                                        const char **ret_cursor);
dv_must dv_result dv_known_cursor_read(const char *cursor, size_t count, dv_arena *arena,
                                       dv_slice *ret_uids);
