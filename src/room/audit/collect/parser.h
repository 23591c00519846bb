/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Lines of other programs' logs as OCSF events. What a line means is data: rules/parsers/, whose
 * format docs/collection.md describes. A line that no parser knows becomes an event, too
 * (`collected.raw`), and is kept whole. */

#include "base/buf.h"
#include "base/clock.h"
#include "engine/log/blob.h"

typedef struct dv_parsers dv_parsers;
typedef struct dv_parser dv_parser;

/* One line with what its transport told of it. Texts that are not known are empty. */
typedef struct dv_line {
    dv_slice text;        /* what is parsed: without the transport's header */
    dv_slice raw;         /* what came; kept in the event when it is not understood or not UTF-8 */
    uint64_t raw_size;    /* of what came, bytes; more than raw.len: it was cut */
    uint8_t raw_hash[32]; /* SHA-256 of what came; meaningful when it was cut */
    dv_slice program;
    dv_slice pid;
    dv_slice host;
    dv_slice message_id;
    dv_slice structured;     /* data of RFC 5424, as it stood */
    dv_slice peer;           /* address that it came from */
    int facility;            /* of syslog; -1: not known */
    int severity;            /* of syslog, 0 to 7; -1 */
    dv_time time;            /* the transport's; 0: not known */
    dv_time now;             /* when it came */
    dv_slice input;          /* name of the input */
    dv_slice position;       /* where it lies, as JSON; or empty */
    bool keep_raw;           /* though it is understood */
    const dv_blob_ref *blob; /* where raw lies beside the event; NULL: nowhere */
} dv_line;

typedef struct dv_parse_outcome {
    const char *parser; /* "nginx"; "raw" when no parser knows it */
    bool understood;
    bool invalid_utf8;
    bool truncated; /* the event does not hold all of it; its size and hash are there */
    bool large;     /* and refers to the line's blob */
    bool clock_off; /* its time is more than a day from now */
} dv_parse_outcome;

/* Compiles all parsers. Not for several threads at once. Errors: DV_ERR_INTERNAL (a pattern),
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_parsers_new(dv_parsers **ret_parsers, dv_error *error);
void dv_parsers_free(dv_parsers *parsers);
DV_DEFINE_AUTO_PTR(parsers, dv_parsers, dv_parsers_free)

/* NULL: there is none of that name. */
const dv_parser *dv_parsers_find(const dv_parsers *parsers, dv_slice name);
/* The parser's name, or NULL behind the last one. */
const char *dv_parsers_name(size_t index);
const char *dv_parsers_doc(size_t index);
/* Whether dvara.yaml may name it: "auto" or a parser's. */
bool dv_parser_is_known(const char *name);

/* Appends the line's event to out, which must take DV_LIMIT_RECORD bytes more. parser NULL: the one
 * that the program's name or the line's shape tells. *hint, where not NULL, is the parser that knew
 * the last line of this kind, and is kept up to date. Errors: DV_ERR_NO_MEMORY, DV_ERR_TOO_LARGE
 * (out's maximum). */
dv_must dv_result dv_parsers_event(dv_parsers *parsers, const dv_parser *parser,
                                   const dv_line *line, const dv_parser **hint, dv_buf *out,
                                   dv_parse_outcome *ret_outcome);

/* ---- Lines that belong together ---- */

/* Whether a line of a file goes on what the lines before it (joined by \n) began. */
bool dv_parser_joins(dv_parsers *parsers, const dv_parser *parser, dv_slice before, dv_slice line);
/* Whether lines of this parser may be joined at all. */
bool dv_parser_has_joins(const dv_parser *parser);

/* ---- What the parsers' files say of themselves, for tests ---- */

typedef struct dv_parser_example {
    const char *parser;
    const char *text;
    const char *program;  /* NULL: not known */
    const char *kind;     /* "collected.nginx"; NULL: the parser must not know it */
    const char *expected; /* JSON object that the event holds */
} dv_parser_example;

/* False behind the last one. */
bool dv_parser_example_get(size_t index, dv_parser_example *ret_example);
