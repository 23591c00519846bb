/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Keys that are kept: named, in versions, each of which seals the secrets of files (envelope.h).
 * The newest version seals; those before it only open. A folder of mode 0700 holds
 *
 *   keys        all of it in one file, replaced in one step, with a MAC over it
 *   lock        who changes it has it alone
 *   unlock.key  what opens it, unless that is a passphrase, a PIN, or a key file elsewhere
 *   told        up to where the journal was told to the audit log
 *
 * A random root key seals the versions and keys the MAC. The root key is sealed itself: under a key
 * made of a passphrase (argon2id) or of a key file, or by a PKCS#11 token, in which the AES keys
 * then are, and which they never leave.
 *
 * What happened to keys stands in the file's journal, so that it is kept in the same step as the
 * change; dvarad tells it to the audit log.
 *
 * Not for two threads at once. */

#include "base/clock.h"
#include "crypto/envelope.h"

enum {
    DV_KEY_NAME_MAX = 64, /* with its NUL */
    DV_KEYS_MAX = 256,
    DV_KEY_VERSIONS_MAX = 4096, /* of one key */
    DV_KEY_SEALED_LEN = 32 + DV_KEY_WRAP_OVERHEAD,
    DV_KEY_JOURNAL_MAX = 256, /* the oldest are forgotten */
    DV_KEYSTORE_FILE_MAX = 8 << 20,
    DV_KEYSTORE_SECRET_LEAST = 8,    /* bytes of a passphrase */
    DV_KEYSTORE_KEY_FILE_LEAST = 32, /* bytes of a key file */
    DV_TOKEN_LABEL_MAX = 33,         /* with its NUL */
};

typedef enum dv_key_type { DV_KEY_AES256 = 1, DV_KEY_X25519 = 2 } dv_key_type;

typedef struct dv_key_version {
    uint32_t number; /* from 1 */
    dv_time created;
    dv_time destroyed;                 /* 0: it is there */
    uint8_t recipient[DV_AGE_KEY_LEN]; /* of X25519: the public half */
    uint8_t sealed[DV_KEY_SEALED_LEN]; /* under the root key; zeros: in the token, or destroyed */
} dv_key_version;

typedef struct dv_key {
    uint8_t id[DV_KEY_ID_LEN];
    char name[DV_KEY_NAME_MAX];
    dv_key_type type;
    size_t count;
    dv_key_version *versions; /* by number */
} dv_key;

typedef enum dv_key_activity {
    DV_KEY_GENERATED = 1,
    DV_KEY_ROTATED = 2,
    DV_KEY_DESTROYED = 3,
    DV_KEY_EXPORTED = 4,
    DV_KEY_IMPORTED = 5,
} dv_key_activity;

#define DV_KEY_BY_DVARA UINT32_MAX

typedef struct dv_key_event {
    uint64_t number; /* from 1, without gaps */
    dv_time time;
    dv_key_activity activity;
    uint8_t key[DV_KEY_ID_LEN];
    char name[DV_KEY_NAME_MAX];
    uint32_t version; /* 0: all of them */
    uint32_t user;    /* who did it; DV_KEY_BY_DVARA: dvarad by itself */
} dv_key_event;

typedef enum dv_keystore_protection {
    DV_KEYSTORE_PASSPHRASE = 1,
    DV_KEYSTORE_KEY_FILE = 2,
    DV_KEYSTORE_TOKEN = 3, /* PKCS#11 */
} dv_keystore_protection;

typedef struct dv_keystore dv_keystore;

/* -- opening ----------------------------------------------------------------------------------- */

typedef enum dv_keystore_use {
    DV_KEYSTORE_READ,       /* as it is now; others may change it */
    DV_KEYSTORE_CHANGE,     /* nobody else changes it until it is freed: waits for that */
    DV_KEYSTORE_CHANGE_NOW, /* the same, but DV_ERR_AGAIN where another one changes it */
} dv_keystore_use;

/* Reads it; nothing in it is proved before it is unlocked. Errors: DV_ERR_NOT_FOUND (there is
 * none), DV_ERR_FORBIDDEN (others may get at it), DV_ERR_CORRUPT, DV_ERR_UNSUPPORTED (of a newer
 * Dvara), DV_ERR_IO. */
dv_must dv_result dv_keystore_open(const char *folder, dv_keystore_use use,
                                   dv_keystore **ret_keystore, dv_error *error);
void dv_keystore_free(dv_keystore *keystore);
DV_DEFINE_AUTO_PTR(keystore, dv_keystore, dv_keystore_free)

/* Finds what unlocks it without a person: the line in the file that path names, or (NULL) in the
 * systemd credential "dvara-keystore", or in the folder's unlock.key, which is of key files only.
 * out has room for 4096 bytes and is wiped. Errors: DV_ERR_NOT_FOUND (none of them is there;
 * without a message when no path was said), those of dv_file_read_secret. */
dv_must dv_result dv_keystore_find_secret(const char *folder, dv_keystore_protection protection,
                                          const char *path, dv_buf *out, dv_error *error);

/* A new one, unlocked, not saved yet. secret: passphrase, line of the key file, or PIN; empty, with
 * a key file: the one that is found, or a new unlock.key. token: label of the PKCS#11 token, or
 * NULL. Errors: DV_ERR_EXISTS, DV_ERR_INVALID (too short a secret),
 * DV_ERR_NOT_FOUND (no such token), DV_ERR_FORBIDDEN (wrong PIN), DV_ERR_UNSUPPORTED, DV_ERR_IO. */
dv_must dv_result dv_keystore_create(const char *folder, dv_keystore_protection protection,
                                     const char *token, dv_slice secret, dv_keystore **ret_keystore,
                                     dv_error *error);

/* Errors: DV_ERR_FORBIDDEN (another passphrase, key file or PIN), DV_ERR_CORRUPT (the file was
 * changed), those of the token. */
dv_must dv_result dv_keystore_unlock(dv_keystore *keystore, dv_slice secret, dv_error *error);

/* Writes what was changed. Destroyed keys are overwritten where they lay as well. */
dv_must dv_result dv_keystore_save(dv_keystore *keystore, dv_error *error);

/* What is done from here on is dvarad's own doing, in the journal. */
void dv_keystore_act_as_dvara(dv_keystore *keystore);

/* Its own random id, DV_KEY_ID_LEN bytes. */
const uint8_t *dv_keystore_id(const dv_keystore *keystore);
dv_keystore_protection dv_keystore_protected_by(const dv_keystore *keystore);
/* Of the token; "" without. */
const char *dv_keystore_token(const dv_keystore *keystore);
/* Whether the token is there; needs no PIN. Errors: DV_ERR_NOT_FOUND, DV_ERR_CONFLICT (several),
 * DV_ERR_UNAVAILABLE. */
dv_must dv_result dv_keystore_check_token(const dv_keystore *keystore, dv_error *error);
bool dv_keystore_is_unlocked(const dv_keystore *keystore);

/* -- keys -------------------------------------------------------------------------------------- */

size_t dv_keystore_count(const dv_keystore *keystore);
const dv_key *dv_keystore_at(const dv_keystore *keystore, size_t index);
/* NULL: no such key. Destroyed keys are found as well; their names are not given again. */
const dv_key *dv_keystore_find(const dv_keystore *keystore, dv_slice name);
const dv_key *dv_keystore_find_id(const dv_keystore *keystore, const uint8_t id[DV_KEY_ID_LEN]);
const dv_key_version *dv_key_find_version(const dv_key *key, uint32_t number);
/* The version that seals; NULL: the newest one is destroyed. */
const dv_key_version *dv_key_active(const dv_key *key);
/* Whether anything of it is left. */
bool dv_key_is_destroyed(const dv_key *key);

/* Letters, digits, '.', '_', '-'; begins with a letter or digit. */
bool dv_key_name_is(dv_slice name);

/* The keystore is unlocked for all that follow, and saved by the caller afterwards. */

/* Errors: DV_ERR_EXISTS, DV_ERR_INVALID (name), DV_ERR_TOO_LARGE (too many), DV_ERR_UNSUPPORTED
 * (a token keeps AES keys only). */
dv_must dv_result dv_keystore_generate(dv_keystore *keystore, dv_slice name, dv_key_type type,
                                       dv_time now, const dv_key **ret_key, dv_error *error);
/* A new version. Errors: DV_ERR_CONFLICT (the key is destroyed), DV_ERR_TOO_LARGE. */
dv_must dv_result dv_keystore_rotate(dv_keystore *keystore, const dv_key *key, dv_time now,
                                     dv_error *error);
/* Destroys a version, or all (0). What was sealed under them alone can never be read again. Errors:
 * DV_ERR_NOT_FOUND, DV_ERR_CONFLICT (destroyed already). */
dv_must dv_result dv_keystore_destroy(dv_keystore *keystore, const dv_key *key, uint32_t version,
                                      dv_time now, dv_error *error);

/* Adds a recipient to the envelope: the key's active version. Errors: DV_ERR_CONFLICT (none),
 * DV_ERR_TOO_LARGE. */
dv_must dv_result dv_keystore_seal(dv_keystore *keystore, const dv_key *key,
                                   const uint8_t secret[DV_ENVELOPE_SECRET_LEN],
                                   dv_envelope *envelope, dv_error *error);
/* The envelope's secret, by whichever of its recipients is a key of this keystore. Errors:
 * DV_ERR_NOT_FOUND (none is), DV_ERR_CONFLICT (its key was destroyed), DV_ERR_CORRUPT. */
dv_must dv_result dv_keystore_unseal(dv_keystore *keystore, const dv_envelope *envelope,
                                     uint8_t ret_secret[DV_ENVELOPE_SECRET_LEN], dv_error *error);

/* Whose a recipient of the envelope is; NULL: of no key of this keystore, or of a destroyed version
 * of X25519, which does not say whose it was. */
const dv_key *dv_keystore_find_recipient(dv_keystore *keystore, const dv_envelope *envelope,
                                         const dv_recipient *recipient);

/* -- taking keys elsewhere --------------------------------------------------------------------- */

enum { DV_KEY_EXPORT_MAX = 1 << 20 };

/* The key with all its versions that are there as text, which the caller seals and wipes; out has
 * a maximum of DV_KEY_EXPORT_MAX. Errors: DV_ERR_UNSUPPORTED (it is in a token), DV_ERR_CONFLICT
 * (destroyed). */
dv_must dv_result dv_keystore_export(dv_keystore *keystore, const dv_key *key, dv_time now,
                                     dv_buf *out, dv_error *error);
/* Takes such a text in; name: another name for it, or empty. Errors: DV_ERR_EXISTS, DV_ERR_INVALID
 * (no such text), DV_ERR_UNSUPPORTED (a token takes none). */
dv_must dv_result dv_keystore_import(dv_keystore *keystore, dv_slice text, dv_slice name,
                                     dv_time now, const dv_key **ret_key, dv_error *error);

/* -- the journal ------------------------------------------------------------------------------- */

size_t dv_keystore_event_count(const dv_keystore *keystore);
const dv_key_event *dv_keystore_event(const dv_keystore *keystore, size_t index);
