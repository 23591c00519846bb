/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is computed over a whole body, without nginx's types: small bodies at once, large ones in a
 * thread (pool.h). A thread may touch what stands here and what nobody writes (configuration, rules
 * of the detectors), nothing else. */

#include "gateway/worker.h"
#include "room/api/gate/api_request.h"

#include <sys/types.h>

enum {
    /* Bytes from which a body is large. Below, handing it over costs more than it saves others. */
    DV_WORK_LARGE = 32 << 10,
    /* Nanoseconds, about, that searching a body on the event loop may take. Text that was made to
     * be slow takes longer: then a thread begins anew. */
    DV_WORK_EFFORT = 400 * 1000,
};

/* A part of a body that lies in a file. */
typedef struct dv_work_piece {
    uint8_t *to;
    size_t len;
    off_t at;
} dv_work_piece;

typedef struct dv_work {
    dv_data_gate *gate; /* of the thread that computes */
    dv_arena *arena;    /* nobody else's meanwhile */
    const dv_gate_config *config;
    const dv_api_route *route;
    dv_data_context *context;
    const dv_data_policy *request_policy; /* NULL: it is not inspected */
    const dv_data_policy *answer_policy;
    dv_slice bytes;              /* the body */
    dv_slice boundary;           /* of a form; in the arena */
    const dv_work_piece *pieces; /* still to be read from `file`; in the arena */
    size_t piece_count;
    int file;        /* its descriptor, owned; -1: none */
    bool text;       /* an answer's body is text or a file, not JSON */
    uint64_t effort; /* that inspecting may take; 0: as much as it needs */
    bool count_text; /* text_bytes is asked for */
    uint64_t cap;    /* that the body is to bound its answer with; 0: it does, or need not */

    bool checked; /* dv_work_check came to its end and had nothing against the body */
    dv_json json;
    dv_api_body body;
    dv_data_outcome outcome;
    dv_api_insert inserts[2]; /* for the gate's sake, in the text that the outcome has; ascending */
    size_t insert_count;
    bool asks_usage;      /* of the stream: the caller did not */
    int64_t input_tokens; /* of an answer's usage; -1: not told */
    int64_t output_tokens;
    uint64_t text_bytes; /* of what an answer generated, decoded */
    dv_result result;
    dv_verdict verdict;
} dv_work;

/* True when the route's rules speak of the body, so that it is read. */
bool dv_work_reads(const dv_api_route *route);

/* Reads what lies in the file, scans the JSON and checks it against the route (json, body). On a
 * denial the verdict tells it; otherwise it is left unset, and `checked` is set. */
void dv_work_check(dv_work *work);

/* Inspects the request's body: verdict, result and outcome as dv_data_gate_request gives them, and
 * finds where it has to ask for the stream's usage; DV_ERR_AGAIN: it takes more than `effort`. */
void dv_work_inspect(dv_work *work);

/* The same for an answer's body; reads its usage, too. */
void dv_work_answer(dv_work *work);

/* Makes the body's bytes the arena's own. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_work_own(dv_work *work);

/* Closes the file, if it is open. */
void dv_work_release(dv_work *work);
