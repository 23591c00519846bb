/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* When people log on to the control plane. There is no session: each call shows its API key. A
 * person logs on with the first call of a key from an address, and again after a time without any.
 */

#include "base/clock.h"
#include "base/slice.h"

enum { DV_LOGONS_MAX = 256, DV_LOGON_NAME_MAX = 96 };

typedef struct dv_logons {
    struct {
        char name[DV_LOGON_NAME_MAX]; /* credential and address; "": free */
        dv_time seen;
    } rows[DV_LOGONS_MAX];
} dv_logons;

/* Notes a call; whether it is a logon. Of more than DV_LOGONS_MAX at a time the one that was quiet
 * longest is forgotten, and logs on again with its next call. */
bool dv_logons_note(dv_logons *logons, dv_slice credential, const char *address, dv_time now);
/* The logon of the last call could not be recorded: the next call is one. */
void dv_logons_forget(dv_logons *logons, dv_slice credential, const char *address);
