/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Within the keystore only. */

#include "crypto/keystore.h"

enum { DV_KEYSTORE_SALT = 16, DV_KEYSTORE_ROOT = 32 };

struct dv_token;

struct dv_keystore {
    char *folder;
    int lock;
    bool by_dvara; /* what is done is not a person's doing */
    bool shredded; /* a key was destroyed since it was saved */
    /* the file */
    dv_keystore_protection protection;
    uint32_t passes, memory; /* argon2id: passes, KiB */
    uint8_t salt[DV_KEYSTORE_SALT];
    uint8_t id[DV_KEY_ID_LEN];
    char token_label[DV_TOKEN_LABEL_MAX];
    uint8_t sealed_root[DV_KEY_SEALED_LEN];
    size_t count;
    dv_key keys[DV_KEYS_MAX];
    uint64_t events; /* there were ever */
    size_t event_count;
    dv_key_event journal[DV_KEY_JOURNAL_MAX];
    dv_buf text; /* what was read, for its MAC */
    /* once it is unlocked */
    bool unlocked;
    uint8_t root[DV_KEYSTORE_ROOT];
    struct dv_token *token;
};

/* The file's format (keystore_format.c). Reading proves nothing: that is the MAC's, once the root
 * key is there. */
dv_must dv_result dv_keystore_parse(dv_slice text, dv_keystore *keystore);
dv_must dv_result dv_keystore_format(const dv_keystore *keystore, dv_buf *out);
dv_must dv_result dv_keystore_check_mac(const dv_keystore *keystore);
/* Frees what a keystore's keys hold. */
void dv_keystore_clear(dv_keystore *keystore);

/* Adds a version; versions may move. */
dv_must dv_result dv_key_add_version(dv_key *key, const dv_key_version *version);

/* The root key's part for a purpose, and sealing under it. */
dv_must dv_result dv_keystore_derive(const dv_keystore *keystore, const char *purpose,
                                     uint8_t ret_key[32]);

/* A PKCS#11 token (keystore_token.c), found by its label among the modules that p11-kit knows. */
typedef struct dv_token dv_token;

dv_must dv_result dv_token_open(const char *label, dv_slice pin, dv_token **ret_token,
                                dv_error *error);
/* Whether there is one. */
dv_must dv_result dv_token_check(const char *label, dv_error *error);
void dv_token_free(dv_token *token);
/* An AES-256 key that can not leave the token, under an id (CKA_ID) and a label for people. */
dv_must dv_result dv_token_generate(dv_token *token, dv_slice id, const char *label,
                                    dv_error *error);
/* Errors: DV_ERR_NOT_FOUND. */
dv_must dv_result dv_token_destroy(dv_token *token, dv_slice id, dv_error *error);
/* AES-256-GCM: nonce, then what is sealed with its tag. */
dv_must dv_result dv_token_seal(dv_token *token, dv_slice id, dv_slice associated, dv_slice plain,
                                uint8_t *out, dv_error *error);
/* Errors: DV_ERR_NOT_FOUND (no such key), DV_ERR_CORRUPT. */
dv_must dv_result dv_token_unseal(dv_token *token, dv_slice id, dv_slice associated,
                                  dv_slice sealed, uint8_t *out, dv_error *error);
