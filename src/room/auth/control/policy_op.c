/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/policies.h"

#include "api/operations.h"

/* The operations of `dvara policy`. What is given is merged into the set in force; nothing changes
 * unless all of the new set is good. */

enum { DOCUMENTS_MAX = 10000, SHOW_MAX = 8 << 20 };

static dv_result live_read(dv_call *call, dv_auth_documents *ret_documents, dv_error *error)
{
    int64_t version = 0;
    DV_TRY(dv_auth_version_last(call->services->store, &version, error));
    return dv_auth_documents_read(call->services->store, version, call->arena, ret_documents,
                                  error);
}

/* --- what is asked for ----------------------------------------------------------------------- */

static dv_result given_one(dv_call *call, const json_t *json, dv_auth_document *ret_document)
{
    const json_t *text = json_object_get(json, "text");
    dv_auth_document document = {
        .name = json_string_value(json_object_get(json, "name")),
        .text = dv_slice_of(json_string_value(text), json_string_length(text))};
    DV_TRY(dv_auth_document_digest(&document, call->arena));
    *ret_document = document;
    return DV_OK;
}

/* The texts of the body, sorted by name. */
static dv_result given_read(dv_call *call, dv_auth_documents *ret_given, dv_error *error)
{
    const json_t *array = json_object_get(call->body, "policies");
    dv_auth_documents given = {
        .items = dv_arena_alloc(call->arena, (json_array_size(array) + 1) * sizeof(*given.items))};
    if (given.items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (; given.count < json_array_size(array); given.count++) {
        DV_TRY(given_one(call, json_array_get(array, given.count), &given.items[given.count]));
    }
    dv_auth_documents_sort(&given);
    for (size_t i = 1; i < given.count; i++) {
        if (strcmp(given.items[i - 1].name, given.items[i].name) == 0) {
            return dv_call_invalid(call, "policies", error, "two of the texts are named %s",
                                   given.items[i].name);
        }
    }
    *ret_given = given;
    return DV_OK;
}

/* Those in force with the given ones in the place of their namesakes; or the given ones alone. */
static dv_result merge(dv_call *call, const dv_auth_documents *live, const dv_auth_documents *given,
                       bool replace_all, dv_auth_documents *ret_merged, dv_error *error)
{
    dv_auth_documents merged = {0};
    merged.items =
        dv_arena_alloc(call->arena, (live->count + given->count + 1) * sizeof(*merged.items));
    if (merged.items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < live->count && !replace_all; i++) {
        if (dv_auth_documents_find(given, live->items[i].name) == NULL) {
            merged.items[merged.count++] = live->items[i];
        }
    }
    for (size_t i = 0; i < given->count; i++) {
        merged.items[merged.count++] = given->items[i];
    }
    if (merged.count > DOCUMENTS_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "there can be %d named policies",
                            DOCUMENTS_MAX);
    }
    dv_auth_documents_sort(&merged);
    *ret_merged = merged;
    return DV_OK;
}

/* Refuses a set that is not good by itself, by the schema, or with the roles. */
static dv_result set_check(dv_call *call, const dv_auth_documents *live,
                           const dv_auth_documents *set, json_t *warnings, dv_error *error)
{
    dv_auto(cedar_schema) dv_cedar_schema *schema = NULL;
    dv_auto(buf) dv_buf text = dv_buf_init(SHOW_MAX);
    DV_TRY(dv_auth_schema_read(call->services->store, call->arena, &schema, error));
    const dv_auth_held held = {.schema = schema, .kept = live, .warnings = warnings};
    DV_TRY(dv_auth_documents_compile(set, &held, &text, error));
    dv_auto(cedar_policy_set) dv_cedar_policy_set *parsed = NULL;
    return dv_auth_set_parse(call->services->store, set, &parsed, error);
}

/* --- changing -------------------------------------------------------------------------------- */

/* Begins the answer, which gets the rest as it comes to be known. */
static dv_result change_begin(dv_call *call, const dv_auth_documents *live,
                              const dv_auth_documents *wanted, json_t **ret_warnings)
{
    json_t *warnings = json_array();
    call->answer = json_pack("{s:o, s:o}", "changes", dv_auth_documents_changes(live, wanted),
                             "warnings", warnings);
    *ret_warnings = warnings;
    return call->answer == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result change_answer(dv_call *call, const dv_auth_version *version, bool dry_run)
{
    DV_TRY(dv_auth_json_set(call->answer, "version", json_integer((json_int_t)version->number)));
    DV_TRY(dv_auth_json_set(call->answer, "digest", dv_auth_json_text(version->digest)));
    return dv_auth_json_set(call->answer, "dry_run", json_boolean(dry_run));
}

/* Puts the set into force, unless it is there already or this is a dry run. */
static dv_result set_put(dv_call *call, const dv_auth_documents *live, dv_auth_documents *wanted,
                         dv_auth_version *version, dv_error *error)
{
    bool dry_run = json_is_true(json_object_get(call->body, "dry_run"));
    json_t *warnings = NULL;
    DV_TRY(change_begin(call, live, wanted, &warnings));
    DV_TRY(set_check(call, live, wanted, warnings, error));
    bool changes = json_array_size(json_object_get(call->answer, "changes")) > 0;
    DV_TRY(changes && !dry_run
               ? dv_auth_version_write(call, live, wanted, version, error)
               : dv_auth_version_last(call->services->store, &version->number, error));
    DV_TRY(change_answer(call, version, dry_run));
    return dry_run ? dv_auth_access_compare(call, live, wanted, call->answer, error) : DV_OK;
}

static dv_result policy_apply(dv_call *call, dv_error *error)
{
    dv_auth_documents live, wanted, given = {0};
    dv_auth_version version = {.action = "apply", .note = dv_call_field(call, "note")};
    bool replace_all = json_is_true(json_object_get(call->body, "replace_all"));
    DV_TRY(live_read(call, &live, error));
    DV_TRY(given_read(call, &given, error));
    DV_TRY(merge(call, &live, &given, replace_all, &wanted, error));
    return set_put(call, &live, &wanted, &version, error);
}

/* A dry run reads, and that is all. */
static dv_result change_or_try(dv_call *call, dv_auth_work work, dv_error *error)
{
    bool dry_run = json_is_true(json_object_get(call->body, "dry_run"));
    return dry_run ? work(call, error) : dv_auth_change(call, work, error);
}

dv_result dv_op_policy_apply(dv_call *call, dv_error *error)
{
    return change_or_try(call, policy_apply, error);
}

/* A policy of a role is told where it is changed. */
static dv_result not_found(dv_call *call, const char *name, dv_error *error)
{
    dv_auth_role role;
    size_t prefix = strlen(DV_AUTH_ROLE_POLICY);
    if (strncmp(name, DV_AUTH_ROLE_POLICY, prefix) == 0 &&
        dv_auth_role_read(call->services->store, name + prefix, call->arena, &role, NULL) ==
            DV_OK) {
        return dv_error_set(error, DV_ERR_CONFLICT, "%s is what the role %s permits, which %s",
                            name, role.name,
                            strcmp(role.source, "yaml") == 0
                                ? "comes from rbac: in dvara.yaml; change it there and reload"
                            : strcmp(role.source, "builtin") == 0 ? "is built in"
                                                                  : "is changed with `dvara role`");
    }
    return dv_error_set(error, DV_ERR_NOT_FOUND, "there is no policy named %s", name);
}

static dv_result policy_delete(dv_call *call, dv_error *error)
{
    dv_auth_documents live, wanted;
    const dv_auth_documents none = {0};
    const char *name = dv_call_param(call, "name");
    dv_auth_version version = {.action = "delete"};
    DV_TRY(live_read(call, &live, error));
    const dv_auth_document *gone = dv_auth_documents_find(&live, name);
    if (gone == NULL) {
        return not_found(call, name, error);
    }
    DV_TRY(merge(call, &live, &none, false, &wanted, error));
    size_t at = (size_t)(gone - live.items);
    memmove(&wanted.items[at], &wanted.items[at + 1],
            (wanted.count - at - 1) * sizeof(*wanted.items));
    wanted.count--;
    return dv_auth_version_write(call, &live, &wanted, &version, error);
}

dv_result dv_op_policy_delete(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, policy_delete, error);
}

static dv_result policy_rollback(dv_call *call, dv_error *error)
{
    dv_auth_documents live, wanted;
    int64_t origin = json_integer_value(json_object_get(call->params, "version"));
    dv_auth_version version = {
        .action = "rollback", .note = dv_call_field(call, "note"), .origin = origin};
    DV_TRY(live_read(call, &live, error));
    DV_TRY(dv_auth_documents_read(call->services->store, origin, call->arena, &wanted, error));
    return set_put(call, &live, &wanted, &version, error);
}

dv_result dv_op_policy_rollback(dv_call *call, dv_error *error)
{
    return change_or_try(call, policy_rollback, error);
}

/* The version that the body names, or else the one in force. */
static dv_result version_said(dv_call *call, const char *field, int64_t *ret_version,
                              dv_error *error)
{
    const json_t *said = json_object_get(call->body, field);
    if (said == NULL) {
        return dv_auth_version_last(call->services->store, ret_version, error);
    }
    *ret_version = json_integer_value(said);
    return DV_OK;
}

/* Between two versions, or a version and the set that the given texts would make of it. */
dv_result dv_op_policy_diff(dv_call *call, dv_error *error)
{
    dv_auth_documents before, after, given = {0};
    bool replace_all = json_is_true(json_object_get(call->body, "replace_all"));
    dv_store *store = call->services->store;
    int64_t from = 0, to = 0;
    DV_TRY(version_said(call, "from", &from, error));
    DV_TRY(version_said(call, "to", &to, error));
    DV_TRY(dv_auth_documents_read(store, from, call->arena, &before, error));
    DV_TRY(dv_auth_documents_read(store, to, call->arena, &after, error));
    DV_TRY(given_read(call, &given, error));
    DV_TRY(merge(call, &after, &given, replace_all, &after, error));
    json_t *changes = dv_auth_documents_changes(&before, &after);
    call->answer = json_pack("{s:I, s:I, s:o}", "from", (json_int_t)from, "to", (json_int_t)to,
                             "changes", changes);
    return call->answer == NULL
               ? DV_ERR_NO_MEMORY
               : dv_auth_access_compare(call, &before, &after, call->answer, error);
}

/* --- showing --------------------------------------------------------------------------------- */

static json_t *document_json(const dv_auth_document *document)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:I}", "name", document->name, "source", "api", "since",
                     (json_int_t)document->since, "digest", document->digest, "bytes",
                     (json_int_t)document->text.len);
}

/* In pages by name, as every list; the set itself is small enough to be read whole. */
dv_result dv_op_policy_list(dv_call *call, dv_error *error)
{
    dv_auth_documents live;
    const char *cursor = dv_auth_list_cursor(call);
    size_t limit = (size_t)dv_auth_list_limit(call);
    DV_TRY(live_read(call, &live, error));
    json_t *items = json_array();
    call->answer = json_pack("{s:o}", "items", items);
    for (size_t i = 0; call->answer != NULL && i < live.count; i++) {
        if (strcmp(live.items[i].name, cursor) <= 0) {
            continue;
        }
        if (json_array_size(items) == limit) {
            return dv_auth_json_set(call->answer, "next", json_string(live.items[i - 1].name));
        }
        if (json_array_append_new(items, document_json(&live.items[i])) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return call->answer == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result show_answer(dv_call *call, const char *source, int64_t version, dv_slice text)
{
    call->answer = json_pack("{s:s, s:I, s:s%}", "source", source, "version", (json_int_t)version,
                             "text", text.len == 0 ? "" : (const char *)text.ptr, text.len);
    return call->answer == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result show_document(dv_call *call, const char *name, int64_t version, dv_error *error)
{
    dv_auth_documents documents;
    DV_TRY(dv_auth_documents_read(call->services->store, version, call->arena, &documents, error));
    const dv_auth_document *found = dv_auth_documents_find(&documents, name);
    if (found == NULL) {
        return not_found(call, name, error);
    }
    DV_TRY(show_answer(call, "api", version, found->text));
    DV_TRY(dv_auth_json_set(call->answer, "name", json_string(found->name)));
    return dv_auth_json_set(call->answer, "digest", json_string(found->digest));
}

/* source: "rbac" (what roles permit), "api" (what was applied), or "all". */
static dv_result show_source(dv_call *call, const char *source, int64_t version, dv_error *error)
{
    dv_auth_documents documents = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(SHOW_MAX);
    if (strcmp(source, "rbac") != 0) {
        DV_TRY(
            dv_auth_documents_read(call->services->store, version, call->arena, &documents, error));
    }
    DV_TRY(strcmp(source, "api") == 0
               ? dv_auth_documents_compile(&documents, NULL, &text, error)
               : dv_auth_set_write(call->services->store, &documents, &text, error));
    return show_answer(call, source, version, dv_buf_slice(&text));
}

dv_result dv_op_policy_show(dv_call *call, dv_error *error)
{
    const char *name = dv_call_param(call, "name");
    const char *source = dv_call_param(call, "source");
    const json_t *wanted = json_object_get(call->params, "version");
    int64_t version = json_integer_value(wanted);
    if (wanted == NULL) {
        DV_TRY(dv_auth_version_last(call->services->store, &version, error));
    }
    if (name != NULL && source != NULL) {
        return dv_call_invalid(call, "source", error, "say a name or a source, not both");
    }
    return name != NULL ? show_document(call, name, version, error)
                        : show_source(call, source != NULL ? source : "all", version, error);
}

static json_t *version_json(dv_statement *row)
{
    dv_slice author = dv_column_slice(row, 2), action = dv_column_slice(row, 3);
    dv_slice note = dv_column_slice(row, 4), digest = dv_column_slice(row, 6);
    bool has_note = !dv_column_is_null(row, 4);
    return json_pack(
        "{s:I, s:o, s:s%, s:s%, s:o, s:o, s:s%, s:I}", "version", (json_int_t)dv_column_int(row, 0),
        "created", dv_auth_json_time(dv_column_int(row, 1)), "author", (const char *)author.ptr,
        author.len, "action", (const char *)action.ptr, action.len, "note",
        has_note ? json_stringn((const char *)note.ptr, note.len) : json_null(), "origin",
        dv_column_is_null(row, 5) ? json_null() : json_integer(dv_column_int(row, 5)), "digest",
        (const char *)digest.ptr, digest.len, "policies", (json_int_t)dv_column_int(row, 7));
}

/* The latest first; the cursor is the version that the page before ended with. */
dv_result dv_op_policy_history(dv_call *call, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    const char *cursor = dv_auth_list_cursor(call);
    int64_t before = *cursor == '\0' ? INT64_MAX : strtoll(cursor, NULL, 10);
    size_t limit = (size_t)dv_auth_list_limit(call);
    dv_result result;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT version, created, author, action, note, origin, digest,"
                          " (SELECT count(*) FROM auth_policy_item i WHERE i.version = v.version)"
                          " FROM auth_policy_version v WHERE version < ?1"
                          " ORDER BY version DESC LIMIT ?2",
                          "ii", before, (int64_t)limit + 1));
    json_t *items = json_array();
    call->answer = json_pack("{s:o}", "items", items);
    if (call->answer == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    while ((result = dv_statement_step(row, error)) == DV_OK) {
        if (json_array_size(items) == limit) {
            json_t *last = json_object_get(json_array_get(items, limit - 1), "version");
            const char *next =
                dv_arena_printf(call->arena, "%lld", (long long)json_integer_value(last));
            return dv_auth_json_set(call->answer, "next", dv_auth_json_text(next));
        }
        if (json_array_append_new(items, version_json(row)) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}
