/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor_site.h"

#include "base/codec.h"
#include "base/file.h"
#include "crypto/certificate.h"
#include "daemon/supervisor_process.h"
#include "gateway/nginx_conf.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* Reachable from other machines only over TLS; the admin listener only from this one. */
static const char default_listen[] = "https://0.0.0.0:8443";
enum {
    DV_ADMIN_PORT = 8444,
    DV_WORKERS_DEFAULT_MAX = 8,
    DV_CERTIFICATE_DAYS = 398,
    DV_CERTIFICATE_RENEW_DAYS = 7,
    DV_NGINX_CHECK_SECONDS = 20,
    DV_ACCESS_ARENA = 4 << 20,
    DV_CONF_MAX = 16 << 20, /* firewall rules name many addresses */
};
#define DV_DAY (86400 * DV_SECOND)

static dv_result copy_url(char out[DV_SITE_URL_MAX], const char *url, dv_error *error)
{
    if (snprintf(out, DV_SITE_URL_MAX, "%s", url) >= DV_SITE_URL_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "too long an address: %.100s...", url);
    }
    return DV_OK;
}

static socklen_t socket_address(const dv_endpoint *endpoint, struct sockaddr_storage *out)
{
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (endpoint->ipv6) {
        ipv6->sin6_family = AF_INET6;
        ipv6->sin6_port = htons(endpoint->port);
        return inet_pton(AF_INET6, endpoint->host, &ipv6->sin6_addr) == 1 ? sizeof *ipv6 : 0;
    }
    const char *host = strcmp(endpoint->host, "localhost") == 0 ? "127.0.0.1" : endpoint->host;
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = htons(endpoint->port);
    return inet_pton(AF_INET, host, &ipv4->sin_addr) == 1 ? sizeof *ipv4 : 0;
}

/* 0: free; else errno of the attempt to take it. */
static int port_fault(const dv_endpoint *endpoint)
{
    struct sockaddr_storage address;
    socklen_t len = socket_address(endpoint, &address);
    dv_auto(fd) int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0 || len == 0) {
        return len == 0 ? EADDRNOTAVAIL : errno;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (endpoint->ipv6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 1) != 0) {
        return errno;
    }
    return 0;
}

static dv_result check_port(const char *url, dv_error *error)
{
    dv_endpoint endpoint;
    DV_TRY(dv_endpoint_parse_listen(dv_slice_str(url), &endpoint, error));
    int fault = port_fault(&endpoint);
    if (fault == EADDRINUSE) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "%s: port %u is in use by another program; end it (`ss -ltnp` shows "
                            "which), or choose another address with --listen",
                            url, endpoint.port);
    }
    if (fault != 0) {
        return dv_error_set(error, DV_ERR_IO, "can not listen on %s: %s", url, strerror(fault));
    }
    return DV_OK;
}

/* An address that is served now is ours to keep. */
static dv_result check_new_port(const char *url, const dv_site *running, dv_error *error)
{
    if (running != NULL &&
        (strcmp(url, running->listen) == 0 || strcmp(url, running->admin_listen) == 0)) {
        return DV_OK;
    }
    return check_port(url, error);
}

static uint16_t any_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    dv_auto(fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return 0;
    }
    return ntohs(address.sin_port);
}

/* On loopback, plain only when the gate is: then plain HTTP was asked for. */
static dv_result choose_admin(dv_site *site, const dv_site *running, dv_error *error)
{
    const char *scheme = strncmp(site->listen, "https:", 6) == 0 ? "https" : "http";
    if (running != NULL && strncmp(running->admin_listen, scheme, strlen(scheme)) == 0) {
        return copy_url(site->admin_listen, running->admin_listen, error);
    }
    dv_endpoint endpoint = {.port = DV_ADMIN_PORT, .host = "127.0.0.1"};
    dv_endpoint gate;
    uint16_t port = DV_ADMIN_PORT;
    DV_TRY(dv_endpoint_parse_listen(dv_slice_str(site->listen), &gate, error));
    if (gate.port == port || port_fault(&endpoint) != 0) {
        port = any_free_port();
        site->admin_moved = true;
    }
    snprintf(site->admin_listen, sizeof site->admin_listen, "%s://127.0.0.1:%u", scheme, port);
    return port == 0 ? dv_error_set(error, DV_ERR_IO, "there is no free port on 127.0.0.1") : DV_OK;
}

bool dv_site_move_admin(const dv_up_options *options, const dv_config *config, dv_site *site)
{
    if (options->admin_listen != NULL || dv_config_get_settings(config)->admin_listen != NULL) {
        return false;
    }
    uint16_t port = any_free_port();
    const char *scheme = strncmp(site->listen, "https:", 6) == 0 ? "https" : "http";
    snprintf(site->admin_listen, sizeof site->admin_listen, "%s://127.0.0.1:%u", scheme, port);
    site->admin_moved = true;
    return port != 0;
}

static const char *first_of(const char *a, const char *b, const char *c)
{
    return a != NULL ? a : b != NULL ? b : c;
}

static dv_result check_upstream(const char *url, dv_error *error)
{
    dv_endpoint endpoint;
    if (url == NULL) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "say which model server to guard: --upstream http://HOST:PORT, or "
                            "'upstream:' in dvara.yaml");
    }
    return dv_endpoint_parse_upstream(dv_slice_str(url), &endpoint, error);
}

dv_result dv_site_settle(const dv_up_options *options, const dv_config *config,
                         const dv_site *running, dv_site *ret_site, dv_error *error)
{
    const dv_config_settings *settings = dv_config_get_settings(config);
    dv_site site = {0};
    const char *upstream = first_of(options->upstream, settings->upstream, NULL);
    const char *admin = first_of(options->admin_listen, settings->admin_listen, NULL);
    DV_TRY(check_upstream(upstream, error));
    DV_TRY(copy_url(site.upstream, upstream, error));
    DV_TRY(
        copy_url(site.listen, first_of(options->listen, settings->listen, default_listen), error));
    DV_TRY(check_new_port(site.listen, running, error));
    if (admin == NULL) {
        DV_TRY(choose_admin(&site, running, error));
    } else {
        DV_TRY(copy_url(site.admin_listen, admin, error));
        DV_TRY(check_new_port(site.admin_listen, running, error));
    }
    if (strcmp(site.listen, site.admin_listen) == 0) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "--listen and --admin-listen must be different addresses");
    }
    *ret_site = site;
    return DV_OK;
}

static bool needs_certificate(const dv_site *site)
{
    return strncmp(site->listen, "https:", 6) == 0 || strncmp(site->admin_listen, "https:", 6) == 0;
}

/* Whether the file is there and good for some more days; its fingerprint goes to the site. */
static bool certificate_is_good(const char *path, dv_site *site)
{
    dv_auto(buf) dv_buf pem = dv_buf_init(64 << 10);
    dv_auto(buf) dv_buf hex = dv_buf_init(65);
    uint8_t digest[32];
    dv_time not_after = 0;
    if (dv_file_read(path, &pem, NULL) != DV_OK ||
        dv_certificate_fingerprint(dv_buf_slice(&pem), digest, &not_after) != DV_OK ||
        not_after < dv_time_now() + DV_CERTIFICATE_RENEW_DAYS * DV_DAY ||
        dv_hex_encode(dv_slice_of(digest, sizeof digest), &hex) != DV_OK) {
        return false;
    }
    snprintf(site->fingerprint, sizeof site->fingerprint, "%.*s",
             DV_SLICE_ARGS(dv_buf_slice(&hex)));
    return true;
}

static dv_result certificate_names(const dv_site *site, dv_buf *names)
{
    char host[256] = "";
    dv_endpoint endpoint;
    DV_TRY(dv_buf_append_str(names, "localhost,127.0.0.1,::1"));
    if (gethostname(host, sizeof host - 1) == 0 && host[0] != '\0' &&
        strcmp(host, "localhost") != 0) {
        DV_TRY(dv_buf_append_printf(names, ",%s", host));
    }
    DV_TRY(dv_endpoint_parse_listen(dv_slice_str(site->listen), &endpoint, NULL));
    bool named = strcmp(endpoint.host, "0.0.0.0") != 0 && strcmp(endpoint.host, "::") != 0 &&
                 strcmp(endpoint.host, "localhost") != 0 &&
                 strcmp(endpoint.host, "127.0.0.1") != 0 && strcmp(endpoint.host, "::1") != 0;
    return named ? dv_buf_append_printf(names, ",%s", endpoint.host) : DV_OK;
}

static dv_result make_certificate(const char *certificate, const char *key, const dv_site *site,
                                  dv_error *error)
{
    dv_auto(buf) dv_buf names = dv_buf_init(1024);
    dv_auto(secret_buf) dv_buf key_pem = dv_buf_init(16 << 10);
    dv_auto(buf) dv_buf certificate_pem = dv_buf_init(16 << 10);
    dv_time now = dv_time_now();
    DV_TRY(certificate_names(site, &names));
    DV_TRY(dv_buf_reserve(&key_pem, 8 << 10));
    DV_TRY(dv_certificate_self_signed(dv_buf_cstr(&names), now - DV_DAY,
                                      now + DV_CERTIFICATE_DAYS * DV_DAY, &key_pem,
                                      &certificate_pem, error));
    DV_TRY(dv_file_write_atomic(key, dv_buf_slice(&key_pem), 0600, error));
    return dv_file_write_atomic(certificate, dv_buf_slice(&certificate_pem), 0644, error);
}

dv_result dv_site_certificate(const dv_layout *layout, const dv_config *config, dv_site *site,
                              dv_error *error)
{
    const dv_config_settings *settings = dv_config_get_settings(config);
    char certificate[PATH_MAX];
    char key[PATH_MAX];
    if (!needs_certificate(site) || settings->certificate != NULL) {
        return DV_OK;
    }
    DV_TRY(dv_path_join(layout->state, "tls/gate.crt", certificate));
    DV_TRY(dv_path_join(layout->state, "tls/gate.key", key));
    if (access(key, R_OK) == 0 && certificate_is_good(certificate, site)) {
        return DV_OK;
    }
    DV_TRY(make_certificate(certificate, key, site, error));
    site->certificate_made = true;
    if (!certificate_is_good(certificate, site)) {
        return dv_error_set(error, DV_ERR_INTERNAL, "the new certificate %s is not good",
                            certificate);
    }
    return DV_OK;
}

/* The paths that nginx.conf names, as the processes see them. */
typedef struct site_paths {
    char module[PATH_MAX];
    char temp_dir[PATH_MAX];
    char spool[PATH_MAX];
    char counters[PATH_MAX];
    char certificate[PATH_MAX];
    char key[PATH_MAX];
} site_paths;

static dv_result find_paths(const dv_layout *layout, const dv_up_options *options,
                            site_paths *paths)
{
    DV_TRY(dv_path_join(options->programs, "ngx_http_dvara_module.so", paths->module));
    DV_TRY(dv_path_join(layout->runtime, "nginx/temp", paths->temp_dir));
    DV_TRY(dv_path_join(layout->view, "spool", paths->spool));
    DV_TRY(dv_path_join(layout->view, "shared/counters", paths->counters));
    DV_TRY(dv_path_join(layout->view, "tls/gate.crt", paths->certificate));
    return dv_path_join(layout->view, "tls/gate.key", paths->key);
}

static unsigned worker_count(const dv_up_options *options, const dv_config_settings *settings)
{
    if (options->workers > 0) {
        return (unsigned)options->workers;
    }
    if (settings->workers > 0) {
        return (unsigned)settings->workers;
    }
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors < 1 ? 1 : (unsigned)DV_MIN(processors, DV_WORKERS_DEFAULT_MAX);
}

/* The rules of `firewall_rules:` for a port, as nginx takes them. */
static dv_result access_of(dv_config *config, const char *url, dv_arena *arena,
                           const dv_nginx_access **ret_access, size_t *ret_count, dv_error *error)
{
    dv_endpoint endpoint;
    const dv_config_access *rules = NULL;
    size_t count = 0;
    DV_TRY(dv_endpoint_parse_listen(dv_slice_str(url), &endpoint, error));
    DV_TRY(dv_config_port_access(config, endpoint.port, &rules, &count));
    dv_nginx_access *access = dv_arena_alloc(arena, (count + 1) * sizeof *access);
    if (access == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        access[i] = (dv_nginx_access){rules[i].allow, rules[i].source};
    }
    *ret_access = access;
    *ret_count = count;
    return DV_OK;
}

static dv_result render(const dv_layout *layout, const dv_up_options *options, dv_config *config,
                        const dv_site *site, dv_buf *out, dv_error *error)
{
    const dv_config_settings *settings = dv_config_get_settings(config);
    site_paths paths;
    DV_TRY(find_paths(layout, options, &paths));
    bool own = settings->certificate == NULL;
    const char *const servers[] = {site->upstream};
    const dv_nginx_upstream upstream = {
        .name = "default",
        .servers = servers,
        .server_count = DV_ARRAY_LEN(servers),
        .answer_timeout_s = (unsigned)(settings->upstream_timeout / DV_SECOND),
    };
    const dv_nginx_access *gate = NULL;
    const dv_nginx_access *admin = NULL;
    size_t gate_count = 0;
    size_t admin_count = 0;
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_ACCESS_ARENA);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(access_of(config, site->listen, arena, &gate, &gate_count, error));
    DV_TRY(access_of(config, site->admin_listen, arena, &admin, &admin_count, error));
    const dv_nginx_conf conf = {
        .gate_listen = site->listen,
        .admin_listen = site->admin_listen,
        .gate_access = gate,
        .gate_access_count = gate_count,
        .admin_access = admin,
        .admin_access_count = admin_count,
        .upstreams = &upstream,
        .upstream_count = 1,
        .upstream_ca = settings->upstream_ca,
        .upstream_tls_12 = settings->upstream_tls_12,
        .certificate = own ? paths.certificate : settings->certificate,
        .certificate_key = own ? paths.key : settings->certificate_key,
        .cipher_suites = settings->cipher_suites,
        .workers = worker_count(options, settings),
        .user = layout->worker_user,
        .daemonless = true,
        .module = paths.module,
        .runtime_dir = layout->runtime,
        .temp_dir = paths.temp_dir,
        .temp_on_disk = !dv_layout_in_memory(layout),
        .spool_dir = paths.spool,
        .counters = paths.counters,
        .overload = settings->overload,
        .body_max = settings->body_max,
    };
    return dv_nginx_conf_render(&conf, out, error);
}

const char *dv_site_nginx(void)
{
    const char *said = getenv("DVARA_NGINX");
    return said != NULL && said[0] == '/' ? said : "/usr/sbin/nginx";
}

/* nginx's own check of the whole: it also opens files and addresses. */
static dv_result check_with_nginx(const dv_layout *layout, const char *path, dv_error *error)
{
    dv_auto(buf) dv_buf output = dv_buf_init(4096);
    int code = 0;
    const dv_process_plan plan = {
        .program = dv_site_nginx(),
        .args = {"nginx", "-t", "-q", "-e", "stderr", "-c", path},
        .death_signal = SIGKILL,
    };
    DV_TRY(
        dv_process_run(&plan, layout, DV_NGINX_CHECK_SECONDS * DV_SECOND, &output, &code, error));
    if (code != 0) {
        return dv_error_set(error, DV_ERR_INVALID, "nginx refuses its configuration: %.*s",
                            DV_SLICE_ARGS(dv_slice_trim(dv_buf_slice(&output))));
    }
    return DV_OK;
}

dv_result dv_site_write(const dv_layout *layout, const dv_up_options *options, dv_config *config,
                        const dv_site *site, const char *name, dv_error *error)
{
    char folder[PATH_MAX];
    char path[PATH_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(DV_CONF_MAX);
    DV_TRY(dv_path_join(layout->runtime, "nginx", folder));
    DV_TRY(dv_path_join(folder, name, path));
    DV_TRY(render(layout, options, config, site, &text, error));
    DV_TRY(dv_file_write_atomic(path, dv_buf_slice(&text), 0644, error));
    return check_with_nginx(layout, path, error);
}

static size_t drop_body(char *bytes, size_t size, size_t count, void *data)
{
    (void)bytes;
    (void)data;
    return size * count;
}

/* One request to the gate's own readiness page; any HTTP answer but "not ready" will do. */
static bool answers_once(const char *url)
{
    long status = 0;
    CURL *curl = curl_easy_init();
    if (curl == NULL) {
        return false;
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 2000L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop_body);
    /* It is our own port on this machine; who serves it is not in question. */
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    bool answered = curl_easy_perform(curl) == CURLE_OK &&
                    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
                    status != 503;
    curl_easy_cleanup(curl);
    return answered;
}

bool dv_site_answers(const dv_site *site, dv_time timeout)
{
    dv_endpoint endpoint;
    char url[DV_SITE_URL_MAX];
    dv_time deadline = dv_time_monotonic() + timeout;
    if (dv_endpoint_parse_listen(dv_slice_str(site->listen), &endpoint, NULL) != DV_OK) {
        return false;
    }
    bool any = strcmp(endpoint.host, "0.0.0.0") == 0 || strcmp(endpoint.host, "::") == 0;
    const char *host = !any ? endpoint.host : endpoint.ipv6 ? "::1" : "127.0.0.1";
    snprintf(url, sizeof url, "%s://%s%s%s:%u/", endpoint.tls ? "https" : "http",
             endpoint.ipv6 ? "[" : "", host, endpoint.ipv6 ? "]" : "", endpoint.port);
    while (!answers_once(url)) {
        if (dv_time_monotonic() > deadline) {
            return false;
        }
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    return true;
}
