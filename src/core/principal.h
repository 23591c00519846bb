/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/clock.h"
#include "base/slice.h"

enum { DV_PRINCIPAL_ID_MAX = 160 };

typedef enum dv_principal_type {
    DV_PRINCIPAL_USER = 1,
    DV_PRINCIPAL_SERVICE = 2
} dv_principal_type;

/* Who calls, as the snapshot knows it. Entity ids are Cedar's: `User::"alice"`, `Role::"admin"`.
 * Slices lie in the request's arena. */
typedef struct dv_principal {
    dv_principal_type type;
    dv_slice name;             /* "alice" */
    dv_slice entity;           /* User::"alice" or Service::"ci" */
    const dv_slice *ancestors; /* groups and roles, transitive: Group::"ml", Role::"model_user" */
    size_t ancestor_count;
    const dv_slice *groups; /* the names of the groups among them, nearest first: "ml" */
    size_t group_count;
} dv_principal;

/* What proved it. */
typedef struct dv_credential {
    dv_slice kind; /* "api_key" */
    dv_slice id;   /* not secret: the key's 8 characters */
    const dv_slice
        *scopes; /* actions this credential is confined to; none: all of the principal's */
    size_t scope_count;
    bool mfa; /* a second factor was used */
} dv_credential;
