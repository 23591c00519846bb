/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reading policy text; private to the engine. */

#include "engine/cedar/ast.h"
#include "engine/cedar/lexer.h"
#include "engine/cedar/list.h"

typedef struct dv_cedar_parser {
    dv_cedar_lexer lexer;
    dv_cedar_token token; /* the next one, not yet taken */
    dv_arena *arena;      /* for what the policies keep */
    unsigned depth;       /* of the expression being read */
} dv_cedar_parser;

/* Takes the token and reads the next. */
dv_must dv_result dv_cedar_parser_advance(dv_cedar_parser *parser);

/* True when the next token is this punctuation or this word. */
bool dv_cedar_parser_at(const dv_cedar_parser *parser, const char *text);

/* Takes the token if it is this one. */
dv_must dv_result dv_cedar_parser_accept(dv_cedar_parser *parser, const char *text,
                                         bool *ret_taken);
dv_must dv_result dv_cedar_parser_expect(dv_cedar_parser *parser, const char *text);

/* An error at the next token. Returns DV_ERR_INVALID. */
dv_must dv_result dv_cedar_parser_error(const dv_cedar_parser *parser, const char *expected);

/* Path and, behind it, "::" and a string: ret_uid.len is 0 when the path stands alone. */
dv_must dv_result dv_cedar_parse_path(dv_cedar_parser *parser, dv_slice *ret_path,
                                      dv_slice *ret_uid);

/* Expr of the grammar. */
dv_must dv_result dv_cedar_parse_expression(dv_cedar_parser *parser, dv_cedar_node *ret_node);

/* One string literal, escapes read. */
dv_must dv_result dv_cedar_parse_string(dv_cedar_parser *parser, dv_slice *ret_text);

/* {'@' ANYIDENT ['(' STR ')']} of policies and schemas. Each name stands once. */
dv_must dv_result dv_cedar_parse_annotations(dv_cedar_parser *parser,
                                             dv_cedar_annotations *ret_annotations);

/* Behind an item of a list: takes a comma, and ret_more is false when the closing token comes,
 * which is taken as well. A comma may stand in front of it. */
dv_must dv_result dv_cedar_parse_more(dv_cedar_parser *parser, const char *close, bool *ret_more);
