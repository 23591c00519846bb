/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include "base/caps.h"
#include "base/file.h"
#include "daemon/config_internal.h"
#include "room/api/control/api_control.h"

enum { DV_CONFIG_ARENA = 64 << 20 };

/* The rest is read here, into the settings. */
static const char *const own_keys[] = {"listen",     "admin_listen",   "upstream", "workers", "tls",
                                       "encryption", "firewall_rules", "networks", "overload"};

bool dv_config_one_of(const char *text, const char *const *list)
{
    for (size_t i = 0; list[i] != NULL; i++) {
        if (strcmp(text, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

static dv_result check_top_keys(const dv_yaml *root, dv_error *error)
{
    const char *known[DV_CONFIG_SECTIONS_MAX + DV_ARRAY_LEN(own_keys) + 1] = {NULL};
    size_t count = 0;
    for (size_t i = 0; i < DV_ARRAY_LEN(own_keys); i++) {
        known[count++] = own_keys[i];
    }
    for (size_t i = 0; i < dv_config_section_count; i++) {
        known[count++] = dv_config_sections[i]->key;
    }
    return dv_yaml_check_keys(root, known, error);
}

static dv_result check_sections(const dv_yaml *root, dv_error *error)
{
    for (size_t i = 0; i < dv_config_section_count; i++) {
        const dv_yaml *node = dv_yaml_get(root, dv_config_sections[i]->key);
        if (node != NULL && dv_config_sections[i]->check != NULL) {
            DV_TRY(dv_config_sections[i]->check(node, error));
        }
    }
    return DV_OK;
}

static dv_result read_listeners(const dv_yaml *root, dv_config_settings *settings, dv_error *error)
{
    const dv_yaml *listen = dv_yaml_get(root, "listen");
    const dv_yaml *admin = dv_yaml_get(root, "admin_listen");
    const dv_yaml *upstream = dv_yaml_get(root, "upstream");
    const dv_yaml *workers = dv_yaml_get(root, "workers");
    if (listen != NULL) {
        DV_TRY(dv_config_read_listen(listen, &settings->listen, error));
    }
    if (admin != NULL) {
        DV_TRY(dv_config_read_listen(admin, &settings->admin_listen, error));
    }
    if (upstream != NULL) {
        DV_TRY(dv_config_read_upstream(upstream, settings, error));
    }
    return workers == NULL ? DV_OK : dv_config_read_workers(workers, &settings->workers, error);
}

static void warn(dv_config *config, const char *text)
{
    if (config->warning_count + 1 < DV_ARRAY_LEN(config->warnings)) {
        config->warnings[config->warning_count++] = text;
    }
}

static dv_result check_network_sections(dv_config *config, dv_error *error)
{
    const dv_yaml *rules = dv_yaml_get(config->root, "firewall_rules");
    const dv_yaml *networks = dv_yaml_get(config->root, "networks");
    if (networks != NULL) {
        DV_TRY(dv_config_check_networks(networks, error));
    }
    if (rules != NULL) {
        DV_TRY(dv_config_check_rules(rules, networks, error));
        warn(config, "firewall_rules: enforced for Dvara's own ports only; packets to other ports "
                     "are not filtered yet");
    }
    return DV_OK;
}

static dv_result read_own(dv_config *config, dv_error *error)
{
    const dv_yaml *tls = dv_yaml_get(config->root, "tls");
    const dv_yaml *encryption = dv_yaml_get(config->root, "encryption");
    DV_TRY(read_listeners(config->root, &config->settings, error));
    if (tls != NULL) {
        DV_TRY(dv_config_read_tls(tls, config->arena, &config->settings, error));
    }
    DV_TRY(dv_config_read_overload(dv_yaml_get(config->root, "overload"),
                                   &config->settings.overload, error));
    if (encryption != NULL) {
        DV_TRY(dv_config_check_encryption(encryption, error));
    }
    return check_network_sections(config, error);
}

static dv_result read_all(dv_slice text, dv_config *config, dv_error *error)
{
    config->arena = dv_arena_new(DV_CONFIG_ARENA);
    if (config->arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_yaml_parse(text, config->arena, &config->root, error));
    if (config->root->type != DV_YAML_MAP) {
        return dv_config_error(config->root, error, "a configuration is made of 'name: value'");
    }
    DV_TRY(check_top_keys(config->root, error));
    DV_TRY(read_own(config, error));
    DV_TRY(check_sections(config->root, error));
    return dv_api_body_max(config->root, &config->settings.body_max, error);
}

dv_result dv_config_parse(dv_slice text, dv_config **ret_config, dv_error *error)
{
    dv_auto(config) dv_config *config = calloc(1, sizeof *config);
    if (config == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(read_all(text, config, error));
    *ret_config = config;
    config = NULL;
    return DV_OK;
}

dv_result dv_config_load(const char *path, dv_config **ret_config, dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CONFIG);
    if (path != NULL) {
        DV_TRY(dv_file_read(path, &text, error));
    }
    return dv_config_parse(dv_buf_slice(&text), ret_config, error);
}

void dv_config_free(dv_config *config)
{
    if (config != NULL) {
        dv_arena_free(config->arena);
        free(config);
    }
}

const dv_config_settings *dv_config_get_settings(const dv_config *config)
{
    return &config->settings;
}

const dv_yaml *dv_config_section_get(const dv_config *config, const char *key)
{
    return dv_yaml_get(config->root, key);
}

const dv_yaml *dv_config_root(const dv_config *config)
{
    return config->root;
}

const char *const *dv_config_warnings(const dv_config *config)
{
    return config->warnings;
}

dv_result dv_config_port_access(dv_config *config, uint16_t port,
                                const dv_config_access **ret_access, size_t *ret_count)
{
    const dv_yaml *rules = dv_yaml_get(config->root, "firewall_rules");
    if (rules == NULL) {
        *ret_access = NULL;
        *ret_count = 0;
        return DV_OK;
    }
    return dv_config_rules_for_port(rules, dv_yaml_get(config->root, "networks"), port,
                                    config->arena, ret_access, ret_count);
}
