/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/action/anonymize.h"

#include "base/csv.h"
#include "engine/detect/action/shape.h"

#include <math.h>

/* -- rules ------------------------------------------------------------------------------------- */

static dv_result read_list(const dv_yaml *root, const char *key, const char **names, size_t *count,
                           dv_error *error)
{
    const dv_yaml *list = dv_yaml_get(root, key);
    if (list == NULL || list->type == DV_YAML_NULL) {
        return DV_OK;
    }
    if (list->type != DV_YAML_LIST) {
        return dv_yaml_refuse(list, error, "%s is a list of columns: [zip, age]", key);
    }
    for (const dv_yaml *node = list->first; node != NULL; node = node->next) {
        if (*count == DV_ANONYMIZE_COLUMNS_MAX) {
            return dv_yaml_refuse(node, error, "%s: more than %d columns", key,
                                  DV_ANONYMIZE_COLUMNS_MAX);
        }
        DV_TRY(dv_yaml_string(node, &names[(*count)++], error));
    }
    return DV_OK;
}

static dv_result read_share(const dv_yaml *node, double *ret, dv_error *error)
{
    const char *text = NULL;
    char *end = NULL;
    DV_TRY(dv_yaml_string(node, &text, error));
    *ret = strtod(text, &end);
    if (end == text || *end != '\0' || !(*ret >= 0 && *ret <= 1)) {
        return dv_yaml_refuse(node, error, "t is a number from 0 to 1, not '%s'", text);
    }
    return DV_OK;
}

dv_result dv_anonymize_rules_read(const dv_yaml *root, dv_anonymize_rules *ret_rules,
                                  dv_error *error)
{
    static const char *const keys[] = {"k", "l", "t", "quasi", "sensitive", "remove", NULL};
    dv_anonymize_rules rules = {.l = 1, .t = 1};
    int64_t k = 5, l = 1;
    DV_TRY(dv_yaml_check_keys(root, keys, error));
    const dv_yaml *node = dv_yaml_get(root, "k");
    DV_TRY(node == NULL ? DV_OK : dv_yaml_int(node, 2, 1000000, &k, error));
    node = dv_yaml_get(root, "l");
    DV_TRY(node == NULL ? DV_OK : dv_yaml_int(node, 1, 1000, &l, error));
    node = dv_yaml_get(root, "t");
    DV_TRY(node == NULL ? DV_OK : read_share(node, &rules.t, error));
    DV_TRY(read_list(root, "quasi", rules.quasi, &rules.quasi_count, error));
    DV_TRY(read_list(root, "sensitive", rules.sensitive, &rules.sensitive_count, error));
    DV_TRY(read_list(root, "remove", rules.remove, &rules.remove_count, error));
    rules.k = (uint32_t)k;
    rules.l = (uint32_t)l;
    if (rules.quasi_count == 0) {
        return dv_yaml_refuse(root, error,
                              "quasi is missing: the columns by which somebody could "
                              "be known again");
    }
    if ((l > 1 || rules.t < 1) && rules.sensitive_count == 0) {
        return dv_yaml_refuse(root, error, "l and t ask for columns in sensitive");
    }
    *ret_rules = rules;
    return DV_OK;
}

/* -- the table --------------------------------------------------------------------------------- */

typedef struct column {
    size_t index;    /* in the file */
    bool number;     /* every cell is one */
    double range;    /* of the whole table */
    uint32_t count;  /* different values of the whole table */
    uint32_t *whole; /* how often each has; sensitive columns */
} column;

typedef struct table {
    const dv_anonymize_rules *rules;
    dv_arena *arena;
    dv_slice *names;
    size_t width;
    bool *removed;
    dv_slice *cells; /* records * width */
    double *numbers; /* records * quasi_count, where a column is of numbers */
    uint32_t *codes; /* records * (quasi + sensitive): equal values have equal ones, in order */
    dv_slice *made;  /* records * quasi_count */
    size_t count, room;
    column quasi[DV_ANONYMIZE_COLUMNS_MAX], sensitive[DV_ANONYMIZE_COLUMNS_MAX];
    uint32_t *order, *spare;
    uint32_t *tally; /* of a sensitive column's values */
    dv_anonymize_report report;
    bool mark;
    char separator;
} table;

static size_t coded(const table *t)
{
    return t->rules->quasi_count + t->rules->sensitive_count;
}

static dv_result find_column(const table *t, const char *name, size_t *ret_index, dv_error *error)
{
    size_t count = 0;
    for (size_t i = 0; i < t->width; i++) {
        if (dv_slice_eq_nocase(t->names[i], dv_slice_str(name))) {
            *ret_index = i;
            count++;
        }
    }
    if (count > 1) { /* the others would go out as they are */
        return dv_error_set(error, DV_ERR_INVALID, "%zu columns are called '%s'", count, name);
    }
    return count == 1 ? DV_OK
                      : dv_error_set(error, DV_ERR_INVALID, "there is no column '%s'", name);
}

static dv_result read_head(table *t, const dv_csv_record *head, dv_error *error)
{
    const dv_anonymize_rules *rules = t->rules;
    t->width = head->count;
    t->names = dv_arena_alloc(t->arena, t->width * sizeof(*t->names));
    t->removed = dv_arena_alloc(t->arena, t->width * sizeof(*t->removed));
    if (t->names == NULL || t->removed == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < t->width; i++) {
        DV_TRY(dv_arena_copy(t->arena, dv_slice_trim(head->fields[i].text), &t->names[i]));
    }
    for (size_t i = 0; i < rules->quasi_count; i++) {
        DV_TRY(find_column(t, rules->quasi[i], &t->quasi[i].index, error));
    }
    for (size_t i = 0; i < rules->sensitive_count; i++) {
        DV_TRY(find_column(t, rules->sensitive[i], &t->sensitive[i].index, error));
    }
    for (size_t i = 0; i < rules->remove_count; i++) {
        size_t index = 0;
        DV_TRY(find_column(t, rules->remove[i], &index, error));
        t->removed[index] = true;
    }
    return DV_OK;
}

static dv_result add_record(table *t, const dv_csv_record *record, dv_error *error)
{
    int line = (int)DV_MIN(record->line, (uint64_t)INT32_MAX);
    if (record->count != t->width) {
        return dv_error_set_at(error, DV_ERR_INVALID, line, 0, "has %zu cells, the head %zu",
                               record->count, t->width);
    }
    if (t->count == DV_ANONYMIZE_RECORDS_MAX) {
        return dv_error_set_at(error, DV_ERR_TOO_LARGE, line, 0, "more than %d records",
                               DV_ANONYMIZE_RECORDS_MAX);
    }
    t->cells =
        dv_arena_grow(t->arena, t->cells, t->count, &t->room, t->width * sizeof(*t->cells), 1024);
    if (t->cells == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < t->width; i++) {
        DV_TRY(dv_arena_copy(t->arena, record->fields[i].text, &t->cells[t->count * t->width + i]));
    }
    t->count++;
    return DV_OK;
}

static dv_result read_table(table *t, const dv_walk_source *source, dv_error *error)
{
    const dv_csv_source bytes = {source->get, source->data};
    dv_auto(csv) dv_csv *csv = NULL;
    dv_csv_record record;
    DV_TRY(dv_csv_new(&bytes, '\0', &csv));
    dv_result result = dv_csv_next(csv, &record, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, DV_ERR_INVALID, "the file is empty");
    }
    DV_TRY(result);
    DV_TRY(read_head(t, &record, error));
    while ((result = dv_csv_next(csv, &record, error)) == DV_OK) {
        DV_TRY(add_record(t, &record, error));
    }
    t->separator = dv_csv_separator(csv);
    t->mark = dv_csv_has_mark(csv);
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* -- codes ------------------------------------------------------------------------------------- */

typedef struct keyed {
    dv_slice text;
    double number;
    uint32_t record;
} keyed;

static int by_number(const void *a, const void *b)
{
    double x = ((const keyed *)a)->number, y = ((const keyed *)b)->number;
    return x < y ? -1 : x > y;
}

static int by_text(const void *a, const void *b)
{
    return dv_slice_cmp(((const keyed *)a)->text, ((const keyed *)b)->text);
}

static bool read_number(dv_slice text, double *ret)
{
    char copy[64], *end = NULL;
    text = dv_slice_trim(text);
    if (text.len == 0 || text.len >= sizeof(copy) ||
        (!dv_is_digit(text.ptr[0]) && text.ptr[0] != '-')) {
        return false;
    }
    dv_slice_copy(text, copy, sizeof(copy));
    *ret = strtod(copy, &end);
    return *end == '\0' && isfinite(*ret) && strchr("xXpP", copy[text.len > 1 ? 1 : 0]) == NULL;
}

/* Values of one column in their order; the place of each among the different ones is its code. */
static dv_result code_column(table *t, column *c, size_t slot, bool sensitive)
{
    keyed *keys = calloc(t->count + 1, sizeof(*keys));
    if (keys == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    c->number = !sensitive;
    for (size_t i = 0; i < t->count; i++) {
        keys[i].text = t->cells[i * t->width + c->index];
        keys[i].record = (uint32_t)i;
        c->number = c->number && read_number(keys[i].text, &keys[i].number);
    }
    qsort(keys, t->count, sizeof(*keys), c->number ? by_number : by_text);
    uint32_t code = 0;
    for (size_t i = 0; i < t->count; i++) {
        code += i > 0 && (c->number ? by_number : by_text)(&keys[i - 1], &keys[i]) != 0;
        t->codes[keys[i].record * coded(t) + slot] = code;
        if (c->number) {
            t->numbers[keys[i].record * t->rules->quasi_count + slot] = keys[i].number;
        }
    }
    c->count = code + 1;
    c->range = c->number ? keys[t->count - 1].number - keys[0].number : code;
    free(keys);
    return DV_OK;
}

static dv_result code_table(table *t)
{
    const dv_anonymize_rules *rules = t->rules;
    uint32_t most = 1;
    t->codes = dv_arena_alloc(t->arena, t->count * coded(t) * sizeof(*t->codes));
    t->numbers = dv_arena_alloc(t->arena, t->count * rules->quasi_count * sizeof(*t->numbers));
    t->made = dv_arena_alloc(t->arena, t->count * rules->quasi_count * sizeof(*t->made));
    t->order = dv_arena_alloc(t->arena, t->count * sizeof(*t->order));
    t->spare = dv_arena_alloc(t->arena, t->count * sizeof(*t->spare));
    if (t->codes == NULL || t->numbers == NULL || t->made == NULL || t->order == NULL ||
        t->spare == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < rules->quasi_count; i++) {
        DV_TRY(code_column(t, &t->quasi[i], i, false));
    }
    for (size_t i = 0; i < rules->sensitive_count; i++) {
        column *c = &t->sensitive[i];
        DV_TRY(code_column(t, c, rules->quasi_count + i, true));
        c->whole = dv_arena_alloc(t->arena, c->count * sizeof(*c->whole));
        if (c->whole == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        for (size_t r = 0; r < t->count; r++) {
            c->whole[t->codes[r * coded(t) + rules->quasi_count + i]]++;
        }
        most = DV_MAX(most, c->count);
    }
    t->tally = dv_arena_alloc(t->arena, most * sizeof(*t->tally));
    for (size_t i = 0; i < t->count; i++) {
        t->order[i] = (uint32_t)i;
    }
    return t->tally == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static uint32_t code_of(const table *t, uint32_t record, size_t slot)
{
    return t->codes[record * coded(t) + slot];
}

/* -- what a group must be ---------------------------------------------------------------------- */

/* One sensitive column over one group. The tally is zero before and after. */
static bool is_spread(table *t, size_t which, const uint32_t *records, size_t count)
{
    const column *c = &t->sensitive[which];
    size_t slot = t->rules->quasi_count + which;
    uint32_t different = 0;
    for (size_t i = 0; i < count; i++) {
        different += t->tally[code_of(t, records[i], slot)]++ == 0;
    }
    /* Half the sum of differences is what the group has too much of, over its own values. */
    double distance = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t code = code_of(t, records[i], slot);
        double more =
            (double)t->tally[code] / (double)count - (double)c->whole[code] / (double)t->count;
        distance += t->tally[code] > 0 && more > 0 ? more : 0;
        t->tally[code] = 0;
    }
    return different >= t->rules->l && distance <= t->rules->t + 1e-12;
}

static bool is_good(table *t, const uint32_t *records, size_t count)
{
    bool good = count >= t->rules->k;
    for (size_t i = 0; i < t->rules->sensitive_count && good; i++) {
        good = is_spread(t, i, records, count);
    }
    return good;
}

/* -- what a group tells ------------------------------------------------------------------------ */

/* How much of the whole table's range a group takes of one column. */
static double spread_of(const table *t, size_t which, const uint32_t *records, size_t count,
                        uint32_t *ret_least, uint32_t *ret_most)
{
    const column *c = &t->quasi[which];
    uint32_t least = 0, most = 0; /* places in records */
    for (uint32_t i = 1; i < count; i++) {
        uint32_t code = code_of(t, records[i], which);
        least = code < code_of(t, records[least], which) ? i : least;
        most = code > code_of(t, records[most], which) ? i : most;
    }
    *ret_least = records[least];
    *ret_most = records[most];
    if (c->range <= 0) {
        return 0;
    }
    size_t width = t->rules->quasi_count;
    double low =
        c->number ? t->numbers[records[least] * width + which] : code_of(t, records[least], which);
    double high =
        c->number ? t->numbers[records[most] * width + which] : code_of(t, records[most], which);
    return (high - low) / c->range;
}

/* "30-39" for numbers, "941*" for texts, "*" where nothing is in common. */
static dv_result common_text(table *t, size_t which, uint32_t least, uint32_t most, dv_slice *ret)
{
    dv_slice low = dv_slice_trim(t->cells[least * t->width + t->quasi[which].index]);
    dv_slice high = dv_slice_trim(t->cells[most * t->width + t->quasi[which].index]);
    if (code_of(t, least, which) == code_of(t, most, which)) {
        *ret = low;
        return DV_OK;
    }
    if (t->quasi[which].number) {
        const dv_slice parts[] = {low, DV_LIT("-"), high};
        return dv_arena_concat(t->arena, parts, 3, ret);
    }
    size_t same = 0; /* of the first and the last in order, so of all between */
    while (same < low.len && same < high.len && low.ptr[same] == high.ptr[same]) {
        same++;
    }
    while (same > 0 && same < low.len && (low.ptr[same] & 0xC0) == 0x80) {
        same--; /* no half characters */
    }
    const dv_slice parts[] = {dv_slice_sub(low, 0, same), DV_LIT("*")};
    return dv_arena_concat(t->arena, parts, 2, ret);
}

static dv_result close_group(table *t, const uint32_t *records, size_t count)
{
    dv_anonymize_risk *risk = &t->report.after;
    for (size_t q = 0; q < t->rules->quasi_count; q++) {
        uint32_t least, most;
        dv_slice text;
        double spread = spread_of(t, q, records, count, &least, &most);
        t->report.loss += spread * (double)count;
        DV_TRY(common_text(t, q, least, most, &text));
        for (size_t i = 0; i < count; i++) {
            t->made[records[i] * t->rules->quasi_count + q] = text;
        }
    }
    risk->groups++;
    risk->smallest = risk->groups == 1 ? count : DV_MIN(risk->smallest, count);
    return DV_OK;
}

/* -- cutting ----------------------------------------------------------------------------------- */

/* Records of codes up to `code` come first, the others behind; how many come first. */
static size_t part(table *t, size_t which, uint32_t code, uint32_t *records, size_t count)
{
    size_t first = 0, others = 0;
    for (size_t i = 0; i < count; i++) {
        if (code_of(t, records[i], which) <= code) {
            records[first++] = records[i];
        } else {
            t->spare[others++] = records[i];
        }
    }
    memcpy(records + first, t->spare, others * sizeof(*records));
    return first;
}

static int by_code(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* The code up to which the nearest to half of the records lie, the last one never. */
static uint32_t median(table *t, size_t which, const uint32_t *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        t->spare[i] = code_of(t, records[i], which);
    }
    qsort(t->spare, count, sizeof(*t->spare), by_code);
    size_t at = (count - 1) / 2;
    uint32_t code = t->spare[at];
    if (code < t->spare[count - 1]) {
        return code;
    }
    while (at > 0 && t->spare[at] == code) {
        at--;
    }
    return t->spare[at];
}

/* Tries one column. Equal values are never parted, so no group overlaps another one. */
static bool cut(table *t, size_t which, uint32_t *records, size_t count, size_t *ret_first)
{
    uint32_t least, most;
    if (spread_of(t, which, records, count, &least, &most) <= 0) {
        return false;
    }
    size_t first = part(t, which, median(t, which, records, count), records, count);
    *ret_first = first;
    return first > 0 && first < count && is_good(t, records, first) &&
           is_good(t, records + first, count - first);
}

/* Halves of the order under way; each cut is at most half the size, or one value less. */
typedef struct span {
    size_t from, count;
} span;

static bool cut_somewhere(table *t, uint32_t *records, size_t count, size_t *ret_first)
{
    double spreads[DV_ANONYMIZE_COLUMNS_MAX] = {0};
    uint32_t least, most;
    for (size_t q = 0; q < t->rules->quasi_count; q++) {
        spreads[q] = spread_of(t, q, records, count, &least, &most);
    }
    for (size_t tries = 0; tries < t->rules->quasi_count; tries++) {
        size_t widest = 0;
        for (size_t q = 1; q < t->rules->quasi_count; q++) {
            widest = spreads[q] > spreads[widest] ? q : widest;
        }
        if (spreads[widest] > 0 && cut(t, widest, records, count, ret_first)) {
            return true;
        }
        spreads[widest] = -1;
    }
    return false;
}

static dv_result cut_table(table *t)
{
    size_t room = 0, count = 0;
    span *open = dv_arena_grow(t->arena, NULL, 0, &room, sizeof(*open), 1024);
    if (open == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    open[count++] = (span){0, t->count};
    while (count > 0) {
        span s = open[--count];
        size_t first = 0;
        if (s.count < 2 * (size_t)t->rules->k ||
            !cut_somewhere(t, t->order + s.from, s.count, &first)) {
            DV_TRY(close_group(t, t->order + s.from, s.count));
            continue;
        }
        if (count + 2 > room) {
            open = dv_arena_grow(t->arena, open, count, &room, sizeof(*open), 1024);
            if (open == NULL) {
                return DV_ERR_NO_MEMORY;
            }
        }
        open[count++] = (span){s.from, first};
        open[count++] = (span){s.from + first, s.count - first};
    }
    return DV_OK;
}

/* -- the risk before --------------------------------------------------------------------------- */

static int by_codes(const void *a, const void *b, void *data)
{
    const table *t = data;
    for (size_t q = 0; q < t->rules->quasi_count; q++) {
        uint32_t x = code_of(t, *(const uint32_t *)a, q), y = code_of(t, *(const uint32_t *)b, q);
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return 0;
}

static void measure_before(table *t)
{
    dv_anonymize_risk *risk = &t->report.before;
    memcpy(t->spare, t->order, t->count * sizeof(*t->spare));
    qsort_r(t->spare, t->count, sizeof(*t->spare), by_codes, t);
    for (size_t i = 0; i < t->count;) {
        size_t start = i;
        while (i < t->count && by_codes(&t->spare[start], &t->spare[i], t) == 0) {
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

/* -- writing ----------------------------------------------------------------------------------- */

static dv_slice cell_of(const table *t, size_t record, size_t index)
{
    for (size_t q = 0; q < t->rules->quasi_count; q++) {
        if (t->quasi[q].index == index) {
            return t->made[record * t->rules->quasi_count + q];
        }
    }
    return t->cells[record * t->width + index];
}

/* The head (record SIZE_MAX) or one record, without the columns that go. */
static dv_result write_row(const table *t, size_t record, const dv_transform_sink *sink,
                           dv_buf *out)
{
    bool first = true;
    dv_buf_clear(out);
    for (size_t i = 0; i < t->width; i++) {
        if (t->removed[i]) {
            continue;
        }
        DV_TRY(first ? DV_OK : dv_buf_append_byte(out, (uint8_t)t->separator));
        first = false;
        dv_slice text = record == SIZE_MAX ? t->names[i] : cell_of(t, record, i);
        DV_TRY(dv_csv_append(out, text, t->separator, false));
    }
    DV_TRY(dv_buf_append_byte(out, '\n'));
    return sink->put(sink->data, dv_buf_slice(out));
}

static dv_result anonymize(table *t, const dv_walk_source *source, const dv_transform_sink *sink,
                           dv_error *error)
{
    dv_auto(secret_buf) dv_buf out = dv_buf_init(64 << 20);
    DV_TRY(read_table(t, source, error));
    if (t->count == 0) {
        return dv_error_set(error, DV_ERR_CONFLICT, "the table has no records");
    }
    DV_TRY(code_table(t));
    measure_before(t);
    if (!is_good(t, t->order, t->count)) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the table as a whole has not %u records with %u different values of "
                            "each sensitive column",
                            t->rules->k, t->rules->l);
    }
    DV_TRY(cut_table(t));
    DV_TRY(write_row(t, SIZE_MAX, sink, &out));
    for (size_t i = 0; i < t->count; i++) {
        DV_TRY(write_row(t, i, sink, &out));
    }
    t->report.records = t->count;
    t->report.loss /= (double)(t->count * t->rules->quasi_count);
    finish_risk(&t->report.before, t->count);
    finish_risk(&t->report.after, t->count);
    return DV_OK;
}

dv_result dv_anonymize_csv(const dv_anonymize_rules *rules, const dv_walk_source *source,
                           const dv_transform_sink *sink, dv_anonymize_report *ret_report,
                           dv_error *error)
{
    table t = {.rules = rules, .arena = dv_arena_new(DV_ANONYMIZE_MEMORY_MAX)};
    dv_result result = t.arena == NULL ? DV_ERR_NO_MEMORY : anonymize(&t, source, sink, error);
    dv_arena_free(t.arena);
    if (result == DV_OK) {
        *ret_report = t.report;
    } else if (result == DV_ERR_NO_MEMORY && error != NULL && error->message[0] == '\0') {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the table does not fit in %d MiB",
                            DV_ANONYMIZE_MEMORY_MAX >> 20);
    }
    return result;
}
