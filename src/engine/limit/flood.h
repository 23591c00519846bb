/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who comes too often, within one process: a rate and a number held at once for each name, in a
 * table of fixed size. For what must cost next to nothing (connections that are shed, refusals that
 * are only counted); limits that are promised to callers are in limit.h.
 *
 * What goes over is counted until it is told. What becomes of a name for which the table has no
 * room, the limits say: it passes, so that nobody can shut others out by filling the table, or it
 * shares one entry with the others, so that very many names together get no more than one. What
 * goes over there is counted by kind.
 */

#include "base/clock.h"
#include "base/result.h"
#include "base/slice.h"

typedef struct dv_flood dv_flood;
typedef struct dv_flood_entry dv_flood_entry;

enum { DV_FLOOD_NAME_MAX = 64, DV_FLOOD_KINDS = 64 };

/* per_second: how many pass; burst: how many at once (at least 1); held: how many may be held at
 * once, 0: any number. slots: a power of two. Errors: DV_ERR_NO_MEMORY, DV_ERR_INVALID. */
typedef struct dv_flood_limits {
    uint32_t per_second; /* 0: any number */
    uint32_t burst;
    uint32_t held;
    bool strangers_pass;
} dv_flood_limits;

dv_must dv_result dv_flood_new(size_t slots, const dv_flood_limits *limits, dv_flood **ret_flood);
void dv_flood_free(dv_flood *flood);

/* One more of a name (an address; longer ones are cut) and a kind (below DV_FLOOD_KINDS). NULL:
 * over a limit, and counted. Otherwise its entry, which stays where it is while something is held.
 * now: monotonic. */
dv_flood_entry *dv_flood_take(dv_flood *flood, dv_slice name, unsigned kind, dv_time now);
/* The same, and holds one until dv_flood_release. */
dv_flood_entry *dv_flood_hold(dv_flood *flood, dv_slice name, unsigned kind, dv_time now);
void dv_flood_release(dv_flood_entry *entry);

/* What was counted of one name and kind since `since`, monotonic. */
typedef struct dv_flood_excess {
    dv_slice name; /* empty: of several that shared an entry */
    unsigned kind;
    uint64_t count;
    dv_time since;
} dv_flood_excess;

/* How many entries have an excess that was not told yet. */
size_t dv_flood_pending(const dv_flood *flood);
/* Tells every excess that began before `before`; when `tell` fails its count goes on. */
void dv_flood_tell(dv_flood *flood, dv_time before,
                   dv_result (*tell)(void *data, const dv_flood_excess *excess), void *data);
