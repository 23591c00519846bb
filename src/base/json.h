/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The data path's JSON: one validating pass (RFC 8259) that leaves the text as it is and notes
 * where its parts lie, so that a rewrite changes no other byte. The control plane uses jansson. */

#include "base/arena.h"
#include "base/buf.h"

typedef enum dv_json_type {
    DV_JSON_OBJECT,
    DV_JSON_ARRAY,
    DV_JSON_KEY, /* a member's name; its value is the next token */
    DV_JSON_STRING,
    DV_JSON_NUMBER,
    DV_JSON_TRUE,
    DV_JSON_FALSE,
    DV_JSON_NULL,
} dv_json_type;

/* One token of the tape, in document order. */
typedef struct dv_json_token {
    uint32_t start;  /* first byte in the text; for keys and strings the byte after the quote */
    uint32_t len;    /* bytes of the raw text, without quotes */
    uint32_t next;   /* index of the token after this one's whole subtree */
    uint16_t depth;  /* 0: the top value */
    uint8_t type;    /* dv_json_type */
    uint8_t escaped; /* keys and strings: has at least one backslash */
} dv_json_token;

typedef struct dv_json_limits {
    uint32_t depth;             /* containers within containers */
    uint32_t tokens;            /* on the tape */
    bool refuse_duplicate_keys; /* names compared decoded, within one object */
    /* Numbers and literals inside arrays are checked, not noted; numbers with eight digits or more
     * before the point are. */
    bool skip_array_scalars;
} dv_json_limits;

typedef struct dv_json {
    dv_slice text; /* borrowed */
    dv_json_token *tokens;
    uint32_t count;
} dv_json;

/* Checks the whole text and makes its tape in the arena. The text is borrowed as long as the tape.
 * Errors: DV_ERR_INVALID with line and column (malformed, not UTF-8, duplicate key, trailing
 * bytes); DV_ERR_TOO_LARGE (depth, tokens, 4 GiB); DV_ERR_NO_MEMORY. */
dv_must dv_result dv_json_scan(dv_slice text, const dv_json_limits *limits, dv_arena *arena,
                               dv_json *ret_json, dv_error *error);

/* The raw bytes of a token (strings without quotes). */
static inline dv_slice dv_json_raw(const dv_json *json, uint32_t token)
{
    const dv_json_token *t = &json->tokens[token];
    return dv_slice_of(json->text.ptr + t->start, t->len);
}

/* The value token of a member of the object, by its decoded name; 0 when there is none (0 is the
 * top value and never a member). With duplicates the last one, as most parsers do. */
uint32_t dv_json_member_named(const dv_json *json, uint32_t object, dv_slice name);
static inline uint32_t dv_json_member(const dv_json *json, uint32_t object, const char *name)
{
    return dv_json_member_named(json, object, dv_slice_str(name));
}

/* The decoded value of a string or key in the arena. Lone surrogates decode to U+FFFD. Errors:
 * DV_ERR_INVALID (another type), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_json_decode(const dv_json *json, uint32_t token, dv_arena *arena,
                                 dv_slice *ret_text);

/* The same, but borrowed from the text when nothing was escaped. */
dv_must static inline dv_result dv_json_string(const dv_json *json, uint32_t token, dv_arena *arena,
                                               dv_slice *ret_text)
{
    const dv_json_token *t = &json->tokens[token];
    if (t->escaped || (t->type != DV_JSON_STRING && t->type != DV_JSON_KEY)) {
        return dv_json_decode(json, token, arena, ret_text);
    }
    *ret_text = dv_json_raw(json, token);
    return DV_OK;
}

/* Where the decoded string's byte `offset` lies in the raw text; offset = length gives the end.
 * For an offset inside an escape, the escape's start. */
size_t dv_json_raw_offset(dv_slice raw, size_t offset);

/* The same for many offsets of one string in ascending order, in one pass over it: start with a
 * zeroed place and hand it in again. An offset before the place's starts over. */
typedef struct dv_json_place {
    size_t raw;
    size_t decoded;
} dv_json_place;

size_t dv_json_raw_offset_from(dv_slice raw, dv_json_place *place, size_t offset);

/* The text of a member of the outermost object as a C string; "" when there is none. Errors:
 * DV_ERR_INVALID (no text, a NUL in it, or it does not fit), with a message. */
dv_must dv_result dv_json_copy_text(const dv_json *json, const char *name, dv_arena *arena,
                                    char *out, size_t size, dv_error *error);

/* A number as an integer: no fraction, no exponent, fits. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_json_int(const dv_json *json, uint32_t token, int64_t *ret_value);

/* How a JSON pointer writes a byte of a name (RFC 6901 section 3): '~' as ~0, '/' as ~1, any other
 * as it is. Borrowed from the byte or static. */
static inline dv_slice dv_json_step_byte(const uint8_t *byte)
{
    return *byte == '~' ? DV_LIT("~0") : *byte == '/' ? DV_LIT("~1") : dv_slice_of(byte, 1);
}

/* Appends a step of a JSON pointer: '/' and the name as that writes it. Errors: as dv_buf_append;
 * then a part of the step may be there. */
dv_must dv_result dv_json_append_step(dv_buf *pointer, dv_slice name);
