/* SPDX-License-Identifier: Apache-2.0 */
/* The extension types' functions, and the table of all (specs: syntax-operators). */
#include "engine/cedar/function.h"

enum { MS_PER_SECOND = 1000, MS_PER_MINUTE = 60000, MS_PER_HOUR = 3600000, MS_PER_DAY = 86400000 };

struct dv_cedar_evaluation;
#define PARAMETERS                                                                                 \
    struct dv_cedar_evaluation *evaluation, const dv_cedar_value *args, dv_cedar_value *ret_value

static bool are(const dv_cedar_value *args, size_t count, dv_cedar_type type)
{
    for (size_t i = 0; i < count; i++) {
        if (args[i].type != type) {
            return false;
        }
    }
    return true;
}

static dv_result construct(const dv_cedar_value *args,
                           dv_result (*parse)(dv_slice text, dv_cedar_value *ret_value),
                           dv_cedar_value *ret_value)
{
    return are(args, 1, DV_CEDAR_STRING) ? parse(args[0].text, ret_value) : DV_ERR_INVALID;
}

static dv_result run_decimal(PARAMETERS)
{
    return construct(args, dv_cedar_decimal_parse, ret_value);
}

static dv_result run_datetime(PARAMETERS)
{
    return construct(args, dv_cedar_datetime_parse, ret_value);
}

static dv_result run_duration(PARAMETERS)
{
    return construct(args, dv_cedar_duration_parse, ret_value);
}

static dv_result run_ip(PARAMETERS)
{
    return construct(args, dv_cedar_ip_parse, ret_value);
}

#define DECIMAL_COMPARISON(name, operator)                                                         \
    static dv_result run_##name(PARAMETERS)                                                        \
    {                                                                                              \
        if (!are(args, 2, DV_CEDAR_DECIMAL)) {                                                     \
            return DV_ERR_INVALID;                                                                 \
        }                                                                                          \
        *ret_value = dv_cedar_bool(args[0].number operator args[1].number);                        \
        return DV_OK;                                                                              \
    }
DECIMAL_COMPARISON(less_than, <)
DECIMAL_COMPARISON(less_than_or_equal, <=)
DECIMAL_COMPARISON(greater_than, >)
DECIMAL_COMPARISON(greater_than_or_equal, >=)

/* True when the first `prefix` bits agree and the address names no more than that range. */
static bool lies_in(const dv_cedar_ip *ip, const uint8_t range[16], uint8_t prefix)
{
    uint8_t whole = prefix / 8, rest = prefix % 8;
    uint8_t mask = (uint8_t)(0xff00 >> rest);

    if (ip->prefix < prefix || memcmp(ip->bytes, range, whole) != 0) {
        return false;
    }
    return rest == 0 || ((ip->bytes[whole] ^ range[whole]) & mask) == 0;
}

static bool lies_in_either(const dv_cedar_ip *ip, const dv_cedar_ip *v4, const dv_cedar_ip *v6)
{
    const dv_cedar_ip *range = ip->v6 ? v6 : v4;

    return lies_in(ip, range->bytes, range->prefix);
}

static bool is_loopback(const dv_cedar_ip *ip)
{
    static const dv_cedar_ip v4 = {.bytes = {127}, .prefix = 8};
    static const dv_cedar_ip v6 = {.bytes = {[15] = 1}, .prefix = 128, .v6 = true};

    return lies_in_either(ip, &v4, &v6);
}

static bool is_multicast(const dv_cedar_ip *ip)
{
    static const dv_cedar_ip v4 = {.bytes = {224}, .prefix = 4};
    static const dv_cedar_ip v6 = {.bytes = {0xff}, .prefix = 8, .v6 = true};

    return lies_in_either(ip, &v4, &v6);
}

#define IP_TEST(name, test)                                                                        \
    static dv_result run_##name(PARAMETERS)                                                        \
    {                                                                                              \
        if (!are(args, 1, DV_CEDAR_IPADDR)) {                                                      \
            return DV_ERR_INVALID;                                                                 \
        }                                                                                          \
        *ret_value = dv_cedar_bool(test);                                                          \
        return DV_OK;                                                                              \
    }
IP_TEST(is_ipv4, !args[0].ip.v6)
IP_TEST(is_ipv6, args[0].ip.v6)
IP_TEST(is_loopback, is_loopback(&args[0].ip))
IP_TEST(is_multicast, is_multicast(&args[0].ip))

static dv_result run_is_in_range(PARAMETERS)
{
    if (!are(args, 2, DV_CEDAR_IPADDR)) {
        return DV_ERR_INVALID;
    }
    *ret_value = dv_cedar_bool(args[0].ip.v6 == args[1].ip.v6 &&
                               lies_in(&args[0].ip, args[1].ip.bytes, args[1].ip.prefix));
    return DV_OK;
}

static dv_result run_offset(PARAMETERS)
{
    int64_t sum = 0;

    if (args[0].type != DV_CEDAR_DATETIME || args[1].type != DV_CEDAR_DURATION ||
        __builtin_add_overflow(args[0].number, args[1].number, &sum)) {
        return DV_ERR_INVALID;
    }
    *ret_value = (dv_cedar_value){.type = DV_CEDAR_DATETIME, .number = sum};
    return DV_OK;
}

static dv_result run_duration_since(PARAMETERS)
{
    int64_t difference = 0;

    if (!are(args, 2, DV_CEDAR_DATETIME) ||
        __builtin_sub_overflow(args[0].number, args[1].number, &difference)) {
        return DV_ERR_INVALID;
    }
    *ret_value = (dv_cedar_value){.type = DV_CEDAR_DURATION, .number = difference};
    return DV_OK;
}

/* Milliseconds into the day; also before 1970 counted from its midnight. */
static int64_t time_of_day(int64_t ms)
{
    int64_t rest = ms % MS_PER_DAY;

    return rest < 0 ? rest + MS_PER_DAY : rest;
}

static dv_result run_to_date(PARAMETERS)
{
    int64_t midnight = 0;

    if (!are(args, 1, DV_CEDAR_DATETIME) ||
        __builtin_sub_overflow(args[0].number, time_of_day(args[0].number), &midnight)) {
        return DV_ERR_INVALID;
    }
    *ret_value = (dv_cedar_value){.type = DV_CEDAR_DATETIME, .number = midnight};
    return DV_OK;
}

static dv_result run_to_time(PARAMETERS)
{
    if (!are(args, 1, DV_CEDAR_DATETIME)) {
        return DV_ERR_INVALID;
    }
    *ret_value = (dv_cedar_value){.type = DV_CEDAR_DURATION, .number = time_of_day(args[0].number)};
    return DV_OK;
}

#define DURATION_IN(name, unit)                                                                    \
    static dv_result run_##name(PARAMETERS)                                                        \
    {                                                                                              \
        if (!are(args, 1, DV_CEDAR_DURATION)) {                                                    \
            return DV_ERR_INVALID;                                                                 \
        }                                                                                          \
        *ret_value = dv_cedar_long(args[0].number / (unit));                                       \
        return DV_OK;                                                                              \
    }
DURATION_IN(to_milliseconds, 1)
DURATION_IN(to_seconds, MS_PER_SECOND)
DURATION_IN(to_minutes, MS_PER_MINUTE)
DURATION_IN(to_hours, MS_PER_HOUR)
DURATION_IN(to_days, MS_PER_DAY)

static const dv_cedar_function functions[] = {
    {"ip", false, 1, true, run_ip},
    {"decimal", false, 1, true, run_decimal},
    {"datetime", false, 1, true, run_datetime},
    {"duration", false, 1, true, run_duration},
    {"contains", true, 2, false, dv_cedar_run_contains},
    {"containsAll", true, 2, false, dv_cedar_run_contains_all},
    {"containsAny", true, 2, false, dv_cedar_run_contains_any},
    {"isEmpty", true, 1, false, dv_cedar_run_is_empty},
    {"hasTag", true, 2, false, dv_cedar_run_has_tag},
    {"getTag", true, 2, false, dv_cedar_run_get_tag},
    {"lessThan", true, 2, true, run_less_than},
    {"lessThanOrEqual", true, 2, true, run_less_than_or_equal},
    {"greaterThan", true, 2, true, run_greater_than},
    {"greaterThanOrEqual", true, 2, true, run_greater_than_or_equal},
    {"isIpv4", true, 1, true, run_is_ipv4},
    {"isIpv6", true, 1, true, run_is_ipv6},
    {"isLoopback", true, 1, true, run_is_loopback},
    {"isMulticast", true, 1, true, run_is_multicast},
    {"isInRange", true, 2, true, run_is_in_range},
    {"offset", true, 2, true, run_offset},
    {"durationSince", true, 2, true, run_duration_since},
    {"toDate", true, 1, true, run_to_date},
    {"toTime", true, 1, true, run_to_time},
    {"toMilliseconds", true, 1, true, run_to_milliseconds},
    {"toSeconds", true, 1, true, run_to_seconds},
    {"toMinutes", true, 1, true, run_to_minutes},
    {"toHours", true, 1, true, run_to_hours},
    {"toDays", true, 1, true, run_to_days},
};

const dv_cedar_function *dv_cedar_function_find(dv_slice name)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(functions); i++) {
        if (dv_slice_eq_str(name, functions[i].name)) {
            return &functions[i];
        }
    }
    return NULL;
}
