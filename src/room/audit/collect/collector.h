/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Takes lines from elsewhere into the spool: one loop, one thread, no privileges.
 *
 * Invariants:
 * 1. A line is acknowledged (HTTP 200, a file's position, a journal's cursor) when its record is in
 *    the spool, and not before.
 * 2. While the spool or the disk takes nothing, nothing is read: senders over TCP wait, files and
 *    journals stay, HTTP is answered 503, and what the kernel then drops of UDP is counted. The
 *    beginning and the end of that are alarms in the log; room for them is reserved.
 * 3. The collector stops while the disk has less than keep_free, or while spool_max waits for
 *    dvara-logd: a flood can't take what the gate needs to record its own decisions.
 * 4. Every input has a rate of its own, and each turn of the loop gives each that is ready a
 * bounded share: no input starves another.
 * 5. Whatever bytes come, they become an event or a number in an alarm: nothing is dropped in
 *    silence. */

#include "engine/log/spool.h"
#include "room/audit/collect/config.h"

typedef struct dv_collector dv_collector;

typedef struct dv_collector_options {
    const char *state_dir;         /* positions in STATE/collect, spool in STATE/spool */
    const char *runtime_dir;       /* log.pub; the report is RUNTIME/collect/status */
    void (*say)(const char *line); /* to the operator */
} dv_collector_options;

/* Errors: DV_ERR_NOT_FOUND (dvara-logd has not left its key yet), DV_ERR_IO. */
dv_must dv_result dv_collector_open(const dv_collector_options *options,
                                    dv_collector **ret_collector, dv_error *error);
void dv_collector_close(dv_collector *collector);

/* Reads the section `audit:` of the file and opens what it names; inputs that are the same as
 * before go on untouched. After an error some of them may be closed: end, and start anew. */
dv_must dv_result dv_collector_configure(dv_collector *collector, const char *path,
                                         dv_error *error);

/* Runs until the descriptor is readable, at most a second. True: it is. */
bool dv_collector_turn(dv_collector *collector, int signals);
