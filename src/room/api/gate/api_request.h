/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What of a request is decided without nginx: path, credential, body, limits. */

#include "core/principal.h"
#include "core/verdict.h"
#include "room/api/gate/api_config.h"

/* True when the raw path (before any '?') is its own normal form: it begins with '/', has no empty,
 * "." or ".." segment, no percent-encoding, and only RFC 3986's pchar without ';'. Two programs
 * then can't read it in two ways. */
bool dv_api_path_is_normal(dv_slice path);

/* The caller's credential, gathered header by header. */
typedef struct dv_api_presented {
    dv_slice bearer;  /* of Authorization */
    dv_slice api_key; /* of x-api-key */
    unsigned authorizations;
    unsigned api_keys;
    bool malformed;
} dv_api_presented;

/* Takes a header (name in any case) into account; others than the two are passed over. The value is
 * borrowed. */
void dv_api_presented_add(dv_api_presented *presented, dv_slice name, dv_slice value);

/* The one credential: of `Authorization: Bearer` (RFC 6750 section 2.1) or `x-api-key`, or of both
 * when they are the same. Otherwise the verdict is denied (NO_CREDENTIAL, BAD_CREDENTIAL) and
 * DV_ERR_UNAUTHENTICATED returned. */
dv_must dv_result dv_api_presented_get(const dv_api_presented *presented, dv_slice *ret_credential,
                                       dv_verdict *verdict);

/* Denies (BAD_REQUEST, BAD_CREDENTIAL, BAD_FIELD) a query string that carries a key of Dvara or a
 * refused field, or is not UTF-8 once decoded; gives back the decoded text ("a=b\nc=d") for
 * inspection, in the arena. */
dv_must dv_result dv_api_query_check(const dv_api_config *config, dv_slice query, dv_arena *arena,
                                     dv_slice *ret_text, dv_verdict *verdict);

/* What the body asks for. */
typedef struct dv_api_body {
    dv_slice model;   /* decoded; empty where the protocol has none */
    dv_slice counted; /* the model as limits and prices know it: whatever its letters' case */
    dv_slice entity;  /* the model as policies know it; in the arena */
    bool stream;
    int64_t max_tokens; /* for each choice, the largest that any member says; -1: not said */
    bool cap_said;      /* the route's own member says one */
    int64_t choices;    /* 1 unless said */
    uint64_t prompts;   /* texts that are each answered apart; 1 unless there are more */
    dv_slice param;     /* on a denial: JSON pointer (RFC 6901) of the member, or empty */
} dv_api_body;

/* Bytes of a pointer that is told: it fits a verdict's detail whole. */
enum { DV_API_POINTER_MAX = 160 };

/* Denies (BAD_FIELD) because of the member at body->param; where that is empty, none is named.
 * Returns DV_ERR_INVALID. */
dv_must dv_result dv_api_body_deny(const dv_api_body *body, const char *why, dv_verdict *verdict);

/* Checks a scanned body against its route: refused fields in any depth, the route's fields, the
 * protocol's members. ret_body->param is written on a denial, too (BAD_FIELD, BAD_REQUEST; the
 * result then is DV_ERR_INVALID). Names of parameters in the schemas of tools are the caller's own
 * and are not held against refused_fields. */
dv_must dv_result dv_api_body_check(const dv_api_config *config, const dv_api_route *route,
                                    const dv_json *json, dv_arena *arena, dv_api_body *ret_body,
                                    dv_verdict *verdict);

/* Reads a form (base/multipart.h) and checks the names of its parts, and what of its fields is JSON
 * or a URL, as those of a body. Errors: DV_ERR_INVALID, with a denial (BAD_REQUEST, BAD_FIELD). */
dv_must dv_result dv_api_form_check(const dv_api_config *config, const dv_api_route *route,
                                    dv_slice form, dv_slice boundary, dv_arena *arena,
                                    dv_api_body *ret_body, dv_verdict *verdict);

/* Bytes of a text that give way to others. */
typedef struct dv_api_insert {
    size_t at;
    size_t len;
    dv_slice text;
} dv_api_insert;

/* Where a body that asks for a stream would ask for the usage, too (OpenAI's `stream_options`); no
 * other byte changes. False: it does already. */
bool dv_api_usage_ask(const dv_json *json, dv_api_insert *ret_insert);

/* Where a body whose cap_said is false would say that number of tokens with the route's member. One
 * that says it with another member of the protocol gets that one renamed, since servers refuse a
 * body that says both, or heed one of them alone; the number stays as the caller wrote it. The text
 * lies in the arena. Errors: DV_ERR_INVALID (no object), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_api_cap_put(const dv_json *json, const dv_api_route *route, uint64_t tokens,
                                 dv_arena *arena, dv_api_insert *ret_insert);

/* True for "application/json" and "application/SOMETHING+json", parameters aside; a charset other
 * than utf-8 makes it false (RFC 8259 section 8.1). */
bool dv_api_type_is_json(dv_slice content_type);
/* text/plain in UTF-8 or its subset US-ASCII (RFC 2046 section 4.1.2); in another charset the same
 * bytes would be another text than the one that was inspected. */
bool dv_api_type_is_text(dv_slice content_type);
/* True when the media type (before ';') is that one, in any case. */
bool dv_api_type_is(dv_slice content_type, const char *media_type);

/* Model::"gpt-4o" in the arena. The name has 1 to DV_LIMIT_NAME printable ASCII bytes other than
 * '"' and '\', and no space at its ends. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_api_model_entity(dv_slice model, dv_arena *arena, dv_slice *ret_entity);
/* The name in lower case: the model's own, or a copy in the arena. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_api_model_counted(dv_slice model, dv_arena *arena, dv_slice *ret_counted);
