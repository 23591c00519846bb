/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to decoding: where in a text something may stand encoded. Most of what people write has
 * no such place, and then this pass is all that decoding costs.
 *
 * A place is a sign that begins an encoded character (what of them could belong to a value,
 * dv_view_element says), a letter between two digits that looks like one, or the beginning of a run
 * of DV_DECODE_BLOCK_MIN digits of base64 or more. */

#include "base/slice.h"

/* The first place at `at` or behind it; text.len: there is none. */
size_t dv_marks_next(dv_slice text, size_t at);
