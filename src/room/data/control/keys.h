/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What dvarad does for the keystore of its state: makes new versions of keys in time, and tells the
 * audit log what happened to keys, whoever did it. */

#include "base/yaml.h"
#include "core/services.h"

typedef struct dv_data_keys dv_data_keys;

/* How often keys are rotated. */
typedef struct dv_key_period {
    unsigned months; /* or */
    dv_time time;    /* 0 both: never */
} dv_key_period;

/* Reads daily, weekly, monthly, quarterly, yearly, or a duration of at least a day. Errors:
 * DV_ERR_INVALID, with the place. */
dv_must dv_result dv_key_period_read(const dv_yaml *node, dv_key_period *ret_period,
                                     dv_error *error);

/* When a version that was made then is due. A month later is the same day of the month, in UTC, or
 * the 28th. */
dv_time dv_key_period_end(const dv_key_period *period, dv_time created);

/* For a state's keystore, which need not be there. */
dv_must dv_result dv_data_keys_new(const char *state_dir, dv_data_keys **ret_keys);
void dv_data_keys_free(dv_data_keys *keys);

/* Whether keys are where the section `encryption:` (or NULL) says: with `key_storage: HSM`, the
 * state's keystore is one of a token. find: and the token is there, for which its module is loaded.
 * Errors: DV_ERR_INVALID, with the place. */
dv_must dv_result dv_data_keys_check(const char *state_dir, const dv_yaml *encryption, bool find,
                                     dv_error *error);

/* Takes the section, or NULL. Errors: as above. */
dv_must dv_result dv_data_keys_set(dv_data_keys *keys, const dv_yaml *encryption, dv_error *error);

/* Recurring work: tells what is in the keystore's journal and was not told yet, then rotates keys
 * of type aes256 that are due. What can not be rotated (the keystore wants a passphrase that nobody
 * types) is told as an alarm "data.key_rotation", once a day. Waits for nobody. */
dv_must dv_result dv_data_keys_tick(dv_services *services, dv_time now, dv_error *error);
