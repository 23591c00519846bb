/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/action/batch.h"
#include "engine/detect/custom.h"

enum { ARENA_MAX = 256 << 20, JOINED_MAX = 64 << 20, PIECE = 64 << 10 };

dv_result dv_batch_init(dv_batch *batch, const dv_transform_setup *setup)
{
    *batch = (dv_batch){.setup = setup, .table = setup->table, .walk = setup->walk};
    batch->joined = dv_buf_init(JOINED_MAX);
    batch->arena = dv_arena_new(ARENA_MAX);
    batch->walk.arena = batch->arena;
    return batch->arena == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

void dv_batch_release(dv_batch *batch)
{
    dv_arena_free(batch->arena);
    dv_buf_wipe(&batch->joined);
    free(batch->cells);
}

void dv_batch_clear(dv_batch *batch)
{
    dv_arena_reset(batch->arena);
    dv_buf_clear(&batch->joined);
    batch->count = 0;
    batch->found = NULL;
    batch->found_count = batch->found_at = 0;
}

static dv_result grow(dv_batch *batch)
{
    size_t room = batch->room == 0 ? 64 : batch->room * 2;
    dv_cell *cells = realloc(batch->cells, room * sizeof(*cells));
    if (cells == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    batch->cells = cells;
    batch->room = room;
    return DV_OK;
}

dv_result dv_batch_add(dv_batch *batch, const dv_column_rule *rule, dv_slice name, dv_slice text,
                       dv_slice subject)
{
    dv_cell cell = {
        .rule = rule, .name = name, .text = text, .subject = subject, .start = SIZE_MAX};
    if (batch->count == batch->room) {
        DV_TRY(grow(batch));
    }
    bool searched = (rule == NULL || rule->detect) && batch->walk.rules != NULL;
    if (searched && text.len > 0) {
        DV_TRY(dv_buf_append(&batch->joined, name));
        DV_TRY(dv_buf_append_byte(&batch->joined, '\0'));
        cell.start = batch->joined.len;
        DV_TRY(dv_buf_append(&batch->joined, text));
        DV_TRY(dv_buf_append_byte(&batch->joined, '\0'));
    }
    batch->cells[batch->count++] = cell;
    return DV_OK;
}

dv_result dv_batch_search(dv_batch *batch)
{
    return batch->joined.len == 0 ? DV_OK
                                  : dv_walk_find(&batch->walk, dv_buf_slice(&batch->joined), 0,
                                                 &batch->found, &batch->found_count);
}

/* What was appended to `out` from `from` on is what the value became. */
static dv_result tell(const dv_transform_setup *setup, dv_transform_seen seen, const dv_buf *out,
                      size_t from)
{
    if (setup->watch == NULL) {
        return DV_OK;
    }
    seen.after = dv_slice_sub(dv_buf_slice(out), from, SIZE_MAX);
    return setup->watch->value(setup->watch->data, &seen);
}

dv_result dv_batch_apply(const dv_transform_setup *setup, const dv_transform_seen *where,
                         dv_slice value, const dv_finding *finding, dv_slice subject, dv_buf *out)
{
    ptrdiff_t index = dv_detect_index(finding->detector);
    ptrdiff_t custom = dv_detect_custom_index(setup->custom, finding->detector);
    const dv_detector_info *info = index >= 0 ? dv_detect_info((size_t)index)
                                   : custom >= 0
                                       ? dv_detect_custom_info(setup->custom, (size_t)custom)
                                       : NULL;
    const dv_action *action = dv_action_rules_for(setup->rules, finding);
    const dv_action_value whole = {
        .text = value,
        .label = info == NULL ? finding->detector : info->label,
        .keep_last = info == NULL ? 0 : info->keep_last,
        .subject = subject,
    };
    size_t from = out->len;
    DV_TRY(dv_action_apply(setup->tools, action, &whole, out));
    const dv_transform_seen seen = {.table = where->table,
                                    .column = where->column,
                                    .kind = finding->detector,
                                    .acted = action->kind != DV_ACT_KEEP,
                                    .before = value};
    return tell(setup, seen, out, from);
}

static dv_result write_searched(dv_batch *batch, const dv_cell *cell, dv_buf *out,
                                bool *ret_changed)
{
    const dv_transform_seen where = {.table = batch->table, .column = cell->name};
    size_t done = 0;
    while (batch->found_at < batch->found_count) {
        const dv_finding *finding = &batch->found[batch->found_at];
        if (finding->end <= cell->start) { /* in the name of a column */
            batch->found_at++;
            continue;
        }
        if (finding->start >= cell->start + cell->text.len) {
            break;
        }
        size_t start = DV_MAX(finding->start, cell->start) - cell->start;
        size_t end = DV_MIN(finding->end - cell->start, cell->text.len);
        DV_TRY(dv_buf_append(out, dv_slice_sub(cell->text, done, start - done)));
        DV_TRY(dv_batch_apply(batch->setup, &where, dv_slice_sub(cell->text, start, end - start),
                              finding, cell->subject, out));
        batch->counts.values++;
        *ret_changed = true;
        done = end;
        if (finding->end > cell->start + cell->text.len) {
            break; /* it reaches into the next cell */
        }
        batch->found_at++;
    }
    return dv_buf_append(out, dv_slice_sub(cell->text, done, SIZE_MAX));
}

/* Undoes what can be undone; what was masked stays masked. */
static dv_result write_reversed(dv_batch *batch, const dv_cell *cell, dv_buf *out,
                                bool *ret_changed)
{
    uint64_t before = batch->counts.values;
    bool undone =
        cell->rule != NULL && !cell->rule->detect &&
        (cell->rule->action.kind == DV_ACT_FPE || cell->rule->action.kind == DV_ACT_DATE_SHIFT);
    if (undone) {
        dv_action action = cell->rule->action;
        const dv_action_value value = {.text = cell->text, .subject = cell->subject};
        action.reverse = true;
        *ret_changed = cell->text.len > 0;
        batch->counts.values += *ret_changed;
        return dv_action_apply(batch->setup->tools, &action, &value, out);
    }
    DV_TRY(dv_batch_open_tokens(batch->setup, cell->text, out, &batch->counts));
    *ret_changed = batch->counts.values > before;
    return DV_OK;
}

static dv_result write_cell(dv_batch *batch, const dv_cell *cell, dv_buf *out, bool *ret_changed)
{
    *ret_changed = false;
    if (batch->setup->reverse) {
        return write_reversed(batch, cell, out, ret_changed);
    }
    if (cell->start != SIZE_MAX) {
        return write_searched(batch, cell, out, ret_changed);
    }
    if (cell->rule == NULL || cell->rule->detect) {
        return dv_buf_append(out, cell->text);
    }
    const dv_action_value value = {
        .text = cell->text,
        .label = cell->rule->label == NULL ? cell->rule->name : cell->rule->label,
        .subject = cell->subject,
    };
    *ret_changed = cell->rule->action.kind != DV_ACT_KEEP;
    batch->counts.values += *ret_changed && cell->text.len > 0;
    return dv_action_apply(batch->setup->tools, &cell->rule->action, &value, out);
}

dv_result dv_batch_write(dv_batch *batch, size_t number, dv_buf *out, bool *ret_changed)
{
    const dv_cell *cell = &batch->cells[number];
    size_t from = out->len;
    DV_TRY(write_cell(batch, cell, out, ret_changed));
    const dv_column_rule *rule = cell->rule;
    const dv_transform_seen seen = {.table = batch->table,
                                    .column = cell->name,
                                    .acted = rule != NULL && !rule->detect &&
                                             rule->action.kind != DV_ACT_KEEP,
                                    .before = cell->text};
    return tell(batch->setup, seen, out, from);
}

dv_result dv_batch_check_seen(const dv_transform_setup *setup, dv_error *error)
{
    const char *name = dv_action_rules_unseen(setup->rules);
    return name == NULL ? DV_OK
                        : dv_error_set(error, DV_ERR_INVALID,
                                       "the rules name a column '%s', and the input has none: "
                                       "mend the name, or say optional: true",
                                       name);
}

dv_result dv_batch_explain(dv_result result, uint64_t line, dv_error *error)
{
    int at = (int)DV_MIN(line, (uint64_t)INT32_MAX);
    if (result == DV_OK || (error != NULL && error->message[0] != '\0')) {
        return result;
    }
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set_at(error, result, at, 0, "the vault does not know a token");
    }
    if (result == DV_ERR_UNSUPPORTED) {
        return dv_error_set_at(error, result, at, 0,
                               "an action needs a key (--key-file) or a vault (--vault)");
    }
    if (result == DV_ERR_TOO_LARGE) {
        return dv_error_set_at(error, result, at, 0, "a record is too large, or holds too much");
    }
    return dv_error_set_at(error, result, at, 0, "%s", dv_result_name(result));
}

/* -- lines ------------------------------------------------------------------------------------- */

void dv_lines_init(dv_lines *lines, const dv_walk_source *source)
{
    *lines = (dv_lines){.source = source};
    lines->bytes = dv_buf_init(DV_TRANSFORM_LINE_MAX + 2 * (size_t)PIECE);
}

void dv_lines_release(dv_lines *lines)
{
    dv_buf_wipe(&lines->bytes);
}

static dv_result fill(dv_lines *lines, dv_error *error)
{
    size_t len = 0;
    size_t kept = lines->bytes.len - lines->at;
    if (kept > DV_TRANSFORM_LINE_MAX) {
        return dv_error_set_at(error, DV_ERR_TOO_LARGE,
                               (int)DV_MIN(lines->number + 1, (uint64_t)INT32_MAX), 0,
                               "is longer than %d MiB", DV_TRANSFORM_LINE_MAX >> 20);
    }
    if (lines->at > 0) {
        memmove(lines->bytes.ptr, lines->bytes.ptr + lines->at, kept);
        lines->bytes.len = kept;
        lines->at = 0;
    }
    DV_TRY(dv_buf_reserve(&lines->bytes, PIECE));
    DV_TRY(lines->source->get(lines->source->data, lines->bytes.ptr + kept, PIECE, &len));
    lines->bytes.len += len;
    lines->ended = len == 0;
    return DV_OK;
}

dv_result dv_lines_next(dv_lines *lines, dv_slice *ret_line, dv_error *error)
{
    size_t looked = 0; /* bytes behind `at` without a line end */
    for (;;) {
        dv_slice rest = dv_slice_sub(dv_buf_slice(&lines->bytes), lines->at, SIZE_MAX);
        ptrdiff_t end = dv_slice_find_byte(dv_slice_sub(rest, looked, SIZE_MAX), '\n');
        if (end >= 0 || (lines->ended && rest.len > 0)) {
            size_t len = end >= 0 ? looked + (size_t)end + 1 : rest.len;
            *ret_line = dv_slice_sub(rest, 0, len);
            lines->at += len;
            lines->number++;
            return DV_OK;
        }
        if (lines->ended) {
            return DV_ERR_NOT_FOUND;
        }
        looked = rest.len;
        DV_TRY(fill(lines, error));
    }
}
