/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which values of a record tell of a person, and where in the same record that person is named
 * (GDPR article 4(1); erasure: article 17). The log seals these values under keys of theirs.
 *
 * A path is member names with dots between them. A list in it stands for its first member: no
 * record has a personal value in another ("resources.name" is resources[0].name). The value may be
 * any JSON: entity.data is an object, a port a number. A path need not be there.
 *
 * A subject is an entity's text: User::"alice", Service::"ci", Local::"root", System::"gateway".
 * Whether such a principal is a person is for the reader of the table to say. */

#include "base/slice.h"

enum { DV_EVENT_SUBJECTS_MAX = 4 };

typedef struct dv_event_personal_path {
    const char *path; /* "actor.user.name" */
    /* Where the person is named, ended by NULL: the first that is there holds. */
    const char *subjects[DV_EVENT_SUBJECTS_MAX + 1];
    /* Where none of them is there. True: an unknown caller's, who is kept by the day (an address).
     * False: nobody's, a constant word ("anonymous", "local") or no person's name at all. */
    bool or_day;
} dv_event_personal_path;

/* In no order. A unit test holds them against the rows of all classes: what the table of fields
 * calls personal is here, and nothing else is. */
extern const dv_event_personal_path dv_event_personal_paths[];
extern const size_t dv_event_personal_path_count;

/* NULL: what stands there is no person's. */
const dv_event_personal_path *dv_event_personal_path_find(dv_slice path);
