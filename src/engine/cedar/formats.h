/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Policy sets in Cedar's JSON (specs: json-format), both ways, and as text. */

#include "base/buf.h"
#include "engine/cedar/cedar.h"

/* Reads a policy set in JSON (staticPolicies, templates, templateLinks), or one policy (effect,
 * ...), whose id is "policy0". Strict: members that Cedar does not know are refused, as is a member
 * that stands there twice. Ids are the keys; an @id annotation is an annotation like others.
 * Errors: DV_ERR_INVALID with line, column and JSON pointer (RFC 6901), and as dv_cedar_parse and
 * its links; DV_ERR_TOO_LARGE (64 MiB, 16,384 levels of JSON); DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_json_parse(dv_slice text, dv_cedar_policy_set **ret_set,
                                      dv_error *error);

/* What else stands in JSON that is one part of a set. Borrowed from the part's set. */
typedef struct dv_cedar_json_part {
    const dv_cedar_link *links;
    size_t link_count;
} dv_cedar_json_part;

/* The same for a part of a set: its links are given and not made, since their templates may stand
 * in other parts (dv_cedar_parse_linked makes them), and one policy by itself gets the given id. */
dv_must dv_result dv_cedar_json_parse_part(dv_slice text, dv_slice id,
                                           dv_cedar_policy_set **ret_set,
                                           dv_cedar_json_part *ret_part, dv_error *error);

/* Appends the set as such JSON, without blanks. What was read is written: neither sets nor calls of
 * literals appear as what they were worked out to. Errors: the buffer's; DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_json_write(const dv_cedar_policy_set *set, dv_buf *out);

/* The same for one static policy or template of the set. Errors, besides: DV_ERR_NOT_FOUND. */
dv_must dv_result dv_cedar_policy_json_write(const dv_cedar_policy_set *set, dv_slice id,
                                             dv_buf *out);

/* Appends the static policies and templates as text, one a line, which dv_cedar_parse reads as the
 * same trees. Ids of their own are written as @id; links can only be written as JSON. Errors: the
 * buffer's; DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_text_write(const dv_cedar_policy_set *set, dv_buf *out);

/* Appends policies as text, one a line, each with its id as @id, in the place of an annotation of
 * that name. linked: those that are made from templates, with what their slots stand for, and no
 * others; otherwise the others, templates too. Errors: as above. */
dv_must dv_result dv_cedar_text_write_named(const dv_cedar_policy_set *set, bool linked,
                                            dv_buf *out);

/* Appends policy text laid out in one way: lines of up to 80 characters where that is possible,
 * comments kept, tokens untouched, so that it means the same. Laying out the result changes
 * nothing. Errors: as dv_cedar_parse, whose rules the text must follow; the buffer's. */
dv_must dv_result dv_cedar_format(dv_slice text, dv_buf *out, dv_error *error);
