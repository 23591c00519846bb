/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/action/vault_file.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "crypto/random.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS_START = 1024 };

static const char magic[16] = "dvara vault v2\n";

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
           memcmp(v->entries[v->by_index[at]].index, index, DV_VAULT_INDEX_LEN) != 0) {
        at = (at + 1) & (v->slots - 1);
    }
    return &v->by_index[at];
}

static uint32_t *slot_by_token(const dv_vault *v, const char *token)
{
    size_t at = hash_of(token) & (v->slots - 1);
    while (v->by_token[at] != 0 &&
           memcmp(v->entries[v->by_token[at]].token, token, DV_VAULT_TAIL_LEN) != 0) {
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

static dv_result note(dv_vault *v, const dv_vault_slot *fresh)
{
    if (v->count > DV_VAULT_TOKENS_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    if (v->count == v->room) {
        size_t room = v->room == 0 ? SLOTS_START : v->room * 2;
        dv_vault_slot *entries = realloc(v->entries, room * sizeof(*entries));
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

/* -- loading ----------------------------------------------------------------------------------- */

static void entry_of(const dv_vault *v, uint64_t offset, dv_vault_slot *ret)
{
    memcpy(ret->index, v->record.ptr + 4, DV_VAULT_INDEX_LEN);
    memcpy(ret->token, v->record.ptr + 4 + DV_VAULT_INDEX_LEN, DV_VAULT_TAIL_LEN);
    ret->offset = offset;
}

/* What v->record is: an entry, or a note. */
static dv_result take_record(dv_vault *v)
{
    dv_vault_slot fresh;
    dv_vault_kind kind = dv_vault_record_kind(v);
    if (kind == DV_VAULT_NOTE) {
        return dv_vault_note_read(v);
    }
    entry_of(v, v->end, &fresh);
    DV_TRY(note(v, &fresh));
    v->untimed += kind == DV_VAULT_UNTIMED;
    v->last_timed = kind == DV_VAULT_TIMED ? v->end : v->last_timed;
    return DV_OK;
}

/* Takes the records up to there. Errors: DV_ERR_NOT_FOUND or DV_ERR_CORRUPT where one is damaged or
 * reaches beyond. */
static dv_result take_records(dv_vault *v, uint64_t until)
{
    dv_auto(free) uint8_t *bytes = v->end < until ? malloc(DV_VAULT_WINDOW_LEN) : NULL;
    dv_vault_window w = {.bytes = bytes};
    if (v->end < until && bytes == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    while (v->end < until) {
        DV_TRY(dv_vault_record_read(v, &w, v->end));
        if (v->record.len > until - v->end) {
            return DV_ERR_CORRUPT;
        }
        size_t len = v->record.len;
        DV_TRY(take_record(v));
        v->end += len;
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
    v->end = DV_VAULT_HEAD_LEN;
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

static void make_mark(const dv_vault *v, uint64_t committed, uint8_t mark[DV_VAULT_MARK_LEN])
{
    uint8_t digest[DV_SHA256_LEN];
    dv_put_u64(mark, committed);
    dv_hmac_sign(v->proof, dv_slice_of(mark, 8), digest);
    memcpy(mark + 8, digest, DV_VAULT_PROOF_LEN);
}

/* What stands before the marks. */
static void make_head(const dv_vault *v, uint8_t head[DV_VAULT_MARKS_AT])
{
    uint8_t digest[DV_SHA256_LEN];
    memcpy(head, magic, sizeof(magic));
    dv_hmac_sign(v->proof, DV_LIT("head"), digest);
    memcpy(head + sizeof(magic), digest, DV_VAULT_PROOF_LEN);
}

void dv_vault_head_make(const dv_vault *v, uint64_t committed, uint8_t head[DV_VAULT_HEAD_LEN])
{
    memset(head, 0, DV_VAULT_HEAD_LEN);
    make_head(v, head);
    make_mark(v, committed, head + DV_VAULT_MARKS_AT);
}

/* A new one has its name for good before anything is put out that needs it. */
static dv_result begin(dv_vault *v, const char *path, dv_error *error)
{
    uint8_t head[DV_VAULT_HEAD_LEN];
    v->end = v->committed = DV_VAULT_HEAD_LEN;
    dv_vault_head_make(v, DV_VAULT_HEAD_LEN, head);
    return dv_vault_write_at(v, 0, dv_slice_of(head, DV_VAULT_HEAD_LEN)) == DV_OK &&
                   fdatasync(v->fd) == 0 && dv_file_sync_folder(path) == DV_OK
               ? DV_OK
               : dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
}

static dv_result read_head(dv_vault *v, const char *path, dv_error *error)
{
    uint8_t expected[DV_VAULT_MARKS_AT], head[DV_VAULT_HEAD_LEN], mark[DV_VAULT_MARK_LEN];
    make_head(v, expected);
    dv_result result = dv_vault_read_at(v, 0, head, DV_VAULT_HEAD_LEN);
    if (result == DV_ERR_NOT_FOUND ||
        (result == DV_OK && memcmp(head, magic, sizeof(magic)) != 0)) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "%s is no vault, or its head was cut off: a new one is made where no "
                            "file is",
                            path);
    }
    DV_TRY(result);
    if (!dv_equal_constant_time(dv_slice_of(head, DV_VAULT_MARKS_AT),
                                dv_slice_of(expected, DV_VAULT_MARKS_AT))) {
        return dv_error_set(error, DV_ERR_FORBIDDEN, "%s was made with another key", path);
    }
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *at = head + DV_VAULT_MARKS_AT + i * DV_VAULT_MARK_LEN;
        uint64_t committed = dv_get_u64(at);
        make_mark(v, committed, mark);
        if (dv_equal_constant_time(dv_slice_of(at, DV_VAULT_MARK_LEN),
                                   dv_slice_of(mark, DV_VAULT_MARK_LEN)) &&
            committed > v->committed) {
            v->committed = committed;
            v->mark = i;
        }
    }
    return v->committed >= DV_VAULT_HEAD_LEN
               ? DV_OK
               : dv_error_set(error, DV_ERR_CORRUPT,
                              "the head of %s is damaged: take a copy of it that is whole", path);
}

/* Whether the file still has that name: one that was written anew between the opening and the lock
 * lies there no more, and what was added to it would be lost. */
bool dv_vault_is_at(int fd, const char *path)
{
    struct stat there, about;
    return lstat(path, &there) == 0 && fstat(fd, &about) == 0 && there.st_dev == about.st_dev &&
           there.st_ino == about.st_ino;
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
    return flock(v->fd, (v->write ? LOCK_EX : LOCK_SH) | (*ret_fresh ? 0 : LOCK_NB)) == 0 &&
                   dv_vault_is_at(v->fd, path)
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

/* Nothing is older than what lies before it, whatever the clock says: an entry is kept too long
 * rather than too short. */
static dv_result find_newest(dv_vault *v)
{
    dv_auto(secret_buf) dv_buf value = dv_buf_init(DV_VAULT_SEALED_MAX);
    dv_time made = 0;
    if (v->last_timed != 0) {
        DV_TRY(dv_vault_record_read(v, NULL, v->last_timed));
        DV_TRY(dv_vault_record_open(v, &value, &made));
    }
    v->newest = DV_MAX(made, v->since);
    return DV_OK;
}

static dv_time now_for(const dv_vault *v)
{
    dv_time now = v->now != 0 ? v->now : dv_time_now();
    return DV_MAX(DV_MAX(now, v->newest), 1);
}

/* What an interrupted rewriting left goes. Entries of a Dvara that kept no times count from now on,
 * once that is committed. */
static dv_result begin_writing(dv_vault *v, const char *path, dv_error *error)
{
    dv_vault_rewrite_forget(v);
    DV_TRY(dv_vault_rewrite_settle(v, error));
    dv_result result = find_newest(v);
    if (is_damage(result)) {
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "%s is damaged at byte %llu: take a copy of it that is whole", path,
                            (unsigned long long)v->last_timed);
    }
    if (v->untimed > 0 && v->since == 0) {
        struct stat about; /* a clock that is behind makes nothing older than the file */
        bool known = fstat(v->fd, &about) == 0;
        dv_time written = known ? about.st_mtim.tv_sec * DV_SECOND + about.st_mtim.tv_nsec : 0;
        v->since = DV_MAX(now_for(v), written);
        v->since_waits = true;
    }
    return load_failed(v, result, path, error);
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
    DV_TRY(load(v, path, error));
    return v->write ? begin_writing(v, path, error) : DV_OK;
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
    vault->path = strdup(path);
    vault->record = dv_buf_init(DV_VAULT_RECORD_MAX);
    dv_result result = vault->path == NULL ? DV_ERR_NO_MEMORY
                                           : dv_buf_reserve(&vault->record, DV_VAULT_RECORD_MAX);
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
    const dv_vault_slot *last = v->count > 1 ? &v->entries[v->count - 1] : NULL;
    return last == NULL ||
           (dv_vault_record_read(v, NULL, last->offset) == DV_OK &&
            memcmp(v->record.ptr + 4 + DV_VAULT_INDEX_LEN, last->token, DV_VAULT_TAIL_LEN) == 0);
}

dv_result dv_vault_refresh(dv_vault *v, const char *path, dv_error *error)
{
    struct stat about;
    uint64_t before = v->committed;
    if (!dv_vault_is_at(v->fd, path)) {
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
        dv_vault_rewrite_drop(vault);
        dv_fd_close(&vault->fd);
        free(vault->path);
        dv_aead_free(vault->aead);
        dv_hmac_free(vault->hmac);
        dv_hmac_free(vault->proof);
        free(vault->entries);
        free(vault->by_index);
        free(vault->by_token);
        free(vault->removals);
        dv_buf_wipe(&vault->record);
        free(vault);
    }
}

/* -- tokens ------------------------------------------------------------------------------------ */

static dv_result append_token(const dv_vault_slot *of, dv_buf *out)
{
    DV_TRY(dv_buf_append_str(out, "dvt_"));
    return dv_buf_append(out, dv_slice_of(of->token, DV_VAULT_TAIL_LEN));
}

/* Its time and the value are sealed together. */
static dv_result write_record(dv_vault *v, const dv_vault_slot *fresh, dv_slice value)
{
    dv_auto(secret_buf) dv_buf plain = dv_buf_init(DV_VAULT_SEALED_MAX);
    uint8_t made[DV_VAULT_MADE_LEN];
    dv_time now = now_for(v);
    dv_put_u64(made, (uint64_t)now);
    DV_TRY(dv_buf_append(&plain, dv_slice_of(made, sizeof(made))));
    DV_TRY(dv_buf_append(&plain, value));
    DV_TRY(dv_vault_record_make(v, DV_VAULT_TIMED, fresh, dv_buf_slice(&plain)));
    DV_TRY(dv_vault_record_append(v));
    v->newest = now;
    v->last_timed = fresh->offset;
    return DV_OK;
}

static void digest_of(const dv_vault *v, dv_slice value, uint8_t index[DV_VAULT_INDEX_LEN])
{
    uint8_t digest[DV_SHA256_LEN];
    dv_hmac_sign(v->hmac, value, digest);
    memcpy(index, digest, DV_VAULT_INDEX_LEN);
}

dv_result dv_vault_known(const dv_vault *v, dv_slice value, dv_buf *out)
{
    uint8_t index[DV_VAULT_INDEX_LEN];
    digest_of(v, value, index);
    uint32_t known = *slot_by_index(v, index);
    return known != 0 ? append_token(&v->entries[known], out) : DV_ERR_NOT_FOUND;
}

dv_result dv_vault_token(dv_vault *v, dv_slice value, dv_buf *out)
{
    dv_vault_slot fresh = {.offset = v->end};
    if (value.len > DV_VAULT_VALUE_MAX) {
        return DV_ERR_INVALID;
    }
    digest_of(v, value, fresh.index);
    uint32_t known = *slot_by_index(v, fresh.index);
    if (known != 0) {
        return append_token(&v->entries[known], out);
    }
    if (!v->write) {
        return DV_ERR_UNSUPPORTED;
    }
    dv_random_base62(fresh.token, DV_VAULT_TAIL_LEN);
    if (v->count > DV_VAULT_TOKENS_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(write_record(v, &fresh, value));
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
    dv_result result = dv_vault_record_read(v, NULL, v->entries[known].offset);
    dv_time unused = 0;
    if (result == DV_ERR_NOT_FOUND) {
        return DV_ERR_CORRUPT;
    }
    DV_TRY(result);
    const uint8_t *at = v->record.ptr;
    if (memcmp(at + 4 + DV_VAULT_INDEX_LEN, token.ptr + 4, DV_VAULT_TAIL_LEN) != 0) {
        return DV_ERR_CORRUPT; /* another record stands there by now, as good as it may be */
    }
    return dv_vault_record_open(v, out, &unused);
}

/* The records are on the disk before the mark that counts on them. */
static dv_result write_mark(dv_vault *v)
{
    uint8_t mark[DV_VAULT_MARK_LEN];
    uint64_t at = DV_VAULT_MARKS_AT + (uint64_t)(1 - v->mark) * DV_VAULT_MARK_LEN;
    if (fdatasync(v->fd) != 0) {
        return DV_ERR_IO;
    }
    make_mark(v, v->end, mark);
    DV_TRY(dv_vault_write_at(v, at, dv_slice_of(mark, DV_VAULT_MARK_LEN)));
    return fdatasync(v->fd) == 0 ? DV_OK : DV_ERR_IO;
}

dv_result dv_vault_commit(dv_vault *v, dv_error *error)
{
    if (!v->write || (v->end == v->committed && !v->since_waits)) {
        return DV_OK;
    }
    dv_result result = v->since_waits ? dv_vault_note_since(v, v->since) : DV_OK;
    result = result == DV_OK ? write_mark(v) : result;
    if (result != DV_OK) {
        return dv_error_set(error, DV_ERR_IO, "the vault can't be written: %s", strerror(errno));
    }
    v->since_waits = false;
    v->committed = v->end;
    v->mark = 1 - v->mark;
    return DV_OK;
}

void dv_vault_set_now(dv_vault *v, dv_time now)
{
    v->now = now;
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
    return dv_base62_is(dv_slice_sub(part, 4, DV_VAULT_TAIL_LEN));
}
