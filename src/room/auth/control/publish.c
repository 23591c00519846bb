/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/policies.h"

#include "base/codec.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "engine/cedar/cedar.h"

/* What the snapshot says of identity is a function of the store: every record here is made from
 * what the store has now, whatever was changed. So replaying is harmless, and a rebuild is the same
 * for all. */

enum {
    POLICIES_MAX = 8 << 20,
    PUBLISH_ARENA = 256 << 20,
    CHANGES_KEPT = 100000,
};

/* Moves when a record's layout does, so that an old snapshot is rebuilt. */
#define META_LAYOUT DV_LIT("auth.layout")
#define META_STORE DV_LIT("auth.store")
static const char LAYOUT[] = "1";

/* --- credentials ----------------------------------------------------------------------------- */

#define KEY_COLUMNS "id, kind, owner, secret, previous, previous_expires, scopes, expires"

static dv_result mac_read(dv_slice column, uint8_t out[DV_SECRET_MAC_LEN])
{
    if (column.len != DV_SECRET_MAC_LEN) {
        return DV_ERR_CORRUPT;
    }
    memcpy(out, column.ptr, DV_SECRET_MAC_LEN);
    return DV_OK;
}

static dv_result scopes_split(dv_slice text, dv_slice scopes[DV_CREDENTIAL_SCOPES_MAX],
                              size_t *ret_count)
{
    size_t count = 0;
    while (text.len > 0 && count < DV_CREDENTIAL_SCOPES_MAX &&
           dv_slice_split(&text, ' ', &scopes[count])) {
        count++;
    }
    *ret_count = count;
    return text.len == 0 ? DV_OK : DV_ERR_CORRUPT;
}

/* The statement's row has KEY_COLUMNS. */
static dv_result credential_put(dv_services *services, dv_statement *row)
{
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_RECORD_MAX);
    dv_slice scopes[DV_CREDENTIAL_SCOPES_MAX];
    dv_credential_record record = {.owner = dv_column_slice(row, 2), .expires = DV_TIME_NEVER};
    record.owner_type = dv_slice_eq_str(dv_column_slice(row, 1), "service") ? DV_PRINCIPAL_SERVICE
                                                                            : DV_PRINCIPAL_USER;
    DV_TRY(mac_read(dv_column_slice(row, 3), record.secret));
    if (!dv_column_is_null(row, 4)) {
        DV_TRY(mac_read(dv_column_slice(row, 4), record.previous));
        record.previous_expires = dv_column_int(row, 5);
    }
    DV_TRY(scopes_split(dv_column_slice(row, 6), scopes, &record.scope_count));
    if (!dv_column_is_null(row, 7)) {
        record.expires = dv_column_int(row, 7);
    }
    DV_TRY(dv_credential_encode(&record, scopes, &bytes));
    return dv_snapshot_put(services->snapshot, DV_TABLE_CREDENTIALS, dv_column_slice(row, 0),
                           dv_buf_slice(&bytes));
}

static dv_result credential_publish(dv_services *services, dv_slice id, dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(services->store, &statement, error,
                          "SELECT " KEY_COLUMNS " FROM auth_api_key WHERE id = ?1"
                          " AND revoked IS NULL",
                          "s", id));
    dv_result result = dv_statement_step(statement, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_snapshot_delete(services->snapshot, DV_TABLE_CREDENTIALS, id);
    }
    return result == DV_OK ? credential_put(services, statement) : result;
}

/* --- principals ------------------------------------------------------------------------------ */

/* Those of one kind, as entity texts behind each other. */
static dv_result entities_add(const dv_auth_walk *walk, dv_auth_kind kind, dv_arena *arena,
                              dv_slice entities[DV_LIMIT_ANCESTORS],
                              dv_time until[DV_LIMIT_ANCESTORS], size_t *count)
{
    for (size_t i = 1; i < walk->count; i++) {
        if (walk->nodes[i].ref.kind != kind) {
            continue;
        }
        const char *text = dv_auth_entity(arena, walk->nodes[i].ref);
        if (text == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        until[*count] = walk->nodes[i].until;
        entities[(*count)++] = dv_slice_str(text);
    }
    return DV_OK;
}

/* Groups first, then roles: the record wants them so. */
static dv_result principal_put(dv_services *services, dv_auth_ref ref, bool active, dv_slice entity,
                               dv_arena *arena, dv_error *error)
{
    dv_auth_walk walk;
    dv_slice entities[DV_LIMIT_ANCESTORS];
    dv_time until[DV_LIMIT_ANCESTORS];
    size_t groups = 0;
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_RECORD_MAX);
    DV_TRY(dv_auth_walk_up(services->store, ref, arena, &walk, error));
    DV_TRY(entities_add(&walk, DV_AUTH_GROUP, arena, entities, until, &groups));
    size_t count = groups;
    DV_TRY(entities_add(&walk, DV_AUTH_ROLE, arena, entities, until, &count));
    dv_principal_type type = ref.kind == DV_AUTH_USER ? DV_PRINCIPAL_USER : DV_PRINCIPAL_SERVICE;
    DV_TRY(dv_principal_encode_until(type, dv_slice_str(ref.name), active, entities, until, count,
                                     groups, &bytes));
    return dv_snapshot_put(services->snapshot, DV_TABLE_PRINCIPALS, entity, dv_buf_slice(&bytes));
}

static dv_result principal_publish(dv_services *services, dv_auth_ref ref, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_RECORD_MAX * 4);
    dv_auto(statement) dv_statement *statement = NULL;
    const char *entity = arena == NULL ? NULL : dv_auth_entity(arena, ref);
    if (entity == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_store_query(services->store, &statement, error,
                          "SELECT status FROM auth_entity WHERE kind = ?1 AND name = ?2", "tt",
                          dv_auth_kind_name(ref.kind), ref.name));
    dv_result result = dv_statement_step(statement, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_snapshot_delete(services->snapshot, DV_TABLE_PRINCIPALS, dv_slice_str(entity));
    }
    DV_TRY(result);
    bool active = dv_slice_eq_str(dv_column_slice(statement, 0), "active");
    return principal_put(services, ref, active, dv_slice_str(entity), arena, error);
}

static dv_result principals_below_publish(dv_services *services, dv_auth_ref ref, dv_arena *arena,
                                          dv_error *error)
{
    dv_auth_refs refs;
    DV_TRY(dv_auth_principals_below(services->store, ref, arena, &refs, error));
    for (size_t i = 0; i < refs.count; i++) {
        DV_TRY(principal_publish(services, refs.items[i], error));
    }
    return DV_OK;
}

/* --- policies -------------------------------------------------------------------------------- */

static dv_result policies_publish(dv_services *services, dv_error *error)
{
    uint8_t version[DV_SHA256_LEN];
    int64_t last = 0;
    dv_auth_documents documents;
    dv_auto(buf) dv_buf text = dv_buf_init(POLICIES_MAX);
    dv_auto(arena) dv_arena *arena = dv_arena_new(PUBLISH_ARENA);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_auth_version_last(services->store, &last, error));
    DV_TRY(dv_auth_documents_read(services->store, last, arena, &documents, error));
    DV_TRY(dv_auth_set_write(services->store, &documents, &text, error));
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    DV_TRY(dv_cedar_parse(dv_buf_slice(&text), &set, error)); /* or every gate would refuse it */
    dv_sha256(dv_buf_slice(&text), (dv_slice){0}, (dv_slice){0}, version);
    DV_TRY(dv_snapshot_put(services->snapshot, DV_TABLE_POLICIES, DV_POLICIES_TEXT,
                           dv_buf_slice(&text)));
    return dv_snapshot_put(services->snapshot, DV_TABLE_POLICIES, DV_POLICIES_VERSION,
                           dv_slice_of(version, sizeof(version)));
}

/* --- replaying ------------------------------------------------------------------------------- */

static dv_result change_publish(dv_services *services, const dv_change *change, dv_arena *arena,
                                dv_error *error)
{
    dv_auth_ref ref = {.name = (const char *)change->key.ptr};
    if (dv_slice_eq_str(change->kind, "credential")) {
        return credential_publish(services, change->key, error);
    }
    if (dv_slice_eq_str(change->kind, "policies")) {
        return policies_publish(services, error);
    }
    if (dv_auth_kind_parse(change->kind, &ref.kind) != DV_OK) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the change log has an unknown kind \"%.*s\"",
                            DV_SLICE_ARGS(change->kind));
    }
    return ref.kind == DV_AUTH_USER || ref.kind == DV_AUTH_SERVICE
               ? principal_publish(services, ref, error)
               : principals_below_publish(services, ref, arena, error);
}

dv_result dv_auth_publish(dv_services *services, uint64_t *ret_last, dv_error *error)
{
    uint64_t shown;
    uint64_t last;
    uint64_t forgotten;
    const dv_change *changes;
    size_t count;
    dv_auto(arena) dv_arena *arena = dv_arena_new(PUBLISH_ARENA);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_snapshot_change_sequence(services->snapshot, &shown));
    DV_TRY(dv_change_range(services->store, &last, &forgotten, error));
    DV_TRY(dv_change_list(services->store, shown, arena, &changes, &count, error));
    for (size_t i = 0; i < count; i++) {
        dv_result result = change_publish(services, &changes[i], arena, error);
        if (result != DV_OK) {
            return result;
        }
    }
    *ret_last = last;
    return DV_OK;
}

/* --- rebuilding ------------------------------------------------------------------------------ */

static dv_result credentials_rebuild(dv_services *services, dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    dv_result result;
    DV_TRY(dv_store_query(services->store, &statement, error,
                          "SELECT " KEY_COLUMNS " FROM auth_api_key WHERE revoked IS NULL"
                          " ORDER BY id",
                          ""));
    while ((result = dv_statement_step(statement, error)) == DV_OK) {
        DV_TRY(credential_put(services, statement));
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_result principals_rebuild(dv_services *services, dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    dv_auth_ref ref;
    char name[DV_ENTITY_TEXT_MAX];
    dv_result result;
    DV_TRY(dv_store_query(services->store, &statement, error,
                          "SELECT kind, name FROM auth_entity WHERE kind <> 'group'"
                          " ORDER BY kind, name",
                          ""));
    while ((result = dv_statement_step(statement, error)) == DV_OK) {
        DV_TRY(dv_auth_kind_parse(dv_column_slice(statement, 0), &ref.kind));
        snprintf(name, sizeof(name), "%.*s", DV_SLICE_ARGS(dv_column_slice(statement, 1)));
        ref.name = name;
        DV_TRY(principal_publish(services, ref, error));
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_result meta_put(dv_services *services, dv_slice store_id, dv_error *error)
{
    uint8_t pepper[DV_PEPPER_LEN];
    DV_TRY(dv_auth_pepper_read(services, false, pepper, error));
    dv_result result = dv_snapshot_put(services->snapshot, DV_TABLE_META, DV_META_PEPPER,
                                       dv_slice_of(pepper, sizeof(pepper)));
    dv_wipe(pepper, sizeof(pepper));
    DV_TRY(result);
    DV_TRY(dv_snapshot_put(services->snapshot, DV_TABLE_META, META_LAYOUT, dv_slice_str(LAYOUT)));
    return dv_snapshot_put(services->snapshot, DV_TABLE_META, META_STORE, store_id);
}

static dv_result all_put(dv_services *services, dv_slice store_id, dv_error *error)
{
    DV_TRY(dv_snapshot_clear(services->snapshot, DV_TABLE_CREDENTIALS));
    DV_TRY(dv_snapshot_clear(services->snapshot, DV_TABLE_PRINCIPALS));
    DV_TRY(dv_snapshot_clear(services->snapshot, DV_TABLE_POLICIES));
    DV_TRY(meta_put(services, store_id, error));
    DV_TRY(credentials_rebuild(services, error));
    DV_TRY(principals_rebuild(services, error));
    return policies_publish(services, error);
}

dv_result dv_auth_rebuild(dv_services *services, dv_error *error)
{
    uint64_t last;
    uint64_t forgotten;
    dv_slice store_id;
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_RECORD_MAX);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_store_id(services->store, arena, &store_id, error));
    DV_TRY(dv_change_range(services->store, &last, &forgotten, error));
    DV_TRY(dv_snapshot_write_begin(services->snapshot, error));
    dv_result result = all_put(services, store_id, error);
    if (result != DV_OK) {
        dv_snapshot_abort(services->snapshot);
        return result;
    }
    return dv_snapshot_commit(services->snapshot, last);
}

/* --- catching up ----------------------------------------------------------------------------- */

static bool meta_is(dv_services *services, dv_slice key, dv_slice expected)
{
    dv_slice value;
    return dv_snapshot_get(services->snapshot, DV_TABLE_META, key, &value) == DV_OK &&
           dv_equal_constant_time(value, expected);
}

/* Made from this store, in this layout, with this pepper. */
static bool meta_ok(dv_services *services, dv_slice store_id)
{
    uint8_t pepper[DV_PEPPER_LEN];
    if (dv_auth_pepper_read(services, false, pepper, NULL) != DV_OK ||
        dv_snapshot_begin(services->snapshot) != DV_OK) {
        return false;
    }
    bool ok = meta_is(services, META_STORE, store_id) &&
              meta_is(services, META_LAYOUT, dv_slice_str(LAYOUT)) &&
              meta_is(services, DV_META_PEPPER, dv_slice_of(pepper, sizeof(pepper)));
    dv_snapshot_end(services->snapshot);
    dv_wipe(pepper, sizeof(pepper));
    return ok;
}

static dv_result replay(dv_services *services, dv_error *error)
{
    uint64_t last = 0;
    DV_TRY(dv_snapshot_write_begin(services->snapshot, error));
    dv_result result = dv_auth_publish(services, &last, error);
    if (result != DV_OK) {
        dv_snapshot_abort(services->snapshot);
        return result;
    }
    return dv_snapshot_commit(services->snapshot, last);
}

dv_result dv_auth_catch_up(dv_services *services, dv_error *error)
{
    uint64_t shown;
    uint64_t last;
    uint64_t forgotten;
    dv_slice store_id;
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_RECORD_MAX);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_store_id(services->store, arena, &store_id, error));
    DV_TRY(dv_snapshot_change_sequence(services->snapshot, &shown));
    DV_TRY(dv_change_range(services->store, &last, &forgotten, error));
    if (shown > last || shown < forgotten || !meta_ok(services, store_id)) {
        return dv_auth_rebuild(services, error);
    }
    if (shown < last) {
        DV_TRY(replay(services, error));
    }
    return forgotten + CHANGES_KEPT < last ? dv_change_prune(services->store, CHANGES_KEPT, error)
                                           : DV_OK;
}
