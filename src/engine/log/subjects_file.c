/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/subjects_file.h"

#include "base/codec.h"
#include "base/file.h"
#include "crypto/aead.h"
#include "crypto/random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KEY_MODE = 0600,
    NAME_ROOM = 64,
    MAGIC_LEN = 8,
    ROOT_LEN = MAGIC_LEN + 8 + DV_SUBJECT_KEY_LEN + 4,
    /* The directory's file: magic, epoch, nonce, sealed text. */
    DIRECTORY_HEAD = MAGIC_LEN + 8,
    DIRECTORY_OVERHEAD = DIRECTORY_HEAD + DV_AEAD_NONCE_LEN + DV_AEAD_TAG_LEN,
    /* Its text: hash key, seen, count; then generation, rows that are on disk, key. */
    TEXT_HEAD = DV_SUBJECT_HASH_LEN + 8 + 4,
    ENTRY_LEN = 4 + 4 + DV_SUBJECT_KEY_LEN,
    DIRECTORY_MAX = DIRECTORY_OVERHEAD + TEXT_HEAD + DV_SUBJECT_SEGMENTS_MAX * ENTRY_LEN,
    /* A block: count, first row, nonce, sealed rows. */
    BLOCK_HEAD = 4 + 4 + DV_AEAD_NONCE_LEN,
    BLOCK_OVERHEAD = BLOCK_HEAD + DV_AEAD_TAG_LEN,
    ROW_LEN = sizeof(dv_subject_row),
    SEGMENT_MAX = DV_SUBJECT_ROWS * (ROW_LEN + BLOCK_OVERHEAD),
    SEEN_STEP = 1 << 18, /* entries of the log that a start may have to look through again */
};
_Static_assert(ROW_LEN == DV_SUBJECT_HASH_LEN + DV_SUBJECT_ID_LEN + DV_SUBJECT_KEY_LEN, "no gaps");

static const char root_magic[MAGIC_LEN] = "dvsroot1";
static const char directory_magic[MAGIC_LEN] = "dvsdirs1";
/* Instead of the number of rows: all are erased, and there is no file. */
static const uint32_t all_erased = UINT32_MAX;

/* -- names ------------------------------------------------------------------------------------- */

static void root_name(uint64_t epoch, char out[NAME_ROOM])
{
    snprintf(out, NAME_ROOM, "root.%016" PRIx64, epoch);
}

static void directory_name(uint64_t epoch, char out[NAME_ROOM])
{
    snprintf(out, NAME_ROOM, "directory.%016" PRIx64, epoch);
}

static void segment_name(uint32_t number, uint32_t generation, char out[NAME_ROOM])
{
    snprintf(out, NAME_ROOM, "%08" PRIx32 "-%08" PRIx32 ".keys", number, generation);
}

static dv_result path_of(const dv_subject_table *table, const char *name, char out[PATH_MAX])
{
    int len = snprintf(out, PATH_MAX, "%s/%s", table->folder, name);
    return len > 0 && len < PATH_MAX ? DV_OK : DV_ERR_TOO_LARGE;
}

static dv_result io_error(dv_error *error, const char *what, const char *name)
{
    dv_result result = errno == ENOSPC || errno == EDQUOT ? DV_ERR_UNAVAILABLE : DV_ERR_IO;
    return dv_error_set(error, result, "subjects: can not %s %s: %s", what, name, strerror(errno));
}

static dv_result corrupt(dv_error *error, const char *name, const char *what)
{
    return dv_error_set(error, DV_ERR_CORRUPT,
                        "subjects: %s %s: restore the folder from a backup of one moment", name,
                        what);
}

/* -- segments ---------------------------------------------------------------------------------- */

/* What a block is bound to. */
static void block_place(uint32_t number, uint32_t generation, const uint8_t *head, uint8_t out[16])
{
    dv_put_u32(out, number);
    dv_put_u32(out + 4, generation);
    memcpy(out + 8, head, 8);
}

/* Opens the block at the front of the file into the segment's next rows. */
static dv_result take_block(dv_aead *aead, uint32_t number, dv_slice file,
                            dv_subject_segment *segment)
{
    uint8_t place[16];
    if (file.len < BLOCK_OVERHEAD) {
        return DV_ERR_CORRUPT;
    }
    uint32_t count = dv_get_u32(file.ptr), first = dv_get_u32(file.ptr + 4);
    if (count == 0 || first != segment->used || count > DV_SUBJECT_ROWS - first ||
        file.len < BLOCK_OVERHEAD + (size_t)count * ROW_LEN) {
        return DV_ERR_CORRUPT;
    }
    block_place(number, segment->generation, file.ptr, place);
    dv_slice sealed = dv_slice_sub(file, BLOCK_HEAD, (size_t)count * ROW_LEN + DV_AEAD_TAG_LEN);
    DV_TRY(dv_aead_open(aead, file.ptr + 8, dv_slice_of(place, sizeof(place)), sealed,
                        (uint8_t *)(segment->rows + first)));
    segment->used += count;
    segment->end += BLOCK_OVERHEAD + (size_t)count * ROW_LEN;
    return DV_OK;
}

static bool is_live(const dv_subject_row *row)
{
    static const uint8_t none[DV_SUBJECT_ID_LEN];
    return memcmp(row->id, none, sizeof(none)) != 0;
}

static uint32_t count_live(const dv_subject_segment *segment)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < segment->used; i++) {
        live += is_live(&segment->rows[i]);
    }
    return live;
}

dv_result dv_subject_segment_parse(uint32_t number, dv_slice file, dv_subject_segment *segment)
{
    dv_auto(aead) dv_aead *aead = NULL;
    DV_TRY(dv_aead_new(segment->key, &aead));
    segment->used = 0;
    segment->end = 0;
    while (take_block(aead, number, dv_slice_sub(file, segment->end, file.len), segment) == DV_OK) {
    }
    segment->stored = segment->used;
    segment->live = count_live(segment);
    return DV_OK;
}

/* Appends one block of the rows [first, used). */
static dv_result seal_block(const dv_subject_segment *segment, uint32_t number, uint32_t first,
                            dv_buf *out)
{
    uint8_t place[16];
    uint32_t count = segment->used - first;
    dv_auto(aead) dv_aead *aead = NULL;
    DV_TRY(dv_aead_new(segment->key, &aead));
    DV_TRY(dv_buf_reserve(out, BLOCK_OVERHEAD + (size_t)count * ROW_LEN));
    uint8_t *at = out->ptr + out->len;
    dv_put_u32(at, count);
    dv_put_u32(at + 4, first);
    dv_random(at + 8, DV_AEAD_NONCE_LEN);
    block_place(number, segment->generation, at, place);
    DV_TRY(dv_aead_seal(aead, at + 8, dv_slice_of(place, sizeof(place)),
                        dv_slice_of(segment->rows + first, (size_t)count * ROW_LEN),
                        at + BLOCK_HEAD));
    out->len += BLOCK_OVERHEAD + (size_t)count * ROW_LEN;
    return DV_OK;
}

/* Writes the rows from `first` on behind what counts; the segment says so only when it is durable.
 */
static dv_result write_block(dv_subject_table *table, uint32_t number, uint32_t first,
                             dv_subject_segment *segment, dv_error *error)
{
    char name[NAME_ROOM];
    dv_auto(buf) dv_buf block = dv_buf_init(SEGMENT_MAX);
    segment_name(number, segment->generation, name);
    DV_TRY(seal_block(segment, number, first, &block));
    dv_auto(fd) int fd =
        openat(table->folder_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, KEY_MODE);
    if (fd < 0 || ftruncate(fd, (off_t)segment->end) != 0 ||
        lseek(fd, (off_t)segment->end, SEEK_SET) < 0 ||
        dv_fd_write_all(fd, dv_buf_slice(&block)) != DV_OK || fsync(fd) != 0 ||
        (segment->end == 0 && fsync(table->folder_fd) != 0)) {
        return io_error(error, "write", name);
    }
    segment->end += block.len;
    segment->stored = segment->used;
    return DV_OK;
}

/* -- the directory ----------------------------------------------------------------------------- */

dv_result dv_subject_directory_format(const dv_subject_table *table,
                                      const dv_subject_segment *segments, dv_buf *out)
{
    size_t len = TEXT_HEAD + (size_t)table->count * ENTRY_LEN;
    DV_TRY(dv_buf_reserve(out, len));
    uint8_t *at = out->ptr + out->len;
    memcpy(at, table->hash_key, DV_SUBJECT_HASH_LEN);
    dv_put_u64(at + DV_SUBJECT_HASH_LEN, table->seen);
    dv_put_u32(at + DV_SUBJECT_HASH_LEN + 8, table->count);
    at += TEXT_HEAD;
    for (uint32_t i = 0; i < table->count; i++, at += ENTRY_LEN) {
        dv_put_u32(at, segments[i].generation);
        dv_put_u32(at + 4, segments[i].rows == NULL ? all_erased : segments[i].stored);
        memcpy(at + 8, segments[i].key, DV_SUBJECT_KEY_LEN);
    }
    out->len += len;
    return DV_OK;
}

dv_result dv_subject_directory_parse(dv_slice text, dv_subject_table *table)
{
    if (text.len < TEXT_HEAD) {
        return DV_ERR_CORRUPT;
    }
    uint32_t count = dv_get_u32(text.ptr + DV_SUBJECT_HASH_LEN + 8);
    if (count > DV_SUBJECT_SEGMENTS_MAX || text.len != TEXT_HEAD + (size_t)count * ENTRY_LEN) {
        return DV_ERR_CORRUPT;
    }
    const uint8_t *at = text.ptr + TEXT_HEAD;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t stored = dv_get_u32(at + (size_t)i * ENTRY_LEN + 4);
        if (stored > DV_SUBJECT_ROWS && stored != all_erased) {
            return DV_ERR_CORRUPT;
        }
    }
    table->segments = calloc(DV_SUBJECT_SEGMENTS_MAX, sizeof(*table->segments));
    if (table->segments == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    memcpy(table->hash_key, text.ptr, DV_SUBJECT_HASH_LEN);
    table->seen = table->seen_stored = dv_get_u64(text.ptr + DV_SUBJECT_HASH_LEN);
    table->count = table->listed = count;
    for (uint32_t i = 0; i < count; i++, at += ENTRY_LEN) {
        dv_subject_segment *segment = &table->segments[i];
        segment->generation = dv_get_u32(at);
        segment->stored = dv_get_u32(at + 4);
        memcpy(segment->key, at + 8, DV_SUBJECT_KEY_LEN);
    }
    return DV_OK;
}

static dv_result seal_directory(const uint8_t *root, uint64_t epoch, dv_slice text, dv_buf *out)
{
    dv_auto(aead) dv_aead *aead = NULL;
    DV_TRY(dv_aead_new(root, &aead));
    DV_TRY(dv_buf_reserve(out, DIRECTORY_OVERHEAD + text.len));
    memcpy(out->ptr, directory_magic, MAGIC_LEN);
    dv_put_u64(out->ptr + MAGIC_LEN, epoch);
    dv_random(out->ptr + DIRECTORY_HEAD, DV_AEAD_NONCE_LEN);
    DV_TRY(dv_aead_seal(aead, out->ptr + DIRECTORY_HEAD, dv_slice_of(out->ptr, DIRECTORY_HEAD),
                        text, out->ptr + DIRECTORY_HEAD + DV_AEAD_NONCE_LEN));
    out->len = DIRECTORY_OVERHEAD + text.len;
    return DV_OK;
}

static dv_result write_directory(const dv_subject_table *table, const uint8_t *root, uint64_t epoch,
                                 const dv_subject_segment *segments, dv_error *error)
{
    char name[NAME_ROOM], path[PATH_MAX];
    dv_auto(secret_buf) dv_buf text = dv_buf_init(DIRECTORY_MAX);
    dv_auto(buf) dv_buf sealed = dv_buf_init(DIRECTORY_MAX);
    directory_name(epoch, name);
    DV_TRY(path_of(table, name, path));
    DV_TRY(dv_subject_directory_format(table, segments, &text));
    DV_TRY(seal_directory(root, epoch, dv_buf_slice(&text), &sealed));
    return dv_file_write_atomic(path, dv_buf_slice(&sealed), KEY_MODE, error);
}

static dv_result open_directory(dv_subject_table *table, dv_slice file)
{
    dv_auto(aead) dv_aead *aead = NULL;
    dv_auto(secret_buf) dv_buf text = dv_buf_init(DIRECTORY_MAX);
    if (file.len < DIRECTORY_OVERHEAD || memcmp(file.ptr, directory_magic, MAGIC_LEN) != 0 ||
        dv_get_u64(file.ptr + MAGIC_LEN) != table->epoch) {
        return DV_ERR_CORRUPT;
    }
    DV_TRY(dv_aead_new(table->root, &aead));
    DV_TRY(dv_buf_reserve(&text, file.len));
    DV_TRY(dv_aead_open(aead, file.ptr + DIRECTORY_HEAD, dv_slice_sub(file, 0, DIRECTORY_HEAD),
                        dv_slice_sub(file, DIRECTORY_HEAD + DV_AEAD_NONCE_LEN, file.len),
                        text.ptr));
    text.len = file.len - DIRECTORY_OVERHEAD;
    return dv_subject_directory_parse(dv_buf_slice(&text), table);
}

/* -- the root ---------------------------------------------------------------------------------- */

static dv_result write_root(const dv_subject_table *table, const uint8_t *root, uint64_t epoch,
                            dv_error *error)
{
    char name[NAME_ROOM], path[PATH_MAX];
    uint8_t file[ROOT_LEN];
    root_name(epoch, name);
    DV_TRY(path_of(table, name, path));
    memcpy(file, root_magic, MAGIC_LEN);
    dv_put_u64(file + MAGIC_LEN, epoch);
    memcpy(file + MAGIC_LEN + 8, root, DV_SUBJECT_KEY_LEN);
    dv_put_u32(file + ROOT_LEN - 4, dv_crc32c(0, dv_slice_of(file, ROOT_LEN - 4)));
    dv_result result = dv_file_write_atomic(path, dv_slice_of(file, ROOT_LEN), KEY_MODE, error);
    dv_wipe(file, sizeof(file));
    return result;
}

static dv_result parse_root(dv_slice file, dv_subject_table *table)
{
    if (file.len != ROOT_LEN || memcmp(file.ptr, root_magic, MAGIC_LEN) != 0 ||
        dv_get_u64(file.ptr + MAGIC_LEN) != table->epoch ||
        dv_get_u32(file.ptr + ROOT_LEN - 4) != dv_crc32c(0, dv_slice_sub(file, 0, ROOT_LEN - 4))) {
        return DV_ERR_CORRUPT;
    }
    memcpy(table->root, file.ptr + MAGIC_LEN + 8, DV_SUBJECT_KEY_LEN);
    return DV_OK;
}

/* -- sweeping ---------------------------------------------------------------------------------- */

/* Overwrites what the file holds before its blocks are given back. Where the file system writes
 * elsewhere, or the disk keeps what it overwrote, only invariant 4 holds. */
static dv_result destroy_file(const dv_subject_table *table, const char *name, dv_error *error)
{
    static const uint8_t zeros[4096];
    struct stat about;
    dv_auto(fd) int fd = openat(table->folder_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &about) != 0) {
        return io_error(error, "open", name);
    }
    for (off_t at = 0; at < about.st_size; at += (off_t)sizeof(zeros)) {
        size_t len = DV_MIN((size_t)(about.st_size - at), sizeof(zeros));
        if (dv_fd_write_all(fd, dv_slice_of(zeros, len)) != DV_OK) {
            return io_error(error, "overwrite", name);
        }
    }
    if (fsync(fd) != 0 || unlinkat(table->folder_fd, name, 0) != 0) {
        return io_error(error, "remove", name);
    }
    return DV_OK;
}

static bool is_in_force(const dv_subject_table *table, const char *name)
{
    char wanted[NAME_ROOM];
    uint32_t number, generation;
    root_name(table->epoch, wanted);
    if (strcmp(name, wanted) == 0) {
        return true;
    }
    directory_name(table->epoch, wanted);
    if (strcmp(name, wanted) == 0) {
        return true;
    }
    /* NOLINTNEXTLINE(cert-err34-c): what was read is written again and compared */
    if (sscanf(name, "%8" SCNx32 "-%8" SCNx32, &number, &generation) != 2 ||
        number >= table->count || table->segments[number].rows == NULL) {
        return false;
    }
    segment_name(number, table->segments[number].generation, wanted);
    return strcmp(name, wanted) == 0;
}

/* Whether the name is one of ours, also one that was not finished. */
static bool is_ours(const char *name)
{
    return strncmp(name, "root.", 5) == 0 || strncmp(name, "directory.", 10) == 0 ||
           strstr(name, ".keys") != NULL;
}

static dv_result sweep(dv_subject_table *table, dv_error *error)
{
    int fd = openat(table->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    dv_result result = DV_OK;
    table->unswept = true;
    if (dir == NULL) {
        dv_fd_close(&fd);
        return io_error(error, "read", table->folder);
    }
    for (struct dirent *entry = readdir(dir); entry != NULL && result == DV_OK;
         entry = readdir(dir)) {
        if (is_ours(entry->d_name) && !is_in_force(table, entry->d_name)) {
            result = destroy_file(table, entry->d_name, error);
        }
    }
    closedir(dir);
    DV_TRY(result);
    if (fsync(table->folder_fd) != 0) {
        return io_error(error, "sync", table->folder);
    }
    table->unswept = false;
    return DV_OK;
}

/* -- storing ----------------------------------------------------------------------------------- */

/* Rows that no disk has yet, of segments that the directory names. */
static dv_result store_rows(dv_subject_table *table, dv_subject_segment *segments, dv_error *error)
{
    for (uint32_t i = 0; i < table->count; i++) {
        dv_subject_segment *segment = &segments[i];
        if (segment->rows != NULL && !segment->dirty && segment->stored < segment->used) {
            DV_TRY(write_block(table, i, segment->stored, segment, error));
        }
    }
    return DV_OK;
}

/* The segment without what was erased, under another key. */
static dv_result rewrite_segment(dv_subject_table *table, uint32_t number,
                                 dv_subject_segment *segment, dv_error *error)
{
    segment->generation += table->attempts;
    segment->end = 0;
    segment->dirty = false;
    if (segment->live == 0 && segment->used == DV_SUBJECT_ROWS) {
        memset(segment->key, 0, sizeof(segment->key));
        segment->rows = NULL; /* freed when this is in force */
        segment->stored = segment->used;
        return DV_OK;
    }
    dv_random(segment->key, sizeof(segment->key));
    return write_block(table, number, 0, segment, error);
}

/* Writes what is to be in force from now on beside what is. */
static dv_result write_successor(dv_subject_table *table, dv_subject_segment *next,
                                 const uint8_t *root, dv_error *error)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (next[i].dirty) {
            DV_TRY(rewrite_segment(table, i, &next[i], error));
        }
    }
    DV_TRY(store_rows(table, next, error));
    DV_TRY(write_directory(table, root, table->epoch + table->attempts, next, error));
    return write_root(table, root, table->epoch + table->attempts, error);
}

static void put_in_force(dv_subject_table *table, const dv_subject_segment *next,
                         const uint8_t *root)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (next[i].rows == NULL) {
            free(table->segments[i].rows);
        }
    }
    memcpy(table->segments, next, table->count * sizeof(*next));
    memcpy(table->root, root, sizeof(table->root));
    table->epoch += table->attempts;
    table->attempts = 0;
    table->listed = table->count;
    table->seen_stored = table->seen;
    table->rekey = false;
}

static dv_result store_erasures(dv_subject_table *table, dv_error *error)
{
    uint8_t root[DV_SUBJECT_KEY_LEN];
    size_t size = table->count * sizeof(*table->segments);
    dv_auto(free) dv_subject_segment *next = malloc(size);
    if (next == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    memcpy(next, table->segments, size);
    dv_random(root, sizeof(root));
    table->attempts++; /* a root that failed may be there all the same: it stays whole */
    dv_result result = write_successor(table, next, root, error);
    if (result == DV_OK) {
        put_in_force(table, next, root);
    }
    dv_wipe(next, size);
    dv_wipe(root, sizeof(root));
    DV_TRY(result);
    return sweep(table, error);
}

static bool directory_is_due(const dv_subject_table *table)
{
    return table->listed < table->count || table->seen >= table->seen_stored + SEEN_STEP ||
           table->seen < table->seen_stored;
}

dv_result dv_subject_table_store(dv_subject_table *table, dv_error *error)
{
    if (table->rekey) {
        return store_erasures(table, error);
    }
    if (table->unswept) {
        DV_TRY(sweep(table, error));
    }
    if (directory_is_due(table)) {
        DV_TRY(write_directory(table, table->root, table->epoch, table->segments, error));
        table->listed = table->count;
        table->seen_stored = table->seen;
    }
    return store_rows(table, table->segments, error);
}

/* -- rows -------------------------------------------------------------------------------------- */

static dv_result add_segment(dv_subject_table *table)
{
    if (table->count == DV_SUBJECT_SEGMENTS_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    dv_subject_segment *segment = &table->segments[table->count];
    *segment = (dv_subject_segment){.rows = calloc(DV_SUBJECT_ROWS, ROW_LEN)};
    if (segment->rows == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_random(segment->key, sizeof(segment->key));
    table->count++;
    return DV_OK;
}

dv_result dv_subject_table_add(dv_subject_table *table, const dv_subject_row *row,
                               uint32_t *ret_index)
{
    if (table->count == 0 || table->segments[table->count - 1].used == DV_SUBJECT_ROWS) {
        DV_TRY(add_segment(table));
    }
    dv_subject_segment *segment = &table->segments[table->count - 1];
    segment->rows[segment->used] = *row;
    *ret_index = (table->count - 1) * DV_SUBJECT_ROWS + segment->used++;
    segment->live++;
    return DV_OK;
}

dv_subject_row *dv_subject_table_row(const dv_subject_table *table, uint32_t index)
{
    uint32_t number = index / DV_SUBJECT_ROWS, place = index % DV_SUBJECT_ROWS;
    if (number >= table->count || table->segments[number].rows == NULL ||
        place >= table->segments[number].used) {
        return NULL;
    }
    dv_subject_row *row = &table->segments[number].rows[place];
    return is_live(row) ? row : NULL;
}

void dv_subject_table_erase(dv_subject_table *table, uint32_t index)
{
    dv_subject_row *row = dv_subject_table_row(table, index);
    if (row != NULL) {
        dv_subject_segment *segment = &table->segments[index / DV_SUBJECT_ROWS];
        dv_wipe(row, sizeof(*row));
        segment->live--;
        segment->dirty = true;
        table->rekey = true;
    }
}

/* -- opening ----------------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);
    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

/* The highest epoch that has a root; 0: there is neither a root nor a key. Keys without their root
 * are not for us to clear away: somebody is putting a backup back, piece by piece. */
static dv_result find_epoch(dv_subject_table *table, dv_error *error)
{
    uint64_t epoch;
    bool has_keys = false;
    char name[NAME_ROOM];
    int fd = openat(table->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        dv_fd_close(&fd);
        return io_error(error, "read", table->folder);
    }
    table->epoch = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        has_keys = has_keys || ends_with(entry->d_name, ".keys");
        /* NOLINTNEXTLINE(cert-err34-c): what was read is written again and compared */
        if (sscanf(entry->d_name, "root.%16" SCNx64, &epoch) == 1) {
            root_name(epoch, name);
            if (strcmp(name, entry->d_name) == 0) {
                table->epoch = DV_MAX(table->epoch, epoch);
            }
        }
    }
    closedir(dir);
    return table->epoch == 0 && has_keys
               ? dv_error_set(error, DV_ERR_CORRUPT,
                              "subjects: %s holds keys, but not the root.* that opens them: put it "
                              "there, or remove this folder's files if these people's values may "
                              "stay unreadable",
                              table->folder)
               : DV_OK;
}

static dv_result load_segment(dv_subject_table *table, uint32_t number, dv_error *error)
{
    char name[NAME_ROOM], path[PATH_MAX];
    dv_subject_segment *segment = &table->segments[number];
    dv_auto(buf) dv_buf file = dv_buf_init(SEGMENT_MAX);
    uint32_t promised = segment->stored;
    if (promised == all_erased) {
        segment->used = segment->stored = DV_SUBJECT_ROWS;
        return DV_OK;
    }
    segment_name(number, segment->generation, name);
    DV_TRY(path_of(table, name, path));
    segment->rows = calloc(DV_SUBJECT_ROWS, ROW_LEN);
    if (segment->rows == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (access(path, F_OK) == 0 || promised > 0) {
        DV_TRY(dv_file_read(path, &file, error));
    }
    DV_TRY(dv_subject_segment_parse(number, dv_buf_slice(&file), segment));
    return segment->used >= promised ? DV_OK : corrupt(error, name, "has lost keys");
}

static dv_result load(dv_subject_table *table, dv_error *error)
{
    char name[NAME_ROOM], path[PATH_MAX];
    dv_auto(secret_buf) dv_buf root = dv_buf_init(ROOT_LEN);
    dv_auto(buf) dv_buf directory = dv_buf_init(DIRECTORY_MAX);
    root_name(table->epoch, name);
    DV_TRY(path_of(table, name, path));
    DV_TRY(dv_file_read(path, &root, error));
    DV_TRY(parse_root(dv_buf_slice(&root), table) == DV_OK ? DV_OK
                                                           : corrupt(error, name, "is damaged"));
    directory_name(table->epoch, name);
    DV_TRY(path_of(table, name, path));
    DV_TRY(dv_file_read(path, &directory, error));
    dv_result result = open_directory(table, dv_buf_slice(&directory));
    DV_TRY(result == DV_ERR_CORRUPT ? corrupt(error, name, "does not open") : result);
    for (uint32_t i = 0; i < table->count; i++) {
        DV_TRY(load_segment(table, i, error));
    }
    return DV_OK;
}

static dv_result begin(dv_subject_table *table, dv_error *error)
{
    table->segments = calloc(DV_SUBJECT_SEGMENTS_MAX, sizeof(*table->segments));
    if (table->segments == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    table->epoch = 1;
    dv_random(table->root, sizeof(table->root));
    dv_random(table->hash_key, sizeof(table->hash_key));
    DV_TRY(write_directory(table, table->root, table->epoch, table->segments, error));
    return write_root(table, table->root, table->epoch, error);
}

dv_result dv_subject_table_open(const char *folder, dv_subject_table *table, dv_error *error)
{
    *table = (dv_subject_table){.folder_fd = -1};
    int len = snprintf(table->folder, sizeof(table->folder), "%s", folder);
    if (len < 0 || (size_t)len >= sizeof(table->folder)) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", folder);
    }
    DV_TRY(dv_dir_make(folder, 0700, error));
    table->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (table->folder_fd < 0) {
        return io_error(error, "open", folder);
    }
    DV_TRY(find_epoch(table, error));
    DV_TRY(table->epoch == 0 ? begin(table, error) : load(table, error));
    return sweep(table, error);
}

void dv_subject_table_release(dv_subject_table *table)
{
    for (uint32_t i = 0; table->segments != NULL && i < table->count; i++) {
        if (table->segments[i].rows != NULL) {
            dv_wipe(table->segments[i].rows, (size_t)DV_SUBJECT_ROWS * ROW_LEN);
            free(table->segments[i].rows);
        }
    }
    free(table->segments);
    dv_fd_close(&table->folder_fd);
    dv_wipe(table, sizeof(*table));
    table->folder_fd = -1;
}
