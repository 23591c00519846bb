/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is told of a key. */

#include "cli/cli.h"
#include "crypto/keystore.h"

/* A new reference, or NULL; nothing in it is secret. */
json_t *dv_key_json(const dv_key *key);
dv_must dv_result dv_key_print(dv_cli *cli, const dv_key *key);
