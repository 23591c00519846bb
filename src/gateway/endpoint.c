/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/nginx_conf.h"

#include <arpa/inet.h>

static dv_result wrong(dv_error *error, dv_slice url, const char *why)
{
    return dv_error_set(error, DV_ERR_INVALID, "\"%.*s\" %s", (int)DV_MIN(url.len, (size_t)200),
                        (const char *)url.ptr, why);
}

static bool take_scheme(dv_slice *rest, bool *ret_tls)
{
    bool tls = dv_slice_starts_with(*rest, DV_LIT("https://"));
    if (!tls && !dv_slice_starts_with(*rest, DV_LIT("http://"))) {
        return false;
    }
    *ret_tls = tls;
    *rest = dv_slice_sub(*rest, tls ? 8 : 7, rest->len);
    return true;
}

/* Splits "[::1]:80" or "name:80" off the front; what follows is "" or begins with '/'. */
static bool take_host(dv_slice *rest, dv_slice *ret_host, dv_slice *ret_port)
{
    ptrdiff_t slash = dv_slice_find_byte(*rest, '/');
    dv_slice authority = slash < 0 ? *rest : dv_slice_sub(*rest, 0, (size_t)slash);
    *rest = dv_slice_sub(*rest, authority.len, rest->len);
    bool bracket = authority.len > 0 && authority.ptr[0] == '[';
    ptrdiff_t end = dv_slice_find_byte(authority, bracket ? ']' : ':');
    if (bracket && end < 0) {
        return false;
    }
    size_t host_end = end < 0 ? authority.len : (size_t)end;
    *ret_host = dv_slice_sub(authority, bracket, host_end - bracket);
    dv_slice port = dv_slice_sub(authority, host_end + bracket, authority.len);
    if (port.len > 0 && port.ptr[0] != ':') {
        return false;
    }
    *ret_port = port;
    return true;
}

static bool read_port(dv_slice text, uint16_t *ret_port)
{
    uint32_t port = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || i > 4) {
            return false;
        }
        port = port * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    if (port == 0 || port > UINT16_MAX) {
        return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

static bool is_host_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

/* A DNS name (RFC 1123 section 2.1) or an IP literal, lower-cased. */
static bool read_host(dv_slice text, bool bracket, dv_endpoint *endpoint)
{
    uint8_t binary[16];
    if (text.len == 0 || text.len >= DV_NGINX_HOST_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        endpoint->host[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    endpoint->host[text.len] = '\0';
    endpoint->ipv6 = bracket;
    if (bracket) {
        return inet_pton(AF_INET6, endpoint->host, binary) == 1;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (!is_host_byte((uint8_t)endpoint->host[i])) {
            return false;
        }
    }
    return endpoint->host[0] != '-' && endpoint->host[0] != '.';
}

static bool is_base_path(dv_slice path)
{
    for (size_t i = 0; i < path.len; i++) {
        uint8_t c = path.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr("-._~/", c) == NULL)) {
            return false;
        }
        if (c == '/' && i + 1 < path.len && (path.ptr[i + 1] == '/' || path.ptr[i + 1] == '.')) {
            return false;
        }
    }
    return true;
}

static dv_result parse(dv_slice url, dv_endpoint *endpoint, dv_slice *ret_path, dv_error *error)
{
    dv_slice rest = url;
    dv_slice host = {0};
    dv_slice port = {0};
    if (!take_scheme(&rest, &endpoint->tls)) {
        return wrong(error, url, "must begin with http:// or https://");
    }
    bool bracket = rest.len > 0 && rest.ptr[0] == '[';
    if (dv_slice_find_byte(rest, '@') >= 0) {
        return wrong(error, url, "must not hold a user name");
    }
    if (!take_host(&rest, &host, &port) || !read_host(host, bracket, endpoint)) {
        return wrong(error, url, "has no valid host name or address");
    }
    endpoint->port = endpoint->tls ? 443 : 80;
    if (port.len > 0 && !read_port(dv_slice_sub(port, 1, port.len), &endpoint->port)) {
        return wrong(error, url, "has no valid port (1 to 65535)");
    }
    *ret_path = rest;
    return DV_OK;
}

dv_result dv_endpoint_parse_upstream(dv_slice url, dv_endpoint *ret_endpoint, dv_error *error)
{
    dv_endpoint endpoint = {0};
    dv_slice path = {0};
    DV_TRY(parse(url, &endpoint, &path, error));
    if (!is_base_path(path) || path.len >= DV_NGINX_PATH_MAX) {
        return wrong(error, url, "may have a path of letters, digits, '-', '.', '_', '~', no more");
    }
    if (path.len > 0 && path.ptr[path.len - 1] == '/') {
        path.len--;
    }
    memcpy(endpoint.path, path.ptr, path.len);
    *ret_endpoint = endpoint;
    return DV_OK;
}

static bool is_loopback(const dv_endpoint *endpoint)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (endpoint->ipv6) {
        return inet_pton(AF_INET6, endpoint->host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
    }
    return inet_pton(AF_INET, endpoint->host, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

dv_result dv_endpoint_parse_listen(dv_slice url, dv_endpoint *ret_endpoint, dv_error *error)
{
    dv_endpoint endpoint = {0};
    dv_slice path = {0};
    struct in_addr v4;
    DV_TRY(parse(url, &endpoint, &path, error));
    if (path.len > 0 && !dv_slice_eq_str(path, "/")) {
        return wrong(error, url, "must not have a path: it says where to listen");
    }
    if (strcmp(endpoint.host, "localhost") == 0) {
        (void)snprintf(endpoint.host, sizeof(endpoint.host), "127.0.0.1");
    }
    if (!endpoint.ipv6 && inet_pton(AF_INET, endpoint.host, &v4) != 1) {
        return wrong(error, url, "must name an IP address (or localhost) to listen on");
    }
    if (!endpoint.tls && !is_loopback(&endpoint)) {
        return wrong(error, url,
                     "would send keys in clear: plain http only listens on a loopback "
                     "address; use https://");
    }
    *ret_endpoint = endpoint;
    return DV_OK;
}
