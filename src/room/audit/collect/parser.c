/* SPDX-License-Identifier: Apache-2.0 */
/* Which parser and which of its rules a line is for. */
#include "room/audit/collect/parser.h"

#include "base/caps.h"
#include "base/utf8.h"
#include "room/audit/collect/parser_private.h"

enum { ARENA = 64 << 20, MATCH_STEPS = 100000 };

/* ---- Compiling ---- */

static dv_result compile(const char *pattern, const char *parser, pcre2_code **ret_code,
                         dv_error *error)
{
    int number = 0;
    PCRE2_SIZE place = 0;
    if (pattern == NULL) {
        *ret_code = NULL;
        return DV_OK;
    }
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                     PCRE2_DOLLAR_ENDONLY, &number, &place, NULL);
    if (code == NULL) {
        return dv_error_set(error, DV_ERR_INTERNAL, "parser %s: bad pattern at %zu (%d): %s",
                            parser, (size_t)place, number, pattern);
    }
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without it, it is slower */
    *ret_code = code;
    return DV_OK;
}

static uint8_t field_named(const dv_parse_table *table, const char *name)
{
    for (uint8_t i = DV_FIELD_FIRST; i < table->field_count; i++) {
        if (strcmp(table->fields[i], name) == 0) {
            return i;
        }
    }
    return DV_PARSE_NO_FIELD;
}

/* Which group is which field (pcre2api, "pcre2_pattern_info": entries of two bytes and a name). */
static void note_groups(const dv_parse_table *table, dv_format_code *format)
{
    uint32_t count = 0;
    uint32_t size = 0;
    PCRE2_SPTR names = NULL;
    pcre2_pattern_info(format->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(format->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(format->code, PCRE2_INFO_NAMETABLE, (void *)&names);
    for (uint32_t i = 0; i < count && format->count < DV_PARSE_GROUPS_MAX; i++) {
        PCRE2_SPTR entry = names + (size_t)i * size;
        format->groups[format->count] = (uint8_t)(entry[0] << 8 | entry[1]);
        format->fields[format->count++] = field_named(table, (const char *)entry + 2);
    }
}

static dv_result make_refinements(const dv_parse_table *table, dv_parser *parser, dv_error *error)
{
    for (const char *const *text = table->refinements; text != NULL && *text != NULL; text++) {
        if (parser->refinement_count == DV_PARSE_REFINEMENTS_MAX) {
            return dv_error_set(error, DV_ERR_INTERNAL, "parser %s: too many patterns",
                                table->name);
        }
        dv_format_code *refinement = &parser->refinements[parser->refinement_count++];
        DV_TRY(compile(*text, table->name, &refinement->code, error));
        note_groups(table, refinement);
    }
    return DV_OK;
}

static dv_result make_parser(const dv_parse_table *table, dv_parser *parser, dv_error *error)
{
    parser->table = table;
    parser->formats = calloc(table->format_count, sizeof *parser->formats);
    if (parser->formats == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < table->format_count; i++) {
        dv_format_code *format = &parser->formats[i];
        DV_TRY(compile(table->formats[i].pattern, table->name, &format->code, error));
        if (format->code != NULL) {
            note_groups(table, format);
        }
    }
    DV_TRY(make_refinements(table, parser, error));
    DV_TRY(compile(table->quotes, table->name, &parser->quotes, error));
    DV_TRY(compile(table->continues, table->name, &parser->continues, error));
    return compile(table->same, table->name, &parser->same, error);
}

static dv_result make_parsers(dv_parsers *parsers, dv_error *error)
{
    parsers->arena = dv_arena_new(ARENA);
    parsers->match = pcre2_match_data_create(DV_PARSE_GROUPS_MAX, NULL);
    parsers->match_before = pcre2_match_data_create(DV_PARSE_GROUPS_MAX, NULL);
    parsers->context = pcre2_match_context_create(NULL);
    parsers->parsers = calloc(dv_parse_table_count, sizeof *parsers->parsers);
    if (parsers->arena == NULL || parsers->match == NULL || parsers->match_before == NULL ||
        parsers->context == NULL || parsers->parsers == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    pcre2_set_match_limit(parsers->context, MATCH_STEPS);
    parsers->count = dv_parse_table_count;
    for (size_t i = 0; i < parsers->count; i++) {
        DV_TRY(make_parser(&dv_parse_tables[i], &parsers->parsers[i], error));
    }
    parsers->raw = dv_parsers_find(parsers, DV_LIT("raw"));
    return parsers->raw != NULL ? DV_OK : DV_ERR_INTERNAL;
}

dv_result dv_parsers_new(dv_parsers **ret_parsers, dv_error *error)
{
    dv_auto(parsers) dv_parsers *parsers = calloc(1, sizeof *parsers);
    if (parsers == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(make_parsers(parsers, error));
    *ret_parsers = parsers;
    parsers = NULL;
    return DV_OK;
}

void dv_parsers_free(dv_parsers *parsers)
{
    for (size_t i = 0; parsers->parsers != NULL && i < parsers->count; i++) {
        dv_parser *parser = &parsers->parsers[i];
        for (size_t k = 0; parser->formats != NULL && k < parser->table->format_count; k++) {
            pcre2_code_free(parser->formats[k].code);
        }
        for (size_t k = 0; k < parser->refinement_count; k++) {
            pcre2_code_free(parser->refinements[k].code);
        }
        pcre2_code_free(parser->quotes);
        pcre2_code_free(parser->continues);
        pcre2_code_free(parser->same);
        free(parser->formats);
    }
    pcre2_match_data_free(parsers->match);
    pcre2_match_data_free(parsers->match_before);
    pcre2_match_context_free(parsers->context);
    dv_arena_free(parsers->arena);
    free(parsers->parsers);
    free(parsers);
}

/* ---- Names ---- */

const dv_parser *dv_parsers_find(const dv_parsers *parsers, dv_slice name)
{
    for (size_t i = 0; i < parsers->count; i++) {
        if (dv_slice_eq_str(name, parsers->parsers[i].table->name)) {
            return &parsers->parsers[i];
        }
    }
    return NULL;
}

const char *dv_parsers_name(size_t index)
{
    return index < dv_parse_table_count ? dv_parse_tables[index].name : NULL;
}

const char *dv_parsers_doc(size_t index)
{
    return index < dv_parse_table_count ? dv_parse_tables[index].doc : NULL;
}

bool dv_parser_is_known(const char *name)
{
    bool known = strcmp(name, "auto") == 0;
    for (size_t i = 0; i < dv_parse_table_count; i++) {
        known = known || strcmp(name, dv_parse_tables[i].name) == 0;
    }
    return known;
}

bool dv_parser_example_get(size_t index, dv_parser_example *ret_example)
{
    for (size_t i = 0; i < dv_parse_table_count; i++) {
        const dv_parse_table *table = &dv_parse_tables[i];
        if (index < table->example_count) {
            const dv_parse_example *one = &table->examples[index];
            *ret_example =
                (dv_parser_example){table->name, one->text, one->program, one->kind, one->expected};
            return true;
        }
        index -= table->example_count;
    }
    return false;
}

/* ---- Rules ---- */

bool dv_text_fits(dv_slice text, const char *wanted)
{
    size_t len = strlen(wanted);
    bool beginning = len > 0 && wanted[len - 1] == '*';
    return beginning ? dv_slice_starts_with(text, dv_slice_of(wanted, len - 1))
                     : dv_slice_eq_str(text, wanted);
}

static bool condition_holds(const dv_parsers *parsers, const dv_parse_condition *condition)
{
    const dv_field *field = &parsers->fields[condition->field];
    bool there = field->there && field->text.len > 0;
    if (condition->test != DV_TEST_EQUAL) {
        return there == (condition->test == DV_TEST_PRESENT);
    }
    for (const char *const *text = condition->texts; there && *text != NULL; text++) {
        if (dv_text_fits(field->text, *text)) {
            return true;
        }
    }
    return false;
}

static const dv_parse_rule *find_rule(const dv_parsers *parsers, const dv_parse_table *table)
{
    for (size_t i = 0; i < table->rule_count; i++) {
        const dv_parse_rule *rule = &table->rules[i];
        bool holds = true;
        for (size_t k = 0; k < rule->condition_count && holds; k++) {
            holds = condition_holds(parsers, &rule->conditions[k]);
        }
        if (holds) {
            return rule;
        }
    }
    return NULL;
}

static void set_text(dv_parsers *parsers, int field, dv_slice text)
{
    parsers->fields[field] = (dv_field){.text = text, .there = text.len > 0, .bare = true};
}

static void set_number(dv_parsers *parsers, int field, int number)
{
    char *room = parsers->numbers[field == DV_FIELD_SEVERITY];
    int len = number < 0 ? 0 : snprintf(room, sizeof parsers->numbers[0], "%d", number);
    set_text(parsers, field, dv_slice_of(room, (size_t)len));
}

static void set_envelope(dv_parsers *parsers, const dv_line *line)
{
    set_text(parsers, DV_FIELD_PROGRAM, line->program);
    set_text(parsers, DV_FIELD_PID, line->pid);
    set_text(parsers, DV_FIELD_HOST, line->host);
    set_text(parsers, DV_FIELD_MSGID, line->message_id);
    set_text(parsers, DV_FIELD_TEXT, line->text);
    set_text(parsers, DV_FIELD_PEER, line->peer);
    set_number(parsers, DV_FIELD_FACILITY, line->facility);
    set_number(parsers, DV_FIELD_SEVERITY, line->severity);
}

typedef struct choice {
    const dv_parser *parser;
    const dv_parse_rule *rule;
    size_t format;
} choice;

/* shape: only by formats that tell themselves. */
static bool try_parser(dv_parsers *parsers, const dv_parser *parser, const dv_line *line,
                       bool shape, choice *ret_choice)
{
    for (size_t i = 0; i < parser->table->format_count; i++) {
        const dv_parse_format *format = &parser->table->formats[i];
        if ((shape && !format->shape) || !dv_format_take(parsers, parser, i, line->text)) {
            continue;
        }
        set_text(parsers, DV_FIELD_FORMAT, dv_slice_str(format->name));
        const dv_parse_rule *rule = find_rule(parsers, parser->table);
        if (rule != NULL) {
            *ret_choice = (choice){parser, rule, i};
            return true;
        }
    }
    return false;
}

static bool has_program(const dv_parser *parser, dv_slice program)
{
    for (const char *const *name = parser->table->programs; *name != NULL; name++) {
        if (dv_text_fits(program, *name)) {
            return true;
        }
    }
    return false;
}

static bool try_programs(dv_parsers *parsers, const dv_line *line, choice *ret_choice)
{
    for (size_t i = 0; i < parsers->count && line->program.len > 0; i++) {
        const dv_parser *parser = &parsers->parsers[i];
        if (has_program(parser, line->program) &&
            try_parser(parsers, parser, line, false, ret_choice)) {
            return true;
        }
    }
    return false;
}

static bool try_shapes(dv_parsers *parsers, const dv_line *line, const dv_parser **hint,
                       choice *ret_choice)
{
    if (*hint != NULL && try_parser(parsers, *hint, line, true, ret_choice)) {
        return true;
    }
    for (size_t i = 0; i < parsers->count; i++) {
        const dv_parser *parser = &parsers->parsers[i];
        if (parser != *hint && try_parser(parsers, parser, line, true, ret_choice)) {
            *hint = parser;
            return true;
        }
    }
    return false;
}

static bool choose(dv_parsers *parsers, const dv_parser *parser, const dv_line *line,
                   const dv_parser **hint, choice *ret_choice)
{
    if (parser != NULL && parser != parsers->raw) {
        return try_parser(parsers, parser, line, false, ret_choice);
    }
    return parser == NULL &&
           (try_programs(parsers, line, ret_choice) || try_shapes(parsers, line, hint, ret_choice));
}

dv_result dv_parsers_event(dv_parsers *parsers, const dv_parser *parser, const dv_line *line,
                           const dv_parser **hint, dv_buf *out, dv_parse_outcome *ret_outcome)
{
    const dv_parser *nobody = NULL;
    choice found = {0};
    dv_arena_recycle(parsers->arena);
    set_envelope(parsers, line);
    dv_parse_outcome outcome = {
        .understood = choose(parsers, parser, line, hint == NULL ? &nobody : hint, &found)};
    if (!outcome.understood && !try_parser(parsers, parsers->raw, line, false, &found)) {
        return DV_ERR_INTERNAL;
    }
    outcome.parser = found.parser->table->name;
    /* NUL, too: readers of JSON that work with C strings refuse it. */
    outcome.invalid_utf8 =
        dv_utf8_prefix(line->raw) < line->raw.len || dv_slice_find_byte(line->raw, 0) >= 0;
    DV_TRY(dv_rule_write(parsers, found.parser, found.format, found.rule, line, out, &outcome));
    *ret_outcome = outcome;
    return DV_OK;
}

/* ---- Lines that belong together ---- */

bool dv_parser_has_joins(const dv_parser *parser)
{
    return parser->table->continues != NULL || parser->table->same != NULL ||
           parser->table->quotes != NULL;
}

static bool has_open_quote(dv_slice text)
{
    bool open = false;
    for (size_t i = 0; i < text.len; i++) {
        open ^= text.ptr[i] == '"';
    }
    return open;
}

static dv_slice first_group(dv_parsers *parsers, const pcre2_code *code, dv_slice text,
                            pcre2_match_data *match)
{
    text.len = DV_MIN(text.len, (size_t)DV_PARSE_REGEX_MAX);
    if (!dv_pattern_fits(parsers, code, text, match)) {
        return (dv_slice){NULL, 0};
    }
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(match);
    return ends[2] == PCRE2_UNSET ? (dv_slice){NULL, 0}
                                  : dv_slice_sub(text, ends[2], ends[3] - ends[2]);
}

bool dv_parser_joins(dv_parsers *parsers, const dv_parser *parser, dv_slice before, dv_slice line)
{
    if (parser->quotes != NULL && has_open_quote(before) &&
        dv_pattern_fits(parsers, parser->quotes, dv_slice_sub(before, 0, DV_PARSE_REGEX_MAX),
                        parsers->match)) {
        return true;
    }
    if (parser->continues != NULL &&
        dv_pattern_fits(parsers, parser->continues, dv_slice_sub(line, 0, DV_PARSE_REGEX_MAX),
                        parsers->match)) {
        return true;
    }
    if (parser->same == NULL) {
        return false;
    }
    dv_slice one = first_group(parsers, parser->same, before, parsers->match_before);
    return one.len > 0 &&
           dv_slice_eq(one, first_group(parsers, parser->same, line, parsers->match));
}
