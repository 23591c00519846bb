/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Another program at the end of a pipe: it reads what we write, or we read what it writes. Its
 * messages go to our standard error; it gets our environment, and no shell. */

#include "base/result.h"
#include "base/slice.h"

#include <sys/types.h>

typedef struct dv_program {
    const char *name;
    pid_t pid; /* 0: not running */
    int fd;    /* our end; -1: closed */
} dv_program;

/* argv: NULL-ended, argv[0] is looked for in PATH. reads: it reads from us; else it writes to us.
 * SIGPIPE is ignored in this process from here on. Errors: DV_ERR_NOT_FOUND (no such program),
 * DV_ERR_IO. */
dv_must dv_result dv_program_start(const char *const *argv, bool reads, dv_program *ret_program,
                                   dv_error *error);
/* Errors: DV_ERR_IO: it does not read any more. */
dv_must dv_result dv_program_write(dv_program *program, dv_slice bytes, dv_error *error);
/* The next bytes; none: it has closed its end. */
dv_must dv_result dv_program_read(dv_program *program, uint8_t *out, size_t room, size_t *ret_len,
                                  dv_error *error);
/* Closes our end and waits for it. Errors: DV_ERR_IO: it ended with another status than 0. */
dv_must dv_result dv_program_end(dv_program *program, dv_error *error);
/* Kills it, if it is still there. */
void dv_program_stop(dv_program *program);
