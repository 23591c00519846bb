/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to room/audit/collect: a parser at work. */

#include "base/arena.h"
#include "room/audit/collect/parser.h"
#include "room/audit/collect/parser_table.h"
#include "room/audit/collect/record.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    DV_PARSE_GROUPS_MAX = 40,
    DV_PARSE_REFINEMENTS_MAX = 24,
    DV_PARSE_REGEX_MAX = 64 << 10, /* bytes of a line that patterns look at */
};

/* Fields that the transport tells, in generate.py's order. */
enum {
    DV_FIELD_PROGRAM,
    DV_FIELD_PID,
    DV_FIELD_HOST,
    DV_FIELD_FACILITY,
    DV_FIELD_SEVERITY,
    DV_FIELD_MSGID,
    DV_FIELD_TEXT,
    DV_FIELD_PEER,
    DV_FIELD_FORMAT,
    DV_FIELD_FIRST, /* of the parser's own */
};

typedef struct dv_field {
    dv_slice text;
    bool there;
    bool bare; /* stood there without quotes */
    bool json; /* an object or array, as it stood */
} dv_field;

typedef struct dv_format_code {
    pcre2_code *code; /* NULL: no pattern */
    uint8_t groups[DV_PARSE_GROUPS_MAX];
    uint8_t fields[DV_PARSE_GROUPS_MAX];
    size_t count;
} dv_format_code;

struct dv_parser {
    const dv_parse_table *table;
    dv_format_code *formats;
    dv_format_code refinements[DV_PARSE_REFINEMENTS_MAX];
    size_t refinement_count;
    pcre2_code *continues;
    pcre2_code *same;
    pcre2_code *quotes;
};

struct dv_parsers {
    struct dv_parser *parsers;
    size_t count;
    const struct dv_parser *raw; /* takes every line */
    dv_arena *arena;             /* of one line */
    pcre2_match_data *match;
    pcre2_match_data *match_before;
    pcre2_match_context *context;
    dv_field fields[DV_PARSE_FIELDS_MAX];
    char numbers[2][16]; /* facility and severity as texts */
};

/* Takes the line apart into parsers->fields; false: it is of another format. Leaves the fields that
 * the transport told. */
bool dv_format_take(dv_parsers *parsers, const dv_parser *parser, size_t format, dv_slice text);

/* Whether the pattern fits; the groups are in match. */
bool dv_pattern_fits(const dv_parsers *parsers, const pcre2_code *code, dv_slice text,
                     pcre2_match_data *match);

/* Whether the text is the wanted one, or begins as "word*" says. */
bool dv_text_fits(dv_slice text, const char *wanted);

/* The value as JSON; false: it is absent, and nothing was written. */
bool dv_value_write(const dv_parsers *parsers, const dv_parse_format *format,
                    const dv_parse_value *value, dv_time now, dv_record_writer *writer);
/* The value as a number; otherwise when it is absent or no number. */
int64_t dv_value_int(const dv_parsers *parsers, const dv_parse_value *value, int64_t otherwise);

/* A field by the format's patterns of time. */
bool dv_field_time(const dv_field *field, const dv_parse_format *format, dv_time now,
                   dv_time *ret_time);

/* Writes the event of a line that was taken apart by the rule. */
dv_must dv_result dv_rule_write(const dv_parsers *parsers, const dv_parser *parser, size_t format,
                                const dv_parse_rule *rule, const dv_line *line, dv_buf *out,
                                dv_parse_outcome *outcome);
