/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Somebody's own data (engine/detect/fingerprint) in what passes: which sets a policy looks for,
 * and what is done where one is met. Nothing is ever rewritten: what is met is recorded, told of,
 * or blocks. */

#include "base/arena.h"
#include "base/json.h"
#include "core/finding.h"
#include "engine/detect/fingerprint/fingerprint.h"

enum { DV_DATA_LOSS_ROUTES_MAX = 64 };

/* The sets of a policy. */
typedef struct dv_data_loss dv_data_loss;

/* Reads "fingerprints" of a policy: [{"name":"customers","file":"/path","id":"<hex SHA-256>",
 * "action":"monitor","routes":["chat"]}], and opens the files; those that are open already are
 * shared. NULL where there are none. Errors: DV_ERR_INVALID, those of dv_fingerprint_set_open,
 * DV_ERR_CONFLICT (the file is another one than was published). */
dv_must dv_result dv_data_loss_read(const dv_json *json, dv_data_loss **ret_loss, dv_error *error);
void dv_data_loss_free(dv_data_loss *loss);

/* The sets that are looked for on that route: a bit each. */
uint32_t dv_data_loss_on(const dv_data_loss *loss, dv_slice route);
/* All of them. */
uint32_t dv_data_loss_all(const dv_data_loss *loss);
/* Those of them that block. */
uint32_t dv_data_loss_blocks(const dv_data_loss *loss);

size_t dv_data_loss_count(const dv_data_loss *loss);
const dv_fingerprint_set *const *dv_data_loss_sets(const dv_data_loss *loss);
/* "fingerprint:customers"; lives as long as the policy. */
const char *dv_data_loss_name(const dv_data_loss *loss, uint32_t set);
dv_content_action dv_data_loss_action(const dv_data_loss *loss, uint32_t set);

/* Where one was met in the text that was searched. */
typedef struct dv_data_met {
    size_t start;
    size_t end;
    uint32_t set;
    uint32_t document;
    dv_fingerprint_kind kind;
    bool encoded;
} dv_data_met;

typedef struct dv_data_mets {
    dv_data_met *list;
    size_t count;
    size_t room;
    uint32_t of_set[DV_FINGERPRINT_SETS];
} dv_data_mets;
