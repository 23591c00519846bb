/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The keystore that a command works with: where it is, and what unlocks it. */

#include "cli/cli.h"
#include "crypto/keystore.h"

/* --keystore, or STATE/keystore. Returns a malloc'd path or NULL. */
char *dv_cli_keystore_folder(const dv_cli *cli, const json_t *params);

/* Opens it. Errors: those of dv_keystore_open; DV_ERR_NOT_FOUND says how one is made. */
dv_must dv_result dv_cli_keystore_open(const dv_cli *cli, const json_t *params, dv_keystore_use use,
                                       dv_keystore **ret_keystore, dv_error *error);

/* Whether --input and --unlock-file both want standard input. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_cli_keystore_check_inputs(const json_t *params, dv_error *error);

/* Unlocks it with --unlock-file, a credential, its key file, or what a person types. */
dv_must dv_result dv_cli_keystore_unlock(const dv_cli *cli, const json_t *params,
                                         dv_keystore *keystore, dv_error *error);

/* Opens and unlocks it for a change, or makes it as --protect and --token say. */
dv_must dv_result dv_cli_keystore_make(const dv_cli *cli, const json_t *params,
                                       dv_keystore **ret_keystore, dv_error *error);

/* The key of that name. Errors: DV_ERR_NOT_FOUND, with what there is. */
dv_must dv_result dv_cli_keystore_key(const dv_keystore *keystore, const char *name,
                                      const dv_key **ret_key, dv_error *error);

/* The key that encrypts when none is named: the only one of type aes256, or "main". */
dv_must dv_result dv_cli_keystore_usual(const dv_keystore *keystore, const dv_key **ret_key,
                                        dv_error *error);
