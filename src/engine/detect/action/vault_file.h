/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What vault.c and vault_rewrite.c share: the file of a vault.
 *
 * A head (magic, 16 bytes that prove the key, two marks), then records: kind and length of what is
 * sealed (u32), index of the value (16 bytes of a keyed hash), token (22), nonce (12), sealed,
 * CRC-32C. A mark says how far the file was committed (u64, and 16 bytes of a keyed hash of it); a
 * commit writes the older one of the two, so that one is whole at any time.
 *
 * The two highest bits of a record's length say what is sealed:
 *   0  a value, of a Dvara that kept no times; bound to index and token
 *   2  when it was made (u64, ns), and a value; bound to the length, index and token
 *   3  a note of the vault itself, without index and token; bound to all before it. 'e' and a time:
 *      from then on entries without a time count. 'r', a time, how many entries went (u64) and a
 *      run's id: the file was written anew without them; the notes of removals before it stand in
 *      front of it, up to DV_VAULT_REMOVALS_MAX of all. 'd', the same: of a Dvara that dropped
 *      those. */

#include "engine/detect/action/vault.h"

#include "crypto/aead.h"
#include "crypto/hash.h"

enum {
    DV_VAULT_INDEX_LEN = 16,
    DV_VAULT_TAIL_LEN = DV_VAULT_TOKEN_LEN - 4,
    DV_VAULT_PROOF_LEN = 16,
    DV_VAULT_MARK_LEN = 8 + DV_VAULT_PROOF_LEN,
    DV_VAULT_MARKS_AT = 16 + DV_VAULT_PROOF_LEN,
    DV_VAULT_HEAD_LEN = DV_VAULT_MARKS_AT + 2 * DV_VAULT_MARK_LEN,
    DV_VAULT_BOUND_LEN = 4 + DV_VAULT_INDEX_LEN + DV_VAULT_TAIL_LEN,
    DV_VAULT_FRONT_LEN = DV_VAULT_BOUND_LEN + DV_AEAD_NONCE_LEN,
    DV_VAULT_MADE_LEN = 8,
    DV_VAULT_SEALED_MAX = DV_VAULT_MADE_LEN + DV_VAULT_VALUE_MAX + DV_AEAD_TAG_LEN,
    DV_VAULT_RECORD_MAX = DV_VAULT_FRONT_LEN + DV_VAULT_SEALED_MAX + 4,
    DV_VAULT_WINDOW_LEN = 4 * DV_VAULT_RECORD_MAX,
    DV_VAULT_NOTE_MAX = 128,
};

typedef enum dv_vault_kind {
    DV_VAULT_UNTIMED = 0,
    DV_VAULT_TIMED = 2,
    DV_VAULT_NOTE = 3,
} dv_vault_kind;

typedef struct dv_vault_slot {
    uint8_t index[DV_VAULT_INDEX_LEN];
    char token[DV_VAULT_TAIL_LEN];
    uint64_t offset; /* of its record; 0: a free slot */
} dv_vault_slot;

struct dv_vault {
    int fd;
    bool write;
    bool view;
    char *path;
    uint64_t most;      /* bytes, of a view */
    uint64_t size;      /* of the file */
    uint64_t end;       /* of the last record */
    uint64_t committed; /* what no crash takes any more; at most end */
    unsigned mark;      /* which of the two says so */
    dv_aead *aead;
    dv_hmac *hmac;                 /* of values */
    dv_hmac *proof;                /* of the head */
    dv_vault_slot *entries;        /* entry 0 is none */
    size_t count, room;            /* entries used, with entry 0 */
    uint32_t *by_index, *by_token; /* open addressing: numbers of entries; 0: free */
    size_t slots;                  /* of each; a power of two, half full at most */
    dv_buf record;                 /* the one that was read or made last */
    uint64_t untimed;              /* entries without a time */
    dv_time since;                 /* from when those count; 0: not yet */
    bool since_waits;              /* to be written with the next commit */
    uint64_t last_timed;           /* the record of the last entry with a time; 0: none */
    dv_time newest;                /* no entry is made before; 0: not looked yet */
    dv_time now;                   /* instead of the clock's; 0: the clock's */
    dv_vault_removal *removals;    /* the last DV_VAULT_REMOVALS_MAX, in their order, or NULL */
    size_t removal_count;
    struct dv_vault *anew; /* the file that takes this one's place, or NULL */
};

/* What lies ahead in the file, for many records in a row: two reads for each took most of the time
 * of opening a large vault. */
typedef struct dv_vault_window {
    uint8_t *bytes; /* DV_VAULT_WINDOW_LEN */
    uint64_t at;    /* in the file */
    size_t len;
} dv_vault_window;

/* The whole record at offset into v->record. w: NULL reads it alone. Errors: DV_ERR_NOT_FOUND (the
 * file ends within it), DV_ERR_CORRUPT, DV_ERR_IO. */
dv_must dv_result dv_vault_record_read(dv_vault *v, dv_vault_window *w, uint64_t offset);
dv_vault_kind dv_vault_record_kind(const dv_vault *v);
/* Appends what is sealed in v->record, without its time. *ret_made: 0 where it has none. Errors:
 * DV_ERR_CORRUPT. */
dv_must dv_result dv_vault_record_open(dv_vault *v, dv_buf *out, dv_time *ret_made);
/* Makes v->record of an entry, or of a note. plain: with its time in front, where the kind has one.
 */
dv_must dv_result dv_vault_record_make(dv_vault *v, dv_vault_kind kind, const dv_vault_slot *of,
                                       dv_slice plain);
/* Takes one more removal, and drops the oldest where there are too many. */
dv_must dv_result dv_vault_removal_keep(dv_vault *v, const dv_vault_removal *removal);
/* Appends v->record to the file. */
dv_must dv_result dv_vault_record_append(dv_vault *v);
/* Takes the note in v->record. Errors: DV_ERR_CORRUPT. */
dv_must dv_result dv_vault_note_read(dv_vault *v);
/* Append notes. */
dv_must dv_result dv_vault_note_since(dv_vault *v, dv_time since);
dv_must dv_result dv_vault_note_removal(dv_vault *v, const dv_vault_removal *removal);
/* Head and first mark of a file with records up to there. */
void dv_vault_head_make(const dv_vault *v, uint64_t committed, uint8_t head[DV_VAULT_HEAD_LEN]);
/* Errors: DV_ERR_NOT_FOUND: the file ends before. */
dv_must dv_result dv_vault_read_at(const dv_vault *v, uint64_t offset, uint8_t *out, size_t len);
/* Whether the open file still has that name. */
bool dv_vault_is_at(int fd, const char *path);
dv_must dv_result dv_vault_write_at(const dv_vault *v, uint64_t offset, dv_slice bytes);

/* --- vault_rewrite.c ------------------------------------------------------------------------- */

/* Removes what an interrupted rewriting left beside the file. The lock on it is held. */
void dv_vault_rewrite_forget(const dv_vault *v);
/* Before more is written: the name of a file that was written anew is on the disk, too, where that
 * was interrupted right after it got it. */
dv_must dv_result dv_vault_rewrite_settle(const dv_vault *v, dv_error *error);
