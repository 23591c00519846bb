/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a policy's `context` holds, the same at the gate and wherever a decision is explained. */

#include "engine/cedar/cedar.h"
#include "room/auth/gate/auth_gate.h"

/* Makes the record in the arena:
 *   now         datetime, UTC
 *   weekday     long, 1 (Monday) to 7 (Sunday), of now (ISO 8601-1 section 4.3.8)
 *   address     ipaddr of the caller; absent over a unix socket
 *   credential  string: "api_key"
 *   mfa         bool: whether a second factor was used
 *   scopes      set of strings: what the credential is confined to; empty: not confined
 * Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_auth_context_make(const dv_credential *credential,
                                       const dv_auth_request *request, dv_arena *arena,
                                       dv_cedar_value *ret_context);

/* 1 (Monday) to 7 (Sunday). */
int dv_auth_weekday(dv_time time);
