/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/anonymize/risk.h"

#include "engine/detect/anonymize/table.h"

/* -- which records are alike ------------------------------------------------------------------- */

/* Records with equal numbers are alike. */
typedef struct classes {
    uint32_t *of; /* each record */
    uint32_t count;
} classes;

typedef struct slot {
    uint64_t key;
    uint32_t number; /* 0: free; else the class, plus one */
} slot;

typedef struct work {
    const dv_risk_question *question;
    dv_table table;
    slot *slots;
    size_t slot_count; /* a power of two */
    uint32_t *sizes;   /* of classes */
    classes levels[DV_RISK_TOGETHER_MAX + 2];
    dv_arena *arena; /* of the answer */
    size_t set_room;
    dv_risk_answer answer;
} work;

static slot *find_slot(work *w, uint64_t key)
{
    size_t at = (size_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (w->slot_count - 1);
    while (w->slots[at].number != 0 && w->slots[at].key != key) {
        at = (at + 1) & (w->slot_count - 1);
    }
    return &w->slots[at];
}

/* Tells the classes further apart by one column. */
static void refine(work *w, const classes *from, size_t column, classes *to)
{
    memset(w->slots, 0, w->slot_count * sizeof(*w->slots));
    to->count = 0;
    for (uint32_t i = 0; i < w->table.count; i++) {
        uint64_t key = (uint64_t)from->of[i] << 32 | dv_table_at(&w->table, i, column);
        slot *s = find_slot(w, key);
        if (s->number == 0) {
            *s = (slot){key, ++to->count};
        }
        to->of[i] = s->number - 1;
    }
}

static void count_sizes(work *w, const classes *c)
{
    memset(w->sizes, 0, c->count * sizeof(*w->sizes));
    for (size_t i = 0; i < w->table.count; i++) {
        w->sizes[c->of[i]]++;
    }
}

/* -- columns together -------------------------------------------------------------------------- */

static dv_result add_set(work *w, const classes *c, const uint8_t *columns, uint8_t count)
{
    double records = (double)w->table.count, same = 0;
    dv_risk_set set = {.count = count, .distinct = c->count};
    memcpy(set.columns, columns, count);
    count_sizes(w, c);
    for (uint32_t i = 0; i < c->count; i++) {
        set.unique += w->sizes[i] == 1;
        same += (double)w->sizes[i] * ((double)w->sizes[i] - 1);
    }
    set.distinction = (double)c->count / records;
    set.separation = records > 1 ? 1 - same / (records * (records - 1)) : 0;
    w->answer.sets =
        dv_arena_grow(w->arena, w->answer.sets, w->answer.set_count, &w->set_room, sizeof(set), 64);
    if (w->answer.sets == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    w->answer.sets[w->answer.set_count++] = set;
    return DV_OK;
}

/* All sets that begin with the first `depth` columns of `columns`. */
static dv_result add_sets(work *w, uint8_t *columns, uint8_t depth, size_t from)
{
    for (size_t q = from; q < w->question->quasi_count; q++) {
        columns[depth] = (uint8_t)q;
        refine(w, &w->levels[depth], q, &w->levels[depth + 1]);
        DV_TRY(add_set(w, &w->levels[depth + 1], columns, depth + 1));
        if (depth + 1U < w->question->together) {
            DV_TRY(add_sets(w, columns, depth + 1, q + 1));
        }
    }
    return DV_OK;
}

static size_t sets_of(size_t columns, size_t together)
{
    size_t sum = 0, one = 1;
    for (size_t i = 1; i <= together && i <= columns; i++) {
        one = one * (columns - i + 1) / i;
        sum += one;
    }
    return sum;
}

static int by_separation(const void *a, const void *b)
{
    const dv_risk_set *x = a, *y = b;
    if (x->separation > y->separation || x->separation < y->separation) {
        return x->separation > y->separation ? -1 : 1;
    }
    return x->count != y->count ? (int)x->count - (int)y->count
                                : memcmp(x->columns, y->columns, x->count);
}

/* -- the risk ---------------------------------------------------------------------------------- */

static void measure_risk(work *w, const classes *all)
{
    dv_risk_answer *answer = &w->answer;
    double records = (double)w->table.count, population = (double)w->question->population;
    uint64_t over = 0;
    count_sizes(w, all);
    answer->risk = (dv_anonymize_risk){.groups = all->count, .smallest = UINT64_MAX};
    for (uint32_t i = 0; i < all->count; i++) {
        answer->risk.unique += w->sizes[i] == 1;
        answer->risk.smallest = DV_MIN(answer->risk.smallest, (uint64_t)w->sizes[i]);
        over += 1.0 / w->sizes[i] > w->question->threshold + 1e-9 ? w->sizes[i] : 0;
    }
    answer->records = w->table.count;
    answer->risk.highest = 1.0 / (double)answer->risk.smallest;
    answer->risk.average = all->count / records;
    answer->over = (double)over / records;
    answer->marketer = answer->risk.average;
    if (population > 0) { /* f of n records stand for f * population / n people */
        double share = records / population;
        answer->journalist_highest = answer->risk.highest * share;
        answer->journalist_average = answer->marketer = answer->risk.average * share;
    }
}

/* Records in the order of their classes. */
static uint32_t *sort_records(work *w, const classes *all)
{
    uint32_t *order = dv_arena_alloc(w->table.arena, w->table.count * sizeof(*order));
    uint32_t *next = dv_arena_alloc(w->table.arena, (all->count + 1) * sizeof(*next));
    if (order == NULL || next == NULL) {
        return NULL;
    }
    count_sizes(w, all);
    for (uint32_t i = 0; i < all->count; i++) {
        next[i + 1] = next[i] + w->sizes[i];
    }
    for (uint32_t i = 0; i < w->table.count; i++) {
        order[next[all->of[i]]++] = i;
    }
    return order;
}

static void keep_worst(dv_spread *worst, const dv_spread *spread)
{
    worst->distinct = DV_MIN(worst->distinct, spread->distinct);
    worst->entropy = DV_MIN(worst->entropy, spread->entropy);
    worst->ratio = DV_MAX(worst->ratio, spread->ratio);
    worst->distance = DV_MAX(worst->distance, spread->distance);
}

static dv_result measure_sensitive(work *w, const classes *all, const uint32_t *order, size_t which)
{
    size_t column = w->question->quasi_count + which;
    dv_spread_group group = {.codes = w->table.codes + column,
                             .stride = w->table.column_count,
                             .records = order,
                             .count = w->table.count};
    dv_spread_whole whole = {.values = w->table.columns[column].count,
                             .ordered =
                                 w->question->ordered != NULL && w->question->ordered[which]};
    dv_spread_meter meter;
    dv_spread spread, *worst = &w->answer.worst[which];
    DV_TRY(dv_spread_meter_new(w->table.arena, whole.values, &meter));
    DV_TRY(dv_spread_count(w->table.arena, &group, &whole));
    for (uint32_t i = 0; i < all->count; i++, group.records += group.count) {
        group.count = w->sizes[i];
        dv_spread_measure(&meter, &whole, &group, w->question->l, &spread);
        if (i == 0) {
            *worst = spread;
        }
        keep_worst(worst, &spread);
    }
    return DV_OK;
}

/* -- all of it --------------------------------------------------------------------------------- */

static dv_result read_columns(work *w, const dv_walk_source *source, dv_error *error)
{
    const dv_risk_question *q = w->question;
    DV_TRY(dv_table_read(&w->table, source, error));
    if (w->table.count == 0) {
        return dv_error_set(error, DV_ERR_CONFLICT, "the table has no records");
    }
    if (q->population > 0 && q->population < w->table.count) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "a population of %llu is smaller than the table, which has %zu records",
                            (unsigned long long)q->population, w->table.count);
    }
    DV_TRY(dv_table_begin(&w->table, q->quasi_count + q->sensitive_count));
    for (size_t i = 0; i < q->quasi_count; i++) { /* as they are written: 1 and 1.0 differ */
        DV_TRY(dv_table_code(&w->table, q->quasi[i], DV_TABLE_TEXT, NULL, error));
    }
    for (size_t i = 0; i < q->sensitive_count; i++) {
        bool ordered = q->ordered != NULL && q->ordered[i];
        DV_TRY(dv_table_code(&w->table, q->sensitive[i], ordered ? DV_TABLE_NUMBER : DV_TABLE_TEXT,
                             NULL, error));
    }
    return DV_OK;
}

static dv_result make_room(work *w)
{
    dv_arena *arena = w->table.arena;
    w->slot_count = 16;
    while (w->slot_count < 2 * w->table.count) {
        w->slot_count *= 2;
    }
    w->slots = dv_arena_alloc(arena, w->slot_count * sizeof(*w->slots));
    w->sizes = dv_arena_alloc(arena, (w->table.count + 1) * sizeof(*w->sizes));
    if (w->slots == NULL || w->sizes == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(w->levels); i++) {
        w->levels[i].of = dv_arena_alloc(arena, (w->table.count + 1) * sizeof(uint32_t));
        if (w->levels[i].of == NULL) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

static dv_result ask(work *w, const dv_walk_source *source, dv_error *error)
{
    uint8_t columns[DV_RISK_TOGETHER_MAX + 1];
    const dv_risk_question *q = w->question;
    if (sets_of(q->quasi_count, q->together) > DV_RISK_SETS_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE,
                            "%zu columns have more than %d combinations of up to %u: look at fewer "
                            "together",
                            q->quasi_count, DV_RISK_SETS_MAX, q->together);
    }
    DV_TRY(read_columns(w, source, error));
    DV_TRY(make_room(w));
    if (q->together > 0) {
        DV_TRY(add_sets(w, columns, 0, 0));
        qsort(w->answer.sets, w->answer.set_count, sizeof(dv_risk_set), by_separation);
    }
    classes *all = &w->levels[1], *other = &w->levels[2];
    refine(w, &w->levels[0], 0, all);
    for (size_t i = 1; i < q->quasi_count; i++) {
        refine(w, all, i, other);
        classes *swap = all;
        all = other;
        other = swap;
    }
    measure_risk(w, all);
    const uint32_t *order = sort_records(w, all);
    if (order == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < q->sensitive_count; i++) {
        DV_TRY(measure_sensitive(w, all, order, i));
    }
    return DV_OK;
}

dv_result dv_risk_csv(const dv_risk_question *question, const dv_walk_source *source,
                      dv_arena *arena, dv_risk_answer *ret_answer, dv_error *error)
{
    work w = {.question = question,
              .arena = arena,
              .table = {.arena = dv_arena_new(DV_ANONYMIZE_MEMORY_MAX),
                        .separator = question->separator}};
    dv_result result = w.table.arena == NULL ? DV_ERR_NO_MEMORY : ask(&w, source, error);
    dv_arena_free(w.table.arena);
    if (result == DV_OK) {
        *ret_answer = w.answer;
    } else if (result == DV_ERR_NO_MEMORY && error != NULL && error->message[0] == '\0') {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the table does not fit in %d MiB",
                            DV_ANONYMIZE_MEMORY_MAX >> 20);
    }
    return result;
}

dv_result dv_risk_check(const dv_anonymize_rules *rules, const dv_risk_answer *answer,
                        dv_error *error)
{
    if (answer->risk.smallest < rules->k) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the result has a group of %llu records, not %u",
                            (unsigned long long)answer->risk.smallest, rules->k);
    }
    for (size_t i = 0; i < rules->sensitive_count; i++) {
        if (!dv_spread_holds(&rules->spread, &answer->worst[i])) {
            return dv_error_set(error, DV_ERR_CONFLICT,
                                "the result is not l-diverse or t-close in '%s'",
                                rules->sensitive[i]);
        }
    }
    return DV_OK;
}
