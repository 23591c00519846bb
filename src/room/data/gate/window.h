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
 * 3. Between events no buffer is much larger than what it holds. */
typedef struct dv_window dv_window;

/* json: pieces of a JSON text (tool-call arguments). NULL: memory is out. */
dv_window *dv_window_new(bool json);
void dv_window_free(dv_window *window); /* NULL is left alone */
DV_DEFINE_AUTO_PTR(window, dv_window, dv_window_free)

/* Text is waiting to go out. */
bool dv_window_holds(const dv_window *window);
/* Bytes that the window takes up. */
size_t dv_window_memory(const dv_window *window);

/* Adds a piece of text. Errors: DV_ERR_TOO_LARGE, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_window_push(dv_window *window, dv_slice text);

/* What stands in the text that may go now. */
typedef struct dv_window_found {
    const dv_data_hit *hits; /* in pass->temp */
    size_t count;
    size_t hold; /* the first byte of the view that has to wait */
} dv_window_found;

/* Looks at what was added; `last`: nothing has to wait. Errors: those of dv_data_pass_search. */
dv_must dv_result dv_window_look(const dv_window *window, dv_data_pass *pass, bool last,
                                 dv_window_found *ret_found);
/* Appends to out what may go, masked and restored, right after dv_window_look. place: of the text,
 * for what is noted. On a block the verdict is denied and out is not to be used. */
dv_must dv_result dv_window_take(dv_window *window, dv_data_pass *pass,
                                 const dv_window_found *found, const char *place, bool last,
                                 dv_buf *out);
