/* SPDX-License-Identifier: Apache-2.0 */
/* The records of a vault's file: reading and writing one. */
#include "base/codec.h"
#include "crypto/random.h"
#include "engine/detect/action/vault_file.h"

#include <errno.h>
#include <unistd.h>

static const uint32_t kind_shift = 30;
static const uint32_t length_mask = (UINT32_C(1) << 30) - 1;

dv_result dv_vault_read_at(const dv_vault *v, uint64_t offset, uint8_t *out, size_t len)
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

dv_result dv_vault_write_at(const dv_vault *v, uint64_t offset, dv_slice bytes)
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

static dv_result window_fill(const dv_vault *v, dv_vault_window *w, uint64_t offset)
{
    ssize_t got = -1;
    do {
        got = pread(v->fd, w->bytes, DV_VAULT_WINDOW_LEN, (off_t)offset);
    } while (got < 0 && errno == EINTR);
    w->at = offset;
    w->len = got < 0 ? 0 : (size_t)got;
    return got < 0 ? DV_ERR_IO : DV_OK;
}

/* dv_vault_read_at through the window. len: DV_VAULT_RECORD_MAX at most. */
static dv_result read_through(const dv_vault *v, dv_vault_window *w, uint64_t offset, uint8_t *out,
                              size_t len)
{
    bool within = offset >= w->at && offset - w->at <= w->len && len <= w->len - (offset - w->at);
    if (!within) {
        DV_TRY(window_fill(v, w, offset));
    }
    if (len > w->len - (offset - w->at)) {
        return dv_vault_read_at(v, offset, out,
                                len); /* less than was asked for: the end, most likely */
    }
    memcpy(out, w->bytes + (offset - w->at), len);
    return DV_OK;
}

/* Whether a record of that kind may have so much sealed in it. */
static bool is_length(dv_vault_kind kind, size_t sealed)
{
    if (sealed < DV_AEAD_TAG_LEN) {
        return false;
    }
    size_t plain = sealed - DV_AEAD_TAG_LEN;
    switch (kind) {
    case DV_VAULT_UNTIMED:
        return plain <= DV_VAULT_VALUE_MAX;
    case DV_VAULT_TIMED:
        return plain >= DV_VAULT_MADE_LEN && plain <= DV_VAULT_MADE_LEN + DV_VAULT_VALUE_MAX;
    case DV_VAULT_NOTE:
        return plain >= 1 + DV_VAULT_MADE_LEN && plain <= DV_VAULT_NOTE_MAX;
    }
    return false;
}

dv_result dv_vault_record_read(dv_vault *v, dv_vault_window *w, uint64_t offset)
{
    uint8_t len[4];
    DV_TRY(w != NULL ? read_through(v, w, offset, len, sizeof(len))
                     : dv_vault_read_at(v, offset, len, sizeof(len)));
    uint32_t head = dv_get_u32(len);
    size_t sealed = head & length_mask;
    if (!is_length((dv_vault_kind)(head >> kind_shift), sealed)) {
        return DV_ERR_CORRUPT;
    }
    size_t size = DV_VAULT_FRONT_LEN + sealed + 4;
    DV_TRY(w != NULL ? read_through(v, w, offset, v->record.ptr, size)
                     : dv_vault_read_at(v, offset, v->record.ptr, size));
    v->record.len = size;
    return dv_crc32c(0, dv_slice_of(v->record.ptr, size - 4)) ==
                   dv_get_u32(v->record.ptr + size - 4)
               ? DV_OK
               : DV_ERR_CORRUPT;
}

dv_vault_kind dv_vault_record_kind(const dv_vault *v)
{
    return (dv_vault_kind)(dv_get_u32(v->record.ptr) >> kind_shift);
}

/* What the seal binds. */
static dv_slice bound(const dv_vault *v)
{
    size_t from = dv_vault_record_kind(v) == DV_VAULT_UNTIMED ? 4 : 0;
    return dv_slice_of(v->record.ptr + from, DV_VAULT_BOUND_LEN - from);
}

dv_result dv_vault_record_open(dv_vault *v, dv_buf *out, dv_time *ret_made)
{
    size_t sealed = v->record.len - DV_VAULT_FRONT_LEN - 4;
    DV_TRY(dv_buf_reserve(out, sealed));
    uint8_t *at = out->ptr + out->len;
    DV_TRY(dv_aead_open(v->aead, v->record.ptr + DV_VAULT_BOUND_LEN, bound(v),
                        dv_slice_of(v->record.ptr + DV_VAULT_FRONT_LEN, sealed), at));
    size_t plain = sealed - DV_AEAD_TAG_LEN;
    *ret_made = 0;
    if (dv_vault_record_kind(v) == DV_VAULT_TIMED) {
        uint64_t made = dv_get_u64(at);
        plain -= DV_VAULT_MADE_LEN;
        memmove(at, at + DV_VAULT_MADE_LEN, plain);
        dv_wipe(at + plain, DV_VAULT_MADE_LEN);
        if (made == 0 || made > INT64_MAX) {
            dv_wipe(at, plain);
            return DV_ERR_CORRUPT;
        }
        *ret_made = (dv_time)made;
    }
    out->len += plain;
    return DV_OK;
}

dv_result dv_vault_record_append(dv_vault *v)
{
    dv_result result = dv_vault_write_at(v, v->end, dv_buf_slice(&v->record));
    if (result == DV_OK) {
        v->end += v->record.len;
    } else if (ftruncate(v->fd, (off_t)v->end) != 0) {
        v->write = false; /* half a record stands at the end: no more behind it */
    }
    return result;
}

dv_result dv_vault_record_make(dv_vault *v, dv_vault_kind kind, const dv_vault_slot *of,
                               dv_slice plain)
{
    uint8_t *at = v->record.ptr;
    size_t sealed = plain.len + DV_AEAD_TAG_LEN;
    dv_put_u32(at, (uint32_t)kind << kind_shift | (uint32_t)sealed);
    memcpy(at + 4, of->index, DV_VAULT_INDEX_LEN);
    memcpy(at + 4 + DV_VAULT_INDEX_LEN, of->token, DV_VAULT_TAIL_LEN);
    dv_random(at + DV_VAULT_BOUND_LEN, DV_AEAD_NONCE_LEN);
    DV_TRY(
        dv_aead_seal(v->aead, at + DV_VAULT_BOUND_LEN, bound(v), plain, at + DV_VAULT_FRONT_LEN));
    dv_put_u32(at + DV_VAULT_FRONT_LEN + sealed,
               dv_crc32c(0, dv_slice_of(at, DV_VAULT_FRONT_LEN + sealed)));
    v->record.len = DV_VAULT_FRONT_LEN + sealed + 4;
    return DV_OK;
}

/* -- notes ------------------------------------------------------------------------------------- */

enum { REMOVAL_LEN = 1 + DV_VAULT_MADE_LEN + 8 + DV_VAULT_RUN_LEN };

/* The time of a note, behind its letter. */
static dv_result time_read(const uint8_t *at, dv_time *ret_time)
{
    uint64_t time = dv_get_u64(at);
    *ret_time = (dv_time)time;
    return time > 0 && time <= INT64_MAX ? DV_OK : DV_ERR_CORRUPT;
}

static dv_result note_take(dv_vault *v, const uint8_t *note, size_t len)
{
    dv_time time = 0;
    DV_TRY(time_read(note + 1, &time));
    if (note[0] == 'e' && len == 1 + DV_VAULT_MADE_LEN) {
        v->since = DV_MAX(v->since, time);
        return DV_OK;
    }
    if ((note[0] == 'r' || note[0] == 'd') && len == REMOVAL_LEN) {
        const uint8_t *at = note + 1 + DV_VAULT_MADE_LEN;
        dv_vault_removal removal = {.at = time, .entries = dv_get_u64(at), .alone = note[0] == 'd'};
        dv_slice_copy(dv_slice_of(at + 8, DV_VAULT_RUN_LEN), removal.run, sizeof(removal.run));
        return dv_vault_removal_keep(v, &removal);
    }
    return DV_ERR_CORRUPT; /* of a later Dvara, which knows what it means */
}

dv_result dv_vault_note_read(dv_vault *v)
{
    dv_auto(buf) dv_buf note = dv_buf_init(DV_VAULT_NOTE_MAX + DV_AEAD_TAG_LEN);
    dv_time unused = 0;
    DV_TRY(dv_vault_record_open(v, &note, &unused));
    return note_take(v, note.ptr, note.len);
}

static dv_result note_append(dv_vault *v, dv_slice note)
{
    static const dv_vault_slot none = {.offset = 0};
    DV_TRY(dv_vault_record_make(v, DV_VAULT_NOTE, &none, note));
    return dv_vault_record_append(v);
}

dv_result dv_vault_note_since(dv_vault *v, dv_time since)
{
    uint8_t note[1 + DV_VAULT_MADE_LEN] = {'e'};
    dv_put_u64(note + 1, (uint64_t)since);
    DV_TRY(note_append(v, dv_slice_of(note, sizeof(note))));
    v->since = since;
    return DV_OK;
}

dv_result dv_vault_note_removal(dv_vault *v, const dv_vault_removal *removal)
{
    uint8_t note[REMOVAL_LEN] = {removal->alone ? 'd' : 'r'};
    dv_put_u64(note + 1, (uint64_t)removal->at);
    dv_put_u64(note + 1 + DV_VAULT_MADE_LEN, removal->entries);
    memcpy(note + 1 + DV_VAULT_MADE_LEN + 8, removal->run, DV_VAULT_RUN_LEN);
    return note_append(v, dv_slice_of(note, sizeof(note)));
}
