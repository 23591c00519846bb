/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caps.h"
#include "daemon/config_internal.h"
#include "gateway/nginx_conf.h"
#include "room/data/control/keys.h"

static const char *const upstream_keys[] = {"url", "ca", "timeout", "tls_version", NULL};
static const char *const overload_keys[] = {
    "connections_per_address", "new_connections_per_address",
    "header_timeout",          "body_timeout",
    "recorded_refusals",       NULL};
static const char *const tls_keys[] = {"version", "cipher_suites", "certificate", "certificate_key",
                                       NULL};
/* RFC 8446 appendix B.4, without the CCM suites that no browser and few libraries offer. */
static const char *const tls_suites[] = {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
                                         "TLS_AES_128_GCM_SHA256", NULL};
static const char *const encryption_keys[] = {"algorithm", "key_rotation", "key_storage", NULL};

dv_result dv_config_path(const dv_yaml *node, const char **ret_path, dv_error *error)
{
    const char *path = NULL;
    DV_TRY(dv_yaml_string(node, &path, error));
    if (path[0] != '/') {
        return dv_config_error(node, error, "'%s' wants an absolute path", node->key);
    }
    *ret_path = path;
    return DV_OK;
}

dv_result dv_config_read_listen(const dv_yaml *node, const char **ret_url, dv_error *error)
{
    const char *url = NULL;
    dv_endpoint endpoint;
    dv_error cause = {0};
    DV_TRY(dv_yaml_string(node, &url, error));
    if (dv_endpoint_parse_listen(dv_slice_str(url), &endpoint, &cause) != DV_OK) {
        return dv_config_error(node, error, "'%s': %s", node->key, cause.message);
    }
    *ret_url = url;
    return DV_OK;
}

dv_result dv_config_read_workers(const dv_yaml *node, int64_t *ret_workers, dv_error *error)
{
    if (node->type == DV_YAML_SCALAR && strcmp(node->text, "auto") == 0) {
        *ret_workers = 0;
        return DV_OK;
    }
    return dv_yaml_int(node, 1, DV_NGINX_WORKERS_MAX, ret_workers, error);
}

static dv_result read_upstream_url(const dv_yaml *node, const char **ret_url, dv_error *error)
{
    const char *url = NULL;
    dv_endpoint endpoint;
    dv_error cause = {0};
    DV_TRY(dv_yaml_string(node, &url, error));
    if (dv_endpoint_parse_upstream(dv_slice_str(url), &endpoint, &cause) != DV_OK) {
        return dv_config_error(node, error, "'upstream': %s", cause.message);
    }
    *ret_url = url;
    return DV_OK;
}

dv_result dv_config_read_upstream(const dv_yaml *node, dv_config_settings *settings,
                                  dv_error *error)
{
    if (node->type != DV_YAML_MAP) {
        return read_upstream_url(node, &settings->upstream, error);
    }
    DV_TRY(dv_yaml_check_keys(node, upstream_keys, error));
    const dv_yaml *url = dv_yaml_get(node, "url");
    const dv_yaml *ca = dv_yaml_get(node, "ca");
    const dv_yaml *timeout = dv_yaml_get(node, "timeout");
    if (url == NULL) {
        return dv_config_error(node, error, "'upstream' lacks 'url'");
    }
    DV_TRY(read_upstream_url(url, &settings->upstream, error));
    if (ca != NULL) {
        DV_TRY(dv_config_path(ca, &settings->upstream_ca, error));
    }
    DV_TRY(
        dv_yaml_tls_version(dv_yaml_get(node, "tls_version"), &settings->upstream_tls_12, error));
    if (timeout == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_duration(timeout, &settings->upstream_timeout, error));
    if (settings->upstream_timeout < DV_SECOND || settings->upstream_timeout > 3600 * DV_SECOND) {
        return dv_config_error(timeout, error, "'timeout' must be between 1s and 1h");
    }
    return DV_OK;
}

static dv_result read_suites(const dv_yaml *node, dv_arena *arena, dv_config_settings *settings,
                             dv_error *error)
{
    if (node->type != DV_YAML_LIST || node->first == NULL) {
        return dv_config_error(node, error, "'cipher_suites' wants a list of TLS 1.3 suites");
    }
    const char **suites = dv_arena_alloc(arena, sizeof tls_suites);
    size_t count = 0;
    if (suites == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (const dv_yaml *entry = node->first; entry != NULL; entry = entry->next) {
        const char *name = NULL;
        DV_TRY(dv_yaml_string(entry, &name, error));
        if (!dv_config_one_of(name, tls_suites)) {
            return dv_config_error(entry, error,
                                   "'%.64s' is no TLS 1.3 suite that Dvara offers: %s, %s or %s",
                                   name, tls_suites[0], tls_suites[1], tls_suites[2]);
        }
        for (size_t i = 0; i < count; i++) {
            if (strcmp(suites[i], name) == 0) {
                return dv_config_error(entry, error, "'cipher_suites' names %s twice", name);
            }
        }
        suites[count++] = name;
    }
    settings->cipher_suites = suites;
    return DV_OK;
}

dv_result dv_config_read_tls(const dv_yaml *node, dv_arena *arena, dv_config_settings *settings,
                             dv_error *error)
{
    if (node->type != DV_YAML_MAP) {
        return dv_config_error(node, error, "'tls' wants version, cipher_suites, certificate");
    }
    DV_TRY(dv_yaml_check_keys(node, tls_keys, error));
    const dv_yaml *version = dv_yaml_get(node, "version");
    const dv_yaml *suites = dv_yaml_get(node, "cipher_suites");
    const dv_yaml *certificate = dv_yaml_get(node, "certificate");
    const dv_yaml *key = dv_yaml_get(node, "certificate_key");
    if (version != NULL && (version->type != DV_YAML_SCALAR || strcmp(version->text, "1.3") != 0)) {
        return dv_config_error(version, error, "'version' must be \"1.3\": Dvara serves no other");
    }
    if (suites != NULL) {
        DV_TRY(read_suites(suites, arena, settings, error));
    }
    if ((certificate == NULL) != (key == NULL)) {
        return dv_config_error(node, error, "'certificate' and 'certificate_key' go together");
    }
    if (certificate == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_config_path(certificate, &settings->certificate, error));
    return dv_config_path(key, &settings->certificate_key, error);
}

/* A whole number, or a word for "any number". */
static dv_result read_number(const dv_yaml *node, const char *any, unsigned *ret_number,
                             dv_error *error)
{
    enum { NUMBER_MAX = 1000000 };
    int64_t number = 0;
    if (node == NULL) {
        return DV_OK;
    }
    if (node->type != DV_YAML_SCALAR || strcmp(node->text, any) != 0) {
        DV_TRY(dv_yaml_int(node, 1, NUMBER_MAX, &number, error));
    }
    *ret_number = (unsigned)number;
    return DV_OK;
}

static dv_result read_seconds(const dv_yaml *node, unsigned *ret_seconds, dv_error *error)
{
    int64_t time = 0;
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_duration(node, &time, error));
    if (time < DV_SECOND || time > 3600 * DV_SECOND) {
        return dv_config_error(node, error, "'%s' must be between 1s and 1h", node->key);
    }
    *ret_seconds = (unsigned)(time / DV_SECOND);
    return DV_OK;
}

dv_result dv_config_read_overload(const dv_yaml *node, dv_nginx_overload *ret_overload,
                                  dv_error *error)
{
    dv_nginx_overload overload = {.connections = 1024,
                                  .new_connections = 500,
                                  .header_seconds = 15,
                                  .body_seconds = DV_LIMIT_BODY_SECONDS,
                                  .recorded_refusals = 20};
    if (node != NULL) {
        if (node->type != DV_YAML_MAP) {
            return dv_config_error(node, error, "'overload' wants %s and others", overload_keys[0]);
        }
        DV_TRY(dv_yaml_check_keys(node, overload_keys, error));
        DV_TRY(read_number(dv_yaml_get(node, "connections_per_address"), "any",
                           &overload.connections, error));
        DV_TRY(read_number(dv_yaml_get(node, "new_connections_per_address"), "any",
                           &overload.new_connections, error));
        DV_TRY(read_seconds(dv_yaml_get(node, "header_timeout"), &overload.header_seconds, error));
        DV_TRY(read_seconds(dv_yaml_get(node, "body_timeout"), &overload.body_seconds, error));
        DV_TRY(read_number(dv_yaml_get(node, "recorded_refusals"), "all",
                           &overload.recorded_refusals, error));
    }
    *ret_overload = overload;
    return DV_OK;
}

static dv_result check_storage(const dv_yaml *node, dv_error *error)
{
    const char *text = NULL;
    DV_TRY(dv_yaml_string(node, &text, error));
    if (strcmp(text, "file") == 0 ||
        strcmp(text, "HSM") == 0) { /* whether it is: dv_data_keys_check */
        return DV_OK;
    }
    return dv_config_error(node, error, "key_storage '%.32s': it is file or HSM", text);
}

dv_result dv_config_check_encryption(const dv_yaml *node, dv_error *error)
{
    if (node->type != DV_YAML_MAP) {
        return dv_config_error(node, error,
                               "'encryption' wants algorithm, key_rotation, key_storage");
    }
    DV_TRY(dv_yaml_check_keys(node, encryption_keys, error));
    const dv_yaml *algorithm = dv_yaml_get(node, "algorithm");
    const dv_yaml *rotation = dv_yaml_get(node, "key_rotation");
    const dv_yaml *storage = dv_yaml_get(node, "key_storage");
    if (algorithm != NULL) {
        const char *text = NULL;
        DV_TRY(dv_yaml_string(algorithm, &text, error));
        if (strcmp(text, "AES-256-GCM") != 0) {
            return dv_config_error(algorithm, error,
                                   "algorithm '%.32s': Dvara encrypts with AES-256-GCM only", text);
        }
    }
    if (rotation != NULL) {
        dv_key_period period;
        DV_TRY(dv_key_period_read(rotation, &period, error));
    }
    return storage == NULL ? DV_OK : check_storage(storage, error);
}
