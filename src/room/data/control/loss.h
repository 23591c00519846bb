/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `loss_prevention:` of dvara.yaml, key by key. */

#include "base/buf.h"
#include "base/yaml.h"

/* fingerprints: of the section (NULL: there is none), as a member of one direction's policy
 * (,"fingerprints":[...]); nothing where no set is meant. Opens each file and checks all of it.
 * runtime: where copies for the gate are kept, which are named then (loss_sets.h); NULL: none. */
dv_must dv_result dv_data_loss_fingerprints(const dv_yaml *section, bool answer,
                                            const char *runtime, dv_buf *out, dv_error *error);
