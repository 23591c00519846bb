/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The search language over events: parse, and decide about one event. docs/search.md describes it
 * for people.
 *
 *   search     = [ filter ] { "|" stage }
 *   filter     = all { "or" all }
 *   all        = one { [ "and" ] one }
 *   one        = ( "not" | "-" ) one | "(" filter ")" | field ":" value | word | phrase
 *   value      = text | "*" | te*xt | ( ">" | ">=" | "<" | "<=" ) text | low ".." high
 *              | "[" low "TO" high "]" | address "/" prefix | "(" value { [ "or" ] value } ")"
 *   stage      = measure { "," measure } [ "by" field { "," field } ] [ "over" duration ]
 *              | "top" number field { "," field } | "sort" [ "-" ] column { "," ... }
 *              | "limit" number
 *   measure    = "count" | ( "sum" | "avg" | "min" | "max" | "pNN" ) "(" field ")"
 *
 * A parsed search is a tree of const structs in the caller's arena, to be walked by whoever plans
 * its execution; evaluation needs nothing but the tree and the event's bytes. */

#include "base/address.h"
#include "base/arena.h"
#include "base/caps.h"
#include "base/clock.h"
#include "base/json.h"

/* ---- fields ---- */

typedef enum dv_query_type {
    DV_QUERY_AUTO,     /* a path that no row of the table names: the value decides */
    DV_QUERY_TEXT,     /* compared as text, upper and lower case alike (ASCII) */
    DV_QUERY_NUMBER,   /* JSON numbers */
    DV_QUERY_TIME,     /* milliseconds since 1970, written as RFC 3339, a date, "-1h" or "now" */
    DV_QUERY_DURATION, /* milliseconds, written as a number of them or as "2s" */
    DV_QUERY_ADDRESS,  /* IP address as text */
    DV_QUERY_WORDS,    /* a number that has words: severity, class, outcome, decision */
} dv_query_type;

enum { DV_QUERY_PATHS_MAX = 4, DV_QUERY_SEGMENTS_MAX = 12 };

/* One place in an event: "actor.user.name". Through an array it leads to every element, unless the
 * segment is a number, which picks one. */
typedef struct dv_query_path {
    dv_slice text;
    dv_slice segments[DV_QUERY_SEGMENTS_MAX];
    size_t count;
} dv_query_path;

/* A word of a field and the numbers that it stands for. */
typedef struct dv_query_word {
    const char *word;
    int64_t number;
} dv_query_word;

/* A field of the language. It holds for an event when it holds for any value at any of the paths;
 * grouping and measuring take the values of the first path that has some. */
typedef struct dv_query_field {
    dv_slice name; /* as it was written, lower case for the short ones: "user" */
    dv_query_type type;
    const dv_query_path *paths;
    size_t path_count;
    const dv_query_word *words; /* of DV_QUERY_WORDS */
    size_t word_count;
} dv_query_field;

/* ---- the tree ---- */

typedef enum dv_query_op {
    DV_QUERY_ALL, /* every event: an empty search */
    DV_QUERY_AND, /* of the children; at least two */
    DV_QUERY_OR,
    DV_QUERY_NOT,     /* of its one child */
    DV_QUERY_HAS,     /* text within any value (field NULL) */
    DV_QUERY_EXISTS,  /* the field is there and not null */
    DV_QUERY_IS,      /* a value equals text, or low where it is a number */
    DV_QUERY_LIKE,    /* a value matches pieces; of any value when field is NULL */
    DV_QUERY_BETWEEN, /* a number is within low and high */
    DV_QUERY_WITHIN,  /* an address is in the network */
} dv_query_op;

/* A JSON number: exact when it is whole and fits. */
typedef struct dv_query_number {
    double real;
    int64_t whole;
    bool is_whole;
} dv_query_number;

typedef struct dv_query_node {
    dv_query_op op;
    const struct dv_query_node *first; /* child */
    const struct dv_query_node *next;  /* sibling */
    const dv_query_field *field;       /* of the terms; NULL: any value */
    dv_slice text;                     /* HAS, IS, LIKE: what was asked for, ASCII in lower case */
    dv_slice needle;                   /* bytes that a matching event's JSON text holds, ASCII in
                                        * lower case, unless it writes with \u or \/; or empty */
    const dv_slice *pieces;            /* LIKE: what stands between the stars, in order; the first
                                        * one begins the value, the last one ends it */
    size_t piece_count;
    bool has_low, has_high;   /* BETWEEN; IS: has_low, the text is a number too */
    bool low_open, high_open; /* the bound itself is out */
    dv_query_number low, high;
    dv_address network; /* WITHIN */
    unsigned prefix;    /* bits, of 128 */
    int column;         /* where it begins in the search, 1-based, in bytes */
} dv_query_node;

/* ---- what is made of the events ---- */

typedef enum dv_query_function {
    DV_QUERY_COUNT,
    DV_QUERY_SUM,
    DV_QUERY_AVG,
    DV_QUERY_LEAST,
    DV_QUERY_MOST,
    DV_QUERY_QUANTILE,
} dv_query_function;

typedef struct dv_query_measure {
    dv_query_function function;
    double quantile;             /* 0.95 of "p95" */
    const dv_query_field *field; /* NULL: of count */
    dv_slice name;               /* its column: "count", "p95(latency)" */
} dv_query_measure;

/* The columns are: "time" (where there is an `over`), the fields of `by`, the measures. */
enum {
    DV_QUERY_COLUMNS_MAX = 1 + DV_LIMIT_QUERY_BY + DV_LIMIT_QUERY_MEASURES,
    DV_QUERY_SORT_MAX = 4,
};

typedef struct dv_query_sort {
    size_t column;
    bool descending;
} dv_query_sort;

typedef struct dv_query_stages {
    dv_query_measure measures[DV_LIMIT_QUERY_MEASURES];
    size_t measure_count; /* 0: the events themselves are wanted */
    const dv_query_field *by[DV_LIMIT_QUERY_BY];
    size_t by_count;
    int64_t over_ms; /* 0: not in buckets of time */
    dv_query_sort sort[DV_QUERY_SORT_MAX];
    size_t sort_count; /* 0: buckets in order of time, otherwise the first measure, most first */
    uint64_t limit;    /* 0: not said */
} dv_query_stages;

typedef struct dv_query {
    dv_slice text; /* a copy */
    const dv_query_node *root;
    int64_t from_ms; /* no event outside [from, to) by its `time` can match */
    int64_t to_ms;
    size_t terms;
    dv_query_stages stages;
} dv_query;

typedef struct dv_query_options {
    dv_time now;       /* what "last:1h", "now" and "-1h" count from */
    int64_t since_ms;  /* further bounds on `time`: [since, until) */
    int64_t until_ms;  /* 0: none */
    bool filter_alone; /* no stages are taken */
} dv_query_options;

/* Parses the search. Everything lies in the arena; the text is copied. Errors: DV_ERR_INVALID,
 * DV_ERR_TOO_LARGE (length, depth, terms) with line 1 and the column where it went wrong;
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_query_parse(dv_slice text, const dv_query_options *options, dv_arena *arena,
                                 const dv_query **ret_query, dv_error *error);

/* The field of that name: a short one of the table or a path of OCSF. Errors: DV_ERR_INVALID with
 * the nearest name in the message. */
dv_must dv_result dv_query_field_find(dv_slice name, dv_arena *arena,
                                      const dv_query_field **ret_field, dv_error *error);

/* Reads a time as the language has it. A date is a day of UTC. *ret_width: how many milliseconds
 * the text names (a day, a minute, a second, 1). Errors: DV_ERR_INVALID. */
dv_must dv_result dv_query_time_parse(dv_slice text, dv_time now, int64_t *ret_ms,
                                      int64_t *ret_width);

/* The short fields' names, in order: for help and completion; NULL behind the last. */
const char *dv_query_field_name(size_t index);

/* Writes the search and a caret below the error's column, two lines. */
dv_must dv_result dv_query_point_at(dv_slice text, const dv_error *error, dv_buf *out);

/* ---- one event ---- */

/* An event whose JSON text is looked at no more often than needed. */
typedef struct dv_query_event {
    dv_slice text;
    dv_json json;
    bool scanned;
    bool damaged; /* is no JSON that we read: only its text can be searched */
} dv_query_event;

static inline dv_query_event dv_query_event_of(dv_slice text)
{
    return (dv_query_event){.text = text};
}

/* Whether the event matches. The arena takes what is needed for this event, and may be reset
 * behind it. Events that are no JSON within the limits match free text alone, byte by byte. Errors:
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_query_matches(const dv_query *query, dv_query_event *event, dv_arena *arena,
                                   bool *ret_matches);

/* Whether a term holds for one value of an event: text is the decoded string, or the value as it is
 * written. */
bool dv_query_term_holds(const dv_query_node *node, dv_slice text, dv_json_type type);

/* False when the event's bytes alone tell that it can't match; costs no parsing. */
bool dv_query_may_match(const dv_query *query, dv_slice event);

/* Calls visit for each value of the field, in order, the paths' alternatives one after the other;
 * `first` ends behind the first path that has some. Scalars alone are values. visit returns true to
 * go on. Returns false when visit ended it. */
typedef bool (*dv_query_visit)(void *data, const dv_json *json, uint32_t token);
bool dv_query_values(const dv_query_field *field, bool first, const dv_json *json,
                     dv_query_visit visit, void *data);

/* Parses the event's JSON, once; *ret_json is NULL when it is damaged. */
dv_must dv_result dv_query_event_json(dv_query_event *event, dv_arena *arena,
                                      const dv_json **ret_json);

/* Where the needle (ASCII in lower case) begins in the text, upper and lower case alike; or -1. */
ptrdiff_t dv_query_find(dv_slice text, dv_slice needle);

/* The number in a token, false when it is none. */
bool dv_query_number_read(dv_slice text, dv_query_number *ret_number);
int dv_query_number_cmp(const dv_query_number *a, const dv_query_number *b);
