/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the snapshot holds of identity: the control side encodes, the gate decodes. A record that is
 * not exactly as it should be is refused whole. */

#include "base/arena.h"
#include "base/buf.h"
#include "core/principal.h"

enum {
    DV_SECRET_MAC_LEN = 32, /* HMAC-SHA-256 of the whole key under the pepper */
    DV_CREDENTIAL_SCOPES_MAX = 64,
    DV_RECORD_MAX = 64 << 10,
};

#define DV_META_PEPPER DV_LIT("auth.pepper")  /* 32 bytes */
#define DV_POLICIES_TEXT DV_LIT("set")        /* Cedar's text */
#define DV_POLICIES_VERSION DV_LIT("version") /* SHA-256 of the text: moves only when it does */

/* An API key. It has one live secret or, while a rotation overlaps, two. */
typedef struct dv_credential_record {
    dv_principal_type owner_type;
    dv_slice owner;           /* name */
    dv_time expires;          /* DV_TIME_NEVER: does not */
    dv_time previous_expires; /* of the second secret; 0: there is none */
    uint8_t secret[DV_SECRET_MAC_LEN];
    uint8_t previous[DV_SECRET_MAC_LEN];
    dv_slice scopes; /* encoded; dv_credential_scopes reads them */
    size_t scope_count;
} dv_credential_record;

/* scopes: names of actions, at most DV_CREDENTIAL_SCOPES_MAX of at most DV_LIMIT_NAME. */
dv_must dv_result dv_credential_encode(const dv_credential_record *record, const dv_slice *scopes,
                                       dv_buf *out);
/* Slices are borrowed from the record's bytes. Errors: DV_ERR_CORRUPT. */
dv_must dv_result dv_credential_decode(dv_slice bytes, dv_credential_record *ret_record);
/* Copies the names of the scopes into the arena; none: NULL. */
dv_must dv_result dv_credential_scopes(const dv_credential_record *record, dv_arena *arena,
                                       const dv_slice **ret_scopes);

/* groups first (nearest first), then roles; each an entity's text. */
dv_must dv_result dv_principal_encode(dv_principal_type type, dv_slice name, bool active,
                                      const dv_slice *ancestors, size_t ancestor_count,
                                      size_t group_count, dv_buf *out);
/* The same, where ancestors[i] is one until until[i] only; DV_TIME_NEVER: for good. Only roles end.
 */
dv_must dv_result dv_principal_encode_until(dv_principal_type type, dv_slice name, bool active,
                                            const dv_slice *ancestors, const dv_time *until,
                                            size_t ancestor_count, size_t group_count, dv_buf *out);
/* The principal as it is at that time. Borrows from bytes, which must live as long as the
 * principal; the arrays lie in the arena. ret_until: when the next of its roles ends. Errors:
 * DV_ERR_CORRUPT, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_principal_decode_at(dv_slice bytes, dv_time now, dv_arena *arena,
                                         dv_principal *ret_principal, bool *ret_active,
                                         dv_time *ret_until);

/* Key of the principal's record: User::"alice". Names are checked (dv_auth_name_ok) wherever they
 * come in, so nothing in them needs an escape. */
enum { DV_ENTITY_TEXT_MAX = DV_PRINCIPAL_ID_MAX };
dv_must dv_result dv_entity_text(const char *type, dv_slice name, char out[DV_ENTITY_TEXT_MAX],
                                 dv_slice *ret_text);
const char *dv_principal_type_name(dv_principal_type type); /* "User", "Service" */

/* [A-Za-z0-9][A-Za-z0-9._@-]{0,127}: users, groups, roles, services. */
bool dv_auth_name_ok(dv_slice name);
/* The same with ':' too, or "*": permissions. */
bool dv_auth_permission_ok(dv_slice permission);
