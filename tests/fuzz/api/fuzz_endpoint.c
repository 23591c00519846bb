/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of the configuration on their way into nginx.conf: nothing of them may end a directive. */
#include "gateway/nginx_conf.h"

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check(const dv_endpoint *endpoint)
{
    static const char bad[] = " \t\r\n;{}\"'\\$#";
    require(endpoint->host[0] != '\0' && endpoint->port > 0);
    require(strpbrk(endpoint->host, bad) == NULL && strpbrk(endpoint->path, bad) == NULL);
    require(endpoint->path[0] == '\0' || endpoint->path[0] == '/');
}

static void render(dv_slice url)
{
    char text[512];
    (void)snprintf(text, sizeof(text), "%.*s", (int)DV_MIN(url.len, sizeof(text) - 1),
                   (const char *)url.ptr);
    const char *const servers[] = {text};
    dv_nginx_upstream upstream = {.name = text, .servers = servers, .server_count = 1};
    dv_nginx_conf conf = {.gate_listen = text,
                          .upstreams = &upstream,
                          .upstream_count = 1,
                          .module = text,
                          .runtime_dir = text,
                          .temp_dir = text,
                          .spool_dir = text,
                          .counters = text};
    dv_error error = {0};
    dv_auto(buf) dv_buf out = dv_buf_init(DV_NGINX_CONF_MAX);
    require(dv_nginx_conf_render(&conf, &out, &error) != DV_OK && error.message[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_slice url = dv_slice_of(data, size);
    dv_endpoint endpoint = {0};
    if (dv_endpoint_parse_upstream(url, &endpoint, NULL) == DV_OK) {
        check(&endpoint);
    }
    if (dv_endpoint_parse_listen(url, &endpoint, NULL) == DV_OK) {
        check(&endpoint);
    }
    render(url);
    return 0;
}
