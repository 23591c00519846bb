/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macros.h"

/* Where the state is: what --state said (or NULL), DVARA_STATE, ./.dvara if it is there,
 * /var/lib/dvara for root, otherwise $XDG_STATE_HOME/dvara or ~/.local/state/dvara. Returns a
 * malloc'd path; NULL when there is no home or memory. *ret_said: it was named by a person. */
char *dv_cli_state_dir(const char *option, bool *ret_said);
