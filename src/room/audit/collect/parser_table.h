/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to room/audit/collect: the parsers as constants, made from rules/parsers/ by generate.py.
 */

#include "base/macros.h"

enum {
    DV_PARSE_FIELDS_MAX = 96,
    DV_PARSE_ALTERNATIVES = 4,
    DV_PARSE_NO_FIELD = 255,
};

/* What becomes of a field's text. One that does not look like what is wanted is as if absent. */
typedef enum dv_parse_as {
    DV_AS_TEXT,
    DV_AS_LOWER,
    DV_AS_INT,
    DV_AS_FLOAT,
    DV_AS_SECONDS, /* "0.123" as whole milliseconds */
    DV_AS_BOOL,
    DV_AS_IP,
    DV_AS_HOST, /* no address */
    DV_AS_EMAIL,
    DV_AS_MAC,
    DV_AS_LIST,   /* one text as a list of one */
    DV_AS_JSON,   /* an object or array as it is */
    DV_AS_NAME,   /* behind the last / */
    DV_AS_HEX,    /* auditd's: bare hex digits stand for bytes */
    DV_AS_TIME,   /* by the format's patterns, in milliseconds */
    DV_AS_METHOD, /* of HTTP, where OCSF has that word */
} dv_parse_as;

typedef struct dv_parse_map {
    const char *from;
    const char *json;
} dv_parse_map;

typedef struct dv_parse_value {
    uint8_t fields[DV_PARSE_ALTERNATIVES]; /* the first that is there */
    uint8_t field_count;                   /* 0: fixed */
    uint8_t as;                            /* dv_parse_as */
    uint8_t map_count;
    const dv_parse_map *map;
    const char *otherwise; /* JSON; NULL: absent. With a map: where no entry fits */
    const char *fixed;
} dv_parse_value;

typedef enum dv_parse_row_kind { DV_PARSE_OPEN, DV_PARSE_CLOSE, DV_PARSE_VALUE } dv_parse_row_kind;

typedef struct dv_parse_row {
    uint8_t kind;
    bool firm;        /* of OPEN: stays though no field of it is there */
    const char *text; /* name and brackets */
    const dv_parse_value *value;
} dv_parse_row;

typedef enum dv_parse_test { DV_TEST_PRESENT, DV_TEST_ABSENT, DV_TEST_EQUAL } dv_parse_test;

typedef struct dv_parse_condition {
    uint8_t field;
    uint8_t test;             /* dv_parse_test */
    const char *const *texts; /* NULL-ended, any of them; "word*" is a beginning */
} dv_parse_condition;

typedef struct dv_parse_rule {
    const dv_parse_condition *conditions;
    uint8_t condition_count;
    uint8_t row_count;
    uint8_t unmapped_count;
    int class_uid;
    dv_parse_value activity;
    dv_parse_value severity;
    const dv_parse_row *rows;
    const dv_parse_row *unmapped;
    const char *profiles; /* JSON array, or NULL */
    uint8_t subject;      /* the field with the person's name; DV_PARSE_NO_FIELD */
    uint8_t correlation;  /* the field that is metadata.correlation_uid */
} dv_parse_rule;

typedef enum dv_parse_kind {
    DV_PARSE_ANY,   /* takes every line, as it is */
    DV_PARSE_REGEX, /* named groups */
    DV_PARSE_PAIRS, /* key=value, after a pattern that must fit somewhere */
    DV_PARSE_JSON,
    DV_PARSE_CSV,
} dv_parse_kind;

typedef struct dv_parse_format {
    const char *name;
    uint8_t kind;           /* dv_parse_kind */
    uint8_t section;        /* of PAIRS: this field's value stands before later keys: "PATH.name" */
    uint8_t at_least;       /* columns of CSV */
    uint8_t column_count;   /* of CSV */
    bool shape;             /* a line that fits is this parser's, whoever sent it */
    uint8_t time;           /* the field that holds the time */
    const char *pattern;    /* PCRE2; NULL: none */
    const uint8_t *columns; /* fields; DV_PARSE_NO_FIELD: not wanted */
    const uint8_t *requires;  /* fields that must be there, DV_PARSE_NO_FIELD-ended */
    const char *const *times; /* patterns, NULL-ended */
} dv_parse_format;

typedef struct dv_parse_example {
    const char *text;
    const char *program;  /* who sent it; NULL: not known */
    const char *kind;     /* "collected.nginx", or NULL: is not this parser's */
    const char *expected; /* JSON object that the event holds */
} dv_parse_example;

typedef struct dv_parse_table {
    const char *name;
    const char *doc;
    const char *product;         /* JSON object of metadata.product */
    const char *const *programs; /* NULL-ended */
    const char *continues;       /* a line of a file that fits belongs to the one before */
    const char *quotes;          /* one that fits and has an open quote goes on in the next */
    const char *same; /* so does one whose group 1 is that of the one before; NULL: none */
    const char *const *fields;
    uint8_t field_count;
    uint8_t format_count;
    uint8_t rule_count;
    uint8_t refined;                /* a field that further patterns look into */
    const char *const *refinements; /* NULL-ended; the first that fits gives its groups */
    const dv_parse_format *formats;
    const dv_parse_rule *rules;
    const dv_parse_example *examples;
    size_t example_count;
} dv_parse_table;

extern const dv_parse_table dv_parse_tables[];
extern const size_t dv_parse_table_count;
