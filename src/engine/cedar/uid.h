/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Entity uids in canonical text; private to the engine. */

#include "base/arena.h"

/* True when the text is identifiers joined by "::", none of them reserved (specs: syntax-grammar,
 * Path and RESERVED). */
bool dv_cedar_path_valid(dv_slice path);

/* True when the text is an identifier and not reserved. */
bool dv_cedar_ident_valid(dv_slice ident);

/* The type in front of a canonical uid. Errors: DV_ERR_INVALID when it is none; only the outer form
 * is looked at. */
dv_must dv_result dv_cedar_uid_type(dv_slice uid, dv_slice *ret_type);
