/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "room/data/gate/gate_private.h"
#include "room/data/gate/nesting.h"

/* The text of one channel of a stream (a choice's content, a tool call's arguments), of which only
 * the end is kept: what was released and still is context, and what is held back.
 *
 *   view   [ context | held back ]      what detectors read; escapes of JSON are decoded
 *                    ^ from
 *   raw              [ held back | ]    the same bytes as they came (JSON only)
 *
 * 1. Nothing of `held back` has gone out; all before it has, masked where it had to be.
 * 2. The context is the text as the model told it, not as it went out.
 * 3. At most DV_LIMIT_STREAM_HOLD bytes stay held back. */
typedef struct dv_window {
    bool json;          /* pieces of a JSON text: tool-call arguments */
    uint8_t state;      /* of the JSON text after what was decoded */
    dv_nesting nesting; /* of the string that the state is in */
    dv_buf view;
    size_t from;
    dv_buf raw;
    dv_buf map; /* for each held back byte of view, 4 bytes: where it began in raw, and in what */
    size_t decoded; /* bytes of raw that are in view */
} dv_window;

void dv_window_init(dv_window *window, bool json);
void dv_window_release(dv_window *window);

/* Text is waiting to go out. */
bool dv_window_holds(const dv_window *window);

/* Adds a piece of text. Errors: DV_ERR_TOO_LARGE, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_window_push(dv_window *window, dv_slice text);

/* Appends to out what may go now, masked and restored; `last`: all there is. On a block the verdict
 * is denied and out is not to be used. Errors: DV_ERR_TOO_LARGE (too much held back) and others. */
dv_must dv_result dv_window_take(dv_window *window, dv_data_pass *pass, const char *place,
                                 bool last, dv_buf *out);
