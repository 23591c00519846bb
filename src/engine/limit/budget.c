/* SPDX-License-Identifier: Apache-2.0 */
/* Budgets of a calendar day or month. A counter is one word, so that a process killed at any
 * instruction leaves it before or after a change:
 *
 *   63..48 the period's label | 47..44 thresholds that were told | 43..0 what is used
 *
 * Invariants
 * 1. Used never exceeds the budget that it was charged under: reservations count as used until they
 *    are settled, and what is settled beyond a reservation stops at the budget.
 * 2. A label never goes back by one: a clock that was set back goes on in the later period. One
 *    that went back further finds the present period used up, and its own again at the next.
 * 3. A period's entry is kept for a month after its end, so that a clock that jumps forth and back
 *    finds it again; one that holds nothing is not kept. */
#include "engine/limit/rule.h"

#include "base/codec.h"

enum { LABEL_SHIFT = 48, TOLD_SHIFT = 44, TOLD_MASK = 15 };
static const uint64_t used_mask = (UINT64_C(1) << TOLD_SHIFT) - 1;
static const dv_time day = (dv_time)86400 * DV_SECOND;
static const dv_time keep = (dv_time)32 * 86400 * DV_SECOND;

/* -- the calendar ------------------------------------------------------------------------------ */

/* Days since 1970 of the first of a month, by the Gregorian rules: years of the count begin in
 * March, so that the leap day is a year's last. */
static int64_t first_of_month(uint32_t months)
{
    int64_t year = 1970 + months / 12;
    int64_t month = months % 12 + 1;
    int64_t shifted = month > 2 ? year : year - 1;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5;

    return 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + of_year - 719468;
}

/* A month has at most 31 days, so the guess is never too late, and early by a few at most. */
static uint32_t month_of(int64_t days)
{
    uint32_t months = (uint32_t)(days * 12 / 366);

    while (first_of_month(months + 1) <= days) {
        months++;
    }
    return months;
}

uint32_t dv_limit_label(dv_limit_period period, dv_time now)
{
    int64_t days = now < 0 ? 0 : now / day;

    return period == DV_LIMIT_DAY ? (uint32_t)days : month_of(days);
}

dv_time dv_limit_label_end(dv_limit_period period, uint32_t label)
{
    return day * (period == DV_LIMIT_DAY ? (int64_t)label + 1 : first_of_month(label + 1));
}

void dv_limit_label_text(dv_limit_period period, uint32_t label, char out[DV_LIMIT_LABEL_TEXT_MAX])
{
    char text[DV_TIME_TEXT_MAX];

    dv_time_format(period == DV_LIMIT_DAY ? label * day : first_of_month(label) * day, text);
    snprintf(out, DV_LIMIT_LABEL_TEXT_MAX, "%.*s", period == DV_LIMIT_DAY ? 10 : 7, text);
}

/* -- the word ---------------------------------------------------------------------------------- */

static uint32_t label_of(uint64_t word)
{
    return (uint32_t)(word >> LABEL_SHIFT);
}

static uint64_t used_of(uint64_t word)
{
    return word & used_mask;
}

static uint64_t told_of(uint64_t word)
{
    return word >> TOLD_SHIFT & TOLD_MASK;
}

static uint64_t make_word(uint32_t label, uint64_t told, uint64_t used)
{
    return (uint64_t)label << LABEL_SHIFT | told << TOLD_SHIFT | DV_MIN(used, used_mask);
}

static void store(const dv_limit_charge *charge, uint64_t word, dv_time now)
{
    bool empty = used_of(word) == 0 && told_of(word) == 0;
    dv_time end = dv_limit_label_end(charge->period, label_of(word));

    dv_counter_set_word(charge->own.entry, word, empty ? now : end + keep);
}

/* -- the rule ---------------------------------------------------------------------------------- */

static dv_result check(dv_limit_charge *charge)
{
    if (charge->max == 0 || charge->max > DV_LIMIT_BUDGET_MAX) {
        return DV_ERR_INVALID;
    }
    charge->own.unit = 1;
    charge->own.cost = charge->cost;
    charge->own.ceiling = charge->max;
    return DV_OK;
}

static void name(const dv_limit_charge *charge, uint8_t head[DV_LIMIT_NAME_HEAD])
{
    head[8] = (uint8_t)charge->period;
}

static dv_wide level(const dv_counters *counters, dv_limit_charge *charge, dv_time now)
{
    uint64_t word = dv_counter_word(charge->own.entry);
    uint32_t present = dv_limit_label(charge->period, now);

    if (label_of(word) == present + 1) { /* set back over the border */
        present++;
    } else if (label_of(word) > present) {
        store(charge, make_word(present, TOLD_MASK, charge->max), now);
        word = dv_counter_word(charge->own.entry);
    }
    charge->label = present;
    return label_of(word) == present ? used_of(word) : 0;
}

static void write_level(const dv_counters *counters, dv_limit_charge *charge, dv_time now)
{
    uint64_t word = dv_counter_word(charge->own.entry);
    uint64_t told = label_of(word) == charge->label ? told_of(word) : 0;

    store(charge, make_word(charge->label, told, (uint64_t)charge->own.level_after), now);
}

static dv_time wait(const dv_limit_charge *charge, dv_time now)
{
    bool never = charge->own.level_after - charge->own.level > charge->max;

    return never ? DV_TIME_NEVER : dv_limit_label_end(charge->period, charge->label) - now;
}

static dv_time reset_after(const dv_limit_charge *charge, dv_wide used, dv_time now)
{
    return dv_limit_label_end(charge->period, charge->label) - now;
}

/* The highest threshold that is reached and was not told in this period; told gets all that are. */
static uint32_t passed(const dv_limit_charge *charge, uint64_t used,
                       const dv_limit_thresholds *thresholds, uint64_t *told)
{
    uint32_t highest = 0;

    for (unsigned i = 0; i < DV_LIMIT_THRESHOLDS_MAX && thresholds->percent[i] != 0; i++) {
        bool reached = (dv_wide)used * 100 >= (dv_wide)charge->max * thresholds->percent[i];
        if (reached && (*told >> i & 1) == 0) {
            highest = thresholds->percent[i];
            *told |= UINT64_C(1) << i;
        }
    }
    return highest;
}

uint64_t dv_limit_budget_room(const dv_limit_charge *charge)
{
    uint64_t word = dv_counter_word(charge->own.entry);

    if (label_of(word) > charge->label) {
        return UINT64_MAX;
    }
    uint64_t used = label_of(word) == charge->label ? used_of(word) : 0;
    return used < charge->max ? charge->max - used : 0;
}

static uint32_t settle(const dv_counters *counters, dv_limit_charge *charge,
                       const dv_limit_settlement *settlement)
{
    uint64_t word = dv_counter_word(charge->own.entry);
    bool same = label_of(word) == charge->label;
    uint64_t told = same ? told_of(word) : 0;
    uint64_t used = same ? used_of(word) : 0;
    bool over = settlement->permits > charge->cost;

    if (label_of(word) > charge->label || (!over && (!same || settlement->renewed))) {
        return 0; /* its period is over, or it was forgotten with the rest */
    }
    used = over ? used + DV_MIN(settlement->permits - charge->cost, dv_limit_budget_room(charge))
                : used - DV_MIN(used, charge->cost - settlement->permits);
    uint32_t percent =
        settlement->thresholds != NULL ? passed(charge, used, settlement->thresholds, &told) : 0;
    store(charge, make_word(charge->label, told, used), settlement->now);
    return percent;
}

static void reset(dv_limit_charge *charge, dv_time now)
{
    store(charge, make_word(dv_limit_label(charge->period, now), 0, 0), now);
}

DV_LIMIT_RULE(budget);
