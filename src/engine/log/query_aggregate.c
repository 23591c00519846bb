/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/query_aggregate.h"

#include "base/siphash.h"
#include "engine/log/query_aggregate_state.h"
#include "engine/log/query_internal.h"

#include <math.h>

enum {
    FIRST_GROUPS = 64,
    COMBINATIONS_MAX = 64, /* of several fields in one event */
    KEY_MAX = 1 << 20,     /* more than a leaf holds */
};

/* ---- groups ---- */

static void place_group(dv_aggregate *aggregate, uint32_t index)
{
    size_t mask = aggregate->slot_count - 1;
    size_t at = aggregate->groups[index]->hash & mask;
    while (aggregate->slots[at] != 0) {
        at = (at + 1) & mask;
    }
    aggregate->slots[at] = index + 1;
}

/* Twice as many groups, and twice as many slots as groups. */
static dv_result grow(dv_aggregate *aggregate)
{
    size_t capacity = aggregate->capacity == 0 ? FIRST_GROUPS : aggregate->capacity * 2;
    dv_group **groups = realloc(aggregate->groups, capacity * sizeof(dv_group *));
    if (groups == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    aggregate->groups = groups;
    uint32_t *slots = calloc(capacity * 2, sizeof(*slots));
    if (slots == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    free(aggregate->slots);
    aggregate->slots = slots;
    aggregate->slot_count = capacity * 2;
    aggregate->capacity = capacity;
    for (size_t i = 0; i < aggregate->count; i++) {
        place_group(aggregate, (uint32_t)i);
    }
    return DV_OK;
}

static dv_group *find_group(const dv_aggregate *aggregate, uint64_t hash, int64_t bucket_ms,
                            dv_slice values)
{
    size_t mask = aggregate->slot_count - 1;
    if (aggregate->slot_count == 0) {
        return NULL;
    }
    for (size_t at = hash & mask; aggregate->slots[at] != 0; at = (at + 1) & mask) {
        dv_group *group = aggregate->groups[aggregate->slots[at] - 1];
        if (group->hash == hash && group->bucket_ms == bucket_ms &&
            dv_slice_eq(group->values, values)) {
            return group;
        }
    }
    return NULL;
}

/* NULL: there is no room for another one. */
static dv_group *new_group(dv_aggregate *aggregate, uint64_t hash, int64_t bucket_ms,
                           dv_slice values)
{
    dv_slice copy;
    size_t size = sizeof(dv_group) + aggregate->stages->measure_count * sizeof(dv_cell);
    if (aggregate->count == DV_LIMIT_QUERY_GROUPS ||
        (aggregate->count == aggregate->capacity && grow(aggregate) != DV_OK)) {
        return NULL;
    }
    dv_group *group = dv_arena_alloc(aggregate->arena, size);
    if (group == NULL || dv_arena_copy(aggregate->arena, values, &copy) != DV_OK) {
        return NULL;
    }
    group->hash = hash;
    group->bucket_ms = bucket_ms;
    group->values = copy;
    aggregate->groups[aggregate->count] = group;
    place_group(aggregate, (uint32_t)aggregate->count++);
    return group;
}

/* The group, which is made when there is room; NULL: there is none. */
static dv_result group_of(dv_aggregate *aggregate, int64_t bucket_ms, dv_slice values,
                          dv_group **ret_group)
{
    const uint8_t *key;
    DV_TRY(dv_siphash_process_key(&key));
    uint64_t hash = dv_siphash(key, values) ^ (uint64_t)bucket_ms * 0x9e3779b97f4a7c15U;
    dv_group *group = find_group(aggregate, hash, bucket_ms, values);
    *ret_group = group != NULL ? group : new_group(aggregate, hash, bucket_ms, values);
    return DV_OK;
}

/* What groups by nothing counts nothing, too: its one group is there from the start. */
dv_result dv_aggregate_new(const dv_query *query, dv_aggregate **ret_aggregate)
{
    dv_aggregate *aggregate = calloc(1, sizeof(*aggregate));
    if (aggregate == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    aggregate->stages = &query->stages;
    aggregate->key = dv_buf_init(KEY_MAX);
    aggregate->arena = dv_arena_new(DV_LIMIT_QUERY_MEMORY);
    if (aggregate->arena == NULL) {
        free(aggregate);
        return DV_ERR_NO_MEMORY;
    }
    dv_group *all;
    bool one_group = query->stages.by_count == 0 && query->stages.over_ms == 0;
    if (one_group && group_of(aggregate, DV_NO_BUCKET, DV_LIT("[]"), &all) != DV_OK) {
        dv_aggregate_free(aggregate);
        return DV_ERR_NO_MEMORY;
    }
    *ret_aggregate = aggregate;
    return DV_OK;
}

void dv_aggregate_free(dv_aggregate *aggregate)
{
    dv_arena_free(aggregate->arena);
    dv_buf_release(&aggregate->key);
    free(aggregate->groups);
    free(aggregate->slots);
    free(aggregate);
}

/* ---- measures ---- */

static dv_result add_number(const dv_query_measure *measure, dv_cell *cell, double value,
                            dv_arena *arena)
{
    if (measure->function == DV_QUERY_QUANTILE) {
        DV_TRY(dv_sketch_add(&cell->sketch, value, 1, arena));
    }
    cell->least = cell->count == 0 ? value : fmin(cell->least, value);
    cell->most = cell->count == 0 ? value : fmax(cell->most, value);
    cell->sum += value;
    cell->count++;
    return DV_OK;
}

static dv_result measure_row(dv_aggregate *aggregate, dv_group *group, const dv_aggregate_row *row)
{
    for (size_t i = 0; i < aggregate->stages->measure_count; i++) {
        const dv_query_measure *measure = &aggregate->stages->measures[i];
        const dv_aggregate_numbers *numbers = &row->measures[i];
        if (measure->function == DV_QUERY_COUNT) {
            group->cells[i].count++;
        }
        for (size_t n = 0; measure->function != DV_QUERY_COUNT && n < numbers->count; n++) {
            DV_TRY(add_number(measure, &group->cells[i], numbers->list[n], aggregate->arena));
        }
    }
    return DV_OK;
}

bool dv_cell_value(const dv_query_measure *measure, const dv_cell *cell, double *ret_value)
{
    if (measure->function != DV_QUERY_COUNT && cell->count == 0) {
        return false;
    }
    switch (measure->function) {
    case DV_QUERY_COUNT:
        *ret_value = (double)cell->count;
        break;
    case DV_QUERY_SUM:
        *ret_value = cell->sum;
        break;
    case DV_QUERY_AVG:
        *ret_value = cell->sum / (double)cell->count;
        break;
    case DV_QUERY_LEAST:
        *ret_value = cell->least;
        break;
    case DV_QUERY_MOST:
        *ret_value = cell->most;
        break;
    case DV_QUERY_QUANTILE:
        *ret_value = fmin(fmax(dv_sketch_quantile(&cell->sketch, measure->quantile), cell->least),
                          cell->most);
        break;
    }
    return isfinite(*ret_value);
}

/* ---- one event ---- */

static const char *word_of(const dv_query_field *field, const dv_query_number *number)
{
    for (size_t i = 0; i < field->word_count; i++) {
        if (number->is_whole && field->words[i].number == number->whole) {
            return field->words[i].word;
        }
    }
    return NULL;
}

dv_result dv_aggregate_value_write(const dv_query_field *field, dv_slice text, dv_json_type type,
                                   dv_buf *out)
{
    dv_query_number number;
    if (type == DV_JSON_STRING) {
        return dv_buf_append_json_string(out, text);
    }
    if (type != DV_JSON_NUMBER || !dv_query_number_read(text, &number)) {
        return dv_buf_append(out, text);
    }
    const char *word = word_of(field, &number);
    if (word != NULL) {
        return dv_buf_append_json_string(out, dv_slice_str(word));
    }
    return number.is_whole ? dv_buf_append_printf(out, "%lld", (long long)number.whole)
                           : dv_buf_append_printf(out, "%.17g", number.real);
}

bool dv_aggregate_value_add(dv_aggregate_values *values, dv_slice text)
{
    for (size_t i = 0; i < values->count; i++) {
        if (dv_slice_eq(values->texts[i], text)) {
            return true;
        }
    }
    values->texts[values->count++] = text;
    return values->count < DV_AGGREGATE_VALUES;
}

/* Buckets begin at multiples of their length since 1970, UTC. */
int64_t dv_aggregate_bucket(const dv_query_stages *stages, int64_t time)
{
    return stages->over_ms == 0 || time < 0 ? DV_NO_BUCKET : time - time % stages->over_ms;
}

/* The i-th combination of the fields' values, as a JSON array. */
static dv_result write_combination(const dv_aggregate_row *row, size_t count, size_t number,
                                   dv_buf *out)
{
    dv_buf_clear(out);
    DV_TRY(dv_buf_append_byte(out, '['));
    for (size_t i = 0; i < count; i++) {
        const dv_aggregate_values *values = &row->by[i];
        DV_TRY(i > 0 ? dv_buf_append_byte(out, ',') : DV_OK);
        if (values->count == 0) {
            DV_TRY(dv_buf_append_str(out, "null"));
            continue;
        }
        DV_TRY(dv_buf_append(out, values->texts[number % values->count]));
        number /= values->count;
    }
    return dv_buf_append_byte(out, ']');
}

static dv_result add_to_group(dv_aggregate *aggregate, dv_slice key, const dv_aggregate_row *row)
{
    dv_group *group;
    DV_TRY(group_of(aggregate, row->bucket_ms, key, &group));
    if (group == NULL) {
        aggregate->others++;
        return DV_OK;
    }
    if (aggregate->note != NULL) {
        aggregate->note(aggregate->note_data, row->bucket_ms, group->values);
    }
    dv_result result = measure_row(aggregate, group, row);
    if (result == DV_ERR_NO_MEMORY) { /* the sketch has no room for it */
        aggregate->others++;
        return DV_OK;
    }
    return result;
}

dv_result dv_aggregate_add_row(dv_aggregate *aggregate, const dv_aggregate_row *row)
{
    size_t combinations = 1, by_count = aggregate->stages->by_count;
    for (size_t i = 0; i < by_count; i++) {
        combinations *= DV_MAX(row->by[i].count, (size_t)1);
    }
    for (size_t i = 0; i < DV_MIN(combinations, (size_t)COMBINATIONS_MAX); i++) {
        DV_TRY(write_combination(row, by_count, i, &aggregate->key));
        DV_TRY(add_to_group(aggregate, dv_buf_slice(&aggregate->key), row));
    }
    return DV_OK;
}

/* ---- from an event's JSON ---- */

/* Takes the values of one field. */
typedef struct taking {
    const dv_query_field *field;
    dv_aggregate_values *values;
    dv_aggregate_numbers *numbers;
    dv_arena *arena;
    dv_result result;
} taking;

static bool take_value(void *data, const dv_json *json, uint32_t token)
{
    taking *t = data;
    dv_slice text = dv_json_raw(json, token);
    dv_json_type type = (dv_json_type)json->tokens[token].type;
    dv_auto(buf) dv_buf out = dv_buf_init(KEY_MAX);
    t->result = type == DV_JSON_STRING ? dv_json_string(json, token, t->arena, &text) : DV_OK;
    if (t->result == DV_OK) {
        t->result = dv_aggregate_value_write(t->field, text, type, &out);
    }
    if (t->result == DV_OK) {
        t->result = dv_arena_copy(t->arena, dv_buf_slice(&out), &text);
    }
    return t->result == DV_OK && dv_aggregate_value_add(t->values, text);
}

static bool take_number(void *data, const dv_json *json, uint32_t token)
{
    enum { FIRST = 8 };
    taking *t = data;
    dv_query_number number;
    if (json->tokens[token].type != DV_JSON_NUMBER ||
        !dv_query_number_read(dv_json_raw(json, token), &number)) {
        return true;
    }
    double *list = dv_arena_grow(t->arena, t->numbers->list, t->numbers->count,
                                 &t->numbers->capacity, sizeof(*list), FIRST);
    if (list == NULL) {
        t->result = DV_ERR_NO_MEMORY;
        return false;
    }
    t->numbers->list = list;
    list[t->numbers->count++] = number.real;
    return true;
}

static bool take_time(void *data, const dv_json *json, uint32_t token)
{
    int64_t *time = data;
    dv_query_number number;
    if (json->tokens[token].type == DV_JSON_NUMBER &&
        dv_query_number_read(dv_json_raw(json, token), &number) && number.is_whole) {
        *time = number.whole;
    }
    return false;
}

const dv_query_field *dv_aggregate_time_field(void)
{
    static const dv_query_path path = {.text = {(const uint8_t *)"time", 4},
                                       .segments = {{(const uint8_t *)"time", 4}},
                                       .count = 1};
    static const dv_query_field field = {.paths = &path, .path_count = 1};
    return &field;
}

static dv_result take_row(const dv_query_stages *stages, const dv_json *json, dv_arena *arena,
                          dv_aggregate_row *row)
{
    int64_t time = -1;
    for (size_t i = 0; i < stages->by_count; i++) {
        taking t = {stages->by[i], &row->by[i], NULL, arena, DV_OK};
        (void)dv_query_values(stages->by[i], true, json, take_value, &t);
        DV_TRY(t.result);
    }
    for (size_t i = 0; i < stages->measure_count; i++) {
        taking t = {stages->measures[i].field, NULL, &row->measures[i], arena, DV_OK};
        if (t.field != NULL) {
            (void)dv_query_values(t.field, true, json, take_number, &t);
            DV_TRY(t.result);
        }
    }
    if (stages->over_ms != 0) {
        (void)dv_query_values(dv_aggregate_time_field(), true, json, take_time, &time);
        row->bucket_ms = dv_aggregate_bucket(stages, time);
    }
    return DV_OK;
}

dv_result dv_aggregate_add(dv_aggregate *aggregate, dv_query_event *event, dv_arena *arena)
{
    const dv_json *json;
    dv_aggregate_row row = {.bucket_ms = DV_NO_BUCKET};
    DV_TRY(dv_query_event_json(event, arena, &json));
    if (json != NULL) {
        DV_TRY(take_row(aggregate->stages, json, arena, &row));
    }
    return dv_aggregate_add_row(aggregate, &row);
}

void dv_aggregate_watch(dv_aggregate *aggregate, dv_aggregate_note note, void *data)
{
    aggregate->note = note;
    aggregate->note_data = data;
}

void dv_aggregate_each(const dv_aggregate *aggregate, dv_aggregate_visit visit, void *data)
{
    for (size_t i = 0; i < aggregate->count; i++) {
        const dv_group *group = aggregate->groups[i];
        double value = 0;
        (void)dv_cell_value(&aggregate->stages->measures[0], &group->cells[0], &value);
        visit(data, group->bucket_ms, group->values, value);
    }
}

/* ---- the state as JSON ----
 *
 * {"version":1,"others":N,"groups":[[bucket or null,[values],[cell,...]],...]}
 * cell: [count,sum,least,most] and, of quantiles, [zeros,first index,[bins]] behind them */

static dv_result save_sketch(const dv_sketch *sketch, dv_buf *out)
{
    DV_TRY(
        dv_buf_append_printf(out, ",%llu,%d,[", (unsigned long long)sketch->zeros, sketch->first));
    for (uint32_t i = 0; i < sketch->len; i++) {
        DV_TRY(dv_buf_append_printf(out, "%s%llu", i > 0 ? "," : "",
                                    (unsigned long long)sketch->bins[i]));
    }
    return dv_buf_append_byte(out, ']');
}

static dv_result save_cell(const dv_query_measure *measure, const dv_cell *cell, dv_buf *out)
{
    DV_TRY(dv_buf_append_printf(out, "[%llu,%.17g,%.17g,%.17g", (unsigned long long)cell->count,
                                cell->sum, cell->least, cell->most));
    if (measure->function == DV_QUERY_QUANTILE) {
        DV_TRY(save_sketch(&cell->sketch, out));
    }
    return dv_buf_append_byte(out, ']');
}

static dv_result save_group(const dv_aggregate *aggregate, const dv_group *group, dv_buf *out)
{
    if (group->bucket_ms == DV_NO_BUCKET) {
        DV_TRY(dv_buf_append_str(out, "[null,"));
    } else {
        DV_TRY(dv_buf_append_printf(out, "[%lld,", (long long)group->bucket_ms));
    }
    DV_TRY(dv_buf_append(out, group->values));
    DV_TRY(dv_buf_append_str(out, ",["));
    for (size_t i = 0; i < aggregate->stages->measure_count; i++) {
        DV_TRY(dv_buf_append_str(out, i > 0 ? "," : ""));
        DV_TRY(save_cell(&aggregate->stages->measures[i], &group->cells[i], out));
    }
    return dv_buf_append_str(out, "]]");
}

dv_result dv_aggregate_save(const dv_aggregate *aggregate, dv_buf *out)
{
    DV_TRY(dv_buf_append_printf(out, "{\"version\":1,\"others\":%llu,\"groups\":[",
                                (unsigned long long)aggregate->others));
    for (size_t i = 0; i < aggregate->count; i++) {
        DV_TRY(dv_buf_append_str(out, i > 0 ? "," : ""));
        DV_TRY(save_group(aggregate, aggregate->groups[i], out));
    }
    return dv_buf_append_str(out, "]}");
}

/* Reads the state's tokens one behind the other. */
typedef struct loader {
    dv_aggregate *aggregate;
    const dv_json *json;
    uint32_t at;
} loader;

static dv_result open_array(loader *l, uint32_t *ret_end)
{
    if (l->at >= l->json->count || l->json->tokens[l->at].type != DV_JSON_ARRAY) {
        return DV_ERR_INVALID;
    }
    *ret_end = l->json->tokens[l->at].next;
    l->at++;
    return DV_OK;
}

static dv_result load_real(loader *l, double *ret_value)
{
    dv_query_number number;
    if (l->at >= l->json->count || l->json->tokens[l->at].type != DV_JSON_NUMBER ||
        !dv_query_number_read(dv_json_raw(l->json, l->at), &number)) {
        return DV_ERR_INVALID;
    }
    l->at++;
    *ret_value = number.real;
    return DV_OK;
}

static dv_result load_whole(loader *l, int64_t least, int64_t *ret_value)
{
    if (l->at >= l->json->count || dv_json_int(l->json, l->at, ret_value) != DV_OK ||
        *ret_value < least) {
        return DV_ERR_INVALID;
    }
    l->at++;
    return DV_OK;
}

static dv_result load_sketch(loader *l, dv_sketch *sketch)
{
    int64_t zeros, index, times;
    uint32_t end;
    DV_TRY(load_whole(l, 0, &zeros));
    DV_TRY(load_whole(l, INT64_MIN, &index));
    DV_TRY(open_array(l, &end));
    for (; l->at < end; index = index == INT64_MAX ? index : index + 1) {
        DV_TRY(load_whole(l, 0, &times));
        if (times > 0) {
            DV_TRY(dv_sketch_add_bin(sketch, index, (uint64_t)times, l->aggregate->arena));
        }
    }
    sketch->zeros += (uint64_t)zeros;
    sketch->count += (uint64_t)zeros;
    return DV_OK;
}

static dv_result load_cell(loader *l, const dv_query_measure *measure, dv_cell *into)
{
    int64_t count;
    double sum, least, most;
    uint32_t end;
    DV_TRY(open_array(l, &end));
    DV_TRY(load_whole(l, 0, &count));
    DV_TRY(load_real(l, &sum));
    DV_TRY(load_real(l, &least));
    DV_TRY(load_real(l, &most));
    if (measure->function == DV_QUERY_QUANTILE) {
        DV_TRY(load_sketch(l, &into->sketch));
    }
    if (count > 0) {
        into->least = into->count == 0 ? least : fmin(into->least, least);
        into->most = into->count == 0 ? most : fmax(into->most, most);
        into->count += (uint64_t)count;
        into->sum += sum;
    }
    return l->at == end ? DV_OK : DV_ERR_INVALID;
}

static dv_result load_cells(loader *l, dv_group *group)
{
    const dv_query_stages *stages = l->aggregate->stages;
    uint32_t end;
    DV_TRY(open_array(l, &end));
    for (size_t i = 0; i < stages->measure_count; i++) {
        DV_TRY(load_cell(l, &stages->measures[i], &group->cells[i]));
    }
    return l->at == end ? DV_OK : DV_ERR_INVALID;
}

static dv_result load_bucket(loader *l, int64_t *ret_bucket)
{
    if (l->at < l->json->count && l->json->tokens[l->at].type == DV_JSON_NULL) {
        l->at++;
        *ret_bucket = DV_NO_BUCKET;
        return DV_OK;
    }
    return load_whole(l, 0, ret_bucket);
}

/* The events of a group that finds no room: what its first cell counted. */
static dv_result skip_cells(loader *l, uint32_t end)
{
    int64_t count;
    uint32_t inner;
    DV_TRY(open_array(l, &inner));
    DV_TRY(open_array(l, &inner));
    DV_TRY(load_whole(l, 0, &count));
    l->aggregate->others += (uint64_t)count;
    l->at = end;
    return DV_OK;
}

static dv_result load_group(loader *l)
{
    int64_t bucket_ms;
    uint32_t end, values_end, members = 0;
    dv_group *group;
    DV_TRY(open_array(l, &end));
    DV_TRY(load_bucket(l, &bucket_ms));
    if (l->at >= end) {
        return DV_ERR_INVALID;
    }
    dv_slice text = dv_json_raw(l->json, l->at);
    DV_TRY(open_array(l, &values_end));
    for (; l->at < values_end; l->at = l->json->tokens[l->at].next) {
        uint8_t type = l->json->tokens[l->at].type;
        members += type != DV_JSON_ARRAY && type != DV_JSON_OBJECT;
    }
    if (members != l->aggregate->stages->by_count || l->at != values_end) {
        return DV_ERR_INVALID;
    }
    DV_TRY(group_of(l->aggregate, bucket_ms, text, &group));
    DV_TRY(group == NULL ? skip_cells(l, end) : load_cells(l, group));
    return l->at == end ? DV_OK : DV_ERR_INVALID;
}

static dv_result load_state(loader *l)
{
    int64_t version, others;
    uint32_t end;
    uint32_t groups = dv_json_member(l->json, 0, "groups");
    uint32_t at_version = dv_json_member(l->json, 0, "version");
    uint32_t at_others = dv_json_member(l->json, 0, "others");
    if (groups == 0 || dv_json_int(l->json, at_version, &version) != DV_OK || version != 1 ||
        dv_json_int(l->json, at_others, &others) != DV_OK || others < 0) {
        return DV_ERR_INVALID;
    }
    l->aggregate->others += (uint64_t)others;
    l->at = groups;
    DV_TRY(open_array(l, &end));
    while (l->at < end) {
        DV_TRY(load_group(l));
    }
    return DV_OK;
}

dv_result dv_aggregate_merge(dv_aggregate *aggregate, dv_slice state, dv_error *error)
{
    static const dv_json_limits limits = {.depth = 8, .tokens = 1 << 23};
    dv_json json;
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_QUERY_MEMORY);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_json_scan(state, &limits, arena, &json, error));
    loader l = {aggregate, &json, 0};
    dv_result result = load_state(&l);
    return result == DV_OK ? DV_OK
                           : dv_error_set(error, result, "this is no state of such an aggregation");
}
