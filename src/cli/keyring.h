/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whom a command seals to, or whose keys it opens with: recipients, identities, a passphrase. */

#include "crypto/age.h"

#include <jansson.h>

typedef struct dv_keyring {
    dv_age_key keys[DV_AGE_RECIPIENTS_MAX];
    dv_buf passphrase;
    dv_age_lock lock; /* over them */
} dv_keyring;

void dv_keyring_release(dv_keyring *ring);
DV_DEFINE_AUTO(keyring, dv_keyring, dv_keyring_release)

/* Before secrets are read: no core dump holds them. */
dv_must dv_result dv_keyring_begin(dv_error *error);

/* What a command is told to seal to: `recipient` or `passphrase_file`, one of them. Errors:
 * DV_ERR_INVALID, dv_secret_read's. */
dv_must dv_result dv_keyring_lock(dv_keyring *ring, const json_t *params, dv_error *error);
/* And to open with: `identity_file` or `passphrase_file`. */
dv_must dv_result dv_keyring_opener(dv_keyring *ring, const json_t *params, dv_error *error);

/* A list of "age1...". Errors: DV_ERR_INVALID. */
dv_must dv_result dv_keyring_recipients(dv_keyring *ring, const json_t *list, dv_error *error);
/* A file with lines of secret keys; what begins with '#' is for people. */
dv_must dv_result dv_keyring_identities(dv_keyring *ring, const char *path, dv_error *error);
