/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/control/limit_words.h"

enum { COUNT_MAX = 1000000000, PLACES = 6 };

typedef struct reader {
    const dv_limit_words *words;
    dv_api_limit limit;
    const char *field;
    dv_error *error;
} reader;

static dv_result wrong(reader *r, const char *field, const char *why)
{
    r->field = field;
    return dv_error_set(r->error, DV_ERR_INVALID, "'%s' %s", field, why);
}

dv_result dv_decimal_millionths(const char *text, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    int places = -1;
    if (*text == '\0' || *text == '.') {
        return DV_ERR_INVALID;
    }
    for (; *text != '\0'; text++) {
        if (*text == '.' && places < 0 && text[1] != '\0') {
            places = 0;
            continue;
        }
        places += places >= 0;
        if (*text < '0' || *text > '9' || places > PLACES || value > max) {
            return DV_ERR_INVALID;
        }
        value = value * 10 + (uint64_t)(*text - '0');
    }
    for (places = DV_MAX(places, 0); places < PLACES && value <= max; places++) {
        value *= 10;
    }
    if (value > max) {
        return DV_ERR_INVALID;
    }
    *ret_value = value;
    return DV_OK;
}

void dv_decimal_text(uint64_t millionths, char out[DV_DECIMAL_TEXT_MAX])
{
    int len = snprintf(out, DV_DECIMAL_TEXT_MAX, "%llu.%06llu",
                       (unsigned long long)(millionths / 1000000),
                       (unsigned long long)(millionths % 1000000));
    while (out[len - 1] == '0') {
        out[--len] = '\0';
    }
    if (out[len - 1] == '.') {
        out[len - 1] = '\0';
    }
}

/* Says which of the four is meant. */
static dv_result read_what(reader *r, const char **ret_what)
{
    const dv_limit_words *w = r->words;
    const char *const names[] = {"count", "tokens", "cost", "concurrent"};
    const bool said[] = {w->count >= 0, w->tokens >= 0, w->cost != NULL, w->concurrent >= 0};
    const char *what = NULL;
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        if (said[i] && what != NULL) {
            return wrong(r, names[i],
                         "stands beside another: a limit has one of count, tokens, "
                         "cost and concurrent");
        }
        what = said[i] ? names[i] : what;
    }
    if (what == NULL) {
        return wrong(r, "count", "is missing: a limit says count, tokens, cost or concurrent");
    }
    *ret_what = what;
    return DV_OK;
}

static dv_result read_rate(reader *r, int64_t count, const char *field)
{
    const dv_limit_words *w = r->words;
    dv_limit_rate *rate = &r->limit.rate;
    dv_error cause = {0};
    if (count > COUNT_MAX) {
        return wrong(r, field, "must be 1000000000 at most for a rate");
    }
    if (dv_duration_parse(dv_slice_str(w->per), &rate->period) != DV_OK || rate->period <= 0) {
        return wrong(r, "per", "must be a time longer than nothing, such as 1m");
    }
    if (w->burst == 0 || w->burst > COUNT_MAX) {
        return wrong(r, "burst", "must be from 1 to 1000000000");
    }
    rate->count = (uint64_t)count;
    rate->burst = (uint64_t)(w->burst > 0 ? w->burst : count);
    if (dv_limit_rate_check(rate, &cause) != DV_OK) {
        return wrong(r, "per", cause.message);
    }
    return DV_OK;
}

static bool read_calendar(const char *per, dv_limit_period *ret_period)
{
    *ret_period = strcmp(per, "month") == 0 ? DV_LIMIT_MONTH : DV_LIMIT_DAY;
    return *ret_period == DV_LIMIT_MONTH || strcmp(per, "day") == 0;
}

static dv_result read_budget(reader *r, uint64_t max, const char *field)
{
    r->limit.kind = DV_LIMIT_BUDGET;
    r->limit.max = max;
    if (max > DV_LIMIT_BUDGET_MAX) {
        return wrong(r, field, "must be 10000000000000 at most");
    }
    return r->words->burst < 0 ? DV_OK : wrong(r, "burst", "belongs to a rate, not to a budget");
}

static dv_result read_concurrent(reader *r)
{
    if (r->words->per != NULL || r->words->burst >= 0) {
        return wrong(r, r->words->per != NULL ? "per" : "burst",
                     "has no meaning for what runs at once");
    }
    if (r->words->concurrent > DV_LIMIT_CONCURRENT_MAX) {
        return wrong(r, "concurrent", "must be 60000 at most");
    }
    r->limit.kind = DV_LIMIT_CONCURRENT;
    r->limit.max = (uint64_t)r->words->concurrent;
    return DV_OK;
}

static dv_result read_cost(reader *r)
{
    uint64_t max = 0;
    r->limit.unit = DV_LIMIT_COST;
    if (!read_calendar(r->words->per, &r->limit.period)) {
        return wrong(r, "per", "must be day or month for a cost");
    }
    if (dv_decimal_millionths(r->words->cost, DV_LIMIT_BUDGET_MAX, &max) != DV_OK) {
        return wrong(r, "cost", "must be a number from 0 to 10000000 with six places at most");
    }
    return read_budget(r, max, "cost");
}

static dv_result read_tokens(reader *r)
{
    r->limit.unit = DV_LIMIT_TOKENS;
    return read_calendar(r->words->per, &r->limit.period)
               ? read_budget(r, (uint64_t)r->words->tokens, "tokens")
               : read_rate(r, r->words->tokens, "tokens");
}

static dv_result read_words(reader *r)
{
    const char *what = NULL;
    DV_TRY(read_what(r, &what));
    if (strcmp(what, "concurrent") == 0) {
        return read_concurrent(r);
    }
    if (r->words->per == NULL) {
        return wrong(r, "per",
                     "is missing: a time such as 1m, or day or month for tokens and cost");
    }
    if (strcmp(what, "cost") == 0) {
        return read_cost(r);
    }
    return strcmp(what, "tokens") == 0 ? read_tokens(r) : read_rate(r, r->words->count, "count");
}

dv_result dv_limit_words_read(const dv_limit_words *words, dv_api_limit *ret_limit,
                              const char **ret_field, dv_error *error)
{
    reader r = {.words = words, .error = error};
    dv_result result = read_words(&r);
    if (result == DV_OK) {
        *ret_limit = r.limit;
    } else {
        *ret_field = r.field;
    }
    return result;
}
