/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/internal.h"

static const struct {
    const char *name;
    const char *type;
} KINDS[DV_AUTH_KIND_COUNT] = {
    [DV_AUTH_USER] = {"user", "User"},
    [DV_AUTH_SERVICE] = {"service", "Service"},
    [DV_AUTH_GROUP] = {"group", "Group"},
    [DV_AUTH_ROLE] = {"role", "Role"},
};

const char *dv_auth_kind_name(dv_auth_kind kind)
{
    return KINDS[kind].name;
}

const char *dv_auth_kind_type(dv_auth_kind kind)
{
    return KINDS[kind].type;
}

dv_result dv_auth_kind_parse(dv_slice name, dv_auth_kind *ret_kind)
{
    for (int kind = 0; kind < DV_AUTH_KIND_COUNT; kind++) {
        if (dv_slice_eq_str(name, KINDS[kind].name)) {
            *ret_kind = (dv_auth_kind)kind;
            return DV_OK;
        }
    }
    return DV_ERR_NOT_FOUND;
}

const char *dv_auth_entity(dv_arena *arena, dv_auth_ref ref)
{
    return dv_arena_printf(arena, "%s::\"%s\"", dv_auth_kind_type(ref.kind), ref.name);
}

dv_result dv_auth_ref_parse(const char *entity, dv_arena *arena, dv_auth_ref *ret_ref)
{
    dv_slice text = dv_slice_str(entity);
    for (int kind = 0; kind < DV_AUTH_KIND_COUNT; kind++) {
        size_t type = strlen(KINDS[kind].type);
        if (text.len > type + 4 && dv_slice_starts_with(text, dv_slice_str(KINDS[kind].type)) &&
            dv_slice_starts_with(dv_slice_sub(text, type, text.len), DV_LIT("::\""))) {
            const char *name =
                dv_arena_printf(arena, "%.*s", (int)(text.len - type - 4), entity + type + 3);
            *ret_ref = (dv_auth_ref){(dv_auth_kind)kind, name};
            return name == NULL ? DV_ERR_NO_MEMORY : DV_OK;
        }
    }
    return DV_ERR_NOT_FOUND;
}

enum { FIRST_ROOM = 16 };

/* Room for one more of `size` bytes: doubled by copying, since an arena never frees. */
static void *grown(dv_arena *arena, const void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) {
        return (void *)items;
    }
    size_t wanted = *cap == 0 ? FIRST_ROOM : *cap * 2;
    void *bigger = dv_arena_alloc(arena, wanted * size);
    if (bigger != NULL && count > 0) {
        memcpy(bigger, items, count * size);
    }
    *cap = wanted;
    return bigger;
}

static dv_result out_of_memory(dv_error *error)
{
    return dv_error_set(error, DV_ERR_NO_MEMORY, "too many rows for this operation's memory");
}

bool dv_auth_names_have(dv_auth_names names, const char *name)
{
    bool found = false;
    for (size_t i = 0; i < names.count && !found; i++) {
        found = strcmp(names.items[i], name) == 0;
    }
    return found;
}

dv_result dv_auth_read_names(dv_statement *statement, dv_arena *arena, dv_auth_names *ret_names,
                             dv_error *error)
{
    const char **names = NULL;
    size_t count = 0;
    size_t cap = 0;
    dv_result result;
    while ((result = dv_statement_step(statement, error)) == DV_OK) {
        dv_slice name;
        names = grown(arena, names, count, &cap, sizeof(*names));
        if (names == NULL || dv_arena_copy(arena, dv_column_slice(statement, 0), &name) != DV_OK) {
            return out_of_memory(error);
        }
        names[count++] = (const char *)name.ptr;
    }
    if (result != DV_ERR_NOT_FOUND) {
        return result;
    }
    *ret_names = (dv_auth_names){names, count};
    return DV_OK;
}

dv_result dv_auth_read_refs(dv_statement *statement, dv_arena *arena, dv_auth_refs *ret_refs,
                            dv_error *error)
{
    dv_auth_ref *refs = NULL;
    size_t count = 0;
    size_t cap = 0;
    dv_result result;
    while ((result = dv_statement_step(statement, error)) == DV_OK) {
        dv_slice name;
        refs = grown(arena, refs, count, &cap, sizeof(*refs));
        if (refs == NULL || dv_arena_copy(arena, dv_column_slice(statement, 1), &name) != DV_OK) {
            return out_of_memory(error);
        }
        DV_TRY(dv_auth_kind_parse(dv_column_slice(statement, 0), &refs[count].kind));
        refs[count++].name = (const char *)name.ptr;
    }
    if (result != DV_ERR_NOT_FOUND) {
        return result;
    }
    *ret_refs = (dv_auth_refs){refs, count};
    return DV_OK;
}
