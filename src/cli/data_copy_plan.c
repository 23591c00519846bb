/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/data_copy_plan.h"

#include "base/csv.h"
#include "cli/data_asset.h"
#include "cli/data_read.h"
#include "cli/data_tools.h"
#include "engine/detect/detect.h"
#include "engine/scan/postgres.h"
#include "engine/scan/postgres_copy.h"

#include <sys/stat.h>

enum {
    ARENA_MAX = 512 << 20,
    ACCEPTED_MAX = 1000,
    LEAST_CONFIDENCE = 50,
    DAY_SECONDS = 86400,
};

typedef struct planned {
    const char *place;  /* "schema.table", a file */
    const char *column; /* "": all of it */
    dv_data_level level;
    dv_copy_state state;
    const char *why;
    const char *rule;      /* the action of the rule, or NULL */
    const char *suggested; /* or NULL */
    struct planned *next;
} planned;

/* How the copy finds the rule for what the scan calls a column. */
typedef enum naming {
    NAMED_COLUMNS, /* by its very name, as tables do */
    NAMED_MEMBERS, /* by its path or last name, as JSON does */
    NAMED_NOTHING, /* by its ending it is read as something else than it is: not at all */
} naming;

typedef struct computed {
    const char *relation, *column;
    struct computed *next;
} computed;

typedef struct accepted {
    dv_slice name;
    bool seen;
} accepted;

struct dv_copy_plan {
    dv_arena *arena;   /* of the plan */
    dv_arena *scratch; /* of one item */
    dv_action_rules *rules;
    dv_data_rules classes;
    dv_data_finder *finder;
    dv_detector_set enabled;
    bool names;
    bool database;
    accepted *accepted;
    size_t accepted_count;
    computed *computed;
    const char *source;
    bool folder;   /* the source is one */
    naming naming; /* of the item under way */
    dv_copy_item *items;
    size_t item_count, item_room;
    planned *first, **last;
    size_t refused;
};

/* ---- what is accepted ---- */

static dv_result read_accepted(dv_copy_plan *plan, const char *accept)
{
    dv_slice rest = accept == NULL ? (dv_slice){NULL, 0} : dv_slice_str(accept), part;
    plan->accepted = dv_arena_alloc(plan->arena, ACCEPTED_MAX * sizeof(*plan->accepted));
    if (plan->accepted == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    while (rest.len > 0 && dv_slice_split(&rest, ',', &part)) {
        if (plan->accepted_count == ACCEPTED_MAX) {
            return DV_ERR_TOO_LARGE;
        }
        DV_TRY(dv_arena_copy(plan->arena, dv_slice_trim(part),
                             &plan->accepted[plan->accepted_count++].name));
    }
    return DV_OK;
}

/* "public.person" and "email" as "public.person.email". */
static bool is_joined(dv_slice name, dv_slice table, dv_slice column)
{
    return name.len == table.len + 1 + column.len && name.ptr[table.len] == '.' &&
           dv_slice_eq_nocase(dv_slice_sub(name, 0, table.len), table) &&
           dv_slice_eq_nocase(dv_slice_sub(name, table.len + 1, SIZE_MAX), column);
}

/* "person" of "public.person"; of a file itself. */
static dv_slice without_schema(const dv_copy_plan *plan, dv_slice table)
{
    ptrdiff_t dot = plan->database ? dv_slice_find_byte(table, '.') : -1;
    return dot < 0 ? table : dv_slice_sub(table, (size_t)dot + 1, SIZE_MAX);
}

bool dv_copy_plan_accepts(const dv_copy_plan *plan, dv_slice table, dv_slice column)
{
    for (size_t i = 0; i < plan->accepted_count; i++) {
        dv_slice name = plan->accepted[i].name;
        bool whole = dv_slice_eq(name, table);
        bool one =
            column.len > 0 && (dv_slice_eq_nocase(name, column) || is_joined(name, table, column) ||
                               is_joined(name, without_schema(plan, table), column));
        if (whole || one) {
            plan->accepted[i].seen = true;
            return true;
        }
    }
    return false;
}

const char *dv_copy_plan_unknown(const dv_copy_plan *plan)
{
    for (size_t i = 0; i < plan->accepted_count; i++) {
        if (!plan->accepted[i].seen) {
            return (const char *)plan->accepted[i].name.ptr;
        }
    }
    return NULL;
}

/* ---- one column ---- */

static const char *copy_text(dv_copy_plan *plan, const char *text)
{
    dv_slice copy;
    return dv_arena_copy(plan->arena, dv_slice_str(text), &copy) == DV_OK ? (const char *)copy.ptr
                                                                          : NULL;
}

static dv_result add(dv_copy_plan *plan, planned row)
{
    planned *kept = dv_arena_alloc(plan->arena, sizeof(*kept));
    if (kept == NULL || row.place == NULL || row.column == NULL || row.why == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *kept = row;
    *plan->last = kept;
    plan->last = &kept->next;
    plan->refused += row.state == DV_COPY_OPEN || row.state == DV_COPY_UNREAD;
    return DV_OK;
}

/* A rule that keeps the data usable where one is known for its kind. */
static const char *suggest(const dv_data_part *part, const dv_data_class *class)
{
    static const char *const known[][2] = {
        {"email", "{action: pseudonym, type: email}"},
        {"payment_card", "{action: fpe, keep_first: 6, keep_last: 4, luhn: true}"},
        {"date_of_birth", "date_shift"},
    };
    const dv_data_tally *most = NULL;
    for (size_t i = 0; i < part->count; i++) {
        most = most == NULL || part->tallies[i].values > most->values ? &part->tallies[i] : most;
    }
    for (size_t i = 0; most != NULL && i < DV_ARRAY_LEN(known); i++) {
        if (strcmp(dv_data_kind_id(most->kind), known[i][0]) == 0) {
            return known[i][1];
        }
    }
    const char *category = class->count > 0 ? class->reasons[0].rule->category : "";
    return strcmp(category, "credential") == 0 ? "redact" : "pseudonym";
}

/* Whether a search hides values of that kind. A kind that the rules keep is not searched for. */
static bool is_hidden(const dv_copy_plan *plan, size_t kind)
{
    return kind < dv_detect_count() ? dv_detector_set_has(&plan->enabled, kind) : plan->names;
}

/* Whether a search would leave what makes the place sensitive: the kinds that are not searched for
 * do so by themselves, or there is nothing but its name. */
static dv_result is_left(dv_copy_plan *plan, const dv_data_part *part, bool *ret_left)
{
    dv_data_part rest = *part;
    dv_data_class class;
    const dv_data_part *const parts = &rest;
    rest.words = "";
    rest.count = 0;
    rest.tallies = dv_arena_alloc(plan->scratch, (part->count + 1) * sizeof(*rest.tallies));
    if (rest.tallies == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < part->count; i++) {
        if (!is_hidden(plan, part->tallies[i].kind)) {
            rest.tallies[rest.count++] = part->tallies[i];
        }
    }
    DV_TRY(dv_data_classify(&plan->classes, &parts, 1, LEAST_CONFIDENCE, plan->scratch, &class));
    *ret_left = class.sensitivity >= DV_DATA_CONFIDENTIAL || rest.count == part->count;
    return DV_OK;
}

static dv_copy_state state_of(const dv_copy_plan *plan, const planned *row,
                              const dv_column_rule *rule, bool left)
{
    if (rule != NULL && rule->detect && !left) {
        return DV_COPY_SEARCHED;
    }
    if (rule != NULL && !rule->detect && rule->action.kind != DV_ACT_KEEP) {
        return DV_COPY_HIDDEN;
    }
    return dv_copy_plan_accepts(plan, dv_slice_str(row->place), dv_slice_str(row->column))
               ? DV_COPY_ACCEPTED
               : DV_COPY_OPEN;
}

/* "users.email" of "users[].email", as rules name it. */
static const char *rule_path(dv_arena *arena, const char *field)
{
    dv_slice copy;
    if (dv_arena_copy(arena, dv_slice_str(field), &copy) != DV_OK) {
        return NULL;
    }
    char *to = (char *)(uintptr_t)copy.ptr;
    for (const char *from = field; *from != '\0'; from++) {
        if (*from != '[' && *from != ']') {
            *to++ = *from;
        }
    }
    *to = '\0';
    return (const char *)copy.ptr;
}

/* What files are called in rules: "people" of "hr/people.csv". */
static dv_slice rule_table(const dv_copy_plan *plan, const char *place)
{
    return plan->database ? without_schema(plan, dv_slice_str(place)) : dv_data_table_name(place);
}

static const dv_column_rule *find_rule(const dv_copy_plan *plan, const char *place,
                                       const char *path)
{
    dv_slice table = rule_table(plan, place);
    if (plan->naming == NAMED_NOTHING) {
        return NULL;
    }
    const dv_column_rule *rule = dv_action_rules_column(plan->rules, table, dv_slice_str(path));
    const char *dot = plan->naming == NAMED_MEMBERS ? strrchr(path, '.') : NULL;
    return rule != NULL || dot == NULL
               ? rule
               : dv_action_rules_column(plan->rules, table, dv_slice_str(dot + 1));
}

static bool is_computed(const dv_copy_plan *plan, const char *relation, const char *column)
{
    for (const computed *c = plan->computed; c != NULL; c = c->next) {
        if (strcmp(c->relation, relation) == 0 &&
            (c->column[0] == '\0' || strcmp(c->column, column) == 0)) {
            return true;
        }
    }
    return false;
}

static dv_result plan_column(dv_copy_plan *plan, const char *place, const dv_data_part *part)
{
    dv_data_class class;
    const char *path =
        plan->naming == NAMED_MEMBERS ? rule_path(plan->scratch, part->name) : part->name;
    if (path == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    /* A column that is not sensitive may be accepted, too, for what leaks into it. */
    (void)dv_copy_plan_accepts(plan, dv_slice_str(place), dv_slice_str(path));
    DV_TRY(dv_data_classify(&plan->classes, &part, 1, LEAST_CONFIDENCE, plan->scratch, &class));
    if (class.sensitivity < DV_DATA_CONFIDENTIAL || is_computed(plan, place, part->name)) {
        return DV_OK;
    }
    const dv_column_rule *rule = find_rule(plan, place, path);
    const char *why =
        class.count > 0 && class.reasons[0].why_count > 0 ? class.reasons[0].whys[0] : "its name";
    planned row = {.place = copy_text(plan, place),
                   .column = copy_text(plan, path),
                   .level = class.sensitivity,
                   .why = copy_text(plan, why),
                   .rule = rule == NULL   ? NULL
                           : rule->detect ? "detect"
                                          : dv_action_kind_name(rule->action.kind)};
    if (row.place == NULL || row.column == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    bool left = false;
    DV_TRY(is_left(plan, part, &left));
    row.state = state_of(plan, &row, rule, left);
    row.suggested = row.state == DV_COPY_OPEN ? suggest(part, &class) : NULL;
    return add(plan, row);
}

/* A text has no columns: what the search leaves in it is refused with the whole file. */
static dv_result plan_text(dv_copy_plan *plan, const char *place, const dv_data_part *part)
{
    static const char why[] = "holds values that are not searched for: name their kinds under "
                              "detectors:, or --all";
    bool left = false;
    dv_data_class class;
    DV_TRY(is_left(plan, part, &left));
    DV_TRY(dv_data_classify(&plan->classes, &part, 1, LEAST_CONFIDENCE, plan->scratch, &class));
    if (!left || class.sensitivity < DV_DATA_CONFIDENTIAL) {
        return DV_OK;
    }
    return add(plan, (planned){.place = copy_text(plan, place),
                               .column = "",
                               .level = class.sensitivity,
                               .why = why,
                               .state = DV_COPY_OPEN});
}

/* ---- one file or table ---- */

static bool is_copied(dv_scan_kind kind)
{
    return kind == DV_SCAN_EMPTY || kind == DV_SCAN_TEXT || kind == DV_SCAN_CSV ||
           kind == DV_SCAN_JSON || kind == DV_SCAN_JSON_LINES || kind == DV_SCAN_TABLE ||
           kind == DV_SCAN_VIEW;
}

/* As the copy reads it: by its ending, else by what it is. */
static naming naming_of(const dv_copy_plan *plan, const dv_scan_item *item)
{
    bool csv = item->kind == DV_SCAN_CSV;
    bool json = item->kind == DV_SCAN_JSON || item->kind == DV_SCAN_JSON_LINES;
    dv_transform_run run = plan->database ? NULL : dv_data_run_for(dv_data_ending(item->name));
    if (plan->database || (csv && (run == NULL || run == dv_transform_csv))) {
        return NAMED_COLUMNS;
    }
    return json && (run == NULL || run == dv_transform_json) ? NAMED_MEMBERS : NAMED_NOTHING;
}

static dv_result plan_whole(dv_copy_plan *plan, const dv_scan_item *item, bool *ret_accepted)
{
    char kind[DV_SCAN_PROBLEM_MAX];
    (void)snprintf(kind, sizeof(kind), "can't be masked: it is of the kind %s",
                   dv_scan_kind_name(item->kind));
    /* Of a table a sample is enough to tell what its columns hold: the copy itself reads all. */
    bool sampled = plan->database && item->rows > 0;
    const char *why = !is_copied(item->kind) ? kind : sampled ? "" : item->problem;
    *ret_accepted = dv_copy_plan_accepts(plan, dv_slice_str(item->name), (dv_slice){NULL, 0});
    if (why[0] == '\0') {
        return DV_OK;
    }
    return add(plan, (planned){.place = copy_text(plan, item->name),
                               .column = "",
                               .level = DV_DATA_INTERNAL,
                               .why = copy_text(plan, why),
                               .state = *ret_accepted ? DV_COPY_ACCEPTED : DV_COPY_UNREAD});
}

/* ---- heads that the scan does not see ---- */

/* The copy takes the first line of CSV for its head, whatever the scan took it for: a table of one
 * column is a text to it, one with dates in its head has none. */
static dv_result plan_head(dv_copy_plan *plan, const dv_scan_item *item, const dv_csv_record *head,
                           const dv_data_part *const *parts, size_t count)
{
    for (size_t i = 0; i < head->count; i++) {
        dv_data_part named = {.column = true, .cells = 1};
        dv_slice name;
        char number[32];
        bool known = false;
        (void)snprintf(number, sizeof(number), "column %zu", i + 1);
        DV_TRY(dv_arena_copy(plan->scratch, dv_slice_trim(head->fields[i].text), &name));
        for (size_t p = 0; p < count; p++) {
            named = strcmp(parts[p]->name, number) == 0 ? *parts[p] : named;
            known = known || (parts[p]->column && dv_slice_eq_str(name, parts[p]->name));
        }
        named.name = (const char *)name.ptr;
        named.words = dv_data_field_words(plan->scratch, name);
        if (named.words == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        DV_TRY(known || name.len == 0 ? DV_OK : plan_column(plan, item->name, &named));
    }
    return DV_OK;
}

static dv_result read_head(dv_copy_plan *plan, const dv_scan_item *item,
                           const dv_data_part *const *parts, size_t count)
{
    const char *path = !plan->folder
                           ? plan->source
                           : dv_arena_printf(plan->scratch, "%s/%s", plan->source, item->name);
    dv_error error = {0}; /* the copy tells it */
    FILE *in = NULL;
    dv_auto(csv) dv_csv *csv = NULL;
    dv_csv_record head;
    if (path == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_data_open(path, &in, &error));
    const dv_csv_source source = {dv_data_read_file, in};
    dv_result result = dv_csv_new(&source, 0, &csv);
    if (result == DV_OK && dv_csv_next(csv, &head, &error) == DV_OK) {
        plan->naming = NAMED_COLUMNS;
        result = plan_head(plan, item, &head, parts, count);
    }
    dv_data_close(in);
    return result;
}

static bool has_head(const dv_copy_plan *plan, const dv_scan_item *item)
{
    dv_transform_run run = plan->database ? NULL : dv_data_run_for(dv_data_ending(item->name));
    return !plan->database && (item->kind == DV_SCAN_CSV || item->kind == DV_SCAN_TEXT) &&
           (run == dv_transform_csv || (run == NULL && item->kind == DV_SCAN_CSV));
}

/* ---- one file or table, all of it ---- */

static dv_result on_item(void *data, const dv_scan_item *item, const dv_data_part *const *parts,
                         size_t count)
{
    dv_copy_plan *plan = data;
    dv_copy_item kept = {.name = copy_text(plan, item->name), .kind = item->kind};
    dv_arena_reset(plan->scratch);
    if (plan->database && is_computed(plan, item->name, "")) {
        return DV_OK;
    }
    plan->naming = naming_of(plan, item);
    DV_TRY(plan_whole(plan, item, &kept.accepted));
    for (size_t i = 0; i < count && !kept.accepted; i++) {
        DV_TRY((parts[i]->column ? plan_column : plan_text)(plan, item->name, parts[i]));
    }
    if (!kept.accepted && has_head(plan, item)) {
        DV_TRY(read_head(plan, item, parts, count));
    }
    plan->items = dv_arena_grow(plan->arena, plan->items, plan->item_count, &plan->item_room,
                                sizeof(*plan->items), 64);
    if (plan->items == NULL || kept.name == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    plan->items[plan->item_count++] = kept;
    return DV_OK;
}

/* ---- all of it ---- */

dv_result dv_copy_plan_new(dv_action_rules *rules, const char *accept,
                           const dv_detector_set *enabled, bool names, dv_copy_plan **ret_plan,
                           dv_error *error)
{
    dv_copy_plan *plan = calloc(1, sizeof(*plan));
    if (plan == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    const dv_data_finder_options options = {
        .detectors = dv_detect_all, .names = names, .done = on_item, .data = plan};
    plan->rules = rules;
    plan->enabled = *enabled;
    plan->names = names;
    plan->last = &plan->first;
    plan->arena = dv_arena_new(ARENA_MAX);
    plan->scratch = dv_arena_new(ARENA_MAX);
    dv_result result = plan->arena == NULL || plan->scratch == NULL ? DV_ERR_NO_MEMORY
                                                                    : read_accepted(plan, accept);
    if (result == DV_OK) {
        result = dv_data_rules_builtin(&plan->classes, plan->arena, error);
    }
    if (result == DV_OK) {
        result = dv_data_finder_new(&options, &plan->finder, error);
    }
    if (result != DV_OK) {
        dv_copy_plan_free(plan);
        return result;
    }
    *ret_plan = plan;
    return DV_OK;
}

void dv_copy_plan_free(dv_copy_plan *plan)
{
    if (plan != NULL) {
        dv_data_finder_free(plan->finder);
        dv_arena_free(plan->arena);
        dv_arena_free(plan->scratch);
        free(plan);
    }
}

static dv_result note_computed(void *data, const char *relation, const char *column)
{
    dv_copy_plan *plan = data;
    computed *c = dv_arena_alloc(plan->arena, sizeof(*c));
    if (c == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *c = (computed){copy_text(plan, relation), copy_text(plan, column), plan->computed};
    plan->computed = c;
    return c->relation == NULL || c->column == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

/* The scan has looked for the rules' columns; whether the copy finds them is another question. */
static void forget_seen(dv_action_rules *rules)
{
    for (size_t i = 0; i < rules->column_count; i++) {
        rules->columns[i].seen = false;
    }
}

dv_result dv_copy_plan_scan(dv_copy_plan *plan, const char *source, uint64_t rows, dv_error *error)
{
    const dv_scan_postgres_options options = {.views = false};
    const dv_scan_visitor visitor = dv_data_finder_visitor(plan->finder);
    dv_scan_limits limits = dv_scan_limits_usual;
    dv_scan_totals totals = {0};
    struct stat about;
    plan->source = source;
    plan->database = dv_scan_is_postgres(source);
    plan->folder = !plan->database && stat(source, &about) == 0 && S_ISDIR(about.st_mode);
    limits.rows = rows;
    limits.bytes = UINT64_MAX; /* all of a file, and all rows that are read */
    limits.file_time = DAY_SECONDS * DV_SECOND;
    limits.time = 7 * DAY_SECONDS * DV_SECOND;
    if (plan->database) {
        DV_TRY(dv_pg_computed(source, note_computed, plan, error));
        DV_TRY(dv_scan_postgres(source, &options, &limits, &visitor, &totals, error));
    } else {
        DV_TRY(dv_scan_path(source, &limits, &visitor, &totals, error));
    }
    forget_seen(plan->rules);
    const char *gap = totals.stopped[0] != '\0'            ? totals.stopped
                      : totals.unreadable > 0              ? "something can't be opened"
                      : totals.deep > 0                    ? "folders lie too deep"
                      : totals.devices > 0                 ? "a folder lies on another file system"
                      : totals.links + totals.specials > 0 ? "links, sockets or devices lie in it"
                                                           : NULL;
    return gap == NULL ? DV_OK
                       : dv_error_set(error, DV_ERR_TOO_LARGE, "%s is not scanned in full: %s",
                                      plan->database ? "the database" : source, gap);
}

static json_t *row_json(const planned *row)
{
    static const char *const states[] = {"hidden", "searched", "accepted", "open", "unread"};
    return json_pack("{s:o, s:o, s:s, s:s, s:s?, s:s?, s:o}", "place",
                     dv_data_text_json(row->place), "column", dv_data_text_json(row->column),
                     "sensitivity", dv_data_level_name(row->level), "state", states[row->state],
                     "rule", row->rule, "suggested", row->suggested, "why",
                     dv_data_text_json(row->why));
}

json_t *dv_copy_plan_json(const dv_copy_plan *plan)
{
    json_t *items = json_array();
    for (const planned *row = plan->first; row != NULL; row = row->next) {
        json_array_append_new(items, row_json(row));
    }
    return json_pack("{s:I, s:I, s:o}", "scanned", (json_int_t)plan->item_count, "refused",
                     (json_int_t)plan->refused, "items", items);
}

size_t dv_copy_plan_refused(const dv_copy_plan *plan)
{
    return plan->refused;
}

size_t dv_copy_plan_count(const dv_copy_plan *plan)
{
    return plan->item_count;
}

const dv_copy_item *dv_copy_plan_item(const dv_copy_plan *plan, size_t at)
{
    return &plan->items[at];
}
