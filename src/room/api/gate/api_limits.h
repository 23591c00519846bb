/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which limits a request meets, what it reserves, and what of that it took after all. */

#include "room/api/gate/api_request.h"

/* When a limit is charged: requests and what runs at once as soon as it is known whom they are
 * about, tokens and cost when the body is read. */
typedef enum dv_api_when { DV_API_AT_ONCE = 0, DV_API_RESERVED } dv_api_when;

/* Tokens of a request, and what they cost in millionths. */
typedef struct dv_api_amount {
    uint64_t input;
    uint64_t output;
    uint64_t cost;
    const dv_api_price *price; /* NULL: costs nothing */
} dv_api_amount;

/* The tokens that the model server is to be told to hold to with the route's own member, for each
 * choice: what the request said with another one, else the route's max_tokens, else
 * DV_API_TOKENS_DEFAULT. 0: the request says it with that member, or nothing is generated. */
uint64_t dv_api_cap(const dv_api_route *route, const dv_api_body *body, uint64_t body_bytes);

/* What a request reserves: a token a byte of its body, and max_tokens (else dv_api_cap) for each
 * choice of each prompt. */
dv_api_amount dv_api_reserve(const dv_api_config *config, const dv_api_route *route,
                             const dv_api_body *body, uint64_t body_bytes);

/* What became of the request, as far as the gate saw it. */
typedef struct dv_api_spent {
    bool sent;           /* a byte of it went to a model server */
    bool asked;          /* all of it did: an answer may have been begun */
    bool whole;          /* its answer came to its end, and was passed on */
    bool left;           /* the caller went away before */
    bool timed_out;      /* its answer did not come in time */
    bool streamed;       /* the answer is seen as it comes */
    int status;          /* of the model server; 0: no answer */
    int64_t input;       /* what its answer said; -1: nothing that could be */
    int64_t output;      /* the same */
    uint64_t text_bytes; /* of text that it emitted, decoded; the least that it took */
    uint64_t seen_bytes; /* a token each where nothing is told: text_bytes, or where those are not
                            known, or not all, the answer's whole length */
} dv_api_spent;

enum {
    DV_API_TOKEN_BYTES_MAX = 8, /* a token of text has no more on the average */
    DV_API_TOLD_MAX = 1 << 24,  /* beyond any model's window: of a count beyond it, and beyond what
                                   was reserved, no more is believed than that */
};

/* What it took, by these rules:
 *
 *   not sent, or refused by the model server without a count   nothing
 *   input tokens told                                          as told
 *   output tokens told                                         as told
 *   not told, or a stream cut off                              all of the input, unless told; a
 *                                                              token a byte of text, what was
 *                                                              reserved at most
 *   left, or out of time, before an answer came that is only
 *   seen whole, or before the head of any                      all of it; before it was asked for,
 *                                                              all of the input
 *   no answer                                                  all of the input
 *
 * Text that was emitted counts a token for every DV_API_TOKEN_BYTES_MAX bytes at least, whatever
 * was told and reserved. */
dv_api_amount dv_api_settle(const dv_api_amount *reserved, const dv_api_spent *spent);

/* The charges of one acquisition, with the kind of each; they grow in the arena. */
typedef struct dv_api_charges {
    dv_arena *arena;
    dv_limit_charge *charges;
    uint8_t *kinds; /* of dv_api_limit_kind */
    size_t count;
    size_t room;
    bool held; /* some are to be given back when the request ends */
} dv_api_charges;

/* The text under which a subject's own limits lie: "limit/group/ml"; what follows
 * DV_API_NAMED_PREFIX names its counters. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_api_subject(dv_arena *arena, dv_slice kind, dv_slice name,
                                 dv_slice *ret_subject);
dv_slice dv_api_subject_key(dv_slice subject);

/* Adds a subject's limits: its own, and those of its kind that they leave in place. own may be
 * NULL, amount is needed for DV_API_RESERVED. Errors: DV_ERR_TOO_LARGE (more than
 * DV_LIMIT_CHARGES_MAX), DV_ERR_NO_MEMORY, DV_ERR_NOT_FOUND (a limit of cost, but the model has no
 * price). */
dv_must dv_result dv_api_charges_add(dv_api_charges *charges, dv_api_limit_kind kind, dv_slice key,
                                     const dv_api_limits *of_kind, const dv_api_limits *own,
                                     dv_api_when when, const dv_api_amount *amount);

/* What a limit is called where one is told: "key", "key-tokens", "group-cost-month". Returns the
 * length. */
enum { DV_API_LIMIT_TEXT_MAX = 48 };
size_t dv_api_limit_text(dv_api_limit_kind kind, const dv_limit_charge *charge,
                         char out[DV_API_LIMIT_TEXT_MAX]);
