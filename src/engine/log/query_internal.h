/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between the parts of the search language. */

#include "engine/log/query.h"

/* What a parser of the language works on. */
typedef struct dv_query_parser {
    dv_slice text;
    size_t at;
    int64_t now_ms;
    dv_arena *arena;
    dv_error *error;
    unsigned depth;
    size_t terms;
} dv_query_parser;

/* A failure at that place of the text. */
#define dv_query_fail(parser, place, code, ...)                                                    \
    dv_error_set_at((parser)->error, code, 1, (int)(place) + 1, __VA_ARGS__)
dv_must dv_result dv_query_no_memory(dv_query_parser *parser);

/* A piece of a search: a word or a quoted text. */
typedef struct dv_query_piece {
    dv_slice text; /* escapes undone, in the arena or the search */
    size_t start;  /* in the search */
    bool quoted;   /* wholly: no star, bound or keyword in it means anything */
} dv_query_piece;

uint8_t dv_query_peek(const dv_query_parser *parser);
void dv_query_skip_space(dv_query_parser *parser);
/* A keyword in any case, if it is what comes next. */
bool dv_query_keyword(dv_query_parser *parser, const char *keyword);
bool dv_query_take_byte(dv_query_parser *parser, uint8_t byte);
/* The next piece up to white space, a parenthesis, a bar or one of `stops`. */
dv_must dv_result dv_query_take_piece(dv_query_parser *parser, const char *stops,
                                      dv_query_piece *ret_piece);

/* A copy in the arena with ASCII in lower case. */
dv_must dv_result dv_query_lower(dv_arena *arena, dv_slice text, dv_slice *ret_lower);
static inline uint8_t dv_query_lower_byte(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

/* The value behind `field:`; the parser stands on its first byte. */
dv_must dv_result dv_query_parse_value(dv_query_parser *parser, const dv_query_field *field,
                                       size_t start, const dv_query_node **ret_node);
/* A word or phrase without a field. */
dv_must dv_result dv_query_free_text(dv_query_parser *parser, const dv_query_piece *piece,
                                     const dv_query_node **ret_node);
/* A new term, counted. */
dv_must dv_result dv_query_term(dv_query_parser *parser, dv_query_op op,
                                const dv_query_field *field, size_t start,
                                dv_query_node **ret_node);

/* Everything behind the first bar. */
dv_must dv_result dv_query_parse_stages(dv_query_parser *parser, dv_query_stages *stages);

/* The text as it stands between the quotes of a JSON string, as most writers have it. */
dv_must dv_result dv_query_json_escape(dv_arena *arena, dv_slice text, dv_slice *ret_escaped);
