/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of JSON: what is not changed keeps its bytes. */
#include "base/json.h"
#include "base/caps.h"
#include "engine/detect/action/batch.h"

enum { OUT_MAX = 256 << 20 };

typedef struct place {
    uint32_t token;
    size_t cell;
} place;

typedef struct json_run {
    dv_batch batch;
    dv_arena *arena; /* of one line */
    dv_json json;
    dv_buf path, cell, out;
    place *places;
    size_t count, room;
} json_run;

/* -- which values ------------------------------------------------------------------------------ */

static dv_result add(json_run *r, uint32_t token, const dv_column_rule *rule, dv_slice name,
                     dv_slice text)
{
    if (r->count == r->room) {
        r->places = dv_arena_grow(r->arena, r->places, r->count, &r->room, sizeof(*r->places), 64);
        if (r->places == NULL) {
            return DV_ERR_NO_MEMORY;
        }
    }
    r->places[r->count++] = (place){token, r->batch.count};
    return dv_batch_add(&r->batch, rule, name, text, r->batch.setup->subject);
}

/* A name with dots and brackets in it ("user.email", "email[]") is taken for the path that it looks
 * like: whoever reads a list of paths can't tell one from the other. */
static dv_result rule_like(json_run *r, const dv_column_rule **ret_rule)
{
    const dv_action_rules *rules = r->batch.setup->rules;
    dv_slice path = dv_buf_slice(&r->path);
    uint8_t *plain = dv_arena_alloc(r->arena, path.len + 1);
    size_t len = 0, last = 0;
    if (plain == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] != '[' && path.ptr[i] != ']') {
            plain[len++] = path.ptr[i];
            last = path.ptr[i] == '.' ? len : last;
        }
    }
    path = dv_slice_of(plain, len);
    *ret_rule = dv_action_rules_column(rules, r->batch.setup->table, path);
    if (*ret_rule == NULL) {
        *ret_rule = dv_action_rules_column(rules, r->batch.setup->table,
                                           dv_slice_sub(path, last, SIZE_MAX));
    }
    return DV_OK;
}

/* The rule for a member: by its path ("user.email"), by its name, or that of what it lies in. */
static dv_result rule_of(json_run *r, dv_slice name, const dv_column_rule *outer,
                         const dv_column_rule **ret_rule)
{
    const dv_action_rules *rules = r->batch.setup->rules;
    const dv_column_rule *rule =
        dv_action_rules_column(rules, r->batch.setup->table, dv_buf_slice(&r->path));
    bool looks = dv_slice_find_byte(name, '.') >= 0 || dv_slice_find_byte(name, '[') >= 0 ||
                 dv_slice_find_byte(name, ']') >= 0;
    if (rule == NULL) {
        rule = dv_action_rules_column(rules, r->batch.setup->table, name);
    }
    if (rule == NULL && looks) {
        DV_TRY(rule_like(r, &rule));
    }
    *ret_rule = rule == NULL ? outer : rule;
    return DV_OK;
}

static dv_result visit(json_run *r, uint32_t token, const dv_column_rule *rule, dv_slice name);

static dv_result visit_members(json_run *r, uint32_t object, const dv_column_rule *outer)
{
    for (uint32_t at = object + 1; at < r->json.tokens[object].next;) {
        dv_slice name;
        const dv_column_rule *rule = NULL;
        size_t before = r->path.len;
        DV_TRY(dv_json_string(&r->json, at, r->arena, &name));
        DV_TRY(add(r, at, NULL, (dv_slice){NULL, 0}, name)); /* names may be values, too */
        DV_TRY(before == 0 ? DV_OK : dv_buf_append_byte(&r->path, '.'));
        DV_TRY(dv_buf_append(&r->path, name));
        DV_TRY(rule_of(r, name, outer, &rule));
        DV_TRY(visit(r, at + 1, rule, name));
        r->path.len = before;
        at = r->json.tokens[at + 1].next;
    }
    return DV_OK;
}

/* Depth is bounded by the scan of the text. */
static dv_result visit(json_run *r, uint32_t token, const dv_column_rule *rule, dv_slice name)
{
    const dv_json_token *t = &r->json.tokens[token];
    dv_slice text = dv_json_raw(&r->json, token);
    switch (t->type) {
    case DV_JSON_OBJECT:
        return visit_members(r, token, rule);
    case DV_JSON_ARRAY:
        for (uint32_t at = token + 1; at < t->next; at = r->json.tokens[at].next) {
            DV_TRY(visit(r, at, rule, name));
        }
        return DV_OK;
    case DV_JSON_NULL:
        return DV_OK;
    case DV_JSON_STRING:
        DV_TRY(dv_json_string(&r->json, token, r->arena, &text));
        return add(r, token, rule, name, text);
    case DV_JSON_TRUE:
    case DV_JSON_FALSE:
        return rule == NULL || rule->detect ? DV_OK : add(r, token, rule, name, text);
    default:
        return add(r, token, rule, name, text);
    }
}

/* -- writing ----------------------------------------------------------------------------------- */

static bool is_number(dv_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
    }
    return text.len > 0 && text.len < 16 && (text.len == 1 || text.ptr[0] != '0');
}

static dv_result write_value(json_run *r, const place *at, dv_buf *out, size_t *done)
{
    const dv_json_token *t = &r->json.tokens[at->token];
    bool text = t->type == DV_JSON_STRING || t->type == DV_JSON_KEY;
    bool changed;
    dv_buf_clear(&r->cell);
    DV_TRY(dv_batch_write(&r->batch, at->cell, &r->cell, &changed));
    if (!changed) {
        return DV_OK;
    }
    const dv_column_rule *rule = r->batch.cells[at->cell].rule;
    bool removed = rule != NULL && !rule->detect && rule->action.kind == DV_ACT_REMOVE;
    size_t start = t->start - (text ? 1u : 0u);
    size_t end = (size_t)t->start + t->len + (text ? 1u : 0u);
    DV_TRY(dv_buf_append(out, dv_slice_sub(r->json.text, *done, start - *done)));
    *done = end;
    if (removed) {
        return dv_buf_append_str(out, "null");
    }
    if (t->type == DV_JSON_NUMBER && is_number(dv_buf_slice(&r->cell))) {
        return dv_buf_append(out, dv_buf_slice(&r->cell));
    }
    return dv_buf_append_json_string(out, dv_buf_slice(&r->cell));
}

static dv_result transform_line(json_run *r, dv_slice line, dv_error *error)
{
    const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH, .tokens = DV_LIMIT_JSON_TOKENS};
    size_t done = 0;
    dv_arena_reset(r->arena);
    dv_batch_clear(&r->batch);
    dv_buf_clear(&r->path);
    dv_buf_clear(&r->out);
    r->places = NULL;
    r->count = r->room = 0;
    DV_TRY(dv_json_scan(line, &limits, r->arena, &r->json, error));
    DV_TRY(visit(r, 0, NULL, (dv_slice){NULL, 0}));
    DV_TRY(dv_batch_search(&r->batch));
    for (size_t i = 0; i < r->count; i++) {
        DV_TRY(write_value(r, &r->places[i], &r->out, &done));
    }
    return dv_buf_append(&r->out, dv_slice_sub(line, done, SIZE_MAX));
}

/* A subject is a column; which member of which object it would be, nothing says. */
static dv_result check_rules(const dv_action_rules *rules, dv_error *error)
{
    for (size_t i = 0; i < rules->column_count; i++) {
        if (rules->columns[i].subject != NULL) {
            return dv_error_set(error, DV_ERR_INVALID,
                                "column '%s' has a subject, and JSON has no columns: leave it out "
                                "and say with --subject whose file it is",
                                rules->columns[i].name);
        }
    }
    return DV_OK;
}

static dv_result run_json(json_run *r, dv_lines *lines, const dv_transform_sink *sink,
                          dv_error *error)
{
    dv_slice line;
    dv_result result;
    DV_TRY(check_rules(r->batch.setup->rules, error));
    while ((result = dv_lines_next(lines, &line, error)) == DV_OK) {
        if (dv_slice_trim(line).len == 0) {
            DV_TRY(sink->put(sink->data, line));
            continue;
        }
        result = transform_line(r, line, error);
        if (result != DV_OK && error != NULL) {
            error->line = (int)DV_MIN(lines->number, (uint64_t)INT32_MAX);
        }
        DV_TRY(dv_batch_explain(result, lines->number, error));
        DV_TRY(sink->put(sink->data, dv_buf_slice(&r->out)));
        r->batch.counts.records++;
    }
    return result == DV_ERR_NOT_FOUND ? dv_batch_check_seen(r->batch.setup, error) : result;
}

dv_result dv_transform_json(const dv_transform_setup *setup, const dv_walk_source *source,
                            const dv_transform_sink *sink, dv_transform_counts *ret_counts,
                            dv_error *error)
{
    json_run run = {.path = dv_buf_init(1 << 20),
                    .cell = dv_buf_init(OUT_MAX),
                    .out = dv_buf_init(OUT_MAX),
                    .arena = dv_arena_new(OUT_MAX)};
    dv_auto(lines) dv_lines lines;
    dv_lines_init(&lines, source);
    dv_result result = run.arena == NULL ? DV_ERR_NO_MEMORY : dv_batch_init(&run.batch, setup);
    if (result == DV_OK) {
        result = run_json(&run, &lines, sink, error);
    }
    *ret_counts = run.batch.counts;
    dv_batch_release(&run.batch);
    dv_arena_free(run.arena);
    dv_buf_wipe(&run.path);
    dv_buf_wipe(&run.cell);
    dv_buf_wipe(&run.out);
    return result;
}
