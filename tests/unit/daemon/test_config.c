/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caps.h"
#include "daemon/config.h"
#include "gateway/nginx_conf.h"
#include "room/api/control/api_control.h"
#include "room/api/gate/api_config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static dv_config *good(const char *text)
{
    dv_config *config = NULL;
    dv_error error = {0};
    if (dv_config_parse(dv_slice_str(text), &config, &error) != DV_OK) {
        fail_msg("refused in line %d: %s\n%s", error.line, error.message, text);
    }
    return config;
}

static void refused(const char *text, int line, const char *words)
{
    dv_config *config = NULL;
    dv_error error = {0};
    dv_result result = dv_config_parse(dv_slice_str(text), &config, &error);
    if (result != DV_ERR_INVALID && result != DV_ERR_TOO_LARGE) {
        fail_msg("not refused (%s):\n%s", dv_result_name(result), text);
    }
    assert_null(config);
    if (error.line != line || strstr(error.message, words) == NULL) {
        fail_msg("line %d: '%s', wanted line %d: '%s', for\n%s", error.line, error.message, line,
                 words, text);
    }
}

typedef struct bad {
    const char *text;
    int line;
    const char *words;
} bad;

static void all_refused(const bad *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        refused(cases[i].text, cases[i].line, cases[i].words);
    }
}

static void test_nothing_is_all_defaults(void **state)
{
    (void)state;
    dv_auto(config) dv_config *config = good("");
    const dv_config_settings *settings = dv_config_get_settings(config);
    assert_null(settings->listen);
    assert_null(settings->upstream);
    assert_int_equal(settings->workers, 0);
    assert_int_equal(settings->body_max, DV_LIMIT_BODY_DEFAULT);
    assert_null(dv_config_warnings(config)[0]);
}

/* The sections as users have them, but the HSM that is not here. */
static void test_known_sections_are_taken(void **state)
{
    (void)state;
    dv_auto(config) dv_config *config = good(
        "firewall_rules:\n"
        "  - {name: \"Allow HTTPS\", port: 443, protocol: tcp, source: \"0.0.0.0/0\", action: "
        "allow}\n"
        "  - {name: \"Allow SSH\", port: 22, protocol: tcp, source: \"admin_network\", action: "
        "allow}\n"
        "  - {name: \"Block all other\", port: \"*\", protocol: \"*\", source: \"*\", action: "
        "deny}\n"
        "networks: {admin_network: [\"10.0.0.0/24\"]}\n"
        "encryption: {algorithm: \"AES-256-GCM\", key_rotation: \"monthly\", key_storage: file}\n"
        "tls:\n"
        "  version: \"1.3\"\n"
        "  cipher_suites: [\"TLS_AES_256_GCM_SHA384\", \"TLS_CHACHA20_POLY1305_SHA256\"]\n");
    const dv_config_settings *settings = dv_config_get_settings(config);
    assert_string_equal(settings->cipher_suites[0], "TLS_AES_256_GCM_SHA384");
    assert_string_equal(settings->cipher_suites[1], "TLS_CHACHA20_POLY1305_SHA256");
    assert_null(settings->cipher_suites[2]);
    assert_non_null(strstr(dv_config_warnings(config)[0], "firewall_rules"));
}

static void test_own_settings(void **state)
{
    (void)state;
    dv_auto(config) dv_config *config = good("listen: https://0.0.0.0:8443\n"
                                             "admin_listen: http://127.0.0.1:9000\n"
                                             "upstream:\n"
                                             "  url: https://models.example/base\n"
                                             "  ca: /etc/ssl/my.pem\n"
                                             "  timeout: 90s\n"
                                             "  tls_version: 1.2\n"
                                             "workers: 3\n"
                                             "tls:\n"
                                             "  version: 1.3\n"
                                             "  certificate: /etc/dvara/gate.crt\n"
                                             "  certificate_key: /etc/dvara/gate.key\n"
                                             "routes:\n"
                                             "  - {name: a, path: /a, body_limit: 20MiB}\n"
                                             "  - {name: b, path: /b}\n");
    const dv_config_settings *settings = dv_config_get_settings(config);
    assert_string_equal(settings->listen, "https://0.0.0.0:8443");
    assert_string_equal(settings->admin_listen, "http://127.0.0.1:9000");
    assert_string_equal(settings->upstream, "https://models.example/base");
    assert_string_equal(settings->upstream_ca, "/etc/ssl/my.pem");
    assert_true(settings->upstream_tls_12);
    assert_true(settings->upstream_timeout == 90 * DV_SECOND);
    assert_int_equal(settings->workers, 3);
    assert_string_equal(settings->certificate_key, "/etc/dvara/gate.key");
    assert_int_equal(settings->body_max, 20 << 20);
}

static void test_top_level_errors(void **state)
{
    static const bad cases[] = {
        {"firewal_rules: []\n", 1, "firewall_rules"},
        {"a: 1\n", 1, "'a'"},
        {"- a\n", 1, "name: value"},
        {"listen: ftp://127.0.0.1:1\n", 1, "listen"},
        {"\nlisten: http://0.0.0.0:80\n", 2, "listen"},
        {"listen: {a: 1}\n", 1, "listen"},
        {"admin_listen: 8080\n", 1, "admin_listen"},
        {"workers: 0\n", 1, "workers"},
        {"workers: 257\n", 1, "workers"},
        {"workers: many\n", 1, "workers"},
        {"upstream: file:///etc/passwd\n", 1, "upstream"},
        {"upstream: {ca: /a}\n", 1, "url"},
        {"upstream: {url: http://127.0.0.1:1, ca: a.pem}\n", 1, "absolute"},
        {"upstream: {url: http://127.0.0.1:1, timeout: 2h}\n", 1, "1h"},
        {"upstream: {url: http://127.0.0.1:1, timeout: 5ms}\n", 1, "1s"},
        {"upstream: {url: http://127.0.0.1:1, timeuot: 5s}\n", 1, "timeout"},
        {"listen: http://127.0.0.1:1\nlisten: http://127.0.0.1:2\n", 2, "listen"},
    };
    (void)state;
    all_refused(cases, DV_ARRAY_LEN(cases));
}

static void test_tls_errors(void **state)
{
    static const bad cases[] = {
        {"tls: yes\n", 1, "tls"},
        {"tls:\n  version: \"1.2\"\n", 2, "1.3"},
        {"tls:\n  versoin: \"1.3\"\n", 2, "version"},
        {"tls:\n  cipher_suites: []\n", 2, "cipher_suites"},
        {"tls:\n  cipher_suites: [ECDHE-RSA-AES128-SHA]\n", 2, "no TLS 1.3 suite"},
        {"tls:\n  cipher_suites: [TLS_AES_256_GCM_SHA384, TLS_AES_256_GCM_SHA384]\n", 2, "twice"},
        {"tls: {certificate: /a.crt}\n", 1, "go together"},
        {"tls: {certificate: a.crt, certificate_key: /a.key}\n", 1, "absolute"},
    };
    (void)state;
    all_refused(cases, DV_ARRAY_LEN(cases));
}

static void test_encryption_errors(void **state)
{
    static const bad cases[] = {
        {"encryption: strong\n", 1, "encryption"},
        {"encryption: {algorithm: AES-128-GCM}\n", 1, "AES-256-GCM only"},
        {"encryption: {algoritm: AES-256-GCM}\n", 1, "algorithm"},
        {"encryption: {key_rotation: sometimes}\n", 1, "key_rotation"},
        {"encryption: {key_rotation: 5m}\n", 1, "at least 1d"},
        {"encryption: {key_storage: cloud}\n", 1, "file or HSM"},
    };
    (void)state;
    all_refused(cases, DV_ARRAY_LEN(cases));
    dv_auto(config) dv_config *config = good("encryption: {key_rotation: 90d}\n");
    assert_non_null(config);
}

#define RULE(port, protocol, source, action)                                                       \
    "firewall_rules:\n  - {name: r, port: " port ", protocol: " protocol ", source: " source       \
    ", action: " action "}\n"

static void test_firewall_errors(void **state)
{
    static const bad cases[] = {
        {"firewall_rules: {}\n", 1, "list"},
        {"firewall_rules: [open]\n", 1, "looks like"},
        {"firewall_rules:\n  - {port: 1, protocol: tcp, source: \"*\", action: deny}\n", 2, "name"},
        {"firewall_rules:\n  - {name: a, protocol: tcp, source: \"*\", action: deny}\n", 2, "port"},
        {"firewall_rules:\n  - {name: a, port: 1, source: \"*\", action: deny}\n", 2, "protocol"},
        {"firewall_rules:\n  - {name: a, port: 1, protocol: tcp, action: deny}\n", 2, "source"},
        {"firewall_rules:\n  - {name: a, port: 1, protocol: tcp, source: \"*\"}\n", 2, "action"},
        {RULE("0", "tcp", "\"*\"", "deny"), 2, "1 to 65535"},
        {RULE("65536", "tcp", "\"*\"", "deny"), 2, "1 to 65535"},
        {RULE("99999999999999999999", "tcp", "\"*\"", "deny"), 2, "1 to 65535"},
        {RULE("20-10", "tcp", "\"*\"", "deny"), 2, "1 to 65535"},
        {RULE("http", "tcp", "\"*\"", "deny"), 2, "1 to 65535"},
        {RULE("-1", "tcp", "\"*\"", "deny"), 2, "1 to 65535"},
        {RULE("1", "sctp", "\"*\"", "deny"), 2, "tcp, udp, icmp"},
        {RULE("1", "icmp", "\"*\"", "deny"), 2, "no ports"},
        {RULE("1", "tcp", "\"*\"", "drop"), 2, "allow or deny"},
        {RULE("1", "tcp", "admin_network", "allow"), 2, "not defined"},
        {RULE("1", "tcp", "10.0.0.0/33", "allow"), 2, "0 to 32"},
        {RULE("1", "tcp", "10.0.0.1/24", "allow"), 2, "behind its prefix"},
        {RULE("1", "tcp", "\"2001:db8::/129\"", "allow"), 2, "0 to 128"},
        {RULE("1", "tcp", "10.0.0/24", "allow"), 2, "no address"},
        {RULE("1", "tcp", "10.0.0.0/", "allow"), 2, "0 to 32"},
        {RULE("1", "tcp", "\"*\"", "deny, prot: tcp"), 2, "prot"},
        {RULE("1", "tcp", "\"*\"", "deny") "  - {name: r, port: 2, protocol: tcp, source: \"*\", "
                                           "action: deny}\n",
         3, "already, in line 2"},
        {"networks: []\n", 1, "networks"},
        {"networks: {a: 10.0.0.0/8}\n", 1, "wants a list"},
        {"networks: {a: []}\n", 1, "wants a list"},
        {"networks: {a: [b]}\n", 1, "no address"},
        {"networks: {\"10.0.0.0\": [10.0.0.0/8]}\n", 1, "no name"},
    };
    (void)state;
    all_refused(cases, DV_ARRAY_LEN(cases));
}

static void expect_access(const char *text, uint16_t port, const char *want)
{
    dv_auto(config) dv_config *config = good(text);
    const dv_config_access *access = NULL;
    size_t count = 0;
    char found[512] = "";
    size_t len = 0;
    assert_int_equal(dv_config_port_access(config, port, &access, &count), DV_OK);
    for (size_t i = 0; i < count; i++) {
        len += (size_t)snprintf(found + len, sizeof found - len, "%s %s;",
                                access[i].allow ? "allow" : "deny", access[i].source);
    }
    assert_string_equal(found, want);
}

static void test_port_access(void **state)
{
    static const char rules[] =
        "networks: {office: [10.0.0.0/24, \"2001:db8::/32\"]}\n"
        "firewall_rules:\n"
        "  - {name: a, port: 8000-8500, protocol: tcp, source: office, action: allow}\n"
        "  - {name: b, port: 8443, protocol: udp, source: 192.0.2.1, action: deny}\n"
        "  - {name: c, port: 22, protocol: tcp, source: 192.0.2.2, action: allow}\n"
        "  - {name: d, port: \"*\", protocol: \"*\", source: \"*\", action: deny}\n";
    (void)state;
    expect_access(rules, 8443,
                  "allow 10.0.0.0/24;allow 2001:db8::/32;allow 127.0.0.0/8;allow ::1;deny all;");
    expect_access(rules, 22, "allow 192.0.2.2;allow 127.0.0.0/8;allow ::1;deny all;");
    expect_access(rules, 9000, "allow 127.0.0.0/8;allow ::1;deny all;");
    expect_access("workers: 1\n", 8443, "");
}

static void test_route_errors(void **state)
{
    static const bad cases[] = {
        {"routes: {}\n", 1, "list"},
        {"routes: [/v1]\n", 1, "looks like"},
        {"routes:\n  - {path: /a}\n", 2, "name"},
        {"masking:\n  rules:\n    - {routes: [openai-chta], action: mask}\n", 3,
         "did you mean 'openai-chat'"},
        {"routes: [{name: a, path: /a}]\nmasking: {rules: [{routes: [openai-chat], action: "
         "mask}]}\n",
         2, "no route is called"},
        {"loss_prevention:\n  volume:\n    - {name: x, values: 1, per: 1h, action: alert, routes: "
         "[b]}\n",
         3, "no route is called"},
        {"routes:\n  - {name: a}\n", 2, "path"},
        {"routes:\n  - {name: \"a b\", path: /a}\n", 2, "letters"},
        {"routes:\n  - {name: a, path: a}\n", 2, "path"},
        {"routes:\n  - {name: a, path: /a/../b}\n", 2, "path"},
        {"routes:\n  - {name: a, path: /a//b}\n", 2, "path"},
        {"routes:\n  - {name: a, path: /a/}\n", 2, "path"},
        {"routes:\n  - {name: a, path: \"/a%2fb\"}\n", 2, "path"},
        {"routes:\n  - {name: a, path: /a, match: regex}\n", 2, "exact, prefix"},
        {"routes:\n  - {name: a, path: /a, protocol: grpc}\n", 2, "openai_chat"},
        {"routes:\n  - {name: a, path: /a, methods: []}\n", 2, "at least one"},
        {"routes:\n  - {name: a, path: /a, methods: [BREW]}\n", 2, "no method"},
        {"routes:\n  - {name: a, path: /a, methods: [GET, GET]}\n", 2, "twice"},
        {"routes:\n  - {name: a, path: /a, body_limit: 0}\n", 2, "at least 1"},
        {"routes:\n  - {name: a, path: /a, body_limit: 2GB}\n", 2, "body_limit"},
        {"routes:\n  - {name: a, path: /a, fields: all}\n", 2, "or any"},
        {"routes:\n  - {name: a, path: /a, request_policy: strict}\n", 2, "request_policy"},
        {"routes:\n  - {name: a, path: /a, fiedls: any}\n", 2, "fields"},
        {"routes:\n  - {name: a, path: /a}\n  - {name: a, path: /b}\n", 3, "already"},
        {"routes:\n  - {name: a, path: /a}\n  - {name: b, path: /a}\n", 3, "already"},
        {"limits: []\n", 1, "limits"},
        {"limits: {usr: []}\n", 1, "user"},
        {"limits: {key: 5}\n", 1, "list"},
        {"limits: {key: [{count: 5}]}\n", 1, "per"},
        {"limits: {key: [{per: 1m}]}\n", 1, "count"},
        {"limits: {key: [{count: 0, per: 1m}]}\n", 1, "count"},
        {"limits: {key: [{count: 1, per: 0s}]}\n", 1, "longer than nothing"},
        {"limits: {key: [{count: 1, per: soon}]}\n", 1, "per"},
        {"limits: {key: [{count: 1, per: 1m, brust: 2}]}\n", 1, "burst"},
        {"limits:\n  key:\n    - {count: 1, per: 1m}\n    - {count: 1, per: 2m}\n    - {count: 1, "
         "per: 3m}\n    - {count: 1, per: 4m}\n    - {count: 1, per: 5m}\n    - {tokens: 1, per: "
         "day}\n"
         "    - {cost: 1, per: day}\n    - {concurrent: 1}\n    - {tokens: 1, per: month}\n",
         11, "more than 8"},
        {"limits: {key: [{count: 1, per: day}]}\n", 1, "per"},
        {"limits: {key: [{tokens: 1}]}\n", 1, "per"},
        {"limits: {key: [{tokens: 1, cost: 1, per: day}]}\n", 1, "beside"},
        {"limits: {key: [{per: 1m}]}\n", 1, "count"},
        {"limits: {key: [{cost: 1.0000001, per: day}]}\n", 1, "six places"},
        {"limits: {key: [{cost: 0, per: day}]}\n", 1, "more than 0"},
        {"limits: {key: [{cost: 1, per: 1m}]}\n", 1, "day or month"},
        {"limits: {key: [{tokens: 10000000000001, per: day}]}\n", 1, "tokens"},
        {"limits: {key: [{tokens: 1, per: day, burst: 1}]}\n", 1, "burst"},
        {"limits: {key: [{concurrent: 60001}]}\n", 1, "60000"},
        {"limits: {key: [{concurrent: 1, per: 1m}]}\n", 1, "per"},
        {"limits: {warn: [100, 80]}\n", 1, "must be a number"},
        {"limits: {warn: [10, 20, 30, 40, 50]}\n", 1, "more than 4"},
        {"limits: {network: []}\n", 1, "network"},
        {"prices: []\n", 1, "prices"},
        {"prices: {m: {input: 1}}\n", 1, "lacks 'output'"},
        {"prices: {m: {input: 1, output: cheap}}\n", 1, "output"},
        {"prices: {m: 3}\n", 1, "looks like"},
        {"routes:\n  - {name: a, path: /a, max_tokens: 0}\n", 2, "max_tokens"},
        {"routes:\n  - {name: a, path: /a, max_tokens_name: max_tokens}\n", 2, "max_tokens_name"},
        {"refused_fields: api_base\n", 1, "list"},
        {"refused_fields: [\"a b\"]\n", 1, "no name"},
    };
    (void)state;
    all_refused(cases, DV_ARRAY_LEN(cases));
}

static void test_too_many(void **state)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    (void)state;
    assert_int_equal(dv_buf_append_str(&text, "routes:\n"), DV_OK);
    for (int i = 0; i <= DV_API_ROUTES_MAX; i++) {
        assert_int_equal(dv_buf_append_printf(&text, "  - {name: r%d, path: /r%d}\n", i, i), DV_OK);
    }
    refused(dv_buf_cstr(&text), DV_API_ROUTES_MAX + 2, "more than 256 routes");
    dv_buf_clear(&text);
    assert_int_equal(dv_buf_append_str(&text, "refused_fields:\n"), DV_OK);
    for (int i = 0; i <= DV_API_FIELDS_MAX; i++) {
        assert_int_equal(dv_buf_append_printf(&text, "  - f%d\n", i), DV_OK);
    }
    refused(dv_buf_cstr(&text), DV_API_FIELDS_MAX + 2, "more than 256 names");
    dv_buf_clear(&text);
    assert_int_equal(dv_buf_append_str(&text, "firewall_rules:\n"), DV_OK);
    for (int i = 0; i <= 1024; i++) {
        assert_int_equal(dv_buf_append_printf(&text,
                                              "  - {name: n%d, port: 1, protocol: tcp, source: "
                                              "\"*\", action: deny}\n",
                                              i),
                         DV_OK);
    }
    refused(dv_buf_cstr(&text), 1026, "more than 1024 firewall rules");
}

static dv_result some_policies(const dv_yaml *section, const dv_yaml *loss, const char *runtime,
                               dv_buf *out, dv_error *error)
{
    (void)runtime;
    (void)section;
    (void)loss;
    (void)error;
    return dv_buf_append_str(out, "{\"request\":{\"default\":\"mask\"},\"answer\":{}}");
}

static const dv_masking_source masking = {some_policies};

/* What the control part writes, the gate part must read. */
static void test_gateway_reads_it(void **state)
{
    dv_auto(buf) dv_buf json = dv_buf_init(DV_API_GATEWAY_JSON_MAX);
    dv_auto(api_config) dv_api_config *read = NULL;
    dv_error error = {0};
    (void)state;
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    const dv_yaml *root = NULL;
    assert_int_equal(
        dv_yaml_parse(dv_slice_str("routes:\n"
                                   "  - {name: chat, path: /v1/chat/completions, protocol: "
                                   "openai_chat, body_limit: 1MiB}\n"
                                   "  - {name: any, path: /x, match: prefix, methods: [GET, POST], "
                                   "fields: any, answer_policy: none}\n"
                                   "limits: {key: {count: 5, per: 1m, burst: 2}, user: []}\n"),
                      arena, &root, &error),
        DV_OK);
    assert_int_equal(dv_api_gateway_json(root, &masking, NULL, &json, &error), DV_OK);
    if (dv_api_config_parse(dv_buf_slice(&json), &read, &error) != DV_OK) {
        fail_msg("the gate refuses it: %s\n%s", error.message, dv_buf_cstr(&json));
    }
    assert_int_equal(read->route_count, 2);
    const dv_api_route *chat =
        dv_api_route_find(read, DV_METHOD_POST, DV_LIT("/v1/chat/completions"));
    assert_non_null(chat);
    assert_int_equal(chat->body_limit, 1 << 20);
    assert_true(dv_api_names_have(&chat->fields, DV_LIT("messages")));
    const dv_api_route *any = dv_api_route_find(read, DV_METHOD_GET, DV_LIT("/x/y"));
    assert_non_null(any);
    assert_true(any->any_field);
    assert_int_equal(any->answer_policy, -1);
    assert_true(any->request_policy >= 0);
    assert_int_equal(read->limits[DV_API_LIMIT_KEY].items[0].rate.burst, 2);
    assert_int_equal(read->limits[DV_API_LIMIT_USER].count, 0);
    assert_int_equal(read->limits[DV_API_LIMIT_ADDRESS].count, 1);
    assert_true(dv_api_names_have(&read->refused_fields, DV_LIT("api_base")));
}

static void test_bad_models_are_refused(void **state)
{
    static const bad cases[] = {
        {"models: [gpt]\n", 1, "models by name"},
        {"models:\n  gpt: premium\n", 2, "looks like"},
        {"models:\n  gpt: {teir: premium}\n", 2, "teir"},
        {"models:\n  gpt: {tier: two words}\n", 2, "tier"},
        {"models:\n  gpt: {tier: \"\"}\n", 2, "tier"},
        {"models:\n  gpt: {labels: phi}\n", 2, "labels"},
        {"models:\n  gpt: {labels: [a, a]}\n", 2, "twice"},
        {"models:\n  gpt: {groups: [\"a b\"]}\n", 2, "groups"},
        {"models:\n  'a\"b': {}\n", 2, "can be no model"},
        {"models:\n  gpt-x: {}\n  GPT-X: {}\n", 3, "already"},
        {"routes:\n  - {name: a, path: /a, labels: phi}\n", 2, "labels"},
        {"routes:\n  - {name: a, path: /a, groups: [x]}\n", 2, "groups"},
    };
    (void)state;
    all_refused(cases, DV_ARRAY_LEN(cases));
}

static void accepted(const char *text)
{
    dv_config_free(good(text));
}

/* As many models, and words in a list, as there can be; then one more. */
static void test_models_have_limits(void **state)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CONFIG);
    dv_auto(buf) dv_buf words = dv_buf_init(DV_LIMIT_CONFIG);
    (void)state;
    assert_int_equal(dv_buf_append_str(&text, "models:\n"), DV_OK);
    for (int i = 0; i < DV_LIMIT_MODELS; i++) {
        assert_int_equal(dv_buf_append_printf(&text, "  m%d: {}\n", i), DV_OK);
    }
    accepted(dv_buf_cstr(&text));
    assert_int_equal(dv_buf_append_str(&text, "  more: {}\n"), DV_OK);
    refused(dv_buf_cstr(&text), DV_LIMIT_MODELS + 2, "more than 1024");
    assert_int_equal(dv_buf_append_str(&words, "models:\n  m: {labels: [w"), DV_OK);
    for (int i = 1; i < DV_LIMIT_RESOURCE_WORDS; i++) {
        assert_int_equal(dv_buf_append_printf(&words, ", w%d", i), DV_OK);
    }
    size_t len = words.len;
    assert_int_equal(dv_buf_append_str(&words, "]}\n"), DV_OK);
    accepted(dv_buf_cstr(&words));
    words.len = len;
    assert_int_equal(dv_buf_append_str(&words, ", more]}\n"), DV_OK);
    refused(dv_buf_cstr(&words), 2, "more than 64");
}

static void test_gateway_reads_the_defaults(void **state)
{
    static const struct {
        unsigned method;
        const char *path;
        const char *route;
    } wanted[] = {
        {DV_METHOD_POST, "/v1/chat/completions", "openai-chat"},
        {DV_METHOD_POST, "/v1/completions", "openai-completions"},
        {DV_METHOD_POST, "/v1/responses", "openai-responses"},
        {DV_METHOD_POST, "/v1/embeddings", "openai-embeddings"},
        {DV_METHOD_GET, "/v1/models", "openai-models"},
        {DV_METHOD_GET, "/v1/models/smollm2", "openai-models"},
        {DV_METHOD_POST, "/v1/messages", "anthropic-messages"},
        {DV_METHOD_POST, "/predict", "json-predict"},
    };
    dv_auto(buf) dv_buf json = dv_buf_init(DV_API_GATEWAY_JSON_MAX);
    dv_auto(api_config) dv_api_config *read = NULL;
    dv_error error = {0};
    (void)state;
    assert_int_equal(dv_api_gateway_json(NULL, &masking, NULL, &json, &error), DV_OK);
    if (dv_api_config_parse(dv_buf_slice(&json), &read, &error) != DV_OK) {
        fail_msg("the gate refuses the defaults: %s", error.message);
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(wanted); i++) {
        const dv_api_route *route =
            dv_api_route_find(read, wanted[i].method, dv_slice_str(wanted[i].path));
        assert_non_null(route);
        assert_true(dv_slice_eq_str(route->name, wanted[i].route));
    }
    assert_null(dv_api_route_find(read, DV_METHOD_GET, DV_LIT("/v1/responses/resp_1")));
    assert_null(dv_api_route_find(read, DV_METHOD_GET, DV_LIT("/v1/chat/completions")));
}

static void test_a_file_that_is_not_there(void **state)
{
    dv_config *config = NULL;
    dv_error error = {0};
    (void)state;
    assert_int_equal(dv_config_load("/no/such/dvara.yaml", &config, &error), DV_ERR_NOT_FOUND);
    assert_non_null(strstr(error.message, "/no/such/dvara.yaml"));
}

static void test_overload(void **state)
{
    dv_auto(config) dv_config *none = good("");
    dv_auto(config) dv_config *some =
        good("overload: {connections_per_address: any, new_connections_per_address: 7, "
             "header_timeout: 2s, body_timeout: 1h, recorded_refusals: all}");
    const dv_nginx_overload *defaults = &dv_config_get_settings(none)->overload;
    const dv_nginx_overload *said = &dv_config_get_settings(some)->overload;
    assert_int_equal(defaults->connections, 1024);
    assert_int_equal(defaults->new_connections, 500);
    assert_int_equal(defaults->recorded_refusals, 20);
    assert_int_equal(said->connections, 0);
    assert_int_equal(said->new_connections, 7);
    assert_int_equal(said->header_seconds, 2);
    assert_int_equal(said->body_seconds, 3600);
    assert_int_equal(said->recorded_refusals, 0);
    const bad cases[] = {
        {"overload: 7", 1, "connections_per_address"},
        {"overload:\n  connections: 7", 2, "connections"},
        {"overload: {connections_per_address: 0}", 1, "connections_per_address"},
        {"overload: {new_connections_per_address: 1000001}", 1, "new_connections_per_address"},
        {"overload: {header_timeout: 0s}", 1, "header_timeout"},
        {"overload: {body_timeout: 61m}", 1, "between 1s and 1h"},
        {"overload: {recorded_refusals: any}", 1, "recorded_refusals"},
    };
    all_refused(cases, DV_ARRAY_LEN(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_all_defaults),
        cmocka_unit_test(test_overload),
        cmocka_unit_test(test_known_sections_are_taken),
        cmocka_unit_test(test_own_settings),
        cmocka_unit_test(test_top_level_errors),
        cmocka_unit_test(test_tls_errors),
        cmocka_unit_test(test_encryption_errors),
        cmocka_unit_test(test_firewall_errors),
        cmocka_unit_test(test_port_access),
        cmocka_unit_test(test_route_errors),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_gateway_reads_it),
        cmocka_unit_test(test_bad_models_are_refused),
        cmocka_unit_test(test_models_have_limits),
        cmocka_unit_test(test_gateway_reads_the_defaults),
        cmocka_unit_test(test_a_file_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
