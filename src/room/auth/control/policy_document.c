/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/policies.h"

#include "engine/cedar/formats.h"

/* A text is Cedar, or Cedar's JSON: a policy in Cedar never begins with a brace. */

bool dv_auth_document_is_json(const dv_auth_document *document)
{
    return dv_slice_starts_with(dv_slice_trim(document->text), DV_LIT("{"));
}

dv_result dv_auth_document_parse(const dv_auth_document *document, dv_cedar_policy_set **ret_set,
                                 dv_cedar_json_part *ret_part, dv_error *error)
{
    if (dv_auth_document_is_json(document)) {
        return dv_cedar_json_parse_part(document->text, dv_slice_str(document->name), ret_set,
                                        ret_part, error);
    }
    DV_TRY(dv_cedar_parse(document->text, ret_set, error));
    *ret_part = (dv_cedar_json_part){0};
    return DV_OK;
}
