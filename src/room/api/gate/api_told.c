/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/gate/api_told.h"

#include "base/codec.h"

static uint64_t seconds_up(dv_time duration)
{
    return duration <= 0 ? 0 : ((uint64_t)duration - 1) / DV_SECOND + 1;
}

uint64_t dv_api_retry_after(const dv_limit_state *state)
{
    return state->retry_after == DV_TIME_NEVER
               ? 0
               : DV_MAX(seconds_up(state->retry_after), (uint64_t)1);
}

static uint64_t quota_of(const dv_limit_charge *charge)
{
    return charge->kind == DV_LIMIT_RATE ? charge->rate.count : charge->max;
}

/* A month's window is that of this month. */
static dv_time window_of(const dv_limit_charge *charge)
{
    if (charge->kind == DV_LIMIT_RATE) {
        return charge->rate.period;
    }
    return dv_limit_label_end(charge->period, charge->label) -
           (charge->label > 0 ? dv_limit_label_end(charge->period, charge->label - 1) : 0);
}

static uint64_t limit_of(const dv_limit_charge *charge)
{
    bool bursts = charge->kind == DV_LIMIT_RATE && charge->rate.burst != 0;
    return bursts ? charge->rate.burst : quota_of(charge);
}

/* -- which are told ---------------------------------------------------------------------------- */

typedef struct chosen {
    const dv_limit_charge *charges[DV_API_TOLD_LIMITS];
    dv_api_limit_kind kinds[DV_API_TOLD_LIMITS];
    size_t count;
    const dv_limit_charge *nearest[2]; /* of requests, of tokens; NULL: none */
} chosen;

enum rank { NEAREST, OWN, OTHER, RANKS, UNTOLD = RANKS };

static bool is_told(const dv_limit_charge *charge)
{
    return charge->unit != DV_LIMIT_COST && charge->kind != DV_LIMIT_CONCURRENT;
}

/* Fewest permits left; of equals the one that takes longer to be whole again. */
static bool is_nearer(const dv_limit_charge *charge, const dv_limit_charge *than)
{
    return than == NULL || charge->remaining < than->remaining ||
           (charge->remaining == than->remaining && charge->reset_after > than->reset_after);
}

static enum rank rank_of(const chosen *all, const dv_limit_charge *charge, unsigned kind)
{
    if (!is_told(charge)) {
        return UNTOLD;
    }
    if (charge == all->nearest[charge->unit]) {
        return NEAREST;
    }
    return kind == DV_API_LIMIT_KEY || kind == DV_API_LIMIT_USER ? OWN : OTHER;
}

/* Returns how many could be told. */
static size_t find_nearest(const dv_api_charges *list, chosen *all)
{
    size_t told = 0;
    for (size_t i = 0; list != NULL && i < list->count; i++) {
        const dv_limit_charge *charge = &list->charges[i];
        if (!is_told(charge)) {
            continue;
        }
        told++;
        if (is_nearer(charge, all->nearest[charge->unit])) {
            all->nearest[charge->unit] = charge;
        }
    }
    return told;
}

static void count_ranks(const dv_api_charges *list, const chosen *all, size_t counts[RANKS + 1])
{
    for (size_t i = 0; list != NULL && i < list->count; i++) {
        counts[rank_of(all, &list->charges[i], list->kinds[i])]++;
    }
}

/* How many of each rank are told. */
static void share(const dv_api_told *told, const chosen *all, size_t room[RANKS + 1])
{
    size_t left = DV_API_TOLD_LIMITS;
    memset(room, 0, (RANKS + 1) * sizeof(room[0]));
    count_ranks(told->charges[0], all, room);
    count_ranks(told->charges[1], all, room);
    for (size_t rank = 0; rank < RANKS; rank++) {
        room[rank] = DV_MIN(room[rank], left);
        left -= room[rank];
    }
}

/* Those whose rank has room left, in their order. */
static void take(const dv_api_charges *list, chosen *all, size_t room[RANKS + 1])
{
    for (size_t i = 0; list != NULL && i < list->count; i++) {
        enum rank rank = rank_of(all, &list->charges[i], list->kinds[i]);
        if (rank != UNTOLD && room[rank] > 0) {
            room[rank]--;
            all->kinds[all->count] = (dv_api_limit_kind)list->kinds[i];
            all->charges[all->count++] = &list->charges[i];
        }
    }
}

static void choose(const dv_api_told *told, chosen *all)
{
    size_t room[RANKS + 1] = {DV_API_TOLD_LIMITS, DV_API_TOLD_LIMITS, DV_API_TOLD_LIMITS, 0};
    size_t count = find_nearest(told->charges[0], all) + find_nearest(told->charges[1], all);
    if (count > DV_API_TOLD_LIMITS) {
        share(told, all, room);
    }
    take(told->charges[0], all, room);
    take(told->charges[1], all, room);
}

/* -- writing ----------------------------------------------------------------------------------- */

/* Into room that holds the longest of all values; nothing is written behind it. */
typedef struct writer {
    uint8_t *at;
    uint8_t *end;
} writer;

static inline void put(writer *w, dv_slice text)
{
    if ((size_t)(w->end - w->at) >= text.len) {
        memcpy(w->at, text.ptr, text.len);
        w->at += text.len;
    }
}

#define PUT(w, literal) put(w, DV_LIT(literal))

static void put_number(writer *w, uint64_t value)
{
    char room[DV_DECIMAL_MAX];
    put(w, dv_decimal_write(value, room));
}

static bool same_name(const chosen *all, size_t a, size_t b)
{
    const dv_limit_charge *one = all->charges[a];
    const dv_limit_charge *other = all->charges[b];
    return all->kinds[a] == all->kinds[b] && one->kind == other->kind && one->unit == other->unit &&
           (one->kind != DV_LIMIT_BUDGET || one->period == other->period);
}

/* A second limit of the same name needs one of its own: "key-2". */
static void put_name(writer *w, const chosen *all, size_t index)
{
    char text[DV_API_LIMIT_TEXT_MAX];
    size_t same = 1;
    for (size_t i = 0; i < index; i++) {
        same += same_name(all, i, index);
    }
    PUT(w, "\"");
    put(w, dv_slice_of(text, dv_api_limit_text(all->kinds[index], all->charges[index], text)));
    if (same > 1) {
        PUT(w, "-");
        put_number(w, same);
    }
    PUT(w, "\"");
}

static void put_policy(writer *w, const chosen *all)
{
    for (size_t i = 0; i < all->count; i++) {
        const dv_limit_charge *charge = all->charges[i];
        if (i > 0) {
            PUT(w, ", ");
        }
        put_name(w, all, i);
        PUT(w, ";q=");
        put_number(w, quota_of(charge));
        PUT(w, ";w=");
        put_number(w, seconds_up(window_of(charge)));
        if (charge->unit == DV_LIMIT_TOKENS) {
            PUT(w, ";qu=\"tokens\"");
        }
    }
}

static void put_state(writer *w, const chosen *all)
{
    const char *between = "";
    for (unsigned unit = DV_LIMIT_REQUESTS; unit <= DV_LIMIT_TOKENS; unit++) {
        const dv_limit_charge *nearest = all->nearest[unit];
        for (size_t i = 0; nearest != NULL && i < all->count; i++) {
            if (all->charges[i] == nearest) {
                put(w, dv_slice_str(between));
                put_name(w, all, i);
                PUT(w, ";r=");
                put_number(w, nearest->remaining);
                PUT(w, ";t=");
                put_number(w, seconds_up(nearest->reset_after));
                between = ", ";
            }
        }
    }
}

/* As OpenAI writes durations: "1s", "6m0s", "12ms". */
static void put_duration(writer *w, dv_time duration)
{
    uint64_t ms = duration <= 0 ? 0 : ((uint64_t)duration - 1) / DV_MILLISECOND + 1;
    uint64_t seconds = (ms + 999) / 1000;
    if (ms < 1000) {
        put_number(w, ms);
        PUT(w, "ms");
        return;
    }
    if (seconds >= 3600) {
        put_number(w, seconds / 3600);
        PUT(w, "h");
    }
    if (seconds >= 60) {
        put_number(w, seconds % 3600 / 60);
        PUT(w, "m");
    }
    put_number(w, seconds % 60);
    PUT(w, "s");
}

static void put_second(writer *w, dv_time time)
{
    char text[DV_TIME_TEXT_MAX];
    dv_time_format((time + DV_SECOND - 1) / DV_SECOND * DV_SECOND, text);
    put(w, dv_slice_of(text, 19));
    PUT(w, "Z");
}

/* -- the policies' texts ----------------------------------------------------------------------- */

/* Everything that the text depends on. */
static size_t number(const chosen *all, uint64_t numbers[3 * DV_API_TOLD_LIMITS])
{
    for (size_t i = 0; i < all->count; i++) {
        const dv_limit_charge *charge = all->charges[i];
        bool rate = charge->kind == DV_LIMIT_RATE;
        numbers[3 * i] = (uint64_t)(all->kinds[i] << 6 | charge->kind << 4 | charge->unit << 2 |
                                    (rate ? 0 : charge->period));
        numbers[3 * i + 1] = quota_of(charge);
        numbers[3 * i + 2] = rate ? (uint64_t)charge->rate.period : charge->label;
    }
    return 3 * all->count;
}

static size_t place_of(const uint64_t *numbers, size_t count)
{
    uint64_t mixed = count;
    for (size_t i = 0; i < count; i++) {
        mixed = (mixed ^ numbers[i]) * UINT64_C(0x9e3779b97f4a7c15);
    }
    return (size_t)(mixed >> 32) % DV_API_POLICIES_KEPT;
}

static dv_slice policy_of(dv_api_policies *policies, const chosen *all)
{
    uint64_t numbers[3 * DV_API_TOLD_LIMITS];
    size_t count = number(all, numbers);
    size_t place = place_of(numbers, count);
    size_t size = count * sizeof(numbers[0]);
    if (policies->kept[place].count != count ||
        memcmp(policies->kept[place].numbers, numbers, size) != 0) {
        uint8_t *text = policies->kept[place].text;
        writer w = {text, text + sizeof(policies->kept[place].text)};
        put_policy(&w, all);
        memcpy(policies->kept[place].numbers, numbers, size);
        policies->kept[place].count = count;
        policies->kept[place].len = (size_t)(w.at - text);
    }
    return dv_slice_of(policies->kept[place].text, policies->kept[place].len);
}

/* -- the headers ------------------------------------------------------------------------------- */

enum { LIMIT, REMAINING, RESET, ITEMS };

static const dv_slice client_names[2][2][ITEMS] = {
    {{DV_LIT("x-ratelimit-limit-requests"), DV_LIT("x-ratelimit-remaining-requests"),
      DV_LIT("x-ratelimit-reset-requests")},
     {DV_LIT("x-ratelimit-limit-tokens"), DV_LIT("x-ratelimit-remaining-tokens"),
      DV_LIT("x-ratelimit-reset-tokens")}},
    {{DV_LIT("anthropic-ratelimit-requests-limit"),
      DV_LIT("anthropic-ratelimit-requests-remaining"),
      DV_LIT("anthropic-ratelimit-requests-reset")},
     {DV_LIT("anthropic-ratelimit-tokens-limit"), DV_LIT("anthropic-ratelimit-tokens-remaining"),
      DV_LIT("anthropic-ratelimit-tokens-reset")}},
};

typedef struct heads {
    dv_api_header *headers;
    size_t count;
    uint8_t *begin; /* of the value that is being written */
} heads;

static void end_value(heads *h, const writer *w, dv_slice name)
{
    h->headers[h->count++] =
        (dv_api_header){name, dv_slice_of(h->begin, (size_t)(w->at - h->begin))};
    h->begin = w->at;
}

static void put_for_client(writer *w, heads *h, const dv_limit_charge *charge,
                           const dv_api_told *told)
{
    bool anthropic = told->shape == DV_SHAPE_ANTHROPIC;
    const dv_slice *names = client_names[anthropic][charge->unit];
    put_number(w, limit_of(charge));
    end_value(h, w, names[LIMIT]);
    put_number(w, charge->remaining);
    end_value(h, w, names[REMAINING]);
    if (anthropic) {
        put_second(w, told->now + charge->reset_after);
    } else {
        put_duration(w, charge->reset_after);
    }
    end_value(h, w, names[RESET]);
}

dv_result dv_api_told_headers(const dv_api_told *told, dv_api_policies *policies, dv_arena *arena,
                              dv_api_header headers[DV_API_TOLD_HEADERS], size_t *ret_count)
{
    chosen all = {.count = 0};
    choose(told, &all);
    if (all.count == 0) {
        *ret_count = 0;
        return DV_OK;
    }
    dv_slice policy = policy_of(policies, &all);
    size_t room = policy.len + DV_API_TOLD_TEXT;
    uint8_t *text = dv_arena_alloc_raw(arena, room);
    if (text == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    writer w = {text, text + room};
    heads h = {headers, 0, text};
    put(&w, policy);
    end_value(&h, &w, DV_LIT("RateLimit-Policy"));
    put_state(&w, &all);
    end_value(&h, &w, DV_LIT("RateLimit"));
    for (unsigned unit = DV_LIMIT_REQUESTS; unit <= DV_LIMIT_TOKENS; unit++) {
        if (all.nearest[unit] != NULL) {
            put_for_client(&w, &h, all.nearest[unit], told);
        }
    }
    *ret_count = h.count;
    return DV_OK;
}
