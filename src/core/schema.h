/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The part of JSON Schema (2020-12) that the files of api/ may use, as constant tables that
 * tools/generate writes. Names the shapes only; dvarad checks values against them, the CLI reads
 * the types. */

#include "base/macros.h"

typedef enum dv_schema_type {
    DV_SCHEMA_STRING = 1,
    DV_SCHEMA_INTEGER = 2,
    DV_SCHEMA_NUMBER = 4, /* integers too */
    DV_SCHEMA_BOOLEAN = 8,
    DV_SCHEMA_ARRAY = 16,
    DV_SCHEMA_OBJECT = 32,
    DV_SCHEMA_NULL = 64,
} dv_schema_type;

typedef enum dv_schema_format {
    DV_FORMAT_NONE,
    DV_FORMAT_UUID,
    DV_FORMAT_DATE_TIME, /* RFC 3339 */
    DV_FORMAT_DURATION,  /* "90d" (base/clock.h) */
} dv_schema_format;

typedef struct dv_schema dv_schema;

typedef struct dv_schema_field {
    const char *name;
    const char *doc; /* one line, or "" */
    const dv_schema *schema;
    bool required;
    bool in_path; /* parameters: stands in the path */
} dv_schema_field;

struct dv_schema {
    unsigned types; /* of dv_schema_type */
    dv_schema_format format;
    bool secret;                /* writeOnly: never in argv, never in an event */
    bool unique;                /* arrays */
    const char *pattern;        /* PCRE2, or NULL */
    const char *const *choices; /* NULL-ended, or NULL */
    const char *default_json;   /* or NULL */
    int64_t minimum;            /* integers and numbers: INT64_MIN when not said */
    int64_t maximum;
    uint32_t min_length; /* strings: code points; arrays: items */
    uint32_t max_length;
    const dv_schema *items;        /* arrays */
    const dv_schema_field *fields; /* objects */
    size_t field_count;
    const dv_schema *others; /* objects: what unknown fields must be; NULL refuses them */
};

/* Every value, and so every part of it: `additionalProperties: true`. */
extern const dv_schema dv_schema_any;
