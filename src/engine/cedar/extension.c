/* SPDX-License-Identifier: Apache-2.0 */
/* The strings of the extension types (specs: syntax-operators, the constructors). */
#include "engine/cedar/value.h"

#include <arpa/inet.h>

enum { MS_PER_DAY = 86400000, DECIMAL_DIGITS = 4, DECIMAL_ONE = 10000 };

/* Takes digits off the front; false when there is none or the number exceeds 64 bits. */
static bool take_number(dv_slice *rest, uint64_t *ret_number, size_t *ret_digits)
{
    uint64_t number = 0;
    size_t i = 0;

    for (; i < rest->len && rest->ptr[i] >= '0' && rest->ptr[i] <= '9'; i++) {
        if (__builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(rest->ptr[i] - '0'), &number)) {
            return false;
        }
    }
    *rest = dv_slice_sub(*rest, i, rest->len);
    *ret_number = number;
    *ret_digits = i;
    return i > 0;
}

static bool take_byte(dv_slice *rest, uint8_t byte)
{
    if (rest->len == 0 || rest->ptr[0] != byte) {
        return false;
    }
    *rest = dv_slice_sub(*rest, 1, rest->len);
    return true;
}

static dv_result number_value(dv_cedar_type type, __int128 number, bool negative,
                              dv_cedar_value *ret_value)
{
    int64_t fits = 0;

    if (negative) {
        number = -number;
    }
    if (__builtin_add_overflow(number, 0, &fits)) {
        return DV_ERR_INVALID;
    }
    *ret_value = (dv_cedar_value){.type = type, .number = fits};
    return DV_OK;
}

dv_result dv_cedar_decimal_parse(dv_slice text, dv_cedar_value *ret_value)
{
    uint64_t whole = 0, part = 0;
    size_t digits = 0;
    bool negative = take_byte(&text, '-');

    if (!take_number(&text, &whole, &digits) || !take_byte(&text, '.') ||
        !take_number(&text, &part, &digits) || text.len > 0 || digits > DECIMAL_DIGITS) {
        return DV_ERR_INVALID;
    }
    for (; digits < DECIMAL_DIGITS; digits++) {
        part *= 10;
    }
    return number_value(DV_CEDAR_DECIMAL, (__int128)whole * DECIMAL_ONE + part, negative,
                        ret_value);
}

/* Exactly so many digits, from low to high. */
static bool take_field(dv_slice *rest, size_t width, int low, int high, int *ret_field)
{
    uint64_t number = 0;
    size_t digits = 0;
    dv_slice field = dv_slice_sub(*rest, 0, width);

    if (field.len != width || !take_number(&field, &number, &digits) || digits != width ||
        number < (uint64_t)low || number > (uint64_t)high) {
        return false;
    }
    *rest = dv_slice_sub(*rest, width, rest->len);
    *ret_field = (int)number;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* Days from 1970-01-01 in the Gregorian calendar, counted back as well; year 0 is a leap year. */
static int64_t days_from_epoch(int year, int month, int day)
{
    int64_t days = 0;

    for (int m = 1; m < month; m++) {
        days += days_in_month(year, m);
    }
    int64_t before = year - 1; /* whole years since year 1; -1 for year 0 */
    int64_t leaps = year == 0 ? -1 : before / 4 - before / 100 + before / 400;
    int64_t since_year_1 = before * 365 + leaps + days + day - 1;
    return since_year_1 - 719162; /* of 1970-01-01 */
}

static bool take_date(dv_slice *rest, int64_t *ret_days)
{
    int year = 0, month = 0, day = 0;

    if (!take_field(rest, 4, 0, 9999, &year) || !take_byte(rest, '-') ||
        !take_field(rest, 2, 1, 12, &month) || !take_byte(rest, '-') ||
        !take_field(rest, 2, 1, days_in_month(year, month), &day)) {
        return false;
    }
    *ret_days = days_from_epoch(year, month, day);
    return true;
}

static bool take_time(dv_slice *rest, int64_t *ret_ms)
{
    int hour = 0, minute = 0, second = 0, ms = 0;

    if (!take_byte(rest, 'T') || !take_field(rest, 2, 0, 23, &hour) || !take_byte(rest, ':') ||
        !take_field(rest, 2, 0, 59, &minute) || !take_byte(rest, ':') ||
        !take_field(rest, 2, 0, 59, &second)) {
        return false;
    }
    if (take_byte(rest, '.') && !take_field(rest, 3, 0, 999, &ms)) {
        return false;
    }
    *ret_ms = ((hour * 60 + minute) * 60 + second) * INT64_C(1000) + ms;
    return true;
}

/* "Z" or +hhmm or -hhmm, as milliseconds ahead of UTC. */
static bool take_zone(dv_slice *rest, int64_t *ret_ms)
{
    int hour = 0, minute = 0;

    if (take_byte(rest, 'Z')) {
        *ret_ms = 0;
        return true;
    }
    bool west = take_byte(rest, '-');
    if ((!west && !take_byte(rest, '+')) || !take_field(rest, 2, 0, 23, &hour) ||
        !take_field(rest, 2, 0, 59, &minute)) {
        return false;
    }
    *ret_ms = (hour * 60 + minute) * INT64_C(60000) * (west ? -1 : 1);
    return true;
}

dv_result dv_cedar_datetime_parse(dv_slice text, dv_cedar_value *ret_value)
{
    int64_t days = 0, ms = 0, zone = 0;

    if (!take_date(&text, &days)) {
        return DV_ERR_INVALID;
    }
    if (text.len > 0 && (!take_time(&text, &ms) || !take_zone(&text, &zone) || text.len > 0)) {
        return DV_ERR_INVALID;
    }
    return number_value(DV_CEDAR_DATETIME, (__int128)days * MS_PER_DAY + ms - zone, false,
                        ret_value);
}

dv_result dv_cedar_duration_parse(dv_slice text, dv_cedar_value *ret_value)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"d", MS_PER_DAY}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    bool negative = take_byte(&text, '-');
    size_t next = 0, digits = 0;
    __int128 total = 0;

    if (text.len == 0) {
        return DV_ERR_INVALID;
    }
    while (text.len > 0) {
        uint64_t number = 0;
        if (!take_number(&text, &number, &digits)) {
            return DV_ERR_INVALID;
        }
        bool ms = dv_slice_starts_with(text, DV_LIT("ms"));
        dv_slice name = dv_slice_sub(text, 0, ms ? 2 : 1);
        while (next < DV_ARRAY_LEN(units) && !dv_slice_eq_str(name, units[next].name)) {
            next++;
        }
        if (next == DV_ARRAY_LEN(units)) { /* unknown, repeated or out of order */
            return DV_ERR_INVALID;
        }
        total += (__int128)number * units[next++].ms;
        text = dv_slice_sub(text, name.len, text.len);
    }
    return number_value(DV_CEDAR_DURATION, total, negative, ret_value);
}

/* The bits behind the slash: no sign, no leading zero. */
static bool read_prefix(dv_slice text, int most, uint8_t *ret_prefix)
{
    uint64_t number = 0;
    size_t digits = 0;
    bool leading_zero = text.len > 1 && text.ptr[0] == '0';

    if (text.len > 3 || leading_zero || !take_number(&text, &number, &digits) || text.len > 0 ||
        number > (uint64_t)most) {
        return false;
    }
    *ret_prefix = (uint8_t)number;
    return true;
}

dv_result dv_cedar_ip_parse(dv_slice text, dv_cedar_value *ret_value)
{
    char address[INET6_ADDRSTRLEN];
    dv_cedar_ip ip = {0};
    ptrdiff_t slash = dv_slice_find_byte(text, '/');
    dv_slice front = slash < 0 ? text : dv_slice_sub(text, 0, (size_t)slash);

    ip.v6 = dv_slice_find_byte(front, ':') >= 0;
    bool mixed = ip.v6 && dv_slice_find_byte(front, '.') >= 0; /* ::ffff:1.2.3.4: not Cedar's */
    if (mixed || front.len == 0 || front.len >= sizeof(address) ||
        memchr(front.ptr, 0, front.len) != NULL) {
        return DV_ERR_INVALID;
    }
    memcpy(address, front.ptr, front.len);
    address[front.len] = '\0';
    if (inet_pton(ip.v6 ? AF_INET6 : AF_INET, address, ip.bytes) != 1) {
        return DV_ERR_INVALID;
    }
    ip.prefix = ip.v6 ? 128 : 32;
    if (slash >= 0 &&
        !read_prefix(dv_slice_sub(text, (size_t)slash + 1, text.len), ip.prefix, &ip.prefix)) {
        return DV_ERR_INVALID;
    }
    *ret_value = (dv_cedar_value){.type = DV_CEDAR_IPADDR, .ip = ip};
    return DV_OK;
}
