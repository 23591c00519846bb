/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Types of cases: which states a case and its items go through, who may take which step, and what
 * the clock does. A type is one file, rules/case_types/ID.yaml (README.md says what stands in it).
 */

#include "base/arena.h"
#include "base/caps.h"
#include "base/clock.h"
#include "base/result.h"

/* What somebody is to a case or item. */
typedef enum dv_case_who {
    DV_CASE_OWNER = 1 << 0,    /* of the case */
    DV_CASE_ASSIGNEE = 1 << 1, /* of the item */
    DV_CASE_MANAGER = 1 << 2,  /* may manage all cases of the type */
    DV_CASE_CLOCK = 1 << 3,    /* Dvara itself, when it is time */
    DV_CASE_SUBJECT = 1 << 4,  /* whom the item is about */
} dv_case_who;

/* What brings a step about. */
typedef enum dv_case_when {
    DV_CASE_ASKED,    /* somebody asks for it */
    DV_CASE_DEADLINE, /* of a case: its deadline has passed and something is undecided */
    DV_CASE_DECIDED,  /* of a case: no item is undecided any more */
    DV_CASE_GONE,     /* of an item: what it is about is no longer there */
} dv_case_when;

typedef struct dv_case_step {
    const char *name;
    uint32_t from;  /* a bit for each state */
    uint32_t to;    /* the state's index */
    uint32_t who;   /* bits of dv_case_who: any of them may */
    uint32_t never; /* and none of these */
    dv_case_when when;
    bool reason; /* wants one */
    bool alarm;  /* somebody must look at it */
} dv_case_step;

/* The first state is where it begins. A state that no step leaves is final. */
typedef struct dv_case_machine {
    const char *states[DV_LIMIT_CASE_STATES];
    size_t state_count;
    dv_case_step steps[DV_LIMIT_CASE_STEPS];
    size_t step_count;
} dv_case_machine;

/* What may happen to items that nobody decided in time. */
typedef struct dv_case_choice {
    const char *name;
    const char *step; /* of items, which the clock takes; NULL: nothing happens to them */
} dv_case_choice;

typedef struct dv_case_type {
    const char *id;       /* "access_review": its file, its events */
    const char *name;     /* for people: "access review" */
    const char *assignee; /* what the assignee of an item is called: "reviewer" */
    dv_time deadline_default, deadline_least, deadline_most; /* durations */
    size_t items_max;                                        /* of one case */
    size_t open_max;                                         /* cases that have not ended */
    dv_case_machine cases;
    dv_case_machine items;
    dv_case_choice choices[DV_LIMIT_CASE_CHOICES]; /* the first one unless another is asked for */
    size_t choice_count;
} dv_case_type;

/* Reads and checks a type's file. Everything lies in the arena. Errors: DV_ERR_INVALID and
 * DV_ERR_TOO_LARGE with line, column and reason (keys, words, states that are not declared or that
 * nothing reaches, steps that nobody may take, limits). */
dv_must dv_result dv_case_type_parse(dv_slice yaml, dv_arena *arena, const dv_case_type **ret_type,
                                     dv_error *error);

/* The type of that id among those that this program was built with. Errors: DV_ERR_NOT_FOUND; those
 * of the parse. */
dv_must dv_result dv_case_type_load(const char *id, dv_arena *arena, const dv_case_type **ret_type,
                                    dv_error *error);

/* The step of that name, or NULL. */
const dv_case_step *dv_case_step_named(const dv_case_machine *machine, const char *name);
/* The step that leaves that state for this reason, or NULL. */
const dv_case_step *dv_case_step_when(const dv_case_machine *machine, const char *state,
                                      dv_case_when when);
/* Whether the step leaves the state of that name. */
bool dv_case_step_leaves(const dv_case_machine *machine, const dv_case_step *step,
                         const char *state);
/* Whether no step leaves the state of that index. */
bool dv_case_state_is_final(const dv_case_machine *machine, size_t state);
/* The choice of that name (NULL: the first one), or NULL. */
const dv_case_choice *dv_case_choice_named(const dv_case_type *type, const char *name);

/* The files, embedded when Dvara is built (generated). */
typedef struct dv_case_type_file {
    const char *id;
    const char *text;
} dv_case_type_file;

extern const dv_case_type_file DV_CASE_TYPE_FILES[];
extern const size_t DV_CASE_TYPE_FILE_COUNT;
