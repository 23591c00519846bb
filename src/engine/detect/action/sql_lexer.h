/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to the SQL transformer: as much of PostgreSQL's lexical structure (its manual, section
 * 4.1) as it takes to find statements, names and values. */

#include "base/arena.h"

/* Where a text that comes in pieces stands. */
typedef struct dv_sql_state {
    enum {
        DV_SQL_PLAIN,
        DV_SQL_STRING,
        DV_SQL_ESCAPED,
        DV_SQL_NAME,
        DV_SQL_DOLLAR,
        DV_SQL_LINE,
        DV_SQL_BLOCK
    } in;
    unsigned depth;    /* of comments in one another */
    char tag[64];      /* $tag$ */
    uint8_t before;    /* the byte before, for E'...' */
    bool command;      /* a backslash stood outside of everything: psql's */
    struct {           /* of the statement under way */
        size_t from;   /* where the word under way begins, plus one; 0: none is */
        char first[4]; /* the first letters of the words that matter, as psql keeps them */
        unsigned words, parentheses, begins;
    } body;
} dv_sql_state;

/* Goes on over the text, which begins with the statement, from *at. True: a statement ended, *at is
 * behind its semicolon. False: the text ended first. Semicolons within CREATE FUNCTION ... BEGIN
 * ATOMIC ... END and within the parentheses of CREATE RULE end none, as psql has it. */
bool dv_sql_skip(dv_sql_state *state, dv_slice text, size_t *at);

/* Whether a body or a list of commands is open that only more text can close. */
bool dv_sql_is_open(const dv_sql_state *state);

typedef struct dv_sql_cursor {
    dv_slice text;
    size_t at;
} dv_sql_cursor;

/* Passes over white space and comments. */
void dv_sql_space(dv_sql_cursor *c);
/* Takes the keyword (written in capitals here) if it is next. */
bool dv_sql_keyword(dv_sql_cursor *c, const char *word);
bool dv_sql_byte(dv_sql_cursor *c, char byte);
/* A name, quoted or not: as PostgreSQL keeps it. False: there is none. */
dv_must dv_result dv_sql_name(dv_sql_cursor *c, dv_arena *arena, dv_slice *ret_name);
/* The last part of schema.table, and all of it with NULs between the parts. DV_ERR_INVALID: there
 * is none. */
dv_must dv_result dv_sql_table_name(dv_sql_cursor *c, dv_arena *arena, dv_slice *ret_name,
                                    dv_slice *ret_path);
/* The text until the next comma or closing parenthesis of this level, without white space around.
 */
dv_slice dv_sql_value(dv_sql_cursor *c);
/* Whether a string or number stands in it. */
bool dv_sql_has_value(dv_slice text);
/* Whether the keyword stands in it, outside of strings, names, comments and parentheses. */
bool dv_sql_has_word(dv_slice text, const char *word);
/* Whether a string in it tells characters by their numbers, as E'\\x40' and U&'\\0040' do. */
bool dv_sql_hides(dv_slice text);
/* A string literal at the value's front: its content, and how many bytes it takes.
 * DV_ERR_NOT_FOUND: the value does not begin with one; DV_ERR_INVALID: it can't be read. */
dv_must dv_result dv_sql_string(dv_slice value, dv_arena *arena, dv_slice *ret_text,
                                size_t *ret_len);
/* Escapes of E'...' and of COPY. */
dv_must dv_result dv_sql_unescape(dv_slice text, dv_arena *arena, dv_slice *ret_text);
