/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Names, places, organizations, addresses and the like in text: what no pattern can describe. A
 * linear-chain tagger over words with hashed features and a trained model (tools/tagger; its card
 * is names.md). Knows no policy.
 *
 * Deterministic: whole-number arithmetic, the same on every machine. Work is linear in the text. */

#include "base/arena.h"

typedef enum dv_tagger_type {
    DV_TAGGER_PERSON = 0,   /* names of people, without their title */
    DV_TAGGER_LOCATION,     /* countries, states, cities, regions */
    DV_TAGGER_ORGANIZATION, /* companies, institutions, agencies */
    DV_TAGGER_ADDRESS,      /* a postal address, from its house number to its last part */
    DV_TAGGER_DATE_TIME,    /* days and months as written by people */
    DV_TAGGER_AGE,          /* the number of years of a person's age */
    DV_TAGGER_NRP,          /* nationality, religion, political group */
    DV_TAGGER_TITLE,        /* Mr, Dr, Prof, Shri ... */
    DV_TAGGER_TYPES,
} dv_tagger_type;

#define DV_TAGGER_ALL UINT32_C(0xff) /* bit = dv_tagger_type */

enum {
    DV_TAGGER_CONTEXT = 320, /* bytes before `from` that decide on what stands there */
    DV_TAGGER_HELD = 8192,   /* dv_tagger_find never holds back more bytes than this */
};

/* A piece of text and what it names. */
typedef struct dv_tagger_span {
    uint32_t start; /* byte in the text */
    uint32_t end;   /* one past the last */
    uint8_t type;   /* dv_tagger_type */
    uint8_t score;  /* 1 to 100: how many in 100 spans as sure as this one were right when the model
                       was measured on texts that it had not learned from */
} dv_tagger_span;

typedef struct dv_tagger_model dv_tagger_model; /* read-only, shared by all threads */
typedef struct dv_tagger dv_tagger;             /* one for each thread: some 20 KiB */

/* The model that was built into the program. */
dv_must dv_result dv_tagger_model_builtin(dv_tagger_model **ret_model, dv_error *error);

/* A model from a file's bytes (a mapping will do), which are borrowed, begin at a multiple of 16
 * and outlive the model. Errors: DV_ERR_INVALID: no model, another version, damaged;
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_tagger_model_open(dv_slice file, dv_tagger_model **ret_model, dv_error *error);
void dv_tagger_model_free(dv_tagger_model *model);
DV_DEFINE_AUTO_PTR(tagger_model, dv_tagger_model, dv_tagger_model_free)

/* "person", "location", "organization", "address", "date_time", "age", "nrp", "title". */
const char *dv_tagger_type_name(dv_tagger_type type);

dv_must dv_result dv_tagger_new(const dv_tagger_model *model, dv_tagger **ret_tagger);
void dv_tagger_free(dv_tagger *tagger);
DV_DEFINE_AUTO_PTR(tagger, dv_tagger, dv_tagger_free)

/* Finds spans that start at byte `from` or later in text (UTF-8; any bytes are borne); what stands
 * before it is only looked back at. Give at least DV_TAGGER_CONTEXT bytes of it, or all there is.
 * A NUL byte ends every span, so strings can be joined with NULs and searched at once.
 * enabled: which types are told of (DV_TAGGER_ALL); the others are found and left out.
 *
 * more: text follows. *ret_hold is then the first byte that what follows could still change: spans
 * before it are told, those behind are not. Keep the text from DV_TAGGER_CONTEXT bytes before it,
 * and search again from it: together the searches tell exactly what one search of the whole text
 * tells. Without more it is text.len.
 *
 * Spans are sorted by start, do not overlap and lie in the arena. Errors: DV_ERR_TOO_LARGE beyond
 * DV_LIMIT_FINDINGS spans or 4 GiB of text, DV_ERR_NO_MEMORY: treat as blocked. */
dv_must dv_result dv_tagger_find(dv_tagger *tagger, dv_slice text, size_t from, bool more,
                                 uint32_t enabled, dv_arena *arena,
                                 const dv_tagger_span **ret_spans, size_t *ret_count,
                                 size_t *ret_hold);
