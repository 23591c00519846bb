/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* dvara.yaml: read and checked whole, then put into force by dvarad. A file with any error is
 * refused whole, with the line, and what was in force stays. */

#include "base/arena.h"
#include "base/yaml.h"
#include "core/config.h"
#include "core/services.h"
#include "gateway/nginx_conf.h"

typedef struct dv_config dv_config;

/* How the supervisor and nginx are set up; strings live as long as the config. NULL or 0: not in
 * the file. Command-line options outrank them. */
typedef struct dv_config_settings {
    const char *listen; /* "http://127.0.0.1:8080", "https://0.0.0.0:8443" */
    const char *admin_listen;
    int64_t workers;                  /* processes of nginx; 0: one for each processor, 8 at most */
    const char *upstream;             /* URL of the model server */
    const char *upstream_ca;          /* PEM bundle that https upstreams are checked with */
    bool upstream_tls_12;             /* upstreams may speak TLS 1.2 */
    int64_t upstream_timeout;         /* nanoseconds between two reads of an answer */
    const char *const *cipher_suites; /* TLS 1.3 names, NULL-ended */
    const char *certificate;          /* PEM, absolute paths: both or neither */
    const char *certificate_key;
    dv_nginx_overload overload; /* the defaults where the file says nothing */
    uint64_t body_max;          /* bytes, the largest body that a route takes */
} dv_config_settings;

/* Who may connect to one of Dvara's own ports, by `firewall_rules:`. The first entry that holds the
 * address decides; no entry: allowed. */
typedef struct dv_config_access {
    bool allow;
    const char *source; /* "10.0.0.0/8", "2001:db8::/32" or "all" */
} dv_config_access;

/* Reads the file and lets every section's owner check it. path NULL: no file, all defaults.
 * Errors carry the line; DV_ERR_NOT_FOUND when there is no such file. */
dv_must dv_result dv_config_load(const char *path, dv_config **ret_config, dv_error *error);
/* The same from a text in memory. */
dv_must dv_result dv_config_parse(dv_slice text, dv_config **ret_config, dv_error *error);
void dv_config_free(dv_config *config);
DV_DEFINE_AUTO_PTR(config, dv_config, dv_config_free)

const dv_config_settings *dv_config_get_settings(const dv_config *config);

/* A top-level section, or NULL when it is not in the file. */
const dv_yaml *dv_config_section_get(const dv_config *config, const char *key);

/* All of it. */
const dv_yaml *dv_config_root(const dv_config *config);

/* The entries for a port, in order. The array lives as long as the config. Of a rule that denies
 * everyone, loopback stays allowed. */
dv_must dv_result dv_config_port_access(dv_config *config, uint16_t port,
                                        const dv_config_access **ret_access, size_t *ret_count);

/* Things that are accepted but that the operator must be told ("packet filtering is not applied
 * yet"); NULL-ended, live as long as the config. */
const char *const *dv_config_warnings(const dv_config *config);

/* Puts all sections into force: called by dvarad at start, once store and snapshot are open, and
 * at SIGHUP. Every section is checked before any is applied. Writes the gateway's configuration
 * into the snapshot. */
dv_must dv_result dv_config_apply(const dv_config *config, dv_services *services, dv_error *error);
