/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Entity uids in canonical text; private to the engine. */

#include "base/arena.h"
#include "base/buf.h"

/* True when the text is identifiers joined by "::", none of them reserved (specs: syntax-grammar,
 * Path and RESERVED). */
bool dv_cedar_path_valid(dv_slice path);

/* True when the text is an identifier and not reserved. */
bool dv_cedar_ident_valid(dv_slice ident);

/* The type in front of a canonical uid. Errors: DV_ERR_INVALID when it is none; only the outer form
 * is looked at. */
dv_must dv_result dv_cedar_uid_type(dv_slice uid, dv_slice *ret_type);

/* Takes a canonical uid apart: the type borrowed, the id with its escapes read, borrowed or in the
 * arena. Errors: DV_ERR_INVALID, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_uid_read(dv_slice uid, dv_arena *arena, dv_slice *ret_type,
                                    dv_slice *ret_id);

/* Appends the text with escapes, as it stands between quotes in a policy or a uid. In a pattern a
 * star is escaped as well. Errors: the buffer's. */
dv_must dv_result dv_cedar_escape(dv_buf *out, dv_slice text, bool pattern);
