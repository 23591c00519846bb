/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/dvarad_logons.h"

#include <stdio.h>
#include <string.h>

static const dv_time quiet = 15 * 60 * DV_SECOND;

static void name_of(dv_slice credential, const char *address, char out[DV_LOGON_NAME_MAX])
{
    snprintf(out, DV_LOGON_NAME_MAX, "%.*s %.64s", DV_SLICE_ARGS(dv_slice_sub(credential, 0, 24)),
             address);
}

/* The name's row, or the one that it takes. */
static size_t find(const dv_logons *logons, const char *name)
{
    size_t oldest = 0;
    for (size_t i = 0; i < DV_LOGONS_MAX; i++) {
        if (strcmp(logons->rows[i].name, name) == 0) {
            return i;
        }
        if (logons->rows[i].seen < logons->rows[oldest].seen) {
            oldest = i;
        }
    }
    return oldest;
}

bool dv_logons_note(dv_logons *logons, dv_slice credential, const char *address, dv_time now)
{
    char name[DV_LOGON_NAME_MAX];
    name_of(credential, address, name);
    size_t row = find(logons, name);
    bool known = strcmp(logons->rows[row].name, name) == 0;
    dv_time since = now - logons->rows[row].seen; /* a clock that was put back begins anew */
    memcpy(logons->rows[row].name, name, sizeof(name));
    logons->rows[row].seen = now;
    return !known || since < 0 || since >= quiet;
}

void dv_logons_forget(dv_logons *logons, dv_slice credential, const char *address)
{
    char name[DV_LOGON_NAME_MAX];
    name_of(credential, address, name);
    size_t row = find(logons, name);
    if (strcmp(logons->rows[row].name, name) == 0) {
        memset(&logons->rows[row], 0, sizeof(logons->rows[row]));
    }
}
