/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What Dvara knows of the APIs that models are called through: one row each, all of it data. */

#include "base/slice.h"

/* How a denial looks to this API's clients. */
typedef enum dv_api_shape {
    DV_SHAPE_OPENAI,
    DV_SHAPE_RESPONSES, /* as OpenAI's, but for the events of streams */
    DV_SHAPE_ANTHROPIC,
} dv_api_shape;

/* How its event streams are read. */
typedef enum dv_api_stream {
    DV_API_STREAM_OPENAI,
    DV_API_STREAM_RESPONSES,
    DV_API_STREAM_ANTHROPIC,
    DV_API_STREAM_TEXT
} dv_api_stream;

/* What a member of the body means to the gate. */
typedef enum dv_api_role {
    DV_ROLE_PLAIN = 0,
    DV_ROLE_MODEL,
    DV_ROLE_STREAM,
    DV_ROLE_MAX_TOKENS, /* the largest of them counts */
    DV_ROLE_CHOICES,    /* how many answers: multiplies max_tokens */
    DV_ROLE_MESSAGES,   /* turns: objects whose content is text or parts */
    DV_ROLE_PARTS,      /* text or parts */
    DV_ROLE_TEXT,       /* a string or strings; token ids would slip past inspection */
    DV_ROLE_ITEMS,      /* a string, or items: messages, calls of tools and what they gave */
    DV_ROLE_INCLUDE,    /* names of more to be told, none of which may leak */
    DV_ROLE_LEAK,       /* gives text back in a form that can't be inspected: must be off */
} dv_api_role;

typedef enum dv_api_type {
    DV_TYPE_STRING = 1 << 0,
    DV_TYPE_BOOL = 1 << 1,
    DV_TYPE_INT = 1 << 2, /* whole and not negative */
    DV_TYPE_NUMBER = 1 << 3,
    DV_TYPE_ARRAY = 1 << 4,
    DV_TYPE_OBJECT = 1 << 5,
    DV_TYPE_NULL = 1 << 6,
} dv_api_type;

enum { DV_API_MEMBERS_MAX = 16 };

typedef struct dv_api_member {
    dv_slice name;
    dv_api_role role;
    unsigned types; /* of dv_api_type */
    bool needed;
} dv_api_member;

typedef struct dv_api_protocol {
    const char *name;
    dv_api_shape shape;
    dv_api_stream stream;
    bool object_body;             /* a JSON object must be sent */
    bool has_model;               /* the body names the model, which must be permitted */
    const dv_api_member *members; /* those that the gate looks at; at most DV_API_MEMBERS_MAX,
                                   * ended by an empty name */
    const char *const *parts;     /* content parts that are text; NULL-ended */
    bool asks_usage;              /* streams tell their usage when stream_options ask for it */
    bool form;                    /* a body is multipart/form-data, an answer may be any file */
    bool any_text;                /* bodies have no known form: every text of an answer counts */
} dv_api_protocol;

/* The row of that name, or NULL. */
const dv_api_protocol *dv_api_protocol_find(dv_slice name);

/* The member that bounds an answer's tokens: the one of that name, or the first when it is empty.
 * NULL: there is none. */
const char *dv_api_protocol_cap(const dv_api_protocol *protocol, dv_slice name);
