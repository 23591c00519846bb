/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reads certificates of destruction (room/data/control/disposal/certificate.c writes them), which
 * may come from anybody. */

#include "base/result.h"
#include "base/slice.h"

enum {
    DV_CERTIFICATE_MAX = 16 << 20, /* bytes of the text */
    DV_CERTIFICATE_ID_MAX = 37,
    DV_CERTIFICATE_HASH_MAX = 65,
    DV_CERTIFICATE_TIME_MAX = 64,
};

typedef struct dv_certificate {
    char id[DV_CERTIFICATE_ID_MAX];
    char sha256[DV_CERTIFICATE_HASH_MAX]; /* of the text, hexadecimal */
    char finished[DV_CERTIFICATE_TIME_MAX];
    int64_t version; /* 1: of files; 2: of tables, or of a vault or cases */
    uint64_t files;  /* or tables, entries of a vault, cases */
    uint64_t destroyed;
    uint64_t rows; /* of tables, that were destroyed */
} dv_certificate;

/* Checks what the text says against itself: each file has an outcome, what was destroyed the hash
 * of its contents, a table how many rows and by which time, and as many are told as destroyed as
 * there are. Errors: DV_ERR_INVALID, with a
 * message; DV_ERR_TOO_LARGE; DV_ERR_NO_MEMORY. */
dv_must dv_result dv_certificate_read(dv_slice text, dv_certificate *ret_certificate,
                                      dv_error *error);

/* Whether the event of the log is that of this certificate: dvarad's own, with its id and hash.
 * Errors: DV_ERR_CORRUPT, with a message; DV_ERR_NO_MEMORY. */
dv_must dv_result dv_certificate_check_event(const dv_certificate *certificate, dv_slice event,
                                             dv_error *error);
