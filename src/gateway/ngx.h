/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* nginx's headers, and the few words that turn its types into ours. Only src/gateway includes it.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "base/slice.h"

#define DV_EXPORT __attribute__((visibility("default")))

extern ngx_module_t ngx_http_dvara_module;

static inline dv_slice dv_ngx_slice(ngx_str_t text)
{
    return (dv_slice){text.data, text.len};
}
