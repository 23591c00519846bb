/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to room/audit/collect: how the line itself is kept in its event. */

#include "room/audit/collect/parser.h"
#include "room/audit/collect/record.h"

enum { DV_KEEP_BEGINNING = 16 << 10 /* bytes, as written, of a line that has a blob */ };

/* Writes raw_data, and where not all of it fits its size and SHA-256, too. Bytes that are no UTF-8
 * are written in base64. Returns whether all of it is there.
 *
 * A record takes DV_LIMIT_RECORD in all; longer lines are cut here, and nowhere else. Of one that
 * has a blob the beginning alone is written. */
bool dv_keep_raw(dv_record_writer *writer, const dv_line *line, bool base64);
