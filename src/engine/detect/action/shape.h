/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a value looks like, and its one spelling: the same value is the same, however written. */

#include "engine/detect/action/action.h"

typedef enum dv_shape {
    DV_SHAPE_TEXT = 0, /* words */
    DV_SHAPE_EMAIL,
    DV_SHAPE_ADDRESS, /* IPv4 or IPv6 */
    DV_SHAPE_DATE,
    DV_SHAPE_DIGITS, /* and separators */
    DV_SHAPE_CODE,   /* letters and digits, and separators */
} dv_shape;

dv_shape dv_shape_of(dv_slice text, dv_date_order order);

/* Appends shape, a NUL and the one spelling: what keyed functions are given. */
dv_must dv_result dv_shape_normalise(dv_shape shape, dv_date_order order, dv_slice text,
                                     dv_buf *out);

/* A date and how it was written, so that another can be written the same way. */
typedef struct dv_date {
    int64_t day; /* since 1970-01-01, proleptic Gregorian */
    int year, month, of_month;
    uint8_t form;      /* private */
    uint8_t widths[3]; /* of year, month and day; a word's is 0 */
    bool short_year, long_month;
    char separators[2][4];
    dv_slice tail; /* a time of day, kept */
} dv_date;

/* Reads 1980-05-12 (also with / . or none), 12.05.1980, 5/12/80, 12 May 1980, May 12, 1980, each
 * perhaps with a time of day behind it. compact: 19800512, too. */
bool dv_date_parse(dv_slice text, dv_date_order order, bool compact, dv_date *ret_date);
/* The day `day`, written as `like` was. Errors: DV_ERR_INVALID beyond years 1 to 9999. */
dv_must dv_result dv_date_write(const dv_date *like, int64_t day, dv_buf *out);

static inline bool dv_is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static inline bool dv_is_upper(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z';
}

static inline bool dv_is_lower(uint8_t byte)
{
    return byte >= 'a' && byte <= 'z';
}

static inline bool dv_is_alnum(uint8_t byte)
{
    return dv_is_digit(byte) || dv_is_upper(byte) || dv_is_lower(byte);
}
