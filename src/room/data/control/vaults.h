/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Vaults of tokens (engine/detect/action/vault.h) whose values dvarad tells: the section
 * `data_vaults:` of dvara.yaml.
 *
 * data_vaults:
 *   - {name: customers, file: /srv/vaults/customers.dv, key: /etc/dvara/customers.key}
 *   - {name: chat, key: /etc/dvara/masking.key}     # of tokens that carry their value
 *
 * 1. dvarad reads them only, and never holds up who writes: `dvara data tokenize`.
 * 2. A value is told to who may `detokenize` on DataVault::"NAME", says what for, and is on record
 *    for it before the answer goes out. No value is in a record, a log line or an error.
 * 3. Each call looks at the file and its key anew: without the key it was opened with nothing is
 *    told. One that is gone, exchanged or damaged is told of by the calls that want it, and stops
 *    nothing else; a damaged one is not read again before somebody changed it. */

#include "core/config.h"
#include "engine/detect/action/action.h"
#include "engine/detect/action/sealed.h"
#include "engine/detect/action/vault.h"

#include <sys/stat.h>

typedef struct dv_data_vaults dv_data_vaults;

typedef struct dv_data_vault {
    const char *name;
    const char *file; /* "": none; its tokens all carry their value */
    const char *key;
    dv_vault *open; /* NULL: not asked for yet, or it could not be opened */
    uint8_t opened_with[DV_ACTION_KEY_LEN];
    struct stat damaged; /* the file in which damage was found; st_ino 0: none */
    char damage[DV_ERROR_MESSAGE_MAX];
} dv_data_vault;

/* None. */
dv_must dv_result dv_data_vaults_new(dv_data_vaults **ret_vaults);
void dv_data_vaults_free(dv_data_vaults *vaults);

/* Takes the section; NULL: none. Errors: DV_ERR_INVALID, with the place; then they are as before.
 * No file is touched. */
dv_must dv_result dv_data_vaults_set(dv_data_vaults *vaults, const dv_yaml *section,
                                     dv_error *error);

size_t dv_data_vault_count(const dv_data_vaults *vaults);
/* Borrowed until the vaults are set. */
dv_data_vault *dv_data_vault_at(dv_data_vaults *vaults, size_t index);
/* By its name, or NULL. */
dv_data_vault *dv_data_vault_find(dv_data_vaults *vaults, const char *name);
/* The same of those that have a file. */
dv_data_vault *dv_data_vault_find_file(dv_data_vaults *vaults, const char *name);

/* Opens it, or takes what was added since it was asked for last. Errors: DV_ERR_UNAVAILABLE, with
 * what is wrong with the file or its key. */
dv_must dv_result dv_data_vault_ready(dv_data_vault *vault, dv_error *error);
/* What opens tokens that carry their value (engine/detect/action/sealed.h), under its key as it is
 * now; the caller frees it. Errors: DV_ERR_UNAVAILABLE, with what is wrong with the key. */
dv_must dv_result dv_data_vault_opener(const dv_data_vault *vault, dv_siv **ret_siv,
                                       dv_error *error);
/* The next call opens it anew. */
void dv_data_vault_close(dv_data_vault *vault);

extern const dv_config_section dv_data_config_vaults;
