/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/blob_check.h"

#include "engine/log/pack.h"

#include <inttypes.h>

static dv_result find_next(dv_blob_check *check, dv_error *error)
{
    check->taken = false;
    dv_result result = dv_blob_walk_next(check->walk, &check->next, error);
    if (result == DV_ERR_NOT_FOUND) {
        check->next = (dv_blob_found){.entry = UINT64_MAX};
        return DV_OK;
    }
    return result;
}

dv_result dv_blob_check_open(const char *folder, const char *prefix, uint64_t from, uint64_t to,
                             dv_blob_check *ret_check, dv_error *error)
{
    *ret_check = (dv_blob_check){.prefix = prefix};
    DV_TRY(dv_blob_walk_new(folder, from, to, &ret_check->walk, error));
    return find_next(ret_check, error);
}

void dv_blob_check_close(dv_blob_check *check)
{
    dv_blob_walk_free(check->walk);
    check->walk = NULL;
}

static dv_result bad_blob(const dv_blob_check *check, uint64_t index, const char *what,
                          dv_error *error)
{
    return dv_error_set(error, DV_ERR_CORRUPT, "%s%s: entry %" PRIu64 " %s", check->prefix,
                        dv_blob_walk_file(check->walk), index, what);
}

dv_result dv_blob_check_entry(dv_blob_check *check, uint64_t index, dv_slice entry, dv_arena *arena,
                              dv_slice *ret_stored, dv_error *error)
{
    dv_blob_place place;
    *ret_stored = dv_slice_of(NULL, 0);
    if (check->taken) {
        DV_TRY(find_next(check, error));
    }
    if (!dv_blob_find(entry, arena, &place)) {
        return check->next.entry == index
                   ? bad_blob(check, index, "names no large field, and one is there", error)
                   : DV_OK;
    }
    if (check->next.entry != index && check->may_miss) {
        check->missed++;
        return DV_OK;
    }
    if (check->next.entry != index) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "%sblob/%" PRIu64 ": the large field of entry %" PRIu64 " is missing",
                            check->prefix, index / DV_PACK_LEAVES, index);
    }
    if (!dv_blob_fits(&place.ref, check->next.stored)) {
        return bad_blob(check, index, "has another large field than the one that is there", error);
    }
    check->taken = true;
    *ret_stored = check->next.stored;
    return DV_OK;
}

dv_result dv_blob_check_end(dv_blob_check *check, dv_error *error)
{
    return check->taken ? find_next(check, error) : DV_OK;
}
