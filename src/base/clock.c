/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

static dv_time read_clock(clockid_t clock)
{
    struct timespec spec;
    if (clock_gettime(clock, &spec) != 0) {
        abort();
    }
    return (dv_time)spec.tv_sec * DV_SECOND + spec.tv_nsec;
}

dv_time dv_time_now(void)
{
    return read_clock(CLOCK_REALTIME);
}

dv_time dv_time_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

dv_time dv_time_coarse(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

dv_time dv_clock_watch_look(dv_clock_watch *watch, dv_time wall, dv_time monotonic)
{
    const dv_time jump_max = 2 * DV_SECOND;
    dv_time offset = wall - monotonic;
    dv_time jump = watch->looked ? offset - watch->offset : 0;
    *watch = (dv_clock_watch){offset, true};
    return jump > jump_max || jump < -jump_max ? jump : 0;
}

/* Days since 1970-01-01 to a civil date and back (proleptic Gregorian), by counting years from
 * March so that the leap day comes last. */
typedef struct civil {
    int64_t year;
    unsigned month, day;
} civil;

enum { DAYS_PER_ERA = 146097, DAYS_TO_EPOCH = 719468, YEARS_PER_ERA = 400 };

static civil civil_of_days(int64_t days)
{
    days += DAYS_TO_EPOCH;
    int64_t era = days / DAYS_PER_ERA;
    unsigned day_of_era = (unsigned)(days - era * DAYS_PER_ERA);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted = (5 * day_of_year + 2) / 153;
    civil date = {.year = (int64_t)year_of_era + era * YEARS_PER_ERA,
                  .month = shifted < 10 ? shifted + 3 : shifted - 9,
                  .day = day_of_year - (153 * shifted + 2) / 5 + 1};
    date.year += date.month <= 2;
    return date;
}

static int64_t days_of_civil(civil date)
{
    int64_t year = date.year - (date.month <= 2);
    int64_t era = year / YEARS_PER_ERA;
    unsigned year_of_era = (unsigned)(year - era * YEARS_PER_ERA);
    unsigned shifted = date.month > 2 ? date.month - 3 : date.month + 9;
    unsigned day_of_year = (153 * shifted + 2) / 5 + date.day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_EPOCH;
}

static char *put_digits(char *out, uint64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + width;
}

size_t dv_time_format(dv_time time, char out[DV_TIME_TEXT_MAX])
{
    uint64_t clamped = time < 0 ? 0 : (uint64_t)time;
    uint64_t seconds = clamped / (uint64_t)DV_SECOND;
    uint64_t in_day = seconds % 86400;
    civil date = civil_of_days((int64_t)(seconds / 86400));
    char *at = put_digits(out, (uint64_t)date.year, 4);
    *at++ = '-';
    at = put_digits(at, date.month, 2);
    *at++ = '-';
    at = put_digits(at, date.day, 2);
    *at++ = 'T';
    at = put_digits(at, in_day / 3600, 2);
    *at++ = ':';
    at = put_digits(at, in_day / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, in_day % 60, 2);
    *at++ = '.';
    at = put_digits(at, clamped % (uint64_t)DV_SECOND / 1000, 6);
    *at++ = 'Z';
    *at = '\0';
    return (size_t)(at - out);
}

/* Takes exactly `width` digits off the front. */
static dv_result take_number(dv_slice *text, size_t width, unsigned min, unsigned max,
                             unsigned *ret_value)
{
    unsigned value = 0;
    if (text->len < width) {
        return DV_ERR_INVALID;
    }
    for (size_t i = 0; i < width; i++) {
        uint8_t digit = text->ptr[i];
        if (digit < '0' || digit > '9') {
            return DV_ERR_INVALID;
        }
        value = value * 10 + (unsigned)(digit - '0');
    }
    if (value < min || value > max) {
        return DV_ERR_INVALID;
    }
    *text = dv_slice_sub(*text, width, text->len);
    *ret_value = value;
    return DV_OK;
}

static dv_result take_one_of(dv_slice *text, const char *allowed, char *ret_byte)
{
    if (text->len == 0 || text->ptr[0] == '\0' || strchr(allowed, text->ptr[0]) == NULL) {
        return DV_ERR_INVALID;
    }
    *ret_byte = (char)text->ptr[0];
    *text = dv_slice_sub(*text, 1, text->len);
    return DV_OK;
}

static unsigned month_length(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

/* RFC 3339 full-date, as seconds. */
static dv_result take_date(dv_slice *text, int64_t *ret_seconds)
{
    unsigned year, month, day;
    char separator;
    DV_TRY(take_number(text, 4, 1970, 2261, &year));
    DV_TRY(take_one_of(text, "-", &separator));
    DV_TRY(take_number(text, 2, 1, 12, &month));
    DV_TRY(take_one_of(text, "-", &separator));
    DV_TRY(take_number(text, 2, 1, month_length(year, month), &day));
    *ret_seconds = days_of_civil((civil){.year = year, .month = month, .day = day}) * 86400;
    return DV_OK;
}

static dv_result take_fraction(dv_slice *text, dv_time *ret_nanoseconds)
{
    dv_time nanoseconds = 0;
    dv_time scale = DV_SECOND / 10;
    size_t digits = 0;
    while (digits < text->len && text->ptr[digits] >= '0' && text->ptr[digits] <= '9') {
        nanoseconds += (text->ptr[digits] - '0') * scale;
        scale /= 10;
        digits++;
    }
    if (digits == 0) {
        return DV_ERR_INVALID;
    }
    *text = dv_slice_sub(*text, digits, text->len);
    *ret_nanoseconds = nanoseconds;
    return DV_OK;
}

/* RFC 3339 partial-time. */
static dv_result take_time(dv_slice *text, dv_time *ret_nanoseconds)
{
    unsigned hour, minute, second;
    char separator;
    dv_time fraction = 0;
    DV_TRY(take_number(text, 2, 0, 23, &hour));
    DV_TRY(take_one_of(text, ":", &separator));
    DV_TRY(take_number(text, 2, 0, 59, &minute));
    DV_TRY(take_one_of(text, ":", &separator));
    DV_TRY(take_number(text, 2, 0, 60, &second));
    if (text->len > 0 && text->ptr[0] == '.') {
        *text = dv_slice_sub(*text, 1, text->len);
        DV_TRY(take_fraction(text, &fraction));
    }
    *ret_nanoseconds = (dv_time)(hour * 3600 + minute * 60 + second) * DV_SECOND + fraction;
    return DV_OK;
}

/* RFC 3339 time-offset, as seconds to subtract. */
static dv_result take_offset(dv_slice *text, int64_t *ret_seconds)
{
    unsigned hour, minute;
    char sign;
    DV_TRY(take_one_of(text, "Zz+-", &sign));
    if (sign == 'Z' || sign == 'z') {
        *ret_seconds = 0;
        return DV_OK;
    }
    char separator;
    DV_TRY(take_number(text, 2, 0, 23, &hour));
    DV_TRY(take_one_of(text, ":", &separator));
    DV_TRY(take_number(text, 2, 0, 59, &minute));
    int64_t seconds = (int64_t)hour * 3600 + (int64_t)minute * 60;
    *ret_seconds = sign == '+' ? seconds : -seconds;
    return DV_OK;
}

dv_result dv_time_parse(dv_slice text, dv_time *ret_time)
{
    int64_t date, offset;
    dv_time in_day;
    char separator;
    DV_TRY(take_date(&text, &date));
    DV_TRY(take_one_of(&text, "Tt ", &separator));
    DV_TRY(take_time(&text, &in_day));
    DV_TRY(take_offset(&text, &offset));
    dv_time time = (date - offset) * DV_SECOND + in_day;
    if (text.len != 0 || time < 0) {
        return DV_ERR_INVALID;
    }
    *ret_time = time;
    return DV_OK;
}

static dv_time unit_length(dv_slice unit)
{
    static const struct {
        const char *name;
        dv_time length;
    } units[] = {
        {"ms", DV_MILLISECOND},  {"s", DV_SECOND},         {"m", 60 * DV_SECOND},
        {"h", 3600 * DV_SECOND}, {"d", 86400 * DV_SECOND}, {"w", 604800 * DV_SECOND},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(units); i++) {
        if (dv_slice_eq_str(unit, units[i].name)) {
            return units[i].length;
        }
    }
    return 0;
}

dv_result dv_duration_parse(dv_slice text, dv_time *ret_duration)
{
    dv_time value = 0;
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9') {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, text.ptr[digits] - '0', &value)) {
            return DV_ERR_INVALID;
        }
        digits++;
    }
    dv_time unit = unit_length(dv_slice_sub(text, digits, text.len));
    if (digits == 0 || unit == 0 || __builtin_mul_overflow(value, unit, &value)) {
        return DV_ERR_INVALID;
    }
    *ret_duration = value;
    return DV_OK;
}
