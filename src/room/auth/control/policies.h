/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Policies as managed things: named texts of Cedar, of which the store keeps every version. */

#include "engine/cedar/formats.h"
#include "engine/cedar/schema.h"
#include "room/auth/control/internal.h"

/* Ids that begin so are those of roles, which are changed as roles. */
#define DV_AUTH_ROLE_POLICY "role:"

/* One text, in Cedar or in Cedar's JSON. Several policies may stand in it; in Cedar one without an
 * @id gets the text's name for its id, or NAME.0, NAME.1, ... where there are several. Links in
 * JSON may be to templates of other texts. */
typedef struct dv_auth_document {
    const char *name;
    dv_slice text;
    const char *digest; /* SHA-256 in hexadecimal */
    int64_t since;      /* the version that brought it; 0: not stored yet */
} dv_auth_document;

typedef struct dv_auth_documents {
    dv_auth_document *items; /* sorted by name */
    size_t count;
} dv_auth_documents;

/* --- one text (policy_document.c) ------------------------------------------------------------ */

bool dv_auth_document_is_json(const dv_auth_document *document);
/* ret_part: the links, which are not made. Errors: as dv_cedar_parse, dv_cedar_json_parse. */
dv_must dv_result dv_auth_document_parse(const dv_auth_document *document,
                                         dv_cedar_policy_set **ret_set,
                                         dv_cedar_json_part *ret_part, dv_error *error);

/* --- what a set means (policy_set.c) --------------------------------------------------------- */

/* What a set is held against. Texts that are in force already are not refused for what the schema
 * has come to say since (a role was deleted, and its permissions with it): that is a warning. */
typedef struct dv_auth_held {
    const dv_cedar_schema *schema;
    const dv_auth_documents *kept; /* in force, with digests; NULL: none */
    json_t *warnings; /* or NULL: an array that gets "NAME:LINE:COLUMN: what", 100 at most: what is
                       * suspicious in texts that are not kept, and one of each that is */
    enum {
        DV_AUTH_HOLD_ALL,
        DV_AUTH_HOLD_TEXTS, /* some of several texts: links are left to the whole */
        DV_AUTH_HOLD_LINKS, /* the texts were held before */
    } what;
} dv_auth_held;

/* Appends the texts as one set in which each policy has its id. Errors: DV_ERR_INVALID, "NAME:LINE:
 * COLUMN: what" (malformed, a link without its template, an id that is taken, empty, too long or a
 * role's, what is no good by the schema; held NULL: that is not asked); DV_ERR_TOO_LARGE,
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_auth_documents_compile(const dv_auth_documents *documents,
                                            const dv_auth_held *held, dv_buf *out, dv_error *error);
void dv_auth_documents_sort(dv_auth_documents *documents);
dv_auth_document *dv_auth_documents_find(const dv_auth_documents *documents, const char *name);
/* Fills in the digest. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_auth_document_digest(dv_auth_document *document, dv_arena *arena);
/* What all roles permit, and the texts: the set as the gates get it. */
dv_must dv_result dv_auth_set_write(dv_store *store, const dv_auth_documents *documents,
                                    dv_buf *out, dv_error *error);
dv_must dv_result dv_auth_set_parse(dv_store *store, const dv_auth_documents *documents,
                                    dv_cedar_policy_set **ret_set, dv_error *error);

/* --- the schema (policy_schema.c) ------------------------------------------------------------ */

/* Dvara's own actions that are no operation's permission, and the types of what they are asked
 * about
 * ("Model, Route"). */
typedef struct dv_auth_own_action {
    const char *name;
    const char *resources;
} dv_auth_own_action;

extern const dv_auth_own_action dv_auth_own_actions[];
extern const size_t dv_auth_own_action_count;

/* Appends the schema with Dvara's own actions and the declared ones. Errors: DV_ERR_NO_MEMORY,
 * DV_ERR_TOO_LARGE. */
dv_must dv_result dv_auth_schema_write(dv_auth_names declared, dv_arena *arena, dv_buf *out);
/* True for the entity types that the schema declares. */
bool dv_auth_schema_has_type(dv_slice type);
/* True when the schema's action applies to resources of that type of Dvara's. */
bool dv_auth_schema_applies(const char *action, dv_slice type);
/* The schema of this store, with the permissions of its roles for actions. */
dv_must dv_result dv_auth_schema_read(dv_store *store, dv_arena *arena,
                                      dv_cedar_schema **ret_schema, dv_error *error);

/* --- versions (policy_store.c) --------------------------------------------------------------- */

/* The version in force; 0: none yet. */
dv_must dv_result dv_auth_version_last(dv_store *store, int64_t *ret_version, dv_error *error);
/* What a version holds; 0: nothing. Errors: DV_ERR_NOT_FOUND. */
dv_must dv_result dv_auth_documents_read(dv_store *store, int64_t version, dv_arena *arena,
                                         dv_auth_documents *ret_documents, dv_error *error);

typedef struct dv_auth_version {
    const char *action; /* "apply", "delete", "rollback" */
    const char *note;   /* or NULL */
    int64_t origin;     /* of a rollback */
    int64_t number;     /* ret: the new version */
    const char *digest; /* ret: of the whole set */
} dv_auth_version;

/* Puts a set into force as a new version, within the running change: rows, touch and audit
 * records. The set must have been compiled. */
dv_must dv_result dv_auth_version_write(dv_call *call, const dv_auth_documents *before,
                                        dv_auth_documents *after, dv_auth_version *version,
                                        dv_error *error);

/* How two sets differ, text by text: [{"name", "change": "new" | "changed" | "removed"}]. */
json_t *dv_auth_documents_changes(const dv_auth_documents *before, const dv_auth_documents *after);

/* --- what a change means (policy_diff.c) ----------------------------------------------------- */

/* Sets answer.access: who gains or loses what between two sets, found by deciding over the body's
 * principals, actions and resources, or over those that are known (1000 principals), with the
 * context of a plain API key now. A page of it: when there are 1000 differences or its time is up,
 * answer.next is the body's cursor of the page behind. answer.decided: how many questions were
 * decided; answer.complete: that nothing is left to ask. */
dv_must dv_result dv_auth_access_compare(dv_call *call, const dv_auth_documents *before,
                                         const dv_auth_documents *after, json_t *answer,
                                         dv_error *error);

/* --- questions of handlers (policy_ask.c) ---------------------------------------------------- */

/* Whether the policies permit the caller this, with the scopes of his key. */
dv_must dv_result dv_auth_caller_may(dv_call *call, const char *action, const char *resource,
                                     bool *ret_may, dv_error *error);
