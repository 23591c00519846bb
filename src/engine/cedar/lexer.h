/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Cedar's tokens (specs: syntax-grammar); private to the engine. */

#include "base/arena.h"

typedef enum dv_cedar_token_kind {
    DV_CEDAR_TOKEN_END,
    DV_CEDAR_TOKEN_IDENT, /* reserved words too */
    DV_CEDAR_TOKEN_INT,
    DV_CEDAR_TOKEN_STRING, /* text without the quotes, escapes not yet read */
    DV_CEDAR_TOKEN_SLOT,   /* ?principal */
    DV_CEDAR_TOKEN_PUNCTUATION,
} dv_cedar_token_kind;

typedef struct dv_cedar_token {
    dv_cedar_token_kind kind;
    dv_slice text;
    size_t offset; /* in the policy text */
} dv_cedar_token;

typedef struct dv_cedar_lexer {
    dv_slice text;
    size_t at;
    dv_error *error;
} dv_cedar_lexer;

/* Reads the next token. Errors: DV_ERR_INVALID with line and column. */
dv_must dv_result dv_cedar_lex(dv_cedar_lexer *lexer, dv_cedar_token *ret_token);

/* Sets the error with the place of that offset. Returns DV_ERR_INVALID. */
dv_must dv_result dv_cedar_error_at(const dv_cedar_lexer *lexer, size_t offset, const char *format,
                                    ...) dv_printf(3, 4);

/* The same for another result, which is returned. */
dv_must dv_result dv_cedar_fail_at(const dv_cedar_lexer *lexer, size_t offset, dv_result result,
                                   const char *what);

/* Refuses text that is not UTF-8, at its first such byte. what: "the policies are". */
dv_must dv_result dv_cedar_check_utf8(const dv_cedar_lexer *lexer, const char *what);

/* Reads the escapes of a string token. In a pattern the text is cut at its wildcards: n of them
 * give n + 1 pieces; in any other string there is one piece. Errors: DV_ERR_INVALID,
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_unescape(const dv_cedar_lexer *lexer, const dv_cedar_token *token,
                                    bool pattern, dv_arena *arena, const dv_slice **ret_pieces,
                                    size_t *ret_count);
