/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/dvarad_settings.h"

/* scheme://host[:port], lower case, nothing behind it: what browsers send (RFC 6454 section 6.2).
 */
static bool is_origin(const char *text)
{
    size_t scheme = strncmp(text, "https://", 8) == 0  ? 8
                    : strncmp(text, "http://", 7) == 0 ? 7
                                                       : 0;
    size_t host = strspn(text + scheme, "abcdefghijklmnopqrstuvwxyz0123456789.-:[]");
    return scheme > 0 && host > 0 && text[scheme + host] == '\0';
}

static dv_result add_origin(const dv_yaml *node, dv_control_settings *settings, dv_error *error)
{
    const char *text;
    DV_TRY(dv_yaml_string(node, &text, error));
    if (!is_origin(text) || strlen(text) >= DV_ORIGIN_MAX) {
        return dv_error_set_at(error, DV_ERR_INVALID, node->line, node->column,
                               "control.origins: an origin is https://HOST or https://HOST:PORT");
    }
    if (settings->origin_count == DV_ORIGINS_MAX) {
        return dv_error_set_at(error, DV_ERR_TOO_LARGE, node->line, node->column,
                               "control.origins: at most %d origins", DV_ORIGINS_MAX);
    }
    snprintf(settings->origins[settings->origin_count++], DV_ORIGIN_MAX, "%s", text);
    return DV_OK;
}

static dv_result read_origins(const dv_yaml *list, dv_control_settings *settings, dv_error *error)
{
    if (list == NULL) {
        return DV_OK;
    }
    if (list->type != DV_YAML_LIST) {
        return dv_error_set_at(error, DV_ERR_INVALID, list->line, list->column,
                               "control.origins must be a list of origins");
    }
    for (const dv_yaml *node = list->first; node != NULL; node = node->next) {
        DV_TRY(add_origin(node, settings, error));
    }
    return DV_OK;
}

static dv_result read_metrics(const dv_yaml *node, dv_control_settings *settings, dv_error *error)
{
    const char *text = "local";
    if (node != NULL) {
        DV_TRY(dv_yaml_string(node, &text, error));
    }
    settings->metrics_need_key = strcmp(text, "key") == 0;
    if (!settings->metrics_need_key && strcmp(text, "local") != 0) {
        return dv_error_set_at(error, DV_ERR_INVALID, node->line, node->column,
                               "control.metrics must be local or key");
    }
    return DV_OK;
}

dv_result dv_control_settings_read(const dv_yaml *section, dv_control_settings *ret_settings,
                                   dv_error *error)
{
    static const char *const keys[] = {"origins", "metrics", NULL};
    dv_control_settings settings = {0};
    if (section != NULL) {
        if (section->type != DV_YAML_MAP) {
            return dv_error_set_at(error, DV_ERR_INVALID, section->line, section->column,
                                   "control must be a map");
        }
        DV_TRY(dv_yaml_check_keys(section, keys, error));
        DV_TRY(read_origins(dv_yaml_get(section, "origins"), &settings, error));
        DV_TRY(read_metrics(dv_yaml_get(section, "metrics"), &settings, error));
    }
    *ret_settings = settings;
    return DV_OK;
}

static dv_result check(const dv_yaml *section, dv_error *error)
{
    dv_control_settings settings;
    return dv_control_settings_read(section, &settings, error);
}

const dv_config_section dv_control_config_section = {"control", check, NULL};
