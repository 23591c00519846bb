/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/subjects.h"

#include "base/caps.h"
#include "base/codec.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/short_hash.h"
#include "crypto/siv.h"
#include "engine/log/subjects_file.h"

#include <pthread.h>

/* Rows by a part of theirs: open addressing. A slot is a row's index plus one. */
typedef struct row_index {
    uint32_t *slots;
    size_t mask;
    size_t taken;  /* slots that are not free, removed ones too */
    size_t offset; /* of the part in the row */
    size_t len;
} row_index;

enum {
    INDEX_FIRST = 1024, /* slots */
    CIPHERS = 4096,     /* a kilobyte each */
    VALUES = 4096,
    VALUE_ROOM = 244,
    ID_TEXT = DV_SUBJECT_ID_TEXT,
};
static const uint32_t removed = UINT32_MAX;
static const char prefix[] = DV_SEALED_MARK;
enum { PREFIX_LEN = sizeof(prefix) - 1 };
static const char key_purpose[] = "dvara subject value v1";

/* A value that was sealed a moment ago: names and addresses come again and again. */
typedef struct cached_value {
    uint32_t key; /* plus one; 0: none */
    uint16_t value_len, sealed_len;
    uint8_t bytes[VALUE_ROOM]; /* value, then sealed with its quotes */
} cached_value;

typedef struct cached_cipher {
    uint32_t key; /* plus one */
    dv_siv *siv;
} cached_cipher;

struct dv_subjects {
    pthread_mutex_t lock;
    dv_subject_table table;
    row_index by_hash, by_id;
    uint64_t count;
    cached_cipher ciphers[CIPHERS];
    cached_value sealed[VALUES]; /* by value */
    cached_value opened[VALUES]; /* by sealed text */
    uint64_t destroyed;
    void *kept; /* another's, with what frees it */
    void (*release)(void *kept);
};

void dv_subjects_lock(dv_subjects *subjects)
{
    pthread_mutex_lock(&subjects->lock);
}

void dv_subjects_unlock(dv_subjects *subjects)
{
    pthread_mutex_unlock(&subjects->lock);
}

/* -- indexes ----------------------------------------------------------------------------------- */

/* Both parts are as good as random: one is a keyed hash, the other was drawn. */
static size_t slot_of(const row_index *index, const uint8_t *part)
{
    return (size_t)dv_get_u64(part) & index->mask;
}

static const uint8_t *part_of(const dv_subjects *subjects, const row_index *index, uint32_t slot)
{
    return (const uint8_t *)dv_subject_table_row(&subjects->table, slot - 1) + index->offset;
}

/* The slot that holds the row, or the free one where it would stand. */
static uint32_t *index_find(const dv_subjects *subjects, const row_index *index,
                            const uint8_t *part)
{
    size_t at = slot_of(index, part);
    while (index->slots[at] != 0 &&
           (index->slots[at] == removed ||
            memcmp(part_of(subjects, index, index->slots[at]), part, index->len) != 0)) {
        at = (at + 1) & index->mask;
    }
    return &index->slots[at];
}

static dv_result index_make(row_index *index, size_t slots)
{
    uint32_t *made = calloc(slots, sizeof(*made));
    if (made == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    index->slots = made;
    index->mask = slots - 1;
    index->taken = 0;
    return DV_OK;
}

/* A row that is not in it: no other one has to be looked at. */
static void index_add(row_index *index, const uint8_t *part, uint32_t slot)
{
    size_t at = slot_of(index, part);
    while (index->slots[at] != 0) {
        at = (at + 1) & index->mask;
    }
    index->slots[at] = slot;
    index->taken++;
}

/* Makes it anew, large enough, from the rows in their order. */
static dv_result index_grow(const dv_subjects *subjects, row_index *index)
{
    const dv_subject_table *table = &subjects->table;
    uint32_t *old = index->slots;
    size_t wanted = INDEX_FIRST;
    while (wanted < 2 * (size_t)subjects->count + 2) {
        wanted *= 2;
    }
    DV_TRY(index_make(index, wanted));
    for (uint32_t i = 0; i < table->count * DV_SUBJECT_ROWS; i++) {
        const dv_subject_row *row = dv_subject_table_row(table, i);
        if (row != NULL) {
            index_add(index, (const uint8_t *)row + index->offset, i + 1);
        }
    }
    free(old);
    return DV_OK;
}

static dv_result index_reserve(const dv_subjects *subjects, row_index *index)
{
    bool full = index->slots == NULL || (index->taken + 1) * 4 > (index->mask + 1) * 3;
    return full ? index_grow(subjects, index) : DV_OK;
}

static dv_result index_rows(dv_subjects *subjects)
{
    const dv_subject_table *table = &subjects->table;
    for (uint32_t i = 0; i < table->count; i++) {
        subjects->count += table->segments[i].rows == NULL ? 0 : table->segments[i].live;
    }
    DV_TRY(index_grow(subjects, &subjects->by_hash));
    return index_grow(subjects, &subjects->by_id);
}

/* -- opening ----------------------------------------------------------------------------------- */

static void forget_values(dv_subjects *subjects)
{
    for (size_t i = 0; i < CIPHERS; i++) {
        if (subjects->ciphers[i].siv != NULL) {
            dv_siv_free(subjects->ciphers[i].siv);
        }
    }
    memset(subjects->ciphers, 0, sizeof(subjects->ciphers));
    dv_wipe(subjects->sealed, sizeof(subjects->sealed));
    dv_wipe(subjects->opened, sizeof(subjects->opened));
}

dv_result dv_subjects_open(const char *folder, dv_subjects **ret_subjects, dv_error *error)
{
    dv_subjects *subjects = calloc(1, sizeof(*subjects));
    if (subjects == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    pthread_mutex_init(&subjects->lock, NULL);
    subjects->by_hash =
        (row_index){.offset = offsetof(dv_subject_row, hash), .len = DV_SUBJECT_HASH_LEN};
    subjects->by_id = (row_index){.offset = offsetof(dv_subject_row, id), .len = DV_SUBJECT_ID_LEN};
    dv_result result = dv_subject_table_open(folder, &subjects->table, error);
    if (result == DV_OK) {
        result = index_rows(subjects);
    }
    if (result != DV_OK) {
        dv_subjects_close(subjects);
        return result;
    }
    *ret_subjects = subjects;
    return DV_OK;
}

void dv_subjects_close(dv_subjects *subjects)
{
    if (subjects != NULL) {
        if (subjects->kept != NULL) {
            subjects->release(subjects->kept);
        }
        forget_values(subjects);
        free(subjects->by_hash.slots);
        free(subjects->by_id.slots);
        dv_subject_table_release(&subjects->table);
        pthread_mutex_destroy(&subjects->lock);
        free(subjects);
    }
}

dv_result dv_subjects_store(dv_subjects *subjects, dv_error *error)
{
    dv_subjects_lock(subjects);
    dv_result result = dv_subject_table_store(&subjects->table, error);
    dv_subjects_unlock(subjects);
    return result;
}

uint64_t dv_subjects_destroyed(dv_subjects *subjects)
{
    dv_subjects_lock(subjects);
    uint64_t destroyed = subjects->destroyed;
    dv_subjects_unlock(subjects);
    return destroyed;
}

void *dv_subjects_keep(dv_subjects *subjects, void *(*make)(void), void (*release)(void *kept))
{
    dv_subjects_lock(subjects);
    if (subjects->kept == NULL) {
        subjects->kept = make();
        subjects->release = release;
    }
    void *kept = subjects->kept;
    dv_subjects_unlock(subjects);
    return kept;
}

uint64_t dv_subjects_count(dv_subjects *subjects)
{
    dv_subjects_lock(subjects);
    uint64_t count = subjects->count;
    dv_subjects_unlock(subjects);
    return count;
}

uint64_t dv_subjects_seen(dv_subjects *subjects)
{
    dv_subjects_lock(subjects);
    uint64_t seen = subjects->table.seen;
    dv_subjects_unlock(subjects);
    return seen;
}

void dv_subjects_set_seen(dv_subjects *subjects, uint64_t entries)
{
    dv_subjects_lock(subjects);
    if (!subjects->table.rekey) { /* what is not destroyed on disk is not done */
        subjects->table.seen = entries;
    }
    dv_subjects_unlock(subjects);
}

/* -- keys -------------------------------------------------------------------------------------- */

static dv_result hash_subject(const dv_subjects *subjects, dv_slice subject,
                              uint8_t out[DV_SUBJECT_HASH_LEN])
{
    if (subject.len == 0 || subject.len > DV_SUBJECT_TEXT_MAX) {
        return DV_ERR_INVALID;
    }
    dv_short_hash(subjects->table.hash_key, subject, out);
    return DV_OK;
}

static dv_result make_key(dv_subjects *subjects, const uint8_t *hash, uint32_t *ret_key)
{
    dv_subject_row row;
    uint32_t index;
    DV_TRY(index_reserve(subjects, &subjects->by_hash));
    DV_TRY(index_reserve(subjects, &subjects->by_id));
    do {
        dv_random(&row, sizeof(row)); /* id and key at once */
    } while (dv_get_u64(row.id) == 0 || *index_find(subjects, &subjects->by_id, row.id) != 0);
    memcpy(row.hash, hash, sizeof(row.hash));
    dv_result result = dv_subject_table_add(&subjects->table, &row, &index);
    dv_wipe(&row, sizeof(row));
    DV_TRY(result);
    index_add(&subjects->by_hash, hash, index + 1);
    index_add(&subjects->by_id, dv_subject_table_row(&subjects->table, index)->id, index + 1);
    subjects->count++;
    *ret_key = index;
    return DV_OK;
}

dv_result dv_subjects_key(dv_subjects *subjects, dv_slice subject, uint32_t *ret_key)
{
    uint8_t hash[DV_SUBJECT_HASH_LEN];
    DV_TRY(hash_subject(subjects, subject, hash));
    uint32_t slot = *index_find(subjects, &subjects->by_hash, hash);
    if (slot == 0) {
        return make_key(subjects, hash, ret_key);
    }
    *ret_key = slot - 1;
    return DV_OK;
}

dv_result dv_subjects_key_known(dv_subjects *subjects, dv_slice subject, uint32_t *ret_key)
{
    uint8_t hash[DV_SUBJECT_HASH_LEN];
    DV_TRY(hash_subject(subjects, subject, hash));
    uint32_t slot = *index_find(subjects, &subjects->by_hash, hash);
    if (slot == 0) {
        return DV_ERR_NOT_FOUND;
    }
    *ret_key = slot - 1;
    return DV_OK;
}

/* base64url of 8 bytes: 10 digits of 6 bits and one of 4. */
static void id_format(const uint8_t id[DV_SUBJECT_ID_LEN], char out[ID_TEXT + 1])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t value = 0;
    for (int i = 0; i < DV_SUBJECT_ID_LEN; i++) {
        value = value << 8 | id[i];
    }
    for (int i = 0; i < ID_TEXT - 1; i++) {
        out[i] = digits[value >> (58 - 6 * i) & 63];
    }
    out[ID_TEXT - 1] = digits[value << 2 & 63];
    out[ID_TEXT] = '\0';
}

static bool id_parse(dv_slice text, uint8_t out[DV_SUBJECT_ID_LEN])
{
    uint8_t room[16];
    dv_buf bytes = {room, 0, sizeof(room), sizeof(room)}; /* never grows: 11 digits are 8 bytes */
    if (text.len != ID_TEXT || dv_base64url_decode(text, &bytes) != DV_OK ||
        bytes.len != DV_SUBJECT_ID_LEN) {
        return false;
    }
    memcpy(out, room, DV_SUBJECT_ID_LEN);
    return true;
}

/* The row of an id; NULL: it is destroyed, or was never here. */
static dv_subject_row *row_of_id(const dv_subjects *subjects, const uint8_t *id, uint32_t *ret_key)
{
    uint32_t slot = *index_find(subjects, &subjects->by_id, id);
    if (slot == 0) {
        return NULL;
    }
    *ret_key = slot - 1;
    return dv_subject_table_row(&subjects->table, slot - 1);
}

dv_result dv_subjects_find(dv_subjects *subjects, dv_slice subject,
                           char ret_id[DV_SUBJECT_ID_TEXT + 1])
{
    uint8_t hash[DV_SUBJECT_HASH_LEN];
    DV_TRY(hash_subject(subjects, subject, hash));
    dv_subjects_lock(subjects);
    uint32_t slot = *index_find(subjects, &subjects->by_hash, hash);
    if (slot != 0) {
        id_format(dv_subject_table_row(&subjects->table, slot - 1)->id, ret_id);
    }
    dv_subjects_unlock(subjects);
    return slot != 0 ? DV_OK : DV_ERR_NOT_FOUND;
}

static void erase_id(dv_subjects *subjects, dv_slice text)
{
    uint8_t id[DV_SUBJECT_ID_LEN];
    uint32_t key;
    if (!id_parse(text, id)) {
        return;
    }
    const dv_subject_row *row = row_of_id(subjects, id, &key);
    if (row != NULL) {
        *index_find(subjects, &subjects->by_hash, row->hash) = removed;
        *index_find(subjects, &subjects->by_id, id) = removed;
        dv_subject_table_erase(&subjects->table, key);
        subjects->count--;
    }
}

dv_result dv_subjects_destroy(dv_subjects *subjects, const dv_slice *ids, size_t count,
                              dv_error *error)
{
    dv_subjects_lock(subjects);
    for (size_t i = 0; i < count; i++) {
        erase_id(subjects, ids[i]);
    }
    forget_values(subjects);
    subjects->destroyed++;
    dv_result result = dv_subject_table_store(&subjects->table, error);
    dv_subjects_unlock(subjects);
    return result;
}

/* -- sealing ----------------------------------------------------------------------------------- */

static dv_result cipher_make(const dv_subjects *subjects, const uint32_t *keys, size_t count,
                             dv_siv **ret_siv)
{
    uint8_t joined[DV_SUBJECTS_OF_VALUE_MAX * DV_SUBJECT_KEY_LEN], key[DV_SIV_KEY_LEN];
    for (size_t i = 0; i < count; i++) {
        memcpy(joined + i * DV_SUBJECT_KEY_LEN,
               dv_subject_table_row(&subjects->table, keys[i])->key, DV_SUBJECT_KEY_LEN);
    }
    dv_result result = dv_hkdf(dv_slice_of(joined, count * DV_SUBJECT_KEY_LEN), (dv_slice){NULL, 0},
                               key_purpose, key, sizeof(key));
    if (result == DV_OK) {
        result = dv_siv_new(key, ret_siv);
    }
    dv_wipe(joined, sizeof(joined));
    dv_wipe(key, sizeof(key));
    return result;
}

/* Of one key: kept for the next value. */
static dv_result cipher_of(dv_subjects *subjects, uint32_t key, dv_siv **ret_siv)
{
    cached_cipher *cached = &subjects->ciphers[key % CIPHERS];
    if (cached->key != key + 1) {
        dv_siv *siv = NULL;
        DV_TRY(cipher_make(subjects, &key, 1, &siv));
        if (cached->siv != NULL) {
            dv_siv_free(cached->siv);
        }
        *cached = (cached_cipher){key + 1, siv};
    }
    *ret_siv = cached->siv;
    return DV_OK;
}

typedef dv_result (*cipher_work)(dv_siv *siv, dv_slice associated, dv_slice in, uint8_t *out);

static dv_result with_cipher(dv_subjects *subjects, const uint32_t *keys, size_t count,
                             cipher_work work, dv_slice in, uint8_t *out)
{
    dv_siv *siv = NULL;
    if (count == 1) {
        DV_TRY(cipher_of(subjects, keys[0], &siv));
        return work(siv, (dv_slice){NULL, 0}, in, out);
    }
    DV_TRY(cipher_make(subjects, keys, count, &siv));
    dv_result result = work(siv, (dv_slice){NULL, 0}, in, out);
    dv_siv_free(siv);
    return result;
}

size_t dv_subjects_sealed_len(size_t count, size_t value_len)
{
    size_t bytes = value_len + DV_SIV_OVERHEAD;
    return 2 + PREFIX_LEN + count * (ID_TEXT + 1) + (bytes * 4 + 2) / 3;
}

static dv_result append_ids(const dv_subjects *subjects, const uint32_t *keys, size_t count,
                            dv_buf *out)
{
    char id[ID_TEXT + 1];
    for (size_t i = 0; i < count; i++) {
        id_format(dv_subject_table_row(&subjects->table, keys[i])->id, id);
        DV_TRY(dv_buf_append(out, dv_slice_of(id, ID_TEXT)));
        DV_TRY(dv_buf_append_byte(out, i + 1 < count ? '~' : '.'));
    }
    return DV_OK;
}

static dv_result append_sealed(dv_subjects *subjects, const uint32_t *keys, size_t count,
                               dv_slice value, dv_buf *out)
{
    uint8_t room[512];
    dv_auto(free) uint8_t *large = NULL;
    uint8_t *bytes = room;
    if (value.len + DV_SIV_OVERHEAD > sizeof(room)) {
        large = malloc(value.len + DV_SIV_OVERHEAD);
        bytes = large;
    }
    if (bytes == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(with_cipher(subjects, keys, count, dv_siv_seal, value, bytes));
    DV_TRY(dv_buf_reserve(out, dv_subjects_sealed_len(count, value.len)));
    DV_TRY(dv_buf_append_byte(out, '"'));
    DV_TRY(dv_buf_append(out, dv_slice_of(prefix, PREFIX_LEN)));
    DV_TRY(append_ids(subjects, keys, count, out));
    DV_TRY(dv_base64url_encode(dv_slice_of(bytes, value.len + DV_SIV_OVERHEAD), out));
    return dv_buf_append_byte(out, '"');
}

/* Whoever makes texts that meet here only makes this slower. */
static size_t cache_place(uint32_t key, dv_slice value)
{
    uint64_t hash = key + value.len * 0x9e3779b97f4a7c15u, word;
    size_t at = 0;
    for (; at + sizeof(word) <= value.len; at += sizeof(word)) {
        memcpy(&word, value.ptr + at, sizeof(word));
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    for (; at < value.len; at++) {
        hash = (hash ^ value.ptr[at]) * 0xff51afd7ed558ccdu;
    }
    return (hash ^ hash >> 32) % VALUES;
}

static void cache_fill(cached_value *cached, uint32_t key, dv_slice value, dv_slice sealed)
{
    if (value.len + sealed.len > VALUE_ROOM) {
        return;
    }
    cached->key = key + 1;
    cached->value_len = (uint16_t)value.len;
    cached->sealed_len = (uint16_t)sealed.len;
    memcpy(cached->bytes, value.ptr, value.len);
    memcpy(cached->bytes + value.len, sealed.ptr, sealed.len);
}

dv_result dv_subjects_seal(dv_subjects *subjects, const uint32_t *keys, size_t count,
                           dv_slice value, dv_buf *out)
{
    size_t begin = out->len;
    if (count != 1) {
        return append_sealed(subjects, keys, count, value, out);
    }
    cached_value *cached = &subjects->sealed[cache_place(keys[0], value)];
    if (cached->key == keys[0] + 1 && cached->value_len == value.len &&
        memcmp(cached->bytes, value.ptr, value.len) == 0) {
        return dv_buf_append(out, dv_slice_of(cached->bytes + value.len, cached->sealed_len));
    }
    DV_TRY(append_sealed(subjects, keys, count, value, out));
    cache_fill(cached, keys[0], value, dv_slice_sub(dv_buf_slice(out), begin, out->len));
    return DV_OK;
}

/* -- unsealing --------------------------------------------------------------------------------- */

bool dv_subjects_is_sealed(dv_slice text)
{
    return text.len > PREFIX_LEN + ID_TEXT && memcmp(text.ptr, prefix, PREFIX_LEN) == 0;
}

/* Takes the ids off the front. */
static dv_result take_ids(const dv_subjects *subjects, dv_slice *rest, uint32_t *keys,
                          size_t *ret_count)
{
    uint8_t id[DV_SUBJECT_ID_LEN];
    size_t count = 0;
    bool gone = false;
    for (uint8_t mark = '~'; mark == '~'; count++) {
        if (count == DV_SUBJECTS_OF_VALUE_MAX || rest->len <= ID_TEXT ||
            !id_parse(dv_slice_sub(*rest, 0, ID_TEXT), id)) {
            return DV_ERR_INVALID;
        }
        gone = row_of_id(subjects, id, &keys[count]) == NULL || gone;
        mark = rest->ptr[ID_TEXT];
        if (mark != '~' && mark != '.') {
            return DV_ERR_INVALID;
        }
        *rest = dv_slice_sub(*rest, ID_TEXT + 1, rest->len);
    }
    *ret_count = count;
    return gone ? DV_ERR_NOT_FOUND : DV_OK;
}

static dv_result unseal(dv_subjects *subjects, dv_slice text, dv_buf *out)
{
    uint32_t keys[DV_SUBJECTS_OF_VALUE_MAX];
    size_t count;
    dv_slice rest = dv_slice_sub(text, PREFIX_LEN, text.len);
    DV_TRY(take_ids(subjects, &rest, keys, &count));
    dv_auto(buf) dv_buf sealed = dv_buf_init(DV_LIMIT_RECORD * 2);
    DV_TRY(dv_base64url_decode(rest, &sealed));
    if (sealed.len < DV_SIV_OVERHEAD) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_buf_reserve(out, sealed.len));
    DV_TRY(with_cipher(subjects, keys, count, dv_siv_open, dv_buf_slice(&sealed),
                       out->ptr + out->len));
    out->len += sealed.len - DV_SIV_OVERHEAD;
    return DV_OK;
}

/* Destroying a key empties the cache, so that what it holds may be told. */
dv_result dv_subjects_unseal(dv_subjects *subjects, dv_slice text, dv_buf *out)
{
    size_t begin = out->len;
    if (!dv_subjects_is_sealed(text)) {
        return DV_ERR_INVALID;
    }
    cached_value *cached = &subjects->opened[cache_place(0, text)];
    if (cached->key != 0 && cached->sealed_len == text.len &&
        memcmp(cached->bytes + cached->value_len, text.ptr, text.len) == 0) {
        return dv_buf_append(out, dv_slice_of(cached->bytes, cached->value_len));
    }
    DV_TRY(unseal(subjects, text, out));
    cache_fill(cached, 0, dv_slice_sub(dv_buf_slice(out), begin, out->len), text);
    return DV_OK;
}
