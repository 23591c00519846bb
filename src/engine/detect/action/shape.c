/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/action/shape.h"

#include "base/address.h"

enum { SHORTEST_NUMBER = 3 };

static bool is_separator(uint8_t byte)
{
    return byte == ' ' || byte == '-' || byte == '.' || byte == '/' || byte == '(' || byte == ')' ||
           byte == '+' || byte == '_' || byte == ':';
}

static bool looks_like_email(dv_slice text)
{
    ptrdiff_t at = dv_slice_find_byte(text, '@');
    if (at <= 0) {
        return false;
    }
    dv_slice domain = dv_slice_sub(text, (size_t)at + 1, text.len);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] == '<' || text.ptr[i] == ',') {
            return false;
        }
    }
    return domain.len > 2 && dv_slice_find_byte(domain, '@') < 0 &&
           dv_slice_find_byte(domain, '.') > 0;
}

dv_shape dv_shape_of(dv_slice text, dv_date_order order)
{
    size_t digits = 0, letters = 0, others = 0;
    dv_address address;
    dv_date date;
    text = dv_slice_trim(text);
    if (looks_like_email(text)) {
        return DV_SHAPE_EMAIL;
    }
    if (dv_address_parse(text, &address) == DV_OK) {
        return DV_SHAPE_ADDRESS;
    }
    if (dv_date_parse(text, order, false, &date)) {
        return DV_SHAPE_DATE;
    }
    for (size_t i = 0; i < text.len; i++) {
        digits += dv_is_digit(text.ptr[i]);
        letters += dv_is_alnum(text.ptr[i]) && !dv_is_digit(text.ptr[i]);
        others += !dv_is_alnum(text.ptr[i]) && !is_separator(text.ptr[i]);
    }
    if (others > 0 || digits < SHORTEST_NUMBER) {
        return DV_SHAPE_TEXT;
    }
    return letters == 0 ? DV_SHAPE_DIGITS : DV_SHAPE_CODE;
}

/* ASCII capitals become small letters; of numbers only letters and digits stay. */
static dv_result append_spelling(dv_shape shape, dv_slice text, dv_buf *out)
{
    bool bare = shape == DV_SHAPE_DIGITS || shape == DV_SHAPE_CODE;
    DV_TRY(dv_buf_reserve(out, text.len));
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (!bare || dv_is_alnum(byte)) {
            out->ptr[out->len++] = dv_is_upper(byte) ? (uint8_t)(byte + 32) : byte;
        }
    }
    return DV_OK;
}

dv_result dv_shape_normalise(dv_shape shape, dv_date_order order, dv_slice text, dv_buf *out)
{
    static const char *const names[] = {"text", "email", "address", "date", "digits", "code"};
    dv_address address;
    dv_date date;
    text = dv_slice_trim(text);
    DV_TRY(dv_buf_append_str(out, names[shape]));
    DV_TRY(dv_buf_append_byte(out, '\0'));
    if (shape == DV_SHAPE_ADDRESS && dv_address_parse(text, &address) == DV_OK) {
        return dv_buf_append(out, dv_slice_of(address.bytes, sizeof(address.bytes)));
    }
    if (shape == DV_SHAPE_DATE && dv_date_parse(text, order, true, &date)) {
        return dv_buf_append_printf(out, "%lld", (long long)date.day);
    }
    return append_spelling(shape, text, out);
}

/* -- days -------------------------------------------------------------------------------------- */

/* Days since 1970-01-01 of the proleptic Gregorian calendar, counted in years that begin in March.
 */
static int64_t day_of(int year, int month, int of_month)
{
    int64_t y = year - (month <= 2);
    int64_t era = y / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + of_month - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static void civil_of(int64_t day, int *year, int *month, int *of_month)
{
    day += 719468;
    int64_t era = (day >= 0 ? day : day - 146096) / 146097;
    int64_t doe = day - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t shifted = (5 * doy + 2) / 153;
    *of_month = (int)(doy - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

static bool is_date(int year, int month, int of_month)
{
    static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return year >= 1 && year <= 9999 && month >= 1 && month <= 12 && of_month >= 1 &&
           of_month <= lengths[month - 1] && (month != 2 || of_month < 29 || leap);
}

/* -- reading dates ----------------------------------------------------------------------------- */

enum { FORM_YMD, FORM_DMY, FORM_MDY };

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};

typedef struct cursor {
    dv_slice text;
    size_t at;
} cursor;

static bool read_number(cursor *c, int *ret, uint8_t *ret_width)
{
    int number = 0;
    size_t start = c->at;
    while (c->at < c->text.len && dv_is_digit(c->text.ptr[c->at]) && c->at - start < 5) {
        number = number * 10 + (c->text.ptr[c->at++] - '0');
    }
    *ret = number;
    *ret_width = (uint8_t)(c->at - start);
    return c->at > start && c->at - start <= 4;
}

/* One of "-", "/", ".", " ", ", " and the like; remembered. */
static bool read_separator(cursor *c, char out[4])
{
    size_t len = 0;
    while (c->at < c->text.len && len < 3 && strchr("-/., ", c->text.ptr[c->at]) != NULL &&
           c->text.ptr[c->at] != '\0') {
        out[len++] = (char)c->text.ptr[c->at++];
    }
    out[len] = '\0';
    return len > 0;
}

static bool read_month(cursor *c, dv_date *date)
{
    dv_slice rest = dv_slice_sub(c->text, c->at, SIZE_MAX);
    for (size_t i = 0; i < DV_ARRAY_LEN(months); i++) {
        dv_slice name = dv_slice_str(months[i]);
        bool whole = dv_slice_eq_nocase(dv_slice_sub(rest, 0, name.len), name);
        if (whole || dv_slice_eq_nocase(dv_slice_sub(rest, 0, 3), dv_slice_sub(name, 0, 3))) {
            c->at += whole ? name.len : 3;
            date->month = (int)i + 1;
            date->long_month = whole;
            return c->at == c->text.len || !dv_is_alnum(c->text.ptr[c->at]);
        }
    }
    return false;
}

/* "st", "nd", "rd" or "th" behind a day is passed over. */
static void read_ordinal(cursor *c)
{
    static const char *const endings[] = {"st", "nd", "rd", "th"};
    for (size_t i = 0; i < DV_ARRAY_LEN(endings); i++) {
        if (dv_slice_eq_str(dv_slice_sub(c->text, c->at, 2), endings[i])) {
            c->at += 2;
            return;
        }
    }
}

static bool read_year(cursor *c, dv_date *date)
{
    uint8_t width;
    if (!read_number(c, &date->year, &width) || (width != 4 && width != 2)) {
        return false;
    }
    date->short_year = width == 2;
    if (date->short_year) {
        date->year += date->year < 40 ? 2000 : 1900;
    }
    return true;
}

static bool read_written(cursor *c, dv_date *date)
{
    date->form = dv_is_digit(c->text.ptr[0]) ? FORM_DMY : FORM_MDY;
    bool month_first = date->form == FORM_MDY;
    if (month_first && (!read_month(c, date) || !read_separator(c, date->separators[0]))) {
        return false;
    }
    if (!read_number(c, &date->of_month, &date->widths[2])) {
        return false;
    }
    read_ordinal(c);
    if (!read_separator(c, date->separators[month_first ? 1 : 0])) {
        return false;
    }
    if (!month_first && (!read_month(c, date) || !read_separator(c, date->separators[1]))) {
        return false;
    }
    return read_year(c, date);
}

static bool read_numeric(cursor *c, dv_date_order order, dv_date *date)
{
    int parts[2];
    uint8_t widths[2];
    if (!read_number(c, &parts[0], &widths[0]) || !read_separator(c, date->separators[0]) ||
        !read_number(c, &parts[1], &widths[1]) || !read_separator(c, date->separators[1]) ||
        strcmp(date->separators[0], date->separators[1]) != 0 || date->separators[0][1] != '\0' ||
        strchr("-/.", date->separators[0][0]) == NULL) {
        return false;
    }
    if (widths[0] == 4) {
        date->form = FORM_YMD;
        date->year = parts[0];
        date->month = parts[1];
        date->widths[1] = widths[1];
        return read_number(c, &date->of_month, &date->widths[2]) && date->widths[2] <= 2;
    }
    bool month_first = (order == DV_DATE_MDY && parts[0] <= 12) || parts[1] > 12;
    date->form = month_first ? FORM_MDY : FORM_DMY;
    date->month = parts[month_first ? 0 : 1];
    date->widths[1] = widths[month_first ? 0 : 1];
    date->of_month = parts[month_first ? 1 : 0];
    date->widths[2] = widths[month_first ? 1 : 0];
    return widths[0] <= 2 && widths[1] <= 2 && read_year(c, date);
}

static bool read_compact(cursor *c, dv_date *date)
{
    if (c->text.len < 8) {
        return false;
    }
    int number = 0;
    for (c->at = 0; c->at < 8; c->at++) {
        if (!dv_is_digit(c->text.ptr[c->at])) {
            return false;
        }
        number = number * 10 + (c->text.ptr[c->at] - '0');
    }
    date->form = FORM_YMD;
    date->year = number / 10000;
    date->month = number / 100 % 100;
    date->of_month = number % 100;
    date->widths[1] = date->widths[2] = 2;
    return true;
}

/* Nothing, or "T10:20:30.5+02:00" and the like. */
static bool is_tail(dv_slice tail)
{
    if (tail.len == 0) {
        return true;
    }
    if (tail.len < 4 || (tail.ptr[0] != ' ' && tail.ptr[0] != 'T') || !dv_is_digit(tail.ptr[1])) {
        return false;
    }
    for (size_t i = 1; i < tail.len; i++) {
        if (!dv_is_digit(tail.ptr[i]) && strchr(":.+-Z APMapm", tail.ptr[i]) == NULL) {
            return false;
        }
    }
    return dv_slice_find_byte(tail, ':') > 0;
}

bool dv_date_parse(dv_slice text, dv_date_order order, bool compact, dv_date *ret_date)
{
    text = dv_slice_trim(text);
    if (text.len < 6 || text.len > 64) {
        return false;
    }
    for (int way = 0; way < 3; way++) {
        cursor c = {text, 0};
        dv_date date = {.year = 0};
        bool read = way == 0   ? read_numeric(&c, order, &date)
                    : way == 1 ? read_written(&c, &date)
                               : compact && read_compact(&c, &date);
        date.tail = dv_slice_sub(text, c.at, SIZE_MAX);
        if (read && is_date(date.year, date.month, date.of_month) && is_tail(date.tail)) {
            date.day = day_of(date.year, date.month, date.of_month);
            *ret_date = date;
            return true;
        }
    }
    return false;
}

/* -- writing them ------------------------------------------------------------------------------ */

static dv_result write_month(const dv_date *like, int month, dv_buf *out)
{
    if (like->widths[1] > 0) {
        return dv_buf_append_printf(out, "%0*d", like->widths[1], month);
    }
    dv_slice name = dv_slice_str(months[month - 1]);
    return dv_buf_append(out, like->long_month ? name : dv_slice_sub(name, 0, 3));
}

dv_result dv_date_write(const dv_date *like, int64_t day, dv_buf *out)
{
    int year, month, of_month;
    civil_of(day, &year, &month, &of_month);
    if (!is_date(year, month, of_month)) {
        return DV_ERR_INVALID;
    }
    const char *first = like->separators[0];
    const char *second = like->separators[1];
    if (like->form == FORM_YMD) {
        DV_TRY(dv_buf_append_printf(out, "%04d%s", year, first));
        DV_TRY(write_month(like, month, out));
        DV_TRY(dv_buf_append_printf(out, "%s%0*d", second, like->widths[2], of_month));
        return dv_buf_append(out, like->tail);
    }
    if (like->form == FORM_DMY) {
        DV_TRY(dv_buf_append_printf(out, "%0*d%s", like->widths[2], of_month, first));
        DV_TRY(write_month(like, month, out));
    } else {
        DV_TRY(write_month(like, month, out));
        DV_TRY(dv_buf_append_printf(out, "%s%0*d", first, like->widths[2], of_month));
    }
    DV_TRY(like->short_year ? dv_buf_append_printf(out, "%s%02d", second, year % 100)
                            : dv_buf_append_printf(out, "%s%04d", second, year));
    return dv_buf_append(out, like->tail);
}
