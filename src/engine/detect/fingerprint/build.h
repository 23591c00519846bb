/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Makes a set, in memory: some 60 bytes for each cell of a table, 16 for each fingerprint of a
 * document (of every 21 letters one), and the file itself. */

#include "engine/detect/fingerprint/fingerprint.h"

enum {
    DV_FINGERPRINT_CELLS_MAX = 32 << 20, /* with the beginnings of values of several words */
    DV_FINGERPRINT_DOCUMENTS_MAX = 100000,
    DV_FINGERPRINT_DOCUMENT_MAX = 64 << 20, /* normalised bytes of one document */
    DV_FINGERPRINT_NAME_MAX = 128,          /* bytes of a column's or document's name */
    DV_FINGERPRINT_WITHIN_MAX = 10000,
    DV_FINGERPRINT_ROW_MAX = 1000,
};

typedef struct dv_fingerprint_rules {
    const char *columns[DV_FINGERPRINT_COLUMNS];
    uint32_t column_count;
    uint32_t alone; /* a bit for each column */
    uint32_t least;
    uint32_t within;
    uint32_t row;
    uint32_t share;
} dv_fingerprint_rules;

/* What holds where nobody says otherwise; without columns. */
extern const dv_fingerprint_rules dv_fingerprint_rules_default;

typedef struct dv_fingerprint_builder dv_fingerprint_builder;

/* The salt is new and random. Errors: DV_ERR_INVALID (rules, with a text), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_fingerprint_builder_new(const dv_fingerprint_rules *rules,
                                             dv_fingerprint_builder **ret_builder, dv_error *error);
void dv_fingerprint_builder_free(dv_fingerprint_builder *builder);
DV_DEFINE_AUTO_PTR(fingerprint_builder, dv_fingerprint_builder, dv_fingerprint_builder_free)

/* One cell for each column; empty ones are passed over. Errors: DV_ERR_TOO_LARGE,
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_fingerprint_add_record(dv_fingerprint_builder *builder, const dv_slice *cells);
/* Errors: those; DV_ERR_INVALID (too short, or too long). */
dv_must dv_result dv_fingerprint_add_canary(dv_fingerprint_builder *builder, dv_slice value);
/* A document's text, piece by piece, then its name. One too short to have a fingerprint is
 * DV_ERR_INVALID and not in the set. */
dv_must dv_result dv_fingerprint_add_text(dv_fingerprint_builder *builder, dv_slice piece);
dv_must dv_result dv_fingerprint_end_document(dv_fingerprint_builder *builder, dv_slice name);

/* The set's file. Errors: DV_ERR_INVALID (nothing is in it), DV_ERR_TOO_LARGE, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_fingerprint_build(dv_fingerprint_builder *builder, dv_buf *out,
                                       dv_error *error);
