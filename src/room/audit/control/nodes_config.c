/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/control/nodes_config.h"

#include "engine/log/state.h"

#include <stdlib.h>

static const dv_time interval_default = 60 * DV_SECOND;
static const dv_time interval_max = 3600 * DV_SECOND;
static const dv_time alarm_default = 3600 * DV_SECOND;
static const dv_time alarm_max = 30 * 86400LL * DV_SECOND;
static const dv_time keep_least = 60 * DV_SECOND;
static const dv_time keep_most = 36500 * 86400LL * DV_SECOND;
static const uint64_t keep_free_default = 1 << 30;

const dv_node *dv_node_find(const dv_node_settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->count; i++) {
        if (strcmp(settings->nodes[i].name, name) == 0) {
            return &settings->nodes[i];
        }
    }
    return NULL;
}

/* -- one node ---------------------------------------------------------------------------------- */

/* The text of a key, "" when it is absent. */
static dv_result read_text(const dv_yaml *map, const char *key, size_t most, char *out,
                           dv_error *error)
{
    const char *text = "";
    const dv_yaml *node = dv_yaml_get(map, key);
    if (node != NULL) {
        DV_TRY(dv_yaml_string(node, &text, error));
    }
    if (strlen(text) > most) {
        return dv_yaml_refuse(node, error, "audit.nodes: %s has more than %zu characters", key,
                              most);
    }
    memcpy(out, text, strlen(text) + 1);
    return DV_OK;
}

static dv_result read_path(const dv_yaml *map, const char *key, char out[DV_NODE_PATH_MAX + 1],
                           dv_error *error)
{
    DV_TRY(read_text(map, key, DV_NODE_PATH_MAX, out, error));
    return out[0] == '\0' || out[0] == '/'
               ? DV_OK
               : dv_yaml_refuse(dv_yaml_get(map, key), error,
                                "audit.nodes: %s wants an absolute path", key);
}

/* An API key goes there: over TLS, or to this machine. */
static bool is_url(const char *text)
{
    static const char *const fronts[] = {"https://", "http://127.0.0.1:", "http://[::1]:"};
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "-._~:/[]";
    for (size_t i = 0; i < DV_ARRAY_LEN(fronts); i++) {
        size_t front = strlen(fronts[i]), len = strlen(text);
        if (strncmp(text, fronts[i], front) == 0) {
            return len > front && strspn(text + front, plain) == len - front;
        }
    }
    return false;
}

static dv_result read_url(const dv_yaml *map, dv_node *node, dv_error *error)
{
    DV_TRY(read_text(map, "url", DV_NODE_URL_MAX, node->url, error));
    if (!is_url(node->url)) {
        return dv_yaml_refuse(dv_yaml_get(map, "url") != NULL ? dv_yaml_get(map, "url") : map,
                              error,
                              "audit.nodes: url wants https://HOST:PORT (http:// on a loopback "
                              "address alone)");
    }
    for (size_t len = strlen(node->url); node->url[len - 1] == '/'; len--) {
        node->url[len - 1] = '\0';
    }
    return DV_OK;
}

static dv_result read_name(const dv_yaml *map, const dv_node_settings *settings, dv_node *node,
                           dv_error *error)
{
    DV_TRY(read_text(map, "name", DV_NODE_NAME_MAX, node->name, error));
    if (!dv_log_name_is(dv_slice_str(node->name)) || strcmp(node->name, DV_NODE_LOCAL) == 0) {
        return dv_yaml_refuse(map, error,
                              "audit.nodes: each wants a name of a-z, 0-9 and '-' that begins "
                              "with a letter and is not \"" DV_NODE_LOCAL "\"");
    }
    return dv_node_find(settings, node->name) == NULL
               ? DV_OK
               : dv_yaml_refuse(map, error, "audit.nodes: there are two nodes %s", node->name);
}

/* Two copies of one log under two names would hide which node is which. */
static dv_result read_key(const dv_yaml *map, const dv_node_settings *settings, dv_node *node,
                          dv_error *error)
{
    const char *vkey;
    const dv_yaml *key = dv_yaml_get(map, "key");
    if (key == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_string(key, &vkey, error));
    if (dv_note_verifier_parse(dv_slice_str(vkey), &node->key) != DV_OK) {
        return dv_yaml_refuse(key, error,
                              "audit.nodes: key is no log's verifier key such as "
                              "name+1a2b3c4d+AbC... (there: dvara audit checkpoint --output json)");
    }
    for (size_t i = 0; i < settings->count; i++) {
        if (settings->nodes[i].copied && strcmp(settings->nodes[i].key.name, node->key.name) == 0) {
            return dv_yaml_refuse(key, error, "audit.nodes: %s has that log already",
                                  settings->nodes[i].name);
        }
    }
    node->copied = true;
    return DV_OK;
}

static dv_result read_keep(const dv_yaml *map, dv_node *node, dv_error *error)
{
    const dv_yaml *keep = dv_yaml_get(map, "keep");
    if (keep == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_duration(keep, &node->keep, error));
    if (node->keep < keep_least || node->keep > keep_most) {
        return dv_yaml_refuse(keep, error, "audit.nodes: keep must be between 1m and 36500d");
    }
    return node->copied ? DV_OK
                        : dv_yaml_refuse(keep, error,
                                         "audit.nodes: keep is of a copy, which %s has none of "
                                         "without its key",
                                         node->name);
}

static dv_result add_node(const dv_yaml *map, dv_node_settings *settings, dv_error *error)
{
    static const char *const keys[] = {"name", "url", "ca", "api_key_file", "key", "keep", NULL};
    DV_TRY(dv_yaml_check_keys(map, keys, error));
    if (settings->count == DV_NODES_MAX) {
        return dv_error_set_at(error, DV_ERR_TOO_LARGE, map->line, map->column,
                               "audit.nodes: at most %d", DV_NODES_MAX);
    }
    dv_node *node = &settings->nodes[settings->count];
    *node = (dv_node){.copied = false};
    DV_TRY(read_name(map, settings, node, error));
    DV_TRY(read_url(map, node, error));
    DV_TRY(read_path(map, "ca", node->ca, error));
    DV_TRY(read_path(map, "api_key_file", node->api_key_file, error));
    if (node->api_key_file[0] == '\0') {
        return dv_yaml_refuse(map, error, "audit.nodes: %s wants api_key_file", node->name);
    }
    DV_TRY(read_key(map, settings, node, error));
    DV_TRY(read_keep(map, node, error));
    settings->count++;
    return DV_OK;
}

/* -- the section ------------------------------------------------------------------------------- */

static dv_result read_duration(const dv_yaml *section, const char *key, dv_time most, dv_time *out,
                               dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(section, key);
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_duration(node, out, error));
    return *out >= DV_SECOND && *out <= most
               ? DV_OK
               : dv_yaml_refuse(node, error, "audit.%s must be between 1s and %s", key,
                                most == interval_max ? "1h" : "30d");
}

dv_result dv_node_settings_read(const dv_yaml *section, dv_node_settings *ret_settings,
                                dv_error *error)
{
    *ret_settings = (dv_node_settings){
        .interval = interval_default, .alarm_after = alarm_default, .keep_free = keep_free_default};
    if (section == NULL) {
        return DV_OK;
    }
    const dv_yaml *list = dv_yaml_get(section, "nodes");
    const dv_yaml *keep_free = dv_yaml_get(section, "nodes_keep_free");
    if (list != NULL && list->type != DV_YAML_LIST) {
        return dv_yaml_refuse(list, error,
                              "audit.nodes must be a list of {name, url, api_key_file}");
    }
    for (const dv_yaml *node = list == NULL ? NULL : list->first; node != NULL; node = node->next) {
        DV_TRY(add_node(node, ret_settings, error));
    }
    DV_TRY(read_duration(section, "node_interval", interval_max, &ret_settings->interval, error));
    DV_TRY(
        read_duration(section, "node_alarm_after", alarm_max, &ret_settings->alarm_after, error));
    return keep_free == NULL ? DV_OK
                             : dv_yaml_size(keep_free, INT64_MAX, &ret_settings->keep_free, error);
}

dv_result dv_nodes_config_check(const dv_yaml *section, dv_error *error)
{
    dv_auto(free) dv_node_settings *settings = malloc(sizeof(*settings));
    return settings == NULL ? DV_ERR_NO_MEMORY : dv_node_settings_read(section, settings, error);
}
