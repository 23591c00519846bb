/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 * 1. `order` holds the records that are not left out; each span of it is a group that is good, and
 *    stays so: it is only cut where all its parts are good.
 * 2. Equal values of a column are never parted by that column's cut.
 * 3. Which records are left out is settled first, in a run of its own. The run that counts leaves
 *    none out and measures against the table as it goes out. */
#include "engine/detect/anonymize/anonymize.h"

#include "base/csv.h"
#include "engine/detect/anonymize/number.h"
#include "engine/detect/anonymize/table.h"

#include <math.h>

enum { JOINED_ALIKE = 16 };

typedef struct span {
    size_t from, count;
    bool good;
} span;

typedef struct spans {
    span *items;
    size_t count, room;
} spans;

typedef struct work {
    const dv_anonymize_rules *rules;
    dv_table table;
    bool *removed;
    dv_slice *made;   /* records * quasi_count */
    bool *suppressed; /* by record */
    size_t may_go;    /* further records */
    uint32_t *order, *spare;
    size_t count; /* of order */
    dv_spread_whole wholes[DV_ANONYMIZE_COLUMNS_MAX];
    dv_spread_meter meter;
    spans parts; /* of the cut under way, from 0 */
    dv_anonymize_report report;
} work;

static size_t quasi_count(const work *w)
{
    return w->rules->quasi_count;
}

static uint32_t code_of(const work *w, uint32_t record, size_t column)
{
    return dv_table_at(&w->table, record, column);
}

static dv_result push(spans *list, span item)
{
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 1024 : 2 * list->room;
        span *items = realloc(list->items, room * sizeof(*items));
        if (items == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = item;
    return DV_OK;
}

/* -- the table --------------------------------------------------------------------------------- */

static dv_result find_removed(work *w, dv_error *error)
{
    w->removed = dv_arena_alloc(w->table.arena, w->table.width * sizeof(*w->removed));
    if (w->removed == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < w->rules->remove_count; i++) {
        size_t index = 0;
        DV_TRY(dv_table_find(&w->table, w->rules->remove[i], &index, error));
        w->removed[index] = true;
    }
    return DV_OK;
}

static dv_result code_columns(work *w, dv_error *error)
{
    const dv_anonymize_rules *rules = w->rules;
    DV_TRY(dv_table_begin(&w->table, rules->quasi_count + rules->sensitive_count));
    for (size_t i = 0; i < rules->quasi_count; i++) {
        const dv_hierarchy *h = &rules->hierarchies[i];
        bool listed = h->kind != DV_HIERARCHY_NONE;
        DV_TRY(dv_table_code(&w->table, rules->quasi[i],
                             listed ? DV_TABLE_TEXT : DV_TABLE_NUMBER_TRY, listed ? h : NULL,
                             error));
    }
    for (size_t i = 0; i < rules->sensitive_count; i++) {
        DV_TRY(dv_table_code(&w->table, rules->sensitive[i],
                             rules->ordered[i] ? DV_TABLE_NUMBER : DV_TABLE_TEXT, NULL, error));
        w->wholes[i].ordered = rules->ordered[i];
        w->wholes[i].values = w->table.columns[rules->quasi_count + i].count;
    }
    return DV_OK;
}

static dv_result make_room(work *w)
{
    dv_arena *arena = w->table.arena;
    size_t count = w->table.count, most = 1;
    for (size_t i = 0; i < w->rules->sensitive_count; i++) {
        most = DV_MAX(most, (size_t)w->table.columns[quasi_count(w) + i].count);
    }
    w->made = dv_arena_alloc(arena, count * quasi_count(w) * sizeof(*w->made));
    w->suppressed = dv_arena_alloc(arena, count * sizeof(*w->suppressed));
    w->order = dv_arena_alloc(arena, count * sizeof(*w->order));
    w->spare = dv_arena_alloc(arena, count * sizeof(*w->spare));
    if (w->made == NULL || w->suppressed == NULL || w->order == NULL || w->spare == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    return dv_spread_meter_new(arena, most, &w->meter);
}

static dv_spread_group group_of(const work *w, size_t which, const uint32_t *records, size_t count)
{
    return (dv_spread_group){.codes = w->table.codes + quasi_count(w) + which,
                             .stride = w->table.column_count,
                             .records = records,
                             .count = count};
}

/* All records that are not left out. */
static dv_result begin_order(work *w)
{
    w->count = 0;
    for (size_t i = 0; i < w->table.count; i++) {
        if (!w->suppressed[i]) {
            w->order[w->count++] = (uint32_t)i;
        }
    }
    for (size_t i = 0; i < w->rules->sensitive_count; i++) {
        dv_spread_group all = group_of(w, i, w->order, w->count);
        DV_TRY(dv_spread_count(w->table.arena, &all, &w->wholes[i]));
    }
    return DV_OK;
}

static bool is_good(work *w, const uint32_t *records, size_t count)
{
    const dv_spread_demand *demand = &w->rules->spread;
    bool good = count >= w->rules->k, asked = demand->l > 1 || demand->t < 1;
    for (size_t i = 0; i < w->rules->sensitive_count && asked && good; i++) {
        dv_spread_group group = group_of(w, i, records, count);
        dv_spread spread;
        dv_spread_measure(&w->meter, &w->wholes[i], &group, demand->l, &spread);
        good = dv_spread_holds(demand, &spread);
    }
    return good;
}

/* -- what a group tells ------------------------------------------------------------------------ */

static dv_slice text_at(const work *w, uint32_t record, size_t which)
{
    return dv_slice_trim(w->table.cells[record * w->table.width + w->table.columns[which].index]);
}

static double number_at(const work *w, uint32_t record, size_t which)
{
    double number = 0;
    return w->table.columns[which].number && dv_number_read(text_at(w, record, which), &number)
               ? number
               : code_of(w, record, which);
}

/* The lowest level on which all records are one thing: 0 a value, levels + 1 `*`. */
static uint32_t level_of(const work *w, size_t which, const uint32_t *records, size_t count)
{
    const dv_table_column *c = &w->table.columns[which];
    uint32_t level = 0, first = code_of(w, records[0], which);
    for (size_t i = 1; i < count && level <= c->levels; i++) {
        uint32_t code = code_of(w, records[i], which);
        if (code == first) {
            continue;
        }
        level = DV_MAX(level, 1U);
        while (level <= c->levels &&
               dv_table_above(c, code, level) != dv_table_above(c, first, level)) {
            level++;
        }
    }
    return level;
}

static uint32_t values_below(const dv_table_column *c, uint32_t code, uint32_t level)
{
    return level == 0          ? 1
           : level > c->levels ? c->count
                               : c->nodes[level - 1][dv_table_above(c, code, level)].values;
}

/* The first records that have the least and the most of a column. */
static void find_ends(const work *w, size_t which, const uint32_t *records, size_t count,
                      uint32_t *ret_least, uint32_t *ret_most)
{
    size_t least = 0, most = 0;
    for (size_t i = 1; i < count; i++) {
        uint32_t code = code_of(w, records[i], which);
        least = code < code_of(w, records[least], which) ? i : least;
        most = code > code_of(w, records[most], which) ? i : most;
    }
    *ret_least = records[least];
    *ret_most = records[most];
}

/* How much of the whole table's range a group takes of one column: 0 to 1. */
static double width_of(const work *w, size_t which, const uint32_t *records, size_t count)
{
    const dv_table_column *c = &w->table.columns[which];
    uint32_t least, most;
    if (c->count < 2) {
        return 0;
    }
    if (c->levels > 0) {
        uint32_t level = level_of(w, which, records, count);
        return (double)(values_below(c, code_of(w, records[0], which), level) - 1) /
               (double)(c->count - 1);
    }
    find_ends(w, which, records, count, &least, &most);
    return (number_at(w, most, which) - number_at(w, least, which)) / c->range;
}

/* What the first and the last in order begin with, so do all between. */
static dv_result common_start(work *w, dv_slice low, dv_slice high, dv_slice *ret)
{
    size_t same = 0;
    while (same < low.len && same < high.len && low.ptr[same] == high.ptr[same]) {
        same++;
    }
    while (same > 0 && same < low.len && (low.ptr[same] & 0xC0) == 0x80) {
        same--; /* no half characters */
    }
    const dv_slice parts[] = {dv_slice_sub(low, 0, same), DV_LIT("*")};
    return dv_arena_concat(w->table.arena, parts, 2, ret);
}

/* "30-39" for numbers, "941*" for texts, what the hierarchy says; "*" where nothing is in common.
 */
static dv_result common_text(work *w, size_t which, const uint32_t *records, size_t count,
                             dv_slice *ret)
{
    const dv_table_column *c = &w->table.columns[which];
    uint32_t least, most, level;
    if (c->levels > 0 && (level = level_of(w, which, records, count)) > 0) {
        *ret =
            level > c->levels
                ? DV_LIT("*")
                : c->nodes[level - 1][dv_table_above(c, code_of(w, records[0], which), level)].text;
        return DV_OK;
    }
    find_ends(w, which, records, count, &least, &most);
    dv_slice low = text_at(w, least, which), high = text_at(w, most, which);
    if (code_of(w, least, which) == code_of(w, most, which)) {
        *ret = low;
        return DV_OK;
    }
    const dv_slice parts[] = {low, DV_LIT("-"), high};
    return c->number ? dv_arena_concat(w->table.arena, parts, 3, ret)
                     : common_start(w, low, high, ret);
}

static dv_result close_group(work *w, const uint32_t *records, size_t count)
{
    dv_anonymize_risk *risk = &w->report.after;
    for (size_t q = 0; q < quasi_count(w); q++) {
        dv_slice text;
        w->report.losses[q] += width_of(w, q, records, count) * (double)count;
        DV_TRY(common_text(w, q, records, count, &text));
        for (size_t i = 0; i < count; i++) {
            w->made[records[i] * quasi_count(w) + q] = text;
        }
    }
    risk->groups++;
    risk->smallest = risk->groups == 1 ? count : DV_MIN(risk->smallest, count);
    return DV_OK;
}

/* -- cutting in halves ------------------------------------------------------------------------- */

/* Records of codes up to `code` come first, the others behind; how many come first. */
static size_t part(work *w, size_t which, uint32_t code, uint32_t *records, size_t count)
{
    size_t first = 0, others = 0;
    for (size_t i = 0; i < count; i++) {
        if (code_of(w, records[i], which) <= code) {
            records[first++] = records[i];
        } else {
            w->spare[others++] = records[i];
        }
    }
    memcpy(records + first, w->spare, others * sizeof(*records));
    return first;
}

static int by_code(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* The code up to which the nearest to half of the records lie, the last one never. */
static uint32_t median(work *w, size_t which, const uint32_t *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        w->spare[i] = code_of(w, records[i], which);
    }
    qsort(w->spare, count, sizeof(*w->spare), by_code);
    size_t at = (count - 1) / 2;
    uint32_t code = w->spare[at];
    if (code < w->spare[count - 1]) {
        return code;
    }
    while (at > 0 && w->spare[at] == code) {
        at--;
    }
    return w->spare[at];
}

static dv_result halve(work *w, size_t which, uint32_t *records, size_t count)
{
    size_t first = part(w, which, median(w, which, records, count), records, count);
    if (first > 0 && first < count && is_good(w, records, first) &&
        is_good(w, records + first, count - first)) {
        DV_TRY(push(&w->parts, (span){.from = 0, .count = first}));
        return push(&w->parts, (span){.from = first, .count = count - first});
    }
    return DV_OK;
}

/* -- cutting along a hierarchy ----------------------------------------------------------------- */

typedef struct below {
    const work *work;
    size_t which;
    uint32_t level;
} below;

static uint32_t node_of(const below *b, uint32_t record)
{
    uint32_t code = code_of(b->work, record, b->which);
    return b->level == 0 ? code : dv_table_above(&b->work->table.columns[b->which], code, b->level);
}

static int by_below(const void *a, const void *b, void *data)
{
    uint32_t x = node_of(data, *(const uint32_t *)a), y = node_of(data, *(const uint32_t *)b);
    return x != y ? (x < y ? -1 : 1) : by_code(a, b);
}

/* Good ones first, the largest first. */
static int by_use(const void *a, const void *b)
{
    const span *x = a, *y = b;
    if (x->good != y->good) {
        return x->good ? -1 : 1;
    }
    return x->count != y->count ? (x->count > y->count ? -1 : 1) : (x->from < y->from ? -1 : 1);
}

/* What stands one level lower, each thing's records together, the good ones first. */
static dv_result list_below(work *w, below *b, uint32_t *records, size_t count, size_t *ret_good)
{
    qsort_r(records, count, sizeof(*records), by_below, b);
    for (size_t i = 0, start = 0; i < count; start = i) {
        while (i < count && node_of(b, records[i]) == node_of(b, records[start])) {
            i++;
        }
        span s = {start, i - start, is_good(w, records + start, i - start)};
        *ret_good += s.good;
        DV_TRY(push(&w->parts, s));
    }
    qsort(w->parts.items, w->parts.count, sizeof(span), by_use);
    size_t at = 0;
    memcpy(w->spare, records, count * sizeof(*records));
    for (size_t i = 0; i < w->parts.count; i++) {
        span *s = &w->parts.items[i];
        memcpy(records + at, w->spare + s->from, s->count * sizeof(*records));
        s->from = at;
        at += s->count;
    }
    return DV_OK;
}

static void leave_out(work *w, const uint32_t *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        w->suppressed[records[i]] = true;
    }
    w->may_go -= count;
}

/* How many of the good parts stay when the rest, from `from` on, is joined by the smallest of them
 * until it is good: one by one at first, then by more and more, since each try reads the rest. */
static size_t join_rest(work *w, const uint32_t *records, size_t count, size_t good, size_t from)
{
    size_t step = 1;
    for (size_t tries = 1; good > 0 && !is_good(w, records + from, count - from); tries++) {
        step = tries % JOINED_ALIKE == 0 ? 2 * step : step;
        good -= DV_MIN(good, step);
        from = w->parts.items[good].from;
    }
    return good;
}

/* Whether what the parts from `stay` on would tell less, if the rest stayed with them, is more than
 * what its records tell at most. */
static bool pays(const work *w, size_t which, const uint32_t *records, size_t count, size_t good,
                 size_t stay, size_t rest)
{
    double before = width_of(w, which, records, count), gain = 0;
    for (size_t i = stay; i < good; i++) {
        const span *s = &w->parts.items[i];
        gain += (before - width_of(w, which, records + s->from, s->count)) * (double)s->count;
    }
    return gain > (double)(rest * quasi_count(w));
}

/* What is not good by itself stays together as it was told before, or with the smallest good ones,
 * or is left out. */
static dv_result specialise(work *w, size_t which, uint32_t *records, size_t count)
{
    size_t good = 0;
    below b = {w, which, level_of(w, which, records, count) - 1};
    DV_TRY(list_below(w, &b, records, count, &good));
    size_t kept = good == w->parts.count ? count : w->parts.items[good].from;
    if (kept == count) {
        return DV_OK;
    }
    size_t stay = join_rest(w, records, count, good, kept), rest = count - kept;
    if (stay < good && rest <= w->may_go && pays(w, which, records, count, good, stay, rest)) {
        leave_out(w, records + kept, rest);
        w->parts.count = good;
        return DV_OK;
    }
    size_t from = stay == good ? kept : w->parts.items[stay].from;
    w->parts.count = stay;
    return stay == 0 ? DV_OK : push(&w->parts, (span){.from = from, .count = count - from});
}

/* -- cutting ----------------------------------------------------------------------------------- */

/* Leaves parts empty where no column can be cut. */
static dv_result cut_somewhere(work *w, uint32_t *records, size_t count)
{
    double widths[DV_ANONYMIZE_COLUMNS_MAX] = {0};
    for (size_t q = 0; q < quasi_count(w); q++) {
        widths[q] = width_of(w, q, records, count);
    }
    w->parts.count = 0;
    for (size_t tries = 0; tries < quasi_count(w) && w->parts.count == 0; tries++) {
        size_t widest = 0;
        for (size_t q = 1; q < quasi_count(w); q++) {
            widest = widths[q] > widths[widest] ? q : widest;
        }
        if (widths[widest] <= 0) {
            return DV_OK;
        }
        widths[widest] = -1;
        DV_TRY(
            (w->table.columns[widest].levels > 0 ? specialise : halve)(w, widest, records, count));
    }
    return DV_OK;
}

static dv_result cut_spans(work *w, spans *open, bool last)
{
    DV_TRY(push(open, (span){.from = 0, .count = w->count}));
    for (size_t at = 0; at < open->count; at++) { /* the largest first, by and large */
        span s = open->items[at];
        w->parts.count = 0;
        if (s.count >= w->rules->k + (w->may_go > 0 ? 1 : w->rules->k)) {
            DV_TRY(cut_somewhere(w, w->order + s.from, s.count));
        }
        for (size_t i = 0; i < w->parts.count; i++) {
            span *p = &w->parts.items[i];
            DV_TRY(push(open, (span){.from = s.from + p->from, .count = p->count}));
        }
        if (w->parts.count == 0 && last) {
            DV_TRY(close_group(w, w->order + s.from, s.count));
        }
    }
    return DV_OK;
}

static dv_result cut_table(work *w, bool last)
{
    spans open = {NULL, 0, 0};
    dv_result result = cut_spans(w, &open, last);
    free(open.items);
    return result;
}

/* Settles which records are left out. None are where the rest would not be good without them. */
static dv_result suppress(work *w)
{
    w->may_go = (size_t)floor(w->rules->suppress * (double)w->table.count + 1e-9);
    if (w->may_go == 0) {
        return DV_OK;
    }
    DV_TRY(cut_table(w, false));
    w->may_go = 0;
    DV_TRY(begin_order(w));
    if (is_good(w, w->order, w->count)) {
        return DV_OK;
    }
    memset(w->suppressed, 0, w->table.count * sizeof(*w->suppressed));
    return begin_order(w);
}

/* -- the risk before --------------------------------------------------------------------------- */

static int by_codes(const void *a, const void *b, void *data)
{
    const work *w = data;
    for (size_t q = 0; q < quasi_count(w); q++) {
        uint32_t x = code_of(w, *(const uint32_t *)a, q), y = code_of(w, *(const uint32_t *)b, q);
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return 0;
}

static void measure_before(work *w)
{
    dv_anonymize_risk *risk = &w->report.before;
    memcpy(w->spare, w->order, w->count * sizeof(*w->spare));
    qsort_r(w->spare, w->count, sizeof(*w->spare), by_codes, w);
    for (size_t i = 0; i < w->count;) {
        size_t start = i;
        while (i < w->count && by_codes(&w->spare[start], &w->spare[i], w) == 0) {
            i++;
        }
        risk->groups++;
        risk->unique += i - start == 1;
        risk->smallest = start == 0 ? i : DV_MIN(risk->smallest, i - start);
    }
}

static void finish_risk(dv_anonymize_risk *risk, size_t records)
{
    risk->highest = 1.0 / (double)risk->smallest;
    risk->average = (double)risk->groups / (double)records;
}

/* Who is left out tells nothing any more. */
static void finish_report(work *w)
{
    dv_anonymize_report *report = &w->report;
    report->records = w->table.count;
    report->separator = w->table.separator;
    report->suppressed = w->table.count - w->count;
    for (size_t q = 0; q < quasi_count(w); q++) {
        report->losses[q] =
            (report->losses[q] + (double)report->suppressed) / (double)w->table.count;
        report->loss += report->losses[q] / (double)quasi_count(w);
    }
    finish_risk(&report->before, w->table.count);
    finish_risk(&report->after, w->count);
}

/* -- writing ----------------------------------------------------------------------------------- */

static dv_slice cell_of(const work *w, size_t record, size_t index)
{
    for (size_t q = 0; q < quasi_count(w); q++) {
        if (w->table.columns[q].index == index) {
            return w->made[record * quasi_count(w) + q];
        }
    }
    return w->table.cells[record * w->table.width + index];
}

/* The head (record SIZE_MAX) or one record, without the columns that go. */
static dv_result write_row(const work *w, size_t record, const dv_transform_sink *sink, dv_buf *out)
{
    bool first = true;
    dv_buf_clear(out);
    for (size_t i = 0; i < w->table.width; i++) {
        if (w->removed[i]) {
            continue;
        }
        DV_TRY(first ? DV_OK : dv_buf_append_byte(out, (uint8_t)w->table.separator));
        first = false;
        dv_slice text = record == SIZE_MAX ? w->table.names[i] : cell_of(w, record, i);
        DV_TRY(dv_csv_append(out, text, w->table.separator, false));
    }
    DV_TRY(dv_buf_append_byte(out, '\n'));
    return sink->put(sink->data, dv_buf_slice(out));
}

static dv_result write_rows(const work *w, const dv_transform_sink *sink)
{
    dv_auto(secret_buf) dv_buf out = dv_buf_init(64 << 20);
    DV_TRY(write_row(w, SIZE_MAX, sink, &out));
    for (size_t i = 0; i < w->table.count; i++) {
        DV_TRY(w->suppressed[i] ? DV_OK : write_row(w, i, sink, &out));
    }
    return DV_OK;
}

static dv_result anonymize(work *w, const dv_walk_source *source, const dv_transform_sink *sink,
                           dv_error *error)
{
    DV_TRY(dv_table_read(&w->table, source, error));
    DV_TRY(find_removed(w, error));
    if (w->table.count == 0) {
        return dv_error_set(error, DV_ERR_CONFLICT, "the table has no records");
    }
    DV_TRY(code_columns(w, error));
    DV_TRY(make_room(w));
    DV_TRY(begin_order(w));
    measure_before(w);
    if (w->count < w->rules->k) {
        return dv_error_set(error, DV_ERR_CONFLICT, "the table has %zu records, fewer than k = %u",
                            w->count, w->rules->k);
    }
    if (!is_good(w, w->order, w->count)) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the table as a whole is not as diverse in a sensitive column as l "
                            "asks for: no group of it can be");
    }
    DV_TRY(suppress(w));
    DV_TRY(cut_table(w, true));
    finish_report(w);
    return write_rows(w, sink);
}

dv_result dv_anonymize_csv(const dv_anonymize_rules *rules, const dv_walk_source *source,
                           const dv_transform_sink *sink, dv_anonymize_report *ret_report,
                           dv_error *error)
{
    work w = {.rules = rules, .table = {.arena = dv_arena_new(DV_ANONYMIZE_MEMORY_MAX)}};
    dv_result result =
        w.table.arena == NULL ? DV_ERR_NO_MEMORY : anonymize(&w, source, sink, error);
    dv_arena_free(w.table.arena);
    free(w.parts.items);
    if (result == DV_OK) {
        *ret_report = w.report;
    } else if (result == DV_ERR_NO_MEMORY && error != NULL && error->message[0] == '\0') {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the table does not fit in %d MiB",
                            DV_ANONYMIZE_MEMORY_MAX >> 20);
    }
    return result;
}
