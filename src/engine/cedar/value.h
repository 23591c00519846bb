/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Cedar's values (specs: syntax-datatypes). Immutable once built; everything they point to lies in
 * the arena that they were built in. */

#include "base/arena.h"

typedef enum dv_cedar_type {
    DV_CEDAR_BOOL,
    DV_CEDAR_LONG,
    DV_CEDAR_STRING,
    DV_CEDAR_ENTITY,
    DV_CEDAR_SET,
    DV_CEDAR_RECORD,
    DV_CEDAR_DECIMAL,
    DV_CEDAR_DATETIME,
    DV_CEDAR_DURATION,
    DV_CEDAR_IPADDR,
} dv_cedar_type;

/* An address or a range of them, in network order; version 4 uses the first four bytes. */
typedef struct dv_cedar_ip {
    uint8_t bytes[16];
    uint8_t prefix; /* bits */
    bool v6;
} dv_cedar_ip;

typedef struct dv_cedar_value dv_cedar_value;
typedef struct dv_cedar_attr dv_cedar_attr;

struct dv_cedar_value {
    dv_cedar_type type;
    uint32_t count; /* sets and records: elements */
    union {
        bool boolean;
        int64_t number;              /* long; decimal: ten-thousandths; datetime, duration: ms */
        dv_slice text;               /* string; entity: its canonical uid */
        const dv_cedar_value *items; /* set: sorted by dv_cedar_compare, without doubles */
        const dv_cedar_attr *attrs;  /* record: sorted by name, without doubles */
        dv_cedar_ip ip;
    };
};

struct dv_cedar_attr {
    dv_slice name;
    dv_cedar_value value;
};

static inline dv_cedar_value dv_cedar_bool(bool boolean)
{
    return (dv_cedar_value){.type = DV_CEDAR_BOOL, .boolean = boolean};
}

static inline dv_cedar_value dv_cedar_long(int64_t number)
{
    return (dv_cedar_value){.type = DV_CEDAR_LONG, .number = number};
}

/* The text is borrowed. */
static inline dv_cedar_value dv_cedar_string(dv_slice text)
{
    return (dv_cedar_value){.type = DV_CEDAR_STRING, .text = text};
}

/* The uid is borrowed and must be canonical (dv_cedar_uid). */
static inline dv_cedar_value dv_cedar_entity_ref(dv_slice uid)
{
    return (dv_cedar_value){.type = DV_CEDAR_ENTITY, .text = uid};
}

/* Makes a set: sorts the items in place and drops doubles. The items are borrowed. */
dv_cedar_value dv_cedar_set(dv_cedar_value *items, size_t count);

/* Makes a record: sorts the attributes in place. They are borrowed. Errors: DV_ERR_INVALID when a
 * name stands there twice. */
dv_must dv_result dv_cedar_record(dv_cedar_attr *attrs, size_t count, dv_cedar_value *ret_value);

/* The record's attribute of that name, or NULL; also NULL when it is no record. */
const dv_cedar_value *dv_cedar_get(const dv_cedar_value *record, dv_slice name);

/* A total order over all values; 0 exactly when Cedar's == holds. */
int dv_cedar_compare(const dv_cedar_value *a, const dv_cedar_value *b);

/* The strings that Cedar's constructors take (specs: syntax-operators). Errors: DV_ERR_INVALID. */
dv_must dv_result dv_cedar_decimal_parse(dv_slice text, dv_cedar_value *ret_value);
dv_must dv_result dv_cedar_datetime_parse(dv_slice text, dv_cedar_value *ret_value);
dv_must dv_result dv_cedar_duration_parse(dv_slice text, dv_cedar_value *ret_value);
dv_must dv_result dv_cedar_ip_parse(dv_slice text, dv_cedar_value *ret_value);

/* Writes the canonical uid Type::"id" into the arena: in the id a quote and a backslash are
 * escaped, \n, \r, \t, \0 are written so, and the other control characters as \u{hex}. An entity
 * has one such text, so that uids compare as bytes. Errors: DV_ERR_INVALID (the type is no path of
 * identifiers, the id is not UTF-8), DV_ERR_TOO_LARGE (over 4 KiB), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_uid(dv_arena *arena, dv_slice type, dv_slice id, dv_slice *ret_uid);
