/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/search.h"

#include "base/codec.h"
#include "base/siphash.h"
#include "engine/log/entry.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

/* A row of the file: CRC-32C up to the filter, version, earliest and latest time (ms), CRC-32C of
 * the filter, filter. Two sums, because most rows are passed over by their time alone. */
enum {
    ROW_LEN = 1024,
    AT_CRC = 0,
    AT_VERSION = 4,
    AT_MIN = 8,
    AT_MAX = 16,
    AT_FILTER_CRC = 24,
    AT_FILTER = 32,
    ROW_VERSION = 1,
    FILTER_BITS = (ROW_LEN - AT_FILTER) * 8, /* 31 a token when all 256 differ */
    FILTER_HASHES = 7,                       /* one false hit in a million or so */
};

typedef struct row {
    uint8_t bytes[ROW_LEN];
} row;

static dv_result catalogue_path(const char *folder, char out[PATH_MAX])
{
    int len = snprintf(out, PATH_MAX, "%s/catalogue", folder);
    return len > 0 && len < PATH_MAX ? DV_OK : DV_ERR_TOO_LARGE;
}

/* -- rows -------------------------------------------------------------------------------------- */

static void row_begin(row *r)
{
    memset(r->bytes, 0, sizeof(r->bytes));
    dv_put_u32(r->bytes + AT_VERSION, ROW_VERSION);
    dv_put_u64(r->bytes + AT_MIN, INT64_MAX);
}

static uint32_t head_crc(const row *r)
{
    return dv_crc32c(0, dv_slice_of(r->bytes + AT_VERSION, AT_FILTER - AT_VERSION));
}

static uint32_t filter_crc(const row *r)
{
    return dv_crc32c(0, dv_slice_of(r->bytes + AT_FILTER, ROW_LEN - AT_FILTER));
}

static void row_end(row *r)
{
    dv_put_u32(r->bytes + AT_FILTER_CRC, filter_crc(r));
    dv_put_u32(r->bytes + AT_CRC, head_crc(r));
}

static bool head_good(const row *r)
{
    return dv_get_u32(r->bytes + AT_VERSION) == ROW_VERSION &&
           dv_get_u32(r->bytes + AT_CRC) == head_crc(r);
}

static bool filter_good(const row *r)
{
    return dv_get_u32(r->bytes + AT_FILTER_CRC) == filter_crc(r);
}

/* The filter only prunes, so its key is no secret. */
static uint64_t token_hash(dv_slice token)
{
    static const uint8_t key[16] = "dvara catalogue";
    return dv_siphash(key, token);
}

/* The i-th bit of a token, by double hashing of two halves. */
static uint32_t filter_bit(uint64_t hash, uint32_t i)
{
    uint32_t a = (uint32_t)hash, b = (uint32_t)(hash >> 32) | 1;
    return (a + i * b) % FILTER_BITS;
}

static void row_add_token(row *r, dv_slice token)
{
    uint64_t hash = token_hash(token);
    for (uint32_t i = 0; i < FILTER_HASHES; i++) {
        uint32_t bit = filter_bit(hash, i);
        r->bytes[AT_FILTER + bit / 8] |= (uint8_t)(1u << bit % 8);
    }
}

static bool row_may_have(const row *r, uint64_t hash)
{
    for (uint32_t i = 0; i < FILTER_HASHES; i++) {
        uint32_t bit = filter_bit(hash, i);
        if ((r->bytes[AT_FILTER + bit / 8] & (1u << bit % 8)) == 0) {
            return false;
        }
    }
    return true;
}

static void row_add_entry(row *r, dv_slice entry)
{
    dv_slice id = dv_entry_request_id(entry);
    int64_t time = dv_entry_time(entry);
    if (id.len > 0) {
        row_add_token(r, id);
    }
    if (time < (int64_t)dv_get_u64(r->bytes + AT_MIN)) {
        dv_put_u64(r->bytes + AT_MIN, (uint64_t)time);
    }
    if (time > (int64_t)dv_get_u64(r->bytes + AT_MAX)) {
        dv_put_u64(r->bytes + AT_MAX, (uint64_t)time);
    }
}

/* -- the writer -------------------------------------------------------------------------------- */

enum { UNWRITTEN_MAX = 4096 }; /* rows in memory; more are rebuilt at the next start */

struct dv_catalogue {
    int fd;
    uint64_t written; /* rows in the file */
    uint64_t whole;   /* rows that are whole, the unwritten ones included */
    uint32_t entries; /* in the last, unfinished row */
    row *rows;        /* [written, whole], the last one unfinished */
};

static row *current_row(dv_catalogue *catalogue)
{
    return &catalogue->rows[catalogue->whole - catalogue->written];
}

void dv_catalogue_add(dv_catalogue *catalogue, dv_slice entry)
{
    row_add_entry(current_row(catalogue), entry);
    if (++catalogue->entries < DV_TILE_WIDTH) {
        return;
    }
    row_end(current_row(catalogue));
    catalogue->whole++;
    catalogue->entries = 0;
    if (catalogue->whole - catalogue->written == UNWRITTEN_MAX) {
        dv_catalogue_flush(catalogue);
    }
    if (catalogue->whole - catalogue->written == UNWRITTEN_MAX) {
        /* The disk takes nothing: give the oldest up; readers scan its bundle instead. */
        memmove(catalogue->rows, catalogue->rows + 1, (UNWRITTEN_MAX - 1) * sizeof(row));
        catalogue->written++;
    }
    row_begin(current_row(catalogue));
}

void dv_catalogue_flush(dv_catalogue *catalogue)
{
    size_t count = (size_t)(catalogue->whole - catalogue->written);
    if (count == 0) {
        return;
    }
    ssize_t done = pwrite(catalogue->fd, catalogue->rows, count * sizeof(row),
                          (off_t)(catalogue->written * sizeof(row)));
    if (done == (ssize_t)(count * sizeof(row))) {
        catalogue->rows[0] = catalogue->rows[count];
        catalogue->written = catalogue->whole;
    }
}

static dv_result add_bundle(dv_catalogue *catalogue, const char *folder, uint64_t index,
                            uint32_t width, dv_buf *bundle, dv_error *error)
{
    dv_slice entry;
    dv_buf_clear(bundle);
    DV_TRY(dv_bundle_read(folder, index, width, bundle, error));
    dv_slice rest = dv_buf_slice(bundle);
    while (dv_bundle_next(&rest, &entry) == DV_OK) {
        dv_catalogue_add(catalogue, entry);
    }
    dv_catalogue_flush(catalogue);
    return DV_OK;
}

/* How many rows at the front of the file are good. */
static uint64_t count_good_rows(int fd, uint64_t wanted)
{
    row r;
    uint64_t count = 0;
    while (count < wanted &&
           pread(fd, r.bytes, sizeof(r), (off_t)(count * sizeof(r))) == (ssize_t)sizeof(r) &&
           head_good(&r) && filter_good(&r)) {
        count++;
    }
    return count;
}

static dv_result catalogue_load(dv_catalogue *catalogue, const char *folder, uint64_t size,
                                dv_error *error)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf bundle = dv_buf_init(DV_BUNDLE_MAX);
    DV_TRY(catalogue_path(folder, path));
    catalogue->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (catalogue->fd < 0) {
        return dv_error_set(error, DV_ERR_IO, "log: can not open %s", path);
    }
    catalogue->written = count_good_rows(catalogue->fd, size / DV_TILE_WIDTH);
    catalogue->whole = catalogue->written;
    row_begin(&catalogue->rows[0]);
    for (uint64_t i = catalogue->written; i < size / DV_TILE_WIDTH; i++) {
        DV_TRY(add_bundle(catalogue, folder, i, DV_TILE_WIDTH, &bundle, error));
    }
    uint32_t rest = (uint32_t)(size % DV_TILE_WIDTH);
    return rest == 0 ? DV_OK
                     : add_bundle(catalogue, folder, size / DV_TILE_WIDTH, rest, &bundle, error);
}

dv_result dv_catalogue_open(const char *folder, uint64_t size, dv_catalogue **ret_catalogue,
                            dv_error *error)
{
    dv_catalogue *catalogue = calloc(1, sizeof(*catalogue));
    if (catalogue == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    catalogue->fd = -1;
    catalogue->rows = malloc((UNWRITTEN_MAX + 1) * sizeof(row));
    dv_result result =
        catalogue->rows == NULL ? DV_ERR_NO_MEMORY : catalogue_load(catalogue, folder, size, error);
    if (result != DV_OK) {
        dv_catalogue_close(catalogue);
        return result;
    }
    *ret_catalogue = catalogue;
    return DV_OK;
}

void dv_catalogue_close(dv_catalogue *catalogue)
{
    if (catalogue != NULL) {
        dv_fd_close(&catalogue->fd);
        free(catalogue->rows);
        free(catalogue);
    }
}

/* -- reading ----------------------------------------------------------------------------------- */

static uint32_t bundle_width(uint64_t size, uint64_t bundle)
{
    return (uint32_t)DV_MIN(size - bundle * DV_TILE_WIDTH, (uint64_t)DV_TILE_WIDTH);
}

dv_result dv_log_read(const char *folder, uint64_t size, uint64_t from, uint64_t limit,
                      dv_entry_visit visit, void *data, dv_error *error)
{
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_BUNDLE_MAX);
    uint64_t end = from >= size ? from : from + DV_MIN(limit, size - from);
    dv_slice entry;
    for (uint64_t bundle = from / DV_TILE_WIDTH; bundle * DV_TILE_WIDTH < end; bundle++) {
        dv_buf_clear(&bytes);
        DV_TRY(dv_bundle_read(folder, bundle, bundle_width(size, bundle), &bytes, error));
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
    dv_slice request_id;
    uint64_t hash;
    int64_t not_before;
    dv_entry_visit visit;
    void *data;
} finder;

static dv_result visit_match(void *data, uint64_t index, dv_slice entry)
{
    const finder *find = data;
    if (!dv_slice_eq(dv_entry_request_id(entry), find->request_id)) {
        return DV_OK;
    }
    return find->visit(find->data, index, entry);
}

enum { ROWS_AT_ONCE = 128 };

/* The catalogue's rows, read some at a time. */
typedef struct row_reader {
    int fd; /* -1: there is no catalogue */
    uint64_t first;
    size_t count;
    row rows[ROWS_AT_ONCE];
} row_reader;

static const row *read_row(row_reader *reader, uint64_t index)
{
    if (index < reader->first || index >= reader->first + reader->count) {
        ssize_t got = reader->fd < 0 ? 0
                                     : pread(reader->fd, reader->rows, sizeof(reader->rows),
                                             (off_t)(index * sizeof(row)));
        reader->first = index;
        reader->count = got <= 0 ? 0 : (size_t)got / sizeof(row);
    }
    return reader->count == 0 ? NULL : &reader->rows[index - reader->first];
}

/* A row that is not there, or not good, says nothing. */
static bool may_be_in(const finder *find, const row *r)
{
    if (r == NULL || !head_good(r)) {
        return true;
    }
    if ((int64_t)dv_get_u64(r->bytes + AT_MAX) < find->not_before) {
        return false;
    }
    return row_may_have(r, find->hash) || !filter_good(r);
}

static dv_result find_in_bundles(const char *folder, uint64_t size, row_reader *reader,
                                 finder *find, dv_error *error)
{
    for (uint64_t bundle = 0; bundle * DV_TILE_WIDTH < size; bundle++) {
        bool full = bundle_width(size, bundle) == DV_TILE_WIDTH;
        if (!full || may_be_in(find, read_row(reader, bundle))) {
            DV_TRY(dv_log_read(folder, size, bundle * DV_TILE_WIDTH, DV_TILE_WIDTH, visit_match,
                               find, error));
        }
    }
    return DV_OK;
}

dv_result dv_log_find(const char *folder, uint64_t size, dv_slice request_id, dv_entry_visit visit,
                      void *data, dv_error *error)
{
    enum { CLOCK_SLACK_MS = 60000 }; /* between the clocks of writers */
    char path[PATH_MAX];
    finder find = {request_id, token_hash(request_id), id_time(request_id) - CLOCK_SLACK_MS, visit,
                   data};
    if (request_id.len == 0) {
        return dv_error_set(error, DV_ERR_INVALID, "the request id is empty");
    }
    DV_TRY(catalogue_path(folder, path));
    dv_auto(free) row_reader *reader = malloc(sizeof(*reader));
    if (reader == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    reader->count = 0;
    reader->first = 0;
    reader->fd = open(path, O_RDONLY | O_CLOEXEC);
    dv_result result = find_in_bundles(folder, size, reader, &find, error);
    dv_fd_close(&reader->fd);
    return result;
}
