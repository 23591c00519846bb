/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Users, groups, roles, service accounts and API keys: the side that writes. What it keeps in SQL
 * it shows the gates through the snapshot. Wired up by daemon/. */

#include "base/clock.h"
#include "core/config.h"
#include "core/services.h"

/* Makes what a first start needs (the pepper in STATE/keys, the built-in roles, the user `admin`
 * with an API key in STATE/admin-credentials) and brings the snapshot up to the store: replays
 * what a crash left out, or rebuilds. The answer is final before anything is served. */
dv_must dv_result dv_auth_control_start(dv_services *services, dv_error *error);

/* Recurring work, to be called about every ten seconds: writes the last use of API keys, as the
 * workers noted it in RUNTIME/usage, in one transaction; and retries what the snapshot misses. */
dv_must dv_result dv_auth_control_tick(dv_services *services, dv_time now, dv_error *error);

/* Who is who, for the room of data. */
struct dv_people_source;
extern const struct dv_people_source dv_auth_people;

/* `rbac:` of dvara.yaml: {roles: {NAME: {permissions: [..], inherits: [..], description: ".."}}}.
 * Roles named there belong to the file: the API can not change or delete them. */
extern const dv_config_section dv_auth_rbac_section;
