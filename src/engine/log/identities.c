/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/identities.h"

#include "base/caps.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/siphash.h"
#include "engine/log/block_format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    AT_CRC = 0,
    AT_LENGTH = 4,
    AT_BLOCK = 8,
    AT_COUNT = 16,
    FRONT = 20,
    RECORD_MAX = 64 << 20,
    TEXTS_MAX = 4 << 20, /* of a log; then users are looked for in all blocks that follow */
    SET_FIRST = 1024,
};

/* Lists do not count: what seals does not tell them either. */
static dv_slice without_lists(dv_slice path, char out[DV_BLOCK_PATH_MAX])
{
    size_t len = 0;
    for (size_t i = 0; i < path.len && len < DV_BLOCK_PATH_MAX; i++) {
        if (path.ptr[i] != DV_PATH_EACH[0]) {
            out[len++] = (char)path.ptr[i];
        }
    }
    return dv_slice_of(out, len);
}

bool dv_identity_is(dv_slice column_path)
{
    char room[DV_BLOCK_PATH_MAX];
    dv_slice path = without_lists(column_path, room);
    static const char *const endings[] = {
        DV_PATH_BELOW "user" DV_PATH_BELOW "name",
        DV_PATH_BELOW "user" DV_PATH_BELOW "uid",
        DV_PATH_BELOW "programmatic_credentials" DV_PATH_BELOW "uid",
        DV_PATH_BELOW "credential_uid",
    };
    static const char *const wholes[] = {
        "user" DV_PATH_BELOW "name",     "user" DV_PATH_BELOW "uid",
        "assignee" DV_PATH_BELOW "name", "assignee" DV_PATH_BELOW "uid",
        "entity" DV_PATH_BELOW "name",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(wholes); i++) {
        if (dv_slice_eq_str(path, wholes[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(endings); i++) {
        if (dv_slice_ends_with(path, dv_slice_str(endings[i]))) {
            return true;
        }
    }
    return false;
}

/* -- a set of texts, by their tokens ----------------------------------------------------------- */

typedef struct token_set {
    uint64_t *slots; /* 0: free */
    size_t mask, count;
} token_set;

static bool set_place(uint64_t *slots, size_t mask, uint64_t token)
{
    size_t at = token & mask;
    while (slots[at] != 0 && slots[at] != token) {
        at = (at + 1) & mask;
    }
    bool added = slots[at] == 0;
    slots[at] = token;
    return added;
}

static dv_result set_grow(token_set *set)
{
    size_t slots = set->slots == NULL ? SET_FIRST : (set->mask + 1) * 2;
    uint64_t *made = calloc(slots, sizeof(*made));
    if (made == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; set->slots != NULL && i <= set->mask; i++) {
        if (set->slots[i] != 0) {
            (void)set_place(made, slots - 1, set->slots[i]);
        }
    }
    free(set->slots);
    set->slots = made;
    set->mask = slots - 1;
    return DV_OK;
}

static dv_result set_add(token_set *set, uint64_t token, bool *ret_added)
{
    token += token == 0;
    if (set->slots == NULL || (set->count + 1) * 2 > set->mask) {
        DV_TRY(set_grow(set));
    }
    *ret_added = set_place(set->slots, set->mask, token);
    set->count += *ret_added;
    return DV_OK;
}

static void set_empty(token_set *set)
{
    free(set->slots);
    *set = (token_set){NULL, 0, 0};
}

/* -- records ----------------------------------------------------------------------------------- */

typedef dv_result (*text_visit)(void *data, dv_slice text);

/* The record at that place of the file, into `bytes`. Errors: DV_ERR_NOT_FOUND (none that is
 * good). */
static dv_result read_record(int fd, uint64_t offset, uint64_t block, dv_buf *bytes)
{
    uint8_t front[AT_BLOCK];
    dv_buf_clear(bytes);
    if (pread(fd, front, sizeof(front), (off_t)offset) != (ssize_t)sizeof(front)) {
        return DV_ERR_NOT_FOUND;
    }
    size_t len = dv_get_u32(front + AT_LENGTH);
    if (len < FRONT - AT_BLOCK || len > RECORD_MAX) {
        return DV_ERR_NOT_FOUND;
    }
    DV_TRY(dv_buf_reserve(bytes, AT_BLOCK + len));
    bytes->len = AT_BLOCK + len;
    if (pread(fd, bytes->ptr, bytes->len, (off_t)offset) != (ssize_t)bytes->len ||
        dv_get_u32(bytes->ptr) !=
            dv_crc32c(0, dv_slice_sub(dv_buf_slice(bytes), AT_LENGTH, bytes->len)) ||
        dv_get_u64(bytes->ptr + AT_BLOCK) != block) {
        return DV_ERR_NOT_FOUND;
    }
    return DV_OK;
}

/* Calls visit for each text. Errors: the visit's; DV_ERR_CORRUPT. */
static dv_result each_text(dv_slice record, text_visit visit, void *data)
{
    enum { LENGTH = 2 };
    uint32_t count = dv_get_u32(record.ptr + AT_COUNT);
    dv_slice rest = dv_slice_sub(record, FRONT, record.len);
    for (uint32_t i = 0; i < count; i++) {
        if (rest.len < LENGTH || rest.len - LENGTH < (size_t)(rest.ptr[0] | rest.ptr[1] << 8)) {
            return DV_ERR_CORRUPT;
        }
        size_t len = (size_t)(rest.ptr[0] | rest.ptr[1] << 8);
        DV_TRY(visit(data, dv_slice_sub(rest, LENGTH, len)));
        rest = dv_slice_sub(rest, LENGTH + len, rest.len);
    }
    return rest.len == 0 ? DV_OK : DV_ERR_CORRUPT;
}

/* -- writing ----------------------------------------------------------------------------------- */

struct dv_identity_file {
    int fd;
    bool stopped; /* the disk or the limit took nothing: who opens it next tries again */
    uint64_t blocks, len;
    token_set texts;
    dv_buf record;
};

static dv_result file_path(const char *folder, char out[PATH_MAX])
{
    int len = snprintf(out, PATH_MAX, "%s/catalogue.names", folder);
    return len > 0 && len < PATH_MAX ? DV_OK : DV_ERR_TOO_LARGE;
}

static dv_result note_text(void *data, dv_slice text)
{
    bool added;
    dv_identity_file *file = data;
    return set_add(&file->texts, dv_catalogue_token_of(text).hash, &added);
}

static dv_result load_records(dv_identity_file *file)
{
    for (;;) {
        dv_result result = read_record(file->fd, file->len, file->blocks, &file->record);
        if (result == DV_OK) {
            result = each_text(dv_buf_slice(&file->record), note_text, file);
        }
        if (result != DV_OK) {
            return result == DV_ERR_NO_MEMORY ? result : DV_OK;
        }
        file->len += file->record.len;
        file->blocks++;
    }
}

dv_result dv_identity_file_open(const char *folder, dv_identity_file **ret_file, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(file_path(folder, path));
    dv_auto(identity_file) dv_identity_file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    file->record = dv_buf_init(RECORD_MAX + FRONT);
    file->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file->fd < 0) {
        return dv_error_set(error, DV_ERR_IO, "log: can not open %s", path);
    }
    DV_TRY(load_records(file));
    if (ftruncate(file->fd, (off_t)file->len) != 0) {
        return dv_error_set(error, DV_ERR_IO, "log: can not trim %s", path);
    }
    *ret_file = file;
    file = NULL;
    return DV_OK;
}

void dv_identity_file_close(dv_identity_file *file)
{
    if (file != NULL) {
        dv_fd_close(&file->fd);
        set_empty(&file->texts);
        dv_buf_release(&file->record);
        free(file);
    }
}

uint64_t dv_identity_file_blocks(const dv_identity_file *file)
{
    return file->stopped || file->texts.count > TEXTS_MAX ? UINT64_MAX : file->blocks;
}

void dv_identity_file_empty(dv_identity_file *file)
{
    if (ftruncate(file->fd, 0) == 0) {
        file->len = 0;
        file->blocks = 0;
        set_empty(&file->texts);
    }
}

static dv_result add_text(dv_identity_file *file, dv_slice text, uint32_t *count)
{
    bool added;
    uint8_t length[2] = {(uint8_t)text.len, (uint8_t)(text.len >> 8)};
    if (!dv_subjects_is_sealed(text)) {
        return DV_OK;
    }
    DV_TRY(set_add(&file->texts, dv_catalogue_token_of(text).hash, &added));
    if (!added) {
        return DV_OK;
    }
    *count += 1;
    DV_TRY(dv_buf_append(&file->record, dv_slice_of(length, sizeof(length))));
    return dv_buf_append(&file->record, text);
}

static dv_result add_column(dv_identity_file *file, dv_block *block, uint32_t index,
                            uint32_t *count, dv_error *error)
{
    const uint32_t *ends;
    const uint8_t *bytes;
    const dv_column *column;
    DV_TRY(dv_block_texts(block, &ends, &bytes, error));
    DV_TRY(dv_block_column(block, index, &column, error));
    for (uint32_t i = 0; i < column->count; i++) {
        int64_t number = column->values[i];
        uint32_t start = number == 0 ? 0 : ends[number - 1];
        if (i == 0 || number != column->values[i - 1]) {
            DV_TRY(add_text(file, dv_slice_of(bytes + start, ends[number] - start), count));
        }
    }
    return DV_OK;
}

static dv_result collect(dv_identity_file *file, dv_block *block, uint32_t *count, dv_error *error)
{
    uint8_t front[FRONT] = {0};
    dv_buf_clear(&file->record);
    DV_TRY(dv_buf_append(&file->record, dv_slice_of(front, FRONT)));
    for (uint32_t i = 0; block != NULL && i < dv_block_about(block)->columns; i++) {
        const dv_column *column = dv_block_column_about(block, i);
        if (column->type == DV_SLOT_TEXT && dv_identity_is(column->path)) {
            DV_TRY(add_column(file, block, i, count, error));
        }
    }
    return file->record.len - AT_BLOCK > RECORD_MAX ? DV_ERR_TOO_LARGE : DV_OK;
}

/* The next record, into file->record. Errors: DV_ERR_TOO_LARGE, those of reading the block. */
static dv_result make_record(dv_identity_file *file, dv_block *block, dv_error *error)
{
    uint32_t count = 0;
    DV_TRY(collect(file, block, &count, error));
    uint8_t *record = file->record.ptr;
    dv_put_u32(record + AT_LENGTH, (uint32_t)(file->record.len - AT_BLOCK));
    dv_put_u64(record + AT_BLOCK, file->blocks);
    dv_put_u32(record + AT_COUNT, count);
    dv_put_u32(record, dv_crc32c(0, dv_slice_sub(dv_buf_slice(&file->record), AT_LENGTH,
                                                 file->record.len)));
    return DV_OK;
}

dv_result dv_identity_file_add(dv_identity_file *file, dv_block *block, dv_error *error)
{
    dv_result result = make_record(file, block, error);
    if (result == DV_ERR_TOO_LARGE) { /* names that somebody made long: the log goes on without */
        file->stopped = true;
        return DV_OK;
    }
    DV_TRY(result);
    const dv_buf *record = &file->record;
    if (pwrite(file->fd, record->ptr, record->len, (off_t)file->len) != (ssize_t)record->len) {
        file->stopped = true;
        (void)!ftruncate(file->fd, (off_t)file->len); /* who opens it next drops half a record */
        return DV_OK;
    }
    file->len += file->record.len;
    file->blocks++;
    return DV_OK;
}

/* -- verifying --------------------------------------------------------------------------------- */

dv_result dv_identity_check_new(const char *folder, dv_identity_file **ret_file, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(file_path(folder, path));
    dv_auto(identity_file) dv_identity_file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    file->record = dv_buf_init(RECORD_MAX + FRONT);
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0 && errno != ENOENT) {
        return dv_error_set(error, DV_ERR_IO, "can not open %s: %s", path, strerror(errno));
    }
    file->stopped = file->fd < 0;
    *ret_file = file;
    file = NULL;
    return DV_OK;
}

static dv_result damaged(dv_identity_file *file, const char *prefix, const char *how, uint64_t at,
                         dv_error *error)
{
    file->stopped = true;
    return dv_error_set(error, DV_ERR_CORRUPT,
                        "%scatalogue.names %s in the names of block %" PRIu64 ", at byte %" PRIu64
                        ": delete it, dvara-logd makes it again",
                        prefix, how, file->blocks, at);
}

/* Blocks that are pruned: nobody knows any more what stood in them, but that it was whole. */
static dv_result pass_pruned(dv_identity_file *file, uint64_t number, const char *prefix,
                             dv_error *error)
{
    struct stat about;
    while (!file->stopped && file->blocks < number) {
        if (fstat(file->fd, &about) != 0 || (uint64_t)about.st_size <= file->len) {
            file->stopped = true;
            return DV_OK;
        }
        dv_result result = read_record(file->fd, file->len, file->blocks, &file->record);
        if (result == DV_OK) {
            result = each_text(dv_buf_slice(&file->record), note_text, file);
        }
        if (result != DV_OK) {
            return result == DV_ERR_NO_MEMORY
                       ? result
                       : damaged(file, prefix, "is damaged", file->len, error);
        }
        file->len += file->record.len;
        file->blocks++;
    }
    return DV_OK;
}

/* The file's next bytes must be file->record; where they end before, the rest of the file is still
 * to be written, and is not read. */
static dv_result compare_record(dv_identity_file *file, const char *prefix, dv_error *error)
{
    enum { PIECE = 4096 };
    uint8_t bytes[PIECE];
    const dv_buf *record = &file->record;
    for (size_t done = 0; done < record->len;) {
        size_t want = DV_MIN(record->len - done, sizeof(bytes));
        ssize_t got = pread(file->fd, bytes, want, (off_t)(file->len + done));
        if (got <= 0) {
            file->stopped = true;
            return got == 0 ? DV_OK
                            : dv_error_set(error, DV_ERR_IO, "can not read %scatalogue.names: %s",
                                           prefix, strerror(errno));
        }
        for (size_t i = 0; i < (size_t)got; i++) {
            if (bytes[i] != record->ptr[done + i]) {
                return damaged(file, prefix, "differs from the entries", file->len + done + i,
                               error);
            }
        }
        done += (size_t)got;
    }
    file->len += record->len;
    file->blocks++;
    return DV_OK;
}

dv_result dv_identity_check_block(dv_identity_file *file, uint64_t number, dv_block *block,
                                  const char *prefix, dv_error *error)
{
    DV_TRY(pass_pruned(file, number, prefix, error));
    if (file->stopped) {
        return DV_OK;
    }
    dv_result result = make_record(file, block, error);
    if (result == DV_ERR_TOO_LARGE) { /* its writer stopped there, too */
        file->stopped = true;
        return DV_OK;
    }
    DV_TRY(result);
    return compare_record(file, prefix, error);
}

/* -- reading ----------------------------------------------------------------------------------- */

/* A sealed text and what it reads as, both hashed. */
typedef struct identity {
    uint64_t token;
    uint64_t value; /* 0: anything */
} identity;

/* Of one log. */
typedef struct identities {
    struct identities *next;
    char folder[PATH_MAX];
    identity *list;
    size_t count, capacity;
    uint64_t blocks, offset;
    uint32_t first_crc; /* of the file that was read */
} identities;

typedef struct kept {
    pthread_mutex_t lock;
    uint64_t destroyed; /* keys, when it was read */
    identities *logs;
} kept;

static void forget(identities *log)
{
    free(log->list);
    log->list = NULL;
    log->count = log->capacity = 0;
    log->blocks = log->offset = 0;
}

static void kept_free(void *data)
{
    kept *k = data;
    while (k->logs != NULL) {
        identities *log = k->logs;
        k->logs = log->next;
        forget(log);
        free(log);
    }
    pthread_mutex_destroy(&k->lock);
    free(k);
}

static void *kept_make(void)
{
    kept *k = calloc(1, sizeof(*k));
    if (k != NULL) {
        pthread_mutex_init(&k->lock, NULL);
    }
    return k;
}

static identities *log_of(kept *k, const char *folder)
{
    for (identities *log = k->logs; log != NULL; log = log->next) {
        if (strcmp(log->folder, folder) == 0) {
            return log;
        }
    }
    identities *log = calloc(1, sizeof(*log));
    if (log != NULL) {
        snprintf(log->folder, sizeof(log->folder), "%s", folder);
        log->next = k->logs;
        k->logs = log;
    }
    return log;
}

/* Never 0. */
static uint64_t hash_of(const uint8_t *key, dv_slice lower)
{
    uint64_t hash = dv_siphash(key, lower);
    return hash + (hash == 0);
}

typedef struct reading {
    dv_subjects *subjects;
    identities *log;
    const uint8_t *key;
    dv_buf value;
    dv_arena *arena;
} reading;

/* A text reads as itself in lower case; a number, a word as it is written. Of a list, each of its
 * members counts: it may be anything. */
static uint64_t hash_value(reading *r)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH, .tokens = UINT16_MAX};
    dv_json json;
    dv_slice text;
    dv_arena_reset(r->arena);
    if (dv_json_scan(dv_buf_slice(&r->value), &limits, r->arena, &json, NULL) != DV_OK ||
        json.tokens[0].type != DV_JSON_STRING ||
        dv_json_string(&json, 0, r->arena, &text) != DV_OK) {
        return 0;
    }
    dv_buf_clear(&r->value);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        uint8_t lower = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
        if (dv_buf_append_byte(&r->value, lower) != DV_OK) {
            return 0;
        }
    }
    return hash_of(r->key, dv_buf_slice(&r->value));
}

static dv_result read_text(void *data, dv_slice text)
{
    reading *r = data;
    identities *log = r->log;
    if (log->count == log->capacity) {
        size_t capacity = log->capacity == 0 ? SET_FIRST : log->capacity * 2;
        identity *grown = realloc(log->list, capacity * sizeof(*grown));
        if (grown == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        log->list = grown;
        log->capacity = capacity;
    }
    dv_buf_clear(&r->value);
    dv_subjects_lock(r->subjects);
    dv_result result = dv_subjects_unseal(r->subjects, text, &r->value);
    dv_subjects_unlock(r->subjects);
    if (result == DV_ERR_NOT_FOUND) {
        return DV_OK; /* erased: it reads as what no such search asks for */
    }
    uint64_t value = result == DV_OK ? hash_value(r) : 0;
    log->list[log->count++] = (identity){dv_catalogue_token_of(text).hash, value};
    return DV_OK;
}

/* Whether it is the file that was read before, and has grown at most. */
static bool is_same_file(const identities *log, int fd)
{
    uint8_t crc[4];
    struct stat about;
    return fstat(fd, &about) == 0 && (uint64_t)about.st_size >= log->offset &&
           (log->blocks == 0 || (pread(fd, crc, sizeof(crc), 0) == (ssize_t)sizeof(crc) &&
                                 dv_get_u32(crc) == log->first_crc));
}

/* What came to the file since it was read. */
static dv_result read_on(reading *r)
{
    char path[PATH_MAX];
    identities *log = r->log;
    dv_auto(buf) dv_buf record = dv_buf_init(RECORD_MAX + FRONT);
    DV_TRY(file_path(log->folder, path));
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return DV_ERR_NOT_FOUND;
    }
    if (!is_same_file(log, fd)) {
        forget(log);
    }
    while (read_record(fd, log->offset, log->blocks, &record) == DV_OK) {
        size_t count = log->count;
        dv_result result = each_text(dv_buf_slice(&record), read_text, r);
        if (result != DV_OK) {
            log->count = count;
            return result == DV_ERR_CORRUPT ? DV_OK : result;
        }
        log->first_crc = log->blocks == 0 ? dv_get_u32(record.ptr) : log->first_crc;
        log->offset += record.len;
        log->blocks++;
    }
    return DV_OK;
}

static bool find_in(const identities *log, uint64_t value, dv_identity_tokens *out)
{
    out->count = 0;
    out->blocks = log->blocks;
    for (size_t i = 0; i < log->count; i++) {
        if (log->list[i].value == value || log->list[i].value == 0) {
            if (out->count == DV_IDENTITY_TOKENS_MAX) {
                return false;
            }
            out->tokens[out->count++] = (dv_catalogue_token){log->list[i].token};
        }
    }
    return true;
}

static bool read_and_find(kept *k, reading *r, const char *folder, dv_slice value,
                          dv_identity_tokens *out)
{
    uint64_t destroyed = dv_subjects_destroyed(r->subjects);
    if (k->destroyed != destroyed) {
        for (identities *log = k->logs; log != NULL; log = log->next) {
            forget(log);
        }
        k->destroyed = destroyed;
    }
    r->log = log_of(k, folder);
    return r->log != NULL && read_on(r) == DV_OK && find_in(r->log, hash_of(r->key, value), out);
}

bool dv_identities_find(dv_subjects *subjects, const char *folder, dv_slice value,
                        dv_identity_tokens *ret_tokens)
{
    enum { ARENA = 1 << 20, VALUE_MAX = 128 << 10 };
    kept *k = dv_subjects_keep(subjects, kept_make, kept_free);
    reading r = {.subjects = subjects, .value = dv_buf_init(VALUE_MAX)};
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    if (k == NULL || arena == NULL || dv_siphash_process_key(&r.key) != DV_OK) {
        return false;
    }
    r.arena = arena;
    pthread_mutex_lock(&k->lock);
    bool found = read_and_find(k, &r, folder, value, ret_tokens);
    pthread_mutex_unlock(&k->lock);
    dv_buf_wipe(&r.value);
    return found;
}
