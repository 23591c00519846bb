/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "engine/detect/fingerprint/build.h"
#include "engine/detect/fingerprint/format.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *dv_fingerprint_kind_name(dv_fingerprint_kind kind)
{
    static const char *const names[] = {[DV_FINGERPRINT_VALUE] = "value",
                                        [DV_FINGERPRINT_RECORD] = "record",
                                        [DV_FINGERPRINT_DOCUMENT] = "document",
                                        [DV_FINGERPRINT_CANARY] = "canary"};
    return (size_t)kind < DV_ARRAY_LEN(names) ? names[kind] : "unknown";
}

/* ---- keys and layout ---- */

void dv_set_keys_of(const uint8_t key[DV_SET_KEY_LEN], dv_set_keys *keys)
{
    memcpy(keys->sip, key, sizeof(keys->sip));
    for (unsigned i = 0; i < DV_ARRAY_LEN(keys->letters); i++) {
        const uint8_t index[] = {'l', (uint8_t)i};
        keys->letters[i] = dv_siphash(key + sizeof(keys->sip), dv_slice_of(index, sizeof(index)));
    }
    keys->odd = dv_siphash(key + sizeof(keys->sip), DV_LIT("odd")) | 1;
}

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + 7) & ~UINT64_C(7);
}

static uint64_t buckets_bytes(uint32_t bits)
{
    return aligned(((UINT64_C(1) << bits) + 1) * sizeof(uint32_t));
}

dv_set_layout dv_set_layout_of(const dv_set_header *h)
{
    dv_set_layout at = {.value_bits = sizeof(*h)};
    at.passage_bits = at.value_bits + (uint64_t)h->value_blocks * DV_SET_BLOCK;
    at.values = at.passage_bits + (uint64_t)h->passage_blocks * DV_SET_BLOCK;
    at.passages = at.values + (uint64_t)h->values * sizeof(dv_set_entry);
    at.value_buckets = at.passages + (uint64_t)h->passages * sizeof(dv_set_entry);
    at.passage_buckets = at.value_buckets + buckets_bytes(h->value_bucket_bits);
    at.rows = at.passage_buckets + buckets_bytes(h->passage_bucket_bits);
    at.tags = at.rows + aligned((uint64_t)h->rows * sizeof(uint32_t));
    at.documents = at.tags + aligned((uint64_t)h->records * h->columns * sizeof(uint32_t));
    at.names = at.documents + aligned((uint64_t)h->documents * sizeof(uint32_t));
    at.digest = at.names + aligned(h->names);
    at.end = at.digest + DV_SHA256_LEN;
    return at;
}

uint32_t dv_set_blocks_for(uint32_t count)
{
    return (uint32_t)(((uint64_t)count * DV_SET_KEY_BITS + DV_SET_BLOCK * 8 - 1) /
                      (DV_SET_BLOCK * 8)) +
           1;
}

uint32_t dv_set_bucket_bits_for(uint32_t count)
{
    uint32_t bits = 0;
    while (bits < 26 && (count >> bits) > DV_SET_BUCKET) {
        bits++;
    }
    return bits;
}

/* ---- looking up ---- */

const dv_set_entry *dv_set_find(const dv_set_table *table, uint64_t hash)
{
    size_t bucket = table->bucket_bits == 0 ? 0 : (size_t)(hash >> (64 - table->bucket_bits));
    uint32_t end = DV_MIN(table->buckets[bucket + 1], table->count);
    for (uint32_t i = table->buckets[bucket]; i < end; i++) {
        if (table->entries[i].hash == hash) {
            return &table->entries[i];
        }
    }
    return NULL;
}

/* ---- opening ---- */

static dv_result corrupt(dv_error *error, const char *what)
{
    return dv_error_set(error, DV_ERR_CORRUPT, "is no whole set of fingerprints: %s", what);
}

static bool table_is_good(uint32_t count, uint32_t blocks, uint32_t bucket_bits)
{
    return count <= DV_SET_HASHES_MAX && blocks == dv_set_blocks_for(count) &&
           bucket_bits == dv_set_bucket_bits_for(count);
}

static bool rules_are_good(const dv_set_header *h)
{
    bool columns = h->columns <= DV_FINGERPRINT_COLUMNS && h->alone >> h->columns == 0;
    bool record = h->least >= 1 && h->least <= DV_MAX(h->columns, 1U) && h->within >= 1 &&
                  h->within <= DV_FINGERPRINT_WITHIN_MAX;
    bool document =
        h->row >= 1 && h->row <= DV_FINGERPRINT_ROW_MAX && h->share >= 1 && h->share <= 1000;
    return columns && record && document && h->longest_number <= DV_FINGERPRINT_VALUE_MAX;
}

static dv_result check_header(const dv_set_header *h, uint64_t len, dv_error *error)
{
    if (h->version != DV_SET_VERSION) {
        return dv_error_set(error, DV_ERR_UNSUPPORTED,
                            "is a set of fingerprints of version %u, this program reads %d: make "
                            "it anew",
                            h->version, DV_SET_VERSION);
    }
    if (h->header_bytes != sizeof(*h) || h->file_bytes != len || h->gram != DV_FINGERPRINT_GRAM ||
        h->window != DV_FINGERPRINT_WINDOW) {
        return corrupt(error, "its header does not fit it");
    }
    bool good = table_is_good(h->values, h->value_blocks, h->value_bucket_bits) &&
                table_is_good(h->passages, h->passage_blocks, h->passage_bucket_bits) &&
                h->records <= DV_FINGERPRINT_CELLS_MAX && h->rows <= DV_SET_HASHES_MAX &&
                h->documents <= DV_FINGERPRINT_DOCUMENTS_MAX && h->names <= DV_SET_NAMES_MAX &&
                rules_are_good(h);
    if (!good) {
        return dv_error_set(error, DV_ERR_TOO_LARGE,
                            "is no set of fingerprints that this program makes: a count is beyond "
                            "its limit");
    }
    return dv_set_layout_of(h).end == len ? DV_OK : corrupt(error, "it has another length");
}

/* The bytes at that place, as what they are; aligned by the layout. */
static const void *part(dv_slice bytes, uint64_t at)
{
    return (const void *)(bytes.ptr + at);
}

static dv_result find_names(dv_fingerprint_set *set)
{
    uint32_t wanted = set->header->columns + set->header->documents;
    uint32_t *begin = calloc((size_t)wanted + 1, sizeof(*begin));
    uint32_t count = 0, at = 0;
    if (begin == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < set->header->names && count < wanted; i++) {
        if (set->names[i] == '\0') {
            begin[count++] = at;
            at = i + 1;
        }
    }
    begin[count] = at;
    set->name_begin = begin;
    set->name_count = count;
    return DV_OK;
}

static void describe(dv_fingerprint_set *set, const uint8_t *digest)
{
    const dv_set_header *h = set->header;
    set->about = (dv_fingerprint_about){
        .made = h->made,
        .bytes = h->file_bytes,
        .records = h->records,
        .values = h->distinct,
        .canaries = h->canaries,
        .documents = h->documents,
        .fingerprints = h->passages,
        .column_count = h->columns,
        .alone = h->alone,
        .least = h->least,
        .within = h->within,
        .row = h->row,
        .share = h->share,
        .too_short = h->too_short,
        .too_long = h->too_long,
        .too_usual = h->too_usual,
    };
    memcpy(set->about.id, digest, sizeof(set->about.id));
}

static void place_parts(dv_fingerprint_set *set, dv_slice bytes)
{
    const dv_set_header *h = set->header;
    dv_set_layout at = dv_set_layout_of(h);
    set->values = (dv_set_table){part(bytes, at.value_bits),
                                 part(bytes, at.values),
                                 part(bytes, at.value_buckets),
                                 h->value_blocks,
                                 h->values,
                                 h->value_bucket_bits};
    set->passages = (dv_set_table){part(bytes, at.passage_bits),
                                   part(bytes, at.passages),
                                   part(bytes, at.passage_buckets),
                                   h->passage_blocks,
                                   h->passages,
                                   h->passage_bucket_bits};
    set->rows = part(bytes, at.rows);
    set->tags = part(bytes, at.tags);
    set->documents = part(bytes, at.documents);
    set->names = part(bytes, at.names);
}

static dv_result read_set(dv_fingerprint_set *set, dv_slice bytes, dv_error *error)
{
    uint8_t digest[DV_SHA256_LEN];
    const dv_set_header *h = (const void *)bytes.ptr;
    if (bytes.len < sizeof(*h) + DV_SHA256_LEN ||
        memcmp(h->magic, DV_SET_MAGIC, sizeof(h->magic)) != 0) {
        return corrupt(error, "it does not begin as one");
    }
    DV_TRY(check_header(h, bytes.len, error));
    size_t end = bytes.len - DV_SHA256_LEN;
    dv_sha256(dv_slice_sub(bytes, 0, end), (dv_slice){NULL, 0}, (dv_slice){NULL, 0}, digest);
    if (memcmp(digest, bytes.ptr + end, sizeof(digest)) != 0) {
        return corrupt(error, "its bytes were changed");
    }
    set->header = h;
    place_parts(set, bytes);
    describe(set, digest);
    dv_set_keys_of(h->key, &set->keys);
    return find_names(set);
}

dv_result dv_fingerprint_set_of(dv_slice bytes, dv_fingerprint_set **ret_set, dv_error *error)
{
    dv_fingerprint_set *set = calloc(1, sizeof(*set));
    if (set == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = read_set(set, bytes, error);
    if (result != DV_OK) {
        dv_fingerprint_set_close(set);
        return result;
    }
    *ret_set = set;
    return DV_OK;
}

void dv_fingerprint_set_close(dv_fingerprint_set *set)
{
    if (set == NULL) {
        return;
    }
    if (set->map != NULL) {
        (void)munmap(set->map, set->map_len);
    }
    dv_wipe(&set->keys, sizeof(set->keys));
    free((void *)(uintptr_t)set->name_begin);
    free(set);
}

/* ---- a file ---- */

/* The length of a regular file that not everybody may read. */
static dv_result check_file(int fd, const char *path, size_t *ret_len, dv_error *error)
{
    struct stat about;
    if (fstat(fd, &about) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    if (!S_ISREG(about.st_mode)) {
        return dv_error_set(error, DV_ERR_INVALID, "%s is no regular file", path);
    }
    /* Another file is not to be told to be a secret. */
    char magic[sizeof(DV_SET_MAGIC) - 1];
    if (pread(fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic) ||
        memcmp(magic, DV_SET_MAGIC, sizeof(magic)) != 0) {
        return dv_error_set(
            error, DV_ERR_CORRUPT,
            "%s is no set of fingerprints: `dvara data fingerprint create` makes one", path);
    }
    DV_TRY(dv_fd_check_secret(fd, path, S_IRWXO, error));
    if (about.st_size < (off_t)sizeof(dv_set_header)) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "%s is no whole set of fingerprints: it is too short", path);
    }
    *ret_len = (size_t)about.st_size;
    return DV_OK;
}

static dv_result open_file(const char *path, int *ret_fd, size_t *ret_len, dv_error *error)
{
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return dv_error_set(error, errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO,
                            "can not read %s: %s", path, strerror(errno));
    }
    DV_TRY(check_file(fd, path, ret_len, error));
    *ret_fd = fd;
    fd = -1;
    return DV_OK;
}

dv_result dv_fingerprint_file_open(const char *path, int *ret_fd, dv_error *error)
{
    size_t len = 0;
    return open_file(path, ret_fd, &len, error);
}

static dv_result map_file(const char *path, void **ret_map, size_t *ret_len, dv_error *error)
{
    dv_auto(fd) int fd = -1;
    size_t len = 0;
    DV_TRY(open_file(path, &fd, &len, error));
    void *map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        return dv_error_set(error, DV_ERR_NO_MEMORY, "can not map %s: %s", path, strerror(errno));
    }
    *ret_map = map;
    *ret_len = len;
    return DV_OK;
}

dv_result dv_fingerprint_set_open(const char *path, dv_fingerprint_set **ret_set, dv_error *error)
{
    void *map = NULL;
    size_t len = 0;
    dv_error why = {0};
    DV_TRY(map_file(path, &map, &len, error));
    dv_result result = dv_fingerprint_set_of(dv_slice_of(map, len), ret_set, &why);
    if (result != DV_OK) {
        (void)munmap(map, len);
        return dv_error_set(error, result, "%s %s", path,
                            why.message[0] != '\0' ? why.message : dv_result_name(result));
    }
    (*ret_set)->map = map;
    (*ret_set)->map_len = len;
    return DV_OK;
}

/* ---- asking ---- */

const dv_fingerprint_about *dv_fingerprint_set_about(const dv_fingerprint_set *set)
{
    return &set->about;
}

static dv_slice name_at(const dv_fingerprint_set *set, uint32_t index)
{
    if (index >= set->name_count) {
        return (dv_slice){NULL, 0};
    }
    return dv_slice_str(set->names + set->name_begin[index]);
}

dv_slice dv_fingerprint_set_column(const dv_fingerprint_set *set, uint32_t index)
{
    return index < set->header->columns ? name_at(set, index) : (dv_slice){NULL, 0};
}

dv_slice dv_fingerprint_set_document(const dv_fingerprint_set *set, uint32_t index)
{
    return index < set->header->documents ? name_at(set, set->header->columns + index)
                                          : (dv_slice){NULL, 0};
}
