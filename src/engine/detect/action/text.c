/* SPDX-License-Identifier: Apache-2.0 */
/* Plain text and CSV. */
#include "base/csv.h"
#include "engine/detect/action/batch.h"

enum { RECORD_OUT_MAX = 256 << 20 };

/* -- plain text -------------------------------------------------------------------------------- */

typedef struct writing {
    const dv_transform_setup *setup;
    const dv_transform_sink *sink;
    dv_buf made;
    uint64_t values;
} writing;

static dv_result pass(void *data, dv_slice bytes)
{
    const writing *w = data;
    return w->sink->put(w->sink->data, bytes);
}

static dv_result replace(void *data, dv_slice text, const dv_finding *finding, uint64_t base)
{
    (void)base;
    writing *w = data;
    dv_slice value = dv_slice_sub(text, finding->start, finding->end - finding->start);
    dv_buf_clear(&w->made);
    const dv_transform_seen where = {.table = w->setup->table};
    DV_TRY(dv_batch_apply(w->setup, &where, value, finding, w->setup->subject, &w->made));
    w->values++;
    return w->sink->put(w->sink->data, dv_buf_slice(&w->made));
}

dv_result dv_transform_text(const dv_transform_setup *setup, const dv_walk_source *source,
                            const dv_transform_sink *sink, dv_transform_counts *ret_counts,
                            dv_error *error)
{
    writing w = {.setup = setup, .sink = sink, .made = dv_buf_init(RECORD_OUT_MAX)};
    dv_walk walk = setup->walk;
    walk.arena = dv_arena_new(256 << 20);
    walk.passed = pass;
    walk.value = replace;
    walk.data = &w;
    dv_result result = walk.arena == NULL ? DV_ERR_NO_MEMORY : dv_walk_stream(&walk, source);
    dv_arena_free(walk.arena);
    dv_buf_wipe(&w.made);
    ret_counts->values = w.values;
    ret_counts->records = 0;
    return dv_batch_explain(result, 0, error);
}

/* -- CSV --------------------------------------------------------------------------------------- */

typedef struct table {
    dv_arena *arena;
    dv_column_rule **rules; /* of each column */
    dv_slice *names;
    size_t *subjects; /* index of the column that says whose; SIZE_MAX: none */
    size_t count;
} table;

static dv_result find_subject(const table *t, const dv_column_rule *rule, size_t *ret_index,
                              dv_error *error)
{
    *ret_index = SIZE_MAX;
    if (rule == NULL || rule->subject == NULL) {
        return DV_OK;
    }
    for (size_t i = 0; i < t->count; i++) {
        if (dv_slice_eq_nocase(t->names[i], dv_slice_str(rule->subject))) {
            *ret_index = i;
            return DV_OK;
        }
    }
    return dv_error_set(error, DV_ERR_INVALID, "column '%s' is dated by '%s', which is not there",
                        rule->name, rule->subject);
}

static dv_result read_head(table *t, const dv_csv_record *head, const dv_transform_setup *setup,
                           dv_error *error)
{
    t->count = head->count;
    t->rules = dv_arena_alloc(t->arena, t->count * sizeof(dv_column_rule *));
    t->names = dv_arena_alloc(t->arena, t->count * sizeof(*t->names));
    t->subjects = dv_arena_alloc(t->arena, t->count * sizeof(*t->subjects));
    if (t->rules == NULL || t->names == NULL || t->subjects == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < t->count; i++) {
        DV_TRY(dv_arena_copy(t->arena, dv_slice_trim(head->fields[i].text), &t->names[i]));
        t->rules[i] = dv_action_rules_column(setup->rules, setup->table, t->names[i]);
    }
    for (size_t i = 0; i < t->count; i++) {
        DV_TRY(find_subject(t, t->rules[i], &t->subjects[i], error));
    }
    return dv_batch_check_seen(setup, error);
}

static dv_result add_cells(dv_batch *batch, const table *t, const dv_csv_record *record,
                           dv_error *error)
{
    for (size_t i = 0; i < record->count; i++) {
        bool known = i < t->count; /* a cell too many is searched */
        if (!known && record->fields[i].text.len > 0 && batch->setup->rules->column_count > 0) {
            return dv_error_set_at(error, DV_ERR_INVALID,
                                   (int)DV_MIN(record->line, (uint64_t)INT32_MAX), 0,
                                   "has more cells than the head, so that the rules' columns can't "
                                   "be told: is a quote missing?");
        }
        size_t by = known ? t->subjects[i] : SIZE_MAX;
        dv_slice subject = by < record->count ? record->fields[by].text : batch->setup->subject;
        DV_TRY(dv_batch_add(batch, known ? t->rules[i] : NULL,
                            known ? t->names[i] : (dv_slice){NULL, 0}, record->fields[i].text,
                            subject));
    }
    return dv_batch_search(batch);
}

static dv_result write_record(dv_batch *batch, const dv_csv_record *record, char separator,
                              dv_buf *cell, dv_buf *out)
{
    dv_buf_clear(out);
    for (size_t i = 0; i < record->count; i++) {
        bool changed;
        dv_buf_clear(cell);
        DV_TRY(dv_batch_write(batch, i, cell, &changed));
        DV_TRY(i == 0 ? DV_OK : dv_buf_append_byte(out, (uint8_t)separator));
        DV_TRY(dv_csv_append(out, dv_buf_slice(cell), separator, record->fields[i].quoted));
    }
    return record->ended ? dv_buf_append_str(out, record->crlf ? "\r\n" : "\n") : DV_OK;
}

/* The head's own fields, as they are: names of columns. */
static dv_result write_head(const dv_csv_record *head, const dv_csv *csv, dv_buf *out)
{
    dv_buf_clear(out);
    DV_TRY(dv_csv_has_mark(csv) ? dv_buf_append_str(out, "\xEF\xBB\xBF") : DV_OK);
    for (size_t i = 0; i < head->count; i++) {
        DV_TRY(i == 0 ? DV_OK : dv_buf_append_byte(out, (uint8_t)dv_csv_separator(csv)));
        DV_TRY(dv_csv_append(out, head->fields[i].text, dv_csv_separator(csv),
                             head->fields[i].quoted));
    }
    return head->ended ? dv_buf_append_str(out, head->crlf ? "\r\n" : "\n") : DV_OK;
}

/* Values in the first line: it is no head, and would go out as it is. */
static dv_result check_head(dv_batch *batch, const dv_csv_record *head, dv_error *error)
{
    if (batch->setup->reverse) {
        return DV_OK;
    }
    for (size_t i = 0; i < head->count; i++) {
        DV_TRY(dv_batch_add(batch, NULL, (dv_slice){NULL, 0}, head->fields[i].text,
                            (dv_slice){NULL, 0}));
    }
    DV_TRY(dv_batch_search(batch));
    return batch->found_count == 0
               ? DV_OK
               : dv_error_set_at(error, DV_ERR_INVALID, 1, 0,
                                 "the first line holds values, not names of columns: give the "
                                 "file a head");
}

typedef struct csv_run {
    dv_batch batch;
    dv_csv *csv;
    table table;
    dv_buf cell, out;
} csv_run;

static dv_result run_csv(csv_run *r, const dv_transform_sink *sink, dv_error *error)
{
    dv_csv_record record;
    dv_result result = dv_csv_next(r->csv, &record, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_batch_check_seen(r->batch.setup, error); /* an empty file */
    }
    DV_TRY(result);
    DV_TRY(check_head(&r->batch, &record, error));
    DV_TRY(read_head(&r->table, &record, r->batch.setup, error));
    DV_TRY(write_head(&record, r->csv, &r->out));
    DV_TRY(sink->put(sink->data, dv_buf_slice(&r->out)));
    while ((result = dv_csv_next(r->csv, &record, error)) == DV_OK) {
        dv_batch_clear(&r->batch);
        result = add_cells(&r->batch, &r->table, &record, error);
        if (result == DV_OK) {
            result = write_record(&r->batch, &record, dv_csv_separator(r->csv), &r->cell, &r->out);
        }
        DV_TRY(dv_batch_explain(result, record.line, error));
        DV_TRY(sink->put(sink->data, dv_buf_slice(&r->out)));
        r->batch.counts.records++;
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

dv_result dv_transform_csv(const dv_transform_setup *setup, const dv_walk_source *source,
                           const dv_transform_sink *sink, dv_transform_counts *ret_counts,
                           dv_error *error)
{
    const dv_csv_source bytes = {source->get, source->data};
    csv_run run = {.cell = dv_buf_init(RECORD_OUT_MAX), .out = dv_buf_init(RECORD_OUT_MAX)};
    run.table.arena = dv_arena_new(64 << 20);
    dv_result result = run.table.arena == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    if (result == DV_OK) {
        result = dv_batch_init(&run.batch, setup);
    }
    if (result == DV_OK) {
        result = dv_csv_new(&bytes, setup->separator, &run.csv);
    }
    if (result == DV_OK) {
        result = run_csv(&run, sink, error);
    }
    *ret_counts = run.batch.counts;
    dv_batch_release(&run.batch);
    dv_csv_free(run.csv);
    dv_arena_free(run.table.arena);
    dv_buf_wipe(&run.cell);
    dv_buf_wipe(&run.out);
    return result;
}
