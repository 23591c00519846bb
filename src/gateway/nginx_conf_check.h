/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The checks that every text passes on its way into nginx.conf; for nginx_conf.c alone. */

#include "gateway/nginx_conf.h"

/* An absolute path that needs no quotes. what: names it in the message. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_nginx_check_path(const char *what, const char *path, dv_error *error);

/* 1 to 64 letters, digits, '-' or '_'. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_nginx_check_word(const char *what, const char *text, dv_error *error);

/* Everything but the certificate (needed only with https) and the upstreams, which are checked as
 * they are written. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_nginx_conf_check(const dv_nginx_conf *conf, dv_error *error);
