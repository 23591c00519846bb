/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/slice.h"

/* The length of the longest valid UTF-8 prefix (RFC 3629: no surrogates, no overlong forms, at
 * most U+10FFFF): all of it when the bytes are UTF-8, otherwise where the first bad or incomplete
 * sequence begins. */
size_t dv_utf8_prefix(dv_slice bytes);
