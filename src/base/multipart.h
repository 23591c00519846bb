/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A form with files: multipart/form-data (RFC 7578) of a whole body. What two programs could read
 * in two ways is refused, so that whoever reads the same bytes sees the same parts: text around the
 * parts, a boundary that stands in data, header fields that are folded, repeated or unknown,
 * escapes in names, RFC 2231's parameters (RFC 7578 section 4.2), nested forms, other encodings. */

#include "base/result.h"
#include "base/slice.h"

enum {
    DV_MULTIPART_PARTS_MAX = 64,
    DV_MULTIPART_HEAD_MAX = 4096, /* bytes of one part's header fields */
    DV_MULTIPART_NAME_MAX = 256,  /* of its name */
    DV_MULTIPART_BOUNDARY_MAX = 70,
};

/* All of it borrowed from the body. */
typedef struct dv_multipart_part {
    dv_slice name; /* printable ASCII without quotes, backslashes and percent signs; not empty */
    dv_slice filename; /* UTF-8 without quotes and backslashes; ptr NULL: a field, not a file */
    dv_slice type;     /* the value of its Content-Type; empty: none */
    dv_slice length;   /* the whole line that tells its length, which is right; empty: none */
    dv_slice data;
} dv_multipart_part;

/* The boundary of `multipart/form-data; boundary=...` (RFC 2046 section 5.1.1), borrowed. Errors:
 * DV_ERR_UNSUPPORTED (another media type), DV_ERR_INVALID (none, two, or one that could be read in
 * two ways). */
dv_must dv_result dv_multipart_boundary(dv_slice content_type, dv_slice *ret_boundary,
                                        dv_error *error);

/* Errors: DV_ERR_INVALID, DV_ERR_TOO_LARGE; the message tells the number of the part, never what
 * stands in it. */
dv_must dv_result dv_multipart_parse(dv_slice body, dv_slice boundary,
                                     dv_multipart_part parts[DV_MULTIPART_PARTS_MAX],
                                     size_t *ret_count, dv_error *error);
