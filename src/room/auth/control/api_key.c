/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/internal.h"

#include "crypto/hash.h"
#include "crypto/random.h"

#include "api/operations.h"

/* API keys. Life of a key:
 *
 *   made ──► active ──► expired (by time)
 *             │  ▲ └──► revoked (for good; the row stays as a record)
 *             ▼  │
 *           rotating: the old secret lives on until the overlap ends; another rotation ends it
 */

enum { ID_TRIES = 5, SCOPES_TEXT_MAX = DV_CREDENTIAL_SCOPES_MAX * 130 };

/* --- secrets --------------------------------------------------------------------------------- */

static dv_result mac_of(const dv_services *services, const char *key,
                        uint8_t out[DV_SECRET_MAC_LEN], dv_error *error)
{
    uint8_t pepper[DV_PEPPER_LEN];
    dv_auto(hmac) dv_hmac *hmac = NULL;
    DV_TRY(dv_auth_pepper_read(services, false, pepper, error));
    dv_result result = dv_hmac_new(pepper, &hmac);
    dv_wipe(pepper, sizeof(pepper));
    DV_TRY(result);
    dv_hmac_sign(hmac, dv_slice_str(key), out);
    return DV_OK;
}

/* A new secret for the id, and what is kept of it. */
static dv_result secret_make(const dv_services *services, const char *id,
                             char secret[DV_API_KEY_LEN + 1], uint8_t mac[DV_SECRET_MAC_LEN],
                             dv_error *error)
{
    char digits[DV_API_KEY_RANDOM_LEN];
    dv_random_base62(digits, sizeof(digits));
    dv_result result =
        dv_api_key_format(dv_slice_str(id), dv_slice_of(digits, sizeof(digits)), secret);
    dv_wipe(digits, sizeof(digits));
    DV_TRY(result);
    return mac_of(services, secret, mac, error);
}

static dv_result id_make(dv_call *call, const char **ret_id, dv_error *error)
{
    for (int i = 0; i < ID_TRIES; i++) {
        char digits[DV_API_KEY_ID_LEN];
        dv_random_base62(digits, sizeof(digits));
        const char *id = dv_arena_printf(call->arena, "%.*s", DV_API_KEY_ID_LEN, digits);
        dv_auto(statement) dv_statement *statement = NULL;
        if (id == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        DV_TRY(dv_store_query(call->services->store, &statement, error,
                              "SELECT 1 FROM auth_api_key WHERE id = ?1", "t", id));
        dv_result result = dv_statement_step(statement, error);
        if (result == DV_ERR_NOT_FOUND) {
            *ret_id = id;
            return DV_OK;
        }
        DV_TRY(result);
    }
    return dv_error_set(error, DV_ERR_INTERNAL, "no free key id was found");
}

/* --- making ---------------------------------------------------------------------------------- */

static dv_result key_audit(dv_call *call, dv_entity_activity activity, const char *id,
                           dv_auth_ref owner, json_t *change, dv_error *error)
{
    const char *entity = dv_auth_entity(call->arena, owner);
    dv_result result = entity == NULL
                           ? DV_ERR_NO_MEMORY
                           : dv_audit_entity(call, activity, "api_key", id, entity, change, error);
    json_decref(change);
    return result;
}

/* What the key may do, as it was decided now: its scopes, or whatever its owner may. */
static dv_result session_audit(dv_call *call, const dv_auth_new_key *wanted, const char *id,
                               dv_error *error)
{
    dv_slice scopes[DV_CREDENTIAL_SCOPES_MAX];
    dv_slice rest = dv_slice_str(wanted->scopes);
    const char *entity = dv_auth_entity(call->arena, wanted->owner);
    dv_event_session session = {
        .holder = dv_slice_str(entity),
        .credential_id = dv_slice_str(id),
        .privileges = scopes,
        .until = wanted->expires,
    };
    while (rest.len > 0 && session.privilege_count < DV_ARRAY_LEN(scopes) &&
           dv_slice_split(&rest, ' ', &scopes[session.privilege_count])) {
        session.privilege_count++;
    }
    return entity == NULL ? DV_ERR_NO_MEMORY : dv_audit_session(call, &session, error);
}

static dv_result key_insert(dv_call *call, const dv_auth_new_key *wanted, const char *id,
                            const uint8_t mac[DV_SECRET_MAC_LEN], dv_error *error)
{
    DV_TRY(dv_store_run(call->services->store, error,
                        "INSERT INTO auth_api_key (id, kind, owner, name, secret, scopes, created)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                        "ttttbti", id, dv_auth_kind_name(wanted->owner.kind), wanted->owner.name,
                        wanted->name, dv_slice_of(mac, DV_SECRET_MAC_LEN), wanted->scopes,
                        call->now));
    return wanted->expires == DV_TIME_NEVER
               ? DV_OK
               : dv_store_run(call->services->store, error,
                              "UPDATE auth_api_key SET expires = ?2 WHERE id = ?1", "ti", id,
                              wanted->expires);
}

dv_result dv_auth_key_make(dv_call *call, const dv_auth_new_key *wanted,
                           char secret[DV_API_KEY_LEN + 1], const char **ret_id, dv_error *error)
{
    const char *id = NULL;
    uint8_t mac[DV_SECRET_MAC_LEN];
    DV_TRY(dv_auth_require(call->services->store, wanted->owner, error));
    DV_TRY(dv_auth_check_key(call, wanted->owner, dv_slice_str(wanted->scopes), error));
    DV_TRY(id_make(call, &id, error));
    DV_TRY(secret_make(call->services, id, secret, mac, error));
    DV_TRY(key_insert(call, wanted, id, mac, error));
    DV_TRY(dv_auth_touch_key(call, id, error));
    DV_TRY(key_audit(call, DV_ENTITY_CREATE, id, wanted->owner,
                     json_pack("{s:s, s:o}", "scopes", wanted->scopes, "expires",
                               dv_auth_json_time(wanted->expires)),
                     error));
    DV_TRY(session_audit(call, wanted, id, error));
    *ret_id = id;
    return DV_OK;
}

/* --- as JSON --------------------------------------------------------------------------------- */

static const char *status_of(dv_statement *row, dv_time now)
{
    if (!dv_column_is_null(row, 7)) {
        return "revoked";
    }
    return !dv_column_is_null(row, 6) && dv_column_int(row, 6) <= now ? "expired" : "active";
}

static json_t *scopes_json(dv_slice scopes)
{
    json_t *array = json_array();
    dv_slice scope;
    while (array != NULL && scopes.len > 0 && dv_slice_split(&scopes, ' ', &scope)) {
        if (json_array_append_new(array, json_stringn((const char *)scope.ptr, scope.len)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *slice_json(dv_statement *row, int column)
{
    dv_slice text = dv_column_slice(row, column);
    return dv_column_is_null(row, column) ? json_null()
                                          : json_stringn((const char *)text.ptr, text.len);
}

static dv_result key_fill(dv_call *call, dv_statement *row, json_t *json)
{
    bool rotating = !dv_column_is_null(row, 9) && dv_column_int(row, 9) > call->now;
    dv_slice kind = dv_column_slice(row, 0);
    DV_TRY(dv_auth_json_set(json, dv_slice_eq_str(kind, "user") ? "user" : "service",
                            slice_json(row, 1)));
    DV_TRY(dv_auth_json_set(json, "name", slice_json(row, 2)));
    DV_TRY(dv_auth_json_set(json, "status", json_string(status_of(row, call->now))));
    DV_TRY(dv_auth_json_set(json, "scopes", scopes_json(dv_column_slice(row, 3))));
    DV_TRY(dv_auth_json_set(json, "created", dv_auth_json_time(dv_column_int(row, 4))));
    DV_TRY(dv_auth_json_set(json, "rotated", dv_auth_json_time(dv_column_int(row, 5))));
    DV_TRY(dv_auth_json_set(json, "expires", dv_auth_json_time(dv_column_int(row, 6))));
    DV_TRY(dv_auth_json_set(json, "revoked", dv_auth_json_time(dv_column_int(row, 7))));
    DV_TRY(dv_auth_json_set(json, "last_used", dv_auth_json_time(dv_column_int(row, 8))));
    return dv_auth_json_set(json, "old_secret_until",
                            rotating ? dv_auth_json_time(dv_column_int(row, 9)) : json_null());
}

static dv_result key_row(dv_call *call, const char *id, dv_statement **ret_row, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT kind, owner, name, scopes, created, rotated, expires, revoked,"
                          " last_used, previous_expires FROM auth_api_key WHERE id = ?1",
                          "t", id));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, result, "there is no API key with the id %s", id);
    }
    DV_TRY(result);
    *ret_row = row;
    row = NULL;
    return DV_OK;
}

static dv_result key_item(dv_call *call, const char *id, json_t **ret_json, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(key_row(call, id, &row, error));
    json_t *json = json_pack("{s:s}", "id", id);
    dv_result result = json == NULL ? DV_ERR_NO_MEMORY : key_fill(call, row, json);
    if (result != DV_OK) {
        json_decref(json);
        return result;
    }
    *ret_json = json;
    return DV_OK;
}

/* --- operations ------------------------------------------------------------------------------ */

/* "90d" from now, or a time. */
static dv_result expires_read(dv_call *call, dv_time *ret_expires, dv_error *error)
{
    const char *text = dv_call_field(call, "expires");
    dv_time duration;
    if (text == NULL) {
        *ret_expires = DV_TIME_NEVER;
        return DV_OK;
    }
    if (dv_duration_parse(dv_slice_str(text), &duration) == DV_OK &&
        !__builtin_add_overflow(call->now, duration, ret_expires)) {
        return DV_OK;
    }
    if (dv_time_parse(dv_slice_str(text), ret_expires) != DV_OK || *ret_expires <= call->now) {
        return dv_call_invalid(call, "expires", error,
                               "wants a duration (90d) or a time to come (2030-01-31T00:00:00Z)");
    }
    return DV_OK;
}

static dv_result scopes_read(dv_call *call, const char **ret_scopes, dv_error *error)
{
    dv_auth_names names;
    dv_auto(buf) dv_buf text = dv_buf_init(SCOPES_TEXT_MAX);
    DV_TRY(dv_auth_field_names(call, "scopes", &names));
    if (names.count > DV_CREDENTIAL_SCOPES_MAX) {
        return dv_call_invalid(call, "scopes", error, "a key has at most %d scopes",
                               DV_CREDENTIAL_SCOPES_MAX);
    }
    for (size_t i = 0; i < names.count; i++) {
        dv_slice scope = dv_slice_str(names.items[i]);
        if (!dv_auth_permission_ok(scope) || dv_slice_eq_str(scope, "*")) {
            return dv_call_invalid(call, dv_arena_printf(call->arena, "scopes.%zu", i), error,
                                   "\"%s\" is no name of a permission", names.items[i]);
        }
        DV_TRY(dv_buf_append_str(&text, i > 0 ? " " : ""));
        DV_TRY(dv_buf_append(&text, scope));
    }
    *ret_scopes = dv_arena_printf(call->arena, "%.*s", DV_SLICE_ARGS(dv_buf_slice(&text)));
    return *ret_scopes == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

/* The key as others see it, and the secret, this once. */
static dv_result key_answer(dv_call *call, const char *id, char secret[DV_API_KEY_LEN + 1],
                            dv_error *error)
{
    json_t *json = NULL;
    dv_result result = key_item(call, id, &json, error);
    if (result == DV_OK) {
        result = dv_auth_json_set(json, "secret", json_string(secret));
    }
    dv_wipe(secret, DV_API_KEY_LEN + 1);
    if (result != DV_OK) {
        json_decref(json);
        return result;
    }
    call->answer = json;
    return DV_OK;
}

static dv_result apikey_create(dv_call *call, dv_error *error)
{
    const char *id = NULL;
    char secret[DV_API_KEY_LEN + 1];
    dv_auth_new_key wanted = {.name = dv_call_field(call, "name")};
    DV_TRY(dv_auth_field_ref(call, DV_AUTH_SERVICE, &wanted.owner, error));
    DV_TRY(expires_read(call, &wanted.expires, error));
    DV_TRY(scopes_read(call, &wanted.scopes, error));
    DV_TRY(dv_auth_key_make(call, &wanted, secret, &id, error));
    return key_answer(call, id, secret, error);
}

dv_result dv_op_apikey_create(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, apikey_create, error);
}

/* All, or those of one user or service. */
dv_result dv_op_apikey_list(dv_call *call, dv_error *error)
{
    const char *user = dv_call_param(call, "user");
    const char *service = dv_call_param(call, "service");
    dv_auto(statement) dv_statement *page = NULL;
    if (user != NULL && service != NULL) {
        return dv_call_invalid(call, "service", error, "name a user or a service, not both");
    }
    DV_TRY(dv_store_query(call->services->store, &page, error,
                          "SELECT id FROM auth_api_key WHERE id > ?1"
                          " AND (?3 IS NULL OR (kind = ?3 AND owner = ?4)) ORDER BY id LIMIT ?2",
                          "titt", dv_auth_list_cursor(call), dv_auth_list_limit(call) + 1,
                          user != NULL      ? "user"
                          : service != NULL ? "service"
                                            : NULL,
                          user != NULL ? user : service));
    return dv_auth_list_answer(call, page, key_item, error);
}

dv_result dv_op_apikey_show(dv_call *call, dv_error *error)
{
    return key_item(call, dv_call_param(call, "id"), &call->answer, error);
}

static dv_result owner_read(dv_call *call, dv_statement *row, dv_auth_ref *ret_owner)
{
    dv_slice name;
    DV_TRY(dv_auth_kind_parse(dv_column_slice(row, 0), &ret_owner->kind));
    DV_TRY(dv_arena_copy(call->arena, dv_column_slice(row, 1), &name));
    ret_owner->name = (const char *)name.ptr;
    return DV_OK;
}

/* The owner of a key that is still good. */
static dv_result live_key(dv_call *call, const char *id, dv_auth_ref *ret_owner,
                          dv_slice *ret_scopes, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(key_row(call, id, &row, error));
    const char *status = status_of(row, call->now);
    if (strcmp(status, "active") != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT, "the API key %s is %s", id, status);
    }
    DV_TRY(dv_arena_copy(call->arena, dv_column_slice(row, 3), ret_scopes));
    return owner_read(call, row, ret_owner);
}

static dv_result overlap_read(dv_call *call, dv_time *ret_until, dv_error *error)
{
    dv_time overlap;
    const char *text = dv_call_field(call, "overlap");
    if (dv_duration_parse(dv_slice_str(text == NULL ? "24h" : text), &overlap) != DV_OK ||
        __builtin_add_overflow(call->now, overlap, ret_until)) {
        return dv_call_invalid(call, "overlap", error, "wants a duration: 24h, 30m, 0s");
    }
    return DV_OK;
}

static dv_result apikey_rotate(dv_call *call, dv_error *error)
{
    dv_time until = 0;
    dv_auth_ref owner;
    dv_slice scopes;
    uint8_t mac[DV_SECRET_MAC_LEN];
    char secret[DV_API_KEY_LEN + 1];
    const char *id = dv_call_param(call, "id");
    DV_TRY(overlap_read(call, &until, error));
    DV_TRY(live_key(call, id, &owner, &scopes, error));
    DV_TRY(dv_auth_check_key(call, owner, scopes, error));
    DV_TRY(secret_make(call->services, id, secret, mac, error));
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE auth_api_key SET previous = secret, previous_expires = ?3,"
                        " secret = ?2, rotated = ?4 WHERE id = ?1",
                        "tbii", id, dv_slice_of(mac, sizeof(mac)), until, call->now));
    DV_TRY(dv_auth_touch_key(call, id, error));
    DV_TRY(key_audit(call, DV_ENTITY_UPDATE, id, owner,
                     json_pack("{s:o}", "old_secret_until", dv_auth_json_time(until)), error));
    return key_answer(call, id, secret, error);
}

dv_result dv_op_apikey_rotate(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, apikey_rotate, error);
}

/* A key that is revoked already stays as it was. */
static dv_result apikey_revoke(dv_call *call, dv_error *error)
{
    dv_auth_ref owner;
    const char *id = dv_call_param(call, "id");
    {
        dv_auto(statement) dv_statement *row = NULL;
        DV_TRY(key_row(call, id, &row, error));
        DV_TRY(owner_read(call, row, &owner));
    }
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE auth_api_key SET revoked = coalesce(revoked, ?2), previous = NULL,"
                        " previous_expires = NULL WHERE id = ?1",
                        "ti", id, call->now));
    DV_TRY(dv_auth_touch_key(call, id, error));
    DV_TRY(key_audit(call, DV_ENTITY_DISABLE, id, owner, json_pack("{s:b}", "revoked", 1), error));
    return key_item(call, id, &call->answer, error);
}

dv_result dv_op_apikey_revoke(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, apikey_revoke, error);
}
