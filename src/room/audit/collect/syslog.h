/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Syslog messages: RFC 5424, and what is called RFC 3164 (section 4.1 of it, and the ways in which
 * programs deviate: no host, a year, an RFC 3339 time, no priority in files). */

#include "room/audit/collect/parser.h"

/* Reads the header into the line (facility, severity, time, host, program, pid, message_id,
 * structured) and sets its text to the message behind it; line->now must be set. Slices of message.
 * wire: it came as a syslog message, so all of it is one, however broken its header is. Otherwise
 * it is a line of a file, and only a whole header (time, host, tag) is taken for one; false: it has
 * none, and the line is as it was. */
bool dv_syslog_read(dv_slice message, bool wire, dv_line *line);
