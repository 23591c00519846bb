/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where encrypted files come from and go to. */

#include "cli/progress.h"
#include "crypto/stream.h"

#include <limits.h>

/* What is read: a file, or "-". */
typedef struct dv_seal_input {
    const char *name;
    int fd;
    uint64_t size; /* 0: not known */
    uint64_t done;
    dv_progress_bar bar;
} dv_seal_input;

dv_must dv_result dv_seal_input_open(dv_cli *cli, const char *path, dv_seal_input *ret_input,
                                     dv_error *error);
void dv_seal_input_close(dv_seal_input *input);
DV_DEFINE_AUTO(seal_input, dv_seal_input, dv_seal_input_close)
/* A dv_stream_source's get. */
dv_must dv_result dv_seal_input_get(void *input, uint8_t *out, size_t room, size_t *ret_len,
                                    dv_error *error);

/* What is written: "-", something that is no regular file (a pipe, /dev/null), or a file, which
 * gets its name when it is whole. Until then it has none where the file system can do that, so that
 * nothing is left of it whatever ends this program; otherwise PATH.XXXXXX, mode 0600. */
typedef struct dv_seal_output {
    char path[PATH_MAX];
    char part[PATH_MAX + 16]; /* its name until then; "": none */
    int fd;
    bool file;
} dv_seal_output;

dv_must dv_result dv_seal_output_open(const char *path, dv_seal_output *ret_output,
                                      dv_error *error);
/* What was not finished is removed. */
void dv_seal_output_close(dv_seal_output *output);
DV_DEFINE_AUTO(seal_output, dv_seal_output, dv_seal_output_close)
/* A dv_stream_sink's put. */
dv_must dv_result dv_seal_output_put(void *output, dv_slice bytes, dv_error *error);
/* It is whole: on the disk, with its name. */
dv_must dv_result dv_seal_output_finish(dv_seal_output *output, dv_error *error);
