/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the detectors find in files and tables, counted for each place: a column, a field of JSON, a
 * file in an archive. Values are counted, never kept. */

#include "base/arena.h"
#include "core/finding.h"
#include "engine/detect/custom.h"
#include "engine/scan/scan.h"

enum {
    DV_DATA_PARTS_MAX = 1000, /* places of one asset; what further ones hold counts for "others" */
};

/* Kinds of values: detectors by index, then names by type (engine/detect/tagger), then users'
 * detectors. Which these are is said once a process, before rules are read; NULL: none. They have
 * to live as long. */
void dv_data_kinds_use(const dv_detect_custom *detectors);
size_t dv_data_kind_count(void);
/* "email", "person": of a detector its id. */
const char *dv_data_kind_id(size_t kind);
/* "EMAIL_ADDRESS", "PERSON". */
const char *dv_data_kind_type(size_t kind);
/* "personal", ...: of rules/detectors. */
const char *dv_data_kind_category(size_t kind);
/* By its id; -1: there is none. */
ptrdiff_t dv_data_kind_find(const char *id);

typedef struct dv_data_tally {
    uint16_t kind;
    uint8_t score;      /* the highest */
    uint64_t score_sum; /* of all values */
    uint64_t values;
    uint64_t cells; /* of a column: how many hold one */
    uint64_t last_cell;
} dv_data_tally;

/* A place of an asset. */
typedef struct dv_data_part {
    const char *name;  /* "email", "people.csv: email", "letter.txt"; "": the whole file */
    const char *words; /* the field's name in small words: "date of birth"; "": no field */
    bool column;       /* holds single values, not running text */
    uint64_t cells;    /* values that were read and are not empty */
    dv_data_tally *tallies;
    size_t count;
    size_t capacity;
} dv_data_part;

/* A field's name as a part's words. NULL: no memory. */
const char *dv_data_field_words(dv_arena *arena, dv_slice field);

typedef struct dv_data_finder dv_data_finder;

typedef struct dv_data_finder_options {
    dv_detector_set detectors; /* which take part */
    bool names;                /* of people, places ... too */
    uint8_t least;             /* score */
    /* Called at the end of each item, with its places; they live until it returns. */
    dv_result (*done)(void *data, const dv_scan_item *item, const dv_data_part *const *parts,
                      size_t count);
    void *data;
} dv_data_finder_options;

/* Errors: those of compiling the rules. */
dv_must dv_result dv_data_finder_new(const dv_data_finder_options *options,
                                     dv_data_finder **ret_finder, dv_error *error);
void dv_data_finder_free(dv_data_finder *finder);
DV_DEFINE_AUTO_PTR(data_finder, dv_data_finder, dv_data_finder_free)

/* Whom a scan tells. Borrows the finder. */
dv_scan_visitor dv_data_finder_visitor(dv_data_finder *finder);
