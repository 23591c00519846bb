/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/policies.h"

#include "base/codec.h"
#include "crypto/hash.h"

/* Versions of the policies. A version is written once and never changed; the one in force is the
 * last. Going back writes another one, so that history only grows. */

dv_result dv_auth_version_last(dv_store *store, int64_t *ret_version, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(store, &row, error,
                          "SELECT coalesce(max(version), 0) FROM auth_policy_version", ""));
    DV_TRY(dv_statement_step(row, error));
    *ret_version = dv_column_int(row, 0);
    return DV_OK;
}

static dv_result version_require(dv_store *store, int64_t version, size_t *ret_items,
                                 dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(store, &row, error,
                          "SELECT (SELECT count(*) FROM auth_policy_item i"
                          " WHERE i.version = v.version)"
                          " FROM auth_policy_version v WHERE v.version = ?1",
                          "i", version));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, result, "there is no version %lld of the policies",
                            (long long)version);
    }
    DV_TRY(result);
    *ret_items = (size_t)dv_column_int(row, 0);
    return DV_OK;
}

static dv_result text_copy(dv_statement *row, int column, dv_arena *arena, const char **ret_text)
{
    dv_slice copy;
    DV_TRY(dv_arena_copy(arena, dv_column_slice(row, column), &copy));
    *ret_text = (const char *)copy.ptr;
    return DV_OK;
}

static dv_result document_read(dv_statement *row, dv_arena *arena, dv_auth_document *ret_document)
{
    dv_auth_document document = {.since = dv_column_int(row, 2)};
    DV_TRY(text_copy(row, 0, arena, &document.name));
    DV_TRY(text_copy(row, 1, arena, &document.digest));
    DV_TRY(dv_arena_copy(arena, dv_column_slice(row, 3), &document.text));
    *ret_document = document;
    return DV_OK;
}

dv_result dv_auth_documents_read(dv_store *store, int64_t version, dv_arena *arena,
                                 dv_auth_documents *ret_documents, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    dv_auth_documents documents = {0};
    size_t count = 0;
    dv_result result = DV_OK;
    if (version == 0) {
        *ret_documents = documents;
        return DV_OK;
    }
    DV_TRY(version_require(store, version, &count, error));
    documents.items = dv_arena_alloc(arena, (count + 1) * sizeof(*documents.items));
    if (documents.items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_store_query(store, &row, error,
                          "SELECT i.name, i.digest, i.since, t.text FROM auth_policy_item i"
                          " JOIN auth_policy_text t ON t.digest = i.digest WHERE i.version = ?1",
                          "i", version));
    while (documents.count < count && (result = dv_statement_step(row, error)) == DV_OK) {
        DV_TRY(document_read(row, arena, &documents.items[documents.count]));
        documents.count++;
    }
    DV_TRY(result);
    dv_auth_documents_sort(&documents);
    *ret_documents = documents;
    return DV_OK;
}

/* --- differences ----------------------------------------------------------------------------- */

/* "new", "changed", "removed", or NULL: the same. One of the two may be NULL. */
static const char *change_of(const dv_auth_document *before, const dv_auth_document *after)
{
    if (before == NULL) {
        return "new";
    }
    if (after == NULL) {
        return "removed";
    }
    return strcmp(before->digest, after->digest) == 0 ? NULL : "changed";
}

typedef dv_result (*change_visit)(void *data, const char *change, const dv_auth_document *before,
                                  const dv_auth_document *after);

static dv_result changes_visit(const dv_auth_documents *before, const dv_auth_documents *after,
                               change_visit visit, void *data)
{
    for (size_t i = 0; i < after->count; i++) {
        const dv_auth_document *now = &after->items[i];
        const dv_auth_document *old = dv_auth_documents_find(before, now->name);
        const char *change = change_of(old, now);
        if (change != NULL) {
            DV_TRY(visit(data, change, old, now));
        }
    }
    for (size_t i = 0; i < before->count; i++) {
        const dv_auth_document *old = &before->items[i];
        if (dv_auth_documents_find(after, old->name) == NULL) {
            DV_TRY(visit(data, change_of(old, NULL), old, NULL));
        }
    }
    return DV_OK;
}

static dv_result change_add(void *data, const char *change, const dv_auth_document *before,
                            const dv_auth_document *after)
{
    const dv_auth_document *one = after != NULL ? after : before;
    json_t *json =
        json_pack("{s:s, s:s, s:s}", "name", one->name, "change", change, "digest", one->digest);
    return json_array_append_new(data, json) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

json_t *dv_auth_documents_changes(const dv_auth_documents *before, const dv_auth_documents *after)
{
    json_t *changes = json_array();
    if (changes != NULL && changes_visit(before, after, change_add, changes) != DV_OK) {
        json_decref(changes);
        return NULL;
    }
    return changes;
}

/* --- writing --------------------------------------------------------------------------------- */

typedef struct writer {
    dv_call *call;
    const dv_auth_version *version;
    dv_error *error;
} writer;

/* One audit record for each text that is different now. */
static dv_result change_audit(void *data, const char *change, const dv_auth_document *before,
                              const dv_auth_document *after)
{
    const writer *w = data;
    const char *name = after != NULL ? after->name : before->name;
    dv_entity_activity activity = before == NULL  ? DV_ENTITY_CREATE
                                  : after == NULL ? DV_ENTITY_DELETE
                                                  : DV_ENTITY_UPDATE;
    json_t *json = json_pack("{s:s, s:I, s:s, s:o}", "change", change, "version",
                             (json_int_t)w->version->number, "set_digest", w->version->digest,
                             "digest", dv_auth_json_text(after == NULL ? NULL : after->digest));
    if (json == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_audit_entity(w->call, activity, "policy", name, NULL, json, w->error);
    json_decref(json);
    return result;
}

/* SHA-256 over the names and digests of all texts, in order. */
static dv_result set_digest(const dv_auth_documents *documents, dv_arena *arena,
                            const char **ret_digest)
{
    dv_auto(buf) dv_buf list = dv_buf_init(1 << 20);
    dv_auth_document whole = {.name = ""};
    for (size_t i = 0; i < documents->count; i++) {
        DV_TRY(dv_buf_append_printf(&list, "%s %s\n", documents->items[i].digest,
                                    documents->items[i].name));
    }
    whole.text = dv_buf_slice(&list);
    DV_TRY(dv_auth_document_digest(&whole, arena));
    *ret_digest = whole.digest;
    return DV_OK;
}

static dv_result item_write(dv_call *call, const dv_auth_document *document, int64_t version,
                            dv_error *error)
{
    dv_store *store = call->services->store;
    DV_TRY(dv_store_run(store, error,
                        "INSERT INTO auth_policy_text (digest, text) VALUES (?1, ?2)"
                        " ON CONFLICT DO NOTHING",
                        "ts", document->digest, document->text));
    return dv_store_run(store, error,
                        "INSERT INTO auth_policy_item (version, name, digest, since)"
                        " VALUES (?1, ?2, ?3, ?4)",
                        "itti", version, document->name, document->digest, document->since);
}

static dv_result row_write(dv_call *call, const dv_auth_version *version, dv_error *error)
{
    dv_auto(statement) dv_statement *insert = NULL;
    DV_TRY(dv_store_query(call->services->store, &insert, error,
                          "INSERT INTO auth_policy_version"
                          " (version, created, author, action, note, digest, origin)"
                          " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                          "iitttti", version->number, call->now, call->caller, version->action,
                          version->note, version->digest, version->origin));
    if (version->origin == 0) {
        DV_TRY(dv_bind_null(insert, 7));
    }
    dv_result result = dv_statement_step(insert, error);
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

dv_result dv_auth_version_write(dv_call *call, const dv_auth_documents *before,
                                dv_auth_documents *after, dv_auth_version *version, dv_error *error)
{
    int64_t last = 0;
    writer w = {call, version, error};
    DV_TRY(dv_auth_version_last(call->services->store, &last, error));
    version->number = last + 1;
    DV_TRY(set_digest(after, call->arena, &version->digest));
    DV_TRY(row_write(call, version, error));
    for (size_t i = 0; i < after->count; i++) {
        dv_auth_document *document = &after->items[i];
        const dv_auth_document *old = dv_auth_documents_find(before, document->name);
        document->since = change_of(old, document) == NULL ? old->since : version->number;
        DV_TRY(item_write(call, document, version->number, error));
    }
    DV_TRY(dv_auth_touch_policies(call, error));
    return changes_visit(before, after, change_audit, &w);
}
