/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The kinds of events that Dvara makes (metadata.event_code), but for collected.PARSER. */

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

/* By name; NULL behind the last. */
extern const char *const dv_event_kinds[];
extern const size_t dv_event_kind_count;

/* Whether events are of that kind: one of them, or with '*' at its end what several begin with. */
bool dv_event_kind_is(const char *kind);
