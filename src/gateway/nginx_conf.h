/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* nginx.conf, generated whole. Plain C without nginx's types: the supervisor links it. Nothing of
 * a configuration reaches the text unless it was parsed and found harmless here. */

#include "base/buf.h"

#include <sys/types.h>

enum {
    DV_NGINX_HOST_MAX = 256,
    DV_NGINX_PATH_MAX = 1024,
    DV_NGINX_CONF_MAX = 64 << 10,
    DV_NGINX_WORKERS_MAX = 256,
};

/* "http(s)://HOST:PORT/PATH", taken apart. */
typedef struct dv_endpoint {
    bool tls;
    bool ipv6;                    /* host is an IPv6 literal (kept without brackets) */
    char host[DV_NGINX_HOST_MAX]; /* literal or name, lower case */
    uint16_t port;
    char path[DV_NGINX_PATH_MAX]; /* "" or "/base", never with a slash at its end */
} dv_endpoint;

/* Reads the URL of an upstream: http or https, a DNS name or an IP literal, a base path of
 * unreserved characters; no user name, query or fragment (RFC 3986 section 3).
 * Errors: DV_ERR_INVALID with a message. */
dv_must dv_result dv_endpoint_parse_upstream(dv_slice url, dv_endpoint *ret_endpoint,
                                             dv_error *error);

/* Reads where to listen: "https://ADDRESS:PORT" or "http://ADDRESS:PORT", ADDRESS an IP literal or
 * "localhost", PORT 1 to 65535 (1 to 1023 need root). Plain http is refused unless the address is
 * a loopback one (127.0.0.0/8, ::1). */
dv_must dv_result dv_endpoint_parse_listen(dv_slice url, dv_endpoint *ret_endpoint,
                                           dv_error *error);

/* One group of model servers. */
typedef struct dv_nginx_upstream {
    const char *name;           /* as routes name it: "default"; letters, digits, '-', '_' */
    const char *const *servers; /* URLs, all of one scheme and base path */
    size_t server_count;
    unsigned connect_timeout_s; /* seconds; 0: 10. The longest of all groups holds for all */
    unsigned answer_timeout_s;  /* between two reads of an answer; 0: 300; the same */
} dv_nginx_upstream;

/* Who may connect: the first entry that holds the address decides; no entry does: allowed. */
typedef struct dv_nginx_access {
    bool allow;
    const char *source; /* "10.0.0.0/8", "2001:db8::/32" or "all" */
} dv_nginx_access;

/* What floods are held back with. */
typedef struct dv_nginx_overload {
    unsigned connections;       /* open at once from one address, in each worker; 0: any number */
    unsigned new_connections;   /* a second, from one address, in each worker; 0: any number */
    unsigned header_seconds;    /* for a request's head to come; 0: 15 */
    unsigned body_seconds;      /* for its body to come whole; 0: DV_LIMIT_BODY_SECONDS */
    unsigned recorded_refusals; /* a second, each by itself, of one address and reason in each
                                   worker; the others are counted; 0: each is recorded */
} dv_nginx_overload;

/* What nginx.conf is made from. Every path is absolute, of printable ASCII without quotes, `\`,
 * `$`, `;`, `{`, `}`; all strings are borrowed for the call. */
typedef struct dv_nginx_conf {
    const char *gate_listen;            /* URL, see above */
    const char *admin_listen;           /* URL; NULL: no admin listener */
    const dv_nginx_access *gate_access; /* by address; may be NULL */
    size_t gate_access_count;
    const dv_nginx_access *admin_access;
    size_t admin_access_count;
    const dv_nginx_upstream *upstreams; /* at least one */
    size_t upstream_count;
    const char *upstream_ca;          /* PEM bundle for https upstreams; NULL: Debian's */
    bool upstream_tls_12;             /* they may speak TLS 1.2; otherwise 1.3 alone */
    const char *certificate;          /* PEM chain; needed when a listener is https */
    const char *certificate_key;      /* PEM key */
    const char *const *cipher_suites; /* TLS 1.3 names, NULL-ended; NULL: OpenSSL's choice */

    unsigned workers;  /* 0: one for each processor */
    const char *user;  /* workers' user; NULL when nginx is not started as root */
    const char *group; /* NULL: the user's group */
    bool daemonless;   /* true: `daemon off`, under a supervisor */

    const char *module;      /* ngx_http_dvara_module.so */
    const char *runtime_dir; /* RUNTIME: snapshot/, log.pub, metrics, usage, api.sock, nginx/ */
    const char *temp_dir;    /* spilled bodies; on tmpfs where there is one */
    bool temp_on_disk;       /* it is not: then bodies stay in the workers' memory */
    const char *spool_dir;   /* survives a reboot */
    const char *counters;    /* the limit table's file; survives a reboot */
    const char *error_log;   /* path; NULL: stderr */

    dv_nginx_overload overload;

    uint64_t body_max; /* bytes, the largest body_limit of any route; 0: the default */
} dv_nginx_conf;

/* Appends the whole text of nginx.conf to out (its maximum should be DV_NGINX_CONF_MAX, and 50
 * bytes for each entry of access).
 * Errors: DV_ERR_INVALID with a message that names the parameter. */
dv_must dv_result dv_nginx_conf_render(const dv_nginx_conf *conf, dv_buf *out, dv_error *error);
