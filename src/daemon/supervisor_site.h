/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What nginx is to serve: addresses, upstream, certificate, its configuration. */

#include "daemon/config.h"
#include "daemon/supervisor.h"

enum { DV_SITE_URL_MAX = 1400 };

/* Options and dvara.yaml put together. */
typedef struct dv_site {
    char listen[DV_SITE_URL_MAX];
    char admin_listen[DV_SITE_URL_MAX];
    char upstream[DV_SITE_URL_MAX];
    bool admin_moved; /* the default address was busy, so another port was taken */
    bool certificate_made;
    char fingerprint[65]; /* SHA-256 of Dvara's own certificate; "" without TLS */
} dv_site;

/* Settles the addresses. running: the site that is served now, or NULL at the start; addresses that
 * it does not use must be free. Errors: DV_ERR_INVALID, DV_ERR_CONFLICT (in use). */
dv_must dv_result dv_site_settle(const dv_up_options *options, const dv_config *config,
                                 const dv_site *running, dv_site *ret_site, dv_error *error);

/* Takes another port for the admin address when that was our choice; false: it was not. */
bool dv_site_move_admin(const dv_up_options *options, const dv_config *config, dv_site *site);

/* Makes the certificate when a listener needs one and there is none, or it ends within a week. */
dv_must dv_result dv_site_certificate(const dv_layout *layout, const dv_config *config,
                                      dv_site *site, dv_error *error);

/* Writes nginx's configuration to RUNTIME/nginx/<name> and has nginx check it. Errors:
 * DV_ERR_INVALID with nginx's own words. */
dv_must dv_result dv_site_write(const dv_layout *layout, const dv_up_options *options,
                                dv_config *config, const dv_site *site, const char *name,
                                dv_error *error);

/* /usr/sbin/nginx, or what DVARA_NGINX says. */
const char *dv_site_nginx(void);

/* Tries to reach the gate until it answers HTTP or the time is up. For a process of its own. */
dv_must bool dv_site_answers(const dv_site *site, dv_time timeout);
