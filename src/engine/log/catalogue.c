/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/catalogue.h"

#include "base/codec.h"
#include "base/siphash.h"
#include "engine/log/block_format.h"
#include "engine/log/identities.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A row: CRC-32C of the rest, version, earliest and latest time (ms), number of values, flags (1:
 * the filter can't tell; 2: nor can the times), filter. */
enum {
    AT_CRC = 0,
    AT_VERSION = 4,
    AT_EARLIEST = 8,
    AT_LATEST = 16,
    AT_VALUES = 24,
    AT_FLAGS = 28,
    FILTER_UNSURE = 1,
    TIMES_UNSURE = 2,
    TEXT_MAX = 256, /* bytes of a text that the filter knows */
    AT_FILTER = 32,
    VERSION = 4,
    FILTER_BITS = DV_CATALOGUE_FILTER * 8,
    FILTER_HASHES = 6, /* of 7,000 values, one in ninety that are not there seems to be */
};
_Static_assert(AT_FILTER + DV_CATALOGUE_FILTER == DV_CATALOGUE_ROW, "rows have no gaps");

struct dv_catalogue {
    const char *folder;
    int fd;
    uint64_t rows; /* good ones */
    dv_pack_reader *packs;
    dv_identity_file *identities;
};

/* -- rows -------------------------------------------------------------------------------------- */

/* The filter only prunes, so its key is no secret. */
static uint64_t hash_of(dv_slice bytes)
{
    static const uint8_t key[16] = "dvara catalogue";
    return dv_siphash(key, bytes);
}

/* "\u0061" and "\/" read as other texts: what they are is not looked into. */
static bool has_odd_escapes(dv_slice texts)
{
    return dv_slice_find(texts, DV_LIT("\\u")) >= 0 || dv_slice_find(texts, DV_LIT("\\/")) >= 0;
}

/* Searches take upper and lower case alike. Of a text that is longer than what is kept here, the
 * front is looked for. */
dv_catalogue_token dv_catalogue_token_of(dv_slice value)
{
    enum { UUID_TEXT = 36 };
    uint8_t uuid[DV_BLOCK_UUID], lower[TEXT_MAX];
    size_t len = DV_MIN(value.len, (size_t)TEXT_MAX);
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = value.ptr[i];
        lower[i] = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
    }
    if (len == UUID_TEXT && dv_block_uuid_parse(lower, len, uuid)) {
        return (dv_catalogue_token){hash_of(dv_slice_of(uuid, sizeof(uuid)))};
    }
    return (dv_catalogue_token){hash_of(dv_slice_of(lower, len))};
}

/* The i-th bit of a value, by double hashing of two halves. */
static uint32_t filter_bit(uint64_t hash, uint32_t i)
{
    uint32_t a = (uint32_t)hash, b = (uint32_t)(hash >> 32) | 1;
    return (a + i * b) % FILTER_BITS;
}

static void filter_add(uint8_t *row, uint64_t hash)
{
    for (uint32_t i = 0; i < FILTER_HASHES; i++) {
        uint32_t bit = filter_bit(hash, i);
        row[AT_FILTER + bit / 8] |= (uint8_t)(1u << bit % 8);
    }
}

bool dv_catalogue_may_have(const dv_catalogue_row *row, dv_catalogue_token token)
{
    if (row->bytes == NULL || (dv_get_u32(row->bytes + AT_FLAGS) & FILTER_UNSURE) != 0) {
        return true;
    }
    for (uint32_t i = 0; i < FILTER_HASHES; i++) {
        uint32_t bit = filter_bit(token.hash, i);
        if ((row->bytes[AT_FILTER + bit / 8] & (1u << bit % 8)) == 0) {
            return false;
        }
    }
    return true;
}

static uint32_t crc_of(const uint8_t *row)
{
    return dv_crc32c(0, dv_slice_of(row + AT_VERSION, DV_CATALOGUE_ROW - AT_VERSION));
}

static bool is_good(const uint8_t *row)
{
    return dv_get_u32(row + AT_VERSION) == VERSION && dv_get_u32(row + AT_CRC) == crc_of(row);
}

static void finish_row(uint8_t *row, int64_t earliest, int64_t latest, uint32_t values)
{
    dv_put_u32(row + AT_VERSION, VERSION);
    dv_put_u64(row + AT_EARLIEST, (uint64_t)earliest);
    dv_put_u64(row + AT_LATEST, (uint64_t)latest);
    dv_put_u32(row + AT_VALUES, values);
    dv_put_u32(row + AT_CRC, crc_of(row));
}

/* Leaves that were not cut have values that are in no dictionary, and a time that the header does
 * not know; so has one whose time is no whole number. A text may be written in an odd way. */
static uint32_t flags_of(const dv_block *block, const uint8_t *texts, const uint32_t *ends)
{
    uint32_t flags = 0;
    const dv_block_info *info = dv_block_about(block);
    for (uint32_t i = 0; i < info->columns; i++) {
        const dv_column *column = dv_block_column_about(block, i);
        bool whole = column->type == DV_SLOT_WHOLE;
        if (column->count > 0 && whole) {
            flags |= FILTER_UNSURE | TIMES_UNSURE;
        } else if (column->count > 0 && column->type != DV_SLOT_INT &&
                   dv_slice_eq_str(column->path, "time")) {
            flags |= TIMES_UNSURE;
        }
    }
    bool odd = info->texts > 0 && has_odd_escapes(dv_slice_of(texts, ends[info->texts - 1]));
    return odd ? flags | FILTER_UNSURE : flags;
}

static dv_slice text_of(const uint32_t *ends, const uint8_t *texts, int64_t number)
{
    uint32_t start = number == 0 ? 0 : ends[number - 1];
    return dv_slice_of(texts + start, ends[number] - start);
}

/* Sealed texts: ports and the like are as many as there are events, and nobody asks for them so. */
static dv_result add_identities(dv_block *block, uint8_t *row, dv_error *error)
{
    const dv_column *column;
    const uint32_t *ends;
    const uint8_t *texts;
    DV_TRY(dv_block_texts(block, &ends, &texts, error));
    for (uint32_t i = 0; i < dv_block_about(block)->columns; i++) {
        column = dv_block_column_about(block, i);
        if (column->type != DV_SLOT_TEXT || !dv_identity_is(column->path)) {
            continue;
        }
        DV_TRY(dv_block_column(block, i, &column, error));
        for (uint32_t value = 0; value < column->count; value++) {
            if (value == 0 || column->values[value] != column->values[value - 1]) {
                dv_slice text = text_of(ends, texts, column->values[value]);
                filter_add(row, dv_catalogue_token_of(text).hash);
            }
        }
    }
    return DV_OK;
}

dv_result dv_catalogue_row_make(dv_block *block, uint8_t ret_row[DV_CATALOGUE_ROW], dv_error *error)
{
    const dv_block_info *info = dv_block_about(block);
    const uint32_t *ends;
    const uint8_t *texts, *uuids;
    DV_TRY(dv_block_texts(block, &ends, &texts, error));
    DV_TRY(dv_block_uuids(block, &uuids, error));
    memset(ret_row, 0, DV_CATALOGUE_ROW);
    for (uint32_t i = 0; i < info->texts; i++) {
        dv_slice text = text_of(ends, texts, i);
        if (!dv_slice_starts_with(text, DV_LIT(DV_SEALED_MARK))) {
            filter_add(ret_row, dv_catalogue_token_of(text).hash);
        }
    }
    DV_TRY(add_identities(block, ret_row, error));
    for (uint32_t i = 0; i < info->uuids; i++) {
        filter_add(ret_row, hash_of(dv_slice_of(uuids + (size_t)i * DV_BLOCK_UUID, DV_BLOCK_UUID)));
    }
    dv_put_u32(ret_row + AT_FLAGS, flags_of(block, texts, ends));
    finish_row(ret_row, info->earliest, info->latest, info->texts + info->uuids);
    return DV_OK;
}

/* -- the writer -------------------------------------------------------------------------------- */

static dv_result catalogue_path(const char *folder, char out[PATH_MAX])
{
    int len = snprintf(out, PATH_MAX, "%s/catalogue", folder);
    return len > 0 && len < PATH_MAX ? DV_OK : DV_ERR_TOO_LARGE;
}

/* How many rows at the front of the file are good. */
static uint64_t count_good(int fd)
{
    uint8_t row[DV_CATALOGUE_ROW];
    uint64_t count = 0;
    while (pread(fd, row, sizeof(row), (off_t)(count * sizeof(row))) == (ssize_t)sizeof(row) &&
           is_good(row)) {
        count++;
    }
    return count;
}

dv_result dv_catalogue_open(const char *folder, dv_catalogue **ret_catalogue, dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(catalogue) dv_catalogue *catalogue = calloc(1, sizeof(*catalogue));
    if (catalogue == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    catalogue->folder = folder;
    catalogue->fd = -1;
    DV_TRY(catalogue_path(folder, path));
    DV_TRY(dv_pack_reader_new(folder, &catalogue->packs));
    DV_TRY(dv_identity_file_open(folder, &catalogue->identities, error));
    catalogue->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (catalogue->fd < 0) {
        return dv_error_set(error, DV_ERR_IO, "log: can not open %s", path);
    }
    catalogue->rows = count_good(catalogue->fd);
    if (ftruncate(catalogue->fd, (off_t)(catalogue->rows * DV_CATALOGUE_ROW)) != 0) {
        return dv_error_set(error, DV_ERR_IO, "log: can not trim %s", path);
    }
    *ret_catalogue = catalogue;
    catalogue = NULL;
    return DV_OK;
}

void dv_catalogue_close(dv_catalogue *catalogue)
{
    if (catalogue != NULL) {
        dv_pack_reader_free(catalogue->packs);
        dv_identity_file_close(catalogue->identities);
        dv_fd_close(&catalogue->fd);
        free(catalogue);
    }
}

static dv_result make_row(dv_catalogue *catalogue, uint64_t minimum, uint8_t *row, dv_error *error)
{
    dv_block *block;
    if ((catalogue->rows + 1) * DV_BLOCK_LEAVES <= minimum) {
        memset(row, 0, DV_CATALOGUE_ROW);
        finish_row(row, INT64_MAX, INT64_MIN, 0);
        return DV_OK;
    }
    DV_TRY(dv_pack_block(catalogue->packs, catalogue->rows, &block, error));
    return dv_catalogue_row_make(block, row, error);
}

/* One more block of the file of names. */
static dv_result add_names(dv_catalogue *catalogue, uint64_t minimum, dv_error *error)
{
    dv_block *block = NULL;
    uint64_t number = dv_identity_file_blocks(catalogue->identities);
    if ((number + 1) * DV_BLOCK_LEAVES > minimum) {
        DV_TRY(dv_pack_block(catalogue->packs, number, &block, error));
    }
    return dv_identity_file_add(catalogue->identities, block, error);
}

static dv_result update_names(dv_catalogue *catalogue, uint64_t blocks, uint64_t minimum,
                              dv_error *error)
{
    uint64_t known = dv_identity_file_blocks(catalogue->identities);
    if (known != UINT64_MAX && known > blocks) { /* of another, longer log */
        dv_identity_file_empty(catalogue->identities);
        known = 0;
    }
    for (; known < blocks; known++) {
        DV_TRY(add_names(catalogue, minimum, error));
        if (dv_identity_file_blocks(catalogue->identities) != known + 1) {
            break;
        }
    }
    return DV_OK;
}

dv_result dv_catalogue_update(dv_catalogue *catalogue, uint64_t packed, uint64_t minimum,
                              dv_error *error)
{
    uint8_t row[DV_CATALOGUE_ROW];
    if (catalogue->rows > packed / DV_BLOCK_LEAVES) { /* of another, longer log */
        catalogue->rows = 0;
        if (ftruncate(catalogue->fd, 0) != 0) {
            return dv_error_set(error, DV_ERR_IO, "log: can not empty the catalogue");
        }
    }
    while (catalogue->rows < packed / DV_BLOCK_LEAVES) {
        DV_TRY(make_row(catalogue, minimum, row, error));
        if (pwrite(catalogue->fd, row, sizeof(row), (off_t)(catalogue->rows * sizeof(row))) !=
            (ssize_t)sizeof(row)) {
            return DV_OK;
        }
        catalogue->rows++;
        DV_TRY(update_names(catalogue, catalogue->rows, minimum, error));
    }
    return update_names(catalogue, catalogue->rows, minimum, error);
}

/* -- reading ----------------------------------------------------------------------------------- */

void dv_catalogue_reader_open(const char *folder, dv_catalogue_reader *ret_reader)
{
    char path[PATH_MAX];
    ret_reader->first = 0;
    ret_reader->count = 0;
    ret_reader->fd = catalogue_path(folder, path) == DV_OK ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

void dv_catalogue_reader_close(dv_catalogue_reader *reader)
{
    dv_fd_close(&reader->fd);
}

dv_catalogue_row dv_catalogue_read(dv_catalogue_reader *reader, uint64_t block)
{
    static const dv_catalogue_row nothing = {NULL, INT64_MIN, INT64_MAX};
    if (block < reader->first || block >= reader->first + reader->count) {
        /* From the group's first one on: searches go backwards. */
        reader->first = block - block % DV_CATALOGUE_ROWS_AT_ONCE;
        ssize_t got = reader->fd < 0 ? 0
                                     : pread(reader->fd, reader->rows, sizeof(reader->rows),
                                             (off_t)(reader->first * DV_CATALOGUE_ROW));
        reader->count = got <= 0 ? 0 : (size_t)got / DV_CATALOGUE_ROW;
    }
    if (block >= reader->first + reader->count) {
        return nothing;
    }
    const uint8_t *row = reader->rows[block - reader->first];
    if (!is_good(row)) {
        return nothing;
    }
    if ((dv_get_u32(row + AT_FLAGS) & TIMES_UNSURE) != 0) {
        return (dv_catalogue_row){row, INT64_MIN, INT64_MAX};
    }
    return (dv_catalogue_row){row, (int64_t)dv_get_u64(row + AT_EARLIEST),
                              (int64_t)dv_get_u64(row + AT_LATEST)};
}
