/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ngx.h"

static ngx_http_module_t dv_ngx_module_ctx = {0};

ngx_module_t ngx_http_dvara_module = {
    NGX_MODULE_V1,
    .ctx = &dv_ngx_module_ctx,
    .type = NGX_HTTP_MODULE,
};

DV_EXPORT ngx_module_t *ngx_modules[] = {&ngx_http_dvara_module, NULL};
DV_EXPORT char *ngx_module_names[] = {"ngx_http_dvara_module", NULL};
DV_EXPORT char *ngx_module_order[] = {"ngx_http_dvara_module", "ngx_http_copy_filter_module", NULL};
