/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/collect/times.h"

#include <time.h>

enum { YEAR_MIN = 1970, YEAR_MAX = 2261 };

typedef struct reading {
    dv_slice text;
    size_t at;
    int year; /* -1: not said */
    int month;
    int day;
    int hour;
    int minute;
    int second;
    int64_t nanoseconds;
    int64_t offset; /* of the zone, seconds */
    bool zoned;
    bool absolute; /* seconds since 1970 are in `epoch` */
    int64_t epoch;
} reading;

static bool at_digit(const reading *r)
{
    return r->at < r->text.len && r->text.ptr[r->at] >= '0' && r->text.ptr[r->at] <= '9';
}

static bool take_byte(reading *r, char byte)
{
    if (r->at >= r->text.len || r->text.ptr[r->at] != (uint8_t)byte) {
        return false;
    }
    r->at++;
    return true;
}

static bool take_number(reading *r, int digits, int min, int max, int *number)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (!at_digit(r)) {
            return false;
        }
        value = value * 10 + (r->text.ptr[r->at++] - '0');
    }
    *number = value;
    return value >= min && value <= max;
}

/* ".123456": what is behind the ninth digit does not count. */
static bool take_fraction(reading *r)
{
    int64_t unit = 100000000;
    if (r->at >= r->text.len || (r->text.ptr[r->at] != '.' && r->text.ptr[r->at] != ',')) {
        return true;
    }
    r->at++;
    if (!at_digit(r)) {
        return false;
    }
    for (r->nanoseconds = 0; at_digit(r); unit /= 10) {
        r->nanoseconds += (r->text.ptr[r->at++] - '0') * unit;
    }
    return true;
}

static bool take_month(reading *r, int *month)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12 && r->at + 3 <= r->text.len; i++) {
        if (memcmp(r->text.ptr + r->at, names + (size_t)3 * (size_t)i, 3) == 0) {
            *month = i + 1;
            r->at += 3;
            return true;
        }
    }
    return false;
}

static bool take_zone(reading *r)
{
    int hours = 0;
    int minutes = 0;
    r->zoned = true;
    if (take_byte(r, 'Z')) {
        return true;
    }
    bool west = r->at < r->text.len && r->text.ptr[r->at] == '-';
    if (!take_byte(r, west ? '-' : '+') || !take_number(r, 2, 0, 23, &hours)) {
        return false;
    }
    (void)take_byte(r, ':');
    if (at_digit(r) && !take_number(r, 2, 0, 59, &minutes)) {
        return false;
    }
    r->offset = (west ? -1 : 1) * (hours * 3600L + minutes * 60L);
    return true;
}

static bool take_zone_name(reading *r)
{
    size_t start = r->at;
    if (r->at < r->text.len && (r->text.ptr[r->at] == '+' || r->text.ptr[r->at] == '-')) {
        return take_zone(r);
    }
    while (r->at < r->text.len && r->text.ptr[r->at] >= 'A' && r->text.ptr[r->at] <= 'Z') {
        r->at++;
    }
    dv_slice name = dv_slice_sub(r->text, start, r->at - start);
    r->zoned =
        dv_slice_eq_str(name, "UTC") || dv_slice_eq_str(name, "GMT") || dv_slice_eq_str(name, "Z");
    return name.len > 0;
}

static bool take_epoch(reading *r, int64_t units)
{
    int64_t value = 0;
    size_t start = r->at;
    while (at_digit(r) && r->at - start < 18) {
        value = value * 10 + (r->text.ptr[r->at++] - '0');
    }
    r->absolute = true;
    r->epoch = value / units;
    r->nanoseconds = value % units * (DV_SECOND / units);
    return r->at > start && !at_digit(r) && (units != 1 || take_fraction(r));
}

static bool take_directive(reading *r, char directive)
{
    switch (directive) {
    case 'Y':
        return take_number(r, 4, YEAR_MIN, YEAR_MAX, &r->year);
    case 'm':
        return take_number(r, 2, 1, 12, &r->month);
    case 'd':
        return take_byte(r, ' ') ? take_number(r, 1, 1, 9, &r->day)
                                 : take_number(r, 2, 1, 31, &r->day);
    case 'H':
        return take_number(r, 2, 0, 23, &r->hour);
    case 'M':
        return take_number(r, 2, 0, 59, &r->minute);
    case 'S':
        return take_number(r, 2, 0, 60, &r->second);
    case 'b':
        return take_month(r, &r->month);
    case 'f':
        return take_fraction(r);
    case 'z':
        return take_zone(r);
    case 'Z':
        return take_zone_name(r);
    case 's':
        return take_epoch(r, 1);
    case 'L':
        return take_epoch(r, 1000);
    default:
        return false;
    }
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool is_day(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return day <= days[month - 1] + (month == 2 && is_leap(year));
}

/* Days since 1970 of a date of the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400;
    int64_t in_era = y - era * 400;
    int64_t in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static int64_t seconds_of(const reading *r, int year)
{
    return days_of(year, r->month, r->day) * 86400 + r->hour * 3600L + r->minute * 60L + r->second;
}

/* What the machine's zone is ahead of UTC at a local time; asked once for each hour. */
static int64_t local_offset(int64_t local)
{
    static _Thread_local int64_t known_hour = INT64_MIN;
    static _Thread_local int64_t known_offset;
    struct tm parts;
    int64_t hour = local / 3600;
    if (hour != known_hour) {
        time_t seconds = (time_t)(hour * 3600);
        gmtime_r(&seconds, &parts);
        parts.tm_isdst = -1;
        time_t utc = mktime(&parts);
        known_offset = utc == (time_t)-1 ? 0 : hour * 3600 - (int64_t)utc;
        known_hour = hour;
    }
    return known_offset;
}

static int64_t utc_seconds(const reading *r, int year)
{
    int64_t seconds = seconds_of(r, year);
    return seconds - (r->zoned ? r->offset : local_offset(seconds));
}

static int year_of(dv_time now)
{
    struct tm parts;
    time_t seconds = (time_t)(now / DV_SECOND);
    gmtime_r(&seconds, &parts);
    return parts.tm_year + 1900;
}

/* RFC 3164 tells no year: at New Year December is last year's. */
static dv_result guess_year(reading *r, dv_time now)
{
    int64_t best = INT64_MAX;
    int this_year = year_of(now);
    for (int year = this_year - 1; year <= this_year + 1; year++) {
        if (year < YEAR_MIN || year > YEAR_MAX || !is_day(year, r->month, r->day)) {
            continue;
        }
        int64_t away = utc_seconds(r, year) - now / DV_SECOND;
        away = away < 0 ? -away : away;
        r->year = away < best ? year : r->year;
        best = DV_MIN(away, best);
    }
    return r->year > 0 ? DV_OK : DV_ERR_INVALID;
}

static bool take_all(reading *r, const char *pattern)
{
    for (const char *at = pattern; *at != '\0'; at++) {
        bool directive = *at == '%' && at[1] != '\0';
        if (!(directive ? take_directive(r, *++at) : take_byte(r, *at))) {
            return false;
        }
    }
    return true;
}

dv_result dv_log_time_parse(dv_slice text, const char *pattern, dv_time now, dv_time *ret_time,
                            size_t *ret_len)
{
    reading r = {.text = text, .year = -1, .month = 1, .day = 1};
    if (!take_all(&r, pattern)) {
        return DV_ERR_INVALID;
    }
    if (!r.absolute) {
        DV_TRY(r.year < 0 ? guess_year(&r, now) : DV_OK);
        if (!is_day(r.year, r.month, r.day)) {
            return DV_ERR_INVALID;
        }
        r.epoch = utc_seconds(&r, r.year);
    }
    if (r.epoch < 0 || r.epoch >= DV_TIME_NEVER / DV_SECOND) {
        return DV_ERR_INVALID;
    }
    *ret_time = r.epoch * DV_SECOND + r.nanoseconds;
    *ret_len = r.at;
    return DV_OK;
}
