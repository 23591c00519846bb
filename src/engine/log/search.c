/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/search.h"

#include "base/uuid.h"
#include "engine/log/catalogue.h"
#include "engine/log/entry.h"

#include <stdlib.h>

/* -- the feed ---------------------------------------------------------------------------------- */

static uint32_t bundle_width(uint64_t size, uint64_t bundle)
{
    return (uint32_t)DV_MIN(size - bundle * DV_TILE_WIDTH, (uint64_t)DV_TILE_WIDTH);
}

static dv_result read_range(const char *folder, dv_pack_reader *packs, uint64_t size, uint64_t from,
                            uint64_t end, dv_entry_visit visit, void *data, dv_error *error)
{
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_BUNDLE_MAX);
    dv_slice entry;
    for (uint64_t bundle = from / DV_TILE_WIDTH; bundle * DV_TILE_WIDTH < end; bundle++) {
        dv_buf_clear(&bytes);
        DV_TRY(dv_bundle_read(folder, packs, bundle, bundle_width(size, bundle), &bytes, error));
        dv_slice rest = dv_buf_slice(&bytes);
        uint64_t index = bundle * DV_TILE_WIDTH;
        for (; index < end && dv_bundle_next(&rest, &entry) == DV_OK; index++) {
            if (index >= from) {
                DV_TRY(visit(data, index, entry));
            }
        }
    }
    return DV_OK;
}

dv_result dv_log_read(const char *folder, uint64_t size, uint64_t from, uint64_t limit,
                      dv_entry_visit visit, void *data, dv_error *error)
{
    dv_auto(pack_reader) dv_pack_reader *packs = NULL;
    if (from >= size) {
        return DV_OK;
    }
    uint64_t end = from + DV_MIN(limit, size - from);
    DV_TRY(dv_pack_reader_new(folder, &packs));
    return read_range(folder, packs, size, from, end, visit, data, error);
}

/* -- a request --------------------------------------------------------------------------------- */

/* When a UUIDv7 was made, in milliseconds; 0 for any other id. */
static int64_t id_time(dv_slice request_id)
{
    dv_uuid uuid;
    int64_t time = 0;
    if (dv_uuid_parse(request_id, &uuid) != DV_OK || uuid.bytes[6] >> 4 != 7) {
        return 0;
    }
    for (int i = 0; i < 6; i++) {
        time = time << 8 | uuid.bytes[i];
    }
    return time;
}

typedef struct finder {
    const char *folder;
    uint64_t minimum, size;
    dv_slice request_id;
    dv_catalogue_token token;
    int64_t not_before;
    dv_entry_visit visit;
    void *data;
    dv_pack_reader *packs;
    dv_catalogue_reader catalogue;
    dv_buf leaf;
} finder;

static dv_result visit_match(void *data, uint64_t index, dv_slice entry)
{
    const finder *find = data;
    if (!dv_slice_eq(dv_entry_request_id(entry), find->request_id)) {
        return DV_OK;
    }
    return find->visit(find->data, index, entry);
}

/* The id's number in the dictionary of its kind; -1 when it is not there. */
static dv_result number_of(dv_block *block, dv_slot_type type, dv_slice id, int64_t *ret_number,
                           dv_error *error)
{
    const uint32_t *ends;
    const uint8_t *bytes;
    uint8_t uuid[DV_BLOCK_UUID];
    *ret_number = -1;
    if (type == DV_SLOT_UUID) {
        DV_TRY(dv_block_uuids(block, &bytes, error));
        bool is_uuid = id.len == DV_UUID_TEXT_LEN && dv_block_uuid_parse(id.ptr, id.len, uuid);
        for (uint32_t i = 0; is_uuid && i < dv_block_about(block)->uuids; i++) {
            if (memcmp(bytes + (size_t)i * DV_BLOCK_UUID, uuid, sizeof(uuid)) == 0) {
                *ret_number = i;
                break;
            }
        }
        return DV_OK;
    }
    DV_TRY(dv_block_texts(block, &ends, &bytes, error));
    for (uint32_t i = 0; i < dv_block_about(block)->texts; i++) {
        uint32_t start = i == 0 ? 0 : ends[i - 1];
        if (dv_slice_eq(dv_slice_of(bytes + start, ends[i] - start), id)) {
            *ret_number = i;
            break;
        }
    }
    return DV_OK;
}

static dv_result visit_leaf(finder *find, dv_block *block, uint32_t row, dv_error *error)
{
    dv_buf_clear(&find->leaf);
    DV_TRY(dv_block_leaf(block, row, &find->leaf, error));
    return visit_match(find, dv_block_about(block)->first + row, dv_buf_slice(&find->leaf));
}

static dv_result find_in_column(finder *find, dv_block *block, uint32_t index, dv_error *error)
{
    int64_t number;
    const dv_column *column;
    DV_TRY(number_of(block, dv_block_column_about(block, index)->type, find->request_id, &number,
                     error));
    if (number < 0) {
        return DV_OK;
    }
    DV_TRY(dv_block_column(block, index, &column, error));
    for (uint32_t i = 0; i < column->count; i++) {
        if (column->values[i] == number) {
            DV_TRY(visit_leaf(find, block, column->rows[i], error));
        }
    }
    return DV_OK;
}

/* What could not be cut is looked at as it is. */
static dv_result find_in_whole(finder *find, dv_block *block, uint32_t index, dv_error *error)
{
    const dv_column *column;
    DV_TRY(dv_block_column(block, index, &column, error));
    for (uint32_t i = 0; i < column->count; i++) {
        DV_TRY(visit_leaf(find, block, column->rows[i], error));
    }
    return DV_OK;
}

static dv_result find_in_block(finder *find, uint64_t number, dv_error *error)
{
    dv_block *block;
    DV_TRY(dv_pack_block(find->packs, number, &block, error));
    for (uint32_t i = 0; i < dv_block_about(block)->columns; i++) {
        const dv_column *about = dv_block_column_about(block, i);
        if (about->type == DV_SLOT_WHOLE) {
            DV_TRY(find_in_whole(find, block, i, error));
        } else if (about->type <= DV_SLOT_UUID &&
                   dv_slice_eq_str(about->path, "metadata" DV_PATH_BELOW "correlation_uid")) {
            DV_TRY(find_in_column(find, block, i, error));
        }
    }
    return DV_OK;
}

/* Blocks before the first that reaches the id's time can't have it. Later ones may, whatever their
 * times: the clock may have been set back while the request was going on. */
static dv_result find_all(finder *find, dv_error *error)
{
    uint64_t block = find->minimum / DV_BLOCK_LEAVES; /* a pack begins there */
    bool reached = false;
    for (; (block + 1) * DV_BLOCK_LEAVES <= find->size; block++) {
        dv_catalogue_row row = dv_catalogue_read(&find->catalogue, block);
        if (row.bytes == NULL) {
            break; /* from here on there may be no packs */
        }
        reached = reached || row.latest >= find->not_before;
        if (reached && dv_catalogue_may_have(&row, find->token)) {
            DV_TRY(find_in_block(find, block, error));
        }
    }
    return read_range(find->folder, find->packs, find->size, block * DV_BLOCK_LEAVES, find->size,
                      visit_match, find, error);
}

dv_result dv_log_find(const char *folder, uint64_t minimum, uint64_t size, dv_slice request_id,
                      dv_entry_visit visit, void *data, dv_error *error)
{
    enum { CLOCK_SLACK_MS = 60000 }; /* between the clocks of writers */
    if (request_id.len == 0) {
        return dv_error_set(error, DV_ERR_INVALID, "the request id is empty");
    }
    dv_auto(free) finder *find = calloc(1, sizeof(*find));
    if (find == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    find->folder = folder;
    find->minimum = minimum;
    find->size = size;
    find->request_id = request_id;
    find->token = dv_catalogue_token_of(request_id);
    find->not_before = id_time(request_id) - CLOCK_SLACK_MS;
    find->visit = visit;
    find->data = data;
    find->leaf = dv_buf_init(UINT16_MAX);
    DV_TRY(dv_pack_reader_new(folder, &find->packs));
    dv_catalogue_reader_open(folder, &find->catalogue);
    dv_result result = find_all(find, error);
    dv_catalogue_reader_close(&find->catalogue);
    dv_pack_reader_free(find->packs);
    dv_buf_release(&find->leaf);
    return result;
}
