/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where the rooms for data and for authorization meet about access to data: the one knows which
 * grants live, the other decides and knows who is who. Wired up in daemon/. */

#include "base/buf.h"
#include "core/operation.h"

/* Begins the ids of the policies that grants are compiled to; no policy of people has such an id.
 */
#define DV_DATA_GRANT_POLICY "data_grant:"
/* What is told where a grant is needed and none lives. */
#define DV_DATA_GRANT_NEEDED DV_DATA_GRANT_POLICY "needed"
/* The Cedar type of what is in the inventory. */
#define DV_DATA_ASSET_TYPE "DataAsset"
/* The Cedar type of a vault of tokens. */
#define DV_DATA_VAULT_TYPE "DataVault"

/* Who asks, and when. */
typedef struct dv_data_asker {
    const dv_slice *uids; /* canonical: himself and all that he is in */
    size_t count;
    dv_time at;
} dv_data_asker;

/* Of the data room. */
typedef struct dv_data_access_source {
    /* Appends a Cedar policy for each grant that is good for the asset and one of the uids at that
     * time, as the store has them now. *ret_needed: without one access is refused, whatever else
     * permits it. asset: its id, which need not be one. */
    dv_result (*compile)(const dv_services *services, dv_slice asset, const dv_data_asker *asker,
                         dv_buf *out, bool *ret_needed, dv_error *error);
    /* To be called where a user, service or group is deleted, within that change: his requests and
     * grants end and he owns nothing, so that a later one of the same name has none of it. */
    dv_result (*subject_gone)(dv_call *call, const char *entity, dv_error *error);
} dv_data_access_source;

/* Of the auth room. */
typedef struct dv_people_source {
    /* Whether the caller may do this to the resource (NULL: System::"dvara"), with the scopes of
     * his key. The machine's owner may. */
    dv_result (*caller_may)(dv_call *call, const char *action, const char *resource, bool *ret_may,
                            dv_error *error);
    /* A user, service or group itself and all that it is in, in the call's arena. The machine's
     * owner (Local::"root") is in nothing. Errors: DV_ERR_NOT_FOUND with a sentence. */
    dv_result (*entities)(dv_call *call, const char *entity, const char *const **ret_entities,
                          size_t *ret_count, dv_error *error);
    /* Whether there is such a "User", "Service", "Group" or "Role". *ret_near: of those there are
     * the one whose name is nearest, in the arena, or NULL; asked for where it is not there. */
    dv_result (*known)(dv_call *call, const char *type, const char *name, bool *ret_known,
                       const char **ret_near, dv_error *error);
    /* Whether it is there and not suspended; groups never are. */
    dv_result (*active)(dv_call *call, const char *entity, bool *ret_active, dv_error *error);
} dv_people_source;
