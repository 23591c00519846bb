/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 * 1. No text of the configuration reaches nginx.conf but through nginx_conf_check.c and endpoint.c.
 * 2. A header of the caller reaches an upstream only when its name stands in head.c; so no
 *    credential, cookie, range or header that names an identity or another upstream does.
 * 3. No header of an upstream steers nginx.
 * 4. Only a location that the module guards has a proxy_pass. */
#include "gateway/nginx_conf_check.h"

#include "base/caps.h"

/* What dvarad gets. It believes X-Real-IP because only nginx reaches its socket. */
static const char *const admin_headers[][2] = {
    {"Host", "$http_host"},
    {"Accept", "$http_accept"},
    {"Authorization", "$http_authorization"},
    {"Content-Type", "$content_type"},
    {"Cookie", "$http_cookie"},
    {"If-Match", "$http_if_match"},
    {"If-None-Match", "$http_if_none_match"},
    {"Origin", "$http_origin"},
    {"Sec-Fetch-Site", "$http_sec_fetch_site"},
    {"User-Agent", "$http_user_agent"},
    {"X-API-Key", "$http_x_api_key"},
    {"X-Real-IP", "$remote_addr"},
    {"X-Request-ID", "$http_x_request_id"},
};

/* Headers of an answer that would steer the caller's client or speak in Dvara's name. */
static const char *const hidden_headers[] = {
    "X-Accel-Redirect",
    "X-Accel-Expires",
    "X-Accel-Limit-Rate",
    "X-Accel-Buffering",
    "X-Accel-Charset",
    "X-Request-Id",
    "Request-Id",
    "Set-Cookie",
    "WWW-Authenticate",
    "RateLimit",
    "RateLimit-Policy",
    "Strict-Transport-Security",
    "Alt-Svc",
    "Refresh",
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Credentials",
};

static dv_result put_main(const dv_nginx_conf *conf, dv_buf *out)
{
    DV_TRY(dv_buf_append_str(out, "# Made by Dvara; changes here are lost at the next reload.\n"));
    DV_TRY(dv_buf_append_printf(out, "load_module %s;\n", conf->module));
    DV_TRY(dv_buf_append_printf(out, "daemon %s;\n", conf->daemonless ? "off" : "on"));
    if (conf->user != NULL) {
        DV_TRY(dv_buf_append_printf(out, "user %s %s;\n", conf->user,
                                    conf->group != NULL ? conf->group : conf->user));
    }
    DV_TRY(conf->workers == 0 ? dv_buf_append_str(out, "worker_processes auto;\n")
                              : dv_buf_append_printf(out, "worker_processes %u;\n", conf->workers));
    DV_TRY(dv_buf_append_printf(out, "pid %s/nginx/nginx.pid;\n", conf->runtime_dir));
    DV_TRY(dv_buf_append_printf(out, "lock_file %s/nginx/nginx.lock;\n", conf->runtime_dir));
    DV_TRY(dv_buf_append_printf(out, "error_log %s error;\n",
                                conf->error_log != NULL ? conf->error_log : "stderr"));
    /* Ten thousand streams, each with a connection to either side; the supervisor gives nginx as
     * many descriptors as it may. */
    /* Never more jobs than threads are handed over (pool.c), so its queue stays short. */
    DV_TRY(dv_buf_append_str(out, "thread_pool dvara threads=2 max_queue=16;\n"));
    return dv_buf_append_str(out, "worker_rlimit_core 0;\n"
                                  "worker_shutdown_timeout 300s;\n"
                                  "events { worker_connections 24576; }\n");
}

/* nginx's own wait for a body is longer than the module's for all of it, so that it is the module
 * that ends it, with a record. */
static dv_result put_overload(const dv_nginx_overload *overload, dv_buf *out)
{
    unsigned head = overload->header_seconds != 0 ? overload->header_seconds : 15;
    unsigned body = overload->body_seconds != 0 ? overload->body_seconds : DV_LIMIT_BODY_SECONDS;
    DV_TRY(dv_buf_append_printf(out,
                                "    client_header_timeout %us;\n"
                                "    client_body_timeout %us;\n",
                                head, body + 15));
    if (overload->body_seconds != 0) {
        DV_TRY(dv_buf_append_printf(out, "    dvara_body_timeout %us;\n", body));
    }
    return dv_buf_append_printf(out,
                                "    dvara_connections %u %u;\n"
                                "    dvara_recorded_refusals %u;\n",
                                overload->connections, overload->new_connections,
                                overload->recorded_refusals);
}

static const unsigned long long body_buffer = 64 << 10;

static uint64_t body_max(const dv_nginx_conf *conf)
{
    return conf->body_max != 0 ? conf->body_max : DV_LIMIT_BODY_DEFAULT;
}

/* What is larger is spilled, which no disk is to see: prompts are not sealed there.
 * Every limit that stands before the module. The body's is the largest of any route; the module
 * holds each route to its own. */
static dv_result put_limits(const dv_nginx_conf *conf, dv_buf *out)
{
    DV_TRY(dv_buf_append_str(out, "    server_tokens off;\n"
                                  "    access_log off;\n"
                                  "    log_not_found off;\n"
                                  "    etag off;\n"
                                  "    merge_slashes off;\n"
                                  "    absolute_redirect off;\n"
                                  "    underscores_in_headers off;\n"
                                  "    ignore_invalid_headers on;\n"
                                  "    reset_timedout_connection on;\n"
                                  "    request_pool_size 8k;\n"
                                  "    client_header_buffer_size 4k;\n"
                                  "    large_client_header_buffers 4 16k;\n"
                                  "    send_timeout 60s;\n"
                                  "    keepalive_timeout 75s;\n"
                                  "    keepalive_requests 100000;\n"
                                  "    lingering_timeout 5s;\n"
                                  "    http2_max_concurrent_streams 128;\n"));
    DV_TRY(put_overload(&conf->overload, out));
    unsigned long long most = body_max(conf);
    DV_TRY(dv_buf_append_printf(out,
                                "    client_max_body_size %llu;\n"
                                "    client_body_buffer_size %llu;\n",
                                most, conf->temp_on_disk ? most : DV_MIN(most, body_buffer)));
    static const char *const temps[] = {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"};
    for (size_t i = 0; i < DV_ARRAY_LEN(temps); i++) {
        DV_TRY(dv_buf_append_printf(out, "    %s_temp_path %s/%s;\n", temps[i], conf->temp_dir,
                                    temps[i]));
    }
    return DV_OK;
}

/* RFC 8446 only; session tickets would outlive the certificate's key. */
static dv_result put_tls(const dv_nginx_conf *conf, dv_buf *out, dv_error *error)
{
    DV_TRY(dv_nginx_check_path("the certificate (needed for https)", conf->certificate, error));
    DV_TRY(dv_nginx_check_path("the certificate's key (needed for https)", conf->certificate_key,
                               error));
    DV_TRY(dv_buf_append_printf(out,
                                "    ssl_certificate %s;\n"
                                "    ssl_certificate_key %s;\n"
                                "    ssl_protocols TLSv1.3;\n"
                                "    ssl_session_tickets off;\n"
                                "    ssl_session_cache shared:dvara_tls:4m;\n"
                                "    ssl_session_timeout 1h;\n",
                                conf->certificate, conf->certificate_key));
    if (conf->cipher_suites == NULL || conf->cipher_suites[0] == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_buf_append_str(out, "    ssl_conf_command Ciphersuites "));
    for (size_t i = 0; conf->cipher_suites[i] != NULL; i++) {
        DV_TRY(dv_buf_append_printf(out, "%s%s", i > 0 ? ":" : "", conf->cipher_suites[i]));
    }
    return dv_buf_append_str(out, ";\n");
}

static dv_result put_host(const dv_endpoint *endpoint, dv_buf *out)
{
    return dv_buf_append_printf(out, endpoint->ipv6 ? "[%s]:%u" : "%s:%u", endpoint->host,
                                endpoint->port);
}

static dv_result put_server_line(const dv_nginx_upstream *upstream, size_t index,
                                 dv_endpoint *first, dv_buf *out, dv_error *error)
{
    dv_endpoint endpoint = {0};
    DV_TRY(dv_endpoint_parse_upstream(dv_slice_str(upstream->servers[index]), &endpoint, error));
    if (index == 0) {
        *first = endpoint;
    }
    if (endpoint.tls != first->tls || strcmp(endpoint.path, first->path) != 0) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "upstream %s: all servers must have one scheme and one base path",
                            upstream->name);
    }
    DV_TRY(dv_buf_append_str(out, "        server "));
    DV_TRY(put_host(&endpoint, out));
    return dv_buf_append_str(out, ";\n");
}

/* The row for the module: name, scheme, Host header (RFC 9110 section 7.2: no default port), name
 * for TLS, base path. */
static dv_result put_row(const char *name, const dv_endpoint *first, dv_buf *out)
{
    DV_TRY(dv_buf_append_printf(out, "    dvara_upstream %s %s ", name,
                                first->tls ? "https" : "http"));
    if (first->port != (first->tls ? 443 : 80)) {
        DV_TRY(put_host(first, out));
    } else {
        DV_TRY(dv_buf_append_printf(out, first->ipv6 ? "[%s]" : "%s", first->host));
    }
    return dv_buf_append_printf(out, " %s \"%s\";\n", first->host, first->path);
}

static dv_result put_upstream(const dv_nginx_upstream *upstream, bool *any_tls, dv_buf *out,
                              dv_error *error)
{
    dv_endpoint first = {0};
    DV_TRY(dv_nginx_check_word("the name of an upstream", upstream->name, error));
    if (upstream->server_count == 0) {
        return dv_error_set(error, DV_ERR_INVALID, "upstream %s has no server", upstream->name);
    }
    DV_TRY(dv_buf_append_printf(out, "    upstream dvara_to_%s {\n", upstream->name));
    for (size_t i = 0; i < upstream->server_count; i++) {
        DV_TRY(put_server_line(upstream, i, &first, out, error));
    }
    /* Common model servers close idle connections after 5 s; a POST that meets such a closing can't
     * be sent again, so ours close first. */
    DV_TRY(dv_buf_append_str(out, "        keepalive 64;\n"
                                  "        keepalive_timeout 4s;\n"
                                  "        keepalive_requests 100000;\n"
                                  "    }\n"));
    *any_tls = *any_tls || first.tls;
    return put_row(upstream->name, &first, out);
}

static dv_result put_headers(const char *const headers[][2], size_t count, dv_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        DV_TRY(dv_buf_append_printf(out, "            proxy_set_header %s %s;\n", headers[i][0],
                                    headers[i][1]));
    }
    return DV_OK;
}

static dv_result put_proxy(dv_buf *out)
{
    DV_TRY(dv_buf_append_str(
        out, "            proxy_http_version 1.1;\n"
             "            proxy_pass_request_headers off;\n"
             "            proxy_set_header Connection \"\";\n"
             "            proxy_redirect off;\n"
             "            proxy_buffering off;\n"
             "            proxy_buffer_size 16k;\n"
             "            proxy_buffers 4 16k;\n"
             "            proxy_busy_buffers_size 32k;\n"
             "            proxy_max_temp_file_size 0;\n"
             "            proxy_socket_keepalive on;\n"
             "            proxy_intercept_errors off;\n"
             "            proxy_ignore_headers X-Accel-Redirect X-Accel-Expires "
             "X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset Expires Cache-Control "
             "Set-Cookie Vary;\n"));
    return DV_OK;
}

static unsigned longest(const dv_nginx_conf *conf, bool connect, unsigned otherwise)
{
    unsigned longest = 0;
    for (size_t i = 0; i < conf->upstream_count; i++) {
        const dv_nginx_upstream *upstream = &conf->upstreams[i];
        unsigned seconds = connect ? upstream->connect_timeout_s : upstream->answer_timeout_s;
        longest = DV_MAX(longest, seconds != 0 ? seconds : otherwise);
    }
    return longest;
}

static dv_result put_listen(const dv_endpoint *endpoint, dv_buf *out)
{
    DV_TRY(dv_buf_append_str(out, "    server {\n        listen "));
    DV_TRY(put_host(endpoint, out));
    /* This nginx can't tell HTTP/2 from HTTP/1.1 without TLS's ALPN. */
    DV_TRY(dv_buf_append_str(out, endpoint->tls ? " default_server ssl http2;\n"
                                                : " default_server;\n"));
    return dv_buf_append_str(out, "        server_name _;\n");
}

/* The rules of a listener, run together where neighbours say the same: one `geo` for each run. */
typedef struct access_list {
    const char *name; /* of the variables */
    const dv_nginx_access *entries;
    size_t count;
} access_list;

static bool begins_run(const access_list *list, size_t index)
{
    return index == 0 || list->entries[index].allow != list->entries[index - 1].allow;
}

/* An address or network in text has no other bytes than these. */
static dv_result put_source(const char *source, dv_buf *out, dv_error *error)
{
    size_t len = strlen(source);
    if (strcmp(source, "all") == 0) {
        return dv_buf_append_str(out, "        default 1;\n");
    }
    if (len == 0 || len >= 64 || strspn(source, "0123456789abcdefABCDEF.:/") != len) {
        return dv_error_set(error, DV_ERR_INVALID, "'%.64s' is no address or network", source);
    }
    return dv_buf_append_printf(out, "        %s 1;\n", source);
}

static dv_result put_geo(const access_list *list, dv_buf *out, dv_error *error)
{
    for (size_t i = 0; i < list->count; i++) {
        if (begins_run(list, i)) {
            DV_TRY(dv_buf_append_printf(out, "%s    geo $dvara_%s_%zu {\n", i == 0 ? "" : "    }\n",
                                        list->name, i));
        }
        DV_TRY(put_source(list->entries[i].source, out, error));
    }
    return list->count == 0 ? DV_OK : dv_buf_append_str(out, "    }\n");
}

/* In the server's rewrite phase, so that a refused address is told nothing else. */
static dv_result put_access(const access_list *list, dv_buf *out)
{
    for (size_t i = 0; i < list->count; i++) {
        if (begins_run(list, i)) {
            DV_TRY(dv_buf_append_printf(out, "        if ($dvara_%s_%zu) { %s; }\n", list->name, i,
                                        list->entries[i].allow ? "break" : "return 403"));
        }
    }
    return DV_OK;
}

static access_list gate_list(const dv_nginx_conf *conf)
{
    return (access_list){"gate", conf->gate_access, conf->gate_access_count};
}

static access_list admin_list(const dv_nginx_conf *conf)
{
    return (access_list){"admin", conf->admin_access, conf->admin_access_count};
}

static dv_result put_upstream_tls(const dv_nginx_conf *conf, dv_buf *out)
{
    return dv_buf_append_printf(out,
                                "            proxy_ssl_verify on;\n"
                                "            proxy_ssl_verify_depth 4;\n"
                                "            proxy_ssl_server_name on;\n"
                                "            proxy_ssl_name $dvara_upstream_name;\n"
                                "            proxy_ssl_protocols %sTLSv1.3;\n"
                                "            proxy_ssl_trusted_certificate %s;\n",
                                conf->upstream_tls_12 ? "TLSv1.2 " : "",
                                conf->upstream_ca != NULL ? conf->upstream_ca
                                                          : "/etc/ssl/certs/ca-certificates.crt");
}

static dv_result put_gate(const dv_nginx_conf *conf, const dv_endpoint *listen, bool upstream_tls,
                          dv_buf *out, dv_error *error)
{
    unsigned answer = longest(conf, false, 300);
    access_list access = gate_list(conf);
    DV_TRY(put_geo(&access, out, error));
    DV_TRY(put_listen(listen, out));
    DV_TRY(put_access(&access, out));
    DV_TRY(dv_buf_append_str(
        out, "        location / {\n"
             "            dvara gate;\n"
             "            proxy_pass $dvara_target;\n"
             "            # The value has X-Request-Id and what else is sent on behind it.\n"
             "            proxy_set_header Host $dvara_upstream_fields;\n"));
    DV_TRY(put_proxy(out));
    for (size_t i = 0; i < DV_ARRAY_LEN(hidden_headers); i++) {
        DV_TRY(dv_buf_append_printf(out, "            proxy_hide_header %s;\n", hidden_headers[i]));
    }
    if (upstream_tls) {
        DV_TRY(put_upstream_tls(conf, out));
    }
    return dv_buf_append_printf(out,
                                "            proxy_connect_timeout %us;\n"
                                "            proxy_send_timeout %us;\n"
                                "            proxy_read_timeout %us;\n"
                                "        }\n    }\n",
                                longest(conf, true, 10), answer, answer);
}

static dv_result put_admin(const dv_nginx_conf *conf, const dv_endpoint *listen, dv_buf *out,
                           dv_error *error)
{
    access_list access = admin_list(conf);
    DV_TRY(put_geo(&access, out, error));
    DV_TRY(dv_buf_append_printf(out,
                                "    upstream dvara_api {\n"
                                "        server unix:%s/api.sock;\n"
                                "        keepalive 16;\n"
                                "    }\n",
                                conf->runtime_dir));
    DV_TRY(put_listen(listen, out));
    DV_TRY(put_access(&access, out));
    DV_TRY(dv_buf_append_printf(out,
                                "        location / {\n"
                                "            dvara admin;\n"
                                "            client_max_body_size %d;\n"
                                "            proxy_pass http://dvara_api;\n",
                                DV_LIMIT_CONTROL_BODY));
    DV_TRY(put_proxy(out));
    DV_TRY(put_headers(admin_headers, DV_ARRAY_LEN(admin_headers), out));
    return dv_buf_append_printf(out,
                                "            proxy_set_header X-Forwarded-Proto %s;\n"
                                "            proxy_read_timeout 60s;\n"
                                "        }\n    }\n",
                                listen->tls ? "https" : "http");
}

static dv_result put_upstreams(const dv_nginx_conf *conf, bool *any_tls, dv_buf *out,
                               dv_error *error)
{
    for (size_t i = 0; i < conf->upstream_count; i++) {
        DV_TRY(put_upstream(&conf->upstreams[i], any_tls, out, error));
    }
    return DV_OK;
}

static dv_result put_http(const dv_nginx_conf *conf, dv_buf *out, dv_error *error)
{
    dv_endpoint gate = {0};
    dv_endpoint admin = {0};
    bool upstream_tls = false;
    DV_TRY(dv_endpoint_parse_listen(dv_slice_str(conf->gate_listen), &gate, error));
    if (conf->admin_listen != NULL) {
        DV_TRY(dv_endpoint_parse_listen(dv_slice_str(conf->admin_listen), &admin, error));
    }
    DV_TRY(dv_buf_append_str(out, "http {\n"));
    DV_TRY(put_limits(conf, out));
    if (gate.tls || admin.tls) {
        DV_TRY(put_tls(conf, out, error));
    }
    DV_TRY(dv_buf_append_printf(out,
                                "    dvara_runtime %s;\n"
                                "    dvara_spool %s;\n"
                                "    dvara_counters %s;\n",
                                conf->runtime_dir, conf->spool_dir, conf->counters));
    DV_TRY(put_upstreams(conf, &upstream_tls, out, error));
    DV_TRY(put_gate(conf, &gate, upstream_tls, out, error));
    if (conf->admin_listen != NULL) {
        DV_TRY(put_admin(conf, &admin, out, error));
    }
    return dv_buf_append_str(out, "}\n");
}

dv_result dv_nginx_conf_render(const dv_nginx_conf *conf, dv_buf *out, dv_error *error)
{
    DV_TRY(dv_nginx_conf_check(conf, error));
    DV_TRY(put_main(conf, out));
    return put_http(conf, out, error);
}
