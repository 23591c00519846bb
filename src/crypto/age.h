/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Files in the format of age (https://age-encryption.org/v1, C2SP age), written and read as a
 * stream: sealed to X25519 keys or to a passphrase, in chunks of 64 KiB of ChaCha20-Poly1305, so
 * that nothing is handed on that was changed, and an end that is missing is seen. The program `age`
 * opens what is written here and the other way round.
 *
 * Who sealed a file to a key is not proved: anyone has the public half. */

#include "base/buf.h"

enum {
    DV_AGE_KEY_LEN = 32,
    DV_AGE_TEXT_MAX = 80,       /* of a key as text, with its NUL */
    DV_AGE_RECIPIENTS_MAX = 16, /* of one file that is written */
    DV_AGE_STANZAS_MAX = 64,    /* of one that is read */
    DV_AGE_HEADER_MAX = 32 << 10,
    DV_AGE_WORK = 18,     /* log2 of scrypt's N where we seal: 256 MiB, about a second */
    DV_AGE_WORK_MAX = 20, /* where we open: 1 GiB */
};

typedef struct dv_age_key {
    uint8_t bytes[DV_AGE_KEY_LEN];
} dv_age_key;

/* -- keys -------------------------------------------------------------------------------------- */

/* A new key pair; the identity is the secret half. */
dv_must dv_result dv_age_keypair(dv_age_key *ret_recipient, dv_age_key *ret_identity);
dv_must dv_result dv_age_recipient_of(const dv_age_key *identity, dv_age_key *ret_recipient);
/* "age1..." and "AGE-SECRET-KEY-1..." (Bech32, BIP 173). Errors: DV_ERR_INVALID. */
void dv_age_recipient_format(const dv_age_key *recipient, char out[DV_AGE_TEXT_MAX]);
dv_must dv_result dv_age_recipient_parse(dv_slice text, dv_age_key *ret_recipient);
void dv_age_identity_format(const dv_age_key *identity, char out[DV_AGE_TEXT_MAX]);
dv_must dv_result dv_age_identity_parse(dv_slice text, dv_age_key *ret_identity);

/* Who can open it: keys, or (count 0) who knows the passphrase. */
typedef struct dv_age_lock {
    const dv_age_key *keys; /* recipients to seal, identities to open; borrowed */
    size_t count;
    dv_slice passphrase;
    int work; /* log2 of scrypt's N to seal with; 0: DV_AGE_WORK */
} dv_age_lock;

/* -- sealing ----------------------------------------------------------------------------------- */

typedef struct dv_age_writer dv_age_writer;

/* Where the sealed bytes go. */
typedef struct dv_age_sink {
    dv_result (*put)(void *data, dv_slice bytes, dv_error *error);
    void *data;
} dv_age_sink;

/* Writes the header. The lock is not kept. Errors: DV_ERR_INVALID (no key, a bad one, too many),
 * DV_ERR_NO_MEMORY, the sink's. */
dv_must dv_result dv_age_writer_new(const dv_age_lock *lock, const dv_age_sink *sink,
                                    dv_age_writer **ret_writer, dv_error *error);
void dv_age_writer_free(dv_age_writer *writer);
DV_DEFINE_AUTO_PTR(age_writer, dv_age_writer, dv_age_writer_free)
dv_must dv_result dv_age_put(dv_age_writer *writer, dv_slice bytes, dv_error *error);
dv_must dv_result dv_age_finish(dv_age_writer *writer, dv_error *error);

/* -- opening ----------------------------------------------------------------------------------- */

typedef struct dv_age_reader dv_age_reader;

/* Where they come from. get fills up to `room` bytes; 0: the end. */
typedef struct dv_age_source {
    dv_result (*get)(void *data, uint8_t *out, size_t room, size_t *ret_len, dv_error *error);
    void *data;
} dv_age_source;

/* Reads the header and finds the file's key. Errors: DV_ERR_FORBIDDEN (not sealed to any of these
 * keys, or another passphrase), DV_ERR_CORRUPT (no age file, or damaged), DV_ERR_UNSUPPORTED (a
 * passphrase that takes too much work), the source's. */
dv_must dv_result dv_age_reader_new(const dv_age_lock *lock, const dv_age_source *source,
                                    dv_age_reader **ret_reader, dv_error *error);
void dv_age_reader_free(dv_age_reader *reader);
DV_DEFINE_AUTO_PTR(age_reader, dv_age_reader, dv_age_reader_free)
/* Fills up to `room` bytes of what was sealed; 0: the end, behind which nothing stands. Errors:
 * DV_ERR_CORRUPT (with the place), the source's. */
dv_must dv_result dv_age_get(dv_age_reader *reader, uint8_t *out, size_t room, size_t *ret_len,
                             dv_error *error);
