/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Walking a JSON text whose errors have a place; private to the engine. Tokens are numbers on the
 * tape (base/json.h). */

#include "base/json.h"
#include "engine/cedar/lexer.h"

typedef struct dv_cedar_reader {
    dv_json json;
    dv_arena *arena;
    dv_cedar_lexer place; /* for errors */
    unsigned depth;       /* of what is being read, for those who recurse */
} dv_cedar_reader;

/* Scans a copy of the text in the arena, which refuses a member that stands twice. Errors:
 * DV_ERR_INVALID with line and column, DV_ERR_TOO_LARGE (max_bytes, max_depth), DV_ERR_NO_MEMORY.
 */
dv_must dv_result dv_cedar_reader_init(dv_cedar_reader *reader, dv_slice text, size_t max_bytes,
                                       uint32_t max_depth, dv_arena *arena, dv_error *error);

/* Sets the error at the token's place, with its JSON pointer (RFC 6901). Returns DV_ERR_INVALID. */
dv_must dv_result dv_cedar_reader_refuse(const dv_cedar_reader *reader, uint32_t token,
                                         const char *format, ...) dv_printf(3, 4);

static inline bool dv_cedar_reader_is(const dv_cedar_reader *reader, uint32_t token,
                                      dv_json_type type)
{
    return reader->json.tokens[token].type == type;
}

/* The token behind this one and all below it. */
static inline uint32_t dv_cedar_reader_next(const dv_cedar_reader *reader, uint32_t token)
{
    return reader->json.tokens[token].next;
}

/* Members of an object (a key and its value are one) or elements of an array. */
size_t dv_cedar_reader_count(const dv_cedar_reader *reader, uint32_t token);

/* The decoded text of a string. Errors: DV_ERR_INVALID when it is none. */
dv_must dv_result dv_cedar_reader_text(const dv_cedar_reader *reader, uint32_t token,
                                       dv_slice *ret_text);

/* The members of an object by name: tokens of the values, 0 where there is none (and where the
 * value is null, with which writers leave a member out). Errors: DV_ERR_INVALID when it is no
 * object or has a member that is none of the names. */
dv_must dv_result dv_cedar_reader_members(const dv_cedar_reader *reader, uint32_t token,
                                          const char *what, const char *const *names, size_t count,
                                          uint32_t *ret_tokens);
