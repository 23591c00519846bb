/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tokens for values: random, so they tell nothing, and the vault alone leads back. One file, sealed
 * value by value with AES-256-GCM under a key derived from the caller's; who has the file without
 * the key learns how many values there are and how long each is.
 *
 * 1. A value has one token, a token one value; both are bound in what is sealed.
 * 2. Records are only appended, and what was committed is marked. What does not check out before
 * the mark, or is missing, is an error: the vault is left as it is. What a run that was cut off
 * left behind the mark is dropped by the next writer from where it does not check out.
 * 3. One writer at a time (a lock on the file), or many readers; beside either any number of views.
 * 4. What goes, goes with the file: it is written anew without it, and the new one takes the old
 * one's name at once. A removed value that comes again gets a token of its own.
 * 5. Every entry says when it was made, sealed with its value; none is made before another that
 * lies in front of it. Entries of a Dvara that kept no times count from when a later one first
 * wrote to the vault.
 * 6. Of a token its own value is told, whatever became of the file since it was opened. */

#include "base/buf.h"
#include "base/clock.h"

enum {
    DV_VAULT_TOKEN_LEN = 26, /* "dvt_" and 22 base62 digits: 131 random bits */
    DV_VAULT_VALUE_MAX = 64 << 10,
    DV_VAULT_RUN_LEN = 36,          /* a UUID's text */
    DV_VAULT_TOKENS_MAX = 10000000, /* their index lies in memory, some 80 bytes each */
    DV_VAULT_REMOVALS_MAX = 64,     /* that a vault remembers */
};

typedef struct dv_vault dv_vault;

/* write: makes the file (0600) when there is none; an empty one is none of ours. Errors:
 * DV_ERR_NOT_FOUND, DV_ERR_FORBIDDEN (another key), DV_ERR_CONFLICT (somebody else has it open),
 * DV_ERR_CORRUPT. */
dv_must dv_result dv_vault_open(const char *path, const uint8_t key[32], bool write,
                                dv_vault **ret_vault, dv_error *error);
void dv_vault_free(dv_vault *vault);

/* A view: what was committed, and nothing behind it, without a lock, while others write. Records
 * before a mark never change, so that a view sees whole ones only. most: bytes of the file.
 * Errors: as above, and DV_ERR_TOO_LARGE. */
dv_must dv_result dv_vault_view(const char *path, const uint8_t key[32], uint64_t most,
                                dv_vault **ret_vault, dv_error *error);
/* Takes into a view what was committed since. Errors: DV_ERR_CONFLICT (at the path is another file,
 * or none, or other records than were in this one: it is to be opened anew), and those of
 * dv_vault_view. */
dv_must dv_result dv_vault_refresh(dv_vault *view, const char *path, dv_error *error);
DV_DEFINE_AUTO_PTR(vault, dv_vault, dv_vault_free)

/* Appends the value's token, a new one for a new value. Errors: DV_ERR_INVALID (too long a value),
 * DV_ERR_TOO_LARGE (too many), DV_ERR_IO. */
dv_must dv_result dv_vault_token(dv_vault *vault, dv_slice value, dv_buf *out);
/* Appends the token's value. Errors: DV_ERR_NOT_FOUND, DV_ERR_CORRUPT, DV_ERR_IO. */
dv_must dv_result dv_vault_open_token(dv_vault *vault, dv_slice token, dv_buf *out);
/* What was added is on disk once this returns. */
dv_must dv_result dv_vault_commit(dv_vault *vault, dv_error *error);
size_t dv_vault_count(const dv_vault *vault);
/* How large the file was when it was looked at last, and how far it was committed. */
uint64_t dv_vault_bytes(const dv_vault *vault);
uint64_t dv_vault_committed(const dv_vault *vault);

/* --- removing (vault_rewrite.c) -------------------------------------------------------------- */

/* Whether an entry goes. made: 0 where that is not known yet. */
typedef bool (*dv_vault_goes)(const void *data, dv_slice token, dv_time made);

typedef struct dv_vault_tally {
    uint64_t going;
    uint64_t left;
    dv_time oldest; /* of those that go, where it is known; 0: of none */
    dv_time newest;
} dv_vault_tally;

/* A time that entries were removed, as the vault itself says, sealed. */
typedef struct dv_vault_removal {
    char run[DV_VAULT_RUN_LEN + 1]; /* "": never */
    dv_time at;                     /* not before that of the one before */
    uint64_t entries;
    bool alone; /* by a Dvara that remembered one only: what came before it nobody says */
} dv_vault_removal;

typedef enum dv_vault_word {
    DV_VAULT_SAYS_NOTHING, /* it may have forgotten it */
    DV_VAULT_SAYS_NO,
    DV_VAULT_SAYS_YES,
} dv_vault_word;

/* Counts what goes; opens every entry. Errors: DV_ERR_CORRUPT: one does not open. */
dv_must dv_result dv_vault_count_going(dv_vault *vault, dv_vault_goes goes, const void *data,
                                       dv_vault_tally *ret_tally, dv_error *error);
/* Writes the vault without what goes into a file beside it, up to the disk; the vault stays as it
 * is. It has to be open for writing. run: whose removal this is, DV_VAULT_RUN_LEN characters. The
 * file has owner, group, mode and access list of the vault's. Errors: DV_ERR_CONFLICT: the vault
 * has other names (hard links), under which all of it would stay; DV_ERR_CORRUPT: an entry does not
 * open; DV_ERR_IO. */
dv_must dv_result dv_vault_rewrite(dv_vault *vault, dv_vault_goes goes, const void *data,
                                   const char *run, dv_vault_tally *ret_tally, dv_error *error);
/* Gives that file the vault's name, for good: no writer has it before the folder is on the disk.
 * Whatever it answers, the vault can only be freed after: at its path lies one or the other, whole.
 * Errors: DV_ERR_CONFLICT: somebody put another file in the place of either, or gave the vault
 * another name; DV_ERR_IO. */
dv_must dv_result dv_vault_exchange(dv_vault *vault, dv_error *error);
/* Removes that file, if there is one; freeing the vault does so, too. */
void dv_vault_rewrite_drop(dv_vault *vault);
/* Borrowed from the vault. */
const dv_vault_removal *dv_vault_last_removal(const dv_vault *vault);
/* Whether the run removed entries. began: when it did, for where the vault does not remember as far
 * back. *ret_removal: borrowed, where it says yes; or NULL. */
dv_vault_word dv_vault_ask(const dv_vault *vault, const char *run, dv_time began,
                           const dv_vault_removal **ret_removal);
/* Appends the token that the value has. Errors: DV_ERR_NOT_FOUND. */
dv_must dv_result dv_vault_known(const dv_vault *vault, dv_slice value, dv_buf *out);
/* From here on entries are made at that time, or when the one before was, if that is later; 0: now.
 * For tests. */
void dv_vault_set_now(dv_vault *vault, dv_time now);

/* Whether a token's text stands at `at`. */
bool dv_vault_is_token(dv_slice text, size_t at);
