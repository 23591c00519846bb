/* SPDX-License-Identifier: Apache-2.0 */
/* What may stand in nginx.conf: nothing that ends a directive, opens a block or names a variable.
 */
#include "gateway/nginx_conf_check.h"

static const char *const tls13_suites[] = {
    "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256",
    "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256",
};

dv_result dv_nginx_check_path(const char *what, const char *path, dv_error *error)
{
    if (path == NULL || path[0] != '/' || strlen(path) >= DV_NGINX_PATH_MAX) {
        return dv_error_set(error, DV_ERR_INVALID, "%s must be an absolute path", what);
    }
    for (const char *c = path; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~' || strchr("\"'\\$;{}#", *c) != NULL) {
            return dv_error_set(error, DV_ERR_INVALID,
                                "%s: the path has a character that nginx.conf can not hold safely "
                                "(space, quote, '\\', '$', ';', '{', '}', '#' or not ASCII)",
                                what);
        }
    }
    return DV_OK;
}

static bool is_word(const char *text, size_t max)
{
    size_t len = 0;
    for (; text[len] != '\0'; len++) {
        char c = text[len];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (len >= max || (!plain && c != '_' && (c != '-' || len == 0))) {
            return false;
        }
    }
    return len > 0;
}

dv_result dv_nginx_check_word(const char *what, const char *text, dv_error *error)
{
    return text != NULL && is_word(text, 64)
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID,
                              "%s must be 1 to 64 letters, digits, '-' or '_'", what);
}

static dv_result check_suites(const dv_nginx_conf *conf, dv_error *error)
{
    for (size_t i = 0; conf->cipher_suites != NULL && conf->cipher_suites[i] != NULL; i++) {
        size_t known = 0;
        while (known < DV_ARRAY_LEN(tls13_suites) &&
               strcmp(conf->cipher_suites[i], tls13_suites[known]) != 0) {
            known++;
        }
        if (known == DV_ARRAY_LEN(tls13_suites)) {
            return dv_error_set(error, DV_ERR_INVALID,
                                "\"%.64s\" is no TLS 1.3 cipher suite (RFC 8446 appendix B.4)",
                                conf->cipher_suites[i]);
        }
    }
    return DV_OK;
}

static dv_result check_paths(const dv_nginx_conf *conf, dv_error *error)
{
    DV_TRY(dv_nginx_check_path("the module", conf->module, error));
    DV_TRY(dv_nginx_check_path("the runtime directory", conf->runtime_dir, error));
    DV_TRY(dv_nginx_check_path("the directory of spilled bodies", conf->temp_dir, error));
    DV_TRY(dv_nginx_check_path("the spool directory", conf->spool_dir, error));
    DV_TRY(dv_nginx_check_path("the file of counters", conf->counters, error));
    if (conf->error_log != NULL) {
        DV_TRY(dv_nginx_check_path("the error log", conf->error_log, error));
    }
    return conf->upstream_ca != NULL
               ? dv_nginx_check_path("the upstream's CA file", conf->upstream_ca, error)
               : DV_OK;
}

dv_result dv_nginx_conf_check(const dv_nginx_conf *conf, dv_error *error)
{
    DV_TRY(check_paths(conf, error));
    DV_TRY(check_suites(conf, error));
    if (conf->user != NULL) {
        DV_TRY(dv_nginx_check_word("the workers' user", conf->user, error));
    }
    if (conf->group != NULL) {
        DV_TRY(dv_nginx_check_word("the workers' group", conf->group, error));
    }
    if (conf->workers > DV_NGINX_WORKERS_MAX) {
        return dv_error_set(error, DV_ERR_INVALID, "workers must be at most %d",
                            DV_NGINX_WORKERS_MAX);
    }
    if (conf->gate_listen == NULL || conf->upstream_count == 0) {
        return dv_error_set(error, DV_ERR_INVALID, "a listen address and an upstream are needed");
    }
    return DV_OK;
}
