/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Answers of receivers, which are outside data: read whole or not believed. */

#include "room/audit/export/kind.h"

/* The answer of OpenSearch's bulk API:
 *   {"took":3,"errors":true,"items":[{"create":{"_id":"..","status":201}}, ...]}
 * one item for each event, in their order. 2xx and 409 (it is there already) are done; 429 and 5xx
 * stay pending; any other status refuses the event. Errors: DV_ERR_UNAVAILABLE (no such answer:
 * nothing is taken as done, or all of them are to come again). */
dv_must dv_result dv_bulk_apply(dv_slice body, dv_export_chunk *chunk, dv_error *error);

/* How many records OTLP's partial success rejected; why: its message, when there were any. */
uint64_t dv_otlp_rejected(dv_slice body, dv_arena *arena, char why[DV_EXPORT_WHY_MAX]);
