/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/action/vault.h"

#include "base/codec.h"
#include "base/file.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file: a head (magic, 16 bytes that prove the key, two marks), then records: length of what is
 * sealed (u32), index of the value (16 bytes of a keyed hash), token (22), nonce (12), sealed,
 * CRC-32C. A mark says how far the file was committed (u64, and 16 bytes of a keyed hash of it); a
 * commit writes the older one of the two, so that one is whole at any time. */

enum {
    INDEX_LEN = 16,
    TAIL_LEN = DV_VAULT_TOKEN_LEN - 4,
    PROOF_LEN = 16,
    MARK_LEN = 8 + PROOF_LEN,
    MARKS_AT = 16 + PROOF_LEN,
    HEAD_LEN = MARKS_AT + 2 * MARK_LEN,
    FRONT_LEN = 4 + INDEX_LEN + TAIL_LEN + DV_AEAD_NONCE_LEN,
    RECORD_MAX = FRONT_LEN + DV_VAULT_VALUE_MAX + DV_AEAD_TAG_LEN + 4,
    SLOTS_START = 1024,
    WINDOW_LEN = 4 * RECORD_MAX,
};

static const char magic[16] = "dvara vault v2\n";

typedef struct entry {
    uint8_t index[INDEX_LEN];
    char token[TAIL_LEN];
    uint64_t offset; /* of its record; 0: a free slot */
} entry;

struct dv_vault {
    int fd;
    bool write;
    bool view;
    uint64_t most;      /* bytes, of a view */
    uint64_t size;      /* of the file */
    uint64_t end;       /* of the last record */
    uint64_t committed; /* what no crash takes any more; at most end */
    unsigned mark;      /* which of the two says so */
    dv_aead *aead;
    dv_hmac *hmac;                 /* of values */
    dv_hmac *proof;                /* of the head */
    entry *entries;                /* entry 0 is none */
    size_t count, room;            /* entries used, with entry 0 */
    uint32_t *by_index, *by_token; /* open addressing: numbers of entries; 0: free */
    size_t slots;                  /* of each; a power of two, half full at most */
    dv_buf record;
};

/* -- the tables -------------------------------------------------------------------------------- */

static uint64_t hash_of(const void *bytes)
{
    uint64_t hash; /* index and token are random or a keyed hash */
    memcpy(&hash, bytes, sizeof(hash));
    return (hash * UINT64_C(0x9E3779B97F4A7C15)) >> 20;
}

static uint32_t *slot_by_index(const dv_vault *v, const uint8_t *index)
{
    size_t at = hash_of(index) & (v->slots - 1);
    while (v->by_index[at] != 0 &&
           memcmp(v->entries[v->by_index[at]].index, index, INDEX_LEN) != 0) {
        at = (at + 1) & (v->slots - 1);
    }
    return &v->by_index[at];
}

static uint32_t *slot_by_token(const dv_vault *v, const char *token)
{
    size_t at = hash_of(token) & (v->slots - 1);
    while (v->by_token[at] != 0 &&
           memcmp(v->entries[v->by_token[at]].token, token, TAIL_LEN) != 0) {
        at = (at + 1) & (v->slots - 1);
    }
    return &v->by_token[at];
}

static dv_result grow_slots(dv_vault *v)
{
    size_t slots = v->slots == 0 ? SLOTS_START : v->slots * 2;
    uint32_t *by_index = calloc(slots, sizeof(*by_index));
    uint32_t *by_token = calloc(slots, sizeof(*by_token));
    if (by_index == NULL || by_token == NULL) {
        free(by_index);
        free(by_token);
        return DV_ERR_NO_MEMORY;
    }
    free(v->by_index);
    free(v->by_token);
    v->by_index = by_index;
    v->by_token = by_token;
    v->slots = slots;
    for (size_t i = 1; i < v->count; i++) {
        *slot_by_index(v, v->entries[i].index) = (uint32_t)i;
        *slot_by_token(v, v->entries[i].token) = (uint32_t)i;
    }
    return DV_OK;
}

static dv_result note(dv_vault *v, const entry *fresh)
{
    if (v->count > DV_VAULT_TOKENS_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    if (v->count == v->room) {
        size_t room = v->room == 0 ? SLOTS_START : v->room * 2;
        entry *entries = realloc(v->entries, room * sizeof(*entries));
        if (entries == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        v->entries = entries;
        v->room = room;
    }
    v->count = v->count == 0 ? 1 : v->count;
    if ((v->count + 1) * 2 > v->slots) {
        DV_TRY(grow_slots(v));
    }
    v->entries[v->count] = *fresh;
    *slot_by_index(v, fresh->index) = (uint32_t)v->count;
    *slot_by_token(v, fresh->token) = (uint32_t)v->count;
    v->count++;
    return DV_OK;
}

/* -- records ----------------------------------------------------------------------------------- */

static dv_result read_at(const dv_vault *v, uint64_t offset, uint8_t *out, size_t len)
{
    while (len > 0) {
        ssize_t got = pread(v->fd, out, len, (off_t)offset);
        if (got == 0) {
            return DV_ERR_NOT_FOUND; /* the file ends */
        }
        if (got < 0 && errno != EINTR) {
            return DV_ERR_IO;
        }
        if (got > 0) {
            out += got;
            len -= (size_t)got;
            offset += (uint64_t)got;
        }
    }
    return DV_OK;
}

static dv_result write_at(const dv_vault *v, uint64_t offset, dv_slice bytes)
{
    while (bytes.len > 0) {
        ssize_t written = pwrite(v->fd, bytes.ptr, bytes.len, (off_t)offset);
        if (written < 0 && errno != EINTR) {
            return DV_ERR_IO;
        }
        if (written > 0) {
            offset += (uint64_t)written;
            bytes = dv_slice_sub(bytes, (size_t)written, bytes.len);
        }
    }
    return DV_OK;
}

/* What lies ahead in the file, for many records in a row: two reads for each took most of the time
 * of opening a large vault. */
typedef struct window {
    uint8_t *bytes; /* WINDOW_LEN */
    uint64_t at;    /* in the file */
    size_t len;
} window;

static dv_result window_fill(const dv_vault *v, window *w, uint64_t offset)
{
    ssize_t got = -1;
    do {
        got = pread(v->fd, w->bytes, WINDOW_LEN, (off_t)offset);
    } while (got < 0 && errno == EINTR);
    w->at = offset;
    w->len = got < 0 ? 0 : (size_t)got;
    return got < 0 ? DV_ERR_IO : DV_OK;
}

/* read_at through the window. len: RECORD_MAX at most. */
static dv_result read_through(const dv_vault *v, window *w, uint64_t offset, uint8_t *out,
                              size_t len)
{
    bool within = offset >= w->at && offset - w->at <= w->len && len <= w->len - (offset - w->at);
    if (!within) {
        DV_TRY(window_fill(v, w, offset));
    }
    if (len > w->len - (offset - w->at)) {
        return read_at(v, offset, out, len); /* less than was asked for: the end, most likely */
    }
    memcpy(out, w->bytes + (offset - w->at), len);
    return DV_OK;
}

/* The whole record at offset into v->record. w: NULL reads it alone. Errors: DV_ERR_NOT_FOUND (the
 * file ends within it), DV_ERR_CORRUPT. */
static dv_result read_record(dv_vault *v, window *w, uint64_t offset)
{
    uint8_t len[4];
    DV_TRY(w != NULL ? read_through(v, w, offset, len, sizeof(len))
                     : read_at(v, offset, len, sizeof(len)));
    uint32_t sealed = dv_get_u32(len);
    if (sealed < DV_AEAD_TAG_LEN || sealed > DV_VAULT_VALUE_MAX + DV_AEAD_TAG_LEN) {
        return DV_ERR_CORRUPT;
    }
    size_t size = FRONT_LEN + (size_t)sealed + 4;
    DV_TRY(w != NULL ? read_through(v, w, offset, v->record.ptr, size)
                     : read_at(v, offset, v->record.ptr, size));
    v->record.len = size;
    return dv_crc32c(0, dv_slice_of(v->record.ptr, size - 4)) ==
                   dv_get_u32(v->record.ptr + size - 4)
               ? DV_OK
               : DV_ERR_CORRUPT;
}

static void entry_of(const dv_vault *v, uint64_t offset, entry *ret)
{
    memcpy(ret->index, v->record.ptr + 4, INDEX_LEN);
    memcpy(ret->token, v->record.ptr + 4 + INDEX_LEN, TAIL_LEN);
    ret->offset = offset;
}

/* Index and token, which the seal binds to the value. */
static dv_slice bound(const dv_vault *v)
{
    return dv_slice_of(v->record.ptr + 4, INDEX_LEN + TAIL_LEN);
}

/* Takes the records up to there. Errors: DV_ERR_NOT_FOUND or DV_ERR_CORRUPT where one is damaged or
 * reaches beyond. */
static dv_result take_records(dv_vault *v, uint64_t until)
{
    entry fresh;
    dv_auto(free) uint8_t *bytes = v->end < until ? malloc(WINDOW_LEN) : NULL;
    window w = {.bytes = bytes};
    if (v->end < until && bytes == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    while (v->end < until) {
        DV_TRY(read_record(v, &w, v->end));
        if (v->record.len > until - v->end) {
            return DV_ERR_CORRUPT;
        }
        entry_of(v, v->end, &fresh);
        DV_TRY(note(v, &fresh));
        v->end += v->record.len;
    }
    return DV_OK;
}

static bool is_damage(dv_result result)
{
    return result == DV_ERR_NOT_FOUND || result == DV_ERR_CORRUPT;
}

static dv_result load_failed(const dv_vault *v, dv_result result, const char *path, dv_error *error)
{
    return result == DV_OK ? DV_OK
                           : dv_error_set(error, result, "%s can't be read: %s at byte %llu", path,
                                          dv_result_name(result), (unsigned long long)v->end);
}

/* Up to what was committed every byte counts. */
static dv_result load_committed(dv_vault *v, const char *path, dv_error *error)
{
    if (v->view && v->size > v->most) {
        return dv_error_set(error, DV_ERR_TOO_LARGE,
                            "%s has %llu bytes, and %llu at most are served", path,
                            (unsigned long long)v->size, (unsigned long long)v->most);
    }
    if (v->size < v->committed) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "%s was cut short, %llu of its %llu bytes are there: take a copy of it "
                            "that is whole",
                            path, (unsigned long long)v->size, (unsigned long long)v->committed);
    }
    dv_result result = take_records(v, v->committed);
    return is_damage(result)
               ? dv_error_set(error, DV_ERR_CORRUPT,
                              "%s is damaged at byte %llu: take a copy of it that is whole", path,
                              (unsigned long long)v->end)
               : load_failed(v, result, path, error);
}

/* What a run that was cut off left behind the mark is kept as far as it is whole; nobody was told
 * that the rest was kept. */
static dv_result load(dv_vault *v, const char *path, dv_error *error)
{
    v->end = HEAD_LEN;
    DV_TRY(load_committed(v, path, error));
    if (v->view) {
        return DV_OK;
    }
    dv_result result = take_records(v, v->size);
    if (is_damage(result)) {
        result = v->write && ftruncate(v->fd, (off_t)v->end) != 0 ? DV_ERR_IO : DV_OK;
    }
    return load_failed(v, result, path, error);
}

/* -- opening ----------------------------------------------------------------------------------- */

static dv_result make_keys(dv_vault *v, const uint8_t *key)
{
    uint8_t derived[DV_AEAD_KEY_LEN + 2 * DV_HMAC_KEY_LEN];
    dv_result result = dv_hkdf(dv_slice_of(key, 32), (dv_slice){NULL, 0}, "dvara vault v2", derived,
                               sizeof(derived));
    if (result == DV_OK) {
        result = dv_aead_new(derived, &v->aead);
    }
    if (result == DV_OK) {
        result = dv_hmac_new(derived + DV_AEAD_KEY_LEN, &v->hmac);
    }
    if (result == DV_OK) {
        result = dv_hmac_new(derived + DV_AEAD_KEY_LEN + DV_HMAC_KEY_LEN, &v->proof);
    }
    dv_wipe(derived, sizeof(derived));
    return result;
}

static void make_mark(const dv_vault *v, uint64_t committed, uint8_t mark[MARK_LEN])
{
    uint8_t digest[DV_SHA256_LEN];
    dv_put_u64(mark, committed);
    dv_hmac_sign(v->proof, dv_slice_of(mark, 8), digest);
    memcpy(mark + 8, digest, PROOF_LEN);
}

/* What stands before the marks. */
static void make_head(const dv_vault *v, uint8_t head[MARKS_AT])
{
    uint8_t digest[DV_SHA256_LEN];
    memcpy(head, magic, sizeof(magic));
    dv_hmac_sign(v->proof, DV_LIT("head"), digest);
    memcpy(head + sizeof(magic), digest, PROOF_LEN);
}

/* A new one has its name for good before anything is put out that needs it. */
static dv_result begin(dv_vault *v, const char *path, dv_error *error)
{
    uint8_t head[HEAD_LEN] = {0};
    v->end = v->committed = HEAD_LEN;
    make_head(v, head);
    make_mark(v, HEAD_LEN, head + MARKS_AT);
    return write_at(v, 0, dv_slice_of(head, HEAD_LEN)) == DV_OK && fdatasync(v->fd) == 0 &&
                   dv_file_sync_folder(path) == DV_OK
               ? DV_OK
               : dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
}

static dv_result read_head(dv_vault *v, const char *path, dv_error *error)
{
    uint8_t expected[MARKS_AT], head[HEAD_LEN], mark[MARK_LEN];
    make_head(v, expected);
    dv_result result = read_at(v, 0, head, HEAD_LEN);
    if (result == DV_ERR_NOT_FOUND ||
        (result == DV_OK && memcmp(head, magic, sizeof(magic)) != 0)) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "%s is no vault, or its head was cut off: a new one is made where no "
                            "file is",
                            path);
    }
    DV_TRY(result);
    if (!dv_equal_constant_time(dv_slice_of(head, MARKS_AT), dv_slice_of(expected, MARKS_AT))) {
        return dv_error_set(error, DV_ERR_FORBIDDEN, "%s was made with another key", path);
    }
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *at = head + MARKS_AT + i * MARK_LEN;
        uint64_t committed = dv_get_u64(at);
        make_mark(v, committed, mark);
        if (dv_equal_constant_time(dv_slice_of(at, MARK_LEN), dv_slice_of(mark, MARK_LEN)) &&
            committed > v->committed) {
            v->committed = committed;
            v->mark = i;
        }
    }
    return v->committed >= HEAD_LEN
               ? DV_OK
               : dv_error_set(error, DV_ERR_CORRUPT,
                              "the head of %s is damaged: take a copy of it that is whole", path);
}

/* The file, locked. *ret_fresh: it was made; whoever opens it meanwhile finds it empty and leaves.
 */
static dv_result lock_file(dv_vault *v, const char *path, bool *ret_fresh, dv_error *error)
{
    enum { MODE = S_IRUSR | S_IWUSR, FLAGS = O_CLOEXEC | O_NOFOLLOW };
    v->fd = v->write ? open(path, O_RDWR | O_CREAT | O_EXCL | FLAGS, MODE) : -1;
    *ret_fresh = v->fd >= 0;
    if (!*ret_fresh) {
        v->fd = open(path, (v->write ? O_RDWR : O_RDONLY) | O_NONBLOCK | FLAGS);
    }
    if (v->fd < 0) {
        return dv_error_set(error, errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO, "%s: %s", path,
                            strerror(errno));
    }
    if (v->view) {
        return DV_OK;
    }
    return flock(v->fd, (v->write ? LOCK_EX : LOCK_SH) | (*ret_fresh ? 0 : LOCK_NB)) == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "%s is being used by another program", path);
}

/* How large it is, seen after its marks: what they count on is there by then. */
static dv_result look(dv_vault *v, struct stat *about, const char *path, dv_error *error)
{
    if (fstat(v->fd, about) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    v->size = (uint64_t)about->st_size;
    return DV_OK;
}

static dv_result open_file(dv_vault *v, const char *path, dv_error *error)
{
    bool fresh = false;
    struct stat about;
    DV_TRY(lock_file(v, path, &fresh, error));
    if (fstat(v->fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        return dv_error_set(error, DV_ERR_INVALID, "%s is no regular file", path);
    }
    if (fresh) {
        return begin(v, path, error);
    }
    DV_TRY(read_head(v, path, error));
    DV_TRY(look(v, &about, path, error));
    return load(v, path, error);
}

static dv_result open_vault(const dv_vault *how, const char *path, const uint8_t *key,
                            dv_vault **ret_vault, dv_error *error)
{
    dv_vault *vault = calloc(1, sizeof(*vault));
    if (vault == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *vault = *how;
    vault->fd = -1;
    vault->record = dv_buf_init(RECORD_MAX);
    dv_result result = dv_buf_reserve(&vault->record, RECORD_MAX);
    if (result == DV_OK) {
        result = make_keys(vault, key);
    }
    if (result == DV_OK) {
        result = grow_slots(vault);
    }
    if (result == DV_OK) {
        result = open_file(vault, path, error);
    }
    if (result != DV_OK) {
        dv_vault_free(vault);
        return result;
    }
    *ret_vault = vault;
    return DV_OK;
}

dv_result dv_vault_open(const char *path, const uint8_t key[32], bool write, dv_vault **ret_vault,
                        dv_error *error)
{
    const dv_vault how = {.write = write};
    return open_vault(&how, path, key, ret_vault, error);
}

dv_result dv_vault_view(const char *path, const uint8_t key[32], uint64_t most,
                        dv_vault **ret_vault, dv_error *error)
{
    const dv_vault how = {.view = true, .most = most};
    return open_vault(&how, path, key, ret_vault, error);
}

/* The last record that is known. Of an earlier copy that was put back in place and has grown
 * since, the mark is as late or later, and records of one length even lie where others lay. */
static bool still_holds_last(dv_vault *v)
{
    const entry *last = v->count > 1 ? &v->entries[v->count - 1] : NULL;
    return last == NULL || (read_record(v, NULL, last->offset) == DV_OK &&
                            memcmp(v->record.ptr + 4 + INDEX_LEN, last->token, TAIL_LEN) == 0);
}

dv_result dv_vault_refresh(dv_vault *v, const char *path, dv_error *error)
{
    struct stat there, about;
    uint64_t before = v->committed;
    if (lstat(path, &there) != 0 || fstat(v->fd, &about) != 0 || there.st_dev != about.st_dev ||
        there.st_ino != about.st_ino) {
        return DV_ERR_CONFLICT;
    }
    v->committed = 0;
    DV_TRY(read_head(v, path, error));
    DV_TRY(look(v, &about, path, error));
    return v->committed < before || !still_holds_last(v) ? DV_ERR_CONFLICT
                                                         : load_committed(v, path, error);
}

void dv_vault_free(dv_vault *vault)
{
    if (vault != NULL) {
        dv_fd_close(&vault->fd);
        dv_aead_free(vault->aead);
        dv_hmac_free(vault->hmac);
        dv_hmac_free(vault->proof);
        free(vault->entries);
        free(vault->by_index);
        free(vault->by_token);
        dv_buf_wipe(&vault->record);
        free(vault);
    }
}

/* -- tokens ------------------------------------------------------------------------------------ */

static dv_result append_token(const entry *of, dv_buf *out)
{
    DV_TRY(dv_buf_append_str(out, "dvt_"));
    return dv_buf_append(out, dv_slice_of(of->token, TAIL_LEN));
}

static dv_result write_record(dv_vault *v, const entry *fresh, dv_slice value)
{
    uint8_t *at = v->record.ptr;
    size_t sealed = value.len + DV_AEAD_TAG_LEN;
    uint8_t *nonce = at + 4 + INDEX_LEN + TAIL_LEN;
    dv_put_u32(at, (uint32_t)sealed);
    memcpy(at + 4, fresh->index, INDEX_LEN);
    memcpy(at + 4 + INDEX_LEN, fresh->token, TAIL_LEN);
    dv_random(nonce, DV_AEAD_NONCE_LEN);
    DV_TRY(dv_aead_seal(v->aead, nonce, bound(v), value, at + FRONT_LEN));
    dv_put_u32(at + FRONT_LEN + sealed, dv_crc32c(0, dv_slice_of(at, FRONT_LEN + sealed)));
    v->record.len = FRONT_LEN + sealed + 4;
    dv_result result = write_at(v, v->end, dv_buf_slice(&v->record));
    if (result != DV_OK && ftruncate(v->fd, (off_t)v->end) != 0) {
        v->write = false; /* half a record stands at the end: no more behind it */
    }
    return result;
}

dv_result dv_vault_token(dv_vault *v, dv_slice value, dv_buf *out)
{
    uint8_t digest[DV_SHA256_LEN];
    entry fresh = {.offset = v->end};
    if (value.len > DV_VAULT_VALUE_MAX) {
        return DV_ERR_INVALID;
    }
    dv_hmac_sign(v->hmac, value, digest);
    memcpy(fresh.index, digest, INDEX_LEN);
    uint32_t known = *slot_by_index(v, fresh.index);
    if (known != 0) {
        return append_token(&v->entries[known], out);
    }
    if (!v->write) {
        return DV_ERR_UNSUPPORTED;
    }
    dv_random_base62(fresh.token, TAIL_LEN);
    if (v->count > DV_VAULT_TOKENS_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(write_record(v, &fresh, value));
    v->end += v->record.len;
    DV_TRY(note(v, &fresh));
    return append_token(&fresh, out);
}

dv_result dv_vault_open_token(dv_vault *v, dv_slice token, dv_buf *out)
{
    if (token.len != DV_VAULT_TOKEN_LEN || !dv_vault_is_token(token, 0)) {
        return DV_ERR_NOT_FOUND;
    }
    uint32_t known = *slot_by_token(v, (const char *)token.ptr + 4);
    if (known == 0) {
        return DV_ERR_NOT_FOUND;
    }
    dv_result result = read_record(v, NULL, v->entries[known].offset);
    if (result == DV_ERR_NOT_FOUND) {
        return DV_ERR_CORRUPT;
    }
    DV_TRY(result);
    const uint8_t *at = v->record.ptr;
    if (memcmp(at + 4 + INDEX_LEN, token.ptr + 4, TAIL_LEN) != 0) {
        return DV_ERR_CORRUPT; /* another record stands there by now, as good as it may be */
    }
    size_t sealed = v->record.len - FRONT_LEN - 4;
    DV_TRY(dv_buf_reserve(out, sealed));
    DV_TRY(dv_aead_open(v->aead, at + 4 + INDEX_LEN + TAIL_LEN, bound(v),
                        dv_slice_of(at + FRONT_LEN, sealed), out->ptr + out->len));
    out->len += sealed - DV_AEAD_TAG_LEN;
    return DV_OK;
}

/* The records are on the disk before the mark that counts on them. */
static dv_result write_mark(dv_vault *v)
{
    uint8_t mark[MARK_LEN];
    uint64_t at = MARKS_AT + (uint64_t)(1 - v->mark) * MARK_LEN;
    if (fdatasync(v->fd) != 0) {
        return DV_ERR_IO;
    }
    make_mark(v, v->end, mark);
    DV_TRY(write_at(v, at, dv_slice_of(mark, MARK_LEN)));
    return fdatasync(v->fd) == 0 ? DV_OK : DV_ERR_IO;
}

dv_result dv_vault_commit(dv_vault *v, dv_error *error)
{
    if (!v->write || v->end == v->committed) {
        return DV_OK;
    }
    if (write_mark(v) != DV_OK) {
        return dv_error_set(error, DV_ERR_IO, "the vault can't be written: %s", strerror(errno));
    }
    v->committed = v->end;
    v->mark = 1 - v->mark;
    return DV_OK;
}

size_t dv_vault_count(const dv_vault *v)
{
    return v->count == 0 ? 0 : v->count - 1;
}

uint64_t dv_vault_bytes(const dv_vault *v)
{
    return v->size;
}

uint64_t dv_vault_committed(const dv_vault *v)
{
    return v->committed;
}

bool dv_vault_is_token(dv_slice text, size_t at)
{
    dv_slice part = dv_slice_sub(text, at, DV_VAULT_TOKEN_LEN);
    if (part.len != DV_VAULT_TOKEN_LEN || !dv_slice_starts_with(part, DV_LIT("dvt_"))) {
        return false;
    }
    return dv_base62_is(dv_slice_sub(part, 4, TAIL_LEN));
}
