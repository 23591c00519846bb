/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/blob_read.h"

#include "crypto/random.h"
#include "engine/log/blob_store.h"
#include "engine/log/search.h"

#include <inttypes.h>

enum { ENTRY_ARENA = 8 << 20 };

static dv_result copy_entry(void *data, uint64_t index, dv_slice entry)
{
    return dv_buf_append(data, entry);
}

static dv_result find_reference(const char *folder, uint64_t size, uint64_t index, dv_buf *entry,
                                dv_arena *arena, dv_blob_place *ret_place, dv_error *error)
{
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_log_read(folder, size, index, 1, copy_entry, entry, error));
    if (entry->len == 0 || !dv_blob_find(dv_buf_slice(entry), arena, ret_place)) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "event %" PRIu64 " has no large field", index);
    }
    return DV_OK;
}

static dv_result open_key(dv_subjects *subjects, uint64_t index, dv_blob_place *place,
                          dv_error *error)
{
    dv_result result = dv_blob_key(subjects, place->key, place->ref.key);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the large field of event %" PRIu64 " was erased", index);
    }
    return result == DV_ERR_CORRUPT
               ? dv_error_set(error, result,
                              "the key of the large field of event %" PRIu64 " does not open",
                              index)
               : result;
}

static dv_result read_stored(const char *folder, uint64_t index, const dv_blob_place *place,
                             dv_buf *out, dv_error *error)
{
    dv_auto(buf) dv_buf stored = dv_buf_init(DV_BLOB_STORED_MAX);
    dv_result result = dv_blob_store_read(folder, index, &stored, error);
    if (result == DV_OK) {
        result = dv_blob_open(&place->ref, dv_buf_slice(&stored), out);
    }
    if (result == DV_ERR_NOT_FOUND || result == DV_ERR_CORRUPT) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "the large field of event %" PRIu64
                            " is not there as the event names it: dvara audit verify",
                            index);
    }
    return result;
}

dv_result dv_blob_field_read(const char *folder, uint64_t size, uint64_t index,
                             dv_subjects *subjects, dv_buf *out, dv_error *error)
{
    dv_blob_place place;
    dv_auto(buf) dv_buf entry = dv_buf_init(UINT16_MAX);
    dv_auto(arena) dv_arena *arena = dv_arena_new(ENTRY_ARENA);
    DV_TRY(find_reference(folder, size, index, &entry, arena, &place, error));
    DV_TRY(open_key(subjects, index, &place, error));
    dv_result result = read_stored(folder, index, &place, out, error);
    dv_wipe(place.ref.key, sizeof place.ref.key);
    return result;
}
