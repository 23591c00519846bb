/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the sections of dvara.yaml that no room owns have in common: the supervisor's own, and those
 * whose rooms come later. Each is checked by itself; those that need another one get both. */

#include "daemon/config.h"

/* The sections that rooms own (config_sections.c). */
enum { DV_CONFIG_SECTIONS_MAX = 32 };
extern const dv_config_section *const dv_config_sections[];
extern const size_t dv_config_section_count;

struct dv_config {
    dv_arena *arena;
    const dv_yaml *root; /* a map; empty when there is no file */
    dv_config_settings settings;
    const char *warnings[8];
    size_t warning_count;
};

/* DV_ERR_INVALID at the node's place. */
#define dv_config_error(node, error, ...) dv_yaml_refuse(node, error, __VA_ARGS__)

/* Is the text one of the NULL-ended list? */
bool dv_config_one_of(const char *text, const char *const *list);

/* An absolute path of printable bytes. */
dv_must dv_result dv_config_path(const dv_yaml *node, const char **ret_path, dv_error *error);

/* listen, admin_listen, workers, upstream. */
dv_must dv_result dv_config_read_listen(const dv_yaml *node, const char **ret_url, dv_error *error);
dv_must dv_result dv_config_read_workers(const dv_yaml *node, int64_t *ret_workers,
                                         dv_error *error);
/* A URL, or {url, ca, timeout}. */
dv_must dv_result dv_config_read_upstream(const dv_yaml *node, dv_config_settings *settings,
                                          dv_error *error);

/* tls: {version, cipher_suites, certificate, certificate_key}. */
dv_must dv_result dv_config_read_tls(const dv_yaml *node, dv_arena *arena,
                                     dv_config_settings *settings, dv_error *error);

/* overload: {connections_per_address, new_connections_per_address, header_timeout, body_timeout,
 * recorded_refusals}; node NULL: all defaults. */
dv_must dv_result dv_config_read_overload(const dv_yaml *node, dv_nginx_overload *ret_overload,
                                          dv_error *error);

/* encryption: {algorithm, key_rotation, key_storage}. */
dv_must dv_result dv_config_check_encryption(const dv_yaml *node, dv_error *error);

/* firewall_rules and networks; either may be NULL. */
dv_must dv_result dv_config_check_networks(const dv_yaml *networks, dv_error *error);
dv_must dv_result dv_config_check_rules(const dv_yaml *rules, const dv_yaml *networks,
                                        dv_error *error);
/* Checked rules only. */
dv_must dv_result dv_config_rules_for_port(const dv_yaml *rules, const dv_yaml *networks,
                                           uint16_t port, dv_arena *arena,
                                           const dv_config_access **ret_access, size_t *ret_count);
