/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/block_values.h"

#include "base/caps.h"
#include "engine/log/block_private.h"
#include "engine/log/query_aggregate_state.h"

#include <stdlib.h>

enum {
    FIELDS_MAX = DV_LIMIT_QUERY_BY + DV_LIMIT_QUERY_MEASURES + 1,
    PLACES_MAX = 32,      /* values of one path in one leaf */
    TEXTS_MAX = 1 << 20,  /* of a block; one with more is left to its events */
    MEMORY_MAX = 1 << 28, /* of one block */
    UUID_TEXT = 36,
};

/* The n-th value that a leaf has in a column. */
typedef struct place {
    uint32_t column, nth;
} place;

typedef struct path_plan {
    const place *places;
    size_t count;
} path_plan;

/* Where a field's values stand in the leaves of one template. */
typedef struct field_plan {
    bool asks; /* the event tells */
    path_plan paths[DV_QUERY_PATHS_MAX];
} field_plan;

/* What values of one column read as in one field, as JSON. */
typedef struct memory {
    dv_slice *texts; /* by number; ptr NULL: not known yet; empty: it is no value */
    dv_slice last_json;
    int64_t last;
    bool has_last;
} memory;

typedef struct column_state {
    const dv_column *column;
    uint32_t *starts; /* of each leaf's values */
    uint8_t personal; /* 0 not asked yet, 1 no, 2 yes */
} column_state;

struct dv_block_values {
    const dv_query_stages *stages;
    const dv_block_opener *opener;
    const dv_query_field *fields[FIELDS_MAX];
    size_t field_count;
    dv_arena *arena, *scratch; /* of the block; of one value */
    dv_buf text;
    dv_block *block;
    const uint32_t *ends;
    const uint8_t *bytes, *uuids;
    field_plan **plans; /* of each template; NULL: not made yet */
    column_state *columns;
    memory **memories; /* field by field, of each column */
    dv_aggregate_row row;
    dv_error *error;
};

/* How a value turned out. */
typedef enum outcome { OUTCOME_NONE, OUTCOME_VALUE, OUTCOME_ASK } outcome;

/* A value as it reads. */
typedef struct scalar {
    dv_json_type type;
    dv_slice text;  /* decoded; of whole numbers none */
    int64_t number; /* of whole numbers */
    bool is_int;
} scalar;

/* -- plans: from fields to slots --------------------------------------------------------------- */

static bool is_personal(dv_block_values *v, uint32_t index)
{
    enum { NO = 1, YES = 2 };
    column_state *state = &v->columns[index];
    if (v->opener == NULL) {
        return false;
    }
    if (state->personal == 0) {
        dv_slice path = dv_block_column_about(v->block, index)->path;
        state->personal = v->opener->is_personal(v->opener->data, path) ? YES : NO;
    }
    return state->personal == YES;
}

static bool is_place(dv_slice segment)
{
    for (size_t i = 0; i < segment.len; i++) {
        if (segment.ptr[i] < '0' || segment.ptr[i] > '9') {
            return false;
        }
    }
    return segment.len > 0;
}

/* The path as a column would have it, lists left out on both sides. */
static dv_slice names_of_path(const dv_query_path *path, char out[DV_BLOCK_PATH_MAX])
{
    size_t len = 0;
    for (size_t i = 0; i < path->count; i++) {
        dv_slice name = path->segments[i];
        if (is_place(name) || len + name.len + 1 > DV_BLOCK_PATH_MAX) {
            continue;
        }
        if (len > 0) {
            out[len++] = DV_PATH_BELOW[0];
        }
        memcpy(out + len, name.ptr, name.len);
        len += name.len;
    }
    return dv_slice_of(out, len);
}

static dv_slice names_of_column(dv_slice path, char out[DV_BLOCK_PATH_MAX])
{
    size_t len = 0;
    for (size_t i = 0; i < path.len && len < DV_BLOCK_PATH_MAX; i++) {
        if (path.ptr[i] != DV_PATH_EACH[0]) {
            out[len++] = (char)path.ptr[i];
        }
    }
    return dv_slice_of(out, len);
}

/* Whether what is sealed in the column may turn out to hold the path: an object above it, or an
 * address that is gone and reads as a name beside it. */
static bool hides(dv_slice column, dv_slice path)
{
    if (path.len > column.len && dv_slice_starts_with(path, column) &&
        path.ptr[column.len] == DV_PATH_BELOW[0]) {
        return true;
    }
    static const char ip[] = DV_PATH_BELOW "ip", name[] = DV_PATH_BELOW "name";
    size_t above = column.len - DV_MIN(column.len, sizeof(ip) - 1);
    return dv_slice_ends_with(column, dv_slice_str(ip)) && path.len > above &&
           dv_slice_eq(dv_slice_sub(column, 0, above), dv_slice_sub(path, 0, above)) &&
           dv_slice_eq(dv_slice_sub(path, above, path.len), dv_slice_str(name));
}

static bool is_hidden(dv_block_values *v, const dv_template *shape, const dv_query_path *path)
{
    char room[DV_BLOCK_PATH_MAX], column_room[DV_BLOCK_PATH_MAX];
    dv_slice names = names_of_path(path, room);
    for (uint32_t i = 0; i < shape->slot_count; i++) {
        uint32_t index = shape->slots[i].column;
        dv_slice column = dv_block_column_about(v->block, index)->path;
        if (shape->slots[i].type == DV_SLOT_TEXT && is_personal(v, index) &&
            hides(names_of_column(column, column_room), names)) {
            return true;
        }
    }
    return false;
}

/* The template's pieces with a value in each slot, and where each begins. */
static dv_result write_skeleton(dv_block_values *v, const dv_template *shape, uint32_t *offsets)
{
    const uint8_t *piece = shape->pieces;
    dv_buf_clear(&v->text);
    for (uint32_t i = 0; i < shape->slot_count; i++) {
        const dv_slot *slot = &shape->slots[i];
        DV_TRY(dv_buf_append(&v->text, dv_slice_of(piece, slot->piece_len)));
        piece += slot->piece_len;
        offsets[i] = (uint32_t)v->text.len;
        bool quoted = slot->type == DV_SLOT_TEXT || slot->type == DV_SLOT_UUID;
        DV_TRY(dv_buf_append_byte(&v->text, quoted ? 'x' : '0'));
    }
    size_t rest = (size_t)(shape->pieces + shape->pieces_len - piece);
    return dv_buf_append(&v->text, dv_slice_of(piece, rest));
}

typedef struct finding {
    const dv_template *shape;
    const uint32_t *offsets;
    place places[PLACES_MAX];
    size_t count;
    bool lost; /* a value that is in no slot, or too many */
} finding;

static bool find_place(void *data, const dv_json *json, uint32_t token)
{
    finding *f = data;
    uint32_t at = 0, nth = 0;
    while (at < f->shape->slot_count && f->offsets[at] != json->tokens[token].start) {
        at++;
    }
    if (at == f->shape->slot_count || f->count == PLACES_MAX) {
        f->lost = true;
        return false;
    }
    for (uint32_t i = 0; i < at; i++) {
        nth += f->shape->slots[i].column == f->shape->slots[at].column;
    }
    f->places[f->count++] = (place){f->shape->slots[at].column, nth};
    return true;
}

static bool has_selector(const dv_query_path *path)
{
    for (size_t i = 0; i < path->count; i++) {
        if (dv_slice_find_byte(path->segments[i], '[') >= 0) {
            return true;
        }
    }
    return false;
}

static dv_result plan_path(dv_block_values *v, const dv_template *shape, const dv_json *json,
                           const uint32_t *offsets, const dv_query_path *path, path_plan *plan,
                           bool *ret_asks)
{
    finding f = {.shape = shape, .offsets = offsets};
    const dv_query_field one = {.paths = path, .path_count = 1};
    *ret_asks = has_selector(path) || is_hidden(v, shape, path);
    if (*ret_asks) {
        return DV_OK;
    }
    (void)dv_query_values(&one, true, json, find_place, &f);
    *ret_asks = f.lost;
    place *places = dv_arena_alloc(v->arena, (f.count + 1) * sizeof(*places));
    if (places == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    memcpy(places, f.places, f.count * sizeof(*places));
    *plan = (path_plan){places, f.count};
    return DV_OK;
}

static dv_result plan_fields(dv_block_values *v, const dv_template *shape, const dv_json *json,
                             const uint32_t *offsets, field_plan *plans)
{
    for (size_t i = 0; i < v->field_count; i++) {
        const dv_query_field *field = v->fields[i];
        for (size_t path = 0; path < field->path_count && !plans[i].asks; path++) {
            DV_TRY(plan_path(v, shape, json, offsets, &field->paths[path], &plans[i].paths[path],
                             &plans[i].asks));
        }
    }
    return DV_OK;
}

/* What is no JSON that we read is no event with fields. */
static dv_result make_plans(dv_block_values *v, const dv_template *shape, field_plan *plans)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH, .tokens = UINT16_MAX};
    uint32_t offsets[DV_BLOCK_SLOTS_MAX];
    dv_json json;
    bool whole = shape->slot_count > DV_BLOCK_SLOTS_MAX ||
                 (shape->slot_count > 0 && shape->slots[0].type == DV_SLOT_WHOLE);
    if (!whole) {
        DV_TRY(write_skeleton(v, shape, offsets));
        dv_arena_reset(v->scratch);
        dv_result result = dv_json_scan(dv_buf_slice(&v->text), &limits, v->scratch, &json, NULL);
        if (result == DV_ERR_NO_MEMORY) {
            return result;
        }
        whole = result != DV_OK;
    }
    for (size_t i = 0; i < v->field_count && whole; i++) {
        plans[i].asks = true;
    }
    return whole ? DV_OK : plan_fields(v, shape, &json, offsets, plans);
}

static dv_result plans_of(dv_block_values *v, uint32_t number, const field_plan **ret_plans)
{
    if (v->plans[number] == NULL) {
        field_plan *plans = dv_arena_alloc(v->arena, (v->field_count + 1) * sizeof(*plans));
        if (plans == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        DV_TRY(make_plans(v, dv_block_template(v->block, number), plans));
        v->plans[number] = plans;
    }
    *ret_plans = v->plans[number];
    return DV_OK;
}

/* -- values ------------------------------------------------------------------------------------ */

static dv_result need_column(dv_block_values *v, uint32_t index)
{
    column_state *state = &v->columns[index];
    uint32_t leaves = dv_block_about(v->block)->leaves;
    if (state->starts != NULL) {
        return DV_OK;
    }
    DV_TRY(dv_block_column(v->block, index, &state->column, v->error));
    uint32_t *starts = dv_arena_alloc_raw(v->arena, leaves * sizeof(*starts));
    if (starts == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t row = 0, at = 0; row < leaves; row++) {
        starts[row] = at;
        while (at < state->column->count && state->column->rows[at] == row) {
            at++;
        }
    }
    state->starts = starts;
    if (state->column->type == DV_SLOT_UUID) {
        return v->uuids != NULL ? DV_OK : dv_block_uuids(v->block, &v->uuids, v->error);
    }
    bool text = state->column->type != DV_SLOT_INT && v->ends == NULL;
    return text ? dv_block_texts(v->block, &v->ends, &v->bytes, v->error) : DV_OK;
}

static dv_json_type word_type(dv_slice raw)
{
    return dv_slice_eq_str(raw, "null")    ? DV_JSON_NULL
           : dv_slice_eq_str(raw, "true")  ? DV_JSON_TRUE
           : dv_slice_eq_str(raw, "false") ? DV_JSON_FALSE
                                           : DV_JSON_NUMBER;
}

static outcome read_string(dv_block_values *v, dv_slice raw, scalar *out)
{
    dv_json_token token = {
        .start = 0, .len = (uint32_t)raw.len, .type = DV_JSON_STRING, .escaped = 1};
    dv_json json = {raw, &token, 1};
    out->type = DV_JSON_STRING;
    out->text = raw;
    if (dv_slice_find_byte(raw, '\\') < 0) {
        return OUTCOME_VALUE;
    }
    dv_arena_reset(v->scratch);
    return dv_json_decode(&json, 0, v->scratch, &out->text) == DV_OK ? OUTCOME_VALUE : OUTCOME_ASK;
}

static outcome read_text(dv_block_values *v, uint32_t index, dv_slice raw, scalar *out)
{
    if (is_personal(v, index) && dv_slice_starts_with(raw, v->opener->mark)) {
        dv_slice path = dv_block_column_about(v->block, index)->path;
        switch (v->opener->open(v->opener->data, path, raw, &out->text, &out->type)) {
        case DV_OPENED_ODD:
            return OUTCOME_ASK;
        case DV_OPENED_VALUE:
            return out->type == DV_JSON_NULL ? OUTCOME_NONE : OUTCOME_VALUE;
        case DV_OPENED_NOT:
            break;
        }
    }
    return read_string(v, raw, out);
}

/* The value of that number in the column. */
static outcome read_value(dv_block_values *v, uint32_t index, int64_t number, scalar *out)
{
    static const scalar nothing = {.type = DV_JSON_NULL};
    const dv_column *column = v->columns[index].column;
    *out = nothing;
    if (column->type == DV_SLOT_INT) {
        out->type = DV_JSON_NUMBER;
        out->number = number;
        out->is_int = true;
        return OUTCOME_VALUE;
    }
    if (column->type == DV_SLOT_UUID) {
        uint8_t text[UUID_TEXT];
        dv_block_uuid_write(v->uuids + number * DV_BLOCK_UUID, text);
        dv_arena_reset(v->scratch);
        out->type = DV_JSON_STRING;
        return dv_arena_copy(v->scratch, dv_slice_of(text, sizeof(text)), &out->text) == DV_OK
                   ? OUTCOME_VALUE
                   : OUTCOME_ASK;
    }
    uint32_t start = number == 0 ? 0 : v->ends[number - 1];
    dv_slice raw = dv_slice_of(v->bytes + start, v->ends[number] - start);
    if (column->type == DV_SLOT_TEXT) {
        return read_text(v, index, raw, out);
    }
    out->type = word_type(raw);
    out->text = raw;
    return out->type == DV_JSON_NULL ? OUTCOME_NONE : OUTCOME_VALUE;
}

/* -- what is grouped by ------------------------------------------------------------------------ */

/* Instead of a text: the event has to be asked. */
static const uint8_t ask_mark[] = "?";
static const uint8_t none_mark[] = "";

static dv_result write_json(dv_block_values *v, size_t field, uint32_t index, int64_t number,
                            dv_slice *ret_json)
{
    scalar value;
    char digits[24];
    switch (read_value(v, index, number, &value)) {
    case OUTCOME_ASK:
        *ret_json = dv_slice_of(ask_mark, 1);
        return DV_OK;
    case OUTCOME_NONE:
        *ret_json = dv_slice_of(none_mark, 0);
        return DV_OK;
    default:
        break;
    }
    if (value.is_int) {
        int len = snprintf(digits, sizeof(digits), "%lld", (long long)value.number);
        value.text = dv_slice_of(digits, (size_t)len);
    }
    dv_buf_clear(&v->text);
    DV_TRY(dv_aggregate_value_write(v->fields[field], value.text, value.type, &v->text));
    return dv_arena_copy(v->arena, dv_buf_slice(&v->text), ret_json);
}

static dv_result memory_of(dv_block_values *v, size_t field, uint32_t index, memory **ret_memory)
{
    const dv_block_info *info = dv_block_about(v->block);
    memory **at = &v->memories[field * info->columns + index];
    if (*at == NULL) {
        dv_slot_type type = v->columns[index].column->type;
        bool texts = type == DV_SLOT_TEXT || type == DV_SLOT_WORD;
        memory *made = dv_arena_alloc(v->arena, sizeof(*made));
        if (made != NULL && texts) {
            made->texts = dv_arena_alloc(v->arena, info->texts * sizeof(*made->texts));
        }
        if (made == NULL || (texts && made->texts == NULL)) {
            return DV_ERR_NO_MEMORY;
        }
        *at = made;
    }
    *ret_memory = *at;
    return DV_OK;
}

/* The value as JSON: written once for each text, and once for numbers that follow each other. */
static dv_result json_of(dv_block_values *v, size_t field, uint32_t index, int64_t number,
                         dv_slice *ret_json)
{
    memory *m;
    DV_TRY(memory_of(v, field, index, &m));
    if (m->texts != NULL) {
        if (m->texts[number].ptr == NULL) {
            DV_TRY(write_json(v, field, index, number, &m->texts[number]));
        }
        *ret_json = m->texts[number];
        return DV_OK;
    }
    if (!m->has_last || m->last != number) {
        DV_TRY(write_json(v, field, index, number, &m->last_json));
        m->last = number;
        m->has_last = true;
    }
    *ret_json = m->last_json;
    return DV_OK;
}

/* What is done with each value of a field: ends when it returns false. */
typedef struct taking {
    dv_block_values *v;
    size_t field;
    dv_aggregate_values *values;   /* of a field that is grouped by */
    dv_aggregate_numbers *numbers; /* of one that is measured */
    int64_t time;
    bool asks, ends;
} taking;

static dv_result take_json(taking *t, uint32_t index, int64_t number, bool *ret_seen)
{
    dv_slice json;
    DV_TRY(json_of(t->v, t->field, index, number, &json));
    t->asks = json.ptr == ask_mark;
    if (!t->asks && json.len > 0) {
        *ret_seen = true;
        t->ends = !dv_aggregate_value_add(t->values, json);
    }
    return DV_OK;
}

static dv_result add_number(taking *t, double real)
{
    enum { FIRST = 8 };
    dv_aggregate_numbers *numbers = t->numbers;
    double *list = dv_arena_grow(t->v->arena, numbers->list, numbers->count, &numbers->capacity,
                                 sizeof(*list), FIRST);
    if (list == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    numbers->list = list;
    list[numbers->count++] = real;
    return DV_OK;
}

static dv_result take_number(taking *t, uint32_t index, int64_t number, bool *ret_seen)
{
    scalar value;
    dv_query_number read = {.whole = number, .real = (double)number, .is_whole = true};
    outcome how = read_value(t->v, index, number, &value);
    t->asks = how == OUTCOME_ASK;
    if (how != OUTCOME_VALUE) {
        return DV_OK;
    }
    *ret_seen = true;
    bool is_number =
        value.is_int || (value.type == DV_JSON_NUMBER && dv_query_number_read(value.text, &read));
    if (t->numbers != NULL) {
        return is_number ? add_number(t, read.real) : DV_OK;
    }
    t->time = is_number && read.is_whole ? read.whole : -1;
    t->ends = true; /* the first one holds */
    return DV_OK;
}

static dv_result take_path(taking *t, const path_plan *plan, uint32_t row, bool *ret_seen)
{
    *ret_seen = false;
    for (size_t i = 0; i < plan->count && !t->asks && !t->ends; i++) {
        const place *at = &plan->places[i];
        DV_TRY(need_column(t->v, at->column));
        const column_state *state = &t->v->columns[at->column];
        int64_t number = state->column->values[state->starts[row] + at->nth];
        DV_TRY(t->values != NULL ? take_json(t, at->column, number, ret_seen)
                                 : take_number(t, at->column, number, ret_seen));
    }
    return DV_OK;
}

/* The values of the first path that has some. */
static dv_result take_field(taking *t, const field_plan *plan, uint32_t row)
{
    bool seen = false;
    t->asks = plan->asks;
    for (size_t i = 0; i < t->v->fields[t->field]->path_count && !seen && !t->asks && !t->ends;
         i++) {
        DV_TRY(take_path(t, &plan->paths[i], row, &seen));
    }
    return DV_OK;
}

/* -- one leaf ---------------------------------------------------------------------------------- */

static dv_result take_fields(dv_block_values *v, const field_plan *plans, uint32_t row,
                             bool *ret_known)
{
    const dv_query_stages *stages = v->stages;
    size_t field = 0;
    *ret_known = false;
    for (size_t i = 0; i < stages->by_count; i++, field++) {
        v->row.by[i].count = 0;
        taking t = {.v = v, .field = field, .values = &v->row.by[i]};
        DV_TRY(take_field(&t, &plans[field], row));
        if (t.asks) {
            return DV_OK;
        }
    }
    for (size_t i = 0; i < stages->measure_count; i++) {
        v->row.measures[i].count = 0;
        if (stages->measures[i].field == NULL) {
            continue;
        }
        taking t = {.v = v, .field = field, .numbers = &v->row.measures[i]};
        DV_TRY(take_field(&t, &plans[field], row));
        field++;
        if (t.asks) {
            return DV_OK;
        }
    }
    taking t = {.v = v, .field = field, .time = -1};
    if (stages->over_ms != 0) {
        DV_TRY(take_field(&t, &plans[field], row));
    }
    v->row.bucket_ms = dv_aggregate_bucket(stages, t.time);
    *ret_known = !t.asks;
    return DV_OK;
}

dv_result dv_block_values_add(dv_block_values *values, uint32_t row, dv_aggregate *aggregate,
                              bool *ret_added, dv_error *error)
{
    const field_plan *plans;
    *ret_added = false;
    values->error = error;
    if (values->plans == NULL) {
        return DV_OK;
    }
    DV_TRY(plans_of(values, dv_block_template_of(values->block, row), &plans));
    DV_TRY(take_fields(values, plans, row, ret_added));
    return *ret_added ? dv_aggregate_add_row(aggregate, &values->row) : DV_OK;
}

/* -- the block --------------------------------------------------------------------------------- */

dv_result dv_block_values_begin(dv_block_values *values, dv_block *block)
{
    const dv_block_info *info = dv_block_about(block);
    dv_arena_recycle(values->arena);
    memset(values->row.measures, 0, sizeof(values->row.measures)); /* lists of the last block */
    values->block = block;
    values->ends = NULL;
    values->uuids = NULL;
    values->plans = NULL;
    if (info->texts > TEXTS_MAX) {
        return DV_OK;
    }
    values->columns = dv_arena_alloc(values->arena, (info->columns + 1) * sizeof(column_state));
    values->memories = dv_arena_alloc(values->arena, (values->field_count * info->columns + 1) *
                                                         sizeof(*values->memories));
    field_plan **plans = dv_arena_alloc(values->arena, (info->templates + 1) * sizeof(*plans));
    if (values->columns == NULL || values->memories == NULL || plans == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    values->plans = plans;
    return DV_OK;
}

dv_result dv_block_values_new(const dv_query *query, const dv_block_opener *opener,
                              dv_block_values **ret_values)
{
    enum { SCRATCH = 16 << 20, TEXT = 1 << 20 };
    dv_block_values *values = calloc(1, sizeof(*values));
    if (values == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    values->stages = &query->stages;
    values->opener = opener;
    values->text = dv_buf_init(TEXT);
    for (size_t i = 0; i < query->stages.by_count; i++) {
        values->fields[values->field_count++] = query->stages.by[i];
    }
    for (size_t i = 0; i < query->stages.measure_count; i++) {
        if (query->stages.measures[i].field != NULL) {
            values->fields[values->field_count++] = query->stages.measures[i].field;
        }
    }
    if (query->stages.over_ms != 0) {
        values->fields[values->field_count++] = dv_aggregate_time_field();
    }
    values->arena = dv_arena_new(MEMORY_MAX);
    values->scratch = dv_arena_new(SCRATCH);
    if (values->arena == NULL || values->scratch == NULL) {
        dv_block_values_free(values);
        return DV_ERR_NO_MEMORY;
    }
    *ret_values = values;
    return DV_OK;
}

void dv_block_values_free(dv_block_values *values)
{
    if (values != NULL) {
        dv_arena_free(values->arena);
        dv_arena_free(values->scratch);
        dv_buf_wipe(&values->text);
        free(values);
    }
}
