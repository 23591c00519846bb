/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/result.h"

#include <stdio.h>

/* The file to read, "-" is standard input. Errors: DV_ERR_NOT_FOUND, DV_ERR_INVALID (a folder). */
dv_must dv_result dv_data_open(const char *path, FILE **ret_in, dv_error *error);
void dv_data_close(FILE *in);

/* A source's `get` over a FILE. */
dv_must dv_result dv_data_read_file(void *file, uint8_t *out, size_t room, size_t *ret_len);
