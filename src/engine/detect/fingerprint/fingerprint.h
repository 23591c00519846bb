/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Finds somebody's own data in text: values and records of tables, passages of documents, canaries.
 * A set (one file) holds salted hashes of them, never the data. Knows no policy.
 *
 * What is compared is the normalised text (normal.h): letters and digits, small, whatever stands
 * between them. A value counts where it begins and ends between words. */

#include "base/buf.h"

enum {
    DV_FINGERPRINT_COLUMNS = 8,     /* of a table, at most */
    DV_FINGERPRINT_VALUE_MAX = 128, /* normalised bytes of a value, without what is between words */
    DV_FINGERPRINT_WORDS_MAX = 16,  /* of a value */
    DV_FINGERPRINT_CELL_LEAST = 2,  /* normalised bytes of a cell of a record, */
    DV_FINGERPRINT_ALONE_LEAST = 6, /* and of a value that is a hit by itself */
    DV_FINGERPRINT_SETS = 8,        /* that one text is compared with */
    DV_FINGERPRINT_GRAM = 24,       /* normalised bytes that a fingerprint of a document is of, */
    DV_FINGERPRINT_WINDOW = 41,     /* of so many of which one is kept */
    /* So long a passage of a document that stands in a text always meets. */
    DV_FINGERPRINT_SURE = DV_FINGERPRINT_GRAM + DV_FINGERPRINT_WINDOW - 1,
    DV_FINGERPRINT_ID_LEN = 32, /* SHA-256 of the set */
};

/* ---- a set ---- */

typedef struct dv_fingerprint_set dv_fingerprint_set;

/* What a set is about; lives as long as the set. */
typedef struct dv_fingerprint_about {
    uint64_t made;    /* seconds since 1970 */
    uint64_t bytes;   /* of the file */
    uint32_t records; /* of the table, each different */
    uint32_t values;  /* different ones */
    uint32_t canaries;
    uint32_t documents;
    uint32_t fingerprints; /* of the documents */
    uint32_t column_count;
    uint32_t alone;  /* a bit for each column whose values are hits by themselves */
    uint32_t least;  /* columns of a record that make a hit, */
    uint32_t within; /* within so many normalised bytes */
    uint32_t row;    /* fingerprints of a document in a row that make a hit, */
    uint32_t share;  /* or so many thousandths of it */
    uint32_t too_short;
    uint32_t too_long;  /* values that were left out */
    uint32_t too_usual; /* records whose values others share too often to be found by them */
    uint8_t id[DV_FINGERPRINT_ID_LEN];
} dv_fingerprint_about;

/* Maps the file. All of it is checked: what opens can be used whatever it holds. Errors:
 * DV_ERR_NOT_FOUND, DV_ERR_IO, DV_ERR_FORBIDDEN (everybody may read it), DV_ERR_TOO_LARGE,
 * DV_ERR_CORRUPT, DV_ERR_UNSUPPORTED (another version), each with a text. */
dv_must dv_result dv_fingerprint_set_open(const char *path, dv_fingerprint_set **ret_set,
                                          dv_error *error);
/* Opens the file for who copies it; of its contents only the beginning is checked. *ret_fd: -1, or
 * to be closed. Errors: those, but DV_ERR_UNSUPPORTED. */
dv_must dv_result dv_fingerprint_file_open(const char *path, int *ret_fd, dv_error *error);
/* The same of bytes that outlive the set; 8-byte aligned. */
dv_must dv_result dv_fingerprint_set_of(dv_slice bytes, dv_fingerprint_set **ret_set,
                                        dv_error *error);
void dv_fingerprint_set_close(dv_fingerprint_set *set);
DV_DEFINE_AUTO_PTR(fingerprint_set, dv_fingerprint_set, dv_fingerprint_set_close)

const dv_fingerprint_about *dv_fingerprint_set_about(const dv_fingerprint_set *set);
/* Names that the set was made with: of a column, of a document. Empty beyond the last. */
dv_slice dv_fingerprint_set_column(const dv_fingerprint_set *set, uint32_t index);
dv_slice dv_fingerprint_set_document(const dv_fingerprint_set *set, uint32_t index);

/* ---- a text ---- */

typedef enum dv_fingerprint_kind {
    DV_FINGERPRINT_VALUE,
    DV_FINGERPRINT_RECORD,
    DV_FINGERPRINT_DOCUMENT,
    DV_FINGERPRINT_CANARY,
} dv_fingerprint_kind;

/* "value", "record", "document", "canary". */
const char *dv_fingerprint_kind_name(dv_fingerprint_kind kind);

typedef struct dv_fingerprint_hit {
    dv_fingerprint_kind kind;
    uint32_t set;      /* index in the list of sets */
    uint64_t start;    /* byte of the text, counted from its beginning, */
    uint64_t end;      /* and one past the last; of a document: of the last passage, as far
                        as it is known */
    uint32_t columns;  /* of a value or record: a bit for each that met */
    uint32_t document; /* index */
    uint32_t matched;  /* of its fingerprints, so far */
    uint32_t total;
    bool told; /* of a document: it is a hit */
} dv_fingerprint_hit;

typedef dv_result (*dv_fingerprint_told)(void *data, const dv_fingerprint_hit *hit);

/* What was read of one text so far, of constant size, and can be copied: the text may come in
 * pieces, however it is cut. */
typedef struct dv_fingerprint_state dv_fingerprint_state;
size_t dv_fingerprint_state_size(size_t set_count);
/* In memory of that size, 8-byte aligned. */
void dv_fingerprint_state_init(dv_fingerprint_state *state, size_t set_count);

/* Bytes of the text that were read. */
uint64_t dv_fingerprint_state_bytes(const dv_fingerprint_state *state);

/* Room to work in: one for each thread. */
typedef struct dv_fingerprint_matcher dv_fingerprint_matcher;
dv_must dv_result dv_fingerprint_matcher_new(dv_fingerprint_matcher **ret_matcher);
void dv_fingerprint_matcher_free(dv_fingerprint_matcher *matcher);
DV_DEFINE_AUTO_PTR(fingerprint_matcher, dv_fingerprint_matcher, dv_fingerprint_matcher_free)

typedef struct dv_fingerprint_job {
    const dv_fingerprint_set *const *sets; /* as many as the state is for */
    size_t set_count;
    uint32_t enabled; /* a bit for each set that takes part */
    uint32_t holds;   /* a bit for each set of which no value may go out */
    bool more;        /* text follows the piece */
    dv_fingerprint_told told;
    void *data;
} dv_fingerprint_job;

/* Reads the next piece. NUL in a text ends every value. A document is told once, when it becomes a
 * hit. ret_hold (may be NULL): the first byte of the piece that may belong to a value of one of
 * `holds` that is not whole yet; its length when none does. Errors: what `told` answers. */
dv_must dv_result dv_fingerprint_find(dv_fingerprint_matcher *matcher,
                                      const dv_fingerprint_job *job, dv_fingerprint_state *state,
                                      dv_slice piece, size_t *ret_hold);

/* What was met of documents in the text so far, hits or not: at most 3 of a set. Answers how many.
 */
enum { DV_FINGERPRINT_DOCUMENTS_SEEN = 3 };
size_t dv_fingerprint_documents(const dv_fingerprint_job *job, const dv_fingerprint_state *state,
                                uint32_t set,
                                dv_fingerprint_hit hits[DV_FINGERPRINT_DOCUMENTS_SEEN]);
