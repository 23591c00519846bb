/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The keys of the people that the log tells of. A subject is a text: User::"alice", Service::"ci",
 * Day::"2026-11-22" (callers who were not authenticated). Its values stand in the log's leaves as
 *
 *   ~1.<key id>[~<key id>...].<base64url of AES-256-SIV over the value's JSON text>
 *
 * a key id being 8 random bytes in base64url. A value of several subjects is sealed under all of
 * their keys together: it can be read as long as every one of them is there. Destroying a key makes
 * its values unreadable wherever the log was copied to, and changes no leaf.
 *
 * Invariants:
 * 1. A key is durable before a leaf that uses it: dv_subjects_store comes before each commit.
 * 2. A destroyed key is in no memory of this process and in no file that can be opened; a subject
 *    that comes back has another key.
 * 3. No subject's text is on disk, only its keyed hash, sealed (subjects_file.h).
 * 4. What was destroyed stays so after an older copy of the folder is put back: the log names the
 *    ids, and they are destroyed again before anything is read (dv_subjects_seen).
 *
 * All functions may be called by several threads; those that say so want the lock held. */

#include "base/buf.h"

enum {
    DV_SUBJECT_ID_TEXT = 11,      /* characters of a key id */
    DV_SUBJECT_TEXT_MAX = 1024,   /* bytes of a subject */
    DV_SUBJECTS_OF_VALUE_MAX = 8, /* keys of one value */
};

#define DV_SEALED_MARK "~1." /* what every sealed text begins with */

typedef struct dv_subjects dv_subjects;

/* Opens the keys in the folder, or begins with none. Errors: DV_ERR_CORRUPT (which file),
 * DV_ERR_IO, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_subjects_open(const char *folder, dv_subjects **ret_subjects, dv_error *error);
/* Wipes them from memory. What was not stored is lost. */
void dv_subjects_close(dv_subjects *subjects);
DV_DEFINE_AUTO_PTR(subjects, dv_subjects, dv_subjects_close)

/* Makes new keys durable, and erasures that could not be made so before. Cheap when there is
 * nothing to do. Errors: DV_ERR_IO, DV_ERR_UNAVAILABLE (no space); it can be tried again. */
dv_must dv_result dv_subjects_store(dv_subjects *subjects, dv_error *error);

/* The id of a subject's key. Errors: DV_ERR_NOT_FOUND (it has none). */
dv_must dv_result dv_subjects_find(dv_subjects *subjects, dv_slice subject,
                                   char ret_id[DV_SUBJECT_ID_TEXT + 1]);
/* Destroys the keys of these ids, as far as they are there, on disk and in memory. They are gone
 * from memory whatever the result; DV_OK: from the disk too. */
dv_must dv_result dv_subjects_destroy(dv_subjects *subjects, const dv_slice *ids, size_t count,
                                      dv_error *error);

/* How often keys were destroyed since it was opened: what others remember of values that they
 * opened is to be forgotten when this changes. */
uint64_t dv_subjects_destroyed(dv_subjects *subjects);
/* Something that lives as long as the subjects do: made by the first one that asks for it, freed in
 * the end. NULL: no memory. */
void *dv_subjects_keep(dv_subjects *subjects, void *(*make)(void), void (*release)(void *kept));

/* How many keys there are. */
uint64_t dv_subjects_count(dv_subjects *subjects);
/* Up to which entry of the log its erasures are done here; the owner looks through what follows. */
uint64_t dv_subjects_seen(dv_subjects *subjects);
void dv_subjects_set_seen(dv_subjects *subjects, uint64_t entries);

/* -- values: under the lock -------------------------------------------------------------------- */

void dv_subjects_lock(dv_subjects *subjects);
void dv_subjects_unlock(dv_subjects *subjects);

/* The subject's key, made when it has none; a number that holds while the lock is held. Errors:
 * DV_ERR_INVALID (an empty or too long text), DV_ERR_TOO_LARGE (too many subjects),
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_subjects_key(dv_subjects *subjects, dv_slice subject, uint32_t *ret_key);
/* The same, but none is made. Errors: DV_ERR_INVALID, DV_ERR_NOT_FOUND (it has none). */
dv_must dv_result dv_subjects_key_known(dv_subjects *subjects, dv_slice subject, uint32_t *ret_key);
/* Appends the sealed value as a JSON string with its quotes. keys: 1 to DV_SUBJECTS_OF_VALUE_MAX.
 */
dv_must dv_result dv_subjects_seal(dv_subjects *subjects, const uint32_t *keys, size_t count,
                                   dv_slice value, dv_buf *out);
/* Bytes that dv_subjects_seal would append. */
size_t dv_subjects_sealed_len(size_t count, size_t value_len);

/* Whether a text (without quotes) looks like a sealed value. */
bool dv_subjects_is_sealed(dv_slice text);
/* Appends the value's JSON text. Errors: DV_ERR_NOT_FOUND (a key of it is destroyed),
 * DV_ERR_INVALID (no sealed value), DV_ERR_CORRUPT (not what was sealed). */
dv_must dv_result dv_subjects_unseal(dv_subjects *subjects, dv_slice text, dv_buf *out);
