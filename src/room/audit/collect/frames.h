/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Messages out of a stream of bytes: lines, or syslog's two framings (RFC 6587 section 3.4: octet
 * counting, and a newline behind each). Of a message over DV_LIMIT_COLLECT_LINE the beginning is
 * kept, and all of it is counted and hashed. */

#include "base/buf.h"
#include "crypto/hash.h"

typedef struct dv_frame {
    dv_slice bytes;              /* without what frames it; valid until the next call */
    uint64_t size;               /* of the whole; more than bytes.len: it was cut */
    uint64_t taken;              /* bytes of the stream, what frames it included */
    uint8_t hash[DV_SHA256_LEN]; /* of the whole, when it was cut */
} dv_frame;

typedef struct dv_frames {
    dv_buf kept; /* what came of the message that is not whole yet */
    dv_sha256_stream *hash;
    uint64_t size;  /* of the message so far */
    uint64_t taken; /* bytes of the stream that are in it */
    uint64_t left;  /* octet counting: bytes to come */
    bool counting;  /* in a counted message */
    bool counts;    /* octet counting is understood */
    bool broken;    /* a count that can't be: nothing behind it can be read */
} dv_frames;

dv_frames dv_frames_init(bool counts);
void dv_frames_release(dv_frames *frames);

/* Takes the next message off the front of *input; false: it is not whole yet, and *input is empty,
 * or the stream is broken. */
bool dv_frames_next(dv_frames *frames, dv_slice *input, dv_frame *ret_frame);
/* What is there without its end: the stream is over. False: nothing is. */
bool dv_frames_last(dv_frames *frames, dv_frame *ret_frame);
/* Forgets what is not whole. */
void dv_frames_reset(dv_frames *frames);
