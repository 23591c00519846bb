/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Applies rules to whole inputs: plain text, CSV, lines of JSON, dumps of PostgreSQL. Memory does
 * not grow with the input. What is malformed or beyond a limit is an error: the caller then throws
 * away what was written.
 *
 * Cells that no rule names are searched, with the name of their column as context. */

#include "engine/detect/action/rules.h"
#include "engine/detect/walk.h"

enum {
    DV_TRANSFORM_LINE_MAX = 16 << 20, /* of JSON, of COPY, and a SQL statement; bytes */
    DV_TRANSFORM_TABLES_MAX = 10000,  /* of a dump */
    DV_TRANSFORM_COLUMNS_MAX = 1600,  /* of a table, as PostgreSQL's own limit */
};

/* Where what was made goes. */
typedef struct dv_transform_sink {
    dv_result (*put)(void *data, dv_slice bytes);
    void *data;
} dv_transform_sink;

/* One value, as it was and as it goes out. Borrowed for the call. */
typedef struct dv_transform_seen {
    dv_slice table;   /* as the dump writes it, or as the setup says; empty: none */
    dv_slice column;  /* or member; empty: running text */
    const char *kind; /* the detector or type of name that found it; NULL: a whole cell */
    bool acted;       /* an action other than keep was applied to all of it */
    dv_slice before, after;
} dv_transform_seen;

/* Who is told of each cell, and of each value found in one or in a text. Any result but DV_OK ends
 * the work with it. */
typedef struct dv_transform_watch {
    dv_result (*value)(void *data, const dv_transform_seen *seen);
    void *data;
} dv_transform_watch;

typedef struct dv_transform_setup {
    const dv_action_rules *rules;
    dv_action_tools *tools;
    dv_walk walk;   /* rules, scratch, enabled and also are used; rules NULL: nothing is searched */
    dv_slice table; /* that a CSV or JSON file is, for rules of "table.column" */
    dv_slice subject; /* of dates for which no column says whose they are */
    bool reverse;     /* undo: tokens in cells are opened, columns' fpe and date shifts undone */
    char separator;   /* of CSV; 0: seen from its first line */
    const dv_transform_watch *watch;       /* NULL: nobody */
    const struct dv_detect_custom *custom; /* users' detectors that walk's scratch uses; or NULL */
} dv_transform_setup;

typedef struct dv_transform_counts {
    uint64_t values;  /* that an action was applied to */
    uint64_t records; /* of a table */
    uint64_t left;    /* tokens that neither vault nor key knows: they stay */
} dv_transform_counts;

typedef dv_result (*dv_transform_run)(const dv_transform_setup *setup, const dv_walk_source *source,
                                      const dv_transform_sink *sink,
                                      dv_transform_counts *ret_counts, dv_error *error);

/* Errors: DV_ERR_INVALID and DV_ERR_TOO_LARGE with the line, DV_ERR_UNSUPPORTED, the source's, the
 * sink's, the actions'. */
dv_must dv_result dv_transform_text(const dv_transform_setup *setup, const dv_walk_source *source,
                                    const dv_transform_sink *sink, dv_transform_counts *ret_counts,
                                    dv_error *error);
dv_must dv_result dv_transform_csv(const dv_transform_setup *setup, const dv_walk_source *source,
                                   const dv_transform_sink *sink, dv_transform_counts *ret_counts,
                                   dv_error *error);
dv_must dv_result dv_transform_json(const dv_transform_setup *setup, const dv_walk_source *source,
                                    const dv_transform_sink *sink, dv_transform_counts *ret_counts,
                                    dv_error *error);
dv_must dv_result dv_transform_sql(const dv_transform_setup *setup, const dv_walk_source *source,
                                   const dv_transform_sink *sink, dv_transform_counts *ret_counts,
                                   dv_error *error);
/* Tokens in text become what they stand for; others, and everything else, stay. */
dv_must dv_result dv_transform_tokens(const dv_transform_setup *setup, const dv_walk_source *source,
                                      const dv_transform_sink *sink,
                                      dv_transform_counts *ret_counts, dv_error *error);
