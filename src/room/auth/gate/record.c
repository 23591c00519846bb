/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/gate/record.h"

#include "base/caps.h"
#include "base/codec.h"

enum {
    CREDENTIAL_VERSION = 1,
    PRINCIPAL_VERSION = 1,
    CREDENTIAL_FIXED = 6 + 8 + 8 + DV_SECRET_MAC_LEN + DV_SECRET_MAC_LEN,
    PRINCIPAL_FIXED = 8,
    ENDING = 2 + 8, /* place of the ancestor, time */
    ACTIVE = 1,
    SUSPENDED = 2,
};

/* What may stand in a name: 2 anywhere, 1 anywhere but first. A table, because the gate asks for
 * every name of a record. */
static const uint8_t NAME_BYTES[256] = {
    ['a' ... 'z'] = 2, ['A' ... 'Z'] = 2, ['0' ... '9'] = 2, ['.'] = 1,
    ['_'] = 1,         ['@'] = 1,         ['-'] = 1,
};

bool dv_auth_name_ok(dv_slice name)
{
    if (name.len == 0 || name.len > DV_LIMIT_NAME) {
        return false;
    }
    bool ok = NAME_BYTES[name.ptr[0]] == 2;
    for (size_t i = 1; i < name.len; i++) {
        ok &= NAME_BYTES[name.ptr[i]] != 0;
    }
    return ok;
}

bool dv_auth_permission_ok(dv_slice permission)
{
    dv_slice part;
    if (dv_slice_eq_str(permission, "*")) {
        return true;
    }
    if (permission.len > DV_LIMIT_NAME) {
        return false;
    }
    bool ok = permission.len > 0;
    while (ok && dv_slice_split(&permission, ':', &part)) {
        ok = dv_auth_name_ok(part);
    }
    return ok;
}

const char *dv_principal_type_name(dv_principal_type type)
{
    return type == DV_PRINCIPAL_USER ? "User" : "Service";
}

static void put_bytes(char *out, size_t *at, const void *bytes, size_t len)
{
    memcpy(out + *at, bytes, len);
    *at += len;
}

/* By hand: printf would cost a tenth of the whole check of a key. */
dv_result dv_entity_text(const char *type, dv_slice name, char out[DV_ENTITY_TEXT_MAX],
                         dv_slice *ret_text)
{
    size_t len = 0;
    size_t type_len = strlen(type);
    if (!dv_auth_name_ok(name) || type_len + name.len + 5 > DV_ENTITY_TEXT_MAX) {
        return DV_ERR_INVALID;
    }
    put_bytes(out, &len, type, type_len);
    put_bytes(out, &len, "::\"", 3);
    put_bytes(out, &len, name.ptr, name.len);
    put_bytes(out, &len, "\"", 2);
    *ret_text = dv_slice_of(out, len - 1);
    return DV_OK;
}

/* --- reading: each takes its piece off the front --------------------------------------------- */

static bool take(dv_slice *rest, size_t len, dv_slice *ret_piece)
{
    if (rest->len < len) {
        return false;
    }
    *ret_piece = dv_slice_sub(*rest, 0, len);
    *rest = dv_slice_sub(*rest, len, rest->len);
    return true;
}

static bool take_u8(dv_slice *rest, uint8_t *ret_value)
{
    dv_slice piece;
    if (!take(rest, 1, &piece)) {
        return false;
    }
    *ret_value = piece.ptr[0];
    return true;
}

static bool take_u16(dv_slice *rest, size_t *ret_value)
{
    dv_slice piece;
    if (!take(rest, 2, &piece)) {
        return false;
    }
    *ret_value = dv_get_u16(piece.ptr);
    return true;
}

static bool take_time(dv_slice *rest, dv_time *ret_time)
{
    dv_slice piece;
    if (!take(rest, 8, &piece)) {
        return false;
    }
    *ret_time = (dv_time)dv_get_u64(piece.ptr);
    return *ret_time >= 0;
}

static bool take_mac(dv_slice *rest, uint8_t out[DV_SECRET_MAC_LEN])
{
    dv_slice piece;
    if (!take(rest, DV_SECRET_MAC_LEN, &piece)) {
        return false;
    }
    memcpy(out, piece.ptr, DV_SECRET_MAC_LEN);
    return true;
}

static bool take_type(dv_slice *rest, dv_principal_type *ret_type)
{
    uint8_t type;
    if (!take_u8(rest, &type) || (type != DV_PRINCIPAL_USER && type != DV_PRINCIPAL_SERVICE)) {
        return false;
    }
    *ret_type = (dv_principal_type)type;
    return true;
}

static bool take_version(dv_slice *rest, uint8_t expected)
{
    uint8_t version;
    return take_u8(rest, &version) && version == expected;
}

/* --- credentials ----------------------------------------------------------------------------- */

/* version, owner's type, length of its name, 0, u16 scopes, expires, previous expires, secret,
 * previous, name, scopes (u8 length, text) */
dv_result dv_credential_encode(const dv_credential_record *record, const dv_slice *scopes,
                               dv_buf *out)
{
    uint8_t fixed[CREDENTIAL_FIXED] = {CREDENTIAL_VERSION, (uint8_t)record->owner_type,
                                       (uint8_t)record->owner.len};
    if (!dv_auth_name_ok(record->owner) || record->scope_count > DV_CREDENTIAL_SCOPES_MAX) {
        return DV_ERR_INVALID;
    }
    dv_put_u16(fixed + 4, (uint16_t)record->scope_count);
    dv_put_u64(fixed + 6, (uint64_t)record->expires);
    dv_put_u64(fixed + 14, (uint64_t)record->previous_expires);
    memcpy(fixed + 22, record->secret, DV_SECRET_MAC_LEN);
    memcpy(fixed + 22 + DV_SECRET_MAC_LEN, record->previous, DV_SECRET_MAC_LEN);
    DV_TRY(dv_buf_append(out, dv_slice_of(fixed, sizeof(fixed))));
    DV_TRY(dv_buf_append(out, record->owner));
    for (size_t i = 0; i < record->scope_count; i++) {
        if (!dv_auth_permission_ok(scopes[i])) {
            return DV_ERR_INVALID;
        }
        DV_TRY(dv_buf_append_byte(out, (uint8_t)scopes[i].len));
        DV_TRY(dv_buf_append(out, scopes[i]));
    }
    return DV_OK;
}

static bool take_scope(dv_slice *rest, dv_slice *ret_scope)
{
    uint8_t len;
    return take_u8(rest, &len) && take(rest, len, ret_scope) && dv_auth_permission_ok(*ret_scope);
}

static bool scopes_ok(dv_slice scopes, size_t count)
{
    dv_slice scope;
    while (count > 0 && take_scope(&scopes, &scope)) {
        count--;
    }
    return count == 0 && scopes.len == 0;
}

dv_result dv_credential_decode(dv_slice bytes, dv_credential_record *ret_record)
{
    dv_credential_record record = {0};
    uint8_t name_len;
    uint8_t zero;
    bool ok = take_version(&bytes, CREDENTIAL_VERSION) && take_type(&bytes, &record.owner_type) &&
              take_u8(&bytes, &name_len) && take_u8(&bytes, &zero) && zero == 0 &&
              take_u16(&bytes, &record.scope_count) && take_time(&bytes, &record.expires) &&
              take_time(&bytes, &record.previous_expires) && take_mac(&bytes, record.secret) &&
              take_mac(&bytes, record.previous) && take(&bytes, name_len, &record.owner) &&
              dv_auth_name_ok(record.owner) && record.scope_count <= DV_CREDENTIAL_SCOPES_MAX &&
              scopes_ok(bytes, record.scope_count);
    if (!ok) {
        return DV_ERR_CORRUPT;
    }
    record.scopes = bytes;
    *ret_record = record;
    return DV_OK;
}

dv_result dv_credential_scopes(const dv_credential_record *record, dv_arena *arena,
                               const dv_slice **ret_scopes)
{
    if (record->scope_count == 0) {
        *ret_scopes = NULL;
        return DV_OK;
    }
    dv_slice rest;
    dv_slice *scopes = dv_arena_alloc(arena, record->scope_count * sizeof(*scopes));
    if (scopes == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_arena_copy(arena, record->scopes, &rest));
    for (size_t i = 0; i < record->scope_count; i++) {
        if (!take_scope(&rest, &scopes[i])) {
            return DV_ERR_CORRUPT;
        }
    }
    *ret_scopes = scopes;
    return DV_OK;
}

/* --- principals ------------------------------------------------------------------------------ */

/* version, type, status, length of its entity text, u16 groups, u16 ancestors, entity text,
 * ancestors (u8 length, text), endings in the order of their places */
static dv_result endings_encode(const dv_time *until, size_t count, dv_buf *out)
{
    for (size_t i = 0; until != NULL && i < count; i++) {
        uint8_t ending[ENDING];
        if (until[i] == DV_TIME_NEVER) {
            continue;
        }
        dv_put_u16(ending, (uint16_t)i);
        dv_put_u64(ending + 2, (uint64_t)until[i]);
        DV_TRY(dv_buf_append(out, dv_slice_of(ending, sizeof(ending))));
    }
    return DV_OK;
}

dv_result dv_principal_encode(dv_principal_type type, dv_slice name, bool active,
                              const dv_slice *ancestors, size_t ancestor_count, size_t group_count,
                              dv_buf *out)
{
    return dv_principal_encode_until(type, name, active, ancestors, NULL, ancestor_count,
                                     group_count, out);
}

dv_result dv_principal_encode_until(dv_principal_type type, dv_slice name, bool active,
                                    const dv_slice *ancestors, const dv_time *until,
                                    size_t ancestor_count, size_t group_count, dv_buf *out)
{
    char text[DV_ENTITY_TEXT_MAX];
    dv_slice entity;
    DV_TRY(dv_entity_text(dv_principal_type_name(type), name, text, &entity));
    if (ancestor_count > DV_LIMIT_ANCESTORS) {
        return DV_ERR_TOO_LARGE;
    }
    uint8_t fixed[PRINCIPAL_FIXED] = {PRINCIPAL_VERSION, (uint8_t)type, active ? ACTIVE : SUSPENDED,
                                      (uint8_t)entity.len};
    dv_put_u16(fixed + 4, (uint16_t)group_count);
    dv_put_u16(fixed + 6, (uint16_t)ancestor_count);
    DV_TRY(dv_buf_append(out, dv_slice_of(fixed, sizeof(fixed))));
    DV_TRY(dv_buf_append(out, entity));
    for (size_t i = 0; i < ancestor_count; i++) {
        DV_TRY(dv_buf_append_byte(out, (uint8_t)ancestors[i].len));
        DV_TRY(dv_buf_append(out, ancestors[i]));
    }
    return endings_encode(until, ancestor_count, out);
}

/* The name within Type::"name", when that is what it is. */
static bool entity_name(dv_slice entity, dv_slice type, dv_slice *ret_name)
{
    if (!dv_slice_starts_with(entity, type) || entity.len < type.len + 5) {
        return false;
    }
    dv_slice quoted = dv_slice_sub(entity, type.len, entity.len);
    dv_slice name = dv_slice_sub(quoted, 3, quoted.len - 4);
    if (!dv_slice_starts_with(quoted, DV_LIT("::\"")) ||
        !dv_slice_ends_with(quoted, DV_LIT("\"")) || !dv_auth_name_ok(name)) {
        return false;
    }
    *ret_name = name;
    return true;
}

static bool take_ancestors(dv_slice *rest, dv_principal *principal, dv_slice *ancestors,
                           dv_slice *groups)
{
    uint8_t len;
    dv_slice name;
    for (size_t i = 0; i < principal->ancestor_count; i++) {
        bool is_group = i < principal->group_count;
        if (!take_u8(rest, &len) || !take(rest, len, &ancestors[i]) ||
            !entity_name(ancestors[i], is_group ? DV_LIT("Group") : DV_LIT("Role"),
                         is_group ? &groups[i] : &name)) {
            return false;
        }
    }
    principal->ancestors = ancestors;
    principal->groups = groups;
    return true;
}

/* Drops the roles that have ended: NULL takes their place, then all others close up. Groups do not
 * end, so that they stay in front. */
static bool take_endings(dv_slice *rest, dv_time now, dv_principal *principal, dv_slice *ancestors,
                         dv_time *ret_until)
{
    size_t place = 0, next = principal->group_count;
    dv_time time = 0;
    while (rest->len > 0) {
        if (!take_u16(rest, &place) || !take_time(rest, &time) || place < next ||
            place >= principal->ancestor_count) {
            return false;
        }
        next = place + 1;
        if (now >= time) {
            ancestors[place] = (dv_slice){NULL, 0};
        } else {
            *ret_until = DV_MIN(*ret_until, time);
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < principal->ancestor_count; i++) {
        if (ancestors[i].len > 0) {
            ancestors[kept++] = ancestors[i];
        }
    }
    principal->ancestor_count = kept;
    return true;
}

dv_result dv_principal_decode_at(dv_slice bytes, dv_time now, dv_arena *arena,
                                 dv_principal *ret_principal, bool *ret_active, dv_time *ret_until)
{
    dv_time until = DV_TIME_NEVER;
    dv_principal principal = {0};
    uint8_t status;
    uint8_t entity_len;
    bool ok = take_version(&bytes, PRINCIPAL_VERSION) && take_type(&bytes, &principal.type) &&
              take_u8(&bytes, &status) && (status == ACTIVE || status == SUSPENDED) &&
              take_u8(&bytes, &entity_len) && take_u16(&bytes, &principal.group_count) &&
              take_u16(&bytes, &principal.ancestor_count) &&
              take(&bytes, entity_len, &principal.entity) &&
              entity_name(principal.entity, dv_slice_str(dv_principal_type_name(principal.type)),
                          &principal.name) &&
              principal.ancestor_count <= DV_LIMIT_ANCESTORS &&
              principal.group_count <= principal.ancestor_count;
    if (!ok) {
        return DV_ERR_CORRUPT;
    }
    size_t slots = principal.ancestor_count + principal.group_count;
    dv_slice *arrays = dv_arena_alloc(arena, (slots + 1) * sizeof(*arrays));
    if (arrays == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (!take_ancestors(&bytes, &principal, arrays, arrays + principal.ancestor_count) ||
        (bytes.len > 0 && !take_endings(&bytes, now, &principal, arrays, &until))) {
        return DV_ERR_CORRUPT;
    }
    *ret_principal = principal;
    *ret_active = status == ACTIVE;
    *ret_until = until;
    return DV_OK;
}
