/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/gate/api_request.h"

/* RFC 6750 section 2.1: "Bearer" 1*SP b64token; the scheme in any case (RFC 9110 section 11.1). */
static bool bearer_token(dv_slice value, dv_slice *ret_token)
{
    static const char scheme[] = "bearer ";
    size_t len = sizeof(scheme) - 1;
    if (value.len <= len || !dv_slice_eq_nocase(dv_slice_sub(value, 0, len), DV_LIT("bearer "))) {
        return false;
    }
    dv_slice token = dv_slice_trim(dv_slice_sub(value, len, value.len));
    if (token.len == 0 || dv_slice_find_byte(token, ' ') >= 0) {
        return false;
    }
    *ret_token = token;
    return true;
}

void dv_api_presented_add(dv_api_presented *presented, dv_slice name, dv_slice value)
{
    if (dv_slice_eq_nocase(name, DV_LIT("authorization"))) {
        presented->authorizations++;
        if (!bearer_token(value, &presented->bearer)) {
            presented->malformed = true;
        }
    } else if (dv_slice_eq_nocase(name, DV_LIT("x-api-key"))) {
        presented->api_keys++;
        presented->api_key = dv_slice_trim(value);
        if (presented->api_key.len == 0) {
            presented->malformed = true;
        }
    }
}

static dv_result deny(dv_verdict *verdict, dv_reason reason, const char *detail)
{
    dv_verdict_deny(verdict, reason, "%s", detail);
    return DV_ERR_UNAUTHENTICATED;
}

dv_result dv_api_presented_get(const dv_api_presented *presented, dv_slice *ret_credential,
                               dv_verdict *verdict)
{
    if (presented->authorizations == 0 && presented->api_keys == 0) {
        return deny(verdict, DV_REASON_NO_CREDENTIAL,
                    "send an API key as `Authorization: Bearer` or `x-api-key`");
    }
    if (presented->authorizations > 1 || presented->api_keys > 1) {
        return deny(verdict, DV_REASON_BAD_CREDENTIAL, "a credential header was sent twice");
    }
    if (presented->malformed) {
        return deny(verdict, DV_REASON_BAD_CREDENTIAL, "the credential header is malformed");
    }
    /* Two programs could each believe another one of them. */
    if (presented->authorizations == 1 && presented->api_keys == 1 &&
        !dv_slice_eq(presented->bearer, presented->api_key)) {
        return deny(verdict, DV_REASON_BAD_CREDENTIAL, "two different credentials were sent");
    }
    *ret_credential = presented->authorizations == 1 ? presented->bearer : presented->api_key;
    return DV_OK;
}
