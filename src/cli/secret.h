/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"

enum { DV_SECRET_MAX = 64 << 10 };

/* Reads a secret from a file, "-": standard input, without the line end at its end. out must be
 * wiped. Errors: DV_ERR_IO, DV_ERR_TOO_LARGE, DV_ERR_INVALID (empty), DV_ERR_FORBIDDEN (a file that
 * others may read, unless it is a systemd credential). */
dv_must dv_result dv_secret_read(const char *path, dv_buf *out, dv_error *error);

/* Asks for it on the terminal, without echo. Errors: DV_ERR_INVALID when there is no terminal:
 * says to use --NAME-file. */
dv_must dv_result dv_secret_ask(const char *name, dv_buf *out, dv_error *error);
