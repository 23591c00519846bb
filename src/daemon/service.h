/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How the programs that `dvara up` starts read their command line and take signals. */

#include "base/macros.h"

typedef struct dv_service_options {
    const char *state_dir;   /* as in argv */
    const char *runtime_dir; /* as in argv */
    const char *config;      /* as in argv; NULL: not given */
} dv_service_options;

/* What a program says of itself. */
typedef struct dv_service_about {
    const char *usage; /* whole lines */
    const char *version;
    bool has_config; /* knows --config */
} dv_service_about;

/* Also has crashes told from here on (base/crash.h). True when the command line is whole. Otherwise
 * what is to be said was said, and *ret_status is the exit status: 0 for --help and --version,
 * else 2. */
dv_must bool dv_service_arguments(int argc, char **argv, const dv_service_about *about,
                                  dv_service_options *ret_options, int *ret_status);

/* A descriptor, which the caller closes, that SIGTERM, SIGINT and SIGHUP come through from now on;
 * SIGPIPE is ignored. -1: errno says why. */
dv_must int dv_service_signals(void);
