/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/nginx_conf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_upstreams(void **state)
{
    static const struct {
        const char *url;
        bool tls;
        const char *host;
        uint16_t port;
        const char *path;
    } good[] = {
        {"http://127.0.0.1:9000", false, "127.0.0.1", 9000, ""},
        {"https://API.example.org", true, "api.example.org", 443, ""},
        {"http://[::1]:8000/base/", false, "::1", 8000, "/base"},
        {"http://models/a/b-c_d.e~f", false, "models", 80, "/a/b-c_d.e~f"},
    };
    static const char *const bad[] = {
        "",
        "ftp://x",
        "http://",
        "http://:80",
        "http:///x",
        "http://x:0",
        "http://x:65536",
        "http://x:80x",
        "http://x:999999",
        "http://u@x/",
        "http://x/a;b",
        "http://x/a b",
        "http://x/$a",
        "http://x/\"",
        "http://x/a//b",
        "http://x/../b",
        "http://x/?q",
        "http://x#f",
        "http://[::1",
        "http://[::g]/",
        "http://[::1]x:80",
        "http://x;}/",
        "http://x\n",
        "http://unix:/run/x",
        "http://$host/",
        "http://-x/",
        "HTTP://x/",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(good); i++) {
        dv_endpoint e = {0};
        assert_int_equal(dv_endpoint_parse_upstream(dv_slice_str(good[i].url), &e, NULL), DV_OK);
        assert_int_equal(e.tls, good[i].tls);
        assert_string_equal(e.host, good[i].host);
        assert_int_equal(e.port, good[i].port);
        assert_string_equal(e.path, good[i].path);
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_endpoint e = {0};
        dv_error error = {0};
        if (dv_endpoint_parse_upstream(dv_slice_str(bad[i]), &e, &error) != DV_ERR_INVALID) {
            fail_msg("accepted: %s", bad[i]);
        }
        assert_true(error.message[0] != '\0');
    }
}

static void test_listens(void **state)
{
    static const char *const good[] = {"http://127.0.0.1:8080", "http://localhost:1",
                                       "http://[::1]:80/",      "https://0.0.0.0:8443",
                                       "https://[::]:8443",     "http://127.9.9.9:80"};
    static const char *const bad[] = {
        "http://0.0.0.0:80",   "http://10.0.0.1:80",  "http://[::]:80",  "https://example.org:1",
        "https://1.2.3.4:1/x", "http://128.0.0.1:80", "https://1.2.3:1", "https://*:443"};
    for (size_t i = 0; i < DV_ARRAY_LEN(good); i++) {
        dv_endpoint e = {0};
        assert_int_equal(dv_endpoint_parse_listen(dv_slice_str(good[i]), &e, NULL), DV_OK);
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_endpoint e = {0};
        if (dv_endpoint_parse_listen(dv_slice_str(bad[i]), &e, NULL) != DV_ERR_INVALID) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
}

static const char *const one_server[] = {"http://127.0.0.1:9000/base"};
static const char *const mixed_servers[] = {"http://a/base", "http://b/other"};
static const char *const tls_servers[] = {"https://a.example", "https://b.example:444"};
static const char *const suites[] = {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
                                     NULL};
static const char *const bad_suites[] = {"TLS_AES_256_GCM_SHA384; daemon off", NULL};
static const dv_nginx_upstream one = {.name = "default", .servers = one_server, .server_count = 1};
static const dv_nginx_upstream mixed = {.name = "m", .servers = mixed_servers, .server_count = 2};
static const dv_nginx_upstream tls = {.name = "t", .servers = tls_servers, .server_count = 2};
static const dv_nginx_upstream bad_name = {.name = "a b", .servers = one_server, .server_count = 1};

static dv_nginx_conf plain(void)
{
    return (dv_nginx_conf){
        .gate_listen = "http://127.0.0.1:8080",
        .upstreams = &one,
        .upstream_count = 1,
        .module = "/m.so",
        .runtime_dir = "/run/d",
        .temp_dir = "/run/d/nginx",
        .spool_dir = "/s/spool",
        .counters = "/s/counters",
        .daemonless = true,
    };
}

static void expect(const dv_nginx_conf *conf, const char *wanted, bool there)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_NGINX_CONF_MAX);
    dv_error error = {0};
    if (dv_nginx_conf_render(conf, &out, &error) != DV_OK) {
        fail_msg("%s", error.message);
    }
    if ((strstr(dv_buf_cstr(&out), wanted) != NULL) != there) {
        fail_msg("%s \"%s\" in:\n%s", there ? "no" : "unwanted", wanted, dv_buf_cstr(&out));
    }
}

/* What does not fit is spilled; where that would be a disk all of it fits. */
static void test_spilled_bodies(void **state)
{
    dv_nginx_conf conf = plain();
    (void)state;
    conf.body_max = 5 << 20;
    expect(&conf, "client_body_buffer_size 65536;", true);
    conf.temp_on_disk = true;
    expect(&conf, "client_body_buffer_size 5242880;", true);
    conf.temp_on_disk = false;
    conf.body_max = 1000;
    expect(&conf, "client_body_buffer_size 1000;", true);
}

/* Neighbours that say the same share a block; nothing but addresses gets through. */
static void test_access(void **state)
{
    static const dv_nginx_access rules[] = {
        {true, "10.0.0.0/8"}, {true, "2001:db8::/32"}, {false, "all"}};
    static const dv_nginx_access bad[] = {{true, "10.0.0.1; } evil {"}};
    dv_auto(buf) dv_buf out = dv_buf_init(DV_NGINX_CONF_MAX);
    dv_nginx_conf conf = plain();
    (void)state;
    conf.gate_access = rules;
    conf.gate_access_count = DV_ARRAY_LEN(rules);
    expect(&conf,
           "geo $dvara_gate_0 {\n        10.0.0.0/8 1;\n        2001:db8::/32 1;\n    }\n"
           "    geo $dvara_gate_2 {\n        default 1;\n    }\n",
           true);
    expect(&conf, "if ($dvara_gate_0) { break; }\n        if ($dvara_gate_2) { return 403; }\n",
           true);
    expect(&conf, "dvara_admin_", false);
    conf.gate_access = bad;
    conf.gate_access_count = 1;
    assert_int_equal(dv_nginx_conf_render(&conf, &out, NULL), DV_ERR_INVALID);
}

static void test_renders(void **state)
{
    dv_nginx_conf conf = plain();
    expect(&conf, "daemon off;\n", true);
    expect(&conf, "listen 127.0.0.1:8080 default_server;", true);
    expect(&conf, "dvara_upstream default http 127.0.0.1:9000 127.0.0.1 \"/base\";", true);
    expect(&conf, "ssl_", false);
    expect(&conf, "dvara admin", false);
    expect(&conf, "$http_authorization", false);
    expect(&conf, "\nuser ", false);
    conf.admin_listen = "https://[::1]:8443";
    conf.certificate = "/c.pem";
    conf.certificate_key = "/k.pem";
    conf.cipher_suites = suites;
    conf.user = "dvara";
    expect(&conf, "listen [::1]:8443 default_server ssl http2;", true);
    expect(&conf, "ssl_protocols TLSv1.3;", true);
    expect(&conf,
           "ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256;",
           true);
    expect(&conf, "server unix:/run/d/api.sock;", true);
    expect(&conf, "user dvara dvara;", true);
    expect(&conf, "proxy_ssl_verify", false);
    conf.upstreams = &tls;
    expect(&conf, "proxy_ssl_verify on;", true);
    expect(&conf, "proxy_ssl_protocols TLSv1.3;", true);
    conf.upstream_tls_12 = true;
    expect(&conf, "proxy_ssl_protocols TLSv1.2 TLSv1.3;", true);
    expect(&conf, "dvara_upstream t https a.example a.example \"\";", true);
}

static void expect_refused(const dv_nginx_conf *conf, const char *message)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_NGINX_CONF_MAX);
    dv_error error = {0};
    assert_int_equal(dv_nginx_conf_render(conf, &out, &error), DV_ERR_INVALID);
    if (strstr(error.message, message) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", error.message, message);
    }
}

static void test_refuses_what_could_inject(void **state)
{
    dv_nginx_conf conf = plain();
    conf.module = "/m.so; daemon on";
    expect_refused(&conf, "module");
    conf = plain();
    conf.runtime_dir = "relative";
    expect_refused(&conf, "runtime");
    conf = plain();
    conf.spool_dir = "/s\n";
    expect_refused(&conf, "spool");
    conf = plain();
    conf.user = "root;";
    expect_refused(&conf, "user");
    conf = plain();
    conf.upstreams = &bad_name;
    expect_refused(&conf, "upstream");
    conf.upstreams = &mixed;
    expect_refused(&conf, "base path");
    conf = plain();
    conf.gate_listen = "https://0.0.0.0:8443";
    expect_refused(&conf, "certificate");
    conf.certificate = "/c.pem";
    conf.certificate_key = "/k.pem";
    conf.cipher_suites = bad_suites;
    expect_refused(&conf, "cipher suite");
    conf = plain();
    conf.workers = DV_NGINX_WORKERS_MAX + 1;
    expect_refused(&conf, "workers");
    conf = plain();
    conf.upstream_count = 0;
    expect_refused(&conf, "upstream");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upstreams),      cmocka_unit_test(test_listens),
        cmocka_unit_test(test_spilled_bodies), cmocka_unit_test(test_access),
        cmocka_unit_test(test_renders),        cmocka_unit_test(test_refuses_what_could_inject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
